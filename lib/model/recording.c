/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "recording.h"

#include "../base/err.h"
#include "../base/search.h"

#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const mw__phases[] = {
	[MW__PHASE_EXEC] = "kernel's exec", [MW__PHASE_LDSO] = "ld.so", [MW__PHASE_INIT] = "constructors",
	[MW__PHASE_MAIN] = "main", [MW__PHASE_ATTACHED] = "attached", [MW__N_PHASES] = NULL,
};

void mw__recording_init(struct mw_recording *rec)
{
	memset(rec, 0, sizeof(*rec));
	mw__arena_init(&rec->arena);
	rec->task_faults = rec->exit_status = MW_UNKNOWN;
}

void mw__recording_deinit(struct mw_recording *rec)
{
	MW_VEC_FREE(&rec->faults);
	MW_VEC_FREE(&rec->chains);
	MW_VEC_FREE(&rec->moves);
	MW_VEC_FREE(&rec->marks);
	MW_VEC_FREE(&rec->objects);
	MW_VEC_FREE(&rec->notes);
	mw_snapshot_destroy(rec->before);
	mw_snapshot_destroy(rec->after);
	mw__arena_deinit(&rec->arena);
}

void mw_recording_destroy(struct mw_recording *rec)
{
	if (!rec)
		return;
	mw__recording_deinit(rec);
	free(rec);
}

void mw_recording_summary(const struct mw_recording *rec, struct mw_recording_summary *ret)
{
	struct mw_recording_summary s = {
		.size = ret->size, .pid = (pid_t)rec->pid, .samples = rec->samples, .lost = rec->lost, .counter = rec->counter,
		.wait_status = rec->exit_status == MW_UNKNOWN ? -1 : (int)rec->exit_status,
	};

	memcpy(ret, &s, ret->size < sizeof(s) ? ret->size : sizeof(s));
}

static int compare_faults(const void *a, const void *b)
{
	const struct mw__fault *x = a, *y = b;

	return x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

static int compare_moves(const void *a, const void *b)
{
	const struct mw__move *x = a, *y = b;

	return x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

static int compare_marks(const void *a, const void *b)
{
	const struct mw__mark *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return (int)x->phase - (int)y->phase;
}

/* Recordings come in order nearly always: a sorted array is left alone. */
static void sort(void *v, size_t n, size_t size, int (*compare)(const void *, const void *))
{
	for (size_t i = 1; i < n; i++)
		if (compare((char *)v + (i - 1) * size, (char *)v + i * size) > 0) {
			qsort(v, n, size, compare);	/* glibc's merges: equal ones keep their order */
			return;
		}
}

static int check_faults(const struct mw_recording *rec, struct mw_err *err)
{
	if (rec->samples < rec->faults.n)
		return mw__fail(err, MW_E_FORMAT, 0, "recording: more faults than samples");
	for (size_t i = 0; i < rec->faults.n; i++) {
		const struct mw__fault *f = &rec->faults.v[i];

		if (f->n_chain && (f->chain >= rec->chains.n || rec->chains.n - f->chain < f->n_chain))
			return mw__fail(err, MW_E_FORMAT, 0, "recording: fault %zu: its callers are not there", i);
	}
	return 0;
}

static int check_moves(struct mw_recording *rec, struct mw_err *err)
{
	for (size_t i = 0; i < rec->moves.n; i++) {
		struct mw__move *m = &rec->moves.v[i];

		if (m->kind >= MW__N_MOVES || (m->object != MW__NONE && m->object >= rec->objects.n))
			return mw__fail(err, MW_E_FORMAT, 0, "recording: change %zu: of an unknown kind or file", i);
		if (m->kind == MW__MOVE_MAP && m->start >= m->end)
			return mw__fail(err, MW_E_FORMAT, 0, "recording: change %zu: an empty mapping", i);
		if (!m->name)
			m->name = "";
	}
	for (size_t i = 0; i < rec->marks.n; i++)
		if (rec->marks.v[i].phase >= MW__N_PHASES || rec->marks.v[i].certainty > MW__PROVEN)
			return mw__fail(err, MW_E_FORMAT, 0, "recording: mark %zu: of an unknown phase", i);
	return 0;
}

static int check_objects(const struct mw_recording *rec, struct mw_err *err)
{
	for (size_t i = 0; i < rec->objects.n; i++) {
		const struct mw__object_file *o = &rec->objects.v[i];

		if (!o->path)
			return mw__fail(err, MW_E_FORMAT, 0, "recording: file %zu: no path", i);
		for (uint32_t k = 1; k < o->n_symbols; k++)
			if (o->symbols[k - 1].addr >= o->symbols[k].addr)
				return mw__fail(err, MW_E_FORMAT, 0, "recording: file %zu: its symbols are not in order", i);
	}
	return 0;
}

int mw__recording_freeze(struct mw_recording *rec, struct mw_err *err)
{
	int rc = check_faults(rec, err);

	if (rc == 0)
		rc = check_moves(rec, err);
	if (rc == 0)
		rc = check_objects(rec, err);
	if (rc < 0)
		return rc;
	sort(rec->faults.v, rec->faults.n, sizeof(*rec->faults.v), compare_faults);
	sort(rec->moves.v, rec->moves.n, sizeof(*rec->moves.v), compare_moves);
	sort(rec->marks.v, rec->marks.n, sizeof(*rec->marks.v), compare_marks);
	return 0;
}

void mw__recording_note(struct mw_recording *rec, const char *source, const char *remedy, const char *fmt, ...)
{
	char reason[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	struct mw__recording_note n = {
		mw__arena_str(&rec->arena, source), mw__arena_str(&rec->arena, reason),
		remedy ? mw__arena_str(&rec->arena, remedy) : NULL,
	};
	struct mw__recording_note *slot = n.source && n.reason ? MW_VEC_PUSH(&rec->notes) : NULL;

	if (slot)
		*slot = n;
}

const struct mw__fault_symbol *mw__object_symbol(const struct mw__object_file *object, uint64_t addr)
{
	size_t lo = MW_FIRST(i, object->n_symbols, object->symbols[i].addr > addr);
	const struct mw__fault_symbol *s = lo ? &object->symbols[lo - 1] : NULL;

	return s && addr - s->addr < s->size ? s : NULL;
}

/* Thread-local sections without bytes in the file (.tbss) take no addresses: what follows overlaps them. */
static bool takes_addresses(const struct mw__section *s)
{
	return !(s->flags & SHF_TLS && s->type == SHT_NOBITS);
}

const struct mw__section *mw__object_section(const struct mw__object_file *object, uint64_t addr)
{
	const struct mw__section *v = object->image.sections;
	size_t lo = MW_FIRST(i, object->image.n_sections, v[i].addr > addr);

	for (; lo && addr - v[lo - 1].addr < (UINT64_C(1) << 40); lo--)
		if (takes_addresses(&v[lo - 1]) && v[lo - 1].size)
			return addr - v[lo - 1].addr < v[lo - 1].size ? &v[lo - 1] : NULL;
	return NULL;
}
