/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * stress [SECONDS [SEED [THREADS]]] - random operations against a shadow model.
 *
 * Each thread owns slots; the model knows the size of each and a byte pattern that
 * fills it, derived from the slot. So a block that is handed out twice, moved without
 * its bytes, not zeroed, or cut short is seen. Blocks pass between threads through a
 * shared exchange, so frees come from other threads. The program runs itself once for
 * each option set; invariants are checked at the end and now and then.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define N_SLOTS 3000
#define N_EXCHANGE 256

unsigned mw_alloc_check(void) __attribute__((weak));

struct block {
	unsigned char *p;
	size_t size;
	unsigned char tag;
};

static struct block exchange[N_EXCHANGE];
static pthread_mutex_t exchange_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long seed;
static double deadline;
static int failures;
static uint64_t operations;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void fail(const char *what, const struct block *b)
{
	if (__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED) < 5)
		printf("# %s: %p, %zu bytes\n", what, (void *)b->p, b->size);
}

/* Large blocks are filled and checked at both ends only. */
static size_t step_of(size_t n)
{
	return n > 8192 ? n - 64 : n;
}

static void fill(struct block *b)
{
	size_t part = b->size > 8192 ? 64 : b->size;

	memset(b->p, b->tag, part);
	memset(b->p + step_of(b->size) * (part < b->size), b->tag, part);
}

static int holds(const struct block *b, size_t n)
{
	size_t head = n > 64 && b->size > 8192 ? 64 : n < b->size ? n : b->size;

	for (size_t i = 0; i < head; i++)
		if (b->p[i] != b->tag)
			return 0;
	if (b->size > 8192 && n >= b->size)
		for (size_t i = b->size - 64; i < b->size; i++)
			if (b->p[i] != b->tag)
				return 0;
	return 1;
}

static size_t random_size(unsigned long *r)
{
	unsigned long kind = tap_random(r) % 1000;

	if (kind < 700)
		return tap_random(r) % 300;
	if (kind < 940)
		return tap_random(r) % 5000;
	if (kind < 985)
		return tap_random(r) % 60000;
	if (kind < 998)
		return tap_random(r) % 1200000;
	return tap_random(r) % 6000000;
}

static void put_in(struct block *b, unsigned long *r, void *p, size_t n)
{
	b->p = p;
	b->size = n;
	b->tag = (unsigned char)tap_random(r);
	if (!p) {
		fail("no memory", b);
		b->size = 0;
		return;
	}
	if (malloc_usable_size(p) < n)
		fail("too short", b);
	fill(b);
}

static void do_alloc(struct block *b, unsigned long *r)
{
	size_t n = random_size(r), align = 1UL << tap_random(r) % 14;
	unsigned char *p;

	switch (tap_random(r) % 8) {
	case 0:
		p = calloc(1, n);
		for (size_t i = 0; p && i < n; i += n > 8192 ? 61 : 1)
			if (p[i] != 0) {
				fail("not zero", b);
				break;
			}
		break;
	case 1:
		p = memalign(align, n);
		if ((uintptr_t)p & (align - 1))
			fail("not aligned", b);
		break;
	default:
		p = malloc(n);
	}
	if ((uintptr_t)p & 15)
		fail("not aligned to 16", b);
	put_in(b, r, p, n);
}

static void do_free(struct block *b)
{
	if (!holds(b, b->size))
		fail("bytes changed", b);
	free(b->p);
	b->p = NULL;
	b->size = 0;
}

static void resize(struct block *b, unsigned long *r, size_t n)
{
	size_t common = n < b->size ? n < 64 ? n : 64 : b->size; /* grown: its end is looked at too */
	struct block old = *b;

	old.p = realloc(b->p, n);
	old.size = b->size;
	if (!old.p) {
		fail("no memory", b);
		return;
	}
	if (!holds(&old, common))
		fail("realloc lost bytes", &old);
	put_in(b, r, old.p, n);
}

