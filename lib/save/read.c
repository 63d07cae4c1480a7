/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * File to snapshot. The file is hostile: lines are read one by one and bounded, json-c
 * parses them with bounded depth, every member is checked for type and range, and what
 * the lines add up to is checked by the freeze. Only this file
 * and recording_read.c include json-c.
 */
#include "save.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/gzip.h"
#include "../base/str.h"
#include "fields.h"
#include "own_fields.h"

#define DEPTH_MAX 8

/* More than any process has, and few enough for the memory of a desktop. */
enum {
	VMAS_MAX = 1 << 22, RUNS_MAX = 1 << 26, FILES_MAX = 1 << 22, IMAGES_MAX = 1 << 16,
	PARTS_MAX = 1 << 20,	/* segments or sections of one image */
	TASKS_MAX = 1 << 22, CLAIMS_MAX = 1 << 22, NOTES_MAX = 1 << 16,
	SYMBOLS_MAX = 1 << 25,	/* or relocated pages of one image */
	FRAMES_MAX = 1 << 28, SOURCES_MAX = 1 << 20,
};

struct reader {
	FILE *file;
	struct mw__gunzip gz;	/* open if the file is compressed */
	bool is_started, read_failed;
	const char *name;
	struct mw_err *err;
	struct mw_snapshot *snap;
	struct json_tokener *tokener;
	int failure;		/* why an element could not be added */
	struct mw__str line;
	uint64_t line_no, records;
	bool has_end;
	size_t n_smaps, cap_smaps;	/* of snap->smaps */
	MW_VEC(struct mw__segment) segments;	/* of the image read last */
	MW_VEC(struct mw__section) sections;
	struct mw__detail *detail;
	MW_VEC(struct mw__symbol) symbols;
	MW_VEC(struct mw__reloc_page) reloc_pages;
	size_t n_classes;	/* of the heap */
	size_t start, n;	/* unread bytes of buf */
	char buf[16384];
};

