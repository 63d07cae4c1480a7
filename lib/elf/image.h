/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The part of an ELF file that memory can be joined with: segments, allocated sections, build ID and
 * what tells the runtime. For the whole file, see the static views.
 */
#ifndef MW_ELF_IMAGE_H
#define MW_ELF_IMAGE_H

#include "../model/mem.h"
#include "../model/snapshot.h"

/*
 * Fill img from an open file. Files are untrusted: what is damaged is left out. The path and the place in
 * memory (bias, start, end) are the caller's to set.
 * Return: 1, 0 (not an ELF file), -MW_E_NOMEM, -MW_E_FORMAT (an ELF file, but without usable segments).
 */
MW_MUST_CHECK int mw__image_read_fd(int fd, struct mw__arena *arena, struct mw__image *img, struct mw_err *err);

/* The same from memory, where the file's first bytes are mapped at base, [base, end). */
MW_MUST_CHECK int mw__image_read_mem(const struct mw__mem *mem, uint64_t base, uint64_t end,
				     struct mw__arena *arena, struct mw__image *img, struct mw_err *err);

/* The version of Go that stands in the writable data of an image in memory, "go" if it cannot be read; NULL: none. */
const char *mw__image_go_mem(const struct mw__mem *mem, const struct mw__image *img, struct mw__arena *arena);

/*
 * The load bias of an image of which [start, end) is mapped from file offset off, for segment seg.
 * True when the mapping can be (part of) the segment (gABI chapter 5, with the kernel's page rounding).
 */
bool mw__image_bias(const struct mw__segment *seg, uint64_t start, uint64_t end, uint64_t off, uint64_t *bias);

/* First and last address of the PT_LOAD segments, page rounded, without bias. False without any. */
bool mw__image_span(const struct mw__image *img, uint64_t *start, uint64_t *end);

#endif
