/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy maps as a document: one row a mapping, joined to the ELF segment and sections behind it and to
 * its owner. A mapping that several owners share has a child row for each. The rows are a stream: they are
 * made of the snapshot while they are written, one mapping at a time, because there may be 65,000.
 *
 * Which columns are shown depends on the mode: memwhy's own short table, which fits a terminal, its long
 * one, and those of pmap's -x, -X and -XX, which are fields of smaps.
 */
#include "stream.h"
#include "views.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

/* Names of sections in one cell at most; further ones are counted. */
#define MAX_SECTIONS 12

enum {
	C_RANGE, C_START, C_END, C_FROM, C_PERM, C_OFFSET, C_OFFSET_HEX, C_DEVICE, C_INODE, C_SIZE, C_RESIDENT, C_ANON, C_FILE,
	C_SHMEM, C_ZERO, C_HUGE, C_DIRTY, C_SWAP, C_GUARD, C_HUGETLB, C_NOT_PRESENT, C_CACHED, C_UNCACHED, C_SEGMENT, C_SECTIONS,
	C_OWNER, C_DETAIL, C_CERTAINTY, C_RULE, C_OBJECT, C_NAME, C_WHAT, C_CAUSES, C_EXTENTS,
	C_SMAPS,	/* first field of smaps.def */
};

#define JSO MW__COL_JSON_ONLY
#define TXT MW__COL_TEXT_ONLY

/* In which modes a column is shown. */
enum { OWN = 1 << MW_MAPS_SHORT, X = 1 << MW_MAPS_X, XF = 1 << MW_MAPS_XF, XX = 1 << MW_MAPS_XX, LONG = 1 << MW_MAPS_LONG };
#define ALL (OWN | X | XF | XX | LONG)
#define PMAP (X | XF | XX)

struct column {
	struct mw__col col;
	unsigned modes;
};

/* pmap -X leaves out what is a detail of another field. */
enum {
	X_size = 0, X_kernel_page_size = 0, X_mmu_page_size = 0, X_rss = 0, X_pss = XF, X_pss_dirty = XF, X_shared_clean = 0,
	X_shared_dirty = 0, X_private_clean = 0, X_private_dirty = 0, X_referenced = XF, X_anonymous = XF, X_ksm = XF,
	X_lazy_free = XF, X_anon_huge = 0, X_shmem_pmd = XF, X_file_pmd = XF, X_shared_hugetlb = XF, X_private_hugetlb = XF,
	X_swap = XF, X_swap_pss = XF, X_locked = XF, X_thp_eligible = XF, X_protection_key = XF,
};

