/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pages that the dynamic linker (or the static start-up code) writes when it loads an image: each
 * relocation writes one word. PLT slots are written in lazy binding as well: the linker adds the load bias
 * to each (glibc, elf_machine_lazy_rel()). Beside relocations it keeps words of its own: the second and
 * third slot of .got.plt for lazy binding, and DT_DEBUG of the program.
 *
 * Tables are found through PT_DYNAMIC (gABI, "Dynamic Section"), or by allocated relocation sections in
 * a static program without one. RELR (gABI, "Relative Relocation Table") is decoded here: an even word is
 * an address to relocate, an odd one a bitmap of the words that follow.
 */
#include "detail.h"

#include "../base/count.h"
#include "../base/size.h"
#include "dynamic.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#ifndef DT_RELR
#define DT_RELRSZ 35
#define DT_RELR 36
#endif

#define PAGE UINT64_C(4096)
#define MAX_DYN 65536u

/* Relocation types by what they need; the rest needs the address of a symbol. */
static const struct machine {
	uint16_t machine;
	uint32_t relative, copy, ifunc;
} machines[] = {
	{ EM_X86_64, R_X86_64_RELATIVE, R_X86_64_COPY, R_X86_64_IRELATIVE },
	{ EM_386, R_386_RELATIVE, R_386_COPY, R_386_IRELATIVE },
	{ EM_AARCH64, R_AARCH64_RELATIVE, R_AARCH64_COPY, R_AARCH64_IRELATIVE },
	{ EM_ARM, R_ARM_RELATIVE, R_ARM_COPY, R_ARM_IRELATIVE },
	{ EM_PPC64, R_PPC64_RELATIVE, R_PPC64_COPY, R_PPC64_IRELATIVE },
	{ EM_S390, R_390_RELATIVE, R_390_COPY, R_390_IRELATIVE },
	{ EM_RISCV, R_RISCV_RELATIVE, R_RISCV_COPY, R_RISCV_IRELATIVE },
};

struct dynamic {
	uint64_t rela, relasz, rel, relsz, relr, relrsz, jmprel, pltrelsz, pltrel, pltgot, debug;
};

struct walk {
	Elf *elf;
	const struct mw__image *img;
	const struct machine *machine;	/* or NULL */
	struct mw__detail *ret;
	MW_VEC(struct mw__reloc_page) pages;
	uint64_t left;		/* bytes of sections not yet read: more than the file has only where they overlap */
	bool damaged;
};

/* size bytes of the file behind a virtual address, converted as type, or NULL. */
static Elf_Data *data_at(Elf *elf, const struct mw__image *img, uint64_t vaddr, uint64_t size, Elf_Type type)
{
	for (uint32_t i = 0; size && i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];
		uint64_t into = vaddr - s->vaddr;

		if (s->type != PT_LOAD || vaddr < s->vaddr || into >= s->filesz || s->filesz - into < size ||
		    s->off > INT64_MAX - into)
			continue;
		Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)(s->off + into), size, type);

		return data && data->d_buf ? data : NULL;
	}
	return NULL;
}

static int touch(struct walk *w, uint64_t addr, uint64_t relocs, uint64_t own)
{
	uint64_t page = mw__align_down(addr, PAGE);
	struct mw__reloc_page *p = w->pages.n ? &w->pages.v[w->pages.n - 1] : NULL;

	if (!p || p->addr != page) {
		p = MW_VEC_PUSH(&w->pages);
		if (!p)
			return -MW_E_NOMEM;
		p->addr = page;
	}
	p->relocs += relocs;
	p->own += own;
	return 0;
}

static void count_type(struct walk *w, uint64_t type, bool plt)
{
	struct mw__detail *d = w->ret;

	if (w->machine && type == w->machine->relative)
		d->n_relative++;
	else if (w->machine && type == w->machine->copy)
		d->n_copy++;
	else if (w->machine && type == w->machine->ifunc)
		d->n_ifunc++;
	else
		*(plt ? &d->n_plt : &d->n_symbolic) += 1;
}

