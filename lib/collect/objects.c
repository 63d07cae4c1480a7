/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is behind the mappings: opens each mapped file once, reads it when it is ELF, finds where each
 * instance of it lies in memory, asks for its page cache, and lets the walkers claim anonymous memory.
 *
 * An instance is a run of mappings of one file for which one load bias explains all: two neighbouring
 * segments share a page of the file, so a single mapping may fit two segments, but the intersection over
 * the instance has one member. Some programs map a piece of an ELF file elsewhere (V8 does so with its
 * builtins): what has less than half of the file's segments in place is a mapping of data, not an instance.
 */
#include "collect.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/search.h"
#include "../base/size.h"
#include "../elf/detail.h"
#include "../elf/image.h"
#include "../heap/heap.h"
#include "../model/place.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096u

#define MAX_CANDIDATES 64u

/* The mappings of each file, as one array cut by file. */
struct by_file {
	uint32_t *vmas, *first;		/* first[f] .. first[f + 1] */
};

static void free_by_file(struct by_file *b)
{
	free(b->vmas);
	free(b->first);
}

static int sort_by_file(const struct mw_snapshot *snap, struct by_file *b)
{
	b->first = calloc(snap->files.n + 2, sizeof(*b->first));
	b->vmas = calloc(snap->vmas.n + 1, sizeof(*b->vmas));
	if (!b->first || !b->vmas)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < snap->vmas.n; i++)
		if (snap->vmas.v[i].file != MW__NONE)
			b->first[snap->vmas.v[i].file + 2]++;
	for (size_t f = 2; f < snap->files.n + 2; f++)
		b->first[f] += b->first[f - 1];
	for (size_t i = 0; i < snap->vmas.n; i++)
		if (snap->vmas.v[i].file != MW__NONE)
			b->vmas[b->first[snap->vmas.v[i].file + 1]++] = (uint32_t)i;
	return 0;
}

/* --------------------------------------------------------------- instances */

struct candidates {
	uint64_t bias[MAX_CANDIDATES];
	size_t n;
};

static void add_candidate(struct candidates *c, uint64_t bias)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->bias[i] == bias)
			return;
	if (c->n < MAX_CANDIDATES)
		c->bias[c->n++] = bias;
}

static struct candidates candidates_of(const struct mw__image *img, const struct mw__vma *v)
{
	struct candidates c = {};
	uint64_t bias;

	for (uint32_t i = 0; i < img->n_segments; i++)
		if (mw__image_bias(&img->segments[i], v->start, v->end, v->off, &bias) && bias % 4096 == 0)
			add_candidate(&c, bias);
	return c;
}

static struct candidates intersect(const struct candidates *a, const struct candidates *b)
{
	struct candidates c = {};

	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n; k++)
			if (a->bias[i] == b->bias[k])
				add_candidate(&c, a->bias[i]);
	return c;
}

/* Is the first page of this segment of the file mapped where the bias puts it? */
static bool is_in_place(const struct mw_snapshot *snap, const struct mw__segment *s, uint64_t bias, uint32_t file)
{
	uint64_t at = bias + mw__align_down(s->vaddr, 4096);
	const struct mw__vma *v = mw__snapshot_vma_at(snap, at);

	return v && v->file == file && v->off + (at - v->start) == mw__align_down(s->off, 4096);
}

static bool is_loaded(const struct mw_snapshot *snap, const struct mw__image *img, uint64_t bias, uint32_t file)
{
	uint32_t loads = 0, in_place = 0;

	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];

		if (s->type != PT_LOAD || !s->filesz)
			continue;
		loads++;
		in_place += is_in_place(snap, s, bias, file);
	}
	return loads && in_place * 2 >= loads;
}

/* An image that would wrap around the end of the address space is none: its file lies. */
static int add_instance(struct mw_snapshot *snap, const struct mw__image *file_img, uint32_t file, uint64_t bias)
{
	uint64_t start, end;

	if (!mw__image_span(file_img, &start, &end) || start + bias > end + bias)
		return 0;
	struct mw__image *img = MW_VEC_PUSH(&snap->images);

	if (!img)
		return -MW_E_NOMEM;
	*img = *file_img;
	img->file = file;
	img->path = file != MW__NONE ? snap->files.v[file].path : "[vdso]";
	img->bias = bias;
	img->start = start + bias;
	img->end = end + bias;
	return 0;
}

