/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The lines of a snapshot or recording, which may be compressed by gzip: one at a time, each of a bounded length. */
#ifndef MW_SAVE_LINES_H
#define MW_SAVE_LINES_H

#include "../base/gzip.h"
#include "../base/str.h"

struct mw__save_lines {
	FILE *file;
	const char *name;	/* for messages */
	struct mw__gunzip gz;	/* open if the file is compressed */
	bool is_started, read_failed;
	struct mw__str line;	/* the last one, without its newline */
	uint64_t line_no;	/* its number, from 1 */
	size_t start, n;	/* unread bytes of buf */
	char buf[16384];
};

/* The next line. 1, 0 at the end, or -MW_E_FORMAT (too long, or damaged), -MW_E_OS, -MW_E_NOMEM. */
MW_MUST_CHECK int mw__save_lines_next(struct mw__save_lines *l, struct mw_err *err);
void mw__save_lines_deinit(struct mw__save_lines *l);

#endif
