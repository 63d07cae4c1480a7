/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Thread stacks. The C library keeps a descriptor at the upper end of each stack that it allocated
 * (glibc: struct pthread, nptl/descr.h). On x86-64 its first word and its third point to itself, and it
 * stores where its stack block begins, how long it is and how much of it is guard. Offsets differ
 * between releases, so nothing is assumed: a descriptor is searched below the address that
 * get_robust_list(2) gave, and in it two neighbouring words that describe a range which holds the
 * descriptor itself. That is proof. A stack pointer inside an anonymous mapping with an inaccessible
 * mapping below it is a lesser one: likely.
 */
#include "heap.h"

#include "../base/size.h"

#include <stdio.h>
#include <string.h>

#define DESCRIPTOR_REACH 4096u	/* the robust list head lies this close above the descriptor */
#define DESCRIPTOR_SIZE 4096u	/* stack block fields lie this close */

static void label(char *buf, size_t size, const struct mw__task *task)
{
	if (task->comm)
		snprintf(buf, size, "tid %d (%s)", task->tid, task->comm);
	else
		snprintf(buf, size, "tid %d", task->tid);
}

/* The descriptor: an aligned address that holds its own address in words 0 and 2. */
static uint64_t find_descriptor(const struct mw__mem *mem, uint64_t head)
{
	for (uint64_t back = 0; back <= DESCRIPTOR_REACH && back < head; back += 16) {
		uint64_t at = mw__align_down(head, 16) - back, self, tcb;

		if (mw__mem_word(mem, at, &tcb) && tcb == at && mw__mem_word(mem, at + 2 * mem->word, &self) && self == at)
			return at;
	}
	return 0;
}

struct block {
	uint64_t start, size, guard;
};

/* Two neighbouring words in the descriptor: start and size of a page-aligned range around it. */
static bool find_block(const struct mw__mem *mem, uint64_t descriptor, uint64_t page, struct block *ret)
{
	for (uint64_t off = 0; off < DESCRIPTOR_SIZE; off += mem->word) {
		uint64_t start, size, guard;

		if (!mw__mem_word(mem, descriptor + off, &start))
			return false;
		if (!start || start % page || start >= descriptor || descriptor - start > UINT64_C(1) << 40 ||
		    !mw__mem_word(mem, descriptor + off + mem->word, &size) || size % page ||
		    descriptor - start >= size || size > UINT64_C(1) << 40)
			continue;
		if (!mw__mem_word(mem, descriptor + off + 2 * mem->word, &guard) || guard % page || guard >= size)
			guard = 0;
		*ret = (struct block){ start, size, guard };
		return true;
	}
	return false;
}

/* The part at the start of [start, end) that cannot be accessed. */
static uint64_t inaccessible_until(const struct mw_snapshot *snap, uint64_t start, uint64_t end)
{
	uint64_t at = start;

	while (at < end) {
		const struct mw__vma *v = mw__snapshot_vma_at(snap, at);

		if (!v || v->prot || v->kind != MW__ANON)
			break;
		at = v->end;
	}
	return mw__min(at, end);
}

static int claim_block(const struct mw__walk *w, const struct mw__task *task, const struct block *b)
{
	char detail[96];
	uint64_t guard = inaccessible_until(w->snap, b->start, b->start + b->guard);

	label(detail, sizeof(detail), task);
	int rc = mw__claim(w->snap, b->start, guard, MW__OWNER_THREAD_GUARD, MW__PROVEN, MW__CLAIM_STACK,
			   "guard size in the thread descriptor", detail);

	if (rc == 0)
		rc = mw__claim(w->snap, guard, b->start + b->size, MW__OWNER_THREAD_STACK, MW__PROVEN, MW__CLAIM_STACK,
			       "stack block in the thread descriptor", detail);
	return rc;
}

/* By stack pointer: the mapping around it, and an inaccessible one that ends where it starts. */
static int claim_by_sp(const struct mw__walk *w, const struct mw__task *task)
{
	const struct mw__vma *v = task->sp != MW_UNKNOWN ? mw__snapshot_vma_at(w->snap, task->sp) : NULL;
	char detail[96];

	if (!v || v->kind != MW__ANON || !(v->prot & MW__W) || *v->name || v == w->snap->vmas.v)
		return 0;
	const struct mw__vma *below = v - 1;

	if (below->end != v->start || below->prot || below->kind != MW__ANON || below->end - below->start > 1u << 20)
		return 0;
	label(detail, sizeof(detail), task);
	int rc = mw__claim(w->snap, below->start, below->end, MW__OWNER_THREAD_GUARD, MW__LIKELY, MW__CLAIM_SHAPE,
			   "below a mapping that holds a stack pointer", detail);

	if (rc == 0)
		rc = mw__claim(w->snap, v->start, v->end, MW__OWNER_THREAD_STACK, MW__LIKELY, MW__CLAIM_SHAPE,
			       "holds the stack pointer of a thread, inaccessible below", detail);
	return rc;
}

int mw__heap_threads(const struct mw__walk *w)
{
	for (size_t i = 0; i < w->snap->tasks.n; i++) {
		const struct mw__task *t = &w->snap->tasks.v[i];
		uint64_t d = t->descriptor != MW_UNKNOWN ? find_descriptor(w->mem, t->descriptor) : 0;
		struct block b;
		int rc;

		if (t->tid == w->snap->target.pid)
			continue;	/* the kernel names the main stack */
		if (d && find_block(w->mem, d, w->page_size, &b))
			rc = claim_block(w, t, &b);
		else
			rc = claim_by_sp(w, t);
		if (rc < 0)
			return rc;
	}
	return 0;
}
