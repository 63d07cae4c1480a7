/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sandbox - a program that restricts its system calls to what an allocator needs goes on, also where a silent
 * program would get a thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define N_BLOCKS 20000
#define NOT_HERE 77

#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* What is not on the list ends the process. */
static int restrict_calls(void)
{
	struct sock_filter list[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise), ALLOW(brk), ALLOW(futex),
		ALLOW(clock_gettime), ALLOW(exit_group), ALLOW(rt_sigreturn),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	const struct sock_fprog program = { sizeof(list) / sizeof(list[0]), list };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

/* Far more is free at the end than is kept: a thread would be made for it. */
static void grow_and_shrink(void)
{
	static char *v[N_BLOCKS];

	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < N_BLOCKS; i++)
			if ((v[i] = malloc(i % 5000)))
				memset(v[i], 1, i % 5000);
		for (size_t i = 0; i < N_BLOCKS; i++)
			free(v[i]);
		v[0] = malloc(60 << 20);
		if (v[0])
			memset(v[0], 1, 60 << 20);
		v[0] = realloc(v[0], 70 << 20);
		free(v[0]);
	}
}

int main(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		free(malloc(1));
		if (restrict_calls() < 0)
			_exit(NOT_HERE);
		grow_and_shrink();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_HERE)
		skip("a program with a filter of system calls", "none can be set here");
	else
		ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a program with a filter of system calls goes on (status %#x)", status);
	errno = 0;
	ok(prctl(PR_GET_DUMPABLE) >= 0 && prctl(-1, 0, 0, 0, 0) == -1 && errno == EINVAL, "prctl() answers as it does");
	return tap_done();
}
