/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy elf: readelf's letters with readelf's meanings, which is why -h, -n, -p and -r are not what
 * they are elsewhere. Exit status: 0 clean, 1 printed but malformed (or, with --diff, different), 3 not
 * readable as ELF.
 */
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DUMPS 64
#define HEADERS (MW_ELF_HEADER | MW_ELF_SECTIONS | MW_ELF_SEGMENTS)

enum {
	OPT_DYN_SYMS = 1000, OPT_PLAN, OPT_CHECK, OPT_SIZES, OPT_DIFF, OPT_HEX, OPT_UNITS, OPT_ADDR, OPT_TYPE, OPT_PID,
	OPT_AT, OPT_MAP, OPT_PAGE_SIZE, OPT_EXCEPTION, OPT_NO_DEMANGLE, OPT_NOTHING, OPT_SYM_BASE,
	OPT_NO_CTF, OPT_NO_SFRAME, OPT_NO_LTO, OPT_NO_DWARF, OPT_NO_SECTION,
};

static const struct opt own[] = {
	{ 'a', "all", NULL, ARG_NONE, "what -h -l -S -s -r -d -V -n -A -I -g -u show together", NULL },
	{ 'h', "file-header", NULL, ARG_NONE, "the ELF header", NULL },
	{ 'l', "program-headers", NULL, ARG_NONE, "the program headers, with the sections in each segment", NULL },
	{ 'l', "segments", NULL, ARG_NONE, "the same", NULL },
	{ 'S', "section-headers", NULL, ARG_NONE, "the section headers", NULL },
	{ 'S', "sections", NULL, ARG_NONE, "the same", NULL },
	{ 'g', "section-groups", NULL, ARG_NONE, "the section groups", NULL },
	{ 't', "section-details", NULL, ARG_NONE, "the sections with their flags by name", NULL },
	{ 'e', "headers", NULL, ARG_NONE, "what -h -l -S show together", NULL },
	{ 's', "syms", NULL, ARG_NONE, "the symbol tables", NULL },
	{ 's', "symbols", NULL, ARG_NONE, "the same", NULL },
	{ OPT_DYN_SYMS, "dyn-syms", NULL, ARG_NONE, "the dynamic symbol table", NULL },
	{ 'C', "demangle", "[STYLE]", ARG_TEXT, "show C++, Rust and D names as people write them", NULL },
	{ 'n', "notes", NULL, ARG_NONE, "the notes, those of cores too", NULL },
	{ 'r', "relocs", NULL, ARG_NONE, "the relocations", NULL },
	{ 'u', "unwind", NULL, ARG_NONE, "the unwind tables with their instructions", NULL },
	{ 'd', "dynamic", NULL, ARG_NONE, "the dynamic table", NULL },
	{ 'V', "version-info", NULL, ARG_NONE, "the symbol versions", NULL },
	{ 'A', "arch-specific", NULL, ARG_NONE, "the attributes of the architecture", NULL },
	{ 'c', "archive-index", NULL, ARG_NONE, "the symbol index of an archive", NULL },
	{ 'D', "use-dynamic", NULL, ARG_NONE, "take symbols and relocations through PT_DYNAMIC, not the sections", NULL },
	{ 'x', "hex-dump", "SECTION", ARG_TEXT, "bytes of a section, by number or name", NULL },
	{ 'p', "string-dump", "SECTION", ARG_TEXT, "strings of a section; a number without any FILE is a process, as --pid", NULL },
	{ 'R', "relocated-dump", "SECTION", ARG_TEXT, "bytes of a section after its relocations", NULL },
	{ 'z', "decompress", NULL, ARG_NONE, "inflate compressed sections before -x, -p and -R", NULL },
	{ 'I', "histogram", NULL, ARG_NONE, "how long the chains of the hash tables are", NULL },
	{ OPT_HEX, "hex", "[INDEX]", ARG_NUMBER, "with -h, -l, -S, -s: headers and symbols byte by byte, each field with its meaning; "
	  "with a number, only this one of each table", NULL },
	{ OPT_PLAN, "plan", NULL, ARG_NONE, "the mappings that kernel and loader will make of the file", NULL },
	{ OPT_PAGE_SIZE, "page-size", "BYTES", ARG_NUMBER, "page size of the load plan (default 4096)", NULL },
	{ OPT_CHECK, "check", NULL, ARG_NONE, "whether it will run, what is wrong with it, how it is hardened", NULL },
	{ 'L', "lint", NULL, ARG_NONE, "the same", NULL },
	{ 'P', "process-links", NULL, ARG_NONE, "show the separate debug file after each file", NULL },
	{ 'w', "debug-dump", "[WHAT]", ARG_TEXT, "f, F, frames: the unwind tables, as -u; other parts of DWARF are not dumped", NULL },
	{ OPT_SIZES, "sizes", "[BY]", ARG_WORDS, "what the bytes of file and memory are: by section, segment, symbol, unit "
	  "(compile units) or file-line", "section segment symbol unit file-line" },
	{ OPT_DIFF, "diff", NULL, ARG_NONE, "with two files: how the sizes changed", NULL },
	{ OPT_UNITS, "units", NULL, ARG_NONE, "the compile units of the debug information", NULL },
	{ OPT_ADDR, "addr", "ADDRESS", ARG_TEXT, "the source line of an address", NULL },
	{ OPT_TYPE, "type", "NAME", ARG_TEXT, "the layout of a struct or union, with its holes", NULL },
	{ OPT_PID, "pid", "PID", ARG_PID, "inspect an image in the memory of a process", NULL },
	{ OPT_AT, "at", "ADDRESS", ARG_TEXT, "with --pid: the image that holds this address", NULL },
	{ OPT_MAP, "map", "NAME", ARG_TEXT, "with --pid: the image of this mapping, such as [vdso]", NULL },
	{ 0 },
};
/* Of readelf and eu-readelf, so that command lines work as they are: see the manual page. */
static const struct opt theirs[] = {
	{ 'L', "enable-checks", NULL, ARG_NONE, NULL, NULL },
	{ 'H', "help", NULL, ARG_NONE, NULL, NULL },
	{ 'p', "strings", "SECTION", ARG_TEXT, NULL, NULL },
	{ 'T', "silent-truncation", NULL, ARG_NONE, NULL, NULL },
	{ OPT_EXCEPTION, "exception", NULL, ARG_NONE, NULL, NULL },
	{ OPT_NO_DEMANGLE, "no-demangle", NULL, ARG_NONE, NULL, NULL },
	{ OPT_NOTHING, "recurse-limit", NULL, ARG_NONE, NULL, NULL },
	{ OPT_NOTHING, "no-recurse-limit", NULL, ARG_NONE, NULL, NULL },
	{ OPT_SYM_BASE, "sym-base", "BASE", ARG_NUMBER, NULL, NULL },
	{ OPT_NO_CTF, "ctf", "SECTION", ARG_TEXT, NULL, NULL },
	{ OPT_NO_CTF, "ctf-parent", "NAME", ARG_TEXT, NULL, NULL },
	{ OPT_NO_CTF, "ctf-symbols", "SECTION", ARG_TEXT, NULL, NULL },
	{ OPT_NO_CTF, "ctf-strings", "SECTION", ARG_TEXT, NULL, NULL },
	{ OPT_NO_SFRAME, "sframe", "[SECTION]", ARG_TEXT, NULL, NULL },
	{ OPT_NO_LTO, "lto-syms", NULL, ARG_NONE, NULL, NULL },
	{ OPT_NO_DWARF, "dwarf-depth", "N", ARG_NUMBER, NULL, NULL },
	{ OPT_NO_DWARF, "dwarf-start", "N", ARG_NUMBER, NULL, NULL },
	{ OPT_NO_DWARF, "dwarf-skeleton", "FILE", ARG_FILE, NULL, NULL },
	{ OPT_NO_SECTION, "elf-section", "[SECTION]", ARG_TEXT, NULL, NULL },
	{ 'U', "unicode", "METHOD", ARG_TEXT, NULL, NULL },
	{ 0 },
};

