/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A snapshot of a live process (or of a captured /proc tree).
 *
 * The kernel gives no consistent view: maps and smaps drop their lock between reads of one page, and
 * the target runs on. So the cheap part (maps, page states, counters before and after) is taken until it
 * fits together: no page outside the mappings, the sum of the mappings equal to VmSize before and after,
 * and the resident pages equal to VmRSS before and after. VmRSS lags behind the pages on kernels before
 * 6.16; then it differs by the same pages count in two tries although nothing moves, and that is drift,
 * not a torn snapshot.
 */
#include "collect.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#define DEFAULT_TRIES 5
#define PAGE_SIZE 4096u	/* x86-64, and most others */

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Bytes that the runs call resident: present, not the zero page, not hugetlb. */
static uint64_t resident_bytes(const struct mw_snapshot *snap, uint64_t *huge)
{
	uint64_t sum = 0;

	*huge = 0;
	for (size_t i = 0; i < snap->vmas.n; i++) {
		const struct mw__vma *v = &snap->vmas.v[i];

		if (v->kind == MW__HUGETLB || v->no_pages)
			continue;
		for (uint32_t k = 0; k < v->n_runs; k++) {
			const struct mw__run *r = &snap->runs.v[v->run + k];
			uint64_t bytes = (uint64_t)r->pages * snap->target.page_size;

			if (!(r->state & MW__PRESENT) || r->state & MW__ZERO)
				continue;
			sum += bytes;
			if (r->state & MW__HUGE)
				*huge += bytes;
		}
		sum -= mw__min(v->zero_unplaced, sum);
	}
	return sum;
}

static uint64_t predicted_stall(const struct mw_snapshot *snap)
{
	uint64_t huge, rss = snap->status.vm_rss == MW_UNKNOWN ? 0 : snap->status.vm_rss;

	resident_bytes(snap, &huge);
	return mw__smaps_stall_ns(mw__sub0(rss, huge), snap->vmas.n);
}

/* May a source that stalls the target be read? Otherwise a note says why not. */
static bool may_stall(struct mw__collector *c, enum mw_when when, const char *source, const char *gives)
{
	uint64_t stall = predicted_stall(c->snap), limit = c->opts.max_stall_ns / (when == MW_CHEAP ? 10 : 1);

	if (when == MW_NEVER)
		return false;
	if (when == MW_ALWAYS || !c->proc.is_live || stall <= limit)
		return true;
	mw__note(c->snap, MW__INFO, source, when == MW_CHEAP ? "--smaps=always reads it" : "--max-stall=MILLISECONDS allows more",
		 "not read, so %s are unknown: reading it may keep the target from mapping memory for about %llu ms (limit %llu ms)",
		 gives, (unsigned long long)(stall / 1000000), (unsigned long long)(limit / 1000000));
	return false;
}

static int read_mappings(struct mw__collector *c, struct mw_err *err)
{
	/* nothing of the try before stays; without page states there are no runs */
	c->snap->runs.n = 0;
	c->snap->target.pages = MW_PAGES_AUTO;
	int rc = c->opts.pages == MW_PAGES_SMAPS ? mw__smaps_read(&c->proc, c->snap, true, err)
						 : mw__maps_read(&c->proc, c->snap, err);

	c->moved |= rc > 0;
	return rc < 0 ? rc : mw__files_collect(&c->proc, c->snap, err);
}

/* Page states by the road that the options chose; AUTO was resolved by choose_pages(). */
static int read_states(struct mw__collector *c, struct mw_err *err)
{
	switch (c->opts.pages) {
	case MW_PAGES_SCAN:
		return mw__pages_scan(&c->proc, c->snap, err);
	case MW_PAGES_SMAPS:
	case MW_PAGES_PAGEMAP:
		return mw__pages_pagemap(&c->proc, c->snap, err);
	case MW_PAGES_AUTO:
		break;
	}
	return -MW_E_UNSUPPORTED;
}

