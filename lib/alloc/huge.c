/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * huge.c - blocks above 32 MiB, each with a mapping of its own.
 *
 * They are found by an open-addressed table of their first addresses (linear
 * probing, backward-shift deletion). A few freed mappings are kept for a short time,
 * because a buffer that comes and goes would pay a fault for each of its pages again.
 * Growing moves page tables (mremap), not bytes.
 */
#include "internal.h"

#define N_IDLE MW_N_KEPT
#define IDLE_PAGES_MIN (32u << 20 >> MW_PAGE_SHIFT)
#define IDLE_MS 1000u
#define FIRST_SLOTS 64

struct mw_kept mw__kept[N_IDLE]; /* under the heap lock; readers outside look at it too */
#define idle mw__kept

/* --- the table: under the heap lock ------------------------------------------------ */

static uint64_t slot_of(uint64_t base)
{
	return (base >> 12) * 0x9e3779b97f4a7c15ULL >> 20 & (heap.n_huge_slots - 1);
}

static void table_put(mspan *s)
{
	uint64_t i = slot_of(s->base);

	while (heap.huge[i])
		i = (i + 1) & (heap.n_huge_slots - 1);
	heap.huge[i] = s;
}

static bool table_grow(void)
{
	uint64_t old_n = heap.n_huge_slots, n = old_n ? old_n * 2 : FIRST_SLOTS;
	mspan **old = heap.huge, **fresh = mw__meta_array(n * sizeof(*fresh));

	if (!fresh)
		return false;
	memset(fresh, 0, n * sizeof(*fresh));
	heap.huge = fresh;
	heap.n_huge_slots = n;
	for (uint64_t i = 0; i < old_n; i++)
		if (old[i])
			table_put(old[i]);
	mw__meta_array_free(old, old_n * sizeof(*old));
	return true;
}

static bool table_has_room(void)
{
	return (heap.n_huge_used + 1) * 2 <= heap.n_huge_slots || table_grow();
}

static bool table_add(mspan *s)
{
	if (!table_has_room())
		return false;
	table_put(s);
	heap.n_huge_used++;
	return true;
}

static mspan *table_find(uint64_t base)
{
	uint64_t i;

	if (heap.n_huge_slots == 0)
		return NULL;
	for (i = slot_of(base); heap.huge[i]; i = (i + 1) & (heap.n_huge_slots - 1))
		if (heap.huge[i]->base == base)
			return heap.huge[i];
	return NULL;
}

static void table_remove(mspan *s)
{
	uint64_t mask = heap.n_huge_slots - 1, hole = slot_of(s->base), i;

	while (heap.huge[hole] != s)
		hole = (hole + 1) & mask;
	for (i = (hole + 1) & mask; heap.huge[i]; i = (i + 1) & mask) {
		uint64_t home = slot_of(heap.huge[i]->base);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			heap.huge[hole] = heap.huge[i];
			hole = i;
		}
	}
	heap.huge[hole] = NULL;
	heap.n_huge_used--;
}

mspan *mw__huge_find(const void *p)
{
	mspan *s;

	mw__heap_lock();
	s = table_find((uintptr_t)p);
	mw__heap_unlock();
	return s;
}

static mspan *contains(mspan *s, uintptr_t p)
{
	return s && p - s->base < (uint64_t)s->npages << MW_PAGE_SHIFT ? s : NULL;
}

/* The single block that @p points into, live or kept for reuse; slow. */
mspan *mw__block_containing(uintptr_t p)
{
	mspan *found = NULL;

	mw__heap_lock();
	found = mw__span_containing(p);
	for (uint64_t i = 0; i < heap.n_huge_slots && !found; i++)
		found = contains(heap.huge[i], p);
	for (int i = 0; i < N_IDLE && !found; i++)
		found = contains(idle[i].span, p);
	mw__heap_unlock();
	return found;
}

/* --- kept mappings: under the heap lock --------------------------------------------- */

/* Take one out for @n pages. */
static mspan *idle_remove(int i, uint32_t n)
{
	mspan *s = idle[i].span;

	idle[i].span = NULL;
	heap.huge_idle_pages -= s->npages;
	region.saved.n_idle_hits++;
	region.saved.idle_pages += s->npages < n ? s->npages : n;
	return s;
}

/* The best kept mapping for @n pages: not more than a quarter too long. */
static mspan *idle_take(uint32_t n)
{
	int best = -1;
	mspan *s;

	for (int i = 0; i < N_IDLE; i++) {
		s = idle[i].span;
		if (s && s->npages >= n && s->npages <= n + n / 4 &&
		    (best < 0 || s->npages < idle[best].span->npages))
			best = i;
	}
	return best < 0 ? NULL : idle_remove(best, n);
}

/* None fits: the nearest one, to be resized. That moves page tables and saves faults. */
static mspan *idle_take_any(uint32_t n)
{
	uint32_t best_gap = UINT32_MAX;
	int best = -1;

	for (int i = 0; i < N_IDLE; i++) {
		uint32_t have = idle[i].span ? idle[i].span->npages : 0;
		uint32_t gap = have > n ? have - n : n - have;

		if (have && gap < best_gap) {
			best = i;
			best_gap = gap;
		}
	}
	return best < 0 ? NULL : idle_remove(best, n);
}

