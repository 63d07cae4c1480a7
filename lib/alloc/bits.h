/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bits.h - bitmaps of an arena's pages: words of 64 bits, bit i of word i / 64 is page i.
 *
 * Searches end at MW_ARENA_PAGES when there is nothing.
 */
#ifndef MEMWHY_ALLOC_BITS_H
#define MEMWHY_ALLOC_BITS_H

#include "internal.h"

static inline bool bit_get(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static inline uint64_t word_mask(uint32_t from, uint32_t to)
{
	return (to - from == 64 ? ~0ULL : ((1ULL << (to - from)) - 1)) << from;
}

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline void bits_assign(uint64_t *bits, uint32_t at, uint32_t n, bool value)
{
	while (n > 0) {
		uint32_t in = at % 64, len = min_u32(64 - in, n);
		uint64_t mask = word_mask(in, in + len);

		bits[at / 64] = value ? bits[at / 64] | mask : bits[at / 64] & ~mask;
		at += len;
		n -= len;
	}
}

/* Inline, since processors are only asked for what all of them have. */
static inline uint32_t ones(uint64_t x)
{
	x -= x >> 1 & 0x5555555555555555;
	x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return (uint32_t)(x * 0x0101010101010101 >> 56);
}

static inline uint32_t bits_count(const uint64_t *bits, uint32_t at, uint32_t n)
{
	uint32_t sum = 0;

	while (n > 0) {
		uint32_t in = at % 64, len = min_u32(64 - in, n);

		sum += ones(bits[at / 64] & word_mask(in, in + len));
		at += len;
		n -= len;
	}
	return sum;
}

/* The lowest position of @n one bits in a row inside a word; 64 if none. */
static inline uint32_t run_in_word(uint64_t word, uint32_t n)
{
	while (n > 1 && word) {
		uint32_t half = n / 2;

		word &= word >> half;
		n -= half;
	}
	return word ? (uint32_t)__builtin_ctzll(word) : 64;
}

/* Of a word's ones those that fill whole groups of @g (a power of two up to 64). */
static inline uint64_t whole_groups(uint64_t word, uint32_t g)
{
	static const uint64_t starts[] = { ~0ULL, 0x5555555555555555, 0x1111111111111111,
					   0x0101010101010101, 0x0001000100010001,
					   0x0000000100000001, 1 };

	for (uint32_t k = 1; k < g; k *= 2)
		word &= word >> k;
	word &= starts[__builtin_ctz(g)];
	for (uint32_t k = 1; k < g; k *= 2)
		word |= word << k;
	return word;
}

/*
 * The first run of @n zero bits at or after word @w that begins at a multiple of @g, of
 * which @n is one too; MW_ARENA_PAGES if none. run counts the zeros that end the words
 * before.
 */
static inline uint32_t find_groups(const uint64_t *bits, uint32_t w, uint32_t n, uint32_t g)
{
	uint32_t run = 0;

	for (; w < MW_ARENA_WORDS; w++) {
		uint64_t word = bits[w];
		uint32_t low = word ? (uint32_t)__builtin_ctzll(word) & -g : 64;

		if (run + low >= n)
			return w * 64 - run;
		if (n <= 64 && ~word) {
			uint32_t at = run_in_word(whole_groups(~word, g), n);

			if (at < 64)
				return w * 64 + at;
		}
		run = word ? (uint32_t)__builtin_clzll(word) & -g : run + 64;
	}
	return MW_ARENA_PAGES;
}

static inline uint32_t find_zeros(const uint64_t *bits, uint32_t w, uint32_t n)
{
	return find_groups(bits, w, n, 1);
}

/* Like it, but the run starts at a multiple of @align pages (a power of two). */
static inline uint32_t find_aligned(const uint64_t *bits, uint32_t w, uint32_t n, uint32_t align)
{
	uint32_t at;

	if (align <= 1)
		return find_zeros(bits, w, n);
	for (at = (uint32_t)round_up(w * 64, align); at + n <= MW_ARENA_PAGES; at += align)
		if (bits_count(bits, at, n) == 0)
			return at;
	return MW_ARENA_PAGES;
}

/* The lowest page such that all from it up to @at are zero. */
static inline uint32_t zeros_below(const uint64_t *bits, uint32_t at)
{
	uint32_t w = at / 64;
	uint64_t word = at % 64 ? bits[w] << (64 - at % 64) : 0;

	if (word)
		return at - (uint32_t)__builtin_clzll(word);
	while (w > 0 && bits[w - 1] == 0)
		w--;
	return w > 0 ? w * 64 - (uint32_t)__builtin_clzll(bits[w - 1]) : 0;
}

static inline uint32_t zeros_above(const uint64_t *bits, uint32_t at)
{
	uint32_t w = at / 64;
	uint64_t word = at < MW_ARENA_PAGES ? bits[w] >> (at % 64) : 1;

	if (word)
		return at + (uint32_t)__builtin_ctzll(word);
	while (++w < MW_ARENA_WORDS && bits[w] == 0)
		;
	return w < MW_ARENA_WORDS ? w * 64 + (uint32_t)__builtin_ctzll(bits[w]) : MW_ARENA_PAGES;
}

static inline uint32_t ones_above(const uint64_t *bits, uint32_t at)
{
	while (at < MW_ARENA_PAGES) {
		uint64_t word = ~bits[at / 64] >> (at % 64);

		if (word)
			return at + (uint32_t)__builtin_ctzll(word);
		at += 64 - at % 64;
	}
	return at;
}

#endif
