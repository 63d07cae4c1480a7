/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as smaps, alone and beside maps, and as smaps_rollup; the account must close over whatever is taken. */
#include "tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void beside_maps(struct fuzz_tree *t)
{
	struct mw_snapshot snap;

	mw__snapshot_init(&snap);
	snap.target.page_size = 4096;
	if (mw__maps_read(&t->proc, &snap, NULL) >= 0 && mw__smaps_read(&t->proc, &snap, false, NULL) >= 0)
		fuzz_use(&snap);
	mw__snapshot_deinit(&snap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char maps[] = "1000-2000 r--p 00000000 fe:01 5 /a\n2000-9000 rw-p 00000000 00:00 0 [heap]\n";
	struct fuzz_tree *t = fuzz_tree();
	struct mw__smaps rollup;
	struct mw_snapshot snap;

	fuzz_put(t, "smaps", data, size);
	fuzz_put(t, "smaps_rollup", data, size);
	fuzz_put(t, "maps", (const uint8_t *)maps, sizeof(maps) - 1);
	mw__snapshot_init(&snap);
	snap.target.page_size = 4096;
	if (mw__smaps_read(&t->proc, &snap, true, NULL) >= 0 && mw__files_collect(&t->proc, &snap, NULL) == 0)
		fuzz_use(&snap);
	mw__snapshot_deinit(&snap);
	beside_maps(t);
	mw__smaps_init(&rollup);
	if (mw__rollup_read(&t->proc, &rollup, NULL) == 0 && rollup.rss == MW_UNKNOWN)
		abort();
	return 0;
}
