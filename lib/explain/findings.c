/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What people ask, answered from the account: each finder looks at one question and adds at most one
 * sentence, with the amounts that prove it. A finder that has nothing to say adds nothing; what to do
 * about it is told only where there is something to do. The table at the end is the order on the screen.
 */
#include "explain.h"

#include "../base/cleanup.h"
#include "../base/count.h"
#include "../base/size.h"
#include "../base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

struct facts {
	const struct mw_snapshot *snap;
	const struct mw_account *acc;
	struct mw__findings *out;
	uint64_t rss, gap;	/* RSS; VSZ - RSS */
	uint64_t pss, uss;
	bool failed;		/* memory ran out */
};

/* ----------------------------------------------------------------- helpers */

static uint64_t sum_owner(const struct facts *f, enum mw__owner owner, bool resident, uint64_t *regions)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < f->acc->lines.n; i++) {
		const struct mw__line *l = &f->acc->lines.v[i];

		if (l->owner != owner || mw__causes[l->cause].is_resident != resident)
			continue;
		sum += l->bytes;
		if (regions)
			*regions = mw__max(*regions, l->regions);
	}
	return sum;
}

static uint64_t sum_cause(const struct facts *f, enum mw__cause cause)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < f->acc->lines.n; i++)
		if (f->acc->lines.v[i].cause == cause)
			sum += f->acc->lines.v[i].bytes;
	return sum;
}

static int compare_starts(const void *a, const void *b)
{
	const struct mw__claim *const *x = a, *const *y = b;

	return (*x)->start < (*y)->start ? -1 : (*x)->start > (*y)->start;
}

