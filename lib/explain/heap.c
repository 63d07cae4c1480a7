/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "heap.h"

#include "../base/cleanup.h"
#include "../base/size.h"

#include <string.h>

const struct mw__bridge_info mw__bridge_totals[MW__N_TOTALS] = {
	[MW__B_REQUESTED] = { "requested", "requested: what the program asked for and holds", 0 },
	[MW__B_ALLOCATED] = { "allocated", "allocated: blocks that the program holds", 0 },
	[MW__B_SPANS] = { "in_spans", "in spans: pages divided into blocks", 0 },
	[MW__B_ARENAS] = { "in_arenas", "in arenas and mappings of huge blocks", 0 },
	[MW__B_MAPPED] = { "mapped", "mapped by the allocator", 0 },
	[MW__B_HEAP_RESIDENT] = { "resident", "resident: the heap's part of RSS", 0 },
	[MW__B_VSZ] = { "vsz", "VSZ: all mappings of the process", 0 },
};

const struct mw__bridge_info mw__bridge_steps[MW__N_STEPS] = {
	[MW__S_WASTE] = { "internal_waste", "rounding up to size classes and pages", MW__B_ALLOCATED },
	[MW__S_CACHED] = { "thread_caches", "free objects that threads keep", MW__B_SPANS },
	[MW__S_TRANSFER] = { "transfer", "free objects on their way between threads", MW__B_SPANS },
	[MW__S_FREE_IN_SPANS] = { "free_in_spans", "free objects in spans: external fragmentation", MW__B_SPANS },
	[MW__S_TAILS] = { "span_tails", "ends of spans where no object fits", MW__B_SPANS },
	[MW__S_CACHED_RUNS] = { "cached_runs", "freed large blocks that threads keep", MW__B_SPANS },
	[MW__S_KEPT] = { "kept_blocks", "freed huge blocks kept for reuse", MW__B_SPANS },
	[MW__S_DIRTY] = { "free_kept", "free pages kept for reuse", MW__B_ARENAS },
	[MW__S_GIVEN_BACK] = { "given_back", "free pages given back to the kernel", MW__B_ARENAS },
	[MW__S_FRESH] = { "never_touched", "free pages never touched", MW__B_ARENAS },
	[MW__S_ODD] = { "changing_hands", "pages that changed hands while they were read", MW__B_ARENAS },
	[MW__S_META] = { "metadata", "the allocator's own books", MW__B_MAPPED },
	[MW__S_SPANS_ABSENT] = { "spans_absent", "in spans and huge blocks, without memory", MW__B_HEAP_RESIDENT },
	[MW__S_FREE_ABSENT] = { "free_kept_absent", "kept, without memory", MW__B_HEAP_RESIDENT },
	[MW__S_BACK_ABSENT] = { "given_back_absent", "given back, without memory", MW__B_HEAP_RESIDENT },
	[MW__S_FRESH_ABSENT] = { "never_touched_absent", "never touched, without memory", MW__B_HEAP_RESIDENT },
	[MW__S_META_ABSENT] = { "metadata_absent", "the books, without memory", MW__B_HEAP_RESIDENT },
	[MW__S_UNPLACED] = { "unplaced", "told by the books but not mapped there", MW__B_HEAP_RESIDENT },
	[MW__S_REST_RESIDENT] = { "rest_resident", "resident, of the rest of the process", MW__B_VSZ },
	[MW__S_NOT_RESIDENT] = { "not_resident", "mapped without memory, here or elsewhere", MW__B_VSZ },
};

static const enum mw__owner owners[MW__BRIDGE_ROADS] = {
	MW__OWNER_OWN_SPANS, MW__OWNER_OWN_HUGE, MW__OWNER_OWN_FREE, MW__OWNER_OWN_GIVEN_BACK, MW__OWNER_OWN_FRESH,
	MW__OWNER_OWN_META,
};

/* ------------------------------------------------------------------ the books */

static uint64_t bytes_of(const struct mw__own *own, uint64_t pages)
{
	return pages * own->page_size;
}

static void add_classes(const struct mw__own *own, struct mw__bridge *b)
{
	for (unsigned i = 1; i < MW__OWN_CLASSES; i++) {
		const struct mw__own_class *c = &own->classes[i];
		uint64_t small = mw__sub0(c->live, c->sampled), transfer = mw__min(c->transfer, c->out);

		b->totals[MW__B_ALLOCATED] += small * c->size;
		b->totals[MW__B_REQUESTED] = mw__add(b->totals[MW__B_REQUESTED], c->requested);
		b->requested_min += c->requested_min;
		b->requested_max += c->requested_max;
		/* what is out of spans and neither held nor on its way is in caches, also where a running target moved it */
		b->steps[MW__S_TRANSFER] += (int64_t)(transfer * c->size);
		b->steps[MW__S_CACHED] += (int64_t)((c->out - small - transfer) * c->size);
	}
}

