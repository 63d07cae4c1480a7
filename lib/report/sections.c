/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy sections as a document: objects, the sections of each, and on request the relocations behind the
 * copied pages (here) and symbols (sections_symbols.c). In JSON every object has all of its sections; on
 * the screen those of the program, or of the object asked for.
 */
#include "sections.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"
#include "../model/place.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

#define PAGE 4096u
/* Objects on the screen; the rest is summed up in a line. */
#define MAX_OBJECTS 14

static const char *const roles[] = {
	[MW__PROGRAM] = "program", [MW__INTERPRETER] = "interpreter", [MW__LIBRARY] = "library", [MW__VDSO] = "vdso",
};

/* ---------------------------------------------------------------- sections */

enum { S_NAME, S_ADDRESS, S_SIZE, S_FILE_SIZE, S_MASS };
#define SECTION_COLS(F)                                                                                               \
	{ "section", "SECTION", MW__T_TEXT, (F), "name of the section" },                                               \
	{ "address", "ADDRESS", MW__T_ADDR, (F) | MW__COL_OPTIONAL | MW__COL_SPARE, "where it is in memory" },                                             \
	{ "size", "SIZE", MW__T_BYTES, (F), "size in memory" },                                                         \
	{ "file_size", "IN FILE", MW__T_BYTES, (F) | MW__COL_HIDDEN, "size in the file" }, MW__MASS_COLS(F, 0, 0)
static const struct mw__col section_cols[] = { SECTION_COLS(MW__COL_TEXT_ONLY) };
static const struct mw__col section_keys[] = { SECTION_COLS(MW__COL_JSON_ONLY) };

struct section_sum {
	struct mw__mass *sections;	/* one a section */
	struct mw__mass none;		/* headers and padding */
};

static void free_section_sum(struct section_sum *s)
{
	free(s->sections);
}

static int sum_sections(const struct mw__image_pieces *ic, struct section_sum *ret)
{
	ret->sections = calloc(ic->image->n_sections + 1, sizeof(*ret->sections));
	if (!ret->sections)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < ic->pieces.n; i++) {
		const struct mw__piece *c = &ic->pieces.v[i];

		mw__piece_add(ic, c, c->section == MW__NONE ? &ret->none : &ret->sections[c->section]);
	}
	return 0;
}

static void add_part(struct mw__doc_node *t, const char *name, const struct mw__mass *m, const struct mw__image *img,
		     enum mw__row_style style)
{
	struct mw__doc_row *row = m->mapped ? mw__doc_row(t) : NULL;

	if (!row)
		return;
	row->style = style;
	mw__row_text(t, row, S_NAME, name);
	mw__row_u64(t, row, S_SIZE, m->mapped);
	mw__mass_row(t, row, S_MASS, m, img);
}

/* All sections of one image, then what is in none. Thread-local .tbss has no memory here. */
static void fill_sections(struct mw__doc_node *t, const struct mw__image_pieces *ic, const struct section_sum *sum,
			  bool total)
{
	const struct mw__image *img = ic->image;

	for (uint32_t i = 0; i < img->n_sections; i++) {
		const struct mw__section *s = &img->sections[i];
		struct mw__doc_row *row = mw__section_is_mapped(s) ? mw__doc_row(t) : NULL;

		mw__row_text(t, row, S_NAME, s->name);
		mw__row_u64(t, row, S_ADDRESS, img->bias + s->addr);
		mw__row_u64(t, row, S_SIZE, s->size);
		mw__row_u64(t, row, S_FILE_SIZE, s->type == SHT_NOBITS ? 0 : s->size);
		mw__mass_row(t, row, S_MASS, &sum->sections[i], img);
	}
	add_part(t, img->n_sections ? "(headers, padding)" : "(no section table)", &sum->none, img, MW__ROW_PLAIN);
	add_part(t, "(gaps between segments)", &ic->gaps, img, MW__ROW_PLAIN);
	if (total)
		add_part(t, "sum", &ic->sum, img, MW__ROW_TOTAL);
}

/* ------------------------------------------------------------- relocations */

