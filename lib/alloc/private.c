/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * private.c - private heaps: objects of a program's own choosing, destroyed at once.
 *
 * Here Go's design stands as it is. A heap holds spans, for each span class (size class and
 * noscan) the sets "partial" and "full"; the first partial span is the current one, and its
 * allocBits and freeindex tell the next free object. There is one lock for each heap and no
 * cache for each thread: what belongs together is allocated and dies together, and who wants
 * speed takes a heap for each thread, without a lock.
 *
 * A free object is a clear bit, so a double free is seen at once, and an object's neighbours
 * are never somebody else's. The spans are known to the arenas like all others: free() of
 * such an object finds out and says so.
 *
 * Tiny objects (noscan, below 16 bytes) are packed into blocks of 16, by Go's rule: aligned
 * to what their size is a multiple of, a new block when they do not fit, and the block with
 * more room stays the current one. Two bits for each byte, where an object starts and where
 * one ends, make what Go leaves to its collector: each can be freed alone, and the block is
 * free when its last one is.
 *
 * Locks: the list of heaps, then a heap, then the page heap. Structures of heaps are kept;
 * that of a destroyed heap is used again after N_DEAD others, so that a late use of it is
 * found out.
 */
#include "private.h"

#define N_DEAD 64u

struct mw_lock mw__heaps_lock; /* guards the list, dead_* and n_dead */
static private_heap *dead_first, *dead_last;
static unsigned n_dead;
static uint32_t last_id;

/* --- in and out -------------------------------------------------------------------------- */

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static bool is_single(const private_heap *h)
{
	return h->flags & MW_HEAP_SINGLE;
}

static bool is_live(private_heap *h)
{
	if (likely(h && ((uintptr_t)h & 63) == 0 && load_relaxed(&h->magic) == MW_HEAP_LIVE))
		return true;
	mw__error(MW_ERROR_DEAD_HEAP, h, NULL, NULL);
	errno = EINVAL;
	return false;
}

bool mw__private_enter(private_heap *h)
{
	if (unlikely(!is_live(h)))
		return false;
	if (is_single(h)) {
		store_relaxed(&h->lock.seq, h->lock.seq + 1);
		compiler_barrier();
	} else {
		mw__lock(&h->lock, RANK_PRIVATE);
	}
	return true;
}

void mw__private_leave(private_heap *h)
{
	if (is_single(h))
		__atomic_store_n(&h->lock.seq, h->lock.seq + 1, __ATOMIC_RELEASE);
	else
		mw__unlock(&h->lock, RANK_PRIVATE);
}

/* --- spans -------------------------------------------------------------------------------- */

static void list_add(mspan **list, mspan *s)
{
	s->prev = NULL;
	s->next = *list;
	if (s->next)
		s->next->prev = s;
	*list = s;
}

static void list_remove(mspan **list, mspan *s)
{
	if (s->next)
		s->next->prev = s->prev;
	if (s->prev)
		s->prev->next = s->next;
	else
		*list = s->next;
}

static unsigned part_of(const mspan *s)
{
	return s->flags & MW_SPAN_TINY ? MW_PART_TINY : s->cls * 2u + !!(s->flags & MW_SPAN_NOSCAN);
}

static bool may_take(const private_heap *h, uint64_t pages)
{
	return !h->limit_pages || h->pages + pages <= h->limit_pages;
}

static void add_pages(private_heap *h, uint64_t pages)
{
	h->pages += pages;
	if (h->pages > h->pages_peak)
		h->pages_peak = h->pages;
}

static mspan *run_find(uint32_t pages, uint32_t align_pages) /* heap lock */
{
	mspan *s = mw__span_new();

	if (s && !mw__run_alloc(s, pages, align_pages)) {
		mw__span_delete(s);
		s = NULL;
	}
	return s;
}

/* It is one of this heap; heap lock. */
static void run_adopt(private_heap *h, mspan *s, unsigned state, unsigned cls)
{
	s->site = h->id;
	s->cls = (uint8_t)cls;
	s->elemsize = mw__classes[cls].size;
	s->nelems = (uint16_t)(cls ? mw__classes[cls].n_objects : 1);
	s->state = (uint8_t)state;
	mw__span_publish(s, 0);
}

