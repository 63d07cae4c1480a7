/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * large.c - blocks that are a span of their own inside an arena.
 *
 * Large blocks (above 32 KiB, up to 32 MiB) are runs of pages. A thread keeps a few
 * that it freed, so that a buffer which comes and goes costs no lock and no fault.
 * Sampled blocks are small ones that the sampler picked: with a run of their own,
 * their pages have class byte 0, so free() finds them without testing anything on
 * the usual path. With the guard option both end in an unreadable page, and stay
 * unreadable for a while after free.
 */
#include "internal.h"

#define KEEP_PAGES 64u /* 512 KiB a thread, or its share of a quarter of the heap */
#define LARGEST 4       /* a kept run is at most this part of what may be kept */
#define LENGTHS 7u       /* a cached run may be of the length wanted or of the next two */
#define N_QUARANTINE 64
#define MAX_GUARDED 8192u /* a guard page costs a mapping or two, of which the kernel allows 65,530 */

static mspan *quarantine[N_QUARANTINE]; /* ring of guarded freed spans; under the heap lock */
static unsigned quarantine_at;
static uint32_t n_guarded; /* with those in the ring; under the heap lock */

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

/* Pages of free runs that a thread may keep: a quarter of the heap, for all of them. */
static uint64_t keep_limit(void)
{
	uint64_t share = load_relaxed(&heap.pages_in_use) / 4 / (region.n_mcaches ? region.n_mcaches : 1);

	return share > KEEP_PAGES ? share : KEEP_PAGES;
}

static mspan *take_out(mcache *mc, uint32_t list)
{
	mspan *s = mc->run_lists[list];

	mc->run_lists[list] = s->next;
	if (!s->next)
		mc->run_mask &= ~(1ULL << list);
	mc->n_runs--;
	mc->run_pages -= s->npages;
	return s;
}

static mspan *cached_run(mcache *mc, uint32_t n)
{
	uint32_t list = mw_abi_run_list(n);
	uint64_t fit = list < MW_N_RUN_LISTS ? mc->run_mask >> list & LENGTHS : 0;
	mspan *s;

	if (!fit)
		return NULL;
	s = take_out(mc, list + (uint32_t)__builtin_ctzll(fit));
	mc->n_run_hits++;
	mc->n_run_pages += s->npages;
	mc->runs_busy = 1;
	return s;
}

static void end_run(mspan *s) /* heap lock */
{
	mw__span_retire(s);
	mw__run_free(s);
	mw__span_delete(s);
}

static void to_heap(mspan *s) /* heap lock */
{
	heap.n_large_frees++;
	end_run(s);
}

static void give_back(mspan *s)
{
	mw__heap_lock();
	to_heap(s);
	mw__heap_unlock();
}

/*
 * The heap is about to grow: what this thread keeps is used before. Under the heap lock;
 * inside a section of the mcache or not. False: there is nothing.
 */
bool mw__large_spill(void)
{
	mcache *mc = mw__mcache;
	bool outside;

	if (!mcache_is_real(mc) || mc->n_runs == 0)
		return false;
	outside = !(mc->seq & 1);
	if (outside)
		mw__mcache_enter(mc);
	while (mc->n_runs > 0)
		to_heap(take_out(mc, (uint32_t)__builtin_ctzll(mc->run_mask)));
	if (outside)
		mw__mcache_leave(mc);
	return true;
}

/* Drop a run, of each length in turn. */
static void evict_run(mcache *mc)
{
	uint64_t after = mc->run_hand < MW_N_RUN_LISTS - 1 ? ~0ULL << (mc->run_hand + 1) : 0;
	uint64_t next = mc->run_mask & after ? mc->run_mask & after : mc->run_mask;

	mc->run_hand = (uint32_t)__builtin_ctzll(next);
	give_back(take_out(mc, mc->run_hand));
}

