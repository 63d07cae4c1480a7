/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Page states as runs. Two roads:
 *   ioctl PAGEMAP_SCAN (Linux 6.7)  tells the zero page and guards from others; one call walks many
 *                                   mappings. The FILE category costs several times all others, so it
 *                                   is asked for private file mappings only, where it tells a copied
 *                                   page from a page of the file.
 *   /proc/PID/pagemap               8 bytes a page; tells zero pages only to who may see frame numbers.
 *
 * Traps of PAGEMAP_SCAN: when a scan completes, walk_end is the end of the last full flush of the
 * kernel's buffer, not of the range; so a call that returned fewer regions than there was room for,
 * and stopped at no other limit, is done, and otherwise one resumes at the larger of walk_end and the
 * end of the last region. Mappings without struct pages (PFNMAP) yield nothing at all.
 */
#include "proc.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"
#include "uapi.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define REGIONS 512
#define PAGE 4096u
/* Pages found in one call at most: 256 MiB of present memory keep the target waiting for some ms. */
#define MAX_PAGES 65536u
/* A small mapping between private file mappings is scanned together with them. */
#define SMALL_GAP (1u << 20)

struct scanner {
	struct mw_snapshot *snap;
	const struct mw__proc *proc;
	int fd;
	size_t vma;		/* where the last run was added */
	uint64_t outside;	/* bytes present where maps knew no mapping */
	bool no_guard;		/* the kernel does not know the guard category */
	struct mw__pm_region *regions;
};

static int push_run(struct mw_snapshot *snap, struct mw__vma *vma, uint64_t start, uint64_t end,
		    uint32_t state)
{
	while (start < end) {
		uint64_t pages = mw__min((end - start) / PAGE, UINT32_MAX);
		struct mw__run *last = snap->runs.n ? &snap->runs.v[snap->runs.n - 1] : NULL;

		if (last && vma->n_runs && last->state == state && last->pages + pages <= UINT32_MAX &&
		    last->start + (uint64_t)last->pages * PAGE == start) {
			last->pages += pages;
		} else {
			struct mw__run *run = MW_VEC_PUSH(&snap->runs);

			if (!run)
				return -MW_E_NOMEM;
			*run = (struct mw__run){ start, (uint32_t)pages, state };
			if (!vma->n_runs++)
				vma->run = (uint32_t)(snap->runs.n - 1);
		}
		start += pages * PAGE;
	}
	return 0;
}

int mw__pages_add(struct mw_snapshot *snap, size_t *vma, uint64_t start, uint64_t end, uint32_t state,
		  uint64_t *outside)
{
	while (start < end) {
		while (*vma < snap->vmas.n && snap->vmas.v[*vma].end <= start)
			(*vma)++;
		if (*vma == snap->vmas.n || snap->vmas.v[*vma].start >= end) {
			*outside += end - start;
			return 0;
		}
		struct mw__vma *v = &snap->vmas.v[*vma];

		if (v->start > start) {
			*outside += v->start - start;
			start = v->start;
		}
		uint64_t stop = mw__min(end, v->end);
		int rc = push_run(snap, v, start, stop, mw__vma_may_copy(v) ? state : state & ~(uint32_t)MW__OF_FILE);

		if (rc < 0)
			return rc;
		start = stop;
	}
	return 0;
}

static uint32_t state_of(uint64_t categories)
{
	return (categories & MW__PM_PRESENT ? MW__PRESENT : 0) |
	       (categories & MW__PM_SWAPPED ? MW__SWAPPED : 0) |
	       (categories & MW__PM_PFNZERO ? MW__ZERO : 0) |
	       (categories & MW__PM_HUGE ? MW__HUGE : 0) |
	       (categories & MW__PM_GUARD ? MW__GUARDED : 0) |
	       (categories & MW__PM_FILE ? MW__OF_FILE : 0);
}

static uint64_t wanted(const struct scanner *s)
{
	return MW__PM_PRESENT | MW__PM_SWAPPED | MW__PM_PFNZERO | MW__PM_HUGE |
	       (s->no_guard ? 0 : MW__PM_GUARD);
}

