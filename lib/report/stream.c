/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing streams that are listings (stream_table.c lays out the others as tables). The
 * cost of a row is what a table of a million relocations costs, so numbers are formatted
 * by hand into one buffer and nothing is allocated by row. Column widths come from the
 * first rows; a later cell that is wider pushes its row to the right. Numbers are exact in
 * text too: what is listed here is looked up, not read off.
 */
#include "stream.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../base/digits.h"
#include "../base/size.h"
#include "../base/str.h"
#include "text.h"

#define MEASURED_ROWS 128
#define BUF_SIZE 32768
#define CELL_MAX 64
#define WIDE 64		/* text longer than its column by more bytes than this is never padded */

struct out {
	const struct mw_sink *sink;
	size_t n;
	int rc;
	size_t lines;
	bool is_ascii;		/* of the text that was made last */
	struct mw__str scratch;
	char buf[BUF_SIZE];
};

static void flush(struct out *o)
{
	if (!o->rc && o->n)
		o->rc = o->sink->write(o->sink->ctx, o->buf, o->n);
	o->n = 0;
}

static inline char *room(struct out *o, size_t len)
{
	if (BUF_SIZE - o->n < len)
		flush(o);
	return o->buf + o->n;
}

/* At most 32 bytes, without a call. */
static inline void copy_short(char *to, const char *p, size_t len)
{
	if (len > 16) {
		memcpy(to, p, 16);
		memcpy(to + len - 16, p + len - 16, 16);
	} else if (len >= 8) {
		memcpy(to, p, 8);
		memcpy(to + len - 8, p + len - 8, 8);
	} else if (len >= 4) {
		memcpy(to, p, 4);
		memcpy(to + len - 4, p + len - 4, 4);
	} else if (len) {
		to[0] = p[0];
		to[len / 2] = p[len / 2];
		to[len - 1] = p[len - 1];
	}
}

static inline void put(struct out *o, const char *p, size_t len)
{
	if (len <= 16) {
		copy_short(room(o, 16), p, len);
		o->n += len;
		return;
	}
	while (len > BUF_SIZE) {
		flush(o);
		memcpy(o->buf, p, BUF_SIZE);
		o->n = BUF_SIZE;
		p += BUF_SIZE;
		len -= BUF_SIZE;
	}
	memcpy(room(o, len), p, len);
	o->n += len;
}

static void pad(struct out *o, size_t n)
{
	if (n <= 16) {	/* the usual case without a call */
		memcpy(room(o, 16), "                ", 16);
		o->n += n;
		return;
	}
	while (n) {
		size_t step = n < 64 ? n : 64;

		memset(room(o, step), ' ', step);
		o->n += step;
		n -= step;
	}
}

/* ----------------------------------------------------------------- numbers */

/* A number cell as text in buf; returns its start, *len its length. Unknown is `none`. */
static const char *number(const struct mw__cell *c, char *buf, size_t *len, const char *none)
{
	char *end = buf + CELL_MAX, *p = NULL;

	switch (c->type) {
	case MW__T_ADDR:
		p = mw__cell_unknown(c) ? NULL : mw__hex_back(end, c->u);
		break;
	case MW__T_BYTES:
	case MW__T_COUNT:
		p = mw__cell_unknown(c) ? NULL : mw__dec_back(end, c->u);
		break;
	case MW__T_DELTA:
		if (mw__cell_unknown(c))
			break;
		p = mw__dec_back(end, c->d < 0 ? 0 - (uint64_t)c->d : (uint64_t)c->d);
		if (c->d < 0)
			*--p = '-';
		break;
	case MW__T_SHARE:
		if (isnan(c->f))
			break;
		*len = strlen(mw__ratio_text(c->f, buf));
		return buf;
	default:
		break;
	}
	*len = p ? (size_t)(end - p) : strlen(none);
	return p ? p : none;
}

/* -------------------------------------------------------------------- text */

/* Printable ASCII from end to end: the usual case, eight bytes a step. */
static inline bool is_plain(const char *s, size_t len)
{
	uint64_t w = 0x2020202020202020u, v = w;

	if (len >= 8) {
		for (size_t i = 0; i + 8 < len; i += 8) {
			memcpy(&w, s + i, 8);
			if (mw__odd_bytes(w))
				return false;
		}
		memcpy(&w, s + len - 8, 8);
		return !mw__odd_bytes(w);
	}
	if (len >= 4) {
		memcpy(&w, s, 4);
		memcpy(&v, s + len - 4, 4);
		return !mw__odd_bytes(w) && !mw__odd_bytes(v);
	}
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)(s[i] - 0x20) >= 0x5f)
			return false;
	return true;
}

static const char *shown_text(struct out *o, const char *s, size_t *len, bool raw)
{
	o->is_ascii = is_plain(s, *len);
	if (o->is_ascii && (!raw || !memchr(s, ' ', *len)))
		return s;
	mw__str_reset(&o->scratch);
	mw__str_escape(&o->scratch, s, *len);
	if (raw) {
		struct mw__str t = o->scratch;

		o->scratch = (struct mw__str){ 0 };
		for (size_t i = 0; i < t.n; i++)
			mw__str_puts(&o->scratch, t.v[i] == ' ' ? "\\x20" : (char[]){ t.v[i], 0 });
		mw__str_deinit(&t);
	}
	*len = o->scratch.n;
	return o->scratch.v ? o->scratch.v : "";
}

