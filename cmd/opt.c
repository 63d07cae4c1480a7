/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Options. Each subcommand names the tables it takes; one table line is an option's letter, long name,
 * argument and help. getopt's arrays, --help and the completions are all made from these lines.
 */
#include "cmd.h"

#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_OPTS 96

enum {
	OPT_HELP = 256, OPT_PROCFS, OPT_CGROUPFS, OPT_MAX_STALL, OPT_PAGES, OPT_PSS, OPT_SMAPS, OPT_TRIES, OPT_AFTER, OPT_STRICT,
	OPT_FREEZE, OPT_SI, OPT_COLOR, OPT_WIDTH, OPT_SORT,
};

const struct opt opts_help[] = {
	{ OPT_HELP, "help", NULL, ARG_NONE, "print this help", NULL },
	{ 0 },
};

const struct opt opts_target[] = {
	{ 'p', "pid", "PID", ARG_PID, "the process, by its id", NULL },
	{ OPT_AFTER, "after", "SECONDS", ARG_NUMBER, "with -- COMMAND: how long it runs before it is looked at (default 2); one "
	  "that ends sooner is looked at just before its memory goes", NULL },
	{ OPT_STRICT, "strict", NULL, ARG_NONE, "exit with 4 when the numbers are torn or partial", NULL },
	{ 0 },
};

const struct opt opts_collect[] = {
	{ OPT_MAX_STALL, "max-stall", "MS", ARG_NUMBER, "bound on the predicted time for which one read keeps the target from "
	  "mapping memory, in milliseconds (default 60)", NULL },
	{ OPT_PSS, "pss", "WHEN", ARG_WORDS, "read smaps_rollup for PSS and USS: auto, always or never", "auto always never" },
	{ OPT_SMAPS, "smaps", "WHEN", ARG_WORDS, "read smaps, every field of every mapping: auto, always or never", "auto always never" },
	{ OPT_PAGES, "pages", "ROAD", ARG_WORDS, "where page states come from: auto, scan, smaps or pagemap", "auto scan smaps pagemap" },
	{ OPT_TRIES, "tries", "N", ARG_NUMBER, "take a torn snapshot again up to N times (default 5)", NULL },
	{ OPT_FREEZE, "freeze", NULL, ARG_NONE, "hold the target still while it is read", NULL },
	{ OPT_PROCFS, "procfs", "DIR", ARG_DIR, "read a captured copy of /proc", NULL },
	{ OPT_CGROUPFS, "cgroupfs", "DIR", ARG_DIR, "read a captured copy of /sys/fs/cgroup", NULL },
	{ 0 },
};

const struct opt opts_print[] = {
	{ 'J', "json", NULL, ARG_NONE, "print one JSON document, see memwhy-json(5)", NULL },
	{ 'b', "bytes", NULL, ARG_NONE, "print exact bytes", NULL },
	{ 'k', "kib", NULL, ARG_NONE, "print KiB", NULL },
	{ 'm', "mib", NULL, ARG_NONE, "print MiB", NULL },
	{ OPT_SI, "si", NULL, ARG_NONE, "print powers of 1000", NULL },
	{ OPT_COLOR, "color", "[WHEN]", ARG_WORDS, "colour: auto, always or never", "auto always never" },
	{ OPT_WIDTH, "width", "COLUMNS", ARG_NUMBER, "width of the text; 0 shortens nothing", NULL },
	{ 'W', "wide", NULL, ARG_NONE, "shorten nothing", NULL },
	{ 0 },
};

const struct opt opts_table[] = {
	{ 'o', "columns", "COLUMNS", ARG_TEXT, "columns to print, +COLUMN adds one, help lists them", NULL },
	{ OPT_SORT, "sort", "KEY", ARG_TEXT, "sort by a column, -KEY descending", NULL },
	{ 'r', "raw", NULL, ARG_NONE, "one blank between columns, blanks inside escaped, no units", NULL },
	{ 'n', "no-headings", NULL, ARG_NONE, "print no headings", NULL },
	{ 0 },
};

/*
 * Whether the user's characters are UTF-8: by the name of the locale, since loading it takes longer than
 * reading an ELF header; only a name that does not tell is asked.
 */
static bool uses_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	const char *locale = NULL;

	for (size_t i = 0; i < COUNT(names) && (!locale || !*locale); i++)
		locale = getenv(names[i]);
	if (!locale || !*locale || !strcmp(locale, "C") || !strcmp(locale, "POSIX"))
		return false;
	const char *codes = strchr(locale, '.');

	if (!codes)
		return setlocale(LC_CTYPE, "") && !strcmp(nl_langinfo(CODESET), "UTF-8");
	size_t n = strcspn(++codes, "@");

	return (n == 5 && !strncasecmp(codes, "UTF-8", n)) || (n == 4 && !strncasecmp(codes, "UTF8", n));
}

