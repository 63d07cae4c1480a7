/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Functions and variables in memory. A page of a file comes in whole, and often with its neighbours
 * (fault-around), so a resident symbol need not have been used; one without any page was not, since the
 * image was mapped or since the kernel took the page back.
 */
#include "sections.h"

#include "../base/cleanup.h"
#include "../base/size.h"
#include "../base/str.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Symbols on the screen without --all. */
#define MAX_SHOWN 40

/* Names may be very long, so they come last. */
enum { Y_SECTION, Y_TYPE, Y_ADDRESS, Y_SIZE, Y_OTHERS, Y_MASS, Y_OBJECT = Y_MASS + MW__N_MASS_COLS, Y_SYMBOL, Y_RAW };
#define SYMBOL_COLS(F, OBJ, R)                                                                                        \
	{ "section", "SECTION", MW__T_TEXT, (F), "section that it is in" },                                             \
	{ "type", "TYPE", MW__T_TEXT, (F) | MW__COL_HIDDEN, "function, variable or label" },                             \
	{ "address", "ADDRESS", MW__T_ADDR, (F) | MW__COL_HIDDEN, "where it is in memory" },                              \
	{ "size", "SIZE", MW__T_BYTES, (F), "size" },                                                                   \
	{ "others", "OTHERS", MW__T_COUNT, (F) | MW__COL_HIDDEN, "further symbols inside it, other names among them" },   \
	MW__MASS_COLS(F, R, MW__COL_OPTIONAL | MW__COL_SPARE),                                                                                            \
	{ "object", "OBJECT", MW__T_TEXT, (F) | (OBJ) | MW__COL_TRUNC, "image" },                                       \
	{ "symbol", "SYMBOL", MW__T_TEXT, (F) | MW__COL_TRUNC, "function or variable" },                                \
	{ "raw", "RAW", MW__T_TEXT, (F) | MW__COL_HIDDEN, "name as in the file" }
/* Columns of the screen, by what is listed: one image or many; cold symbols have no resident bytes to show. */
static const struct mw__col cols[2][2][24] = {
	{ { SYMBOL_COLS(MW__COL_TEXT_ONLY, MW__COL_HIDDEN, 0) }, { SYMBOL_COLS(MW__COL_TEXT_ONLY, MW__COL_HIDDEN, MW__COL_HIDDEN) } },
	{ { SYMBOL_COLS(MW__COL_TEXT_ONLY, 0, 0) }, { SYMBOL_COLS(MW__COL_TEXT_ONLY, 0, MW__COL_HIDDEN) } },
};
static const struct mw__col keys[] = { SYMBOL_COLS(MW__COL_JSON_ONLY, 0, 0) };
_Static_assert(MW__COUNT(keys) == MW__COUNT(cols[0][0]), "as many columns on the screen as in JSON");

static const char *type_text(const struct mw__symbol *s)
{
	switch (s->type) {
	case STT_FUNC: case STT_GNU_IFUNC: return "function";
	case STT_OBJECT: return "variable";
	default: return "label";
	}
}

struct pick {
	const struct mw__piece *piece;
	const struct mw__image_pieces *of;
	uint64_t resident;
};
struct picks {
	MW_VEC(struct pick) list;
	struct mw__str name;
};

static void free_picks(struct picks *p)
{
	MW_VEC_FREE(&p->list);
	mw__str_deinit(&p->name);
}

static uint64_t piece_size(const struct pick *p)
{
	return p->piece->end - p->piece->start;
}

static int compare_hot(const void *a, const void *b)
{
	const struct pick *x = a, *y = b;

	if (x->resident != y->resident)
		return x->resident > y->resident ? -1 : 1;
	if (piece_size(x) != piece_size(y))
		return piece_size(x) > piece_size(y) ? -1 : 1;
	return x->piece->start < y->piece->start ? -1 : x->piece->start > y->piece->start;
}

