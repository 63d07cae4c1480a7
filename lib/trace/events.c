/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perf_event_open(2) for page faults. The software event PAGE_FAULTS counts where the processor's fault
 * enters the kernel (Linux, arch/x86/mm/fault.c), with period 1 one sample each: time, thread, address,
 * instruction. Faults that the kernel settles without the processor (get_user_pages: MAP_POPULATE, mlock)
 * never come here. PERF_FORMAT_LOST (Linux 6.0) counts what did not fit into a ring, so that
 * samples + lost = counter can be checked. An older kernel tells in its records what it lost before them, and
 * nothing tells what it lost after the last one: then lost is what the counter has beyond the samples.
 *
 * Inherited events with a ring need one event per processor. An event for major faults has a small ring
 * of its own per processor, because a sample does not tell; and so have the changes of the address spaces
 * (an event that counts nothing, PERF_COUNT_SW_DUMMY), for lost records are counted by event and not by kind.
 */
#include "trace.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/search.h"
#include "../base/size.h"
#include "../base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Pages of rings, tried in this order: 516 KiB a processor are what an ordinary user may lock for all. */
static const unsigned ring_pages[][5] = {
	[MW__EVENT_FAULTS] = { 512, 64, 16, 4, 0 },
	[MW__EVENT_MAJORS] = { 16, 4, 1, 0 },
	[MW__EVENT_MOVES] = { 64, 32, 8, 2, 0 },
};
static const uint64_t configs[] = {
	[MW__EVENT_FAULTS] = PERF_COUNT_SW_PAGE_FAULTS, [MW__EVENT_MAJORS] = PERF_COUNT_SW_PAGE_FAULTS_MAJ,
	[MW__EVENT_MOVES] = PERF_COUNT_SW_DUMMY,
};
/* Of the program's ring, which nobody is charged for but root. */
#define PROGRAM_RING (2u << 20)
/* Few records wake nobody: they are read when others are. */
#define NO_WAKEUP (1u << 30)
#define MAX_CHAIN 32
#define MAX_THREADS 65536

long mw__perf_open(struct perf_event_attr *attr, pid_t pid, int cpu, int group)
{
	return syscall(SYS_perf_event_open, attr, pid, cpu, group, PERF_FLAG_FD_CLOEXEC);
}

uint64_t mw__trace_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static struct perf_event_attr make_attr(const struct mw__events *e, enum mw__event_kind kind, bool on_exec)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(a),
		.config = configs[kind],
		.sample_period = kind != MW__EVENT_MOVES,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR,
		.read_format = e->without_lost ? 0 : PERF_FORMAT_LOST,
		.disabled = 1,
		.enable_on_exec = on_exec,
		.inherit = 1,
		.exclude_kernel = e->without_kernel,
		.exclude_callchain_kernel = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		/* half of the ring that an ordinary user gets */
		.wakeup_watermark = kind == MW__EVENT_FAULTS ? (uint32_t)mw__min(e->buffer / 2, 128u << 10) :
				    kind == MW__EVENT_MOVES ? 64u << 10 : NO_WAKEUP,
	};

	if (kind == MW__EVENT_MOVES) {
		a.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME;
		a.mmap = a.mmap2 = a.mmap_data = a.comm = a.comm_exec = a.task = 1;
		a.sample_id_all = 1;
	} else if (kind == MW__EVENT_FAULTS && e->by_program) {
		a.sample_type = PERF_SAMPLE_ADDR;	/* the kernel prepares what a sample would have */
	} else if (kind == MW__EVENT_FAULTS && e->stacks) {
		a.sample_type |= PERF_SAMPLE_CALLCHAIN;
		a.sample_max_stack = MAX_CHAIN;
	}
	return a;
}

/* ------------------------------------------------------------------- rings */

