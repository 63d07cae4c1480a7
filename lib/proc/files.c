/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is behind the mappings: the kind of each from its name, device and the file system of that
 * device (mountinfo); the file itself, by the road that still reaches it; and how much of it is in
 * the page cache.
 *
 * Roads to a mapped file, in this order: map_files/RANGE (reaches deleted and namespaced files; needs
 * CAP_CHECKPOINT_RESTORE), exe, root/PATH and PATH, the last two only when inode and device agree. Only
 * regular files are opened: opening a device or a FIFO has side effects.
 *
 * The kernel mounts shared memory and hugetlb internally, in no mountinfo. A memfd of our own tells
 * the device numbers of both.
 */
#include "proc.h"

#include "../base/cleanup.h"
#include "../base/count.h"
#include "../base/err.h"
#include "../base/size.h"
#include "uapi.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define PAGE 4096u
/* cachestat calls on one mapping at most; beyond, its cache state is unknown */
#define MAX_GAPS 4096u

/* ------------------------------------------------------------------- kinds */

struct device {
	uint32_t major, minor;
	const char *fs;		/* file system type */
};
struct devices {
	MW_VEC(struct device) list;
};

static void free_devices(struct devices *d)
{
	MW_VEC_FREE(&d->list);
}

static int add_device(struct devices *d, uint32_t major, uint32_t minor, const char *fs)
{
	struct device *dev = MW_VEC_PUSH(&d->list);

	if (!dev)
		return -MW_E_NOMEM;
	*dev = (struct device){ major, minor, fs };
	return 0;
}

