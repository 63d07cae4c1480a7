/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A program under our allocator: LD_PRELOAD names the library, MEMWHY_MALLOC its options, and exec(2) does
 * the rest, so signals, terminal, pid and exit status are the program's own. Only with --report a parent
 * stays: it looks at the program just before its memory goes, and ends as the program did.
 *
 * Exit codes are env(1)'s: 125 our own failure, 126 the command cannot be executed, 127 it is not there.
 */
#include "cmd.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { EXIT_RUN = 125, EXIT_CANNOT = 126, EXIT_ABSENT = 127 };

enum { OPT_LIB = 1000, OPT_REPORT, OPT_SAMPLE, OPT_STACKS, OPT_RETAIN, OPT_DECAY, OPT_PURGE, OPT_THP, OPT_ERRORS, OPT_AUDIT,
       OPT_ZERO, OPT_RANDOM, OPT_GUARD, OPT_HARD, OPT_NOCACHE, OPT_BACKGROUND, OPT_SEED };

static const struct opt own[] = {
	{ OPT_LIB, "lib", "PATH", ARG_FILE, "the allocator, instead of the one beside this command", NULL },
	{ OPT_REPORT, "report", NULL, ARG_NONE, "when the program ends, print to standard error what memwhy heap tells", NULL },
	{ OPT_SAMPLE, "sample", "SIZE", ARG_TEXT, "a stack for each SIZE bytes requested, on average (default 512k, 0 none)", NULL },
	{ OPT_STACKS, "stacks", "WHAT", ARG_WORDS, "how much of a stack: full or caller", "full caller" },
	{ OPT_RETAIN, "retain", "SIZE", ARG_TEXT, "free memory kept before it is given back (default 8m)", NULL },
	{ OPT_DECAY, "decay", "MS", ARG_NUMBER, "half of what nobody wanted goes each half of this (default 1000)", NULL },
	{ OPT_PURGE, "purge", "HOW", ARG_WORDS, "give back by dontneed, free or off", "dontneed free off" },
	{ OPT_THP, "thp", "WHEN", ARG_WORDS, "transparent huge pages: kernel, never, auto or always", "kernel never auto always" },
	{ OPT_ERRORS, "errors", "HOW", ARG_WORDS, "after an error of the program abort, or count it and go on", "abort count" },
	{ OPT_AUDIT, "audit", NULL, ARG_NONE, "check every block, and keep what was requested", NULL },
	{ OPT_ZERO, "zero", NULL, ARG_NONE, "clear memory when it is freed", NULL },
	{ OPT_RANDOM, "random", NULL, ARG_NONE, "place objects at random", NULL },
	{ OPT_GUARD, "guard", NULL, ARG_NONE, "sampled and large blocks end at an unreadable page", NULL },
	{ OPT_HARD, "hard", NULL, ARG_NONE, "audit, zero, random and guard", NULL },
	{ OPT_NOCACHE, "nocache", NULL, ARG_NONE, "threads keep no free objects", NULL },
	{ OPT_BACKGROUND, "background", "WHEN", ARG_WORDS, "whether a thread may give back what a silent program keeps", "on off" },
	{ OPT_SEED, "seed", "NUMBER", ARG_NUMBER, "start of the allocator's random numbers", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, NULL };

#define DYNAMIC_MAX (1u << 20)	/* bytes of a dynamic section that is looked through */

struct plan {
	const char *lib;
	bool report;
	char options[1024];	/* for MEMWHY_MALLOC */
};

/* ------------------------------------------------------------------ options */

static const struct opt *find_opt(int id)
{
	for (const struct opt *o = own; o->name; o++)
		if (o->id == id)
			return o;
	return NULL;
}

/* Is value one of the option's words, or a number with k, m or g behind it? */
static bool is_valid(const struct opt *o, const char *value)
{
	size_t digits = strspn(value, "0123456789"), len = strlen(value);
	const char *w = o->words;

	if (o->kind != ARG_WORDS)
		return digits && digits < 19 && (!value[digits] || (o->kind == ARG_TEXT && strchr("kmgKMG", value[digits]) && !value[digits + 1]));
	for (; w && *w; w += strcspn(w, " "), w += *w == ' ')
		if (strcspn(w, " ") == len && !strncmp(w, value, len))
			return true;
	return false;
}

/* The long options are the allocator's own names. */
static int add_option(struct plan *p, int id, const char *arg)
{
	const struct opt *o = find_opt(id);
	const char *value = o && o->arg ? arg : NULL;
	size_t used = strlen(p->options);

	if (!o)
		return EXIT_RUN;
	if (value && !is_valid(o, value))
		return fail_text(EXIT_RUN, "memwhy run --help", o->words ? "--%s: %s is none of %s" : "--%s: %s is no %s", o->name, value,
				 o->words ? o->words : "number");
	int n = snprintf(p->options + used, sizeof(p->options) - used, "%s%s=%s", used ? "," : "", o->name, value ? value : "1");

	return n < 0 || (size_t)n >= sizeof(p->options) - used ? fail_text(EXIT_RUN, NULL, "run: too many options") : 0;
}

static int parse(int argc, char **argv, struct settings *s, struct plan *p)
{
	const char *arg;

	for (int id, code; (id = next_option(&cmd_run, argc, argv, s, &arg)) != -1;) {
		if (id == OPT_LIB)
			p->lib = arg;
		else if (id == OPT_REPORT)
			p->report = true;
		else if (id < OPT_LIB)
			return EXIT_RUN;
		else if ((code = add_option(p, id, arg)))
			return code;
	}
	if (optind < argc)
		return 0;
	return fail_text(EXIT_RUN, "memwhy run -- COMMAND", "run: no command given");
}

/* -------------------------------------------------------------- environment */

/* NAME=first + sep + what was there. */
static int prepend(const char *name, const char *first, char sep, bool behind)
{
	const char *old = getenv(name);
	char *all = NULL;
	int n = !old || !*old ? asprintf(&all, "%s", first) : behind ? asprintf(&all, "%s%c%s", old, sep, first) :
							      asprintf(&all, "%s%c%s", first, sep, old);
	int rc = n < 0 ? -1 : setenv(name, all, 1);

	if (n >= 0)
		free(all);
	return rc < 0 ? fail_text(EXIT_RUN, NULL, "run: out of memory") : 0;
}

static int set_environment(const struct plan *p)
{
	char path[PATHS];
	int code = find_allocator(p->lib, path) < 0 ? EXIT_RUN : 0;

	if (code == 0)
		code = prepend("LD_PRELOAD", path, ':', false);
	if (code == 0 && *p->options)
		code = prepend("MEMWHY_MALLOC", p->options, ',', true);
	return code;
}

/* ------------------------------------------------------------------ command */

static int open_in_path(const char *name)
{
	const char *dirs = getenv("PATH");
	char path[PATHS];

	if (strchr(name, '/'))
		return open(name, O_RDONLY | O_CLOEXEC);
	for (; dirs; dirs = strchr(dirs, ':'), dirs += dirs != NULL) {
		int len = (int)strcspn(dirs, ":");

		snprintf(path, sizeof(path), "%.*s%s%s", len, dirs, len ? "/" : "", name);
		if (access(path, X_OK) == 0)
			return open(path, O_RDONLY | O_CLOEXEC);
	}
	return -1;
}

/* What execve(2) loads: of a script its interpreter, whose name then takes the place of the script's. */
static int open_command(const char **name, char interpreter[PATHS])
{
	char line[PATHS];
	int fd = open_in_path(*name);

	for (unsigned depth = 0; fd >= 0 && depth < 5; depth++) {
		ssize_t n = pread(fd, line, sizeof(line) - 1, 0);

		line[n > 0 ? n : 0] = '\0';
		if (strncmp(line, "#!", 2) != 0)
			break;
		const char *from = line + 2 + strspn(line + 2, " \t");

		snprintf(interpreter, PATHS, "%.*s", (int)strcspn(from, " \t\n"), from);
		close(fd);
		fd = open(interpreter, O_RDONLY | O_CLOEXEC);
		*name = interpreter;
	}
	return fd;
}

/* The loader that it names; "" if none, NULL if that cannot be told. */
static const char *read_interpreter(int fd, const Elf64_Ehdr *e, char *buf, size_t size)
{
	for (unsigned i = 0; i < e->e_phnum; i++) {
		Elf64_Phdr p;

		if (pread(fd, &p, sizeof(p), (off_t)(e->e_phoff + i * sizeof(p))) != sizeof(p))
			return NULL;
		if (p.p_type != PT_INTERP)
			continue;
		ssize_t n = p.p_filesz < size ? pread(fd, buf, p.p_filesz, (off_t)p.p_offset) : -1;

		if (n < 0)
			return NULL;
		buf[n] = '\0';
		return buf;
	}
	return "";
}

/* Of a loaded address; 0 where the file has nothing of it. */
static off_t offset_of(int fd, const Elf64_Ehdr *e, uint64_t addr)
{
	for (unsigned i = 0; i < e->e_phnum; i++) {
		Elf64_Phdr p;

		if (pread(fd, &p, sizeof(p), (off_t)(e->e_phoff + i * sizeof(p))) == sizeof(p) && p.p_type == PT_LOAD &&
		    addr - p.p_vaddr < p.p_filesz)
			return (off_t)(p.p_offset + (addr - p.p_vaddr));
	}
	return 0;
}

/*
 * A sanitizer's library that it is linked with, in name: its malloc must come first, and it knows which addresses
 * are free.
 */
static bool needs_sanitizer(int fd, const Elf64_Ehdr *e, char name[24])
{
	static const char *const libraries[] = { "libasan.so", "libtsan.so", "libhwasan.so" };
	uint64_t at = 0, end = 0;
	off_t names = 0;
	Elf64_Dyn d;

	for (unsigned i = 0; i < e->e_phnum; i++) {
		Elf64_Phdr p;

		if (pread(fd, &p, sizeof(p), (off_t)(e->e_phoff + i * sizeof(p))) == sizeof(p) && p.p_type == PT_DYNAMIC) {
			at = p.p_offset;
			end = p.p_filesz < DYNAMIC_MAX ? at + p.p_filesz : at;
		}
	}
	for (uint64_t k = at; k < end && !names && pread(fd, &d, sizeof(d), (off_t)k) == sizeof(d); k += sizeof(d))
		names = d.d_tag == DT_STRTAB ? offset_of(fd, e, d.d_un.d_ptr) : 0;
	for (; names && at < end && pread(fd, &d, sizeof(d), (off_t)at) == sizeof(d) && d.d_tag != DT_NULL; at += sizeof(d)) {
		ssize_t n = d.d_tag == DT_NEEDED ? pread(fd, name, 23, names + (off_t)d.d_un.d_val) : -1;

		name[n > 0 ? n : 0] = '\0';
		for (size_t i = 0; i < COUNT(libraries); i++)
			if (!strncmp(name, libraries[i], strlen(libraries[i])))
				return true;
	}
	return false;
}

/* Will it run with other rights than ours (AT_SECURE)? As execve(2) decides. */
static bool raises_privileges(int fd)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(fd, &st) < 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 || (fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_NOSUID))
		return false;
	return (st.st_mode & S_ISUID && st.st_uid != getuid()) ||
	       ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getgid()) ||
	       (getuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0);
}

