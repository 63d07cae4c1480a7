/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The control group of a process: its name from /proc/PID/cgroup, and what its directory says. The name and
 * the mounts in /proc/self/mountinfo are both shown as seen from our own cgroup namespace (cgroups(7)), so a
 * mount leads to the group only when the group lies below the root of that mount; in a container it often
 * does not, and a directory of the same name may be another group. What cannot be read stays MW_UNKNOWN.
 */
#include "proc.h"

#include "../base/cleanup.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The inode of the first cgroup namespace (include/linux/proc_ns.h, PROC_CGROUP_INIT_INO). */
#define FIRST_CGROUP_NS 0xEFFFFFFBu

static bool read_file(const char *dir, const char *name, struct mw__str *text)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str full = {};
	char buf[8192];

	mw__str_printf(&full, "%s/%s", dir, name);
	if (full.failed)
		return false;
	MW_CLEANUP(mw__closep) int fd = open(full.v, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	mw__str_reset(text);
	for (ssize_t n; (n = read(fd, buf, sizeof(buf))) > 0;)
		mw__str_add(text, buf, n);
	return text->n > 0;
}

static uint64_t file_number(const char *dir, const char *name)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};

	if (!read_file(dir, name, &text))
		return MW_UNKNOWN;
	if (!strncmp(text.v, "max", 3))
		return MW__NO_LIMIT;
	return mw__limit_value(text.v, text.v + text.n);
}

static void read_v2(const char *dir, struct mw__cgroup *cg)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};

	cg->current = file_number(dir, "memory.current");
	if (cg->current == MW_UNKNOWN)
		return;
	cg->version = 2;
	cg->max = file_number(dir, "memory.max");
	cg->swap = file_number(dir, "memory.swap.current");
	if (!read_file(dir, "memory.stat", &text))
		return;
	cg->anon = mw__keyed_value(&text, "anon ");
	cg->file = mw__keyed_value(&text, "file ");
	cg->shmem = mw__keyed_value(&text, "shmem ");
	cg->kernel = mw__keyed_value(&text, "kernel ");
	cg->slab = mw__keyed_value(&text, "slab ");
	cg->sock = mw__keyed_value(&text, "sock ");
	cg->page_tables = mw__keyed_value(&text, "pagetables ");
	cg->inactive_file = mw__keyed_value(&text, "inactive_file ");
}

static void read_v1(const char *dir, struct mw__cgroup *cg)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};

	cg->current = file_number(dir, "memory.usage_in_bytes");
	if (cg->current == MW_UNKNOWN)
		return;
	cg->version = 1;
	cg->max = file_number(dir, "memory.limit_in_bytes");
	/* v1 writes "no limit" as LONG_MAX rounded to pages */
	if (cg->max != MW_UNKNOWN && cg->max >= UINT64_C(0x7ffffffffff00000))
		cg->max = MW__NO_LIMIT;
	cg->kernel = file_number(dir, "memory.kmem.usage_in_bytes");
	if (!read_file(dir, "memory.stat", &text))
		return;
	cg->anon = mw__keyed_value(&text, "total_rss ");
	cg->file = mw__keyed_value(&text, "total_cache ");
	cg->shmem = mw__keyed_value(&text, "total_shmem ");
	cg->inactive_file = mw__keyed_value(&text, "total_inactive_file ");
	cg->swap = mw__keyed_value(&text, "total_swap ");
}

/* Is word one of the comma-separated words in [p, end)? */
static bool has_word(const char *p, const char *end, const char *word)
{
	size_t len = strlen(word);

	while (p < end) {
		const char *comma = mw__find(p, end, ',');

		if ((size_t)(comma - p) == len && !memcmp(p, word, len))
			return true;
		p = comma < end ? comma + 1 : end;
	}
	return false;
}

struct span {
	const char *p, *end;
};

static struct span next_word(struct span *line)
{
	struct span word = { line->p, mw__find(line->p, line->end, ' ') };

	line->p = word.end < line->end ? word.end + 1 : line->end;
	return word;
}

static bool is_word(struct span word, const char *text)
{
	return (size_t)(word.end - word.p) == strlen(text) && !memcmp(word.p, text, word.end - word.p);
}

