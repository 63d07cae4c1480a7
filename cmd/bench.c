/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Allocators side by side. In each round every workload runs once under every allocator, which is preloaded,
 * and once more under the C library's own, which tells how much the machine scatters; the order rotates from
 * round to round. A built-in workload is another copy of this command, which measures itself; what it says is
 * its own CPU time without that of starting. A command is measured from outside: CPU time and faults with all
 * its children, and the largest RSS of itself, taken just before its memory goes.
 */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ALLOCATORS 16
#define MAX_WORKLOADS 32
#define BASE "glibc"
#define CONTROL "glibc again"

enum { OPT_WITH = 1000, OPT_ONLY, OPT_ROUNDS, OPT_SCALE, OPT_LIST, OPT_LIB, OPT_SERVE, OPT_TIMEOUT, OPT_COUNT };

static const struct opt own[] = {
	{ 'w', "workload", "NAMES", ARG_TEXT, "only these built-in workloads, separated by commas", NULL },
	{ OPT_LIST, "list", NULL, ARG_NONE, "list the built-in workloads and the allocators that are there", NULL },
	{ OPT_ONLY, "only", "NAMES", ARG_TEXT, "only these allocators beside glibc, separated by commas", NULL },
	{ OPT_WITH, "with", "NAME=PATH", ARG_TEXT, "also the allocator in this library; may be given again", NULL },
	{ OPT_ROUNDS, "rounds", "N", ARG_NUMBER, "how often each is run, up to 100 (default 5)", NULL },
	{ OPT_SCALE, "scale", "FACTOR", ARG_NUMBER, "built-in workloads do so many times their work (default 1)", NULL },
	{ OPT_TIMEOUT, "timeout", "SECONDS", ARG_NUMBER, "end a run that takes longer, and leave it out (default 60 for built-in "
	  "workloads, none for a command)", NULL },
	{ OPT_LIB, "lib", "PATH", ARG_FILE, "our allocator, instead of the one beside this command", NULL },
	{ OPT_SERVE, "serve", "NAME", ARG_TEXT, "only be this workload, and print what it measured of itself", NULL },
	{ OPT_COUNT, "count", NULL, ARG_NONE, "with --serve: only print the most bytes that the workload holds at once", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_print, NULL };

struct allocator {
	char name[64];
	char path[PATHS];	/* "": the C library's */
};

struct bench {
	struct settings s;
	struct allocator allocators[MAX_ALLOCATORS];
	size_t n_allocators;
	const char *workloads[MAX_WORKLOADS];
	size_t n_workloads;
	char **command;		/* NULL: the built-in ones */
	const char *chosen, *only, *lib, *serve;
	const char *with[MAX_ALLOCATORS];
	size_t n_with;
	double rounds, scale, timeout;
	bool list, count;
	uint64_t held[MAX_WORKLOADS];	/* the most bytes that each workload holds; MW_UNKNOWN */
	struct mw_bench_run *runs;
	size_t n_runs;
	struct mw_bench_calls *calls;
	size_t n_calls;
	char no_calls[256];	/* why system calls could not be counted, or "" */
	unsigned failures;
	int ended_by;		/* the signal by which the user ends it all, or 0 */
	char scale_text[32];
	char *old_preload;	/* LD_PRELOAD as it was, or NULL */
};

/* --------------------------------------------------------------- what to run */

/* Steps through a list separated by commas: its next name, which is not terminated, or NULL after the last. */
static const char *next_name(const char **list, size_t *len)
{
	const char *name = *list;

	if (!name || !*name)
		return NULL;
	*len = strcspn(name, ",");
	*list = name + *len + (name[*len] == ',');
	return name;
}

/* No list holds every name. */
static bool is_listed(const char *list, const char *name)
{
	bool found = !list;
	size_t len;

	for (const char *at; !found && (at = next_name(&list, &len));)
		found = len == strlen(name) && !memcmp(at, name, len);
	return found;
}

static int add_allocator(struct bench *b, const char *name, const char *path)
{
	if (b->n_allocators == MAX_ALLOCATORS)
		return fail_text(EXIT_USAGE, NULL, "bench: more than %d allocators", MAX_ALLOCATORS);
	struct allocator *a = &b->allocators[b->n_allocators++];

	snprintf(a->name, sizeof(a->name), "%s", name);
	snprintf(a->path, sizeof(a->path), "%s", path);
	return 0;
}

struct known {
	const char *name, *file;
};
static const struct known installed[] = {
	{ "jemalloc", "libjemalloc.so.2" },	{ "tcmalloc", "libtcmalloc_minimal.so.4" }, { "tcmalloc", "libtcmalloc.so.4" },
	{ "mimalloc", "libmimalloc.so.3" },	{ "mimalloc", "libmimalloc.so.2" },	    { "mimalloc", "libmimalloc.so.2.0" },
};

static bool has_allocator(const struct bench *b, const char *name)
{
	for (size_t i = 0; i < b->n_allocators; i++)
		if (!strcmp(b->allocators[i].name, name))
			return true;
	return false;
}

/* Where distributions put libraries. */
static bool find_installed(const char *file, char path[PATHS])
{
	static const char *const dirs[] = { "/usr/local/lib", "/usr/lib/%s-linux-gnu", "/usr/lib64", "/usr/lib", "/lib" };
	struct utsname u;

	uname(&u);
	for (size_t i = 0; i < COUNT(dirs); i++) {
		char dir[256];

		snprintf(dir, sizeof(dir), i == 1 ? "/usr/lib/%s-linux-gnu" : "%s", i == 1 ? u.machine : dirs[i]);
		snprintf(path, PATHS, "%s/%s", dir, file);
		if (access(path, R_OK) == 0)
			return true;
	}
	return false;
}

static const char with_hint[] = "--with=NAME=PATH: PATH is the shared library of an allocator";

static int add_with(struct bench *b, const char *arg)
{
	const char *eq = strchr(arg, '=');
	char path[PATHS];

	if (!eq || eq == arg)
		return fail_text(EXIT_USAGE, NULL, "--with: %s is not NAME=PATH", arg);
	if (find_library(eq + 1, with_hint, path) < 0)
		return EXIT_TARGET;
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)(eq - arg), arg);
	return has_allocator(b, name) ? fail_text(EXIT_USAGE, NULL, "--with: there is a %s already", name) : add_allocator(b, name, path);
}

