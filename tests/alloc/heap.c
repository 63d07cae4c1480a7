/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * heap - private heaps (memwhy-malloc.h): each promise of the header, random operations
 * against a shadow model, threads, fork, exhaustion, and the errors that must be caught:
 * by default, and by a second run of this program with audit, guard pages and the like.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/alloc/memwhy-malloc.h"
#include "tap.h"

static const size_t sizes[] = { 0, 1, 2, 3, 7, 8, 15, 16, 17, 24, 32, 33, 100, 1000, 1024, 1025, 4096, 8192, 32767, 32768,
				32769, 65536, 1048576, 1048577, 5000000 };
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static int hardened;

static int all(const void *p, int byte, size_t n)
{
	const unsigned char *b = p;

	for (size_t i = 0; i < n; i++)
		if (b[i] != (unsigned char)byte)
			return 0;
	return 1;
}

static struct mw_heap_stats stats_of(struct mw_heap *h)
{
	struct mw_heap_stats s = { .size = sizeof(s) };

	if (mw_heap_stats(h, &s) != 0)
		s.n_alloc = UINT64_MAX;
	return s;
}

static size_t natural(size_t n)
{
	return n % 8 == 0 ? 8 : n % 4 == 0 ? 4 : n % 2 == 0 ? 2 : 1;
}

/* --- each call ------------------------------------------------------------------------ */

static void test_alloc(unsigned flags)
{
	struct mw_heap *h = mw_heap_create(NULL);
	int aligned = 1, usable = 1, errno_kept = 1, zero = 1, held = 1, found = 1;
	size_t requested = 0;
	void *p[N_SIZES];

	for (size_t i = 0; i < N_SIZES; i++) {
		struct mw_heap_object_info o;
		size_t n = sizes[i], use;

		errno = 77;
		p[i] = mw_heap_alloc(h, n, flags);
		errno_kept &= p[i] && errno == 77;
		use = mw_heap_usable_size(h, p[i]);
		usable &= use >= (n ? n : 1);
		aligned &= (uintptr_t)p[i] % (flags & MW_HEAP_NOSCAN && n < 16 ? natural(n) : 16) == 0;
		zero &= !(flags & MW_HEAP_ZERO) || all(p[i], 0, n);
		memset(p[i], (int)i + 1, use);
		requested += n;
		found &= mw_heap_find(h, (char *)p[i] + use - 1, &o) && o.start == p[i] && o.length == use &&
			 o.noscan == (flags & MW_HEAP_NOSCAN) && mw_heap_owns(h, p[i]);
	}
	for (size_t i = 0; i < N_SIZES; i++)
		held &= all(p[i], (int)i + 1, mw_heap_usable_size(h, p[i]));
	ok(aligned && usable && errno_kept, "flags %u: aligned, large enough, errno untouched", flags);
	ok(zero && held && found, "flags %u: contents, and each byte finds its object", flags);
	ok(stats_of(h).requested == requested && stats_of(h).live_objects == N_SIZES && stats_of(h).n_alloc == N_SIZES,
	   "flags %u: statistics", flags);
	ok(mw_alloc_check() == 0, "flags %u: invariants", flags);
	for (size_t i = 0; i < N_SIZES; i++)
		mw_heap_free(h, p[i]);
	ok(stats_of(h).live_objects == 0 && stats_of(h).live_bytes == 0 && stats_of(h).n_free == N_SIZES, "flags %u: all freed", flags);
	/* again, in memory that is not clean any more */
	for (size_t i = 0; i < N_SIZES; i++)
		p[i] = mw_heap_alloc(h, sizes[i], flags);
	for (size_t i = 0; i < N_SIZES; i++)
		zero &= !(flags & MW_HEAP_ZERO) || all(p[i], 0, sizes[i]);
	ok(zero && mw_alloc_check() == 0, "flags %u: reused memory is cleared too", flags);
	mw_heap_destroy(h);
	ok(mw_alloc_check() == 0, "flags %u: destroyed", flags);
}

