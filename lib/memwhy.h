/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * memwhy.h - where did this process's memory go?
 *
 * The one public header of libmemwhy. The flow is: collect a snapshot (of a pid, or
 * of a file saved earlier), then ask for a report on it, then print the report as
 * text or JSON. A snapshot never changes after it was collected; every report is a
 * pure function of it.
 *
 * Conventions
 *   Sizes and offsets are bytes, intervals are [start, end), addresses are uint64_t
 *   (a target may be a 32-bit process).
 *   MW_UNKNOWN stands for a number that could not be had; it is never 0 and never
 *   takes part in a sum. A note in the snapshot says why and what would help.
 *   Functions that can fail return 0, or a negative enum mw_errcode; the last
 *   parameter, which may be NULL, is then filled. Outputs are untouched on failure.
 *   Option structs start with their size: set it to sizeof, leave the rest 0 for the
 *   defaults. Fields may be added at the end.
 *   The library never prints, never exits and never reads the environment.
 *   Threads: calls share no state; a snapshot or document may be read by several
 *   threads at once.
 */
#ifndef MEMWHY_H
#define MEMWHY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MW_API __attribute__((visibility("default")))
#define MW_MUST_CHECK __attribute__((warn_unused_result))

/** The version of this header; mw_version() tells the version of the library. */
#define MW_VERSION "0.1.0"

/** A number that could not be had. */
#define MW_UNKNOWN UINT64_MAX

/* ------------------------------------------------------------------ errors */

enum mw_errcode {
	MW_E_OS = 1,		/* a system call failed; os_errno tells */
	MW_E_NOMEM,		/* memory ran out */
	MW_E_GONE,		/* the process exited, or executed another program, while it was read */
	MW_E_PERM,		/* the caller may not read this */
	MW_E_FORMAT,		/* a file is not what it should be, or damaged */
	MW_E_RANGE,		/* a number is outside what can be handled */
	MW_E_USAGE,		/* arguments that make no sense together */
	MW_E_UNSUPPORTED,	/* this kernel or machine cannot do it */
	MW_E_NOT_FOUND,		/* no such process, file or name */
	MW_E_WRITE,		/* the output could not be written */
};

/** What went wrong. Owned by the caller; nothing in it needs to be freed. */
struct mw_err {
	int code;		/* enum mw_errcode */
	int os_errno;		/* errno behind it, or 0 */
	char text[256];		/* "object: what was tried: why" */
	char hint[256];		/* what the user can do, or "" */
};

/** A short name of an error code, whichever its sign ("gone"); "unknown" for others. */
MW_API const char *mw_err_name(int code);

/** The library's version, and those of the libraries it works with, one a line. */
MW_API const char *mw_version(void);
MW_API int mw_version_details(char *buf, size_t size);

/* ------------------------------------------------------------- output sink */

/**
 * Where text goes. write() takes all len bytes and returns 0, or a negative
 * enum mw_errcode, which ends the printing with that error.
 */
struct mw_sink {
	int (*write)(void *ctx, const void *bytes, size_t len);
	void *ctx;
};

/* -------------------------------------------------------------- collecting */

/** Whether a source that stalls the target may be read. */
enum mw_when {
	MW_AUTO = 0,	/* if its predicted stall stays below max_stall_ns */
	MW_NEVER,
	MW_ALWAYS,
	MW_CHEAP,	/* if its predicted stall stays below a tenth of max_stall_ns */
};

/** Which road gives the page states. */
enum mw_page_source {
	MW_PAGES_AUTO = 0,	/* the best that works */
	MW_PAGES_SCAN,		/* ioctl PAGEMAP_SCAN, Linux 6.7 and later */
	MW_PAGES_SMAPS,		/* /proc/PID/smaps and pagemap */
	MW_PAGES_PAGEMAP,	/* /proc/PID/pagemap alone: zero pages only in sum */
};

#define MW_DEFAULT_MAX_STALL_NS UINT64_C(60000000)

struct mw_collect_opts {
	size_t size;
	const char *procfs;	/* NULL: /proc; otherwise a captured tree */
	const char *cgroupfs;	/* NULL: where it is mounted */
	uint64_t max_stall_ns;	/* 0: MW_DEFAULT_MAX_STALL_NS. Bound on the predicted time for which
				   one read keeps the target from mapping memory */
	enum mw_when rollup;	/* PSS and USS from smaps_rollup */
	enum mw_when smaps;	/* every field of every mapping */
	enum mw_page_source pages;
	unsigned tries;		/* 0: 5. How often a torn snapshot is taken anew */
	bool no_objects;	/* do not open mapped files, nor read the target's memory */
	bool freeze;		/* hold the target still while it is read; it goes on afterwards, also if we die */
	bool verify;		/* also read VSZ and RSS by every other road there is */
	bool symbols;		/* functions and variables of the images, from their symbol tables */
	bool relocs;		/* the pages that the dynamic linker writes, from the relocation tables */
	bool cache_places;	/* which pages of the images are in the page cache, not only how many */
	const char *details_of;	/* NULL: of every image; otherwise of the object so named, see
				   mw_report_sections */
	const char *frames_of;	/* NULL: of no page; otherwise frames of this place, see
				   mw_report_pages; needs CAP_SYS_ADMIN */
	const uint64_t *frames_at;	/* frames of the pages that hold these n_frames_at addresses, their source
				   lines, and relocs only of images near them, symbols only where they lie or begin before */
	size_t n_frames_at;
	enum mw_when site_lines;	/* source lines of the stacks that memwhy-malloc recorded; MW_AUTO leaves out files
				   above 64 MiB */
	size_t max_sites;	/* of the stacks with most live bytes; 0: none */
	bool mappers;		/* which processes map the frames of frames_of and frames_at; not saved */
	bool levels;		/* how many levels of page tables this machine uses; with frames always */
};

