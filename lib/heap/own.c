/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The books of our own allocator, read from outside while the target runs (lib/alloc/abi.h tells them field
 * by field). Nothing is asked of the target and nothing is stopped, so the books may change under the
 * reading: a fingerprint of everything that changes with them is taken before and after, and only when both
 * are equal, and no lock was held, is the copy exact. Otherwise it is taken again a few times; then the last
 * one is kept, and said to be off by what each thread had in flight.
 *
 * Requested bytes. Of blocks with a span of their own they are on record; of small objects only in audit
 * mode. Otherwise the requests ever made, counted by size in steps of 8 bytes (128 above 1 KiB), give the
 * mean request of each class, and the smallest and largest that occurred give the bounds.
 */
#include "own.h"

#include "../base/cleanup.h"
#include "../base/hash.h"
#include "../base/size.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define KERNEL_PAGE 4096u
#define TRIES 4
#define COST_BASE (UINT64_C(16) << 20)	/* tables and notes, which are there whatever the heap */
#define COST_BYTE 16u	/* twice what the dearest books cost for each of their bytes */

_Static_assert(MW__OWN_ERRORS == MW_N_ERRORS, "one for each kind");

struct books {
	struct mw__own_reader *r;
	struct mw_mcache cache;			/* the one at hand */
	struct mw_heap heap;			/* the same */
	uint8_t class_of[MW_N_BUCKETS];
	uint64_t requests[MW_N_BUCKETS];	/* of all threads, ever */
	uint64_t run_pages;			/* that threads had kept and used again */
};

/* --------------------------------------------------------------- fingerprint */

/* The private heaps have locks of their own, or none but the number. */
static bool mix_heaps(struct books *b, const struct mw_region *region, uint64_t *h)
{
	bool still = true;

	for (uint64_t at = region->heaps; at; at = b->heap.next) {
		if (!mw__own_element(b->r, at, region->sizeof_heap, 0, &b->heap, sizeof(b->heap)))
			return false;
		still &= !(b->heap.lock.seq & 1);
		*h = mw__hash(*h, &b->heap, offsetof(struct mw_heap, parts));
	}
	return still;
}

/* Everything that changes when somebody allocates; false when a lock was held or a thread in a slow path. */
static bool take_print(struct books *b, uint64_t *ret)
{
	struct mw__own_reader *r = b->r;
	struct mw_mcentral central;
	struct mw_region region;
	bool still = true;
	uint64_t h = MW__HASH;

	if (!mw__own_element(r, r->at, r->region.size, 0, &region, sizeof(region)))
		return false;
	still = !(region.heap.lock.seq & 1);
	h = mw__hash(h, &region, sizeof(region));
	for (unsigned c = 0; c < MW_N_CLASSES; c++) {
		const struct mw_abi_table *t = &r->region.tables[MW_TABLE_MCENTRALS];

		if (!mw__own_element(r, t->addr, t->stride, c, &central, sizeof(central)))
			return false;
		still &= !(central.lock.seq & 1);
		h = mw__hash(h, &central, sizeof(central));
	}
	for (uint64_t at = region.mcaches; at; at = b->cache.next) {
		if (!mw__own_element(r, at, r->region.sizeof_mcache, 0, &b->cache, sizeof(b->cache)))
			return false;
		still &= !(b->cache.seq & 1);
		h = mw__hash(h, &b->cache, sizeof(b->cache));
	}
	still &= mix_heaps(b, &region, &h);
	*ret = h;
	return still;
}

/* -------------------------------------------------------------------- tables */

