/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The account: each cause by the state that makes it, what is unknown, and when the numbers are called exact. */
#include "explain/explain.h"

#include "build.h"
#include "sinks.h"
#include "tap.h"

#define RW (MW__R | MW__W)

static uint64_t cause_bytes(const struct mw_snapshot *snap, enum mw__cause cause)
{
	struct mw_account *acc = NULL;
	uint64_t sum = 0;

	if (mw_account_create(snap, &acc, NULL) < 0)
		return MW_UNKNOWN;
	for (size_t i = 0; i < acc->lines.n; i++)
		if (acc->lines.v[i].cause == cause)
			sum += acc->lines.v[i].bytes;
	mw_account_destroy(acc);
	return sum;
}

/* One mapping of 16 pages in which 4 bytes out of 16 are of the cause, and what makes it so. */
struct state {
	enum mw__cause cause;
	unsigned pages;			/* of the cause */
	enum mw__vma_kind kind;
	int prot;
	uint32_t run;			/* state of the first 4 pages, or 0 */
	uint64_t file_pages, cached_pages, evicted_pages;	/* of a file; MW_UNKNOWN */
	enum mw__owner owner;		/* claimed, or MW__OWNER_NONE */
	const char *flags;		/* of smaps; NULL: no smaps */
	uint64_t lazy_pages, swap_pages;
};
#define U MW_UNKNOWN

static const struct state states[] = {
	{ MW__R1, 4, MW__ANON, RW, MW__PRESENT, U, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__R1, 4, MW__FILE, RW, MW__PRESENT, 16, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__R1a, 3, MW__ANON, RW, MW__PRESENT, U, U, U, MW__OWNER_NONE, "rd wr", 3, 0 },
	{ MW__R2, 4, MW__FILE, MW__R, MW__PRESENT | MW__OF_FILE, 16, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__R3, 4, MW__SHMEM, RW, MW__PRESENT, 16, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N1, 16, MW__SPECIAL, MW__R, 0, U, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N1, 16, MW__SPECIAL, 0, 0, U, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N1, 16, MW__DEVICE, RW, 0, U, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N2, 4, MW__HUGETLB, RW, MW__PRESENT | MW__HUGE, U, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N3, 12, MW__HUGETLB, RW, MW__PRESENT | MW__HUGE, U, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N4, 4, MW__ANON, RW, MW__PRESENT | MW__ZERO, U, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N5, 4, MW__ANON, RW, MW__GUARDED | MW__SWAPPED, U, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N6, 3, MW__ANON, RW, MW__SWAPPED, U, U, U, MW__OWNER_NONE, "rd wr", 0, 1 },
	{ MW__N7, 1, MW__ANON, RW, MW__SWAPPED, U, U, U, MW__OWNER_NONE, "rd wr", 0, 1 },
	{ MW__N7, 4, MW__ANON, RW, MW__SWAPPED, U, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N8, 5, MW__SHMEM, RW, MW__PRESENT, 16, 0, 5, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N8, 5, MW__SHMEM, RW, MW__PRESENT, 16, U, U, MW__OWNER_NONE, "rd wr sh", 0, 5 },
	{ MW__N9, 16, MW__ANON, 0, 0, U, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N9, 12, MW__ANON, 0, MW__PRESENT, U, U, U, MW__OWNER_GLIBC_TAIL, NULL, 0, 0 },
	{ MW__N9, 16, MW__FILE, 0, 0, 16, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N10, 6, MW__FILE, MW__R, MW__PRESENT | MW__OF_FILE, 10, 0, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N11, 7, MW__FILE, MW__R, MW__PRESENT | MW__OF_FILE, 16, 7, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N12, 5, MW__FILE, MW__R, MW__PRESENT | MW__OF_FILE, 16, 7, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N13, 12, MW__FILE, MW__R, MW__PRESENT | MW__OF_FILE, U, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N14, 7, MW__SHMEM, RW, MW__PRESENT, 16, 7, 0, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N15, 5, MW__SHMEM, RW, MW__PRESENT, 16, 7, 0, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N16, 12, MW__ANON, RW, MW__PRESENT, U, U, U, MW__OWNER_BSS, NULL, 0, 0 },
	{ MW__N17, 12, MW__ANON, RW, MW__PRESENT, U, U, U, MW__OWNER_BRK_HEAP, NULL, 0, 0 },
	{ MW__N18, 12, MW__ANON, RW, MW__PRESENT, U, U, U, MW__OWNER_MAIN_STACK, NULL, 0, 0 },
	{ MW__N19, 12, MW__ANON, RW, MW__PRESENT, U, U, U, MW__OWNER_THREAD_STACK, NULL, 0, 0 },
	{ MW__N20, 12, MW__ANON, RW, MW__PRESENT, U, U, U, MW__OWNER_GLIBC_ARENA, NULL, 0, 0 },
	{ MW__N20, 12, MW__ANON, RW, MW__PRESENT, U, U, U, MW__OWNER_GO_HEAP, NULL, 0, 0 },
	{ MW__N21, 12, MW__ANON, RW, MW__PRESENT, U, U, U, MW__OWNER_NONE, NULL, 0, 0 },
	{ MW__N22, 12, MW__ANON, RW, MW__PRESENT, U, U, U, MW__OWNER_NONE, "rd wr um", 0, 0 },
};

