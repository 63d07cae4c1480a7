/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relocation tables, as streams: a browser has more than a million relocations. */
#include "../elf/relocs.h"

#include <stdio.h>
#include <string.h>

#include "../elf/dynamic.h"
#include "../elf/names.h"
#include "elf_names.h"
#include "elf_view.h"

static const struct mw__col reloc_cols[] = {
	{ "offset", "Offset", MW__T_ADDR, 0, "r_offset" },
	{ "info", "info", MW__T_ADDR, MW__COL_JSON_ONLY, "r_info" },
	{ "type", "type", MW__T_COUNT, MW__COL_JSON_ONLY, "type of r_info" },
	{ "type_name", "Type", MW__T_TEXT, 0, "type by name" },
	{ "symbol", "symbol", MW__T_COUNT, MW__COL_JSON_ONLY, "symbol of r_info" },
	{ "symbol_value", "Value", MW__T_ADDR, 0, "st_value of the symbol" },
	{ "addend", "Addend", MW__T_DELTA, 0, "r_addend; null where the place holds it" },
	{ "symbol_name", "Symbol", MW__T_TEXT, 0, "name of the symbol" },
};
static const struct mw__col relr_cols[] = {
	{ "offset", "Offset", MW__T_ADDR, 0, "address of a word that the bias is added to" },
};

struct relocs_ctx {
	struct mw__reltab tab, begin;
	struct mw__namer namer;
	uint64_t last_type;
	const char *last_name;
	char type[96];
};

static const char *type_name(struct relocs_ctx *c, const struct mw__rel *r)
{
	uint64_t machine = c->tab.elf->eh.machine;

	if (r->type == c->last_type && c->last_name && !r->types[0] && !r->types[1])
		return c->last_name;
	const char *name = mw__view_name(mw__name_reloc(r->type, machine), r->type, c->type, sizeof(c->type));

	if (r->types[0] || r->types[1]) {
		const char *b = mw__name_reloc(r->types[0], machine), *d = mw__name_reloc(r->types[1], machine);

		snprintf(c->type, sizeof(c->type), "%s/%s/%s", name, b ? b : "?", d ? d : "?");
		c->last_name = NULL;
		return c->type;
	}
	c->last_type = r->type;
	c->last_name = name == c->type ? NULL : name;
	return name;
}

static void symbol_cells(struct relocs_ctx *c, size_t i, const struct mw__rel *r, struct mw__cell *cell)
{
	struct mw__sym s;
	const char *version;
	bool hidden;

	if (!r->sym || !c->tab.has_syms)
		return;
	if (r->sym >= c->tab.syms.n) {
		char field[64];

		snprintf(field, sizeof(field), "r_info of relocation %zu", i);
		mw__elf_diag(c->tab.elf, MW__ELF_BAD, field, r->sym, MW_UNKNOWN, c->tab.syms.n,
			     "%s: relocation %zu names symbol %llu, of which there are %zu", c->tab.name, i,
			     (unsigned long long)r->sym, c->tab.syms.n);
		mw__cell_text(&cell[7], "<corrupt>");
		return;
	}
	mw__sym_at(&c->tab.syms, r->sym, &s);
	mw__cell_field(&cell[5], MW__T_ADDR, s.value);
	const char *name = mw__namer_symbol(&c->namer, &c->tab.syms, r->sym, &s, &version, &hidden);

	mw__cell_textn(&cell[7], name, c->namer.len);
}

static bool reloc_row(void *ctx, size_t i, struct mw__cell *cell)
{
	struct relocs_ctx *c = ctx;
	struct mw__rel r;

	mw__rel_at(&c->tab, i, &r);
	mw__cell_field(&cell[0], MW__T_ADDR, r.offset);
	mw__cell_field(&cell[1], MW__T_ADDR, r.info);
	mw__cell_field(&cell[2], MW__T_COUNT, r.type);
	mw__cell_text(&cell[3], type_name(c, &r));
	mw__cell_field(&cell[4], MW__T_COUNT, r.sym);
	symbol_cells(c, i, &r, cell);
	if (c->tab.kind == MW__RELA) {
		mw__cell_field(&cell[6], MW__T_DELTA, (uint64_t)r.addend);
	}
	return true;
}

