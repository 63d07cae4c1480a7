/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy tlb as a document: what translation costs this process (page tables, against the least that its
 * pages need), what the processor's TLBs are, how much of the process they reach, and which mappings would
 * gain from huge pages.
 */
#include "../explain/tlb.h"
#include "views.h"

#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_ROWS 12
#define JSO MW__COL_JSON_ONLY
#define TABLE UINT64_C(4096)
#define BLOCK (UINT64_C(2) << 20)

struct view {
	const struct mw_snapshot *snap;		/* or NULL: the processor alone */
	const struct mw__page_tables *tables;
	const struct mw__tlbs *tlbs;
	bool has_cpu;
	const struct mw_tlb_opts *opts;
	struct mw__doc_node *root;
};

/* ---------------------------------------------------------------- page tables */

enum { T_LEVEL, T_COVERS, T_TABLES, T_BYTES };
static const struct mw__col level_cols[] = {
	{ "level", "LEVEL", MW__T_TEXT, 0, "level of the page tables" },
	{ "covers", "EACH MAPS", MW__T_BYTES, 0, "addresses that one table translates" },
	{ "tables", "TABLES", MW__T_COUNT, 0, "tables that the present entries need" },
	{ "bytes", "BYTES", MW__T_BYTES, 0, "size of these tables" },
};
static const char *const level_names[MW__LEVELS] = {
	"page tables (PTE)", "page middle directories (PMD)", "page upper directories (PUD)", "fourth-level directories (P4D)",
	"page global directory (PGD)",
};

/* "4: page tables (PTE)": the number is the order in which the processor asks them. */
static const char *level_text(unsigned level, unsigned levels, char buf[static 64])
{
	const char *name = level + 1 == levels ? level_names[MW__LEVELS - 1] : level_names[level];

	snprintf(buf, 64, "%u: %s%s", levels - level, name, level >= MW__LEVELS_COUNTED ? ", not in VmPTE" : "");
	return buf;
}

static void add_levels(struct view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, "levels", NULL, level_cols, MW__COUNT(level_cols));

	char buf[64];

	for (unsigned i = v->tables->levels; i-- > 0;) {
		struct mw__doc_row *row = mw__doc_row(t);
		uint64_t n = v->tables->is_known ? v->tables->tables[i] : MW_UNKNOWN;

		mw__row_text(t, row, T_LEVEL, level_text(i, v->tables->levels, buf));
		mw__row_u64(t, row, T_COVERS, UINT64_C(1) << (21 + 9 * i));
		mw__row_u64(t, row, T_TABLES, n);
		mw__row_u64(t, row, T_BYTES, n == MW_UNKNOWN ? n : n * TABLE);
	}
}

static void add_cost(struct view *v)
{
	uint64_t pte = v->snap->status.vm_pte, least = v->tables->least;
	uint64_t rss = v->snap->status.vm_rss;
	bool both = pte != MW_UNKNOWN && least != MW_UNKNOWN;
	uint64_t sizes[] = { pte, least, both ? mw__sub0(pte, least) : MW_UNKNOWN };
	char share[MW__SIZE_TEXT] = "-";
	struct mw__doc_node *o = mw__doc_object(v->root, "page_tables");

	mw__doc_u64(o, "kernel", MW__T_BYTES, pte);
	mw__doc_u64(o, "least", MW__T_BYTES, least);
	mw__doc_delta(o, "above_least", both ? (int64_t)(pte - least) : INT64_MIN);
	mw__doc_line(v->root, "\002WHAT THE PAGE TABLES COST", NULL, 0);
	if (pte != MW_UNKNOWN && rss != MW_UNKNOWN)
		mw__share_text(pte, rss, share);
	mw__doc_linef(v->root, sizes, 3, both ?
		      "The kernel counts \001 of page tables (VmPTE; %s of RSS). Its present entries need \001 at least; "
		      "\001 more are tables that stay after their pages went, or of mappings whose entries cannot be scanned." :
		      "The kernel counts \001 of page tables (VmPTE; %s of RSS). What its present entries need is not known.", share);
	add_levels(v);
}

