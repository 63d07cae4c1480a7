/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values of a snapshot file: every member is checked for its type and range before it is stored. */
#include "reader.h"

#include <limits.h>

#include "../base/err.h"

int mw__reader_fail(struct mw__reader *r, const char *fmt, ...)
{
	char why[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return mw__fail(r->err, MW_E_FORMAT, 0, "%.80s: line %llu: %s", r->lines->name,
			(unsigned long long)r->lines->line_no, why);
}

int mw__reader_nomem(struct mw__reader *r)
{
	return mw__fail_nomem(r->err, r->lines->name);
}

bool mw__reader_has_room(struct mw__reader *r, size_t n, size_t max, const char *what)
{
	if (n >= max)
		r->failure = mw__reader_fail(r, "too many %s", what);
	return n < max;
}

/* -------------------------------------------------------------------- values */

static int read_text(struct mw__reader *r, const char *key, struct json_object *o, const char **ret)
{
	if (!o) {
		*ret = NULL;
		return 0;
	}
	if (!json_object_is_type(o, json_type_string))
		return mw__reader_fail(r, "%s is not a text", key);
	const char *text = json_object_get_string(o);
	size_t len = (size_t)json_object_get_string_len(o);

	if (strlen(text) != len)
		return mw__reader_fail(r, "%s has a NUL in it", key);
	*ret = mw__arena_intern(&r->snap->arena, text, len);
	return *ret ? 0 : mw__reader_nomem(r);
}

int mw__read_number(struct mw__reader *r, const char *key, struct json_object *o, uint64_t limit,
		       uint64_t *ret)
{
	if (!json_object_is_type(o, json_type_int) || json_object_get_int64(o) < 0)
		return mw__reader_fail(r, "%s is not a whole number", key);
	*ret = json_object_get_uint64(o);
	return *ret < limit ? 0 : mw__reader_fail(r, "%s is too large", key);
}

static int read_addr(struct mw__reader *r, const char *key, struct json_object *o, uint64_t *ret)
{
	const char *text = json_object_is_type(o, json_type_string) ? json_object_get_string(o) : "";
	const char *p = text + 2, *end = text + strlen(text);

	if (text[0] != '0' || text[1] != 'x' || !mw__parse_hex(&p, end, ret) || p != end ||
	    *ret == MW_UNKNOWN)
		return mw__reader_fail(r, "%s is not an address like \"0x1000\"", key);
	return 0;
}

static int read_name(struct mw__reader *r, const struct mw__field *field, struct json_object *o,
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
	return mw__reader_fail(r, "%s: '%.40s' is not known", field->key, text);
}

static int read_char(struct mw__reader *r, const char *key, struct json_object *o, uint64_t *ret)
{
	const char *text = json_object_is_type(o, json_type_string) ? json_object_get_string(o) : "";

	if (strlen(text) != 1)
		return mw__reader_fail(r, "%s is not one character", key);
	*ret = (unsigned char)*text;
	return 0;
}

static bool is_unlimited(struct json_object *o)
{
	return json_object_is_type(o, json_type_string) && !strcmp(json_object_get_string(o), "unlimited");
}

/* A member that is stored as a number of some size. */
static int read_scalar(struct mw__reader *r, const struct mw__field *field, struct json_object *o,
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
		return is_unlimited(o) ? 0 : mw__read_number(r, field->key, o, MW__NO_LIMIT, ret);
	case MW__F_PID:
		return mw__read_number(r, field->key, o, (uint64_t)INT_MAX + 1, ret);
	case MW__F_BOOL:
		*ret = json_object_get_boolean(o);
		return json_object_is_type(o, json_type_boolean) ? 0 :
		       mw__reader_fail(r, "%s is neither true nor false", field->key);
	case MW__F_CHAR:
		return read_char(r, field->key, o, ret);
	case MW__F_NAME:
		return read_name(r, field, o, ret);
	default:
		return mw__read_number(r, field->key, o, mw__field_unknown(field), ret);
	}
}

static int read_member(struct mw__reader *r, const struct mw__field *field, struct json_object *o,
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

int mw__read_struct(struct mw__reader *r, const struct mw__fields *fields, struct json_object *o,
		       const char *key, void *base)
{
	mw__fields_init(fields, base);
	if (!json_object_is_type(o, json_type_object))
		return mw__reader_fail(r, "%s is not an object", key);
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

int mw__read_row(struct mw__reader *r, const struct mw__fields *fields, struct json_object *o, const char *key, void *base)
{
	mw__fields_init(fields, base);
	if (!json_object_is_type(o, json_type_array) || json_object_array_length(o) < (fields->first ? fields->first : fields->n))
		return mw__reader_fail(r, "%s: not a row of %zu values", key, fields->n);
	for (size_t i = 0; i < fields->n && i < json_object_array_length(o); i++) {
		int rc = read_member(r, &fields->v[i], json_object_array_get_idx(o, i), base);

		if (rc < 0)
			return rc;
	}
	return 0;
}

int mw__read_rows(struct mw__reader *r, struct json_object *o, const char *key,
		     int (*read_one)(struct mw__reader *r, struct json_object *o))
{
	if (!json_object_is_type(o, json_type_array))
		return mw__reader_fail(r, "%s is not a list", key);
	for (size_t i = 0; i < json_object_array_length(o); i++) {
		int rc = read_one(r, json_object_array_get_idx(o, i));

		if (rc < 0)
			return rc;
	}
	return 0;
}
