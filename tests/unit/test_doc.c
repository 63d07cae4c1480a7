/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The document and its two writers: what is built here must come out as text and as JSON. */
#include "report/doc.h"

#include <math.h>
#include <stdlib.h>

#include "sinks.h"
#include "tap.h"

enum { CODE, WHAT, BYTES, SHARE, BAR, REGIONS, START, DELTA, SURE, PARTS, N_COLS };
static const struct mw__col cols[N_COLS] = {
	[CODE] = { "code", "CODE", MW__T_TEXT, 0, "code of the cause" },
	[WHAT] = { "label", "WHAT IT IS", MW__T_TEXT, MW__COL_TRUNC, "the cause in words" },
	[BYTES] = { "bytes", "BYTES", MW__T_BYTES, 0, "size" },
	[SHARE] = { "share", "SHARE", MW__T_SHARE, 0, "part of VSZ" },
	[BAR] = { "bar", "", MW__T_BAR, 0, "the same, drawn" },
	[REGIONS] = { "regions", "N", MW__T_COUNT, MW__COL_HIDDEN, "number of ranges" },
	[START] = { "start", "START", MW__T_ADDR, MW__COL_HIDDEN, "first address" },
	[DELTA] = { "delta", "DELTA", MW__T_DELTA, MW__COL_HIDDEN, "change" },
	[SURE] = { "sure", "SURE", MW__T_BOOL, MW__COL_HIDDEN | MW__COL_TEXT_ONLY, "proven" },
	[PARTS] = { "parts", NULL, MW__T_TABLE, MW__COL_JSON_ONLY, NULL },
};
static const struct mw__col part_cols[] = {
	{ "start", "START", MW__T_ADDR, 0, "first address" },
	{ "name", "NAME", MW__T_TEXT, 0, "file" },
};

static struct mw__doc_row *add_row(struct mw__doc_node *table, const char *code, const char *what,
				   uint64_t bytes, double share)
{
	struct mw__doc_row *row = mw__doc_row(table);

	mw__row_text(table, row, CODE, code);
	mw__row_text(table, row, WHAT, what);
	mw__row_u64(table, row, BYTES, bytes);
	mw__row_share(table, row, SHARE, share);
	mw__row_share(table, row, BAR, share);
	return row;
}

static void add_causes(struct mw__doc_node *root)
{
	struct mw__doc_node *t = mw__doc_table(root, "causes", "WHY VSZ IS LARGER", cols, N_COLS);
	struct mw__doc_row *row = add_row(t, "N9", "thread stacks, reserved", 8388608, 0.5);
	struct mw__doc_node *parts = mw__row_node(t, row, PARTS, MW__T_TABLE, part_cols, 2);
	struct mw__doc_row *part = mw__doc_row(parts);

	mw__row_u64(parts, part, 0, 0x7f0000001000);
	mw__row_text(parts, part, 1, "/lib/a b.so");
	mw__row_u64(t, row, REGIONS, 2);
	mw__row_u64(t, row, START, 0x400000);
	mw__row_delta(t, row, DELTA, -4096);
	mw__row_bool(t, row, SURE, true);
	row = add_row(t, NULL, "tid 1", 4096, NAN);
	mw__row_style(row, MW__ROW_CHILD);
	row = add_row(t, NULL, "tid 0", 1, NAN);
	mw__row_style(row, MW__ROW_CHILD);
	row = add_row(t, "N12", "file, \033[31mnever\xff read", 12345, 0.0004);
	mw__row_u64(t, row, REGIONS, MW_UNKNOWN);
	mw__row_u64(t, row, START, MW_UNKNOWN);
	mw__row_delta(t, row, DELTA, INT64_MIN);
	row = add_row(t, "N13", "größe ünknown", MW_UNKNOWN, NAN);
	mw__row_u64(t, row, REGIONS, 10);
	mw__row_delta(t, row, DELTA, 5347738);
	row = add_row(t, "", "total", 8400953, 1.0);
	mw__row_style(row, MW__ROW_TOTAL);
}

static struct mw_document *build(void)
{
	struct mw_document *doc = mw__doc_create("memwhy/test/1"), *ret = NULL;
	struct mw__doc_node *root = doc->root;
	const uint64_t sizes[] = { 1446019072, 5347738, MW_UNKNOWN };

