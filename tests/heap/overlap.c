/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * overlap - an allocator to preload that is wrong: small blocks come from a ring of 1 MiB which is handed out
 * again and again, whether they were freed or not. Whoever checks memory must notice.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define RING (1u << 20)

static char ring[RING] __attribute__((aligned(16)));
static size_t at;

void *malloc(size_t n)
{
	size_t *p;

	n = (n + 31) & ~(size_t)15;
	if (n > 8192) {
		p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	} else {
		size_t off = __atomic_fetch_add(&at, n, __ATOMIC_RELAXED) % (RING - 16384) & ~(size_t)15;

		p = (size_t *)(ring + off);
	}
	*p = n;
	return p + 2;
}

void free(void *p)
{
	(void)p;
}

void *calloc(size_t n, size_t size)
{
	void *p = malloc(n * size);

	return memset(p, 0, n * size);
}

void *realloc(void *old, size_t n)
{
	void *p = malloc(n);

	if (old)
		memcpy(p, old, n < ((size_t *)old)[-2] ? n : ((size_t *)old)[-2] - 16);
	return p;
}
