/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the kernel and the loader look at, in their order; the first fault decides. The
 * kernel never looks at the class, data and version bytes on x86-64, nor at anything that
 * belongs to sections. (kernel fs/binfmt_elf.c: load_elf_phdrs(), load_elf_binary();
 * glibc elf/dl-load.c, elf/rtld.c.)
 */
#include "check_loader.h"

#include <stdio.h>
#include <string.h>

#include "../base/count.h"
#include "../base/size.h"
#include "dynamic.h"
#include "plan.h"
#include "symbols.h"

const char *const mw__verdicts[10] = {
	"runs", "not a program (ENOEXEC)", "the kernel refuses: ENOEXEC", "the kernel refuses: EINVAL",
	"the kernel refuses: EIO",
	"the kernel kills it while loading", "the loader refuses", "the loader crashes", "unknown",
	"a shared library, no program",
};

#define MAX_LOADS 1024

struct job {
	struct mw_elf *elf;
	struct mw__check *c;
	uint64_t page;
	const struct mw__phdr *last_load;
	bool interp;
	enum mw__verdict loader;	/* the first fault that the loader minds, else MW__RUNS */
	const char *loader_reason;
	bool missing;			/* a segment has no page in the file */
};

/* Add the finding; the first one that decides becomes the verdict. */
static void fault(struct job *j, enum mw__verdict verdict, const char *field, uint64_t value, uint64_t off,
		  uint64_t bound, const char *text)
{
	mw__elf_diag(j->elf, MW__ELF_BAD, field, value, off, bound, "%s", text);
	if ((verdict == MW__LOADER_REFUSES || verdict == MW__LOADER_CRASHES) && j->loader == MW__RUNS) {
		j->loader = verdict;
		j->loader_reason = text;
		/* a program without loader has code of its own for what a loader looks at */
		verdict = j->interp ? verdict : MW__VERDICT_UNKNOWN;
	}
	if (j->c->verdict != MW__RUNS)
		return;
	j->c->verdict = verdict;
	j->c->reason = text;
}

/* A verdict without a fault of the format. */
static void note_verdict(struct job *j, enum mw__verdict verdict, const char *text)
{
	if (j->c->verdict != MW__RUNS)
		return;
	j->c->verdict = verdict;
	j->c->reason = text;
}

static uint64_t eh_off(const struct job *j, const struct mw__field *field)
{
	return mw__elf_field_off(j->elf, 0, field);
}

static uint64_t ph_off(const struct job *j, const struct mw__phdr *p, const struct mw__field *field)
{
	return mw__elf_field_off(j->elf, mw__elf_ph_off(j->elf, p - j->elf->ph), field);
}

/* ------------------------------------------------------------------ kernel */

static void check_header(struct job *j)
{
	const struct mw_elf *elf = j->elf;
	uint64_t size = mw__raw_size_phdr(elf->lay.is64);

	if (elf->head_bytes < mw__raw_size_ehdr(elf->lay.is64)) {
		j->c->verdict = MW__ENOEXEC;
		j->c->reason = "the header is not whole";
		return;
	}
	if (elf->eh.type != ET_EXEC && elf->eh.type != ET_DYN) {
		j->c->verdict = MW__NOT_A_PROGRAM;
		j->c->reason = "e_type is neither ET_EXEC nor ET_DYN";
		return;
	}
	if (elf->eh.machine != EM_X86_64 && elf->eh.machine != EM_386) {
		j->c->verdict = MW__VERDICT_UNKNOWN;
		j->c->reason = "it is for another machine than x86-64: ENOEXEC there";
		return;
	}
	if (elf->eh.machine == EM_X86_64 && !elf->lay.is64)
		note_verdict(j, MW__VERDICT_UNKNOWN, "it is for the x32 ABI: a kernel built without it says ENOEXEC");
	if (elf->eh.phentsize != size)
		fault(j, MW__ENOEXEC, "e_phentsize", elf->eh.phentsize, eh_off(j, MW__EH(phentsize)), size,
		      "e_phentsize is not the size of a program header");
	if (!elf->eh.phnum)
		fault(j, MW__ENOEXEC, "e_phnum", 0, eh_off(j, MW__EH(phnum)), 1, "there are no program headers");
	else if (elf->eh.phnum == PN_XNUM && elf->phnum != PN_XNUM)	/* allowed, but not to the kernel */
		note_verdict(j, MW__ENOEXEC, "the kernel knows no PN_XNUM: more than 64 KiB of program headers");
	else if (elf->eh.phnum * size > 65536)
		fault(j, MW__ENOEXEC, "e_phnum", elf->eh.phnum, eh_off(j, MW__EH(phnum)), 65536 / size,
		      "the program headers take more than 64 KiB (the kernel knows no PN_XNUM)");
	else if (!mw__fits(elf->eh.phoff, elf->eh.phnum * size, elf->size))
		fault(j, MW__ENOEXEC, "e_phoff", elf->eh.phoff, eh_off(j, MW__EH(phoff)), elf->size,
		      "the program headers are not all in the file");
}

