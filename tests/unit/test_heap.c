/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The walkers on a memory made of arrays: what a record proves, what its damaged copy no longer does, and
 * that a shape alone proves nothing.
 */
#include "heap/heap.h"

#include <elf.h>
#include <stdlib.h>

#include "tap.h"

#define MAX_PARTS 64

/* Present memory; everything else is absent. */
struct part {
	uint64_t start;
	size_t size;
	char *bytes;
};

struct world {
	struct mw_snapshot snap;
	struct part parts[MAX_PARTS];
	size_t n_parts;
	struct mw__mem mem;
	struct mw__walk walk;
	unsigned long reads;
};

static bool read_world(void *ctx, uint64_t addr, void *buf, size_t size)
{
	struct world *w = ctx;

	w->reads++;
	for (size_t i = 0; i < w->n_parts; i++) {
		const struct part *p = &w->parts[i];

		if (addr >= p->start && addr - p->start <= p->size && size <= p->size - (addr - p->start)) {
			memcpy(buf, p->bytes + (addr - p->start), size);
			return true;
		}
	}
	return false;
}

static void world_init(struct world *w, uint8_t word)
{
	memset(w, 0, sizeof(*w));
	mw__snapshot_init(&w->snap);
	w->snap.target.page_size = 4096;
	w->snap.target.pid = 100;
	w->mem = (struct mw__mem){ read_world, w, word };
	w->walk = (struct mw__walk){ .snap = &w->snap, .mem = &w->mem, .page_size = 4096 };
}

static void world_deinit(struct world *w)
{
	for (size_t i = 0; i < w->n_parts; i++)
		free(w->parts[i].bytes);
	mw__snapshot_deinit(&w->snap);
}

/* A mapping, of which the first n_present bytes are present and zero. Mappings come in order of address. */
static void map(struct world *w, uint64_t start, uint64_t end, int prot, size_t n_present)
{
	struct mw__vma *v = MW_VEC_PUSH(&w->snap.vmas);

	*v = (struct mw__vma){ .start = start, .end = end, .prot = (uint8_t)prot, .name = "", .file = MW__NONE, .kind = MW__ANON,
			       .states_known = true };
	if (!n_present)
		return;
	v->run = (uint32_t)w->snap.runs.n;
	v->n_runs = 1;
	*(struct mw__run *)MW_VEC_PUSH(&w->snap.runs) = (struct mw__run){ start, (uint32_t)(n_present / 4096), MW__PRESENT };
	if (w->n_parts < MAX_PARTS)
		w->parts[w->n_parts++] = (struct part){ start, n_present, calloc(1, n_present) };
}

/* Like map(), with the present part at its end. */
static void map_top(struct world *w, uint64_t start, uint64_t end, size_t n_present)
{
	struct mw__vma *v = MW_VEC_PUSH(&w->snap.vmas);

	*v = (struct mw__vma){ .start = start, .end = end, .prot = MW__R | MW__W, .name = "", .file = MW__NONE, .kind = MW__ANON,
			       .states_known = true, .run = (uint32_t)w->snap.runs.n, .n_runs = 1 };
	*(struct mw__run *)MW_VEC_PUSH(&w->snap.runs) =
		(struct mw__run){ end - n_present, (uint32_t)(n_present / 4096), MW__PRESENT };
	if (w->n_parts < MAX_PARTS)
		w->parts[w->n_parts++] = (struct part){ end - n_present, n_present, calloc(1, n_present) };
}

static void poke(struct world *w, uint64_t addr, uint64_t value, size_t size)
{
	for (size_t i = 0; i < w->n_parts; i++) {
		struct part *p = &w->parts[i];

		if (addr >= p->start && addr - p->start < p->size)
			memcpy(p->bytes + (addr - p->start), &value, size);
	}
}

static void poke_word(struct world *w, uint64_t addr, uint64_t value)
{
	poke(w, addr, value, w->mem.word);
}

