/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The brk heap: grown, written in part, freed in part, trimmed from inside. */
#include "truth.h"
#include <malloc.h>

#define COUNT 400
#define CHUNK (100 * KIB)

static char *chunk[COUNT];
static char below[8 * PAGE];	/* .bss of more than a page's rest */

/* What the allocator was given is resident only where it was written. */
static void grow(void)
{
	for (size_t i = 0; i < COUNT; i++) {
		chunk[i] = malloc(CHUNK);
		if (i % 4 == 0)
			memset(chunk[i], 1, CHUNK);
	}
}

static void free_some(void)
{
	for (size_t i = 0; i < COUNT - 1; i++)
		if (i % 8 != 0)
			free(chunk[i]);
	malloc_trim(0);
}

static void say_part(const char *name, const char *owner, const char *code,
		     const char *p, size_t size, bool not_alone)
{
	struct expect e = measure_anon(p, size, code);

	e.owner = owner;
	e.not_alone = not_alone;
	say(name, p, size, e);
}

/* Without address randomisation the heap follows .bss and merges with it. */
int main(void)
{
	const char *first = sbrk(0);
	uint64_t start, end;

	begin();
	write_pages(below + PAGE, 1);
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	grow();
	free_some();
	if (!find_mapping(chunk[0], &start, &end)) {
		say_skip("brk-heap", "no mapping holds the first chunk");
		hold();
	}

	bool merged = start < (uintptr_t)first;
	const char *p = merged ? first : (const char *)(uintptr_t)start;

	if (merged)
		say_part("bss-below-heap", "bss", "N16", (const char *)(uintptr_t)start,
			 (size_t)(first - (const char *)(uintptr_t)start), true);
	say_part("brk-heap", "brk-heap", "N17", p, (size_t)(end - (uintptr_t)p), merged);
	hold();
}
