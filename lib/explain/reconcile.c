/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Resident pages against recorded faults. A fault is not a page: one fault on a file maps its cached
 * neighbours too (Linux, mm/memory.c, do_fault_around(): a window of 64 KiB, aligned, but from the start
 * of the mapping when that lies inside), one fault may bring 2 MiB, and the kernel fills some mappings
 * without any. The first source that fits wins, the page's own fault before all others.
 */
#include "faults.h"

#include "../base/size.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_SHIFT 12
#define WINDOW_SHIFT 16
#define BLOCK_SHIFT 21
#define PAGE (1u << PAGE_SHIFT)

/* ---------------------------------------------------------------------- set */

static size_t hash(uint64_t v)
{
	v *= UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(v >> 20);
}

static bool grow_set(struct mw__fault_set *s)
{
	size_t size = s->size ? s->size * 2 : 4096;
	uint64_t *v = calloc(size, sizeof(*v));

	if (!v)
		return false;
	for (size_t i = 0; i < s->size; i++) {
		size_t at = hash(s->v[i]) & (size - 1);

		if (!s->v[i])
			continue;
		while (v[at])
			at = (at + 1) & (size - 1);
		v[at] = s->v[i];
	}
	free(s->v);
	s->v = v;
	s->size = size;
	return true;
}

/* Numbers are kept one higher, so that an empty slot is 0. */
int mw__fault_set_add(struct mw__fault_set *s, uint64_t v)
{
	if (s->n * 2 >= s->size && !grow_set(s))
		return -MW_E_NOMEM;
	size_t at = hash(++v) & (s->size - 1);

	while (s->v[at] && s->v[at] != v)
		at = (at + 1) & (s->size - 1);
	if (s->v[at])
		return 0;
	s->v[at] = v;
	s->n++;
	return 1;
}

bool mw__fault_set_has(const struct mw__fault_set *s, uint64_t v)
{
	if (!s->size)
		return false;
	size_t at = hash(++v) & (s->size - 1);

	while (s->v[at] && s->v[at] != v)
		at = (at + 1) & (s->size - 1);
	return s->v[at] != 0;
}

int mw__faulted_add(struct mw__faulted *f, uint64_t addr)
{
	int rc = mw__fault_set_add(&f->pages, addr >> PAGE_SHIFT);

	if (rc == 1 && (mw__fault_set_add(&f->windows, addr >> WINDOW_SHIFT) < 0 ||
			mw__fault_set_add(&f->blocks, addr >> BLOCK_SHIFT) < 0))
		return -MW_E_NOMEM;
	return rc;
}

void mw__faulted_deinit(struct mw__faulted *f)
{
	free(f->pages.v);
	free(f->windows.v);
	free(f->blocks.v);
}

/* -------------------------------------------------------------------- pages */

uint32_t mw__page_state(const struct mw_snapshot *snap, uint64_t addr)
{
	const struct mw__vma *v = mw__snapshot_vma_at(snap, addr);
	size_t lo = 0, hi = v ? v->n_runs : 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct mw__run *r = &snap->runs.v[v->run + mid];

		if (addr < r->start)
			hi = mid;
		else if (addr - r->start >= (uint64_t)r->pages * PAGE)
			lo = mid + 1;
		else
			return r->state;
	}
	return 0;
}

static bool is_resident(const struct mw__vma *v, uint32_t state)
{
	return state & MW__PRESENT && !(state & MW__ZERO) && v->kind != MW__HUGETLB && !v->no_pages;
}

/* Walks the pages of a snapshot in the order of addresses. */
struct walker {
	const struct mw_snapshot *snap;
	size_t vma;
	uint32_t run;
};

/* Was the page at addr resident there? Addresses only go up. */
static bool was_resident(struct walker *w, uint64_t addr)
{
	while (w->snap && w->vma < w->snap->vmas.n) {
		const struct mw__vma *v = &w->snap->vmas.v[w->vma];

		if (w->run < v->n_runs) {
			const struct mw__run *r = &w->snap->runs.v[v->run + w->run];

			if (addr < r->start)
				return false;
			if (addr - r->start < (uint64_t)r->pages * PAGE)
				return is_resident(v, r->state);
			w->run++;
		} else {
			w->vma++;
			w->run = 0;
		}
	}
	return false;
}

