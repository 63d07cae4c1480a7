/* SPDX-License-Identifier: GPL-3.0-or-later */
/* private.h - what the files of private heaps share: private.c the objects, private_walk.c looking at them. */
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

static inline bool span_is_private(const mspan *s)
{
	return s->state >= MW_SPAN_PRIVATE;
}

#endif
