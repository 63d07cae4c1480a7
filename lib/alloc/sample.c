/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sample.c - which code allocates: a sample of allocations with their stacks.
 *
 * Bytes requested are a line; points are thrown on it at random, on average one
 * every sample_interval bytes (the gaps are exponential). A block that a point falls
 * into is sampled. A block of n bytes is hit with probability 1 - exp(-n / interval),
 * so dividing by it makes the sums of a site unbiased whatever the sizes. A block that
 * grows in place is hit by what it grows by, too.
 *
 * A thread that meets points faster than PACE_POINTS in PACE_MS takes its interval twice
 * as long, up to 2^MW_PACE_MAX times, until it has been slower for a while: what samples
 * cost stays a small part of a program that asks for many gigabytes a second. So that
 * it is soon seen to be slower, a long gap is cut into pieces; at a cut the thread looks
 * at the clock and draws anew, for gaps have no memory. Where the program's user has
 * chosen the interval, it stays.
 *
 * Under the sample lock: the sites and the hash of them. A site is never removed.
 */
#include "internal.h"

#define N_HASH (2 * MW_N_SITES)
#define NO_SAMPLE_GAP (1 << 20) /* bytes between scavenging checks when nothing is sampled */
#define MAX_INTERVALS 24.0 /* a gap longer than this many intervals is as rare as never */
#define PACE_POINTS 256u
#define PACE_MS 16u
#define PACE_CALM_MS 64u       /* after so long the usual interval is tried again */
#define CUT_INTERVALS 16       /* usual ones, between looks at the clock */

TOGETHER struct mw_lock mw__sample_lock;
static struct mw_site sites[MW_N_SITES];
static uint16_t hash_table[N_HASH]; /* index of a site; 0 empty */

/*
 * --- arithmetic without libm ------------------------------------------------------
 * A program of large blocks comes here with every second one. So sums are paired, which
 * halves the chain of operations that wait for each other, and conversions are signed,
 * which are one instruction.
 */

/* exp(-x) for x >= 0 as 2^-k * exp(-r), r in [0, ln 2): six terms, off by 3e-5 of it at most. */
static double exp_minus(double x)
{
	double r, r2, p;
	uint64_t bits;
	int k;

	if (x > 40)
		return 0;
	k = (int)(x * 1.4426950408889634);
	r = x - k * 0.69314718055994531;
	r2 = r * r;
	p = (1 - r) + r2 * ((1. / 2 - r * (1. / 6)) +
			    r2 * ((1. / 24 - r * (1. / 120)) + r2 * (1. / 720)));
	bits = (uint64_t)(1023 - k) << 52;
	memcpy(&r, &bits, sizeof(r));
	return p * r;
}

/* -ln(u / 2^32) for u in [1, 2^32]: ln(m) by the series of artanh, m in [1, 2). */
static double minus_ln(uint64_t u)
{
	int bits = 63 - __builtin_clzll(u);
	int64_t one = 1LL << bits, m = (int64_t)u; /* m / one is in [1, 2) */
	double z = (double)(m - one) / (double)(m + one), z2 = z * z, z4 = z2 * z2;
	double sum = (1 + z2 * (1. / 3)) + z4 * ((1. / 5 + z2 * (1. / 7)) + z4 * (1. / 9));

	return (32 - bits) * 0.69314718055994531 - 2 * z * sum;
}

static uint64_t next_random(uint64_t *rng)
{
	uint64_t x = *rng;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *rng = x;
}

static int64_t draw_gap(uint64_t *rng, uint64_t interval)
{
	double gap;

	if (!interval)
		return NO_SAMPLE_GAP;
	gap = minus_ln((next_random(rng) >> 32) + 1);
	gap = gap < MAX_INTERVALS ? gap : MAX_INTERVALS;
	return (int64_t)(gap * (double)(int64_t)interval) + 1;
}

/* Bytes to the next point of a private heap. */
int64_t mw__sample_gap(uint64_t *rng)
{
	return draw_gap(rng, region.sample_interval);
}

/* --- a thread's line ------------------------------------------------------------------ */

