/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Source lines of the stacks that an allocator recorded, with the functions that were inlined there: one
 * question for each image to the DWARF child, for all addresses in it at once. An image whose path leads to
 * another file by now is asked for where its process still has it.
 */
#include "collect.h"

#include "../base/cleanup.h"
#include "../base/size.h"
#include "../elf/dwarf.h"
#include "../elf/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_ADDRS 2048u				/* of an image */
#define MAX_AUTO (UINT64_C(64) << 20)	/* bytes of a file whose lines are read without being asked */

struct image_frames {
	MW_VEC(struct mw__own_frame *) list;
	MW_VEC(uint64_t) addrs;
};

static void free_image_frames(struct image_frames *f)
{
	MW_VEC_FREE(&f->list);
	MW_VEC_FREE(&f->addrs);
}

static int compare(const void *a, const void *b)
{
	const struct mw__own_frame *x = *(struct mw__own_frame *const *)a, *y = *(struct mw__own_frame *const *)b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* The frames in an image, by address, and the addresses of their calls in the file, each once. */
static int gather(struct mw__own *own, const struct mw__image *img, size_t max_sites, struct image_frames *f)
{
	f->list.n = f->addrs.n = 0;
	for (size_t i = 0; i < own->sites.n && i < max_sites && f->list.n < MAX_ADDRS; i++)
		for (uint32_t k = 0; k < own->sites.v[i].n_frames; k++) {
			struct mw__own_frame *frame = &own->sites.v[i].frames[k];
			bool inside = frame->addr > img->start && frame->addr - 1 < img->end && !frame->n_lines;
			struct mw__own_frame **slot = inside ? MW_VEC_PUSH(&f->list) : NULL;

			if (inside && !slot)
				return -MW_E_NOMEM;
			if (slot)
				*slot = frame;
		}
	if (f->list.n)
		qsort(f->list.v, f->list.n, sizeof(*f->list.v), compare);
	for (size_t i = 0; i < f->list.n; i++) {
		uint64_t *addr = !i || f->list.v[i]->addr != f->list.v[i - 1]->addr ? MW_VEC_PUSH(&f->addrs) : NULL;

		if (addr)
			*addr = f->list.v[i]->addr - 1 - img->bias;
		else if (!i || f->list.v[i]->addr != f->list.v[i - 1]->addr)
			return -MW_E_NOMEM;
	}
	return 0;
}

/* The lines of one address, which follow each other in the answer, innermost first. */
static int keep(struct mw_snapshot *snap, struct image_frames *f, const struct mw__image *img,
		const struct mw__dwarf_record *r, size_t n)
{
	struct mw__own_line *lines = mw__arena_alloc(&snap->arena, n * sizeof(*lines));

	if (!lines)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		lines[i] = (struct mw__own_line){ mw__arena_str(&snap->arena, r[i].text[0]), mw__arena_str(&snap->arena, r[i].text[1]),
						  r[i].n[1] };
		if (!lines[i].function || !lines[i].file)
			return -MW_E_NOMEM;
	}
	for (size_t i = 0; i < f->list.n; i++)
		if (f->list.v[i]->addr - 1 - img->bias == r->n[0] && !f->list.v[i]->n_lines) {
			f->list.v[i]->lines = lines;
			f->list.v[i]->n_lines = (uint32_t)n;
		}
	return 0;
}

/* The elf's is the descriptor from here on. */
static int ask(struct mw_snapshot *snap, struct image_frames *f, const struct mw__image *img, int fd, uint64_t size, const char *path)
{
	struct mw__dwarf_query q = { .path = path, .addrs = f->addrs.v, .n_addrs = f->addrs.n };
	MW_CLEANUP(mw__elf_closep) struct mw_elf *elf = NULL;
	struct mw__dwarf_answer a;

	if (mw__elf_open_part(fd, 0, size, path, &elf, NULL) < 0 || elf->kind != MW__ELF_FILE || !mw__dwarf_exists(elf))
		return 0;
	int rc = mw__dwarf_ask(elf, &q, &a, NULL);

	if (rc < 0)
		return rc == -MW_E_NOMEM ? rc : 0;
	for (size_t i = 0, k; rc == 0 && i < a.v.n; i = k) {
		const struct mw__dwarf_record *r = &a.v.v[i];

		for (k = i + 1; k < a.v.n && a.v.v[k].kind == MW__DWARF_LINE && r->kind == MW__DWARF_LINE && a.v.v[k].n[2] &&
				a.v.v[k].n[0] == r->n[0]; k++)
			;
		if (r->kind == MW__DWARF_LINE && r->n[2] == 0)
			rc = keep(snap, f, img, r, k - i);
	}
	mw__dwarf_answer_deinit(&a);
	return rc;
}

/* The image's file, and a path to it: its own, or else that of the descriptor. */
static int open_file(struct mw_snapshot *snap, const struct mw__proc *proc, const struct mw__image *img, char path[4096])
{
	struct mw__image now = {};
	int fd = mw__collect_open_image(snap, img, &now);

	snprintf(path, 4096, "%s", img->path);
	for (size_t i = 0; fd < 0 && proc && img->file != MW__NONE && i < snap->vmas.n; i++) {
		if (snap->vmas.v[i].file != img->file)
			continue;
		fd = mw__files_open(proc, snap, &snap->vmas.v[i]);
		snprintf(path, 4096, "/proc/self/fd/%d", fd);
		break;
	}
	return fd;
}

int mw__collect_site_lines(struct mw_snapshot *snap, const struct mw__proc *proc, enum mw_when when, size_t max_sites)
{
	MW_CLEANUP(free_image_frames) struct image_frames f = {};

	if (!snap->own || when == MW_NEVER)
		return 0;
	for (size_t i = 0; i < snap->images.n; i++) {
		const struct mw__image *img = &snap->images.v[i];
		char path[4096];

		if (gather(snap->own, img, max_sites, &f) < 0)
			return -MW_E_NOMEM;
		if (!f.list.n)
			continue;
		int fd = open_file(snap, proc, img, path);
		struct stat st = {};
		bool large = fd >= 0 && fstat(fd, &st) == 0 && when == MW_AUTO && (uint64_t)st.st_size > MAX_AUTO;

		if (large || st.st_size <= 0)
			mw__closep(&fd);
		if (large)
			mw__note(snap, MW__INFO, "line tables", "--lines=always reads them", "%s is large: its source lines were not "
				 "looked up", img->path);
		else if (st.st_size > 0 && ask(snap, &f, img, fd, (uint64_t)st.st_size, path) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}
