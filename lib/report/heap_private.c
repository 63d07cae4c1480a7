/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memwhy heap: the private heaps that a program made with mw_heap_create(), those that hold most first. */
#include "heap_view.h"

#include "../base/cleanup.h"
#include "../base/size.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_HEAPS 12	/* on the screen */

enum { H_ID, H_LABEL, H_NAME, H_SPANS, H_BYTES, H_OBJECTS, H_LIVE, H_REQUESTED, H_NOSCAN, H_FREE, H_TAILS, H_TINY, H_BLOCKS, H_LARGE,
       H_LARGE_BYTES, H_ALLOCS, H_FREES, H_EVER, H_PEAK, H_LIMIT, H_COUNTED, H_SINGLE, H_BAR };
static const struct mw__col heap_cols[] = {
	{ "id", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "label", "HEAP", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_TRUNC, "its name, or its number" },
	{ "name", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "spans", "SPANS", MW__T_COUNT, 0, "spans that it has" },
	{ "bytes", "BYTES", MW__T_BYTES, 0, "their pages" },
	{ "objects", "OBJECTS", MW__T_COUNT, 0, "live objects; tiny ones one by one" },
	{ "live_bytes", "LIVE", MW__T_BYTES, 0, "bytes of the blocks that hold them" },
	{ "requested", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "noscan_bytes", "NOSCAN", MW__T_BYTES, 0, "of them, in objects without pointers" },
	{ "free_bytes", "FREE", MW__T_BYTES, 0, "free blocks in spans" },
	{ "tail_bytes", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "tiny_objects", "TINY", MW__T_COUNT, 0, "live tiny objects, which share blocks of 16 bytes" },
	{ "tiny_blocks", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "large", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "large_bytes", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "allocs", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "frees", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "requested_ever", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "peak", "PEAK", MW__T_BYTES, 0, "the most pages it had" },
	{ "limit", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "counted", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "single", NULL, MW__T_BOOL, MW__COL_JSON_ONLY, NULL },
	{ "bar", "", MW__T_BAR, 0, "share of the pages of all of them" },
};

static int by_bytes(const void *a, const void *b)
{
	const struct mw__own_heap *x = *(const struct mw__own_heap *const *)a, *y = *(const struct mw__own_heap *const *)b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static struct mw__doc_row *heap_row(struct mw__doc_node *t, const struct mw__own_heap *h, uint64_t all)
{
	struct mw__doc_row *row = mw__doc_row(t);
	char label[48];

	if (h->name)
		snprintf(label, sizeof(label), "%s", h->name);
	else
		snprintf(label, sizeof(label), "#%u", h->id);
	mw__row_u64(t, row, H_ID, h->id);
	mw__row_text(t, row, H_LABEL, label);
	mw__row_text(t, row, H_NAME, h->name);
	mw__row_u64(t, row, H_SPANS, h->n_spans);
	mw__row_u64(t, row, H_BYTES, h->bytes);
	mw__row_u64(t, row, H_OBJECTS, h->objects - h->tiny_blocks + h->tiny);
	mw__row_u64(t, row, H_LIVE, h->live);
	mw__row_u64(t, row, H_REQUESTED, h->requested);
	mw__row_u64(t, row, H_NOSCAN, h->noscan);
	mw__row_u64(t, row, H_FREE, h->free);
	mw__row_u64(t, row, H_TAILS, h->tails);
	mw__row_u64(t, row, H_TINY, h->tiny);
	mw__row_u64(t, row, H_BLOCKS, h->tiny_blocks);
	mw__row_u64(t, row, H_LARGE, h->n_large);
	mw__row_u64(t, row, H_LARGE_BYTES, h->large);
	mw__row_u64(t, row, H_ALLOCS, h->n_alloc);
	mw__row_u64(t, row, H_FREES, h->n_free);
	mw__row_u64(t, row, H_EVER, h->requested_ever);
	mw__row_u64(t, row, H_PEAK, h->peak);
	mw__row_u64(t, row, H_LIMIT, h->limit ? h->limit : MW_UNKNOWN);
	mw__row_u64(t, row, H_COUNTED, h->counted);
	mw__row_bool(t, row, H_SINGLE, h->is_single);
	if (all)
		mw__row_share(t, row, H_BAR, (double)h->bytes / (double)all);
	return row;
}

int mw__view_heap_private(struct mw__heap_view *v)
{
	const struct mw__own *own = v->own;
	struct mw__doc_node *t = mw__doc_table(v->root, "private_heaps", own->heaps.n ? "PRIVATE HEAPS" : NULL, heap_cols,
					       MW__COUNT(heap_cols));
	MW_CLEANUP(mw__freep) const struct mw__own_heap **order = calloc(own->heaps.n + 1, sizeof(*order));
	uint64_t all = 0;

	if (!order)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < own->heaps.n; i++) {
		order[i] = &own->heaps.v[i];
		all += own->heaps.v[i].bytes;
	}
	qsort(order, own->heaps.n, sizeof(*order), by_bytes);
	for (size_t i = 0; i < own->heaps.n; i++) {
		struct mw__doc_row *row = heap_row(t, order[i], all);

		if (i >= MAX_HEAPS && !v->opts->all)
			mw__row_style(row, MW__ROW_JSON);
	}
	if (own->heaps.n > MAX_HEAPS && !v->opts->all)
		mw__doc_linef(v->root, NULL, 0, "and %zu more (--all)", own->heaps.n - MAX_HEAPS);
	return 0;
}