static void test_aligned(void)
{
	struct mw_heap *h = mw_heap_create(NULL);
	int good = 1;

	for (size_t align = 1; align <= 4u << 20; align *= 2)
		for (size_t i = 0; i < N_SIZES; i++) {
			void *p = mw_heap_alloc_aligned(h, align, sizes[i], MW_HEAP_NOSCAN);

			good &= p && (uintptr_t)p % align == 0 && (uintptr_t)p % 16 == 0 && mw_heap_usable_size(h, p) >= sizes[i];
			memset(p, 1, sizes[i]);
			if (i % 2)
				mw_heap_free(h, p);
		}
	ok(good && mw_alloc_check() == 0, "alignments up to 4 MiB");
	errno = 0;
	ok(!mw_heap_alloc_aligned(h, 48, 10, 0) && errno == EINVAL, "no power of two: EINVAL");
	mw_heap_destroy(h);
}

static void test_realloc(void)
{
	struct mw_heap *h = mw_heap_create(NULL);
	int good = 1, noscan = 1;

	for (unsigned flags = 0; flags < 2; flags++)
		for (size_t i = 0; i < N_SIZES; i++)
			for (size_t k = 0; k < N_SIZES; k++) {
				size_t n = sizes[i] < sizes[k] ? sizes[i] : sizes[k];
				char *p = mw_heap_alloc(h, sizes[i], flags), *q;
				struct mw_heap_object_info o;

				memset(p, 0x5a, sizes[i]);
				q = mw_heap_realloc(h, p, sizes[k]);
				good &= q && all(q, 0x5a, n) && mw_heap_usable_size(h, q) >= sizes[k];
				noscan &= mw_heap_find(h, q, &o) && o.noscan == flags;
				memset(q, 1, sizes[k]);
				mw_heap_free(h, q);
			}
	ok(good, "realloc from each size to each keeps the contents");
	char *big = mw_heap_alloc(h, 20000000, 0);

	good = big && memset(big, 0x5b, 20000000);
	for (size_t n = 30000000; good && n <= 70000000; n += 20000000) /* into a mapping of its own, and there */
		good = (big = mw_heap_realloc(h, big, n)) && all(big, 0x5b, 20000000);
	good = good && (big = mw_heap_realloc(h, big, 10000000)) && all(big, 0x5b, 10000000);
	mw_heap_free(h, big);
	ok(good, "also of huge objects");
	ok(noscan, "and whether it is noscan");
	void *p = mw_heap_realloc(h, NULL, 100);

	ok(p && mw_heap_usable_size(h, p) >= 100, "realloc of NULL allocates");
	errno = 0;
	ok(!mw_heap_realloc(h, p, SIZE_MAX - 5) && errno == ENOMEM && mw_heap_usable_size(h, p) >= 100, "a failed one changes nothing");
	mw_heap_free(h, p);
	ok(stats_of(h).live_objects == 0 && mw_alloc_check() == 0, "nothing is left");
	mw_heap_destroy(h);
}

/* More than there are addresses, up to what no 64 bits count in pages of 8 KiB or bytes. */
static void test_absurd(void)
{
	static const size_t absurd[] = { 1ul << 45, (1ul << 45) + 5000, 1ul << 48, (1ul << 62) + 1, PTRDIFF_MAX - 5000,
					 PTRDIFF_MAX, PTRDIFF_MAX + 1ul, SIZE_MAX - 8191, SIZE_MAX };
	struct mw_heap *h = mw_heap_create(NULL);
	void *p = mw_heap_alloc(h, 100, 0);
	int good = p != NULL;

	for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++)
		for (unsigned flags = 0; flags < 4; flags++) {
			errno = 0;
			good &= !mw_heap_alloc(h, absurd[i], flags) && errno == ENOMEM;
			errno = 0;
			good &= !mw_heap_alloc_aligned(h, 4096, absurd[i], flags) && errno == ENOMEM;
			errno = 0;
			good &= !mw_heap_realloc(h, flags & 1 ? p : NULL, absurd[i]) && errno == ENOMEM;
		}
	ok(good && stats_of(h).live_objects == 1 && mw_alloc_check() == 0, "absurd sizes: ENOMEM, and nothing changes");
	mw_heap_destroy(h);
}

