/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A growing array: struct { T *v; size_t n, cap; }. MW_VEC_PUSH yields a pointer to
 * a new zeroed element, or NULL when memory ran out.
 */
#ifndef MW_BASE_VEC_H
#define MW_BASE_VEC_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MW_VEC(T) struct { T *v; size_t n, cap; }

static inline void *mw__vec_grow(void *v, size_t *cap, size_t elem)
{
	size_t want = *cap ? *cap + *cap / 2 : 16, bytes;

	if (__builtin_mul_overflow(want, elem, &bytes))
		return NULL;
	void *p = realloc(v, bytes);

	if (p)
		*cap = want;
	return p;
}

#define MW_VEC_PUSH(vec)                                                              \
	({                                                                            \
		__typeof__((vec)->v) new_ = NULL;                                     \
		if ((vec)->n < (vec)->cap) {                                          \
			new_ = &(vec)->v[(vec)->n++];                                 \
		} else {                                                              \
			__typeof__((vec)->v) grown_ =                                 \
				mw__vec_grow((vec)->v, &(vec)->cap, sizeof(*(vec)->v)); \
			if (grown_) {                                                 \
				(vec)->v = grown_;                                    \
				new_ = &(vec)->v[(vec)->n++];                         \
			}                                                             \
		}                                                                     \
		if (new_)                                                             \
			memset(new_, 0, sizeof(*new_));                               \
		new_;                                                                 \
	})

#define MW_VEC_FREE(vec) (free((vec)->v), (vec)->v = NULL, (vec)->n = (vec)->cap = 0)

#endif
