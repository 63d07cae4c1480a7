/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * private - a program with private heaps that keeps books of its own: for each heap the live objects with
 * what was asked for in them. It tells them as one line of JSON, and again after each line it reads:
 *   more    random allocations and frees in each heap
 *   destroy every other heap is destroyed
 *   big     freed mappings of huge blocks stay with malloc for a moment
 */
#define _GNU_SOURCE
#include "../../lib/alloc/memwhy-malloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAPS 5
#define HELD 3000

static struct mw_heap *heaps[HEAPS];
static void *held[HEAPS][HELD];
static size_t size_of[HEAPS][HELD];
static unsigned char noscan[HEAPS][HELD];
static uint64_t ever[HEAPS], allocs[HEAPS], frees[HEAPS];

static uint64_t next(uint64_t *s)
{
	uint64_t x = *s += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	return (x ^ (x >> 27)) * 0x94d049bb133111eb >> 11;
}

static size_t some_size(uint64_t *s)
{
	uint64_t r = next(s);

	return r % 50 == 0 ? next(s) % 200000 : r % 500 == 1 ? 1100000 + next(s) % 3000000 : r % 3 ? next(s) % 24 : next(s) % 3000;
}

static void churn(unsigned h, uint64_t *s)
{
	for (int i = 0; i < 6000; i++) {
		unsigned k = (unsigned)(next(s) % HELD);

		if (held[h][k]) {
			mw_heap_free(heaps[h], held[h][k]);
			held[h][k] = NULL;
			frees[h]++;
			continue;
		}
		size_of[h][k] = some_size(s);
		noscan[h][k] = (unsigned char)(next(s) & 1);
		held[h][k] = mw_heap_alloc(heaps[h], size_of[h][k], noscan[h][k]);
		memset(held[h][k], 1, size_of[h][k] < 65536 ? size_of[h][k] : 65536);
		ever[h] += size_of[h][k];
		allocs[h]++;
	}
}

static void tell(void)
{
	static char out[4096];
	int n = sprintf(out, "{\"pid\":%d,\"heaps\":[", (int)getpid());

	for (unsigned h = 0; h < HEAPS; h++) {
		uint64_t live = 0, tiny = 0, large = 0, large_bytes = 0, asked = 0;

		for (unsigned k = 0; k < HELD; k++) {
			if (!held[h][k])
				continue;
			live++;
			asked += size_of[h][k];
			tiny += noscan[h][k] && size_of[h][k] < 16;
			large += size_of[h][k] > 32768;
			large_bytes += size_of[h][k] > 32768 ? size_of[h][k] : 0;
		}
		n += sprintf(out + n, "%s{\"alive\":%d,\"objects\":%lu,\"asked\":%lu,\"tiny\":%lu,\"large\":%lu,\"large_bytes\":%lu,"
			     "\"ever\":%lu,\"allocs\":%lu,\"frees\":%lu}", h ? "," : "", heaps[h] != NULL, live, asked, tiny, large,
			     large_bytes, ever[h], allocs[h], frees[h]);
	}
	n += sprintf(out + n, "]}\n");
	if (write(1, out, (size_t)n) != n)
		_exit(1);
}

static void destroy(unsigned h)
{
	mw_heap_destroy(heaps[h]);
	heaps[h] = NULL;
	memset(held[h], 0, sizeof(held[h]));
}

static void make_big(void)
{
	void *volatile p[3];

	for (int i = 0; i < 3; i++)
		p[i] = memset(aligned_alloc(2 << 20, (size_t)(3 + i) << 20), 1, 3 << 20);
	for (int i = 0; i < 3; i++)
		free(p[i]);
}

int main(void)
{
	static const char *const names[HEAPS] = { "requests", "parser", NULL, "a name that is longer than there is room for", "cache" };
	uint64_t seed = 5;
	char line[16] = "";

	for (unsigned h = 0; h < HEAPS; h++) {
		struct mw_heap_options o = { .size = sizeof(o), .name = names[h], .flags = h == 1 ? MW_HEAP_SINGLE : 0 };

		heaps[h] = mw_heap_create(&o);
	}
	do {
		for (unsigned h = 0; h < HEAPS; h++) {
			if (*line == 'd' && h % 2)
				destroy(h);
			else if (heaps[h])
				churn(h, &seed);
		}
		if (*line == 'b')
			make_big();
		tell();
		memset(line, 0, sizeof(line));
	} while (read(0, line, sizeof(line)) > 0);
	return 0;
}
