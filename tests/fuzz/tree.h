/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A captured tree whose files are the fuzzer's input, and what must hold of whatever a reader made of them. */
#ifndef MW_TESTS_FUZZ_TREE_H
#define MW_TESTS_FUZZ_TREE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "explain/explain.h"
#include "proc/proc.h"

struct fuzz_tree {
	char root[64];
	struct mw__proc proc;
};

static struct fuzz_tree fuzz_the_tree;

static void fuzz_remove(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", fuzz_the_tree.root);
	if (system(command))
		return;
}

/* In memory, as files would make it slow. */
static struct fuzz_tree *fuzz_tree(void)
{
	static const char *const folders[] = { "42", "42/task", "42/task/42", "sys", "sys/vm" };
	struct fuzz_tree *t = &fuzz_the_tree;
	char path[128];

	if (*t->root)
		return t;
	snprintf(t->root, sizeof(t->root), "%s/memwhy-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(t->root))
		abort();
	atexit(fuzz_remove);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", t->root, folders[i]);
		mkdir(path, 0700);
	}
	if (mw__proc_open(&t->proc, t->root, 42, NULL) < 0)
		abort();
	return t;
}

static void fuzz_put(struct fuzz_tree *t, const char *name, const uint8_t *bytes, size_t n)
{
	int fd = openat(t->proc.pid_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
		abort();
	close(fd);
}

/* What the freeze accepts can be accounted for, to the byte. */
static void fuzz_use(struct mw_snapshot *snap)
{
	struct mw_account *acc = NULL;
	uint64_t sum = 0, rss = 0;

	if (mw__snapshot_freeze(snap, NULL) < 0)
		return;
	snap->target.has_maps = true;
	if (mw_account_create(snap, &acc, NULL) < 0)
		abort();
	for (size_t i = 0; i < acc->lines.n; i++) {
		sum += acc->lines.v[i].bytes;
		rss += mw__causes[acc->lines.v[i].cause].is_resident ? acc->lines.v[i].bytes : 0;
	}
	if (sum != mw__snapshot_vsz(snap) || rss != acc->rss)
		abort();
	mw_account_destroy(acc);
}

#endif
