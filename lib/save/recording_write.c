/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Recording to file: see recording.h for the lines. */
#include "recording.h"

#include "../base/count.h"
#include "../base/jsonw.h"
#include "save.h"

#define NUMBER(member) { #member, offsetof(struct mw_recording, member), false }
#define FLAG(member) { #member, offsetof(struct mw_recording, member), true }
const struct mw__faults_number mw__faults_numbers[] = {
	FLAG(is_attached), FLAG(without_kernel), FLAG(by_program), FLAG(is_cut), NUMBER(started_at_ns), NUMBER(took_ns), NUMBER(before_ns),
	NUMBER(after_ns), NUMBER(paused_ns), NUMBER(samples), NUMBER(lost), NUMBER(counter), NUMBER(lost_moves), NUMBER(task_faults),
	NUMBER(exit_status),
};
const size_t mw__n_faults_numbers = MW__COUNT(mw__faults_numbers);

#define LINE_GOAL (64u << 10)	/* a list goes on in a new line after this many bytes: names may be long */

struct writer {
	const struct mw_recording *rec;
	struct mw__jsonw w;
	uint64_t line_start, records;
};

static void begin_line(struct writer *w, const char *key)
{
	w->line_start = mw__jsonw_count(&w->w);
	mw__jsonw_begin(&w->w, '{');
	mw__jsonw_key(&w->w, key);
}

static void end_line(struct writer *w)
{
	mw__jsonw_end(&w->w, '}');
	mw__jsonw_newline(&w->w);
	w->records++;
}

static void write_head(struct writer *w)
{
	mw__jsonw_begin(&w->w, '{');
	mw__jsonw_key(&w->w, "schema");
	mw__jsonw_text(&w->w, MW__FAULTS_SCHEMA MW__FAULTS_MAJOR);
	mw__jsonw_key(&w->w, "tool_version");
	mw__jsonw_text(&w->w, MW_VERSION);
	mw__jsonw_key(&w->w, "pid");
	mw__jsonw_u64(&w->w, w->rec->pid);
	mw__jsonw_key(&w->w, "command");
	mw__jsonw_text(&w->w, w->rec->command);
	for (size_t i = 0; i < mw__n_faults_numbers; i++) {
		const struct mw__faults_number *n = &mw__faults_numbers[i];
		const char *at = (const char *)w->rec + n->off;

		mw__jsonw_key(&w->w, n->key);
		if (n->is_flag)
			mw__jsonw_bool(&w->w, *(const bool *)at);
		else
			mw__jsonw_u64(&w->w, *(const uint64_t *)at);
	}
	mw__jsonw_end(&w->w, '}');
	mw__jsonw_newline(&w->w);
}

/* n elements by fn, up to MW__FAULTS_BATCH a line. */
static void write_list(struct writer *w, const char *key, const void *base, size_t n,
		       void (*fn)(struct mw__jsonw *, const void *base, size_t i))
{
	for (size_t i = 0; i < n && !w->w.error;) {
		begin_line(w, key);
		mw__jsonw_begin(&w->w, '[');
		for (size_t stop = i + MW__FAULTS_BATCH; i < n && i < stop && mw__jsonw_count(&w->w) - w->line_start < LINE_GOAL; i++)
			fn(&w->w, base, i);
		mw__jsonw_end(&w->w, ']');
		end_line(w);
	}
}

static void tuple(struct mw__jsonw *w, const uint64_t *v, size_t n, const char *text)
{
	mw__jsonw_begin(w, '[');
	for (size_t i = 0; i < n; i++)
		mw__jsonw_u64(w, v[i]);
	if (text)
		mw__jsonw_text(w, text);
	mw__jsonw_end(w, ']');
}

static void write_segment(struct mw__jsonw *w, const void *base, size_t i)
{
	const struct mw__segment *s = (const struct mw__segment *)base + i;

	tuple(w, (uint64_t[]){ s->type, s->flags, s->off, s->vaddr, s->filesz, s->memsz, s->align }, 7, NULL);
}

static void write_section(struct mw__jsonw *w, const void *base, size_t i)
{
	const struct mw__section *s = (const struct mw__section *)base + i;

	tuple(w, (uint64_t[]){ s->type, s->flags, s->addr, s->size, s->off }, 5, s->name);
}

static void write_symbol(struct mw__jsonw *w, const void *base, size_t i)
{
	const struct mw__fault_symbol *s = (const struct mw__fault_symbol *)base + i;

	tuple(w, (uint64_t[]){ s->addr, s->size }, 2, s->name);
}

