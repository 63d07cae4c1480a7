/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Walkers: they find the owners of anonymous memory by reading the target's own records through
 * model/mem.h, and add a claim for each range with the rule that proves it. Shape alone (a size, a
 * neighbour) is never proof: a Go heap looks exactly like a glibc arena.
 */
#ifndef MW_HEAP_HEAP_H
#define MW_HEAP_HEAP_H

#include "../model/mem.h"
#include "../model/snapshot.h"

/* Which of two claims on the same range wins. */
enum mw__claim_priority {
	MW__CLAIM_GUESS = 5,	/* by the kind of program only */
	MW__CLAIM_SHAPE = 10,	/* by size and neighbours only */
	MW__CLAIM_BSS = 20,
	MW__CLAIM_BRK = 30,
	MW__CLAIM_RUNTIME = 40,	/* by address range of a recognised runtime */
	MW__CLAIM_RECORD = 50,	/* by a record read from the target */
	MW__CLAIM_STACK = 60,
};

struct mw__walk {
	struct mw_snapshot *snap;
	const struct mw__mem *mem;
	uint64_t page_size;
	uint64_t held;	/* a core file: bytes of memory that it has */
	bool is_copy;	/* a core file: reading disturbs nobody, and gdb lists inaccessible memory as readable */
};

/* Stacks and guards of threads, from their thread descriptors and stack pointers. */
MW_MUST_CHECK int mw__heap_threads(const struct mw__walk *walk);
/* Arenas of glibc's malloc, from their heap headers; large blocks from their chunk headers. */
MW_MUST_CHECK int mw__heap_glibc(const struct mw__walk *walk);
/* The brk heap of a core, which has no name there. */
MW_MUST_CHECK int mw__heap_brk(const struct mw__walk *walk);
/* What Go's runtime reserved: heap arenas, page summaries, index, arena map. */
MW_MUST_CHECK int mw__heap_go(const struct mw__walk *walk);

/* Our own allocator: what is inside goes to snap->own, and a claim to each range. */
MW_MUST_CHECK int mw__heap_own(const struct mw__walk *walk);

/* Add a claim. rule must be a constant; detail is copied (NULL allowed). */
MW_MUST_CHECK int mw__claim(struct mw_snapshot *snap, uint64_t start, uint64_t end, enum mw__owner owner,
			    enum mw__certainty certainty, enum mw__claim_priority priority, const char *rule,
			    const char *detail);

#endif
