/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memwhy heap: size classes with the columns of Go's table and what lives in them, occupancy, threads. */
#include "heap_view.h"

#include "../base/cleanup.h"
#include "../base/size.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_THREADS 16	/* on the screen */

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : NAN;
}

/* ------------------------------------------------------------------- classes */

enum {
	C_CLASS, C_LABEL, C_SIZE, C_SPAN, C_OBJECTS, C_TAIL, C_WORST, C_SPANS, C_LIVE, C_BYTES, C_REQUESTED, C_WASTE, C_CACHED, C_TRANSFER,
	C_FREE, C_SAMPLED, C_MALLOCS, C_FREES, C_FETCHED, C_FLUSHED, C_FETCHES, C_TRANSFERS, C_FLUSHES, C_MADE, C_FREED, C_PEAK, C_WAITS,
	C_SERVED, C_BAR
};
static const struct mw__col class_cols[] = {
	{ "class", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "label", "CLASS", MW__T_TEXT, MW__COL_TEXT_ONLY, "number of the size class" },
	{ "size", "SIZE", MW__T_COUNT, 0, "bytes of an object" },
	{ "span_bytes", "SPAN", MW__T_COUNT, MW__COL_HIDDEN, "bytes of a span" },
	{ "span_objects", "OBJECTS", MW__T_COUNT, MW__COL_HIDDEN, "objects in a span" },
	{ "tail", "TAIL", MW__T_COUNT, MW__COL_HIDDEN, "bytes at a span's end where no object fits" },
	{ "worst_waste", "WORST", MW__T_SHARE, MW__COL_HIDDEN, "of a span, when every object is as small as the class takes" },
	{ "spans", "SPANS", MW__T_COUNT, 0, "spans in use" },
	{ "live", "LIVE", MW__T_COUNT, 0, "objects that the program holds" },
	{ "live_bytes", "BYTES", MW__T_BYTES, 0, "their bytes" },
	{ "requested", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, "what was asked for in them" },
	{ "waste", "WASTE", MW__T_SHARE, 0, "of their bytes, rounded up; an estimate outside of audit mode" },
	{ "cached", "CACHED", MW__T_COUNT, 0, "free objects that threads keep" },
	{ "transfer", "MOVING", MW__T_COUNT, MW__COL_HIDDEN, "free objects on their way between threads" },
	{ "free", "FREE", MW__T_COUNT, 0, "free objects in spans" },
	{ "sampled", "SAMPLED", MW__T_COUNT, MW__COL_HIDDEN, "live objects with a span of their own, because they were sampled" },
	{ "mallocs", "MALLOCS", MW__T_COUNT, 0, "allocations ever" },
	{ "frees", "FREES", MW__T_COUNT, MW__COL_HIDDEN, "frees ever" },
	{ "fetched", "FETCHED", MW__T_COUNT, MW__COL_HIDDEN, "objects that threads took from spans, ever" },
	{ "flushed", "FLUSHED", MW__T_COUNT, MW__COL_HIDDEN, "objects that threads gave back, ever" },
	{ "fetches", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "transfers", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "flushes", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "spans_made", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "spans_freed", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "spans_peak", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "lock_waits", "WAITS", MW__T_COUNT, MW__COL_HIDDEN, "times a thread had to wait for the class's lock" },
	{ "served", NULL, MW__T_BOOL, MW__COL_JSON_ONLY, NULL },
	{ "bar", "", MW__T_BAR, 0, "share of all live bytes in size classes" },
};

/* Every object as small as the class takes, and the tail, over the span (Go's column). */
static double worst_waste(const struct mw__own *own, unsigned i, uint64_t tail, uint64_t span)
{
	unsigned below = i;

	while (below-- > 1 && !own->classes[below].is_served)
		;
	uint64_t smallest = below ? own->classes[below].size + 1u : 1;

	return share((own->classes[i].size - smallest) * (uint64_t)own->classes[i].n_objects + tail, span);
}

/* On the first screen stand classes with a hundredth of the live bytes or of the bytes in spans. */
static bool is_shown(const struct mw__heap_view *v, unsigned i, uint64_t all)
{
	const struct mw__own_class *c = &v->own->classes[i];

	return v->opts->all || (c->n_spans && c->live * c->size * 100 >= all);
}