/* Which road works here? The first try with it is the probe. */
static int choose_pages(struct mw__collector *c, struct mw_err *err)
{
	int rc = -MW_E_UNSUPPORTED;

	if (c->proc.is_live) {
		rc = mw__pages_scan(&c->proc, c->snap, err);
		if (rc >= 0 || (rc != -MW_E_UNSUPPORTED && rc != -MW_E_PERM)) {
			c->opts.pages = MW_PAGES_SCAN;
			return rc;
		}
	}
	if (rc == -MW_E_PERM)
		return rc;
	bool smaps = may_stall(c, c->opts.smaps == MW_ALWAYS ? MW_ALWAYS : MW_AUTO, "smaps", "places of zero pages");

	if (smaps) {
		c->opts.pages = MW_PAGES_SMAPS;
		rc = read_mappings(c, err);
		smaps = rc != -MW_E_NOT_FOUND && rc != -MW_E_PERM;	/* a captured tree may lack it */
		if (smaps && rc < 0)
			return rc;
	}
	if (!smaps) {
		c->opts.pages = MW_PAGES_PAGEMAP;
		mw__note(c->snap, MW__INFO, "pagemap", "Linux 6.7 or later, or --max-stall for smaps",
			 "cannot tell zero pages: their sum is known, their places are not");
		rc = read_mappings(c, err);	/* smaps may have left off in the middle of them */
		if (rc < 0)
			return rc;
	}
	return read_states(c, err);
}

enum verdict { ACCEPTED, DRIFT, CONTRADICTION };

static enum verdict judge(const struct mw__collector *c)
{
	const struct mw_snapshot *snap = c->snap;
	uint64_t huge, rss = resident_bytes(snap, &huge), vsz = mw__snapshot_vsz(snap);

	if (c->moved || snap->roads.vsz_before != vsz || snap->status.vm_size != vsz)
		return CONTRADICTION;
	if (snap->target.pages == MW_PAGES_AUTO || snap->target.pages == MW_PAGES_PAGEMAP)
		return ACCEPTED;
	if (snap->roads.rss_before != snap->status.vm_rss)
		return CONTRADICTION;
	return snap->status.vm_rss == rss ? ACCEPTED : DRIFT;
}

/* One try: counters, mappings, page states, counters. */
static int take(struct mw__collector *c, struct mw_err *err)
{
	struct mw_snapshot *snap = c->snap;
	struct mw__status before;
	struct mw__stat stat;
	int rc = mw__stat_read(&c->proc, &stat, err);

	if (rc == -MW_E_NOT_FOUND)
		return mw__fail(err, MW_E_GONE, 0, "pid %d: it exited", c->proc.pid);
	if (rc == 0)
		rc = mw__status_read(&c->proc, &before, &snap->arena, NULL, err);
	if (rc < 0)
		return rc;
	snap->layout = stat.layout;
	c->moved = false;
	rc = read_mappings(c, err);
	if (rc < 0)
		return rc;
	snap->status = before;
	rc = c->opts.pages == MW_PAGES_AUTO ? choose_pages(c, err) : read_states(c, err);
	if (rc == -MW_E_UNSUPPORTED && c->opts.pages == MW_PAGES_SCAN) {
		mw__hint(err, "--pages=auto takes what this kernel has");
		return rc;
	}
	if (rc == -MW_E_PERM || rc == -MW_E_NOT_FOUND || rc == -MW_E_UNSUPPORTED) {
		mw__note(snap, MW__WARNING, "pagemap", "run as the owner of the process, or as root",
			 "page states are unknown: %s", err->text);
		rc = 0;
	} else if (rc >= 0) {
		snap->target.pages = c->opts.pages;
		c->moved |= rc > 0;
	}
	if (rc < 0)
		return rc;
	snap->roads.vsz_before = before.vm_size; /* NOLINT(clang-analyzer-core.uninitialized.Assign) */
	snap->roads.rss_before = before.vm_rss;
	return mw__status_read(&c->proc, &snap->status, &snap->arena, &snap->target.comm, err);
}

