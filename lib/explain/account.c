/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The account: every byte of every extent goes to one cause, and the causes are added up by owner. The
 * sum of all lines is the sum of all mappings by construction; that it is VmSize, and that the resident
 * lines are VmRSS, is what the residuals tell.
 */
#include "explain.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"

#include <stdio.h>
#include <string.h>

uint64_t mw__tally_resident(const struct mw__tally *t)
{
	return t->anon + t->lazy + t->file;
}

static const char *const open_texts[] = {
#define OWNER(name, id, what, why, code) what ", not touched",
#include "../model/owners.def"
#undef OWNER
};
static const char *const closed_texts[] = {
#define OWNER(name, id, what, why, code) what ", inaccessible",
#include "../model/owners.def"
#undef OWNER
};

const char *mw__cause_text(enum mw__cause cause, enum mw__owner owner)
{
	if (*mw__causes[cause].text)
		return mw__causes[cause].text;
	if (mw__owners[owner].absent == cause)
		return mw__owners[owner].why;
	return cause == MW__N9 ? closed_texts[owner] : open_texts[owner];
}

/* The cause of absent bytes: the owner's, unless the protection says otherwise. */
static enum mw__cause absent_cause(const struct mw__extent *x)
{
	enum mw__cause c = mw__owners[x->owner].absent;

	if (x->vma->no_pages)
		return MW__N1;
	if (x->vma->kind == MW__HUGETLB)
		return MW__N3;
	if (!x->vma->prot && x->vma->kind != MW__SPECIAL)
		return MW__N9;
	return c == MW__N9 ? MW__N20 : c;
}

/* Which part of the tally a cause takes; what is absent goes to the cause of its owner. */
uint64_t mw__extent_cause(const struct mw__extent *x, enum mw__cause c)
{
	const struct mw__tally *t = &x->tally;
	bool shm = x->vma->kind == MW__SHMEM;
	uint64_t sum = c == absent_cause(x) ? t->absent : 0;

	switch (c) {
	case MW__R1: return sum + t->anon;
	case MW__R1a: return sum + t->lazy;
	case MW__R2: return sum + (shm ? 0 : t->file);
	case MW__R3: return sum + (shm ? t->file : 0);
	case MW__N2: return sum + t->hugetlb;
	case MW__N4: return sum + t->zero;
	case MW__N5: return sum + t->guard;
	case MW__N6: return sum + t->marker;
	case MW__N7: return sum + t->swap;
	case MW__N8: return sum + t->evicted;
	case MW__N10: return sum + t->beyond_eof;
	case MW__N11: return sum + (shm ? 0 : t->cached);
	case MW__N12: return sum + (shm ? 0 : t->uncached);
	case MW__N13: return sum + t->cache_unknown;
	case MW__N14: return sum + (shm ? t->cached : 0);
	case MW__N15: return sum + (shm ? t->uncached : 0);
	case MW__N22: return sum + t->uffd;
	case MW__N99: return sum + t->unread;
	default: return sum;
	}
}

/* ------------------------------------------------------------------- lines */

struct adder {
	struct mw_account *account;
	uint64_t bytes[MW__N_CAUSES][MW__N_OWNERS];
	uint64_t regions[MW__N_CAUSES][MW__N_OWNERS];
	struct mw__object *by_image, *by_file, *by_owner;
	struct mw__extent stack;	/* the last of a thread stack */
};

static void free_adder(struct adder **a)
{
	if (*a) {
		free((*a)->by_image);
		free((*a)->by_file);
		free((*a)->by_owner);
	}
	free(*a);
}

static void add_lines(struct adder *a, const struct mw__extent *x)
{
	for (int c = 0; c < MW__N_CAUSES; c++) {
		uint64_t bytes = mw__extent_cause(x, (enum mw__cause)c);

		if (bytes) {
			a->bytes[c][x->owner] += bytes;
			a->regions[c][x->owner]++;
		}
	}
}

/* A stack may lie in several mappings, one behind the other. */
static void count_stack(struct adder *a, const struct mw__extent *x)
{
	bool goes_on = x->start == a->stack.end && x->detail && a->stack.detail && !strcmp(x->detail, a->stack.detail);

	a->account->n_stacks += !goes_on;
	a->stack = *x;
}

static void add_total(struct mw__tally *sum, const struct mw__tally *t)
{
	uint64_t *s = (uint64_t *)sum;
	const uint64_t *p = (const uint64_t *)t;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*s); i++)
		s[i] += p[i];
}

static struct mw__object *object_of(struct adder *a, const struct mw_snapshot *snap, const struct mw__extent *x)
{
	if (x->image)
		return &a->by_image[x->image - snap->images.v];
	if (x->vma->file != MW__NONE)
		return &a->by_file[x->vma->file];
	return &a->by_owner[x->owner];
}