enum { R_OBJECT, R_BINDING, R_RELATIVE, R_SYMBOLIC, R_PLT, R_COPY, R_IFUNC, R_PAGES, R_COPIED, R_LINKER, R_CLEARED, R_PROGRAM };
#define RELOC_COLS(F)                                                                                                 \
	{ "object", "OBJECT", MW__T_TEXT, (F) | MW__COL_TRUNC, "image" },                                               \
	{ "binding", "BINDING", MW__T_TEXT, (F), "PLT slots are resolved at start (now: the file or LD_BIND_NOW asks for it) or at the first call (lazy)" }, \
	{ "relative", "RELATIVE", MW__T_COUNT, (F), "relocations that only add the load address" },                     \
	{ "symbolic", "SYMBOLIC", MW__T_COUNT, (F), "relocations that look a symbol up" },                              \
	{ "plt", "PLT", MW__T_COUNT, (F), "slots of the procedure linkage table" },                                     \
	{ "copy", "COPY", MW__T_COUNT, (F) | MW__COL_HIDDEN, "variables copied from libraries" },                        \
	{ "ifunc", "IFUNC", MW__T_COUNT, (F) | MW__COL_HIDDEN, "addresses that a function of the image decides" },       \
	{ "pages", "PAGES", MW__T_COUNT, (F) | MW__COL_OPTIONAL | MW__COL_SPARE, "pages with relocations" },                                               \
	{ "copied_pages", "COPIED", MW__T_COUNT, (F), "pages of the file that were copied" },                           \
	{ "linker_pages", "LINKER", MW__T_COUNT, (F), "of these, in pages with relocations or words of the linker" }, \
	{ "cleared_pages", "BSS", MW__T_COUNT, (F) | MW__COL_OPTIONAL | MW__COL_SPARE, "of these, cleared for the start of .bss" },                  \
	{ "program_pages", "PROGRAM", MW__T_COUNT, (F), "of these, with neither: the program wrote" }
static const struct mw__col reloc_cols[] = { RELOC_COLS(MW__COL_TEXT_ONLY) };
static const struct mw__col reloc_keys[] = { RELOC_COLS(MW__COL_JSON_ONLY) };

static void set_counts(struct mw__doc_node *t, struct mw__doc_row *row, const struct mw__mass *m, bool known)
{
	mw__row_u64(t, row, R_COPIED, m->at[MW__AT_COPY] / PAGE);
	mw__row_u64(t, row, R_LINKER, known ? m->why[MW__BY_RELOC] / PAGE : MW_UNKNOWN);
	mw__row_u64(t, row, R_CLEARED, known ? m->why[MW__BY_CLEAR] / PAGE : MW_UNKNOWN);
	mw__row_u64(t, row, R_PROGRAM, known ? m->why[MW__BY_WRITE] / PAGE : MW_UNKNOWN);
}

static void add_reloc_row(struct mw__doc_node *t, const struct mw__image_pieces *ic, bool text)
{
	const struct mw__detail *d = ic->image->detail;
	bool known = d && d->relocs_known;
	struct mw__doc_row *row = mw__doc_row(t);

	mw__row_text(t, row, R_OBJECT, text ? mw__basename(ic->image->path) : ic->image->path);
	mw__row_text(t, row, R_BINDING, known ? d->binds_now ? "now" : "lazy" : NULL);
	mw__row_u64(t, row, R_RELATIVE, known ? d->n_relative : MW_UNKNOWN);
	mw__row_u64(t, row, R_SYMBOLIC, known ? d->n_symbolic : MW_UNKNOWN);
	mw__row_u64(t, row, R_PLT, known ? d->n_plt : MW_UNKNOWN);
	mw__row_u64(t, row, R_COPY, known ? d->n_copy : MW_UNKNOWN);
	mw__row_u64(t, row, R_IFUNC, known ? d->n_ifunc : MW_UNKNOWN);
	mw__row_u64(t, row, R_PAGES, known ? d->n_reloc_pages : MW_UNKNOWN);
	set_counts(t, row, &ic->sum, known);
}

