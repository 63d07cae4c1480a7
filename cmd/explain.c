/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <getopt.h>
#include <stddef.h>

enum { OPT_VERIFY = 1000 };

static const struct opt own[] = {
	{ 'a', "all", NULL, ARG_NONE, "every line of the waterfall with all its ranges", NULL },
	{ OPT_VERIFY, "verify", NULL, ARG_NONE, "every independent road to VSZ, RSS and swap, with their differences", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_target, opts_collect, opts_print, NULL };

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	return mw_report_explain(snap, ctx, ret, err);
}

static int run(int argc, char **argv)
{
	struct mw_explain_opts opts = { .size = sizeof(opts) };
	struct settings s;
	const char *arg;

	init_settings(&s);
	for (int id; (id = next_option(&cmd_explain, argc, argv, &s, &arg)) != -1;) {
		if (id == 'a')
			opts.all = true;
		else if (id == OPT_VERIFY)
			opts.verify = true;
		else
			return EXIT_USAGE;
	}
	if (opts.verify) {
		s.collect.verify = true;
		if (s.collect.smaps == MW_CHEAP)
			s.collect.smaps = MW_AUTO;
	}
	return report_target(&s, argc - optind, argv + optind, report, &opts);
}

const struct command cmd_explain = {
	.name = "explain",
	.summary = "Says why VSZ is not RSS, and what RSS is made of",
	.usage = "explain [OPTION]... TARGET | -- COMMAND...",
	.examples = "  memwhy explain 4242                a process\n"
		    "  memwhy explain --all redis-server  by name, with every range\n"
		    "  memwhy explain --json -- python3 -c 'x = [0] * 10**7'\n",
	.tables = tables,
	.takes_target = true,
	.run = run,
};
