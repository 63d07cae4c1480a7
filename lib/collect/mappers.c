/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who else maps the frames that were asked for. No machine can be searched page by page, and it need not be: a page of
 * a file or of shared memory is where another process maps the same place of the same file, a page that fork(2)
 * shared is at the same address, a page of the kernel is where a mapping of the same name has it. So the mappings of
 * every process are read, and of its pagemap only such places. What was moved (mremap(2)) or merged (KSM) meanwhile
 * is not found this way; /proc/kpagecount tells how many entries there are, so what is missing is known.
 */
#include "collect.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)
#define BATCH 512u
#define MAX_PLACES (1u << 20)
#define PFN_MASK ((UINT64_C(1) << 55) - 1)
#define PRESENT (UINT64_C(1) << 63)
#define ZERO_PAGE (UINT64_C(1) << 24)	/* of kpageflags */

/* The frames of one mapping of the target. */
struct wanted {
	const struct mw__vma *vma;
	size_t first, n;	/* in snap->frames, by address */
};

struct search {
	struct mw_snapshot *snap;
	int root_fd;
	MW_VEC(struct wanted) list;
};

static int list_wanted(struct search *s)
{
	struct mw_snapshot *snap = s->snap;

	for (size_t i = 0; i < snap->frames.n;) {
		const struct mw__vma *v = mw__snapshot_vma_at(snap, snap->frames.v[i].addr);
		size_t first = i++;

		while (v && i < snap->frames.n && snap->frames.v[i].addr < v->end)
			i++;
		struct wanted *w = v ? MW_VEC_PUSH(&s->list) : NULL;

		if (v && !w)
			return -MW_E_NOMEM;
		if (w)
			*w = (struct wanted){ v, first, i - first };
	}
	return 0;
}

/* Where what the target has at *addr would be in another mapping. */
static bool find_place(const struct mw__vma *own, const struct mw__vma *other, uint64_t *addr)
{
	if (own->ino) {
		uint64_t off = own->off + (*addr - own->start);

		if (other->ino != own->ino || other->dev_major != own->dev_major || other->dev_minor != own->dev_minor || off < other->off)
			return false;
		*addr = other->start + (off - other->off);
	} else if (own->kind == MW__SPECIAL) {
		if (strcmp(own->name, other->name))
			return false;
		*addr = other->start + (*addr - own->start);
	} else if (other->ino) {
		return false;
	}
	return *addr >= other->start && *addr < other->end;
}

static int add_place(struct search *s, struct mw__frame *f, uint32_t mapper)
{
	struct mw__frame_place *p = s->snap->frame_places.n < MAX_PLACES ? MW_VEC_PUSH(&s->snap->frame_places) : NULL;

	f->found++;
	if (p)
		*p = (struct mw__frame_place){ f->addr, mapper };
	return p || s->snap->frame_places.n >= MAX_PLACES ? 0 : -MW_E_NOMEM;
}

