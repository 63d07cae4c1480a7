/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Faults in order: the moves are played up to each fault's time, so a place has the meaning it had then.
 * Rows are found by a hash over interned names; the row of the fault before is tried first, because faults
 * come in streams. A stream by one instruction through one place is counted at once (struct streak): a million
 * faults cost little beside the program that took them.
 */
#include "faults.h"

#include "../base/size.h"
#include "explain.h"

#include <stdlib.h>
#include <string.h>

const char *const mw__outcome_ids[] = {
#define X(name, id, text) [MW__OUTCOME_##name] = id,
	MW__OUTCOMES(X)
#undef X
};
const char *const mw__outcomes[] = {
#define X(name, id, text) [MW__OUTCOME_##name] = text,
	MW__OUTCOMES(X)
#undef X
};
const char *const mw__source_ids[] = {
#define X(name, id, text) [MW__SOURCE_##name] = id,
	MW__SOURCES(X)
#undef X
};
const char *const mw__sources[] = {
#define X(name, id, text) [MW__SOURCE_##name] = text,
	MW__SOURCES(X)
#undef X
};

/* --------------------------------------------------------------------- rows */

static size_t hash_row(const struct mw__fault_row *k)
{
	uint64_t h = (uintptr_t)k->object * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ (uintptr_t)k->section) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ (uintptr_t)k->name ^ k->key) * UINT64_C(0xc4ceb9fe1a85ec53);
	return (size_t)(h >> 32);
}

static bool is_same(const struct mw__fault_row *a, const struct mw__fault_row *b)
{
	return a->object == b->object && a->section == b->section && a->name == b->name && a->key == b->key;
}

static bool grow_slots(struct mw__fault_rows *rows)
{
	size_t n = rows->n_slots ? rows->n_slots * 2 : 256;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < rows->v.n; i++) {
		size_t at = hash_row(&rows->v.v[i]) & (n - 1);

		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = (uint32_t)(i + 1);
	}
	free(rows->slots);
	rows->slots = slots;
	rows->n_slots = n;
	return true;
}

/* The row of this key, made when there is none; NULL without memory. */
static struct mw__fault_row *find_row(struct mw__fault_rows *rows, const struct mw__fault_row *key)
{
	if (rows->last < rows->v.n && is_same(&rows->v.v[rows->last], key))
		return &rows->v.v[rows->last];
	if (rows->v.n * 2 >= rows->n_slots && !grow_slots(rows))
		return NULL;
	size_t at = hash_row(key) & (rows->n_slots - 1);

	for (; rows->slots[at]; at = (at + 1) & (rows->n_slots - 1))
		if (is_same(&rows->v.v[rows->slots[at] - 1], key))
			return &rows->v.v[rows->last = rows->slots[at] - 1];
	struct mw__fault_row *row = MW_VEC_PUSH(&rows->v);

	if (!row)
		return NULL;
	*row = *key;
	rows->slots[at] = (uint32_t)rows->v.n;
	rows->last = (uint32_t)(rows->v.n - 1);
	return row;
}

static int count(struct mw__fault_rows *rows, const struct mw__fault_row *key, const struct mw__fault_at *at, bool is_new)
{
	struct mw__fault_row *row = find_row(rows, key);

	if (!row)
		return -MW_E_NOMEM;
	if (!row->faults++)
		row->first = at->index;
	row->majors += at->fault->is_major;
	row->pages += is_new;
	return 0;
}