/* What of theirs is not there, and what helps. */
static const struct {
	int id;
	const char *why, *hint;
} absent[] = {
	{ OPT_NO_CTF, "CTF is not read", "readelf --ctf reads it" },
	{ OPT_NO_SFRAME, "SFrame is not read", "readelf --sframe reads it" },
	{ OPT_NO_LTO, "symbol tables of link-time optimization are not read", "readelf --lto-syms reads them" },
	{ OPT_NO_DWARF, "DWARF is not dumped", "--units, --addr, --type and -u answer from it; readelf -w dumps it" },
	{ OPT_NO_SECTION, "no section is read as a file", "-s and --sizes=symbol have the symbols of .gnu_debugdata" },
};
static const struct opt *const tables[] = { own, opts_print, theirs, NULL };

static const struct {
	int id;
	unsigned views;
} view_options[] = {
	{ 'a', HEADERS | MW_ELF_SYMBOLS | MW_ELF_RELOCS | MW_ELF_DYNAMIC | MW_ELF_VERSIONS | MW_ELF_NOTES |
	       MW_ELF_ATTRIBUTES | MW_ELF_HISTOGRAM | MW_ELF_GROUPS | MW_ELF_UNWIND },
	{ 'h', MW_ELF_HEADER }, { 'l', MW_ELF_SEGMENTS }, { 'S', MW_ELF_SECTIONS }, { 'g', MW_ELF_GROUPS },
	{ 't', MW_ELF_DETAILS }, { 'e', HEADERS }, { 's', MW_ELF_SYMBOLS }, { OPT_DYN_SYMS, MW_ELF_DYNSYMS },
	{ 'n', MW_ELF_NOTES }, { 'r', MW_ELF_RELOCS }, { 'u', MW_ELF_UNWIND | MW_ELF_CFI }, { 'd', MW_ELF_DYNAMIC },
	{ 'V', MW_ELF_VERSIONS }, { 'A', MW_ELF_ATTRIBUTES }, { 'I', MW_ELF_HISTOGRAM }, { 'c', MW_ELF_INDEX },
	{ OPT_HEX, MW_ELF_HEX_HEADERS }, { OPT_PLAN, MW_ELF_PLAN }, { OPT_CHECK, MW_ELF_CHECK },
	{ OPT_SIZES, MW_ELF_SIZES }, { OPT_UNITS, MW_ELF_UNITS }, { 'L', MW_ELF_CHECK },
	{ OPT_EXCEPTION, MW_ELF_UNWIND | MW_ELF_CFI },
};

