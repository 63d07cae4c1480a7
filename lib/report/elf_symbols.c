/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Symbol tables and the histogram of their hash tables. Rows are made while they are
 * written; the only state by table is a buffer for names with versions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/size.h"
#include "../elf/debugfile.h"
#include "../elf/dynamic.h"
#include "../elf/names.h"
#include "../elf/symbols.h"
#include "../elf/versions.h"
#include "elf_names.h"
#include "elf_view.h"

static const struct mw__col symbol_cols[] = {
	{ "index", "Num", MW__T_COUNT, 0, "number of the symbol" },
	{ "value", "Value", MW__T_ADDR, 0, "st_value" },
	{ "size", "Size", MW__T_BYTES, 0, "st_size" },
	{ "type", "Type", MW__T_TEXT, 0, "type of st_info" },
	{ "bind", "Bind", MW__T_TEXT, 0, "binding of st_info" },
	{ "visibility", "Vis", MW__T_TEXT, 0, "visibility of st_other" },
	{ "other", "other", MW__T_COUNT, MW__COL_JSON_ONLY, "st_other" },
	{ "section", "section", MW__T_COUNT, MW__COL_JSON_ONLY, "st_shndx, extended numbers resolved" },
	{ "section_text", "Ndx", MW__T_TEXT, 0, "UND, ABS, COM or the section's number" },
	{ "name", "Name", MW__T_TEXT, 0, "name, with its version" },
	{ "plain_name", "plain_name", MW__T_TEXT, MW__COL_JSON_ONLY, "name without version, as in the file" },
	{ "version", "version", MW__T_TEXT, MW__COL_JSON_ONLY, "version" },
	{ "version_hidden", "version_hidden", MW__T_BOOL, MW__COL_JSON_ONLY, "not the default version" },
};

#define AT_ONCE 8192	/* symbols that are in memory while they are shown */

struct symbols_ctx {
	struct mw__symtab tab;
	struct mw__namer namer;
	char ndx[24], reserved[24], type[24], bind[24];
	uint32_t ndx_of;	/* the section that ndx says */
};

static const char *index_text(struct symbols_ctx *c, const struct mw__sym *s)
{
	if (s->shndx == SHN_UNDEF)
		return "UND";
	if (s->shndx == SHN_ABS)
		return "ABS";
	if (s->shndx == SHN_COMMON)
		return "COM";
	if (s->shndx >= SHN_LORESERVE && s->shndx != SHN_XINDEX) {
		snprintf(c->reserved, sizeof(c->reserved), "%s[%#x]",
			 s->shndx < 0xff20 ? "PRC" : s->shndx < 0xff40 ? "OS" : "RSV", s->shndx);
		return c->reserved;
	}
	if (s->section != c->ndx_of || !c->ndx[0])
		mw__small_number(c->ndx, s->section);
	c->ndx_of = s->section;
	return c->ndx;
}

static void check_symbol(struct symbols_ctx *c, size_t i, const struct mw__sym *s)
{
	struct mw_elf *elf = c->tab.elf;
	uint64_t at = c->tab.off + i * mw__raw_size_sym(elf->lay.is64);

	if (!s->name && s->name_off) {
		char field[64];

		snprintf(field, sizeof(field), "st_name of symbol %zu", i);
		mw__elf_diag(elf, MW__ELF_BAD, field, s->name_off, at, c->tab.str.n,
			     "%s: symbol %zu: st_name %#llx is outside the string table of %#zx bytes", c->tab.name, i,
			     (unsigned long long)s->name_off, c->tab.str.n);
	}
	if (s->section >= elf->n_sh && elf->n_sh && (s->shndx < SHN_LORESERVE || s->shndx == SHN_XINDEX)) {
		char field[64];

		snprintf(field, sizeof(field), "st_shndx of symbol %zu", i);
		mw__elf_diag(elf, MW__ELF_BAD, field, s->section, at, elf->n_sh,
			     "%s: symbol %zu: st_shndx %u, but there are %zu sections", c->tab.name, i, s->section,
			     elf->n_sh);
	}
}

