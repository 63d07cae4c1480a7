/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relocation tables of sections, or those that PT_DYNAMIC names: REL, RELA and RELR. */
#ifndef MW_ELF_RELOCS_H
#define MW_ELF_RELOCS_H

#include "symbols.h"

enum mw__reltab_kind { MW__REL, MW__RELA, MW__RELR };

struct mw__reltab {
	struct mw_elf *elf;
	enum mw__reltab_kind kind;
	const char *name;	/* section, or "DT_RELA", "DT_JMPREL", ... */
	size_t section;		/* index, or n_sh */
	uint64_t off;
	struct mw__elf_window raw;
	size_t n;		/* records; words for RELR */
	size_t n_entries;	/* addresses for RELR, else n */
	struct mw__symtab syms;
	bool has_syms;
	/* RELR is decoded in order: */
	size_t word;
	uint64_t bits, next, at;
};

struct mw__rel {
	uint64_t offset, info, type, sym;
	uint64_t types[2];	/* second and third type of 64-bit MIPS */
	int64_t addend;
};

bool mw__reltab_open(struct mw_elf *elf, size_t section, struct mw__reltab *ret);
/* Table i of those PT_DYNAMIC names: 1 opened, 0 not there or unreadable, -1 no such i. */
int mw__reltab_open_dynamic(struct mw_elf *elf, size_t i, struct mw__reltab *ret);
void mw__rel_at(struct mw__reltab *t, size_t i, struct mw__rel *ret);
/* The next address of a RELR table. */
uint64_t mw__relr_next(struct mw__reltab *t);

#endif
