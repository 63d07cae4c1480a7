/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the processor's own counters say of its TLBs while a process runs: misses by the kernel's generalised cache
 * events, cycles spent in page walks by the model's own event (Linux, tools/perf/pmu-events/arch/x86, skylakex,
 * icelakex and sapphirerapids, virtual-memory.json: *.WALK_ACTIVE, "cycles when at least one page miss handler is
 * busy"). Other models have no such event here, and virtual machines mostly no counters at all: then it is unknown,
 * and why.
 */
#include "trace.h"

#include "../base/count.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"
#include "../model/cpu.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 4096

enum { CYCLES, INSTRUCTIONS, LOAD_MISSES, STORE_MISSES, CODE_MISSES, LOAD_WALKS, STORE_WALKS, CODE_WALKS, N_COUNTERS };

#define MISSES(cache, op) ((cache) | (op) << 8 | PERF_COUNT_HW_CACHE_RESULT_MISS << 16)
static const struct {
	uint32_t type;
	uint64_t config;
} generic[] = {
	[CYCLES] = { PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES },
	[INSTRUCTIONS] = { PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS },
	[LOAD_MISSES] = { PERF_TYPE_HW_CACHE, MISSES(PERF_COUNT_HW_CACHE_DTLB, PERF_COUNT_HW_CACHE_OP_READ) },
	[STORE_MISSES] = { PERF_TYPE_HW_CACHE, MISSES(PERF_COUNT_HW_CACHE_DTLB, PERF_COUNT_HW_CACHE_OP_WRITE) },
	[CODE_MISSES] = { PERF_TYPE_HW_CACHE, MISSES(PERF_COUNT_HW_CACHE_ITLB, PERF_COUNT_HW_CACHE_OP_READ) },
};

/* Event codes of walks for loads, stores and code; mask 0x10, at least one a cycle. */
static const struct {
	uint8_t models[12];	/* of Intel's family 6; 0 ends */
	uint8_t codes[3];
} walks[] = {
	{ { 0x4e, 0x55, 0x5e, 0x66, 0x6a, 0x7e, 0x8e, 0x9e, 0xa5, 0xa6, 0xa7 }, { 0x08, 0x49, 0x85 } },
	{ { 0x8f, 0xcf }, { 0x12, 0x13, 0x11 } },
};
#define WALK_ACTIVE(code) ((code) | 0x10u << 8 | 1u << 24)

struct counting {
	int fds[N_COUNTERS];	/* of the thread at hand, or -1 */
};

static const uint8_t *walk_codes(const struct mw_cpu *cpu)
{
	const struct mw__cpuid *zero = cpu ? mw__cpu_leaf(cpu, 0, 0) : NULL, *one = cpu ? mw__cpu_leaf(cpu, 1, 0) : NULL;

	if (!zero || !one || memcmp(&zero->ebx, "Genu", 4) || (one->eax >> 8 & 15) != 6)
		return NULL;
	uint32_t model = (one->eax >> 4 & 15) | (one->eax >> 16 & 15) << 4;

	for (size_t i = 0; i < MW__COUNT(walks); i++)
		for (size_t k = 0; k < sizeof(walks[i].models) && walks[i].models[k]; k++)
			if (walks[i].models[k] == model)
				return walks[i].codes;
	return NULL;
}

/* Kernel included where that is allowed. -errno. */
static int open_counter(pid_t tid, uint32_t type, uint64_t config)
{
	struct perf_event_attr a = {
		.type = type, .size = sizeof(a), .config = config, .inherit = 1,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
	};
	int fd = (int)mw__perf_open(&a, tid, -1, -1);

	if (fd < 0 && (errno == EACCES || errno == EPERM)) {
		a.exclude_kernel = a.exclude_hv = 1;
		fd = (int)mw__perf_open(&a, tid, -1, -1);
	}
	return fd < 0 ? -errno : fd;
}

static void open_thread(struct counting *c, pid_t tid, const uint8_t *codes, int errors[N_COUNTERS])
{
	for (unsigned i = 0; i < N_COUNTERS; i++) {
		if (i < LOAD_WALKS)
			c->fds[i] = open_counter(tid, generic[i].type, generic[i].config);
		else
			c->fds[i] = codes ? open_counter(tid, PERF_TYPE_RAW, WALK_ACTIVE(codes[i - LOAD_WALKS])) : -ENOENT;
		/* a thread that ended meanwhile says nothing about the counter */
		if (c->fds[i] < 0 && c->fds[i] != -ESRCH)
			errors[i] = -c->fds[i];
	}
}