/* Cut the mappings of one ELF file into instances. */
static int find_instances(struct mw_snapshot *snap, const struct mw__image *img, uint32_t file,
			  const uint32_t *vmas, size_t n)
{
	struct candidates current = {};

	for (size_t i = 0; i <= n; i++) {
		const struct mw__vma *v = i < n ? &snap->vmas.v[vmas[i]] : NULL;
		struct candidates c = v ? candidates_of(img, v) : (struct candidates){};
		struct candidates both = intersect(&current, &c);

		if (v && (!v->prot || !c.n))
			continue;	/* a gap, or a mapping of the file as data */
		if (!both.n && current.n && is_loaded(snap, img, current.bias[0], file) &&
		    add_instance(snap, img, file, current.bias[0]) < 0)
			return -MW_E_NOMEM;
		current = both.n ? both : c;
	}
	return 0;
}

/* Where the first bytes of the file are mapped readably; NULL if nowhere. */
static const struct mw__vma *find_head(const struct mw_snapshot *snap, const uint32_t *vmas, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (snap->vmas.v[vmas[i]].off == 0 && snap->vmas.v[vmas[i]].prot & MW__R)
			return &snap->vmas.v[vmas[i]];
	return NULL;
}

struct reading {
	struct mw__collector *c;
	struct mw__mem mem;
	uint32_t unreachable;	/* mapped files that we could not open though they are there */
	const char *unreachable_name;
	int unreachable_errno;	/* why, of that one */
	bool cache_denied;
	bool binds_now;		/* LD_BIND_NOW is set: no PLT slot waits for its first call (ld.so(8)) */
};

/*
 * May the file be read? Reading brings pages into the page cache, or back from swap, that were not there: what
 * we came to count. So a file is read only where it is an image for certain (it is executable here) or where
 * its first page is in memory already.
 */
static bool may_read(const struct mw_snapshot *snap, const uint32_t *vmas, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct mw__vma *v = &snap->vmas.v[vmas[i]];
		bool first_present = v->off == 0 && v->n_runs && snap->runs.v[v->run].start == v->start &&
				     snap->runs.v[v->run].state & MW__PRESENT;

		if (v->prot & MW__X || first_present || (v->off == 0 && !v->states_known))
			return true;
	}
	return false;
}

/* How far behind its last mapping of the file the .bss of an image may reach. */
#define BSS_MAX (UINT64_C(1) << 32)

static bool is_wanted(const struct reading *r, uint32_t file, const uint32_t *vmas, size_t n)
{
	const struct mw_collect_opts *o = &r->c->opts;
	const struct mw__vma *all = r->c->snap->vmas.v;

	if (o->details_of)
		return mw__place_names(o->details_of, r->c->snap->files.v[file].path);
	for (size_t i = 0; i < o->n_frames_at; i++)
		if (o->frames_at[i] >= all[vmas[0]].start && o->frames_at[i] < all[vmas[n - 1]].end + BSS_MAX)
			return true;
	return !o->n_frames_at;
}

/* More than so many guesses at what an address is in the file: all symbols are read. */
#define MAX_WANTED (UINT64_C(1) << 17)

struct wanted {
	MW_VEC(uint64_t) addrs;
};

static void free_wanted(struct wanted *w)
{
	MW_VEC_FREE(&w->addrs);
}

/*
 * The addresses that symbols are wanted near, as in the file: by each load bias that a mapping allows, for where
 * the image lies is found later. None: all are wanted.
 */
