/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

enum { OPT_FRAMES = 1000, OPT_MAPPERS };

static const struct opt own[] = {
	{ OPT_FRAMES, "frames", NULL, ARG_NONE, "also the page frames: number, mappers, flags; needs root", NULL },
	{ OPT_MAPPERS, "mappers", NULL, ARG_NONE, "also the processes that map these frames; asks every process; needs root", NULL },
	{ 'a', "all", NULL, ARG_NONE, "one character a page, however long the map; every frame", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_table, opts_target, opts_collect, opts_print, NULL };

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	return mw_report_pages(snap, ctx, ret, err);
}

static int run(int argc, char **argv)
{
	struct mw_pages_opts opts = { .size = sizeof(opts) };
	struct settings s;
	bool frames = false;
	const char *arg;

	init_settings(&s);
	for (int id; (id = next_option(&cmd_pages, argc, argv, &s, &arg)) != -1;) {
		if (id == OPT_FRAMES)
			opts.frames = frames = true;
		else if (id == OPT_MAPPERS)
			opts.mappers = opts.frames = s.collect.mappers = frames = true;
		else if (id == 'a')
			opts.all = true;
		else
			return EXIT_USAGE;
	}
	int code = split_place(&s, &argc, argv, &opts.place);

	if (code)
		return code;
	s.collect.cache_places = true;
	if (frames)
		s.collect.frames_of = opts.place ? opts.place : "";
	return report_target(&s, argc - optind, argv + optind, report, &opts);
}

const struct command cmd_pages = {
	.name = "pages",
	.summary = "Draws the state of every page of a range, object or process",
	.usage = "pages [OPTION]... TARGET [RANGE|SECTION|OBJECT] | -- COMMAND...",
	.examples = "  memwhy pages 4242                one line a mapping\n"
		    "  memwhy pages 4242 '[heap]'       also libc, .data, libc:.bss, 7f0000000000+64K\n"
		    "  memwhy pages --frames 4242 .data\n",
	.tables = tables,
	.takes_target = true,
	.run = run,
};