struct mw_snapshot;

/**
 * mw_collect_pid() - take a snapshot of a running process
 * @pid:  process id in the caller's pid namespace, > 0
 * @opts: NULL for the defaults
 * @ret:  the new snapshot; mw_snapshot_destroy() frees it
 *
 * Reads /proc/PID, the files that are mapped, and of the target's memory a few
 * headers on pages that are present already (thread descriptors, heap headers). The
 * target is not written to, and stopped only if opts->freeze is set, so it may change while it is read; a
 * snapshot that cannot be true is taken again, and marked torn when that does not help.
 * A source that cannot be read is no failure: what it would give is MW_UNKNOWN, and a
 * note tells the source, the reason and the remedy.
 *
 * Return: 0, -MW_E_NOT_FOUND (no such process, or no /proc), -MW_E_GONE (it has no memory, or ended meanwhile),
 * -MW_E_PERM (not even its status can be read, or it may not be held still), -MW_E_UNSUPPORTED (opts->pages or
 * opts->freeze asks for what is not there, or pages are not of 4 KiB), -MW_E_FORMAT (a file of /proc is not
 * understood), -MW_E_OS, -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_collect_pid(pid_t pid, const struct mw_collect_opts *opts,
					struct mw_snapshot **ret, struct mw_err *err);

/**
 * mw_collect_saved() - read a snapshot that mw_snapshot_save() wrote, compressed by gzip or not
 * @path: the file; it is untrusted and checked throughout; expanded it has at most 1 GiB
 * @opts: NULL for what is in the file. Of the options, symbols, relocs and the source lines of frames_at count: what
 *        the snapshot has not, is read from the ELF files that it names, where they are here and the same (by
 *        build ID, else by inode and size); a note tells what is missing. details_of and frames_at narrow it.
 *
 * Return: 0, -MW_E_NOT_FOUND, -MW_E_OS, -MW_E_NOMEM, -MW_E_FORMAT (not a snapshot, of a
 * newer major version, or damaged; the text names the line).
 */
MW_API MW_MUST_CHECK int mw_collect_saved(const char *path, const struct mw_collect_opts *opts,
					  struct mw_snapshot **ret, struct mw_err *err);

/**
 * mw_collect_core() - take a snapshot of a process from its core file, by the kernel or by gdb's gcore
 * @path: the file; it is untrusted and checked throughout
 *
 * Mappings, threads, images, symbols and the inside of heaps are in it. Which pages were resident is not: they
 * are MW_UNKNOWN. Of the options those about objects count. The ELF files that the core names are read where they
 * are here and the same, by build ID.
 *
 * Return: 0, -MW_E_NOT_FOUND, -MW_E_OS, -MW_E_NOMEM, -MW_E_FORMAT (no core, or without mappings),
 * -MW_E_UNSUPPORTED (of another byte order).
 */
MW_API MW_MUST_CHECK int mw_collect_core(const char *path, const struct mw_collect_opts *opts,
					 struct mw_snapshot **ret, struct mw_err *err);
/** Does this file begin like an ELF core? False also when it cannot be read. */
MW_API bool mw_is_core(const char *path);

/** The same as mw_snapshot_save(), compressed by gzip. Return: 0, -MW_E_NOMEM, or the sink's error. */
MW_API MW_MUST_CHECK int mw_snapshot_save_gzip(const struct mw_snapshot *snap, const struct mw_sink *sink,
					       struct mw_err *err);
/** Write the snapshot as lines of JSON (memwhy-json(5)). Return: 0, or the sink's error. */
MW_API MW_MUST_CHECK int mw_snapshot_save(const struct mw_snapshot *snap,
					  const struct mw_sink *sink, struct mw_err *err);