static void set_pace(mcache *mc)
{
	uint64_t now;

	if (++mc->n_paced < PACE_POINTS && mc->pace == 0)
		return;
	now = mw__os_coarse_ms();
	if (now - mc->paced_since_ms >= (mc->pace ? PACE_CALM_MS : PACE_MS))
		mc->pace = 0;
	else if (mc->n_paced < PACE_POINTS)
		return;
	else if (mc->pace < MW_PACE_MAX)
		mc->pace++;
	mc->n_paced = 0;
	mc->paced_since_ms = now;
}

/*
 * The next point, or cut. A block may have swallowed several; gaps have no memory, so one
 * draw from the block's end is as good. drawn - until_sample stays the bytes requested.
 */
void mw__sample_draw(mcache *mc)
{
	int64_t gap = draw_gap(&mc->rng, region.sample_interval << mc->pace);
	int64_t most = (int64_t)region.sample_interval * CUT_INTERVALS;

	mc->is_cut = mc->pace > 0 && gap > most;
	gap = mc->is_cut ? most : gap;
	mc->drawn += gap - mc->until_sample;
	mc->until_sample = gap;
}

/* until_sample has run out. True: at a point, and the block that did it is a sample. */
bool mw__sample_due(mcache *mc)
{
	int64_t past = -mc->until_sample; /* of that block, behind a cut */
	bool hit = !mc->is_cut || draw_gap(&mc->rng, region.sample_interval << mc->pace) <= past;

	if (mw__options.paced)
		set_pace(mc);
	mw__sample_draw(mc);
	return hit && region.sample_interval > 0;
}

/* --- what a sample stands for ------------------------------------------------------------ */

#define ONE 65536.0 /* stands_for has 16 bits behind the point */

/* @exposed is in units of the longest interval's share: how many usual points are expected on it. */
static double expected(uint64_t exposed)
{
	return (double)(int64_t)exposed / ((double)(int64_t)region.sample_interval * (1u << MW_PACE_MAX));
}

/* How many blocks of its size a block stands for that was hit with @exposed. */
static uint64_t stands_for(uint64_t exposed)
{
	double x = expected(exposed ? exposed : 1);

	return (uint64_t)(int64_t)(ONE / (x < 1e-4 ? x : 1 - exp_minus(x)) + 0.5);
}

/* The same for one that stood for @before when it was hit and was then exposed to @more. */
static uint64_t stands_for_grown(uint64_t before, uint64_t more)
{
	double miss = 1 - ONE / (double)(int64_t)before;

	return (uint64_t)(int64_t)(ONE / (1 - miss * exp_minus(expected(more))) + 0.5);
}

/* Bytes that a block of @size and what it stands for have together. */
static uint64_t share_of(size_t size, uint64_t stands_for)
{
	return (uint64_t)(int64_t)((double)(int64_t)size * ((double)(int64_t)stands_for * (1 / ONE)) + 0.5);
}

/* Counts keep what is behind the point: were each sample's rounded, 1.87 blocks would always be two. */
static void add_count(uint64_t *count, uint16_t *part, uint64_t stands_for)
{
	uint64_t sum = (*count << 16 | *part) + stands_for;

	*count = sum >> 16;
	*part = (uint16_t)sum;
}

/* --- sites --------------------------------------------------------------------------- */

/* A stack, and the name of the private heap for which it asked; NULL: malloc. */
struct place {
	uint64_t frames[MW_STACK_DEPTH];
	unsigned n;
	const char *heap_name;
};

static uint32_t hash_of(const struct place *p)
{
	uint64_t h = p->n;

	if (p->heap_name)
		h += 64;
	for (unsigned i = 0; i < p->n; i++)
		h = (h ^ p->frames[i]) * 0x9e3779b97f4a7c15ULL;
	for (const char *c = p->heap_name; c && *c; c++)
		h = (h ^ (unsigned char)*c) * 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(h >> 32);
}

static bool same(const struct mw_site *s, uint32_t h, const struct place *p)
{
	return s->hash == h && s->n_frames == p->n && s->is_private == !!p->heap_name &&
	       memcmp(s->frames, p->frames, p->n * sizeof(*p->frames)) == 0 &&
	       (!p->heap_name || strcmp(s->heap_name, p->heap_name) == 0);
}