static uint64_t free_in_spans(const struct mw__own_class *c)
{
	return mw__sub0(c->n_spans * c->n_objects, c->out);
}

/* Of several classes. */
struct class_sum {
	uint64_t spans, live, bytes, cached, transfer, free, mallocs;
};

static void sum_row(struct mw__doc_node *t, const char *label, enum mw__row_style style, const struct class_sum *s)
{
	struct mw__doc_row *row = mw__doc_row(t);

	mw__row_style(row, style);
	mw__row_text(t, row, C_LABEL, label);
	mw__row_u64(t, row, C_SPANS, s->spans);
	mw__row_u64(t, row, C_LIVE, s->live);
	mw__row_u64(t, row, C_BYTES, s->bytes);
	mw__row_u64(t, row, C_CACHED, s->cached);
	mw__row_u64(t, row, C_TRANSFER, s->transfer);
	mw__row_u64(t, row, C_FREE, s->free);
	mw__row_u64(t, row, C_MALLOCS, s->mallocs);
	mw__row_u64(t, row, C_FREES, mw__sub0(s->mallocs, s->live));
}

static void add_class(struct class_sum *sum, const struct mw__own_class *c)
{
	sum->spans += c->n_spans;
	sum->live += c->live;
	sum->bytes += c->live * c->size;
	sum->cached += c->cached;
	sum->transfer += c->transfer;
	sum->free += free_in_spans(c);
	sum->mallocs += c->n_malloc;
}

static void class_row(struct mw__heap_view *v, struct mw__doc_node *t, unsigned i, uint64_t all)
{
	const struct mw__own_class *c = &v->own->classes[i];
	struct mw__doc_row *row = mw__doc_row(t);
	uint64_t span = c->pages * v->own->page_size, tail = span - mw__min(span, (uint64_t)c->n_objects * c->size);
	uint64_t small = mw__sub0(c->live, c->sampled), bytes = small * c->size;
	char label[8];

	if (!is_shown(v, i, all))
		mw__row_style(row, MW__ROW_JSON);
	snprintf(label, sizeof(label), "%u", i);
	mw__row_u64(t, row, C_CLASS, i);
	mw__row_text(t, row, C_LABEL, label);
	mw__row_u64(t, row, C_SIZE, c->size);
	mw__row_u64(t, row, C_SPAN, span);
	mw__row_u64(t, row, C_OBJECTS, c->n_objects);
	mw__row_u64(t, row, C_TAIL, tail);
	mw__row_share(t, row, C_WORST, worst_waste(v->own, i, tail, span));
	mw__row_u64(t, row, C_SPANS, c->n_spans);
	mw__row_u64(t, row, C_LIVE, c->live);
	mw__row_u64(t, row, C_BYTES, c->live * c->size);
	mw__row_u64(t, row, C_REQUESTED, c->requested);
	mw__row_share(t, row, C_WASTE, c->requested == MW_UNKNOWN ? NAN : share(bytes - mw__min(bytes, c->requested), bytes));
	mw__row_u64(t, row, C_CACHED, c->cached);
	mw__row_u64(t, row, C_TRANSFER, c->transfer);
	mw__row_u64(t, row, C_FREE, free_in_spans(c));
	mw__row_u64(t, row, C_SAMPLED, c->sampled);
	mw__row_u64(t, row, C_MALLOCS, c->n_malloc);
	mw__row_u64(t, row, C_FREES, mw__sub0(c->n_malloc, c->live));
	mw__row_u64(t, row, C_FETCHED, c->fetched);
	mw__row_u64(t, row, C_FLUSHED, c->flushed);
	mw__row_u64(t, row, C_FETCHES, c->n_fetches);
	mw__row_u64(t, row, C_TRANSFERS, c->n_transfers);
	mw__row_u64(t, row, C_FLUSHES, c->n_flushes);
	mw__row_u64(t, row, C_MADE, c->n_made);
	mw__row_u64(t, row, C_FREED, c->n_freed);
	mw__row_u64(t, row, C_PEAK, c->n_spans_peak);
	mw__row_u64(t, row, C_WAITS, c->n_waits);
	mw__row_bool(t, row, C_SERVED, c->is_served);
	mw__row_share(t, row, C_BAR, share(c->live * c->size, all));
}

