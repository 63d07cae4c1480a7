/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cache.c - mcache: what a thread keeps for itself.
 *
 * For each class a bin: an array of pointers with NULL sentinels below the first.
 * malloc pops, free pushes; neither takes a lock nor looks at a span. An empty bin
 * refills from its mcentral, a full one grows (7 entries at first, 1 in a crowd of
 * threads, 128 KiB of objects at most, and only when it has been empty since it was
 * last full) or gives its older half back. Go's mcache holds a span a class instead:
 * there a collector frees, so nothing comes back one by one.
 *
 * A thread without an mcache uses NO_MCACHE, whose bins are all empty and full
 * at once, so that the usual paths need no test for it. After a thread's destructor
 * has run it uses GONE_MCACHE, which looks the same: late blocks then go
 * straight to the mcentral. Neither is ever written.
 *
 * seq is odd while bins change by more than one entry, or the runs at all. fork's child
 * takes over what the threads that it lacks had, except those caught with an odd seq.
 */
#include "internal.h"

#include <pthread.h>

#define RAMP 2u               /* batches that a bin grows to without being asked twice */
#define BINS_MIN (1u << 20)   /* bytes that the bins of a thread have room for, */
#define BINS_SHARE 8          /* besides their share of this part of the heap */
#define FIRST_CAP 7u          /* with the sentinel a power of two, as their memory comes */
#define CROWD 32u             /* threads, above which a bin begins with one object */
#define LOOK_PERIOD 64u /* slow paths */

static void *const null_slot = NULL;
#define EMPTY ((void **)&null_slot)

struct mw_no_cache mw__no_cache = {
	.bins = { [0 ... MW_N_CLASSES] = { .top = EMPTY, .end = EMPTY } },
};
__thread mcache *mw__mcache __attribute__((tls_model("initial-exec"))) = NO_MCACHE;

TOGETHER struct mw_lock mw__registry_lock;
TOGETHER static pthread_key_t exit_key;
TOGETHER static bool have_exit_key;

unsigned mw__mcache_count(const struct mw_bin *b)
{
	return (unsigned)(b->top - b->base);
}

/* --- bins ------------------------------------------------------------------------- */

static size_t array_size(uint32_t cap)
{
	return (1 + cap) * sizeof(void *);
}

static void array_free(const struct mw_bin *b)
{
	if (b->cap)
		mw__meta_array_free(b->base, array_size(b->cap));
}

/* Bytes that the bins of a thread may have room for; each may begin all the same. */
static uint64_t bins_limit(void)
{
	uint64_t share = (load_relaxed(&heap.pages_in_use) << MW_PAGE_SHIFT) / BINS_SHARE;

	return BINS_MIN + share / (region.n_mcaches ? region.n_mcaches : 1);
}

/*
 * Room pays where objects come back and are wanted again. A thread that only takes or
 * only gives meets the mcentral once a batch, however long its bin is.
 */
static bool bin_grow(mcache *mc, struct mw_bin *b, unsigned c, enum mw_slow event)
{
	const struct mw_class *k = &mw__classes[c];
	uint32_t cap = b->cap ? b->cap * 2 + 1 : region.n_mcaches > CROWD ? 1 : FIRST_CAP;
	unsigned n = mw__mcache_count(b);
	bool again = mc->last_slow[c] == event;
	uint64_t bytes;
	void **fresh;

	mc->last_slow[c] = event;
	cap = cap < k->max_bin ? cap : k->max_bin;
	bytes = mc->bin_bytes + (uint64_t)(cap - b->cap) * k->size;
	if (cap == b->cap || (again && b->cap + 1 >= RAMP * k->batch) ||
	    (cap > RAMP * k->batch && b->cap && bytes > bins_limit()) || !(fresh = mw__meta_array(array_size(cap))))
		return false;
	mc->bin_bytes = bytes;
	fresh[0] = NULL;
	memcpy(fresh + 1, b->base + 1, n * sizeof(void *));
	array_free(b);
	b->top = fresh + n;
	b->end = fresh + cap;
	__atomic_store_n(&b->base, fresh, __ATOMIC_RELEASE);
	__atomic_store_n(&b->cap, cap, __ATOMIC_RELEASE);
	return true;
}

/* Straight to the spans, so that pages come free. */
static void flush_quiet(mcache *mc, unsigned c)
{
	struct mw_bin *b = &mc->bins[c];
	unsigned n = (mw__mcache_count(b) + 1) / 2, left = mw__mcache_count(b) - n;

	mw__central_return(c, b->base + 1, n);
	memmove(b->base + 1, b->base + 1 + n, left * sizeof(void *));
	b->top = b->base + left;
	mc->n_flushed[c] += n;
}

