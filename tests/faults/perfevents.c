/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded: perf_event_open(2) as another machine answers it; the rest of what memwhy asks syscall(2) for goes
 * on. PERF_EVENTS=old: a kernel before 6.0, which refuses PERF_FORMAT_LOST. PERF_EVENTS=counters: a processor
 * with counters, each of which had its register for two thirds of the time and says what counter_of() says.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PERF_FORMAT_LOST
#define PERF_FORMAT_LOST (1u << 4)
#endif

/* Of Intel's raw events: 10 times the code. */
static uint64_t counter_of(const struct perf_event_attr *a)
{
	if (a->type == PERF_TYPE_HARDWARE)
		return a->config == PERF_COUNT_HW_CPU_CYCLES ? 1000000 : 2000000;
	if (a->type == PERF_TYPE_RAW)
		return (a->config & 0xff) * 10;
	return (a->config & 0xff) == PERF_COUNT_HW_CACHE_ITLB ? 500 : (a->config >> 8 & 0xff) == PERF_COUNT_HW_CACHE_OP_READ ? 300 : 400;
}

/* The format of read(2) on a counter with both times: value, enabled, running. */
static long open_counter(const struct perf_event_attr *a)
{
	uint64_t words[3] = { counter_of(a), 3000, 2000 };
	int fd = memfd_create("counter", MFD_CLOEXEC);

	return fd >= 0 && pwrite(fd, words, sizeof(words), 0) == sizeof(words) ? fd : -1;
}

long syscall(long number, ...)
{
	/* before the registers are set: a call would spoil them */
	const char *mode = getenv("PERF_EVENTS");
	bool is_old = mode && !strcmp(mode, "old"), is_counters = mode && !strcmp(mode, "counters");
	register long a4 __asm__("r10"), a5 __asm__("r8"), a6 __asm__("r9");
	long a1, a2, a3, ret;
	va_list ap;

	va_start(ap, number);
	a1 = va_arg(ap, long);
	a2 = va_arg(ap, long);
	a3 = va_arg(ap, long);
	a4 = va_arg(ap, long);
	a5 = va_arg(ap, long);
	a6 = va_arg(ap, long);
	va_end(ap);
	const struct perf_event_attr *attr = (const struct perf_event_attr *)(uintptr_t)a1;

	if (number == SYS_perf_event_open && is_counters)
		return open_counter(attr);
	if (number == SYS_perf_event_open && is_old && attr->read_format & PERF_FORMAT_LOST) {
		errno = EINVAL;
		return -1;
	}
	__asm__ volatile("syscall" : "=a"(ret) : "a"(number), "D"(a1), "S"(a2), "d"(a3), "r"(a4), "r"(a5), "r"(a6)
			 : "rcx", "r11", "memory");
	if (ret < 0 && ret > -4096) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}
