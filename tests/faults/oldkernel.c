/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded: perf_event_open(2) as a kernel before 6.0 answers it, which refuses PERF_FORMAT_LOST; the rest of
 * what memwhy asks syscall(2) for goes on.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>

#ifndef PERF_FORMAT_LOST
#define PERF_FORMAT_LOST (1u << 4)
#endif

long syscall(long number, ...)
{
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
	if (number == SYS_perf_event_open && ((struct perf_event_attr *)(uintptr_t)a1)->read_format & PERF_FORMAT_LOST) {
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