/* --only names what is there, or nothing by "none". */
static int check_only(const struct bench *b)
{
	const char *rest = b->only;
	size_t len;

	for (const char *at; (at = next_name(&rest, &len));) {
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)len, at);
		if (!has_allocator(b, name) && strcmp(name, "none") != 0)
			return fail_text(EXIT_USAGE, "memwhy bench --list", "--only: %s is not there", name);
	}
	return 0;
}

static int choose_allocators(struct bench *b)
{
	char path[PATHS];
	int code = add_allocator(b, BASE, "");

	if (is_listed(b->only, "memwhy")) {
		if (find_allocator(b->lib, path) < 0)
			return EXIT_TARGET;
		add_allocator(b, "memwhy", path);
	}
	for (size_t i = 0; i < COUNT(installed); i++)
		if (is_listed(b->only, installed[i].name) && !has_allocator(b, installed[i].name) &&
		    find_installed(installed[i].file, path))
			add_allocator(b, installed[i].name, path);
	for (size_t i = 0; !code && i < b->n_with; i++)
		code = add_with(b, b->with[i]);
	code = code ? code : check_only(b);
	return code ? code : add_allocator(b, CONTROL, "");
}

static bool is_workload(const char *at, size_t len)
{
	const char *name, *what;

	for (size_t i = 0; (name = workload_name(i, &what)); i++)
		if (strlen(name) == len && !memcmp(name, at, len))
			return true;
	return false;
}

static int choose_workloads(struct bench *b)
{
	const char *name, *what, *rest = b->chosen;
	size_t len;

	if (b->command) {
		b->workloads[b->n_workloads++] = b->command[0];
		return 0;
	}
	for (size_t i = 0; (name = workload_name(i, &what)) && b->n_workloads < MAX_WORKLOADS; i++)
		if (is_listed(b->chosen, name))
			b->workloads[b->n_workloads++] = name;
	for (const char *at; (at = next_name(&rest, &len));)
		if (!is_workload(at, len))
			return fail_text(EXIT_USAGE, "memwhy bench --list", "--workload: %.*s is no built-in one", (int)len, at);
	if (b->n_workloads)
		return 0;
	return fail_text(EXIT_USAGE, "memwhy bench --list", "--workload: it names none");
}