static int take_until_accepted(struct mw__collector *c, struct mw_err *err)
{
	struct mw_snapshot *snap = c->snap;
	uint64_t last_rss = MW_UNKNOWN, last_drift = MW_UNKNOWN, huge;
	int rc = 0;

	for (unsigned i = 0; i < c->opts.tries; i++) {
		snap->target.tries = i + 1;
		snap->notes.n = 0;
		rc = take(c, err);
		if (rc == -MW_E_GONE && i + 1 < c->opts.tries)
			continue;	/* mappings moved, or the program was replaced */
		if (rc < 0)
			return rc;
		enum verdict v = judge(c);
		uint64_t rss = resident_bytes(snap, &huge), drift = snap->status.vm_rss - rss;

		/* the same difference twice, and nothing else moves: the kernel's counter lags */
		if (v == ACCEPTED || (v == DRIFT && rss == last_rss && drift == last_drift))
			return 0;
		last_rss = rss;
		last_drift = drift;
	}
	snap->target.is_torn = true;
	return 0;
}

static void read_identity(struct mw__collector *c)
{
	struct mw_snapshot *snap = c->snap;
	struct utsname u;

	snap->target.exe = mw__proc_link(&c->proc, "exe", &snap->arena);
	snap->target.cmdline = mw__cmdline_read(&c->proc, &snap->arena);
	if (c->proc.is_live && uname(&u) == 0) {
		snap->target.kernel = mw__arena_str(&snap->arena, u.release);
		snap->target.machine = mw__arena_str(&snap->arena, u.machine);
	}
}

/* The snapshot may be looked at on another machine. */
static void read_cpu(struct mw_snapshot *snap)
{
	struct mw_cpu *cpu = NULL;

	if (mw_cpu_read(&cpu, NULL) == 0)
		snap->cpu = *cpu;
	mw_cpu_destroy(cpu);
}

static void read_roads(struct mw__collector *c, const struct mw__stat *stat)
{
	struct mw__roads *r = &c->snap->roads;

	r->stat_vsize = stat->vsize;
	if (!c->opts.verify)
		return;
	mw__statm_read(&c->proc, "statm", c->snap->target.page_size, &r->statm_size, &r->statm_rss);
	if (c->proc.own_pids)
		mw__status_by_procps(c->proc.pid, &r->procps_vsize, &r->procps_rss);
}

/* smaps beside the scan: for every field of it, and as a second road. */
static void read_smaps(struct mw__collector *c)
{
	struct mw_err err;

	if (c->snap->smaps || !c->snap->target.has_maps ||
	    !may_stall(c, c->opts.smaps, "smaps", "dirty amounts, lazily freed pages and userfaultfd ranges"))
		return;
	if (mw__smaps_read(&c->proc, c->snap, false, &err) < 0) {
		free(c->snap->smaps);
		c->snap->smaps = NULL;
		mw__note(c->snap, MW__WARNING, "smaps", NULL, "%s", err.text);
	} else if (c->snap->target.pages == MW_PAGES_PAGEMAP) {
		mw__pages_place_zeros(c->snap);
	}
}

static void read_rollup(struct mw__collector *c)
{
	struct mw_err err;
	int rc;

	if (c->opts.rollup == MW_NEVER || !c->snap->target.has_maps ||
	    !may_stall(c, c->opts.rollup, "smaps_rollup", "PSS and USS"))
		return;
	rc = mw__rollup_read(&c->proc, &c->snap->rollup, &err);
	if (rc < 0)
		mw__note(c->snap, MW__WARNING, "smaps_rollup", NULL, "PSS and USS are unknown: %s", err.text);
}

/* Swapped shared memory is in no page table: smaps is the last road when cachestat was refused. */
static bool needs_smaps_for_swap(const struct mw_snapshot *snap)
{
	if (snap->limits.swap_total == 0 || snap->limits.swap_total == snap->limits.swap_free)
		return false;
	for (size_t i = 0; i < snap->vmas.n; i++)
		if (snap->vmas.v[i].kind == MW__SHMEM && snap->vmas.v[i].evicted == MW_UNKNOWN)
			return true;
	return false;
}