/* One call; the number of regions, or -errno. An unknown category is EINVAL: then without guards. */
static int scan_call(struct scanner *s, struct mw__pm_scan *arg, bool file)
{
	for (;;) {
		arg->category_anyof_mask = wanted(s);
		arg->return_mask = wanted(s) | (file ? MW__PM_FILE : 0);
		int n = ioctl(s->fd, MW__PAGEMAP_SCAN, arg);

		if (n >= 0)
			return n;
		if (errno == EINTR)
			continue;
		if (errno != EINVAL || s->no_guard)
			return -errno;
		s->no_guard = true;
	}
}

/* A sandbox may refuse the call or not know it: then the older roads are taken. */
static enum mw_errcode scan_error(int error)
{
	if (error == ESRCH)
		return MW_E_GONE;
	return error == EPERM || error == EINVAL || error == ENOTTY || error == ENOSYS ? MW_E_UNSUPPORTED : MW_E_OS;
}

static int scan_range(struct scanner *s, uint64_t start, uint64_t end, bool file, struct mw_err *err)
{
	while (start < end) {
		struct mw__pm_scan arg = {
			.size = sizeof(arg), .start = start, .end = end,
			.vec = (uintptr_t)s->regions, .vec_len = REGIONS, .max_pages = MAX_PAGES,
		};
		int n = scan_call(s, &arg, file);
		uint64_t found = 0;

		if (n < 0)
			return mw__fail(err, scan_error(-n), -n, "pid %d: scan pages", s->proc->pid);
		for (int i = 0; i < n; i++) {
			const struct mw__pm_region *r = &s->regions[i];

			found += (r->end - r->start) / PAGE;
			if (mw__pages_add(s->snap, &s->vma, r->start, r->end, state_of(r->categories), &s->outside) < 0)
				return mw__fail_nomem(err, "page runs");
		}
		if (n < REGIONS && found < MAX_PAGES)
			return 0;
		uint64_t next = mw__max(arg.walk_end, s->regions[n - 1].end);

		if (next <= start)
			return mw__fail(err, MW_E_OS, 0, "pid %d: page scan does not advance at %#llx", s->proc->pid,
					(unsigned long long)start);
		start = next;
	}
	return 0;
}

/* Neighbours that are scanned with or without the FILE category, as one range. */
static size_t cluster_end(const struct mw_snapshot *snap, size_t i)
{
	bool file = mw__vma_may_copy(&snap->vmas.v[i]);
	size_t last = i, end = i + 1;

	for (; end < snap->vmas.n; end++) {
		const struct mw__vma *v = &snap->vmas.v[end];

		if (mw__vma_is_vsyscall(v))
			break;
		if (mw__vma_may_copy(v) == file)
			last = end;
		else if (!file || v->end - v->start > SMALL_GAP)
			break;
	}
	return last + 1;
}

/* Mappings of this kind may have no struct pages; then even absent pages are not reported. */
static bool may_have_no_pages(const struct mw__vma *vma)
{
	return vma->kind == MW__SPECIAL || vma->kind == MW__DEVICE;
}

/* Ask for every page, whatever its state: silence means that there are no struct pages. */
static void probe_no_pages(struct scanner *s)
{
	for (size_t i = 0; i < s->snap->vmas.n; i++) {
		struct mw__vma *v = &s->snap->vmas.v[i];
		struct mw__pm_scan arg = {
			.size = sizeof(arg), .start = v->start, .end = v->end,
			.vec = (uintptr_t)s->regions, .vec_len = REGIONS, .return_mask = MW__PM_PRESENT,
		};

		if (may_have_no_pages(v) && !mw__vma_is_vsyscall(v) && !v->n_runs)
			v->no_pages = ioctl(s->fd, MW__PAGEMAP_SCAN, &arg) == 0;
	}
}

static void forget_runs(struct mw_snapshot *snap)
{
	snap->runs.n = 0;
	for (size_t i = 0; i < snap->vmas.n; i++) {
		snap->vmas.v[i].n_runs = 0;
		snap->vmas.v[i].run = 0;
		snap->vmas.v[i].states_known = false;
		snap->vmas.v[i].zero_unplaced = 0;
	}
}

