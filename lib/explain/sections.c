/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pieces, and the masses in them. Sections or symbols that overlap (which no linker makes, but a file may
 * claim) are clipped: the one that starts first keeps its bytes.
 */
#include "sections.h"

#include "../base/cleanup.h"
#include "../base/search.h"
#include "../base/size.h"
#include "../model/place.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define PAGE UINT64_C(4096)

/*
 * A browser has a quarter of a million pieces, and nearly each of them is in one state. What mass of a piece holds:
 * 0 nothing of it is mapped; up to MAX_SAME the state of all of it, and whether it is huge; from there on an index
 * into masses.
 */
#define SAME(where, is_huge) (1 + 2 * (uint32_t)(where) + (is_huge))
#define MAX_SAME (2 * MW__N_AT)

static void add_same(struct mw__mass *m, enum mw__where where, bool is_huge, uint64_t bytes)
{
	m->mapped += bytes;
	m->at[where] += bytes;
	if (is_huge && mw__wheres[where].is_resident)
		m->huge += bytes;
}

void mw__piece_add(const struct mw__image_pieces *ip, const struct mw__piece *piece, struct mw__mass *sum)
{
	if (piece->mass > MAX_SAME)
		mw__mass_add(sum, &ip->masses.v[piece->mass - MAX_SAME - 1]);
	else if (piece->mass)
		add_same(sum, (piece->mass - 1) / 2, (piece->mass - 1) % 2, piece->end - piece->start);
}

struct mw__mass mw__piece_mass(const struct mw__image_pieces *ip, const struct mw__piece *piece)
{
	struct mw__mass m = {};

	mw__piece_add(ip, piece, &m);
	return m;
}

uint64_t mw__mass_resident(const struct mw__mass *m)
{
	return m->at[MW__AT_ANON] + m->at[MW__AT_COPY] + m->at[MW__AT_FILE] + m->at[MW__AT_SHMEM];
}

void mw__mass_add(struct mw__mass *sum, const struct mw__mass *m)
{
	for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++)
		((uint64_t *)sum)[i] += ((const uint64_t *)m)[i];
}

bool mw__section_is_mapped(const struct mw__section *s)
{
	return s->size && !(s->flags & SHF_TLS && s->type == SHT_NOBITS);
}

/* ------------------------------------------------------------------- pieces */

struct cutter {
	struct mw__image_pieces *out;
	const struct mw__image *img;
	uint64_t at;		/* end of the last piece, without bias */
	uint32_t symbol;	/* next one */
	bool symbols;
};

static int push_piece(struct cutter *c, uint64_t end, uint32_t section, uint32_t symbol)
{
	if (end <= c->at)
		return 0;
	struct mw__piece *piece = MW_VEC_PUSH(&c->out->pieces);

	if (!piece)
		return -MW_E_NOMEM;
	piece->start = c->img->bias + c->at;
	piece->end = c->img->bias + end;
	piece->section = section;
	piece->symbol = symbol;
	c->at = end;
	return 0;
}

/* Pieces of the symbols below end; the cutter stands at or behind the section's start. */
static int cut_symbols(struct cutter *c, uint64_t end, uint32_t section)
{
	const struct mw__detail *d = c->img->detail;

	for (; d && c->symbols && c->symbol < d->n_symbols && d->symbols[c->symbol].addr < end; c->symbol++) {
		const struct mw__symbol *s = &d->symbols[c->symbol];
		uint64_t stop = s->size > end - s->addr ? end : s->addr + s->size;

		if (!s->size)
			continue;
		if (stop <= c->at) {
			if (c->out->pieces.n && c->out->pieces.v[c->out->pieces.n - 1].symbol != MW__NONE)
				c->out->pieces.v[c->out->pieces.n - 1].others++;
			continue;
		}
		if (push_piece(c, s->addr, section, MW__NONE) < 0 || push_piece(c, stop, section, c->symbol) < 0)
			return -MW_E_NOMEM;
	}
	return push_piece(c, end, section, MW__NONE);
}