/* The kernel refuses maps: the counters are all there is. */
static int settle_for_status(struct mw__collector *c, const struct mw_err *why, struct mw_err *err)
{
	int rc = mw__status_read(&c->proc, &c->snap->status, &c->snap->arena, &c->snap->target.comm, err);

	if (rc < 0)
		return rc;
	c->snap->vmas.n = c->snap->runs.n = c->snap->files.n = 0;
	free(c->snap->smaps);
	c->snap->smaps = NULL;
	mw__note(c->snap, MW__WARNING, "maps", geteuid() ? "run memwhy as the owner of the process or as root; see memwhy doctor" :
		 "root is refused too: CAP_SYS_PTRACE is missing in its user namespace, or a security module protects it",
		 "mappings are unknown, so no byte has a cause: %s", why->text);
	return 0;
}

/* Frames behind the pages, who else maps them, and source lines, as far as they were asked for. */
static int collect_frames(struct mw__collector *c, struct mw_err *err)
{
	if (!c->opts.frames_of && !c->opts.n_frames_at && !c->opts.verify)
		return 0;
	int rc = mw__collect_frames(c, err);

	if (rc == 0 && c->opts.mappers && c->snap->frames.n)
		rc = mw__collect_mappers(c, err);
	return rc < 0 ? rc : mw__collect_sources(c->snap, &c->opts, err);
}

/*
 * Was it the same process, and the same program, to the end? Another program has another stack, also where its
 * addresses are not random: then what was read is of two.
 */
static void compare_end(struct mw__collector *c, uint64_t start_ticks)
{
	struct mw_snapshot *snap = c->snap;
	struct mw__stat after;

	if (mw__stat_read(&c->proc, &after, NULL) < 0 || after.start_ticks != start_ticks) {
		mw__note(snap, MW__WARNING, "stat", NULL, "the process ended while it was read");
	} else if (memcmp(&snap->layout, &after.layout, sizeof(snap->layout)) != 0) {
		snap->target.is_torn = true;
		mw__note(snap, MW__WARNING, "stat", "look again", "the process executed another program while it was read");
	}
}

/* Mappings and page states; where mappings are refused, counters alone. */
static int read_memory(struct mw__collector *c, struct mw_err *err)
{
	struct mw_err why = {};
	int rc = take_until_accepted(c, &why);

	if (rc == -MW_E_PERM)
		return settle_for_status(c, &why, err);
	if (rc < 0)
		*err = why;
	else
		c->snap->target.has_maps = true;
	return rc;
}

/* What else is told of the process and its memory. */
static int read_rest(struct mw__collector *c, const struct mw__stat *stat, struct mw_err *err)
{
	struct mw_snapshot *snap = c->snap;
	int rc = 0;

	read_identity(c);
	if (c->opts.verify && c->proc.is_live)
		read_cpu(snap);
	read_roads(c, stat);
	mw__limits_read(&c->proc, &snap->limits, &snap->arena);
	mw__cgroup_read(&c->proc, c->opts.cgroupfs, &snap->cgroup, &snap->arena);
	if (snap->target.has_maps && !c->opts.no_objects)
		rc = mw__collect_objects(c, err);
	if (rc == 0 && c->opts.levels && c->proc.is_live)
		mw__collect_levels(c);
	if (rc == 0 && snap->target.has_maps && c->proc.is_live)
		rc = collect_frames(c, err);
	if (rc < 0)
		return rc;
	if (needs_smaps_for_swap(snap) && c->opts.smaps != MW_ALWAYS)
		c->opts.smaps = MW_AUTO;
	read_smaps(c);
	read_rollup(c);
	compare_end(c, stat->start_ticks);
	return mw__collect_runtime(snap) < 0 ? mw__fail_nomem(err, "runtime") : 0;
}