static void bin_drop(mcache *mc, unsigned c)
{
	struct mw_bin *b = &mc->bins[c];

	mc->bin_bytes -= (uint64_t)b->cap * mw__classes[c].size;
	array_free(b);
	b->divisor = mw__classes[c].divisor;
	b->top = b->end = EMPTY;
	__atomic_store_n(&b->cap, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&b->base, EMPTY, __ATOMIC_RELEASE);
}

/* While its thread may change it: an array that is not its any more stays readable, and cap tells no more than it has. */
static bool bin_holds(const struct mw_bin *b, const void *p)
{
	void **base = __atomic_load_n(&b->base, __ATOMIC_ACQUIRE);
	uint32_t cap = __atomic_load_n(&b->cap, __ATOMIC_ACQUIRE);
	void **top = load_relaxed(&b->top);

	if (load_relaxed(&b->base) != base)
		return false;
	for (uint32_t i = 1; i <= cap && base + i <= top; i++)
		if (load_relaxed(&base[i]) == p)
			return true;
	return false;
}

/* Does a thread keep @p, of class @c? Threads that are at it just now may be missed. */
bool mw__mcaches_hold(unsigned c, const void *p)
{
	for (const mcache *mc = load_relaxed(&region.mcaches); mc; mc = mc->next)
		if (bin_holds(&mc->bins[c], p))
			return true;
	return false;
}

/*
 * Now and then: half of each bin that was not empty since the last look goes back, and the
 * room of those that stand empty goes to others.
 */
void mw__mcache_look(mcache *mc)
{
	if (mc->until_look-- > 0)
		return;
	mc->until_look = LOOK_PERIOD;
	for (unsigned c = 1; c < MW_N_CLASSES; c++) {
		if (mc->bins[c].top != mc->bins[c].base && !mc->is_busy[c])
			flush_quiet(mc, c);
		else if (mc->bins[c].cap && !mc->is_busy[c])
			bin_drop(mc, c);
		mc->is_busy[c] = 0;
	}
	mw__large_look(mc);
}

/* Bin @c is empty: fetch. False when there is no memory. */
bool mw__mcache_refill(mcache *mc, unsigned c)
{
	const struct mw_class *k = &mw__classes[c];
	struct mw_bin *b = &mc->bins[c];
	unsigned want, got = 0;

	mw__mcache_enter(mc);
	mc->n_refills++;
	bin_grow(mc, b, c, MW_SLOW_REFILL);
	if (b->cap > 0) {
		want = (b->cap + 1) / 2 < k->batch ? (b->cap + 1) / 2 : k->batch;
		got = mw__central_fetch(c, b->base + 1 + want, want);
		if (got < want)
			memmove(b->base + 1, b->base + 1 + want - got, got * sizeof(void *));
		mc->n_fetched[c] += got;
		b->top = b->base + got;
		mc->is_busy[c] = 1;
	}
	mw__mcache_look(mc);
	mw__mcache_leave(mc);
	return got > 0;
}

/* Give the @n oldest objects of a bin back. */
static void flush_oldest(mcache *mc, unsigned c, unsigned n)
{
	struct mw_bin *b = &mc->bins[c];
	unsigned batch = mw__classes[c].batch, left = mw__mcache_count(b) - n;

	for (unsigned at = 0; at < n; at += batch)
		mw__central_flush(c, b->base + 1 + at, n - at < batch ? n - at : batch);
	memmove(b->base + 1, b->base + 1 + n, left * sizeof(void *));
	b->top = b->base + left;
	mc->n_flushed[c] += n;
}

/* Bin @c is full: make room. False when there is no bin, and no memory for one. */
bool mw__mcache_overflow(mcache *mc, unsigned c)
{
	struct mw_bin *b = &mc->bins[c];

	mw__mcache_enter(mc);
	mc->n_overflows++;
	mw__mcache_look(mc);
	if (b->top == b->end && !bin_grow(mc, b, c, MW_SLOW_OVERFLOW) && b->cap > 0)
		flush_oldest(mc, c, (b->cap + 1) / 2);
	mw__mcache_leave(mc);
	mw__scavenge_tick();
	return b->cap > 0;
}

void mw__mcache_flush_all(mcache *mc)
{
	mw__mcache_enter(mc);
	for (unsigned c = 1; c < MW_N_CLASSES; c++)
		if (mc->bins[c].cap > 0)
			flush_oldest(mc, c, mw__mcache_count(&mc->bins[c]));
	mw__large_flush(mc);
	mw__mcache_leave(mc);
}

/* --- life of a thread ------------------------------------------------------------------ */