static void write_move(struct mw__jsonw *w, const void *base, size_t i)
{
	const struct mw__move *m = (const struct mw__move *)base + i;

	tuple(w, (uint64_t[]){ m->time_ns, m->kind, m->pid, m->tid, m->parent, m->start, m->end, m->off,
			       m->object == MW__NONE ? MW_UNKNOWN : m->object, m->prot }, 10, m->name);
}

static void write_mark(struct mw__jsonw *w, const void *base, size_t i)
{
	const struct mw__mark *m = (const struct mw__mark *)base + i;

	tuple(w, (uint64_t[]){ m->time_ns, m->phase, m->certainty }, 3, m->rule ? m->rule : "");
}

static void write_chain(struct mw__jsonw *w, const void *base, size_t i)
{
	mw__jsonw_u64(w, ((const uint64_t *)base)[i]);
}

static void write_fault(struct mw__jsonw *w, const void *base, size_t i)
{
	const struct mw__fault *f = (const struct mw__fault *)base + i;

	tuple(w, (uint64_t[]){ f->time_ns, f->pid, f->tid, f->addr, f->ip, f->is_major,
			       f->n_chain ? f->chain : MW_UNKNOWN, f->n_chain }, 8, NULL);
}

static void write_object(struct writer *w, const struct mw__object_file *o)
{
	begin_line(w, "object");
	mw__jsonw_begin(&w->w, '{');
	mw__jsonw_key(&w->w, "path");
	mw__jsonw_text(&w->w, o->path);
	mw__jsonw_key(&w->w, "build_id");
	mw__jsonw_text(&w->w, o->image.build_id);
	mw__jsonw_key(&w->w, "elf_class");
	mw__jsonw_u64(&w->w, o->image.elf_class);
	mw__jsonw_key(&w->w, "has_symbols");
	mw__jsonw_bool(&w->w, o->has_symbols);
	mw__jsonw_end(&w->w, '}');
	end_line(w);
	write_list(w, "segments", o->image.segments, o->image.n_segments, write_segment);
	write_list(w, "sections", o->image.sections, o->image.n_sections, write_section);
	write_list(w, "symbols", o->symbols, o->n_symbols, write_symbol);
}

static void write_note(struct writer *w, const struct mw__recording_note *n)
{
	begin_line(w, "note");
	mw__jsonw_begin(&w->w, '[');
	mw__jsonw_text(&w->w, n->source);
	mw__jsonw_text(&w->w, n->reason);
	mw__jsonw_text(&w->w, n->remedy);
	mw__jsonw_end(&w->w, ']');
	end_line(w);
}

static void write_end(struct writer *w)
{
	begin_line(w, "end");
	mw__jsonw_begin(&w->w, '{');
	mw__jsonw_key(&w->w, "records");
	mw__jsonw_u64(&w->w, w->records);
	mw__jsonw_key(&w->w, "before");
	mw__jsonw_bool(&w->w, w->rec->before != NULL);
	mw__jsonw_key(&w->w, "after");
	mw__jsonw_bool(&w->w, w->rec->after != NULL);
	mw__jsonw_end(&w->w, '}');
	end_line(w);
}

int mw_faults_save(const struct mw_recording *rec, const struct mw_sink *sink, struct mw_err *err)
{
	struct writer w = { .rec = rec };

	mw__jsonw_init(&w.w, sink);
	mw__jsonw_compact(&w.w);
	w.w.tight = true;
	write_head(&w);
	for (size_t i = 0; i < rec->objects.n && !w.w.error; i++)
		write_object(&w, &rec->objects.v[i]);
	write_list(&w, "moves", rec->moves.v, rec->moves.n, write_move);
	write_list(&w, "marks", rec->marks.v, rec->marks.n, write_mark);
	write_list(&w, "chains", rec->chains.v, rec->chains.n, write_chain);
	write_list(&w, "faults", rec->faults.v, rec->faults.n, write_fault);
	for (size_t i = 0; i < rec->notes.n; i++)
		write_note(&w, &rec->notes.v[i]);
	write_end(&w);
	int rc = mw__jsonw_finish(&w.w, err);

	if (rc == 0 && rec->before)
		rc = mw_snapshot_save(rec->before, sink, err);
	if (rc == 0 && rec->after)
		rc = mw_snapshot_save(rec->after, sink, err);
	return rc;
}
