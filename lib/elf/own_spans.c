/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who can name bytes. Symbols come from the first of these that has any: .symtab, the .symtab of the
 * separate debug file, Go's .gopclntab, which stripping leaves; then from .dynsym; code that is left is known
 * by its unwind record alone. A symbol without size never claims bytes, but a symbol names the unwind record
 * that starts where it points. Units and lines come from the DWARF child.
 */
#include "own_spans.h"

#include <string.h>

#include "../base/err.h"
#include "../base/search.h"
#include "../base/size.h"
#include "debugfile.h"
#include "detail.h"
#include "dwarf.h"
#include "symbols.h"
#include "unwind.h"

#define MAX_PLT 32

/* Where a symbol points. */
struct label {
	uint64_t addr;
	uint32_t name;
};

struct job {
	struct mw_elf *elf;
	struct mw__spans *s;
	MW_VEC(struct label) labels;
	uint8_t level;
};

static uint32_t add_name(struct job *j, const char *name)
{
	const char **n = name ? MW_VEC_PUSH(&j->s->names) : NULL;

	if (!n) {
		j->s->failed = true;
		return 0;
	}
	*n = name;
	return (uint32_t)(j->s->names.n - 1);
}

static void add_span(struct job *j, uint64_t start, uint64_t size, uint32_t name, bool in_file)
{
	struct mw__span *s = size ? MW_VEC_PUSH(&j->s->v) : NULL;

	if (s)
		*s = (struct mw__span){ start, size, name, j->level, in_file };
	else if (size)
		j->s->failed = true;
}

static void say_from(struct job *j, const char *what)
{
	j->s->from = j->s->from ? mw__arena_printf(&j->elf->arena, "%s, %s", j->s->from, what) : what;
}

/* ----------------------------------------------------------------- symbols */

static void add_label(struct job *j, uint64_t addr, uint32_t name)
{
	struct label *l = MW_VEC_PUSH(&j->labels);

	if (l)
		*l = (struct label){ addr, name };
	else
		j->s->failed = true;
}

static void add_symbol(struct job *j, const struct mw__sym *s)
{
	const struct mw_elf *elf = j->elf;
	unsigned type = s->info & 15;

	if (!s->name || !*s->name || s->shndx == SHN_UNDEF || s->shndx == SHN_ABS || s->shndx == SHN_COMMON ||
	    (type != STT_FUNC && type != STT_OBJECT && type != STT_NOTYPE && type != STT_GNU_IFUNC))
		return;
	if (elf->eh.type == ET_REL) {	/* values are offsets in sections */
		if (s->section < elf->n_sh && elf->sh[s->section].type != SHT_NOBITS && s->value < elf->sh[s->section].size)
			add_span(j, elf->sh[s->section].off + s->value, mw__min(s->size, elf->sh[s->section].size - s->value),
				 add_name(j, s->name), true);
		return;
	}
	uint32_t name = s->size || type != STT_OBJECT ? add_name(j, s->name) : 0;

	add_span(j, s->value, s->size, name, false);
	if (type != STT_OBJECT)
		add_label(j, s->value, name);
}

static bool add_table(struct job *j, const struct mw__symtab *t, const char *from)
{
	struct mw__sym s;
	size_t before = j->s->v.n;

	for (size_t k = 1; k < t->n; k++) {
		mw__sym_at(t, k, &s);
		add_symbol(j, &s);
	}
	if (j->s->v.n > before)
		say_from(j, from);
	j->level++;
	return j->s->v.n > before;
}

static bool add_symtab(struct job *j, struct mw_elf *from, const char *label)
{
	struct mw__symtab t;
	size_t i = mw__elf_section_by_type(from, SHT_SYMTAB, 1);

	return i < from->n_sh && mw__symtab_open(from, i, &t) && add_table(j, &t, label);
}

/* ---------------------------------------------------------------------- Go */

#define STEP 32	/* the linker aligns the table to so many bytes */

