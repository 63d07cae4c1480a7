/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * mkclasses - compute the size classes and print them.
 *
 * The idea is Go's and tcmalloc's: walk the sizes upwards in steps that grow with
 * the size; give each size the shortest run of pages whose tail wastes at most 1/8;
 * merge a size into its successor when both fit the same number of objects into the
 * same run; finally let each size grow into the tail that it would waste anyway.
 * The result is compared with Go's published table by tests/alloc/classes.
 *
 * malloc's rules force one difference: every block is aligned to 16 bytes, so the
 * classes 8 and 24 keep their numbers but are never served. A request of up to 8
 * bytes gets 16, one of 17 to 24 gets 32.
 *
 *   mkclasses         C source of the tables (lib/alloc/classes.c includes it)
 *   mkclasses table   the table for people and for the test
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 8192u
#define MAX_SMALL 32768u
#define MAX_CLASSES 128
#define TRANSFER_BYTES (256u << 10) /* the most bytes kept in a transfer array */
#define BIN_BYTES (128u << 10)      /* the most bytes of one class kept by a thread */
#define BATCH_BYTES (16u << 10)     /* bytes moved at once */

struct class {
	uint32_t size, pages;
};

static struct class classes[MAX_CLASSES] = { { 0, 0 } };
static int n_classes = 1;

static uint32_t step_of(uint32_t size)
{
	if (size >= 2048)
		return 256;
	if (size >= 128)
		return size / 8;
	return size >= 32 ? 16 : 8;
}

static uint32_t run_of(uint32_t size)
{
	uint32_t run = PAGE;

	while (run % size > run / 8)
		run += PAGE;
	return run;
}

static void add(uint32_t size)
{
	uint32_t run = run_of(size);
	struct class *prev = &classes[n_classes - 1];

	if (n_classes > 1 && prev->pages == run / PAGE && run / prev->size == run / size) {
		prev->size = size;
		return;
	}
	classes[n_classes++] = (struct class){ size, run / PAGE };
}

static void compute(void)
{
	uint32_t step = 8;

	for (uint32_t size = 8; size <= MAX_SMALL; size += step) {
		if ((size & (size - 1)) == 0)
			step = step_of(size);
		add(size);
	}
	for (int i = 1; i < n_classes; i++) {
		uint32_t run = classes[i].pages * PAGE;
		uint32_t size = run / (run / classes[i].size) & ~127u;

		if (size > classes[i].size)
			classes[i].size = size;
	}
}

static uint32_t clamp(uint32_t x, uint32_t lo, uint32_t hi)
{
	return x < lo ? lo : x > hi ? hi : x;
}

static int is_served(uint32_t size)
{
	return size % 16 == 0 && size > 0;
}

/*
 * x % size == 0 iff (uint32_t)(x * divisor) < divisor, and x / size is the upper half
 * of x * divisor: proved by trying every x up to the length of a span
 */
static uint32_t divisor_of(struct class c)
{
	uint32_t d = (uint32_t)(0xffffffffu / c.size) + 1;

	for (uint32_t x = 0; x <= c.pages * PAGE; x++)
		if ((x % c.size == 0) != ((uint32_t)(x * d) < d) ||
		    x / c.size != (uint64_t)x * d >> 32)
			exit((fprintf(stderr, "mkclasses: no divisor for %u\n", c.size), 1));
	return d;
}

static void print_class(struct class c)
{
	uint32_t batch = clamp(BATCH_BYTES / c.size, 1, 64);
	uint32_t transfer = clamp(TRANSFER_BYTES / c.size, 2 * batch, 32 * batch);

	printf("\t{ %u, %u, %u, %uu, %u, %u, %u, %d, 0 },\n", c.size, c.pages,
	       c.pages * PAGE / c.size, divisor_of(c), batch,
	       clamp(BIN_BYTES / c.size, 2, 4095), transfer, is_served(c.size));
}

static int class_of(uint32_t n)
{
	int c = 1;

	while (classes[c].size < n || !is_served(classes[c].size))
		c++;
	return c;
}

static uint32_t bucket_max(uint32_t i)
{
	return i <= 128 ? i * 8 : 1024 + (i - 128) * 128;
}

static void print_buckets(const char *what, const char *factor)
{
	printf("const %s[MW_N_BUCKETS] = {", what);
	for (uint32_t i = 0; bucket_max(i) <= MAX_SMALL; i++)
		printf("%s%d%s,", i % 16 ? " " : "\n\t", class_of(bucket_max(i)), factor);
	printf("\n};\n\n");
}

static void print_source(void)
{
	printf("/* computed by mkclasses; see there */\n");
	printf("const struct mw_class mw__classes[MW_N_CLASSES] = {\n\t{ 0 },\n");
	for (int i = 1; i < n_classes; i++)
		print_class(classes[i]);
	printf("};\n\n");
	print_buckets("uint8_t mw__bucket_class", "");
	print_buckets("uint16_t mw__bin_at", " * sizeof(struct mw_bin)");
	printf("_Static_assert(MW_N_CLASSES == %d, \"classes\");\n", n_classes);
}

static void print_table(void)
{
	printf("class  bytes/obj  bytes/span  objects  tail waste  max waste  served\n");
	for (int i = 1; i < n_classes; i++) {
		uint32_t size = classes[i].size, run = classes[i].pages * PAGE;
		uint32_t n = run / size, tail = run % size;
		uint32_t worst = (size - classes[i - 1].size - 1) * n + tail;

		printf("%5d %10u %11u %8u %11u %9.2f%%  %s\n", i, size, run, n, tail,
		       100.0 * worst / run, is_served(size) ? "yes" : "no");
	}
}

int main(int argc, char **argv)
{
	compute();
	if (argc > 1 && strcmp(argv[1], "table") == 0)
		print_table();
	else
		print_source();
	return 0;
}
