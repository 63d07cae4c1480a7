/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the bytes of file and memory are, and how that changed from one file to another. */
#include <libiberty/demangle.h>
#include <stdlib.h>
#include <string.h>

#include "../base/err.h"
#include "../elf/own.h"
#include "elf_view.h"

static const struct mw__col size_cols[] = {
	{ "name", "Name", MW__T_TEXT, MW__COL_JSON_ONLY, "owner of the bytes" },
	{ "file", "File", MW__T_BYTES, 0, "bytes of the file" },
	{ "file_share", "%", MW__T_SHARE, 0, "share of the file" },
	{ "memory", "Memory", MW__T_BYTES, 0, "bytes of the mappings" },
	{ "memory_share", "%", MW__T_SHARE, 0, "share of VSZ" },
	{ "label", "Owner", MW__T_TEXT, MW__COL_TEXT_ONLY, "owner of the bytes" },
};

/* The demangled name of the row at hand. */
struct plain {
	struct mw__arena *arena;	/* NULL: names stay as they are */
	char *buf;
	size_t cap;
};

struct sizes_ctx {
	struct mw__owned *v;	/* in the document's arena */
	size_t n;
	struct plain plain;
	uint64_t file, memory;
};

static size_t count_owned(void *ctx) { return ((struct sizes_ctx *)ctx)->n; }

static void share(struct mw__cell *c, uint64_t part, uint64_t whole)
{
	c->type = MW__T_SHARE;
	c->f = whole ? (double)part / (double)whole : 0;
}

/*
 * JSON has the name as it is in the file, text the one that people write. It is demangled for
 * one row at a time, since few readers see all of them.
 */
static void name_cells(struct plain *p, const char *name, struct mw__cell *raw, struct mw__cell *label)
{
	char *plain = p->arena && name[0] == '_' ? cplus_demangle(name, DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO) : NULL;
	size_t size = plain ? strlen(plain) + 1 : 0;

	if (size > p->cap) {
		p->buf = mw__arena_alloc(p->arena, 2 * size);
		p->cap = p->buf ? 2 * size : 0;
	}
	if (size && p->cap)
		memcpy(p->buf, plain, size);
	mw__cell_text(raw, name);
	mw__cell_text(label, size && p->cap ? p->buf : name);
	free(plain);
}

static bool owned_row(void *ctx, size_t i, struct mw__cell *c)
{
	struct sizes_ctx *s = ctx;

	name_cells(&s->plain, s->v[i].name, &c[0], &c[5]);
	mw__cell_u64(&c[1], MW__T_BYTES, s->v[i].file);
	share(&c[2], s->v[i].file, s->file);
	mw__cell_u64(&c[3], MW__T_BYTES, s->v[i].memory);
	share(&c[4], s->v[i].memory, s->memory);
	return true;
}

static struct sizes_ctx *keep(struct mw_document *doc, const struct mw__ownership *o, bool demangle)
{
	struct sizes_ctx *c = mw__arena_alloc(&doc->arena, sizeof(*c));

	if (c)
		c->v = mw__arena_array(&doc->arena, o->v.n + 1, sizeof(*c->v));
	if (!c || !c->v) {
		doc->failed = true;
		return NULL;
	}
	if (o->v.n)
		memcpy(c->v, o->v.v, o->v.n * sizeof(*c->v));
	c->n = o->v.n;
	c->file = o->file;
	c->memory = o->memory;
	c->plain.arena = demangle ? &doc->arena : NULL;
	return c;
}

static const char *const by_names[] = { "section", "segment", "symbol", "unit", "file-line" };

void mw__elf_view_sizes(const struct mw__elf_view *v)
{
	struct mw__ownership o;

	if (mw__elf_own(v->elf, v->opts->sizes_by, v->opts->page_size, true, &o, NULL) < 0) {
		v->doc->failed = true;
		return;
	}
	struct mw__doc_node *n = mw__doc_object(v->node, "sizes");
	struct sizes_ctx *c = keep(v->doc, &o, v->opts->demangle);

	mw__doc_text(n, "by", by_names[v->opts->sizes_by]);
	mw__doc_text(n, "names_from", o.from);
	mw__doc_u64(n, "file", MW__T_BYTES, o.file);
	mw__doc_u64(n, "memory", MW__T_BYTES, o.memory);
	mw__doc_u64(n, "contested", MW__T_BYTES, o.contested);
	mw__doc_linef(n, (uint64_t[]){ o.file, o.memory }, 2, "\002Sizes by %s: \001 of file, \001 of memory%s%s",
		      by_names[v->opts->sizes_by], o.from ? "; names from " : "", o.from ? o.from : "");
	if (c)
		mw__doc_stream(n, "owners", NULL, size_cols, MW__COUNT(size_cols),
			       &(struct mw__stream){ count_owned, NULL, owned_row, c });
	if (v->elf->n_sh <= 1 && v->opts->sizes_by != MW_ELF_BY_SEGMENT)
		mw__view_line(n, "There are no section headers: what they would name stands by segment.");
	if (o.contested)
		mw__doc_linef(n, (uint64_t[]){ o.contested }, 1, "\001 of the file are claimed twice and counted once");
	mw__ownership_deinit(&o);
}

/* -------------------------------------------------------------------- diff */

static const struct mw__col diff_cols[] = {
	{ "name", "Name", MW__T_TEXT, MW__COL_JSON_ONLY, "owner of the bytes" },
	{ "file_delta", "File", MW__T_DELTA, 0, "change in bytes of the file" },
	{ "memory_delta", "Memory", MW__T_DELTA, 0, "change in bytes of memory" },
	{ "file_before", "File before", MW__T_BYTES, 0, "bytes of the file before" },
	{ "file_after", "after", MW__T_BYTES, 0, "bytes of the file after" },
	{ "memory_before", "Memory before", MW__T_BYTES, 0, "bytes of memory before" },
	{ "memory_after", "after", MW__T_BYTES, 0, "bytes of memory after" },
	{ "label", "Owner", MW__T_TEXT, MW__COL_TEXT_ONLY, "owner of the bytes" },
};

