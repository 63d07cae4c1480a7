/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Resident pages against recorded faults. A fault is not a page: one fault on a file maps its cached
 * neighbours too (Linux, mm/memory.c, do_fault_around(): a window of 64 KiB, aligned, but from the start
 * of the mapping when that lies inside; since 6.18 the whole of a large folio, mm/filemap.c,
 * filemap_map_pages(), which is aligned in the file and 2 MiB at most), one fault may bring 2 MiB, and the
 * kernel fills some mappings without any. The first source that fits wins, the page's own fault before all
 * others.
 */
#include "faults.h"

#include "../base/cleanup.h"
#include "../base/search.h"
#include "../base/size.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_SHIFT 12
#define WINDOW_SHIFT 16
#define BLOCK_SHIFT 21
#define PAGE (1u << PAGE_SHIFT)
#define BLOCK (UINT64_C(1) << BLOCK_SHIFT)

/* ------------------------------------------------------------------- blocks */

/* Address bits of a block's number; the space stands above them. */
#define KEY_BITS (57 - BLOCK_SHIFT)

static uint64_t key_of(uint64_t space, uint64_t addr)
{
	return (addr >> BLOCK_SHIFT & ((UINT64_C(1) << KEY_BITS) - 1)) | space << KEY_BITS;
}

static size_t hash(uint64_t v)
{
	v *= UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(v >> 20);
}

static bool grow_blocks(struct mw__faulted *f)
{
	size_t n = f->n_slots ? f->n_slots * 2 : 1024;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < f->blocks.n; i++) {
		size_t at = hash(f->blocks.v[i].key) & (n - 1);

		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = (uint32_t)(i + 1);
	}
	free(f->slots);
	f->slots = slots;
	f->n_slots = n;
	return true;
}

/* The slot of this key, or the empty one where it belongs. */
static uint32_t *find_slot(const struct mw__faulted *f, uint64_t key)
{
	size_t at = hash(key) & (f->n_slots - 1);

	while (f->slots[at] && f->blocks.v[f->slots[at] - 1].key != key)
		at = (at + 1) & (f->n_slots - 1);
	return &f->slots[at];
}

static struct mw__fault_block *find_or_add(struct mw__faulted *f, uint64_t key)
{
	if (f->last < f->blocks.n && f->blocks.v[f->last].key == key)
		return &f->blocks.v[f->last];
	if (f->blocks.n * 2 >= f->n_slots && !grow_blocks(f))
		return NULL;
	uint32_t *slot = find_slot(f, key);

	if (!*slot) {
		struct mw__fault_block *b = MW_VEC_PUSH(&f->blocks);

		if (!b)
			return NULL;
		b->key = key;
		*slot = (uint32_t)f->blocks.n;
	}
	f->last = *slot - 1;
	return &f->blocks.v[f->last];
}

int mw__faulted_add(struct mw__faulted *f, uint64_t space, uint64_t addr)
{
	struct mw__fault_block *b = find_or_add(f, key_of(space, addr));
	unsigned page = addr >> PAGE_SHIFT & 511;
	uint64_t bit = UINT64_C(1) << (page & 63);

	if (!b)
		return -MW_E_NOMEM;
	if (b->bits[page >> 6] & bit)
		return 0;
	b->bits[page >> 6] |= bit;
	return 1;
}

/* The block of an address in space 0, or NULL when nothing in it faulted. */
static const struct mw__fault_block *block_at(const struct mw__faulted *f, uint64_t addr)
{
	uint32_t slot = f->n_slots ? *find_slot(f, key_of(0, addr)) : 0;

	return slot ? &f->blocks.v[slot - 1] : NULL;
}

static bool has_page(const struct mw__fault_block *b, uint64_t addr)
{
	unsigned page = addr >> PAGE_SHIFT & 511;

	return b && b->bits[page >> 6] >> (page & 63) & 1;
}

