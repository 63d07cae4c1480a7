/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memwhy heap: the stacks that the allocator sampled, those with most live bytes first. */
#include "heap_view.h"

#include "../base/size.h"

#include <libiberty/demangle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SITES 8	/* on the screen */
#define MAX_FRAMES 6

enum { S_LIVE, S_LIVE_COUNT, S_EVER, S_COUNT, S_SAMPLES, S_LIVE_SAMPLES, S_PRIVATE, S_HEAP, S_FRAMES };
static const struct mw__col site_cols[] = {
	{ "live_bytes", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL }, { "live", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "bytes", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },      { "allocations", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "samples", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },    { "live_samples", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "private", NULL, MW__T_BOOL, MW__COL_JSON_ONLY, NULL },     { "heap", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "frames", NULL, MW__T_TABLE, MW__COL_JSON_ONLY, NULL },
};
static const struct mw__col frame_cols[] = {
	{ "address", NULL, MW__T_ADDR, 0, NULL }, { "function", NULL, MW__T_TEXT, 0, NULL },
	{ "symbol", NULL, MW__T_TEXT, 0, NULL },  { "offset", NULL, MW__T_COUNT, 0, NULL },
	{ "image", NULL, MW__T_TEXT, 0, NULL },   { "lines", NULL, MW__T_TABLE, 0, NULL },
};
static const struct mw__col line_cols[] = {	/* innermost of inlined functions first */
	{ "function", NULL, MW__T_TEXT, 0, NULL }, { "file", NULL, MW__T_TEXT, 0, NULL }, { "line", NULL, MW__T_COUNT, 0, NULL },
};

const char *mw__frame_function(const struct mw__own_frame *f)
{
	const char *outermost = f->n_lines ? f->lines[f->n_lines - 1].function : "";

	return f->symbol ? f->symbol : *outermost ? outermost : NULL;
}

/* What people call it; free() it. NULL when it is not mangled. */
static char *demangle(const char *symbol)
{
	return symbol && symbol[0] == '_' ? cplus_demangle(symbol, DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO) : NULL;
}

static void frame_row(struct mw__doc_node *t, const struct mw__own_frame *f)
{
	struct mw__doc_row *row = mw__doc_row(t);
	const char *function = mw__frame_function(f);
	char *plain = demangle(function);

	mw__row_u64(t, row, 0, f->addr);
	mw__row_text(t, row, 1, plain ? plain : function);
	mw__row_text(t, row, 2, f->symbol);
	mw__row_u64(t, row, 3, f->symbol ? f->off : MW_UNKNOWN);
	mw__row_text(t, row, 4, f->image);
	free(plain);
	struct mw__doc_node *lines = mw__row_node(t, row, 5, MW__T_TABLE, line_cols, 3);

	for (uint32_t i = 0; i < f->n_lines; i++) {
		row = mw__doc_row(lines);
		mw__row_text(lines, row, 0, *f->lines[i].function ? f->lines[i].function : NULL);
		mw__row_text(lines, row, 1, *f->lines[i].file ? f->lines[i].file : NULL);
		mw__row_u64(lines, row, 2, f->lines[i].line);
	}
}

/* " at file:line" of the call, as short as it can be found again: the last directory and the name. */
static const char *place(const struct mw__own_frame *f, uint32_t i, char *buf, size_t n)
{
	const char *file = i < f->n_lines ? f->lines[i].file : "", *from = file + strlen(file);

	for (unsigned slashes = 0; from > file && !(from[-1] == '/' && ++slashes == 2); from--)
		;
	buf[0] = '\0';
	if (*file)
		snprintf(buf, n, " at %s:%llu", from, (unsigned long long)f->lines[i].line);
	return buf;
}

/* Functions that were inlined at the call, from the innermost on. */
static void inlined_lines(struct mw__doc_node *root, const struct mw__own_frame *f)
{
	char at[160];

	for (uint32_t i = 0; i + 1 < f->n_lines; i++) {
		const char *function = f->lines[i].function;
		char *plain = demangle(function);

		mw__doc_linef(root, NULL, 0, "    %s%s (inlined)", plain ? plain : *function ? function : "?",
			      place(f, i, at, sizeof(at)));
		free(plain);
	}
}

