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

#include <string.h>
#include <sys/stat.h>

/* Line tables are walked whole: more addresses are answered without. */
#define MAX_ADDRS 64u

static bool is_same_file(const struct mw_snapshot *snap, const struct mw__image *img)
{
	struct stat st;

	return img->file != MW__NONE && *img->path == '/' && stat(img->path, &st) == 0 && S_ISREG(st.st_mode) &&
	       st.st_ino == snap->files.v[img->file].ino;
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

static int ask(struct mw__collector *c, const struct mw__image *img, const uint64_t *addrs, size_t n)
{
	struct mw__dwarf_query q = { .path = img->path, .addrs = addrs, .n_addrs = n };
	struct mw_elf elf = { .path = img->path, .fd = -1 };
	struct mw__dwarf_answer answer;
	int rc = mw__dwarf_ask(&elf, &q, &answer, NULL);

	if (rc < 0)
		return rc == -MW_E_NOMEM ? rc : 0;
	rc = keep(c->snap, img, &answer);
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

int mw__collect_sources(struct mw__collector *c, struct mw_err *err)
{
	const struct mw_collect_opts *o = &c->opts;
	uint64_t addrs[MAX_ADDRS];

	if (o->n_frames_at > MAX_ADDRS) {
		mw__note(c->snap, MW__INFO, "line tables", "fewer addresses", "source lines are looked up for %u addresses at most", MAX_ADDRS);
		return 0;
	}
	for (size_t i = 0; i < c->snap->images.n; i++) {
		const struct mw__image *img = &c->snap->images.v[i];
		size_t n = 0;

		for (size_t k = 0; k < o->n_frames_at; k++) {
			const struct mw__vma *v = mw__snapshot_vma_at(c->snap, o->frames_at[k]);
			uint64_t addr = o->frames_at[k] - img->bias;

			if (v && v->prot & MW__X && v->file == img->file && o->frames_at[k] >= img->start &&
			    o->frames_at[k] < img->end && !is_repeated(addrs, n, addr))
				addrs[n++] = addr;
		}
		if (n && is_same_file(c->snap, img) && ask(c, img, addrs, n) < 0)
			return mw__fail_nomem(err, "source lines");
	}
	return 0;
}
