/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Snapshot to file, one record a line. Long lists are cut into several lines, so that
 * whoever reads them never needs more memory than one line takes.
 */
#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/gzip.h"
#include "../base/jsonw.h"
#include "../base/str.h"
#include "fields.h"
#include "own_fields.h"
#include "save.h"

#define LINE_GOAL (64u << 10)	/* a list goes on in a new line after this many bytes */

struct writer {
	struct mw__jsonw json;
	const struct mw_snapshot *snap;
	uint64_t line_start, records;
};

/* ------------------------------------------------------------------ members */

/* Not more than MW__SAVE_TEXT_MAX bytes, and no character cut in two. */
static size_t cut_text(const char *text)
{
	size_t len = strlen(text);

	if (len <= MW__SAVE_TEXT_MAX)
		return len;
	len = MW__SAVE_TEXT_MAX;
	for (size_t back = 0; back < 4; back++)
		if ((text[len - back] & 0xc0) != 0x80)
			return len - back;
	return len;
}

static void write_text(struct mw__jsonw *w, const char *text)
{
	if (text)
		mw__jsonw_textn(w, text, cut_text(text));
	else
		mw__jsonw_null(w);
}

static void write_number(struct mw__jsonw *w, const struct mw__field *field, uint64_t v)
{
	mw__jsonw_u64(w, v == mw__field_unknown(field) ? MW_UNKNOWN : v);
}

static void write_value(struct mw__jsonw *w, const struct mw__field *field, const void *base)
{
	const char *at = (const char *)base + field->off;
	uint64_t v = field->kind == MW__F_TEXT ? 0 : mw__field_load(base, field);

	switch ((enum mw__field_kind)field->kind) {
	case MW__F_NUMBER:
	case MW__F_PID:
		write_number(w, field, v);
		break;
	case MW__F_ADDR:
		mw__jsonw_addr(w, v);
		break;
	case MW__F_LIMIT:
		if (v == MW__NO_LIMIT)
			mw__jsonw_text(w, "unlimited");
		else
			write_number(w, field, v);
		break;
	case MW__F_BOOL:
		mw__jsonw_bool(w, v);
		break;
	case MW__F_CHAR:
		mw__jsonw_textn(w, v > 0x20 && v < 0x7f ? at : "?", 1);
		break;
	case MW__F_TEXT:
		write_text(w, *(const char *const *)(const void *)at);
		break;
	case MW__F_NAME:
		mw__jsonw_text(w, field->name((unsigned)v));
		break;
	}
}

static void write_members(struct mw__jsonw *w, const struct mw__fields *fields, const void *base)
{
	for (size_t i = 0; i < fields->n; i++) {
		mw__jsonw_key(w, fields->v[i].key);
		write_value(w, &fields->v[i], base);
	}
}

static void write_struct(struct mw__jsonw *w, const struct mw__fields *fields, const void *base)
{
	mw__jsonw_begin(w, '{');
	write_members(w, fields, base);
	mw__jsonw_end(w, '}');
}

static void write_row(struct mw__jsonw *w, const struct mw__fields *fields, const void *base)
{
	mw__jsonw_begin(w, '[');
	for (size_t i = 0; i < fields->n; i++)
		write_value(w, &fields->v[i], base);
	mw__jsonw_end(w, ']');
}

/* -------------------------------------------------------------------- lines */

static void begin_line(struct writer *w, const char *key)
{
	w->line_start = mw__jsonw_count(&w->json);
	mw__jsonw_begin(&w->json, '{');
	mw__jsonw_key(&w->json, key);
}

static void end_line(struct writer *w)
{
	mw__jsonw_end(&w->json, '}');
	mw__jsonw_newline(&w->json);
	w->records++;
}

static bool is_line_full(const struct writer *w)
{
	return mw__jsonw_count(&w->json) - w->line_start > LINE_GOAL;
}

static void write_record(struct writer *w, const char *key, const struct mw__fields *fields,
			 const void *base)
{
	begin_line(w, key);
	write_struct(&w->json, fields, base);
	end_line(w);
}

static void begin_rows(struct writer *w, const char *key)
{
	begin_line(w, key);
	mw__jsonw_begin(&w->json, '[');
}

static void end_rows(struct writer *w)
{
	mw__jsonw_end(&w->json, ']');
	end_line(w);
}

/* Lines {"key":[ELEMENT,...]}, none when there is nothing. */
static void write_lines(struct writer *w, const char *key, const struct mw__fields *fields, const void *base, size_t n,
			void (*write_one)(struct mw__jsonw *, const struct mw__fields *, const void *))
{
	for (size_t i = 0; i < n;) {
		begin_rows(w, key);
		for (; i < n && !is_line_full(w); i++)
			write_one(&w->json, fields, (const char *)base + i * fields->size);
		end_rows(w);
	}
}

