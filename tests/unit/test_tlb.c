/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Words of CPUID against the geometry that the vendors document. Where a set of words is from is told by
 * each: "published" are words that dumps of this model show, "derived" are encoded here from the manual's
 * numbers, "captured" were read on a machine of ours.
 */
#include "explain/tlb.h"
#include "tap.h"

#include <stdlib.h>

struct want {
	unsigned level, kind, pages;
	uint32_t entries, ways;
};
struct machine {
	const char *name;
	struct mw__cpuid leaves[12];
	struct want want[12];
	bool documented, remark;
};

#define INTEL { 0, 0, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69 }
#define AMD { 0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65 }
#define DATA MW__TLB_DATA
#define CODE MW__TLB_CODE
#define BOTH MW__TLB_UNIFIED
#define BIG (MW__2M | MW__4M)

static const struct machine machines[] = {
	{ "Nehalem (published leaf 2; SDM 2A)",
	  { INTEL, { 1, 0, 0x106a5, 0, 0, 0 }, { 2, 0, 0x55035a01, 0x00f0b2e4, 0, 0x09ca212c } },
	  { { 1, DATA, BIG, 32, 4 }, { 1, DATA, MW__4K, 64, 4 }, { 1, CODE, BIG, 7, MW__FULL }, { 1, CODE, MW__4K, 64, 4 },
	    { 2, BOTH, MW__4K, 512, 4 } }, false, false },
	{ "Skylake (published leaf 2; SDM 2A)",
	  { INTEL, { 1, 0, 0x506e3, 0, 0, 0 }, { 2, 0, 0x76036301, 0x00f0b5ff, 0, 0x00c30000 } },
	  { { 1, DATA, BIG, 32, 4 }, { 1, DATA, MW__1G, 4, 4 }, { 1, DATA, MW__4K, 64, 4 }, { 1, CODE, BIG, 8, MW__FULL },
	    { 1, CODE, MW__4K, 64, 8 }, { 2, BOTH, MW__4K | MW__2M, 1536, 6 }, { 2, BOTH, MW__1G, 16, 4 } }, false, false },
	{ "leaf 0x18: 64 x 4K in 16 sets, 2048 x 4K/2M in 128 sets, a full one (derived from SDM 2A)",
	  { INTEL, { 1, 0, 0x606a6, 0, 0, 0 }, { 2, 0, 0x00feff01, 0xf0, 0, 0 }, { 0x18, 0, 3, 0, 0, 0 },
	    { 0x18, 1, 0, 4u << 16 | 1, 16, 1u << 5 | 1 }, { 0x18, 2, 0, 16u << 16 | 3, 128, 2u << 5 | 3 },
	    { 0x18, 3, 0, 8u << 16 | 8, 1, 1u << 8 | 1u << 5 | 1 } },
	  { { 1, DATA, MW__4K, 64, 4 }, { 2, BOTH, MW__4K | MW__2M, 2048, 16 }, { 1, DATA, MW__1G, 8, MW__FULL } }, false, false },
	{ "Skylake server, hidden by a hypervisor: as documented",
	  { INTEL, { 1, 0, 0x50654, 0, 0x80000000, 0 }, { 2, 0, 0x00feff01, 0xf0, 0, 0 }, { 0x18, 0, 0, 0, 0, 0 } },
	  { { 1, DATA, BIG, 32, 4 }, { 1, DATA, MW__1G, 4, 4 }, { 1, DATA, MW__4K, 64, 4 }, { 1, CODE, BIG, 8, MW__FULL },
	    { 1, CODE, MW__4K, 64, 8 }, { 2, BOTH, MW__4K | MW__2M, 1536, 6 }, { 2, BOTH, MW__1G, 16, 4 } }, true, false },
	{ "an Intel model without document, hidden: unknown",
	  { INTEL, { 1, 0, 0xf06f5, 0, 0x80000000, 0 }, { 2, 0, 0x00feff01, 0xf0, 0, 0 } }, { { 0 } }, false, false },
	{ "Zen 2 (derived from AMD's words for 64/64 full, 1024/2048 8-way, 2M 1024 8-way/2048 4-way)",
	  { AMD, { 1, 0, 0x830f10, 0, 0, 0 }, { 0x80000005, 0, 0xff40ff40, 0xff40ff40, 0, 0 },
	    { 0x80000006, 0, 0x48006400, 0x68006400, 0, 0 }, { 0x80000019, 0, 0xf040f040, 0, 0, 0 } },
	  { { 1, CODE, MW__4K, 64, MW__FULL }, { 1, DATA, MW__4K, 64, MW__FULL }, { 1, CODE, MW__2M, 64, MW__FULL },
	    { 1, DATA, MW__2M, 64, MW__FULL }, { 1, CODE, MW__1G, 64, MW__FULL }, { 1, DATA, MW__1G, 64, MW__FULL },
	    { 2, CODE, MW__4K, 1024, 8 }, { 2, DATA, MW__4K, 2048, 8 }, { 2, CODE, MW__2M, 1024, 8 }, { 2, DATA, MW__2M, 2048, 4 } },
	  false, false },
	{ "Zen 2, hidden by a hypervisor: as documented for its extended model",
	  { AMD, { 1, 0, 0x830f10, 0, 0x80000000, 0 } },
	  { { 1, CODE, MW__4K, 64, MW__FULL }, { 1, DATA, MW__4K, 64, MW__FULL }, { 1, CODE, MW__2M, 64, MW__FULL },
	    { 1, DATA, MW__2M, 64, MW__FULL }, { 1, CODE, MW__1G, 64, MW__FULL }, { 1, DATA, MW__1G, 64, MW__FULL },
	    { 2, CODE, MW__4K, 1024, 8 }, { 2, DATA, MW__4K, 2048, 8 }, { 2, CODE, MW__2M, 1024, 8 }, { 2, DATA, MW__2M, 2048, 4 } },
	  true, false },
	{ "Zen 5 under a hypervisor that hides L2TlbSizeX32 (captured)",
	  { AMD, { 1, 0, 0x00b00f21, 0x01020800, 0xfffa3203, 0x178bfbff }, { 0x80000005, 0, 0xff60ff40, 0xff60ff40, 0x300c0140, 0x20080140 },
	    { 0x80000006, 0, 0x40802040, 0x60804040, 0x04008140, 0x0c009140 }, { 0x80000019, 0, 0, 0, 0, 0 },
	    { 0x80000021, 0, 0x204, 0, 0x86, 0 } },
	  { { 1, CODE, MW__4K, 64, MW__FULL }, { 1, DATA, MW__4K, 96, MW__FULL }, { 1, CODE, MW__2M, 64, MW__FULL },
	    { 1, DATA, MW__2M, 96, MW__FULL }, { 2, CODE, MW__4K, 2048, 4 }, { 2, DATA, MW__4K, 4096, 8 },
	    { 2, CODE, MW__2M, 2048, 2 }, { 2, DATA, MW__2M, 4096, 4 } }, false, true },
	{ "Zen 5 with L2TlbSizeX32 (derived: the bit set, the same words)",
	  { AMD, { 1, 0, 0x00b00f21, 0, 0, 0 }, { 0x80000006, 0, 0x40802040, 0x60804040, 0, 0 }, { 0x80000021, 0, 0x4204, 0, 0, 0 } },
	  { { 2, CODE, MW__4K, 2048, 4 }, { 2, DATA, MW__4K, 4096, 8 }, { 2, CODE, MW__2M, 2048, 2 }, { 2, DATA, MW__2M, 4096, 4 } },
	  false, false },
	{ "AMD K8, one level 2 for both (derived from APM 3: no data half)",
	  { AMD, { 1, 0, 0xf4a, 0, 0, 0 }, { 0x80000006, 0, 0, 0x00004200, 0, 0 } }, { { 2, BOTH, MW__4K, 512, 4 } }, false, false },
};

