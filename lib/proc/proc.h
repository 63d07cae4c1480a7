/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Readers of /proc/PID, or of a captured copy of it: text and ioctls in, raw facts out.
 *
 * Everything is opened relative to one descriptor of /proc/PID, so that a pid which is
 * used again cannot be mixed in. A file opened before execve() keeps the old memory and
 * then reads as empty: empty means gone, never "no mappings".
 *
 * All readers return 0 or a negative code; -MW_E_PERM, -MW_E_GONE and -MW_E_NOT_FOUND
 * (the file does not exist: an old kernel, a captured tree without it) are told apart.
 */
#ifndef MW_PROC_PROC_H
#define MW_PROC_PROC_H

#include "../base/str.h"
#include "../model/mem.h"
#include "../model/snapshot.h"

#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>

struct mw__proc {
	int root_fd;	/* /proc */
	int pid_fd;	/* /proc/PID, or the directory of a thread that outlived the main one */
	int task_fd;	/* /proc/PID/task, or -1 */
	pid_t pid;
	bool is_thread;	/* pid_fd is that of a thread */
	bool own_pids;	/* its pids are those of our own namespace: system calls on a pid reach the target */
	bool is_live;	/* not a captured tree: ioctls and system calls on the pid make sense */
	const char *root;	/* of the caller, who keeps it */
};

/* root NULL: /proc. mw__proc_close() accepts a struct that was never opened if pid_fd is -1. */
MW_MUST_CHECK int mw__proc_open(struct mw__proc *proc, const char *root, pid_t pid, struct mw_err *err);
void mw__proc_close(struct mw__proc *proc);
/* root holds no process, not even us. Returns the code. */
int mw__proc_fail_unmounted(const char *root, struct mw_err *err);

/* The threads: a directory to close (NULL if unreadable), and the next id in it, 0 at the end. */
DIR *mw__proc_tasks(const struct mw__proc *proc);
pid_t mw__proc_next_task(DIR *dir);

/* A descriptor of PID/name, or a negative code. */
MW_MUST_CHECK int mw__proc_fd(const struct mw__proc *proc, const char *name, struct mw_err *err);
/* The whole of PID/name (at most 1 MiB) into text, which is emptied first. */
MW_MUST_CHECK int mw__proc_text(const struct mw__proc *proc, const char *name, struct mw__str *text,
				struct mw_err *err);
/* fd is of a short file that the kernel writes as one record (single_open() in fs/proc): one read has all of it. */
MW_MUST_CHECK int mw__proc_record(int fd, pid_t pid, const char *name, char *buf, size_t size, size_t *len,
				  struct mw_err *err);
/* The same for a file of a thread ("TID/syscall"). */
MW_MUST_CHECK int mw__proc_task_text(const struct mw__proc *proc, const char *name, struct mw__str *text,
				     struct mw_err *err);
/* The same for a file below the root ("sys/vm/max_map_count"). */
MW_MUST_CHECK int mw__proc_root_text(const struct mw__proc *proc, const char *name,
				     struct mw__str *text, struct mw_err *err);
/* The target of the link PID/name into the arena; NULL when it cannot be read. */
const char *mw__proc_link(const struct mw__proc *proc, const char *name, struct mw__arena *arena);

/* Lines of a file, without copying it whole. */
struct mw__lines {
	int fd;
	char *buf;
	size_t start, end, cap;
	uint64_t total;		/* bytes read */
	bool eof;
};
MW_MUST_CHECK int mw__lines_open(struct mw__lines *lines, const struct mw__proc *proc,
				 const char *name, struct mw_err *err);
void mw__lines_close(struct mw__lines *lines);
/* 1 and the line without its end, 0 at the end of the file, or a negative code. */
MW_MUST_CHECK int mw__lines_next(struct mw__lines *lines, const char **line, const char **end,
				 struct mw_err *err);

/* maps.c */
MW_MUST_CHECK int mw__maps_parse_line(const char *line, const char *end, struct mw__arena *arena,
				      struct mw__vma *ret);
/*
 * Replaces snap->vmas. -MW_E_GONE when the file is empty; 1 when mappings overlapped because they changed
 * between two reads (they are cut so that they do not).
 */
MW_MUST_CHECK int mw__maps_read(const struct mw__proc *proc, struct mw_snapshot *snap,
				struct mw_err *err);

/* smaps.c: fills snap->vmas (when vmas is true, then also 1 as above) and snap->smaps. */
MW_MUST_CHECK int mw__smaps_read(const struct mw__proc *proc, struct mw_snapshot *snap, bool vmas,
				 struct mw_err *err);