/* ------------------------------------------------------------------- geometry */

enum { G_LEVEL, G_KIND, G_PAGES, G_ENTRIES, G_WAYS, G_SETS, G_BITS, G_REACH4K, G_REACH2M, G_SOURCE };
static const struct mw__col tlb_cols[] = {
	{ "level", "TLB", MW__T_COUNT, 0, "level: 1 is asked first" },
	{ "kind", "FOR", MW__T_TEXT, 0, "data, code, or both (unified)" },
	{ "pages", "PAGE SIZES", MW__T_TEXT, 0, "sizes of pages that an entry can hold" },
	{ "entries", "ENTRIES", MW__T_COUNT, 0, "translations that it holds" },
	{ "ways", "WAYS", MW__T_TEXT, 0, "entries in which one page may be; full: in all" },
	{ "sets", "SETS", MW__T_COUNT, 0, "groups of that many entries; the address chooses one" },
	{ "index", "SET CHOSEN BY", MW__T_TEXT, 0, "address bits, when it is indexed plainly (the smallest page size)" },
	{ "reach_4k", "REACH 4K", MW__T_BYTES, 0, "memory that all its entries map with 4 KiB pages" },
	{ "reach_2m", "REACH 2M", MW__T_BYTES, 0, "memory that all its entries map with 2 MiB pages" },
	{ "source", "FROM", MW__T_TEXT, MW__COL_HIDDEN, "where this is known from" },
};

static const char *pages_text(unsigned pages, char buf[static 32])
{
	snprintf(buf, 32, "%s%s%s%s", pages & MW__4K ? "4K " : "", pages & MW__2M ? "2M " : "", pages & MW__4M ? "4M " : "",
		 pages & MW__1G ? "1G " : "");
	if (*buf)
		buf[strlen(buf) - 1] = '\0';
	return buf;
}

static unsigned page_shift(const struct mw__tlb *t)
{
	return t->pages & MW__4K ? 12 : t->pages & (MW__2M | MW__4M) ? (t->pages & MW__2M ? 21 : 22) : 30;
}

/* "bits 12-15", for a number of sets that is a power of two. */
static const char *index_text(const struct mw__tlb *t, char buf[static 32])
{
	uint32_t sets = mw__tlb_sets(t);
	unsigned shift = page_shift(t);

	if (sets == 1)
		snprintf(buf, 32, "no bit");
	else if (!sets || sets & (sets - 1))
		snprintf(buf, 32, "-");
	else
		snprintf(buf, 32, "bits %u-%u", shift, shift + (unsigned)__builtin_ctz(sets) - 1);
	return buf;
}

static void add_tlb(struct mw__doc_node *t, const struct mw__tlb *x)
{
	struct mw__doc_row *row = mw__doc_row(t);
	char buf[32];
	uint64_t r4 = mw__tlb_reach(x, MW__4K), r2 = mw__tlb_reach(x, MW__2M);

	mw__row_u64(t, row, G_LEVEL, x->level);
	mw__row_text(t, row, G_KIND, mw__tlb_kinds[x->kind]);
	mw__row_text(t, row, G_PAGES, pages_text(x->pages, buf));
	mw__row_u64(t, row, G_ENTRIES, x->entries);
	snprintf(buf, sizeof(buf), "%u", x->ways);
	mw__row_text(t, row, G_WAYS, x->ways == MW__FULL ? "full" : x->ways ? buf : NULL);
	mw__row_u64(t, row, G_SETS, mw__tlb_sets(x) ? mw__tlb_sets(x) : MW_UNKNOWN);
	mw__row_text(t, row, G_BITS, index_text(x, buf));
	mw__row_u64(t, row, G_REACH4K, r4 ? r4 : MW_UNKNOWN);
	mw__row_u64(t, row, G_REACH2M, r2 ? r2 : MW_UNKNOWN);
	mw__row_text(t, row, G_SOURCE, x->source);
}

