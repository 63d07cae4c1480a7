/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A /proc made of strings, in a folder of its own that goes away with the test. */
#ifndef MW_TESTS_TREES_H
#define MW_TESTS_TREES_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc/proc.h"

#define TREE_PID 42

struct tree {
	char root[64];
};

static int tree_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

__attribute__((unused))
static void tree_destroy(struct tree *t)
{
	if (*t->root)
		nftw(t->root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	*t->root = '\0';
}

/* len bytes as the file ROOT/name; folders are made on the way. */
__attribute__((unused))
static bool tree_put_bytes(const struct tree *t, const char *name, const void *bytes, size_t len)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", t->root, name);
	for (char *p = path + strlen(t->root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
	FILE *file = fopen(path, "we");

	if (!file)
		return false;
	bool good = fwrite(bytes, 1, len, file) == len;

	return fclose(file) == 0 && good;
}

/* The text as a file of the process. */
__attribute__((unused))
static bool tree_put(const struct tree *t, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%d/%s", TREE_PID, name);
	return tree_put_bytes(t, path, text, strlen(text));
}

__attribute__((unused))
static void tree_drop(const struct tree *t, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%d/%s", t->root, TREE_PID, name);
	remove(path);
}

__attribute__((unused))
static bool tree_create(struct tree *t)
{
	snprintf(t->root, sizeof(t->root), "/tmp/memwhy-tree-XXXXXX");
	if (!mkdtemp(t->root)) {
		*t->root = '\0';
		return false;
	}
	return tree_put(t, "stat", "42 (tree) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 4096 1 0 "
			"1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
}

#endif
