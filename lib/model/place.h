/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Places in a process as people name them:
 *   START-END, START+SIZE	hexadecimal addresses; SIZE may end in K, M or G
 *   ADDRESS			the mapping that holds it
 *   [heap], [stack], ...	a mapping named by the kernel
 *   OBJECT			an image or mapped file: path, base name, or base name without what follows .so
 *   .SECTION			a section of the program
 *   OBJECT:.SECTION		a section of that image
 */
#ifndef MW_MODEL_PLACE_H
#define MW_MODEL_PLACE_H

#include "snapshot.h"

struct mw__place_range {
	uint64_t start, end;	/* page aligned for mappings and objects, exact for sections */
	const char *label;	/* belongs to the snapshot, or to the text that was looked up */
};
struct mw__place {
	MW_VEC(struct mw__place_range) ranges;	/* by start, not overlapping */
	bool is_address;			/* START-END, START+SIZE or ADDRESS */
};

/* NULL or "": every mapping. Return: 0, -MW_E_NOT_FOUND, -MW_E_USAGE, -MW_E_NOMEM. */
MW_MUST_CHECK int mw__place_find(const struct mw_snapshot *snap, const char *text, struct mw__place *ret,
				 struct mw_err *err);
void mw__place_deinit(struct mw__place *place);

/* Does this name stand for the object at path? "libc", "libc.so.6" and the path itself all do. */
bool mw__place_names(const char *name, const char *path);

#endif
