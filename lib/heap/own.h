/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside the walker of our own allocator's heap:
 *   own_find.c    from the images to the region; reading memory that was never touched as zero
 *   own.c         the books: classes, threads, sites, counters, and whether they stood still
 *   own_spans.c   arenas, spans and free pages
 *   own_heaps.c   private heaps
 *   own_claim.c   who owns which range
 */
#ifndef MW_HEAP_OWN_H
#define MW_HEAP_OWN_H

#include "../alloc/abi.h"
#include "../model/own.h"
#include "heap.h"

/* Mean requests of the span classes of a private heap. */
struct mw__own_means {
	uint32_t id;
	double of[MW_N_PARTS];
};

struct mw__own_reader {
	const struct mw__walk *w;
	struct mw__own *own;
	struct mw_region region;
	uint64_t at;		/* its address */
	const char *trouble;	/* the first thing that could not be read, or NULL */
	uint64_t left;		/* what this reading may still cost: see own_find.c */
	uint64_t last_page;	/* that was read from */
	MW_VEC(struct mw__own_means) means;	/* in the order of own->heaps */
};

/* Copy memory of the target; anonymous pages that were never touched read as zero. */
bool mw__own_peek(struct mw__own_reader *r, uint64_t addr, void *buf, size_t size);
/* Element i of a table, or of an array with this stride; at most size bytes, the rest becomes zero. */
bool mw__own_element(struct mw__own_reader *r, uint64_t addr, uint64_t stride, uint64_t i, void *buf, size_t size);
/* Take so much of what the reading may cost; false when nothing is left, from then on. */
bool mw__own_spend(struct mw__own_reader *r, uint64_t cost);
/* The region in one of the images: 1 found, 0 none, negative error. Sets at and region. */
int mw__own_find(struct mw__own_reader *r);

/* The private heaps, before the spans; what one of them asked for in a span; and where a span belongs. */
MW_MUST_CHECK int mw__own_read_heaps(struct mw__own_reader *r);
bool mw__own_heap_add(struct mw__own_reader *r, const struct mw_mspan *s, struct mw__own_span *span);
/* Bytes asked for by the objects of a span, as audit mode keeps them; MW_UNKNOWN. */
uint64_t mw__own_audited(struct mw__own_reader *r, const struct mw_mspan *s);

/* Fill arenas, spans, frees, metas and what the classes have in spans. */
MW_MUST_CHECK int mw__own_read_spans(struct mw__own_reader *r);
MW_MUST_CHECK int mw__own_claim(const struct mw__walk *w, const struct mw__own *own);

#endif
