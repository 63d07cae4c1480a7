/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Numbers and plain text without printf, for writers that have millions of them. Digits are written
 * backwards from the end of a buffer; what is returned is their start, and nothing ends them.
 */
#ifndef MW_BASE_DIGITS_H
#define MW_BASE_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MW__DIGITS 20	/* of a uint64_t, at most */

/* How many digits it has: the power of ten below it by its bits, 1233/4096 being log10(2) nearly. */
static inline unsigned mw__dec_len(uint64_t v)
{
	static const uint64_t powers[MW__DIGITS] = {
		1u, 10u, 100u, 1000u, 10000u, 100000u, 1000000u, 10000000u, 100000000u, 1000000000u, 10000000000u,
		100000000000u, 1000000000000u, 10000000000000u, 100000000000000u, 1000000000000000u, 10000000000000000u,
		100000000000000000u, 1000000000000000000u, 10000000000000000000u,
	};
	unsigned below = (unsigned)(64 - __builtin_clzll(v | 1)) * 1233 >> 12;

	return below + (v >= powers[below]) + !v;
}

static inline char *mw__dec_back(char *end, uint64_t v)
{
	static const char pairs[] =
		"00010203040506070809101112131415161718192021222324252627282930313233343536373839"
		"40414243444546474849505152535455565758596061626364656667686970717273747576777879"
		"8081828384858687888990919293949596979899";

	/* eight at a time: the divisions of one do not wait for those of another */
	for (; v >= 100000000; v /= 100000000) {
		uint32_t low = (uint32_t)(v % 100000000), a = low / 10000, b = low % 10000;

		end -= 8;
		memcpy(end, pairs + a / 100 * 2, 2);
		memcpy(end + 2, pairs + a % 100 * 2, 2);
		memcpy(end + 4, pairs + b / 100 * 2, 2);
		memcpy(end + 6, pairs + b % 100 * 2, 2);
	}
	uint32_t rest = (uint32_t)v;

	for (; rest >= 100; rest /= 100) {
		end -= 2;
		memcpy(end, pairs + rest % 100 * 2, 2);
	}
	if (rest >= 10) {
		end -= 2;
		memcpy(end, pairs + rest * 2, 2);
	} else {
		*--end = (char)('0' + rest);
	}
	return end;
}

/* With 0x before it. */
static inline char *mw__hex_back(char *end, uint64_t v)
{
	do
		*--end = "0123456789abcdef"[v & 15];
	while (v >>= 4);
	*--end = 'x';
	*--end = '0';
	return end;
}

/* The high bit of each byte that is 0 (Hacker's Delight, 6-1); some above one that is 0 may be set, too. */
static inline uint64_t mw__zero_bytes(uint64_t w)
{
	return (w - 0x0101010101010101u) & ~w & 0x8080808080808080u;
}

/* The high bit of each byte that is not printable ASCII; the same remark. */
static inline uint64_t mw__odd_bytes(uint64_t w)
{
	uint64_t low = (w - 0x2020202020202020u) & ~w, del = w + 0x0101010101010101u;

	return (low | del | w) & 0x8080808080808080u;
}

/* Printable ASCII from end to end, without the two bytes given: eight bytes a step, the last ones once more. */
static inline bool mw__is_plain(const char *s, size_t len, char not1, char not2)
{
	const uint64_t x1 = 0x0101010101010101u * (unsigned char)not1, x2 = 0x0101010101010101u * (unsigned char)not2;
	uint64_t w, odd = 0;

	if (len < 8) {
		for (size_t i = 0; i < len; i++)
			odd |= s[i] < 0x20 || s[i] >= 0x7f || s[i] == not1 || s[i] == not2;
		return !odd;
	}
	for (size_t i = 0;; i = len - 8 < i + 8 ? len - 8 : i + 8) {
		memcpy(&w, s + i, 8);
		odd |= mw__odd_bytes(w) | mw__zero_bytes(w ^ x1) | mw__zero_bytes(w ^ x2);
		if (odd || i + 8 == len)
			return !odd;
	}
}

#endif
