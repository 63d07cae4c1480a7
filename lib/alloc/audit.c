/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * audit.c - the checked paths: options audit, zero, random (and nocache).
 *
 * With any of them no mcache keeps anything: class bytes stay 0, so every malloc and
 * free comes here and works on the span's bitmap under its mcentral's lock. So a
 * second free is seen at once, whatever happened in between.
 *
 *   audit   the bytes between the requested size and the object's end hold a canary,
 *           checked at free and at exit; what is free is filled, and checked when it is
 *           handed out, when its span goes, and when a neighbour is freed;
 *           malloc_usable_size is what was requested
 *   zero    a freed object is cleared (and, with audit, must still be clear later)
 *   random  a free object is chosen at random, not the lowest
 *
 * The slack of every object (object size - requested) stands in span->aux, and behind
 * all of them who allocated each: malloc, new or new[].
 */
#include "internal.h"

#define CANARY 0xc5
#define FREED 0xdf
#define SLACK_FREED 0xffffu /* in place of a slack: the object is free and filled */
#define SEAL_BYTES 64u /* canary behind a large block, at most */
#define NEAR_BYTES 64u /* neighbours so near are looked at when an object is freed */

static unsigned char freed_byte(void)
{
	return option(MW_OPT_ZERO) ? 0 : FREED;
}

static bool all_bytes(const unsigned char *p, size_t n, unsigned char value)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != value)
			return false;
	return true;
}

size_t mw__audit_books(const mspan *s)
{
	return s->nelems * (sizeof(uint16_t) + sizeof(uint8_t));
}

/* All of a new span is free, and with audit filled. */
static uint16_t *slack_of(mspan *s)
{
	bool audit = option(MW_OPT_AUDIT);

	if (s->aux || !(s->aux = mw__meta_array(mw__audit_books(s))))
		return s->aux;
	memset(s->aux, 0, mw__audit_books(s));
	memset(s->aux, audit ? 0xff : 0, s->nelems * sizeof(uint16_t));
	if (audit)
		memset((void *)s->base, freed_byte(), (size_t)s->nelems * s->elemsize);
	return s->aux;
}

bool mw__audit_ready(mspan *s)
{
	return slack_of(s) != NULL;
}

/* The first free object at or after @from, going round. The span has one. */
static unsigned free_index(const mspan *s, unsigned from)
{
	for (unsigned i = 0; i < s->nelems; i++) {
		unsigned idx = (from + i) % s->nelems;

		if (!(s->alloc_bits[idx / 64] >> (idx % 64) & 1))
			return idx;
	}
	return 0;
}

static unsigned char *object_at(const mspan *s, unsigned idx)
{
	return (unsigned char *)s->base + (uint64_t)idx * s->elemsize;
}

static void check_freed(mspan *s, unsigned idx, const unsigned char *p)
{
	if (((uint16_t *)s->aux)[idx] == SLACK_FREED && !all_bytes(p, s->elemsize, freed_byte()))
		mw__error(MW_ERROR_WRITE_AFTER_FREE, p, s, NULL);
}

void mw__audit_hand_out(mspan *s, unsigned idx, size_t n)
{
	unsigned char *p = object_at(s, idx);
	uint16_t *slack = s->aux;

	check_freed(s, idx, p);
	slack[idx] = (uint16_t)(s->elemsize - n);
	if (option(MW_OPT_AUDIT))
		memset(p + n, CANARY, slack[idx]);
}

void *mw__audit_alloc(size_t n, unsigned c)
{
	mcentral *m = mw__central_lock(c);
	mspan *s = mw__central_pick(m);
	void *p = NULL;

	if (s && mw__audit_ready(s)) {
		unsigned idx = free_index(s, option(MW_OPT_RANDOM) ?
						     (unsigned)(mw__os_random() % s->nelems) : 0);

		p = mw__central_take(m, s, idx);
		mw__audit_hand_out(s, idx, n);
	}
	m->n_fetches++;
	mw__central_unlock(m);
	return p;
}

void mw__audit_retire(mspan *s)
{
	for (unsigned i = 0; i < s->nfresh; i++)
		check_freed(s, i, object_at(s, i));
}

static void check_canary(const mspan *s, unsigned idx)
{
	uint16_t slack = ((uint16_t *)s->aux)[idx];
	unsigned char *p = object_at(s, idx);

	if (!all_bytes(p + s->elemsize - slack, slack, CANARY))
		mw__error(MW_ERROR_OVERFLOW, p, s, NULL);
}

static void check_object(mspan *s, unsigned idx)
{
	mw__is_out(s, idx) ? check_canary(s, idx) : check_freed(s, idx, object_at(s, idx));
}