/* Does a table begin here (runtime/symtab.go, pcHeader)? */
static bool is_pclntab(const uint8_t *p)
{
	return p[0] >= 0xf0 && p[1] == 0xff && p[2] == 0xff && p[3] == 0xff && !p[4] && !p[5] &&
	       (p[6] == 1 || p[6] == 2 || p[6] == 4) && (p[7] == 4 || p[7] == 8);
}

/* The first place in a segment that looks like it. */
static bool search_segment(struct mw_elf *elf, const struct mw__phdr *p, uint64_t *off, uint64_t *size)
{
	uint64_t start = mw__align_up(p->off, STEP), end = p->off + p->filesz;
	size_t n = mw__sub0(end, start) / STEP, i = 0;
	struct mw__elf_window w;

	if (!mw__elf_window_open(elf, start, n, STEP, ELF_T_BYTE, "a segment", &w))
		return false;
	while (i < n && !is_pclntab(mw__elf_window_at(&w, i)))
		i++;
	mw__elf_window_close(&w);
	*off = start + i * STEP;
	*size = end - *off;
	return i < n;
}

/* Segments that lie over each other are not searched again and again: no more than the file has. */
static bool search_pclntab(struct mw_elf *elf, uint64_t *off, uint64_t *size)
{
	uint64_t left = elf->size;

	for (size_t i = 0; i < elf->n_ph; i++) {
		const struct mw__phdr *p = &elf->ph[i];

		if (p->type != PT_LOAD || (p->flags & PF_X) || !mw__fits(p->off, p->filesz, elf->size) || p->filesz > left)
			continue;
		left -= p->filesz;
		if (search_segment(elf, p, off, size))
			return true;
	}
	return false;
}

/* Where the table is: its section, or, without sections, the first place that looks like its header. */
static bool find_pclntab(struct mw_elf *elf, uint64_t *off, uint64_t *size)
{
	for (size_t i = 1; i < elf->n_sh; i++) {
		const char *name = mw__elf_section_name(elf, i);
		size_t len = strlen(name);

		if (len < 10 || strcmp(name + len - 10, ".gopclntab") != 0)
			continue;
		*off = elf->sh[i].off;
		*size = mw__elf_section_bytes(elf, i);
		return *size;
	}
	return elf->n_sh <= 1 && search_pclntab(elf, off, size);
}

static bool add_go(struct job *j)
{
	struct mw_elf *elf = j->elf;
	struct mw__symbols found = { 0 };
	uint64_t off, size, text = 0;

	if (elf->lay.big || !find_pclntab(elf, &off, &size))
		return false;
	size_t i = mw__elf_section_by_name(elf, ".text");

	if (i < elf->n_sh)
		text = elf->sh[i].addr;
	const void *p = mw__elf_chunk(elf, off, size, ELF_T_BYTE, ".gopclntab");
	int rc = p ? mw__pclntab_read(p, size, text, &elf->arena, &found) : 0;

	if (rc < 0)
		j->s->failed = true;
	for (size_t k = 0; k < found.list.n; k++)
		add_span(j, found.list.v[k].addr, found.list.v[k].size, add_name(j, found.list.v[k].name), false);
	if (found.list.n)
		say_from(j, ".gopclntab");
	MW_VEC_FREE(&found.list);
	j->level++;
	return rc > 0;
}

/* ----------------------------------------------------------- unwind records */

