/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Searches by address. Page tables (x86-64): nine bits of the address choose an entry at each level, from
 * bit 47 down (56 with five levels); a huge page ends the walk early, at PMD (2 MiB) or PUD (1 GiB). Which
 * tables exist is in no file; that a page below one has a state proves it.
 */
#include "locate.h"

#include "../base/search.h"
#include "../base/size.h"
#include "sections.h"

#include <elf.h>
#include <string.h>

#define PAGE UINT64_C(4096)

/* ------------------------------------------------------------------- atlas */

static int add_stretches(struct mw__atlas *a, const struct mw__extent *x)
{
	struct mw__stretches it;
	struct mw__stretch s;

	mw__stretches_init(&it, a->snap, x);
	while (mw__stretches_next(&it, &s)) {
		struct mw__stretch *new = MW_VEC_PUSH(&a->stretches);

		if (!new)
			return -MW_E_NOMEM;
		*new = s;
	}
	return 0;
}

int mw__atlas_init(struct mw__atlas *atlas, const struct mw_snapshot *snap)
{
	struct mw__extents it;
	struct mw__extent x;
	int rc = 0;

	memset(atlas, 0, sizeof(*atlas));
	atlas->snap = snap;
	if (mw__extents_init(&it, snap) < 0)
		return -MW_E_NOMEM;
	while (rc == 0 && mw__extents_next(&it, &x)) {
		struct mw__extent *new = MW_VEC_PUSH(&atlas->extents);

		if (new)
			*new = x;
		rc = new ? add_stretches(atlas, &x) : -MW_E_NOMEM;
	}
	mw__extents_deinit(&it);
	return rc;
}

void mw__atlas_deinit(struct mw__atlas *atlas)
{
	MW_VEC_FREE(&atlas->extents);
	MW_VEC_FREE(&atlas->stretches);
}

/* What holds addr in a vector of ranges that are in order, or NULL. */
#define HOLDER(vec, addr)                                                     \
	({                                                                    \
		size_t at_ = MW_FIRST(i, (vec)->n, (vec)->v[i].end > (addr)); \
		at_ < (vec)->n && (vec)->v[at_].start <= (addr) ? &(vec)->v[at_] : NULL; \
	})

const struct mw__extent *mw__atlas_extent(const struct mw__atlas *atlas, uint64_t addr)
{
	return HOLDER(&atlas->extents, addr);
}

const struct mw__stretch *mw__atlas_stretch(const struct mw__atlas *atlas, uint64_t addr)
{
	return HOLDER(&atlas->stretches, addr);
}

/* ------------------------------------------------------------------ images */

const struct mw__section *mw__image_section_at(const struct mw__image *img, uint64_t addr)
{
	uint64_t at = addr - img->bias;

	for (uint32_t i = 0; i < img->n_sections; i++) {
		const struct mw__section *s = &img->sections[i];

		if (mw__section_is_mapped(s) && at >= s->addr && at - s->addr < s->size)
			return s;
	}
	return NULL;
}

/* A label reaches up to the end of its section at most, and never when only exported symbols and functions are known. */
static bool reaches(const struct mw__image *img, const struct mw__symbol *label, uint64_t addr)
{
	const char *from = img->detail->symbols_from;

	return strcmp(from, ".dynsym") != 0 && strncmp(from, ".gnu_debugdata", 14) != 0 &&
	       mw__image_section_at(img, img->bias + label->addr) == mw__image_section_at(img, addr);
}

const struct mw__symbol *mw__image_symbol_at(const struct mw__image *img, uint64_t addr)
{
	const struct mw__detail *d = img->detail;
	uint64_t at = addr - img->bias;
	const struct mw__symbol *best = d ? mw__detail_symbol_at(d, at) : NULL;
	size_t n = d && !best ? MW_FIRST(i, d->n_symbols, d->symbols[i].addr > at) : 0;
	const struct mw__symbol *label = n && !d->symbols[n - 1].size ? &d->symbols[n - 1] : NULL;

	return best ? best : label && reaches(img, label, addr) ? label : NULL;
}

/* -------------------------------------------------------------- page tables */

static const char *const level_names[] = { "PTE", "PMD", "PUD", "P4D", "PGD" };

static bool has_entries(const struct mw_snapshot *snap, const struct mw__vma *v, uint64_t start, uint64_t end)
{
	for (uint32_t k = 0; k < v->n_runs; k++) {
		const struct mw__run *r = &snap->runs.v[v->run + k];

		if (r->start >= end)
			return false;
		if (r->start + r->pages * PAGE > start)
			return true;
	}
	return false;
}

/* Has any page of [start, end) a state? */
static bool is_in_use(const struct mw_snapshot *snap, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < snap->vmas.n && snap->vmas.v[i].start < end; i++)
		if (snap->vmas.v[i].end > start && has_entries(snap, &snap->vmas.v[i], start, end))
			return true;
	return false;
}

static uint64_t page_size_at(const struct mw__atlas *a, uint64_t addr)
{
	const struct mw__extent *x = mw__atlas_extent(a, addr);
	const struct mw__stretch *s = mw__atlas_stretch(a, addr);
	size_t vma = x ? (size_t)(x->vma - a->snap->vmas.v) : 0;

	if (x && x->vma->kind == MW__HUGETLB && a->snap->smaps && a->snap->smaps[vma].kernel_page_size != MW_UNKNOWN)
		return a->snap->smaps[vma].kernel_page_size;
	return s && s->is_huge ? UINT64_C(2) << 20 : PAGE;
}

void mw__translate(const struct mw__atlas *atlas, uint64_t addr, struct mw__translation *ret)
{
	const struct mw__frame *frame = mw__snapshot_frame_at(atlas->snap, addr);
	unsigned levels = atlas->snap->target.page_levels;

	*ret = (struct mw__translation){ .page_size = page_size_at(atlas, addr), .physical = MW_UNKNOWN };
	ret->offset = addr & (ret->page_size - 1);
	if (frame && frame->pfn != MW_UNKNOWN)
		ret->physical = frame->pfn * PAGE + addr % PAGE;
	if (levels != 4 && levels != 5)
		return;
	for (unsigned i = levels; i-- > 0;) {
		unsigned shift = 12 + 9 * i;
		struct mw__level *l = &ret->levels[ret->n++];
		uint64_t span = UINT64_C(1) << (shift + 9), start = addr & ~(span - 1);

		*l = (struct mw__level){ i + 1 == levels ? "PGD" : level_names[i], shift, (unsigned)(addr >> shift & 511), false };
		l->in_use = i + 1 == levels || is_in_use(atlas->snap, start, start + span);
		if (UINT64_C(1) << shift == ret->page_size)
			break;
	}
}