void mw__view_heap_classes(struct mw__heap_view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, "classes", "SIZE CLASSES", class_cols, MW__COUNT(class_cols));
	struct class_sum sum = {}, rest = {};

	for (unsigned i = 1; i < MW__OWN_CLASSES; i++)
		add_class(&sum, &v->own->classes[i]);
	for (unsigned i = 1; i < MW__OWN_CLASSES; i++) {
		class_row(v, t, i, sum.bytes);
		if (!is_shown(v, i, sum.bytes))
			add_class(&rest, &v->own->classes[i]);
	}
	if (!v->opts->all)
		sum_row(t, "others", MW__ROW_TEXT, &rest);
	sum_row(t, "sum", MW__ROW_TOTAL, &sum);
}

/* ----------------------------------------------------------------- occupancy */

enum { O_FROM, O_TEXT, O_SPANS, O_BYTES, O_FREE, O_BAR };
static const struct mw__col occupancy_cols[] = {
	{ "from", NULL, MW__T_SHARE, MW__COL_JSON_ONLY, NULL },
	{ "occupancy", "OCCUPANCY", MW__T_TEXT, MW__COL_TEXT_ONLY, "how much of a span is out" },
	{ "spans", "SPANS", MW__T_COUNT, 0, "spans of small objects" },
	{ "bytes", "BYTES", MW__T_BYTES, 0, "their bytes" },
	{ "free", "FREE IN THEM", MW__T_BYTES, 0, "bytes of free objects in them" },
	{ "bar", "", MW__T_BAR, 0, "share of the bytes of all spans" },
};

struct tenth {
	uint64_t spans, bytes, free;
};

static uint64_t sum_tenths(const struct mw__own *own, struct tenth *tenths)
{
	uint64_t all = 0;

	for (size_t i = 0; i < own->spans.n; i++) {
		const struct mw__own_span *s = &own->spans.v[i];

		if (s->use != MW__OWN_SMALL)
			continue;
		struct tenth *k = &tenths[s->used == s->nelems ? MW__OWN_TENTHS - 1 : s->used * 10u / s->nelems];

		k->spans++;
		k->bytes += s->npages * own->page_size;
		k->free += (uint64_t)(s->nelems - s->used) * own->classes[s->cls].size;
		all += s->npages * own->page_size;
	}
	return all;
}

void mw__view_heap_occupancy(struct mw__heap_view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, "occupancy", "HOW FULL SPANS ARE", occupancy_cols,
					       MW__COUNT(occupancy_cols));
	struct tenth tenths[MW__OWN_TENTHS] = {};
	uint64_t all = sum_tenths(v->own, tenths);

	for (unsigned i = 0; i < MW__OWN_TENTHS; i++) {
		struct mw__doc_row *row = mw__doc_row(t);
		char text[24] = "full";

		if (i < MW__OWN_TENTHS - 1)
			snprintf(text, sizeof(text), "%u-%u %%", i * 10, i * 10 + 10);
		if (!tenths[i].spans && !v->opts->all)
			mw__row_style(row, MW__ROW_JSON);
		mw__row_share(t, row, O_FROM, i / 10.0);
		mw__row_text(t, row, O_TEXT, text);
		mw__row_u64(t, row, O_SPANS, tenths[i].spans);
		mw__row_u64(t, row, O_BYTES, tenths[i].bytes);
		mw__row_u64(t, row, O_FREE, tenths[i].free);
		mw__row_share(t, row, O_BAR, share(tenths[i].bytes, all));
	}
}

/* ------------------------------------------------------------------- threads */

enum { T_TID, T_NAME, T_CACHED, T_CACHED_BYTES, T_RUNS, T_RUN_BYTES, T_MALLOCS, T_REQUESTED, T_REFILLS, T_OVERFLOWS, T_HITS,
       T_ORPHAN };
