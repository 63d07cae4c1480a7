/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy pages as a document: the page states of a place as a map (a character stands for a page, or for as
 * many as let the map fit a screen), sums by state, and the exact runs in JSON. Without a place each mapping
 * gets one line.
 */
#include "frame.h"
#include "views.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/search.h"
#include "../base/size.h"
#include "../explain/stretch.h"
#include "../model/place.h"

#include <stdio.h>
#include <string.h>

#define PAGE UINT64_C(4096)
#define WIDTH 64u		/* characters a line */
#define ALL_WIDTH 24u		/* of a mapping, beside its size and name */
#define MAX_LINES 40u		/* of the map, without all */
#define MAX_FRAME_ROWS 64u
#define UNMAPPED MW__N_AT	/* a hole between mappings */
#define MARK_PARTLY '+'
#define MARK_MIXED ':'
#define MARK_UNMAPPED '~'

/* A piece of the place with one state. */
struct bit {
	uint64_t start, end;
	unsigned where;		/* enum mw__where, or UNMAPPED */
	bool is_huge;
	enum mw__owner owner;
	const char *object;	/* or NULL */
};

struct view {
	const struct mw_snapshot *snap;
	const struct mw_pages_opts *opts;
	struct mw__place place;
	MW_VEC(struct bit) bits;	/* by address; of the ranges widened to pages */
	struct mw__doc_node *root;
	uint64_t bytes[MW__N_AT];	/* exact: clipped to the ranges */
	uint64_t mapped;
	bool used[128];			/* marks on the map */
};

static void deinit_view(struct view *v)
{
	MW_VEC_FREE(&v->bits);
	mw__place_deinit(&v->place);
}

/* --------------------------------------------------------------- gathering */

static int add_bit(struct view *v, const struct bit *b)
{
	struct bit *last = v->bits.n ? &v->bits.v[v->bits.n - 1] : NULL;

	if (b->start >= b->end)
		return 0;
	if (last && last->end == b->start && last->where == b->where && last->is_huge == b->is_huge &&
	    last->owner == b->owner && last->object == b->object) {
		last->end = b->end;
		return 0;
	}
	struct bit *new = MW_VEC_PUSH(&v->bits);

	if (!new)
		return -MW_E_NOMEM;
	*new = *b;
	return 0;
}

static const char *object_of(const struct mw_snapshot *snap, const struct mw__extent *x)
{
	if (x->image)
		return x->image->path;
	return x->vma->file != MW__NONE ? snap->files.v[x->vma->file].path : *x->vma->name ? x->vma->name : NULL;
}

