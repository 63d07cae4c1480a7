/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memwhy heap: what the allocator has done so far, by its own counters, and the ring of its last events. */
#include "heap_view.h"

#include "../base/size.h"

#include <stdio.h>

#define MAX_EVENTS 8	/* on the screen */

static const struct {
	const char *key, *text;
} errors[MW__OWN_ERRORS] = {	/* as enum mw_error_kind */
	{ "double_free", "double free" },
	{ "foreign_free", "free of a foreign pointer" },
	{ "interior_free", "free of a pointer into a block" },
	{ "overflow", "write past the end" },
	{ "write_after_free", "write after free" },
	{ "size_mismatch", "free with another size" },
	{ "wrong_heap", "object of another private heap" },
	{ "dead_heap", "use of a destroyed heap" },
};

static const struct {
	const char *key, *text;
} kinds[] = {	/* as enum mw_event_kind */
	{ "none", "" },
	{ "span_made", "span made" },
	{ "span_freed", "span freed" },
	{ "grow", "arena grown" },
	{ "unmap", "free pages unmapped" },
	{ "scavenge", "pages given back" },
	{ "huge_map", "huge block mapped" },
	{ "huge_unmap", "huge block unmapped" },
	{ "fork", "forked, this is the child" },
	{ "heap_made", "private heap made" },
	{ "heap_gone", "private heap destroyed" },
};
#define N_KINDS MW__COUNT(kinds)

struct sums {
	uint64_t fetches, transfers, flushes, made, freed, waits, refills, overflows;
	unsigned worst;		/* class with most waits */
};

static struct sums sum_up(const struct mw__own *own)
{
	struct sums s = { .refills = 0 };

	for (unsigned i = 1; i < MW__OWN_CLASSES; i++) {
		const struct mw__own_class *c = &own->classes[i];

		s.fetches = mw__add(s.fetches, c->n_fetches);
		s.transfers = mw__add(s.transfers, c->n_transfers);
		s.flushes = mw__add(s.flushes, c->n_flushes);
		s.made = mw__add(s.made, c->n_made);
		s.freed = mw__add(s.freed, c->n_freed);
		s.waits += c->n_waits;
		if (c->n_waits > own->classes[s.worst].n_waits)
			s.worst = i;
	}
	for (size_t i = 0; i < own->threads.n; i++) {
		s.refills += own->threads.v[i].n_refills;
		s.overflows += own->threads.v[i].n_overflows;
	}
	return s;
}