void init_settings(struct settings *s)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize ws;

	memset(s, 0, sizeof(*s));
	s->collect.size = sizeof(s->collect);
	s->collect.smaps = MW_CHEAP;
	s->text.size = sizeof(s->text);
	s->text.utf8 = uses_utf8();
	s->after = 2;
	if (isatty(STDOUT_FILENO)) {
		s->text.color = !(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0)
			s->text.width = ws.ws_col;
	}
}

/* ----------------------------------------------------------------- parsing */

struct parser {
	struct option longs[MAX_OPTS + 1];
	const struct opt *opts[MAX_OPTS];
	char shorts[MAX_OPTS * 3 + 3];
	size_t n;
};

static void add_opt(struct parser *p, const struct opt *o)
{
	bool optional = o->arg && *o->arg == '[';
	char letter[4] = { (char)o->id, o->arg ? ':' : '\0', optional ? ':' : '\0' };

	if (p->n == MAX_OPTS)
		return;
	p->longs[p->n] = (struct option){ o->name, !o->arg ? no_argument : optional ? optional_argument : required_argument,
					  NULL, o->id };
	p->opts[p->n++] = o;
	if (o->id < 256)
		strcat(p->shorts, letter);
}

static void build_parser(struct parser *p, const struct command *cmd)
{
	memset(p, 0, sizeof(*p));
	if (cmd->is_wrapper)
		strcpy(p->shorts, "+");
	for (const struct opt *const *t = cmd->tables; *t; t++)
		for (const struct opt *o = *t; o->name; o++)
			add_opt(p, o);
	for (const struct opt *o = opts_help; o->name; o++)
		add_opt(p, o);
}

bool take_number(const char *name, const char *text, double min, double max, double *ret)
{
	char *end;
	double v = strtod(text, &end);

	if (end != text && !*end && v >= min && v <= max) {
		*ret = v;
		return true;
	}
	fail_text(0, NULL, "--%s: %s is not a number from %.15g to %.15g", name, text, min, max);
	return false;
}

bool take_whole(const char *name, const char *text, double min, double max, double *ret)
{
	if (text[strspn(text, "0123456789")]) {
		fail_text(0, NULL, "--%s: %s is not a whole number from %.15g to %.15g", name, text, min, max);
		return false;
	}
	return take_number(name, text, min, max, ret);
}

bool take_word(const char *name, const char *text, const char *const *words, int *ret)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], text)) {
			*ret = i;
			return true;
		}
	char list[256] = "";
	size_t n = 0;

	for (int i = 0; words[i] && n < sizeof(list); i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, " %s", words[i]);
	fail_text(0, NULL, "--%s: %s is none of%s", name, text, list);
	return false;
}

static const char *const whens[] = { "auto", "never", "always", NULL };
static const char *const roads[] = { "auto", "scan", "smaps", "pagemap", NULL };

static bool set_unit(struct settings *s, enum mw_unit unit)
{
	s->text.unit = unit;
	s->unit_given = true;
	return true;
}

static bool set_number(struct settings *s, int id, const char *arg)
{
	double v;

	switch (id) {
	case 'p':
		if (!take_whole("pid", arg, 1, PID_LIMIT, &v))
			return false;
		s->pid = (pid_t)v;
		return true;
	case OPT_AFTER:
		return take_number("after", arg, 0, 86400, &s->after);
	case OPT_MAX_STALL:
		if (!take_number("max-stall", arg, 0, 3600000, &v))
			return false;
		s->collect.max_stall_ns = v < 1e-6 ? 1 : (uint64_t)(v * 1e6);
		return true;
	case OPT_TRIES:
		if (!take_whole("tries", arg, 1, 1000, &v))
			return false;
		s->collect.tries = (unsigned)v;
		return true;
	default:
		if (!take_whole("width", arg, 0, 10000, &v))
			return false;
		s->text.width = (unsigned)v;
		return true;
	}
}

static bool set_word(struct settings *s, int id, const char *arg)
{
	int i = 0;

	switch (id) {
	case OPT_PSS:
		if (!take_word("pss", arg, whens, &i))
			return false;
		s->collect.rollup = (enum mw_when)i;
		return true;
	case OPT_SMAPS:
		if (!take_word("smaps", arg, whens, &i))
			return false;
		s->collect.smaps = (enum mw_when)i;
		return true;
	case OPT_PAGES:
		if (!take_word("pages", arg, roads, &i))
			return false;
		s->collect.pages = (enum mw_page_source)i;
		return true;
	default:
		if (!take_word("color", arg ? arg : "always", whens, &i))
			return false;
		if (i)
			s->text.color = i == 2;
		return true;
	}
}