	mw__doc_u64(root, "vsz", MW__T_BYTES, 1446019072);
	mw__doc_u64(root, "pss", MW__T_BYTES, MW_UNKNOWN);
	mw__doc_u64(root, "brk", MW__T_ADDR, UINT64_C(0xffffffffff600000));
	mw__doc_bool(root, "torn", false);
	mw__doc_delta(root, "residual", -4096);
	mw__doc_share(root, "resident_share", 0.0043693);
	mw__doc_text(root, "exe", "/bin/\"x\"\\\n\xc3\x28\x01");
	mw__doc_text(root, "comm", NULL);
	mw__doc_linef(root, sizes, 3, "%s (pid %d)   VSZ \001   RSS \001   PSS \001", "server", 42);
	add_causes(root);
	mw__doc_line(root, "", NULL, 0);
	mw__doc_line(root, "", NULL, 0);
	mw__doc_line(root, "residual \001   ", sizes + 1, 1);
	mw__doc_line(root, "\002IN WORDS", NULL, 0);
	struct mw__doc_node *list = mw__doc_list(root, "words");

	for (int i = 1; i <= 2; i++) {
		struct mw__doc_node *o = mw__doc_object(list, NULL);

		mw__doc_text(o, "id", i == 1 ? "reserve" : "stacks");
		mw__doc_linef(o, sizes, 2, "\003%2d. Of \001 only \001 is resident, because memory that "
			      "was never touched costs nothing.", i);
	}
	mw__doc_list(root, "notes");
	mw__doc_line(root, "", NULL, 0);
	if (mw__doc_finish(doc, &ret, NULL) != 0)
		return NULL;
	return ret;
}

static struct mw__str out;

static const char *text_of(const struct mw_document *doc, const struct mw_text_opts *opts)
{
	struct mw_sink sink = { sink_keep, &out };
	static struct mw_err err;

	mw__str_reset(&out);
	if (mw_document_text(doc, opts, &sink, &err) != 0)
		return err.text;
	return out.v ? out.v : "";
}

#define OPTS(...) (&(struct mw_text_opts){ .size = sizeof(struct mw_text_opts), __VA_ARGS__ })

static const char wide[] =
	"server (pid 42)   VSZ 1.3 GiB   RSS 5.1 MiB   PSS -\n"
	"\n"
	"WHY VSZ IS LARGER\n"
	"CODE  WHAT IT IS                       BYTES    SHARE\n"
	"N9    thread stacks, reserved        8.0 MiB   50.0 %  █████\n"
	"        tid 1                        4.0 KiB        -\n"
	"        tid 0                            1 B        -\n"
	"N12   file, \\x1b[31mnever\\xff read  12.1 KiB   0.04 %  ▏\n"
	"N13   größe ünknown                        -        -\n"
	"      total                          8.0 MiB  100.0 %  ██████████\n"
	"\n"
	"residual 5.1 MiB\n"
	"\n"
	"IN WORDS\n"
	" 1. Of 1.3 GiB only 5.1 MiB is resident, because memory that was never touched costs nothing.\n"
	" 2. Of 1.3 GiB only 5.1 MiB is resident, because memory that was never touched costs nothing.\n";

static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if (*s & 0x80)
			return false;
	return true;
}

static void check_wide(const struct mw_document *doc)
{
	is_str(text_of(doc, OPTS(.utf8 = true)), wide, "text without a limit");
	is_str(text_of(doc, OPTS(.utf8 = true, .width = 200)), wide, "a wide terminal changes nothing");
	text_of(doc, NULL);
	ok(is_ascii(out.v), "without options all is ASCII");
	ok(strstr(out.v, "gr\\xc3\\xb6\\xc3\\x9fe"), "then names beyond ASCII are escaped");
	ok(strstr(out.v, "50.0 %  #####\n"), "then bars are made of number signs");
}

