/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * -- COMMAND: starts it, looks at it after a while, ends it. A command that ends sooner is caught by
 * ptrace(2) just before its memory goes (PTRACE_O_TRACEEXIT), so that a short program can be explained
 * too. Signals from the terminal reach it, not us; what it gets is passed on unchanged.
 */
#include "cmd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define END_SECONDS 2	/* for what is to end, before it is made to; and for what it leaves */

struct child {
	pid_t pid;
	bool traced, ended;
	bool by_thread;		/* its threads are traced one by one */
	bool told;		/* its end has been looked at */
	bool stopped, stop_it;	/* it stands still; the terminal wants us both to */
	int status;		/* when it ended */
	sigset_t mask;		/* of signals, that it starts with */
	sighandler_t interrupt, quit;	/* likewise what SIGINT and SIGQUIT do; SIG_ERR: as with us */
	sighandler_t child;	/* and SIGCHLD: where it is ignored, how a child ended is not told */
	int in, out;		/* its standard input and output; 0: ours */
	struct watch *watch;	/* or NULL */
	pid_t *strangers;	/* children of ours that it has not started, 0 ends them; NULL: not known */
};

/* The child: wait until the parent is ready, then become the command. */
static void become(const struct child *c, int ready, int report, char **argv)
{
	char byte;

	sigprocmask(SIG_SETMASK, &c->mask, NULL);
	if (c->interrupt != SIG_ERR)
		signal(SIGINT, c->interrupt);
	if (c->quit != SIG_ERR)
		signal(SIGQUIT, c->quit);
	signal(SIGCHLD, c->child);
	if (read(ready, &byte, 1) != 1 || (c->in && dup2(c->in, STDIN_FILENO) < 0) ||
	    (c->out && dup2(c->out, STDOUT_FILENO) < 0))
		_exit(127);
	execvp(argv[0], argv);
	int error = errno;

	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

const char foreign_hint[] = "mount -t proc proc /proc, or run memwhy in the namespace of the mounted one";

bool is_proc_foreign(void)
{
	char link[16] = "", own[16];
	struct statfs fs;

	snprintf(own, sizeof(own), "%d", getpid());
	return statfs("/proc", &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC &&
	       (readlink("/proc/self", link, sizeof(link) - 1) < 0 || strcmp(link, own) != 0);
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

/* Is it to stand still until it is told to go on? */
static bool note_stop(struct child *c, pid_t task, int status)
{
	bool stopped = status >> 16 == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP;

	if (task == c->pid)
		c->stopped = stopped;
	return stopped;
}

/* Let a stopped task go on, with the signal that stopped it. True when it is about to end. */
static bool handle_stop(struct child *c, pid_t task, int status)
{
	int event = status >> 16;

	if (event == PTRACE_EVENT_EXIT)
		return true;
	if (note_stop(c, task, status))
		ptrace(PTRACE_LISTEN, task, 0, 0);
	else
		ptrace(PTRACE_CONT, task, 0, event ? 0 : WSTOPSIG(status));
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
		else if (pid > 0 && handle_stop(c, pid, status))
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

	if (c->ended || c->pid <= 0)	/* it was never started: kill(2) would take that for many others */
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
	int ready[2] = { -1, -1 }, report[2] = { -1, -1 }, error = 0;

	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0 || (c->pid = fork()) < 0)
		error = errno;
	if (!error && c->pid == 0) {
		close(ready[1]); /* so that it ends when the parent does */
		close(report[0]);
		become(c, ready[0], report[1], argv);
	}
	close(ready[0]);
	close(report[1]);
	if (!error)
		error = release(c, ready[1], report[0]);
	close(ready[1]);
	close(report[0]);
	return error;
}

int run_child(struct settings *s, char **argv, struct mw_snapshot **ret)
{
	struct child c = {};
	struct mw_err err = {};
	sigset_t set;
	int code = EXIT_OK;

	if (is_proc_foreign())
		return fail_text(EXIT_TARGET, foreign_hint, "%s: look at it: this /proc belongs to another pid namespace", argv[0]);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &c.mask);
	c.interrupt = signal(SIGINT, SIG_IGN);
	c.quit = signal(SIGQUIT, SIG_IGN);
	c.child = signal(SIGCHLD, SIG_DFL);
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
	end_child(&c);
	signal(SIGINT, c.interrupt);
	signal(SIGQUIT, c.quit);
	signal(SIGCHLD, c.child);
	sigprocmask(SIG_SETMASK, &c.mask, NULL);
	return code;
}

/* ------------------------------------------------------------------ watching */

/* Not these: ours alone, or what our own mistakes raise. */
static const int kept[] = { SIGCHLD, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };

static void watch_set(sigset_t *set)
{
	sigfillset(set);
	for (size_t i = 0; i < COUNT(kept); i++)
		sigdelset(set, kept[i]);
	sigaddset(set, SIGCHLD);
}

/* Would it, if it were not blocked? Who started us may have it ignored, as nohup(1) does. */
static bool ends_us(int sig)
{
	struct sigaction now;

	return (sig == SIGINT || sig == SIGTERM || sig == SIGHUP || sig == SIGQUIT) && sigaction(sig, NULL, &now) == 0 &&
	       now.sa_handler != SIG_IGN;
}

/* What others send us is meant for the command; what the terminal sends, it gets itself. Waits at most seconds. */
static void pass_on(struct child *c, const sigset_t *set, double seconds)
{
	struct timespec ts = { .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };
	siginfo_t info;
	int sig = sigtimedwait(set, &info, &ts);

	if (sig <= 0 || sig == SIGCHLD)
		return;
	if (c->watch->is_ours && ends_us(sig))
		c->watch->ended_by = sig;
	if (info.si_code > 0)
		c->stop_it |= sig == SIGTSTP;
	else if (info.si_code == SI_QUEUE)
		sigqueue(c->pid, sig, info.si_value);
	else
		kill(c->pid, sig);
}

/* Who stopped it may let it go on without telling us; that is seen only if we do not stop. */
static void stop_too(struct child *c, const struct watch *w)
{
	if (!c->stopped || (!c->stop_it && !w->stops_too))
		return;
	raise(SIGSTOP);
	c->stopped = c->stop_it = false;
}

/* Is a task on its way out: gone, exiting, stopped there for us, or killed with the others by exit_group(2)? */
static bool is_leaving(pid_t pid, const char *task)
{
	unsigned long flags = 0;
	unsigned long long pending = 0;
	char path[64], line[1024] = "", state = 'X';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", pid, task);
	f = fopen(path, "re");
	const char *end = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;

	if (f)
		fclose(f);
	if (!end || sscanf(end + 1, " %c %*d %*d %*d %*d %*d %lu", &state, &flags) != 2 || strchr("ZXt", state) || flags & 4 /* PF_EXITING */)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, task);
	f = fopen(path, "re");
	if (!f)
		return true;
	while (fgets(line, sizeof(line), f) && sscanf(line, "SigPnd: %llx", &pending) != 1)
		;
	fclose(f);
	return pending >> (SIGKILL - 1) & 1;
}

