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

static const char *const ranks[] = { "rss", "pss", "uss", "vsz", "swap", "tables", NULL };
static const char *const groups[] = { "user", "cgroup", "command", NULL };	/* from MW_GROUP_USER on */

struct choice {
	struct mw_ranking_opts collect;
	struct mw_top_opts view;
	bool all;
	struct mw_ranking *ranking;
};

static bool take_stall(struct choice *c, const char *arg)
{
	double ms;

	if (!take_number("stall", arg, 0, 3600000, &ms))
		return false;
	c->collect.max_stall_ns = ms < 1e-6 ? 1 : (uint64_t)(ms * 1e6);
	return true;
}

static bool take_option(struct choice *c, int id, const char *arg)
{
	int i;

	switch (id) {
	case OPT_RANK:
		if (!take_word("rank", arg, ranks, &i))
			return false;
		c->view.rank = (enum mw_rank)i;
		return true;
	case OPT_BY:
		if (!take_word("by", arg, groups, &i))
			return false;
		c->view.group = (enum mw_group)(MW_GROUP_USER + i);
		return true;
	case OPT_FAST: return c->collect.no_pss = true;
	case OPT_STALL: return take_stall(c, arg);
	case 'a': return c->all = true;
	default: return false;
	}
}

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	const struct choice *c = ctx;

	(void)snap;
	return mw_report_top(c->ranking, &c->view, ret, err);
}

static int run(int argc, char **argv)
{
	struct choice c = { .collect = { .size = sizeof(c.collect) }, .view = { .size = sizeof(c.view) } };
	struct mw_err err = {};
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
	if (mw_ranking_collect(&c.collect, &c.ranking, &err) < 0)
		return fail(EXIT_TARGET, &err);
	int code = print_report(&s, NULL, report, &c);

	mw_ranking_destroy(c.ranking);
	return code;
}

const struct command cmd_top = {
	.name = "top",
	.summary = "Ranks all processes, or groups of them, by the memory they use",
	.usage = "top [OPTION]...",
	.examples = "  memwhy top\n"
		    "  memwhy top --rank=pss --all\n"
		    "  memwhy top --by=user             shared pages counted once\n",
	.tables = tables,
	.takes_target = false,
	.run = run,
};
