/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Contents of one section: inflated when compressed, relocated on request. */
#ifndef MW_ELF_CONTENTS_H
#define MW_ELF_CONTENTS_H

#include "file.h"

struct mw__contents {
	uint8_t *p;		/* malloc'ed */
	uint64_t size;
	uint64_t addr;		/* sh_addr */
	bool was_compressed;
	uint64_t relocated;	/* relocations applied */
	uint64_t not_relocated;	/* of kinds that are not known here */
};

/* Section by number or name; n_sh when there is none. */
size_t mw__elf_find_section(const struct mw_elf *elf, const char *which);
/* False, with a finding, when it cannot be had. */
bool mw__contents_read(struct mw_elf *elf, size_t section, bool inflate, bool relocate, struct mw__contents *ret);
/* Inflated and relocated as if section i of this relocatable object were at bases[i]. */
bool mw__contents_link(struct mw_elf *elf, size_t section, const uint64_t *bases, struct mw__contents *ret);
void mw__contents_deinit(struct mw__contents *c);

#endif
