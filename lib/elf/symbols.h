/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Symbol tables: of sections, or the dynamic one through PT_DYNAMIC. */
#ifndef MW_ELF_SYMBOLS_H
#define MW_ELF_SYMBOLS_H

#include "file.h"

struct mw__symtab {
	struct mw_elf *elf;
	const char *name;	/* of the section, or "PT_DYNAMIC" */
	const char *count_from;	/* what gave the number of symbols */
	size_t section;		/* its index, or n_sh */
	uint64_t off;
	bool is_dynamic;
	struct mw__lazy *raw;	/* Elf32_Sym or Elf64_Sym */
	size_t n;
	struct mw__strtab str;
	struct mw__lazy *xindex;	/* uint32_t, SHT_SYMTAB_SHNDX */
	size_t n_xindex;
	struct mw__lazy *versym;	/* uint16_t */
	size_t n_versym;
};

struct mw__sym {
	const char *name;	/* NULL: its offset is outside the string table */
	uint64_t name_off, value, size;
	uint8_t info, other;
	uint16_t shndx;		/* as in the file */
	uint32_t section;	/* after SHT_SYMTAB_SHNDX; as shndx for reserved numbers */
};

/* False when it cannot be read; the reason is among the findings. */
bool mw__symtab_open(struct mw_elf *elf, size_t section, struct mw__symtab *ret);
bool mw__symtab_open_dynamic(struct mw_elf *elf, struct mw__symtab *ret);
/* The dynamic symbols by whichever road works, sections first. */
bool mw__symtab_open_dynsym(struct mw_elf *elf, struct mw__symtab *ret);

/* All of it but its name, which is read from elsewhere in the file. */
static inline void mw__sym_at_nameless(const struct mw__symtab *t, size_t i, struct mw__sym *s)
{
	if (t->elf->lay.is64) {
		const Elf64_Sym *e = mw__lazy_at(t->raw, i);

		*s = (struct mw__sym){ NULL, e->st_name, e->st_value, e->st_size, e->st_info, e->st_other,
				       e->st_shndx, e->st_shndx };
	} else {
		const Elf32_Sym *e = mw__lazy_at(t->raw, i);

		*s = (struct mw__sym){ NULL, e->st_name, e->st_value, e->st_size, e->st_info, e->st_other,
				       e->st_shndx, e->st_shndx };
	}
	if (s->shndx == SHN_XINDEX && i < t->n_xindex)
		s->section = *(const uint32_t *)mw__lazy_at(t->xindex, i);
}

static inline void mw__sym_at(const struct mw__symtab *t, size_t i, struct mw__sym *s)
{
	mw__sym_at_nameless(t, i, s);
	s->name = mw__strtab_at(t->str, s->name_off);
}

/* Its version number, with the bit that hides it. i < n_versym. */
static inline uint16_t mw__sym_version(const struct mw__symtab *t, size_t i)
{
	return *(const uint16_t *)mw__lazy_at(t->versym, i);
}

/* Names lie anywhere in the string table: ask the memory for one early that comes soon. */
static inline void mw__sym_prefetch(const struct mw__symtab *t, size_t i)
{
	if (i >= t->n)
		return;
	const void *e = mw__lazy_at(t->raw, i);
	uint32_t off = t->elf->lay.is64 ? ((const Elf64_Sym *)e)->st_name : ((const Elf32_Sym *)e)->st_name;

	if (off < t->str.n) {
		__builtin_prefetch(t->str.p + off);
		__builtin_prefetch(t->str.p + off + 64);	/* C++ names are long */
	}
}

/* The section of a symbol is a real one. */
static inline bool mw__sym_in_section(const struct mw__symtab *t, const struct mw__sym *s)
{
	return s->section && s->section < t->elf->n_sh && (s->shndx < SHN_LORESERVE || s->shndx == SHN_XINDEX);
}
/* Its name, or that of its section if it stands for one; "" when it has none, NULL when it is wild. */
const char *mw__sym_name(const struct mw__symtab *t, const struct mw__sym *s);

#endif
