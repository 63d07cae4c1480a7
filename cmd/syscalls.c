/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How many system calls a process and its children make, by the kernel's tracepoint raw_syscalls:sys_enter
 * through perf_event_open(2): counted in the kernel, so that what is measured is not slowed by a stop at each. It
 * needs tracefs, which root can mount, and the right to trace; without, tally.c has the number.
 */
#include "cmd.h"

#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool tracepoint_id(unsigned long long *id)
{
	static const char *const paths[] = { "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
					     "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id" };
	bool found = false;

	for (size_t i = 0; i < COUNT(paths) && !found; i++) {
		FILE *f = fopen(paths[i], "re");

		found = f && fscanf(f, "%llu", id) == 1;
		if (f)
			fclose(f);
	}
	return found;
}

int syscalls_count(pid_t pid)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr), .disabled = 1, .inherit = 1,
					.enable_on_exec = 1 };
	unsigned long long id;

	if (!tracepoint_id(&id))
		return -1;
	attr.config = id;
	return (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

uint64_t syscalls_read(int fd)
{
	uint64_t n;

	return fd >= 0 && read(fd, &n, sizeof(n)) == sizeof(n) ? n : MW_UNKNOWN;
}
