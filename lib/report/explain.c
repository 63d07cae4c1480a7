/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy explain as a document: headline, waterfall from VSZ to RSS, what RSS is made of, the same in
 * words, and with verify every road to the same number. The first screen shows the lines that matter;
 * smaller ones are summed up in a line of their own, so that the column still adds up.
 */
#include "stream.h"
#include "views.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Lines of the waterfall on the first screen, and the share of the gap below which one is small. */
#define MAX_LINES 11
#define SMALL_SHARE 0.004
#define MAX_OBJECTS 12

struct view {
	const struct mw_snapshot *snap;
	const struct mw_account *acc;
	const struct mw_explain_opts *opts;
	struct mw__doc_node *root;
};

/* ------------------------------------------------------------------ causes */

static const struct mw__col cause_cols[] = {
	{ "code", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "owner", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "label", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "group", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "bytes", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "regions", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "how", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
};

/* Coarse groups of causes, for charts. */
static const char *group_of(enum mw__cause c)
{
	if (mw__causes[c].is_resident)
		return "resident";
	switch (c) {
	case MW__N9:
		return "reserved";
	case MW__N10: case MW__N11: case MW__N12: case MW__N13:
		return "file";
	case MW__N8: case MW__N14: case MW__N15:
		return "shared";
	case MW__N7:
		return "swap";
	case MW__N1: case MW__N2: case MW__N3: case MW__N5: case MW__N6: case MW__N22: case MW__N99:
		return "special";
	default:
		return "untouched";
	}
}

/* The lines that add up to RSS, or those that add up to the rest of VSZ. */
static void add_causes(struct view *v, const char *key, bool resident)
{
	struct mw__doc_node *t = mw__doc_table(v->root, key, NULL, cause_cols, MW__COUNT(cause_cols));

	for (size_t i = 0; i < v->acc->lines.n; i++) {
		const struct mw__line *l = &v->acc->lines.v[i];

		if (mw__causes[l->cause].is_resident != resident)
			continue;
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_text(t, row, 0, mw__causes[l->cause].code);
		mw__row_text(t, row, 1, mw__owners[l->owner].id);
		mw__row_text(t, row, 2, mw__cause_text(l->cause, l->owner));
		mw__row_text(t, row, 3, group_of(l->cause));
		mw__row_u64(t, row, 4, l->bytes);
		mw__row_u64(t, row, 5, l->regions);
		mw__row_text(t, row, 6, mw__causes[l->cause].how);
	}
}

/* --------------------------------------------------------------- waterfall */

enum { W_CODE, W_CAUSE, W_REGIONS, W_BYTES, W_SHARE, W_BAR };
static const struct mw__col fall_cols[] = {
	{ "code", "", MW__T_TEXT, MW__COL_TEXT_ONLY, "code of the cause, see memwhy-memory(7)" },
	{ "cause", "CAUSE", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_TRUNC, "why these bytes are in VSZ and not in RSS" },
	{ "regions", "RANGES", MW__T_COUNT, MW__COL_TEXT_ONLY, "number of ranges" },
	{ "bytes", "BYTES", MW__T_BYTES, MW__COL_TEXT_ONLY, "size" },
	{ "share", "SHARE", MW__T_SHARE, MW__COL_TEXT_ONLY, "share of VSZ - RSS" },
	{ "bar", "", MW__T_BAR, 0, "the share, drawn" },
};

/* Lines whose text is the same on the screen are one row there: a cause with a text of its own joins its owners. */
struct fall_row {
	enum mw__cause cause;
	enum mw__owner owner;
	uint64_t bytes, regions;
};

static bool joins(const struct fall_row *r, const struct mw__line *l)
{
	return r->cause == l->cause && (*mw__causes[l->cause].text || r->owner == l->owner);
}

static size_t join_rows(const struct mw_account *acc, struct fall_row *rows)
{
	size_t n = 0;

	for (size_t i = 0; i < acc->lines.n; i++) {
		const struct mw__line *l = &acc->lines.v[i];
		size_t k = 0;

		if (mw__causes[l->cause].is_resident)
			continue;
		while (k < n && !joins(&rows[k], l))
			k++;
		if (k == n)
			rows[n++] = (struct fall_row){ l->cause, l->owner, 0, 0 };
		rows[k].bytes += l->bytes;
		rows[k].regions += l->regions;
	}
	return n;
}

static int compare_rows(const void *a, const void *b)
{
	const struct fall_row *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->cause != y->cause ? (int)x->cause - (int)y->cause : (int)x->owner - (int)y->owner;
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : NAN;
}

static struct mw__doc_row *fall_row(struct mw__doc_node *t, const char *code, const char *text, uint64_t regions,
				    uint64_t bytes, uint64_t gap, bool total)
{
	struct mw__doc_row *row = mw__doc_row(t);

	if (!row)
		return NULL;
	row->style = total ? MW__ROW_TOTAL : MW__ROW_PLAIN;
	mw__row_text(t, row, W_CODE, code);
	mw__row_text(t, row, W_CAUSE, text);
	if (regions)
		mw__row_u64(t, row, W_REGIONS, regions);
	mw__row_u64(t, row, W_BYTES, bytes);
	if (!total && gap) {
		mw__row_share(t, row, W_SHARE, share(bytes, gap));
		mw__row_share(t, row, W_BAR, share(bytes, gap));
	}
	return row;
}

static const struct mw__col range_cols[] = {
	{ "range", "RANGE", MW__T_TEXT, MW__COL_TEXT_ONLY, "addresses" },
	{ "bytes", "BYTES", MW__T_BYTES, MW__COL_TEXT_ONLY, "bytes of this cause in it" },
	{ "owner", "WHOSE", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_CUT, "who it belongs to" },
	{ "how", "HOW IT IS KNOWN", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_CUT, "the rule behind the owner" },
};

/*
 * --all: below the waterfall, every range of every row. There may be tens of thousands: each table is a stream
 * that walks the extents of the snapshot once more, and takes those with its cause.
 */
struct ranges {
	struct fall_row *rows;		/* the waterfall; a table takes one of them */
	struct mw_document *doc;
	struct mw__extents it;
	struct range_table {
		struct ranges *all;
		const struct fall_row *row;
	} *tables;
	char range[40];
	struct mw__str owner;
};

static size_t count_ranges(void *ctx)
{
	return ((struct range_table *)ctx)->row->regions;
}

static void start_ranges(void *ctx)
{
	mw__extents_seek(&((struct range_table *)ctx)->all->it, 0);
}

static bool range_row(void *ctx, size_t i, struct mw__cell *cells)
{
	const struct range_table *t = ctx;
	struct ranges *all = t->all;
	struct mw__extent x;
	uint64_t bytes = 0;

	(void)i;
	while (!bytes && mw__extents_next(&all->it, &x)) {
		struct mw__line l = { t->row->cause, x.owner, 0, 1 };

		bytes = joins(t->row, &l) ? mw__extent_cause(&x, t->row->cause) : 0;
	}
	if (!bytes)
		return false;
	bool is_named = x.vma->kind == MW__FILE || x.vma->kind == MW__SHMEM || x.vma->kind == MW__SPECIAL;
	const char *name = is_named ? x.vma->name : mw__owners[x.owner].what;

	snprintf(all->range, sizeof(all->range), "%012llx-%012llx", (unsigned long long)x.start, (unsigned long long)x.end);
	mw__str_reset(&all->owner);
	mw__str_printf(&all->owner, "%s%s%s", name, x.detail && !is_named ? ": " : "", x.detail && !is_named ? x.detail : "");
	mw__cell_text(&cells[0], all->range);
	mw__cell_u64(&cells[1], MW__T_BYTES, bytes);
	mw__cell_text(&cells[2], all->owner.v);
	mw__cell_text(&cells[3], x.rule);
	all->doc->failed |= all->owner.failed;
	return !all->owner.failed;
}

static void release_ranges(void *ctx)
{
	struct ranges *all = ctx;

	mw__extents_deinit(&all->it);
	mw__str_deinit(&all->owner);
	free(all->tables);
	free(all->rows);
	free(all);
}

/* Takes rows over. */
static int add_ranges(struct view *v, struct fall_row *rows, size_t n)
{
	struct ranges *all = calloc(1, sizeof(*all));
	struct range_table *tables = calloc(n + 1, sizeof(*tables));

	if (!all || !tables) {
		free(rows);
		free(all);
		free(tables);
		return -MW_E_NOMEM;
	}
	*all = (struct ranges){ .doc = v->root->doc, .rows = rows, .tables = tables };
	v->root->doc->release = release_ranges;
	v->root->doc->release_ctx = all;
	for (size_t i = 0; i < n; i++) {
		const struct mw__stream stream = { count_ranges, start_ranges, range_row, &tables[i] };
		char title[256];

		tables[i] = (struct range_table){ all, &rows[i] };
		snprintf(title, sizeof(title), "%s: %s", mw__causes[rows[i].cause].code,
			 mw__cause_text(rows[i].cause, rows[i].owner));
		mw__stream_as_table(mw__doc_stream(v->root, NULL, title, range_cols, MW__COUNT(range_cols), &stream), NULL);
	}
	return mw__extents_init(&all->it, v->snap);
}

static bool is_small(const struct view *v, const struct fall_row *rows, size_t i, uint64_t gap)
{
	return !v->opts->all && i >= 4 && (i >= MAX_LINES || (gap && share(rows[i].bytes, gap) < SMALL_SHARE));
}

static int add_waterfall(struct view *v)
{
	MW_CLEANUP(mw__freep) struct fall_row *rows = calloc(v->acc->lines.n + 1, sizeof(*rows));
	bool unread = v->acc->total.unread;	/* then the causes hold what is resident as well: no shares */
	uint64_t gap = unread ? 0 : v->acc->vsz - v->acc->rss, rest = 0, rest_regions = 0;
	struct mw__doc_node *t = mw__doc_table(v->root, NULL, "WHY VSZ IS BIGGER THAN RSS", fall_cols, 6);
	size_t n_rest = 0;
	char text[64];

	if (!rows)
		return -MW_E_NOMEM;
	size_t n = join_rows(v->acc, rows);

	qsort(rows, n, sizeof(*rows), compare_rows);
	fall_row(t, "", "VSZ: all mappings", v->acc->n_vmas, v->acc->vsz, 0, true);
	for (size_t i = 0; i < n; i++) {
		if (is_small(v, rows, i, gap) && !(n - i == 1 && !n_rest)) {
			rest += rows[i].bytes;
			rest_regions += rows[i].regions;
			n_rest++;
			continue;
		}
		fall_row(t, mw__causes[rows[i].cause].code, mw__cause_text(rows[i].cause, rows[i].owner), rows[i].regions,
			 rows[i].bytes, gap, false);
	}
	snprintf(text, sizeof(text), "%zu smaller causes (--all)", n_rest);
	if (n_rest)
		fall_row(t, "", text, rest_regions, rest, gap, false);
	bool is_less = v->acc->residual != MW__NO_RESIDUAL && v->acc->residual < 0;

	fall_row(t, "", is_less ? "residual: all causes less VmSize" : "residual: VmSize less all causes", 0,
		 mw__residual_size(v->acc->residual), 0, false);
	fall_row(t, "", unread ? "RSS as the kernel counts it, part of the above" : "RSS: what is left", 0,
		 mw__account_rss(v->snap, v->acc), 0, true);
	if (!v->opts->all)
		return 0;
	struct fall_row *given = rows;

	rows = NULL;
	return add_ranges(v, given, n);
}

/* ------------------------------------------------------------- composition */

static void add_sums(struct view *v)
{
	const struct mw_account *a = v->acc;
	const struct mw__smaps *r = &v->snap->rollup;
	struct mw__doc_node *o = mw__doc_object(v->root, "composition");
	uint64_t file = a->total.file - a->shmem_rss, anon = a->total.anon + a->total.lazy;
	uint64_t dirty = mw__add(r->shared_dirty, r->private_dirty);
	uint64_t huge = mw__huge_known(v->snap) ? a->total.huge : MW_UNKNOWN, copied = a->copied, shmem = a->shmem_rss;

	if (a->total.unread) {
		anon = v->snap->status.rss_anon;
		file = v->snap->status.rss_file;
		shmem = v->snap->status.rss_shmem;
		copied = huge = MW_UNKNOWN;
	}
	uint64_t sizes[] = { anon, copied, file, shmem, huge };
	uint64_t more[] = { dirty, mw__add(r->private_clean, r->private_dirty), r->pss };

	mw__doc_u64(o, "anonymous", MW__T_BYTES, anon);
	mw__doc_u64(o, "copied", MW__T_BYTES, copied);
	mw__doc_u64(o, "file", MW__T_BYTES, file);
	mw__doc_u64(o, "shared_memory", MW__T_BYTES, shmem);
	mw__doc_u64(o, "huge", MW__T_BYTES, huge);
	mw__doc_u64(o, "dirty", MW__T_BYTES, dirty);
	mw__doc_u64(o, "lazy_free", MW__T_BYTES, a->total.lazy ? a->total.lazy : r->lazy_free);
	mw__doc_u64(o, "ksm", MW__T_BYTES, r->ksm);
	mw__doc_u64(o, "locked", MW__T_BYTES, v->snap->status.vm_lck);
	mw__doc_u64(o, "pss", MW__T_BYTES, r->pss);
	mw__doc_u64(o, "uss", MW__T_BYTES, more[1]);
	mw__doc_u64(o, "page_tables", MW__T_BYTES, v->snap->status.vm_pte);
	mw__doc_u64(o, "peak", MW__T_BYTES, v->snap->status.vm_hwm);
	mw__doc_line(v->root, "\002WHAT RSS IS MADE OF", NULL, 0);
	mw__doc_line(v->root, "anonymous \001 (copied from files \001)   file \001   shared memory \001   in huge pages \001", sizes, 5);
	mw__doc_line(v->root, "dirty \001   freed if it ended (USS) \001   fair share (PSS) \001", more, 3);
	mw__doc_line(v->root, "", NULL, 0);
}

enum { O_OBJECT, O_LABEL, O_AGAIN, O_OWNER, O_REGIONS, O_VSZ, O_RSS, O_ANON, O_FILE, O_SHMEM, O_HUGE, O_SWAP, O_RANGES, O_BAR };
static const struct mw__col object_cols[] = {
	{ "object", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "label", "OBJECT", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_TRUNC, "image, mapped file, or kind of memory" },
	{ "again", NULL, MW__T_BOOL, MW__COL_JSON_ONLY, NULL },
	{ "owner", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "regions", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "vsz", "VSZ", MW__T_BYTES, 0, "size of all its ranges" },
	{ "rss", "RSS", MW__T_BYTES, 0, "resident" },
	{ "anonymous", "ANON", MW__T_BYTES, 0, "of it, anonymous or copied on write" },
	{ "file", "FILE", MW__T_BYTES, MW__COL_SPARE, "of it, pages of the file" },
	{ "shared_memory", "SHMEM", MW__T_BYTES, MW__COL_OPTIONAL, "of it, shared memory" },
	{ "huge", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "swap", "SWAP", MW__T_BYTES, MW__COL_OPTIONAL, "swapped out" },
	{ "regions", "RANGES", MW__T_COUNT, MW__COL_SPARE | MW__COL_TEXT_ONLY, "number of ranges" },
	{ "bar", "", MW__T_BAR, 0, "share of RSS" },
};

static void fill_object(const struct view *v, struct mw__doc_node *t, const struct mw__object *o, const char *name,
			enum mw__row_style style)
{
	struct mw__doc_row *row = mw__doc_row(t);
	MW_CLEANUP(mw__str_deinit) struct mw__str label = {};

	if (!row)
		return;
	row->style = style;
	if (o->is_again && o->image)
		mw__str_printf(&label, "%s (again, at %llx)", name, (unsigned long long)o->image->start);
	else if (o->is_again)
		mw__str_printf(&label, "%s (mapped again)", name);
	t->doc->failed |= label.failed;
	mw__row_text(t, row, O_OBJECT, name);
	mw__row_text(t, row, O_LABEL, label.n ? label.v : name);
	mw__row_bool(t, row, O_AGAIN, o->is_again);
	mw__row_text(t, row, O_OWNER, style == MW__ROW_PLAIN || style == MW__ROW_JSON ? mw__owners[o->owner].id : NULL);
	mw__row_u64(t, row, O_REGIONS, o->regions);
	mw__row_u64(t, row, O_RANGES, o->regions);
	mw__row_u64(t, row, O_VSZ, o->vsz);
	mw__row_u64(t, row, O_RSS, o->unread ? MW_UNKNOWN : o->anon + o->file + o->shmem);
	mw__row_u64(t, row, O_ANON, o->unread ? MW_UNKNOWN : o->anon);
	mw__row_u64(t, row, O_FILE, o->unread ? MW_UNKNOWN : o->file);
	mw__row_u64(t, row, O_SHMEM, o->unread ? MW_UNKNOWN : o->shmem);
	mw__row_u64(t, row, O_HUGE, mw__huge_known(v->snap) && !o->unread ? o->huge : MW_UNKNOWN);
	mw__row_u64(t, row, O_SWAP, o->unread || o->swap_unknown ? MW_UNKNOWN : o->swap);
	if (style == MW__ROW_PLAIN && !o->unread)
		mw__row_share(t, row, O_BAR, share(o->anon + o->file + o->shmem, v->acc->rss));
}

static void add_object(struct mw__object *sum, const struct mw__object *o)
{
	sum->regions += o->regions;
	sum->vsz += o->vsz;
	sum->anon += o->anon;
	sum->file += o->file;
	sum->shmem += o->shmem;
	sum->huge += o->huge;
	sum->swap += o->swap;
	sum->swap_unknown |= o->swap_unknown;
	sum->unread += o->unread;
}

/* JSON gets all objects; the screen the large ones and a sum of the rest. */
static void add_objects(struct view *v)
{
	const size_t n_cols = MW__COUNT(object_cols), n = v->acc->objects.n;
	struct mw__doc_node *all = mw__doc_table(v->root, "objects", NULL, object_cols, n_cols);
	struct mw__object rest = {}, sum = {};
	char text[64];
	size_t shown = v->opts->all || n <= MAX_OBJECTS + 1 ? n : MAX_OBJECTS;

	for (size_t i = 0; i < n; i++) {
		const struct mw__object *o = &v->acc->objects.v[i];

		fill_object(v, all, o, o->name, i < shown ? MW__ROW_PLAIN : MW__ROW_JSON);
		if (i >= shown)
			add_object(&rest, o);
		add_object(&sum, o);
	}
	snprintf(text, sizeof(text), "%zu more (--all)", n - shown);
	if (shown < n)
		fill_object(v, all, &rest, text, MW__ROW_TEXT);
	fill_object(v, all, &sum, "sum", MW__ROW_TOTAL);
}

/* ------------------------------------------------------------------- words */

static void add_evidence(struct mw__doc_node *o, const struct mw__finding *f)
{
	struct mw__doc_node *e = mw__doc_object(o, "evidence");

	for (size_t i = 0; i < f->n_evidence; i++)
		mw__doc_u64(e, f->evidence[i].key, f->evidence[i].is_bytes ? MW__T_BYTES : MW__T_COUNT, f->evidence[i].value);
}

/* The sentence with its sizes written out, for JSON. */
static void add_sentence(struct mw__doc_node *o, const struct mw__finding *f)
{
	struct mw__str s = {};
	char buf[MW__SIZE_TEXT];
	size_t k = 0;

	for (const char *p = f->sentence; *p; p++) {
		if (*p == '\001' && k < f->n_sizes)
			mw__str_puts(&s, mw__size_text(f->sizes[k++], MW_UNIT_IEC, buf));
		else
			mw__str_add(&s, p, 1);
	}
	if (s.failed)
		o->doc->failed = true;
	else
		mw__doc_text(o, "sentence", s.v);
	mw__str_deinit(&s);
}

/* "3. Sentence", in which the reader's unit is filled in. */
static void add_numbered(struct view *v, size_t number, const struct mw__finding *f)
{
	struct mw__str s = {};

	mw__str_printf(&s, "\003%2zu. %s", number, f->sentence);
	if (s.failed)
		v->root->doc->failed = true;
	else
		mw__doc_line(v->root, s.v, f->sizes, f->n_sizes);
	mw__str_deinit(&s);
}

static int add_words(struct view *v)
{
	MW_CLEANUP(mw__findings_deinit) struct mw__findings found = {};

	if (mw__findings_make(v->snap, v->acc, &found) < 0)
		return -MW_E_NOMEM;
	struct mw__doc_node *list = mw__doc_list(v->root, "words");

	if (found.list.n)
		mw__doc_line(v->root, "\002IN WORDS", NULL, 0);
	for (size_t i = 0; i < found.list.n; i++) {
		const struct mw__finding *f = &found.list.v[i];
		struct mw__doc_node *o = mw__doc_object(list, NULL);

		if (!o)
			return -MW_E_NOMEM;
		mw__doc_text(o, "id", f->id);
		add_sentence(o, f);
		add_evidence(o, f);
		mw__doc_text(o, "advice", f->advice);
		add_numbered(v, i + 1, f);
		if (f->advice)
			mw__doc_linef(v->root, NULL, 0, "\003    -> %s.", f->advice);
	}
	return 0;
}

/* ------------------------------------------------------------------ verify */

enum { V_QUANTITY, V_ROAD, V_BYTES, V_DIFFERENCE, V_REMARK };
static const struct mw__col verify_cols[] = {
	{ "quantity", "QUANTITY", MW__T_TEXT, 0, "what is measured" },
	{ "road", "ROAD", MW__T_TEXT, 0, "where the number comes from" },
	{ "bytes", "BYTES", MW__T_BYTES, 0, "the number" },
	{ "difference", "DIFFERENCE", MW__T_DELTA, 0, "less the first road of this quantity" },
	{ "remark", "REMARK", MW__T_TEXT, MW__COL_WRAP, "what a difference means" },
};

static void add_road(struct mw__doc_node *t, const char *quantity, const char *road, uint64_t bytes, uint64_t first,
		     const char *remark)
{
	struct mw__doc_row *row = mw__doc_row(t);

	mw__row_text(t, row, V_QUANTITY, quantity);
	mw__row_text(t, row, V_ROAD, road);
	mw__row_u64(t, row, V_BYTES, bytes);
	mw__row_delta(t, row, V_DIFFERENCE, bytes == MW_UNKNOWN || first == MW_UNKNOWN ? INT64_MIN : (int64_t)(bytes - first));
	mw__row_text(t, row, V_REMARK, remark);
}

/* Sum of a field of smaps over all mappings; unknown when one is. */
static uint64_t sum_smaps(const struct mw_snapshot *snap, size_t offset)
{
	uint64_t sum = snap->smaps ? 0 : MW_UNKNOWN;

	for (size_t i = 0; snap->smaps && i < snap->vmas.n; i++)
		if (!mw__vma_is_vsyscall(&snap->vmas.v[i]))
			sum = mw__add(sum, *(const uint64_t *)((const char *)&snap->smaps[i] + offset));
	return sum;
}

#define SUM(snap, field) sum_smaps(snap, offsetof(struct mw__smaps, field))

/* Of some shared memory nobody told how much lies in swap. */
static bool evicted_unknown(const struct mw_snapshot *snap)
{
	for (size_t i = 0; i < snap->vmas.n; i++)
		if (mw__evicted_unknown(snap, &snap->vmas.v[i]))
			return true;
	return false;
}

static void add_verify(struct view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, "verify", "EVERY ROAD TO THE SAME NUMBER", verify_cols, 5);
	const struct mw_snapshot *s = v->snap;
	const struct mw_account *a = v->acc;
	const char *late = mw__counter_lag(s) ? "lags before 6.16" : NULL;
	uint64_t vsz = s->target.has_maps ? a->vsz : MW_UNKNOWN, parts;
	uint64_t rss = s->target.has_maps && !a->total.unread ? a->rss : MW_UNKNOWN;

	add_road(t, "vsz", "sum of maps", vsz, vsz, NULL);
	add_road(t, "vsz", "sum of all causes", vsz, vsz, NULL);
	add_road(t, "vsz", "VmSize of status", s->status.vm_size, vsz, NULL);
	add_road(t, "vsz", "statm", s->roads.statm_size, vsz, NULL);
	add_road(t, "vsz", "stat", s->roads.stat_vsize, vsz, NULL);
	add_road(t, "vsz", "sum of smaps Size", SUM(s, size), vsz, NULL);
	add_road(t, "vsz", "libproc2", s->roads.procps_vsize, vsz, NULL);
	add_road(t, "rss", s->target.pages == MW_PAGES_SCAN ? "page scan" : "page states", rss, rss, NULL);
	add_road(t, "rss", "VmRSS of status", s->status.vm_rss, rss, late);
	parts = mw__add(mw__add(s->status.rss_anon, s->status.rss_file), s->status.rss_shmem);
	add_road(t, "rss", "RssAnon+RssFile+RssShmem", parts, rss, late);
	add_road(t, "rss", "statm", s->roads.statm_rss, rss, late);
	add_road(t, "rss", "sum of smaps Rss", SUM(s, rss), rss, NULL);
	add_road(t, "rss", "smaps_rollup", s->rollup.rss, rss, NULL);
	add_road(t, "rss", "libproc2", s->roads.procps_rss, rss, late);
	uint64_t swap = rss == MW_UNKNOWN ? MW_UNKNOWN : a->total.swap;
	uint64_t all = swap == MW_UNKNOWN || evicted_unknown(s) ? MW_UNKNOWN : swap + a->total.evicted;

	add_road(t, "swap", "page states", swap, swap, NULL);
	add_road(t, "swap", "VmSwap of status", s->status.vm_swap, swap, "anonymous only");
	add_road(t, "all swap", "page states and cachestat", all, all, "with shared memory");
	add_road(t, "all swap", "sum of smaps Swap", SUM(s, swap), all, NULL);
	add_road(t, "all swap", "smaps_rollup", s->rollup.swap, all, NULL);
	add_road(t, "anonymous", "page states", rss == MW_UNKNOWN ? rss : a->total.anon + a->total.lazy,
		 rss == MW_UNKNOWN ? rss : a->total.anon + a->total.lazy, NULL);
	add_road(t, "anonymous", "RssAnon of status", s->status.rss_anon,
		 rss == MW_UNKNOWN ? rss : a->total.anon + a->total.lazy, late);
}

