/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

enum { OPT_SYMBOLS = 1000, OPT_RELOCS, OPT_COLD, OPT_HOT };

static const struct opt own[] = {
	{ OPT_SYMBOLS, "symbols", NULL, ARG_NONE, "also each function and variable", NULL },
	{ OPT_RELOCS, "relocs", NULL, ARG_NONE, "who dirtied the copied pages: the dynamic linker or the program", NULL },
	{ OPT_COLD, "cold", NULL, ARG_NONE, "the largest functions and variables that have no page here", NULL },
	{ OPT_HOT, "hot", NULL, ARG_NONE, "the largest functions and variables that are resident", NULL },
	{ 'a', "all", NULL, ARG_NONE, "every object, section and symbol", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_table, opts_target, opts_collect, opts_print, NULL };

/* Symbols that a screen shows of each table; JSON has all. */
#define TEXT_LIMIT 40

static bool take_option(struct mw_sections_opts *o, int id)
{
	switch (id) {
	case OPT_SYMBOLS: return o->symbols = true;
	case OPT_RELOCS: return o->relocs = true;
	case OPT_COLD: return o->cold = true;
	case OPT_HOT: return o->hot = true;
	case 'a': return o->all = true;
	default: return false;
	}
}

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	return mw_report_sections(snap, ctx, ret, err);
}

static int run(int argc, char **argv)
{
	struct mw_sections_opts opts = { .size = sizeof(opts) };
	struct settings s;
	const char *arg;

	init_settings(&s);
	for (int id; (id = next_option(&cmd_sections, argc, argv, &s, &arg)) != -1;)
		if (id < 0 || !take_option(&opts, id))
			return EXIT_USAGE;
	int code = split_place(&s, &argc, argv, &opts.object);

	if (code)
		return code;
	opts.limit = s.json || opts.all ? 0 : TEXT_LIMIT;
	s.collect.symbols = opts.symbols || opts.cold || opts.hot;
	s.collect.relocs = s.collect.cache_places = true;
	s.collect.details_of = opts.object;
	return report_target(&s, argc - optind, argv + optind, report, &opts);
}

const struct command cmd_sections = {
	.name = "sections",
	.summary = "Shows what of each ELF section, function and variable is in memory",
	.usage = "sections [OPTION]... TARGET [OBJECT] | -- COMMAND...",
	.examples = "  memwhy sections 4242             objects, and the program's sections\n"
		    "  memwhy sections 4242 libc        the sections of one library\n"
		    "  memwhy sections --cold 4242      large functions that were never used\n"
		    "  memwhy sections --relocs 4242    what relocation cost\n",
	.tables = tables,
	.takes_target = true,
	.run = run,
};