/* Go's packing rule, told again by itself. */
static void test_tiny(void)
{
	struct mw_heap *h = mw_heap_create(NULL);
	char *p[16], *block;
	int packed = 1;

	for (int i = 0; i < 16; i++)
		p[i] = mw_heap_alloc(h, 1, MW_HEAP_NOSCAN);
	for (int i = 1; i < 16; i++)
		packed &= p[i] == p[0] + i;
	ok(packed && (uintptr_t)p[0] % 16 == 0, "16 objects of one byte share a block");
	ok(stats_of(h).tiny_blocks == 1 && stats_of(h).tiny_objects == 16 && stats_of(h).live_bytes == 16, "statistics say so");
	for (int i = 0; i < 15; i++)
		mw_heap_free(h, p[i]);
	ok(stats_of(h).tiny_blocks == 1 && stats_of(h).tiny_bytes == 1, "the block lives until its last object is freed");
	mw_heap_free(h, p[15]);
	ok(stats_of(h).tiny_blocks == 0 && stats_of(h).live_bytes == 0, "then it is free");

	block = mw_heap_alloc(h, 3, MW_HEAP_NOSCAN);
	p[0] = mw_heap_alloc(h, 2, MW_HEAP_NOSCAN);
	p[1] = mw_heap_alloc(h, 4, MW_HEAP_NOSCAN);
	p[2] = mw_heap_alloc(h, 8, MW_HEAP_NOSCAN);
	p[3] = mw_heap_alloc(h, 4, MW_HEAP_NOSCAN);
	ok(p[0] == block + 4 && p[1] == block + 8, "each is aligned to what its size is a multiple of");
	ok((p[2] < block || p[2] >= block + 16) && (uintptr_t)p[2] % 8 == 0, "what does not fit starts a new block");
	ok(p[3] == p[2] + 8 || p[3] == block + 12, "the block with more room is filled first");
	ok(mw_heap_alloc(h, 15, 0) != NULL && stats_of(h).tiny_objects == 5, "objects with pointers are never packed");
	mw_heap_destroy(h);
}

static void test_classes(void)
{
	struct mw_heap_class_info k;
	int good = 1, n = 0;

	for (unsigned c = 1; c < 68; c++) {
		n += mw_heap_class(c, &k);
		good &= k.n_objects * k.object_size + k.tail == k.span_size && k.span_size % 8192 == 0;
	}
	ok(n == 67 && good && !mw_heap_class(0, &k) && !mw_heap_class(68, &k), "67 size classes whose sums are right");
	for (size_t s = 1; s <= 32768; s++)
		good &= mw_heap_class(mw_heap_class_of(s), &k) && k.object_size >= s;
	ok(good && mw_heap_class_of(32769) == 0, "every size has a class that holds it");
}

static void test_make(void)
{
	struct mw_heap_options o = { .size = sizeof(o), .limit = 1 << 20, .name = "limited" };
	struct mw_heap *h;
	uint64_t n = 0;

	o.flags = 128;
	errno = 0;
	ok(!mw_heap_create(&o) && errno == EINVAL, "unknown flags: EINVAL");
	o.flags = 0;
	o.size = 3;
	ok(!mw_heap_create(&o) && errno == EINVAL, "wrong size of options: EINVAL");
	o.size = sizeof(o);
	h = mw_heap_create(&o);
	while (mw_heap_alloc(h, 1000, 0))
		n++;
	ok(errno == ENOMEM && stats_of(h).span_bytes <= 1 << 20 && n > 900, "a limit of 1 MiB ends at %lu objects of 1000 bytes", n);
	ok(!mw_heap_alloc(h, 3 << 20, 0) && !mw_heap_alloc(h, 100000, 0), "also for large objects");
	mw_heap_reset(h);
	ok(stats_of(h).span_bytes == 0 && stats_of(h).live_objects == 0 && mw_heap_alloc(h, 1000, 0), "reset makes room again");
	mw_heap_destroy(h);
	mw_heap_destroy(NULL);
	ok(mw_alloc_check() == 0, "invariants");
}

/* --- destroyed at once ------------------------------------------------------------------- */

static size_t pages_in_use(void)
{
	return mallinfo2().uordblks + mallinfo2().hblkhd;
}

