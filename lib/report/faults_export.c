/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recordings for other tools.
 *   trace events   Chrome's JSON ("Trace Event Format", object form): "X" spans for the phases, an "i"
 *                  instant a fault on its thread, "M" names; times are in microseconds
 *   folded stacks  "process;phase;caller...;what was touched COUNT", for flame graphs. With recorded callers
 *                  outermost first, otherwise the function of the instruction alone
 */
#include "fold.h"
#include "../explain/faults.h"

#include "../base/err.h"
#include "../base/jsonw.h"
#include "../base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------- trace events */

struct tracer {
	struct mw__fault_report *report;
	struct mw__jsonw w;
};

static void number(struct mw__jsonw *w, const char *key, double v)
{
	mw__jsonw_key(w, key);
	mw__jsonw_double(w, v);
}

static void text(struct mw__jsonw *w, const char *key, const char *v)
{
	mw__jsonw_key(w, key);
	mw__jsonw_text(w, v);
}

static void begin_event(struct mw__jsonw *w, const char *kind, const char *name, uint64_t ns, uint32_t pid, uint32_t tid)
{
	mw__jsonw_begin(w, '{');
	text(w, "ph", kind);
	text(w, "name", name);
	number(w, "ts", (double)ns / 1000);
	mw__jsonw_key(w, "pid");
	mw__jsonw_u64(w, pid);
	mw__jsonw_key(w, "tid");
	mw__jsonw_u64(w, tid);
}

static void trace_phases(struct tracer *t)
{
	const struct mw_recording *rec = t->report->rec;

	for (size_t i = 0; i < rec->marks.n; i++) {
		const struct mw__mark *m = &rec->marks.v[i];
		uint64_t end = i + 1 < rec->marks.n ? m[1].time_ns : rec->took_ns;

		begin_event(&t->w, "X", mw__fault_phase_name(t->report, m->phase), m->time_ns, rec->pid, rec->pid);
		number(&t->w, "dur", end > m->time_ns ? (double)(end - m->time_ns) / 1000 : 0);
		text(&t->w, "cat", "phase");
		mw__jsonw_end(&t->w, '}');
	}
}

static void trace_names(struct tracer *t)
{
	const struct mw_recording *rec = t->report->rec;

	for (size_t i = 0; i < rec->moves.n; i++) {
		const struct mw__move *m = &rec->moves.v[i];

		if (m->kind != MW__MOVE_EXEC && m->kind != MW__MOVE_NAME)
			continue;
		begin_event(&t->w, "M", m->kind == MW__MOVE_EXEC ? "process_name" : "thread_name", m->time_ns, m->pid, m->tid);
		mw__jsonw_key(&t->w, "args");
		mw__jsonw_begin(&t->w, '{');
		text(&t->w, "name", m->name);
		mw__jsonw_end(&t->w, '}');
		mw__jsonw_end(&t->w, '}');
	}
}

static int trace_fault(void *ctx, const struct mw__fault_at *at)
{
	struct tracer *t = ctx;
	struct mw__fault_place p, from;

	mw__fault_place(t->report, at, at->fault->addr, &p);
	mw__fault_caller(t->report, at, at->fault->ip, &from);
	begin_event(&t->w, "i", *p.symbol ? p.symbol : *p.section ? p.section : p.object, at->fault->time_ns, at->fault->pid,
		    at->fault->tid);
	text(&t->w, "s", "t");
	text(&t->w, "cat", at->fault->is_major ? "major" : "minor");
	mw__jsonw_key(&t->w, "args");
	mw__jsonw_begin(&t->w, '{');
	mw__jsonw_key(&t->w, "address");
	mw__jsonw_addr(&t->w, at->fault->addr);
	mw__jsonw_key(&t->w, "ip");
	mw__jsonw_addr(&t->w, at->fault->ip);
	text(&t->w, "object", p.object);
	text(&t->w, "section", p.section);
	text(&t->w, "caller", *from.symbol ? from.symbol : from.object);
	mw__jsonw_end(&t->w, '}');
	mw__jsonw_end(&t->w, '}');
	return t->w.error;
}