/* Did anything in the 64 KiB around fault? */
static bool has_window(const struct mw__fault_block *b, uint64_t addr)
{
	unsigned window = addr >> WINDOW_SHIFT & 31;

	return b && b->bits[window >> 2] >> ((window & 3) * 16) & 0xffff;
}

void mw__faulted_deinit(struct mw__faulted *f)
{
	MW_VEC_FREE(&f->blocks);
	free(f->slots);
	f->slots = NULL;
}

/* -------------------------------------------------------------------- pages */

uint32_t mw__page_state(const struct mw_snapshot *snap, uint64_t addr)
{
	const struct mw__vma *v = mw__snapshot_vma_at(snap, addr);
	const struct mw__run *r = v ? mw__vma_run_at(snap, v, addr) : NULL;

	return r ? r->state : 0;
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

/* Up to where the answer for addr, which was asked for last, holds too. */
static uint64_t same_until(const struct walker *w, uint64_t addr)
{
	if (!w->snap || w->vma >= w->snap->vmas.n)
		return UINT64_MAX;
	const struct mw__run *r = &w->snap->runs.v[w->snap->vmas.v[w->vma].run + w->run];

	return addr < r->start ? r->start : r->start + (uint64_t)r->pages * PAGE;
}

static bool is_locked(const struct mw_snapshot *snap, const struct mw__vma *v)
{
	const char *flags = snap->smaps ? snap->smaps[v - snap->vmas.v].flags : NULL;

	return flags && strstr(flags, "lo");
}

/* Did anything in [start, end) fault? */
static bool has_range(const struct mw__faulted *f, uint64_t start, uint64_t end)
{
	const struct mw__fault_block *b = block_at(f, start);

	for (uint64_t addr = start; addr < end; addr += PAGE) {
		if (!(addr & (BLOCK - 1)))
			b = block_at(f, addr);
		if (has_page(b, addr))
			return true;
	}
	return false;
}

/* The pages beside addr without a gap that a large folio of the cache can hold with it. */
struct stretch {
	uint64_t start, end;
	bool faulted;		/* one of them did */
};

static void find_stretch(const struct mw__faulted *f, const struct mw__vma *v, const struct mw__run *run, uint64_t addr,
			 struct stretch *s)
{
	uint64_t folio = addr - ((addr - v->start + v->off) & (BLOCK - 1));

	s->start = mw__max(run->start, folio);
	s->end = mw__min(run->start + (uint64_t)run->pages * PAGE, folio + BLOCK);
	s->faulted = has_range(f, s->start, s->end);
}

/* A cached page of a file that a fault in its window may have mapped along. */
static bool is_around(const struct mw__faulted *f, const struct mw__fault_block *b, const struct mw__vma *v,
		      uint32_t state, uint64_t addr)
{
	bool of_file = v->kind != MW__ANON && (v->is_shared || state & MW__OF_FILE);

	if (!of_file)
		return false;
	return has_window(b, addr) ||
	       (addr - v->start < (1u << WINDOW_SHIFT) && has_window(block_at(f, v->start), v->start));
}

struct sourcing {
	struct mw__fault_report *r;
	const struct mw__faulted *faulted;
	struct walker before;
	const struct mw__vma *vma;
	const struct mw__fault_block *block;	/* of the address block_key */
	uint64_t block_key;
	const struct mw__run *run;
	struct stretch stretch;			/* the last one looked at, of this run */
	const uint64_t *places;			/* where the blocks with faults begin, in order */
	size_t n_places, place;			/* the first one that may be near what comes */
	bool locked, is_stack;
};

/* In one large folio with a page that faulted, by all that is known: the kernel does not tell where folios are. */
static bool is_in_folio(struct sourcing *s, uint64_t addr)
{
	if (s->vma->kind == MW__ANON || !(s->vma->is_shared || s->run->state & MW__OF_FILE))
		return false;
	if (addr < s->stretch.start || addr >= s->stretch.end)
		find_stretch(s->faulted, s->vma, s->run, addr, &s->stretch);
	return s->stretch.faulted;
}

static enum mw__source source_of(struct sourcing *s, uint32_t state, uint64_t addr)
{
	if (was_resident(&s->before, addr))
		return MW__SOURCE_BEFORE;
	if (addr >> BLOCK_SHIFT != s->block_key) {
		s->block_key = addr >> BLOCK_SHIFT;
		s->block = block_at(s->faulted, addr);
	}
	if (has_page(s->block, addr))
		return MW__SOURCE_FAULT;
	if (s->locked)
		return MW__SOURCE_LOCKED;
	if (state & MW__HUGE && s->block)
		return MW__SOURCE_HUGE;
	if (is_around(s->faulted, s->block, s->vma, state, addr) || is_in_folio(s, addr))
		return MW__SOURCE_AROUND;
	if (s->is_stack && !s->r->rec->is_attached)
		return MW__SOURCE_EXEC;
	const struct mw_recording *rec = s->r->rec;

	return rec->counter > rec->faults.n || rec->without_kernel ? MW__SOURCE_LOST : MW__SOURCE_UNSEEN;
}

/*
 * Up to where the pages from addr to end have the source of the first one: where no fault is near. A folio reaches from
 * a fault into the block before or behind, and a fault at the start of the mapping over its first window.
 * Addresses only go up.
 */
static uint64_t alike_until(struct sourcing *s, uint64_t addr, uint64_t end)
{
	while (s->place < s->n_places && s->places[s->place] + 2 * BLOCK <= addr)
		s->place++;
	uint64_t near = s->place < s->n_places ? mw__sub0(s->places[s->place], BLOCK) : UINT64_MAX;

	if (addr >= near || addr - s->vma->start < (1u << WINDOW_SHIFT))
		return addr + PAGE;
	return mw__min(mw__min(end, near), same_until(&s->before, addr));
}

static void count_run(struct sourcing *s)
{
	uint64_t addr = s->run->start, end = addr + (uint64_t)s->run->pages * PAGE;

	s->stretch = (struct stretch){ 0, 0, false };
	while (addr < end) {
		uint64_t *source = &s->r->sources[source_of(s, s->run->state, addr)], next = alike_until(s, addr, end);

		*source += next - addr;
		addr = next;
	}
}

/* Of the blocks in space 0. */
static uint64_t *sort_places(const struct mw__faulted *f, size_t *n)
{
	uint64_t *places = malloc((f->blocks.n + 1) * sizeof(*places));

	*n = 0;
	for (size_t i = 0; places && i < f->blocks.n; i++)
		if (!(f->blocks.v[i].key >> KEY_BITS))
			places[(*n)++] = f->blocks.v[i].key << BLOCK_SHIFT;
	if (places)
		qsort(places, *n, sizeof(*places), mw__compare_u64);
	return places;
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
	struct sourcing s = { .r = r, .faulted = f, .before = { r->rec->before, 0, 0 },
			      .block_key = MW_UNKNOWN };

	r->has_pages = knows_pages(after) && (!r->rec->is_attached || knows_pages(r->rec->before));
	if (!r->has_pages)
		return 0;
	MW_CLEANUP(mw__freep) uint64_t *places = sort_places(f, &s.n_places);

	if (!places)
		return -MW_E_NOMEM;
	s.places = places;
	for (size_t i = 0; i < after->vmas.n; i++) {
		s.vma = &after->vmas.v[i];
		s.locked = is_locked(after, s.vma);
		s.is_stack = !strcmp(s.vma->name, "[stack]");
		for (uint32_t k = 0; k < s.vma->n_runs; k++) {
			s.run = &after->runs.v[s.vma->run + k];
			if (is_resident(s.vma, s.run->state))
				count_run(&s);
		}
	}
	r->rss_after = resident_bytes(after);
	r->rss_before = resident_bytes(r->rec->before);
	r->gone = mw__sub0(r->rss_before, r->sources[MW__SOURCE_BEFORE]);
	return 0;
}