#define SMAPS(member, key, json, what) { { "smaps_" json, key, MW__T_BYTES, 0, what }, X_##member | XX },
static const struct column columns[] = {
	{ { "address", "ADDRESS", MW__T_TEXT, TXT, "first and end address" }, LONG },
	{ { "start", NULL, MW__T_ADDR, JSO, NULL }, 0 },
	{ { "end", NULL, MW__T_ADDR, JSO, NULL }, 0 },
	{ { "start", "ADDRESS", MW__T_TEXT, TXT, "first address" }, OWN | PMAP },
	{ { "perm", "PERM", MW__T_TEXT, 0, "read, write, execute, private or shared" }, ALL },
	{ { "offset", NULL, MW__T_BYTES, JSO, NULL }, 0 },
	{ { "offset", "OFFSET", MW__T_ADDR, TXT, "offset of its start in the file" }, XF | XX },
	{ { "device", "DEVICE", MW__T_TEXT, 0, "device of the file, major:minor" }, XF | XX },
	{ { "inode", "INODE", MW__T_COUNT, 0, "inode of the file" }, XF | XX },
	{ { "size", "SIZE", MW__T_BYTES, 0, "size" }, ALL },
	{ { "resident", "RSS", MW__T_BYTES, 0, "resident" }, ALL },
	{ { "anonymous", "COPIED", MW__T_BYTES, 0, "resident, anonymous or copied on write" }, OWN | LONG },
	{ { "file", "FILE", MW__T_BYTES, 0, "resident, pages of the file" }, 0 },
	{ { "shmem", "SHMEM", MW__T_BYTES, 0, "resident, shared memory" }, 0 },
	{ { "zero", "ZERO", MW__T_BYTES, 0, "only read: the shared zero page" }, 0 },
	{ { "huge", "HUGE", MW__T_BYTES, 0, "resident through huge page table entries" }, 0 },
	{ { "dirty", "DIRTY", MW__T_BYTES, 0, "resident and changed since it was read (smaps)" }, X | LONG },
	{ { "swap", "SWAP", MW__T_BYTES, MW__COL_OPTIONAL, "swapped out" }, OWN | LONG },
	{ { "guard", "GUARD", MW__T_BYTES, 0, "guard markers" }, 0 },
	{ { "hugetlb", "HUGETLB", MW__T_BYTES, 0, "hugetlb pages present; not in RSS" }, 0 },
	{ { "not_present", "ABSENT", MW__T_BYTES, 0, "no page here, neither in memory nor in swap" }, 0 },
	{ { "cached", "CACHED", MW__T_BYTES, 0, "not mapped here, but in the page cache" }, 0 },
	{ { "uncached", "UNCACHED", MW__T_BYTES, 0, "not in the page cache: touching it would read" }, 0 },
	{ { "segment", "SEGMENT", MW__T_TEXT, 0, "ELF segment, index in the program header" }, LONG },
	{ { "sections", "SECTIONS", MW__T_TEXT, MW__COL_TRUNC, "ELF sections in it" }, LONG },
	{ { "owner", "OWNER", MW__T_TEXT, 0, "who it belongs to" }, LONG },
	{ { "owner_detail", "DETAIL", MW__T_TEXT, MW__COL_TRUNC, "which one: thread, arena, object" }, LONG },
	{ { "certainty", "KNOWN", MW__T_TEXT, 0, "proven, likely or unknown" }, LONG },
	{ { "rule", "BY", MW__T_TEXT, 0, "the rule that tells the owner" }, 0 },
	{ { "object", "OBJECT", MW__T_TEXT, MW__COL_TRUNC, "path of the image or file" }, 0 },
	{ { "name", "NAME", MW__T_TEXT, MW__COL_TRUNC, "as the kernel names it" }, PMAP | LONG },
	{ { "what", "WHAT", MW__T_TEXT, TXT | MW__COL_CUT, "file and sections, or owner, in short" }, OWN },
	{ { "causes", NULL, MW__T_TABLE, JSO, NULL }, 0 },
	{ { "extents", NULL, MW__T_TABLE, JSO, NULL }, 0 },
#include "../model/smaps.def"
	{ { "smaps_flags", "VmFlags", MW__T_TEXT, 0, "flags of the mapping, see proc(5)" }, XX },
};
#undef SMAPS

_Static_assert(MW__COUNT(columns) == C_SMAPS + sizeof(struct mw__smaps) / 8, "one column a field of smaps");
_Static_assert(MW__COUNT(columns) <= MW__STREAM_COLS, "as many columns as a stream may have");

static const struct mw__col cause_cols[] = {
	{ "code", NULL, MW__T_TEXT, 0, NULL },
	{ "owner", NULL, MW__T_TEXT, 0, NULL },
	{ "bytes", NULL, MW__T_BYTES, 0, NULL },
};

enum { E_START, E_END, E_OWNER, E_DETAIL, E_CERTAINTY, E_RULE, E_SECTIONS, E_RESIDENT, E_CAUSES };
static const struct mw__col extent_cols[] = {
	{ "start", NULL, MW__T_ADDR, 0, NULL },	     { "end", NULL, MW__T_ADDR, 0, NULL },
	{ "owner", NULL, MW__T_TEXT, 0, NULL },	     { "owner_detail", NULL, MW__T_TEXT, 0, NULL },
	{ "certainty", NULL, MW__T_TEXT, 0, NULL },  { "rule", NULL, MW__T_TEXT, 0, NULL },
	{ "sections", NULL, MW__T_TEXT, 0, NULL },   { "resident", NULL, MW__T_BYTES, 0, NULL },
	{ "causes", NULL, MW__T_TABLE, 0, NULL },
};

