/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The load plan as a picture: the file on the left, the segments between, memory on the right, one row of
 * boxes a piece. Solid edges are bounds of mappings, which are bounds of pages; dotted ones lie within.
 * Heights mean nothing, since a page and a gigabyte must fit one screen. It is 80 columns wide as long
 * as addresses are.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../base/size.h"
#include "../elf/pieces.h"
#include "elf_view.h"

#define BOX 12		/* inside of a box */
#define WIDTH 80
#define MAX_DRAWN 60	/* more is no picture */

static const char solid[] = "+------------+", dotted[] = "+ . . . . . .+";

struct picture {
	const struct mw__elf_view *v;
	const struct mw__plan *plan;
	const struct mw__pieces *pieces;
	struct mw__doc_node *node;
	int off_width, addr_width;
	bool boxed;		/* the left box is open */
	uint64_t file_end;	/* where it ends */
};

static const struct mw__col piece_cols[] = {
	{ "start", "start", MW__T_ADDR, MW__COL_JSON_ONLY, "first address" },
	{ "end", "end", MW__T_ADDR, MW__COL_JSON_ONLY, "one past the last" },
	{ "kind", "kind", MW__T_TEXT, MW__COL_JSON_ONLY, "segment, before, after, cleared, zero, rounding, gap" },
	{ "offset", "offset", MW__T_ADDR, MW__COL_JSON_ONLY, "in the file" },
	{ "segment", "segment", MW__T_COUNT, MW__COL_JSON_ONLY, "program header" },
	{ "mapping", "mapping", MW__T_COUNT, MW__COL_JSON_ONLY, "number of the mapping" },
};

static int hex_digits(uint64_t v)
{
	int n = 1;

	while (v >>= 4)
		n++;
	return n;
}

/* ------------------------------------------------------------------- words */

/* Add a word when there is room, else count it. */
struct words {
	char *buf;
	size_t room, n, left_out;
};

static void add_word(struct words *w, const char *word)
{
	size_t len = strlen(word) + (w->n != 0);

	if (w->left_out || w->n + len + 4 > w->room) {
		w->left_out++;
		return;
	}
	w->n += (size_t)snprintf(w->buf + w->n, w->room + 1 - w->n, "%s%s", w->n ? " " : "", word);
}

/* A phrase that stands alone is cut where it does not fit. */
static void add_phrase(struct words *w, const char *phrase)
{
	w->n += (size_t)snprintf(w->buf + w->n, w->room + 1 - w->n, "%s%s", w->n ? " " : "", phrase);
	w->n = mw__min(w->n, w->room);
}

static void end_words(struct words *w)
{
	if (w->left_out)
		snprintf(w->buf + w->n, w->room + 1 - w->n, "%s+%zu", w->n ? " " : "", w->left_out);
}

static bool overlaps(uint64_t a, uint64_t a_size, uint64_t start, uint64_t end)
{
	return a_size && a < end && (a >= start || start - a < a_size);
}

static void sections_of(const struct picture *p, const struct mw__piece *r, struct words *w)
{
	const struct mw_elf *elf = p->v->elf;

	if (r->off == 0)
		add_word(w, "ELF header");
	for (size_t i = 1; i < elf->n_sh; i++) {
		const struct mw__shdr *s = &elf->sh[i];

		if ((s->flags & SHF_ALLOC) && !(s->type == SHT_NOBITS && (s->flags & SHF_TLS)) &&
		    (s->type == SHT_NOBITS) == (r->kind != MW__PIECE_SEGMENT) && overlaps(s->addr, s->size, r->start, r->end))
			add_word(w, mw__elf_section_name(elf, i));
	}
}

/* The segment asks for these addresses; behind them only the page does. */
static bool is_wanted(const struct picture *p, const struct mw__piece *r)
{
	const struct mw__phdr *h = r->segment < p->v->elf->n_ph ? &p->v->elf->ph[r->segment] : NULL;

	return h && r->start >= h->vaddr && r->start - h->vaddr < h->memsz;
}

/* What the piece is, in the columns that are left behind its box. */
static void describe(const struct picture *p, const struct mw__piece *r, char *buf, size_t room)
{
	const struct mw__mapping *m = &p->plan->maps.v[r->mapping];
	struct words w = { .buf = buf, .room = room };

	buf[0] = '\0';
	if (m->kind == MW__MAP_RELRO)
		add_phrase(&w, "RELRO:");
	switch (r->kind) {
	case MW__PIECE_SEGMENT: sections_of(p, r, &w); break;
	case MW__PIECE_CLEARED:
		add_phrase(&w, is_wanted(p, r) ? "cleared" : "cleared, unused");
		sections_of(p, r, &w);
		break;
	case MW__PIECE_ZERO:
		add_phrase(&w, "anonymous");
		sections_of(p, r, &w);
		break;
	case MW__PIECE_ROUNDING: add_phrase(&w, "anonymous, unused"); break;
	case MW__PIECE_GAP: add_phrase(&w, "reserved"); break;
	default:
		if (r->off != MW_UNKNOWN && r->off >= p->v->elf->size)
			add_phrase(&w, "behind the file: zero");
		else
			add_phrase(&w, r->kind == MW__PIECE_BEFORE ? "the file before it" : "the file behind it");
	}
	end_words(&w);
}

