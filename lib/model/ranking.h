/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All processes of a machine with their amounts, for a ranking. Filled by collect/ranking.c and not changed
 * afterwards; rows by pid.
 */
#ifndef MW_MODEL_RANKING_H
#define MW_MODEL_RANKING_H

#include "snapshot.h"

/* Why PSS and USS of a process are not known. */
enum mw__unread { MW__READ, MW__NOT_ASKED, MW__REFUSED, MW__TOO_LARGE, MW__VANISHED };
#define MW__UNREAD_NAMED 8	/* of each, the first by pid, a report names so many */

struct mw__ranked {
	pid_t pid;
	uint32_t uid;
	const char *user;		/* name, or number as text; NULL where only the largest were looked at closely */
	const char *command;		/* comm; NULL likewise, or a process without name */
	const char *cgroup;		/* path, or NULL; only when asked for */
	struct mw__status status;
	uint64_t pss, uss, huge, lazy;	/* of smaps_rollup; MW_UNKNOWN */
	uint8_t unread;			/* enum mw__unread */
	const char *most;		/* the mapping that most of RSS is in by all means, or NULL: none, or not looked for */
	size_t frame, n_frames;		/* its page frames in mw_ranking.frames */
	bool frames_known;
	bool is_headless;		/* its first thread has ended: the files of another tell of its memory */
};

struct mw_ranking {
	struct mw__arena arena;
	MW_VEC(struct mw__ranked) rows;
	MW_VEC(uint64_t) frames;	/* frame numbers, process after process; only when asked for */
	uint64_t n_kernel;		/* kernel threads and zombies: no memory of their own */
	uint64_t n_vanished;		/* ended while they were read */
	uint64_t mem_total;		/* bytes of the machine, or MW_UNKNOWN */
	size_t largest;			/* 0: all of all is there; otherwise of so many */
};

#endif
