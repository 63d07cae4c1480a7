/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The join: claims that overlap in every way, runs that cross the cuts, and random snapshots in which each
 * extent must hold every byte once.
 */
#include "explain/explain.h"
#include "explain/sections.h"

#include <elf.h>

#include "base/cleanup.h"
#include "build.h"
#include "tap.h"

#define GRID 6	/* pages; intervals between 7 points stand in all 13 relations to each other */
#define MAX_CLAIMS 12

static const char *const rules[MAX_CLAIMS] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l" };

/* The claim that owns a page: the highest priority, told by brute force. */
static unsigned best_priority(const struct mw_snapshot *snap, uint64_t addr)
{
	unsigned best = 0;

	for (size_t i = 0; i < snap->claims.n; i++) {
		const struct mw__claim *c = &snap->claims.v[i];

		if (addr >= c->start && addr < c->end && c->priority > best)
			best = c->priority;
	}
	return best;
}

static const struct mw__claim *claim_by_rule(const struct mw_snapshot *snap, const char *rule)
{
	for (size_t i = 0; i < snap->claims.n; i++)
		if (snap->claims.v[i].rule == rule)
			return &snap->claims.v[i];
	return NULL;
}

/* Pages of anonymous mappings whose owner is not the claim of the highest priority. */
static unsigned count_wrong_owners(const struct mw_snapshot *snap)
{
	struct mw__extents it;
	struct mw__extent x;
	unsigned wrong = 0;

	if (mw__extents_init(&it, snap) < 0)
		return 1;
	while (mw__extents_next(&it, &x)) {
		if (x.vma->kind != MW__ANON)
			continue;
		const struct mw__claim *c = claim_by_rule(snap, x.rule);

		for (uint64_t at = x.start; at < x.end; at += B_PAGE)
			wrong += best_priority(snap, at) != (c ? c->priority : 0) || (c && (at < c->start || at >= c->end));
	}
	mw__extents_deinit(&it);
	return wrong;
}

/* Extents must follow each other through every mapping, and their causes sum to their size. */
static unsigned count_bad_extents(const struct mw_snapshot *snap)
{
	struct mw__extents it;
	struct mw__extent x;
	unsigned bad = 0;
	size_t vma = 0;
	uint64_t at = 0;

	if (mw__extents_init(&it, snap) < 0)
		return 1;
	while (mw__extents_next(&it, &x)) {
		uint64_t sum = 0;

		while (vma < snap->vmas.n && mw__vma_is_vsyscall(&snap->vmas.v[vma]))
			vma++;
		if (vma == snap->vmas.n) {
			bad++;
			break;
		}
		at = at ? at : snap->vmas.v[vma].start;
		bad += x.vma != &snap->vmas.v[vma] || x.start != at || x.end <= x.start || x.end > x.vma->end;
		for (int c = 0; c < MW__N_CAUSES; c++)
			sum += mw__extent_cause(&x, (enum mw__cause)c);
		bad += sum != x.end - x.start || x.tally.huge > mw__tally_resident(&x.tally);
		at = x.end;
		if (x.end == x.vma->end) {
			vma++;
			at = 0;
		}
	}
	while (vma < snap->vmas.n && mw__vma_is_vsyscall(&snap->vmas.v[vma]))
		vma++;
	mw__extents_deinit(&it);
	return bad + (vma != snap->vmas.n) + (at != 0);
}

