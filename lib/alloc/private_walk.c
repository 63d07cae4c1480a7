/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * private_walk.c - looking at heaps from inside the program: spans, objects, classes,
 * statistics, whose an object is, and the invariants of private heaps.
 *
 * A private heap is locked while it is walked, so what is told fits together. The heap of
 * malloc is not: its spans are copied a few at a time under the page heap's lock, and
 * told without it.
 */
#include "private.h"

#define COPIES 32u

typedef int span_fn(const struct mw_heap_span_info *, void *);
typedef int object_fn(const struct mw_heap_object_info *, void *);

/* --- spans -------------------------------------------------------------------------------- */

static unsigned kind_of(const mspan *s)
{
	if (s->flags & MW_SPAN_TINY)
		return MW_HEAP_SPAN_TINY;
	if (s->state == MW_SPAN_HUGE || s->state == MW_SPAN_PRIVATE_HUGE)
		return MW_HEAP_SPAN_HUGE;
	return s->cls ? MW_HEAP_SPAN_OBJECTS : MW_HEAP_SPAN_LARGE;
}

static struct mw_heap_span_info describe(const mspan *s)
{
	size_t length = (size_t)s->npages << MW_PAGE_SHIFT;

	return (struct mw_heap_span_info){
		.base = (void *)s->base,
		.length = length,
		.block_size = s->cls ? s->elemsize : length,
		.cls = s->cls,
		.kind = kind_of(s),
		.noscan = !!(s->flags & MW_SPAN_NOSCAN),
		.n_blocks = s->nelems,
		.n_used = s->used,
	};
}

/* Each span of a heap that is locked, until fn has enough. */
static int each_span(private_heap *h, int (*fn)(mspan *, void *), void *arg)
{
	int rc = 0;

	for (unsigned p = 0; p < 2 * MW_N_PARTS && rc == 0; p++) {
		const part *k = &h->parts[p / 2];

		for (mspan *s = p % 2 ? k->full : k->partial; s && rc == 0; s = s->next)
			rc = fn(s, arg);
	}
	for (mspan *s = h->large; s && rc == 0; s = s->next)
		rc = fn(s, arg);
	return rc;
}

struct span_walk {
	span_fn *fn;
	void *arg;
};

static int tell_span(mspan *s, void *arg)
{
	const struct span_walk *w = arg;
	struct mw_heap_span_info info = describe(s);

	return w->fn(&info, w->arg);
}

/* Copies of up to COPIES spans of the heap of malloc from page *at on; @i is the arena. */
static unsigned copy_spans(uint64_t i, uint32_t *at, struct mw_heap_span_info *out)
{
	unsigned n = 0;

	mw__heap_lock();
	while (*at < MW_ARENA_PAGES && n < COPIES) {
		const mspan *s = heap.arenas[i]->spans[*at];

		if (s && s->state < MW_SPAN_PRIVATE && s->state != MW_SPAN_CACHED && s->used)
			out[n++] = describe(s);
		*at += s && s->npages ? s->npages : 1;
	}
	mw__heap_unlock();
	return n;
}

static unsigned copy_huge(uint64_t *at, struct mw_heap_span_info *out)
{
	unsigned n = 0;

	mw__heap_lock();
	for (; *at < heap.n_huge_slots && n < COPIES; ++*at)
		if (heap.huge[*at] && heap.huge[*at]->state == MW_SPAN_HUGE)
			out[n++] = describe(heap.huge[*at]);
	mw__heap_unlock();
	return n;
}

static int tell_copies(const struct mw_heap_span_info *copies, unsigned n, const struct span_walk *w)
{
	int rc = 0;

	for (unsigned k = 0; k < n && rc == 0; k++)
		rc = w->fn(&copies[k], w->arg);
	return rc;
}

static int walk_process(const struct span_walk *w)
{
	struct mw_heap_span_info copies[COPIES];
	uint64_t slot = 0;
	int rc = 0;

	for (uint64_t i = 0; i < load_relaxed(&heap.n_arenas) && rc == 0; i++)
		for (uint32_t at = 0; at < MW_ARENA_PAGES && rc == 0;)
			rc = tell_copies(copies, copy_spans(i, &at, copies), w);
	while (slot < load_relaxed(&heap.n_huge_slots) && rc == 0)
		rc = tell_copies(copies, copy_huge(&slot, copies), w);
	return rc;
}

MW_EXPORT int mw_heap_walk_spans(private_heap *h, span_fn *fn, void *arg)
{
	struct span_walk w = { fn, arg };
	int rc;

	if (!h)
		return region.state == MW_REGION_READY ? walk_process(&w) : 0;
	if (!mw__private_enter(h))
		return 0;
	rc = each_span(h, tell_span, &w);
	mw__private_leave(h);
	return rc;
}

