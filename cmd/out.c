/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Data on standard output, errors on standard error. A write that fails is never exit status 0. */
#include "cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int fail_text(int code, const char *hint, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("memwhy: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (hint && *hint)
		fprintf(stderr, "hint: %s\n", hint);
	return code;
}

int fail(int code, const struct mw_err *err)
{
	return fail_text(code, err->hint, "%s", err->text);
}

static int write_stdout(void *ctx, const void *bytes, size_t len)
{
	(void)ctx;
	return fwrite(bytes, 1, len, stdout) == len ? 0 : -MW_E_WRITE;
}

const struct mw_sink stdout_sink = { write_stdout, NULL };

int finish_output(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return EXIT_OK;
	return fail_text(EXIT_TARGET, NULL, "standard output: write: %s", strerror(errno ? errno : EIO));
}

int print_document(const struct settings *s, struct mw_document *doc)
{
	struct mw_err err = {};
	int rc;

	errno = 0;
	if (s->json)
		rc = mw_document_json(doc, &stdout_sink, &err);
	else if (s->text.columns && !strcmp(s->text.columns, "help"))
		rc = mw_document_columns(doc, &stdout_sink, &err);
	else
		rc = mw_document_text(doc, &s->text, &stdout_sink, &err);
	mw_document_destroy(doc);
	if (rc < 0 && !ferror(stdout))
		return fail(rc == -MW_E_USAGE ? EXIT_USAGE : EXIT_TARGET, &err);
	return finish_output();
}

int finish_snapshot(const struct settings *s, struct mw_snapshot *snap, int code)
{
	struct mw_summary sum = { .size = sizeof(sum) };

	if (!code && s->strict) {
		mw_snapshot_summary(snap, &sum);
		code = sum.state == MW_EXACT ? EXIT_OK : EXIT_PARTIAL;
	}
	mw_snapshot_destroy(snap);
	return code;
}

int finish_report(const struct settings *s, struct mw_snapshot *snap, int rc, struct mw_document *doc,
		  const struct mw_err *err)
{
	return finish_snapshot(s, snap, rc < 0 ? fail(EXIT_TARGET, err) : print_document(s, doc));
}