static int cut_image(struct mw__image_pieces *out, bool symbols)
{
	const struct mw__image *img = out->image;
	struct cutter c = { .out = out, .img = img, .at = img->start - img->bias, .symbols = symbols };
	bool any = false;

	for (uint32_t i = 0; i < img->n_sections; i++) {
		const struct mw__section *s = &img->sections[i];
		uint64_t end;

		if (!mw__section_is_mapped(s) || __builtin_add_overflow(s->addr, s->size, &end))
			continue;
		any = true;
		if (push_piece(&c, s->addr, MW__NONE, MW__NONE) < 0 || cut_symbols(&c, end, i) < 0)
			return -MW_E_NOMEM;
	}
	uint64_t end = img->end - img->bias;

	if (!any && cut_symbols(&c, end, MW__NONE) < 0)
		return -MW_E_NOMEM;
	/* what is mapped of it behind its last segment */
	struct mw__piece *last = out->pieces.n ? &out->pieces.v[out->pieces.n - 1] : NULL;

	if (last && last->section == MW__NONE && last->symbol == MW__NONE) {
		last->end = UINT64_MAX;
		return 0;
	}
	last = MW_VEC_PUSH(&out->pieces);
	if (!last)
		return -MW_E_NOMEM;
	*last = (struct mw__piece){ .start = img->bias + c.at, .end = UINT64_MAX, .section = MW__NONE, .symbol = MW__NONE };
	return 0;
}

/* -------------------------------------------------------------------- why */

/* The first relocated page at or above this one, without bias; UINT64_MAX without any. */
static uint64_t next_relocated(const struct mw__image *img, uint64_t page)
{
	const struct mw__detail *d = img->detail;
	size_t low = MW_FIRST(i, d ? d->n_reloc_pages : 0, d->reloc_pages[i].addr >= page);

	return d && low < d->n_reloc_pages ? d->reloc_pages[low].addr : UINT64_MAX;
}

/*
 * The first page at or above this one in which the file part of a segment ends with memory beyond it: the
 * rest of it was cleared. UINT64_MAX without any.
 */
static uint64_t next_cleared(const struct mw__image *img, uint64_t page)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];
		uint64_t end = s->vaddr + s->filesz, at = mw__align_down(end, PAGE);

		if (s->type == PT_LOAD && s->memsz > s->filesz && s->flags & PF_W && end % PAGE && at >= page)
			next = mw__min(next, at);
	}
	return next;
}

enum mw__why mw__image_why(const struct mw__image *img, uint64_t addr)
{
	uint64_t page = mw__align_down(addr - img->bias, PAGE);

	if (next_relocated(img, page) == page)
		return MW__BY_RELOC;
	return next_cleared(img, page) == page ? MW__BY_CLEAR : MW__BY_WRITE;
}

/* ------------------------------------------------------------------ masses */

static void add_mass(struct mw__mass *m, const struct mw__image *img, const struct mw__stretch *s, uint64_t from,
		     uint64_t to)
{
	add_same(m, s->where, s->is_huge, to - from);
	/* page by page where there is a reason, else in one step */
	for (uint64_t at = from; s->where == MW__AT_COPY && at < to;) {
		uint64_t page = mw__align_down(at - img->bias, PAGE);
		uint64_t reason = mw__min(next_relocated(img, page), next_cleared(img, page));
		uint64_t step = reason > page ? reason - (at - img->bias) : page + PAGE - (at - img->bias);
		uint64_t next = at + mw__min(step, to - at);

		m->why[mw__image_why(img, at)] += next - at;
		at = next;
	}
}

/* The piece that holds addr. */
static size_t find_piece(const struct mw__image_pieces *ic, uint64_t addr)
{
	return MW_FIRST(i, ic->pieces.n, ic->pieces.v[i].end > addr);
}

/* The mass of a piece that is of several kinds, or NULL. */
static struct mw__mass *mass_of(struct mw__image_pieces *ic, struct mw__piece *c)
{
	if (c->mass > MAX_SAME)
		return &ic->masses.v[c->mass - MAX_SAME - 1];
	struct mw__mass so_far = mw__piece_mass(ic, c), *m = MW_VEC_PUSH(&ic->masses);

	if (!m)
		return NULL;
	*m = so_far;
	c->mass = (uint32_t)ic->masses.n + MAX_SAME;
	return m;
}

