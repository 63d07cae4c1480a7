/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy bench as a document. Runs come in rounds, in which every allocator had its turn: a ratio is taken
 * within a round, so that a machine which gets slower does so for all, and what is shown is the median of
 * the rounds with the smallest and largest beside it. The base runs twice a round: how far it is from
 * itself is what the machine scatters, and differences below that mean nothing.
 */
#include "doc.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES 64u
#define NOISY 0.05	/* the base is this far from itself */

enum metric { WALL, CPU, PEAK, AFTER, FAULTS, SYSCALLS, HELD, N_METRICS };
#define N_RATIOS SYSCALLS	/* those before are compared with the base */
static const size_t offsets[N_METRICS] = {
	[WALL] = offsetof(struct mw_bench_run, wall_ns), [CPU] = offsetof(struct mw_bench_run, cpu_ns),
	[PEAK] = offsetof(struct mw_bench_run, peak),	 [AFTER] = offsetof(struct mw_bench_run, after),
	[FAULTS] = offsetof(struct mw_bench_run, faults), [SYSCALLS] = offsetof(struct mw_bench_run, syscalls),
	[HELD] = offsetof(struct mw_bench_run, held),
};


struct names {
	const char *v[MAX_NAMES];
	size_t n;
};

/* One allocator on one workload. */
struct result {
	uint64_t median[N_METRICS];	/* MW_UNKNOWN without a run */
	double ratio[N_METRICS];	/* median over the rounds, to the base; NAN */
	double low, high;		/* of the CPU ratios */
};

struct bench {
	const struct mw_bench_run *runs;
	size_t n;
	struct names workloads, allocators;
	size_t base, control;		/* among the allocators; MAX_NAMES: none */
	const struct mw_bench_opts *opts;
	struct result *results;		/* workloads x allocators */
	double *values;			/* scratch, n */
};

static size_t index_of(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (name && !strcmp(names->v[i], name))
			return i;
	return MAX_NAMES;
}

static void add_name(struct names *names, const char *name)
{
	if (index_of(names, name) == MAX_NAMES && names->n < MAX_NAMES)
		names->v[names->n++] = name;
}

/* ---------------------------------------------------------------- statistics */

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorts. NAN for nothing. */
static double median(double *v, size_t n)
{
	if (!n)
		return NAN;
	qsort(v, n, sizeof(*v), compare_doubles);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static uint64_t value_of(const struct mw_bench_run *run, enum metric m)
{
	return *(const uint64_t *)((const char *)run + offsets[m]);
}

static const struct mw_bench_run *base_of(const struct bench *b, const struct mw_bench_run *run)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->runs[i].round == run->round && !strcmp(b->runs[i].workload, run->workload) &&
		    !strcmp(b->runs[i].allocator, b->allocators.v[b->base]))
			return &b->runs[i];
	return NULL;
}

static bool is_run(const struct bench *b, size_t i, size_t workload, size_t allocator)
{
	return !strcmp(b->runs[i].workload, b->workloads.v[workload]) && !strcmp(b->runs[i].allocator, b->allocators.v[allocator]);
}

static uint64_t median_value(struct bench *b, size_t workload, size_t allocator, enum metric m)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		if (is_run(b, i, workload, allocator) && value_of(&b->runs[i], m) != MW_UNKNOWN)
			b->values[n++] = (double)value_of(&b->runs[i], m);
	return n ? (uint64_t)(median(b->values, n) + 0.5) : MW_UNKNOWN;
}

/* Ratios within rounds; *n of them stay sorted in b->values. */
static double median_ratio(struct bench *b, size_t workload, size_t allocator, enum metric m, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < b->n; i++) {
		const struct mw_bench_run *base = is_run(b, i, workload, allocator) ? base_of(b, &b->runs[i]) : NULL;

		if (!base || value_of(&b->runs[i], m) == MW_UNKNOWN || value_of(base, m) == MW_UNKNOWN || !value_of(base, m))
			continue;
		b->values[(*n)++] = (double)value_of(&b->runs[i], m) / (double)value_of(base, m);
	}
	return median(b->values, *n);
}

