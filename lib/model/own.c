/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What must hold in the inside of a heap, whoever filled it in: indexes point to what is there, counts fit
 * into what they count, and sums cannot overflow.
 */
#include "own.h"

#include "../base/size.h"

#include <stddef.h>

#define MAX_PAGES (UINT64_C(1) << 40)	/* of all spans and free runs */
#define MAX_COUNT (UINT64_C(1) << 52)	/* objects, bytes: what sums of 68 classes or 2^21 spans stay far below */

static bool is_power_of_two(uint64_t v)
{
	return v && !(v & (v - 1));
}

static const char *check_class(const struct mw__own_class *c)
{
	if (c->size > (1u << 20) || c->pages > (1u << 20) || c->n_objects > (1u << 20) || c->batch > (1u << 20))
		return "a size class is too large";
	if (c->out > MAX_COUNT >> 20 || c->cached > MAX_COUNT >> 20 || c->transfer > MAX_COUNT >> 20 || c->live > MAX_COUNT >> 20 ||
	    c->sampled > c->live || c->live - c->sampled > c->out || c->n_spans > MAX_COUNT >> 20)
		return "the counts of a size class contradict each other";
	if ((c->requested != MW_UNKNOWN && c->requested > MAX_COUNT) || (c->requested_min != MW_UNKNOWN && c->requested_min > MAX_COUNT) ||
	    (c->requested_max != MW_UNKNOWN && c->requested_max > MAX_COUNT))
		return "what was asked for in a size class is too much";
	return NULL;
}

static const char *check_span(const struct mw__own *own, const struct mw__own_span *s)
{
	uint64_t bytes = s->npages * own->page_size;

	if (s->use >= MW__OWN_USES || s->cls >= MW__OWN_CLASSES || s->base % 4096 || s->base > UINT64_MAX / 2)
		return "the use, class or place of a span is not known";
	if ((s->use == MW__OWN_SMALL || s->use == MW__OWN_PRIVATE) &&
	    (s->used > s->nelems || (uint64_t)s->nelems * own->classes[s->cls].size > bytes))
		return "a span has more objects than fit";
	if (s->usable > bytes || (s->requested != MW_UNKNOWN && s->requested > bytes))
		return "a block is larger than its span";
	return NULL;
}

const char *mw__own_check(const struct mw__own *own)
{
	const char *why = NULL;
	uint64_t pages = 0;

	if (!is_power_of_two(own->page_size) || own->page_size < 4096 || own->page_size > (1u << 24) ||
	    !is_power_of_two(own->arena_size) || own->arena_size < own->page_size || own->arena_size / own->page_size > (1u << 20))
		return "its pages or arenas have no sensible size";
	for (unsigned i = 0; i < MW__OWN_CLASSES && !why; i++)
		why = check_class(&own->classes[i]);
	for (size_t i = 0; i < own->spans.n && !why; i++) {
		why = check_span(own, &own->spans.v[i]);
		pages += own->spans.v[i].npages;
	}
	for (size_t i = 0; i < own->frees.n && !why; i++) {
		if (own->frees.v[i].why >= MW__OWN_FREES || own->frees.v[i].base > UINT64_MAX / 2)
			why = "why a page is free, or where it is, is not known";
		pages += own->frees.v[i].npages;
	}
	for (size_t i = 0; i < own->arenas.n && !why; i++) {
		pages += mw__min(own->arenas.v[i].pages_odd, MAX_PAGES);
		if (own->arenas.v[i].base % own->arena_size || own->arenas.v[i].pages_mapped > own->arena_size / own->page_size)
			why = "an arena is not at its place, or too long";
	}
	for (size_t i = 0; i < own->metas.n && !why; i++)
		if (own->metas.v[i].start > own->metas.v[i].end || own->metas.v[i].end - own->metas.v[i].start > MAX_COUNT)
			why = "a range of metadata ends before it starts";
	for (size_t i = 0; i < own->sites.n && !why; i++)
		if (own->sites.v[i].n_frames > MW__OWN_FRAMES)
			why = "a stack has too many frames";
	return why ? why : pages > MAX_PAGES ? "it has more pages than there is memory" : NULL;
}
