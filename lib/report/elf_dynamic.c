/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The dynamic table and the symbol versions. */
#include "../elf/dynamic.h"

#include <stdio.h>
#include <string.h>

#include "../elf/names.h"
#include "../elf/versions.h"
#include "elf_view.h"

static const struct mw__col dynamic_cols[] = {
	{ "tag", "Tag", MW__T_ADDR, 0, "d_tag" },
	{ "name", "Name", MW__T_TEXT, 0, "d_tag by name" },
	{ "value", "value", MW__T_ADDR, MW__COL_JSON_ONLY, "d_un" },
	{ "text", "Value", MW__T_TEXT, 0, "what d_un means" },
	{ "string", "string", MW__T_TEXT, MW__COL_JSON_ONLY, "the string it points to" },
};

static const char *const string_labels[] = {
	[DT_NEEDED] = "shared library", [DT_SONAME] = "name of this library", [DT_RPATH] = "search path",
	[DT_RUNPATH] = "search path",
};

static void dynamic_row(const struct mw__elf_view *v, struct mw__doc_node *t, const struct mw__elf_dynamic *dyn,
			const struct mw__dyn *d)
{
	const struct mw__dyntag *tag = mw__name_dyntag(d->tag, v->elf->eh.machine);
	enum mw__dyn_kind kind = tag ? tag->kind : MW__DYN_HEX;
	struct mw__doc_row *r = mw__doc_row(t);
	const char *str = kind == MW__DYN_STR ? mw__strtab_at(dyn->str, d->val) : NULL;
	char buf[MW__NAME_BUF], text[4096 + 64];

	if (kind == MW__DYN_STR && !str)
		mw__elf_diag(v->elf, MW__ELF_BAD, tag->name, d->val, dyn->off + (d - dyn->v) * (v->elf->lay.is64 ? 16 : 8),
			     dyn->str.n, "DT_%s: %#llx is outside the string table of %#zx bytes", tag->name,
			     (unsigned long long)d->val, dyn->str.n);
	switch (kind) {
	case MW__DYN_STR:
		snprintf(text, sizeof(text), "%s%s%.4000s",
			 d->tag < MW__COUNT(string_labels) && string_labels[d->tag] ? string_labels[d->tag] : "",
			 d->tag < MW__COUNT(string_labels) && string_labels[d->tag] ? ": " : "", str ? str : "<corrupt>");
		break;
	case MW__DYN_SIZE:
		snprintf(text, sizeof(text), "%llu bytes", (unsigned long long)d->val);
		break;
	case MW__DYN_COUNT:
		snprintf(text, sizeof(text), "%llu", (unsigned long long)d->val);
		break;
	case MW__DYN_FLAGS:
		snprintf(text, sizeof(text), "%s", mw__name_dt_flags(d->val, buf));
		break;
	case MW__DYN_FLAGS_1:
		snprintf(text, sizeof(text), "%s", mw__name_dt_flags_1(d->val, buf));
		break;
	case MW__DYN_PLTREL:
		snprintf(text, sizeof(text), "%s", d->val == DT_REL ? "REL" : d->val == DT_RELA ? "RELA" : "?");
		break;
	default:
		snprintf(text, sizeof(text), "%#llx", (unsigned long long)d->val);
	}
	mw__row_field(t, r, 0, d->tag);
	mw__row_text(t, r, 1, mw__view_name(tag ? tag->name : NULL, d->tag, buf, sizeof(buf)));
	mw__row_field(t, r, 2, d->val);
	mw__row_text(t, r, 3, text);
	mw__row_text(t, r, 4, str);
}

void mw__elf_view_dynamic(const struct mw__elf_view *v)
{
	struct mw__elf_dynamic *dyn = mw__elf_dynamic(v->elf);

	if (!dyn) {
		mw__doc_list(v->node, "dynamic");
		mw__view_heading(v, "There is no dynamic table.");
		return;
	}
	mw__view_heading(v, "Dynamic table at %#llx from %s: %zu entries", (unsigned long long)dyn->off, dyn->source,
			 dyn->n);
	struct mw__doc_node *t = mw__doc_table(v->node, "dynamic", NULL, dynamic_cols, MW__COUNT(dynamic_cols));

	for (size_t i = 0; i < dyn->n; i++)
		dynamic_row(v, t, dyn, &dyn->v[i]);
	mw__doc_text(v->node, "dynamic_source", dyn->source);
}

