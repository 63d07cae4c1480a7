/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command: arguments in, exit code out. A subcommand is a const struct in its own file; main.c
 * dispatches, opt.c turns the option tables into parsing, --help and completions.
 */
#ifndef MW_CMD_CMD_H
#define MW_CMD_CMD_H

#include "../lib/memwhy.h"

#include <stdio.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))	/* elements of an array */

/* Exit codes, memwhy(1). */
enum {
	EXIT_OK = 0,
	EXIT_NO = 1,		/* the answer is no */
	EXIT_USAGE = 2,
	EXIT_TARGET = 3,	/* missing, unreadable, not what it should be; output not written */
	EXIT_PARTIAL = 4,	/* with --strict */
};

#define PID_LIMIT 4194304	/* the largest number that kernel.pid_max may have (Linux, include/linux/threads.h) */

/* What an option's argument is, for completions. */
enum arg_kind { ARG_NONE, ARG_TEXT, ARG_NUMBER, ARG_FILE, ARG_DIR, ARG_PID, ARG_WORDS };

struct opt {
	int id;			/* the letter, or a number above 255 */
	const char *name;	/* long name */
	const char *arg;	/* NULL: takes none; "[X]": optional */
	enum arg_kind kind;
	const char *help;	/* NULL: taken, but not told */
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
	int dashes;		/* where "--" stood before getopt put the operands behind it; 0: nowhere */
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
extern const struct command cmd_explain, cmd_maps, cmd_sections, cmd_pages, cmd_at, cmd_faults, cmd_tlb, cmd_heap, cmd_run, cmd_bench,
	cmd_top, cmd_elf, cmd_record, cmd_doctor, cmd_demo, cmd_completion;

/* opt.c */
extern const struct opt opts_target[], opts_collect[], opts_print[], opts_table[], opts_help[];
/*
 * The next option of the command: its id with its argument in *arg, -1 at the end (then optind is the
 * first operand), or -2 after an error was printed. Options of the common tables are stored in settings.
 */
int next_option(const struct command *cmd, int argc, char **argv, struct settings *s, const char **arg);
void init_settings(struct settings *s);
int print_help(const struct command *cmd);
/* The argument of --name: a number of this range, or a word's place in a list. False after an error was printed. */
bool take_number(const char *name, const char *text, double min, double max, double *ret);
/* The same of a number without a fraction, 0 or more. */
bool take_whole(const char *name, const char *text, double min, double max, double *ret);
bool take_word(const char *name, const char *text, const char *const *words, int *ret);

/* out.c */
/* "memwhy: text" and a hint; returns code. */
int fail(int code, const struct mw_err *err);
int fail_text(int code, const char *hint, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Flush standard output: 0, or an exit code after printing why it could not be written. */
int finish_output(void);

/* What a command has to say of a snapshot (NULL: of none), as a document. Returns 0 or an error of the library. */
typedef int (*report_fn)(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err);
/* How every command ends: make the document and print it as the settings say; an exit code. */
int print_report(const struct settings *s, const struct mw_snapshot *snap, report_fn report, void *ctx);
/* Done with snap: code, or EXIT_PARTIAL when --strict asks for exact numbers. */
int finish_snapshot(const struct settings *s, struct mw_snapshot *snap, int code);

/* A file that is written; NULL or "-" is standard output. An exit code after printing why not. */
struct output {
	const char *path;
	FILE *file;
	struct mw_sink sink;
};
int open_output(struct output *out, const char *path);
/* Before work that would be lost: could it be written? Nothing is left behind, and a file that is there stays as it is. */
int try_output(const char *path);
/* rc and err are what writing gave. */
int close_output(struct output *out, int rc, const struct mw_err *err);

/* target.c */
/* Are the operands, of which there is at least one, a command to start: only options before "--"? */
bool is_command(const struct settings *s, char **operands);
/* The pid that digits are, 0 of what is not all digits. EXIT_TARGET, after printing it, where no pid is so large. */
int get_pid(const char *text, pid_t *ret);
/* A snapshot of the target that the operands name; 0 or an exit code after printing an error. */
int get_snapshot(struct settings *s, int argc, char **argv, struct mw_snapshot **ret);
/* Whole: the snapshot of the target, the report on it, and what --strict asks of it. */
int report_target(struct settings *s, int argc, char **argv, report_fn report, void *ctx);
/* The processor that the target runs on: from a file of words, this one, or NULL when it is not known which. */
int get_cpu(const struct settings *s, const char *words, struct mw_cpu **ret, struct mw_err *err);
/*
 * Take the operand behind the target, an object or place, off argv; *place is NULL without one. 0, or an
 * exit code after printing an error.
 */
int split_place(struct settings *s, int *argc, char **argv, const char **place);

/*
 * child.c: is /proc that of another pid namespace? By its numbers others would be looked at, or worse. The hint tells
 * what to do about it.
 */
bool is_proc_foreign(void);
extern const char foreign_hint[];
/* Start argv, take a snapshot after s->after seconds or when it ends, then end it. */
int run_child(struct settings *s, char **argv, struct mw_snapshot **ret);

/*
 * Start argv and wait for its end, passing signals on; at_end (NULL: nobody) is called while it stands still just
 * before its memory goes: by its pid, or by the id of its last thread; the last call counts. 0 and its wait status,
 * or errno of starting it.
 */
struct watch {
	char **argv;
	void (*at_end)(void *ctx, pid_t pid);
	void *ctx;
	int in, out;	/* its standard input and output, 0: ours */
	void (*at_start)(void *ctx, pid_t pid);	/* before it executes anything; or NULL */
	double timeout;	/* seconds until it is killed, with all that it has started; 0: never */
	bool timed_out;	/* out */
	bool is_ours;	/* who ends us ends it: a signal that means so is passed on, and 2 seconds later it is killed */
	int ended_by;	/* out, if it is_ours: that signal */
	bool stops_too;	/* when the command stops itself, so do we, and the shell knows; else only with it, by the terminal */
	struct tally *tally;	/* count its system calls, and do nothing at its end; or NULL */
};
int watch_child(struct watch *w, int *status);
/* End by this signal, without a core of our own; an exit code where that does not work. */
int end_by(int sig);

/*
 * run.c: tell on standard error when the loader would not preload an allocator into this command. False: it would
 * not start with one. What raises its privileges cannot be traced either, so there is no report.
 */
bool warn_if_not_preloaded(const char *name, bool *report);

/* Sites of allocations whose source lines are looked up for the screen. */
#define SITES_SHOWN 8

/* library.c: the absolute path of our allocator: lib, or the one that belongs to this command; 0 or -1 with an error printed. */
#define PATHS 4096
int find_allocator(const char *lib, char path[PATHS]);
/* The same of a library of this name; hint where it is not there. */
int find_library(const char *name, const char *hint, char path[PATHS]);
/* The file with the malloc of a program that is started now: this one is, with a word for bench --serve, and prints it. */
#define SERVE_MALLOC "malloc?"
bool find_malloc_file(char path[PATHS]);
int print_malloc_file(void);

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

/* tally.c: those of a command and of what it starts, from its execve() on, one by one */
struct tally {
	struct mw_bench_calls calls;
	int error;	/* errno: it cannot be traced, or its calls not be told; 0 */
	bool began;	/* the command is executed */
	pid_t *pids;	/* who is traced */
	size_t n_pids;
};
int tally_options(void);	/* with which the command is seized */
void tally_stop(struct tally *t, pid_t pid, int status);	/* what waitpid() told of pid; it goes on */
void tally_leave(struct tally *t);	/* the command has ended: let go of all */

#endif