struct request {
	struct settings s;
	struct mw_elf_opts opts;
	const char *hex[MAX_DUMPS], *strings[MAX_DUMPS], *relocated[MAX_DUMPS];
	uint64_t addrs[MAX_DUMPS];
	const char *map;
	uint64_t at;
	bool diff;
	pid_t pid;
	struct mw_elf **elfs;
	size_t n_elfs;
};

static bool parse_number(const char *name, const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 0);
	if (end != text && !*end && !errno && *text != '-')
		return true;
	fail_text(0, NULL, "--%s: %s is not a number", name, text);
	return false;
}

static bool add_dump(const char **list, size_t *n, const char *section)
{
	if (*n == MAX_DUMPS) {
		fail_text(0, NULL, "more than %d dumps of a kind", MAX_DUMPS);
		return false;
	}
	list[(*n)++] = section;
	return true;
}

static bool set_sizes(struct request *r, const char *by)
{
	static const char *const words[] = { "section", "segment", "symbol", "unit", "file-line", NULL };
	int i;

	if (by && !take_word("sizes", by, words, &i))
		return false;
	if (by)
		r->opts.sizes_by = (enum mw_elf_sizes)i;
	return true;
}

static bool one_of(const char *arg, const char *const *words)
{
	while (*words && strcmp(arg, *words))
		words++;
	return *words;
}

static bool say_absent(int id)
{
	size_t i = 0;

	while (absent[i].id != id)
		i++;
	fail_text(0, absent[i].hint, "elf: %s", absent[i].why);
	return false;
}

