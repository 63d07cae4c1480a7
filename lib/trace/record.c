/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A recording from start to end. A command is held until its events are armed, and looked at once more
 * before its memory goes: then recorded faults and resident pages are of the same moment. A process that
 * runs already is looked at first and last; the first look comes after the events are on, so a page that
 * comes between is in both and in neither is none.
 */
#include "trace.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"
#include "../proc/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_LIMIT (UINT64_C(1) << 24)
#define MAX_BUFFER (UINT64_C(1) << 30)
/* The longest time between two looks at the rings. */
#define POLL_MS 40
/* No page fault takes less: the rings of programs wake nobody, they are looked at before they can be full. */
#define FAULT_NS 500
/* How often samples on their way are waited for, a ms each. */
#define SETTLE_TRIES 100
#define KERNEL_HALF (UINT64_C(1) << 63)

struct recorder {
	struct mw_faults_opts opts;
	struct mw_recording *rec;
	struct mw__events events;
	struct mw__child child;
	struct mw__phases_watch watch;
	pid_t pid;
	int signals;		/* signalfd of SIGCHLD, or the pidfd of an attached process */
	uint64_t flt_base;	/* minflt + majflt when the program began */
	bool seen_exec;
};

static uint64_t now_in(const struct recorder *r)
{
	return mw__sub0(mw__trace_now(), r->events.zero_ns);
}

/* What the kernel counted for the process, minor and major; MW_UNKNOWN when it is gone. */
static uint64_t task_faults(pid_t pid)
{
	MW_CLEANUP(mw__proc_close) struct mw__proc proc;
	struct mw__stat stat;

	return mw__proc_open(&proc, NULL, pid, NULL) == 0 && mw__stat_read(&proc, &stat, NULL) == 0 ? stat.faults : MW_UNKNOWN;
}

static int add_mark(struct recorder *r, enum mw__phase phase, uint64_t time, enum mw__certainty c, const char *rule)
{
	struct mw__mark *m = MW_VEC_PUSH(&r->rec->marks);

	if (!m)
		return -MW_E_NOMEM;
	*m = (struct mw__mark){ time, (uint8_t)phase, (uint8_t)c, rule };
	return 0;
}

/* --------------------------------------------------------------- snapshots */

/* The pages of the process now. Fields of smaps only when something is locked: they tell what. */
static struct mw_snapshot *look(struct recorder *r, const char *when)
{
	struct mw_collect_opts opts = { .size = sizeof(opts), .rollup = MW_NEVER, .smaps = MW_NEVER };
	struct mw_snapshot *snap = NULL, *again = NULL;
	struct mw_err err = {};

	if (mw_collect_pid(r->pid, &opts, &snap, &err) < 0) {
		mw__recording_note(r->rec, "page scan", NULL, "which pages are resident %s is unknown: %s", when, err.text);
		return NULL;
	}
	opts.smaps = MW_ALWAYS;
	if (snap->status.vm_lck != MW_UNKNOWN && snap->status.vm_lck && mw_collect_pid(r->pid, &opts, &again, NULL) == 0) {
		mw_snapshot_destroy(snap);
		snap = again;
	}
	return snap;
}

static void look_last(struct recorder *r)
{
	uint64_t total = task_faults(r->pid);

	r->rec->after_ns = r->rec->took_ns = now_in(r);
	r->rec->task_faults = total == MW_UNKNOWN || r->flt_base == MW_UNKNOWN ? MW_UNKNOWN : total - r->flt_base;
	mw_snapshot_destroy(r->rec->after);
	r->rec->after = look(r, "at the end");
}

