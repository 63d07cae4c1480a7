/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Functions and variables of a symbol table. Left out: what is not in memory by its own address
 * (undefined, absolute, thread-local, section and file symbols), and labels without name. A symbol whose
 * size is 0 is kept: it names an address, but never claims bytes.
 *
 * When all are wanted, the string table is copied as it is, and names point into it. When a few addresses are
 * asked for, the numbers of all symbols are looked at, and of the names those that may matter.
 */
#include "detail.h"

#include "../base/cleanup.h"
#include "../base/search.h"
#include "symbols.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SYMBOLS (1u << 25)
/* String tables are copied at most so often: a file can have many symbol tables that name it in turn. */
#define MAX_COPIES 4

static bool is_loaded(const struct mw__image *img, uint64_t addr)
{
	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];

		if (s->type == PT_LOAD && addr >= s->vaddr && addr - s->vaddr < s->memsz)
			return true;
	}
	return false;
}

/* ARM and AArch64 mark stretches of code and data by $a, $d, $x: no names of anything. */
static bool is_marker(const char *name)
{
	return name[0] == '$' && name[1] && (!name[2] || name[2] == '.');
}

static bool is_name(const char *name)
{
	return name && *name && !is_marker(name);
}

/* Sections that are not loaded have symbols, too: glibc keeps texts for linkers at address 0. */
static bool is_in_memory(const struct mw__symtab *t, const struct mw__sym *s)
{
	return !mw__sym_in_section(t, s) || t->elf->sh[s->section].flags & SHF_ALLOC;
}