static int print_list(const struct bench *b)
{
	const char *name, *what;

	printf("Workloads:\n");
	for (size_t i = 0; (name = workload_name(i, &what)); i++)
		printf("  %-10s %s\n", name, what);
	printf("Allocators:\n");
	for (size_t i = 0; i + 1 < b->n_allocators; i++)
		printf("  %-10s %s\n", b->allocators[i].name, *b->allocators[i].path ? b->allocators[i].path : "the C library's");
	return finish_output();
}

/* ------------------------------------------------------------------- one run */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t cpu_ns(const struct rusage *u)
{
	return ((uint64_t)u->ru_utime.tv_sec + (uint64_t)u->ru_stime.tv_sec) * 1000000000u +
	       ((uint64_t)u->ru_utime.tv_usec + (uint64_t)u->ru_stime.tv_usec) * 1000u;
}

struct measured {
	struct mw_bench_run *run;
	int syscalls;	/* a counter, or -1 */
};

static void begin_counting(void *ctx, pid_t pid)
{
	((struct measured *)ctx)->syscalls = syscalls_count(pid);
}

/* Largest RSS less pages of files, of a process that is about to end. */
static void read_peak(void *ctx, pid_t pid)
{
	struct mw_bench_run *run = ((struct measured *)ctx)->run;
	unsigned long long hwm = 0, file = 0;
	char path[64], line[128];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "VmHWM: %llu", &hwm);
		sscanf(line, "RssFile: %llu", &file);
	}
	if (f)
		fclose(f);
	if (hwm > file)
		run->peak = (hwm - file) * 1024;
}

/* What a built-in workload says of itself. */
static bool read_serving(int fd, struct mw_bench_run *run)
{
	unsigned long long cpu, hwm, rss, file;
	char line[256];
	ssize_t n = pread(fd, line, sizeof(line) - 1, 0);

	line[n > 0 ? n : 0] = '\0';
	if (sscanf(line, "%llu %llu %llu %llu", &cpu, &hwm, &rss, &file) != 4)
		return false;
	run->cpu_ns = cpu;
	run->peak = hwm > file ? hwm - file : MW_UNKNOWN;
	run->after = rss > file ? rss - file : MW_UNKNOWN;
	return true;
}

static int set_preload(const struct bench *b, const char *path)
{
	char *all = NULL;
	int n;

	if (!*path)
		return b->old_preload ? setenv("LD_PRELOAD", b->old_preload, 1) : unsetenv("LD_PRELOAD");
	n = b->old_preload ? asprintf(&all, "%s:%s", path, b->old_preload) : asprintf(&all, "%s", path);
	int rc = n < 0 ? -1 : setenv("LD_PRELOAD", all, 1);

	if (n >= 0)
		free(all);
	return rc;
}

/* What the loader passes over, or has no malloc, would be measured as glibc. */
static int check_allocators(const struct bench *b)
{
	char base[PATHS] = "", path[PATHS] = "";

	for (size_t i = 0; i < b->n_allocators; i++) {
		const struct allocator *a = &b->allocators[i];
		char *found = i ? path : base;

		errno = 0;
		bool is_found = set_preload(b, a->path) == 0 && find_malloc_file(found);
		int error = errno;

		set_preload(b, "");
		if (!is_found && !i)
			return fail_text(EXIT_TARGET, NULL, "bench: start this command once more: %s",
					 error ? strerror(error) : "/proc/self/exe cannot be executed");
		if (*a->path && (!is_found || !strcmp(path, base)))
			return fail_text(EXIT_TARGET, with_hint, "%s: preload: it is no library that has malloc", a->path);
	}
	return 0;
}

