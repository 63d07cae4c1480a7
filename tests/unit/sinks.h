/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sinks for tests: one that keeps the text, one that fails after some bytes. */
#ifndef MW_TESTS_SINKS_H
#define MW_TESTS_SINKS_H

#include "base/str.h"
#include "memwhy.h"

__attribute__((unused))
static int sink_keep(void *ctx, const void *bytes, size_t len)
{
	struct mw__str *s = ctx;

	mw__str_add(s, bytes, len);
	return s->failed ? -MW_E_NOMEM : 0;
}

struct failing {
	size_t left;
	int calls_after;	/* a writer must stop at the first error */
};

__attribute__((unused))
static int sink_fail(void *ctx, const void *bytes, size_t len)
{
	struct failing *f = ctx;

	(void)bytes;
	if (!f->left) {
		f->calls_after++;
		return -MW_E_WRITE;
	}
	if (len >= f->left) {
		f->left = 0;
		return -MW_E_WRITE;
	}
	f->left -= len;
	return 0;
}

#endif
