/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Claims come in levels: symbols before sections and headers before what is left. A level
 * is a list of ranges with owners, sorted by start; it takes what is free of them, the
 * first claimant wins, and the next level gets what remains. What nobody claims is padding,
 * data behind the last claim, or rounding to pages. Ranges that leave the file are cut.
 */
#include "own.h"

#include <string.h>

#include "../base/err.h"
#include "../base/size.h"
#include "names.h"
#include "own_spans.h"
#include "plan.h"

struct range {
	uint64_t start, end;
	uint32_t owner;
};
struct ranges {
	MW_VEC(struct range) v;
};

struct job {
	struct mw_elf *elf;
	struct mw__ownership *o;
	struct ranges claims, free;
	struct mw__spans spans;
	uint32_t first_span;	/* owner of spans.names[0] */
	bool memory;		/* which of the two is counted */
	bool failed;
};

/* ------------------------------------------------------------------ owners */

static uint32_t owner(struct job *j, const char *name)
{
	struct mw__owned *w = MW_VEC_PUSH(&j->o->v);

	if (!w) {
		j->failed = true;
		return 0;
	}
	w->name = name;
	return j->o->v.n - 1;
}

static void claim(struct job *j, uint64_t start, uint64_t size, uint32_t who)
{
	uint64_t end;

	if (__builtin_add_overflow(start, size, &end))
		end = UINT64_MAX;
	if (end == start)
		return;
	struct range *r = MW_VEC_PUSH(&j->claims.v);

	if (r)
		*r = (struct range){ start, end, who };
	else
		j->failed = true;
}

static void pay(struct job *j, uint32_t who, uint64_t bytes)
{
	if (who < j->o->v.n)
		*(j->memory ? &j->o->v.v[who].memory : &j->o->v.v[who].file) += bytes;
}

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->owner < y->owner ? -1 : x->owner > y->owner;
}

/* ------------------------------------------------------------------- sweep */

static void keep_free(struct job *j, struct ranges *to, uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	struct range *r = MW_VEC_PUSH(&to->v);

	if (r)
		*r = (struct range){ start, end, 0 };
	else
		j->failed = true;
}

/* Give what is free of each claim to its owner. Both lists are sorted; free ranges do not overlap. */
static void take(struct job *j)
{
	struct ranges left = { 0 };
	size_t c = 0;

	if (j->claims.v.n)
		qsort(j->claims.v.v, j->claims.v.n, sizeof(struct range), by_start);
	uint64_t claimed_to = 0;	/* end of all claims before c */

	for (size_t f = 0; f < j->free.v.n; f++) {
		uint64_t pos = j->free.v.v[f].start, end = j->free.v.v[f].end;

		while (c < j->claims.v.n && pos < end) {
			const struct range *r = &j->claims.v.v[c];
			uint64_t from = mw__max(mw__max(r->start, pos), claimed_to);
			uint64_t to = mw__min(r->end, end);

			if (r->start >= end)
				break;
			if (from < to) {
				keep_free(j, &left, pos, from);
				pay(j, r->owner, to - from);
				pos = to;
			}
			if (r->end > end)
				break;	/* it goes on in the next free range */
			if (!j->memory && r->start < claimed_to)
				j->o->contested += mw__min(claimed_to, r->end) - r->start;
			claimed_to = mw__max(claimed_to, r->end);
			c++;
		}
		keep_free(j, &left, pos, end);
	}
	MW_VEC_FREE(&j->free.v);
	j->free = left;
	j->claims.v.n = 0;
}

static void give_rest(struct job *j, uint64_t from, uint64_t to, uint32_t who)
{
	claim(j, from, to - from, who);
	take(j);
}

/* Owners that every profile has, in this order. */
enum { HEADER, PHDRS, SHDRS, PADDING, TRAILING, ROUNDING, GAPS, UNLOADED, N_FIXED };
static const char *const fixed_names[N_FIXED] = {
	"[ELF header]", "[program headers]", "[section headers]", "[padding]", "[behind the last section]",
	"[rounding to pages]", "[reserved gaps]", "[not loaded]",
};

/* ------------------------------------------------------------------ levels */

static void claim_span(struct job *j, const struct mw__span *s)
{
	uint32_t who = j->first_span + s->name;
	uint64_t off, left;

	if (j->memory && !s->in_file)
		claim(j, s->start, s->size, who);
	else if (!j->memory && s->in_file)
		claim(j, s->start, s->size, who);
	else if (!j->memory && mw__elf_addr_to_off(j->elf, s->start, &off, &left))
		claim(j, off, mw__min(s->size, left), who);
}

