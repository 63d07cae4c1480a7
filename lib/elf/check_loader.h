/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the dynamic loader will say to a file: its relocations, and whether dlopen() takes it. */
#ifndef MW_ELF_CHECK_LOADER_H
#define MW_ELF_CHECK_LOADER_H

#include "check.h"

/* A fault that decides: it becomes a finding. */
typedef void mw__fault_fn(void *ctx, enum mw__verdict verdict, const char *field, uint64_t value, uint64_t off, uint64_t bound,
			  const char *text);

void mw__check_relocations(struct mw_elf *elf, mw__fault_fn *fault, void *ctx);
/* A shared object without an entry of its own: exec would jump to nothing that is code. */
bool mw__is_library(struct mw_elf *elf);
/* Fills ret->dlopen and ret->dlopen_reason; loader: what the loader says to the file's contents, MW__RUNS if nothing. */
void mw__check_dlopen(struct mw_elf *elf, uint64_t page, enum mw__verdict loader, const char *reason, struct mw__check *ret);

#endif
