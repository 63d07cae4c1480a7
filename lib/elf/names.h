/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Numbers to names, from const tables; NULL where a number has no name. Names are those
 * of the gABI and psABI documents.
 */
#ifndef MW_ELF_NAMES_H
#define MW_ELF_NAMES_H

#include <stdint.h>

#define MW__NAME_BUF 160

struct mw__machine {
	uint16_t number;
	char tag[18];	/* "EM_X86_64" */
	char text[18];	/* "x86-64" */
};

enum mw__dyn_kind { MW__DYN_ADDR, MW__DYN_SIZE, MW__DYN_COUNT, MW__DYN_STR, MW__DYN_NONE, MW__DYN_FLAGS,
		    MW__DYN_FLAGS_1, MW__DYN_PLTREL, MW__DYN_HEX };
struct mw__dyntag {
	uint16_t machine;	/* 0: any */
	uint32_t tag;
	char name[28];		/* without DT_ */
	enum mw__dyn_kind kind;
};

const struct mw__machine *mw__name_machine(uint64_t machine);
const struct mw__dyntag *mw__name_dyntag(uint64_t tag, uint64_t machine);
const char *mw__name_type(uint64_t e_type);		/* "DYN" */
const char *mw__name_osabi(uint64_t osabi);
const char *mw__name_segment(uint64_t type, uint64_t machine);	/* "LOAD" */
const char *mw__name_section(uint64_t type, uint64_t machine);	/* "PROGBITS" */
const char *mw__name_sym_type(unsigned type);
const char *mw__name_sym_bind(unsigned bind);
const char *mw__name_sym_vis(unsigned vis);
const char *mw__name_reloc(uint64_t type, uint64_t machine);

/* "r-x" and, for sections, one letter a flag as under readelf's table. buf: MW__NAME_BUF. */
const char *mw__name_segment_flags(uint64_t flags, char *buf);
const char *mw__name_section_flags(uint64_t flags, uint64_t machine, char *buf);
extern const char mw__section_flags_key[];
/* Words of e_flags, DT_FLAGS, DT_FLAGS_1; "" when none is known. buf: MW__NAME_BUF. */
const char *mw__name_e_flags(uint64_t flags, uint64_t machine, char *buf);
const char *mw__name_dt_flags(uint64_t flags, char *buf);
const char *mw__name_dt_flags_1(uint64_t flags, char *buf);

#endif
