/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records of a ring to faults and moves, and moves to what an address meant at a time. */
#include "explain/faults.h"
#include "model/space.h"
#include "tap.h"
#include "trace/trace.h"

#include <elf.h>
#include <stdlib.h>

/* A record as the kernel lays it out: header, body, and for all but samples the trailer. */
struct record {
	_Alignas(8) unsigned char bytes[256];
	size_t n;
};

static void put(struct record *r, const void *p, size_t n)
{
	memcpy(r->bytes + r->n, p, n);
	r->n += n;
}

static void put32(struct record *r, uint32_t v) { put(r, &v, 4); }
static void put64(struct record *r, uint64_t v) { put(r, &v, 8); }

static void begin(struct record *r, uint32_t type, uint16_t misc)
{
	struct perf_event_header h = { .type = type, .misc = misc };

	r->n = 0;
	put(r, &h, sizeof(h));
}

static struct perf_event_header *end(struct record *r)
{
	struct perf_event_header *h = (void *)r->bytes;

	h->size = (uint16_t)r->n;
	return h;
}

static void trailer(struct record *r, uint64_t time)
{
	put32(r, 7);
	put32(r, 7);
	put64(r, time);
}

static void sample(struct record *r, uint64_t time, uint64_t addr, uint64_t ip, uint32_t tid)
{
	begin(r, PERF_RECORD_SAMPLE, 0);
	put64(r, ip);
	put32(r, 7);
	put32(r, tid);
	put64(r, time);
	put64(r, addr);
}

static void mmap2(struct record *r, uint64_t time, uint64_t start, uint64_t len, uint64_t off, const char *name)
{
	char padded[64] = "";

	begin(r, PERF_RECORD_MMAP2, 0);
	put32(r, 7);
	put32(r, 7);
	put64(r, start);
	put64(r, len);
	put64(r, off);
	for (int i = 0; i < 3; i++)
		put64(r, 0);
	put32(r, 5);	/* PROT_READ | PROT_EXEC */
	put32(r, 2);
	strcpy(padded, name);
	put(r, padded, (strlen(name) + 8) / 8 * 8);
	trailer(r, time);
}

static void test_decode(void)
{
	struct mw_recording rec;
	struct mw__events e = { .limit = 2, .zero_ns = 1000 };
	struct mw__ring ring = {};
	struct mw__decoder d = { &rec, &e, &ring };
	struct record r;
	size_t n;

	mw__recording_init(&rec);
	sample(&r, 1500, 0x1234, 0x5678, 9);
	ok(mw__decode(&d, end(&r)) == 0 && ring.faults.n == 1, "a sample is a fault");
	const struct mw__fault *f = mw__pile_from(&ring.faults, 0, &n);

	is_u64(f->time_ns, 500, "times count from the start");
	is_u64(f->addr, 0x1234, "address");
	is_u64(f->ip, 0x5678, "instruction");
	is_u64(f->tid, 9, "thread");
	sample(&r, 1501, 1, 2, 9);
	ok(mw__decode(&d, end(&r)) == 0 && mw__decode(&d, end(&r)) == 0 && ring.faults.n == 2 && e.samples == 3,
	   "above the limit a sample counts, and is not kept");
	r.n = 24;
	ok(mw__decode(&d, end(&r)) == 0 && e.samples == 3, "a record that is too short is passed over");
	mmap2(&r, 2000, 0x10000, 0x3000, 0x1000, "/lib/x.so");
	ok(mw__decode(&d, end(&r)) == 0 && rec.moves.n == 1, "a mapping is a move");
	const struct mw__move *m = &rec.moves.v[0];

	ok(m->kind == MW__MOVE_MAP && m->start == 0x10000 && m->end == 0x13000 && m->off == 0x1000 && m->time_ns == 1000 &&
	   m->prot == (MW__R | MW__X) && !strcmp(m->name, "/lib/x.so"), "its range, offset, time, protection and name");
	mmap2(&r, 2100, 0x20000, 0x1000, 0, "/lib/x.so");
	r.bytes[64] = 3;	/* PROT_READ | PROT_WRITE */
	ok(mw__decode(&d, end(&r)) == 0 && rec.moves.n == 2 && rec.moves.v[1].prot == (MW__R | MW__W), "one that is written to");
	rec.moves.n--;
	mmap2(&r, 2000, UINT64_MAX - 10, 0x3000, 0, "/lib/x.so");
	ok(mw__decode(&d, end(&r)) == 0 && rec.moves.n == 1, "one that wraps around is passed over");
	begin(&r, PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC);
	put32(&r, 7);
	put32(&r, 7);
	put(&r, "prog\0\0\0", 8);
	trailer(&r, 3000);
	ok(mw__decode(&d, end(&r)) == 0 && rec.moves.n == 2 && rec.moves.v[1].kind == MW__MOVE_EXEC, "an exec is a move");
	begin(&r, PERF_RECORD_FORK, 0);
	for (uint32_t i = 0; i < 4; i++)
		put32(&r, 20 + i);
	put64(&r, 4000);
	trailer(&r, 4000);
	ok(mw__decode(&d, end(&r)) == 0 && rec.moves.n == 3 && rec.moves.v[2].pid == 20 && rec.moves.v[2].parent == 21,
	   "a fork is a move");
	mw__pile_free(&ring.faults);
	mw__recording_deinit(&rec);
}

