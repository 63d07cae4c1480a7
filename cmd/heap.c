/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <getopt.h>
#include <stddef.h>
#include <string.h>

enum { OPT_PICTURE = 1000 };

static const struct opt own[] = {
	{ 'a', "all", NULL, ARG_NONE, "every size class, thread and allocation site", NULL },
	{ OPT_PICTURE, "picture", "[WHAT]", ARG_WORDS, "arenas with a character a page: its occupancy (default) or its size class",
	  "occupancy class" },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_target, opts_collect, opts_print, NULL };

static bool set_picture(struct mw_heap_opts *opts, const char *what)
{
	opts->picture = what && !strcmp(what, "class") ? 2 : 1;
	if (!what || !strcmp(what, "occupancy") || !strcmp(what, "class"))
		return true;
	fail_text(0, NULL, "--picture: %s is none of occupancy class", what);
	return false;
}

static int run(int argc, char **argv)
{
	struct mw_heap_opts opts = { .size = sizeof(opts) };
	struct mw_snapshot *snap = NULL;
	struct mw_document *doc = NULL;
	struct mw_err err = {};
	struct settings s;
	const char *arg;

	init_settings(&s);
	for (int id; (id = next_option(&cmd_heap, argc, argv, &s, &arg)) != -1;) {
		if (id == 'a')
			opts.all = true;
		else if (id != OPT_PICTURE || !set_picture(&opts, arg))
			return EXIT_USAGE;
	}
	int code = get_snapshot(&s, argc - optind, argv + optind, &snap);

	if (code)
		return code;
	if (mw_report_heap(snap, &opts, &doc, &err) < 0)
		code = fail(EXIT_TARGET, &err);
	else
		code = print_document(&s, doc);
	return finish_snapshot(&s, snap, code);
}

const struct command cmd_heap = {
	.name = "heap",
	.summary = "Shows the inside of a heap: from requested bytes to VSZ, size classes, arenas, allocation sites",
	.usage = "heap [OPTION]... TARGET",
	.examples = "  memwhy run -- ./server &         a program under the allocator that can be read\n"
		    "  memwhy heap server\n"
		    "  memwhy heap --json 4242 | jq .bridge\n",
	.tables = tables,
	.takes_target = true,
	.run = run,
};