static int by_addr(const void *a, const void *b)
{
	const struct label *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

/* Of several names for an address the first, as for the symbols themselves. */
static const struct label *find_label(const struct job *j, uint64_t addr)
{
	size_t low = MW_FIRST(i, j->labels.n, j->labels.v[i].addr >= addr);

	return low < j->labels.n && j->labels.v[low].addr == addr ? &j->labels.v[low] : NULL;
}

/* One record covers a whole procedure linkage table; its section is the better name. */
static size_t find_plts(const struct mw_elf *elf, struct mw__span plts[static MAX_PLT])
{
	size_t n = 0;

	for (size_t i = 1; i < elf->n_sh && n < MAX_PLT; i++) {
		const char *name = mw__elf_section_name(elf, i);

		if (!strncmp(name, ".plt", 4) || !strcmp(name, ".iplt"))
			plts[n++] = (struct mw__span){ .start = elf->sh[i].addr, .size = elf->sh[i].size };
	}
	return n;
}

static bool in_plt(const struct mw__span *plts, size_t n, uint64_t addr)
{
	for (size_t i = 0; i < n; i++)
		if (addr >= plts[i].start && addr - plts[i].start < plts[i].size)
			return true;
	return false;
}

static void add_frames(struct job *j, bool each)
{
	struct mw__span plts[MAX_PLT];
	size_t n_plts = find_plts(j->elf, plts);
	uint32_t nameless = each ? 0 : add_name(j, "[functions without a symbol]");
	struct mw__frames t;
	struct mw__frame_record f;
	bool alone = false;	/* some function has nothing but its record */
	int rc;

	if (j->elf->eh.type == ET_REL)
		return;
	if (j->labels.n)
		qsort(j->labels.v, j->labels.n, sizeof(j->labels.v[0]), by_addr);
	for (size_t i = 0; (rc = mw__frames_open(j->elf, i, &t)) >= 0; i++)
		while (rc && mw__frames_next(&t, &f)) {
			if (f.is_cie || f.start == MW_UNKNOWN || f.end <= f.start || in_plt(plts, n_plts, f.start))
				continue;
			const struct label *l = find_label(j, f.start);

			alone |= !l;
			add_span(j, f.start, f.end - f.start, l ? l->name : !each ? nameless :
				 add_name(j, mw__arena_printf(&j->elf->arena, "[function at %#llx]", (unsigned long long)f.start)),
				 false);
		}
	if (alone)
		say_from(j, "unwind records");
	j->level++;
}

static void add_symbols(struct job *j, bool each_frame)
{
	struct mw_elf *debug;
	struct mw__symtab t;
	bool found = add_symtab(j, j->elf, ".symtab");

	if (!found && (debug = mw__elf_debug_symbols(j->elf)))
		found = add_symtab(j, debug, mw__arena_printf(&j->elf->arena, ".symtab of %s", debug->path));
	if (!found)
		add_go(j);
	if (mw__symtab_open_dynsym(j->elf, &t))
		add_table(j, &t, t.name);
	add_frames(j, each_frame);
	MW_VEC_FREE(&j->labels);
}

/* ------------------------------------------------------------------- DWARF */

struct unit {
	uint64_t die;
	const char *name, *dir;
	uint32_t index;
};

static int unit_by_name(const void *a, const void *b)
{
	const struct unit *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : strcmp(x->dir, y->dir);
}

static int unit_by_die(const void *a, const void *b)
{
	uint64_t x = ((const struct unit *)a)->die, y = ((const struct unit *)b)->die;

	return x < y ? -1 : x > y;
}

/* Two units of one name are told apart by their directories. */
static void name_units(struct job *j, struct unit *u, size_t n)
{
	struct mw__arena *arena = &j->elf->arena;

	if (n)
		qsort(u, n, sizeof(*u), unit_by_name);
	for (size_t i = 0; i < n;) {
		size_t end = i + 1;
		bool differ = false;

		for (; end < n && !strcmp(u[end].name, u[i].name); end++)
			differ |= strcmp(u[end].dir, u[i].dir) != 0;
		for (; i < end; i++) {
			bool whole = differ && u[i].name[0] != '/';

			u[i].index = add_name(j, !*u[i].name ? "[unit without a name]" : whole ?
					      mw__arena_printf(arena, "%s/%s", u[i].dir, u[i].name) : mw__arena_str(arena, u[i].name));
		}
	}
	if (n)
		qsort(u, n, sizeof(*u), unit_by_die);
}

/* Parts of .debug_info and .debug_line, where they are in this file and as they are in memory. */
static bool find_plain(const struct mw_elf *elf, const char *name, uint64_t *off, uint64_t *size)
{
	size_t i = mw__elf_section_by_name(elf, name);

	if (i >= elf->n_sh || (elf->sh[i].flags & SHF_COMPRESSED))
		return false;
	*off = elf->sh[i].off;
	*size = mw__elf_section_bytes(elf, i);
	return true;
}

static void add_slices(struct job *j, const struct mw__dwarf_record *r, uint32_t name)
{
	const struct mw_elf *elf = j->elf;
	uint64_t off, size, at = r->n[3], len;
	uint8_t head[12];

	if (find_plain(elf, ".debug_info", &off, &size) && mw__fits(r->n[0], r->n[1], size))
		add_span(j, off + r->n[0], r->n[1], name, true);
	if (at == MW_UNKNOWN || !find_plain(elf, ".debug_line", &off, &size) || !mw__fits(at, 12, size) ||
	    !mw__elf_read(elf, off + at, head, 12))
		return;
	len = mw__raw_num(head, 4, elf->lay.big);
	len = len == UINT32_MAX ? mw__raw_num(head + 4, 8, elf->lay.big) + 12 : len + 4;
	if (len <= size && mw__fits(at, len, size))
		add_span(j, off + at, len, name, true);
}

/* What DWARF says is at [start, end): offsets in relocatable objects, see mw__elf_linked_copy(). */
static void add_place(struct job *j, uint64_t start, uint64_t end, uint32_t name)
{
	bool is_off = j->elf->eh.type == ET_REL;

	if (!is_off || end <= j->elf->size)
		add_span(j, start, end - start, name, is_off);
}

static bool is_this_file(const struct mw_elf *elf, const char *path)
{
	return !strcmp(path, elf->own_path ? elf->own_path : elf->path);
}

static void add_units(struct job *j, const struct mw__dwarf_answer *a)
{
	MW_VEC(struct unit) units = { 0 };
	bool here = false;

	for (size_t i = 0; i < a->v.n; i++) {
		const struct mw__dwarf_record *r = &a->v.v[i];
		struct unit *u = r->kind == MW__DWARF_UNIT ? MW_VEC_PUSH(&units) : NULL;

		if (r->kind == MW__DWARF_UNIT && !u)
			j->s->failed = true;
		if (u)
			*u = (struct unit){ r->n[0], r->text[0], r->text[1], 0 };
		if (r->kind == MW__DWARF_FROM)
			here = is_this_file(j->elf, r->text[0]);
	}
	name_units(j, units.v, units.n);
	for (size_t i = 0; i < a->v.n && units.n; i++) {
		const struct mw__dwarf_record *r = &a->v.v[i];
		struct unit key = { .die = r->n[2] };
		const struct unit *u = r->kind == MW__DWARF_RANGE || r->kind == MW__DWARF_SLICE ?
			bsearch(&key, units.v, units.n, sizeof(key), unit_by_die) : NULL;

		if (u && r->kind == MW__DWARF_SLICE && here)
			add_slices(j, r, u->index);
		else if (u && r->kind == MW__DWARF_RANGE && r->n[1] > r->n[0] && !(r->n[3] && j->elf->lay.big))
			add_place(j, r->n[0], r->n[1], u->index);
	}
	MW_VEC_FREE(&units);
}

struct place {
	uint64_t source, line;
	size_t record;
};

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	return x->line < y->line ? -1 : x->line > y->line;
}

