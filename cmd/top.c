/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_RANK = 1000, OPT_BY, OPT_FAST, OPT_STALL };

/* Rows that leave room for head and notes on a screen of 24 lines. */
#define SCREEN_ROWS 16

static const struct opt own[] = {
	{ OPT_RANK, "rank", "KEY", ARG_WORDS, "largest first by rss, pss, uss, vsz, swap or tables", "rss pss uss vsz swap tables" },
	{ OPT_BY, "by", "GROUP", ARG_WORDS, "one row a user, cgroup or command, shared pages counted once", "user cgroup command" },
	{ OPT_FAST, "fast", NULL, ARG_NONE, "without PSS, USS and counting once: reads little, stalls nobody", NULL },
	{ OPT_STALL, "stall", "MS", ARG_NUMBER, "leave out PSS where reading it may keep a process from mapping memory for longer, "
	  "in milliseconds (default 60)", NULL },
	{ 'a', "all", NULL, ARG_NONE, "every process or group, not only a screen of them", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_table, opts_print, NULL };

static int find_word(const char *name, const char *text, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], text))
			return i;
	fail_text(EXIT_USAGE, "memwhy top --help", "--%s: %s is not known", name, text);
	return -1;
}

static const char *const ranks[] = { "rss", "pss", "uss", "vsz", "swap", "tables", NULL };
static const char *const groups[] = { "", "user", "cgroup", "command", NULL };

struct choice {
	struct mw_ranking_opts collect;
	struct mw_top_opts view;
	bool all;
};

static bool take_stall(struct choice *c, const char *arg)
{
	char *end;
	double ms = strtod(arg, &end);

	if (end == arg || *end || !(ms >= 0 && ms <= 3600000)) {
		fail_text(EXIT_USAGE, NULL, "--stall: %s is not a number from 0 to 3600000", arg);
		return false;
	}
	c->collect.max_stall_ns = ms < 1e-6 ? 1 : (uint64_t)(ms * 1e6);
	return true;
}

static bool take_option(struct choice *c, int id, const char *arg)
{
	int i;

	switch (id) {
	case OPT_RANK:
		i = find_word("rank", arg, ranks);
		c->view.rank = i < 0 ? MW_BY_RSS : (enum mw_rank)i;
		return i >= 0;
	case OPT_BY:
		i = *arg ? find_word("by", arg, groups) : find_word("by", "(nothing)", groups);
		c->view.group = i < 0 ? MW_GROUP_NONE : (enum mw_group)i;
		return i > 0;
	case OPT_FAST: return c->collect.no_pss = true;
	case OPT_STALL: return take_stall(c, arg);
	case 'a': return c->all = true;
	default: return false;
	}
}

static int answer(const struct settings *s, const struct choice *c)
{
	struct mw_ranking *ranking = NULL;
	struct mw_document *doc = NULL;
	struct mw_err err = {};
	int code;

	if (mw_ranking_collect(&c->collect, &ranking, &err) < 0)
		return fail(EXIT_TARGET, &err);
	if (mw_report_top(ranking, &c->view, &doc, &err) < 0)
		code = fail(EXIT_TARGET, &err);
	else
		code = print_document(s, doc);
	mw_ranking_destroy(ranking);
	return code;
}

static int run(int argc, char **argv)
{
	struct choice c = { .collect = { .size = sizeof(c.collect) }, .view = { .size = sizeof(c.view) } };
	struct settings s;
	const char *arg;

	init_settings(&s);
	for (int id; (id = next_option(&cmd_top, argc, argv, &s, &arg)) != -1;)
		if (id < 0 || !take_option(&c, id, arg))
			return EXIT_USAGE;
	if (optind < argc)
		return fail_text(EXIT_USAGE, "memwhy explain looks at one process", "top: %s: it takes no target", argv[optind]);
	c.collect.cgroups = c.view.group == MW_GROUP_CGROUP;
	c.collect.frames = c.view.group != MW_GROUP_NONE && !c.collect.no_pss;
	c.view.limit = c.all ? 0 : SCREEN_ROWS;
	c.collect.rank = c.view.rank;
	if (!s.json && !c.all && c.view.group == MW_GROUP_NONE && c.view.rank <= MW_BY_VSZ)
		c.collect.largest = SCREEN_ROWS;
	return answer(&s, &c);
}

const struct command cmd_top = {
	.name = "top",
	.summary = "Ranks all processes, or groups of them, by RSS, PSS, USS, VSZ, swap or page tables",
	.usage = "top [OPTION]...",
	.examples = "  memwhy top\n"
		    "  memwhy top --rank=pss --all\n"
		    "  memwhy top --by=user             shared pages counted once\n",
	.tables = tables,
	.takes_target = false,
	.run = run,
};
