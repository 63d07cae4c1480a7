/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * glibc's malloc from outside, as far as ownership goes. A secondary arena is a chain of heaps, each at a
 * multiple of HEAP_MAX_SIZE and that long: a part that can be written, and an inaccessible tail. At its
 * start stands a heap_info (malloc/arena.c):
 *
 *     ar_ptr         the arena; in its first heap it points right behind heap_info
 *     prev           the heap before, 0 in the first one
 *     size           bytes in use
 *     mprotect_size  bytes that were ever made writable
 *     pagesize       since 2.35: of huge pages with the tunable glibc.malloc.hugetlb=2; HEAP_MAX_SIZE is four of them then
 *
 * The shape is only a candidate: Go's heap has the same. A heap is proven when ar_ptr points into a heap
 * of the same kind, size <= mprotect_size, and the writable part really ends at mprotect_size.
 *
 * A block beyond the mmap threshold is a mapping of its own, or with others a part of a merged one: mappings
 * grow downwards, so the last one made is lowest, and the block before it follows. A chunk header
 * {skipped, size | IS_MMAPPED} whose size ends a page within the mapping makes each likely.
 *
 * The main arena's heap is the kernel's [heap] in maps. A core has no names: there it is the first memory above
 * the program, and main_arena.top, somewhere in the C library's data, points to a chunk that ends with it.
 */
#include "heap.h"

#include "../base/size.h"
#include "../base/str.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

#define HEAP_MAX_64 (UINT64_C(64) << 20)	/* 2 * DEFAULT_MMAP_THRESHOLD_MAX, 8-byte words */
#define HEAP_MAX_32 (UINT64_C(1) << 20)
#define HUGE_PAGE_MAX (UINT64_C(1) << 34)	/* the largest of any machine */
#define IS_MMAPPED 2u
#define MMAP_THRESHOLD (UINT64_C(128) << 10)	/* DEFAULT_MMAP_THRESHOLD_MIN */
#define MAX_BLOCKS 10000u
#define MAX_HEAPS (UINT64_C(1) << 21)	/* as many as 47 bits of addresses can hold: a damaged core has larger mappings */
#define BRK_REACH (UINT64_C(1) << 30)	/* SZ_1G, arch_randomize_brk() of the kernel */
#define DATA_MAX (UINT64_C(16) << 20)	/* writable data of a C library, or of a static program */

static uint64_t heap_max(const struct mw__walk *w)
{
	return w->mem->word == 4 ? HEAP_MAX_32 : HEAP_MAX_64;
}

struct heap_info {
	uint64_t arena, prev, size, mprotect_size, max;
};

static bool read_heap_info(const struct mw__walk *w, const struct mw__vma *v, uint64_t at, struct heap_info *ret)
{
	uint64_t word[5];

	for (unsigned i = 0; i < (v->kind == MW__HUGETLB ? 5 : 4); i++)
		if (!mw__mem_word(w->mem, at + i * w->mem->word, &word[i]))
			return false;
	*ret = (struct heap_info){ word[0], word[1], word[2], word[3], heap_max(w) };
	if (v->kind == MW__HUGETLB)
		ret->max = word[4] <= HUGE_PAGE_MAX && !(word[4] & (word[4] - 1)) ? 4 * word[4] : 0;
	return ret->max && at % ret->max == 0;
}

/* Can it be written throughout [start, end)? */
static bool is_writable(const struct mw_snapshot *snap, uint8_t kind, uint64_t start, uint64_t end)
{
	while (start < end) {
		const struct mw__vma *v = mw__snapshot_vma_at(snap, start);

		if (!v || v->kind != kind || !(v->prot & MW__W))
			return false;
		start = v->end;
	}
	return true;
}

