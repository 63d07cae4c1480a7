/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command: arguments in, exit code out. A subcommand is a const struct in its own file; main.c
 * dispatches, opt.c turns the option tables into parsing, --help and completions.
 */
#ifndef MW_CMD_CMD_H
#define MW_CMD_CMD_H

#include "../lib/memwhy.h"

/* Exit codes, memwhy(1). */
enum {
	EXIT_OK = 0,
	EXIT_NO = 1,		/* the answer is no */
	EXIT_USAGE = 2,
	EXIT_TARGET = 3,	/* missing, unreadable, not what it should be; output not written */
	EXIT_PARTIAL = 4,	/* with --strict */
};

/* What an option's argument is, for completions. */
enum arg_kind { ARG_NONE, ARG_TEXT, ARG_NUMBER, ARG_FILE, ARG_DIR, ARG_PID, ARG_WORDS };

struct opt {
	int id;			/* the letter, or a number above 255 */
	const char *name;	/* long name */
	const char *arg;	/* NULL: takes none; "[X]": optional */
	enum arg_kind kind;
	const char *help;
	const char *words;	/* ARG_WORDS: blank-separated */
};

/* Everything the options of all subcommands can set. */
struct settings {
	struct mw_collect_opts collect;
	struct mw_text_opts text;
	bool json, strict, unit_given;
	bool is_saved;		/* the target came from a file */
	pid_t pid;		/* -p */
	double after;		/* seconds that a started command runs before it is explained */
	const char *output;	/* -o of record */
};

struct command {
	const char *name, *summary, *usage;
	const char *examples;
	const struct opt *const *tables;	/* ends with NULL */
	bool takes_target;
	bool is_wrapper;	/* its options end at the first operand: the rest is a command's */
	/* argv[0] is the subcommand; returns an exit code */
	int (*run)(int argc, char **argv);
};
extern const struct command *const commands[];	/* ends with NULL */
extern const struct command cmd_faults, cmd_tlb;
extern const struct command cmd_heap, cmd_run, cmd_bench;

extern const struct command cmd_explain, cmd_maps, cmd_sections, cmd_pages, cmd_at, cmd_top, cmd_record, cmd_doctor, cmd_demo, cmd_completion, cmd_elf;

/* opt.c */
extern const struct opt opts_target[], opts_collect[], opts_print[], opts_table[], opts_help[];
/*
 * The next option of the command: its id with its argument in *arg, -1 at the end (then optind is the
 * first operand), or -2 after an error was printed. Options of the common tables are stored in settings.
 */
int next_option(const struct command *cmd, int argc, char **argv, struct settings *s, const char **arg);
void init_settings(struct settings *s);
int print_help(const struct command *cmd);

/* target.c */
/* A snapshot of the target that the operands name; 0 or an exit code after printing an error. */
int get_snapshot(struct settings *s, int argc, char **argv, struct mw_snapshot **ret);

/*
 * Take the operand behind the target, an object or place, off argv; *place is NULL without one. 0, or an
 * exit code after printing an error.
 */
/* The processor that the target runs on: from a file of words, this one, or NULL when it is not known which. */
int get_cpu(const struct settings *s, const char *words, struct mw_cpu **ret);
int split_place(struct settings *s, int *argc, char **argv, const char **place);

/* child.c: start argv, take a snapshot after s->after seconds or when it ends, then end it. */
int run_child(struct settings *s, char **argv, struct mw_snapshot **ret);

/*
 * Start argv and wait for its end, passing signals on; at_end (NULL: nobody) is called while it stands still just
 * before its memory goes. 0 and its wait status, or errno of starting it.
 */
struct watch {
	char **argv;
	void (*at_end)(void *ctx, pid_t pid);
	void *ctx;
	int in, out;	/* its standard input and output, 0: ours */
	void (*at_start)(void *ctx, pid_t pid);	/* before it executes anything; or NULL */
	double timeout;	/* seconds until it is killed; 0: never */
	bool timed_out;	/* out */
};
int watch_child(struct watch *w, int *status);

/* library.c: the absolute path of our allocator: lib, or the one that belongs to this command; 0 or -1 with an error printed. */
#define PATHS 4096
int find_allocator(const char *lib, char path[PATHS]);

/* workloads.c */
/* Workload i with a few words about it, or NULL. */
const char *workload_name(size_t i, const char **what);
/*
 * Run one and print what its process measured, in one line: CPU in ns, largest RSS, RSS after everything was
 * freed, and pages of files in it, in bytes. An exit code. With only_count it prints the most bytes that it held
 * at once, and nothing else.
 */
int serve_workload(const char *name, double scale, bool only_count);

/* syscalls.c: count those of a process from its next execve() on; -1: not possible here. Its number; MW_UNKNOWN. */
int syscalls_count(pid_t pid);
uint64_t syscalls_read(int fd);

/* out.c */
/* "memwhy: text" and a hint; returns code. */
int fail(int code, const struct mw_err *err);
int fail_text(int code, const char *hint, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Print the document as the settings say and destroy it; returns an exit code. */
int print_document(const struct settings *s, struct mw_document *doc);
extern const struct mw_sink stdout_sink;
/* Flush standard output: 0, or an exit code after printing why it could not be written. */
int finish_output(void);
/* Exit code of a command that is done with snap: code, or EXIT_PARTIAL when --strict asks for exact numbers. */
int finish_snapshot(const struct settings *s, struct mw_snapshot *snap, int code);
/* The same for a report on snap: rc, doc and err are what making it gave. */
int finish_report(const struct settings *s, struct mw_snapshot *snap, int rc, struct mw_document *doc,
		  const struct mw_err *err);

#endif
