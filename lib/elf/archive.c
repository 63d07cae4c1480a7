/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ar archives, by hand: a walk over 60-byte headers (SysV and GNU: "/" and "/SYM64/" index,
 * "//" long names, "/N" refers to them; BSD: "#1/N" puts the name before the bytes).
 * A thin archive has the headers only; its members are files, named relative to it.
 * Members with a bad size end the walk with a finding, since nothing behind it is certain.
 */
#include "archive.h"

#include <ar.h>
#include <string.h>

#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"

static bool decimal(const char *field, size_t len, uint64_t *ret)
{
	const char *p = field, *end = field + len;

	return mw__parse_dec(&p, end, ret) && (p == end || *p == ' ' || *p == '\n' || *p == '/');
}

/* Long names live in member "//", each ended by "/\n". */
static const char *long_name(struct mw_elf *ar, uint64_t at)
{
	uint64_t pos = SARMAG;
	struct ar_hdr h;
	uint64_t size;

	for (int i = 0; i < 3 && mw__elf_read(ar, pos, &h, sizeof(h)); i++) {
		if (!decimal(h.ar_size, sizeof(h.ar_size), &size))
			return NULL;
		if (!memcmp(h.ar_name, "// ", 3)) {
			char buf[1024];
			size_t n = mw__min(sizeof(buf), size > at ? size - at : 0);

			if (!n || !mw__elf_read(ar, pos + sizeof(h) + at, buf, n))
				return NULL;
			size_t len = mw__find(buf, buf + n, '\n') - buf;

			return mw__arena_strn(&ar->arena, buf, len && buf[len - 1] == '/' ? len - 1 : len);
		}
		pos += sizeof(h) + size + (size & 1);
	}
	return NULL;
}

static const char *bsd_name(struct mw_elf *ar, uint64_t off, uint64_t len)
{
	char buf[1024];

	if (len > sizeof(buf) || !mw__elf_read(ar, off, buf, len))
		return NULL;
	return mw__arena_strn(&ar->arena, buf, strnlen(buf, len));
}

static bool is_index(const char *name)
{
	return !memcmp(name, "/ ", 2) || !memcmp(name, "// ", 3) || !memcmp(name, "/SYM64/", 7) ||
	       !memcmp(name, "__.SYMDEF", 9);
}

static const char *member_name(struct mw_elf *ar, const struct ar_hdr *h, uint64_t at, struct mw__member *m)
{
	uint64_t n;

	if (h->ar_name[0] == '/' && decimal(h->ar_name + 1, 15, &n))
		return long_name(ar, n);
	if (!memcmp(h->ar_name, "#1/", 3) && decimal(h->ar_name + 3, 13, &n) && n <= m->size) {
		m->off += n;
		m->size -= n;
		return bsd_name(ar, at + sizeof(*h), n);
	}
	size_t len = sizeof(h->ar_name);

	while (len && (h->ar_name[len - 1] == ' '))
		len--;
	if (len && h->ar_name[len - 1] == '/')
		len--;
	return mw__arena_strn(&ar->arena, h->ar_name, len);
}

int mw__archive_next(struct mw_elf *ar, uint64_t *at, struct mw__member *ret)
{
	struct ar_hdr h;
	uint64_t size;
	char magic[SARMAG];

	if (!*at)
		*at = SARMAG;
	bool is_thin = mw__elf_read(ar, 0, magic, SARMAG) && !memcmp(magic, "!<thin>", 7);

	while (*at < ar->size) {
		if (!mw__elf_read(ar, *at, &h, sizeof(h)) || memcmp(h.ar_fmag, ARFMAG, 2) ||
		    !decimal(h.ar_size, sizeof(h.ar_size), &size)) {
			mw__elf_diag(ar, MW__ELF_FATAL, "ar_hdr", *at, *at, ar->size,
				     "no member header at %#llx of the archive", (unsigned long long)*at);
			*at = ar->size;
			return 0;
		}
		uint64_t here = *at;
		bool inside = !is_thin || is_index(h.ar_name);

		if (inside && !mw__fits(here + sizeof(h), size, ar->size)) {
			mw__elf_diag(ar, MW__ELF_BAD, "ar_size", size, here + offsetof(struct ar_hdr, ar_size),
				     ar->size - here - sizeof(h), "member at %#llx has %llu bytes, %llu are left",
				     (unsigned long long)here, (unsigned long long)size,
				     (unsigned long long)(ar->size - here - sizeof(h)));
			size = ar->size - here - sizeof(h);
		}
		*at = here + sizeof(h) + (inside ? size + (size & 1) : 0);
		if (is_index(h.ar_name))
			continue;
		*ret = (struct mw__member){ .off = here + sizeof(h), .size = size, .is_thin = is_thin };
		ret->name = member_name(ar, &h, here, ret);
		if (!ret->name)
			ret->name = "?";
		return 1;
	}
	return 0;
}

int mw__archive_open(struct mw_elf *ar, const struct mw__member *m, struct mw_elf **ret, struct mw_err *err)
{
	if (m->is_thin)
		return mw__elf_open_thin(ar, m->name, ret, err);
	return mw__elf_open_member(ar, m->name, m->off, m->size, ret, err);
}