/* What was mapped before the recording, as if it was mapped at its start; and its name. */
static int seed_moves(struct mw_recording *rec)
{
	const char *comm = rec->before->target.comm;
	struct mw__move *named = comm ? MW_VEC_PUSH(&rec->moves) : NULL;

	if (comm && !named)
		return -MW_E_NOMEM;
	if (named)
		*named = (struct mw__move){ .kind = MW__MOVE_NAME, .pid = rec->pid, .tid = rec->pid, .object = MW__NONE,
					    .name = mw__arena_intern(&rec->arena, comm, strlen(comm)) };
	if (named && !named->name)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < rec->before->vmas.n; i++) {
		const struct mw__vma *v = &rec->before->vmas.v[i];
		const char *name = *v->name ? v->name : "//anon";
		struct mw__move *m = mw__vma_is_vsyscall(v) ? NULL : MW_VEC_PUSH(&rec->moves);
		size_t len = strlen(name), tail = strlen(" (deleted)");

		if (mw__vma_is_vsyscall(v))
			continue;
		if (!m)
			return -MW_E_NOMEM;
		if (len > tail && !strcmp(name + len - tail, " (deleted)"))
			len -= tail;
		*m = (struct mw__move){ .kind = MW__MOVE_MAP, .start = v->start, .end = v->end, .off = v->off, .pid = rec->pid,
					.tid = rec->pid, .object = MW__NONE, .prot = v->prot,
					.name = mw__arena_intern(&rec->arena, name, len) };
		if (!m->name)
			return -MW_E_NOMEM;
	}
	return 0;
}

/* -------------------------------------------------------------------- loop */

static uint64_t poll_ms(const struct mw__events *e)
{
	uint64_t ms = POLL_MS;

	for (size_t i = 0; i < e->rings.n; i++)
		if (e->rings.v[i].program.base)
			ms = mw__min(ms, mw__program_room(&e->rings.v[i].program) * FAULT_NS / 1000000);
	return ms;
}

/* Wait for a signal, the stop descriptor, a ring that fills up, or a while. True when it is time to stop. */
static bool wait_for_news(struct recorder *r, uint64_t deadline)
{
	struct pollfd fds[2 + 64];
	struct mw__ring *rings[64];
	nfds_t n = 2;
	uint64_t left = deadline == MW_UNKNOWN ? POLL_MS : mw__sub0(deadline, mw__trace_now()) / 1000000;
	int ms = (int)mw__min(poll_ms(&r->events), left) + 1;

	fds[0] = (struct pollfd){ r->signals, POLLIN, 0 };
	fds[1] = (struct pollfd){ r->opts.stop_fd > 0 ? r->opts.stop_fd : -1, POLLIN, 0 };
	for (size_t i = 0; i < r->events.rings.n && n < 66; i++) {
		struct mw__ring *ring = &r->events.rings.v[i];

		if (ring->kind == MW__EVENT_MAJORS || !ring->base || ring->is_hung_up)
			continue;
		rings[n - 2] = ring;
		fds[n++] = (struct pollfd){ ring->fd, POLLIN, 0 };
	}
	if (poll(fds, n, ms) > 0 && fds[1].revents)
		return true;
	for (nfds_t i = 2; i < n; i++)
		rings[i - 2]->is_hung_up |= (fds[i].revents & POLLHUP) != 0;
	return deadline != MW_UNKNOWN && mw__trace_now() >= deadline;
}

static void swallow_signals(const struct recorder *r)
{
	struct signalfd_siginfo info[8];

	while (r->signals >= 0 && read(r->signals, info, sizeof(info)) > 0)
		;
}

/* A new program behind its execve: nothing of it has run. */
static int enter_program(struct recorder *r)
{
	uint64_t time = now_in(r);

	if (r->seen_exec)
		mw__phases_collect(&r->watch, r->events.zero_ns, r->rec);
	r->seen_exec = true;
	r->flt_base = task_faults(r->pid);
	mw__phases_arm(&r->watch, r->pid, r->rec);
	r->rec->paused_ns += now_in(r) - time;
	return add_mark(r, r->watch.no_linker ? MW__PHASE_INIT : MW__PHASE_LDSO, now_in(r), MW__PROVEN, "stopped at the end of execve");
}

/* It executed a program that was not stopped at its begin. */
static void miss_program(struct recorder *r)
{
	mw__phases_collect(&r->watch, r->events.zero_ns, r->rec);
	r->flt_base = MW_UNKNOWN;
}

