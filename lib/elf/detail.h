/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What sections and symbols of an image in memory need beyond its mappings: functions and variables, and
 * the pages that the dynamic linker writes. For the tables as such, see the static views.
 */
#ifndef MW_ELF_DETAIL_H
#define MW_ELF_DETAIL_H

#include "../base/vec.h"
#include "file.h"
#include "image.h"

#include <libelf.h>

struct mw__symbols {
	MW_VEC(struct mw__symbol) list;
	const char *from;
	bool any;		/* there are some, though perhaps not near what was asked for */
	uint64_t name_bytes, name_limit;	/* copied, and how much may be: a file can name its longest text often */
	const char *names;			/* a string table that was copied as a whole, */
	uint64_t names_off;			/* from there in the file */
	size_t n_names;
};

/* Add one; name is copied, once for equal ones. Beyond the limit symbols are left out. Return: 0, -MW_E_NOMEM. */
MW_MUST_CHECK int mw__symbols_add(struct mw__symbols *list, const struct mw__symbol *symbol, struct mw__arena *arena);

/* By address, the larger one first; of several names for the same bytes the one that people know. -MW_E_NOMEM. */
MW_MUST_CHECK int mw__symbols_sort(struct mw__symbols *list);

struct mw__detail_want {
	const char *path;	/* where the file lies: a debug link counts from there; may be NULL */
	bool symbols, relocs;
	bool binds_now;		/* the process asked for it (LD_BIND_NOW) */
	const uint64_t *addrs;	/* ascending, as in the file: of the symbols only those that hold one of these, and */
	size_t n_addrs;		/* the nearest below each; 0: all */
};

/*
 * Read the detail of the image in fd. Files are untrusted: a table that is damaged is left out, and
 * symbols_from or relocs_known say so. Return: 0, -MW_E_NOMEM.
 */
MW_MUST_CHECK int mw__detail_read(int fd, const struct mw__image *img, const struct mw__detail_want *want,
				  struct mw__arena *arena, const struct mw__detail **ret);

/* symtab.c: .symtab or .dynsym. 1 read, 0 there is none, -MW_E_NOMEM. */
MW_MUST_CHECK int mw__detail_symtab(struct mw_elf *elf, const struct mw__image *img, uint32_t type,
				    const struct mw__detail_want *want, struct mw__arena *arena, struct mw__symbols *ret);
/* plt.c: names for the stubs of .plt, by the relocations of the slots that they jump through. Return: 0, -MW_E_NOMEM. */
MW_MUST_CHECK int mw__detail_plt(struct mw_elf *elf, const struct mw__detail_want *want, struct mw__arena *arena,
				 struct mw__symbols *ret);
/* pclntab.c: Go's table of functions, which stripping leaves. Likewise. */
MW_MUST_CHECK int mw__detail_pclntab(Elf *elf, const struct mw__image *img, struct mw__arena *arena,
				     struct mw__symbols *ret);
/* Where an instruction comes from in the source, by the same table. Texts live as long as elf. */
struct mw__go_line {
	const char *file;
	const char *function;	/* "": one that was inlined, whose name the table alone does not tell */
	uint64_t line;
};
/* addr as in the file. 1 found, 0 not. */
int mw__detail_go_line(Elf *elf, const struct mw__image *img, uint64_t addr, struct mw__go_line *ret);
int mw__pclntab_line(const void *bytes, uint64_t n, uint64_t text, uint64_t addr, struct mw__go_line *ret);
/* Where a function begins, by the same table, as in the file; MW_UNKNOWN. */
uint64_t mw__detail_go_function(Elf *elf, const struct mw__image *img, const char *name);
/* The functions from the bytes of the table; text is where code starts if its header does not say. */
MW_MUST_CHECK int mw__pclntab_read(const void *bytes, uint64_t n, uint64_t text, struct mw__arena *arena,
				   struct mw__symbols *ret);
/* touched.c: pages that relocations write. Fills the members of ret that are about them; binds_now may be set before. */
MW_MUST_CHECK int mw__detail_touched(Elf *elf, uint64_t file_size, const struct mw__image *img, struct mw__arena *arena,
				     struct mw__detail *ret);

#endif