/* Who writes too far, or before a block, meets a neighbour: free, or with a canary. */
static void check_near(mspan *s, unsigned idx)
{
	unsigned reach = NEAR_BYTES / s->elemsize + 1;
	unsigned from = idx > reach ? idx - reach : 0;
	unsigned to = idx + reach < s->nelems ? idx + reach + 1 : s->nelems;

	for (unsigned i = from; i < to; i++)
		check_object(s, i);
}

void mw__audit_bury(mspan *s, unsigned idx)
{
	if (option(MW_OPT_AUDIT))
		check_near(s, idx);
	if (option(MW_OPT_AUDIT | MW_OPT_ZERO))
		memset(object_at(s, idx), freed_byte(), s->elemsize);
	if (option(MW_OPT_AUDIT))
		((uint16_t *)s->aux)[idx] = SLACK_FREED;
}

void mw__audit_span(mspan *s)
{
	for (unsigned i = 0; i < s->nelems && s->aux; i++)
		check_object(s, i);
}

static void check_list(mspan *s)
{
	for (; s; s = s->next)
		mw__audit_span(s);
}

/* --- who allocated it, and who may free it --------------------------------------------- */

static uint8_t *origin_of(const mspan *s, unsigned idx)
{
	return (uint8_t *)((uint16_t *)s->aux + s->nelems) + idx;
}

static void expect_origin(mspan *s, const void *p, unsigned was, enum mw_origin wanted)
{
	static const char *const from[] = { "malloc", "new", "new[]" }, *const to[] = { "free or realloc", "delete", "delete[]" };
	char detail[64];

	if (was == wanted || !mw__options.mismatch)
		return;
	mw__format(detail, sizeof(detail), "from %s, given to %s", from[was], to[wanted]);
	mw__error(MW_ERROR_MISMATCH, p, s, detail);
}

static unsigned origin_of_single(const mspan *s)
{
	return s->flags & MW_SPAN_NEW ? BY_NEW : s->flags & MW_SPAN_NEW_ARRAY ? BY_NEW_ARRAY : BY_MALLOC;
}

static void set_origin(mspan *s, unsigned idx, enum mw_origin by)
{
	if (s->state == MW_SPAN_SMALL)
		*origin_of(s, idx) = (uint8_t)by;
	else
		s->flags = (uint8_t)((s->flags & ~(MW_SPAN_NEW | MW_SPAN_NEW_ARRAY)) |
				     (by == BY_NEW ? MW_SPAN_NEW : by == BY_NEW_ARRAY ? MW_SPAN_NEW_ARRAY : 0));
}

/* The span of a live block of malloc's; NULL: free() will say what it is. */
static mspan *span_of_live(const void *p, unsigned *idx)
{
	heap_arena *a = mw__arena_of(p);
	mspan *s = a ? span_at(a, (uintptr_t)p) : NULL;
	bool exact;

	*idx = 0;
	if (!s)
		s = mw__huge_find(p);
	if (!s || s->state >= MW_SPAN_PRIVATE)
		return NULL;
	if (s->state != MW_SPAN_SMALL)
		return s->used && p == mw__span_block(s) ? s : NULL;
	*idx = mw__object_index(s, (uintptr_t)p, &exact);
	return s->aux && exact && mw__is_out(s, *idx) ? s : NULL;
}

void mw__audit_came(void *p, enum mw_origin by)
{
	unsigned idx;
	mspan *s = span_of_live(p, &idx);

	if (s)
		set_origin(s, idx, by);
}

void mw__audit_goes(void *p, enum mw_origin by)
{
	unsigned idx;
	mspan *s = span_of_live(p, &idx);

	if (!s)
		return;
	expect_origin(s, p, s->state == MW_SPAN_SMALL ? *origin_of(s, idx) : origin_of_single(s), by);
	set_origin(s, idx, BY_MALLOC); /* free() may have it */
}

void mw__audit_free(mspan *s, void *p)
{
	mcentral *m = mw__central_lock(s->cls);
	bool exact;
	unsigned idx = mw__object_index(s, (uintptr_t)p, &exact);

	m->n_flushes++;
	if (!exact) {
		mw__error(MW_ERROR_INTERIOR_FREE, p, s, NULL);
	} else if (!mw__is_out(s, idx)) {
		mw__error(mw__not_out(s, idx), p, s, NULL);
	} else {
		expect_origin(s, p, *origin_of(s, idx), BY_MALLOC);
		*origin_of(s, idx) = BY_MALLOC;
		mw__audit_bury(s, idx);
		mw__central_put(m, s, idx);
	}
	mw__central_unlock(m);
}

size_t mw__audit_usable(const mspan *s, const void *p)
{
	const uint16_t *slack = s->aux;
	bool exact;
	unsigned idx = mw__object_index(s, (uintptr_t)p, &exact);

	if (!slack || !option(MW_OPT_AUDIT))
		return s->elemsize;
	return exact ? s->elemsize - slack[idx] : 0;
}

