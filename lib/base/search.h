/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Searching what is sorted. */
#ifndef MW_BASE_SEARCH_H
#define MW_BASE_SEARCH_H

#include <stddef.h>
#include <stdint.h>

/*
 * The first i in [0, n) for which cond holds, n without any; of the elements that it does not hold for, none may
 * stand behind one that it holds for.
 */
#define MW_FIRST(i, n, cond)                            \
	({                                              \
		size_t low_ = 0, high_ = (n);           \
		while (low_ < high_) {                  \
			size_t i = low_ + (high_ - low_) / 2; \
			if (cond)                       \
				high_ = i;              \
			else                            \
				low_ = i + 1;           \
		}                                       \
		low_;                                   \
	})

/* For qsort() and bsearch(), of uint64_t. */
static inline int mw__compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

#endif
