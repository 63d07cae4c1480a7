/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Headers byte by byte: for each field its offset in the file, its bytes, its name, the
 * number they make and what it means. One stream over structures and their fields. The ELF
 * header, and a structure that was chosen by its number, is drawn as a hex dump before, in
 * which each field carries the letter that it has in the table.
 */
#include <stdio.h>
#include <string.h>

#include "../elf/names.h"
#include "../elf/symbols.h"
#include "elf_view.h"

static const struct mw__col hex_cols[] = {
	{ "structure", "Structure", MW__T_TEXT, 0, "header and its number" },
	{ "mark", "", MW__T_TEXT, 0, "letter of the field in the hex dump" },
	{ "offset", "Offset", MW__T_ADDR, 0, "offset in the file" },
	{ "bytes", "Bytes", MW__T_TEXT, 0, "the bytes of the field" },
	{ "field", "Field", MW__T_TEXT, 0, "name of the field" },
	{ "value", "Value", MW__T_ADDR, 0, "the number that the bytes make" },
	{ "meaning", "Meaning", MW__T_TEXT, 0, "what it means" },
};

/* Bytes 0 to 15 of the header. */
static const struct mw__field ident_fields[] = {
	{ "EI_MAG", 0, 4, 0, 4, 0, "magic number: 7f E L F" },
	{ "EI_CLASS", 4, 1, 4, 1, 0, "class: 1 is 32 bit, 2 is 64 bit" },
	{ "EI_DATA", 5, 1, 5, 1, 0, "byte order: 1 is little endian, 2 is big endian" },
	{ "EI_VERSION", 6, 1, 6, 1, 0, "version of the format, 1" },
	{ "EI_OSABI", 7, 1, 7, 1, 0, "operating system" },
	{ "EI_ABIVERSION", 8, 1, 8, 1, 0, "version of its ABI" },
	{ "EI_PAD", 9, 7, 9, 7, 0, "unused" },
};
static const struct mw__field sym_fields[] = {
	{ "st_name", 0, 4, 0, 4, 0, "offset of the name in the string table" },
	{ "st_info", 12, 1, 4, 1, 0, "binding and type" },
	{ "st_other", 13, 1, 5, 1, 0, "visibility" },
	{ "st_shndx", 14, 2, 6, 2, 0, "section" },
	{ "st_value", 4, 4, 8, 8, 0, "value" },
	{ "st_size", 8, 4, 16, 8, 0, "size" },
};

enum kind { IDENT, EHDR, PHDR, SHDR, SYM };
static const struct {
	const struct mw__field *fields;
	size_t n;
	const char *name;
} kinds[] = {
	{ ident_fields, MW__COUNT(ident_fields), "header" }, { mw__ehdr_fields, MW__COUNT(mw__ehdr_fields), "header" },
	{ mw__phdr_fields, MW__COUNT(mw__phdr_fields), "segment" }, { mw__shdr_fields, MW__COUNT(mw__shdr_fields), "section" },
	{ sym_fields, MW__COUNT(sym_fields), "symbol" },
};

/* Structures of one kind, one behind the other. */
struct part {
	enum kind kind;
	uint64_t off, stride, first, count;	/* numbers first .. first + count */
	const char *table;
	struct mw__strtab str;
};
struct hex_ctx {
	struct mw_elf *elf;
	struct part parts[16];
	size_t n_parts;
	char structure[64], mark[2], bytes[32], meaning[MW__NAME_BUF + 64];
};

static size_t count_fields(void *ctx)
{
	struct hex_ctx *h = ctx;
	size_t n = 0;

	for (size_t i = 0; i < h->n_parts; i++)
		n += h->parts[i].count * kinds[h->parts[i].kind].n;
	return n;
}

static const char *bind_and_type(uint64_t info, char *buf, size_t size)
{
	const char *bind = mw__name_sym_bind(info >> 4), *type = mw__name_sym_type(info & 15);

	snprintf(buf, size, "%s %s", bind ? bind : "?", type ? type : "?");
	return buf;
}