static int find_wanted(const struct reading *r, const struct mw__image *img, const uint32_t *vmas, size_t n, struct wanted *w)
{
	const struct mw_collect_opts *o = &r->c->opts;
	const struct mw__vma *all = r->c->snap->vmas.v;
	struct candidates biases = {};

	for (size_t i = 0; i < n && o->n_frames_at && !o->details_of; i++) {
		struct candidates c = candidates_of(img, &all[vmas[i]]);

		for (size_t k = 0; k < c.n; k++)
			add_candidate(&biases, c.bias[k]);
	}
	if (biases.n == MAX_CANDIDATES || biases.n * o->n_frames_at > MAX_WANTED)
		return 0;
	for (size_t i = 0; i < o->n_frames_at; i++)
		for (size_t k = 0; k < biases.n; k++) {
			uint64_t *slot = MW_VEC_PUSH(&w->addrs);

			if (!slot)
				return -MW_E_NOMEM;
			*slot = o->frames_at[i] - biases.bias[k];
		}
	if (w->addrs.n)
		qsort(w->addrs.v, w->addrs.n, sizeof(*w->addrs.v), mw__compare_u64);
	return 0;
}

static int read_detail(struct reading *r, uint32_t file, int fd, struct mw__image *img, const uint32_t *vmas, size_t n)
{
	const struct mw_collect_opts *o = &r->c->opts;
	struct mw_snapshot *snap = r->c->snap;
	MW_CLEANUP(free_wanted) struct wanted wanted = {};

	if (find_wanted(r, img, vmas, n, &wanted) < 0)
		return -MW_E_NOMEM;
	struct mw__detail_want want = { snap->files.v[file].path, o->symbols, o->relocs, r->binds_now, wanted.addrs.v, wanted.addrs.n };

	int rc = mw__detail_read(fd, img, &want, &snap->arena, &img->detail);

	if (rc == 0 && o->relocs && !img->detail->relocs_known)
		mw__note(snap, MW__WARNING, "elf", NULL, "%s: which pages its relocations write is unknown: its tables lie "
			 "outside of the file, over each other, or are packed for Android", snap->files.v[file].path);
	return rc;
}

/* The image in fd. Places in the page cache come first: reading the file changes them. */
static int read_file(struct reading *r, uint32_t file, int fd, struct mw__image *img, const uint32_t *vmas, size_t n)
{
	const struct mw_collect_opts *o = &r->c->opts;
	struct mw_snapshot *snap = r->c->snap;
	bool detail = is_wanted(r, file, vmas, n);

	if (o->cache_places && detail && r->c->proc.is_live && mw__files_cache_places(snap, file, fd, vmas, n) < 0)
		return -MW_E_NOMEM;
	int rc = mw__image_read_fd(fd, &snap->arena, img, NULL);

	if (rc > 0 && detail && (o->symbols || o->relocs) && read_detail(r, file, fd, img, vmas, n) < 0)
		return -MW_E_NOMEM;
	return rc;
}

static int read_object(struct reading *r, uint32_t file, const uint32_t *vmas, size_t n)
{
	struct mw_snapshot *snap = r->c->snap;
	const struct mw__vma *first = &snap->vmas.v[vmas[0]];
	struct mw__image img = {};
	int rc = 0;

	if (first->kind != MW__FILE && first->kind != MW__SHMEM)
		return 0;
	MW_CLEANUP(mw__closep) int fd = r->c->core ? mw__collect_open_core_file(r->c, find_head(snap, vmas, n))
						   : mw__files_open(&r->c->proc, snap, first);

	if (fd >= 0) {
		if (r->c->proc.is_live)
			mw__files_cachestat(snap, file, fd, vmas, n, &r->cache_denied);
		if (may_read(snap, vmas, n))
			rc = read_file(r, file, fd, &img, vmas, n);
	} else if (first->kind == MW__FILE) {
		int why = r->c->core ? ENOENT : errno;	/* of a core's files none is missed */
		const struct mw__vma *head = find_head(snap, vmas, n);

		/* one that is not here (any more) needs no note: a captured tree has none of them */
		if (why != ENOENT && why != ESRCH && !r->unreachable++) {
			r->unreachable_name = snap->files.v[file].path;
			r->unreachable_errno = why;
		}
		if (head)
			rc = mw__image_read_mem(&r->mem, head->start, head->end, &snap->arena, &img, NULL);
	}
	if (rc == -MW_E_NOMEM)
		return rc;
	return rc > 0 ? find_instances(snap, &img, file, vmas, n) : 0;
}