/* Bytes of one extent with one cause. */
struct cause_line {
	enum mw__cause cause;
	size_t extent;
	uint64_t bytes;
};

struct view {
	const struct mw_snapshot *snap;
	unsigned mode;
	bool zeros_unplaced;
	struct mw__extents it;
	uint32_t *first;			/* the first row of each mapping, and the row behind the last */
	size_t vma;				/* whose extents are at hand */
	MW_VEC(struct mw__extent) extents;	/* of that mapping */
	MW_VEC(struct cause_line) lines;	/* of the extents of lines_of, one extent after the other */
	size_t lines_of;			/* a mapping */
	size_t extent;				/* the one whose causes are listed; SIZE_MAX: all */
	struct mw__doc_node *causes, *nested;	/* streams in cells */
	struct mw__tally sum;			/* of all mappings */
	uint64_t vsz, shmem_rss;
	bool swap_unknown;			/* of some of it */
	struct mw__smaps sum_smaps;
	struct mw__str segment, sections, what;	/* texts of the row at hand */
	char range[40], from[20], perm[5], device[24];
	struct mw_document *doc;		/* whose `failed` tells that memory ran out */
};

/* ------------------------------------------------------------------- cells */

static bool is_relro(const struct mw__image *img, uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];

		if (s->type == PT_GNU_RELRO && start >= mw__align_down(img->bias + s->vaddr, 4096) &&
		    end <= mw__align_up(img->bias + s->vaddr + s->memsz, 4096))
			return true;
	}
	return false;
}

/* "LOAD[3]", and whether it became read-only after relocation. */
static const char *segment_text(struct view *v, const struct mw__extent *x)
{
	if (!x->segment)
		return NULL;
	mw__str_reset(&v->segment);
	mw__str_printf(&v->segment, "LOAD[%td]%s", x->segment - x->image->segments,
		       is_relro(x->image, x->start, x->end) && !(x->vma->prot & MW__W) ? " RELRO" : "");
	return v->segment.v;
}

/* Sections with memory of their own in [start, end): thread-local .tbss has none. */
static const char *section_text(struct view *v, const struct mw__extent *x)
{
	struct mw__str *s = &v->sections;
	unsigned n = 0;

	if (!x->image || x->owner == MW__OWNER_LDSO_GAP)
		return NULL;
	mw__str_reset(s);
	for (uint32_t i = 0; i < x->image->n_sections; i++) {
		const struct mw__section *sec = &x->image->sections[i];
		uint64_t start = x->image->bias + sec->addr;

		if (!sec->size || start >= x->end || start + sec->size <= x->start ||
		    (sec->flags & SHF_TLS && sec->type == SHT_NOBITS))
			continue;
		if (n++ < MAX_SECTIONS)
			mw__str_printf(s, "%s%s", s->n ? " " : "", sec->name);
	}
	if (n > MAX_SECTIONS)
		mw__str_printf(s, " +%u", n - MAX_SECTIONS);
	return s->n ? s->v : NULL;
}

static void put_text(struct mw__cell *cells, size_t col, const char *text)
{
	mw__cell_text(&cells[col], text);
}

static void put_u64(struct mw__cell *cells, size_t col, uint64_t v)
{
	mw__cell_u64(&cells[col], columns[col].col.type, v);
}

static void set_owner(struct view *v, struct mw__cell *cells, const struct mw__extent *x)
{
	put_text(cells, C_OWNER, mw__owners[x->owner].what);
	put_text(cells, C_DETAIL, x->detail);
	put_text(cells, C_CERTAINTY, mw__certainty_names[x->certainty]);
	put_text(cells, C_RULE, x->rule);
	put_text(cells, C_SEGMENT, segment_text(v, x));
	put_text(cells, C_SECTIONS, section_text(v, x));
	put_text(cells, C_WHAT, mw__view_what(x, &v->what));
}

