/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A child that shares all its memory with its parent, as after every fork(2): a heap, the arena of another thread, a
 * thread's stack, a mapping. Prints the child's pid as JSON and waits for the end of standard input.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static int filled[2];

static void *fill(void *unused)
{
	char *p = malloc(50000);

	(void)unused;
	if (!p || write(filled[1], memset(p, 1, 50000), 1) != 1)
		_exit(1);
	pause();
	return p;
}

int main(void)
{
	char byte, *heap = malloc(50000), *mapped = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;

	alarm(120);
	if (!heap || mapped == MAP_FAILED || pipe(filled) < 0 || pthread_create(&thread, NULL, fill, NULL))
		return 1;
	madvise(mapped, 1 << 20, MADV_NOHUGEPAGE);
	memset(heap, 1, 50000);
	memset(mapped, 1, 1 << 20);
	if (read(filled[0], &byte, 1) != 1)
		return 1;
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(filled[1], "", 1) != 1)
			return 1;
		for (;;)
			pause();
	}
	if (child < 0 || read(filled[0], &byte, 1) != 1)
		return 1;
	printf("{\"child\":%d}\n{\"ready\":true}\n", child);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	kill(child, SIGKILL);
	return 0;
}
