/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bits - searches in bitmaps of pages, beside ones that look at one bit after the other. */
#define _GNU_SOURCE
#include "../../lib/alloc/bits.h"

#include "tap.h"

#define PAGES MW_ARENA_PAGES

static uint64_t bits[MW_ARENA_WORDS];

static uint32_t ends_run(uint32_t at, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && !bit_get(bits, at + i))
		i++;
	return i;
}

/* The first run of @n zeros from @at on at a multiple of @step. */
static uint32_t first_run(uint32_t at, uint32_t n, uint32_t step)
{
	for (; at + n <= PAGES; at += step)
		if (ends_run(at, n) == n)
			return at;
	return PAGES;
}

/* Runs of ones and zeros, at most @most long. */
static void fill(unsigned long *seed, uint32_t most)
{
	uint32_t at = 0;

	memset(bits, 0, sizeof(bits));
	while (at < PAGES) {
		uint32_t zeros = 1 + (uint32_t)(tap_random(seed) % most), ones = 1 + (uint32_t)(tap_random(seed) % (most < 200 ? most : 200));

		at = min_u32(at + zeros, PAGES);
		ones = min_u32(ones, PAGES - at);
		bits_assign(bits, at, ones, true);
		at += ones;
	}
}

static struct {
	unsigned groups, aligned, count, below, above;
} wrong;

static void look(unsigned long *seed)
{
	uint32_t g = 1u << tap_random(seed) % 7, w = (uint32_t)(tap_random(seed) % MW_ARENA_WORDS), at = (uint32_t)(tap_random(seed) % PAGES);
	uint32_t few = 4, many = 1200 / g + 1, n = g * (1 + (uint32_t)(tap_random(seed) % (tap_random(seed) % 2 ? few : many)));
	uint32_t len = (uint32_t)(tap_random(seed) % (PAGES - at)), sum = 0, low = at;

	wrong.groups += find_groups(bits, w, n, g) != first_run(w * 64, n, g);
	n = 1 + (uint32_t)(tap_random(seed) % 200);
	wrong.aligned += find_aligned(bits, w, n, g) != first_run((uint32_t)round_up(w * 64, g), n, g);
	for (uint32_t i = at; i < at + len; i++)
		sum += bit_get(bits, i);
	wrong.count += bits_count(bits, at, len) != sum;
	while (low > 0 && !bit_get(bits, low - 1))
		low--;
	wrong.below += zeros_below(bits, at) != low;
	wrong.above += zeros_above(bits, at) != at + ends_run(at, PAGES - at);
}

int main(int argc, char **argv)
{
	static const uint32_t lengths[] = { 8, 100, 600, 3000 };
	unsigned long seed = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;

	printf("# seed %lu\n", seed);
	for (int round = 0; round < 1000; round++) {
		fill(&seed, lengths[round % 4]);
		for (int i = 0; i < 20; i++)
			look(&seed);
	}
	ok(wrong.groups == 0, "runs of whole groups: %u of 20000 wrong", wrong.groups);
	ok(wrong.aligned == 0, "runs at an alignment: %u wrong", wrong.aligned);
	ok(wrong.count == 0, "ones of a stretch: %u wrong", wrong.count);
	ok(wrong.below == 0, "zeros below: %u wrong", wrong.below);
	ok(wrong.above == 0, "zeros above: %u wrong", wrong.above);
	return tap_done();
}
