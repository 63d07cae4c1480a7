/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Stretches: an extent cut into ranges of pages that share one state. They cover the extent without
 * gaps, and their bytes by state are the extent's tally: what account.c sums up per cause, here with its
 * place.
 */
#ifndef MW_EXPLAIN_STRETCH_H
#define MW_EXPLAIN_STRETCH_H

#include "explain.h"

enum mw__where {
	MW__AT_ANON,		/* resident, anonymous */
	MW__AT_COPY,		/* resident, a private copy of a file page */
	MW__AT_FILE,		/* resident, page of a file */
	MW__AT_SHMEM,		/* resident, shared memory */
	MW__AT_HUGETLB,		/* present, not in RSS */
	MW__AT_ZERO,		/* the shared zero page */
	MW__AT_SWAP,
	MW__AT_GUARD,		/* guard or other marker */
	MW__AT_CACHED,		/* not mapped here, in the page cache */
	MW__AT_UNCACHED,	/* not in the page cache */
	MW__AT_CACHE_UNKNOWN,	/* not mapped here; whether this page is cached is not known */
	MW__AT_BEYOND,		/* beyond the end of the file */
	MW__AT_ABSENT,		/* anonymous: never touched, or given back */
	MW__AT_CLOSED,		/* no access allowed, and no page */
	MW__AT_UNREAD,		/* page states could not be read */
	MW__N_AT
};

struct mw__where_info {
	const char *id;		/* in JSON */
	const char *text;	/* in legends */
	char mark;		/* in maps */
	bool is_resident;	/* counted in RSS */
};
extern const struct mw__where_info mw__wheres[MW__N_AT];

struct mw__stretch {
	uint64_t start, end;
	enum mw__where where;
	bool is_huge;		/* mapped by a huge entry */
};

struct mw__stretches {
	const struct mw_snapshot *snap;
	const struct mw__extent *x;
	uint64_t at;
	uint32_t run, cache;	/* next ones of the mapping */
	uint64_t zero_left, marker_left;	/* bytes that no source places: taken from the lowest address on */
	uint64_t eof;		/* address behind the last page of the file, or UINT64_MAX */
	bool is_swapped;	/* shared memory of which every page that is nowhere else is swapped out: no holes */
};

void mw__stretches_init(struct mw__stretches *it, const struct mw_snapshot *snap, const struct mw__extent *x);
bool mw__stretches_next(struct mw__stretches *it, struct mw__stretch *ret);

#endif