/* Frames are the only part of DWARF that is dumped; links are followed anyway. */
static bool set_debug_dump(struct request *r, const char *arg)
{
	static const char *const frames[] = { "f", "F", "frames", "frames-interp", "frame", "exception", NULL };
	static const char *const links[] = { "K", "N", "follow-links", "no-follow-links", NULL };

	if (arg && one_of(arg, frames)) {
		r->opts.views |= MW_ELF_UNWIND | MW_ELF_CFI;
		return true;
	}
	if (arg && one_of(arg, links))
		return true;
	return say_absent(OPT_NO_DWARF);
}

static bool set_theirs(struct request *r, int id, const char *arg)
{
	static const char *const bases[] = { "0", "10", NULL }, *const methods[] = { "d", "default", "l", "locale", NULL };

	switch (id) {
	case OPT_NO_CTF: case OPT_NO_SFRAME: case OPT_NO_LTO: case OPT_NO_DWARF: case OPT_NO_SECTION: return say_absent(id);
	case 'H': exit(print_help(&cmd_elf));
	case OPT_NO_DEMANGLE: r->opts.demangle = false; return true;
	case OPT_SYM_BASE:
		if (one_of(arg, bases))
			return true;
		fail_text(0, NULL, "elf: --sym-base: sizes of symbols are decimal numbers, not in base %s", arg);
		return false;
	case 'U':
		if (one_of(arg, methods))
			return true;
		fail_text(0, NULL, "elf: --unicode: characters are shown as the locale has them, not by the method %s", arg);
		return false;
	default: return true;
	}
}

static bool set_pid(struct request *r, const char *arg)
{
	uint64_t v;

	if (!parse_number("pid", arg, &v))
		return false;
	if (!v || v > PID_LIMIT) {
		fail_text(0, NULL, "--pid: %s is not a number from 1 to %d", arg, PID_LIMIT);
		return false;
	}
	r->pid = (pid_t)v;
	return true;
}

/*
 * -p means readelf's strings of a section. Without a file there is no section, so that a number can only
 * be a process, as it is in the other commands. False after an error was printed.
 */
static bool take_pid(struct request *r)
{
	for (size_t i = 0; i < r->opts.n_strings; i++) {
		const char *arg = r->strings[i];

		if (arg[strspn(arg, "0123456789")])
			continue;
		memmove(&r->strings[i], &r->strings[i + 1], (--r->opts.n_strings - i) * sizeof(r->strings[0]));
		return set_pid(r, arg);
	}
	return true;
}

static bool set_option(struct request *r, int id, const char *arg)
{
	for (size_t i = 0; i < COUNT(view_options); i++)
		if (view_options[i].id == id)
			r->opts.views |= view_options[i].views;
	switch (id) {
	case 'C': r->opts.demangle = !arg || strcmp(arg, "none"); return true;
	case 'D': r->opts.use_dynamic = true; return true;
	case 'P': r->opts.process_links = true; return true;
	case 'w': return set_debug_dump(r, arg);
	case 'z': r->opts.decompress = true; return true;
	case 'x': return add_dump(r->hex, &r->opts.n_hex, arg);
	case 'p': return add_dump(r->strings, &r->opts.n_strings, arg);
	case 'R': return add_dump(r->relocated, &r->opts.n_relocated, arg);
	case OPT_SIZES: return set_sizes(r, arg);
	case OPT_HEX:
		r->opts.one_header = arg;
		return !arg || parse_number("hex", arg, &r->opts.header_index);
	case OPT_TYPE: r->opts.type = arg; return true;
	case OPT_ADDR:
		if (r->opts.n_addrs < MAX_DUMPS)
			return parse_number("addr", arg, &r->addrs[r->opts.n_addrs++]);
		fail_text(0, NULL, "more than %d addresses", MAX_DUMPS);
		return false;
	case OPT_DIFF: r->diff = true; return true;
	case OPT_MAP: r->map = arg; return true;
	case OPT_AT: return parse_number("at", arg, &r->at);
	case OPT_PAGE_SIZE: return parse_number("page-size", arg, &r->opts.page_size);
	case OPT_PID: return set_pid(r, arg);
	default: return set_theirs(r, id, arg);
	}
}

