/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * malloc.c - malloc, free and the rest of the standard's and POSIX's functions.
 *
 * The usual malloc: bucket of the size, bin of the bucket, pop, count.
 * The usual free: page descriptor of the address, push on the bin of its class.
 * One multiplication there proves that the pointer is the first byte of an object;
 * the divisor of class 0 is 0, for which the same test always fails, so foreign
 * pointers, large blocks and sampled ones need no test of their own.
 *
 * That free also writes a word into the block, by which a second free of it is seen. Where
 * a program tears down what it has built, its next reads of the neighbourhood were a third
 * faster with it (measured; a list of free blocks through the blocks, as others have it,
 * does the same by the way).
 *
 * errno: ENOMEM on failure and on sizes above PTRDIFF_MAX; untouched on success and
 * by free, since os.c never writes it.
 */
#include "internal.h"

#include <malloc.h>

#define STEPS_MAX_SMALL 16384u /* above, what grows in small steps gets pages of its own */
#define REMAP_MIN (4u << 20)   /* above, what cannot grow in place gets its own mapping */
#define MOVE_MIN 128u          /* pages from which moving page tables beats copying */

static inline void *allocate_any(size_t n);

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/*
 * A block that waits to be allocated says so in its first word, in a way of its own: what is no
 * address of a program, and nothing that a copy of another block says.
 */
static always_inline bool says_free(const void *p)
{
	return *(const uint64_t *)p == ~(uint64_t)(uintptr_t)p;
}

static always_inline void say_free(void *p)
{
	*(uint64_t *)p = ~(uint64_t)(uintptr_t)p;
}

/* For the program that frees it without having written to it. */
static always_inline void unsay_free(void *p)
{
	*(uint64_t *)p = 0;
}

/* --- allocation ------------------------------------------------------------------ */

/* Some memory may be held that nobody needs. True if trying again makes sense. */
noinline bool mw__recover(size_t size)
{
	mcache *mc = mw__mcache;
	size_t freed;

	if (mcache_is_real(mc))
		mw__mcache_flush_all(mc);
	mw__central_drain();
	freed = mw__huge_drop_idle(0);
	freed += mw__quarantine_drop();
	freed += mw__release_addresses(size);
	return freed > 0 || size <= MW_MAX_SMALL;
}

/* The bucket of a request that class @c serves; a larger one when it gets more than it asked. */
static uint32_t bucket_in(size_t n, unsigned c)
{
	uint32_t bucket = bucket_of(n);

	return mw__bucket_class[bucket] == c ? bucket : bucket_of(mw__classes[c].size);
}

/* Count a request that no usual path counted; large ones have @c 0. True: sample it. */
static bool count_request(mcache *mc, size_t n, unsigned c)
{
	if (!COUNTED)
		return false;
	if (!mcache_is_real(mc)) {
		if (c)
			add_relaxed(&region.dead.n_requests[bucket_in(n, c)], 1);
		add_relaxed(&region.dead.drawn, (int64_t)n);
		return false;
	}
	if (c)
		mc->n_requests[bucket_in(n, c)]++;
	mc->until_sample -= (int64_t)n;
	if (likely(mc->until_sample >= 0))
		return false;
	mw__scavenge_tick(); /* a program that only meets its caches has no other slow path */
	return mw__sample_due(mc);
}

/* What a sample may fall into when @mc is asked for @n bytes, as in mspan.exposed. */
static uint64_t exposed(const mcache *mc, size_t n)
{
	return mcache_is_real(mc) ? (uint64_t)n << (MW_PACE_MAX - mc->pace) : 0;
}

static void *pop(mcache *mc, unsigned c)
{
	struct mw_bin *b = &mc->bins[c];
	void *p = *b->top;

	if (p) {
		b->top--;
		unsay_free(p);
	}
	return p;
}

static void *single_from_central(unsigned c)
{
	void *p;

	if (mw__central_fetch(c, &p + 1, 1) == 0)
		return NULL;
	add_relaxed(&region.dead.n_fetched[c], 1);
	unsay_free(p);
	return p;
}

