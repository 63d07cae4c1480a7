/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * info - mallinfo2, malloc_info, malloc_stats and malloc_trim against a program's own books of what it holds:
 * one thread, eight at rest, two that move, and again with every block sampled or guarded.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/alloc/abi.h"
#include "tap.h"

#define BLOCKS 3000
#define THREADS 8
#define HUGE_SIZE (40u << 20)

struct books {
	char *p[BLOCKS];
	size_t small, single; /* usable bytes of blocks up to 32 KiB, and above; none is huge */
	uint64_t seed;
};

static struct books own, theirs[THREADS];
static pthread_barrier_t barrier;

static void book(struct books *b, const char *p, int sign)
{
	size_t n = malloc_usable_size((char *)p);

	*(n <= MW_MAX_SMALL ? &b->small : &b->single) += sign > 0 ? n : -n;
}

static void take(struct books *b, int i)
{
	unsigned long r = tap_random((unsigned long *)&b->seed);

	b->p[i] = malloc(r % 100 == 0 ? (r >> 8) % 1000000 : (r >> 8) % (r % 3 ? 300 : 9000));
	book(b, b->p[i], 1);
}

static void give(struct books *b, int i)
{
	if (b->p[i])
		book(b, b->p[i], -1);
	free(b->p[i]);
	b->p[i] = NULL;
}

static void churn(struct books *b)
{
	for (int i = 0; i < BLOCKS; i++)
		take(b, i);
	for (int i = 0; i < BLOCKS; i += 3)
		give(b, i);
	for (int i = 0; i < BLOCKS; i += 6)
		take(b, i);
}

static void give_all(struct books *b)
{
	for (int i = 0; i < BLOCKS; i++)
		give(b, i);
}

static size_t held(const struct books *b)
{
	return b->small + b->single;
}

static int adds_up(const struct mallinfo2 *m)
{
	return m->uordblks + m->fordblks == m->arena && m->fsmblks <= m->fordblks && m->keepcost <= m->fordblks;
}

static void test_one(const char *with)
{
	struct mallinfo2 before = mallinfo2(), m, after;
	struct mallinfo old;
	void *huge[3];

	churn(&own);
	m = mallinfo2();
	old = mallinfo();
	ok(m.uordblks - before.uordblks == held(&own), "%suordblks: %zu bytes in blocks, booked %zu", with, m.uordblks - before.uordblks,
	   held(&own));
	ok(adds_up(&m) && adds_up(&before), "%sthe arena is what is used and what is free", with);
	ok((size_t)old.uordblks == m.uordblks && (size_t)old.fordblks == m.fordblks && (size_t)old.ordblks == m.ordblks,
	   "%smallinfo says the same", with);
	for (int i = 0; i < 3; i++)
		huge[i] = malloc(HUGE_SIZE + (size_t)i * 100000);
	after = mallinfo2();
	int guarded = strstr(with, "guard") != NULL; /* then whole pages of 8 KiB, and one more, belong to each */
	size_t bytes = 0;

	for (int i = 0; i < 3; i++)
		bytes += guarded ? (malloc_usable_size(huge[i]) + 8191) / 8192 * 8192 + 8192 : malloc_usable_size(huge[i]);
	ok(after.hblks == m.hblks + 3 && after.hblkhd == m.hblkhd + bytes && after.uordblks == m.uordblks,
	   "%shblks, hblkhd: the mappings of three huge blocks, %zu bytes", with, bytes);
	for (int i = 0; i < 3; i++)
		free(huge[i]);
	after = mallinfo2();
	ok(after.hblks == m.hblks && after.hblkhd == m.hblkhd, "%sand none when they are freed", with);
	give_all(&own);
	after = mallinfo2();
	ok(after.uordblks == before.uordblks, "%severything is freed: as before (%zu, %zu)", with, before.uordblks, after.uordblks);
}

