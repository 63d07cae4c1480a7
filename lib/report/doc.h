/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The document: what a report says, as a tree of typed values, before anyone decides how
 * it looks. The text and JSON writers (text.c, json.c) walk the same tree, so they cannot
 * disagree. A view fills it; nothing in it but streams points into the snapshot (strings are
 * copied).
 *
 *   object   children by key            text: its children one after the other
 *   list     children without key       text: its children one after the other
 *   value    one typed cell             text: nothing, unless mw__doc_line() says it
 *   table    columns and rows           text: rows below a heading
 *            (without a key: text only; all columns JSON_ONLY: JSON only)
 *   line     text only                  JSON: nothing
 *
 * Failing needs no memory: the first failed allocation marks the document, every later call
 * does nothing (all accept NULL nodes), and mw__doc_finish() reports it.
 */
#ifndef MW_REPORT_DOC_H
#define MW_REPORT_DOC_H

#include "../base/arena.h"
#include "../base/count.h"
#include "../base/vec.h"
#include "../memwhy.h"

enum mw__type {
	MW__T_NULL,
	MW__T_BOOL,
	MW__T_BYTES,	/* uint64_t; MW_UNKNOWN: "-", null */
	MW__T_COUNT,	/* uint64_t; likewise */
	MW__T_ADDR,	/* uint64_t; hex string in JSON */
	MW__T_DELTA,	/* int64_t bytes; INT64_MIN: unknown */
	MW__T_SHARE,	/* double, 0..1; NAN: unknown. Percent in text */
	MW__T_BAR,	/* double, 0..1; drawn in text, absent from JSON */
	MW__T_TEXT,	/* string or NULL; escaped when written */
	MW__T_OBJECT,
	MW__T_LIST,
	MW__T_TABLE,
	MW__T_LINE,	/* text only */
	MW__T_STREAM,	/* a table whose rows are made while it is written (stream.h) */
};


struct mw__doc_node;

struct mw__cell {
	enum mw__type type;
	/* Of s, where a stream knows it; 0: ask strlen(). Of a number, MW__KNOWN: not even 2^64-1 means unknown. */
	uint32_t len;
	union {
		uint64_t u;
		int64_t d;
		double f;
		bool b;
		const char *s;
		struct mw__doc_node *node;	/* nested: JSON only */
	};
};

#define MW__KNOWN 1	/* a field of a file may have any value */

static inline bool mw__cell_unknown(const struct mw__cell *c)
{
	return !c->len && (c->type == MW__T_DELTA ? c->d == INT64_MIN : c->u == MW_UNKNOWN);
}

enum {
	MW__COL_HIDDEN = 1,	/* in text only when asked for (-o) */
	MW__COL_TEXT_ONLY = 2,	/* not in JSON */
	MW__COL_JSON_ONLY = 4,	/* not a column in text: nested values */
	MW__COL_WRAP = 8,	/* may be wrapped; its table has no bars */
	MW__COL_TRUNC = 16,	/* may be shortened on a narrow terminal, in the middle */
	MW__COL_CUT = 128,	/* the same, but what is not a path loses its end */
	MW__COL_LEFT = 32,	/* numbers are right-aligned unless this is set */
	MW__COL_OPTIONAL = 64,	/* left out on a narrow terminal where it says 0 or nothing only */
	MW__COL_SPARE = 256,	/* left out on a terminal that is still too narrow then */
};

struct mw__col {
	const char *key;	/* JSON member; -o matches it, or the heading, without case */
	const char *heading;	/* text */
	enum mw__type type;
	unsigned flags;
	const char *what;	/* one sentence for -o help */
};

/*
 * Totals, children (indented below the row before) and rows of text are for the eye. JSON
 * has none of them, so that adding up a table gives its sum; what children say is nested
 * there (MW__COL_JSON_ONLY, mw__row_node()), what "11 more" sums up are rows for JSON.
 */
enum mw__row_style { MW__ROW_PLAIN, MW__ROW_TOTAL, MW__ROW_CHILD, MW__ROW_JSON, MW__ROW_TEXT };

struct mw__doc_row {
	struct mw__doc_row *next;
	enum mw__row_style style;
	struct mw__cell cells[];
};

enum mw__line_style { MW__LINE_PLAIN, MW__LINE_HEADING, MW__LINE_HANGING };