/* ------------------------------------------------------------------- lines */

/* A size in the middle of a box. */
static void size_box(char buf[static BOX + 3], uint64_t bytes)
{
	char text[MW__SIZE_TEXT];
	const char *size = mw__size_text(bytes, MW_UNIT_IEC, text);
	size_t len = strnlen(size, BOX);

	memset(buf, ' ', BOX + 2);
	buf[0] = buf[BOX + 1] = '|';
	buf[BOX + 2] = '\0';
	memcpy(buf + 1 + (BOX - len) / 2, size, len);
}

static void line(const struct picture *p, const char *off, const char *left, const char *middle, const char *right,
		 const char *note)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "%*s %-14s%-14s%-14s %s", p->off_width + 2, off, left, middle, right, note);

	while (n > 0 && n < (int)sizeof(text) && text[n - 1] == ' ')
		text[--n] = '\0';
	mw__view_line(p->node, "%s", text);
}

/* The edge above piece i, or below the last one. */
static void edge(struct picture *p, size_t i)
{
	const struct mw__piece *r = i < p->pieces->v.n ? &p->pieces->v.v[i] : NULL;
	const struct mw__piece *last = i ? &p->pieces->v.v[i - 1] : NULL;
	const struct mw__mapping *m = r ? &p->plan->maps.v[r->mapping] : NULL;
	bool opens = r && r->kind == MW__PIECE_SEGMENT;
	bool goes_on = p->boxed && opens && last->segment == r->segment && r->off == p->file_end;
	bool is_bound = !r || !last || last->mapping != r->mapping;
	char off[24] = "", note[64] = "";

	if (opens || p->boxed)
		snprintf(off, sizeof(off), "0x%" PRIx64, opens ? r->off : p->file_end);
	if (!m && last)
		snprintf(note, sizeof(note), "0x%" PRIx64, last->end);
	else if (m && is_bound)
		snprintf(note, sizeof(note), "0x%-*" PRIx64 " %c%c%c", p->addr_width, r->start, m->prot & PF_R ? 'r' : '-',
			 m->prot & PF_W ? 'w' : '-', m->prot & PF_X ? 'x' : '-');
	else if (r)
		snprintf(note, sizeof(note), "0x%" PRIx64, r->start);
	line(p, off, !opens && !p->boxed ? "" : goes_on ? dotted : solid, "", is_bound ? solid : dotted, note);
}

static void box(struct picture *p, size_t i)
{
	const struct mw__piece *r = &p->pieces->v.v[i];
	const struct mw__piece *last = i ? &p->pieces->v.v[i - 1] : NULL;
	bool in_file = r->kind == MW__PIECE_SEGMENT, first = in_file && !(last && p->boxed && last->segment == r->segment);
	char left[BOX + 4] = "", right[BOX + 4], middle[24] = "", note[WIDTH + 1];
	unsigned flags = r->segment < p->v->elf->n_ph ? (unsigned)p->v->elf->ph[r->segment].flags : 0;
	int room = WIDTH - (p->off_width + 2 + 1 + 14 * 3 + 1);

	size_box(right, r->end - r->start);
	if (in_file)
		size_box(left, r->end - r->start);
	if (first)
		snprintf(middle, sizeof(middle), "-- %zu %c%c%c ---------", r->segment, flags & PF_R ? 'r' : '-',
			 flags & PF_W ? 'w' : '-', flags & PF_X ? 'x' : '-');
	else if (in_file)
		snprintf(middle, sizeof(middle), "--------------");
	if (in_file)
		middle[13] = '>', middle[14] = '\0';
	describe(p, r, note, room > 8 ? (size_t)room : 8);
	line(p, "", left, middle, right, note);
	p->boxed = in_file;
	if (in_file)
		p->file_end = r->off + (r->end - r->start);
}