/* How long reading smaps or smaps_rollup may keep a target from mapping memory: bytes are those resident in 4 KiB pages. */
uint64_t mw__smaps_stall_ns(uint64_t bytes, size_t vmas);
MW_MUST_CHECK int mw__rollup_read(const struct mw__proc *proc, struct mw__smaps *ret, struct mw_err *err);
MW_MUST_CHECK int mw__rollup_read_fd(int fd, pid_t pid, struct mw__smaps *ret, struct mw_err *err);
/*
 * One "Key:  N kB" line into *ret. 1 taken, 0 not one of ours, -MW_E_RANGE. *hint, 0 at first, is the key that is
 * expected: lines come in the same order each time.
 */
int mw__smaps_parse_line(const char *line, const char *end, struct mw__smaps *ret, size_t *hint);

/* status.c */
MW_MUST_CHECK int mw__status_read(const struct mw__proc *proc, struct mw__status *ret,
				  struct mw__arena *arena, const char **comm, struct mw_err *err);
void mw__status_parse(const char *text, size_t len, struct mw__status *ret);
/* VmSize and VmRSS as libproc2 reads them, for verification; MW_UNKNOWN when it cannot. */
void mw__status_by_procps(pid_t pid, uint64_t *vsize, uint64_t *rss);
/* All processes, by pid; kernel threads among them. free() *ret. */
MW_MUST_CHECK int mw__status_list(pid_t **ret, size_t *count, struct mw_err *err);
MW_MUST_CHECK int mw__status_find(const char *name, pid_t **ret, size_t *count, struct mw_err *err);

/* facts.c: the small files. Each leaves what it could not read MW_UNKNOWN. */
struct mw__stat {
	char state;
	bool is_kernel_thread;
	uint64_t ppid;		/* 0: its parent is outside of this pid namespace, or there is none */
	uint64_t faults;	/* minor and major, of the whole process */
	uint64_t start_ticks, vsize, threads;
	struct mw__layout layout;
};
MW_MUST_CHECK int mw__stat_read(const struct mw__proc *proc, struct mw__stat *ret, struct mw_err *err);
bool mw__stat_parse(const char *text, size_t len, struct mw__stat *ret);
/* name: "statm", or "PID/statm" where pid_fd is /proc itself. What cannot be read stays as it was. */
void mw__statm_read(const struct mw__proc *proc, const char *name, uint64_t page_size, uint64_t *size, uint64_t *rss);
/* False if statm says that it has none: a kernel thread, or one that has ended. */
bool mw__proc_has_memory(const struct mw__proc *proc);
/* What a process without memory is: a zombie, a kernel thread, one that exits. Returns the code, which is negative. */
int mw__proc_fail_lifeless(const struct mw__proc *proc, struct mw_err *err);
/*
 * When the main thread has ended and others live on, /proc/PID shows no memory any more; a living thread's
 * directory does. True when one was found and is used from now on.
 */
bool mw__proc_use_thread(struct mw__proc *proc);
/* 0 when it has memory or, after its main thread ended, a thread with memory, whose directory is used then; else as above. */
MW_MUST_CHECK int mw__proc_find_memory(struct mw__proc *proc, struct mw_err *err);
void mw__limits_read(const struct mw__proc *proc, struct mw__limits *ret, struct mw__arena *arena);
/* A number, MW__NO_LIMIT for "unlimited", or MW_UNKNOWN; blanks before it are skipped. */
uint64_t mw__limit_value(const char *p, const char *end);
/* The number behind a key at the start of a line: "Key:  123 ..." or "Key 123". */
uint64_t mw__keyed_value(const struct mw__str *text, const char *key);
/* The same in bytes, of what is told in kB. */
uint64_t mw__keyed_kb(const struct mw__str *text, const char *key);

/*
 * cgroup.c: the control group and its charges, version 2 or 1. cgroupfs NULL: where /proc/self/mountinfo has
 * it; otherwise a directory, version 1 in its "memory". Left unknown where no mount leads to the group.
 */
void mw__cgroup_read(const struct mw__proc *proc, const char *cgroupfs, struct mw__cgroup *ret,
		     struct mw__arena *arena);
const char *mw__cmdline_read(const struct mw__proc *proc, struct mw__arena *arena);

/* Cut mappings that overlap the one before; smaps, if any, goes with them. True when there were some. */
bool mw__maps_cut_overlaps(struct mw_snapshot *snap);

