/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * spans.c - where mspan structures live.
 *
 * A heap of small spans has two bytes of structure for a hundred of memory, and a heap
 * that has shrunk must get them back. So structures come from chunks that begin
 * with counts of what is in use in each of their kernel pages. Those without a live
 * structure are given back with the program's own free pages. Their addresses, and so
 * a late look at a dead span, stay good: it reads as MW_SPAN_DEAD.
 *
 * All under the heap lock.
 */
#include "internal.h"

#define CHUNK_SIZE (256u << 10)
#define N_PAGES (CHUNK_SIZE / KERNEL_PAGE)
#define KEPT 8u /* pages without live structures that stay ready */

struct chunk {
	struct chunk *next; /* on the list of those with room */
	uint64_t room;      /* bit i: page i has an unused structure */
	uint64_t spent;     /* bit i: page i was touched and has no live one */
	struct {
		mspan *free;
		uint32_t n_live, n_fresh; /* in use; used since the page was touched */
	} pages[N_PAGES];
};

_Static_assert(sizeof(struct chunk) <= KERNEL_PAGE / 2, "the header leaves room in its page");

TOGETHER static struct chunk *with_room;
TOGETHER static uint32_t n_spent; /* bits in spent of all chunks */

static struct chunk *new_chunk(void)
{
	struct chunk *k = mw__meta_aligned(CHUNK_SIZE);

	if (k)
		k->room = ~0ULL;
	return k;
}

static void set_spent(struct chunk *k, unsigned page, bool on)
{
	uint64_t bit = 1ULL << page;

	if (page == 0)
		return; /* the header stays */
	n_spent += on - (k->spent >> page & 1);
	k->spent = on ? k->spent | bit : k->spent & ~bit;
}

/* Structures in @page; the first one begins with the header. */
static uint32_t per_page(unsigned page)
{
	return (KERNEL_PAGE - (page ? 0 : sizeof(struct chunk))) / sizeof(mspan);
}

static mspan *span_in(struct chunk *k, unsigned page, uint32_t i)
{
	return (mspan *)(page ? (char *)k + page * KERNEL_PAGE : (char *)(k + 1)) + i;
}

mspan *mw__span_new(void)
{
	struct chunk *k = with_room;
	unsigned page;
	mspan *s;

	if (!k && !(k = with_room = new_chunk()))
		return NULL;
	page = (unsigned)__builtin_ctzll(k->room);
	s = k->pages[page].free;
	if (s)
		k->pages[page].free = s->next;
	else
		s = span_in(k, page, k->pages[page].n_fresh++);
	if (k->pages[page].n_live++ == 0)
		set_spent(k, page, false);
	if (!k->pages[page].free && k->pages[page].n_fresh == per_page(page))
		k->room &= ~(1ULL << page);
	if (!k->room)
		with_room = k->next;
	*s = (mspan){ 0 };
	heap.n_spans_live++;
	return s;
}

void mw__span_delete(mspan *s)
{
	struct chunk *k = (struct chunk *)((uintptr_t)s & ~(uintptr_t)(CHUNK_SIZE - 1));
	unsigned page = (unsigned)(((uintptr_t)s - (uintptr_t)k) / KERNEL_PAGE);

	if (!k->room) {
		k->next = with_room;
		with_room = k;
	}
	k->room |= 1ULL << page;
	s->state = MW_SPAN_DEAD;
	s->next = k->pages[page].free;
	k->pages[page].free = s;
	if (--k->pages[page].n_live == 0)
		set_spent(k, page, true);
	heap.n_spans_live--;
}

static void give_back(struct chunk *k)
{
	while (k->spent) {
		unsigned from = (unsigned)__builtin_ctzll(k->spent), to = from;

		for (; to < N_PAGES && k->spent >> to & 1; to++) {
			set_spent(k, to, false);
			k->pages[to].free = NULL;
			k->pages[to].n_fresh = 0;
		}
		mw__os_purge((char *)k + from * KERNEL_PAGE, (to - from) * KERNEL_PAGE, false);
	}
}

void mw__spans_scavenge(void)
{
	for (struct chunk *k = with_room; k && n_spent > KEPT; k = k->next)
		give_back(k);
}