static void test_destroy(void)
{
	size_t before;
	int good = 1;

	mw_heap_destroy(mw_heap_create(NULL));
	before = pages_in_use();
	for (int round = 0; round < 200; round++) {
		struct mw_heap *h = mw_heap_create(NULL);

		for (size_t i = 0; i < 300; i++)
			good &= mw_heap_alloc(h, sizes[i % N_SIZES], i % 3 ? MW_HEAP_NOSCAN : 0) != NULL;
		mw_heap_destroy(h);
	}
	ok(good && pages_in_use() == before, "200 heaps of 300 objects, destroyed, leave not a byte");
	ok(mw_alloc_check() == 0, "invariants");
}

/* --- walking ------------------------------------------------------------------------------- */

struct seen {
	size_t objects, bytes, spans, span_bytes, used, after;
	const void *last;
};

static int see_object(const struct mw_heap_object_info *o, void *arg)
{
	struct seen *s = arg;

	s->objects++;
	s->bytes += o->length;
	s->last = o->start;
	return s->after && s->objects == s->after ? 42 : 0;
}

static int see_span(const struct mw_heap_span_info *o, void *arg)
{
	struct seen *s = arg;

	s->spans++;
	s->span_bytes += o->length;
	s->used += o->n_used;
	return 0;
}

static int find_block(const struct mw_heap_span_info *o, void *arg)
{
	return (char *)arg >= (char *)o->base && (char *)arg < (char *)o->base + o->length ? (int)o->kind + 1 : 0;
}

static void test_walk(void)
{
	struct mw_heap *h = mw_heap_create(NULL);
	void *small = malloc(100), *large = malloc(100000), *huge = malloc(50000000);
	struct seen s = { 0 };
	size_t usable = 0;
	void *p;

	for (size_t i = 0; i < 1000; i++) {
		p = mw_heap_alloc(h, sizes[i % N_SIZES], i & 1);
		if (i % 3 == 0)
			mw_heap_free(h, p);
		else
			usable += mw_heap_usable_size(h, p);
	}
	ok(mw_heap_walk_objects(h, see_object, &s) == 0 && s.objects == stats_of(h).live_objects && s.bytes == usable,
	   "%zu objects are walked, and no other byte", s.objects);
	ok(mw_heap_walk_spans(h, see_span, &s) == 0 && s.spans == stats_of(h).n_spans && s.span_bytes == stats_of(h).span_bytes,
	   "%zu spans", s.spans);
	ok(stats_of(h).live_bytes + stats_of(h).free_bytes + stats_of(h).tail_bytes == stats_of(h).span_bytes,
	   "live, free and tails are all there is");
	s = (struct seen){ .after = 7 };
	ok(mw_heap_walk_objects(h, see_object, &s) == 42 && s.objects == 7, "a walk ends where it is told to");
	ok(mw_heap_walk_spans(NULL, find_block, small) == MW_HEAP_SPAN_OBJECTS + 1 &&
		   mw_heap_walk_spans(NULL, find_block, large) == MW_HEAP_SPAN_LARGE + 1 &&
		   mw_heap_walk_spans(NULL, find_block, huge) == MW_HEAP_SPAN_HUGE + 1,
	   "the spans of malloc are walked too");
	ok(mw_heap_walk_spans(NULL, find_block, p) == 0, "without those of private heaps");
	mw_heap_destroy(h);
	free(small);
	free(large);
	free(huge);
}

/* --- random operations against a shadow ---------------------------------------------------- */

#define SLOTS 4000

struct shadow {
	unsigned char *p;
	size_t n;
	unsigned noscan, byte;
};

static size_t some_size(unsigned long *seed)
{
	unsigned long r = tap_random(seed);

	switch (r % 64) {
	case 0:
		return (r >> 8) % 2000000;
	case 1:
	case 2:
		return (r >> 8) % 70000;
	case 3 ... 20:
		return (r >> 8) % 17;
	default:
		return (r >> 8) % 1200;
	}
}

static void step(struct mw_heap *h, struct shadow *s, unsigned long *seed, int *bad)
{
	unsigned long r = tap_random(seed);

	if (!s->p) {
		s->n = some_size(seed);
		s->noscan = r & 1;
		s->byte = r >> 8 & 255;
		s->p = mw_heap_alloc(h, s->n, s->noscan | (r & 2));
		*bad += !s->p || (r & 2 && !all(s->p, 0, s->n));
		memset(s->p, (int)s->byte, s->n);
	} else if (r % 8 == 0) {
		size_t n = some_size(seed), keep = n < s->n ? n : s->n;

		s->p = mw_heap_realloc(h, s->p, n);
		*bad += !s->p || !all(s->p, (int)s->byte, keep);
		memset(s->p, (int)s->byte, n);
		s->n = n;
	} else {
		*bad += !all(s->p, (int)s->byte, s->n);
		mw_heap_free(h, s->p);
		s->p = NULL;
	}
}

