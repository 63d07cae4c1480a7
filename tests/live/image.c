/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The program's own file: .bss and .data touched in known pages, .rodata read,
 * the tail of the data segment, and the main stack grown deep.
 */
#include "truth.h"

#define BLOCK 64                /* pages */

#define ALIGNED __attribute__((aligned(4096)))

static char bss_block[BLOCK * PAGE] ALIGNED;
static char data_block[BLOCK * PAGE] ALIGNED = {1};
static const char rodata_block[BLOCK * PAGE] ALIGNED = {1};

static char *page_list(char *out, size_t cap, const size_t *pages, size_t count)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(out + used, cap - used, "%s%zu",
					 i ? "," : "", pages[i]);
	return out;
}

/* The whole anonymous part of the data segment; the first page may be file. */
static void bss(void)
{
	static const size_t touched[] = {3, 5, 8, 40};
	char detail[256], list[64];
	uint64_t start, end;
	struct seen s;

	for (size_t i = 0; i < 4; i++)
		write_pages(bss_block + touched[i] * PAGE, 1);
	s = see((uintptr_t)bss_block, (uintptr_t)bss_block + sizeof(bss_block));
	if (s.present != 4 * PAGE || !find_mapping(bss_block, &start, &end)) {
		say_skip("bss", "%zu bytes of the object present, not 4 pages", s.present);
		return;
	}
	snprintf(detail, sizeof(detail),
		 "\"section\":\".bss\",\"symbol\":\"bss_block\","
		 "\"symbol_pages\":%d,\"symbol_touched\":[%s]",
		 BLOCK, page_list(list, sizeof(list), touched, 4));

	const char *p = (const char *)(uintptr_t)start;
	struct expect e = measure_anon(p, (size_t)(end - start), "N16");

	e.owner = "bss";
	e.detail = detail;
	say("bss", p, (size_t)(end - start), e);
}

/* What the cache holds of a program's file is nobody's to promise: bytes only. */
static struct expect measure_program(uint64_t start, uint64_t end)
{
	size_t size = (size_t)(end - start);
	struct expect e = measure_file((const void *)(uintptr_t)start, size, size);

	return (struct expect){
		.resident = e.resident, .anonymous = e.anonymous, .file = e.file,
		.untouched = e.untouched,
		.causes = {{"R1", e.anonymous}, {"R2", e.file}, {"N11|N12", e.untouched}},
	};
}

/* The file part of the data segment: COW where written, else as the file is. */
static void data(void)
{
	static const size_t touched[] = {1, 2, 7, 63};
	char detail[256], list[64];
	uint64_t start, end;
	struct seen s;

	for (size_t i = 0; i < 4; i++)
		write_pages(data_block + touched[i] * PAGE, 1);
	s = see((uintptr_t)data_block, (uintptr_t)data_block + sizeof(data_block));
	if (s.present - s.filed != 4 * PAGE || !find_mapping(data_block, &start, &end)) {
		say_skip("data", "%zu bytes copied, not 4 pages", s.present - s.filed);
		return;
	}
	snprintf(detail, sizeof(detail),
		 "\"section\":\".data\",\"symbol\":\"data_block\","
		 "\"symbol_pages\":%d,\"symbol_touched\":[%s]",
		 BLOCK, page_list(list, sizeof(list), touched, 4));

	const char *p = (const char *)(uintptr_t)start;
	struct expect e = measure_program(start, end);

	e.detail = detail;
	say("data", p, (size_t)(end - start), e);
}

static void rodata(void)
{
	uint64_t start, end;

	read_pages(rodata_block + 20 * PAGE, 1);
	if (!find_mapping(rodata_block, &start, &end))
		return;

	const char *p = (const char *)(uintptr_t)start;
	struct expect e = measure_program(start, end);

	e.detail = "\"section\":\".rodata\",\"symbol\":\"rodata_block\"";
	say("rodata", p, (size_t)(end - start), e);
}

static __attribute__((noinline)) void go_deep(size_t bytes)
{
	volatile char frame[PAGE];

	frame[0] = 1;
	if (bytes > PAGE)
		go_deep(bytes - PAGE);
	frame[PAGE - 1] = frame[0];
}

/* Grown by a megabyte, then its middle given back. */
static void main_stack(void)
{
	char here;
	uint64_t start, end;
	uintptr_t low = ((uintptr_t)&here - 768 * KIB) & ~(PAGE - 1);

	go_deep(MIB);
	madvise((void *)low, 512 * KIB, MADV_DONTNEED);
	if (!find_mapping(&here, &start, &end))
		return;

	const char *p = (const char *)(uintptr_t)start;
	struct expect e = measure_anon(p, (size_t)(end - start), "N18");

	if (e.untouched < 512 * KIB) {
		say_skip("main-stack", "only %zu bytes given back", e.untouched);
		return;
	}
	e.owner = "main-stack";
	say("main-stack", p, (size_t)(end - start), e);
}

int main(void)
{
	begin();
	main_stack();
	if (dir_is_tmpfs()) {
		say_skip("data", "the directory for files is a tmpfs");
	} else {
		data();
		rodata();
	}
	bss();                  /* last: the helpers above use .bss themselves */
	hold();
}