static uint32_t new_site(uint32_t slot, uint32_t h, const struct place *p)
{
	struct mw_abi_table *t = &region.tables[MW_TABLE_SITES];
	struct mw_site *s = &sites[t->count];

	if (t->count == MW_N_SITES)
		return 0;
	memcpy(s->frames, p->frames, p->n * sizeof(*p->frames));
	s->n_frames = p->n;
	s->hash = h;
	s->is_private = !!p->heap_name;
	for (unsigned i = 0; p->heap_name && p->heap_name[i]; i++)
		s->heap_name[i] = p->heap_name[i];
	hash_table[slot] = (uint16_t)t->count;
	__atomic_store_n(&t->count, t->count + 1, __ATOMIC_RELEASE);
	return (uint32_t)t->count - 1;
}

static uint32_t find_site(const struct place *p)
{
	uint32_t h = hash_of(p), i = h % N_HASH;

	for (; hash_table[i]; i = (i + 1) % N_HASH)
		if (same(&sites[hash_table[i]], h, p))
			return hash_table[i];
	return new_site(i, h, p);
}

static void prepare_table(void)
{
	struct mw_abi_table *t = &region.tables[MW_TABLE_SITES];

	if (t->addr)
		return;
	t->stride = sizeof(*sites);
	t->count = 1; /* entry 0: stacks for which there was no room */
	t->addr = (uintptr_t)sites;
}

/* Each of these gives or takes a site plus one, so that 0 says "not sampled". */
uint32_t mw__sample_book(size_t size, uint64_t exposed, const char *private_heap, uint64_t *times)
{
	struct place place = { .heap_name = private_heap };
	uint64_t bytes = share_of(size, *times = stands_for(exposed));
	struct mw_site *site;
	uint32_t idx;

	place.n = mw__unwind(place.frames, MW_STACK_DEPTH);
	mw__lock(&mw__sample_lock, RANK_SAMPLE);
	prepare_table();
	idx = find_site(&place);
	site = &sites[idx];
	site->n_alloc++;
	site->n_live++;
	site->bytes_alloc += size;
	site->bytes_live += size;
	add_count(&site->est_alloc_count, &site->alloc_part, *times);
	add_count(&site->est_live_count, &site->live_part, *times);
	site->est_alloc_bytes += bytes;
	site->est_live_bytes += bytes;
	region.n_samples++;
	mw__unlock(&mw__sample_lock, RANK_SAMPLE);
	return idx + 1;
}

void mw__sample_unbook(uint32_t site_and_1, size_t size, uint64_t times)
{
	struct mw_site *site = &sites[site_and_1 - 1];
	uint64_t bytes = share_of(size, times);

	mw__lock(&mw__sample_lock, RANK_SAMPLE);
	site->n_live--;
	site->bytes_live -= size;
	add_count(&site->est_live_count, &site->live_part, -times);
	site->est_live_bytes -= bytes;
	mw__unlock(&mw__sample_lock, RANK_SAMPLE);
}

/* It was resized, and exposed to @more: live sums follow, cumulative ones when it has grown. */
void mw__sample_rebook(uint32_t site_and_1, size_t from, size_t to, uint64_t *times, uint64_t more)
{
	struct mw_site *site = &sites[site_and_1 - 1];
	uint64_t had = *times, bytes, count;

	*times = more ? stands_for_grown(had, more) : had;
	count = *times - had;
	bytes = share_of(to, *times) - share_of(from, had);
	mw__lock(&mw__sample_lock, RANK_SAMPLE);
	site->bytes_live += to - from;
	add_count(&site->est_live_count, &site->live_part, count);
	site->est_live_bytes += bytes;
	if (to > from) {
		site->bytes_alloc += to - from;
		add_count(&site->est_alloc_count, &site->alloc_part, count);
		site->est_alloc_bytes += bytes;
	}
	mw__unlock(&mw__sample_lock, RANK_SAMPLE);
}

void mw__sample_alloc(mspan *s)
{
	s->booked = s->requested;
	s->site = mw__sample_book(s->requested, s->exposed, NULL, &s->stands_for);
}

void mw__sample_free(const mspan *s)
{
	mw__sample_unbook(s->site, s->booked, s->stands_for);
}

void mw__sample_resize(mspan *s, size_t to, uint64_t more)
{
	mw__sample_rebook(s->site, s->booked, to, &s->stands_for, more);
	s->booked = to;
}

const struct mw_site *mw__sample_site(uint32_t site)
{
	return site ? &sites[site - 1] : NULL;
}