static void compute(struct bench *b)
{
	for (size_t w = 0; w < b->workloads.n; w++)
		for (size_t a = 0; a < b->allocators.n; a++) {
			struct result *r = &b->results[w * b->allocators.n + a];
			size_t n;

			r->low = r->high = NAN;
			for (unsigned m = 0; m < N_METRICS; m++) {
				r->median[m] = median_value(b, w, a, m);
				r->ratio[m] = median_ratio(b, w, a, m, &n);
				if (m == CPU && n) {
					r->low = b->values[0];
					r->high = b->values[n - 1];
				}
			}
		}
}

static const struct result *result_of(const struct bench *b, size_t workload, size_t allocator)
{
	return &b->results[workload * b->allocators.n + allocator];
}

/* Over the workloads for which there is a ratio. */
static double geometric_mean(const struct bench *b, size_t allocator, enum metric m)
{
	double sum = 0;
	size_t n = 0;

	for (size_t w = 0; w < b->workloads.n; w++) {
		double r = result_of(b, w, allocator)->ratio[m];

		if (r > 0) {
			sum += log(r);
			n++;
		}
	}
	return n ? exp(sum / (double)n) : NAN;
}

/* The largest CPU ratio, and its workload. */
static double worst(const struct bench *b, size_t allocator, const char **workload)
{
	double max = NAN;

	*workload = NULL;
	for (size_t w = 0; w < b->workloads.n; w++) {
		double r = result_of(b, w, allocator)->ratio[CPU];

		if (r > 0 && !(r <= max)) {
			max = r;
			*workload = b->workloads.v[w];
		}
	}
	return max;
}

/* How far the base is from itself at most, and where. */
static double noise(const struct bench *b, const char **workload)
{
	double max = NAN;

	*workload = NULL;
	for (size_t w = 0; b->control != MAX_NAMES && w < b->workloads.n; w++) {
		double d = fabs(result_of(b, w, b->control)->ratio[CPU] - 1);

		if (d >= 0 && !(d <= max)) {
			max = d;
			*workload = b->workloads.v[w];
		}
	}
	return max;
}

/* -------------------------------------------------------------------- tables */

static const char *ratio_text(double ratio, char buf[16])
{
	if (!(ratio >= 0))
		return "-";
	snprintf(buf, 16, ratio < 0.01 ? "%.1g" : ratio < 9.995 ? "%.2f" : "%.1f", ratio);
	return buf;
}

static const char *time_text(uint64_t ns, char buf[24])
{
	if (ns == MW_UNKNOWN)
		return "-";
	if (ns < 10000000000u)
		snprintf(buf, 24, "%.*f ms", ns < 100000000 ? 1 : 0, (double)ns / 1e6);
	else
		snprintf(buf, 24, "%.2f s", (double)ns / 1e9);
	return buf;
}

enum { S_ALLOCATOR, S_CPU, S_TIME, S_PEAK, S_AFTER, S_FAULTS, S_WORST, S_WHERE, S_JSON };
#define RATIO_JSON(key) { key, NULL, MW__T_SHARE, MW__COL_JSON_ONLY, NULL }
static const struct mw__col summary_cols[] = {
	{ "allocator", "ALLOCATOR", MW__T_TEXT, 0, "the allocator" },
	{ "cpu", "CPU", MW__T_TEXT, MW__COL_TEXT_ONLY, "geometric mean of the ratios of CPU time to the base" },
	{ "time", "TIME", MW__T_TEXT, MW__COL_TEXT_ONLY, "the same of elapsed time" },
	{ "peak", "PEAK", MW__T_TEXT, MW__COL_TEXT_ONLY, "the same of the largest RSS without pages of files" },
	{ "after", "AFTER", MW__T_TEXT, MW__COL_TEXT_ONLY, "the same of that after everything was freed" },
	{ "faults", "FAULTS", MW__T_TEXT, MW__COL_TEXT_ONLY, "the same of page faults" },
	{ "worst", "WORST CPU", MW__T_TEXT, MW__COL_TEXT_ONLY, "largest ratio of CPU time" },
	{ "worst_workload", "ON", MW__T_TEXT, MW__COL_TRUNC, "its workload" },
	RATIO_JSON("time_ratio"), RATIO_JSON("cpu_ratio"), RATIO_JSON("peak_ratio"), RATIO_JSON("after_ratio"),
	RATIO_JSON("faults_ratio"), RATIO_JSON("worst_ratio"),
};

