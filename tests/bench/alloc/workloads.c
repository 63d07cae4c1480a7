/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * workloads NAME - fixed amounts of allocation, for comparing allocators from outside.
 *
 * Each does the same work whatever the allocator, from a fixed seed, and checks the
 * memory it gets: alignment, and that what was written is still there (which catches
 * overlap). The exit status is 1 if a check failed. Nothing is timed here.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int bad;

static uint64_t rnd(uint64_t *s)
{
	uint64_t x = *s;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *s = x;
}

static void *take(size_t n, uint64_t tag)
{
	uint64_t *p = malloc(n < 8 ? 8 : n);

	if (!p || (uintptr_t)p & 7)
		bad = 1;
	*p = tag;
	return p;
}

static void give(void *p, uint64_t tag)
{
	bad |= *(uint64_t *)p != tag;
	free(p);
}

static void same_slot(void)
{
	for (int i = 0; i < 40000000; i++)
		give(take(16, (uint64_t)i), (uint64_t)i);
}

static void stack(void)
{
	static void *v[4000];

	for (int j = 0; j < 4000; j++) {
		for (uint64_t i = 0; i < 4000; i++)
			v[i] = take(16, i);
		for (uint64_t i = 4000; i-- > 0;)
			give(v[i], i);
	}
}

static void batch(void)
{
	static void *v[1000];

	for (int j = 0; j < 30000; j++) {
		for (uint64_t i = 0; i < 1000; i++)
			v[i] = take(64, i);
		for (uint64_t i = 0; i < 1000; i++)
			give(v[i], i);
	}
}

static void random_slots(int slots, int ops, size_t (*size)(uint64_t *))
{
	void **v = calloc((size_t)slots, sizeof(*v));
	uint64_t s = 88172645463325252ULL;

	for (int i = 0; i < ops; i++) {
		uint64_t k = rnd(&s) % (uint64_t)slots;

		if (v[k])
			give(v[k], k);
		v[k] = take(size(&s), k);
	}
	for (int k = 0; k < slots; k++)
		if (v[k])
			give(v[k], (uint64_t)k);
	free(v);
}

static size_t flat_size(uint64_t *s) { return 16 + rnd(s) % 4080; }
static size_t log_size(uint64_t *s) { return (8 + rnd(s) % 8) << (rnd(s) % 8); }
static size_t large_size(uint64_t *s) { return 32768 + rnd(s) % 500000; }
static size_t huge_size(uint64_t *s) { return (1 << 20) + rnd(s) % (8 << 20); }

static void random_flat(void) { random_slots(1000, 10000000, flat_size); }
static void random_log(void) { random_slots(100000, 8000000, log_size); }
static void random_large(void) { random_slots(50, 1000000, large_size); }
static void random_huge(void) { random_slots(10, 200000, huge_size); }

static void realloc_growth(void)
{
	for (int j = 0; j < 30000; j++) {
		char *p = NULL;

		for (size_t n = 64; n <= 64 * 1024; n += 64) {
			p = realloc(p, n);
			p[n - 1] = (char)j;
			bad |= n > 64 && p[n - 65] != (char)j;
		}
		free(p);
	}
}

static void realloc_huge(void)
{
	for (int j = 0; j < 100; j++) {
		char *p = NULL;

		for (size_t n = 1 << 20; n <= 128 << 20; n += 1 << 20) {
			p = realloc(p, n);
			memset(p + n - (1 << 20), j, 4096);
		}
		free(p);
	}
}

static void zeroed(void)
{
	for (int i = 0; i < 10000000; i++) {
		size_t n = 64 + (size_t)(i % 7) * 100;
		char *p = calloc(1, n);

		bad |= p[n - 1];
		p[n - 1] = 1;
		free(p);
	}
	for (int i = 0; i < 2000; i++) {
		char *p = calloc(1, 300000);

		bad |= p[299999];
		p[299999] = 1;
		free(p);
	}
}

static void aligned(void)
{
	for (int i = 0; i < 10000000; i++) {
		char *p = memalign(64, 100);

		bad |= (uintptr_t)p & 63;
		free(p);
	}
}

/* Touch many small blocks once: faults dominate. */
static void first_touch(void)
{
	for (int j = 0; j < 4; j++) {
		void **v = malloc(1500000 * sizeof(*v));

		for (uint64_t i = 0; i < 1500000; i++)
			v[i] = take(64, i);
		for (uint64_t i = 0; i < 1500000; i++)
			give(v[i], i);
		free(v);
	}
}