static bool map_ring(const struct mw__events *e, struct mw__ring *r)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (const unsigned *pages = ring_pages[r->kind]; *pages; pages++) {
		if (r->kind == MW__EVENT_FAULTS && *pages * page > e->buffer && pages[1])
			continue;
		void *p = mmap(NULL, (*pages + 1) * page, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);

		if (p != MAP_FAILED) {
			r->base = p;
			r->size = *pages * page;
			return true;
		}
	}
	return false;
}

static void close_ring(struct mw__ring *r)
{
	if (r->base)
		munmap(r->base, r->size + (size_t)sysconf(_SC_PAGESIZE));
	mw__program_close(&r->program);
	if (r->fd >= 0)
		close(r->fd);
	mw__pile_free(&r->faults);
}

void mw__events_close(struct mw__events *e)
{
	for (size_t i = 0; i < e->rings.n; i++)
		close_ring(&e->rings.v[i]);
	for (size_t i = 0; i < e->more.n; i++)
		close(e->more.v[i].fd);
	MW_VEC_FREE(&e->rings);
	MW_VEC_FREE(&e->more);
}

/* ----------------------------------------------------------------- opening */

/* What a user reads when the kernel says no; the program in it needs more than an event. */
static int refuse(const struct mw__events *e, pid_t pid, int error, struct mw_err *err)
{
	bool is_right = error == EACCES || error == EPERM;
	char buf[16];

	if (error == ENOBUFS) {
		mw__fail(err, MW_E_PERM, 0, "perf_event_open: no memory may be locked for its rings (kernel.perf_event_mlock_kb and ulimit -l)");
		mw__hint(err, "raise either of them, or end other recordings of the same user");
		return -MW_E_PERM;
	}
	if (e->recorder == MW_FAULTS_PROGRAM && (!is_right || mw__perf_may_watch_itself())) {
		mw__fail(err, is_right ? MW_E_PERM : MW_E_UNSUPPORTED, error,
			 "bpf: a program that writes page faults down (kernel.perf_event_paranoid is %s)", mw__perf_paranoid(buf));
		mw__hint(err, "CAP_BPF and CAP_PERFMON in the first pid namespace permit it; --recorder=samples does without");
		return is_right ? -MW_E_PERM : -MW_E_UNSUPPORTED;
	}
	if (is_right)
		return mw__perf_refused(pid, error, err);
	bool is_absent = error == ENOENT || error == ENOSYS;

	mw__fail(err, is_absent ? MW_E_UNSUPPORTED : MW_E_OS, error, "perf_event_open: software event page-faults");
	return is_absent ? -MW_E_UNSUPPORTED : -MW_E_OS;
}

/* Let an event that needs no ring of its own write into that of another. */
static int share_ring(struct mw__events *e, int fd, enum mw__event_kind kind, const struct mw__ring *r)
{
	struct mw__sharer *slot = MW_VEC_PUSH(&e->more);
	int rc = !slot ? -ENOMEM : r->program.base ? mw__program_attach(&r->program, fd) :
		 ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, r->fd) < 0 ? -errno : 0;

	if (rc == 0)
		*slot = (struct mw__sharer){ fd, kind };
	else if (slot)
		e->more.n--;
	return rc;
}

static int give_ring(struct mw__events *e, struct mw__ring *r)
{
	if (r->kind != MW__EVENT_FAULTS || !e->by_program)
		return map_ring(e, r) ? 0 : errno == EPERM ? -ENOBUFS : -errno;
	int rc = mw__program_open(&r->program, e->buffer);

	return rc < 0 ? rc : mw__program_attach(&r->program, r->fd);
}

