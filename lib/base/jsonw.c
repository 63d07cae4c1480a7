/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * JSON, written as it is told. Layout: two blanks a level, unless compact. The only state
 * is whether the next item needs a comma, so the depth is not limited by anything here.
 */
#include "jsonw.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "digits.h"
#include "err.h"
#include "str.h"

static void flush(struct mw__jsonw *w)
{
	if (w->n && !w->error)
		w->error = w->sink->write(w->sink->ctx, w->buf, w->n);
	w->flushed += w->n;
	w->n = 0;
}

/* Buffers and sinks are large, what is written is small. */
static void put_long(struct mw__jsonw *w, const char *bytes, size_t len)
{
	while (len) {
		size_t part = sizeof(w->buf) - w->n;

		if (part > len)
			part = len;
		memcpy(w->buf + w->n, bytes, part);
		w->n += part;
		bytes += part;
		len -= part;
		if (w->n == sizeof(w->buf))
			flush(w);
	}
}

static inline void put(struct mw__jsonw *w, const char *bytes, size_t len)
{
	if (len >= sizeof(w->buf) - w->n) {
		put_long(w, bytes, len);
		return;
	}
	memcpy(w->buf + w->n, bytes, len);
	w->n += len;
}

static void put_text(struct mw__jsonw *w, const char *s)
{
	put(w, s, strlen(s));
}

static void break_line(struct mw__jsonw *w)
{
	put(w, "\n", 1);
	for (unsigned i = 0; i < w->depth; i++)
		put(w, "  ", 2);
}

/* What stands between two items. */
static inline void separate(struct mw__jsonw *w)
{
	if (w->after_key) {
		w->after_key = false;
		return;
	}
	if (w->comma)
		put(w, ",", 1);
	if (w->depth && !w->compact)
		break_line(w);
	else if (w->comma && !w->tight)
		put(w, " ", 1);
}

static void put_itemn(struct mw__jsonw *w, const char *token, size_t len)
{
	separate(w);
	put(w, token, len);
	w->comma = true;
}

static void put_item(struct mw__jsonw *w, const char *token)
{
	put_itemn(w, token, strlen(token));
}

void mw__jsonw_init(struct mw__jsonw *w, const struct mw_sink *sink)
{
	w->sink = sink;
	w->error = 0;
	w->depth = w->compact = 0;
	w->tight = w->comma = w->after_key = false;
	w->n = 0;
	w->flushed = 0;
}

int mw__jsonw_finish(struct mw__jsonw *w, struct mw_err *err)
{
	flush(w);
	if (!w->error)
		return 0;
	mw__fail(err, (enum mw_errcode)-w->error, 0, "output: write");
	return w->error;
}

void mw__jsonw_compact(struct mw__jsonw *w)
{
	w->compact++;
}

void mw__jsonw_spread(struct mw__jsonw *w)
{
	w->compact--;
}

void mw__jsonw_begin(struct mw__jsonw *w, char c)
{
	separate(w);
	put(w, &c, 1);
	w->depth++;
	w->comma = false;
}

void mw__jsonw_end(struct mw__jsonw *w, char c)
{
	w->depth--;
	if (w->comma && !w->compact)
		break_line(w);
	put(w, &c, 1);
	w->comma = true;
}

void mw__jsonw_newline(struct mw__jsonw *w)
{
	put(w, "\n", 1);
	w->comma = false;
}

void mw__jsonw_null(struct mw__jsonw *w)
{
	put_item(w, "null");
}

void mw__jsonw_bool(struct mw__jsonw *w, bool v)
{
	put_item(w, v ? "true" : "false");
}

void mw__jsonw_field(struct mw__jsonw *w, uint64_t v)
{
	separate(w);
	if (sizeof(w->buf) - w->n <= MW__DIGITS)
		flush(w);
	w->n += mw__dec_len(v);
	mw__dec_back(w->buf + w->n, v);
	w->comma = true;
}

void mw__jsonw_u64(struct mw__jsonw *w, uint64_t v)
{
	if (v == MW_UNKNOWN)
		mw__jsonw_null(w);
	else
		mw__jsonw_field(w, v);
}