/* Until the command ended; *cut when it was to stop before. */
static int follow_command(struct recorder *r, uint64_t deadline)
{
	int rc = 0;

	while (rc == 0) {
		bool stop = wait_for_news(r, deadline);

		swallow_signals(r);
		rc = mw__events_drain(&r->events, r->rec);
		enum mw__child_event e = mw__child_poll(&r->child);

		if (rc == 0 && e == MW__CHILD_EXEC)
			rc = enter_program(r);
		if (e == MW__CHILD_RENEWED)
			miss_program(r);
		if (e == MW__CHILD_ENDING)
			look_last(r);
		if (e == MW__CHILD_EXEC || e == MW__CHILD_RENEWED || e == MW__CHILD_ENDING)
			mw__child_continue(&r->child);
		if (e == MW__CHILD_ENDED) {
			if (!r->child.was_last) {	/* so the last look was some time before */
				r->rec->took_ns = now_in(r);
				r->rec->task_faults = MW_UNKNOWN;
			}
			return rc;
		}
		if (stop) {
			r->rec->is_cut = true;
			look_last(r);
			mw__events_stop(&r->events);
			return rc;
		}
	}
	return rc;
}

static bool is_alive(pid_t pid)
{
	return kill(pid, 0) == 0 || errno == EPERM;
}

static int follow_process(struct recorder *r, uint64_t deadline)
{
	int rc = 0;

	for (;;) {
		struct pollfd gone = { r->signals, POLLIN, 0 };
		bool stop = wait_for_news(r, deadline);

		rc = mw__events_drain(&r->events, r->rec);
		if ((r->signals >= 0 ? poll(&gone, 1, 0) > 0 : !is_alive(r->pid)) || rc < 0) {
			mw__recording_note(r->rec, "page scan", "memwhy faults --for=SECONDS ends before the process does",
					   "the process ended before its resident pages could be looked at");
			return rc;
		}
		if (stop) {
			r->rec->is_cut = true;
			look_last(r);
			mw__events_stop(&r->events);
			return rc;
		}
	}
}

/* ------------------------------------------------------------------ ending */

/* A sample is written a moment after its fault was counted: wait until both roads agree. */
static int settle(struct recorder *r)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct mw_recording *rec = r->rec;
	int rc = 0;

	mw__events_stop(&r->events);
	for (int i = 0; i < SETTLE_TRIES && rc == 0; i++) {
		rc = mw__events_drain(&r->events, rec);
		mw__events_counts(&r->events, &rec->counter, &rec->lost, &rec->lost_moves);
		bool by_records = r->events.without_lost && !r->events.by_program;
		uint64_t lost = by_records ? mw__events_lost_by_records(&r->events) : rec->lost;

		if (r->events.samples + lost == rec->counter)
			break;
		nanosleep(&pause, NULL);
	}
	return rc;
}

static void add_notes(struct recorder *r)
{
	struct mw_recording *rec = r->rec;
	char buf[16];

	if (rec->without_kernel)
		mw__recording_note(rec, "perf_event_paranoid", "sysctl kernel.perf_event_paranoid=1, or CAP_PERFMON",
				   "kernel.perf_event_paranoid is %s: faults that the kernel takes for the program (read(2) into a new "
				   "page, setting up the stack) may not be recorded; their pages are found by the last page scan",
				   mw__perf_paranoid(buf));
	if (r->events.without_majors)
		mw__recording_note(rec, "major faults", NULL, "which faults waited for a disk is unknown: no event for them");
	if (rec->samples > rec->faults.n)
		mw__recording_note(rec, "limit", "--limit keeps more", "%llu faults were counted and not kept",
				   (unsigned long long)(rec->samples - rec->faults.n));
	if (r->events.without_lost && !r->events.by_program)
		mw__recording_note(rec, "PERF_FORMAT_LOST", "Linux 6.0 has it",
				   "this kernel does not count the faults that it could not write down: lost is what its counter has "
				   "beyond the samples, of which its records tell %llu",
				   (unsigned long long)mw__events_lost_by_records(&r->events));
	if (rec->lost)
		mw__recording_note(rec, "ring", "--buffer, or a larger kernel.perf_event_mlock_kb",
				   "%llu faults came faster than they could be read; the counter has them, the tables do not",
				   (unsigned long long)rec->lost);
	if (rec->lost_moves)
		mw__recording_note(rec, "ring", NULL,
				   "%llu changes of mappings came faster than they could be read; what was at some addresses may be wrong",
				   (unsigned long long)rec->lost_moves);
}