static bool parse(struct request *r, int argc, char **argv)
{
	const char *arg, *urls = getenv("DEBUGINFOD_URLS");

	memset(r, 0, sizeof(*r));
	init_settings(&r->s);
	r->opts.size = sizeof(r->opts);
	r->opts.hex = r->hex;
	r->opts.strings = r->strings;
	r->opts.relocated = r->relocated;
	r->opts.addrs = r->addrs;
	r->opts.ask_servers = urls && *urls;
	for (int id; (id = next_option(&cmd_elf, argc, argv, &r->s, &arg)) != -1;)
		if (id == -2 || !set_option(r, id, arg))
			return false;
	if (optind == argc && !r->pid && !take_pid(r))
		return false;
	if (!r->opts.views && !r->opts.n_hex && !r->opts.n_strings && !r->opts.n_relocated && !r->opts.n_addrs &&
	    !r->opts.type)
		r->opts.views = MW_ELF_HEADER | MW_ELF_SEGMENTS | MW_ELF_CHECK;
	return true;
}

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	const struct request *r = ctx;

	(void)snap;
	return r->diff ? mw_report_elf_diff(r->elfs[0], r->elfs[1], &r->opts, ret, err) :
			 mw_report_elf(r->elfs, r->n_elfs, &r->opts, ret, err);
}

static int open_files(struct request *r, int n, char **paths)
{
	struct mw_err err = {};
	int code = EXIT_OK;

	if (r->pid) {
		if (mw_elf_open_process(r->pid, r->at, r->map, &r->elfs[0], &err) < 0)
			return fail(EXIT_TARGET, &err);
		r->n_elfs = 1;
		return EXIT_OK;
	}
	for (int i = 0; i < n; i++) {
		if (mw_elf_open(paths[i], &r->elfs[r->n_elfs], &err) < 0)
			code = fail(EXIT_TARGET, &err);
		else
			r->n_elfs++;
	}
	return code;
}

static int run(int argc, char **argv)
{
	struct request r;

	if (!parse(&r, argc, argv))
		return EXIT_USAGE;
	int n = argc - optind;

	if (n < 1 && !r.pid)
		return fail_text(EXIT_USAGE, "memwhy elf --help", "elf: no file given");
	if (n && r.pid)
		return fail_text(EXIT_USAGE, NULL, "elf: either --pid or files");
	if (!r.pid && (r.map || r.at))
		return fail_text(EXIT_USAGE, "memwhy elf --pid PID --map NAME", "elf: --at and --map need a process");
	if (r.opts.one_header && !(r.opts.views & (MW_ELF_SEGMENTS | MW_ELF_SECTIONS | MW_ELF_SYMBOLS | MW_ELF_DYNSYMS)))
		return fail_text(EXIT_USAGE, NULL, "elf: --hex with a number needs -l, -S, -s or --dyn-syms");
	if (r.diff && n != 2)
		return fail_text(EXIT_USAGE, NULL, "elf: --diff needs two files");
	r.elfs = calloc((size_t)n + 1, sizeof(*r.elfs));
	if (!r.elfs)
		return fail_text(EXIT_TARGET, NULL, "elf: out of memory");
	int code = open_files(&r, n, argv + optind);
	bool malformed = false;

	if (r.n_elfs && (!r.diff || r.n_elfs == 2)) {
		int printed = print_report(&r.s, NULL, report, &r);

		code = printed ? printed : code;
	}
	for (size_t i = 0; i < r.n_elfs; i++) {
		malformed |= mw_elf_malformed(r.elfs[i]);
		mw_elf_close(r.elfs[i]);
	}
	free(r.elfs);
	return code ? code : malformed ? EXIT_NO : EXIT_OK;
}

const struct command cmd_elf = {
	.name = "elf",
	.summary = "Inspects ELF files: readelf's views, load plan, what the bytes are",
	.usage = "elf [OPTION]... FILE...\n       memwhy elf -p PID [--at ADDRESS | --map NAME] [OPTION]...",
	.examples = "  memwhy elf -h -l /bin/ls           headers, as readelf shows them\n"
		    "  memwhy elf --plan --check prog     what the kernel will make of it\n"
		    "  memwhy elf --sizes=symbol libx.so  what takes the room\n",
	.tables = tables,
	.run = run,
};