/* Two claims in every relation, either one winning, over one mapping and over two. */
static void test_relations(void)
{
	unsigned wrong = 0, n = 0;

	for (unsigned code = 0; code < 7 * 7 * 7 * 7 * 4; code++) {
		unsigned a = code % 7, b = code / 7 % 7, c = code / 49 % 7, d = code / 343 % 7, way = code / 2401;

		if (a >= b || c >= d)
			continue;
		struct mw_snapshot *snap = b_create();

		if (way & 1) {
			b_vma(snap, 0, GRID / 2, MW__R | MW__W, MW__ANON);
			b_vma(snap, GRID / 2, GRID / 2, MW__R | MW__W, MW__ANON);
		} else {
			b_vma(snap, 0, GRID, MW__R | MW__W, MW__ANON);
		}
		b_run(snap, 0, 2, MW__PRESENT);
		b_claim(snap, a, b - a, MW__OWNER_THREAD_STACK, way & 2 ? 10 : 20, rules[0]);
		b_claim(snap, c, d - c, MW__OWNER_GLIBC_ARENA, way & 2 ? 20 : 10, rules[1]);
		if (mw__snapshot_freeze(snap, NULL) < 0)
			wrong++;
		else
			wrong += count_wrong_owners(snap) + count_bad_extents(snap);
		n++;
		mw_snapshot_destroy(snap);
	}
	ok(wrong == 0, "two claims in every relation to each other (%u cases, %u wrong)", n, wrong);
}

static void test_many_claims(void)
{
	unsigned wrong = 0;

	for (uint64_t seed = 1; seed <= 2000; seed++) {
		struct dice d = { seed * UINT64_C(0x9e3779b97f4a7c15) };
		struct mw_snapshot *snap = b_create();
		unsigned n = 1 + (unsigned)roll(&d, MAX_CLAIMS);

		for (uint64_t page = 0; page < 30; page += 10)
			b_vma(snap, page, 1 + roll(&d, 10), MW__R | MW__W, MW__ANON);
		for (unsigned i = 0; i < n; i++)
			b_claim(snap, roll(&d, 30), 1 + roll(&d, 20), (enum mw__owner)(1 + roll(&d, MW__N_OWNERS - 1)),
				1 + (unsigned)roll(&d, 6), rules[i]);
		wrong += mw__snapshot_freeze(snap, NULL) < 0 || count_wrong_owners(snap) || count_bad_extents(snap);
		mw_snapshot_destroy(snap);
	}
	is_int(wrong, 0, "up to 12 claims on three mappings, 2000 times");
}

/*
 * A hostile file: claims inside each other, the inner ones winning, and all of them open in the middle. A look at
 * each of them for each place where one begins or ends would not come to an end.
 */
static void test_nested_claims(void)
{
	const uint64_t n = 200000;
	struct mw_snapshot *snap = b_create();
	MW_CLEANUP(mw__extents_deinit) struct mw__extents it = {};
	struct mw__extent x;
	uint64_t wrong = 0, pieces = 0;

	b_vma(snap, 0, 2 * n, MW__R | MW__W, MW__ANON);
	for (uint64_t i = 0; i < n; i++)
		b_claim(snap, i, 2 * (n - i), i % 2 ? MW__OWNER_BRK_HEAP : MW__OWNER_GLIBC_ARENA, 1 + (unsigned)(i / 4), rules[i % 2]);
	ok(mw__snapshot_freeze(snap, NULL) == 0 && mw__extents_init(&it, snap) == 0, "nested claims");
	while (mw__extents_next(&it, &x)) {
		uint64_t page = (x.start - B_BASE) / B_PAGE, depth = page < n ? page : 2 * n - 1 - page;

		/* of four claims of one priority the outermost wins */
		wrong += x.owner != ((depth & ~UINT64_C(3)) % 2 ? MW__OWNER_BRK_HEAP : MW__OWNER_GLIBC_ARENA);
		pieces++;
	}
	ok(!wrong && pieces, "%llu pieces, each of the innermost", (unsigned long long)pieces);
	mw_snapshot_destroy(snap);
}