static int add_extent(struct view *v, const struct mw__extent *x, const struct mw__place_range *r)
{
	uint64_t start = mw__align_down(r->start, PAGE), end = mw__align_up(r->end, PAGE);
	struct mw__stretches it;
	struct mw__stretch s;

	mw__stretches_init(&it, v->snap, x);
	while (mw__stretches_next(&it, &s)) {
		struct bit b = { mw__max(s.start, start), mw__min(s.end, end), s.where, s.is_huge, x->owner, object_of(v->snap, x) };
		uint64_t from = mw__max(s.start, r->start), to = mw__min(s.end, r->end);

		if (from < to) {
			v->bytes[s.where] += to - from;
			v->mapped += to - from;
		}
		if (add_bit(v, &b) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

/* Both lists are by address, so one pass over the extents serves all ranges that do not share an extent. */
static int gather_range(struct view *v, const struct mw__place_range *r)
{
	MW_CLEANUP(mw__extents_deinit) struct mw__extents it = {};
	uint64_t at = mw__align_down(r->start, PAGE), end = mw__align_up(r->end, PAGE);
	struct mw__extent x;

	if (mw__extents_init(&it, v->snap) < 0)
		return -MW_E_NOMEM;
	while (mw__extents_next(&it, &x) && x.start < end) {
		struct bit hole = { at, mw__min(x.start, end), UNMAPPED, false, MW__OWNER_NONE, NULL };

		if (x.end <= at)
			continue;
		if (add_bit(v, &hole) < 0 || add_extent(v, &x, r) < 0)
			return -MW_E_NOMEM;
		at = x.end;
	}
	struct bit hole = { at, end, UNMAPPED, false, MW__OWNER_NONE, NULL };

	return add_bit(v, &hole);
}

/* Every mapping: one pass. */
static int gather_all(struct view *v)
{
	MW_CLEANUP(mw__extents_deinit) struct mw__extents it = {};
	static const struct mw__place_range all = { 0, UINT64_MAX, NULL };
	struct mw__extent x;

	if (mw__extents_init(&it, v->snap) < 0)
		return -MW_E_NOMEM;
	while (mw__extents_next(&it, &x))
		if (add_extent(v, &x, &all) < 0)
			return -MW_E_NOMEM;
	return 0;
}

static int gather(struct view *v)
{
	if (!v->opts->place || !*v->opts->place)
		return gather_all(v);
	for (size_t i = 0; i < v->place.ranges.n; i++)
		if (gather_range(v, &v->place.ranges.v[i]) < 0)
			return -MW_E_NOMEM;
	return 0;
}

/* --------------------------------------------------------------------- map */

enum { M_ADDRESS, M_MAP, M_SIZE, M_RESIDENT, M_NAME };
static const struct mw__col map_cols[] = {
	{ "address", "ADDRESS", MW__T_ADDR, MW__COL_TEXT_ONLY, "first address of the line" },
	{ "map", "0       8       16      24      32      40      48      56", MW__T_TEXT, MW__COL_TEXT_ONLY,
	  "page states, see the legend" },
	{ "size", "SIZE", MW__T_BYTES, MW__COL_TEXT_ONLY | MW__COL_HIDDEN, "size of the line" },
	{ "resident", "RSS", MW__T_BYTES, MW__COL_TEXT_ONLY | MW__COL_HIDDEN, "resident in the line" },
	{ "name", "NAME", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_HIDDEN | MW__COL_TRUNC, "what is mapped there" },
};
static const struct mw__col all_cols[] = {
	{ "address", "ADDRESS", MW__T_ADDR, MW__COL_TEXT_ONLY, "first address of the mapping" },
	{ "map", "PAGES", MW__T_TEXT, MW__COL_TEXT_ONLY, "page states, see the legend" },
	{ "size", "SIZE", MW__T_BYTES, MW__COL_TEXT_ONLY, "size of the mapping" },
	{ "resident", "RSS", MW__T_BYTES, MW__COL_TEXT_ONLY, "resident" },
	{ "name", "NAME", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_TRUNC, "what is mapped there" },
};

/* The first bit that ends behind addr. */
static size_t find_bit(const struct view *v, uint64_t addr)
{
	return MW_FIRST(i, v->bits.n, v->bits.v[i].end > addr);
}

static char mark_of(unsigned where)
{
	return where == UNMAPPED ? MARK_UNMAPPED : mw__wheres[where].mark;
}

/* What stands for [start, end): the mark of its state, or of a mixture. Resident bytes are added up. */
static char mark(struct view *v, uint64_t start, uint64_t end, uint64_t *resident)
{
	char one = 0;
	bool mixed = false, any = false;

	for (size_t i = find_bit(v, start); i < v->bits.n && v->bits.v[i].start < end; i++) {
		const struct bit *b = &v->bits.v[i];
		char c = mark_of(b->where);

		mixed |= one && one != c;
		one = c;
		if (b->where != UNMAPPED && mw__wheres[b->where].is_resident) {
			any = true;
			*resident += mw__min(b->end, end) - mw__max(b->start, start);
		}
	}
	char c = !one ? MARK_UNMAPPED : !mixed ? one : any ? MARK_PARTLY : MARK_MIXED;

	v->used[(unsigned char)c] = true;
	return c;
}

/* The address behind this many bytes, or the end: ranges may reach up to the end of all addresses. */
static uint64_t behind(uint64_t at, uint64_t size, uint64_t end)
{
	return end - at > size ? at + size : end;
}

static void add_line(struct view *v, struct mw__doc_node *t, uint64_t start, uint64_t end, uint64_t per, const char *name)
{
	struct mw__doc_row *row = mw__doc_row(t);
	uint64_t resident = 0;
	char text[WIDTH + 1];
	size_t n = 0;

	for (uint64_t at = start; at < end && n < WIDTH; at = behind(at, per, end))
		text[n++] = mark(v, at, behind(at, per, end), &resident);
	text[n] = '\0';
	mw__row_u64(t, row, M_ADDRESS, start);
	mw__row_text(t, row, M_MAP, text);
	mw__row_u64(t, row, M_SIZE, end - start);
	mw__row_u64(t, row, M_RESIDENT, resident);
	mw__row_text(t, row, M_NAME, name);
}

static uint64_t lines_of(const struct view *v, uint64_t per)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v->place.ranges.n; i++) {
		uint64_t size = mw__align_up(v->place.ranges.v[i].end, PAGE) - mw__align_down(v->place.ranges.v[i].start, PAGE);

		n += size / (per * WIDTH) + (size % (per * WIDTH) != 0);
	}
	return n;
}

static void draw_place(struct view *v)
{
	uint64_t per = PAGE, most = mw__max(MAX_LINES, v->place.ranges.n);

	while (!v->opts->all && lines_of(v, per) > most)
		per *= 2;
	uint64_t sizes[] = { per, per * WIDTH };
	struct mw__doc_node *t = mw__doc_table(v->root, NULL, NULL, map_cols, MW__COUNT(map_cols));

	for (size_t i = 0; i < v->place.ranges.n; i++) {
		const struct mw__place_range *r = &v->place.ranges.v[i];
		uint64_t end = mw__align_up(r->end, PAGE);

		for (uint64_t at = mw__align_down(r->start, PAGE); at < end; at = behind(at, per * WIDTH, end))
			add_line(v, t, at, behind(at, per * WIDTH, end), per, r->label);
	}
	mw__doc_line(v->root, "", NULL, 0);
	mw__doc_linef(v->root, sizes, 2, "One character is %llu page%s (\001), a line \001.", (unsigned long long)(per / PAGE),
		      per > PAGE ? "s" : "");
}

static void draw_mapping(struct view *v, struct mw__doc_node *t, const struct mw__extent *main, struct mw__str *buf)
{
	const struct mw__vma *m = main->vma;
	uint64_t per = mw__align_up((m->end - m->start + ALL_WIDTH - 1) / ALL_WIDTH, PAGE);

	add_line(v, t, m->start, m->end, per, *m->name == '/' ? mw__basename(m->name) : *m->name ? m->name : mw__view_what(main, buf));
}

/* One line a mapping, in characters of a size of its own; one without a name is called after its largest extent, as in maps. */
static int draw_all(struct view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, NULL, NULL, all_cols, MW__COUNT(all_cols));
	MW_CLEANUP(mw__extents_deinit) struct mw__extents it = {};
	MW_CLEANUP(mw__str_deinit) struct mw__str buf = {};
	struct mw__extent x, main = {};

	if (mw__extents_init(&it, v->snap) < 0)
		return -MW_E_NOMEM;
	while (mw__extents_next(&it, &x)) {
		if (main.vma && x.vma != main.vma)
			draw_mapping(v, t, &main, &buf);
		if (!main.vma || x.vma != main.vma || x.end - x.start > main.end - main.start)
			main = x;
	}
	if (main.vma)
		draw_mapping(v, t, &main, &buf);
	if (buf.failed)
		return -MW_E_NOMEM;
	mw__doc_line(v->root, "", NULL, 0);
	mw__doc_line(v->root, "One line a mapping; a character is one page or, in large mappings, several.", NULL, 0);
	return 0;
}

