/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An ELF file is found by its mappings: the dynamic linker and the kernel map the whole span of a file
 * first, from the page of its first segment, and that gives the bias. Later mappings inside the span
 * belong to it, anonymous ones (.bss) too.
 */
#include "space.h"

#include "../base/search.h"
#include "../base/size.h"

#include <elf.h>
#include <string.h>

#define PAGE 4096u

void mw__spaces_init(struct mw__spaces *s, const struct mw_recording *rec)
{
	memset(s, 0, sizeof(*s));
	s->rec = rec;
}

static void destroy_space(struct mw__space *space)
{
	MW_VEC_FREE(&space->ranges);
	MW_VEC_FREE(&space->loaded);
	free(space);
}

void mw__spaces_deinit(struct mw__spaces *s)
{
	for (size_t i = 0; i < s->list.n; i++)
		destroy_space(s->list.v[i]);
	MW_VEC_FREE(&s->list);
}

struct mw__space *mw__spaces_find(struct mw__spaces *s, uint32_t pid)
{
	if (s->hit && s->hit->pid == pid)
		return s->hit;
	for (size_t i = s->list.n; i-- > 0;)
		if (s->list.v[i]->pid == pid)
			return s->hit = s->list.v[i];
	return NULL;
}

static struct mw__space *find_or_create(struct mw__spaces *s, uint32_t pid)
{
	struct mw__space *space = mw__spaces_find(s, pid);

	if (space)
		return space;
	struct mw__space **slot = MW_VEC_PUSH(&s->list);

	if (!slot)
		return NULL;
	space = calloc(1, sizeof(*space));
	if (!space) {
		s->list.n--;
		return NULL;
	}
	space->pid = pid;
	*slot = space;
	return s->hit = space;
}

/* Index of the first range that ends behind addr. */
static size_t lower_bound(const struct mw__space *space, uint64_t addr)
{
	return MW_FIRST(i, space->ranges.n, space->ranges.v[i].end > addr);
}

const struct mw__range *mw__space_at(struct mw__space *space, uint64_t addr)
{
	if (space->hit < space->ranges.n) {
		const struct mw__range *r = &space->ranges.v[space->hit];

		if (addr >= r->start && addr < r->end)
			return r;
	}
	size_t i = lower_bound(space, addr);

	if (i == space->ranges.n || space->ranges.v[i].start > addr)
		return NULL;
	space->hit = i;
	return &space->ranges.v[i];
}

/* ---------------------------------------------------------------- changing */

static bool open_gap(struct mw__space *space, size_t at)
{
	if (!MW_VEC_PUSH(&space->ranges))
		return false;
	memmove(&space->ranges.v[at + 1], &space->ranges.v[at], (space->ranges.n - 1 - at) * sizeof(*space->ranges.v));
	return true;
}

/* Take [start, end) out; what reaches over it on one side or both stays. Yields where it was. */
static bool clear_range(struct mw__space *space, uint64_t start, uint64_t end, size_t *at)
{
	size_t i = lower_bound(space, start), k;

	if (i < space->ranges.n && space->ranges.v[i].start < start && space->ranges.v[i].end > end) {
		if (!open_gap(space, i))
			return false;
		space->ranges.v[i] = space->ranges.v[i + 1];
		space->ranges.v[i].end = start;
		space->ranges.v[i + 1].start = end;
		*at = i + 1;
		return true;
	}
	if (i < space->ranges.n && space->ranges.v[i].start < start)
		space->ranges.v[i++].end = start;
	for (k = i; k < space->ranges.n && space->ranges.v[k].end <= end; k++)
		;
	if (k < space->ranges.n && space->ranges.v[k].start < end)
		space->ranges.v[k].start = end;
	if (k > i)
		memmove(&space->ranges.v[i], &space->ranges.v[k], (space->ranges.n - k) * sizeof(*space->ranges.v));
	space->ranges.n -= k - i;
	*at = i;
	return true;
}

static const struct mw__segment *first_segment(const struct mw__image *img)
{
	for (uint32_t i = 0; i < img->n_segments; i++)
		if (img->segments[i].type == PT_LOAD)
			return &img->segments[i];
	return NULL;
}

static uint64_t last_address(const struct mw__image *img)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < img->n_segments; i++)
		if (img->segments[i].type == PT_LOAD)
			last = mw__max(last, img->segments[i].vaddr + img->segments[i].memsz);
	return mw__align_up(last, PAGE);
}

/* Does an anonymous mapping from here on belong to memory that a segment has beyond its file part? */
static bool is_bss(const struct mw__loaded *l, uint64_t start)
{
	const struct mw__image *img = &l->object->image;

	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];

		if (s->type == PT_LOAD && s->memsz > s->filesz && start - l->bias >= s->vaddr + (s->filesz ? 1 : 0) &&
		    start - l->bias >= mw__align_down(s->vaddr + s->filesz, PAGE) && start - l->bias < s->vaddr + s->memsz)
			return true;
	}
	return false;
}

