/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the DWARF says: units, lines of addresses, the layout of a type with its holes. */
#include "../elf/dwarf.h"

#include <stdio.h>
#include <string.h>

#include "../base/size.h"
#include "../elf/own_spans.h"
#include "elf_names.h"
#include "elf_view.h"

#define CACHE_LINE 64

static const struct mw__col unit_cols[] = {
	{ "offset", "DIE", MW__T_ADDR, 0, "offset of its DIE" },
	{ "low", "Low", MW__T_ADDR, 0, "first address, where the unit is one range" },
	{ "high", "High", MW__T_ADDR, 0, "one past its last" },
	{ "version", "DWARF", MW__T_COUNT, 0, "version of its DWARF" },
	{ "language", "Language", MW__T_COUNT, MW__COL_HIDDEN, "DW_LANG number" },
	{ "name", "Name", MW__T_TEXT, 0, "source file" },
	{ "directory", "Directory", MW__T_TEXT, MW__COL_HIDDEN, "directory it was compiled in" },
	{ "producer", "Producer", MW__T_TEXT, MW__COL_HIDDEN, "compiler" },
};

static void add_units(struct mw__doc_node *o, const struct mw__dwarf_answer *a)
{
	struct mw__doc_node *t = mw__doc_table(o, "units", "Compile units", unit_cols, MW__COUNT(unit_cols));

	for (size_t i = 0; i < a->v.n; i++) {
		const struct mw__dwarf_record *r = &a->v.v[i];

		if (r->kind != MW__DWARF_UNIT)
			continue;
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_u64(t, row, 0, r->n[0]);
		mw__row_u64(t, row, 1, r->n[1]);
		mw__row_u64(t, row, 2, r->n[2]);
		mw__row_u64(t, row, 3, r->n[4]);
		mw__row_u64(t, row, 4, r->n[3]);
		for (int k = 0; k < 3; k++)
			mw__row_text(t, row, 5 + k, r->text[k]);
	}
}

static const struct mw__col line_cols[] = {
	{ "address", "Address", MW__T_ADDR, 0, "the address asked for" },
	{ "depth", "Depth", MW__T_COUNT, 0, "0 is the innermost inlined function" },
	{ "function", "Function", MW__T_TEXT, 0, "function" },
	{ "file", "File", MW__T_TEXT, 0, "source file" },
	{ "line", "Line", MW__T_COUNT, 0, "line; none for what the compiler added" },
	{ "symbol", "symbol", MW__T_TEXT, MW__COL_JSON_ONLY, "symbol that covers the address" },
	{ "symbol_offset", "symbol_offset", MW__T_COUNT, MW__COL_JSON_ONLY, "how far into it the address is" },
	{ "symbol_text", "Symbol", MW__T_TEXT, MW__COL_TEXT_ONLY, "both" },
};

/* Symbols name what no line table knows; they may be in another file, and then it is said. */
static void add_symbol(const struct mw__elf_view *v, struct mw__doc_node *t, struct mw__doc_row *row, const struct mw__spans *s, uint64_t addr)
{
	uint64_t into;
	const char *name = mw__spans_find(s, addr, &into);
	char text[1024];

	if (!name)
		return;
	snprintf(text, sizeof(text), "%.900s+%#llx", mw__view_plain(v, name), (unsigned long long)into);
	mw__row_text(t, row, 5, name);
	mw__row_u64(t, row, 6, into);
	mw__row_text(t, row, 7, text);
}

