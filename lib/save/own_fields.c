/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "own_fields.h"

#include "../base/count.h"

#include <stddef.h>

#define SIZE_OF(type, m) sizeof(((struct type *)0)->m)
#define FIELD(type, m, kind) { #m, offsetof(struct type, m), SIZE_OF(type, m), kind, NULL }
#define NUMBER(type, m) FIELD(type, m, MW__F_NUMBER)
#define BOOL(type, m) FIELD(type, m, MW__F_BOOL)
#define TEXT(type, m) FIELD(type, m, MW__F_TEXT)
#define GROWN_TABLE(table, type, first) { table, MW__COUNT(table), sizeof(struct type), first }
#define TABLE(table, type) GROWN_TABLE(table, type, 0)

static const struct mw__field own[] = {
	TEXT(mw__own, image), FIELD(mw__own, region, MW__F_ADDR), NUMBER(mw__own, major), NUMBER(mw__own, minor),
	FIELD(mw__own, pid, MW__F_PID), BOOL(mw__own, is_exact), BOOL(mw__own, is_audit), NUMBER(mw__own, tries),
	NUMBER(mw__own, options), NUMBER(mw__own, page_size), NUMBER(mw__own, arena_size), NUMBER(mw__own, sample_interval),
	NUMBER(mw__own, retain), NUMBER(mw__own, bad_records), NUMBER(mw__own, pages_mapped), NUMBER(mw__own, pages_in_use),
	NUMBER(mw__own, pages_dirty), NUMBER(mw__own, pages_clean), NUMBER(mw__own, pages_peak), NUMBER(mw__own, huge_pages),
	NUMBER(mw__own, kept_pages), NUMBER(mw__own, meta_bytes), NUMBER(mw__own, meta_used), NUMBER(mw__own, requested_ever),
	NUMBER(mw__own, n_threads_gone), NUMBER(mw__own, n_samples), NUMBER(mw__own, n_errors), NUMBER(mw__own, heap_waits),
	NUMBER(mw__own, n_mmap), NUMBER(mw__own, n_munmap), NUMBER(mw__own, n_madvise), NUMBER(mw__own, n_mremap),
	NUMBER(mw__own, n_failed), NUMBER(mw__own, scavenged), NUMBER(mw__own, n_scavenges), NUMBER(mw__own, n_run_hits),
	NUMBER(mw__own, n_large), NUMBER(mw__own, n_huge), NUMBER(mw__own, errors[0]), NUMBER(mw__own, errors[1]),
	NUMBER(mw__own, errors[2]), NUMBER(mw__own, errors[3]), NUMBER(mw__own, errors[4]), NUMBER(mw__own, errors[5]),
	NUMBER(mw__own, errors[6]), NUMBER(mw__own, errors[7]), NUMBER(mw__own, mmap_bytes), NUMBER(mw__own, munmap_bytes),
	NUMBER(mw__own, madvise_bytes), NUMBER(mw__own, mremap_bytes), NUMBER(mw__own, faults_saved), NUMBER(mw__own, calls_saved),
	NUMBER(mw__own, n_moves), NUMBER(mw__own, moved), NUMBER(mw__own, n_events),
};
const struct mw__fields mw__own_fields = TABLE(own, mw__own);

static const struct mw__field class[] = {
	NUMBER(mw__own_class, size), NUMBER(mw__own_class, pages), NUMBER(mw__own_class, n_objects), NUMBER(mw__own_class, batch),
	BOOL(mw__own_class, is_served), NUMBER(mw__own_class, n_spans), NUMBER(mw__own_class, out), NUMBER(mw__own_class, cached),
	NUMBER(mw__own_class, transfer), NUMBER(mw__own_class, sampled), NUMBER(mw__own_class, live), NUMBER(mw__own_class, n_malloc),
	NUMBER(mw__own_class, fetched), NUMBER(mw__own_class, flushed), NUMBER(mw__own_class, n_waits),
	NUMBER(mw__own_class, requested), NUMBER(mw__own_class, requested_min), NUMBER(mw__own_class, requested_max),
#define CLASS_FIRST 18	/* members of the first version */
	NUMBER(mw__own_class, n_fetches), NUMBER(mw__own_class, n_flushes), NUMBER(mw__own_class, n_transfers),
	NUMBER(mw__own_class, n_made), NUMBER(mw__own_class, n_freed), NUMBER(mw__own_class, n_spans_peak),
};
static const struct mw__fields class_fields = GROWN_TABLE(class, mw__own_class, CLASS_FIRST);

static const struct mw__field span[] = {
	NUMBER(mw__own_span, base), NUMBER(mw__own_span, npages), NUMBER(mw__own_span, use), NUMBER(mw__own_span, cls),
	NUMBER(mw__own_span, nelems), NUMBER(mw__own_span, used), NUMBER(mw__own_span, requested), NUMBER(mw__own_span, usable),
	NUMBER(mw__own_span, site), NUMBER(mw__own_span, heap), BOOL(mw__own_span, is_noscan), BOOL(mw__own_span, is_tiny),
};
static const struct mw__fields span_fields = TABLE(span, mw__own_span);

static const struct mw__field run[] = {
	NUMBER(mw__own_run, base), NUMBER(mw__own_run, npages), NUMBER(mw__own_run, why),
};
static const struct mw__fields run_fields = TABLE(run, mw__own_run);

