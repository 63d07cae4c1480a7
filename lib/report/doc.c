/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Building a document. Everything lies in its arena, and texts are interned: a report of
 * 65,000 mappings names few files. Invariant: a node that exists is linked into the tree or
 * owned by a cell; an allocation that failed has set doc->failed.
 */
#include "doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/err.h"

static void *alloc_in(struct mw_document *doc, size_t size)
{
	void *p = doc->failed ? NULL : mw__arena_alloc(&doc->arena, size);

	if (!p)
		doc->failed = true;
	return p;
}

static const char *copy_text(struct mw_document *doc, const char *text)
{
	if (!text || doc->failed)
		return NULL;
	const char *p = mw__arena_intern(&doc->arena, text, strlen(text));

	if (!p)
		doc->failed = true;
	return p;
}

/* A node that belongs to no parent yet. */
static struct mw__doc_node *create_node(struct mw_document *doc, enum mw__type type, const char *key)
{
	struct mw__doc_node *node = alloc_in(doc, sizeof(*node));

	if (!node)
		return NULL;
	node->type = type;
	node->key = copy_text(doc, key);
	node->cell.type = type;
	node->doc = doc;
	return node;
}

static struct mw__doc_node *add_node(struct mw__doc_node *parent, enum mw__type type, const char *key)
{
	struct mw__doc_node *node = parent ? create_node(parent->doc, type, key) : NULL;

	if (!node)
		return NULL;
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	return node;
}

struct mw_document *mw__doc_create(const char *schema)
{
	struct mw_document *doc = calloc(1, sizeof(*doc));

	if (!doc)
		return NULL;
	mw__arena_init(&doc->arena);
	doc->root = create_node(doc, MW__T_OBJECT, NULL);
	mw__doc_text(doc->root, "schema", schema);
	mw__doc_text(doc->root, "tool_version", MW_VERSION);
	mw__doc_text(doc->root, "unit", "bytes");
	if (doc->failed) {
		mw_document_destroy(doc);
		return NULL;
	}
	return doc;
}

void mw_document_destroy(struct mw_document *doc)
{
	if (!doc)
		return;
	if (doc->release)
		doc->release(doc->release_ctx);
	mw__arena_deinit(&doc->arena);
	free(doc);
}

int mw__doc_finish(struct mw_document *doc, struct mw_document **ret, struct mw_err *err)
{
	if (!doc || doc->failed) {
		mw_document_destroy(doc);
		return mw__fail_nomem(err, "report");
	}
	*ret = doc;
	return 0;
}

struct mw__doc_node *mw__doc_object(struct mw__doc_node *parent, const char *key)
{
	return add_node(parent, MW__T_OBJECT, key);
}

struct mw__doc_node *mw__doc_list(struct mw__doc_node *parent, const char *key)
{
	return add_node(parent, MW__T_LIST, key);
}

struct mw__doc_node *mw__doc_table(struct mw__doc_node *parent, const char *key, const char *title,
				   const struct mw__col *cols, size_t n_cols)
{
	struct mw__doc_node *node = add_node(parent, MW__T_TABLE, key);

	if (!node)
		return NULL;
	node->title = copy_text(node->doc, title);
	node->cols = cols;
	node->n_cols = n_cols;
	return node;
}

/* ------------------------------------------------------------------ values */

void mw__doc_u64(struct mw__doc_node *parent, const char *key, enum mw__type type, uint64_t v)
{
	struct mw__doc_node *node = add_node(parent, type, key);

	if (node)
		node->cell.u = v;
}

void mw__doc_field(struct mw__doc_node *parent, const char *key, enum mw__type type, uint64_t v)
{
	struct mw__doc_node *node = add_node(parent, type, key);

	if (node)
		node->cell = (struct mw__cell){ .type = type, .len = MW__KNOWN, .u = v };
}

void mw__doc_text(struct mw__doc_node *parent, const char *key, const char *text)
{
	struct mw__doc_node *node = add_node(parent, MW__T_TEXT, key);

	if (node)
		node->cell.s = copy_text(node->doc, text);
}

void mw__doc_bool(struct mw__doc_node *parent, const char *key, bool v)
{
	struct mw__doc_node *node = add_node(parent, MW__T_BOOL, key);

	if (node)
		node->cell.b = v;
}

void mw__doc_delta(struct mw__doc_node *parent, const char *key, int64_t v)
{
	struct mw__doc_node *node = add_node(parent, MW__T_DELTA, key);

	if (node)
		node->cell.d = v;
}

void mw__doc_share(struct mw__doc_node *parent, const char *key, double v)
{
	struct mw__doc_node *node = add_node(parent, MW__T_SHARE, key);

	if (node)
		node->cell.f = v;
}

/* ------------------------------------------------------------------- lines */

static enum mw__line_style take_style(const char **text)
{
	enum mw__line_style style = **text == '\002' ? MW__LINE_HEADING :
				    **text == '\003' ? MW__LINE_HANGING : MW__LINE_PLAIN;

	if (style != MW__LINE_PLAIN)
		(*text)++;
	return style;
}

static void add_line(struct mw__doc_node *parent, enum mw__line_style style, const char *text,
		     const uint64_t *sizes, size_t n_sizes)
{
	struct mw__doc_node *node = add_node(parent, MW__T_LINE, NULL);

	if (!node)
		return;
	node->line = style;
	node->cell.s = copy_text(node->doc, text);
	if (!n_sizes)
		return;
	uint64_t *copy = alloc_in(node->doc, n_sizes * sizeof(*copy));

	if (!copy)
		return;
	memcpy(copy, sizes, n_sizes * sizeof(*copy));
	node->sizes = copy;
	node->n_sizes = n_sizes;
}

