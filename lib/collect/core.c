/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A snapshot of a process from its core file. Mappings are what the core has a PT_LOAD for; the files behind
 * them are those of NT_FILE; the rest of what maps tells (device, inode, whether it is shared) is not in a core.
 * gdb writes no PT_LOAD for unchanged parts of files: NT_FILE tells of these, and the ELF segments what may be done
 * with them. Page states are not in a core either, so no mapping has any. A mapping that the core left out as
 * unchanged (read-only parts of files) is read from the file, where that is the same by its build ID.
 */
#include "collect.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/search.h"
#include "../base/size.h"
#include "../elf/image.h"
#include "../memwhy.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u
#define VSYSCALL UINT64_C(0xffffffffff600000)

/* ------------------------------------------------------------------- mappings */

static const struct mw__core_file *file_at(const struct mw__core *core, uint64_t addr)
{
	size_t lo = MW_FIRST(i, core->files.n, core->files.v[i].end > addr);

	return lo < core->files.n && core->files.v[lo].start <= addr ? &core->files.v[lo] : NULL;
}

/* The files of a core by path: each path has one file, and a hostile core a million of them. */
struct paths {
	const struct mw__core_file **sorted;
	uint32_t *file;		/* index into snap->files, of the first of these with this path; MW__NONE: not there yet */
};

static void free_paths(struct paths *p)
{
	free(p->sorted);
	free(p->file);
}

static int compare_paths(const void *a, const void *b)
{
	const struct mw__core_file *x = *(const struct mw__core_file *const *)a, *y = *(const struct mw__core_file *const *)b;

	return strcmp(x->path, y->path);
}

static int sort_paths(const struct mw__core *core, struct paths *p)
{
	size_t n = core->files.n;

	p->sorted = malloc((n + 1) * sizeof(*p->sorted));
	p->file = malloc((n + 1) * sizeof(*p->file));
	if (!p->sorted || !p->file)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < n; i++)
		p->sorted[i] = &core->files.v[i];
	qsort(p->sorted, n, sizeof(*p->sorted), compare_paths);
	memset(p->file, 0xff, n * sizeof(*p->file));	/* MW__NONE */
	return 0;
}

/* The index of a file in snap->files, made when there is none. */
static int64_t file_index(struct mw_snapshot *snap, const struct mw__core *core, struct paths *p, const struct mw__core_file *file)
{
	uint32_t *known = &p->file[MW_FIRST(i, core->files.n, strcmp(p->sorted[i]->path, file->path) >= 0)];

	if (*known != MW__NONE)
		return *known;
	struct mw__file *f = MW_VEC_PUSH(&snap->files);
	const char *copy = mw__arena_str(&snap->arena, file->path);

	if (!f || !copy)
		return -MW_E_NOMEM;
	*f = (struct mw__file){ .path = copy, .ino = MW_UNKNOWN, .size = MW_UNKNOWN };
	*known = (uint32_t)snap->files.n - 1;
	return *known;
}

/* Mappings that the kernel names, by what the auxiliary vector and the registers point to. */
static const char *kernel_name(const struct mw__core *core, const struct mw__core_load *l)
{
	uint64_t vdso = mw__core_auxv_value(core, AT_SYSINFO_EHDR), random = mw__core_auxv_value(core, AT_RANDOM);

	if (l->start == VSYSCALL)
		return "[vsyscall]";
	if (vdso != MW_UNKNOWN && vdso >= l->start && vdso < l->end)
		return "[vdso]";
	if (random != MW_UNKNOWN && random >= l->start && random < l->end)
		return "[stack]";	/* the kernel put these bytes on the first stack */
	return NULL;
}

static int add_mapping(struct mw_snapshot *snap, const struct mw__core *core, struct paths *p, const struct mw__core_load *l)
{
	const struct mw__core_file *f = file_at(core, l->start);
	struct mw__vma *v = MW_VEC_PUSH(&snap->vmas);
	const char *name = f ? NULL : kernel_name(core, l);

	if (!v)
		return -MW_E_NOMEM;
	*v = (struct mw__vma){ .start = l->start, .end = l->end, .name = name ? name : "", .file = MW__NONE, .prot = l->prot,
			       .kind = name && strcmp(name, "[stack]") ? MW__SPECIAL : MW__ANON, .cached = MW_UNKNOWN, .evicted = MW_UNKNOWN };
	if (!f)
		return 0;
	int64_t i = file_index(snap, core, p, f);

	if (i < 0)
		return (int)i;
	v->file = (uint32_t)i;
	v->ino = MW_UNKNOWN;
	v->name = snap->files.v[i].path;
	v->off = f->off + (l->start - f->start);
	v->kind = mw__files_kind_by_name(v->name);
	v->is_shared = v->kind != MW__FILE;	/* shared memory; of other files a core does not tell */
	return 0;
}

