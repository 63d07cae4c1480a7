/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * private_sample.c - samples of objects in private heaps.
 *
 * Points are thrown on the bytes requested of a heap, as sample.c does on those of a
 * thread: a heap has a lock already, so it keeps the distance to the next point itself.
 * A sampled object stays where its size class has it. A record of it stands in a table
 * of chains, by the span; the span is marked, so that a free in any other one looks up
 * nothing.
 */
#include "private.h"

#define FIRST_CHAINS 8u

typedef struct mw_heap_sample sample;

static sample **chain_of(const private_heap *h, uint64_t span)
{
	return &h->chains[(span >> MW_PAGE_SHIFT) * 0x9e3779b97f4a7c15ULL >> 32 & (h->n_chains - 1)];
}

/* Twice as many chains. False: no memory, nothing changed. */
static bool grow(private_heap *h)
{
	uint64_t n = h->n_chains ? 2 * h->n_chains : FIRST_CHAINS;
	sample **old = h->chains, **chains = mw__meta_array(n * sizeof(*chains));
	uint64_t n_old = h->n_chains;

	if (!chains)
		return false;
	memset(chains, 0, n * sizeof(*chains));
	h->chains = chains;
	h->n_chains = n;
	for (uint64_t i = 0; i < n_old; i++)
		for (sample *r = old[i], *next; r; r = next) {
			sample **chain = chain_of(h, r->span);

			next = r->next;
			r->next = *chain;
			*chain = r;
		}
	mw__meta_array_free(old, n_old * sizeof(*old));
	return true;
}

static void add(private_heap *h, mspan *s, void *p, size_t n)
{
	sample *r, **chain;

	if (h->n_samples >= h->n_chains && !grow(h) && !h->n_chains)
		return;
	r = mw__meta_array(sizeof(*r));
	if (!r)
		return;
	*r = (sample){ .addr = (uintptr_t)p, .span = s->base, .requested = n };
	r->site = mw__sample_book(n, (uint64_t)n << MW_PACE_MAX, h->name, &r->stands_for);
	chain = chain_of(h, s->base);
	r->next = *chain;
	*chain = r;
	h->n_samples++;
	s->flags |= MW_SPAN_HAS_SAMPLES;
}

void mw__private_sample(private_heap *h, void *p, size_t n)
{
	unsigned idx;
	uint32_t off;
	mspan *s;

	if (!COUNTED)
		return;
	h->until_sample -= (int64_t)n;
	if (likely(h->until_sample >= 0))
		return;
	h->until_sample = mw__sample_gap(&h->rng);
	if (region.sample_interval && (s = mw__private_span(h, (uintptr_t)p, &idx, &off)))
		add(h, s, p, n);
}

static void drop(private_heap *h, sample *r)
{
	mw__sample_unbook(r->site, r->requested, r->stands_for);
	mw__meta_array_free(r, sizeof(*r));
	h->n_samples--;
}

void mw__private_unsample(private_heap *h, mspan *s, const void *p)
{
	unsigned others = 0;

	for (sample **at = chain_of(h, s->base), *r = *at; r; r = *at) {
		if (r->addr == (uintptr_t)p) {
			*at = r->next;
			drop(h, r);
			continue;
		}
		others += r->span == s->base;
		at = &r->next;
	}
	if (!others)
		s->flags &= (uint8_t)~MW_SPAN_HAS_SAMPLES;
}

/* A large object may have moved, with its span. */
void mw__private_resample(private_heap *h, uint64_t old_span, const void *old, const mspan *s, const void *p, size_t n)
{
	sample **at = chain_of(h, old_span), *r;

	while (*at && (*at)->addr != (uintptr_t)old)
		at = &(*at)->next;
	if (!(r = *at))
		return;
	mw__sample_rebook(r->site, r->requested, n, &r->stands_for, 0);
	*at = r->next;
	*r = (sample){ .addr = (uintptr_t)p, .span = s->base, .requested = n, .stands_for = r->stands_for, .site = r->site };
	at = chain_of(h, s->base);
	r->next = *at;
	*at = r;
}

void mw__private_unsample_all(private_heap *h)
{
	for (uint64_t i = 0; i < h->n_chains; i++)
		for (sample *r = h->chains[i], *next; r; r = next) {
			next = r->next;
			drop(h, r);
		}
	mw__meta_array_free(h->chains, h->n_chains * sizeof(*h->chains));
	h->chains = NULL;
	h->n_chains = 0;
}

uint32_t mw__private_site(const private_heap *h, const mspan *s, const void *p)
{
	const sample *r = s && s->flags & MW_SPAN_HAS_SAMPLES ? *chain_of(h, s->base) : NULL;

	while (r && r->addr != (uintptr_t)p)
		r = r->next;
	return r ? r->site : 0;
}