static void add_counters(struct mw__heap_view *v, const struct sums *s)
{
	const struct mw__own *own = v->own;
	uint64_t mapped = own->pages_mapped + own->huge_pages + own->kept_pages;
	struct mw__doc_node *o = mw__doc_object(v->root, "counters");
	uint64_t walked = v->bridge.totals[MW__B_ARENAS];
	const struct {
		const char *key;
		enum mw__type type;
		uint64_t value;
	} rows[] = {
		{ "in_use", MW__T_BYTES, own->pages_in_use * own->page_size },
		{ "free_dirty", MW__T_BYTES, own->pages_dirty * own->page_size },
		{ "free_clean", MW__T_BYTES, own->pages_clean * own->page_size },
		{ "peak", MW__T_BYTES, own->pages_peak * own->page_size },
		{ "huge", MW__T_BYTES, own->huge_pages * own->page_size },
		{ "metadata", MW__T_BYTES, own->meta_bytes },
		{ "metadata_used", MW__T_BYTES, own->meta_used },
		{ "requested_ever", MW__T_BYTES, own->requested_ever },
		{ "scavenged_ever", MW__T_BYTES, own->scavenged },
		{ "scavenges", MW__T_COUNT, own->n_scavenges },
		{ "mmap_calls", MW__T_COUNT, own->n_mmap },
		{ "mmap_bytes", MW__T_BYTES, own->mmap_bytes },
		{ "munmap_calls", MW__T_COUNT, own->n_munmap },
		{ "munmap_bytes", MW__T_BYTES, own->munmap_bytes },
		{ "madvise_calls", MW__T_COUNT, own->n_madvise },
		{ "madvise_bytes", MW__T_BYTES, own->madvise_bytes },
		{ "mremap_calls", MW__T_COUNT, own->n_mremap },
		{ "mremap_bytes", MW__T_BYTES, own->mremap_bytes },
		{ "failed_calls", MW__T_COUNT, own->n_failed },
		{ "faults_saved", MW__T_COUNT, own->faults_saved },
		{ "calls_saved", MW__T_COUNT, own->calls_saved },
		{ "tables_moved", MW__T_COUNT, own->n_moves },
		{ "tables_moved_bytes", MW__T_BYTES, own->moved },
		{ "large_allocs", MW__T_COUNT, own->n_large },
		{ "large_reused", MW__T_COUNT, own->n_run_hits },
		{ "huge_allocs", MW__T_COUNT, own->n_huge },
		{ "refills", MW__T_COUNT, s->refills },
		{ "overflows", MW__T_COUNT, s->overflows },
		{ "fetches", MW__T_COUNT, s->fetches },
		{ "transfers", MW__T_COUNT, s->transfers },
		{ "flushes", MW__T_COUNT, s->flushes },
		{ "spans_made", MW__T_COUNT, s->made },
		{ "spans_freed", MW__T_COUNT, s->freed },
		{ "heap_lock_waits", MW__T_COUNT, own->heap_waits },
		{ "class_lock_waits", MW__T_COUNT, s->waits },
		{ "samples", MW__T_COUNT, own->n_samples },
		{ "events", MW__T_COUNT, own->n_events },
		{ "threads_gone", MW__T_COUNT, own->n_threads_gone },
		{ "program_errors", MW__T_COUNT, own->n_errors },
	};

	mw__doc_u64(o, "mapped", MW__T_BYTES, mapped * own->page_size);
	mw__doc_u64(o, "walked", MW__T_BYTES, walked);
	mw__doc_delta(o, "difference", (int64_t)(mapped * own->page_size - walked));
	for (size_t i = 0; i < MW__COUNT(rows); i++)
		mw__doc_u64(o, rows[i].key, rows[i].type, rows[i].value);
	o = mw__doc_object(o, "errors");
	for (unsigned i = 0; i < MW__OWN_ERRORS; i++)
		mw__doc_u64(o, errors[i].key, MW__T_COUNT, own->errors[i]);
}

#define ULL(x) ((unsigned long long)(x))

static void print_kernel(struct mw__doc_node *root, const struct mw__own *own)
{
	uint64_t mapped[] = { own->mmap_bytes, own->mremap_bytes };

	mw__doc_linef(root, mapped, 2, "  mapped           \001 in %llu calls, and \001 moved or resized in %llu", ULL(own->n_mmap), ULL(own->n_mremap));
	mw__doc_linef(root, &own->munmap_bytes, 1, "  unmapped         \001 in %llu calls", ULL(own->n_munmap));
	mw__doc_linef(root, &own->scavenged, 1, "  given back       \001 in %llu times, %llu calls", ULL(own->n_scavenges), ULL(own->n_madvise));
	mw__doc_linef(root, NULL, 0, "  refused calls    %llu", ULL(own->n_failed));
	if (own->faults_saved == MW_UNKNOWN)
		return;
	mw__doc_linef(root, NULL, 0, "  saved by reuse   %llu page faults at most, and %llu system calls", ULL(own->faults_saved), ULL(own->calls_saved));
	mw__doc_linef(root, &own->moved, 1, "  saved by moving  \001 that realloc need not copy, in %llu times", ULL(own->n_moves));
}

static void print_traffic(struct mw__doc_node *root, const struct mw__own *own, const struct sums *s)
{
	mw__doc_linef(root, NULL, 0, "  slow paths       %llu refills and %llu overflows of threads that live", ULL(s->refills), ULL(s->overflows));
	if (s->fetches != MW_UNKNOWN)
		mw__doc_linef(root, NULL, 0, "  batches          %llu fetched, %llu of them left by others; %llu flushed", ULL(s->fetches),
			      ULL(s->transfers), ULL(s->flushes));
	if (s->made != MW_UNKNOWN)
		mw__doc_linef(root, NULL, 0, "  spans            %llu made, %llu freed again", ULL(s->made), ULL(s->freed));
	mw__doc_linef(root, NULL, 0, "  blocks           %llu large, %llu more that threads had kept, %llu huge", ULL(own->n_large),
		      ULL(own->n_run_hits), ULL(own->n_huge));
	if (s->waits)
		mw__doc_linef(root, NULL, 0, "  lock waits       %llu for the page heap, %llu for size classes (%llu of class %u)", ULL(own->heap_waits),
			      ULL(s->waits), ULL(own->classes[s->worst].n_waits), s->worst);
	else
		mw__doc_linef(root, NULL, 0, "  lock waits       %llu for the page heap, none for size classes", ULL(own->heap_waits));
}

