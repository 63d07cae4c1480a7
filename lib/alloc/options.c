/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * options.c - MEMWHY_MALLOC, a list "name=value,name=value,...".
 *
 * One table gives names, kinds and limits; the manual page tells them. What is not
 * understood is told on standard error and left out: who asks for checks must know
 * that there are none. A program that runs
 * with raised privileges gets the defaults. The environment is read at the first
 * allocation, which may come before libc has set environ: then from /proc.
 */
#include "internal.h"

#include <sys/auxv.h>
#include <unistd.h>

#define VARIABLE "MEMWHY_MALLOC="
#define ENVIRON_MAX (2u << 20) /* what execve takes with a stack of 8 MiB */

struct mw_options mw__options = {
	.sample = 512u << 10,
	.paced = 1,
	.retain = 8u << 20,
	.decay_ms = 1000,
	.purge = 1,
	.thp = MW_THP_KERNEL,
	.unwind = 1,
	.background = 1,
	.mismatch = 1,
};

enum kind { KIND_SIZE, KIND_BIT, KIND_WORD };

struct choice {
	const char *word;
	unsigned char value;
};

static const struct choice purge_words[] = { { "off", 0 }, { "dontneed", 1 }, { "free", 2 }, { 0 } };
static const struct choice thp_words[] = {
	{ "kernel", MW_THP_KERNEL }, { "never", MW_THP_NEVER }, { "auto", MW_THP_AUTO }, { "always", MW_THP_ALWAYS }, { 0 }
};
static const struct choice stack_words[] = { { "caller", 0 }, { "full", 1 }, { 0 } };
static const struct choice switch_words[] = { { "0", 0 }, { "1", 1 }, { "off", 0 }, { "on", 1 }, { 0 } };
static const struct choice error_words[] = { { "abort", 0 }, { "count", 1 }, { 0 } };

#define NOT_TOLD (UINT64_MAX - 1)

TOGETHER static uint64_t decay, sample = NOT_TOLD;
TOGETHER static unsigned char count_errors;

static const struct entry {
	const char *name;
	enum kind kind;
	void *where;                 /* uint64_t, or unsigned char for words */
	unsigned bit;                /* for KIND_BIT */
	const struct choice *words;  /* for KIND_WORD */
} entries[] = {
	{ "sample", KIND_SIZE, &sample, 0, NULL },
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
	{ "background", KIND_WORD, &mw__options.background, 0, switch_words },
	{ "thp", KIND_WORD, &mw__options.thp, 0, thp_words },
	{ "stacks", KIND_WORD, &mw__options.unwind, 0, stack_words },
	{ "mismatch", KIND_WORD, &mw__options.mismatch, 0, switch_words },
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

static bool parse_size(const char *text, uint64_t *ret)
{
	static const struct {
		char letter[2];
		unsigned shift;
	} units[] = { { "kK", 10 }, { "mM", 20 }, { "gG", 30 } };
	bool digits = *text >= '0' && *text <= '9', fits = true;
	uint64_t v = 0, unit = 1;

	for (; *text >= '0' && *text <= '9'; text++)
		fits &= !__builtin_mul_overflow(v, 10, &v) && !__builtin_add_overflow(v, *text - '0', &v);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && unit == 1; i++)
		if (*text == units[i].letter[0] || *text == units[i].letter[1])
			unit = 1ULL << units[i].shift;
	fits &= !__builtin_mul_overflow(v, unit, &v);
	*ret = fits ? v : UINT64_MAX;
	return digits && ends(text[unit > 1]);
}

static bool find_word(const struct choice *words, const char *value, unsigned char *ret)
{
	for (const struct choice *c = words; c->word; c++)
		if (match(value, c->word, 0)) {
			*ret = c->value;
			return true;
		}
	return false;
}

/* False: @value is none that the option takes. */
static bool set(const struct entry *e, const char *value)
{
	uint64_t size;
	unsigned char word;
	bool ok;

	switch (e->kind) {
	case KIND_SIZE:
		if ((ok = parse_size(value, &size)))
			*(uint64_t *)e->where = size;
		return ok;
	case KIND_BIT:
		if ((ok = find_word(switch_words, value, &word)))
			mw__options.bits = word ? mw__options.bits | e->bit : mw__options.bits & ~e->bit;
		return ok;
	case KIND_WORD:
		return find_word(e->words, value, e->where);
	}
	return false;
}

static bool parse_item(const char *item)
{
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		size_t n = match(item, entries[i].name, '=');

		if (n)
			return set(&entries[i], item + n + 1);
		if ((entries[i].kind == KIND_BIT || entries[i].words == switch_words) && match(item, entries[i].name, 0))
			return set(&entries[i], "1");
	}
	return false;
}

static void tell(const char *item, size_t len)
{
	char buf[256], name[128];
	size_t n = len < sizeof(name) - 1 ? len : sizeof(name) - 1;

	for (size_t i = 0; i < n; i++)
		name[i] = item[i] >= ' ' && item[i] <= '~' ? item[i] : '?';
	name[n] = 0;
	n = mw__format(buf, sizeof(buf), "memwhy-malloc: MEMWHY_MALLOC: %s: no option, or not a value that it takes\n", name);
	mw__os_write(2, buf, n);
}

static void parse(const char *text)
{
	while (*text) {
		const char *item = text;

		while (!ends(*text))
			text++;
		if (text > item && !parse_item(item))
			tell(item, (size_t)(text - item));
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

/* Before the C library has started. */
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
	char *buf = NULL;
	const char *text = NULL;

	if (getauxval(AT_SECURE))
		return;
	decay = mw__options.decay_ms;
	if (environ)
		text = find_in_environ();
	else if ((buf = mw__os_map(NULL, ENVIRON_MAX, false)))
		text = find_in_proc(buf, ENVIRON_MAX);
	if (text)
		parse(text);
	if (buf)
		mw__os_unmap(buf, ENVIRON_MAX);
	mw__options.decay_ms = decay < 200 ? 200 : decay > 1u << 30 ? 1u << 30 : (unsigned)decay;
	mw__options.paced = sample == NOT_TOLD;
	if (!mw__options.paced)
		mw__options.sample = sample > 1ULL << 40 ? 0 : sample;
	if (count_errors)
		mw__options.bits |= MW_OPT_COUNT;
	if (mw__options.purge == 2)
		mw__options.bits |= MW_OPT_LAZY;
	if (mw__options.bits & (MW_OPT_AUDIT | MW_OPT_ZERO | MW_OPT_RANDOM))
		mw__options.bits |= MW_OPT_NO_CACHE;
}
