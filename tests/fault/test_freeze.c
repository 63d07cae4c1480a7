/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A target that is held still while signals rain on it gets each of them, and goes on afterwards. Of one with many
 * threads that start further ones every thread is held, and goes on whatever becomes of who held it.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/tap.h"
#include "memwhy.h"
#include "proc/proc.h"

#define LOOKS 60
#define WORKERS 200

static volatile struct {
	long got, sent;
	int ready, stop;
	int failed;			/* the target could not start its threads */
	long turns[WORKERS], started;	/* of each worker; threads that workers started, counted by these */
} *shared;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return __real_realloc(p, size);
}

static void count(int sig)
{
	(void)sig;
	shared->got++;
}

static void be_target(void)
{
	signal(SIGRTMIN, count);
	alarm(60);
	shared->ready = 1;
	for (;;)
		pause();
}

/* Signals of this kind queue up, so that none is lost when the target is slow. */
static void be_sender(pid_t to)
{
	alarm(60);
	while (!shared->stop) {
		if (sigqueue(to, SIGRTMIN, (union sigval){ 0 }) == 0)
			shared->sent++;
		usleep(20);
	}
	_exit(0);
}

static long count_looks(pid_t pid)
{
	struct mw_collect_opts opts = { .size = sizeof(opts), .freeze = true, .no_objects = true };
	long good = 0;

	for (int i = 0; i < LOOKS; i++) {
		struct mw_snapshot *snap = NULL;

		if (mw_collect_pid(pid, &opts, &snap, NULL) == 0) {
			good++;
			mw_snapshot_destroy(snap);
		}
	}
	return good;
}

static void check_signals(void)
{
	pid_t target = fork();

	if (target == 0)
		be_target();
	for (int i = 0; i < 1000 && !shared->ready; i++)
		usleep(1000);
	pid_t sender = fork();

	if (sender == 0)
		be_sender(target);
	long good = 0, looks = 0;

	/* on a busy machine the sender may wait long for its turn */
	for (; looks < 100 * LOOKS && (!looks || shared->sent <= 100); looks += LOOKS)
		good += count_looks(target);
	shared->stop = 1;
	waitpid(sender, NULL, 0);
	for (int i = 0; i < 2000 && shared->got < shared->sent; i++)
		usleep(1000);
	is_int(good, looks, "every look at a frozen target succeeds");
	ok(shared->sent > 100, "signals were sent meanwhile (%ld)", shared->sent);
	is_int(shared->got, shared->sent, "the target got every one of them");
	if (target > 0)	/* else everybody */
		kill(target, SIGKILL);
	waitpid(target, NULL, 0);
}

/* ------------------------------------------------------------------- threads */

static void *be_child(void *unused)
{
	(void)unused;
	usleep(3000);
	__sync_fetch_and_add(&shared->started, 1);
	return NULL;
}

/* Most of them run or are on their way somewhere; each starts one further thread after the other. */
static void *be_worker(void *arg)
{
	volatile long *turns = arg;

	for (;;) {
		pthread_t child;

		if (pthread_create(&child, NULL, be_child, NULL) == 0)
			pthread_join(child, NULL);
		++*turns;
		usleep(500);
	}
	return NULL;
}

static void be_crowd(void)
{
	pthread_attr_t attr;
	pthread_t worker;

	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	alarm(120);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 1 << 16);
	for (int i = 0; i < WORKERS; i++)
		shared->failed |= pthread_create(&worker, &attr, be_worker, (void *)&shared->turns[i]) != 0;
	shared->ready = 2;
	for (;;)
		pause();
}

static long sum_turns(void)
{
	long sum = shared->started;

	for (int i = 0; i < WORKERS; i++)
		sum += shared->turns[i];
	return sum;
}

/* How many workers do not take another turn, however long one waits. */
static int count_stuck(void)
{
	long before[WORKERS];
	int stuck = WORKERS;

	for (int i = 0; i < WORKERS; i++)
		before[i] = shared->turns[i];
	for (int wait = 0; stuck && wait < 20000; wait++) {
		usleep(1000);
		stuck = 0;
		for (int i = 0; i < WORKERS; i++)
			stuck += shared->turns[i] == before[i];
	}
	return stuck;
}

/* Threads of the process that have not ended, and in *stopped those that a tracer holds. */
static int count_tasks(const struct mw__proc *proc, int *stopped)
{
	DIR *dir = mw__proc_tasks(proc);
	struct mw__str text = { 0 };
	int n = 0;

	*stopped = 0;
	for (pid_t tid; dir && (tid = mw__proc_next_task(dir));) {
		struct mw__stat stat;
		char name[24];

		snprintf(name, sizeof(name), "%d/stat", tid);
		if (mw__proc_task_text(proc, name, &text, NULL) < 0 || !mw__stat_parse(text.v, text.n, &stat))
			continue;
		n += stat.state != 'Z' && stat.state != 'X';
		*stopped += stat.state == 't';
	}
	if (dir)
		closedir(dir);
	mw__str_deinit(&text);
	return n;
}

