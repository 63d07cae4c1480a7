/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memwhy faults: records page faults of a command or a process, or reads a recording, and shows or exports it. */
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { OPT_FOR = 1000, OPT_TRACE, OPT_FOLDED, OPT_LIMIT, OPT_RECORDER, OPT_BUFFER, OPT_COLUMNS, OPT_SORT };

static const struct opt own[] = {
	{ 'p', "pid", "PID", ARG_PID, "record this process, until it ends or the recording is interrupted", NULL },
	{ OPT_FOR, "for", "SECONDS", ARG_NUMBER, "record for so long; a command is ended then", NULL },
	{ 'a', "all", NULL, ARG_NONE, "every row of every table", NULL },
	{ 'l', "list", NULL, ARG_NONE, "also every single fault: time, phase, thread, kind, address, what is there, by which function",
	  NULL },
	{ 'g', "stacks", NULL, ARG_NONE, "record the callers of each fault, by frame pointers; for --folded", NULL },
	{ 'o', "output", "FILE", ARG_FILE, "save the recording; memwhy faults FILE reads it", NULL },
	{ OPT_TRACE, "trace-events", "FILE", ARG_FILE, "write the faults as trace events, for chrome://tracing and Perfetto", NULL },
	{ OPT_FOLDED, "folded", "FILE", ARG_FILE, "write folded stacks, for flame graphs", NULL },
	{ OPT_COLUMNS, "columns", "COLUMNS", ARG_TEXT, "columns of the tables to print, +COLUMN adds one, help lists them", NULL },
	{ OPT_SORT, "sort", "KEY", ARG_TEXT, "sort the tables by a column, -KEY descending", NULL },
	{ OPT_LIMIT, "limit", "N", ARG_NUMBER, "keep N faults at most and only count further ones (default 16777216)", NULL },
	{ OPT_RECORDER, "recorder", "HOW", ARG_WORDS, "auto; samples: by perf samples; program: by a program in the kernel, which costs "
	  "less and needs CAP_BPF", "auto samples program" },
	{ OPT_BUFFER, "buffer", "KIB", ARG_NUMBER, "size of the buffer of each processor (default 2048, or what is allowed)", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_print, NULL };

struct request {
	struct mw_faults_opts record;
	struct mw_faults_report_opts report;
	const char *save, *trace_events, *folded;
	struct mw_recording *recording;
};

/* ---------------------------------------------------------------- recording */

/* Ctrl-C ends the recording, not the report: a descriptor that can be read when it comes. */
static int watch_interrupts(sigset_t *before)
{
	struct sigaction hangup;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, before);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* One event a thread, processor and kind: hundreds of threads need more descriptors than the soft limit gives. */
static void raise_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur == lim.rlim_max)
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}