static void check_interp(struct job *j, const struct mw__phdr *p)
{
	char last;

	if (j->interp)
		return;
	j->interp = true;
	if (p->filesz < 2 || p->filesz > 4096)
		fault(j, MW__ENOEXEC, "p_filesz of PT_INTERP", p->filesz, ph_off(j, p, MW__PH(filesz)), 4096,
		      "the interpreter's path is empty or longer than 4096 bytes");
	else if (!mw__fits(p->off, p->filesz, j->elf->size))
		fault(j, p->off > INT64_MAX ? MW__EINVAL : MW__EIO, "p_offset of PT_INTERP", p->off, ph_off(j, p, MW__PH(off)), j->elf->size,
		      "the interpreter's path is not in the file");
	else if (mw__elf_read(j->elf, p->off + p->filesz - 1, &last, 1) && last)
		fault(j, MW__ENOEXEC, "p_filesz of PT_INTERP", p->filesz, ph_off(j, p, MW__PH(filesz)), MW_UNKNOWN,
		      "the interpreter's path has no NUL at its end");
}

/* Bytes of the segment that the file does not have. */
static void check_missing(struct job *j, const struct mw__phdr *p)
{
	uint64_t in_file = mw__align_up(j->elf->size, j->page), last = p->vaddr + p->filesz;

	mw__elf_diag(j->elf, MW__ELF_BAD, "p_filesz", p->filesz, ph_off(j, p, MW__PH(filesz)), mw__sub0(j->elf->size, p->off),
		     "the segment reaches behind the end of the file: touching the missing pages raises SIGBUS");
	if (p->memsz > p->filesz && (p->flags & PF_W) && (last & (j->page - 1)) &&
	    mw__align_down(p->off + p->filesz, j->page) >= in_file)
		fault(j, MW__KILLED, "p_offset", p->off, ph_off(j, p, MW__PH(off)), j->elf->size,
		      "the kernel clears the end of a page that is not in the file");
	j->missing |= p->filesz && p->off >= in_file;
}

/* No execution where reading does not imply it: then the first instruction must be in a segment that allows it. */
static void check_entry(struct job *j)
{
	const struct mw_elf *elf = j->elf;
	bool strict = false, found = false;

	for (size_t i = 0; i < elf->n_ph; i++) {
		const struct mw__phdr *p = &elf->ph[i];

		strict |= p->type == PT_GNU_STACK && !(p->flags & PF_X);
		found |= p->type == PT_LOAD && (p->flags & PF_X) && elf->eh.entry >= mw__align_down(p->vaddr, j->page) &&
			 elf->eh.entry < mw__align_up(p->vaddr + p->memsz, j->page);
	}
	if (strict && !found && elf->eh.entry)
		fault(j, MW__VERDICT_UNKNOWN, "e_entry", elf->eh.entry, eh_off(j, MW__EH(entry)), MW_UNKNOWN,
		      "the entry point is in no executable segment: it dies there");
}

