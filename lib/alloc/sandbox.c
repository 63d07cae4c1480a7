/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sandbox.c - programs that restrict their own system calls.
 *
 * A filter of seccomp(2) as a rule kills a process for a call that is not on its list, and
 * one that makes a thread is on few. malloc needs no such call, the scavenging thread does. So
 * a program that promises to gain no privileges, which one without rights must before it
 * sets a filter, is not given a thread from then on.
 *
 * Not in the archive: there a second prctl() would stand beside the C library's.
 */
#include "internal.h"

#include <stdarg.h>
#include <sys/prctl.h>

/* As the C library's, which makes the system call and no more. */
MW_EXPORT int prctl(int op, ...)
{
	unsigned long a[4];
	va_list ap;
	long ret;

	va_start(ap, op);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	/* a vfork child has its parent's memory; 0: nothing was allocated yet */
	if ((op == PR_SET_NO_NEW_PRIVS || op == PR_SET_SECCOMP) && (!region.pid || region.pid == mw__os_pid()))
		mw__options.background = 0;
	ret = mw__os_prctl(op, a);
	if (ret >= 0)
		return (int)ret;
	errno = (int)-ret;
	return -1;
}