/* The sets one below the other, a box an entry; what does not fit is left out with dots. */
static void draw(struct view *v, const struct mw__tlb *x)
{
	uint32_t sets = mw__tlb_sets(x), ways = x->ways == MW__FULL ? x->entries : x->ways;
	uint32_t shown_ways = ways < 16 ? ways : 12;
	char pages[32];

	if (!sets)
		return;
	mw__doc_linef(v->root, NULL, 0, "L%u %s, %s: %u entries = %u set%s x %u way%s", x->level, mw__tlb_kinds[x->kind],
		      pages_text(x->pages, pages), x->entries, sets, sets == 1 ? "" : "s", ways, ways == 1 ? "" : "s");
	for (uint32_t s = 0; s < sets; s++) {
		char line[160];
		int n;

		if (sets > 4 && s == 2) {
			mw__doc_line(v->root, "           ...", NULL, 0);
			s = sets - 1;
		}
		n = snprintf(line, sizeof(line), "  set %4u ", s);
		for (uint32_t w = 0; w < shown_ways && n < 100; w++)
			n += snprintf(line + n, sizeof(line) - (size_t)n, "%s", shown_ways > 6 ? "[  ]" : "[page:frame]");
		mw__doc_linef(v->root, NULL, 0, "%s%s", line, shown_ways < ways ? "..." : "");
	}
}

static void add_geometry(struct view *v)
{
	const struct mw__tlbs *g = v->tlbs;
	struct mw__doc_node *o = mw__doc_object(v->root, "processor");

	mw__doc_text(o, "vendor", *g->vendor ? g->vendor : NULL);
	mw__doc_text(o, "name", *g->model_name ? g->model_name : NULL);
	mw__doc_u64(o, "family", MW__T_COUNT, *g->vendor ? g->family : MW_UNKNOWN);
	mw__doc_u64(o, "model", MW__T_COUNT, *g->vendor ? g->model : MW_UNKNOWN);
	mw__doc_bool(o, "hypervisor", g->has_hypervisor);
	mw__doc_text(o, "core_type", g->core_type);
	mw__doc_bool(o, "documented", g->is_documented);
	mw__doc_text(o, "document", g->document);
	mw__doc_text(o, "remark", g->remark);
	mw__doc_line(v->root, "\002THE TLBS OF THIS PROCESSOR", NULL, 0);
	if (!v->has_cpu) {
		mw__doc_table(v->root, "tlbs", NULL, tlb_cols, MW__COUNT(tlb_cols));
		mw__doc_line(v->root, "Unknown: this snapshot does not tell its processor (--cpuid does).", NULL, 0);
		return;
	}
	mw__doc_linef(v->root, NULL, 0, "%s (%s, family %u, model %u)%s", *g->model_name ? g->model_name : "processor", *g->vendor ? g->vendor : "?",
		      g->family, g->model, g->has_hypervisor ? ", under a hypervisor, which may change what CPUID says" : "");
	struct mw__doc_node *t = mw__doc_table(v->root, "tlbs", NULL, tlb_cols, MW__COUNT(tlb_cols));

	for (size_t i = 0; i < g->n; i++)
		add_tlb(t, &g->v[i]);
	if (!g->n)
		mw__doc_linef(v->root, NULL, 0, "Unknown: %s, and no words of this model are known.",
			      g->has_hypervisor ? "the hypervisor hides the TLB leaves of CPUID" : "CPUID tells nothing about TLBs");
	if (g->core_type)
		mw__doc_linef(v->root, NULL, 0, "A hybrid processor: these are the TLBs of a core of %s type, on which memwhy ran. Cores of another type "
			      "have others: taskset(1) runs memwhy there.", g->core_type);
	if (g->is_documented)
		mw__doc_linef(v->root, NULL, 0, "Documented, not from this processor, %s: %s.",
			      g->has_hypervisor ? "whose hypervisor hides it" : "which does not tell", g->document);
	if (g->remark)
		mw__doc_linef(v->root, NULL, 0, "Mind: %s (%s).", g->remark, g->document);
	mw__doc_line(v->root, "", NULL, 0);
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i].kind != MW__TLB_CODE && g->v[i].pages & MW__4K)
			draw(v, &g->v[i]);
}

/* ---------------------------------------------------------------------- reach */