/* What other machines allow is theirs to say, firmware included: there only the gABI is held against the file. */
static void check_load(struct job *j, const struct mw__phdr *p)
{
	bool is_ours = j->elf->eh.machine == EM_X86_64 || j->elf->eh.machine == EM_386, is64 = j->elf->lay.is64;
	uint64_t page = is_ours ? j->page : p->align && !(p->align & (p->align - 1)) ? mw__min(p->align, j->page) : 1, end;
	uint64_t top = is_ours ? is64 ? UINT64_C(0x7ffffffff000) : UINT64_C(0xffffe000) : is64 ? UINT64_MAX : UINT64_C(1) << 32;

	if (p->filesz > p->memsz)
		fault(j, MW__KILLED, "p_filesz", p->filesz, ph_off(j, p, MW__PH(filesz)), p->memsz, "p_filesz exceeds p_memsz");
	if (p->memsz > top || __builtin_add_overflow(p->vaddr, p->memsz, &end) || end > top)
		fault(j, MW__KILLED, "p_memsz", p->memsz, ph_off(j, p, MW__PH(memsz)), top,
		      "the segment ends beyond the address space");
	if (((p->vaddr ^ p->off) & (page - 1)) && p->filesz)
		fault(j, MW__KILLED, "p_offset", p->off, ph_off(j, p, MW__PH(off)), page,
		      is_ours ? "p_offset and p_vaddr differ within the page" : "p_offset and p_vaddr differ within p_align");
	if (p->off > INT64_MAX || __builtin_add_overflow(p->off, p->filesz, &end))
		fault(j, MW__KILLED, "p_offset", p->off, ph_off(j, p, MW__PH(off)), j->elf->size, "p_offset + p_filesz wraps");
	else if (!mw__fits(p->off, p->filesz, j->elf->size))
		check_missing(j, p);
	if (p->align && (p->align & (p->align - 1)))
		mw__elf_diag(j->elf, MW__ELF_BAD, "p_align", p->align, ph_off(j, p, MW__PH(align)), MW_UNKNOWN,
			     "p_align is not a power of two");
	/* the gABI wants them in order; neither kernel nor loader looks at that in a program */
	if (j->last_load && p->vaddr < j->last_load->vaddr + j->last_load->memsz)
		mw__elf_diag(j->elf, MW__ELF_BAD, "p_vaddr", p->vaddr, ph_off(j, p, MW__PH(vaddr)),
			     j->last_load->vaddr + j->last_load->memsz, "PT_LOAD segments overlap or are not in order");
	j->last_load = p;
}

/* A segment whose pages a later one replaces has lost them, which it may or may not survive. */
static void check_overlap(struct job *j)
{
	const struct mw_elf *elf = j->elf;

	for (size_t i = 0; i < elf->n_ph && i < MAX_LOADS; i++) {
		const struct mw__phdr *a = &elf->ph[i];

		for (size_t k = i + 1; k < elf->n_ph && k < MAX_LOADS && a->type == PT_LOAD && a->filesz; k++) {
			const struct mw__phdr *b = &elf->ph[k];
			uint64_t from = mw__align_down(b->vaddr, j->page), to = mw__align_up(b->vaddr + b->filesz, j->page);

			if (b->type == PT_LOAD && b->filesz && from < a->vaddr + a->filesz && to > a->vaddr)
				note_verdict(j, MW__VERDICT_UNKNOWN, "a PT_LOAD segment replaces pages of one before it");
		}
	}
}

static void check_segments(struct job *j)
{
	for (size_t i = 0; i < j->elf->n_ph; i++)
		if (j->elf->ph[i].type == PT_INTERP)
			check_interp(j, &j->elf->ph[i]);
	for (size_t i = 0; i < j->elf->n_ph; i++)
		if (j->elf->ph[i].type == PT_LOAD)
			check_load(j, &j->elf->ph[i]);
	if (!j->last_load && j->elf->n_ph)
		fault(j, MW__KILLED, "p_type", 0, j->elf->eh.phoff, MW_UNKNOWN, "there is no PT_LOAD segment");
	if (j->missing)
		note_verdict(j, MW__VERDICT_UNKNOWN, "no page of a segment is in the file: it dies when it touches one");
	else if (j->last_load)
		check_entry(j);
}

/* ------------------------------------------------------------------ loader */

static bool is_loaded(const struct mw_elf *elf, uint64_t addr)
{
	for (size_t i = 0; i < elf->n_ph; i++)
		if (elf->ph[i].type == PT_LOAD && addr >= elf->ph[i].vaddr && addr - elf->ph[i].vaddr < elf->ph[i].memsz)
			return true;
	return false;
}

/* The pages [start, end) are mapped for one segment. */
static bool is_mapped(const struct job *j, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < j->elf->n_ph; i++) {
		const struct mw__phdr *p = &j->elf->ph[i];
		uint64_t to;

		if (p->type == PT_LOAD && !__builtin_add_overflow(p->vaddr, p->memsz, &to) &&
		    start >= mw__align_down(p->vaddr, j->page) && end <= mw__align_up(to, j->page))
			return true;
	}
	return false;
}

/* The loader protects whole pages: the first one in full, the last one only if it is reached in full. */
static void check_relro(struct job *j)
{
	for (size_t i = 0; i < j->elf->n_ph; i++) {
		const struct mw__phdr *p = &j->elf->ph[i];
		uint64_t start = mw__align_down(p->vaddr, j->page), end;

		if (p->type != PT_GNU_RELRO)
			continue;
		if (__builtin_add_overflow(p->vaddr, p->memsz, &end))
			end = UINT64_MAX;
		end = mw__align_down(end, j->page);
		if (start != end && !is_mapped(j, start, end))
			fault(j, MW__LOADER_REFUSES, "p_memsz of PT_GNU_RELRO", p->memsz, ph_off(j, p, MW__PH(memsz)), MW_UNKNOWN,
			      "PT_GNU_RELRO reaches outside the loaded segments");
	}
}