/* --- objects ------------------------------------------------------------------------------- */

struct object_walk {
	object_fn *fn;
	void *arg;
};

static struct mw_heap_object_info describe_object(const mspan *s, uint64_t start, size_t length, bool tiny)
{
	return (struct mw_heap_object_info){ .start = (void *)start, .length = length, .cls = s->cls,
					     .noscan = !!(s->flags & MW_SPAN_NOSCAN), .tiny = tiny };
}

static int tell_tiny(const mspan *s, unsigned idx, const struct object_walk *w)
{
	uint64_t base = s->base + (uint64_t)idx * s->elemsize;
	unsigned last = 0;
	int rc = 0;

	for (unsigned at = 0; rc == 0 && (at = tiny_next(tiny_of(s, idx), at, &last)) < TINY_BLOCK; at = last + 1) {
		struct mw_heap_object_info o = describe_object(s, base + at, last + 1 - at, true);

		rc = w->fn(&o, w->arg);
	}
	return rc;
}

static int tell_objects(mspan *s, void *arg)
{
	const struct object_walk *w = arg;
	int rc = 0;

	for (unsigned i = 0; i < s->nelems && rc == 0; i++) {
		struct mw_heap_object_info o;

		if (!(s->alloc_bits[i / 64] >> (i % 64) & 1))
			continue;
		if (s->flags & MW_SPAN_TINY) {
			rc = tell_tiny(s, i, w);
			continue;
		}
		o = describe_object(s, block_start(s, i), block_length(s, i), false);
		rc = w->fn(&o, w->arg);
	}
	return rc;
}

MW_EXPORT int mw_heap_walk_objects(private_heap *h, object_fn *fn, void *arg)
{
	struct object_walk w = { fn, arg };
	int rc;

	if (!mw__private_enter(h))
		return 0;
	rc = each_span(h, tell_objects, &w);
	mw__private_leave(h);
	return rc;
}

/* The object that holds byte @off of block @idx, in a locked heap. */
static bool find_in(const mspan *s, unsigned idx, uint32_t off, struct mw_heap_object_info *ret)
{
	uint64_t base = s->base + (uint64_t)idx * s->elemsize;
	unsigned last = 0;

	if (!(s->alloc_bits[idx / 64] >> (idx % 64) & 1))
		return false;
	if (!(s->flags & MW_SPAN_TINY)) {
		*ret = describe_object(s, block_start(s, idx), block_length(s, idx), false);
		return s->cls || s->base + off - block_start(s, 0) < mw__span_usable(s);
	}
	for (unsigned at = 0; (at = tiny_next(tiny_of(s, idx), at, &last)) < TINY_BLOCK; at = last + 1)
		if (off >= at && off <= last) {
			*ret = describe_object(s, base + at, last + 1 - at, true);
			return true;
		}
	return false;
}

MW_EXPORT int mw_heap_find(private_heap *h, const void *p, struct mw_heap_object_info *ret)
{
	bool found = false;
	unsigned idx;
	uint32_t off;
	mspan *s;

	if (!mw__private_enter(h))
		return 0;
	s = mw__private_span(h, (uintptr_t)p, &idx, &off);
	if (s)
		found = find_in(s, idx, off, ret);
	mw__private_leave(h);
	return found;
}

MW_EXPORT int mw_heap_owns(private_heap *h, const void *p)
{
	heap_arena *a = mw__arena_of(p);
	mspan *s = a ? span_at(a, (uintptr_t)p) : NULL;
	bool owns;

	if (!mw__private_enter(h))
		return 0;
	s = s ? s : mw__block_containing((uintptr_t)p);
	owns = s && span_is_private(s) && s->site == h->id;
	mw__private_leave(h);
	return owns;
}

/* --- errors ------------------------------------------------------------------------------------- */

/* The heap that has a span, if its structure still says so. */
static private_heap *owner_of(const mspan *s)
{
	private_heap *h = s && span_is_private(s) ? region.heaps : NULL;

	while (h && (h->id != s->site || load_relaxed(&h->magic) != MW_HEAP_LIVE))
		h = h->next;
	return h;
}

