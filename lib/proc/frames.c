/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames behind pages: their numbers from pagemap (bits 0 to 54; 0 without CAP_SYS_ADMIN), flags and number of
 * mappers from /proc/kpageflags and /proc/kpagecount (root), NUMA nodes from move_pages(2), which moves
 * nothing when no nodes are given. Only pages that the runs call present are asked for.
 */
#include "proc.h"

#include "../base/cleanup.h"
#include "../base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)
#define BATCH 512u
#define MAX_FRAMES (1u << 20)
#define PFN_MASK ((UINT64_C(1) << 55) - 1)
#define PRESENT (UINT64_C(1) << 63)

struct frames {
	const struct mw__proc *proc;
	struct mw_snapshot *snap;
	int pagemap, flags, count;
	bool hidden;		/* the kernel shows no frame numbers */
	bool full;
};

static uint64_t read_word(int fd, uint64_t index)
{
	uint64_t v;

	return fd >= 0 && pread(fd, &v, sizeof(v), (off_t)(index * 8)) == sizeof(v) ? v : MW_UNKNOWN;
}

static void ask_nodes(const struct frames *f, struct mw__frame *list, size_t n)
{
	void *pages[BATCH];
	int status[BATCH];

	for (size_t i = 0; i < n; i++)
		pages[i] = (void *)(uintptr_t)list[i].addr;
	bool known = syscall(SYS_move_pages, f->proc->pid, n, pages, NULL, status, 0) >= 0;

	for (size_t i = 0; i < n; i++)
		list[i].node = known && status[i] >= 0 ? (uint32_t)status[i] : MW__NONE;
}

/* At most BATCH pages from addr on, all of them said to be present. */
static int read_batch(struct frames *f, uint64_t addr, size_t n)
{
	uint64_t entries[BATCH];
	size_t first = f->snap->frames.n;
	ssize_t got = pread(f->pagemap, entries, n * 8, (off_t)(addr / PAGE * 8));

	for (ssize_t i = 0; i < got / 8; i++) {
		if (!(entries[i] & PRESENT))
			continue;
		struct mw__frame *fr = MW_VEC_PUSH(&f->snap->frames);
		uint64_t pfn = entries[i] & PFN_MASK;

		if (!fr)
			return -MW_E_NOMEM;
		f->hidden |= !pfn;
		*fr = (struct mw__frame){ addr + (uint64_t)i * PAGE, pfn ? pfn : MW_UNKNOWN, MW_UNKNOWN, MW_UNKNOWN, MW__NONE, 0 };
		if (pfn) {
			fr->flags = read_word(f->flags, pfn);
			fr->mappers = read_word(f->count, pfn);
		}
	}
	if (f->snap->frames.n > first)
		ask_nodes(f, &f->snap->frames.v[first], f->snap->frames.n - first);
	return 0;
}

static int read_range(struct frames *f, uint64_t start, uint64_t end)
{
	while (start < end && !f->full) {
		size_t n = mw__min((end - start) / PAGE, BATCH);

		if (read_batch(f, start, n) < 0)
			return -MW_E_NOMEM;
		start += n * PAGE;
		f->full = f->snap->frames.n >= MAX_FRAMES;
	}
	return 0;
}

static int read_vma(struct frames *f, const struct mw__vma *v, uint64_t start, uint64_t end)
{
	for (uint32_t k = 0; k < v->n_runs; k++) {
		const struct mw__run *r = &f->snap->runs.v[v->run + k];
		uint64_t from = mw__max(r->start, start), to = mw__min(r->start + r->pages * PAGE, end);

		if (r->state & MW__PRESENT && from < to && read_range(f, from, to) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

static void add_notes(const struct frames *f)
{
	if (f->hidden)
		mw__note(f->snap, MW__INFO, "pagemap", "CAP_SYS_ADMIN shows them", "frame numbers are hidden from this user");
	else if (f->flags < 0 || f->count < 0)
		mw__note(f->snap, MW__INFO, "kpageflags", "root may read them", "flags and mappers of frames are unknown");
	if (f->full)
		mw__note(f->snap, MW__INFO, "pagemap", "a smaller range", "only the first %u frames were asked for", MAX_FRAMES);
}

int mw__frames_read(const struct mw__proc *proc, struct mw_snapshot *snap, uint64_t start, uint64_t end)
{
	MW_CLEANUP(mw__closep) int pagemap = mw__proc_fd(proc, "pagemap", NULL);
	MW_CLEANUP(mw__closep) int flags = openat(proc->root_fd, "kpageflags", O_RDONLY | O_CLOEXEC);
	MW_CLEANUP(mw__closep) int count = openat(proc->root_fd, "kpagecount", O_RDONLY | O_CLOEXEC);
	struct frames f = { .proc = proc, .snap = snap, .pagemap = pagemap, .flags = flags, .count = count };

	if (pagemap < 0)
		return 0;
	start = mw__align_down(start, PAGE);
	end = mw__align_up(end, PAGE);
	for (size_t i = 0; i < snap->vmas.n; i++) {
		const struct mw__vma *v = &snap->vmas.v[i];

		if (v->end <= start || v->start >= end)
			continue;
		if (read_vma(&f, v, start, end) < 0)
			return -MW_E_NOMEM;
	}
	add_notes(&f);
	return 0;
}
