/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The utilisation bridge of a heap whose books were read: from the bytes that a program asked for, step by
 * step, to its VSZ. Each total is the total before it plus the steps in between, which are taken from
 * different sources: the allocator's books, the mappings, and the states of their pages.
 */
#ifndef MW_EXPLAIN_HEAP_H
#define MW_EXPLAIN_HEAP_H

#include "explain.h"

/* The totals, in order. */
enum mw__bridge_total {
	MW__B_REQUESTED, MW__B_ALLOCATED, MW__B_SPANS, MW__B_ARENAS, MW__B_MAPPED, MW__B_HEAP_RESIDENT, MW__B_VSZ,
	MW__N_TOTALS
};

/* The steps that lead to a total, in order. */
enum mw__bridge_step {
	MW__S_WASTE,
	MW__S_CACHED, MW__S_TRANSFER, MW__S_FREE_IN_SPANS, MW__S_TAILS, MW__S_CACHED_RUNS, MW__S_KEPT,
	MW__S_DIRTY, MW__S_GIVEN_BACK, MW__S_FRESH, MW__S_ODD,
	MW__S_META,
	MW__S_SPANS_ABSENT, MW__S_FREE_ABSENT, MW__S_BACK_ABSENT, MW__S_FRESH_ABSENT, MW__S_META_ABSENT, MW__S_UNPLACED,
	MW__S_REST_RESIDENT, MW__S_NOT_RESIDENT,
	MW__N_STEPS
};

struct mw__bridge_info {
	const char *id, *text;
	enum mw__bridge_total to;	/* of a step: the total that it leads to */
};
extern const struct mw__bridge_info mw__bridge_totals[MW__N_TOTALS], mw__bridge_steps[MW__N_STEPS];

/* One kind of range by two roads: the allocator's books, and the mappings with their page states. */
struct mw__bridge_road {
	enum mw__owner owner;
	uint64_t books;		/* bytes that the books place */
	uint64_t mapped;	/* bytes that mappings have there */
	uint64_t resident;	/* of them; MW_UNKNOWN without page states */
};
#define MW__BRIDGE_ROADS 6

struct mw__bridge {
	uint64_t totals[MW__N_TOTALS];	/* MW_UNKNOWN from the first one on that needs page states, without them */
	int64_t steps[MW__N_STEPS];
	bool requested_exact;
	bool private_objects;		/* some requests are those of private heaps, by their means */
	uint64_t requested_min, requested_max;
	struct mw__bridge_road roads[MW__BRIDGE_ROADS];
	uint64_t books, mapped;		/* sums of the roads; equal when all ranges are where the books say */
	uint64_t in_flight;		/* objects that the books may be off by; 0 when they stood still */
};

MW_MUST_CHECK int mw__bridge_make(const struct mw_snapshot *snap, const struct mw_account *acc, struct mw__bridge *ret);

#endif