static void skip(const char *what, const char *why)
{
	printf("ok %d - %s # SKIP %s\n", ++tap_count, what, why);
}

static void hold_and_look(const struct mw__proc *proc)
{
	int stopped, n, bad = 0, moved = 0;

	for (int turn = 0; turn < 5; turn++) {
		struct mw__freeze f = { 0 };
		struct mw_err err = { .text = "" };

		if (mw__freeze_begin(proc, &f, &err) < 0) {
			printf("# %s\n", err.text);
			bad++;
			continue;
		}
		long before = sum_turns();

		n = count_tasks(proc, &stopped);
		usleep(20000);
		moved += sum_turns() != before;
		if (f.unstopped || stopped != n || n <= WORKERS) {
			printf("# %d threads, %d of them stopped, %zu did not in time\n", n, stopped, f.unstopped);
			bad++;
		}
		mw__freeze_end(&f);
	}
	is_int(bad, 0, "every thread is held, those that were just started too");
	is_int(moved, 0, "and none of them does anything");
	is_int(count_stuck(), 0, "all workers go on");
}

/* Somebody who holds it, and then is killed. */
static void be_holder(const struct mw__proc *proc, int out)
{
	struct mw__freeze f = { 0 };

	alarm(60);
	_exit(mw__freeze_begin(proc, &f, NULL) == 0 && write(out, "", 1) == 1 ? pause() : 1);
}

static void hold_and_die(const struct mw__proc *proc)
{
	int fds[2], stopped = 0;
	char byte;

	if (pipe(fds) < 0)
		return;
	pid_t holder = fork();

	if (holder == 0)
		be_holder(proc, fds[1]);
	close(fds[1]);
	if (read(fds[0], &byte, 1) != 1) {
		skip("a holder that is killed", "it may not hold a process that is not its child");
	} else {
		int n = count_tasks(proc, &stopped);

		ok(stopped == n && n > WORKERS, "a second process holds all %d threads (%d)", n, stopped);
		kill(holder, SIGKILL);
		is_int(count_stuck(), 0, "it is killed: all workers go on");
	}
	close(fds[0]);
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
}

static void check_threads(void)
{
	struct mw__proc proc = { .root_fd = -1, .pid_fd = -1, .task_fd = -1 };
	pid_t target = fork();

	if (target == 0)
		be_crowd();
	for (int i = 0; i < 20000 && shared->ready != 2; i++)
		usleep(1000);
	if (shared->ready != 2 || shared->failed || mw__proc_open(&proc, NULL, target, NULL) < 0) {
		skip("a target with many threads", "they cannot be started here");
	} else {
		hold_and_look(&proc);
		hold_and_die(&proc);
	}
	mw__proc_close(&proc);
	if (target > 0)
		kill(target, SIGKILL);
	waitpid(target, NULL, 0);
}

/* ------------------------------------------------------------ uninterruptible */

/* Between vfork(2) and the end of its child no signal that can be caught wakes it, and ptrace(2) does not stop it. */
static void be_sleeper(const int fds[2])
{
	char byte;

	alarm(60);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	close(fds[1]);
	if (vfork() == 0)
		_exit(read(fds[0], &byte, 1) == 1 ? 0 : 1);
	for (shared->ready = 4;; usleep(1000))
		shared->turns[0]++;
}

static bool is_uninterruptible(pid_t pid)
{
	char path[32], line[256] = "";

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "re");
	const char *end = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;

	if (f)
		fclose(f);
	return end && end[2] == 'D';
}

static void check_uninterruptible(void)
{
	struct mw__proc proc = { .root_fd = -1, .pid_fd = -1, .task_fd = -1 };
	struct mw__freeze f = { 0 };
	int fds[2];

	if (pipe(fds) < 0)
		return;
	pid_t target = fork();

	if (target == 0)
		be_sleeper(fds);
	for (int i = 0; i < 20000 && !is_uninterruptible(target); i++)
		usleep(1000);
	if (!is_uninterruptible(target) || mw__proc_open(&proc, NULL, target, NULL) < 0 || mw__freeze_begin(&proc, &f, NULL) < 0) {
		skip("a thread in uninterruptible sleep", "there is none here, or it may not be held");
	} else {
		is_int((long)f.unstopped, 1, "a thread in uninterruptible sleep is not held");
		mw__freeze_end(&f);
		is_int(write(fds[1], "", 1), 1, "its sleep ends");
		for (int i = 0; i < 20000 && shared->ready != 4; i++)
			usleep(1000);
		long before = shared->turns[0];

		for (int i = 0; i < 5000 && shared->turns[0] == before; i++)
			usleep(1000);
		ok(shared->turns[0] != before, "and it goes on, though who wanted to hold it lives on");
	}
	mw__proc_close(&proc);
	close(fds[0]);
	close(fds[1]);
	if (target > 0)
		kill(target, SIGKILL);
	waitpid(target, NULL, 0);
}

int main(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check_signals();
	check_threads();
	check_uninterruptible();
	return done_testing();
}