static uint64_t pages(uint64_t n)
{
	return n == MW_UNKNOWN ? n : n * B_PAGE;
}

static struct mw_snapshot *make_state(const struct state *s)
{
	struct mw_snapshot *snap = b_create();
	struct mw__vma *v = b_vma(snap, 0, 16, s->prot, s->kind);

	v->cached = pages(s->cached_pages);
	v->evicted = pages(s->evicted_pages);
	if (s->kind == MW__FILE || s->kind == MW__SHMEM)
		b_file(snap, "/file", pages(s->file_pages));
	if (s->run)
		b_run(snap, 0, 4, s->run);
	if (s->owner != MW__OWNER_NONE)
		b_claim(snap, 0, 16, s->owner, 50, "test");
	if (s->flags) {
		b_smaps(snap);
		snap->smaps[0].flags = s->flags;
		snap->smaps[0].lazy_free = pages(s->lazy_pages);
		snap->smaps[0].swap = pages(s->swap_pages);
	}
	return snap;
}

static void test_causes(void)
{
	bool reached[MW__N_CAUSES] = {};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		const struct state *s = &states[i];
		struct mw_snapshot *snap = make_state(s);

		ok(mw__snapshot_freeze(snap, NULL) == 0 && cause_bytes(snap, s->cause) == s->pages * B_PAGE, "state %zu: %s is %u pages", i,
		   mw__causes[s->cause].code, s->pages);
		if (cause_bytes(snap, s->cause) != s->pages * B_PAGE)
			printf("# got %llu pages\n", (unsigned long long)cause_bytes(snap, s->cause) / 4096);
		reached[s->cause] = true;
		mw_snapshot_destroy(snap);
	}
	struct mw_snapshot *snap = b_create();

	b_vma(snap, 0, 16, RW, MW__ANON)->states_known = false;
	ok(mw__snapshot_freeze(snap, NULL) == 0 && cause_bytes(snap, MW__N99) == 16 * B_PAGE, "states that could not be read");
	reached[MW__N99] = true;
	mw_snapshot_destroy(snap);
	for (int c = 0; c < MW__N_CAUSES; c++)
		ok(reached[c], "cause %s is reached", mw__causes[c].code);
}

static uint64_t evidence(const struct mw_snapshot *snap, const char *id, const char *key)
{
	struct mw__findings said = {};
	struct mw_account *acc = NULL;
	uint64_t value = MW_UNKNOWN;

	if (mw_account_create(snap, &acc, NULL) < 0 || mw__findings_make(snap, acc, &said) < 0)
		return MW_UNKNOWN;
	for (size_t i = 0; i < said.list.n; i++)
		for (size_t k = 0; k < said.list.v[i].n_evidence && !strcmp(said.list.v[i].id, id); k++)
			if (!strcmp(said.list.v[i].evidence[k].key, key))
				value = said.list.v[i].evidence[k].value;
	mw__findings_deinit(&said);
	mw_account_destroy(acc);
	return value;
}

