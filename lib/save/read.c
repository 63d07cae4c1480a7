/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * File to snapshot. The file is hostile: lines are read one by one and bounded, json-c
 * parses them with bounded depth, every member is checked for type and range, and what
 * the lines add up to is checked by the freeze. There is a bound on everything that can be
 * many, so that neither time nor memory grows with a file for long; a record of a kind that
 * is not known is passed over without looking into it.
 */
#include "reader.h"

#include <errno.h>

#include "../base/cleanup.h"
#include "../base/count.h"
#include "../base/err.h"

#define DEPTH_MAX 8

/* More than any process has, and few enough for the memory of a desktop. */
enum {
	RECORDS_MAX = 1 << 24,
	VMAS_MAX = 1 << 22, RUNS_MAX = 1 << 26, FILES_MAX = 1 << 22, IMAGES_MAX = 1 << 16,
	PARTS_MAX = 1 << 22,	/* segments and sections of all images */
	TASKS_MAX = 1 << 22, CLAIMS_MAX = 1 << 22, NOTES_MAX = 1 << 16,
	SYMBOLS_MAX = 1 << 25,	/* and relocated pages of all images */
	FRAMES_MAX = 1 << 28, SOURCES_MAX = 1 << 20,
};

/* ------------------------------------------------------------------- records */

/* [page, pages, state], counted from the start of the mapping. */
static int read_run(struct mw__reader *r, const struct mw__vma *vma, struct json_object *o)
{
	uint64_t v[3] = { 0 };

	if (!json_object_is_type(o, json_type_array) || json_object_array_length(o) != 3)
		return mw__reader_fail(r, "a run is not [page, pages, state]");
	for (size_t i = 0; i < 3; i++) {
		uint64_t limit = i == 0 ? UINT64_C(1) << 52 : UINT32_MAX;
		int rc = mw__read_number(r, "run", json_object_array_get_idx(o, i), limit, &v[i]);

		if (rc < 0)
			return rc;
	}
	struct mw__run *run = MW__READER_ADD(r, &r->snap->runs, RUNS_MAX, "runs");

	if (!run)
		return r->failure;
	if (__builtin_mul_overflow(v[0], r->snap->target.page_size, &run->start) ||
	    __builtin_add_overflow(run->start, vma->start, &run->start))
		return mw__reader_fail(r, "a run starts behind the end of memory");
	run->pages = (uint32_t)v[1];
	run->state = (uint32_t)v[2];
	return 0;
}

static int read_runs(struct mw__reader *r, struct json_object *o)
{
	struct mw_snapshot *snap = r->snap;

	if (!snap->vmas.n)
		return mw__reader_fail(r, "runs without a mapping before");
	if (!json_object_is_type(o, json_type_array))
		return mw__reader_fail(r, "runs is not a list");
	struct mw__vma *vma = &snap->vmas.v[snap->vmas.n - 1];
	size_t n = json_object_array_length(o);

	if (n && !vma->n_runs)
		vma->run = (uint32_t)snap->runs.n;
	for (size_t i = 0; i < n; i++) {
		int rc = read_run(r, vma, json_object_array_get_idx(o, i));

		if (rc < 0)
			return rc;
		vma->n_runs++;
	}
	return 0;
}

/* [page, pages] of the page cache, counted from the start of the mapping. */
static int read_cached(struct mw__reader *r, struct mw__vma *vma, struct json_object *o)
{
	uint64_t v[2] = { 0 };

	if (!json_object_is_type(o, json_type_array) || json_object_array_length(o) != 2)
		return mw__reader_fail(r, "pages in the cache are not [page, pages]");
	for (size_t i = 0; i < 2; i++) {
		int rc = mw__read_number(r, "cache", json_object_array_get_idx(o, i), i ? UINT32_MAX : UINT64_C(1) << 52, &v[i]);

		if (rc < 0)
			return rc;
	}
	struct mw__run *run = MW__READER_ADD(r, &r->snap->cache, RUNS_MAX, "pages in the cache");

	if (!run)
		return r->failure;
	if (__builtin_mul_overflow(v[0], r->snap->target.page_size, &run->start) ||
	    __builtin_add_overflow(run->start, vma->start, &run->start))
		return mw__reader_fail(r, "pages in the cache start behind the end of memory");
	run->pages = (uint32_t)v[1];
	run->state = MW__OF_FILE;
	if (!vma->n_cache++)
		vma->cache = (uint32_t)(r->snap->cache.n - 1);
	return 0;
}

