/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * check.c - the invariants of abi.h, checked by walking everything.
 *
 * mw_alloc_check takes every lock in order and returns the number of violations; it
 * names the first few on standard error. Tests call it; a program may too.
 */
#include "private.h"
#include "bits.h"

#define MAX_NAMED 10

struct walk {
	unsigned bad;
	uint64_t in_use, in_small, dirty, clean, mapped;
	uint64_t out[MW_N_CLASSES], spans[MW_N_CLASSES];
};

static void expect(struct walk *w, bool ok, const char *what, uint64_t at)
{
	char buf[256];

	if (ok)
		return;
	if (w->bad++ < MAX_NAMED)
		mw__os_write(2, buf, mw__format(buf, sizeof(buf), "mw_alloc_check: %s at 0x%x\n",
						what, at));
}

static unsigned popcount_span(const mspan *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MW_SPAN_BITS_WORDS; i++)
		n += (unsigned)__builtin_popcountll(s->alloc_bits[i]);
	return n;
}

static void check_small(struct walk *w, const mspan *s)
{
	const struct mw_class *k = &mw__classes[s->cls];
	unsigned low = 0;

	expect(w, s->cls > 0 && s->cls < MW_N_CLASSES, "class out of range", s->base);
	expect(w, s->elemsize == k->size && s->nelems == k->n_objects && s->npages == k->pages,
	       "span does not fit its class", s->base);
	expect(w, popcount_span(s) == s->used, "used is not the number of bits", s->base);
	expect(w, s->used > 0 || s->nfresh == 0 || mw__centrals[s->cls].n_spans == 1 || option(MW_OPT_AUDIT),
	       "empty span kept", s->base);
	expect(w, s->used <= s->nelems, "more objects out than a span has", s->base);
	expect(w, s->fullness == (s->nfresh == 0 ? 5 : s->used == s->nelems ? 4 : s->used * 4u / s->nelems),
	       "span on the wrong list", s->base);
	while (low < s->freeindex && bit_get(s->alloc_bits, low))
		low++;
	expect(w, low == s->freeindex || option(MW_OPT_NO_CACHE), "free object below freeindex",
	       s->base);
	for (unsigned i = s->nfresh; i < s->nelems; i++)
		expect(w, !bit_get(s->alloc_bits, i), "fresh object is out", s->base);
	w->out[s->cls] += s->used;
	w->spans[s->cls]++;
	w->in_small += s->npages;
}

static void check_span(struct walk *w, const heap_arena *a, const mspan *s, uint32_t page)
{
	uint64_t base = a->base + ((uint64_t)page << MW_PAGE_SHIFT);

	expect(w, s->base == base, "span does not start at its page", base);
	expect(w, page + s->npages <= MW_ARENA_PAGES, "span leaves its arena", base);
	for (uint32_t i = 0; i < s->npages; i++) {
		uint32_t desc = a->page_desc[page + i];
		bool small = s->state == MW_SPAN_SMALL && !option(MW_OPT_NO_CACHE);
		bool marked = i == 0 || s->state == MW_SPAN_SMALL || s->state == MW_SPAN_PRIVATE;

		expect(w, bit_get(a->alloc_bits, page + i), "page of a span is free", base);
		expect(w, a->spans[page + i] == (marked ? s : NULL),
		       "page of a span belongs to another", base);
		expect(w, desc == page_desc(base, small ? s->cls : 0), "wrong page descriptor", base);
	}
	if (s->state == MW_SPAN_SMALL)
		check_small(w, s);
	else
		expect(w, s->state == MW_SPAN_LARGE || s->state == MW_SPAN_SAMPLED ||
			       s->state == MW_SPAN_CACHED || s->state == MW_SPAN_PRIVATE ||
			       s->state == MW_SPAN_PRIVATE_LARGE, "unexpected state", base);
}

static void check_free_page(struct walk *w, const heap_arena *a, uint32_t page)
{
	uint64_t base = a->base + ((uint64_t)page << MW_PAGE_SHIFT);

	expect(w, a->spans[page] == NULL && a->page_desc[page] == 0, "free page has a span", base);
	if (bit_get(a->alloc_bits, page)) {
		/* not mapped, or being scavenged this moment */
		w->in_use += bit_get(a->map_bits, page);
		return;
	}
	expect(w, bit_get(a->map_bits, page), "free page is not mapped", base);
	expect(w, page >= a->first_free, "free page below first_free", base);
	*(bit_get(a->clean_bits, page) ? &w->clean : &w->dirty) += 1;
}

static void check_first_runs(struct walk *w, const heap_arena *a)
{
	for (unsigned i = 1; i < MW_N_RUNS; i++)
		expect(w, a->first_run[i - 1] <= a->first_run[i], "first_run falls", a->base);
	for (uint32_t page = 0, end; page < MW_ARENA_PAGES; page = end + 1) {
		for (end = page; end < MW_ARENA_PAGES && !bit_get(a->alloc_bits, end);)
			end++;
		for (unsigned i = 0; i < MW_N_RUNS && mw_abi_run_min(i) <= end - page; i++)
			expect(w, a->first_run[i] <= page, "run below first_run", a->base);
	}
}

static void check_arena(struct walk *w, const heap_arena *a)
{
	uint32_t run = 0, longest = 0;

	for (uint32_t page = 0; page < MW_ARENA_PAGES;) {
		const mspan *s = a->spans[page];

		if (s) {
			check_span(w, a, s, page);
			w->in_use += s->npages;
			page += s->npages ? s->npages : 1;
			run = 0;
			continue;
		}
		check_free_page(w, a, page);
		run = bit_get(a->alloc_bits, page) ? 0 : run + 1;
		longest = run > longest ? run : longest;
		page++;
	}
	if (longest > MAX_RUN_PAGES)
		longest = MAX_RUN_PAGES;
	expect(w, a->max_run >= longest, "max_run is too low", a->base);
	check_first_runs(w, a);
}