/* 500 pages of a file of 900 are mapped, 100 are copied, 300 are not there, 124 of the mapping lie beyond its end. */
static void test_file_words(void)
{
	struct mw_snapshot *snap = b_create();
	struct mw__vma *v = b_vma(snap, 0, 1024, RW, MW__FILE);

	v->cached = 200 * B_PAGE;
	b_file(snap, "/file", 900 * B_PAGE);
	b_run(snap, 0, 500, MW__PRESENT | MW__OF_FILE);
	b_run(snap, 500, 100, MW__PRESENT);
	ok(mw__snapshot_freeze(snap, NULL) == 0, "a mapped file is frozen");
	is_u64(evidence(snap, "mapped-files", "file_resident"), 500 * B_PAGE, "pages of the file");
	is_u64(evidence(snap, "mapped-files", "file_not_resident"), 300 * B_PAGE, "and what is not mapped of it: no copies, nothing beyond its end");
	mw_snapshot_destroy(snap);
}

/* Amounts of smaps for mappings whose pages could not be read. */
static void test_smaps_only(void)
{
	struct mw_snapshot *snap = b_create();

	b_vma(snap, 0, 16, RW, MW__ANON)->states_known = false;
	b_vma(snap, 16, 16, MW__R, MW__FILE)->states_known = false;
	b_file(snap, "/f", 16 * B_PAGE);
	b_vma(snap, 32, 16, RW, MW__SHMEM)->states_known = false;
	b_file(snap, "/s", 16 * B_PAGE);
	b_smaps(snap);
	snap->smaps[0].rss = 5 * B_PAGE;
	snap->smaps[0].swap = 2 * B_PAGE;
	snap->smaps[1].rss = 6 * B_PAGE;
	snap->smaps[1].anonymous = B_PAGE;
	snap->smaps[2].rss = 7 * B_PAGE;
	snap->smaps[2].swap = 3 * B_PAGE;
	ok(mw__snapshot_freeze(snap, NULL) == 0, "amounts of smaps alone");
	is_u64(cause_bytes(snap, MW__R1), 6 * B_PAGE, "anonymous and copied");
	is_u64(cause_bytes(snap, MW__R2), 5 * B_PAGE, "of a file");
	is_u64(cause_bytes(snap, MW__R3), 7 * B_PAGE, "of shared memory");
	is_u64(cause_bytes(snap, MW__N7), 2 * B_PAGE, "swapped");
	is_u64(cause_bytes(snap, MW__N8), 3 * B_PAGE, "shared memory swapped");
	mw_snapshot_destroy(snap);
}

/* zero_unplaced: how many present pages are zero pages, but not which. */
static void test_zero_unplaced(void)
{
	struct mw_snapshot *snap = b_create();

	b_vma(snap, 0, 16, RW, MW__ANON);
	b_run(snap, 0, 10, MW__PRESENT);
	snap->vmas.v[0].zero_unplaced = 6 * B_PAGE;
	b_claim(snap, 0, 4, MW__OWNER_GLIBC_ARENA, 50, "a");
	ok(mw__snapshot_freeze(snap, NULL) == 0, "zero pages without a place");
	is_u64(cause_bytes(snap, MW__N4), 6 * B_PAGE, "are all told");
	is_u64(cause_bytes(snap, MW__R1), 4 * B_PAGE, "and not resident");
	is_u64(cause_bytes(snap, MW__N21), 6 * B_PAGE, "the rest is untouched");
	mw_snapshot_destroy(snap);
}

static const struct mw__line *line_of(const struct mw_account *acc, enum mw__cause cause)
{
	for (size_t i = 0; i < acc->lines.n; i++)
		if (acc->lines.v[i].cause == cause)
			return &acc->lines.v[i];
	return NULL;
}

