/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy maps as a document: one row a mapping, joined to the ELF segment and sections behind it and to
 * its owner. A mapping that several owners share has a child row for each. With extended 1, 2 and 3 the
 * columns are those of pmap's -x, -X and -XX, which are fields of smaps.
 */
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
	C_RANGE, C_START, C_END, C_PERM, C_OFFSET, C_OFFSET_HEX, C_DEVICE, C_INODE, C_SIZE, C_RESIDENT, C_ANON, C_FILE, C_SHMEM,
	C_ZERO, C_HUGE, C_DIRTY, C_SWAP, C_GUARD, C_HUGETLB, C_NOT_PRESENT, C_CACHED, C_UNCACHED, C_SEGMENT, C_SECTIONS,
	C_OWNER, C_DETAIL, C_CERTAINTY, C_RULE, C_OBJECT, C_NAME, C_CAUSES, C_EXTENTS,
	C_SMAPS,	/* first field of smaps.def */
};

#define HID MW__COL_HIDDEN
#define JSO MW__COL_JSON_ONLY
#define TXT MW__COL_TEXT_ONLY

/*
 * The columns four times, because which are shown by default depends on the mode: D() takes the flags for
 * memwhy's own table and for pmap's -x, -X and -XX.
 */
#define OWN_COLUMNS(D)                                                                                                  \
	D("address", "ADDRESS", MW__T_TEXT, TXT, TXT, TXT, TXT, "first and end address")                                \
	D("start", NULL, MW__T_ADDR, JSO, JSO, JSO, JSO, NULL)                                                          \
	D("end", NULL, MW__T_ADDR, JSO, JSO, JSO, JSO, NULL)                                                            \
	D("perm", "PERM", MW__T_TEXT, 0, 0, 0, 0, "read, write, execute, private or shared")                            \
	D("offset", NULL, MW__T_BYTES, JSO, JSO, JSO, JSO, NULL)                                                        \
	D("offset", "OFFSET", MW__T_ADDR, TXT | HID, TXT | HID, TXT, TXT, "offset of its start in the file")            \
	D("device", "DEVICE", MW__T_TEXT, HID, HID, 0, 0, "device of the file, major:minor")                            \
	D("inode", "INODE", MW__T_COUNT, HID, HID, 0, 0, "inode of the file")                                           \
	D("size", "SIZE", MW__T_BYTES, 0, 0, 0, 0, "size")                                                              \
	D("resident", "RSS", MW__T_BYTES, 0, 0, 0, 0, "resident")                                                       \
	D("anonymous", "COPIED", MW__T_BYTES, 0, HID, HID, HID, "resident, anonymous or copied on write")               \
	D("file", "FILE", MW__T_BYTES, HID, HID, HID, HID, "resident, pages of the file")                               \
	D("shmem", "SHMEM", MW__T_BYTES, HID, HID, HID, HID, "resident, shared memory")                                 \
	D("zero", "ZERO", MW__T_BYTES, HID, HID, HID, HID, "only read: the shared zero page")                           \
	D("huge", "HUGE", MW__T_BYTES, HID, HID, HID, HID, "resident through huge page table entries")                  \
	D("dirty", "DIRTY", MW__T_BYTES, 0, 0, HID, HID, "resident and changed since it was read (smaps)")              \
	D("swap", "SWAP", MW__T_BYTES, 0, HID, HID, HID, "swapped out")                                                 \
	D("guard", "GUARD", MW__T_BYTES, HID, HID, HID, HID, "guard markers")                                           \
	D("hugetlb", "HUGETLB", MW__T_BYTES, HID, HID, HID, HID, "hugetlb pages present; not in RSS")                   \
	D("not_present", "ABSENT", MW__T_BYTES, HID, HID, HID, HID, "no page here, neither in memory nor in swap")      \
	D("cached", "CACHED", MW__T_BYTES, HID, HID, HID, HID, "not mapped here, but in the page cache")                \
	D("uncached", "UNCACHED", MW__T_BYTES, HID, HID, HID, HID, "not in the page cache: touching it would read")     \
	D("segment", "SEGMENT", MW__T_TEXT, 0, HID, HID, HID, "ELF segment, index in the program header")               \
	D("sections", "SECTIONS", MW__T_TEXT, MW__COL_TRUNC, HID, HID, HID, "ELF sections in it")                       \
	D("owner", "OWNER", MW__T_TEXT, 0, HID, HID, HID, "who it belongs to")                                          \
	D("owner_detail", "DETAIL", MW__T_TEXT, MW__COL_TRUNC, HID, HID, HID, "which one: thread, arena, object")       \
	D("certainty", "KNOWN", MW__T_TEXT, 0, HID, HID, HID, "proven, likely or unknown")                              \
	D("rule", "BY", MW__T_TEXT, HID, HID, HID, HID, "the rule that tells the owner")                                \
	D("object", "OBJECT", MW__T_TEXT, HID, HID, HID, HID, "path of the image or file")                              \
	D("name", "NAME", MW__T_TEXT, MW__COL_TRUNC, MW__COL_TRUNC, 0, 0, "as the kernel names it")                     \
	D("causes", NULL, MW__T_TABLE, JSO, JSO, JSO, JSO, NULL)                                                        \
	D("extents", NULL, MW__T_TABLE, JSO, JSO, JSO, JSO, NULL)