static void *sampled_block(size_t n, uint64_t exposed, size_t align, unsigned c)
{
	mspan *s = mw__sampled_alloc(n, align, c);

	if (!s)
		return NULL;
	s->exposed = exposed;
	mw__sample_alloc(s);
	mw__audit_seal(s);
	return mw__span_block(s);
}

/* An object of class @c (which may be more than @n needs), aligned to @align. */
static void *small_slow(mcache *mc, size_t n, size_t align, unsigned c)
{
	uint64_t before = exposed(mc, n); /* the pace may change */
	void *p;

	if (unlikely(count_request(mc, n, c)) && (p = sampled_block(n, before, align, c)))
		return p;
	if (unlikely(option(MW_OPT_NO_CACHE)))
		return mw__audit_alloc(n, c);
	if (!mcache_is_real(mc))
		return single_from_central(c);
	if ((p = pop(mc, c)))
		return p;
	return mw__mcache_refill(mc, c) ? pop(mc, c) : NULL;
}

static always_inline void *present(mcache *mc, mspan *s, size_t n)
{
	if (!s)
		return NULL;
	s->exposed = exposed(mc, n);
	if (count_request(mc, n, 0))
		mw__sample_alloc(s);
	mw__audit_seal(s);
	return mw__span_block(s);
}

/* Inlined, like what it calls and is called by: each frame here is one to unwind in a sample. */
static always_inline void *big_slow(mcache *mc, size_t n, size_t align)
{
	if (n + !!option(MW_OPT_AUDIT) <= MAX_RUN_PAGES * MW_PAGE_SIZE && align <= MAX_RUN_ALIGN)
		return present(mc, mw__large_alloc(mc, n, align, 0), n);
	return present(mc, mw__huge_alloc(n, align, false), n);
}

/* The class whose objects are all aligned to @align; 0 if there is none. */
static inline unsigned aligned_class(size_t n, size_t align)
{
	size_t size = round_up(n ? n : 1, align);
	unsigned c;

	if (unlikely(size > MW_MAX_SMALL) || unlikely(align > MW_PAGE_SIZE))
		return 0;
	for (c = class_of(size); unlikely(mw__classes[c].size & (align - 1)); c++)
		;
	return c; /* the last one, 32 KiB, is aligned to every align */
}

/* @at_least is a class for small requests, or 0. */
static always_inline void *allocate(size_t n, size_t align, unsigned at_least)
{
	mcache *mc = mw__mcache_get();
	/* audit wants one byte behind the block, for the canary */
	size_t padded = option(MW_OPT_AUDIT) ? n + 1 : n;
	unsigned c = 0;

	if (region.state != MW_REGION_READY)
		return NULL;
	if (mc->until_sample < 0) /* the usual path has counted the request, and met a point */
		mc->until_sample += (int64_t)n;
	if (padded <= MW_MAX_SMALL)
		c = align <= MIN_ALIGN ? class_of(padded) : aligned_class(padded, align);
	if (c < at_least)
		c = at_least;
	return c ? small_slow(mc, n, align, c) : big_slow(mc, n, align);
}

static noinline void *allocate_again(size_t n, size_t align, unsigned at_least)
{
	void *p = mw__recover(n) ? allocate(n, align, at_least) : NULL;

	return p ? p : no_memory();
}

static noinline void *allocate_slow(size_t n, size_t align, unsigned at_least)
{
	void *p;

	if (n > MAX_REQUEST)
		return no_memory();
	p = allocate(n, align, at_least);
	return likely(p != NULL) ? p : allocate_again(n, align, at_least);
}

/* A block that has room to grow: behind it, or in a mapping of its own. */
static void *allocate_roomy(size_t n)
{
	mcache *mc = mw__mcache_get();
	mspan *s;

	if (region.state != MW_REGION_READY)
		return NULL;
	if (n < REMAP_MIN)
		s = mw__large_alloc(mc, n, MIN_ALIGN, n / 2);
	else
		s = mw__huge_alloc(n, MIN_ALIGN, true);
	return s ? present(mc, s, n) : allocate_any(n);
}