__attribute__((format(printf, 2, 3)))
static int fail(struct reader *r, const char *fmt, ...)
{
	char why[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return mw__fail(r->err, MW_E_FORMAT, 0, "%.80s: line %llu: %s", r->name,
			(unsigned long long)r->line_no, why);
}

static int fail_nomem(struct reader *r)
{
	return mw__fail_nomem(r->err, r->name);
}

/* -------------------------------------------------------------------- lines */

/* The first bytes tell whether the file is compressed. 0 or -MW_E_NOMEM. */
static int start(struct reader *r)
{
	r->is_started = true;
	r->n = fread(r->buf, 1, sizeof(r->buf), r->file);
	if (!mw__is_gzip(r->buf, r->n))
		return 0;
	size_t n = r->n;

	r->n = 0;
	return mw__gunzip_begin(&r->gz, r->file, r->buf, n, MW__SAVE_EXPANDED_MAX);
}

/* More bytes in buf. False at the end of the file, and when reading fails. */
static bool refill(struct reader *r)
{
	long n = 0;

	r->start = 0;
	if (!r->is_started && start(r) < 0) {
		r->line.failed = true;
		return false;
	}
	if (r->n)
		return true;
	if (r->gz.is_open)
		n = mw__gunzip_read(&r->gz, r->buf, sizeof(r->buf));
	else
		n = (long)fread(r->buf, 1, sizeof(r->buf), r->file);
	r->read_failed = n < 0 || ferror(r->file);
	r->n = n > 0 ? (size_t)n : 0;
	return r->n > 0;
}

/* Move bytes to line, up to a newline. True when there was one. */
static bool take_bytes(struct reader *r)
{
	const char *from = r->buf + r->start, *end = from + r->n;
	const char *newline = mw__find(from, end, '\n');
	size_t len = newline - from;

	mw__str_add(&r->line, from, len);
	len += newline < end;
	r->start += len;
	r->n -= len;
	return newline < end;
}

/* The next line without its newline. 1, 0 at the end, or an error. */
static int read_line(struct reader *r)
{
	bool has_all = false;

	mw__str_reset(&r->line);
	while (!has_all && (r->n || refill(r))) {
		has_all = take_bytes(r);
		if (r->line.failed)
			return fail_nomem(r);
		if (r->line.n > MW__SAVE_LINE_MAX) {
			r->line_no++;
			return fail(r, "longer than %u bytes", MW__SAVE_LINE_MAX);
		}
	}
	if (r->line.failed)
		return fail_nomem(r);
	if (r->read_failed && r->gz.why)
		return mw__fail(r->err, MW_E_FORMAT, 0, "%.80s: %s", r->name, r->gz.why);
	if (r->read_failed)
		return mw__fail(r->err, MW_E_OS, errno, "%s: read", r->name);
	if (!has_all && !r->line.n)
		return 0;
	r->line_no++;
	return 1;
}

/* -------------------------------------------------------------------- values */

static int read_text(struct reader *r, const char *key, struct json_object *o, const char **ret)
{
	if (!o) {
		*ret = NULL;
		return 0;
	}
	if (!json_object_is_type(o, json_type_string))
		return fail(r, "%s is not a text", key);
	const char *text = json_object_get_string(o);
	size_t len = (size_t)json_object_get_string_len(o);

	if (strlen(text) != len)
		return fail(r, "%s has a NUL in it", key);
	*ret = mw__arena_intern(&r->snap->arena, text, len);
	return *ret ? 0 : fail_nomem(r);
}

/* A whole number below limit. */
static int read_number(struct reader *r, const char *key, struct json_object *o, uint64_t limit,
		       uint64_t *ret)
{
	if (!json_object_is_type(o, json_type_int) || json_object_get_int64(o) < 0)
		return fail(r, "%s is not a whole number", key);
	*ret = json_object_get_uint64(o);
	return *ret < limit ? 0 : fail(r, "%s is too large", key);
}

static int read_addr(struct reader *r, const char *key, struct json_object *o, uint64_t *ret)
{
	const char *text = json_object_is_type(o, json_type_string) ? json_object_get_string(o) : "";
	const char *p = text + 2, *end = text + strlen(text);

	if (text[0] != '0' || text[1] != 'x' || !mw__parse_hex(&p, end, ret) || p != end ||
	    *ret == MW_UNKNOWN)
		return fail(r, "%s is not an address like \"0x1000\"", key);
	return 0;
}

static int read_name(struct reader *r, const struct mw__field *field, struct json_object *o,
		     uint64_t *ret)
{
	const char *text = json_object_is_type(o, json_type_string) ? json_object_get_string(o) : "";
	const char *name;

	for (unsigned i = 0; (name = field->name(i)); i++) {
		if (!strcmp(name, text)) {
			*ret = i;
			return 0;
		}
	}
	return fail(r, "%s: '%.40s' is not known", field->key, text);
}

static int read_char(struct reader *r, const char *key, struct json_object *o, uint64_t *ret)
{
	const char *text = json_object_is_type(o, json_type_string) ? json_object_get_string(o) : "";

	if (strlen(text) != 1)
		return fail(r, "%s is not one character", key);
	*ret = (unsigned char)*text;
	return 0;
}

static bool is_unlimited(struct json_object *o)
{
	return json_object_is_type(o, json_type_string) && !strcmp(json_object_get_string(o), "unlimited");
}

/* A member that is stored as a number of some size. */
static int read_scalar(struct reader *r, const struct mw__field *field, struct json_object *o,
		       uint64_t *ret)
{
	if (!o && field->kind <= MW__F_LIMIT) {
		*ret = mw__field_unknown(field);
		return 0;
	}
	switch ((enum mw__field_kind)field->kind) {
	case MW__F_ADDR:
		return read_addr(r, field->key, o, ret);
	case MW__F_LIMIT:
		*ret = MW__NO_LIMIT;
		return is_unlimited(o) ? 0 : read_number(r, field->key, o, MW__NO_LIMIT, ret);
	case MW__F_PID:
		return read_number(r, field->key, o, (uint64_t)INT_MAX + 1, ret);
	case MW__F_BOOL:
		*ret = json_object_get_boolean(o);
		return json_object_is_type(o, json_type_boolean) ? 0 :
		       fail(r, "%s is neither true nor false", field->key);
	case MW__F_CHAR:
		return read_char(r, field->key, o, ret);
	case MW__F_NAME:
		return read_name(r, field, o, ret);
	default:
		return read_number(r, field->key, o, mw__field_unknown(field), ret);
	}
}

static int read_member(struct reader *r, const struct mw__field *field, struct json_object *o,
		       void *base)
{
	uint64_t v = 0;

	if (field->kind == MW__F_TEXT) {
		const char *text = NULL;
		int rc = read_text(r, field->key, o, &text);

		if (rc == 0)
			memcpy((char *)base + field->off, &text, sizeof(text));
		return rc;
	}
	int rc = read_scalar(r, field, o, &v);

	if (rc == 0)
		mw__field_store(base, field, v);
	return rc;
}

/* All members that are there; the others stay unknown. */
static int read_struct(struct reader *r, const struct mw__fields *fields, struct json_object *o,
		       const char *key, void *base)
{
	mw__fields_init(fields, base);
	if (!json_object_is_type(o, json_type_object))
		return fail(r, "%s is not an object", key);
	for (size_t i = 0; i < fields->n; i++) {
		struct json_object *value;
		int rc = 0;

		if (json_object_object_get_ex(o, fields->v[i].key, &value))
			rc = read_member(r, &fields->v[i], value, base);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* [VALUE,...]: all members of the table, in its order; a later version may have more, an earlier one fewer. */
static int read_row(struct reader *r, const struct mw__fields *fields, struct json_object *o, const char *key, void *base)
{
	mw__fields_init(fields, base);
	if (!json_object_is_type(o, json_type_array) || json_object_array_length(o) < (fields->first ? fields->first : fields->n))
		return fail(r, "%s: not a row of %zu values", key, fields->n);
	for (size_t i = 0; i < fields->n && i < json_object_array_length(o); i++) {
		int rc = read_member(r, &fields->v[i], json_object_array_get_idx(o, i), base);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ------------------------------------------------------------------- records */

static bool has_room(struct reader *r, size_t n, size_t max, const char *what)
{
	if (n >= max)
		r->failure = fail(r, "too many %s", what);
	return n < max;
}

/* A new element, or NULL and r->failure. */
#define ADD(r, vec, max, what)                                                  \
	({                                                                      \
		__typeof__((vec)->v) elem_ = NULL;                              \
		if (has_room(r, (vec)->n, max, what)) {                         \
			elem_ = MW_VEC_PUSH(vec);                               \
			if (!elem_)                                             \
				(r)->failure = fail_nomem(r);                   \
		}                                                               \
		elem_;                                                          \
	})

/* [page, pages, state], counted from the start of the mapping. */
static int read_run(struct reader *r, const struct mw__vma *vma, struct json_object *o)
{
	uint64_t v[3] = { 0 };

	if (!json_object_is_type(o, json_type_array) || json_object_array_length(o) != 3)
		return fail(r, "a run is not [page, pages, state]");
	for (size_t i = 0; i < 3; i++) {
		uint64_t limit = i == 0 ? UINT64_C(1) << 52 : UINT32_MAX;
		int rc = read_number(r, "run", json_object_array_get_idx(o, i), limit, &v[i]);

		if (rc < 0)
			return rc;
	}
	struct mw__run *run = ADD(r, &r->snap->runs, RUNS_MAX, "runs");

	if (!run)
		return r->failure;
	if (__builtin_mul_overflow(v[0], r->snap->target.page_size, &run->start) ||
	    __builtin_add_overflow(run->start, vma->start, &run->start))
		return fail(r, "a run starts behind the end of memory");
	run->pages = (uint32_t)v[1];
	run->state = (uint32_t)v[2];
	return 0;
}

static int read_runs(struct reader *r, struct json_object *o)
{
	struct mw_snapshot *snap = r->snap;

	if (!snap->vmas.n)
		return fail(r, "runs without a mapping before");
	if (!json_object_is_type(o, json_type_array))
		return fail(r, "runs is not a list");
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
static int read_cached(struct reader *r, struct mw__vma *vma, struct json_object *o)
{
	uint64_t v[2] = { 0 };

	if (!json_object_is_type(o, json_type_array) || json_object_array_length(o) != 2)
		return fail(r, "pages in the cache are not [page, pages]");
	for (size_t i = 0; i < 2; i++) {
		int rc = read_number(r, "cache", json_object_array_get_idx(o, i), i ? UINT32_MAX : UINT64_C(1) << 52, &v[i]);

		if (rc < 0)
			return rc;
	}
	struct mw__run *run = ADD(r, &r->snap->cache, RUNS_MAX, "pages in the cache");

	if (!run)
		return r->failure;
	if (__builtin_mul_overflow(v[0], r->snap->target.page_size, &run->start) ||
	    __builtin_add_overflow(run->start, vma->start, &run->start))
		return fail(r, "pages in the cache start behind the end of memory");
	run->pages = (uint32_t)v[1];
	run->state = MW__OF_FILE;
	if (!vma->n_cache++)
		vma->cache = (uint32_t)(r->snap->cache.n - 1);
	return 0;
}

static int read_cache(struct reader *r, struct json_object *o)
{
	struct mw_snapshot *snap = r->snap;

	if (!snap->vmas.n)
		return fail(r, "cache without a mapping before");
	if (!json_object_is_type(o, json_type_array))
		return fail(r, "cache is not a list");
	for (size_t i = 0; i < json_object_array_length(o); i++) {
		int rc = read_cached(r, &snap->vmas.v[snap->vmas.n - 1], json_object_array_get_idx(o, i));

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Let snap->smaps have as many elements as there are mappings. */
static int extend_smaps(struct reader *r)
{
	while (r->n_smaps < r->snap->vmas.n) {
		if (r->n_smaps == r->cap_smaps) {
			void *v = mw__vec_grow(r->snap->smaps, &r->cap_smaps, sizeof(*r->snap->smaps));

			if (!v)
				return fail_nomem(r);
			r->snap->smaps = v;
		}
		mw__smaps_init(&r->snap->smaps[r->n_smaps++]);
	}
	return 0;
}

static int read_smaps(struct reader *r, struct json_object *o)
{
	int rc = extend_smaps(r);

	return rc ? rc : read_struct(r, &mw__smaps_fields, o, "smaps", &r->snap->smaps[r->n_smaps - 1]);
}

static int read_vma(struct reader *r, struct json_object *o)
{
	struct json_object *part;
	struct mw__vma *vma = ADD(r, &r->snap->vmas, VMAS_MAX, "mappings");
	int rc = vma ? read_struct(r, &mw__vma_fields, o, "vma", vma) : r->failure;

	if (rc == 0 && json_object_object_get_ex(o, "smaps", &part))
		rc = read_smaps(r, part);
	if (rc == 0 && json_object_object_get_ex(o, "runs", &part))
		rc = read_runs(r, part);
	return rc;
}

static int read_file(struct reader *r, struct json_object *o)
{
	struct mw__file *file = ADD(r, &r->snap->files, FILES_MAX, "files");

	return file ? read_struct(r, &mw__file_fields, o, "file", file) : r->failure;
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
				rc_ = fail_nomem(r);                                                 \
		}                                                                                    \
		*(list) = copy_;                                                                     \
		*(count) = (uint32_t)(vec)->n;                                                          \
		(vec)->n = 0;                                                                        \
		rc_;                                                                                 \
	})

/* The image read last gets the parts that were read after it. */
static int close_image(struct reader *r)
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

static int read_image(struct reader *r, struct json_object *o)
{
	int rc = close_image(r);

	if (rc < 0)
		return rc;
	struct mw__image *image = ADD(r, &r->snap->images, IMAGES_MAX, "images");

	return image ? read_struct(r, &mw__image_fields, o, "image", image) : r->failure;
}

/* A list: call read_one for each. */
static int read_rows(struct reader *r, struct json_object *o, const char *key,
		     int (*read_one)(struct reader *r, struct json_object *o))
{
	if (!json_object_is_type(o, json_type_array))
		return fail(r, "%s is not a list", key);
	for (size_t i = 0; i < json_object_array_length(o); i++) {
		int rc = read_one(r, json_object_array_get_idx(o, i));

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* A list that belongs to an image. */
static int read_parts(struct reader *r, struct json_object *o, const char *key,
		      int (*read_one)(struct reader *r, struct json_object *o))
{
	return r->snap->images.n ? read_rows(r, o, key, read_one) : fail(r, "%s without an image before", key);
}

static int read_segment(struct reader *r, struct json_object *o)
{
	struct mw__segment *segment = ADD(r, &r->segments, PARTS_MAX, "segments");

	return segment ? read_struct(r, &mw__segment_fields, o, "segment", segment) : r->failure;
}

static int read_section(struct reader *r, struct json_object *o)
{
	struct mw__section *section = ADD(r, &r->sections, PARTS_MAX, "sections");
	int rc = section ? read_struct(r, &mw__section_fields, o, "section", section) : r->failure;

	if (rc == 0 && !section->name)
		section->name = "";
	return rc;
}

static int read_detail(struct reader *r, struct json_object *o)
{
	if (!r->snap->images.n || r->detail)
		return fail(r, r->detail ? "a second detail of one image" : "detail without an image before");
	r->detail = mw__arena_alloc(&r->snap->arena, sizeof(*r->detail));
	return r->detail ? read_struct(r, &mw__detail_fields, o, "detail", r->detail) : fail_nomem(r);
}

static int read_symbol(struct reader *r, struct json_object *o)
{
	struct mw__symbol *symbol = ADD(r, &r->symbols, SYMBOLS_MAX, "symbols");

	return symbol ? read_row(r, &mw__symbol_fields, o, "symbols", symbol) : r->failure;
}

static int read_reloc_page(struct reader *r, struct json_object *o)
{
	struct mw__reloc_page *page = ADD(r, &r->reloc_pages, SYMBOLS_MAX, "relocated pages");

	return page ? read_row(r, &mw__reloc_page_fields, o, "reloc_pages", page) : r->failure;
}

static int read_symbols(struct reader *r, struct json_object *o)
{
	return r->detail ? read_parts(r, o, "symbols", read_symbol) : fail(r, "symbols without a detail before");
}

static int read_reloc_pages(struct reader *r, struct json_object *o)
{
	return r->detail ? read_parts(r, o, "reloc_pages", read_reloc_page) : fail(r, "reloc_pages without a detail before");
}

static int read_frame(struct reader *r, struct json_object *o)
{
	struct mw__frame *frame = ADD(r, &r->snap->frames, FRAMES_MAX, "frames");

	return frame ? read_row(r, &mw__frame_fields, o, "frames", frame) : r->failure;
}

static int read_source(struct reader *r, struct json_object *o)
{
	struct mw__source_line *line = ADD(r, &r->snap->sources, SOURCES_MAX, "source lines");

	return line ? read_row(r, &mw__source_line_fields, o, "sources", line) : r->failure;
}

static int read_leaf(struct reader *r, struct json_object *o)
{
	struct mw_cpu *cpu = &r->snap->cpu;

	if (!has_room(r, cpu->n, MW__MAX_LEAVES, "leaves of CPUID"))
		return r->failure;
	return read_row(r, &mw__cpuid_fields, o, "cpuid", &cpu->leaves[cpu->n++]);
}

static int read_cpuid(struct reader *r, struct json_object *o)
{
	return read_rows(r, o, "cpuid", read_leaf);
}

static int read_frames(struct reader *r, struct json_object *o)
{
	return read_rows(r, o, "frames", read_frame);
}

static int read_sources(struct reader *r, struct json_object *o)
{
	return read_rows(r, o, "sources", read_source);
}

static int read_segments(struct reader *r, struct json_object *o)
{
	return read_parts(r, o, "segments", read_segment);
}

static int read_sections(struct reader *r, struct json_object *o)
{
	return read_parts(r, o, "sections", read_section);
}

static int read_task(struct reader *r, struct json_object *o)
{
	struct mw__task *task = ADD(r, &r->snap->tasks, TASKS_MAX, "tasks");

	return task ? read_struct(r, &mw__task_fields, o, "task", task) : r->failure;
}

static int read_claim(struct reader *r, struct json_object *o)
{
	struct mw__claim *claim = ADD(r, &r->snap->claims, CLAIMS_MAX, "claims");

	return claim ? read_struct(r, &mw__claim_fields, o, "claim", claim) : r->failure;
}

static int read_note(struct reader *r, struct json_object *o)
{
	struct mw__note *note = ADD(r, &r->snap->notes, NOTES_MAX, "notes");

	return note ? read_struct(r, &mw__note_fields, o, "note", note) : r->failure;
}

/* ---------------------------------------------------------------------- heap */

static int read_own(struct reader *r, struct json_object *o)
{
	struct mw__own *own = r->snap->own ? NULL : mw__arena_alloc(&r->snap->arena, sizeof(*own));

	if (r->snap->own)
		return fail(r, "a second heap");
	if (!own)
		return fail_nomem(r);
	memset(own, 0, sizeof(*own));
	r->snap->own = own;
	return read_struct(r, &mw__own_fields, o, "heap", own);
}

/* Where the next element of a list goes, zeroed; NULL and r->failure. */
static void *add_to_list(struct reader *r, const struct mw__own_list *l)
{
	struct mw__any_vec *vec = (void *)((char *)r->snap->own + l->off);
	size_t *n = l->is_array ? &r->n_classes : &vec->n, size = l->fields->size;

	if (!has_room(r, *n, l->max, l->key))
		return NULL;
	if (l->is_array)
		return (char *)vec + (*n)++ * size;
	if (vec->n == vec->cap) {
		void *v = mw__vec_grow(vec->v, &vec->cap, size);

		if (!v) {
			r->failure = fail_nomem(r);
			return NULL;
		}
		vec->v = v;
	}
	return memset(vec->v + vec->n++ * size, 0, size);
}

static int read_own_list(struct reader *r, const struct mw__own_list *l, struct json_object *o)
{
	if (!r->snap->own)
		return fail(r, "%s without a heap before", l->key);
	if (!json_object_is_type(o, json_type_array))
		return fail(r, "%s is not a list", l->key);
	for (size_t i = 0; i < json_object_array_length(o); i++) {
		void *elem = add_to_list(r, l);
		int rc = elem ? read_row(r, l->fields, json_object_array_get_idx(o, i), l->key, elem) : r->failure;

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_heap_frame(struct reader *r, struct json_object *o)
{
	struct mw__own *own = r->snap->own;
	struct mw__saved_frame row;

	if (!own)
		return fail(r, "heap_frames without a heap before");
	int rc = read_row(r, &mw__saved_frame_fields, o, "heap_frames", &row);

	if (rc < 0)
		return rc;
	if (row.site >= own->sites.n || own->sites.v[row.site].n_frames >= MW__OWN_FRAMES)
		return fail(r, "a frame of a stack that is not there, or full");
	struct mw__own_site *s = &own->sites.v[row.site];

	s->frames[s->n_frames++] = (struct mw__own_frame){ .addr = row.addr, .symbol = row.symbol, .off = row.off, .image = row.image };
	return 0;
}

#define LINES_MAX 256u	/* of functions inlined into each other */

static int read_heap_line(struct reader *r, struct json_object *o)
{
	struct mw__own *own = r->snap->own;
	struct mw__saved_line row;

	if (!own)
		return fail(r, "heap_lines without a heap before");
	int rc = read_row(r, &mw__saved_line_fields, o, "heap_lines", &row);

	if (rc < 0)
		return rc;
	if (row.site >= own->sites.n || row.frame >= own->sites.v[row.site].n_frames ||
	    own->sites.v[row.site].frames[row.frame].n_lines >= LINES_MAX)
		return fail(r, "a source line of a frame that is not there, or full");
	struct mw__own_frame *f = &own->sites.v[row.site].frames[row.frame];
	struct mw__own_line *lines = mw__arena_array(&r->snap->arena, f->n_lines + 1u, sizeof(*lines));

	if (!lines)
		return fail_nomem(r);
	if (f->n_lines)
		memcpy(lines, f->lines, f->n_lines * sizeof(*lines));
	lines[f->n_lines] = (struct mw__own_line){ row.function ? row.function : "", row.file ? row.file : "", row.line };
	f->lines = lines;
	f->n_lines++;
	return 0;
}

static int read_heap_frames(struct reader *r, struct json_object *o)
{
	return read_rows(r, o, "heap_frames", read_heap_frame);
}

static int read_heap_lines(struct reader *r, struct json_object *o)
{
	return read_rows(r, o, "heap_lines", read_heap_line);
}

static int read_end(struct reader *r, struct json_object *o)
{
	struct json_object *records;
	uint64_t n = 0;

	if (!json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, "records", &records))
		return fail(r, "the end does not say how many records there are");
	int rc = read_number(r, "records", records, UINT64_MAX, &n);

	if (rc < 0)
		return rc;
	if (n != r->records)
		return fail(r, "%llu records were written, but %llu are here", (unsigned long long)n,
			    (unsigned long long)r->records);
	r->has_end = true;
	return 0;
}

static const struct {
	const char *key;
	int (*read)(struct reader *r, struct json_object *o);
} kinds[] = {
	{ "vma", read_vma }, { "runs", read_runs }, { "file", read_file }, { "image", read_image },
	{ "segments", read_segments }, { "sections", read_sections }, { "task", read_task },
	{ "claim", read_claim }, { "note", read_note }, { "cache", read_cache }, { "detail", read_detail },
	{ "symbols", read_symbols }, { "reloc_pages", read_reloc_pages }, { "frames", read_frames },
	{ "sources", read_sources }, { "cpuid", read_cpuid }, { "heap", read_own }, { "heap_frames", read_heap_frames },
	{ "heap_lines", read_heap_lines },
};

static int read_record(struct reader *r, struct json_object *line)
{
	struct json_object *o;

	if (json_object_object_get_ex(line, "end", &o))
		return read_end(r, o);
	r->records++;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (json_object_object_get_ex(line, kinds[i].key, &o))
			return kinds[i].read(r, o);
	for (size_t i = 0; i < MW__N_OWN_LISTS; i++)
		if (json_object_object_get_ex(line, mw__own_lists[i].key, &o))
			return read_own_list(r, &mw__own_lists[i], o);
	return 0;
}

/* ---------------------------------------------------------------------- file */

static int check_schema(struct reader *r, struct json_object *head)
{
	struct json_object *o;
	const char *text = json_object_object_get_ex(head, "schema", &o) &&
			   json_object_is_type(o, json_type_string) ? json_object_get_string(o) : "";
	const char *p = text + strlen(MW__SAVE_SCHEMA), *end = text + strlen(text);
	uint64_t major;

	if (strncmp(text, MW__SAVE_SCHEMA, strlen(MW__SAVE_SCHEMA)) != 0 ||
	    !mw__parse_dec(&p, end, &major) || p != end || !major)
		return fail(r, "this is not a snapshot of memwhy");
	if (major > MW__SAVE_MAJOR) {
		int rc = fail(r, "the snapshot has version %.20s, which a newer memwhy wrote",
			      text + strlen(MW__SAVE_SCHEMA));

		mw__hint(r->err, "this memwhy reads version %d", MW__SAVE_MAJOR);
		return rc;
	}
	return 0;
}

static int read_head(struct reader *r, struct json_object *head)
{
	int rc = check_schema(r, head);

	for (size_t i = 0; i < MW__N_HEAD_PARTS && rc == 0; i++) {
		const struct mw__head_part *part = &mw__head_parts[i];
		void *base = (char *)r->snap + part->off;
		struct json_object *o;

		mw__fields_init(part->fields, base);
		if (json_object_object_get_ex(head, part->key, &o))
			rc = read_struct(r, part->fields, o, part->key, base);
	}
	return rc;
}

static void put_json(struct json_object **o)
{
	json_object_put(*o);
}

static int parse_line(struct reader *r, struct json_object **ret)
{
	json_tokener_reset(r->tokener);
	/* with its NUL, which ends a number at the end of the line */
	struct json_object *o = json_tokener_parse_ex(r->tokener, r->line.v, (int)r->line.n + 1);
	enum json_tokener_error error = json_tokener_get_error(r->tokener);

	if (error == json_tokener_success && json_tokener_get_parse_end(r->tokener) >= r->line.n &&
	    json_object_is_type(o, json_type_object)) {
		*ret = o;
		return 0;
	}
	json_object_put(o);
	if (r->line_no == 1)
		return fail(r, "this is not a snapshot of memwhy");
	return fail(r, "not an object of JSON: %s",
		    error == json_tokener_success ? "something else is there" : json_tokener_error_desc(error));
}

static int read_object(struct reader *r)
{
	MW_CLEANUP(put_json) struct json_object *o = NULL;

	if (r->has_end)
		return fail(r, "there is more behind the end");
	if (!r->line.n)
		return fail(r, "the line is empty");
	int rc = parse_line(r, &o);

	if (rc < 0)
		return rc;
	return r->line_no == 1 ? read_head(r, o) : read_record(r, o);
}

static int read_lines(struct reader *r)
{
	int rc;

	while ((rc = read_line(r)) > 0) {
		rc = read_object(r);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	if (!r->line_no)
		return mw__fail(r->err, MW_E_FORMAT, 0, "%s: the file is empty", r->name);
	if (!r->has_end)
		return fail(r, "the file ends here, but its end is missing: it was cut off");
	rc = close_image(r);
	if (rc == 0 && r->snap->smaps)
		rc = extend_smaps(r);
	return rc;
}

static int freeze(struct reader *r)
{
	struct mw_err err;
	int rc = mw__snapshot_freeze(r->snap, &err);

	return rc ? mw__fail(r->err, (enum mw_errcode)-rc, 0, "%.80s: %.160s", r->name, err.text) : 0;
}

static void free_reader(struct reader **rp)
{
	struct reader *r = *rp;

	if (!r)
		return;
	mw_snapshot_destroy(r->snap);
	if (r->tokener)
		json_tokener_free(r->tokener);
	mw__str_deinit(&r->line);
	mw__gunzip_end(&r->gz);
	MW_VEC_FREE(&r->segments);
	MW_VEC_FREE(&r->sections);
	MW_VEC_FREE(&r->symbols);
	MW_VEC_FREE(&r->reloc_pages);
	free(r);
}

static struct reader *create_reader(FILE *file, const char *name, struct mw_err *err)
{
	struct reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->file = file;
	r->name = name;
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

int mw__save_read(FILE *file, const char *name, struct mw_snapshot **ret, struct mw_err *err)
{
	MW_CLEANUP(free_reader) struct reader *r = create_reader(file, name, err);

	if (!r)
		return mw__fail_nomem(err, name);
	int rc = read_lines(r);

	if (rc == 0)
		rc = freeze(r);
	if (rc == 0) {
		*ret = r->snap;
		r->snap = NULL;
	}
	return rc;
}

int mw__save_read_path(const char *path, struct mw_snapshot **ret, struct mw_err *err)
{
	MW_CLEANUP(mw__fclosep) FILE *file = fopen(path, "re");

	if (!file)
		return mw__fail(err, errno == ENOENT ? MW_E_NOT_FOUND : MW_E_OS, errno, "%s: open", path);
	return mw__save_read(file, path, ret, err);
}
