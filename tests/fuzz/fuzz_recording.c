/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a recording of faults: refused, or read, frozen and fit to be shown, exported and saved again. What was
 * saved again must be read again, and the tables of a recording add up whoever wrote it.
 */
#include <stdlib.h>

#include "base/str.h"
#include "explain/faults.h"
#include "save/recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int keep(void *ctx, const void *bytes, size_t len)
{
	struct mw__str *s = ctx;

	mw__str_add(s, bytes, len);
	return s->failed ? -MW_E_NOMEM : 0;
}

static int load(const void *bytes, size_t size, struct mw_recording **ret)
{
	FILE *file = size ? fmemopen((void *)(uintptr_t)bytes, size, "r") : NULL;

	if (!file)
		return -MW_E_OS;
	int rc = mw__recording_read(file, "input", ret, NULL);

	fclose(file);
	return rc;
}

static void check_again(const struct mw_recording *rec)
{
	struct mw__str text = { 0 };
	struct mw_sink sink = { keep, &text };
	struct mw_recording *back = NULL;

	if (mw_faults_save(rec, &sink, NULL) != 0 || load(text.v, text.n, &back) != 0)
		abort();
	if (rec->faults.n != back->faults.n || rec->moves.n != back->moves.n || rec->objects.n != back->objects.n ||
	    rec->marks.n != back->marks.n || rec->chains.n != back->chains.n || rec->counter != back->counter)
		abort();
	mw_recording_destroy(back);
	mw__str_deinit(&text);
}

static uint64_t sum(const struct mw__fault_rows *rows)
{
	uint64_t n = 0;

	for (size_t i = 0; i < rows->v.n; i++)
		n += rows->v.v[i].faults;
	return n;
}

static void check_sums(const struct mw_recording *rec)
{
	struct mw__fault_report r;
	uint64_t phases = 0, outcomes = 0, sources = 0;

	if (mw__fault_report_make(rec, &r) < 0)
		abort();
	for (size_t i = 0; i <= MW__N_PHASES; i++)
		phases += r.phases[i].faults;
	for (size_t i = 0; i < MW__N_OUTCOMES; i++)
		outcomes += r.outcomes[i];
	for (size_t i = 0; i < MW__N_SOURCES; i++)
		sources += r.sources[i];
	if (phases != rec->faults.n || outcomes != rec->faults.n || sum(&r.sections) != rec->faults.n ||
	    sum(&r.callers) != rec->faults.n || sum(&r.mappings) != rec->faults.n || sum(&r.threads) != rec->faults.n ||
	    sum(&r.symbols) > rec->faults.n || (r.has_pages && sources != r.rss_after))
		abort();
	mw__fault_report_deinit(&r);
}

static int count(void *ctx, const void *bytes, size_t len)
{
	(void)bytes;
	*(size_t *)ctx += len;
	return 0;
}

static void show(const struct mw_recording *rec)
{
	struct mw_faults_report_opts opts = { .size = sizeof(opts), .all = true, .list = true };
	struct mw_text_opts text = { .size = sizeof(text), .width = 80 };
	struct mw_document *doc = NULL;
	size_t n = 0;
	struct mw_sink sink = { count, &n };

	if (mw_report_faults(rec, &opts, &doc, NULL) == 0) {
		if (mw_document_json(doc, &sink, NULL) < 0 || mw_document_text(doc, &text, &sink, NULL) < 0)
			abort();
		mw_document_destroy(doc);
	}
	if (mw_faults_trace_events(rec, &sink, NULL) < 0 || mw_faults_folded(rec, &sink, NULL) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mw_recording *rec = NULL;

	if (load(data, size, &rec) != 0)
		return 0;
	check_again(rec);
	check_sums(rec);
	show(rec);
	mw_recording_destroy(rec);
	return 0;
}
