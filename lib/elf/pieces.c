/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mappings are whole pages, segments are not. Within a mapping the first and last page hold what the file has
 * beside the segment, so a page of the file may be seen twice, with other rights. Where a segment wants
 * more memory than file, the kernel clears the rest of the last page of the file part, and only that.
 * (kernel fs/binfmt_elf.c, padzero().)
 */
#include "pieces.h"

#include <stdlib.h>
#include <string.h>

#include "../base/err.h"
#include "../base/size.h"

#define MAX_SEGMENTS 512

const char *const mw__piece_kinds[MW__N_PIECES] = {
	"segment", "before", "after", "cleared", "zero", "rounding", "gap",
};

static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_add_overflow(a, b, &r) ? UINT64_MAX : r;
}

static bool is_load(const struct mw__phdr *p) { return p->type == PT_LOAD && p->memsz; }

/* The next address behind `at` where something changes. */
static uint64_t next_cut(const struct mw_elf *elf, uint64_t at, uint64_t end)
{
	for (size_t i = 0; i < elf->n_ph; i++) {
		const struct mw__phdr *p = &elf->ph[i];
		uint64_t cuts[] = { p->vaddr, plus(p->vaddr, p->filesz), plus(p->vaddr, p->memsz) };

		for (size_t k = 0; k < 3 && is_load(p); k++)
			if (cuts[k] > at && cuts[k] < end)
				end = cuts[k];
	}
	return end;
}

/* The segment that holds addr, or the next one on the page, or the last one before. */
static size_t nearest(const struct mw_elf *elf, const struct mw__mapping *m, uint64_t addr)
{
	size_t before = elf->n_ph, behind = elf->n_ph;

	for (size_t i = 0; i < elf->n_ph; i++) {
		const struct mw__phdr *p = &elf->ph[i];
		uint64_t end = plus(p->vaddr, p->memsz);

		if (!is_load(p))
			continue;
		if (addr >= p->vaddr && addr < end)
			return i;
		if (end <= addr && end > m->start && (before == elf->n_ph || end > plus(elf->ph[before].vaddr, elf->ph[before].memsz)))
			before = i;
		if (p->vaddr > addr && p->vaddr < m->end && (behind == elf->n_ph || p->vaddr < elf->ph[behind].vaddr))
			behind = i;
	}
	return before < elf->n_ph ? before : behind;
}

static void classify(const struct mw_elf *elf, const struct mw__mapping *m, struct mw__piece *r)
{
	r->off = MW_UNKNOWN;
	r->segment = m->kind == MW__MAP_GAP ? elf->n_ph : nearest(elf, m, r->start);
	r->kind = m->kind == MW__MAP_GAP ? MW__PIECE_GAP : m->is_zero ? MW__PIECE_ROUNDING : MW__PIECE_AFTER;
	if (r->segment == elf->n_ph)
		return;
	const struct mw__phdr *p = &elf->ph[r->segment];
	uint64_t into = r->start - p->vaddr;

	if (m->is_zero) {
		if (r->start >= p->vaddr && into < p->memsz)
			r->kind = MW__PIECE_ZERO;
		return;
	}
	if (r->start < p->vaddr)
		r->kind = MW__PIECE_BEFORE;
	else if (into < p->filesz)
		r->kind = MW__PIECE_SEGMENT;
	else if (p->memsz > p->filesz)
		r->kind = MW__PIECE_CLEARED;
	if (r->kind != MW__PIECE_CLEARED)
		r->off = p->off + into;
}

int mw__plan_pieces(const struct mw_elf *elf, const struct mw__plan *plan, struct mw__pieces *ret, struct mw_err *err)
{
	struct mw__pieces r = { 0 };
	size_t loads = 0;

	for (size_t i = 0; i < elf->n_ph; i++)
		loads += is_load(&elf->ph[i]);
	r.too_many = loads > MAX_SEGMENTS || elf->n_ph > 8 * MAX_SEGMENTS;
	for (size_t i = 0; i < plan->maps.n && !r.too_many; i++) {
		const struct mw__mapping *m = &plan->maps.v[i];

		for (uint64_t at = m->start; at < m->end;) {
			struct mw__piece *p = MW_VEC_PUSH(&r.v);

			if (!p) {
				MW_VEC_FREE(&r.v);
				return mw__fail_nomem(err, elf->path);
			}
			*p = (struct mw__piece){ .start = at, .end = m->kind == MW__MAP_GAP ? m->end : next_cut(elf, at, m->end),
						 .mapping = i };
			classify(elf, m, p);
			at = p->end;
		}
	}
	*ret = r;
	return 0;
}
