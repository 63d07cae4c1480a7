/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rules, each found true for every object of hundreds of running programs:
 *   file part   p_filesz > 0: page-rounded p_vaddr .. p_vaddr + p_filesz, from the page of
 *               p_offset; p_align does not matter beyond the page
 *   zero part   what p_memsz needs beyond the last page of the file part, a mapping of its own
 *   gap         between segments of a library: the loader first reserves the whole span
 *               and leaves the holes inaccessible; counted in VSZ
 *   RELRO       made read-only after relocation: page of p_vaddr .. page of its END ROUNDED
 *               DOWN, splits what it cuts and never merges with a read-only neighbour
 *   merging     neighbours with the same rights, both zero or contiguous in the file
 * (kernel fs/binfmt_elf.c, glibc elf/dl-map-segments.h, elf/dl-reloc.c)
 */
#include "plan.h"

#include <string.h>

#include "../base/err.h"
#include "../base/size.h"
#include "dynamic.h"

const char *const mw__map_kinds[4] = { "file", "zero", "gap", "relro" };

static bool add(struct mw__plan *p, struct mw__mapping m)
{
	if (m.end <= m.start)
		return true;
	struct mw__mapping *new = MW_VEC_PUSH(&p->maps);

	if (new)
		*new = m;
	return new;
}

/* Sums saturate: segments may claim any size. */
static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_add_overflow(a, b, &r) ? UINT64_MAX : r;
}

static bool add_segment(struct mw__plan *p, const struct mw__phdr *h, uint32_t index, uint64_t page)
{
	uint64_t start = mw__align_down(h->vaddr, page);
	uint64_t file_end = h->filesz ? mw__align_up(plus(h->vaddr, h->filesz), page) : start;
	uint64_t end = mw__align_up(plus(h->vaddr, h->memsz), page);
	uint8_t prot = h->flags & 7;

	return add(p, (struct mw__mapping){ start, file_end, mw__align_down(h->off, page), prot, MW__MAP_FILE, index, false }) &&
	       add(p, (struct mw__mapping){ file_end, end, MW_UNKNOWN, prot, MW__MAP_ZERO, index, true });
}

static bool add_segments(const struct mw_elf *elf, struct mw__plan *p, uint64_t page)
{
	const struct mw__phdr *last = NULL;

	for (size_t i = 0; i < elf->n_ph; i++) {
		const struct mw__phdr *h = &elf->ph[i];

		if (h->type != PT_LOAD || !h->memsz)
			continue;
		uint64_t from = last ? mw__align_up(plus(last->vaddr, last->memsz), page) : 0;

		if (last && p->role == MW__PLAN_LIBRARY &&
		    !add(p, (struct mw__mapping){ from, mw__align_down(h->vaddr, page), MW_UNKNOWN, 0, MW__MAP_GAP, i, true }))
			return false;
		if (!add_segment(p, h, i, page))
			return false;
		last = h;
	}
	return true;
}

static bool can_merge(const struct mw__mapping *a, const struct mw__mapping *b)
{
	if (a->end != b->start || a->prot != b->prot || a->kind == MW__MAP_GAP || b->kind == MW__MAP_GAP ||
	    a->is_zero != b->is_zero)
		return false;
	return a->is_zero || a->off + (a->end - a->start) == b->off;
}

static void merge(struct mw__plan *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->maps.n; i++) {
		if (n && can_merge(&p->maps.v[n - 1], &p->maps.v[i]))
			p->maps.v[n - 1].end = p->maps.v[i].end;
		else
			p->maps.v[n++] = p->maps.v[i];
	}
	p->maps.n = n;
}

/* Cut m at addr; the part behind becomes a new mapping. */
static bool split(struct mw__plan *p, size_t i, uint64_t addr)
{
	struct mw__mapping m = p->maps.v[i];

	if (addr <= m.start || addr >= m.end)
		return true;
	if (!MW_VEC_PUSH(&p->maps))
		return false;
	memmove(&p->maps.v[i + 1], &p->maps.v[i], (p->maps.n - 1 - i) * sizeof(m));
	p->maps.v[i].end = addr;
	p->maps.v[i + 1].start = addr;
	if (m.off != MW_UNKNOWN)
		p->maps.v[i + 1].off = m.off + (addr - m.start);
	return true;
}

