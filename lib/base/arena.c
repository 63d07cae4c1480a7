/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Arena: blocks that double up to 1 MiB; larger requests get a block of their own. Small
 * blocks are cleared as they are handed out, since a program that needs little of one
 * should not touch all its pages; large ones come from the kernel, which clears them.
 */
#include "arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"

#define ALIGN 16
#define FIRST_BLOCK 4096
#define LAST_BLOCK (1u << 20)
#define CLEAR_BLOCK (128u << 10)	/* calloc() of this much is a mapping of its own */

struct mw__arena_block {
	struct mw__arena_block *next;
	size_t size, used;
	_Alignas(ALIGN) char data[];
};

struct mw__arena_str {
	struct mw__arena_str *next;
	uint64_t hash;
	size_t len;
	char data[];
};

void mw__arena_init(struct mw__arena *arena)
{
	memset(arena, 0, sizeof(*arena));
}

void mw__arena_deinit(struct mw__arena *arena)
{
	struct mw__arena_block *b = arena->block;

	while (b) {
		struct mw__arena_block *next = b->next;

		free(b);
		b = next;
	}
	free(arena->strs);
	mw__arena_init(arena);
}

static struct mw__arena_block *add_block(struct mw__arena *arena, size_t need)
{
	size_t size = arena->block ? arena->block->size * 2 : FIRST_BLOCK;

	if (size > LAST_BLOCK)
		size = LAST_BLOCK;
	if (size < need)
		size = need;
	struct mw__arena_block *b = size < CLEAR_BLOCK ? malloc(sizeof(*b) + size) : calloc(1, sizeof(*b) + size);

	if (!b)
		return NULL;
	b->used = 0;
	b->size = size;
	b->next = arena->block;
	arena->block = b;
	return b;
}

void *mw__arena_alloc(struct mw__arena *arena, size_t size)
{
	struct mw__arena_block *b = arena->block;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (!b || b->size - b->used < size) {
		b = add_block(arena, size);
		if (!b)
			return NULL;
	}
	void *p = b->data + b->used;

	b->used += size;
	arena->used += size;
	return b->size < CLEAR_BLOCK ? memset(p, 0, size) : p;
}

void *mw__arena_array(struct mw__arena *arena, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	return mw__arena_alloc(arena, total);
}

char *mw__arena_strn(struct mw__arena *arena, const char *s, size_t len)
{
	char *p = mw__arena_alloc(arena, len + 1);

	if (p)
		memcpy(p, s, len);
	return p;
}

char *mw__arena_str(struct mw__arena *arena, const char *s)
{
	return mw__arena_strn(arena, s, strlen(s));
}

char *mw__arena_printf(struct mw__arena *arena, const char *fmt, ...)
{
	char buf[512];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	if ((size_t)n < sizeof(buf))
		return mw__arena_strn(arena, buf, n);
	char *p = mw__arena_alloc(arena, (size_t)n + 1);

	if (p) {
		va_start(ap, fmt);
		vsnprintf(p, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	return p;
}

static int grow_strs(struct mw__arena *arena)
{
	size_t n = arena->n_buckets ? arena->n_buckets * 2 : 64;
	struct mw__arena_str **table = calloc(n, sizeof(*table));

	if (!table)
		return -1;
	for (size_t i = 0; i < arena->n_buckets; i++) {
		struct mw__arena_str *s = arena->strs[i];

		while (s) {
			struct mw__arena_str *next = s->next;

			s->next = table[s->hash & (n - 1)];
			table[s->hash & (n - 1)] = s;
			s = next;
		}
	}
	free(arena->strs);
	arena->strs = table;
	arena->n_buckets = n;
	return 0;
}

const char *mw__arena_intern(struct mw__arena *arena, const char *s, size_t len)
{
	uint64_t hash = mw__hash(MW__HASH, s, len);

	if (arena->n_strs >= arena->n_buckets && grow_strs(arena) < 0)
		return NULL;
	struct mw__arena_str **slot = &arena->strs[hash & (arena->n_buckets - 1)];

	for (struct mw__arena_str *e = *slot; e; e = e->next)
		if (e->hash == hash && e->len == len && !memcmp(e->data, s, len))
			return e->data;
	struct mw__arena_str *e = mw__arena_alloc(arena, sizeof(*e) + len + 1);

	if (!e)
		return NULL;
	e->hash = hash;
	e->len = len;
	memcpy(e->data, s, len);
	e->next = *slot;
	*slot = e;
	arena->n_strs++;
	return e->data;
}