/* Random bytes in place of records: nothing is read outside of them (run it under ASan). */
static void test_random(void)
{
	struct mw_recording rec;
	struct mw__events e = { .limit = 100, .stacks = true };
	struct mw__ring ring = {};
	struct mw__decoder d = { &rec, &e, &ring };

	mw__recording_init(&rec);
	for (int i = 0; i < 20000; i++) {
		size_t size = sizeof(struct perf_event_header) + (unsigned)rand() % 120;
		struct perf_event_header *h = malloc(size);

		for (size_t k = 0; k < size; k++)
			((unsigned char *)h)[k] = (unsigned char)rand();
		h->type = (unsigned)rand() % 12;
		h->size = (uint16_t)size;
		if (mw__decode(&d, h) < 0)
			break;
		free(h);
	}
	ok(e.kept <= 100, "random records are read inside their bounds");
	mw__pile_free(&ring.faults);
	mw__recording_deinit(&rec);
}

static void move(struct mw_recording *rec, uint64_t time, uint64_t start, uint64_t end_, uint64_t off, uint32_t object, const char *name)
{
	*MW_VEC_PUSH(&rec->moves) = (struct mw__move){ .time_ns = time, .kind = MW__MOVE_MAP, .start = start, .end = end_, .off = off,
						       .pid = 7, .tid = 7, .object = object, .name = name };
}

static const struct mw__segment segments[] = {
	{ PT_LOAD, PF_R | PF_X, 0, 0, 0x2000, 0x2000, 0x1000 },
	{ PT_LOAD, PF_R | PF_W, 0x2000, 0x3000, 0x800, 0x2800, 0x1000 },
};
static const struct mw__section sections[] = {
	{ ".text", SHT_PROGBITS, SHF_ALLOC, 0x1000, 0x1000, 0x1000 },
	{ ".tbss", SHT_NOBITS, SHF_ALLOC | SHF_TLS, 0x3000, 0x900, 0x2000 },
	{ ".data", SHT_PROGBITS, SHF_ALLOC, 0x3008, 0x7f8, 0x2008 },
	{ ".bss", SHT_NOBITS, SHF_ALLOC, 0x3800, 0x2000, 0x2800 },
};

