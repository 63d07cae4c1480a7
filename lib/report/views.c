/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "views.h"

#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const state_names[] = { [MW_EXACT] = "exact", [MW_PARTIAL] = "partial", [MW_TORN] = "torn" };

/* How the page states were got, for people and for JSON. */
static const char *const page_roads[] = {
	[MW_PAGES_AUTO] = NULL,
	[MW_PAGES_SCAN] = "PAGEMAP_SCAN",
	[MW_PAGES_SMAPS] = "smaps and pagemap",
	[MW_PAGES_PAGEMAP] = "pagemap",
};

const char *mw__view_state(enum mw_state state)
{
	return state_names[state];
}

const char *mw__view_perm(const struct mw__vma *vma, char buf[static 5])
{
	buf[0] = vma->prot & MW__R ? 'r' : '-';
	buf[1] = vma->prot & MW__W ? 'w' : '-';
	buf[2] = vma->prot & MW__X ? 'x' : '-';
	buf[3] = vma->is_shared ? 's' : 'p';
	buf[4] = '\0';
	return buf;
}

/* RFC 3339 in UTC: as a number of nanoseconds it would not fit the doubles of many JSON readers. */
static const char *time_text(uint64_t ns, char buf[static 40])
{
	time_t t = (time_t)(ns / 1000000000u);
	struct tm tm;
	size_t n = ns == MW_UNKNOWN || !gmtime_r(&t, &tm) ? 0 : strftime(buf, 40, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!n)
		return NULL;
	snprintf(buf + n, 40 - n, ".%06uZ", (unsigned)(ns % 1000000000u / 1000u));
	return buf;
}

void mw__view_target(struct mw__doc_node *root, const struct mw_snapshot *snap)
{
	const struct mw__target *t = &snap->target;

	char when[40];

	mw__doc_u64(root, "pid", MW__T_COUNT, (uint64_t)t->pid);
	struct mw__doc_node *o = mw__doc_object(root, "target");

	mw__doc_u64(o, "pid", MW__T_COUNT, (uint64_t)t->pid);
	mw__doc_u64(o, "pid_in_namespace", MW__T_COUNT, snap->status.ns_pid ? (uint64_t)snap->status.ns_pid : MW_UNKNOWN);
	mw__doc_text(o, "name", t->comm);
	mw__doc_text(o, "exe", t->exe);
	mw__doc_text(o, "command", t->cmdline);
	mw__doc_text(o, "runtime", t->runtime);
	mw__doc_text(o, "allocator", t->allocator);
	mw__doc_u64(o, "threads", MW__T_COUNT, snap->status.threads);
	mw__doc_text(o, "kernel", t->kernel);
	mw__doc_text(o, "page_states_by", page_roads[t->pages]);
	mw__doc_text(o, "taken_at", time_text(t->taken_at_ns, when));
	mw__doc_u64(o, "took_ns", MW__T_COUNT, t->took_ns);
	mw__doc_u64(o, "tries", MW__T_COUNT, t->tries);
}

static uint64_t uss_of(const struct mw_snapshot *snap)
{
	return mw__add(snap->rollup.private_clean, snap->rollup.private_dirty);
}

void mw__view_headline(struct mw__doc_node *root, const struct mw_snapshot *snap, const struct mw_account *acc)
{
	const struct mw__target *t = &snap->target;
	enum mw_state state = mw__snapshot_state(snap, acc);
	uint64_t vsz = t->has_maps ? acc->vsz : snap->status.vm_size;
	uint64_t rss = mw__account_rss(snap, acc);
	char inner[48] = "", pct[MW__SIZE_TEXT], part[MW__SIZE_TEXT + 16] = "";

	if (snap->status.ns_pid && snap->status.ns_pid != t->pid)
		snprintf(inner, sizeof(inner), ", %d in its container", snap->status.ns_pid);
	mw__doc_linef(root, NULL, 0, "%s (pid %d%s)%s%s%s%s   numbers are %s", t->comm ? t->comm : "?", t->pid, inner,
		      t->runtime ? "   " : "", t->runtime ? t->runtime : "", t->allocator ? "   " : "",
		      t->allocator ? t->allocator : "", mw__view_state(state));
	uint64_t sizes[] = { vsz, rss, snap->status.vm_swap, snap->rollup.pss, uss_of(snap) };

	if (vsz != MW_UNKNOWN && rss != MW_UNKNOWN)
		snprintf(part, sizeof(part), " (%s of VSZ)", mw__share_text(rss, vsz, pct));
	mw__doc_linef(root, sizes, 5, "VSZ \001   RSS \001%s   swap \001   PSS \001   USS \001", part);
}

