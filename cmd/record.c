/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { OPT_SYMBOLS = 1000, OPT_FRAMES };

static const struct opt own[] = {
	{ 'o', "output", "FILE", ARG_FILE, "write to FILE instead of standard output, compressed if its name ends in .gz", NULL },
	{ OPT_SYMBOLS, "symbols", NULL, ARG_NONE, "also each function and variable, for sections and at on another machine", NULL },
	{ OPT_FRAMES, "frames", NULL, ARG_NONE, "also the frame of each page, for pages --frames and at; needs root", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_target, opts_collect, NULL };

static bool is_gzip(const char *path)
{
	size_t len = path ? strlen(path) : 0;

	return len > 3 && !strcmp(path + len - 3, ".gz");
}

static int save(const struct mw_snapshot *snap, const char *path)
{
	struct output out;
	struct mw_err err = {};
	int code = open_output(&out, path);

	if (code)
		return code;
	int rc = is_gzip(path) ? mw_snapshot_save_gzip(snap, &out.sink, &err) : mw_snapshot_save(snap, &out.sink, &err);

	return close_output(&out, rc, &err);
}

static int run(int argc, char **argv)
{
	struct mw_snapshot *snap = NULL;
	struct settings s;
	const char *arg;

	init_settings(&s);
	s.collect.smaps = MW_AUTO;
	s.collect.max_sites = 64;
	s.collect.verify = s.collect.relocs = s.collect.cache_places = true;
	for (int id; (id = next_option(&cmd_record, argc, argv, &s, &arg)) != -1;) {
		switch (id) {
		case 'o': s.output = arg; break;
		case OPT_SYMBOLS: s.collect.symbols = true; break;
		case OPT_FRAMES: s.collect.frames_of = ""; break;
		default: return EXIT_USAGE;
		}
	}
	int code = try_output(s.output);

	if (!code)
		code = get_snapshot(&s, argc - optind, argv + optind, &snap);

	if (code)
		return code;
	return finish_snapshot(&s, snap, save(snap, s.output));
}

const struct command cmd_record = {
	.name = "record",
	.summary = "Saves a snapshot, to be looked at later or on another machine",
	.usage = "record [OPTION]... TARGET | -- COMMAND...",
	.examples = "  memwhy record -o before.snap 4242\n"
		    "  memwhy explain before.snap\n"
		    "  memwhy record -o redis.snap.gz redis-server\n",
	.tables = tables,
	.takes_target = true,
	.run = run,
};