/* Why a run is left out; when says in what else than a round. */
static void tell_failure(const struct bench *b, const char *workload, const char *allocator, const struct watch *w, int status,
			 const char *when)
{
	if (w->ended_by)
		return;
	if (w->timed_out)
		fail_text(0, "--timeout=SECONDS lets it run longer", "%s under %s%s: not done in %g s, ended", workload, allocator, when,
			  b->timeout);
	else if (WIFSIGNALED(status))
		fail_text(0, NULL, "%s under %s%s: killed by signal %d", workload, allocator, when, WTERMSIG(status));
	else if (WEXITSTATUS(status))
		fail_text(0, NULL, "%s under %s%s: exit status %d", workload, allocator, when, WEXITSTATUS(status));
}

/* Start it and measure; false when it did not end well, which is said, and whether all is to end. */
static bool measure(struct bench *b, const struct allocator *a, struct watch *w, struct mw_bench_run *run, bool *stopped)
{
	struct rusage before, after;
	int status = 0, error = set_preload(b, a->path) < 0 ? ENOMEM : 0;

	getrusage(RUSAGE_CHILDREN, &before);
	uint64_t start = now_ns();

	if (!error)
		error = watch_child(w, &status);
	run->wall_ns = now_ns() - start;
	getrusage(RUSAGE_CHILDREN, &after);
	run->cpu_ns = cpu_ns(&after) - cpu_ns(&before);
	run->faults = (uint64_t)(after.ru_minflt - before.ru_minflt);
	set_preload(b, "");
	b->ended_by = w->ended_by;
	*stopped = error || w->ended_by;
	if (error)
		fail_text(0, NULL, "%s: start: %s", w->argv[0], strerror(error));
	else
		tell_failure(b, run->workload, a->name, w, status, "");
	return !error && status == 0;
}

static size_t workload_index(const struct bench *b, const char *name)
{
	size_t i = 0;

	while (i < b->n_workloads && strcmp(b->workloads[i], name) != 0)
		i++;
	return i;
}

/* 0, or -1 when the user or a missing command ends it all. */
static int run_once(struct bench *b, const char *workload, const struct allocator *a, unsigned round)
{
	char *serve[] = { (char *)"/proc/self/exe", (char *)"bench", (char *)"--scale", b->scale_text, (char *)"--serve",
			  (char *)workload, NULL };
	struct mw_bench_run run = { .size = sizeof(run), .workload = workload, .allocator = a->name, .round = round,
				    .peak = MW_UNKNOWN, .after = MW_UNKNOWN, .syscalls = MW_UNKNOWN,
				    .held = b->held[workload_index(b, workload)] };
	struct measured m = { &run, -1 };
	bool stopped = false;
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int out = b->command ? open("/dev/null", O_WRONLY | O_CLOEXEC) : memfd_create("memwhy-bench", MFD_CLOEXEC);
	struct watch w = { .argv = b->command ? b->command : serve, .at_end = b->command ? read_peak : NULL, .ctx = &m, .in = in, .out = out,
			   .at_start = begin_counting, .timeout = b->timeout, .is_ours = true };
	bool good = in > 0 && out > 0 && measure(b, a, &w, &run, &stopped);

	run.syscalls = syscalls_read(m.syscalls);
	if (m.syscalls >= 0)
		close(m.syscalls);
	if (good && !b->command)
		good = read_serving(out, &run);
	if (good)
		b->runs[b->n_runs++] = run;
	else
		b->failures++;
	close(in);
	close(out);
	return stopped ? -1 : 0;
}

/* One more turn, which is not measured, stopped at each of its system calls. -1: the user ends it all. */
static int count_calls(struct bench *b, const char *workload, const struct allocator *a)
{
	char *serve[] = { (char *)"/proc/self/exe", (char *)"bench", (char *)"--scale", b->scale_text, (char *)"--serve",
			  (char *)workload, NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), status = 0;
	struct tally t = { .calls = { .workload = workload, .allocator = a->name } };
	struct watch w = { .argv = b->command ? b->command : serve, .in = null, .out = null, .timeout = b->timeout, .tally = &t,
			   .is_ours = true };
	int error = null > 0 && set_preload(b, a->path) == 0 ? watch_child(&w, &status) : ENOMEM;

	set_preload(b, "");
	close(null);
	if (t.error)
		snprintf(b->no_calls, sizeof(b->no_calls), "ptrace: %s", strerror(t.error));
	else if (!error && status == 0)
		b->calls[b->n_calls++] = t.calls;
	else if (!error)
		tell_failure(b, workload, a->name, &w, status, ", while its system calls are counted");
	if (!error && !t.error && status != 0)
		snprintf(b->no_calls, sizeof(b->no_calls), "%s under %s did not end well", workload, a->name);
	b->ended_by = w.ended_by;
	return w.ended_by ? -1 : 0;
}

