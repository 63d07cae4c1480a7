/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy top as a document: processes, or groups of them, largest first. RSS of several processes must not be
 * added up, since pages that they share would count each time: a group shows its distinct page frames (ONCE)
 * where they were read, and the sum of fair shares (PSS). Both are of the processes that could be read; how many
 * could not stands beside them, and a sum of nothing known is unknown.
 */
#include "doc.h"
#include "views.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/search.h"
#include "../base/size.h"
#include "../base/str.h"
#include "../model/ranking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE UINT64_C(4096)

static const char *const rank_names[] = {
	[MW_BY_RSS] = "rss", [MW_BY_PSS] = "pss", [MW_BY_USS] = "uss", [MW_BY_VSZ] = "vsz", [MW_BY_SWAP] = "swap",
	[MW_BY_TABLES] = "page_tables",
};

/* A process or a group. */
struct row {
	const char *name;		/* of the group */
	const struct mw__ranked *p;	/* process */
	uint64_t amounts[MW__COUNT(rank_names)];
	uint64_t once;			/* bytes of distinct frames; MW_UNKNOWN */
	uint64_t n, unread;		/* processes; of them without PSS */
	enum mw_rank rank;		/* what is compared */
};

struct view {
	const struct mw_ranking *ranking;
	const struct mw_top_opts *opts;
	struct mw__doc_node *root;
	MW_VEC(struct row) rows;
};

/* -------------------------------------------------------------------- rows */

static void amounts_of(const struct mw__ranked *p, uint64_t ret[MW__COUNT(rank_names)])
{
	ret[MW_BY_RSS] = p->status.vm_rss;
	ret[MW_BY_PSS] = p->pss;
	ret[MW_BY_USS] = p->uss;
	ret[MW_BY_VSZ] = p->status.vm_size;
	ret[MW_BY_SWAP] = p->status.vm_swap;
	ret[MW_BY_TABLES] = p->status.vm_pte;
}

/* Unknown sorts behind everything known. */
static uint64_t key_of(const struct row *r)
{
	uint64_t v = r->amounts[r->rank];

	return v == MW_UNKNOWN ? 0 : v;
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (key_of(x) != key_of(y))
		return key_of(x) > key_of(y) ? -1 : 1;
	if (x->amounts[MW_BY_RSS] != y->amounts[MW_BY_RSS])
		return x->amounts[MW_BY_RSS] > y->amounts[MW_BY_RSS] ? -1 : 1;
	return x->p->pid - y->p->pid;
}

static const char *group_of(const struct view *v, const struct mw__ranked *p)
{
	switch (v->opts->group) {
	case MW_GROUP_USER: return p->user;
	case MW_GROUP_CGROUP: return p->cgroup ? p->cgroup : "(unknown)";
	case MW_GROUP_COMMAND: return p->command ? p->command : "?";
	default: return NULL;
	}
}

static struct row *find_row(struct view *v, const char *name)
{
	for (size_t i = 0; name && i < v->rows.n; i++)
		if (!strcmp(v->rows.v[i].name, name))
			return &v->rows.v[i];
	struct row *r = MW_VEC_PUSH(&v->rows);

	if (r) {
		r->name = name;
		memset(r->amounts, 0xff, sizeof(r->amounts));	/* MW_UNKNOWN */
	}
	return r;
}

/* The first known amount replaces "unknown". */
static uint64_t add_known(uint64_t sum, uint64_t v)
{
	return v == MW_UNKNOWN ? sum : sum == MW_UNKNOWN ? v : sum + v;
}

static void add_amounts(uint64_t sum[MW__COUNT(rank_names)], const uint64_t v[MW__COUNT(rank_names)])
{
	for (size_t k = 0; k < MW__COUNT(rank_names); k++)
		sum[k] = add_known(sum[k], v[k]);
}

static int gather(struct view *v)
{
	for (size_t i = 0; i < v->ranking->rows.n; i++) {
		const struct mw__ranked *p = &v->ranking->rows.v[i];
		struct row *r = find_row(v, group_of(v, p));
		uint64_t amounts[MW__COUNT(rank_names)];

		if (!r)
			return -MW_E_NOMEM;
		amounts_of(p, amounts);
		r->p = r->p ? r->p : p;
		r->rank = v->opts->rank;
		r->n++;
		r->unread += p->unread != MW__READ;
		add_amounts(r->amounts, amounts);
	}
	return 0;
}

