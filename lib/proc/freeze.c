/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Holding a target still while it is read: PTRACE_SEIZE and PTRACE_INTERRUPT on every thread. Unlike
 * SIGSTOP neither its parent nor a job-control shell notices, and when this process ends for whatever reason
 * the kernel lets the target go on. A thread that does not stop in time (uninterruptible sleep) is left running,
 * which the caller is told. It would stop when its sleep is over, and none that has not stopped can be let go, but by
 * the end of the thread that traces it: so a thread of our own does this, and no more.
 */
#include "proc.h"

#include "../base/cleanup.h"
#include "../base/err.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#define ROUNDS 64		/* a target may start threads while the others are stopped */
#define PATIENCE_NS 500000000u	/* with none more that stops */

static int compare_tids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

/* The threads that are held, sorted; free() it. NULL without memory. */
static pid_t *list_held(const struct mw__freeze *f)
{
	pid_t *tids = malloc((f->threads.n + 1) * sizeof(*tids));

	for (size_t i = 0; tids && i < f->threads.n; i++)
		tids[i] = f->threads.v[i].tid;
	if (tids)
		qsort(tids, f->threads.n, sizeof(*tids), compare_tids);
	return tids;
}

/* A thread may stop for a signal instead of our call: it must get that signal when it is let go. */
static void note_stop(struct mw__held *t, int status)
{
	t->is_stopped = true;
	if (WIFSTOPPED(status) && status >> 16 == 0)
		t->signal = WSTOPSIG(status);
}

/* True when the thread has stopped, or is gone. */
static bool has_stopped(struct mw__held *t)
{
	int status;

	if (t->is_stopped)
		return true;
	pid_t got = waitpid(t->tid, &status, __WALL | WNOHANG);

	if (got == t->tid)
		note_stop(t, status);
	else if (got < 0 && errno != EINTR)
		t->is_stopped = true;
	return t->is_stopped;
}

/* Wait until all have stopped from one on, as long as some still do: how many did not. */
static size_t wait_stops(struct mw__freeze *f, size_t from)
{
	const struct timespec nap = { .tv_nsec = 50000 };
	size_t left = f->threads.n - from, before;

	for (uint64_t waited = 0; left && waited < PATIENCE_NS; waited += (uint64_t)nap.tv_nsec) {
		before = left;
		left = 0;
		for (size_t i = from; i < f->threads.n; i++)
			left += !has_stopped(&f->threads.v[i]);
		if (left < before)
			waited = 0;
		if (left)
			nanosleep(&nap, NULL);
	}
	return left;
}

/* A main thread that ended before the others stays as a zombie, which cannot be traced. */
static bool has_ended(const struct mw__proc *proc, pid_t tid)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	struct mw__stat stat;
	char name[24];

	snprintf(name, sizeof(name), "%d/stat", tid);
	return mw__proc_task_text(proc, name, &text, NULL) < 0 || !mw__stat_parse(text.v, text.n, &stat) ||
	       stat.state == 'Z' || stat.state == 'X';
}

/* A thread has one tracer at most. */
static void name_tracer(const struct mw__proc *proc, pid_t tid, struct mw_err *err)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	char name[32];

	snprintf(name, sizeof(name), "%d/status", tid);
	uint64_t tracer = mw__proc_task_text(proc, name, &text, NULL) < 0 ? MW_UNKNOWN : mw__keyed_value(&text, "TracerPid:\t");

	if (tracer != MW_UNKNOWN && tracer)
		mw__hint(err, "pid %" PRIu64 " traces it already, as a debugger does", tracer);
	else if (geteuid())
		mw__hint(err, "run memwhy as the owner of the process or as root");
}