static bool has_interpreter(const struct mw_elf *elf)
{
	for (size_t i = 0; i < elf->n_ph; i++)
		if (elf->ph[i].type == PT_INTERP)
			return true;
	return false;
}

static bool protect(const struct mw_elf *elf, struct mw__plan *p, uint64_t page)
{
	for (size_t k = 0; k < elf->n_ph; k++) {
		const struct mw__phdr *h = &elf->ph[k];
		uint64_t start = mw__align_down(h->vaddr, page), end = mw__align_down(plus(h->vaddr, h->memsz), page);

		if (h->type != PT_GNU_RELRO || start >= end)
			continue;
		for (size_t i = 0; i < p->maps.n; i++) {
			if (!split(p, i, start) || !split(p, i, end))
				return false;
			struct mw__mapping *m = &p->maps.v[i];

			if (m->start >= start && m->end <= end && m->kind != MW__MAP_GAP && (m->prot & PF_W)) {
				m->prot = PF_R;
				m->kind = MW__MAP_RELRO;
				p->protects_itself = p->role == MW__PLAN_PROGRAM && !has_interpreter(elf);
			}
		}
		return true;	/* one is looked at */
	}
	return true;
}

static enum mw__plan_role guess_role(struct mw_elf *elf)
{
	uint64_t v;

	if (elf->eh.type != ET_EXEC && elf->eh.type != ET_DYN)
		return MW__PLAN_NONE;
	if (elf->eh.type == ET_EXEC || has_interpreter(elf))
		return MW__PLAN_PROGRAM;
	struct mw__elf_dynamic *dyn = mw__elf_dynamic(elf);

	if (mw__dyn_get(dyn, DT_FLAGS_1, &v) && (v & DF_1_PIE))
		return MW__PLAN_PROGRAM;
	const char *soname = mw__dyn_get(dyn, DT_SONAME, &v) ? mw__strtab_at(dyn->str, v) : NULL;

	return soname && !strncmp(soname, "ld", 2) && strstr(soname, ".so") && !mw__dyn_get(dyn, DT_NEEDED, &v) ?
	       MW__PLAN_LOADER : MW__PLAN_LIBRARY;
}

static void add_up(const struct mw_elf *elf, struct mw__plan *p, uint64_t page)
{
	uint64_t asked = 0, last_table = UINT64_MAX, last_dir = UINT64_MAX;

	for (size_t i = 0; i < p->maps.n; i++) {
		const struct mw__mapping *m = &p->maps.v[i];
		uint64_t size = m->end - m->start;

		p->vsz = plus(p->vsz, size);
		*(m->kind == MW__MAP_GAP ? &p->gaps : m->is_zero ? &p->zero : &p->file) += size;
		if (m->kind == MW__MAP_GAP)
			continue;
		/* one table of 4 KiB maps 2 MiB, one directory 1 GiB */
		uint64_t t0 = m->start >> 21, t1 = (m->end - 1) >> 21, d0 = m->start >> 30, d1 = (m->end - 1) >> 30;

		p->page_tables = plus(p->page_tables, (t1 - t0 + (t0 != last_table)) * 4096);
		p->page_tables = plus(p->page_tables, (d1 - d0 + (d0 != last_dir)) * 4096);
		last_table = t1;
		last_dir = d1;
	}
	p->shared_page = MW_UNKNOWN;
	for (size_t i = 0; i < elf->n_ph; i++) {
		const struct mw__phdr *h = &elf->ph[i];
		uint64_t end = plus(h->vaddr, h->filesz);

		if (h->type != PT_LOAD)
			continue;
		asked = plus(asked, h->memsz);
		if (h->memsz > h->filesz && h->filesz && (end & (page - 1))) {
			p->shared_page = mw__align_down(end, page);
			p->shared_file = end - p->shared_page;
		}
	}
	p->waste = mw__sub0(p->vsz - p->gaps, asked);
}

int mw__elf_plan(struct mw_elf *elf, uint64_t page, struct mw__plan *ret, struct mw_err *err)
{
	struct mw__plan p = { .role = guess_role(elf) };

	if (p.role != MW__PLAN_NONE && !add_segments(elf, &p, page))
		goto nomem;
	merge(&p);
	if (!protect(elf, &p, page))
		goto nomem;
	add_up(elf, &p, page);
	*ret = p;
	return 0;
nomem:
	MW_VEC_FREE(&p.maps);
	return mw__fail_nomem(err, elf->path);
}
