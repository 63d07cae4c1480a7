/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ownership: which part of the format each byte of the file, and each byte of the mappings
 * it will get, belongs to. Every byte has exactly one owner, so each sum is the size of the
 * file, or the VSZ of the load plan, whatever the headers say.
 */
#ifndef MW_ELF_OWN_H
#define MW_ELF_OWN_H

#include "file.h"

struct mw__owned {
	const char *name;	/* "[ELF header]", ".text", "main", "[padding]", ... */
	uint64_t file, memory;	/* bytes */
};

struct mw__ownership {
	MW_VEC(struct mw__owned) v;	/* largest file + memory first */
	uint64_t file, memory;		/* sums: st_size and VSZ */
	uint64_t contested;		/* bytes of the file that more than one claimed */
	const char *from;		/* what gave the names, or NULL */
};

/* each_frame: functions without a symbol one by one, by their address. */
MW_MUST_CHECK int mw__elf_own(struct mw_elf *elf, enum mw_elf_sizes by, uint64_t page, bool each_frame,
			      struct mw__ownership *ret, struct mw_err *err);
void mw__ownership_deinit(struct mw__ownership *o);

#endif