/*
 * What the last level maps with pages of this size: all of its TLBs that take them together, for a second level may
 * be told in parts (4K and 2M, 4K and 1G); of a first level the largest. MW_UNKNOWN when none takes them.
 */
static uint64_t last_reach(const struct mw__tlbs *g, enum mw__page_size size)
{
	uint64_t reach = MW_UNKNOWN;
	unsigned level = 0;

	for (size_t i = 0; i < g->n; i++) {
		const struct mw__tlb *t = &g->v[i];

		if (t->kind == MW__TLB_CODE || !(t->pages & size) || t->level < level)
			continue;
		uint64_t bytes = mw__tlb_reach(t, size);

		if (t->level > level)
			reach = bytes;
		else
			reach = level > 1 ? reach + bytes : mw__max(reach, bytes);
		level = t->level;
	}
	return reach;
}

static void add_reach(struct view *v)
{
	uint64_t entries = mw__add(v->tables->small, v->tables->huge);
	uint64_t referenced = v->opts->working_set ? v->tables->referenced : MW_UNKNOWN;
	uint64_t reach4 = last_reach(v->tlbs, MW__4K), reach2 = last_reach(v->tlbs, MW__2M);
	uint64_t sizes[] = { v->snap->status.vm_rss, reach4, reach2, referenced };
	struct mw__doc_node *o = mw__doc_object(v->root, "reach");

	mw__doc_u64(o, "resident", MW__T_BYTES, sizes[0]);
	mw__doc_u64(o, "referenced", MW__T_BYTES, referenced);
	mw__doc_u64(o, "small_pages", MW__T_COUNT, v->tables->small);
	mw__doc_u64(o, "huge_pages", MW__T_COUNT, v->tables->huge);
	mw__doc_u64(o, "with_4k", MW__T_BYTES, reach4);
	mw__doc_u64(o, "with_2m", MW__T_BYTES, reach2);
	mw__doc_line(v->root, "\002HOW FAR THEY REACH", NULL, 0);
	if (entries == MW_UNKNOWN)
		mw__doc_line(v->root, "How many translations the resident pages take is unknown: no page state is known.", NULL, 0);
	else
		mw__doc_linef(v->root, sizes, 3, reach4 == MW_UNKNOWN && reach2 == MW_UNKNOWN ?
		      "Resident are \001, which take %llu translations (%llu small and %llu huge pages)." :
		      "Resident are \001, which take %llu translations (%llu small and %llu huge pages). The last level reaches \001 "
		      "with 4 KiB pages and \001 with 2 MiB pages.", (unsigned long long)entries, (unsigned long long)v->tables->small,
		      (unsigned long long)v->tables->huge);
	if (referenced != MW_UNKNOWN)
		mw__doc_linef(v->root, &sizes[3], 1, "Referenced within %.3g s were \001 (pages of files that others use count too): %s.", (double)v->opts->working_set / 1e9,
			      reach4 == MW_UNKNOWN ? "whether the TLBs reach it is unknown" :
			      referenced <= reach4 ? "the TLBs reach it with 4 KiB pages" :
			      reach2 != MW_UNKNOWN && referenced <= reach2 ? "more than the TLBs reach with 4 KiB pages, not with 2 MiB pages" :
			      "more than the TLBs reach");
	else
		mw__doc_line(v->root, "How much of it is in use is not measured: --working-set SECONDS does, and perturbs the process.", NULL, 0);
}

/* ------------------------------------------------------------------- counters */

/* "12345, 3.2 in 1000 instructions" */
static const char *count_text(uint64_t n, uint64_t per, const char *of, double scale, char buf[static 64])
{
	if (n == MW_UNKNOWN)
		snprintf(buf, 64, "unknown");
	else if (per == MW_UNKNOWN || !per)
		snprintf(buf, 64, "%" PRIu64, n);
	else
		snprintf(buf, 64, "%" PRIu64 ", %.3g %s", n, (double)n * scale / (double)per, of);
	return buf;
}