static void explain(struct hex_ctx *h, const struct part *p, const struct mw__field *f, uint64_t v)
{
	char buf[MW__NAME_BUF];
	uint64_t machine = h->elf->eh.machine;
	const struct mw__machine *m = mw__name_machine(v);
	const char *name = NULL;

	if (!strcmp(f->name, "e_type"))
		name = mw__name_type(v);
	else if (!strcmp(f->name, "e_machine"))
		name = m ? m->text : NULL;
	else if (!strcmp(f->name, "EI_OSABI"))
		name = mw__name_osabi(v);
	else if (!strcmp(f->name, "p_type"))
		name = mw__name_segment(v, machine);
	else if (!strcmp(f->name, "p_flags"))
		name = mw__name_segment_flags(v, buf);
	else if (!strcmp(f->name, "sh_type"))
		name = mw__name_section(v, machine);
	else if (!strcmp(f->name, "sh_flags"))
		name = mw__name_section_flags(v, machine, buf);
	else if (!strcmp(f->name, "sh_name"))
		name = mw__strtab_at(h->elf->shstr, v);
	else if (!strcmp(f->name, "st_name"))
		name = mw__strtab_at(p->str, v);
	else if (!strcmp(f->name, "sh_link") || !strcmp(f->name, "st_shndx"))
		name = v && v < h->elf->n_sh ? mw__elf_section_name(h->elf, v) :
		       v == SHN_ABS ? "ABS" : v == SHN_COMMON ? "COMMON" : !v && f->name[1] == 't' ? "UND" : NULL;
	else if (!strcmp(f->name, "st_other"))
		name = mw__name_sym_vis(v & 3);
	else if (!strcmp(f->name, "st_info"))
		name = bind_and_type(v, buf, sizeof(buf));
	snprintf(h->meaning, sizeof(h->meaning), name && *name ? "%s: %.128s" : "%s", f->what, name);
}

/* The bytes of e_ident and the fields behind them are one header. */
static char letter(enum kind kind, size_t field)
{
	return (char)('a' + field + (kind == EHDR ? kinds[IDENT].n : 0));
}

static bool field_row(void *ctx, size_t i, struct mw__cell *c)
{
	struct hex_ctx *h = ctx;
	const struct part *p = h->parts;
	uint8_t raw[16];

	for (; i >= p->count * kinds[p->kind].n; p++)
		i -= p->count * kinds[p->kind].n;
	size_t n = kinds[p->kind].n, item = p->first + i / n;
	const struct mw__field *f = &kinds[p->kind].fields[i % n];
	bool is64 = h->elf->lay.is64;
	unsigned at = is64 ? f->off64 : f->off32, size = is64 ? f->size64 : f->size32;
	uint64_t off = p->off + item * p->stride + at;

	if (p->kind <= EHDR)
		snprintf(h->structure, sizeof(h->structure), "header");
	else
		snprintf(h->structure, sizeof(h->structure), "%s %zu", p->kind == SYM ? p->table : kinds[p->kind].name, item);
	mw__cell_text(&c[0], h->structure);
	h->mark[0] = letter(p->kind, i % n);
	mw__cell_text(&c[1], h->mark);
	mw__cell_u64(&c[2], MW__T_ADDR, off);
	mw__cell_text(&c[4], f->name);
	if (!mw__elf_read(h->elf, off, raw, size)) {
		mw__cell_text(&c[3], "missing");
		mw__cell_text(&c[6], f->what);
		return true;
	}
	h->bytes[0] = '\0';
	for (unsigned k = 0; k < size; k++)
		snprintf(h->bytes + 3 * k, 4, k + 1 < size ? "%02x " : "%02x", raw[k]);
	uint64_t v = size <= 8 ? mw__raw_num(raw, size, h->elf->lay.big) : 0;

	explain(h, p, f, v);
	mw__cell_text(&c[3], h->bytes);
	mw__cell_field(&c[5], MW__T_ADDR, v);
	mw__cell_text(&c[6], h->meaning);
	return true;
}

static void add_part(struct hex_ctx *h, struct part p)
{
	if (h->n_parts < MW__COUNT(h->parts))
		h->parts[h->n_parts++] = p;
}

/* A table of structures, or the one of it that was asked for. */
static void add_table(struct hex_ctx *h, const struct mw_elf_opts *opts, struct part p)
{
	if (opts->one_header && opts->header_index >= p.count) {
		mw__elf_diag(h->elf, MW__ELF_NOTE, p.table, opts->header_index, MW_UNKNOWN, p.count, "%s: there is no number %llu of %llu",
			     p.table, (unsigned long long)opts->header_index, (unsigned long long)p.count);
		return;
	}
	if (opts->one_header) {
		p.first = opts->header_index;
		p.count = 1;
	}
	add_part(h, p);
}

