/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Version definitions and needs are chains of records that point at each other by relative
 * offsets. Each step must move forward and stay inside the table, so a chain ends after at
 * most size / record steps whatever the bytes say. (LSB, "Symbol Versioning"; the records
 * have the same layout in both classes.)
 */
#include "versions.h"

#include <string.h>

#include "../base/size.h"
#include "dynamic.h"

#define MAX_DYNAMIC (UINT64_C(1) << 20)

/* The bytes of a chain and where its strings are. */
struct chain {
	struct mw_elf *elf;
	const uint8_t *p;
	uint64_t size, off;
	uint64_t count;		/* records it claims */
	struct mw__strtab str;
	const char *name;
};

static uint64_t num(const struct chain *c, uint64_t at, unsigned size)
{
	return mw__raw_num(c->p + at, size, c->elf->lay.big);
}

static bool by_section(struct mw_elf *elf, uint32_t type, struct chain *c)
{
	size_t i = mw__elf_section_by_type(elf, type, 1);

	if (i >= elf->n_sh || !(c->size = mw__elf_section_bytes(elf, i)))
		return false;
	const struct mw__shdr *s = &elf->sh[i];

	c->name = mw__elf_section_name(elf, i);
	c->off = s->off;
	c->count = s->info;
	if (s->link < elf->n_sh && elf->sh[s->link].type == SHT_STRTAB)
		c->str = mw__elf_strtab(elf, elf->sh[s->link].off, elf->sh[s->link].size, "string table");
	return true;
}

static bool by_dynamic(struct mw_elf *elf, uint64_t tag, uint64_t num_tag, const char *name, struct chain *c)
{
	struct mw__elf_dynamic *dyn = mw__elf_dynamic(elf);

	if (!dyn || !mw__dyn_off(elf, tag, &c->off, &c->size) || !mw__dyn_get(dyn, num_tag, &c->count))
		return false;
	c->name = name;
	c->str = dyn->str;
	c->size = mw__min(c->size, MAX_DYNAMIC);	/* nothing tells where the chain ends */
	return true;
}

static bool open_chain(struct mw_elf *elf, uint32_t type, uint64_t tag, uint64_t num_tag, const char *name,
		       struct chain *c)
{
	*c = (struct chain){ .elf = elf, .str = { "", 0 } };
	if (!by_section(elf, type, c) && !by_dynamic(elf, tag, num_tag, name, c))
		return false;
	c->size = mw__min(c->size, UINT32_MAX);
	c->p = mw__elf_chunk(elf, c->off, c->size, ELF_T_BYTE, c->name);
	return c->p;
}

static void bad(struct chain *c, uint64_t at, const char *what)
{
	mw__elf_diag(c->elf, MW__ELF_BAD, what, at, c->off + at, c->size,
		     "%s: record at %#llx: %s leads outside its table of %#llx bytes", c->name,
		     (unsigned long long)at, what, (unsigned long long)c->size);
}

/* Move to the next record. False at the end, and when the step is none. */
static bool step(struct chain *c, uint64_t *at, uint64_t next, uint64_t record, const char *what)
{
	if (!next)
		return false;
	if (next < record || !mw__fits(*at + next, record, c->size)) {
		bad(c, *at, what);
		return false;
	}
	*at += next;
	return true;
}

static void set_name(struct mw__elf_versions *v, uint16_t ndx, const char *name, bool is_def)
{
	ndx &= 0x7fff;
	if (ndx >= v->n_names || (v->names[ndx] && v->is_def[ndx]))
		return;
	v->names[ndx] = name;
	v->is_def[ndx] = is_def;
}

/* The names of one definition: its own, then those of its parents. */
static void read_aux(struct chain *c, struct mw__elf_versions *v, struct mw__verdef *d, uint64_t at, uint64_t n)
{
	d->parents = v->parents.n;
	for (uint64_t i = 0; i < n; i++) {
		if (!mw__fits(at, 8, c->size)) {
			bad(c, at, "vd_aux");
			return;
		}
		const char *name = mw__strtab_at(c->str, num(c, at, 4));

		if (!name)
			mw__elf_diag(c->elf, MW__ELF_BAD, "vda_name", num(c, at, 4), c->off + at, c->str.n,
				     "%s: vda_name %#llx is outside the string table", c->name,
				     (unsigned long long)num(c, at, 4));
		if (!i) {
			d->name = name;
		} else {
			const char **p = MW_VEC_PUSH(&v->parents);

			if (p)
				*p = name ? name : "<corrupt>";
			d->n_parents += !!p;
		}
		if (!step(c, &at, num(c, at + 4, 4), 8, "vda_next"))
			return;
	}
}

