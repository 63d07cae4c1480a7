/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recording page faults.
 *
 *   events.c    perf events and their rings
 *   program.c   where it is allowed, a program in the kernel that writes faults down for less than a sample costs
 *   refusal.c   which setting or right it was that refused an event
 *   pile.c      the faults of a ring, as many as come
 *   decode.c    records of a ring -> faults and moves; knows bytes only
 *   counters.c  the processor's counters of TLB misses and page walks
 *   child.c     the command: held until the events are armed, stopped when it ends
 *   phases.c    breakpoints that tell when the dynamic linker and the constructors are done
 *   objects.c   the ELF files and symbols that the addresses fell into
 *   record.c    puts them together
 */
#ifndef MW_TRACE_TRACE_H
#define MW_TRACE_TRACE_H

#include "../model/recording.h"

#include <linux/perf_event.h>

/* -------------------------------------------------------------------- pile */

struct mw__pile {
	MW_VEC(struct mw__fault *) pieces;
	size_t n;			/* faults in all of them */
};
/* The i-th, which is there, and in *n how many of the following, it included, lie behind it. */
struct mw__fault *mw__pile_from(const struct mw__pile *pile, size_t i, size_t *n);
/* Room for *n > 0 faults behind those that are there, or for fewer, as *n tells then; they count when pile->n does. NULL: no memory. */
struct mw__fault *mw__pile_room(struct mw__pile *pile, size_t *n);
void mw__pile_free(struct mw__pile *pile);
/* Memory for n faults in one piece, for free(3); NULL without. */
struct mw__fault *mw__pile_flat(size_t n);

/* ------------------------------------------------------------------ events */

enum mw__event_kind {
	MW__EVENT_FAULTS,
	MW__EVENT_MAJORS,	/* major faults once more: a fault does not tell */
	MW__EVENT_MOVES,	/* no counter, only what changes in the address spaces: a flood of faults cannot drown it */
};

/* A program that writes faults down, and its ring; all zero but for the descriptors: none. */
struct mw__program {
	int map, fd;
	void *base;
	size_t size;			/* of the ring, a power of two */
};

struct mw__ring {
	int fd;
	void *base;			/* control page, then data; NULL: faults are written by the program */
	size_t size;			/* of the data, a power of two */
	struct mw__program program;
	enum mw__event_kind kind;
	bool is_hung_up;		/* its first thread ended: poll(2) would not wait for it any more */
	uint64_t lost;			/* as its PERF_RECORD_LOST say; what was lost last has none */
	struct mw__pile faults;		/* as they came: in the order of time */
};

/* An event that writes into the ring of another on the same processor. */
struct mw__sharer {
	int fd;
	enum mw__event_kind kind;
};

/* The events on one target. */
struct mw__events {
	MW_VEC(struct mw__ring) rings;	/* one a processor and kind */
	MW_VEC(struct mw__sharer) more;
	bool without_kernel;		/* faults that the kernel takes are excluded: not allowed */
	bool without_majors;		/* no event for major faults */
	bool without_lost;		/* no PERF_FORMAT_LOST: a kernel before 6.0 */
	bool stacks;
	bool by_program;		/* faults are written by a program in the kernel, not as samples */
	enum mw_faults_recorder recorder;	/* what was asked for */
	size_t buffer;			/* bytes of a ring of faults, a power of two; 0: the most that is allowed */
	uint64_t limit;			/* faults kept at most */
	uint64_t kept;
	uint64_t samples;		/* fault records seen */
	uint64_t zero_ns;		/* CLOCK_MONOTONIC that times are counted from */
};

/*
 * Open events for all threads of pid. A command (on_exec) is counted from its execve on, with all its
 * descendants; a process that runs already, from mw__events_start() on.
 * -MW_E_PERM tells what was refused and how to get it.
 */
MW_MUST_CHECK int mw__events_open(struct mw__events *e, pid_t pid, bool on_exec, struct mw_err *err);
void mw__events_close(struct mw__events *e);
void mw__events_start(struct mw__events *e);
void mw__events_stop(struct mw__events *e);
/* Take what the rings hold. */
MW_MUST_CHECK int mw__events_drain(struct mw__events *e, struct mw_recording *rec);
/* What the kernel counted, what it could not write, and how many changes of address spaces it could not write. */
void mw__events_counts(const struct mw__events *e, uint64_t *counter, uint64_t *lost, uint64_t *lost_moves);
/* What the rings themselves tell that they lost; what they lost last is not in it. */
uint64_t mw__events_lost_by_records(const struct mw__events *e);
/* Merge the rings' faults into rec, and mark the major ones. */
MW_MUST_CHECK int mw__events_merge(struct mw__events *e, struct mw_recording *rec);