static const char *find_fs(const struct devices *d, uint32_t major, uint32_t minor)
{
	for (size_t i = 0; i < d->list.n; i++)
		if (d->list.v[i].major == major && d->list.v[i].minor == minor)
			return d->list.v[i].fs;
	return NULL;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw" */
static int parse_mount(const char *line, const char *end, struct devices *d, struct mw__arena *arena)
{
	const char *p = line;
	uint64_t id, major, minor;

	if (!mw__parse_dec(&p, end, &id) || p == end || *p++ != ' ' || !mw__parse_dec(&p, end, &id) ||
	    p == end || *p++ != ' ' || !mw__parse_dec(&p, end, &major) || p == end || *p++ != ':' ||
	    !mw__parse_dec(&p, end, &minor))
		return 0;
	const char *dash = memmem(p, end - p, " - ", 3);

	if (!dash)
		return 0;
	const char *fs = mw__arena_intern(arena, dash + 3, mw__find(dash + 3, end, ' ') - dash - 3);

	return fs ? add_device(d, (uint32_t)major, (uint32_t)minor, fs) : -MW_E_NOMEM;
}

static int read_mounts(const struct mw__proc *proc, struct devices *d, struct mw__arena *arena)
{
	MW_CLEANUP(mw__lines_close) struct mw__lines lines = { .fd = -1 };
	const char *line, *end;

	if (mw__lines_open(&lines, proc, "mountinfo", NULL) < 0)
		return 0;
	while (mw__lines_next(&lines, &line, &end, NULL) > 0)
		if (parse_mount(line, end, d, arena) < 0)
			return -MW_E_NOMEM;
	return 0;
}

static int add_internal_mount(struct devices *d, unsigned flags, const char *fs)
{
	struct stat st;
	MW_CLEANUP(mw__closep) int fd = memfd_create("memwhy", MFD_CLOEXEC | flags);

	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	return add_device(d, major(st.st_dev), minor(st.st_dev), fs);
}

static int add_internal_mounts(struct devices *d)
{
	static const unsigned huge_sizes[] = { MFD_HUGE_2MB, MFD_HUGE_1GB, MFD_HUGE_64KB, MFD_HUGE_32MB };
	int rc = add_internal_mount(d, 0, "tmpfs");

	for (size_t i = 0; rc == 0 && i < MW__COUNT(huge_sizes); i++)
		rc = add_internal_mount(d, MFD_HUGETLB | huge_sizes[i], "hugetlbfs");
	return rc;
}

static bool starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

struct name_kind {
	const char *prefix;
	enum mw__vma_kind kind;
};
/* First fit wins; mappings without a file. */
static const struct name_kind bare_names[] = {
	{ "[heap]", MW__ANON }, { "[stack", MW__ANON }, { "[anon:", MW__ANON }, { "[anon_shmem:", MW__SHMEM },
	{ "[", MW__SPECIAL }, { "anon_inode:", MW__DEVICE }, { "socket:", MW__DEVICE }, { "/dmabuf", MW__DEVICE },
};
/* First fit wins; names whose file system is not in mountinfo, or which hide a device. */
static const struct name_kind file_names[] = {
	{ "/dev/shm/", MW__SHMEM }, { "/dev/hugepages/", MW__HUGETLB }, { "/dev/zero (deleted)", MW__SHMEM },
	{ "/memfd:", MW__SHMEM }, { "/SYSV", MW__SHMEM }, { "/anon_hugepage", MW__HUGETLB },
	{ "/dev/", MW__DEVICE }, { "/[aio]", MW__DEVICE }, { "anon_inode:", MW__DEVICE }, { "socket:", MW__DEVICE },
	{ "/dmabuf", MW__DEVICE }, { "[anon_shmem:", MW__SHMEM }, { "[", MW__SPECIAL },
};
struct fs_kind {
	const char *fs;
	enum mw__vma_kind kind;
};
static const struct fs_kind fs_kinds[] = {
	{ "tmpfs", MW__SHMEM }, { "hugetlbfs", MW__HUGETLB }, { "sysfs", MW__DEVICE }, { "proc", MW__DEVICE },
	{ "devtmpfs", MW__DEVICE }, { "ramfs", MW__FILE },
};

static bool kind_by_name(const struct name_kind *table, size_t n, const char *name, uint8_t *kind)
{
	for (size_t i = 0; i < n; i++)
		if (starts(name, table[i].prefix)) {
			*kind = table[i].kind;
			return true;
		}
	return false;
}

#define BY_NAME(table, name, kind) kind_by_name(table, MW__COUNT(table), name, kind)

uint8_t mw__files_kind_by_name(const char *name)
{
	uint8_t kind = MW__FILE;

	BY_NAME(file_names, name, &kind);
	return kind;
}

static uint8_t kind_of(const struct mw__vma *v, const char *fs)
{
	uint8_t kind = MW__FILE;

	if (!v->ino && !v->dev_major && !v->dev_minor) {
		kind = MW__ANON;
		BY_NAME(bare_names, v->name, &kind);
		return kind;
	}
	if (!strcmp(v->name, "/dev/zero") && !v->is_shared)
		return MW__ANON;
	bool named = BY_NAME(file_names, v->name, &kind);

	/* a memfd or SysV segment may be of hugetlb: the device tells */
	if (named && !(kind == MW__SHMEM && fs && !strcmp(fs, "hugetlbfs")))
		return kind;
	for (size_t i = 0; fs && i < MW__COUNT(fs_kinds); i++)
		if (!strcmp(fs_kinds[i].fs, fs))
			return fs_kinds[i].kind;
	return kind;
}

/* ------------------------------------------------------------------- files */

struct table {
	uint32_t *slot;	/* index into files + 1 */
	size_t cap;
};

static void free_table(struct table *t)
{
	free(t->slot);
}

static size_t hash_file(const struct mw__vma *v)
{
	uint64_t h = v->ino * UINT64_C(0x9e3779b97f4a7c15) ^ ((uint64_t)v->dev_major << 20 ^ v->dev_minor) *
		     UINT64_C(0xff51afd7ed558ccd);

	return (size_t)(h ^ h >> 32);
}

static bool same_file(const struct mw__file *f, const struct mw__vma *v)
{
	return f->ino == v->ino && f->dev_major == v->dev_major && f->dev_minor == v->dev_minor;
}

static int grow_table(struct table *t, const struct mw_snapshot *snap)
{
	size_t cap = t->cap ? t->cap * 2 : 64;
	uint32_t *slot = calloc(cap, sizeof(*slot));

	if (!slot)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < snap->files.n; i++) {
		const struct mw__file *f = &snap->files.v[i];
		struct mw__vma key = { .ino = f->ino, .dev_major = f->dev_major, .dev_minor = f->dev_minor };
		size_t h = hash_file(&key) & (cap - 1);

		while (slot[h])
			h = (h + 1) & (cap - 1);
		slot[h] = (uint32_t)i + 1;
	}
	free(t->slot);
	t->slot = slot;
	t->cap = cap;
	return 0;
}

static const char deleted_mark[] = " (deleted)";

static int add_file(struct mw_snapshot *snap, const struct mw__vma *v, const char *fs)
{
	struct mw__file *f = MW_VEC_PUSH(&snap->files);
	size_t len = strlen(v->name), mark = sizeof(deleted_mark) - 1;

	if (!f)
		return -MW_E_NOMEM;
	*f = (struct mw__file){ .dev_major = v->dev_major, .dev_minor = v->dev_minor, .ino = v->ino,
				.size = MW_UNKNOWN, .fs = fs };
	f->is_deleted = len > mark && !strcmp(v->name + len - mark, deleted_mark);
	f->path = mw__arena_intern(&snap->arena, v->name, f->is_deleted ? len - mark : len);
	return f->path ? 0 : -MW_E_NOMEM;
}