static int add_stretch(struct mw__image_pieces *ic, const struct mw__stretch *s)
{
	uint64_t at = s->start;

	for (size_t i = find_piece(ic, at); i < ic->pieces.n && at < s->end; i++) {
		struct mw__piece *c = &ic->pieces.v[i];
		uint64_t to = mw__min(s->end, c->end);

		if (!c->mass && at == c->start && to == c->end && s->where != MW__AT_COPY) {
			c->mass = SAME(s->where, s->is_huge);
		} else {
			struct mw__mass *m = mass_of(ic, c);

			if (!m)
				return -MW_E_NOMEM;
			add_mass(m, ic->image, s, at, to);
		}
		at = to;
	}
	return 0;
}

static int add_extent(const struct mw_snapshot *snap, struct mw__image_pieces *ic, const struct mw__extent *x)
{
	struct mw__stretches it;
	struct mw__stretch s;

	mw__stretches_init(&it, snap, x);
	while (mw__stretches_next(&it, &s)) {
		if (x->owner == MW__OWNER_LDSO_GAP)
			add_mass(&ic->gaps, ic->image, &s, s.start, s.end);
		else if (add_stretch(ic, &s) < 0)
			return -MW_E_NOMEM;
		add_mass(&ic->sum, ic->image, &s, s.start, s.end);
	}
	return 0;
}

static int fill(const struct mw_snapshot *snap, struct mw__pieces *pieces, const uint32_t *index)
{
	MW_CLEANUP(mw__extents_deinit) struct mw__extents it = {};
	struct mw__extent x;

	if (mw__extents_init(&it, snap) < 0)
		return -MW_E_NOMEM;
	while (mw__extents_next(&it, &x)) {
		uint32_t i = x.image ? index[x.image - snap->images.v] : MW__NONE;

		if (i != MW__NONE && add_extent(snap, &pieces->images.v[i], &x) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

static int compare_images(const void *a, const void *b)
{
	const struct mw__image_pieces *x = a, *y = b;
	uint64_t rx = mw__mass_resident(&x->sum), ry = mw__mass_resident(&y->sum);

	if ((x->image->role == MW__PROGRAM) != (y->image->role == MW__PROGRAM))
		return x->image->role == MW__PROGRAM ? -1 : 1;
	if (rx != ry)
		return rx > ry ? -1 : 1;
	return x->image->start < y->image->start ? -1 : x->image->start > y->image->start;
}

static void free_image(struct mw__image_pieces *ip)
{
	MW_VEC_FREE(&ip->pieces);
	MW_VEC_FREE(&ip->masses);
}

static void drop_empty(struct mw__pieces *pieces)
{
	size_t n = 0;

	for (size_t i = 0; i < pieces->images.n; i++) {
		if (pieces->images.v[i].sum.mapped)
			pieces->images.v[n++] = pieces->images.v[i];
		else
			free_image(&pieces->images.v[i]);
	}
	pieces->images.n = n;
	if (n)
		qsort(pieces->images.v, n, sizeof(*pieces->images.v), compare_images);
}

int mw__pieces_make(const struct mw_snapshot *snap, const char *name, bool symbols, struct mw__pieces *ret)
{
	MW_CLEANUP(mw__freep) uint32_t *index = malloc((snap->images.n + 1) * sizeof(*index));
	int rc = index ? 0 : -MW_E_NOMEM;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; rc == 0 && i < snap->images.n; i++) {
		const struct mw__image *img = &snap->images.v[i];

		index[i] = MW__NONE;
		if (img->start >= img->end || (name && !mw__place_names(name, img->path)))
			continue;
		struct mw__image_pieces *ic = MW_VEC_PUSH(&ret->images);

		if (!ic) {
			rc = -MW_E_NOMEM;
			break;
		}
		index[i] = (uint32_t)(ret->images.n - 1);
		ic->image = img;
		rc = cut_image(ic, symbols);
	}
	if (rc == 0)
		rc = fill(snap, ret, index);
	if (rc < 0)
		mw__pieces_deinit(ret);
	else
		drop_empty(ret);
	return rc;
}

void mw__pieces_deinit(struct mw__pieces *pieces)
{
	for (size_t i = 0; i < pieces->images.n; i++)
		free_image(&pieces->images.v[i]);
	MW_VEC_FREE(&pieces->images);
}