static void add_lines(const struct mw__elf_view *v, struct mw__doc_node *o, const struct mw__dwarf_answer *a)
{
	struct mw__doc_node *t = mw__doc_table(o, "lines", "Lines", line_cols, MW__COUNT(line_cols));
	struct mw__spans symbols = { 0 };

	if (mw__spans_collect(v->elf, MW_ELF_BY_SYMBOL, true, &symbols, NULL) < 0)
		v->doc->failed = true;
	for (size_t k = 0; k < v->opts->n_addrs; k++) {
		size_t found = 0;

		for (size_t i = 0; i < a->v.n; i++) {
			const struct mw__dwarf_record *r = &a->v.v[i];

			if (r->kind != MW__DWARF_LINE || r->n[0] != v->opts->addrs[k])
				continue;
			struct mw__doc_row *row = mw__doc_row(t);

			found++;
			mw__row_u64(t, row, 0, r->n[0]);
			mw__row_u64(t, row, 1, r->n[2]);
			mw__row_text(t, row, 2, *r->text[0] ? mw__view_plain(v, r->text[0]) : NULL);
			mw__row_text(t, row, 3, *r->text[1] ? r->text[1] : NULL);
			mw__row_u64(t, row, 4, r->n[1] ? r->n[1] : MW_UNKNOWN);	/* 0: code of no line */
			add_symbol(v, t, row, &symbols, v->opts->addrs[k]);
		}
		if (!found) {
			struct mw__doc_row *row = mw__doc_row(t);

			mw__row_u64(t, row, 0, v->opts->addrs[k]);
			add_symbol(v, t, row, &symbols, v->opts->addrs[k]);
		}
	}
	mw__doc_text(o, "symbols_from", symbols.from);
	if (symbols.from)
		mw__view_line(o, "Symbols are those of %s.", symbols.from);
	mw__spans_deinit(&symbols);
}

static const struct mw__col member_cols[] = {
	{ "offset", "Offset", MW__T_COUNT, 0, "bytes from the start" },
	{ "size", "Size", MW__T_COUNT, 0, "bytes" },
	{ "bit_offset", "bit_offset", MW__T_COUNT, MW__COL_JSON_ONLY, "of a bit field, from its offset" },
	{ "bit_size", "Bits", MW__T_COUNT, 0, "of a bit field" },
	{ "cache_line", "Line", MW__T_COUNT, 0, "cache line of 64 bytes that it starts on" },
	{ "hole_before", "Hole", MW__T_COUNT, 0, "unused bytes before it" },
	{ "name", "Name", MW__T_TEXT, 0, "name" },
	{ "type", "Type", MW__T_TEXT, 0, "type" },
};

struct layout {
	uint64_t end;		/* of the members so far */
	uint64_t holes, n_holes;
	bool is_open;		/* one of them lies somewhere: a virtual base */
	bool no_size;		/* the last one has a size that is not told, */
	bool is_vague;		/* and so had one that others follow */
};

static void add_member(struct mw__doc_node *t, const struct mw__dwarf_record *r, bool is_union, struct layout *l)
{
	struct mw__doc_row *row = mw__doc_row(t);
	uint64_t size = r->n[1], end = r->n[0];
	bool is_placed = r->n[0] != MW_UNKNOWN;
	uint64_t hole = !is_union && !l->no_size && is_placed && r->n[0] > l->end ? r->n[0] - l->end : 0;

	if (!is_placed)
		end = 0;
	else if (size != MW_UNKNOWN && __builtin_add_overflow(r->n[0], r->n[3] ? (r->n[2] + r->n[3] + 7) / 8 : size, &end))
		end = UINT64_MAX;
	l->end = end > l->end ? end : l->end;
	l->holes += hole;
	l->n_holes += hole != 0;
	l->is_open |= !is_placed;
	l->is_vague |= l->no_size;
	l->no_size = !is_union && size == MW_UNKNOWN;
	mw__row_u64(t, row, 0, r->n[0]);
	mw__row_u64(t, row, 1, size);
	mw__row_u64(t, row, 2, r->n[2]);
	mw__row_u64(t, row, 3, r->n[3] ? r->n[3] : MW_UNKNOWN);
	mw__row_u64(t, row, 4, is_placed ? r->n[0] / CACHE_LINE : MW_UNKNOWN);
	mw__row_u64(t, row, 5, hole ? hole : MW_UNKNOWN);
	mw__row_text(t, row, 6, *r->text[0] ? r->text[0] : "(unnamed)");
	mw__row_text(t, row, 7, r->text[1]);
}