/* --------------------------------------------------------------- sums, JSON */

static const struct mw__col legend_cols[] = {
	{ "mark", "MARK", MW__T_TEXT, MW__COL_TEXT_ONLY, "character of the map" },
	{ "bytes", "BYTES", MW__T_BYTES, MW__COL_TEXT_ONLY, "how much of it there is" },
	{ "meaning", "MEANING", MW__T_TEXT, MW__COL_TEXT_ONLY, "what it stands for" },
};

static void legend_row(struct mw__doc_node *t, char mark, uint64_t bytes, const char *text)
{
	struct mw__doc_row *row = mw__doc_row(t);
	char m[2] = { mark, '\0' };

	mw__row_text(t, row, 0, m);
	if (bytes != MW_UNKNOWN)
		mw__row_u64(t, row, 1, bytes);
	mw__row_text(t, row, 2, text);
}

static const struct {
	char mark;
	const char *text;
} mixtures[] = {
	{ MARK_PARTLY, "several states, partly resident" },
	{ MARK_MIXED, "several states, nothing resident" },
	{ MARK_UNMAPPED, "no mapping" },
};

static void add_legend(struct view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, NULL, "LEGEND", legend_cols, MW__COUNT(legend_cols));

	for (size_t i = 0; i < MW__N_AT; i++)
		if (v->bytes[i])
			legend_row(t, mw__wheres[i].mark, v->bytes[i], mw__wheres[i].text);
	for (size_t i = 0; i < MW__COUNT(mixtures); i++)
		if (v->used[(unsigned char)mixtures[i].mark])
			legend_row(t, mixtures[i].mark, MW_UNKNOWN, mixtures[i].text);
}