/* A run of pages as a span of this heap; not yet on a list. */
static mspan *run_make(private_heap *h, unsigned state, uint32_t pages, uint32_t align_pages, unsigned cls)
{
	mspan *s;

	if (!may_take(h, pages))
		return NULL;
	mw__heap_lock();
	s = run_find(pages, align_pages);
	if (s)
		run_adopt(h, s, state, cls);
	mw__heap_unlock();
	if (s)
		add_pages(h, pages);
	return s;
}

/* Of one block that ends at a guard page; NULL where there may be none. */
static mspan *guarded_make(private_heap *h, size_t n)
{
	mspan *s;

	if (!may_take(h, pages_of(n) + 2))
		return NULL;
	mw__heap_lock();
	s = mw__guarded_run(n);
	if (s)
		run_adopt(h, s, MW_SPAN_PRIVATE_LARGE, 0);
	mw__heap_unlock();
	if (s)
		add_pages(h, s->npages);
	return s;
}

/* Back to the page heap, whose lock is held; its metadata too. */
static void run_drop(mspan *s)
{
	if (s->flags & MW_SPAN_TINY) {
		mw__meta_array_free(s->aux, s->nelems * sizeof(struct mw_tiny));
	} else if (span_is_audited(s)) {
		mw__audit_span(s);
		mw__meta_array_free(s->aux, mw__audit_books(s));
	} else if (s->flags & MW_SPAN_GUARDED) {
		s->state = MW_SPAN_LARGE; /* no heap's any more */
		s->site = 0;
		mw__guarded_free(s);
		return;
	}
	mw__span_retire(s);
	mw__run_free(s);
	mw__span_delete(s);
}

static mspan *span_make(private_heap *h, unsigned p)
{
	unsigned cls = p == MW_PART_TINY ? TINY_CLASS : p / 2;
	struct mw_tiny *tiny = NULL;
	mspan *s;

	if (p == MW_PART_TINY && !(tiny = mw__meta_array(mw__classes[cls].n_objects * sizeof(*tiny))))
		return NULL;
	s = run_make(h, MW_SPAN_PRIVATE, mw__classes[cls].pages, 1, cls);
	if (!s) {
		mw__meta_array_free(tiny, mw__classes[cls].n_objects * sizeof(*tiny));
		return NULL;
	}
	s->aux = tiny;
	s->flags |= (p & 1 ? MW_SPAN_NOSCAN : 0) | (tiny ? MW_SPAN_TINY : 0);
	list_add(&h->parts[p].partial, s);
	h->parts[p].n_spans++;
	return s;
}

static void span_drop(private_heap *h, mspan *s)
{
	part *k = &h->parts[part_of(s)];

	list_remove(&k->partial, s);
	k->n_spans--;
	h->pages -= s->npages;
	if (h->tiny_span == s)
		h->tiny_span = NULL;
	mw__heap_lock();
	run_drop(s);
	mw__heap_unlock();
}

mspan *mw__private_span(const private_heap *h, uintptr_t p, unsigned *idx, uint32_t *off)
{
	heap_arena *a = mw__arena_of((void *)p);
	mspan *s = a ? span_at(a, p) : NULL;

	if (!s && !(s = mw__huge_find((void *)p)))
		s = mw__block_containing(p); /* p is no start of an object, so this may be slow */
	if (!s || !span_is_private(s) || s->site != h->id)
		return NULL;
	*idx = s->cls ? quotient((uint32_t)(p - s->base), mw__classes[s->cls].divisor) : 0;
	*off = (uint32_t)(p - s->base) - *idx * s->elemsize;
	return *idx < s->nelems ? s : NULL;
}

/* --- objects ------------------------------------------------------------------------------- */

static bool bit_get(const mspan *s, unsigned idx)
{
	return s->alloc_bits[idx / 64] >> (idx % 64) & 1;
}

/* The first clear bit; the span has one. */
static unsigned next_free(const mspan *s)
{
	unsigned w = s->freeindex / 64;

	while (!~s->alloc_bits[w])
		w++;
	return w * 64 + (unsigned)__builtin_ctzll(~s->alloc_bits[w]);
}

/* One at random. */
static unsigned some_free(const mspan *s)
{
	unsigned idx = (unsigned)(mw__os_random() % s->nelems);

	while (bit_get(s, idx))
		idx = idx + 1 < s->nelems ? idx + 1 : 0;
	return idx;
}

