/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * -- COMMAND: starts it, looks at it after a while, ends it. A command that ends sooner is caught by
 * ptrace(2) just before its memory goes (PTRACE_O_TRACEEXIT), so that a short program can be explained
 * too. Signals from the terminal reach it, not us; what it gets is passed on unchanged.
 */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct child {
	pid_t pid;
	bool traced, ended;
	int status;		/* when it ended */
	bool keeps_signals;	/* starts with mask, and with the dispositions that we have */
	sigset_t mask;
	int in, out;		/* its standard input and output; 0: ours */
	struct watch *watch;	/* or NULL */
};

/* The child: wait until the parent is ready, then become the command. */
static void become(const struct child *c, int ready, int report, char **argv)
{
	char byte;

	sigprocmask(SIG_SETMASK, &c->mask, NULL);
	if (!c->keeps_signals) {
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
	}
	if (read(ready, &byte, 1) != 1 || (c->in && dup2(c->in, STDIN_FILENO) < 0) ||
	    (c->out && dup2(c->out, STDOUT_FILENO) < 0))
		_exit(127);
	execvp(argv[0], argv);
	int error = errno;

	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Sleep until a child changes state, at most seconds. */
static void wait_change(double seconds)
{
	struct timespec ts = { .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (seconds > 0)
		sigtimedwait(&set, NULL, &ts);
}

/* Let a stopped child go on, with the signal that stopped it. True when it is about to end. */
static bool handle_stop(struct child *c, int status)
{
	int event = status >> 16, sig = WSTOPSIG(status);

	if (event == PTRACE_EVENT_EXIT)
		return true;
	if (event == PTRACE_EVENT_STOP && (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU))
		ptrace(PTRACE_LISTEN, c->pid, 0, 0);
	else
		ptrace(PTRACE_CONT, c->pid, 0, event ? 0 : sig);
	return false;
}

static void set_ended(struct child *c, int status)
{
	c->ended = true;
	c->status = status;
}

/* Until the time is over, or the child is about to end (then it is stopped). */
static void let_run(struct child *c, double seconds)
{
	double end = now() + seconds, left;

	while ((left = end - now()) > 0 && !c->ended) {
		int status;
		pid_t pid = waitpid(c->pid, &status, WNOHANG | __WALL);

		if (pid == 0)
			wait_change(left);
		else if (pid < 0 && errno != EINTR)
			return;
		else if (pid > 0 && !WIFSTOPPED(status))
			set_ended(c, status);
		else if (pid > 0 && handle_stop(c, status))
			return;
	}
}

/*
 * Ask it to end, then make it. One that is stopped on its way out must be let go first: no signal wakes it
 * there, not even SIGKILL. Whatever survives the deadline ends with us (PTRACE_O_EXITKILL).
 */
static void end_child(struct child *c)
{
	double deadline = now() + 2;
	int status;

	if (c->ended)
		return;
	kill(c->pid, SIGTERM);
	kill(c->pid, SIGCONT);
	if (c->traced)
		ptrace(PTRACE_CONT, c->pid, 0, 0);
	for (bool killed = false; now() < deadline + 2;) {
		pid_t pid = waitpid(c->pid, &status, WNOHANG | __WALL);

		if (pid < 0 || (pid > 0 && !WIFSTOPPED(status)))
			return;
		if (pid > 0)
			ptrace(PTRACE_CONT, c->pid, 0, status >> 16 ? 0 : WSTOPSIG(status));
		else if (!killed && now() > deadline)
			killed = kill(c->pid, SIGKILL) == 0;
		else
			wait_change(0.05);
	}
}

/* Trace it for its end, and let it exec. 0, or errno of exec. */
static int release(struct child *c, int ready, int report)
{
	struct tally *tally = c->watch ? c->watch->tally : NULL;
	int error = 0;

	if (c->watch && c->watch->at_start)
		c->watch->at_start(c->watch->ctx, c->pid);
	c->traced = ptrace(PTRACE_SEIZE, c->pid, 0, tally ? tally_options() : PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL) == 0;
	if (tally && !c->traced)
		return tally->error = errno;
	if (write(ready, "", 1) != 1)
		return EIO;
	/* end of file: the pipe was closed by a successful exec */
	return read(report, &error, sizeof(error)) == sizeof(error) ? error : 0;
}

static int start(struct child *c, char **argv)
{
	int ready[2], report[2];

	if (pipe2(ready, O_CLOEXEC) < 0)
		return errno;
	if (pipe2(report, O_CLOEXEC) < 0)
		return errno;
	c->pid = fork();
	if (c->pid < 0)
		return errno;
	if (c->pid == 0) {
		close(report[0]);
		become(c, ready[0], report[1], argv);
	}
	close(ready[0]);
	close(report[1]);
	int error = release(c, ready[1], report[0]);

	close(ready[1]);
	close(report[0]);
	return error;
}

int run_child(struct settings *s, char **argv, struct mw_snapshot **ret)
{
	struct child c = {};	/* mask: none blocked */
	struct mw_err err = {};
	sigset_t set, before;
	int code = EXIT_OK;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &before);
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	int error = start(&c, argv);

	if (error) {
		code = fail_text(EXIT_TARGET, NULL, "%s: start: %s", argv[0], strerror(error));
	} else {
		let_run(&c, s->after);
		if (c.ended)
			code = fail_text(EXIT_TARGET, "--after=SECONDS looks earlier", "%s: it ended before it could be looked at",
					 argv[0]);
		else if (mw_collect_pid(c.pid, &s->collect, ret, &err) < 0)
			code = fail(EXIT_TARGET, &err);
	}
	if (c.pid > 0)
		end_child(&c);
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return code;
}

/* ------------------------------------------------------------------ watching */

/* What others send us is meant for the command; what the terminal sends, it gets itself. */
static const int passed_on[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM };

static void watch_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		sigaddset(set, passed_on[i]);
}

