/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy heap as a document: the bridge from what a program asked for to its VSZ, and what is inside the
 * heap. JSON has all of it, in bytes; the text shows the rows that hold something.
 */
#include "heap_view.h"

#include "../base/err.h"
#include "../base/size.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* -------------------------------------------------------------------- bridge */

enum { B_ID, B_TO, B_LABEL, B_TEXT, B_BYTES, B_TOTAL, B_BAR };
static const struct mw__col bridge_cols[] = {
	{ "id", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "to", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "label", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "text", "FROM WHAT WAS ASKED FOR TO VSZ", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_TRUNC, "what these bytes are" },
	{ "bytes", "STEP", MW__T_DELTA, 0, "what leads from one total to the next" },
	{ "total", "TOTAL", MW__T_BYTES, MW__COL_TEXT_ONLY, "the total before it, and the steps in between" },
	{ "bar", "", MW__T_BAR, 0, "share of VSZ" },
};

static double share_of_vsz(const struct mw__heap_view *v, double bytes)
{
	return v->bridge.totals[MW__B_VSZ] ? fabs(bytes) / (double)v->bridge.totals[MW__B_VSZ] : NAN;
}

/* In text a step stands deeper than the totals, and only if it holds something. */
static void step_row(struct mw__heap_view *v, struct mw__doc_node *t, unsigned i)
{
	const struct mw__bridge_info *info = &mw__bridge_steps[i];
	struct mw__doc_row *row = mw__doc_row(t);
	int64_t bytes = v->bridge.steps[i];
	char text[128];

	snprintf(text, sizeof(text), "  %s", info->text);
	mw__row_text(t, row, B_ID, info->id);
	mw__row_text(t, row, B_TO, mw__bridge_totals[info->to].id);
	mw__row_text(t, row, B_LABEL, info->text);
	mw__row_text(t, row, B_TEXT, text);
	mw__row_delta(t, row, B_BYTES, bytes);
	if (bytes != INT64_MIN)
		mw__row_share(t, row, B_BAR, share_of_vsz(v, (double)bytes));
	if (!bytes)
		mw__row_style(row, MW__ROW_JSON);
}

static void total_row(struct mw__heap_view *v, struct mw__doc_node *t, unsigned i)
{
	struct mw__doc_row *row = mw__doc_row(t);

	mw__row_style(row, MW__ROW_TOTAL);
	mw__row_text(t, row, B_TEXT, mw__bridge_totals[i].text);
	mw__row_u64(t, row, B_TOTAL, v->bridge.totals[i]);
	if (v->bridge.totals[i] != MW_UNKNOWN)
		mw__row_share(t, row, B_BAR, share_of_vsz(v, (double)v->bridge.totals[i]));
}

static void add_bridge(struct mw__heap_view *v)
{
	const struct mw__bridge *b = &v->bridge;
	struct mw__doc_node *o = mw__doc_object(v->root, "bridge"), *totals = mw__doc_object(o, "totals");

	for (unsigned i = 0; i < MW__N_TOTALS; i++)
		mw__doc_u64(totals, mw__bridge_totals[i].id, MW__T_BYTES, b->totals[i]);
	struct mw__doc_node *t = mw__doc_table(o, "steps", NULL, bridge_cols, MW__COUNT(bridge_cols));

	for (unsigned i = 0, k = 0; i < MW__N_TOTALS; i++) {
		for (; k < MW__N_STEPS && mw__bridge_steps[k].to == i; k++)
			step_row(v, t, k);
		total_row(v, t, i);
	}
	mw__doc_bool(o, "requested_exact", b->requested_exact);
	mw__doc_u64(o, "requested_min", MW__T_BYTES, b->requested_min);
	mw__doc_u64(o, "requested_max", MW__T_BYTES, b->requested_max);
	uint64_t bounds[] = { b->requested_min, b->requested_max };

	mw__doc_line(v->root, "", NULL, 0);
	if (b->requested_exact)
		mw__doc_line(v->root, "Requested bytes are exact: audit mode keeps them.", NULL, 0);
	else
		mw__doc_line(v->root, "Requested bytes of small objects are estimated by the mean request of each size class; "
			     "what it asked for is between \001 and \001, but where realloc left a small object in its place, "
			     "which counts as it was before. Everything else is counted.", bounds, 2);
}

/* ------------------------------------------------------------ reconciliation */

enum { R_RANGE, R_OWNER, R_BOOKS, R_MAPPED, R_DIFF, R_RESIDENT };
static const struct mw__col road_cols[] = {
	{ "range", "TWO ROADS TO THE SAME RANGES", MW__T_TEXT, 0, "kind of range, as memwhy explain names it" },
	{ "owner", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "books", "BY BOOKS", MW__T_BYTES, 0, "bytes by the allocator's books" },
	{ "mapped", "MAPPED", MW__T_BYTES, 0, "bytes that mappings have there" },
	{ "difference", "DIFFERENCE", MW__T_DELTA, 0, "less the first" },
	{ "resident", "RESIDENT", MW__T_BYTES, 0, "of them, by page states" },
};