static void show_progress(const struct bench *b, unsigned round, const char *workload, const char *allocator)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[Kround %u of %.0f: %s under %s", round + 1, b->rounds, workload, allocator);
}

static void show_counting(const char *workload, const char *allocator)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[Kcounting system calls: %s under %s", workload, allocator);
}

static void end_progress(void)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
}

/* What a workload holds at most, by a run that counts and is not measured; failing is told. */
static uint64_t count_held(struct bench *b, const char *workload)
{
	char *argv[] = { (char *)"/proc/self/exe", (char *)"bench", (char *)"--scale", b->scale_text, (char *)"--count",
			 (char *)"--serve", (char *)workload, NULL };
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC), out = memfd_create("memwhy-bench", MFD_CLOEXEC), status = -1;
	struct watch w = { .argv = argv, .in = in, .out = out, .timeout = b->timeout, .is_ours = true };
	unsigned long long held = MW_UNKNOWN;
	char line[64] = "";
	bool ran = in > 0 && out > 0 && set_preload(b, "") == 0 && watch_child(&w, &status) == 0;

	if (ran && status)
		tell_failure(b, workload, BASE, &w, status, ", while what it holds is counted");
	else if (ran && pread(out, line, sizeof(line) - 1, 0) > 0 && sscanf(line, "%llu", &held) != 1)
		held = MW_UNKNOWN;
	close(in);
	close(out);
	b->ended_by = w.ended_by;
	return held;
}

static int run_rounds(struct bench *b)
{
	int rc = 0;

	for (size_t w = 0; !rc && w < b->n_workloads; w++) {
		b->held[w] = b->command ? MW_UNKNOWN : count_held(b, b->workloads[w]);
		rc = b->ended_by ? -1 : 0;
	}
	for (size_t i = 0; !rc && i < b->n_workloads * b->n_allocators && !b->no_calls[0]; i++) {
		const struct allocator *a = &b->allocators[i % b->n_allocators];

		show_counting(b->workloads[i / b->n_allocators], a->name);
		rc = count_calls(b, b->workloads[i / b->n_allocators], a);
	}
	for (unsigned round = 0; !rc && round < (unsigned)b->rounds; round++)
		for (size_t w = 0; !rc && w < b->n_workloads; w++)
			for (size_t i = 0; !rc && i < b->n_allocators; i++) {
				const struct allocator *a = &b->allocators[(i + round + w) % b->n_allocators];

				show_progress(b, round, b->workloads[w], a->name);
				rc = run_once(b, b->workloads[w], a, round);
			}
	end_progress();
	return rc;
}

static size_t allocator_index(const struct bench *b, const char *name)
{
	size_t i = 0;

	while (i < b->n_allocators && strcmp(b->allocators[i].name, name) != 0)
		i++;
	return i;
}

/* The runs come in rotated order; the report lists names as they first appear. */
static int compare_runs(const void *a, const void *b, void *ctx)
{
	const struct mw_bench_run *x = a, *y = b;
	size_t ax = allocator_index(ctx, x->allocator), ay = allocator_index(ctx, y->allocator);
	size_t wx = workload_index(ctx, x->workload), wy = workload_index(ctx, y->workload);

	if (ax != ay)
		return ax < ay ? -1 : 1;
	if (x->round != y->round)
		return x->round < y->round ? -1 : 1;
	return wx < wy ? -1 : wx > wy;
}

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	const struct bench *b = ctx;
	const struct mw_bench_opts opts = { .size = sizeof(opts), .base = BASE, .control = CONTROL, .calls = b->calls,
					    .n_calls = b->n_calls, .no_calls = b->no_calls[0] ? b->no_calls : NULL };

	(void)snap;
	return mw_report_bench(b->runs, b->n_runs, &opts, ret, err);
}