static int read_cache(struct mw__reader *r, struct json_object *o)
{
	struct mw_snapshot *snap = r->snap;

	if (!snap->vmas.n)
		return mw__reader_fail(r, "cache without a mapping before");
	if (!json_object_is_type(o, json_type_array))
		return mw__reader_fail(r, "cache is not a list");
	for (size_t i = 0; i < json_object_array_length(o); i++) {
		int rc = read_cached(r, &snap->vmas.v[snap->vmas.n - 1], json_object_array_get_idx(o, i));

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Let snap->smaps have as many elements as there are mappings. */
static int extend_smaps(struct mw__reader *r)
{
	while (r->n_smaps < r->snap->vmas.n) {
		if (r->n_smaps == r->cap_smaps) {
			void *v = mw__vec_grow(r->snap->smaps, &r->cap_smaps, sizeof(*r->snap->smaps));

			if (!v)
				return mw__reader_nomem(r);
			r->snap->smaps = v;
		}
		mw__smaps_init(&r->snap->smaps[r->n_smaps++]);
	}
	return 0;
}

static int read_smaps(struct mw__reader *r, struct json_object *o)
{
	int rc = extend_smaps(r);

	return rc ? rc : mw__read_struct(r, &mw__smaps_fields, o, "smaps", &r->snap->smaps[r->n_smaps - 1]);
}

static int read_vma(struct mw__reader *r, struct json_object *o)
{
	struct json_object *part;
	struct mw__vma *vma = MW__READER_ADD(r, &r->snap->vmas, VMAS_MAX, "mappings");
	int rc = vma ? mw__read_struct(r, &mw__vma_fields, o, "vma", vma) : r->failure;

	if (rc == 0 && json_object_object_get_ex(o, "smaps", &part))
		rc = read_smaps(r, part);
	if (rc == 0 && json_object_object_get_ex(o, "runs", &part))
		rc = read_runs(r, part);
	return rc;
}

static int read_file(struct mw__reader *r, struct json_object *o)
{
	struct mw__file *file = MW__READER_ADD(r, &r->snap->files, FILES_MAX, "files");

	return file ? mw__read_struct(r, &mw__file_fields, o, "file", file) : r->failure;
}

/* Move what a vector holds into the arena: *list and *count. */
#define MOVE(r, vec, list, count)                                                                      \
	({                                                                                           \
		__typeof__((vec)->v) copy_ = NULL;                                                   \
		int rc_ = 0;                                                                         \
		if ((vec)->n) {                                                                      \
			copy_ = mw__arena_array(&(r)->snap->arena, (vec)->n, sizeof(*(vec)->v));     \
			if (copy_)                                                                   \
				memcpy(copy_, (vec)->v, (vec)->n * sizeof(*(vec)->v));               \
			else                                                                         \
				rc_ = mw__reader_nomem(r);                                                 \
		}                                                                                    \
		*(list) = copy_;                                                                     \
		*(count) = (uint32_t)(vec)->n;                                                          \
		(vec)->n = 0;                                                                        \
		rc_;                                                                                 \
	})

/* The image read last gets the parts that were read after it. */
static int close_image(struct mw__reader *r)
{
	struct mw_snapshot *snap = r->snap;
	struct mw__image *image = snap->images.n ? &snap->images.v[snap->images.n - 1] : NULL;
	struct mw__detail *d = r->detail;

	if (!image)
		return 0;
	int rc = MOVE(r, &r->segments, &image->segments, &image->n_segments);

	if (rc == 0)
		rc = MOVE(r, &r->sections, &image->sections, &image->n_sections);
	if (rc == 0 && d)
		rc = MOVE(r, &r->symbols, &d->symbols, &d->n_symbols);
	if (rc == 0 && d)
		rc = MOVE(r, &r->reloc_pages, &d->reloc_pages, &d->n_reloc_pages);
	image->detail = d;
	r->detail = NULL;
	return rc;
}

static int read_image(struct mw__reader *r, struct json_object *o)
{
	int rc = close_image(r);

	if (rc < 0)
		return rc;
	struct mw__image *image = MW__READER_ADD(r, &r->snap->images, IMAGES_MAX, "images");

	return image ? mw__read_struct(r, &mw__image_fields, o, "image", image) : r->failure;
}

/* A list that belongs to an image. */
static int read_parts(struct mw__reader *r, struct json_object *o, const char *key,
		      int (*read_one)(struct mw__reader *r, struct json_object *o))
{
	return r->snap->images.n ? mw__read_rows(r, o, key, read_one) : mw__reader_fail(r, "%s without an image before", key);
}

static bool add_part(struct mw__reader *r)
{
	return mw__reader_has_room(r, r->n_parts++, PARTS_MAX, "segments and sections");
}

static bool add_symbol(struct mw__reader *r)
{
	return mw__reader_has_room(r, r->n_symbols++, SYMBOLS_MAX, "symbols and relocated pages");
}

static int read_segment(struct mw__reader *r, struct json_object *o)
{
	struct mw__segment *segment = add_part(r) ? MW__READER_ADD(r, &r->segments, PARTS_MAX, "segments") : NULL;

	return segment ? mw__read_struct(r, &mw__segment_fields, o, "segment", segment) : r->failure;
}

static int read_section(struct mw__reader *r, struct json_object *o)
{
	struct mw__section *section = add_part(r) ? MW__READER_ADD(r, &r->sections, PARTS_MAX, "sections") : NULL;

	if (!section)
		return r->failure;
	int rc = mw__read_struct(r, &mw__section_fields, o, "section", section);

	if (rc == 0 && !section->name)
		section->name = "";
	return rc;
}

static int read_detail(struct mw__reader *r, struct json_object *o)
{
	if (!r->snap->images.n || r->detail)
		return mw__reader_fail(r, r->detail ? "a second detail of one image" : "detail without an image before");
	r->detail = mw__arena_alloc(&r->snap->arena, sizeof(*r->detail));
	return r->detail ? mw__read_struct(r, &mw__detail_fields, o, "detail", r->detail) : mw__reader_nomem(r);
}

static int read_symbol(struct mw__reader *r, struct json_object *o)
{
	struct mw__symbol *symbol = add_symbol(r) ? MW__READER_ADD(r, &r->symbols, SYMBOLS_MAX, "symbols") : NULL;

	return symbol ? mw__read_row(r, &mw__symbol_fields, o, "symbols", symbol) : r->failure;
}

static int read_reloc_page(struct mw__reader *r, struct json_object *o)
{
	struct mw__reloc_page *page = add_symbol(r) ? MW__READER_ADD(r, &r->reloc_pages, SYMBOLS_MAX, "relocated pages") : NULL;

	return page ? mw__read_row(r, &mw__reloc_page_fields, o, "reloc_pages", page) : r->failure;
}

static int read_symbols(struct mw__reader *r, struct json_object *o)
{
	return r->detail ? read_parts(r, o, "symbols", read_symbol) : mw__reader_fail(r, "symbols without a detail before");
}

static int read_reloc_pages(struct mw__reader *r, struct json_object *o)
{
	return r->detail ? read_parts(r, o, "reloc_pages", read_reloc_page) : mw__reader_fail(r, "reloc_pages without a detail before");
}

static int read_frame(struct mw__reader *r, struct json_object *o)
{
	struct mw__frame *frame = MW__READER_ADD(r, &r->snap->frames, FRAMES_MAX, "frames");

	return frame ? mw__read_row(r, &mw__frame_fields, o, "frames", frame) : r->failure;
}

static int read_source(struct mw__reader *r, struct json_object *o)
{
	struct mw__source_line *line = MW__READER_ADD(r, &r->snap->sources, SOURCES_MAX, "source lines");

	return line ? mw__read_row(r, &mw__source_line_fields, o, "sources", line) : r->failure;
}

static int read_leaf(struct mw__reader *r, struct json_object *o)
{
	struct mw_cpu *cpu = &r->snap->cpu;

	if (!mw__reader_has_room(r, cpu->n, MW__MAX_LEAVES, "leaves of CPUID"))
		return r->failure;
	return mw__read_row(r, &mw__cpuid_fields, o, "cpuid", &cpu->leaves[cpu->n++]);
}

static int read_cpuid(struct mw__reader *r, struct json_object *o)
{
	return mw__read_rows(r, o, "cpuid", read_leaf);
}

static int read_frames(struct mw__reader *r, struct json_object *o)
{
	return mw__read_rows(r, o, "frames", read_frame);
}

static int read_sources(struct mw__reader *r, struct json_object *o)
{
	return mw__read_rows(r, o, "sources", read_source);
}

static int read_segments(struct mw__reader *r, struct json_object *o)
{
	return read_parts(r, o, "segments", read_segment);
}

static int read_sections(struct mw__reader *r, struct json_object *o)
{
	return read_parts(r, o, "sections", read_section);
}

static int read_task(struct mw__reader *r, struct json_object *o)
{
	struct mw__task *task = MW__READER_ADD(r, &r->snap->tasks, TASKS_MAX, "tasks");

	return task ? mw__read_struct(r, &mw__task_fields, o, "task", task) : r->failure;
}

static int read_claim(struct mw__reader *r, struct json_object *o)
{
	struct mw__claim *claim = MW__READER_ADD(r, &r->snap->claims, CLAIMS_MAX, "claims");

	return claim ? mw__read_struct(r, &mw__claim_fields, o, "claim", claim) : r->failure;
}

static int read_note(struct mw__reader *r, struct json_object *o)
{
	struct mw__note *note = MW__READER_ADD(r, &r->snap->notes, NOTES_MAX, "notes");

	return note ? mw__read_struct(r, &mw__note_fields, o, "note", note) : r->failure;
}

static int read_end(struct mw__reader *r, struct json_object *o)
{
	struct json_object *records;
	uint64_t n = 0;

	if (!json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, "records", &records))
		return mw__reader_fail(r, "the end does not say how many records there are");
	int rc = mw__read_number(r, "records", records, UINT64_MAX, &n);

	if (rc < 0)
		return rc;
	r->records--;	/* this is none */
	if (n != r->records)
		return mw__reader_fail(r, "%llu records were written, but %llu are here", (unsigned long long)n,
				       (unsigned long long)r->records);
	r->has_end = true;
	return 0;
}

static const struct {
	const char *key;
	int (*read)(struct mw__reader *r, struct json_object *o);
} kinds[] = {
	{ "end", read_end }, { "vma", read_vma }, { "runs", read_runs }, { "file", read_file }, { "image", read_image },
	{ "segments", read_segments }, { "sections", read_sections }, { "task", read_task },
	{ "claim", read_claim }, { "note", read_note }, { "cache", read_cache }, { "detail", read_detail },
	{ "symbols", read_symbols }, { "reloc_pages", read_reloc_pages }, { "frames", read_frames },
	{ "sources", read_sources }, { "cpuid", read_cpuid }, { "heap", mw__read_own }, { "heap_frames", mw__read_heap_frames },
	{ "heap_lines", mw__read_heap_lines },
};
#define N_KINDS MW__COUNT(kinds)

/* ---------------------------------------------------------------------- file */

static int check_schema(struct mw__reader *r, struct json_object *head)
{
	struct json_object *o;
	const char *text = json_object_object_get_ex(head, "schema", &o) &&
			   json_object_is_type(o, json_type_string) ? json_object_get_string(o) : "";
	const char *p = text + strlen(MW__SAVE_SCHEMA), *end = text + strlen(text);
	uint64_t major;

	if (strncmp(text, MW__SAVE_SCHEMA, strlen(MW__SAVE_SCHEMA)) != 0 ||
	    !mw__parse_dec(&p, end, &major) || p != end || !major)
		return mw__reader_fail(r, "this is not a snapshot of memwhy");
	if (major > MW__SAVE_MAJOR) {
		int rc = mw__reader_fail(r, "the snapshot has version %.20s, which a newer memwhy wrote",
			      text + strlen(MW__SAVE_SCHEMA));

		mw__hint(r->err, "this memwhy reads version %d", MW__SAVE_MAJOR);
		return rc;
	}
	return 0;
}

static int read_head(struct mw__reader *r, struct json_object *head)
{
	int rc = check_schema(r, head);

	for (size_t i = 0; i < MW__N_HEAD_PARTS && rc == 0; i++) {
		const struct mw__head_part *part = &mw__head_parts[i];
		void *base = (char *)r->snap + part->off;
		struct json_object *o;

		mw__fields_init(part->fields, base);
		if (json_object_object_get_ex(head, part->key, &o))
			rc = mw__read_struct(r, part->fields, o, part->key, base);
	}
	return rc;
}

static void put_json(struct json_object **o)
{
	json_object_put(*o);
}

static int parse_line(struct mw__reader *r, struct json_object **ret)
{
	json_tokener_reset(r->tokener);
	/* with its NUL, which ends a number at the end of the line */
	struct json_object *o = json_tokener_parse_ex(r->tokener, r->lines->line.v, (int)r->lines->line.n + 1);
	enum json_tokener_error error = json_tokener_get_error(r->tokener);

	if (error == json_tokener_success && json_tokener_get_parse_end(r->tokener) >= r->lines->line.n &&
	    json_object_is_type(o, json_type_object)) {
		*ret = o;
		return 0;
	}
	json_object_put(o);
	if (!r->has_head)
		return mw__reader_fail(r, "this is not a snapshot of memwhy");
	return mw__reader_fail(r, "not an object of JSON: %s",
		    error == json_tokener_success ? "something else is there" : json_tokener_error_desc(error));
}

/* ------------------------------------------------------------------- objects */

static const char *skip_blank(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* The first key of the line is the kind of its record. False if it does not begin like {"KEY": */
static bool find_kind(const struct mw__reader *r, const char **key, size_t *len)
{
	const char *end = r->lines->line.v + r->lines->line.n, *p = skip_blank(r->lines->line.v, end);

	if (p == end || *p != '{')
		return false;
	p = skip_blank(p + 1, end);
	if (p == end || *p != '"')
		return false;
	*key = ++p;
	p = mw__find(p, end, '"');
	*len = (size_t)(p - *key);
	if (p == end || memchr(*key, '\\', *len))
		return false;
	p = skip_blank(p + 1, end);
	return p < end && *p == ':';
}

static bool is_word(const char *word, const char *text, size_t len)
{
	return strlen(word) == len && !memcmp(word, text, len);
}

static const char *key_of_kind(size_t kind)
{
	return kind < N_KINDS ? kinds[kind].key : mw__own_lists[kind - N_KINDS].key;
}

static int read_record(struct mw__reader *r)
{
	MW_CLEANUP(put_json) struct json_object *line = NULL;
	struct json_object *o = NULL;
	const char *key = "";
	size_t len = 0, kind = 0;
	bool is_record = find_kind(r, &key, &len);

	if (!mw__reader_has_room(r, r->records++, RECORDS_MAX, "records"))
		return r->failure;
	while (kind < N_KINDS + MW__N_OWN_LISTS && !is_word(key_of_kind(kind), key, len))
		kind++;
	if (is_record && kind == N_KINDS + MW__N_OWN_LISTS)
		return 0;
	int rc = parse_line(r, &line);

	if (rc < 0)
		return rc;
	if (!is_record)
		return mw__reader_fail(r, "this is no record: it does not begin with its kind");
	json_object_object_get_ex(line, key_of_kind(kind), &o);
	return kind < N_KINDS ? kinds[kind].read(r, o) : mw__read_own_list(r, &mw__own_lists[kind - N_KINDS], o);
}

static int read_object(struct mw__reader *r)
{
	MW_CLEANUP(put_json) struct json_object *head = NULL;

	if (!r->lines->line.n)
		return mw__reader_fail(r, "the line is empty");
	if (r->has_head)
		return read_record(r);
	int rc = parse_line(r, &head);

	r->has_head = true;
	return rc < 0 ? rc : read_head(r, head);
}

/* Up to its end. */
static int read_lines(struct mw__reader *r)
{
	int rc;

	while (!r->has_end && (rc = mw__save_lines_next(r->lines, r->err)) != 0) {
		if (rc > 0)
			rc = read_object(r);
		if (rc < 0)
			return rc;
	}
	if (!r->has_head)
		return mw__fail(r->err, MW_E_FORMAT, 0, "%s: %s", r->lines->name,
				r->lines->line_no ? "a snapshot is missing" : "the file is empty");
	if (!r->has_end)
		return mw__reader_fail(r, "the file ends here, but its end is missing: it was cut off");
	rc = close_image(r);
	if (rc == 0 && r->snap->smaps)
		rc = extend_smaps(r);
	return rc;
}

static int freeze(struct mw__reader *r)
{
	struct mw_err err;
	int rc = mw__snapshot_freeze(r->snap, &err);

	return rc ? mw__fail(r->err, (enum mw_errcode)-rc, 0, "%.80s: %.160s", r->lines->name, err.text) : 0;
}

static void free_reader(struct mw__reader **rp)
{
	struct mw__reader *r = *rp;

	if (!r)
		return;
	mw_snapshot_destroy(r->snap);
	if (r->tokener)
		json_tokener_free(r->tokener);
	MW_VEC_FREE(&r->segments);
	MW_VEC_FREE(&r->sections);
	MW_VEC_FREE(&r->symbols);
	MW_VEC_FREE(&r->reloc_pages);
	free(r);
}

static struct mw__reader *create_reader(struct mw__save_lines *lines, struct mw_err *err)
{
	struct mw__reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->lines = lines;
	r->err = err;
	r->tokener = json_tokener_new_ex(DEPTH_MAX);
	r->snap = calloc(1, sizeof(*r->snap));
	if (!r->tokener || !r->snap) {
		free_reader(&r);
		return NULL;
	}
	mw__snapshot_init(r->snap);
	json_tokener_set_flags(r->tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	return r;
}

int mw__save_read_lines(struct mw__save_lines *lines, struct mw_snapshot **ret, struct mw_err *err)
{
	MW_CLEANUP(free_reader) struct mw__reader *r = create_reader(lines, err);

	if (!r)
		return mw__fail_nomem(err, lines->name);
	int rc = read_lines(r);

	if (rc == 0)
		rc = freeze(r);
	if (rc == 0) {
		*ret = r->snap;
		r->snap = NULL;
	}
	return rc;
}

static void free_lines(struct mw__save_lines **lines)
{
	if (*lines)
		mw__save_lines_deinit(*lines);
	free(*lines);
}

int mw__save_read(FILE *file, const char *name, struct mw_snapshot **ret, struct mw_err *err)
{
	MW_CLEANUP(free_lines) struct mw__save_lines *lines = calloc(1, sizeof(*lines));
	struct mw_snapshot *snap = NULL;

	if (!lines)
		return mw__fail_nomem(err, name);
	lines->file = file;
	lines->name = name;
	int rc = mw__save_read_lines(lines, &snap, err);

	if (rc == 0)
		rc = mw__save_lines_next(lines, err);
	if (rc > 0)
		rc = mw__fail(err, MW_E_FORMAT, 0, "%.80s: line %llu: there is more behind the end", name,
			      (unsigned long long)lines->line_no);
	if (rc < 0)
		mw_snapshot_destroy(snap);
	else
		*ret = snap;
	return rc;
}

int mw__save_read_path(const char *path, struct mw_snapshot **ret, struct mw_err *err)
{
	MW_CLEANUP(mw__fclosep) FILE *file = fopen(path, "re");

	if (!file)
		return mw__fail(err, errno == ENOENT ? MW_E_NOT_FOUND : MW_E_OS, errno, "%s: open", path);
	return mw__save_read(file, path, ret, err);
}
