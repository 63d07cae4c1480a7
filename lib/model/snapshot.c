/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The snapshot's tables, its birth and end, and the freeze. The freeze trusts nobody: a
 * reader with a bug and a hostile file are told apart from a true snapshot here, so that
 * everything right of it may rely on the invariants of snapshot.h.
 *
 * Memory: strings, segments and sections live in the arena; the arrays and smaps are
 * malloc'ed. mw__snapshot_deinit() frees both.
 */
#include "snapshot.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/err.h"
#include "../base/search.h"

#define MAX_BACK 512u	/* symbols looked at for one that contains an address */

const struct mw__owner_info mw__owners[MW__N_OWNERS] = {
#define OWNER(name, id, what, why, code) [MW__OWNER_##name] = { id, what, why, MW__##code },
#include "owners.def"
#undef OWNER
};

const struct mw__cause_info mw__causes[MW__N_CAUSES] = {
#define CAUSE(code, res, text, how) [MW__##code] = { #code, text, how, res },
#include "causes.def"
#undef CAUSE
};

const char *const mw__certainty_names[3] = {
	[MW__UNPROVEN] = "unknown", [MW__LIKELY] = "likely", [MW__PROVEN] = "proven",
};

const char *const mw__vma_kinds[MW__N_KINDS] = {
	[MW__ANON] = "anonymous", [MW__FILE] = "file", [MW__SHMEM] = "shared-memory",
	[MW__HUGETLB] = "hugetlb", [MW__SPECIAL] = "special", [MW__DEVICE] = "device",
};

/* ------------------------------------------------------------- birth, death */

void mw__smaps_init(struct mw__smaps *smaps)
{
#define SMAPS(member, key, json, what) smaps->member = MW_UNKNOWN;
#include "smaps.def"
#undef SMAPS
	smaps->flags = NULL;
}

static void init_status(struct mw__status *status)
{
#define STATUS(member, key, what) status->member = MW_UNKNOWN;
#include "status.def"
#undef STATUS
	status->threads = MW_UNKNOWN;
	status->uid = status->euid = UINT32_MAX;
	status->state = '?';
}

/* Every byte 0xff: each member, all of them uint64_t, becomes MW_UNKNOWN. */
static void forget(void *amounts, size_t size)
{
	memset(amounts, 0xff, size);
}

static void init_limits(struct mw__limits *limits)
{
	forget(limits, sizeof(*limits));
	limits->thp = NULL;
}

static void init_cgroup(struct mw__cgroup *cgroup)
{
	forget(cgroup, sizeof(*cgroup));
	cgroup->path = NULL;
	cgroup->version = 0;
	cgroup->is_root = false;
}

void mw__snapshot_init(struct mw_snapshot *snap)
{
	memset(snap, 0, sizeof(*snap));
	mw__arena_init(&snap->arena);
	init_status(&snap->status);
	init_limits(&snap->limits);
	init_cgroup(&snap->cgroup);
	forget(&snap->roads, sizeof(snap->roads));
	forget(&snap->layout, sizeof(snap->layout));
	mw__smaps_init(&snap->rollup);
	snap->target.start_ticks = MW_UNKNOWN;
	snap->target.taken_at_ns = MW_UNKNOWN;
	snap->target.took_ns = MW_UNKNOWN;
}

void mw__snapshot_deinit(struct mw_snapshot *snap)
{
	free(snap->smaps);
	snap->smaps = NULL;
	MW_VEC_FREE(&snap->vmas);
	MW_VEC_FREE(&snap->runs);
	MW_VEC_FREE(&snap->cache);
	MW_VEC_FREE(&snap->frames);
	MW_VEC_FREE(&snap->mappers);
	MW_VEC_FREE(&snap->frame_places);
	MW_VEC_FREE(&snap->sources);
	MW_VEC_FREE(&snap->files);
	MW_VEC_FREE(&snap->images);
	MW_VEC_FREE(&snap->tasks);
	MW_VEC_FREE(&snap->claims);
	MW_VEC_FREE(&snap->notes);
	if (snap->own)
		mw__own_deinit(snap->own);
	snap->own = NULL;
	mw__arena_deinit(&snap->arena);
}

void mw_snapshot_destroy(struct mw_snapshot *snap)
{
	if (!snap)
		return;
	mw__snapshot_deinit(snap);
	free(snap);
}

/* ------------------------------------------------------------------ freezing */