/* 1 stored, 0 not a common option, -2 wrong argument. */
static int store(struct settings *s, int id, const char *arg)
{
	switch (id) {
	case 'p': case OPT_AFTER: case OPT_MAX_STALL: case OPT_TRIES: case OPT_WIDTH:
		return set_number(s, id, arg) ? 1 : -2;
	case OPT_PSS: case OPT_SMAPS: case OPT_PAGES: case OPT_COLOR:
		return set_word(s, id, arg) ? 1 : -2;
	case 'b': return set_unit(s, MW_UNIT_BYTES);
	case 'k': return set_unit(s, MW_UNIT_KIB);
	case 'm': return set_unit(s, MW_UNIT_MIB);
	case OPT_SI: return set_unit(s, MW_UNIT_SI);
	case 'J': s->json = true; return 1;
	case 'W': s->text.width = 0; return 1;
	case 'r': s->text.raw = true; return 1;
	case 'n': s->text.no_headings = true; return 1;
	case OPT_STRICT: s->strict = true; return 1;
	case OPT_FREEZE: s->collect.freeze = true; return 1;
	case OPT_PROCFS: s->collect.procfs = arg; return 1;
	case OPT_CGROUPFS: s->collect.cgroupfs = arg; return 1;
	case OPT_SORT: s->text.sort = arg; return 1;
	default: return 0;
	}
}

/* A command's own options come first: it may give a letter another meaning (elf). */
static bool is_own(const struct command *cmd, int id)
{
	for (const struct opt *o = cmd->tables[0]; o->name; o++)
		if (o->id == id)
			return true;
	return false;
}

static bool is_common(const struct opt *table)
{
	return table == opts_target || table == opts_collect || table == opts_print || table == opts_table;
}

static bool has_table(const struct command *cmd, const struct opt *table)
{
	for (const struct opt *const *t = cmd->tables; *t; t++)
		if (*t == table)
			return true;
	return false;
}

static char program_name[] = "memwhy";

int next_option(const struct command *cmd, int argc, char **argv, struct settings *s, const char **arg)
{
	struct parser p;

	build_parser(&p, cmd);
	argv[0] = program_name;	/* what getopt puts before its messages */
	for (int i = 1; i < argc && !s->dashes; i++)
		s->dashes = strcmp(argv[i], "--") ? 0 : i;
	for (;;) {
		int id = getopt_long(argc, argv, p.shorts, p.longs, NULL);

		if (id == -1)
			return -1;
		if (id == '?') {
			fprintf(stderr, "hint: memwhy %s --help\n", cmd->name);
			return -2;
		}
		if (id == OPT_HELP)
			exit(print_help(cmd));
		if (id == 'o' && has_table(cmd, opts_table)) {
			s->text.columns = optarg;
			continue;
		}
		if (!is_common(cmd->tables[0]) && is_own(cmd, id)) {
			*arg = optarg;
			return id;
		}
		int rc = store(s, id, optarg);

		if (rc == 0) {
			*arg = optarg;
			return id;
		}
		if (rc < 0)
			return rc;
	}
}

/* -------------------------------------------------------------------- help */

/* Words of text from column 30 on, wrapped before column 80. */
static void print_wrapped(const char *text)
{
	size_t col = 30;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (col > 30 && col + 1 + len > 80) {
			printf("\n%30s", "");
			col = 30;
		} else if (col > 30) {
			putchar(' ');
			col++;
		}
		printf("%.*s", (int)len, text);
		col += len;
		text += len;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_option(const struct opt *o)
{
	char left[64];
	const char *eq = !o->arg ? "" : *o->arg == '[' ? "" : "=";
	const char *arg = o->arg ? o->arg : "";
	char optional[24];

	if (!o->help)
		return;
	if (*arg == '[') {
		snprintf(optional, sizeof(optional), "[=%s", arg + 1);
		arg = optional;
	}
	if (o->id < 256)
		snprintf(left, sizeof(left), "  -%c, --%s%s%s", o->id, o->name, eq, arg);
	else
		snprintf(left, sizeof(left), "      --%s%s%s", o->name, eq, arg);
	if (strlen(left) > 28)
		printf("%s\n%30s", left, "");
	else
		printf("%-30s", left);
	print_wrapped(o->help);
}

int print_help(const struct command *cmd)
{
	printf("Usage: memwhy %s\n\n%s.\n\nExamples:\n%s\nOptions:\n", cmd->usage, cmd->summary, cmd->examples);
	for (const struct opt *const *t = cmd->tables; *t; t++)
		for (const struct opt *o = *t; o->name; o++)
			print_option(o);
	for (const struct opt *o = opts_help; o->name; o++)
		print_option(o);
	return finish_output();
}
