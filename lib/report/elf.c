/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ELF report: which view comes when, and one object a file. An archive stands for its
 * members. The findings come last, since reading goes on while the tables are written.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../base/err.h"
#include "../elf/archive.h"
#include "../elf/debugfile.h"
#include "elf_view.h"

void *mw__view_alloc(const struct mw__elf_view *v, size_t size)
{
	void *p = mw__arena_alloc(&v->doc->arena, size);

	if (!p)
		v->doc->failed = true;
	return p;
}

void mw__view_line(struct mw__doc_node *node, const char *fmt, ...)
{
	char text[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	mw__doc_line(node, text, NULL, 0);
}

void mw__view_heading(const struct mw__elf_view *v, const char *fmt, ...)
{
	char text[1024] = "\002";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + 1, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	mw__doc_line(v->node, text, NULL, 0);
}

static const struct {
	unsigned bit;
	void (*fill)(const struct mw__elf_view *v);
} views[] = {
	{ MW_ELF_HEADER, mw__elf_view_header },
	{ MW_ELF_HEX_HEADERS, mw__elf_view_hex_headers },
	{ MW_ELF_SECTIONS, mw__elf_view_sections },
	{ MW_ELF_DETAILS, mw__elf_view_details },
	{ MW_ELF_GROUPS, mw__elf_view_groups },
	{ MW_ELF_SEGMENTS, mw__elf_view_segments },
	{ MW_ELF_PLAN, mw__elf_view_plan },
	{ MW_ELF_DYNAMIC, mw__elf_view_dynamic },
	{ MW_ELF_RELOCS, mw__elf_view_relocs },
	{ MW_ELF_UNWIND, mw__elf_view_unwind },
	{ MW_ELF_SYMBOLS, mw__elf_view_symbols },
	{ MW_ELF_DYNSYMS, mw__elf_view_dynsyms },
	{ MW_ELF_HISTOGRAM, mw__elf_view_histogram },
	{ MW_ELF_VERSIONS, mw__elf_view_versions },
	{ MW_ELF_NOTES, mw__elf_view_notes },
	{ MW_ELF_ATTRIBUTES, mw__elf_view_attributes },
	{ MW_ELF_SIZES, mw__elf_view_sizes },
	{ MW_ELF_CHECK, mw__elf_view_check },
};

/* --------------------------------------------------------------- findings */

static const struct mw__col diag_cols[] = {
	{ "severity", "Severity", MW__T_TEXT, 0, "note, malformed, unreadable" },
	{ "field", "Field", MW__T_TEXT, 0, "the field at fault" },
	{ "value", "Value", MW__T_ADDR, 0, "its value" },
	{ "offset", "At", MW__T_ADDR, 0, "its offset in the file" },
	{ "bound", "Bound", MW__T_ADDR, 0, "the limit that it breaks" },
	{ "text", "Finding", MW__T_TEXT, 0, "what is wrong" },
};

static size_t count_diags(void *ctx) { return ((struct mw_elf *)ctx)->diags.n; }

static bool diag_row(void *ctx, size_t i, struct mw__cell *c)
{
	const struct mw__elf_diag *d = &((struct mw_elf *)ctx)->diags.v[i];

	mw__cell_text(&c[0], mw__elf_severities[d->severity]);
	mw__cell_text(&c[1], d->field);
	mw__cell_field(&c[2], MW__T_ADDR, d->value);
	mw__cell_u64(&c[3], MW__T_ADDR, d->off);
	mw__cell_u64(&c[4], MW__T_ADDR, d->bound);
	mw__cell_text(&c[5], d->text);
	return true;
}

static void add_diags(const struct mw__elf_view *v)
{
	const struct mw_elf *debug = v->elf->debug;

	if (debug && debug->is_malformed)
		mw__elf_diag(v->elf, MW__ELF_NOTE, "debug file", debug->diags.n, MW_UNKNOWN, MW_UNKNOWN,
			     "the debug file %s is malformed: memwhy elf shows where", debug->path);
	mw__doc_stream(v->node, "diagnostics", "Findings", diag_cols, MW__COUNT(diag_cols),
		       &(struct mw__stream){ count_diags, NULL, diag_row, v->elf });
}

/* ------------------------------------------------------------------- files */

/* Streams keep the view, so it lives in the document. */
static struct mw__elf_view *create_view(struct mw_document *doc, struct mw__doc_node *list, struct mw_elf *elf,
					const struct mw_elf_opts *opts)
{
	struct mw__elf_view *v = mw__arena_alloc(&doc->arena, sizeof(*v));

	if (v)
		*v = (struct mw__elf_view){ elf, opts, mw__doc_object(list, NULL), doc };
	else
		doc->failed = true;
	return v;
}

static void fill_file(struct mw_document *doc, struct mw__doc_node *list, struct mw_elf *elf,
		      const struct mw_elf_opts *opts, bool titled)
{
	struct mw__elf_view *v = create_view(doc, list, elf, opts);
	unsigned shown = opts->views;

	if (!v)
		return;
	if (shown & MW_ELF_HEX_HEADERS)	/* instead of, not beside, the usual form */
		shown &= ~(unsigned)(MW_ELF_HEADER | MW_ELF_SEGMENTS | MW_ELF_SECTIONS | MW_ELF_SYMBOLS | MW_ELF_DYNSYMS);
	elf->ask_servers = opts->ask_servers;
	mw__doc_text(v->node, "file", elf->path);
	mw__doc_text(v->node, "member", elf->member);
	mw__doc_u64(v->node, "size", MW__T_BYTES, elf->size);
	if (titled)
		mw__view_line(v->node, elf->member ? "\002File: %s(%s)" : "\002File: %s", elf->path, elf->member);
	for (size_t i = 0; i < MW__COUNT(views); i++)
		if (shown & views[i].bit)
			views[i].fill(v);
	if (opts->n_hex || opts->n_strings || opts->n_relocated)
		mw__elf_view_dumps(v);
	if ((opts->views & MW_ELF_UNITS) || opts->n_addrs || opts->type)
		mw__elf_view_dwarf(v);
	add_diags(v);
}

static void fill_archive(struct mw_document *doc, struct mw__doc_node *list, struct mw_elf *ar,
			 const struct mw_elf_opts *opts)
{
	struct mw__elf_view *v;
	struct mw__member m;
	uint64_t at = 0;

	while (mw__archive_next(ar, &at, &m) > 0) {
		struct mw_elf *elf;
		struct mw_err err;

		if (mw__archive_open(ar, &m, &elf, &err) < 0) {
			/* any file may be in an archive, but one that a thin archive names should be there */
			mw__elf_diag(ar, m.is_thin && err.code != MW_E_FORMAT ? MW__ELF_FATAL : MW__ELF_NOTE, m.name, m.off, m.off,
				     MW_UNKNOWN, "%s", err.text);
			continue;
		}
		elf->next_member = ar->members;
		ar->members = elf;
		fill_file(doc, list, elf, opts, true);
	}
	v = create_view(doc, list, ar, opts);
	if (!v)
		return;
	mw__doc_text(v->node, "file", ar->path);
	mw__doc_text(v->node, "kind", "archive");
	mw__doc_u64(v->node, "size", MW__T_BYTES, ar->size);
	if (opts->views & MW_ELF_INDEX)
		mw__elf_view_index(v);
	add_diags(v);
}

static const struct mw_elf_opts defaults = { .views = MW_ELF_HEADER | MW_ELF_SEGMENTS | MW_ELF_CHECK };

int mw_report_elf(struct mw_elf *const *elfs, size_t n, const struct mw_elf_opts *opts, struct mw_document **ret,
		  struct mw_err *err)
{
	struct mw_document *doc = mw__doc_create("memwhy/elf/1");
	struct mw__doc_node *list = doc ? mw__doc_list(doc->root, "files") : NULL;
	struct mw_elf_opts *mine = doc ? mw__arena_alloc(&doc->arena, sizeof(*mine)) : NULL;

	if (!mine) {
		mw_document_destroy(doc);
		return mw__fail_nomem(err, "report");
	}
	*mine = defaults;
	if (opts)
		memcpy(mine, opts, opts->size < sizeof(*mine) ? opts->size : sizeof(*mine));
	if (!mine->page_size || mine->page_size & (mine->page_size - 1))
		mine->page_size = 4096;
	for (size_t i = 0; i < n; i++) {
		if (elfs[i]->kind == MW__ELF_ARCHIVE) {
			fill_archive(doc, list, elfs[i], mine);
			continue;
		}
		fill_file(doc, list, elfs[i], mine, n > 1 || mine->process_links);
		struct mw_elf *debug = mine->process_links ? mw__elf_debug(elfs[i]) : NULL;

		if (debug)
			fill_file(doc, list, debug, mine, true);
	}
	return mw__doc_finish(doc, ret, err);
}