struct mw__stream;
struct mw__doc_node {
	struct mw__doc_node *next;
	enum mw__type type;
	const char *key;			/* NULL inside a list, and for what is text only */
	struct mw__cell cell;			/* value, line */
	struct mw__doc_node *first, *last;	/* object, list */
	enum mw__line_style line;		/* line */
	const uint64_t *sizes;			/* line: what each \001 in it stands for */
	size_t n_sizes;
	const char *title;			/* table: line above it in text, or NULL */
	const struct mw__col *cols;		/* table */
	size_t n_cols;
	struct mw__doc_row *first_row, *last_row;
	size_t n_rows;
	const struct mw__stream *stream;	/* stream; cols and title as for a table */
	enum mw__row_style (*row_style)(void *ctx, size_t i);	/* stream; or NULL */
	bool is_listing;			/* stream: not laid out as a table */
	struct mw_document *doc;
};

struct mw_document {
	struct mw__arena arena;
	struct mw__doc_node *root;	/* an object; its first member is "schema" */
	bool failed;			/* memory ran out while it was built, or its streams were read */
	void (*release)(void *ctx);	/* called when it is destroyed, or NULL */
	void *release_ctx;
};

/* A new document whose root has "schema", "tool_version" and "unit": "bytes"; NULL without memory. */
struct mw_document *mw__doc_create(const char *schema);
/* 0 and *ret, or -MW_E_NOMEM when any step failed (doc is destroyed then). */
MW_MUST_CHECK int mw__doc_finish(struct mw_document *doc, struct mw_document **ret, struct mw_err *err);

struct mw__doc_node *mw__doc_object(struct mw__doc_node *parent, const char *key);
struct mw__doc_node *mw__doc_list(struct mw__doc_node *parent, const char *key);
/* cols must outlive the document (static const). title may be NULL, and is copied. */
struct mw__doc_node *mw__doc_table(struct mw__doc_node *parent, const char *key, const char *title,
				   const struct mw__col *cols, size_t n_cols);

void mw__doc_u64(struct mw__doc_node *parent, const char *key, enum mw__type type, uint64_t v);
/* The value of a field, whatever it is. */
void mw__doc_field(struct mw__doc_node *parent, const char *key, enum mw__type type, uint64_t v);
void mw__doc_text(struct mw__doc_node *parent, const char *key, const char *text);
void mw__doc_bool(struct mw__doc_node *parent, const char *key, bool v);
void mw__doc_delta(struct mw__doc_node *parent, const char *key, int64_t v);
void mw__doc_share(struct mw__doc_node *parent, const char *key, double v);

/*
 * A line of text. Each byte "\001" in it stands for the next of sizes[], which is printed
 * in the unit that the reader of the text chooses. A line that starts with "\002" is a
 * heading: bold, and one blank line before it. One that starts with "\003" has a hanging
 * indent as deep as its first word. Lines wider than the terminal are wrapped at blanks.
 * An empty text is a blank line; never are there two in a row.
 */
void mw__doc_line(struct mw__doc_node *parent, const char *text, const uint64_t *sizes, size_t n_sizes);
/*
 * The same, with printf formatting first. Markers count in fmt only: what the arguments
 * bring is text, whatever a hostile name contains.
 */
void mw__doc_linef(struct mw__doc_node *parent, const uint64_t *sizes, size_t n_sizes,
		   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* A new row of empty cells (MW__T_NULL), or NULL. */
struct mw__doc_row *mw__doc_row(struct mw__doc_node *table);
void mw__row_style(struct mw__doc_row *row, enum mw__row_style style);
void mw__row_u64(struct mw__doc_node *table, struct mw__doc_row *row, size_t col, uint64_t v);
void mw__row_field(struct mw__doc_node *table, struct mw__doc_row *row, size_t col, uint64_t v);
void mw__row_delta(struct mw__doc_node *table, struct mw__doc_row *row, size_t col, int64_t v);
void mw__row_share(struct mw__doc_node *table, struct mw__doc_row *row, size_t col, double v);
void mw__row_text(struct mw__doc_node *table, struct mw__doc_row *row, size_t col, const char *text);
void mw__row_bool(struct mw__doc_node *table, struct mw__doc_row *row, size_t col, bool v);
/* A nested table, list or object for JSON: made detached, then filled like any other. */
struct mw__doc_node *mw__row_node(struct mw__doc_node *table, struct mw__doc_row *row, size_t col,
				  enum mw__type type, const struct mw__col *cols, size_t n_cols);

#endif