/* When the program of the execve at this time began to run, if nobody saw it: its first fault that is not the kernel's. */
static uint64_t begin_unseen(const struct mw_recording *rec, uint64_t exec)
{
	uint64_t next = MW_UNKNOWN, begin = MW_UNKNOWN;

	for (size_t i = 0; i < rec->moves.n; i++)
		if (rec->moves.v[i].kind == MW__MOVE_EXEC && rec->moves.v[i].pid == rec->pid && rec->moves.v[i].time_ns > exec)
			next = mw__min(next, rec->moves.v[i].time_ns);
	for (size_t i = 0; i < rec->marks.n; i++)
		if (rec->marks.v[i].phase != MW__PHASE_EXEC && rec->marks.v[i].time_ns >= exec && rec->marks.v[i].time_ns < next)
			return MW_UNKNOWN;
	for (size_t i = 0; i < rec->faults.n; i++) {
		const struct mw__fault *f = &rec->faults.v[i];

		if (f->pid == rec->pid && f->time_ns >= exec && f->time_ns < next && f->ip < KERNEL_HALF)
			begin = mw__min(begin, f->time_ns);
	}
	return begin;
}

/* From each execve on, the kernel sets up the program. */
static int mark_execs(struct recorder *r)
{
	struct mw_recording *rec = r->rec;

	for (size_t i = 0; i < rec->moves.n; i++) {
		const struct mw__move *v = &rec->moves.v[i];

		if (v->kind != MW__MOVE_EXEC || v->pid != rec->pid)
			continue;
		uint64_t begin = begin_unseen(rec, v->time_ns);

		if (begin != MW_UNKNOWN)
			mw__recording_note(rec, "phases", NULL, "a program was executed whose begin was not seen: its faults count "
					   "as those of the dynamic linker, whatever it did");
		if (add_mark(r, MW__PHASE_EXEC, v->time_ns, MW__PROVEN, "execve") < 0 ||
		    (begin != MW_UNKNOWN && add_mark(r, MW__PHASE_LDSO, begin, MW__LIKELY, "its first fault by an instruction of it") < 0))
			return -MW_E_NOMEM;
	}
	return 0;
}

/* The last look may have been when a thread ended that was not the last. Of a program that was replaced it tells nothing. */
static void judge_last_look(struct recorder *r)
{
	struct mw_recording *rec = r->rec;

	for (size_t i = 0; i < rec->moves.n; i++) {
		const struct mw__move *v = &rec->moves.v[i];

		if (v->kind != MW__MOVE_EXEC || v->pid != rec->pid || !rec->after || v->time_ns < rec->after_ns)
			continue;
		mw_snapshot_destroy(rec->after);
		rec->after = NULL;
		mw__recording_note(rec, "page scan", NULL, "the process ended before its resident pages could be looked at");
	}
	if (rec->after && r->child.ended && !r->child.was_last && !rec->is_cut)
		mw__recording_note(rec, "page scan", NULL, "the resident pages are those when one of its threads ended, which was "
				   "not the last");
}

/* Times of a command count from its execve. */
static void start_at_exec(struct mw_recording *rec)
{
	uint64_t zero = MW_UNKNOWN;

	for (size_t i = 0; i < rec->moves.n; i++)
		if (rec->moves.v[i].kind == MW__MOVE_EXEC && rec->moves.v[i].pid == rec->pid)
			zero = mw__min(zero, rec->moves.v[i].time_ns);
	if (zero == MW_UNKNOWN)
		return;
	for (size_t i = 0; i < rec->moves.n; i++)
		rec->moves.v[i].time_ns = mw__sub0(rec->moves.v[i].time_ns, zero);
	for (size_t i = 0; i < rec->faults.n; i++)
		rec->faults.v[i].time_ns = mw__sub0(rec->faults.v[i].time_ns, zero);
	for (size_t i = 0; i < rec->marks.n; i++)
		rec->marks.v[i].time_ns = mw__sub0(rec->marks.v[i].time_ns, zero);
	rec->took_ns = mw__sub0(rec->took_ns, zero);
	rec->after_ns = mw__sub0(rec->after_ns, zero);
}