/* In place, when the object is long enough, and not half empty if it shrinks. The lock of its mcentral, or heap. */
bool mw__audit_resize(mspan *s, void *p, size_t n)
{
	bool exact;
	unsigned idx = mw__object_index(s, (uintptr_t)p, &exact);
	uint16_t *slack = s->aux;

	if (!exact || n + !!option(MW_OPT_AUDIT) > s->elemsize || (n < s->elemsize / 2 && n + slack[idx] < s->elemsize))
		return false;
	expect_origin(s, p, *origin_of(s, idx), BY_MALLOC);
	if (option(MW_OPT_AUDIT))
		check_canary(s, idx);
	slack[idx] = (uint16_t)(s->elemsize - n);
	if (option(MW_OPT_AUDIT))
		memset((char *)p + n, CANARY, slack[idx]);
	return true;
}

/* --- single blocks ----------------------------------------------------------------- */

static size_t seal_size(const mspan *s)
{
	size_t room = mw__span_usable(s) - s->requested;

	return room < SEAL_BYTES ? room : SEAL_BYTES;
}

static void set_sealed(mspan *s, bool sealed)
{
	if (s->state < MW_SPAN_PRIVATE)
		__atomic_store_n(&s->flags, (uint8_t)((s->flags & ~MW_SPAN_SEALED) | (sealed ? MW_SPAN_SEALED : 0)),
				 __ATOMIC_RELEASE);
}

void mw__audit_seal(mspan *s)
{
	if (!option(MW_OPT_AUDIT))
		return;
	memset((char *)mw__span_block(s) + s->requested, CANARY, seal_size(s));
	set_sealed(s, true);
}

void mw__audit_check(mspan *s)
{
	unsigned char *p = mw__span_block(s);

	if (option(MW_OPT_AUDIT) && !all_bytes(p + s->requested, seal_size(s), CANARY))
		mw__error(MW_ERROR_OVERFLOW, p, s, NULL);
	if (option(MW_OPT_AUDIT)) {
		set_sealed(s, false);
		__atomic_thread_fence(__ATOMIC_RELEASE); /* before it is cleared, or somebody else's */
		expect_origin(s, p, origin_of_single(s), BY_MALLOC);
		set_origin(s, 0, BY_MALLOC);
	}
	if (option(MW_OPT_ZERO) && s->state != MW_SPAN_HUGE && s->state != MW_SPAN_PRIVATE_HUGE)
		memset(p, 0, mw__span_usable(s));
}

/* --- at exit ----------------------------------------------------------------------- */

#define BROKEN_MAX 8

/*
 * Other threads go on. A block is looked at only while it is sealed: it is when it has its canary, and no more
 * before it changes hands, which takes the heap lock that the caller holds.
 */
static bool is_broken(mspan *s)
{
	return s->state < MW_SPAN_PRIVATE && s->state != MW_SPAN_SMALL && __atomic_load_n(&s->flags, __ATOMIC_ACQUIRE) & MW_SPAN_SEALED &&
	       !all_bytes((unsigned char *)mw__span_block(s) + s->requested, seal_size(s), CANARY) &&
	       __atomic_load_n(&s->flags, __ATOMIC_ACQUIRE) & MW_SPAN_SEALED;
}

static unsigned find_broken(mspan **v)
{
	unsigned n = 0;

	mw__heap_lock();
	for (uint64_t i = 0; i < heap.n_arenas; i++)
		for (uint32_t page = 0; page < MW_ARENA_PAGES; page++) {
			mspan *s = heap.arenas[i]->spans[page];

			if (!s)
				continue;
			if (n < BROKEN_MAX && is_broken(s))
				v[n++] = s;
			page += s->npages - 1;
		}
	for (uint64_t i = 0; i < heap.n_huge_slots; i++)
		if (n < BROKEN_MAX && heap.huge[i] && is_broken(heap.huge[i]))
			v[n++] = heap.huge[i];
	mw__heap_unlock();
	return n;
}

static void check_singles(void)
{
	mspan *v[BROKEN_MAX];
	unsigned n = find_broken(v);

	for (unsigned i = 0; i < n; i++)
		mw__error(MW_ERROR_OVERFLOW, mw__span_block(v[i]), v[i], NULL);
}

void mw__audit_at_exit(void)
{
	for (unsigned c = 1; c < MW_N_CLASSES; c++) {
		mcentral *m = mw__central_lock(c);

		for (unsigned f = 0; f < MW_N_FULLNESS; f++)
			check_list(m->lists[f]);
		mw__central_unlock(m);
	}
	check_singles();
	mw__private_audit();
}
