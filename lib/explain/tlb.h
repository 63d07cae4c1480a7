/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Address translation.
 *
 *   tlb_decode.c    words of CPUID -> the TLBs of the processor
 *   tlb_models.c    the words that processors of known models give, for when they are hidden
 *   page_tables.c   page states -> the tables that they need, and what huge pages would change
 */
#ifndef MW_EXPLAIN_TLB_H
#define MW_EXPLAIN_TLB_H

#include "../model/cpu.h"
#include "explain.h"

enum mw__page_size { MW__4K = 1, MW__2M = 2, MW__4M = 4, MW__1G = 8 };
enum mw__tlb_kind { MW__TLB_DATA = 1, MW__TLB_CODE, MW__TLB_UNIFIED, MW__TLB_LOAD, MW__TLB_STORE, MW__TLB_KINDS };
extern const char *const mw__tlb_kinds[MW__TLB_KINDS];

#define MW__FULL UINT32_MAX	/* ways: fully associative */

struct mw__tlb {
	uint8_t level;
	uint8_t kind;		/* enum mw__tlb_kind */
	uint8_t pages;		/* enum mw__page_size, combined */
	uint32_t entries;
	uint32_t ways;		/* MW__FULL, or 0: not told */
	const char *source;	/* "CPUID 0x18", ... */
};
#define MW__MAX_TLBS 32
struct mw__tlbs {
	struct mw__tlb v[MW__MAX_TLBS];
	size_t n;
	char vendor[13], model_name[49];
	uint32_t family, model;
	bool has_hypervisor;
	const char *core_type;	/* of a hybrid processor: of which of its cores all this is; NULL: all cores are alike */
	bool is_documented;	/* not from the processor: from the words of its model */
	const char *document;	/* whose words were used, instead or to compare; or NULL */
	const char *remark;	/* what was wrong with the words, or NULL */
};

/* What processors of a model say. */
struct mw__tlb_model {
	const char *vendor;
	uint32_t family;
	uint8_t models[12];		/* 0 ends; a first 0: all of the family */
	const char *document;
	struct mw__cpuid leaves[9];
};
const struct mw__tlb_model *mw__tlb_model_find(const char *vendor, uint32_t family, uint32_t model);

/* Everything that the leaves tell. Never fails: what they do not tell is not there. */
void mw__tlbs_decode(const struct mw_cpu *cpu, struct mw__tlbs *ret);
uint32_t mw__tlb_sets(const struct mw__tlb *t);
/* The set that a page of this size (bytes) at addr falls into, if it is indexed plainly; MW_UNKNOWN: not known. */
uint64_t mw__tlb_set(const struct mw__tlb *t, uint64_t page_size, uint64_t addr);
/* Does it take pages of so many bytes? */
bool mw__tlb_takes(const struct mw__tlb *t, uint64_t page_size);
/* How much memory its entries map, with its smallest page size; and with 2 MiB pages, 0 when it does not take them. */
uint64_t mw__tlb_reach(const struct mw__tlb *t, enum mw__page_size size);

/*
 * Tables by level from below: 0 page tables (map 2 MiB each), 1 PMD (1 GiB), 2 PUD (512 GiB), 3 with four levels the
 * PGD, with five the P4D (256 TiB), 4 with five the PGD. VmPTE counts the first three.
 */
#define MW__LEVELS 5
#define MW__LEVELS_COUNTED 3
struct mw__mapping_tables {
	const struct mw__vma *vma;
	uint64_t tables[MW__LEVELS];	/* that it needs and no mapping before it does */
	uint64_t small, huge;		/* entries: pages of 4 KiB, of 2 MiB */
	uint64_t blocks;		/* whole aligned 2 MiB blocks of it, half full of small pages or more */
	uint64_t in_blocks;		/* small pages in these */
	uint64_t referenced;		/* bytes; MW_UNKNOWN */
};
struct mw__page_tables {
	bool is_known;			/* false: no page state is known; no mapping is listed, and sums are MW_UNKNOWN */
	MW_VEC(struct mw__mapping_tables) maps;
	uint64_t tables[MW__LEVELS];
	unsigned levels;		/* 4 or 5 */
	uint64_t least;			/* bytes, without the levels that VmPTE leaves out */
	uint64_t small, huge, referenced;
};
MW_MUST_CHECK int mw__page_tables_make(const struct mw_snapshot *snap, struct mw__page_tables *ret);
void mw__page_tables_deinit(struct mw__page_tables *t);

#endif
