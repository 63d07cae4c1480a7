/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Faults of one ring, in the order in which they came. A recorder that faults in a page for every 85 faults that it
 * keeps costs what it measures: behind the first few, pieces are of the size and alignment of huge pages, and ask for
 * them. A piece never moves, for a realloc(3) that grows by moving leaves huge pages behind.
 */
#include "trace.h"

#include "../base/size.h"

#include <stdlib.h>
#include <sys/mman.h>

#define PIECE ((size_t)2 << 20)		/* a huge page of x86-64; where they are larger, none is taken */
#define FIRST 2048u			/* faults of the first piece: most recordings need no other */
#define OTHER (PIECE / sizeof(struct mw__fault))

static void *big(size_t size)
{
	size_t whole = (size + PIECE - 1) & -PIECE;
	void *p = NULL;

	if (whole < size || posix_memalign(&p, PIECE, whole) != 0)
		return NULL;
	(void)madvise(p, whole, MADV_HUGEPAGE);
	return p;
}

struct mw__fault *mw__pile_from(const struct mw__pile *pile, size_t i, size_t *n)
{
	size_t piece = i < FIRST ? 0 : 1 + (i - FIRST) / OTHER, at = i < FIRST ? i : (i - FIRST) % OTHER;

	*n = mw__min((piece ? OTHER : FIRST) - at, pile->n - i);
	return &pile->pieces.v[piece][at];
}

static struct mw__fault *add_piece(struct mw__pile *pile)
{
	struct mw__fault *piece = pile->pieces.n ? big(PIECE) : malloc(FIRST * sizeof(*piece));
	struct mw__fault **slot = piece ? MW_VEC_PUSH(&pile->pieces) : NULL;

	if (!slot) {
		free(piece);
		return NULL;
	}
	*slot = piece;
	return piece;
}

struct mw__fault *mw__pile_room(struct mw__pile *pile, size_t *n)
{
	size_t pieces = pile->pieces.n, last = pieces > 1 ? OTHER : FIRST;
	size_t room = pieces ? FIRST + (pieces - 1) * OTHER - pile->n : 0;

	*n = mw__min(*n, room ? room : pieces ? OTHER : FIRST);
	return room ? pile->pieces.v[pieces - 1] + (last - room) : add_piece(pile);
}

void mw__pile_free(struct mw__pile *pile)
{
	for (size_t i = 0; i < pile->pieces.n; i++)
		free(pile->pieces.v[i]);
	MW_VEC_FREE(&pile->pieces);
	pile->n = 0;
}

struct mw__fault *mw__pile_flat(size_t n)
{
	size_t size = n * sizeof(struct mw__fault);

	return size < PIECE ? malloc(size + 1) : big(size);
}