static void add_object(struct adder *a, const struct mw_snapshot *snap, const struct mw__extent *x)
{
	struct mw__object *o = object_of(a, snap, x);

	if (!o->regions++) {
		o->owner = x->owner;
		o->image = x->image;
		o->name = x->image ? x->image->path : x->vma->file != MW__NONE ? snap->files.v[x->vma->file].path :
									      mw__owners[x->owner].what;
		/* the kernel's name of memory that was shared without a file */
		if (x->vma->kind == MW__SHMEM && !strcmp(o->name, "/dev/zero"))
			o->name = "shared anonymous memory (/dev/zero)";
	}
	if (x->image && x->owner != MW__OWNER_BSS && x->owner != MW__OWNER_LDSO_GAP)
		o->owner = x->owner;
	o->vsz += x->end - x->start;
	o->anon += x->tally.anon + x->tally.lazy;
	*(x->vma->kind == MW__SHMEM ? &o->shmem : &o->file) += x->tally.file;
	o->huge += x->tally.huge;
	o->swap += x->tally.swap + x->tally.evicted;
	o->swap_unknown |= mw__evicted_unknown(snap, x->vma);
	o->unread += x->tally.unread;
}

static int compare_lines(const void *a, const void *b)
{
	const struct mw__line *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	if (x->cause != y->cause)
		return x->cause < y->cause ? -1 : 1;
	return x->owner < y->owner ? -1 : x->owner > y->owner;
}

static int compare_objects(const void *a, const void *b)
{
	const struct mw__object *x = a, *y = b;
	uint64_t rx = x->anon + x->file + x->shmem, ry = y->anon + y->file + y->shmem;

	if (rx != ry)
		return rx > ry ? -1 : 1;
	if (x->vsz != y->vsz)
		return x->vsz > y->vsz ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int keep_lines(struct adder *a)
{
	for (int c = 0; c < MW__N_CAUSES; c++)
		for (int o = 0; o < MW__N_OWNERS; o++) {
			if (!a->bytes[c][o])
				continue;
			struct mw__line *line = MW_VEC_PUSH(&a->account->lines);

			if (!line)
				return -MW_E_NOMEM;
			*line = (struct mw__line){ (enum mw__cause)c, (enum mw__owner)o, a->bytes[c][o], a->regions[c][o] };
		}
	if (a->account->lines.n)
		qsort(a->account->lines.v, a->account->lines.n, sizeof(*a->account->lines.v), compare_lines);
	return 0;
}

/* Of one file there are several objects where it was loaded twice, or mapped beside what was loaded of it. */
static void mark_again(struct adder *a, const struct mw_snapshot *snap)
{
	for (size_t i = 0; i < snap->images.n; i++) {
		uint32_t file = snap->images.v[i].file;

		if (file == MW__NONE)
			continue;
		a->by_image[i].is_again = a->by_file[file].is_again;
		a->by_file[file].is_again = true;
	}
}

static int keep_objects(struct adder *a, const struct mw__object *from, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!from[i].regions)
			continue;
		struct mw__object *o = MW_VEC_PUSH(&a->account->objects);

		if (!o)
			return -MW_E_NOMEM;
		*o = from[i];
	}
	return 0;
}

/* Bytes to take of each owner. */
struct quota {
	uint64_t zero[MW__N_OWNERS], marker[MW__N_OWNERS];
};

/* Take up to left bytes of one cause, from any owner, for another; *quota tells how many of each. */
static uint64_t shift(struct adder *a, enum mw__cause from, enum mw__cause to, uint64_t left, uint64_t *quota)
{
	uint64_t moved = 0;

	for (int o = 0; o < MW__N_OWNERS && moved < left; o++) {
		uint64_t n = mw__min(a->bytes[from][o], left - moved);

		a->bytes[from][o] -= n;
		a->bytes[to][o] += n;
		a->regions[to][o] += n != 0;
		quota[o] += n;
		moved += n;
	}
	return moved;
}

/* Entries that are no swap although they look so: more of them than the kernel counts as swapped. */
static uint64_t split_markers(struct adder *a, const struct mw_snapshot *snap, struct quota *q)
{
	struct mw__tally *t = &a->account->total;

	if (snap->status.vm_swap == MW_UNKNOWN || snap->smaps || snap->target.is_torn)
		return 0;
	uint64_t n = shift(a, MW__N7, MW__N6, mw__sub0(t->swap, snap->status.vm_swap), q->marker);

	t->swap -= n;
	t->marker += n;
	return n;
}

