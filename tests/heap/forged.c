/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process that wants whoever looks at it to be busy: it carries the note of our allocator and a region that
 * it made up. Records of tables lie over each other, lists lead back to themselves, and counts are the largest
 * that are believed; or its mappings are full of what looks like the descriptor of a thread.
 *
 *   forged arenas|caches|heaps|huge|stacks   prints a line when it is there, and waits for the end of its input
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "alloc/abi.h"

#define ARENAS (UINT64_C(1) << 21)
#define STACKS 512	/* mappings */
#define STACK (UINT64_C(64) << 10)

__attribute__((used)) struct mw_region region;
static struct mw_class classes[MW_N_CLASSES];
static uint8_t buckets[MW_N_BUCKETS];
static struct mw_mcentral centrals[MW_N_CLASSES];
static struct mw_mcache cache;
static struct mw_heap heap;

__asm__(".pushsection .note.memwhy, \"a\", %note\n"
	".balign 4\n"
	".long 7, 16, 1\n"
	".asciz \"memwhy\"\n"
	".balign 4\n"
	".long 1, 4\n"
	"0: .quad region - 0b\n"
	".popsection\n");

static void *map(uint64_t size, int prot)
{
	void *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Two million arenas in 16 MiB: each begins 8 bytes behind the one before. */
static int forge_arenas(void)
{
	uint64_t *records = map(ARENAS * 8 + sizeof(struct mw_heap_arena), PROT_READ | PROT_WRITE);
	uint64_t *list = map(ARENAS * 8, PROT_READ | PROT_WRITE);

	if (!records || !list)
		return 1;
	for (uint64_t i = 0; i < ARENAS; i++) {
		records[i] = (i + 1) << MW_ARENA_SHIFT;
		list[i] = (uint64_t)(uintptr_t)&records[i];
	}
	region.heap.arenas = (uint64_t)(uintptr_t)list;
	region.heap.n_arenas = ARENAS;
	return 0;
}

/* Tables of spans of huge blocks, all of them of one span. */
static int forge_huge(void)
{
	uint64_t slots = UINT64_C(1) << 24, *list = map(slots * 8, PROT_READ | PROT_WRITE);
	static struct mw_mspan span = { .npages = 1, .state = MW_SPAN_HUGE, .nelems = 1, .used = 1 };

	if (!list)
		return 1;
	for (uint64_t i = 0; i < slots; i++)
		list[i] = (uint64_t)(uintptr_t)&span;
	span.base = (uint64_t)(uintptr_t)list;
	region.heap.huge = (uint64_t)(uintptr_t)list;
	region.heap.n_huge_slots = slots;
	return 0;
}

/*
 * The last pages are full of words that point to themselves, like a descriptor's first, each followed by a pair that
 * could be its stack block, if there were no hole behind the last mapping.
 */
static int forge_stacks(void)
{
	char *all = map(STACKS * STACK, PROT_READ | PROT_WRITE);
	uint64_t begin = (uint64_t)(uintptr_t)all;

	if (!all)
		return 1;
	for (char *p = all; p < all + STACKS * STACK; p += STACK) {
		uint64_t *top = (uint64_t *)(p + STACK - 8192);

		if (mprotect(p, 4096, PROT_NONE))
			return 1;
		for (unsigned i = 0; i + 2 < 1024; i += 3) {
			top[i] = (uint64_t)(uintptr_t)&top[i];
			top[i + 1] = begin;
			top[i + 2] = UINT64_C(1) << 40;
		}
	}
	return 0;
}

static int forge(const char *what)
{
	region = (struct mw_region){ .magic = MW_ABI_MAGIC, .major = MW_ABI_MAJOR, .minor = MW_ABI_MINOR, .size = sizeof(region),
				     .state = MW_REGION_READY, .pid = getpid(), .n_tables = MW_N_TABLES,
				     .sizeof_mspan = sizeof(struct mw_mspan), .sizeof_arena = sizeof(struct mw_heap_arena),
				     .sizeof_mcache = sizeof(struct mw_mcache), .sizeof_heap = sizeof(struct mw_heap) };
	region.tables[MW_TABLE_CLASSES] = (struct mw_abi_table){ (uint64_t)(uintptr_t)classes, MW_N_CLASSES, sizeof(*classes) };
	region.tables[MW_TABLE_BUCKETS] = (struct mw_abi_table){ (uint64_t)(uintptr_t)buckets, MW_N_BUCKETS, 1 };
	region.tables[MW_TABLE_MCENTRALS] = (struct mw_abi_table){ (uint64_t)(uintptr_t)centrals, MW_N_CLASSES, sizeof(*centrals) };
	memset(classes, 0, sizeof(classes));
	memset(buckets, 0, sizeof(buckets));
	memset(centrals, 0, sizeof(centrals));
	for (unsigned c = 1; c < MW_N_CLASSES; c++)
		classes[c].size = 16 * c;
	if (!strcmp(what, "arenas"))
		return forge_arenas();
	if (!strcmp(what, "huge"))
		return forge_huge();
	if (!strcmp(what, "caches")) {
		cache = (struct mw_mcache){ .state = MW_MCACHE_LIVE, .next = (uint64_t)(uintptr_t)&cache };
		region.mcaches = cache.next;
		return 0;
	}
	if (!strcmp(what, "heaps")) {
		heap = (struct mw_heap){ .magic = MW_HEAP_LIVE, .id = 1, .next = (uint64_t)(uintptr_t)&heap };
		region.heaps = heap.next;
		return 0;
	}
	region.state = MW_REGION_UNUSED;
	return strcmp(what, "stacks") ? 2 : forge_stacks();
}

int main(int argc, char **argv)
{
	int rc = argc == 2 ? forge(argv[1]) : 2;

	if (rc)
		return rc;
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