#define D0(key, head, type, a, b, c, d, what) { key, head, type, a, what },
#define D1(key, head, type, a, b, c, d, what) { key, head, type, b, what },
#define D2(key, head, type, a, b, c, d, what) { key, head, type, c, what },
#define D3(key, head, type, a, b, c, d, what) { key, head, type, d, what },
#define SMAPS(member, key, json, what) { "smaps_" json, key, MW__T_BYTES, HID, what },
static const struct mw__col cols_own[] = {
	OWN_COLUMNS(D0)
#include "../model/smaps.def"
	{ "smaps_flags", "VmFlags", MW__T_TEXT, HID, "flags of the mapping, see proc(5)" },
};
static const struct mw__col cols_x[] = {
	OWN_COLUMNS(D1)
#include "../model/smaps.def"
	{ "smaps_flags", "VmFlags", MW__T_TEXT, HID, "flags of the mapping, see proc(5)" },
};
#undef SMAPS
/* pmap -X leaves out what is a detail of another field. */
#define SMAPS(member, key, json, what) { "smaps_" json, key, MW__T_BYTES, X_##member, what },
enum {
	X_size = HID, X_kernel_page_size = HID, X_mmu_page_size = HID, X_rss = HID, X_pss = 0, X_pss_dirty = 0,
	X_shared_clean = HID, X_shared_dirty = HID, X_private_clean = HID, X_private_dirty = HID, X_referenced = 0,
	X_anonymous = 0, X_ksm = 0, X_lazy_free = 0, X_anon_huge = HID, X_shmem_pmd = 0, X_file_pmd = 0, X_shared_hugetlb = 0,
	X_private_hugetlb = 0, X_swap = 0, X_swap_pss = 0, X_locked = 0, X_thp_eligible = 0, X_protection_key = 0,
};
static const struct mw__col cols_X[] = {
	OWN_COLUMNS(D2)
#include "../model/smaps.def"
	{ "smaps_flags", "VmFlags", MW__T_TEXT, HID, "flags of the mapping, see proc(5)" },
};
#undef SMAPS
#define SMAPS(member, key, json, what) { "smaps_" json, key, MW__T_BYTES, 0, what },
static const struct mw__col cols_XX[] = {
	OWN_COLUMNS(D3)
#include "../model/smaps.def"
	{ "smaps_flags", "VmFlags", MW__T_TEXT, 0, "flags of the mapping, see proc(5)" },
};
#undef SMAPS

#define N_COLS (sizeof(cols_own) / sizeof(cols_own[0]))
_Static_assert(N_COLS == C_SMAPS + sizeof(struct mw__smaps) / 8, "one column a field of smaps");

static const struct mw__col *const modes[] = { cols_own, cols_x, cols_X, cols_XX };

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

struct view {
	const struct mw_snapshot *snap;
	struct mw__doc_node *root, *table;
	unsigned mode;
	bool zeros_unplaced;
	MW_VEC(struct mw__extent) extents;	/* of the mapping at hand */
	struct mw__str scratch;
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
	mw__str_reset(&v->scratch);
	mw__str_printf(&v->scratch, "LOAD[%td]%s", x->segment - x->image->segments,
		       is_relro(x->image, x->start, x->end) && !(x->vma->prot & MW__W) ? " RELRO" : "");
	return v->scratch.v;
}