static const struct mw__col thread_cols[] = {
	{ "tid", "THREAD", MW__T_COUNT, 0, "thread id" },
	{ "name", "NAME", MW__T_TEXT, MW__COL_TRUNC, "its name" },
	{ "cached", "CACHED", MW__T_COUNT, 0, "free objects that it keeps" },
	{ "cached_bytes", "BYTES", MW__T_BYTES, 0, "their bytes" },
	{ "runs", "RUNS", MW__T_COUNT, 0, "freed large blocks that it keeps" },
	{ "run_bytes", "BYTES", MW__T_BYTES, 0, "their bytes" },
	{ "mallocs", "MALLOCS", MW__T_COUNT, 0, "allocations of small objects, ever" },
	{ "requested", "REQUESTED", MW__T_BYTES, 0, "bytes that it asked for, ever" },
	{ "refills", "REFILLS", MW__T_COUNT, MW__COL_HIDDEN, "slow paths of malloc" },
	{ "overflows", "OVERFLOWS", MW__T_COUNT, MW__COL_HIDDEN, "slow paths of free" },
	{ "hits", "HITS", MW__T_SHARE, 0, "allocations that its cache served" },
	{ "orphan", NULL, MW__T_BOOL, MW__COL_JSON_ONLY, NULL },
};

/* The allocator knows its threads by the ids of its own PID namespace. */
static const char *name_of(const struct mw_snapshot *snap, int32_t tid)
{
	if (snap->status.ns_pid && snap->status.ns_pid != snap->target.pid)
		return NULL;
	for (size_t i = 0; i < snap->tasks.n; i++)
		if (snap->tasks.v[i].tid == tid)
			return snap->tasks.v[i].comm && *snap->tasks.v[i].comm ? snap->tasks.v[i].comm : NULL;
	return NULL;
}

static uint64_t kept_by(const struct mw__own_thread *k)
{
	return k->cached + k->runs;
}

static int by_kept(const void *a, const void *b)
{
	const struct mw__own_thread *x = *(const struct mw__own_thread *const *)a, *y = *(const struct mw__own_thread *const *)b;

	if (kept_by(x) != kept_by(y))
		return kept_by(x) > kept_by(y) ? -1 : 1;
	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

static void thread_row(struct mw__heap_view *v, struct mw__doc_node *t, const struct mw__own_thread *k, bool shown)
{
	struct mw__doc_row *row = mw__doc_row(t);

	if (!shown)
		mw__row_style(row, MW__ROW_JSON);
	mw__row_u64(t, row, T_TID, (uint64_t)k->tid);
	mw__row_text(t, row, T_NAME, k->is_orphan ? "(left in the parent)" : name_of(v->snap, k->tid));
	mw__row_u64(t, row, T_CACHED, k->n_cached);
	mw__row_u64(t, row, T_CACHED_BYTES, k->cached);
	mw__row_u64(t, row, T_RUNS, k->n_runs);
	mw__row_u64(t, row, T_RUN_BYTES, k->runs);
	mw__row_u64(t, row, T_MALLOCS, k->n_malloc);
	mw__row_u64(t, row, T_REQUESTED, k->requested);
	mw__row_u64(t, row, T_REFILLS, k->n_refills);
	mw__row_u64(t, row, T_OVERFLOWS, k->n_overflows);
	mw__row_share(t, row, T_HITS, k->n_malloc ? 1 - share(mw__min(k->n_refills, k->n_malloc), k->n_malloc) : NAN);
	mw__row_bool(t, row, T_ORPHAN, k->is_orphan);
}

/* Those that keep most come first. */
int mw__view_heap_threads(struct mw__heap_view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, "threads", "WHAT THREADS KEEP", thread_cols,
					       MW__COUNT(thread_cols));
	size_t n = v->own->threads.n, shown = v->opts->all ? n : mw__min(n, MAX_THREADS);
	MW_CLEANUP(mw__freep) const struct mw__own_thread **order = calloc(n + 1, sizeof(*order));
	uint64_t rest[2] = {};

	if (!order)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = &v->own->threads.v[i];
	qsort(order, n, sizeof(*order), by_kept);
	for (size_t i = 0; i < n; i++) {
		thread_row(v, t, order[i], i < shown);
		rest[0] += i < shown ? 0 : order[i]->cached;
		rest[1] += i < shown ? 0 : order[i]->runs;
	}
	if (shown < n)
		mw__doc_linef(v->root, rest, 2, "and %zu more, with \001 in objects and \001 in runs (--all)", n - shown);
	return 0;
}