/* ---------------------------------------------------------------- versions */

static const struct mw__col def_cols[] = {
	{ "index", "Index", MW__T_COUNT, 0, "version number" },
	{ "name", "Name", MW__T_TEXT, 0, "name of the version" },
	{ "flags", "Flags", MW__T_COUNT, MW__COL_HIDDEN, "vd_flags" },
	{ "is_base", "Base", MW__T_BOOL, 0, "stands for the file itself" },
	{ "is_weak", "Weak", MW__T_BOOL, 0, "weak version" },
	{ "hash", "Hash", MW__T_ADDR, MW__COL_HIDDEN, "vd_hash" },
	{ "parents", "Parents", MW__T_TEXT, 0, "versions it includes" },
};
static const struct mw__col need_cols[] = {
	{ "file", "File", MW__T_TEXT, 0, "library that must have it" },
	{ "name", "Version", MW__T_TEXT, 0, "name of the version" },
	{ "index", "Index", MW__T_COUNT, 0, "version number" },
	{ "flags", "Flags", MW__T_COUNT, MW__COL_HIDDEN, "vna_flags" },
	{ "is_weak", "Weak", MW__T_BOOL, 0, "may be missing" },
	{ "hash", "Hash", MW__T_ADDR, MW__COL_HIDDEN, "vna_hash" },
};

static void join_parents(const struct mw__elf_versions *vs, const struct mw__verdef *d, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < d->n_parents && n < size; i++)
		n += snprintf(buf + n, size - n, "%s%s", i ? " " : "", vs->parents.v[d->parents + i]);
}

static void add_defs(const struct mw__elf_view *v, struct mw__doc_node *o, const struct mw__elf_versions *vs)
{
	struct mw__doc_node *t = mw__doc_table(o, "definitions", NULL, def_cols, MW__COUNT(def_cols));
	char buf[1024];

	(void)v;
	for (size_t i = 0; i < vs->defs.n; i++) {
		const struct mw__verdef *d = &vs->defs.v[i];
		struct mw__doc_row *r = mw__doc_row(t);

		join_parents(vs, d, buf, sizeof(buf));
		mw__row_u64(t, r, 0, d->ndx);
		mw__row_text(t, r, 1, d->name ? d->name : "<corrupt>");
		mw__row_u64(t, r, 2, d->flags);
		mw__row_bool(t, r, 3, d->flags & VER_FLG_BASE);
		mw__row_bool(t, r, 4, d->flags & VER_FLG_WEAK);
		mw__row_u64(t, r, 5, d->hash);
		mw__row_text(t, r, 6, buf);
	}
}

static void add_needs(struct mw__doc_node *o, const struct mw__elf_versions *vs)
{
	struct mw__doc_node *t = mw__doc_table(o, "needs", NULL, need_cols, MW__COUNT(need_cols));

	for (size_t i = 0; i < vs->needs.n; i++) {
		const struct mw__verneed *d = &vs->needs.v[i];
		struct mw__doc_row *r = mw__doc_row(t);

		mw__row_text(t, r, 0, d->file);
		mw__row_text(t, r, 1, d->name ? d->name : "<corrupt>");
		mw__row_u64(t, r, 2, d->ndx);
		mw__row_u64(t, r, 3, d->flags);
		mw__row_bool(t, r, 4, d->flags & VER_FLG_WEAK);
		mw__row_u64(t, r, 5, d->hash);
	}
}

void mw__elf_view_versions(const struct mw__elf_view *v)
{
	const struct mw__elf_versions *vs = mw__elf_versions(v->elf);
	struct mw__doc_node *o = mw__doc_object(v->node, "versions");

	if (!vs)
		return;
	if (vs->def_source)
		mw__view_heading(v, "Version definitions from %s: %zu", vs->def_source, vs->defs.n);
	add_defs(v, vs->def_source ? mw__doc_object(o, "defined") : o, vs);
	if (vs->need_source)
		mw__view_heading(v, "Version needs from %s: %zu", vs->need_source, vs->needs.n);
	add_needs(vs->need_source ? mw__doc_object(o, "needed") : o, vs);
	if (!vs->def_source && !vs->need_source)
		mw__view_heading(v, "There are no symbol versions.");
}