/* Sections with memory of their own in [start, end): thread-local .tbss has none. */
static const char *section_text(struct view *v, const struct mw__extent *x)
{
	unsigned n = 0;

	if (!x->image || x->owner == MW__OWNER_LDSO_GAP || !x->image->n_sections)
		return NULL;
	mw__str_reset(&v->scratch);
	for (uint32_t i = 0; i < x->image->n_sections; i++) {
		const struct mw__section *s = &x->image->sections[i];
		uint64_t start = x->image->bias + s->addr;

		if (!s->size || start >= x->end || start + s->size <= x->start ||
		    (s->flags & SHF_TLS && s->type == SHT_NOBITS))
			continue;
		if (n++ < MAX_SECTIONS)
			mw__str_printf(&v->scratch, "%s%s", v->scratch.n ? " " : "", s->name);
	}
	if (n > MAX_SECTIONS)
		mw__str_printf(&v->scratch, " +%u", n - MAX_SECTIONS);
	return v->scratch.n ? v->scratch.v : NULL;
}

static void set_owner(struct view *v, struct mw__doc_row *row, const struct mw__extent *x)
{
	mw__row_text(v->table, row, C_OWNER, mw__owners[x->owner].what);
	mw__row_text(v->table, row, C_DETAIL, x->detail);
	mw__row_text(v->table, row, C_CERTAINTY, mw__certainty_names[x->certainty]);
	mw__row_text(v->table, row, C_RULE, x->rule);
	mw__row_text(v->table, row, C_SEGMENT, segment_text(v, x));
	mw__row_text(v->table, row, C_SECTIONS, section_text(v, x));
}

static void set_tally(struct view *v, struct mw__doc_row *row, const struct mw__vma *vma, const struct mw__tally *t)
{
	/* zero pages somewhere among the anonymous ones: which, only their sum is known */
	bool lost = v->zeros_unplaced && vma->kind == MW__ANON && t->anon;
	bool unread = t->unread || lost, backed = vma->kind == MW__FILE || vma->kind == MW__SHMEM;
	uint64_t anon = t->anon + t->lazy;
	bool cache_known = backed && !t->cache_unknown;

	mw__row_u64(v->table, row, C_RESIDENT, unread ? MW_UNKNOWN : anon + t->file);
	mw__row_u64(v->table, row, C_ANON, unread ? MW_UNKNOWN : anon);
	mw__row_u64(v->table, row, C_FILE, unread ? MW_UNKNOWN : vma->kind == MW__SHMEM ? 0 : t->file);
	mw__row_u64(v->table, row, C_SHMEM, unread ? MW_UNKNOWN : vma->kind == MW__SHMEM ? t->file : 0);
	mw__row_u64(v->table, row, C_ZERO, unread ? MW_UNKNOWN : t->zero);
	mw__row_u64(v->table, row, C_HUGE, unread || !mw__huge_known(v->snap) ? MW_UNKNOWN : t->huge);
	mw__row_u64(v->table, row, C_SWAP, unread ? MW_UNKNOWN : t->swap + t->evicted);
	mw__row_u64(v->table, row, C_GUARD, unread ? MW_UNKNOWN : t->guard);
	mw__row_u64(v->table, row, C_HUGETLB, unread ? MW_UNKNOWN : t->hugetlb);
	mw__row_u64(v->table, row, C_NOT_PRESENT, unread ? MW_UNKNOWN : t->absent + t->cached + t->uncached +
		    t->cache_unknown + t->beyond_eof + t->uffd);
	mw__row_u64(v->table, row, C_CACHED, cache_known ? t->cached : MW_UNKNOWN);
	mw__row_u64(v->table, row, C_UNCACHED, cache_known ? t->uncached : MW_UNKNOWN);
}

static void add_range(struct view *v, struct mw__doc_row *row, uint64_t start, uint64_t end)
{
	char text[48];

	snprintf(text, sizeof(text), "%012llx-%012llx", (unsigned long long)start, (unsigned long long)end);
	mw__row_text(v->table, row, C_RANGE, text);
	mw__row_u64(v->table, row, C_START, start);
	mw__row_u64(v->table, row, C_END, end);
	mw__row_u64(v->table, row, C_SIZE, end - start);
}

static void add_tally(struct mw__tally *sum, const struct mw__tally *t)
{
	for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++)
		((uint64_t *)sum)[i] += ((const uint64_t *)t)[i];
}

