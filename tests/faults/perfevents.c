/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded: perf_event_open(2) as another machine answers it; the rest of what memwhy asks syscall(2) for goes
 * on. PERF_EVENTS=old: a kernel before 6.0, which refuses PERF_FORMAT_LOST. PERF_EVENTS=counters: a processor
 * with counters, each of which had its register for two thirds of the time and says what counter_of() says.
 * PERF_EVENTS=forbidden: Debian's and Ubuntu's kernels with kernel.perf_event_paranoid above 2, or a seccomp
 * filter: nothing without CAP_PERFMON or CAP_SYS_ADMIN. PERF_EVENTS=locked: no memory may be locked for a ring.
 * PERF_EVENTS=told: all is as it is, and the size of each ring and how long poll(2) shall wait is told on the
 * standard error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
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

static long call(long number, long a1, long a2, long a3, long b4, long b5, long b6)
{
	register long a4 __asm__("r10") = b4, a5 __asm__("r8") = b5, a6 __asm__("r9") = b6;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(number), "D"(a1), "S"(a2), "d"(a3), "r"(a4), "r"(a5), "r"(a6)
			 : "rcx", "r11", "memory");
	if (ret < 0 && ret > -4096) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}

static bool is_mode(const char *name)
{
	const char *mode = getenv("PERF_EVENTS");

	return mode && !strcmp(mode, name);
}

#define MAY (1ull << 38 | 1ull << 21)	/* CAP_PERFMON, CAP_SYS_ADMIN */
static bool is_privileged(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	return call(SYS_capget, (long)&header, (long)data, 0, 0, 0, 0) == 0 &&
	       (((uint64_t)data[1].effective << 32 | data[0].effective) & MAY);
}

long syscall(long number, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	const struct perf_event_attr *attr = (const struct perf_event_attr *)(uintptr_t)a[0];

	if (number == SYS_perf_event_open && is_mode("counters"))
		return open_counter(attr);
	if (number == SYS_perf_event_open && is_mode("old") && attr->read_format & PERF_FORMAT_LOST) {
		errno = EINVAL;
		return -1;
	}
	if (number == SYS_perf_event_open && is_mode("forbidden") && !is_privileged()) {
		errno = EACCES;
		return -1;
	}
	return call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

void *mmap64(void *addr, size_t size, int prot, int flags, int fd, off64_t off)
{
	char name[40], link[64] = "";

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	bool is_ring = fd >= 0 && readlink(name, link, sizeof(link) - 1) > 0 && strstr(link, "perf_event");

	if (is_ring && is_mode("locked")) {
		errno = EPERM;
		return MAP_FAILED;
	}
	if (is_ring && is_mode("told"))
		fprintf(stderr, "told: ring of %zu\n", size);
	return (void *)call(SYS_mmap, (long)addr, (long)size, prot, flags, fd, off);
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
	if (is_mode("told"))
		fprintf(stderr, "told: poll for %d\n", ms);
	return (int)call(SYS_poll, (long)fds, (long)n, ms, 0, 0, 0);
}
