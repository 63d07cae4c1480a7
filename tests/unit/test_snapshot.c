/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The freeze lets a true snapshot pass, orders its claims, and refuses every broken invariant. */
#include "model/snapshot.h"

#include "tap.h"

#define PAGE 4096

static void add_vma(struct mw_snapshot *snap, uint64_t start, uint64_t end, uint32_t run, uint32_t n)
{
	struct mw__vma *vma = MW_VEC_PUSH(&snap->vmas);

	*vma = (struct mw__vma){
		.start = start, .end = end, .name = "", .file = MW__NONE, .run = run, .n_runs = n,
		.cached = MW_UNKNOWN, .evicted = MW_UNKNOWN, .states_known = true,
	};
}

static void add_run(struct mw_snapshot *snap, uint64_t start, uint32_t pages)
{
	struct mw__run *run = MW_VEC_PUSH(&snap->runs);

	*run = (struct mw__run){ start, pages, MW__PRESENT };
}

static void add_claim(struct mw_snapshot *snap, uint64_t start, uint16_t priority)
{
	struct mw__claim *claim = MW_VEC_PUSH(&snap->claims);

	*claim = (struct mw__claim){ start, start + 1, MW__OWNER_GUARD, MW__PROVEN, priority, "rule", NULL };
}

/* Three mappings, the middle one without runs; one of each other thing. */
static void fill(struct mw_snapshot *snap)
{
	mw__snapshot_init(snap);
	snap->target.page_size = PAGE;
	add_vma(snap, 0x10000, 0x14000, 0, 2);
	add_run(snap, 0x10000, 1);
	add_run(snap, 0x12000, 2);
	add_vma(snap, 0x14000, 0x15000, 0, 0);
	add_vma(snap, 0x20000, 0x21000, 2, 1);
	add_run(snap, 0x20000, 1);
	struct mw__file *file = MW_VEC_PUSH(&snap->files);

	file->path = "/bin/true";
	struct mw__image *image = MW_VEC_PUSH(&snap->images);

	*image = (struct mw__image){ .start = 1, .end = 2, .elf_class = 64 };
	add_claim(snap, 0x3000, 1);
	add_claim(snap, 0x2000, 1);
	add_claim(snap, 0x9000, 7);
	mw__note(snap, MW__WARNING, "pagemap", NULL, "permission %s", "denied");
}

static int freeze_broken(void (*damage)(struct mw_snapshot *snap), struct mw_err *err)
{
	struct mw_snapshot snap;

	fill(&snap);
	damage(&snap);
	int rc = mw__snapshot_freeze(&snap, err);

	mw__snapshot_deinit(&snap);
	return rc;
}

#define DAMAGE(name, statement) \
	static void name(struct mw_snapshot *s) { statement; }
DAMAGE(no_damage, (void)s)
DAMAGE(no_page_size, s->target.page_size = 0)
DAMAGE(odd_page_size, s->target.page_size = 4097)
DAMAGE(unknown_road, s->target.pages = 9)
DAMAGE(empty_vma, s->vmas.v[1].end = s->vmas.v[1].start)
DAMAGE(odd_vma, s->vmas.v[1].start += 8)
DAMAGE(overlap, s->vmas.v[2].start = 0x14000)
DAMAGE(out_of_order, struct mw__vma v = s->vmas.v[1]; s->vmas.v[1] = s->vmas.v[2]; s->vmas.v[2] = v)
DAMAGE(no_file, s->vmas.v[0].file = 1)
DAMAGE(no_kind, s->vmas.v[0].kind = MW__N_KINDS)
DAMAGE(no_prot, s->vmas.v[0].prot = 8)
DAMAGE(run_elsewhere, s->vmas.v[2].run = 1)
DAMAGE(too_many_runs, s->vmas.v[2].n_runs = 2)
DAMAGE(run_of_nobody, s->vmas.v[2].n_runs = 0)
DAMAGE(odd_run, s->runs.v[0].start += 1)
DAMAGE(early_run, s->runs.v[0].start -= PAGE)
DAMAGE(late_run, s->runs.v[2].pages = 2)
DAMAGE(huge_run, s->runs.v[1].pages = UINT32_MAX)
DAMAGE(overlapping_runs, s->runs.v[0].pages = 3)
DAMAGE(empty_run, s->runs.v[0].pages = 0)
DAMAGE(stateless_run, s->runs.v[0].state = 0)
DAMAGE(strange_run, s->runs.v[0].state = 64)
DAMAGE(no_image_file, s->images.v[0].file = 7)
DAMAGE(no_class, s->images.v[0].elf_class = 16)
DAMAGE(no_role, s->images.v[0].role = 9)
DAMAGE(no_segments, s->images.v[0].n_segments = 1)
DAMAGE(backward_image, s->images.v[0].start = 3)
DAMAGE(empty_claim, s->claims.v[0].end = s->claims.v[0].start)
DAMAGE(no_owner, s->claims.v[0].owner = MW__N_OWNERS)
DAMAGE(no_certainty, s->claims.v[0].certainty = 3)
DAMAGE(no_severity, s->notes.v[0].severity = 2)