static bool is_locked(const struct mw_snapshot *snap, const struct mw__vma *v)
{
	const char *flags = snap->smaps ? snap->smaps[v - snap->vmas.v].flags : NULL;

	return flags && strstr(flags, "lo");
}

/* A cached page of a file that a fault in its window may have mapped along. */
static bool is_around(const struct mw__faulted *f, const struct mw__vma *v, uint32_t state, uint64_t addr)
{
	bool of_file = v->kind != MW__ANON && (v->is_shared || state & MW__OF_FILE);

	if (!of_file)
		return false;
	return mw__fault_set_has(&f->windows, addr >> WINDOW_SHIFT) ||
	       (addr - v->start < (1u << WINDOW_SHIFT) && mw__fault_set_has(&f->windows, v->start >> WINDOW_SHIFT));
}

struct sourcing {
	struct mw__fault_report *r;
	const struct mw__faulted *faulted;
	struct walker before;
	const struct mw__vma *vma;
	bool locked, is_stack;
};

static enum mw__source source_of(struct sourcing *s, uint32_t state, uint64_t addr)
{
	if (was_resident(&s->before, addr))
		return MW__SOURCE_BEFORE;
	if (mw__fault_set_has(&s->faulted->pages, addr >> PAGE_SHIFT))
		return MW__SOURCE_FAULT;
	if (s->locked)
		return MW__SOURCE_LOCKED;
	if (state & MW__HUGE && mw__fault_set_has(&s->faulted->blocks, addr >> BLOCK_SHIFT))
		return MW__SOURCE_HUGE;
	if (is_around(s->faulted, s->vma, state, addr))
		return MW__SOURCE_AROUND;
	if (s->is_stack && !s->r->rec->is_attached)
		return MW__SOURCE_EXEC;
	return MW__SOURCE_UNSEEN;
}

static uint64_t resident_bytes(const struct mw_snapshot *snap)
{
	uint64_t sum = 0;

	for (size_t i = 0; snap && i < snap->vmas.n; i++)
		for (uint32_t k = 0; k < snap->vmas.v[i].n_runs; k++) {
			const struct mw__run *r = &snap->runs.v[snap->vmas.v[i].run + k];

			if (is_resident(&snap->vmas.v[i], r->state))
				sum += (uint64_t)r->pages * PAGE;
		}
	return sum;
}

static bool knows_pages(const struct mw_snapshot *snap)
{
	return snap && snap->target.has_maps && snap->target.pages != MW_PAGES_AUTO;
}

int mw__reconcile(struct mw__fault_report *r, const struct mw__faulted *f)
{
	const struct mw_snapshot *after = r->rec->after;
	struct sourcing s = { .r = r, .faulted = f, .before = { r->rec->before, 0, 0 } };

	r->has_pages = knows_pages(after) && (!r->rec->is_attached || knows_pages(r->rec->before));
	if (!r->has_pages)
		return 0;
	for (size_t i = 0; i < after->vmas.n; i++) {
		s.vma = &after->vmas.v[i];
		s.locked = is_locked(after, s.vma);
		s.is_stack = !strcmp(s.vma->name, "[stack]");
		for (uint32_t k = 0; k < s.vma->n_runs; k++) {
			const struct mw__run *run = &after->runs.v[s.vma->run + k];

			for (uint32_t p = 0; is_resident(s.vma, run->state) && p < run->pages; p++)
				r->sources[source_of(&s, run->state, run->start + (uint64_t)p * PAGE)] += PAGE;
		}
	}
	r->rss_after = resident_bytes(after);
	r->rss_before = resident_bytes(r->rec->before);
	r->gone = mw__sub0(r->rss_before, r->sources[MW__SOURCE_BEFORE]);
	return 0;
}