static int read_vdso(struct reading *r)
{
	struct mw_snapshot *snap = r->c->snap;

	for (size_t i = 0; i < snap->vmas.n; i++) {
		const struct mw__vma *v = &snap->vmas.v[i];
		struct mw__image img = { .role = MW__VDSO };
		uint64_t start, end;

		if (strcmp(v->name, "[vdso]"))
			continue;
		int rc = mw__image_read_mem(&r->mem, v->start, v->end, &snap->arena, &img, NULL);

		if (rc > 0 && mw__image_span(&img, &start, &end))
			rc = add_instance(snap, &img, MW__NONE, v->start - start);
		if (rc == -MW_E_NOMEM)
			return rc;
	}
	return 0;
}

/* ------------------------------------------------------------------- roles */

/* A value of the auxiliary vector (native words), or MW_UNKNOWN. */
static uint64_t auxv_value(const struct mw__str *text, uint64_t type, unsigned word)
{
	for (size_t i = 0; i + 2 * word <= text->n; i += 2 * word) {
		uint64_t t = 0, v = 0;

		memcpy(&t, text->v + i, word);
		memcpy(&v, text->v + i + word, word);
		if (t == type)
			return v;
	}
	return MW_UNKNOWN;
}

static void assign_roles(struct mw__collector *c)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str auxv = {};
	struct mw_snapshot *snap = c->snap;
	uint64_t phdr = MW_UNKNOWN, base = MW_UNKNOWN;
	unsigned word = 8;

	for (size_t i = 0; i < snap->images.n; i++)
		if (snap->images.v[i].elf_class == 32 && snap->images.v[i].role != MW__VDSO)
			word = 4;
	if (c->core) {
		phdr = mw__core_auxv_value(c->core, AT_PHDR);
		base = mw__core_auxv_value(c->core, AT_BASE);
	} else if (mw__proc_text(&c->proc, "auxv", &auxv, NULL) == 0) {
		phdr = auxv_value(&auxv, AT_PHDR, word);
		base = auxv_value(&auxv, AT_BASE, word);
	}
	if (phdr == MW_UNKNOWN)
		phdr = snap->layout.start_code;
	for (size_t i = 0; i < snap->images.n; i++) {
		struct mw__image *img = &snap->images.v[i];

		if (img->role == MW__VDSO)
			continue;
		if (phdr != MW_UNKNOWN && phdr >= img->start && phdr < img->end)
			img->role = MW__PROGRAM;
		else if (base != MW_UNKNOWN && base && img->bias == base)
			img->role = MW__INTERPRETER;
		else
			img->role = MW__LIBRARY;
	}
}

/* ------------------------------------------------------------------ claims */

/* Memory that a segment has beyond its file part. */
static int claim_bss(struct mw_snapshot *snap, const struct mw__image *img)
{
	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];
		uint64_t file_end = img->bias + s->vaddr + s->filesz, end = img->bias + s->vaddr + s->memsz;

		if (s->type != PT_LOAD || s->memsz <= s->filesz)
			continue;
		uint64_t start = s->filesz ? mw__align_up(file_end, 4096) : mw__align_down(file_end, 4096);
		int rc = mw__claim(snap, start, mw__align_up(end, 4096), MW__OWNER_BSS, MW__PROVEN, MW__CLAIM_BSS,
				   "p_memsz beyond p_filesz of its segment", mw__basename(img->path));

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Inaccessible mappings inside the span of a library: ld.so reserved it as one piece. */
static int claim_gaps(struct mw_snapshot *snap, const struct mw__image *img)
{
	const struct mw__vma *first = mw__snapshot_vma_at(snap, img->start);

	for (size_t i = first ? (size_t)(first - snap->vmas.v) : 0; i < snap->vmas.n; i++) {
		const struct mw__vma *v = &snap->vmas.v[i];

		if (v->start >= img->end)
			break;
		if (v->prot || v->start < img->start || v->end > img->end)
			continue;
		int rc = mw__claim(snap, v->start, v->end, MW__OWNER_LDSO_GAP, MW__PROVEN, MW__CLAIM_RECORD,
				   "inaccessible, between two segments", mw__basename(img->path));

		if (rc < 0)
			return rc;
	}
	return 0;
}

