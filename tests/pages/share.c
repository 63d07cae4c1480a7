/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two processes that share 4 MiB and have 1 and 2 MiB of their own: a group of both has 7 MiB and little
 * else, though their RSS add up to 11. Prints both pids as JSON and waits for the end of standard input.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MIB (1u << 20)

static char *take(size_t size, int flags)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(1);
	madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

int main(void)
{
	char *shared = take(4 * MIB, MAP_SHARED), byte;
	int ready[2];

	alarm(120);
	prctl(PR_SET_NAME, "mw-share-pair");
	memset(shared, 1, 4 * MIB);
	if (pipe(ready) < 0)
		return 1;
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		memset(take(2 * MIB, MAP_PRIVATE), 1, 2 * MIB);
		for (size_t i = 0; i < 4 * MIB; i += 4096)
			byte = *(volatile char *)(shared + i);
		if (write(ready[1], "", 1) != 1)
			return 1;
		pause();
		return 0;
	}
	memset(take(MIB, MAP_PRIVATE), 1, MIB);
	if (read(ready[0], &byte, 1) != 1)
		return 1;
	printf("{\"parent\":%d,\"child\":%d}\n{\"ready\":true}\n", getpid(), child);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	kill(child, SIGKILL);
	return 0;
}