/*
 * Pop an object of the bin @at (mw__bin_at) for a request of @n bytes; NULL: take the slow path. The
 * bytes are subtracted where they are, which takes fewer instructions than to ask before.
 */
static inline void *allocate_fast(size_t n, uint32_t bucket, unsigned at)
{
	mcache *mc = mw__mcache;
	struct mw_bin *b = (struct mw_bin *)((uintptr_t)mc->bins + at);
	void **top = b->top, *p = *top;

	if (unlikely(!p) || (COUNTED && unlikely((mc->until_sample -= (int64_t)n) < 0)))
		return NULL;
	b->top = top - 1;
	if (COUNTED)
		mc->n_requests[bucket]++;
	unsay_free(p);
	return p;
}

static noinline void *new_slow(size_t n, enum mw_origin by)
{
	void *p = allocate_slow(n, MIN_ALIGN, 0);

	if (p && option(MW_OPT_AUDIT))
		mw__audit_came(p, by);
	return p;
}

static inline void *allocate_by(size_t n, enum mw_origin by)
{
	void *p;

	/* bucket_of() asks the first again, so the usual request is compared once */
	if (likely(n <= FINE_MAX) || likely(n <= MW_MAX_SMALL)) {
		uint32_t bucket = bucket_of(n);

		p = allocate_fast(n, bucket, mw__bin_at[bucket]);
		if (likely(p != NULL))
			return p;
	}
	return by == BY_MALLOC ? allocate_slow(n, MIN_ALIGN, 0) : new_slow(n, by);
}

static inline void *allocate_any(size_t n)
{
	return allocate_by(n, BY_MALLOC);
}

ALIGNED void *mw__new(size_t n, enum mw_origin by)
{
	return allocate_by(n, by);
}

void *mw__malloc_aligned(size_t align, size_t n)
{
	unsigned c;
	void *p;

	if (align <= MIN_ALIGN)
		return allocate_any(n);
	if (n <= MW_MAX_SMALL && (c = aligned_class(n, align)) &&
	    (p = allocate_fast(n, bucket_in(n, c), c * (unsigned)sizeof(struct mw_bin))))
		return p;
	return allocate_slow(n, align, 0);
}

/* --- free --------------------------------------------------------------------------- */

static mspan *span_of(const void *p)
{
	heap_arena *a = mw__arena_of(p);
	mspan *s = a ? span_at(a, (uintptr_t)p) : NULL;

	return s ? s : mw__huge_find(p);
}

/* In this order: fork's child may inherit the bin between the two. */
static inline void push(struct mw_bin *b, void **top, void *p)
{
	say_free(p);
	top[1] = p;
	compiler_barrier();
	b->top = top + 1;
}

/*
 * What is wrong with giving back the object @p; MW_N_ERRORS: nothing that can be seen. Its own bit was set before
 * it was handed out, so the word is read without the lock. That the block says that it is free is not enough: a
 * program may have written this.
 */
static enum mw_error_kind fault_of(const mspan *s, const void *p)
{
	bool exact;
	unsigned idx = mw__object_index(s, (uintptr_t)p, &exact);

	if (!exact)
		return MW_ERROR_INTERIOR_FREE;
	if (!mw__is_out(s, idx))
		return mw__not_out(s, idx);
	if (says_free(p) && (mw__mcaches_hold(s->cls, p) || mw__central_holds(s->cls, p)))
		return MW_ERROR_DOUBLE_FREE;
	return MW_N_ERRORS;
}

static void free_small(mcache *mc, mspan *s, void *p)
{
	struct mw_bin *b = &mc->bins[s->cls];
	enum mw_error_kind fault = fault_of(s, p);

	if (fault != MW_N_ERRORS) {
		mw__error(fault, p, s, NULL);
	} else if (option(MW_OPT_NO_CACHE)) {
		mw__audit_free(s, p);
	} else if (!mcache_is_real(mc)) {
		add_relaxed(&region.dead.n_flushed[s->cls], 1);
		mw__central_flush(s->cls, &p, 1);
	} else if (b->top != b->end || mw__mcache_overflow(mc, s->cls)) {
		push(b, b->top, p);
	} else {
		mc->n_flushed[s->cls]++;
		mw__central_flush(s->cls, &p, 1);
	}
}