static void add_symbols(struct hex_ctx *h, const struct mw_elf_opts *opts)
{
	struct mw__symtab t;
	uint64_t stride = mw__raw_size_sym(h->elf->lay.is64);

	for (size_t i = 1; i < h->elf->n_sh; i++)
		if (((h->elf->sh[i].type == SHT_SYMTAB && (opts->views & MW_ELF_SYMBOLS)) || h->elf->sh[i].type == SHT_DYNSYM) &&
		    mw__symtab_open(h->elf, i, &t))
			add_table(h, opts, (struct part){ SYM, t.off, stride, 0, t.n, t.name, t.str });
	if (mw__elf_section_by_type(h->elf, SHT_DYNSYM, 1) >= h->elf->n_sh && mw__symtab_open_dynamic(h->elf, &t))
		add_table(h, opts, (struct part){ SYM, t.off, stride, 0, t.n, t.name, t.str });
}

/* ---------------------------------------------------------------- drawing */

/* Bytes of one structure, with the letter of the field that each one starts. */
struct drawing {
	uint64_t off;
	size_t n;
	char starts[64];	/* 0: inside a field */
};

static void draw_fields(const struct hex_ctx *h, const struct part *p, struct drawing *d)
{
	bool is64 = h->elf->lay.is64;

	for (size_t i = 0; i < kinds[p->kind].n; i++) {
		const struct mw__field *f = &kinds[p->kind].fields[i];
		size_t at = is64 ? f->off64 : f->off32, end = at + (is64 ? f->size64 : f->size32);

		if (end > sizeof(d->starts))
			continue;
		d->starts[at] = letter(p->kind, i);
		d->n = end > d->n ? end : d->n;
	}
}

/* Sixteen bytes a line, a bar before each field, and below the letters. */
static void draw(const struct mw__elf_view *v, const struct drawing *d)
{
	for (size_t line = 0; line < d->n; line += 16) {
		size_t n = d->n - line < 16 ? d->n - line : 16;
		char bytes[64] = "", marks[64] = "";

		for (size_t i = 0; i < n; i++) {
			char start = d->starts[line + i];
			uint8_t b;

			if (mw__elf_read(v->elf, d->off + line + i, &b, 1))
				snprintf(bytes + 3 * i, 4, "%c%02x", start ? '|' : ' ', b);
			else
				snprintf(bytes + 3 * i, 4, "%c--", start ? '|' : ' ');
			snprintf(marks + 3 * i, 4, " %c ", start ? start : ' ');
		}
		mw__view_line(v->node, "  %06llx  %s|", (unsigned long long)(d->off + line), bytes);
		mw__view_line(v->node, "          %s", marks);
	}
}

static void draw_parts(const struct mw__elf_view *v, const struct hex_ctx *h)
{
	struct drawing d = { 0 };

	for (size_t i = 0; i < h->n_parts; i++) {
		const struct part *p = &h->parts[i];

		if (p->kind > EHDR && !v->opts->one_header)
			continue;
		draw_fields(h, p, &d);
		d.off = p->off + p->first * p->stride;
		if (p->kind == IDENT)
			continue;	/* the rest of the header follows */
		draw(v, &d);
		memset(&d, 0, sizeof(d));
	}
}

void mw__elf_view_hex_headers(const struct mw__elf_view *v)
{
	struct hex_ctx *h = mw__view_alloc(v, sizeof(*h));
	const struct mw_elf *elf = v->elf;
	unsigned views = v->opts->views;
	bool others = views & (MW_ELF_SEGMENTS | MW_ELF_SECTIONS | MW_ELF_SYMBOLS | MW_ELF_DYNSYMS);

	if (!h)
		return;
	h->elf = v->elf;
	if ((views & MW_ELF_HEADER) || !others) {
		add_part(h, (struct part){ IDENT, 0, 0, 0, 1, NULL, { 0 } });
		add_part(h, (struct part){ EHDR, 0, 0, 0, 1, NULL, { 0 } });
	}
	if (views & MW_ELF_SEGMENTS)
		add_table(h, v->opts, (struct part){ PHDR, elf->eh.phoff, elf->phentsize, 0, elf->n_ph, "segments", { 0 } });
	if (views & MW_ELF_SECTIONS)
		add_table(h, v->opts, (struct part){ SHDR, elf->eh.shoff, elf->shentsize, 0, elf->n_sh, "sections", { 0 } });
	if (views & (MW_ELF_SYMBOLS | MW_ELF_DYNSYMS))
		add_symbols(h, v->opts);
	mw__view_heading(v, "Headers byte by byte");
	draw_parts(v, h);
	mw__doc_stream(v->node, "hex_headers", NULL, hex_cols, MW__COUNT(hex_cols),
		       &(struct mw__stream){ count_fields, NULL, field_row, h });
}
