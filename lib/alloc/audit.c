/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * audit.c - the checked paths: options audit, zero, random (and nocache).
 *
 * With any of them no mcache keeps anything: class bytes stay 0, so every malloc and
 * free comes here and works on the span's bitmap under its mcentral's lock. So a
 * second free is seen at once, whatever happened in between.
 *
 *   audit   the bytes between the requested size and the object's end hold a canary,
 *           checked at free; a freed object is filled, and checked when it is handed
 *           out again; malloc_usable_size is what was requested
 *   zero    a freed object is cleared (and, with audit, must still be clear later)
 *   random  a free object is chosen at random, not the lowest
 *
 * The slack of every object (object size - requested) stands in span->aux.
 */
#include "internal.h"

#define CANARY 0xc5
#define FREED 0xdf
#define SLACK_FREED 0xffffu /* in place of a slack: the object is free and filled */
#define SEAL_BYTES 64u /* canary behind a large block, at most */

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

static uint16_t *slack_of(mspan *s)
{
	if (!s->aux && (s->aux = mw__meta_array(s->nelems * sizeof(uint16_t))))
		memset(s->aux, 0, s->nelems * sizeof(uint16_t));
	return s->aux;
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

/* Objects that were never handed out hold what the page held; freed ones are marked. */
static void check_freed(mspan *s, unsigned idx, const unsigned char *p)
{
	if (((uint16_t *)s->aux)[idx] == SLACK_FREED && !all_bytes(p, s->elemsize, freed_byte()))
		mw__error(MW_ERROR_WRITE_AFTER_FREE, p, s, NULL);
}

void *mw__audit_alloc(size_t n, unsigned c)
{
	mcentral *m = mw__central_lock(c);
	mspan *s = mw__central_pick(m);
	unsigned char *p = NULL;
	uint16_t *slack;

	if (s && (slack = slack_of(s))) {
		unsigned idx = free_index(s, option(MW_OPT_RANDOM) ?
						     (unsigned)(mw__os_random() % s->nelems) : 0);

		p = mw__central_take(m, s, idx);
		check_freed(s, idx, p);
		slack[idx] = (uint16_t)(s->elemsize - n);
		if (option(MW_OPT_AUDIT))
			memset(p + n, CANARY, slack[idx]);
	}
	m->n_fetches++;
	mw__central_unlock(m);
	return p;
}

void mw__audit_retire(mspan *s)
{
	for (unsigned i = 0; i < s->nfresh; i++)
		check_freed(s, i, (unsigned char *)s->base + (uint64_t)i * s->elemsize);
}

static bool is_out(const mspan *s, unsigned idx)
{
	return s->alloc_bits[idx / 64] >> (idx % 64) & 1;
}

static void check_canary(mspan *s, unsigned idx, unsigned char *p)
{
	uint16_t *slack = (uint16_t *)s->aux + idx;

	if (option(MW_OPT_AUDIT) && !all_bytes(p + s->elemsize - *slack, *slack, CANARY))
		mw__error(MW_ERROR_OVERFLOW, p, s, NULL);
	if (option(MW_OPT_AUDIT | MW_OPT_ZERO))
		memset(p, freed_byte(), s->elemsize);
	if (option(MW_OPT_AUDIT))
		*slack = SLACK_FREED;
}

void mw__audit_free(mspan *s, void *p)
{
	mcentral *m = mw__central_lock(s->cls);
	bool exact;
	unsigned idx = mw__object_index(s, (uintptr_t)p, &exact);

	m->n_flushes++;
	if (!exact) {
		mw__error(MW_ERROR_INTERIOR_FREE, p, s, NULL);
	} else if (!is_out(s, idx)) {
		mw__error(MW_ERROR_DOUBLE_FREE, p, s, NULL);
	} else {
		check_canary(s, idx, p);
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

/* In place, when the object is long enough and not half empty. */
bool mw__audit_resize(mspan *s, void *p, size_t n)
{
	bool exact;
	unsigned idx = mw__object_index(s, (uintptr_t)p, &exact);
	uint16_t *slack = s->aux;

	if (!exact || n >= s->elemsize || n < s->elemsize / 2)
		return false;
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

void mw__audit_seal(mspan *s)
{
	if (option(MW_OPT_AUDIT))
		memset((char *)mw__span_block(s) + s->requested, CANARY, seal_size(s));
}

void mw__audit_check(mspan *s)
{
	unsigned char *p = mw__span_block(s);

	if (option(MW_OPT_AUDIT) && !all_bytes(p + s->requested, seal_size(s), CANARY))
		mw__error(MW_ERROR_OVERFLOW, p, s, NULL);
	if (option(MW_OPT_ZERO) && s->state != MW_SPAN_HUGE)
		memset(p, 0, mw__span_usable(s));
}
