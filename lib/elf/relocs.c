/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Relocations. r_info is split by class, except on 64-bit MIPS (three types in one record;
 * little endian stores the symbol first) and SPARC v9 (the type carries data above bit 8).
 * RELR (gABI draft, "Relative Relocation Table"): an even word is an address, an odd one a
 * bitmap of the 63 (31) words behind; libelf has no type for it, so the words are decoded here.
 */
#include "relocs.h"

#include "../base/count.h"
#include "../base/size.h"
#include "dynamic.h"

static const struct {
	uint64_t addr, size;
	enum mw__reltab_kind kind;
	const char *name;
} tables[] = {
	{ DT_REL, DT_RELSZ, MW__REL, "DT_REL" },
	{ DT_RELA, DT_RELASZ, MW__RELA, "DT_RELA" },
	{ DT_RELR, DT_RELRSZ, MW__RELR, "DT_RELR" },
	{ MW__DT_ANDROID_RELR, MW__DT_ANDROID_RELRSZ, MW__RELR, "DT_ANDROID_RELR" },
	{ DT_JMPREL, DT_PLTRELSZ, MW__RELA, "DT_JMPREL" },
};

static uint64_t record_size(const struct mw_elf *elf, enum mw__reltab_kind kind)
{
	static const uint8_t sizes[2][3] = { { 8, 12, 4 }, { 16, 24, 8 } };

	return sizes[elf->lay.is64][kind];
}

static uint64_t relr_word(struct mw__reltab *t, size_t i)
{
	return mw__raw_num(mw__elf_window_at(&t->raw, i), t->elf->lay.is64 ? 8 : 4, t->elf->lay.big);
}

static size_t relr_count(struct mw__reltab *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		uint64_t w = relr_word(t, i);

		n += w & 1 ? __builtin_popcountll(w >> 1) : 1;
	}
	return n;
}

uint64_t mw__relr_next(struct mw__reltab *t)
{
	unsigned size = t->elf->lay.is64 ? 8 : 4;

	for (;;) {
		if (t->bits) {
			unsigned bit = __builtin_ctzll(t->bits);

			t->bits &= t->bits - 1;
			return t->at + (uint64_t)bit * size;
		}
		if (t->word >= t->n)
			return 0;
		uint64_t w = relr_word(t, t->word++);

		if (w & 1) {
			t->at = t->next;
			t->bits = w >> 1;
			t->next += (uint64_t)(size * 8 - 1) * size;
		} else {
			t->next = w + size;
			return w;
		}
	}
}

static bool load(struct mw__reltab *t, uint64_t bytes)
{
	static const Elf_Type types[] = { ELF_T_REL, ELF_T_RELA, ELF_T_BYTE };
	uint64_t size = record_size(t->elf, t->kind);

	t->n = bytes / size;
	if (!mw__elf_window_open(t->elf, t->off, t->n, size, types[t->kind], t->name, &t->raw))
		return false;
	t->n_entries = t->kind == MW__RELR ? relr_count(t) : t->n;
	return true;
}

bool mw__reltab_open(struct mw_elf *elf, size_t section, struct mw__reltab *ret)
{
	const struct mw__shdr *s = &elf->sh[section];
	uint64_t bytes = mw__elf_section_bytes(elf, section);
	struct mw__reltab t = { .elf = elf, .name = mw__elf_section_name(elf, section), .section = section,
				.off = s->off, .kind = s->type == SHT_REL ? MW__REL : s->type == SHT_RELA ?
				MW__RELA : MW__RELR };

	if (s->type == SHT_NOBITS)
		return false;
	if (s->entsize != record_size(elf, t.kind) && s->size)
		mw__elf_diag(elf, MW__ELF_BAD, "sh_entsize", s->entsize,
			     mw__elf_field_off(elf, mw__elf_sh_off(elf, section), MW__SH(entsize)),
			     record_size(elf, t.kind), "%s: sh_entsize is %llu, must be %llu", t.name,
			     (unsigned long long)s->entsize, (unsigned long long)record_size(elf, t.kind));
	if (bytes < s->size)
		mw__elf_diag(elf, MW__ELF_BAD, "sh_size", s->size,
			     mw__elf_field_off(elf, mw__elf_sh_off(elf, section), MW__SH(size)), bytes,
			     "%s: %#llx bytes, of which %#llx are in the file", t.name, (unsigned long long)s->size,
			     (unsigned long long)bytes);
	if (!load(&t, bytes))
		return false;
	if (s->link && s->link < elf->n_sh &&
	    (elf->sh[s->link].type == SHT_SYMTAB || elf->sh[s->link].type == SHT_DYNSYM))
		t.has_syms = mw__symtab_open(elf, s->link, &t.syms);
	*ret = t;
	return true;
}

int mw__reltab_open_dynamic(struct mw_elf *elf, size_t i, struct mw__reltab *ret)
{
	struct mw__elf_dynamic *dyn = mw__elf_dynamic(elf);
	struct mw__reltab t = { .elf = elf, .section = elf->n_sh };
	uint64_t size, left, kind;

	if (i >= MW__COUNT(tables))
		return -1;
	if (!dyn || !mw__dyn_get(dyn, tables[i].size, &size) || !size)
		return 0;
	t.kind = tables[i].kind;
	t.name = tables[i].name;
	if (tables[i].addr == DT_JMPREL && mw__dyn_get(dyn, DT_PLTREL, &kind))
		t.kind = kind == DT_REL ? MW__REL : MW__RELA;
	if (!mw__dyn_off(elf, tables[i].addr, &t.off, &left) || size > left) {
		mw__elf_diag(elf, MW__ELF_BAD, tables[i].name, size, dyn->off, left,
			     "%s: %#llx bytes are not all in a PT_LOAD segment", tables[i].name,
			     (unsigned long long)size);
		return 0;
	}
	if (!load(&t, size))
		return 0;
	t.has_syms = mw__symtab_open_dynamic(elf, &t.syms);
	*ret = t;
	return 1;
}

static void split_info(const struct mw_elf *elf, struct mw__rel *r)
{
	if (!elf->lay.is64) {
		r->sym = r->info >> 8;
		r->type = r->info & 0xff;
	} else if (elf->eh.machine == EM_MIPS) {
		uint64_t in = elf->lay.big ? r->info : (r->info << 32) | __builtin_bswap32(r->info >> 32);

		r->sym = in >> 32;
		r->type = in & 0xff;
		r->types[0] = (in >> 8) & 0xff;
		r->types[1] = (in >> 16) & 0xff;
	} else {
		r->sym = r->info >> 32;
		r->type = elf->eh.machine == EM_SPARCV9 ? r->info & 0xff : r->info & 0xffffffff;
	}
}

void mw__rel_at(struct mw__reltab *t, size_t i, struct mw__rel *r)
{
	const void *raw = mw__elf_window_at(&t->raw, i);

	r->types[0] = r->types[1] = 0;
	r->addend = 0;
	if (t->elf->lay.is64 && t->kind == MW__RELA) {
		const Elf64_Rela *e = raw;

		r->offset = e->r_offset;
		r->info = e->r_info;
		r->addend = e->r_addend;
	} else if (t->elf->lay.is64) {
		const Elf64_Rel *e = raw;

		r->offset = e->r_offset;
		r->info = e->r_info;
	} else if (t->kind == MW__RELA) {
		const Elf32_Rela *e = raw;

		r->offset = e->r_offset;
		r->info = e->r_info;
		r->addend = e->r_addend;
	} else {
		const Elf32_Rel *e = raw;

		r->offset = e->r_offset;
		r->info = e->r_info;
	}
	split_info(t->elf, r);
}