static void free_single(mcache *mc, mspan *s, void *p)
{
	if (s->state >= MW_SPAN_PRIVATE) {
		mw__private_error(MW_ERROR_FOREIGN_FREE, p, s);
		return;
	}
	if (p != mw__span_block(s)) {
		mw__error(MW_ERROR_INTERIOR_FREE, p, s, NULL);
		return;
	}
	if (s->used == 0) {
		mw__error(MW_ERROR_DOUBLE_FREE, p, s, NULL);
		return;
	}
	mw__audit_check(s);
	if (s->site)
		mw__sample_free(s);
	if (s->state == MW_SPAN_SAMPLED)
		mw__sampled_free(s);
	else if (s->state == MW_SPAN_LARGE)
		mw__large_free(mc, s);
	else
		mw__huge_free(s);
}

static void free_unknown(void *p)
{
	mspan *s;

	mw__heap_init(); /* the options say what to do */
	s = mw__block_containing((uintptr_t)p);
	if (s && (p == mw__span_block(s) || s->used == 0))
		mw__error(MW_ERROR_DOUBLE_FREE, p, s, NULL);
	else if (s)
		mw__error(MW_ERROR_INTERIOR_FREE, p, s, NULL);
	else if (mw__was_ours(p))
		mw__error(MW_ERROR_DOUBLE_FREE, p, NULL, "its memory is free");
	else if (mw__was_huge(p))
		mw__error(MW_ERROR_DOUBLE_FREE, p, NULL, "its mapping is gone");
	else
		mw__error(MW_ERROR_FOREIGN_FREE, p, NULL, NULL);
}

static noinline void free_slow(void *p)
{
	mspan *s;

	if (!p)
		return;
	s = span_of(p);
	if (unlikely(!s))
		free_unknown(p);
	else if (s->state == MW_SPAN_SMALL)
		free_small(mw__mcache_get(), s, p);
	else
		free_single(mw__mcache_get(), s, p);
}

/*
 * What the descriptor of its page says of @p: where in mcache.bins the bin of its class is (0: no
 * small object), and how far into its span it is.
 */
static always_inline uint32_t described(uintptr_t descs, const void *p, uint32_t *off)
{
	uint32_t desc = load_relaxed((const uint32_t *)(descs + ((uintptr_t)p >> MW_PAGE_SHIFT) * sizeof(desc)));
	uint32_t at = desc & (MW_PAGE_SIZE - 1);

	*off = (uint32_t)(uintptr_t)p - (desc - at);
	return at;
}

/* False: the usual way is not for it. */
static always_inline bool free_fast(void *p)
{
	uintptr_t descs = page_descs_of(p), at;
	struct mw_bin *b;
	uint32_t off;
	void **top;

	if (unlikely(!descs))
		return false;
	at = (uintptr_t)mw__mcache + described(descs, p, &off);
	__asm__("" : "+r"(at)); /* computed once */
	b = ((mcache *)at)->bins;
	top = b->top;
	if (unlikely(off * b->divisor >= b->divisor) || unlikely(says_free(p)) || unlikely(top == b->end))
		return false;
	push(b, top, p);
	return true;
}

static inline void free_any(void *p)
{
	if (unlikely(!free_fast(p)))
		free_slow(p);
}

static noinline void delete_slow(void *p, enum mw_origin by)
{
	if (p && option(MW_OPT_AUDIT))
		mw__audit_goes(p, by);
	free_slow(p);
}

ALIGNED void mw__delete(void *p, enum mw_origin by)
{
	if (unlikely(!free_fast(p)))
		delete_slow(p, by);
}

/* --- size and realloc ------------------------------------------------------------------ */

size_t mw__usable(const void *p)
{
	mspan *s = p ? span_of(p) : NULL;

	if (!s)
		return 0;
	if (s->state == MW_SPAN_SMALL)
		return option(MW_OPT_NO_CACHE) ? mw__audit_usable(s, p) : s->elemsize;
	return option(MW_OPT_AUDIT) ? s->requested : mw__span_usable(s);
}