/* Level by level: who comes later gets what is left. */
static void take_spans(struct job *j)
{
	for (size_t i = 0; i < j->spans.v.n; i++) {
		claim_span(j, &j->spans.v.v[i]);
		if (i + 1 == j->spans.v.n || j->spans.v.v[i + 1].level != j->spans.v.v[i].level)
			take(j);
	}
}

static void claim_sections(struct job *j, uint32_t first)
{
	for (size_t i = 1; i < j->elf->n_sh; i++) {
		const struct mw__shdr *s = &j->elf->sh[i];
		bool tbss = s->type == SHT_NOBITS && (s->flags & SHF_TLS);

		if (j->memory && (s->flags & SHF_ALLOC) && !tbss)
			claim(j, s->addr, s->size, first + i);
		else if (!j->memory && s->type != SHT_NOBITS && s->type != SHT_NULL)
			claim(j, s->off, s->size, first + i);
	}
}

static void claim_segments(struct job *j, uint32_t first)
{
	for (size_t i = 0; i < j->elf->n_ph; i++) {
		const struct mw__phdr *p = &j->elf->ph[i];

		if (p->type != PT_LOAD)
			continue;
		if (j->memory)
			claim(j, p->vaddr, p->memsz, first + i);
		else
			claim(j, p->off, p->filesz, first + i);
	}
}

static void claim_headers(struct job *j)
{
	const struct mw_elf *elf = j->elf;

	for (size_t i = 0; j->memory && i < elf->n_ph; i++) {
		const struct mw__phdr *p = &elf->ph[i];

		if (p->type != PT_LOAD || p->off)
			continue;	/* the segment of file offset 0 brings the headers */
		claim(j, p->vaddr, elf->eh.ehsize, HEADER);
		if (mw__fits(elf->eh.phoff, elf->n_ph * elf->phentsize, p->filesz))
			claim(j, p->vaddr + elf->eh.phoff, elf->n_ph * elf->phentsize, PHDRS);
		return;
	}
	if (j->memory)
		return;
	claim(j, 0, elf->head_bytes, HEADER);
	claim(j, elf->eh.phoff, elf->n_ph * elf->phentsize, PHDRS);
	claim(j, elf->eh.shoff, elf->n_sh * elf->shentsize, SHDRS);
}

static uint64_t last_claim(const struct job *j)
{
	uint64_t end = j->elf->head_bytes;

	for (size_t i = 1; i < j->elf->n_sh; i++)
		end = mw__max(end, j->elf->sh[i].off + mw__elf_section_bytes(j->elf, i));
	for (size_t i = 0; i < j->elf->n_ph; i++)
		if (j->elf->ph[i].type == PT_LOAD && mw__fits(j->elf->ph[i].off, j->elf->ph[i].filesz, j->elf->size))
			end = mw__max(end, j->elf->ph[i].off + j->elf->ph[i].filesz);
	if (j->elf->n_sh)
		end = mw__max(end, j->elf->eh.shoff + j->elf->n_sh * j->elf->shentsize);
	return mw__min(end, j->elf->size);
}

/* Where they are missing, segments say at least where a byte goes. */
static bool has_sections(const struct mw_elf *elf) { return elf->n_sh > 1; }

static uint32_t add_section_owners(struct job *j)
{
	uint32_t first = j->o->v.n;

	for (size_t i = 0; i < j->elf->n_sh; i++)
		owner(j, i ? mw__elf_section_name(j->elf, i) : "[no section]");
	return first;
}

static uint32_t add_segment_owners(struct job *j)
{
	uint32_t first = j->o->v.n;
	char flags[MW__NAME_BUF];

	for (size_t i = 0; i < j->elf->n_ph; i++) {
		const char *name = mw__arena_printf(&j->elf->arena, "segment %zu %s", i,
						    mw__name_segment_flags(j->elf->ph[i].flags, flags));

		owner(j, name ? name : "segment");
	}
	return first;
}

static void add_span_owners(struct job *j)
{
	j->first_span = (uint32_t)j->o->v.n;
	for (size_t i = 0; i < j->spans.names.n; i++)
		owner(j, j->spans.names.v[i]);
}

/* One pass for the file, one for memory; the same owners in both. */
static void pass(struct job *j, enum mw_elf_sizes by, uint32_t first, bool memory)
{
	j->memory = memory;
	if (by == MW_ELF_BY_SEGMENT) {
		claim_segments(j, first);
		take(j);
		return;
	}
	take_spans(j);
	claim_headers(j);
	take(j);
	if (has_sections(j->elf))
		claim_sections(j, first);
	else
		claim_segments(j, first);
	take(j);
}