static void add_relocs(struct mw__sections_view *v)
{
	struct mw__doc_node *text = mw__doc_table(v->root, NULL, "WHO DIRTIED THE COPIED PAGES", reloc_cols, MW__COUNT(reloc_cols));
	struct mw__doc_node *json = mw__doc_table(v->root, "relocations", NULL, reloc_keys, MW__COUNT(reloc_keys));
	struct mw__mass sum = {};

	for (size_t i = 0; i < v->pieces->images.n; i++) {
		add_reloc_row(text, &v->pieces->images.v[i], true);
		add_reloc_row(json, &v->pieces->images.v[i], false);
		mw__mass_add(&sum, &v->pieces->images.v[i].sum);
	}
	struct mw__doc_row *row = mw__doc_row(text);

	mw__row_style(row, MW__ROW_TOTAL);
	mw__row_text(text, row, R_OBJECT, "sum");
	set_counts(text, row, &sum, true);
	mw__doc_line(v->root, "", NULL, 0);
	mw__doc_line(v->root, "\003- COPIED pages are of three kinds. LINKER: the page has relocations (or GOT words of the dynamic "
		     "linker), so loading copied it; whether the program wrote to it as well cannot be told afterwards. BSS: the "
		     "rest of it was cleared for .bss. PROGRAM: neither, so the program wrote.", NULL, 0);
}

/* ----------------------------------------------------------------- objects */

enum { O_OBJECT, O_MASS };
static const struct mw__col object_cols[] = {
	{ "object", "OBJECT", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_TRUNC, "image" }, MW__MASS_COLS(MW__COL_TEXT_ONLY, 0, 0),
};

static void add_object_row(struct mw__doc_node *t, const char *name, const struct mw__mass *m, const struct mw__image *img,
			   enum mw__row_style style)
{
	struct mw__doc_row *row = mw__doc_row(t);

	mw__row_style(row, style);
	mw__row_text(t, row, O_OBJECT, name);
	mw__mass_row(t, row, O_MASS, m, img);
}

static void add_objects_text(struct mw__sections_view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, NULL, "OBJECTS", object_cols, MW__COUNT(object_cols));
	size_t n = v->pieces->images.n, shown = v->opts->all || n <= MAX_OBJECTS + 1 ? n : MAX_OBJECTS;
	struct mw__mass rest = {}, sum = {};
	char text[64];

	for (size_t i = 0; i < n; i++) {
		const struct mw__image_pieces *ic = &v->pieces->images.v[i];

		if (i < shown)
			add_object_row(t, mw__basename(ic->image->path), &ic->sum, ic->image, MW__ROW_PLAIN);
		else
			mw__mass_add(&rest, &ic->sum);
		mw__mass_add(&sum, &ic->sum);
	}
	snprintf(text, sizeof(text), "%zu smaller (--all)", n - shown);
	if (shown < n)
		add_object_row(t, text, &rest, NULL, MW__ROW_PLAIN);
	add_object_row(t, "sum", &sum, NULL, MW__ROW_TOTAL);
}

/* What explain says of this object; the difference to our sum is 0, or one of the two is wrong. */
static int64_t residual_of(const struct mw__sections_view *v, const struct mw__image_pieces *ic)
{
	for (size_t i = 0; i < v->acc->objects.n; i++) {
		const struct mw__object *o = &v->acc->objects.v[i];

		if (o->image == ic->image)
			return (int64_t)(o->anon + o->file + o->shmem - mw__mass_resident(&ic->sum));
	}
	return 0;
}

static int add_object(struct mw__sections_view *v, struct mw__doc_node *list, const struct mw__image_pieces *ic, bool text)
{
	MW_CLEANUP(free_section_sum) struct section_sum sum = {};
	const struct mw__image *img = ic->image;
	struct mw__doc_node *o = mw__doc_object(list, NULL);

	if (sum_sections(ic, &sum) < 0)
		return -MW_E_NOMEM;
	mw__doc_text(o, "path", img->path);
	mw__doc_text(o, "role", roles[img->role]);
	mw__doc_u64(o, "load_bias", MW__T_ADDR, img->bias);
	mw__doc_text(o, "build_id", img->build_id);
	mw__doc_text(o, "symbols_from", v->symbols && img->detail ? img->detail->symbols_from : NULL);
	mw__mass_members(o, &ic->sum, img);
	mw__doc_delta(o, "residual", residual_of(v, ic));
	fill_sections(mw__doc_table(o, "sections", NULL, section_keys, MW__COUNT(section_keys)), ic, &sum, false);
	if (text)
		fill_sections(mw__doc_table(o, NULL, img->path, section_cols, MW__COUNT(section_cols)), ic, &sum, true);
	return v->opts->symbols ? mw__sections_symbols(v, o, ic, text) : 0;
}