int mw__view_need_maps(const struct mw_snapshot *snap, struct mw_err *err)
{
	const struct mw__target *t = &snap->target;
	const struct mw__note *why = NULL;

	if (t->has_maps)
		return 0;
	for (size_t i = 0; i < snap->notes.n && !why; i++)
		if (!strcmp(snap->notes.v[i].source, "maps"))
			why = &snap->notes.v[i];
	int rc = mw__fail(err, MW_E_PERM, 0, "%s (pid %d): %s", t->comm && *t->comm ? t->comm : "?", t->pid,
			  why ? why->reason : "mappings are unknown");

	if (why && why->remedy)
		mw__hint(err, "%s", why->remedy);
	return rc;
}

static const struct mw__col note_cols[] = {
	{ "severity", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "source", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "reason", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "remedy", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
};

void mw__view_notes(struct mw__doc_node *root, const struct mw_snapshot *snap)
{
	struct mw__doc_node *table = mw__doc_table(root, "notes", NULL, note_cols, 4);

	if (snap->notes.n)
		mw__doc_line(root, "\002NOT KNOWN, AND WHY", NULL, 0);
	for (size_t i = 0; i < snap->notes.n; i++) {
		const struct mw__note *n = &snap->notes.v[i];
		struct mw__doc_row *row = mw__doc_row(table);

		mw__row_text(table, row, 0, n->severity == MW__WARNING ? "warning" : "info");
		mw__row_text(table, row, 1, n->source);
		mw__row_text(table, row, 2, n->reason);
		mw__row_text(table, row, 3, n->remedy);
		mw__doc_linef(root, NULL, 0, "\003- %s: %s%s%s%s", n->source, n->reason, n->remedy ? " (" : "",
			      n->remedy ? n->remedy : "", n->remedy ? ")" : "");
	}
}

/* The sections that fill most of an extent: one, or two if the second has an eighth of it. */
static void put_main_sections(struct mw__str *s, const struct mw__extent *x)
{
	const struct mw__section *best[2] = { NULL, NULL };
	uint64_t bytes[2] = { 0, (x->end - x->start) / 8 };

	for (uint32_t i = 0; i < x->image->n_sections; i++) {
		const struct mw__section *sec = &x->image->sections[i];
		uint64_t start = x->image->bias + sec->addr, from = mw__max(start, x->start);
		uint64_t inside = mw__sub0(mw__min(start + sec->size, x->end), from);

		if (sec->flags & SHF_TLS && sec->type == SHT_NOBITS)
			continue;
		if (inside > bytes[0]) {
			if (bytes[0] > bytes[1]) {
				best[1] = best[0];
				bytes[1] = bytes[0];
			}
			best[0] = sec;
			bytes[0] = inside;
		} else if (inside > bytes[1]) {
			best[1] = sec;
			bytes[1] = inside;
		}
	}
	bool is_second = best[1] && best[1]->addr < best[0]->addr;

	for (int i = 0; i < 2; i++)
		if (best[i != is_second])
			mw__str_printf(s, " %s", best[i != is_second]->name);
}

const char *mw__view_what(const struct mw__extent *x, struct mw__str *s)
{
	const char *name = x->vma->name;

	mw__str_reset(s);
	if (x->image && x->image->file != MW__NONE) {
		mw__str_puts(s, mw__basename(x->image->path));
		if (x->owner == MW__OWNER_LDSO_GAP)
			mw__str_puts(s, " gap between segments");
		else
			put_main_sections(s, x);
		return s->v;
	}
	switch (x->vma->kind) {
	case MW__FILE: case MW__SHMEM: case MW__SPECIAL: case MW__DEVICE:
		if (*name)
			return name;
	}
	mw__str_puts(s, mw__owners[x->owner].what);
	if (x->detail && strncmp(x->detail, "arena", 5) != 0)	/* its address says so already */
		mw__str_printf(s, ": %s", x->detail);
	if (x->certainty == MW__LIKELY)
		mw__str_puts(s, " (likely)");
	return s->v;
}
