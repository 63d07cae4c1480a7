/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which columns a table shows and in which order its rows come. Names are compared with a
 * column's key and heading, without case. A child row stays below its parent, and a total
 * stays where it is: rows are sorted between totals only.
 */
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <string.h>

#include "../base/err.h"
#include "stream.h"

/* One item of a list "A,B,C". */
struct name {
	const char *s;
	size_t len;
};

/* Take the next name off *list. False at the end. */
static bool next_name(const char **list, struct name *ret)
{
	if (!*list)
		return false;
	const char *comma = strchr(*list, ',');

	ret->s = *list;
	ret->len = comma ? (size_t)(comma - *list) : strlen(*list);
	*list = comma ? comma + 1 : NULL;
	return true;
}

/* A sort key may be descending. */
static bool take_minus(struct name *name)
{
	if (!name->len || name->s[0] != '-')
		return false;
	name->s++;
	name->len--;
	return true;
}

static bool fits(const char *text, const struct name *name)
{
	return text && strlen(text) == name->len && !strncasecmp(text, name->s, name->len);
}

bool mw__col_is_text(const struct mw__col *col)
{
	return !(col->flags & MW__COL_JSON_ONLY) && col->type < MW__T_OBJECT;
}

/* Index of the column, or SIZE_MAX. */
static size_t find_col(const struct mw__doc_node *table, const struct name *name)
{
	for (size_t i = 0; name->len && i < table->n_cols; i++) {
		const struct mw__col *col = &table->cols[i];

		if (mw__col_is_text(col) && (fits(col->key, name) || fits(col->heading, name)))
			return i;
	}
	return SIZE_MAX;
}

void mw__each_table(const struct mw__doc_node *node,
		    void (*fn)(void *ctx, const struct mw__doc_node *table), void *ctx)
{
	if (node->type == MW__T_TABLE || node->type == MW__T_STREAM)
		fn(ctx, node);
	else if (node->type == MW__T_OBJECT || node->type == MW__T_LIST)
		for (const struct mw__doc_node *n = node->first; n; n = n->next)
			mw__each_table(n, fn, ctx);
}

/* ------------------------------------------------------------ unknown names */

struct search {
	struct name name;
	bool found;
};

static void search_table(void *ctx, const struct mw__doc_node *table)
{
	struct search *search = ctx;

	if (find_col(table, &search->name) != SIZE_MAX)
		search->found = true;
}

struct listing {
	char text[200];
	size_t n;
	bool is_full;
};

static bool is_listed(const struct listing *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list->text; (p = strstr(p, word)); p += len)
		if ((p == list->text || p[-1] == ' ') && (!p[len] || p[len] == ','))
			return true;
	return false;
}

static void list_table(void *ctx, const struct mw__doc_node *table)
{
	struct listing *list = ctx;

	for (size_t i = 0; i < table->n_cols && !list->is_full; i++) {
		const char *key = table->cols[i].key;
		size_t left = sizeof(list->text) - list->n;

		if (!mw__col_is_text(&table->cols[i]) || is_listed(list, key))
			continue;
		list->is_full = strlen(key) + sizeof(", , ...") > left;
		list->n += snprintf(list->text + list->n, left, "%s%s", list->n ? ", " : "",
				    list->is_full ? "..." : key);
	}
}

static int fail_unknown(const struct mw_document *doc, const struct name *name, struct mw_err *err)
{
	struct listing list = { .n = 0 };
	int rc = mw__fail(err, MW_E_USAGE, 0, "column '%.*s': there is no such column",
			  (int)name->len, name->s);

	mw__each_table(doc->root, list_table, &list);
	mw__hint(err, "the columns are: %s", list.n ? list.text : "none");
	return rc;
}

static int check_names(const struct mw_document *doc, const char *list, bool is_sort,
		       struct mw_err *err)
{
	struct search search;

	while (next_name(&list, &search.name)) {
		if (is_sort)
			take_minus(&search.name);
		search.found = false;
		mw__each_table(doc->root, search_table, &search);
		if (!search.found)
			return fail_unknown(doc, &search.name, err);
	}
	return 0;
}

