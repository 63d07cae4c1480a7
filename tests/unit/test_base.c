/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The floor of the house: arena, text, numbers, sizes, errors, arrays. */
#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/digits.h"
#include "base/size.h"
#include "base/str.h"
#include "base/vec.h"
#include "tap.h"

/* ---------------------------------------------------------------------- arena */

static void check_arena(void)
{
	struct mw__arena a;
	bool aligned = true, zero = true, apart = true;
	unsigned char *last = NULL;

	mw__arena_init(&a);
	for (size_t size = 1; size < 3000; size += 7) {
		unsigned char *p = mw__arena_alloc(&a, size);

		aligned &= (uintptr_t)p % 16 == 0;
		for (size_t i = 0; i < size; i++)
			zero &= !p[i];
		memset(p, 0xee, size);
		apart &= !last || last[0] == 0xee;
		last = p;
	}
	ok(aligned, "memory of an arena is aligned");
	ok(zero && apart, "and zeroed, and nobody else's");
	ok(mw__arena_alloc(&a, 5u << 20), "more than a block");
	ok(!mw__arena_array(&a, SIZE_MAX / 2, 16) && !mw__arena_alloc(&a, SIZE_MAX - 3), "an impossible size");
	is_str(mw__arena_strn(&a, "abcdef", 3), "abc", "a copy of some bytes");
	is_str(mw__arena_printf(&a, "%s-%d", "x", 7), "x-7", "a formatted text");
	ok(strlen(mw__arena_printf(&a, "%2000d", 1)) == 2000, "a long formatted text");
	mw__arena_deinit(&a);
	mw__arena_deinit(&a);
	ok(!a.block && !a.strs, "an arena may be ended twice");
}

static void check_intern(void)
{
	struct mw__arena a;
	const char *first[500];
	bool same = true, differs = true;
	char name[16];

	mw__arena_init(&a);
	for (int i = 0; i < 500; i++)
		first[i] = mw__arena_intern(&a, name, (size_t)snprintf(name, sizeof(name), "name%d", i));
	for (int i = 0; i < 500; i++) {
		int len = snprintf(name, sizeof(name), "name%d", i);

		same &= mw__arena_intern(&a, name, (size_t)len) == first[i] && !strcmp(first[i], name);
		differs &= !i || first[i] != first[i - 1];
	}
	ok(same && differs, "equal texts are one, others are not");
	ok(mw__arena_intern(&a, "ab", 1) == mw__arena_intern(&a, "a", 1), "the length counts");
	ok(mw__arena_intern(&a, "a\0b", 3) != mw__arena_intern(&a, "a\0c", 3), "bytes behind a NUL count");
	mw__arena_deinit(&a);
}

/* ----------------------------------------------------------------------- text */

static void check_str(void)
{
	struct mw__str s = { 0 };

	mw__str_reset(&s);
	mw__str_puts(&s, "");
	is_str(s.v, "", "an empty text has an end");
	for (int i = 0; i < 1000; i++)
		mw__str_printf(&s, "%d,", i % 10);
	ok(s.n == 2000 && strlen(s.v) == 2000 && !strncmp(s.v + 1990, "5,6,7,8,9,", 10), "a text grows");
	mw__str_reset(&s);
	ok(s.n == 0 && !s.v[0], "and is emptied");
	mw__str_add(&s, "x", SIZE_MAX);
	ok(s.failed, "an impossible length fails");
	mw__str_puts(&s, "more");
	ok(s.n == 0, "after which nothing is added");
	mw__str_deinit(&s);
	ok(!s.failed && !s.v, "a text may be used anew");
}

static const char *escape(struct mw__str *s, const char *text, size_t len)
{
	mw__str_reset(s);
	mw__str_escape(s, text, len);
	return s->v;
}

static void check_escape(void)
{
	struct mw__str s = { 0 };

	is_str(escape(&s, "a\033[1m\n\x7f", 7), "a\\x1b[1m\\x0a\\x7f", "control bytes are escaped");
	is_str(escape(&s, "\xc3\xb6 \xe2\x82\xac \xf0\x9f\x98\x80", 11),
	       "\xc3\xb6 \xe2\x82\xac \xf0\x9f\x98\x80", "UTF-8 is kept");
	is_str(escape(&s, "\xc2\x9b", 2), "\\xc2\\x9b", "control characters beyond ASCII are not");
	is_str(escape(&s, "\xc3", 1), "\\xc3", "nor is half a character");
	is_str(escape(&s, "\xc0\x80\xe0\x80\x80", 5), "\\xc0\\x80\\xe0\\x80\\x80", "nor one in a longer form");
	is_str(escape(&s, "\xed\xa0\x80\xf4\x90\x80\x80", 7), "\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80",
	       "nor a surrogate, nor one beyond Unicode");
	mw__str_deinit(&s);
}

/* -------------------------------------------------------------------- numbers */