/* Others may have to go for it: then something has come to the heap all the same. */
static bool keep_run(mcache *mc, mspan *s, bool *evicted)
{
	uint32_t list = mw_abi_run_list(s->npages);
	uint64_t limit = keep_limit();

	if (option(MW_OPT_NO_CACHE) || list >= MW_N_RUN_LISTS || s->npages > limit / LARGEST)
		return false;
	for (; mc->run_pages + s->npages > limit; *evicted = true)
		evict_run(mc);
	s->state = MW_SPAN_CACHED;
	s->used = 0;
	s->flags |= MW_SPAN_NEEDZERO;
	s->next = mc->run_lists[list];
	mc->run_lists[list] = s;
	mc->run_mask |= 1ULL << list;
	mc->n_runs++;
	mc->run_pages += s->npages;
	mc->runs_busy = 1;
	return true;
}

void mw__large_flush(mcache *mc)
{
	while (mc->n_runs > 0)
		evict_run(mc);
}

void mw__large_look(mcache *mc)
{
	if (!mc->runs_busy)
		for (uint32_t n = (mc->n_runs + 1) / 2; n > 0; n--)
			evict_run(mc);
	mc->runs_busy = 0;
}

/* --- guard pages -------------------------------------------------------------------- */

static bool may_guard(size_t size) /* heap lock */
{
	return option(MW_OPT_GUARD) && n_guarded < MAX_GUARDED && pages_of(size) < MAX_RUN_PAGES;
}

/* The block ends at the last page of @s. It begins in the first, where free() looks for its span. */
static void put_guard(mspan *s, size_t size, size_t align) /* heap lock */
{
	uint64_t guard = s->base + ((uint64_t)(s->npages - 1) << MW_PAGE_SHIFT);
	uint64_t at = guard - round_up(size ? size : 1, MIN_ALIGN);

	mw__os_protect((void *)guard, MW_PAGE_SIZE, false);
	s->flags |= MW_SPAN_GUARDED;
	s->aux = (void *)(at & ~(uint64_t)(align - 1));
	n_guarded++;
}

/* Keep a freed guarded run unreadable, without memory; what falls out of the ring is reused. */
static mspan *quarantine_push(mspan *s) /* heap lock */
{
	mspan *out = quarantine[quarantine_at];
	size_t size = (size_t)s->npages << MW_PAGE_SHIFT;

	mw__os_purge((void *)s->base, size, false);
	mw__os_protect((void *)s->base, size, false);
	s->flags |= MW_SPAN_FREED;
	quarantine[quarantine_at] = s;
	quarantine_at = (quarantine_at + 1) % N_QUARANTINE;
	return out;
}

/*
 * Out of the ring, and readable again. One between others that are unreadable takes a mapping more; where there
 * can be none it stays, without memory, for nobody could use it.
 */
static bool release(mspan *s) /* heap lock */
{
	if (!mw__os_protect((void *)s->base, (size_t)s->npages << MW_PAGE_SHIFT, true))
		return false;
	n_guarded--;
	end_run(s);
	return true;
}

/* Memory is short: what is kept unreadable becomes free. Returns the bytes of it. */
size_t mw__quarantine_drop(void)
{
	size_t freed = 0;

	mw__heap_lock();
	for (unsigned i = 0; i < N_QUARANTINE; i++) {
		mspan *s = quarantine[i];
		size_t size = s ? (size_t)s->npages << MW_PAGE_SHIFT : 0;

		if (!s || !release(s))
			continue;
		quarantine[i] = NULL;
		freed += size;
	}
	mw__heap_unlock();
	return freed;
}

void mw__guarded_free(mspan *s)
{
	mspan *out = s;

	s->used = 0;
	if (s->flags & MW_SPAN_GUARDED && (out = quarantine_push(s)))
		release(out);
	else if (out)
		end_run(out);
}

/* --- large blocks ------------------------------------------------------------------ */

