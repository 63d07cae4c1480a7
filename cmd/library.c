/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where our allocator is: in a build tree beside the command, installed in ../lib. */
#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
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
