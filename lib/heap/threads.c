/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Thread stacks. The C library keeps a descriptor at the upper end of each stack that it allocated
 * (struct pthread of glibc and of musl). Its first word points to itself, it holds the thread's id, and two
 * neighbouring words tell where the stack block begins and how long it is. Offsets differ between releases,
 * so none is assumed: an address that holds itself is a descriptor if such a pair around it, and the id of a
 * thread, stand behind it. That is proof.
 *
 * Where to look: below the address that get_robust_list(2) gave; otherwise at the end of every mapping that
 * has an inaccessible one right below. There a descriptor without a living thread's id is a stack that the
 * library keeps for the next thread. A stack pointer inside such a mapping is a lesser sign: likely.
 *
 * glibc notes the size that the program asked for, which need be no multiple of a page; mmap rounded it up.
 */
#include "heap.h"

#include "../base/cleanup.h"
#include "../base/search.h"
#include "../base/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REACH 4096u		/* the robust list head lies this close above the descriptor */
#define FIELDS 4096u		/* the stack block's fields lie this close behind it */
#define N_IDS 256u		/* and the thread id is one of these many ints */
#define TOP 8192u		/* a descriptor lies this close to the end of its mapping */
#define MIN_STACK 16384u	/* PTHREAD_STACK_MIN */
#define MAX_GUARD (1u << 20)
#define MAX_BLOCK (UINT64_C(1) << 40)
#define LOOKS 16u		/* at words that point to themselves, for each thread: its descriptor has two or three */
#define KEPT_LOOKS 16384u	/* and for descriptors of threads that ended */

struct threads {
	const struct mw__walk *w;
	bool *found;	/* one a task */
	uint64_t *until;	/* one a mapping: where the next hole begins */
	uint64_t looks;	/* how many more words that point to themselves are looked at */
};

struct block {
	uint64_t start, size;
};

/* Is all of [start, start + size) mapped? */
static bool is_mapped(const struct threads *t, uint64_t start, uint64_t size)
{
	const struct mw__vma *v = mw__snapshot_vma_at(t->w->snap, start);

	return v && size <= t->until[v - t->w->snap->vmas.v] - start;
}

/* Two neighbouring words: start and size of a range around the descriptor from a page on, all of it mapped. */
static bool find_block(const struct threads *t, uint64_t descriptor, struct block *ret)
{
	const struct mw__walk *w = t->w;

	for (uint64_t off = w->mem->word; off < FIELDS; off += w->mem->word) {
		uint64_t start, size;

		if (!mw__mem_word(w->mem, descriptor + off, &start))
			return false;
		if (!start || start % w->page_size || start >= descriptor || descriptor - start > MAX_BLOCK ||
		    !mw__mem_word(w->mem, descriptor + off + w->mem->word, &size) || size % 16 ||
		    size > MAX_BLOCK || descriptor - start >= size)
			continue;
		bool is_odd = size % w->page_size;

		size = mw__align_up(size, w->page_size);
		if (!is_mapped(t, start, size) || (is_odd && start + size - descriptor > TOP))
			continue;
		*ret = (struct block){ start, size };
		return true;
	}
	return false;
}

static bool is_descriptor(struct threads *t, uint64_t at, struct block *b)
{
	uint64_t self;

	if (!mw__mem_word(t->w->mem, at, &self) || self != at || !t->looks)
		return false;
	t->looks--;
	return find_block(t, at, b);
}

/* The words at a descriptor in which its thread's id is: how many, as a small one may end with its mapping. */
static size_t read_ids(const struct mw__walk *w, uint64_t descriptor, int32_t ids[static N_IDS])
{
	size_t n = 0;

	if (mw__mem_read(w->mem, descriptor, ids, N_IDS * 4))
		return N_IDS;
	while (n < N_IDS && mw__mem_read(w->mem, descriptor + n * 4, &ids[n], 4))
		n++;
	return n;
}

