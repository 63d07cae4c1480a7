/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames of the places and addresses that the options name. A place that does not exist is the view's to report. */
#include "collect.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../model/place.h"

#include <string.h>

static int compare_frames(const void *a, const void *b)
{
	const struct mw__frame *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* By address, each page once. */
static void order(struct mw_snapshot *snap)
{
	size_t n = 0;

	if (!snap->frames.n)
		return;
	qsort(snap->frames.v, snap->frames.n, sizeof(*snap->frames.v), compare_frames);
	for (size_t i = 0; i < snap->frames.n; i++)
		if (!n || snap->frames.v[n - 1].addr != snap->frames.v[i].addr)
			snap->frames.v[n++] = snap->frames.v[i];
	snap->frames.n = n;
}

static bool has_note(const struct mw_snapshot *snap, const struct mw__note *note, size_t before)
{
	for (size_t i = 0; i < before; i++)
		if (!strcmp(snap->notes.v[i].source, note->source) && !strcmp(snap->notes.v[i].reason, note->reason))
			return true;
	return false;
}

static int read_range(struct mw__collector *c, uint64_t start, uint64_t end)
{
	struct mw_snapshot *snap = c->snap;
	size_t before = snap->notes.n;
	int rc = mw__frames_read(&c->proc, snap, start, end);

	while (snap->notes.n > before && has_note(snap, &snap->notes.v[snap->notes.n - 1], before))
		snap->notes.n--;
	return rc;
}

/* Linux clears the flag la57 where it does not use five levels. */
void mw__collect_levels(struct mw__collector *c)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};

	if (strcmp(c->snap->target.machine ? c->snap->target.machine : "", "x86_64") ||
	    mw__proc_root_text(&c->proc, "cpuinfo", &text, NULL) < 0 || !text.n)
		return;
	c->snap->target.page_levels = memmem(text.v, text.n, " la57", 5) ? 5 : 4;
}

int mw__collect_frames(struct mw__collector *c, struct mw_err *err)
{
	MW_CLEANUP(mw__place_deinit) struct mw__place place = {};
	int rc = 0;

	mw__collect_levels(c);
	if (c->opts.frames_of && mw__place_find(c->snap, c->opts.frames_of, &place, NULL) < 0)
		return 0;
	for (size_t i = 0; rc == 0 && i < place.ranges.n; i++)
		rc = read_range(c, place.ranges.v[i].start, place.ranges.v[i].end);
	for (size_t i = 0; rc == 0 && i < c->opts.n_frames_at; i++)
		if (c->opts.frames_at[i] < UINT64_MAX - 4096)
			rc = read_range(c, c->opts.frames_at[i], c->opts.frames_at[i] + 1);
	order(c->snap);
	return rc < 0 ? mw__fail_nomem(err, "frames") : 0;
}
