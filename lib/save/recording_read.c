/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * File to recording. The file is hostile: lines are bounded, json-c parses them with bounded depth, every
 * element is checked for its type, and the freeze checks what they add up to. The snapshots behind the end
 * are read by the snapshot reader, which trusts nothing either.
 */
#include "recording.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/count.h"
#include "../base/err.h"
#include "save.h"

#define DEPTH_MAX 8
enum {
	RECORDS_MAX = 1 << 24,
	FAULTS_MAX = 1 << 28, MOVES_MAX = 1 << 24, CHAINS_MAX = 1 << 29, OBJECTS_MAX = 1 << 16, PARTS_MAX = 1 << 20,
	MARKS_MAX = 1 << 16, NOTES_MAX = 1 << 12,
};

struct reader {
	struct mw__save_lines lines;
	struct mw_err *err;
	struct mw_recording *rec;
	struct json_tokener *tokener;
	uint64_t records;
	bool has_end, has_before, has_after;
	bool lost_text;		/* for want of memory, not because it was none */
	int failure;		/* why an element could not be added */
	MW_VEC(struct mw__segment) segments;	/* of the object read last */
	MW_VEC(struct mw__section) sections;
	MW_VEC(struct mw__fault_symbol) symbols;
};

static int fail(struct reader *r, const char *why)
{
	if (r->lost_text)
		return mw__fail_nomem(r->err, r->lines.name);
	return mw__fail(r->err, MW_E_FORMAT, 0, "%.80s: line %llu: %s", r->lines.name, (unsigned long long)r->lines.line_no, why);
}

static int fail_nomem(struct reader *r)
{
	return mw__fail_nomem(r->err, r->lines.name);
}

/* A new element, or NULL and r->failure. */
#define ADD(r, vec, max, what)                                                  \
	({                                                                      \
		__typeof__((vec)->v) elem_ = (vec)->n < (max) ? MW_VEC_PUSH(vec) : NULL; \
		if (!elem_)                                                     \
			(r)->failure = (vec)->n < (max) ? fail_nomem(r) : fail(r, "too many " what); \
		elem_;                                                          \
	})

/* ------------------------------------------------------------------ elements */

/* An unsigned number; null is MW_UNKNOWN. */
static bool get_u64(struct json_object *v, uint64_t *ret)
{
	if (!v) {
		*ret = MW_UNKNOWN;
		return true;
	}
	if (json_object_get_type(v) != json_type_int || (json_object_get_int64(v) < 0))
		return false;
	*ret = json_object_get_uint64(v);
	return true;
}

/* A text into the arena, once for equal ones; NULL when it is none. */
static const char *get_text(struct reader *r, struct json_object *v)
{
	if (!v || json_object_get_type(v) != json_type_string)
		return NULL;
	const char *text = mw__arena_intern(&r->rec->arena, json_object_get_string(v), (size_t)json_object_get_string_len(v));

	r->lost_text |= !text;
	return text;
}

/* The n numbers at the front of an array, and the text behind them when text is not NULL. */
static int get_tuple(struct reader *r, struct json_object *a, uint64_t *v, size_t n, const char **text)
{
	if (!a || json_object_get_type(a) != json_type_array || json_object_array_length(a) < n + (text != NULL))
		return fail(r, "an element is no list, or too short");
	for (size_t i = 0; i < n; i++)
		if (!get_u64(json_object_array_get_idx(a, i), &v[i]))
			return fail(r, "an element is not a number");
	if (!text)
		return 0;
	*text = get_text(r, json_object_array_get_idx(a, n));
	return *text ? 0 : fail(r, "an element is not a text");
}

static bool fits(const uint64_t *v, size_t n, uint64_t max)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] > max) /* NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult) */
			return false;
	return true;
}

static int add_segment(struct reader *r, struct json_object *a)
{
	uint64_t v[7];
	int rc = get_tuple(r, a, v, 7, NULL);

	if (rc < 0)
		return rc;
	struct mw__segment *s = ADD(r, &r->segments, PARTS_MAX, "segments");

	if (!s)
		return r->failure;
	*s = (struct mw__segment){ (uint32_t)v[0], (uint32_t)v[1], v[2], v[3], v[4], v[5], v[6] };
	return 0;
}

