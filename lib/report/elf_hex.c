/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Headers byte by byte: for each field its offset in the file, its bytes, its name, the
 * number they make and what it means. One stream over structures and their fields.
 */
#include <stdio.h>
#include <string.h>

#include "../elf/names.h"
#include "../elf/symbols.h"
#include "elf_view.h"

static const struct mw__col hex_cols[] = {
	{ "structure", "Structure", MW__T_TEXT, 0, "header and its number" },
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
	{ ident_fields, MW__COUNT(ident_fields), "header" }, { mw__ehdr_fields, 13, "header" },
	{ mw__phdr_fields, 8, "segment" }, { mw__shdr_fields, 10, "section" },
	{ sym_fields, MW__COUNT(sym_fields), "symbol" },
};

/* Structures of one kind, one behind the other. */
struct part {
	enum kind kind;
	uint64_t off, stride, count;
	const char *table;
	struct mw__strtab str;
};
struct hex_ctx {
	struct mw_elf *elf;
	struct part parts[16];
	size_t n_parts;
	char structure[64], bytes[32], meaning[MW__NAME_BUF + 64];
};

static size_t count_fields(void *ctx)
{
	struct hex_ctx *h = ctx;
	size_t n = 0;

	for (size_t i = 0; i < h->n_parts; i++)
		n += h->parts[i].count * kinds[h->parts[i].kind].n;
	return n;
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
	else if (!strcmp(f->name, "st_info"))
		name = mw__name_sym_type(v & 15);
	snprintf(h->meaning, sizeof(h->meaning), name && *name ? "%s: %.128s" : "%s", f->what, name);
}

static bool field_row(void *ctx, size_t i, struct mw__cell *c)
{
	struct hex_ctx *h = ctx;
	const struct part *p = h->parts;
	uint8_t raw[16];

	for (; i >= p->count * kinds[p->kind].n; p++)
		i -= p->count * kinds[p->kind].n;
	size_t n = kinds[p->kind].n, item = i / n;
	const struct mw__field *f = &kinds[p->kind].fields[i % n];
	bool is64 = h->elf->lay.is64;
	unsigned at = is64 ? f->off64 : f->off32, size = is64 ? f->size64 : f->size32;
	uint64_t off = p->off + item * p->stride + at;

	if (p->kind <= EHDR)
		snprintf(h->structure, sizeof(h->structure), "header");
	else
		snprintf(h->structure, sizeof(h->structure), "%s %zu", p->kind == SYM ? p->table : kinds[p->kind].name, item);
	mw__cell_text(&c[0], h->structure);
	mw__cell_u64(&c[1], MW__T_ADDR, off);
	mw__cell_text(&c[3], f->name);
	if (!mw__elf_read(h->elf, off, raw, size)) {
		mw__cell_text(&c[2], "missing");
		mw__cell_text(&c[5], f->what);
		return true;
	}
	h->bytes[0] = '\0';
	for (unsigned k = 0; k < size; k++)
		snprintf(h->bytes + 3 * k, 4, k + 1 < size ? "%02x " : "%02x", raw[k]);
	uint64_t v = size <= 8 ? mw__raw_num(raw, size, h->elf->lay.big) : 0;

	explain(h, p, f, v);
	mw__cell_text(&c[2], h->bytes);
	mw__cell_u64(&c[4], MW__T_ADDR, v);
	mw__cell_text(&c[5], h->meaning);
	return true;
}

static void add_part(struct hex_ctx *h, struct part p)
{
	if (h->n_parts < MW__COUNT(h->parts))
		h->parts[h->n_parts++] = p;
}

static void add_symbols(struct hex_ctx *h)
{
	struct mw__symtab t;
	uint64_t stride = mw__raw_size_sym(h->elf->lay.is64);

	for (size_t i = 1; i < h->elf->n_sh; i++)
		if ((h->elf->sh[i].type == SHT_SYMTAB || h->elf->sh[i].type == SHT_DYNSYM) &&
		    mw__symtab_open(h->elf, i, &t))
			add_part(h, (struct part){ SYM, t.off, stride, t.n, t.name, t.str });
	if (mw__elf_section_by_type(h->elf, SHT_DYNSYM, 1) >= h->elf->n_sh && mw__symtab_open_dynamic(h->elf, &t))
		add_part(h, (struct part){ SYM, t.off, stride, t.n, t.name, t.str });
}

void mw__elf_view_hex_headers(const struct mw__elf_view *v)
{
	struct hex_ctx *h = mw__view_alloc(v, sizeof(*h));
	unsigned views = v->opts->views;
	bool others = views & (MW_ELF_SEGMENTS | MW_ELF_SECTIONS | MW_ELF_SYMBOLS);

	if (!h)
		return;
	h->elf = v->elf;
	if ((views & MW_ELF_HEADER) || !others) {
		add_part(h, (struct part){ IDENT, 0, 0, 1, NULL, { 0 } });
		add_part(h, (struct part){ EHDR, 0, 0, 1, NULL, { 0 } });
	}
	if (views & MW_ELF_SEGMENTS)
		add_part(h, (struct part){ PHDR, v->elf->eh.phoff, v->elf->phentsize, v->elf->n_ph, NULL, { 0 } });
	if (views & MW_ELF_SECTIONS)
		add_part(h, (struct part){ SHDR, v->elf->eh.shoff, v->elf->shentsize, v->elf->n_sh, NULL, { 0 } });
	if (views & MW_ELF_SYMBOLS)
		add_symbols(h);
	mw__view_heading(v, "Headers byte by byte");
	mw__doc_stream(v->node, "hex_headers", NULL, hex_cols, MW__COUNT(hex_cols),
		       &(struct mw__stream){ count_fields, NULL, field_row, h });
}
