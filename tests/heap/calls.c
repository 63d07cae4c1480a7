/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * calls N [SELF] - makes a known number of system calls, by itself, a thread, a forked child and a program that
 * the child's vforked child executes. Each of the four asks N times who it is, and makes N of each of seven kinds.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long n;

static void make(void)
{
	unsigned word = 0;

	for (long i = 0; i < n; i++) {
		char *p = (char *)syscall(SYS_mmap, NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		syscall(SYS_getppid);
		syscall(SYS_madvise, p, 4096, MADV_DONTNEED);
		syscall(SYS_mprotect, p, 4096, PROT_READ);
		syscall(SYS_mremap, p + 4096, 4096, 4096, 0);
		syscall(SYS_munmap, p, 8192);
		syscall(SYS_brk, 0);
		syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
}

static void *in_thread(void *arg)
{
	make();
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;
	int status;

	n = atol(argv[1]);
	make();
	if (argc < 3)
		return 0;
	pthread_create(&t, NULL, in_thread, NULL);
	pthread_join(t, NULL);
	if (fork() == 0) {
		make();
		if (vfork() == 0) {
			execl(argv[2], argv[2], argv[1], (char *)NULL);
			_exit(1);
		}
		wait(&status);
		_exit(status != 0);
	}
	wait(&status);
	return status != 0;
}
