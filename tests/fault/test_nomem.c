/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory runs out at every single allocation that the library makes: each step must
 * report it, leave its output alone and leak nothing. The linker sends malloc, calloc and
 * realloc of the library's own code here (--wrap); other libraries keep theirs.
 */
#include <math.h>
#include <stdlib.h>

#include "../unit/samples.h"
#include "../unit/sinks.h"
#include "../unit/tap.h"
#include "report/doc.h"
#include "save/save.h"

/* ------------------------------------------------------------------ allocator */

static bool counting;		/* outside of a step every allocation succeeds */
static unsigned long n_allocs, fail_at;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);

static bool must_fail(void)
{
	return counting && ++n_allocs == fail_at;
}

void *__wrap_malloc(size_t size)
{
	return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return must_fail() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return must_fail() ? NULL : __real_realloc(p, size);
}

/* ----------------------------------------------------------------------- steps */

static const struct mw__col cols[] = {
	{ "name", "NAME", MW__T_TEXT, MW__COL_TRUNC, "name" },
	{ "why", "WHY", MW__T_TEXT, MW__COL_WRAP, "reason" },
	{ "bytes", "BYTES", MW__T_BYTES, 0, "size" },
	{ "bar", "", MW__T_BAR, 0, "bar" },
	{ "parts", NULL, MW__T_TABLE, MW__COL_JSON_ONLY, NULL },
};
static const struct mw__col part_cols[] = { { "n", "N", MW__T_COUNT, 0, "number" } };

static void fill_rows(struct mw__doc_node *root)
{
	struct mw__doc_node *t = mw__doc_table(root, "rows", "A TABLE", cols, 5);

	for (unsigned i = 0; i < 40; i++) {
		struct mw__doc_row *row = mw__doc_row(t);
		char name[64];

		snprintf(name, sizeof(name), "a name that is rather long, number %u", i);
		mw__row_text(t, row, 0, name);
		mw__row_text(t, row, 1, "a sentence of several words that has to be wrapped");
		mw__row_u64(t, row, 2, i * 4096);
		mw__row_share(t, row, 3, i / 40.0);
		mw__row_style(row, i % 4 ? MW__ROW_CHILD : MW__ROW_PLAIN);
		struct mw__doc_node *parts = mw__row_node(t, row, 4, MW__T_TABLE, part_cols, 1);

		mw__row_u64(parts, mw__doc_row(parts), 0, i);
	}
}

static int build(struct mw_document **ret, struct mw_err *err)
{
	const uint64_t sizes[] = { 4096, MW_UNKNOWN };
	struct mw_document *doc = mw__doc_create("memwhy/test/1");
	struct mw__doc_node *root = doc ? doc->root : NULL;

	mw__doc_linef(root, sizes, 2, "%s has \001 of \001", "someone");
	mw__doc_linef(root, sizes, 2, "%s has \001 of \001", "\001\002");
	mw__doc_line(root, "\002HEADING", NULL, 0);
	struct mw__doc_node *list = mw__doc_list(root, "list");
	struct mw__doc_node *object = mw__doc_object(list, NULL);

	mw__doc_u64(object, "n", MW__T_COUNT, 7);
	mw__doc_bool(object, "b", true);
	mw__doc_delta(object, "d", -1);
	mw__doc_share(object, "s", NAN);
	fill_rows(root);
	return mw__doc_finish(doc, ret, err);
}

static struct mw_document *doc;
static struct mw_snapshot *snap;
static struct mw__str saved;

static int drop(void *ctx, const void *bytes, size_t len)
{
	(void)ctx;
	(void)bytes;
	(void)len;
	return 0;
}
static const struct mw_sink nowhere = { drop, NULL };

static int step_build(struct mw_err *err)
{
	struct mw_document *made = NULL;
	int rc = build(&made, err);

	if (rc && made)
		return 1;
	mw_document_destroy(made);
	return rc;
}

static int step_text(struct mw_err *err)
{
	struct mw_text_opts opts = {
		.size = sizeof(opts), .width = 60, .utf8 = true, .color = true, .sort = "-bytes",
	};

	return mw_document_text(doc, &opts, &nowhere, err);
}

static int step_raw(struct mw_err *err)
{
	struct mw_text_opts opts = { .size = sizeof(opts), .raw = true, .columns = "bytes,name" };

	return mw_document_text(doc, &opts, &nowhere, err);
}