/* What the program did wrong, with errors=count; of older snapshots the sum. */
static void print_errors(struct mw__doc_node *root, const struct mw__own *own)
{
	const char *title = "program errors";

	if (!own->n_errors || own->errors[0] == MW_UNKNOWN)
		mw__doc_linef(root, NULL, 0, "  %-17s%llu", title, ULL(own->n_errors));
	for (unsigned i = 0; i < MW__OWN_ERRORS; i++) {
		if (!own->errors[i] || own->errors[i] == MW_UNKNOWN)
			continue;
		mw__doc_linef(root, NULL, 0, "  %-17s%llu x %s", title, ULL(own->errors[i]), errors[i].text);
		title = "";
	}
}

static void print_work(struct mw__heap_view *v, const struct sums *s)
{
	const struct mw__own *own = v->own;
	uint64_t peak[] = { own->pages_peak * own->page_size, (own->pages_in_use + own->huge_pages) * own->page_size };

	mw__doc_line(v->root, "\002WHAT IT HAS DONE", NULL, 0);
	mw__doc_line(v->root, "  high-water mark  \001 in spans and huge blocks, now \001", peak, 2);
	mw__doc_line(v->root, "  requested ever   \001 of malloc", &own->requested_ever, 1);
	print_kernel(v->root, own);
	print_traffic(v->root, own, s);
	print_errors(v->root, own);
	mw__doc_line(v->root, "", NULL, 0);
}

/* -------------------------------------------------------------------- events */

enum { E_NUMBER, E_TIME, E_AGO, E_KIND, E_TEXT, E_ADDR, E_BYTES, E_CLASS };
static const struct mw__col event_cols[] = {
	{ "number", "EVENT", MW__T_COUNT, 0, "its number, from 1 on" },
	{ "time_ms", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "before", "BEFORE", MW__T_TEXT, MW__COL_TEXT_ONLY, "how long before the last one, as coarse as the allocator's clock" },
	{ "kind", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "text", "WHAT HAPPENED LAST", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_TRUNC, "what the page heap did" },
	{ "address", "ADDRESS", MW__T_ADDR, 0, "where" },
	{ "bytes", "BYTES", MW__T_BYTES, 0, "how much" },
	{ "class", "CLASS", MW__T_COUNT, 0, "size class of the span" },
};

static void event_row(struct mw__heap_view *v, struct mw__doc_node *t, const struct mw__own_event *e, uint64_t last_ms, bool shown)
{
	struct mw__doc_row *row = mw__doc_row(t);
	bool known = e->kind < N_KINDS;
	uint64_t ms = mw__sub0(last_ms, e->time_ms);
	char before[32];

	if (!shown)
		mw__row_style(row, MW__ROW_JSON);
	snprintf(before, sizeof(before), "%llu.%03u s", ULL(ms / 1000), (unsigned)(ms % 1000));
	mw__row_u64(t, row, E_NUMBER, e->number);
	mw__row_u64(t, row, E_TIME, e->time_ms);
	mw__row_text(t, row, E_AGO, before);
	mw__row_text(t, row, E_KIND, known ? kinds[e->kind].key : NULL);
	mw__row_text(t, row, E_TEXT, known ? kinds[e->kind].text : "something of a later version");
	mw__row_u64(t, row, E_ADDR, e->addr);
	mw__row_u64(t, row, E_BYTES, e->npages * v->own->page_size);
	mw__row_u64(t, row, E_CLASS, e->cls ? e->cls : MW_UNKNOWN);
}

static void add_events(struct mw__heap_view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, "events", NULL, event_cols, MW__COUNT(event_cols));
	size_t n = v->own->events.n;

	for (size_t i = 0; i < n; i++)
		event_row(v, t, &v->own->events.v[i], v->own->events.v[n - 1].time_ms, v->opts->all || i + MAX_EVENTS >= n);
}

void mw__view_heap_work(struct mw__heap_view *v)
{
	struct sums s = sum_up(v->own);

	add_counters(v, &s);
	print_work(v, &s);
	add_events(v);
}
