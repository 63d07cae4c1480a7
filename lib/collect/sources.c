/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Source lines of a few addresses, by the DWARF of the image that each is in (or of its separate debug file).
 * An image whose path leads to another file by now is left alone.
 */
#include "collect.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../elf/dwarf.h"
#include "../elf/file.h"
#include "../elf/image.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Line tables are walked whole: more addresses are answered without. */
#define MAX_ADDRS 64u

int mw__collect_open_image(struct mw_snapshot *snap, const struct mw__image *img, struct mw__image *now)
{
	const struct mw__file *file = img->file != MW__NONE ? &snap->files.v[img->file] : NULL;
	struct stat st;

	if (!file || *img->path != '/')
		return -1;
	MW_CLEANUP(mw__closep) int fd = open(img->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || mw__image_read_fd(fd, &snap->arena, now, NULL) <= 0)
		return -1;
	bool same = img->build_id || now->build_id ? img->build_id && now->build_id && !strcmp(img->build_id, now->build_id) :
		    st.st_ino == file->ino && (uint64_t)st.st_size == file->size;
	int ret = same ? fd : -1;

	if (same)
		fd = -1;	/* the caller's */
	return ret;
}

static bool is_same_file(struct mw_snapshot *snap, const struct mw__image *img)
{
	struct mw__image now = {};
	MW_CLEANUP(mw__closep) int fd = mw__collect_open_image(snap, img, &now);

	return fd >= 0;
}

static int keep(struct mw_snapshot *snap, const struct mw__image *img, const struct mw__dwarf_answer *a)
{
	for (size_t i = 0; i < a->v.n; i++) {
		const struct mw__dwarf_record *r = &a->v.v[i];

		if (r->kind != MW__DWARF_LINE)
			continue;
		struct mw__source_line *s = MW_VEC_PUSH(&snap->sources);
		const char *function = mw__arena_str(&snap->arena, r->text[0]), *file = mw__arena_str(&snap->arena, r->text[1]);

		if (!s || !function || !file)
			return -MW_E_NOMEM;
		*s = (struct mw__source_line){ img->bias + r->n[0], (uint32_t)r->n[2], r->n[1], function, file };
	}
	return 0;
}

static void close_elf(struct mw_elf **elf)
{
	mw_elf_close(*elf);
}

static int ask(struct mw_snapshot *snap, const struct mw__image *img, const uint64_t *addrs, size_t n)
{
	struct mw__dwarf_query q = { .path = img->path, .addrs = addrs, .n_addrs = n };
	MW_CLEANUP(close_elf) struct mw_elf *elf = NULL;
	struct mw__dwarf_answer answer;

	if (mw__elf_open_named(img->path, &elf, NULL) < 0 || elf->kind != MW__ELF_FILE || !mw__dwarf_exists(elf))
		return 0;
	int rc = mw__dwarf_ask(elf, &q, &answer, NULL);

	if (rc < 0)
		return rc == -MW_E_NOMEM ? rc : 0;
	rc = keep(snap, img, &answer);
	mw__dwarf_answer_deinit(&answer);
	return rc;
}

/* An executable address twice in the list is asked for once. */
static bool is_repeated(const uint64_t *addrs, size_t n, uint64_t addr)
{
	for (size_t i = 0; i < n; i++)
		if (addrs[i] == addr)
			return true;
	return false;
}

int mw__collect_sources(struct mw_snapshot *snap, const struct mw_collect_opts *o, struct mw_err *err)
{
	uint64_t addrs[MAX_ADDRS];

	if (o->n_frames_at > MAX_ADDRS) {
		mw__note(snap, MW__INFO, "line tables", "fewer addresses", "source lines are looked up for %u addresses at most", MAX_ADDRS);
		return 0;
	}
	for (size_t i = 0; i < snap->images.n; i++) {
		const struct mw__image *img = &snap->images.v[i];
		size_t n = 0;

		for (size_t k = 0; k < o->n_frames_at; k++) {
			const struct mw__vma *v = mw__snapshot_vma_at(snap, o->frames_at[k]);
			uint64_t addr = o->frames_at[k] - img->bias;

			if (v && v->prot & MW__X && v->file == img->file && o->frames_at[k] >= img->start &&
			    o->frames_at[k] < img->end && !is_repeated(addrs, n, addr))
				addrs[n++] = addr;
		}
		if (n && is_same_file(snap, img) && ask(snap, img, addrs, n) < 0)
			return mw__fail_nomem(err, "source lines");
	}
	return 0;
}