static void sift_down(struct pick *v, size_t n, size_t at)
{
	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		struct pick here = v[at];

		if (child + 1 < n && compare_hot(&v[child], &v[child + 1]) < 0)
			child++;
		if (compare_hot(&here, &v[child]) >= 0)
			return;
		v[at] = v[child];
		v[child] = here;
	}
}

/* The first `most` in order, sorted; the others behind them in no order. Of a browser's symbols forty are shown. */
static void sort_first(struct pick *v, size_t n, size_t most)
{
	size_t k = mw__min(n, most);

	/* v[0, k) is a heap with the last of them on top */
	for (size_t i = k; k < n && i-- > 0;)
		sift_down(v, k, i);
	for (size_t i = k; k && i < n; i++)
		if (compare_hot(&v[i], &v[0]) < 0) {
			struct pick better = v[i];

			v[i] = v[0];
			v[0] = better;
			sift_down(v, k, 0);
		}
	if (k)
		qsort(v, k, sizeof(*v), compare_hot);
}

static void add_row(struct mw__doc_node *t, struct picks *p, const struct pick *k, bool text)
{
	const struct mw__image *img = k->of->image;
	const struct mw__symbol *s = &img->detail->symbols[k->piece->symbol];
	struct mw__mass mass = mw__piece_mass(k->of, k->piece);
	struct mw__doc_row *row = mw__doc_row(t);

	mw__row_text(t, row, Y_SYMBOL, mw__demangle(s->name, &p->name));
	mw__row_text(t, row, Y_OBJECT, text ? mw__basename(img->path) : img->path);
	mw__row_text(t, row, Y_SECTION, k->piece->section == MW__NONE ? NULL : img->sections[k->piece->section].name);
	mw__row_text(t, row, Y_TYPE, type_text(s));
	mw__row_u64(t, row, Y_ADDRESS, img->bias + s->addr);
	mw__row_u64(t, row, Y_SIZE, s->size);
	mw__row_u64(t, row, Y_OTHERS, k->piece->others);
	mw__row_text(t, row, Y_RAW, s->name);
	mw__mass_row(t, row, Y_MASS, &mass, img);
}

enum which { ALL, COLD, HOT };

/* Nothing of it is, or was, in this process's memory. */
static bool fits(const struct mw__mass *m, enum which which)
{
	uint64_t resident = mw__mass_resident(m);

	if (which == ALL || m->at[MW__AT_UNREAD])
		return which == ALL;
	return which == HOT ? resident != 0 :
	       m->mapped && !resident && !m->at[MW__AT_ZERO] && !m->at[MW__AT_SWAP] && !m->at[MW__AT_HUGETLB];
}

static int collect(struct picks *p, const struct mw__image_pieces *ic, enum which which)
{
	for (size_t i = 0; i < ic->pieces.n; i++) {
		const struct mw__piece *piece = &ic->pieces.v[i];

		if (piece->symbol == MW__NONE)
			continue;
		struct mw__mass mass = mw__piece_mass(ic, piece);

		if (!fits(&mass, which))
			continue;
		struct pick *k = MW_VEC_PUSH(&p->list);

		if (!k)
			return -MW_E_NOMEM;
		*k = (struct pick){ piece, ic, mw__mass_resident(&mass) };
	}
	return 0;
}