/* Claims on anonymous memory say nothing about a mapped file, except for the loader's gaps. */
static void test_claims_on_files(void)
{
	struct mw_snapshot *snap = b_create();
	struct mw__extents it;
	struct mw__extent x;

	b_vma(snap, 0, 4, MW__R, MW__FILE);
	b_file(snap, "/f", 4 * B_PAGE);
	b_vma(snap, 4, 4, 0, MW__FILE);
	b_file(snap, "/g", 4 * B_PAGE);
	b_vma(snap, 8, 4, MW__R, MW__FILE);
	b_file(snap, "/h", 4 * B_PAGE);
	b_vma(snap, 12, 4, MW__R | MW__W, MW__HUGETLB);
	b_vma(snap, 16, 4, MW__R | MW__W, MW__HUGETLB);
	b_claim(snap, 0, 4, MW__OWNER_THREAD_STACK, 60, "stack");
	b_claim(snap, 12, 4, MW__OWNER_GLIBC_ARENA, 50, "heap");
	b_claim(snap, 16, 4, MW__OWNER_THREAD_STACK, 60, "stack");
	b_claim(snap, 4, 4, MW__OWNER_LDSO_GAP, 50, "gap");
	b_claim(snap, 8, 4, MW__OWNER_LDSO_GAP, 50, "gap");
	ok(mw__snapshot_freeze(snap, NULL) == 0 && mw__extents_init(&it, snap) == 0, "claims on files");
	ok(mw__extents_next(&it, &x) && x.owner == MW__OWNER_FILE && x.end - x.start == 4 * B_PAGE, "a file stays a file");
	ok(mw__extents_next(&it, &x) && x.owner == MW__OWNER_LDSO_GAP, "an inaccessible one is a gap");
	ok(mw__extents_next(&it, &x) && x.owner == MW__OWNER_FILE, "one that can be read is not");
	ok(mw__extents_next(&it, &x) && x.owner == MW__OWNER_GLIBC_ARENA, "hugetlb pages may be malloc's");
	ok(mw__extents_next(&it, &x) && x.owner == MW__OWNER_HUGETLB, "and are nobody else's");
	ok(!mw__extents_next(&it, &x), "there are no more");
	mw__extents_deinit(&it);
	mw_snapshot_destroy(snap);
}

/* A run of pages that three owners share is counted where its pages lie. */
static void test_runs_across(void)
{
	struct mw_snapshot *snap = b_create();
	struct mw__extents it;
	struct mw__extent x;

	b_vma(snap, 0, 16, MW__R | MW__W, MW__ANON);
	b_run(snap, 0, 6, MW__PRESENT);
	b_run(snap, 6, 4, MW__SWAPPED);
	b_run(snap, 14, 2, MW__PRESENT | MW__HUGE);
	b_claim(snap, 1, 2, MW__OWNER_GLIBC_ARENA, 50, "arena");
	b_claim(snap, 3, 4, MW__OWNER_THREAD_STACK, 60, "stack");
	b_claim(snap, 7, 8, MW__OWNER_GO_HEAP, 40, "heap");
	ok(mw__snapshot_freeze(snap, NULL) == 0 && mw__extents_init(&it, snap) == 0, "runs across owners");
	static const struct {
		unsigned pages, anon, swap, huge;
	} parts[5] = { { 1, 1, 0, 0 }, { 2, 2, 0, 0 }, { 4, 3, 1, 0 }, { 8, 1, 3, 1 }, { 1, 1, 0, 1 } };

	for (unsigned i = 0; i < 5; i++) {
		bool got = mw__extents_next(&it, &x);

		ok(got && (x.end - x.start) / B_PAGE == parts[i].pages && x.tally.anon / B_PAGE == parts[i].anon &&
		   x.tally.swap / B_PAGE == parts[i].swap && x.tally.huge / B_PAGE == parts[i].huge, "piece %u", i);
	}
	ok(!mw__extents_next(&it, &x), "no further piece");
	mw__extents_deinit(&it);
	mw_snapshot_destroy(snap);
}

/* -------------------------------------------------------- random snapshots */

static uint64_t some_amount(struct dice *d, uint64_t size)
{
	switch (roll(d, 6)) {
	case 0: return MW_UNKNOWN;
	case 1: return 0;
	case 2: return size;
	case 3: return size * 2;
	case 4: return MW_UNKNOWN - 1 - roll(d, 9);
	default: return roll(d, size / B_PAGE + 1) * B_PAGE;
	}
}

static void random_runs(struct mw_snapshot *snap, struct dice *d, uint64_t pages)
{
	for (uint64_t at = roll(d, 3); at < pages;) {
		uint32_t n = 1 + (uint32_t)roll(d, pages - at);

		b_run(snap, at, n, 1 + (uint32_t)roll(d, 63));
		at += n + roll(d, 4);
	}
}