/* More pages present than VmRSS has: so many are zero pages, of copies of a file as of all, and huge ones among them. */
static void test_zero_by_sum(void)
{
	struct mw_snapshot *snap = b_create();
	struct mw_account *acc = NULL;

	b_vma(snap, 0, 16, RW, MW__FILE);
	b_file(snap, "/file", 16 * B_PAGE);
	b_run(snap, 0, 6, MW__PRESENT);
	b_smaps(snap);
	snap->smaps[0].anon_huge = 6 * B_PAGE;
	snap->target.pages = MW_PAGES_PAGEMAP;
	snap->status.vm_size = 16 * B_PAGE;
	snap->status.vm_rss = 2 * B_PAGE;
	if (!ok(mw__snapshot_freeze(snap, NULL) == 0 && mw_account_create(snap, &acc, NULL) == 0, "zero pages known by a sum"))
		return;
	const struct mw__line *zero = line_of(acc, MW__N4);

	ok(zero && zero->bytes == 4 * B_PAGE && zero->regions == 1, "make a line, of one region");
	is_u64(acc->copied, 2 * B_PAGE, "are no copies");
	ok(acc->objects.n == 1 && acc->objects.v[0].anon == 2 * B_PAGE && acc->objects.v[0].huge == 2 * B_PAGE,
	   "and no huge pages: no more of these than are resident");
	ok(acc->residual == 0 && acc->rss_residual == 0 && mw__snapshot_state(snap, acc) == MW_PARTIAL, "nothing is off, but where they are is unknown");
	mw_account_destroy(acc);
	mw_snapshot_destroy(snap);
}

/* Amounts of smaps go to several extents once, and entries of other kinds take nothing of them. */
static void test_amounts(void)
{
	struct mw_snapshot *snap = b_create();
	struct mw_account *acc = NULL;

	b_vma(snap, 0, 16, RW, MW__ANON);
	b_run(snap, 0, 16, MW__PRESENT);
	b_claim(snap, 0, 8, MW__OWNER_GLIBC_ARENA, 50, "a");
	b_vma(snap, 20, 16, RW, MW__ANON);
	b_run(snap, 0, 4, MW__GUARDED | MW__SWAPPED);
	b_run(snap, 4, 2, MW__SWAPPED);
	b_vma(snap, 40, 16, RW, MW__SHMEM);
	b_file(snap, "/dev/shm/x", 16 * B_PAGE);
	b_run(snap, 0, 3, MW__SWAPPED);
	b_smaps(snap);
	snap->target.pages = MW_PAGES_PAGEMAP;
	snap->smaps[0].anon_huge = 5 * B_PAGE;
	snap->smaps[1].swap = 2 * B_PAGE;
	snap->smaps[2].swap = 5 * B_PAGE;
	if (!ok(mw__snapshot_freeze(snap, NULL) == 0 && mw_account_create(snap, &acc, NULL) == 0, "amounts of smaps"))
		return;
	is_u64(acc->total.huge, 5 * B_PAGE, "huge pages of a mapping with two owners are told once");
	is_u64(acc->total.marker, 0, "guards are no part of swap, so no entry of it is a marker");
	is_u64(acc->total.swap, 5 * B_PAGE, "swap by page tables");
	is_u64(acc->total.evicted, 2 * B_PAGE, "and of shared memory what is in none");
	mw_account_destroy(acc);
	mw_snapshot_destroy(snap);
}

static void add_image(struct mw_snapshot *snap, uint64_t page, uint64_t n, uint32_t file, const char *path)
{
	struct mw__image *img = MW_VEC_PUSH(&snap->images);

	*img = (struct mw__image){ .path = path, .file = file, .role = MW__LIBRARY, .start = B_BASE + page * B_PAGE,
				   .end = B_BASE + (page + n) * B_PAGE, .elf_class = 64 };
}

/* The sentence of a finding; free() it. */
static char *sentence(const struct mw_snapshot *snap, const char *id)
{
	struct mw__findings said = {};
	struct mw_account *acc = NULL;
	char *text = NULL;

	if (mw_account_create(snap, &acc, NULL) < 0 || mw__findings_make(snap, acc, &said) < 0)
		return NULL;
	for (size_t i = 0; i < said.list.n; i++)
		if (!strcmp(said.list.v[i].id, id))
			text = strdup(said.list.v[i].sentence);
	mw__findings_deinit(&said);
	mw_account_destroy(acc);
	return text;
}