static void set_tally(const struct view *v, struct mw__cell *cells, const struct mw__vma *vma, const struct mw__tally *t,
		      bool swap_unknown)
{
	/* zero pages somewhere among the anonymous ones: which, only their sum is known */
	bool lost = v->zeros_unplaced && vma->kind == MW__ANON && t->anon;
	bool unread = t->unread || lost, backed = vma->kind == MW__FILE || vma->kind == MW__SHMEM;
	uint64_t anon = t->anon + t->lazy;
	bool cache_known = backed && !t->cache_unknown;

	put_u64(cells, C_RESIDENT, unread ? MW_UNKNOWN : anon + t->file);
	put_u64(cells, C_ANON, unread ? MW_UNKNOWN : anon);
	put_u64(cells, C_FILE, unread ? MW_UNKNOWN : vma->kind == MW__SHMEM ? 0 : t->file);
	put_u64(cells, C_SHMEM, unread ? MW_UNKNOWN : vma->kind == MW__SHMEM ? t->file : 0);
	put_u64(cells, C_ZERO, unread ? MW_UNKNOWN : t->zero);
	put_u64(cells, C_HUGE, unread || !mw__huge_known(v->snap) ? MW_UNKNOWN : t->huge);
	put_u64(cells, C_SWAP, unread || swap_unknown ? MW_UNKNOWN : t->swap + t->evicted);
	put_u64(cells, C_GUARD, unread ? MW_UNKNOWN : t->guard);
	put_u64(cells, C_HUGETLB, unread ? MW_UNKNOWN : t->hugetlb);
	put_u64(cells, C_NOT_PRESENT, unread ? MW_UNKNOWN : t->absent + t->cached + t->uncached +
		    t->cache_unknown + t->beyond_eof + t->uffd);
	put_u64(cells, C_CACHED, cache_known ? t->cached : MW_UNKNOWN);
	put_u64(cells, C_UNCACHED, cache_known ? t->uncached : MW_UNKNOWN);
}

static void set_range(struct view *v, struct mw__cell *cells, uint64_t start, uint64_t end)
{
	snprintf(v->range, sizeof(v->range), "%012llx-%012llx", (unsigned long long)start, (unsigned long long)end);
	snprintf(v->from, sizeof(v->from), "%012llx", (unsigned long long)start);
	put_text(cells, C_RANGE, v->range);
	put_text(cells, C_FROM, v->from);
	put_u64(cells, C_START, start);
	put_u64(cells, C_END, end);
	put_u64(cells, C_SIZE, end - start);
}

static void add_tally(struct mw__tally *sum, const struct mw__tally *t)
{
	for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++)
		((uint64_t *)sum)[i] += ((const uint64_t *)t)[i];
}

static void set_smaps(struct mw__cell *cells, const struct mw__smaps *s)
{
	size_t col = C_SMAPS;

	put_u64(cells, C_DIRTY, s ? mw__add(s->shared_dirty, s->private_dirty) : MW_UNKNOWN);
#define SMAPS(member, key, json, what) put_u64(cells, col++, s ? s->member : MW_UNKNOWN);
#include "../model/smaps.def"
#undef SMAPS
	put_text(cells, col, s ? s->flags : NULL);
}

/* ------------------------------------------------------------- nested, JSON */

static void add_lines(struct view *v, size_t extent)
{
	for (int c = 0; c < MW__N_CAUSES; c++) {
		uint64_t bytes = mw__extent_cause(&v->extents.v[extent], (enum mw__cause)c);
		struct cause_line *l = bytes ? MW_VEC_PUSH(&v->lines) : NULL;

		if (l)
			*l = (struct cause_line){ (enum mw__cause)c, extent, bytes };
		v->doc->failed |= bytes && !l;
	}
}

/* The same lines serve a mapping and each of its extents. */
static size_t count_causes(void *ctx)
{
	struct view *v = ctx;

	if (v->lines_of != v->vma) {
		v->lines.n = 0;
		for (size_t i = 0; i < v->extents.n; i++)
			add_lines(v, i);
		v->lines_of = v->vma;
	}
	return v->lines.n;
}