static bool parse(bool (*fn)(const char **p, const char *end, uint64_t *ret), const char *text,
		  uint64_t *v, size_t *used)
{
	const char *p = text;
	bool good = fn(&p, text + strlen(text), v);

	*used = (size_t)(p - text);
	return good;
}

static void check_parse(void)
{
	uint64_t v = 5;
	size_t used;

	ok(parse(mw__parse_dec, "0", &v, &used) && v == 0 && used == 1, "0");
	ok(parse(mw__parse_dec, "18446744073709551615x", &v, &used) && v == UINT64_MAX && used == 20,
	   "the largest number");
	ok(!parse(mw__parse_dec, "18446744073709551616", &v, &used), "one more does not fit");
	ok(!parse(mw__parse_dec, "184467440737095516150", &v, &used), "nor do ten times as many");
	ok(!parse(mw__parse_dec, "", &v, &used) && !parse(mw__parse_dec, " 1", &v, &used) &&
	   !parse(mw__parse_dec, "-1", &v, &used) && !parse(mw__parse_dec, "a", &v, &used), "not numbers");
	ok(parse(mw__parse_hex, "fFff-", &v, &used) && v == 0xffff && used == 4, "hexadecimal");
	ok(parse(mw__parse_hex, "ffffffffffffffff", &v, &used) && v == UINT64_MAX, "the largest one");
	ok(!parse(mw__parse_hex, "10000000000000000", &v, &used), "one more");
	const char *digits = "123456";
	const char *p = digits;

	ok(mw__parse_dec(&p, digits + 3, &v) && v == 123, "a number ends where its text does");
}

static void check_find(void)
{
	const char *text = "a b";

	ok(mw__find(text, text + 3, ' ') == text + 1, "a byte is found");
	ok(mw__find(text, text + 1, ' ') == text + 1 && mw__find(text, text, 'a') == text,
	   "but not behind the end");
	is_str(mw__basename("/usr/bin/x"), "x", "last part of a path");
	is_str(mw__basename("x"), "x", "of a name");
	is_str(mw__basename("/a/"), "/a/", "of a folder");
}

/* ---------------------------------------------------------------------- sizes */

static void check_size(uint64_t bytes, enum mw_unit unit, const char *want)
{
	char buf[MW__SIZE_TEXT];

	is_str(mw__size_text(bytes, unit, buf), want, "a size as text");
}

static void check_share(uint64_t part, uint64_t whole, const char *want)
{
	char buf[MW__SIZE_TEXT];

	is_str(mw__share_text(part, whole, buf), want, "a share as text");
}

/* Each byte at each place of texts of each length, against a look at one byte after the other. */
static void check_plain(void)
{
	uint64_t n_wrong = 0;
	char text[40];

	for (size_t len = 0; len < sizeof(text); len++)
		for (size_t at = 0; at < len; at++)
			for (int c = 0; c < 256; c++) {
				memset(text, 'a', sizeof(text));
				text[at] = (char)c;
				n_wrong += mw__is_plain(text, len, '"', '\\') != (c >= 0x20 && c < 0x7f && c != '"' && c != '\\');
				n_wrong += mw__is_plain(text, len, '\0', '\0') != (c >= 0x20 && c < 0x7f);
			}
	ok(!n_wrong && mw__is_plain("", 0, 'a', 'b'), "plain text is told from other text");
}

static void check_digits(void)
{
	static const uint64_t values[] = { 0, 9, 10, 99, 100, 101, 12345, UINT32_MAX, UINT64_MAX, UINT64_MAX - 1, 1ull << 63 };
	char buf[32], want[32];
	uint64_t n_wrong = 0;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char *end = buf + sizeof(buf) - 1;

		*end = '\0';
		snprintf(want, sizeof(want), "%" PRIu64, values[i]);
		n_wrong += strcmp(mw__dec_back(end, values[i]), want) != 0;
		snprintf(want, sizeof(want), "%#" PRIx64, values[i]);
		n_wrong += values[i] && strcmp(mw__hex_back(end, values[i]), want) != 0;
	}
	uint64_t power = 1;

	for (unsigned digits = 1; digits <= MW__DIGITS; digits++, power *= 10)
		for (uint64_t v = power - 1; v <= power + 1; v++) {
			char *end = buf + sizeof(buf) - 1;

			snprintf(want, sizeof(want), "%" PRIu64, v);
			n_wrong += strcmp(mw__dec_back(end, v), want) != 0 || mw__dec_len(v) != strlen(want);
		}
	ok(!n_wrong, "digits are those of printf");
}

