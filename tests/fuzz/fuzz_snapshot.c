/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a snapshot file: refused, or read, frozen and fit to be asked and saved
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mw_snapshot *snap = NULL;

	if (load(data, size, &snap) != 0)
		return 0;
	for (size_t i = 0; i < snap->vmas.n; i++)
		if (mw__snapshot_vma_at(snap, snap->vmas.v[i].start) != &snap->vmas.v[i])
			abort();
	check_again(snap);
	mw_snapshot_destroy(snap);
	return 0;
}
