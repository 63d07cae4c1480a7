/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Data on standard output, errors on standard error. A write that fails is never exit status 0. */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

/*
 * How many of the n bytes at p are a character that a terminal writes and does not obey. Columns of 0 are left to what
 * joins the character before; those among them that turn the direction of writing are not.
 */
static size_t plain_len(const char *p, size_t n)
{
	mbstate_t state = {};
	wchar_t c;
	size_t len = mbrtowc(&c, p, n, &state);

	return len <= n && wcwidth(c) >= 0 && !(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069) ? len : 0;
}

/* Names of files and processes may hold anything; what is not plain is printed as \x1b. Lines of a list stay, which are deeper. */
static void put_plain(const char *text)
{
	size_t left = strlen(text), len;

	for (const char *p = text; left; p += len, left -= len) {
		len = *p == '\n' && p[1] == ' ' && p[2] == ' ' ? 1 : plain_len(p, left);
		if (len)
			fwrite(p, 1, len, stderr);
		else
			fprintf(stderr, "\\x%02x", (unsigned char)*p), len = 1;
	}
}

int fail_text(int code, const char *hint, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	setlocale(LC_CTYPE, "");	/* here, since no answer needs it */
	fputs("memwhy: ", stderr);
	put_plain(text);
	if (hint && *hint) {
		fputs("\nhint: ", stderr);
		put_plain(hint);
	}
	fputc('\n', stderr);
	return code;
}

int fail(int code, const struct mw_err *err)
{
	return fail_text(code, err->hint, "%s", err->text);
}

static int write_file(void *ctx, const void *bytes, size_t len)
{
	return fwrite(bytes, 1, len, ctx ? ctx : stdout) == len ? 0 : -MW_E_WRITE;
}

static const struct mw_sink stdout_sink = { write_file, NULL };

int finish_output(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return EXIT_OK;
	return fail_text(EXIT_TARGET, NULL, "standard output: write: %s", strerror(errno ? errno : EIO));
}

/* -------------------------------------------------------------------- reports */

static int print_document(const struct settings *s, struct mw_document *doc)
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

int print_report(const struct settings *s, const struct mw_snapshot *snap, report_fn report, void *ctx)
{
	struct mw_document *doc = NULL;
	struct mw_err err = {};

	return report(snap, ctx, &doc, &err) < 0 ? fail(EXIT_TARGET, &err) : print_document(s, doc);
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

/* ---------------------------------------------------------------------- files */

int open_output(struct output *out, const char *path)
{
	bool is_file = path && strcmp(path, "-");

	*out = (struct output){ path, is_file ? fopen(path, "we") : stdout, { write_file, NULL } };
	if (!out->file)
		return fail_text(EXIT_TARGET, NULL, "%s: create: %s", path, strerror(errno));
	out->sink.ctx = out->file;
	errno = 0;
	return EXIT_OK;
}

int try_output(const char *path)
{
	struct stat st;

	if (!path || !strcmp(path, "-") || (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return EXIT_OK;	/* who reads a pipe would see its end */
	int fd = open(path, O_WRONLY | O_CLOEXEC), why = errno;

	if (fd < 0 && why == ENOENT) {
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		why = errno;
		if (fd >= 0)
			unlink(path);
	}
	if (fd < 0 && why != EEXIST)	/* a link to nothing yet */
		return fail_text(EXIT_TARGET, NULL, "%s: create: %s", path, strerror(why));
	if (fd >= 0)
		close(fd);
	return EXIT_OK;
}

int close_output(struct output *out, int rc, const struct mw_err *err)
{
	bool broken = ferror(out->file);

	if (out->file == stdout)
		return rc < 0 && !broken ? fail(EXIT_TARGET, err) : finish_output();
	if (fclose(out->file))
		broken = true;
	if (broken)
		return fail_text(EXIT_TARGET, NULL, "%s: write: %s", out->path, strerror(errno ? errno : EIO));
	return rc < 0 ? fail(EXIT_TARGET, err) : EXIT_OK;
}
