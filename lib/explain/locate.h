/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is at an address: the extents and page states of the process in order, made once, and searches in
 * them; symbols and sections of images; and the walk through the page tables.
 */
#ifndef MW_EXPLAIN_LOCATE_H
#define MW_EXPLAIN_LOCATE_H

#include "stretch.h"

struct mw__atlas {
	const struct mw_snapshot *snap;
	MW_VEC(struct mw__extent) extents;
	MW_VEC(struct mw__stretch) stretches;
};
/* Return: 0, -MW_E_NOMEM. */
MW_MUST_CHECK int mw__atlas_init(struct mw__atlas *atlas, const struct mw_snapshot *snap);
void mw__atlas_deinit(struct mw__atlas *atlas);
/* What holds addr, or NULL: no mapping does. */
const struct mw__extent *mw__atlas_extent(const struct mw__atlas *atlas, uint64_t addr);
const struct mw__stretch *mw__atlas_stretch(const struct mw__atlas *atlas, uint64_t addr);

/* The section of the image that holds addr (in memory), or NULL. */
const struct mw__section *mw__image_section_at(const struct mw__image *img, uint64_t addr);
/*
 * The symbol that addr (in memory) is in: the nearest below whose size reaches it; else, where a label
 * without size stands nearer than anything with one, that. NULL: none.
 */
const struct mw__symbol *mw__image_symbol_at(const struct mw__image *img, uint64_t addr);

/* One step of the translation of a virtual address. */
struct mw__level {
	const char *name;	/* "PGD", "P4D", "PUD", "PMD", "PTE" */
	unsigned shift;		/* lowest bit of the index */
	unsigned index;
	bool in_use;		/* pages near addr prove that this table exists */
};
struct mw__translation {
	struct mw__level levels[5];
	unsigned n;		/* 0: not known for this machine */
	uint64_t page_size;	/* of the page that the last level maps */
	uint64_t offset;	/* in it */
	uint64_t physical;	/* or MW_UNKNOWN */
};
void mw__translate(const struct mw__atlas *atlas, uint64_t addr, struct mw__translation *ret);

#endif
