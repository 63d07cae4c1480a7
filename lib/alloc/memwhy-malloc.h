/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * memwhy-malloc.h - what libmemwhy-malloc offers beyond malloc: private heaps.
 *
 * A private heap is memory of its own inside the same allocator: its objects lie in spans
 * that hold nothing else, so destroying the heap gives all of them back at once, and a
 * reader outside (memwhy heap) tells it apart by its name. Objects have size classes, and
 * may be marked as free of pointers (noscan), for a collector on top; such objects below
 * 16 bytes are packed into blocks of 16, as Go's tiny allocator does.
 *
 * Threads: any number may use one heap at once, unless it was made with MW_HEAP_SINGLE.
 * Destroying and resetting is for one thread, while no other uses the heap. After fork()
 * the child has all heaps.
 *
 * Errors of the program (a block of another heap, a pointer into the middle of one, a
 * block that is free already, a heap that was destroyed) are told on standard error and
 * fatal, or counted, as option "errors" in libmemwhy-malloc(3) says.
 */
#ifndef MEMWHY_MALLOC_H
#define MEMWHY_MALLOC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mw_heap;

/** Flags of a heap. */
enum mw_heap_create_flags {
	MW_HEAP_SINGLE = 1, /* one thread at a time uses it: no lock is taken */
};

/** Flags of an allocation. */
enum mw_heap_alloc_flags {
	MW_HEAP_NOSCAN = 1, /* the object holds no pointers */
	MW_HEAP_ZERO = 2,   /* clear it (memory known to be zero is not cleared again) */
};

/** How a heap is made. Set size to sizeof(struct mw_heap_options), the rest to 0 or a choice. */
struct mw_heap_options {
	size_t size;
	unsigned flags;    /* enum mw_heap_create_flags */
	const char *name;  /* what readers call it; the first 31 bytes are copied. NULL: none */
	size_t limit;      /* bytes of pages that it may hold; 0: no limit */
};

/** One row of the table of size classes. */
struct mw_heap_class_info {
	size_t object_size; /* bytes */
	size_t span_size;   /* bytes; a multiple of 8192 */
	size_t n_objects;   /* in a span */
	size_t tail;        /* bytes at the end of a span where no object fits */
};

/** What a span is used for. */
enum mw_heap_span_kind {
	MW_HEAP_SPAN_OBJECTS = 0, /* objects of one class */
	MW_HEAP_SPAN_TINY = 1,    /* blocks of 16 bytes, each with one tiny object or more */
	MW_HEAP_SPAN_LARGE = 2,   /* one object above 32 KiB, in whole pages */
	MW_HEAP_SPAN_HUGE = 3,    /* one object above 32 MiB, with a mapping of its own */
};

struct mw_heap_span_info {
	void *base;        /* first byte */
	size_t length;     /* bytes */
	size_t block_size; /* bytes of an object, or of a tiny block; of a large object: all it may use */
	unsigned cls;      /* size class; 0 for large and huge */
	unsigned kind;     /* enum mw_heap_span_kind */
	unsigned noscan;   /* 1: its objects hold no pointers */
	unsigned n_blocks; /* that fit */
	unsigned n_used;   /* of them; of the process's heap: in the program or in threads' caches */
};

struct mw_heap_object_info {
	void *start;
	size_t length;   /* bytes that may be used; of a tiny object: those asked for */
	unsigned cls;    /* size class; 0 for large and huge */
	unsigned noscan;
	unsigned tiny;   /* 1: packed with others */
};

/** What a heap holds. Set size to sizeof(struct mw_heap_stats) before the call. All in bytes or counts. */
struct mw_heap_stats {
	size_t size;
	uint64_t n_alloc, n_free;         /* allocations and frees, ever */
	uint64_t requested;               /* bytes asked for, ever */
	uint64_t live_objects;            /* tiny ones counted one by one */
	uint64_t live_bytes;              /* of the blocks that hold them */
	uint64_t live_noscan_bytes;       /* of them, in objects without pointers */
	uint64_t tiny_objects;            /* live ones */
	uint64_t tiny_bytes;              /* asked for in them */
	uint64_t tiny_blocks;             /* blocks of 16 bytes that hold them */
	uint64_t large_objects, large_bytes; /* above 32 KiB: how many, asked for in them */
	uint64_t n_spans;
	uint64_t span_bytes;              /* pages that the heap holds */
	uint64_t peak_bytes;              /* the most it held */
	uint64_t free_bytes;              /* free blocks in spans */
	uint64_t tail_bytes;              /* where no block fits, and what large objects do not use */
};