/**
 * mw_heap_pprof() - the allocation sites of a heap as a gzip'ed profile of pprof (profile.proto)
 * @snap: of a process that uses memwhy-malloc; taken with opts.site_lines for source lines
 *
 * Sample types alloc_objects, alloc_space, inuse_objects and inuse_space, as in Go's heap profiles; the sums are
 * estimates already, nothing has to be scaled. Return: 0, the sink's error, -MW_E_UNSUPPORTED (no such heap in
 * the snapshot), -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_heap_pprof(const struct mw_snapshot *snap, const struct mw_sink *sink, struct mw_err *err);
/** The same as folded stacks, "program;caller;...;function BYTES" with live bytes, for flame graphs. */
MW_API MW_MUST_CHECK int mw_heap_folded(const struct mw_snapshot *snap, const struct mw_sink *sink, struct mw_err *err);

/** Free a snapshot; NULL is allowed. Documents and accounts made of it stay valid. */
MW_API void mw_snapshot_destroy(struct mw_snapshot *snap);

/**
 * mw_process_find() - the processes of this name
 * @name: compared with the command name (comm) and the base name of the program file
 * @ret:  malloc'ed array of *count pids, ascending; free() it
 *
 * Return: 0 (also when none fits: *count is 0), -MW_E_NOT_FOUND (no /proc is mounted), -MW_E_OS, -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_process_find(const char *name, pid_t **ret, size_t *count,
					 struct mw_err *err);

/** What tells a process from others of its name. */
struct mw_process {
	size_t size;		/* sizeof(struct mw_process), set by the caller */
	uint64_t age_ns;	/* since it was started, in steps of 10 ms; or MW_UNKNOWN */
	char command[256];	/* its arguments parted by blanks, as they are, cut here; "" when it has none */
};
/**
 * mw_process_read() - the age and the command line of a process
 * @ret: ret->size is set by the caller; filled on success, owns nothing
 *
 * Reads /proc/PID/stat and cmdline, which everybody may unless /proc is mounted with hidepid. Return: 0,
 * -MW_E_NOT_FOUND or -MW_E_GONE (no such process, or not any more), -MW_E_PERM, -MW_E_OS.
 */
MW_API MW_MUST_CHECK int mw_process_read(pid_t pid, struct mw_process *ret, struct mw_err *err);

/** What processes are ordered by. */
enum mw_rank {
	MW_BY_RSS = 0, MW_BY_PSS, MW_BY_USS, MW_BY_VSZ, MW_BY_SWAP, MW_BY_TABLES,
};
struct mw_ranking_opts {
	size_t size;
	uint64_t max_stall_ns;	/* 0: MW_DEFAULT_MAX_STALL_NS */
	bool no_pss;		/* leave smaps_rollup alone: quick, but without PSS and USS */
	bool cgroups;		/* the control group of each process */
	bool frames;		/* page frames, so that groups count shared pages once; needs CAP_SYS_ADMIN */
	size_t largest;		/* 0: everything of all; otherwise rows with names, users, swap and tables of so many alone, */
	enum mw_rank rank;	/* the largest by this amount: RSS, PSS, USS or VSZ */
};
struct mw_ranking;
/**
 * mw_ranking_collect() - the amounts of all processes
 *
 * Processes that the caller may not read are in it without PSS and USS; mw_report_top() counts and names them.
 * With opts->max_stall_ns of 0 processes are not asked how large they are before they are read, where all that is
 * mapped on the machine is too little for that limit; a process that maps the same pages many times may then take longer.
 * Return: 0, -MW_E_USAGE (no such order, or not with opts->largest), -MW_E_NOT_FOUND (no /proc is mounted), -MW_E_OS
 * (processes cannot be listed, or not one of them be read), -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_ranking_collect(const struct mw_ranking_opts *opts, struct mw_ranking **ret,
					    struct mw_err *err);
/** Free a ranking; NULL is allowed. */
MW_API void mw_ranking_destroy(struct mw_ranking *ranking);

/* -------------------------------------------------------------- the numbers */

enum mw_state {
	MW_EXACT = 0,	/* every independent road to VSZ and RSS gave the same number */
	MW_PARTIAL,	/* true as far as it goes, but something could not be read */
	MW_TORN,	/* the target changed during every try; the numbers do not fit together */
};

/** The head of a snapshot. Bytes; MW_UNKNOWN where a source could not be read. */
struct mw_summary {
	size_t size;		/* set by the caller */
	pid_t pid;
	enum mw_state state;
	uint64_t vsz;		/* sum of all mappings but [vsyscall] */
	uint64_t rss;		/* pages present, without the zero page and hugetlb */
	uint64_t swap;		/* VmSwap: anonymous memory swapped out */
	uint64_t pss;		/* each page divided by the number of its mappers */
	uint64_t uss;		/* pages that no other process maps */
	uint64_t n_vmas;	/* number of mappings */
	uint64_t residual;	/* VmSize less the sum of all causes, as absolute value */
	uint64_t rss_residual;	/* VmRSS less the sum of the resident causes, as absolute value */
};
MW_API void mw_snapshot_summary(const struct mw_snapshot *snap, struct mw_summary *ret);

