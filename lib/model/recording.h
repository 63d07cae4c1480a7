/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A recording: every page fault of a command or a process over a time, with what is needed to tell
 * where each fell. Facts only; who is right about them is decided right of the freeze.
 *
 * Invariants after mw__recording_freeze():
 *   faults, moves and marks sorted by time (times of a thread never go back)
 *   move->object, fault->chain are valid or MW__NONE
 *   samples >= faults.n, the rest was counted and not kept
 * samples + lost = counter is what the kernel's three roads say, not an invariant: both sides are kept.
 */
#ifndef MW_MODEL_RECORDING_H
#define MW_MODEL_RECORDING_H

#include "snapshot.h"

struct mw__fault {
	uint64_t time_ns;	/* since the recording began */
	uint64_t addr, ip;	/* what was touched, and by which instruction */
	uint32_t pid, tid;
	uint32_t chain;		/* first of its callers in chains, or MW__NONE */
	uint16_t n_chain;
	bool is_major;		/* waited for a disk or for swap */
};

/* What changed in the address spaces, in the order of time. */
enum mw__move_kind {
	MW__MOVE_MAP,	/* [start, end) was mapped from off of name; unmapping is not told by the kernel */
	MW__MOVE_FORK,	/* pid was forked from parent */
	MW__MOVE_EXEC,	/* pid runs another program: all its mappings went */
	MW__MOVE_EXIT,
	MW__MOVE_NAME,	/* thread tid is called name */
	MW__N_MOVES
};

struct mw__move {
	uint64_t time_ns;
	uint64_t start, end, off;
	uint32_t pid, tid, parent;
	uint32_t object;	/* index into objects, or MW__NONE */
	const char *name;	/* path, "//anon", "[heap]", ...; the name of the program or thread */
	uint8_t kind;		/* enum mw__move_kind */
	uint8_t prot;		/* enum mw__prot */
};

struct mw__fault_symbol {
	uint64_t addr, size;	/* as in the file */
	const char *name;
};

/* An ELF file that was mapped, with those of its symbols that a fault fell into or came from. */
struct mw__object_file {
	const char *path;
	struct mw__image image;		/* bias 0: addresses as in the file */
	const struct mw__fault_symbol *symbols;	/* sorted by addr, disjoint */
	uint32_t n_symbols;
	bool has_symbols;		/* the file had a symbol table at all */
};

enum mw__phase {
	MW__PHASE_EXEC,		/* the kernel sets up the program */
	MW__PHASE_LDSO,		/* the dynamic linker loads and relocates libraries */
	MW__PHASE_INIT,		/* constructors of libraries and program */
	MW__PHASE_MAIN,
	MW__PHASE_ATTACHED,	/* it ran already */
	MW__N_PHASES
};
extern const char *const mw__phases[MW__N_PHASES + 1];

/* When the recorded process entered a phase. */
struct mw__mark {
	uint64_t time_ns;
	uint8_t phase;		/* enum mw__phase */
	uint8_t certainty;	/* enum mw__certainty */
	const char *rule;	/* how it is known */
};

struct mw__recording_note {
	const char *source, *reason, *remedy;
};

struct mw_recording {
	struct mw__arena arena;
	uint32_t pid;
	bool is_attached;		/* it ran before the recording */
	bool without_kernel;		/* faults that the kernel takes itself are not in it */
	bool by_program;		/* written by a program in the kernel, not as samples */
	bool is_cut;			/* the recording ended before the process did */
	const char *command;		/* with its arguments */
	uint64_t started_at_ns;		/* CLOCK_REALTIME */
	uint64_t took_ns;
	uint64_t before_ns, after_ns;	/* when the snapshots were taken: end of the first, start of the last */
	uint64_t paused_ns;		/* stopped behind execve, until the phases could be watched */
	uint64_t samples, lost, counter;
	uint64_t lost_moves;		/* changes of address spaces that could not be written down; MW_UNKNOWN */
	uint64_t task_faults;		/* minflt + majflt of the process since its last execve or the start; MW_UNKNOWN */
	uint64_t exit_status;		/* as wait(2) gave it; MW_UNKNOWN */
	MW_VEC(struct mw__fault) faults;
	MW_VEC(uint64_t) chains;
	MW_VEC(struct mw__move) moves;
	MW_VEC(struct mw__mark) marks;
	MW_VEC(struct mw__object_file) objects;
	MW_VEC(struct mw__recording_note) notes;
	struct mw_snapshot *before;	/* when attached: as it was then; otherwise NULL */
	struct mw_snapshot *after;	/* at the end, or NULL: a note says why */
};

void mw__recording_init(struct mw_recording *rec);
void mw__recording_deinit(struct mw_recording *rec);
/* Order and check. -MW_E_FORMAT names what is wrong. */
MW_MUST_CHECK int mw__recording_freeze(struct mw_recording *rec, struct mw_err *err);
void mw__recording_note(struct mw_recording *rec, const char *source, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The symbol that holds an address of the file, or NULL. */
const struct mw__fault_symbol *mw__object_symbol(const struct mw__object_file *object, uint64_t addr);
/* The section that holds it, or NULL. */
const struct mw__section *mw__object_section(const struct mw__object_file *object, uint64_t addr);

#endif
