/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing JSON to a sink, token by token, without a tree in memory. What comes out is
 * valid whatever goes in: text is escaped, invalid UTF-8 becomes the characters \xNN (as
 * mw__str_escape() writes it), MW_UNKNOWN and NAN become null, addresses are hex strings,
 * and the decimal point is a point in every locale. The caller balances begin and end.
 *
 * The first error of the sink stays; every later call does nothing, and
 * mw__jsonw_finish() reports it. Nothing is allocated.
 */
#ifndef MW_BASE_JSONW_H
#define MW_BASE_JSONW_H

#include "../memwhy.h"

struct mw__jsonw {
	const struct mw_sink *sink;
	int error;		/* first one of the sink, or 0 */
	unsigned depth;		/* open objects and arrays */
	unsigned compact;	/* when not 0: everything on one line */
	bool tight;		/* no blanks after commas and colons; set by the caller */
	bool comma;		/* the next item is not the first */
	bool after_key;		/* the next item is a member's value */
	size_t n;		/* in buf */
	uint64_t flushed;	/* bytes that left buf */
	char buf[8192];
};

void mw__jsonw_init(struct mw__jsonw *w, const struct mw_sink *sink);
/* Flush. 0, or the sink's error. */
MW_MUST_CHECK int mw__jsonw_finish(struct mw__jsonw *w, struct mw_err *err);

/* Bytes written so far. */
static inline uint64_t mw__jsonw_count(const struct mw__jsonw *w)
{
	return w->flushed + w->n;
}

/* From here on one line, until undone; these nest. */
void mw__jsonw_compact(struct mw__jsonw *w);
void mw__jsonw_spread(struct mw__jsonw *w);

/* c is '{' or '['; end with '}' or ']'. */
void mw__jsonw_begin(struct mw__jsonw *w, char c);
void mw__jsonw_end(struct mw__jsonw *w, char c);
void mw__jsonw_key(struct mw__jsonw *w, const char *key);
/* A newline between documents, for files of one document a line. */
void mw__jsonw_newline(struct mw__jsonw *w);

void mw__jsonw_null(struct mw__jsonw *w);
void mw__jsonw_bool(struct mw__jsonw *w, bool v);
void mw__jsonw_u64(struct mw__jsonw *w, uint64_t v);	/* MW_UNKNOWN: null */
void mw__jsonw_addr(struct mw__jsonw *w, uint64_t v);	/* "0x..."; MW_UNKNOWN: null */
/* The same of fields, which may have any value: never null. */
void mw__jsonw_field(struct mw__jsonw *w, uint64_t v);
void mw__jsonw_field_i64(struct mw__jsonw *w, int64_t v);
void mw__jsonw_field_addr(struct mw__jsonw *w, uint64_t v);
void mw__jsonw_double(struct mw__jsonw *w, double v);	/* NAN: null */
void mw__jsonw_text(struct mw__jsonw *w, const char *s);	/* NULL: null */
void mw__jsonw_textn(struct mw__jsonw *w, const char *s, size_t len);

#endif
