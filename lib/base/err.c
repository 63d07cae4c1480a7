/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Errors: a code, the errno behind it, one sentence and one hint. Nothing is allocated. */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "count.h"

static const char *const names[] = {
	[0] = "ok",
	[MW_E_OS] = "operating system",
	[MW_E_NOMEM] = "out of memory",
	[MW_E_GONE] = "gone",
	[MW_E_PERM] = "permission denied",
	[MW_E_FORMAT] = "format",
	[MW_E_RANGE] = "range",
	[MW_E_USAGE] = "usage",
	[MW_E_UNSUPPORTED] = "unsupported",
	[MW_E_NOT_FOUND] = "not found",
	[MW_E_WRITE] = "write",
};

const char *mw_err_name(int code)
{
	size_t i = code < 0 ? -(unsigned)code : (unsigned)code;

	if (i >= MW__COUNT(names) || !names[i])
		return "unknown";
	return names[i];
}

int mw__fail(struct mw_err *err, enum mw_errcode code, int os_errno, const char *fmt, ...)
{
	if (err) {
		va_list ap;

		err->code = code;
		err->os_errno = os_errno;
		err->hint[0] = '\0';
		va_start(ap, fmt);
		int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
		if (os_errno && n >= 0 && (size_t)n < sizeof(err->text)) {
			char buf[96];

			snprintf(err->text + n, sizeof(err->text) - n, ": %s",
				 strerror_r(os_errno, buf, sizeof(buf)));
		}
	}
	return -(int)code;
}

int mw__fail_nomem(struct mw_err *err, const char *what)
{
	return mw__fail(err, MW_E_NOMEM, 0, "%s: out of memory", what);
}

void mw__hint(struct mw_err *err, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return;
	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
}
