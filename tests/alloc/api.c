/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * api - every function of the malloc family against the C standard, POSIX and the
 * manual of glibc, whose choices programs have come to rely on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/alloc/abi.h"
#include "tap.h"

void *reallocarray(void *, size_t, size_t);
void free_sized(void *, size_t);
void free_aligned_sized(void *, size_t, size_t);
void cfree(void *);
void *__libc_malloc(size_t);
void __libc_free(void *);
unsigned mw_alloc_check(void);

static void *volatile sink;
#define TOO_MUCH ((size_t)PTRDIFF_MAX + 1)

/* sizes at which classes, runs and mappings begin and end */
static const size_t sizes[] = { 0, 1, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33, 48, 63, 64, 65, 100,
	127, 128, 129, 255, 256, 257, 511, 513, 1000, 1023, 1024, 1025, 1151, 1152, 1153, 2048,
	4095, 4096, 4097, 8191, 8192, 8193, 16384, 18432, 32767, 32768, 32769, 40000, 65535, 65536,
	65537, 131072, 262144, 524289, 1048575, 1048576, 1048577, 2000000, 4194304, 33554433 };
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static int is_aligned(const void *p, size_t a)
{
	return ((uintptr_t)p & (a - 1)) == 0;
}

static int all(const void *p, int byte, size_t n)
{
	const unsigned char *b = p;

	for (size_t i = 0; i < n; i++)
		if (b[i] != byte)
			return 0;
	return 1;
}

static void test_malloc(void)
{
	int aligned = 1, sized = 1, errno_kept = 1, distinct = 1, held = 1;
	void *p[N_SIZES];

	for (size_t i = 0; i < N_SIZES; i++) {
		errno = 77;
		p[i] = malloc(sizes[i]);
		errno_kept &= p[i] && errno == 77;
		aligned &= is_aligned(p[i], 16);
		sized &= malloc_usable_size(p[i]) >= sizes[i];
		memset(p[i], (int)i, malloc_usable_size(p[i]));
		for (size_t j = 0; j < i; j++)
			distinct &= p[j] != p[i];
	}
	for (size_t i = 0; i < N_SIZES; i++)
		held &= all(p[i], (int)i, malloc_usable_size(p[i]));
	for (size_t i = 0; i < N_SIZES; i++)
		free(p[i]);
	ok(errno_kept, "malloc of any size succeeds and leaves errno alone");
	ok(aligned, "blocks are aligned to 16 bytes, small ones too");
	ok(sized, "usable size is at least the size");
	ok(distinct, "blocks are distinct, of size 0 too");
	ok(held, "all usable bytes of a block are its own");
}

static void test_too_much(void)
{
	static const size_t huge[] = { TOO_MUCH, SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX - 8191,
				       PTRDIFF_MAX, PTRDIFF_MAX - 8192 };
	void *kept = malloc(10);
	int good = 1;

	memset(kept, 5, 10);
	for (size_t i = 0; i < sizeof(huge) / sizeof(huge[0]); i++) {
		size_t n = huge[i];
		void *q = (void *)1;
#define REFUSED(expr) (errno = 0, sink = (expr), good &= sink == NULL && errno == ENOMEM)
		REFUSED(malloc(n));
		REFUSED(calloc(1, n));
		REFUSED(calloc(n, 1));
		REFUSED(realloc(kept, n));
		REFUSED(reallocarray(kept, n, 1));
		REFUSED(memalign(64, n));
		REFUSED(aligned_alloc(64, n));
		REFUSED(valloc(n));
		REFUSED(pvalloc(n));
		errno = 77;
		good &= posix_memalign(&q, 64, n) == ENOMEM && errno == 77 && q == (void *)1;
	}
	ok(good, "sizes around PTRDIFF_MAX and SIZE_MAX are refused with ENOMEM everywhere");
	ok(all(kept, 5, 10), "a refused realloc leaves the block intact");
	REFUSED(calloc(SIZE_MAX / 2, 3));
	REFUSED(calloc((size_t)1 << 32, (size_t)1 << 32));
	REFUSED(reallocarray(kept, (size_t)1 << 32, (size_t)1 << 33));
	ok(good, "products that overflow are refused with ENOMEM");
	free(kept);
}

/* Between blocks that are full to their last byte, in places that were used. */
static int calloc_spares_neighbours(void)
{
	enum { N = 64, MOST = 1100 };
	unsigned char *v[N];
	int good = 1;

	for (size_t n = 1; n <= MOST; n++) {
		for (int i = 0; i < N; i++) {
			v[i] = malloc(n);
			memset(v[i], 0xab, malloc_usable_size(v[i]));
		}
		for (int i = 0; i < N; i += 2)
			free(v[i]);
		for (int i = 0; i < N; i += 2)
			v[i] = calloc(1, n);
		for (int i = 1; i < N; i += 2)
			good &= all(v[i], 0xab, malloc_usable_size(v[i]));
		for (int i = 0; i < N; i++)
			free(v[i]);
	}
	return good;
}