static void add_task(struct world *w, pid_t tid, uint64_t sp, uint64_t descriptor)
{
	*(struct mw__task *)MW_VEC_PUSH(&w->snap.tasks) =
		(struct mw__task){ .tid = tid, .sp = sp, .descriptor = descriptor };
}

static const struct mw__claim *find_claim(const struct world *w, uint64_t start, uint64_t end, enum mw__owner owner)
{
	for (size_t i = 0; i < w->snap.claims.n; i++) {
		const struct mw__claim *c = &w->snap.claims.v[i];

		if (c->start == start && c->end == end && c->owner == owner)
			return c;
	}
	return NULL;
}

static void forget_claims(struct world *w)
{
	w->snap.claims.n = 0;
}

/* ------------------------------------------------------------------- glibc */

#define MIB (UINT64_C(1) << 20)
#define ARENA UINT64_C(0x7f0004000000)
#define OPEN UINT64_C(0x21000)

struct heap_shape {
	uint64_t max;
	uint8_t word;
	uint64_t at;
};
static const struct heap_shape shape64 = { 64 * MIB, 8, ARENA }, shape32 = { MIB, 4, 0xf0100000 };

/* A heap at shape->at, open up to OPEN, with the given heap_info. */
static void make_heap(struct world *w, const struct heap_shape *s, const uint64_t info[4])
{
	world_init(w, s->word);
	map(w, s->at, s->at + OPEN, MW__R | MW__W, 4096);
	map(w, s->at + OPEN, s->at + s->max, 0, 0);
	for (unsigned i = 0; i < 4; i++)
		poke_word(w, s->at + i * s->word, info[i]);
}

static void test_arena(const struct heap_shape *s, const char *what)
{
	struct world w;
	const uint64_t info[4] = { s->at + 4 * s->word, 0, OPEN, OPEN };

	make_heap(&w, s, info);
	is_int(mw__heap_glibc(&w.walk), 0, what);
	const struct mw__claim *open = find_claim(&w, s->at, s->at + OPEN, MW__OWNER_GLIBC_ARENA);
	const struct mw__claim *tail = find_claim(&w, s->at + OPEN, s->at + s->max, MW__OWNER_GLIBC_TAIL);

	ok(open && open->certainty == MW__PROVEN, "its open part is proven");
	ok(tail && tail->certainty == MW__PROVEN, "and so is its tail");
	is_int((long long)w.snap.claims.n, 2, "there is no other claim");
	world_deinit(&w);
}

/* Each field of a good heap_info made wrong: the shape is the same, and proves nothing. */
static void test_corrupt_arena(const struct heap_shape *s)
{
	const uint64_t ar = s->at + 4 * s->word;
	const struct {
		const char *what;
		uint64_t info[4];
	} bad[] = {
		{ "zeros, as in a Go arena of the same shape", { 0, 0, 0, 0 } },
		{ "no arena", { 0, 0, OPEN, OPEN } },
		{ "an arena that is the heap itself", { s->at, 0, OPEN, OPEN } },
		{ "an arena far into the heap", { s->at + 4096, 0, OPEN, OPEN } },
		{ "the first heap of an arena elsewhere", { ar - s->max, 0, OPEN, OPEN } },
		{ "a heap before it that is not aligned", { ar, s->at - s->max + 16, OPEN, OPEN } },
		{ "no size", { ar, 0, 0, OPEN } },
		{ "more in use than writable", { ar, 0, OPEN + 16, OPEN } },
		{ "a size that is no multiple of 16", { ar, 0, OPEN - 8, OPEN } },
		{ "less writable than the mapping is", { ar, 0, 4096, OPEN - 4096 } },
		{ "more writable than the mapping is", { ar, 0, OPEN, OPEN + 4096 } },
		{ "a writable part inside a page", { ar, 0, OPEN - 4096, OPEN - 16 } },
		{ "more writable than a heap can be", { ar, 0, OPEN, 2 * s->max } },
		{ "sizes that wrap around", { ar, 0, UINT64_MAX - 15, UINT64_MAX - 4095 } },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct world w;

		make_heap(&w, s, bad[i].info);
		ok(mw__heap_glibc(&w.walk) == 0 && !w.snap.claims.n, "%u bits, %s: no claim", s->word * 8, bad[i].what);
		world_deinit(&w);
	}
}

