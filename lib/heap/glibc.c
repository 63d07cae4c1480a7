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
 *     pagesize       since 2.35
 *
 * The shape is only a candidate: Go's heap has the same. A heap is proven when ar_ptr points into a heap
 * of the same kind, size <= mprotect_size, and the writable part really ends at mprotect_size.
 *
 * A block beyond the mmap threshold is a mapping of its own, or the upper end of a merged one: a chunk
 * header {0, size | IS_MMAPPED} whose size ends with the mapping makes it likely.
 */
#include "heap.h"

#include "../base/size.h"

#include <stdio.h>

#define HEAP_MAX_64 (UINT64_C(64) << 20)	/* 2 * DEFAULT_MMAP_THRESHOLD_MAX, 8-byte words */
#define HEAP_MAX_32 (UINT64_C(1) << 20)
#define IS_MMAPPED 2u
#define MMAP_THRESHOLD (UINT64_C(128) << 10)	/* DEFAULT_MMAP_THRESHOLD_MIN */
#define MAX_BLOCKS 10000u

static uint64_t heap_max(const struct mw__walk *w)
{
	return w->mem->word == 4 ? HEAP_MAX_32 : HEAP_MAX_64;
}

struct heap_info {
	uint64_t arena, prev, size, mprotect_size;
};

static bool read_heap_info(const struct mw__walk *w, uint64_t at, struct heap_info *ret)
{
	uint64_t word[4];

	for (unsigned i = 0; i < 4; i++)
		if (!mw__mem_word(w->mem, at + i * w->mem->word, &word[i]))
			return false;
	*ret = (struct heap_info){ word[0], word[1], word[2], word[3] };
	return true;
}

/* Can it be written throughout [start, end)? */
static bool is_writable(const struct mw_snapshot *snap, uint64_t start, uint64_t end)
{
	while (start < end) {
		const struct mw__vma *v = mw__snapshot_vma_at(snap, start);

		if (!v || v->kind != MW__ANON || !(v->prot & MW__W))
			return false;
		start = v->end;
	}
	return true;
}

/* heap_info tells nothing that the mappings contradict. */
static bool is_heap(const struct mw__walk *w, uint64_t at, struct heap_info *h)
{
	uint64_t max = heap_max(w), off;

	if (!read_heap_info(w, at, h) || !h->arena || h->size > h->mprotect_size || h->mprotect_size > max ||
	    h->mprotect_size % w->page_size || !h->size || h->size % 16)
		return false;
	off = h->arena - mw__align_down(h->arena, max);
	if (off < 4u * w->mem->word || off > 128 || (h->prev && h->prev % max))
		return false;
	if (!h->prev && mw__align_down(h->arena, max) != at)
		return false;
	if (!is_writable(w->snap, at, at + h->mprotect_size))
		return false;
	if (h->mprotect_size == max)
		return true;
	const struct mw__vma *tail = mw__snapshot_vma_at(w->snap, at + h->mprotect_size);

	return tail && !tail->prot && tail->kind == MW__ANON && tail->start == at + h->mprotect_size;
}

static int claim_heap(const struct mw__walk *w, uint64_t at, const struct heap_info *h)
{
	char detail[64];
	uint64_t end = at + h->mprotect_size;

	snprintf(detail, sizeof(detail), "arena 0x%llx", (unsigned long long)h->arena);
	int rc = mw__claim(w->snap, at, end, MW__OWNER_GLIBC_ARENA, MW__PROVEN, MW__CLAIM_RECORD,
			   "heap_info agrees with the mappings", detail);

	if (rc == 0)
		rc = mw__claim(w->snap, end, at + heap_max(w), MW__OWNER_GLIBC_TAIL, MW__PROVEN, MW__CLAIM_RECORD,
			       "heap_info: HEAP_MAX_SIZE less mprotect_size", detail);
	return rc;
}

/* Every multiple of HEAP_MAX_SIZE in a run of present pages: a header that is not present cannot be read. */
static int walk_run(const struct mw__walk *w, const struct mw__run *r)
{
	uint64_t max = heap_max(w), end = r->start + r->pages * w->page_size;

	for (uint64_t at = mw__align_up(r->start, max); at < end && at >= r->start; at += max) {
		struct heap_info h;
		int rc = is_heap(w, at, &h) ? claim_heap(w, at, &h) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int walk_arenas(const struct mw__walk *w, const struct mw__vma *v)
{
	int rc = 0;

	for (uint32_t k = 0; rc == 0 && k < v->n_runs; k++)
		rc = walk_run(w, &w->snap->runs.v[v->run + k]);
	return rc;
}

/* One or more mmapped chunks that end with the mapping: only the one at its start is looked for. */
static int walk_block(const struct mw__walk *w, const struct mw__vma *v)
{
	uint64_t prev, size;

	if (v->end - v->start < MMAP_THRESHOLD || !mw__mem_word(w->mem, v->start, &prev) || prev ||
	    !mw__mem_word(w->mem, v->start + w->mem->word, &size) || (size & 7) != IS_MMAPPED)
		return 0;
	size &= ~UINT64_C(7);
	if (size % w->page_size || size < MMAP_THRESHOLD || size > v->end - v->start)
		return 0;
	return mw__claim(w->snap, v->start, v->start + size, MW__OWNER_MALLOC_BLOCK, MW__LIKELY, MW__CLAIM_SHAPE,
			 "chunk header of a mmapped block", NULL);
}

int mw__heap_glibc(const struct mw__walk *w)
{
	unsigned blocks = 0;

	for (size_t i = 0; i < w->snap->vmas.n; i++) {
		const struct mw__vma *v = &w->snap->vmas.v[i];
		int rc = 0;

		if (v->kind != MW__ANON || *v->name || !(v->prot & MW__W) || !v->n_runs)
			continue;
		rc = walk_arenas(w, v);
		if (rc == 0 && blocks++ < MAX_BLOCKS)
			rc = walk_block(w, v);
		if (rc < 0)
			return rc;
	}
	return 0;
}
