/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Kernel interfaces newer than the headers that a distribution ships. Whether the
 * running kernel has them is found by calling them, never from its version.
 *   PAGEMAP_SCAN  Linux 6.7, include/uapi/linux/fs.h, "fs/proc/task_mmu: implement
 *                 IOCTL to get and optionally clear info about PTEs"; the guard category
 *                 since 6.15
 *   cachestat     Linux 6.5, include/uapi/linux/mman.h
 */
#ifndef MW_PROC_UAPI_H
#define MW_PROC_UAPI_H

#include <linux/ioctl.h>
#include <stdint.h>

struct mw__pm_region {
	uint64_t start, end, categories;
};

struct mw__pm_scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
_Static_assert(sizeof(struct mw__pm_scan) == 96, "struct pm_scan_arg of Linux 6.7");

#define MW__PAGEMAP_SCAN _IOWR('f', 16, struct mw__pm_scan)

enum {
	MW__PM_WPALLOWED = 1 << 0,
	MW__PM_WRITTEN = 1 << 1,
	MW__PM_FILE = 1 << 2,
	MW__PM_PRESENT = 1 << 3,
	MW__PM_SWAPPED = 1 << 4,
	MW__PM_PFNZERO = 1 << 5,
	MW__PM_HUGE = 1 << 6,
	MW__PM_SOFT_DIRTY = 1 << 7,
	MW__PM_GUARD = 1 << 8,
};

#define MW__SYS_CACHESTAT 451
struct mw__cachestat_range {
	uint64_t off, len;
};
struct mw__cachestat {
	uint64_t nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted;
};

#endif
