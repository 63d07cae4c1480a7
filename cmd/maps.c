/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <getopt.h>
#include <stddef.h>

static const struct opt own[] = {
	{ 'x', "extended", NULL, ARG_NONE, "address, size, RSS, dirty and mode in KiB, as pmap -x", NULL },
	{ 'X', "fields", NULL, ARG_NONE, "more fields of smaps, as pmap -X; twice: all of them, as pmap -XX", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_table, opts_target, opts_collect, opts_print, NULL };

/* pmap's tables are in KiB, and dirty or shared amounts stand in smaps only. */
static void apply_mode(struct settings *s, unsigned mode)
{
	if (mode && !s->unit_given)
		s->text.unit = MW_UNIT_KIB;
	if (s->collect.smaps == MW_CHEAP)
		s->collect.smaps = mode ? MW_ALWAYS : MW_AUTO;
	if (s->collect.rollup == MW_AUTO)
		s->collect.rollup = MW_NEVER;
}

static int run(int argc, char **argv)
{
	struct mw_maps_opts opts = { .size = sizeof(opts) };
	struct mw_snapshot *snap = NULL;
	struct mw_document *doc = NULL;
	struct mw_err err = {};
	struct settings s;
	const char *arg;

	init_settings(&s);
	for (int id; (id = next_option(&cmd_maps, argc, argv, &s, &arg)) != -1;) {
		if (id == 'x')
			opts.extended = 1;
		else if (id == 'X')
			opts.extended = opts.extended == 2 ? 3 : 2;
		else
			return EXIT_USAGE;
	}
	apply_mode(&s, opts.extended);
	int code = get_snapshot(&s, argc - optind, argv + optind, &snap);

	if (code)
		return code;
	if (mw_report_maps(snap, &opts, &doc, &err) < 0)
		code = fail(EXIT_TARGET, &err);
	else
		code = print_document(&s, doc);
	return finish_snapshot(&s, snap, code);
}

const struct command cmd_maps = {
	.name = "maps",
	.summary = "Prints every mapping joined to the ELF segment and sections behind it, and who owns it",
	.usage = "maps [OPTION]... TARGET | -- COMMAND...",
	.examples = "  memwhy maps 4242\n"
		    "  memwhy maps -o address,size,resident,owner --sort=-resident 4242\n"
		    "  memwhy maps -XX 4242             every field of smaps, as pmap -XX\n",
	.tables = tables,
	.takes_target = true,
	.run = run,
};