/* What NT_FILE tells of [start, end) beyond the PT_LOADs. */
static int add_left_out(struct mw_snapshot *snap, const struct mw__core *core, struct paths *p, uint64_t start, uint64_t end)
{
	const struct mw__core_load l = { .start = start, .end = end, .prot = MW__R };

	return start < end && start % PAGE == 0 && end % PAGE == 0 ? add_mapping(snap, core, p, &l) : 0;
}

static int add_mappings(struct mw_snapshot *snap, const struct mw__core *core)
{
	MW_CLEANUP(free_paths) struct paths p = {};
	uint64_t at = 0;	/* all below is done */
	size_t load = 0;
	int rc = sort_paths(core, &p);

	for (size_t i = 0; rc == 0 && i < core->files.n; i++) {
		const struct mw__core_file *f = &core->files.v[i];

		at = mw__max(at, f->start);
		for (; rc == 0 && load < core->loads.n && core->loads.v[load].start < f->end; load++) {
			if (core->loads.v[load].start > at)
				rc = add_left_out(snap, core, &p, at, core->loads.v[load].start);
			if (rc == 0)
				rc = add_mapping(snap, core, &p, &core->loads.v[load]);
			at = mw__max(at, core->loads.v[load].end);
		}
		if (rc == 0)
			rc = add_left_out(snap, core, &p, at, f->end);
		at = mw__max(at, f->end);
	}
	for (; rc == 0 && load < core->loads.n; load++)
		rc = add_mapping(snap, core, &p, &core->loads.v[load]);
	return rc;
}

/* The first image of a file, or one of a later file: images stand in the order of their files. */
static size_t first_image(const struct mw_snapshot *snap, uint32_t file)
{
	return MW_FIRST(i, snap->images.n, snap->images.v[i].file >= file);
}

/* The permissions of mappings without a PT_LOAD, by the ELF segment that they are of. */
static void complete_permissions(struct mw__collector *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->snap->vmas.n; i++) {
		struct mw__vma *v = &c->snap->vmas.v[i];

		if (mw__core_load_at(c->core, v->start))
			continue;
		n++;
		for (size_t k = first_image(c->snap, v->file); k < c->snap->images.n && c->snap->images.v[k].file == v->file; k++) {
			const struct mw__image *img = &c->snap->images.v[k];

			for (uint32_t s = 0; s < img->n_segments; s++) {
				const struct mw__segment *seg = &img->segments[s];
				uint64_t start = mw__align_down(img->bias + seg->vaddr, PAGE);

				if (seg->type == PT_LOAD && v->start >= start && v->start < img->bias + seg->vaddr + seg->filesz)
					v->prot = (uint8_t)((seg->flags & PF_R ? MW__R : 0) | (seg->flags & PF_W ? MW__W : 0) |
							    (seg->flags & PF_X ? MW__X : 0));
			}
		}
	}
	if (n)
		mw__note(c->snap, MW__INFO, "core", NULL, n == 1 ?
			 "%zu mapping of a file is listed without memory: its permissions are those of the ELF segments" :
			 "%zu mappings of files are listed without memory: their permissions are those of the ELF segments", n);
}

static bool is_of_image(const struct mw_snapshot *snap, const struct mw__vma *v)
{
	size_t i = first_image(snap, v->file);

	return i < snap->images.n && snap->images.v[i].file == v->file;
}

/*
 * Mappings of files that are no images may have been shared, if they were writable; of those without a
 * PT_LOAD (gdb leaves shared ones out) that is unknown too. A loader maps images privately.
 */
static void say_not_shared(struct mw__collector *c)
{
	uint64_t bytes = 0, n = 0;
	char size[MW__SIZE_TEXT];

	for (size_t i = 0; i < c->snap->vmas.n; i++) {
		const struct mw__vma *v = &c->snap->vmas.v[i];

		if (v->kind != MW__FILE || is_of_image(c->snap, v) || (mw__core_load_at(c->core, v->start) && !(v->prot & MW__W)))
			continue;
		n++;
		bytes += v->end - v->start;
	}
	if (n)
		mw__note(c->snap, MW__WARNING, "core", "memwhy on the running process", "%llu mapping%s of files (%s) %s taken as private: "
			 "a core file does not tell whether a mapping was shared", (unsigned long long)n, n == 1 ? "" : "s",
			 mw__size_text(bytes, MW_UNIT_IEC, size), n == 1 ? "is" : "are");
}

