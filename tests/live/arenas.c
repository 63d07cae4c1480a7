/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * glibc's arenas: four threads that allocate, one of them enough for a second
 * heap. A heap is aligned to its size, so a chunk's address gives it;
 * its header says how much of it may be touched. Layout: struct heap_info of
 * glibc's malloc/arena.c, the same from 2.10 on. Then three blocks that are too
 * large for any heap.
 */
#include "truth.h"
#include <malloc.h>
#include <pthread.h>

/* A 32-bit process has heaps of 1 MiB. */
#define HEAP (sizeof(void *) == 8 ? 64 * MIB : MIB)
#define THREADS 4

struct heap_info {
	void *arena;
	struct heap_info *prev;
	size_t size;
	size_t accessible;
};

static struct owner {
	size_t want;            /* bytes to allocate */
	void *first, *last;
	volatile bool there;
} owners[THREADS] = {{.want = 100}, {.want = 300 * KIB}, {.want = 5 * MIB},
		     {.want = 70 * MIB}};

static int gate[2];

static void *allocate(void *arg)
{
	struct owner *o = arg;
	char c;

	for (size_t got = 0; got < o->want; got += 64 * KIB) {
		o->last = malloc(o->want < 64 * KIB ? o->want : 64 * KIB);
		if (!o->first)
			o->first = o->last;
		if (got % MIB == 0)
			memset(o->last, 1, 100);
	}
	o->there = true;
	while (read(gate[0], &c, 1) < 0 && errno == EINTR)
		;
	return NULL;
}

static void say_heap(const char *name, const void *chunk)
{
	char *heap = (char *)((uintptr_t)chunk & ~(HEAP - 1));
	const struct heap_info *info = (const void *)heap;
	size_t head = info->accessible;
	uint64_t start, end;
	char title[64];

	if (!find_mapping(heap, &start, &end) || end != (uintptr_t)heap + head) {
		say_skip(name, "not a heap of the layout that this test knows");
		return;
	}

	struct expect e = measure_anon(heap, head, "N20");

	e.not_alone = start != (uintptr_t)heap;
	e.owner = "glibc-arena";
	snprintf(title, sizeof(title), "%s-head", name);
	say(title, heap, head, e);
	if (head == HEAP)
		return;
	find_mapping(heap + head, &start, &end);
	snprintf(title, sizeof(title), "%s-tail", name);
	say(title, heap + head, HEAP - head, (struct expect){
		.untouched = HEAP - head, .owner = "glibc-arena-tail",
		.not_alone = end != (uintptr_t)heap + HEAP,
		.causes = {{"N9", HEAP - head}}});
}

/* Blocks beyond the threshold are mappings of their own; neighbours merge into one. */
static void say_large_blocks(void)
{
	const size_t each = 2 * MIB + PAGE;
	char *low, *before = NULL;
	uint64_t start, end;
	int in_a_row = 0;

	/* The first ones fill holes that the heaps' alignment left. */
	for (int i = 0; i < 100 && in_a_row < 3; i++, before = low) {
		low = (char *)((uintptr_t)malloc(2 * MIB) & ~(PAGE - 1));
		write_pages(low + (size_t)(i + 1) * 2 * PAGE, 3);
		in_a_row = before == low + each ? in_a_row + 1 : 1;
	}
	if (in_a_row < 3 || !find_mapping(low, &start, &end) || start != (uintptr_t)low) {
		say_skip("large-blocks", "malloc did not lay three large blocks side by side");
		return;
	}

	char *high = low + 3 * each;
	struct expect e = measure_anon(low, (size_t)(high - low), "N21");

	e.not_alone = end != (uintptr_t)high;
	e.owner = "malloc-block";
	say("large-blocks", low, (size_t)(high - low), e);
}

int main(void)
{
	static const char *const names[] = {"arena-tiny", "arena-small", "arena-5m",
					    "arena-70m"};
	pthread_t id;

	begin();
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_ARENA_MAX, 16);
	if (pipe(gate))
		return 1;
	for (size_t i = 0; i < THREADS; i++) {
		if (pthread_create(&id, NULL, allocate, &owners[i]))
			return 1;
		for (int t = 0; t < 500 && !owners[i].there; t++)
			usleep(2000);
	}
	usleep(50000);
	for (size_t i = 0; i < THREADS; i++)
		say_heap(names[i], owners[i].first);
	say_heap("arena-second-heap", owners[THREADS - 1].last);
	say_large_blocks();
	hold();
}
