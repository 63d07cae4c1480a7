/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The index of an archive, and the attributes of an architecture. */
#include <stdio.h>
#include <string.h>
#include <ar.h>

#include "../base/size.h"
#include "../elf/archive.h"
#include "../elf/names.h"
#include "elf_view.h"

/* ------------------------------------------------------------------- index */

static const struct mw__col index_cols[] = {
	{ "offset", "Member at", MW__T_ADDR, 0, "offset of the member's header in the archive" },
	{ "symbol", "Symbol", MW__T_TEXT, 0, "a name that it defines" },
};

struct index_ctx {
	struct mw__strtab names;
	const uint8_t *offsets;
	unsigned word;
	size_t n;
	uint64_t at;
};

static size_t count_index(void *ctx) { return ((struct index_ctx *)ctx)->n; }
static void restart(void *ctx) { ((struct index_ctx *)ctx)->at = 0; }

static bool index_row(void *ctx, size_t i, struct mw__cell *c)
{
	struct index_ctx *x = ctx;
	const char *name = mw__strtab_at(x->names, x->at);

	mw__cell_u64(&c[0], MW__T_ADDR, mw__raw_num(x->offsets + i * x->word, x->word, true));
	mw__cell_text(&c[1], name ? name : "<corrupt>");
	x->at += name ? strlen(name) + 1 : 0;
	return true;
}

void mw__elf_view_index(const struct mw__elf_view *v)
{
	struct mw_elf *ar = v->elf;
	struct ar_hdr h;
	char size_text[11] = "";
	uint8_t count[8];

	if (ar->kind != MW__ELF_ARCHIVE || !mw__elf_read(ar, SARMAG, &h, sizeof(h)))
		return;
	bool wide = !memcmp(h.ar_name, "/SYM64/", 7);

	memcpy(size_text, h.ar_size, 10);
	uint64_t size = strtoull(size_text, NULL, 10), off = SARMAG + sizeof(h);
	unsigned word = wide ? 8 : 4;

	if ((!wide && memcmp(h.ar_name, "/ ", 2)) || size < word || !mw__elf_read(ar, off, count, word)) {
		mw__view_heading(v, "The archive has no index.");
		return;
	}
	uint64_t n = mw__raw_num(count, word, true);

	if (n > (size - word) / word) {
		mw__elf_diag(ar, MW__ELF_BAD, "symbols of the index", n, off, (size - word) / word,
			     "the index claims %llu symbols, its member has room for %llu", (unsigned long long)n,
			     (unsigned long long)((size - word) / word));
		return;
	}
	struct index_ctx *x = mw__view_alloc(v, sizeof(*x));

	if (!x || !n)
		return;
	x->word = word;
	x->n = n;
	x->offsets = mw__elf_chunk(ar, off + word, n * word, ELF_T_BYTE, "archive index");
	x->names = mw__elf_strtab(ar, off + word + n * word, size - word - n * word, "names of the archive index");
	if (!x->offsets)
		return;
	mw__view_heading(v, "Archive index: %llu symbols", (unsigned long long)n);
	mw__doc_stream(v->node, "index", NULL, index_cols, MW__COUNT(index_cols),
		       &(struct mw__stream){ count_index, restart, index_row, x });
}

/* -------------------------------------------------------------- attributes */

static const struct mw__col attr_cols[] = {
	{ "vendor", "Vendor", MW__T_TEXT, 0, "whose attribute it is" },
	{ "tag", "Tag", MW__T_COUNT, 0, "its number" },
	{ "name", "Name", MW__T_TEXT, 0, "its name" },
	{ "value", "Value", MW__T_COUNT, 0, "its number" },
	{ "text", "Text", MW__T_TEXT, 0, "its text" },
};