static bool idle_put(mspan *s)
{
	uint64_t cap = heap.pages_in_use / 4;

	cap = cap > IDLE_PAGES_MIN ? cap : IDLE_PAGES_MIN;
	if (heap.huge_idle_pages + s->npages > cap || option(MW_OPT_NO_CACHE) || !mw__options.purge || s->flags & MW_SPAN_GUARDED)
		return false;
	for (int i = 0; i < N_IDLE; i++) {
		if (idle[i].span)
			continue;
		s->state = MW_SPAN_IDLE;
		s->used = 0;
		s->flags |= MW_SPAN_NEEDZERO;
		idle[i].span = s;
		idle[i].since_ms = mw__os_coarse_ms();
		heap.huge_idle_pages += s->npages;
		return true;
	}
	return false;
}

static void unmap(mspan *s)
{
	mw__os_unmap((void *)s->base, (size_t)s->npages << MW_PAGE_SHIFT);
	mw__heap_lock();
	mw__event(MW_EVENT_HUGE_UNMAP, s->base, s->npages, 0);
	mw__span_delete(s);
	mw__heap_unlock();
}

bool mw__was_huge(const void *p)
{
	const struct mw_event *ring = (const struct mw_event *)region.tables[MW_TABLE_EVENTS].addr;

	for (unsigned i = 0; ring && i < MW_N_EVENTS; i++)
		if (ring[i].kind == MW_EVENT_HUGE_UNMAP && ring[i].addr == (uintptr_t)p)
			return true;
	return false;
}

size_t mw__huge_drop_idle(uint64_t now)
{
	size_t freed = 0;

	if (load_relaxed(&heap.huge_idle_pages) == 0)
		return 0;
	for (int i = 0; i < N_IDLE; i++) {
		mspan *s;

		mw__heap_lock();
		s = idle[i].span;
		if (s && (now == 0 || now - idle[i].since_ms >= IDLE_MS)) {
			idle[i].span = NULL;
			heap.huge_idle_pages -= s->npages;
		} else {
			s = NULL;
		}
		mw__heap_unlock();
		if (s) {
			freed += (size_t)s->npages << MW_PAGE_SHIFT;
			unmap(s);
		}
	}
	return freed;
}

/* --- blocks ---------------------------------------------------------------------------- */

/* Map @size bytes aligned to @align by mapping more and cutting both ends. */
static uint64_t map_aligned(size_t size, size_t align)
{
	size_t slack = align > KERNEL_PAGE ? align - KERNEL_PAGE : 0, total;
	uint64_t p, at;

	if (__builtin_add_overflow(size, slack, &total) ||
	    !(p = (uint64_t)mw__os_map(NULL, total, false)))
		return 0;
	at = slack ? round_up(p, align) : p;
	if (at > p)
		mw__os_unmap((void *)p, at - p);
	if (p + total > at + size)
		mw__os_unmap((void *)(at + size), p + total - at - size);
	return at;
}

static bool map_block(mspan *s, size_t size, size_t align)
{
	s->base = map_aligned(size, align);
	s->npages = (uint32_t)(size >> MW_PAGE_SHIFT);
	if (s->base)
		mw__thp_block(s->base, s->npages);
	return s->base != 0;
}

static bool refit(mspan *s, uint32_t npages)
{
	void *p = mw__os_remap((void *)s->base, (size_t)s->npages << MW_PAGE_SHIFT,
			       (size_t)npages << MW_PAGE_SHIFT);

	if (!p)
		return false;
	if ((uintptr_t)p != s->base) {
		mw__heap_lock();
		mw__event(MW_EVENT_HUGE_UNMAP, s->base, s->npages, 0);
		mw__heap_unlock();
	}
	s->base = (uintptr_t)p;
	s->npages = npages;
	return true;
}

/* A span for @npages: kept memory that fits or can be made to, or none yet (base 0). */
static mspan *new_span(uint32_t npages, size_t align)
{
	bool misfit = false;
	mspan *s;

	mw__heap_lock();
	s = align <= KERNEL_PAGE ? idle_take(npages) : NULL;
	if (!s && align <= KERNEL_PAGE && (s = idle_take_any(npages)))
		misfit = true;
	if (!s)
		s = mw__span_new();
	mw__heap_unlock();
	if (misfit && !refit(s, npages)) {
		unmap(s);
		return new_span(npages, align);
	}
	return s;
}

static void account(mspan *s)
{
	heap.huge_pages += s->npages;
	if (heap.pages_in_use + heap.huge_pages > heap.pages_peak)
		heap.pages_peak = heap.pages_in_use + heap.huge_pages;
}

static bool register_block(mspan *s, size_t requested)
{
	bool ok;

	s->state = MW_SPAN_HUGE;
	s->nelems = s->used = 1;
	s->requested = requested;
	s->site = 0;
	mw__heap_lock();
	ok = table_add(s);
	if (ok) {
		heap.n_huge_allocs++;
		account(s);
		mw__event(MW_EVENT_HUGE_MAP, s->base, s->npages, 0);
	}
	mw__heap_unlock();
	return ok;
}

