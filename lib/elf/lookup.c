/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lookup.h"

#include "../base/cleanup.h"
#include "../base/search.h"

#include <gelf.h>
#include <libelf.h>
#include <string.h>

/* Demangling grows without bound for hostile names. */
#define MAX_MANGLED 2000

/* libiberty/demangle.h is not installed everywhere beside the library. */
extern char *cplus_demangle(const char *mangled, int options);
#define DMGL_ANSI (1 << 1)
#define DMGL_AUTO (1 << 8)

static void end_elf(Elf **elf)
{
	if (*elf)
		elf_end(*elf);
}

struct table {
	Elf *elf;
	Elf_Data *data;
	size_t n, strings;
};

static bool open_table(Elf *elf, Elf_Scn *scn, struct table *t)
{
	GElf_Shdr sh;

	if (!gelf_getshdr(scn, &sh) || !sh.sh_entsize)
		return false;
	t->elf = elf;
	t->data = elf_getdata(scn, NULL);
	t->strings = sh.sh_link;
	if (!t->data || !t->data->d_buf)
		return false;
	t->n = t->data->d_size / sh.sh_entsize;
	return true;
}

/* .symtab if there is one, else .dynsym. */
static bool find_table(Elf *elf, struct table *ret)
{
	Elf_Scn *scn = NULL;
	struct table t;
	bool found = false;

	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr sh;

		if (!gelf_getshdr(scn, &sh) || (sh.sh_type != SHT_SYMTAB && sh.sh_type != SHT_DYNSYM))
			continue;
		if ((sh.sh_type == SHT_SYMTAB || !found) && open_table(elf, scn, &t)) {
			*ret = t;
			found = true;
		}
	}
	return found;
}

static bool is_code_or_data(const GElf_Sym *sym)
{
	unsigned type = GELF_ST_TYPE(sym->st_info);

	return sym->st_shndx != SHN_UNDEF && (type == STT_FUNC || type == STT_OBJECT || type == STT_GNU_IFUNC ||
					      type == STT_NOTYPE);
}

struct best {
	uint64_t addr, size;
	uint32_t name;
	bool is_global;
};

static size_t first_at(const uint64_t *addrs, size_t n, uint64_t addr)
{
	return MW_FIRST(i, n, addrs[i] >= addr);
}

/* Of several symbols that hold an address: the one that begins last, then the smaller, then a global one. */
static bool is_better(const struct best *b, const GElf_Sym *sym)
{
	if (!b->size || sym->st_value != b->addr)
		return !b->size || sym->st_value > b->addr;
	if (sym->st_size != b->size)
		return sym->st_size < b->size;
	return !b->is_global && GELF_ST_BIND(sym->st_info) != STB_LOCAL;
}

static void match(const struct table *t, const uint64_t *addrs, size_t n, struct best *best)
{
	for (size_t i = 0; i < t->n && i < INT32_MAX; i++) {
		GElf_Sym sym;

		if (!gelf_getsym(t->data, (int)i, &sym) || !sym.st_size || !is_code_or_data(&sym))
			continue;
		for (size_t k = first_at(addrs, n, sym.st_value); k < n && addrs[k] - sym.st_value < sym.st_size; k++)
			if (is_better(&best[k], &sym))
				best[k] = (struct best){ sym.st_value, sym.st_size, sym.st_name,
							 GELF_ST_BIND(sym.st_info) != STB_LOCAL };
	}
}

static const char *name_of(const struct table *t, uint32_t name, struct mw__arena *arena)
{
	const char *raw = elf_strptr(t->elf, t->strings, name);

	if (!raw || !*raw)
		return mw__arena_str(arena, "?");
	MW_CLEANUP(mw__freep) char *plain = raw[0] == '_' && raw[1] != '_' && strlen(raw) < MAX_MANGLED ?
						    cplus_demangle(raw, DMGL_ANSI | DMGL_AUTO) : NULL;

	return mw__arena_str(arena, plain ? plain : raw);
}

/* The symbols found, once each; a later one that overlaps its forerunner shortens that. */
static int gather(const struct table *t, const struct best *best, size_t n, struct mw__arena *arena,
		  const struct mw__fault_symbol **ret, uint32_t *n_ret)
{
	struct mw__fault_symbol *list = mw__arena_array(arena, n ? n : 1, sizeof(*list));
	uint32_t used = 0;

	if (!list)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct mw__fault_symbol *last = used ? &list[used - 1] : NULL;

		if (!best[i].size || (last && last->addr >= best[i].addr))
			continue;
		if (last && best[i].addr - last->addr < last->size)
			last->size = best[i].addr - last->addr;
		list[used] = (struct mw__fault_symbol){ best[i].addr, best[i].size, name_of(t, best[i].name, arena) };
		if (!list[used++].name)
			return -MW_E_NOMEM;
	}
	*ret = list;
	*n_ret = used;
	return 0;
}

int mw__lookup_addrs(int fd, const uint64_t *addrs, size_t n, struct mw__arena *arena,
		     const struct mw__fault_symbol **ret, uint32_t *n_ret, bool *has)
{
	struct table t;

	elf_version(EV_CURRENT);
	MW_CLEANUP(end_elf) Elf *elf = elf_begin(fd, ELF_C_READ, NULL);

	*has = false;
	if (!elf || elf_kind(elf) != ELF_K_ELF || !find_table(elf, &t))
		return 0;
	*has = true;
	MW_CLEANUP(mw__freep) struct best *best = calloc(n + 1, sizeof(*best));

	if (!best)
		return -MW_E_NOMEM;
	match(&t, addrs, n, best);
	return gather(&t, best, n, arena, ret, n_ret);
}

uint64_t mw__lookup_name(int fd, const char *name)
{
	struct table t;

	elf_version(EV_CURRENT);
	MW_CLEANUP(end_elf) Elf *elf = elf_begin(fd, ELF_C_READ, NULL);

	if (!elf || elf_kind(elf) != ELF_K_ELF || !find_table(elf, &t))
		return MW_UNKNOWN;
	for (size_t i = 0; i < t.n && i < INT32_MAX; i++) {
		GElf_Sym sym;
		const char *s;

		if (!gelf_getsym(t.data, (int)i, &sym) || sym.st_shndx == SHN_UNDEF || !sym.st_value)
			continue;
		s = elf_strptr(t.elf, t.strings, sym.st_name);
		if (s && !strcmp(s, name))
			return sym.st_value;
	}
	return MW_UNKNOWN;
}