static void fill_causes(struct mw__doc_node *t, const struct mw__extent *x)
{
	for (int c = 0; c < MW__N_CAUSES; c++) {
		uint64_t bytes = mw__extent_cause(x, (enum mw__cause)c);

		if (!bytes)
			continue;
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_text(t, row, 0, mw__causes[c].code);
		mw__row_text(t, row, 1, mw__owners[x->owner].id);
		mw__row_u64(t, row, 2, bytes);
	}
}

static void fill_extents(struct view *v, struct mw__doc_row *vma_row)
{
	struct mw__doc_node *causes = mw__row_node(v->table, vma_row, C_CAUSES, MW__T_TABLE, cause_cols, 3);
	struct mw__doc_node *t = mw__row_node(v->table, vma_row, C_EXTENTS, MW__T_TABLE, extent_cols,
					      sizeof(extent_cols) / sizeof(extent_cols[0]));

	for (size_t i = 0; i < v->extents.n; i++) {
		const struct mw__extent *x = &v->extents.v[i];
		struct mw__doc_row *row = mw__doc_row(t);

		fill_causes(causes, x);
		mw__row_u64(t, row, E_START, x->start);
		mw__row_u64(t, row, E_END, x->end);
		mw__row_text(t, row, E_OWNER, mw__owners[x->owner].what);
		mw__row_text(t, row, E_DETAIL, x->detail);
		mw__row_text(t, row, E_CERTAINTY, mw__certainty_names[x->certainty]);
		mw__row_text(t, row, E_RULE, x->rule);
		mw__row_text(t, row, E_SECTIONS, section_text(v, x));
		mw__row_u64(t, row, E_RESIDENT, x->tally.unread ? MW_UNKNOWN : mw__tally_resident(&x->tally));
		fill_causes(mw__row_node(t, row, E_CAUSES, MW__T_TABLE, cause_cols, 3), x);
	}
}

static void set_smaps(struct view *v, struct mw__doc_row *row, const struct mw__smaps *s)
{
	size_t col = C_SMAPS;

	mw__row_u64(v->table, row, C_DIRTY, s ? mw__add(s->shared_dirty, s->private_dirty) : MW_UNKNOWN);
#define SMAPS(member, key, json, what) mw__row_u64(v->table, row, col++, s ? s->member : MW_UNKNOWN);
#include "../model/smaps.def"
#undef SMAPS
	mw__row_text(v->table, row, col, s ? s->flags : NULL);
}

/* -------------------------------------------------------------------- rows */

/* The extent that says most about the mapping: the largest; owner "several" would say nothing. */
static const struct mw__extent *main_extent(const struct view *v)
{
	const struct mw__extent *best = &v->extents.v[0];

	for (size_t i = 1; i < v->extents.n; i++)
		if (v->extents.v[i].end - v->extents.v[i].start > best->end - best->start)
			best = &v->extents.v[i];
	return best;
}

static void add_children(struct view *v)
{
	for (size_t i = 0; v->mode == 0 && v->extents.n > 1 && i < v->extents.n; i++) {
		const struct mw__extent *x = &v->extents.v[i];
		struct mw__doc_row *row = mw__doc_row(v->table);

		if (!row)
			return;
		row->style = MW__ROW_CHILD;
		add_range(v, row, x->start, x->end);
		set_tally(v, row, x->vma, &x->tally);
		set_owner(v, row, x);
	}
}

static const char *object_of(const struct view *v, const struct mw__extent *x)
{
	if (x->image)
		return x->image->path;
	return x->vma->file != MW__NONE ? v->snap->files.v[x->vma->file].path : NULL;
}

/* All extents of one mapping are at hand: print it. */
static void flush(struct view *v, struct mw__tally *sum)
{
	const struct mw__extent *x = main_extent(v);
	const struct mw__vma *vma = x->vma;
	struct mw__doc_row *row = mw__doc_row(v->table);
	struct mw__tally t = {};
	char perm[5], device[24];

	for (size_t i = 0; i < v->extents.n; i++)
		add_tally(&t, &v->extents.v[i].tally);
	add_tally(sum, &t);
	snprintf(device, sizeof(device), "%02x:%02x", vma->dev_major, vma->dev_minor);
	add_range(v, row, vma->start, vma->end);
	mw__row_text(v->table, row, C_PERM, mw__view_perm(vma, perm));
	mw__row_u64(v->table, row, C_OFFSET, vma->off);
	mw__row_u64(v->table, row, C_OFFSET_HEX, vma->off);
	mw__row_text(v->table, row, C_DEVICE, device);
	mw__row_u64(v->table, row, C_INODE, vma->ino);
	mw__row_text(v->table, row, C_NAME, vma->name);
	mw__row_text(v->table, row, C_OBJECT, object_of(v, x));
	set_tally(v, row, vma, &t);
	set_owner(v, row, x);
	set_smaps(v, row, v->snap->smaps ? &v->snap->smaps[vma - v->snap->vmas.v] : NULL);
	fill_extents(v, row);
	add_children(v);
	v->extents.n = 0;
}