/* The part of path below root, "" for root itself; NULL when it is not below it or the way leads upwards. */
static const char *below(const char *path, struct span root)
{
	size_t n = root.end - root.p;

	if (n == 1 && *root.p == '/')
		n = 0;
	if (strncmp(path, root.p, n) || (path[n] && path[n] != '/'))
		return NULL;
	path += n;
	if (!strncmp(path, "/..", 3) && (!path[3] || path[3] == '/'))
		return NULL;
	return strcmp(path, "/") ? path : "";
}

/* One line of proc(5) mountinfo: does it mount this hierarchy where path can be reached? Then its directory. */
static bool reached_by(struct span line, const char *fs, const char *option, const char *path, struct mw__str *dir)
{
	const char *dash = memmem(line.p, line.end - line.p, " - ", 3);

	if (!dash)
		return false;
	struct span tail = { dash + 3, line.end };

	if (!is_word(next_word(&tail), fs))
		return false;
	next_word(&tail);
	if (option && !has_word(tail.p, tail.end, option))
		return false;
	for (int i = 0; i < 3; i++)	/* id, parent, device */
		next_word(&line);
	struct span root = next_word(&line), at = next_word(&line);
	const char *rest = below(path, root);

	if (!rest)
		return false;
	mw__str_reset(dir);
	mw__str_add(dir, at.p, at.end - at.p);
	mw__str_add(dir, rest, strlen(rest));
	return !dir->failed;
}

static bool group_dir(const struct mw__str *mounts, const char *fs, const char *option, const char *path,
		      struct mw__str *dir)
{
	for (const char *p = mounts->v, *end = p + mounts->n; p < end;) {
		const char *nl = mw__find(p, end, '\n');

		if (reached_by((struct span){ p, nl }, fs, option, path, dir))
			return true;
		p = nl < end ? nl + 1 : end;
	}
	return false;
}

static bool in_first_namespace(const struct mw__proc *proc)
{
	struct stat st;

	return !fstatat(proc->root_fd, "self/ns/cgroup", &st, 0) && st.st_ino == FIRST_CGROUP_NS;
}

static bool find_dir(const char *cgroupfs, const struct mw__str *mounts, bool unified, const char *path, struct mw__str *dir)
{
	if (!cgroupfs)
		return group_dir(mounts, unified ? "cgroup2" : "cgroup", unified ? NULL : "memory", path, dir);
	mw__str_reset(dir);
	mw__str_printf(dir, "%s%s%s", cgroupfs, unified ? "" : "/memory", path);
	return !dir->failed;
}

/* Lines "ID:CONTROLLERS:PATH": v2 is "0::PATH", v1 has one that names memory. */
void mw__cgroup_read(const struct mw__proc *proc, const char *cgroupfs, struct mw__cgroup *ret,
		     struct mw__arena *arena)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	MW_CLEANUP(mw__str_deinit) struct mw__str mounts = {};
	MW_CLEANUP(mw__str_deinit) struct mw__str dir = {};

	if ((!proc->is_live && !cgroupfs) || mw__proc_text(proc, "cgroup", &text, NULL) < 0)
		return;
	if (!cgroupfs && mw__proc_root_text(proc, "self/mountinfo", &mounts, NULL) < 0)
		return;
	for (const char *p = text.v, *end = p + text.n; p < end;) {
		const char *nl = mw__find(p, end, '\n');
		const char *a = mw__find(p, nl, ':'), *b = a < nl ? mw__find(a + 1, nl, ':') : nl;

		if (b < nl && ret->version == 0) {
			bool unified = b == a + 1;

			ret->path = mw__arena_strn(arena, b + 1, nl - b - 1);
			if (ret->path && (unified || has_word(a + 1, b, "memory")) &&
			    find_dir(cgroupfs, &mounts, unified, ret->path, &dir))
				(unified ? read_v2 : read_v1)(dir.v, ret);
		}
		p = nl < end ? nl + 1 : end;
	}
	if (!ret->version)
		ret->path = NULL;
	ret->is_root = ret->path && !strcmp(ret->path, "/") && in_first_namespace(proc);
}
