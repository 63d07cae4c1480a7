/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The built-in workloads of memwhy bench. Each does a fixed amount of work from a fixed seed, whatever the
 * allocator; scale multiplies it. The memory is checked as it comes and before it goes: aligned as C asks,
 * zero where calloc gave it, and still holding what was written there, so that blocks which overlap are
 * noticed. Everything is freed at the end. They run in a child of their own, under the allocator that is
 * measured; nothing is timed here.
 */
#include "cmd.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct work {
	double scale;
	const char *failed;	/* how memory was not as it should be, or NULL */
	bool counts;	/* add up what is held */
	uint64_t held, peak;	/* bytes; atomically */
};

struct workload {
	const char *name, *what;
	void (*run)(struct work *w);
};

/* n times the scale, at least once. */
static uint64_t times(const struct work *w, uint64_t n)
{
	double scaled = (double)n * w->scale;

	return scaled < 1 ? 1 : (uint64_t)scaled;
}

/* ------------------------------------------------------------------- blocks */

static uint64_t next(uint64_t *s)
{
	uint64_t x = *s += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	return (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb) >> 11;
}

/* Sizes as programs have them: many small ones, few large; log-uniform below max. */
static size_t log_size(uint64_t *s, unsigned bits)
{
	unsigned top = 4 + (unsigned)(next(s) % (bits - 3));

	return ((size_t)1 << top) + next(s) % ((size_t)1 << top);
}

struct block {
	unsigned char *p;
	size_t size;
	uint64_t tag;
};

static void check(struct work *w, bool good, const char *what)
{
	if (!good)
		__atomic_store_n(&w->failed, what, __ATOMIC_RELAXED);
}

static const char changed[] = "a block does not hold what was written to it", lost[] = "realloc lost what a block held",
		  dirty[] = "calloc gave memory that is not zero";

/* Nothing sensible can follow. */
static void give_up(const char *what)
{
	dprintf(STDERR_FILENO, "memwhy: %s\n", what);
	_exit(EXIT_NO);
}

static size_t middle_of(const struct block *b)
{
	return b->size < 3 * sizeof(b->tag) ? 0 : (b->size - sizeof(b->tag)) / 2;
}

/* First, last and a middle word hold the tag; the compiler may not take malloc and free for nothing. */
static void seal(struct block *b)
{
	memcpy(b->p, &b->tag, sizeof(b->tag));
	memcpy(b->p + middle_of(b), &b->tag, sizeof(b->tag));
	memcpy(b->p + b->size - sizeof(b->tag), &b->tag, sizeof(b->tag));
	__asm__ volatile("" : : "r"(b->p) : "memory");
}

static bool is_sealed(const struct block *b)
{
	uint64_t first, middle, last;

	memcpy(&first, b->p, sizeof(first));
	memcpy(&middle, b->p + middle_of(b), sizeof(middle));
	memcpy(&last, b->p + b->size - sizeof(last), sizeof(last));
	return first == b->tag && middle == b->tag && last == b->tag;
}

static bool is_zero(const unsigned char *p, size_t size)
{
	return !*p && !memcmp(p, p + 1, size - 1);
}

