/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Source lines of a few addresses, by the DWARF of the image that each is in (or of its separate debug file), or else
 * by Go's .gopclntab, which stripping leaves. An image whose path leads to another file by now is left alone.
 */
#include "collect.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/search.h"
#include "../base/size.h"
#include "../elf/detail.h"
#include "../elf/dwarf.h"
#include "../elf/file.h"
#include "../elf/image.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Line tables are walked whole: more addresses are answered without. */
#define MAX_ADDRS 2048u

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

static int keep(struct mw_snapshot *snap, const struct mw__source_line *line)
{
	struct mw__source_line *s = MW_VEC_PUSH(&snap->sources);
	const char *function = mw__arena_str(&snap->arena, line->function), *file = mw__arena_str(&snap->arena, line->file);

	if (!s || !function || !file)
		return -MW_E_NOMEM;
	*s = *line;
	s->function = function;
	s->file = file;
	return 0;
}

static int keep_answer(struct mw_snapshot *snap, const struct mw__image *img, const struct mw__dwarf_answer *a)
{
	int rc = 0;

	for (size_t i = 0; i < a->v.n && rc == 0; i++) {
		const struct mw__dwarf_record *r = &a->v.v[i];

		if (r->kind == MW__DWARF_LINE)
			rc = keep(snap, &(struct mw__source_line){ img->bias + r->n[0], (uint32_t)r->n[2], r->n[1], r->text[0], r->text[1] });
	}
	return rc;
}

static void end_elf(Elf **elf)
{
	elf_end(*elf);
}

static int ask_go(struct mw_snapshot *snap, const struct mw__image *img, const struct mw__image *now, int fd,
		  const uint64_t *addrs, size_t n)
{
	elf_version(EV_CURRENT);
	MW_CLEANUP(end_elf) Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	int rc = 0;

	for (size_t i = 0; elf && i < n && rc == 0; i++) {
		struct mw__go_line l;

		if (mw__detail_go_line(elf, now, addrs[i], &l))
			rc = keep(snap, &(struct mw__source_line){ img->bias + addrs[i], 0, l.line, l.function, l.file });
	}
	return rc;
}

/* Where there is DWARF, it has the last word: it knows what was inlined. */
static int ask(struct mw_snapshot *snap, const struct mw__image *img, const uint64_t *addrs, size_t n)
{
	struct mw__dwarf_query q = { .path = img->path, .addrs = addrs, .n_addrs = n };
	MW_CLEANUP(mw__elf_closep) struct mw_elf *elf = NULL;
	struct mw__dwarf_answer answer;
	struct mw__image now = {};
	MW_CLEANUP(mw__closep) int fd = mw__collect_open_image(snap, img, &now);

	if (fd < 0 || mw__elf_open_named(img->path, &elf, NULL) < 0 || elf->kind != MW__ELF_FILE)
		return 0;
	if (!mw__dwarf_exists(elf))
		return ask_go(snap, img, &now, fd, addrs, n);
	if (n > MAX_ADDRS) {
		mw__note(snap, MW__INFO, "line tables", "fewer addresses",
			 "source lines of a file with DWARF are looked up for %u addresses at most: %s",
			 MAX_ADDRS, img->path);
		return 0;
	}
	int rc = mw__dwarf_ask(elf, &q, &answer, NULL);

	if (rc < 0)
		return rc == -MW_E_NOMEM ? rc : 0;
	if (answer.trouble[0])
		mw__note(snap, MW__INFO, "line tables", NULL, "source lines may be missing: %s: %s", img->path, answer.trouble);
	rc = keep_answer(snap, img, &answer);
	mw__dwarf_answer_deinit(&answer);
	return rc;
}

/* By address, the innermost of inlined functions first: so a report finds them. */
static int compare_lines(const void *a, const void *b)
{
	const struct mw__source_line *x = a, *y = b;

	return x->addr != y->addr ? (x->addr < y->addr ? -1 : 1) : x->depth < y->depth ? -1 : x->depth > y->depth;
}

/* Each once, ascending; how many there are. */
static size_t sort_once(uint64_t *addrs, size_t n)
{
	size_t kept = 0;

	qsort(addrs, n, sizeof(*addrs), mw__compare_u64);
	for (size_t i = 0; i < n; i++)
		if (!i || addrs[i] != addrs[i - 1])
			addrs[kept++] = addrs[i];
	return kept;
}

int mw__collect_sources(struct mw_snapshot *snap, const struct mw_collect_opts *o, struct mw_err *err)
{
	MW_CLEANUP(mw__freep) uint64_t *addrs = malloc((o->n_frames_at + 1) * sizeof(*addrs));

	if (!addrs)
		return mw__fail_nomem(err, "source lines");
	for (size_t i = 0; i < snap->images.n; i++) {
		const struct mw__image *img = &snap->images.v[i];
		size_t n = 0;

		for (size_t k = 0; k < o->n_frames_at; k++) {
			const struct mw__vma *v = mw__snapshot_vma_at(snap, o->frames_at[k]);

			if (v && v->prot & MW__X && v->file == img->file && o->frames_at[k] >= img->start && o->frames_at[k] < img->end)
				addrs[n++] = o->frames_at[k] - img->bias;
		}
		if (n && ask(snap, img, addrs, sort_once(addrs, n)) < 0)
			return mw__fail_nomem(err, "source lines");
	}
	if (snap->sources.n)
		qsort(snap->sources.v, snap->sources.n, sizeof(*snap->sources.v), compare_lines);
	return 0;
}