static void add_type(const struct mw__elf_view *v, struct mw__doc_node *parent, const struct mw__dwarf_answer *a)
{
	const struct mw__dwarf_record *type = NULL;
	struct mw__doc_node *o = mw__doc_object(parent, "type"), *t = NULL;
	struct layout l = { 0 };

	for (size_t i = 0; i < a->v.n; i++) {
		const struct mw__dwarf_record *r = &a->v.v[i];

		if (r->kind == MW__DWARF_TYPE && !type) {
			type = r;
			mw__doc_text(o, "name", r->text[0]);
			mw__doc_u64(o, "size", MW__T_BYTES, r->n[0]);
			uint64_t lines = r->n[0] / CACHE_LINE + !!(r->n[0] % CACHE_LINE);

			mw__view_line(o, "\002%s: %llu byte%s, %llu cache line%s", r->text[0], (unsigned long long)r->n[0],
				      r->n[0] == 1 ? "" : "s", (unsigned long long)lines, lines == 1 ? "" : "s");
			t = mw__doc_table(o, "members", NULL, member_cols, MW__COUNT(member_cols));
		} else if (r->kind == MW__DWARF_MEMBER && type) {
			add_member(t, r, !strncmp(type->text[0], "union ", 6), &l);
		}
	}
	if (!type) {
		mw__view_line(o, "There is no complete type of the name %s.", v->opts->type);
		return;
	}
	uint64_t tail = l.is_open ? MW_UNKNOWN : mw__sub0(type->n[0], l.end);

	mw__doc_u64(o, "holes", MW__T_COUNT, l.is_vague ? MW_UNKNOWN : l.n_holes);
	mw__doc_u64(o, "hole_bytes", MW__T_BYTES, l.is_vague ? MW_UNKNOWN : l.holes);
	mw__doc_u64(o, "padding_at_end", MW__T_BYTES, tail);
	char holes[64];

	snprintf(holes, sizeof(holes), "%llu hole%s (%llu byte%s)", (unsigned long long)l.n_holes, l.n_holes == 1 ? "" : "s",
		 (unsigned long long)l.holes, l.holes == 1 ? "" : "s");
	if (l.is_vague)
		mw__view_line(o, "How many holes it has is unknown: the size of a member is not told here.");
	else if (l.is_open)
		mw__view_line(o, "%s; how much padding stands before a virtual base, only a whole object tells", holes);
	else
		mw__view_line(o, "%s, %llu byte%s of padding at the end", holes, (unsigned long long)tail, tail == 1 ? "" : "s");
}

static void say_from(struct mw__doc_node *o, const struct mw__dwarf_answer *a)
{
	for (size_t i = 0; i < a->v.n; i++)
		if (a->v.v[i].kind == MW__DWARF_FROM && a->v.n > 1)
			mw__doc_text(o, "from", a->v.v[i].text[0]);
}

void mw__elf_view_dwarf(const struct mw__elf_view *v)
{
	struct mw__dwarf_query q = { .units = v->opts->views & MW_ELF_UNITS, .addrs = v->opts->addrs,
				     .n_addrs = v->opts->n_addrs, .type = v->opts->type };
	struct mw__dwarf_answer a;
	struct mw_err err;

	if (mw__dwarf_ask(v->elf, &q, &a, &err) < 0) {
		mw__elf_diag(v->elf, MW__ELF_NOTE, "DWARF", 0, MW_UNKNOWN, MW_UNKNOWN, "%s", err.text);
		return;
	}
	struct mw__doc_node *o = mw__doc_object(v->node, "dwarf");

	mw__doc_text(o, "trouble", a.trouble[0] ? a.trouble : NULL);
	say_from(o, &a);
	if (a.trouble[0])
		mw__elf_diag(v->elf, strstr(a.trouble, "no debug information") ? MW__ELF_NOTE : MW__ELF_FATAL, "DWARF", 0,
			     MW_UNKNOWN, MW_UNKNOWN, "%s", a.trouble);
	if (q.units)
		add_units(o, &a);
	if (q.n_addrs)
		add_lines(v, o, &a);
	if (q.type)
		add_type(v, o, &a);
	mw__dwarf_answer_deinit(&a);
}
