/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The load plan as a table: mapping, the segments it stems from, the sections on it. */
#include "../elf/plan.h"

#include <stdio.h>
#include <string.h>

#include "../elf/names.h"
#include "elf_view.h"

static const struct mw__col plan_cols[] = {
	{ "start", "Start", MW__T_ADDR, 0, "first address, without the bias" },
	{ "end", "End", MW__T_ADDR, 0, "one past the last address" },
	{ "size", "Size", MW__T_BYTES, 0, "bytes" },
	{ "prot", "Prot", MW__T_TEXT, 0, "rights, as /proc/PID/maps shows them" },
	{ "kind", "Kind", MW__T_TEXT, 0, "file, zero (anonymous), gap (reserved), relro (read-only after relocation)" },
	{ "is_zero", "is_zero", MW__T_BOOL, MW__COL_JSON_ONLY, "no file behind it" },
	{ "offset", "Offset", MW__T_ADDR, 0, "offset in the file" },
	{ "segment", "Seg", MW__T_COUNT, 0, "first program header behind it" },
	{ "sections", "Sections", MW__T_TEXT, MW__COL_WRAP, "sections with bytes in it" },
};

static void sections_in(const struct mw_elf *elf, const struct mw__mapping *m, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (size_t i = 1; i < elf->n_sh && m->kind != MW__MAP_GAP; i++) {
		const struct mw__shdr *s = &elf->sh[i];
		bool tbss = s->type == SHT_NOBITS && (s->flags & SHF_TLS);

		if (!(s->flags & SHF_ALLOC) || tbss || !s->size || s->addr >= m->end ||
		    (s->addr < m->start && m->start - s->addr >= s->size))
			continue;
		int len = snprintf(buf + n, size - n, "%s%s", n ? " " : "", mw__elf_section_name(elf, i));

		if (len < 0 || (size_t)len >= size - n)
			return;
		n += len;
	}
}

static void add_row(struct mw__doc_node *t, const struct mw_elf *elf, const struct mw__mapping *m)
{
	struct mw__doc_row *r = mw__doc_row(t);
	char prot[8], sections[2048];

	snprintf(prot, sizeof(prot), "%c%c%cp", m->prot & PF_R ? 'r' : '-', m->prot & PF_W ? 'w' : '-',
		 m->prot & PF_X ? 'x' : '-');
	sections_in(elf, m, sections, sizeof(sections));
	mw__row_u64(t, r, 0, m->start);
	mw__row_u64(t, r, 1, m->end);
	mw__row_u64(t, r, 2, m->end - m->start);
	mw__row_text(t, r, 3, prot);
	mw__row_text(t, r, 4, mw__map_kinds[m->kind]);
	mw__row_bool(t, r, 5, m->is_zero);
	mw__row_u64(t, r, 6, m->off);
	mw__row_u64(t, r, 7, m->segment);
	mw__row_text(t, r, 8, sections);
}

static void add_totals(struct mw__doc_node *o, const struct mw__plan *p)
{
	static const char *const roles[] = { "program", "loader", "library", "none" };

	mw__doc_text(o, "role", roles[p->role]);
	mw__doc_u64(o, "vsz", MW__T_BYTES, p->vsz);
	mw__doc_u64(o, "file", MW__T_BYTES, p->file);
	mw__doc_u64(o, "zero", MW__T_BYTES, p->zero);
	mw__doc_u64(o, "gaps", MW__T_BYTES, p->gaps);
	mw__doc_u64(o, "waste", MW__T_BYTES, p->waste);
	mw__doc_u64(o, "shared_page", MW__T_ADDR, p->shared_page);
	mw__doc_bool(o, "protects_itself", p->protects_itself);
	mw__doc_u64(o, "page_tables_min", MW__T_BYTES, p->page_tables);
	mw__doc_linef(o, (uint64_t[]){ p->vsz, p->file, p->zero, p->gaps }, 4,
		      "VSZ \001 as a %s = \001 of the file + \001 zero + \001 reserved gaps", roles[p->role]);
	mw__doc_linef(o, (uint64_t[]){ p->waste, p->page_tables }, 2,
		      "\001 of it lie beyond the segments, by rounding to pages; page tables take \001 at least");
	if (p->shared_page != MW_UNKNOWN)
		mw__doc_linef(o, (uint64_t[]){ p->shared_file }, 1,
			      "page %#llx holds \001 of the file; the rest of it is cleared for .bss, which makes it private",
			      (unsigned long long)p->shared_page);
	if (p->protects_itself)
		mw__doc_linef(o, NULL, 0, "relro: there is no interpreter, so the program's own start makes it read-only, if it does");
}

void mw__elf_view_plan(const struct mw__elf_view *v)
{
	struct mw__plan p;

	if (mw__elf_plan(v->elf, v->opts->page_size, &p, NULL) < 0) {
		v->doc->failed = true;
		return;
	}
	mw__view_heading(v, p.maps.n ? "Load plan" : "Nothing of this file is mapped.");
	struct mw__doc_node *o = mw__doc_object(v->node, "plan");
	struct mw__doc_node *t = mw__doc_table(o, "mappings", NULL, plan_cols, MW__COUNT(plan_cols));

	for (size_t i = 0; i < p.maps.n; i++)
		add_row(t, v->elf, &p.maps.v[i]);
	if (p.maps.n) {
		add_totals(o, &p);
		mw__elf_view_picture(v, o, &p);
	}
	MW_VEC_FREE(&p.maps);
}