/* ------------------------------------------------------------------ frames */

static uint64_t count_distinct(uint64_t *list, size_t n)
{
	uint64_t distinct = 0;

	if (n)
		qsort(list, n, sizeof(*list), mw__compare_u64);
	for (size_t i = 0; i < n; i++)
		distinct += !i || list[i] != list[i - 1];
	return distinct;
}

/* Distinct frames of the processes of a group (name NULL: of all). */
static int count_once(struct view *v, const char *name, uint64_t *ret)
{
	MW_CLEANUP(mw__freep) uint64_t *list = malloc((v->ranking->frames.n + 1) * sizeof(*list));
	bool any = false, torn = false;
	size_t n = 0;

	if (!list)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < v->ranking->rows.n; i++) {
		const struct mw__ranked *p = &v->ranking->rows.v[i];

		if (name && strcmp(group_of(v, p), name) != 0)
			continue;
		/* readable, but it moved while its pages were read: without it the sum would be too small */
		torn |= !p->frames_known && p->pss != MW_UNKNOWN;
		if (!p->frames_known)
			continue;
		any = true;
		if (p->n_frames)
			memcpy(list + n, v->ranking->frames.v + p->frame, p->n_frames * sizeof(*list));
		n += p->n_frames;
	}
	*ret = any && !torn ? count_distinct(list, n) * PAGE : MW_UNKNOWN;
	return 0;
}

/* --------------------------------------------------------------------- why */

/* The word for what most of it is. First fit wins. */
static const char *reason(const struct mw__ranked *p)
{
	const struct mw__status *s = &p->status;
	uint64_t rss = s->vm_rss, half = rss / 2;
	const struct {
		uint64_t part, more_than;
		const char *word;
	} rules[] = {
		{ s->vm_swap, rss, "swapped out" },
		{ s->vm_pte, rss / 4, "page tables" },
		{ s->hugetlb, rss, "hugetlb" },
		{ p->lazy, half, "freed lazily" },
		{ p->huge, half, "huge pages" },
		{ s->rss_shmem, half, "shared memory" },
		{ s->rss_file, half, "files" },
		{ s->rss_anon, half, "anonymous" },
	};

	if (!p->user)	/* who is shown was looked at, if it was still there */
		return "ended meanwhile";
	for (size_t i = 0; rss != MW_UNKNOWN && i < MW__COUNT(rules); i++)
		/* what is known of one mapping says more than a kind of page */
		if (p->most && rules[i].more_than == half)
			return p->most;
		else if (rules[i].part != MW_UNKNOWN && rules[i].part > rules[i].more_than)
			return rules[i].word;
	return rss == MW_UNKNOWN ? NULL : "mixed";
}

static const char *const unread_words[] = {
	[MW__READ] = NULL, [MW__NOT_ASKED] = "not asked for", [MW__REFUSED] = "not allowed", [MW__TOO_LARGE] = "would stall it",
	[MW__VANISHED] = "it ended",
};

/* --------------------------------------------------------------- processes */

