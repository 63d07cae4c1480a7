/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OPT_WORKING_SET = 1000, OPT_CPUID, OPT_MEASURE };

static const struct opt own[] = {
	{ 'a', "all", NULL, ARG_NONE, "every mapping, not only those with many page tables", NULL },
	{ OPT_WORKING_SET, "working-set", "SECONDS", ARG_NUMBER, "also what the process references in so long; needs a pid, and "
	  "clears its referenced bits, which perturbs it", NULL },
	{ OPT_MEASURE, "measure", "SECONDS", ARG_NUMBER, "also TLB misses and cycles in page walks, counted so long; needs a pid and "
	  "hardware counters", NULL },
	{ OPT_CPUID, "cpuid", "FILE", ARG_FILE, "the processor whose words of CPUID are in this file, as cpuid -r prints them", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_target, opts_collect, opts_print, NULL };

/* Clear the references, wait, and have the snapshot read what is referenced again. */
static int measure_working_set(struct settings *s, pid_t pid, uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
	struct mw_err err = {};

	if (pid <= 0)
		return fail_text(EXIT_USAGE, "memwhy tlb --working-set=1 PID", "--working-set needs the pid of a process");
	if (mw_process_clear_references(pid, &err) < 0)
		return fail(EXIT_TARGET, &err);
	nanosleep(&ts, NULL);
	s->collect.smaps = MW_ALWAYS;
	return EXIT_OK;
}

static int count_misses(pid_t pid, uint64_t ns, struct mw_tlb_counts *ret)
{
	struct mw_cpu *cpu = NULL;
	struct mw_err err = {};
	int code;

	if (pid <= 0)
		return fail_text(EXIT_USAGE, "memwhy tlb --measure=1 PID", "--measure needs the pid of a process");
	code = mw_cpu_read(&cpu, &err) < 0 || mw_tlb_count(pid, cpu, ns, ret, &err) < 0 ? fail(EXIT_TARGET, &err) : EXIT_OK;
	mw_cpu_destroy(cpu);
	return code;
}

struct request {
	struct settings s;
	struct mw_tlb_opts opts;
	const char *words;	/* a file of CPUID */
	uint64_t measure;	/* ns; 0: do not */
};

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	struct request *q = ctx;
	struct mw_cpu *cpu = NULL;
	int rc = get_cpu(&q->s, q->words, &cpu, err);

	if (rc == 0)
		rc = mw_report_tlb(snap, cpu, &q->opts, ret, err);
	mw_cpu_destroy(cpu);
	return rc;
}

static bool take_seconds(const char *name, const char *arg, uint64_t *ns)
{
	double seconds;

	if (!take_number(name, arg, 0.001, 86400, &seconds))
		return false;
	*ns = (uint64_t)(seconds * 1e9);
	return true;
}

static bool take_option(struct request *q, int id, const char *arg)
{
	switch (id) {
	case 'a': return q->opts.all = true;
	case OPT_CPUID: q->words = arg; return true;
	case OPT_MEASURE: return take_seconds("measure", arg, &q->measure);
	case OPT_WORKING_SET: return take_seconds("working-set", arg, &q->opts.working_set);
	default: return false;
	}
}

static int run(int argc, char **argv)
{
	struct request q = { .opts = { .size = sizeof(q.opts) } };
	struct mw_tlb_counts counts = { .size = sizeof(counts) };
	const char *arg;
	int code = EXIT_OK;

	init_settings(&q.s);
	q.s.collect.levels = true;
	for (int id; (id = next_option(&cmd_tlb, argc, argv, &q.s, &arg)) != -1;)
		if (!take_option(&q, id, arg))
			return EXIT_USAGE;
	argc -= optind;
	argv += optind;
	pid_t pid = q.s.pid;

	if (!pid && argc == 1)
		code = get_pid(argv[0], &pid);
	if (!code && q.measure) {
		code = count_misses(pid, q.measure, &counts);
		q.opts.counts = &counts;
	}
	if (!code && q.opts.working_set)
		code = measure_working_set(&q.s, pid, q.opts.working_set);
	if (code)
		return code;
	return argc || q.s.pid ? report_target(&q.s, argc, argv, report, &q) : print_report(&q.s, NULL, report, &q);
}

const struct command cmd_tlb = {
	.name = "tlb",
	.summary = "Shows page tables, how far TLBs reach, what huge pages would save",
	.usage = "tlb [OPTION]... [TARGET | -- COMMAND...]",
	.examples = "  memwhy tlb                       the processor alone\n"
		    "  memwhy tlb 4242\n"
		    "  memwhy tlb --working-set=2 4242  what it references in two seconds\n",
	.tables = tables,
	.takes_target = true,
	.run = run,
};