/* heap_info tells nothing that the mappings contradict. */
static bool is_heap(const struct mw__walk *w, const struct mw__vma *v, uint64_t at, struct heap_info *h)
{
	uint64_t max, off;

	if (!read_heap_info(w, v, at, h))
		return false;
	max = h->max;
	if (!h->arena || h->size > h->mprotect_size || h->mprotect_size > max ||
	    h->mprotect_size % w->page_size || !h->size || h->size % 16)
		return false;
	off = h->arena - mw__align_down(h->arena, max);
	if (off < 4u * w->mem->word || off > 128 || (h->prev && h->prev % max))
		return false;
	if (!h->prev && mw__align_down(h->arena, max) != at)
		return false;
	if (!is_writable(w->snap, v->kind, at, at + h->mprotect_size))
		return false;
	if (h->mprotect_size == max)
		return true;
	const struct mw__vma *tail = mw__snapshot_vma_at(w->snap, at + h->mprotect_size);

	return tail && !(w->is_copy ? tail->prot & MW__W : tail->prot) && tail->kind == v->kind && tail->start == at + h->mprotect_size;
}

static int claim_heap(const struct mw__walk *w, uint64_t at, const struct heap_info *h)
{
	char detail[64];
	uint64_t end = at + h->mprotect_size;

	snprintf(detail, sizeof(detail), "arena 0x%llx", (unsigned long long)h->arena);
	int rc = mw__claim(w->snap, at, end, MW__OWNER_GLIBC_ARENA, MW__PROVEN, MW__CLAIM_RECORD,
			   "heap_info agrees with the mappings", detail);

	if (rc == 0)
		rc = mw__claim(w->snap, end, at + h->max, MW__OWNER_GLIBC_TAIL, MW__PROVEN, MW__CLAIM_RECORD,
			       "heap_info: HEAP_MAX_SIZE less mprotect_size", detail);
	return rc;
}