static int add_section(struct reader *r, struct json_object *a)
{
	uint64_t v[5];
	const char *name;
	int rc = get_tuple(r, a, v, 5, &name);

	if (rc < 0)
		return rc;
	struct mw__section *s = ADD(r, &r->sections, PARTS_MAX, "sections");

	if (!s)
		return r->failure;
	*s = (struct mw__section){ .name = name, .type = (uint32_t)v[0], .flags = v[1], .addr = v[2], .size = v[3], .off = v[4] };
	return 0;
}

static int add_symbol(struct reader *r, struct json_object *a)
{
	uint64_t v[2];
	const char *name;
	int rc = get_tuple(r, a, v, 2, &name);

	if (rc < 0)
		return rc;
	struct mw__fault_symbol *s = ADD(r, &r->symbols, PARTS_MAX, "symbols");

	if (!s)
		return r->failure;
	*s = (struct mw__fault_symbol){ v[0], v[1], name };
	return 0;
}

static int add_move(struct reader *r, struct json_object *a)
{
	uint64_t v[10];
	const char *name;
	int rc = get_tuple(r, a, v, 10, &name);

	if (rc < 0)
		return rc;
	if (v[1] >= MW__N_MOVES || !fits(&v[2], 3, UINT32_MAX) || v[9] > 7 || (v[8] != MW_UNKNOWN && v[8] >= MW__NONE))
		return fail(r, "a change out of range");
	struct mw__move *m = ADD(r, &r->rec->moves, MOVES_MAX, "changes");

	if (!m)
		return r->failure;
	*m = (struct mw__move){ .time_ns = v[0], .kind = (uint8_t)v[1], .pid = (uint32_t)v[2], .tid = (uint32_t)v[3],
				.parent = (uint32_t)v[4], .start = v[5], .end = v[6], .off = v[7],
				.object = v[8] == MW_UNKNOWN ? MW__NONE : (uint32_t)v[8], .prot = (uint8_t)v[9], .name = name };
	return 0;
}

static int add_mark(struct reader *r, struct json_object *a)
{
	uint64_t v[3];
	const char *rule;
	int rc = get_tuple(r, a, v, 3, &rule);

	if (rc < 0)
		return rc;
	if (v[1] >= MW__N_PHASES || v[2] > MW__PROVEN)
		return fail(r, "a mark out of range");
	struct mw__mark *m = ADD(r, &r->rec->marks, MARKS_MAX, "marks");

	if (!m)
		return r->failure;
	*m = (struct mw__mark){ v[0], (uint8_t)v[1], (uint8_t)v[2], rule };
	return 0;
}

static int add_chain(struct reader *r, struct json_object *v)
{
	uint64_t ip;

	if (!get_u64(v, &ip))
		return fail(r, "an element is not a number");
	uint64_t *slot = ADD(r, &r->rec->chains, CHAINS_MAX, "callers");

	if (!slot)
		return r->failure;
	*slot = ip;
	return 0;
}

static int add_fault(struct reader *r, struct json_object *a)
{
	uint64_t v[8];
	int rc = get_tuple(r, a, v, 8, NULL);

	if (rc < 0)
		return rc;
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
	if (!fits(&v[1], 2, UINT32_MAX) || v[5] > 1 || v[7] > UINT16_MAX || (v[7] && v[6] >= MW__NONE))
		return fail(r, "a fault out of range");
	struct mw__fault *f = ADD(r, &r->rec->faults, FAULTS_MAX, "faults");

	if (!f)
		return r->failure;
	*f = (struct mw__fault){ .time_ns = v[0], .pid = (uint32_t)v[1], .tid = (uint32_t)v[2], .addr = v[3], .ip = v[4],
				 .is_major = v[5], .chain = v[7] ? (uint32_t)v[6] : MW__NONE, .n_chain = (uint16_t)v[7] };
	return 0;
}

/* ------------------------------------------------------------------- records */

/* The parts read so far belong to the last object. */
static int close_object(struct reader *r)
{
	struct mw__object_file *o = r->rec->objects.n ? &r->rec->objects.v[r->rec->objects.n - 1] : NULL;
	struct mw__segment *segs = mw__arena_array(&r->rec->arena, r->segments.n, sizeof(*segs));
	struct mw__section *secs = mw__arena_array(&r->rec->arena, r->sections.n, sizeof(*secs));
	struct mw__fault_symbol *syms = mw__arena_array(&r->rec->arena, r->symbols.n, sizeof(*syms));

	if (!segs || !secs || !syms)
		return fail_nomem(r);
	if (!o)
		return r->segments.n || r->sections.n || r->symbols.n ? fail(r, "parts of a file before the file") : 0;
	if (r->segments.n)
		memcpy(segs, r->segments.v, r->segments.n * sizeof(*segs));
	if (r->sections.n)
		memcpy(secs, r->sections.v, r->sections.n * sizeof(*secs));
	if (r->symbols.n)
		memcpy(syms, r->symbols.v, r->symbols.n * sizeof(*syms));
	o->image.segments = segs;
	o->image.n_segments = (uint32_t)r->segments.n;
	o->image.sections = secs;
	o->image.n_sections = (uint32_t)r->sections.n;
	o->symbols = syms;
	o->n_symbols = (uint32_t)r->symbols.n;
	r->segments.n = r->sections.n = r->symbols.n = 0;
	return 0;
}