static int finish(struct recorder *r, struct mw_err *err)
{
	int rc = settle(r);

	if (!r->rec->took_ns)
		r->rec->took_ns = now_in(r);
	mw__phases_collect(&r->watch, r->events.zero_ns, r->rec);
	if (rc == 0)
		rc = mw__events_merge(&r->events, r->rec);
	if (rc == 0)
		rc = mark_execs(r);
	judge_last_look(r);
	if (!r->rec->is_attached)
		start_at_exec(r->rec);
	mw__events_close(&r->events);
	pid_t pid = r->rec->is_attached ? r->pid : 0;

	if (rc == 0)
		rc = mw__objects_read(r->rec, pid);
	if (rc < 0)
		return mw__fail_nomem(err, "recording");
	add_notes(r);
	rc = mw__recording_freeze(r->rec, err);
	return rc < 0 ? rc : mw__objects_resolve(r->rec, pid) < 0 ? mw__fail_nomem(err, "recording") : 0;
}

/* ------------------------------------------------------------------- begin */

/* Not more than asked for; the kernel takes no other rings. */
static size_t power_of_two(uint64_t bytes)
{
	size_t n = 4096;

	while (bytes && n < MAX_BUFFER && n * 2 <= bytes)
		n *= 2;
	return bytes ? n : 0;
}

static int begin(struct recorder *r, const struct mw_faults_opts *opts, struct mw_err *err)
{
	struct timespec ts;

	memset(r, 0, sizeof(*r));
	r->signals = -1;
	r->flt_base = MW_UNKNOWN;
	r->child.pid = -1;
	if (opts)
		memcpy(&r->opts, opts, mw__min(opts->size, sizeof(r->opts)));
	r->events.stacks = r->opts.stacks;
	r->events.limit = r->opts.limit ? r->opts.limit : DEFAULT_LIMIT;
	r->events.recorder = r->opts.recorder;
	r->events.buffer = power_of_two(r->opts.buffer);
	r->rec = calloc(1, sizeof(*r->rec));
	if (!r->rec)
		return mw__fail_nomem(err, "recording");
	mw__recording_init(r->rec);
	clock_gettime(CLOCK_REALTIME, &ts);
	r->rec->started_at_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	r->events.zero_ns = mw__trace_now();
	return 0;
}

static uint64_t deadline_of(const struct recorder *r)
{
	return r->opts.max_ns ? mw__trace_now() + r->opts.max_ns : MW_UNKNOWN;
}

static int end(struct recorder *r, int rc, struct mw_recording **ret)
{
	mw__phases_close(&r->watch);
	mw__events_close(&r->events);
	if (r->signals >= 0)
		close(r->signals);
	if (rc < 0)
		mw_recording_destroy(r->rec);
	else
		*ret = r->rec;
	return rc;
}

static const char *join_args(struct mw__arena *arena, char *const argv[])
{
	MW_CLEANUP(mw__str_deinit) struct mw__str s = {};

	for (size_t i = 0; argv[i] && s.n < 4000; i++) {
		if (i)
			mw__str_puts(&s, " ");
		mw__str_puts(&s, argv[i]);
	}
	return s.failed ? NULL : mw__arena_str(arena, s.v ? s.v : "");
}

/* By the numbers of another pid namespace the pages of others would be looked at, and their threads traced. */
static int check_proc(const char *name, struct mw_err *err)
{
	MW_CLEANUP(mw__proc_close) struct mw__proc proc;

	if (mw__proc_open(&proc, NULL, getpid(), NULL) == 0 && proc.own_pids)
		return 0;
	return proc.is_live && !proc.own_pids ?
		       mw__fail(err, MW_E_UNSUPPORTED, 0, "%s: record its faults: this /proc belongs to another pid namespace", name) : 0;
}

