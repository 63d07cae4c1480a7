/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What Go's runtime reserved, in a program that carries Go build information.
 *
 * Heap arenas: on 64-bit Linux the runtime asks for 64 MiB steps from 0xc000000000 on (runtime/malloc.go);
 * what it got elsewhere is found through the arena map below.
 *
 * Page summaries (runtime/mpagealloc.go, since 1.14): pageAlloc.summary is an array of five slices, whose
 * capacities are fixed by the address width: 2^14, 2^17, 2^20, 2^23 and 2^26 entries of 8 bytes. Five
 * neighbouring slices with these capacities, each pointing to a mapping, stand in the program's data once;
 * they prove the ranges without symbols or debug information.
 *
 * The scavenge index (1.19 and later) is the first slice behind them and behind pageAlloc.chunks, an array of
 * 2^13 pointers; it has a reservation of its own.
 * mheap.arenas[0] points to the map of arenas: 2^22 pointers, 32 MiB; the one of the first arena is set.
 */
#include "heap.h"

#include "../base/cleanup.h"
#include "../base/size.h"

#include <elf.h>
#include <string.h>

#define ARENA (UINT64_C(64) << 20)
#define ARENA_HINT UINT64_C(0xc000000000)
#define HINT_SPAN (UINT64_C(1) << 38)	/* how far from the hint a mapping is taken for Go's heap: 256 GiB */
#define ARENA_BASE UINT64_C(0xffff800000000000)
#define L2_ENTRIES (UINT64_C(1) << 22)
#define LEVELS 5
#define CHUNK_POINTERS (1u << 13)
#define INDEX_REACH 64	/* words behind pageAlloc.chunks in which the index is looked for */

static const uint64_t capacities[LEVELS] = { 1u << 14, 1u << 17, 1u << 20, 1u << 23, 1u << 26 };