static void stress(struct mw_heap *h, struct shadow *slots, unsigned long seed, int steps, int *bad)
{
	for (int i = 0; i < steps; i++) {
		step(h, &slots[tap_random(&seed) % SLOTS], &seed, bad);
		if (i % 20000 == 0)
			*bad += mw_alloc_check() != 0;
	}
}

/* What the heap says must be what the shadow holds: number, bytes, and each object found by its last byte. */
static void compare(struct mw_heap *h, const struct shadow *slots, int *bad)
{
	struct mw_heap_stats t = stats_of(h);
	uint64_t n = 0, large = 0, tiny = 0;

	for (int i = 0; i < SLOTS; i++) {
		struct mw_heap_object_info o;

		if (!slots[i].p)
			continue;
		n++;
		large += slots[i].n > 32768 ? slots[i].n : 0;
		tiny += slots[i].noscan && slots[i].n < 16 ? (slots[i].n ? slots[i].n : 1) : 0;
		*bad += !mw_heap_find(h, slots[i].p + (slots[i].n ? slots[i].n - 1 : 0), &o) || o.start != slots[i].p ||
			o.noscan != slots[i].noscan;
	}
	*bad += t.live_objects != n;
	/* audit packs no tiny objects, and what is guarded is large */
	*bad += !hardened && (t.large_bytes != large || t.tiny_bytes != tiny);
}

static void test_stress(unsigned flags)
{
	struct mw_heap_options o = { .size = sizeof(o), .flags = flags, .name = "stress" };
	struct mw_heap *h = mw_heap_create(&o);
	struct shadow *slots = calloc(SLOTS, sizeof(*slots));
	int bad = 0;

	for (int round = 0; round < (hardened ? 1 : 4); round++) {
		stress(h, slots, 1000 + (unsigned long)round, hardened ? 20000 : 60000, &bad);
		compare(h, slots, &bad);
		if (round == 2) {
			mw_heap_reset(h);
			memset(slots, 0, SLOTS * sizeof(*slots));
		}
	}
	ok(bad == 0 && mw_alloc_check() == 0, "%s random operations agree with a shadow (heap flags %u)",
	   hardened ? "20,000" : "240,000", flags);
	mw_heap_destroy(h);
	free(slots);
}

/* --- threads ---------------------------------------------------------------------------------- */

static struct mw_heap *shared;
static int thread_bad;

static void *thread_main(void *arg)
{
	struct shadow *slots = calloc(SLOTS, sizeof(*slots));
	struct mw_heap *own = mw_heap_create(NULL);
	int bad = 0;

	stress(shared, slots, (unsigned long)(uintptr_t)arg, 40000, &bad);
	for (int i = 0; i < SLOTS; i++)
		mw_heap_free(shared, slots[i].p);
	memset(slots, 0, SLOTS * sizeof(*slots));
	stress(own, slots, (unsigned long)(uintptr_t)arg, 20000, &bad);
	mw_heap_destroy(own);
	free(slots);
	__atomic_fetch_add(&thread_bad, bad, __ATOMIC_RELAXED);
	return NULL;
}

static void *forker(void *arg)
{
	for (int i = 0; i < 20; i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			struct mw_heap *h = mw_heap_create(NULL);
			void *p = mw_heap_alloc(shared, 100, 0);

			for (int k = 0; k < 1000; k++)
				mw_heap_alloc(h, (size_t)k, k & 1);
			mw_heap_free(shared, p);
			mw_heap_destroy(h);
			_exit(p && mw_alloc_check() == 0 ? 0 : 1);
		}
		waitpid(pid, &status, 0);
		*(int *)arg += status != 0;
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t t[4], f;
	int bad_children = 0;

	shared = mw_heap_create(NULL);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, thread_main, (void *)(i + 1));
	pthread_create(&f, NULL, forker, &bad_children);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	pthread_join(f, NULL);
	ok(thread_bad == 0 && stats_of(shared).live_objects == 0 && mw_alloc_check() == 0, "4 threads, one heap, and one heap each");
	ok(bad_children == 0, "20 children forked meanwhile use it on");
	mw_heap_destroy(shared);
}

