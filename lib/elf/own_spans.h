/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Stretches of a file that somebody can name: symbols, Go's functions, functions that only have an
 * unwind record, compile units, source lines. They may overlap; levels say who comes first.
 */
#ifndef MW_ELF_OWN_SPANS_H
#define MW_ELF_OWN_SPANS_H

#include "file.h"

struct mw__span {
	uint64_t start, size;	/* addresses, or offsets in the file */
	uint32_t name;		/* index into names */
	uint8_t level;		/* spans are sorted by it; lower ones are served first */
	bool in_file;		/* start is an offset: it has no place in memory of its own */
};

struct mw__spans {
	MW_VEC(struct mw__span) v;
	MW_VEC(const char *) names;	/* live as long as the file is open */
	const char *from;		/* what gave the names, or NULL */
	bool failed;			/* memory ran out */
};

/*
 * by: MW_ELF_BY_SYMBOL, MW_ELF_BY_UNIT, MW_ELF_BY_FILE_LINE; others have no spans. each_frame: functions
 * without a symbol are named one by one, by their address. What is amiss becomes findings.
 * Return: 0, -MW_E_NOMEM.
 */
MW_MUST_CHECK int mw__spans_collect(struct mw_elf *elf, enum mw_elf_sizes by, bool each_frame, struct mw__spans *ret,
				    struct mw_err *err);
void mw__spans_deinit(struct mw__spans *s);
/* The name of what is at this address, and how far into it that is; NULL without one. */
const char *mw__spans_find(const struct mw__spans *s, uint64_t addr, uint64_t *into);

#endif
