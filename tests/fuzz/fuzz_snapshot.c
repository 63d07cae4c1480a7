/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a snapshot file: refused, or read, frozen and fit to be asked, shown and saved
 * again. What was saved again must be read again.
 */
#include <stdlib.h>

#include "base/str.h"
#include "save/save.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int keep(void *ctx, const void *bytes, size_t len)
{
	struct mw__str *s = ctx;

	mw__str_add(s, bytes, len);
	return s->failed ? -MW_E_NOMEM : 0;
}

static int load(const void *bytes, size_t size, struct mw_snapshot **ret)
{
	FILE *file = size ? fmemopen((void *)(uintptr_t)bytes, size, "r") : NULL;

	if (!file)
		return -MW_E_OS;
	int rc = mw__save_read(file, "input", ret, NULL);

	fclose(file);
	return rc;
}

static void check_again(const struct mw_snapshot *snap)
{
	struct mw__str text = { 0 };
	struct mw_sink sink = { keep, &text };
	struct mw_snapshot *back = NULL;

	if (mw_snapshot_save(snap, &sink, NULL) != 0 || load(text.v, text.n, &back) != 0)
		abort();
	if (mw__snapshot_vsz(snap) != mw__snapshot_vsz(back) || snap->runs.n != back->runs.n ||
	    snap->claims.n != back->claims.n || snap->images.n != back->images.n)
		abort();
	mw_snapshot_destroy(back);
	mw__str_deinit(&text);
}

static int count(void *ctx, const void *bytes, size_t len)
{
	(void)bytes;
	*(size_t *)ctx += len;
	return 0;
}

static void print(struct mw_document *doc)
{
	struct mw_text_opts opts = { .size = sizeof(opts), .width = 80 };
	size_t n = 0;
	struct mw_sink sink = { count, &n };

	if (mw_document_json(doc, &sink, NULL) < 0 || mw_document_text(doc, &opts, &sink, NULL) < 0)
		abort();
	mw_document_destroy(doc);
}

/* The views of pages and sections: what they add up must not depend on who wrote the file. */
static void show(const struct mw_snapshot *snap)
{
	struct mw_sections_opts sections = { .size = sizeof(sections), .symbols = true, .limit = 100 };
	struct mw_sections_opts relocs = { .size = sizeof(relocs), .relocs = true, .cold = true, .hot = true, .limit = 100 };
	struct mw_pages_opts pages = { .size = sizeof(pages), .frames = true };
	uint64_t addrs[] = { 0, snap->vmas.n ? snap->vmas.v[0].start : 1, snap->images.n ? snap->images.v[0].start + 4097 : 2,
			     snap->frames.n ? snap->frames.v[0].addr : 3 };
	struct mw_at_opts at = { .size = sizeof(at), .addrs = addrs, .n_addrs = 4 };
	struct mw_document *doc = NULL;

	if (mw_report_sections(snap, &sections, &doc, NULL) == 0)
		print(doc);
	if (mw_report_sections(snap, &relocs, &doc, NULL) == 0)
		print(doc);
	if (mw_report_pages(snap, &pages, &doc, NULL) == 0)
		print(doc);
	pages.place = ".data";
	if (mw_report_pages(snap, &pages, &doc, NULL) == 0)
		print(doc);
	if (mw_report_at(snap, &at, &doc, NULL) == 0)
		print(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mw_snapshot *snap = NULL;

	if (load(data, size, &snap) != 0)
		return 0;
	for (size_t i = 0; i < snap->vmas.n; i++)
		if (mw__snapshot_vma_at(snap, snap->vmas.v[i].start) != &snap->vmas.v[i])
			abort();
	check_again(snap);
	show(snap);
	mw_snapshot_destroy(snap);
	return 0;
}