/* Bytes of the file that no segment loads. */
static void draw_rest(struct picture *p, uint64_t start, uint64_t end)
{
	const struct mw_elf *elf = p->v->elf;
	char left[BOX + 3], off[24], text[WIDTH + 1] = "";
	struct words w = { .buf = text, .room = (size_t)(WIDTH - p->off_width - 18 - 14) };

	if (start >= end)
		return;
	if (!start)
		add_word(&w, "ELF header");
	for (size_t i = 1; i < elf->n_sh; i++)
		if (elf->sh[i].off >= start && elf->sh[i].off < end && mw__elf_section_bytes(elf, i))
			add_word(&w, mw__elf_section_name(elf, i));
	if (elf->n_sh && elf->eh.shoff >= start && elf->eh.shoff < end)
		add_word(&w, "section headers");
	end_words(&w);
	snprintf(off, sizeof(off), "0x%" PRIx64, start);
	line(p, off, solid, "", "", "");
	size_box(left, end - start);
	mw__view_line(p->node, "%*s %s not loaded%s%s", p->off_width + 2, "", left, w.n ? ": " : "", text);
	snprintf(off, sizeof(off), "0x%" PRIx64, end);
	line(p, off, solid, "", "", "");
}

/* A page of the file that several segments bring is there several times, with the rights of each. */
static bool brings(const struct mw__phdr *h, uint64_t file_page, uint64_t page)
{
	return h->type == PT_LOAD && h->filesz && h->filesz <= UINT64_MAX - h->off && mw__align_down(h->off, page) <= file_page &&
	       h->off + h->filesz > file_page;
}

static void say_shared(const struct picture *p, uint64_t page)
{
	const struct mw_elf *elf = p->v->elf;
	uint64_t said = MW_UNKNOWN;

	for (size_t i = 0; i < p->pieces->v.n; i++) {
		const struct mw__piece *r = &p->pieces->v.v[i];
		uint64_t at = mw__align_down(r->off, page);
		char text[256];
		struct words w = { .buf = text, .room = sizeof(text) - 8 };
		size_t n = 0;

		if (r->kind != MW__PIECE_BEFORE || at == said)
			continue;
		for (size_t k = 0; k < elf->n_ph; k++)
			if (brings(&elf->ph[k], at, page)) {
				char number[24];

				n++;
				snprintf(number, sizeof(number), "%zu", k);
				add_word(&w, number);
			}
		end_words(&w);
		said = at;
		if (n > 1)
			mw__view_line(p->node, "the page at 0x%" PRIx64 " of the file is mapped %zu times, by segments %s", at, n, text);
	}
}

static void draw(struct picture *p, uint64_t page)
{
	uint64_t top = 0, loaded_from = p->v->elf->size, loaded_to = 0;

	for (size_t i = 0; i < p->pieces->v.n; i++) {
		const struct mw__piece *r = &p->pieces->v.v[i];

		top = mw__max(top, r->end);
		if (r->kind == MW__PIECE_SEGMENT) {
			loaded_from = mw__min(loaded_from, r->off);
			loaded_to = mw__max(loaded_to, r->off + (r->end - r->start));
		}
	}
	p->off_width = hex_digits(p->v->elf->size);
	p->addr_width = hex_digits(top);
	mw__view_line(p->node, "%s", "");
	line(p, "", "     file", "    segment", "    memory", "");
	draw_rest(p, 0, mw__min(loaded_from, loaded_to));
	for (size_t i = 0; i < p->pieces->v.n; i++) {
		edge(p, i);
		box(p, i);
	}
	edge(p, p->pieces->v.n);
	draw_rest(p, loaded_to, p->v->elf->size);
	say_shared(p, page);
}

void mw__elf_view_picture(const struct mw__elf_view *v, struct mw__doc_node *node, const struct mw__plan *plan)
{
	struct mw__pieces pieces;

	if (mw__plan_pieces(v->elf, plan, &pieces, NULL) < 0) {
		v->doc->failed = true;
		return;
	}
	struct mw__doc_node *t = mw__doc_table(node, "pieces", NULL, piece_cols, MW__COUNT(piece_cols));

	for (size_t i = 0; i < pieces.v.n; i++) {
		const struct mw__piece *r = &pieces.v.v[i];
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_u64(t, row, 0, r->start);
		mw__row_u64(t, row, 1, r->end);
		mw__row_text(t, row, 2, mw__piece_kinds[r->kind]);
		mw__row_u64(t, row, 3, r->off);
		mw__row_u64(t, row, 4, r->segment < v->elf->n_ph ? r->segment : MW_UNKNOWN);
		mw__row_u64(t, row, 5, r->mapping);
	}
	struct picture p = { .v = v, .plan = plan, .pieces = &pieces, .node = node };

	if (pieces.v.n && pieces.v.n <= MAX_DRAWN)
		draw(&p, v->opts->page_size);
	MW_VEC_FREE(&pieces.v);
}