static const char *cell_text(struct out *o, const struct mw__cell *c, char *buf, size_t *len, bool raw)
{
	if (c->type == MW__T_TEXT && c->s) {
		const char *s = *c->s || !raw ? c->s : "-";

		*len = c->len ? c->len : strlen(s);
		return shown_text(o, s, len, raw);
	}
	o->is_ascii = true;
	if (c->type == MW__T_BOOL) {
		*len = c->b ? 3 : 2;
		return c->b ? "yes" : "no";
	}
	return number(c, buf, len, "-");
}

/* Terminal columns of UTF-8 text, taking every character for one column wide. */
static size_t columns_of(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += (s[i] & 0xc0) != 0x80;
	return n;
}

struct shape {
	size_t idx[MW__STREAM_COLS], n;	/* columns that are shown, in order */
	size_t width[MW__STREAM_COLS];		/* by column */
	bool left[MW__STREAM_COLS];
};

static bool names(const char *list, const struct mw__col *col)
{
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");

		if ((!strncasecmp(p, col->key, n) && !col->key[n]) ||
		    (col->heading && !strncasecmp(p, col->heading, n) && !col->heading[n]))
			return true;
		p += n + !!p[n];
	}
	return false;
}

static void choose_columns(const struct mw__doc_node *node, const char *columns, struct shape *sh)
{
	bool add = columns && *columns == '+';

	sh->n = 0;
	for (size_t i = 0; columns && !add && i < node->n_cols; i++)
		if (!(node->cols[i].flags & MW__COL_JSON_ONLY) && names(columns, &node->cols[i]))
			sh->idx[sh->n++] = i;
	if (sh->n)
		return;
	for (size_t i = 0; i < node->n_cols; i++) {
		unsigned flags = node->cols[i].flags;

		if (!(flags & MW__COL_JSON_ONLY) &&
		    (!(flags & MW__COL_HIDDEN) || (add && names(columns + 1, &node->cols[i]))))
			sh->idx[sh->n++] = i;
	}
}

static void measure(struct out *o, const struct mw__doc_node *node, size_t n_rows, struct shape *sh, bool raw)
{
	struct mw__cell cells[MW__STREAM_COLS];
	char buf[CELL_MAX];
	size_t len;

	memset(sh->width, 0, sizeof(sh->width));
	if (raw)
		return;
	for (size_t k = 0; k < sh->n; k++)
		sh->width[sh->idx[k]] = strlen(node->cols[sh->idx[k]].heading);
	mw__stream_start(node);
	for (size_t i = 0; i < n_rows && i < MEASURED_ROWS; i++) {
		if (!mw__stream_row(node, i, cells))
			continue;
		for (size_t k = 0; k < sh->n; k++) {
			size_t c = sh->idx[k];
			const char *s = cell_text(o, &cells[c], buf, &len, raw);

			len = columns_of(s, len);
			if (len > sh->width[c])
				sh->width[c] = len;
		}
	}
}

static void text_cell(struct out *o, const char *s, size_t len, size_t width, bool left, bool last)
{
	bool padded = !(left && last) && len < width + WIDE;
	size_t cols = !padded || o->is_ascii ? len : columns_of(s, len);
	size_t fill = padded && cols < width ? width - cols : 0;

	if (!left)
		pad(o, fill);
	put(o, s, len);
	if (left && !last)
		pad(o, fill);
	if (!last) {
		*room(o, 1) = ' ';
		o->n++;
	}
}

/* Lines are separated, not ended, by newlines: the page adds the last one. */
static void begin_line(struct out *o)
{
	if (o->lines++) {
		*room(o, 1) = '\n';
		o->n++;
	}
}

static void text_heading(struct out *o, const struct mw__doc_node *node, const struct shape *sh)
{
	begin_line(o);
	for (size_t k = 0; k < sh->n; k++) {
		const struct mw__col *col = &node->cols[sh->idx[k]];

		o->is_ascii = true;
		text_cell(o, col->heading, strlen(col->heading), sh->width[sh->idx[k]], mw__col_is_left(col), k + 1 == sh->n);
	}
}

/* The usual number in the usual column, right-aligned and not the last: straight into the buffer. */
static inline bool number_cell(struct out *o, const struct mw__cell *c, size_t width)
{
	size_t len;
	bool hex = c->type == MW__T_ADDR;

	uint64_t v = c->u;
	bool minus = c->type == MW__T_DELTA && c->d < 0;

	if (c->type != MW__T_DELTA && ((!hex && c->type != MW__T_BYTES && c->type != MW__T_COUNT) || v == MW_UNKNOWN))
		return false;
	if (width > CELL_MAX || (minus && c->d == INT64_MIN))
		return false;
	if (minus)
		v = 0 - v;
	len = hex ? (67 - (unsigned)__builtin_clzll(v | 1)) / 4 + 2 : mw__dec_len(v) + minus;
	if (len < width)
		pad(o, width - len);
	char *to = room(o, len + 1);

	*to = '-';
	if (hex)
		mw__hex_back(to + len, v);
	else
		mw__dec_back(to + len, v);
	to[len] = ' ';
	o->n += len + 1;
	return true;
}