/* The index of the file behind v, made when it is new. */
static int find_file(struct mw_snapshot *snap, struct table *t, const struct devices *d,
		     const struct mw__vma *v, uint32_t *ret)
{
	if ((!t->cap || snap->files.n * 2 >= t->cap) && grow_table(t, snap) < 0)
		return -MW_E_NOMEM;
	size_t h = hash_file(v) & (t->cap - 1);

	for (; t->slot[h]; h = (h + 1) & (t->cap - 1))
		if (same_file(&snap->files.v[t->slot[h] - 1], v)) {
			*ret = t->slot[h] - 1;
			return 0;
		}
	if (add_file(snap, v, find_fs(d, v->dev_major, v->dev_minor)) < 0)
		return -MW_E_NOMEM;
	t->slot[h] = (uint32_t)snap->files.n;
	*ret = (uint32_t)snap->files.n - 1;
	return 0;
}

static int collect_one(struct mw_snapshot *snap, struct table *t, const struct devices *d, struct mw__vma *v,
		       const struct mw__vma *before)
{
	int rc = 0;

	if (v->ino || v->dev_major || v->dev_minor) {
		if (before && before->file != MW__NONE && same_file(&snap->files.v[before->file], v))
			v->file = before->file;
		else
			rc = find_file(snap, t, d, v, &v->file);
	}
	if (rc == 0)
		v->kind = kind_of(v, v->file != MW__NONE ? snap->files.v[v->file].fs : NULL);
	if (v->kind == MW__ANON || v->kind == MW__SPECIAL)
		v->file = MW__NONE;
	return rc;
}

int mw__files_collect(const struct mw__proc *proc, struct mw_snapshot *snap, struct mw_err *err)
{
	MW_CLEANUP(free_devices) struct devices devices = {};
	MW_CLEANUP(free_table) struct table table = {};

	snap->files.n = 0;
	if (read_mounts(proc, &devices, &snap->arena) < 0 || (proc->is_live && add_internal_mounts(&devices) < 0))
		return mw__fail_nomem(err, "mounts");
	for (size_t i = 0; i < snap->vmas.n; i++)
		if (collect_one(snap, &table, &devices, &snap->vmas.v[i], i ? &snap->vmas.v[i - 1] : NULL) < 0)
			return mw__fail_nomem(err, "mapped files");
	return 0;
}

/* ----------------------------------------------------------------- opening */

/* Inode numbers agree; a stacked file system shows another device in maps than to stat(). */
static bool is_same(const struct stat *st, const struct mw__file *f)
{
	bool stacked = f->fs && (!strcmp(f->fs, "overlay") || !strcmp(f->fs, "btrfs"));

	return S_ISREG(st->st_mode) && st->st_ino == f->ino &&
	       ((major(st->st_dev) == f->dev_major && minor(st->st_dev) == f->dev_minor) || stacked || !f->fs);
}

/* Another file has the name. */
static int fail_other(void)
{
	errno = ENOENT;
	return -1;
}

/* Open name below dir if it is the file wanted; -1 and errno. */
static int open_same(int dir, const char *name, struct mw__file *f, bool trust)
{
	struct stat st;

	if (fstatat(dir, name, &st, 0) < 0)
		return -1;
	if (!(trust ? S_ISREG(st.st_mode) : is_same(&st, f))) {
		f->is_replaced |= !trust;
		return fail_other();
	}
	MW_CLEANUP(mw__closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!(trust ? S_ISREG(st.st_mode) : is_same(&st, f)))
		return fail_other();
	f->size = st.st_size;
	int ret = fd;

	fd = -1;
	return ret;
}

/* A reason that has to do with the machine and not with this road to the file. */
static bool is_grave(int error)
{
	return error == EMFILE || error == ENFILE || error == EIO || error == ENOMEM;
}

/* The mark that the kernel puts behind the name of a deleted file may be part of the name: then the file has it. */
static void check_mark(const struct mw__proc *proc, struct mw_snapshot *snap, const struct mw__vma *vma, struct mw__file *f)
{
	char root[4200];
	struct stat st;
	int n = snprintf(root, sizeof(root), "root%s", vma->name);

	if (*vma->name != '/' || n >= (int)sizeof(root) || fstatat(proc->pid_fd, root, &st, 0) < 0 || !is_same(&st, f))
		return;
	const char *path = mw__arena_str(&snap->arena, vma->name);

	if (path) {
		f->path = path;
		f->is_deleted = false;
	}
}

