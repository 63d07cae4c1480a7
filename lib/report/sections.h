/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of memwhy sections share. */
#ifndef MW_REPORT_SECTIONS_H
#define MW_REPORT_SECTIONS_H

#include "mass.h"
#include "views.h"

struct mw__sections_view {
	const struct mw_snapshot *snap;
	const struct mw_account *acc;
	const struct mw_sections_opts *opts;
	const struct mw__pieces *pieces;
	struct mw__doc_node *root;
	bool symbols;	/* pieces have them */
};

/* "symbols" of one object, and when text is true also on the screen. */
MW_MUST_CHECK int mw__sections_symbols(struct mw__sections_view *v, struct mw__doc_node *object,
				       const struct mw__image_pieces *ic, bool text);
/* "cold" and "hot": the largest symbols without and with pages, of all objects. */
MW_MUST_CHECK int mw__sections_picks(struct mw__sections_view *v);

#endif