static void add_span(const struct mw__own *own, const struct mw__own_span *s, struct mw__bridge *b)
{
	uint64_t bytes = bytes_of(own, s->npages);

	if (s->use == MW__OWN_SMALL) {
		b->steps[MW__S_FREE_IN_SPANS] += (int64_t)((uint64_t)(s->nelems - s->used) * own->classes[s->cls].size);
		b->steps[MW__S_TAILS] += (int64_t)(bytes - (uint64_t)s->nelems * own->classes[s->cls].size);
	} else if (s->use == MW__OWN_PRIVATE) {
		uint64_t live = (uint64_t)s->used * own->classes[s->cls].size;

		b->totals[MW__B_ALLOCATED] += live;
		b->totals[MW__B_REQUESTED] = mw__add(b->totals[MW__B_REQUESTED], s->requested);
		b->requested_min += s->is_tiny ? s->requested : 0;
		b->requested_max += s->is_tiny ? s->requested : live;
		b->steps[MW__S_FREE_IN_SPANS] += (int64_t)((uint64_t)(s->nelems - s->used) * own->classes[s->cls].size);
		b->steps[MW__S_TAILS] += (int64_t)(bytes - (uint64_t)s->nelems * own->classes[s->cls].size);
		b->private_objects |= !s->is_tiny && s->used;
	} else if (s->use == MW__OWN_CACHED) {
		b->steps[MW__S_CACHED_RUNS] += (int64_t)bytes;
	} else if (s->use == MW__OWN_KEPT) {
		b->steps[MW__S_KEPT] += (int64_t)bytes;
	} else {
		b->totals[MW__B_ALLOCATED] += s->usable;
		b->totals[MW__B_REQUESTED] = mw__add(b->totals[MW__B_REQUESTED], s->requested);
		b->requested_min += s->requested;
		b->requested_max += s->requested;
		b->steps[MW__S_TAILS] += (int64_t)(bytes - s->usable);
	}
	b->totals[MW__B_SPANS] += bytes;
}

static void add_arenas(const struct mw__own *own, struct mw__bridge *b)
{
	static const enum mw__bridge_step steps[MW__OWN_FREES] = {
		[MW__OWN_DIRTY] = MW__S_DIRTY, [MW__OWN_GIVEN_BACK] = MW__S_GIVEN_BACK, [MW__OWN_FRESH] = MW__S_FRESH,
	};
	int64_t free = 0;

	for (size_t i = 0; i < own->arenas.n; i++)
		b->steps[MW__S_ODD] += (int64_t)bytes_of(own, own->arenas.v[i].pages_odd);
	for (size_t i = 0; i < own->frees.n; i++)
		b->steps[steps[own->frees.v[i].why]] += (int64_t)bytes_of(own, own->frees.v[i].npages);
	free = b->steps[MW__S_DIRTY] + b->steps[MW__S_GIVEN_BACK] + b->steps[MW__S_FRESH] + b->steps[MW__S_ODD];
	b->totals[MW__B_ARENAS] = b->totals[MW__B_SPANS] + (uint64_t)free;
	for (size_t i = 0; i < own->metas.n; i++)
		b->steps[MW__S_META] += (int64_t)(own->metas.v[i].end - own->metas.v[i].start);
	b->totals[MW__B_MAPPED] = b->totals[MW__B_ARENAS] + (uint64_t)b->steps[MW__S_META];
}

static void read_books(const struct mw__own *own, struct mw__bridge *b)
{
	add_classes(own, b);
	for (size_t i = 0; i < own->spans.n; i++)
		add_span(own, &own->spans.v[i], b);
	add_arenas(own, b);
	b->requested_exact = own->is_audit && !b->private_objects && b->totals[MW__B_REQUESTED] != MW_UNKNOWN;
	b->steps[MW__S_WASTE] = b->totals[MW__B_REQUESTED] == MW_UNKNOWN ? INT64_MIN :
				(int64_t)(b->totals[MW__B_ALLOCATED] - b->totals[MW__B_REQUESTED]);
	b->in_flight = 0;
	for (unsigned i = 1; !own->is_exact && i < MW__OWN_CLASSES; i++)
		b->in_flight = mw__max(b->in_flight, own->classes[i].batch);
	b->in_flight *= mw__max(own->threads.n, 1);
}

/* --------------------------------------------------------------- the mappings */