/* One event on one thread and processor. It writes into the ring of `shared`, or into one of its own. */
static int open_one(struct mw__events *e, pid_t tid, int cpu, enum mw__event_kind kind, bool on_exec, size_t *shared)
{
	struct perf_event_attr a = make_attr(e, kind, on_exec);
	int fd = (int)mw__perf_open(&a, tid, cpu, -1);

	if (fd < 0)
		return -errno;
	if (*shared != SIZE_MAX) {
		int rc = share_ring(e, fd, kind, &e->rings.v[*shared]);

		if (rc < 0)
			close(fd);
		return rc;
	}
	struct mw__ring r = { .fd = fd, .kind = kind, .program = { .map = -1, .fd = -1 } };
	int rc = give_ring(e, &r);
	struct mw__ring *slot = rc == 0 ? MW_VEC_PUSH(&e->rings) : NULL;

	if (!slot) {
		close_ring(&r);
		return rc < 0 ? rc : -ENOMEM;
	}
	*slot = r;
	*shared = e->rings.n - 1;
	return 0;
}

static MW_MUST_CHECK int list_threads(pid_t pid, pid_t *tids, size_t max, size_t *n)
{
	char path[48];
	struct dirent *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *dir = opendir(path);

	if (!dir)
		return -errno;
	*n = 0;
	while (*n < max && (d = readdir(dir))) {
		const char *p = d->d_name, *end = p + strlen(p);
		uint64_t tid;

		if (mw__parse_dec(&p, end, &tid) && p == end)
			tids[(*n)++] = (pid_t)tid;
	}
	closedir(dir);
	return 0;
}

/* All threads on all processors. A thread that ended meanwhile and a processor that is off are passed over. */
static int open_all(struct mw__events *e, const pid_t *tids, size_t n_tids, enum mw__event_kind kind, bool on_exec)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	size_t opened = 0;
	int last = -ESRCH;

	for (int cpu = 0; cpu < cpus; cpu++) {
		size_t shared = SIZE_MAX;

		for (size_t i = 0; i < n_tids; i++) {
			int rc = open_one(e, tids[i], cpu, kind, on_exec, &shared);

			if (rc == -EINVAL)
				last = rc;
			if (rc == -ENODEV || rc == -EINVAL)
				break;
			if (rc < 0 && rc != -ESRCH)
				return rc;
			opened += rc == 0;
		}
	}
	return opened ? 0 : last;
}

/* The events without which there is no recording. */
static int open_needed(struct mw__events *e, const pid_t *tids, size_t n, bool on_exec)
{
	int rc = open_all(e, tids, n, MW__EVENT_FAULTS, on_exec);

	if (rc == 0)
		rc = open_all(e, tids, n, MW__EVENT_MOVES, on_exec);
	if (rc < 0)
		mw__events_close(e);
	return rc;
}

/* From the most that may be allowed to the least. */
static int open_allowed(struct mw__events *e, const pid_t *tids, size_t n, bool on_exec)
{
	int rc = -EPERM;

	e->by_program = e->recorder != MW_FAULTS_SAMPLES && !e->stacks;
	if (e->by_program)
		rc = open_needed(e, tids, n, on_exec);
	if (rc == 0 || e->recorder == MW_FAULTS_PROGRAM)
		return rc;
	e->by_program = false;
	rc = open_needed(e, tids, n, on_exec);
	if (rc != -EACCES && rc != -EPERM)
		return rc;
	e->without_kernel = true;
	return open_needed(e, tids, n, on_exec);
}

int mw__events_open(struct mw__events *e, pid_t pid, bool on_exec, struct mw_err *err)
{
	pid_t *tids = malloc(MAX_THREADS * sizeof(*tids));
	size_t n = 0;
	int rc = tids ? list_threads(pid, tids, MAX_THREADS, &n) : -ENOMEM;

	if (!e->buffer)
		e->buffer = PROGRAM_RING;
	if (rc == 0)
		rc = open_allowed(e, tids, n, on_exec);
	if (rc == -EINVAL && !e->without_lost) {
		e->without_lost = true;
		e->without_kernel = false;
		rc = open_allowed(e, tids, n, on_exec);
	}
	if (rc == 0)
		e->without_majors = open_all(e, tids, n, MW__EVENT_MAJORS, on_exec) < 0;
	free(tids);
	if (rc == 0)
		return 0;
	if (rc == -ENOMEM)
		return mw__fail_nomem(err, "perf events");
	if (rc == -ESRCH || rc == -ENOENT)
		return mw__fail(err, MW_E_GONE, 0, "pid %d: it exited", pid);
	return refuse(e, pid, -rc, err);
}

