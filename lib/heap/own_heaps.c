/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The private heaps of our own allocator. Their spans lie in its arenas like all others and are met there;
 * the list of heaps gives names, limits and counts, and for each class the requests ever made, whose mean
 * stands for what was asked for in a live object. Tiny objects are told exactly by the bits of their block.
 */
#include "own.h"

#include "../base/size.h"

#include <stdlib.h>
#include <string.h>

static struct mw__own_heap *find(const struct mw__own *own, uint32_t id)
{
	size_t lo = 0, hi = own->heaps.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (own->heaps.v[mid].id == id)
			return &own->heaps.v[mid];
		if (own->heaps.v[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int compare_heaps(const void *a, const void *b)
{
	const struct mw__own_heap *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int compare_means(const void *a, const void *b)
{
	const struct mw__own_means *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int add_heap(struct mw__own_reader *r, const struct mw_heap *h)
{
	struct mw__own_heap *new = MW_VEC_PUSH(&r->own->heaps);
	struct mw__own_means *means = MW_VEC_PUSH(&r->means);

	if (!new || !means)
		return -MW_E_NOMEM;
	*new = (struct mw__own_heap){ .id = h->id, .is_single = h->flags & 1, .limit = h->limit_pages * MW_PAGE_SIZE,
				      .peak = h->pages_peak * MW_PAGE_SIZE, .n_alloc = h->n_large_alloc, .n_free = h->n_free,
				      .requested_ever = h->large_requested_ever, .tiny = h->n_tiny,
				      .counted = h->pages * MW_PAGE_SIZE };
	new->name = *h->name ? mw__arena_strn(&r->w->snap->arena, h->name, strnlen(h->name, sizeof(h->name))) : NULL;
	if (*h->name && !new->name)
		return -MW_E_NOMEM;
	means->id = h->id;
	for (unsigned p = 0; p < MW_N_PARTS; p++) {
		const struct mw_heap_part *k = &h->parts[p];

		means->of[p] = k->n_alloc ? (double)k->requested / (double)k->n_alloc : 0;
		new->n_alloc += k->n_alloc;
		new->requested_ever += k->requested;
	}
	return 0;
}

int mw__own_read_heaps(struct mw__own_reader *r)
{
	struct mw_heap h;

	r->means.n = 0;
	for (uint64_t at = r->region.heaps; at; at = h.next) {
		if (!mw__own_element(r, at, r->region.sizeof_heap, 0, &h, sizeof(h))) {
			r->own->bad_records++;
			break;
		}
		if (h.magic == MW_HEAP_LIVE && add_heap(r, &h) < 0)
			return -MW_E_NOMEM;
	}
	if (r->means.n) {
		qsort(r->own->heaps.v, r->own->heaps.n, sizeof(*r->own->heaps.v), compare_heaps);
		qsort(r->means.v, r->means.n, sizeof(*r->means.v), compare_means);
	}
	return 0;
}

/* ---------------------------------------------------------------- their spans */

/* Bytes asked for by the tiny objects of a span; MW_UNKNOWN when their bits cannot be read. */
static uint64_t tiny_bytes(struct mw__own_reader *r, const struct mw_mspan *s)
{
	struct mw_tiny tiny[MW_SPAN_BITS_WORDS * 64];
	uint64_t sum = 0;

	if (!s->aux || !mw__own_peek(r, s->aux, tiny, s->nelems * sizeof(*tiny)))
		return MW_UNKNOWN;
	for (unsigned i = 0; i < s->nelems; i++) {
		if (!(s->alloc_bits[i / 64] >> (i % 64) & 1))
			continue;
		for (unsigned k = 0, first = 0; k < 16; k++) {
			first = tiny[i].starts >> k & 1 ? k : first;
			sum += tiny[i].ends >> k & 1 ? k + 1 - first : 0;
		}
	}
	return sum;
}

bool mw__own_heap_add(struct mw__own_reader *r, const struct mw_mspan *s, struct mw__own_span *span)
{
	struct mw__own_heap *h = find(r->own, s->site);
	/* of objects class and counts were checked; of a single block nobody looked at them */
	bool noscan = s->flags & MW_SPAN_NOSCAN, objects = s->state == MW_SPAN_PRIVATE;
	uint64_t bytes = (uint64_t)s->npages * MW_PAGE_SIZE, used = objects ? s->used : s->used > 0;
	uint64_t live = used * (objects ? s->elemsize : span->usable);

	if (!h)
		return false;
	span->heap = s->site;
	span->is_noscan = noscan;
	span->is_tiny = objects && s->flags & MW_SPAN_TINY;
	if (span->is_tiny) {
		span->requested = tiny_bytes(r, s);
	} else if (objects && r->own->is_audit) {
		span->requested = mw__own_audited(r, s);
	} else if (objects) {
		double mean = r->means.v[h - r->own->heaps.v].of[s->cls * 2u + noscan];

		span->requested = mw__min((uint64_t)(mean * s->used + 0.5), live);
	}
	h->n_spans++;
	h->bytes += bytes;
	h->objects += used;
	h->live += objects ? live : span->requested;
	h->noscan += noscan ? (objects ? live : span->requested) : 0;
	h->free += objects ? (uint64_t)(s->nelems - s->used) * s->elemsize : 0;
	h->tails += bytes - (objects ? (uint64_t)s->nelems * s->elemsize : span->requested);
	h->tiny_blocks += span->is_tiny ? s->used : 0;
	h->n_large += !objects;
	h->large += objects ? 0 : span->requested;
	h->requested = mw__add(h->requested, span->requested);
	return true;
}
