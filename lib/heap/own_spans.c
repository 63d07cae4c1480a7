/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The arenas of our own heap, page by page: each page that the allocator mapped is of a span or free, and a
 * free one is kept, given back, or was never touched. Huge blocks stand in a table of their own. A span
 * whose record contradicts the page that led to it is counted as bad and its pages as odd; the books of a
 * target that stands still have none.
 *
 * Freed huge mappings that are kept for a while are in a table since minor version 1. Before, their span
 * structures lay in metadata, which is all the allocator's own: each 64-byte step there that holds one is
 * taken, and they are believed when their sizes add up to the allocator's counter.
 */
#include "own.h"

#include "../base/cleanup.h"
#include "../base/size.h"

#include <stdlib.h>
#include <string.h>

#define SPAN_ALIGN 64u
#define SCAN (64u << 10)
#define COST_RUN 256u		/* of keeping a run of free pages: see own_find.c */

static bool has_bit(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static const uint8_t uses[] = {
	[MW_SPAN_DEAD] = MW__OWN_USES,	    [MW_SPAN_SMALL] = MW__OWN_SMALL,	 [MW_SPAN_LARGE] = MW__OWN_LARGE,
	[MW_SPAN_HUGE] = MW__OWN_HUGE,	    [MW_SPAN_SAMPLED] = MW__OWN_SAMPLED, [MW_SPAN_CACHED] = MW__OWN_CACHED,
	[MW_SPAN_IDLE] = MW__OWN_KEPT,	    [MW_SPAN_PRIVATE] = MW__OWN_PRIVATE,
	[MW_SPAN_PRIVATE_LARGE] = MW__OWN_LARGE, [MW_SPAN_PRIVATE_HUGE] = MW__OWN_HUGE,
};

static uint8_t use_of(const struct mw_mspan *s)
{
	if (s->state >= sizeof(uses) || (s->state == MW_SPAN_SAMPLED && s->cls >= MW__OWN_CLASSES))
		return MW__OWN_USES;
	if ((s->state == MW_SPAN_SAMPLED || s->state == MW_SPAN_LARGE) && !s->used)
		return MW__OWN_KEPT;
	return uses[s->state];
}

/* What of a single block the program may write. */
static uint64_t usable_of(const struct mw_mspan *s)
{
	uint64_t bytes = (uint64_t)s->npages * MW_PAGE_SIZE, block = s->aux ? s->aux : s->base;

	if (s->flags & MW_SPAN_GUARDED)
		return mw__min(mw__align_up(mw__max(s->requested, 1), 16), bytes);
	if (s->state == MW_SPAN_SAMPLED)
		return mw__min(s->elemsize, bytes);
	return block >= s->base && block - s->base <= bytes ? bytes - (block - s->base) : bytes;
}

static struct mw__own_span *add_span(struct mw__own_reader *r, const struct mw_mspan *s, uint8_t use)
{
	struct mw__own_span *new = MW_VEC_PUSH(&r->own->spans);
	bool block = use == MW__OWN_LARGE || use == MW__OWN_HUGE || use == MW__OWN_SAMPLED;
	bool objects = use == MW__OWN_SMALL || use == MW__OWN_PRIVATE;

	if (!new)
		return NULL;
	*new = (struct mw__own_span){ .base = s->base, .npages = s->npages, .use = use,
				      .cls = objects || use == MW__OWN_SAMPLED ? s->cls : 0,
				      .nelems = s->nelems, .used = s->used, .site = s->site };
	if (block) {
		new->usable = usable_of(s);
		new->requested = mw__min(s->requested, new->usable);
	}
	if (s->state >= MW_SPAN_PRIVATE) {
		new->site = 0;
		if (!mw__own_heap_add(r, s, new))
			r->own->bad_records++;
	}
	return new;
}

/* ------------------------------------------------------------------- classes */

uint64_t mw__own_audited(struct mw__own_reader *r, const struct mw_mspan *s)
{
	uint16_t slack[MW_SPAN_BITS_WORDS * 64];
	uint64_t sum = 0;

	if (!s->used)
		return 0;
	if (!s->aux || !mw__own_peek(r, s->aux, slack, s->nelems * sizeof(*slack)))
		return MW_UNKNOWN;
	for (uint32_t i = 0; i < s->nelems; i++)
		if (has_bit(s->alloc_bits, i))
			sum += mw__sub0(s->elemsize, slack[i]);
	return sum;
}

static bool is_sound(const struct mw__own_reader *r, const struct mw_mspan *s)
{
	const struct mw__own_class *c = &r->own->classes[s->cls < MW__OWN_CLASSES ? s->cls : 0];
	unsigned bits = 0;

	for (unsigned i = 0; i < MW_SPAN_BITS_WORDS; i++)
		bits += (unsigned)__builtin_popcountll(s->alloc_bits[i]);
	return s->cls && s->cls < MW__OWN_CLASSES && c->size && s->elemsize == c->size && s->nelems &&
	       s->nelems <= MW_SPAN_BITS_WORDS * 64 && (uint64_t)s->nelems * s->elemsize <= (uint64_t)s->npages * MW_PAGE_SIZE &&
	       bits == s->used && s->used <= s->nelems;
}

static void count_objects(struct mw__own_reader *r, const struct mw_mspan *s)
{
	struct mw__own_class *c = &r->own->classes[s->cls];

	c->n_spans++;
	c->out += s->used;
	if (r->own->is_audit)
		c->requested = mw__add(c->requested, mw__own_audited(r, s));
}

/* A span that page i of an arena leads to; 1 taken, 0 bad. */
static int take_span(struct mw__own_reader *r, const struct mw_mspan *s, uint64_t base, uint32_t room)
{
	uint8_t use = use_of(s);

	if (s->base != base || !s->npages || s->npages > room || use == MW__OWN_USES || use == MW__OWN_HUGE ||
	    ((use == MW__OWN_SMALL || use == MW__OWN_PRIVATE) && !is_sound(r, s)))
		return 0;
	if (!add_span(r, s, use))
		return -MW_E_NOMEM;
	if (use == MW__OWN_SMALL)
		count_objects(r, s);
	if (use == MW__OWN_SAMPLED && s->cls)
		r->own->classes[s->cls].sampled++;
	return 1;
}

/* -------------------------------------------------------------------- arenas */

static int add_free(struct mw__own_reader *r, uint64_t base, uint8_t why)
{
	struct mw__own_run *last = r->own->frees.n ? &r->own->frees.v[r->own->frees.n - 1] : NULL;

	if (last && last->why == why && last->base + (uint64_t)last->npages * MW_PAGE_SIZE == base) {
		last->npages++;
		return 0;
	}
	if (!mw__own_spend(r, COST_RUN))
		return 0;
	struct mw__own_run *new = MW_VEC_PUSH(&r->own->frees);

	if (!new)
		return -MW_E_NOMEM;
	*new = (struct mw__own_run){ base, 1, why };
	return 0;
}

/* One page, or all pages of the span that starts here; the number of pages, or an error. */
static int64_t read_page(struct mw__own_reader *r, const struct mw_heap_arena *a, struct mw__own_arena *sum, uint32_t i)
{
	uint64_t base = a->base + (uint64_t)i * MW_PAGE_SIZE;
	struct mw_mspan s;
	int rc;

	if (!has_bit(a->map_bits, i))
		return 1;
	if (!has_bit(a->alloc_bits, i)) {
		bool given = r->region.minor < 4 ? i < a->n_touched : has_bit(a->given_back_bits, i);
		uint8_t why = !has_bit(a->clean_bits, i) ? MW__OWN_DIRTY : given ? MW__OWN_GIVEN_BACK : MW__OWN_FRESH;

		sum->pages_mapped++;
		sum->pages_free[why]++;
		rc = add_free(r, base, why);
		return rc < 0 ? rc : 1;
	}
	rc = a->spans[i] && mw__own_element(r, a->spans[i], r->region.sizeof_mspan, 0, &s, sizeof(s))
		     ? take_span(r, &s, base, MW_ARENA_PAGES - i) : 0;
	if (rc < 0)
		return rc;
	uint32_t n = rc ? s.npages : 1;

	sum->pages_mapped += n;
	*(rc ? &sum->pages_used : &sum->pages_odd) += n;
	r->own->bad_records += !rc;
	return n;
}

static int read_arena(struct mw__own_reader *r, uint64_t at, struct mw_heap_arena *a)
{
	/* what free() reads is not needed here */
	if (!mw__own_element(r, at, r->region.sizeof_arena, 0, a, offsetof(struct mw_heap_arena, page_desc)) || a->base % MW_ARENA_SIZE ||
	    a->base > UINT64_MAX - MW_ARENA_SIZE) {
		r->own->bad_records++;
		return 0;
	}
	struct mw__own_arena sum = { .base = a->base };

	for (uint32_t i = 0; i < MW_ARENA_PAGES;) {
		int64_t n = read_page(r, a, &sum, i);

		if (n < 0)
			return (int)n;
		i += (uint32_t)n;
	}
	struct mw__own_arena *new = MW_VEC_PUSH(&r->own->arenas);

	if (!new)
		return -MW_E_NOMEM;
	*new = sum;
	return 0;
}

static int read_arenas(struct mw__own_reader *r)
{
	MW_CLEANUP(mw__freep) struct mw_heap_arena *a = malloc(sizeof(*a));
	uint64_t last = 0;

	if (!a)
		return -MW_E_NOMEM;
	for (uint64_t i = 0; i < r->region.heap.n_arenas; i++) {
		uint64_t at;

		if (!mw__own_element(r, r->region.heap.arenas, 8, i, &at, sizeof(at)) || !at)
			return 0;
		int rc = read_arena(r, at, a);

		if (rc < 0)
			return rc;
		if (a->base <= last && i) {	/* not ascending: the array was being replaced */
			r->own->bad_records++;
			return 0;
		}
		last = a->base;
	}
	return 0;
}

/* ------------------------------------------------- mappings outside of arenas */

/* Whole kernel pages, inside anonymous memory. */
static bool is_mapping(const struct mw__own_reader *r, const struct mw_mspan *s)
{
	uint64_t end;

	if (!s->npages || !s->base || s->base % 4096 ||
	    __builtin_add_overflow(s->base, (uint64_t)s->npages * MW_PAGE_SIZE, &end))
		return false;
	const struct mw__vma *vma = mw__snapshot_vma_at(r->w->snap, s->base);

	return vma && vma->kind == MW__ANON;
}

static int read_huge(struct mw__own_reader *r)
{
	const struct mw_mheap *h = &r->region.heap;

	for (uint64_t i = 0; i < h->n_huge_slots; i++) {
		struct mw_mspan s;
		uint64_t at;

		if (!mw__own_element(r, h->huge, 8, i, &at, sizeof(at)))
			return 0;
		if (!at)
			continue;
		if (!mw__own_element(r, at, r->region.sizeof_mspan, 0, &s, sizeof(s)) ||
		    (s.state != MW_SPAN_HUGE && s.state != MW_SPAN_PRIVATE_HUGE) || !is_mapping(r, &s))
			r->own->bad_records++;
		else if (!add_span(r, &s, MW__OWN_HUGE))
			return -MW_E_NOMEM;
	}
	return 0;
}

/* The end of the anonymous memory that is mapped from start on without a hole, at most end. */
static uint64_t mapped_until(const struct mw_snapshot *snap, uint64_t start, uint64_t end)
{
	const struct mw__vma *v = mw__snapshot_vma_at(snap, start), *stop = snap->vmas.v + snap->vmas.n;

	for (; v && v < stop && start < end && v->start <= start && v->kind == MW__ANON; v++)
		start = v->end;
	return mw__min(start, end);
}

static int read_metas(struct mw__own_reader *r)
{
	const struct mw_abi_table *t = &r->region.tables[MW_TABLE_META];

	for (uint64_t i = 0; i < mw__min(t->count, MW_N_META); i++) {
		struct mw_meta_range m;

		if (!mw__own_element(r, t->addr, t->stride, i, &m, sizeof(m)) || m.base % 4096 || !m.size ||
		    m.base > UINT64_MAX - m.size)
			continue;
		uint64_t end = mapped_until(r->w->snap, m.base, m.base + m.size);
		struct mw__own_range *new = end > m.base ? MW_VEC_PUSH(&r->own->metas) : NULL;

		if (end <= m.base)
			continue;	/* nothing is mapped there: the books are spoiled */
		if (!new)
			return -MW_E_NOMEM;
		*new = (struct mw__own_range){ m.base, end };
	}
	return 0;
}

static int scan_idle(struct mw__own_reader *r, const char *bytes, size_t n, uint64_t *pages)
{
	for (size_t off = 0; off + sizeof(struct mw_mspan) <= n; off += SPAN_ALIGN) {
		struct mw_mspan s;

		memcpy(&s, bytes + off, sizeof(s));
		if (s.state != MW_SPAN_IDLE || s.cls || s.used || s.nelems != 1 || !is_mapping(r, &s))
			continue;
		if (!add_span(r, &s, MW__OWN_KEPT))
			return -MW_E_NOMEM;
		*pages += s.npages;
	}
	return 0;
}

/* Kept huge mappings, by their table. */
static int read_kept(struct mw__own_reader *r, const struct mw_abi_table *t)
{
	for (uint64_t i = 0; i < mw__min(t->count, 65536); i++) {
		struct mw_kept k;
		struct mw_mspan s;

		if (!mw__own_element(r, t->addr, t->stride, i, &k, sizeof(k)))
			return 0;
		if (!k.span)
			continue;
		if (!mw__own_element(r, k.span, r->region.sizeof_mspan, 0, &s, sizeof(s)) || s.state != MW_SPAN_IDLE ||
		    !is_mapping(r, &s))
			r->own->bad_records++;
		else if (!add_span(r, &s, MW__OWN_KEPT))
			return -MW_E_NOMEM;
	}
	return 0;
}

/* Kept huge mappings, by their structures in metadata; none when they do not add up to the counter. */
static int read_idle(struct mw__own_reader *r)
{
	MW_CLEANUP(mw__freep) char *bytes = malloc(SCAN + sizeof(struct mw_mspan));
	size_t before = r->own->spans.n;
	uint64_t pages = 0;
	int rc = bytes ? 0 : -MW_E_NOMEM;

	for (size_t i = 0; rc == 0 && i < r->own->metas.n; i++)
		for (uint64_t at = r->own->metas.v[i].start, end = r->own->metas.v[i].end; rc == 0 && at < end && r->left; at += SCAN) {
			/* a structure may reach into the next piece; its start is found once, in the first */
			size_t n = mw__min(SCAN + sizeof(struct mw_mspan) - SPAN_ALIGN, end - at);

			if (mw__own_peek(r, at, bytes, n))
				rc = scan_idle(r, bytes, n, &pages);
		}
	if (rc == 0 && pages != r->region.heap.huge_idle_pages)
		r->own->spans.n = before;
	return rc;
}

int mw__own_read_spans(struct mw__own_reader *r)
{
	const struct mw_abi_table *kept = &r->region.tables[MW_TABLE_KEPT];
	int rc = read_arenas(r);

	if (rc == 0)
		rc = read_metas(r);
	if (rc == 0)
		rc = read_huge(r);
	if (rc == 0 && kept->addr)
		rc = read_kept(r, kept);
	else if (rc == 0 && r->region.heap.huge_idle_pages)
		rc = read_idle(r);
	return rc;
}