/** One line of the account: every byte of VSZ is in exactly one of them. */
struct mw_cause {
	size_t size;		/* set by the caller */
	const char *code;	/* of memwhy-memory(7): "R1", "N9", ... */
	const char *owner;	/* "glibc-arena-tail", ... */
	const char *text;	/* for people */
	bool is_resident;	/* counted in RSS */
	uint64_t bytes;
	uint64_t regions;	/* number of ranges that share it */
};

struct mw_account;
/** Assign every byte of VSZ to its cause. Return: 0, -MW_E_NOMEM. */
MW_API MW_MUST_CHECK int mw_account_create(const struct mw_snapshot *snap,
					   struct mw_account **ret, struct mw_err *err);
MW_API void mw_account_destroy(struct mw_account *account);
MW_API size_t mw_account_count(const struct mw_account *account);
/** Line i < mw_account_count(), largest first. Strings live as long as the account. */
MW_API void mw_account_cause(const struct mw_account *account, size_t i, struct mw_cause *ret);

/* ------------------------------------------------------- recording page faults */

struct mw_recording;

/** How faults are written down. A program costs less than samples but needs CAP_BPF and CAP_PERFMON. */
enum mw_faults_recorder {
	MW_FAULTS_AUTO,		/* by a program in the kernel where that is allowed, else by samples */
	MW_FAULTS_SAMPLES,	/* by samples of perf_event_open(2) */
	MW_FAULTS_PROGRAM	/* by a program, or not at all */
};

struct mw_faults_opts {
	size_t size;
	uint64_t max_ns;	/* 0: until the process ends; otherwise how long to record */
	int stop_fd;		/* 0 or less: none; otherwise the recording ends when it can be read */
	uint64_t limit;		/* 0: 16,777,216. Faults kept at most; further ones are only counted */
	bool stacks;		/* record the callers of each fault, by frame pointers; only samples can */
	enum mw_faults_recorder recorder;
	uint64_t buffer;	/* 0: the default. Bytes of the ring of each processor, rounded down to a power of two pages */
};

/**
 * mw_faults_run() - run a command and record every page fault from its execve on
 * @argv: the command and its arguments, ending with NULL; found by PATH
 * @opts: NULL for the defaults
 * @ret:  the recording; mw_recording_destroy() frees it
 *
 * Uses perf_event_open(2) on the command and all its descendants, and ptrace(2) to look at
 * its pages just before they go. The caller's SIGCHLD is blocked meanwhile. When the time
 * is over before the command is, it is ended (SIGTERM, then SIGKILL).
 *
 * Return: 0, -MW_E_NOT_FOUND (no such command), -MW_E_PERM (page faults may not be
 * recorded; the hint tells what would allow it), -MW_E_UNSUPPORTED, -MW_E_OS, -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_faults_run(char *const argv[], const struct mw_faults_opts *opts,
				       struct mw_recording **ret, struct mw_err *err);
/**
 * mw_faults_attach() - record the page faults of a process that runs already
 * @pid:  process id, > 0; all its threads and later descendants are recorded
 *
 * Ends when the process does, when opts->max_ns is over or opts->stop_fd can be read.
 * The process is neither stopped nor traced. Return: as mw_faults_run().
 */
MW_API MW_MUST_CHECK int mw_faults_attach(pid_t pid, const struct mw_faults_opts *opts,
					  struct mw_recording **ret, struct mw_err *err);
/**
 * mw_faults_open() - read a recording that mw_faults_save() wrote
 *
 * Return: 0, -MW_E_NOT_FOUND, -MW_E_OS, -MW_E_NOMEM, -MW_E_FORMAT (not a recording, of a
 * newer major version, or damaged; the text names the line).
 */
MW_API MW_MUST_CHECK int mw_faults_open(const char *path, struct mw_recording **ret, struct mw_err *err);
/** Write the recording as lines of JSON. Return: 0, or the sink's error. */
MW_API MW_MUST_CHECK int mw_faults_save(const struct mw_recording *rec, const struct mw_sink *sink,
					struct mw_err *err);
/** Chrome's trace-event JSON: one event a fault, the phases as spans. Return: 0, -MW_E_NOMEM, or the sink's error. */
MW_API MW_MUST_CHECK int mw_faults_trace_events(const struct mw_recording *rec, const struct mw_sink *sink,
						struct mw_err *err);
/** Folded stacks, "a;b;c COUNT" a line, for flame graphs. Return: 0, -MW_E_NOMEM, or the sink's error. */
MW_API MW_MUST_CHECK int mw_faults_folded(const struct mw_recording *rec, const struct mw_sink *sink,
					  struct mw_err *err);
/** Free a recording; NULL is allowed. */
MW_API void mw_recording_destroy(struct mw_recording *rec);

/** The head of a recording. */
struct mw_recording_summary {
	size_t size;		/* set by the caller */
	pid_t pid;
	uint64_t samples;	/* faults that the kernel wrote down */
	uint64_t lost;		/* faults that it could not write down */
	uint64_t counter;	/* faults that it counted: samples + lost */
	int wait_status;	/* of a command that ended, as wait(2) gives it; -1: not known */
};
MW_API void mw_recording_summary(const struct mw_recording *rec, struct mw_recording_summary *ret);

