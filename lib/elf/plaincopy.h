/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A copy of a file in memory, for libraries that cannot read it as it is. */
#ifndef MW_ELF_PLAINCOPY_H
#define MW_ELF_PLAINCOPY_H

#include "file.h"

/* It has debug sections that are compressed by zstd, which libdwarf and libelf do not know. */
bool mw__elf_has_zstd_debug(const struct mw_elf *elf);
/* A descriptor of a copy in which those sections are inflated; the caller closes it. -1 without one. */
int mw__elf_plain_copy(struct mw_elf *elf);
/*
 * The same of a relocatable object, whose debug sections are relocated, too: each section is at address 0 or,
 * by_offset, at its offset in the file if it has bytes there. -1 also when there is a relocation that is not
 * known here.
 */
int mw__elf_linked_copy(struct mw_elf *elf, bool by_offset);

#endif
