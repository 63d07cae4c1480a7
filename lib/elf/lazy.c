/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Blocks are read by pread() into memory that is asked for as a whole but costs nothing until it is
 * written to. A block has a page or a little less, since each page is a page fault. One of text counts as
 * read in full when the string that its end cuts was read to its end, too: then whatever begins in it can be
 * used without another look.
 */
#include "lazy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../base/size.h"
#include "file.h"

#define PAGE 4096u
#define HUGE UINT64_C(0x200000)
#define MAPPED_BYTES (UINT64_C(1) << 16)	/* from this size on pages of their own */

enum { UNREAD, PART, FULL = MW__LAZY_FULL };	/* PART: of text, read, but its last string goes on in the next block */

/* A whole number of pages, on a huge page's boundary where one fits in: see mw__lazy_expect(). */
static char *map_pages(uint64_t size)
{
	uint64_t len = mw__align_up(size, PAGE), slack = size >= 2 * HUGE ? HUGE : 0;
	char *p = mmap(NULL, len + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	uint64_t head = slack ? -(uintptr_t)p & (HUGE - 1) : 0;

	if (head)
		munmap(p, head);
	if (slack > head)
		munmap(p + head + len, slack - head);
	return p + head;
}

static size_t n_blocks(const struct mw__lazy *l)
{
	return (l->n >> l->shift) + 1;	/* one more than needed at times, and never 0 */
}

static bool alloc(struct mw__lazy *l)
{
	uint64_t size = (uint64_t)l->n * l->elem + 1;

	l->is_mapped = size >= MAPPED_BYTES;
	l->p = l->is_mapped ? map_pages(size) : calloc(1, size);
	l->state = mw__arena_alloc(&l->elf->arena, n_blocks(l));
	return l->p && l->state;
}

void mw__lazy_free(struct mw__lazy *l)
{
	if (l->is_mapped && l->p)
		munmap(l->p, mw__align_up((uint64_t)l->n * l->elem + 1, PAGE));
	else
		free(l->p);
}

static struct mw__lazy *find_same(const struct mw__lazy *want)
{
	for (struct mw__lazy *l = want->elf->lazies; l; l = l->next)
		if (l->off == want->off && l->n == want->n && l->type == want->type)
			return l;
	return NULL;
}

struct mw__lazy *mw__lazy_open(struct mw_elf *elf, uint64_t off, size_t n, size_t elem, Elf_Type type, const char *what)
{
	struct mw__lazy want = { .elf = elf, .what = what, .off = off, .n = n, .elem = elem, .type = type };
	struct mw__lazy *l = find_same(&want);

	if (l || !n || !mw__elf_may_read(elf, off, (uint64_t)n * elem, what))
		return l;
	want.shift = elem == 1 ? 12 : 7;
	l = mw__arena_alloc(&elf->arena, sizeof(*l));
	if (!l)
		return NULL;
	*l = want;
	if (!alloc(l)) {
		mw__lazy_free(l);
		return NULL;
	}
	l->next = elf->lazies;
	elf->lazies = l;
	elf->chunk_bytes += (uint64_t)n * elem;
	return l;
}

/* Elements [from, to) from the file. */
static void read_range(struct mw__lazy *l, size_t from, size_t to)
{
	if (to > from)
		mw__elf_read_as(l->elf, l->off + (uint64_t)from * l->elem, l->p + from * l->elem, (to - from) * l->elem,
				l->type, l->what);
}

static void read_block(struct mw__lazy *l, size_t b)
{
	size_t from = b << l->shift, to = mw__min(l->n, (b + 1) << l->shift);

	if (l->state[b])
		return;
	read_range(l, from, to);
	l->state[b] = l->elem > 1 || to == l->n || !l->p[to - 1] ? FULL : PART;
}

void mw__lazy_read(struct mw__lazy *l, size_t i)
{
	size_t size = (size_t)1 << l->shift, block = i >> l->shift;

	read_block(l, block);
	if (l->state[block] == FULL || memchr(l->p + i, 0, size - (i & (size - 1))))
		return;
	for (size_t b = block + 1; l->state[block] == PART; b++) {
		read_block(l, b);
		if (l->state[b] == FULL || memchr(l->p + (b << l->shift), 0, size))
			l->state[block] = FULL;
	}
}

void mw__lazy_expect(struct mw__lazy *l, size_t from, size_t to)
{
	size_t first = from >> l->shift, n = mw__min(n_blocks(l), (to >> l->shift) + 1);

	if (l->is_mapped && to - from == l->n)
		madvise(l->p, (uint64_t)l->n * l->elem, MADV_HUGEPAGE);	/* 13 MB of names: 7 faults, not 3,300 */
	for (size_t b = first, end; b < n; b = end + 1) {
		for (end = b; end < n && l->state[end] == UNREAD;)
			end++;
		read_range(l, b << l->shift, mw__min(l->n, end << l->shift));
	}
	memset(l->state + first, l->elem > 1 || n == n_blocks(l) ? FULL : PART, n - first);
}

void mw__lazy_forget(struct mw__lazy *l, size_t from, size_t to)
{
	size_t first = from >> l->shift, n = (to >> l->shift) - first;
	char *begin = l->p + mw__align_up(((first << l->shift) * l->elem), PAGE);
	char *end = l->p + ((((first + n) << l->shift) * l->elem) & ~(size_t)(PAGE - 1));

	if (!l->is_mapped || end <= begin)
		return;
	memset(l->state + first, UNREAD, n);
	madvise(begin, end - begin, MADV_DONTNEED);
}
