/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy at as a document: for each address a list of facts, or one line when there are many. JSON has an
 * object an address, with every fact that is known.
 */
#include "frame.h"
#include "mass.h"
#include "views.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/search.h"
#include "../base/size.h"
#include "../explain/locate.h"
#include "../explain/tlb.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE UINT64_C(4096)
#define NEAR 8		/* pages shown to each side */
#define MAX_MAPPERS 12	/* processes named */

struct view {
	const struct mw_snapshot *snap;
	const struct mw_at_opts *opts;
	struct mw__atlas atlas;
	struct mw__doc_node *root;
	struct mw__tlbs tlbs;
	struct mw__str name, text;	/* scratch */
};

static void deinit_view(struct view *v)
{
	mw__atlas_deinit(&v->atlas);
	mw__str_deinit(&v->name);
	mw__str_deinit(&v->text);
}

/* All that is known of one address. */
struct spot {
	uint64_t addr;
	const struct mw__vma *vma;		/* NULL: no mapping */
	const struct mw__extent *x;		/* NULL: no mapping of the process's own: none, or [vsyscall] */
	const struct mw__stretch *page;
	const struct mw__section *section;
	const struct mw__symbol *symbol;
	const struct mw__frame *frame;
	struct mw__translation walk;
};

static struct spot locate(struct view *v, uint64_t addr)
{
	struct spot s = { .addr = addr, .x = mw__atlas_extent(&v->atlas, addr), .page = mw__atlas_stretch(&v->atlas, addr),
			  .vma = mw__snapshot_vma_at(v->snap, addr), .frame = mw__snapshot_frame_at(v->snap, addr) };

	if (s.x && s.x->image && s.x->owner != MW__OWNER_LDSO_GAP) {
		s.section = mw__image_section_at(s.x->image, addr);
		s.symbol = mw__image_symbol_at(s.x->image, addr);
	}
	mw__translate(&v->atlas, addr, &s.walk);
	return s;
}

static const char *object_of(const struct view *v, const struct spot *s)
{
	if (!s->x)
		return NULL;
	if (s->x->image)
		return s->x->image->path;
	return s->x->vma->file != MW__NONE ? v->snap->files.v[s->x->vma->file].path : NULL;
}

static const char *const whys[] = {
	[MW__BY_RELOC] = "relocation", [MW__BY_CLEAR] = "start of .bss", [MW__BY_WRITE] = "write",
};

static const char *why_of(const struct spot *s)
{
	const struct mw__image *img = s->x ? s->x->image : NULL;

	if (!s->page || s->page->where != MW__AT_COPY || !img || !img->detail || !img->detail->relocs_known)
		return NULL;
	return whys[mw__image_why(img, s->addr)];
}

static uint64_t symbol_offset(const struct spot *s)
{
	return s->addr - s->x->image->bias - s->symbol->addr; /* NOLINT(clang-analyzer-core.NullDereference) */
}

static const char *flags_text(uint32_t flags, char buf[static 4])
{
	snprintf(buf, 4, "%c%c%c", flags & PF_R ? 'r' : '-', flags & PF_W ? 'w' : '-', flags & PF_X ? 'x' : '-');
	return buf;
}

/* -------------------------------------------------------------------- JSON */

