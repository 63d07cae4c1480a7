/* SPDX-License-Identifier: GPL-3.0-or-later */
/* FNV-1a, 64 bits: begin with MW__HASH, go on with what came out. */
#ifndef MW_BASE_HASH_H
#define MW_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define MW__HASH UINT64_C(0xcbf29ce484222325)

static inline uint64_t mw__hash(uint64_t h, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

#endif
