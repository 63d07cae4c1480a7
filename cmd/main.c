/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dispatch: `memwhy COMMAND ...`, and `memwhy TARGET` for `memwhy explain TARGET`. */
#include "cmd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct command *const commands[] = {
	&cmd_explain, &cmd_maps, &cmd_sections, &cmd_pages, &cmd_at, &cmd_top,
	&cmd_elf, &cmd_record, &cmd_faults, &cmd_tlb, &cmd_heap, &cmd_run, &cmd_bench,
	&cmd_doctor, &cmd_demo, &cmd_completion, NULL,
};

static int print_usage(void)
{
	printf("Usage: memwhy COMMAND [OPTION]... TARGET\n"
	       "       memwhy TARGET               the same as memwhy explain TARGET\n\n"
	       "Says where a process's memory went.\nCommands:\n");
	for (const struct command *const *c = commands; *c; c++)
		printf("  %-12s%s\n", (*c)->name, (*c)->summary);
	printf("\nA TARGET is a pid, a process's name, a core, a saved snapshot, or -- COMMAND.\n"
	       "memwhy COMMAND --help tells its options; memwhy(1), memwhy-memory(7) the rest.\n");
	return finish_output();
}

static int print_version(void)
{
	char details[512];

	mw_version_details(details, sizeof(details));
	printf("memwhy %s\n%sLicence GPL-3.0-or-later\n", mw_version(), details);
	return finish_output();
}

static const struct command *find_command(const char *name)
{
	for (const struct command *const *c = commands; *c; c++)
		if (!strcmp((*c)->name, name))
			return *c;
	return NULL;
}

/*
 * Where who started us has closed a standard descriptor, no file that we open may get its number. Reading and writing
 * it fail as before, and a command finds it closed.
 */
static void fill_standard(void)
{
	int fd;

	while ((fd = open("/dev/null", O_PATH | O_CLOEXEC)) >= 0 && fd <= STDERR_FILENO)
		;
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	fill_standard();
	if (argc < 2) {
		print_usage();
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		const struct command *about = argc > 2 ? find_command(argv[2]) : NULL;
		char help[] = "--help";

		return about ? about->run(2, (char *[]){ argv[2], help, NULL }) : print_usage();
	}
	if (!strcmp(argv[1], "--version"))
		return print_version();
	const struct command *cmd = find_command(argv[1]);

	if (cmd)
		return cmd->run(argc - 1, argv + 1);
	if (argc > 2 && *argv[1] != '-' && *argv[2] != '-')
		return fail_text(EXIT_USAGE, "memwhy --help lists the commands; a target stands alone", "%s: no such command", argv[1]);
	return cmd_explain.run(argc, argv);
}
