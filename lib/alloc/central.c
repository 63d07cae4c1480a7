/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * central.c - mcentral: one store of objects for each size class.
 *
 * Two parts under one lock. The transfer array passes batches between threads: what
 * one thread's overflow leaves there, another's refill takes, and no span is looked
 * at. Behind it are the spans, in Go's sets "partial" and "full"; partial is kept in
 * four lists by fullness and the fullest is used first, so that sparse spans drain
 * and their pages go back. (Go can pick any: its sweep finds empty spans later.)
 *
 * A span keeps Go's allocBits and freeindex. They are touched by batches, never by a
 * single malloc. A bit that is already clear when an object comes back is a double
 * free. Fresh memory is handed out at most one kernel page at a time, so that a
 * program which wants ten objects does not touch a whole span.
 *
 * A class that grows gets spans side by side: with a new one, the pages behind it that
 * have no memory become spans too, which wait untouched. What a program allocates
 * together then lies together, as with the larger spans of others, and pages still go
 * back one span at a time.
 */
#include "bits.h"

mcentral mw__centrals[MW_N_CLASSES];

enum { FULL = 4, UNTOUCHED = 5 };

#define NEIGHBOURS 16u /* pages that become spans at once, at most; and half of what the class has */

static unsigned fullness_of(const mspan *s)
{
	return s->used == s->nelems ? FULL : s->used * 4u / s->nelems;
}

static mspan **list_of(mcentral *m, unsigned f)
{
	return f == UNTOUCHED ? &m->untouched : &m->lists[f];
}

static void list_add(mcentral *m, mspan *s, unsigned f)
{
	mspan **list = list_of(m, f);

	s->fullness = (uint8_t)f;
	s->prev = NULL;
	s->next = *list;
	if (s->next)
		s->next->prev = s;
	*list = s;
}

static void list_remove(mcentral *m, mspan *s)
{
	if (s->next)
		s->next->prev = s->prev;
	if (s->prev)
		s->prev->next = s->next;
	else
		*list_of(m, s->fullness) = s->next;
}

static void list_update(mcentral *m, mspan *s)
{
	unsigned f = fullness_of(s);

	if (f == s->fullness)
		return;
	list_remove(m, s);
	list_add(m, s, f);
}

mcentral *mw__central_lock(unsigned c)
{
	mcentral *m = &mw__centrals[c];

	mw__lock(&m->lock, RANK_CENTRAL);
	m->cls = c; /* here, so that unused ones are not touched */
	return m;
}

void mw__central_unlock(mcentral *m)
{
	mw__unlock(&m->lock, RANK_CENTRAL);
}

/* --- spans come and go ---------------------------------------------------------- */

static mspan *run_for_class(const struct mw_class *k)
{
	mspan *s = mw__span_new();

	if (s && !mw__run_find(s, k->pages) && !(mw__large_spill() && mw__run_find(s, k->pages)) &&
	    !mw__run_alloc(s, k->pages, 1)) {
		mw__span_delete(s);
		return NULL;
	}
	return s;
}

/* The run @s becomes a span of @m, on its list of untouched ones. Both locks. */
static void span_start(mcentral *m, mspan *s)
{
	const struct mw_class *k = &mw__classes[m->cls];

	s->cls = (uint8_t)m->cls;
	s->elemsize = k->size;
	s->nelems = (uint16_t)k->n_objects;
	s->state = MW_SPAN_SMALL;
	mw__span_publish(s, option(MW_OPT_NO_CACHE) ? 0 : m->cls);
	heap.pages_in_small += s->npages;
	mw__event(MW_EVENT_SPAN_MADE, s->base, s->npages, m->cls);
	list_add(m, s, UNTOUCHED);
	m->n_spans_made++;
	if (++m->n_spans > m->n_spans_peak)
		m->n_spans_peak = m->n_spans;
}

/* From the far end, so that the list begins with the nearest. */
static void add_neighbours(mcentral *m, const mspan *s)
{
	uint32_t pages = s->npages;
	uint64_t half = m->n_spans / 2 * pages;
	uint32_t n = mw__run_clean_behind(s, half < NEIGHBOURS ? (uint32_t)half : NEIGHBOURS) / pages;
	mspan *next;

	for (; n > 0 && (next = mw__span_new()); n--) {
		mw__run_take(next, s->base + ((uint64_t)(n * pages) << MW_PAGE_SHIFT), pages);
		span_start(m, next);
	}
}