/* Mark the next free object. *fresh: its memory is known to be zero. */
static unsigned take_next(part *k, mspan *s, bool *fresh)
{
	unsigned idx = option(MW_OPT_RANDOM) ? some_free(s) : next_free(s);

	s->alloc_bits[idx / 64] |= 1ULL << (idx % 64);
	s->used++;
	if (!option(MW_OPT_RANDOM))
		s->freeindex = (uint16_t)(idx + 1);
	*fresh = idx >= s->nfresh && !(s->flags & MW_SPAN_NEEDZERO);
	if (idx >= s->nfresh)
		s->nfresh = (uint16_t)(idx + 1);
	k->n_out++;
	if (s->used == s->nelems) {
		list_remove(&k->partial, s);
		list_add(&k->full, s);
	}
	return idx;
}

static void *block_at(const mspan *s, unsigned idx)
{
	return (void *)block_start(s, idx);
}

static void put_back(private_heap *h, mspan *s, unsigned idx)
{
	part *k = &h->parts[part_of(s)];

	if (span_is_audited(s))
		mw__audit_bury(s, idx);
	else if (option(MW_OPT_ZERO))
		memset(block_at(s, idx), 0, s->elemsize);
	s->alloc_bits[idx / 64] &= ~(1ULL << (idx % 64));
	if (idx < s->freeindex)
		s->freeindex = (uint16_t)idx;
	k->n_out--;
	if (s->used-- == s->nelems) {
		list_remove(&k->full, s);
		list_add(&k->partial, s);
	}
	/* the last partial span stays: an object that comes and goes costs no span */
	if (s->used == 0 && (s->next || s->prev))
		span_drop(h, s);
}

static void *small_alloc(private_heap *h, unsigned p, size_t n, bool zero)
{
	part *k = &h->parts[p];
	mspan *s = k->partial ? k->partial : span_make(h, p);
	bool fresh;
	unsigned idx;

	if (!s || (option(MW_OPT_AUDIT) && !mw__audit_ready(s)))
		return NULL;
	idx = take_next(k, s, &fresh);
	k->n_alloc++;
	k->requested += n;
	if (option(MW_OPT_AUDIT)) {
		mw__audit_hand_out(s, idx, n);
		if (zero)
			memset(block_at(s, idx), 0, n);
	} else if (zero && !fresh) {
		memset(block_at(s, idx), 0, s->elemsize);
	}
	return block_at(s, idx);
}

/* --- tiny objects --------------------------------------------------------------------------- */

static uint32_t tiny_align(uint32_t off, size_t n)
{
	uint32_t align = n % 8 == 0 ? 8 : n % 4 == 0 ? 4 : n % 2 == 0 ? 2 : 1;

	return (off + align - 1) & ~(align - 1);
}

static void *tiny_place(private_heap *h, mspan *s, unsigned idx, uint32_t off, size_t n)
{
	struct mw_tiny *t = tiny_of(s, idx);

	t->starts |= (uint16_t)(1u << off);
	t->ends |= (uint16_t)(1u << (off + n - 1));
	h->n_tiny++;
	h->parts[MW_PART_TINY].n_alloc++;
	return (char *)block_at(s, idx) + off;
}

/* In a block of its own; the one with more room becomes or stays the current one. */
static void *tiny_in_new(private_heap *h, size_t n, bool *fresh)
{
	part *k = &h->parts[MW_PART_TINY];
	mspan *s = k->partial ? k->partial : span_make(h, MW_PART_TINY);
	unsigned idx;

	if (!s)
		return NULL;
	idx = take_next(k, s, fresh);
	*tiny_of(s, idx) = (struct mw_tiny){ 0 };
	if (!h->tiny_span || n < h->tiny_off) {
		h->tiny_span = s;
		h->tiny_idx = idx;
		h->tiny_off = (uint32_t)n;
	}
	return tiny_place(h, s, idx, 0, n);
}

static void *tiny_alloc(private_heap *h, size_t n, bool zero)
{
	uint32_t off = tiny_align(h->tiny_off, n);
	size_t asked = n;
	bool fresh = false;
	void *p;

	n = n ? n : 1;
	if (h->tiny_span && off + n <= TINY_BLOCK) {
		p = tiny_place(h, h->tiny_span, h->tiny_idx, off, n);
		h->tiny_off = off + (uint32_t)n;
	} else {
		p = tiny_in_new(h, n, &fresh);
	}
	if (!p)
		return NULL;
	h->parts[MW_PART_TINY].requested += asked;
	if (zero && !fresh)
		memset(p, 0, n);
	return p;
}