/*
 * Programs that the loader will not preload run all the same, with the allocator they have. False: it would not
 * start with ours, which is made for glibc's loader and for a program without a sanitizer. One that raises its
 * privileges is not traced either: it would not get them.
 */
bool warn_if_not_preloaded(const char *name, bool *report)
{
	char buf[PATHS], interpreter[PATHS], sanitizer[24];
	int fd = open_command(&name, interpreter);
	Elf64_Ehdr e;

	if (fd < 0)
		return true;
	bool privileged = raises_privileges(fd);
	bool is_elf = pread(fd, &e, sizeof(e), 0) == sizeof(e) && !memcmp(e.e_ident, ELFMAG, SELFMAG);

	if (privileged)
		fail_text(0, NULL, "%s: it runs with raised privileges, so the loader ignores LD_PRELOAD%s", name,
			  *report ? ", and there is no report" : "");
	else if (is_elf && e.e_ident[EI_CLASS] == ELFCLASS32)
		fail_text(0, NULL, "%s: a 32-bit program, so the allocator cannot be preloaded", name);
	const char *loader = is_elf && e.e_ident[EI_CLASS] == ELFCLASS64 ? read_interpreter(fd, &e, buf, sizeof(buf)) : NULL;

	if (loader && !*loader)
		fail_text(0, NULL, "%s: it is statically linked, so the allocator cannot be preloaded", name);
	bool sanitized = loader && *loader && needs_sanitizer(fd, &e, sanitizer), musl = loader && strstr(loader, "/ld-musl");

	close(fd);
	*report &= !privileged;
	if (sanitized)
		fail_text(0, NULL, "%s: it is linked with %s, whose malloc must come first: not preloaded", name, sanitizer);
	else if (musl)
		fail_text(0, NULL, "%s: it runs on musl, for which the allocator is not made: not preloaded", name);
	return !sanitized && !musl;
}

