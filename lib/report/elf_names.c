/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names with versions. The version of a symbol is a number in SHT_GNU_versym; bit 15 hides
 * it, numbers 0 and 1 mean local and unversioned. An undefined symbol takes the name from
 * the needs, a defined one from the definitions, which share one space of numbers.
 *
 * A hostile table can point every symbol at one name of a megabyte. So names are cut at
 * MAX_NAME, and what a table may show is bounded by its size; honest files stay far below.
 */
#include "elf_names.h"

#include <libiberty/demangle.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME 65536

void mw__namer_init(struct mw__namer *n, const struct mw__elf_view *v, struct mw__strtab str, size_t n_rows)
{
	memset(n, 0, sizeof(*n));
	n->budget = (UINT64_C(1) << 20) + str.n * UINT64_C(4) + n_rows * UINT64_C(512);
	n->v = v;
	n->vers = mw__elf_versions(v->elf);
	n->demangle = v->opts->demangle;
}

void mw__small_number(char *buf, uint64_t v)
{
	char tmp[24], *p = tmp + sizeof(tmp);

	*--p = '\0';
	do
		*--p = '0' + v % 10;
	while (v /= 10);
	memcpy(buf, p, tmp + sizeof(tmp) - p);
}

static bool reserve(struct mw__namer *n, size_t need)
{
	if (need <= n->cap)
		return true;
	size_t cap = need * 2 < 256 ? 256 : need * 2;
	char *p = mw__arena_alloc(&n->v->doc->arena, cap);

	if (!p)
		return false;
	n->buf = p;
	n->cap = cap;
	return true;
}

static const char *find_version(struct mw__namer *n, const struct mw__symtab *t, size_t i, bool *hidden)
{
	if (i >= t->n_versym)
		return NULL;
	uint16_t ndx = mw__sym_version(t, i);

	*hidden = ndx & 0x8000;
	if ((ndx & 0x7fff) < 2)
		return NULL;
	const char *name = mw__version_name(n->vers, ndx & 0x7fff);

	if (!name)
		mw__elf_diag(n->v->elf, MW__ELF_BAD, "version number", ndx & 0x7fff, MW_UNKNOWN, MW_UNKNOWN,
			     "%s: symbol %zu has version number %u, which nothing defines", t->name, i, ndx & 0x7fff);
	return name ? name : "<corrupt>";
}

static const char *leave_out(struct mw__namer *n)
{
	static const char text[] = "<left out>";

	n->len = sizeof(text) - 1;
	return text;
}

/* The name within MAX_NAME and the budget; its length is n->len. */
static const char *bounded(struct mw__namer *n, const char *name)
{
	if (!n->budget)
		return leave_out(n);
	size_t len = strlen(name);	/* of a string table: terminated, and paid for by the budget */

	if (len > n->budget || len >= MAX_NAME) {
		mw__elf_diag(n->v->elf, MW__ELF_BAD, "length of symbol names", len, MW_UNKNOWN, MAX_NAME,
			     "symbol names are too long, or too many share the same bytes: some are left out");
		n->budget = len > n->budget ? 0 : n->budget;
		return leave_out(n);
	}
	n->budget -= len;
	n->len = len;
	return name;
}

const char *mw__namer_symbol(struct mw__namer *n, const struct mw__symtab *t, size_t i, const struct mw__sym *s,
			     const char **version, bool *hidden)
{
	const char *name = mw__sym_name(t, s);

	*hidden = false;
	*version = t->n_versym ? find_version(n, t, i, hidden) : NULL;
	if (name) {
		name = bounded(n, name);
	} else {
		name = "<corrupt>";
		n->len = strlen(name);
	}
	n->plain = name;
	char *plain = n->demangle && name[0] == '_' ? cplus_demangle(name, DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO) : NULL;

	if (plain) {
		name = plain;
		n->len = strlen(plain);
	}
	/* a definition's own symbol has its name twice */
	if (*version && s->shndx == SHN_ABS && !strcmp(name, *version))
		*version = NULL;
	if (*version || plain) {
		size_t len = n->len, vlen = *version ? strlen(*version) : 0;
		/* a symbol copied from a library is defined here, but its version there */
		bool is_default = *version && s->shndx != SHN_UNDEF && !*hidden &&
				  n->vers->is_def[mw__sym_version(t, i) & 0x7fff];

		if (reserve(n, len + vlen + 3)) {
			char *p = mempcpy(n->buf, name, len);

			if (*version) {
				*p++ = '@';
				if (is_default)
					*p++ = '@';
				p = mempcpy(p, *version, vlen);
			}
			*p = '\0';
			name = n->buf;
			n->len = p - n->buf;
		} else {
			name = n->plain;
			n->len = strlen(name);
		}
	}
	free(plain);
	return name;
}

const char *mw__view_plain(const struct mw__elf_view *v, const char *name)
{
	char *plain = v->opts->demangle && name[0] == '_' ? cplus_demangle(name, DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO) : NULL;
	const char *kept = plain ? mw__arena_str(&v->doc->arena, plain) : NULL;

	free(plain);
	return kept ? kept : name;
}
