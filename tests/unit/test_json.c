/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The JSON writer: valid whatever goes in, and read back the same by json-c. */
#include "base/jsonw.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "sinks.h"
#include "tap.h"

static struct mw__str out;
static struct mw_sink sink = { sink_keep, &out };

static struct mw__jsonw *start(struct mw__jsonw *w)
{
	mw__str_reset(&out);
	mw__jsonw_init(w, &sink);
	return w;
}

static const char *finish(struct mw__jsonw *w)
{
	return mw__jsonw_finish(w, NULL) == 0 && out.v ? out.v : "";
}

static const char *text_as_json(const char *s, size_t len)
{
	struct mw__jsonw w;

	mw__jsonw_textn(start(&w), s, len);
	return finish(&w);
}

static void check_text(void)
{
	static const struct { const char *in, *want; } cases[] = {
		{ "", "\"\"" },
		{ "plain /path", "\"plain /path\"" },
		{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
		{ "\t\n\r\x01\x1f\x7f", "\"\\t\\n\\u000d\\u0001\\u001f\\u007f\"" },
		{ "gr\xc3\xb6\xc3\x9f", "\"gr\xc3\xb6\xc3\x9f\"" },
		{ "\xc2\x80\xc2\x9f\xc2\xa0", "\"\\u0080\\u009f\xc2\xa0\"" },
		{ "\xff\xc3(\xc0\xaf", "\"\\\\xff\\\\xc3(\\\\xc0\\\\xaf\"" },
		{ "\xed\xa0\x80", "\"\\\\xed\\\\xa0\\\\x80\"" },
		{ "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" },
		{ "\xf0\x9f\x98", "\"\\\\xf0\\\\x9f\\\\x98\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_str(text_as_json(cases[i].in, strlen(cases[i].in)), cases[i].want, "text is escaped");
	is_str(text_as_json("a\0b", 3), "\"a\\u0000b\"", "also a NUL");
}

/* Every text of two bytes: json-c accepts it, strictly. */
static void check_all_pairs(void)
{
	int bad = 0;

	for (int a = 0; a < 256; a++) {
		for (int b = 0; b < 256; b++) {
			char text[3] = { (char)a, (char)b, 'x' };
			struct json_tokener *tok = json_tokener_new();

			json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
			text_as_json(text, 3);
			struct json_object *o = json_tokener_parse_ex(tok, out.v, (int)out.n + 1);

			bad += !o || json_tokener_get_error(tok) != json_tokener_success;
			json_object_put(o);
			json_tokener_free(tok);
		}
	}
	is_int(bad, 0, "every pair of bytes gives valid JSON");
}

static const char *double_as_json(double v)
{
	struct mw__jsonw w;

	mw__jsonw_double(start(&w), v);
	return finish(&w);
}

static void check_numbers(void)
{
	struct mw__jsonw w;

	start(&w)->tight = true;
	mw__jsonw_begin(&w, '[');
	mw__jsonw_compact(&w);
	mw__jsonw_u64(&w, 0);
	mw__jsonw_u64(&w, UINT64_MAX - 1);
	mw__jsonw_u64(&w, MW_UNKNOWN);
	mw__jsonw_field_i64(&w, INT64_MIN);
	mw__jsonw_addr(&w, UINT64_C(0xffffffffff600000));
	mw__jsonw_addr(&w, MW_UNKNOWN);
	mw__jsonw_text(&w, NULL);
	mw__jsonw_bool(&w, true);
	mw__jsonw_end(&w, ']');
	is_str(finish(&w), "[0,18446744073709551614,null,-9223372036854775808,"
	       "\"0xffffffffff600000\",null,null,true]", "numbers, addresses, unknown");
	is_str(double_as_json(NAN), "null", "NAN is null");
	is_str(double_as_json(INFINITY), "null", "so is infinity");
	is_str(double_as_json(0.0437193), "0.0437193", "a share");
	is_str(double_as_json(-1.5e-9), "-1.5e-09", "an exponent");
}

static void check_locale(void)
{
	if (!setlocale(LC_NUMERIC, "de_DE.UTF-8"))
		ok(true, "the point in other locales # SKIP de_DE.UTF-8 is not installed");
	else
		is_str(double_as_json(0.25), "0.25", "the point in other locales");
	setlocale(LC_NUMERIC, "C");
}

static void check_layout(void)
{
	struct mw__jsonw w;

	start(&w);
	mw__jsonw_begin(&w, '{');
	mw__jsonw_key(&w, "a");
	mw__jsonw_begin(&w, '[');
	mw__jsonw_end(&w, ']');
	mw__jsonw_key(&w, "b\n");
	mw__jsonw_begin(&w, '{');
	mw__jsonw_compact(&w);
	mw__jsonw_key(&w, "c");
	mw__jsonw_u64(&w, 1);
	mw__jsonw_key(&w, "d");
	mw__jsonw_begin(&w, '[');
	mw__jsonw_u64(&w, 2);
	mw__jsonw_u64(&w, 3);
	mw__jsonw_end(&w, ']');
	mw__jsonw_end(&w, '}');
	mw__jsonw_spread(&w);
	mw__jsonw_end(&w, '}');
	mw__jsonw_newline(&w);
	is_str(finish(&w), "{\n  \"a\": [],\n  \"b\\n\": {\"c\": 1, \"d\": [2, 3]}\n}\n", "layout");
}

/* More than the buffer holds, in one text and in many. */
static void check_long(void)
{
	static char big[30000];
	struct mw__jsonw w;

	memset(big, 'x', sizeof(big));
	mw__jsonw_begin(start(&w), '[');
	mw__jsonw_textn(&w, big, sizeof(big));
	for (int i = 0; i < 5000; i++)
		mw__jsonw_u64(&w, 7);
	mw__jsonw_end(&w, ']');
	finish(&w);
	is_int((long long)out.n, 1 + 3 + 30002 + 5000 * 5 + 2, "long output is complete");

	struct mw__str want = {};

	mw__jsonw_compact(start(&w));
	mw__jsonw_begin(&w, '[');
	mw__str_puts(&want, "[");
	for (uint64_t i = 0, v = 1; i < 3000; i++, v = v * 6364136223846793005u + i) {
		mw__jsonw_u64(&w, v >> i % 64);
		mw__str_printf(&want, "%s%" PRIu64, i ? ", " : "", v >> i % 64);
	}
	mw__jsonw_end(&w, ']');
	mw__str_puts(&want, "]");
	is_str(finish(&w), want.v, "numbers of all lengths, over the ends of buffers");
	mw__str_deinit(&want);
}

int main(void)
{
	check_text();
	check_all_pairs();
	check_numbers();
	check_locale();
	check_layout();
	check_long();
	mw__str_deinit(&out);
	return done_testing();
}
