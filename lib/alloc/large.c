/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * large.c - blocks that are a span of their own inside an arena.
 *
 * Large blocks (above 32 KiB, up to 32 MiB) are runs of pages. A thread keeps a few
 * that it freed, so that a buffer which comes and goes costs no lock and no fault.
 * Sampled blocks are small ones that the sampler picked: with a run of their own,
 * their pages have class byte 0, so free() finds them without testing anything on
 * the usual path. With the guard option such a run ends in an unreadable page, and
 * after free it stays unreadable for a while.
 */
#include "internal.h"

#define MAX_CACHED_PAGES 128u /* 1 MiB a thread */
#define N_QUARANTINE 64

static mspan *quarantine[N_QUARANTINE]; /* ring of guarded freed spans; under the heap lock */
static unsigned quarantine_at;

void *mw__span_block(const mspan *s)
{
	return s->aux ? s->aux : (void *)s->base;
}

size_t mw__span_usable(const mspan *s)
{
	if (s->flags & MW_SPAN_GUARDED)
		return round_up(s->requested ? s->requested : 1, MIN_ALIGN);
	if (s->elemsize)
		return s->elemsize;
	return ((size_t)s->npages << MW_PAGE_SHIFT) - ((uintptr_t)mw__span_block(s) - s->base);
}

/* --- a thread's runs ------------------------------------------------------------- */

static mspan *cached_run(mcache *mc, uint32_t n)
{
	for (unsigned i = 0; i < MW_MCACHE_RUNS; i++) {
		mspan *s = mc->runs[i];

		if (!s || s->npages != n)
			continue;
		for (; i + 1 < MW_MCACHE_RUNS; i++)
			mc->runs[i] = mc->runs[i + 1];
		mc->runs[MW_MCACHE_RUNS - 1] = NULL;
		mc->n_run_hits++;
		mc->n_run_pages += n;
		return s;
	}
	return NULL;
}

static uint32_t cached_pages(const mcache *mc)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < MW_MCACHE_RUNS; i++)
		sum += mc->runs[i] ? mc->runs[i]->npages : 0;
	return sum;
}

static void give_back(mspan *s)
{
	mw__heap_lock();
	heap.n_large_frees++;
	mw__span_retire(s);
	mw__run_free(s);
	mw__span_delete(s);
	mw__heap_unlock();
}

/* Drop the oldest run. True if there was one. */
static bool evict_run(mcache *mc)
{
	unsigned i = MW_MCACHE_RUNS;

	while (i-- > 0) {
		mspan *s = mc->runs[i];

		if (!s)
			continue;
		mc->runs[i] = NULL;
		give_back(s);
		return true;
	}
	return false;
}

static bool keep_run(mcache *mc, mspan *s)
{
	if (option(MW_OPT_NO_CACHE) || s->npages > MAX_CACHED_PAGES)
		return false;
	while (mc->runs[MW_MCACHE_RUNS - 1] || cached_pages(mc) + s->npages > MAX_CACHED_PAGES)
		if (!evict_run(mc))
			return false;
	s->state = MW_SPAN_CACHED;
	s->used = 0;
	s->flags |= MW_SPAN_NEEDZERO;
	for (unsigned i = MW_MCACHE_RUNS - 1; i > 0; i--)
		mc->runs[i] = mc->runs[i - 1];
	mc->runs[0] = s;
	return true;
}

void mw__large_flush(mcache *mc)
{
	for (unsigned i = 0; i < MW_MCACHE_RUNS; i++) {
		mspan *s = mc->runs[i];

		mc->runs[i] = NULL;
		if (s)
			give_back(s);
	}
}

/* --- large blocks ------------------------------------------------------------------ */

static mspan *new_run(uint32_t n, uint32_t align_pages, uint32_t room)
{
	mspan *s;

	mw__heap_lock();
	s = mw__span_new();
	if (s && !(room ? mw__run_alloc_roomy(s, n, room) : mw__run_alloc(s, n, align_pages))) {
		mw__span_delete(s);
		s = NULL;
	}
	if (s) {
		heap.n_large_allocs++;
		s->state = MW_SPAN_LARGE;
		mw__span_publish(s, 0);
	}
	mw__heap_unlock();
	return s;
}

