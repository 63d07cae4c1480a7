/* SPDX-License-Identifier: GPL-3.0-or-later */
/* private.h - what the files of private heaps share: private.c the objects, private_walk.c looking at them,
 * private_sample.c the samples of them. */
#ifndef MW_ALLOC_PRIVATE_H
#define MW_ALLOC_PRIVATE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "memwhy-malloc.h" /* before internal.h, whose "heap" is a macro */

#include "internal.h"

typedef struct mw_heap private_heap;
typedef struct mw_heap_part part;

#define TINY_BLOCK 16u
#define TINY_CLASS 2u /* of 16 bytes */

/*
 * Lock a heap for a call of the program. False, after the error was told, when it is none that lives. A heap
 * for one thread has no lock, but its number tells readers outside that it changes.
 */
bool mw__private_enter(private_heap *h);
void mw__private_leave(private_heap *h);

/* The span of this heap that holds @p, and which of its blocks; NULL if none. */
mspan *mw__private_span(const private_heap *h, uintptr_t p, unsigned *idx, uint32_t *off);

/*
 * Samples, in a locked heap. Count a request; the object @p of it is sampled when the next point fell into it.
 * An object goes, or is resized in place (its span has MW_SPAN_HAS_SAMPLES); all go. The site of one, plus 1.
 */
void mw__private_sample(private_heap *h, void *p, size_t n);
void mw__private_unsample(private_heap *h, mspan *s, const void *p);
void mw__private_resample(private_heap *h, uint64_t old_span, const void *old, const mspan *s, const void *p, size_t n);
void mw__private_unsample_all(private_heap *h);
uint32_t mw__private_site(const private_heap *h, const mspan *s, const void *p);

static inline struct mw_tiny *tiny_of(const mspan *s, unsigned idx)
{
	return (struct mw_tiny *)s->aux + idx;
}

/* The first tiny object at or behind byte @from of a block: its start, and *last its last byte. 16: none. */
static inline unsigned tiny_next(const struct mw_tiny *t, unsigned from, unsigned *last)
{
	unsigned starts = from < TINY_BLOCK ? t->starts >> from << from : 0, at;

	if (!starts)
		return TINY_BLOCK;
	at = (unsigned)__builtin_ctz(starts);
	*last = (unsigned)__builtin_ctz(((unsigned)t->ends >> at << at) | 1u << TINY_BLOCK);
	return at;
}

/* The books of audit are those of a span of objects that are not tiny. */
static inline bool span_is_audited(const mspan *s)
{
	return s->cls && s->aux && !(s->flags & MW_SPAN_TINY);
}

/* A block of a span: where it is, and what of it may be used. */
static inline uint64_t block_start(const mspan *s, unsigned idx)
{
	return s->cls ? s->base + (uint64_t)idx * s->elemsize : (uint64_t)(uintptr_t)mw__span_block(s);
}

static inline size_t block_length(const mspan *s, unsigned idx)
{
	if (span_is_audited(s))
		return mw__audit_usable(s, (void *)block_start(s, idx));
	if (s->cls)
		return s->elemsize;
	return option(MW_OPT_AUDIT) ? s->requested : mw__span_usable(s);
}

static inline bool span_is_private(const mspan *s)
{
	return s->state >= MW_SPAN_PRIVATE;
}

#endif