/* An object is given to whom it does not belong. Nobody may wait for a heap that has no lock. */
void mw__private_error(enum mw_error_kind kind, const void *p, const mspan *s)
{
	private_heap *h = owner_of(s);
	char detail[MW_HEAP_NAME + 32];
	uint32_t site = 0;

	if (h && !(h->flags & MW_HEAP_SINGLE) && mw__private_enter(h)) {
		site = mw__private_site(h, s, p);
		mw__private_leave(h);
	}
	if (!h) {
		mw__error(kind, p, s, NULL);
		return;
	}
	mw__format(detail, sizeof(detail), "it is of private heap %u%s%s", (uint64_t)h->id, *h->name ? ", " : "", h->name);
	mw__error_at(kind, p, s, detail, site);
}

/* --- audit: the last look --------------------------------------------------------------------- */

static int audit_span(mspan *s, void *arg)
{
	(void)arg;
	if (span_is_audited(s))
		mw__audit_span(s);
	return 0;
}

/* The thread of a heap without lock may be at work in it. */
void mw__private_audit(void)
{
	for (private_heap *h = region.heaps; h; h = h->next) {
		if (load_relaxed(&h->magic) != MW_HEAP_LIVE || (h->flags & MW_HEAP_SINGLE && !mw__is_alone()) ||
		    !mw__private_enter(h))
			continue;
		each_span(h, audit_span, NULL);
		mw__private_leave(h);
	}
}

/* --- classes ------------------------------------------------------------------------------- */

MW_EXPORT int mw_heap_class(unsigned cls, struct mw_heap_class_info *ret)
{
	const struct mw_class *k = &mw__classes[cls < MW_N_CLASSES ? cls : 0];

	if (!k->size)
		return 0;
	*ret = (struct mw_heap_class_info){ .object_size = k->size,
					    .span_size = (size_t)k->pages << MW_PAGE_SHIFT,
					    .n_objects = k->n_objects };
	ret->tail = ret->span_size - ret->n_objects * ret->object_size;
	return 1;
}

MW_EXPORT unsigned mw_heap_class_of(size_t size)
{
	return size <= MW_MAX_SMALL ? class_of(size) : 0;
}

/* --- statistics ------------------------------------------------------------------------------ */

static int add_span(mspan *s, void *arg)
{
	struct mw_heap_stats *t = arg;
	uint64_t length = (uint64_t)s->npages << MW_PAGE_SHIFT, live = s->cls ? (uint64_t)s->used * s->elemsize : s->requested;

	t->n_spans++;
	t->span_bytes += length;
	t->live_bytes += live;
	t->live_noscan_bytes += s->flags & MW_SPAN_NOSCAN ? live : 0;
	t->free_bytes += s->cls ? (uint64_t)(s->nelems - s->used) * s->elemsize : 0;
	t->tail_bytes += length - (s->cls ? (uint64_t)s->nelems * s->elemsize : live);
	if (s->flags & MW_SPAN_TINY)
		t->tiny_blocks += s->used;
	else
		t->live_objects += s->used;
	return 0;
}

static int add_tiny(const struct mw_heap_object_info *o, void *arg)
{
	struct mw_heap_stats *t = arg;

	t->tiny_bytes += o->tiny ? o->length : 0;
	return 0;
}

static int add_tiny_span(mspan *s, void *arg)
{
	return s->flags & MW_SPAN_TINY ? tell_objects(s, arg) : 0;
}

MW_EXPORT int mw_heap_stats(private_heap *h, struct mw_heap_stats *ret)
{
	struct mw_heap_stats t = { .size = sizeof(t) };
	struct object_walk w = { add_tiny, &t };

	if (ret->size != sizeof(t)) {
		errno = EINVAL;
		return -1;
	}
	if (!mw__private_enter(h))
		return -1;
	each_span(h, add_span, &t);
	each_span(h, add_tiny_span, &w);
	t.tiny_objects = h->n_tiny;
	t.live_objects += h->n_tiny;
	t.large_objects = h->n_large;
	t.large_bytes = h->large_requested;
	t.n_alloc = h->n_large_alloc;
	t.requested = h->large_requested_ever;
	for (unsigned p = 0; p < MW_N_PARTS; p++) {
		t.n_alloc += h->parts[p].n_alloc;
		t.requested += h->parts[p].requested;
	}
	t.n_free = h->n_free;
	t.peak_bytes = h->pages_peak << MW_PAGE_SHIFT;
	mw__private_leave(h);
	*ret = t;
	return 0;
}

/* --- invariants: all locks are held ------------------------------------------------------------ */

struct check {
	const private_heap *h;
	void (*bad)(void *, const char *, uint64_t);
	void *arg;
	unsigned n;
	uint64_t pages, out, spans, tiny, large, requested, samples;
};

static void expect(struct check *c, bool ok, const char *what, uint64_t at)
{
	if (ok)
		return;
	c->n++;
	c->bad(c->arg, what, at);
}