enum { P_PID, P_USER, P_RSS, P_PSS, P_USS, P_SWAP, P_TABLES, P_VSZ, P_ANON, P_FILE, P_SHMEM, P_WHY, P_UNREAD, P_CGROUP, P_COMMAND };
#define PROCESS_COLS(F, SWAP, TABLES, VSZ)                                                                                               \
	{ "pid", "PID", MW__T_COUNT, (F), "process id" }, { "user", "USER", MW__T_TEXT, (F) | MW__COL_SPARE, "effective user" }, \
	{ "rss", "RSS", MW__T_BYTES, (F), "resident" },                                                                 \
	{ "pss", "PSS", MW__T_BYTES, (F), "resident, each page divided by its mappers" },                               \
	{ "uss", "USS", MW__T_BYTES, (F), "resident, mapped by no other address space" },                                     \
	{ "swap", "SWAP", MW__T_BYTES, (F) | (SWAP), "swapped out" },                                                   \
	{ "page_tables", "TABLES", MW__T_BYTES, (F) | (TABLES), "page tables" },                                                   \
	{ "vsz", "VSZ", MW__T_BYTES, (F) | (VSZ), "size of all mappings" },                                             \
	{ "anonymous", "ANON", MW__T_BYTES, (F) | MW__COL_HIDDEN, "resident, anonymous" },                               \
	{ "file", "FILE", MW__T_BYTES, (F) | MW__COL_HIDDEN, "resident, of files" },                                     \
	{ "shmem", "SHMEM", MW__T_BYTES, (F) | MW__COL_HIDDEN, "resident, shared memory" },                              \
	{ "why", "WHY", MW__T_TEXT, (F) | MW__COL_TRUNC, "what most of RSS is: a kind, or a mapping it is in by all means" },                                                       \
	{ "unread", "UNREAD", MW__T_TEXT, (F) | MW__COL_HIDDEN, "why PSS and USS are not known" },                       \
	{ "cgroup", "CGROUP", MW__T_TEXT, (F) | MW__COL_HIDDEN | MW__COL_TRUNC, "control group" },                       \
	{ "command", "COMMAND", MW__T_TEXT, (F) | MW__COL_TRUNC, "name" }
/* 80 columns have no room for all: what they are ranked by stays. */
static const struct mw__col process_cols[] = { PROCESS_COLS(MW__COL_TEXT_ONLY, MW__COL_OPTIONAL, MW__COL_HIDDEN, MW__COL_SPARE) };
static const struct mw__col swap_cols[] = { PROCESS_COLS(MW__COL_TEXT_ONLY, 0, MW__COL_HIDDEN, MW__COL_HIDDEN) };
static const struct mw__col tables_cols[] = { PROCESS_COLS(MW__COL_TEXT_ONLY, MW__COL_HIDDEN, 0, MW__COL_HIDDEN) };
static const struct mw__col vsz_cols[] = { PROCESS_COLS(MW__COL_TEXT_ONLY, MW__COL_HIDDEN, MW__COL_HIDDEN, 0) };
static const struct mw__col process_keys[] = { PROCESS_COLS(MW__COL_JSON_ONLY, 0, 0, 0) };

static const struct mw__col *cols_of(enum mw_rank rank)
{
	return rank == MW_BY_TABLES ? tables_cols : rank == MW_BY_SWAP ? swap_cols : rank == MW_BY_VSZ ? vsz_cols : process_cols;
}

static void process_row(struct mw__doc_node *t, const struct row *r)
{
	struct mw__doc_row *row = mw__doc_row(t);
	const struct mw__ranked *p = r->p;

	mw__row_u64(t, row, P_PID, (uint64_t)p->pid);
	mw__row_text(t, row, P_USER, p->user);
	mw__row_u64(t, row, P_RSS, r->amounts[MW_BY_RSS]);
	mw__row_u64(t, row, P_PSS, r->amounts[MW_BY_PSS]);
	mw__row_u64(t, row, P_USS, r->amounts[MW_BY_USS]);
	mw__row_u64(t, row, P_SWAP, r->amounts[MW_BY_SWAP]);
	mw__row_u64(t, row, P_TABLES, r->amounts[MW_BY_TABLES]);
	mw__row_u64(t, row, P_VSZ, r->amounts[MW_BY_VSZ]);
	mw__row_u64(t, row, P_ANON, p->status.rss_anon);
	mw__row_u64(t, row, P_FILE, p->status.rss_file);
	mw__row_u64(t, row, P_SHMEM, p->status.rss_shmem);
	mw__row_text(t, row, P_WHY, reason(p));
	mw__row_text(t, row, P_UNREAD, unread_words[p->unread]);
	mw__row_text(t, row, P_CGROUP, p->cgroup);
	mw__row_text(t, row, P_COMMAND, p->command);
}

/* ------------------------------------------------------------------ groups */