static bool fits_well(size_t n, size_t have)
{
	return n <= have && (n > have / 2 || have <= 64);
}

/* In place. A large block that shrinks to what a class holds goes there instead. */
static bool resize_single(mspan *s, size_t n)
{
	if (s->state == MW_SPAN_SAMPLED)
		return !(s->flags & MW_SPAN_GUARDED) && n <= s->elemsize && n > s->elemsize / 2u;
	if (n <= MW_MAX_SMALL && n < s->requested)
		return false;
	return s->state == MW_SPAN_LARGE && !(s->flags & MW_SPAN_GUARDED) && n <= MAX_RUN_PAGES * MW_PAGE_SIZE &&
	       mw__large_resize(s, n);
}

/* Books of a single block that stays: requested size and sample, which may fall into what it grows by. */
static void rebook(mspan *s, size_t n)
{
	mcache *mc = mw__mcache;
	size_t counted = s->site ? s->booked : s->requested, grown = n > s->requested ? n - s->requested : 0;
	uint64_t more = n > counted ? exposed(mc, n - counted) : 0;
	bool hit = grown && count_request(mc, grown, 0);

	s->requested = n;
	if (s->site) {
		mw__sample_resize(s, n, more);
	} else {
		s->exposed += more;
		if (hit)
			mw__sample_alloc(s);
	}
	mw__audit_seal(s);
}

/* Who frees a neighbour looks at its canary meanwhile. */
static bool resize_audited(mspan *s, void *p, size_t n)
{
	mcentral *m = mw__central_lock(s->cls);
	bool stays = mw__audit_resize(s, p, n);

	mw__central_unlock(m);
	return stays;
}

static bool resize_in_place(mspan *s, void *p, size_t n)
{
	uint32_t pages = s->npages;

	if (s->state == MW_SPAN_SMALL)
		return option(MW_OPT_NO_CACHE) ? resize_audited(s, p, n) : fits_well(n, s->elemsize);
	if (option(MW_OPT_AUDIT))
		return n == s->requested; /* else it moves, so that its end is looked at */
	if (p != mw__span_block(s) || !resize_single(s, n))
		return false;
	rebook(s, n);
	if (s->npages < pages)
		mw__scavenge_tick();
	return true;
}

/* Move page tables instead of bytes. The address may change. */
static void *resize_by_moving(mspan *s, size_t n)
{
	bool moved = false;

	if (option(MW_OPT_AUDIT))
		return NULL;
	if (s->state == MW_SPAN_HUGE)
		moved = n >= REMAP_MIN / 2 && mw__huge_resize(s, n, true);
	else if (s->state == MW_SPAN_LARGE && !(s->flags & MW_SPAN_GUARDED) && s->npages >= MOVE_MIN)
		moved = n > mw__span_usable(s) && mw__huge_from_run(s, n);
	if (!moved)
		return NULL;
	rebook(s, n);
	return mw__span_block(s);
}

/*
 * A new place for a block that grows from @old bytes to @n. One that grows by less than
 * a quarter is likely to go on in small steps, so it gets the quarter at once. Where
 * that wastes much it gets pages of its own, with free ones behind them to grow into,
 * and, when it is long and there are none, a mapping, which can always grow.
 */
static void *allocate_grown(size_t n, size_t old)
{
	size_t more = old + old / 4;
	unsigned c;
	void *p;

	if (n <= MW_MAX_SMALL && (n >= more || more > STEPS_MAX_SMALL))
		more = n;
	if (n > MAX_REQUEST || option(MW_OPT_NO_CACHE))
		return allocate_any(n);
	if (n > MW_MAX_SMALL || (n > STEPS_MAX_SMALL && n < old + old / 4))
		return allocate_roomy(n);
	c = class_of(more > n ? more : n);
	p = allocate_fast(n, bucket_in(n, c), c * (unsigned)sizeof(struct mw_bin));
	return p ? p : allocate_slow(n, MIN_ALIGN, c);
}

