/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the parts of the text writer share: text.c walks the document and lays out lines,
 * text_out.c keeps the page tidy, text_cell.c turns a value into characters, text_cols.c
 * chooses columns and order, text_fit.c how wide they are, text_table.c hands tables to
 * libsmartcols, stream_table.c lays out those that are too long to be held.
 *
 * While text is made, the thread's locale is C.UTF-8 (or C, when not utf8 or before the
 * first text beyond ASCII), so that widths and points do not depend on what the program chose.
 */
#ifndef MW_REPORT_TEXT_H
#define MW_REPORT_TEXT_H

#include "../base/str.h"
#include "doc.h"

#include <locale.h>

/* ---------------------------------------------------------------- the page */

#define MW__BOLD "\033[1m"
#define MW__PLAIN "\033[0m"

/*
 * Bytes on their way to the sink. No line ends in a blank, there is never more than one
 * empty line in a row, and none at the start or the end.
 */
struct mw__page {
	const struct mw_sink *sink;
	int error;		/* first one of the sink; everything after it is dropped */
	bool started;		/* something visible was written */
	unsigned newlines;	/* ended lines that are not written yet, at most 2 */
	size_t blanks;		/* blanks that are not written yet */
	size_t n;
	char buf[8192];
};
void mw__page_init(struct mw__page *page, const struct mw_sink *sink);
void mw__page_write(struct mw__page *page, const char *bytes, size_t len);
void mw__page_puts(struct mw__page *page, const char *text);
/* Everything up to here goes to the sink; what the caller writes there next is one or more whole lines but the last newline. */
int mw__page_hand_over(struct mw__page *page);
/* An empty line before whatever comes next. */
void mw__page_space(struct mw__page *page);
MW_MUST_CHECK int mw__page_finish(struct mw__page *page, struct mw_err *err);

/* -------------------------------------------------------------- characters */

/* Within a line: a blank at which it must not be wrapped. Text never has it. */
#define MW__GLUE '\004'

struct mw__text {
	struct mw_text_opts opts;
	struct mw__page page;
	locale_t *locale;	/* C.UTF-8, once mw__text_utf8() has made it */
};

/*
 * Whether text may go beyond ASCII; from then on wcwidth() knows it. Loading a locale costs
 * more than a short text does, so it is done when first asked.
 */
bool mw__text_utf8(const struct mw__text *t);

/* Append for people: what cannot be printed becomes \xNN. */
void mw__text_put(const struct mw__text *t, struct mw__str *s, const char *text, size_t len);
/* Columns that already printable text takes. */
size_t mw__text_width(const char *text, size_t len);
/* Append a value; nothing for an empty one. */
void mw__text_cell(const struct mw__text *t, struct mw__str *s, const struct mw__cell *cell);
/* Append a bar of at most so many columns; a value of MW__T_BAR has MW__BAR_CELLS. */
#define MW__BAR_CELLS 10
void mw__text_bar(const struct mw__text *t, struct mw__str *s, double v, unsigned cells);
/* Append a size inside a sentence, where it always has a unit. */
void mw__text_size(const struct mw__text *t, struct mw__str *s, uint64_t bytes);
/* Append text shortened to width columns: in the middle, or at its end if it is no path and flags have MW__COL_CUT. */
void mw__text_shorten(const struct mw__text *t, struct mw__str *s, const char *text, size_t width, unsigned flags);
/*
 * Append text wrapped at blanks to width columns, later lines behind indent blanks. A word
 * that is too long stays whole. Words with one blank between them stay together as long
 * as they fit, if there are wider gaps around them: "VSZ 5 MiB   RSS 4 MiB" breaks in the
 * middle. MW__GLUE becomes a blank.
 */
void mw__text_wrap(struct mw__str *s, const char *text, size_t width, size_t indent);

/* ----------------------------------------------------------- columns, order */

/* The columns of one table that are to be shown: indexes into table->cols. */
struct mw__chosen {
	size_t *idx;
	size_t n;
};

/* -MW_E_USAGE when a name in opts->columns or opts->sort is in no table of the document. */
MW_MUST_CHECK int mw__cols_check(const struct mw_document *doc, const struct mw_text_opts *opts,
				 struct mw_err *err);
/* malloc'ed; 0 or -MW_E_NOMEM. A table that has none of the named columns shows its own choice. */
MW_MUST_CHECK int mw__cols_choose(const struct mw__doc_node *table, const struct mw_text_opts *opts,
				  struct mw__chosen *ret);
/*
 * The order in which rows are to be shown: malloc'ed indexes of all rows of the table, or NULL
 * without memory. Child rows stay below their parent, totals where they are.
 */
size_t *mw__rows_order(const struct mw__doc_node *table, const char *sort);
/* Call fn for every table that text shows. */
void mw__each_table(const struct mw__doc_node *node,
		    void (*fn)(void *ctx, const struct mw__doc_node *table), void *ctx);
/* Texts are left-aligned, numbers only where the column says so. */
static inline bool mw__col_is_left(const struct mw__col *col)
{
	return col->type == MW__T_TEXT || col->type == MW__T_BOOL || col->type == MW__T_BAR || (col->flags & MW__COL_LEFT);
}
/* Whether text can show the column at all. */
bool mw__col_is_text(const struct mw__col *col);

/* ----------------------------------------------------------- tables */

#define MW__GAP 2	/* blanks between the columns of a table */

/* A column on its way to the screen. */
struct mw__fit {
	const struct mw__col *col;
	size_t idx;		/* in table->cols */
	size_t widest, width;	/* of its cells and heading; what it gets, 0: it is left out */
	size_t least;		/* columns of its heading and, where it may be wrapped, of the longest word in it */
	bool says;		/* some cell is neither 0 nor empty */
	bool is_left_out;
};
/* Set the widths so that the columns fit into limit; 0: no limit. */
void mw__fit_plan(struct mw__fit *fits, size_t n, size_t limit, size_t gap);
/* A row has something to say in this cell: anything but 0 and an empty text. */
static inline bool mw__cell_says(const struct mw__cell *cell)
{
	switch (cell->type) {
	case MW__T_NULL:
		return false;
	case MW__T_BYTES:
	case MW__T_COUNT:
		return cell->u;
	case MW__T_TEXT:
		return cell->s && *cell->s;
	default:
		return true;
	}
}

MW_MUST_CHECK int mw__text_table(struct mw__text *t, const struct mw__doc_node *table,
				 struct mw_err *err);
/*
 * A stream that is a table (stream.h) straight to the sink, lines separated by newlines and the last one not
 * ended.
 */
MW_MUST_CHECK int mw__text_stream(struct mw__text *t, const struct mw__doc_node *node);

#endif