/* One library loaded twice, another replaced on the disk; heaps that two rules claim; a peak that is not worth a word. */
static void test_words(void)
{
	struct mw_snapshot *snap = b_create();
	struct mw_account *acc = NULL;
	unsigned again = 0;

	b_vma(snap, 0, 4, MW__R, MW__FILE);
	b_file(snap, "/lib/a.so", 4 * B_PAGE);
	snap->files.v[0].is_deleted = true;
	b_vma(snap, 10, 4, MW__R, MW__FILE)->file = 0;
	b_vma(snap, 20, 4, MW__R, MW__FILE);
	b_file(snap, "/lib/b.so", 4 * B_PAGE);
	snap->files.v[1].is_deleted = snap->files.v[1].is_replaced = true;
	b_vma(snap, 30, 16, RW, MW__ANON);
	b_run(snap, 0, 4, MW__PRESENT);
	add_image(snap, 0, 4, 0, "/lib/a.so");
	add_image(snap, 10, 4, 0, "/lib/a.so");
	add_image(snap, 20, 4, 1, "/lib/b.so");
	b_claim(snap, 30, 8, MW__OWNER_GLIBC_ARENA, 50, "a");
	b_claim(snap, 34, 8, MW__OWNER_GLIBC_ARENA, 40, "b");
	b_claim(snap, 42, 4, MW__OWNER_GLIBC_ARENA, 40, "c");
	snap->status.vm_rss = 4 * B_PAGE;
	snap->status.vm_hwm = 100 * B_PAGE;
	if (!ok(mw__snapshot_freeze(snap, NULL) == 0 && mw_account_create(snap, &acc, NULL) == 0, "libraries and heaps"))
		return;
	for (size_t i = 0; i < acc->objects.n; i++)
		again += acc->objects.v[i].is_again;
	is_int(again, 1, "of a library that is loaded twice, one object is there again");
	mw_account_destroy(acc);
	is_u64(evidence(snap, "arenas", "heaps"), 2, "what two rules claim is one heap");
	char *deleted = sentence(snap, "deleted-files"), *peak = sentence(snap, "peak");

	ok(deleted && strstr(deleted, "(b.so)"), "of deleted files one that was replaced is named: %s", deleted ? deleted : "-");
	ok(!peak, "a peak less than 1 MiB above is no finding");
	free(deleted);
	free(peak);
	snap->status.vm_hwm = 1000 * B_PAGE;
	peak = sentence(snap, "peak");
	ok(peak != NULL, "one of 4 MiB is");
	free(peak);
	mw_snapshot_destroy(snap);
}

/* Counted are stacks that own memory: one in two mappings once, one in memory of another owner not at all. */
static void test_stacks(void)
{
	struct mw_snapshot *snap = b_create();
	struct mw_account *acc = NULL;

	b_vma(snap, 0, 4, RW, MW__ANON);
	b_vma(snap, 4, 4, MW__R, MW__ANON);
	b_vma(snap, 8, 8, RW, MW__ANON);
	b_vma(snap, 20, 8, RW, MW__ANON);
	b_claim(snap, 0, 8, MW__OWNER_THREAD_STACK, 50, "a");
	b_claim(snap, 8, 8, MW__OWNER_THREAD_STACK, 50, "b");
	b_claim(snap, 20, 8, MW__OWNER_THREAD_STACK, 50, "c");
	b_claim(snap, 20, 8, MW__OWNER_GLIBC_ARENA, 60, "d");
	snap->claims.v[0].detail = "tid 1";
	snap->claims.v[1].detail = "tid 2";
	ok(mw__snapshot_freeze(snap, NULL) == 0 && mw_account_create(snap, &acc, NULL) == 0, "stacks");
	is_u64(acc ? acc->n_stacks : 0, 2, "that own memory");
	mw_account_destroy(acc);
	mw_snapshot_destroy(snap);
}

static struct mw_snapshot *make_plain(void)
{
	struct mw_snapshot *snap = b_create();