#define CASE(name) { #name, name }
static const struct { const char *name; void (*damage)(struct mw_snapshot *snap); } cases[] = {
	CASE(no_page_size), CASE(odd_page_size), CASE(unknown_road), CASE(empty_vma), CASE(odd_vma),
	CASE(overlap), CASE(out_of_order), CASE(no_file), CASE(no_kind), CASE(no_prot),
	CASE(run_elsewhere), CASE(too_many_runs), CASE(run_of_nobody), CASE(odd_run), CASE(early_run),
	CASE(late_run), CASE(huge_run), CASE(overlapping_runs), CASE(empty_run), CASE(stateless_run),
	CASE(strange_run), CASE(no_image_file), CASE(no_class), CASE(no_role), CASE(no_segments),
	CASE(backward_image), CASE(empty_claim), CASE(no_owner), CASE(no_certainty), CASE(no_severity),
};

static void check_refusals(void)
{
	struct mw_err err;

	is_int(freeze_broken(no_damage, &err), 0, "a sound snapshot passes");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = freeze_broken(cases[i].damage, &err);

		ok(rc == -MW_E_FORMAT && !strncmp(err.text, "snapshot: ", 10), "%s is refused", cases[i].name);
	}
}

static void check_order(void)
{
	struct mw_snapshot snap;

	fill(&snap);
	snap.vmas.v[0].name = NULL;
	ok(mw__snapshot_freeze(&snap, NULL) == 0, "freeze");
	ok(snap.claims.v[0].start == 0x9000 && snap.claims.v[1].start == 0x2000 &&
	   snap.claims.v[2].start == 0x3000, "claims come by priority, then address");
	is_str(snap.vmas.v[0].name, "", "a missing name is empty");
	is_str(snap.notes.v[0].reason, "permission denied", "a note is formatted");
	mw__snapshot_deinit(&snap);
}

static void check_questions(void)
{
	struct mw_snapshot snap;

	fill(&snap);
	add_vma(&snap, UINT64_C(0xffffffffff600000), UINT64_C(0xffffffffff601000), 0, 0);
	snap.vmas.v[3].name = "[vsyscall]";
	ok(mw__snapshot_freeze(&snap, NULL) == 0, "freeze");
	is_u64(mw__snapshot_vsz(&snap), 0x6000, "VSZ has no [vsyscall]");
	ok(mw__snapshot_vma_at(&snap, 0x10000) == &snap.vmas.v[0], "first byte");
	ok(mw__snapshot_vma_at(&snap, 0x13fff) == &snap.vmas.v[0], "last byte");
	ok(mw__snapshot_vma_at(&snap, 0x14000) == &snap.vmas.v[1], "the next mapping");
	ok(!mw__snapshot_vma_at(&snap, 0x15000) && !mw__snapshot_vma_at(&snap, 0) &&
	   !mw__snapshot_vma_at(&snap, UINT64_MAX), "between and outside");
	mw__snapshot_deinit(&snap);
	mw__snapshot_init(&snap);
	ok(!mw__snapshot_vma_at(&snap, 0x1000) && mw__snapshot_vsz(&snap) == 0, "an empty snapshot");
	mw__snapshot_deinit(&snap);
}

