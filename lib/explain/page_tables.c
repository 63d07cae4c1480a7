/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tables that the entries of an address space need at least: one of 4 KiB for each 2 MiB with an entry,
 * for each 1 GiB, for each 512 GiB. Mappings are walked in the order of addresses, and a table that two
 * share is the first one's, so the parts sum up. The tables above (P4D of a machine with five levels, and the
 * PGD) are in no count of the kernel. An anonymous huge page keeps a page table in reserve for
 * the day it is split (Linux, mm/huge_memory.c, pgtable_trans_huge_deposit()), which VmPTE counts.
 */
#include "tlb.h"

#include "../base/size.h"

#include <string.h>

#define PAGE 4096u
#define BLOCK (UINT64_C(2) << 20)
/* A block with fewer small pages than this would cost more memory than it saves entries. */
#define WORTH 256u

static const unsigned shifts[MW__LEVELS] = { 21, 30, 39, 48, 57 };

struct walk {
	unsigned levels;
	uint64_t last[MW__LEVELS];	/* number of the last table counted on each level, plus 1 */
	uint64_t block;			/* of the mapping at hand: number, and small pages in it */
	uint64_t in_block;
};

/* Tables of a level for entries in [start, end). */
static uint64_t count_tables(struct walk *w, unsigned level, uint64_t start, uint64_t end)
{
	uint64_t first = start >> shifts[level], last = (end - 1) >> shifts[level];

	if (first + 1 == w->last[level])
		first++;
	if (first > last)
		return 0;
	w->last[level] = last + 1;
	return last - first + 1;
}

static void close_block(struct walk *w, struct mw__mapping_tables *m)
{
	if (w->in_block >= WORTH) {
		m->blocks++;
		m->in_blocks += w->in_block;
	}
	w->in_block = 0;
}

/* Small pages by whole aligned blocks of the mapping. */
static void count_blocks(struct walk *w, struct mw__mapping_tables *m, uint64_t start, uint64_t end)
{
	uint64_t from = mw__align_up(m->vma->start, BLOCK), to = mw__align_down(m->vma->end, BLOCK);

	start = mw__max(start, from);
	end = mw__min(end, to);
	for (uint64_t n; start < end; start += n) {
		uint64_t block = start / BLOCK, whole = start % BLOCK ? 0 : (end - start) / BLOCK;

		if (block != w->block)
			close_block(w, m);
		w->block = block + (whole ? whole - 1 : 0);
		n = whole ? whole * BLOCK : mw__min(end, (block + 1) * BLOCK) - start;
		if (whole) {
			m->blocks += whole;
			m->in_blocks += n / PAGE;
		} else {
			w->in_block += n / PAGE;
		}
	}
}

static void add_run(struct walk *w, struct mw__mapping_tables *m, const struct mw__run *r)
{
	uint64_t end = r->start + (uint64_t)r->pages * PAGE;
	bool is_huge = r->state & MW__HUGE, resident = r->state & MW__PRESENT;
	bool has_tables = !is_huge || (m->vma->kind == MW__ANON && !(r->state & MW__ZERO));

	for (unsigned level = has_tables ? 0 : 1; level < w->levels; level++)
		m->tables[level] += count_tables(w, level, r->start, end);
	if (!resident)
		return;
	if (is_huge) {
		m->huge += (uint64_t)r->pages * PAGE / BLOCK;
		return;
	}
	m->small += r->pages;
	if (!(r->state & MW__ZERO))
		count_blocks(w, m, r->start, end);
}

static int add_vma(struct mw__page_tables *t, struct walk *w, const struct mw_snapshot *snap, const struct mw__vma *v)
{
	struct mw__mapping_tables *m = MW_VEC_PUSH(&t->maps);

	if (!m)
		return -MW_E_NOMEM;
	m->vma = v;
	m->referenced = snap->smaps ? snap->smaps[v - snap->vmas.v].referenced : MW_UNKNOWN;
	w->block = UINT64_MAX;
	w->in_block = 0;
	for (uint32_t k = 0; k < v->n_runs; k++)
		add_run(w, m, &snap->runs.v[v->run + k]);
	close_block(w, m);
	for (unsigned i = 0; i < MW__LEVELS; i++)
		t->tables[i] += m->tables[i];
	t->small += m->small;
	t->huge += m->huge;
	t->referenced = mw__add(t->referenced, m->referenced);
	return 0;
}

int mw__page_tables_make(const struct mw_snapshot *snap, struct mw__page_tables *ret)
{
	/* what is not known to have five has four: the fifth changes nothing below it */
	struct walk w = { .levels = snap->target.page_levels == 5 ? 5 : 4 };

	memset(ret, 0, sizeof(*ret));
	ret->levels = w.levels;
	ret->is_known = snap->target.has_maps && snap->target.pages != MW_PAGES_AUTO;
	if (!ret->is_known) {
		ret->least = ret->small = ret->huge = ret->referenced = MW_UNKNOWN;
		return 0;
	}
	for (size_t i = 0; i < snap->vmas.n; i++)
		if (!mw__vma_is_vsyscall(&snap->vmas.v[i]) && add_vma(ret, &w, snap, &snap->vmas.v[i]) < 0) {
			mw__page_tables_deinit(ret);
			return -MW_E_NOMEM;
		}
	for (unsigned i = 0; i < MW__LEVELS_COUNTED; i++)
		ret->least += ret->tables[i] * PAGE;
	return 0;
}

void mw__page_tables_deinit(struct mw__page_tables *t)
{
	MW_VEC_FREE(&t->maps);
}