int mw__files_open(const struct mw__proc *proc, struct mw_snapshot *snap, const struct mw__vma *vma)
{
	struct mw__file *f = &snap->files.v[vma->file];
	char map[64], root[4200];

	if (f->is_deleted)
		check_mark(proc, snap, vma, f);
	const struct {
		const char *how, *name;
		int dir;
		bool applies, trust;
	} roads[] = {
		{ "map_files", map, proc->pid_fd, proc->is_live, true },
		{ "exe", "exe", proc->pid_fd, true, false },
		{ "root", root, proc->pid_fd, *f->path == '/', false },
		{ "path", f->path, AT_FDCWD, *f->path == '/' && proc->is_live, false },
	};
	int why = ENOENT;

	snprintf(map, sizeof(map), "map_files/%llx-%llx", (unsigned long long)vma->start, (unsigned long long)vma->end);
	snprintf(root, sizeof(root), "root%s", f->path);
	for (size_t i = 0; i < MW__COUNT(roads); i++) {
		if (!roads[i].applies)
			continue;
		bool replaced = f->is_replaced;
		int fd = open_same(roads[i].dir, roads[i].name, f, roads[i].trust);

		if (!strcmp(roads[i].how, "exe"))
			f->is_replaced = replaced;	/* exe is most often another file */
		if (fd >= 0) {
			struct stat st;

			f->how = roads[i].how;
			f->is_replaced |= f->is_deleted && proc->is_live && *f->path == '/' && !fstatat(proc->pid_fd, root, &st, 0);
			return fd;
		}
		/* map_files reaches every file: its reason is worth telling */
		if (roads[i].trust || is_grave(errno))
			why = errno;
	}
	f->how = NULL;
	errno = why;
	return -1;
}

/* --------------------------------------------------------------- page cache */

/* Is this page of the mapping one of the file, and not a private copy? */
static bool is_file_page(const struct mw__vma *v, const struct mw__run *r)
{
	return r->state & MW__PRESENT && (v->is_shared || r->state & MW__OF_FILE);
}

/* Pages in the cache behind each stretch of the mapping that has no page of the file. */
static bool sum_gaps(const struct mw_snapshot *snap, const struct mw__vma *v, uint64_t end,
		     const struct mw__cache *cache, struct mw__cachestat *sum)
{
	uint64_t at = v->start;
	uint32_t gaps = 0;

	for (uint32_t k = 0; k <= v->n_runs && at < end; k++) {
		const struct mw__run *r = k < v->n_runs ? &snap->runs.v[v->run + k] : NULL;
		uint64_t stop = r ? mw__min(r->start, end) : end;
		struct mw__cachestat cs = {};

		if (stop > at && (++gaps > MAX_GAPS || !mw__cache_ask(cache, v->off + (at - v->start), stop - at, &cs)))
			return false;
		sum->nr_cache += cs.nr_cache;
		sum->nr_evicted += cs.nr_evicted;
		if (r)
			at = r->start + (uint64_t)r->pages * PAGE;
	}
	return true;
}

static void stat_vma(struct mw_snapshot *snap, struct mw__vma *v, const struct mw__cache *cache)
{
	uint64_t file_pages = 0, copies = 0, size = snap->files.v[v->file].size;
	uint64_t eof = mw__align_up(size, PAGE);
	uint64_t end = v->start + mw__min(v->end - v->start, mw__sub0(eof, v->off));
	struct mw__cachestat cs = {};

	for (uint32_t k = 0; k < v->n_runs; k++)
		*(is_file_page(v, &snap->runs.v[v->run + k]) ? &file_pages : &copies) += snap->runs.v[v->run + k].pages;
	bool ok = copies ? sum_gaps(snap, v, end, cache, &cs) : mw__cache_ask(cache, v->off, end - v->start, &cs);

	if (!ok)
		return;
	uint64_t absent = (end - v->start) / PAGE - mw__min(file_pages + copies, (end - v->start) / PAGE);

	v->cached = mw__min(copies ? cs.nr_cache : mw__sub0(cs.nr_cache, file_pages), absent) * PAGE;
	if (v->kind == MW__SHMEM)
		v->evicted = mw__min(cs.nr_evicted * PAGE, absent * PAGE - v->cached);
}

void mw__files_cachestat(struct mw_snapshot *snap, uint32_t file, int fd,
			 const uint32_t *vmas, size_t n_vmas, bool *denied)
{
	struct mw__cache cache;

	if (snap->files.v[file].size == MW_UNKNOWN)
		return;
	if (!mw__cache_open(&cache, fd)) {
		*denied |= errno == EPERM || errno == EACCES;
		return;
	}
	for (size_t i = 0; i < n_vmas; i++)
		if (snap->vmas.v[vmas[i]].prot && snap->vmas.v[vmas[i]].states_known)
			stat_vma(snap, &snap->vmas.v[vmas[i]], &cache);
}