static void test_calloc(void)
{
	int zero = 1, again = 1;

	for (size_t i = 0; i < N_SIZES; i++) {
		for (int round = 0; round < 3; round++) {
			unsigned char *p = calloc(1, sizes[i]);

			zero &= p && all(p, 0, sizes[i]);
			memset(p, 0xee, malloc_usable_size(p));
			free(p);
		}
	}
	for (int i = 0; i < 1000; i++) {
		size_t n = (size_t)(i * 7919 % 200000);
		unsigned char *p = calloc(n, 1);

		again &= all(p, 0, n);
		memset(p, 0xaa, n);
		free(p);
	}
	ok(zero, "calloc gives zeroes, from used memory too");
	ok(again, "calloc gives zeroes amid other sizes");
	ok(calloc_spares_neighbours(), "calloc writes into its own block alone");
}

static void test_realloc(void)
{
	unsigned char *p = NULL;
	size_t had = 0;
	int kept = 1;

	for (size_t i = 0; i < 2 * N_SIZES; i++) {
		size_t n = sizes[i < N_SIZES ? i : 2 * N_SIZES - 1 - i] + 1;
		size_t common = had < n ? had : n;

		p = realloc(p, n);
		kept &= p && all(p, 0x5a, common);
		memset(p, 0x5a, n);
		had = n;
	}
	free(p);
	ok(kept, "realloc up and down keeps the bytes");
	ok(realloc(malloc(5), 0) == NULL, "realloc(p, 0) frees and returns NULL");
	p = realloc(NULL, 40);
	ok(p && malloc_usable_size(p) >= 40, "realloc(NULL, n) is malloc(n)");
	errno = 77;
	p = realloc(p, 3 << 20);
	p = realloc(p, 9 << 20);
	ok(p && errno == 77, "realloc leaves errno alone");
	free(p);
	p = reallocarray(NULL, 10, 10);
	ok(p && malloc_usable_size(p) >= 100, "reallocarray multiplies");
	free(p);
}

static void test_aligned(void)
{
	int good = 1, big = 1;
	void *p[256];
	size_t n = 0;

	for (size_t a = 1; a <= 1 << 20; a *= 2) {
		for (size_t i = 0; i < N_SIZES; i += 5) {
			p[n] = memalign(a, sizes[i]);
			good &= p[n] && is_aligned(p[n], a) && malloc_usable_size(p[n]) >= sizes[i];
			memset(p[n], 1, sizes[i]);
			n++;
		}
	}
	while (n > 0)
		free(p[--n]);
	ok(good, "memalign of 1 to 1 MiB, all sizes");
	for (size_t a = 1 << 20; a <= 1 << 30; a *= 4) {
		char *q = aligned_alloc(a, 100);

		big &= q && is_aligned(q, a);
		q[99] = 1;
		free(q);
	}
	ok(big, "aligned_alloc of 1 MiB to 1 GiB");
	p[0] = memalign(48, 100);
	ok(is_aligned(p[0], 64), "memalign rounds an odd alignment up to a power of two");
	free(p[0]);
	errno = 0;
	ok(!memalign(TOO_MUCH + 1, 1) && errno == EINVAL, "memalign refuses an absurd alignment");
	errno = 0;
	ok(!memalign(TOO_MUCH, 1) && errno == ENOMEM, "memalign has no memory for the largest power of two");
	p[0] = (void *)7;
	ok(posix_memalign(&p[0], 3, 8) == EINVAL && posix_memalign(&p[0], 4, 8) == EINVAL &&
		   posix_memalign(&p[0], 24, 8) == EINVAL && posix_memalign(&p[0], 0, 8) == EINVAL &&
		   p[0] == (void *)7,
	   "posix_memalign refuses odd alignments and leaves the pointer");
	ok(posix_memalign(&p[0], 4096, 0) == 0 && is_aligned(p[0], 4096), "posix_memalign of size 0");
	free(p[0]);
	p[0] = realloc(memalign(4096, 100), 60000);
	ok(p[0] != NULL, "an aligned block can be reallocated");
	free(p[0]);
	p[0] = valloc(5);
	p[1] = pvalloc(5);
	p[2] = pvalloc(0);
	ok(is_aligned(p[0], 4096) && is_aligned(p[1], 4096) && malloc_usable_size(p[1]) >= 4096 &&
		   p[2] && malloc_usable_size(p[2]) >= 4096,
	   "valloc and pvalloc give pages");
	free(p[0]);
	free(p[1]);
	cfree(p[2]);
}