static mspan *span_make(mcentral *m)
{
	mspan *s;

	mw__heap_lock();
	s = run_for_class(&mw__classes[m->cls]);
	if (s && !(s->flags & MW_SPAN_NEEDZERO))
		add_neighbours(m, s);
	if (s)
		span_start(m, s);
	mw__heap_unlock();
	return s;
}

static void span_end(mcentral *m, mspan *s, void (*run_free)(mspan *s))
{
	if (s->aux)
		mw__audit_retire(s);
	list_remove(m, s);
	m->n_spans--;
	m->n_spans_freed++;
	mw__heap_lock();
	heap.pages_in_small -= s->npages;
	mw__event(MW_EVENT_SPAN_FREED, s->base, s->npages, s->cls);
	mw__span_retire(s);
	run_free(s);
	if (s->aux)
		mw__meta_array_free(s->aux, mw__audit_books(s));
	mw__span_delete(s);
	mw__heap_unlock();
}

mspan *mw__central_pick(mcentral *m)
{
	for (unsigned f = FULL; f-- > 0;)
		if (m->lists[f])
			return m->lists[f];
	return m->untouched ? m->untouched : span_make(m);
}

/* --- objects of a span ------------------------------------------------------------ */

/* Which object contains @p; *exact says whether p is its first byte. */
unsigned mw__object_index(const mspan *s, uintptr_t p, bool *exact)
{
	uint32_t off = (uint32_t)(p - s->base);
	unsigned idx = quotient(off, mw__classes[s->cls].divisor);

	*exact = idx * s->elemsize == off && idx < s->nelems;
	return idx;
}

static void *object_at(const mspan *s, unsigned idx)
{
	return (void *)(s->base + (uint64_t)idx * s->elemsize);
}

void *mw__central_take(mcentral *m, mspan *s, unsigned idx)
{
	s->alloc_bits[idx / 64] |= 1ULL << (idx % 64);
	s->used++;
	m->n_out++;
	if (idx >= s->nfresh)
		s->nfresh = (uint16_t)(idx + 1);
	list_update(m, s);
	return object_at(s, idx);
}

/* Objects of @s have come back: its list, or the page heap. */
static void settle(mcentral *m, mspan *s)
{
	/* a class's last span stays for a while; with audit for ever, to see writes to what was freed in it */
	if (s->used == 0 && m->n_spans != 1)
		span_end(m, s, mw__run_free);
	else
		list_update(m, s);
}

void mw__central_put(mcentral *m, mspan *s, unsigned idx)
{
	s->alloc_bits[idx / 64] &= ~(1ULL << (idx % 64));
	s->used--;
	m->n_out--;
	if (idx < s->freeindex)
		s->freeindex = (uint16_t)idx;
	settle(m, s);
}

/* The end of the kernel page in which the first fresh object lies, as an index. */
static unsigned fresh_limit(const mspan *s)
{
	uint64_t first = s->base + (uint64_t)s->nfresh * s->elemsize;
	uint64_t end = round_up(first + s->elemsize, KERNEL_PAGE);
	uint64_t idx = quotient((uint32_t)(end - s->base), mw__classes[s->cls].divisor);

	return idx < s->nelems ? (unsigned)idx : s->nelems;
}

/* The ones of @word follow each other. */
static inline bool is_one_run(uint64_t word)
{
	return (word & (word + (word & -word))) == 0;
}

/* The addresses of @n objects side by side from @p on, the first to end[-1]; four at once. The new end. */
static inline void **put_down(void **end, char *p, uint64_t size, unsigned n)
{
	for (; n >= 4; n -= 4, p += 4 * size) {
		end -= 4;
		end[3] = p;
		end[2] = p + size;
		end[1] = p + 2 * size;
		end[0] = p + 3 * size;
	}
	for (; n > 0; n--, p += size)
		*--end = p;
	return end;
}