static bool is_same(const struct mw__tlb *t, const struct want *w)
{
	bool same = t->level == w->level && t->kind == w->kind && t->pages == w->pages && t->entries == w->entries && t->ways == w->ways;

	if (!same)
		printf("# got level %u kind %u pages %u entries %u ways %u, want %u %u %u %u %u\n", t->level, t->kind, t->pages,
		       t->entries, t->ways, w->level, w->kind, w->pages, w->entries, w->ways);
	return same;
}

static void test_machine(const struct machine *m)
{
	struct mw_cpu cpu = {};
	struct mw__tlbs tlbs;
	size_t n = 0;
	bool same = true;

	for (size_t i = 0; i < 12; i++)
		if (i == 0 || m->leaves[i].leaf)
			cpu.leaves[cpu.n++] = m->leaves[i];
	mw__tlbs_decode(&cpu, &tlbs);
	while (n < 12 && m->want[n].entries)
		n++;
	for (size_t i = 0; i < n && i < tlbs.n; i++)
		same &= is_same(&tlbs.v[i], &m->want[i]);
	ok(same && tlbs.n == n, "%s: %zu TLBs of %zu", m->name, tlbs.n, n);
	ok(tlbs.is_documented == m->documented && (tlbs.remark != NULL) == m->remark, "  where it comes from is said");
}

