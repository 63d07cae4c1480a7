/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <getopt.h>
#include <stddef.h>

static const struct opt own[] = {
	{ 'l', "long", NULL, ARG_NONE, "also the end, dirty memory, segment, and how the owner is known: about 180 columns", NULL },
	{ 'x', "extended", NULL, ARG_NONE, "address, size, RSS, dirty and mode in KiB, as pmap -x", NULL },
	{ 'X', "fields", NULL, ARG_NONE, "more fields of smaps, as pmap -X; twice: all of them, as pmap -XX", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_table, opts_target, opts_collect, opts_print, NULL };

/* pmap's tables are in KiB, and dirty or shared amounts stand in smaps only, which is read where it is shown. */
static void apply_mode(struct settings *s, enum mw_maps_mode mode)
{
	bool is_pmap = mode == MW_MAPS_X || mode == MW_MAPS_XF || mode == MW_MAPS_XX;

	if (is_pmap && !s->unit_given)
		s->text.unit = MW_UNIT_KIB;
	if (s->collect.smaps == MW_CHEAP && is_pmap)
		s->collect.smaps = MW_ALWAYS;
	else if (s->collect.smaps == MW_CHEAP && (mode == MW_MAPS_LONG || s->text.columns))
		s->collect.smaps = MW_AUTO;
	if (s->collect.rollup == MW_AUTO)
		s->collect.rollup = MW_NEVER;
}

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	return mw_report_maps(snap, ctx, ret, err);
}

static int run(int argc, char **argv)
{
	struct mw_maps_opts opts = { .size = sizeof(opts) };
	struct settings s;
	const char *arg;

	init_settings(&s);
	for (int id; (id = next_option(&cmd_maps, argc, argv, &s, &arg)) != -1;) {
		if (id == 'x')
			opts.mode = MW_MAPS_X;
		else if (id == 'X')
			opts.mode = opts.mode == MW_MAPS_XF ? MW_MAPS_XX : MW_MAPS_XF;
		else if (id == 'l')
			opts.mode = MW_MAPS_LONG;
		else
			return EXIT_USAGE;
	}
	apply_mode(&s, opts.mode);
	return report_target(&s, argc - optind, argv + optind, report, &opts);
}

const struct command cmd_maps = {
	.name = "maps",
	.summary = "Prints every mapping with its ELF segment, sections and owner",
	.usage = "maps [OPTION]... TARGET | -- COMMAND...",
	.examples = "  memwhy maps 4242\n"
		    "  memwhy maps -o address,size,resident,owner --sort=-resident 4242\n"
		    "  memwhy maps -XX 4242             every field of smaps, as pmap -XX\n",
	.tables = tables,
	.takes_target = true,
	.run = run,
};