static uint64_t check_list(struct walk *w, const mcentral *m, const mspan *s, unsigned fullness)
{
	uint64_t n = 0;

	for (; s; s = s->next, n++) {
		expect(w, s->cls == m->cls && s->fullness == fullness, "stranger on a list", s->base);
		expect(w, !s->next || s->next->prev == s, "list is torn", s->base);
	}
	return n;
}

static void check_lists(struct walk *w, const mcentral *m)
{
	uint64_t n = 0;

	for (unsigned f = 0; f < MW_N_FULLNESS; f++)
		n += check_list(w, m, m->lists[f], f);
	n += check_list(w, m, m->untouched, MW_N_FULLNESS);
	expect(w, n == m->n_spans && n == w->spans[m->cls], "spans and lists differ", m->cls);
	expect(w, m->n_out == w->out[m->cls], "n_out is wrong", m->cls);
	for (uint32_t i = 0; i < m->n_transfer; i++) {
		const mspan *s = span_at(mw__arena_of(m->transfer[i]), (uintptr_t)m->transfer[i]);

		expect(w, s && s->cls == m->cls, "stranger in the transfer array",
		       (uintptr_t)m->transfer[i]);
	}
}

static void check_bins(struct walk *w, const mcache *mc)
{
	for (unsigned c = 1; c < MW_N_CLASSES; c++) {
		const struct mw_bin *b = &mc->bins[c];

		expect(w, b->divisor == mw__classes[c].divisor, "bin of another size", c);
		expect(w, *b->base == NULL && b->top >= b->base && b->top <= b->end, "bin is torn", c);
		for (void **e = b->base + 1; e <= b->top; e++) {
			const mspan *s = span_at(mw__arena_of(*e), (uintptr_t)*e);

			expect(w, s && s->cls == c, "stranger in a bin", (uintptr_t)*e);
		}
	}
}

static void check_runs(struct walk *w, const mcache *mc)
{
	uint64_t pages = 0, mask = 0;
	uint32_t n = 0;

	for (uint32_t list = 0; list < MW_N_RUN_LISTS; list++)
		for (const mspan *s = mc->run_lists[list]; s; s = s->next, n++) {
			expect(w, s->state == MW_SPAN_CACHED && s->used == 0, "kept run is in use", s->base);
			expect(w, mw_abi_run_list(s->npages) == list && mw__run_round(s->npages) == s->npages,
			       "kept run of another length", s->base);
			pages += s->npages;
			mask |= 1ULL << list;
		}
	expect(w, n == mc->n_runs && pages == mc->run_pages && mask == mc->run_mask,
	       "kept runs are miscounted", pages);
}

static void check_heap(struct walk *w)
{
	for (uint64_t i = 0; i < heap.n_arenas; i++) {
		expect(w, heap.max_runs[i] == heap.arenas[i]->max_run, "max_runs differs", i);
		check_arena(w, heap.arenas[i]);
	}
	expect(w, w->in_use == heap.pages_in_use, "pages_in_use is wrong", w->in_use);
	expect(w, w->in_small == heap.pages_in_small, "pages_in_small is wrong", w->in_small);
	expect(w, w->dirty == heap.pages_dirty, "pages_dirty is wrong", w->dirty);
	expect(w, w->clean == heap.pages_clean, "pages_clean is wrong", w->clean);
	expect(w, heap.pages_mapped == w->in_use + w->dirty + w->clean, "pages_mapped is wrong",
	       heap.pages_mapped);
}

static void lock_everything(bool on)
{
	if (on) {
		mw__lock_for_fork(&mw__registry_lock);
		for (unsigned c = 1; c < MW_N_CLASSES; c++)
			mw__lock_for_fork(&mw__centrals[c].lock);
		mw__private_lock_for_fork();
		mw__lock_for_fork(&mw__sample_lock);
		mw__lock_for_fork(&heap.lock);
		mw__lock_for_fork(&mw__meta_lock);
		return;
	}
	mw__lock_after_fork(&mw__meta_lock, false);
	mw__lock_after_fork(&heap.lock, false);
	mw__lock_after_fork(&mw__sample_lock, false);
	mw__private_after_fork(false);
	for (unsigned c = MW_N_CLASSES; --c > 0;)
		mw__lock_after_fork(&mw__centrals[c].lock, false);
	mw__lock_after_fork(&mw__registry_lock, false);
}

static void count_bad(void *arg, const char *what, uint64_t at)
{
	expect(arg, false, what, at);
}

/**
 * mw_alloc_check() - verify the allocator's invariants
 *
 * Stops allocation of all threads while it walks the heap. Bins of other threads
 * move while they are read, so only the caller's is checked.
 *
 * Return: the number of violations, 0 when all is well.
 */
MW_EXPORT unsigned mw_alloc_check(void)
{
	struct walk w = { 0 };

	if (region.state != MW_REGION_READY)
		return 0;
	lock_everything(true);
	check_heap(&w);
	for (unsigned c = 1; c < MW_N_CLASSES; c++)
		check_lists(&w, &mw__centrals[c]);
	if (mcache_is_real(mw__mcache)) {
		check_bins(&w, mw__mcache);
		check_runs(&w, mw__mcache);
	}
	mw__private_check(count_bad, &w);
	lock_everything(false);
	return w.bad;
}
