/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the views share: the head of a report on a snapshot, and its notes. */
#ifndef MW_REPORT_VIEWS_H
#define MW_REPORT_VIEWS_H

#include "../base/str.h"
#include "../explain/explain.h"
#include "doc.h"

/* "target": who was looked at, when and how. */
void mw__view_target(struct mw__doc_node *root, const struct mw_snapshot *snap);
/* The first lines of text: program, pid, runtime, sizes, state. */
void mw__view_headline(struct mw__doc_node *root, const struct mw_snapshot *snap, const struct mw_account *acc);
/* "notes": what could not be read, why and what would help; a list in JSON, the last lines in text. */
void mw__view_notes(struct mw__doc_node *root, const struct mw_snapshot *snap);
/* Return: 0, or the error of a view that has nothing to say where mappings are unknown. */
MW_MUST_CHECK int mw__view_need_maps(const struct mw_snapshot *snap, struct mw_err *err);
/* "exact", "partial", "torn" */
const char *mw__view_state(enum mw_state state);
/* "rw-p"; buf holds 5 bytes. */
const char *mw__view_perm(const struct mw__vma *vma, char buf[static 5]);

/* In short what an extent is: the file and what of it, or whose memory and which. In s, which needs not be empty. */
const char *mw__view_what(const struct mw__extent *x, struct mw__str *s);

#endif