struct change {
	const char *name;
	uint64_t file[2], memory[2];
};
struct diff_ctx {
	struct change *v;
	size_t n;
	struct plain plain;
};

static int change_by_name(const void *a, const void *b)
{
	return strcmp(((const struct change *)a)->name, ((const struct change *)b)->name);
}

static uint64_t magnitude(const struct change *c)
{
	uint64_t f = c->file[0] > c->file[1] ? c->file[0] - c->file[1] : c->file[1] - c->file[0];
	uint64_t m = c->memory[0] > c->memory[1] ? c->memory[0] - c->memory[1] : c->memory[1] - c->memory[0];

	return f + m;
}

static int change_by_size(const void *a, const void *b)
{
	uint64_t x = magnitude(a), y = magnitude(b);

	return x != y ? (x < y ? 1 : -1) : change_by_name(a, b);
}

static size_t count_changes(void *ctx) { return ((struct diff_ctx *)ctx)->n; }

static void delta(struct mw__cell *c, uint64_t before, uint64_t after)
{
	c->type = MW__T_DELTA;
	c->d = (int64_t)(after - before);
}

static bool change_row(void *ctx, size_t i, struct mw__cell *c)
{
	struct diff_ctx *d = ctx;
	const struct change *x = &d->v[i];

	name_cells(&d->plain, x->name, &c[0], &c[7]);
	delta(&c[1], x->file[0], x->file[1]);
	delta(&c[2], x->memory[0], x->memory[1]);
	mw__cell_u64(&c[3], MW__T_BYTES, x->file[0]);
	mw__cell_u64(&c[4], MW__T_BYTES, x->file[1]);
	mw__cell_u64(&c[5], MW__T_BYTES, x->memory[0]);
	mw__cell_u64(&c[6], MW__T_BYTES, x->memory[1]);
	return true;
}

/* Both lists in one, by name; what did not change is left out. */
static void join_sides(struct diff_ctx *d, const struct mw__ownership o[2])
{
	size_t n = 0, kept = 0;

	for (int side = 0; side < 2; side++)
		for (size_t i = 0; i < o[side].v.n; i++) {
			d->v[n].name = o[side].v.v[i].name;
			d->v[n].file[side] = o[side].v.v[i].file;
			d->v[n++].memory[side] = o[side].v.v[i].memory;
		}
	if (!n)
		return;
	qsort(d->v, n, sizeof(*d->v), change_by_name);
	for (size_t i = 0; i < n; i++) {
		if (kept && !strcmp(d->v[kept - 1].name, d->v[i].name)) {
			for (int s = 0; s < 2; s++) {
				d->v[kept - 1].file[s] += d->v[i].file[s];
				d->v[kept - 1].memory[s] += d->v[i].memory[s];
			}
		} else {
			d->v[kept++] = d->v[i];
		}
	}
	qsort(d->v, kept, sizeof(*d->v), change_by_size);
	for (d->n = 0; d->n < kept && magnitude(&d->v[d->n]); d->n++)
		;
}

static void fill_diff(struct mw_document *doc, const struct mw__ownership o[2], enum mw_elf_sizes by, bool demangle)
{
	struct diff_ctx *d = mw__arena_alloc(&doc->arena, sizeof(*d));
	struct mw__doc_node *n = mw__doc_object(doc->root, "diff");

	if (d)
		d->v = mw__arena_array(&doc->arena, o[0].v.n + o[1].v.n + 1, sizeof(*d->v));
	if (!d || !d->v) {
		doc->failed = true;
		return;
	}
	d->plain.arena = demangle ? &doc->arena : NULL;
	join_sides(d, o);
	mw__doc_text(n, "by", by_names[by]);
	mw__doc_delta(n, "file", (int64_t)(o[1].file - o[0].file));
	mw__doc_delta(n, "memory", (int64_t)(o[1].memory - o[0].memory));
	mw__view_line(n, "\002Change: %+lld bytes of file, %+lld of memory", (long long)(o[1].file - o[0].file),
		      (long long)(o[1].memory - o[0].memory));
	mw__doc_stream(n, "changes", NULL, diff_cols, MW__COUNT(diff_cols),
		       &(struct mw__stream){ count_changes, NULL, change_row, d });
}

int mw_report_elf_diff(struct mw_elf *before, struct mw_elf *after, const struct mw_elf_opts *opts,
		       struct mw_document **ret, struct mw_err *err)
{
	enum mw_elf_sizes by = opts ? opts->sizes_by : MW_ELF_BY_SECTION;
	uint64_t page = opts && opts->page_size ? opts->page_size : 4096;
	struct mw__ownership o[2] = { 0 };
	struct mw_document *doc = NULL;

	before->ask_servers = after->ask_servers = opts && opts->ask_servers;
	int rc = mw__elf_own(before, by, page, false, &o[0], err);

	if (rc == 0)
		rc = mw__elf_own(after, by, page, false, &o[1], err);
	if (rc == 0) {
		doc = mw__doc_create("memwhy/elf-diff/1");
		if (doc)
			fill_diff(doc, o, by, opts && opts->demangle);
		rc = mw__doc_finish(doc, ret, err);
	}
	mw__ownership_deinit(&o[0]);
	mw__ownership_deinit(&o[1]);
	return rc;
}