	b_vma(snap, 0, 16, RW, MW__ANON);
	b_run(snap, 0, 4, MW__PRESENT);
	snap->status.vm_size = 16 * B_PAGE;
	snap->status.vm_rss = 4 * B_PAGE;
	return snap;
}

static struct mw_summary summary(const struct mw_snapshot *snap)
{
	struct mw_summary s = { .size = sizeof(s) };

	mw_snapshot_summary(snap, &s);
	return s;
}

/* Counters that the kernel adds up late: how far they may be off by its version, threads and processors. */
static void check_lag(struct mw_snapshot *snap)
{
	static const struct {
		const char *kernel;
		uint64_t threads, cpus, off;	/* the largest difference in pages that is still exact */
	} cases[] = {
		{ "6.18.5", 9, 9, 0 }, { "6.16.0-rc1", 9, 9, 0 }, { "7.0", 9, 9, 0 }, { "x", 9, 9, 0 }, { NULL, 9, 9, 0 },
		{ "6.1.0-56-amd64", 1, 9, 1040 }, { "5.10.1", 3, 9, 3120 }, { "6.1.0", MW_UNKNOWN, 9, 0 },
		{ "6.2.0", 9, 2, 192 }, { "6.15.9", 9, 20, 2400 }, { "6.12", 9, MW_UNKNOWN, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snap->target.kernel = cases[i].kernel;
		snap->status.threads = cases[i].threads;
		snap->limits.cpus = cases[i].cpus;
		bool good = true;

		for (int64_t sign = -1; sign <= 1; sign += 2) {
			snap->status.vm_rss = 4 * B_PAGE + (uint64_t)(sign * (int64_t)(cases[i].off * B_PAGE));
			good &= summary(snap).state == MW_EXACT;
			snap->status.vm_rss += (uint64_t)(sign * B_PAGE);
			good &= summary(snap).state == MW_PARTIAL;
		}
		ok(good, "VmRSS may be off by %llu pages on %s", (unsigned long long)cases[i].off, cases[i].kernel ? cases[i].kernel : "(unknown)");
	}
	snap->target.kernel = NULL;
	snap->target.kernel = "6.8.0";
	snap->limits.cpus = UINT32_MAX;
	is_u64(mw__counter_lag(snap), 0, "no machine has so many processors: nothing is excused");
	snap->limits.cpus = MW_UNKNOWN;
	is_u64(mw__counter_lag(snap), 0, "nor where their number is unknown");
	snap->target.kernel = NULL;
}

/* Exact is said only of numbers that two roads agree on. */
static void test_state(void)
{
	struct mw_snapshot *snap = make_plain();

	ok(mw__snapshot_freeze(snap, NULL) == 0, "a snapshot");
	struct mw_summary s = summary(snap);

	ok(s.state == MW_EXACT && s.residual == 0 && s.rss_residual == 0 && s.vsz == 16 * B_PAGE && s.rss == 4 * B_PAGE, "exact");
	snap->status.vm_size += B_PAGE;
	s = summary(snap);
	ok(s.state == MW_PARTIAL && s.residual == B_PAGE, "VmSize differs");
	snap->status.vm_size -= 2 * B_PAGE;
	s = summary(snap);
	ok(s.state == MW_PARTIAL && s.residual == B_PAGE, "the other way");
	snap->status.vm_size = MW_UNKNOWN;
	s = summary(snap);
	ok(s.state == MW_PARTIAL && s.residual == MW_UNKNOWN, "VmSize is unknown: so is the residual, and nothing is exact");
	snap->status.vm_size = 16 * B_PAGE;
	snap->status.vm_rss = MW_UNKNOWN;
	s = summary(snap);
	ok(s.state == MW_PARTIAL && s.rss_residual == MW_UNKNOWN && s.residual == 0, "VmRSS is unknown: likewise");
	snap->status.vm_rss = 4 * B_PAGE;
	snap->target.is_torn = true;
	ok(summary(snap).state == MW_TORN, "torn is torn");
	snap->target.is_torn = false;
	check_lag(snap);
	snap->status.vm_rss = 4 * B_PAGE;
	snap->target.is_torn = false;
	snap->vmas.v[0].states_known = false;
	s = summary(snap);
	ok(s.state == MW_PARTIAL && s.rss == 4 * B_PAGE && s.rss_residual == MW_UNKNOWN, "without page states RSS is the kernel's word");
	snap->target.has_maps = false;
	s = summary(snap);
	ok(s.state == MW_PARTIAL && s.residual == MW_UNKNOWN && s.vsz == 16 * B_PAGE, "without mappings VSZ is");
	mw_snapshot_destroy(snap);
}

static char *report(const struct mw_snapshot *snap, bool json)
{
	struct mw__str s = {};
	struct mw_sink sink = { sink_keep, &s };
	struct mw_document *doc = NULL;

	if (mw_report_explain(snap, NULL, &doc, NULL) < 0)
		return NULL;
	if ((json ? mw_document_json(doc, &sink, NULL) : mw_document_text(doc, NULL, &sink, NULL)) < 0)
		mw__str_deinit(&s);
	mw_document_destroy(doc);
	return s.v;
}

/* What could not be read must not be told as if it were not there. */
static void test_unread(void)
{
	struct mw_snapshot *snap = make_plain();

	snap->vmas.v[0].states_known = false;
	snap->vmas.v[0].n_runs = 0;
	snap->runs.n = 0;
	ok(mw__snapshot_freeze(snap, NULL) == 0, "page states that could not be read");
	char *text = report(snap, false), *json = report(snap, true);

	ok(text && json, "are reported");
	ok(text && !strstr(text, "100.0 %"), "nobody claims that no page is in memory");
	ok(text && strstr(text, "48.0 KiB of the 64.0 KiB (75.0 %)"), "the words go by the kernel's count");
	ok(text && !strstr(text, "private copies"), "and do not tell of copies that nobody counted");
	ok(json && strstr(json, "\"rss_residual\": null"), "the residual of RSS is unknown");
	ok(json && strstr(json, "\"rss\": 16384"), "RSS is what the kernel counts");
	ok(text && !strstr(text, "VmRSS +0") && !strstr(text, "pages 0 B"), "and no check is claimed");
	ok(json && strstr(json, "\"anonymous\": null"), "what it is made of is unknown");
	if (tap_failed && text)
		tap_show("text", text);
	free(text);
	free(json);
	mw_snapshot_destroy(snap);
}

/* Shared memory of which nobody tells how much lies in swap, while swap is in use: unknown, not 0. */
static void test_unknown_swap(void)
{
	struct mw_explain_opts opts = { .size = sizeof(opts), .verify = true };

	for (int used = 0; used < 2; used++) {
		struct mw_snapshot *snap = b_create();
		struct mw_document *doc = NULL;
		struct mw__str json = {};
		struct mw_sink sink = { sink_keep, &json };

		b_vma(snap, 0, 10, MW__R | MW__W, MW__SHMEM);
		b_run(snap, 0, 4, MW__PRESENT);
		b_file(snap, "/dev/shm/x", 10 * B_PAGE);
		snap->status.vm_rss = 4 * B_PAGE;
		snap->limits.swap_total = 100 * B_PAGE;
		snap->limits.swap_free = (used ? 90 : 100) * B_PAGE;
		ok(mw__snapshot_freeze(snap, NULL) == 0 && mw_report_explain(snap, &opts, &doc, NULL) == 0 &&
		   mw_document_json(doc, &sink, NULL) == 0, "explain --verify");
		const char *road = json.v ? strstr(json.v, "\"page states and cachestat\"") : NULL;

		ok(road && !strncmp(strstr(road, "\"bytes\""), used ? "\"bytes\": null" : "\"bytes\": 0", used ? 13 : 10),
		   "swap %s use: %.60s", used ? "in" : "not in", road ? road : "");
		mw_document_destroy(doc);
		mw_snapshot_destroy(snap);
		mw__str_deinit(&json);
	}
}

int main(void)
{
	test_unknown_swap();
	test_causes();
	test_file_words();
	test_smaps_only();
	test_zero_unplaced();
	test_zero_by_sum();
	test_amounts();
	test_words();
	test_stacks();
	test_state();
	test_unread();
	return done_testing();
}