static void *resize_by_copy(void *p, size_t n)
{
	size_t old = mw__usable(p);
	void *fresh = n > old ? allocate_grown(n, old) : allocate_any(n);

	if (!fresh)
		return NULL;
	memcpy(fresh, p, old < n ? old : n);
	free_any(p);
	return fresh;
}

/* Is @p a small object that serves @n bytes well? Proved as free() does. */
static inline bool stays(void *p, size_t n)
{
	uintptr_t descs = page_descs_of(p);
	const struct mw_class *k;
	uint32_t off;

	if (unlikely(!descs))
		return false;
	k = &mw__classes[described(descs, p, &off) / sizeof(struct mw_bin)];
	return off * k->divisor < k->divisor && n <= k->size && n > k->size / 2;
}

/*
 * A large block for which nothing but the number changes, and no sample falls into what it
 * grows by. What a sample is booked with may lag behind by 1/64.
 */
static bool same_pages(mcache *mc, mspan *s, const void *p, size_t n)
{
	size_t grown = n - s->requested;

	if (s->state != MW_SPAN_LARGE || s->base != (uintptr_t)p || s->aux || n < s->requested || n == 0 ||
	    n > (size_t)s->npages << MW_PAGE_SHIFT || option(MW_OPT_AUDIT) || !mcache_is_real(mc))
		return false;
	if (COUNTED && mc->until_sample < (int64_t)grown)
		return false;
	if (s->site && n - s->booked > s->booked / 64)
		return false;
	mc->until_sample -= COUNTED ? (int64_t)grown : 0;
	if (!s->site)
		s->exposed += exposed(mc, grown);
	s->requested = n;
	return true;
}

/* Is it one, as far as free() can tell? */
static bool is_block(const mspan *s, const void *p)
{
	if (s->state == MW_SPAN_SMALL)
		return fault_of(s, p) == MW_N_ERRORS;
	return s->state < MW_SPAN_PRIVATE && s->used > 0 && p == mw__span_block(s);
}

static noinline void *resize_slow(void *p, size_t n)
{
	heap_arena *a = mw__arena_of(p);
	mspan *s = a ? span_at(a, (uintptr_t)p) : NULL;
	void *moved;

	if (s && same_pages(mw__mcache, s, p, n))
		return p;
	if (!p)
		return allocate_any(n);
	if (n == 0) {
		free_any(p);
		return NULL;
	}
	if (n > MAX_REQUEST)
		return no_memory();
	s = s ? s : mw__huge_find(p);
	if (unlikely(!s) || unlikely(!is_block(s, p))) {
		s ? free_slow(p) : free_unknown(p); /* says what is wrong */
		return no_memory();
	}
	if (resize_in_place(s, p, n))
		return p;
	moved = resize_by_moving(s, n);
	return moved ? moved : resize_by_copy(p, n);
}

static inline void *resize(void *p, size_t n)
{
	return likely(stays(p, n)) ? p : resize_slow(p, n);
}

/* --- zeroed memory ---------------------------------------------------------------------- */

static bool is_known_zero(void *p)
{
	mspan *s = span_of(p);

	return s && s->state != MW_SPAN_SMALL && !(s->flags & MW_SPAN_NEEDZERO);
}

/*
 * To a vector's boundary, as far as the block goes: the write is faster, and the next read of its
 * last byte. Each class that is served ends there. Audit's canary is right behind the request.
 */
static size_t bytes_to_zero(size_t n)
{
	return n <= MW_MAX_SMALL && !option(MW_OPT_AUDIT) ? round_up(n, MIN_ALIGN) : n;
}

static void *allocate_zeroed(size_t n)
{
	void *p = allocate_any(n);

	if (likely(p != NULL) && (n <= MW_MAX_SMALL || !is_known_zero(p)))
		memset(p, 0, bytes_to_zero(n));
	return p;
}

/* --- the functions --------------------------------------------------------------------- */

MW_EXPORT ALIGNED void *malloc(size_t n)
{
	return allocate_any(n);
}