static void add_summary(const struct bench *b, struct mw__doc_node *root)
{
	static const unsigned text_cols[N_RATIOS] = { S_TIME, S_CPU, S_PEAK, S_AFTER, S_FAULTS };
	struct mw__doc_node *t = mw__doc_table(root, "summary", "GEOMETRIC MEANS OF THE RATIOS, LESS IS BETTER", summary_cols,
					       MW__COUNT(summary_cols));
	char buf[16];

	for (size_t a = 0; a < b->allocators.n; a++) {
		struct mw__doc_row *row = mw__doc_row(t);
		const char *where;
		double max = worst(b, a, &where);

		mw__row_text(t, row, S_ALLOCATOR, b->allocators.v[a]);
		for (unsigned m = 0; m < N_RATIOS; m++) {
			mw__row_text(t, row, text_cols[m], ratio_text(geometric_mean(b, a, m), buf));
			mw__row_share(t, row, S_JSON + m, geometric_mean(b, a, m));
		}
		mw__row_text(t, row, S_WORST, a == b->base ? "-" : ratio_text(max, buf));
		mw__row_text(t, row, S_WHERE, a == b->base ? NULL : where);
		mw__row_share(t, row, S_JSON + N_RATIOS, max);
	}
}

enum { R_WORKLOAD, R_SHOWN, R_ALLOCATOR, R_CPU, R_RATIO, R_SPREAD, R_TIME, R_PEAK, R_AFTER, R_FAULTS, R_CPU_NS, R_TIME_NS, R_LOW,
       R_HIGH, R_JSON };