static int add_threads(struct mw_snapshot *snap, const struct mw__core *core)
{
	for (size_t i = 0; i < core->threads.n; i++) {
		const struct mw__core_thread *t = &core->threads.v[i];
		struct mw__task *task = MW_VEC_PUSH(&snap->tasks);

		if (!task)
			return -MW_E_NOMEM;
		*task = (struct mw__task){ .tid = t->tid, .sp = t->sp, .descriptor = t->fs_base };
	}
	return 0;
}

static int compare_tasks(const void *a, const void *b)
{
	const struct mw__task *x = a, *y = b;

	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

/* --------------------------------------------------------------------- memory */

/* The part of a mapping that the core left out, from its file. Written pages would be in the core. */
static bool read_from_file(struct mw__collector *c, uint64_t addr, void *buf, size_t size)
{
	const struct mw__vma *v = mw__snapshot_vma_at(c->snap, addr);

	const struct mw__core_load *l = mw__core_load_at(c->core, addr);

	/* what may be written is in the core where it was */
	if (!v || v->file == MW__NONE || (l && l->prot & MW__W) || size > v->end - addr)
		return false;
	for (size_t i = 0; i < c->snap->images.n; i++) {
		const struct mw__image *img = &c->snap->images.v[i];
		struct mw__image now = {};

		if (img->file != v->file || addr < img->start || addr >= img->end)
			continue;
		MW_CLEANUP(mw__closep) int fd = mw__collect_open_image(c->snap, img, &now);

		return fd >= 0 && pread(fd, buf, size, (off_t)(v->off + (addr - v->start))) == (ssize_t)size;
	}
	return false;
}

bool mw__collect_core_read(void *ctx, uint64_t addr, void *buf, size_t size)
{
	struct mw__collector *c = ctx;

	return mw__core_read(c->core, addr, buf, size) || read_from_file(c, addr, buf, size);
}

/* Is the file of this path the one whose head is in the core? Only a build ID tells. */
static bool is_same(struct mw__collector *c, const struct mw__vma *head, int fd)
{
	struct mw__mem mem = { mw__core_read, c->core, c->core->word };
	struct mw__image in_core = {}, in_file = {};

	return mw__image_read_mem(&mem, head->start, head->end, &c->snap->arena, &in_core, NULL) > 0 &&
	       mw__image_read_fd(fd, &c->snap->arena, &in_file, NULL) > 0 && in_core.build_id && in_file.build_id &&
	       !strcmp(in_core.build_id, in_file.build_id);
}

int mw__collect_open_core_file(struct mw__collector *c, const struct mw__vma *head)
{
	struct stat st;

	if (!head || *head->name != '/')
		return -1;
	MW_CLEANUP(mw__closep) int fd = open(head->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !is_same(c, head, fd))
		return -1;
	int ret = fd;

	fd = -1;
	return ret;
}

/* ---------------------------------------------------------------------- notes */

#define HEAD_NEAR 16	/* mappings from the code of an image back to its first one, at most */

/* Of the file whose code is at addr the ELF header's page lies before: is it known where, and not in the core? */
static bool lacks_head(const struct mw__core *core, uint64_t addr)
{
	const struct mw__core_file *code = file_at(core, addr);

	for (const struct mw__core_file *f = code; f && f >= core->files.v && code - f < HEAD_NEAR && !strcmp(f->path, code->path); f--) {
		const struct mw__core_load *l = f->off ? NULL : mw__core_load_at(core, f->start);

		if (l)
			return l->size + l->cut <= f->start - l->start;
	}
	return false;
}

static void add_notes(struct mw_snapshot *snap, const struct mw__core *core, const char *path)
{
	uint64_t cut = 0, left_out = 0, files = 0, heads = 0;
	char size[MW__SIZE_TEXT], other[MW__SIZE_TEXT];

	for (size_t i = 0; i < core->loads.n; i++) {
		const struct mw__core_load *l = &core->loads.v[i];
		uint64_t out = l->end - l->start - l->size - l->cut;

		cut += l->cut;
		*(file_at(core, l->start) ? &files : &left_out) += l->prot ? out : 0;
		heads += l->prot & MW__X && lacks_head(core, l->start);
	}
	mw__note(snap, MW__INFO, "core", "memwhy on the running process", "which pages were resident is not in a core file");
	snap->incomplete = cut || left_out || heads;
	if (cut)
		mw__note(snap, MW__WARNING, "core", "ulimit -c unlimited, and room on the disk", "%s is cut off: %s of memory that it "
			 "should hold are missing", path, mw__size_text(cut, MW_UNIT_IEC, size));
	if (left_out)
		mw__note(snap, MW__WARNING, "core", "/proc/PID/coredump_filter says what is dumped (core(5))",
			 "%s of anonymous memory were not dumped: what is in them is unknown", mw__size_text(left_out, MW_UNIT_IEC, size));
	if (heads)
		mw__note(snap, MW__WARNING, "core", "bit 4 of /proc/PID/coredump_filter has them dumped (core(5))",
			 "the ELF headers of %llu mapped program%s were not dumped: which %s, and what is in them, is unknown",
			 (unsigned long long)heads, heads == 1 ? " or library" : "s and libraries", heads == 1 ? "build it is" : "builds they are");
	if (core->data != MW_UNKNOWN)
		mw__note(snap, MW__INFO, "core", NULL, "of %s that it holds, %s are holes in the file: never touched, or zeros",
			 mw__size_text(core->held, MW_UNIT_IEC, size), mw__size_text(core->held - core->data, MW_UNIT_IEC, other));
	if (!core->has_files)
		mw__note(snap, MW__WARNING, "core", NULL, "it has no NT_FILE note: which files are mapped is unknown");
	if (!core->auxv.n)
		mw__note(snap, MW__WARNING, "core", NULL, "it has no NT_AUXV note: which image is the program is unknown");
}

/* ------------------------------------------------------------------- collecting */

static const char *machine_name(const struct mw__core *core)
{
	return core->machine == EM_X86_64 ? "x86_64" : core->machine == EM_386 ? "i686" : core->machine == EM_AARCH64 ? "aarch64" : NULL;
}

static int fill_target(struct mw_snapshot *snap, const struct mw__core *core)
{
	struct mw__target *t = &snap->target;

	t->pid = core->pid ? core->pid : core->threads.n ? core->threads.v[0].tid : 0;
	t->page_size = PAGE;
	t->taken_at_ns = core->mtime_ns;
	t->has_maps = true;
	t->pages = MW_PAGES_AUTO;
	t->machine = machine_name(core);
	t->comm = mw__arena_str(&snap->arena, core->comm ? core->comm : "?");
	t->cmdline = core->cmdline ? mw__arena_str(&snap->arena, core->cmdline) : NULL;
	snap->status.threads = core->threads.n ? core->threads.n : MW_UNKNOWN;
	snap->status.ppid = core->ppid;
	snap->status.uid = snap->status.euid = core->uid;
	return t->comm && (t->cmdline || !core->cmdline) ? 0 : -MW_E_NOMEM;
}

static int fill(struct mw__collector *c)
{
	struct mw_snapshot *snap = c->snap;
	int rc = fill_target(snap, c->core);

	if (rc == 0)
		rc = add_mappings(snap, c->core);
	if (rc == 0)
		rc = add_threads(snap, c->core);
	if (rc == 0 && snap->tasks.n)
		qsort(snap->tasks.v, snap->tasks.n, sizeof(*snap->tasks.v), compare_tasks);
	return rc;
}

static int collect(struct mw__collector *c, const char *path, struct mw_err *err)
{
	if (fill(c) < 0)
		return mw__fail_nomem(err, path);
	add_notes(c->snap, c->core, path);
	int rc = c->opts.no_objects ? 0 : mw__collect_objects(c, err);

	complete_permissions(c);
	say_not_shared(c);
	for (size_t i = 0; rc == 0 && i < c->snap->images.n; i++)
		if (c->snap->images.v[i].role == MW__PROGRAM)
			c->snap->target.exe = c->snap->images.v[i].path;
	if (rc == 0 && c->opts.n_frames_at)
		rc = mw__collect_sources(c->snap, &c->opts, err);
	if (rc == 0 && mw__collect_runtime(c->snap) < 0)
		rc = mw__fail_nomem(err, path);
	return rc;
}

bool mw_is_core(const char *path)
{
	return mw__core_is(path);
}

int mw_collect_core(const char *path, const struct mw_collect_opts *opts, struct mw_snapshot **ret, struct mw_err *err)
{
	MW_CLEANUP(mw__freep) struct mw__collector *c = calloc(1, sizeof(*c));
	struct mw_snapshot *snap = calloc(1, sizeof(*snap));
	struct mw_err local;

	if (!err)
		err = &local;
	if (!c || !snap) {
		free(snap);
		return mw__fail_nomem(err, path);
	}
	mw__snapshot_init(snap);
	c->snap = snap;
	c->proc = (struct mw__proc){ .root_fd = -1, .pid_fd = -1, .task_fd = -1 };
	if (opts)
		memcpy(&c->opts, opts, mw__min(opts->size, sizeof(c->opts)));
	int rc = mw__core_open(path, &c->core, err);

	if (rc == 0)
		rc = collect(c, path, err);
	if (rc == 0)
		rc = mw__snapshot_freeze(snap, err);
	mw__core_close(c->core);
	if (rc < 0)
		mw_snapshot_destroy(snap);
	else
		*ret = snap;
	return rc;
}
