/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records of .eh_frame and .debug_frame: which code the unwinder knows. */
#ifndef MW_ELF_UNWIND_H
#define MW_ELF_UNWIND_H

#include "file.h"

struct mw__frames {
	struct mw_elf *elf;
	const char *name;	/* section, or "PT_GNU_EH_FRAME" */
	const uint8_t *p;
	uint64_t size, off, addr;
	uint64_t at;
	bool is_eh;
	/* of the CIE that was looked at last: */
	uint64_t cie_at;
	uint8_t encoding;
	char augmentation[16];
	uint64_t code_align, return_reg;
	int64_t data_align;
	uint64_t cie_insns;	/* where its instructions start */
};

struct mw__frame_record {
	uint64_t off;		/* in the section */
	uint64_t length;
	bool is_cie;
	uint64_t cie;		/* offset of its CIE */
	uint64_t start, end;	/* code; MW_UNKNOWN where it cannot be told */
	uint64_t insns, insns_end;	/* its instructions, in the section; see cfi.h */
};

/* Table i: 1 opened, 0 unreadable, -1 no more. */
int mw__frames_open(struct mw_elf *elf, size_t i, struct mw__frames *ret);
/* False at the end, also after damage, which is a finding. */
bool mw__frames_next(struct mw__frames *t, struct mw__frame_record *ret);
/* A LEB128 number at *at, which moves behind it. */
uint64_t mw__frames_leb(const struct mw__frames *t, uint64_t *at, uint64_t end, bool is_signed);
/* A pointer in the encoding of the CIE; 0 when it does not fit. */
uint64_t mw__frames_pointer(const struct mw__frames *t, uint64_t *at, uint64_t end);

#endif
