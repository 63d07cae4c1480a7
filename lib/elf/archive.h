/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Members of an ar archive. */
#ifndef MW_ELF_ARCHIVE_H
#define MW_ELF_ARCHIVE_H

#include "file.h"

struct mw__member {
	const char *name;	/* in the archive's arena */
	uint64_t off, size;	/* of its bytes in the archive */
	bool is_thin;		/* the bytes are in a file of that name instead */
};

/*
 * The member whose header is at *at (0: the first), which moves on to the next. Index and
 * name tables are passed over. 1 found, 0 at the end, also after damage, which is a finding.
 */
int mw__archive_next(struct mw_elf *archive, uint64_t *at, struct mw__member *ret);

/* Open a member. It shares the archive's descriptor and must be closed before it. */
MW_MUST_CHECK int mw__archive_open(struct mw_elf *archive, const struct mw__member *member, struct mw_elf **ret,
				   struct mw_err *err);

#endif
