/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "gzip.h"

#include <string.h>

#define WINDOW_BITS 15
#define WITH_GZIP 16	/* added: a gzip header and not zlib's own */

/* ----------------------------------------------------------------- writing */

static int deflate_some(struct mw__gzip *g, int flush)
{
	int rc;

	do {
		g->z.next_out = g->buf;
		g->z.avail_out = sizeof(g->buf);
		rc = deflate(&g->z, flush);
		size_t n = sizeof(g->buf) - g->z.avail_out;

		if (!g->rc && n)
			g->rc = g->to->write(g->to->ctx, g->buf, n);
	} while (!g->rc && (flush == Z_FINISH ? rc == Z_OK || rc == Z_BUF_ERROR : !g->z.avail_out));
	return g->rc;
}

static int write_gzip(void *ctx, const void *bytes, size_t len)
{
	struct mw__gzip *g = ctx;
	const unsigned char *p = bytes;

	for (size_t part; len && !g->rc; p += part, len -= part) {
		part = len < (1u << 30) ? len : 1u << 30;
		g->z.next_in = (unsigned char *)(uintptr_t)p;
		g->z.avail_in = (uInt)part;
		deflate_some(g, Z_NO_FLUSH);
	}
	return g->rc;
}

int mw__gzip_begin(struct mw__gzip *g, const struct mw_sink *to)
{
	memset(&g->z, 0, sizeof(g->z));
	g->to = to;
	g->rc = 0;
	g->sink = (struct mw_sink){ write_gzip, g };
	return deflateInit2(&g->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS + WITH_GZIP, 8, Z_DEFAULT_STRATEGY) == Z_OK ?
	       0 : -MW_E_NOMEM;
}

int mw__gzip_end(struct mw__gzip *g, bool discard)
{
	if (!discard && !g->rc) {
		g->z.avail_in = 0;
		deflate_some(g, Z_FINISH);
	}
	deflateEnd(&g->z);
	return g->rc;
}

/* ----------------------------------------------------------------- reading */

int mw__gunzip_begin(struct mw__gunzip *g, FILE *file, const void *first, size_t n, uint64_t limit)
{
	memset(g, 0, sizeof(*g));
	g->file = file;
	g->left = limit;
	memcpy(g->in, first, n);
	g->z.next_in = g->in;
	g->z.avail_in = (uInt)n;
	g->is_open = inflateInit2(&g->z, WINDOW_BITS + WITH_GZIP) == Z_OK;
	return g->is_open ? 0 : -MW_E_NOMEM;
}

void mw__gunzip_end(struct mw__gunzip *g)
{
	if (g->is_open)
		inflateEnd(&g->z);
	g->is_open = false;
}

static long fail(struct mw__gunzip *g, const char *why)
{
	g->why = why;
	return -1;
}

/* More compressed bytes. 1, 0 at the end of the file, -1. */
static int refill(struct mw__gunzip *g)
{
	if (g->z.avail_in)
		return 1;
	g->z.next_in = g->in;
	g->z.avail_in = (uInt)fread(g->in, 1, sizeof(g->in), g->file);
	return g->z.avail_in ? 1 : ferror(g->file) ? -1 : 0;
}

/* A member is complete: another one may follow, and nothing else. */
static long next_member(struct mw__gunzip *g)
{
	int more = refill(g);

	if (more < 0)
		return fail(g, NULL);
	if (!more) {
		g->at_end = true;
		return 0;
	}
	return inflateReset(&g->z) == Z_OK ? 0 : fail(g, "gzip: it cannot be read on");
}

long mw__gunzip_read(struct mw__gunzip *g, void *buf, size_t len)
{
	g->z.next_out = buf;
	g->z.avail_out = (uInt)len;
	while (g->z.avail_out == len && !g->at_end) {
		int more = refill(g);

		if (more <= 0)
			return fail(g, more ? NULL : "gzip: it ends in the middle: truncated");
		int rc = inflate(&g->z, Z_NO_FLUSH);

		if (rc == Z_STREAM_END && next_member(g) < 0)
			return -1;
		if (rc == Z_MEM_ERROR)
			return fail(g, "gzip: out of memory");
		if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
			return fail(g, "gzip: it is damaged");
	}
	size_t n = len - g->z.avail_out;

	if (n > g->left)
		return fail(g, "gzip: it expands to more than a snapshot may have");
	g->left -= n;
	return (long)n;
}