/* --- out of memory ------------------------------------------------------------------------------ */

static int exhaust(void)
{
	struct rlimit rl = { 300u << 20, 300u << 20 };
	struct mw_heap *h = mw_heap_create(NULL);
	uint64_t n = 0, m = 0;
	void *p;

	setrlimit(RLIMIT_AS, &rl);
	while ((p = mw_heap_alloc(h, 5000, 0)))
		n++;
	if (errno != ENOMEM || n < 30000 || mw_alloc_check())
		return 1;
	if (mw_heap_alloc(h, 10u << 20, 0) || errno != ENOMEM)
		return 2;
	mw_heap_destroy(h);
	h = mw_heap_create(NULL);
	while (h && mw_heap_alloc(h, 3u << 20, MW_HEAP_NOSCAN))
		m++;
	if (m < 30 || mw_alloc_check())
		return 3;
	mw_heap_reset(h);
	p = malloc(100u << 20);
	return p ? 0 : 4;
}

static int in_child(int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn());
	waitpid(pid, &status, 0);
	return status;
}

/* --- errors of the program ------------------------------------------------------------------------ */

static struct mw_heap *victim;
static char *object, *tiny, *large;

static int free_twice(void) { mw_heap_free(victim, object); mw_heap_free(victim, object); return 0; }
static int free_tiny_twice(void) { mw_heap_free(victim, tiny); mw_heap_free(victim, tiny); return 0; }
static int free_inside(void) { mw_heap_free(victim, object + 8); return 0; }
static int free_inside_tiny(void) { mw_heap_free(victim, tiny + 1); return 0; }
static int free_inside_large(void) { mw_heap_free(victim, large + 9000); return 0; }
static int free_other(void) { struct mw_heap *h = mw_heap_create(NULL); mw_heap_free(h, object); return 0; }
static int free_malloced(void) { void *volatile p = malloc(64); mw_heap_free(victim, p); return 0; }
static int plain_free(void) { free(object); return 0; }
static int plain_free_large(void) { free(large); return 0; }
static int plain_realloc(void) { void *volatile p = realloc(object, 5); return !p; }
static int free_stack(void) { char b[64]; mw_heap_free(victim, b); return 0; }
static int realloc_freed(void) { mw_heap_free(victim, object); return !mw_heap_realloc(victim, object, 1000); }
static int use_destroyed(void) { mw_heap_destroy(victim); return !mw_heap_alloc(victim, 10, 0); }
static int free_destroyed(void) { mw_heap_destroy(victim); mw_heap_free(victim, object); return 0; }
static int destroy_twice(void) { mw_heap_destroy(victim); mw_heap_destroy(victim); return 0; }
static int free_after_reset(void) { mw_heap_reset(victim); mw_heap_free(victim, object); return 0; }

static const struct misuse {
	int (*fn)(void);
	const char *what;
} misuses[] = {
	{ free_twice, "an object freed twice" },
	{ free_tiny_twice, "a tiny object freed twice" },
	{ free_inside, "a pointer into the middle of an object" },
	{ free_inside_tiny, "a pointer into the middle of a tiny object" },
	{ free_inside_large, "a pointer into the middle of a large object" },
	{ free_other, "an object of another heap" },
	{ free_malloced, "a block of malloc" },
	{ free_stack, "a pointer to the stack" },
	{ plain_free, "free() of an object" },
	{ plain_free_large, "free() of a large object" },
	{ plain_realloc, "realloc() of an object" },
	{ realloc_freed, "realloc of a freed object" },
	{ use_destroyed, "allocating from a destroyed heap" },
	{ free_destroyed, "freeing to a destroyed heap" },
	{ destroy_twice, "a heap destroyed twice" },
	{ free_after_reset, "an object of before the reset" },
};

static void test_errors(void)
{
	victim = mw_heap_create(NULL);
	object = mw_heap_alloc(victim, 64, 0);
	mw_heap_alloc(victim, 64, 0);
	mw_heap_alloc(victim, 5, MW_HEAP_NOSCAN);
	tiny = mw_heap_alloc(victim, 4, MW_HEAP_NOSCAN);
	large = mw_heap_alloc(victim, 100000, 0);
	fflush(stdout);
	for (size_t i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++) {
		int status = in_child(misuses[i].fn);

		ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "caught: %s", misuses[i].what);
	}
	mw_heap_destroy(victim);
}

