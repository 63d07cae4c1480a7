/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The instructions of an unwind record: how to find the caller's registers from each address on. */
#ifndef MW_ELF_CFI_H
#define MW_ELF_CFI_H

#include "unwind.h"

#define MW__CFI_TEXT 1024

/* Walks the instructions of one record. */
struct mw__cfi {
	const struct mw__frames *t;
	uint64_t at, end;	/* in the table */
	uint64_t loc;		/* address of the code that the next instruction is about */
	uint64_t code_align;
	int64_t data_align;
};

struct mw__cfi_insn {
	uint64_t off;			/* in the table */
	uint64_t loc;			/* where it holds from */
	const char *operation;		/* "DW_CFA_offset" */
	char operands[MW__CFI_TEXT];	/* "r6 (rbp) at cfa-16", or "" */
};

/* The record that mw__frames_next() gave last. */
void mw__cfi_init(const struct mw__frames *t, const struct mw__frame_record *f, struct mw__cfi *ret);
/* The next instruction; several of padding are one. False at the end. */
bool mw__cfi_next(struct mw__cfi *c, struct mw__cfi_insn *ret);

#endif