/* What printf would make of it, over all magnitudes and around every step. */
static void check_against_printf(void)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t seed = 1, n_wrong = 0;
	char want[MW__SIZE_TEXT], buf[MW__SIZE_TEXT];

	for (unsigned n = 0; n < 400000; n++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		uint64_t bytes = seed >> (n % 57 + 7);

		if (n % 3 == 0)	/* ties: halves of a tenth are multiples of 1/20 */
			bytes = (seed >> 44) * ((UINT64_C(1) << 10 * (n / 3 % 5)) / 4);
		if (n % 7 == 0)
			bytes = (UINT64_C(1) << 10 * (n / 7 % 6)) * 20479 / 20 + n / 42 % 5 - 2;
		double v = (double)bytes;
		unsigned i = 0;

		for (; i < 6 && v >= 1023.95; i++)
			v /= 1024;
		snprintf(want, sizeof(want), i ? "%.1f %s" : "%.0f %s", v, units[i]);
		mw__size_text(bytes, MW_UNIT_IEC, buf);
		if (strcmp(want, buf) && n_wrong++ < 5)
			printf("# %" PRIu64 ": %s, printf %s\n", bytes, buf, want);
	}
	ok(!n_wrong, "sizes are rounded as printf rounds");
}

static void check_sizes(void)
{
	check_against_printf();
	check_plain();
	check_digits();
	check_size(0, MW_UNIT_IEC, "0 B");
	check_size(1023, MW_UNIT_IEC, "1023 B");
	check_size(1024, MW_UNIT_IEC, "1.0 KiB");
	check_size(1048575, MW_UNIT_IEC, "1.0 MiB");
	check_size(5347738, MW_UNIT_IEC, "5.1 MiB");
	check_size(UINT64_MAX - 1, MW_UNIT_IEC, "16.0 EiB");
	check_size(MW_UNKNOWN, MW_UNIT_IEC, "-");
	check_size(MW_UNKNOWN, MW_UNIT_BYTES, "-");
	check_size(5347738, MW_UNIT_BYTES, "5347738");
	check_size(5347738, MW_UNIT_KIB, "5222");
	check_size(5347738, MW_UNIT_MIB, "5.1");
	check_size(5347738, MW_UNIT_SI, "5.3 MB");
	check_size(999950, MW_UNIT_SI, "1.0 MB");
	check_share(99999, 100000, ">99.9 %");
	check_share(5, 5, "100.0 %");
	check_share(1, 2, "50.0 %");
	check_share(44, 1000, "4.4 %");
	check_share(2, 1000, "0.20 %");
	check_share(1, 1000000, "<0.01 %");
	check_share(0, 5, "0.0 %");
	check_share(1, 0, "-");
	check_share(MW_UNKNOWN, 5, "-");
	check_share(5, MW_UNKNOWN, "-");
}

static void check_arithmetic(void)
{
	is_u64(mw__align_up(1, 4096), 4096, "up to a page");
	is_u64(mw__align_up(4096, 4096), 4096, "already there");
	is_u64(mw__align_up(UINT64_MAX, 4096), UINT64_MAX - 4095, "not around the end");
	is_u64(mw__align_down(8191, 4096), 4096, "down to a page");
	is_u64(mw__add(1, MW_UNKNOWN), MW_UNKNOWN, "unknown and one is unknown");
	is_u64(mw__add(1, 2), 3, "one and two");
	is_u64(mw__sub0(1, 2), 0, "not below zero");
}

/* --------------------------------------------------------------------- errors */

static void check_errors(void)
{
	struct mw_err err;
	char big[600];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	is_int(mw__fail(&err, MW_E_OS, ENOENT, "%s: open", "/x"), -MW_E_OS, "the code comes back, negative");
	is_str(err.text, "/x: open: No such file or directory", "the reason is appended");
	ok(err.code == MW_E_OS && err.os_errno == ENOENT && !err.hint[0], "the rest is filled in");
	mw__hint(&err, "try %d", 2);
	is_str(err.hint, "try 2", "a hint");
	mw__fail(&err, MW_E_OS, ENOENT, "%s", big);
	ok(strlen(err.text) == sizeof(err.text) - 1, "a long text is cut");
	is_int(mw__fail_nomem(NULL, "x"), -MW_E_NOMEM, "nobody needs to listen");
	mw__hint(NULL, "x");
	is_str(mw_err_name(-MW_E_GONE), "gone", "a name by code");
	is_str(mw_err_name(MW_E_WRITE), "write", "whichever its sign");
	ok(!strcmp(mw_err_name(99), "unknown") && !strcmp(mw_err_name(INT32_MIN), "unknown"), "other codes");
}

static void check_vec(void)
{
	struct pair { int a; int b; };
	MW_VEC(struct pair) v = { 0 };
	bool good = true;

	for (int i = 0; i < 1000; i++) {
		__typeof__(v.v) e = MW_VEC_PUSH(&v);

		good &= e && !e->a && !e->b;
		e->a = e->b = i;
	}
	for (int i = 0; i < 1000; i++)
		good &= v.v[i].a == i && v.v[i].b == i;
	ok(good && v.n == 1000, "an array grows, and its elements stay");
	MW_VEC_FREE(&v);
	ok(!v.v && !v.n && !v.cap, "and is freed");
}

int main(void)
{
	check_arena();
	check_intern();
	check_str();
	check_escape();
	check_parse();
	check_find();
	check_sizes();
	check_arithmetic();
	check_errors();
	check_vec();
	return done_testing();
}