static void test_heap_places(void)
{
	const uint64_t info[4] = { ARENA + 32, 0, OPEN, OPEN };
	struct world w;

	/* the header's page was never touched */
	make_heap(&w, &shape64, info);
	w.parts[0].size = 0;
	ok(mw__heap_glibc(&w.walk) == 0 && !w.snap.claims.n, "a header that is not present is no proof");
	world_deinit(&w);
	/* a tail that can be accessed */
	make_heap(&w, &shape64, info);
	w.snap.vmas.v[1].prot = MW__R;
	ok(mw__heap_glibc(&w.walk) == 0 && !w.snap.claims.n, "nor one before memory that can be accessed");
	world_deinit(&w);
	/* the whole heap is open */
	world_init(&w, 8);
	map(&w, ARENA, ARENA + 64 * MIB, MW__R | MW__W, 4096);
	const uint64_t full[4] = { ARENA + 32, 0, 64 * MIB, 64 * MIB };

	for (unsigned i = 0; i < 4; i++)
		poke_word(&w, ARENA + i * 8, full[i]);
	ok(mw__heap_glibc(&w.walk) == 0 && find_claim(&w, ARENA, ARENA + 64 * MIB, MW__OWNER_GLIBC_ARENA), "a heap without a tail");
	world_deinit(&w);
}

/* The second heap of an arena points to the first. */
static void test_second_heap(void)
{
	struct world w;
	uint64_t first = ARENA, second = ARENA + 64 * MIB;

	world_init(&w, 8);
	map(&w, first, first + 64 * MIB, MW__R | MW__W, 4096);
	map(&w, second, second + OPEN, MW__R | MW__W, 4096);
	map(&w, second + OPEN, second + 64 * MIB, 0, 0);
	const uint64_t a[4] = { first + 32, 0, 64 * MIB, 64 * MIB }, b[4] = { first + 32, first, OPEN, OPEN };

	for (unsigned i = 0; i < 4; i++) {
		poke_word(&w, first + i * 8, a[i]);
		poke_word(&w, second + i * 8, b[i]);
	}
	is_int(mw__heap_glibc(&w.walk), 0, "an arena of two heaps");
	ok(find_claim(&w, first, first + 64 * MIB, MW__OWNER_GLIBC_ARENA) && find_claim(&w, second, second + OPEN, MW__OWNER_GLIBC_ARENA) &&
	   find_claim(&w, second + OPEN, second + 64 * MIB, MW__OWNER_GLIBC_TAIL), "both are found");
	world_deinit(&w);
}

#define HUGE (2 * MIB)

/* A heap of hugetlb pages, as glibc.malloc.hugetlb=2 makes them: four of the size that it tells. */
static void make_huge(struct world *w, uint64_t at, uint64_t page, int tail)
{
	const uint64_t info[5] = { at + 0x30, 0, HUGE, HUGE, page };

	world_init(w, 8);
	map(w, at, at + HUGE, MW__R | MW__W, HUGE);
	map(w, at + HUGE, at + 4 * HUGE, tail, 0);
	for (size_t i = 0; i < w->snap.vmas.n; i++) {
		w->snap.vmas.v[i].kind = MW__HUGETLB;
		w->snap.vmas.v[i].name = "/anon_hugepage (deleted)";
	}
	for (unsigned i = 0; i < 5; i++)
		poke_word(w, at + i * 8, info[i]);
}