/* pagemap alone calls the zero page present: more pages than the kernel counts as resident. Known in sum only. */
static uint64_t split_zeros(struct adder *a, const struct mw_snapshot *snap, struct quota *q)
{
	struct mw__tally *t = &a->account->total;

	if (snap->target.pages != MW_PAGES_PAGEMAP || snap->status.vm_rss == MW_UNKNOWN || snap->target.is_torn)
		return 0;
	uint64_t n = shift(a, MW__R1, MW__N4, mw__sub0(a->account->rss, snap->status.vm_rss), q->zero);

	t->anon -= n;
	t->zero += n;
	a->account->rss -= n;
	a->account->zeros_unplaced = n;
	return n;
}

static uint64_t take(uint64_t *left, uint64_t most)
{
	uint64_t n = mw__min(*left, most);

	*left -= n;
	return n;
}

/* The objects lose what was taken of their owners' lines, so that their sums stay those of the lines. */
static int split_objects(struct adder *a, const struct mw_snapshot *snap, struct quota *q)
{
	MW_CLEANUP(mw__extents_deinit) struct mw__extents it = {};
	struct mw__extent x;

	if (mw__extents_init(&it, snap) < 0)
		return -MW_E_NOMEM;
	while (mw__extents_next(&it, &x)) {
		struct mw__object *o = object_of(a, snap, &x);
		uint64_t zero = take(&q->zero[x.owner], x.tally.anon);

		o->anon -= zero;
		o->huge = mw__min(o->huge, o->anon + o->file + o->shmem);
		o->swap -= take(&q->marker[x.owner], x.tally.swap);
		if (x.vma->kind != MW__ANON)
			a->account->copied -= zero;
	}
	return 0;
}

/* What is known in sum only, from counters of the whole process. */
static int split(struct adder *a, const struct mw_snapshot *snap)
{
	struct quota q = {};
	uint64_t n = split_markers(a, snap, &q) + split_zeros(a, snap, &q);

	return n ? split_objects(a, snap, &q) : 0;
}

static int fill(struct adder *a, const struct mw_snapshot *snap)
{
	MW_CLEANUP(mw__extents_deinit) struct mw__extents it = {};
	struct mw__extent x;

	if (mw__extents_init(&it, snap) < 0)
		return -MW_E_NOMEM;
	while (mw__extents_next(&it, &x)) {
		add_lines(a, &x);
		add_object(a, snap, &x);
		add_total(&a->account->total, &x.tally);
		if (x.owner == MW__OWNER_THREAD_STACK)
			count_stack(a, &x);
		a->account->vsz += x.end - x.start;
		a->account->rss += mw__tally_resident(&x.tally);
		if (x.vma->kind == MW__SHMEM)
			a->account->shmem_rss += x.tally.file;
		if (x.vma->kind != MW__ANON)
			a->account->copied += x.tally.anon + x.tally.lazy;
		if (x.certainty == MW__PROVEN)
			a->account->reserved_proven += mw__extent_cause(&x, MW__N9);
		a->account->n_extents++;
	}
	mark_again(a, snap);
	int rc = split(a, snap);

	a->account->swap = a->account->total.swap;
	return rc;
}

uint64_t mw__residual_size(int64_t residual)
{
	if (residual == MW__NO_RESIDUAL)
		return MW_UNKNOWN;
	return residual < 0 ? -(uint64_t)residual : (uint64_t)residual;
}

uint64_t mw__account_rss(const struct mw_snapshot *snap, const struct mw_account *account)
{
	return snap->target.has_maps && !account->total.unread ? account->rss : snap->status.vm_rss; /* NOLINT(clang-analyzer-core.NullDereference) */
}

static void fill_residuals(struct mw_account *acc, const struct mw_snapshot *snap)
{
	acc->residual = acc->rss_residual = MW__NO_RESIDUAL;
	if (!snap->target.has_maps)
		return;
	if (snap->status.vm_size != MW_UNKNOWN)
		acc->residual = (int64_t)(snap->status.vm_size - acc->vsz);
	if (snap->status.vm_rss != MW_UNKNOWN && !acc->total.unread)
		acc->rss_residual = (int64_t)(snap->status.vm_rss - acc->rss);
}

