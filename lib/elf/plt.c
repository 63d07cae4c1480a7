/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names for the stubs of a procedure linkage table, which no symbol table has: "puts@plt", as objdump and gdb say.
 * A stub jumps through a slot of the GOT, and the relocation of the slot tells whose address is put there (psABI of
 * x86-64 and i386, "Procedure Linkage Table"). Stubs that do something else first, as those of lazy binding do when
 * .plt.sec has the jumps, stay without name.
 */
#include "detail.h"

#include "../base/cleanup.h"
#include "../base/count.h"
#include "../base/search.h"
#include "../base/str.h"
#include "dynamic.h"
#include "raw.h"
#include "relocs.h"

#include <stdlib.h>
#include <string.h>

#define STUB 16u	/* bytes; 8 in .plt.got without landing marks */

/* R_386_GLOB_DAT and R_386_JMP_SLOT have the same numbers; R_386_IRELATIVE keeps the address in the slot. */
enum { GLOB_DAT = 6, JUMP_SLOT = 7, IRELATIVE = 37 };

struct stub {
	uint64_t slot, addr;
	uint32_t size;
	bool is_named;
};

struct stubs {
	MW_VEC(struct stub) list;
	uint64_t left;		/* bytes of sections that may still be read: more than the file has only where they overlap */
};

static void free_stubs(struct stubs *s)
{
	MW_VEC_FREE(&s->list);
}

/* The slot that the stub jumps through; 0: it is none. got is what %ebx points to on i386. */
static uint64_t slot_of(const struct mw_elf *elf, const uint8_t *p, size_t n, uint64_t addr, uint64_t got)
{
	bool is_386 = elf->eh.machine == EM_386;
	size_t i = 0;

	if (n >= 4 && p[0] == 0xf3 && p[1] == 0x0f && p[2] == 0x1e && (p[3] & 0xfe) == 0xfa)	/* endbr64, endbr32 */
		i = 4;
	i += i < n && p[i] == 0xf2;	/* bnd */
	if (i + 6 > n || p[i] != 0xff)
		return 0;
	uint64_t disp = (uint64_t)(int32_t)mw__raw_num(p + i + 2, 4, false);

	if (p[i + 1] == 0x25)	/* jmp *disp(%rip), or jmp *disp */
		return is_386 ? (uint32_t)disp : addr + i + 6 + disp;
	return is_386 && p[i + 1] == 0xa3 ? (uint32_t)(got + disp) : 0;	/* jmp *disp(%ebx) */
}

static bool holds_wanted(const struct mw__detail_want *w, uint64_t addr, uint64_t size)
{
	size_t i = MW_FIRST(k, w->n_addrs, w->addrs[k] >= addr);

	return !w->n_addrs || (i < w->n_addrs && w->addrs[i] - addr < size);
}

static int add_stubs(struct mw_elf *elf, size_t section, uint64_t got, const struct mw__detail_want *want, struct stubs *ret)
{
	const struct mw__shdr *s = &elf->sh[section];
	uint64_t bytes = mw__elf_section_bytes(elf, section);
	uint32_t size = s->entsize == 8 || (s->entsize != STUB && !strcmp(mw__elf_section_name(elf, section), ".plt.got")) ? 8 : STUB;

	if (s->type != SHT_PROGBITS || !(s->flags & SHF_EXECINSTR) || bytes > ret->left || !holds_wanted(want, s->addr, bytes))
		return 0;
	MW_CLEANUP(mw__freep) uint8_t *code = malloc(bytes + 1);

	if (!code)
		return -MW_E_NOMEM;
	ret->left -= bytes;
	if (!mw__elf_read(elf, s->off, code, bytes))
		return 0;
	for (uint64_t at = 0; at + size <= bytes; at += size) {
		uint64_t slot = slot_of(elf, code + at, size, s->addr + at, got);
		struct stub *stub = slot && holds_wanted(want, s->addr + at, size) ? MW_VEC_PUSH(&ret->list) : NULL;

		if (stub)
			*stub = (struct stub){ slot, s->addr + at, size, false };
		else if (slot && holds_wanted(want, s->addr + at, size))
			return -MW_E_NOMEM;
	}
	return 0;
}