static int fail(struct mw_err *err, const char *what, size_t i, const char *why)
{
	return mw__fail(err, MW_E_FORMAT, 0, "snapshot: %s %zu: %s", what, i, why);
}

static bool is_page_size(uint64_t size)
{
	return size >= 4096 && size <= (1u << 24) && !(size & (size - 1));
}

static const char *check_run(const struct mw__run *run, const struct mw__vma *vma, uint64_t from,
			     uint64_t page)
{
	const uint32_t all = MW__PRESENT | MW__SWAPPED | MW__ZERO | MW__HUGE | MW__GUARDED | MW__OF_FILE;

	if (run->start % page)
		return "its start is inside a page";
	if (run->start < from)
		return "it overlaps the one before it, or starts before its mapping";
	if (!run->pages || !run->state)
		return "it is empty";
	if (run->state & ~all)
		return "its state is not known";
	if (run->start >= vma->end || run->pages > (vma->end - run->start) / page)
		return "it ends after its mapping";
	return NULL;
}

/* The runs of vma follow those of the mapping before it; *next counts them. */
static int check_runs(const struct mw_snapshot *snap, const struct mw__vma *vma, size_t *next,
		      struct mw_err *err)
{
	uint64_t from = vma->start, page = snap->target.page_size;

	if (!vma->n_runs)
		return 0;
	if (vma->run != *next || vma->n_runs > snap->runs.n - *next)
		return fail(err, "mapping", vma - snap->vmas.v, "its runs are not where they should be");
	for (size_t i = 0; i < vma->n_runs; i++) {
		const struct mw__run *run = &snap->runs.v[vma->run + i];
		const char *why = check_run(run, vma, from, page);

		if (why)
			return fail(err, "run", vma->run + i, why);
		from = run->start + run->pages * page;
	}
	*next += vma->n_runs;
	return 0;
}

static const char *check_vma(const struct mw_snapshot *snap, const struct mw__vma *vma, uint64_t from)
{
	uint64_t page = snap->target.page_size;

	if (vma->start >= vma->end)
		return "it ends before it starts";
	if (vma->start % page || vma->end % page)
		return "it starts or ends inside a page";
	if (vma->start < from)
		return "it overlaps the one before it, or is out of order";
	if (vma->file != MW__NONE && vma->file >= snap->files.n)
		return "its file does not exist";
	if (vma->kind >= MW__N_KINDS)
		return "its kind is not known";
	if (vma->prot > (MW__R | MW__W | MW__X))
		return "its permissions are not known";
	return NULL;
}

/* Pages of the cache: in order, inside their mapping, and as many as the mapping says. */
static const char *check_cache(const struct mw_snapshot *snap, const struct mw__vma *vma)
{
	uint64_t from = vma->start, page = snap->target.page_size, sum = 0;

	if (vma->n_cache && (!vma->cache_placed || vma->cache >= snap->cache.n || vma->n_cache > snap->cache.n - vma->cache))
		return "its pages in the cache are not where they should be";
	for (uint32_t i = 0; i < vma->n_cache; i++) {
		const struct mw__run *run = &snap->cache.v[vma->cache + i];

		if (run->start % page || run->start < from || run->start >= vma->end || !run->pages ||
		    run->pages > (vma->end - run->start) / page)
			return "its pages in the cache overlap, or are not inside it";
		from = run->start + run->pages * page;
		sum += run->pages * page;
	}
	return vma->cache_placed && sum != vma->cached ? "its pages in the cache do not add up" : NULL;
}

static int check_vmas(const struct mw_snapshot *snap, struct mw_err *err)
{
	uint64_t from = 0;
	size_t next_run = 0;

	for (size_t i = 0; i < snap->vmas.n; i++) {
		const struct mw__vma *vma = &snap->vmas.v[i];
		const char *why = check_vma(snap, vma, from);

		if (why)
			return fail(err, "mapping", i, why);
		why = check_cache(snap, vma);
		if (why)
			return fail(err, "mapping", i, why);
		int rc = check_runs(snap, vma, &next_run, err);

		if (rc < 0)
			return rc;
		from = vma->end;
	}
	if (next_run != snap->runs.n)
		return fail(err, "run", next_run, "it belongs to no mapping");
	return 0;
}

