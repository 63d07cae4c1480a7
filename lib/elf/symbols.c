/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening a symbol table brings its strings, its extended section indexes and its version
 * numbers along, each checked on its own: one that is damaged costs its column only.
 * (gABI chapter 4, "Symbol Table".)
 */
#include "symbols.h"

#include "../base/size.h"
#include "dynamic.h"

/* A table of elements that belongs to symbol table section: the one whose sh_link names it. */
static struct mw__lazy *find_linked(struct mw_elf *elf, uint32_t type, size_t section, size_t elem, Elf_Type t, size_t *n)
{
	for (size_t i = mw__elf_section_by_type(elf, type, 1); i < elf->n_sh;
	     i = mw__elf_section_by_type(elf, type, i + 1)) {
		uint64_t bytes = mw__elf_section_bytes(elf, i);

		if (elf->sh[i].link != section || bytes < elem)
			continue;
		struct mw__lazy *l = mw__lazy_open(elf, elf->sh[i].off, bytes / elem, elem, t, mw__elf_section_name(elf, i));

		*n = l ? l->n : 0;
		return l;
	}
	return NULL;
}

static void link_strings(struct mw_elf *elf, struct mw__symtab *t)
{
	const struct mw__shdr *s = &elf->sh[t->section];

	t->str.p = "";
	if (!s->link || s->link >= elf->n_sh || elf->sh[s->link].type == SHT_NOBITS) {
		mw__elf_diag(elf, MW__ELF_BAD, "sh_link", s->link,
			     mw__elf_field_off(elf, mw__elf_sh_off(elf, t->section), MW__SH(link)), elf->n_sh,
			     "%s: sh_link %llu names no string table", t->name, (unsigned long long)s->link);
		return;
	}
	if (elf->sh[s->link].type != SHT_STRTAB)
		mw__elf_diag(elf, MW__ELF_BAD, "sh_link", s->link,
			     mw__elf_field_off(elf, mw__elf_sh_off(elf, t->section), MW__SH(link)), SHT_STRTAB,
			     "%s: section %llu, which sh_link names, is no string table", t->name,
			     (unsigned long long)s->link);
	t->str = mw__elf_strtab(elf, elf->sh[s->link].off, elf->sh[s->link].size, "string table");
}

/* An object has a relocation table for each of its sections, and all name one symbol table. */
struct mw__symtab_known {
	struct mw__symtab_known *next;
	struct mw__symtab tab;
};

static bool find_known(const struct mw_elf *elf, size_t section, struct mw__symtab *ret)
{
	for (const struct mw__symtab_known *k = elf->symtabs; k; k = k->next)
		if (k->tab.section == section) {
			*ret = k->tab;
			return true;
		}
	return false;
}

static void remember(struct mw_elf *elf, const struct mw__symtab *t)
{
	struct mw__symtab_known *k = mw__arena_alloc(&elf->arena, sizeof(*k));

	if (k) {
		*k = (struct mw__symtab_known){ elf->symtabs, *t };
		elf->symtabs = k;
	}
}

bool mw__symtab_open(struct mw_elf *elf, size_t section, struct mw__symtab *ret)
{
	if (find_known(elf, section, ret))
		return true;

	const struct mw__shdr *s = &elf->sh[section];
	uint64_t size = mw__raw_size_sym(elf->lay.is64), bytes = mw__elf_section_bytes(elf, section);
	struct mw__symtab t = { .elf = elf, .name = mw__elf_section_name(elf, section), .section = section,
				.off = s->off, .is_dynamic = s->type == SHT_DYNSYM, .count_from = "section" };

	if (s->type == SHT_NOBITS)
		return false;
	if (s->entsize != size && s->size)
		mw__elf_diag(elf, MW__ELF_BAD, "sh_entsize", s->entsize,
			     mw__elf_field_off(elf, mw__elf_sh_off(elf, section), MW__SH(entsize)), size,
			     "%s: sh_entsize is %llu, must be %llu", t.name, (unsigned long long)s->entsize,
			     (unsigned long long)size);
	if (bytes < s->size)
		mw__elf_diag(elf, MW__ELF_BAD, "sh_size", s->size,
			     mw__elf_field_off(elf, mw__elf_sh_off(elf, section), MW__SH(size)), bytes,
			     "%s: %#llx bytes, of which %#llx are in the file", t.name, (unsigned long long)s->size,
			     (unsigned long long)bytes);
	t.n = bytes / size;
	t.raw = mw__lazy_open(elf, s->off, t.n, size, ELF_T_SYM, t.name);
	if (!t.raw)
		return false;
	link_strings(elf, &t);
	t.xindex = find_linked(elf, SHT_SYMTAB_SHNDX, section, 4, ELF_T_WORD, &t.n_xindex);
	if (t.is_dynamic)
		t.versym = find_linked(elf, SHT_GNU_versym, section, 2, ELF_T_HALF, &t.n_versym);
	remember(elf, &t);
	*ret = t;
	return true;
}

bool mw__symtab_open_dynamic(struct mw_elf *elf, struct mw__symtab *ret)
{
	struct mw__elf_dynamic *dyn = mw__elf_dynamic(elf);
	struct mw__symtab t = { .elf = elf, .name = "PT_DYNAMIC", .section = elf->n_sh, .is_dynamic = true };
	uint64_t left, off;

	t.n = mw__dyn_sym_count(elf, &t.count_from);
	if (!t.n || !mw__dyn_off(elf, DT_SYMTAB, &t.off, &left))
		return false;
	t.raw = mw__lazy_open(elf, t.off, t.n, mw__raw_size_sym(elf->lay.is64), ELF_T_SYM, "dynamic symbols");
	t.str = dyn->str;
	if (mw__dyn_off(elf, DT_VERSYM, &off, &left)) {
		t.n_versym = mw__min(t.n, left / 2);
		t.versym = mw__lazy_open(elf, off, t.n_versym, 2, ELF_T_HALF, "DT_VERSYM");
	}
	if (!t.versym)
		t.n_versym = 0;
	if (!t.raw)
		return false;
	*ret = t;
	return true;
}

bool mw__symtab_open_dynsym(struct mw_elf *elf, struct mw__symtab *ret)
{
	size_t i = mw__elf_section_by_type(elf, SHT_DYNSYM, 1);

	if (i < elf->n_sh && mw__symtab_open(elf, i, ret))
		return true;
	return mw__symtab_open_dynamic(elf, ret);
}

const char *mw__sym_name(const struct mw__symtab *t, const struct mw__sym *s)
{
	if ((s->info & 15) == STT_SECTION && !s->name_off && mw__sym_in_section(t, s))
		return mw__elf_section_name(t->elf, s->section);
	if (!s->name && !s->name_off)
		return "";
	return s->name;
}
