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

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	(void)snap;
	return mw_report_doctor(ctx, ret, err);
}

static int run(int argc, char **argv)
{
	struct mw_doctor_opts opts = { .size = sizeof(opts) };
	struct settings s;
	const char *arg, *text = NULL;

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
		char *end;
		long pid = strtol(text, &end, 10);

		if (end == text || *end || pid < 1 || pid > PID_LIMIT)
			return fail_text(EXIT_USAGE, "memwhy doctor --help", "%s: not a process id", text);
		s.pid = (pid_t)pid;
	}
	opts.pid = s.pid;
	return print_report(&s, NULL, report, &opts);
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
