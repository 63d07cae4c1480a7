/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names for return addresses: the symbols of the images they lie in, or where those were stripped, and names are
 * wanted for a report, of their debug files. The addresses are sorted once; then
 * every function symbol of an image finds the ones that it covers, so no index of symbols is needed. A
 * return address stands behind its call, which may be the last instruction of a function: the byte before
 * it is what is looked up.
 */
#include "collect.h"

#include "../base/cleanup.h"
#include "../base/search.h"
#include "../base/str.h"
#include "../elf/debugfile.h"
#include "../elf/file.h"
#include "../elf/symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_SITES 512u	/* those with most live bytes get names */

struct frames {
	MW_VEC(struct mw__own_frame *) list;	/* by address */
};

static void free_frames(struct frames *f)
{
	MW_VEC_FREE(&f->list);
}

static int compare(const void *a, const void *b)
{
	const struct mw__own_frame *x = *(struct mw__own_frame *const *)a, *y = *(struct mw__own_frame *const *)b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static int gather(struct mw__own *own, struct frames *f)
{
	for (size_t i = 0; i < own->sites.n && i < MAX_SITES; i++)
		for (uint32_t k = 0; k < own->sites.v[i].n_frames; k++) {
			struct mw__own_frame **slot = MW_VEC_PUSH(&f->list);

			if (!slot)
				return -MW_E_NOMEM;
			*slot = &own->sites.v[i].frames[k];
		}
	if (f->list.n)
		qsort(f->list.v, f->list.n, sizeof(*f->list.v), compare);
	return 0;
}

/* The first frame whose call lies at or behind addr. */
static size_t first_at(const struct frames *f, uint64_t addr)
{
	return MW_FIRST(i, f->list.n, f->list.v[i]->addr - 1 >= addr);
}

/* A function symbol names the frames inside it; a global name wins over a local one. */
static void name_frames(struct frames *f, struct mw_snapshot *snap, const struct mw__symtab *t, const struct mw__sym *s,
			uint64_t bias)
{
	uint64_t start = bias + s->value;
	const char *copy = NULL;

	for (size_t i = first_at(f, start); i < f->list.n && f->list.v[i]->addr - 1 - start < s->size; i++) {
		struct mw__own_frame *frame = f->list.v[i];

		if (frame->symbol && ELF64_ST_BIND(s->info) == STB_LOCAL)
			continue;
		if (!copy) {
			const char *name = mw__sym_name(t, s);

			copy = mw__arena_strn(&snap->arena, name, strcspn(name, "@"));	/* without its version */
		}
		frame->symbol = copy;
		frame->off = frame->addr - start;
	}
}

static void name_by_table(struct frames *f, struct mw_snapshot *snap, const struct mw__symtab *t, uint64_t bias)
{
	for (size_t i = 0; i < t->n; i++) {
		struct mw__sym s;

		mw__sym_at(t, i, &s);
		if (ELF64_ST_TYPE(s.info) == STT_FUNC && s.size && s.name && *s.name && s.shndx != SHN_UNDEF)
			name_frames(f, snap, t, &s, bias);
	}
}

static const struct mw__vma *mapping_of(const struct mw_snapshot *snap, uint32_t file)
{
	for (size_t i = 0; i < snap->vmas.n; i++)
		if (snap->vmas.v[i].file == file)
			return &snap->vmas.v[i];
	return NULL;
}

static bool open_symtab(struct mw_elf *elf, struct mw__symtab *t)
{
	size_t section = mw__elf_section_by_type(elf, SHT_SYMTAB, 0);

	return section < elf->n_sh && mw__symtab_open(elf, section, t);
}

static void name_in_image(struct mw__collector *c, struct frames *f, const struct mw__image *img)
{
	MW_CLEANUP(mw__elf_closep) struct mw_elf *elf = NULL;
	const struct mw__vma *vma = img->file == MW__NONE ? NULL : mapping_of(c->snap, img->file);
	struct mw__image now = {};
	int fd = !vma ? -1 : c->core ? mw__collect_open_image(c->snap, img, &now) : mw__files_open(&c->proc, c->snap, vma);
	struct mw__symtab t;
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) < 0 || st.st_size <= 0) {
		close(fd);
		return;
	}
	if (mw__elf_open_part(fd, 0, (uint64_t)st.st_size, img->path, &elf, NULL) < 0 || elf->kind != MW__ELF_FILE)
		return;
	bool found = open_symtab(elf, &t);

	if (!found && c->opts.max_sites && c->opts.site_lines != MW_NEVER) {
		struct mw_elf *debug = mw__elf_debug_symbols(elf);

		found = debug && open_symtab(debug, &t);
	}
	if (found || mw__symtab_open_dynsym(elf, &t))
		name_by_table(f, c->snap, &t, img->bias);
}

int mw__collect_stacks(struct mw__collector *c)
{
	MW_CLEANUP(free_frames) struct frames f = {};
	struct mw_snapshot *snap = c->snap;

	if (!snap->own)
		return 0;
	if (gather(snap->own, &f) < 0)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < snap->images.n; i++) {
		const struct mw__image *img = &snap->images.v[i];
		size_t k = first_at(&f, img->start), first = k;

		for (; k < f.list.n && f.list.v[k]->addr - 1 < img->end; k++)
			f.list.v[k]->image = mw__basename(img->path);
		if (k > first)
			name_in_image(c, &f, img);
	}
	return 0;
}