static void road_row(struct mw__doc_node *t, const char *name, const char *owner, uint64_t books, uint64_t mapped,
		     uint64_t resident, bool total)
{
	struct mw__doc_row *row = mw__doc_row(t);

	if (total)
		mw__row_style(row, MW__ROW_TOTAL);
	mw__row_text(t, row, R_RANGE, name);
	mw__row_text(t, row, R_OWNER, owner);
	mw__row_u64(t, row, R_BOOKS, books);
	mw__row_u64(t, row, R_MAPPED, mapped);
	mw__row_delta(t, row, R_DIFF, (int64_t)(mapped - books));
	mw__row_u64(t, row, R_RESIDENT, resident);
}

static void add_roads(struct mw__heap_view *v)
{
	const struct mw__bridge *b = &v->bridge;
	struct mw__doc_node *t = mw__doc_table(v->root, "reconciliation", NULL, road_cols, MW__COUNT(road_cols));

	for (unsigned i = 0; i < MW__BRIDGE_ROADS; i++) {
		const struct mw__bridge_road *r = &b->roads[i];

		road_row(t, mw__owners[r->owner].what, mw__owners[r->owner].id, r->books, r->mapped, r->resident, false);
	}
	road_row(t, "sum", NULL, b->books, b->mapped, b->totals[MW__B_HEAP_RESIDENT], true);
}

/* ---------------------------------------------------------------------- head */

static void add_head(struct mw__heap_view *v)
{
	const struct mw__own *own = v->own;
	struct mw__doc_node *o = mw__doc_object(v->root, "heap");

	mw__doc_text(o, "allocator", "memwhy-malloc");
	mw__doc_text(o, "image", own->image);
	mw__doc_u64(o, "region", MW__T_ADDR, own->region);
	mw__doc_u64(o, "version_major", MW__T_COUNT, own->major);
	mw__doc_u64(o, "version_minor", MW__T_COUNT, own->minor);
	mw__doc_bool(o, "exact", own->is_exact);
	mw__doc_bool(o, "audit", own->is_audit);
	mw__doc_u64(o, "tries", MW__T_COUNT, own->tries);
	mw__doc_u64(o, "bad_records", MW__T_COUNT, own->bad_records);
	mw__doc_u64(o, "in_flight_objects", MW__T_COUNT, v->bridge.in_flight);
	mw__doc_u64(o, "arenas", MW__T_COUNT, own->arenas.n);
	mw__doc_u64(o, "threads", MW__T_COUNT, own->threads.n);
	mw__doc_u64(o, "sample_interval", MW__T_BYTES, own->sample_interval);
	mw__doc_u64(o, "retain", MW__T_BYTES, own->retain);
	mw__doc_u64(o, "page_size", MW__T_BYTES, own->page_size);
	if (own->is_exact)
		mw__doc_linef(v->root, NULL, 0, "Its books stood still while they were read: what they say is exact.");
	else
		mw__doc_linef(v->root, NULL, 0, "Its books, though, changed during each of %u readings: each size class may be off by up to "
			      "%llu objects, those in flight.%s", own->tries, (unsigned long long)v->bridge.in_flight,
			      own->bad_records ? " Records that contradicted others were left out." : "");
	mw__doc_line(v->root, "", NULL, 0);
}

/* Large and huge blocks, which have no class. */
static void add_blocks(struct mw__heap_view *v)
{
	static const char *const keys[MW__OWN_USES] = {
		[MW__OWN_LARGE] = "large", [MW__OWN_HUGE] = "huge", [MW__OWN_SAMPLED] = "sampled",
		[MW__OWN_CACHED] = "cached_runs", [MW__OWN_KEPT] = "kept",
	};
	struct mw__doc_node *o = mw__doc_object(v->root, "blocks");

	for (unsigned use = 0; use < MW__OWN_USES; use++) {
		uint64_t count = 0, bytes = 0, requested = 0, usable = 0;

		for (size_t i = 0; i < v->own->spans.n; i++) {
			const struct mw__own_span *s = &v->own->spans.v[i];

			if (s->use != use)
				continue;
			count++;
			bytes += s->npages * v->own->page_size;
			requested += s->requested;
			usable += s->usable;
		}
		if (!keys[use])
			continue;
		struct mw__doc_node *k = mw__doc_object(o, keys[use]);

		mw__doc_u64(k, "count", MW__T_COUNT, count);
		mw__doc_u64(k, "bytes", MW__T_BYTES, bytes);
		mw__doc_u64(k, "requested", MW__T_BYTES, requested);
		mw__doc_u64(k, "usable", MW__T_BYTES, usable);
	}
}

