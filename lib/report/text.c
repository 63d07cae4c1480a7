/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A document as text: lines and tables in the order of the tree. Raw text is for scripts
 * and has the tables only. Nothing is written before the options are known to be good.
 */
#include "text.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/err.h"
#include "stream.h"

/* Columns before the second word of a hanging line, or before the first of any other. */
static size_t find_indent(const char *text, enum mw__line_style style)
{
	size_t n = strspn(text, " ");

	if (style != MW__LINE_HANGING)
		return n;
	size_t word = strcspn(text + n, " "), gap = strspn(text + n + word, " ");

	return text[n + word + gap] ? n + mw__text_width(text + n, word) + gap : n;
}

/* The characters of a line, with sizes in place of their markers. */
static void expand_line(const struct mw__text *t, const struct mw__doc_node *line, struct mw__str *s)
{
	const char *p = line->cell.s, *end = p + strlen(p);

	for (size_t used = 0; p < end;) {
		const char *mark = used < line->n_sizes ? mw__find(p, end, '\001') : end;

		mw__text_put(t, s, p, mark - p);
		if (mark < end) {
			size_t start = s->n;

			mw__text_size(t, s, line->sizes[used++]);
			for (size_t i = start; i < s->n; i++)
				if (s->v[i] == ' ')
					s->v[i] = MW__GLUE;
		}
		p = mark + (mark < end);
	}
}

static int print_line(struct mw__text *t, const struct mw__doc_node *line, struct mw_err *err)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = { 0 }, wrapped = { 0 };
	bool is_heading = line->line == MW__LINE_HEADING, is_bold = is_heading && t->opts.color;

	expand_line(t, line, &text);
	if (text.n)
		mw__text_wrap(&wrapped, text.v, t->opts.width ? t->opts.width : SIZE_MAX,
			      find_indent(text.v, line->line));
	if (text.failed || wrapped.failed)
		return mw__fail_nomem(err, "text");
	if (is_heading)
		mw__page_space(&t->page);
	if (is_bold)
		mw__page_puts(&t->page, MW__BOLD);
	if (wrapped.n)
		mw__page_write(&t->page, wrapped.v, wrapped.n);
	if (is_bold)
		mw__page_puts(&t->page, MW__PLAIN);
	mw__page_puts(&t->page, "\n");
	return 0;
}

static int print_title(struct mw__text *t, const char *title, struct mw_err *err)
{
	struct mw__doc_node line = {
		.type = MW__T_LINE, .line = MW__LINE_HEADING, .cell.s = title,
	};

	return print_line(t, &line, err);
}

/* A table all of whose columns or rows are for JSON is not shown. */
static bool is_shown(const struct mw__doc_node *table)
{
	const struct mw__doc_row *row = table->first_row;
	size_t col = 0;

	while (row && row->style == MW__ROW_JSON)
		row = row->next;
	while (col < table->n_cols && !mw__col_is_text(&table->cols[col]))
		col++;
	return row && col < table->n_cols;
}

/* The held rows of a table, as a stream. */
struct held {
	const struct mw__doc_node *table;
	const struct mw__doc_row **rows;
};

static size_t count_held(void *ctx) { return ((const struct held *)ctx)->table->n_rows; }

static enum mw__row_style held_style(void *ctx, size_t i) { return ((const struct held *)ctx)->rows[i]->style; }

static bool held_row(void *ctx, size_t i, struct mw__cell *cells)
{
	const struct held *h = ctx;

	memcpy(cells, h->rows[i]->cells, h->table->n_cols * sizeof(*cells));
	return h->rows[i]->style != MW__ROW_JSON;
}

static int write_stream(struct mw__text *t, const struct mw__doc_node *node, struct mw_err *err)
{
	int rc = 0;

	if (mw__page_hand_over(&t->page) == 0)
		rc = node->is_listing ? mw__stream_text(node, &t->opts, t->page.sink) : mw__text_stream(t, node);
	if (rc == -MW_E_NOMEM || node->doc->failed)
		return mw__fail_nomem(err, "table");
	t->page.error = t->page.error ? t->page.error : rc;
	return 0;
}

/* Laid out as streams are. It looks the same, and no library has to be loaded. */
static int print_held(struct mw__text *t, const struct mw__doc_node *table, struct mw_err *err)
{
	MW_CLEANUP(mw__freep) const struct mw__doc_row **rows = calloc(table->n_rows + 1, sizeof(*rows));
	struct held held = { table, rows };
	struct mw__stream stream = { count_held, NULL, held_row, &held };
	struct mw__doc_node node = *table;
	size_t n = 0;

	if (!rows)
		return mw__fail_nomem(err, "table");
	for (const struct mw__doc_row *row = table->first_row; row; row = row->next)
		rows[n++] = row;
	node.type = MW__T_STREAM;
	node.first_row = NULL;
	node.stream = &stream;
	node.row_style = held_style;
	int rc = write_stream(t, &node, err);

	mw__page_puts(&t->page, "\n");
	return rc;
}

/* A stream has no cells of several lines. */
static bool needs_scols(const struct mw__doc_node *table)
{
	for (size_t i = 0; i < table->n_cols; i++)
		if (table->cols[i].flags & MW__COL_WRAP)
			return true;
	return table->n_cols > MW__STREAM_COLS;
}