enum { G_NAME, G_N, G_ONCE, G_PSS, G_USS, G_RSS, G_SWAP, G_TABLES, G_UNREAD };
#define GROUP_COLS(F)                                                                                                 \
	{ "group", "GROUP", MW__T_TEXT, (F) | MW__COL_TRUNC, "user, control group or command" },                        \
	{ "processes", "PROCESSES", MW__T_COUNT, (F), "how many" },                                                     \
	{ "once", "ONCE", MW__T_BYTES, (F), "resident, each page counted once, however many of the group share it" },   \
	{ "pss", "PSS", MW__T_BYTES, (F), "sum of PSS: pages shared with other groups count in part" },                 \
	{ "uss", "USS", MW__T_BYTES, (F), "sum of USS" },                                                               \
	{ "rss_sum", "SUM OF RSS", MW__T_BYTES, (F), "shared pages counted each time" },                                \
	{ "swap", "SWAP", MW__T_BYTES, (F) | MW__COL_OPTIONAL, "swapped out" },                                         \
	{ "page_tables", "TABLES", MW__T_BYTES, (F) | MW__COL_SPARE, "page tables" },                                                   \
	{ "unreadable", "UNREAD", MW__T_COUNT, (F), "processes whose PSS could not be read" }
static const struct mw__col group_cols[] = { GROUP_COLS(MW__COL_TEXT_ONLY) };
static const struct mw__col group_keys[] = { GROUP_COLS(MW__COL_JSON_ONLY) };

static void group_row(struct mw__doc_node *t, const struct row *r, enum mw__row_style style)
{
	struct mw__doc_row *row = mw__doc_row(t);

	mw__row_style(row, style);
	mw__row_text(t, row, G_NAME, r->name);
	mw__row_u64(t, row, G_N, r->n);
	mw__row_u64(t, row, G_ONCE, r->once);
	mw__row_u64(t, row, G_PSS, r->amounts[MW_BY_PSS]);
	mw__row_u64(t, row, G_USS, r->amounts[MW_BY_USS]);
	mw__row_u64(t, row, G_RSS, r->amounts[MW_BY_RSS]);
	mw__row_u64(t, row, G_SWAP, r->amounts[MW_BY_SWAP]);
	mw__row_u64(t, row, G_TABLES, r->amounts[MW_BY_TABLES]);
	mw__row_u64(t, row, G_UNREAD, r->unread);
}

/* -------------------------------------------------------------------- view */

/* "3 processes: not allowed to read: nginx (12), ...": counted and named. */
static void name_unread(struct view *v, enum mw__unread why)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str names = {};
	size_t n = 0;

	for (size_t i = 0; i < v->ranking->rows.n; i++) {
		const struct mw__ranked *p = &v->ranking->rows.v[i];

		if (p->unread != why)
			continue;
		if (n++ < MW__UNREAD_NAMED)
			mw__str_printf(&names, "%s%s (%d)", names.n ? ", " : "", p->command ? p->command : "?", p->pid);
	}
	if (n && why != MW__NOT_ASKED)
		mw__doc_linef(v->root, NULL, 0, "\003- PSS and USS of %zu process%s are unknown (%s): %s%s", n, n == 1 ? "" : "es",
			      unread_words[why], names.v ? names.v : "", n > MW__UNREAD_NAMED ? ", ..." : "");
	v->root->doc->failed |= names.failed;
}

static void add_counts(struct view *v)
{
	uint64_t unread = 0;

	for (size_t i = 0; i < v->ranking->rows.n; i++)
		unread += v->ranking->rows.v[i].unread != MW__READ;
	mw__doc_u64(v->root, "unreadable", MW__T_COUNT, unread);
	mw__doc_u64(v->root, "kernel_threads", MW__T_COUNT, v->ranking->n_kernel);
	mw__doc_u64(v->root, "vanished", MW__T_COUNT, v->ranking->n_vanished);
	mw__doc_u64(v->root, "memory_total", MW__T_BYTES, v->ranking->mem_total);
}