/* The object that starts at byte @off of a block goes. */
static void tiny_free(private_heap *h, mspan *s, unsigned idx, uint32_t off)
{
	struct mw_tiny *t = tiny_of(s, idx);
	unsigned last = TINY_BLOCK;

	tiny_next(t, off, &last);
	t->starts &= (uint16_t)~(1u << off);
	t->ends &= (uint16_t)~(1u << last);
	h->n_tiny--;
	if (t->starts)
		return;
	if (h->tiny_span == s && h->tiny_idx == idx) {
		h->tiny_span = NULL;
		h->tiny_off = 0;
	}
	put_back(h, s, idx);
}

/* --- large objects --------------------------------------------------------------------------- */

/* Its books beside the heap's lock: mw__huge_alloc has made it one of the process. */
static void adopt_huge(private_heap *h, mspan *s)
{
	mw__heap_lock();
	s->site = h->id;
	s->state = MW_SPAN_PRIVATE_HUGE;
	mw__heap_unlock();
	add_pages(h, s->npages);
}

static mspan *large_span(private_heap *h, size_t n, size_t align)
{
	/* audit wants one byte behind the block */
	size_t padded = (n ? n : 1) + !!option(MW_OPT_AUDIT);
	mspan *s = NULL;

	if (option(MW_OPT_GUARD) && align <= MIN_ALIGN)
		s = guarded_make(h, n);
	if (s)
		return s;
	if (padded <= MAX_RUN_PAGES * MW_PAGE_SIZE && align <= MAX_RUN_ALIGN)
		return run_make(h, MW_SPAN_PRIVATE_LARGE, pages_of(padded), pages_of(align), 0);
	if (!may_take(h, round_up(n, MW_PAGE_SIZE) >> MW_PAGE_SHIFT))
		return NULL;
	s = mw__huge_alloc(n, align, false);
	if (s)
		adopt_huge(h, s);
	return s;
}

static void *large_alloc(private_heap *h, mspan *s, size_t n, unsigned flags)
{
	if (!s)
		return NULL;
	s->flags |= flags & MW_HEAP_NOSCAN ? MW_SPAN_NOSCAN : 0;
	s->used = 1;
	s->nelems = 1;
	s->requested = n;
	s->alloc_bits[0] = 1;
	list_add(&h->large, s);
	h->n_large++;
	h->n_large_alloc++;
	h->large_requested += n;
	h->large_requested_ever += n;
	if (flags & MW_HEAP_ZERO && s->flags & MW_SPAN_NEEDZERO)
		memset(mw__span_block(s), 0, n);
	mw__audit_seal(s);
	return mw__span_block(s);
}

/* Off the books of the heap. */
static void large_unbook(private_heap *h, mspan *s)
{
	list_remove(&h->large, s);
	h->n_large--;
	h->large_requested -= s->requested;
	h->pages -= s->npages;
}

static void large_drop(mspan *s)
{
	mw__audit_check(s);
	s->alloc_bits[0] = 0;
	s->flags &= (uint8_t)~(MW_SPAN_NOSCAN | MW_SPAN_HAS_SAMPLES);
	if (s->state == MW_SPAN_PRIVATE_HUGE) {
		s->site = 0;
		mw__huge_free(s);
		return;
	}
	mw__heap_lock();
	run_drop(s);
	mw__heap_unlock();
}

/* In place, or by moving page tables. The address it has then, or NULL. */
static void *large_resize(private_heap *h, mspan *s, size_t n)
{
	uint64_t before = s->npages, need = round_up(n, MW_PAGE_SIZE) >> MW_PAGE_SHIFT;
	bool huge = s->state == MW_SPAN_PRIVATE_HUGE, wants_huge = n > MAX_RUN_PAGES * MW_PAGE_SIZE;
	size_t requested = s->requested;

	if (option(MW_OPT_AUDIT) || s->flags & MW_SPAN_GUARDED)
		return NULL;
	if (n <= MW_MAX_SMALL || huge != wants_huge || (need > before && !may_take(h, need - before)))
		return NULL;
	if (huge ? !mw__huge_resize(s, n, false) : !mw__large_resize(s, n))
		return NULL;
	s->requested = n;
	s->flags |= MW_SPAN_NEEDZERO;
	h->large_requested += n - requested;
	h->pages -= before;
	add_pages(h, s->npages);
	return (void *)s->base;
}

/* --- the calls ---------------------------------------------------------------------------------- */