/* With @room the block is to grow: so many bytes behind it had better be free. */
mspan *mw__large_alloc(mcache *mc, size_t size, size_t align, size_t room)
{
	uint32_t n = pages_of(size ? size : 1);
	mspan *s = NULL;

	if (mcache_is_real(mc) && align <= MW_PAGE_SIZE && !room) {
		mw__mcache_enter(mc);
		s = cached_run(mc, n);
		mw__mcache_leave(mc);
	}
	if (!s)
		s = new_run(n, pages_of(align), pages_of(room));
	if (!s)
		return NULL;
	s->elemsize = 0;
	s->cls = 0;
	s->site = 0;
	s->aux = NULL;
	s->nelems = s->used = 1;
	s->requested = size;
	store_relaxed(&s->state, MW_SPAN_LARGE);
	return s;
}

void mw__large_free(mcache *mc, mspan *s)
{
	bool kept = false;

	if (mcache_is_real(mc)) {
		mw__mcache_enter(mc);
		kept = keep_run(mc, s);
		mw__mcache_leave(mc);
	}
	if (kept)
		return;
	give_back(s);
	mw__scavenge_tick();
}

bool mw__large_resize(mspan *s, size_t size)
{
	uint32_t n = pages_of(size), old = s->npages;
	bool ok = true;

	if (n == old)
		return true;
	mw__heap_lock();
	if (n < old)
		mw__run_shrink(s, n);
	else
		ok = mw__run_grow(s, n);
	mw__heap_unlock();
	return ok;
}

/* --- sampled blocks ------------------------------------------------------------------ */

static void place_block(mspan *s, size_t size, size_t align)
{
	if (option(MW_OPT_GUARD)) {
		uint64_t guard = s->base + ((uint64_t)(s->npages - 1) << MW_PAGE_SHIFT);
		uint64_t at = guard - round_up(size ? size : 1, MIN_ALIGN);

		mw__os_protect((void *)guard, MW_PAGE_SIZE, false);
		s->flags |= MW_SPAN_GUARDED;
		s->aux = (void *)(at & ~(uint64_t)(align - 1));
	} else {
		s->aux = (void *)s->base;
	}
}

mspan *mw__sampled_alloc(size_t size, size_t align, unsigned cls)
{
	/* a guarded block begins in the first page, where free() looks for its span */
	uint32_t n = option(MW_OPT_GUARD) ? pages_of(size ? size : 1) + 1
					  : pages_of(mw__classes[cls].size);
	mspan *s;

	mw__heap_lock();
	s = mw__span_new();
	if (s && !mw__run_alloc(s, n, 1)) {
		mw__span_delete(s);
		s = NULL;
	}
	if (s) {
		heap.n_sampled_allocs++;
		s->cls = (uint8_t)cls;
		s->elemsize = mw__classes[cls].size;
		s->nelems = s->used = 1;
		s->requested = size;
		place_block(s, size, align < MIN_ALIGN ? MIN_ALIGN : align);
		s->state = MW_SPAN_SAMPLED;
		mw__span_publish(s, 0);
	}
	mw__heap_unlock();
	return s;
}

/* Keep a freed guarded run unreadable; what falls out of the ring is reused. */
static mspan *quarantine_push(mspan *s)
{
	mspan *out = quarantine[quarantine_at];

	mw__os_protect((void *)s->base, (size_t)s->npages << MW_PAGE_SHIFT, false);
	s->flags |= MW_SPAN_FREED;
	quarantine[quarantine_at] = s;
	quarantine_at = (quarantine_at + 1) % N_QUARANTINE;
	if (out)
		mw__os_protect((void *)out->base, (size_t)out->npages << MW_PAGE_SHIFT, true);
	return out;
}

void mw__sampled_free(mspan *s)
{
	mw__heap_lock();
	heap.n_sampled_frees++;
	s->used = 0;
	if (s->flags & MW_SPAN_GUARDED)
		s = quarantine_push(s);
	if (s) {
		mw__span_retire(s);
		mw__run_free(s);
		mw__span_delete(s);
	}
	mw__heap_unlock();
}