static int collect(struct mw__collector *c, struct mw_err *err)
{
	struct mw__stat stat;
	int rc = mw__stat_read(&c->proc, &stat, err);

	if (rc == -MW_E_NOT_FOUND || rc == -MW_E_GONE)
		return mw__fail(err, MW_E_GONE, 0, "pid %d: it exited", c->proc.pid);
	if (rc < 0)
		return rc;
	c->snap->target.start_ticks = stat.start_ticks;
	if (stat.state == 'Z' && (!mw__proc_use_thread(&c->proc) || mw__stat_read(&c->proc, &stat, err) < 0))
		return mw__proc_fail_lifeless(&c->proc, err);
	rc = read_memory(c, err);
	if (rc == -MW_E_GONE && c->snap->status.vm_size == MW_UNKNOWN)
		return mw__proc_fail_lifeless(&c->proc, err);
	return rc < 0 ? rc : read_rest(c, &stat, err);
}

static void fill_options(struct mw__collector *c, const struct mw_collect_opts *opts)
{
	if (opts)
		memcpy(&c->opts, opts, mw__min(opts->size, sizeof(c->opts)));
	if (!c->opts.max_stall_ns)
		c->opts.max_stall_ns = MW_DEFAULT_MAX_STALL_NS;
	if (!c->opts.tries)
		c->opts.tries = DEFAULT_TRIES;
}

static void close_collector(struct mw__collector *c)
{
	mw__proc_close(&c->proc);
}

int mw_collect_pid(pid_t pid, const struct mw_collect_opts *opts, struct mw_snapshot **ret, struct mw_err *err)
{
	MW_CLEANUP(close_collector) struct mw__collector c = { .proc = { .root_fd = -1, .pid_fd = -1, .task_fd = -1 } };
	struct mw__freeze freeze = {};
	struct mw_err local;

	if (!err)
		err = &local;
	fill_options(&c, opts);
	if (sysconf(_SC_PAGESIZE) != PAGE_SIZE)
		return mw__fail(err, MW_E_UNSUPPORTED, 0, "pages of %ld bytes: only %u are supported", sysconf(_SC_PAGESIZE),
				PAGE_SIZE);
	int rc = mw__proc_open(&c.proc, c.opts.procfs, pid, err);

	if (rc < 0)
		return rc;
	struct mw_snapshot *snap = calloc(1, sizeof(*snap));

	if (!snap)
		return mw__fail_nomem(err, "snapshot");
	mw__snapshot_init(snap);
	c.snap = snap;
	snap->target.pid = pid;
	snap->target.page_size = PAGE_SIZE;
	snap->target.taken_at_ns = now_ns(CLOCK_REALTIME);
	uint64_t start = now_ns(CLOCK_MONOTONIC);

	if (c.opts.freeze && c.proc.is_live && !c.proc.own_pids)
		rc = mw__fail(err, MW_E_UNSUPPORTED, 0, "pid %d: hold it still: this /proc belongs to another pid namespace", pid);
	else if (c.opts.freeze && c.proc.own_pids)
		rc = mw__freeze_begin(&c.proc, &freeze, err);
	if (rc == -MW_E_PERM && !mw__proc_has_memory(&c.proc))
		rc = 0;		/* collect() tells better what it is */
	if (rc == 0)
		rc = collect(&c, err);
	mw__freeze_end(&freeze);
	if (freeze.unstopped)
		mw__note(snap, MW__WARNING, "freeze", NULL, "%zu thread%s did not stop in time: uninterruptible",
			 freeze.unstopped, freeze.unstopped == 1 ? "" : "s");
	snap->target.took_ns = now_ns(CLOCK_MONOTONIC) - start;
	if (rc == 0)
		rc = mw__snapshot_freeze(snap, err);
	if (rc < 0)
		mw_snapshot_destroy(snap);
	else
		*ret = snap;
	return rc;
}
