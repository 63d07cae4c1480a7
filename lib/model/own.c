/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What must hold in the inside of a heap, whoever filled it in: indexes point to what is there, counts fit
 * into what they count, sums cannot overflow, and what was added up from parts is their sum: the steps of
 * memwhy heap's bridge are taken from both.
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
	if (c->live != mw__sub0(c->out, c->cached + c->transfer) + c->sampled)
		return "the live objects of a size class are not those that are out less those that are kept";
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

/* After the parts were checked. */
static const char *check_class_sums(const struct mw__own *own)
{
	struct {
		uint64_t n_spans, out, sampled;
	} found[MW__OWN_CLASSES] = {};

	for (size_t i = 0; i < own->spans.n; i++) {
		const struct mw__own_span *s = &own->spans.v[i];

		if (s->use == MW__OWN_SMALL) {
			found[s->cls].n_spans++;
			found[s->cls].out += s->used;
		} else if (s->use == MW__OWN_SAMPLED) {
			found[s->cls].sampled++;
		}
	}
	for (unsigned i = 1; i < MW__OWN_CLASSES; i++)
		if (own->classes[i].n_spans != found[i].n_spans || own->classes[i].out != found[i].out ||
		    own->classes[i].sampled != found[i].sampled)
			return "a size class has other objects than its spans";
	return NULL;
}

static const char *check_arena_sums(const struct mw__own *own)
{
	uint64_t sums[MW__OWN_FREES] = {}, runs[MW__OWN_FREES] = {};

	for (size_t i = 0; i < own->arenas.n; i++) {
		const struct mw__own_arena *a = &own->arenas.v[i];
		uint64_t pages = a->pages_used + a->pages_odd;

		for (unsigned k = 0; k < MW__OWN_FREES; k++) {
			pages += a->pages_free[k];
			sums[k] += a->pages_free[k];
		}
		if (pages != a->pages_mapped)
			return "the pages of an arena are not those in use and those that are free";
	}
	for (size_t i = 0; i < own->frees.n; i++)
		runs[own->frees.v[i].why] += own->frees.v[i].npages;
	for (unsigned k = 0; k < MW__OWN_FREES; k++)
		if (sums[k] != runs[k])
			return "the free pages of its arenas are not those of its free runs";
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
	if (!why && pages > MAX_PAGES)
		why = "it has more pages than there is memory";
	why = why ? why : check_class_sums(own);
	return why ? why : check_arena_sums(own);
}