static int say_not_started(const char *name, int error)
{
	return fail_text(error == ENOENT ? EXIT_ABSENT : EXIT_CANNOT, NULL, "%s: start: %s", name, strerror(error));
}

/* --------------------------------------------------------------- end report */

static int write_stderr(void *ctx, const void *bytes, size_t len)
{
	(void)ctx;
	return fwrite(bytes, 1, len, stderr) == len ? 0 : -MW_E_WRITE;
}

struct last_look {
	struct settings *s;
	struct mw_snapshot *snap;
	struct mw_err err;	/* why there is none */
};

/* The program stands still, its memory is about to go. */
static void look_at_end(void *ctx, pid_t pid)
{
	struct last_look *l = ctx;
	struct mw_snapshot *snap = NULL;

	if (mw_collect_pid(pid, &l->s->collect, &snap, &l->err) < 0)
		return;
	mw_snapshot_destroy(l->snap);
	l->snap = snap;
}

static void print_end(struct last_look *l)
{
	const struct mw_sink sink = { write_stderr, NULL };
	struct mw_heap_opts opts = { .size = sizeof(opts) };
	struct mw_document *doc = NULL;

	l->s->text.color = false;
	if (!l->snap || mw_report_heap(l->snap, &opts, &doc, &l->err) < 0 || mw_document_text(doc, &l->s->text, &sink, &l->err) < 0)
		fail(0, &l->err);
	mw_document_destroy(doc);
	mw_snapshot_destroy(l->snap);
}

