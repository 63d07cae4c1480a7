/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * wrong - an allocator to preload with one fault, named by the environment: WRONG is "overlap" (now and then a
 * block is handed out that somebody has), "align" (one that is not aligned), "dirty" (calloc does not clear),
 * "lost" (realloc does not copy all); else it is right. Blocks are powers of two, freed ones are used again.
 * Whoever checks memory must notice.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HEAD 32u
#define PIECE ((size_t)64 << 20)
#define N_CLASSES 40

struct head {
	uint64_t cls, size;
	struct head *next;
	uint64_t pad;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct head *freed[N_CLASSES], *newest;
static char *at, *end;
static unsigned calls;

static int has_fault(const char *name)
{
	const char *e = getenv("WRONG");

	return e && !strcmp(e, name);
}

static struct head *fresh(unsigned cls)
{
	size_t n = (size_t)1 << cls;

	if (!at || (size_t)(end - at) < n) {
		size_t piece = n > PIECE ? n : PIECE;

		at = mmap(NULL, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (at == MAP_FAILED)
			abort();
		end = at + piece;
	}
	at += n;
	return (struct head *)(at - n);
}

void *malloc(size_t n)
{
	unsigned cls = 6;
	struct head *h;

	while (((size_t)1 << cls) - HEAD < n)
		cls++;
	pthread_mutex_lock(&lock);
	int now = n >= 16 && ++calls % 16 == 0;

	if (now && newest && newest->cls == cls && has_fault("overlap")) {
		h = newest;
	} else {
		h = freed[cls];
		if (h)
			freed[cls] = h->next;
		else
			h = fresh(cls);
		newest = h;
	}
	h->cls = cls;
	h->size = n;
	pthread_mutex_unlock(&lock);
	return (char *)(h + 1) + (now && n >= 64 && has_fault("align") ? 8 : 0);
}

void free(void *p)
{
	struct head *h = (struct head *)((uintptr_t)p & ~(uintptr_t)31) - 1;

	if (!p)
		return;
	pthread_mutex_lock(&lock);
	if (h != newest) {	/* the newest may have two owners */
		h->next = freed[h->cls];
		freed[h->cls] = h;
	}
	pthread_mutex_unlock(&lock);
}

void *calloc(size_t n, size_t size)
{
	void *p = malloc(n * size);

	return has_fault("dirty") && n * size > 100 ? p : memset(p, 0, n * size);
}

void *realloc(void *old, size_t n)
{
	void *p = malloc(n);

	if (old) {
		size_t had = ((struct head *)((uintptr_t)old & ~(uintptr_t)31) - 1)->size, keep = n < had ? n : had;

		memcpy(p, old, has_fault("lost") ? keep / 2 : keep);
		free(old);
	}
	return p;
}

int posix_memalign(void **ret, size_t align, size_t n)
{
	(void)ret;
	(void)align;
	(void)n;
	return ENOMEM;
}
