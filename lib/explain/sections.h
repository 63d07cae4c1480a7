/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sections and symbols in memory. Each image is cut into pieces: disjoint ranges that cover all of its
 * addresses, each of one section (or of none: headers, padding, gaps) and, when symbols were read, of one
 * symbol (or of none). The pages of the image are clipped to the pieces, so a page that two sections share
 * counts in each with the bytes that are the section's, and once in the sum. Hence the masses of all
 * pieces of an image add up to what the account says of that object.
 */
#ifndef MW_EXPLAIN_SECTIONS_H
#define MW_EXPLAIN_SECTIONS_H

#include "stretch.h"

/* Why a page of a file was copied. */
enum mw__why {
	MW__BY_RELOC,	/* the dynamic linker writes there; the program may have written, too */
	MW__BY_CLEAR,	/* the rest of the page belongs to .bss and was cleared at start */
	MW__BY_WRITE,	/* neither: the program wrote */
	MW__N_WHY
};

/* Bytes by what they are; at[] are disjoint and sum to mapped. */
struct mw__mass {
	uint64_t mapped;
	uint64_t at[MW__N_AT];
	uint64_t why[MW__N_WHY];	/* sum to at[MW__AT_COPY] */
	uint64_t huge;
};

struct mw__piece {
	uint64_t start, end;
	uint32_t section;	/* index into image->sections, or MW__NONE */
	uint32_t symbol;	/* index into image->detail->symbols, or MW__NONE */
	uint32_t others;	/* symbols that lie inside this one, aliases among them */
	uint32_t mass;		/* for mw__piece_mass() */
};

struct mw__image_pieces {
	const struct mw__image *image;
	MW_VEC(struct mw__piece) pieces;	/* by start */
	MW_VEC(struct mw__mass) masses;	/* of those pieces that are not the same from end to end */
	struct mw__mass gaps;		/* inaccessible mappings between segments; in no piece */
	struct mw__mass sum;		/* pieces and gaps */
};

struct mw__pieces {
	MW_VEC(struct mw__image_pieces) images;	/* those with memory, largest resident first */
};

/* name NULL: of all images. Return: 0, -MW_E_NOMEM. */
MW_MUST_CHECK int mw__pieces_make(const struct mw_snapshot *snap, const char *name, bool symbols, struct mw__pieces *ret);
void mw__pieces_deinit(struct mw__pieces *pieces);

struct mw__mass mw__piece_mass(const struct mw__image_pieces *ip, const struct mw__piece *piece);
void mw__piece_add(const struct mw__image_pieces *ip, const struct mw__piece *piece, struct mw__mass *sum);
uint64_t mw__mass_resident(const struct mw__mass *m);
void mw__mass_add(struct mw__mass *sum, const struct mw__mass *m);

/* Does this section take part in memory by its own address? Thread-local .tbss does not. */
bool mw__section_is_mapped(const struct mw__section *s);
/* Why the page that holds addr (in memory) of this image differs from the file. */
enum mw__why mw__image_why(const struct mw__image *img, uint64_t addr);

#endif