/* -------------------------------------------------------------------- head */

static void add_numbers(struct view *v)
{
	const struct mw_snapshot *s = v->snap;
	bool maps = s->target.has_maps;

	mw__doc_text(v->root, "state", mw__view_state(mw__snapshot_state(s, v->acc)));
	mw__doc_bool(v->root, "torn", s->target.is_torn);
	mw__doc_u64(v->root, "vsz", MW__T_BYTES, maps ? v->acc->vsz : s->status.vm_size);
	mw__doc_u64(v->root, "rss", MW__T_BYTES, mw__account_rss(s, v->acc));
	mw__doc_u64(v->root, "swap", MW__T_BYTES, s->status.vm_swap);
	mw__doc_u64(v->root, "pss", MW__T_BYTES, s->rollup.pss);
	mw__doc_u64(v->root, "uss", MW__T_BYTES, mw__add(s->rollup.private_clean, s->rollup.private_dirty));
	mw__doc_u64(v->root, "mappings", MW__T_COUNT, maps ? v->acc->n_vmas : MW_UNKNOWN);
	mw__doc_delta(v->root, "residual", v->acc->residual);
	mw__doc_delta(v->root, "rss_residual", v->acc->rss_residual);
}

/* How many extents have an owner that a record proves. */
static void add_footer(struct view *v)
{
	const struct mw__target *t = &v->snap->target;
	uint64_t residuals[] = { mw__residual_size(v->acc->residual), mw__residual_size(v->acc->rss_residual) };

	if (!t->has_maps)
		return;
	mw__doc_line(v->root, "", NULL, 0);
	if (t->is_torn)
		mw__doc_linef(v->root, residuals, 2, "torn: the process changed during each of %u tries; VSZ is off by \001, RSS by \001",
			      t->tries);
	else if (residuals[0] == MW_UNKNOWN || residuals[1] == MW_UNKNOWN)
		mw__doc_linef(v->root, residuals, 2, "check: mappings differ from VmSize by \001, pages from VmRSS by \001 (-: not known)");
	else
		mw__doc_linef(v->root, NULL, 0, "check: mappings %llu B = VmSize %+lld; pages %llu B = VmRSS %+lld%s",
			      (unsigned long long)v->acc->vsz, (long long)-v->acc->residual, (unsigned long long)v->acc->rss,
			      (long long)-v->acc->rss_residual,
			      residuals[1] && mw__counter_lag(v->snap) ? ", which lags on this kernel" : "");
}

