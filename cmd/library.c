/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where our allocator is: in a build tree beside the command, installed in ../lib. */
#include "cmd.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIBRARY "libmemwhy-malloc.so"

static bool find_beside(char path[PATHS])
{
	static const char *const places[] = { LIBRARY, "../lib/" LIBRARY, "../lib/memwhy/" LIBRARY };
	char self[PATHS], dir[PATHS / 2];
	/* without /proc the name under which it was executed will do */
	const char *name = access("/proc/self/exe", F_OK) == 0 ? "/proc/self/exe" : (const char *)getauxval(AT_EXECFN);

	if (!name || !realpath(name, self) || snprintf(dir, sizeof(dir), "%s", self) >= (int)sizeof(dir))
		return false;
	*strrchr(dir, '/') = '\0';
	for (size_t i = 0; i < COUNT(places); i++) {
		snprintf(path, PATHS, "%s/%s", dir, places[i]);
		if (access(path, R_OK) == 0)
			return true;
	}
	return false;
}

/* The loader splits its list at blanks and colons. */
static bool is_preloadable(const char *path)
{
	return !strpbrk(path, " :");
}

/* The loader would look elsewhere for a relative path. A link stays one only where the file itself could not be named. */
int find_library(const char *name, const char *hint, char path[PATHS])
{
	char cwd[PATHS / 2] = "";

	if (!realpath(name, path))
		return fail_text(-1, hint, "%s: open: %s", name, strerror(errno));
	if (is_preloadable(path))
		return 0;
	if (*name != '/' && !getcwd(cwd, sizeof(cwd)))
		return fail_text(-1, hint, "%s: working directory: %s", name, strerror(errno));
	char link[PATHS];

	snprintf(link, sizeof(link), "%s%s%s", cwd, *cwd ? "/" : "", name);
	if (!is_preloadable(link))
		return fail_text(-1, "a symbolic link without them will do: --lib=LINK, or --with=NAME=LINK", "%s: the loader takes no path with a blank or a colon", path);
	strcpy(path, link);
	return 0;
}

int find_allocator(const char *lib, char path[PATHS])
{
	char found[PATHS];

	if (lib)
		return find_library(lib, NULL, path);
	if (find_beside(found))
		return find_library(found, NULL, path);
	return fail_text(-1, NULL, LIBRARY ": it is neither beside this command nor in ../lib or ../lib/memwhy");
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
	if (pid < 0 || !used)
		return false;
	return waitpid(pid, &status, 0) == pid ? status == 0 : errno == ECHILD;	/* SIGCHLD is ignored: what it said will do */
}
