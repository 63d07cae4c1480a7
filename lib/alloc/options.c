/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * options.c - MEMWHY_MALLOC, a list "name=value,name=value,...".
 *
 * One table gives names, kinds and limits; the manual page tells them. Unknown names
 * are ignored, so that one environment serves several versions. A program that runs
 * with raised privileges gets the defaults. The environment is read at the first
 * allocation, which may come before libc has set environ: then from /proc.
 */
#include "internal.h"

#include <sys/auxv.h>
#include <unistd.h>

#define VARIABLE "MEMWHY_MALLOC="

struct mw_options mw__options = {
	.sample = 512u << 10,
	.retain = 8u << 20,
	.decay_ms = 1000,
	.purge = 1,
	.thp = 0,
	.unwind = 1,
	.background = 1,
};

enum kind { KIND_SIZE, KIND_BIT, KIND_WORD };

struct choice {
	const char *word;
	unsigned char value;
};

static const struct choice purge_words[] = { { "off", 0 }, { "dontneed", 1 }, { "free", 2 }, { 0 } };
static const struct choice thp_words[] = { { "never", 0 }, { "auto", 1 }, { "always", 2 }, { 0 } };
static const struct choice stack_words[] = { { "caller", 0 }, { "full", 1 }, { 0 } };
static const struct choice switch_words[] = { { "0", 0 }, { "1", 1 }, { 0 } };
static const struct choice background_words[] = { { "off", 0 }, { "on", 1 }, { 0 } };
static const struct choice error_words[] = { { "abort", 0 }, { "count", 1 }, { 0 } };

TOGETHER static uint64_t decay;
TOGETHER static unsigned char count_errors;

static const struct entry {
	const char *name;
	enum kind kind;
	void *where;                 /* uint64_t, or unsigned char for words */
	unsigned bit;                /* for KIND_BIT */
	const struct choice *words;  /* for KIND_WORD */
} entries[] = {
	{ "sample", KIND_SIZE, &mw__options.sample, 0, NULL },
	{ "retain", KIND_SIZE, &mw__options.retain, 0, NULL },
	{ "seed", KIND_SIZE, &mw__options.seed, 0, NULL },
	{ "decay", KIND_SIZE, &decay, 0, NULL },
	{ "audit", KIND_BIT, NULL, MW_OPT_AUDIT, NULL },
	{ "zero", KIND_BIT, NULL, MW_OPT_ZERO, NULL },
	{ "random", KIND_BIT, NULL, MW_OPT_RANDOM, NULL },
	{ "guard", KIND_BIT, NULL, MW_OPT_GUARD, NULL },
	{ "hard", KIND_BIT, NULL, MW_OPT_AUDIT | MW_OPT_ZERO | MW_OPT_RANDOM | MW_OPT_GUARD, NULL },
	{ "nocache", KIND_BIT, NULL, MW_OPT_NO_CACHE, NULL },
	{ "errors", KIND_WORD, &count_errors, 0, error_words },
	{ "purge", KIND_WORD, &mw__options.purge, 0, purge_words },
	{ "background", KIND_WORD, &mw__options.background, 0, background_words },
	{ "thp", KIND_WORD, &mw__options.thp, 0, thp_words },
	{ "stacks", KIND_WORD, &mw__options.unwind, 0, stack_words },
	{ "report", KIND_WORD, &mw__options.report, 0, switch_words },
};

static bool ends(char c)
{
	return c == 0 || c == ',' || c == ':';
}

/* The length of @word when @text starts with it and it ends there. */
static size_t match(const char *text, const char *word, char end)
{
	size_t n = strlen(word);

	if (strncmp(text, word, n) != 0)
		return 0;
	return text[n] == end || (end == 0 && ends(text[n])) ? n : 0;
}

static uint64_t parse_size(const char *text)
{
	uint64_t v = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *text - '0', &v))
			return UINT64_MAX >> 2;
	switch (*text) {
	case 'g':
	case 'G':
		return v << 30;
	case 'm':
	case 'M':
		return v << 20;
	case 'k':
	case 'K':
		return v << 10;
	}
	return v;
}

static void set_word(const struct entry *e, const char *value)
{
	for (const struct choice *c = e->words; c->word; c++)
		if (match(value, c->word, 0))
			*(unsigned char *)e->where = c->value;
}

static void set(const struct entry *e, const char *value)
{
	switch (e->kind) {
	case KIND_SIZE:
		*(uint64_t *)e->where = parse_size(value);
		break;
	case KIND_BIT:
		if (*value == '1')
			mw__options.bits |= e->bit;
		else
			mw__options.bits &= ~e->bit;
		break;
	case KIND_WORD:
		set_word(e, value);
		break;
	}
}

static void parse(const char *text)
{
	while (*text) {
		for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
			size_t n = match(text, entries[i].name, '=');

			if (n)
				set(&entries[i], text + n + 1);
		}
		while (!ends(*text))
			text++;
		text += *text != 0;
	}
}

static const char *find_in_environ(void)
{
	for (char **e = environ; e && *e; e++)
		if (strncmp(*e, VARIABLE, sizeof(VARIABLE) - 1) == 0)
			return *e + sizeof(VARIABLE) - 1;
	return NULL;
}

static const char *find_in_proc(char *buf, size_t size)
{
	long n = mw__os_read_file("/proc/self/environ", buf, size - 1);

	for (char *s = buf; n > 0 && s < buf + n; s += strlen(s) + 1) {
		buf[n] = 0;
		if (strncmp(s, VARIABLE, sizeof(VARIABLE) - 1) == 0)
			return s + sizeof(VARIABLE) - 1;
	}
	return NULL;
}

void mw__options_read(void)
{
	char buf[4096];
	const char *text;

	if (getauxval(AT_SECURE))
		return;
	decay = mw__options.decay_ms;
	text = environ ? find_in_environ() : find_in_proc(buf, sizeof(buf));
	if (text)
		parse(text);
	mw__options.decay_ms = decay < 200 ? 200 : decay > 1u << 30 ? 1u << 30 : (unsigned)decay;
	if (mw__options.sample > 1ULL << 40)
		mw__options.sample = 0;
	if (count_errors)
		mw__options.bits |= MW_OPT_COUNT;
	if (mw__options.purge == 2)
		mw__options.bits |= MW_OPT_LAZY;
	if (mw__options.bits & (MW_OPT_AUDIT | MW_OPT_ZERO | MW_OPT_RANDOM))
		mw__options.bits |= MW_OPT_NO_CACHE;
}