static int attach(struct request *q, pid_t pid, struct mw_recording **ret, struct mw_err *err)
{
	sigset_t before;
	int fd = watch_interrupts(&before);

	raise_limit();
	q->record.stop_fd = fd;
	if (!q->record.max_ns && isatty(STDERR_FILENO))
		fprintf(stderr, "memwhy: recording pid %d, Ctrl-C ends it\n", pid);
	int rc = mw_faults_attach(pid, &q->record, ret, err);

	if (fd >= 0) {
		struct signalfd_siginfo info;

		while (read(fd, &info, sizeof(info)) > 0)
			;
		close(fd);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static int ending = -1;	/* an eventfd: what is to end the recording of a command */

static void do_nothing(int sig)
{
	(void)sig;
}

static void end_recording(int sig)
{
	const uint64_t one = 1;
	int saved = errno;

	if (write(ending, &one, sizeof(one)) < 0)
		(void)sig;
	errno = saved;
}

/* A command does not inherit this, as it would inherit that a signal is ignored. */
static sighandler_t handle(int sig, sighandler_t by)
{
	sighandler_t before = signal(sig, by);

	if (before == SIG_IGN)
		signal(sig, SIG_IGN);
	return before;
}

/*
 * Ctrl-C is for the command, which has the terminal; its end is what ends the recording. What others send us to end us
 * ends the recording as its time does: the command is asked to end, and what was recorded is kept.
 */
static int run_command(struct request *q, char **argv, struct mw_recording **ret, struct mw_err *err)
{
	ending = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->record.stop_fd = ending;
	sighandler_t interrupt = handle(SIGINT, do_nothing), quit = handle(SIGQUIT, do_nothing);
	sighandler_t hangup = handle(SIGHUP, end_recording), term = handle(SIGTERM, end_recording);
	int rc = mw_faults_run(argv, &q->record, ret, err);

	signal(SIGINT, interrupt);
	signal(SIGQUIT, quit);
	signal(SIGHUP, hangup);
	signal(SIGTERM, term);
	close(ending);
	return rc;
}

/* How many exports go to standard output. */
static int count_stdout(const struct request *q)
{
	const char *files[] = { q->save, q->trace_events, q->folded };
	int n = 0;

	for (size_t i = 0; i < COUNT(files); i++)
		n += files[i] && !strcmp(files[i], "-");
	return n;
}

static int get_recording(struct request *q, const struct settings *s, int argc, char **argv, struct mw_recording **ret)
{
	const char *files[] = { q->save, q->trace_events, q->folded };
	struct mw_err err = {};
	pid_t pid = s->pid;
	int rc;

	if (count_stdout(q) > 1)
		return fail_text(EXIT_USAGE, "only one of --output, --trace-events and --folded can be -", "-: two outputs into one");
	for (size_t i = 0; i < COUNT(files); i++)
		if (try_output(files[i]))
			return EXIT_TARGET;
	if (argc > 0 && is_command(s, argv))
		rc = run_command(q, argv, ret, &err);
	else if (argc + (s->pid != 0) != 1)
		return fail_text(EXIT_USAGE, "memwhy faults -p PID, memwhy faults -- COMMAND, or memwhy faults FILE",
				 argc ? "one target at a time" : "no target given");
	else if (!pid && (rc = get_pid(argv[0], &pid)))
		return rc;
	else if (pid)
		rc = attach(q, pid, ret, &err);
	else
		rc = mw_faults_open(argv[0], ret, &err);
	return rc < 0 ? fail(EXIT_TARGET, &err) : EXIT_OK;
}

/* ---------------------------------------------------------------- exporting */

static int export(const struct mw_recording *rec, const char *path,
		  int (*write)(const struct mw_recording *, const struct mw_sink *, struct mw_err *))
{
	struct output out;
	struct mw_err err = {};
	int code = path ? open_output(&out, path) : EXIT_OK;

	return code || !path ? code : close_output(&out, write(rec, &out.sink, &err), &err);
}

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	const struct request *q = ctx;

	(void)snap;
	return mw_report_faults(q->recording, &q->report, ret, err);
}

static int show(struct request *q, const struct settings *s)
{
	/* one that fails is told; the others and the report are written all the same */
	const int codes[] = { export(q->recording, q->save, mw_faults_save),
			      export(q->recording, q->trace_events, mw_faults_trace_events),
			      export(q->recording, q->folded, mw_faults_folded),
			      count_stdout(q) ? EXIT_OK : print_report(s, NULL, report, q) };
	int code = EXIT_OK;

	for (size_t i = 0; i < COUNT(codes) && !code; i++)
		code = codes[i];
	return code;
}

/* ------------------------------------------------------------------ options */

static bool set_recorder(struct request *q, const char *arg)
{
	static const char *const names[] = { [MW_FAULTS_AUTO] = "auto", [MW_FAULTS_SAMPLES] = "samples",
					     [MW_FAULTS_PROGRAM] = "program", NULL };
	int i;

	if (!take_word("recorder", arg, names, &i))
		return false;
	q->record.recorder = (enum mw_faults_recorder)i;
	return true;
}

static bool set_option(struct request *q, struct settings *s, int id, const char *arg)
{
	double v;

	switch (id) {
	case OPT_FOR:
		if (!take_number("for", arg, 0.001, 864000, &v))
			return false;
		q->record.max_ns = (uint64_t)(v * 1e9);
		return true;
	case OPT_LIMIT:
		if (!take_number("limit", arg, 1, 1e9, &v))
			return false;
		q->record.limit = (uint64_t)v;
		return true;
	case OPT_BUFFER:
		if (!take_number("buffer", arg, 4, 1 << 20, &v))
			return false;
		q->record.buffer = (uint64_t)v << 10;
		return true;
	case OPT_RECORDER:
		return set_recorder(q, arg);
	case 'p':
		if (!take_whole("pid", arg, 1, PID_LIMIT, &v))
			return false;
		s->pid = (pid_t)v;
		return true;
	case 'a': q->report.all = true; return true;
	case 'l': q->report.list = true; return true;
	case 'g': q->record.stacks = true; return true;
	case 'o': q->save = arg; return true;
	case OPT_TRACE: q->trace_events = arg; return true;
	case OPT_FOLDED: q->folded = arg; return true;
	case OPT_COLUMNS: s->text.columns = arg; return true;
	case OPT_SORT: s->text.sort = arg; return true;
	default: return false;
	}
}

static int run(int argc, char **argv)
{
	struct request q = { .record = { .size = sizeof(q.record) }, .report = { .size = sizeof(q.report) } };
	struct settings s;
	const char *arg;

	init_settings(&s);
	for (int id; (id = next_option(&cmd_faults, argc, argv, &s, &arg)) != -1;)
		if (id < 0 || !set_option(&q, &s, id, arg))
			return EXIT_USAGE;
	int code = get_recording(&q, &s, argc - optind, argv + optind, &q.recording);

	if (code)
		return code;
	code = show(&q, &s);
	mw_recording_destroy(q.recording);
	return code;
}

const struct command cmd_faults = {
	.name = "faults",
	.summary = "Records page faults, from execve on: what brought memory in",
	.usage = "faults [OPTION]... -- COMMAND... | -p PID | FILE",
	.examples = "  memwhy faults -- ls               from its first instruction to its end\n"
		    "  memwhy faults -p 4242 --for=5     what a running process faults in 5 seconds\n"
		    "  memwhy faults -o ls.faults --folded=ls.folded -- ls\n"
		    "  memwhy faults --list ls.faults    read a saved recording\n",
	.tables = tables,
	.takes_target = true,
	.run = run,
};