void mw__doc_line(struct mw__doc_node *parent, const char *text, const uint64_t *sizes, size_t n_sizes)
{
	enum mw__line_style style = take_style(&text);

	add_line(parent, style, text, sizes, n_sizes);
}

static size_t count_byte(const char *s, char c)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == c;
	return n;
}

static void replace_byte(char *s, char from, char to)
{
	for (; *s; s++)
		if (*s == from)
			*s = to;
}

/* A byte that text never has, and this one neither. 0 when every such byte is in it. */
static char find_absent(const char *text)
{
	for (int c = 0x04; c <= 0xff; c++)
		if ((c < 0x20 || c == 0x7f || c >= 0xf8) && !strchr("\t\n", c) && !strchr(text, c))
			return (char)c;
	return '\0';
}

static char *format_text(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
static char *format_text(const char *fmt, va_list ap)
{
	char *text = NULL;

	return vasprintf(&text, fmt, ap) < 0 ? NULL : text;
}

/*
 * An argument brought the marker byte along. Format once more with a stand-in for the true
 * markers, blunt the others, and put the markers back.
 */
static char *format_hostile(const char *fmt, const char *first, va_list ap)
	__attribute__((format(printf, 1, 0)));
static char *format_hostile(const char *fmt, const char *first, va_list ap)
{
	char stand_in = find_absent(first);
	char *other = strdup(fmt);

	if (!other)
		return NULL;
	if (!stand_in)
		replace_byte(other, '\001', '?');
	else
		replace_byte(other, '\001', stand_in);
	char *text = format_text(other, ap);

	free(other);
	if (!text)
		return NULL;
	replace_byte(text, '\001', '?');
	if (stand_in)
		replace_byte(text, stand_in, '\001');
	return text;
}

void mw__doc_linef(struct mw__doc_node *parent, const uint64_t *sizes, size_t n_sizes,
		   const char *fmt, ...)
{
	enum mw__line_style style = take_style(&fmt);
	va_list ap;

	if (!parent)
		return;
	va_start(ap, fmt);
	char *text = format_text(fmt, ap);
	va_end(ap);
	if (text && count_byte(text, '\001') != count_byte(fmt, '\001')) {
		va_start(ap, fmt);
		char *again = format_hostile(fmt, text, ap);
		va_end(ap);
		free(text);
		text = again;
	}
	if (text)
		add_line(parent, style, text, sizes, n_sizes);
	else
		parent->doc->failed = true;
	free(text);
}

/* -------------------------------------------------------------------- rows */

struct mw__doc_row *mw__doc_row(struct mw__doc_node *table)
{
	struct mw__doc_row *row = table ? alloc_in(table->doc, sizeof(*row) +
						   table->n_cols * sizeof(row->cells[0])) : NULL;

	if (!row)
		return NULL;
	if (table->last_row)
		table->last_row->next = row;
	else
		table->first_row = row;
	table->last_row = row;
	table->n_rows++;
	return row;
}

void mw__row_style(struct mw__doc_row *row, enum mw__row_style style)
{
	if (row)
		row->style = style;
}

/* The cell to fill, typed as its column is. */
static struct mw__cell *open_cell(struct mw__doc_node *table, struct mw__doc_row *row, size_t col)
{
	if (!table || !row || col >= table->n_cols)
		return NULL;
	row->cells[col].type = table->cols[col].type;
	return &row->cells[col];
}

void mw__row_u64(struct mw__doc_node *table, struct mw__doc_row *row, size_t col, uint64_t v)
{
	struct mw__cell *cell = open_cell(table, row, col);

	if (cell)
		cell->u = v;
}

void mw__row_field(struct mw__doc_node *table, struct mw__doc_row *row, size_t col, uint64_t v)
{
	struct mw__cell *cell = open_cell(table, row, col);

	if (!cell)
		return;
	cell->u = v;
	cell->len = MW__KNOWN;
}

void mw__row_delta(struct mw__doc_node *table, struct mw__doc_row *row, size_t col, int64_t v)
{
	struct mw__cell *cell = open_cell(table, row, col);

	if (cell)
		cell->d = v;
}

void mw__row_share(struct mw__doc_node *table, struct mw__doc_row *row, size_t col, double v)
{
	struct mw__cell *cell = open_cell(table, row, col);

	if (cell)
		cell->f = v;
}

void mw__row_text(struct mw__doc_node *table, struct mw__doc_row *row, size_t col, const char *text)
{
	struct mw__cell *cell = open_cell(table, row, col);

	if (cell)
		cell->s = copy_text(table->doc, text);
}

void mw__row_bool(struct mw__doc_node *table, struct mw__doc_row *row, size_t col, bool v)
{
	struct mw__cell *cell = open_cell(table, row, col);

	if (cell)
		cell->b = v;
}

struct mw__doc_node *mw__row_node(struct mw__doc_node *table, struct mw__doc_row *row, size_t col,
				  enum mw__type type, const struct mw__col *cols, size_t n_cols)
{
	if (!table || !row || col >= table->n_cols)
		return NULL;
	struct mw__doc_node *node = create_node(table->doc, type, NULL);

	if (!node)
		return NULL;
	node->cols = cols;
	node->n_cols = n_cols;
	row->cells[col].type = type;
	row->cells[col].node = node;
	return node;
}