/* The class whose objects are all aligned to @align; 0: a large object. */
static unsigned class_for(size_t n, size_t align)
{
	size_t size = align > MIN_ALIGN ? round_up(n ? n : 1, align) : n;

	if (n > MW_MAX_SMALL || size > MW_MAX_SMALL || align > MW_PAGE_SIZE)
		return 0;
	for (unsigned c = class_of(size); c < MW_N_CLASSES; c++)
		if (align <= MIN_ALIGN || mw__classes[c].size % align == 0)
			return c;
	return 0;
}

/* With guard a small object that is going to be sampled is a large one. */
static mspan *guarded_sample(private_heap *h, size_t n, size_t align)
{
	bool wanted = option(MW_OPT_GUARD) && region.sample_interval && h->until_sample < (int64_t)n && align <= MIN_ALIGN;

	return unlikely(wanted) ? guarded_make(h, n) : NULL;
}

/* @align 0: a tiny object will do. In audit there are none, since each has a canary. */
static void *allocate_in(private_heap *h, size_t n, size_t align, unsigned flags)
{
	mspan *s = guarded_sample(h, n, align);
	unsigned c;

	if (s)
		return large_alloc(h, s, n, flags);
	if (align == 0 && flags & MW_HEAP_NOSCAN && n < TINY_BLOCK && !option(MW_OPT_AUDIT))
		return tiny_alloc(h, n, flags & MW_HEAP_ZERO);
	c = class_for(n + !!option(MW_OPT_AUDIT), align);
	if (c)
		return small_alloc(h, c * 2 + (flags & MW_HEAP_NOSCAN), n, flags & MW_HEAP_ZERO);
	return large_alloc(h, large_span(h, n, align ? align : MIN_ALIGN), n, flags);
}

static void *allocate(private_heap *h, size_t n, size_t align, unsigned flags)
{
	void *p;

	if (!mw__private_enter(h))
		return NULL;
	p = allocate_in(h, n, align, flags);
	if (likely(p != NULL))
		mw__private_sample(h, p, n);
	mw__private_leave(h);
	return p;
}

static void *allocate_hard(private_heap *h, size_t n, size_t align, unsigned flags)
{
	void *p;

	if (n > MAX_REQUEST)
		return no_memory();
	p = allocate(h, n, align, flags);
	if (likely(p != NULL))
		return p;
	if (!h || load_relaxed(&h->magic) != MW_HEAP_LIVE)
		return NULL; /* the error was told */
	if ((!h->limit_pages || h->pages + pages_of(n) <= h->limit_pages) && mw__recover(n))
		p = allocate(h, n, align, flags);
	return p ? p : no_memory();
}

MW_EXPORT void *mw_heap_alloc(private_heap *h, size_t n, unsigned flags)
{
	return allocate_hard(h, n, 0, flags);
}

MW_EXPORT void *mw_heap_alloc_aligned(private_heap *h, size_t align, size_t n, unsigned flags)
{
	if (!align || align & (align - 1) || align > MAX_REQUEST) {
		errno = EINVAL;
		return NULL;
	}
	return allocate_hard(h, n, align < MIN_ALIGN ? MIN_ALIGN : align, flags);
}

enum verdict { FINE, FOREIGN, INTERIOR, FREE_ALREADY };

/* Is @p the start of a live object of @h? */
static enum verdict examine(const private_heap *h, const void *p, mspan **s, unsigned *idx, uint32_t *off)
{
	unsigned last;

	*idx = *off = 0;
	*s = mw__private_span(h, (uintptr_t)p, idx, off);
	if (!*s)
		return FOREIGN;
	if ((*s)->cls == 0)
		return p == mw__span_block(*s) ? FINE : INTERIOR;
	if (!bit_get(*s, *idx))
		return *off && !((*s)->flags & MW_SPAN_TINY) ? INTERIOR : FREE_ALREADY;
	if (!((*s)->flags & MW_SPAN_TINY))
		return *off ? INTERIOR : FINE;
	if (tiny_of(*s, *idx)->starts >> *off & 1)
		return FINE;
	for (unsigned at = 0; (at = tiny_next(tiny_of(*s, *idx), at, &last)) < TINY_BLOCK; at = last + 1)
		if (*off > at && *off <= last)
			return INTERIOR;
	return FREE_ALREADY;
}