static int compare_slots(const void *a, const void *b)
{
	const struct stub *x = a, *y = b;

	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int name_stub(const struct stub *stub, const struct mw__reltab *t, const struct mw__rel *r, struct mw__arena *arena,
		     struct mw__symbols *ret)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	struct mw__sym s = {};

	if (r->sym && t->has_syms && r->sym < t->syms.n)
		mw__sym_at(&t->syms, r->sym, &s);
	if (r->type == IRELATIVE)
		mw__str_printf(&text, "*ABS*+0x%llx@plt", (unsigned long long)r->addend);
	else if (s.name && *s.name)
		mw__str_printf(&text, "%s@plt", s.name);
	if (text.failed || !text.n)
		return text.failed ? -MW_E_NOMEM : 0;
	struct mw__symbol symbol = { stub->addr, stub->size, text.v, STT_FUNC, STB_LOCAL };

	return mw__symbols_add(ret, &symbol, arena);
}

/* The relocations of one table that fill slots of stubs; of several for one slot the first. */
static int name_by_table(struct mw__reltab *t, struct stubs *stubs, struct mw__arena *arena, struct mw__symbols *ret)
{
	bool has_ifuncs = t->elf->eh.machine == EM_X86_64;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < t->n; i++) {
		struct mw__rel r;

		mw__rel_at(t, i, &r);
		if (r.type != GLOB_DAT && r.type != JUMP_SLOT && !(has_ifuncs && r.type == IRELATIVE))
			continue;
		size_t k = MW_FIRST(n, stubs->list.n, stubs->list.v[n].slot >= r.offset);

		for (; rc == 0 && k < stubs->list.n && stubs->list.v[k].slot == r.offset && !stubs->list.v[k].is_named; k++) {
			rc = name_stub(&stubs->list.v[k], t, &r, arena, ret);
			stubs->list.v[k].is_named = true;
		}
	}
	return rc;
}

int mw__detail_plt(struct mw_elf *elf, const struct mw__detail_want *want, struct mw__arena *arena, struct mw__symbols *ret)
{
	static const char *const names[] = { ".plt", ".plt.sec", ".plt.got" };
	MW_CLEANUP(free_stubs) struct stubs stubs = { .left = elf->size };
	struct mw__elf_dynamic *dyn = NULL;
	uint64_t got = 0;

	if (elf->eh.machine != EM_X86_64 && elf->eh.machine != EM_386)
		return 0;
	if (elf->eh.machine == EM_386 && (dyn = mw__elf_dynamic(elf)))
		mw__dyn_get(dyn, DT_PLTGOT, &got);
	for (size_t i = 0; i < MW__COUNT(names); i++) {
		size_t section = mw__elf_section_by_name(elf, names[i]);

		if (section < elf->n_sh && add_stubs(elf, section, got, want, &stubs) < 0)
			return -MW_E_NOMEM;
	}
	if (!stubs.list.n)
		return 0;
	qsort(stubs.list.v, stubs.list.n, sizeof(*stubs.list.v), compare_slots);
	for (size_t i = 1; i < elf->n_sh; i++) {
		struct mw__reltab t;

		if ((elf->sh[i].type != SHT_REL && elf->sh[i].type != SHT_RELA) || !(elf->sh[i].flags & SHF_ALLOC) ||
		    !mw__reltab_open(elf, i, &t))
			continue;
		ret->name_limit += 4 * (t.has_syms ? t.syms.str.n : 0) + 65536;
		int rc = name_by_table(&t, &stubs, arena, ret);

		mw__elf_window_close(&t.raw);
		if (rc < 0)
			return rc;
	}
	return 0;
}