static void test_space(void)
{
	struct mw_recording rec;
	struct mw__spaces spaces;

	mw__recording_init(&rec);
	*MW_VEC_PUSH(&rec.objects) = (struct mw__object_file){ .path = "/lib/x.so", .image = { .segments = segments, .n_segments = 2,
							       .sections = sections, .n_sections = 4 } };
	/* as ld.so does it: the whole, then the second segment, then .bss */
	move(&rec, 1, 0x70000000, 0x70006000, 0, 0, "/lib/x.so");
	move(&rec, 2, 0x70003000, 0x70004000, 0x2000, 0, "/lib/x.so");
	move(&rec, 3, 0x70004000, 0x70006000, 0, MW__NONE, "//anon");
	move(&rec, 4, 0x10000, 0x20000, 0, MW__NONE, "//anon");
	move(&rec, 5, 0x14000, 0x18000, 0, MW__NONE, "/data");
	*MW_VEC_PUSH(&rec.moves) = (struct mw__move){ .time_ns = 6, .kind = MW__MOVE_FORK, .pid = 8, .parent = 7, .object = MW__NONE, .name = "" };
	*MW_VEC_PUSH(&rec.moves) = (struct mw__move){ .time_ns = 7, .kind = MW__MOVE_EXEC, .pid = 7, .object = MW__NONE, .name = "y" };
	mw__spaces_init(&spaces, &rec);
	ok(mw__recording_freeze(&rec, NULL) == 0 && mw__spaces_play(&spaces, 5) == 0, "moves are played");
	struct mw__space *s = mw__spaces_find(&spaces, 7);
	const struct mw__range *text = mw__space_at(s, 0x70001234), *bss = mw__space_at(s, 0x70005000);

	ok(text && text->object == rec.objects.v && text->bias == 0x70000000, "the first mapping gives the bias");
	ok(bss && bss->object == rec.objects.v && bss->bias == 0x70000000 && !bss->is_file, "anonymous memory behind it is its .bss");
	is_str(mw__object_section(rec.objects.v, 0x1234)->name, ".text", "a section by address");
	is_str(mw__object_section(rec.objects.v, 0x3010)->name, ".data", "thread-local .tbss takes no addresses");
	ok(!mw__object_section(rec.objects.v, 0x3004), "not even those before the next section begins");
	is_str(mw__object_section(rec.objects.v, 0x5000)->name, ".bss", ".bss");
	ok(!mw__object_section(rec.objects.v, 0x900) && !mw__object_section(rec.objects.v, 0x9000), "none before and behind");
	is_str(mw__space_at(s, 0x13fff)->name, "//anon", "a mapping in the middle of another leaves its front");
	is_str(mw__space_at(s, 0x14000)->name, "/data", "is there itself");
	is_str(mw__space_at(s, 0x18000)->name, "//anon", "and leaves its end");
	is_u64(mw__space_at(s, 0x18000)->start, 0x18000, "which begins behind it");
	ok(!mw__space_at(s, 0x20000) && !mw__space_at(s, 0xffff), "nothing outside");
	ok(mw__spaces_play(&spaces, 7) == 0, "fork and exec are played");
	s = mw__spaces_find(&spaces, 7);
	ok(s && s->generation == 1 && !mw__space_at(s, 0x14000), "exec forgets all mappings");
	s = mw__spaces_find(&spaces, 8);
	ok(s && mw__space_at(s, 0x14000), "the child of a fork keeps them");
	mw__spaces_deinit(&spaces);
	mw__recording_deinit(&rec);
}

/* ------------------------------------------------------------------ sources */

static void map(struct mw_snapshot *snap, uint64_t start, uint64_t end_, uint64_t off, const char *name, uint8_t kind)
{
	*MW_VEC_PUSH(&snap->vmas) = (struct mw__vma){ .start = start, .end = end_, .off = off, .name = name, .kind = kind,
						      .run = (uint32_t)snap->runs.n, .states_known = true };
}

static void present(struct mw_snapshot *snap, uint64_t start, uint32_t pages, uint32_t state)
{
	*MW_VEC_PUSH(&snap->runs) = (struct mw__run){ start, pages, state | MW__PRESENT };
	snap->vmas.v[snap->vmas.n - 1].n_runs++;
}

static void fault_at(struct mw__faulted *f, uint64_t addr)
{
	ok(mw__faulted_add(f, 0, addr) == 1, "a fault at %llx", (unsigned long long)addr);
}

