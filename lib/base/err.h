/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Errors inside the library. One call fills the caller's struct mw_err where the
 * cause is known and yields the negative code to return, so that the failing line
 * reads `return mw__fail(err, MW_E_OS, errno, "%s: open", path);`.
 */
#ifndef MW_BASE_ERR_H
#define MW_BASE_ERR_H

#include "../memwhy.h"

/* Fill *err (NULL allowed) and return -code. When os_errno is not 0, its text is appended. */
int mw__fail(struct mw_err *err, enum mw_errcode code, int os_errno, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The same for memory that ran out; what names the object being built. */
int mw__fail_nomem(struct mw_err *err, const char *what);

/* Add the one sentence that tells the user what to do about it. */
void mw__hint(struct mw_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