int mw_faults_trace_events(const struct mw_recording *rec, const struct mw_sink *sink, struct mw_err *err)
{
	struct mw__fault_report report;
	struct tracer t = { .report = &report };

	if (mw__fault_report_make(rec, &report) < 0)
		return mw__fail_nomem(err, "trace events");
	mw__jsonw_init(&t.w, sink);
	mw__jsonw_begin(&t.w, '{');
	text(&t.w, "displayTimeUnit", "ns");
	mw__jsonw_key(&t.w, "traceEvents");
	mw__jsonw_begin(&t.w, '[');
	trace_names(&t);
	trace_phases(&t);
	int rc = mw__faults_each(&report, trace_fault, &t);

	mw__jsonw_end(&t.w, ']');
	mw__jsonw_end(&t.w, '}');
	mw__fault_report_deinit(&report);
	if (rc == -MW_E_NOMEM && !t.w.error)
		return mw__fail_nomem(err, "trace events");
	return mw__jsonw_finish(&t.w, err);
}

/* -------------------------------------------------------------------- folded */

struct folder {
	struct mw__fault_report *report;
	struct mw__str all;		/* lines without counts, each ends with a NUL */
	MW_VEC(size_t) starts;		/* of the lines */
};

static void add_frame(struct mw__str *s, const char *name, size_t from)
{
	if (s->n > from)
		mw__str_puts(s, ";");
	mw__fold_name(s, name);
}

/* The function, or what is known instead of it. */
static void add_function(struct mw__str *s, const struct mw__fault_place *p, size_t from)
{
	char name[512];

	if (*p->symbol && p->symbol != p->section) {
		add_frame(s, p->symbol, from);
		return;
	}
	snprintf(name, sizeof(name), "%s%s%s", mw__basename(p->object), *p->section ? " " : "", p->section);
	add_frame(s, name, from);
}

static int fold_fault(void *ctx, const struct mw__fault_at *at)
{
	struct folder *f = ctx;
	const struct mw_recording *rec = f->report->rec;
	struct mw__fault_place p;
	size_t from = f->all.n;
	size_t *start = MW_VEC_PUSH(&f->starts);

	if (!start)
		return -MW_E_NOMEM;
	*start = from;
	add_frame(&f->all, mw__fault_phase_name(f->report, at->phase), from);
	for (unsigned i = at->fault->n_chain; i-- > 1;) {
		mw__fault_caller(f->report, at, rec->chains.v[at->fault->chain + i], &p);
		add_function(&f->all, &p, from);
	}
	mw__fault_caller(f->report, at, at->fault->ip, &p);
	add_function(&f->all, &p, from);
	mw__fault_place(f->report, at, at->fault->addr, &p);
	mw__str_puts(&f->all, ";[");
	mw__fold_name(&f->all, mw__basename(p.object));
	if (*p.section) {
		mw__str_puts(&f->all, " ");
		mw__fold_name(&f->all, p.section);
	}
	mw__str_add(&f->all, "]", 2);	/* with its NUL */
	return f->all.failed ? -MW_E_NOMEM : 0;
}

static int compare_lines(const void *a, const void *b, void *base)
{
	return strcmp((const char *)base + *(const size_t *)a, (const char *)base + *(const size_t *)b);
}

static int write_lines(const struct folder *f, const struct mw_sink *sink, struct mw_err *err)
{
	for (size_t i = 0, k; i < f->starts.n; i = k) {
		const char *line = f->all.v + f->starts.v[i];
		char count[32];

		for (k = i; k < f->starts.n && !strcmp(f->all.v + f->starts.v[k], line); k++)
			;
		int n = snprintf(count, sizeof(count), " %zu\n", k - i);
		int rc = sink->write(sink->ctx, line, strlen(line));

		if (rc == 0)
			rc = sink->write(sink->ctx, count, (size_t)n);
		if (rc < 0)
			return mw__fail(err, (enum mw_errcode)-rc, 0, "folded stacks: write");
	}
	return 0;
}

int mw_faults_folded(const struct mw_recording *rec, const struct mw_sink *sink, struct mw_err *err)
{
	struct mw__fault_report report;
	struct folder f = { .report = &report };

	if (mw__fault_report_make(rec, &report) < 0)
		return mw__fail_nomem(err, "folded stacks");
	int rc = mw__faults_each(&report, fold_fault, &f);

	if (rc == 0 && f.starts.n) {
		qsort_r(f.starts.v, f.starts.n, sizeof(*f.starts.v), compare_lines, f.all.v);
		rc = write_lines(&f, sink, err);
	} else if (rc < 0) {
		rc = mw__fail_nomem(err, "folded stacks");
	}
	mw__str_deinit(&f.all);
	MW_VEC_FREE(&f.starts);
	mw__fault_report_deinit(&report);
	return rc;
}