static int print_runs(struct bench *b)
{
	qsort_r(b->runs, b->n_runs, sizeof(*b->runs), compare_runs, b);
	int code = print_report(&b->s, NULL, report, b);

	return code ? code : b->failures ? EXIT_TARGET : EXIT_OK;
}

/* ------------------------------------------------------------------- options */

static int number(const char *name, const char *text, double min, double max, double *ret)
{
	return take_number(name, text, min, max, ret) ? EXIT_OK : EXIT_USAGE;
}

static int set_option(struct bench *b, int id, const char *arg)
{
	switch (id) {
	case 'w': b->chosen = arg; return 0;
	case OPT_ONLY: b->only = arg; return 0;
	case OPT_LIB: b->lib = arg; return 0;
	case OPT_SERVE: b->serve = arg; return 0;
	case OPT_LIST: b->list = true; return 0;
	case OPT_ROUNDS: return number("rounds", arg, 1, 100, &b->rounds);
	case OPT_TIMEOUT: return number("timeout", arg, 0.1, 1e6, &b->timeout);
	case OPT_COUNT: b->count = true; return 0;
	case OPT_SCALE: return number("scale", arg, 1e-6, 1e6, &b->scale);
	case OPT_WITH:
		if (b->n_with == MAX_ALLOCATORS)
			return fail_text(EXIT_USAGE, NULL, "bench: more than %d allocators", MAX_ALLOCATORS);
		b->with[b->n_with++] = arg;
		return 0;
	default:
		return EXIT_USAGE;
	}
}

static int go(struct bench *b)
{
	const char *preload = getenv("LD_PRELOAD");
	bool report = false;
	int code = choose_allocators(b);

	if (!code)
		code = choose_workloads(b);
	if (!code && b->command && !b->list && !warn_if_not_preloaded(b->command[0], &report))
		return EXIT_TARGET;
	if (code || b->list)
		return code ? code : print_list(b);
	b->old_preload = preload && *preload ? strdup(preload) : NULL;
	b->runs = calloc((size_t)b->rounds * b->n_workloads * b->n_allocators, sizeof(*b->runs));
	b->calls = calloc(b->n_workloads * b->n_allocators, sizeof(*b->calls));
	if (!b->runs || !b->calls)
		return fail_text(EXIT_TARGET, NULL, "bench: out of memory");
	code = check_allocators(b);
	snprintf(b->scale_text, sizeof(b->scale_text), "%.9g", b->scale);
	if (!code)
		code = run_rounds(b) == 0 ? print_runs(b) : b->ended_by ? end_by(b->ended_by) : EXIT_TARGET;
	free(b->runs);
	free(b->calls);
	free(b->old_preload);
	return code;
}

static int run(int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof(*b));
	const char *arg;
	int code = 0;

	if (!b)
		return fail_text(EXIT_TARGET, NULL, "bench: out of memory");
	b->rounds = 5;
	b->scale = 1;
	init_settings(&b->s);
	for (int id; !code && (id = next_option(&cmd_bench, argc, argv, &b->s, &arg)) != -1;)
		code = set_option(b, id, arg);
	if (!code && b->serve && !strcmp(b->serve, SERVE_MALLOC))
		code = print_malloc_file();
	else if (!code && b->serve)
		code = serve_workload(b->serve, b->scale, b->count);
	else if (!code) {
		b->command = optind < argc ? argv + optind : NULL;
		if (!b->timeout && !b->command)
			b->timeout = 60 * (b->scale > 1 ? b->scale : 1);
		code = go(b);
	}
	free(b);
	return code;
}

const struct command cmd_bench = {
	.name = "bench",
	.summary = "Compares allocators on built-in workloads or on a command",
	.usage = "bench [OPTION]... [-- COMMAND [ARGUMENT]...]",
	.examples = "  memwhy bench\n"
		    "  memwhy bench --rounds=9 -- python3 script.py\n"
		    "  memwhy bench -w small,server --with=new=./libnew.so\n",
	.tables = tables,
	.is_wrapper = true,
	.run = run,
};