/* What the kernel tells everybody, when nothing else may be read. */
static void add_counters(struct view *v)
{
	const struct mw__status *s = &v->snap->status;
	uint64_t a[] = { s->rss_anon, s->rss_file, s->rss_shmem, s->vm_swap };
	uint64_t b[] = { s->vm_data, s->vm_stk, s->vm_exe, s->vm_lib, s->vm_pte };

	mw__doc_line(v->root, "\002WHAT THE KERNEL TELLS EVERYBODY", NULL, 0);
	mw__doc_line(v->root, "RSS: anonymous \001   file \001   shared memory \001   (swapped out \001)", a, 4);
	mw__doc_line(v->root, "VSZ: private writable \001   main stack \001   program text \001   library text \001   (page tables \001)",
		     b, 5);
}

static int fill(struct view *v)
{
	mw__view_target(v->root, v->snap);
	add_numbers(v);
	mw__view_headline(v->root, v->snap, v->acc);
	add_causes(v, "causes", false);
	add_causes(v, "resident", true);
	if (v->snap->target.has_maps) {
		if (add_waterfall(v) < 0)
			return -MW_E_NOMEM;
		add_sums(v);
		add_objects(v);
		if (add_words(v) < 0)
			return -MW_E_NOMEM;
	} else {
		add_counters(v);
	}
	if (v->opts->verify)
		add_verify(v);
	mw__view_notes(v->root, v->snap);
	add_footer(v);
	return 0;
}

int mw_report_explain(const struct mw_snapshot *snap, const struct mw_explain_opts *opts, struct mw_document **ret,
		      struct mw_err *err)
{
	struct mw_explain_opts o = {};
	struct mw_account *acc = NULL;
	struct mw_document *doc = mw__doc_create("memwhy/explain/1");
	int rc;

	if (!doc)
		return mw__fail_nomem(err, "report");
	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	rc = mw_account_create(snap, &acc, err);
	if (rc == 0) {
		struct view v = { snap, acc, &o, doc->root };

		doc->failed |= fill(&v) < 0;
		mw_account_destroy(acc);
		return mw__doc_finish(doc, ret, err);
	}
	mw_document_destroy(doc);
	return rc;
}