static int largest_first(const void *a, const void *b)
{
	const struct mw__owned *x = a, *y = b;
	uint64_t s = x->file + x->memory, t = y->file + y->memory;

	return s != t ? (s < t ? 1 : -1) : strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct mw__owned *)a)->name, ((const struct mw__owned *)b)->name);
}

/* One line a name, none for owners of nothing. */
static void join_names(struct mw__ownership *o)
{
	size_t n = 0;

	if (!o->v.n)
		return;
	qsort(o->v.v, o->v.n, sizeof(o->v.v[0]), by_name);
	for (size_t i = 0; i < o->v.n; i++) {
		struct mw__owned *w = &o->v.v[i];

		if (!w->file && !w->memory)
			continue;
		if (n && !strcmp(o->v.v[n - 1].name, w->name)) {
			o->v.v[n - 1].file += w->file;
			o->v.v[n - 1].memory += w->memory;
		} else {
			o->v.v[n++] = *w;
		}
	}
	o->v.n = n;
	if (n)
		qsort(o->v.v, n, sizeof(o->v.v[0]), largest_first);
}

static void own_file(struct job *j, enum mw_elf_sizes by, uint32_t first)
{
	uint64_t end = last_claim(j);

	keep_free(j, &j->free, 0, j->elf->size);
	pass(j, by, first, false);
	give_rest(j, 0, end, by == MW_ELF_BY_SEGMENT ? UNLOADED : PADDING);
	give_rest(j, end, j->elf->size, TRAILING);
	j->o->file = j->elf->size;
}

static int own_memory(struct job *j, enum mw_elf_sizes by, uint32_t first, uint64_t page, struct mw_err *err)
{
	struct mw__plan plan;
	int rc = mw__elf_plan(j->elf, page, &plan, err);
	uint64_t end = 0;

	if (rc < 0)
		return rc;
	MW_VEC_FREE(&j->free.v);
	for (size_t i = 0; i < plan.maps.n; i++) {	/* hostile plans overlap; each address once */
		struct mw__mapping *m = &plan.maps.v[i];

		keep_free(j, &j->free, mw__max(m->start, end), m->end);
		end = mw__max(end, m->end);
	}
	for (size_t i = 0; i < j->free.v.n; i++)
		j->o->memory += j->free.v.v[i].end - j->free.v.v[i].start;
	pass(j, by, first, true);
	for (size_t i = 0; i < j->elf->n_ph; i++)
		if (j->elf->ph[i].type == PT_LOAD)
			claim(j, j->elf->ph[i].vaddr, j->elf->ph[i].memsz, PADDING);
	take(j);
	for (size_t i = 0; i < plan.maps.n; i++)
		claim(j, plan.maps.v[i].start, plan.maps.v[i].end - plan.maps.v[i].start,
		      plan.maps.v[i].kind == MW__MAP_GAP ? GAPS : ROUNDING);
	take(j);
	MW_VEC_FREE(&plan.maps);
	return 0;
}

static int own(struct job *j, enum mw_elf_sizes by, uint64_t page, bool each_frame, struct mw_err *err)
{
	for (int i = 0; i < N_FIXED; i++)
		owner(j, fixed_names[i]);
	uint32_t first = by == MW_ELF_BY_SEGMENT || !has_sections(j->elf) ? add_segment_owners(j) :
			 add_section_owners(j);
	int rc = mw__spans_collect(j->elf, by, each_frame, &j->spans, err);

	if (rc < 0)
		return rc;
	add_span_owners(j);
	own_file(j, by, first);
	rc = own_memory(j, by, first, page, err);
	return rc == 0 && j->failed ? mw__fail_nomem(err, j->elf->path) : rc;
}

int mw__elf_own(struct mw_elf *elf, enum mw_elf_sizes by, uint64_t page, bool each_frame, struct mw__ownership *ret,
		struct mw_err *err)
{
	struct mw__ownership o = { 0 };
	struct job j = { .elf = elf, .o = &o };
	int rc = own(&j, by, page, each_frame, err);

	o.from = j.spans.from;
	MW_VEC_FREE(&j.claims.v);
	MW_VEC_FREE(&j.free.v);
	mw__spans_deinit(&j.spans);
	if (rc < 0) {
		mw__ownership_deinit(&o);
		return rc;
	}
	join_names(&o);
	*ret = o;
	return 0;
}

void mw__ownership_deinit(struct mw__ownership *o)
{
	MW_VEC_FREE(&o->v);
}
