/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The heap in a snapshot file. */
#include "reader.h"

int mw__read_own(struct mw__reader *r, struct json_object *o)
{
	struct mw__own *own = r->snap->own ? NULL : mw__arena_alloc(&r->snap->arena, sizeof(*own));

	if (r->snap->own)
		return mw__reader_fail(r, "a second heap");
	if (!own)
		return mw__reader_nomem(r);
	memset(own, 0, sizeof(*own));
	r->snap->own = own;
	return mw__read_struct(r, &mw__own_fields, o, "heap", own);
}

/* Where the next element of a list goes, zeroed; NULL and r->failure. */
static void *add_to_list(struct mw__reader *r, const struct mw__own_list *l)
{
	struct mw__any_vec *vec = (void *)((char *)r->snap->own + l->off);
	size_t *n = l->is_array ? &r->n_classes : &vec->n, size = l->fields->size;

	if (!mw__reader_has_room(r, *n, l->max, l->key))
		return NULL;
	if (l->is_array)
		return (char *)vec + (*n)++ * size;
	if (vec->n == vec->cap) {
		void *v = mw__vec_grow(vec->v, &vec->cap, size);

		if (!v) {
			r->failure = mw__reader_nomem(r);
			return NULL;
		}
		vec->v = v;
	}
	return memset(vec->v + vec->n++ * size, 0, size);
}

int mw__read_own_list(struct mw__reader *r, const struct mw__own_list *l, struct json_object *o)
{
	if (!r->snap->own)
		return mw__reader_fail(r, "%s without a heap before", l->key);
	if (!json_object_is_type(o, json_type_array))
		return mw__reader_fail(r, "%s is not a list", l->key);
	for (size_t i = 0; i < json_object_array_length(o); i++) {
		void *elem = add_to_list(r, l);
		int rc = elem ? mw__read_row(r, l->fields, json_object_array_get_idx(o, i), l->key, elem) : r->failure;

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_heap_frame(struct mw__reader *r, struct json_object *o)
{
	struct mw__own *own = r->snap->own;
	struct mw__saved_frame row;

	if (!own)
		return mw__reader_fail(r, "heap_frames without a heap before");
	int rc = mw__read_row(r, &mw__saved_frame_fields, o, "heap_frames", &row);

	if (rc < 0)
		return rc;
	if (row.site >= own->sites.n || own->sites.v[row.site].n_frames >= MW__OWN_FRAMES)
		return mw__reader_fail(r, "a frame of a stack that is not there, or full");
	struct mw__own_site *s = &own->sites.v[row.site];

	s->frames[s->n_frames++] = (struct mw__own_frame){ .addr = row.addr, .symbol = row.symbol, .off = row.off, .image = row.image };
	return 0;
}

#define LINES_MAX 256u	/* of functions inlined into each other */

static int read_heap_line(struct mw__reader *r, struct json_object *o)
{
	struct mw__own *own = r->snap->own;
	struct mw__saved_line row;

	if (!own)
		return mw__reader_fail(r, "heap_lines without a heap before");
	int rc = mw__read_row(r, &mw__saved_line_fields, o, "heap_lines", &row);

	if (rc < 0)
		return rc;
	if (row.site >= own->sites.n || row.frame >= own->sites.v[row.site].n_frames ||
	    own->sites.v[row.site].frames[row.frame].n_lines >= LINES_MAX)
		return mw__reader_fail(r, "a source line of a frame that is not there, or full");
	struct mw__own_frame *f = &own->sites.v[row.site].frames[row.frame];
	/* the arena frees nothing: room doubles, so that what is left behind is no more than what is kept */
	bool is_full = !(f->n_lines & (f->n_lines - 1));
	struct mw__own_line *lines = is_full ? mw__arena_array(&r->snap->arena, f->n_lines ? f->n_lines * 2u : 1, sizeof(*lines)) :
				     (struct mw__own_line *)f->lines;

	if (!lines)
		return mw__reader_nomem(r);
	if (is_full && f->n_lines)
		memcpy(lines, f->lines, f->n_lines * sizeof(*lines));
	lines[f->n_lines] = (struct mw__own_line){ row.function ? row.function : "", row.file ? row.file : "", row.line };
	f->lines = lines;
	f->n_lines++;
	return 0;
}

int mw__read_heap_frames(struct mw__reader *r, struct json_object *o)
{
	return mw__read_rows(r, o, "heap_frames", read_heap_frame);
}

int mw__read_heap_lines(struct mw__reader *r, struct json_object *o)
{
	return mw__read_rows(r, o, "heap_lines", read_heap_line);
}