static void read_defs(struct mw_elf *elf, struct mw__elf_versions *v)
{
	struct chain c;
	uint64_t at = 0, seen = 0, aux = 0;

	if (!open_chain(elf, SHT_GNU_verdef, DT_VERDEF, DT_VERDEFNUM, "DT_VERDEF", &c) || c.size < 20)
		return;
	v->def_source = c.name;
	do {
		struct mw__verdef d = { .off = at, .flags = num(&c, at + 2, 2), .ndx = num(&c, at + 4, 2),
					.cnt = num(&c, at + 6, 2), .hash = num(&c, at + 8, 4) };

		/* records may share names, yet no honest table has more names than bytes / 8 */
		aux += d.cnt;
		if (aux <= c.size / 8)
			read_aux(&c, v, &d, at + num(&c, at + 12, 4), d.cnt);
		else
			bad(&c, at, "vd_cnt");
		struct mw__verdef *kept = MW_VEC_PUSH(&v->defs);

		if (!kept)
			return;
		*kept = d;
		if (!(d.flags & VER_FLG_BASE))
			set_name(v, d.ndx, d.name, true);
		seen++;
	} while (seen < c.count && step(&c, &at, num(&c, at + 16, 4), 20, "vd_next"));
	if (seen != c.count)
		mw__elf_diag(elf, MW__ELF_BAD, "number of version definitions", c.count, c.off, seen,
			     "%s: %llu definitions are announced, the chain has %llu", c.name,
			     (unsigned long long)c.count, (unsigned long long)seen);
}

static uint64_t read_need_aux(struct chain *c, struct mw__elf_versions *v, const char *file, uint64_t at, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (!mw__fits(at, 16, c->size)) {
			bad(c, at, "vn_aux");
			return i;
		}
		struct mw__verneed *a = MW_VEC_PUSH(&v->needs);

		if (!a)
			return i;
		*a = (struct mw__verneed){ at, file, mw__strtab_at(c->str, num(c, at + 8, 4)), num(c, at + 4, 2),
					   num(c, at + 6, 2), num(c, at, 4), !i, n };
		if (!a->name)
			mw__elf_diag(c->elf, MW__ELF_BAD, "vna_name", num(c, at + 8, 4), c->off + at + 8, c->str.n,
				     "%s: vna_name %#llx is outside the string table", c->name,
				     (unsigned long long)num(c, at + 8, 4));
		set_name(v, a->ndx, a->name ? a->name : "<corrupt>", false);
		if (!step(c, &at, num(c, at + 12, 4), 16, "vna_next") && i + 1 < n) {
			mw__elf_diag(c->elf, MW__ELF_BAD, "vna_next", 0, c->off + at + 12, n,
				     "%s: a chain of %llu names ends after %llu", c->name, (unsigned long long)n,
				     (unsigned long long)(i + 1));
			return i + 1;
		}
	}
	return n;
}

static void read_needs(struct mw_elf *elf, struct mw__elf_versions *v)
{
	struct chain c;
	uint64_t at = 0, seen = 0, aux = 0;

	if (!open_chain(elf, SHT_GNU_verneed, DT_VERNEED, DT_VERNEEDNUM, "DT_VERNEED", &c) || c.size < 16)
		return;
	v->need_source = c.name;
	do {
		uint64_t cnt = num(&c, at + 2, 2);
		const char *file = mw__strtab_at(c.str, num(&c, at + 4, 4));

		if (!file)
			mw__elf_diag(elf, MW__ELF_BAD, "vn_file", num(&c, at + 4, 4), c.off + at + 4, c.str.n,
				     "%s: vn_file %#llx is outside the string table", c.name,
				     (unsigned long long)num(&c, at + 4, 4));
		aux += cnt;
		if (aux <= c.size / 16)
			read_need_aux(&c, v, file ? file : "<corrupt>", at + num(&c, at + 8, 4), cnt);
		else
			bad(&c, at, "vn_cnt");
		seen++;
	} while (seen < c.count && step(&c, &at, num(&c, at + 12, 4), 16, "vn_next"));
	if (seen != c.count)
		mw__elf_diag(elf, MW__ELF_BAD, "number of version needs", c.count, c.off, seen,
			     "%s: %llu files are announced, the chain has %llu", c.name, (unsigned long long)c.count,
			     (unsigned long long)seen);
}

struct mw__elf_versions *mw__elf_versions(struct mw_elf *elf)
{
	if (elf->vers)
		return elf->vers;
	struct mw__elf_versions *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->n_names = 0x8000;
	v->names = calloc(v->n_names, sizeof(*v->names));
	v->is_def = calloc(v->n_names, sizeof(*v->is_def));
	elf->vers = v;
	if (!v->names || !v->is_def) {
		v->n_names = 0;
		return v;
	}
	read_defs(elf, v);
	read_needs(elf, v);
	return v;
}

void mw__elf_versions_free(struct mw__elf_versions *v)
{
	if (!v)
		return;
	MW_VEC_FREE(&v->defs);
	MW_VEC_FREE(&v->parents);
	MW_VEC_FREE(&v->needs);
	free(v->names);
	free(v->is_def);
	free(v);
}
