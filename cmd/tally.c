/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which system calls a command makes, with all that it starts: ptrace(2) stops each of them at every call. That slows
 * it, so it is done in a turn of its own, but it needs no more rights than those over a child.
 */
#include "cmd.h"

#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define SYSCALL_STOP (SIGTRAP | 0x80)	/* PTRACE_O_TRACESYSGOOD */
#define LEAVE_MS 2000

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#endif

static const struct {
	uint64_t number;
	size_t offset;
} kinds[] = {
	{ SYS_mmap, offsetof(struct mw_bench_calls, mmap) },	     { SYS_munmap, offsetof(struct mw_bench_calls, munmap) },
	{ SYS_mremap, offsetof(struct mw_bench_calls, mremap) },   { SYS_madvise, offsetof(struct mw_bench_calls, madvise) },
	{ SYS_mprotect, offsetof(struct mw_bench_calls, mprotect) }, { SYS_brk, offsetof(struct mw_bench_calls, brk) },
	{ SYS_futex, offsetof(struct mw_bench_calls, futex) },
};

int tally_options(void)
{
	return PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
	       PTRACE_O_TRACECLONE;
}

static size_t find(const struct tally *t, pid_t pid)
{
	size_t i = 0;

	while (i < t->n_pids && t->pids[i] != pid)
		i++;
	return i;
}

static void remember(struct tally *t, pid_t pid)
{
	if (find(t, pid) < t->n_pids)
		return;
	pid_t *pids = reallocarray(t->pids, t->n_pids + 1, sizeof(*pids));

	if (!pids) {
		t->error = ENOMEM;
		return;
	}
	t->pids = pids;
	t->pids[t->n_pids++] = pid;
}

static void forget(struct tally *t, pid_t pid)
{
	size_t i = find(t, pid);

	if (i < t->n_pids)
		t->pids[i] = t->pids[--t->n_pids];
}

static void count(struct tally *t, pid_t pid)
{
	struct __ptrace_syscall_info info = {};

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0) {
		t->error = errno == ESRCH ? t->error : errno;	/* killed this moment */
		return;
	}
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	t->calls.total++;
	for (size_t i = 0; info.arch == OWN_ARCH && i < COUNT(kinds); i++)
		if (info.entry.nr == kinds[i].number)
			++*(uint64_t *)((char *)&t->calls + kinds[i].offset);
}

void tally_stop(struct tally *t, pid_t pid, int status)
{
	int event = status >> 16, sig = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;

	if (!sig) {
		forget(t, pid);
		return;
	}
	t->began |= event == PTRACE_EVENT_EXEC;
	if (event == PTRACE_EVENT_STOP || event == PTRACE_EVENT_EXEC)
		remember(t, pid);
	if (sig == SYSCALL_STOP)
		count(t, pid);
	if (event == PTRACE_EVENT_STOP && sig != SIGTRAP)
		ptrace(PTRACE_LISTEN, pid, 0, 0);	/* stopped, and stays so until it is told to go on */
	else
		ptrace(t->began ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, event || sig == SYSCALL_STOP ? 0 : sig);
}

/* A process of the command outlives it: on it goes by itself. One that does not stop is left traced. */
void tally_leave(struct tally *t)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	for (size_t i = 0; i < t->n_pids; i++)
		ptrace(PTRACE_INTERRUPT, t->pids[i], 0, 0);
	for (int i = 0; t->n_pids && i < LEAVE_MS;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);

		if (pid < 0)
			break;
		if (pid == 0) {
			nanosleep(&ms, NULL);
			i++;
			continue;
		}
		if (WIFSTOPPED(status))
			ptrace(PTRACE_DETACH, pid, 0, status >> 16 || WSTOPSIG(status) == SYSCALL_STOP ? 0 : WSTOPSIG(status));
		forget(t, pid);
	}
	free(t->pids);
	t->pids = NULL;
	t->n_pids = 0;
}