static void check_narrow(const struct mw_document *doc)
{
	static const char want[] =
		"server (pid 42)   VSZ 1.3 GiB\n"
		"RSS 5.1 MiB   PSS -\n"
		"\n"
		"WHY VSZ IS LARGER\n"
		"CODE  WHAT IT IS               BYTES\n"
		"N9    thread st…, reserved   8.0 MiB\n"
		"        tid 1                4.0 KiB\n"
		"        tid 0                    1 B\n"
		"N12   file, \\x1…r\\xff read  12.1 KiB\n"
		"N13   größe ünknown                -\n"
		"      total                  8.0 MiB\n"
		"\n"
		"residual 5.1 MiB\n"
		"\n"
		"IN WORDS\n"
		" 1. Of 1.3 GiB only 5.1 MiB is\n"
		"    resident, because memory that\n"
		"    was never touched costs nothing.\n"
		" 2. Of 1.3 GiB only 5.1 MiB is\n"
		"    resident, because memory that\n"
		"    was never touched costs nothing.\n";

	is_str(text_of(doc, OPTS(.utf8 = true, .width = 36, .columns = "code,LABEL,bytes")), want,
	       "a narrow terminal: shortened in the middle, wrapped at blanks");
	text_of(doc, OPTS(.width = 36, .columns = "code,what it is,bytes"));
	ok(strstr(out.v, "\nN9    thread s... reserved   8.0 MiB\n"), "dots instead of an ellipsis in ASCII");
}

/* Bars give way before texts, and go when texts cannot give any more. */
static void check_bars(const struct mw_document *doc)
{
	text_of(doc, OPTS(.utf8 = true, .width = 60));
	ok(strstr(out.v, "\nN9    thread stacks, reserved        8.0 MiB   50.0 %  ██▌\n") &&
	   strstr(out.v, "100.0 %  █████\n"), "bars become shorter");
	text_of(doc, OPTS(.width = 54));
	ok(strstr(out.v, "\nN12   file, \\x1b...r\\xff read  12.1 KiB   0.04 %\n") &&
	   strstr(out.v, "100.0 %  ####\n"), "then texts do");
	text_of(doc, OPTS(.width = 44));
	ok(strstr(out.v, "\nN9    thread s...reserved   8.0 MiB   50.0 %\n"), "then bars are left out");
}

static void check_colour(const struct mw_document *doc)
{
	text_of(doc, OPTS(.utf8 = true, .color = true));
	ok(strstr(out.v, "\033[1mWHY VSZ IS LARGER\033[0m\n"), "a title is bold");
	ok(strstr(out.v, "\033[1mIN WORDS\033[0m\n"), "a heading is bold");
	ok(strstr(out.v, "\033[1m      total                          8.0 MiB  100.0 %  ██████████\033[0m\n"),
	   "a total is bold");
	ok(!strstr(out.v, " \n") && !strstr(out.v, " \033[0m"), "no trailing blanks");
	text_of(doc, OPTS(.color = true, .columns = "label,delta"));
	ok(strstr(out.v, "\033[1mtotal\033[0m\n"), "nor before the end of a colour");
	ok(!strstr(out.v, "\n\n\n"), "no two blank lines in a row");
}

static void check_raw(const struct mw_document *doc)
{
	static const char want[] =
		"CODE WHAT\\x20IT\\x20IS BYTES SHARE\n"
		"N9 thread\\x20stacks,\\x20reserved 8388608 0.5\n"
		"- tid\\x201 4096 -\n"
		"- tid\\x200 1 -\n"
		"N12 file,\\x20\\x1b[31mnever\\xff\\x20read 12345 0.0004\n"
		"N13 gr\\xc3\\xb6\\xc3\\x9fe\\x20\\xc3\\xbcnknown - -\n"
		"- total 8400953 1\n";

	is_str(text_of(doc, OPTS(.raw = true, .utf8 = true, .width = 20, .color = true)), want,
	       "raw: tables only, exact, a word for every cell");
	text_of(doc, OPTS(.raw = true, .no_headings = true, .columns = "bytes"));
	is_str(out.v, "8388608\n4096\n1\n12345\n-\n8400953\n", "raw without headings");
}

static void check_columns(const struct mw_document *doc)
{
	text_of(doc, OPTS(.columns = "sure,start,DELTA,n", .no_headings = true));
	ok(strstr(out.v, "LARGER\nyes   00400000  -4.0 KiB   2\n"), "columns by key or heading, in order");
	text_of(doc, OPTS(.columns = "+start,code"));
	ok(strstr(out.v, "\nCODE  WHAT IT IS                             BYTES    SHARE                 START\n"),
	   "a column added behind the default ones");
	text_of(doc, OPTS(.columns = "bytes,bytes,bytes"));
	ok(strstr(out.v, "\n   BYTES\n 8.0 MiB\n"), "a column named twice is there once");
}

