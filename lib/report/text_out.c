/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The page: blanks and newlines are held back until something visible follows them, so
 * trailing ones never reach the sink, whoever wrote them.
 */
#include "text.h"

#include <string.h>

#include "../base/err.h"

void mw__page_init(struct mw__page *page, const struct mw_sink *sink)
{
	page->sink = sink;
	page->error = 0;
	page->started = false;
	page->newlines = 0;
	page->blanks = 0;
	page->n = 0;
}

static void flush(struct mw__page *page)
{
	if (page->n && !page->error)
		page->error = page->sink->write(page->sink->ctx, page->buf, page->n);
	page->n = 0;
}

static void put(struct mw__page *page, const char *bytes, size_t len)
{
	while (len) {
		size_t part = sizeof(page->buf) - page->n;

		if (part > len)
			part = len;
		memcpy(page->buf + page->n, bytes, part);
		page->n += part;
		bytes += part;
		len -= part;
		if (page->n == sizeof(page->buf))
			flush(page);
	}
}

static void put_visible(struct mw__page *page, const char *bytes, size_t len)
{
	for (; page->newlines; page->newlines--)
		put(page, "\n", 1);
	for (; page->blanks; page->blanks--)
		put(page, " ", 1);
	put(page, bytes, len);
	page->started = true;
}

/* The end of a colour takes no room: it may pass the blanks, which then may be dropped. */
static size_t take_reset(struct mw__page *page, const char *bytes, const char *end)
{
	const size_t len = sizeof(MW__PLAIN) - 1;

	if ((size_t)(end - bytes) < len || memcmp(bytes, MW__PLAIN, len) != 0)
		return 0;
	put(page, bytes, len);
	return len;
}

void mw__page_write(struct mw__page *page, const char *bytes, size_t len)
{
	const char *end = bytes + len;

	while (bytes < end) {
		const char *p = bytes + take_reset(page, bytes, end), *start = p;

		while (p < end && *p != ' ' && *p != '\n' && (*p != '\033' || p == start))
			p++;
		if (p > start)
			put_visible(page, start, p - start);
		for (; p < end && *p == ' '; p++)
			page->blanks++;
		for (; p < end && *p == '\n'; p++) {
			page->blanks = 0;
			if (page->started && page->newlines < 2)
				page->newlines++;
		}
		bytes = p;
	}
}

int mw__page_hand_over(struct mw__page *page)
{
	put_visible(page, "", 0);
	flush(page);
	page->newlines = 1;
	return page->error;
}

void mw__page_puts(struct mw__page *page, const char *text)
{
	mw__page_write(page, text, strlen(text));
}

void mw__page_space(struct mw__page *page)
{
	if (page->started)
		page->newlines = 2;
}

int mw__page_finish(struct mw__page *page, struct mw_err *err)
{
	if (page->started)
		put(page, "\n", 1);
	flush(page);
	if (!page->error)
		return 0;
	mw__fail(err, (enum mw_errcode)-page->error, 0, "output: write");
	return page->error;
}