long mw__perf_open(struct perf_event_attr *attr, pid_t pid, int cpu, int group);

/* ----------------------------------------------------------------- refusal */

/* kernel.perf_event_paranoid as it stands, or "unknown"; in buf, which needs not be read. */
const char *mw__perf_paranoid(char buf[16]);
bool mw__perf_may_watch_itself(void);
/* perf_event_open(2) on pid failed with this EACCES or EPERM: say what refused it and what would permit it. -MW_E_PERM. */
int mw__perf_refused(pid_t pid, int error, struct mw_err *err);

/* ------------------------------------------------------------------ decode */

struct mw__decoder {
	struct mw_recording *rec;
	struct mw__events *events;
	struct mw__ring *ring;
};
/* One record of header->size bytes. -MW_E_NOMEM; a record that makes no sense is passed over. */
MW_MUST_CHECK int mw__decode(struct mw__decoder *d, const struct perf_event_header *header);
/* A time of the clock, since the recording began. */
uint64_t mw__decode_time(const struct mw__decoder *d, uint64_t time);
/* So many were written where there is room in the ring's pile: count them, keep what the limit allows. */
void mw__decode_keep(struct mw__decoder *d, size_t n);

/* ----------------------------------------------------------------- program */

/* A ring of so many bytes, a power of two, and the program that fills it. 0, or -errno (never -EINVAL): not allowed, not known here. */
MW_MUST_CHECK int mw__program_open(struct mw__program *p, size_t size);
void mw__program_close(struct mw__program *p);
/* Let it write the faults of an event, and of those that inherit it. 0 or -errno. */
MW_MUST_CHECK int mw__program_attach(const struct mw__program *p, int event);
/* Faults that the ring holds at most. */
uint64_t mw__program_room(const struct mw__program *p);
uint64_t mw__program_lost(const struct mw__program *p);
MW_MUST_CHECK int mw__program_drain(struct mw__program *p, struct mw__decoder *d);

/* ------------------------------------------------------------------- child */

struct mw__child {
	pid_t pid;		/* -1: it never was, or is not ours any more */
	pid_t tid;		/* the thread that is traced: the first, or another when that has ended */
	pid_t stopped;		/* who is held by EXEC, RENEWED or ENDING */
	int ready, report;	/* pipes: let it exec; errno of a failed exec */
	bool traced, ended;
	bool is_renewed;	/* it executed a program, and is told to stop */
	bool is_ending, was_last;	/* the thread that is held ends; the one before was the last */
	int status;		/* as wait(2) gave it, when ended */
};
enum mw__child_event { MW__CHILD_NOTHING, MW__CHILD_EXEC, MW__CHILD_RENEWED, MW__CHILD_ENDING, MW__CHILD_ENDED };

/* Fork; the child waits, and will start with this mask of signals. */
MW_MUST_CHECK int mw__child_start(struct mw__child *c, char *const argv[], const sigset_t *mask, struct mw_err *err);
/* Let it execute the command. Fails when there is no such command. */
MW_MUST_CHECK int mw__child_release(struct mw__child *c, const char *name, struct mw_err *err);
/*
 * What happened to it, without waiting. EXEC, RENEWED (it executed a program a moment ago, which runs already) and
 * ENDING (a thread of it ends, and perhaps all) leave it stopped.
 */
enum mw__child_event mw__child_poll(struct mw__child *c);
void mw__child_continue(struct mw__child *c);
/* Make it end, if it has not, and take its status. */
void mw__child_end(struct mw__child *c);

/* ------------------------------------------------------------------ phases */

#define MW__MAX_BREAKPOINTS 3
struct mw__breakpoint {
	int fd;
	void *base;
	enum mw__phase phase;
	unsigned hit;		/* the hit that counts, from 1 */
	const char *rule;
};
struct mw__phases_watch {
	struct mw__breakpoint v[MW__MAX_BREAKPOINTS];
	size_t n;
	bool no_linker;		/* proven: the program starts without a dynamic linker */
};
/* The child stopped behind its execve: find where its phases begin. What cannot be had leaves a note. */
void mw__phases_arm(struct mw__phases_watch *w, pid_t pid, struct mw_recording *rec);
/* Read the times. */
void mw__phases_collect(struct mw__phases_watch *w, uint64_t zero_ns, struct mw_recording *rec);
void mw__phases_close(struct mw__phases_watch *w);

/* ----------------------------------------------------------------- objects */

/* Read the ELF files that were mapped; pid (0: none) helps to find those of another root. */
MW_MUST_CHECK int mw__objects_read(struct mw_recording *rec, pid_t pid);
/* And of these the symbols that addresses of faults fall into. */
MW_MUST_CHECK int mw__objects_resolve(struct mw_recording *rec, pid_t pid);

uint64_t mw__trace_now(void);

#endif