static int hold(const struct mw__proc *proc, struct mw__freeze *f, pid_t tid, struct mw_err *err)
{
	if (ptrace(PTRACE_SEIZE, tid, 0, 0) < 0) {
		int error = errno;

		if (error == ESRCH || has_ended(proc, tid))
			return 0;
		mw__fail(err, MW_E_PERM, error, "tid %d: hold it still (ptrace)", tid);
		name_tracer(proc, tid, err);
		return -MW_E_PERM;
	}
	struct mw__held *slot = MW_VEC_PUSH(&f->threads);

	if (!slot) {
		ptrace(PTRACE_DETACH, tid, 0, 0);
		return mw__fail_nomem(err, "threads");
	}
	slot->tid = tid;
	ptrace(PTRACE_INTERRUPT, tid, 0, 0);
	return 0;
}

/*
 * Seize threads that are not held yet: how many, or a negative code. A listing during which a thread ends may
 * leave out others (fs/proc/base.c, first_tid()); it is whole when stat counts as many.
 */
static int hold_new(const struct mw__proc *proc, struct mw__freeze *f, bool *is_whole, struct mw_err *err)
{
	MW_CLEANUP(mw__closedirp) DIR *dir = mw__proc_tasks(proc);
	MW_CLEANUP(mw__freep) pid_t *held = list_held(f);
	size_t before = f->threads.n;
	struct mw__stat stat;
	uint64_t seen = 0;

	if (!held)
		return mw__fail_nomem(err, "threads");
	if (!dir)
		return mw__fail(err, MW_E_GONE, errno, "pid %d: list threads", proc->pid);
	for (pid_t tid; (tid = mw__proc_next_task(dir)); seen++) {
		if (bsearch(&tid, held, before, sizeof(tid), compare_tids))
			continue;
		int rc = hold(proc, f, tid, err);

		if (rc < 0)
			return rc;
	}
	*is_whole = mw__stat_read(proc, &stat, NULL) < 0 || stat.threads == seen;
	return (int)(f->threads.n - before);
}

static int hold_all(struct mw__freeze *f, struct mw_err *err)
{
	for (int round = 0; round < ROUNDS; round++) {
		size_t before = f->threads.n;
		bool is_whole = false;
		int n = hold_new(f->proc, f, &is_whole, err);

		if (n < 0 || (n == 0 && is_whole))
			return n;
		f->unstopped += wait_stops(f, before);
	}
	f->unstopped++;		/* whoever starts them */
	return 0;
}

/* Only a thread that has stopped can be let go; the others are when the thread that traces them ends. */
static void let_go(struct mw__held *t)
{
	int status;

	if (!t->is_stopped && waitpid(t->tid, &status, __WALL | WNOHANG) == t->tid)
		note_stop(t, status);
	ptrace(PTRACE_DETACH, t->tid, 0, (void *)(intptr_t)t->signal);
}

/* Whoever traces is a thread, not a process. */
static void *be_holder(void *arg)
{
	struct mw__freeze *f = arg;

	f->rc = hold_all(f, f->err);
	sem_post(&f->held);
	while (sem_wait(&f->done) < 0)
		;
	for (size_t i = 0; i < f->threads.n; i++)
		let_go(&f->threads.v[i]);
	return NULL;
}

/* It gets no signals: these are for the threads of who called. */
static int start_holder(struct mw__freeze *f)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int error = pthread_create(&f->holder, NULL, be_holder, f);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

int mw__freeze_begin(const struct mw__proc *proc, struct mw__freeze *f, struct mw_err *err)
{
	f->proc = proc;
	f->err = err;
	sem_init(&f->held, 0, 0);
	sem_init(&f->done, 0, 0);
	int error = start_holder(f);

	if (error)
		return mw__fail(err, MW_E_OS, error, "pid %d: hold it still: start a thread", proc->pid);
	f->has_holder = true;
	while (sem_wait(&f->held) < 0)
		;
	int rc = f->rc;

	if (rc < 0)
		mw__freeze_end(f);
	return rc;
}

void mw__freeze_end(struct mw__freeze *f)
{
	if (!f->has_holder)
		return;
	sem_post(&f->done);
	pthread_join(f->holder, NULL);
	f->has_holder = false;
	sem_destroy(&f->held);
	sem_destroy(&f->done);
	MW_VEC_FREE(&f->threads);
}