static void check_usage(const struct mw_document *doc)
{
	static const char *const bad[] = { "label,nope", "", "+", "code,", "parts" };
	struct mw_sink sink = { sink_keep, &out };
	struct mw_err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		mw__str_reset(&out);
		int rc = mw_document_text(doc, OPTS(.columns = bad[i]), &sink, &err);

		ok(rc == -MW_E_USAGE && err.code == MW_E_USAGE && !out.n, "-o '%s' is refused", bad[i]);
	}
	ok(mw_document_text(doc, OPTS(.columns = bad[0]), &sink, &err) == -MW_E_USAGE &&
	   mw_document_text(doc, OPTS(.sort = "-"), &sink, NULL) == -MW_E_USAGE, "so is --sort");
	is_str(err.text, "column 'nope': there is no such column", "the error names the column");
	is_str(err.hint, "the columns are: code, label, bytes, share, bar, regions, start, delta, sure",
	       "the hint lists the columns");
	struct { struct mw_text_opts opts; char more; } newer = { .more = 1 };

	newer.opts.size = sizeof(newer);
	ok(mw_document_text(doc, &newer.opts, &sink, &err) == -MW_E_USAGE, "an unknown option is refused");
	newer.more = 0;
	ok(mw_document_text(doc, &newer.opts, &sink, &err) == 0, "but not when it is 0");
}

static const char *order_by(const struct mw_document *doc, const char *sort)
{
	text_of(doc, OPTS(.columns = "label", .raw = true, .no_headings = true, .sort = sort));
	for (char *p = out.v; *p; p++)
		if (*p == '\n')
			*p = ' ';
	return out.v;
}

#define N9 "thread\\x20stacks,\\x20reserved "
#define N12 "file,\\x20\\x1b[31mnever\\xff\\x20read "
#define N13 "gr\\xc3\\xb6\\xc3\\x9fe\\x20\\xc3\\xbcnknown "
#define T0 "tid\\x200 "
#define T1 "tid\\x201 "

static void check_sort(const struct mw_document *doc)
{
	is_str(order_by(doc, "bytes"), N12 N9 T0 T1 N13 "total ",
	       "ascending; children stay below, the total last, unknown before it");
	is_str(order_by(doc, "-bytes"), N9 T1 T0 N12 N13 "total ", "descending; unknown is still last");
	is_str(order_by(doc, "-CODE"), N9 T1 T0 N13 N12 "total ", "by text, children in their order");
	is_str(order_by(doc, "delta"), N9 T1 T0 N13 N12 "total ", "by a hidden column of signed numbers");
	is_str(order_by(doc, "sure,label"), N9 T0 T1 N12 N13 "total ", "by a second key");
}

static const char json[] =
	"{\n"
	"  \"schema\": \"memwhy/test/1\",\n"
	"  \"tool_version\": \"" MW_VERSION "\",\n"
	"  \"unit\": \"bytes\",\n"
	"  \"vsz\": 1446019072,\n"
	"  \"pss\": null,\n"
	"  \"brk\": \"0xffffffffff600000\",\n"
	"  \"torn\": false,\n"
	"  \"residual\": -4096,\n"
	"  \"resident_share\": 0.0043693,\n"
	"  \"exe\": \"/bin/\\\"x\\\"\\\\\\n\\\\xc3(\\u0001\",\n"
	"  \"comm\": null,\n"
	"  \"causes\": [\n"
	"    {\"code\": \"N9\", \"label\": \"thread stacks, reserved\", \"bytes\": 8388608, \"share\": 0.5, "
	"\"regions\": 2, \"start\": \"0x400000\", \"delta\": -4096, "
	"\"parts\": [{\"start\": \"0x7f0000001000\", \"name\": \"/lib/a b.so\"}]},\n"
	"    {\"code\": \"N12\", \"label\": \"file, \\u001b[31mnever\\\\xff read\", \"bytes\": 12345, "
	"\"share\": 0.0004, \"regions\": null, \"start\": null, \"delta\": null, \"parts\": []},\n"
	"    {\"code\": \"N13\", \"label\": \"größe ünknown\", \"bytes\": null, \"share\": null, "
	"\"regions\": 10, \"start\": null, \"delta\": 5347738, \"parts\": []}\n"
	"  ],\n"
	"  \"words\": [\n"
	"    {\n"
	"      \"id\": \"reserve\"\n"
	"    },\n"
	"    {\n"
	"      \"id\": \"stacks\"\n"
	"    }\n"
	"  ],\n"
	"  \"notes\": []\n"
	"}\n";

