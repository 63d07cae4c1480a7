/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The load plan: which mappings the kernel and the dynamic loader will make of a file. */
#ifndef MW_ELF_PLAN_H
#define MW_ELF_PLAN_H

#include "file.h"

enum mw__map_kind { MW__MAP_FILE, MW__MAP_ZERO, MW__MAP_GAP, MW__MAP_RELRO };
extern const char *const mw__map_kinds[4];	/* "file", "zero", "gap", "relro" */

struct mw__mapping {
	uint64_t start, end;	/* addresses of the file, page-rounded */
	uint64_t off;		/* in the file; MW_UNKNOWN for zero parts and gaps */
	uint8_t prot;		/* PF_R, PF_W, PF_X */
	uint8_t kind;
	uint32_t segment;	/* program header it stems from */
	bool is_zero;		/* anonymous (a RELRO part of bss may be) */
};

enum mw__plan_role { MW__PLAN_PROGRAM, MW__PLAN_LOADER, MW__PLAN_LIBRARY, MW__PLAN_NONE };

struct mw__plan {
	MW_VEC(struct mw__mapping) maps;
	enum mw__plan_role role;	/* a guess: programs and the loader have no gaps mapped */
	bool protects_itself;		/* RELRO is left to the program: there is no interpreter to do it */
	uint64_t vsz, file, zero, gaps;	/* bytes of all mappings, by kind */
	uint64_t waste;			/* bytes mapped beyond what the segments ask for, gaps aside */
	uint64_t shared_page;		/* address of the page that .data and .bss share; MW_UNKNOWN */
	uint64_t shared_file;		/* bytes of file contents on it */
	uint64_t page_tables;		/* bytes of page tables to map all of it, at least (x86-64) */
};

/* page is a power of two. maps is malloc'ed: MW_VEC_FREE(). -MW_E_NOMEM. */
MW_MUST_CHECK int mw__elf_plan(struct mw_elf *elf, uint64_t page, struct mw__plan *ret, struct mw_err *err);

#endif