/* Where each resident page came from, by the windows and folios of the kernel. */
static void test_sources(void)
{
	struct mw_snapshot after;
	struct mw_recording rec = { .after = &after };
	struct mw__fault_report r = { .rec = &rec };
	struct mw__faulted f = {};

	mw__snapshot_init(&after);
	after.target.has_maps = true;
	after.target.pages = MW_PAGES_SCAN;
	/* a mapping that starts inside an aligned window of 64 KiB: its first one reaches from its start */
	map(&after, 0x10001000, 0x10041000, 0, "/a", MW__FILE);
	present(&after, 0x10001000, 3, MW__OF_FILE);
	present(&after, 0x10006000, 1, 0);		/* copied: no neighbour of a fault on the file */
	present(&after, 0x10010000, 1, MW__OF_FILE);	/* less than 64 KiB behind the start */
	present(&after, 0x10012000, 1, MW__OF_FILE);	/* more, and of no folio with the fault */
	fault_at(&f, 0x10001000);
	/* folios are aligned in the file: of this mapping the first one has one page */
	map(&after, 0x20000000, 0x20258000, 0x1ff000, "/b", MW__FILE);
	present(&after, 0x20000000, 600, MW__OF_FILE);
	fault_at(&f, 0x20000000);
	map(&after, 0x30000000, 0x30003000, 0, "", MW__ANON);
	present(&after, 0x30000000, 3, 0);
	fault_at(&f, 0x30001000);
	map(&after, 0x40000000, 0x40400000, 0, "", MW__ANON);
	present(&after, 0x40000000, 512, MW__HUGE);
	present(&after, 0x40200000, 512, MW__HUGE);	/* this block had none */
	fault_at(&f, 0x40003000);
	map(&after, 0x7fff0000, 0x7fff4000, 0, "[stack]", MW__ANON);
	present(&after, 0x7fff1000, 3, 0);
	fault_at(&f, 0x7fff1000);
	ok(mw__reconcile(&r, &f) == 0 && r.has_pages, "pages and faults are put together");

	const uint64_t want[MW__N_SOURCES] = {
		[MW__SOURCE_FAULT] = 5, [MW__SOURCE_AROUND] = 2 + 1 + 15, [MW__SOURCE_HUGE] = 511, [MW__SOURCE_EXEC] = 2,
		[MW__SOURCE_UNSEEN] = 2 + 584 + 2 + 512,
	};
	uint64_t sum = 0;

	for (size_t i = 0; i < MW__N_SOURCES; i++) {
		ok(r.sources[i] == want[i] * 4096, "%s: %llu pages of %llu", mw__source_ids[i], (unsigned long long)r.sources[i] / 4096,
		   (unsigned long long)want[i]);
		sum += r.sources[i];
	}
	ok(sum == r.rss_after, "they are all that is resident");
	mw__faulted_deinit(&f);
	MW_VEC_FREE(&after.vmas);
	MW_VEC_FREE(&after.runs);
	mw__snapshot_deinit(&after);
}

/* Runs of 16 TiB and a few faults: most pages are alike, and are not looked at one by one. */
static void test_long_runs(void)
{
	const uint32_t pages = UINT32_MAX;
	const uint64_t anon = UINT64_C(0x100000000000), file = UINT64_C(0x200000000000), was = UINT64_C(0x180000000000);
	struct mw_snapshot after, before;
	struct mw_recording rec = { .after = &after, .before = &before, .is_attached = true };
	struct mw__fault_report r = { .rec = &rec };
	struct mw__faulted f = {};
	struct mw_snapshot *both[] = { &before, &after };

	for (size_t i = 0; i < 2; i++) {
		mw__snapshot_init(both[i]);
		both[i]->target.has_maps = true;
		both[i]->target.pages = MW_PAGES_SCAN;
		map(both[i], anon, anon + pages * UINT64_C(4096), 0, "", MW__ANON);
		if (both[i] == &before)
			present(&before, was, 1000, 0);
		else
			present(&after, anon, pages, 0);
		map(both[i], file, file + pages * UINT64_C(4096), 0, "/a", MW__FILE);
		if (both[i] == &before)
			present(&before, file + 1024 * 4096, 100, MW__OF_FILE);
		else
			present(&after, file, pages, MW__OF_FILE);
	}
	fault_at(&f, anon + 5 * 4096);
	fault_at(&f, was + 999 * 4096);			/* was resident: counts as that */
	fault_at(&f, was + 1000 * 4096);
	fault_at(&f, anon + (pages - 1) * UINT64_C(4096));
	fault_at(&f, file + 1130 * 4096);		/* of the third folio, of which 100 pages were resident */
	fault_at(&f, file + UINT64_C(4096) * 512 * 1000000);
	ok(mw__reconcile(&r, &f) == 0 && r.has_pages, "long runs and a few faults are put together");
	is_u64(r.sources[MW__SOURCE_FAULT], 5 * 4096, "long runs: faults");
	is_u64(r.sources[MW__SOURCE_BEFORE], 1100 * 4096, "what was resident before");
	is_u64(r.sources[MW__SOURCE_AROUND], (411 + 511) * 4096, "the folios of the faults");
	is_u64(r.sources[MW__SOURCE_UNSEEN], (2 * (uint64_t)pages - 5 - 1100 - 922) * 4096, "and the rest");
	mw__faulted_deinit(&f);
	for (size_t i = 0; i < 2; i++) {
		MW_VEC_FREE(&both[i]->vmas);
		MW_VEC_FREE(&both[i]->runs);
		mw__snapshot_deinit(both[i]);
	}
}