static void add_sums(struct view *v)
{
	struct mw__doc_node *o = mw__doc_object(v->root, "sums");
	uint64_t resident = 0;

	for (size_t i = 0; i < MW__N_AT; i++) {
		mw__doc_u64(o, mw__wheres[i].id, MW__T_BYTES, v->bytes[i]);
		resident += mw__wheres[i].is_resident ? v->bytes[i] : 0;
	}
	mw__doc_u64(v->root, "mapped", MW__T_BYTES, v->mapped);
	mw__doc_u64(v->root, "resident", MW__T_BYTES, v->bytes[MW__AT_UNREAD] ? MW_UNKNOWN : resident);
}

static const struct mw__col run_cols[] = {
	{ "start", NULL, MW__T_ADDR, MW__COL_JSON_ONLY, NULL },
	{ "end", NULL, MW__T_ADDR, MW__COL_JSON_ONLY, NULL },
	{ "pages", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "state", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "resident", NULL, MW__T_BOOL, MW__COL_JSON_ONLY, NULL },
	{ "huge", NULL, MW__T_BOOL, MW__COL_JSON_ONLY, NULL },
	{ "owner", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "object", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
};

static void add_runs(struct view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, "runs", NULL, run_cols, MW__COUNT(run_cols));

	for (size_t i = 0; i < v->bits.n; i++) {
		const struct bit *b = &v->bits.v[i];
		bool mapped = b->where != UNMAPPED, known = b->where != MW__AT_UNREAD;
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_u64(t, row, 0, b->start);
		mw__row_u64(t, row, 1, b->end);
		mw__row_u64(t, row, 2, (b->end - b->start) / PAGE);
		mw__row_text(t, row, 3, mapped ? mw__wheres[b->where].id : "unmapped");
		if (known)
			mw__row_bool(t, row, 4, mapped && mw__wheres[b->where].is_resident);
		mw__row_bool(t, row, 5, b->is_huge);
		mw__row_text(t, row, 6, mapped ? mw__owners[b->owner].id : NULL);
		mw__row_text(t, row, 7, b->object);
	}
}

/* ------------------------------------------------------------------ frames */

enum { F_ADDRESS, F_PFN, F_MAPPERS, F_NODE, F_FLAGS };
#define FRAME_COLS(F, NODE)                                                                                                 \
	{ "address", "ADDRESS", MW__T_ADDR, (F), "page" },                                                              \
	{ "frame", "FRAME", MW__T_COUNT, (F), "number of the page frame" },                                             \
	{ "mappers", "MAPPERS", MW__T_COUNT, (F), "page table entries that point to it, in all processes" },            \
	{ "node", "NODE", MW__T_COUNT, (F) | (NODE), "NUMA node" },                                             \
	{ "flags", "FLAGS", MW__T_TEXT, (F), "flags of the frame, see memwhy-pages(1)" }
static const struct mw__col frame_cols[] = { FRAME_COLS(MW__COL_TEXT_ONLY, MW__COL_HIDDEN) };
static const struct mw__col node_cols[] = { FRAME_COLS(MW__COL_TEXT_ONLY, 0) };
static const struct mw__col frame_keys[] = { FRAME_COLS(MW__COL_JSON_ONLY, 0) };

static void frame_row(struct mw__doc_node *t, const struct mw__frame *f, struct mw__str *scratch)
{
	struct mw__doc_row *row = mw__doc_row(t);

	mw__row_u64(t, row, F_ADDRESS, f->addr);
	mw__row_u64(t, row, F_PFN, f->pfn);
	mw__row_u64(t, row, F_MAPPERS, f->mappers);
	mw__row_u64(t, row, F_NODE, f->node == MW__NONE ? MW_UNKNOWN : f->node);
	mw__row_text(t, row, F_FLAGS, f->flags == MW_UNKNOWN ? NULL : mw__frame_flags(f->flags, scratch));
}