/* -------------------------------------------------------------- the processor */

struct mw_cpu;
/** What CPUID says, on the processor that the caller runs on. Other machines than x86 say nothing. Return: 0, -MW_E_NOMEM. */
MW_API MW_MUST_CHECK int mw_cpu_read(struct mw_cpu **ret, struct mw_err *err);
/**
 * mw_cpu_open() - the same from a file, for another machine
 * @path: words as cpuid -r prints them, or "CPUID LEAF: EAX-EBX-ECX-EDX [SL SUBLEAF]" a line; the first processor counts
 *
 * Return: 0, -MW_E_NOT_FOUND, -MW_E_OS, -MW_E_FORMAT (no words of leaf 0), -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_cpu_open(const char *path, struct mw_cpu **ret, struct mw_err *err);
MW_API void mw_cpu_destroy(struct mw_cpu *cpu);
/** What the processor counted while a process ran; MW_UNKNOWN where it cannot. All threads, those started meanwhile too. */
struct mw_tlb_counts {
	size_t size;		/* set by the caller */
	uint64_t took_ns;
	uint64_t cycles, instructions;
	uint64_t load_misses, store_misses, code_misses;	/* of the TLBs, as the kernel's generalised events have them */
	uint64_t walk_cycles;	/* in which a page walk was under way, for loads, stores and code together */
	char why[160];		/* why something is unknown, or "" */
};
/**
 * mw_tlb_count() - count TLB misses and page walks of a process
 * @cpu: this processor, as mw_cpu_read() gives it; it tells which events there are
 * @ns:  for how long; the call sleeps meanwhile
 *
 * The process is not stopped. Without hardware counters, or without the right, everything is unknown and why says so.
 * Return: 0, -MW_E_NOT_FOUND, -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_tlb_count(pid_t pid, const struct mw_cpu *cpu, uint64_t ns, struct mw_tlb_counts *ret,
				      struct mw_err *err);
/**
 * mw_process_clear_references() - forget which pages of a process were referenced
 *
 * Afterwards smaps (opts.smaps = MW_ALWAYS) tells what was referenced since: its working set. The kernel
 * walks all page tables of the process for it and its reclaim loses what it knew, so this perturbs.
 * Return: 0, -MW_E_NOT_FOUND, -MW_E_PERM, -MW_E_OS.
 */
MW_API MW_MUST_CHECK int mw_process_clear_references(pid_t pid, struct mw_err *err);

/* ------------------------------------------------------------------ reports */

struct mw_document;

struct mw_explain_opts {
	size_t size;
	bool all;		/* every line and its regions */
	bool verify;		/* every road to the same number */
};
/** Which columns text shows unless the reader names others. */
enum mw_maps_mode {
	MW_MAPS_SHORT = 0,	/* they fit 80 columns */
	MW_MAPS_X, MW_MAPS_XF, MW_MAPS_XX,	/* those of pmap's -x, -X, -XX */
	MW_MAPS_LONG,		/* all that memwhy knows of the owner */
};
struct mw_maps_opts {
	size_t size;
	enum mw_maps_mode mode;
};
struct mw_sections_opts {
	size_t size;
	const char *object;	/* NULL: all; otherwise path, base name, or base name without what follows .so */
	bool symbols;		/* each function and variable */
	bool relocs;		/* who dirtied the copied pages */
	bool cold, hot;		/* the largest symbols without pages, and with */
	bool all;		/* on the screen: every object and symbol */
	size_t limit;		/* symbols listed per table, largest first; 0: all */
};
struct mw_faults_report_opts {
	size_t size;
	bool all;		/* every row of every table */
	bool list;		/* every fault */
};
struct mw_pages_opts {
	size_t size;
	const char *place;	/* NULL: every mapping; otherwise START-END, START+SIZE, an address, a mapping
				   ("[heap]"), an object ("libc"), or a section (".data", "libc:.data") */
	bool all;		/* on the screen: one character a page, and every frame */
	bool frames;		/* also the page frames, as far as the snapshot has them */
	bool mappers;		/* also the processes that map them, if the snapshot was taken with opts.mappers */
};
struct mw_at_opts {
	size_t size;
	const uint64_t *addrs;	/* n_addrs addresses, in the order of the answers */
	size_t n_addrs;
	bool brief;		/* on the screen: one line an address */
	const struct mw_cpu *cpu;	/* NULL: that of the snapshot, or the TLBs are unknown */
};
struct mw_tlb_opts {
	size_t size;
	bool all;		/* every mapping */
	uint64_t working_set;	/* ns between clearing the references and the snapshot; 0: not cleared */
	const struct mw_tlb_counts *counts;	/* NULL: not measured */
};
/** One run of one workload under one allocator; MW_UNKNOWN where something was not measured. */
struct mw_bench_run {
	size_t size;
	const char *workload, *allocator;
	unsigned round;		/* runs of one round are compared with each other */
	uint64_t wall_ns, cpu_ns;
	uint64_t peak;		/* largest RSS less pages of files; bytes */
	uint64_t after;		/* the same after everything was freed; bytes */
	uint64_t faults;
	uint64_t syscalls;	/* system calls, of starting too */
	uint64_t held;		/* the most bytes that the workload held at once, of those that it asked for */
};
/** What system calls a workload made under an allocator, of starting too, in a turn of its own. */
struct mw_bench_calls {
	const char *workload, *allocator;
	uint64_t total;
	uint64_t mmap, munmap, mremap, madvise, mprotect, brk, futex;	/* of them */
};
struct mw_bench_opts {
	size_t size;
	const char *base;	/* the allocator that others are compared with; NULL: the first */
	const char *control;	/* base once more, to see how much the machine scatters; or NULL */
	const struct mw_bench_calls *calls;	/* n_calls: where they could be counted */
	size_t n_calls;
	const char *no_calls;	/* why not everywhere; or NULL */
};
/** How much of a heap is shown. */
struct mw_heap_opts {
	size_t size;
	bool all;		/* every size class, thread and site */
	unsigned picture;	/* 0: in short; 1: a character a page, by occupancy; 2: by size class */
};
enum mw_group {
	MW_GROUP_NONE = 0, MW_GROUP_USER, MW_GROUP_CGROUP, MW_GROUP_COMMAND,
};
struct mw_top_opts {
	size_t size;
	enum mw_rank rank;	/* largest first by this amount */
	enum mw_group group;	/* one row a group */
	size_t limit;		/* rows on the screen; 0: all */
};
struct mw_doctor_opts {
	size_t size;
	const char *procfs;
	pid_t pid;		/* whose sources are tried; 0: the caller's own */
};

