/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The dynamic loader reads what the kernel never looks at, and dlopen() is stricter than exec: it checks the identification
 * bytes, wants a dynamic table, and refuses programs. Relocations are read in blocks, since there may be a million
 * of them; the first fault of a kind is told. (glibc elf/dl-load.c: open_verify(), _dl_map_object_from_fd(),
 * elf/get-dynamic-info.h, sysdeps/x86_64/dl-machine.h, sysdeps/i386/dl-machine.h; found true by tests on glibc 2.36.)
 */
#include "check_loader.h"

#include <string.h>

#include "../base/count.h"
#include "../base/size.h"
#include "dynamic.h"
#include "versions.h"

#define BLOCK 16384
#define DT_RELACOUNT_ 0x6ffffff9
#define DT_RELCOUNT_ 0x6ffffffa

/* ------------------------------------------------------------- relocations */

/* Types that the loader applies, one bit each. */
#define BIT(n) (UINT64_C(1) << (n))
static const struct {
	uint16_t machine;
	uint8_t relative;
	uint64_t known, lazy;	/* lazy: of DT_JMPREL when functions are bound at their first call */
} loaders[] = {
	{ EM_X86_64, R_X86_64_RELATIVE,
	  BIT(R_X86_64_NONE) | BIT(R_X86_64_64) | BIT(R_X86_64_PC32) | BIT(R_X86_64_COPY) | BIT(R_X86_64_GLOB_DAT) |
	  BIT(R_X86_64_JUMP_SLOT) | BIT(R_X86_64_RELATIVE) | BIT(R_X86_64_32) | BIT(R_X86_64_DTPMOD64) | BIT(R_X86_64_DTPOFF64) |
	  BIT(R_X86_64_TPOFF64) | BIT(R_X86_64_SIZE32) | BIT(R_X86_64_SIZE64) | BIT(R_X86_64_TLSDESC) | BIT(R_X86_64_IRELATIVE) |
	  BIT(R_X86_64_RELATIVE64),
	  BIT(R_X86_64_JUMP_SLOT) | BIT(R_X86_64_TLSDESC) | BIT(R_X86_64_IRELATIVE) },
	{ EM_386, R_386_RELATIVE,
	  BIT(R_386_NONE) | BIT(R_386_32) | BIT(R_386_PC32) | BIT(R_386_COPY) | BIT(R_386_GLOB_DAT) | BIT(R_386_JMP_SLOT) |
	  BIT(R_386_RELATIVE) | BIT(R_386_TLS_TPOFF) | BIT(R_386_TLS_DTPMOD32) | BIT(R_386_TLS_DTPOFF32) | BIT(R_386_TLS_TPOFF32) |
	  BIT(R_386_SIZE32) | BIT(R_386_TLS_DESC) | BIT(R_386_IRELATIVE),
	  BIT(R_386_JMP_SLOT) | BIT(R_386_TLS_DESC) | BIT(R_386_IRELATIVE) },
};

struct walk {
	struct mw_elf *elf;
	mw__fault_fn *fault;
	void *ctx;
	size_t loader;		/* index into loaders */
	bool textrel, told_type, told_place, told_relative, told_text;
	uint64_t relatives;	/* the first so many must be relative */
	bool is_plt, lazy;
};

static bool is_on(uint64_t set, uint64_t type) { return type < 64 && (set >> type & 1); }

static const struct mw__phdr *segment_of(const struct mw_elf *elf, uint64_t addr)
{
	for (size_t i = 0; i < elf->n_ph; i++)
		if (elf->ph[i].type == PT_LOAD && addr >= elf->ph[i].vaddr && addr - elf->ph[i].vaddr < elf->ph[i].memsz)
			return &elf->ph[i];
	return NULL;
}

static void tell(struct walk *w, bool *told, enum mw__verdict verdict, const char *field, uint64_t value, uint64_t off, const char *text)
{
	if (!*told)
		w->fault(w->ctx, verdict, field, value, off, MW_UNKNOWN, text);
	*told = true;
}