static const char *check_detail(const struct mw__detail *d)
{
	if ((d->n_symbols && (!d->symbols || !d->symbols_from)) || (d->n_reloc_pages && !d->reloc_pages))
		return "its symbols or relocations are missing";
	for (uint32_t i = 0; i < d->n_symbols; i++) {
		const struct mw__symbol *s = &d->symbols[i], *last = i ? s - 1 : NULL;

		if (!s->name)
			return "a symbol of it has no name";
		if (last && (s->addr < last->addr || (s->addr == last->addr && s->size > last->size)))
			return "its symbols are out of order";
	}
	for (uint32_t i = 0; i < d->n_reloc_pages; i++)
		if (d->reloc_pages[i].addr % 4096 || (i && d->reloc_pages[i].addr <= d->reloc_pages[i - 1].addr))
			return "its relocated pages are out of order";
	return NULL;
}

static const char *check_image(const struct mw_snapshot *snap, const struct mw__image *image)
{
	if (image->file != MW__NONE && image->file >= snap->files.n)
		return "its file does not exist";
	if (image->start > image->end)
		return "it ends before it starts";
	if (image->elf_class != 32 && image->elf_class != 64)
		return "its class is neither 32 nor 64";
	if (image->role > MW__VDSO)
		return "its role is not known";
	if ((image->n_segments && !image->segments) || (image->n_sections && !image->sections))
		return "its segments or sections are missing";
	return image->detail ? check_detail(image->detail) : NULL;
}

static int check_images(const struct mw_snapshot *snap, struct mw_err *err)
{
	for (size_t i = 0; i < snap->images.n; i++) {
		const char *why = check_image(snap, &snap->images.v[i]);

		if (why)
			return fail(err, "image", i, why);
	}
	return 0;
}

static int check_frames(const struct mw_snapshot *snap, struct mw_err *err)
{
	for (size_t i = 0; i < snap->frames.n; i++)
		if (snap->frames.v[i].addr % snap->target.page_size ||
		    (i && snap->frames.v[i].addr <= snap->frames.v[i - 1].addr))
			return fail(err, "frame", i, "it is out of order, or inside a page");
	return 0;
}

static const char *check_claim(const struct mw__claim *claim)
{
	if (claim->start >= claim->end)
		return "it ends before it starts";
	if (claim->owner >= MW__N_OWNERS)
		return "its owner is not known";
	if (claim->certainty > MW__PROVEN)
		return "its certainty is not known";
	return NULL;
}

static int compare_claims(const void *pa, const void *pb)
{
	const struct mw__claim *a = pa, *b = pb;

	if (a->priority != b->priority)
		return a->priority > b->priority ? -1 : 1;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->end != b->end)
		return a->end < b->end ? -1 : 1;
	return a->owner - b->owner;
}

static int check_claims(struct mw_snapshot *snap, struct mw_err *err)
{
	for (size_t i = 0; i < snap->claims.n; i++) {
		const char *why = check_claim(&snap->claims.v[i]);

		if (why)
			return fail(err, "claim", i, why);
	}
	if (snap->claims.n)
		qsort(snap->claims.v, snap->claims.n, sizeof(*snap->claims.v), compare_claims);
	return 0;
}

static int check_notes(const struct mw_snapshot *snap, struct mw_err *err)
{
	for (size_t i = 0; i < snap->notes.n; i++)
		if (snap->notes.v[i].severity > MW__WARNING)
			return fail(err, "note", i, "its severity is not known");
	return 0;
}

static void fill_in(const char **text)
{
	if (!*text)
		*text = "";
}

/* Strings that views print without asking are never NULL. */
static void fill_texts(struct mw_snapshot *snap)
{
	fill_in(&snap->target.comm);
	fill_in(&snap->target.kernel);
	fill_in(&snap->target.machine);
	for (size_t i = 0; i < snap->vmas.n; i++)
		fill_in(&snap->vmas.v[i].name);
	for (size_t i = 0; i < snap->files.n; i++)
		fill_in(&snap->files.v[i].path);
	for (size_t i = 0; i < snap->images.n; i++) {
		fill_in(&snap->images.v[i].path);
		fill_in(&snap->images.v[i].source);
	}
	for (size_t i = 0; i < snap->sources.n; i++) {
		fill_in(&snap->sources.v[i].function);
		fill_in(&snap->sources.v[i].file);
	}
	for (size_t i = 0; i < snap->tasks.n; i++)
		fill_in(&snap->tasks.v[i].comm);
	for (size_t i = 0; i < snap->claims.n; i++)
		fill_in(&snap->claims.v[i].rule);
	for (size_t i = 0; i < snap->notes.n; i++) {
		fill_in(&snap->notes.v[i].source);
		fill_in(&snap->notes.v[i].reason);
	}
}

