/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * thp.c - transparent huge pages: where they pay.
 *
 * A kernel whose setting is "always" gives them unasked: a program that allocates a
 * hundred bytes then has 2 MiB in its heap, and 2 MiB more in the table of arenas. Where
 * memory has been given back, each page that is wanted again brings 2 MiB back, too. So
 * a small heap, and an arena from which memory went back, tell the kernel not to; what
 * grows and stays is left to the kernel, or asks for them where the option says so.
 */
#include "bits.h"

#define SMALL_PAGES (16u << 20 >> MW_PAGE_SHIFT) /* a heap up to here has none */

enum advice { LEAVE, ASK, REFUSE };

TOGETHER static bool unasked; /* the kernel gives them to those who say nothing */

/* linux/Documentation/admin-guide/mm/transhuge.rst. Unknown: refusing does no harm. */
static bool is_unasked(void)
{
	char text[64];
	long n = mw__os_read_file("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	return n <= 0 || strstr(text, "[always]");
}

/* Once, before the table of arenas is written. */
void mw__thp_init(void)
{
	uintptr_t start = round_up((uintptr_t)mw__page_descs, KERNEL_PAGE), end = (uintptr_t)(mw__page_descs + (1u << ARENA_TABLE_BITS));

	unasked = mw__options.thp != MW_THP_ALWAYS && is_unasked();
	if (unasked)
		mw__os_hugepages((void *)start, (end - start) & ~(uintptr_t)(KERNEL_PAGE - 1), false);
}

/* In a heap that will have @in_use pages in use; @small: what one up to SMALL_PAGES does. */
static enum advice advice_for(uint64_t in_use, enum advice small)
{
	if (mw__options.thp == MW_THP_ALWAYS)
		return ASK;
	if (mw__options.thp == MW_THP_NEVER)
		return REFUSE;
	if (in_use <= SMALL_PAGES)
		return small;
	return mw__options.thp == MW_THP_AUTO ? ASK : LEAVE;
}

static void advise(uint64_t addr, uint32_t npages, enum advice advice)
{
	if (advice == ASK || (advice == REFUSE && unasked))
		mw__os_hugepages((void *)addr, (size_t)npages << MW_PAGE_SHIFT, advice == ASK);
}

/* Pages of @a that were just mapped, since @need of them are wanted. */
void mw__thp_piece(const heap_arena *a, uint64_t addr, uint32_t npages, uint32_t need)
{
	advise(addr, npages, a->no_huge ? REFUSE : advice_for(heap.pages_in_use + heap.huge_pages + need, REFUSE));
}

static enum advice advice_for_block(uint32_t npages)
{
	return advice_for(heap.pages_in_use + heap.huge_pages + npages, LEAVE);
}

/* A block in a mapping of its own. */
void mw__thp_block(uint64_t addr, uint32_t npages)
{
	advise(addr, npages, advice_for_block(npages));
}

/* The same, in pages of an arena until now, which may have refused. */
void mw__thp_moved(uint64_t addr, uint32_t npages)
{
	enum advice advice = advice_for_block(npages);

	advise(addr, npages, advice == LEAVE && unasked ? ASK : advice);
}

/* Memory of @a has been given back. Heap lock. */
void mw__thp_given_back(heap_arena *a)
{
	if (a->no_huge || mw__options.thp == MW_THP_ALWAYS || !(unasked || mw__options.thp == MW_THP_AUTO))
		return;
	a->no_huge = 1;
	for (uint32_t at = 0, end; at < MW_ARENA_PAGES; at = end) {
		end = zeros_above(a->map_bits, at);
		if (end == at) {
			end = ones_above(a->map_bits, at);
			mw__os_hugepages((void *)(a->base + ((uint64_t)at << MW_PAGE_SHIFT)), (size_t)(end - at) << MW_PAGE_SHIFT, false);
		}
	}
}