static void add_total(struct view *v, const struct mw__tally *sum, const struct mw_account *acc)
{
	struct mw__doc_row *row = mw__doc_row(v->table);
	static const struct mw__vma any = { .kind = MW__FILE };
	struct mw__smaps all;

	if (!row)
		return;
	row->style = MW__ROW_TOTAL;
	mw__row_text(v->table, row, C_RANGE, "sum");
	mw__row_u64(v->table, row, C_SIZE, acc->vsz);
	set_tally(v, row, &any, sum);
	if (!sum->unread) {
		mw__row_u64(v->table, row, C_FILE, sum->file - acc->shmem_rss);
		mw__row_u64(v->table, row, C_SHMEM, acc->shmem_rss);
	}
	mw__smaps_init(&all);
	for (size_t i = 0; v->snap->smaps && i < v->snap->vmas.n; i++) {
		if (mw__vma_is_vsyscall(&v->snap->vmas.v[i]))
			continue;
#define SMAPS(member, key, json, what) \
	all.member = all.member == MW_UNKNOWN ? v->snap->smaps[i].member : mw__add(all.member, v->snap->smaps[i].member);
#include "../model/smaps.def"
#undef SMAPS
	}
	all.kernel_page_size = all.mmu_page_size = all.thp_eligible = all.protection_key = MW_UNKNOWN;
	set_smaps(v, row, v->snap->smaps ? &all : NULL);
}

static int fill(struct view *v, const struct mw_account *acc)
{
	MW_CLEANUP(mw__extents_deinit) struct mw__extents it = {};
	struct mw__tally sum = {};
	struct mw__extent x;

	if (mw__extents_init(&it, v->snap) < 0)
		return -MW_E_NOMEM;
	while (mw__extents_next(&it, &x)) {
		struct mw__extent *slot = MW_VEC_PUSH(&v->extents);

		if (!slot)
			return -MW_E_NOMEM;
		*slot = x;
		if (x.end == x.vma->end)
			flush(v, &sum);
	}
	if (v->snap->target.has_maps)
		add_total(v, &sum, acc);
	return v->scratch.failed ? -MW_E_NOMEM : 0;
}

int mw_report_maps(const struct mw_snapshot *snap, const struct mw_maps_opts *opts, struct mw_document **ret,
		   struct mw_err *err)
{
	struct mw_maps_opts o = {};
	struct mw_account *acc = NULL;

	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	if (o.extended >= sizeof(modes) / sizeof(modes[0]))
		return mw__fail(err, MW_E_USAGE, 0, "maps: there are 3 extended modes");
	int rc = mw_account_create(snap, &acc, err);

	if (rc < 0)
		return rc;
	struct mw_document *doc = mw__doc_create("memwhy/maps/1");

	if (!doc) {
		mw_account_destroy(acc);
		return mw__fail_nomem(err, "report");
	}
	struct view v = { .snap = snap, .root = doc->root, .mode = o.extended, .zeros_unplaced = acc->zeros_unplaced };

	mw__view_target(doc->root, snap);
	mw__doc_text(doc->root, "state", mw__view_state(mw__snapshot_state(snap, acc)));
	mw__doc_u64(doc->root, "vsz", MW__T_BYTES, snap->target.has_maps ? acc->vsz : snap->status.vm_size);
	mw__doc_u64(doc->root, "rss", MW__T_BYTES, mw__account_rss(snap, acc));
	mw__view_headline(doc->root, snap, acc);
	mw__doc_line(doc->root, "", NULL, 0);
	v.table = mw__doc_table(doc->root, "maps", NULL, modes[o.extended], N_COLS);
	doc->failed |= fill(&v, acc) < 0;
	mw__view_notes(doc->root, snap);
	MW_VEC_FREE(&v.extents);
	mw__str_deinit(&v.scratch);
	mw_account_destroy(acc);
	return mw__doc_finish(doc, ret, err);
}
