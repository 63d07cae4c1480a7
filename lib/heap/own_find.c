/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where our allocator's region is: its ELF note holds the distance from itself, in whichever image carries
 * the note (the preloaded library, or a program linked with the archive). No symbols, no help from the
 * target. Everything read is bounded; a region that contradicts itself is refused.
 *
 * The allocator's tables are larger than what it used of them, and pages that it never touched are not
 * there. Such a page of anonymous memory holds zeros, which is what is read here without making the target
 * map one. A page that was swapped out is not zero: then the read fails.
 *
 * The books of a hostile process can lead round in circles, or their records can lie over each other. So a
 * reading has a price, about in bytes copied: a word of a page that is at hand costs less than one of another
 * page. Honest records are apart and in memory, so that what it costs to read all of them is bound to what the
 * process has there. The dearest are spans of one page, each read from another page for a record of 160 bytes,
 * and arenas of which three pages are in memory and the rest is blank: both cost 8 times their bytes.
 */
#include "own.h"

#include "../base/size.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>

#define KERNEL_PAGE 4096u
#define MAX_NOTES 65536u
#define COST_READ 64u
#define COST_PAGE 1024u

static bool is_blank(const struct mw_snapshot *snap, uint64_t addr)
{
	const struct mw__vma *vma = mw__snapshot_vma_at(snap, addr);

	return vma && vma->kind == MW__ANON && vma->states_known && !mw__vma_run_at(snap, vma, addr);
}

bool mw__own_spend(struct mw__own_reader *r, uint64_t cost)
{
	r->left = mw__sub0(r->left, cost);
	return r->left;
}

bool mw__own_peek(struct mw__own_reader *r, uint64_t addr, void *buf, size_t size)
{
	char *to = buf;

	while (size) {
		size_t n = mw__min(size, KERNEL_PAGE - addr % KERNEL_PAGE);
		uint64_t page = mw__align_down(addr, KERNEL_PAGE);

		if (!mw__own_spend(r, n + COST_READ + (page == r->last_page ? 0 : COST_PAGE)))
			return false;
		r->last_page = page;
		if (!mw__mem_read(r->w->mem, addr, to, n)) {
			if (!is_blank(r->w->snap, addr))
				return false;
			memset(to, 0, n);
		}
		if (__builtin_add_overflow(addr, n, &addr))
			return false;
		to += n;
		size -= n;
	}
	return true;
}

bool mw__own_element(struct mw__own_reader *r, uint64_t addr, uint64_t stride, uint64_t i, void *buf, size_t size)
{
	uint64_t off, at;

	memset(buf, 0, size);
	return !__builtin_mul_overflow(i, stride, &off) && !__builtin_add_overflow(addr, off, &at) &&
	       mw__own_peek(r, at, buf, mw__min(size, stride));
}

/* ---------------------------------------------------------------------- note */

static bool is_ours(const Elf64_Nhdr *h, const char *name)
{
	return h->n_type == MW_ABI_NOTE_TYPE && h->n_namesz == sizeof(MW_ABI_NOTE_NAME) &&
	       h->n_descsz >= sizeof(struct mw_abi_note) && !memcmp(name, MW_ABI_NOTE_NAME, sizeof(MW_ABI_NOTE_NAME));
}

/* The region that our note among size bytes of notes at addr tells; 0 without one. */
static uint64_t find_note(struct mw__own_reader *r, uint64_t addr, uint64_t size)
{
	while (size >= sizeof(Elf64_Nhdr)) {
		char name[sizeof(MW_ABI_NOTE_NAME)] = "";
		struct mw_abi_note note;
		Elf64_Nhdr h;

		if (!mw__own_peek(r, addr, &h, sizeof(h)) || !mw__own_peek(r, addr + sizeof(h), name, mw__min(h.n_namesz, sizeof(name))))
			return 0;
		uint64_t desc = sizeof(h) + mw__align_up(h.n_namesz, 4), step = desc + mw__align_up(h.n_descsz, 4);

		if (step > size)
			return 0;
		if (is_ours(&h, name) && mw__own_peek(r, addr + desc, &note, sizeof(note)))
			return addr + desc + offsetof(struct mw_abi_note, region_off) + (uint64_t)note.region_off;
		addr += step;
		size -= step;
	}
	return 0;
}

static uint64_t find_in_image(struct mw__own_reader *r, const struct mw__image *img)
{
	uint64_t found = 0;

	for (uint32_t i = 0; i < img->n_segments && !found; i++)
		if (img->segments[i].type == PT_NOTE)
			found = find_note(r, img->bias + img->segments[i].vaddr, mw__min(img->segments[i].memsz, MAX_NOTES));
	return found;
}

/* Its first fields, then the rest that both sides know. */
static bool read_region(struct mw__own_reader *r)
{
	struct mw_region *g = &r->region;

	memset(g, 0, sizeof(*g));
	if (!mw__own_peek(r, r->at, g, offsetof(struct mw_region, state)) || g->magic != MW_ABI_MAGIC)
		return false;
	if (g->major != MW_ABI_MAJOR) {
		r->trouble = "this memwhy does not know the version of its books";
		return false;
	}
	return g->size >= offsetof(struct mw_region, tables) && mw__own_peek(r, r->at, g, mw__min(g->size, sizeof(*g)));
}

/* Each copy of the allocator has a heap of its own: the largest is read, of others it is said that they are there. */
int mw__own_find(struct mw__own_reader *r)
{
	struct mw_snapshot *snap = r->w->snap;
	uint64_t best = 0, size = 0;
	const char *unused = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < snap->images.n; i++) {
		const struct mw__image *img = &snap->images.v[i];

		r->at = img->elf_class == 64 ? find_in_image(r, img) : 0;
		if (!r->at || !read_region(r))
			continue;
		uint64_t pages = mw__add(r->region.heap.pages_mapped, r->region.heap.huge_pages);

		if (r->region.state != MW_REGION_READY) {
			unused = img->path;
		} else if (!n++ || pages > size) {
			best = r->at;
			size = pages;
			r->own->image = img->path;
		}
	}
	if (n > 1)
		mw__note(snap, MW__WARNING, "memwhy-malloc", NULL, "%u copies of the allocator are in use: what is told is inside of the "
			 "largest heap, that of %s", n, r->own->image);
	if (!n && unused && !r->trouble) {
		snap->own_unused = true;
		mw__note(snap, MW__INFO, "memwhy-malloc", NULL, "nothing was allocated from %s: the program has a malloc of its own, or "
			 "has allocated nothing yet", unused);
	}
	r->at = best;
	return n && read_region(r);
}