int mw_account_create(const struct mw_snapshot *snap, struct mw_account **ret, struct mw_err *err)
{
	struct mw_account *acc = calloc(1, sizeof(*acc));
	MW_CLEANUP(free_adder) struct adder *a = calloc(1, sizeof(*a));

	if (!acc || !a) {
		free(acc);
		return mw__fail_nomem(err, "account");
	}
	a->account = acc;
	a->by_image = calloc(snap->images.n + 1, sizeof(*a->by_image));
	a->by_file = calloc(snap->files.n + 1, sizeof(*a->by_file));
	a->by_owner = calloc(MW__N_OWNERS, sizeof(*a->by_owner));
	if (!a->by_image || !a->by_file || !a->by_owner || fill(a, snap) < 0 || keep_lines(a) < 0 ||
	    keep_objects(a, a->by_image, snap->images.n) < 0 || keep_objects(a, a->by_file, snap->files.n) < 0 ||
	    keep_objects(a, a->by_owner, MW__N_OWNERS) < 0) {
		mw_account_destroy(acc);
		return mw__fail_nomem(err, "account");
	}
	if (acc->objects.n)
		qsort(acc->objects.v, acc->objects.n, sizeof(*acc->objects.v), compare_objects);
	for (size_t i = 0; i < snap->vmas.n; i++)
		acc->n_vmas += !mw__vma_is_vsyscall(&snap->vmas.v[i]);
	fill_residuals(acc, snap);
	*ret = acc;
	return 0;
}

void mw_account_destroy(struct mw_account *account)
{
	if (!account)
		return;
	MW_VEC_FREE(&account->lines);
	MW_VEC_FREE(&account->objects);
	free(account);
}

size_t mw_account_count(const struct mw_account *account)
{
	return account->lines.n;
}

void mw_account_cause(const struct mw_account *account, size_t i, struct mw_cause *ret)
{
	const struct mw__line *line = &account->lines.v[i];
	struct mw_cause c = {
		.size = ret->size,
		.code = mw__causes[line->cause].code,
		.owner = mw__owners[line->owner].id,
		.text = mw__cause_text(line->cause, line->owner),
		.is_resident = mw__causes[line->cause].is_resident,
		.bytes = line->bytes,
		.regions = line->regions,
	};

	memcpy(ret, &c, mw__min(ret->size, sizeof(c)));
}

#define MAX_CPUS 8192u		/* CONFIG_NR_CPUS of x86 */
#define MAX_THREADS (1u << 22)	/* PID_MAX_LIMIT */

/*
 * How far VmRSS may be from the pages because the kernel adds its counters up late, in bytes. Before 6.2 a
 * thread keeps what up to 65 of its faults brought in, at most 16 pages each (mm/memory.c,
 * TASK_RSS_EVENTS_THRESH and fault_around_bytes); from then on a processor keeps less than a batch of each of
 * three counters (lib/percpu_counter.c); since 6.16 status adds all of them up.
 */
uint64_t mw__counter_lag(const struct mw_snapshot *snap)
{
	unsigned major = 0, minor = 0;

	if (!snap->target.kernel || sscanf(snap->target.kernel, "%u.%u", &major, &minor) != 2 ||
	    major > 6 || (major == 6 && minor >= 16))
		return 0;
	bool percpu = major == 6 && minor >= 2;
	uint64_t n = percpu ? snap->limits.cpus : snap->status.threads;

	return n > (percpu ? MAX_CPUS : MAX_THREADS) ? 0 : n * (percpu ? 3 * mw__max(32, 2 * n) : 65 * 16) * snap->target.page_size;
}

enum mw_state mw__snapshot_state(const struct mw_snapshot *snap, const struct mw_account *account)
{
	if (snap->target.is_torn)
		return MW_TORN;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	if (!snap->target.has_maps || account->total.unread || account->zeros_unplaced || account->residual)
		return MW_PARTIAL;
	int64_t lag = (int64_t)mw__counter_lag(snap);

	return -lag <= account->rss_residual && account->rss_residual <= lag ? MW_EXACT : MW_PARTIAL;
}

void mw_snapshot_summary(const struct mw_snapshot *snap, struct mw_summary *ret)
{
	struct mw_account *acc = NULL;
	const struct mw__smaps *r = &snap->rollup;
	struct mw_summary s = {
		.size = ret->size, .pid = snap->target.pid, .state = MW_PARTIAL,
		.vsz = snap->target.has_maps ? mw__snapshot_vsz(snap) : snap->status.vm_size,
		.rss = snap->status.vm_rss, .swap = snap->status.vm_swap, .pss = r->pss,
		.uss = mw__add(r->private_clean, r->private_dirty), .n_vmas = snap->vmas.n,
		.residual = MW_UNKNOWN, .rss_residual = MW_UNKNOWN,
	};

	if (snap->target.has_maps && mw_account_create(snap, &acc, NULL) == 0) {
		s.state = mw__snapshot_state(snap, acc);
		s.rss = mw__account_rss(snap, acc);
		s.residual = mw__residual_size(acc->residual);
		s.rss_residual = mw__residual_size(acc->rss_residual);
		mw_account_destroy(acc);
	}
	memcpy(ret, &s, mw__min(ret->size, sizeof(s)));
}