/* Waits for a signal, at most seconds. */
static void pass_on(const struct child *c, const sigset_t *set, double seconds)
{
	struct timespec ts = { .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };
	siginfo_t info;
	int sig = sigtimedwait(set, &info, &ts);

	if (sig > 0 && sig != SIGCHLD && info.si_code <= 0)
		kill(c->pid, sig);
}

/* Until it ends; at_end is called once, while it stands still just before that. */
static void watch(struct child *c, const sigset_t *set, struct watch *w)
{
	double end = now() + w->timeout;
	bool told = !w->at_end;
	int status;

	while (!c->ended) {
		pid_t pid = waitpid(w->tally ? -1 : c->pid, &status, WNOHANG | __WALL);

		if (pid < 0 && errno != EINTR)
			return;
		if (pid == 0) {
			double left = w->timeout > 0 ? end - now() : 3600;

			if (left <= 0 && !w->timed_out)
				w->timed_out = kill(c->pid, SIGKILL) == 0;
			pass_on(c, set, left > 0 ? left : 1);
		} else if (pid == c->pid && !WIFSTOPPED(status)) {
			set_ended(c, status);
		} else if (pid > 0 && w->tally) {
			tally_stop(w->tally, pid, status);
		} else if (pid > 0 && handle_stop(c, status)) {
			if (!told)
				w->at_end(w->ctx, c->pid);
			told = true;
			ptrace(PTRACE_CONT, c->pid, 0, 0);
		}
	}
}

int watch_child(struct watch *w, int *status)
{
	struct child c = { .keeps_signals = true, .in = w->in, .out = w->out, .watch = w };
	sigset_t set;

	watch_set(&set);
	sigprocmask(SIG_BLOCK, &set, &c.mask);
	int error = start(&c, w->argv);

	if (error) {
		end_child(&c);
	} else {
		if (!c.traced)
			fail_text(0, NULL, "%s: it cannot be traced, so it cannot be looked at when it ends", w->argv[0]);
		watch(&c, &set, w);
		if (w->tally)
			tally_leave(w->tally);
		*status = c.status;
	}
	sigprocmask(SIG_SETMASK, &c.mask, NULL);
	return error;
}
