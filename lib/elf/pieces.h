/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is in each mapping of a load plan: the plan cut where segments begin, where their part of the file ends, and where they end. */
#ifndef MW_ELF_PIECES_H
#define MW_ELF_PIECES_H

#include "plan.h"

enum mw__piece_kind {
	MW__PIECE_SEGMENT,	/* bytes of the file that the segment asks for */
	MW__PIECE_BEFORE,	/* of the segment's first page, in the file before it */
	MW__PIECE_AFTER,	/* of its last page, in the file behind it */
	MW__PIECE_CLEARED,	/* of the file's last page, cleared because .bss begins there */
	MW__PIECE_ZERO,		/* anonymous memory that the segment asks for */
	MW__PIECE_ROUNDING,	/* anonymous memory up to the next page */
	MW__PIECE_GAP,		/* reserved, without access */
};
#define MW__N_PIECES 7
extern const char *const mw__piece_kinds[MW__N_PIECES];

struct mw__piece {
	uint64_t start, end;	/* addresses */
	uint64_t off;		/* in the file; MW_UNKNOWN where there is no file, or its bytes are not seen */
	size_t mapping;		/* index into the plan's */
	size_t segment;		/* program header, or n_ph */
	enum mw__piece_kind kind;
};

struct mw__pieces {
	MW_VEC(struct mw__piece) v;
	bool too_many;		/* more segments than are looked at: v is empty */
};

/* They cover the mappings of plan exactly, in their order. MW_VEC_FREE(&ret->v). -MW_E_NOMEM. */
MW_MUST_CHECK int mw__plan_pieces(const struct mw_elf *elf, const struct mw__plan *plan, struct mw__pieces *ret,
				  struct mw_err *err);

#endif
