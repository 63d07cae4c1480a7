/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of memwhy heap: heap.c puts them together. */
#ifndef MW_REPORT_HEAP_VIEW_H
#define MW_REPORT_HEAP_VIEW_H

#include "../explain/heap.h"
#include "views.h"

struct mw__heap_view {
	const struct mw_snapshot *snap;
	const struct mw__own *own;
	const struct mw_account *acc;
	const struct mw_heap_opts *opts;
	struct mw__bridge bridge;
	struct mw__doc_node *root;
};

/* heap_sites.c: the function of a frame, by the symbol table or else by DWARF; NULL when it is not known. */
const char *mw__frame_function(const struct mw__own_frame *f);
/* heap_tables.c: "classes", "occupancy", "threads" */
void mw__view_heap_classes(struct mw__heap_view *v);
void mw__view_heap_occupancy(struct mw__heap_view *v);
MW_MUST_CHECK int mw__view_heap_threads(struct mw__heap_view *v);
/* heap_private.c: "private_heaps" */
MW_MUST_CHECK int mw__view_heap_private(struct mw__heap_view *v);
/* heap_picture.c: "arenas" */
MW_MUST_CHECK int mw__view_heap_picture(struct mw__heap_view *v);
/* heap_work.c: "counters", "events" */
void mw__view_heap_work(struct mw__heap_view *v);
/* heap_sites.c: "sites" */
void mw__view_heap_sites(struct mw__heap_view *v);

#endif