/* @p cannot be freed; leaves the heap. */
static void complain(private_heap *h, enum verdict v, const void *p, const mspan *s, unsigned idx)
{
	uint32_t site = v == INTERIOR ? mw__private_site(h, s, block_at(s, idx)) : 0;

	mw__private_leave(h);
	if (v == FOREIGN)
		mw__private_error(MW_ERROR_WRONG_HEAP, p, mw__block_containing((uintptr_t)p));
	else
		mw__error_at(v == INTERIOR ? MW_ERROR_INTERIOR_FREE : MW_ERROR_DOUBLE_FREE, p, s, "in a private heap", site);
}

MW_EXPORT void mw_heap_free(private_heap *h, void *p)
{
	mspan *s, *large = NULL;
	enum verdict v;
	unsigned idx;
	uint32_t off;

	if (!p || !mw__private_enter(h))
		return;
	v = examine(h, p, &s, &idx, &off);
	if (unlikely(v != FINE)) {
		complain(h, v, p, s, idx);
		return;
	}
	h->n_free++;
	if (unlikely(s->flags & MW_SPAN_HAS_SAMPLES))
		mw__private_unsample(h, s, p);
	if (s->flags & MW_SPAN_TINY)
		tiny_free(h, s, idx, off);
	else if (s->cls)
		put_back(h, s, idx);
	else
		large_unbook(h, large = s);
	mw__private_leave(h);
	if (large) {
		large_drop(large);
		mw__scavenge_tick();
	}
}

/* What may be used of a live object. */
static size_t usable(const mspan *s, unsigned idx, uint32_t off)
{
	unsigned last = off;

	if (s->flags & MW_SPAN_TINY)
		return tiny_next(tiny_of(s, idx), off, &last) < TINY_BLOCK ? last + 1 - off : 0;
	return block_length(s, idx);
}

MW_EXPORT size_t mw_heap_usable_size(private_heap *h, const void *p)
{
	size_t n = 0;
	unsigned idx;
	uint32_t off;
	mspan *s;

	if (!p || !mw__private_enter(h))
		return 0;
	if (examine(h, p, &s, &idx, &off) == FINE)
		n = usable(s, idx, off);
	mw__private_leave(h);
	return n;
}

/* Does the object stay where it is, or can its pages move? NULL: copy it. */
static void *resize(private_heap *h, mspan *s, void *p, size_t n, size_t have)
{
	if (s->flags & MW_SPAN_TINY)
		return n == have ? p : NULL;
	if (span_is_audited(s))
		return mw__audit_resize(s, p, n) ? p : NULL;
	if (s->cls)
		return n <= have && (n > have / 2 || have <= 64) && !(s->flags & MW_SPAN_NOSCAN && n < TINY_BLOCK) ? p : NULL;
	return large_resize(h, s, n);
}

MW_EXPORT void *mw_heap_realloc(private_heap *h, void *p, size_t n)
{
	size_t have;
	unsigned idx, flags;
	uint64_t span;
	uint32_t off;
	enum verdict v;
	void *to;
	mspan *s;

	if (!p)
		return mw_heap_alloc(h, n, 0);
	if (n > MAX_REQUEST)
		return no_memory();
	if (!mw__private_enter(h))
		return NULL;
	v = examine(h, p, &s, &idx, &off);
	if (v != FINE) {
		complain(h, v, p, s, idx);
		errno = EINVAL;
		return NULL;
	}
	span = s->base;
	have = usable(s, idx, off);
	flags = s->flags & MW_SPAN_NOSCAN ? MW_HEAP_NOSCAN : 0;
	to = resize(h, s, p, n, have);
	if (to && s->flags & MW_SPAN_HAS_SAMPLES)
		mw__private_resample(h, span, p, s, to, n);
	mw__private_leave(h);
	if (to || !(to = mw_heap_alloc(h, n, flags)))
		return to;
	memcpy(to, p, have < n ? have : n);
	mw_heap_free(h, p);
	return to;
}

/* --- life of a heap -------------------------------------------------------------------------------- */

static private_heap *new_structure(void)
{
	private_heap *h = dead_first, *next;

	if (n_dead < N_DEAD) {
		h = mw__meta_alloc(sizeof(*h));
		if (!h)
			return NULL;
		h->next = region.heaps;
		region.sizeof_heap = sizeof(*h);
		region.n_heaps++;
		__atomic_store_n(&region.heaps, h, __ATOMIC_RELEASE);
		return h;
	}
	dead_first = h->next_dead;
	n_dead--;
	next = h->next;
	memset((char *)h + offsetof(private_heap, id), 0, sizeof(*h) - offsetof(private_heap, id));
	h->next = next;
	return h;
}

