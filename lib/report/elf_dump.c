/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dumps of sections: bytes, strings, bytes after relocation. */
#include <stdio.h>
#include <string.h>

#include "../elf/contents.h"
#include "elf_view.h"

#define LINE 16

static const struct mw__col hex_cols[] = {
	{ "address", "Address", MW__T_ADDR, 0, "address, or offset in the section" },
	{ "bytes", "Bytes", MW__T_TEXT, 0, "sixteen bytes in hex" },
	{ "text", "Text", MW__T_TEXT, MW__COL_TEXT_ONLY, "the same as ASCII" },
};
static const struct mw__col string_cols[] = {
	{ "offset", "Offset", MW__T_ADDR, 0, "offset in the section" },
	{ "string", "String", MW__T_TEXT, 0, "the string" },
};

struct dump_ctx {
	uint8_t *p;		/* in the document's arena, a NUL behind it */
	uint64_t size, addr, at;
	size_t n_strings;
	char hex[LINE * 2 + LINE / 4 + 1], text[LINE + 1];
};

static size_t count_lines(void *ctx) { return (((struct dump_ctx *)ctx)->size + LINE - 1) / LINE; }

static bool hex_row(void *ctx, size_t i, struct mw__cell *c)
{
	struct dump_ctx *d = ctx;
	uint64_t off = (uint64_t)i * LINE;
	size_t n = d->size - off < LINE ? d->size - off : LINE;
	char *h = d->hex;

	for (size_t k = 0; k < n; k++) {
		uint8_t b = d->p[off + k];

		if (k && k % 4 == 0)
			*h++ = ' ';
		*h++ = "0123456789abcdef"[b >> 4];
		*h++ = "0123456789abcdef"[b & 15];
		d->text[k] = b >= 32 && b < 127 ? (char)b : '.';
	}
	*h = d->text[n] = '\0';
	mw__cell_field(&c[0], MW__T_ADDR, d->addr + off);
	mw__cell_text(&c[1], d->hex);
	mw__cell_text(&c[2], d->text);
	return true;
}

static size_t count_strings(void *ctx) { return ((struct dump_ctx *)ctx)->n_strings; }
static void restart(void *ctx) { ((struct dump_ctx *)ctx)->at = 0; }

static void skip_nuls(struct dump_ctx *d)
{
	while (d->at < d->size && !d->p[d->at])
		d->at++;
}

static bool string_row(void *ctx, size_t i, struct mw__cell *c)
{
	struct dump_ctx *d = ctx;

	(void)i;
	skip_nuls(d);
	if (d->at >= d->size)
		return false;
	mw__cell_field(&c[0], MW__T_ADDR, d->at);
	mw__cell_text(&c[1], (char *)d->p + d->at);
	d->at += strlen((char *)d->p + d->at);
	return true;
}

static void find_strings(struct dump_ctx *d)
{
	for (restart(d), skip_nuls(d); d->at < d->size; skip_nuls(d)) {
		d->n_strings++;
		d->at += strlen((char *)d->p + d->at);
	}
}

static struct dump_ctx *load(const struct mw__elf_view *v, size_t section, bool relocate, struct mw__doc_node *o)
{
	struct mw__contents c;

	if (!mw__contents_read(v->elf, section, v->opts->decompress || relocate, relocate, &c))
		return NULL;
	struct dump_ctx *d = mw__view_alloc(v, sizeof(*d));

	if (d)
		d->p = mw__view_alloc(v, c.size + 1);
	if (d && d->p) {
		memcpy(d->p, c.p, c.size);
		d->size = c.size;
		d->addr = c.addr;
	}
	mw__doc_bool(o, "was_compressed", c.was_compressed);
	mw__doc_u64(o, "relocated", MW__T_COUNT, c.relocated);
	mw__doc_u64(o, "not_relocated", MW__T_COUNT, c.not_relocated);
	if (c.not_relocated)
		mw__view_line(o, "%llu relocations are of kinds that are not applied here", (unsigned long long)c.not_relocated);
	mw__contents_deinit(&c);
	return d && d->p ? d : NULL;
}

enum kind { HEX, STRINGS, RELOCATED };

static void dump(const struct mw__elf_view *v, struct mw__doc_node *list, const char *which, enum kind kind)
{
	static const char *const titles[] = { "Bytes", "Strings", "Relocated bytes" };
	size_t i = mw__elf_find_section(v->elf, which);

	if (i >= v->elf->n_sh) {
		mw__elf_diag(v->elf, MW__ELF_FATAL, "section asked for", 0, MW_UNKNOWN, v->elf->n_sh,
			     "there is no section %s", which);
		return;
	}
	struct mw__doc_node *o = mw__doc_object(list, NULL);

	mw__doc_text(o, "section", mw__elf_section_name(v->elf, i));
	mw__doc_u64(o, "index", MW__T_COUNT, i);
	mw__view_line(o, "\002%s of section %zu, %s", titles[kind], i, mw__elf_section_name(v->elf, i));
	struct dump_ctx *d = load(v, i, kind == RELOCATED, o);

	if (!d)
		return;
	if (kind == STRINGS) {
		find_strings(d);
		mw__doc_stream(o, "strings", NULL, string_cols, MW__COUNT(string_cols),
			       &(struct mw__stream){ count_strings, restart, string_row, d });
	} else {
		mw__doc_stream(o, "lines", NULL, hex_cols, MW__COUNT(hex_cols),
			       &(struct mw__stream){ count_lines, NULL, hex_row, d });
	}
}

void mw__elf_view_dumps(const struct mw__elf_view *v)
{
	struct mw__doc_node *list = mw__doc_list(v->node, "dumps");

	for (size_t i = 0; i < v->opts->n_hex; i++)
		dump(v, list, v->opts->hex[i], HEX);
	for (size_t i = 0; i < v->opts->n_strings; i++)
		dump(v, list, v->opts->strings[i], STRINGS);
	for (size_t i = 0; i < v->opts->n_relocated; i++)
		dump(v, list, v->opts->relocated[i], RELOCATED);
}