static void check_entry(struct walk *w, uint64_t index, uint64_t off, uint64_t place, uint64_t type)
{
	const struct mw__phdr *p;
	uint64_t known = loaders[w->loader].known;

	if (index < w->relatives && type != loaders[w->loader].relative &&
	    !(w->elf->eh.machine == EM_X86_64 && type == R_X86_64_RELATIVE64))
		tell(w, &w->told_relative, MW__LOADER_REFUSES, "r_info", type, off,
		     "a relocation among the first DT_RELACOUNT is not relative: the loader stops");
	else if (!is_on(known, type))
		tell(w, &w->told_type, MW__LOADER_REFUSES, "r_info", type, off, "a relocation type that the loader does not know");
	else if (w->is_plt && w->lazy && !is_on(loaders[w->loader].lazy, type))
		tell(w, &w->told_type, MW__LOADER_REFUSES, "r_info", type, off,
		     "a relocation type that the loader does not know in DT_JMPREL");
	if (!type)
		return;
	p = segment_of(w->elf, place);
	if (!p)
		tell(w, &w->told_place, MW__LOADER_CRASHES, "r_offset", place, off, "a relocation outside the loaded segments");
	else if (!(p->flags & PF_W) && !w->textrel)
		tell(w, &w->told_text, MW__LOADER_CRASHES, "r_offset", place, off,
		     "a relocation in a segment that is not writable, without DT_TEXTREL");
}

static void walk_table(struct walk *w, uint64_t off, uint64_t size, bool has_addend)
{
	unsigned word = w->elf->lay.is64 ? 8 : 4;
	uint64_t entry = (has_addend ? 3 : 2) * (uint64_t)word, n = size / entry;
	static const unsigned block = BLOCK / 24 / 8 * 24 * 8;	/* a multiple of every size of entry */
	uint8_t buf[BLOCK / 24 / 8 * 24 * 8];
	bool big = w->elf->lay.big;

	for (uint64_t i = 0; i < n;) {
		uint64_t at = off + i * entry, bytes = mw__min((n - i) * entry, block);

		if (!mw__elf_read(w->elf, at, buf, bytes))
			return;
		for (uint64_t k = 0; k + entry <= bytes; k += entry, i++) {
			uint64_t info = mw__raw_num(buf + k + word, word, big);

			check_entry(w, i, at + k + word, mw__raw_num(buf + k, word, big), w->elf->lay.is64 ? info & UINT32_MAX : info & 0xff);
		}
	}
}

static void check_table(struct walk *w, uint64_t tag, uint64_t size_tag, bool has_addend)
{
	struct mw__elf_dynamic *dyn = mw__elf_dynamic(w->elf);
	uint64_t off, left, size;

	if (mw__dyn_get(dyn, size_tag, &size) && mw__dyn_off(w->elf, tag, &off, &left))
		walk_table(w, off, mw__min(size, left), has_addend);
}

/* The loader asserts what these say, and ends the process where they say something else. */
static void check_sizes(struct walk *w, const struct mw__elf_dynamic *dyn)
{
	bool is64 = w->elf->lay.is64;
	const struct { uint64_t tag, want; const char *name, *text; } wanted[] = {
		{ DT_RELAENT, is64 ? 24 : 12, "DT_RELAENT", "DT_RELAENT is not the size of an entry: the loader stops" },
		{ DT_RELENT, is64 ? 16 : 8, "DT_RELENT", "DT_RELENT is not the size of an entry: the loader stops" },
		{ DT_PLTREL, is64 ? DT_RELA : DT_REL, "DT_PLTREL", "DT_PLTREL is not the kind of relocations of this machine: the loader stops" },
	};
	uint64_t v;

	for (size_t i = 0; i < MW__COUNT(wanted); i++)
		if (mw__dyn_get(dyn, wanted[i].tag, &v) && v != wanted[i].want)
			w->fault(w->ctx, MW__LOADER_REFUSES, wanted[i].name, v, dyn->off, wanted[i].want, wanted[i].text);
}

/*
 * Relocations that a loader before glibc 2.36 leaves undone: so that it refuses the file, whoever packs them has to need
 * a version that exists since then, and newer ones see to it (glibc elf/dl-version.c, _dl_check_map_versions()).
 */
static void check_packed(struct walk *w, const struct mw__elf_dynamic *dyn)
{
	const struct mw__elf_versions *vers = NULL;
	bool needs_libc = false;
	uint64_t v;

	if (mw__dyn_get(dyn, DT_RELR, &v))
		vers = mw__elf_versions(w->elf);
	for (size_t i = 0; vers && i < vers->needs.n; i++) {
		const struct mw__verneed *n = &vers->needs.v[i];

		if (n->name && !strcmp(n->name, "GLIBC_ABI_DT_RELR"))
			return;
		needs_libc |= n->file && !strcmp(n->file, "libc.so.6");
	}
	if (needs_libc)
		w->fault(w->ctx, MW__LOADER_REFUSES, "DT_RELR", v, dyn->off, MW_UNKNOWN,
			 "packed relocations without need of GLIBC_ABI_DT_RELR: the loader stops");
}