static void check_tiny(struct check *c, const mspan *s)
{
	for (unsigned i = 0; i < s->nelems; i++) {
		const struct mw_tiny *t = tiny_of(s, i);
		unsigned last = 0, n = 0;

		if (!(s->alloc_bits[i / 64] >> (i % 64) & 1))
			continue;
		for (unsigned at = 0; (at = tiny_next(t, at, &last)) < TINY_BLOCK; at = last + 1, n++)
			if (last >= TINY_BLOCK)
				break;
		expect(c, n > 0 && n == (unsigned)__builtin_popcount(t->starts) &&
				  n == (unsigned)__builtin_popcount(t->ends), "tiny block is torn", s->base);
		c->tiny += n;
	}
}

static void check_objects(struct check *c, const mspan *s, bool full)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < MW_SPAN_BITS_WORDS; i++)
		bits += (unsigned)__builtin_popcountll(s->alloc_bits[i]);
	expect(c, s->state == MW_SPAN_PRIVATE && bits == s->used, "private span: used is not the number of bits", s->base);
	expect(c, full == (s->used == s->nelems), "private span on the wrong list", s->base);
	for (unsigned i = 0; i < s->freeindex; i++)
		expect(c, s->alloc_bits[i / 64] >> (i % 64) & 1, "private span: free object below freeindex", s->base);
	for (unsigned i = s->nfresh; i < s->nelems; i++)
		expect(c, !(s->alloc_bits[i / 64] >> (i % 64) & 1), "private span: fresh object is out", s->base);
	if (s->flags & MW_SPAN_TINY)
		check_tiny(c, s);
}

static void check_span(struct check *c, const mspan *s)
{
	expect(c, s->site == c->h->id, "span of another private heap", s->base);
	expect(c, !s->next || s->next->prev == s, "list of a private heap is torn", s->base);
	c->pages += s->npages;
}

static void check_part(struct check *c, unsigned p)
{
	const part *k = &c->h->parts[p];

	c->out = c->spans = 0;
	for (unsigned full = 0; full < 2; full++)
		for (const mspan *s = full ? k->full : k->partial; s; s = s->next) {
			check_span(c, s);
			check_objects(c, s, full);
			c->out += s->used;
			c->spans++;
		}
	expect(c, c->out == k->n_out && c->spans == k->n_spans, "counts of a private heap are wrong", p);
}

/* Each sample in an arena is the start of a live object, in a span that is marked. */
static void check_sample(struct check *c, const struct mw_heap_sample *r)
{
	heap_arena *a = mw__arena_of((void *)r->span);
	mspan *s = a ? span_at(a, r->span) : NULL;
	struct mw_heap_object_info o = { 0 };
	uint32_t off;

	if (!a)
		return; /* the table of mappings is for one that holds the page heap's lock alone */
	expect(c, s && s->site == c->h->id && s->flags & MW_SPAN_HAS_SAMPLES, "sample in no span of its heap", r->addr);
	if (!s || !s->cls)
		return;
	off = (uint32_t)(r->addr - s->base);
	expect(c, find_in(s, off / s->elemsize, off % s->elemsize, &o) && (uint64_t)o.start == r->addr,
	       "sample of no live object", r->addr);
}

static void check_samples(struct check *c)
{
	const private_heap *h = c->h;

	for (uint64_t i = 0; i < h->n_chains; i++)
		for (const struct mw_heap_sample *r = h->chains[i]; r; r = r->next) {
			check_sample(c, r);
			c->samples++;
		}
	expect(c, c->samples == h->n_samples, "samples of a private heap are wrong", h->id);
}

unsigned mw__private_check(void (*bad)(void *, const char *, uint64_t), void *arg)
{
	unsigned n = 0;

	for (const private_heap *h = region.heaps; h; h = h->next) {
		struct check c = { .h = h, .bad = bad, .arg = arg };

		if (h->magic != MW_HEAP_LIVE)
			continue;
		for (unsigned p = 0; p < MW_N_PARTS; p++)
			check_part(&c, p);
		for (const mspan *s = h->large; s; s = s->next) {
			check_span(&c, s);
			c.large++;
			c.requested += s->requested;
		}
		check_samples(&c);
		expect(&c, c.pages == h->pages, "pages of a private heap are wrong", h->id);
		expect(&c, c.tiny == h->n_tiny, "tiny objects of a private heap are wrong", h->id);
		expect(&c, c.large == h->n_large && c.requested == h->large_requested,
		       "large blocks of a private heap are wrong", h->id);
		n += c.n;
	}
	return n;
}
