/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A region of memory that only grows and is freed at once: everything a snapshot
 * or a document points to lives in its arena, so there is one destroy. Strings
 * can be interned: equal bytes yield the same pointer.
 */
#ifndef MW_BASE_ARENA_H
#define MW_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct mw__arena_block;
struct mw__arena_str;

struct mw__arena {
	struct mw__arena_block *block;	/* newest first */
	struct mw__arena_str **strs;	/* hash table of interned strings */
	size_t n_strs, n_buckets;
	size_t used;			/* bytes handed out */
};

void mw__arena_init(struct mw__arena *arena);
void mw__arena_deinit(struct mw__arena *arena);

/* Zeroed memory aligned for any type, or NULL. */
void *mw__arena_alloc(struct mw__arena *arena, size_t size);
/* n * size, checked against overflow. */
void *mw__arena_array(struct mw__arena *arena, size_t n, size_t size);
/* A copy of len bytes with a NUL behind them, or NULL. */
char *mw__arena_strn(struct mw__arena *arena, const char *s, size_t len);
char *mw__arena_str(struct mw__arena *arena, const char *s);
char *mw__arena_printf(struct mw__arena *arena, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The one copy of these bytes in this arena, or NULL when memory ran out. */
const char *mw__arena_intern(struct mw__arena *arena, const char *s, size_t len);

#endif
