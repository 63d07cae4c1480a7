/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { OPT_PICTURE = 1000, OPT_PPROF, OPT_FOLDED, OPT_LINES };

#define SITES_EXPORTED 512	/* sites whose source lines are looked up for other tools */

static const struct opt own[] = {
	{ 'a', "all", NULL, ARG_NONE, "every size class, thread and allocation site", NULL },
	{ OPT_PICTURE, "picture", "[WHAT]", ARG_WORDS, "arenas with a character a page: its occupancy (default) or its size class",
	  "occupancy class" },
	{ OPT_PPROF, "pprof", "FILE", ARG_FILE, "write the allocation sites as a profile for go tool pprof, and print nothing else", NULL },
	{ OPT_FOLDED, "folded", "FILE", ARG_FILE, "write them as folded stacks, for flame graphs; - is standard output", NULL },
	{ OPT_LINES, "lines", "WHEN", ARG_WORDS, "look up source lines of allocation sites: auto (not of large files), always or never",
	  "auto always never" },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_target, opts_collect, opts_print, NULL };

static bool set_picture(struct mw_heap_opts *opts, const char *what)
{
	static const char *const words[] = { "occupancy", "class", NULL };
	int i;

	if (!take_word("picture", what ? what : words[0], words, &i))
		return false;
	opts->picture = (unsigned)i + 1;
	return true;
}

struct request {
	struct mw_heap_opts opts;
	const char *pprof, *folded;
};

static int discard(void *ctx, const void *bytes, size_t len)
{
	(void)ctx, (void)bytes, (void)len;
	return 0;
}

/* What has no answer leaves the file as it was. */
static int export(const struct mw_snapshot *snap, const char *path,
		  int (*write)(const struct mw_snapshot *, const struct mw_sink *, struct mw_err *))
{
	struct output out;
	struct mw_err err = {};

	if (!path)
		return EXIT_OK;
	if (write(snap, &(const struct mw_sink){ discard, NULL }, &err) < 0)
		return fail(EXIT_TARGET, &err);
	int code = open_output(&out, path);

	return code ? code : close_output(&out, write(snap, &out.sink, &err), &err);
}

static int export_all(const struct request *q, const struct mw_snapshot *snap)
{
	int code = export(snap, q->pprof, mw_heap_pprof);

	return code ? code : export(snap, q->folded, mw_heap_folded);
}

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	return mw_report_heap(snap, ctx, ret, err);
}

static bool set_lines(struct settings *s, const char *when)
{
	static const char *const words[] = { [MW_AUTO] = "auto", [MW_NEVER] = "never", [MW_ALWAYS] = "always", NULL };
	int i;

	if (!take_word("lines", when, words, &i))
		return false;
	s->collect.site_lines = (enum mw_when)i;
	return true;
}

/* One option; false after the error was told. */
static bool take_option(struct settings *s, struct request *q, int id, const char *arg)
{
	switch (id) {
	case 'a': q->opts.all = true; return true;
	case OPT_PICTURE: return set_picture(&q->opts, arg);
	case OPT_PPROF: q->pprof = arg; return true;
	case OPT_FOLDED: q->folded = arg; return true;
	case OPT_LINES: return set_lines(s, arg);
	default: return false;
	}
}

static int run(int argc, char **argv)
{
	struct request q = { .opts = { .size = sizeof(q.opts) } };
	struct mw_snapshot *snap = NULL;
	struct settings s;
	const char *arg;

	init_settings(&s);
	s.collect.site_lines = MW_AUTO;
	for (int id; (id = next_option(&cmd_heap, argc, argv, &s, &arg)) != -1;)
		if (!take_option(&s, &q, id, arg))
			return EXIT_USAGE;
	s.collect.max_sites = q.opts.all || q.pprof || q.folded || s.json ? SITES_EXPORTED : SITES_SHOWN;
	argc -= optind;
	argv += optind;
	if (!q.pprof && !q.folded)
		return report_target(&s, argc, argv, report, &q.opts);
	int code = get_snapshot(&s, argc, argv, &snap);

	return code ? code : finish_snapshot(&s, snap, export_all(&q, snap));
}

const struct command cmd_heap = {
	.name = "heap",
	.summary = "Shows the inside of a heap, from requested bytes to VSZ",
	.usage = "heap [OPTION]... TARGET",
	.examples = "  memwhy run -- ./server &         a program under an allocator that it reads\n"
		    "  memwhy heap $!                   that program\n"
		    "  memwhy heap --pprof heap.pb.gz 4242; go tool pprof -top heap.pb.gz\n"
		    "  memwhy heap --json 4242 | jq .bridge\n",
	.tables = tables,
	.takes_target = true,
	.run = run,
};