static bool read_classes(struct books *b)
{
	const struct mw_abi_table *t = &b->r->region.tables[MW_TABLE_CLASSES];
	const struct mw_abi_table *buckets = &b->r->region.tables[MW_TABLE_BUCKETS];

	if (t->count < MW_N_CLASSES || buckets->count < MW_N_BUCKETS ||
	    !mw__own_peek(b->r, buckets->addr, b->class_of, sizeof(b->class_of)))
		return false;
	for (unsigned c = 0; c < MW_N_CLASSES; c++) {
		struct mw_class k;

		if (!mw__own_element(b->r, t->addr, t->stride, c, &k, sizeof(k)) || k.size > MW_MAX_SMALL)
			return false;
		b->r->own->classes[c] = (struct mw__own_class){ .size = k.size, .pages = k.pages, .n_objects = k.n_objects,
								.batch = k.batch, .is_served = k.is_served };
	}
	for (unsigned i = 0; i < MW_N_BUCKETS; i++)
		if (b->class_of[i] >= MW_N_CLASSES)
			return false;
	return true;
}

static bool read_centrals(struct books *b)
{
	const struct mw_abi_table *t = &b->r->region.tables[MW_TABLE_MCENTRALS];

	for (unsigned c = 0; c < MW_N_CLASSES; c++) {
		struct mw_mcentral m;

		if (!mw__own_element(b->r, t->addr, t->stride, c, &m, sizeof(m)))
			return false;
		struct mw__own_class *k = &b->r->own->classes[c];

		k->transfer = m.n_transfer;
		k->n_waits = m.lock.n_waits;
		k->n_fetches = m.n_fetches;
		k->n_transfers = m.n_transfer_hits;
		k->n_flushes = m.n_flushes;
		k->n_made = m.n_spans_made;
		k->n_freed = m.n_spans_freed;
		k->n_spans_peak = m.n_spans_peak;
	}
	return true;
}

static void add_counts(struct books *b, const uint64_t *requests, const uint64_t *fetched, const uint64_t *flushed)
{
	for (unsigned i = 0; i < MW_N_BUCKETS; i++) {
		b->requests[i] += requests[i];
		b->r->own->classes[b->class_of[i]].n_malloc += requests[i];
	}
	for (unsigned c = 0; c < MW_N_CLASSES; c++) {
		b->r->own->classes[c].fetched += fetched[c];
		b->r->own->classes[c].flushed += flushed[c];
	}
}

/* Free objects in a bin; 0 for one that makes no sense. */
static uint64_t in_bin(const struct mw_bin *bin)
{
	uint64_t n = (bin->top - bin->base) / 8;

	return bin->top >= bin->base && n <= bin->cap ? n : 0;
}

/* Old ones list four runs, later ones have the sums. */
static void read_runs(struct books *b, struct mw__own_thread *t)
{
	t->n_runs = b->cache.n_runs;
	t->runs = b->cache.run_pages * MW_PAGE_SIZE;
	for (unsigned i = 0; i < MW_MCACHE_RUNS; i++) {
		struct mw_mspan s;

		if (!b->cache.runs[i] || !mw__own_element(b->r, b->cache.runs[i], b->r->region.sizeof_mspan, 0, &s, sizeof(s)))
			continue;
		t->n_runs++;
		t->runs += (uint64_t)s.npages * MW_PAGE_SIZE;
	}
}

static int add_thread(struct books *b)
{
	const struct mw_mcache *m = &b->cache;
	struct mw__own_thread *t = MW_VEC_PUSH(&b->r->own->threads);

	if (!t)
		return -MW_E_NOMEM;
	*t = (struct mw__own_thread){ .tid = m->tid, .is_orphan = m->state == MW_MCACHE_ORPHAN, .n_refills = m->n_refills,
				      .n_overflows = m->n_overflows, .requested = (uint64_t)(m->drawn - m->until_sample) };
	for (unsigned i = 0; i < MW_N_BUCKETS; i++)
		t->n_malloc += m->n_requests[i];
	for (unsigned c = 1; c < MW_N_CLASSES; c++) {
		uint64_t n = in_bin(&m->bins[c]);

		b->r->own->classes[c].cached += n;
		t->n_cached += n;
		t->cached += n * b->r->own->classes[c].size;
	}
	read_runs(b, t);
	return 0;
}

