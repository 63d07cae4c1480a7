/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * compat.c - glibc's malloc extensions: mallinfo2, malloc_info, malloc_stats,
 * malloc_trim, mallopt. Their figures are made from the same books that readers
 * outside see; where glibc's words do not fit this heap the nearest one is told.
 */
#include "internal.h"

#include <malloc.h>
#include <stdio.h>

/* --- totals --------------------------------------------------------------------------- */

static uint64_t cached_of_class(unsigned c)
{
	uint64_t n = 0;

	for (mcache *mc = region.mcaches; mc; mc = mc->next)
		if (mc->state == MW_MCACHE_LIVE)
			n += mw__mcache_count(&mc->bins[c]);
	return n;
}

/* Counts that others change meanwhile: a part may be read as more than the whole. */
static uint64_t rest_of(uint64_t whole, uint64_t part)
{
	return whole > part ? whole - part : 0;
}

static uint64_t live_of_class(unsigned c)
{
	uint64_t out = load_relaxed(&mw__centrals[c].n_out);
	uint64_t held = cached_of_class(c) + load_relaxed(&mw__centrals[c].n_transfer);

	return rest_of(out, held);
}

struct cached_runs {
	uint64_t n, pages, reused; /* reused: pages handed out again, ever */
};

static struct cached_runs cached_runs(void)
{
	struct cached_runs r = { .reused = region.saved.run_pages };

	for (mcache *mc = region.mcaches; mc; mc = mc->next) {
		r.reused += mc->n_run_pages;
		r.n += mc->n_runs;
		r.pages += mc->run_pages;
	}
	return r;
}

struct totals {
	uint64_t arena, huge, n_huge, live, n_live, cached, dirty, clean;
	uint64_t free_objects, n_free; /* of size classes, in spans and caches; and with free runs of pages */
	uint64_t reused; /* bytes handed out again that were in use before: faults saved, at most */
	uint64_t live_of[MW_N_CLASSES]; /* objects */
};

/* Blocks that are a span of their own, and private heaps, whose spans count as a whole. */
static void add_single(struct totals *t, const mspan *s)
{
	if (s->state == MW_SPAN_SMALL || s->used == 0)
		return;
	t->n_live++;
	t->live_of[s->state == MW_SPAN_SAMPLED ? s->cls : 0]++;
	t->live += s->state >= MW_SPAN_PRIVATE ? (uint64_t)s->npages << MW_PAGE_SHIFT : mw__span_usable(s);
}

static void add_arena(struct totals *t, const heap_arena *a)
{
	uint64_t before = 1;

	for (uint32_t page = 0; page < MW_ARENA_PAGES;) {
		const mspan *s = a->spans[page];

		if (s)
			add_single(t, s);
		page += s && s->npages ? s->npages : 1;
	}
	for (unsigned w = 0; w < MW_ARENA_WORDS; w++) {
		uint64_t used = a->alloc_bits[w];

		t->n_free += (unsigned)__builtin_popcountll(~used & (used << 1 | before)); /* a run begins */
		before = used >> 63;
	}
}

static void add_class(struct totals *t, unsigned c)
{
	uint64_t n = live_of_class(c);
	uint64_t n_free = rest_of(load_relaxed(&mw__centrals[c].n_spans) * mw__classes[c].n_objects, n);

	t->n_live += n;
	t->live_of[c] += n;
	t->live += n * mw__classes[c].size;
	t->n_free += n_free;
	t->free_objects += n_free * mw__classes[c].size;
}

static struct totals totals(void)
{
	struct totals t = { 0 };
	struct cached_runs runs = cached_runs();

	for (unsigned c = 1; c < MW_N_CLASSES; c++)
		add_class(&t, c);
	mw__heap_lock();
	for (uint64_t i = 0; i < heap.n_arenas; i++)
		add_arena(&t, heap.arenas[i]);
	mw__heap_unlock();
	t.arena = heap.pages_mapped << MW_PAGE_SHIFT;
	t.huge = heap.huge_pages << MW_PAGE_SHIFT;
	t.n_huge = heap.n_huge_used;
	t.dirty = heap.pages_dirty << MW_PAGE_SHIFT;
	t.clean = heap.pages_clean << MW_PAGE_SHIFT;
	t.reused = (heap.reused_dirty_pages + runs.reused + region.saved.idle_pages) << MW_PAGE_SHIFT;
	t.cached = rest_of(t.arena, t.live + t.dirty + t.clean);
	return t;
}

/* Bytes of freed large blocks that this thread keeps. */
static uint64_t own_runs(void)
{
	return mcache_is_real(mw__mcache) ? mw__mcache->run_pages << MW_PAGE_SHIFT : 0;
}

MW_EXPORT struct mallinfo2 mallinfo2(void)
{
	struct totals t = totals();
	struct mallinfo2 m = { 0 };

	m.arena = t.arena;                      /* address space of arenas */
	m.ordblks = t.n_free;                   /* free blocks, of any kind */
	m.hblks = t.n_huge;
	m.hblkhd = t.huge;
	m.usmblks = heap.pages_peak << MW_PAGE_SHIFT;
	m.fsmblks = t.free_objects;             /* in spans and caches */
	m.uordblks = t.live;
	m.fordblks = rest_of(t.arena, t.live);
	m.keepcost = t.dirty + own_runs();      /* what malloc_trim gives back at least */
	return m;
}