static const struct mw__field arena[] = {
	NUMBER(mw__own_arena, base), NUMBER(mw__own_arena, pages_mapped), NUMBER(mw__own_arena, pages_used),
	NUMBER(mw__own_arena, pages_free[MW__OWN_DIRTY]), NUMBER(mw__own_arena, pages_free[MW__OWN_GIVEN_BACK]),
	NUMBER(mw__own_arena, pages_free[MW__OWN_FRESH]), NUMBER(mw__own_arena, pages_odd),
};
static const struct mw__fields arena_fields = TABLE(arena, mw__own_arena);

static const struct mw__field thread[] = {
	FIELD(mw__own_thread, tid, MW__F_PID), BOOL(mw__own_thread, is_orphan), NUMBER(mw__own_thread, n_cached),
	NUMBER(mw__own_thread, cached), NUMBER(mw__own_thread, n_runs), NUMBER(mw__own_thread, runs), NUMBER(mw__own_thread, n_malloc),
	NUMBER(mw__own_thread, requested), NUMBER(mw__own_thread, n_refills), NUMBER(mw__own_thread, n_overflows),
};
static const struct mw__fields thread_fields = TABLE(thread, mw__own_thread);

static const struct mw__field site[] = {
	NUMBER(mw__own_site, samples), NUMBER(mw__own_site, live_samples), NUMBER(mw__own_site, bytes),
	NUMBER(mw__own_site, live_bytes), NUMBER(mw__own_site, count), NUMBER(mw__own_site, live_count),
#define SITE_FIRST 6
	BOOL(mw__own_site, is_private), TEXT(mw__own_site, heap),
};
static const struct mw__fields site_fields = GROWN_TABLE(site, mw__own_site, SITE_FIRST);

static const struct mw__field range[] = { NUMBER(mw__own_range, start), NUMBER(mw__own_range, end) };
static const struct mw__fields range_fields = TABLE(range, mw__own_range);

static const struct mw__field heap[] = {
	NUMBER(mw__own_heap, id), TEXT(mw__own_heap, name), BOOL(mw__own_heap, is_single), NUMBER(mw__own_heap, limit),
	NUMBER(mw__own_heap, peak), NUMBER(mw__own_heap, n_alloc), NUMBER(mw__own_heap, n_free), NUMBER(mw__own_heap, requested_ever),
	NUMBER(mw__own_heap, tiny), NUMBER(mw__own_heap, counted), NUMBER(mw__own_heap, n_spans), NUMBER(mw__own_heap, bytes),
	NUMBER(mw__own_heap, objects), NUMBER(mw__own_heap, live), NUMBER(mw__own_heap, noscan), NUMBER(mw__own_heap, free),
	NUMBER(mw__own_heap, tails), NUMBER(mw__own_heap, tiny_blocks), NUMBER(mw__own_heap, n_large), NUMBER(mw__own_heap, large),
	NUMBER(mw__own_heap, requested),
};
static const struct mw__fields heap_fields = TABLE(heap, mw__own_heap);

static const struct mw__field event[] = {
	NUMBER(mw__own_event, number), NUMBER(mw__own_event, time_ms), NUMBER(mw__own_event, addr), NUMBER(mw__own_event, npages),
	NUMBER(mw__own_event, kind), NUMBER(mw__own_event, cls),
};
static const struct mw__fields event_fields = TABLE(event, mw__own_event);

const struct mw__own_list mw__own_lists[MW__N_OWN_LISTS] = {
	{ "heap_classes", &class_fields, offsetof(struct mw__own, classes), MW__OWN_CLASSES, true },
	{ "heap_spans", &span_fields, offsetof(struct mw__own, spans), MW__SAVE_OWN_MAX, false },
	{ "heap_free", &run_fields, offsetof(struct mw__own, frees), MW__SAVE_OWN_MAX, false },
	{ "heap_arenas", &arena_fields, offsetof(struct mw__own, arenas), 1u << 21, false },
	{ "heap_threads", &thread_fields, offsetof(struct mw__own, threads), 1u << 20, false },
	{ "heap_sites", &site_fields, offsetof(struct mw__own, sites), 1u << 16, false },
	{ "heap_metadata", &range_fields, offsetof(struct mw__own, metas), 1u << 16, false },
	{ "heap_private", &heap_fields, offsetof(struct mw__own, heaps), 1u << 20, false },
	{ "heap_events", &event_fields, offsetof(struct mw__own, events), 1u << 16, false },
};

static const struct mw__field saved_frame[] = {
	NUMBER(mw__saved_frame, site), NUMBER(mw__saved_frame, addr), TEXT(mw__saved_frame, symbol), NUMBER(mw__saved_frame, off),
	TEXT(mw__saved_frame, image),
};
const struct mw__fields mw__saved_frame_fields = TABLE(saved_frame, mw__saved_frame);

static const struct mw__field saved_line[] = {
	NUMBER(mw__saved_line, site), NUMBER(mw__saved_line, frame), TEXT(mw__saved_line, function), TEXT(mw__saved_line, file),
	NUMBER(mw__saved_line, line),
};
const struct mw__fields mw__saved_line_fields = TABLE(saved_line, mw__saved_line);
