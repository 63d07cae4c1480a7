/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * launch COUNT PROGRAM ARGUMENT...: runs it COUNT times, one after the other, with its output thrown away,
 * and prints "CPU-MICROSECONDS PEAK-KIB" of each run. Exists because a child's ru_maxrss starts with the
 * memory of whoever forked it: a Python interpreter is larger than most programs measured here.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_SECONDS 120

static int run(char **argv)
{
	struct rusage used;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		alarm(RUN_SECONDS);	/* survives exec */
		if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(126);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) != pid || status != 0)
		return -1;
	printf("%lld %ld\n", (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL + used.ru_utime.tv_usec +
	       used.ru_stime.tv_usec, used.ru_maxrss);
	return 0;
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[1]) : 0;

	if (count < 1) {
		fprintf(stderr, "usage: launch COUNT PROGRAM ARGUMENT...\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < count; i++)
		if (run(argv + 2) < 0)
			return 1;
	return 0;
}