/* A heap that cannot be as its books say costs itself, not the snapshot. */
static void check_own(struct mw_snapshot *snap)
{
	const char *why = snap->own ? mw__own_check(snap->own) : NULL;

	if (!why)
		return;
	mw__own_deinit(snap->own);
	snap->own = NULL;
	mw__note(snap, MW__WARNING, "memwhy-malloc", NULL, "its books contradict themselves: %s", why);
}

int mw__snapshot_freeze(struct mw_snapshot *snap, struct mw_err *err)
{
	if (!is_page_size(snap->target.page_size))
		return mw__fail(err, MW_E_FORMAT, 0, "snapshot: a page size of %" PRIu64 " bytes",
				snap->target.page_size);
	if (snap->vmas.n >= MW__NONE || snap->runs.n >= MW__NONE || snap->files.n >= MW__NONE)
		return mw__fail(err, MW_E_RANGE, 0, "snapshot: too many mappings, runs or files");
	if (snap->target.pages > MW_PAGES_PAGEMAP)
		return mw__fail(err, MW_E_FORMAT, 0, "snapshot: the source of page states is not known");
	int rc = check_vmas(snap, err);

	if (rc == 0)
		rc = check_images(snap, err);
	if (rc == 0)
		rc = check_frames(snap, err);
	if (rc == 0)
		rc = check_claims(snap, err);
	if (rc == 0)
		rc = check_notes(snap, err);
	if (rc == 0)
		check_own(snap);
	if (rc == 0)
		fill_texts(snap);
	return rc;
}

/* -------------------------------------------------------------------- asking */

bool mw__vma_is_vsyscall(const struct mw__vma *vma)
{
	return vma->name && !strcmp(vma->name, "[vsyscall]");
}

uint64_t mw__snapshot_vsz(const struct mw_snapshot *snap)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < snap->vmas.n; i++)
		if (!mw__vma_is_vsyscall(&snap->vmas.v[i]))
			sum += snap->vmas.v[i].end - snap->vmas.v[i].start;
	return sum;
}

const struct mw__symbol *mw__detail_symbol_at(const struct mw__detail *detail, uint64_t addr)
{
	size_t n = MW_FIRST(i, detail->n_symbols, detail->symbols[i].addr > addr);
	const struct mw__symbol *best = NULL;

	for (size_t i = 0; i < n && i < MAX_BACK; i++) {
		const struct mw__symbol *s = &detail->symbols[n - 1 - i];

		if (best && s->addr != best->addr)
			break;
		/* of equal ones the first in order has the best name */
		if (s->size && addr - s->addr < s->size && (!best || s->size <= best->size))
			best = s;
	}
	return best;
}

const struct mw__vma *mw__snapshot_vma_at(const struct mw_snapshot *snap, uint64_t addr)
{
	size_t low = 0, high = snap->vmas.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct mw__vma *vma = &snap->vmas.v[mid];

		if (addr >= vma->start && addr < vma->end)
			return vma;
		if (addr < vma->start)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

const struct mw__run *mw__vma_run_at(const struct mw_snapshot *snap, const struct mw__vma *vma, uint64_t addr)
{
	size_t low = vma->run, high = vma->run + vma->n_runs;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct mw__run *run = &snap->runs.v[mid];

		if (addr < run->start)
			high = mid;
		else if (addr - run->start >= run->pages * snap->target.page_size)
			low = mid + 1;
		else
			return run;
	}
	return NULL;
}

const struct mw__frame *mw__snapshot_frame_at(const struct mw_snapshot *snap, uint64_t addr)
{
	uint64_t page = addr & ~(snap->target.page_size - 1);
	size_t i = MW_FIRST(k, snap->frames.n, snap->frames.v[k].addr >= page);

	return i < snap->frames.n && snap->frames.v[i].addr == page ? &snap->frames.v[i] : NULL;
}

void mw__note(struct mw_snapshot *snap, enum mw__severity severity, const char *source,
	      const char *remedy, const char *fmt, ...)
{
	char reason[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	const char *source_copy = mw__arena_str(&snap->arena, source);
	const char *remedy_copy = remedy ? mw__arena_str(&snap->arena, remedy) : NULL;
	const char *reason_copy = mw__arena_str(&snap->arena, reason);

	if (!source_copy || !reason_copy || (remedy && !remedy_copy))
		return;
	struct mw__note *note = MW_VEC_PUSH(&snap->notes);

	if (note)
		*note = (struct mw__note){ severity, source_copy, reason_copy, remedy_copy };
}