static void add_totals(struct view *v, struct row *all)
{
	struct mw__doc_node *o = mw__doc_object(v->root, "sum");
	uint64_t sizes[] = { v->ranking->mem_total, all->amounts[MW_BY_RSS], all->amounts[MW_BY_PSS], all->once };

	for (size_t k = 0; k < MW__COUNT(rank_names); k++)
		mw__doc_u64(o, k == MW_BY_RSS ? "rss_sum" : rank_names[k], MW__T_BYTES, all->amounts[k]);
	mw__doc_u64(o, "once", MW__T_BYTES, all->once);
	mw__doc_linef(v->root, sizes, 3, "%zu process%s on a machine with \001 of memory   sum of RSS \001 (shared pages counted each time)   "
		      "PSS \001 (of the %llu readable)", v->ranking->rows.n, v->ranking->rows.n == 1 ? "" : "es", (unsigned long long)(all->n - all->unread));
	mw__doc_line(v->root, "", NULL, 0);
}

/* The sum of what is known; the number of the unreadable stands beside it. */
static int sum_all(struct view *v, struct row *all)
{
	*all = (struct row){ .name = "all", .p = v->ranking->rows.n ? v->ranking->rows.v : NULL, .once = MW_UNKNOWN };
	memset(all->amounts, 0xff, sizeof(all->amounts));
	for (size_t i = 0; i < v->rows.n; i++) {
		all->n += v->rows.v[i].n;
		all->unread += v->rows.v[i].unread;
		add_amounts(all->amounts, v->rows.v[i].amounts);
	}
	return v->opts->group ? count_once(v, NULL, &all->once) : 0;
}

static int fill(struct view *v)
{
	bool grouped = v->opts->group != MW_GROUP_NONE;
	size_t limit = v->opts->limit ? v->opts->limit : SIZE_MAX;
	struct row all;

	if (gather(v) < 0 || sum_all(v, &all) < 0)
		return -MW_E_NOMEM;
	if (v->rows.n)
		qsort(v->rows.v, v->rows.n, sizeof(*v->rows.v), compare_rows);
	mw__doc_text(v->root, "ranked_by", rank_names[v->opts->rank]);
	add_counts(v);
	add_totals(v, &all);
	struct mw__doc_node *json = grouped ? mw__doc_table(v->root, "groups", NULL, group_keys, MW__COUNT(group_keys)) :
					      mw__doc_table(v->root, "processes", NULL, process_keys, MW__COUNT(process_keys));
	struct mw__doc_node *text = grouped ? mw__doc_table(v->root, NULL, NULL, group_cols, MW__COUNT(group_cols)) :
					      mw__doc_table(v->root, NULL, NULL, cols_of(v->opts->rank), MW__COUNT(process_cols));

	for (size_t i = 0; i < v->rows.n; i++) {
		struct row *r = &v->rows.v[i];

		if (grouped && count_once(v, r->name, &r->once) < 0)
			return -MW_E_NOMEM;
		if (grouped)
			group_row(json, r, MW__ROW_PLAIN);
		else if (!v->ranking->largest || i < v->ranking->largest)
			process_row(json, r);
		if (i < limit && grouped)
			group_row(text, r, MW__ROW_PLAIN);
		else if (i < limit)
			process_row(text, r);
	}
	if (grouped)
		group_row(text, &all, MW__ROW_TOTAL);
	mw__doc_line(v->root, "", NULL, 0);
	if (v->rows.n > limit)
		mw__doc_linef(v->root, NULL, 0, "%zu smaller ones (--all lists them)", v->rows.n - limit);
	name_unread(v, MW__REFUSED);
	name_unread(v, MW__TOO_LARGE);
	return 0;
}

int mw_report_top(const struct mw_ranking *ranking, const struct mw_top_opts *opts, struct mw_document **ret,
		  struct mw_err *err)
{
	struct mw_top_opts o = {};

	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	if (o.rank >= MW__COUNT(rank_names) || o.group > MW_GROUP_COMMAND)
		return mw__fail(err, MW_E_USAGE, 0, "top: there is no such order or group");
	struct mw_document *doc = mw__doc_create("memwhy/top/1");

	if (!doc)
		return mw__fail_nomem(err, "report");
	struct view v = { .ranking = ranking, .opts = &o, .root = doc->root };

	doc->failed |= fill(&v) < 0;
	MW_VEC_FREE(&v.rows);
	return mw__doc_finish(doc, ret, err);
}