static bool holds_tid(const struct mw__walk *w, uint64_t descriptor, pid_t tid)
{
	int32_t ids[N_IDS];
	size_t n = read_ids(w, descriptor, ids);

	for (size_t i = 0; i < n; i++)
		if (ids[i] == tid)
			return true;
	return false;
}

/* May the mapping be a guard? Of a core by gdb, which lists it as readable. */
static bool may_be_guard(const struct mw__walk *w, const struct mw__vma *v)
{
	return v->kind == MW__ANON && !(w->is_copy ? v->prot & MW__W : v->prot);
}

/* The part at the start of [start, end) that cannot be accessed. */
static uint64_t inaccessible_until(const struct mw__walk *w, uint64_t start, uint64_t end)
{
	uint64_t at = start;

	while (at < end) {
		const struct mw__vma *v = mw__snapshot_vma_at(w->snap, at);

		if (!v || !may_be_guard(w, v))
			break;
		at = v->end;
	}
	return mw__min(at, end);
}

static void label(char *buf, size_t size, const struct mw__task *task)
{
	if (!task)
		snprintf(buf, size, "no thread now");
	else if (task->comm)
		snprintf(buf, size, "tid %d (%s)", task->tid, task->comm);
	else
		snprintf(buf, size, "tid %d", task->tid);
}

static int claim_stack(const struct threads *t, const struct mw__task *task, const struct block *b,
		       enum mw__certainty certainty, const char *rule)
{
	struct mw_snapshot *snap = t->w->snap;
	char detail[96];
	uint64_t guard = inaccessible_until(t->w, b->start, b->start + b->size);
	enum mw__claim_priority priority = certainty == MW__PROVEN ? MW__CLAIM_STACK : MW__CLAIM_SHAPE;

	label(detail, sizeof(detail), task);
	int rc = mw__claim(snap, b->start, guard, MW__OWNER_THREAD_GUARD, certainty, priority, rule, detail);

	if (rc == 0)
		rc = mw__claim(snap, guard, b->start + b->size, MW__OWNER_THREAD_STACK, certainty, priority, rule, detail);
	if (rc == 0 && task)
		t->found[task - snap->tasks.v] = true;
	return rc;
}

/* By the descriptor below the thread's robust list. */
static int find_by_list(struct threads *t, const struct mw__task *task)
{
	struct block b;

	if (task->descriptor == MW_UNKNOWN)
		return 0;
	for (uint64_t back = 0; back <= REACH && back < task->descriptor; back += 16) {
		uint64_t at = mw__align_down(task->descriptor, 16) - back;

		if (is_descriptor(t, at, &b) && holds_tid(t->w, at, task->tid))
			return claim_stack(t, task, &b, MW__PROVEN, "stack block in the thread's descriptor");
	}
	return 0;
}

/* The thread of this id, or NULL; they are sorted by id. */
static const struct mw__task *task_by_id(const struct mw_snapshot *snap, pid_t tid)
{
	size_t i = MW_FIRST(k, snap->tasks.n, snap->tasks.v[k].tid >= tid);

	return i < snap->tasks.n && snap->tasks.v[i].tid == tid ? &snap->tasks.v[i] : NULL;
}

/* The thread whose id the descriptor holds, or NULL. */
static const struct mw__task *task_of(const struct threads *t, uint64_t descriptor)
{
	int32_t ids[N_IDS];
	size_t n = read_ids(t->w, descriptor, ids);

	for (size_t i = 0; i < n; i++) {
		const struct mw__task *task = ids[i] > 0 ? task_by_id(t->w->snap, ids[i]) : NULL;

		if (task)
			return task;
	}
	return NULL;
}

/* An inaccessible mapping right below v, or NULL. */
static const struct mw__vma *guard_below(const struct mw__walk *w, const struct mw__vma *v)
{
	const struct mw__vma *below = v - 1;

	if (v == w->snap->vmas.v || below->end != v->start || !may_be_guard(w, below) || below->end - below->start > MAX_GUARD)
		return NULL;
	return below;
}