/* One name a line, however many rows it has. */
static void add_lines(struct job *j, const struct mw__dwarf_answer *a)
{
	MW_VEC(const char *) sources = { 0 };
	MW_VEC(struct place) places = { 0 };
	const struct place *last = NULL;
	uint32_t name = 0;

	for (size_t i = 0; i < a->v.n; i++) {
		const struct mw__dwarf_record *r = &a->v.v[i];

		if (r->kind == MW__DWARF_SOURCE && r->n[0] == sources.n + 1) {
			const char **s = MW_VEC_PUSH(&sources);

			j->s->failed |= !s;
			if (s)
				*s = r->text[0];
		} else if (r->kind == MW__DWARF_ROW && r->n[1] > r->n[0] && r->n[3] && r->n[3] <= sources.n) {
			struct place *p = MW_VEC_PUSH(&places);

			j->s->failed |= !p;
			if (p)
				*p = (struct place){ r->n[3], r->n[2], i };
		}
	}
	if (places.n)
		qsort(places.v, places.n, sizeof(places.v[0]), by_place);
	for (size_t i = 0; i < places.n; i++) {
		const struct place *p = &places.v[i];
		const struct mw__dwarf_record *r = &a->v.v[p->record];

		if (!last || by_place(last, p) != 0)
			name = add_name(j, mw__arena_printf(&j->elf->arena, "%s:%llu", sources.v[p->source - 1],
							    (unsigned long long)p->line));
		last = p;
		add_place(j, r->n[0], r->n[1], name);
	}
	MW_VEC_FREE(&sources);
	MW_VEC_FREE(&places);
}