/* Those of Android, which other loaders pass over: words that were to be relocated stay as they are in the file. */
static const char undone[] = "relocations in a form that only Android's loader knows stay undone: it dies when it uses what they are for";

static bool is_undone(const struct mw__elf_dynamic *dyn, uint64_t *tag, uint64_t *v)
{
	static const uint64_t tags[] = { MW__DT_ANDROID_REL, MW__DT_ANDROID_RELA, MW__DT_ANDROID_RELR };

	for (size_t i = 0; i < MW__COUNT(tags); i++)
		if (mw__dyn_get(dyn, *tag = tags[i], v))
			return true;
	return false;
}

static void check_android(struct walk *w, const struct mw__elf_dynamic *dyn)
{
	uint64_t tag, v;

	if (is_undone(dyn, &tag, &v))
		w->fault(w->ctx, MW__VERDICT_UNKNOWN, tag == MW__DT_ANDROID_REL ? "DT_ANDROID_REL" : tag == MW__DT_ANDROID_RELA ?
			 "DT_ANDROID_RELA" : "DT_ANDROID_RELR", v, dyn->off, MW_UNKNOWN, undone);
}

void mw__check_relocations(struct mw_elf *elf, mw__fault_fn *fault, void *ctx)
{
	struct mw__elf_dynamic *dyn = mw__elf_dynamic(elf);
	struct walk w = { .elf = elf, .fault = fault, .ctx = ctx };
	uint64_t v;

	while (w.loader < 2 && loaders[w.loader].machine != elf->eh.machine)
		w.loader++;
	if (!dyn || w.loader == 2 || elf->from_memory || elf->lay.is64 != (elf->eh.machine == EM_X86_64))
		return;
	bool now = mw__dyn_get(dyn, DT_BIND_NOW, &v) || (mw__dyn_get(dyn, DT_FLAGS, &v) && (v & DF_BIND_NOW)) ||
		   (mw__dyn_get(dyn, DT_FLAGS_1, &v) && (v & DF_1_NOW));

	check_sizes(&w, dyn);
	check_packed(&w, dyn);
	check_android(&w, dyn);
	w.textrel = mw__dyn_get(dyn, DT_TEXTREL, &v) || (mw__dyn_get(dyn, DT_FLAGS, &v) && (v & DF_TEXTREL));
	w.relatives = mw__dyn_get(dyn, elf->lay.is64 ? DT_RELACOUNT_ : DT_RELCOUNT_, &v) ? v : 0;
	check_table(&w, DT_RELA, DT_RELASZ, true);
	check_table(&w, DT_REL, DT_RELSZ, false);
	w.relatives = 0;
	w.is_plt = true;
	w.lazy = !now;
	check_table(&w, DT_JMPREL, DT_PLTRELSZ, mw__dyn_get(dyn, DT_PLTREL, &v) && v == DT_RELA);
}

/* ------------------------------------------------------------------ dlopen */

static bool has_segment(const struct mw_elf *elf, uint32_t type)
{
	for (size_t i = 0; i < elf->n_ph; i++)
		if (elf->ph[i].type == type)
			return true;
	return false;
}

static bool has_flag(const struct mw__elf_dynamic *dyn, uint64_t tag, uint64_t flag)
{
	uint64_t v;

	return mw__dyn_get(dyn, tag, &v) && (v & flag);
}

bool mw__is_library(struct mw_elf *elf)
{
	const struct mw__phdr *entry = segment_of(elf, elf->eh.entry);

	return elf->eh.type == ET_DYN && has_segment(elf, PT_DYNAMIC) && !has_segment(elf, PT_INTERP) &&
	       !has_flag(mw__elf_dynamic(elf), DT_FLAGS_1, DF_1_PIE) && (!elf->eh.entry || !entry || !(entry->flags & PF_X));
}

static void answer(struct mw__check *ret, const char *verdict, const char *reason)
{
	if (ret->dlopen)
		return;
	ret->dlopen = verdict;
	ret->dlopen_reason = reason;
}

static const char refuses[] = "the loader refuses", maybe[] = "unknown";

