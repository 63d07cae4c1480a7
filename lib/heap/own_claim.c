/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who owns what inside our own allocator's mappings. The page bits of its arenas tell what mappings and
 * page states cannot: whether a page without memory was given back or never touched, and whether one with
 * memory is in use or kept for reuse. Neighbouring spans become one claim.
 */
#include "own.h"

static const enum mw__owner span_owners[MW__OWN_USES] = {
	[MW__OWN_SMALL] = MW__OWNER_OWN_SPANS,	 [MW__OWN_LARGE] = MW__OWNER_OWN_SPANS,
	[MW__OWN_SAMPLED] = MW__OWNER_OWN_SPANS, [MW__OWN_HUGE] = MW__OWNER_OWN_HUGE,
	[MW__OWN_CACHED] = MW__OWNER_OWN_FREE,	 [MW__OWN_KEPT] = MW__OWNER_OWN_FREE,
	[MW__OWN_PRIVATE] = MW__OWNER_OWN_SPANS,
};
static const enum mw__owner free_owners[MW__OWN_FREES] = {
	[MW__OWN_DIRTY] = MW__OWNER_OWN_FREE,
	[MW__OWN_GIVEN_BACK] = MW__OWNER_OWN_GIVEN_BACK,
	[MW__OWN_FRESH] = MW__OWNER_OWN_FRESH,
};

static int claim(const struct mw__walk *w, uint64_t start, uint64_t end, enum mw__owner owner)
{
	struct mw__claim *last = w->snap->claims.n ? &w->snap->claims.v[w->snap->claims.n - 1] : NULL;

	if (last && last->end == start && last->owner == owner) {
		last->end = end;
		return 0;
	}
	return mw__claim(w->snap, start, end, owner, MW__PROVEN, MW__CLAIM_RECORD, "the allocator's own books", NULL);
}

int mw__own_claim(const struct mw__walk *w, const struct mw__own *own)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < own->spans.n; i++) {
		const struct mw__own_span *s = &own->spans.v[i];

		rc = claim(w, s->base, s->base + s->npages * own->page_size, span_owners[s->use]);
	}
	for (size_t i = 0; rc == 0 && i < own->frees.n; i++) {
		const struct mw__own_run *f = &own->frees.v[i];

		rc = claim(w, f->base, f->base + f->npages * own->page_size, free_owners[f->why]);
	}
	for (size_t i = 0; rc == 0 && i < own->metas.n; i++)
		rc = claim(w, own->metas.v[i].start, own->metas.v[i].end, MW__OWNER_OWN_META);
	return rc;
}