static void test_huge_arena(void)
{
	static const struct { const char *what; uint64_t at, page; int tail; } bad[] = {
		{ "pages of 4 KiB", ARENA, 4096, 0 }, { "pages of no size", ARENA, 0, 0 },
		{ "pages of 3 MiB", ARENA, 3 * MIB, 0 }, { "pages of 2^63 bytes", ARENA, UINT64_C(1) << 63, 0 },
		{ "a start that is no multiple of four pages", ARENA + HUGE, HUGE, 0 },
		{ "a tail that can be read", ARENA, HUGE, MW__R },
	};
	struct world w;

	make_huge(&w, ARENA, HUGE, 0);
	is_int(mw__heap_glibc(&w.walk), 0, "an arena of hugetlb pages");
	ok(find_claim(&w, ARENA, ARENA + HUGE, MW__OWNER_GLIBC_ARENA) &&
	   find_claim(&w, ARENA + HUGE, ARENA + 4 * HUGE, MW__OWNER_GLIBC_TAIL) && w.snap.claims.n == 2, "is found with its tail");
	forget_claims(&w);
	w.snap.vmas.v[0].is_shared = true;
	ok(mw__heap_glibc(&w.walk) == 0 && !w.snap.claims.n, "shared pages are nobody's heap");
	world_deinit(&w);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_huge(&w, bad[i].at, bad[i].page, bad[i].tail);
		ok(mw__heap_glibc(&w.walk) == 0 && !w.snap.claims.n, "hugetlb, %s: no claim", bad[i].what);
		world_deinit(&w);
	}
}