static void add_counts(struct view *v)
{
	const struct mw_tlb_counts *c = v->opts->counts;
	char load[64], store[64], code[64], walk[64];

	if (!c)
		return;
	struct mw__doc_node *o = mw__doc_object(v->root, "counters");

	mw__doc_u64(o, "ns", MW__T_COUNT, c->took_ns);
	mw__doc_u64(o, "cycles", MW__T_COUNT, c->cycles);
	mw__doc_u64(o, "instructions", MW__T_COUNT, c->instructions);
	mw__doc_u64(o, "load_misses", MW__T_COUNT, c->load_misses);
	mw__doc_u64(o, "store_misses", MW__T_COUNT, c->store_misses);
	mw__doc_u64(o, "code_misses", MW__T_COUNT, c->code_misses);
	mw__doc_u64(o, "walk_cycles", MW__T_COUNT, c->walk_cycles);
	mw__doc_text(o, "why", *c->why ? c->why : NULL);
	mw__doc_line(v->root, "\002WHAT THE PROCESSOR COUNTED", NULL, 0);
	if (c->cycles != MW_UNKNOWN) {
		mw__doc_linef(v->root, NULL, 0, "In %.3g s: TLB misses of loads %s; of stores %s; of code %s.", (double)c->took_ns / 1e9,
			      count_text(c->load_misses, c->instructions, "in 1000 instructions", 1000, load),
			      count_text(c->store_misses, c->instructions, "in 1000 instructions", 1000, store),
			      count_text(c->code_misses, c->instructions, "in 1000 instructions", 1000, code));
		mw__doc_linef(v->root, NULL, 0, "Cycles in page walks: %s.", count_text(c->walk_cycles, c->cycles, "% of all cycles", 100, walk));
	}
	if (*c->why)
		mw__doc_linef(v->root, NULL, 0, "Unknown: %s.", c->why);
}

/* ------------------------------------------------------------------- mappings */

enum { M_START, M_END, M_OBJECT, M_SIZE, M_TABLES, M_BYTES, M_SMALL, M_HUGE, M_REFERENCED, M_BLOCKS, M_ENTRIES, M_SAVED, M_COST, M_HOW };
static const struct mw__col map_cols[] = {
	{ "start", "START", MW__T_ADDR, 0, "first address" },
	{ "end", NULL, MW__T_ADDR, JSO, NULL },
	{ "object", "OBJECT", MW__T_TEXT, MW__COL_TRUNC, "file, name or kind of the mapping" },
	{ "size", "SIZE", MW__T_BYTES, 0, "size" },
	{ "tables", "TABLES", MW__T_COUNT, 0, "page tables that it needs and none before it" },
	{ "table_bytes", "BYTES", MW__T_BYTES, 0, "size of these tables" },
	{ "small_pages", "4K", MW__T_COUNT, 0, "present small pages: a translation each" },
	{ "huge_pages", "2M", MW__T_COUNT, 0, "present huge pages: a translation each" },
	{ "referenced", "REFERENCED", MW__T_BYTES, MW__COL_HIDDEN, "referenced in the time of --working-set" },
	{ "blocks", "BLOCKS", MW__T_COUNT, MW__COL_HIDDEN, "aligned 2 MiB blocks that are at least half full of small pages" },
	{ "entries_saved", "SAVES", MW__T_COUNT, 0, "translations saved if these blocks were huge pages" },
	{ "tables_saved", NULL, MW__T_BYTES, JSO, NULL },
	{ "costs", "COSTS", MW__T_BYTES, MW__COL_HIDDEN, "memory that filling up these blocks would add" },
	{ "how", "HOW", MW__T_TEXT, MW__COL_HIDDEN | MW__COL_WRAP, "how to get huge pages for it" },
};