static bool may_be_stack(const struct mw__walk *w, const struct mw__vma *v)
{
	return v->kind == MW__ANON && !*v->name && v->prot & MW__W && (v->n_runs || w->is_copy) && v->end - v->start >= MIN_STACK;
}

/*
 * By a descriptor at the end of a mapping that has a guard below. List heads inside a descriptor point to
 * themselves as well, so only when no address there leads to a thread's id is it one without a thread.
 */
static int find_by_shape(struct threads *t, const struct mw__vma *v)
{
	struct block b, kept = {};

	for (uint64_t at = v->end - t->w->mem->word; at >= v->end - TOP; at -= t->w->mem->word) {
		if (!is_descriptor(t, at, &b) || b.start + b.size > v->end || b.start < mw__sub0(v->start, MAX_GUARD))
			continue;
		const struct mw__task *task = task_of(t, at);

		if (task && t->found[task - t->w->snap->tasks.v])
			return 0;
		if (task)
			return claim_stack(t, task, &b, MW__PROVEN, "stack block in the thread's descriptor");
		kept = b;
	}
	if (!kept.size)
		return 0;
	return claim_stack(t, NULL, &kept, MW__LIKELY, "descriptor of a thread that ended: kept for the next one");
}

/* By a stack pointer in a mapping that has a guard below. */
static int find_by_sp(const struct threads *t, const struct mw__task *task)
{
	const struct mw_snapshot *snap = t->w->snap;
	const struct mw__vma *v = task->sp != MW_UNKNOWN ? mw__snapshot_vma_at(snap, task->sp) : NULL;
	const struct mw__vma *guard = v && may_be_stack(t->w, v) ? guard_below(t->w, v) : NULL;

	if (!guard)
		return 0;
	struct block b = { guard->start, v->end - guard->start };

	return claim_stack(t, task, &b, MW__LIKELY, "holds the thread's stack pointer, inaccessible below");
}

static int find_all(struct threads *t)
{
	const struct mw_snapshot *snap = t->w->snap;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < snap->tasks.n; i++)
		if (snap->tasks.v[i].tid != snap->target.pid)
			rc = find_by_list(t, &snap->tasks.v[i]);
	for (size_t i = 0; rc == 0 && i < snap->vmas.n; i++)
		if (may_be_stack(t->w, &snap->vmas.v[i]) && guard_below(t->w, &snap->vmas.v[i]))
			rc = find_by_shape(t, &snap->vmas.v[i]);
	for (size_t i = 0; rc == 0 && i < snap->tasks.n; i++)
		if (!t->found[i] && snap->tasks.v[i].tid != snap->target.pid)
			rc = find_by_sp(t, &snap->tasks.v[i]);
	return rc;
}

static void find_holes(const struct mw_snapshot *snap, uint64_t *until)
{
	for (size_t i = snap->vmas.n; i--;) {
		const struct mw__vma *v = &snap->vmas.v[i];

		until[i] = i + 1 < snap->vmas.n && v->end == v[1].start ? until[i + 1] : v->end;
	}
}

int mw__heap_threads(const struct mw__walk *w)
{
	struct mw_snapshot *snap = w->snap;
	MW_CLEANUP(mw__freep) bool *found = calloc(snap->tasks.n + 1, sizeof(*found));
	MW_CLEANUP(mw__freep) uint64_t *until = calloc(snap->vmas.n + 1, sizeof(*until));
	struct threads t = { .w = w, .found = found, .until = until, .looks = LOOKS * snap->tasks.n + KEPT_LOOKS };

	if (!found || !until)
		return -MW_E_NOMEM;
	find_holes(snap, until);
	int rc = find_all(&t);

	if (!t.looks)
		mw__note(snap, MW__WARNING, "threads", NULL, "more words look like descriptors of threads than there can be: "
			 "after %" PRIu64 " of them no more were looked at", LOOKS * (uint64_t)snap->tasks.n + KEPT_LOOKS);
	return rc;
}