/* A counter that had to share its register with others is scaled by the time it had it. */
static void add_counter(int fd, uint64_t *sum)
{
	uint64_t v[3];

	if (fd < 0 || read(fd, v, sizeof(v)) != sizeof(v) || !v[2])
		return;
	*sum = (*sum == MW_UNKNOWN ? 0 : *sum) + (uint64_t)((double)v[0] * ((double)v[1] / (double)v[2]));
}

static void close_thread(struct counting *c, uint64_t sums[N_COUNTERS])
{
	for (unsigned i = 0; i < N_COUNTERS; i++) {
		add_counter(c->fds[i], &sums[i]);
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	}
}

static size_t open_threads(struct counting *list, pid_t pid, const uint8_t *codes, int errors[N_COUNTERS])
{
	char path[40];
	size_t n = 0;
	struct dirent *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *dir = opendir(path);

	while (dir && n < MAX_THREADS && (d = readdir(dir))) {
		const char *p = d->d_name, *end = p + strlen(p);
		uint64_t tid;

		if (mw__parse_dec(&p, end, &tid) && p == end)
			open_thread(&list[n++], (pid_t)tid, codes, errors);
	}
	if (dir)
		closedir(dir);
	return n;
}

static void explain(struct mw_tlb_counts *ret, pid_t pid, const int errors[N_COUNTERS], const uint8_t *codes)
{
	int error = errors[CYCLES] ? errors[CYCLES] : errors[LOAD_MISSES] ? errors[LOAD_MISSES] : errors[LOAD_WALKS];

	struct mw_err err = {};

	if ((error == EACCES || error == EPERM) && mw__perf_refused(pid, error, &err) < 0)
		snprintf(ret->why, sizeof(ret->why), "%.*s", (int)sizeof(ret->why) - 1, err.text);
	else if (errors[CYCLES])
		snprintf(ret->why, sizeof(ret->why), "this machine shows no hardware counters, as most virtual machines (perf_event_open: %s)",
			 strerror(error));
	else if (errors[LOAD_MISSES])
		snprintf(ret->why, sizeof(ret->why), "the kernel has no event for TLB misses on this processor (perf_event_open: %s)", strerror(error));
	else if (!codes)
		snprintf(ret->why, sizeof(ret->why), "no event for cycles in page walks is known of this processor");
	else if (ret->walk_cycles == MW_UNKNOWN)
		snprintf(ret->why, sizeof(ret->why), "the process did not run, or its counters had no turn");
}

int mw_tlb_count(pid_t pid, const struct mw_cpu *cpu, uint64_t ns, struct mw_tlb_counts *ret, struct mw_err *err)
{
	struct mw_tlb_counts r = { .size = ret->size };
	struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
	const uint8_t *codes = walk_codes(cpu);
	int errors[N_COUNTERS] = {};
	uint64_t sums[N_COUNTERS], start = mw__trace_now();
	struct counting *list = calloc(MAX_THREADS, sizeof(*list));

	if (!list)
		return mw__fail_nomem(err, "counters");
	memset(sums, 0xff, sizeof(sums));	/* MW_UNKNOWN */
	size_t n = open_threads(list, pid, codes, errors);

	if (n)
		nanosleep(&ts, NULL);
	for (size_t i = 0; i < n; i++)
		close_thread(&list[i], sums);
	free(list);
	if (!n)
		return mw__fail(err, MW_E_NOT_FOUND, 0, "pid %d: no such process", pid);
	r.took_ns = mw__trace_now() - start;
	r.cycles = sums[CYCLES];
	r.instructions = sums[INSTRUCTIONS];
	r.load_misses = sums[LOAD_MISSES];
	r.store_misses = sums[STORE_MISSES];
	r.code_misses = sums[CODE_MISSES];
	r.walk_cycles = mw__add(mw__add(sums[LOAD_WALKS], sums[STORE_WALKS]), sums[CODE_WALKS]);
	explain(&r, pid, errors, codes);
	memcpy(ret, &r, mw__min(ret->size, sizeof(r)));
	return 0;
}