/* What makes huge pages of a mapping: depends on what it is and on the machine's setting. */
static const char *how(const struct view *v, const struct mw__vma *vma)
{
	const char *thp = v->snap->limits.thp;

	switch ((enum mw__vma_kind)vma->kind) {
	case MW__ANON:
		if (!thp)
			return "madvise(MADV_HUGEPAGE), if the kernel has transparent huge pages";
		if (!strcmp(thp, "never"))
			return "transparent huge pages are off: echo madvise >/sys/kernel/mm/transparent_hugepage/enabled, then madvise(MADV_HUGEPAGE)";
		if (!strcmp(thp, "madvise"))
			return "madvise(MADV_HUGEPAGE) before it is touched, or MADV_COLLAPSE now";
		return "khugepaged does it in time; MADV_COLLAPSE does it now";
	case MW__SHMEM:
		return "fallocate on a mount with huge=within_size or hugetlbfs; MADV_COLLAPSE";
	case MW__FILE:
		return vma->prot & MW__W ? NULL : "align its segment to 2 MiB (ld -z max-page-size=0x200000), then MADV_COLLAPSE";
	default:
		return NULL;
	}
}

static const char *object_of(const struct view *v, const struct mw__vma *vma)
{
	if (vma->file != MW__NONE && v->snap->files.n > vma->file)
		return v->snap->files.v[vma->file].path;
	return *vma->name ? vma->name : "anonymous";
}

static void fill_map(struct view *v, struct mw__doc_node *t, struct mw__doc_row *row, const struct mw__mapping_tables *m)
{
	uint64_t tables = m->tables[0] + m->tables[1] + m->tables[2];
	uint64_t saved = m->in_blocks - m->blocks;

	mw__row_u64(t, row, M_START, m->vma->start);
	mw__row_u64(t, row, M_END, m->vma->end);
	mw__row_text(t, row, M_OBJECT, object_of(v, m->vma));
	mw__row_u64(t, row, M_SIZE, m->vma->end - m->vma->start);
	mw__row_u64(t, row, M_TABLES, tables);
	mw__row_u64(t, row, M_BYTES, tables * TABLE);
	mw__row_u64(t, row, M_SMALL, m->small);
	mw__row_u64(t, row, M_HUGE, m->huge);
	mw__row_u64(t, row, M_REFERENCED, v->opts->working_set ? m->referenced : MW_UNKNOWN);
	mw__row_u64(t, row, M_BLOCKS, m->blocks);
	mw__row_u64(t, row, M_ENTRIES, saved);
	mw__row_u64(t, row, M_SAVED, m->vma->kind == MW__ANON ? 0 : m->blocks * TABLE);
	mw__row_u64(t, row, M_COST, m->blocks * BLOCK - m->in_blocks * TABLE);
	mw__row_text(t, row, M_HOW, m->blocks ? how(v, m->vma) : NULL);
}

static void add_map(struct view *v, struct mw__doc_node *t, const struct mw__mapping_tables *m, enum mw__row_style style)
{
	struct mw__doc_row *row = mw__doc_row(t);

	if (!row)
		return;
	row->style = style;
	fill_map(v, t, row, m);
}

/* On the screen: the mappings with the most tables, at most MAX_ROWS. */
static bool is_shown(const struct view *v, const struct mw__mapping_tables *m, uint64_t least)
{
	return v->opts->all || m->tables[0] + m->tables[1] + m->tables[2] > least || m->blocks;
}

/* The number of tables that more than MAX_ROWS mappings do not exceed. */
static uint64_t screen_limit(const struct view *v)
{
	uint64_t limit = 0;

	for (size_t n = MAX_ROWS + 1; n > MAX_ROWS; limit++) {
		n = 0;
		for (size_t i = 0; i < v->tables->maps.n; i++) {
			const struct mw__mapping_tables *m = &v->tables->maps.v[i];

			n += m->tables[0] + m->tables[1] + m->tables[2] > limit;
		}
		if (n <= MAX_ROWS)
			break;
	}
	return limit;
}

/* Each way to huge pages once, with the blocks that it would serve. */
static void add_ways(struct view *v)
{
	const struct mw__page_tables *t = v->tables;

	for (size_t i = 0; i < t->maps.n; i++) {
		const char *way = t->maps.v[i].blocks ? how(v, t->maps.v[i].vma) : NULL;
		unsigned long long blocks = 0;
		bool told = !way;

		for (size_t k = 0; !told && k < t->maps.n; k++) {
			const char *other = t->maps.v[k].blocks ? how(v, t->maps.v[k].vma) : NULL;

			if (!other || strcmp(other, way))
				continue;
			told = k < i;
			blocks += t->maps.v[k].blocks;
		}
		if (!told)
			mw__doc_linef(v->root, NULL, 0, "How, for %llu of them (%s): %s.", blocks, mw__vma_kinds[t->maps.v[i].vma->kind], way);
	}
}

