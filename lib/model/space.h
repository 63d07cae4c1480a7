/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Address spaces over time: the moves of a recording played back, so that an address has the meaning it
 * had when it was touched. The kernel does not tell when something is unmapped, so a range keeps its
 * meaning until something else is mapped there.
 */
#ifndef MW_MODEL_SPACE_H
#define MW_MODEL_SPACE_H

#include "recording.h"

/* Disjoint, sorted by start. */
struct mw__range {
	uint64_t start, end;
	uint64_t bias;			/* of the ELF file: address in memory = bias + address in the file */
	const struct mw__object_file *object;	/* ELF file, .bss included, or NULL */
	const char *name;
	uint32_t id;			/* one number a mapping that was made; parts of it keep it */
	uint8_t prot;
	bool is_file;			/* name is a path */
};

/* An ELF file in memory. */
struct mw__loaded {
	const struct mw__object_file *object;
	uint64_t bias, start, end;
};

struct mw__space {
	uint32_t pid;
	uint32_t generation;	/* number of programs it ran before this one */
	const char *command;	/* name of its program, or what it called itself since; NULL: not told */
	size_t hit;		/* where the last address was found */
	MW_VEC(struct mw__range) ranges;
	MW_VEC(struct mw__loaded) loaded;
};

struct mw__spaces {
	const struct mw_recording *rec;
	size_t next;		/* move that was not played yet */
	uint32_t n_ids;
	struct mw__space *hit;
	MW_VEC(struct mw__space *) list;
};

void mw__spaces_init(struct mw__spaces *s, const struct mw_recording *rec);
void mw__spaces_deinit(struct mw__spaces *s);
/* Play all moves up to this time. -MW_E_NOMEM. Times only go forward. */
MW_MUST_CHECK int mw__spaces_play(struct mw__spaces *s, uint64_t time_ns);
/* The space of a process, or NULL when nothing is known of it. */
struct mw__space *mw__spaces_find(struct mw__spaces *s, uint32_t pid);
/* The range that holds addr, or NULL. */
const struct mw__range *mw__space_at(struct mw__space *space, uint64_t addr);

#endif
