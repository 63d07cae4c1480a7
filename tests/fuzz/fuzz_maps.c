/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as /proc/PID/maps with a mountinfo behind a zero byte: refused, or mappings that pass the freeze. */
#include "tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_tree *t = fuzz_tree();
	const uint8_t *cut = size ? memchr(data, 0, size) : NULL;
	size_t n = cut ? (size_t)(cut - data) : size;
	struct mw_snapshot snap;

	fuzz_put(t, "maps", data, n);
	fuzz_put(t, "mountinfo", cut ? cut + 1 : data, cut ? size - n - 1 : 0);
	mw__snapshot_init(&snap);
	snap.target.page_size = 4096;
	if (mw__maps_read(&t->proc, &snap, NULL) >= 0 && mw__files_collect(&t->proc, &snap, NULL) == 0)
		fuzz_use(&snap);
	mw__snapshot_deinit(&snap);
	return 0;
}