/* A short word in a column that is not the last: blanks as wide as the column, the word over them. */
static inline bool word_cell(struct out *o, const struct mw__cell *c, size_t width, bool left)
{
	static const char blanks[] = "                                ";
	size_t len;

	const char *s = c->type == MW__T_NULL ? "-" : c->s;

	if ((c->type != MW__T_TEXT && c->type != MW__T_NULL) || !s || width >= sizeof(blanks) - 1)
		return false;
	len = c->len ? c->len : strlen(s);
	if (len > width || !is_plain(s, len))
		return false;
	char *to = room(o, sizeof(blanks));

	memcpy(to, blanks, sizeof(blanks));
	copy_short(to + (left ? 0 : width - len), s, len);
	o->n += width + 1;
	return true;
}

static void text_rows(struct out *o, const struct mw__doc_node *node, const struct mw_text_opts *opts)
{
	struct mw__cell cells[MW__STREAM_COLS];
	bool raw = opts && opts->raw;
	size_t n_rows = node->stream->count(node->stream->ctx);
	struct shape sh;
	char buf[CELL_MAX];
	size_t len;

	choose_columns(node, opts ? opts->columns : NULL, &sh);
	for (size_t c = 0; c < node->n_cols; c++)
		sh.left[c] = mw__col_is_left(&node->cols[c]);
	measure(o, node, n_rows, &sh, raw);
	if (!(opts && opts->no_headings) && n_rows)
		text_heading(o, node, &sh);
	mw__stream_start(node);
	for (size_t i = 0; i < n_rows && !o->rc; i++) {
		if (!mw__stream_row(node, i, cells))
			continue;
		begin_line(o);
		for (size_t k = 0; k < sh.n; k++) {
			size_t c = sh.idx[k];
			bool last = k + 1 == sh.n;

			if (!last && !raw && ((!sh.left[c] && number_cell(o, &cells[c], sh.width[c])) ||
					      word_cell(o, &cells[c], sh.width[c], sh.left[c])))
				continue;
			const char *s = cell_text(o, &cells[c], buf, &len, raw);

			text_cell(o, s, len, sh.width[c], sh.left[c], last);
		}
	}
}

/* ----------------------------------------------------------------- public */

static void set_stream(struct mw__doc_node *node, const struct mw__stream *stream)
{
	struct mw__stream *copy = mw__arena_alloc(&node->doc->arena, sizeof(*copy));

	if (!copy || node->n_cols > MW__STREAM_COLS) {
		node->doc->failed = true;
		return;
	}
	*copy = *stream;
	node->stream = copy;
	node->type = MW__T_STREAM;
	node->is_listing = true;
}

void mw__stream_as_table(struct mw__doc_node *node, enum mw__row_style (*style)(void *ctx, size_t i))
{
	if (!node)
		return;
	node->is_listing = false;
	node->row_style = style;
}

struct mw__doc_node *mw__doc_stream(struct mw__doc_node *parent, const char *key, const char *title,
				    const struct mw__col *cols, size_t n_cols, const struct mw__stream *stream)
{
	struct mw__doc_node *node = mw__doc_table(parent, key, title, cols, n_cols);

	if (node)
		set_stream(node, stream);
	return node;
}

struct mw__doc_node *mw__doc_nested_stream(struct mw_document *doc, const struct mw__col *cols, size_t n_cols,
					   const struct mw__stream *stream)
{
	struct mw__doc_node *node = mw__arena_alloc(&doc->arena, sizeof(*node));

	if (!node) {
		doc->failed = true;
		return NULL;
	}
	*node = (struct mw__doc_node){ .type = MW__T_STREAM, .cols = cols, .n_cols = n_cols, .doc = doc };
	set_stream(node, stream);
	return node;
}

static struct out *out_create(const struct mw_sink *sink)
{
	struct out *o = malloc(sizeof(*o));

	if (o) {
		o->sink = sink;
		o->n = o->lines = 0;
		o->rc = 0;
		o->scratch = (struct mw__str){ 0 };
	}
	return o;
}

static int out_finish(struct out *o)
{
	flush(o);
	int rc = o->scratch.failed && !o->rc ? -MW_E_NOMEM : o->rc;

	mw__str_deinit(&o->scratch);
	free(o);
	return rc;
}

int mw__stream_text(const struct mw__doc_node *node, const struct mw_text_opts *opts, const struct mw_sink *sink)
{
	struct out *o = out_create(sink);

	if (!o)
		return -MW_E_NOMEM;
	text_rows(o, node, opts);
	return out_finish(o);
}
