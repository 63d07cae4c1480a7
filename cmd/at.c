/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_FULL = 1000, OPT_CPUID, OPT_MAPPERS };

/* Addresses in one call; beyond so many, facts become one line an address. */
#define MAX_ADDRS 100000u
#define MAX_FULL 4u

static const struct opt own[] = {
	{ 's', "short", NULL, ARG_NONE, "one line an address; the default for more than 4", NULL },
	{ OPT_FULL, "full", NULL, ARG_NONE, "all facts, however many addresses", NULL },
	{ OPT_MAPPERS, "mappers", NULL, ARG_NONE, "also the processes that map the page; asks every process; needs root", NULL },
	{ OPT_CPUID, "cpuid", "FILE", ARG_FILE, "words of CPUID of another machine, instead of those of the snapshot", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_table, opts_target, opts_collect, opts_print, NULL };

struct addrs {
	uint64_t *v;
	size_t n, cap;
};

static int add_addr(struct addrs *a, uint64_t addr)
{
	if (a->n == MAX_ADDRS)
		return fail_text(EXIT_USAGE, NULL, "at: more than %u addresses", MAX_ADDRS);
	if (a->n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 64;
		uint64_t *v = realloc(a->v, cap * sizeof(*v));

		if (!v)
			return fail_text(EXIT_TARGET, NULL, "at: out of memory");
		a->v = v;
		a->cap = cap;
	}
	a->v[a->n++] = addr;
	return EXIT_OK;
}

/* A word of a log is an address if it starts with 0x, or is 8 to 16 hexadecimal digits with one below ten. */
static bool is_address(const char *word, size_t len)
{
	bool prefix = len > 2 && word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
	size_t digits = strspn(prefix ? word + 2 : word, "0123456789abcdefABCDEF");

	if (prefix)
		return digits == len - 2 && digits <= 16;
	return digits == len && len >= 8 && len <= 16 && strcspn(word, "0123456789") < len;
}

/* Letters, digits and _ without an end are no address, and are not kept. */
static int read_stdin(struct addrs *a)
{
	char word[2 + 16 + 2];
	size_t len = 0;
	int code = EXIT_OK, c;

	do {
		c = getc_unlocked(stdin);
		if (c != EOF && (isalnum(c) || c == '_')) {
			if (len < sizeof(word) - 1)
				word[len++] = (char)c;
			continue;
		}
		word[len] = '\0';
		if (is_address(word, len))
			code = add_addr(a, strtoull(word, NULL, 16));
		len = 0;
	} while (!code && c != EOF);
	if (!code && ferror(stdin))
		code = fail_text(EXIT_TARGET, NULL, "standard input: read: %s", strerror(errno));
	return code;
}

static int take_operand(struct addrs *a, const char *arg)
{
	char *end;

	if (!strcmp(arg, "-"))
		return read_stdin(a);
	errno = 0;
	uint64_t addr = strtoull(arg, &end, 16);

	if (end == arg || *end || errno || *arg == '-' || *arg == '+')
		return fail_text(EXIT_USAGE, "addresses are hexadecimal, with or without 0x; - reads them from standard input",
				 "%s: not an address", arg);
	return add_addr(a, addr);
}

/* Everything behind the target. */
static int take_operands(const struct settings *s, int argc, char **argv, struct addrs *a)
{
	int code = EXIT_OK, first = optind + (s->pid ? 0 : 1);

	if (first >= argc)
		return fail_text(EXIT_USAGE, "memwhy at --help", "a target and at least one address are needed");
	for (int i = first; !code && i < argc; i++)
		code = take_operand(a, argv[i]);
	if (!code && !a->n)
		code = fail_text(EXIT_USAGE, NULL, "standard input: no address in it");
	return code;
}

struct request {
	struct settings s;
	struct mw_at_opts opts;
	const char *words;	/* a file of CPUID */
};

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	struct request *q = ctx;
	struct mw_cpu *cpu = NULL;
	int rc = get_cpu(&q->s, q->words, &cpu, err);

	q->opts.cpu = cpu;
	if (rc == 0)
		rc = mw_report_at(snap, &q->opts, ret, err);
	mw_cpu_destroy(cpu);
	return rc;
}

static int run(int argc, char **argv)
{
	struct request q = { .opts = { .size = sizeof(q.opts) } };
	struct mw_collect_opts *collect = &q.s.collect;
	struct addrs addrs = {};
	bool full = false;
	const char *arg;

	init_settings(&q.s);
	for (int id; (id = next_option(&cmd_at, argc, argv, &q.s, &arg)) != -1;) {
		if (id == 's')
			q.opts.brief = true;
		else if (id == OPT_FULL)
			full = true;
		else if (id == OPT_MAPPERS)
			collect->mappers = true;
		else if (id == OPT_CPUID)
			q.words = arg;
		else
			return EXIT_USAGE;
	}
	int code = take_operands(&q.s, argc, argv, &addrs);

	q.opts.addrs = collect->frames_at = addrs.v;
	q.opts.n_addrs = collect->n_frames_at = addrs.n;
	q.opts.brief |= !full && addrs.n > MAX_FULL;
	collect->symbols = collect->relocs = collect->cache_places = true;
	if (!code)
		code = report_target(&q.s, q.s.pid ? 0 : 1, argv + optind, report, &q);
	free(addrs.v);
	return code;
}

const struct command cmd_at = {
	.name = "at",
	.summary = "Tells all that is known of an address: owner, section, page, frame",
	.usage = "at [OPTION]... TARGET ADDRESS...|-",
	.examples = "  memwhy at 4242 7f1c2a4b5010\n"
		    "  memwhy at 4242 - <crash.log      every address in a log\n"
		    "  memwhy at saved.snap 0x401136\n",
	.tables = tables,
	.takes_target = true,
	.run = run,
};