static bool cause_row(void *ctx, size_t i, struct mw__cell *cells)
{
	const struct view *v = ctx;
	const struct cause_line *l = &v->lines.v[i];

	if (v->extent != SIZE_MAX && v->extent != l->extent)
		return false;
	mw__cell_text(&cells[0], mw__causes[l->cause].code);
	mw__cell_text(&cells[1], mw__owners[v->extents.v[l->extent].owner].id);
	mw__cell_u64(&cells[2], MW__T_BYTES, l->bytes);
	return true;
}

static size_t count_extents(void *ctx)
{
	return ((struct view *)ctx)->extents.n;
}

static bool extent_row(void *ctx, size_t i, struct mw__cell *cells)
{
	struct view *v = ctx;
	const struct mw__extent *x = &v->extents.v[i];

	v->extent = i;
	mw__cell_u64(&cells[E_START], MW__T_ADDR, x->start);
	mw__cell_u64(&cells[E_END], MW__T_ADDR, x->end);
	mw__cell_text(&cells[E_OWNER], mw__owners[x->owner].what);
	mw__cell_text(&cells[E_DETAIL], x->detail);
	mw__cell_text(&cells[E_CERTAINTY], mw__certainty_names[x->certainty]);
	mw__cell_text(&cells[E_RULE], x->rule);
	mw__cell_text(&cells[E_SECTIONS], section_text(v, x));
	mw__cell_u64(&cells[E_RESIDENT], MW__T_BYTES, x->tally.unread ? MW_UNKNOWN : mw__tally_resident(&x->tally));
	cells[E_CAUSES] = (struct mw__cell){ .type = MW__T_STREAM, .node = v->causes };
	return true;
}

/* -------------------------------------------------------------------- rows */

/* The extents of one mapping, which is not [vsyscall]. */
static void load(struct view *v, size_t vma)
{
	struct mw__extent x;

	v->extents.n = 0;
	v->vma = vma;
	if (v->it.vma != vma)
		mw__extents_seek(&v->it, vma);
	while (mw__extents_next(&v->it, &x)) {
		struct mw__extent *slot = MW_VEC_PUSH(&v->extents);

		if (!slot) {
			v->doc->failed = true;
			return;
		}
		*slot = x;
		if (x.end == x.vma->end)
			return;
	}
}

/* The extent that says most about the mapping: the largest; owner "several" would say nothing. */
static const struct mw__extent *main_extent(const struct view *v)
{
	const struct mw__extent *best = &v->extents.v[0];

	for (size_t i = 1; i < v->extents.n; i++)
		if (v->extents.v[i].end - v->extents.v[i].start > best->end - best->start)
			best = &v->extents.v[i];
	return best;
}

static const char *object_of(const struct view *v, const struct mw__extent *x)
{
	if (x->image)
		return x->image->path;
	return x->vma->file != MW__NONE ? v->snap->files.v[x->vma->file].path : NULL;
}

static void vma_row(struct view *v, struct mw__cell *cells)
{
	const struct mw__extent *x = main_extent(v);
	const struct mw__vma *vma = x->vma;
	struct mw__tally t = {};

	for (size_t i = 0; i < v->extents.n; i++)
		add_tally(&t, &v->extents.v[i].tally);
	snprintf(v->device, sizeof(v->device), "%02x:%02x", vma->dev_major, vma->dev_minor);
	set_range(v, cells, vma->start, vma->end);
	put_text(cells, C_PERM, mw__view_perm(vma, v->perm));
	put_u64(cells, C_OFFSET, vma->off);
	put_u64(cells, C_OFFSET_HEX, vma->off);
	put_text(cells, C_DEVICE, vma->ino == MW_UNKNOWN ? NULL : v->device);
	put_u64(cells, C_INODE, vma->ino);
	put_text(cells, C_NAME, vma->name);
	put_text(cells, C_OBJECT, object_of(v, x));
	set_tally(v, cells, vma, &t, mw__evicted_unknown(v->snap, vma));
	set_owner(v, cells, x);
	set_smaps(cells, v->snap->smaps ? &v->snap->smaps[v->vma] : NULL);
	v->extent = SIZE_MAX;
	cells[C_CAUSES] = (struct mw__cell){ .type = MW__T_STREAM, .node = v->causes };
	cells[C_EXTENTS] = (struct mw__cell){ .type = MW__T_STREAM, .node = v->nested };
}