/** Why VSZ is not RSS, and what RSS is made of. With opts->all @snap must outlive the document. Return: 0, -MW_E_NOMEM. */
MW_API MW_MUST_CHECK int mw_report_explain(const struct mw_snapshot *snap,
					   const struct mw_explain_opts *opts,
					   struct mw_document **ret, struct mw_err *err);
/**
 * mw_report_maps() - every mapping with the segment and sections behind it and its owner
 * @snap: must outlive the document, which makes its rows of it while they are printed
 *
 * Return: 0, -MW_E_NOMEM, -MW_E_USAGE (no such mode).
 */
MW_API MW_MUST_CHECK int mw_report_maps(const struct mw_snapshot *snap,
					const struct mw_maps_opts *opts,
					struct mw_document **ret, struct mw_err *err);
/**
 * mw_report_sections() - the ELF files of a process, section by section, beside what is in memory
 * @snap: taken with opts.relocs (or why pages were copied is unknown), .cache_places (or which sections are
 *        in the page cache is unknown), and .symbols for symbols, cold and hot
 *
 * The rows of an object add up to what mw_report_explain() says of it, to the byte.
 * Return: 0, -MW_E_NOT_FOUND (no such object is mapped), -MW_E_PERM (the snapshot has no mappings), -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_report_sections(const struct mw_snapshot *snap,
					    const struct mw_sections_opts *opts,
					    struct mw_document **ret, struct mw_err *err);
/** Which faults brought memory in: phases, sections, symbols, callers, mappings. Return: 0, -MW_E_NOMEM. */
MW_API MW_MUST_CHECK int mw_report_faults(const struct mw_recording *rec,
					  const struct mw_faults_report_opts *opts,
					  struct mw_document **ret, struct mw_err *err);
/**
 * mw_report_pages() - the state of every page of a place, as a map and as runs
 * @snap: taken with opts.cache_places (or which absent pages are in the page cache is unknown), and with
 *        .frames_of the same place for frames
 *
 * Return: 0, -MW_E_NOT_FOUND (there is no such place), -MW_E_USAGE (it ends before it starts, or has no bytes),
 * -MW_E_PERM (the snapshot has no mappings), -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_report_pages(const struct mw_snapshot *snap, const struct mw_pages_opts *opts,
					 struct mw_document **ret, struct mw_err *err);
/**
 * mw_report_at() - everything known of some addresses
 * @snap: taken with opts.frames_at of the same addresses (or frames and page table levels are unknown), and
 *        with .symbols, .relocs and .cache_places for what these give
 *
 * An address that no mapping holds is answered, too: with its neighbours. Return: 0, -MW_E_PERM (the snapshot has no
 * mappings), -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_report_at(const struct mw_snapshot *snap, const struct mw_at_opts *opts,
				      struct mw_document **ret, struct mw_err *err);
/**
 * mw_report_tlb() - page tables, TLBs, how far they reach, and what huge pages would change
 * @snap: the process, or NULL for the processor alone
 * @cpu:  NULL: that of the snapshot, where it was saved with it; otherwise the TLBs are unknown
 *
 * Return: 0, -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_report_tlb(const struct mw_snapshot *snap, const struct mw_cpu *cpu,
				       const struct mw_tlb_opts *opts, struct mw_document **ret,
				       struct mw_err *err);
/**
 * mw_report_heap() - what is inside the heap, and the bridge from requested bytes to VSZ
 *
 * Return: 0, -MW_E_NOMEM, -MW_E_PERM (the snapshot has no mappings), -MW_E_UNSUPPORTED (the target's allocator is
 * another one, which the text names, or what is inside of its heap could not be read, or was not saved).
 */