#define MANY 200000u

/* Fault i at time i, written in batches as rings give them. */
static bool fill(struct mw__pile *pile, uint64_t from, uint64_t to, uint64_t step)
{
	for (uint64_t i = from; i < to;) {
		size_t n = 1 + i % 3000, room = n;
		struct mw__fault *v = mw__pile_room(pile, &room);

		if (!v || !room || room > n)
			return false;
		for (size_t k = 0; k < room && i < to; k++, i += step, pile->n++)
			v[k] = (struct mw__fault){ .time_ns = i, .addr = i * 4096, .tid = 1 };
	}
	return true;
}

static void test_pile(void)
{
	struct mw__pile pile = {};
	size_t wrong = 0, n;

	ok(fill(&pile, 0, MANY, 1) && pile.n == MANY, "%u faults are kept", MANY);
	for (size_t i = 0; i < pile.n; i++)
		wrong += mw__pile_from(&pile, i, &n)->time_ns != i || !n || n > pile.n - i;
	for (size_t i = 0; i < pile.n; i += n) {
		const struct mw__fault *f = mw__pile_from(&pile, i, &n);

		for (size_t k = 0; k < n; k++)
			wrong += f[k].time_ns != i + k;
	}
	ok(!wrong, "each where it belongs");
	mw__pile_free(&pile);
	ok(!pile.n && !pile.pieces.n, "and given back");
}

/* Two processors that take turns, one that has the last faults, one without any, and the major ones. */
static void test_merge(void)
{
	struct mw__ring rings[5] = { { .fd = -1 }, { .fd = -1 }, { .fd = -1 }, { .fd = -1 }, { .fd = -1, .kind = MW__EVENT_MAJORS } };
	struct mw__events e = { .rings = { rings, 5, 5 } };
	struct mw_recording *rec = calloc(1, sizeof(*rec));
	size_t wrong = 0, majors = 0;

	mw__recording_init(rec);
	ok(fill(&rings[0].faults, 0, MANY, 2) && fill(&rings[1].faults, 1, MANY, 2) && fill(&rings[3].faults, MANY, 2 * MANY, 1) &&
	   fill(&rings[4].faults, 7, MANY, 1000), "faults of four processors, and the major ones among them");
	ok(mw__events_merge(&e, rec) == 0 && rec->faults.n == 2 * MANY, "are merged");
	for (size_t i = 0; i < rec->faults.n; i++) {
		wrong += rec->faults.v[i].time_ns != i || rec->faults.v[i].is_major != (i < MANY && i % 1000 == 7);
		majors += rec->faults.v[i].is_major;
	}
	ok(!wrong && majors == MANY / 1000, "in the order of time, %zu of them major", majors);
	for (size_t i = 0; i < 5; i++)
		mw__pile_free(&rings[i].faults);
	mw_recording_destroy(rec);
}

int main(void)
{
	test_decode();
	test_pile();
	test_merge();
	test_random();
	test_space();
	test_sources();
	test_long_runs();
	return done_testing();
}