/* Number of things of this owner, of which several rules may claim the same one. */
static uint64_t count_claims(struct facts *f, enum mw__owner owner)
{
	size_t n = 0;
	uint64_t things = 0, end = 0;
	MW_CLEANUP(mw__freep) const struct mw__claim **own = calloc(f->snap->claims.n + 1, sizeof(*own));

	f->failed |= !own;
	for (size_t i = 0; own && i < f->snap->claims.n; i++)
		if (f->snap->claims.v[i].owner == owner)
			own[n++] = &f->snap->claims.v[i];
	if (n)
		qsort(own, n, sizeof(*own), compare_starts);
	for (size_t i = 0; i < n; i++) {
		things += own[i]->start >= end;
		end = mw__max(end, own[i]->end);
	}
	return things;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* A new finding; text is a printf format in which \001 stands for the sizes added later. */
static struct mw__finding *add(struct facts *f, const char *id, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static struct mw__finding *add(struct facts *f, const char *id, const char *fmt, ...)
{
	char buf[768];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	struct mw__finding *x = MW_VEC_PUSH(&f->out->list);
	const char *text = mw__arena_str(&f->out->arena, buf);

	f->failed |= !x || !text;
	if (f->failed)
		return NULL;
	x->id = id;
	x->sentence = text;
	return x;
}

static void size(struct mw__finding *x, const char *key, uint64_t bytes)
{
	if (!x || x->n_sizes == MW__MAX_EVIDENCE || x->n_evidence == MW__MAX_EVIDENCE)
		return;
	x->sizes[x->n_sizes++] = bytes;
	x->evidence[x->n_evidence++] = (struct mw__evidence){ key, true, bytes };
}

static void count(struct mw__finding *x, const char *key, uint64_t n)
{
	if (x && x->n_evidence < MW__MAX_EVIDENCE)
		x->evidence[x->n_evidence++] = (struct mw__evidence){ key, false, n };
}

static void advise(struct mw__finding *x, const char *advice)
{
	if (x)
		x->advice = advice;
}

/* ----------------------------------------------------------------- finders */

static void find_gap(struct facts *f)
{
	char pct[MW__SIZE_TEXT];

	if (!f->acc->vsz)
		return;
	struct mw__finding *x = add(f, "gap",
		"VSZ counts addresses that may be used, RSS counts pages that are in memory: \001 of the \001 (%s) "
		"have no page of this process behind them.", mw__share_text(f->gap, f->acc->vsz, pct));

	size(x, "not_resident", f->gap);
	size(x, "vsz", f->acc->vsz);
}

static void find_reservations(struct facts *f)
{
	uint64_t total = sum_cause(f, MW__N9), proven = f->acc->reserved_proven;

	if (total < 16 * MIB || total * 10 < f->gap)
		return;
	struct mw__finding *x = add(f, "reservations",
		"\001 of it is address space that was reserved and may not even be accessed yet (PROT_NONE); "
		"%s. A reservation costs no memory and no swap.",
		proven ? "the owner of \001 is proven by its own records" : "no record proves whose it is");

	size(x, "reserved", total);
	size(x, "reserved_owner_proven", proven);
}

static bool is_32_bit(const struct mw_snapshot *snap)
{
	for (size_t i = 0; i < snap->images.n; i++)
		if (snap->images.v[i].role == MW__PROGRAM)
			return snap->images.v[i].elf_class == 32;
	return false;
}

/* How many heaps of threads are made of hugetlb pages: 0, 1 for some, 2 for all. */
static int huge_heaps(const struct mw_snapshot *snap)
{
	size_t heaps = 0, huge = 0;

	for (size_t i = 0; i < snap->claims.n; i++) {
		const struct mw__claim *c = &snap->claims.v[i];
		const struct mw__vma *v = c->owner == MW__OWNER_GLIBC_ARENA ? mw__snapshot_vma_at(snap, c->start) : NULL;

		heaps += v != NULL;
		huge += v && v->kind == MW__HUGETLB;
	}
	return huge ? 1 + (huge == heaps) : 0;
}

static void find_arenas(struct facts *f)
{
	uint64_t n = count_claims(f, MW__OWNER_GLIBC_ARENA), used = sum_owner(f, MW__OWNER_GLIBC_ARENA, true, NULL);
	uint64_t all = sum_owner(f, MW__OWNER_GLIBC_TAIL, false, NULL) + sum_owner(f, MW__OWNER_GLIBC_ARENA, false, NULL) + used;
	uint64_t threads = f->snap->status.threads, cap = f->snap->limits.cpus;
	int huge = huge_heaps(f->snap);
	bool small = is_32_bit(f->snap);
	const char *const each[] = { small ? "1 MiB" : "64 MiB", "64 MiB or four huge pages", "four huge pages" };
	char now[64] = "number of threads unknown";

	if (!n)
		return;
	if (threads != MW_UNKNOWN)
		snprintf(now, sizeof(now), "%llu thread%s now", (unsigned long long)threads, plural(threads));
	struct mw__finding *x = add(f, "arenas",
		"glibc's malloc gave threads %llu heap%s of their own (%s%s); each reserves %s of "
		"addresses: \001 of VSZ, of which \001 are resident%s.",
		(unsigned long long)n, plural(n), now, cap == MW_UNKNOWN ? "" : small ? ", at most 2 arenas a processor" :
		", at most 8 arenas a processor", each[huge], huge ? ", as hugetlb pages never are" : "");

	size(x, "arena_addresses", all);
	size(x, "arena_resident", used);
	count(x, "heaps", n);
	count(x, "threads", threads);
	if (all >= 128 * MIB)
		advise(x, "MALLOC_ARENA_MAX=2 in the environment bounds their number; it lowers VSZ, and RSS only by what the arenas hold unused");
}

static void find_stacks(struct facts *f)
{
	uint64_t n = f->acc->n_stacks, used = sum_owner(f, MW__OWNER_THREAD_STACK, true, NULL);
	uint64_t all = used + sum_owner(f, MW__OWNER_THREAD_STACK, false, NULL);

	if (!n)
		return;
	struct mw__finding *x = add(f, "thread-stacks",
		n == 1 ? "%llu thread stack spans \001 and uses \001." : "%llu thread stacks span \001 and use \001.",
		(unsigned long long)n);

	size(x, "stack_addresses", all);
	size(x, "stack_resident", used);
	count(x, "stacks", n);
	if (all >= 256 * MIB)
		advise(x, "the default size is the soft limit of the stack (ulimit -s); pthread_attr_setstacksize() sets it for a thread");
}

static void find_go(struct facts *f)
{
	uint64_t reserve = sum_owner(f, MW__OWNER_GO_SUMMARY, false, NULL) + sum_owner(f, MW__OWNER_GO_INDEX, false, NULL) +
			   sum_owner(f, MW__OWNER_GO_ARENA_MAP, false, NULL);
	uint64_t heap = sum_owner(f, MW__OWNER_GO_HEAP, true, NULL);
	uint64_t heap_all = heap + sum_owner(f, MW__OWNER_GO_HEAP, false, NULL) + sum_owner(f, MW__OWNER_GO_RESERVE, false, NULL);

	if (!heap_all)
		return;
	struct mw__finding *x = add(f, "go-runtime",
		"Go's runtime reserves addresses for tables that cover its whole heap range, however small the heap is: "
		"\001. Its heap has \001 of addresses and \001 resident.");

	size(x, "go_tables", reserve);
	size(x, "go_heap_addresses", heap_all);
	size(x, "go_heap_resident", heap);
}

static void find_sharing(struct facts *f)
{
	if (f->pss == MW_UNKNOWN || f->uss == MW_UNKNOWN)
		return;
	struct mw__finding *x = add(f, "sharing",
		"RSS counts a page in every process that maps it. Divided fairly (PSS) this process has \001; "
		"%s%s; \001 are mapped by others too.", f->uss ? "nobody else maps \001 (USS): its end frees them, though pages of files "
		"stay in the page cache until memory is needed" : "no page is its alone: its end frees \001 (USS)",
		f->uss && f->acc->shmem_rss ? ", and shared memory while anything holds it" : "");

	size(x, "pss", f->pss);
	size(x, "uss", f->uss);
	size(x, "shared", mw__sub0(f->rss, f->uss));
}

/* Of mapped data files, what was written and is not on disk yet; MW_UNKNOWN without smaps. */
static uint64_t dirty_files(struct facts *f)
{
	const struct mw_snapshot *snap = f->snap;
	MW_CLEANUP(mw__freep) bool *is_image = calloc(snap->files.n + 1, sizeof(*is_image));
	uint64_t dirty = 0;

	f->failed |= !is_image;
	if (!is_image || !snap->smaps)
		return MW_UNKNOWN;
	for (size_t i = 0; i < snap->images.n; i++)
		if (snap->images.v[i].file != MW__NONE)
			is_image[snap->images.v[i].file] = true;
	for (size_t i = 0; i < snap->vmas.n; i++) {
		const struct mw__vma *v = &snap->vmas.v[i];

		/* a private copy is never written back */
		if (v->kind == MW__FILE && v->is_shared && v->file != MW__NONE && !is_image[v->file])
			dirty = mw__add(dirty, mw__add(snap->smaps[i].shared_dirty, snap->smaps[i].private_dirty));
	}
	return dirty;
}

static void find_files(struct facts *f)
{
	uint64_t mapped = 0, absent = 0, dirty = dirty_files(f);

	for (size_t i = 0; i < f->acc->objects.n; i++)
		if (f->acc->objects.v[i].owner == MW__OWNER_FILE)
			mapped += f->acc->objects.v[i].file;
	/* neither private copies nor what lies beyond the end of a file */
	for (size_t i = 0; i < f->acc->lines.n; i++) {
		const struct mw__line *line = &f->acc->lines.v[i];

		if (line->owner == MW__OWNER_FILE && (line->cause == MW__N11 || line->cause == MW__N12 || line->cause == MW__N13))
			absent += line->bytes;
	}
	if (mapped < MIB || mapped * 10 < f->rss)
		return;
	struct mw__finding *x = add(f, "mapped-files",
		"\001 of RSS are pages of data files that are mapped. They look like a leak while files are read, but they "
		"are page cache: the kernel takes clean ones back without swap, and \001 of these files are not mapped in.%s",
		dirty == MW_UNKNOWN || !dirty ? "" : " Of the pages \001 are dirty: they are written to their files first.");

	size(x, "file_resident", mapped);
	size(x, "file_not_resident", absent);
	if (dirty != MW_UNKNOWN && dirty)
		size(x, "file_dirty", dirty);
	else if (x)
		x->evidence[x->n_evidence++] = (struct mw__evidence){ "file_dirty", true, dirty };
}

static void find_gaps(struct facts *f)
{
	uint64_t gaps = sum_owner(f, MW__OWNER_LDSO_GAP, false, NULL), n = 0;

	sum_owner(f, MW__OWNER_LDSO_GAP, false, &n);
	if (gaps < MIB)
		return;
	struct mw__finding *x = add(f, "library-gaps",
		"\001 in %llu inaccessible mapping%s (---p) are gaps between the segments of libraries, which are linked for larger "
		"pages: they keep the distance between segments, and cost nothing.", (unsigned long long)n, plural(n));

	size(x, "gaps", gaps);
	count(x, "gap_mappings", n);
}

static void find_copied(struct facts *f)
{
	if (!f->acc->copied || (f->acc->copied < MIB && f->acc->copied * 10 < f->rss))
		return;
	struct mw__finding *x = add(f, "copied",
		"\001 lie in mappings of files but are private copies: pages that were written, by relocation or by the program.");

	size(x, "copied", f->acc->copied);
}

static void find_shared_memory(struct facts *f)
{
	if (f->acc->shmem_rss < MIB)
		return;
	struct mw__finding *x = add(f, "shared-memory",
		"\001 of RSS is shared memory. Every process that maps it shows it in its RSS, and it is free only "
		"when no process, name or descriptor holds it any more.");

	size(x, "shmem_resident", f->acc->shmem_rss);
}

static void find_huge(struct facts *f)
{
	if (!f->acc->total.huge)
		return;
	struct mw__finding *x = add(f, "huge-pages",
		"\001 of RSS is mapped by huge pages: one byte touched brings in 2 MiB%s%s.",
		f->snap->limits.thp ? "; transparent huge pages are set to " : "", f->snap->limits.thp ? f->snap->limits.thp : "");

	size(x, "huge", f->acc->total.huge);
	if (f->acc->total.huge * 4 > f->rss && f->snap->limits.thp && !strcmp(f->snap->limits.thp, "always"))
		advise(x, "if the memory is used sparsely, madvise(MADV_NOHUGEPAGE) or transparent_hugepage=madvise keeps single pages single");
}

static void find_hugetlb(struct facts *f)
{
	uint64_t used = sum_cause(f, MW__N2), reserved = sum_cause(f, MW__N3);

	if (!used && !reserved)
		return;
	struct mw__finding *x = add(f, "hugetlb",
		"\001 are hugetlb pages in use, \001 are addresses for more: part of VSZ, never of RSS, and taken from a pool of their own.");

	size(x, "hugetlb_used", used);
	size(x, "hugetlb_reserved", reserved);
}

static void find_zero(struct facts *f)
{
	if (f->acc->total.zero < MIB)
		return;
	struct mw__finding *x = add(f, "zero-pages",
		"\001 show the one shared page of zeros, as memory does that was only read: they count in no RSS, but cost page tables.");

	size(x, "zero", f->acc->total.zero);
}

static void find_swap(struct facts *f)
{
	uint64_t anon = f->acc->total.swap, shmem = f->acc->total.evicted;

	if (!anon && !shmem)
		return;
	struct mw__finding *x = add(f, "swap",
		"\001 are swapped out%s: they are in VSZ, not in RSS, and come back when touched.",
		shmem ? ", shared memory included" : "");

	size(x, "swapped", anon + shmem);
}

static void find_lazy(struct facts *f)
{
	uint64_t lazy = f->acc->total.lazy ? f->acc->total.lazy : f->snap->rollup.lazy_free;

	if (lazy == MW_UNKNOWN || !lazy)
		return;
	struct mw__finding *x = add(f, "lazy-free",
		"\001 of RSS were given back with MADV_FREE: the kernel takes them when it needs memory, until then RSS counts them.");

	size(x, "lazy_free", lazy);
}

static void find_peak(struct facts *f)
{
	uint64_t hwm = f->snap->status.vm_hwm;

	if (hwm == MW_UNKNOWN || hwm < f->rss + f->rss / 4 || hwm - f->rss < MIB)
		return;
	struct mw__finding *x = add(f, "peak",
		"RSS was \001 at its peak, \001 more than now: that much was given back, swapped or, of files, dropped.");

	size(x, "peak_rss", hwm);
	size(x, "below_peak", hwm - f->rss);
}

static void find_locked(struct facts *f)
{
	if (f->snap->status.vm_lck == MW_UNKNOWN || !f->snap->status.vm_lck)
		return;
	struct mw__finding *x = add(f, "locked", "\001 of mappings are locked in memory (mlock): the kernel cannot take them back.");

	size(x, "locked", f->snap->status.vm_lck);
}

static void find_page_tables(struct facts *f)
{
	uint64_t pte = f->snap->status.vm_pte;

	if (pte == MW_UNKNOWN || (pte < MIB && pte * 20 < f->rss))
		return;
	struct mw__finding *x = add(f, "page-tables",
		"Page tables cost \001 beside RSS: 4 KiB for every 2 MiB of addresses in which a page was ever touched.");

	size(x, "page_tables", pte);
}

static void find_map_count(struct facts *f)
{
	uint64_t limit = f->snap->limits.max_map_count, n = f->acc->n_vmas;
	const struct mw__object *most = NULL;

	if (limit == MW_UNKNOWN || !limit || n * 2 < limit)
		return;
	for (size_t i = 0; i < f->acc->objects.n; i++)
		if (!most || f->acc->objects.v[i].regions > most->regions)
			most = &f->acc->objects.v[i];
	struct mw__finding *x = add(f, "map-count",
		"%llu of the %llu mappings that a process may have are in use, %s of one kind of memory: %s. At the limit "
		"mmap, mprotect and munmap fail with ENOMEM although memory is free.", (unsigned long long)n,
		(unsigned long long)limit, most && most->regions > n / 2 ? "most of them" : "a part", most ? most->name : "?");

	count(x, "mappings", n);
	count(x, "max_map_count", limit);
	count(x, "of_one_kind", most ? most->regions : MW_UNKNOWN);
	advise(x, "sysctl vm.max_map_count raises the limit; many small mprotect or mmap calls are what splits mappings");
}

static void find_as_limit(struct facts *f)
{
	uint64_t limit = f->snap->limits.as_soft;
	char pct[MW__SIZE_TEXT];

	if (limit == MW_UNKNOWN || limit == MW__NO_LIMIT)
		return;
	struct mw__finding *x = add(f, "address-space-limit",
		"The address space is limited to \001 (ulimit -v) and %s of it is taken; the limit counts VSZ, so the \001 "
		"that are only reserved count in full.", mw__share_text(f->acc->vsz, limit, pct));

	size(x, "as_limit", limit);
	size(x, "reserved", sum_cause(f, MW__N9));
	if (f->acc->vsz > limit / 4 * 3)
		advise(x, "limit memory with a cgroup (memory.max) instead: it counts pages, not addresses");
}

static void find_cgroup(struct facts *f)
{
	const struct mw__cgroup *cg = &f->snap->cgroup;

	if (!cg->version || cg->current == MW_UNKNOWN)
		return;
	struct mw__finding *x = add(f, "cgroup",
		"Its control group %s is charged \001%s. The charge differs from RSS (\001): it counts page cache that nobody maps, "
		"kernel memory and every other process in the group, and a shared page once.",
		cg->path ? cg->path : "", cg->is_root ? " (the root group: the whole machine)" : "");

	size(x, "charged", cg->current);
	size(x, "rss", f->rss);
	if (x && cg->max != MW_UNKNOWN && cg->max != MW__NO_LIMIT)
		x->evidence[x->n_evidence++] = (struct mw__evidence){ "limit", true, cg->max };
	if (x && cg->file != MW_UNKNOWN)
		x->evidence[x->n_evidence++] = (struct mw__evidence){ "page_cache", true, cg->file };
	if (x && cg->kernel != MW_UNKNOWN)
		x->evidence[x->n_evidence++] = (struct mw__evidence){ "kernel", true, cg->kernel };
}

static void find_deleted(struct facts *f)
{
	uint64_t n = 0, replaced = 0;
	const char *name = NULL;

	for (size_t i = 0; i < f->snap->images.n; i++) {
		const struct mw__image *img = &f->snap->images.v[i];
		const struct mw__file *file = img->file != MW__NONE ? &f->snap->files.v[img->file] : NULL;

		if (!file || !file->is_deleted)
			continue;
		if (!n++ || (file->is_replaced && !replaced))
			name = mw__basename(img->path);
		replaced += file->is_replaced;
	}
	if (!n)
		return;
	struct mw__finding *x = add(f, "deleted-files",
		"%llu mapped program file%s %s no longer on disk under %s name (%s): %s.", (unsigned long long)n, plural(n),
		n == 1 ? "is" : "are", n == 1 ? "its" : "their", name, !replaced ? "deleted, or never there by name" :
		replaced == n ? "replaced by another, as an upgrade does" : "some replaced, as an upgrade does, some deleted");

	count(x, "deleted_images", n);
	count(x, "replaced_images", replaced);
	if (replaced)
		advise(x, "restart the process to run the new files");
}

static void find_shr(struct facts *f)
{
	uint64_t file = f->snap->status.rss_file, shmem = f->snap->status.rss_shmem;

	if (file == MW_UNKNOWN || shmem == MW_UNKNOWN || file + shmem < MIB)
		return;
	struct mw__finding *x = add(f, "top",
		"top and htop print the same numbers: VIRT is VSZ, RES is RSS, and SHR is \001, all resident pages of files "
		"and shared memory, whether anyone shares them or not.");

	size(x, "shr", file + shmem);
}

/* In the order of the screen; most of them need to know the state of every page. */
static const struct finder {
	void (*find)(struct facts *f);
	bool needs_pages;
} finders[] = {
	{ find_gap, false }, { find_reservations, true }, { find_go, true }, { find_arenas, true }, { find_stacks, true },
	{ find_gaps, true },
	{ find_sharing, false }, { find_files, true }, { find_copied, true }, { find_shared_memory, true }, { find_huge, true },
	{ find_hugetlb, true }, { find_lazy, false }, { find_zero, true }, { find_swap, true }, { find_locked, false },
	{ find_peak, false }, { find_page_tables, false }, { find_map_count, false }, { find_as_limit, false },
	{ find_cgroup, false }, { find_deleted, false }, { find_shr, false },
};

int mw__findings_make(const struct mw_snapshot *snap, const struct mw_account *account, struct mw__findings *ret)
{
	const struct mw__smaps *r = &snap->rollup;
	struct facts f = { .snap = snap, .acc = account, .out = ret, .rss = mw__account_rss(snap, account),
			   .pss = r->pss, .uss = mw__add(r->private_clean, r->private_dirty) };

	memset(ret, 0, sizeof(*ret));
	mw__arena_init(&ret->arena);
	if (!snap->target.has_maps || f.rss == MW_UNKNOWN)
		return 0;
	f.gap = mw__sub0(account->vsz, f.rss);
	for (size_t i = 0; i < MW__COUNT(finders); i++)
		if (!account->total.unread || !finders[i].needs_pages)
			finders[i].find(&f);
	if (!f.failed)
		return 0;
	mw__findings_deinit(ret);
	return -MW_E_NOMEM;
}

void mw__findings_deinit(struct mw__findings *f)
{
	mw__arena_deinit(&f->arena);
	MW_VEC_FREE(&f->list);
}
