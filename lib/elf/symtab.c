/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Functions and variables of a symbol table. Left out: what is not in memory by its own address
 * (undefined, absolute, thread-local, section and file symbols), and labels without name. A symbol whose
 * size is 0 is kept: it names an address, but never claims bytes.
 */
#include "detail.h"

#include <gelf.h>
#include <string.h>

#define MAX_SYMBOLS (1u << 25)

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

/* Sections that are not loaded have symbols, too: glibc keeps texts for linkers at address 0. */
static bool is_in_memory(Elf *elf, const GElf_Sym *sym)
{
	GElf_Shdr sh;
	Elf_Scn *scn = sym->st_shndx < SHN_LORESERVE ? elf_getscn(elf, sym->st_shndx) : NULL;

	return !scn || !gelf_getshdr(scn, &sh) || sh.sh_flags & SHF_ALLOC;
}

static bool is_wanted(Elf *elf, const struct mw__image *img, const GElf_Sym *sym)
{
	int type = GELF_ST_TYPE(sym->st_info);

	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS || !is_in_memory(elf, sym))
		return false;
	if (type != STT_FUNC && type != STT_OBJECT && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return false;
	return is_loaded(img, sym->st_value);
}

static int add_symbol(Elf *elf, const struct mw__image *img, const GElf_Sym *sym, const char *name, struct mw__arena *arena,
		      struct mw__symbols *ret)
{
	if (!is_wanted(elf, img, sym) || !name || !*name || is_marker(name))
		return 0;
	struct mw__symbol s = { sym->st_value, sym->st_size, name, GELF_ST_TYPE(sym->st_info), GELF_ST_BIND(sym->st_info) };

	return mw__symbols_add(ret, &s, arena);
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

static int read_table(Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh, const struct mw__image *img,
		      struct mw__arena *arena, struct mw__symbols *ret)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t n = data && data->d_buf && sh->sh_entsize ? data->d_size / sh->sh_entsize : 0;
	GElf_Shdr names;

	/* names share their ends at most, so together they are hardly longer than their table */
	if (n && gelf_getshdr(elf_getscn(elf, sh->sh_link), &names))
		ret->name_limit += 4 * names.sh_size + 65536;

	for (size_t i = 1; i < n && i < MAX_SYMBOLS; i++) {
		GElf_Sym sym;

		if (!gelf_getsym(data, (int)i, &sym))
			break;
		if (add_symbol(elf, img, &sym, elf_strptr(elf, sh->sh_link, sym.st_name), arena, ret) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

int mw__detail_symtab(Elf *elf, const struct mw__image *img, uint32_t type, struct mw__arena *arena,
		      struct mw__symbols *ret)
{
	for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
		GElf_Shdr sh;

		if (!gelf_getshdr(scn, &sh) || sh.sh_type != type)
			continue;
		if (read_table(elf, scn, &sh, img, arena, ret) < 0)
			return -MW_E_NOMEM;
	}
	if (!ret->list.n)
		return 0;
	ret->from = type == SHT_SYMTAB ? ".symtab" : ".dynsym";
	return 1;
}
