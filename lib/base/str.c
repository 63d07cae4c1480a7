/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mw__str_deinit(struct mw__str *s)
{
	free(s->v);
	memset(s, 0, sizeof(*s));
}

void mw__str_reset(struct mw__str *s)
{
	s->n = 0;
	if (s->v)
		s->v[0] = '\0';
}

static bool reserve(struct mw__str *s, size_t len)
{
	size_t need;

	if (s->failed || __builtin_add_overflow(s->n, len, &need) || need == SIZE_MAX) {
		s->failed = true;
		return false;
	}
	need++;
	if (need <= s->cap)
		return true;
	size_t cap = s->cap ? s->cap : 64;

	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	char *v = realloc(s->v, cap);

	if (!v) {
		s->failed = true;
		return false;
	}
	s->v = v;
	s->cap = cap;
	return true;
}

void mw__str_add(struct mw__str *s, const char *bytes, size_t len)
{
	if (!reserve(s, len))
		return;
	memcpy(s->v + s->n, bytes, len);
	s->n += len;
	s->v[s->n] = '\0';
}

void mw__str_puts(struct mw__str *s, const char *text)
{
	mw__str_add(s, text, strlen(text));
}

void mw__str_printf(struct mw__str *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0 || !reserve(s, len)) {
		s->failed = true;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(s->v + s->n, (size_t)len + 1, fmt, ap);
	va_end(ap);
	s->n += len;
}

static inline unsigned digit(char c, unsigned base)
{
	unsigned v = (unsigned char)c - (unsigned)'0', letter = ((unsigned char)c | 0x20u) - 'a';

	return v < 10 ? v : base > 10 && letter < 6 ? letter + 10 : 99;
}

static inline bool parse_base(const char **p, const char *end, unsigned base, uint64_t *ret)
{
	const char *s = *p;
	uint64_t v = 0;

	for (unsigned d; s < end && (d = digit(*s, base)) < base; s++)
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, (uint64_t)d, &v))
			return false;
	if (s == *p)
		return false;
	*p = s;
	*ret = v;
	return true;
}

bool mw__parse_dec(const char **p, const char *end, uint64_t *ret)
{
	return parse_base(p, end, 10, ret);
}

bool mw__parse_hex(const char **p, const char *end, uint64_t *ret)
{
	return parse_base(p, end, 16, ret);
}

const char *mw__find(const char *p, const char *end, char c)
{
	const char *hit = p < end ? memchr(p, c, end - p) : NULL;

	return hit ? hit : end;
}

/* As in table 3-7 of the Unicode standard: no overlong forms, no surrogates. */
size_t mw__utf8_len(const char *text, size_t left)
{
	const unsigned char *p = (const unsigned char *)text;

	if (p[0] < 0x80)
		return 1;
	size_t n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 :
		   p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;

	if (!n || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

void mw__str_escape(struct mw__str *s, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = 0; i < len;) {
		size_t n = mw__utf8_len(text + i, len - i);
		bool control = p[i] < 0x20 || p[i] == 0x7f ||
			       (n == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0) ||
			       (n == 3 && mw__turns_text((p[i] & 0xfu) << 12 | (p[i + 1] & 0x3fu) << 6 | (p[i + 2] & 0x3fu)));

		if (!n || control) {
			mw__str_printf(s, "\\x%02x", p[i]);
			i++;
		} else {
			mw__str_add(s, text + i, n);
			i += n;
		}
	}
}

const char *mw__basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}
