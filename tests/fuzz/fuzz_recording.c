/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a recording of faults: refused, or read, frozen and fit to be shown, exported and saved again. */
#include <stdlib.h>

#include "base/str.h"
#include "save/recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int keep(void *ctx, const void *bytes, size_t len)
{
	struct mw__str *s = ctx;

	mw__str_add(s, bytes, len);
	return s->failed ? -MW_E_NOMEM : 0;
}

static int count(void *ctx, const void *bytes, size_t len)
{
	(void)bytes;
	*(size_t *)ctx += len;
	return 0;
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

static void show(const struct mw_recording *rec)
{
	struct mw_text_opts opts = { .size = sizeof(opts), .width = 80 };
	struct mw_document *doc = NULL;
	size_t n = 0;
	struct mw_sink sink = { count, &n };

	if (mw_report_faults(rec, NULL, &doc, NULL) == 0) {
		if (mw_document_json(doc, &sink, NULL) < 0 || mw_document_text(doc, &opts, &sink, NULL) < 0)
			abort();
		mw_document_destroy(doc);
	}
	if (mw_faults_trace_events(rec, &sink, NULL) < 0 || mw_faults_folded(rec, &sink, NULL) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mw_recording *rec = NULL, *back = NULL;
	struct mw__str text = { 0 };
	struct mw_sink sink = { keep, &text };

	if (load(data, size, &rec) != 0)
		return 0;
	show(rec);
	if (mw_faults_save(rec, &sink, NULL) != 0 || load(text.v, text.n, &back) != 0)
		abort();
	if (rec->faults.n != back->faults.n || rec->objects.n != back->objects.n)
		abort();
	mw_recording_destroy(back);
	mw_recording_destroy(rec);
	mw__str_deinit(&text);
	return 0;
}
