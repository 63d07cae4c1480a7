/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a recording says.
 *
 *   faults.c      each fault gets its phase, the place it fell into and the code it came from; counts by each
 *   reconcile.c   faults against the pages that are resident at the end: each fault has one outcome, each
 *                 resident page one source, so that both sides close
 */
#ifndef MW_EXPLAIN_FAULTS_H
#define MW_EXPLAIN_FAULTS_H

#include "../model/recording.h"
#include "../model/space.h"

/* What became of a fault. They partition the faults that were kept. */
#define MW__OUTCOMES(X)                                                                       \
	X(RESIDENT, "resident", "brought a page that is resident at the end")                 \
	X(AGAIN, "again", "touched it again (copied, or freed in between)")                 \
	X(BEFORE, "before", "touched a page that was resident at the first look")             \
	X(ZERO, "zero", "read only: got the zero page, which is not in RSS")                  \
	X(SWAPPED, "swapped", "brought a page that is swapped out now")                       \
	X(GONE, "gone", "brought a page that is gone since, or none")                         \
	X(LATER, "later", "came after the last look at the pages")                            \
	X(EARLIER, "earlier", "belong to the program before the last execve")                 \
	X(OTHER, "other", "belong to other processes that it started")                        \
	X(UNKNOWN, "unknown", "pages at the end are not known")
enum mw__outcome {
#define X(name, id, text) MW__OUTCOME_##name,
	MW__OUTCOMES(X)
#undef X
	MW__N_OUTCOMES
};

/* Where a resident page came from. They partition RSS at the end. */
#define MW__SOURCES(X)                                                                        \
	X(FAULT, "fault", "its own fault, recorded")                                          \
	X(AROUND, "fault-around", "a fault nearby: the kernel maps cached neighbours")        \
	X(HUGE, "huge-page", "one fault in the same huge page")                               \
	X(BEFORE, "before", "before the recording")                                           \
	X(LOCKED, "locked", "mlock: the kernel fills locked mappings itself")                 \
	X(EXEC, "exec", "execve wrote arguments and environment")                             \
	X(LOST, "lost", "not known: its fault was not recorded, or none came")                \
	X(UNSEEN, "unseen", "no fault of its own: MAP_POPULATE, a vfork child, ...")
enum mw__source {
#define X(name, id, text) MW__SOURCE_##name,
	MW__SOURCES(X)
#undef X
	MW__N_SOURCES
};

/* Faults with something in common. */
struct mw__fault_row {
	const char *object, *section, *name;	/* interned; NULL where the table has no such column */
	uint64_t key;				/* mappings: number of the mapping */
	uint64_t faults, majors, pages;		/* pages: faults that were the first on their page */
	uint32_t first;				/* index of the first fault */
	uint64_t start, end;			/* mappings: the range */
};
struct mw__fault_rows {
	MW_VEC(struct mw__fault_row) v;
	uint32_t *slots;			/* hash: index + 1 */
	size_t n_slots;
	uint32_t last;				/* the row found last */
};

struct mw__fault_place {
	const char *object;	/* path, or kind of memory */
	const char *section;	/* of an ELF file, or "" */
	const char *symbol;	/* variable or function, or "" */
	uint64_t offset;	/* from the start of the symbol, else of the object */
	uint64_t start, end;	/* addresses around it of which all but the offset holds too; empty: not known */
};

struct mw__fault_phase {
	uint64_t faults, majors, pages, ns;
	uint64_t start_ns;	/* of its first time; MW_UNKNOWN: never entered */
	const char *rule;
	enum mw__certainty certainty;
};

struct mw__fault_report;
/* Its name; one whose end is not known holds what follows, and says so. phase: up to MW__N_PHASES, other processes. */
const char *mw__fault_phase_name(const struct mw__fault_report *r, unsigned phase);

/* A range of the last snapshot with what it is. */
struct mw__extent_name {
	uint64_t start, end;
	const char *what;
	bool is_anonymous;
};

struct mw__fault_report {
	const struct mw_recording *rec;
	struct mw__arena arena;
	struct mw__fault_phase phases[MW__N_PHASES + 1];	/* the last: other processes */
	struct mw__fault_rows sections, symbols, callers, mappings, commands, threads;
	uint64_t majors, pages, kernel;		/* kernel: faults that the kernel took for the program */
	uint64_t outcomes[MW__N_OUTCOMES];
	uint64_t sources[MW__N_SOURCES];	/* bytes */
	uint64_t rss_after, rss_before, gone;	/* bytes; gone: resident before, not at the end */
	bool has_pages;				/* sources and rss are known */
	uint64_t faults_in_program;		/* of the last program, since execve returned or the start */
	uint32_t n_processes, n_threads;
	/* for those that go through the faults again */
	struct mw__spaces spaces;
	MW_VEC(struct mw__extent_name) extents;
	const struct mw__object_file *hit_object;	/* symbol found last */
	const struct mw__fault_symbol *hit_symbol;
};

extern const char *const mw__outcome_ids[MW__N_OUTCOMES];
extern const char *const mw__outcomes[MW__N_OUTCOMES];
extern const char *const mw__source_ids[MW__N_SOURCES];
extern const char *const mw__sources[MW__N_SOURCES];
#define MW__FAULTS_ELSEWHERE "other processes"

MW_MUST_CHECK int mw__fault_report_make(const struct mw_recording *rec, struct mw__fault_report *ret);
void mw__fault_report_deinit(struct mw__fault_report *r);

/* Go through all faults in order. fn yields 0 to go on; its space, and the places it asks for, are of that time. */
struct mw__fault_at {
	const struct mw__fault *fault;
	uint32_t index;
	unsigned phase;			/* enum mw__phase, or MW__N_PHASES for other processes */
	struct mw__space *space;	/* or NULL */
	bool is_last_program;		/* of the recorded process, and what it runs at the end */
};
MW_MUST_CHECK int mw__faults_each(struct mw__fault_report *r, int (*fn)(void *ctx, const struct mw__fault_at *at), void *ctx);
/* What is at an address, at the time of a fault. */
void mw__fault_place(struct mw__fault_report *r, const struct mw__fault_at *at, uint64_t addr, struct mw__fault_place *ret);
/* The function of an instruction: "name", or "kernel". */
void mw__fault_caller(struct mw__fault_report *r, const struct mw__fault_at *at, uint64_t ip, struct mw__fault_place *ret);

/* reconcile.c: pages that faulted, as a bitmap for each block of 2 MiB. */
struct mw__fault_block {
	uint64_t key;		/* number of the block, the space in its upper bits */
	uint64_t bits[8];	/* one a page of 4 KiB */
};
struct mw__faulted {
	MW_VEC(struct mw__fault_block) blocks;
	uint32_t *slots;	/* hash: index + 1 */
	size_t n_slots;
	uint32_t last;		/* the block found last */
};
/* 1 when the page is new in this space, 0 when it was there, -MW_E_NOMEM. */
int mw__faulted_add(struct mw__faulted *f, uint64_t space, uint64_t addr);
void mw__faulted_deinit(struct mw__faulted *f);
/* Fill sources, rss_before, rss_after and gone. */
MW_MUST_CHECK int mw__reconcile(struct mw__fault_report *r, const struct mw__faulted *f);
/* The states of the page at addr (enum mw__page), 0 when it has none. Addresses may come in any order. */
uint32_t mw__page_state(const struct mw_snapshot *snap, uint64_t addr);

#endif
