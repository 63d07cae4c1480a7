/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Streams as tables, and tables without cells of several lines: those are made by libsmartcols
 * (text_table.c). Every row is made twice, once to measure it, so it need not be held. One buffer,
 * nothing is allocated by row.
 */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/digits.h"
#include "../base/size.h"
#include "../base/str.h"
#include "text.h"

#define INDENT 2	/* of a child row */

struct out {
	struct mw__text *text;
	int rc;			/* first error of the sink */
	size_t lines, blanks;	/* begun; that are due before the next cell */
	bool is_ascii;		/* of the text that was made last */
	struct mw__str scratch;
	size_t n;
	char buf[16384];
};

static void flush(struct out *o)
{
	const struct mw_sink *sink = o->text->page.sink;

	if (!o->rc && o->n)
		o->rc = sink->write(sink->ctx, o->buf, o->n);
	o->n = 0;
}

static void put(struct out *o, const char *p, size_t len)
{
	while (len) {
		size_t part = mw__min(len, sizeof(o->buf) - o->n);

		memcpy(o->buf + o->n, p, part);
		o->n += part;
		p += part;
		len -= part;
		if (o->n == sizeof(o->buf))
			flush(o);
	}
}

static void pad(struct out *o, size_t n)
{
	static const char blanks[] = "                                                                ";

	for (; n; n -= mw__min(n, sizeof(blanks) - 1))
		put(o, blanks, mw__min(n, sizeof(blanks) - 1));
}

/* -------------------------------------------------------------------- cells */

/* As libsmartcols writes it: whatever is not printable ASCII, blanks and backslashes become \xNN. */
static const char *raw_text(struct out *o, const char *s, size_t *len)
{
	mw__str_reset(&o->scratch);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c <= ' ' || c >= 0x7f || c == '\\')
			mw__str_printf(&o->scratch, "\\x%02x", c);
		else
			mw__str_add(&o->scratch, s, 1);
	}
	*len = o->scratch.n;
	return o->scratch.v ? o->scratch.v : "";
}

static const char *shown_text(struct out *o, const char *s, size_t *len)
{
	*len = strlen(s);
	o->is_ascii = mw__is_plain(s, *len, '\0', '\0');
	if (o->text->opts.raw)
		return mw__is_plain(s, *len, ' ', '\\') ? s : raw_text(o, s, len);
	if (o->is_ascii)
		return s;
	mw__str_reset(&o->scratch);
	mw__text_put(o->text, &o->scratch, s, *len);
	*len = o->scratch.n;
	return o->scratch.v ? o->scratch.v : "";
}

static const char *cell_text(struct out *o, const struct mw__cell *c, size_t *len)
{
	if (c->type == MW__T_TEXT && c->s)
		return shown_text(o, *c->s ? c->s : o->text->opts.raw ? "-" : "", len);
	o->is_ascii = c->type != MW__T_BAR;
	mw__str_reset(&o->scratch);
	mw__text_cell(o->text, &o->scratch, c);
	if (o->text->opts.raw && !o->scratch.n)
		mw__str_puts(&o->scratch, "-");
	*len = o->scratch.n;
	return o->scratch.v ? o->scratch.v : "";
}

/* Terminal columns of the text that was made last. */
static size_t columns_of(const struct out *o, const char *s, size_t len)
{
	return o->is_ascii ? len : mw__text_width(s, len);
}

struct shape {
	struct mw__fit fits[MW__STREAM_COLS];
	size_t n;	/* columns that are shown, in order */
	size_t gap;
};

static int choose_columns(const struct out *o, const struct mw__doc_node *node, struct shape *sh)
{
	struct mw__chosen chosen;

	if (mw__cols_choose(node, &o->text->opts, &chosen) < 0)
		return -MW_E_NOMEM;
	memset(sh, 0, sizeof(*sh));
	sh->gap = o->text->opts.raw ? 1 : MW__GAP;
	sh->n = chosen.n;
	for (size_t k = 0; k < chosen.n; k++) {
		const struct mw__col *col = &node->cols[chosen.idx[k]];

		sh->fits[k] = (struct mw__fit){ .col = col, .idx = chosen.idx[k] };
		if (!o->text->opts.raw)
			sh->fits[k].widest = sh->fits[k].least = mw__text_width(col->heading, strlen(col->heading));
	}
	free(chosen.idx);
	return 0;
}

/* Where a child row is indented: its first text. SIZE_MAX: nowhere. */
static size_t find_indent(const struct out *o, const struct shape *sh, const struct mw__cell *cells,
			  enum mw__row_style style)
{
	for (size_t k = 0; style == MW__ROW_CHILD && !o->text->opts.raw && k < sh->n; k++) {
		const struct mw__cell *c = &cells[sh->fits[k].idx];

		if (c->type == MW__T_TEXT && c->s && *c->s)
			return k;
	}
	return SIZE_MAX;
}

static void measure_row(struct out *o, const struct mw__doc_node *node, size_t i, struct shape *sh)
{
	struct mw__cell cells[MW__STREAM_COLS];
	size_t len;

	if (!mw__stream_row(node, i, cells))
		return;
	size_t indent = find_indent(o, sh, cells, mw__stream_style(node, i));

	for (size_t k = 0; k < sh->n; k++) {
		struct mw__fit *fit = &sh->fits[k];
		const char *s = cell_text(o, &cells[fit->idx], &len);

		len = columns_of(o, s, len) + (k == indent ? INDENT : 0);
		if (len > fit->widest)
			fit->widest = len;
		fit->says |= mw__cell_says(&cells[fit->idx]);
	}
}