/* Take up to @n free objects of @s: the first to end[-1], the next in address order below it. */
static unsigned take_from(mspan *s, void **end, unsigned n)
{
	unsigned limit = s->nfresh < s->nelems ? fresh_limit(s) : s->nelems;
	unsigned got = 0, w = s->freeindex / 64, idx = s->freeindex;
	uint64_t base = s->base;
	uint32_t size = s->elemsize;

	for (; w * 64 < limit && got < n; w++) {
		uint64_t free = ~s->alloc_bits[w], taken = 0;

		if (limit - w * 64 < 64)
			free &= (1ULL << (limit - w * 64)) - 1;
		if (free && is_one_run(free)) {
			unsigned first = (unsigned)__builtin_ctzll(free), len = min_u32(n - got, 64 - (unsigned)__builtin_clzll(free) - first);

			taken = word_mask(first, first + len);
			idx = w * 64 + first + len - 1;
			got += len;
			end = put_down(end, (char *)base + (uint64_t)(w * 64 + first) * size, size, len);
			free = 0;
		}
		for (; free && got < n; free &= free - 1) {
			taken |= free & -free;
			idx = w * 64 + (unsigned)__builtin_ctzll(free);
			got++;
			*--end = (void *)(base + (uint64_t)idx * size);
		}
		s->alloc_bits[w] |= taken;
	}
	if (got > 0) {
		s->freeindex = (uint16_t)(idx + 1);
		if (idx >= s->nfresh)
			s->nfresh = (uint16_t)(idx + 1);
	}
	s->used = (uint16_t)(s->used + got);
	return got;
}

static unsigned fetch_from_spans(mcentral *m, void **end, unsigned n)
{
	unsigned got = 0;

	while (got < n) {
		mspan *s = mw__central_pick(m);
		unsigned k;

		if (!s)
			break;
		k = take_from(s, end - got, n - got);
		m->n_out += k;
		got += k;
		list_update(m, s);
		if (k == 0 || s->used < s->nelems)
			break; /* a page's worth of fresh objects is enough */
	}
	return got;
}

unsigned mw__central_fetch(unsigned c, void **end, unsigned n)
{
	mcentral *m = mw__central_lock(c);
	unsigned got = n < m->n_transfer ? n : m->n_transfer;

	m->n_fetches++;
	if (got > 0) {
		m->n_transfer -= got;
		for (unsigned i = 0; i < got; i++)
			*--end = m->transfer[m->n_transfer + i];
		m->n_transfer_hits += got == n;
	} else {
		got = fetch_from_spans(m, end, n);
	}
	mw__central_unlock(m);
	return got;
}

#define NEIGHBOURS_MIN 8u

/* --- objects come back -------------------------------------------------------------- */

/* The span of @p; NULL after an error that was counted. */
static mspan *span_for(const mcentral *m, void *p)
{
	heap_arena *a = mw__arena_of(p);
	mspan *s = a ? span_at(a, (uintptr_t)p) : NULL;

	if (s && s->state == MW_SPAN_SMALL && s->cls == m->cls)
		return s;
	mw__error(MW_ERROR_DOUBLE_FREE, p, s, "its span is gone");
	return NULL;
}

static noinline void put_failed(const mspan *s, void *p)
{
	bool exact;
	unsigned idx = mw__object_index(s, (uintptr_t)p, &exact);

	mw__error(exact ? mw__not_out(s, idx) : MW_ERROR_INTERIOR_FREE, p, s, NULL);
}

/* How many of the @n pointers follow each other at a distance of @step; four at once. */
static unsigned in_a_row(void **objs, unsigned n, ptrdiff_t step)
{
	uintptr_t next = (uintptr_t)objs[0], d = (uintptr_t)step;
	void **p = objs, **end = p + n;

	for (; end - p >= 4; p += 4, next += 4 * d)
		if (((uintptr_t)p[0] ^ next) | ((uintptr_t)p[1] ^ (next + d)) |
		    ((uintptr_t)p[2] ^ (next + 2 * d)) | ((uintptr_t)p[3] ^ (next + 3 * d)))
			break;
	for (; p < end && (uintptr_t)*p == next; p++)
		next += d;
	return (unsigned)(p - objs);
}

/*
 * How many of @objs are side by side in @s, up or down, and are out; none if they are few. What was allocated
 * together is often freed together, and this takes a third of the time.
 */
static unsigned put_neighbours(mcentral *m, mspan *s, void **objs, unsigned n)
{
	ptrdiff_t size = (ptrdiff_t)s->elemsize, step = n >= NEIGHBOURS_MIN ? (char *)objs[1] - (char *)objs[0] : 0;
	unsigned first, len;
	bool exact;

	if (step != size && step != -size)
		return 0;
	first = mw__object_index(s, (uintptr_t)objs[0], &exact);
	n = min_u32(n, step > 0 ? s->nelems - first : first + 1);
	len = in_a_row(objs, n, step);
	first -= step > 0 ? 0 : len - 1;
	if (n < NEIGHBOURS_MIN || len < NEIGHBOURS_MIN || !exact || bits_count(s->alloc_bits, first, len) < len)
		return 0;
	bits_assign(s->alloc_bits, first, len, false);
	s->freeindex = (uint16_t)min_u32(s->freeindex, first);
	s->used = (uint16_t)(s->used - len);
	m->n_out -= len;
	settle(m, s);
	return len;
}

