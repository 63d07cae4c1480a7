/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Symbols of an ELF file by name and by address, for the few that are asked for: the table is walked once
 * and never sorted, so a file with a million symbols costs a walk.
 */
#ifndef MW_ELF_LOOKUP_H
#define MW_ELF_LOOKUP_H

#include "../base/arena.h"
#include "../model/recording.h"

/*
 * For each of n addresses (ascending, as in the file) the innermost symbol that holds it.
 * *ret: those symbols once each, ascending, in the arena, names demangled. *has: the file has a symbol table.
 * fd may be of a debug file. Return: 0, -MW_E_NOMEM.
 */
MW_MUST_CHECK int mw__lookup_addrs(int fd, const uint64_t *addrs, size_t n, struct mw__arena *arena,
				   const struct mw__fault_symbol **ret, uint32_t *n_ret, bool *has);
/* The address of a defined symbol of this name, or MW_UNKNOWN. */
uint64_t mw__lookup_name(int fd, const char *name);

#endif
