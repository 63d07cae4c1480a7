/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pages.c - the page heap: arenas, runs of pages, and giving memory back.
 *
 * An arena is 64 MiB of addresses with three bitmaps (mapped, in use, clean). A run
 * never crosses arenas. Allocation is first fit by address, as Go's is: low addresses
 * fill up, high ones drain and can be given back. Go finds its run through five
 * levels of summaries over the whole address space, which it reserves at start; a
 * preloaded library may run under a limit on address space, so here the summary is
 * one 16-bit word an arena, an upper bound of its longest free run. The search walks
 * that array (32 arenas a cache line), then one kilobyte of bitmap, from the first
 * place where a run of that length may start (first_run, one for each length up to 64
 * and for four in an octave above). Searches tighten the bounds, frees loosen them.
 *
 * Arenas grow by pieces. The 64 MiB slot is chosen by address hint and nothing is
 * reserved in it; a piece that the kernel refuses is asked for again smaller, and
 * then anywhere. Pages that are not mapped have their alloc bit set.
 *
 * Scavenging. Free pages that may be resident are "dirty". More than retain_bytes
 * plus a quarter of the pages in use are given back, at most every 100 ms, as far as
 * nobody has wanted them since the last check (dirty_low): a program that frees much and
 * takes it again at once keeps it. Besides, of the dirty pages that nobody has wanted for
 * half a decay period, half go. It starts from the highest address. No lock is held
 * during madvise: the run is marked in use meanwhile.
 */
#include "bits.h"

#define PIECE_PAGES 512u       /* grow by 4 MiB */
#define PIECE_PAGES_BIG 2048u  /* 16 MiB once the heap is large */
#define MIN_PIECE_PAGES 8u
#define SCAVENGE_PERIOD_MS 100
#define SCAVENGE_MOST (256u << 20 >> MW_PAGE_SHIFT) /* at once; the free() that does it waits for it */
#define RETAIN_MIN (1u << 20 >> MW_PAGE_SHIFT)
#define ARENA_HINTS 64         /* slots to try before taking what the kernel gives */

uintptr_t mw__page_descs[1u << ARENA_TABLE_BITS];

static struct mw_event events_none;
TOGETHER static uint64_t next_hint;     /* slot to try next; under the heap lock */
TOGETHER static heap_arena *growing;    /* arena to extend first; under the heap lock */
TOGETHER static bool has_holes;         /* release_addresses has unmapped something */

/* --- arenas ------------------------------------------------------------------ */

static uint32_t page_index(const heap_arena *a, uint64_t addr)
{
	return (uint32_t)((addr - a->base) >> MW_PAGE_SHIFT);
}