/* Elements {...}. */
static void write_list(struct writer *w, const char *key, const struct mw__fields *fields, const void *base, size_t n)
{
	write_lines(w, key, fields, base, n, write_struct);
}

/* Elements [...]: the members without their names. */
static void write_rows(struct writer *w, const char *key, const struct mw__fields *fields, const void *base, size_t n)
{
	write_lines(w, key, fields, base, n, write_row);
}

static void write_head(struct writer *w)
{
	struct mw__jsonw *json = &w->json;
	char schema[64];

	snprintf(schema, sizeof(schema), MW__SAVE_SCHEMA "%d", MW__SAVE_MAJOR);
	mw__jsonw_begin(json, '{');
	mw__jsonw_key(json, "schema");
	mw__jsonw_text(json, schema);
	mw__jsonw_key(json, "tool_version");
	mw__jsonw_text(json, MW_VERSION);
	for (size_t i = 0; i < MW__N_HEAD_PARTS; i++) {
		mw__jsonw_key(json, mw__head_parts[i].key);
		write_struct(json, mw__head_parts[i].fields,
			     (const char *)w->snap + mw__head_parts[i].off);
	}
	mw__jsonw_end(json, '}');
	mw__jsonw_newline(json);
}

static void write_run(struct mw__jsonw *w, const struct mw__run *run, uint64_t first_page)
{
	mw__jsonw_begin(w, '[');
	mw__jsonw_u64(w, first_page);
	mw__jsonw_u64(w, run->pages);
	mw__jsonw_u64(w, run->state);
	mw__jsonw_end(w, ']');
}

/* "runs":[...] from *next on, as many as a line takes. */
static void write_runs(struct writer *w, const struct mw__vma *vma, uint32_t *next)
{
	mw__jsonw_begin(&w->json, '[');
	for (; *next < vma->n_runs && !is_line_full(w); (*next)++) {
		const struct mw__run *run = &w->snap->runs.v[vma->run + *next];

		write_run(&w->json, run, (run->start - vma->start) / w->snap->target.page_size);
	}
	mw__jsonw_end(&w->json, ']');
}

static void write_cache(struct writer *w, const struct mw__vma *vma)
{
	for (uint32_t i = 0; i < vma->n_cache;) {
		begin_rows(w, "cache");
		for (; i < vma->n_cache && !is_line_full(w); i++) {
			const struct mw__run *run = &w->snap->cache.v[vma->cache + i];

			mw__jsonw_begin(&w->json, '[');
			mw__jsonw_u64(&w->json, (run->start - vma->start) / w->snap->target.page_size);
			mw__jsonw_u64(&w->json, run->pages);
			mw__jsonw_end(&w->json, ']');
		}
		end_rows(w);
	}
}

static void write_vma(struct writer *w, size_t i)
{
	const struct mw__vma *vma = &w->snap->vmas.v[i];
	uint32_t next = 0;

	begin_line(w, "vma");
	mw__jsonw_begin(&w->json, '{');
	write_members(&w->json, &mw__vma_fields, vma);
	if (w->snap->smaps) {
		mw__jsonw_key(&w->json, "smaps");
		write_struct(&w->json, &mw__smaps_fields, &w->snap->smaps[i]);
	}
	mw__jsonw_key(&w->json, "runs");
	write_runs(w, vma, &next);
	mw__jsonw_end(&w->json, '}');
	end_line(w);
	while (next < vma->n_runs) {
		begin_line(w, "runs");
		write_runs(w, vma, &next);
		end_line(w);
	}
	write_cache(w, vma);
}

static void write_image(struct writer *w, const struct mw__image *image)
{
	write_record(w, "image", &mw__image_fields, image);
	write_list(w, "segments", &mw__segment_fields, image->segments, image->n_segments);
	write_list(w, "sections", &mw__section_fields, image->sections, image->n_sections);
	if (!image->detail)
		return;
	write_record(w, "detail", &mw__detail_fields, image->detail);
	write_rows(w, "symbols", &mw__symbol_fields, image->detail->symbols, image->detail->n_symbols);
	write_rows(w, "reloc_pages", &mw__reloc_page_fields, image->detail->reloc_pages, image->detail->n_reloc_pages);
}

static void write_end(struct writer *w)
{
	uint64_t records = w->records;	/* this is none */

	begin_line(w, "end");
	mw__jsonw_begin(&w->json, '{');
	mw__jsonw_key(&w->json, "records");
	mw__jsonw_u64(&w->json, records);
	mw__jsonw_end(&w->json, '}');
	end_line(w);
}