static void random_smaps(struct mw_snapshot *snap, struct dice *d)
{
	static const char *const flags[] = { NULL, "rd wr", "rd um", "rd ht", "pf io", "" };

	b_smaps(snap);
	for (size_t i = 0; i < snap->vmas.n; i++) {
		uint64_t size = snap->vmas.v[i].end - snap->vmas.v[i].start;

#define SMAPS(member, key, json, what) snap->smaps[i].member = some_amount(d, size);
#include "model/smaps.def"
#undef SMAPS
		snap->smaps[i].flags = flags[roll(d, 6)];
	}
}

static struct mw__segment segments[4] = {
	{ .type = PT_LOAD, .vaddr = 0, .filesz = 4096, .memsz = 40960 }, { .type = PT_LOAD, .vaddr = 8192, .memsz = 4096 },
	{ .type = PT_NOTE, .vaddr = 0, .memsz = 4 }, { .type = PT_LOAD, .vaddr = UINT64_MAX - 9, .memsz = 100 },
};

static struct mw_snapshot *random_snapshot(uint64_t seed)
{
	struct dice d = { seed * UINT64_C(0x9e3779b97f4a7c15) + 1 };
	struct mw_snapshot *snap = b_create();
	unsigned n = (unsigned)roll(&d, 12), n_claims = (unsigned)roll(&d, MAX_CLAIMS);
	uint64_t page = 0;

	snap->target.pages = (enum mw_page_source)roll(&d, 4);
	for (unsigned i = 0; i < n; i++) {
		uint64_t pages = 1 + roll(&d, 24);
		struct mw__vma *v = b_vma(snap, page, pages, (int)roll(&d, 8), (enum mw__vma_kind)roll(&d, MW__N_KINDS));

		page += pages + (roll(&d, 2) ? roll(&d, 5) : 0);
		v->is_shared = roll(&d, 2);
		v->no_pages = !roll(&d, 6);
		v->states_known = roll(&d, 8);
		v->zero_unplaced = roll(&d, 4) ? 0 : roll(&d, 30) * B_PAGE;
		v->cached = some_amount(&d, pages * B_PAGE);
		v->evicted = some_amount(&d, pages * B_PAGE);
		v->off = roll(&d, 3) ? roll(&d, 40) * B_PAGE : MW_UNKNOWN - roll(&d, 99999);
		v->name = roll(&d, 9) ? roll(&d, 2) ? "" : "[heap]" : "[vsyscall]";
		if (v->kind == MW__FILE || roll(&d, 3) == 0)
			b_file(snap, "/some/file", some_amount(&d, pages * B_PAGE));
		if (v->states_known || roll(&d, 2))
			random_runs(snap, &d, pages);
	}
	for (unsigned i = 0; i < n_claims; i++)
		b_claim(snap, roll(&d, page + 1), 1 + roll(&d, 40), (enum mw__owner)roll(&d, MW__N_OWNERS), (unsigned)roll(&d, 70), rules[i]);
	for (unsigned i = 0; i < roll(&d, 4); i++)
		*(struct mw__image *)MW_VEC_PUSH(&snap->images) = (struct mw__image){
			.path = "/img", .file = snap->files.n ? (uint32_t)roll(&d, snap->files.n) : MW__NONE,
			.role = (enum mw__role)roll(&d, 4), .elf_class = 64, .bias = B_BASE + roll(&d, page + 1) * B_PAGE,
			.start = B_BASE + roll(&d, 20) * B_PAGE, .end = B_BASE + (20 + roll(&d, 99)) * B_PAGE,
			.segments = segments, .n_segments = 4,
		};
	if (roll(&d, 2))
		random_smaps(snap, &d);
	snap->status.vm_size = some_amount(&d, page * B_PAGE);
	snap->status.vm_rss = some_amount(&d, page * B_PAGE);
	snap->status.vm_swap = some_amount(&d, page * B_PAGE);
	snap->target.is_torn = !roll(&d, 5);
	return snap;
}