static bool symbol_row(void *ctx, size_t i, struct mw__cell *cell)
{
	struct symbols_ctx *c = ctx;
	struct mw__sym s;
	const char *version;
	bool hidden;

	if (!(i % AT_ONCE))
		mw__lazy_expect(c->tab.raw, i, mw__min(i + AT_ONCE, c->tab.n));
	if (i && !(i % AT_ONCE))
		mw__lazy_forget(c->tab.raw, i - AT_ONCE, i);
	mw__sym_prefetch(&c->tab, i + 16);
	mw__sym_at(&c->tab, i, &s);
	check_symbol(c, i, &s);
	unsigned type = s.info & 15, bind = s.info >> 4;

	mw__cell_u64(&cell[0], MW__T_COUNT, i);
	mw__cell_field(&cell[1], MW__T_ADDR, s.value);
	mw__cell_field(&cell[2], MW__T_BYTES, s.size);
	mw__cell_text(&cell[3], mw__view_name(mw__name_sym_type(type), type, c->type, sizeof(c->type)));
	mw__cell_text(&cell[4], mw__view_name(mw__name_sym_bind(bind), bind, c->bind, sizeof(c->bind)));
	mw__cell_text(&cell[5], mw__name_sym_vis(s.other));
	mw__cell_u64(&cell[6], MW__T_COUNT, s.other);
	mw__cell_u64(&cell[7], MW__T_COUNT, s.section);
	mw__cell_text(&cell[8], index_text(c, &s));
	const char *name = mw__namer_symbol(&c->namer, &c->tab, i, &s, &version, &hidden);

	mw__cell_textn(&cell[9], name, c->namer.len);
	mw__cell_text(&cell[10], s.name_off ? mw__namer_plain(&c->namer) : "");
	mw__cell_text(&cell[11], version);
	mw__cell_bool(&cell[12], hidden);
	if (!version)
		cell[12].type = MW__T_NULL;
	return true;
}

/* The names of all symbols are nearly all names. */
static void start_symbols(void *ctx)
{
	struct symbols_ctx *c = ctx;

	if (c->tab.str.lazy)
		mw__lazy_expect(c->tab.str.lazy, 0, c->tab.str.lazy->n);
}

static size_t count_symbols(void *ctx) { return ((struct symbols_ctx *)ctx)->tab.n; }

/* of: the separate debug file that the table is in, or NULL. */
static void add_table(const struct mw__elf_view *v, struct mw__doc_node *list, const struct mw__symtab *tab, const char *of)
{
	struct symbols_ctx *c = mw__view_alloc(v, sizeof(*c));

	if (!c)
		return;
	c->tab = *tab;
	mw__namer_init(&c->namer, v, tab->str, tab->n);
	struct mw__doc_node *o = mw__doc_object(list, NULL);

	if (of)
		mw__doc_text(o, "file", of);
	mw__doc_text(o, "table", tab->name);
	mw__doc_u64(o, "count", MW__T_COUNT, tab->n);
	mw__doc_text(o, "count_from", tab->count_from);
	mw__doc_bool(o, "is_dynamic", tab->is_dynamic);
	if (of)
		mw__view_line(o, "\002Symbol table %s of the debug file %s: %zu entries", tab->name, of, tab->n);
	else if (tab->section < v->elf->n_sh)
		mw__view_line(o, "\002Symbol table %s: %zu entries", tab->name, tab->n);
	else
		mw__view_line(o, "\002Symbols of PT_DYNAMIC: %zu entries (counted by %s)", tab->n, tab->count_from);
	mw__doc_stream(o, "entries", NULL, symbol_cols, MW__COUNT(symbol_cols),
		       &(struct mw__stream){ count_symbols, start_symbols, symbol_row, c });
}

static bool is_wanted(const struct mw__elf_view *v, uint64_t type)
{
	return type == SHT_DYNSYM || (type == SHT_SYMTAB && (v->opts->views & MW_ELF_SYMBOLS));
}