static void measure(struct out *o, const struct mw__doc_node *node, size_t n_rows, struct shape *sh)
{
	if (!o->text->opts.raw) {
		mw__stream_start(node);
		for (size_t i = 0; i < n_rows; i++)
			measure_row(o, node, i, sh);
	}
	mw__fit_plan(sh->fits, sh->n, o->text->opts.raw ? 0 : o->text->opts.width, sh->gap);
	size_t n = 0;	/* columns that are left out are gone */

	for (size_t k = 0; k < sh->n; k++)
		if (!sh->fits[k].is_left_out)
			sh->fits[n++] = sh->fits[k];
	sh->n = n;
}

/* The same value with fewer columns, so that the longest bar just fits. */
static const char *shorten_bar(struct out *o, const struct mw__cell *c, size_t *len, const struct mw__fit *fit)
{
	mw__str_reset(&o->scratch);
	mw__text_bar(o->text, &o->scratch, c->f, (unsigned)(MW__BAR_CELLS * fit->width / fit->widest));
	*len = o->scratch.n;
	return o->scratch.v ? o->scratch.v : "";
}

/* A cell that is wider than its column. */
static const char *shorten(struct out *o, const char *s, size_t *len, const struct mw__cell *c, const struct mw__fit *fit, size_t indent)
{
	if (fit->width == fit->widest || (c->type != MW__T_BAR && columns_of(o, s, *len) + indent <= fit->width))
		return s;
	if (c->type == MW__T_BAR)
		return shorten_bar(o, c, len, fit);
	struct mw__str text = { 0 };

	mw__str_add(&text, s, *len);
	mw__str_reset(&o->scratch);
	if (!text.failed)
		mw__text_shorten(o->text, &o->scratch, text.v, mw__sub0(fit->width, indent), fit->col->flags);
	o->scratch.failed |= text.failed;
	mw__str_deinit(&text);
	*len = o->scratch.n;
	o->is_ascii = false;
	return o->scratch.v ? o->scratch.v : "";
}

/* A cell behind blanks that are due. Those at the end of a line are never written. */
static void put_cell(struct out *o, const char *s, size_t len, const struct mw__fit *fit, bool left)
{
	size_t width = o->text->opts.raw ? 0 : fit->width;
	size_t fill = mw__sub0(width, columns_of(o, s, len));

	if (!left)
		o->blanks += fill;
	if (len) {
		pad(o, o->blanks);
		o->blanks = 0;
		put(o, s, len);
	}
	if (left)
		o->blanks += fill;
}

/* Lines are separated, not ended, by newlines: the page adds the last one. */
static void begin_line(struct out *o)
{
	o->blanks = 0;
	if (o->lines++)
		put(o, "\n", 1);
}

static void put_heading(struct out *o, const struct shape *sh)
{
	begin_line(o);
	for (size_t k = 0; k < sh->n; k++) {
		const struct mw__col *col = sh->fits[k].col;
		size_t len;
		const char *s = shown_text(o, col->heading, &len);

		o->blanks += k ? sh->gap : 0;
		put_cell(o, s, len, &sh->fits[k], mw__col_is_left(col));
	}
}

static void put_row(struct out *o, const struct mw__doc_node *node, size_t i, const struct shape *sh)
{
	struct mw__cell cells[MW__STREAM_COLS];
	size_t len;

	if (!mw__stream_row(node, i, cells))
		return;
	enum mw__row_style style = mw__stream_style(node, i);
	bool is_bold = style == MW__ROW_TOTAL && o->text->opts.color && !o->text->opts.raw;
	size_t indent_at = find_indent(o, sh, cells, style);

	begin_line(o);
	if (is_bold)
		put(o, MW__BOLD, strlen(MW__BOLD));
	for (size_t k = 0; k < sh->n; k++) {
		const struct mw__fit *fit = &sh->fits[k];
		size_t indent = k == indent_at ? INDENT : 0;
		const char *s = cell_text(o, &cells[fit->idx], &len);
		struct mw__fit inner = *fit;

		s = shorten(o, s, &len, &cells[fit->idx], fit, indent);
		inner.width = mw__sub0(fit->width, indent);
		o->blanks += (k ? sh->gap : 0) + indent;
		put_cell(o, s, len, &inner, mw__col_is_left(fit->col));
	}
	if (is_bold)
		put(o, MW__PLAIN, strlen(MW__PLAIN));
}

static int put_rows(struct out *o, const struct mw__doc_node *node)
{
	MW_CLEANUP(mw__freep) size_t *order = NULL;
	size_t n_rows = mw__stream_count(node);
	struct shape sh;

	if (choose_columns(o, node, &sh) < 0)
		return -MW_E_NOMEM;
	if (o->text->opts.sort) {
		order = mw__rows_order(node, o->text->opts.sort);
		if (!order)
			return -MW_E_NOMEM;
	}
	measure(o, node, n_rows, &sh);
	if (!o->text->opts.no_headings)
		put_heading(o, &sh);
	mw__stream_start(node);
	for (size_t i = 0; i < n_rows && !o->rc; i++)
		put_row(o, node, order ? order[i] : i, &sh);
	return 0;
}

static void free_out(struct out **o)
{
	if (*o)
		mw__str_deinit(&(*o)->scratch);
	free(*o);
}

int mw__text_stream(struct mw__text *t, const struct mw__doc_node *node)
{
	MW_CLEANUP(free_out) struct out *o = malloc(sizeof(*o));

	if (!o)
		return -MW_E_NOMEM;
	*o = (struct out){ .text = t };
	int rc = put_rows(o, node);

	flush(o);
	return rc ? rc : o->rc ? o->rc : o->scratch.failed ? -MW_E_NOMEM : 0;
}
