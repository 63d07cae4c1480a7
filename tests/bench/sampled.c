/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The floor of recording by samples: runs a command with the kernel writing a sample for each of its page faults
 * into rings that are overwritten and that nobody reads. usage: sampled WHAT COMMAND...
 *   full    instruction, thread, time and address, which a recording needs
 *   place   instruction and address alone
 *   empty   a sample without a field
 *   none    samples that are prepared and written nowhere: no ring
 */
#define _GNU_SOURCE
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RING_PAGES 64
#define PLACE (PERF_SAMPLE_IP | PERF_SAMPLE_ADDR)

static const struct what {
	const char *name;
	unsigned long fields;
	int has_ring;
} runs[] = {
	{ "full", PLACE | PERF_SAMPLE_TID | PERF_SAMPLE_TIME, 1 }, { "place", PLACE, 1 }, { "empty", 0, 1 }, { "none", 0, 0 },
};

static int sample(pid_t pid, int cpu, const struct what *what)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(a), .config = PERF_COUNT_SW_PAGE_FAULTS, .sample_period = 1,
		.sample_type = what->fields,
		.disabled = 1, .enable_on_exec = 1, .inherit = 1, .exclude_kernel = geteuid() != 0, .write_backward = 1,
		.watermark = 1, .wakeup_watermark = 1u << 30, .use_clockid = 1, .clockid = CLOCK_MONOTONIC,
	};
	int fd = (int)syscall(SYS_perf_event_open, &a, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd >= 0 && !what->has_ring)
		return 0;
	return fd < 0 ? -1 : mmap(NULL, (RING_PAGES + 1) * 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0;
}

int main(int argc, char **argv)
{
	const struct what *what = runs, *end = runs + sizeof(runs) / sizeof(runs[0]);
	int ready[2], status = 1;
	char byte;

	while (argc > 2 && what < end && strcmp(what->name, argv[1]) != 0)
		what++;
	if (argc < 3 || what == end || pipe(ready) < 0)
		return 2;
	pid_t pid = fork();

	if (pid == 0) {
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			_exit(127);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	close(ready[0]);
	for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++)
		if (sample(pid, cpu, what) < 0) {
			perror("sampled: perf_event_open");
			return 1;
		}
	if (write(ready[1], "", 1) != 1 || waitpid(pid, &status, 0) != pid)
		return 1;
	return status != 0;
}
