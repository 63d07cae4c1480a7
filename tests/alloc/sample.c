/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sample - the sampler's sums beside books of our own.
 *
 * A block is a sample with probability p and stands for 1/p blocks, so a sum of estimates is off by
 * chance alone: its variance is the sum of size^2 * (1/p - 1) over the blocks. Bounds are SIGMAS of that,
 * with p from the longest mean interval that was in force.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/alloc/abi.h"
#include "tap.h"

#define SIGMAS 7

static const struct mw_region *region;
static uint32_t pace; /* the highest that was seen */

static void look_at_pace(void)
{
	const struct mw_mcache *mine = (const void *)region->mcaches;

	pace = mine->pace > pace ? mine->pace : pace;
}

struct sums {
	double alloc, live, alloc_count, live_count;
	uint64_t n_samples;
};

static struct sums sites(void)
{
	const struct mw_abi_table *t = &region->tables[MW_TABLE_SITES];
	struct sums sum = { .n_samples = region->n_samples };

	for (uint64_t i = 0; i < t->count; i++) {
		const struct mw_site *s = (const void *)(t->addr + i * t->stride);

		sum.alloc += (double)(int64_t)s->est_alloc_bytes;
		sum.live += (double)(int64_t)s->est_live_bytes;
		sum.alloc_count += (double)(int64_t)s->est_alloc_count;
		sum.live_count += (double)(int64_t)s->est_live_count;
	}
	return sum;
}

/* size^2 * (1/p - 1) of a block that @exposed bytes of the line were asked for, at @interval */
static double variance(double size, double exposed, double interval)
{
	return size * size / expm1(exposed / interval);
}

static void near(const char *what, double is, double should, double var)
{
	ok(fabs(is - should) <= SIGMAS * sqrt(var), "%s: %.0f, %.0f estimated, sigma %.0f", what, should, is, sqrt(var));
}

/*
 * Blocks of 4 MiB, two of which are as long as a slow thread goes between looks at the clock: half of the points are
 * behind one.
 */
static void rush_of_long(void)
{
	enum { N = 200000, SIZE = 4 << 20 };
	double slowest = (double)(region->sample_interval << MW_PACE_MAX);
	struct sums before = sites();

	for (int i = 0; i < N; i++)
		free(malloc(SIZE));
	near("bytes in a rush of long blocks", sites().alloc - before.alloc, (double)N * SIZE, N * variance(SIZE, SIZE, slowest));
}

/* Blocks that come and go faster than they could be written: the interval gets longer. */
static void rush(unsigned long *seed)
{
	struct sums before = sites(), after;
	double bytes = 0, count = 0, var = 0, var_count = 0, slowest = (double)(region->sample_interval << MW_PACE_MAX);

	for (int i = 0; i < 2000000; i++) {
		size_t n = tap_random(seed) % 16 ? 40000 + tap_random(seed) % 200000 : 2000 + tap_random(seed) % 30000;

		free(malloc(n));
		bytes += (double)n;
		count++;
		var += variance((double)n, (double)n, slowest);
		var_count += variance(1, (double)n, slowest);
		look_at_pace();
	}
	after = sites();
	if (pace == 0)
		skip("a rush", "this machine is too slow for one");
	else
		ok((double)(after.n_samples - before.n_samples) < bytes / (double)region->sample_interval / 2,
		   "a rush: %llu samples at a pace of up to %u", (unsigned long long)(after.n_samples - before.n_samples), pace);
	near("bytes in a rush", after.alloc - before.alloc, bytes, var);
	near("blocks in a rush", after.alloc_count - before.alloc_count, count, var_count);
	ok(after.live == before.live, "none of them is left");
}

/* Blocks that grow, most in place, are hit by what they grow by; those that shrink stand for as many as before. */
static void grow_and_shrink(unsigned long *seed)
{
	enum { N = 2000 };
	static void *v[N];
	double bytes = 0, var = 0;
	struct sums before = sites(), after;
	unsigned in_place = 0;
	static size_t size[N];

	for (int i = 0; i < N; i++) {
		void *p = malloc(size[i] = 36000);

		for (int k = 0; k < (i % 2 ? 4 : 400); k++) {
			v[i] = p;
			p = realloc(v[i], size[i] += i % 2 ? 10000 + tap_random(seed) % 100000 : 1 + tap_random(seed) % 1000);
			in_place += p == v[i];
			look_at_pace();
		}
		v[i] = p;
		bytes += (double)size[i];
		var += variance((double)size[i], (double)size[i], (double)(region->sample_interval << pace));
	}
	after = sites();
	ok(in_place > N, "%u times a block grew in place", in_place);
	near("live bytes of what has grown", after.live - before.live, bytes, var);
	for (int i = 0; i < N; i++) {
		bytes -= (double)size[i];
		v[i] = realloc(v[i], size[i] = 34000);
		bytes += (double)size[i];
	}
	after = sites();
	near("live bytes of what has shrunk", after.live - before.live, bytes, var);
	for (int i = 0; i < N; i++)
		free(v[i]);
	after = sites();
	ok(after.live == before.live && after.live_count == before.live_count, "none of them is left");
	ok(after.alloc - before.alloc >= 0, "what was ever allocated does not fall");
}