static bool has_answer(const struct mw__dwarf_answer *a)
{
	return a->v.n > 1;	/* beyond where it came from */
}

static int add_dwarf(struct job *j, enum mw_elf_sizes by, struct mw_err *err)
{
	struct mw__dwarf_query q = { .units = by == MW_ELF_BY_UNIT, .ranges = by == MW_ELF_BY_UNIT,
				     .rows = by == MW_ELF_BY_FILE_LINE };
	struct mw__dwarf_answer a;
	int rc = mw__dwarf_ask(j->elf, &q, &a, err);

	if (rc < 0)
		return rc;
	if (a.trouble[0])
		mw__elf_diag(j->elf, strstr(a.trouble, "no debug information") || strstr(a.trouble, "left out") ||
			     strstr(a.trouble, "not read") ? MW__ELF_NOTE : MW__ELF_FATAL, "DWARF", 0, MW_UNKNOWN, MW_UNKNOWN,
			     "%s", a.trouble);
	if (!has_answer(&a) && !a.trouble[0])
		mw__elf_diag(j->elf, MW__ELF_NOTE, "DWARF", 0, MW_UNKNOWN, MW_UNKNOWN, "there is no debug information");
	for (size_t i = 0; i < a.v.n && has_answer(&a); i++)
		if (a.v.v[i].kind == MW__DWARF_FROM)
			say_from(j, is_this_file(j->elf, a.v.v[i].text[0]) ? "DWARF" :
				 mw__arena_printf(&j->elf->arena, "DWARF of %s", a.v.v[i].text[0]));
	if (by == MW_ELF_BY_UNIT)
		add_units(j, &a);
	else
		add_lines(j, &a);
	mw__dwarf_answer_deinit(&a);
	return 0;
}

/* ------------------------------------------------------------------- calls */

int mw__spans_collect(struct mw_elf *elf, enum mw_elf_sizes by, bool each_frame, struct mw__spans *ret,
		      struct mw_err *err)
{
	struct mw__spans s = { 0 };
	struct job j = { .elf = elf, .s = &s };
	int rc = 0;

	if (by == MW_ELF_BY_SYMBOL)
		add_symbols(&j, each_frame);
	else if (by == MW_ELF_BY_UNIT || by == MW_ELF_BY_FILE_LINE)
		rc = add_dwarf(&j, by, err);
	if (rc == 0 && s.failed)
		rc = mw__fail_nomem(err, elf->path);
	if (rc == 0)
		*ret = s;
	else
		mw__spans_deinit(&s);
	return rc;
}

void mw__spans_deinit(struct mw__spans *s)
{
	MW_VEC_FREE(&s->v);
	MW_VEC_FREE(&s->names);
}

const char *mw__spans_find(const struct mw__spans *s, uint64_t addr, uint64_t *into)
{
	for (size_t i = 0; i < s->v.n; i++) {
		const struct mw__span *p = &s->v.v[i];

		if (p->in_file || addr < p->start || addr - p->start >= p->size)
			continue;
		*into = addr - p->start;
		return s->names.v[p->name];
	}
	return NULL;
}