static void each_fd(struct mw__events *e, unsigned long request)
{
	for (size_t i = 0; i < e->rings.n; i++)
		ioctl(e->rings.v[i].fd, request, 0);
	for (size_t i = 0; i < e->more.n; i++)
		ioctl(e->more.v[i].fd, request, 0);
}

void mw__events_start(struct mw__events *e)
{
	each_fd(e, PERF_EVENT_IOC_ENABLE);
}

void mw__events_stop(struct mw__events *e)
{
	each_fd(e, PERF_EVENT_IOC_DISABLE);
}

/* ---------------------------------------------------------------- draining */

/* The record at tail; when it wraps around the end, a copy in scratch. */
static const struct perf_event_header *record_at(const struct mw__ring *r, const char *data, uint64_t tail, char *scratch)
{
	size_t at = tail & (r->size - 1);
	struct perf_event_header h;

	memcpy(&h, data + at, sizeof(h));	/* records are multiples of 8 bytes: a header never wraps */
	if (h.size < sizeof(h))
		return NULL;
	if (at + h.size <= r->size)
		return (const struct perf_event_header *)(data + at);
	memcpy(scratch, data + at, r->size - at);
	memcpy(scratch + (r->size - at), data, h.size - (r->size - at));
	return (const struct perf_event_header *)scratch;
}

static int drain_ring(struct mw__events *e, struct mw__ring *r, struct mw_recording *rec, char *scratch)
{
	const char *data = (const char *)r->base + sysconf(_SC_PAGESIZE);
	struct perf_event_mmap_page *control = r->base;
	struct mw__decoder d = { rec, e, r };

	if (r->program.base)
		return mw__program_drain(&r->program, &d);
	uint64_t head = __atomic_load_n(&control->data_head, __ATOMIC_ACQUIRE), tail = control->data_tail;
	int rc = 0;

	while (tail < head && rc == 0) {
		const struct perf_event_header *h = record_at(r, data, tail, scratch);

		if (!h)
			break;
		rc = mw__decode(&d, h);
		tail += h->size;
	}
	/* all of it is read: the kernel may write there again */
	__atomic_store_n(&control->data_tail, rc == 0 ? head : tail, __ATOMIC_RELEASE);
	return rc;
}

int mw__events_drain(struct mw__events *e, struct mw_recording *rec)
{
	MW_CLEANUP(mw__freep) char *scratch = malloc(1 << 16);	/* the largest record; too much for a small stack */
	int rc = scratch ? 0 : -MW_E_NOMEM;

	for (size_t i = 0; i < e->rings.n && rc == 0; i++)
		rc = drain_ring(e, &e->rings.v[i], rec, scratch);
	return rc;
}

/* With PERF_FORMAT_LOST read(2) gives the count and what was lost, else the count. */
static void add_counts(const struct mw__events *e, int fd, enum mw__event_kind kind, uint64_t *counter, uint64_t *lost,
		       uint64_t *lost_moves)
{
	uint64_t v[2] = {};
	ssize_t size = e->without_lost ? sizeof(v[0]) : sizeof(v);

	if (kind == MW__EVENT_MAJORS || read(fd, v, sizeof(v)) != size)
		return;
	if (kind == MW__EVENT_MOVES) {
		*lost_moves += v[1];
		return;
	}
	*counter += v[0];
	*lost += v[1];
}

void mw__events_counts(const struct mw__events *e, uint64_t *counter, uint64_t *lost, uint64_t *lost_moves)
{
	*counter = *lost = *lost_moves = 0;
	for (size_t i = 0; i < e->rings.n; i++) {
		const struct mw__ring *r = &e->rings.v[i];

		add_counts(e, r->fd, r->kind, counter, lost, lost_moves);
		*lost += mw__program_lost(&r->program);
		if (e->without_lost && r->kind == MW__EVENT_MOVES)
			*lost_moves += r->lost;
	}
	for (size_t i = 0; i < e->more.n; i++)
		add_counts(e, e->more.v[i].fd, e->more.v[i].kind, counter, lost, lost_moves);
	if (e->without_lost && !e->by_program)
		*lost = mw__sub0(*counter, e->samples);
}