void mw__jsonw_field_i64(struct mw__jsonw *w, int64_t v)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%" PRId64, v);
	put_item(w, buf);
}

void mw__jsonw_field_addr(struct mw__jsonw *w, uint64_t v)
{
	char buf[24], *end = buf + sizeof(buf), *p;

	*--end = '"';
	p = mw__hex_back(end, v);
	*--p = '"';
	put_itemn(w, p, (size_t)(end + 1 - p));
}

void mw__jsonw_addr(struct mw__jsonw *w, uint64_t v)
{
	if (v == MW_UNKNOWN)
		mw__jsonw_null(w);
	else
		mw__jsonw_field_addr(w, v);
}

/* Whatever the locale put between the digits becomes one point. */
static void normalise_point(char *s)
{
	char *to = s;

	for (const char *p = s; *p; p++) {
		if (strchr("0123456789+-e", *p))
			*to++ = *p;
		else if (to == s || to[-1] != '.')
			*to++ = '.';
	}
	*to = '\0';
}

void mw__jsonw_double(struct mw__jsonw *w, double v)
{
	char buf[64];

	if (!isfinite(v)) {
		mw__jsonw_null(w);
		return;
	}
	snprintf(buf, sizeof(buf), "%.6g", v);
	normalise_point(buf);
	put_item(w, buf);
}

void mw__jsonw_text(struct mw__jsonw *w, const char *s)
{
	if (s)
		mw__jsonw_textn(w, s, strlen(s));
	else
		mw__jsonw_null(w);
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* One character that is not plain. Yields its length. */
static size_t put_special(struct mw__jsonw *w, const char *s, size_t left)
{
	unsigned char c = (unsigned char)*s;
	size_t len = mw__utf8_len(s, left);
	char esc[8];

	if (c == '"' || c == '\\')
		snprintf(esc, sizeof(esc), "\\%c", c);
	else if (c == '\n' || c == '\t')
		snprintf(esc, sizeof(esc), "\\%c", c == '\n' ? 'n' : 't');
	else if (c < 0x20 || c == 0x7f)
		snprintf(esc, sizeof(esc), "\\u%04x", c);
	else if (!len)
		snprintf(esc, sizeof(esc), "\\\\x%02x", c);
	else if (len == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0)
		snprintf(esc, sizeof(esc), "\\u%04x", (unsigned char)s[1]);
	else {
		put(w, s, len);
		return len;
	}
	put_text(w, esc);
	return len ? len : 1;
}

static void put_quoted(struct mw__jsonw *w, const char *s, size_t len)
{
	put(w, "\"", 1);
	if (mw__is_plain(s, len, '"', '\\')) {
		put(w, s, len);
		len = 0;
	}
	for (size_t i = 0; i < len;) {
		size_t start = i;

		while (i < len && is_plain((unsigned char)s[i]))
			i++;
		put(w, s + start, i - start);
		if (i < len)
			i += put_special(w, s + i, len - i);
	}
	put(w, "\"", 1);
}

void mw__jsonw_textn(struct mw__jsonw *w, const char *s, size_t len)
{
	separate(w);
	put_quoted(w, s, len);
	w->comma = true;
}

void mw__jsonw_key(struct mw__jsonw *w, const char *key)
{
	size_t len = strlen(key);
	char *p = w->buf + w->n;

	if (w->compact && w->comma && len + 8 < sizeof(w->buf) - w->n && mw__is_plain(key, len, '"', '\\')) {
		/* the usual case in one piece: , "key": */
		*p++ = ',';
		if (!w->tight)
			*p++ = ' ';
		*p++ = '"';
		p = mempcpy(p, key, len);
		*p++ = '"';
		*p++ = ':';
		if (!w->tight)
			*p++ = ' ';
		w->n = (size_t)(p - w->buf);
		w->after_key = true;
		return;
	}
	separate(w);
	put_quoted(w, key, len);
	put(w, ": ", w->tight ? 1 : 2);
	w->after_key = true;
	w->comma = true;
}