/* What the account must hold, whatever the snapshot says. */
static const char *check_account(const struct mw_snapshot *snap)
{
	struct mw_account *acc = NULL;
	uint64_t all = 0, resident = 0, vsz = 0, rss = 0, swap = 0;
	const char *why = NULL;

	if (mw_account_create(snap, &acc, NULL) < 0)
		return "no account";
	for (size_t i = 0; i < acc->lines.n; i++) {
		all += acc->lines.v[i].bytes;
		if (mw__causes[acc->lines.v[i].cause].is_resident)
			resident += acc->lines.v[i].bytes;
	}
	for (size_t i = 0; i < acc->objects.n; i++) {
		const struct mw__object *o = &acc->objects.v[i];

		vsz += o->vsz;
		rss += o->anon + o->file + o->shmem;
		swap += o->swap;
	}
	if (all != mw__snapshot_vsz(snap) || acc->vsz != all)
		why = "the causes do not sum to VSZ";
	else if (resident != acc->rss)
		why = "the resident causes do not sum to RSS";
	else if (vsz != acc->vsz)
		why = "the objects do not sum to VSZ";
	else if (rss != acc->rss)
		why = "the objects do not sum to RSS";
	else if (swap != acc->total.swap + acc->total.evicted)
		why = "the objects do not sum to swap";
	else if (acc->rss != mw__tally_resident(&acc->total))
		why = "the total is not RSS";
	mw_account_destroy(acc);
	return why;
}

static void test_random(void)
{
	unsigned bad = 0;

	for (uint64_t seed = 1; seed <= 20000 && bad < 5; seed++) {
		struct mw_snapshot *snap = random_snapshot(seed);
		const char *why = NULL;

		if (mw__snapshot_freeze(snap, NULL) < 0)
			why = "the freeze refuses it";
		else if (count_bad_extents(snap))
			why = "the extents do not hold every byte once";
		else
			why = check_account(snap);
		if (why)
			printf("# seed %llu: %s\n", (unsigned long long)seed, why);
		bad += why != NULL;
		mw_snapshot_destroy(snap);
	}
	is_int(bad, 0, "20000 random snapshots: every byte once, all sums close");
}

/* Why a page was copied: the rest of a page that .bss begins in was cleared, but only where it may be written to. */
static void test_why(void)
{
	static const struct mw__segment loads[] = {
		{ PT_LOAD, PF_R | PF_X, 0, 0, 0x1800, 0x2000, 0x1000 },
		{ PT_LOAD, PF_R | PF_W, 0x2000, 0x3000, 0x1800, 0x4000, 0x1000 },
		{ PT_LOAD, PF_R | PF_W, 0x4000, 0x8000, 0x1000, 0x2000, 0x1000 },
	};
	static const struct mw__reloc_page relocated[] = { { .addr = 0x3000 } };
	const struct mw__detail detail = { .reloc_pages = relocated, .n_reloc_pages = 1 };
	const struct mw__image img = { .bias = 0x10000, .segments = loads, .n_segments = 3, .detail = &detail };
	static const struct {
		uint64_t page;
		enum mw__why why;
		const char *what;
	} pages[] = {
		{ 0x1000, MW__BY_WRITE, "the end of a segment that is not writable" }, { 0x3000, MW__BY_RELOC, "relocated" },
		{ 0x4000, MW__BY_CLEAR, "the start of .bss in a page" }, { 0x5000, MW__BY_WRITE, "a page of .bss" },
		{ 0x8000, MW__BY_WRITE, "data" }, { 0x9000, MW__BY_WRITE, ".bss that begins with a page" },
	};

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		ok(mw__image_why(&img, 0x10000 + pages[i].page + 0x123) == pages[i].why, "why it was copied: %s", pages[i].what);
}

int main(void)
{
	test_why();
	test_relations();
	test_many_claims();
	test_nested_claims();
	test_claims_on_files();
	test_runs_across();
	test_random();
	return done_testing();
}