static void test_free(void)
{
	int kept = 1;

	errno = 77;
	free(NULL);
	for (size_t i = 0; i < N_SIZES; i++) {
		void *p = malloc(sizes[i]);

		errno = 77;
		free(p);
		kept &= errno == 77;
	}
	ok(kept, "free leaves errno alone, of NULL and of every size");
	free_sized(malloc(50), 50);
	free_sized(malloc(500000), 500000);
	free_sized(NULL, 5);
	free_aligned_sized(aligned_alloc(256, 512), 256, 512);
	__libc_free(malloc(3));
	free(__libc_malloc(3));
	ok(malloc_usable_size(NULL) == 0, "free_sized, free_aligned_sized, __libc_ names; usable size of NULL is 0");
}

static size_t resident(void)
{
	size_t total, rss = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (fscanf(f, "%zu %zu", &total, &rss) != 2)
		rss = 0;
	fclose(f);
	return rss * 4096;
}

static size_t xml_total(const char *text, const char *type)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), "type=\"%s\"", type);
	at = strstr(text, key);
	at = at ? strstr(at, "size=\"") : NULL;
	return at ? strtoul(at + 6, NULL, 10) : SIZE_MAX;
}

/* A total of malloc_info, in bytes. */
static size_t info_total(const char *type)
{
	char *text = NULL;
	size_t len, value;
	FILE *f = open_memstream(&text, &len);

	malloc_info(0, f);
	fclose(f);
	value = xml_total(text, type);
	free(text);
	return value;
}

static long faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

/* Three ways to be used again; the kernel's own count says that faults were saved. */
static void test_saved(void)
{
	static const struct {
		size_t size, align;
		const char *what;
	} kinds[] = { { 6 << 20, 16, "pages of the heap" }, { 200000, 16, "a run that the thread kept" },
		      { 5 << 20, 2 << 20, "a kept mapping" } };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = kinds[i].size, before;
		long first = 0, second = 0;
		int good = 0;

		/* on a slow machine it may be given back in between, after 100 ms: then once more */
		for (int tries = 0; tries < 30 && !good; tries++) {
			first = faults();
			free(memset(memalign(kinds[i].align, n), 1, n));
			first = faults() - first;
			before = info_total("used-again");
			second = faults();
			free(memset(i == 2 ? memalign(16, 40 << 20) : malloc(n), 1, n));
			second = faults() - second;
			good = info_total("used-again") - before >= n && (second < (long)(n >> 12) / 4 || i == 2);
		}
		ok(good, "%s are used again, and it is counted: %ld faults, then %ld", kinds[i].what, first, second);
	}
}

static uint64_t refills(const struct mw_region *r)
{
	uint64_t sum = r->dead.n_refills;

	for (const struct mw_mcache *mc = (void *)(uintptr_t)r->mcaches; mc; mc = (void *)(uintptr_t)mc->next)
		sum += mc->n_refills;
	return sum;
}

/* Every class takes room in the thread's bins once; then one is wanted again and again. */
static void test_room(void)
{
	const struct mw_region *r = dlsym(RTLD_DEFAULT, "mw_alloc_region");
	void *p[100];
	uint64_t before;

	if (!r) {
		skip("room in a thread's bins", "the region has no name in a static program");
		return;
	}
	for (size_t n = 1024; n <= 32768; n += 256) {
		for (int i = 0; i < 8; i++)
			p[i] = memset(malloc(n), 1, n);
		for (int i = 0; i < 8; i++)
			free(p[i]);
	}
	before = refills(r);
	for (int round = 0; round < 2000; round++) {
		for (int i = 0; i < 100; i++)
			p[i] = malloc(64);
		for (int i = 0; i < 100; i++)
			free(p[i]);
	}
	ok(refills(r) - before < 100, "classes that were used once leave room for others: %lu refills in 2000 rounds",
	   (unsigned long)(refills(r) - before));
}

/* Is every element closed in order, with quoted attributes, and only one at the top? */
static int is_xml(const char *text)
{
	char open[16][24];
	int depth = 0, tops = 0;

	for (const char *p = text; (p = strchr(p, '<')); p++) {
		size_t n = strcspn(p + 1 + (p[1] == '/'), " />");
		const char *end = strchr(p, '>'), *name = p + 1 + (p[1] == '/');
		int quotes = 0;

		if (!end || n == 0 || n > 23 || depth == 16)
			return 0;
		for (const char *q = p; q < end; q++)
			quotes += *q == '"';
		if (quotes % 2)
			return 0;
		tops += depth == 0;
		if (p[1] == '/') {
			if (depth == 0 || strncmp(open[--depth], name, n) != 0 || open[depth][n])
				return 0;
		} else if (end[-1] != '/') {
			memcpy(open[depth], name, n);
			open[depth++][n] = 0;
		}
	}
	return depth == 0 && tops == 1;
}