static int read_caches(struct books *b)
{
	struct mw__own *own = b->r->own;

	for (uint64_t at = b->r->region.mcaches; at; at = b->cache.next) {
		if (!mw__own_element(b->r, at, b->r->region.sizeof_mcache, 0, &b->cache, sizeof(b->cache))) {
			own->bad_records++;
			return 0;
		}
		add_counts(b, b->cache.n_requests, b->cache.n_fetched, b->cache.n_flushed);
		own->requested_ever += (uint64_t)(b->cache.drawn - b->cache.until_sample);
		own->n_run_hits += b->cache.n_run_hits;
		b->run_pages += b->cache.n_run_pages;
		if (b->cache.state != MW_MCACHE_FREE && add_thread(b) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

static int compare_sites(const void *a, const void *b)
{
	const struct mw__own_site *x = a, *y = b;

	if (x->live_bytes != y->live_bytes)
		return x->live_bytes > y->live_bytes ? -1 : 1;
	return x->bytes > y->bytes ? -1 : x->bytes < y->bytes;
}

static int read_sites(struct books *b)
{
	const struct mw_abi_table *t = &b->r->region.tables[MW_TABLE_SITES];
	struct mw__own *own = b->r->own;

	for (uint64_t i = 0; i < mw__min(t->count, MW_N_SITES); i++) {
		struct mw_site s;

		if (!mw__own_element(b->r, t->addr, t->stride, i, &s, sizeof(s)) || !s.n_alloc)
			continue;
		struct mw__own_site *new = MW_VEC_PUSH(&own->sites);

		if (!new)
			return -MW_E_NOMEM;
		*new = (struct mw__own_site){ .n_frames = (uint32_t)mw__min(s.n_frames, MW__OWN_FRAMES), .samples = s.n_alloc,
					      .live_samples = s.n_live, .bytes = s.est_alloc_bytes, .live_bytes = s.est_live_bytes,
					      .count = s.est_alloc_count + (s.alloc_part >> 15),
					      .live_count = s.est_live_count + (s.live_part >> 15),
					      .is_private = s.is_private };
		if (*s.heap_name &&
		    !(new->heap = mw__arena_strn(&b->r->w->snap->arena, s.heap_name, strnlen(s.heap_name, sizeof(s.heap_name)))))
			return -MW_E_NOMEM;
		for (uint32_t k = 0; k < new->n_frames; k++)
			new->frames[k].addr = s.frames[k];
	}
	if (own->sites.n)
		qsort(own->sites.v, own->sites.n, sizeof(*own->sites.v), compare_sites);
	return 0;
}

/* The ring, from its oldest event on; one that is being written has another number. */
static int read_events(struct books *b)
{
	const struct mw_abi_table *t = &b->r->region.tables[MW_TABLE_EVENTS];
	struct mw__own *own = b->r->own;
	uint64_t count = mw__min(t->count, MW_N_EVENTS);

	for (uint64_t n = own->n_events - mw__min(own->n_events, count); n < own->n_events; n++) {
		struct mw_event e;

		if (!mw__own_element(b->r, t->addr, t->stride, n % count, &e, sizeof(e)) || e.seq != n + 1)
			continue;
		struct mw__own_event *new = MW_VEC_PUSH(&own->events);

		if (!new)
			return -MW_E_NOMEM;
		*new = (struct mw__own_event){ e.seq, e.time_ms, e.addr, e.npages, e.kind, e.cls };
	}
	return 0;
}

/* ------------------------------------------------------------------- numbers */

static void copy_counters(struct mw__own *own, const struct mw_region *g)
{
	const struct mw_mheap *h = &g->heap;

	own->major = g->major;
	own->minor = g->minor;
	own->pid = g->pid;
	own->options = g->options;
	own->is_audit = g->options & MW_OPT_AUDIT;
	own->page_size = MW_PAGE_SIZE;
	own->arena_size = MW_ARENA_SIZE;
	own->sample_interval = g->sample_interval;
	own->retain = g->retain_bytes;
	own->pages_mapped = h->pages_mapped;
	own->pages_in_use = h->pages_in_use;
	own->pages_dirty = h->pages_dirty;
	own->pages_clean = h->pages_clean;
	own->pages_peak = h->pages_peak;
	own->huge_pages = h->huge_pages;
	own->kept_pages = h->huge_idle_pages;
	own->heap_waits = h->lock.n_waits;
	own->meta_bytes = g->meta_bytes;
	own->meta_used = g->meta_used;
	own->n_samples = g->n_samples;
	for (unsigned i = 0; i < MW_N_ERRORS; i++) {
		own->errors[i] = g->n_errors[i];
		own->n_errors += g->n_errors[i];
	}
	own->n_mmap = g->syscalls.n_mmap;
	own->n_munmap = g->syscalls.n_munmap;
	own->n_madvise = g->syscalls.n_madvise;
	own->n_mremap = g->syscalls.n_mremap;
	own->n_failed = g->syscalls.n_failed;
	own->mmap_bytes = g->syscalls.mmap_bytes;
	own->munmap_bytes = g->syscalls.munmap_bytes;
	own->madvise_bytes = g->syscalls.madvise_bytes;
	own->mremap_bytes = g->syscalls.mremap_bytes;
	own->scavenged = h->scavenged_bytes;
	own->n_scavenges = h->n_scavenges;
	own->n_large = h->n_large_allocs;
	own->n_huge = h->n_huge_allocs;
	own->n_threads_gone = g->dead.n_threads;
	own->n_events = g->n_events;
	own->requested_ever = (uint64_t)(g->dead.drawn - g->dead.until_sample);
}

/* What reuse has spared the kernel; after the caches were read. */
static void count_saved(const struct books *b)
{
	const struct mw_region *g = &b->r->region;
	struct mw__own *own = b->r->own;

	own->faults_saved = own->calls_saved = own->n_moves = own->moved = MW_UNKNOWN;
	if (g->minor < 2)
		return;
	own->faults_saved = (g->heap.reused_dirty_pages + g->saved.run_pages + g->saved.idle_pages + b->run_pages) *
			    (MW_PAGE_SIZE / KERNEL_PAGE);
	own->calls_saved = 2 * (own->n_run_hits + g->saved.n_idle_hits);
	own->n_moves = g->saved.n_moves;
	own->moved = g->saved.moved_pages * MW_PAGE_SIZE;
}

/* The mean request of a class, as a sum over its live objects, with bounds. */
static void estimate(const struct books *b, unsigned cls, struct mw__own_class *c)
{
	double sum = 0, n = 0;
	uint64_t low = MW_UNKNOWN, high = 0;

	for (unsigned i = 0; i < MW_N_BUCKETS; i++) {
		uint64_t min = i ? mw_abi_bucket_max(i - 1) + 1 : 0, max = mw_abi_bucket_max(i);

		if (b->class_of[i] != cls || !b->requests[i])
			continue;
		sum += (double)b->requests[i] * (double)(min + max) / 2;
		n += (double)b->requests[i];
		low = mw__min(low, min);
		high = mw__max(high, max);
	}
	uint64_t small = mw__sub0(c->live, c->sampled);

	c->requested_min = n > 0 ? small * low : 0;
	c->requested_max = n > 0 ? small * mw__min(high, c->size) : small * c->size;
	c->requested = n > 0 ? mw__min((uint64_t)((double)small * sum / n + 0.5), c->requested_max) : c->requested_max;
}

static void finish_classes(const struct books *b)
{
	struct mw__own *own = b->r->own;

	for (unsigned i = 1; i < MW__OWN_CLASSES; i++) {
		struct mw__own_class *c = &own->classes[i];

		/* of a running target caches may be newer than spans */
		c->live = mw__sub0(c->out, c->cached + c->transfer) + c->sampled;
		if (own->is_audit)
			c->requested_min = c->requested_max = c->requested;
		else
			estimate(b, i, c);
	}
}

/* -------------------------------------------------------------------- driver */

static void forget(struct mw__own *own)
{
	struct mw__own fresh = { .image = own->image, .region = own->region, .tries = own->tries };

	mw__own_deinit(own);
	*own = fresh;
}

/* What reading books may cost that lie in the memory of this process, and not over each other: see own_find.c. */
static uint64_t what_it_may_cost(const struct mw__walk *w)
{
	const struct mw_snapshot *snap = w->snap;
	uint64_t pages = w->held / KERNEL_PAGE;

	for (size_t i = 0; i < snap->runs.n; i++)
		pages += snap->runs.v[i].state & MW__PRESENT ? snap->runs.v[i].pages : 0;
	return COST_BASE + COST_BYTE * KERNEL_PAGE * pages;
}

/* One reading. 1 done, 0 something could not be read. */
static int take(struct books *b)
{
	struct mw__own_reader *r = b->r;
	uint64_t before = 0, after = 0;
	int rc;

	forget(r->own);
	r->left = what_it_may_cost(r->w);
	memset(b->requests, 0, sizeof(b->requests));
	b->run_pages = 0;
	if (!mw__own_element(r, r->at, r->region.size, 0, &r->region, sizeof(r->region)) || !read_classes(b))
		return 0;
	bool still = take_print(b, &before);

	copy_counters(r->own, &r->region);
	add_counts(b, r->region.dead.n_requests, r->region.dead.n_fetched, r->region.dead.n_flushed);
	r->own->n_run_hits = r->region.dead.n_run_hits;
	rc = read_caches(b);
	if (rc == 0 && !read_centrals(b))
		return 0;
	if (rc == 0)
		rc = mw__own_read_heaps(r);
	if (rc == 0)
		rc = mw__own_read_spans(r);
	if (rc == 0)
		rc = read_sites(b);
	if (rc == 0)
		rc = read_events(b);
	if (rc < 0)
		return rc;
	finish_classes(b);
	count_saved(b);
	still &= take_print(b, &after);
	if (!r->left)
		return 0;
	r->own->is_exact = still && before == after && !r->own->bad_records;
	return 1;
}

static void say_why_not(const struct mw__own_reader *r)
{
	const char *why = r->trouble;

	if (!why && !r->left)
		why = "its lists lead round, or its records lie over each other: reading them all would take more than "
		      "the memory of the process can hold";
	mw__note(r->w->snap, MW__WARNING, "memwhy-malloc", NULL, "its books are there but cannot be read: %s",
		 why ? why : "a part of them is not in memory, or contradicts itself");
}

static int read_books(struct mw__own_reader *r)
{
	MW_CLEANUP(mw__freep) struct books *b = calloc(1, sizeof(*b));
	int rc = b ? 1 : -MW_E_NOMEM;

	if (b)
		b->r = r;
	for (unsigned i = 0; rc > 0 && i < TRIES && !r->own->is_exact; i++) {
		r->own->tries = i + 1;
		rc = take(b);
	}
	return rc;
}

static void free_reader(struct mw__own_reader **r)
{
	if (*r)
		MW_VEC_FREE(&(*r)->means);
	free(*r);
}

int mw__heap_own(const struct mw__walk *w)
{
	struct mw__own *own = mw__arena_alloc(&w->snap->arena, sizeof(*own));
	MW_CLEANUP(free_reader) struct mw__own_reader *r = calloc(1, sizeof(*r));

	if (!own || !r)
		return -MW_E_NOMEM;
	r->w = w;
	r->own = own;
	r->left = what_it_may_cost(w);
	int rc = w->mem->word == 8 ? mw__own_find(r) : 0;

	if (rc > 0) {
		own->region = r->at;
		rc = read_books(r);
		if (rc > 0)
			rc = mw__own_claim(w, own) < 0 ? -MW_E_NOMEM : 1;
		if (rc == 0)
			say_why_not(r);
	} else if (r->trouble) {
		say_why_not(r);
	}
	if (rc <= 0) {
		mw__own_deinit(own);
		return rc;
	}
	w->snap->own = own;
	return 0;
}
