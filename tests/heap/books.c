/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * books - a program that keeps books of its own memory and tells them.
 *
 * It answers a line on standard input with one line of JSON on standard output, after it did what the line
 * asks for, and stands still in between:
 *   grow    every thread allocates and frees at random, and keeps what is left
 *   free    everything is freed, and the allocator is asked to give it back
 *   spin    threads allocate and free until the next line; nothing is booked
 * Books: for each request size that is held, the number of blocks; what was ever asked for. Nothing of its
 * own I/O allocates, so two answers differ by what the books say and nothing else.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 4
#define HELD 3000
#define BINS 32769	/* sizes up to 32 KiB one by one; larger ones are added up */

static void *held[THREADS][HELD];
static size_t size_of[THREADS][HELD];
static uint64_t live[BINS], ever, n_large, large, n_huge, huge;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static volatile int mode;	/* 'g', 'f', 's', 'q' */
static volatile int stop;

static uint64_t next(uint64_t *s)
{
	uint64_t x = *s += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	return (x ^ (x >> 27)) * 0x94d049bb133111eb >> 11;
}

static size_t some_size(uint64_t *s)
{
	switch (next(s) % 40) {
	case 0:
		return next(s) % 32768;
	case 1:
		return 32769 + next(s) % 900000;
	case 2:
		return next(s) % 20 ? next(s) % 4000 : 1100000 + next(s) % 50000000;
	default:
		return next(s) % 600;
	}
}

static void book(size_t n, int sign)
{
	pthread_mutex_lock(&lock);
	if (sign > 0)
		ever += n;
	if (n < BINS) {
		live[n] += (uint64_t)sign;
	} else if (n <= 32 << 20) {
		n_large += (uint64_t)sign;
		large += (uint64_t)sign * n;
	} else {
		n_huge += (uint64_t)sign;
		huge += (uint64_t)sign * n;
	}
	pthread_mutex_unlock(&lock);
}

static void drop(long id, unsigned k, int booked)
{
	free(held[id][k]);
	held[id][k] = NULL;
	if (booked)
		book(size_of[id][k], -1);
}

static void take(long id, unsigned k, uint64_t *s, int booked)
{
	size_t n = some_size(s);

	held[id][k] = malloc(n);
	size_of[id][k] = n;
	memset(held[id][k], (int)n, n < 65536 ? n : 65536);
	if (booked)
		book(n, 1);
}

static void churn(long id, uint64_t *s, int rounds, int booked)
{
	for (int i = 0; i < rounds; i++) {
		unsigned k = (unsigned)(next(s) % HELD);

		if (held[id][k])
			drop(id, k, booked);
		else
			take(id, k, s, booked);
	}
}

static void spin(long id, uint64_t *s)
{
	void *p[64];

	(void)id;
	while (!stop) {
		for (int i = 0; i < 64; i++)
			p[i] = malloc(next(s) % 2000);
		for (int i = 0; i < 64; i++)
			free(p[i]);
	}
}

/* A large block that comes and goes. */
static void reuse(int n)
{
	for (int i = 0; i < n; i++) {
		char *volatile p = malloc(65536);

		p[0] = 1;
		free(p);
	}
}

/*
 * A block of two megabytes is touched and given back. It began at a multiple of a large
 * power of two, so the pages below it were never touched; a block above it stays.
 */
static void give_back(void)
{
	static char *volatile below, *volatile above;
	char *volatile p;

	below = malloc(40000);
	p = malloc(2 << 20);
	above = malloc(2 << 20);
	memset(below, 1, 40000);
	memset(p, 1, 2 << 20);
	memset(above, 1, 2 << 20);
	free(p);
	malloc_trim(0);
}

static void *volatile kept[41];

static void fill_spans(void)
{
	for (int i = 0; i < 41; i++)
		kept[i] = malloc(1000);
}

/* One error of three kinds, and two of another; with errors=count. */
static void misuse(void)
{
	static char here[64];
	char *volatile p = malloc(200), *volatile q = here;
	volatile int inside = 16;

	free(p + inside);
	free(q);
	free(q);
	free(p);
	free(p);
}

static void *work(void *arg)
{
	long id = (long)arg;
	uint64_t s = 77 + (uint64_t)id;

	for (;;) {
		pthread_barrier_wait(&barrier);
		if (mode == 'q')
			return NULL;
		if (mode == 'g')
			churn(id, &s, 40000, 1);
		for (unsigned k = 0; mode == 'f' && k < HELD; k++)
			if (held[id][k])
				drop(id, k, 1);
		if (mode == 's')
			spin(id, &s);
		if (mode == 'r' && id == 0)
			reuse(101);
		if (mode == 'w' && id == 0)
			reuse(1);
		if (mode == 'b' && id == 0)
			give_back();
		if (mode == 'n' && id == 0)
			fill_spans();
		if (mode == 'e' && id == 0)
			misuse();
		pthread_barrier_wait(&barrier);
	}
}

static void tell(void)
{
	static char out[BINS * 24];
	size_t n = (size_t)sprintf(out, "{\"pid\":%d,\"ever\":%lu,\"large\":[%lu,%lu],\"huge\":[%lu,%lu],\"live\":{", (int)getpid(), ever,
				   n_large, large, n_huge, huge);
	const char *comma = "";

	for (unsigned i = 0; i < BINS; i++)
		if (live[i]) {
			n += (size_t)sprintf(out + n, "%s\"%u\":%lu", comma, i, live[i]);
			comma = ",";
		}
	n += (size_t)sprintf(out + n, "}}\n");
	if (write(1, out, n) != (ssize_t)n)
		_exit(1);
}

int main(void)
{
	pthread_t t[THREADS];
	char line[16];

	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (long i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, work, (void *)i);
	while (read(0, line, sizeof(line)) > 0 && *line != 'q') {
		stop = 0;
		mode = *line;
		pthread_barrier_wait(&barrier);
		if (mode == 's') {
			tell();
			if (read(0, line, sizeof(line)) <= 0)
				_exit(1);
			stop = 1;
		}
		pthread_barrier_wait(&barrier);
		if (mode == 'f')
			malloc_trim(0);
		tell();
	}
	mode = 'q';
	pthread_barrier_wait(&barrier);
	for (long i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	return 0;
}