static uint64_t sum_uses(const struct mw__own *own, enum mw__owner owner)
{
	static const enum mw__owner of_use[MW__OWN_USES] = {
		[MW__OWN_SMALL] = MW__OWNER_OWN_SPANS,	 [MW__OWN_LARGE] = MW__OWNER_OWN_SPANS,
		[MW__OWN_SAMPLED] = MW__OWNER_OWN_SPANS, [MW__OWN_HUGE] = MW__OWNER_OWN_HUGE,
		[MW__OWN_CACHED] = MW__OWNER_OWN_FREE,	 [MW__OWN_KEPT] = MW__OWNER_OWN_FREE,
		[MW__OWN_PRIVATE] = MW__OWNER_OWN_SPANS,
	};
	uint64_t sum = 0;

	for (size_t i = 0; i < own->spans.n; i++)
		if (of_use[own->spans.v[i].use] == owner)
			sum += bytes_of(own, own->spans.v[i].npages);
	return sum;
}

static uint64_t books_of(const struct mw__own *own, const struct mw__bridge *b, enum mw__owner owner)
{
	switch (owner) {
	case MW__OWNER_OWN_FREE:
		return sum_uses(own, owner) + (uint64_t)b->steps[MW__S_DIRTY];
	case MW__OWNER_OWN_GIVEN_BACK:
		return (uint64_t)b->steps[MW__S_GIVEN_BACK];
	case MW__OWNER_OWN_FRESH:
		return (uint64_t)b->steps[MW__S_FRESH];
	case MW__OWNER_OWN_META:
		return (uint64_t)b->steps[MW__S_META];
	default:
		return sum_uses(own, owner);
	}
}

static int read_mappings(const struct mw_snapshot *snap, struct mw__bridge *b)
{
	MW_CLEANUP(mw__extents_deinit) struct mw__extents it = {};
	struct mw__extent x;

	if (mw__extents_init(&it, snap) < 0)
		return -MW_E_NOMEM;
	while (mw__extents_next(&it, &x))
		for (unsigned i = 0; i < MW__BRIDGE_ROADS; i++)
			if (x.owner == owners[i]) {
				b->roads[i].mapped += x.end - x.start;
				b->roads[i].resident = mw__add(b->roads[i].resident, x.tally.unread ? MW_UNKNOWN : mw__tally_resident(&x.tally));
			}
	return 0;
}

/* From what the allocator mapped down to what is resident of it, and up to VSZ. */
static void cross(const struct mw_account *acc, struct mw__bridge *b)
{
	static const enum mw__bridge_step absent[MW__BRIDGE_ROADS] = {
		MW__S_SPANS_ABSENT, MW__S_SPANS_ABSENT, MW__S_FREE_ABSENT, MW__S_BACK_ABSENT, MW__S_FRESH_ABSENT, MW__S_META_ABSENT,
	};
	uint64_t resident = 0;

	for (unsigned i = 0; i < MW__BRIDGE_ROADS; i++) {
		const struct mw__bridge_road *r = &b->roads[i];

		b->books += r->books;
		b->mapped += r->mapped;
		resident = mw__add(resident, r->resident);
		if (r->resident != MW_UNKNOWN)
			b->steps[absent[i]] -= (int64_t)(r->mapped - r->resident);
	}
	b->totals[MW__B_HEAP_RESIDENT] = resident;
	b->totals[MW__B_VSZ] = acc->vsz;
	b->steps[MW__S_UNPLACED] = (int64_t)b->mapped - (int64_t)b->totals[MW__B_MAPPED];
	if (resident == MW_UNKNOWN || acc->total.unread) {
		for (unsigned i = MW__S_SPANS_ABSENT; i < MW__N_STEPS; i++)
			b->steps[i] = i == MW__S_UNPLACED ? b->steps[i] : INT64_MIN;
		return;
	}
	b->steps[MW__S_REST_RESIDENT] = (int64_t)(acc->rss - resident);
	b->steps[MW__S_NOT_RESIDENT] = (int64_t)(acc->vsz - acc->rss);
}

int mw__bridge_make(const struct mw_snapshot *snap, const struct mw_account *acc, struct mw__bridge *ret)
{
	struct mw__bridge b = {};

	read_books(snap->own, &b);
	for (unsigned i = 0; i < MW__BRIDGE_ROADS; i++)
		b.roads[i] = (struct mw__bridge_road){ .owner = owners[i], .books = books_of(snap->own, &b, owners[i]) };
	if (read_mappings(snap, &b) < 0)
		return -MW_E_NOMEM;
	cross(acc, &b);
	*ret = b;
	return 0;
}
