/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Snapshots built by hand: mappings, page runs and claims where a test puts them. */
#ifndef MW_TESTS_BUILD_H
#define MW_TESTS_BUILD_H

#include "heap/heap.h"
#include "model/snapshot.h"

#define B_PAGE UINT64_C(4096)
#define B_BASE UINT64_C(0x7f0000000000)

__attribute__((unused))
static struct mw_snapshot *b_create(void)
{
	struct mw_snapshot *snap = calloc(1, sizeof(*snap));

	mw__snapshot_init(snap);
	snap->target.pid = 42;
	snap->target.page_size = B_PAGE;
	snap->target.has_maps = true;
	snap->target.tries = 1;
	snap->target.pages = MW_PAGES_SCAN;
	return snap;
}

/* A mapping of so many pages, from page number on (counted from B_BASE). Its page states are known. */
__attribute__((unused))
static struct mw__vma *b_vma(struct mw_snapshot *snap, uint64_t page, uint64_t n, int prot, enum mw__vma_kind kind)
{
	struct mw__vma *v = MW_VEC_PUSH(&snap->vmas);

	*v = (struct mw__vma){ .start = B_BASE + page * B_PAGE, .end = B_BASE + (page + n) * B_PAGE, .prot = (uint8_t)prot,
			       .kind = (uint8_t)kind, .name = "", .file = MW__NONE, .states_known = true, .cached = MW_UNKNOWN,
			       .evicted = MW_UNKNOWN, .is_shared = kind == MW__SHMEM || kind == MW__HUGETLB };
	return v;
}

/* A run of pages in the mapping added last; runs come in order. */
__attribute__((unused))
static void b_run(struct mw_snapshot *snap, uint64_t first, uint32_t n, uint32_t state)
{
	struct mw__vma *v = &snap->vmas.v[snap->vmas.n - 1];
	struct mw__run *r = MW_VEC_PUSH(&snap->runs);

	*r = (struct mw__run){ v->start + first * B_PAGE, n, state };
	if (!v->n_runs++)
		v->run = (uint32_t)(snap->runs.n - 1);
}

/* A file of this size for the mapping added last. */
__attribute__((unused))
static void b_file(struct mw_snapshot *snap, const char *path, uint64_t size)
{
	*(struct mw__file *)MW_VEC_PUSH(&snap->files) = (struct mw__file){ .path = path, .size = size, .ino = snap->files.n };
	snap->vmas.v[snap->vmas.n - 1].file = (uint32_t)(snap->files.n - 1);
}

__attribute__((unused))
static void b_claim(struct mw_snapshot *snap, uint64_t page, uint64_t n, enum mw__owner owner, unsigned priority, const char *rule)
{
	*(struct mw__claim *)MW_VEC_PUSH(&snap->claims) =
		(struct mw__claim){ .start = B_BASE + page * B_PAGE, .end = B_BASE + (page + n) * B_PAGE, .owner = (uint8_t)owner,
				    .certainty = MW__PROVEN, .priority = (uint16_t)priority, .rule = rule };
}

/* Room for the amounts of smaps, all unknown; call it after the last mapping was added. */
__attribute__((unused))
static void b_smaps(struct mw_snapshot *snap)
{
	snap->smaps = calloc(snap->vmas.n + 1, sizeof(*snap->smaps));
	for (size_t i = 0; i < snap->vmas.n; i++)
		mw__smaps_init(&snap->smaps[i]);
}

/* A small generator with a seed (xorshift64*), so that a failure can be had again. */
struct dice {
	uint64_t state;
};

__attribute__((unused))
static uint64_t roll(struct dice *d, uint64_t below)
{
	d->state ^= d->state >> 12;
	d->state ^= d->state << 25;
	d->state ^= d->state >> 27;
	return (d->state * UINT64_C(0x2545f4914f6cdd1d) >> 20) % below;
}

#endif
