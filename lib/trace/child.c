/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The recorded command. It waits on a pipe until its events are armed, so that not one fault after its
 * execve is missed. ptrace(2) stops it twice: behind execve, where no instruction of it has run, and just
 * before its memory goes, so that the pages can be looked at. Only its first thread is traced.
 */
#include "trace.h"

#include "../base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Ends, when it is asked to, within this time; then it is made to. */
#define GRACE_MS 2000

static void become(int ready, int report, char *const argv[])
{
	sigset_t none;
	char byte;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
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

int mw__child_start(struct mw__child *c, char *const argv[], struct mw_err *err)
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
		become(ready[0], report[1], argv);
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

	c->traced = ptrace(PTRACE_SEIZE, c->pid, 0,
			   PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL) == 0;
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
static void pass_on(struct mw__child *c, int status)
{
	int event = status >> 16, sig = WSTOPSIG(status);

	if (event == PTRACE_EVENT_STOP && (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU))
		ptrace(PTRACE_LISTEN, c->pid, 0, 0);
	else
		ptrace(PTRACE_CONT, c->pid, 0, event ? 0 : sig);
}

enum mw__child_event mw__child_poll(struct mw__child *c)
{
	int status;

	for (;;) {
		pid_t pid = c->ended ? -1 : waitpid(c->pid, &status, WNOHANG | __WALL);

		if (pid < 0 && !c->ended && errno == EINTR)
			continue;
		if (pid < 0)
			return MW__CHILD_ENDED;
		if (pid == 0)
			return MW__CHILD_NOTHING;
		if (!WIFSTOPPED(status)) {
			c->ended = true;
			c->status = status;
			return MW__CHILD_ENDED;
		}
		if (status >> 16 == PTRACE_EVENT_EXEC)
			return MW__CHILD_EXEC;
		if (status >> 16 == PTRACE_EVENT_EXIT)
			return MW__CHILD_ENDING;
		pass_on(c, status);
	}
}

void mw__child_continue(struct mw__child *c)
{
	ptrace(PTRACE_CONT, c->pid, 0, 0);
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