static int compare_rows(const void *a, const void *b)
{
	const struct mw__fault_row *x = a, *y = b;

	if (x->faults != y->faults)
		return x->faults > y->faults ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static int compare_first(const void *a, const void *b)
{
	const struct mw__fault_row *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static void end_rows(struct mw__fault_rows *rows, int (*compare)(const void *, const void *))
{
	if (rows->v.n)
		qsort(rows->v.v, rows->v.n, sizeof(*rows->v.v), compare);
	free(rows->slots);
	rows->slots = NULL;
}

/* ------------------------------------------------------------------- places */

/* The extent that holds addr, or NULL; and [*lo, *hi) narrowed to it, or to the gap between two. */
static const struct mw__extent_name *find_extent(const struct mw__fault_report *r, uint64_t addr, uint64_t *lo, uint64_t *hi)
{
	size_t from = 0, to = r->extents.n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		const struct mw__extent_name *x = &r->extents.v[mid];

		if (addr < x->start) {
			to = mid;
			*hi = mw__min(*hi, x->start);
		} else if (addr >= x->end) {
			from = mid + 1;
			*lo = mw__max(*lo, x->end);
		} else {
			*lo = mw__max(*lo, x->start);
			*hi = mw__min(*hi, x->end);
			return x;
		}
	}
	return NULL;
}

/* faults of one function come in streams */
static const struct mw__fault_symbol *find_symbol(struct mw__fault_report *r, const struct mw__object_file *o, uint64_t addr)
{
	if (o == r->hit_object && r->hit_symbol && addr - r->hit_symbol->addr < r->hit_symbol->size)
		return r->hit_symbol;
	r->hit_object = o;
	r->hit_symbol = mw__object_symbol(o, addr);
	return r->hit_symbol;
}

static bool is_head(const struct mw__image *img, uint64_t at)
{
	return !img->n_sections || at < img->sections[0].addr;
}

static void place_in_object(struct mw__fault_report *r, const struct mw__range *range, uint64_t addr,
			    struct mw__fault_place *ret)
{
	uint64_t at = addr - range->bias;
	const struct mw__section *sec = mw__object_section(range->object, at);
	const struct mw__fault_symbol *sym = find_symbol(r, range->object, at);

	ret->object = range->object->path;
	ret->section = sec ? sec->name : is_head(&range->object->image, at) ? "(ELF headers)" : "(between sections)";
	ret->symbol = sym ? sym->name : "";
	ret->offset = sym ? at - sym->addr : at;
	if (!sec || (!sym && range->object->n_symbols))
		return;
	uint64_t start = sym ? mw__max(sym->addr, sec->addr) : sec->addr;
	uint64_t end = sym ? mw__min(sym->addr + sym->size, sec->addr + sec->size) : sec->addr + sec->size;

	ret->start = mw__max(range->start, range->bias + start);
	ret->end = mw__min(range->end, range->bias + end);
}

void mw__fault_place(struct mw__fault_report *r, const struct mw__fault_at *at, uint64_t addr, struct mw__fault_place *ret)
{
	const struct mw__range *range = at->space ? mw__space_at(at->space, addr) : NULL;

	*ret = (struct mw__fault_place){ .section = "", .symbol = "" };
	if (range && range->object) {
		place_in_object(r, range, addr, ret);
		return;
	}
	if (range) {
		ret->start = range->start;
		ret->end = range->end;
	}
	const struct mw__extent_name *x = at->is_last_program ? find_extent(r, addr, &ret->start, &ret->end) : NULL;

	ret->offset = addr - (range ? range->start : x ? x->start : addr);
	if (range && range->is_file)
		ret->object = range->name;
	else if (x && x->is_anonymous)
		ret->object = x->what;
	else if (range && range->name[0] == '[')
		ret->object = range->name;
	else if (range)
		ret->object = at->is_last_program ? "anonymous memory, unmapped since" : "anonymous memory";
	else	/* the kernel records no mapping when it makes the main stack, and none when mremap(2) moves one */
		ret->object = at->is_last_program && r->rec->after ? "no mapping recorded (mremap), unmapped since" :
								     "no mapping recorded (main stack, or mremap)";
}

#define IS_KERNEL(addr) ((addr) >> 63)

void mw__fault_caller(struct mw__fault_report *r, const struct mw__fault_at *at, uint64_t ip, struct mw__fault_place *ret)
{
	if (IS_KERNEL(ip)) {
		*ret = (struct mw__fault_place){ .object = "kernel", .section = "", .symbol = "" };
		return;
	}
	mw__fault_place(r, at, ip, ret);
	if (!*ret->symbol)
		ret->symbol = ret->section;
}

/* -------------------------------------------------------------- going through */

/* The generation of the recorded process's last program. */
static uint32_t last_generation(const struct mw_recording *rec)
{
	uint32_t n = 0;

	for (size_t i = 0; i < rec->moves.n; i++)
		n += rec->moves.v[i].kind == MW__MOVE_EXEC && rec->moves.v[i].pid == rec->pid;
	return n;
}

static unsigned phase_of(const struct mw_recording *rec, const struct mw__fault *f, size_t *mark, unsigned now)
{
	while (*mark < rec->marks.n && rec->marks.v[*mark].time_ns <= f->time_ns)
		now = rec->marks.v[(*mark)++].phase;
	return now;
}

int mw__faults_each(struct mw__fault_report *r, int (*fn)(void *ctx, const struct mw__fault_at *at), void *ctx)
{
	const struct mw_recording *rec = r->rec;
	uint32_t last = last_generation(rec);
	unsigned phase = rec->is_attached ? MW__PHASE_ATTACHED : MW__PHASE_EXEC;
	size_t mark = 0;
	int rc = 0;

	mw__spaces_deinit(&r->spaces);
	mw__spaces_init(&r->spaces, rec);
	for (size_t i = 0; i < rec->faults.n && rc == 0; i++) {
		const struct mw__fault *f = &rec->faults.v[i];
		struct mw__fault_at at = { .fault = f, .index = (uint32_t)i, .phase = MW__N_PHASES };

		rc = mw__spaces_play(&r->spaces, f->time_ns);
		if (rc < 0)
			return rc;
		phase = phase_of(rec, f, &mark, phase);
		at.space = mw__spaces_find(&r->spaces, f->pid);
		if (f->pid == rec->pid) {
			at.phase = phase;
			at.is_last_program = !last || (at.space && at.space->generation == last);
		}
		rc = fn(ctx, &at);
	}
	return rc;
}

#define N_TABLES 6

/* Faults one after the other by one instruction of one thread into one place: they have their rows in common. */
struct streak {
	const struct mw__fault *last;
	const struct mw__space *space;
	size_t moves;			/* played when it began */
	unsigned phase;
	uint64_t start, end;		/* the place */
	uint64_t faults, majors, pages;	/* not in the rows yet */
	uint32_t rows[N_TABLES];	/* in the order of table(); MW__NONE: none */
};

/* What became of what was mapped at these addresses at the time of a fault. */
struct fate {
	const struct mw__space *space;
	size_t moves;			/* played */
	uint64_t start, end;
	bool is_replaced;
};

struct counting {
	struct streak streak;
	struct mw__fault_report *r;
	struct mw__spaces final;	/* as it is when the pages are looked at last */
	struct fate fate;		/* of the last fault */
	struct mw__faulted faulted;	/* pages of the last program are in space 0 */
	uint64_t program_ns;		/* when the last program began to run */
};

/*
 * Memory where a file was, or a file where memory was: the page is another one than that which faulted. Of a mapping
 * that is made over its like this cannot be told, for a change of its rights is recorded in the same way.
 */
static bool is_replaced(struct counting *c, const struct mw__fault_at *at)
{
	struct mw__space *final = at->is_last_program && at->space ? mw__spaces_find(&c->final, c->r->rec->pid) : NULL;
	uint64_t addr = at->fault->addr;
	struct fate *f = &c->fate;

	if (!final || (f->space == at->space && f->moves == c->r->spaces.next && addr >= f->start && addr < f->end))
		return final && f->is_replaced;
	const struct mw__range *then = mw__space_at(at->space, addr), *now = then ? mw__space_at(final, addr) : NULL;

	if (!now)
		return false;
	*f = (struct fate){ at->space, c->r->spaces.next, mw__max(then->start, now->start), mw__min(then->end, now->end),
			    then->id != now->id && then->is_file != now->is_file };
	return f->is_replaced;
}

/* Is it the first fault on its page, in its address space? */
static int is_first(struct counting *c, const struct mw__fault_at *at, bool is_last)
{
	uint64_t generation = at->space ? at->space->generation : 0;

	return mw__faulted_add(&c->faulted, is_last ? 0 : (at->fault->pid * UINT64_C(31) + generation) % 0xfffffff + 1,
			       at->fault->addr);
}

static enum mw__outcome outcome_of(const struct mw__fault_report *r, const struct mw__fault_at *at, bool first, bool replaced)
{
	const struct mw_recording *rec = r->rec;

	if (at->phase == MW__N_PHASES)
		return MW__OUTCOME_OTHER;
	if (!at->is_last_program)
		return MW__OUTCOME_EARLIER;
	if (!rec->after || rec->after->target.pages == MW_PAGES_AUTO)
		return MW__OUTCOME_UNKNOWN;
	if (at->fault->time_ns > rec->after_ns)
		return MW__OUTCOME_LATER;
	if (!first)
		return MW__OUTCOME_AGAIN;
	if (replaced)
		return MW__OUTCOME_GONE;
	if (rec->before && mw__page_state(rec->before, at->fault->addr) & MW__PRESENT)
		return MW__OUTCOME_BEFORE;
	uint32_t state = mw__page_state(rec->after, at->fault->addr);

	return state & MW__GUARDED ? MW__OUTCOME_GONE : state & MW__ZERO ? MW__OUTCOME_ZERO :
	       state & MW__PRESENT ? MW__OUTCOME_RESIDENT : state & MW__SWAPPED ? MW__OUTCOME_SWAPPED : MW__OUTCOME_GONE;
}

static int count_mapping(struct mw__fault_report *r, const struct mw__fault_at *at, const struct mw__fault_place *p, bool first)
{
	const struct mw__range *range = at->space ? mw__space_at(at->space, at->fault->addr) : NULL;
	struct mw__fault_row key = { .object = p->object, .key = range ? range->id + 1 : 0 };

	key.key |= (uint64_t)at->fault->pid << 32;
	int rc = count(&r->mappings, &key, at, first);

	if (rc == 0 && range) {
		r->mappings.v.v[r->mappings.last].start = range->start;
		r->mappings.v.v[r->mappings.last].end = range->end;
	}
	return rc;
}

static struct mw__fault_rows *table(struct mw__fault_report *r, unsigned i)
{
	struct mw__fault_rows *const tables[N_TABLES] = { &r->sections, &r->symbols, &r->callers, &r->commands, &r->threads,
							  &r->mappings };

	return tables[i];
}

static bool continues(const struct counting *c, const struct mw__fault_at *at)
{
	const struct streak *s = &c->streak;
	const struct mw__fault *f = at->fault;

	return s->last && f->ip == s->last->ip && f->tid == s->last->tid && f->addr >= s->start && f->addr < s->end &&
	       at->phase == s->phase && at->space == s->space && c->r->spaces.next == s->moves;
}

/* Put what the streak counted into its rows. */
static void end_streak(struct counting *c)
{
	struct streak *s = &c->streak;

	for (unsigned i = 0; i < N_TABLES && s->faults; i++) {
		struct mw__fault_row *row = s->rows[i] != MW__NONE ? &table(c->r, i)->v.v[s->rows[i]] : NULL;

		if (!row)
			continue;
		row->faults += s->faults;
		row->majors += s->majors;
		row->pages += s->pages;
	}
	s->faults = s->majors = s->pages = 0;
	s->last = NULL;
}

/* The rows of this fault, which were found last, will serve those that follow. */
static void begin_streak(struct counting *c, const struct mw__fault_at *at, const struct mw__fault_place *p)
{
	struct streak *s = &c->streak;

	*s = (struct streak){ .last = at->fault, .space = at->space, .moves = c->r->spaces.next, .phase = at->phase,
			      .start = p->start, .end = p->end };
	for (unsigned i = 0; i < N_TABLES; i++)
		s->rows[i] = table(c->r, i)->last;
	if (!*p->symbol)
		s->rows[1] = MW__NONE;
}

static void count_phase(struct counting *c, const struct mw__fault_at *at, bool first)
{
	struct mw__fault_phase *p = &c->r->phases[at->phase];

	p->faults++;
	p->majors += at->fault->is_major;
	p->pages += first;
	if (at->phase == MW__N_PHASES && p->start_ns == MW_UNKNOWN)
		p->start_ns = at->fault->time_ns;
}

static int count_fault(void *ctx, const struct mw__fault_at *at)
{
	struct counting *c = ctx;
	struct mw__fault_report *r = c->r;
	struct mw__fault_place p, from;
	bool replaced = is_replaced(c, at);
	int first = is_first(c, at, at->is_last_program && !replaced);

	if (first < 0)
		return first;
	r->majors += at->fault->is_major;
	r->pages += (uint64_t)first;
	r->kernel += IS_KERNEL(at->fault->ip);
	r->faults_in_program += at->is_last_program && at->fault->time_ns >= c->program_ns &&
				(!r->rec->after || at->fault->time_ns <= r->rec->after_ns);
	count_phase(c, at, first);
	r->outcomes[outcome_of(r, at, first, replaced)]++;
	if (continues(c, at)) {
		c->streak.faults++;
		c->streak.majors += at->fault->is_major;
		c->streak.pages += (uint64_t)first;
		return 0;
	}
	end_streak(c);
	mw__fault_place(r, at, at->fault->addr, &p);
	mw__fault_caller(r, at, at->fault->ip, &from);
	struct mw__fault_row section = { .object = p.object, .section = p.section };
	struct mw__fault_row symbol = { .object = p.object, .section = p.section, .name = *p.symbol ? p.symbol : NULL };
	struct mw__fault_row caller = { .object = from.object, .name = from.symbol };
	struct mw__fault_row command = { .name = at->space ? at->space->command : NULL };
	struct mw__fault_row thread = { .key = at->fault->tid };
	int rc = count(&r->sections, &section, at, first);

	if (rc == 0 && symbol.name)
		rc = count(&r->symbols, &symbol, at, first);
	if (rc == 0)
		rc = count(&r->callers, &caller, at, first);
	if (rc == 0)
		rc = count(&r->commands, &command, at, first);
	if (rc == 0)
		rc = count(&r->threads, &thread, at, first);
	if (rc == 0)
		rc = count_mapping(r, at, &p, first);
	if (rc == 0)
		begin_streak(c, at, &p);
	return rc;
}

/* ------------------------------------------------------------------- making */

const char *mw__fault_phase_name(const struct mw__fault_report *r, unsigned phase)
{
	bool has_main = r->phases[MW__PHASE_MAIN].start_ns != MW_UNKNOWN, has_init = r->phases[MW__PHASE_INIT].start_ns != MW_UNKNOWN;

	if (phase >= MW__N_PHASES)
		return MW__FAULTS_ELSEWHERE;
	if (phase == MW__PHASE_LDSO && !has_init)
		return has_main ? "ld.so and constructors" : "ld.so, constructors and main";
	return phase == MW__PHASE_INIT && !has_main ? "constructors and main" : mw__phases[phase];
}

static void measure_phases(struct mw__fault_report *r, uint64_t *program_ns)
{
	const struct mw_recording *rec = r->rec;

	for (size_t i = 0; i <= MW__N_PHASES; i++)
		r->phases[i].start_ns = MW_UNKNOWN;
	for (size_t i = 0; i < rec->marks.n; i++) {
		const struct mw__mark *m = &rec->marks.v[i];
		struct mw__fault_phase *p = &r->phases[m->phase];
		uint64_t end = i + 1 < rec->marks.n ? m[1].time_ns : rec->took_ns;

		if (p->start_ns == MW_UNKNOWN)
			p->start_ns = m->time_ns;
		p->ns += mw__sub0(end, m->time_ns);
		p->rule = m->rule;
		p->certainty = m->certainty;
		if (m->phase == MW__PHASE_LDSO || (m->phase == MW__PHASE_INIT && i && m[-1].phase == MW__PHASE_EXEC))
			*program_ns = m->time_ns;
	}
	/* the stops behind all execves together */
	r->phases[MW__PHASE_EXEC].ns = mw__sub0(r->phases[MW__PHASE_EXEC].ns, rec->paused_ns);
}

static int name_extents(struct mw__fault_report *r)
{
	struct mw__extents it;
	struct mw__extent x;

	if (!r->rec->after)
		return 0;
	if (mw__extents_init(&it, r->rec->after) < 0)
		return -MW_E_NOMEM;
	while (mw__extents_next(&it, &x)) {
		struct mw__extent_name *n = MW_VEC_PUSH(&r->extents);

		if (!n) {
			mw__extents_deinit(&it);
			return -MW_E_NOMEM;
		}
		*n = (struct mw__extent_name){ x.start, x.end, mw__owners[x.owner].what,
					       x.vma->kind == MW__ANON || x.vma->kind == MW__SPECIAL };
	}
	mw__extents_deinit(&it);
	return 0;
}

static uint32_t count_processes(const struct mw_recording *rec)
{
	uint32_t n = 1;

	for (size_t i = 0; i < rec->moves.n; i++)
		n += rec->moves.v[i].kind == MW__MOVE_FORK && rec->moves.v[i].pid != rec->moves.v[i].parent;
	return n;
}

/* What their processes were called last. */
static void name_threads(struct mw__fault_report *r)
{
	for (size_t i = 0; i < r->threads.v.n; i++) {
		struct mw__fault_row *row = &r->threads.v.v[i];
		const struct mw__space *space = mw__spaces_find(&r->spaces, r->rec->faults.v[row->first].pid);

		row->name = space ? space->command : NULL;
	}
}

int mw__fault_report_make(const struct mw_recording *rec, struct mw__fault_report *ret)
{
	struct counting c = { .r = ret };

	memset(ret, 0, sizeof(*ret));
	ret->rec = rec;
	mw__arena_init(&ret->arena);
	measure_phases(ret, &c.program_ns);
	ret->n_processes = count_processes(rec);
	int rc = name_extents(ret);

	mw__spaces_init(&c.final, rec);
	if (rc == 0)
		rc = mw__spaces_play(&c.final, rec->after ? rec->after_ns : 0);
	if (rc == 0)
		rc = mw__faults_each(ret, count_fault, &c);
	mw__spaces_deinit(&c.final);
	end_streak(&c);
	if (rc == 0)
		rc = mw__reconcile(ret, &c.faulted);
	ret->n_threads = (uint32_t)ret->threads.v.n;
	name_threads(ret);
	end_rows(&ret->sections, compare_rows);
	end_rows(&ret->symbols, compare_rows);
	end_rows(&ret->callers, compare_rows);
	end_rows(&ret->commands, compare_rows);
	end_rows(&ret->threads, compare_rows);
	end_rows(&ret->mappings, compare_first);
	mw__faulted_deinit(&c.faulted);
	if (rc < 0)
		mw__fault_report_deinit(ret);
	return rc;
}

void mw__fault_report_deinit(struct mw__fault_report *r)
{
	MW_VEC_FREE(&r->sections.v);
	MW_VEC_FREE(&r->symbols.v);
	MW_VEC_FREE(&r->callers.v);
	MW_VEC_FREE(&r->mappings.v);
	MW_VEC_FREE(&r->commands.v);
	MW_VEC_FREE(&r->threads.v);
	MW_VEC_FREE(&r->extents);
	mw__spaces_deinit(&r->spaces);
	mw__arena_deinit(&r->arena);
}