static int add_object(struct reader *r, struct json_object *v)
{
	struct json_object *path = NULL, *id = NULL, *has = NULL, *class = NULL;
	int rc = close_object(r);

	if (rc < 0)
		return rc;
	json_object_object_get_ex(v, "path", &path);
	json_object_object_get_ex(v, "build_id", &id);
	json_object_object_get_ex(v, "has_symbols", &has);
	json_object_object_get_ex(v, "elf_class", &class);
	struct mw__object_file *o = ADD(r, &r->rec->objects, OBJECTS_MAX, "files");

	if (!o)
		return r->failure;
	o->path = get_text(r, path);
	o->image.path = o->path;
	o->image.file = MW__NONE;
	o->image.build_id = get_text(r, id);
	o->image.elf_class = json_object_get_int(class) == 32 ? 32 : 64;
	o->has_symbols = json_object_get_boolean(has);
	return o->path ? 0 : fail(r, "a file without path");
}

static int add_note(struct reader *r, struct json_object *v)
{
	if (!v || json_object_get_type(v) != json_type_array || json_object_array_length(v) < 3)
		return fail(r, "a note is no list of three");
	struct mw__recording_note n = {
		get_text(r, json_object_array_get_idx(v, 0)), get_text(r, json_object_array_get_idx(v, 1)),
		get_text(r, json_object_array_get_idx(v, 2)),
	};

	if (!n.source || !n.reason)
		return fail(r, "a note without text");
	struct mw__recording_note *slot = ADD(r, &r->rec->notes, NOTES_MAX, "notes");

	if (!slot)
		return r->failure;
	*slot = n;
	return 0;
}

static int read_end(struct reader *r, struct json_object *v)
{
	struct json_object *n = NULL, *before = NULL, *after = NULL;
	uint64_t records;

	json_object_object_get_ex(v, "records", &n);
	json_object_object_get_ex(v, "before", &before);
	json_object_object_get_ex(v, "after", &after);
	if (!get_u64(n, &records) || records != r->records)
		return fail(r, "the number of records is another one: something is missing");
	r->has_end = true;
	r->has_before = json_object_get_boolean(before);
	r->has_after = json_object_get_boolean(after);
	return 0;
}

static const struct {
	const char *key;
	int (*each)(struct reader *, struct json_object *);	/* for each element of a list */
	int (*one)(struct reader *, struct json_object *);
} kinds[] = {
	{ "faults", add_fault, NULL },	   { "moves", add_move, NULL },	    { "chains", add_chain, NULL },
	{ "symbols", add_symbol, NULL },   { "sections", add_section, NULL }, { "segments", add_segment, NULL },
	{ "marks", add_mark, NULL },	   { "object", NULL, add_object },    { "note", NULL, add_note },
	{ "end", NULL, read_end },
};

static int read_each(struct reader *r, struct json_object *list, int (*each)(struct reader *, struct json_object *))
{
	int rc = 0;

	if (!list || json_object_get_type(list) != json_type_array)
		return fail(r, "a list is missing");
	for (size_t i = 0; i < json_object_array_length(list) && rc == 0; i++)
		rc = each(r, json_object_array_get_idx(list, i));
	return rc;
}

static int read_record(struct reader *r, struct json_object *line)
{
	if (r->records >= RECORDS_MAX)
		return fail(r, "too many records");
	for (size_t i = 0; i < MW__COUNT(kinds); i++) {
		struct json_object *v = NULL;

		if (!json_object_object_get_ex(line, kinds[i].key, &v))
			continue;
		int rc = kinds[i].each ? read_each(r, v, kinds[i].each) : kinds[i].one(r, v);

		r->records++;
		return rc;
	}
	r->records++;	/* of a later minor version */
	return 0;
}