static void test_nothing(void)
{
	struct mw_cpu cpu = {};
	struct mw__tlbs tlbs;

	mw__tlbs_decode(&cpu, &tlbs);
	ok(tlbs.n == 0 && !*tlbs.vendor, "without leaves nothing is known");
	cpu.n = MW__MAX_LEAVES;
	for (size_t round = 0; round < 2000; round++) {
		for (size_t i = 0; i < sizeof(cpu.leaves) / 4; i++)
			((uint32_t *)cpu.leaves)[i] = (uint32_t)rand() * 2u + (uint32_t)(rand() & 1);
		cpu.leaves[0] = round & 1 ? (struct mw__cpuid)INTEL : (struct mw__cpuid)AMD;
		for (uint32_t i = 1; i < 32; i++) {
			cpu.leaves[i].leaf = 0x18;
			cpu.leaves[i].subleaf = i - 1;
		}
		mw__tlbs_decode(&cpu, &tlbs);
		if (tlbs.n > MW__MAX_TLBS)
			break;
	}
	ok(tlbs.n <= MW__MAX_TLBS, "random words stay in bounds");
	struct mw__tlb t = { 2, DATA, MW__4K | MW__2M, 1536, 12, NULL };

	is_u64(mw__tlb_sets(&t), 128, "sets: entries by ways");
	is_u64(mw__tlb_reach(&t, MW__4K), 6u << 20, "reach with small pages");
	is_u64(mw__tlb_reach(&t, MW__2M), 3221225472u, "reach with huge pages");
	is_u64(mw__tlb_reach(&t, MW__1G), 0, "none with pages that it does not take");
}

/* --------------------------------------------------------------- page tables */

static void add_vma(struct mw_snapshot *s, uint64_t start, uint64_t end, uint8_t kind)
{
	struct mw__vma *v = MW_VEC_PUSH(&s->vmas);

	*v = (struct mw__vma){ .start = start, .end = end, .kind = kind, .name = "", .file = MW__NONE, .run = (uint32_t)s->runs.n,
			       .cached = MW_UNKNOWN, .evicted = MW_UNKNOWN };
}

static void add_run(struct mw_snapshot *s, uint64_t start, uint32_t pages, uint32_t state)
{
	*MW_VEC_PUSH(&s->runs) = (struct mw__run){ start, pages, state };
	s->vmas.v[s->vmas.n - 1].n_runs++;
}

#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)