static void add_maps(struct view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, "mappings", "BY MAPPING", map_cols, MW__COUNT(map_cols));
	uint64_t limit = screen_limit(v), entries = 0, blocks = 0, added = 0, anon = 0;

	for (size_t i = 0; i < v->tables->maps.n; i++) {
		const struct mw__mapping_tables *m = &v->tables->maps.v[i];

		add_map(v, t, m, is_shown(v, m, limit) ? MW__ROW_PLAIN : MW__ROW_JSON);
		entries += m->in_blocks - m->blocks;
		blocks += m->blocks;
		anon += m->vma->kind == MW__ANON ? m->blocks : 0;
		added += m->blocks * BLOCK - m->in_blocks * TABLE;
	}
	struct mw__doc_node *o = mw__doc_object(v->root, "gain");
	bool known = v->tables->is_known;
	uint64_t sizes[] = { added, (blocks - anon) * TABLE };

	mw__doc_u64(o, "blocks", MW__T_COUNT, known ? blocks : MW_UNKNOWN);
	mw__doc_u64(o, "entries_saved", MW__T_COUNT, known ? entries : MW_UNKNOWN);
	mw__doc_u64(o, "memory_added", MW__T_BYTES, known ? added : MW_UNKNOWN);
	mw__doc_u64(o, "tables_saved", MW__T_BYTES, known ? sizes[1] : MW_UNKNOWN);
	if (!known)
		return;
	mw__doc_line(v->root, "", NULL, 0);
	if (blocks)
		mw__doc_linef(v->root, sizes, 2, "Blocks of 2 MiB that are at least half full: %llu. As huge pages they would save %llu translations, and "
			      "\001 more memory would be used. Page tables: \001 less; for anonymous memory none, as the kernel keeps one in "
			      "reserve for each transparent huge page (hugetlb keeps none).", (unsigned long long)blocks, (unsigned long long)entries);
	if (blocks)
		add_ways(v);
	else
		mw__doc_line(v->root, "No mapping would gain: none has an aligned block of 2 MiB that is half full of small pages.", NULL, 0);
}

/* ----------------------------------------------------------------------- all */

static int fill(struct view *v)
{
	struct mw_account *acc = NULL;

	if (!v->snap) {
		add_geometry(v);
		return 0;
	}
	if (mw_account_create(v->snap, &acc, NULL) < 0)
		return -MW_E_NOMEM;
	mw__view_target(v->root, v->snap);
	mw__doc_text(v->root, "state", mw__view_state(mw__snapshot_state(v->snap, acc)));
	mw__view_headline(v->root, v->snap, acc);
	mw_account_destroy(acc);
	add_cost(v);
	add_geometry(v);
	add_reach(v);
	add_counts(v);
	add_maps(v);
	mw__view_notes(v->root, v->snap);
	return 0;
}

int mw_report_tlb(const struct mw_snapshot *snap, const struct mw_cpu *cpu, const struct mw_tlb_opts *opts,
		  struct mw_document **ret, struct mw_err *err)
{
	static const struct mw_cpu none;
	struct mw_tlb_opts o = {};
	struct mw__page_tables tables = {};
	struct mw__tlbs tlbs;

	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	if (snap && mw__page_tables_make(snap, &tables) < 0)
		return mw__fail_nomem(err, "report");
	if (!cpu && snap && snap->cpu.n)
		cpu = &snap->cpu;
	mw__tlbs_decode(cpu ? cpu : &none, &tlbs);
	struct mw_document *doc = mw__doc_create("memwhy/tlb/1");

	if (doc) {
		struct view v = { snap, &tables, &tlbs, cpu != NULL, &o, doc->root };

		doc->failed |= fill(&v) < 0;
	}
	mw__page_tables_deinit(&tables);
	return mw__doc_finish(doc, ret, err);
}