static void test_blocks(void)
{
	static const struct {
		const char *what;
		uint64_t mapping, prev, size, claimed;
	} cases[] = {
		{ "a mmapped chunk", 0x40000, 0, 0x40000 | 2, 0x40000 },
		{ "one below others", 0x80000, 0, 0x40000 | 2, 0x40000 },
		{ "one larger than its mapping", 0x40000, 0, 0x41000 | 2, 0 },
		{ "one that is not whole pages", 0x40000, 0, 0x3fff0 | 2, 0 },
		{ "one without the mark", 0x40000, 0, 0x40000, 0 },
		{ "one with another mark", 0x40000, 0, 0x40000 | 3, 0 },
		{ "one with something before it", 0x40000, 16, 0x40000 | 2, 0 },
		{ "one below the threshold", 0x40000, 0, 0x1000 | 2, 0 },
		{ "one of 2^64 bytes", 0x40000, 0, UINT64_MAX - 4095 + 2, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w;
		uint64_t at = 0x7f0000001000;

		world_init(&w, 8);
		map(&w, at, at + cases[i].mapping, MW__R | MW__W, 4096);
		poke_word(&w, at, cases[i].prev);
		poke_word(&w, at + 8, cases[i].size);
		is_int(mw__heap_glibc(&w.walk), 0, cases[i].what);
		const struct mw__claim *c = find_claim(&w, at, at + cases[i].claimed, MW__OWNER_MALLOC_BLOCK);

		ok(cases[i].claimed ? c && c->certainty == MW__LIKELY : !w.snap.claims.n, "%s", cases[i].claimed ? "is likely" : "is none");
		world_deinit(&w);
	}
}

/* A mapping as large as the address space allows is not searched for long. */
static void test_vast(void)
{
	struct world w;

	world_init(&w, 8);
	map(&w, 0x10000, UINT64_C(0x7fffffff0000), MW__R | MW__W, 4096);
	is_int(mw__heap_glibc(&w.walk), 0, "128 TiB in one mapping");
	is_int((long long)w.snap.claims.n, 0, "hold no arena");
	ok(w.reads < 100000, "and are not read bit by bit (%lu reads)", w.reads);
	world_deinit(&w);
}

/* ----------------------------------------------------------------- threads */

#define STACK UINT64_C(0x7f1000000000)
#define STACK_SIZE UINT64_C(0x801000)	/* a guard page and 8 MiB */

/* Offsets in a thread descriptor, and how far below the end of the stack it lies. */
struct descriptor_shape {
	const char *name;
	uint8_t word;
	uint64_t below, self2, tid, list, block;
};
static const struct descriptor_shape descriptors[] = {
	{ "glibc 2.36, 64 bits", 8, 0x900, 0x10, 0x2d0, 0x2e0, 0x690 },
	{ "glibc 2.36, 32 bits", 4, 0x4c0, 0x8, 0x68, 0x6c, 0x274 },
	{ "musl, 64 bits", 8, 0x140, 0, 0x30, 0x80, 0x50 },
	{ "musl, 32 bits", 4, 0x100, 0, 0x18, 0x60, 0x28 },
};

static uint64_t stack_of(const struct descriptor_shape *d)
{
	return d->word == 8 ? STACK : 0xe0000000;
}

static uint64_t place(const struct descriptor_shape *d)
{
	return stack_of(d) + STACK_SIZE - d->below;
}

static void make_stack(struct world *w, const struct descriptor_shape *d, pid_t tid)
{
	uint64_t at = place(d);

	world_init(w, d->word);
	map(w, stack_of(d), stack_of(d) + 4096, 0, 0);
	map_top(w, stack_of(d) + 4096, stack_of(d) + STACK_SIZE, 16384);
	poke_word(w, at, at);
	if (d->self2)
		poke_word(w, at + d->self2, at);
	poke(w, at + d->tid, (uint64_t)tid, 4);
	poke_word(w, at + d->block, stack_of(d));
	poke_word(w, at + d->block + d->word, STACK_SIZE);
}

static void check_stack(struct world *w, const struct descriptor_shape *d, enum mw__certainty certainty, const char *how)
{
	is_int(mw__heap_threads(&w->walk), 0, d->name);
	const struct mw__claim *guard = find_claim(w, stack_of(d), stack_of(d) + 4096, MW__OWNER_THREAD_GUARD);
	const struct mw__claim *stack = find_claim(w, stack_of(d) + 4096, stack_of(d) + STACK_SIZE, MW__OWNER_THREAD_STACK);

	ok(guard && stack && guard->certainty == certainty && stack->certainty == certainty, "%s: %s", d->name, how);
	is_int((long long)w->snap.claims.n, 2, "one stack, one guard");
}

static void test_descriptors(void)
{
	for (size_t i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++) {
		const struct descriptor_shape *d = &descriptors[i];
		struct world w;

		make_stack(&w, d, 101);
		add_task(&w, 101, MW_UNKNOWN, place(d) + d->list);
		check_stack(&w, d, MW__PROVEN, "by the robust list");
		forget_claims(&w);
		w.snap.tasks.v[0].descriptor = MW_UNKNOWN;
		check_stack(&w, d, MW__PROVEN, "without the robust list");
		is_str(find_claim(&w, stack_of(d), stack_of(d) + 4096, MW__OWNER_THREAD_GUARD)->detail, "tid 101", "named by its thread");
		forget_claims(&w);
		w.snap.tasks.v[0].tid = 102;
		check_stack(&w, d, MW__LIKELY, "of a thread that ended");
		is_str(w.snap.claims.v[0].detail, "no thread now", "named so");
		world_deinit(&w);
	}
}

/* Damage to a descriptor: the stack pointer is the only sign left. */
static void test_corrupt_descriptors(void)
{
	const struct descriptor_shape *d = &descriptors[0];
	const struct {
		const char *what;
		uint64_t off, value;
	} bad[] = {
		{ "a first word that points elsewhere", 0, 8 },
		{ "a block that begins inside a page", d->block, STACK + 8 },
		{ "a block that begins behind", d->block, STACK + STACK_SIZE },
		{ "no block", d->block, 0 },
		{ "a block too short to hold it", d->block + 8, 4096 },
		{ "a block that is not whole pages", d->block + 8, STACK_SIZE + 1 },
		{ "a block of half the address space", d->block + 8, UINT64_C(1) << 63 },
		{ "a block that wraps around", d->block + 8, UINT64_MAX - 4095 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct world w;

		make_stack(&w, d, 101);
		poke_word(&w, place(d) + d->self2, 0);
		poke_word(&w, place(d) + bad[i].off, bad[i].value);
		add_task(&w, 101, MW_UNKNOWN, place(d) + d->list);
		ok(mw__heap_threads(&w.walk) == 0 && !w.snap.claims.n, "%s: no claim", bad[i].what);
		w.snap.tasks.v[0].sp = STACK + STACK_SIZE - 0x2000;
		check_stack(&w, d, MW__LIKELY, "by the stack pointer alone");
		world_deinit(&w);
	}
}

/* A record may claim what is not mapped, or not the thread's: it proves nothing then. */
static void test_lying_descriptors(void)
{
	const struct descriptor_shape *d = &descriptors[0];
	static const struct {
		const char *what;
		uint64_t start, size;
	} lies[] = {
		{ "a block with a hole below", STACK - 0x100000, STACK_SIZE + 0x100000 },
		{ "a block that goes on where nothing is mapped", STACK, STACK_SIZE + 0x1000 },
		{ "a terabyte around it", STACK - (UINT64_C(1) << 39), UINT64_C(1) << 40 },
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct world w;

		make_stack(&w, d, 101);
		poke_word(&w, place(d) + d->block, lies[i].start);
		poke_word(&w, place(d) + d->block + 8, lies[i].size);
		add_task(&w, 101, MW_UNKNOWN, place(d) + d->list);
		ok(mw__heap_threads(&w.walk) == 0 && !w.snap.claims.n, "%s: no claim", lies[i].what);
		world_deinit(&w);
	}
}

/* Words inside a descriptor that point to themselves, as the heads of empty lists do. */
static void test_list_heads(void)
{
	const struct descriptor_shape *d = &descriptors[0];
	struct world w;

	make_stack(&w, d, 101);
	for (uint64_t off = 0x300; off < 0x340; off += 8)
		poke_word(&w, place(d) + off, place(d) + off);
	poke_word(&w, place(d) + 0x2c0, place(d) + 0x2c0);
	add_task(&w, 101, MW_UNKNOWN, MW_UNKNOWN);
	check_stack(&w, d, MW__PROVEN, "list heads that point to themselves are no descriptors");
	world_deinit(&w);
}

static void test_main_thread(void)
{
	const struct descriptor_shape *d = &descriptors[0];
	struct world w;

	make_stack(&w, d, 100);
	add_task(&w, 100, STACK + STACK_SIZE - 0x2000, place(d) + d->list);
	poke_word(&w, place(d) + d->block, 0);
	ok(mw__heap_threads(&w.walk) == 0 && !w.snap.claims.n, "the first thread's stack is the kernel's to name");
	world_deinit(&w);
}

static bool read_many(void *ctx, uint64_t addr, void *buf, size_t size)
{
	struct world *w = ctx;
	const struct descriptor_shape *d = &descriptors[0];
	uint64_t i = (addr - STACK) / STACK_SIZE, stack = STACK + i * STACK_SIZE, at = stack + STACK_SIZE - d->below;
	char page[8192] = {};
	uint64_t base = stack + STACK_SIZE - sizeof(page);
	int32_t tid = (int32_t)(101 + i);
	const uint64_t block[2] = { stack, STACK_SIZE };

	w->reads++;
	if (addr < base || addr + size > base + sizeof(page))
		return false;
	memcpy(page + (at - base), &at, 8);
	memcpy(page + (at - base) + d->tid, &tid, 4);
	memcpy(page + (at - base) + d->block, block, 16);
	memcpy(buf, page + (addr - base), size);
	return true;
}

static void test_many_threads(void)
{
	const unsigned n = 3000;
	struct world w;

	world_init(&w, 8);
	w.mem.read = read_many;
	w.n_parts = MAX_PARTS;
	for (unsigned i = 0; i < n; i++) {
		map(&w, STACK + i * STACK_SIZE, STACK + i * STACK_SIZE + 4096, 0, 0);
		map(&w, STACK + i * STACK_SIZE + 4096, STACK + (i + 1) * STACK_SIZE, MW__R | MW__W, STACK_SIZE - 4096);
		add_task(&w, (pid_t)(101 + i), MW_UNKNOWN, MW_UNKNOWN);
	}
	is_int(mw__heap_threads(&w.walk), 0, "3000 threads");
	is_int((long long)w.snap.claims.n, 2 * n, "are all found");
	ok(w.reads < n * 5000ul, "in a number of reads that grows with them (%lu)", w.reads);
	w.n_parts = 0;
	world_deinit(&w);
}

/* ---------------------------------------------------------------------- Go */

#define DATA UINT64_C(0x500000)
#define DATA_SIZE 0x20000u
#define TABLES UINT64_C(0x7f2000000000)
#define GO_HEAP UINT64_C(0xc000000000)

static const uint64_t go_caps[5] = { 1u << 14, 1u << 17, 1u << 20, 1u << 23, 1u << 26 };
static struct mw__segment go_segment;

/* A Go program: data, arena, the five summaries, the index and the map of arenas. */
static void make_go(struct world *w)
{
	uint64_t at = TABLES, slices = DATA + 0x100;

	world_init(w, 8);
	map(w, DATA, DATA + DATA_SIZE, MW__R | MW__W, DATA_SIZE);
	map(w, GO_HEAP, GO_HEAP + 4 * MIB, MW__R | MW__W, 4096);
	map(w, GO_HEAP + 4 * MIB, GO_HEAP + 64 * MIB, 0, 0);
	for (unsigned i = 0; i < 5; i++) {
		poke_word(w, slices + i * 24, at);
		poke_word(w, slices + i * 24 + 8, i == 4 ? 100 : go_caps[i]);
		poke_word(w, slices + i * 24 + 16, go_caps[i]);
		map(w, at, at + go_caps[i] * 8, 0, 0);
		at += go_caps[i] * 8 + 0x10000;
	}
	/* behind chunks, which are 2^13 pointers: the index */
	poke_word(w, slices + 5 * 24 + 8192 * 8, at);
	poke_word(w, slices + 5 * 24 + 8192 * 8 + 8, 1u << 20);
	poke_word(w, slices + 5 * 24 + 8192 * 8 + 16, 1u << 20);
	map(w, at, at + (1u << 20), 0, 0);
	at += (1u << 20) + 0x10000;
	/* the map of arenas: the entry of 0xc000000000 is set */
	uint64_t entry = (GO_HEAP - UINT64_C(0xffff800000000000)) / (64 * MIB) * 8;

	poke_word(w, DATA + 0x40, at);
	map(w, at, at + (32u << 20), MW__R | MW__W, 0);
	w->parts[w->n_parts++] = (struct part){ at + (entry & ~UINT64_C(4095)), 4096, calloc(1, 4096) };
	poke_word(w, at + entry, at);
	go_segment = (struct mw__segment){ .type = PT_LOAD, .flags = PF_R | PF_W, .vaddr = DATA, .filesz = 4096, .memsz = DATA_SIZE };
	*(struct mw__image *)MW_VEC_PUSH(&w->snap.images) = (struct mw__image){
		.path = "/go", .file = MW__NONE, .role = MW__PROGRAM, .start = DATA, .end = DATA + DATA_SIZE, .elf_class = 64,
		.segments = &go_segment, .n_segments = 1, .go_version = "go1.19.8",
	};
}

static unsigned count_owner(const struct world *w, enum mw__owner owner)
{
	unsigned n = 0;

	for (size_t i = 0; i < w->snap.claims.n; i++)
		n += w->snap.claims.v[i].owner == owner;
	return n;
}

static void test_go(void)
{
	struct world w;

	make_go(&w);
	is_int(mw__heap_go(&w.walk), 0, "a Go program");
	ok(find_claim(&w, GO_HEAP, GO_HEAP + 4 * MIB, MW__OWNER_GO_HEAP) &&
	   find_claim(&w, GO_HEAP + 4 * MIB, GO_HEAP + 64 * MIB, MW__OWNER_GO_RESERVE), "its heap arena and the rest of it");
	uint64_t at = TABLES;

	for (unsigned i = 0; i < 5; i++) {
		const struct mw__claim *c = find_claim(&w, at, at + go_caps[i] * 8, MW__OWNER_GO_SUMMARY);

		ok(c && c->certainty == MW__PROVEN, "summary of level %u", i);
		at += go_caps[i] * 8 + 0x10000;
	}
	const struct mw__claim *index = find_claim(&w, at, at + (1u << 20), MW__OWNER_GO_INDEX);

	ok(index && index->certainty == MW__LIKELY, "the scavenge index");
	at += (1u << 20) + 0x10000;
	ok(find_claim(&w, at, at + (32u << 20), MW__OWNER_GO_ARENA_MAP), "the map of arenas");
	ok(mw__heap_glibc(&w.walk) == 0 && !count_owner(&w, MW__OWNER_GLIBC_ARENA), "the arena of Go is none of glibc");
	world_deinit(&w);
}

static void test_not_go(void)
{
	struct world w;

	make_go(&w);
	w.snap.images.v[0].go_version = NULL;
	ok(mw__heap_go(&w.walk) == 0 && !w.snap.claims.n, "the same memory of a program that is not Go's: no claim");
	world_deinit(&w);
	for (unsigned i = 0; i < 5; i++) {
		make_go(&w);
		poke_word(&w, DATA + 0x100 + i * 24 + 16, go_caps[i] + 1);
		ok(mw__heap_go(&w.walk) == 0 && !count_owner(&w, MW__OWNER_GO_SUMMARY) && !count_owner(&w, MW__OWNER_GO_INDEX),
		   "another capacity of level %u: no summaries, no index", i);
		world_deinit(&w);
		make_go(&w);
		poke_word(&w, DATA + 0x100 + i * 24, UINT64_MAX - 4095);
		ok(mw__heap_go(&w.walk) == 0 && !count_owner(&w, MW__OWNER_GO_SUMMARY), "level %u at the end of the world: none", i);
		world_deinit(&w);
	}
}

/* What the file says about its segments is not to be trusted. */
static void test_go_segments(void)
{
	static const struct {
		const char *what;
		uint64_t vaddr, memsz;
	} bad[] = {
		{ "that ends beyond 2^64", UINT64_MAX - 8191, 16384 },
		{ "at the last address", UINT64_MAX - 4095, 4096 },
		{ "without a size", DATA, 0 },
		{ "that is not mapped", UINT64_C(1) << 40, DATA_SIZE },
		{ "of 2^63 bytes", DATA, UINT64_C(1) << 63 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct world w;

		make_go(&w);
		go_segment.vaddr = bad[i].vaddr;
		go_segment.memsz = bad[i].memsz;
		is_int(mw__heap_go(&w.walk), 0, bad[i].what);
		ok(!count_owner(&w, MW__OWNER_GO_SUMMARY), "a data segment %s holds no summaries", bad[i].what);
		world_deinit(&w);
	}
}

int main(void)
{
	test_arena(&shape64, "an arena of glibc, 64 bits");
	test_arena(&shape32, "an arena of glibc, 32 bits");
	test_corrupt_arena(&shape64);
	test_corrupt_arena(&shape32);
	test_heap_places();
	test_second_heap();
	test_huge_arena();
	test_blocks();
	test_vast();
	test_descriptors();
	test_corrupt_descriptors();
	test_lying_descriptors();
	test_list_heads();
	test_main_thread();
	test_many_threads();
	test_go();
	test_not_go();
	test_go_segments();
	return done_testing();
}
