/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What every row about sections and symbols says of its bytes: the columns once, for text and for JSON.
 * MW__MASS_COLS(flags, flags of those about resident bytes, flags of that about cached ones) lists them; a row's
 * pieces from column `first` on are filled by mw__mass_row().
 */
#ifndef MW_REPORT_MASS_H
#define MW_REPORT_MASS_H

#include "../explain/sections.h"
#include "doc.h"

/* R: hides what is about RSS. C: 0, or the flags of columns that give way to long names; then FILE, which is nearly all of RSS, is hidden. */
#define MW__MASS_COLS(F, R, C)												\
	{ "mapped", "MAPPED", MW__T_BYTES, (F) | MW__COL_HIDDEN, "bytes that are mapped" },				\
	{ "resident", "RSS", MW__T_BYTES, (F) | (R), "resident" },							\
	{ "file", "FILE", MW__T_BYTES, (F) | (R) | MW__COL_OPTIONAL | MW__COL_SPARE | ((C) ? MW__COL_HIDDEN : 0),	\
	  "resident, pages of the file" },										\
	{ "anonymous", "ANON", MW__T_BYTES, (F) | MW__COL_HIDDEN, "resident, anonymous or copied on write" },		\
	{ "copied", "COPIED", MW__T_BYTES, (F) | MW__COL_HIDDEN, "resident, private copies of file pages" },		\
	{ "relocation", "RELOC", MW__T_BYTES, (F) | (R) | (C), "of the copies, in pages that the dynamic linker writes" },	\
	{ "cleared", "CLEARED", MW__T_BYTES, (F) | MW__COL_HIDDEN,							\
	  "of the copies, in the page that was cleared for the start of .bss" },					\
	{ "written", "WRITTEN", MW__T_BYTES, (F) | (R) | (C), "of the copies, in pages that only the program writes" },	\
	{ "new", "NEW", MW__T_BYTES, (F) | (R) | ((C) && !(R) ? MW__COL_HIDDEN : MW__COL_OPTIONAL | MW__COL_SPARE),	\
	  "resident, anonymous from the start (.bss)" },								\
	{ "shmem", "SHMEM", MW__T_BYTES, (F) | MW__COL_HIDDEN, "resident, shared memory" },				\
	{ "huge", "HUGE", MW__T_BYTES, (F) | MW__COL_HIDDEN, "resident through huge page table entries" },		\
	{ "zero", "ZERO", MW__T_BYTES, (F) | MW__COL_HIDDEN, "only read: the shared zero page" },			\
	{ "swap", "SWAP", MW__T_BYTES, (F) | MW__COL_HIDDEN, "swapped out" },						\
	{ "cached", "CACHED", MW__T_BYTES, (F) | ((C) && !(R) ? MW__COL_HIDDEN : (C)),					\
	  "not mapped here, but in the page cache" },									\
	{ "uncached", "UNREAD", MW__T_BYTES, (F) | MW__COL_OPTIONAL | MW__COL_SPARE,					\
	  "not in the page cache: touching it would read the file" },							\
	{ "absent", "ABSENT", MW__T_BYTES, (F) | MW__COL_HIDDEN, "no page, and none in a file" }
#define MW__N_MASS_COLS 16

/* img: whose relocations tell why; NULL: the reasons are known. */
void mw__mass_row(struct mw__doc_node *table, struct mw__doc_row *row, size_t first, const struct mw__mass *m,
		  const struct mw__image *img);
/* The same as members of an object. */
void mw__mass_members(struct mw__doc_node *object, const struct mw__mass *m, const struct mw__image *img);

/* A mangled name as people write it; "" on loss of memory. buf grows. */
struct mw__str;
const char *mw__demangle(const char *name, struct mw__str *buf);

#endif