static void check_json(const struct mw_document *doc)
{
	struct mw_sink sink = { sink_keep, &out };

	mw__str_reset(&out);
	ok(mw_document_json(doc, &sink, NULL) == 0, "JSON is written");
	is_str(out.v, json, "JSON: every value, no total, no child, nothing drawn");
}

static void check_list(const struct mw_document *doc)
{
	struct mw_sink sink = { sink_keep, &out };

	mw__str_reset(&out);
	ok(mw_document_columns(doc, &sink, NULL) == 0, "the columns are listed");
	is_str(out.v,
	       "code     code of the cause\n"
	       "label    the cause in words\n"
	       "bytes    size\n"
	       "share    part of VSZ\n"
	       "bar      the same, drawn\n"
	       "regions  number of ranges\n"
	       "start    first address\n"
	       "delta    change\n"
	       "sure     proven\n", "each with a sentence");
}

static void check_sinks(const struct mw_document *doc)
{
	bool good = true, quiet = true;

	for (size_t n = 0; n < 200; n++) {
		struct failing text = { .left = n }, js = { .left = n };
		struct mw_sink text_sink = { sink_fail, &text }, js_sink = { sink_fail, &js };
		struct mw_err err = { 0 };

		good &= mw_document_text(doc, NULL, &text_sink, &err) == -MW_E_WRITE &&
			err.code == MW_E_WRITE;
		good &= mw_document_json(doc, &js_sink, &err) == -MW_E_WRITE;
		quiet &= text.calls_after <= 1 && js.calls_after <= 1;
	}
	ok(good, "the sink's error is the writer's");
	ok(quiet, "and the sink is not called again");
}

static void check_units(const struct mw_document *doc)
{
	text_of(doc, OPTS(.unit = MW_UNIT_KIB));
	ok(strstr(out.v, "VSZ 1412128 KiB   RSS 5222 KiB   PSS -\n"), "sentences have the unit");
	ok(strstr(out.v, "    8192   50.0 %"), "cells do not");
	text_of(doc, OPTS(.unit = MW_UNIT_SI));
	ok(strstr(out.v, "VSZ 1.4 GB   RSS 5.3 MB") && strstr(out.v, "  12.3 kB"), "powers of ten");
	text_of(doc, OPTS(.unit = MW_UNIT_BYTES));
	ok(strstr(out.v, "VSZ 1446019072 B") && strstr(out.v, "  8388608   50.0 %"), "bytes");
}

/* What a process calls itself must not become markup. */
static void check_hostile(void)
{
	const uint64_t sizes[] = { 4096, 8192 };
	static const char *const names[] = { "\001", "\002x", "a\nb", "\x04\x05\001\001\x7f" };
	static const char *const want[] = {
		"? is 4.0 KiB of 8.0 KiB\n", "\\x02x is 4.0 KiB of 8.0 KiB\n",
		"a\\x0ab is 4.0 KiB of 8.0 KiB\n", "\\x04\\x05??\\x7f is 4.0 KiB of 8.0 KiB\n",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct mw_document *doc = mw__doc_create("memwhy/test/1");

		mw__doc_linef(doc->root, sizes, 2, "%s is \001 of \001", names[i]);
		is_str(text_of(doc, NULL), want[i], "a hostile name in a line");
		mw_document_destroy(doc);
	}
	char all[256];
	struct mw_document *doc = mw__doc_create("memwhy/test/1");

	for (int i = 0; i < 255; i++)
		all[i] = (char)(i + 1);
	all[255] = '\0';
	mw__doc_linef(doc->root, sizes, 2, "%s is \001", all);
	ok(strstr(text_of(doc, NULL), " is ?\n"), "a name of all bytes");
	mw_document_destroy(doc);
}