static bool find_pages(mspan *s, uint32_t n, uint32_t align_pages, uint32_t room)
{
	if (room)
		return mw__run_alloc_roomy(s, n, room);
	if (align_pages > 1)
		return mw__run_alloc(s, n, align_pages);
	return mw__run_find_large(s, n) || (mw__large_spill() && mw__run_find_large(s, n)) ||
	       mw__run_alloc_large(s, n);
}

static mspan *new_run(uint32_t n, uint32_t align_pages, uint32_t room)
{
	mspan *s;

	mw__heap_lock();
	s = mw__span_new();
	if (s && !find_pages(s, n, align_pages, room)) {
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

mspan *mw__guarded_run(size_t size)
{
	mspan *s = may_guard(size) ? mw__span_new() : NULL;

	if (s && !mw__run_alloc(s, pages_of(size ? size : 1) + 1, 1)) {
		mw__span_delete(s);
		s = NULL;
	}
	if (s)
		put_guard(s, size, MIN_ALIGN);
	return s;
}

static mspan *new_guarded(size_t size)
{
	mspan *s;

	mw__heap_lock();
	s = mw__guarded_run(size);
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
	/* audit wants one byte behind the block */
	uint32_t n = mw__run_round(pages_of((size ? size : 1) + !!option(MW_OPT_AUDIT)));
	mspan *s = NULL;

	if (unlikely(option(MW_OPT_GUARD)) && align <= MIN_ALIGN)
		s = new_guarded(size);
	if (!s && mcache_is_real(mc) && align <= MW_PAGE_SIZE && !room) {
		mw__mcache_enter(mc);
		s = cached_run(mc, n);
		mw__mcache_look(mc);
		mw__mcache_leave(mc);
	}
	if (!s)
		s = new_run(n, pages_of(align), pages_of(room));
	if (!s)
		return NULL;
	if (!(s->flags & MW_SPAN_GUARDED))
		s->aux = NULL;
	s->elemsize = 0;
	s->cls = 0;
	s->site = 0;
	s->nelems = s->used = 1;
	s->requested = size;
	store_relaxed(&s->state, MW_SPAN_LARGE);
	return s;
}

void mw__large_free(mcache *mc, mspan *s)
{
	bool kept = false, evicted = false;

	if (mcache_is_real(mc) && !(s->flags & MW_SPAN_GUARDED)) {
		mw__mcache_enter(mc);
		kept = keep_run(mc, s, &evicted);
		mw__mcache_leave(mc);
	}
	if (!kept) {
		mw__heap_lock();
		heap.n_large_frees++;
		mw__guarded_free(s);
		mw__heap_unlock();
	}
	if (!kept || evicted)
		mw__scavenge_tick();
}

bool mw__large_resize(mspan *s, size_t size)
{
	uint32_t n = mw__run_round(pages_of(size)), old = s->npages;
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

mspan *mw__sampled_alloc(size_t size, size_t align, unsigned cls)
{
	bool guard;
	mspan *s;

	mw__heap_lock();
	guard = may_guard(size);
	s = mw__span_new();
	if (s && !mw__run_alloc(s, guard ? pages_of(size ? size : 1) + 1 : pages_of(mw__classes[cls].size), 1)) {
		mw__span_delete(s);
		s = NULL;
	}
	if (s) {
		heap.n_sampled_allocs++;
		s->cls = (uint8_t)cls;
		s->elemsize = mw__classes[cls].size;
		s->nelems = s->used = 1;
		s->requested = size;
		s->aux = (void *)s->base;
		if (guard)
			put_guard(s, size, align < MIN_ALIGN ? MIN_ALIGN : align);
		s->state = MW_SPAN_SAMPLED;
		mw__span_publish(s, 0);
	}
	mw__heap_unlock();
	return s;
}

void mw__sampled_free(mspan *s)
{
	mw__heap_lock();
	heap.n_sampled_frees++;
	mw__guarded_free(s);
	mw__heap_unlock();
}