static int step_json(struct mw_err *err)
{
	return mw_document_json(doc, &nowhere, err);
}

static int step_columns(struct mw_err *err)
{
	return mw_document_columns(doc, &nowhere, err);
}

/* Reports whose rows are made while they are printed. */
static int print_once(struct mw_document *made, const struct mw_text_opts *opts, struct mw_err *err)
{
	int rc = opts ? mw_document_text(made, opts, &nowhere, err) : mw_document_json(made, &nowhere, err);

	mw_document_destroy(made);
	return rc;
}

static int print_maps(const struct mw_text_opts *opts, struct mw_err *err)
{
	struct mw_document *made = NULL;
	int rc = mw_report_maps(snap, NULL, &made, err);

	return rc ? rc : print_once(made, opts, err);
}

static int step_maps(struct mw_err *err)
{
	struct mw_text_opts opts = { .size = sizeof(opts), .width = 60, .utf8 = true, .sort = "-resident,name" };

	return print_maps(&opts, err);
}

static int step_maps_json(struct mw_err *err)
{
	return print_maps(NULL, err);
}

static int step_ranges(struct mw_err *err)
{
	struct mw_text_opts opts = { .size = sizeof(opts), .width = 60 };
	struct mw_explain_opts all = { .size = sizeof(all), .all = true };
	struct mw_document *made = NULL;
	int rc = mw_report_explain(snap, &all, &made, err);

	return rc ? rc : print_once(made, &opts, err);
}

static int step_save(struct mw_err *err)
{
	return mw_snapshot_save(snap, &nowhere, err);
}

static int step_read(struct mw_err *err)
{
	struct mw_snapshot *made = NULL;
	FILE *file = fmemopen(saved.v, saved.n, "r");

	if (!file)
		return 1;
	int rc = mw__save_read(file, "sample", &made, err);

	fclose(file);
	if (rc && made)
		return 1;
	mw_snapshot_destroy(made);
	return rc;
}

/* ---------------------------------------------------------------------- running */

static int run_once(int (*step)(struct mw_err *err), unsigned long nth, struct mw_err *err)
{
	memset(err, 0, sizeof(*err));
	n_allocs = 0;
	fail_at = nth;
	counting = true;
	int rc = step(err);

	counting = false;
	return rc;
}

/* Fail the first allocation, the second, ... until none is left to fail. */
static void check_step(const char *name, int (*step)(struct mw_err *err))
{
	struct mw_err err;
	unsigned long bad = 0, nth = 1;

	int whole = run_once(step, 0, &err);

	ok(whole == 0, "%s: works with memory, in %lu allocations", name, n_allocs);
	for (;; nth++) {
		int rc = run_once(step, nth, &err);

		if (n_allocs < nth)
			break;
		bad += rc != -MW_E_NOMEM || err.code != MW_E_NOMEM || !err.text[0];
	}
	is_int((long long)bad, 0, "every allocation that fails is reported");
}

/* The loss of a note is no error. */
static void check_note(void)
{
	struct mw_snapshot s;

	for (unsigned long nth = 1; nth < 4; nth++) {
		mw__snapshot_init(&s);
		n_allocs = 0;
		fail_at = nth;
		counting = true;
		mw__note(&s, MW__INFO, "source", "remedy", "reason %d", 1);
		counting = false;
		ok(s.notes.n == (n_allocs < nth), "a note with allocation %lu failing", nth);
		mw__snapshot_deinit(&s);
	}
}

int main(void)
{
	struct mw_sink sink = { sink_keep, &saved };

	snap = sample_create(30, 40, 30);
	if (!ok(build(&doc, NULL) == 0 && snap && mw_snapshot_save(snap, &sink, NULL) == 0, "samples"))
		return done_testing();
	check_step("building a document", step_build);
	check_step("text", step_text);
	check_step("raw text", step_raw);
	check_step("JSON", step_json);
	check_step("list of columns", step_columns);
	check_step("mappings, sorted", step_maps);
	check_step("mappings as JSON", step_maps_json);
	check_step("every range", step_ranges);
	check_step("saving", step_save);
	check_step("reading", step_read);
	check_note();
	mw_document_destroy(doc);
	mw_snapshot_destroy(snap);
	mw__str_deinit(&saved);
	return done_testing();
}
