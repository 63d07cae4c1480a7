/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Values as characters, and the arithmetic of columns. Text is made printable first
 * (mw__text_put()); everything after that may trust it.
 */
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "../base/size.h"

/* The character at p, which has n bytes of valid UTF-8. */
static wchar_t decode(const char *p, size_t n)
{
	static const unsigned char mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	wchar_t c = (unsigned char)p[0] & mask[n];

	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)p[i] & 0x3f);
	return c;
}

/* Bytes of the printable character at p, and its columns; 0 when it cannot be printed. */
static size_t next_char(const char *p, size_t left, int *columns)
{
	size_t n = mw__utf8_len(p, left);

	wchar_t c = n ? decode(p, n) : 0;

	*columns = n && !mw__turns_text((uint32_t)c) ? wcwidth(c) : -1;
	return *columns < 0 ? 0 : n;
}

void mw__text_put(const struct mw__text *t, struct mw__str *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t start = i, n = 0;
		int columns;

		while (i < len && text[i] >= 0x20 && text[i] < 0x7f)
			i++;
		mw__str_add(s, text + start, i - start);
		if (i == len)
			break;
		if (mw__text_utf8(t))
			n = next_char(text + i, len - i, &columns);
		if (n)
			mw__str_add(s, text + i, n);
		else
			mw__str_printf(s, "\\x%02x", (unsigned char)text[i]);
		i += n ? n : 1;
	}
}

size_t mw__text_width(const char *text, size_t len)
{
	size_t width = 0;

	for (size_t i = 0; i < len;) {
		int columns = 1;
		size_t n = text[i] & 0x80 ? next_char(text + i, len - i, &columns) : 1;

		width += n ? (size_t)columns : 1;
		i += n ? n : 1;
	}
	return width;
}

/* ------------------------------------------------------------------ values */

static void put_bytes(const struct mw__text *t, struct mw__str *s, uint64_t v)
{
	char buf[MW__SIZE_TEXT];
	enum mw_unit unit = t->opts.unit;

	if (t->opts.raw && (unit == MW_UNIT_IEC || unit == MW_UNIT_SI))
		unit = MW_UNIT_BYTES;
	mw__str_puts(s, mw__size_text(v, unit, buf));
}

