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
#include <unistd.h>

static void close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}
#define MW_FILE __attribute__((cleanup(close_file)))

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

/* The command line, arguments parted by blanks, nothing that a terminal would obey; "" if it cannot be read. */
static void read_command(pid_t pid, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	MW_FILE FILE *f = fopen(path, "re");
	size_t n = f ? fread(buf, 1, size - 1, f) : 0;

	while (n && !buf[n - 1])
		n--;
	buf[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)buf[i] < ' ' || buf[i] == 127)
			buf[i] = ' ';
}

/* Seconds for which the process has been there, or -1. */
static double read_age(pid_t pid)
{
	unsigned long long start;
	char path[64], line[1024];
	double up;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	MW_FILE FILE *f = fopen(path, "re");
	MW_FILE FILE *u = fopen("/proc/uptime", "re");
	const char *behind = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;

	if (!behind || !u || fscanf(u, "%lf", &up) != 1 ||
	    sscanf(behind + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &start) != 1)
		return -1;
	return up - (double)start / (double)sysconf(_SC_CLK_TCK);
}

#define LISTED 8u

/* One line each, so that the right one can be told. */
static int say_ambiguous(const char *name, const pid_t *pids, size_t n)
{
	char list[LISTED * 128] = "";
	size_t used = 0;

	for (size_t i = 0; i < n && i < LISTED; i++) {
		double age = read_age(pids[i]);
		char command[60], since[32] = "";

		read_command(pids[i], command, sizeof(command));
		if (age >= 0)
			snprintf(since, sizeof(since), "%.0f %s", age < 120 ? age : age < 7200 ? age / 60 : age / 3600,
				 age < 120 ? "s" : age < 7200 ? "min" : "h");
		used += (size_t)snprintf(list + used, sizeof(list) - used, "\n  %7d %7s  %s", (int)pids[i], since, command);
	}
	return fail_text(EXIT_TARGET, "give one of the pids", "%s: %zu processes have this name (pid, age, command):%s%s", name, n, list,
			 n > LISTED ? "\n      ..." : "");
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

bool is_command(const struct settings *s, char **operands)
{
	/* getopt stepped over "--"; an operand that stood before it would be behind it now */
	return !s->pid && !strcmp(operands[-1], "--") && s->dashes == optind - 1;
}

int get_snapshot(struct settings *s, int argc, char **argv, struct mw_snapshot **ret)
{
	struct stat st;

	if (argc > 0 && is_command(s, argv))
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