/* Bytes are taken, or given (negative). In a run of its own: measured ones do not count. */
static void count(struct work *w, int64_t bytes)
{
	uint64_t held = __atomic_add_fetch(&w->held, (uint64_t)bytes, __ATOMIC_RELAXED), peak = __atomic_load_n(&w->peak, __ATOMIC_RELAXED);

	while (held > peak && !__atomic_compare_exchange_n(&w->peak, &peak, held, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static void take_any(struct work *w, struct block *b, size_t size, uint64_t tag, bool zeroed)
{
	size = size < 16 ? 16 : size;
	*b = (struct block){ zeroed ? calloc(1, size) : malloc(size), size, tag };
	if (!b->p)
		give_up("an allocation failed");
	if ((uintptr_t)b->p % 16)
		give_up("a block is not aligned to 16 bytes");
	if (zeroed)
		check(w, is_zero(b->p, size), dirty);
	if (w->counts)
		count(w, (int64_t)b->size);
	seal(b);
}

static void take(struct work *w, struct block *b, size_t size, uint64_t tag)
{
	take_any(w, b, size, tag, false);
}

static void give(struct work *w, struct block *b)
{
	if (!b->p)
		return;
	check(w, is_sealed(b), changed);
	if (w->counts)
		count(w, -(int64_t)b->size);
	free(b->p);
	b->p = NULL;
}

static struct block *blocks(struct work *w, size_t n)
{
	struct block *b = calloc(n, sizeof(*b));

	if (!b)
		give_up("an allocation failed");
	check(w, is_zero((unsigned char *)b, n * sizeof(*b)), dirty);
	return b;
}

static void give_all(struct work *w, struct block *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		give(w, &b[i]);
	free(b);
}

/* ---------------------------------------------------------------- one thread */

/* One small block after the other. */
static void run_small(struct work *w)
{
	for (uint64_t i = 0; i < times(w, 10000000); i++) {
		struct block b;

		take(w, &b, 16 + i % 8 * 16, i);
		give(w, &b);
	}
}

/* A thousand taken, then given in the same order. */
static void run_batch(struct work *w)
{
	struct block *b = blocks(w, 1000);

	for (uint64_t j = 0; j < times(w, 10000); j++) {
		for (uint64_t i = 0; i < 1000; i++)
			take(w, &b[i], 64, i ^ j);
		for (uint64_t i = 0; i < 1000; i++)
			give(w, &b[i]);
	}
	give_all(w, b, 1000);
}

/* Every eighth comes from calloc. */
static void churn(struct work *w, struct block *b, size_t n, uint64_t rounds, unsigned bits, uint64_t *s)
{
	for (uint64_t i = 0; i < rounds; i++) {
		struct block *k = &b[next(s) % n];

		give(w, k);
		take_any(w, k, log_size(s, bits), i, i % 8 == 0);
	}
}

/* Random sizes up to 2 KiB, replaced in random order among 50,000. */
static void run_random(struct work *w)
{
	struct block *b = blocks(w, 50000);
	uint64_t s = 1;

	churn(w, b, 50000, times(w, 600000), 10, &s);
	give_all(w, b, 50000);
}

/* A heap that grows, of which nine tenths go again, in random places; then other sizes. */
static void run_shrink(struct work *w)
{
	const size_t n = 120000;
	uint64_t s = 2;

	for (uint64_t j = 0; j < times(w, 3); j++) {
		struct block *b = blocks(w, n);

		for (size_t i = 0; i < n; i++)
			take(w, &b[i], 100 + next(&s) % 300 + j * 64, i);
		for (size_t i = 0; i < n; i++)
			if (next(&s) % 10)
				give(w, &b[i]);
		for (size_t i = 0; i < n; i += 2)
			if (!b[i].p)
				take(w, &b[i], 600 + next(&s) % 600, i);
		give_all(w, b, n);
	}
}

/* Blocks of 64 KiB to 2 MiB, a few at a time, of which every page is written. */
static void run_large(struct work *w)
{
	struct block *b = blocks(w, 16);
	uint64_t s = 3;

	for (uint64_t i = 0; i < times(w, 1200); i++) {
		struct block *k = &b[next(&s) % 16];

		give(w, k);
		take(w, k, 65536 + next(&s) % 2000000, i);
		for (size_t at = 4096; at + 4096 < k->size; at += 4096)
			k->p[at] = (unsigned char)i;
		seal(k);
	}
	give_all(w, b, 16);
}

/* Buffers that grow by half, up to 4 MiB. */
static void run_realloc(struct work *w)
{
	for (uint64_t i = 0; i < times(w, 120); i++) {
		struct block b;

		take(w, &b, 64, i);
		while (b.size < 4u << 20) {
			size_t size = b.size + b.size / 2;
			struct block old = b;

			if (!(old.p = realloc(b.p, size)))
				give_up("realloc failed");
			check(w, is_sealed(&old), lost);
			memset(old.p + b.size, (int)i, size - b.size);
			if (w->counts)
				count(w, (int64_t)(size - b.size));
			b.p = old.p;
			b.size = size;
			seal(&b);
		}
		give(w, &b);
	}
}

/* ------------------------------------------------------------------- threads */

#define QUEUE 4096

/* A ring that one thread fills and another empties. */
struct ring {
	struct work *w;
	struct block slots[QUEUE];
	size_t head, tail;	/* of those given, of those taken */
	uint64_t n;
};

static void *consume(void *arg)
{
	struct ring *r = arg;

	for (uint64_t i = 0; i < r->n; i++) {
		while (__atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) == r->head)
			sched_yield();
		give(r->w, &r->slots[r->head % QUEUE]);
		__atomic_store_n(&r->head, r->head + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* One thread allocates, the other frees. */
static void run_handover(struct work *w)
{
	struct ring *r = calloc(1, sizeof(*r));
	uint64_t s = 4;
	pthread_t t;

	if (!r)
		give_up("an allocation failed");
	r->w = w;
	r->n = times(w, 1500000);
	if (pthread_create(&t, NULL, consume, r))
		give_up("a thread cannot be made");
	for (uint64_t i = 0; i < r->n; i++) {
		while (r->tail - __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) == QUEUE)
			sched_yield();
		take(w, &r->slots[r->tail % QUEUE], 16 + next(&s) % 240, i);
		__atomic_store_n(&r->tail, r->tail + 1, __ATOMIC_RELEASE);
	}
	pthread_join(t, NULL);
	free(r);
}

struct crew {
	struct work *w;
	struct block *b;
	size_t n;
	uint64_t rounds, seed;
};

static void *serve(void *arg)
{
	struct crew *c = arg;

	churn(c->w, c->b, c->n, c->rounds, 8, &c->seed);
	return NULL;
}

/* Generations of threads, each taking over the blocks of one before it: a server's sessions (after Larson). */
static void run_server(struct work *w)
{
	struct crew crew[4];
	pthread_t t[4];

	for (unsigned i = 0; i < 4; i++)
		crew[i] = (struct crew){ w, blocks(w, 2000), 2000, 25000, 5 + i };
	for (uint64_t j = 0; j < times(w, 24); j++) {
		for (unsigned i = 0; i < 4; i++)
			if (pthread_create(&t[i], NULL, serve, &crew[(i + j) % 4]))
				give_up("a thread cannot be made");
		for (unsigned i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
	}
	for (unsigned i = 0; i < 4; i++)
		give_all(w, crew[i].b, crew[i].n);
}

static void *live_short(void *arg)
{
	struct work *w = arg;
	struct block b[50];

	for (uint64_t i = 0; i < 50; i++)
		take(w, &b[i], 16 + i * 40, i);
	for (uint64_t i = 0; i < 50; i++)
		give(w, &b[i]);
	return NULL;
}

/* Threads that come, allocate a little, and go. */
static void run_threads(struct work *w)
{
	for (uint64_t i = 0; i < times(w, 3000); i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, live_short, w))
			give_up("a thread cannot be made");
		pthread_join(t, NULL);
	}
}

static const struct workload workloads[] = {
	{ "small", "one small block after the other", run_small },
	{ "batch", "a thousand blocks taken, then given", run_batch },
	{ "random", "random sizes, replaced in random order", run_random },
	{ "shrink", "a heap that grows, and of which nine tenths go", run_shrink },
	{ "large", "blocks of 64 KiB to 2 MiB", run_large },
	{ "realloc", "buffers that grow by half", run_realloc },
	{ "handover", "one thread allocates, another frees", run_handover },
	{ "server", "generations of threads that take over each other's blocks", run_server },
	{ "threads", "threads that come and go", run_threads },
	{ NULL, NULL, NULL },
};

/* ------------------------------------------------------------------ measuring */

/* A member of /proc/self/status in bytes, read without allocating; MW_UNKNOWN. */
static uint64_t status_bytes(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : MW_UNKNOWN;
}

static bool read_status(char *text, size_t size)
{
	FILE *f = fopen("/proc/self/status", "re");
	size_t n = f ? fread(text, 1, size - 1, f) : 0;

	text[n] = '\0';
	if (f)
		fclose(f);
	return n > 0;
}

const char *workload_name(size_t i, const char **what)
{
	*what = i < COUNT(workloads) ? workloads[i].what : NULL;
	return *what ? workloads[i].name : NULL;
}

int serve_workload(const char *name, double scale, bool only_count)
{
	struct work w = { .scale = scale, .counts = only_count };
	struct timespec a, b;
	char text[4096];

	for (const struct workload *k = workloads; k->name; k++) {
		if (strcmp(k->name, name))
			continue;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
		k->run(&w);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
		if (w.failed)
			return fail_text(EXIT_NO, NULL, "%s", w.failed);
		if (!read_status(text, sizeof(text)))
			return EXIT_NO;
		if (only_count) {
			printf("%llu\n", (unsigned long long)w.peak);
			return finish_output();
		}
		printf("%lld %llu %llu %llu\n", (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec,
		       (unsigned long long)status_bytes(text, "VmHWM:"), (unsigned long long)status_bytes(text, "VmRSS:"),
		       (unsigned long long)status_bytes(text, "RssFile:"));
		return finish_output();
	}
	return EXIT_USAGE;
}