static bool relr_row(void *ctx, size_t i, struct mw__cell *cell)
{
	struct relocs_ctx *c = ctx;

	(void)i;
	mw__cell_field(&cell[0], MW__T_ADDR, mw__relr_next(&c->tab));
	return true;
}

static size_t count_relocs(void *ctx) { return ((struct relocs_ctx *)ctx)->tab.n_entries; }

static void restart(void *ctx)
{
	struct relocs_ctx *c = ctx;

	c->tab = c->begin;
}

static void add_table(const struct mw__elf_view *v, struct mw__doc_node *list, const struct mw__reltab *tab)
{
	static const char *const kinds[] = { "REL", "RELA", "RELR" };
	struct relocs_ctx *c = mw__view_alloc(v, sizeof(*c));
	bool relr = tab->kind == MW__RELR;

	if (!c)
		return;
	c->tab = c->begin = *tab;
	mw__namer_init(&c->namer, v, tab->syms.str, tab->n_entries);
	struct mw__doc_node *o = mw__doc_object(list, NULL);

	mw__doc_text(o, "table", tab->name);
	mw__doc_text(o, "kind", kinds[tab->kind]);
	mw__doc_u64(o, "offset", MW__T_ADDR, tab->off);
	mw__doc_u64(o, "count", MW__T_COUNT, tab->n_entries);
	mw__doc_bool(o, "is_from_section", tab->section < v->elf->n_sh);
	mw__view_line(o, "\002Relocations %s at %#llx: %zu entries", tab->name, (unsigned long long)tab->off,
		      tab->n_entries);
	mw__doc_stream(o, "entries", NULL, relr ? relr_cols : reloc_cols,
		       relr ? MW__COUNT(relr_cols) : MW__COUNT(reloc_cols),
		       &(struct mw__stream){ count_relocs, restart, relr ? relr_row : reloc_row, c });
}

static bool is_reloc(uint64_t type)
{
	return type == SHT_REL || type == SHT_RELA || type == SHT_RELR || type == MW__SHT_ANDROID_RELR;
}

/* Tables that only Android's loader reads, packed in a form that is not taken apart here. */
static void name_packed(const struct mw__elf_view *v)
{
	static const struct { uint64_t tag; const char *name; } packed[] = { { MW__DT_ANDROID_REL, "DT_ANDROID_REL" },
									     { MW__DT_ANDROID_RELA, "DT_ANDROID_RELA" } };
	struct mw__elf_dynamic *dyn = mw__elf_dynamic(v->elf);
	uint64_t at;

	for (size_t i = 0; dyn && i < MW__COUNT(packed); i++)
		if (mw__dyn_get(dyn, packed[i].tag, &at))
			mw__elf_diag(v->elf, MW__ELF_NOTE, packed[i].name, at, dyn->off, MW_UNKNOWN, "%s: relocations packed for Android's "
				     "loader are not listed", packed[i].name);
}

void mw__elf_view_relocs(const struct mw__elf_view *v)
{
	struct mw_elf *elf = v->elf;
	struct mw__doc_node *list = mw__doc_list(v->node, "relocations");
	struct mw__reltab tab;
	size_t found = 0;
	bool any_section = false;

	for (size_t i = 1; i < elf->n_sh && !v->opts->use_dynamic; i++) {
		if (!is_reloc(elf->sh[i].type))
			continue;
		any_section = true;
		if (!mw__reltab_open(elf, i, &tab))
			continue;
		add_table(v, list, &tab);
		found++;
	}
	for (size_t i = 0; !any_section; i++) {
		int rc = mw__reltab_open_dynamic(elf, i, &tab);

		if (rc < 0)
			break;
		if (rc)
			add_table(v, list, &tab);
		found += rc;
	}
	if (!found)
		mw__view_heading(v, "There are no relocations.");
	name_packed(v);
}
