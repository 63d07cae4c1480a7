/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The separate debug file of a stripped one. */
#ifndef MW_ELF_DEBUGFILE_H
#define MW_ELF_DEBUGFILE_H

#include "file.h"

/*
 * The debug file that belongs to elf, or NULL; looked for once, closed with elf. It is found by build ID
 * below /usr/lib/debug, by .gnu_debuglink beside the file, or from a server if elf->ask_servers, in this order, and
 * believed only when its build ID or its checksum agrees.
 */
struct mw_elf *mw__elf_debug(struct mw_elf *elf);
/*
 * The same, or else the file that elf carries in .gnu_debugdata: it has the functions that .dynsym does not
 * have, and no DWARF. NULL when there is neither.
 */
struct mw_elf *mw__elf_debug_symbols(struct mw_elf *elf);

#endif
