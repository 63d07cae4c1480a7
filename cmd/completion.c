/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Completions for bash, zsh and fish, from the option tables. */
#include "cmd.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct opt *const tables[] = { NULL };

static void each_option(const struct command *cmd, void (*fn)(const struct command *, const struct opt *))
{
	for (const struct opt *const *t = cmd->tables; *t; t++)
		for (const struct opt *o = *t; o->name; o++)
			if (o->help)
				fn(cmd, o);
	for (const struct opt *o = opts_help; o->name; o++)
		fn(cmd, o);
}

static void bash_option(const struct command *cmd, const struct opt *o)
{
	(void)cmd;
	printf(" --%s", o->name);
	if (o->id < 256)
		printf(" -%c", o->id);
}

static void bash_words(const struct command *cmd, const struct opt *o)
{
	(void)cmd;
	if (o->kind == ARG_WORDS)
		printf("\t--%s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", o->name, o->words);
	else if (o->kind == ARG_FILE || o->kind == ARG_DIR)
		printf("\t--%s) COMPREPLY=($(compgen -%c -- \"$cur\")); return ;;\n", o->name, o->kind == ARG_FILE ? 'f' : 'd');
}

static void print_bash(void)
{
	printf("# bash completion for memwhy\n_memwhy()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd=\n"
	       "\t[ \"$cur\" = = ] && cur=\n"
	       "\t[ \"$prev\" = = ] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
	       "\tcase ${COMP_WORDS[1]} in\n");
	for (const struct command *const *c = commands; *c; c++)
		printf("\t%s) cmd=%s ;;\n", (*c)->name, (*c)->name);
	printf("\tesac\n\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\tCOMPREPLY=($(compgen -W '");
	for (const struct command *const *c = commands; *c; c++)
		printf("%s ", (*c)->name);
	printf("--help --version' -- \"$cur\") $(compgen -W \"$(ps -eo pid= 2>/dev/null)\" -- \"$cur\"))\n\t\treturn\n\tfi\n"
	       "\tcase $prev in\n");
	for (const struct command *const *c = commands; *c; c++)
		each_option(*c, bash_words);
	printf("\tesac\n\tcase $cmd,$cur in\n");
	for (const struct command *const *c = commands; *c; c++) {
		printf("\t%s,-*) COMPREPLY=($(compgen -W '", (*c)->name);
		each_option(*c, bash_option);
		printf("' -- \"$cur\")) ;;\n");
	}
	printf("\t*) COMPREPLY=($(compgen -W \"$(ps -eo pid=,comm= 2>/dev/null)\" -- \"$cur\") $(compgen -f -- \"$cur\")) ;;\n"
	       "\tesac\n}\ncomplete -F _memwhy memwhy\n");
}

/* Brackets, quotes and colons mean something to _arguments. */
static void zsh_text(const char *text)
{
	for (; *text; text++) {
		if (strchr("[]:", *text))
			putchar('\\');
		if (*text == '\'')
			fputs("'\\'", stdout);
		putchar(*text);
	}
}

static void zsh_option(const struct command *cmd, const struct opt *o)
{
	(void)cmd;
	printf(" \\\n\t\t\t'--%s%s[", o->name, !o->arg ? "" : *o->arg == '[' ? "=-" : "=");
	zsh_text(o->help);
	putchar(']');
	if (o->arg)
		printf(":%s:%s", o->name, o->kind == ARG_FILE ? "_files" : o->kind == ARG_DIR ? "_files -/" :
		       o->kind == ARG_PID ? "_pids" : "");
	if (o->kind == ARG_WORDS)
		printf("(%s)", o->words);
	putchar('\'');
	if (o->id < 256) {
		printf(" \\\n\t\t\t'-%c[", o->id);
		zsh_text(o->help);
		printf("]'");
	}
}

static void print_zsh(void)
{
	printf("#compdef memwhy\n_memwhy() {\n\tif (( CURRENT == 2 )); then\n\t\t_values 'command'");
	for (const struct command *const *c = commands; *c; c++) {
		printf(" \\\n\t\t\t'%s[", (*c)->name);
		zsh_text((*c)->summary);
		printf("]'");
	}
	printf("\n\t\t_pids\n\t\treturn\n\tfi\n\tlocal cmd=$words[2]\n\tshift words\n\t(( CURRENT-- ))\n\tcase $cmd in\n");
	for (const struct command *const *c = commands; *c; c++) {
		printf("\t%s)\n\t\t_arguments", (*c)->name);
		each_option(*c, zsh_option);
		printf(" \\\n\t\t\t'*:target:_pids'\n\t\t;;\n");
	}
	printf("\tesac\n}\n_memwhy \"$@\"\n");
}

static void fish_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			putchar('\\');
		putchar(*text);
	}
}

static void fish_option(const struct command *cmd, const struct opt *o)
{
	printf("complete -c memwhy -n '__fish_seen_subcommand_from %s' -l %s", cmd->name, o->name);
	if (o->id < 256)
		printf(" -s %c", o->id);
	if (o->kind == ARG_WORDS)
		printf(" -x -a '%s'", o->words);
	else if (o->arg)
		printf(o->kind == ARG_FILE || o->kind == ARG_DIR ? " -r -F" : " -x");
	printf(" -d '");
	fish_text(o->help);
	printf("'\n");
}

static void print_fish(void)
{
	printf("# fish completion for memwhy\ncomplete -c memwhy -f\n");
	for (const struct command *const *c = commands; *c; c++) {
		printf("complete -c memwhy -n __fish_use_subcommand -a %s -d '", (*c)->name);
		fish_text((*c)->summary);
		printf("'\n");
		if ((*c)->takes_target)
			printf("complete -c memwhy -n '__fish_seen_subcommand_from %s' -a '(__fish_complete_pids)'\n", (*c)->name);
		each_option(*c, fish_option);
	}
}

static int run(int argc, char **argv)
{
	struct settings s;
	const char *arg;

	init_settings(&s);
	if (next_option(&cmd_completion, argc, argv, &s, &arg) != -1)
		return EXIT_USAGE;
	const char *shell = optind < argc ? argv[optind] : "";

	if (!strcmp(shell, "bash"))
		print_bash();
	else if (!strcmp(shell, "zsh"))
		print_zsh();
	else if (!strcmp(shell, "fish"))
		print_fish();
	else
		return fail_text(EXIT_USAGE, "memwhy completion bash", "completion: the shell is bash, zsh or fish");
	return finish_output();
}

const struct command cmd_completion = {
	.name = "completion",
	.summary = "Prints the completion script of a shell",
	.usage = "completion bash|zsh|fish",
	.examples = "  memwhy completion bash >/etc/bash_completion.d/memwhy\n",
	.tables = tables,
	.run = run,
};