static void do_realloc(struct block *b, unsigned long *r)
{
	resize(b, r, random_size(r) + 1);
}

/* In steps of a sixteenth or of a half, now and then until it has a mapping of its own. */
static void do_grow(struct block *b, unsigned long *r)
{
	size_t end = tap_random(r) % 50 ? 100000 : 60000000, part = tap_random(r) % 2 ? 16 : 2;

	while (b->size < end)
		resize(b, r, b->size + b->size / part + 1);
	if (end > 1000000)
		do_free(b);
}

static void do_exchange(struct block *b, unsigned long *r)
{
	struct block *e = &exchange[tap_random(r) % N_EXCHANGE], t;

	pthread_mutex_lock(&exchange_lock);
	t = *e;
	*e = *b;
	*b = t;
	pthread_mutex_unlock(&exchange_lock);
}

static void *worker(void *arg)
{
	unsigned long r = seed + (unsigned long)(uintptr_t)arg * 1000003;
	struct block *slots = calloc(N_SLOTS, sizeof(*slots));
	uint64_t n = 0;

	while (now() < deadline) {
		for (int i = 0; i < 500; i++, n++) {
			struct block *b = &slots[tap_random(&r) % N_SLOTS];
			unsigned what = tap_random(&r) % 16;

			if (what == 0)
				do_exchange(b, &r);
			else if (!b->p)
				do_alloc(b, &r);
			else if (what < 4 && tap_random(&r) % 64 == 0)
				do_grow(b, &r);
			else if (what < 4)
				do_realloc(b, &r);
			else
				do_free(b);
		}
		if (mw_alloc_check && tap_random(&r) % 64 == 0 && mw_alloc_check())
			fail("invariants", slots);
	}
	for (int i = 0; i < N_SLOTS; i++)
		if (slots[i].p)
			do_free(&slots[i]);
	free(slots);
	__atomic_fetch_add(&operations, n, __ATOMIC_RELAXED);
	return NULL;
}

static int run(double seconds, unsigned threads)
{
	pthread_t t[64];

	deadline = now() + seconds;
	for (unsigned i = 0; i < threads; i++)
		pthread_create(&t[i], NULL, worker, (void *)(uintptr_t)(i + 1));
	for (unsigned i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < N_EXCHANGE; i++)
		if (exchange[i].p)
			do_free(&exchange[i]);
	malloc_trim(0);
	if (mw_alloc_check && mw_alloc_check())
		fail("invariants at the end", exchange);
	printf("# %lu operations\n", (unsigned long)operations);
	return failures != 0;
}

static int run_with(const char *options, double seconds, unsigned threads)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		char s[32], sd[32], n[32];

		snprintf(s, sizeof(s), "%f", seconds);
		snprintf(sd, sizeof(sd), "%lu", seed);
		snprintf(n, sizeof(n), "%u", threads);
		setenv("MEMWHY_MALLOC", options, 1);
		setenv("MW_STRESS_CHILD", "1", 1);
		execl("/proc/self/exe", "stress", s, sd, n, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return status == 0;
}

int main(int argc, char **argv)
{
	static const char *const sets[] = { "", "sample=20000", "guard=1,sample=30000", "audit=1",
		"hard=1", "random=1", "purge=free,retain=0", "retain=0,decay=200", "nocache=1", "sample=0" };
	double seconds = argc > 1 ? atof(argv[1]) : 10;
	unsigned n_sets = sizeof(sets) / sizeof(sets[0]);
	unsigned threads = argc > 3 ? (unsigned)atoi(argv[3]) : 4;

	seed = argc > 2 ? strtoul(argv[2], NULL, 0) : (unsigned long)time(NULL);
	threads = threads > 64 ? 64 : threads;
	if (getenv("MW_STRESS_CHILD"))
		return run(seconds, threads);
	for (unsigned i = 0; i < n_sets; i++)
		ok(run_with(sets[i], seconds / n_sets, threads),
		   "%u threads, options \"%s\", seed %lu", threads, sets[i], seed);
	return tap_done();
}
