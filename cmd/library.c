/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where our allocator is: in a build tree beside the command, installed in ../lib. */
#include "cmd.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIBRARY "libmemwhy-malloc.so"

static bool find_beside(char path[PATHS])
{
	static const char *const places[] = { LIBRARY, "../lib/" LIBRARY, "../lib/memwhy/" LIBRARY };
	char dir[PATHS / 2];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	if (n <= 0)
		return false;
	dir[n] = '\0';
	*strrchr(dir, '/') = '\0';
	for (size_t i = 0; i < COUNT(places); i++) {
		snprintf(path, PATHS, "%s/%s", dir, places[i]);
		if (access(path, R_OK) == 0)
			return true;
	}
	return false;
}

/* The loader would look elsewhere for a relative path, and splits its list at blanks and colons. */
int find_allocator(const char *lib, char path[PATHS])
{
	char found[PATHS];

	if (!lib && !find_beside(found)) {
		fail_text(0, NULL, LIBRARY ": it is neither beside this command nor in ../lib or ../lib/memwhy");
		return -1;
	}
	if (!realpath(lib ? lib : found, path)) {
		fail_text(0, NULL, "%s: open: %s", lib ? lib : found, strerror(errno));
		return -1;
	}
	if (strpbrk(path, " :")) {
		fail_text(0, NULL, "%s: the loader takes no path with a blank or a colon", path);
		return -1;
	}
	return 0;
}

int print_malloc_file(void)
{
	Dl_info info;
	void *fn = dlsym(RTLD_DEFAULT, "malloc");
	char path[PATHS];

	if (!fn || !dladdr(fn, &info) || !info.dli_fname || !realpath(info.dli_fname, path))
		return EXIT_TARGET;
	printf("%s", path);
	return finish_output();
}

/* This program once more, with what is preloaded: it tells whose malloc it has. */
static void tell_malloc_file(int out)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(out, 1);
	dup2(null, 2);	/* what the loader says about it is said better */
	execl("/proc/self/exe", "memwhy", "bench", "--serve=" SERVE_MALLOC, (char *)NULL);
	_exit(127);
}

bool find_malloc_file(char path[PATHS])
{
	int fds[2], status;
	size_t used = 0;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	pid_t pid = fork();

	if (pid == 0)
		tell_malloc_file(fds[1]);
	close(fds[1]);
	for (ssize_t n; used < PATHS - 1 && (n = read(fds[0], path + used, PATHS - 1 - used)) > 0;)
		used += (size_t)n;
	path[used] = '\0';
	close(fds[0]);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && used;
}