static void child_row(struct view *v, size_t i, struct mw__cell *cells)
{
	const struct mw__extent *x = &v->extents.v[i];

	set_range(v, cells, x->start, x->end);
	set_tally(v, cells, x->vma, &x->tally, mw__evicted_unknown(v->snap, x->vma));
	set_owner(v, cells, x);
}

static void total_row(struct view *v, struct mw__cell *cells)
{
	static const struct mw__vma any = { .kind = MW__FILE };

	put_text(cells, C_RANGE, "sum");
	put_text(cells, C_FROM, "sum");
	put_u64(cells, C_SIZE, v->vsz);
	set_tally(v, cells, &any, &v->sum, v->swap_unknown);
	if (!v->sum.unread) {
		put_u64(cells, C_FILE, v->sum.file - v->shmem_rss);
		put_u64(cells, C_SHMEM, v->shmem_rss);
	}
	set_smaps(cells, v->snap->smaps ? &v->sum_smaps : NULL);
}

/* The mapping that row i belongs to. */
static size_t vma_of(const struct view *v, size_t i)
{
	size_t lo = 0, hi = v->snap->vmas.n;

	if (v->vma < hi && v->first[v->vma] <= i && i < v->first[v->vma + 1])
		return v->vma;
	while (lo + 1 < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v->first[mid] <= i)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static size_t count_rows(void *ctx)
{
	const struct view *v = ctx;

	return v->snap->target.has_maps ? v->first[v->snap->vmas.n] + 1 : 0;
}

static bool map_row(void *ctx, size_t i, struct mw__cell *cells)
{
	struct view *v = ctx;

	if (i == v->first[v->snap->vmas.n]) {
		total_row(v, cells);
		return true;
	}
	size_t vma = vma_of(v, i);

	if (v->vma != vma || !v->extents.n)
		load(v, vma);
	if (v->doc->failed || !v->extents.n)
		return false;
	if (i == v->first[vma])
		vma_row(v, cells);
	else
		child_row(v, i - v->first[vma] - 1, cells);
	v->doc->failed |= v->segment.failed || v->sections.failed || v->what.failed;
	return !v->doc->failed;
}

static enum mw__row_style map_style(void *ctx, size_t i)
{
	const struct view *v = ctx;

	if (i == v->first[v->snap->vmas.n])
		return MW__ROW_TOTAL;
	return i == v->first[vma_of(v, i)] ? MW__ROW_PLAIN : MW__ROW_CHILD;
}

/* Which rows there are. In pmap's tables a mapping is one row. */
static int count_children(struct view *v)
{
	const size_t n = v->snap->vmas.n;
	const bool children = v->mode == MW_MAPS_SHORT || v->mode == MW_MAPS_LONG;
	uint32_t rows = 0;

	v->first = malloc((n + 1) * sizeof(*v->first));
	if (!v->first)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		v->first[i] = rows;
		if (mw__vma_is_vsyscall(&v->snap->vmas.v[i]))
			continue;
		v->swap_unknown |= mw__evicted_unknown(v->snap, &v->snap->vmas.v[i]);
		load(v, i);
		rows += 1 + (children && v->extents.n > 1 ? (uint32_t)v->extents.n : 0);
	}
	v->first[n] = rows;
	return v->doc->failed ? -MW_E_NOMEM : 0;
}

static void add_sums(struct view *v, const struct mw_account *acc)
{
	struct mw__smaps *all = &v->sum_smaps;

	v->sum = acc->total;
	v->vsz = acc->vsz;
	v->shmem_rss = acc->shmem_rss;
	mw__smaps_init(all);
	for (size_t i = 0; v->snap->smaps && i < v->snap->vmas.n; i++) {
		if (mw__vma_is_vsyscall(&v->snap->vmas.v[i]))
			continue;
#define SMAPS(member, key, json, what) \
	all->member = all->member == MW_UNKNOWN ? v->snap->smaps[i].member : mw__add(all->member, v->snap->smaps[i].member);
#include "../model/smaps.def"
#undef SMAPS
	}
	all->kernel_page_size = all->mmu_page_size = all->thp_eligible = all->protection_key = MW_UNKNOWN;
}