/* A stripped file may have its symbols elsewhere: a list of its own, since this file does not have them. */
static size_t add_debug_symbols(const struct mw__elf_view *v)
{
	bool wanted = (v->opts->views & MW_ELF_SYMBOLS) && !v->opts->use_dynamic &&
		      mw__elf_section_by_type(v->elf, SHT_SYMTAB, 1) >= v->elf->n_sh;
	struct mw_elf *debug = wanted ? mw__elf_debug_symbols(v->elf) : NULL;
	size_t i = debug ? mw__elf_section_by_type(debug, SHT_SYMTAB, 1) : 0;
	struct mw__symtab tab;

	if (!debug || i >= debug->n_sh || !mw__symtab_open(debug, i, &tab))
		return 0;
	add_table(v, mw__doc_list(v->node, "debug_symbols"), &tab, debug->path);
	return 1;
}

void mw__elf_view_symbols(const struct mw__elf_view *v)
{
	struct mw_elf *elf = v->elf;
	struct mw__doc_node *list = mw__doc_list(v->node, "symbols");
	struct mw__symtab tab;
	size_t found = 0;
	bool has_dynsym = false;

	for (size_t i = 1; i < elf->n_sh && !v->opts->use_dynamic; i++) {
		if (!is_wanted(v, elf->sh[i].type) || !mw__symtab_open(elf, i, &tab))
			continue;
		add_table(v, list, &tab, NULL);
		has_dynsym |= tab.is_dynamic;
		found++;
	}
	if (!has_dynsym && mw__elf_section_by_type(elf, SHT_DYNSYM, 1) >= elf->n_sh &&
	    mw__symtab_open_dynamic(elf, &tab)) {
		add_table(v, list, &tab, NULL);
		found++;
	}
	found += add_debug_symbols(v);
	if (!found)
		mw__view_heading(v, "There are no symbols.");
}

void mw__elf_view_dynsyms(const struct mw__elf_view *v)
{
	if (!(v->opts->views & MW_ELF_SYMBOLS))
		mw__elf_view_symbols(v);
}

/* --------------------------------------------------------------- histogram */

static const struct mw__col histogram_cols[] = {
	{ "length", "Length", MW__T_COUNT, 0, "symbols in a chain" },
	{ "chains", "Chains", MW__T_COUNT, 0, "buckets with a chain of this length" },
	{ "share", "% of buckets", MW__T_SHARE, 0, "share of all buckets" },
	{ "covered", "Coverage", MW__T_SHARE, 0, "share of symbols in chains up to this length" },
};

static void histogram_table(struct mw__doc_node *list, const char *name, const uint32_t *counts, size_t max,
			    uint64_t n_buckets)
{
	struct mw__doc_node *o = mw__doc_object(list, NULL);
	uint64_t symbols = 0, seen = 0;

	for (size_t i = 1; i <= max; i++)
		symbols += (uint64_t)counts[i] * i;
	mw__doc_text(o, "table", name);
	mw__doc_u64(o, "buckets", MW__T_COUNT, n_buckets);
	mw__view_line(o, "\002Histogram of %s: %llu buckets, %llu symbols", name, (unsigned long long)n_buckets,
		      (unsigned long long)symbols);
	struct mw__doc_node *t = mw__doc_table(o, "lengths", NULL, histogram_cols, MW__COUNT(histogram_cols));

	for (size_t i = 0; i <= max; i++) {
		struct mw__doc_row *r = mw__doc_row(t);

		seen += (uint64_t)counts[i] * i;
		mw__row_u64(t, r, 0, i);
		mw__row_u64(t, r, 1, counts[i]);
		mw__row_share(t, r, 2, n_buckets ? (double)counts[i] / n_buckets : 0);
		mw__row_share(t, r, 3, symbols ? (double)seen / symbols : 0);
	}
}

/* Chains longer than this are cut: only damage makes them. */
#define MAX_CHAIN 4096