static uint64_t arena_position(const heap_arena *a)
{
	uint64_t lo = 0, hi = heap.n_arenas;

	while (lo < hi) {
		uint64_t mid = (lo + hi) / 2;

		if (heap.arenas[mid]->base < a->base)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void set_max_run(heap_arena *a, uint32_t run)
{
	a->max_run = run;
	heap.max_runs[arena_position(a)] = (uint16_t)run;
}

/* The old arrays stay as they are: a reader may be in the middle of them. */
static bool reserve_arena_slot(void)
{
	uint64_t cap = heap.cap_arenas ? heap.cap_arenas * 2 : 64;
	heap_arena **arenas;
	uint16_t *runs;

	if (heap.n_arenas < heap.cap_arenas)
		return true;
	arenas = mw__meta_alloc(cap * sizeof(*arenas));
	runs = mw__meta_alloc(cap * sizeof(*runs));
	if (!arenas || !runs)
		return false;
	if (heap.n_arenas > 0) {
		memcpy(arenas, heap.arenas, heap.n_arenas * sizeof(*arenas));
		memcpy(runs, heap.max_runs, heap.n_arenas * sizeof(*runs));
	}
	heap.arenas = arenas;
	heap.max_runs = runs;
	heap.cap_arenas = cap;
	return true;
}

static heap_arena *arena_make(uint64_t base, bool may_grow)
{
	heap_arena *a = mw__arena_of((void *)base);
	uint64_t at;

	if (a)
		return a;
	if (!reserve_arena_slot() || !(a = mw__meta_alloc(sizeof(*a))))
		return NULL;
	a->base = base & ~(uint64_t)(MW_ARENA_SIZE - 1);
	a->first_free = MW_ARENA_PAGES;
	for (uint32_t i = 0; i < MW_N_RUNS; i++)
		a->first_run[i] = MW_ARENA_PAGES;
	a->may_grow = may_grow;
	memset(a->alloc_bits, 0xff, sizeof(a->alloc_bits));
	at = arena_position(a);
	memmove(heap.arenas + at + 1, heap.arenas + at, (heap.n_arenas - at) * sizeof(a));
	memmove(heap.max_runs + at + 1, heap.max_runs + at,
		(heap.n_arenas - at) * sizeof(*heap.max_runs));
	heap.arenas[at] = a;
	heap.max_runs[at] = 0;
	heap.n_arenas++;
	__atomic_store_n(&mw__page_descs[base >> MW_ARENA_SHIFT], (uintptr_t)a->page_desc - page_descs_before(base), __ATOMIC_RELEASE);
	return a;
}

/* The last entry of first_run that runs of @n pages matter to. */
static uint32_t run_index(uint32_t n)
{
	uint32_t octave = 31 - (uint32_t)__builtin_clz(n);

	return n <= 64 ? n - 1 : 63 + (octave - 6) * 4 + (n >> (octave - 2) & 3);
}

/* first_run never falls with its index, so both loops end at the first that is right. */
static void note_free(heap_arena *a, uint32_t at, uint32_t n)
{
	uint32_t start = zeros_below(a->alloc_bits, at);
	uint32_t run = zeros_above(a->alloc_bits, at + n) - start;

	if (run > a->max_run)
		set_max_run(a, run);
	if (at < a->first_free)
		a->first_free = at;
	for (uint32_t i = run_index(run) + 1; i-- > 0 && a->first_run[i] > start;)
		a->first_run[i] = (uint16_t)start;
}

/* The first fit for @n pages was at @at, and the first @taken of them are taken. */
static void note_found(heap_arena *a, uint32_t at, uint32_t n, uint32_t taken)
{
	uint32_t i = run_index(n);
	uint16_t next = (uint16_t)(at + taken);

	i += mw_abi_run_min(i) < n;
	for (; i + 4 <= MW_N_RUNS && a->first_run[i + 3] < next; i += 4) /* often most of them */
		memcpy(&a->first_run[i], (const uint16_t[]){ next, next, next, next }, 4 * sizeof(next));
	for (; i < MW_N_RUNS && a->first_run[i] < next; i++)
		a->first_run[i] = next;
}

/* Pages [at, at + n) of @a have just been mapped. */
static void add_pages(heap_arena *a, uint32_t at, uint32_t n)
{
	bits_assign(a->map_bits, at, n, true);
	bits_assign(a->clean_bits, at, n, true);
	bits_assign(a->alloc_bits, at, n, false);
	heap.pages_mapped += n;
	heap.pages_clean += n;
	note_free(a, at, n);
	mw__event(MW_EVENT_GROW, a->base + ((uint64_t)at << MW_PAGE_SHIFT), n, 0);
}

/* --- growing ----------------------------------------------------------------- */

/* Small at first; large once the heap is. */
static uint32_t piece_pages(void)
{
	return heap.pages_mapped < 4 * PIECE_PAGES_BIG ? PIECE_PAGES : PIECE_PAGES_BIG;
}

/* Map the @n pages from @at of @a, and more up to @piece while nothing of ours is there. */
static bool map_piece(heap_arena *a, uint32_t at, uint32_t n, uint32_t piece)
{
	uint32_t need = n;
	uint64_t addr;

	while (n < piece && at + n < MW_ARENA_PAGES && !bit_get(a->map_bits, at + n))
		n++;
	addr = a->base + ((uint64_t)at << MW_PAGE_SHIFT);
	if (!mw__os_map((void *)addr, (size_t)n << MW_PAGE_SHIFT, true))
		return false;
	mw__thp_piece(a, addr, n, need);
	add_pages(a, at, n);
	return true;
}

static bool grow_arena(heap_arena *a, uint32_t need, uint32_t piece)
{
	uint32_t at = find_zeros(a->map_bits, 0, need);

	return at < MW_ARENA_PAGES && map_piece(a, at, need, piece);
}

/* Arenas start at a random place of the upper half: their own share of ASLR. */
static uint64_t hint(void)
{
	if (next_hint == 0)
		next_hint = 0x600000000000ULL + ((mw__os_random() & 0x3ffff) << MW_ARENA_SHIFT);
	return next_hint;
}

static bool grow_new_arena(uint32_t need, uint32_t piece)
{
	for (int i = 0; i < ARENA_HINTS; i++) {
		uint64_t base = hint();
		size_t size = (size_t)(need > piece ? need : piece) << MW_PAGE_SHIFT;

		next_hint += MW_ARENA_SIZE;
		if (mw__arena_of((void *)base) || !mw__os_map((void *)base, size, true))
			continue;
		if (!(growing = arena_make(base, true))) {
			mw__os_unmap((void *)base, size);
			return false;
		}
		mw__thp_piece(growing, base, pages_of(size), need);
		add_pages(growing, 0, pages_of(size));
		return true;
	}
	return false;
}

/* Take what the kernel gives, page aligned, perhaps across two arenas. */
static bool grow_anywhere(uint32_t need)
{
	size_t size = ((size_t)need + 1) << MW_PAGE_SHIFT;
	uint64_t start = (uint64_t)mw__os_map(NULL, size, false), end = start + size;
	uint64_t at = round_up(start, MW_PAGE_SIZE);
	bool fits = false;

	if (!start)
		return false;
	end &= ~(uint64_t)(MW_PAGE_SIZE - 1);
	while (at < end) {
		uint64_t stop = round_up(at + 1, MW_ARENA_SIZE);
		heap_arena *a = arena_make(at, false);
		uint32_t n;

		stop = stop < end ? stop : end;
		n = (uint32_t)((stop - at) >> MW_PAGE_SHIFT);
		if (!a) {
			mw__os_unmap((void *)at, stop - at);
		} else {
			mw__thp_piece(a, at, n, need);
			add_pages(a, page_index(a, at), n);
			fits |= n >= need;
		}
		at = stop;
	}
	return fits;
}

static bool grow_holes(uint32_t need)
{
	if (!has_holes)
		return false;
	for (uint64_t i = 0; i < heap.n_arenas; i++)
		if (heap.arenas[i]->may_grow && grow_arena(heap.arenas[i], need, PIECE_PAGES))
			return true;
	has_holes = false;
	return false;
}

static bool grow(uint32_t need)
{
	for (uint32_t piece = piece_pages(); piece >= MIN_PIECE_PAGES; piece /= 8) {
		if (growing && grow_arena(growing, need, piece))
			return true;
		if (grow_holes(need) || grow_new_arena(need, piece))
			return true;
	}
	return grow_anywhere(need + MIN_PIECE_PAGES) || grow_anywhere(need) || grow_anywhere(2 * need);
}

/* --- runs -------------------------------------------------------------------- */

static void take(heap_arena *a, mspan *s, uint32_t at, uint32_t n)
{
	uint32_t clean = bits_count(a->clean_bits, at, n);
	bool lazy = option(MW_OPT_LAZY) && at < a->n_touched;

	s->base = a->base + ((uint64_t)at << MW_PAGE_SHIFT);
	s->npages = n;
	s->flags = clean < n || lazy ? MW_SPAN_NEEDZERO : 0;
	bits_assign(a->alloc_bits, at, n, true);
	bits_assign(a->clean_bits, at, n, false);
	heap.pages_in_use += n;
	heap.pages_clean -= clean;
	heap.pages_dirty -= n - clean;
	heap.reused_dirty_pages += n - clean;
	if (heap.pages_dirty < heap.dirty_low)
		heap.dirty_low = heap.pages_dirty;
	if (at + n > a->n_touched)
		a->n_touched = at + n;
	if (at == a->first_free)
		a->first_free = at + n;
	if (heap.pages_in_use + heap.huge_pages > heap.pages_peak)
		heap.pages_peak = heap.pages_in_use + heap.huge_pages;
}

/*
 * @n pages at a multiple of @g. There is no run of n + g - 1 pages below it, for that
 * would hold such a place.
 */
static bool find_placed(heap_arena *a, mspan *s, uint32_t n, uint32_t g)
{
	uint32_t from = a->first_run[run_index(n)] / 64 % MW_ARENA_WORDS;
	uint32_t at = find_groups(a->alloc_bits, from, n, g);

	if (at == MW_ARENA_PAGES)
		return false;
	take(a, s, at, n);
	if (at >= g)
		note_found(a, at - (g - 1), n + g - 1, 0);
	return true;
}

/*
 * @n pages, which @room more follow that stay free. At a multiple of @align; if it can be
 * had in the same arena, at one of @g.
 */
static bool find_run(mspan *s, uint32_t n, uint32_t room, uint32_t align, uint32_t g)
{
	uint32_t want = n + room;

	for (uint64_t i = 0; i < heap.n_arenas; i++) {
		heap_arena *a;
		uint32_t at;

		if (heap.max_runs[i] < want)
			continue;
		a = heap.arenas[i];
		if (g > 1 && find_placed(a, s, n, g))
			return true;
		at = find_aligned(a->alloc_bits, a->first_run[run_index(want)] / 64 % MW_ARENA_WORDS, want, align);
		if (at < MW_ARENA_PAGES) {
			take(a, s, at, n);
			if (align <= 1)
				note_found(a, at, want, n);
			return true;
		}
		if (align <= 1)
			set_max_run(a, want - 1);
	}
	return false;
}

bool mw__run_alloc(mspan *s, uint32_t n, uint32_t align)
{
	uint32_t need = align > 1 ? n + align : n;

	return find_run(s, n, 0, align, 1) || (grow(need) && find_run(s, n, 0, align, 1));
}

/*
 * A large run: at a multiple of its granule. What a block of a megabyte begins with is
 * often all of it that is touched; when such blocks come and go, the pages that they
 * begin with are then few, and free runs between them fit the next.
 */
bool mw__run_find_large(mspan *s, uint32_t n)
{
	return find_run(s, n, 0, 1, mw_abi_run_granule(n));
}

bool mw__run_alloc_large(mspan *s, uint32_t n)
{
	return mw__run_find_large(s, n) || (grow(n) && mw__run_find_large(s, n));
}

bool mw__run_find(mspan *s, uint32_t n)
{
	return find_run(s, n, 0, 1, 1);
}

bool mw__run_alloc_roomy(mspan *s, uint32_t n, uint32_t room)
{
	return find_run(s, n, room, 1, 1) || (grow(n + room) && find_run(s, n, room, 1, 1)) ||
	       mw__run_alloc(s, n, 1);
}

static void give(heap_arena *a, uint32_t at, uint32_t n)
{
	bits_assign(a->alloc_bits, at, n, false);
	heap.pages_in_use -= n;
	heap.pages_dirty += n;
	note_free(a, at, n);
}

void mw__run_free(mspan *s)
{
	heap_arena *a = mw__arena_of((void *)s->base);

	give(a, page_index(a, s->base), s->npages);
}

/* None of it was touched since it was taken without NEEDZERO. */
void mw__run_free_untouched(mspan *s)
{
	heap_arena *a = mw__arena_of((void *)s->base);

	mw__run_free(s);
	bits_assign(a->clean_bits, page_index(a, s->base), s->npages, true);
	heap.pages_dirty -= s->npages;
	heap.pages_clean += s->npages;
}

/* Its memory has been moved elsewhere: the pages read as zero. */
void mw__run_free_clean(mspan *s)
{
	heap_arena *a = mw__arena_of((void *)s->base);

	mw__run_free_untouched(s);
	bits_assign(a->given_back_bits, page_index(a, s->base), s->npages, true);
}

/* Map what is missing of the @n free pages from @at, which the arena's last piece ends with. */
static bool extend_piece(heap_arena *a, uint32_t at, uint32_t n)
{
	uint32_t free = zeros_above(a->alloc_bits, at) - at;

	if (free >= n)
		return true;
	if (a != growing || bits_count(a->map_bits, at + free, n - free) > 0)
		return false;
	return map_piece(a, at + free, n - free, piece_pages());
}

bool mw__run_grow(mspan *s, uint32_t npages)
{
	heap_arena *a = mw__arena_of((void *)s->base);
	uint32_t at = page_index(a, s->base), more = npages - s->npages;
	uint8_t flags = s->flags;
	mspan tail;

	if (at + npages > MW_ARENA_PAGES || !extend_piece(a, at + s->npages, more))
		return false;
	take(a, &tail, at + s->npages, more);
	s->npages = npages;
	s->flags = flags | tail.flags;
	return true;
}

/* How many of the @most pages behind @s are free and have no memory behind them. */
uint32_t mw__run_clean_behind(const mspan *s, uint32_t most)
{
	heap_arena *a = mw__arena_of((void *)s->base);
	uint32_t at = page_index(a, s->base) + s->npages, end = min_u32(at + most, MW_ARENA_PAGES), n;

	for (n = 0; at + n < end && !bit_get(a->alloc_bits, at + n) && bit_get(a->clean_bits, at + n); n++)
		;
	return n;
}

/* Take @npages pages at @addr that are free. */
void mw__run_take(mspan *s, uint64_t addr, uint32_t npages)
{
	heap_arena *a = mw__arena_of((void *)addr);

	take(a, s, page_index(a, addr), npages);
}

void mw__run_shrink(mspan *s, uint32_t npages)
{
	heap_arena *a = mw__arena_of((void *)s->base);

	give(a, page_index(a, s->base) + npages, s->npages - npages);
	s->npages = npages;
}

/* --- whose pages ------------------------------------------------------------------ */

/*
 * Tell free() and readers whose pages these are. The pages of a single block (@cls 0)
 * but the first stay unmarked: nothing points into them but a wrong free.
 */
void mw__span_publish(mspan *s, unsigned cls)
{
	heap_arena *a = mw__arena_of((void *)s->base);
	uint32_t at = page_index(a, s->base);

	store_relaxed(&a->spans[at], s);
	if (s->state != MW_SPAN_SMALL && s->state != MW_SPAN_PRIVATE)
		return;
	for (uint32_t i = 0; i < s->npages; i++) {
		store_relaxed(&a->spans[at + i], s);
		store_relaxed(&a->page_desc[at + i], page_desc(s->base, cls));
	}
}

/* The pages belong to no span any more. */
void mw__span_retire(mspan *s)
{
	heap_arena *a = mw__arena_of((void *)s->base);
	uint32_t at = page_index(a, s->base);

	store_relaxed(&a->spans[at], NULL);
	if (s->state != MW_SPAN_SMALL && s->state != MW_SPAN_PRIVATE)
		return;
	for (uint32_t i = 0; i < s->npages; i++) {
		store_relaxed(&a->page_desc[at + i], 0);
		store_relaxed(&a->spans[at + i], NULL);
	}
}

bool mw__was_ours(const void *p)
{
	heap_arena *a = mw__arena_of(p);

	return a && page_index(a, (uintptr_t)p) < a->n_touched;
}

/* The span of the single block that @p points into; for error messages. Heap lock. */
mspan *mw__span_containing(uintptr_t p)
{
	heap_arena *a = mw__arena_of((void *)p);
	uint32_t at;

	if (!a)
		return NULL;
	for (at = page_index(a, p); at > 0 && !a->spans[at] && bit_get(a->alloc_bits, at);)
		at--;
	if (a->spans[at] && p - a->spans[at]->base < (uint64_t)a->spans[at]->npages << MW_PAGE_SHIFT)
		return a->spans[at];
	return NULL;
}

/* --- scavenging ---------------------------------------------------------------- */

/* A quarter of what is in use; besides retain_bytes, of which a small heap keeps less. */
static uint64_t dirty_limit(void)
{
	uint64_t quarter = (heap.pages_in_use + heap.huge_pages) / 4;
	uint64_t retain = mw__options.retain >> MW_PAGE_SHIFT;

	return quarter + (retain < quarter + RETAIN_MIN ? retain : quarter + RETAIN_MIN);
}

/* The highest dirty free run at or below @top, at most @max pages, inside one word. */
static bool dirty_run_below(const heap_arena *a, uint32_t top, uint32_t max, uint32_t *at,
			    uint32_t *n)
{
	for (uint32_t w = top / 64 + 1; w-- > 0;) {
		uint64_t dirty = ~a->alloc_bits[w] & ~a->clean_bits[w];
		uint32_t hi, len;

		if (w == top / 64 && top % 64 != 63)
			dirty &= (1ULL << (top % 64 + 1)) - 1;
		if (!dirty)
			continue;
		hi = 63 - (uint32_t)__builtin_clzll(dirty);
		dirty = ~(dirty << (63 - hi));
		len = dirty ? (uint32_t)__builtin_clzll(dirty) : 64;
		len = min_u32(len, max);
		*at = w * 64 + hi + 1 - len;
		*n = len;
		return true;
	}
	return false;
}

/* Join the runs of the words below, so that one call gives back up to 2 MiB. */
static void extend_down(const heap_arena *a, uint32_t *at, uint32_t *n, uint32_t max)
{
	while (*at > 0 && *n < max && *n < 256 && !bit_get(a->alloc_bits, *at - 1) &&
	       !bit_get(a->clean_bits, *at - 1)) {
		--*at;
		++*n;
	}
}

/* The run that is being given back: one at a time. */
TOGETHER static struct flight {
	heap_arena *a;
	uint32_t at, n;
} in_flight;

/* The thread that was at it does not exist in a fork child. */
void mw__scavenge_after_fork(void)
{
	struct flight f = in_flight;

	if (f.n == 0)
		return;
	in_flight.n = 0;
	give(f.a, f.at, f.n);
}

static void purge_run(heap_arena *a, uint32_t at, uint32_t n)
{
	void *addr = (void *)(a->base + ((uint64_t)at << MW_PAGE_SHIFT));
	bool done;

	bits_assign(a->alloc_bits, at, n, true);
	heap.pages_dirty -= n;
	heap.pages_in_use += n;
	in_flight = (struct flight){ a, at, n };
	mw__heap_unlock();
	done = mw__os_purge(addr, (size_t)n << MW_PAGE_SHIFT, option(MW_OPT_LAZY));
	mw__heap_lock();
	in_flight.n = 0;
	bits_assign(a->alloc_bits, at, n, false);
	heap.pages_in_use -= n;
	if (done) {
		mw__thp_given_back(a);
		bits_assign(a->clean_bits, at, n, true);
		bits_assign(a->given_back_bits, at, n, true);
		heap.pages_clean += n;
		heap.scavenged_bytes += (uint64_t)n << MW_PAGE_SHIFT;
		mw__event(MW_EVENT_SCAVENGE, (uint64_t)addr, n, 0);
	} else {
		heap.pages_dirty += n;
	}
	note_free(a, at, n);
}

static bool purge_arena(heap_arena *a, uint64_t *pages)
{
	uint32_t top = a->n_touched ? a->n_touched - 1 : 0, at, n;

	while (*pages > 0 && a->n_touched > 0 &&
	       dirty_run_below(a, top, (uint32_t)(*pages < 256 ? *pages : 256), &at, &n)) {
		extend_down(a, &at, &n, (uint32_t)(*pages < 256 ? *pages : 256));
		purge_run(a, at, n);
		*pages -= n;
		if (at == 0)
			return true;
		top = at - 1;
	}
	return *pages > 0;
}

/* Give back @pages from the top. The lock is dropped meanwhile, arenas never vanish. */
static void purge_pages(uint64_t pages)
{
	uint64_t i = heap.n_arenas;

	if (in_flight.n > 0)
		return; /* somebody else is at it */
	heap.n_scavenges++;
	while (i-- > 0 && purge_arena(heap.arenas[i], &pages))
		;
	heap.dirty_low = heap.pages_dirty;
}

void mw__scavenge(bool all, size_t keep)
{
	uint64_t keep_pages = all ? pages_of(keep) : dirty_limit();

	mw__heap_lock();
	if (heap.pages_dirty > keep_pages)
		purge_pages(heap.pages_dirty - keep_pages);
	mw__spans_scavenge();
	mw__heap_unlock();
}

/* The decay periods, in halves. */
TOGETHER static struct half_life {
	uint64_t since_ms, low; /* the fewest dirty pages since */
} half_life;

/* True once in a half: *@unwanted pages have been dirty all the time. */
static bool decays(uint64_t now, uint64_t *unwanted)
{
	if (heap.dirty_low < half_life.low)
		half_life.low = heap.dirty_low;
	if (now - half_life.since_ms < mw__options.decay_ms / 2)
		return false;
	*unwanted = half_life.low;
	half_life = (struct half_life){ now, UINT64_MAX };
	return true;
}

/*
 * What is above the limit, and half of what was unwanted for a half; each only as far as it has
 * been dirty since the last look, since what is free for a moment will be wanted again.
 */
static uint64_t pages_to_purge(uint64_t unwanted)
{
	uint64_t limit = dirty_limit(), pages = 0;

	if (heap.pages_dirty > limit)
		pages = min_u64(heap.pages_dirty - limit, heap.dirty_low);
	return (unwanted + 1) / 2 > pages ? (unwanted + 1) / 2 : pages;
}

static void scavenge_in_time(uint64_t most)
{
	uint64_t now, pages, unwanted = 0;
	bool decayed = false;

	if (!mw__options.purge)
		return;
	mw__background_check();
	now = mw__os_coarse_ms();
	if (now - load_relaxed(&heap.last_scavenge_ms) < SCAVENGE_PERIOD_MS)
		return;
	mw__heap_lock();
	if (now - heap.last_scavenge_ms >= SCAVENGE_PERIOD_MS) { /* nobody else did it just now */
		heap.last_scavenge_ms = now;
		decayed = decays(now, &unwanted);
		pages = pages_to_purge(unwanted);
		if (pages > 0)
			purge_pages(min_u64(pages, most));
		heap.dirty_low = heap.pages_dirty;
		if (pages > 0 || decayed)
			mw__spans_scavenge();
	}
	mw__heap_unlock();
	if (decayed)
		mw__central_drop_idle();
	mw__huge_drop_idle(now);
}

/*
 * Called from slow paths with no lock held. The period also bounds how often memory
 * that goes back and forth pays for it.
 */
void mw__scavenge_tick(void)
{
	scavenge_in_time(SCAVENGE_MOST);
}

/* Called by a thread of our own, for which nobody waits. */
void mw__scavenge_background(void)
{
	scavenge_in_time(UINT64_MAX);
}

/* --- out of addresses ------------------------------------------------------------ */

static size_t unmap_free(heap_arena *a)
{
	size_t freed = 0;
	uint32_t at = 0, n;

	while ((at = find_zeros(a->alloc_bits, at / 64, MIN_PIECE_PAGES)) < MW_ARENA_PAGES) {
		for (n = MIN_PIECE_PAGES; at + n < MW_ARENA_PAGES && !bit_get(a->alloc_bits, at + n);)
			n++;
		mw__os_unmap((void *)(a->base + ((uint64_t)at << MW_PAGE_SHIFT)),
			     (size_t)n << MW_PAGE_SHIFT);
		heap.pages_clean -= bits_count(a->clean_bits, at, n);
		heap.pages_dirty -= n - bits_count(a->clean_bits, at, n);
		heap.pages_mapped -= n;
		bits_assign(a->alloc_bits, at, n, true);
		bits_assign(a->map_bits, at, n, false);
		bits_assign(a->clean_bits, at, n, false);
		bits_assign(a->given_back_bits, at, n, false);
		mw__event(MW_EVENT_UNMAP, a->base + ((uint64_t)at << MW_PAGE_SHIFT), n, 0);
		freed += (size_t)n << MW_PAGE_SHIFT;
	}
	if (freed)
		set_max_run(a, MIN_PIECE_PAGES * 2);
	return freed;
}

/* The kernel has refused memory: let go of free addresses, from the top, until enough. */
size_t mw__release_addresses(size_t wanted)
{
	size_t freed = 0;

	mw__heap_lock();
	for (uint64_t i = heap.n_arenas; i-- > 0 && freed < wanted;)
		freed += unmap_free(heap.arenas[i]);
	has_holes |= freed > 0;
	mw__heap_unlock();
	return freed;
}

/* --- the lock and the events ------------------------------------------------------- */

void mw__heap_lock(void)
{
	mw__lock(&heap.lock, RANK_HEAP);
}

void mw__heap_unlock(void)
{
	mw__unlock(&heap.lock, RANK_HEAP);
}

void mw__event(enum mw_event_kind kind, uint64_t addr, uint32_t npages, unsigned cls)
{
	struct mw_event *ring = (struct mw_event *)region.tables[MW_TABLE_EVENTS].addr;
	struct mw_event *e = ring ? &ring[region.n_events & (MW_N_EVENTS - 1)] : &events_none;

	store_relaxed(&e->seq, 0);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	e->time_ms = heap.last_scavenge_ms;
	e->addr = addr;
	e->npages = npages;
	e->kind = (uint8_t)kind;
	e->cls = (uint8_t)cls;
	__atomic_store_n(&e->seq, ++region.n_events, __ATOMIC_RELEASE);
}