static void put_delta(const struct mw__text *t, struct mw__str *s, int64_t v)
{
	if (v)
		mw__str_puts(s, v < 0 ? "-" : "+");
	put_bytes(t, s, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

static void put_share(const struct mw__text *t, struct mw__str *s, double v)
{
	char buf[MW__SIZE_TEXT];

	if (!(v >= 0 && v <= 1000))
		mw__str_puts(s, "-");
	else if (t->opts.raw)
		mw__str_printf(s, "%.6g", v);
	else
		mw__str_puts(s, mw__ratio_text(v, buf));
}

void mw__text_bar(const struct mw__text *t, struct mw__str *s, double v, unsigned cells)
{
	static const char eighths[8][4] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };

	if (!(v > 0))
		return;
	if (v > 1)
		v = 1;
	if (!mw__text_utf8(t)) {
		for (int n = (int)(v * cells + 0.5); n > 0; n--)
			mw__str_puts(s, "#");
		return;
	}
	int n = (int)(v * cells * 8 + 0.5);

	if (!n)
		n = 1;
	for (; n >= 8; n -= 8)
		mw__str_puts(s, "█");
	mw__str_puts(s, eighths[n]);
}

static void put_string(const struct mw__text *t, struct mw__str *s, const char *text)
{
	if (!text)
		return;
	if (t->opts.raw)
		mw__str_puts(s, text);	/* libsmartcols escapes blanks and the rest at once */
	else
		mw__text_put(t, s, text, strlen(text));
}

static void put_number(const struct mw__text *t, struct mw__str *s, const struct mw__cell *cell)
{
	if (mw__cell_unknown(cell))
		mw__str_puts(s, "-");
	else if (cell->type == MW__T_DELTA)
		put_delta(t, s, cell->d);
	else if (cell->type == MW__T_ADDR)
		mw__str_printf(s, "%08" PRIx64, cell->u);
	else if (cell->type == MW__T_BYTES && cell->u != MW_UNKNOWN)
		put_bytes(t, s, cell->u);
	else
		mw__str_printf(s, "%" PRIu64, cell->u);
}

void mw__text_cell(const struct mw__text *t, struct mw__str *s, const struct mw__cell *cell)
{
	switch (cell->type) {
	case MW__T_BOOL:
		mw__str_puts(s, cell->b ? "yes" : "no");
		break;
	case MW__T_BYTES:
	case MW__T_COUNT:
	case MW__T_ADDR:
	case MW__T_DELTA:
		put_number(t, s, cell);
		break;
	case MW__T_SHARE:
		put_share(t, s, cell->f);
		break;
	case MW__T_BAR:
		mw__text_bar(t, s, cell->f, MW__BAR_CELLS);
		break;
	case MW__T_TEXT:
		put_string(t, s, cell->s);
		break;
	default:
		break;
	}
}

void mw__text_size(const struct mw__text *t, struct mw__str *s, uint64_t bytes)
{
	static const char *const units[] = {
		[MW_UNIT_BYTES] = " B", [MW_UNIT_KIB] = " KiB", [MW_UNIT_MIB] = " MiB", [MW_UNIT_SI] = "",
	};
	char buf[MW__SIZE_TEXT];

	mw__str_puts(s, mw__size_text(bytes, t->opts.unit, buf));
	if (bytes != MW_UNKNOWN && units[t->opts.unit])
		mw__str_puts(s, units[t->opts.unit]);
}

/* ----------------------------------------------------------------- fitting */

/* Bytes of the longest start of text that fits into width columns. */
static size_t fit_head(const char *text, size_t len, size_t width)
{
	size_t i = 0;

	while (i < len) {
		size_t n = text[i] & 0x80 ? mw__utf8_len(text + i, len - i) : 1;
		size_t columns = mw__text_width(text + i, n ? n : 1);

		if (columns > width)
			break;
		width -= columns;
		i += n ? n : 1;
	}
	return i;
}

/* Where the longest end of text that fits into width columns starts. */
static size_t fit_tail(const char *text, size_t len, size_t width)
{
	size_t start = len;

	while (start > 0) {
		size_t i = start - 1;

		while (i > 0 && (text[i] & 0xc0) == 0x80)
			i--;
		size_t columns = mw__text_width(text + i, start - i);

		if (columns > width)
			break;
		width -= columns;
		start = i;
	}
	return start;
}

/* The end of a path says more than its start: the columns of its last part, with the slash. */
static size_t name_width(const char *text)
{
	const char *slash = *text == '/' ? strrchr(text, '/') : NULL;

	return slash ? mw__text_width(slash, strlen(slash)) : 0;
}

void mw__text_shorten(const struct mw__text *t, struct mw__str *s, const char *text, size_t width, unsigned flags)
{
	bool utf8 = mw__text_utf8(t), is_path = *text == '/';
	const char *dots = utf8 ? "…" : "...";
	size_t dots_width = utf8 ? 1 : 3;

	/* of a name that is too long by itself, the directory says least */
	if (mw__text_width(text, strlen(text)) > width && name_width(text) + dots_width > width)
		text = strrchr(text, '/') + 1;
	size_t len = strlen(text);

	if (mw__text_width(text, len) <= width || width <= dots_width) {
		mw__str_add(s, text, len);
		return;
	}
	size_t room = width - dots_width, keep = flags & MW__COL_CUT && !is_path ? 0 : room - room / 2;

	if (keep < name_width(text) && name_width(text) <= room)
		keep = name_width(text);
	size_t head = room - keep, tail = fit_tail(text, len, keep);

	mw__str_add(s, text, fit_head(text, len, head));
	mw__str_puts(s, dots);
	mw__str_add(s, text + tail, len - tail);
}

static void add_word(struct mw__str *s, const char *word, size_t len)
{
	for (size_t i = 0; i < len;) {
		const char *glue = mw__find(word + i, word + len, MW__GLUE);

		mw__str_add(s, word + i, glue - (word + i));
		i = glue - word;
		if (i < len) {
			mw__str_add(s, " ", 1);
			i++;
		}
	}
}

static void add_blanks(struct mw__str *s, size_t n)
{
	while (n--)
		mw__str_add(s, " ", 1);
}

/* Columns of the words at text that are one blank apart. */
static size_t group_width(const char *text)
{
	const char *gap = strstr(text, "  ");

	return mw__text_width(text, gap ? (size_t)(gap - text) : strlen(text));
}

/* A share is one word, though a blank stands before its sign. */
static const char *word_end(const char *word, const char *end)
{
	const char *p = mw__find(word, end, ' ');

	return end - p > 1 && p[1] == '%' ? mw__find(p + 1, end, ' ') : p;
}

void mw__text_wrap(struct mw__str *s, const char *text, size_t width, size_t indent)
{
	const char *end = text + strlen(text);
	size_t column = 0;
	bool is_first = true;

	while (text < end) {
		size_t blanks = strspn(text, " ");
		const char *word = text + blanks;
		size_t len = word_end(word, end) - word, columns = mw__text_width(word, len);
		size_t group = blanks > 1 ? group_width(word) : 0;
		size_t need = group + indent <= width && group > columns ? group : columns;

		if (!is_first && column + blanks + need > width) {
			mw__str_add(s, "\n", 1);
			add_blanks(s, indent);
			column = indent;
		} else {
			add_blanks(s, blanks);
			column += blanks;
		}
		add_word(s, word, len);
		column += columns;
		is_first = false;
		text = word + len;
	}
}
