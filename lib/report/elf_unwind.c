/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Unwind records: which code has one, and on request their instructions, as one stream. */
#include "../elf/cfi.h"

#include <stdio.h>

#include "elf_view.h"

static const struct mw__col frame_cols[] = {
	{ "offset", "Offset", MW__T_ADDR, 0, "of the record or instruction in its section" },
	{ "kind", "Kind", MW__T_TEXT, 0, "CIE (common part), FDE (one function), or CFA (instruction of the one before)" },
	{ "length", "Length", MW__T_BYTES, 0, "bytes of the record" },
	{ "cie", "CIE", MW__T_ADDR, 0, "offset of the CIE that an FDE refers to" },
	{ "start", "Start", MW__T_ADDR, 0, "first address of the code; where an instruction holds from" },
	{ "end", "End", MW__T_ADDR, 0, "one past its last" },
	{ "detail", "What it says", MW__T_TEXT, MW__COL_TEXT_ONLY, "factors of a CIE, instructions" },
	{ "augmentation", "Augmentation", MW__T_TEXT, MW__COL_JSON_ONLY, "of the CIE" },
	{ "code_align", "code_align", MW__T_COUNT, MW__COL_JSON_ONLY, "code alignment factor of a CIE" },
	{ "data_align", "data_align", MW__T_DELTA, MW__COL_JSON_ONLY, "data alignment factor of a CIE" },
	{ "return_register", "return_register", MW__T_COUNT, MW__COL_JSON_ONLY, "column of the return address, of a CIE" },
	{ "operation", "operation", MW__T_TEXT, MW__COL_JSON_ONLY, "of an instruction, DW_CFA_..." },
	{ "operands", "operands", MW__T_TEXT, MW__COL_JSON_ONLY, "of an instruction" },
};

struct frames_ctx {
	struct mw__frames begin, now;
	bool with_insns;	/* instructions follow their record */
	struct mw__cfi cfi;
	struct mw__cfi_insn insn;
	size_t n;
	char detail[MW__CFI_TEXT + 64];
};

static size_t count_frames(void *ctx) { return ((struct frames_ctx *)ctx)->n; }

static void restart(void *ctx)
{
	struct frames_ctx *c = ctx;

	c->now = c->begin;
	c->cfi = (struct mw__cfi){ 0 };
}

static void insn_row(struct frames_ctx *f, struct mw__cell *c)
{
	const struct mw__cfi_insn *n = &f->insn;

	mw__cell_u64(&c[0], MW__T_ADDR, n->off);
	mw__cell_text(&c[1], "CFA");
	if (f->cfi.loc)		/* instructions of a CIE hold everywhere */
		mw__cell_u64(&c[4], MW__T_ADDR, n->loc);
	snprintf(f->detail, sizeof(f->detail), "  %s%s%s", n->operation, n->operands[0] ? " " : "", n->operands);
	mw__cell_text(&c[6], f->detail);
	mw__cell_text(&c[11], n->operation);
	mw__cell_text(&c[12], n->operands);
}

static void record_row(struct frames_ctx *f, const struct mw__frame_record *r, struct mw__cell *c)
{
	mw__cell_u64(&c[0], MW__T_ADDR, r->off);
	mw__cell_text(&c[1], r->is_cie ? "CIE" : "FDE");
	mw__cell_u64(&c[2], MW__T_BYTES, r->length);
	if (r->is_cie) {
		snprintf(f->detail, sizeof(f->detail), "\"%s\", code %llu, data %lld, return address r%llu", f->now.augmentation,
			 (unsigned long long)f->now.code_align, (long long)f->now.data_align,
			 (unsigned long long)f->now.return_reg);
		mw__cell_text(&c[6], f->detail);
		mw__cell_text(&c[7], f->now.augmentation);
		mw__cell_u64(&c[8], MW__T_COUNT, f->now.code_align);
		c[9].type = MW__T_DELTA;
		c[9].d = f->now.data_align;
		mw__cell_u64(&c[10], MW__T_COUNT, f->now.return_reg);
	} else {
		mw__cell_u64(&c[3], MW__T_ADDR, r->cie);
		mw__cell_u64(&c[4], MW__T_ADDR, r->start);
		mw__cell_u64(&c[5], MW__T_ADDR, r->end);
	}
}

static bool frame_row(void *ctx, size_t i, struct mw__cell *c)
{
	struct frames_ctx *f = ctx;
	struct mw__frame_record r;

	(void)i;
	if (f->with_insns && mw__cfi_next(&f->cfi, &f->insn)) {
		insn_row(f, c);
		return true;
	}
	if (!mw__frames_next(&f->now, &r))
		return false;
	mw__cfi_init(&f->now, &r, &f->cfi);
	record_row(f, &r, c);
	return true;
}

/* Records, and the rows that they make. */
static size_t count_rows(struct frames_ctx *c)
{
	struct mw__frame_record r;
	size_t n = 0;

	while (mw__frames_next(&c->now, &r)) {
		n++;
		c->n++;
		if (!c->with_insns)
			continue;
		mw__cfi_init(&c->now, &r, &c->cfi);
		while (mw__cfi_next(&c->cfi, &c->insn))
			c->n++;
	}
	return n;
}

void mw__elf_view_unwind(const struct mw__elf_view *v)
{
	struct mw__doc_node *list = mw__doc_list(v->node, "unwind");
	struct mw__frames t;
	size_t found = 0;
	int rc;

	for (size_t i = 0; (rc = mw__frames_open(v->elf, i, &t)) >= 0; i++) {
		struct frames_ctx *c = rc ? mw__view_alloc(v, sizeof(*c)) : NULL;

		if (!c)
			continue;
		found++;
		c->begin = c->now = t;
		c->with_insns = v->opts->views & MW_ELF_CFI;
		size_t n = count_rows(c);
		struct mw__doc_node *o = mw__doc_object(list, NULL);

		mw__doc_text(o, "table", t.name);
		mw__doc_u64(o, "count", MW__T_COUNT, n);
		mw__view_line(o, "\002Unwind records of %s: %zu", t.name, n);
		mw__doc_stream(o, "entries", NULL, frame_cols, MW__COUNT(frame_cols),
			       &(struct mw__stream){ count_frames, restart, frame_row, c });
	}
	if (!found)
		mw__view_heading(v, "There are no unwind tables.");
}