/* Every multiple of HEAP_MAX_SIZE in a range that can be read. */
static int walk_range(const struct mw__walk *w, const struct mw__vma *v, uint64_t start, uint64_t end, uint64_t *left)
{
	uint64_t max = heap_max(w);

	for (uint64_t at = mw__align_up(start, max); at < end && at >= start && *left; at += max, --*left) {
		struct heap_info h;
		int rc = is_heap(w, v, at, &h) ? claim_heap(w, at, &h) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* In present pages: a header that is not present cannot be read. */
static int walk_arenas(const struct mw__walk *w, const struct mw__vma *v, uint64_t *left)
{
	int rc = w->is_copy ? walk_range(w, v, v->start, v->end, left) : 0;

	for (uint32_t k = 0; rc == 0 && k < v->n_runs; k++) {
		const struct mw__run *r = &w->snap->runs.v[v->run + k];

		rc = walk_range(w, v, r->start, r->start + r->pages * w->page_size, left);
	}
	return rc;
}

/* A heap of huge pages is a mapping of its own. */
static int walk_huge(const struct mw__walk *w, const struct mw__vma *v)
{
	struct heap_info h;

	return is_heap(w, v, v->start, &h) ? claim_heap(w, v->start, &h) : 0;
}

/* Where the mmapped chunk at an address ends, if its header stands so many bytes above; otherwise the address. */
static uint64_t chunk_end(const struct mw__walk *w, const struct mw__vma *v, uint64_t at, uint64_t above)
{
	uint64_t prev, size;

	if (!mw__mem_word(w->mem, at + above, &prev) || prev != above ||
	    !mw__mem_word(w->mem, at + above + w->mem->word, &size) || (size & 7) != IS_MMAPPED)
		return at;
	size = (size & ~UINT64_C(7)) + above;
	return size % w->page_size || size < MMAP_THRESHOLD || size > v->end - at ? at : at + size;
}

/* With words of 4 bytes, blocks are aligned to 16 since 2.26, so that their headers cannot start a page. */
static uint64_t block_end(const struct mw__walk *w, const struct mw__vma *v, uint64_t at)
{
	uint64_t end = v->end - at < MMAP_THRESHOLD ? at : chunk_end(w, v, at, 0);

	return end == at && w->mem->word == 4 && v->end - at >= MMAP_THRESHOLD ? chunk_end(w, v, at, 8) : end;
}

/* One or more mmapped chunks, from the start of the mapping on. */
static int walk_blocks(const struct mw__walk *w, const struct mw__vma *v, unsigned *left)
{
	uint64_t end = v->start;

	while (*left) {
		uint64_t next = block_end(w, v, end);

		--*left;
		if (next == end)
			break;
		end = next;
	}
	if (end == v->start)
		return 0;
	return mw__claim(w->snap, v->start, end, MW__OWNER_MALLOC_BLOCK, MW__LIKELY, MW__CLAIM_SHAPE,
			 "chunk headers of mmapped blocks", NULL);
}

int mw__heap_glibc(const struct mw__walk *w)
{
	unsigned blocks = MAX_BLOCKS;
	uint64_t left = MAX_HEAPS;

	for (size_t i = 0; i < w->snap->vmas.n; i++) {
		const struct mw__vma *v = &w->snap->vmas.v[i];
		int rc = 0;

		if (!(v->prot & MW__W) || (!v->n_runs && !w->is_copy) ||
		    (v->kind == MW__ANON ? *v->name : v->kind != MW__HUGETLB || v->is_shared))
			continue;
		rc = v->kind == MW__HUGETLB ? walk_huge(w, v) : walk_arenas(w, v, &left);
		if (rc == 0)
			rc = walk_blocks(w, v, &blocks);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ------------------------------------------------------------------ brk heap */

/* Is addr a chunk that ends with the mapping? The top chunk of a heap does, and its predecessor is in use. */
static bool is_top(const struct mw__walk *w, const struct mw__vma *v, uint64_t addr)
{
	uint64_t size, align = 2u * w->mem->word;

	return addr >= v->start && addr < v->end - align && addr % align == 0 && mw__mem_word(w->mem, addr + w->mem->word, &size) &&
	       (size & 7) == 1 && addr + (size & ~UINT64_C(7)) == v->end;
}

/* Does a word in this page point to the heap's top chunk? */
static bool is_top_in(const struct mw__walk *w, const struct mw__vma *heap, uint64_t page)
{
	char bytes[4096];
	bool found = false;

	if (!mw__mem_read(w->mem, page, bytes, sizeof(bytes)))
		return false;
	for (size_t i = 0; i < sizeof(bytes) && !found; i += w->mem->word) {
		uint64_t word = 0;

		memcpy(&word, bytes + i, w->mem->word);
		found = is_top(w, heap, word);
	}
	return found;
}

/* Does the writable data of the C library, or of the program if it is static, point to the heap's top chunk? */
static bool has_top(const struct mw__walk *w, const struct mw__image *img, const struct mw__vma *heap)
{
	uint64_t left = DATA_MAX;	/* of all segments, which may be many and lie over each other */

	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];
		uint64_t at = mw__align_down(img->bias + s->vaddr, 4096), end = img->bias + s->vaddr + s->memsz;

		if (s->type != PT_LOAD || !(s->flags & PF_W) || s->memsz > left)
			continue;
		left -= s->memsz;
		for (; at < end; at += 4096)
			if (is_top_in(w, heap, at))
				return true;
	}
	return false;
}

/* The kernel puts it above the program, at a random distance of less than BRK_REACH. */
static const struct mw__vma *find_brk(const struct mw__walk *w, const struct mw__image *program)
{
	for (size_t i = 0; i < w->snap->vmas.n; i++) {
		const struct mw__vma *v = &w->snap->vmas.v[i];

		if (v->start < program->end)
			continue;
		return v->start - program->end < BRK_REACH && v->kind == MW__ANON && !*v->name && (v->prot & MW__W) ? v : NULL;
	}
	return NULL;
}

int mw__heap_brk(const struct mw__walk *w)
{
	const struct mw__image *program = NULL, *libc = NULL;

	for (size_t i = 0; i < w->snap->images.n; i++) {
		const struct mw__image *img = &w->snap->images.v[i];

		if (img->role == MW__PROGRAM)
			program = img;
		else if (!libc && (!strncmp(mw__basename(img->path), "libc.", 5) || !strncmp(mw__basename(img->path), "libc-", 5)))
			libc = img;
	}
	const struct mw__vma *v = program ? find_brk(w, program) : NULL;

	if (!v)
		return 0;
	bool is_proven = has_top(w, libc ? libc : program, v);

	return mw__claim(w->snap, v->start, v->end, MW__OWNER_BRK_HEAP, is_proven ? MW__PROVEN : MW__LIKELY, MW__CLAIM_BRK,
			 is_proven ? "above the program, and malloc's top chunk ends with it" :
				     "the first memory above the program", NULL);
}