/* The frames of a stack, and then their source lines. */
static void write_stack(struct writer *w, uint32_t site, const struct mw__own_site *s)
{
	uint32_t n_lines = 0;

	begin_rows(w, "heap_frames");
	for (uint32_t i = 0; i < s->n_frames; i++) {
		const struct mw__own_frame *f = &s->frames[i];
		struct mw__saved_frame row = { site, f->addr, f->off, f->symbol, f->image };

		write_row(&w->json, &mw__saved_frame_fields, &row);
		n_lines += f->n_lines;
	}
	end_rows(w);
	if (!n_lines)
		return;
	begin_rows(w, "heap_lines");
	for (uint32_t i = 0; i < s->n_frames; i++)
		for (uint32_t k = 0; k < s->frames[i].n_lines; k++) {
			const struct mw__own_line *l = &s->frames[i].lines[k];
			struct mw__saved_line row = { site, i, l->line, l->function, l->file };

			write_row(&w->json, &mw__saved_line_fields, &row);
		}
	end_rows(w);
}

/* The file says why its inside is missing. */
static void leave_out(struct writer *w)
{
	static const struct mw__note note = {
		.severity = MW__WARNING, .source = "memwhy-malloc",
		.reason = "the inside of the heap was not saved: it has more than 1048576 spans or free runs",
		.remedy = "memwhy heap PID, while the process lives",
	};

	_Static_assert(MW__SAVE_OWN_MAX == 1048576, "as the note says");
	write_record(w, "note", &mw__note_fields, &note);
}

static void write_own(struct writer *w, const struct mw__own *own)
{
	if (!own)
		return;
	if (own->spans.n > MW__SAVE_OWN_MAX || own->frees.n > MW__SAVE_OWN_MAX) {
		leave_out(w);
		return;
	}
	write_record(w, "heap", &mw__own_fields, own);
	for (size_t i = 0; i < MW__N_OWN_LISTS; i++) {
		const struct mw__own_list *l = &mw__own_lists[i];
		const char *at = (const char *)own + l->off;
		struct mw__any_vec vec = { NULL, 0, 0 };

		if (!l->is_array)
			memcpy(&vec, at, sizeof(vec));
		write_rows(w, l->key, l->fields, l->is_array ? at : vec.v, l->is_array ? l->max : vec.n);
	}
	for (size_t i = 0; i < own->sites.n && !w->json.error; i++)
		if (own->sites.v[i].n_frames)
			write_stack(w, (uint32_t)i, &own->sites.v[i]);
}

#define EACH(vec, i) (size_t i = 0; i < (vec).n && !w->json.error; i++)

static void write_records(struct writer *w)
{
	const struct mw_snapshot *snap = w->snap;

	write_rows(w, "cpuid", &mw__cpuid_fields, snap->cpu.leaves, snap->cpu.n);
	for EACH(snap->files, i)
		write_record(w, "file", &mw__file_fields, &snap->files.v[i]);
	for EACH(snap->vmas, i)
		write_vma(w, i);
	for EACH(snap->images, i)
		write_image(w, &snap->images.v[i]);
	write_rows(w, "frames", &mw__frame_fields, snap->frames.v, snap->frames.n);
	write_rows(w, "sources", &mw__source_line_fields, snap->sources.v, snap->sources.n);
	for EACH(snap->tasks, i)
		write_record(w, "task", &mw__task_fields, &snap->tasks.v[i]);
	for EACH(snap->claims, i)
		write_record(w, "claim", &mw__claim_fields, &snap->claims.v[i]);
	for EACH(snap->notes, i)
		write_record(w, "note", &mw__note_fields, &snap->notes.v[i]);
	write_own(w, snap->own);
}

int mw_snapshot_save(const struct mw_snapshot *snap, const struct mw_sink *sink, struct mw_err *err)
{
	struct writer w = { .snap = snap };

	mw__jsonw_init(&w.json, sink);
	mw__jsonw_compact(&w.json);
	w.json.tight = true;
	write_head(&w);
	write_records(&w);
	write_end(&w);
	return mw__jsonw_finish(&w.json, err);
}

int mw_snapshot_save_gzip(const struct mw_snapshot *snap, const struct mw_sink *sink, struct mw_err *err)
{
	MW_CLEANUP(mw__freep) struct mw__gzip *g = malloc(sizeof(*g));

	if (!g || mw__gzip_begin(g, sink) < 0)
		return mw__fail_nomem(err, "snapshot");
	int rc = mw_snapshot_save(snap, &g->sink, err), end = mw__gzip_end(g, rc < 0);

	return rc || !end ? rc : mw__fail(err, (enum mw_errcode)-end, 0, "output: write");
}