MW_EXPORT ALIGNED void free(void *p)
{
	free_any(p);
}

MW_EXPORT ALIGNED void *calloc(size_t count, size_t size)
{
	size_t n;

	if (unlikely(__builtin_mul_overflow(count, size, &n)))
		return no_memory();
	return allocate_zeroed(n);
}

MW_EXPORT ALIGNED void *realloc(void *p, size_t n)
{
	return resize(p, n);
}

MW_EXPORT void *reallocarray(void *p, size_t count, size_t size)
{
	size_t n;

	if (unlikely(__builtin_mul_overflow(count, size, &n)))
		return no_memory();
	return resize(p, n);
}

static bool is_power_of_two(size_t x)
{
	return x && (x & (x - 1)) == 0;
}

/* glibc's memalign takes any alignment and rounds it up. */
MW_EXPORT void *memalign(size_t align, size_t n)
{
	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	if (!is_power_of_two(align))
		align = align <= 1 ? 1 : (size_t)1 << (64 - __builtin_clzll(align - 1));
	return mw__malloc_aligned(align, n);
}

MW_EXPORT void *aligned_alloc(size_t align, size_t n)
{
	return memalign(align, n);
}

MW_EXPORT int posix_memalign(void **ret, size_t align, size_t n)
{
	int saved = errno;
	void *p;

	if (!is_power_of_two(align) || align % sizeof(void *) != 0)
		return EINVAL;
	p = mw__malloc_aligned(align, n);
	errno = saved;
	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}

MW_EXPORT void *valloc(size_t n)
{
	return mw__malloc_aligned(KERNEL_PAGE, n);
}

MW_EXPORT void *pvalloc(size_t n)
{
	if (n > MAX_REQUEST)
		return no_memory();
	return mw__malloc_aligned(KERNEL_PAGE, round_up(n ? n : 1, KERNEL_PAGE));
}

MW_EXPORT size_t malloc_usable_size(void *p)
{
	return mw__usable(p);
}

/* The size must be the one that was asked for; without audit a longer one than the block is seen. */
void mw__check_size(void *p, size_t n)
{
	mspan *s = p ? span_of(p) : NULL;
	size_t have = s ? mw__usable(p) : 0;
	char detail[96];

	if (!s || n == have || (!option(MW_OPT_AUDIT) && n <= mw__span_usable(s)))
		return;
	mw__format(detail, sizeof(detail), "with another size, %u, not %u", (uint64_t)n, (uint64_t)have);
	mw__error(MW_ERROR_MISMATCH, p, s, detail);
}

/* C23 */
MW_EXPORT void free_sized(void *p, size_t n)
{
	mw__check_size(p, n);
	free_any(p);
}

void mw__check_align(void *p, size_t align)
{
	if (((uintptr_t)p & (align - 1)) != 0)
		mw__error(MW_ERROR_MISMATCH, p, span_of(p), "with an alignment that it does not have");
}

MW_EXPORT void free_aligned_sized(void *p, size_t align, size_t n)
{
	mw__check_align(p, align);
	mw__check_size(p, n);
	free_any(p);
}

MW_EXPORT void cfree(void *p)
{
	free_any(p);
}

/* Names that programs find inside glibc. */
#if __has_attribute(copy)	/* gcc wants an alias to have the attributes of what it names */
#define ALIAS(name) __attribute__((alias(#name), visibility("default"), copy(name)))
#else
#define ALIAS(name) __attribute__((alias(#name), visibility("default")))
#endif
void *__libc_malloc(size_t) ALIAS(malloc);
void *__libc_calloc(size_t, size_t) ALIAS(calloc);
void *__libc_realloc(void *, size_t) ALIAS(realloc);
void __libc_free(void *) ALIAS(free);
void __libc_cfree(void *) ALIAS(cfree);
void *__libc_memalign(size_t, size_t) ALIAS(memalign);
void *__libc_valloc(size_t) ALIAS(valloc);
void *__libc_pvalloc(size_t) ALIAS(pvalloc);
int __posix_memalign(void **, size_t, size_t) ALIAS(posix_memalign);
