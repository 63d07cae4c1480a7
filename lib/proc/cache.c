/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the page cache has pages of a mapping that the mapping itself has not. cachestat(2) gives amounts
 * only, so a range that is neither all in the cache nor all out of it is halved until each piece is.
 * A mapping gets a bounded number of calls; beyond, the amount stays known and the places do not.
 *
 * An overlay maps the file below it, whose pages its own file does not have: cachestat says that nothing of
 * it is cached. mincore(2) goes by what a mapping shows, so there such a file is mapped and never touched. It
 * tells the truth only to the owner of the file and says 'cached' of everything to others; O_NOATIME is allowed
 * to the same, and keeps the mapping from changing the file's access time.
 */
#include "proc.h"

#include "../base/size.h"
#include "uapi.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)
#define MAX_CALLS 100000u
#define WINDOW 16384u		/* pages that are mapped at a time for mincore */
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define FUSE_SUPER_MAGIC 0x65735546	/* may pass mappings through to another file */

bool mw__cache_open(struct mw__cache *ret, int fd)
{
	struct mw__cachestat cs;
	struct statfs fs;

	*ret = (struct mw__cache){ .fd = fd };
	if (fstatfs(fd, &fs) < 0)
		return false;
	ret->is_stacked = fs.f_type == OVERLAYFS_SUPER_MAGIC || fs.f_type == FUSE_SUPER_MAGIC;
	return ret->is_stacked ? fcntl(fd, F_SETFL, O_NOATIME) == 0 : mw__cache_ask(ret, 0, 1, &cs);
}

static bool ask_window(const struct mw__cache *c, uint64_t off, size_t pages, struct mw__cachestat *ret)
{
	unsigned char states[WINDOW];
	void *map = mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, c->fd, (off_t)off);

	if (map == MAP_FAILED)
		return false;
	bool ok = mincore(map, pages * PAGE, states) == 0;

	for (size_t i = 0; ok && i < pages; i++)
		ret->nr_cache += states[i] & 1;
	munmap(map, pages * PAGE);
	return ok;
}

bool mw__cache_ask(const struct mw__cache *c, uint64_t off, uint64_t len, struct mw__cachestat *ret)
{
	struct mw__cachestat_range range = { off, len };

	*ret = (struct mw__cachestat){};
	if (!len)
		return true;
	if (!c->is_stacked)
		return syscall(MW__SYS_CACHESTAT, c->fd, &range, ret, 0) == 0;
	for (uint64_t left = (len + PAGE - 1) / PAGE, n; left; left -= n, off += n * PAGE) {
		n = mw__min(left, WINDOW);
		if (!ask_window(c, off, n, ret))
			return false;
	}
	return true;
}

struct search {
	struct mw_snapshot *snap;
	struct mw__vma *vma;
	const struct mw__cache *file;
	uint32_t calls;
	uint64_t found;		/* bytes */
};

/* Pages in the cache behind [start, end) of the mapping, or MW_UNKNOWN. */
static uint64_t count_pages(struct search *s, uint64_t start, uint64_t end)
{
	struct mw__cachestat cs;

	if (s->calls++ >= MAX_CALLS || !mw__cache_ask(s->file, s->vma->off + (start - s->vma->start), end - start, &cs))
		return MW_UNKNOWN;
	return cs.nr_cache;
}

static int push_run(struct search *s, uint64_t start, uint64_t end)
{
	struct mw__vma *v = s->vma;
	struct mw__run *last = v->n_cache ? &s->snap->cache.v[s->snap->cache.n - 1] : NULL;

	s->found += end - start;
	if (last && last->start + last->pages * PAGE == start && last->pages + (end - start) / PAGE <= UINT32_MAX) {
		last->pages += (uint32_t)((end - start) / PAGE);
		return 0;
	}
	struct mw__run *run = MW_VEC_PUSH(&s->snap->cache);

	if (!run)
		return -MW_E_NOMEM;
	*run = (struct mw__run){ start, (uint32_t)((end - start) / PAGE), MW__OF_FILE };
	if (!v->n_cache++)
		v->cache = (uint32_t)(s->snap->cache.n - 1);
	return 0;
}

/* 1 all placed, 0 gave up, -MW_E_NOMEM. Depth is bounded by the bits of the length. */
static int halve(struct search *s, uint64_t start, uint64_t end)
{
	uint64_t pages = (end - start) / PAGE, n = count_pages(s, start, end);

	if (n == MW_UNKNOWN)
		return 0;
	if (n == 0)
		return 1;
	if (n >= pages)
		return push_run(s, start, end) < 0 ? -MW_E_NOMEM : 1;
	uint64_t middle = start + pages / 2 * PAGE;
	int rc = halve(s, start, middle);

	return rc > 0 ? halve(s, middle, end) : rc;
}

static int search_vma(struct search *s)
{
	struct mw__vma *v = s->vma;
	uint64_t eof = mw__align_up(s->snap->files.v[v->file].size, PAGE), at = v->start;
	uint64_t end = v->start + mw__min(v->end - v->start, mw__sub0(eof, v->off));
	int rc = 1;

	for (uint32_t k = 0; rc > 0 && k <= v->n_runs && at < end; k++) {
		const struct mw__run *r = k < v->n_runs ? &s->snap->runs.v[v->run + k] : NULL;
		uint64_t stop = r ? mw__min(r->start, end) : end;

		if (stop > at)
			rc = halve(s, at, stop);
		if (r)
			at = r->start + r->pages * PAGE;
	}
	return rc;
}

int mw__files_cache_places(struct mw_snapshot *snap, uint32_t file, int fd, const uint32_t *vmas, size_t n_vmas)
{
	struct mw__cache cache;

	if (snap->files.v[file].size == MW_UNKNOWN || !mw__cache_open(&cache, fd))
		return 0;
	for (size_t i = 0; i < n_vmas; i++) {
		struct mw__vma *v = &snap->vmas.v[vmas[i]];
		struct search s = { .snap = snap, .vma = v, .file = &cache };
		size_t before = snap->cache.n;

		if (v->cached == MW_UNKNOWN || v->kind != MW__FILE || v->cache_placed)
			continue;
		int rc = search_vma(&s);

		if (rc < 0)
			return rc;
		if (rc == 0) {
			snap->cache.n = before;
			v->n_cache = 0;
			continue;
		}
		v->cached = s.found;
		v->cache_placed = true;
	}
	return 0;
}
