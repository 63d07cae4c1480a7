/* SPDX-License-Identifier: GPL-3.0-or-later */
/* gzip (RFC 1952) through zlib: a sink that compresses on the way to another, and reading with a bound. */
#ifndef MW_BASE_GZIP_H
#define MW_BASE_GZIP_H

#include <stdio.h>
#include <zlib.h>

#include "../memwhy.h"

/* What is written to .sink goes compressed to the sink given at the start. */
struct mw__gzip {
	struct mw_sink sink;
	const struct mw_sink *to;
	z_stream z;
	int rc;			/* first error */
	unsigned char buf[16384];
};
/* -MW_E_NOMEM. After success mw__gzip_end() must be called, once. */
MW_MUST_CHECK int mw__gzip_begin(struct mw__gzip *g, const struct mw_sink *to);
/* Write what is left, unless discard. 0, or the first error of the sink. */
int mw__gzip_end(struct mw__gzip *g, bool discard);

/* Several members one after the other are read as one, as gzip(1) does it. */
struct mw__gunzip {
	FILE *file;
	z_stream z;
	uint64_t left;		/* bytes that may still come out */
	bool is_open, at_end;
	const char *why;	/* after an error: what is wrong, or NULL: reading the file failed */
	unsigned char in[16384];
};
/* Do these first bytes of a file look like gzip? */
static inline bool mw__is_gzip(const void *bytes, size_t len)
{
	return len >= 2 && ((const unsigned char *)bytes)[0] == 0x1f && ((const unsigned char *)bytes)[1] == 0x8b;
}
/*
 * Go on reading file, of which n bytes (at most sizeof(in)) were read already. No more than limit bytes will
 * come out. -MW_E_NOMEM.
 */
MW_MUST_CHECK int mw__gunzip_begin(struct mw__gunzip *g, FILE *file, const void *first, size_t n, uint64_t limit);
void mw__gunzip_end(struct mw__gunzip *g);
/* Up to len bytes: how many, 0 at the end, or -1 and why. */
long mw__gunzip_read(struct mw__gunzip *g, void *buf, size_t len);

#endif
