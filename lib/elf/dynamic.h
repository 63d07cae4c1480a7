/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The dynamic table, from its section or from PT_DYNAMIC, and what it leads to. With the
 * section headers gone it is the only road to symbols, relocations and versions.
 */
#ifndef MW_ELF_DYNAMIC_H
#define MW_ELF_DYNAMIC_H

#include "file.h"

struct mw__dyn {
	uint64_t tag, val;
};

struct mw__elf_dynamic {
	struct mw__dyn *v;		/* up to and including DT_NULL */
	size_t n;
	uint64_t off;			/* of the table in the file */
	const char *source;		/* ".dynamic" or "PT_DYNAMIC" */
	struct mw__strtab str;
};

/* NULL when the file has none, or none that can be read. */
struct mw__elf_dynamic *mw__elf_dynamic(struct mw_elf *elf);
/* First entry with this tag. */
bool mw__dyn_get(const struct mw__elf_dynamic *dyn, uint64_t tag, uint64_t *ret);
/*
 * What a tag that holds an address points to, as a file offset with the bytes left in its
 * segment. In a live image the loader may have relocated it; both forms are accepted.
 */
bool mw__dyn_off(struct mw_elf *elf, uint64_t tag, uint64_t *off, uint64_t *left);
/*
 * Relocations in the forms of Android's dynamic linker (bionic, linker/linker.cpp): tables packed as "APS2", and RELR under
 * numbers of its own from before it had one in the gABI. No other loader knows them.
 */
#define MW__DT_ANDROID_REL UINT64_C(0x6000000f)
#define MW__DT_ANDROID_RELA UINT64_C(0x60000011)
#define MW__DT_ANDROID_RELR UINT64_C(0x6fffe000)
#define MW__DT_ANDROID_RELRSZ UINT64_C(0x6fffe001)
#define MW__SHT_ANDROID_RELR 0x6fffff00u

/* Number of dynamic symbols by DT_HASH or DT_GNU_HASH, else by the distance to the string table. */
uint64_t mw__dyn_sym_count(struct mw_elf *elf, const char **how);
/* Bytes of an entry of SHT_HASH: 8 on Alpha and 64-bit S/390, else 4. */
unsigned mw__hash_word(const struct mw_elf *elf);

#endif