static const struct mw__col result_cols[] = {
	{ "workload", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "shown", "WORKLOAD", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_TRUNC, "what was run" },
	{ "allocator", "ALLOCATOR", MW__T_TEXT, 0, "the allocator" },
	{ "cpu", "CPU", MW__T_TEXT, MW__COL_TEXT_ONLY, "CPU time, median of the rounds" },
	{ "ratio", "RATIO", MW__T_TEXT, MW__COL_TEXT_ONLY, "CPU time over that of the base in the same round, median" },
	{ "spread", "SPREAD", MW__T_TEXT, MW__COL_TEXT_ONLY, "smallest and largest of these ratios" },
	{ "time", "TIME", MW__T_TEXT, MW__COL_TEXT_ONLY, "elapsed time, median" },
	{ "peak", "PEAK", MW__T_BYTES, 0, "largest RSS without pages of files, median" },
	{ "after", "AFTER", MW__T_BYTES, 0, "the same after everything was freed" },
	{ "faults", "FAULTS", MW__T_COUNT, 0, "page faults that needed no disk, median" },
	{ "cpu_ns", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "time_ns", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	RATIO_JSON("cpu_ratio_min"), RATIO_JSON("cpu_ratio_max"),
	RATIO_JSON("time_ratio"), RATIO_JSON("cpu_ratio"), RATIO_JSON("peak_ratio"), RATIO_JSON("after_ratio"), RATIO_JSON("faults_ratio"),
};

static void result_row(const struct bench *b, struct mw__doc_node *t, size_t w, size_t a)
{
	const struct result *r = result_of(b, w, a);
	struct mw__doc_row *row = mw__doc_row(t);
	char buf[24], low[16], high[16], spread[40];

	snprintf(spread, sizeof(spread), "%s-%s", ratio_text(r->low, low), ratio_text(r->high, high));
	mw__row_text(t, row, R_WORKLOAD, b->workloads.v[w]);
	mw__row_text(t, row, R_SHOWN, a ? "" : b->workloads.v[w]);
	mw__row_text(t, row, R_ALLOCATOR, b->allocators.v[a]);
	mw__row_text(t, row, R_CPU, time_text(r->median[CPU], buf));
	mw__row_text(t, row, R_RATIO, ratio_text(r->ratio[CPU], low));
	mw__row_text(t, row, R_SPREAD, a == b->base || !(r->low >= 0) ? "" : spread);
	mw__row_text(t, row, R_TIME, time_text(r->median[WALL], buf));
	mw__row_u64(t, row, R_PEAK, r->median[PEAK]);
	mw__row_u64(t, row, R_AFTER, r->median[AFTER]);
	mw__row_u64(t, row, R_FAULTS, r->median[FAULTS]);
	mw__row_u64(t, row, R_CPU_NS, r->median[CPU]);
	mw__row_u64(t, row, R_TIME_NS, r->median[WALL]);
	mw__row_share(t, row, R_LOW, r->low);
	mw__row_share(t, row, R_HIGH, r->high);
	for (unsigned m = 0; m < N_RATIOS; m++)
		mw__row_share(t, row, R_JSON + m, r->ratio[m]);
}

enum { M_WORKLOAD, M_SHOWN, M_ALLOCATOR, M_HELD, M_PEAK, M_BEYOND, M_SHARE, M_SYSCALLS, M_KINDS };
#define KIND(name) { #name, NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL }
static const struct mw__col memory_cols[] = {
	{ "workload", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "shown", "WORKLOAD", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_TRUNC, "what was run" },
	{ "allocator", "ALLOCATOR", MW__T_TEXT, 0, "the allocator" },
	{ "held", "HELD", MW__T_BYTES, 0, "the most that the workload held at once, as it asked for it" },
	{ "peak", "PEAK", MW__T_BYTES, 0, "largest RSS without pages of files, median" },
	{ "beyond", "BEYOND", MW__T_DELTA, 0, "less what was held: fragmentation, what is kept, and the program itself" },
	{ "beyond_share", "OF HELD", MW__T_SHARE, 0, "the same over what was held" },
	{ "syscalls", "SYSTEM CALLS", MW__T_COUNT, 0, "with those of starting" },
	KIND(mmap), KIND(munmap), KIND(mremap), KIND(madvise), KIND(mprotect), KIND(brk), KIND(futex),
};

/* NULL: not counted. */
static const struct mw_bench_calls *calls_of(const struct bench *b, size_t workload, size_t allocator)
{
	for (size_t i = 0; i < b->opts->n_calls; i++)
		if (!strcmp(b->opts->calls[i].workload, b->workloads.v[workload]) &&
		    !strcmp(b->opts->calls[i].allocator, b->allocators.v[allocator]))
			return &b->opts->calls[i];
	return NULL;
}

static void put_calls(const struct bench *b, struct mw__doc_node *t, struct mw__doc_row *row, size_t w, size_t a)
{
	const struct mw_bench_calls *c = calls_of(b, w, a);
	const uint64_t kinds[] = { c ? c->mmap : 0, c ? c->munmap : 0, c ? c->mremap : 0, c ? c->madvise : 0,
				   c ? c->mprotect : 0, c ? c->brk : 0, c ? c->futex : 0 };
	uint64_t all = result_of(b, w, a)->median[SYSCALLS];	/* by the kernel, of the runs that are measured */

	mw__row_u64(t, row, M_SYSCALLS, all == MW_UNKNOWN && c ? c->total : all);
	for (unsigned k = 0; k < MW__COUNT(kinds); k++)
		mw__row_u64(t, row, M_KINDS + k, c ? kinds[k] : MW_UNKNOWN);
}

static void add_memory(const struct bench *b, struct mw__doc_node *root)
{
	bool any = b->opts->n_calls;	/* of a command nothing may be known: then there is no table on the screen */

	for (size_t i = 0; i < b->workloads.n * b->allocators.n; i++)
		any |= b->results[i].median[HELD] != MW_UNKNOWN || b->results[i].median[SYSCALLS] != MW_UNKNOWN;
	struct mw__doc_node *t = mw__doc_table(root, "memory", any ? "MEMORY BEYOND WHAT WAS HELD" : NULL, memory_cols,
					       MW__COUNT(memory_cols));

	for (size_t w = 0; w < b->workloads.n; w++)
		for (size_t a = 0; a < b->allocators.n; a++) {
			const struct result *r = result_of(b, w, a);
			struct mw__doc_row *row = mw__doc_row(t);
			bool known = r->median[HELD] != MW_UNKNOWN && r->median[HELD] && r->median[PEAK] != MW_UNKNOWN;
			int64_t beyond = known ? (int64_t)(r->median[PEAK] - r->median[HELD]) : INT64_MIN;

			if (!any)
				mw__row_style(row, MW__ROW_JSON);
			mw__row_text(t, row, M_WORKLOAD, b->workloads.v[w]);
			mw__row_text(t, row, M_SHOWN, a ? "" : b->workloads.v[w]);
			mw__row_text(t, row, M_ALLOCATOR, b->allocators.v[a]);
			mw__row_u64(t, row, M_HELD, r->median[HELD]);
			mw__row_u64(t, row, M_PEAK, r->median[PEAK]);
			mw__row_delta(t, row, M_BEYOND, beyond);
			mw__row_share(t, row, M_SHARE, known ? (double)beyond / (double)r->median[HELD] : NAN);
			put_calls(b, t, row, w, a);
		}
}

static void add_results(const struct bench *b, struct mw__doc_node *root)
{
	struct mw__doc_node *t = mw__doc_table(root, "results", "EACH WORKLOAD", result_cols, MW__COUNT(result_cols));

	for (size_t w = 0; w < b->workloads.n; w++)
		for (size_t a = 0; a < b->allocators.n; a++)
			result_row(b, t, w, a);
}

static const struct mw__col run_cols[] = {
	{ "workload", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL }, { "allocator", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "round", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },   { "time_ns", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "cpu_ns", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },  { "peak", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "after", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },   { "faults", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "syscalls", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL }, { "held", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
};

static void add_runs(const struct bench *b, struct mw__doc_node *root)
{
	struct mw__doc_node *t = mw__doc_table(root, "runs", NULL, run_cols, MW__COUNT(run_cols));

	for (size_t i = 0; i < b->n; i++) {
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_text(t, row, 0, b->runs[i].workload);
		mw__row_text(t, row, 1, b->runs[i].allocator);
		mw__row_u64(t, row, 2, b->runs[i].round);
		for (unsigned m = 0; m < N_METRICS; m++)
			mw__row_u64(t, row, 3 + m, value_of(&b->runs[i], m));
	}
}

/* ------------------------------------------------------------------- verdict */

static void add_noise(const struct bench *b, struct mw__doc_node *root)
{
	const char *where, *base = b->allocators.v[b->base];
	double d = noise(b, &where);

	mw__doc_text(root, "base", base);
	mw__doc_share(root, "noise", d);
	mw__doc_text(root, "noise_workload", where);
	mw__doc_bool(root, "noisy", d > NOISY);
	mw__doc_line(root, "", NULL, 0);
	if (!where)
		mw__doc_linef(root, NULL, 0, "How much the machine scatters is not known: %s did not run twice.", base);
	else if (d > NOISY)
		mw__doc_linef(root, NULL, 0, "TOO NOISY TO TELL: %s differs from itself by %.1f %% on %s. Smaller differences mean nothing; "
			      "more rounds or a quieter machine would help.", base, d * 100, where);
	else
		mw__doc_linef(root, NULL, 0, "%s differs from itself by at most %.1f %% (on %s): smaller differences mean nothing.", base, d * 100,
			      where);
}

static void say_what_is_unknown(const struct bench *b, struct mw__doc_node *root)
{
	mw__doc_text(root, "syscalls_unknown", b->opts->no_calls);
	if (b->opts->no_calls)
		mw__doc_linef(root, NULL, 0, "Not all system calls could be counted: %s.", b->opts->no_calls);
}

static void free_bench(struct bench *b)
{
	free(b->results);
	free(b->values);
}

static int prepare(struct bench *b, const struct mw_bench_opts *o, struct mw_err *err)
{
	for (size_t i = 0; i < b->n; i++) {
		add_name(&b->workloads, b->runs[i].workload);
		add_name(&b->allocators, b->runs[i].allocator);
	}
	b->base = o->base ? index_of(&b->allocators, o->base) : 0;
	b->control = index_of(&b->allocators, o->control);
	if (b->base >= b->allocators.n)
		return mw__fail(err, MW_E_USAGE, 0, "bench: no run of %s, which others are compared with", o->base ? o->base : "anything");
	b->results = calloc(b->workloads.n * b->allocators.n, sizeof(*b->results));
	b->values = calloc(b->n, sizeof(*b->values));
	return b->results && b->values ? 0 : mw__fail_nomem(err, "report");
}

int mw_report_bench(const struct mw_bench_run *runs, size_t n, const struct mw_bench_opts *opts, struct mw_document **ret,
		    struct mw_err *err)
{
	struct mw_bench_opts o = {};
	MW_CLEANUP(free_bench) struct bench b = { .runs = runs, .n = n, .opts = &o };

	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	int rc = prepare(&b, &o, err);

	if (rc < 0)
		return rc;
	compute(&b);
	struct mw_document *doc = mw__doc_create("memwhy/bench/1");

	if (!doc)
		return mw__fail_nomem(err, "report");
	add_results(&b, doc->root);
	add_memory(&b, doc->root);
	add_summary(&b, doc->root);
	add_noise(&b, doc->root);
	say_what_is_unknown(&b, doc->root);
	add_runs(&b, doc->root);
	return mw__doc_finish(doc, ret, err);
}