/*
 * Objects of @s come back, as many of @objs as follow each other: how many that are. The offset
 * times the divisor is the index, and below it nothing of note when the address is exact.
 */
static unsigned put_run(mcentral *m, mspan *s, void **objs, unsigned n)
{
	uint64_t base = s->base, bytes = (uint64_t)s->npages << MW_PAGE_SHIFT, out = s->alloc_bits[0];
	unsigned lowest = s->freeindex, failed = 0, w = 0, i;
	uint32_t divisor = mw__classes[s->cls].divisor;

	for (i = 0; i < n && (uintptr_t)objs[i] - base < bytes; i++) {
		uint64_t product = ((uintptr_t)objs[i] - base) * divisor;
		unsigned idx = (unsigned)(product >> 32);

		if (idx / 64 != w) {
			s->alloc_bits[w] = out;
			out = s->alloc_bits[w = idx / 64];
		}
		if (unlikely((uint32_t)product >= divisor) || unlikely(!(out >> (idx % 64) & 1))) {
			put_failed(s, objs[i]);
			failed++;
			continue;
		}
		out &= ~(1ULL << (idx % 64));
		lowest = idx < lowest ? idx : lowest;
	}
	s->alloc_bits[w] = out;
	s->freeindex = (uint16_t)lowest;
	s->used = (uint16_t)(s->used - (i - failed));
	m->n_out -= i - failed;
	settle(m, s);
	return i;
}

/* Neighbours tend to come back together. */
static void put_objects(mcentral *m, void **objs, unsigned n)
{
	unsigned i = 0;

	while (i < n) {
		mspan *s = span_for(m, objs[i]);

		i += s ? put_neighbours(m, s, objs + i, n - i) ?: put_run(m, s, objs + i, n - i) : 1;
	}
}

/* The array is there to pass batches between threads; with one thread it is a waste. */
static unsigned transfer_room(mcentral *m)
{
	unsigned max = mw__classes[m->cls].max_transfer;

	if (mw__is_alone())
		return 0;
	if (!m->transfer)
		m->transfer = mw__meta_alloc(max * sizeof(*m->transfer));
	return m->transfer ? max - m->n_transfer : 0;
}

void mw__central_flush(unsigned c, void **objs, unsigned n)
{
	mcentral *m = mw__central_lock(c);
	unsigned k = 0;

	m->n_flushes++;
	if (n == mw__classes[c].batch && transfer_room(m) >= n) {
		memcpy(m->transfer + m->n_transfer, objs, n * sizeof(*objs));
		m->n_transfer += n;
		k = n;
	}
	put_objects(m, objs + k, n - k);
	mw__central_unlock(m);
}

/* Is @p in the transfer array? */
bool mw__central_holds(unsigned c, const void *p)
{
	mcentral *m = mw__central_lock(c);
	bool found = false;

	for (unsigned i = 0; i < m->n_transfer && !found; i++)
		found = m->transfer[i] == p;
	mw__central_unlock(m);
	return found;
}

/* Back to the spans at once. */
void mw__central_return(unsigned c, void **objs, unsigned n)
{
	mcentral *m = mw__central_lock(c);

	m->n_flushes++;
	put_objects(m, objs, n);
	mw__central_unlock(m);
}

/* Nobody has wanted the class for a while: its last span goes, if it is empty. */
static void drop_last(mcentral *m)
{
	if (m->n_spans == 1 && m->lists[0] && m->lists[0]->used == 0 && !option(MW_OPT_AUDIT))
		span_end(m, m->lists[0], mw__run_free);
}

void mw__central_drop_idle(void)
{
	for (unsigned c = 1; c < MW_N_CLASSES; c++)
		if (load_relaxed(&mw__centrals[c].n_spans) == 1) {
			mcentral *m = mw__central_lock(c);

			drop_last(m);
			mw__central_unlock(m);
		}
}

void mw__central_drain(void)
{
	for (unsigned c = 1; c < MW_N_CLASSES; c++) {
		mcentral *m = mw__central_lock(c);

		put_objects(m, m->transfer, m->n_transfer);
		m->n_transfer = 0;
		while (m->untouched)
			span_end(m, m->untouched, mw__run_free_untouched);
		drop_last(m);
		mw__central_unlock(m);
	}
}