/* A second table, wrapped cells, and a table without the named columns. */
static void check_tables(void)
{
	static const struct mw__col wrap_cols[] = {
		{ "id", "ID", MW__T_COUNT, 0, "number" },
		{ "text", "TEXT", MW__T_TEXT, MW__COL_WRAP, "sentence" },
		{ "on", "ON", MW__T_BOOL, 0, "yes or no" },
	};
	struct mw_document *doc = mw__doc_create("memwhy/test/1");
	struct mw__doc_node *t = mw__doc_table(doc->root, "a", NULL, wrap_cols, 3);

	for (unsigned i = 9; i < 11; i++) {
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_u64(t, row, 0, i);
		mw__row_text(t, row, 1, "the quick brown fox jumps over the lazy dog");
		mw__row_bool(t, row, 2, i & 1);
	}
	struct mw__doc_row *child = mw__doc_row(t);

	mw__row_text(t, child, 1, "a child of many words");
	mw__row_style(child, MW__ROW_CHILD);
	mw__doc_table(doc->root, "none", "EMPTY", wrap_cols, 3);
	add_causes(doc->root);
	text_of(doc, OPTS(.width = 26, .columns = "id,text,on"));
	ok(!strstr(out.v, "EMPTY"), "a table without rows is not shown");
	ok(strstr(out.v, "CODE  WHAT IT IS"), "a table without the named columns shows its own");
	out.v[strcspn(out.v, "W")] = '\0';
	is_str(out.v,
	       "ID  TEXT               ON\n"
	       " 9  the quick brown    yes\n"
	       "    fox jumps over\n"
	       "    the lazy dog\n"
	       "10  the quick brown    no\n"
	       "    fox jumps over\n"
	       "    the lazy dog\n"
	       "      a child of many\n"
	       "      words\n"
	       "\n", "cells are wrapped at blanks");
	mw_document_destroy(doc);
}

/* A heading is never shortened: its column stays as wide, and those behind it below their own headings. */
static void check_heading(void)
{
	static const struct mw__col long_cols[] = {
		{ "what", "A HEADING OF MANY WORDS", MW__T_TEXT, MW__COL_TRUNC, "words" },
		{ "n", "HOW MANY", MW__T_COUNT, 0, "number" },
	};
	struct mw_document *doc = mw__doc_create("memwhy/test/1");
	struct mw__doc_node *t = mw__doc_table(doc->root, "a", NULL, long_cols, 2);
	struct mw__doc_row *row = mw__doc_row(t);

	mw__row_text(t, row, 0, "the quick brown fox jumps over the lazy dog");
	mw__row_u64(t, row, 1, 7);
	is_str(text_of(doc, OPTS(.width = 20)),
	       "A HEADING OF MANY WORDS  HOW MANY\n"
	       "the quick ...e lazy dog         7\n", "a heading keeps its column");
	mw_document_destroy(doc);
}

/* Paths keep their last part, while it fits. */
static void check_paths(void)
{
	static const struct mw__col path_cols[] = { { "path", "PATH", MW__T_TEXT, MW__COL_TRUNC, "path" } };
	static const char *const paths[] = {
		"/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64/libncursesw.so.6",
		"/a/a-name-that-is-too-long-in-any-case", "/usr/lib/g\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc/\u4e16\u754c.so",
	};
	struct mw_document *doc = mw__doc_create("memwhy/test/1");
	struct mw__doc_node *t = mw__doc_table(doc->root, "a", NULL, path_cols, 1);

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		mw__row_text(t, mw__doc_row(t), 0, paths[i]);
	is_str(text_of(doc, OPTS(.width = 20, .utf8 = true)),
	       "PATH\n"
	       "/usr/lib/\u2026/libc.so.6\n"
	       "/u\u2026/libncursesw.so.6\n"
	       "a-name-th\u2026n-any-case\n"
	       "/usr/lib/\u2026\u00fc\u00fc/\u4e16\u754c.so\n", "a path keeps its last part");
	text_of(doc, OPTS(.width = 12, .utf8 = true));
	ok(strstr(out.v, "\n\u2026/libc.so.6\n") || strstr(out.v, "\n/\u2026/libc.so.6\n"), "and texts give in to 12 columns");
	text_of(doc, OPTS(.width = 5, .utf8 = true));
	ok(strstr(out.v, "\n\u2026/libc.so.6\n"), "but to no less than 11");
	mw_document_destroy(doc);
}

/* Which rows are whose. */
static void check_rows(void)
{
	static const struct mw__col row_cols[] = { { "id", "ID", MW__T_COUNT, 0, "number" } };
	struct mw_document *doc = mw__doc_create("memwhy/test/1");
	struct mw__doc_node *t = mw__doc_table(doc->root, "rows", NULL, row_cols, 1);
	struct mw_sink sink = { sink_keep, &out };

	mw__row_style(mw__doc_row(mw__doc_table(doc->root, "hidden", "HIDDEN", row_cols, 1)), MW__ROW_JSON);
	for (unsigned i = MW__ROW_PLAIN; i <= MW__ROW_TEXT; i++) {
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_u64(t, row, 0, i);
		mw__row_style(row, i);
	}
	is_str(text_of(doc, NULL), "ID\n 0\n 1\n 2\n 4\n", "text has no rows for JSON");
	mw__str_reset(&out);
	ok(mw_document_json(doc, &sink, NULL) == 0 && strstr(out.v, "\"rows\": [\n    {\"id\": 0},\n    "
	   "{\"id\": 3}\n  ]"), "JSON has no rows for the eye");
	mw_document_destroy(doc);
}