static void release_view(void *ctx)
{
	struct view *v = ctx;

	mw__extents_deinit(&v->it);
	free(v->first);
	MW_VEC_FREE(&v->extents);
	MW_VEC_FREE(&v->lines);
	mw__str_deinit(&v->segment);
	mw__str_deinit(&v->sections);
	mw__str_deinit(&v->what);
	free(v);
}

static const struct mw__col *choose_columns(struct mw_document *doc, unsigned mode)
{
	struct mw__col *cols = mw__arena_array(&doc->arena, MW__COUNT(columns), sizeof(*cols));

	for (size_t i = 0; cols && i < MW__COUNT(columns); i++) {
		cols[i] = columns[i].col;
		if (!(columns[i].modes & 1u << mode))
			cols[i].flags |= MW__COL_HIDDEN;
	}
	return cols;
}

static int add_table(struct mw_document *doc, struct view *v)
{
	const struct mw__stream rows = { count_rows, NULL, map_row, v };
	const struct mw__stream causes = { count_causes, NULL, cause_row, v };
	const struct mw__stream extents = { count_extents, NULL, extent_row, v };
	const struct mw__col *cols = choose_columns(doc, v->mode);

	if (!cols || mw__extents_init(&v->it, v->snap) < 0 || count_children(v) < 0)
		return -MW_E_NOMEM;
	v->causes = mw__doc_nested_stream(doc, cause_cols, MW__COUNT(cause_cols), &causes);
	v->nested = mw__doc_nested_stream(doc, extent_cols, MW__COUNT(extent_cols), &extents);
	mw__stream_as_table(mw__doc_stream(doc->root, "maps", NULL, cols, MW__COUNT(columns), &rows), map_style);
	return 0;
}

static int fill(struct mw_document *doc, struct view *v)
{
	struct mw_account *acc = NULL;
	int rc = mw_account_create(v->snap, &acc, NULL);

	if (rc < 0)
		return rc;
	v->zeros_unplaced = acc->zeros_unplaced;
	add_sums(v, acc);
	mw__view_target(doc->root, v->snap);
	mw__doc_text(doc->root, "state", mw__view_state(mw__snapshot_state(v->snap, acc)));
	mw__doc_u64(doc->root, "vsz", MW__T_BYTES, v->snap->target.has_maps ? acc->vsz : v->snap->status.vm_size);
	mw__doc_u64(doc->root, "rss", MW__T_BYTES, mw__account_rss(v->snap, acc));
	mw__view_headline(doc->root, v->snap, acc);
	mw__doc_line(doc->root, "", NULL, 0);
	mw_account_destroy(acc);
	rc = add_table(doc, v);
	mw__view_notes(doc->root, v->snap);
	return rc;
}

int mw_report_maps(const struct mw_snapshot *snap, const struct mw_maps_opts *opts, struct mw_document **ret,
		   struct mw_err *err)
{
	struct mw_maps_opts o = {};

	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	if (o.mode > MW_MAPS_LONG)
		return mw__fail(err, MW_E_USAGE, 0, "maps: there is no mode %u", (unsigned)o.mode);
	struct mw_document *doc = mw__doc_create("memwhy/maps/1");
	struct view *v = calloc(1, sizeof(*v));

	if (!doc || !v) {
		mw_document_destroy(doc);
		free(v);
		return mw__fail_nomem(err, "report");
	}
	doc->release = release_view;
	doc->release_ctx = v;
	v->doc = doc;
	v->snap = snap;
	v->mode = o.mode;
	v->vma = v->lines_of = SIZE_MAX;
	doc->failed |= fill(doc, v) < 0;
	return mw__doc_finish(doc, ret, err);
}
