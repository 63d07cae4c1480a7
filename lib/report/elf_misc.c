/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The index of an archive. */
#include <stdio.h>
#include <string.h>
#include <ar.h>

#include "../elf/archive.h"
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