static int add_objects(struct mw__sections_view *v)
{
	bool picks = v->opts->cold || v->opts->hot, one = v->opts->object && *v->opts->object;

	if (!one && !picks && !v->opts->relocs)
		add_objects_text(v);
	struct mw__doc_node *list = mw__doc_list(v->root, "objects");

	for (size_t i = 0; i < v->pieces->images.n; i++) {
		const struct mw__image_pieces *ic = &v->pieces->images.v[i];
		bool text = !picks && !v->opts->relocs && (one || v->opts->all || ic->image->role == MW__PROGRAM);

		if (add_object(v, list, ic, text) < 0)
			return -MW_E_NOMEM;
	}
	if (v->opts->relocs)
		add_relocs(v);
	return picks ? mw__sections_picks(v) : 0;
}

/* -------------------------------------------------------------------- view */

static void add_legend(struct mw__doc_node *root)
{
	mw__doc_line(root, "", NULL, 0);
	mw__doc_line(root, "\003- RSS: FILE, pages of the file; RELOC and WRITTEN, private copies of such pages, those with relocations "
		     "and the others; NEW, without a file (.bss). What is left was cleared where .bss begins (-o +cleared), or is a page of a file on tmpfs (-o +shmem).",
		     NULL, 0);
	mw__doc_line(root, "\003- Not mapped: CACHED, in the page cache all the same; UNREAD, not there: touching it reads the file.",
		     NULL, 0);
}

static void add_remarks(struct mw__sections_view *v)
{
	bool guessed = v->snap->target.pages == MW_PAGES_SMAPS;
	size_t without = 0;

	for (size_t i = 0; i < v->pieces->images.n; i++)
		without += v->pieces->images.v[i].image->detail == NULL;
	mw__doc_u64(v->root, "objects_without_tables", MW__T_COUNT, without);
	if (!v->opts->relocs && !v->opts->cold && !v->opts->hot)
		add_legend(v->root);
	if (guessed)
		mw__doc_line(v->root, "\003- This kernel tells how many zero pages there are, but not which: they are taken from "
			     "the lowest addresses.", NULL, 0);
}

static int check_object(const struct mw_snapshot *snap, const char *name, const struct mw__pieces *pieces, struct mw_err *err)
{
	if (pieces->images.n || !name)
		return 0;
	int rc = mw__fail(err, MW_E_NOT_FOUND, 0, "%.100s: no ELF image of this name is mapped in pid %d", name, snap->target.pid);

	mw__hint(err, "memwhy sections %d lists the images", snap->target.pid);
	return rc;
}

int mw_report_sections(const struct mw_snapshot *snap, const struct mw_sections_opts *opts, struct mw_document **ret,
		       struct mw_err *err)
{
	MW_CLEANUP(mw__pieces_deinit) struct mw__pieces pieces = {};
	struct mw_sections_opts o = {};
	struct mw_account *acc = NULL;

	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	if (o.object && !*o.object)
		o.object = NULL;
	bool symbols = o.symbols || o.cold || o.hot;

	int rc = mw__view_need_maps(snap, err);

	if (rc == 0 && mw__pieces_make(snap, o.object, symbols, &pieces) < 0)
		rc = mw__fail_nomem(err, "sections");
	if (rc == 0)
		rc = check_object(snap, o.object, &pieces, err);
	if (rc == 0)
		rc = mw_account_create(snap, &acc, err);
	if (rc < 0)
		return rc;
	struct mw_document *doc = mw__doc_create("memwhy/sections/1");

	if (!doc) {
		mw_account_destroy(acc);
		return mw__fail_nomem(err, "report");
	}
	struct mw__sections_view v = { .snap = snap, .acc = acc, .opts = &o, .pieces = &pieces, .root = doc->root, .symbols = symbols };

	mw__view_target(doc->root, snap);
	mw__doc_text(doc->root, "state", mw__view_state(mw__snapshot_state(snap, acc)));
	mw__view_headline(doc->root, snap, acc);
	mw__doc_line(doc->root, "", NULL, 0);
	doc->failed |= add_objects(&v) < 0;
	add_remarks(&v);
	mw__view_notes(doc->root, snap);
	mw_account_destroy(acc);
	return mw__doc_finish(doc, ret, err);
}