MW_API MW_MUST_CHECK int mw_report_heap(const struct mw_snapshot *snap, const struct mw_heap_opts *opts,
					struct mw_document **ret, struct mw_err *err);
/**
 * mw_report_top() - all processes, or groups of them, largest first
 * @ranking: with opts.cgroups for MW_GROUP_CGROUP, and opts.frames for groups that count shared pages once
 *
 * Return: 0, -MW_E_NOMEM, -MW_E_USAGE (no such order or group).
 */
MW_API MW_MUST_CHECK int mw_report_top(const struct mw_ranking *ranking, const struct mw_top_opts *opts,
				       struct mw_document **ret, struct mw_err *err);
/**
 * mw_report_bench() - runs of workloads under several allocators, compared
 * @runs: n of them, their texts are copied
 *
 * Return: 0, -MW_E_NOMEM, -MW_E_USAGE (no run of the base).
 */
MW_API MW_MUST_CHECK int mw_report_bench(const struct mw_bench_run *runs, size_t n, const struct mw_bench_opts *opts,
					 struct mw_document **ret, struct mw_err *err);
/**
 * mw_report_doctor() - what works on this machine, and how to enable the rest
 *
 * Return: 0, -MW_E_NOT_FOUND, -MW_E_GONE or -MW_E_PERM (of the process), -MW_E_OS, -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_report_doctor(const struct mw_doctor_opts *opts,
					  struct mw_document **ret, struct mw_err *err);
MW_API void mw_document_destroy(struct mw_document *doc);

/* --------------------------------------------------------------- ELF files */

/** An ELF file, an archive of them, or an ELF image in a process's memory. */
struct mw_elf;

/**
 * mw_elf_open() - open an ELF file for inspection
 * @path: the file; "-" is standard input, which may be a pipe
 * @ret:  mw_elf_close() frees it
 *
 * Succeeds for whatever starts like ELF or like an archive, however damaged the rest is:
 * what is wrong becomes a finding in the report. The file is read as the report is
 * printed, so it may not be closed before.
 *
 * Return: 0, -MW_E_NOT_FOUND, -MW_E_PERM, -MW_E_OS, -MW_E_NOMEM, -MW_E_FORMAT (neither ELF
 * nor an archive), -MW_E_RANGE (more than 1 GiB from a pipe).
 */
MW_API MW_MUST_CHECK int mw_elf_open(const char *path, struct mw_elf **ret, struct mw_err *err);

/**
 * mw_elf_open_process() - open an ELF image in the memory of a process
 * @pid:  the process
 * @at:   an address inside the image, or 0
 * @map:  with @at 0: the name of a mapping as /proc/PID/maps shows it, or its last
 *        component ("[vdso]", "libc.so.6"); NULL: the program itself
 * @ret:  mw_elf_close() frees it
 *
 * Copies the pages that are mapped and readable. What is not mapped at run time (section
 * headers, debug information) is not there; what the loader changed is shown changed.
 *
 * Return: 0, -MW_E_NOT_FOUND (no such process or mapping), -MW_E_PERM, -MW_E_FORMAT (no ELF
 * header there), -MW_E_OS, -MW_E_NOMEM, -MW_E_RANGE (an image of more than 1 GiB).
 */
MW_API MW_MUST_CHECK int mw_elf_open_process(pid_t pid, uint64_t at, const char *map, struct mw_elf **ret,
					     struct mw_err *err);

/** Close it; NULL is allowed. Documents made of it must not be printed any more. */
MW_API void mw_elf_close(struct mw_elf *elf);

/** Whether a rule of the format was found broken so far; final once the report was printed. */
MW_API bool mw_elf_malformed(const struct mw_elf *elf);