int mw__pages_scan(const struct mw__proc *proc, struct mw_snapshot *snap, struct mw_err *err)
{
	MW_CLEANUP(mw__closep) int fd = mw__proc_fd(proc, "pagemap", err);

	if (fd < 0)
		return fd;
	MW_CLEANUP(mw__freep) struct mw__pm_region *regions = calloc(REGIONS, sizeof(*regions));
	struct scanner s = { .snap = snap, .proc = proc, .fd = fd, .regions = regions };

	if (!regions)
		return mw__fail_nomem(err, "page scan");
	struct mw__pm_scan probe = { .size = sizeof(probe) };

	if (ioctl(fd, MW__PAGEMAP_SCAN, &probe) < 0 && errno == ENOTTY)
		return mw__fail(err, MW_E_UNSUPPORTED, 0, "PAGEMAP_SCAN: this kernel does not have it");
	forget_runs(snap);
	for (size_t i = 0; i < snap->vmas.n;) {
		if (mw__vma_is_vsyscall(&snap->vmas.v[i])) {
			i++;
			continue;
		}
		size_t next = cluster_end(snap, i);
		int rc = scan_range(&s, snap->vmas.v[i].start, snap->vmas.v[next - 1].end,
				    mw__vma_may_copy(&snap->vmas.v[i]), err);

		if (rc < 0)
			return rc;
		i = next;
	}
	probe_no_pages(&s);
	for (size_t i = 0; i < snap->vmas.n; i++)
		snap->vmas.v[i].states_known = true;
	return s.outside != 0;
}

/* ---------------------------------------------------------------- pagemap */

enum {
	PM_FILE_BIT = 61,
	PM_SWAP_BIT = 62,
	PM_PRESENT_BIT = 63,
	PM_GUARD_BIT = 58,
};
#define ENTRIES 8192u
/* Without smaps nothing tells an untouched reservation: above this size it is left unread. */
#define LINEAR_LIMIT (UINT64_C(64) << 30)

/*
 * The shared zero pages, by frame number: every mapping of one shows the same frames as a zero page of our
 * own. Frame numbers are shown to CAP_SYS_ADMIN only; for others they read 0.
 */
struct zero_frames {
	uint64_t page, huge;	/* 0: not known */
};
#define HUGE_PAGE (UINT64_C(2) << 20)

static uint64_t frame_of(uint64_t entry)
{
	return entry >> PM_PRESENT_BIT & 1 ? entry & ((UINT64_C(1) << 55) - 1) : 0;
}

/* Frame behind addr of ours, after reading it. */
static uint64_t own_frame(const volatile char *addr)
{
	MW_CLEANUP(mw__closep) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (*addr || fd < 0 || pread(fd, &entry, 8, (off_t)((uintptr_t)addr / PAGE * 8)) != 8)
		return 0;
	return frame_of(entry);
}

