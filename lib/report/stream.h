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

#define MW__STREAM_COLS 32	/* at most */

struct mw__stream {
	size_t (*count)(void *ctx);	/* rows; asked each time the table is written */
	void (*start)(void *ctx);	/* before row 0, which may come more than once; or NULL */
	/*
	 * Fill the cells, one a column; they start out as MW__T_NULL. Rows come in order.
	 * Texts must live until the next call. False: this row is left out.
	 */
	bool (*row)(void *ctx, size_t i, struct mw__cell *cells);
	void *ctx;
};

/* *stream is copied, ctx is not. title may be NULL. */
struct mw__doc_node *mw__doc_stream(struct mw__doc_node *parent, const char *key, const char *title,
				    const struct mw__col *cols, size_t n_cols, const struct mw__stream *stream);

/*
 * For the text writer: the table straight to the sink, lines separated by newlines and the
 * last one not ended.
 */
int mw__stream_text(const struct mw__doc_node *node, const struct mw_text_opts *opts, const struct mw_sink *sink);

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