/**
 * mw_heap_create() - make a heap
 * @options: NULL for the defaults
 *
 * Return: the heap; NULL with errno ENOMEM, or EINVAL for unknown flags or a wrong size.
 */
struct mw_heap *mw_heap_create(const struct mw_heap_options *options);

/**
 * mw_heap_destroy() - free all objects of a heap, and the heap
 *
 * Its pages go back to the allocator at once, its mappings of huge objects to the kernel
 * or the allocator's short store of them. NULL is allowed. A later use of the heap is
 * caught until some 64 others have been destroyed after it.
 */
void mw_heap_destroy(struct mw_heap *heap);

/** mw_heap_reset() - free all objects of a heap, and keep the heap */
void mw_heap_reset(struct mw_heap *heap);

/**
 * mw_heap_alloc() - allocate an object
 * @size:  bytes; 0 gives an object of its own too
 * @flags: enum mw_heap_alloc_flags
 *
 * Objects are aligned to 16. Those with MW_HEAP_NOSCAN below 16 bytes are tiny: aligned
 * to 8, 4 or 2 if their size is a multiple of that, else to 1.
 *
 * Return: the object; NULL with errno ENOMEM.
 */
void *mw_heap_alloc(struct mw_heap *heap, size_t size, unsigned flags);

/**
 * mw_heap_alloc_aligned() - allocate an object at a multiple of @align
 *
 * Return: the object, never a tiny one; NULL with errno ENOMEM, or EINVAL when align is
 * no power of two.
 */
void *mw_heap_alloc_aligned(struct mw_heap *heap, size_t align, size_t size, unsigned flags);

/**
 * mw_heap_realloc() - resize an object
 * @object: NULL allocates (with pointers)
 *
 * The object may move; it keeps its contents and whether it is noscan. Size 0 is a size.
 *
 * Return: the object; NULL with errno ENOMEM, and the old one is unchanged.
 */
void *mw_heap_realloc(struct mw_heap *heap, void *object, size_t size);

/** mw_heap_free() - free one object, tiny ones too. NULL is allowed. */
void mw_heap_free(struct mw_heap *heap, void *object);

/** mw_heap_usable_size() - bytes of an object that may be used; 0 for NULL and what is not one */
size_t mw_heap_usable_size(struct mw_heap *heap, const void *object);

/**
 * mw_heap_find() - the object that holds an address
 * @addr: any; it is not followed
 *
 * Return: 1 and the object, or 0 when the address is in no live object of this heap.
 */
int mw_heap_find(struct mw_heap *heap, const void *addr, struct mw_heap_object_info *ret);

/** mw_heap_owns() - 1 when the address lies in a span of this heap, else 0 */
int mw_heap_owns(struct mw_heap *heap, const void *addr);

/**
 * mw_heap_class() - a row of the table of size classes
 * @cls: 1 to 67
 *
 * Return: 1 and the row, or 0 when there is no such class.
 */
int mw_heap_class(unsigned cls, struct mw_heap_class_info *ret);

/** mw_heap_class_of() - the class that serves objects of @size bytes; 0: larger than all */
unsigned mw_heap_class_of(size_t size);

/**
 * mw_heap_walk_spans() - call a function for each span
 * @heap: NULL for the heap of malloc
 * @fn:   another value than 0 ends the walk. It may not use this heap, which is locked;
 *        while that of malloc is walked anything is allowed, and spans that come or go
 *        meanwhile may be missed or told as they were.
 *
 * Return: 0, or what fn returned.
 */
int mw_heap_walk_spans(struct mw_heap *heap, int (*fn)(const struct mw_heap_span_info *, void *), void *arg);

/**
 * mw_heap_walk_objects() - call a function for each live object
 * @heap: not NULL: which objects of malloc threads keep is only known to a reader outside
 *
 * The same rules. Return: 0, or what fn returned.
 */
int mw_heap_walk_objects(struct mw_heap *heap, int (*fn)(const struct mw_heap_object_info *, void *), void *arg);

/**
 * mw_heap_stats() - what a heap holds
 *
 * Return: 0; -1 with errno EINVAL for a wrong size or a heap that is not one.
 */
int mw_heap_stats(struct mw_heap *heap, struct mw_heap_stats *ret);

/**
 * mw_alloc_check() - verify the allocator's invariants, private heaps included
 *
 * Return: the number of violations, the first of which are told on standard error.
 */
unsigned mw_alloc_check(void);

#ifdef __cplusplus
}
#endif

#endif
