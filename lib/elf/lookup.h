/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A symbol of an ELF file by its name: the table is walked once and never sorted. */
#ifndef MW_ELF_LOOKUP_H
#define MW_ELF_LOOKUP_H

#include "../base/arena.h"
#include "../model/snapshot.h"

/* The address of a defined symbol of this name, or MW_UNKNOWN. */
uint64_t mw__lookup_name(int fd, const char *name);
/* The same of what it exports: of .dynsym alone. */
uint64_t mw__lookup_exported(int fd, const char *name);
/* The name demangled, in the arena; NULL without memory. */
const char *mw__lookup_plain(const char *raw, struct mw__arena *arena);

#endif
