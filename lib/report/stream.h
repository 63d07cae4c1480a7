/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A table whose rows are made while it is written. A symbol table may have a hundred
 * thousand rows that nobody needs in memory at once; text and JSON still walk the same
 * rows, so they cannot disagree. What a stream reads must outlive the document.
 */
#ifndef MW_REPORT_STREAM_H
#define MW_REPORT_STREAM_H

#include <string.h>

#include "doc.h"

#define MW__STREAM_COLS 72	/* at most */

struct mw__stream {
	size_t (*count)(void *ctx);	/* rows; asked each time the table is written */
	void (*start)(void *ctx);	/* before row 0, which may come more than once; or NULL */
	/*
	 * Fill the cells, one a column; they start out as MW__T_NULL. Rows come in order, but
	 * those of a table that is sorted. Texts must live until the next call. False: this
	 * row is left out.
	 */
	bool (*row)(void *ctx, size_t i, struct mw__cell *cells);
	void *ctx;
};

/* *stream is copied, ctx is not. title may be NULL. */
struct mw__doc_node *mw__doc_stream(struct mw__doc_node *parent, const char *key, const char *title,
				    const struct mw__col *cols, size_t n_cols, const struct mw__stream *stream);

/*
 * Lay the stream out as any table: every row is measured first, sizes have the reader's unit,
 * texts give way on a narrow terminal, rows can be sorted. Otherwise it is a listing: numbers
 * are exact, and the columns are as wide as the first rows want them. style tells what row i
 * is, as in doc.h, or is NULL: all are plain.
 */
void mw__stream_as_table(struct mw__doc_node *node, enum mw__row_style (*style)(void *ctx, size_t i));
/* A stream as the value of a cell, for JSON; NULL without memory. One node can serve every row. */
struct mw__doc_node *mw__doc_nested_stream(struct mw_document *doc, const struct mw__col *cols, size_t n_cols,
					   const struct mw__stream *stream);

/*
 * For the text writer: a listing straight to the sink, lines separated by newlines and the
 * last one not ended. mw__text_stream() in text.h does the same for a table.
 */
int mw__stream_text(const struct mw__doc_node *node, const struct mw_text_opts *opts, const struct mw_sink *sink);

static inline size_t mw__stream_count(const struct mw__doc_node *node)
{
	return node->stream->count(node->stream->ctx);
}
static inline enum mw__row_style mw__stream_style(const struct mw__doc_node *node, size_t i)
{
	return node->row_style ? node->row_style(node->stream->ctx, i) : MW__ROW_PLAIN;
}
static inline void mw__stream_start(const struct mw__doc_node *node)
{
	if (node->stream->start)
		node->stream->start(node->stream->ctx);
}
static inline bool mw__stream_row(const struct mw__doc_node *node, size_t i, struct mw__cell *cells)
{
	memset(cells, 0, node->n_cols * sizeof(*cells));
	return node->stream->row(node->stream->ctx, i, cells);
}

static inline void mw__cell_u64(struct mw__cell *cell, enum mw__type type, uint64_t v)
{
	cell->type = type;
	cell->u = v;
}
/* The value of a field, whatever it is. */
static inline void mw__cell_field(struct mw__cell *cell, enum mw__type type, uint64_t v)
{
	cell->type = type;
	cell->len = MW__KNOWN;
	cell->u = v;
}
static inline void mw__cell_text(struct mw__cell *cell, const char *text)
{
	cell->type = MW__T_TEXT;
	cell->s = text;
}
/* Text whose length is known and below 4 GiB. */
static inline void mw__cell_textn(struct mw__cell *cell, const char *text, size_t len)
{
	mw__cell_text(cell, text);
	cell->len = len;
}
static inline void mw__cell_bool(struct mw__cell *cell, bool v)
{
	cell->type = MW__T_BOOL;
	cell->b = v;
}

#endif