static int read_head(struct reader *r, struct json_object *head)
{
	struct json_object *v = NULL;
	const char *schema;
	uint64_t pid;

	json_object_object_get_ex(head, "schema", &v);
	schema = v && json_object_get_type(v) == json_type_string ? json_object_get_string(v) : "";
	if (strncmp(schema, MW__FAULTS_SCHEMA, strlen(MW__FAULTS_SCHEMA)))
		return fail(r, "not a recording of memwhy faults");
	if (strcmp(schema + strlen(MW__FAULTS_SCHEMA), MW__FAULTS_MAJOR))
		return fail(r, "written by a newer memwhy");
	for (size_t i = 0; i < mw__n_faults_numbers; i++) {
		const struct mw__faults_number *n = &mw__faults_numbers[i];
		char *at = (char *)r->rec + n->off;

		v = NULL;
		json_object_object_get_ex(head, n->key, &v);
		if (n->is_flag)
			*(bool *)at = json_object_get_boolean(v);
		else if (!get_u64(v, (uint64_t *)at))
			return fail(r, "a number of the head is none");
	}
	v = NULL;
	json_object_object_get_ex(head, "pid", &v);
	if (!get_u64(v, &pid) || pid > INT32_MAX)
		return fail(r, "no process id");
	r->rec->pid = (uint32_t)pid;
	v = NULL;
	json_object_object_get_ex(head, "command", &v);
	r->rec->command = get_text(r, v);
	return 0;
}

static int read_line(struct reader *r)
{
	json_tokener_reset(r->tokener);
	struct json_object *line = json_tokener_parse_ex(r->tokener, r->lines.line.v, (int)r->lines.line.n + 1);
	int rc;

	if (!line || json_object_get_type(line) != json_type_object)
		rc = fail(r, "not JSON");
	else
		rc = r->lines.line_no == 1 ? read_head(r, line) : read_record(r, line);
	json_object_put(line);
	return rc;
}

/* ---------------------------------------------------------------------- file */

static int read_all(struct reader *r)
{
	int rc;

	while ((rc = mw__save_lines_next(&r->lines, r->err)) > 0) {
		rc = read_line(r);
		if (rc == 0 && r->lost_text)
			rc = fail_nomem(r);
		if (rc < 0 || r->has_end)
			break;
	}
	if (rc < 0)
		return rc;
	if (!r->lines.line_no)
		return mw__fail(r->err, MW_E_FORMAT, 0, "%.80s: the file is empty", r->lines.name);
	if (!r->has_end)
		return fail(r, "it ends too early");
	rc = close_object(r);
	if (rc == 0 && r->has_before)
		rc = mw__save_read_lines(&r->lines, &r->rec->before, r->err);
	if (rc == 0 && r->has_after)
		rc = mw__save_read_lines(&r->lines, &r->rec->after, r->err);
	return rc == 0 ? mw__recording_freeze(r->rec, r->err) : rc;
}

static void free_reader(struct reader **rp)
{
	struct reader *r = *rp;

	if (!r)
		return;
	mw_recording_destroy(r->rec);
	if (r->tokener)
		json_tokener_free(r->tokener);
	mw__save_lines_deinit(&r->lines);
	MW_VEC_FREE(&r->segments);
	MW_VEC_FREE(&r->sections);
	MW_VEC_FREE(&r->symbols);
	free(r);
}

int mw__recording_read(FILE *file, const char *name, struct mw_recording **ret, struct mw_err *err)
{
	MW_CLEANUP(free_reader) struct reader *r = calloc(1, sizeof(*r));

	if (!r)
		return mw__fail_nomem(err, name);
	r->lines.file = file;
	r->lines.name = name;
	r->err = err;
	r->rec = calloc(1, sizeof(*r->rec));
	if (!r->rec)
		return fail_nomem(r);
	mw__recording_init(r->rec);
	r->tokener = json_tokener_new_ex(DEPTH_MAX);
	int rc = r->tokener ? read_all(r) : fail_nomem(r);

	if (rc == 0) {
		*ret = r->rec;
		r->rec = NULL;
	}
	return rc;
}

int mw_faults_open(const char *path, struct mw_recording **ret, struct mw_err *err)
{
	MW_CLEANUP(mw__fclosep) FILE *file = fopen(path, "re");

	if (!file)
		return mw__fail(err, errno == ENOENT ? MW_E_NOT_FOUND : MW_E_OS, errno, "%s: open", path);
	return mw__recording_read(file, path, ret, err);
}
