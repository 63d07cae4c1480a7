/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs to stretches. The order of the tests is that of join.c, so that both agree to the byte. Two amounts
 * have no place on kernels without PAGEMAP_SCAN (zero pages, markers that look like swap): they are taken
 * from the lowest addresses, as the extents do, and the view that shows places says so.
 */
#include "stretch.h"

#include "../base/size.h"

#include <string.h>

#define PAGE UINT64_C(4096)

const struct mw__where_info mw__wheres[MW__N_AT] = {
	[MW__AT_ANON] = { "anonymous", "resident, anonymous", '#', true },
	[MW__AT_COPY] = { "copied", "resident, private copy of a file page", 'C', true },
	[MW__AT_FILE] = { "file", "resident, page of the file", 'F', true },
	[MW__AT_SHMEM] = { "shmem", "resident, shared memory", 'S', true },
	[MW__AT_HUGETLB] = { "hugetlb", "hugetlb page (not in RSS)", 'H', false },
	[MW__AT_ZERO] = { "zero", "only read: the shared zero page", '0', false },
	[MW__AT_SWAP] = { "swap", "swapped out", 'w', false },
	[MW__AT_GUARD] = { "guard", "guard or other marker", 'g', false },
	[MW__AT_CACHED] = { "cached", "not mapped here, in the page cache", 'o', false },
	[MW__AT_UNCACHED] = { "uncached", "not in the page cache", '_', false },
	[MW__AT_CACHE_UNKNOWN] = { "not-mapped", "not mapped here, page cache unknown", ',', false },
	[MW__AT_BEYOND] = { "beyond-eof", "beyond the end of the file", '!', false },
	[MW__AT_ABSENT] = { "absent", "no page: never touched, or given back", '.', false },
	[MW__AT_CLOSED] = { "no-access", "no page and no access allowed", '-', false },
	[MW__AT_UNREAD] = { "unread", "could not be read", '?', false },
};

static uint64_t run_end(const struct mw__run *r)
{
	return r->start + (uint64_t)r->pages * PAGE;
}

static bool is_backed(const struct mw__vma *v)
{
	return v->prot && !v->no_pages && (v->kind == MW__FILE || v->kind == MW__SHMEM || v->kind == MW__DEVICE);
}

/* Bytes of zero pages that the runs themselves show in this extent. */
static uint64_t placed_zero(const struct mw_snapshot *snap, const struct mw__extent *x)
{
	uint64_t sum = 0;

	for (uint32_t k = 0; k < x->vma->n_runs; k++) {
		const struct mw__run *r = &snap->runs.v[x->vma->run + k];
		uint64_t from = mw__max(r->start, x->start), to = mw__min(run_end(r), x->end);

		if (from < to && r->state & MW__ZERO && !(r->state & MW__GUARDED) && x->vma->kind != MW__HUGETLB)
			sum += to - from;
	}
	return sum;
}

/*
 * The kernel tells how many pages of shared memory are swapped out, not which. They are told apart from holes where
 * no page of the mapping is one.
 */
static bool has_no_holes(const struct mw_snapshot *snap, const struct mw__vma *v, uint64_t eof)
{
	uint64_t absent = mw__sub0(mw__min(v->end, eof), v->start);

	if (v->kind != MW__SHMEM || !v->is_shared || v->cached == MW_UNKNOWN || v->evicted == MW_UNKNOWN || !v->evicted)
		return false;
	for (uint32_t k = 0; k < v->n_runs; k++)
		absent = mw__sub0(absent, (uint64_t)snap->runs.v[v->run + k].pages * PAGE);
	return absent == v->cached + v->evicted;
}

void mw__stretches_init(struct mw__stretches *it, const struct mw_snapshot *snap, const struct mw__extent *x)
{
	const struct mw__vma *v = x->vma;
	uint64_t size = v->file != MW__NONE ? snap->files.v[v->file].size : MW_UNKNOWN;

	*it = (struct mw__stretches){ .snap = snap, .x = x, .at = x->start, .eof = UINT64_MAX };
	it->marker_left = x->tally.marker;
	it->zero_left = x->tally.zero ? mw__sub0(x->tally.zero, placed_zero(snap, x)) : 0;
	if (size != MW_UNKNOWN && is_backed(v))
		it->eof = v->start + mw__sub0(mw__align_up(size, PAGE), v->off);
	it->is_swapped = has_no_holes(snap, v, it->eof);
}