static struct zero_frames find_zero_frames(void)
{
	char *small = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *large = mmap(NULL, 2 * HUGE_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct zero_frames z = {};

	if (small != MAP_FAILED) {
		z.page = own_frame(small);
		munmap(small, PAGE);
	}
	if (large == MAP_FAILED)
		return z;
	char *huge = large + (mw__align_up((uintptr_t)large, HUGE_PAGE) - (uintptr_t)large);

	if (madvise(large, 2 * HUGE_PAGE, MADV_HUGEPAGE) == 0)
		z.huge = own_frame(huge);
	if (z.huge == z.page || z.huge % (HUGE_PAGE / PAGE))
		z.huge = 0;	/* no huge zero page here */
	munmap(large, 2 * HUGE_PAGE);
	return z;
}

static bool is_zero_frame(const struct zero_frames *z, uint64_t frame)
{
	return frame && (frame == z->page || (z->huge && frame - z->huge < HUGE_PAGE / PAGE));
}

static uint32_t state_of_entry(uint64_t e, const struct zero_frames *z)
{
	if (is_zero_frame(z, frame_of(e)))
		return MW__PRESENT | MW__ZERO;
	return (e >> PM_PRESENT_BIT & 1 ? MW__PRESENT : 0) | (e >> PM_SWAP_BIT & 1 ? MW__SWAPPED : 0) |
	       (e >> PM_GUARD_BIT & 1 ? MW__GUARDED : 0) |
	       (e >> PM_PRESENT_BIT & 1 && e >> PM_FILE_BIT & 1 ? MW__OF_FILE : 0);
}

/*
 * The part of pagemap that was read last. Before 6.7 the kernel walks 2 MiB of addresses however few are asked
 * for (pagemap_read(), PAGEMAP_WALK_SIZE), so small mappings side by side are served by one read.
 */
struct window {
	int fd;
	uint64_t *entries, start, end;	/* [start, end): addresses */
};

static int read_window(struct window *w, uint64_t addr, uint64_t end, struct mw_err *err)
{
	uint64_t walked = mw__align_up(addr + 1, HUGE_PAGE), want = mw__min(mw__max(end, walked) - addr, ENTRIES * PAGE);
	ssize_t got;

	do
		got = pread(w->fd, w->entries, want / PAGE * 8, (off_t)(addr / PAGE * 8));
	while (got < 0 && errno == EINTR);
	if (got < 8)
		return mw__fail(err, got < 0 ? MW_E_OS : MW_E_GONE, got < 0 ? errno : 0, "pagemap: read");
	w->start = addr;
	w->end = addr + (uint64_t)got / 8 * PAGE;
	return 0;
}

static int read_entries(struct window *w, struct mw_snapshot *snap, size_t *i, const struct zero_frames *z, struct mw_err *err)
{
	uint64_t addr = snap->vmas.v[*i].start, end = snap->vmas.v[*i].end, outside = 0;

	while (addr < end) {
		int rc = addr >= w->start && addr < w->end ? 0 : read_window(w, addr, end, err);

		if (rc < 0)
			return rc;
		const uint64_t *e = w->entries + (addr - w->start) / PAGE;

		for (uint64_t until = mw__min(end, w->end); addr < until; addr += PAGE) {
			uint32_t state = state_of_entry(*e++, z);

			if (state && mw__pages_add(snap, i, addr, addr + PAGE, state, &outside) < 0)
				return mw__fail_nomem(err, "page runs");
		}
	}
	return 0;
}

/* Bytes that the runs of a VMA call present. */
static uint64_t present_bytes(const struct mw_snapshot *snap, const struct mw__vma *vma)
{
	uint64_t sum = 0;

	for (uint32_t k = 0; k < vma->n_runs; k++)
		if ((snap->runs.v[vma->run + k].state & (MW__PRESENT | MW__ZERO)) == MW__PRESENT)
			sum += (uint64_t)snap->runs.v[vma->run + k].pages * PAGE;
	return sum;
}

void mw__pages_place_zeros(struct mw_snapshot *snap)
{
	for (size_t i = 0; snap->smaps && i < snap->vmas.n; i++) {
		struct mw__vma *v = &snap->vmas.v[i];

		if (v->states_known && v->kind != MW__HUGETLB && snap->smaps[i].rss != MW_UNKNOWN)
			v->zero_unplaced = mw__sub0(present_bytes(snap, v), snap->smaps[i].rss);
	}
}

int mw__pages_pagemap(const struct mw__proc *proc, struct mw_snapshot *snap, struct mw_err *err)
{
	MW_CLEANUP(mw__closep) int fd = mw__proc_fd(proc, "pagemap", err);

	if (fd < 0)
		return fd;
	MW_CLEANUP(mw__freep) uint64_t *buf = malloc(ENTRIES * 8);

	if (!buf)
		return mw__fail_nomem(err, "pagemap");
	struct zero_frames zero = find_zero_frames();
	struct window window = { .fd = fd, .entries = buf };

	forget_runs(snap);
	for (size_t i = 0; i < snap->vmas.n; i++) {
		struct mw__vma *v = &snap->vmas.v[i];
		const struct mw__smaps *s = snap->smaps ? &snap->smaps[i] : NULL;

		if (mw__vma_is_vsyscall(v) || (!s && v->end - v->start > LINEAR_LIMIT))
			continue;
		/* zero pages and guards are in no amount of smaps, so only PROT_NONE is skipped unseen */
		if (s && !s->rss && !s->swap && !v->prot) {
			v->states_known = true;
			continue;
		}
		if (s && !s->rss && !s->swap && v->end - v->start > LINEAR_LIMIT)
			continue;
		size_t at = i;
		int rc = read_entries(&window, snap, &at, &zero, err);

		if (rc < 0)
			return rc;
		v->states_known = true;
		v->no_pages = s && s->flags && strstr(s->flags, "pf");
	}
	mw__pages_place_zeros(snap);
	return 0;
}
