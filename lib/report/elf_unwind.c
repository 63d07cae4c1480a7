/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Unwind records: which code has one, as a stream. */
#include "../elf/unwind.h"

#include <stdio.h>

#include "elf_view.h"

static const struct mw__col frame_cols[] = {
	{ "offset", "Offset", MW__T_ADDR, 0, "of the record in its section" },
	{ "kind", "Kind", MW__T_TEXT, 0, "CIE (common part) or FDE (one function)" },
	{ "length", "Length", MW__T_BYTES, 0, "bytes of the record" },
	{ "cie", "CIE", MW__T_ADDR, 0, "offset of the CIE that an FDE refers to" },
	{ "start", "Start", MW__T_ADDR, 0, "first address of the code" },
	{ "end", "End", MW__T_ADDR, 0, "one past its last" },
	{ "augmentation", "Augmentation", MW__T_TEXT, 0, "of the CIE" },
	{ "code_align", "code_align", MW__T_COUNT, MW__COL_JSON_ONLY, "code alignment factor of a CIE" },
	{ "data_align", "data_align", MW__T_DELTA, MW__COL_JSON_ONLY, "data alignment factor of a CIE" },
};

struct frames_ctx {
	struct mw__frames begin, now;
	size_t n;
};

static size_t count_frames(void *ctx) { return ((struct frames_ctx *)ctx)->n; }

static void restart(void *ctx)
{
	struct frames_ctx *c = ctx;

	c->now = c->begin;
}

static bool frame_row(void *ctx, size_t i, struct mw__cell *c)
{
	struct frames_ctx *f = ctx;
	struct mw__frame_record r;

	(void)i;
	if (!mw__frames_next(&f->now, &r))
		return false;
	mw__cell_u64(&c[0], MW__T_ADDR, r.off);
	mw__cell_text(&c[1], r.is_cie ? "CIE" : "FDE");
	mw__cell_u64(&c[2], MW__T_BYTES, r.length);
	if (r.is_cie) {
		mw__cell_text(&c[6], f->now.augmentation);
		mw__cell_u64(&c[7], MW__T_COUNT, f->now.code_align);
		c[8].type = MW__T_DELTA;
		c[8].d = f->now.data_align;
	} else {
		mw__cell_u64(&c[3], MW__T_ADDR, r.cie);
		mw__cell_u64(&c[4], MW__T_ADDR, r.start);
		mw__cell_u64(&c[5], MW__T_ADDR, r.end);
	}
	return true;
}

void mw__elf_view_unwind(const struct mw__elf_view *v)
{
	struct mw__doc_node *list = mw__doc_list(v->node, "unwind");
	struct mw__frames t;
	size_t found = 0;
	int rc;

	for (size_t i = 0; (rc = mw__frames_open(v->elf, i, &t)) >= 0; i++) {
		struct frames_ctx *c = rc ? mw__view_alloc(v, sizeof(*c)) : NULL;
		struct mw__frame_record r;

		if (!c)
			continue;
		found++;
		c->begin = c->now = t;
		while (mw__frames_next(&c->now, &r))
			c->n++;
		struct mw__doc_node *o = mw__doc_object(list, NULL);

		mw__doc_text(o, "table", t.name);
		mw__doc_u64(o, "count", MW__T_COUNT, c->n);
		mw__view_line(o, "\002Unwind records of %s: %zu", t.name, c->n);
		mw__doc_stream(o, "entries", NULL, frame_cols, MW__COUNT(frame_cols),
			       &(struct mw__stream){ count_frames, restart, frame_row, c });
	}
	if (!found)
		mw__view_heading(v, "There are no unwind tables.");
}