static int run(int argc, char **argv)
{
	struct plan p = {};
	struct settings s;
	int status = 0;

	init_settings(&s);
	s.collect.max_sites = SITES_SHOWN;
	int code = parse(argc, argv, &s, &p);

	if (code)
		return code;
	if (warn_if_not_preloaded(argv[optind], &p.report))
		code = set_environment(&p);
	if (code)
		return code;
	if (p.report && is_proc_foreign()) {
		fail_text(0, foreign_hint, "--report: this /proc belongs to another pid namespace, so there is no report");
		p.report = false;
	}
	if (!p.report) {
		execvp(argv[optind], argv + optind);
		return say_not_started(argv[optind], errno);
	}
	struct last_look look = { .s = &s };
	int error = watch_child(&(struct watch){ .argv = argv + optind, .at_end = look_at_end, .ctx = &look, .stops_too = true }, &status);

	if (error)
		return say_not_started(argv[optind], error);
	if (look.snap || *look.err.text)
		print_end(&look);
	return WIFEXITED(status) ? WEXITSTATUS(status) : end_by(WTERMSIG(status));
}

const struct command cmd_run = {
	.name = "run",
	.summary = "Runs a program under the allocator that memwhy heap can read",
	.usage = "run [OPTION]... [--] COMMAND [ARGUMENT]...",
	.examples = "  memwhy run ./server --port 80\n"
		    "  memwhy run --report -- python3 script.py\n"
		    "  memwhy run --hard --errors=count ./tests\n",
	.tables = tables,
	.is_wrapper = true,
	.run = run,
};