/* A saved snapshot may have more frames than were asked for. */
static bool is_in_place(const struct view *v, uint64_t addr)
{
	for (size_t i = 0; i < v->place.ranges.n; i++)
		if (addr + PAGE > v->place.ranges.v[i].start && addr < v->place.ranges.v[i].end)
			return true;
	return !v->place.ranges.n;
}

/* The node is worth a column where there is more than one. */
static const struct mw__col *choose_cols(const struct mw_snapshot *snap)
{
	for (size_t i = 0; i < snap->frames.n; i++)
		if (snap->frames.v[i].node != MW__NONE && snap->frames.v[i].node > 0)
			return node_cols;
	return frame_cols;
}

static void add_frames(struct view *v)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str scratch = {};
	const struct mw_snapshot *snap = v->snap;
	size_t limit = v->opts->all ? SIZE_MAX : MAX_FRAME_ROWS, n = 0, shared = 0, known = 0;
	struct mw__doc_node *json = mw__doc_table(v->root, "frames", NULL, frame_keys, MW__COUNT(frame_keys)), *t = NULL;

	for (size_t i = 0; v->opts->frames && i < snap->frames.n; i++) {
		const struct mw__frame *f = &snap->frames.v[i];

		if (!is_in_place(v, f->addr))
			continue;
		if (!t)
			t = mw__doc_table(v->root, NULL, "FRAMES", choose_cols(snap), MW__COUNT(frame_cols));
		frame_row(json, f, &scratch);
		if (n++ < limit)
			frame_row(t, f, &scratch);
		known += f->mappers != MW_UNKNOWN;
		shared += f->mappers != MW_UNKNOWN && f->mappers > 1;
	}
	if (n > limit)
		mw__doc_linef(v->root, NULL, 0, "%zu more (--all lists them)", n - limit);
	if (known)
		mw__doc_linef(v->root, NULL, 0, "%zu of %zu pages are mapped somewhere else as well", shared, n);
	v->root->doc->failed |= scratch.failed;
}

/* ----------------------------------------------------------------- mappers */

enum { W_PID, W_COMMAND, W_ENTRIES, W_BYTES };
#define MAPPER_COLS(F)                                                                                                \
	{ "pid", "PID", MW__T_COUNT, (F), "process, this one among them" },                                             \
	{ "command", "COMMAND", MW__T_TEXT, (F) | MW__COL_TRUNC, "its name" },                                          \
	{ "entries", "PAGES", MW__T_COUNT, (F), "page table entries of it that point to these frames" },                \
	{ "bytes", "BYTES", MW__T_BYTES, (F), "what they map" }
static const struct mw__col mapper_cols[] = { MAPPER_COLS(MW__COL_TEXT_ONLY) };
static const struct mw__col mapper_keys[] = { MAPPER_COLS(MW__COL_JSON_ONLY) };

static void mapper_row(struct mw__doc_node *t, const struct mw__mapper *m)
{
	struct mw__doc_row *row = mw__doc_row(t);

	mw__row_u64(t, row, W_PID, (uint64_t)m->pid);
	mw__row_text(t, row, W_COMMAND, m->comm);
	mw__row_u64(t, row, W_ENTRIES, m->entries);
	mw__row_u64(t, row, W_BYTES, m->entries * PAGE);
}

static int compare_mappers(const void *a, const void *b)
{
	const struct mw__mapper *x = *(struct mw__mapper *const *)a, *y = *(struct mw__mapper *const *)b;

	if (x->entries != y->entries)
		return x->entries > y->entries ? -1 : 1;
	return x->pid - y->pid;
}

/* Entries that the kernel counts and no process was found to have. */
static uint64_t missing_entries(const struct mw_snapshot *snap)
{
	uint64_t missing = 0;

	for (size_t i = 0; i < snap->frames.n; i++)
		if (snap->frames.v[i].mappers != MW_UNKNOWN)
			missing += mw__sub0(snap->frames.v[i].mappers, snap->frames.v[i].found);
	return missing;
}