/* In the order in which the loader looks. */
static void check_identity(const struct mw_elf *elf, struct mw__check *ret)
{
	static const uint8_t pad[EI_NIDENT - EI_PAD];

	if (elf->head_bytes < mw__raw_size_ehdr(elf->lay.is64))
		answer(ret, refuses, "file too short");
	if (elf->eh.machine != EM_X86_64 && elf->eh.machine != EM_386)
		answer(ret, maybe, "it is for another machine");
	if (elf->ident[EI_CLASS] != (elf->eh.machine == EM_386 ? ELFCLASS32 : ELFCLASS64))
		answer(ret, refuses, "wrong class byte");
	if (elf->ident[EI_DATA] != ELFDATA2LSB)
		answer(ret, refuses, "wrong byte order byte");
	if (elf->ident[EI_VERSION] != EV_CURRENT || elf->eh.version != EV_CURRENT)
		answer(ret, refuses, "wrong version");
	if (elf->ident[EI_OSABI] != ELFOSABI_SYSV && elf->ident[EI_OSABI] != ELFOSABI_GNU)
		answer(ret, refuses, "the OS ABI is neither System V nor GNU");
	if (elf->ident[EI_ABIVERSION] > (elf->ident[EI_OSABI] == ELFOSABI_GNU ? 3 : 0))
		answer(ret, refuses, "the ABI version is not known to the loader");
	if (memcmp(elf->ident + EI_PAD, pad, sizeof(pad)) != 0)
		answer(ret, refuses, "the padding of e_ident is not zero");
	if (elf->eh.type == ET_EXEC)
		answer(ret, refuses, "it is a program at a fixed address");
	else if (elf->eh.type != ET_DYN)
		answer(ret, refuses, "it is no shared object");
	if (elf->eh.phentsize != mw__raw_size_phdr(elf->lay.is64))
		answer(ret, refuses, "e_phentsize is not the size of a program header");
}

static void check_loads(const struct mw_elf *elf, uint64_t page, struct mw__check *ret)
{
	const struct mw__phdr *first = NULL, *last = NULL;
	bool outside = false;

	for (size_t i = 0; i < elf->n_ph; i++) {
		const struct mw__phdr *p = &elf->ph[i];

		if (p->type != PT_LOAD)
			continue;
		if ((p->vaddr ^ p->off) & (page - 1))
			answer(ret, refuses, "p_offset and p_vaddr differ within the page");
		first = first ? first : p;
		last = p;
	}
	if (!first) {
		answer(ret, refuses, "it has no PT_LOAD segment");
		return;
	}
	uint64_t end = mw__align_up(last->vaddr + last->memsz, page);

	for (size_t i = 0; i < elf->n_ph; i++) {
		const struct mw__phdr *p = &elf->ph[i];

		outside |= p->type == PT_LOAD && (p->vaddr < mw__align_down(first->vaddr, page) || p->vaddr + p->memsz > end);
	}
	if (end <= first->vaddr)
		answer(ret, refuses, "the last PT_LOAD segment ends before the first one starts");
	else if (outside)
		answer(ret, maybe, "PT_LOAD segments lie outside the span from the first to the last one");
}

void mw__check_dlopen(struct mw_elf *elf, uint64_t page, enum mw__verdict loader, const char *reason, struct mw__check *ret)
{
	struct mw__elf_dynamic *dyn = mw__elf_dynamic(elf);
	uint64_t tag, v;

	check_identity(elf, ret);
	check_loads(elf, page, ret);
	if (!has_segment(elf, PT_DYNAMIC))
		answer(ret, refuses, "it has no dynamic table");
	if (loader == MW__LOADER_REFUSES)
		answer(ret, refuses, reason);
	if (!dyn)
		answer(ret, maybe, "its dynamic table cannot be read");
	if (has_flag(dyn, DT_FLAGS_1, DF_1_PIE))
		answer(ret, refuses, "it is a position-independent program (DF_1_PIE)");
	if (has_flag(dyn, DT_FLAGS_1, DF_1_NOOPEN))
		answer(ret, refuses, "it asks not to be opened at run time (DF_1_NOOPEN)");
	if (loader == MW__LOADER_CRASHES)
		answer(ret, "the loader crashes", reason);
	if (is_undone(dyn, &tag, &v))
		answer(ret, maybe, undone);
	if (has_flag(dyn, DT_FLAGS, DF_STATIC_TLS) && has_segment(elf, PT_TLS))
		answer(ret, maybe, "it needs room in the static TLS block, of which little is left in a running process (DF_STATIC_TLS)");
	for (size_t i = 0; i < elf->n_ph; i++)
		if (elf->ph[i].type == PT_GNU_STACK && (elf->ph[i].flags & PF_X))
			answer(ret, maybe, "it wants an executable stack, which newer loaders and some systems refuse");
	answer(ret, "loads", "");
}