/* --- with options --------------------------------------------------------------------------------- */

static int write_past(void) { object[64] = 1; mw_heap_free(victim, object); return 0; }
static int write_past_large(void) { large[100000] = 1; mw_heap_free(victim, large); return 0; }
static int write_past_tiny(void) { tiny[4] = 1; mw_heap_free(victim, tiny); return 0; }
static int write_past_destroyed(void) { object[64] = 1; mw_heap_destroy(victim); return 0; }
static int write_past_reset(void) { large[100001] = 1; mw_heap_reset(victim); return 0; }
static int write_past_exit(void) { object[64] = 1; exit(0); }
static int write_freed_exit(void) { mw_heap_free(victim, object); object[63] = 1; exit(0); }
static int write_freed(void)
{
	mw_heap_free(victim, object);
	object[5] = 1;
	for (int i = 0; i < 200; i++)
		mw_heap_alloc(victim, 64, 0);
	return 0;
}

static int write_past_page(void) { large[100000] = 1; large[100016] = 1; return 0; }
static int write_past_sampled(void) { object[64] = 1; return 0; }
static int write_freed_page(void) { mw_heap_free(victim, large); large[5000] = 1; return 0; }
static int read_destroyed(void) { mw_heap_destroy(victim); return large[5000]; }

static const struct {
	const char *options, *what;
	int (*fn)(void);
	int signal;
} hard_misuses[] = {
	{ "audit=1", "one byte past an object", write_past, SIGABRT },
	{ "hard=1,sample=0", "one byte past an object", write_past, SIGABRT },
	{ "audit=1", "one byte past a large object", write_past_large, SIGABRT },
	{ "audit=1", "one byte past what would be tiny", write_past_tiny, SIGABRT },
	{ "audit=1", "past an object that is destroyed", write_past_destroyed, SIGABRT },
	{ "audit=1", "past a large object that a reset frees", write_past_reset, SIGABRT },
	{ "audit=1", "past an object, at exit", write_past_exit, SIGABRT },
	{ "audit=1", "to a freed object, at exit", write_freed_exit, SIGABRT },
	{ "audit=1", "to a freed object, when it is handed out", write_freed, SIGABRT },
	{ "hard=1,sample=0", "to a freed object, when it is handed out", write_freed, SIGABRT },
	{ "guard=1", "past a large object", write_past_page, SIGSEGV },
	{ "guard=1,sample=1", "past a sampled object", write_past_sampled, SIGSEGV },
	{ "guard=1", "to a freed large object", write_freed_page, SIGSEGV },
	{ "guard=1", "in a destroyed heap", read_destroyed, SIGSEGV },
};
#define N_HARD (sizeof(hard_misuses) / sizeof(hard_misuses[0]))

static int give_malloced(void) { char *volatile p = malloc(200); mw_heap_free(victim, p); return 0; }

static const struct {
	const char *options, *what;
	int (*fn)(void);
	const char *words[3];
} texts[] = {
	{ "sample=1", "free() of a sampled object", plain_free, { "of private heap 1, victim", "class 6, 64 bytes", "allocated at 0x" } },
	{ "sample=1", "free() of a large one", plain_free_large, { "of private heap 1, victim", "block of 100000 bytes", "allocated at 0x" } },
	{ "sample=1", "an object of another heap", free_other, { "not an object", "of private heap 1, victim", "allocated at 0x" } },
	{ "sample=0", "a block of malloc", give_malloced, { "not an object", "class 15, 208 bytes", "" } },
	{ "sample=1", "a sampled block of malloc", give_malloced, { "not an object", "200 bytes, class 15 of 208", "allocated at 0x" } },
};
#define N_TEXTS (sizeof(texts) / sizeof(texts[0]))