/* 500 objects that are freed are as many free blocks more, and that many bytes. */
static void test_free_objects(void)
{
	static void *p[1000];
	struct mallinfo2 before, after;
	size_t freed = 0;

	for (int i = 0; i < 1000; i++)
		p[i] = malloc(600);
	before = mallinfo2();
	for (int i = 0; i < 1000; i += 2) {
		freed += malloc_usable_size(p[i]);
		free(p[i]);
	}
	after = mallinfo2();
	ok(after.ordblks - before.ordblks == 500 && after.fsmblks - before.fsmblks == freed && after.fordblks - before.fordblks == freed,
	   "ordblks, fsmblks: 500 free objects of %zu bytes (%zu, %zu)", freed, after.ordblks - before.ordblks,
	   after.fsmblks - before.fsmblks);
	for (int i = 1; i < 1000; i += 2)
		free(p[i]);
}

static void *rest(void *arg)
{
	pthread_barrier_wait(&barrier);
	churn(arg);
	pthread_barrier_wait(&barrier); /* all hold what they hold */
	pthread_barrier_wait(&barrier);
	give_all(arg);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void test_threads(const char *with)
{
	struct mallinfo2 before, m, after;
	pthread_t t[THREADS];
	size_t sum = 0;

	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (uint64_t i = 0; i < THREADS; i++) {
		theirs[i].seed = 1000 + i;
		pthread_create(&t[i], NULL, rest, &theirs[i]);
	}
	before = mallinfo2();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	m = mallinfo2();
	for (int i = 0; i < THREADS; i++)
		sum += held(&theirs[i]);
	ok(m.uordblks - before.uordblks == sum && adds_up(&m), "%seight threads at rest: %zu bytes in blocks, booked %zu", with,
	   m.uordblks - before.uordblks, sum);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	after = mallinfo2();
	ok(after.uordblks == before.uordblks && adds_up(&after), "%sthey have freed all, and hold their caches", with);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static int looking;

/* Objects of which a span has one: with each that goes its span does. */
static void *come_and_go(void *arg)
{
	void *p[64];

	while (__atomic_load_n(&looking, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 64; i++)
			p[i] = malloc(MW_MAX_SMALL);
		for (int i = 0; i < 64; i++)
			free(p[i]);
	}
	return arg;
}

/* What is read while others allocate fits together roughly, but nothing is less than nothing. */
static int is_below_zero(void)
{
	pthread_t t[2];
	size_t bad = 0;

	looking = 1;
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, come_and_go, NULL);
	for (int i = 0; i < 60000; i++) {
		struct mallinfo2 m = mallinfo2();

		bad += m.fsmblks > m.arena || m.fordblks > m.arena || m.ordblks > m.arena;
	}
	__atomic_store_n(&looking, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	if (bad)
		printf("# below zero: %zu times\n", bad);
	return bad > 0;
}

static void test_trim(void)
{
	const struct mw_region *r = dlsym(RTLD_DEFAULT, "mw_alloc_region");
	struct mallinfo2 m;
	uint64_t before;
	int gave;

	churn(&own);
	give_all(&own);
	free(malloc(300000)); /* the thread keeps the run */
	m = mallinfo2();
	before = r->heap.scavenged_bytes;
	gave = malloc_trim(0);
	ok(m.keepcost > 0 && gave == 1 && r->heap.scavenged_bytes - before >= m.keepcost, "keepcost: %zu, malloc_trim gave back %lu",
	   m.keepcost, (unsigned long)(r->heap.scavenged_bytes - before));
	m = mallinfo2();
	ok(m.keepcost == 0 && malloc_trim(0) == 0, "then there is nothing to trim");
}

/* --- text ----------------------------------------------------------------------------------------- */

/* The number behind @key="..." in the element that begins at @p. */
static uint64_t attribute(const char *p, const char *key)
{
	const char *end = strchr(p, '>'), *at = strstr(p, key);

	return at && at < end ? strtoull(at + strlen(key) + 2, NULL, 10) : UINT64_MAX;
}

/* Live objects by the bytes of their class, of a whole document. */
static void live_by_size(uint64_t *live)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	malloc_info(0, f);
	fclose(f);
	for (const char *p = text; (p = strstr(p, "<size class")); p++)
		live[attribute(p, "bytes") / 8] = attribute(p, "live");
	free(text);
}

static void test_info(void)
{
	static uint64_t before[MW_MAX_SMALL / 8 + 1], after[MW_MAX_SMALL / 8 + 1], want[MW_MAX_SMALL / 8 + 1];
	int bad = 0;

	live_by_size(before);
	churn(&own);
	for (int i = 0; i < BLOCKS; i++)
		if (own.p[i] && malloc_usable_size(own.p[i]) <= MW_MAX_SMALL)
			want[malloc_usable_size(own.p[i]) / 8]++;
	live_by_size(after);
	for (unsigned i = 0; i <= MW_MAX_SMALL / 8; i++) {
		if (after[i] - before[i] == want[i])
			continue;
		printf("# class of %u bytes: %lu more, booked %lu\n", i * 8, (unsigned long)(after[i] - before[i]), (unsigned long)want[i]);
		bad++;
	}
	ok(!bad, "malloc_info: live objects of each class as booked");
	give_all(&own);
}

static void test_stats(void)
{
	unsigned long arenas = 0, live = 0, blocks = 0;
	char text[2048];
	ssize_t n;
	int to[2], saved = dup(2);
	struct mallinfo2 m;

	if (pipe(to))
		return;
	churn(&own);
	dup2(to[1], 2);
	malloc_stats();
	dup2(saved, 2);
	m = mallinfo2();
	n = read(to[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	ok(sscanf(text, "memwhy-malloc: arenas %lu bytes, live %lu bytes in %lu blocks", &arenas, &live, &blocks) == 3 && arenas == m.arena &&
		   live == m.uordblks && blocks >= BLOCKS / 2, "malloc_stats tells the same on standard error");
	give_all(&own);
}

/* What may be written is there to stay: realloc to it moves nothing. */
static int moves(void)
{
	int n_moved = 0;

	for (size_t n = 1; n < 60000; n += 1 + n / 17) {
		char *p = malloc(n), *q = realloc(p, malloc_usable_size(p));

		n_moved += q != p;
		free(q);
	}
	return n_moved;
}

/* --- again, with options --------------------------------------------------------------------------- */

static int run_again(const char *options, const char *what)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(STDERR_FILENO, STDOUT_FILENO); /* its checks are one of ours */
		setenv("MEMWHY_MALLOC", options, 1);
		execl("/proc/self/exe", "info", options, what, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return status;
}

int main(int argc, char **argv)
{
	static const char *const options[] = { "sample=0", "sample=100", "guard=1,sample=4k", "random=1", "nocache=1" };
	static const char *const all[] = { "", "sample=1", "zero=1", "random=1", "audit=1", "hard=1" };
	char with[64] = "";

	if (argc > 2)
		return strcmp(argv[2], "moves") ? is_below_zero() : moves() != 0;

	own.seed = 42;
	if (argc > 1)
		snprintf(with, sizeof(with), "%s: ", argv[1]);
	/* the C library and the loader have allocated what they need for these */
	printf("# %s\n", with);
	fflush(stdout);
	churn(&own);
	give_all(&own);
	mallinfo2();
	mallinfo();
	test_one(with);
	test_threads(with);
	if (!strcmp(with, "sample=0: "))
		test_free_objects(); /* a sampled block is no object of a span */
	if (argc > 1)
		return tap_failed != 0;
	test_info();
	test_stats();
	test_trim();
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		ok(run_again(options[i], NULL) == 0, "the same with %s", options[i]);
	ok(run_again("nocache=1", "look") == 0, "no figure is below zero while others allocate");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ok(run_again(all[i], "moves") == 0, "realloc to malloc_usable_size moves nothing (%s)", all[i]);
	return tap_done();
}