static void test_tables(void)
{
	struct mw_snapshot s;
	struct mw__page_tables t;

	mw__snapshot_init(&s);
	if (!ok(mw__page_tables_make(&s, &t) == 0 && !t.is_known && t.least == MW_UNKNOWN, "without page states nothing is known"))
		return;
	s.target.has_maps = true;
	s.target.pages = MW_PAGES_SCAN;
	add_vma(&s, 4 * M, 12 * M, MW__ANON);
	add_run(&s, 4 * M, 512 + 1, MW__PRESENT);	/* a full block, and one page of the next */
	add_run(&s, 8 * M, 255, MW__PRESENT);		/* less than half a block */
	add_run(&s, 10 * M, 256, MW__PRESENT);		/* half of one */
	add_vma(&s, 12 * M, 14 * M, MW__ANON);
	add_run(&s, 12 * M, 512, MW__PRESENT | MW__HUGE);
	add_vma(&s, 14 * M, 16 * M, MW__SHMEM);
	add_run(&s, 14 * M, 512, MW__PRESENT | MW__HUGE);
	add_vma(&s, 600 * G, 600 * G + 4096, MW__ANON);
	add_run(&s, 600 * G, 1, MW__SWAPPED);
	if (!ok(mw__page_tables_make(&s, &t) == 0, "tables are counted"))
		return;
	is_u64(t.maps.v[0].tables[0], 4, "a page table for each 2 MiB with an entry");
	is_u64(t.maps.v[0].blocks, 2, "blocks that are at least half full");
	is_u64(t.maps.v[0].in_blocks, 768, "small pages in them");
	is_u64(t.maps.v[0].small, 1024, "small pages in all");
	is_u64(t.maps.v[1].tables[0], 1, "an anonymous huge page keeps a page table");
	is_u64(t.maps.v[1].huge, 1, "and is one translation");
	is_u64(t.maps.v[2].tables[0], 0, "a huge page of shared memory keeps none");
	is_u64(t.maps.v[3].tables[0] + t.maps.v[3].tables[1] + t.maps.v[3].tables[2], 3, "a far page needs three tables, swapped too");
	is_u64(t.tables[1], 2, "directories: 1 GiB each");
	is_u64(t.tables[3], 1, "one PGD");
	is_u64(t.least, (4 + 1 + 1 + 2 + 2) * 4096, "the sum, without the PGD");
	is_u64(t.levels, 4, "four levels, when nothing else is known");
	mw__page_tables_deinit(&t);
	s.target.page_levels = 5;
	add_vma(&s, 300 * 1024 * G, 300 * 1024 * G + 4096, MW__ANON);
	add_run(&s, 300 * 1024 * G, 1, MW__PRESENT);
	if (!ok(mw__page_tables_make(&s, &t) == 0, "tables are counted with five levels"))
		return;
	is_u64(t.levels, 5, "five levels");
	is_u64(t.tables[3], 2, "a P4D for each 256 TiB");
	is_u64(t.tables[4], 1, "one PGD over them");
	is_u64(t.least, (4 + 1 + 1 + 2 + 2 + 3) * 4096, "the sum leaves both out, as VmPTE does");
	mw__page_tables_deinit(&t);
	mw__snapshot_deinit(&s);
}

static int keep(void *ctx, const void *bytes, size_t len)
{
	char *text = ctx;
	size_t n = strlen(text);

	if (n + len < 65536) {
		memcpy(text + n, bytes, len);
		text[n + len] = '\0';
	}
	return 0;
}

static void test_counts(void)
{
	struct mw_tlb_counts counts = { .size = sizeof(counts), .took_ns = 500000000, .cycles = 1000, .instructions = 2000,
					.load_misses = 4, .store_misses = MW_UNKNOWN, .code_misses = 0, .walk_cycles = 50 };
	struct mw_tlb_opts opts = { .size = sizeof(opts), .counts = &counts };
	struct mw_text_opts wide = { .size = sizeof(wide) };
	static char text[65536];
	struct mw_sink sink = { keep, text };
	struct mw_document *doc = NULL;
	struct mw_snapshot s;

	mw__snapshot_init(&s);
	if (ok(mw_report_tlb(&s, NULL, &opts, &doc, NULL) == 0 && mw_document_text(doc, &wide, &sink, NULL) == 0, "counts are reported")) {
		ok(strstr(text, "loads 4, 2 in 1000 instructions"), "misses by instructions");
		ok(strstr(text, "stores unknown") && strstr(text, "code 0, 0 in"), "unknown is not 0");
		ok(strstr(text, "page walks: 50, 5 % of all cycles"), "walks by cycles");
	}
	mw_document_destroy(doc);
	mw__snapshot_deinit(&s);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		test_machine(&machines[i]);
	test_nothing();
	test_tables();
	test_counts();
	return done_testing();
}
