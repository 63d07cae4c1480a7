/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Symbol versions: what the file defines and needs, and the name of each version number. */
#ifndef MW_ELF_VERSIONS_H
#define MW_ELF_VERSIONS_H

#include "file.h"

struct mw__verdef {
	uint64_t off;		/* in the table */
	uint16_t flags, ndx, cnt;
	uint32_t hash;
	const char *name;	/* NULL: wild */
	uint32_t parents;	/* first of its parents in mw__elf_versions.parents, cnt - 1 of them */
	uint32_t n_parents;
};
struct mw__verneed {
	uint64_t off;
	const char *file, *name;
	uint16_t flags, ndx;
	uint32_t hash;
	bool is_first;		/* of its file */
	uint16_t cnt;		/* of the file */
};

struct mw__elf_versions {
	MW_VEC(struct mw__verdef) defs;
	MW_VEC(const char *) parents;
	MW_VEC(struct mw__verneed) needs;
	const char **names;	/* by version number, NULL where none */
	bool *is_def;
	size_t n_names;
	const char *def_source, *need_source;	/* section or "DT_VERDEF", or NULL */
};

/* Never NULL unless memory ran out; empty when the file has no versions. */
struct mw__elf_versions *mw__elf_versions(struct mw_elf *elf);
void mw__elf_versions_free(struct mw__elf_versions *v);
/* Name of version number ndx (without the hidden bit), or NULL. */
static inline const char *mw__version_name(const struct mw__elf_versions *v, uint16_t ndx)
{
	return v && ndx < v->n_names ? v->names[ndx] : NULL;
}

#endif