/* Without a C library nobody but the runtime maps anonymous memory, unless the program calls mmap itself. */
static int claim_rest(const struct mw__walk *w, const struct mw__image *img)
{
	for (size_t i = 0; i < w->snap->images.n; i++)
		if (&w->snap->images.v[i] != img && w->snap->images.v[i].role != MW__VDSO)
			return 0;
	for (size_t i = 0; i < w->snap->vmas.n; i++) {
		const struct mw__vma *v = &w->snap->vmas.v[i];

		if (v->kind != MW__ANON || *v->name || !v->prot)
			continue;
		int rc = mw__claim(w->snap, v->start, v->end, MW__OWNER_GO_RUNTIME, MW__LIKELY, MW__CLAIM_SHAPE,
				   "static Go program: nobody else maps memory", NULL);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static const struct mw__image *find_program(const struct mw_snapshot *snap)
{
	for (size_t i = 0; i < snap->images.n; i++)
		if (snap->images.v[i].go_version)
			return &snap->images.v[i];
	return NULL;
}

static int claim_arenas(const struct mw__walk *w)
{
	for (size_t i = 0; i < w->snap->vmas.n; i++) {
		const struct mw__vma *v = &w->snap->vmas.v[i];
		int rc;

		if (v->start < ARENA_HINT || v->end > ARENA_HINT + HINT_SPAN || v->kind != MW__ANON)
			continue;
		rc = v->prot ? mw__claim(w->snap, v->start, v->end, MW__OWNER_GO_HEAP, MW__PROVEN, MW__CLAIM_RUNTIME,
					 "Go program, and in the range of its arena hints", NULL)
			     : mw__claim(w->snap, v->start, v->end, MW__OWNER_GO_RESERVE, MW__PROVEN, MW__CLAIM_RUNTIME,
					 "Go program, and in the range of its arena hints", NULL);
		if (rc < 0)
			return rc;
	}
	return 0;
}

struct slice {
	uint64_t ptr, len, cap;
};

/* Does word point to anonymous memory, size bytes long? */
static bool is_mapped(const struct mw_snapshot *snap, uint64_t start, uint64_t size)
{
	uint64_t end;

	if (__builtin_add_overflow(start, size, &end))
		return false;
	while (start < end) {
		const struct mw__vma *v = mw__snapshot_vma_at(snap, start);

		if (!v || v->kind != MW__ANON)
			return false;
		start = v->end;
	}
	return true;
}

static bool are_summaries(const struct mw_snapshot *snap, const struct slice *s)
{
	for (int i = 0; i < LEVELS; i++)
		if (s[i].cap != capacities[i] || s[i].len > s[i].cap || s[i].ptr % 4096 ||
		    !is_mapped(snap, s[i].ptr, s[i].cap * 8))
			return false;
	return true;
}

static int claim_summaries(const struct mw__walk *w, const struct slice *s)
{
	for (int i = 0; i < LEVELS; i++) {
		char detail[] = "level 0";

		detail[6] = (char)('0' + i);
		int rc = mw__claim(w->snap, s[i].ptr, s[i].ptr + s[i].cap * 8, MW__OWNER_GO_SUMMARY, MW__PROVEN,
				   MW__CLAIM_RECORD, "slice in the runtime's pageAlloc.summary", detail);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Behind the summaries: a slice of the same kind whose range is mapped, large, and none of the summaries. */
static int claim_index(const struct mw__walk *w, const uint64_t *words, size_t n)
{
	for (size_t i = 0; i + 2 < n; i++) {
		const struct slice *s = (const struct slice *)&words[i];
		uint64_t elem = s->cap >= UINT64_C(1) << 26 ? 8 : 1;

		if (s->ptr % 4096 || !s->ptr || s->len != s->cap || s->cap < 1u << 20 || s->cap > UINT64_C(1) << 26 ||
		    s->cap & (s->cap - 1) || !is_mapped(w->snap, s->ptr, s->cap * elem))
			continue;
		return mw__claim(w->snap, s->ptr, s->ptr + s->cap * elem, MW__OWNER_GO_INDEX, MW__LIKELY, MW__CLAIM_RECORD,
				 "slice behind the runtime's pageAlloc.summary", NULL);
	}
	return 0;
}

/* A pointer to 2^22 pointers, of which the one for an existing arena is set and points to memory. */
static int claim_arena_map(const struct mw__walk *w, uint64_t ptr, bool *found)
{
	uint64_t entry, index = (ARENA_HINT - ARENA_BASE) / ARENA;

	if (!ptr || ptr % 4096 || !is_mapped(w->snap, ptr, L2_ENTRIES * 8) ||
	    !mw__mem_word(w->mem, ptr + index * 8, &entry) || !entry || !is_mapped(w->snap, entry, 8))
		return 0;
	*found = true;
	return mw__claim(w->snap, ptr, ptr + L2_ENTRIES * 8, MW__OWNER_GO_ARENA_MAP, MW__PROVEN, MW__CLAIM_RECORD,
			 "its entry for the first arena is set", NULL);
}

/* The program's writable memory; words on absent pages read as 0. */
static void read_data(const struct mw__mem *mem, uint64_t start, uint64_t *words, size_t n)
{
	memset(words, 0, n * 8);
	for (size_t off = 0; off < n * 8; off += 4096)
		if (!mw__mem_read(mem, start + off, (char *)words + off, 4096))
			memset((char *)words + off, 0, 4096);
}

static int search(const struct mw__walk *w, const uint64_t *words, size_t n)
{
	bool map_found = false;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i + LEVELS * 3 <= n; i++)
		if (words[i + 2] == capacities[0] && are_summaries(w->snap, (const struct slice *)&words[i])) {
			rc = claim_summaries(w, (const struct slice *)&words[i]);
			size_t behind = i + LEVELS * 3;

			if (rc == 0)
				rc = claim_index(w, &words[behind], mw__min(n - behind, CHUNK_POINTERS + INDEX_REACH));
			break;
		}
	for (size_t i = 0; rc == 0 && !map_found && i < n; i++)
		if (words[i])
			rc = claim_arena_map(w, words[i], &map_found);
	return rc;
}

int mw__heap_go(const struct mw__walk *w)
{
	const struct mw__image *img = find_program(w->snap);

	if (!img || w->mem->word != 8)
		return 0;
	int rc = claim_arenas(w);

	if (rc == 0)
		rc = claim_rest(w, img);
	for (uint32_t i = 0; rc == 0 && i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];

		if (s->type != PT_LOAD || !(s->flags & PF_W) || s->memsz > UINT64_C(256) << 20)
			continue;
		uint64_t start = mw__align_down(img->bias + s->vaddr, 4096),
			 end = mw__align_up(img->bias + s->vaddr + s->memsz, 4096);
		MW_CLEANUP(mw__freep) uint64_t *words = malloc(end - start);

		if (!words)
			return -MW_E_NOMEM;
		read_data(w->mem, start, words, (end - start) / 8);
		rc = search(w, words, (end - start) / 8);
	}
	return rc;
}
