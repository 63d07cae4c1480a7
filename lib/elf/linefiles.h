/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which rows of a DWARF 5 line table are of the file that is meant where none was named. */
#ifndef MW_ELF_LINEFILES_H
#define MW_ELF_LINEFILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The table at off in the n bytes of .debug_line: an array of *n_rows, by row, malloc'ed: true where no
 * opcode of its sequence has set the file yet. NULL when it is no table of version 5, or damaged.
 */
bool *mw__line_defaults(const uint8_t *p, uint64_t n, uint64_t off, bool big, size_t *n_rows);

#endif
