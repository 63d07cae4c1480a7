/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside the DWARF child: the only one to include libdwarf, version 20210528, whose calls differ from older and
 * newer ones.
 *
 *   dwarf.c         units, addresses, what a unit owns, line tables
 *   dwarf_types.c   the layout of a type
 */
#ifndef MW_ELF_DWARF_CHILD_H
#define MW_ELF_DWARF_CHILD_H

#include "dwarf.h"

#include <dwarf.h>
#include <libdwarf/libdwarf.h>

#include "contents.h"

#define MW__DWARF_DEPTH 64	/* of DIEs, and of references to types */

struct mw__dwarf_child {
	const struct mw__dwarf_query *q;
	int fd;
	Dwarf_Debug dbg;
	Dwarf_Half version, addr_size;
	bool type_found;
	uint64_t unit;		/* DIE offset of the unit at hand */
	uint64_t n_sources;	/* that were sent */
	struct mw_elf *file;	/* the same file, for its .debug_line: see linefiles.c */
	struct mw__contents table;
	bool table_tried;
	struct buffer *out;
	char real[4096];	/* path of what libdwarf opened */
};

/* Records of a unit go out together. */
struct buffer {
	size_t n;
	char v[65536];
};

/* Write a record with up to five numbers (NULL: none) and three texts (NULL: empty). */
void mw__dwarf_send(const struct mw__dwarf_child *c, enum mw__dwarf_kind kind, const uint64_t n[5], const char *a,
		    const char *b, const char *d);

/* An attribute as text, or ""; libdwarf owns it. */
const char *mw__die_text(Dwarf_Die die, Dwarf_Half attr);
/* False when there is none, or it is no constant. */
bool mw__die_number(Dwarf_Die die, Dwarf_Half attr, uint64_t *ret);
/* The DIE that a reference leads to, which the caller deallocates, or NULL. */
Dwarf_Die mw__die_follow(const struct mw__dwarf_child *c, Dwarf_Die die, Dwarf_Half attr);
/* 0 when it cannot be read. */
Dwarf_Half mw__die_tag(Dwarf_Die die);
/* Until fn yields false. */
void mw__die_each_child(const struct mw__dwarf_child *c, Dwarf_Die die, bool (*fn)(void *ctx, Dwarf_Die child), void *ctx);

/* dwarf_types.c: for mw__die_each_child() with a struct mw__dwarf_child: sends the type that is asked for, if die is it. */
bool mw__dwarf_find_type(void *ctx, Dwarf_Die die);
/* The bytes of the type that die refers to; false when it does not tell. depth: 0. */
bool mw__dwarf_type_bytes(const struct mw__dwarf_child *c, Dwarf_Die die, uint64_t *ret, int depth);

#endif