/* What a block that grows gets: an eighth more addresses, which cost nothing untouched. */
static size_t with_slack(size_t size)
{
	return round_up(size + size / 8, MW_PAGE_SIZE);
}

static size_t guard_size(void)
{
	return option(MW_OPT_GUARD) ? MW_PAGE_SIZE : 0;
}

static size_t bytes_of(const mspan *s)
{
	return (size_t)s->npages << MW_PAGE_SHIFT;
}

/* What is behind the block's last page is unreadable; a freed one is unmapped. */
static void put_guard(mspan *s)
{
	mw__os_protect((void *)(s->base + bytes_of(s) - MW_PAGE_SIZE), MW_PAGE_SIZE, false);
	s->flags |= MW_SPAN_GUARDED;
}

mspan *mw__huge_alloc(size_t requested, size_t align, bool roomy)
{
	/* audit wants one byte behind the block */
	size_t size = round_up(requested ? requested + !!option(MW_OPT_AUDIT) : 1, MW_PAGE_SIZE) + guard_size();
	mspan *s;

	if (size < requested || with_slack(size) >> MW_PAGE_SHIFT > UINT32_MAX)
		return NULL;
	s = new_span((uint32_t)(size >> MW_PAGE_SHIFT), align);
	if (!s)
		return NULL;
	roomy &= !guard_size();
	if (s->base || (roomy && map_block(s, with_slack(size), align)) || map_block(s, size, align)) {
		if (guard_size())
			put_guard(s);
		if (register_block(s, requested))
			return s;
		unmap(s);
		return NULL;
	}
	mw__heap_lock();
	mw__span_delete(s);
	mw__heap_unlock();
	return NULL;
}

void mw__huge_free(mspan *s)
{
	bool kept;

	mw__heap_lock();
	table_remove(s);
	heap.n_huge_frees++;
	heap.huge_pages -= s->npages;
	kept = idle_put(s);
	mw__heap_unlock();
	if (!kept)
		unmap(s);
	mw__scavenge_tick();
}

/* The table must not know the span while its address changes. Heap lock. */
static bool remap(mspan *s, size_t size)
{
	void *p = mw__os_remap((void *)s->base, bytes_of(s), size);

	if (!p)
		return false;
	table_remove(s);
	heap.huge_pages -= s->npages;
	region.saved.n_moves++;
	region.saved.moved_pages += s->npages;
	if ((uintptr_t)p != s->base) {
		mw__event(MW_EVENT_HUGE_UNMAP, s->base, s->npages, 0);
		mw__event(MW_EVENT_HUGE_MAP, (uintptr_t)p, (uint32_t)(size >> MW_PAGE_SHIFT), 0);
	}
	s->base = (uintptr_t)p;
	s->npages = (uint32_t)(size >> MW_PAGE_SHIFT);
	table_put(s);
	heap.n_huge_used++;
	account(s);
	return true;
}

/* A shorter one keeps its place, and its end until a quarter of it would be idle. A guard stays at the end. */
bool mw__huge_resize(mspan *s, size_t requested, bool roomy)
{
	size_t size = round_up(requested, MW_PAGE_SIZE), have = bytes_of(s);
	bool ok;

	if (s->flags & MW_SPAN_GUARDED)
		return size == have - MW_PAGE_SIZE;
	if (size < requested || with_slack(size) >> MW_PAGE_SHIFT > UINT32_MAX)
		return false;
	if (size <= have && size >= have - have / 4)
		return true;
	mw__heap_lock();
	ok = (roomy && size > have && remap(s, with_slack(size))) || remap(s, size);
	mw__heap_unlock();
	return ok;
}

/* Under the heap lock, with room in the table. */
static void become_huge(mspan *s, void *base, size_t size)
{
	mw__span_retire(s);
	mw__run_free_clean(s);
	heap.n_large_frees++;
	region.saved.n_moves++;
	region.saved.moved_pages += s->npages;
	s->base = (uintptr_t)base;
	s->npages = (uint32_t)(size >> MW_PAGE_SHIFT);
	s->state = MW_SPAN_HUGE;
	mw__thp_moved(s->base, s->npages);
	table_put(s);
	heap.n_huge_used++;
	heap.n_huge_allocs++;
	account(s);
	mw__event(MW_EVENT_HUGE_MAP, s->base, s->npages, 0);
}

/* A large block leaves its arena without being copied: what was never touched stays so. */
bool mw__huge_from_run(mspan *s, size_t requested)
{
	size_t size = with_slack(round_up(requested, MW_PAGE_SIZE)), old = bytes_of(s);
	void *moved = NULL, *p = NULL;

	if (option(MW_OPT_GUARD))
		return false;
	mw__heap_lock();
	if (table_has_room() && (moved = mw__os_move_out((void *)s->base, old)))
		p = mw__os_remap(moved, old, size);
	if (p)
		become_huge(s, p, size);
	else if (moved)
		mw__os_move_back((void *)s->base, moved, old);
	mw__heap_unlock();
	return p != NULL;
}