/* An instance that the mapping can be part of: at the place where one of its segments belongs. */
static const struct mw__loaded *find_loaded(const struct mw__space *space, const struct mw__object_file *object,
					    const struct mw__move *m)
{
	for (size_t i = space->loaded.n; i-- > 0;) {
		const struct mw__loaded *l = &space->loaded.v[i];

		if (m->start < l->start || m->start >= l->end || (object && l->object != object))
			continue;
		if (!object && is_bss(l, m->start))
			return l;
		for (uint32_t k = 0; object && k < object->image.n_segments; k++) {
			const struct mw__segment *s = &object->image.segments[k];

			if (s->type == PT_LOAD && m->start - m->off + s->off - s->vaddr == l->bias)
				return l;
		}
	}
	return NULL;
}

/* The instance behind a mapping, made new when the mapping starts one; NULL when it is not ELF's. */
static const struct mw__loaded *load(struct mw__space *space, const struct mw__object_file *object,
				     const struct mw__move *m, bool *failed)
{
	const struct mw__loaded *known = find_loaded(space, object, m);
	const struct mw__segment *first = object ? first_segment(&object->image) : NULL;

	if (known || !first || m->off != mw__align_down(first->off, PAGE))
		return known;
	struct mw__loaded *l = MW_VEC_PUSH(&space->loaded);

	if (!l) {
		*failed = true;
		return NULL;
	}
	l->object = object;
	l->bias = m->start - mw__align_down(first->vaddr, PAGE);
	l->start = m->start;
	l->end = l->bias + last_address(&object->image);
	return l;
}

static bool is_anonymous(const char *name)
{
	return !strcmp(name, "//anon") || !*name;
}

static int map(struct mw__spaces *s, const struct mw__move *m)
{
	struct mw__space *space = find_or_create(s, m->pid);
	const struct mw__object_file *object = m->object != MW__NONE ? &s->rec->objects.v[m->object] : NULL;
	bool failed = false;
	size_t at;

	if (!space || !clear_range(space, m->start, m->end, &at))
		return -MW_E_NOMEM;
	struct mw__range r = { .start = m->start, .end = m->end, .name = m->name, .id = s->n_ids++,
			       .prot = m->prot, .is_file = *m->name == '/' && m->name[1] != '/' };

	if (object || is_anonymous(m->name)) {
		const struct mw__loaded *l = load(space, object, m, &failed);

		r.object = l ? l->object : NULL;
		r.bias = l ? l->bias : 0;
	}
	if (failed || !open_gap(space, at))
		return -MW_E_NOMEM;
	space->ranges.v[at] = r;
	return 0;
}

static int copy_space(struct mw__spaces *s, uint32_t pid, uint32_t parent)
{
	struct mw__space *from = mw__spaces_find(s, parent), *to;

	if (!from || pid == parent)
		return 0;
	to = find_or_create(s, pid);
	if (!to)
		return -MW_E_NOMEM;
	to->ranges.n = to->loaded.n = 0;
	to->command = from->command;
	for (size_t i = 0; i < from->ranges.n; i++) {
		struct mw__range *r = MW_VEC_PUSH(&to->ranges);

		if (!r)
			return -MW_E_NOMEM;
		*r = from->ranges.v[i];
	}
	for (size_t i = 0; i < from->loaded.n; i++) {
		struct mw__loaded *l = MW_VEC_PUSH(&to->loaded);

		if (!l)
			return -MW_E_NOMEM;
		*l = from->loaded.v[i];
	}
	return 0;
}

static int forget(struct mw__spaces *s, const struct mw__move *m)
{
	struct mw__space *space = find_or_create(s, m->pid);

	if (!space)
		return -MW_E_NOMEM;
	space->ranges.n = space->loaded.n = 0;
	space->generation++;
	space->command = m->name;
	return 0;
}

/* The name of its first thread is that of the process. */
static int name(struct mw__spaces *s, const struct mw__move *m)
{
	struct mw__space *space = m->tid == m->pid ? find_or_create(s, m->pid) : NULL;

	if (space)
		space->command = m->name;
	return space || m->tid != m->pid ? 0 : -MW_E_NOMEM;
}

static int play(struct mw__spaces *s, const struct mw__move *m)
{
	switch ((enum mw__move_kind)m->kind) {
	case MW__MOVE_MAP:
		return map(s, m);
	case MW__MOVE_FORK:
		return copy_space(s, m->pid, m->parent);
	case MW__MOVE_EXEC:
		return forget(s, m);
	case MW__MOVE_NAME:
		return name(s, m);
	case MW__MOVE_EXIT:
	case MW__N_MOVES:
		break;
	}
	return 0;
}

int mw__spaces_play(struct mw__spaces *s, uint64_t time_ns)
{
	while (s->next < s->rec->moves.n && s->rec->moves.v[s->next].time_ns <= time_ns) {
		int rc = play(s, &s->rec->moves.v[s->next]);

		if (rc < 0)
			return rc;
		s->next++;
	}
	return 0;
}