/* A table for the screen (text_cols NULL: none) and one for JSON, as many rows as the options allow. */
static void show(struct mw__sections_view *v, struct mw__doc_node *parent, struct picks *p, const char *key,
		 const char *title, bool has_symbols, const struct mw__col *text_cols)
{
	size_t limit = v->opts->limit ? v->opts->limit : SIZE_MAX;
	size_t shown = mw__min(p->list.n, v->opts->all ? limit : mw__min(limit, MAX_SHOWN));
	struct mw__doc_node *json = mw__doc_table(parent, key, NULL, keys, MW__COUNT(keys));

	sort_first(p->list.v, p->list.n, limit);
	for (size_t i = 0; i < p->list.n && i < limit; i++)
		add_row(json, p, &p->list.v[i], false);
	if (!text_cols)
		return;
	struct mw__doc_node *t = mw__doc_table(parent, NULL, title, text_cols, MW__COUNT(keys));

	for (size_t i = 0; i < shown; i++)
		add_row(t, p, &p->list.v[i], true);
	if (!p->list.n)
		mw__doc_linef(parent, NULL, 0, "%s: none%s", title, has_symbols ? "" : ": there are no symbols, and no debug file is here");
	else if (shown < p->list.n)
		mw__doc_linef(parent, NULL, 0, "%zu more (--all lists them)", p->list.n - shown);
	v->root->doc->failed |= p->name.failed;
}

int mw__sections_symbols(struct mw__sections_view *v, struct mw__doc_node *object, const struct mw__image_pieces *ic, bool text)
{
	MW_CLEANUP(free_picks) struct picks p = {};
	const struct mw__detail *d = ic->image->detail;
	char title[300];

	if (collect(&p, ic, ALL) < 0)
		return -MW_E_NOMEM;
	int n = snprintf(title, sizeof(title), "SYMBOLS OF %.100s", mw__basename(ic->image->path));

	if (d && d->symbols_from)
		snprintf(title + n, sizeof(title) - (size_t)n, " (%zu from %.120s)", p.list.n, d->symbols_from);
	show(v, object, &p, "symbols", title, d && d->symbols_from, text ? cols[0][0] : NULL);
	return 0;
}

/* The number of all symbols, and their bytes. */
static uint64_t count_symbols(const struct mw__sections_view *v, uint64_t *bytes)
{
	uint64_t count = 0;

	for (size_t i = 0; i < v->pieces->images.n; i++) {
		const struct mw__image_pieces *ip = &v->pieces->images.v[i];

		for (size_t k = 0; k < ip->pieces.n; k++)
			if (ip->pieces.v[k].symbol != MW__NONE) {
				count++;
				*bytes += mw__piece_mass(ip, &ip->pieces.v[k]).mapped;
			}
	}
	return count;
}

/* How much of all symbols it is. */
static void add_summary(struct mw__sections_view *v, const struct picks *p, uint64_t count, uint64_t bytes, const char *what)
{
	uint64_t sizes[2] = { 0, bytes };

	for (size_t i = 0; i < p->list.n; i++)
		sizes[0] += piece_size(&p->list.v[i]);
	mw__doc_linef(v->root, sizes, 2, "%zu of %llu functions and variables %s: \001 of \001", p->list.n,
		      (unsigned long long)count, what);
}

static int pick(struct mw__sections_view *v, enum which which, const char *key, const char *title, const char *what)
{
	MW_CLEANUP(free_picks) struct picks p = {};
	uint64_t bytes = 0, count = count_symbols(v, &bytes);

	for (size_t i = 0; i < v->pieces->images.n; i++)
		if (collect(&p, &v->pieces->images.v[i], which) < 0)
			return -MW_E_NOMEM;
	show(v, v->root, &p, key, title, count, cols[v->pieces->images.n > 1][which == COLD]);
	if (count)
		add_summary(v, &p, count, bytes, what);
	return 0;
}

int mw__sections_picks(struct mw__sections_view *v)
{
	int rc = 0;

	if (v->opts->cold)
		rc = pick(v, COLD, "cold", "COLD: NO PAGE HERE, LARGEST FIRST", "have no page here");
	if (rc == 0 && v->opts->hot)
		rc = pick(v, HOT, "hot", "HOT: RESIDENT, LARGEST FIRST", "are resident, at least in part");
	if (rc == 0)
		mw__doc_line(v->root, "\003- A page comes in whole and often with its neighbours, so a hot symbol need not have "
			     "been used; a cold one was not, since it was mapped or since the kernel took the page back.", NULL, 0);
	return rc;
}