static int clip(size_t v)
{
	return v > INT32_MAX ? INT32_MAX : (int)v;
}

MW_EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 b = mallinfo2();

	return (struct mallinfo){ .arena = clip(b.arena), .ordblks = clip(b.ordblks),
				  .smblks = clip(b.smblks), .hblks = clip(b.hblks),
				  .hblkhd = clip(b.hblkhd), .usmblks = clip(b.usmblks),
				  .fsmblks = clip(b.fsmblks), .uordblks = clip(b.uordblks),
				  .fordblks = clip(b.fordblks), .keepcost = clip(b.keepcost) };
}

/* --- reports ----------------------------------------------------------------------------- */

MW_EXPORT int malloc_info(int options, FILE *f)
{
	struct totals t;

	if (options != 0)
		return EINVAL;
	t = totals();
	fprintf(f, "<malloc version=\"memwhy-%d.%d\">\n<heap nr=\"0\">\n<sizes>\n", MW_ABI_MAJOR,
		MW_ABI_MINOR);
	for (unsigned c = 1; c < MW_N_CLASSES; c++) {
		uint64_t spans = mw__centrals[c].n_spans;

		if (spans > 0 || t.live_of[c] > 0)
			fprintf(f, "<size class=\"%u\" bytes=\"%u\" spans=\"%lu\" live=\"%lu\"/>\n",
				c, mw__classes[c].size, (unsigned long)spans,
				(unsigned long)t.live_of[c]);
	}
	fprintf(f, "</sizes>\n<total type=\"live\" count=\"%lu\" size=\"%lu\"/>\n",
		(unsigned long)t.n_live, (unsigned long)t.live);
	fprintf(f, "<total type=\"mmap\" count=\"%lu\" size=\"%lu\"/>\n", (unsigned long)t.n_huge,
		(unsigned long)t.huge);
	fprintf(f, "<total type=\"cached\" size=\"%lu\"/>\n<total type=\"free\" size=\"%lu\"/>\n",
		(unsigned long)t.cached, (unsigned long)(t.dirty + t.clean));
	fprintf(f, "<total type=\"given-back\" size=\"%lu\"/>\n<total type=\"used-again\" size=\"%lu\"/>\n",
		(unsigned long)heap.scavenged_bytes, (unsigned long)t.reused);
	fprintf(f, "<system type=\"current\" size=\"%lu\"/>\n</heap>\n</malloc>\n",
		(unsigned long)t.arena);
	return 0;
}

static void print_totals(void)
{
	struct totals t = totals();
	char buf[960];
	size_t n = mw__format(buf, sizeof(buf),
			      "memwhy-malloc: arenas %u bytes, live %u bytes in %u blocks, "
			      "cached %u, free %u, given back or untouched %u\n"
			      "memwhy-malloc: huge %u bytes in %u blocks, peak %u, metadata %u; "
			      "mmap %u munmap %u madvise %u calls\n"
			      "memwhy-malloc: given back %u bytes; used again %u, which saved at most "
			      "%u faults; moved without a copy %u\n",
			      t.arena, t.live, t.n_live, t.cached, t.dirty, t.clean, t.huge,
			      t.n_huge, heap.pages_peak << MW_PAGE_SHIFT, region.meta_used,
			      region.syscalls.n_mmap, region.syscalls.n_munmap,
			      region.syscalls.n_madvise, heap.scavenged_bytes, t.reused,
			      t.reused / KERNEL_PAGE, region.saved.moved_pages << MW_PAGE_SHIFT);

	mw__os_write(2, buf, n);
}

MW_EXPORT void malloc_stats(void)
{
	print_totals();
}

void mw__report_at_exit(void)
{
	print_totals();
}

/* --- control ------------------------------------------------------------------------------- */

MW_EXPORT int malloc_trim(size_t pad)
{
	uint64_t before = load_relaxed(&heap.scavenged_bytes), dropped;

	if (mcache_is_real(mw__mcache))
		mw__mcache_flush_all(mw__mcache);
	mw__central_drain();
	dropped = mw__huge_drop_idle(0);
	mw__scavenge(true, pad);
	return dropped > 0 || load_relaxed(&heap.scavenged_bytes) > before;
}

MW_EXPORT int mallopt(int param, int value)
{
	switch (param) {
	case M_TRIM_THRESHOLD:
		mw__options.retain = value < 0 ? UINT64_MAX >> 20 : (uint64_t)value;
		region.retain_bytes = mw__options.retain;
		return 1;
	case M_PERTURB:
	case M_MMAP_THRESHOLD:
	case M_MMAP_MAX:
	case M_TOP_PAD:
	case M_ARENA_MAX:
	case M_ARENA_TEST:
	case M_CHECK_ACTION:
		return 1; /* known, without a counterpart here */
	case M_MXFAST:
		return value >= 0 && value <= 160;
	}
	return 0;
}
