/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Test Anything Protocol for one program: checks first, plan at the end.
 * A check yields its truth, so that a test can stop where nothing more makes sense.
 */
#ifndef MW_TESTS_TAP_H
#define MW_TESTS_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 2, 3), unused))
static bool ok(bool pass, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", pass ? "" : "not ", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	tap_failed += !pass;
	return pass;
}

/* A text as comment lines. */
__attribute__((unused))
static void tap_show(const char *label, const char *text)
{
	printf("# %s:\n#   |", label);
	for (; *text; text++) {
		if (*text == '\n')
			printf("|\n#   |");
		else
			putchar(*text);
	}
	printf("|\n");
}

__attribute__((unused))
static bool is_str(const char *got, const char *want, const char *name)
{
	bool pass = got && want ? !strcmp(got, want) : got == want;

	ok(pass, "%s", name);
	if (!pass) {
		tap_show("got", got ? got : "(null)");
		tap_show("want", want ? want : "(null)");
	}
	return pass;
}

__attribute__((unused))
static bool is_int(long long got, long long want, const char *name)
{
	bool pass = got == want;

	ok(pass, "%s", name);
	if (!pass)
		printf("# got %lld, want %lld\n", got, want);
	return pass;
}

__attribute__((unused))
static bool is_u64(uint64_t got, uint64_t want, const char *name)
{
	bool pass = got == want;

	ok(pass, "%s", name);
	if (!pass)
		printf("# got %" PRIu64 ", want %" PRIu64 "\n", got, want);
	return pass;
}

/* End of main(): return done_testing(); */
__attribute__((unused))
static int done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

#endif
