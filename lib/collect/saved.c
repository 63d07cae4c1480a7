/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A snapshot from a file: save/ reads, checks and freezes it. Symbols, relocations and source lines that are
 * asked for and were not saved come from the ELF files, where they are here: a build ID tells the same file
 * on any machine.
 */
#include "collect.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../elf/detail.h"
#include "../model/place.h"
#include "../save/save.h"

#include <string.h>

static bool is_wanted(const struct mw__image *img, const struct mw_collect_opts *o)
{
	if (img->role == MW__VDSO)
		return false;
	if (o->details_of)
		return mw__place_names(o->details_of, img->path);
	for (size_t i = 0; i < o->n_frames_at; i++)
		if (o->frames_at[i] >= img->start && o->frames_at[i] < img->end)
			return true;
	return !o->n_frames_at;
}

static void take_symbols(struct mw__detail *to, const struct mw__detail *from)
{
	to->symbols = from->symbols;
	to->n_symbols = from->n_symbols;
	to->symbols_from = from->symbols_from;
	to->symbols_read = from->symbols_read;
}

/* What was saved stays; the rest is of the file. */
static int complete_image(struct mw_snapshot *snap, struct mw__image *img, bool symbols, bool relocs)
{
	struct mw__detail *all = mw__arena_alloc(&snap->arena, sizeof(*all));
	const struct mw__detail *read = NULL;
	struct mw__detail_want want = { .path = img->path, .symbols = symbols, .relocs = relocs };
	struct mw__image now = {};
	MW_CLEANUP(mw__closep) int fd = mw__collect_open_image(snap, img, &now);

	if (fd < 0)
		return 0;
	if (!all || mw__detail_read(fd, &now, &want, &snap->arena, &read) < 0)
		return -MW_E_NOMEM;
	*all = relocs || !img->detail ? *read : *img->detail;
	if (symbols)
		take_symbols(all, read);
	else if (img->detail)
		take_symbols(all, img->detail);
	img->detail = all;
	return 1;
}

static int complete(struct mw_snapshot *snap, const struct mw_collect_opts *o)
{
	size_t missing = 0;

	for (size_t i = 0; i < snap->images.n; i++) {
		struct mw__image *img = &snap->images.v[i];
		bool symbols = o->symbols && !(img->detail && img->detail->symbols_read);
		bool relocs = o->relocs && !(img->detail && img->detail->relocs_known);
		int rc = (symbols || relocs) && is_wanted(img, o) ? complete_image(snap, img, symbols, relocs) : 1;

		if (rc < 0)
			return rc;
		missing += rc == 0;
	}
	if (missing)
		mw__note(snap, MW__INFO, "snapshot", o->symbols ? "memwhy record --symbols saves them" : "memwhy record saves them",
			 missing == 1 ? "it has no %s of %zu object, and its file is not here" :
			 "it has no %s of %zu objects, and their files are not here", o->symbols ? "symbols" : "relocations", missing);
	if ((o->frames_of || o->n_frames_at) && !snap->frames.n)
		mw__note(snap, MW__INFO, "snapshot", "memwhy record --frames saves them", "it has no page frames");
	return 0;
}

int mw_collect_saved(const char *path, const struct mw_collect_opts *opts, struct mw_snapshot **ret, struct mw_err *err)
{
	struct mw_collect_opts o = {};
	struct mw_snapshot *snap = NULL;

	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	int rc = mw__save_read_path(path, &snap, err);

	if (rc == 0 && complete(snap, &o) < 0)
		rc = mw__fail_nomem(err, path);
	if (rc == 0 && o.n_frames_at)
		rc = mw__collect_sources(snap, &o, err);
	if (rc == 0 && mw__collect_site_lines(snap, NULL, o.site_lines, o.max_sites) < 0)
		rc = mw__fail_nomem(err, path);
	if (rc < 0)
		mw_snapshot_destroy(snap);
	else
		*ret = snap;
	return rc;
}