static int print_table(struct mw__text *t, const struct mw__doc_node *table, struct mw_err *err)
{
	int rc = 0;

	if (!is_shown(table))
		return 0;
	if (t->opts.raw)
		mw__page_space(&t->page);
	else if (table->title)
		rc = print_title(t, table->title, err);
	if (rc)
		return rc;
	return needs_scols(table) ? mw__text_table(t, table, err) : print_held(t, table, err);
}

/* Streams may be long: they go to the sink directly. */
static int print_stream(struct mw__text *t, const struct mw__doc_node *node, struct mw_err *err)
{
	int rc = 0;

	if (!mw__stream_count(node))
		return 0;
	if (t->opts.raw)
		mw__page_space(&t->page);
	else if (node->title)
		rc = print_title(t, node->title, err);
	return rc ? rc : write_stream(t, node, err);
}

static int print_node(struct mw__text *t, const struct mw__doc_node *node, struct mw_err *err)
{
	int rc = 0;

	switch (node->type) {
	case MW__T_OBJECT:
	case MW__T_LIST:
		for (const struct mw__doc_node *n = node->first; n && !rc && !t->page.error; n = n->next)
			rc = print_node(t, n, err);
		return rc;
	case MW__T_TABLE:
		return print_table(t, node, err);
	case MW__T_STREAM:
		return print_stream(t, node, err);
	case MW__T_LINE:
		return t->opts.raw ? 0 : print_line(t, node, err);
	default:
		return 0;
	}
}

/* The caller may know fewer options than we do, or more, if those are 0. */
static int take_opts(const struct mw_text_opts *opts, struct mw_text_opts *ret, struct mw_err *err)
{
	memset(ret, 0, sizeof(*ret));
	if (!opts)
		return 0;
	for (size_t i = sizeof(*ret); i < opts->size; i++)
		if (((const char *)opts)[i])
			return mw__fail(err, MW_E_USAGE, 0, "text options: one is newer than this library");
	memcpy(ret, opts, opts->size < sizeof(*ret) ? opts->size : sizeof(*ret));
	if (ret->unit > MW_UNIT_SI)
		return mw__fail(err, MW_E_USAGE, 0, "text options: there is no unit %d", (int)ret->unit);
	return 0;
}

bool mw__text_utf8(const struct mw__text *t)
{
	if (!t->opts.utf8)
		return false;
	if (!*t->locale) {
		*t->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
		if (*t->locale)
			uselocale(*t->locale);
	}
	return *t->locale;
}

static int print_document(struct mw__text *t, const struct mw_document *doc, struct mw_err *err)
{
	int rc = print_node(t, doc->root, err);

	return rc ? rc : mw__page_finish(&t->page, err);
}

int mw_document_text(const struct mw_document *doc, const struct mw_text_opts *opts,
		     const struct mw_sink *sink, struct mw_err *err)
{
	struct mw__text t;
	int rc = take_opts(opts, &t.opts, err);

	if (rc == 0)
		rc = mw__cols_check(doc, &t.opts, err);
	if (rc < 0)
		return rc;
	locale_t plain = newlocale(LC_CTYPE_MASK, "C", (locale_t)0), utf8 = (locale_t)0;

	if (!plain)
		return mw__fail_nomem(err, "text");
	locale_t before = uselocale(plain);

	t.locale = &utf8;
	mw__page_init(&t.page, sink);
	rc = print_document(&t, doc, err);
	uselocale(before);
	freelocale(plain);
	if (utf8)
		freelocale(utf8);
	return rc;
}

/* ------------------------------------------------------------ list of columns */

struct column_list {
	struct mw__page page;
	const struct mw_document *doc;
	size_t width;
	size_t passed;	/* columns */
};

static void measure_keys(void *ctx, const struct mw__doc_node *table)
{
	struct column_list *list = ctx;

	for (size_t i = 0; i < table->n_cols; i++) {
		size_t len = strlen(table->cols[i].key);

		if (mw__col_is_text(&table->cols[i]) && len > list->width)
			list->width = len;
	}
}

/* Is there a column of this key in the first `left` columns of all tables? */
struct seen {
	const char *key;
	size_t left;
	bool found;
};

static void search_key(void *ctx, const struct mw__doc_node *table)
{
	struct seen *seen = ctx;

	for (size_t i = 0; i < table->n_cols && seen->left; i++, seen->left--)
		if (!strcmp(table->cols[i].key, seen->key) && mw__col_is_text(&table->cols[i]))
			seen->found = true;
}

static void list_keys(void *ctx, const struct mw__doc_node *table)
{
	struct column_list *list = ctx;

	for (size_t i = 0; i < table->n_cols; i++) {
		const struct mw__col *col = &table->cols[i];
		struct seen seen = { .key = col->key, .left = list->passed++ };

		mw__each_table(list->doc->root, search_key, &seen);
		if (!mw__col_is_text(col) || seen.found)
			continue;
		mw__page_puts(&list->page, col->key);
		for (size_t n = strlen(col->key); n < list->width + 2; n++)
			mw__page_puts(&list->page, " ");
		mw__page_puts(&list->page, col->what ? col->what : col->heading);
		mw__page_puts(&list->page, "\n");
	}
}

int mw_document_columns(const struct mw_document *doc, const struct mw_sink *sink, struct mw_err *err)
{
	struct column_list list = { .doc = doc };

	mw__page_init(&list.page, sink);
	mw__each_table(doc->root, measure_keys, &list);
	mw__each_table(doc->root, list_keys, &list);
	return mw__page_finish(&list.page, err);
}