/* Entries of a RELA or REL table; those in [skip, skip_end) are counted elsewhere. */
static int walk_entries(struct walk *w, Elf_Data *data, bool rela, uint64_t at, uint64_t skip, uint64_t skip_end, bool plt)
{
	size_t entry = rela ? gelf_fsize(w->elf, ELF_T_RELA, 1, EV_CURRENT) : gelf_fsize(w->elf, ELF_T_REL, 1, EV_CURRENT);
	size_t n = entry ? data->d_size / entry : 0;

	for (size_t i = 0; i < n && i <= INT32_MAX; i++) {
		GElf_Rela ra;
		GElf_Rel r;
		uint64_t place = at + i * entry;

		if (place >= skip && place < skip_end)
			continue;
		if (rela ? !gelf_getrela(data, (int)i, &ra) : !gelf_getrel(data, (int)i, &r))
			break;
		uint64_t info = rela ? ra.r_info : r.r_info;

		if (!GELF_R_TYPE(info))
			continue;	/* R_*_NONE */
		count_type(w, GELF_R_TYPE(info), plt);
		if (touch(w, rela ? ra.r_offset : r.r_offset, 1, 0) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

static int walk_table(struct walk *w, uint64_t addr, uint64_t size, bool rela, uint64_t skip, uint64_t skip_end, bool plt)
{
	if (!addr || !size)
		return 0;
	Elf_Data *data = data_at(w->elf, w->img, addr, size, rela ? ELF_T_RELA : ELF_T_REL);

	if (!data) {
		w->damaged = true;
		return 0;
	}
	return walk_entries(w, data, rela, addr, skip, skip_end, plt);
}

static int walk_relr(struct walk *w, uint64_t addr, uint64_t size)
{
	unsigned width = w->img->elf_class / 8;
	Elf_Data *data = addr && size ? data_at(w->elf, w->img, addr, size, width == 8 ? ELF_T_ADDR : ELF_T_WORD) : NULL;
	uint64_t where = 0;

	if (!data) {
		w->damaged |= addr && size;
		return 0;
	}
	for (size_t off = 0; off + width <= data->d_size; off += width) {
		uint64_t v = 0;

		memcpy(&v, (const char *)data->d_buf + off, width);
		if (!(v & 1)) {
			w->ret->n_relative++;
			if (touch(w, v, 1, 0) < 0)
				return -MW_E_NOMEM;
			where = v + width;
			continue;
		}
		for (unsigned bit = 0; bit < width * 8 - 1; bit++) {
			if (!(v >> (bit + 1) & 1))
				continue;
			w->ret->n_relative++;
			if (touch(w, where + bit * width, 1, 0) < 0)
				return -MW_E_NOMEM;
		}
		where += (width * 8 - 1) * width;
	}
	return 0;
}

static void take_entry(struct walk *w, const GElf_Dyn *d, uint64_t at, struct dynamic *dyn)
{
	switch (d->d_tag) {
	case DT_RELA: dyn->rela = d->d_un.d_ptr; break;
	case DT_RELASZ: dyn->relasz = d->d_un.d_val; break;
	case DT_REL: dyn->rel = d->d_un.d_ptr; break;
	case DT_RELSZ: dyn->relsz = d->d_un.d_val; break;
	case MW__DT_ANDROID_RELR:
	case DT_RELR: dyn->relr = d->d_un.d_ptr; break;
	case MW__DT_ANDROID_RELRSZ:
	case DT_RELRSZ: dyn->relrsz = d->d_un.d_val; break;
	case DT_JMPREL: dyn->jmprel = d->d_un.d_ptr; break;
	case DT_PLTRELSZ: dyn->pltrelsz = d->d_un.d_val; break;
	case DT_PLTREL: dyn->pltrel = d->d_un.d_val; break;
	case DT_PLTGOT: dyn->pltgot = d->d_un.d_ptr; break;
	case MW__DT_ANDROID_REL:
	case MW__DT_ANDROID_RELA: w->damaged = true; break;	/* packed in a way that is not read here */
	case DT_DEBUG: dyn->debug = at; break;
	case DT_BIND_NOW: w->ret->binds_now = true; break;
	case DT_FLAGS: w->ret->binds_now |= d->d_un.d_val & DF_BIND_NOW; break;
	case DT_FLAGS_1: w->ret->binds_now |= d->d_un.d_val & DF_1_NOW; break;
	default: break;
	}
}

/* False without PT_DYNAMIC. */
static bool read_dynamic(struct walk *w, struct dynamic *dyn)
{
	for (uint32_t i = 0; i < w->img->n_segments; i++) {
		const struct mw__segment *s = &w->img->segments[i];

		if (s->type != PT_DYNAMIC || s->off > INT64_MAX)
			continue;
		Elf_Data *data = elf_getdata_rawchunk(w->elf, (int64_t)s->off, s->filesz, ELF_T_DYN);
		size_t entry = gelf_fsize(w->elf, ELF_T_DYN, 1, EV_CURRENT);

		for (unsigned k = 0; data && data->d_buf && k < MAX_DYN; k++) {
			GElf_Dyn d;

			if (!gelf_getdyn(data, (int)k, &d) || d.d_tag == DT_NULL)
				break;
			take_entry(w, &d, s->vaddr + k * entry + entry / 2, dyn);
		}
		w->damaged |= !data;
		return true;
	}
	return false;
}

static int walk_dynamic(struct walk *w, const struct dynamic *d)
{
	uint64_t plt_end = d->jmprel + d->pltrelsz;
	unsigned width = w->img->elf_class / 8;
	int rc = walk_table(w, d->rela, d->relasz, true, d->jmprel, plt_end, false);

	if (rc == 0)
		rc = walk_table(w, d->rel, d->relsz, false, d->jmprel, plt_end, false);
	if (rc == 0)
		rc = walk_table(w, d->jmprel, d->pltrelsz, d->pltrel != DT_REL, 0, 0, true);
	if (rc == 0)
		rc = walk_relr(w, d->relr, d->relrsz);
	if (rc == 0 && d->jmprel && d->pltgot && !w->ret->binds_now)
		rc = touch(w, d->pltgot + width, 0, 2);
	if (rc == 0 && d->debug)
		rc = touch(w, d->debug, 0, 1);
	return rc;
}

/* A static program: its start-up code applies what stands in allocated relocation sections, which do not overlap. */
static int walk_sections(struct walk *w)
{
	for (Elf_Scn *scn = NULL; (scn = elf_nextscn(w->elf, scn));) {
		GElf_Shdr sh;
		Elf_Data *data;

		if (!gelf_getshdr(scn, &sh) || !(sh.sh_flags & SHF_ALLOC) || (sh.sh_type != SHT_RELA && sh.sh_type != SHT_REL))
			continue;
		if (sh.sh_size > w->left) {
			w->damaged = true;
			break;
		}
		w->left -= sh.sh_size;
		if (!(data = elf_getdata(scn, NULL)) || !data->d_buf)
			continue;
		if (walk_entries(w, data, sh.sh_type == SHT_RELA, sh.sh_addr, 0, 0, false) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

static int compare_pages(const void *a, const void *b)
{
	const struct mw__reloc_page *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static int keep_pages(struct walk *w, struct mw__arena *arena)
{
	size_t n = 0;

	if (w->pages.n)
		qsort(w->pages.v, w->pages.n, sizeof(*w->pages.v), compare_pages);
	struct mw__reloc_page *list = mw__arena_array(arena, w->pages.n, sizeof(*list));

	if (!list)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < w->pages.n; i++) {
		if (!n || list[n - 1].addr != w->pages.v[i].addr) {
			list[n++] = w->pages.v[i];
			continue;
		}
		list[n - 1].relocs += w->pages.v[i].relocs;
		list[n - 1].own += w->pages.v[i].own;
	}
	w->ret->reloc_pages = list;
	w->ret->n_reloc_pages = (uint32_t)n;
	return 0;
}

int mw__detail_touched(Elf *elf, uint64_t file_size, const struct mw__image *img, struct mw__arena *arena, struct mw__detail *ret)
{
	struct walk w = { .elf = elf, .img = img, .ret = ret, .left = file_size };
	struct dynamic dyn = {};

	for (size_t i = 0; i < MW__COUNT(machines); i++)
		if (machines[i].machine == img->machine)
			w.machine = &machines[i];
	int rc = read_dynamic(&w, &dyn) ? walk_dynamic(&w, &dyn) : walk_sections(&w);

	if (rc == 0)
		rc = keep_pages(&w, arena);
	ret->relocs_known = rc == 0 && !w.damaged;
	MW_VEC_FREE(&w.pages);
	return rc;
}