static const char *skip_plus(const char *columns)
{
	return columns && *columns == '+' ? columns + 1 : columns;
}

int mw__cols_check(const struct mw_document *doc, const struct mw_text_opts *opts, struct mw_err *err)
{
	int rc = check_names(doc, skip_plus(opts->columns), false, err);

	return rc ? rc : check_names(doc, opts->sort, true, err);
}

/* ------------------------------------------------------------------ choosing */

static void add_chosen(struct mw__chosen *chosen, size_t idx)
{
	for (size_t i = 0; i < chosen->n; i++)
		if (chosen->idx[i] == idx)
			return;
	chosen->idx[chosen->n++] = idx;
}

static void add_defaults(const struct mw__doc_node *table, bool raw, struct mw__chosen *ret)
{
	for (size_t i = 0; i < table->n_cols; i++) {
		const struct mw__col *col = &table->cols[i];
		bool is_ornament = raw && col->type == MW__T_BAR;

		if (mw__col_is_text(col) && !(col->flags & MW__COL_HIDDEN) && !is_ornament)
			add_chosen(ret, i);
	}
}

static void add_named(const struct mw__doc_node *table, const char *list, struct mw__chosen *ret)
{
	struct name name;

	while (next_name(&list, &name)) {
		size_t idx = find_col(table, &name);

		if (idx != SIZE_MAX)
			add_chosen(ret, idx);
	}
}

int mw__cols_choose(const struct mw__doc_node *table, const struct mw_text_opts *opts,
		    struct mw__chosen *ret)
{
	const char *names = skip_plus(opts->columns);

	ret->n = 0;
	ret->idx = calloc(table->n_cols + 1, sizeof(*ret->idx));
	if (!ret->idx)
		return -MW_E_NOMEM;
	if (names == opts->columns)
		add_named(table, names, ret);
	if (!ret->n)
		add_defaults(table, opts->raw, ret);
	add_named(table, names, ret);
	return 0;
}

/* ------------------------------------------------------------------- sorting */

/* A row's sort keys, and what keeps it in place. */
struct item {
	const struct mw__cell *keys, *parent_keys;
	size_t at, parent_at;	/* places in the table as it is */
	size_t part;		/* number of totals before it; a total has a part of its own */
};

#define MAX_KEYS 16

struct order {
	const struct mw__doc_node *table;
	struct {
		size_t idx;	/* column */
		bool is_down;
	} by[MAX_KEYS];
	size_t n_keys;
	MW_VEC(struct item) items;
	struct mw__arena arena;	/* keys, and the texts of streams */
	size_t part;
	bool failed;
};

static bool is_unknown(const struct mw__cell *cell)
{
	switch (cell->type) {
	case MW__T_NULL:
		return true;
	case MW__T_BYTES:
	case MW__T_COUNT:
	case MW__T_ADDR:
	case MW__T_DELTA:
		return mw__cell_unknown(cell);
	case MW__T_SHARE:
	case MW__T_BAR:
		return isnan(cell->f);
	case MW__T_TEXT:
		return !cell->s;
	default:
		return false;
	}
}

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_known(const struct mw__cell *a, const struct mw__cell *b)
{
	switch (a->type) {
	case MW__T_BOOL:
		return a->b - b->b;
	case MW__T_DELTA:
		return COMPARE(a->d, b->d);
	case MW__T_SHARE:
	case MW__T_BAR:
		return COMPARE(a->f, b->f);
	case MW__T_TEXT:
		return strcmp(a->s, b->s);
	default:
		return COMPARE(a->u, b->u);
	}
}

static int compare_cells(const struct mw__cell *a, const struct mw__cell *b, bool is_down)
{
	bool no_a = is_unknown(a), no_b = is_unknown(b);

	if (no_a || no_b)
		return no_a - no_b;
	return is_down ? compare_known(b, a) : compare_known(a, b);
}

