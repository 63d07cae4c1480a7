/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy heap: the arenas as a picture in text, a character a page, or in short a character for the most
 * frequent kind of several. Whether a page has memory comes from the page states, what it is used for from
 * the allocator's books.
 */
#include "heap_view.h"

#include "../base/cleanup.h"
#include "../base/size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW 64u
#define SHORT_CELLS 768u	/* of the picture in short, over all arenas */
#define KERNEL_PAGE 4096u

static const char class_marks[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!$%&*+";
_Static_assert(sizeof(class_marks) == MW__OWN_CLASSES + 1, "a mark for each class");

enum { NOT_MAPPED = '~', FRESH = '.', GIVEN_BACK = '-', ABSENT = ',', FULL = '#', PRIVATE = 'p' };

/* What else a page is; where letters are size classes, other marks stand for it. */
enum { LARGE, SAMPLED, KEPT, DIRTY, LAZY, N_MARKS };
static const char marks_of[2][N_MARKS + 1] = { "LSkoz", "=@:_;" };

struct picture {
	struct mw__heap_view *v;
	char *marks;		/* one a page of the arena at hand */
	uint32_t pages;		/* of an arena */
	uint64_t cell;		/* pages in a character */
	size_t vma, run;	/* cursors into the snapshot; they only move forward */
};

/* Has the page any memory, as far as is known? Addresses ascend, so the cursors move once over everything. */
static bool is_resident(struct picture *p, uint64_t start)
{
	if (p->v->acc->total.unread)
		return true;
	const struct mw_snapshot *snap = p->v->snap;
	uint64_t end = start + p->v->own->page_size;

	while (p->run < snap->runs.n && snap->runs.v[p->run].start + (uint64_t)snap->runs.v[p->run].pages * KERNEL_PAGE <= start)
		p->run++;
	for (size_t i = p->run; i < snap->runs.n && snap->runs.v[i].start < end; i++)
		if (snap->runs.v[i].state & MW__PRESENT && !(snap->runs.v[i].state & MW__ZERO))
			return true;
	return false;
}

static bool shows_classes(const struct picture *p)
{
	return p->v->opts->picture == 2;
}

static char mark_as(const struct picture *p, unsigned what)
{
	return marks_of[shows_classes(p)][what];
}

static char mark_of_span(const struct picture *p, const struct mw__own_span *s)
{
	switch ((enum mw__own_use)s->use) {
	case MW__OWN_SMALL:
		if (shows_classes(p))
			return class_marks[s->cls];
		return s->used == s->nelems ? FULL : (char)('0' + s->used * 10u / s->nelems);
	case MW__OWN_SAMPLED:
		return mark_as(p, SAMPLED);
	case MW__OWN_PRIVATE:
		return shows_classes(p) ? class_marks[s->cls] : PRIVATE;
	case MW__OWN_CACHED:
	case MW__OWN_KEPT:
		return mark_as(p, KEPT);
	default:
		return mark_as(p, LARGE);
	}
}

/* Of a free page without memory, and what one with memory is. */
static const struct {
	char absent;
	unsigned resident;
} free_marks[MW__OWN_FREES] = {
	[MW__OWN_DIRTY] = { ABSENT, DIRTY },
	[MW__OWN_GIVEN_BACK] = { GIVEN_BACK, LAZY },
	[MW__OWN_FRESH] = { FRESH, LAZY },
};

/* Mark the pages of [base, base + npages) that lie in this arena. */
static void mark(struct picture *p, uint64_t arena, uint64_t base, uint32_t npages, char absent, char resident)
{
	uint64_t first = (base - arena) / p->v->own->page_size;

	for (uint64_t i = first; i < first + npages && i < p->pages; i++)
		p->marks[i] = is_resident(p, arena + i * p->v->own->page_size) ? resident : absent;
}

/* Spans and free runs of one arena; both lists are sorted, *span and *run are where it begins. */
static void draw_arena(struct picture *p, uint64_t arena, size_t *span, size_t *run)
{
	const struct mw__own *own = p->v->own;
	uint64_t end = arena + own->arena_size;

	memset(p->marks, NOT_MAPPED, p->pages);
	p->run = 0;
	for (; *span < own->spans.n && own->spans.v[*span].base >= arena && own->spans.v[*span].base < end; ++*span)
		mark(p, arena, own->spans.v[*span].base, own->spans.v[*span].npages, ABSENT, mark_of_span(p, &own->spans.v[*span]));
	p->run = 0;
	for (; *run < own->frees.n && own->frees.v[*run].base < end; ++*run) {
		char absent = free_marks[own->frees.v[*run].why].absent;
		unsigned resident = free_marks[own->frees.v[*run].why].resident;
		bool unknown = resident == LAZY && p->v->acc->total.unread;

		mark(p, arena, own->frees.v[*run].base, own->frees.v[*run].npages, absent, unknown ? absent : mark_as(p, resident));
	}
}

/* The most frequent mark of n pages. */
static char summary(const char *marks, uint64_t n)
{
	unsigned counts[128] = {};
	char best = marks[0];

	for (uint64_t i = 0; i < n; i++)
		if (++counts[(unsigned char)marks[i] & 127] > counts[(unsigned char)best & 127])
			best = marks[i];
	return best;
}

static void print_arena(struct picture *p, uint64_t arena)
{
	uint64_t last = p->pages, page = p->v->own->page_size;
	char line[ROW + 1];

	while (last && p->marks[last - 1] == NOT_MAPPED)
		last--;
	for (uint64_t at = 0; at < last; at += ROW * p->cell) {
		unsigned n = 0;

		for (; n < ROW && at + n * p->cell < last; n++)
			line[n] = summary(&p->marks[at + n * p->cell], mw__min(p->cell, last - at - n * p->cell));
		line[n] = '\0';
		mw__doc_linef(p->v->root, NULL, 0, "%012llx %s", (unsigned long long)(arena + at * page), line);
	}
}

enum { A_BASE, A_MAPPED, A_USED, A_DIRTY, A_BACK, A_FRESH, A_ODD, A_PAGES };
static const struct mw__col arena_cols[] = {
	{ "base", NULL, MW__T_ADDR, MW__COL_JSON_ONLY, NULL },	 { "mapped", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "in_spans", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL }, { "free_kept", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "given_back", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "never_touched", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL },
	{ "changing_hands", NULL, MW__T_BYTES, MW__COL_JSON_ONLY, NULL }, { "pages", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
};

static void arena_row(struct picture *p, struct mw__doc_node *t, const struct mw__own_arena *a)
{
	uint64_t page = p->v->own->page_size, last = p->pages;
	struct mw__doc_row *row = mw__doc_row(t);

	mw__row_u64(t, row, A_BASE, a->base);
	mw__row_u64(t, row, A_MAPPED, a->pages_mapped * page);
	mw__row_u64(t, row, A_USED, a->pages_used * page);
	mw__row_u64(t, row, A_DIRTY, a->pages_free[MW__OWN_DIRTY] * page);
	mw__row_u64(t, row, A_BACK, a->pages_free[MW__OWN_GIVEN_BACK] * page);
	mw__row_u64(t, row, A_FRESH, a->pages_free[MW__OWN_FRESH] * page);
	mw__row_u64(t, row, A_ODD, a->pages_odd * page);
	while (last && p->marks[last - 1] == NOT_MAPPED)
		last--;
	p->marks[last] = '\0';
	mw__row_text(t, row, A_PAGES, p->marks);
	p->marks[last] = NOT_MAPPED;
}

static void print_legend(const struct picture *p)
{
	struct mw__doc_node *root = p->v->root;
	uint64_t size = p->cell * p->v->own->page_size;

	if (p->cell > 1)
		mw__doc_line(root, "A character is \001 (--picture: a page), and stands for what is most frequent in it:", &size, 1);
	else
		mw__doc_line(root, "A character is a page of \001:", &size, 1);
	if (shows_classes(p))
		mw__doc_line(root, "Size classes 0 to 67, of private heaps too:", NULL, 0);
	if (shows_classes(p))
		mw__doc_line(root, class_marks, NULL, 0);
	else
		mw__doc_line(root, "# full span   0 to 9 tenths of it that are out   p private heap", NULL, 0);
	mw__doc_linef(root, NULL, 0, "%c large block   %c sampled block   %c freed run kept   %c free page kept", mark_as(p, LARGE), mark_as(p, SAMPLED),
		      mark_as(p, KEPT), mark_as(p, DIRTY));
	mw__doc_line(root, ", in use or kept, without memory   - given back   . never touched", NULL, 0);
	mw__doc_linef(root, NULL, 0, "%c given back or never touched, but has memory   ~ not mapped", mark_as(p, LAZY));
	if (p->v->acc->total.unread)
		mw__doc_line(root, "Which pages have memory is not known: all is drawn by the books alone.", NULL, 0);
}

int mw__view_heap_picture(struct mw__heap_view *v)
{
	const struct mw__own *own = v->own;
	struct picture p = { .v = v, .pages = (uint32_t)(own->arena_size / own->page_size), .cell = 1 };
	MW_CLEANUP(mw__freep) char *marks = malloc(p.pages + 1);
	struct mw__doc_node *t = mw__doc_table(v->root, "arenas", NULL, arena_cols, MW__COUNT(arena_cols));
	uint64_t pages = 0;
	size_t span = 0, run = 0;

	if (!marks)
		return -MW_E_NOMEM;
	p.marks = marks;
	for (size_t i = 0; i < own->arenas.n; i++)
		pages += own->arenas.v[i].pages_mapped;
	while (!v->opts->picture && pages / p.cell > SHORT_CELLS)
		p.cell *= 2;
	mw__doc_line(v->root, "\002ARENAS", NULL, 0);
	for (size_t i = 0; i < own->arenas.n; i++) {
		draw_arena(&p, own->arenas.v[i].base, &span, &run);
		print_arena(&p, own->arenas.v[i].base);
		arena_row(&p, t, &own->arenas.v[i]);
	}
	print_legend(&p);
	return 0;
}