static void sysv_histogram(const struct mw__elf_view *v, struct mw__doc_node *list)
{
	struct mw_elf *elf = v->elf;
	unsigned word = mw__hash_word(elf);
	uint64_t off, left;

	if (!mw__dyn_off(elf, DT_HASH, &off, &left) || left < 2 * word)
		return;
	uint8_t head[16];

	if (!mw__elf_read(elf, off, head, 2 * word))
		return;
	uint64_t nb = mw__raw_num(head, word, elf->lay.big), nc = mw__raw_num(head + word, word, elf->lay.big);

	if (nb > left / word || nc > left / word || nb + nc > left / word - 2) {
		mw__elf_diag(elf, MW__ELF_BAD, "nbucket", nb, off, left / word,
			     "DT_HASH: %llu buckets and %llu chains do not fit", (unsigned long long)nb,
			     (unsigned long long)nc);
		return;
	}
	const uint8_t *p = mw__elf_chunk(elf, off, (2 + nb + nc) * word, ELF_T_BYTE, "DT_HASH");
	uint32_t *counts = calloc(MAX_CHAIN + 1, sizeof(*counts));
	size_t max = 0;
	uint64_t steps = 0;

	for (uint64_t b = 0; p && counts && b < nb; b++) {
		uint64_t i = mw__raw_num(p + (2 + b) * word, word, elf->lay.big);
		size_t len = 0;

		while (i && i < nc && len < MAX_CHAIN && steps++ < nc * 2 + nb) {
			i = mw__raw_num(p + (2 + nb + i) * word, word, elf->lay.big);
			len++;
		}
		counts[len]++;
		max = len > max ? len : max;
	}
	if (p && counts)
		histogram_table(list, "DT_HASH", counts, max, nb);
	mw__elf_chunk_drop(elf, p);
	if (steps > nc)
		mw__elf_diag(elf, MW__ELF_BAD, "hash chain", steps, off, nc, "DT_HASH: chains are cyclic or cross");
	free(counts);
}

static void gnu_histogram(const struct mw__elf_view *v, struct mw__doc_node *list)
{
	struct mw_elf *elf = v->elf;
	bool big = elf->lay.big;
	uint64_t off, left;
	uint8_t head[16];

	if (!mw__dyn_off(elf, DT_GNU_HASH, &off, &left) || left < 16 || !mw__elf_read(elf, off, head, 16))
		return;
	uint64_t nb = mw__raw_num(head, 4, big), first = mw__raw_num(head + 4, 4, big);
	uint64_t at = 16 + mw__raw_num(head + 8, 4, big) * (elf->lay.is64 ? 8 : 4);

	if (!mw__fits(at, nb * 4, left))
		return;
	const char *how;
	uint64_t n_syms = mw__dyn_sym_count(elf, &how), n_chain = mw__sub0(n_syms, first);

	n_chain = mw__min(n_chain, (left - at) / 4 - nb);
	const uint8_t *p = mw__elf_chunk(elf, off + at, (nb + n_chain) * 4, ELF_T_BYTE, "DT_GNU_HASH");
	uint32_t *counts = calloc(MAX_CHAIN + 1, sizeof(*counts));
	size_t max = 0;
	uint64_t steps = 0;

	for (uint64_t b = 0; p && counts && b < nb; b++) {
		uint64_t i = mw__raw_num(p + 4 * b, 4, big);
		size_t len = 0;

		for (; i >= first && i - first < n_chain && len < MAX_CHAIN && steps++ < n_chain * 2 + nb; i++) {
			len++;
			if (mw__raw_num(p + 4 * (nb + i - first), 4, big) & 1)
				break;
		}
		counts[len]++;
		max = len > max ? len : max;
	}
	if (p && counts)
		histogram_table(list, "DT_GNU_HASH", counts, max, nb);
	mw__elf_chunk_drop(elf, p);
	free(counts);
}

void mw__elf_view_histogram(const struct mw__elf_view *v)
{
	struct mw__doc_node *list = mw__doc_list(v->node, "histograms");

	sysv_histogram(v, list);
	gnu_histogram(v, list);
}