/*
 * How many tasks stay when this one has ended; with seize, they are traced from now on. Then one
 * may have its number: the thread that executes a program gets that of the first.
 */
static unsigned count_staying(const struct child *c, pid_t ending, bool seize)
{
	unsigned n = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task", c->pid);
	DIR *dir = opendir(path);

	for (struct dirent *e; dir && (e = readdir(dir));) {
		pid_t task = (pid_t)strtol(e->d_name, NULL, 10);

		if (task <= 0 || (task == ending && !seize) || is_leaving(c->pid, e->d_name))
			continue;
		if (seize && ptrace(PTRACE_SEIZE, task, 0, PTRACE_O_TRACEEXIT | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL) < 0 &&
		    task == ending)
			continue; /* it is traced already */
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

static void pause_us(unsigned us)
{
	nanosleep(&(struct timespec){ .tv_nsec = us * 1000l }, NULL);
}

/* A task that exit_group(2) is about to kill looks for a moment as if it stayed: 5 ms are waited for that. */
static bool is_last(const struct child *c, pid_t task)
{
	for (unsigned ms = 0; ms < 5; ms++) {
		if (!count_staying(c, task, false))
			return true;
		pause_us(1000);
	}
	return false;
}

/*
 * Who is left when a task may go on: the one that executes a program is to be found before that program ends, so
 * the first looks follow each other at once; then 10 ms are waited until its number has changed, or all have ended.
 */
#define LOOKS_AT_ONCE 20u
#define LOOKS_WITH_PAUSE 20u
#define LOOK_PAUSE_US 500u

/*
 * A task is about to end. The memory goes with the last one, but the first may end before others do, or
 * because another one executes a program: then they are traced one by one. Not before this one may go on:
 * tracing waits for the end of an execve(2), which waits for this task. So what is seen now may be the last.
 */
static void handle_end(struct child *c, struct watch *w, pid_t task)
{
	bool last = !w->at_end || c->told || is_last(c, task);

	if (w->at_end && !c->told && (last || task == c->pid))
		w->at_end(w->ctx, task);
	c->told = last;
	ptrace(PTRACE_CONT, task, 0, 0);
	if (last)
		return;
	c->by_thread = true;
	for (unsigned before = 0, n, misses = 0; misses < LOOKS_AT_ONCE + LOOKS_WITH_PAUSE; before = n) {
		n = count_staying(c, task, true);
		if (n && n <= before)
			break;	/* all of them are traced */
		if (!n && ++misses > LOOKS_AT_ONCE)
			pause_us(LOOK_PAUSE_US);
	}
}

/* Our children by /proc, 0 ends them; free() it. NULL: they cannot be told. */
static pid_t *list_children(void)
{
	DIR *dir = is_proc_foreign() ? NULL : opendir("/proc");
	pid_t *all = dir ? calloc(1, sizeof(*all)) : NULL;
	size_t n = 0;

	for (struct dirent *e; all && (e = readdir(dir));) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
		char path[64], line[1024] = "";
		int parent;

		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		FILE *f = pid > 0 ? fopen(path, "re") : NULL;
		const char *end = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;

		if (f)
			fclose(f);
		if (!end || sscanf(end + 1, " %*c %d", &parent) != 1 || parent != getpid())
			continue;
		pid_t *more = realloc(all, (n + 2) * sizeof(*all));

		if (!more) {
			free(all);
			all = NULL;
			break;
		}
		all = more;
		all[n++] = pid;
		all[n] = 0;
	}
	if (dir)
		closedir(dir);
	return all;
}

static bool is_among(const pid_t *pids, pid_t pid)
{
	while (*pids && *pids != pid)
		pids++;
	return *pids != 0;
}

/* Send SIGKILL to what came to us; false when there is nothing. */
static bool kill_left(const struct child *c)
{
	pid_t *all = c->strangers ? list_children() : NULL;
	bool any = false;

	for (size_t i = 0; all && all[i]; i++)
		if (!is_among(c->strangers, all[i])) {
			kill(all[i], SIGKILL);
			any = true;
		}
	free(all);
	return any;
}

/* It was killed, and what it had started came to us: that goes too, or it would disturb what is measured next. */
static void end_left(struct child *c)
{
	double deadline = now() + END_SECONDS;

	for (pid_t pid; now() < deadline && (pid = waitpid(-1, NULL, WNOHANG | __WALL)) >= 0;)
		if (pid == 0 && !kill_left(c))
			break;
		else if (pid == 0)
			pause_us(1000);
	free(c->strangers);
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

/* Children that we have already are not the command's: whoever executed us may have started them before. */
static bool end_at_deadline(struct child *c)
{
	c->strangers = list_children();
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	return kill(c->pid, SIGKILL) == 0;
}

/* Until it ends. */
static void watch(struct child *c, const sigset_t *set, struct watch *w)
{
	double end = w->timeout > 0 ? now() + w->timeout : INFINITY;
	bool killed = false;
	int status;

	while (!c->ended) {
		pid_t pid = waitpid(w->tally || c->by_thread ? -1 : c->pid, &status, WNOHANG | __WALL);

		if (pid < 0 && errno != EINTR)
			return;
		if (pid == 0) {
			double left = end - now();

			if (left <= 0 && !killed) {
				killed = end_at_deadline(c);
				w->timed_out = !w->ended_by;
			}
			stop_too(c, w);
			pass_on(c, set, left > 3600 ? 3600 : left > 0 ? left : 1);
			if (w->ended_by && end > now() + END_SECONDS)
				end = now() + END_SECONDS;
		} else if (pid == c->pid && !WIFSTOPPED(status)) {
			set_ended(c, status);
		} else if (pid > 0 && w->tally) {
			note_stop(c, pid, status);
			tally_stop(w->tally, pid, status);
		} else if (pid > 0 && WIFSTOPPED(status) && handle_stop(c, pid, status)) {
			handle_end(c, w, pid);
		}
	}
	if (killed)
		end_left(c);
}

int watch_child(struct watch *w, int *status)
{
	struct child c = { .interrupt = SIG_ERR, .quit = SIG_ERR, .in = w->in, .out = w->out, .watch = w };
	sigset_t set;

	if (is_proc_foreign())
		w->at_end = NULL;	/* which is told numbers of it; nor are threads listed */
	watch_set(&set);
	sigprocmask(SIG_BLOCK, &set, &c.mask);
	c.child = signal(SIGCHLD, SIG_DFL);
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
	signal(SIGCHLD, c.child);
	sigprocmask(SIG_SETMASK, &c.mask, NULL);
	return error;
}

int end_by(int sig)
{
	const struct rlimit none = { 0, 0 };
	sigset_t set;

	setrlimit(RLIMIT_CORE, &none);
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return 128 + sig;
}