/** What to show; any sum of these. */
enum mw_elf_view {
	MW_ELF_HEADER = 1 << 0,
	MW_ELF_SEGMENTS = 1 << 1,
	MW_ELF_SECTIONS = 1 << 2,
	MW_ELF_SYMBOLS = 1 << 3,	/* every symbol table */
	MW_ELF_DYNSYMS = 1 << 4,	/* the dynamic one */
	MW_ELF_DYNAMIC = 1 << 5,
	MW_ELF_RELOCS = 1 << 6,
	MW_ELF_VERSIONS = 1 << 7,
	MW_ELF_NOTES = 1 << 8,
	MW_ELF_ATTRIBUTES = 1 << 9,
	MW_ELF_HISTOGRAM = 1 << 10,
	MW_ELF_GROUPS = 1 << 11,
	MW_ELF_DETAILS = 1 << 12,	/* sections with their flags by name */
	MW_ELF_UNWIND = 1 << 13,
	MW_ELF_PLAN = 1 << 14,		/* the mappings it will get */
	MW_ELF_CHECK = 1 << 15,		/* verdict and security properties */
	MW_ELF_SIZES = 1 << 16,
	MW_ELF_INDEX = 1 << 17,		/* index of an archive */
	MW_ELF_HEX_HEADERS = 1 << 18,	/* headers byte by byte */
	MW_ELF_UNITS = 1 << 19,		/* compile units of the DWARF */
	MW_ELF_CFI = 1 << 20,		/* with MW_ELF_UNWIND: instructions of the records */
};

/** How the bytes of a file are grouped. */
enum mw_elf_sizes {
	MW_ELF_BY_SECTION = 0,
	MW_ELF_BY_SEGMENT,
	MW_ELF_BY_SYMBOL,	/* symbols, Go's functions, code with an unwind record */
	MW_ELF_BY_UNIT,		/* compile units, by debug information */
	MW_ELF_BY_FILE_LINE,	/* source lines, likewise */
};

struct mw_elf_opts {
	size_t size;
	unsigned views;			/* enum mw_elf_view */
	enum mw_elf_sizes sizes_by;
	bool demangle;
	bool use_dynamic;		/* prefer PT_DYNAMIC to section headers */
	bool decompress;		/* dumps show compressed sections inflated */
	const char *const *hex;		/* sections to dump, by index or name; n_hex of them */
	const char *const *strings;	/* sections whose strings to show */
	const char *const *relocated;	/* sections to dump with relocations applied */
	size_t n_hex, n_strings, n_relocated;
	uint64_t page_size;		/* of the load plan; 0: 4096 */
	const uint64_t *addrs;		/* addresses whose source lines to find, n_addrs of them */
	size_t n_addrs;
	const char *type;		/* struct, class or union whose layout to show, or NULL */
	bool one_header;		/* with MW_ELF_HEX_HEADERS: only number header_index of each table */
	uint64_t header_index;
	bool ask_servers;		/* debuginfod servers may be asked for debug files */
	bool process_links;		/* each file is followed by its separate debug file */
};

/**
 * mw_report_elf() - what the files say
 * @elfs: n of them; they must stay open until the document was printed
 * @opts: NULL for header, segments and verdict
 *
 * Return: 0, -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_report_elf(struct mw_elf *const *elfs, size_t n, const struct mw_elf_opts *opts,
				       struct mw_document **ret, struct mw_err *err);

/**
 * mw_report_elf_diff() - how the sizes of a file changed
 * @opts: sizes_by tells how bytes are grouped
 *
 * Return: 0, -MW_E_NOMEM.
 */
MW_API MW_MUST_CHECK int mw_report_elf_diff(struct mw_elf *before, struct mw_elf *after, const struct mw_elf_opts *opts,
					    struct mw_document **ret, struct mw_err *err);

enum mw_unit {
	MW_UNIT_IEC = 0,	/* 5.1 MiB */
	MW_UNIT_BYTES,
	MW_UNIT_KIB,
	MW_UNIT_MIB,
	MW_UNIT_SI,		/* 5.3 MB */
};

struct mw_text_opts {
	size_t size;
	unsigned width;		/* columns of the terminal; 0: no limit, nothing is shortened */
	enum mw_unit unit;
	bool color;		/* SGR sequences */
	bool utf8;		/* bars and trees beyond ASCII */
	bool raw;		/* for scripts: tables only, one blank between columns, blanks escaped,
				   "-" in empty cells, no units */
	bool no_headings;
	const char *columns;	/* NULL: the default ones; "A,B" these; "+A" also these */
	const char *sort;	/* NULL: as is; "KEY[,KEY]", "-KEY" descending */
};

/**
 * Print for people. Return: 0, -MW_E_USAGE (no such column or unit, or an option of a newer library), -MW_E_NOMEM, or
 * the sink's error.
 */
MW_API MW_MUST_CHECK int mw_document_text(const struct mw_document *doc,
					  const struct mw_text_opts *opts,
					  const struct mw_sink *sink, struct mw_err *err);
/** Print as one JSON document (memwhy-json(5)). Return: 0, -MW_E_NOMEM, or the sink's error. */
MW_API MW_MUST_CHECK int mw_document_json(const struct mw_document *doc,
					  const struct mw_sink *sink, struct mw_err *err);
/** List the columns of the document's tables with a sentence each (for -o help). Return: as above. */
MW_API MW_MUST_CHECK int mw_document_columns(const struct mw_document *doc,
					     const struct mw_sink *sink, struct mw_err *err);

#ifdef __cplusplus
}
#endif
#endif