static const struct {
	const char *vendor;
	uint8_t tag;
	const char *name;
	bool is_text;
} tags[] = {
	{ "aeabi", 4, "CPU_raw_name", true }, { "aeabi", 5, "CPU_name", true }, { "aeabi", 6, "CPU_arch", false },
	{ "aeabi", 7, "CPU_arch_profile", false }, { "aeabi", 8, "ARM_ISA_use", false },
	{ "aeabi", 9, "THUMB_ISA_use", false }, { "aeabi", 10, "FP_arch", false }, { "aeabi", 11, "WMMX_arch", false },
	{ "aeabi", 12, "Advanced_SIMD_arch", false }, { "aeabi", 18, "ABI_PCS_wchar_t", false },
	{ "aeabi", 20, "ABI_FP_denormal", false }, { "aeabi", 21, "ABI_FP_exceptions", false },
	{ "aeabi", 23, "ABI_FP_number_model", false }, { "aeabi", 24, "ABI_align_needed", false },
	{ "aeabi", 25, "ABI_align_preserved", false }, { "aeabi", 26, "ABI_enum_size", false },
	{ "aeabi", 28, "ABI_VFP_args", false }, { "aeabi", 30, "ABI_optimization_goals", false },
	{ "aeabi", 34, "CPU_unaligned_access", false }, { "aeabi", 67, "conformance", true },
	{ "riscv", 4, "stack_align", false }, { "riscv", 5, "arch", true }, { "riscv", 6, "unaligned_access", false },
	{ "gnu", 4, "ABI", false }, { "gnu", 8, "ABI_Vector", false }, { "gnu", 12, "ABI_Struct_Return", false },
};

struct attrs {
	const struct mw__elf_view *v;
	struct mw__doc_node *table;
	const uint8_t *p;
	uint64_t at, end;
};

static uint64_t uleb(struct attrs *a)
{
	uint64_t v = 0;

	for (unsigned shift = 0; a->at < a->end; shift += 7) {
		uint8_t b = a->p[a->at++];

		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			break;
	}
	return v;
}

static const char *text(struct attrs *a)
{
	size_t n = strnlen((const char *)a->p + a->at, a->end - a->at);
	char *s = mw__view_alloc(a->v, n + 1);

	if (s)
		memcpy(s, a->p + a->at, n);
	a->at += n + (a->at + n < a->end);
	return s;
}

/* Tags above 31 follow a rule: odd ones are texts, even ones numbers; 32 is both. */
static void attribute(struct attrs *a, const char *vendor)
{
	uint64_t tag = uleb(a);
	const char *name = NULL;
	bool is_text = tag > 32 && (tag & 1), both = tag == 32;
	struct mw__doc_row *r = mw__doc_row(a->table);

	for (size_t i = 0; i < MW__COUNT(tags); i++)
		if (tags[i].tag == tag && !strcmp(tags[i].vendor, vendor)) {
			name = tags[i].name;
			is_text = tags[i].is_text;
		}
	mw__row_text(a->table, r, 0, vendor);
	mw__row_u64(a->table, r, 1, tag);
	mw__row_text(a->table, r, 2, name);
	if (!is_text || both)
		mw__row_u64(a->table, r, 3, uleb(a));
	if (is_text || both)
		mw__row_text(a->table, r, 4, text(a));
}

static void attribute_section(const struct mw__elf_view *v, struct mw__doc_node *t, size_t i)
{
	struct mw_elf *elf = v->elf;
	uint64_t size = mw__elf_section_bytes(elf, i);
	const uint8_t *p = mw__elf_chunk(elf, elf->sh[i].off, size, ELF_T_BYTE, mw__elf_section_name(elf, i));
	struct attrs a = { v, t, p, 1, size };

	if (!p || p[0] != 'A')
		return;
	while (mw__fits(a.at, 4, size)) {	/* vendors */
		uint64_t len = mw__raw_num(p + a.at, 4, elf->lay.big), end = a.at + len;

		if (len < 5 || !mw__fits(a.at, len, size)) {
			mw__elf_diag(elf, MW__ELF_BAD, "length of attributes", len, elf->sh[i].off + a.at, size - a.at,
				     "%s: a part of %llu bytes, %llu are left", mw__elf_section_name(elf, i),
				     (unsigned long long)len, (unsigned long long)(size - a.at));
			return;
		}
		a.at += 4;
		a.end = end;
		const char *vendor = text(&a);

		while (vendor && a.at < end) {	/* file, section and symbol scopes */
			uint64_t from = a.at;

			uleb(&a);
			if (!mw__fits(a.at, 4, end))
				break;
			uint64_t part = mw__raw_num(p + a.at, 4, elf->lay.big);

			a.at += 4;
			a.end = mw__fits(from, part, end) && from + part > a.at ? from + part : end;
			while (a.at < a.end)
				attribute(&a, vendor);
			a.end = end;
		}
		a.at = end;
	}
}

void mw__elf_view_attributes(const struct mw__elf_view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->node, "attributes", "Attributes", attr_cols, MW__COUNT(attr_cols));

	for (size_t i = 1; i < v->elf->n_sh; i++) {
		const char *name = mw__name_section(v->elf->sh[i].type, v->elf->eh.machine);

		if (name && strstr(name, "ATTRIBUTES"))
			attribute_section(v, t, i);
	}
}
