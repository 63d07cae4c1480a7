/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Why perf_event_open(2) was refused. Linux (kernel/events/core.c) refuses users without CAP_PERFMON by
 * kernel.perf_event_paranoid: from 2 on what the kernel itself does, and always processes that they may not trace.
 * Debian's and Ubuntu's kernels know a 3 or 4 more, which refuses everything; elsewhere these are a 2. So the
 * number alone does not tell: an event on ourselves does, which all but the latter and a seccomp filter permit.
 */
#include "trace.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *mw__perf_paranoid(char buf[16])
{
	MW_CLEANUP(mw__closep) int fd = open("/proc/sys/kernel/perf_event_paranoid", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, buf, 15) : 0;

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return *buf ? buf : "unknown";
}

bool mw__perf_may_watch_itself(void)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(a), .config = PERF_COUNT_SW_PAGE_FAULTS, .disabled = 1,
		.exclude_kernel = 1, .exclude_hv = 1,
	};
	MW_CLEANUP(mw__closep) int fd = (int)mw__perf_open(&a, 0, -1, -1);

	return fd >= 0;
}

int mw__perf_refused(pid_t pid, int error, struct mw_err *err)
{
	char buf[16];
	const char *value = mw__perf_paranoid(buf);

	if (mw__perf_may_watch_itself()) {
		mw__fail(err, MW_E_PERM, error, "pid %d: perf_event_open: it is not yours to trace (kernel.perf_event_paranoid is %s)",
			 pid, value);
		mw__hint(err, "its owner may record it, and who has CAP_PERFMON, as root has unless it was taken away");
	} else if (*value > '2' && *value <= '9') {
		mw__fail(err, MW_E_PERM, error, "perf_event_open: kernel.perf_event_paranoid is %s, which refuses all but CAP_PERFMON", value);
		mw__hint(err, "sysctl kernel.perf_event_paranoid=2 permits it for your own processes, CAP_PERFMON for all");
	} else {
		mw__fail(err, MW_E_PERM, error, "perf_event_open: a seccomp filter or security module refuses it "
			 "(kernel.perf_event_paranoid is %s)", value);
		mw__hint(err, "in a container, a seccomp profile that permits perf_event_open, or CAP_PERFMON for the container");
	}
	return -MW_E_PERM;
}
