/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * error.c - errors of the program: named, then fatal or counted. Of those that are
 * counted the first of each kind are named.
 *
 * The text is made on the stack and written with one write(2): nothing here
 * allocates, and stdio is not trusted at such a moment.
 */
#include "internal.h"

#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>
#include <stdlib.h>

#ifdef DLFO_STRUCT_HAS_EH_DBASE
extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak));
#endif

static const char *const error_names[MW_N_ERRORS] = {
	[MW_ERROR_DOUBLE_FREE] = "double free",
	[MW_ERROR_FOREIGN_FREE] = "free of a pointer that malloc did not give",
	[MW_ERROR_INTERIOR_FREE] = "free of a pointer into the middle of a block",
	[MW_ERROR_OVERFLOW] = "write past the end of a block",
	[MW_ERROR_WRITE_AFTER_FREE] = "write to a freed block",
	[MW_ERROR_MISMATCH] = "block freed otherwise than it was allocated",
	[MW_ERROR_WRONG_HEAP] = "not an object of this private heap",
	[MW_ERROR_DEAD_HEAP] = "not a private heap, or one that was destroyed",
};

#define N_TOLD 8u /* of a kind, where they are not fatal */

struct out {
	char *buf;
	size_t len, cap;
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->cap)
		o->buf[o->len++] = c;
}

static void put_text(struct out *o, const char *s)
{
	while (*s)
		put(o, *s++);
}

static void put_number(struct out *o, uint64_t v, unsigned base)
{
	char digits[24];
	unsigned n = 0;

	do
		digits[n++] = "0123456789abcdef"[v % base];
	while (v /= base);
	while (n > 0)
		put(o, digits[--n]);
}

/* %s text, %u unsigned 64-bit, %x hexadecimal 64-bit. */
size_t mw__format(char *buf, size_t cap, const char *fmt, ...)
{
	struct out o = { buf, 0, cap };
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		switch (*++fmt) {
		case 's':
			put_text(&o, va_arg(ap, const char *));
			break;
		case 'u':
			put_number(&o, va_arg(ap, uint64_t), 10);
			break;
		case 'x':
			put_number(&o, va_arg(ap, uint64_t), 16);
			break;
		}
	}
	va_end(ap);
	o.buf[o.len] = 0;
	return o.len;
}

static size_t describe_object(char *buf, size_t cap, const mspan *s, const void *p)
{
	uint64_t off = (uint64_t)(uintptr_t)p - s->base;

	if (off >= (uint64_t)s->nelems * s->elemsize || off % s->elemsize == 0)
		return mw__format(buf, cap, "  in a span of class %u, %u bytes an object, at 0x%x\n",
				  (uint64_t)s->cls, (uint64_t)s->elemsize, s->base);
	return mw__format(buf, cap, "  %u bytes into an object of class %u, %u bytes, at 0x%x\n", off % s->elemsize,
			  (uint64_t)s->cls, (uint64_t)s->elemsize, s->base + off - off % s->elemsize);
}

static size_t describe_block(char *buf, size_t cap, const mspan *s, const void *p)
{
	if (!s)
		return 0;
	if (s->state == MW_SPAN_SMALL || s->state == MW_SPAN_PRIVATE)
		return describe_object(buf, cap, s, p);
	if (s->cls)
		return mw__format(buf, cap, "  in a block of %u bytes, class %u of %u bytes, at 0x%x\n", s->requested,
				  (uint64_t)s->cls, (uint64_t)s->elemsize, (uint64_t)(uintptr_t)mw__span_block(s));
	return mw__format(buf, cap, "  in a block of %u bytes at 0x%x\n", s->requested,
			  (uint64_t)(uintptr_t)mw__span_block(s));
}

/* " (FILE+0xOFFSET)", for addr2line: the file that is mapped there. Without the loader's lock. */
static size_t describe_place(char *buf, size_t cap, uint64_t addr)
{
#ifdef DLFO_STRUCT_HAS_EH_DBASE
	struct dl_find_object obj;

	if (_dl_find_object && _dl_find_object((void *)(addr - 1), &obj) == 0 && obj.dlfo_link_map) {
		const struct link_map *map = obj.dlfo_link_map;
		const char *name = *map->l_name ? map->l_name : program_invocation_name;

		return mw__format(buf, cap, " (%s+0x%x)", name, addr - map->l_addr);
	}
#endif
	return 0;
}

static size_t describe_site(char *buf, size_t cap, const struct mw_site *site)
{
	size_t len = 0;

	for (unsigned i = 0; site && i < site->n_frames; i++) {
		len += mw__format(buf + len, cap - len, "  allocated at 0x%x", site->frames[i]);
		len += describe_place(buf + len, cap - len, site->frames[i]);
		len += mw__format(buf + len, cap - len, "\n");
	}
	return len;
}

void mw__error_at(enum mw_error_kind kind, const void *p, const mspan *s, const char *detail, uint32_t site)
{
	bool fatal = !option(MW_OPT_COUNT);
	uint64_t nth = add_relaxed(&region.n_errors[kind], 1) + 1;
	char buf[3072];
	size_t len;

	if (!fatal && nth > N_TOLD)
		return;
	len = mw__format(buf, sizeof(buf), "memwhy-malloc: 0x%x: %s%s%s\n",
			 (uint64_t)(uintptr_t)p, error_names[kind], detail ? ": " : "",
			 detail ? detail : "");
	len += describe_block(buf + len, sizeof(buf) - len, s, p);
	len += describe_site(buf + len, sizeof(buf) - len, mw__sample_site(site));
	if (!fatal && nth == N_TOLD)
		len += mw__format(buf + len, sizeof(buf) - len, "  from now on such errors are only counted\n");
	mw__os_write(2, buf, len);
	if (fatal)
		abort();
}

void mw__error(enum mw_error_kind kind, const void *p, const mspan *s, const char *detail)
{
	mw__error_at(kind, p, s, detail, s && s->state < MW_SPAN_PRIVATE && s->state != MW_SPAN_SMALL ? s->site : 0);
}