/* Blocks of the books, each at the size that it had last. */
static struct {
	double bytes, var;
	unsigned n;
} ended;

static void end_block(size_t size)
{
	ended.bytes += (double)size;
	ended.var += variance((double)size, (double)size, (double)(region->sample_interval << pace));
	ended.n++;
}

/*
 * One block at a time, with all free pages behind it: it grows in place, by less than a page each time. Where it
 * moves, one block ends and another begins.
 */
static void grow_in_small_steps(unsigned long *seed)
{
	enum { N = 2000 };
	struct sums before = sites(), after;

	for (int i = 0; i < N; i++) {
		size_t size = 36000, end = 100000 + tap_random(seed) % 900000;
		void *p = malloc(size);

		while (size < end) {
			size_t more = 1 + tap_random(seed) % 2000;
			void *q = realloc(p, size + more);

			look_at_pace();
			if (q != p)
				end_block(size);
			p = q;
			size += more;
		}
		free(p);
		end_block(size);
	}
	after = sites();
	ok(ended.n < 4 * N, "most steps are in place: %u of %u blocks have moved", ended.n - N, N);
	near("bytes of what grew in small steps", after.alloc - before.alloc, ended.bytes, ended.var);
	ok(after.live == before.live, "none of them is left");
}

/* Blocks so long that each is a sample: the sums are the books, but for 1/64 by which they may lag. */
static void grow_samples(void)
{
	enum { N = 10 };
	static char *v[N];
	struct sums before = sites();
	double bytes = 0, booked;

	for (int i = 0; i < N; i++) {
		size_t size = 25 * region->sample_interval;

		v[i] = malloc(size);
		for (int k = 0; k < 520; k++)
			v[i] = realloc(v[i], size += 1000);
		bytes += (double)size;
	}
	booked = sites().live - before.live;
	ok(booked <= bytes * 1.0001 && booked >= bytes * (1 - 1. / 64), "samples that grow: %.0f, %.0f booked", bytes, booked);
	for (int i = 0; i < N; i++)
		free(v[i]);
}

/*
 * Blocks of one size: the estimates of bytes and of blocks come from the same samples, so one divided by the size
 * is the other. Bytes are rounded for each sample, blocks are cut off for each site.
 */
static void count_blocks(void)
{
	enum { SIZE = 250000, N = 3000, KEPT = 400 };
	static void *v[N];
	struct sums before = sites(), after;
	double slack;

	for (int i = 0; i < N; i++) {
		v[i] = malloc(SIZE);
		if (i >= KEPT)
			free(v[i]);
	}
	after = sites();
	slack = (double)region->tables[MW_TABLE_SITES].count + (double)(after.n_samples - before.n_samples) / SIZE;
	ok(fabs((after.alloc - before.alloc) / SIZE - (after.alloc_count - before.alloc_count)) <= slack,
	   "blocks ever: %.1f by bytes, %.0f by count", (after.alloc - before.alloc) / SIZE, after.alloc_count - before.alloc_count);
	ok(fabs((after.live - before.live) / SIZE - (after.live_count - before.live_count)) <= slack,
	   "blocks live: %.1f by bytes, %.0f by count", (after.live - before.live) / SIZE, after.live_count - before.live_count);
	for (int i = 0; i < KEPT; i++)
		free(v[i]);
	after = sites();
	ok(after.live == before.live && after.live_count == before.live_count, "none of them is left");
}

/* In a process of its own, which was told the interval. */
static int rush_as_told(void)
{
	for (int i = 0; i < 2000000; i++) {
		free(malloc(100000));
		look_at_pace();
	}
	return pace != 0 || region->sample_interval != 512 << 10;
}

static void stays_as_told(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("MEMWHY_MALLOC", "sample=512k", 1);
		execl("/proc/self/exe", "sample", "told", NULL);
		_exit(9);
	}
	waitpid(pid, &status, 0);
	ok(status == 0, "an interval that was told stays in a rush, also the usual one");
}

int main(int argc, char **argv)
{
	unsigned long seed = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;

	free(malloc(1));
	region = dlsym(RTLD_DEFAULT, "mw_alloc_region");
	if (argc > 1 && !strcmp(argv[1], "told"))
		return rush_as_told();
	stays_as_told();
	if (!ok(region && region->sample_interval, "it samples"))
		return tap_done();
	printf("# seed %lu\n", seed);
	grow_samples(); /* while the pace is 0 */
	count_blocks();
	grow_and_shrink(&seed);
	grow_in_small_steps(&seed);
	rush(&seed);
	rush_of_long();
	return tap_done();
}