static void frame_line(struct mw__doc_node *root, const struct mw__own_frame *f)
{
	char at[160];
	const char *function = mw__frame_function(f);
	char *plain = demangle(function);
	const char *image = f->image ? f->image : "no image";

	inlined_lines(root, f);
	if (f->symbol)
		mw__doc_linef(root, NULL, 0, "    %s+0x%llx%s (%s)", plain ? plain : f->symbol, (unsigned long long)f->off,
			      place(f, f->n_lines - 1, at, sizeof(at)), image);
	else if (function)
		mw__doc_linef(root, NULL, 0, "    %s%s (%s)", plain ? plain : function, place(f, f->n_lines - 1, at, sizeof(at)), image);
	else
		mw__doc_linef(root, NULL, 0, "    0x%llx (%s)", (unsigned long long)f->addr, image);
	free(plain);
}

static void print_site(struct mw__heap_view *v, const struct mw__own_site *s)
{
	uint64_t sizes[] = { s->live_bytes, s->bytes };
	uint32_t shown = v->opts->all ? s->n_frames : (uint32_t)mw__min(s->n_frames, MAX_FRAMES);

	mw__doc_linef(v->root, sizes, 2, "\001 live in %llu block%s, \001 ever in %llu (samples: %llu live of %llu)%s%s%s",
		      (unsigned long long)s->live_count, s->live_count == 1 ? "" : "s", (unsigned long long)s->count,
		      (unsigned long long)s->live_samples, (unsigned long long)s->samples, !s->is_private ? "" : s->heap ? ", private heap \"" : ", private heaps without name",
		      s->heap ? s->heap : "", s->heap ? "\"" : "");
	if (!s->n_frames)
		mw__doc_line(v->root, "    no stack: it could not be followed, or there was no room for it", NULL, 0);
	for (uint32_t i = 0; i < shown; i++)
		frame_line(v->root, &s->frames[i]);
	if (shown < s->n_frames)
		mw__doc_linef(v->root, NULL, 0, "    and %u caller%s above (--all)", s->n_frames - shown, s->n_frames - shown == 1 ? "" : "s");
}

void mw__view_heap_sites(struct mw__heap_view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, "sites", NULL, site_cols, MW__COUNT(site_cols));
	size_t shown = v->opts->all ? v->own->sites.n : mw__min(v->own->sites.n, MAX_SITES);
	uint64_t interval = v->own->sample_interval;

	for (size_t i = 0; i < v->own->sites.n; i++) {
		const struct mw__own_site *s = &v->own->sites.v[i];
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_u64(t, row, S_LIVE, s->live_bytes);
		mw__row_u64(t, row, S_LIVE_COUNT, s->live_count);
		mw__row_u64(t, row, S_EVER, s->bytes);
		mw__row_u64(t, row, S_COUNT, s->count);
		mw__row_u64(t, row, S_SAMPLES, s->samples);
		mw__row_u64(t, row, S_LIVE_SAMPLES, s->live_samples);
		mw__row_bool(t, row, S_PRIVATE, s->is_private);
		mw__row_text(t, row, S_HEAP, s->heap);
		struct mw__doc_node *frames = mw__row_node(t, row, S_FRAMES, MW__T_TABLE, frame_cols, 6);

		for (uint32_t k = 0; k < s->n_frames; k++)
			frame_row(frames, &s->frames[k]);
	}
	mw__doc_line(v->root, "\002WHERE IT WAS ALLOCATED", NULL, 0);
	if (!interval)
		mw__doc_line(v->root, "Sampling is off.", NULL, 0);
	else
		mw__doc_line(v->root, "By samples, one for each \001 requested on average; sums are estimates.", &interval, 1);
	if (interval && !v->own->sites.n)
		mw__doc_line(v->root, "None was taken yet.", NULL, 0);
	for (size_t i = 0; i < shown; i++)
		print_site(v, &v->own->sites.v[i]);
	if (shown < v->own->sites.n)
		mw__doc_linef(v->root, NULL, 0, "and %zu more places (--all)", v->own->sites.n - shown);
	mw__doc_line(v->root, "", NULL, 0);
}