/* Many bold rows with empty cells at their end: colours come in pieces, but are seen whole. */
static void check_many(void)
{
	static const struct mw__col many_cols[] = {
		{ "a", "A", MW__T_TEXT, 0, "text" }, { "b", "A WIDE COLUMN", MW__T_TEXT, 0, "text" },
	};
	struct mw_document *doc = mw__doc_create("memwhy/test/1");
	struct mw__doc_node *t = mw__doc_table(doc->root, "rows", NULL, many_cols, 2);
	struct failing fail = { .left = 100 };
	struct mw_sink sink = { sink_fail, &fail };

	for (int i = 0; i < 20000; i++) {
		struct mw__doc_row *row = mw__doc_row(t);

		mw__row_text(t, row, 0, i % 7 ? "some" : "longer");
		mw__row_style(row, i % 2 ? MW__ROW_TOTAL : MW__ROW_PLAIN);
	}
	text_of(doc, OPTS(.color = true));
	ok(!strstr(out.v, " \n") && !strstr(out.v, " \033[0m"), "no trailing blank in 20,000 rows");
	ok(mw_document_text(doc, NULL, &sink, NULL) == -MW_E_WRITE && !fail.calls_after,
	   "after an error of the sink nothing more is written");
	fail.left = 100;
	ok(mw_document_json(doc, &sink, NULL) == -MW_E_WRITE && !fail.calls_after, "nor by the JSON writer");
	mw_document_destroy(doc);
}

/* A size is not torn apart, and a marker too many is text. */
static void check_markers(void)
{
	const uint64_t sizes[] = { 4096, 5000 };
	struct mw_document *doc = mw__doc_create("memwhy/test/1");

	mw__doc_line(doc->root, "one two \001 three", sizes, 1);
	mw__doc_line(doc->root, "\001 \001", sizes, 1);
	is_str(text_of(doc, OPTS(.width = 12)), "one two\n4.0 KiB\nthree\n4.0 KiB \\x01\n",
	       "no line ends inside a size");
	mw_document_destroy(doc);
	doc = mw__doc_create("memwhy/test/1");
	mw__doc_line(doc->root, "note:   words that are too many for one line", NULL, 0);
	is_str(text_of(doc, OPTS(.width = 20)), "note:   words that\nare too many for one\nline\n",
	       "what is too long for any line is broken where the line is full");
	mw_document_destroy(doc);
}

static void check_failed(void)
{
	struct mw_document *doc = mw__doc_create("memwhy/test/1"), *ret = NULL;
	struct mw_err err;

	doc->failed = true;
	add_causes(doc->root);
	mw__doc_linef(doc->root, NULL, 0, "%d", 1);
	ok(!mw__doc_object(doc->root, "a") && !mw__doc_row(NULL), "after a failure nothing is added");
	mw__row_u64(NULL, NULL, 0, 0);
	mw__doc_text(NULL, "a", "b");
	ok(mw__doc_finish(doc, &ret, &err) == -MW_E_NOMEM && !ret, "and the end reports it");
	ok(mw__doc_finish(NULL, &ret, &err) == -MW_E_NOMEM && !ret, "as for a document that never was");
	mw_document_destroy(NULL);
}

int main(void)
{
	struct mw_document *doc = build();

	if (!ok(doc, "a document is built"))
		return done_testing();
	check_wide(doc);
	check_narrow(doc);
	check_bars(doc);
	check_colour(doc);
	check_raw(doc);
	check_columns(doc);
	check_usage(doc);
	check_sort(doc);
	check_json(doc);
	check_list(doc);
	check_sinks(doc);
	check_units(doc);
	mw_document_destroy(doc);
	check_hostile();
	check_tables();
	check_heading();
	check_paths();
	check_rows();
	check_many();
	check_markers();
	check_failed();
	mw__str_deinit(&out);
	return done_testing();
}