/*
 * The part of [heap] that is really brk memory: it may have merged with the .bss below it, and before 6.6 a .bss
 * that ends where an empty heap starts was called [heap] too (fs/proc/task_mmu.c).
 */
static int claim_brk(struct mw_snapshot *snap)
{
	for (size_t i = 0; i < snap->vmas.n; i++) {
		const struct mw__vma *v = &snap->vmas.v[i];

		if (strcmp(v->name, "[heap]"))
			continue;
		uint64_t start = snap->layout.start_brk;

		if (start == MW_UNKNOWN || start <= v->start)
			start = v->start;
		if (start >= v->end)
			continue;
		int rc = mw__claim(snap, mw__align_up(start, 4096), v->end, MW__OWNER_BRK_HEAP, MW__PROVEN,
				   MW__CLAIM_BRK, "[heap]: from start_brk on", NULL);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/*
 * A page of an image that nobody wrote to holds what the file does. In a fork child only few of them are present,
 * though the parent has read them.
 */
static bool read_absent(void *ctx, uint64_t page, void *buf)
{
	struct mw__collector *c = ctx;
	const struct mw__vma *v = mw__snapshot_vma_at(c->snap, page);
	ssize_t n = 0;

	if (!v || v->kind != MW__FILE || v->is_shared || v->file == MW__NONE || !v->states_known || mw__vma_run_at(c->snap, v, page))
		return false;
	for (size_t i = 0; i < c->snap->images.n && !n; i++) {
		const struct mw__image *img = &c->snap->images.v[i];

		if (img->file != v->file || page < img->start || page >= img->end)
			continue;
		MW_CLEANUP(mw__closep) int fd = mw__files_open(&c->proc, c->snap, v);

		n = fd < 0 ? -1 : pread(fd, buf, PAGE, (off_t)(v->off + (page - v->start)));
	}
	if (n > 0)
		memset((char *)buf + n, 0, PAGE - (size_t)n);
	return n > 0;
}

static int claim_all(struct mw__collector *c, const struct mw__mem *mem)
{
	struct mw__walk walk = { .snap = c->snap, .mem = mem, .page_size = c->snap->target.page_size, .is_copy = c->core };
	int rc = claim_brk(c->snap);

	if (c->core)
		walk.held = mw__min(c->core->file_size, mw__min(c->core->held, c->core->data));
	for (size_t i = 0; rc == 0 && i < c->snap->images.n; i++) {
		rc = claim_bss(c->snap, &c->snap->images.v[i]);
		if (rc == 0 && c->snap->images.v[i].role == MW__LIBRARY)
			rc = claim_gaps(c->snap, &c->snap->images.v[i]);
	}
	if (rc == 0 && c->proc.is_live)
		rc = mw__tasks_read(&c->proc, c->snap);
	if (rc == 0)
		rc = mw__heap_threads(&walk);
	if (rc == 0)
		rc = mw__heap_glibc(&walk);
	if (rc == 0 && c->core)
		rc = mw__heap_brk(&walk);
	if (rc == 0)
		rc = mw__heap_go(&walk);
	if (rc == 0)
		rc = mw__heap_own(&walk);
	return rc;
}

static void add_notes(struct reading *r, const struct mw__proc_mem *mem)
{
	struct mw_snapshot *snap = r->c->snap;

	bool denied = r->unreachable_errno == EPERM || r->unreachable_errno == EACCES;
	const char *remedy = denied ? "CAP_CHECKPOINT_RESTORE reaches deleted files" :
			     r->unreachable_errno == EMFILE ? "ulimit -n raises the limit on open files" : NULL;
	const char *why = denied ? "" : strerrordesc_np(r->unreachable_errno);

	if (r->unreachable == 1)
		mw__note(snap, MW__INFO, "mapped files", remedy,
			 "%s cannot be opened%s%s: its sections and its page cache are unknown", r->unreachable_name,
			 *why ? ", " : "", why);
	else if (r->unreachable)
		mw__note(snap, MW__INFO, "mapped files", remedy,
			 "%u files, %s among them%s%s%s, cannot be opened: their sections and page cache are unknown",
			 r->unreachable, r->unreachable_name, *why ? " (" : "", why, *why ? ")" : "");
	if (r->cache_denied)
		mw__note(snap, MW__INFO, "cachestat", "the owner of the files, or CAP_SYS_ADMIN, may ask",
			 "whether the rest of some files is in the page cache is unknown: the kernel tells only who may write them");
	if (!r->c->core && r->c->proc.is_live && !r->c->proc.own_pids)
		mw__note(snap, MW__INFO, "pid namespace", "run memwhy in the namespace of the mounted /proc",
			 "this /proc belongs to another pid namespace, so the target's memory is not read");
	if (mem->error == ESRCH)
		mw__note(snap, MW__WARNING, "mem", "look again",
			 "the target ended while its memory was read, so arenas and thread stacks are recognised by shape at best");
	if (mem->error == EPERM)
		mw__note(snap, MW__INFO, "mem", "CAP_SYS_PTRACE allows it",
			 "the target's memory cannot be read, so arenas and thread stacks are recognised by shape at best");
}

static bool asks_for_binding(struct mw__collector *c)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str env = {};
	static const char name[] = "LD_BIND_NOW=";

	if (mw__proc_text(&c->proc, "environ", &env, NULL) < 0)
		return false;
	for (size_t at = 0; at < env.n; at += strnlen(env.v + at, env.n - at) + 1)
		if (env.n - at > strlen(name) && !strncmp(env.v + at, name, strlen(name)))
			return env.v[at + strlen(name)] != '\0';
	return false;
}

/* Go's build information lies in memory too, where the file is not here or not proven to be the same. */
static void find_program(struct reading *r, struct mw__image *img)
{
	r->mem.word = img->elf_class / 8;
	if (!img->go_version && !strcmp(img->source, "memory"))
		img->go_version = mw__image_go_mem(&r->mem, img, &r->c->snap->arena);
}

int mw__collect_objects(struct mw__collector *c, struct mw_err *err)
{
	MW_CLEANUP(free_by_file) struct by_file b = {};
	MW_CLEANUP(mw__proc_mem_close) struct mw__proc_mem mem = { .snap = c->snap, .proc = &c->proc, .fd = -1,
								  .absent = read_absent, .ctx = c };
	struct reading r = { .c = c };

	if (c->core)
		r.mem = (struct mw__mem){ mw__collect_core_read, c, c->core->word };
	else if (c->proc.own_pids)
		r.mem = (struct mw__mem){ mw__proc_mem_read, &mem, 8 };
	r.binds_now = c->opts.relocs && asks_for_binding(c);
	if (sort_by_file(c->snap, &b) < 0)
		return mw__fail_nomem(err, "mapped files");
	int rc = 0;

	for (uint32_t f = 0; rc == 0 && f < c->snap->files.n; f++) {
		size_t first = b.first[f], n = b.first[f + 1] - first;

		if (n)
			rc = read_object(&r, f, &b.vmas[first], n);
	}
	if (rc == 0)
		rc = read_vdso(&r);
	if (rc == 0) {
		assign_roles(c);
		for (size_t i = 0; i < c->snap->images.n; i++)
			if (c->snap->images.v[i].role == MW__PROGRAM)
				find_program(&r, &c->snap->images.v[i]);
		rc = claim_all(c, &r.mem);
		if (rc == 0)
			rc = mw__collect_stacks(c);
		if (rc == 0)
			rc = mw__collect_site_lines(c->snap, c->core ? NULL : &c->proc, c->opts.site_lines, c->opts.max_sites);
	}
	add_notes(&r, &mem);
	return rc < 0 ? mw__fail_nomem(err, "mapped files") : 0;
}