static void check_dynamic(struct job *j)
{
	static const struct { uint64_t tag; const char *name, *text; } needed[] = {
		{ DT_STRTAB, "DT_STRTAB", "DT_STRTAB points outside the loaded segments" },
		{ DT_SYMTAB, "DT_SYMTAB", "DT_SYMTAB points outside the loaded segments" },
		{ DT_RELA, "DT_RELA", "DT_RELA points outside the loaded segments" },
		{ DT_JMPREL, "DT_JMPREL", "DT_JMPREL points outside the loaded segments" },
	};
	struct mw__elf_dynamic *dyn = mw__elf_dynamic(j->elf);
	uint64_t v;

	for (size_t i = 0; dyn && !j->elf->from_memory && i < MW__COUNT(needed); i++)
		if (mw__dyn_get(dyn, needed[i].tag, &v) && v && !is_loaded(j->elf, v))
			fault(j, MW__LOADER_CRASHES, needed[i].name, v, dyn->off, MW_UNKNOWN, needed[i].text);
	for (size_t i = 0; dyn && i < dyn->n; i++)
		if (dyn->v[i].tag == DT_NEEDED && dyn->str.n && dyn->v[i].val >= dyn->str.n)
			fault(j, MW__LOADER_CRASHES, "DT_NEEDED", dyn->v[i].val, dyn->off + i * (j->elf->lay.is64 ? 16 : 8),
			      dyn->str.n, "DT_NEEDED points outside the string table");
}

static void loader_fault(void *ctx, enum mw__verdict verdict, const char *field, uint64_t value, uint64_t off, uint64_t bound,
			 const char *text)
{
	fault(ctx, verdict, field, value, off, bound, text);
}

/* ---------------------------------------------------------------- sections */

static void check_sections(struct job *j)
{
	const struct mw_elf *elf = j->elf;

	for (size_t i = 1; i < elf->n_sh; i++) {
		const struct mw__shdr *s = &elf->sh[i];
		uint64_t at = mw__elf_sh_off(elf, i);

		if (s->type != SHT_NOBITS && s->type != SHT_NULL && !mw__fits(s->off, s->size, elf->size))
			mw__elf_diag(j->elf, MW__ELF_BAD, "sh_size", s->size, mw__elf_field_off(elf, at, MW__SH(size)),
				     mw__sub0(elf->size, s->off), "section %zu (%.64s): %#llx bytes at %#llx are not all in the file",
				     i, mw__elf_section_name(elf, i), (unsigned long long)s->size, (unsigned long long)s->off);
		if (s->link >= elf->n_sh)
			mw__elf_diag(j->elf, MW__ELF_BAD, "sh_link", s->link, mw__elf_field_off(elf, at, MW__SH(link)),
				     elf->n_sh, "section %zu (%.64s): sh_link names section %llu of %zu", i,
				     mw__elf_section_name(elf, i), (unsigned long long)s->link, elf->n_sh);
		if (s->name >= elf->shstr.n && elf->shstr.n)
			mw__elf_diag(j->elf, MW__ELF_BAD, "sh_name", s->name, at, elf->shstr.n,
				     "section %zu: sh_name is outside the section name table", i);
		if (s->align & (s->align - 1))
			mw__elf_diag(j->elf, MW__ELF_BAD, "sh_addralign", s->align,
				     mw__elf_field_off(elf, at, MW__SH(align)), MW_UNKNOWN,
				     "section %zu (%.64s): sh_addralign is not a power of two", i,
				     mw__elf_section_name(elf, i));
	}
}

void mw__elf_check(struct mw_elf *elf, uint64_t page, struct mw__check *ret)
{
	struct job j = { .elf = elf, .c = ret, .page = page };

	memset(ret, 0, sizeof(*ret));
	ret->reason = "";
	check_header(&j);
	if (ret->verdict != MW__NOT_A_PROGRAM)
		check_segments(&j);
	check_relro(&j);
	check_dynamic(&j);
	mw__check_relocations(elf, loader_fault, &j);
	check_overlap(&j);
	if (ret->verdict == MW__RUNS && mw__is_library(elf))
		ret->verdict = MW__A_LIBRARY;
	check_sections(&j);
	mw__check_dlopen(elf, page, j.loader, j.loader_reason, ret);
	mw__elf_security(elf, &ret->sec);
}