/* Books of a heap that cannot be. */
static void check_own(void)
{
	static struct mw__own own = { .page_size = 8192, .arena_size = 1u << 26 };
	struct mw__own_span *s = MW_VEC_PUSH(&own.spans);
	struct mw__own_arena *a = MW_VEC_PUSH(&own.arenas);

	own.classes[1] = (struct mw__own_class){ .size = 64, .n_spans = 1, .out = 128, .live = 100, .cached = 20, .transfer = 8 };
	*s = (struct mw__own_span){ .base = 1u << 26, .npages = 1, .use = MW__OWN_SMALL, .cls = 1, .nelems = 128, .used = 128 };
	*a = (struct mw__own_arena){ .base = 1u << 26, .pages_mapped = 8192, .pages_used = 8192 };
	ok(!mw__own_check(&own), "a span and an arena that are full: %s", mw__own_check(&own) ? mw__own_check(&own) : "");
	s->nelems++;
	ok(mw__own_check(&own) != NULL, "a span with more objects than fit");
	s->nelems--;
	a->pages_mapped++;
	a->pages_used++;
	ok(mw__own_check(&own) != NULL, "an arena with more pages than it is long");
	a->pages_used = --a->pages_mapped;
	ok(!mw__own_check(&own), "and with fewer");
	a->pages_used--;
	ok(mw__own_check(&own) != NULL, "a page of an arena that is neither free nor in use");
	a->pages_free[MW__OWN_DIRTY]++;
	ok(mw__own_check(&own) != NULL, "a free page that is in no run");
	*(struct mw__own_run *)MW_VEC_PUSH(&own.frees) = (struct mw__own_run){ .base = 1u << 26, .npages = 1, .why = MW__OWN_FRESH };
	ok(mw__own_check(&own) != NULL, "one that is in a run of another kind");
	own.frees.v[0].why = MW__OWN_DIRTY;
	ok(!mw__own_check(&own), "and in one of its kind");
	s->used--;
	ok(mw__own_check(&own) != NULL, "an object less in a span than its class has");
	s->used++;
	own.classes[1].live++;
	ok(mw__own_check(&own) != NULL, "an object that is live and in a cache");
	own.classes[1].live++;
	own.classes[1].sampled += 2;
	ok(mw__own_check(&own) != NULL, "sampled blocks without spans");
	own.classes[1].live -= 2;
	own.classes[1].sampled -= 2;
	own.classes[1].n_spans++;
	ok(mw__own_check(&own) != NULL, "a span that is not there");
	own.classes[1].n_spans--;
	own.classes[1].cached = 200;
	own.classes[1].live = 0;
	ok(!mw__own_check(&own), "caches that are newer than the spans, as of a target that runs");
	mw__own_deinit(&own);
}

static void check_tables(void)
{
	bool complete = true, absent = true, honest = true;

	for (int i = 0; i < MW__N_OWNERS; i++) {
		complete &= mw__owners[i].id && mw__owners[i].what && mw__owners[i].why;
		absent &= !mw__causes[mw__owners[i].absent].is_resident;
		/* pages given back look as if never touched: only an allocator's own records may tell which */
		honest &= !strstr(mw__owners[i].why, "never touched") || strstr(mw__owners[i].why, "given back") ||
			  i == MW__OWNER_OWN_FRESH;
	}
	for (int i = 0; i < MW__N_CAUSES; i++)
		complete &= mw__causes[i].code && mw__causes[i].text && mw__causes[i].how;
	for (int i = 0; i < MW__N_CAUSES; i++)
		honest &= !strstr(mw__causes[i].text, "never") && !strstr(mw__causes[i].text, "so far");
	for (int i = 0; i < MW__N_KINDS; i++)
		complete &= mw__vma_kinds[i] != NULL;
	ok(complete, "the tables have no holes");
	ok(absent, "what is absent is never counted as resident");
	ok(honest, "no label tells history that no page state shows");
	is_str(mw__causes[MW__R1a].code, "R1a", "a code is spelt as in the list");
}

static void check_unknown(void)
{
	struct mw_snapshot snap;

	mw__snapshot_init(&snap);
	ok(snap.status.vm_size == MW_UNKNOWN && snap.status.hugetlb == MW_UNKNOWN &&
	   snap.status.threads == MW_UNKNOWN && snap.roads.rss_before == MW_UNKNOWN &&
	   snap.limits.cpus == MW_UNKNOWN && snap.cgroup.swap == MW_UNKNOWN &&
	   snap.layout.brk == MW_UNKNOWN && snap.rollup.locked == MW_UNKNOWN &&
	   snap.rollup.size == MW_UNKNOWN, "a new snapshot knows no amount");
	ok(!snap.limits.thp && !snap.cgroup.path && !snap.cgroup.version && !snap.smaps, "and has no text");
	mw__snapshot_deinit(&snap);
}

int main(void)
{
	check_refusals();
	check_order();
	check_questions();
	check_own();
	check_tables();
	check_unknown();
	return done_testing();
}