/* pages.c: page states. 1: pages were present where maps knew no mapping, because they changed in between. */
MW_MUST_CHECK int mw__pages_scan(const struct mw__proc *proc, struct mw_snapshot *snap, struct mw_err *err);
/* Page runs by /proc/PID/pagemap, of VMAs that smaps calls resident, or of all without smaps. */
MW_MUST_CHECK int mw__pages_pagemap(const struct mw__proc *proc, struct mw_snapshot *snap,
				    struct mw_err *err);
/* With smaps at hand: how many bytes of each mapping are zero pages that pagemap calls present. */
void mw__pages_place_zeros(struct mw_snapshot *snap);
/* Append a run to the VMA at *vma (an index that only moves forward). Pages outside of all VMAs are counted. */
MW_MUST_CHECK int mw__pages_add(struct mw_snapshot *snap, size_t *vma, uint64_t start, uint64_t end,
				uint32_t state, uint64_t *outside);

/* tasks.c: snap->tasks by thread id; none when they cannot be listed. -MW_E_NOMEM. */
MW_MUST_CHECK int mw__tasks_read(const struct mw__proc *proc, struct mw_snapshot *snap);

/* frames.c: append the frames of the present pages in [start, end) to snap->frames; what is refused becomes a note. */
MW_MUST_CHECK int mw__frames_read(const struct mw__proc *proc, struct mw_snapshot *snap, uint64_t start, uint64_t end);

/* freeze.c: hold every thread of a live target still. End it always; ending nothing is allowed. */
struct mw__held {
	pid_t tid;
	int signal;		/* that it was about to get when it stopped, or 0 */
	bool is_stopped;
};
struct mw__freeze {
	MW_VEC(struct mw__held) threads;
	size_t unstopped;	/* threads that did not stop in time */
	const struct mw__proc *proc;
	struct mw_err *err;
	int rc;
	pthread_t holder;	/* of ours: traces them */
	bool has_holder;
	sem_t held, done;	/* it has; it shall let go of them, and end */
};
MW_MUST_CHECK int mw__freeze_begin(const struct mw__proc *proc, struct mw__freeze *f, struct mw_err *err);
void mw__freeze_end(struct mw__freeze *f);

/* files.c: what is behind the mappings. */
/* Fill snap->files, vma->file and vma->kind from maps and mountinfo; opens nothing. */
MW_MUST_CHECK int mw__files_collect(const struct mw__proc *proc, struct mw_snapshot *snap,
				    struct mw_err *err);
/* The kind of a mapping of a file of this name, as far as a name tells. */
uint8_t mw__files_kind_by_name(const char *name);
/* A descriptor of the regular file behind vma, or -1 with errno; fills size and how of its file. */
int mw__files_open(const struct mw__proc *proc, struct mw_snapshot *snap, const struct mw__vma *vma);
/* cache.c: how much of a file is in the page cache. */
struct mw__cachestat;
struct mw__cache {
	int fd;
	bool is_stacked;	/* what a mapping shows are pages of another file */
};
/* False and errno when the kernel does not tell, or not us. fd is set to O_NOATIME where the file is mapped for it. */
bool mw__cache_open(struct mw__cache *ret, int fd);
bool mw__cache_ask(const struct mw__cache *c, uint64_t off, uint64_t len, struct mw__cachestat *ret);

/* Fill cached and evicted of the VMAs of one file from its descriptor. */
void mw__files_cachestat(struct mw_snapshot *snap, uint32_t file, int fd,
			 const uint32_t *vmas, size_t n_vmas, bool *denied);

/*
 * Which absent pages of them are in the page cache, as runs in snap->cache; afterwards v->cached is the sum
 * of these. Call it after mw__files_cachestat(). A mapping that would take too many calls keeps the amount only.
 */
MW_MUST_CHECK int mw__files_cache_places(struct mw_snapshot *snap, uint32_t file, int fd, const uint32_t *vmas,
					 size_t n_vmas);

/* mem.c: the target's memory, only where snap's runs say that pages are present. Begins with fd -1, ends with its close. */
struct mw__proc_mem {
	const struct mw_snapshot *snap;
	const struct mw__proc *proc;
	int fd;		/* its mem, from the first read on */
	/* What a page holds that is not present, by another road; false: not known. NULL: there is none. */
	bool (*absent)(void *ctx, uint64_t page, void *buf);
	void *ctx;
	int error;	/* errno of the last refused read, or 0 */
	uint64_t page;	/* address of the page that is held in bytes, if has_page */
	bool has_page;
	char bytes[4096];
};
bool mw__proc_mem_read(void *ctx, uint64_t addr, void *buf, size_t size);
void mw__proc_mem_close(struct mw__proc_mem *mem);

#endif
