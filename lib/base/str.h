/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text: a growing buffer, number parsing with bounds, escaping of hostile names. */
#ifndef MW_BASE_STR_H
#define MW_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing text. After a failed allocation `failed` stays set and appends are ignored. */
struct mw__str {
	char *v;	/* NUL-terminated once anything was added */
	size_t n, cap;
	bool failed;
};

void mw__str_deinit(struct mw__str *s);
void mw__str_reset(struct mw__str *s);
void mw__str_add(struct mw__str *s, const char *bytes, size_t len);
void mw__str_puts(struct mw__str *s, const char *text);
void mw__str_printf(struct mw__str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Parse a number at *p in base 10 or 16, no sign, no blanks, no 0x. Advances *p past
 * the digits. False when there is no digit or the value does not fit in 64 bits.
 */
bool mw__parse_dec(const char **p, const char *end, uint64_t *ret);
bool mw__parse_hex(const char **p, const char *end, uint64_t *ret);

/* Like strchr(), but never past end; end when absent. */
const char *mw__find(const char *p, const char *end, char c);

/* Length of the valid UTF-8 sequence at p, 0 when there is none; left > 0. */
size_t mw__utf8_len(const char *p, size_t left);

/* Does this character turn the direction in which a terminal writes what follows (UAX #9, embeddings, overrides, isolates)? */
static inline bool mw__turns_text(uint32_t c)
{
	return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/*
 * Copy text for people: control bytes, invalid UTF-8 and what turns the direction of writing become
 * \xNN, so that a name cannot steer a terminal. Other UTF-8 is kept.
 */
void mw__str_escape(struct mw__str *s, const char *text, size_t len);

/* The last component of a path. */
const char *mw__basename(const char *path);

#endif