static bool is_wanted(const struct mw__symtab *t, const struct mw__image *img, const struct mw__sym *s)
{
	int type = ELF64_ST_TYPE(s->info);

	if (s->shndx == SHN_UNDEF || s->shndx == SHN_ABS || !is_in_memory(t, s))
		return false;
	if (type != STT_FUNC && type != STT_OBJECT && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return false;
	return is_loaded(img, s->value);
}

static struct mw__symbol make(const struct mw__sym *s, const char *name)
{
	return (struct mw__symbol){ s->value, s->size, name, ELF64_ST_TYPE(s->info), ELF64_ST_BIND(s->info) };
}

int mw__symbols_add(struct mw__symbols *list, const struct mw__symbol *symbol, struct mw__arena *arena)
{
	size_t len = strlen(symbol->name), used = arena->used;

	if (list->name_bytes + len > list->name_limit)
		return 0;
	const char *name = mw__arena_intern(arena, symbol->name, len);
	struct mw__symbol *s = name ? MW_VEC_PUSH(&list->list) : NULL;

	if (!s)
		return -MW_E_NOMEM;
	list->name_bytes += arena->used > used ? len : 0;
	*s = *symbol;
	s->name = name;
	return 0;
}

/* --------------------------------------------------------------------- all */

/* The string table, ended by a NUL; the one that was copied last is not copied again. */
static int copy_names(const struct mw__symtab *t, struct mw__arena *arena, struct mw__symbols *ret)
{
	uint64_t off = t->str.lazy ? t->str.lazy->off : 0;
	size_t n = t->str.lazy ? t->str.n : 0;

	if (ret->names && ret->names_off == off && ret->n_names == n)
		return 0;
	if (ret->name_bytes + n > MAX_COPIES * t->elf->size)
		n = 0;
	ret->name_bytes += n;
	char *names = mw__arena_alloc(arena, n + 1);

	if (!names)
		return -MW_E_NOMEM;
	if (n && !mw__elf_read(t->elf, off, names, n))
		memset(names, 0, n);
	ret->names = names;
	ret->names_off = off;
	ret->n_names = n;
	return 0;
}

static int read_all(const struct mw__symtab *t, const struct mw__image *img, struct mw__arena *arena,
		    struct mw__symbols *ret)
{
	if (copy_names(t, arena, ret) < 0)
		return -MW_E_NOMEM;
	for (size_t i = 1; i < t->n && i < MAX_SYMBOLS; i++) {
		struct mw__sym s;

		mw__sym_at_nameless(t, i, &s);
		if (s.name_off >= ret->n_names || !is_name(ret->names + s.name_off) || !is_wanted(t, img, &s))
			continue;
		struct mw__symbol *slot = MW_VEC_PUSH(&ret->list);

		if (!slot)
			return -MW_E_NOMEM;
		*slot = make(&s, ret->names + s.name_off);
		ret->any = true;
	}
	return 0;
}

/* --------------------------------------------------------------------- few */

/* The first wanted address at or above addr. */
static size_t first_at(const struct mw__detail_want *w, uint64_t addr)
{
	return MW_FIRST(i, w->n_addrs, w->addrs[i] >= addr);
}

/*
 * Of the symbols between the wanted address before and this one, the greatest address; above it: there is none.
 * False: the table has no symbol at all.
 */
static bool find_nearest(const struct mw__symtab *t, const struct mw__image *img, const struct mw__detail_want *w,
			 uint64_t *nearest)
{
	bool any = false;

	for (size_t k = 0; k < w->n_addrs; k++)
		nearest[k] = UINT64_MAX;
	for (size_t i = 1; i < t->n && i < MAX_SYMBOLS; i++) {
		struct mw__sym s;

		mw__sym_at_nameless(t, i, &s);
		size_t k = first_at(w, s.value);
		bool is_nearer = k < w->n_addrs && (nearest[k] == UINT64_MAX || s.value > nearest[k]);

		if ((any && !is_nearer) || !is_wanted(t, img, &s) || !is_name(mw__strtab_at(t->str, s.name_off)))
			continue;
		any = true;
		if (is_nearer)
			nearest[k] = s.value;
	}
	return any;
}

static int read_few(const struct mw__symtab *t, const struct mw__image *img, const struct mw__detail_want *w,
		    struct mw__arena *arena, struct mw__symbols *ret)
{
	MW_CLEANUP(mw__freep) uint64_t *nearest = malloc(w->n_addrs * sizeof(*nearest));

	if (!nearest)
		return -MW_E_NOMEM;
	ret->any |= find_nearest(t, img, w, nearest);
	/* names share their ends at most, so together they are hardly longer than their table */
	ret->name_limit += 4 * t->str.n + 65536;
	for (size_t i = 1; i < t->n && i < MAX_SYMBOLS; i++) {
		struct mw__sym s;

		mw__sym_at_nameless(t, i, &s);
		size_t k = first_at(w, s.value);

		if (k == w->n_addrs || (w->addrs[k] - s.value >= s.size && nearest[k] != s.value) || !is_wanted(t, img, &s))
			continue;
		const char *name = mw__strtab_at(t->str, s.name_off);
		struct mw__symbol symbol = make(&s, name);

		if (is_name(name) && mw__symbols_add(ret, &symbol, arena) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

int mw__detail_symtab(struct mw_elf *elf, const struct mw__image *img, uint32_t type, const struct mw__detail_want *want,
		      struct mw__arena *arena, struct mw__symbols *ret)
{
	for (size_t i = mw__elf_section_by_type(elf, type, 1); i < elf->n_sh; i = mw__elf_section_by_type(elf, type, i + 1)) {
		struct mw__symtab t;

		if (!mw__symtab_open(elf, i, &t))
			continue;
		mw__lazy_expect(t.raw, 0, t.n);
		if ((want->n_addrs ? read_few(&t, img, want, arena, ret) : read_all(&t, img, arena, ret)) < 0)
			return -MW_E_NOMEM;
	}
	if (!ret->any)
		return 0;
	ret->from = type == SHT_SYMTAB ? ".symtab" : ".dynsym";
	return 1;
}

/* ----------------------------------------------------------------- sorting */

/* Of several names for the same bytes the one that people know comes first. */
static unsigned rank(const struct mw__symbol *s)
{
	unsigned by_bind = s->bind == STB_GLOBAL ? 0 : s->bind == STB_WEAK ? 1 : 2;

	return (s->type == STT_NOTYPE) * 8 + (*s->name == '_' && s->name[1] != 'Z') * 4 + by_bind;
}

static int compare_same(const void *a, const void *b)
{
	const struct mw__symbol *x = a, *y = b;

	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	unsigned rx = rank(x), ry = rank(y);

	return rx != ry ? (int)rx - (int)ry : strcmp(x->name, y->name);
}

#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)

/* By one digit of the address; the order of equal ones stays. */
static void sort_digit(const struct mw__symbol *from, struct mw__symbol *to, size_t n, unsigned shift)
{
	size_t starts[DIGITS] = {}, at = 0;

	for (size_t i = 0; i < n; i++)
		starts[from[i].addr >> shift & (DIGITS - 1)]++;
	for (size_t d = 0; d < DIGITS; d++) {
		size_t count = starts[d];

		starts[d] = at;
		at += count;
	}
	for (size_t i = 0; i < n; i++)
		to[starts[from[i].addr >> shift & (DIGITS - 1)]++] = from[i];
}

int mw__symbols_sort(struct mw__symbols *list)
{
	size_t n = list->list.n;
	uint64_t all = 0;
	MW_CLEANUP(mw__freep) struct mw__symbol *other = malloc((n + 1) * sizeof(*other));
	struct mw__symbol *from = list->list.v, *to = other;

	if (!other)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < n; i++)
		all |= from[i].addr;
	for (unsigned shift = 0; shift < 64 && all >> shift; shift += DIGIT_BITS) {
		struct mw__symbol *sorted = to;

		sort_digit(from, to, n, shift);
		to = from;
		from = sorted;
	}
	if (from != list->list.v)
		memcpy(list->list.v, from, n * sizeof(*from));
	for (size_t i = 0, end; i < n; i = end) {
		struct mw__symbol *first = &list->list.v[i];

		for (end = i + 1; end < n && list->list.v[end].addr == first->addr;)
			end++;
		if (end - i > 1)
			qsort(first, end - i, sizeof(*first), compare_same);
	}
	return 0;
}
