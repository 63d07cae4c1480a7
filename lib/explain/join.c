/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The join: each mapping is cut where a claim begins or ends, each piece gets one owner, and the page
 * runs inside it are added up by state.
 *
 * Claims may overlap (a thread's stack inside a range that a shape rule took for something else); they
 * are resolved once into disjoint ones, the highest priority winning. They concern anonymous memory;
 * a mapping of a file is owned by its file, but for inaccessible gaps between segments.
 */
#include "explain.h"

#include "../base/count.h"
#include "../base/search.h"
#include "../base/size.h"
#include "../base/str.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u
#define NOWHERE UINT64_MAX	/* in no mapping: the next one begins */
/* An inaccessible mapping of at most this size between others is taken for a guard; a guess. */
#define GUARD_MAX (64u << 10)

/* ------------------------------------------------------------------ claims */

static int compare_starts(const void *a, const void *b)
{
	const struct mw__claim *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->priority > y->priority ? -1 : x->priority < y->priority;
}

struct sweep {
	const struct mw__claim *sorted;
	size_t n, next;
	MW_VEC(const struct mw__claim *) active;
	MW_VEC(struct mw__claim) out;
};

/* The higher priority wins, and of equal ones the first of the list. */
static bool wins(const struct mw__claim *a, const struct mw__claim *b)
{
	return a->priority != b->priority ? a->priority > b->priority : a < b;
}

/* Active claims form a heap: the winner is first. */
static int activate(struct sweep *s, const struct mw__claim *c)
{
	const struct mw__claim **slot = MW_VEC_PUSH(&s->active);
	size_t i = s->active.n - 1;

	if (!slot)
		return -MW_E_NOMEM;
	for (; i && wins(c, s->active.v[(i - 1) / 2]); i = (i - 1) / 2)
		s->active.v[i] = s->active.v[(i - 1) / 2];
	s->active.v[i] = c;
	return 0;
}

static void drop_first(struct sweep *s)
{
	const struct mw__claim *c = s->active.v[--s->active.n];
	size_t i = 0, n = s->active.n;

	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && wins(s->active.v[child + 1], s->active.v[child]))
			child++;
		if (!wins(s->active.v[child], c))
			break;
		s->active.v[i] = s->active.v[child];
	}
	s->active.v[i] = c;
}

/* The winner among the active claims. One that ended is dropped when it comes first, sooner it does no harm. */
static const struct mw__claim *best_active(struct sweep *s, uint64_t at)
{
	while (s->active.n && s->active.v[0]->end <= at)
		drop_first(s);
	return s->active.n ? s->active.v[0] : NULL;
}

static int emit(struct sweep *s, const struct mw__claim *c, uint64_t start, uint64_t end)
{
	struct mw__claim *last = s->out.n ? &s->out.v[s->out.n - 1] : NULL;

	if (last && last->end == start && last->owner == c->owner && last->rule == c->rule && last->detail == c->detail &&
	    last->certainty == c->certainty) {
		last->end = end;
		return 0;
	}
	struct mw__claim *new = MW_VEC_PUSH(&s->out);

	if (!new)
		return -MW_E_NOMEM;
	*new = *c;
	new->start = start;
	new->end = end;
	return 0;
}

