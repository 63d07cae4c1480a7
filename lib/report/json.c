/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A document as JSON: objects are spread over lines, a table's row is one line. Lines of
 * text, bars, totals and children are left out (doc.h), and so is any member without a key.
 */
#include "../base/err.h"
#include "../base/jsonw.h"
#include "doc.h"
#include "stream.h"

static void write_node(struct mw__jsonw *w, const struct mw__doc_node *node);

static void write_number(struct mw__jsonw *w, const struct mw__cell *cell)
{
	if (mw__cell_unknown(cell))
		mw__jsonw_null(w);
	else if (cell->type == MW__T_ADDR)
		mw__jsonw_field_addr(w, cell->u);
	else if (cell->type == MW__T_DELTA)
		mw__jsonw_field_i64(w, cell->d);
	else
		mw__jsonw_field(w, cell->u);
}

static void write_cell(struct mw__jsonw *w, const struct mw__cell *cell)
{
	switch (cell->type) {
	case MW__T_BOOL:
		mw__jsonw_bool(w, cell->b);
		return;
	case MW__T_BYTES:
	case MW__T_COUNT:
	case MW__T_ADDR:
	case MW__T_DELTA:
		write_number(w, cell);
		return;
	case MW__T_SHARE:
		mw__jsonw_double(w, cell->f);
		return;
	case MW__T_TEXT:
		mw__jsonw_text(w, cell->s);
		return;
	case MW__T_OBJECT:
	case MW__T_LIST:
	case MW__T_TABLE:
	case MW__T_STREAM:
		write_node(w, cell->node);
		return;
	case MW__T_NULL:
	case MW__T_BAR:
	case MW__T_LINE:
		break;
	}
	mw__jsonw_null(w);
}

/* A nested list that was not filled is an empty one, so that it can be walked. */
static void write_member(struct mw__jsonw *w, const struct mw__col *col, const struct mw__cell *cell)
{
	bool is_list = col->type == MW__T_TABLE || col->type == MW__T_LIST;

	mw__jsonw_key(w, col->key);
	if (is_list && cell->type == MW__T_NULL) {
		mw__jsonw_begin(w, '[');
		mw__jsonw_end(w, ']');
	} else {
		write_cell(w, cell);
	}
}

static void write_row(struct mw__jsonw *w, const struct mw__doc_node *table,
		      const struct mw__cell *cells)
{
	mw__jsonw_begin(w, '{');
	mw__jsonw_compact(w);
	for (size_t i = 0; i < table->n_cols; i++) {
		const struct mw__col *col = &table->cols[i];

		if ((col->flags & MW__COL_TEXT_ONLY) || col->type == MW__T_BAR)
			continue;
		write_member(w, col, &cells[i]);
	}
	mw__jsonw_end(w, '}');
	mw__jsonw_spread(w);
}

static bool is_data(enum mw__row_style style)
{
	return style == MW__ROW_PLAIN || style == MW__ROW_JSON;
}

static void write_table(struct mw__jsonw *w, const struct mw__doc_node *table)
{
	mw__jsonw_begin(w, '[');
	for (const struct mw__doc_row *row = table->first_row; row && !w->error; row = row->next)
		if (is_data(row->style))
			write_row(w, table, row->cells);
	mw__jsonw_end(w, ']');
}

static void write_stream(struct mw__jsonw *w, const struct mw__doc_node *node)
{
	struct mw__cell cells[MW__STREAM_COLS];
	size_t n_rows = mw__stream_count(node);

	mw__jsonw_begin(w, '[');
	mw__stream_start(node);
	for (size_t i = 0; i < n_rows && !w->error; i++)
		if (is_data(mw__stream_style(node, i)) && mw__stream_row(node, i, cells))
			write_row(w, node, cells);
	mw__jsonw_end(w, ']');
}

static void write_object(struct mw__jsonw *w, const struct mw__doc_node *object)
{
	mw__jsonw_begin(w, '{');
	for (const struct mw__doc_node *n = object->first; n; n = n->next) {
		if (!n->key)
			continue;
		mw__jsonw_key(w, n->key);
		write_node(w, n);
	}
	mw__jsonw_end(w, '}');
}

static void write_list(struct mw__jsonw *w, const struct mw__doc_node *list)
{
	mw__jsonw_begin(w, '[');
	for (const struct mw__doc_node *n = list->first; n; n = n->next)
		if (n->type != MW__T_LINE)
			write_node(w, n);
	mw__jsonw_end(w, ']');
}

static void write_node(struct mw__jsonw *w, const struct mw__doc_node *node)
{
	switch (node->type) {
	case MW__T_OBJECT:
		write_object(w, node);
		return;
	case MW__T_LIST:
		write_list(w, node);
		return;
	case MW__T_TABLE:
		write_table(w, node);
		return;
	case MW__T_STREAM:
		write_stream(w, node);
		return;
	default:
		write_cell(w, &node->cell);
	}
}

int mw_document_json(const struct mw_document *doc, const struct mw_sink *sink, struct mw_err *err)
{
	struct mw__jsonw w;

	mw__jsonw_init(&w, sink);
	write_node(&w, doc->root);
	mw__jsonw_newline(&w);
	if (doc->failed)
		return mw__fail_nomem(err, "report");
	return mw__jsonw_finish(&w, err);
}
