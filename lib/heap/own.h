/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside the walker of our own allocator's heap:
 *   own_find.c    from the images to the region; reading memory that was never touched as zero
 *   own.c         the books: classes, threads, sites, counters, and whether they stood still
 *   own_spans.c   arenas, spans and free pages
 *   own_claim.c   who owns which range
 */
#ifndef MW_HEAP_OWN_H
#define MW_HEAP_OWN_H

#include "../alloc/abi.h"
#include "../model/own.h"
#include "heap.h"

struct mw__own_reader {
	const struct mw__walk *w;
	struct mw__own *own;
	struct mw_region region;
	uint64_t at;		/* its address */
	const char *trouble;	/* the first thing that could not be read, or NULL */
};

/* Copy memory of the target; anonymous pages that were never touched read as zero. */
bool mw__own_peek(const struct mw__own_reader *r, uint64_t addr, void *buf, size_t size);
/* Element i of a table, or of an array with this stride; at most size bytes, the rest becomes zero. */
bool mw__own_element(const struct mw__own_reader *r, uint64_t addr, uint64_t stride, uint64_t i, void *buf, size_t size);
/* The region in one of the images: 1 found, 0 none, negative error. Sets at and region. */
int mw__own_find(struct mw__own_reader *r);

/* Fill arenas, spans, frees, metas and what the classes have in spans. */
MW_MUST_CHECK int mw__own_read_spans(struct mw__own_reader *r);
MW_MUST_CHECK int mw__own_claim(const struct mw__walk *w, const struct mw__own *own);

#endif