static void copy_name(private_heap *h, const char *name)
{
	for (unsigned i = 0; name && name[i] && i + 1 < MW_HEAP_NAME; i++)
		h->name[i] = name[i];
}

static void note_event(enum mw_event_kind kind, const private_heap *h, uint64_t pages)
{
	mw__heap_lock();
	mw__event(kind, (uintptr_t)h, (uint32_t)pages, 0);
	mw__heap_unlock();
}

MW_EXPORT private_heap *mw_heap_create(const struct mw_heap_options *o)
{
	private_heap *h;

	if (o && (o->size != sizeof(*o) || o->flags & ~(unsigned)MW_HEAP_SINGLE)) {
		errno = EINVAL;
		return NULL;
	}
	mw__heap_init();
	mw__lock(&mw__heaps_lock, RANK_HEAPS);
	h = new_structure();
	if (h) {
		h->id = ++last_id;
		h->flags = o ? o->flags : 0;
		h->limit_pages = o ? (o->limit + MW_PAGE_SIZE - 1) >> MW_PAGE_SHIFT : 0;
		copy_name(h, o ? o->name : NULL);
		h->rng = mw__os_random() | 1;
		h->until_sample = mw__sample_gap(&h->rng);
		__atomic_store_n(&h->magic, MW_HEAP_LIVE, __ATOMIC_RELEASE);
		note_event(MW_EVENT_HEAP_MADE, h, 0);
	}
	mw__unlock(&mw__heaps_lock, RANK_HEAPS);
	return h ? h : no_memory();
}

/* The page heap's lock is taken for a bounded number of spans at a time. */
static void drop_list(mspan **list)
{
	while (*list) {
		mw__heap_lock();
		for (int i = 0; i < 64 && *list; i++) {
			mspan *s = *list;

			*list = s->next;
			run_drop(s);
		}
		mw__heap_unlock();
	}
}

static void drop_everything(private_heap *h)
{
	mw__private_unsample_all(h);
	for (unsigned p = 0; p < MW_N_PARTS; p++) {
		drop_list(&h->parts[p].partial);
		drop_list(&h->parts[p].full);
		h->parts[p].n_spans = h->parts[p].n_out = 0;
	}
	while (h->large) {
		mspan *s = h->large;

		h->large = s->next;
		large_drop(s);
	}
	h->tiny_span = NULL;
	h->tiny_off = 0;
	h->pages = 0;
	h->n_large = h->large_requested = 0;
}

static uint64_t live_objects(const private_heap *h)
{
	uint64_t n = h->n_tiny + h->n_large;

	for (unsigned p = 0; p < MW_N_PARTS; p++)
		n += p == MW_PART_TINY ? 0 : h->parts[p].n_out;
	return n;
}

MW_EXPORT void mw_heap_reset(private_heap *h)
{
	if (!mw__private_enter(h))
		return;
	h->n_free += live_objects(h);
	h->n_tiny = 0;
	drop_everything(h);
	mw__private_leave(h);
	mw__scavenge_tick();
}

MW_EXPORT void mw_heap_destroy(private_heap *h)
{
	uint64_t pages;

	if (!h || !mw__private_enter(h))
		return;
	store_relaxed(&h->magic, MW_HEAP_DEAD);
	pages = h->pages;
	drop_everything(h);
	mw__private_leave(h);
	mw__lock(&mw__heaps_lock, RANK_HEAPS);
	h->next_dead = NULL;
	if (n_dead++ > 0)
		dead_last->next_dead = h;
	else
		dead_first = h;
	dead_last = h;
	note_event(MW_EVENT_HEAP_GONE, h, pages);
	mw__unlock(&mw__heaps_lock, RANK_HEAPS);
	mw__scavenge_tick();
}

/* --- fork ------------------------------------------------------------------------------------------- */

void mw__private_lock_for_fork(void)
{
	mw__lock_for_fork(&mw__heaps_lock);
	for (private_heap *h = region.heaps; h; h = h->next)
		if (!is_single(h))
			mw__lock_for_fork(&h->lock);
}

void mw__private_after_fork(bool child)
{
	for (private_heap *h = region.heaps; h; h = h->next)
		if (!is_single(h))
			mw__lock_after_fork(&h->lock, child);
	mw__lock_after_fork(&mw__heaps_lock, child);
}