static int fill(struct mw__heap_view *v)
{
	mw__view_target(v->root, v->snap);
	mw__doc_text(v->root, "state", mw__view_state(mw__snapshot_state(v->snap, v->acc)));
	mw__doc_u64(v->root, "vsz", MW__T_BYTES, v->acc->vsz);
	mw__doc_u64(v->root, "rss", MW__T_BYTES, v->acc->total.unread ? v->snap->status.vm_rss : v->acc->rss);
	mw__view_headline(v->root, v->snap, v->acc);
	if (mw__bridge_make(v->snap, v->acc, &v->bridge) < 0)
		return -MW_E_NOMEM;
	add_head(v);
	add_bridge(v);
	mw__view_heap_classes(v);
	add_blocks(v);
	mw__view_heap_occupancy(v);
	if (mw__view_heap_threads(v) < 0 || mw__view_heap_private(v) < 0 || mw__view_heap_picture(v) < 0)
		return -MW_E_NOMEM;
	mw__view_heap_sites(v);
	mw__view_heap_work(v);
	add_roads(v);
	mw__view_notes(v->root, v->snap);
	return 0;
}

/* ------------------------------------------------------------------ without */

static bool was_saved(const struct mw_snapshot *snap)
{
	for (size_t i = 0; i < snap->claims.n; i++)
		if (snap->claims.v[i].owner == MW__OWNER_OWN_SPANS || snap->claims.v[i].owner == MW__OWNER_OWN_META)
			return true;
	return false;
}

static int refuse(const struct mw_snapshot *snap, struct mw_err *err)
{
	const struct mw__target *t = &snap->target;
	const char *name = t->comm && *t->comm ? t->comm : "?";

	if (!t->has_maps)
		return mw__view_need_maps(snap, err);
	for (size_t i = 0; i < snap->notes.n; i++) {
		const struct mw__note *n = &snap->notes.v[i];
		bool ours = !strcmp(n->source, "memwhy-malloc");
		bool core = snap->incomplete && !t->allocator && n->severity == MW__WARNING && !strcmp(n->source, "core");

		if (!ours && !core)
			continue;
		int rc = mw__fail(err, MW_E_UNSUPPORTED, 0, "%s (pid %d): %s: %s", name, t->pid,
				  ours ? n->source : "its allocator was not recognised", n->reason);

		if (n->remedy)
			mw__hint(err, "%s", n->remedy);
		return rc;
	}
	if (was_saved(snap)) {
		int rc = mw__fail(err, MW_E_UNSUPPORTED, 0, "%s (pid %d): this saved snapshot holds which ranges are the heap's, but "
				  "not what is inside: an older memwhy wrote it", name, t->pid);

		mw__hint(err, "memwhy explain shows the ranges; memwhy heap needs the process itself");
		return rc;
	}
	if (t->allocator && !strcmp(t->allocator, "memwhy-malloc")) /* that its file has the name is all that is known */
		return mw__fail(err, MW_E_UNSUPPORTED, 0, "%s (pid %d): memwhy-malloc: its library is mapped, but its books are not there: "
				"it was started this moment, or is another library of this name", name, t->pid);
	int rc = t->runtime && !strncmp(t->runtime, "Go ", 3)
			 ? mw__fail(err, MW_E_UNSUPPORTED, 0, "%s (pid %d): its heap is that of %s, which cannot be decoded yet", name,
				    t->pid, t->runtime)
		 : t->allocator
			 ? mw__fail(err, MW_E_UNSUPPORTED, 0, "%s (pid %d): its allocator is %s, which cannot be decoded yet", name,
				    t->pid, t->allocator)
			 : mw__fail(err, MW_E_UNSUPPORTED, 0, "%s (pid %d): its allocator was not recognised", name, t->pid);

	mw__hint(err, "memwhy run -- COMMAND starts a program under an allocator that can");
	return rc;
}

int mw_report_heap(const struct mw_snapshot *snap, const struct mw_heap_opts *opts, struct mw_document **ret,
		   struct mw_err *err)
{
	struct mw_heap_opts o = {};
	struct mw_account *acc = NULL;

	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	if (!snap->own)
		return refuse(snap, err);
	struct mw_document *doc = mw__doc_create("memwhy/heap/1");

	if (!doc)
		return mw__fail_nomem(err, "report");
	int rc = mw_account_create(snap, &acc, err);

	if (rc < 0) {
		mw_document_destroy(doc);
		return rc;
	}
	struct mw__heap_view v = { .snap = snap, .own = snap->own, .acc = acc, .opts = &o, .root = doc->root };

	doc->failed |= fill(&v) < 0;
	mw_account_destroy(acc);
	return mw__doc_finish(doc, ret, err);
}