static int compare_keys(const struct order *order, const struct mw__cell *a, const struct mw__cell *b)
{
	for (size_t i = 0; i < order->n_keys; i++) {
		int c = compare_cells(&a[i], &b[i], order->by[i].is_down);

		if (c)
			return c;
	}
	return 0;
}

static int compare_items(const void *pa, const void *pb, void *ctx)
{
	const struct item *a = pa, *b = pb;
	int c;

	if (a->part != b->part)
		return COMPARE(a->part, b->part);
	if (a->parent_at != b->parent_at) {
		c = compare_keys(ctx, a->parent_keys, b->parent_keys);
		return c ? c : COMPARE(a->parent_at, b->parent_at);
	}
	if (a->at == a->parent_at || b->at == b->parent_at)
		return COMPARE(a->at, b->at);
	c = compare_keys(ctx, a->keys, b->keys);
	return c ? c : COMPARE(a->at, b->at);
}

/* The columns that are sorted by; unknown names are another table's. */
static void find_keys(struct order *order, const char *sort)
{
	struct name name;

	while (next_name(&sort, &name) && order->n_keys < MAX_KEYS) {
		bool is_down = take_minus(&name);
		size_t idx = find_col(order->table, &name);

		if (idx == SIZE_MAX)
			continue;
		order->by[order->n_keys].idx = idx;
		order->by[order->n_keys++].is_down = is_down;
	}
}

/* One row more. The cells may go afterwards, their texts too if they are to be copied. */
static void add_item(struct order *order, const struct mw__cell *cells, enum mw__row_style style, bool copy)
{
	struct mw__cell *keys = mw__arena_alloc(&order->arena, (order->n_keys + 1) * sizeof(*keys));
	size_t at = order->items.n;
	struct item *item = MW_VEC_PUSH(&order->items);

	if (!keys || !item) {
		order->failed = true;
		return;
	}
	for (size_t i = 0; i < order->n_keys; i++) {
		keys[i] = cells[order->by[i].idx];
		if (!copy || keys[i].type != MW__T_TEXT || !keys[i].s)
			continue;
		keys[i].s = mw__arena_intern(&order->arena, keys[i].s, strlen(keys[i].s));
		order->failed |= !keys[i].s;
	}
	bool is_child = style == MW__ROW_CHILD && at, is_total = style == MW__ROW_TOTAL;

	order->part += is_total;
	*item = (struct item){ keys, is_child ? item[-1].parent_keys : keys, at, is_child ? item[-1].parent_at : at,
			       order->part };
	order->part += is_total;
}

static void add_items(struct order *order)
{
	const struct mw__doc_node *table = order->table;
	struct mw__cell cells[MW__STREAM_COLS];

	for (const struct mw__doc_row *row = table->first_row; row; row = row->next)
		add_item(order, row->cells, row->style, false);
	if (table->type != MW__T_STREAM)
		return;
	size_t n = mw__stream_count(table);

	mw__stream_start(table);
	for (size_t i = 0; i < n && !order->failed; i++) {
		mw__stream_row(table, i, cells);
		add_item(order, cells, mw__stream_style(table, i), true);
	}
}

static void sort_items(struct order *order, const char *sort)
{
	find_keys(order, sort);
	if (!order->n_keys)
		return;
	add_items(order);
	if (!order->failed)
		qsort_r(order->items.v, order->items.n, sizeof(*order->items.v), compare_items, order);
}

size_t *mw__rows_order(const struct mw__doc_node *table, const char *sort)
{
	size_t n = table->type == MW__T_STREAM ? mw__stream_count(table) : table->n_rows;
	size_t *ret = calloc(n + 1, sizeof(*ret));
	struct order order = { .table = table };

	if (!ret)
		return NULL;
	mw__arena_init(&order.arena);
	if (sort)
		sort_items(&order, sort);
	for (size_t i = 0; i < n; i++)
		ret[i] = order.items.n == n ? order.items.v[i].at : i;
	mw__arena_deinit(&order.arena);
	MW_VEC_FREE(&order.items);
	if (order.failed) {
		free(ret);
		return NULL;
	}
	return ret;
}
