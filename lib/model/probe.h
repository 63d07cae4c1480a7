/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What this machine and this caller can do: facts for memwhy doctor, found by trying. */
#ifndef MW_MODEL_PROBE_H
#define MW_MODEL_PROBE_H

#include "../base/arena.h"
#include "../base/vec.h"
#include "../memwhy.h"

enum mw__ability { MW__WORKS, MW__REFUSED, MW__ABSENT, MW__SETTING };

struct mw__probe_fact {
	enum mw__ability ability;
	const char *what;	/* "page scan (PAGEMAP_SCAN)" */
	const char *gives;	/* what it is good for */
	const char *found;	/* what was found: an errno text, a value */
	const char *enable;	/* how to get it, or NULL */
};
struct mw__probe {
	struct mw__arena arena;
	MW_VEC(struct mw__probe_fact) facts;
};
/* collect/probe.c */
MW_MUST_CHECK int mw__probe_run(const struct mw_doctor_opts *opts, struct mw__probe *ret, struct mw_err *err);
void mw__probe_deinit(struct mw__probe *probe);

#endif