/* What it tells in glibc's words is what the region holds. */
static void test_books(const char *info)
{
	const struct mw_region *r = dlsym(RTLD_DEFAULT, "mw_alloc_region");
	struct mallinfo2 m = mallinfo2();

	if (!r) {
		skip("mallinfo2 beside the region", "the region has no name in a static program");
		return;
	}
	ok(m.arena == r->heap.pages_mapped << MW_PAGE_SHIFT && m.uordblks + m.fordblks == m.arena &&
		   m.hblkhd == r->heap.huge_pages << MW_PAGE_SHIFT && m.hblks == r->heap.n_huge_used &&
		   m.keepcost >= r->heap.pages_dirty << MW_PAGE_SHIFT && m.usmblks == r->heap.pages_peak << MW_PAGE_SHIFT &&
		   m.fsmblks + m.keepcost + (r->heap.pages_clean << MW_PAGE_SHIFT) <= m.fordblks,
	   "mallinfo2 and the region agree");
	ok(xml_total(info, "live") + xml_total(info, "cached") + xml_total(info, "free") == xml_total(info, "current"),
	   "malloc_info adds up");
	malloc_trim(0);
	ok(r->heap.pages_dirty == 0 && mallinfo2().keepcost == 0 && malloc_trim(0) == 0, "after malloc_trim there is nothing to trim");
}

static void test_figures(void)
{
	struct mallinfo2 before = mallinfo2(), m;
	void **p = malloc(20000 * sizeof(*p)), *huge = malloc(50 << 20);
	size_t peak, after;
	char *text = NULL;
	size_t len = 0;
	FILE *f;

	for (int i = 0; i < 20000; i++)
		p[i] = memset(malloc(1000), 1, 1000);
	m = mallinfo2();
	ok(m.uordblks - before.uordblks >= 20000u * 1000 && m.uordblks - before.uordblks < 25u << 20,
	   "mallinfo2 counts what is in use");
	ok(m.hblkhd - before.hblkhd >= 50u << 20 && m.hblks == before.hblks + 1, "and huge blocks");
	f = open_memstream(&text, &len);
	ok(malloc_info(0, f) == 0 && malloc_info(1, f) == EINVAL, "malloc_info takes option 0 only");
	fclose(f);
	ok(strstr(text, "<size class=\"32\" bytes=\"1024\"") && is_xml(text), "malloc_info names the class, in XML");
	test_books(text);
	free(text);
	peak = resident();
	for (int i = 0; i < 20000; i++)
		free(p[i]);
	free(p);
	free(huge);
	malloc_trim(0);
	after = resident();
	ok(peak > after + (18u << 20), "malloc_trim gives free pages back");
	ok(mallinfo2().uordblks < before.uordblks + (1 << 20), "mallinfo2 counts what was freed");
	ok(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1 && mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1 &&
		   mallopt(M_MXFAST, 64) == 1 && mallopt(M_MXFAST, 100000) == 0 && mallopt(-99, 0) == 0,
	   "mallopt knows the usual parameters");
}

/* Steady small traffic, all of it from caches, must be enough to give memory back. */
static void test_decay(void)
{
	enum { N = 60000 };
	void **p = malloc(N * sizeof(*p));
	size_t full, after = 0;

	for (int i = 0; i < N; i++)
		p[i] = memset(malloc(1000), 1, 1000);
	full = resident();
	for (int i = 0; i < N; i++)
		free(p[i]);
	free(p);
	for (int i = 0; i < 60; i++) {
		usleep(50000);
		for (int j = 0; j < 3000; j++)
			free(malloc(900));
		after = resident();
		if (full > after + (50u << 20))
			break;
	}
	ok(full > after + (50u << 20), "freed memory goes back while the program runs: %zu of %zu MB",
	   (full - after) >> 20, (size_t)(N / 1000));
}

static void test_large_in_place(void)
{
	char *p = malloc(64 << 20), *q;

	memset(p, 3, 64 << 20);
	q = realloc(p, 128 << 20);
	ok(q && all(q, 3, 64 << 20), "growing 64 MiB to 128 MiB keeps the bytes");
	q = realloc(q, 100000);
	ok(q && all(q, 3, 100000), "shrinking it to 100 kB too");
	q = realloc(q, 10);
	ok(q && all(q, 3, 10), "and to 10 bytes");
	free(q);
}

int main(void)
{
	test_malloc();
	test_too_much();
	test_calloc();
	test_realloc();
	test_aligned();
	test_free();
	test_saved();
	test_room();
	test_figures();
	test_large_in_place();
	test_decay();
	ok(mw_alloc_check() == 0, "all invariants hold at the end");
	return tap_done();
}