static int add_mappers(struct view *v)
{
	const struct mw_snapshot *snap = v->snap;
	size_t n = snap->mappers.n, limit = v->opts->all ? n : MAX_FRAME_ROWS;
	MW_CLEANUP(mw__freep) const struct mw__mapper **list = calloc(n + 1, sizeof(*list));
	uint64_t missing = snap->mappers_known ? missing_entries(snap) : MW_UNKNOWN;

	if (!list)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < n; i++)
		list[i] = &snap->mappers.v[i];
	if (n)
		qsort(list, n, sizeof(*list), compare_mappers);
	struct mw__doc_node *json = mw__doc_table(v->root, "mappers", NULL, mapper_keys, MW__COUNT(mapper_keys));
	struct mw__doc_node *text = n ? mw__doc_table(v->root, NULL, "WHO MAPS THESE FRAMES", mapper_cols, MW__COUNT(mapper_cols)) : NULL;

	for (size_t i = 0; i < n; i++) {
		mapper_row(json, list[i]);
		if (i < limit)
			mapper_row(text, list[i]);
	}
	mw__doc_u64(v->root, "mappers_missing", MW__T_COUNT, missing);
	if (n > limit)
		mw__doc_linef(v->root, NULL, 0, "%zu more (--all lists them)", n - limit);
	if (!snap->mappers_known)
		mw__doc_line(v->root, "Who maps these frames is unknown: it needs a running process, and frame numbers (CAP_SYS_ADMIN).", NULL, 0);
	else if (missing)
		mw__doc_linef(v->root, NULL, 0, "%llu entries more point to them, in processes that moved or merged them, or that may not be read.",
			      (unsigned long long)missing);
	return 0;
}

/* -------------------------------------------------------------------- view */

static void add_head(struct view *v, const struct mw_account *acc)
{
	const char *place = v->opts->place && *v->opts->place ? v->opts->place : NULL;
	uint64_t resident = 0, sizes[2];

	for (size_t i = 0; i < MW__N_AT; i++)
		resident += mw__wheres[i].is_resident ? v->bytes[i] : 0;
	sizes[0] = v->mapped;
	sizes[1] = v->bytes[MW__AT_UNREAD] ? MW_UNKNOWN : resident;
	mw__view_target(v->root, v->snap);
	mw__doc_text(v->root, "state", mw__view_state(mw__snapshot_state(v->snap, acc)));
	mw__doc_text(v->root, "place", place);
	mw__doc_u64(v->root, "page_size", MW__T_BYTES, v->snap->target.page_size);
	mw__view_headline(v->root, v->snap, acc);
	if (place)
		mw__doc_linef(v->root, sizes, 2, "%s: \001 mapped, \001 resident", place);
	mw__doc_line(v->root, "", NULL, 0);
}

static int fill(struct view *v, const struct mw_account *acc)
{
	if (gather(v) < 0)
		return -MW_E_NOMEM;
	add_head(v, acc);
	add_sums(v);
	if (v->opts->place && *v->opts->place)
		draw_place(v);
	else if (draw_all(v) < 0)
		return -MW_E_NOMEM;
	add_legend(v);
	add_runs(v);
	add_frames(v);
	if (v->opts->mappers && add_mappers(v) < 0)
		return -MW_E_NOMEM;
	mw__view_notes(v->root, v->snap);
	return 0;
}

int mw_report_pages(const struct mw_snapshot *snap, const struct mw_pages_opts *opts, struct mw_document **ret,
		    struct mw_err *err)
{
	struct mw_pages_opts o = {};
	struct mw_account *acc = NULL;

	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	MW_CLEANUP(deinit_view) struct view v = { .snap = snap, .opts = &o };
	int rc = mw__view_need_maps(snap, err);

	if (rc == 0 && o.place && *o.place)
		rc = mw__place_find(snap, o.place, &v.place, err);
	if (rc == 0)
		rc = mw_account_create(snap, &acc, err);
	if (rc < 0)
		return rc;
	struct mw_document *doc = mw__doc_create("memwhy/pages/1");

	if (!doc) {
		mw_account_destroy(acc);
		return mw__fail_nomem(err, "report");
	}
	v.root = doc->root;
	doc->failed |= fill(&v, acc) < 0;
	mw_account_destroy(acc);
	return mw__doc_finish(doc, ret, err);
}
