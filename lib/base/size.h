/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Units at the edge: bytes to text and text to bytes. Inside everything is bytes. */
#ifndef MW_BASE_SIZE_H
#define MW_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../memwhy.h"

#define MW__SIZE_TEXT 32

/* Bytes as people read them ("5.1 MiB"), or in the unit that the caller fixed. */
const char *mw__size_text(uint64_t bytes, enum mw_unit unit, char buf[static MW__SIZE_TEXT]);

/* part of whole in percent with as many digits as say something ("4.4 %", "0.02 %", "<0.01 %");
 * only the whole is "100.0 %". */
const char *mw__ratio_text(double ratio, char buf[static MW__SIZE_TEXT]);
const char *mw__share_text(uint64_t part, uint64_t whole, char buf[static MW__SIZE_TEXT]);

static inline uint64_t mw__align_down(uint64_t v, uint64_t a) { return v & ~(a - 1); }
/* Saturates instead of wrapping. */
static inline uint64_t mw__align_up(uint64_t v, uint64_t a)
{
	return v > UINT64_MAX - (a - 1) ? mw__align_down(UINT64_MAX, a) : mw__align_down(v + a - 1, a);
}
static inline uint64_t mw__min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t mw__max(uint64_t a, uint64_t b) { return a > b ? a : b; }
/* A sum in which an unknown part makes the whole unknown. */
static inline uint64_t mw__add(uint64_t a, uint64_t b)
{
	return a == MW_UNKNOWN || b == MW_UNKNOWN ? MW_UNKNOWN : a + b;
}
/* a - b, 0 when b is larger. */
static inline uint64_t mw__sub0(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

#endif