static const struct mw__col source_keys[] = {
	{ "file", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "line", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "function", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
};

/* Of those of an address, which follow each other. */
static size_t first_source(const struct mw_snapshot *snap, uint64_t addr)
{
	return MW_FIRST(i, snap->sources.n, snap->sources.v[i].addr >= addr);
}

/* Innermost first; the others are what it was inlined into. */
static void add_source_members(struct view *v, struct mw__doc_node *o, const struct spot *s)
{
	struct mw__doc_node *t = mw__doc_table(o, "source", NULL, source_keys, MW__COUNT(source_keys));

	for (size_t i = first_source(v->snap, s->addr); i < v->snap->sources.n && v->snap->sources.v[i].addr == s->addr; i++) {
		const struct mw__source_line *src = &v->snap->sources.v[i];
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_text(t, row, 0, src->file);
		mw__row_u64(t, row, 1, src->line ? src->line : MW_UNKNOWN);
		mw__row_text(t, row, 2, src->function);
	}
}

static void add_place_members(struct view *v, struct mw__doc_node *o, const struct spot *s)
{
	const struct mw__extent *x = s->x;
	const struct mw__image *img = x ? x->image : NULL;
	char perm[5];

	mw__doc_u64(o, "mapping_start", MW__T_ADDR, s->vma ? s->vma->start : MW_UNKNOWN);
	mw__doc_u64(o, "mapping_end", MW__T_ADDR, s->vma ? s->vma->end : MW_UNKNOWN);
	mw__doc_text(o, "perm", s->vma ? mw__view_perm(s->vma, perm) : NULL);
	mw__doc_text(o, "name", s->vma ? s->vma->name : NULL);
	mw__doc_text(o, "owner", x ? mw__owners[x->owner].id : NULL);
	mw__doc_text(o, "owner_detail", x ? x->detail : NULL);
	mw__doc_text(o, "certainty", x ? mw__certainty_names[x->certainty] : NULL);
	mw__doc_text(o, "rule", x ? x->rule : NULL);
	mw__doc_text(o, "object", object_of(v, s));
	mw__doc_u64(o, "object_offset", MW__T_ADDR, img ? s->addr - img->bias : MW_UNKNOWN);
	mw__doc_u64(o, "file_offset", MW__T_COUNT, x && x->vma->file != MW__NONE ? x->vma->off + (s->addr - x->vma->start) : MW_UNKNOWN);
	mw__doc_u64(o, "segment", MW__T_COUNT, x && x->segment ? (uint64_t)(x->segment - img->segments) : MW_UNKNOWN);
	mw__doc_text(o, "section", s->section ? s->section->name : NULL);
	mw__doc_u64(o, "section_offset", MW__T_COUNT, s->section ? s->addr - img->bias - s->section->addr : MW_UNKNOWN); /* NOLINT(clang-analyzer-core.NullDereference) */
	mw__doc_text(o, "symbol", s->symbol ? mw__demangle(s->symbol->name, &v->name) : NULL);
	mw__doc_text(o, "symbol_raw", s->symbol ? s->symbol->name : NULL);
	mw__doc_u64(o, "symbol_offset", MW__T_COUNT, s->symbol ? symbol_offset(s) : MW_UNKNOWN);
	mw__doc_u64(o, "symbol_size", MW__T_BYTES, s->symbol && s->symbol->size ? s->symbol->size : MW_UNKNOWN);
	mw__doc_text(o, "symbols_from", img && img->detail ? img->detail->symbols_from : NULL);
	add_source_members(v, o, s);
}

static const struct mw__col level_keys[] = {
	{ "level", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "high_bit", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "low_bit", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "index", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "table_in_use", NULL, MW__T_BOOL, MW__COL_JSON_ONLY, NULL },
};

static const struct mw__col set_keys[] = {
	{ "level", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "kind", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
	{ "entries", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "sets", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "set", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "source", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
};

/* The next TLB from *i on that a translation of this address can be in; NULL at the end. */
static const struct mw__tlb *next_tlb(const struct view *v, const struct spot *s, size_t *i)
{
	bool is_code = s->x && s->x->vma->prot & MW__X;

	while (*i < v->tlbs.n) {
		const struct mw__tlb *t = &v->tlbs.v[(*i)++];

		if ((t->kind == MW__TLB_UNIFIED || (t->kind == MW__TLB_CODE) == is_code) && mw__tlb_takes(t, s->walk.page_size))
			return t;
	}
	return NULL;
}

static void add_set_members(struct view *v, struct mw__doc_node *o, const struct spot *s)
{
	struct mw__doc_node *t = mw__doc_table(o, "tlb_sets", NULL, set_keys, MW__COUNT(set_keys));
	const struct mw__tlb *tlb;

	for (size_t i = 0; s->x && (tlb = next_tlb(v, s, &i));) {
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_u64(t, row, 0, tlb->level);
		mw__row_text(t, row, 1, mw__tlb_kinds[tlb->kind]);
		mw__row_u64(t, row, 2, tlb->entries);
		mw__row_u64(t, row, 3, mw__tlb_sets(tlb) ? mw__tlb_sets(tlb) : MW_UNKNOWN);
		mw__row_u64(t, row, 4, mw__tlb_set(tlb, s->walk.page_size, s->addr));
		mw__row_text(t, row, 5, tlb->source);
	}
}

static const struct mw__col mapper_keys[] = {
	{ "pid", NULL, MW__T_COUNT, MW__COL_JSON_ONLY, NULL },
	{ "command", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
};

/* The next process from *i on that maps the page; NULL at the end. */
static const struct mw__mapper *next_mapper(const struct view *v, const struct spot *s, size_t *i)
{
	while (s->frame && *i < v->snap->frame_places.n) {
		const struct mw__frame_place *p = &v->snap->frame_places.v[(*i)++];

		if (p->addr == s->frame->addr)
			return &v->snap->mappers.v[p->mapper];
	}
	return NULL;
}

static void add_mapper_members(const struct view *v, struct mw__doc_node *o, const struct spot *s)
{
	struct mw__doc_node *t = mw__doc_table(o, "mapped_by", NULL, mapper_keys, MW__COUNT(mapper_keys));
	const struct mw__mapper *m;

	for (size_t i = 0; (m = next_mapper(v, s, &i));) {
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_u64(t, row, 0, (uint64_t)m->pid);
		mw__row_text(t, row, 1, m->comm);
	}
}

static void add_page_members(struct view *v, struct mw__doc_node *o, const struct spot *s)
{
	const struct mw__frame *f = s->frame;

	mw__doc_text(o, "page_state", s->page ? mw__wheres[s->page->where].id : NULL);
	if (s->page && s->page->where == MW__AT_UNREAD)
		mw__doc_text(o, "resident", NULL);
	else
		mw__doc_bool(o, "resident", s->page && mw__wheres[s->page->where].is_resident);
	mw__doc_text(o, "copied_by", why_of(s));
	mw__doc_u64(o, "page_size", MW__T_BYTES, s->walk.page_size);
	mw__doc_u64(o, "page_offset", MW__T_COUNT, s->walk.offset);
	mw__doc_u64(o, "frame", MW__T_COUNT, f ? f->pfn : MW_UNKNOWN);
	mw__doc_u64(o, "physical", MW__T_ADDR, s->walk.physical);
	mw__doc_u64(o, "mappers", MW__T_COUNT, f ? f->mappers : MW_UNKNOWN);
	add_mapper_members(v, o, s);
	mw__doc_u64(o, "node", MW__T_COUNT, f && f->node != MW__NONE ? f->node : MW_UNKNOWN);
	mw__doc_text(o, "frame_flags", f && f->flags != MW_UNKNOWN ? mw__frame_flags(f->flags, &v->text) : NULL);
	mw__doc_u64(o, "levels", MW__T_COUNT, s->walk.n ? v->snap->target.page_levels : MW_UNKNOWN);
	add_set_members(v, o, s);
	struct mw__doc_node *t = mw__doc_table(o, "translation", NULL, level_keys, MW__COUNT(level_keys));

	for (unsigned i = 0; i < s->walk.n; i++) {
		const struct mw__level *l = &s->walk.levels[i];
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_text(t, row, 0, l->name);
		mw__row_u64(t, row, 1, l->shift + 8);
		mw__row_u64(t, row, 2, l->shift);
		mw__row_u64(t, row, 3, l->index);
		mw__row_bool(t, row, 4, l->in_use);
	}
}

/* -------------------------------------------------------------------- text */

static const struct mw__col fact_cols[] = {
	{ "fact", "", MW__T_TEXT, MW__COL_TEXT_ONLY, "what is told" },
	{ "value", "", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_WRAP, "what is known of it" },
};

__attribute__((format(printf, 3, 4)))
static void fact(struct mw__doc_node *t, const char *name, const char *fmt, ...)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	struct mw__doc_row *row = mw__doc_row(t);
	char buf[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	mw__row_text(t, row, 0, name);
	mw__row_text(t, row, 1, buf);
}

/* The mappings around an address that is in none. */
static void add_around(struct view *v, struct mw__doc_node *t, uint64_t addr)
{
	const struct mw__vma *below = NULL, *above = NULL;
	char size[MW__SIZE_TEXT];

	for (size_t i = 0; i < v->snap->vmas.n && !above; i++) {
		if (v->snap->vmas.v[i].start > addr)
			above = &v->snap->vmas.v[i];
		else
			below = &v->snap->vmas.v[i];
	}
	fact(t, "mapping", "none holds this address");
	if (below)
		fact(t, "below", "%s behind the end of %012" PRIx64 "-%012" PRIx64 " %s", mw__size_text(addr - below->end, MW_UNIT_IEC, size),
		     below->start, below->end, below->name);
	if (above)
		fact(t, "above", "%s before %012" PRIx64 "-%012" PRIx64 " %s", mw__size_text(above->start - addr, MW_UNIT_IEC, size),
		     above->start, above->end, above->name);
}

static void add_source_facts(struct view *v, struct mw__doc_node *t, const struct spot *s)
{
	bool any = false;

	for (size_t i = first_source(v->snap, s->addr); i < v->snap->sources.n && v->snap->sources.v[i].addr == s->addr; i++) {
		const struct mw__source_line *src = &v->snap->sources.v[i];
		char line[24] = ", no line";	/* code that the compiler added has number 0 */

		if (src->line)
			snprintf(line, sizeof(line), ":%" PRIu64, src->line);
		fact(t, any ? "" : "source", "%s%s%s%s%s", any ? "inlined into " : "", src->file, line,
		     *src->function ? " in " : "", src->function);
		any = true;
	}
	if (!any && s->x->segment && s->x->segment->flags & PF_X)
		fact(t, "source", "unknown: no line table has it");
}

static void add_elf_facts(struct view *v, struct mw__doc_node *t, const struct spot *s)
{
	const struct mw__image *img = s->x->image;
	char flags[4];

	if (object_of(v, s))
		fact(t, "object", "%s%s%s", object_of(v, s), img && img->build_id ? "   build ID " : "", img && img->build_id ? img->build_id : "");
	if (!img)
		return;
	fact(t, "in the object", "0x%" PRIx64 " (loaded at 0x%" PRIx64 ")", s->addr - img->bias, img->bias);
	if (s->x->segment)
		fact(t, "segment", "LOAD[%td] %s", s->x->segment - img->segments, flags_text(s->x->segment->flags, flags));
	if (s->section)
		fact(t, "section", "%s + 0x%" PRIx64 " of 0x%" PRIx64, s->section->name, s->addr - img->bias - s->section->addr,
		     s->section->size);
	else
		fact(t, "section", "none: a header, padding, or no section table");
	if (s->symbol)
		fact(t, "symbol", "%s + 0x%" PRIx64 "%s (from %s)", mw__demangle(s->symbol->name, &v->name), symbol_offset(s),
		     s->symbol->size ? "" : ", a label without size", img->detail->symbols_from);
	else
		fact(t, "symbol", "%s", img->detail && img->detail->symbols_from ? "none here" : "unknown: the file has no symbols");
	add_source_facts(v, t, s);
}

/* The pages around it as in memwhy pages: "FFFF[C]..oo". */
static void add_neighbours(struct view *v, struct mw__doc_node *t, const struct spot *s)
{
	uint64_t page = mw__align_down(s->addr, PAGE);
	char text[2 * NEAR + 4], *p = text;

	for (int i = -NEAR; i <= NEAR; i++) {
		uint64_t at = page + (uint64_t)((int64_t)i * (int64_t)PAGE);
		const struct mw__stretch *n = mw__atlas_stretch(&v->atlas, at);

		if (i == 0)
			*p++ = '[';
		*p++ = n ? mw__wheres[n->where].mark : '~';
		if (i == 0)
			*p++ = ']';
	}
	*p = '\0';
	fact(t, "neighbours", "%s   (pages around it, as memwhy pages draws them%s)", text, strchr(text, '~') ? "; ~: not mapped" : "");
}

/* "bash (12), sshd (40), ...". */
static void add_mapper_fact(struct view *v, struct mw__doc_node *t, const struct spot *s)
{
	const struct mw__mapper *m;
	uint64_t n = 0;

	mw__str_reset(&v->text);
	for (size_t i = 0; (m = next_mapper(v, s, &i)); n++)
		if (n < MAX_MAPPERS)
			mw__str_printf(&v->text, "%s%s (%d)", n ? ", " : "", m->comm ? m->comm : "?", m->pid);
	if (n)
		fact(t, "", "%s%s", v->text.v, n > MAX_MAPPERS ? ", ..." : "");
}

static void add_page_facts(struct view *v, struct mw__doc_node *t, const struct spot *s)
{
	const struct mw__frame *f = s->frame;
	const char *why = why_of(s);
	char size[MW__SIZE_TEXT];

	fact(t, "page", "%s, %s%s%s", mw__size_text(s->walk.page_size, MW_UNIT_IEC, size), mw__wheres[s->page->where].text,
	     why ? "; copied by: " : "", why ? why : "");
	add_neighbours(v, t, s);
	if (f && f->pfn != MW_UNKNOWN)
		fact(t, "frame", "%" PRIu64 ", physical address 0x%" PRIx64, f->pfn, s->walk.physical);
	else if (mw__wheres[s->page->where].is_resident)
		fact(t, "frame", "%s", f ? "unknown: frame numbers need CAP_SYS_ADMIN" : "unknown: it was not read");
	if (f && f->flags != MW_UNKNOWN)
		fact(t, "frame flags", "%s", mw__frame_flags(f->flags, &v->text));
	if (f && f->mappers != MW_UNKNOWN)
		fact(t, "mapped by", "%" PRIu64 " page table entr%s of all processes", f->mappers, f->mappers == 1 ? "y" : "ies");
	if (v->snap->mappers_known)
		add_mapper_fact(v, t, s);
}

static void add_walk_facts(struct mw__doc_node *t, const struct spot *s)
{
	char name[24], size[MW__SIZE_TEXT];

	for (unsigned i = 0; i < s->walk.n; i++) {
		const struct mw__level *l = &s->walk.levels[i];

		snprintf(name, sizeof(name), "%s", i ? "" : "translation");
		fact(t, name, "%s  bits %u-%u  index %3u%s", l->name, l->shift + 8, l->shift, l->index,
		     l->in_use ? "" : "   (no page proves that this table exists)");
	}
	fact(t, s->walk.n ? "" : "translation", "%soffset 0x%" PRIx64 " in a page of %s", s->walk.n ? "then " : "", s->walk.offset,
	     mw__size_text(s->walk.page_size, MW_UNIT_IEC, size));
}

/* Where its translation can be. */
static void add_set_facts(const struct view *v, struct mw__doc_node *t, const struct spot *s)
{
	const char *name = "TLB set";
	const struct mw__tlb *tlb;

	for (size_t i = 0; (tlb = next_tlb(v, s, &i)); name = "") {
		uint32_t sets = mw__tlb_sets(tlb);
		uint64_t set = mw__tlb_set(tlb, s->walk.page_size, s->addr);

		if (set == MW_UNKNOWN)
			fact(t, name, "L%u %s: unknown; %u entries", tlb->level, mw__tlb_kinds[tlb->kind], tlb->entries);
		else if (sets == 1)
			fact(t, name, "L%u %s: any of its %u entries", tlb->level, mw__tlb_kinds[tlb->kind], tlb->entries);
		else
			fact(t, name, "L%u %s: set %" PRIu64 " of %u, %u ways (if it is indexed plainly)", tlb->level,
			     mw__tlb_kinds[tlb->kind], set, sets, tlb->ways);
	}
	if (!*name)
		return;
	fact(t, name, "unknown: %s", !v->opts->cpu ? "the processor is not known (--cpuid)" :
	     v->tlbs.n ? "no TLB is told that takes such pages" : "the processor's TLBs are hidden");
}

static void add_facts(struct view *v, const struct spot *s)
{
	char title[32], perm[5];

	snprintf(title, sizeof(title), "0x%" PRIx64, s->addr);
	struct mw__doc_node *t = mw__doc_table(v->root, NULL, title, fact_cols, MW__COUNT(fact_cols));

	const struct mw__vma *m = s->vma;

	if (!m) {
		add_around(v, t, s->addr);
		return;
	}
	fact(t, "mapping", "%012" PRIx64 "-%012" PRIx64 " %s %s", m->start, m->end, mw__view_perm(m, perm), m->name);
	if (!s->x) {
		fact(t, "owner", "the kernel: the page stands in the maps of every process, and in the VSZ of none");
		return;
	}
	fact(t, "owner", "%s%s%s (%s: %s)", mw__owners[s->x->owner].what, s->x->detail ? ", " : "", s->x->detail ? s->x->detail : "",
	     mw__certainty_names[s->x->certainty], s->x->rule);
	add_elf_facts(v, t, s);
	add_page_facts(v, t, s);
	add_walk_facts(t, s);
	add_set_facts(v, t, s);
}

/* One line an address. */
enum { B_ADDRESS, B_SYMBOL, B_SECTION, B_OBJECT, B_OWNER, B_STATE };
static const struct mw__col brief_cols[] = {
	{ "address", "ADDRESS", MW__T_ADDR, MW__COL_TEXT_ONLY, "address" },
	{ "symbol", "SYMBOL", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_TRUNC, "function or variable, with the offset in it" },
	{ "section", "SECTION", MW__T_TEXT, MW__COL_TEXT_ONLY, "section" },
	{ "object", "OBJECT", MW__T_TEXT, MW__COL_TEXT_ONLY | MW__COL_TRUNC, "image or file" },
	{ "owner", "OWNER", MW__T_TEXT, MW__COL_TEXT_ONLY, "who the memory belongs to" },
	{ "page", "PAGE", MW__T_TEXT, MW__COL_TEXT_ONLY, "state of the page" },
};

static void add_brief(struct view *v, struct mw__doc_node *t, const struct spot *s)
{
	struct mw__doc_row *row = mw__doc_row(t);
	const char *object = object_of(v, s);

	mw__row_field(t, row, B_ADDRESS, s->addr);
	if (s->symbol) {
		mw__str_reset(&v->text);
		mw__str_printf(&v->text, "%s+0x%" PRIx64, mw__demangle(s->symbol->name, &v->name), symbol_offset(s));
		mw__row_text(t, row, B_SYMBOL, v->text.v);
	}
	mw__row_text(t, row, B_SECTION, s->section ? s->section->name : NULL);
	mw__row_text(t, row, B_OBJECT, object ? mw__basename(object) : NULL);
	mw__row_text(t, row, B_OWNER, s->x ? mw__owners[s->x->owner].what : s->vma ? s->vma->name : "(no mapping)");
	mw__row_text(t, row, B_STATE, s->page ? mw__wheres[s->page->where].id : NULL);
}

static void fill(struct view *v)
{
	struct mw__doc_node *list = mw__doc_list(v->root, "addresses");
	struct mw__doc_node *t = v->opts->brief ? mw__doc_table(v->root, NULL, NULL, brief_cols, MW__COUNT(brief_cols)) : NULL;

	for (size_t i = 0; i < v->opts->n_addrs; i++) {
		struct spot s = locate(v, v->opts->addrs[i]);
		struct mw__doc_node *o = mw__doc_object(list, NULL);

		mw__doc_field(o, "address", MW__T_ADDR, s.addr);
		mw__doc_bool(o, "mapped", s.vma != NULL);
		add_place_members(v, o, &s);
		add_page_members(v, o, &s);
		if (t)
			add_brief(v, t, &s);
		else
			add_facts(v, &s);
	}
	v->root->doc->failed |= v->name.failed || v->text.failed;
}

int mw_report_at(const struct mw_snapshot *snap, const struct mw_at_opts *opts, struct mw_document **ret, struct mw_err *err)
{
	struct mw_at_opts o = {};
	struct mw_account *acc = NULL;

	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	MW_CLEANUP(deinit_view) struct view v = { .snap = snap, .opts = &o };
	int rc = mw__view_need_maps(snap, err);

	if (rc == 0 && mw__atlas_init(&v.atlas, snap) < 0)
		rc = mw__fail_nomem(err, "at");
	if (rc == 0)
		rc = mw_account_create(snap, &acc, err);
	if (rc < 0)
		return rc;
	struct mw_document *doc = mw__doc_create("memwhy/at/1");

	if (!doc) {
		mw_account_destroy(acc);
		return mw__fail_nomem(err, "report");
	}
	v.root = doc->root;
	if (!o.cpu && snap->cpu.n)
		o.cpu = &snap->cpu;
	if (o.cpu)
		mw__tlbs_decode(o.cpu, &v.tlbs);
	mw__view_target(doc->root, snap);
	mw__doc_text(doc->root, "state", mw__view_state(mw__snapshot_state(snap, acc)));
	mw__view_headline(doc->root, snap, acc);
	mw__doc_line(doc->root, "", NULL, 0);
	fill(&v);
	mw__view_notes(doc->root, snap);
	mw_account_destroy(acc);
	return mw__doc_finish(doc, ret, err);
}
