/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Targets, the same everywhere: a pid, the name of a process, a core or saved snapshot, or -- COMMAND to start
 * one. Digits are a pid; what holds a slash or is a file is a core or snapshot; the rest is a name, and so is a
 * program in the working directory, where people stand who wrote what is running.
 */
#include "cmd.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int by_pid(struct settings *s, pid_t pid, struct mw_snapshot **ret)
{
	struct mw_err err = {};
	int rc = mw_collect_pid(pid, &s->collect, ret, &err);

	return rc < 0 ? fail(EXIT_TARGET, &err) : EXIT_OK;
}

static const char elf_hint[] = "memwhy explain -- PROGRAM starts it and explains it, memwhy elf FILE inspects the file";

/* A program, or a script, is no target by itself. */
static bool is_program(const char *path)
{
	char magic[4] = "";
	struct stat st;
	/* opening a pipe again might wait */
	FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;
	bool is = f && fread(magic, 1, sizeof(magic), f) == sizeof(magic) &&
		  ((!memcmp(magic, "\177ELF", sizeof(magic)) && !mw_is_core(path)) || !memcmp(magic, "#!", 2));

	if (f)
		fclose(f);
	return is;
}

static int by_file(struct settings *s, const char *path, struct mw_snapshot **ret)
{
	struct mw_err err = {};

	s->is_saved = true;
	if (mw_is_core(path))
		return mw_collect_core(path, &s->collect, ret, &err) < 0 ? fail(EXIT_TARGET, &err) : EXIT_OK;
	if (mw_collect_saved(path, &s->collect, ret, &err) >= 0)
		return EXIT_OK;
	return is_program(path) ? fail_text(EXIT_TARGET, elf_hint, "%s", err.text) : fail(EXIT_TARGET, &err);
}

#define LISTED 8u

/* "   4242   3 min  command": a line of a list, with nothing that a terminal would obey. */
static size_t add_line(char *buf, size_t size, pid_t pid)
{
	struct mw_process p = { .size = sizeof(p), .age_ns = MW_UNKNOWN };
	char since[32] = "";

	if (mw_process_read(pid, &p, NULL) == 0 && p.age_ns != MW_UNKNOWN) {
		uint64_t s = p.age_ns / 1000000000u;

		snprintf(since, sizeof(since), "%" PRIu64 " %s", s < 120 ? s : s < 7200 ? s / 60 : s / 3600,
			 s < 120 ? "s" : s < 7200 ? "min" : "h");
	}
	for (char *c = p.command; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = ' ';
	return (size_t)snprintf(buf, size, "\n  %7d %7s  %.59s", (int)pid, since, p.command);
}

/* One line each, so that the right one can be told. */
static int say_ambiguous(const char *name, const pid_t *pids, size_t n)
{
	char list[LISTED * 128] = "";
	size_t used = 0;

	for (size_t i = 0; i < n && i < LISTED; i++)
		used += add_line(list + used, sizeof(list) - used, pids[i]);
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
		 is_program(name) ? by_file(s, name, ret) :
		 fail_text(EXIT_TARGET, "a target is a pid, the name of a process, a core or saved snapshot, or -- COMMAND",
			   "%s: no process of this name, no file, and no command", name);

	free(pids);
	return rc;
}

int get_pid(const char *text, pid_t *ret)
{
	bool is_number = *text && strspn(text, "0123456789") == strlen(text);
	long pid = is_number ? strtol(text, NULL, 10) : 0;

	if (is_number && (pid < 1 || pid > PID_LIMIT))
		return fail_text(EXIT_TARGET, NULL, "%s: no such process: pids go from 1 to %d", text, PID_LIMIT);
	*ret = (pid_t)pid;
	return EXIT_OK;
}

bool is_command(const struct settings *s, char **operands)
{
	/* getopt stepped over "--"; an operand that stood before it would be behind it now */
	return !s->pid && !strcmp(operands[-1], "--") && s->dashes == optind - 1;
}

int get_snapshot(struct settings *s, int argc, char **argv, struct mw_snapshot **ret)
{
	pid_t pid = s->pid;
	struct stat st;

	if (argc > 0 && is_command(s, argv))
		return run_child(s, argv, ret);
	if (argc + (s->pid != 0) != 1)
		return fail_text(EXIT_USAGE, "a target is a pid, the name of a process, a core or saved snapshot, or -- COMMAND",
				 argc ? "one target at a time" : "no target given");
	int code = pid ? EXIT_OK : get_pid(argv[0], &pid);

	if (code || pid)
		return code ? code : by_pid(s, pid, ret);
	if (strchr(argv[0], '/') || (stat(argv[0], &st) == 0 && S_ISREG(st.st_mode) && !is_program(argv[0])))
		return by_file(s, argv[0], ret);
	return by_name(s, argv[0], ret);
}

int report_target(struct settings *s, int argc, char **argv, report_fn report, void *ctx)
{
	struct mw_snapshot *snap = NULL;
	int code = get_snapshot(s, argc, argv, &snap);

	return code ? code : finish_snapshot(s, snap, print_report(s, snap, report, ctx));
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