static enum mw__where where_of_run(const struct mw__vma *v, const struct mw__run *r)
{
	if (v->kind == MW__HUGETLB)
		return r->state & MW__PRESENT ? MW__AT_HUGETLB : MW__AT_ABSENT;
	if (r->state & MW__GUARDED)
		return MW__AT_GUARD;
	if (r->state & MW__ZERO)
		return MW__AT_ZERO;
	if (r->state & MW__PRESENT) {
		if (v->kind == MW__ANON || !(v->is_shared || r->state & MW__OF_FILE))
			return v->kind == MW__ANON ? MW__AT_ANON : MW__AT_COPY;
		return v->kind == MW__SHMEM ? MW__AT_SHMEM : MW__AT_FILE;
	}
	return r->state & MW__SWAPPED ? MW__AT_SWAP : MW__AT_ABSENT;
}

/* Without a run: the end of the file and the page cache decide. */
static void fill_gap(struct mw__stretches *it, struct mw__stretch *s)
{
	const struct mw__vma *v = it->x->vma;

	if (!v->states_known) {
		s->where = MW__AT_UNREAD;
		return;
	}
	if (!is_backed(v)) {
		s->where = v->prot ? MW__AT_ABSENT : MW__AT_CLOSED;
		return;
	}
	if (s->start >= it->eof) {
		s->where = MW__AT_BEYOND;
		return;
	}
	s->end = mw__min(s->end, it->eof);
	if (!v->cache_placed) {
		s->where = v->cached ? MW__AT_CACHE_UNKNOWN : it->is_swapped ? MW__AT_SWAP : MW__AT_UNCACHED;
		return;
	}
	while (it->cache < v->n_cache && run_end(&it->snap->cache.v[v->cache + it->cache]) <= s->start)
		it->cache++;
	const struct mw__run *c = it->cache < v->n_cache ? &it->snap->cache.v[v->cache + it->cache] : NULL;

	s->where = c && c->start <= s->start ? MW__AT_CACHED : it->is_swapped ? MW__AT_SWAP : MW__AT_UNCACHED;
	if (c)
		s->end = mw__min(s->end, c->start <= s->start ? run_end(c) : c->start);
}

/* Cut off what is only known as an amount. */
static void take_amount(struct mw__stretch *s, enum mw__where from, enum mw__where to, uint64_t *left)
{
	if (!*left || s->where != from)
		return;
	s->end = mw__min(s->end, s->start + mw__align_up(*left, PAGE));
	*left -= mw__min(*left, s->end - s->start);
	s->where = to;
}

bool mw__stretches_next(struct mw__stretches *it, struct mw__stretch *ret)
{
	const struct mw__vma *v = it->x->vma;

	if (it->at >= it->x->end)
		return false;
	while (it->run < v->n_runs && run_end(&it->snap->runs.v[v->run + it->run]) <= it->at)
		it->run++;
	const struct mw__run *r = it->run < v->n_runs ? &it->snap->runs.v[v->run + it->run] : NULL;

	*ret = (struct mw__stretch){ .start = it->at, .end = it->x->end };
	if (r && r->start <= it->at) {
		ret->end = mw__min(ret->end, run_end(r));
		ret->where = where_of_run(v, r);
		ret->is_huge = r->state & MW__HUGE;
		take_amount(ret, MW__AT_ANON, MW__AT_ZERO, &it->zero_left);
		take_amount(ret, MW__AT_COPY, MW__AT_ZERO, &it->zero_left);
		take_amount(ret, MW__AT_SWAP, MW__AT_GUARD, &it->marker_left);
	} else {
		if (r)
			ret->end = mw__min(ret->end, r->start);
		fill_gap(it, ret);
	}
	it->at = ret->end;
	return true;
}