uint64_t mw__events_lost_by_records(const struct mw__events *e)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < e->rings.n; i++)
		lost += e->rings.v[i].kind == MW__EVENT_FAULTS ? e->rings.v[i].lost : 0;
	return lost;
}

/* ----------------------------------------------------------------- merging */

/* The ring whose next fault is the first of all; *until is the time of the first that another ring has. */
static struct mw__ring *earliest(struct mw__events *e, const size_t *next, uint64_t *until)
{
	struct mw__ring *best = NULL;
	uint64_t time = UINT64_MAX;

	*until = UINT64_MAX;
	for (size_t i = 0; i < e->rings.n; i++) {
		struct mw__ring *r = &e->rings.v[i];

		if (r->kind != MW__EVENT_FAULTS || next[i] == r->faults.n)
			continue;
		size_t n;
		uint64_t first = mw__pile_from(&r->faults, next[i], &n)->time_ns;

		*until = best ? mw__min(*until, mw__max(first, time)) : UINT64_MAX;
		if (!best || first < time) {
			time = first;
			best = r;
		}
	}
	return best;
}

/* The last fault of the thread at this address, not after the time. */
static struct mw__fault *find_fault(struct mw_recording *rec, const struct mw__fault *major)
{
	size_t lo = MW_FIRST(i, rec->faults.n, rec->faults.v[i].time_ns > major->time_ns); /* NOLINT(clang-analyzer-core.NullDereference) */

	for (size_t tries = 0; lo && tries < 100000; lo--, tries++) {
		struct mw__fault *f = &rec->faults.v[lo - 1];

		if (f->tid == major->tid)
			return f->addr == major->addr ? f : NULL;
	}
	return NULL;
}

static void mark_majors(const struct mw__events *e, struct mw_recording *rec)
{
	for (size_t i = 0; i < e->rings.n; i++)
		for (size_t k = 0, n; e->rings.v[i].kind == MW__EVENT_MAJORS && k < e->rings.v[i].faults.n; k++) {
			struct mw__fault *f = find_fault(rec, mw__pile_from(&e->rings.v[i].faults, k, &n));

			if (f)
				f->is_major = true;
		}
}

static int merge_rings(struct mw__events *e, struct mw_recording *rec, size_t total)
{
	size_t *next = calloc(e->rings.n + 1, sizeof(*next));
	struct mw__ring *r;
	uint64_t until;

	if (!next)
		return -MW_E_NOMEM;
	rec->faults.v = mw__pile_flat(total);
	if (!rec->faults.v) {
		free(next);
		return -MW_E_NOMEM;
	}
	rec->faults.cap = total;
	while ((r = earliest(e, next, &until))) {
		size_t *at = &next[r - e->rings.v], n, taken = 0;
		const struct mw__fault *from = mw__pile_from(&r->faults, *at, &n);

		do
			rec->faults.v[rec->faults.n++] = from[taken++];
		while (taken < n && from[taken].time_ns < until);
		*at += taken;
	}
	free(next);
	return 0;
}

int mw__events_merge(struct mw__events *e, struct mw_recording *rec)
{
	size_t total = 0;

	for (size_t i = 0; i < e->rings.n; i++)
		total += e->rings.v[i].kind == MW__EVENT_FAULTS ? e->rings.v[i].faults.n : 0;
	if (merge_rings(e, rec, total) < 0)
		return -MW_E_NOMEM;
	mark_majors(e, rec);
	rec->samples = e->samples;
	rec->without_kernel = e->without_kernel;
	rec->by_program = e->by_program;
	return 0;
}