/* How this program ends with @options, started as "heap @arg". */
static int with_options(const char *options, const char *arg)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setenv("MEMWHY_MALLOC", options, 1);
		execl("/proc/self/exe", "heap", arg, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void make_victim(void)
{
	struct mw_heap_options o = { .size = sizeof(o), .name = "victim" };

	victim = mw_heap_create(&o);
	object = mw_heap_alloc(victim, 64, 0);
	tiny = mw_heap_alloc(victim, 4, MW_HEAP_NOSCAN);
	large = mw_heap_alloc(victim, 100000, 0);
}

/* What is told says whose the object is, its class, and who allocated it. */
static void test_texts(void)
{
	for (size_t i = 0; i < N_TEXTS; i++) {
		char text[4096], arg[16];
		int out[2], saved = dup(2), good = 1;
		ssize_t n, got = 0;

		if (pipe(out))
			return;
		snprintf(arg, sizeof(arg), "%zu", N_HARD + i);
		dup2(out[1], 2);
		with_options(texts[i].options, arg);
		dup2(saved, 2);
		close(out[1]);
		while ((n = read(out[0], text + got, sizeof(text) - 1 - (size_t)got)) > 0)
			got += n;
		text[got] = 0;
		close(out[0]);
		close(saved);
		for (int k = 0; k < 3; k++)
			good &= strstr(text, texts[i].words[k]) != NULL;
		if (!ok(good, "told: %s", texts[i].what))
			printf("# %s\n", text);
	}
}

/* Where objects lie at random, two heaps of the same requests differ. */
static int is_random(void)
{
	struct mw_heap *a = mw_heap_create(NULL), *b = mw_heap_create(NULL);
	char *p = mw_heap_alloc(a, 64, 0), *q = mw_heap_alloc(b, 64, 0);
	int differ = 0;

	for (int i = 0; i < 20; i++)
		differ += (char *)mw_heap_alloc(a, 64, 0) - p != (char *)mw_heap_alloc(b, 64, 0) - q;
	mw_heap_destroy(a);
	mw_heap_destroy(b);
	return differ > 0;
}

/* All that is promised holds with them too. */
static int run_hardened(void)
{
	hardened = 1;
	test_aligned();
	test_realloc();
	test_absurd();
	test_classes();
	test_walk();
	test_stress(0);
	test_stress(MW_HEAP_SINGLE);
	if (!strcmp(getenv("MEMWHY_MALLOC"), "audit=1"))
		test_threads(); /* it forks, which takes long with thousands of guard pages */
	if (strstr(getenv("MEMWHY_MALLOC"), "hard"))
		ok(is_random(), "objects lie at random");
	return tap_failed != 0;
}

static void test_options(void)
{
	static const char *const options[] = { "audit=1", "guard=1,sample=4k", "random=1,zero=1", "hard=1", "hard=1,sample=64k" };
	int status;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		status = with_options(options[i], "hardened");
		ok(status == 0, "the same with %s", options[i]);
	}
	status = with_options("guard=1", "exhaust");
	ok(status == 0, "what is kept unreadable is given up when memory is short (status %d)", status);
	for (size_t i = 0; i < N_HARD; i++) {
		char arg[16];

		snprintf(arg, sizeof(arg), "%zu", i);
		status = with_options(hard_misuses[i].options, arg);
		ok(WIFSIGNALED(status) && WTERMSIG(status) == hard_misuses[i].signal, "caught: write %s (%s)", hard_misuses[i].what,
		   hard_misuses[i].options);
	}
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "hardened"))
		return freopen("/dev/null", "w", stdout) ? run_hardened() : 9;
	if (argc > 1 && !strcmp(argv[1], "exhaust"))
		return exhaust();
	if (argc > 1) {
		make_victim();
		return (size_t)atoi(argv[1]) < N_HARD ? hard_misuses[atoi(argv[1])].fn() : texts[(size_t)atoi(argv[1]) - N_HARD].fn();
	}
	for (unsigned flags = 0; flags < 4; flags++)
		test_alloc(flags);
	test_aligned();
	test_realloc();
	test_absurd();
	test_tiny();
	test_classes();
	test_make();
	test_destroy();
	test_walk();
	test_stress(0);
	test_stress(MW_HEAP_SINGLE);
	test_threads();
	fflush(stdout);
	int status = in_child(exhaust);

	ok(status == 0, "out of memory is an answer, and the heap goes on (status %d)", status);
	test_errors();
	test_options();
	test_texts();
	return tap_done();
}
