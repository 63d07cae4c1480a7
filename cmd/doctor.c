/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct opt own[] = {
	{ 'p', "pid", "PID", ARG_PID, "try the sources on this process", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_print, NULL };

static int run(int argc, char **argv)
{
	struct mw_doctor_opts opts = { .size = sizeof(opts) };
	struct mw_document *doc = NULL;
	struct mw_err err = {};
	struct settings s;
	const char *arg, *text = NULL;
	char *end;

	init_settings(&s);
	for (int id; (id = next_option(&cmd_doctor, argc, argv, &s, &arg)) != -1;) {
		if (id != 'p')
			return EXIT_USAGE;
		text = arg;
	}
	if (optind < argc && !text)
		text = argv[optind++];
	if (optind < argc)
		return fail_text(EXIT_USAGE, "memwhy doctor --help", "%s: one process at a time", argv[optind]);
	if (text) {
		s.pid = (pid_t)strtol(text, &end, 10);
		if (end == text || *end || s.pid < 1)
			return fail_text(EXIT_USAGE, "memwhy doctor --help", "%s: not a process id", text);
	}
	opts.pid = s.pid;
	if (mw_report_doctor(&opts, &doc, &err) < 0)
		return fail(EXIT_TARGET, &err);
	return print_document(&s, doc);
}

const struct command cmd_doctor = {
	.name = "doctor",
	.summary = "Tells what works on this machine, and how to enable the rest",
	.usage = "doctor [OPTION]... [PID]",
	.examples = "  memwhy doctor                    for your own processes\n"
		    "  memwhy doctor 1                  for this process\n"
		    "  memwhy doctor --json\n",
	.tables = tables,
	.run = run,
};
