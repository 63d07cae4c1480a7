/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Targets, the same everywhere: a pid, the name of a process, a core or saved snapshot, or -- COMMAND to start
 * one. Digits are a pid; what holds a slash or is a file is a snapshot; the rest is a name.
 */
#include "cmd.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int by_pid(struct settings *s, pid_t pid, struct mw_snapshot **ret)
{
	struct mw_err err = {};
	int rc = mw_collect_pid(pid, &s->collect, ret, &err);

	return rc < 0 ? fail(EXIT_TARGET, &err) : EXIT_OK;
}

static int by_file(struct settings *s, const char *path, struct mw_snapshot **ret)
{
	struct mw_err err = {};

	s->is_saved = true;
	int rc = mw_is_core(path) ? mw_collect_core(path, &s->collect, ret, &err) : mw_collect_saved(path, &s->collect, ret, &err);

	return rc < 0 ? fail(EXIT_TARGET, &err) : EXIT_OK;
}

static int say_ambiguous(const char *name, const pid_t *pids, size_t n)
{
	char list[128] = "";
	size_t used = 0;

	for (size_t i = 0; i < n && used < sizeof(list) - 24; i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%d", i ? ", " : "", pids[i]);
	return fail_text(EXIT_TARGET, "give one of the pids", "%s: %zu processes have this name: %s%s", name, n, list,
			 used >= sizeof(list) - 24 ? ", ..." : "");
}

static int by_name(struct settings *s, const char *name, struct mw_snapshot **ret)
{
	struct mw_err err = {};
	pid_t *pids = NULL;
	size_t n = 0;

	if (mw_process_find(name, &pids, &n, &err) < 0)
		return fail(EXIT_TARGET, &err);
	int rc = n == 1 ? by_pid(s, pids[0], ret) : n ? say_ambiguous(name, pids, n) :
		 fail_text(EXIT_TARGET, "a target is a pid, the name of a process, a core or saved snapshot, or -- COMMAND",
			   "%s: no process of this name, no file, and no command", name);

	free(pids);
	return rc;
}

static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s);
}

int get_snapshot(struct settings *s, int argc, char **argv, struct mw_snapshot **ret)
{
	struct stat st;

	/* getopt stepped over "--": a command follows */
	if (argc > 0 && !s->pid && !strcmp(argv[-1], "--"))
		return run_child(s, argv, ret);
	if (argc + (s->pid != 0) != 1)
		return fail_text(EXIT_USAGE, "a target is a pid, the name of a process, a core or saved snapshot, or -- COMMAND",
				 argc ? "one target at a time" : "no target given");
	if (s->pid)
		return by_pid(s, s->pid, ret);
	if (is_number(argv[0])) {
		long pid = strtol(argv[0], NULL, 10);

		if (pid < 1 || pid > 4194304)
			return fail_text(EXIT_TARGET, NULL, "%s: no such process: pids go from 1 to 4194304", argv[0]);
		return by_pid(s, (pid_t)pid, ret);
	}
	if (strchr(argv[0], '/') || (stat(argv[0], &st) == 0 && S_ISREG(st.st_mode)))
		return by_file(s, argv[0], ret);
	return by_name(s, argv[0], ret);
}

int get_cpu(const struct settings *s, const char *words, struct mw_cpu **ret, struct mw_err *err)
{
	*ret = NULL;
	if (!words && (s->is_saved || s->collect.procfs))
		return 0;
	return words ? mw_cpu_open(words, ret, err) : mw_cpu_read(ret, err);
}

int split_place(struct settings *s, int *argc, char **argv, const char **place)
{
	int first = optind;

	*place = NULL;
	if (first > 0 && !strcmp(argv[first - 1], "--"))
		return EXIT_OK;
	int n = *argc - first - (s->pid ? 0 : 1);

	if (n > 1)
		return fail_text(EXIT_USAGE, "the target comes first, then one object or place", "%s: one place at a time",
				 argv[*argc - 1]);
	if (n == 1) {
		*place = argv[*argc - 1];
		--*argc;
	}
	return EXIT_OK;
}
