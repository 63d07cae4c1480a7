/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lines.h"

#include <errno.h>

#include "../base/err.h"
#include "save.h"

/* The first bytes tell whether the file is compressed. 0 or -MW_E_NOMEM. */
static int start(struct mw__save_lines *l)
{
	l->is_started = true;
	l->n = fread(l->buf, 1, sizeof(l->buf), l->file);
	if (!mw__is_gzip(l->buf, l->n))
		return 0;
	size_t n = l->n;

	l->n = 0;
	return mw__gunzip_begin(&l->gz, l->file, l->buf, n, MW__SAVE_EXPANDED_MAX);
}

/* More bytes in buf. False at the end of the file, and when reading fails. */
static bool refill(struct mw__save_lines *l)
{
	long n = 0;

	l->start = 0;
	if (!l->is_started && start(l) < 0) {
		l->line.failed = true;
		return false;
	}
	if (l->n)
		return true;
	if (l->gz.is_open)
		n = mw__gunzip_read(&l->gz, l->buf, sizeof(l->buf));
	else
		n = (long)fread(l->buf, 1, sizeof(l->buf), l->file);
	l->read_failed = n < 0 || ferror(l->file);
	l->n = n > 0 ? (size_t)n : 0;
	return l->n > 0;
}

/* Move bytes to line, up to a newline. True when there was one. */
static bool take_bytes(struct mw__save_lines *l)
{
	const char *from = l->buf + l->start, *end = from + l->n;
	const char *newline = mw__find(from, end, '\n');
	size_t len = newline - from;

	mw__str_add(&l->line, from, len);
	len += newline < end;
	l->start += len;
	l->n -= len;
	return newline < end;
}

int mw__save_lines_next(struct mw__save_lines *l, struct mw_err *err)
{
	bool has_all = false;

	mw__str_reset(&l->line);
	while (!has_all && (l->n || refill(l))) {
		has_all = take_bytes(l);
		if (l->line.failed)
			return mw__fail_nomem(err, l->name);
		if (l->line.n > MW__SAVE_LINE_MAX) {
			l->line_no++;
			return mw__fail(err, MW_E_FORMAT, 0, "%.80s: line %llu: longer than %u bytes", l->name,
					(unsigned long long)l->line_no, MW__SAVE_LINE_MAX);
		}
	}
	if (l->line.failed)
		return mw__fail_nomem(err, l->name);
	if (l->read_failed && l->gz.why)
		return mw__fail(err, MW_E_FORMAT, 0, "%.80s: %s", l->name, l->gz.why);
	if (l->read_failed)
		return mw__fail(err, MW_E_OS, errno, "%s: read", l->name);
	if (!has_all && !l->line.n)
		return 0;
	l->line_no++;
	return 1;
}

void mw__save_lines_deinit(struct mw__save_lines *l)
{
	mw__str_deinit(&l->line);
	mw__gunzip_end(&l->gz);
}