static int run_command(struct recorder *r, char *const argv[], const sigset_t *mask, struct mw_err *err)
{
	int rc = check_proc(argv[0], err);

	if (rc == 0)
		rc = mw__child_start(&r->child, argv, mask, err);
	if (rc < 0)
		return rc;
	r->pid = r->child.pid;
	r->rec->pid = (uint32_t)r->pid;
	r->rec->command = join_args(&r->rec->arena, argv);
	rc = mw__events_open(&r->events, r->pid, true, err);
	if (rc < 0) {
		close(r->child.ready);	/* it ends without having executed anything */
		close(r->child.report);
		return rc;
	}
	rc = mw__child_release(&r->child, argv[0], err);
	if (rc < 0)
		return rc;
	if (!r->child.traced)
		mw__recording_note(r->rec, "ptrace", NULL, "the command cannot be traced, so the pages at its end are unknown");
	rc = follow_command(r, deadline_of(r));
	if (r->child.traced && !r->rec->after_ns)
		mw__recording_note(r->rec, "page scan", NULL, "the process ended before its resident pages could be looked at");
	return rc < 0 ? mw__fail_nomem(err, "recording") : 0;
}

int mw_faults_run(char *const argv[], const struct mw_faults_opts *opts, struct mw_recording **ret, struct mw_err *err)
{
	struct recorder r;
	struct mw_err local;
	sigset_t set, before;

	if (!argv || !argv[0])
		return mw__fail(err, MW_E_USAGE, 0, "faults: no command");
	int rc = begin(&r, opts, err ? err : &local);

	if (rc < 0)
		return rc;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	r.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	rc = run_command(&r, argv, &before, err ? err : &local);
	mw__child_end(&r.child);
	if (rc == 0 && r.child.ended)
		r.rec->exit_status = (uint64_t)(uint32_t)r.child.status;
	if (rc == 0)
		rc = finish(&r, err);
	rc = end(&r, rc, ret);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

/* What has no memory has no faults: say what it is. */
static int check_target(pid_t pid, struct mw_err *err)
{
	MW_CLEANUP(mw__proc_close) struct mw__proc proc;
	int rc = mw__proc_open(&proc, NULL, pid, err);

	if (rc == 0 && !proc.own_pids)
		rc = mw__fail(err, MW_E_UNSUPPORTED, 0, "pid %d: record its faults: this /proc belongs to another pid namespace", pid);
	return rc < 0 ? rc : mw__proc_find_memory(&proc, err);
}

static int attach(struct recorder *r, pid_t pid, struct mw_err *err)
{
	int rc = check_target(pid, err);

	if (rc == 0)
		rc = mw__events_open(&r->events, pid, false, err);
	if (rc < 0)
		return rc;
	r->pid = pid;
	r->rec->pid = (uint32_t)pid;
	r->rec->is_attached = true;
	r->flt_base = task_faults(pid);
	r->signals = (int)syscall(SYS_pidfd_open, pid, 0);
	mw__events_start(&r->events);
	r->rec->before = look(r, "at the start");
	r->rec->before_ns = now_in(r);
	if (r->rec->before) {
		const struct mw__target *t = &r->rec->before->target;

		r->rec->command = mw__arena_str(&r->rec->arena, t->cmdline ? t->cmdline : t->comm);
		rc = seed_moves(r->rec);
	}
	if (rc == 0)
		rc = add_mark(r, MW__PHASE_ATTACHED, 0, MW__PROVEN, "the recording began while it ran");
	if (rc == 0)
		rc = follow_process(r, deadline_of(r));
	return rc < 0 ? mw__fail_nomem(err, "recording") : 0;
}

int mw_faults_attach(pid_t pid, const struct mw_faults_opts *opts, struct mw_recording **ret, struct mw_err *err)
{
	struct recorder r;
	struct mw_err local;
	int rc = begin(&r, opts, err ? err : &local);

	if (rc < 0)
		return rc;
	rc = attach(&r, pid, err ? err : &local);
	if (rc == 0)
		rc = finish(&r, err);
	return end(&r, rc, ret);
}