static int run_sweep(struct sweep *s, const uint64_t *cuts, size_t n_cuts)
{
	for (size_t i = 0; i + 1 < n_cuts; i++) {
		if (cuts[i] == cuts[i + 1])
			continue;
		while (s->next < s->n && s->sorted[s->next].start <= cuts[i])
			if (activate(s, &s->sorted[s->next++]) < 0)
				return -MW_E_NOMEM;
		const struct mw__claim *best = best_active(s, cuts[i]);

		if (best && emit(s, best, cuts[i], cuts[i + 1]) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

static int resolve_claims(const struct mw_snapshot *snap, struct mw__claim **ret, size_t *n_ret)
{
	size_t n = snap->claims.n;
	struct mw__claim *sorted = malloc((n + 1) * sizeof(*sorted));
	uint64_t *cuts = malloc((2 * n + 1) * sizeof(*cuts));
	struct sweep s = { .sorted = sorted, .n = n };
	int rc = sorted && cuts ? 0 : -MW_E_NOMEM;

	if (rc == 0) {
		if (n)
			memcpy(sorted, snap->claims.v, n * sizeof(*sorted));
		for (size_t i = 0; i < n; i++) {
			cuts[2 * i] = sorted[i].start;
			cuts[2 * i + 1] = sorted[i].end;
		}
		qsort(sorted, n, sizeof(*sorted), compare_starts);
		qsort(cuts, 2 * n, sizeof(*cuts), mw__compare_u64);
		rc = run_sweep(&s, cuts, 2 * n);
	}
	free(sorted);
	free(cuts);
	MW_VEC_FREE(&s.active);
	if (rc < 0) {
		MW_VEC_FREE(&s.out);
		return rc;
	}
	*ret = s.out.v;
	*n_ret = s.out.n;
	return 0;
}

/* ------------------------------------------------------------------ images */

static int compare_images(const void *a, const void *b)
{
	const struct mw__image *x = *(const struct mw__image *const *)a, *y = *(const struct mw__image *const *)b;

	return x->start < y->start ? -1 : x->start > y->start;
}

int mw__extents_init(struct mw__extents *it, const struct mw_snapshot *snap)
{
	memset(it, 0, sizeof(*it));
	it->snap = snap;
	it->at = NOWHERE;
	it->images = malloc((snap->images.n + 1) * sizeof(*it->images));
	if (!it->images || resolve_claims(snap, &it->claims, &it->n_claims) < 0) {
		mw__extents_deinit(it);
		return -MW_E_NOMEM;
	}
	for (size_t i = 0; i < snap->images.n; i++)
		if (snap->images.v[i].start < snap->images.v[i].end)
			it->images[it->n_images++] = &snap->images.v[i];
	qsort(it->images, it->n_images, sizeof(*it->images), compare_images);
	return 0;
}

void mw__extents_deinit(struct mw__extents *it)
{
	free(it->claims);
	free(it->images);
	it->claims = NULL;
	it->images = NULL;
}

/* The image whose span holds addr, or NULL. */
static const struct mw__image *find_image(const struct mw__extents *it, uint64_t addr)
{
	size_t lo = MW_FIRST(i, it->n_images, it->images[i]->start > addr);

	return lo && addr < it->images[lo - 1]->end ? it->images[lo - 1] : NULL;
}

/* The segment that [start, end) lies in, with page rounding. */
static const struct mw__segment *find_segment(const struct mw__image *img, uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];

		if (s->type == PT_LOAD && start >= mw__align_down(img->bias + s->vaddr, PAGE) &&
		    end <= mw__align_up(img->bias + s->vaddr + s->memsz, PAGE))
			return s;
	}
	return NULL;
}

/* ------------------------------------------------------------------ owners */

struct name_owner {
	const char *name;
	enum mw__owner owner;
};
static const struct name_owner kernel_names[] = {
	{ "[heap]", MW__OWNER_BRK_HEAP },
	{ "[stack]", MW__OWNER_MAIN_STACK },
};

static void own(struct mw__extent *x, enum mw__owner owner, enum mw__certainty certainty, const char *rule)
{
	x->owner = owner;
	x->certainty = certainty;
	x->rule = rule;
}

/* Does the mapping touch one of anonymous executable memory? */
static bool touches_code(const struct mw_snapshot *snap, const struct mw__vma *v)
{
	const struct mw__vma *first = snap->vmas.v, *last = first + snap->vmas.n - 1;

	return (v > first && v[-1].end == v->start && v[-1].kind == MW__ANON && v[-1].prot & MW__X) ||
	       (v < last && v[1].start == v->end && v[1].kind == MW__ANON && v[1].prot & MW__X);
}

static void own_anonymous(const struct mw_snapshot *snap, struct mw__extent *x)
{
	const struct mw__vma *v = x->vma;

	for (size_t i = 0; i < MW__COUNT(kernel_names); i++)
		if (!strcmp(v->name, kernel_names[i].name)) {
			own(x, kernel_names[i].owner, MW__PROVEN, "named by the kernel");
			return;
		}
	if (!strncmp(v->name, "[anon:", 6)) {
		own(x, MW__OWNER_NAMED, MW__PROVEN, "name set by the program");
		x->detail = v->name;
	} else if (!v->prot && v->end - v->start > GUARD_MAX && touches_code(snap, v)) {
		own(x, MW__OWNER_CODE_RESERVE, MW__LIKELY, "inaccessible, touches anonymous executable memory");
	} else if (!v->prot && v->end - v->start <= GUARD_MAX) {
		own(x, MW__OWNER_GUARD, MW__LIKELY, "small and inaccessible");
	} else if (!v->prot) {
		own(x, MW__OWNER_RESERVE, MW__UNPROVEN, "inaccessible, no record names its owner");
	} else if (v->prot & MW__X) {
		own(x, MW__OWNER_CODE, MW__LIKELY, "anonymous and executable");
	} else {
		own(x, MW__OWNER_NONE, MW__UNPROVEN, "anonymous, no record names its owner");
	}
}

static void own_file(struct mw__extent *x)
{
	if (x->image && x->image->role == MW__PROGRAM)
		own(x, MW__OWNER_PROGRAM, MW__PROVEN, "fits a segment of the program");
	else if (x->image)
		own(x, MW__OWNER_LIBRARY, MW__PROVEN, "fits a segment of this ELF file");
	else
		own(x, MW__OWNER_FILE, MW__PROVEN, "mapped by name");
}

static void own_by_kind(const struct mw_snapshot *snap, struct mw__extent *x)
{
	switch ((enum mw__vma_kind)x->vma->kind) {
	case MW__ANON:
		own_anonymous(snap, x);
		break;
	case MW__FILE:
		own_file(x);
		break;
	case MW__SHMEM:
		if (x->image)
			own_file(x);
		else
			own(x, MW__OWNER_SHM, MW__PROVEN, "on a shared memory file system");
		break;
	case MW__HUGETLB:
		own(x, MW__OWNER_HUGETLB, MW__PROVEN, "on hugetlbfs");
		break;
	case MW__SPECIAL:
		own(x, MW__OWNER_KERNEL, MW__PROVEN, "named by the kernel");
		break;
	case MW__DEVICE:
	case MW__N_KINDS:
		own(x, MW__OWNER_DEVICE, MW__PROVEN, "a device or kernel object");
		break;
	}
}

static bool claim_applies(const struct mw__claim *c, const struct mw__vma *v)
{
	bool by_glibc = c->owner == MW__OWNER_GLIBC_ARENA || c->owner == MW__OWNER_GLIBC_TAIL || c->owner == MW__OWNER_MALLOC_BLOCK;

	return v->kind == MW__ANON || (c->owner == MW__OWNER_LDSO_GAP && !v->prot) || (v->kind == MW__HUGETLB && by_glibc);
}

/* The first resolved claim that ends behind addr. */
static const struct mw__claim *next_claim(struct mw__extents *it, uint64_t addr)
{
	while (it->claim < it->n_claims && it->claims[it->claim].end <= addr)
		it->claim++;
	return it->claim < it->n_claims ? &it->claims[it->claim] : NULL;
}

/* Set the end of the piece that starts at x->start, and its owner. */
static void cut(struct mw__extents *it, struct mw__extent *x)
{
	const struct mw__claim *c = next_claim(it, x->start);
	uint64_t end = x->vma->end;

	if (!it->snap->vmas.v[it->vma].states_known && it->snap->smaps) {
		/* amounts are known for the whole mapping only */
		own_by_kind(it->snap, x);
	} else if (c && claim_applies(c, x->vma) && c->start <= x->start) {
		end = mw__min(end, c->end);
		own(x, c->owner, c->certainty, c->rule);
		x->detail = c->detail;
	} else {
		if (c && claim_applies(c, x->vma))
			end = mw__min(end, c->start);
		own_by_kind(it->snap, x);
	}
	x->end = end;
}

/* ------------------------------------------------------------------ states */

static bool is_resident(const struct mw__run *r)
{
	return r->state & MW__PRESENT && !(r->state & MW__ZERO);
}

/* Add bytes of a run to the tally of a mapping of this kind. First match wins (memwhy-memory(7)). */
static void add_run(struct mw__tally *t, const struct mw__vma *v, const struct mw__run *r, uint64_t bytes)
{
	if (v->kind == MW__HUGETLB) {
		*(r->state & MW__PRESENT ? &t->hugetlb : &t->absent) += bytes;
		return;
	}
	if (r->state & MW__GUARDED) {
		t->guard += bytes;
	} else if (r->state & MW__ZERO) {
		t->zero += bytes;
	} else if (is_resident(r)) {
		bool of_file = v->kind != MW__ANON && (v->is_shared || r->state & MW__OF_FILE);

		*(of_file ? &t->file : &t->anon) += bytes;
		if (r->state & MW__HUGE)
			t->huge += bytes;
	} else if (r->state & MW__SWAPPED) {
		t->swap += bytes;
	} else {
		t->absent += bytes;
	}
}

static void tally_runs(struct mw__extents *it, struct mw__extent *x)
{
	const struct mw__vma *v = x->vma;

	while (it->run < v->n_runs) {
		const struct mw__run *r = &it->snap->runs.v[v->run + it->run];
		uint64_t end = r->start + (uint64_t)r->pages * PAGE;
		uint64_t from = mw__max(r->start, x->start), to = mw__min(end, x->end);

		if (from < to)
			add_run(&x->tally, v, r, to - from);
		if (end > x->end)
			return;
		it->run++;
	}
}

static uint64_t known(uint64_t v)
{
	return v == MW_UNKNOWN ? 0 : v;
}

static uint64_t huge_of(const struct mw__smaps *s)
{
	return known(s->anon_huge) + known(s->shmem_pmd) + known(s->file_pmd);
}

bool mw__huge_known(const struct mw_snapshot *snap)
{
	return snap->target.pages == MW_PAGES_SCAN || snap->smaps;
}

/* Without page states, but with smaps: the amounts of the whole mapping. */
static void tally_smaps(struct mw__extent *x, const struct mw__smaps *s)
{
	uint64_t size = x->end - x->start, rss = mw__min(known(s->rss), size);
	uint64_t anon = mw__min(known(s->anonymous), rss), swap = mw__min(known(s->swap), size - rss);

	if (x->vma->kind == MW__HUGETLB) {
		x->tally.hugetlb = mw__min(known(s->shared_hugetlb) + known(s->private_hugetlb), size);
		return;
	}
	x->tally.anon = x->vma->kind == MW__ANON ? rss : anon;
	x->tally.file = rss - x->tally.anon;
	if (x->vma->kind == MW__SHMEM)
		x->tally.evicted = swap;
	else
		x->tally.swap = swap;
}

static void move(uint64_t *from, uint64_t *to, uint64_t *left)
{
	uint64_t n = mw__min(*from, *left);

	*from -= n;
	*to += n;
	*left -= n;
}

/* Bytes that no state explains yet. */
static uint64_t rest_of(const struct mw__extent *x)
{
	const struct mw__tally *t = &x->tally;

	return x->end - x->start - (t->anon + t->lazy + t->file + t->zero + t->guard + t->marker + t->swap +
				    t->evicted + t->hugetlb + t->absent);
}

static bool has_flag(const struct mw_snapshot *snap, size_t vma, const char *flag)
{
	return snap->smaps && snap->smaps[vma].flags && strstr(snap->smaps[vma].flags, flag);
}

/* Shared memory that is swapped out: no page table tells, the page cache or else smaps does. */
static uint64_t evicted_of(const struct mw_snapshot *snap, const struct mw__vma *v)
{
	uint64_t in_tables = 0, swap = snap->smaps ? snap->smaps[v - snap->vmas.v].swap : MW_UNKNOWN;

	if (v->kind != MW__SHMEM || !v->states_known)
		return 0;
	if (v->evicted != MW_UNKNOWN || swap == MW_UNKNOWN)
		return v->evicted == MW_UNKNOWN ? 0 : v->evicted;
	for (uint32_t k = 0; k < v->n_runs; k++)
		if (snap->runs.v[v->run + k].state & MW__SWAPPED)
			in_tables += (uint64_t)snap->runs.v[v->run + k].pages * PAGE;
	return mw__sub0(swap, in_tables);
}

bool mw__evicted_unknown(const struct mw_snapshot *snap, const struct mw__vma *vma)
{
	bool in_use = snap->limits.swap_total != snap->limits.swap_free;

	return vma->kind == MW__SHMEM && vma->evicted == MW_UNKNOWN && in_use &&
	       (!snap->smaps || snap->smaps[vma - snap->vmas.v].swap == MW_UNKNOWN);
}

/* Absent pages of a file or of shared memory: beyond its end, in the cache, or not. */
static void tally_file_rest(const struct mw_snapshot *snap, struct mw__extent *x, uint64_t rest)
{
	const struct mw__vma *v = x->vma;
	uint64_t size = v->file != MW__NONE ? snap->files.v[v->file].size : MW_UNKNOWN;
	struct mw__tally *t = &x->tally;

	if (size != MW_UNKNOWN) {
		uint64_t off = v->off + (x->start - v->start);
		uint64_t inside = mw__min(mw__sub0(mw__align_up(size, PAGE), off), x->end - x->start);

		t->beyond_eof = mw__min(x->end - x->start - inside, rest);
		rest -= t->beyond_eof;
	}
	uint64_t evicted = mw__min(evicted_of(snap, v), rest);

	t->evicted += evicted;
	rest -= evicted;
	if (v->cached == MW_UNKNOWN) {
		t->cache_unknown = rest;
		return;
	}
	t->cached = mw__min(v->cached, rest);
	t->uncached = rest - t->cached;
}

static void tally_rest(struct mw__extents *it, struct mw__extent *x)
{
	const struct mw__vma *v = x->vma;
	uint64_t rest = rest_of(x);

	if (!rest)
		return;
	if (!v->states_known && !it->snap->smaps)
		x->tally.unread = rest;
	else if (!v->prot || v->no_pages || v->kind == MW__HUGETLB || v->kind == MW__SPECIAL || v->kind == MW__DEVICE)
		x->tally.absent += rest;
	else if (v->kind == MW__ANON)
		*(has_flag(it->snap, it->vma, "um") ? &x->tally.uffd : &x->tally.absent) += rest;
	else
		tally_file_rest(it->snap, x, rest);
}

static void begin_vma(struct mw__extents *it, const struct mw__vma *v)
{
	const struct mw__smaps *s = it->snap->smaps ? &it->snap->smaps[it->vma] : NULL;
	uint64_t swap = 0;

	it->at = v->start;
	it->run = 0;
	it->zero_left = v->zero_unplaced;
	it->lazy_left = s && s->lazy_free != MW_UNKNOWN ? s->lazy_free : 0;
	it->marker_left = 0;
	it->huge_left = s && it->snap->target.pages != MW_PAGES_SCAN ? huge_of(s) : 0;
	if (!s || s->swap == MW_UNKNOWN || v->kind == MW__SHMEM)
		return;
	for (uint32_t k = 0; k < v->n_runs; k++) {
		const struct mw__run *r = &it->snap->runs.v[v->run + k];

		if (r->state & MW__SWAPPED && !(r->state & MW__GUARDED))
			swap += (uint64_t)r->pages * PAGE;
	}
	it->marker_left = mw__sub0(swap, s->swap);
}

void mw__extents_seek(struct mw__extents *it, size_t vma)
{
	it->vma = vma;
	it->at = NOWHERE;
	it->claim = vma < it->snap->vmas.n ? MW_FIRST(i, it->n_claims, it->claims[i].end > it->snap->vmas.v[vma].start) : 0;
}

bool mw__extents_next(struct mw__extents *it, struct mw__extent *ret)
{
	const struct mw_snapshot *snap = it->snap;

	while (it->vma < snap->vmas.n && mw__vma_is_vsyscall(&snap->vmas.v[it->vma]))
		it->vma++;
	if (it->vma == snap->vmas.n)
		return false;
	const struct mw__vma *v = &snap->vmas.v[it->vma];

	if (it->at < v->start || it->at >= v->end)
		begin_vma(it, v);
	struct mw__extent x = { .start = it->at, .vma = v };
	const struct mw__image *img = find_image(it, x.start);

	if (img && (v->file == img->file || v->kind == MW__ANON))
		x.image = img;
	cut(it, &x);
	bool of_image = x.owner == MW__OWNER_PROGRAM || x.owner == MW__OWNER_LIBRARY || x.owner == MW__OWNER_BSS ||
			x.owner == MW__OWNER_LDSO_GAP || x.owner == MW__OWNER_KERNEL;

	if (!of_image)
		x.image = NULL;
	x.segment = x.image && x.owner != MW__OWNER_LDSO_GAP ? find_segment(x.image, x.start, x.end) : NULL;
	if (v->states_known || !snap->smaps)
		tally_runs(it, &x);
	else
		tally_smaps(&x, &snap->smaps[it->vma]);
	move(&x.tally.anon, &x.tally.zero, &it->zero_left);
	move(&x.tally.anon, &x.tally.lazy, &it->lazy_left);
	move(&x.tally.swap, &x.tally.marker, &it->marker_left);
	if (it->huge_left) {
		x.tally.huge = mw__min(it->huge_left, mw__tally_resident(&x.tally));
		it->huge_left -= x.tally.huge;
	}
	x.tally.huge = mw__min(x.tally.huge, mw__tally_resident(&x.tally));
	tally_rest(it, &x);
	it->at = x.end;
	if (x.end == v->end) {
		it->vma++;
		it->at = NOWHERE;
	}
	*ret = x;
	return true;
}
