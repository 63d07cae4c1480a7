/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The recorded command. It waits on a pipe until its events are armed, so that not one fault after its
 * execve is missed. ptrace(2) stops it twice: behind execve, where no instruction of it has run, and just
 * before its memory goes, so that the pages can be looked at. Only one thread is traced: the first, and when it ends
 * before the others, one of these, which takes its place if it is just executing a program. No thread is held while
 * another is seized: seizing waits for an execve under way, and that for the end of all other threads. Whether a
 * thread is the last cannot be told when it ends, for the others may end while it is held: each may be.
 */
#include "trace.h"

#include "../base/cleanup.h"
#include "../base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Ends, when it is asked to, within this time; then it is made to. */
#define GRACE_MS 2000
/* A thread that was killed with the others shows it after so many looks at the latest, half a ms apart. */
#define DYING_LOOKS 20
/* A tenth of a ms apart: an execve under way waits for all other threads. */
#define SEIZE_TRIES 1000
#define PF_EXITING 4u		/* Linux, include/linux/sched.h */
#define OPTIONS (PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL)

static void become(int ready, int report, char *const argv[], const sigset_t *mask)
{
	char byte;

	sigprocmask(SIG_SETMASK, mask, NULL);
	if (read(ready, &byte, 1) != 1)
		_exit(127);
	execvp(argv[0], argv);
	int error = errno;

	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

static void close_pair(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

int mw__child_start(struct mw__child *c, char *const argv[], const sigset_t *mask, struct mw_err *err)
{
	int ready[2], report[2];

	memset(c, 0, sizeof(*c));
	c->pid = -1;
	if (pipe2(ready, O_CLOEXEC) < 0)
		return mw__fail(err, MW_E_OS, errno, "%s: start", argv[0]);
	if (pipe2(report, O_CLOEXEC) < 0) {
		int error = errno;

		close_pair(ready);
		return mw__fail(err, MW_E_OS, error, "%s: start", argv[0]);
	}
	c->pid = fork();
	if (c->pid == 0) {
		close(report[0]);
		close(ready[1]);
		become(ready[0], report[1], argv, mask);
	}
	int error = errno;

	close(ready[0]);
	close(report[1]);
	c->ready = ready[1];
	c->report = report[0];
	if (c->pid > 0)
		return 0;
	close(c->ready);
	close(c->report);
	return mw__fail(err, MW_E_OS, error, "%s: start", argv[0]);
}

int mw__child_release(struct mw__child *c, const char *name, struct mw_err *err)
{
	int error = 0;

	c->traced = ptrace(PTRACE_SEIZE, c->pid, 0, OPTIONS) == 0;
	c->tid = c->pid;
	if (write(c->ready, "", 1) != 1)
		error = errno;
	/* end of file: the pipe was closed by a successful exec */
	else if (read(c->report, &error, sizeof(error)) != sizeof(error))
		error = 0;
	close(c->ready);
	close(c->report);
	return error ? mw__fail(err, error == ENOENT ? MW_E_NOT_FOUND : MW_E_OS, error, "%s: start", name) : 0;
}

/* Stopped for another reason than ours: let it go on, with the signal that stopped it. */
static void pass_on(pid_t pid, int status)
{
	int event = status >> 16, sig = WSTOPSIG(status);

	if (event == PTRACE_EVENT_STOP && (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU))
		ptrace(PTRACE_LISTEN, pid, 0, 0);
	else
		ptrace(PTRACE_CONT, pid, 0, event ? 0 : sig);
}

/* ------------------------------------------------------------ other threads */

enum life { ENDED, ENDING, ALIVE };

/* Field 3 of its stat is the state, field 9 the flags. */
static enum life life_of(pid_t pid, pid_t tid)
{
	char path[64], text[512], state;
	unsigned flags;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	MW_CLEANUP(mw__closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	text[n > 0 ? n : 0] = '\0';
	const char *behind_name = strrchr(text, ')');

	if (!behind_name || sscanf(behind_name + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2 || state == 'Z' || state == 'X')
		return ENDED;
	return flags & PF_EXITING ? ENDING : ALIVE;
}

/* The most alive of the threads but tid. */
static enum life find_other(const struct mw__child *c, pid_t tid, pid_t *ret)
{
	enum life most = ENDED;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/task", c->pid);
	DIR *dir = opendir(path);

	for (struct dirent *e; dir && most != ALIVE && (e = readdir(dir));) {
		pid_t other = (pid_t)strtol(e->d_name, NULL, 10);
		enum life life = other > 0 && other != tid ? life_of(c->pid, other) : ENDED;

		if (life > most) {
			most = life;
			*ret = other;
		}
	}
	if (dir)
		closedir(dir);
	return most;
}

/* Whether tid, which is about to end, is the last, or another one lives on; others that were killed with it are waited for. */
static bool is_last(const struct mw__child *c, pid_t tid, pid_t *other)
{
	const struct timespec pause = { .tv_nsec = 500000 };
	enum life life = find_other(c, tid, other);

	for (int i = 0; i < DYING_LOOKS && life != ENDED; i++) {
		nanosleep(&pause, NULL);
		life = find_other(c, tid, other);
	}
	return life != ALIVE;
}

/* It has the number of the first thread, and not its own any more, from the middle of an execve on. */
static bool seize(struct mw__child *c, pid_t other)
{
	char path[64];

	if (ptrace(PTRACE_SEIZE, other, 0, OPTIONS) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task/%d", c->pid, other);
	c->is_renewed = other == c->pid || access(path, F_OK) < 0;
	c->tid = c->is_renewed ? c->pid : other;
	return true;
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = {};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid;
}

/* Let tid end, and trace another. What that has executed since is told by a stop. */
static void trace_other(struct mw__child *c, pid_t tid, pid_t other)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	int status;

	ptrace(PTRACE_CONT, tid, 0, 0);
	if (tid != c->pid)
		while (waitpid(tid, &status, __WALL) < 0 && errno == EINTR)
			;
	c->tid = c->pid;
	for (int i = 0; i < SEIZE_TRIES && !seize(c, other) && !has_ended(c->pid); i++) {
		if (i)
			nanosleep(&pause, NULL);
		if (find_other(c, tid, &other) != ALIVE)
			other = c->pid;
	}
	if (c->is_renewed)
		ptrace(PTRACE_INTERRUPT, c->pid, 0, 0);
}

/* ------------------------------------------------------------------- events */

/* As waitpid(2), of the first thread and of the traced one. */
static pid_t wait_for(struct mw__child *c, int *status)
{
	pid_t pid = c->tid != c->pid ? waitpid(c->tid, status, WNOHANG | __WALL) : 0;

	if (pid < 0 && errno == ECHILD)
		c->tid = c->pid;	/* it executed a program, and has the number of the first */
	return pid > 0 ? pid : waitpid(c->pid, status, WNOHANG | __WALL);
}

enum mw__child_event mw__child_poll(struct mw__child *c)
{
	int status;

	for (;;) {
		pid_t pid = c->ended ? -1 : wait_for(c, &status);

		if (pid < 0 && !c->ended && errno == EINTR)
			continue;
		if (pid < 0) {
			if (!c->ended)
				c->pid = -1;	/* somebody else waited for it: the number may be another's by now */
			return MW__CHILD_ENDED;
		}
		if (pid == 0)
			return MW__CHILD_NOTHING;
		int event = WIFSTOPPED(status) ? status >> 16 : 0;

		if (!WIFSTOPPED(status) && pid == c->pid) {
			c->ended = true;
			c->status = status;
			return MW__CHILD_ENDED;
		}
		c->stopped = pid;
		if (event == PTRACE_EVENT_EXEC) {
			c->is_renewed = false;
			return MW__CHILD_EXEC;
		}
		if (event == PTRACE_EVENT_STOP && c->is_renewed) {
			c->is_renewed = false;
			return MW__CHILD_RENEWED;
		}
		c->is_ending = event == PTRACE_EVENT_EXIT;
		if (c->is_ending)
			return MW__CHILD_ENDING;
		if (WIFSTOPPED(status))
			pass_on(pid, status);
		else
			c->tid = c->pid;
	}
}

void mw__child_continue(struct mw__child *c)
{
	pid_t other;

	if (c->is_ending)
		c->was_last = is_last(c, c->stopped, &other);
	if (c->is_ending && !c->was_last)
		trace_other(c, c->stopped, other);
	else
		ptrace(PTRACE_CONT, c->stopped, 0, 0);
	c->is_ending = false;
}

void mw__child_end(struct mw__child *c)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	if (c->pid <= 0 || c->ended)
		return;
	kill(c->pid, SIGTERM);
	kill(c->pid, SIGCONT);
	for (int ms = 0;; ms += 5) {
		enum mw__child_event e = mw__child_poll(c);

		if (e == MW__CHILD_ENDED)
			return;
		if (e != MW__CHILD_NOTHING)
			mw__child_continue(c);
		if (ms == GRACE_MS)
			kill(c->pid, SIGKILL);
		if (ms > 2 * GRACE_MS)
			return;
		nanosleep(&pause, NULL);
	}
}