/* The frames from f on, n pages one after the other, against as many entries at addr. */
static int compare(struct search *s, int pagemap, struct mw__frame *f, size_t n, uint64_t addr, struct mw__mapper *m)
{
	uint64_t entries[BATCH];
	ssize_t got = pread(pagemap, entries, n * 8, (off_t)(addr / PAGE * 8));

	for (ssize_t i = 0; i < got / 8; i++) {
		if (!(entries[i] & PRESENT) || f[i].pfn == MW_UNKNOWN || (entries[i] & PFN_MASK) != f[i].pfn ||
		    (f[i].flags != MW_UNKNOWN && f[i].flags & ZERO_PAGE))
			continue;
		m->entries++;
		if (add_place(s, &f[i], (uint32_t)s->snap->mappers.n) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

static int search_mapping(struct search *s, int pagemap, const struct wanted *w, const struct mw__vma *other, struct mw__mapper *m)
{
	struct mw__frame *f = &s->snap->frames.v[w->first];

	for (size_t i = 0, n; i < w->n; i += n) {
		uint64_t addr = f[i].addr;

		n = 1;
		if (!find_place(w->vma, other, &addr))
			continue;
		while (i + n < w->n && n < BATCH && f[i + n].addr == f[i].addr + n * PAGE && addr + n * PAGE < other->end)
			n++;
		if (compare(s, pagemap, &f[i], n, addr, m) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

/* Can the other mapping hold anything of these at all? */
static bool can_hold(const struct mw__vma *own, const struct mw__vma *other)
{
	if (own->ino)
		return other->ino == own->ino && other->dev_major == own->dev_major && other->dev_minor == own->dev_minor;
	if (own->kind == MW__SPECIAL)
		return !strcmp(own->name, other->name);
	return !other->ino && own->start < other->end && other->start < own->end;
}

static int search_process(struct search *s, const struct mw__proc *proc, struct mw__mapper *m)
{
	MW_CLEANUP(mw__closep) int pagemap = mw__proc_fd(proc, "pagemap", NULL);
	struct mw_snapshot other;
	int rc = 0;

	mw__snapshot_init(&other);
	other.target.page_size = PAGE;
	int why = pagemap < 0 ? pagemap : mw__maps_read(proc, &other, NULL);

	/* one that ended has no page any more */
	s->snap->mappers_unread += why < 0 && why != -MW_E_GONE && why != -MW_E_NOT_FOUND;
	for (size_t i = 0; why >= 0 && rc == 0 && i < other.vmas.n; i++)
		for (size_t k = 0; rc == 0 && k < s->list.n; k++)
			if (can_hold(s->list.v[k].vma, &other.vmas.v[i]))
				rc = search_mapping(s, pagemap, &s->list.v[k], &other.vmas.v[i], m);
	mw__snapshot_deinit(&other);
	return rc;
}

static int look_at(struct search *s, pid_t pid)
{
	MW_CLEANUP(mw__proc_close) struct mw__proc proc = { .root_fd = -1, .pid_fd = -1, .task_fd = -1 };
	MW_CLEANUP(mw__str_deinit) struct mw__str comm = {};
	struct mw__mapper m = { .pid = pid };
	uint64_t size = MW_UNKNOWN, rss;
	char name[16];

	snprintf(name, sizeof(name), "%d", pid);
	proc = (struct mw__proc){ .root_fd = -1, .task_fd = -1, .pid = pid, .is_live = true, .own_pids = true,
				  .root = "/proc" };
	proc.pid_fd = openat(s->root_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc.pid_fd < 0)
		return 0;
	mw__statm_read(&proc, "statm", PAGE, &size, &rss);
	if (size == MW_UNKNOWN || !size)	/* a kernel thread, or gone */
		return 0;
	int rc = search_process(s, &proc, &m);

	if (rc < 0 || !m.entries)
		return rc;
	if (mw__proc_text(&proc, "comm", &comm, NULL) == 0 && comm.n)
		m.comm = mw__arena_strn(&s->snap->arena, comm.v, comm.n - (comm.v[comm.n - 1] == '\n'));
	struct mw__mapper *slot = MW_VEC_PUSH(&s->snap->mappers);

	if (!slot)
		return -MW_E_NOMEM;
	*slot = m;
	return 0;
}

int mw__collect_mappers(struct mw__collector *c, struct mw_err *err)
{
	MW_CLEANUP(mw__closep) int root = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MW_CLEANUP(mw__freep) pid_t *pids = NULL;
	struct search s = { .snap = c->snap, .root_fd = root };
	size_t n = 0;
	int rc = mw__status_list(&pids, &n, err);

	if (rc < 0)
		return rc;
	rc = list_wanted(&s);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = look_at(&s, pids[i]);
	MW_VEC_FREE(&s.list);
	c->snap->mappers_known = rc == 0;
	if (c->snap->mappers_unread)
		mw__note(c->snap, MW__INFO, "pagemap", "root may read them", "%llu process%s could not be asked for these pages",
			 (unsigned long long)c->snap->mappers_unread, c->snap->mappers_unread == 1 ? "" : "es");
	if (c->snap->frame_places.n >= MAX_PLACES)
		mw__note(c->snap, MW__INFO, "pagemap", "a smaller range", "which process maps which page is kept for %u entries only", MAX_PLACES);
	return rc < 0 ? mw__fail_nomem(err, "frames") : 0;
}