/* Fill, free nine of ten at random, go on with another size: what stays resident? */
static void fragment(void)
{
	enum { N = 400000 };
	void **v = malloc(N * sizeof(*v));
	uint64_t s = 12345;

	for (int round = 0; round < 4; round++) {
		for (uint64_t i = 0; i < N; i++)
			if (round == 0 || !v[i])
				v[i] = take(40 + (size_t)round * 90 + rnd(&s) % 60, i);
		for (uint64_t i = 0; i < N; i++)
			if (rnd(&s) % 10) {
				give(v[i], i);
				v[i] = NULL;
			}
	}
	for (uint64_t i = 0; i < N; i++)
		if (v[i])
			give(v[i], i);
	free(v);
}

/* --- threads -------------------------------------------------------------------------- */

#define RING 4096
static void *ring[RING];

static void *consume(void *arg)
{
	for (uint64_t i = 0; i < (uint64_t)(uintptr_t)arg; i++) {
		void *p;

		while (!(p = __atomic_exchange_n(&ring[i % RING], NULL, __ATOMIC_ACQUIRE)))
			sched_yield();
		give(p, i);
	}
	return NULL;
}

static void producer_consumer(void)
{
	const uint64_t n = 4000000;
	pthread_t t;

	pthread_create(&t, NULL, consume, (void *)(uintptr_t)n);
	for (uint64_t i = 0; i < n; i++) {
		void *p = take(16 + i % 300, i);

		while (__atomic_load_n(&ring[i % RING], __ATOMIC_RELAXED))
			sched_yield();
		__atomic_store_n(&ring[i % RING], p, __ATOMIC_RELEASE);
	}
	pthread_join(t, NULL);
}

/* Larson and Krishnan's server: threads inherit the blocks of those before them. */
#define LARSON_SLOTS 2000
static void *larson_slots[4][LARSON_SLOTS];

static void *larson_thread(void *arg)
{
	void **v = arg;
	uint64_t s = (uint64_t)(uintptr_t)arg | 1;

	for (int i = 0; i < 250000; i++) {
		uint64_t k = rnd(&s) % LARSON_SLOTS;

		if (v[k])
			give(v[k], k);
		v[k] = take(10 + rnd(&s) % 500, k);
	}
	return NULL;
}

static void larson(void)
{
	for (int generation = 0; generation < 12; generation++) {
		pthread_t t[4];

		for (int i = 0; i < 4; i++)
			pthread_create(&t[i], NULL, larson_thread, larson_slots[(i + generation) % 4]);
		for (int i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
	}
}

static void *brief(void *arg)
{
	void *v[100];

	for (uint64_t i = 0; i < 100; i++)
		v[i] = take(8 + i * 13, i);
	for (uint64_t i = 0; i < 100; i++)
		give(v[i], i);
	return arg;
}

static void thread_churn(void)
{
	for (int i = 0; i < 12000; i++) {
		pthread_t t;

		pthread_create(&t, NULL, brief, NULL);
		pthread_join(t, NULL);
	}
}

/* Start and exit: what the allocator costs a program that hardly allocates. */
static void nothing(void)
{
	free(malloc(100));
}

static const struct {
	const char *name;
	void (*run)(void);
} all[] = {
	{ "same-slot", same_slot }, { "stack", stack }, { "batch", batch },
	{ "random-flat", random_flat }, { "random-log", random_log },
	{ "random-large", random_large }, { "random-huge", random_huge },
	{ "realloc-growth", realloc_growth }, { "realloc-huge", realloc_huge },
	{ "zeroed", zeroed }, { "aligned", aligned }, { "first-touch", first_touch },
	{ "fragment", fragment }, { "producer-consumer", producer_consumer },
	{ "larson", larson }, { "thread-churn", thread_churn }, { "nothing", nothing },
};

/*
 * measure LIBRARY OPTIONS COMMAND...: run it, print CPU seconds and peak RSS in kB on
 * descriptor 3. A small process must do this: a child's peak starts with its parent's.
 */
static int measure(char **argv)
{
	struct rusage ru;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (argv[0][0])
			setenv("LD_PRELOAD", argv[0], 1);
		if (argv[1][0])
			setenv("MEMWHY_MALLOC", argv[1], 1);
		close(3);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (wait4(pid, &status, 0, &ru) != pid)
		return 1;
	dprintf(3, "%ld.%06ld %ld\n", (long)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec +
		(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1000000),
		(long)((ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) % 1000000), ru.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	if (argc > 4 && strcmp(argv[1], "--measure") == 0)
		return measure(argv + 2);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (argc < 2)
			puts(all[i].name);
		else if (strcmp(argv[1], all[i].name) == 0)
			return all[i].run(), bad;
	}
	return argc < 2 ? 0 : 2;
}
