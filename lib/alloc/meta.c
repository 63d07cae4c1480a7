/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * meta.c - memory for the allocator's own structures.
 *
 * A bump pointer over mappings that are never given back, kept apart from the heap
 * so that a program's stray write rarely meets them. Bin arrays grow and are
 * replaced, so freed arrays wait on a list for each power of two. Every mapping is
 * listed in mw__meta_ranges for readers outside.
 */
#include "internal.h"

#define META_CHUNK (256u << 10)
#define N_ORDERS 20 /* arrays of up to 2^19 words of 64 bytes */

TOGETHER struct mw_lock mw__meta_lock;
struct mw_meta_range mw__meta_ranges[MW_N_META];

struct free_array {
	struct free_array *next;
};

TOGETHER static struct {
	char *at, *end;
	struct free_array *free[N_ORDERS];
} meta; /* under mw__meta_lock */

static void list_range(void *base, size_t size)
{
	struct mw_abi_table *t = &region.tables[MW_TABLE_META];

	region.meta_bytes += size;
	if (t->count == MW_N_META)
		return; /* the bytes are counted, the place is not told */
	mw__meta_ranges[t->count] = (struct mw_meta_range){ (uintptr_t)base, size };
	store_relaxed(&t->count, t->count + 1);
}

/* The kernel maps downwards: what joins the newest range lengthens it. */
static void *list_mapping(void *p, size_t size)
{
	struct mw_meta_range *last = mw__meta_ranges + region.tables[MW_TABLE_META].count - 1;

	if (p && last >= mw__meta_ranges && (uintptr_t)p + size == last->base) {
		last->base = (uintptr_t)p;
		last->size += size;
		region.meta_bytes += size;
	} else if (p) {
		list_range(p, size);
	}
	return p;
}

static void *map_listed(size_t size)
{
	return list_mapping(mw__os_map(NULL, size, false), size);
}

/* Map twice as much, keep the highest aligned half: so one joins the next. */
static void *map_aligned(size_t size)
{
	uintptr_t p = (uintptr_t)mw__os_map(NULL, 2 * size, false), at = (p + size) & ~(size - 1);

	if (!p)
		return NULL;
	if (at > p)
		mw__os_unmap((void *)p, at - p);
	if (at + size < p + 2 * size)
		mw__os_unmap((void *)(at + size), p + size - at);
	return (void *)at;
}

static bool refill(size_t size)
{
	size_t chunk = META_CHUNK;
	char *p = map_listed(chunk);

	if (!p)
		p = map_listed(chunk = round_up(size, KERNEL_PAGE));
	if (!p)
		return false;
	meta.at = p;
	meta.end = p + chunk;
	return true;
}

static void *bump(size_t size)
{
	char *p;

	size = round_up(size, 64);
	if (size >= META_CHUNK / 2) {
		p = map_listed(round_up(size, KERNEL_PAGE));
	} else {
		if ((size_t)(meta.end - meta.at) < size && !refill(size))
			return NULL;
		p = meta.at;
		meta.at += size;
	}
	if (p)
		region.meta_used += size;
	return p;
}

void *mw__meta_alloc(size_t size)
{
	void *p;

	mw__lock(&mw__meta_lock, RANK_META);
	p = bump(size);
	mw__unlock(&mw__meta_lock, RANK_META);
	return p;
}

void *mw__meta_aligned(size_t size)
{
	void *p;

	mw__lock(&mw__meta_lock, RANK_META);
	p = list_mapping(map_aligned(size), size);
	if (p)
		region.meta_used += size;
	mw__unlock(&mw__meta_lock, RANK_META);
	return p;
}

static unsigned order_of(size_t size)
{
	unsigned order = 0;

	while (((size_t)64 << order) < size)
		order++;
	return order;
}

/* Arrays are not cleared when they are used again. */
void *mw__meta_array(size_t size)
{
	unsigned order = order_of(size);
	void *p;

	mw__lock(&mw__meta_lock, RANK_META);
	if (order < N_ORDERS && meta.free[order]) {
		p = meta.free[order];
		meta.free[order] = meta.free[order]->next;
	} else {
		p = bump((size_t)64 << order);
	}
	mw__unlock(&mw__meta_lock, RANK_META);
	return p;
}

void mw__meta_array_free(void *p, size_t size)
{
	unsigned order = order_of(size);
	struct free_array *a = p;

	if (!p || order >= N_ORDERS)
		return;
	mw__lock(&mw__meta_lock, RANK_META);
	a->next = meta.free[order];
	meta.free[order] = a;
	mw__unlock(&mw__meta_lock, RANK_META);
}