/* The next thread begins as this one did; bins that have not grown can stay. */
static void reset_bins(mcache *mc)
{
	for (unsigned c = 0; c < MW_N_CLASSES; c++)
		if (mc->bins[c].cap == 0 || mc->bins[c].cap > FIRST_CAP)
			bin_drop(mc, c);
	memset(mc->last_slow, MW_SLOW_NONE, sizeof(mc->last_slow));
}

/* Add what @mc has counted to the row of the dead, and clear it. Registry lock. */
static void fold(mcache *mc)
{
	struct mw_dead *d = &region.dead;

	d->until_sample += mc->until_sample;
	d->drawn += mc->drawn;
	d->n_refills += mc->n_refills;
	d->n_overflows += mc->n_overflows;
	d->n_run_hits += mc->n_run_hits;
	region.saved.run_pages += mc->n_run_pages;
	d->n_threads++;
	for (unsigned i = 0; i < MW_N_BUCKETS; i++)
		d->n_requests[i] += mc->n_requests[i];
	for (unsigned c = 0; c < MW_N_CLASSES; c++) {
		d->n_fetched[c] += mc->n_fetched[c];
		d->n_flushed[c] += mc->n_flushed[c];
	}
	mc->until_sample = mc->drawn = 0;
	mc->n_refills = mc->n_overflows = mc->n_run_hits = mc->n_run_pages = 0;
	memset(mc->n_requests, 0, sizeof(mc->n_requests));
	memset(mc->n_fetched, 0, sizeof(mc->n_fetched));
	memset(mc->n_flushed, 0, sizeof(mc->n_flushed));
}

static void retire(mcache *mc)
{
	mw__mcache_flush_all(mc);
	mw__lock(&mw__registry_lock, RANK_REGISTRY);
	mw__mcache_enter(mc);
	fold(mc);
	reset_bins(mc);
	mw__mcache_leave(mc);
	store_relaxed(&mc->state, MW_MCACHE_FREE);
	mw__unlock(&mw__registry_lock, RANK_REGISTRY);
}

static void on_thread_exit(void *arg)
{
	mcache *mc = arg;

	if (mc != mw__mcache)
		return;
	mw__mcache = GONE_MCACHE;
	retire(mc);
	mw__background_thread_gone();
}

static mcache *find_free(void)
{
	for (mcache *mc = region.mcaches; mc; mc = mc->next)
		if (mc->state == MW_MCACHE_FREE)
			return mc;
	return NULL;
}

static mcache *add_new(void)
{
	mcache *mc = mw__meta_alloc(sizeof(*mc));

	if (!mc)
		return NULL;
	reset_bins(mc);
	mc->next = region.mcaches;
	__atomic_store_n(&region.mcaches, mc, __ATOMIC_RELEASE);
	region.n_mcaches++;
	return mc;
}

static mcache *adopt(void)
{
	mcache *mc;

	mw__lock(&mw__registry_lock, RANK_REGISTRY);
	mc = find_free();
	if (!mc)
		mc = add_new();
	if (mc) {
		mc->owner = mw__thread_key();
		mc->tid = mw__os_tid();
		mc->rng = mw__os_random() | 1;
		mc->pace = 0;
		store_relaxed(&mc->state, MW_MCACHE_LIVE);
	}
	mw__unlock(&mw__registry_lock, RANK_REGISTRY);
	return mc;
}

/* pthread_setspecific may allocate, so the mcache must be in place before. */
static void watch_exit(mcache *mc)
{
	if (!have_exit_key)
		have_exit_key = pthread_key_create(&exit_key, on_thread_exit) == 0;
	if (have_exit_key)
		pthread_setspecific(exit_key, mc);
}

mcache *mw__mcache_get(void)
{
	mcache *mc = mw__mcache;

	if (mc != NO_MCACHE)
		return mc;
	if (have_exit_key && (mc = pthread_getspecific(exit_key)))
		return mw__mcache = mc; /* the loader gave the pointer its first value again: early.c */
	if (!mw__heap_init() || !(mc = adopt()))
		return GONE_MCACHE;
	mw__sample_draw(mc);
	mw__mcache = mc;
	watch_exit(mc);
	return mc;
}

/* In fork's child: the threads of these mcaches do not exist here. */
void mw__mcache_reclaim_orphans(void)
{
	for (mcache *mc = region.mcaches; mc; mc = mc->next) {
		if (mc == mw__mcache) {
			mc->tid = mw__os_tid();
			continue;
		}
		if (mc->state != MW_MCACHE_LIVE)
			continue;
		if (mc->seq & 1)
			mc->state = MW_MCACHE_ORPHAN; /* torn: what it holds is lost to this child */
		else
			retire(mc);
	}
}
