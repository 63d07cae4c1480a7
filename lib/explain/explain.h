/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pure functions on a snapshot.
 *
 *   join.c      mappings x claims x images -> extents: ranges with one owner each
 *   account.c   extents -> every byte of VSZ in one cause, sums by object
 *   findings.c  account -> what is worth a sentence, with its evidence
 */
#ifndef MW_EXPLAIN_EXPLAIN_H
#define MW_EXPLAIN_EXPLAIN_H

#include "../model/snapshot.h"

/*
 * Bytes of a range by state. resident_* are what RSS counts. The parts are disjoint and sum to the
 * size of the range; huge is a part of the resident ones and not a further one.
 */
struct mw__tally {
	uint64_t anon;		/* R1: resident, anonymous or a private copy */
	uint64_t lazy;		/* R1a: of these, marked by MADV_FREE; known with smaps only */
	uint64_t file;		/* R2, R3: resident, of the file or shared memory */
	uint64_t zero;		/* N4 */
	uint64_t guard;		/* N5 */
	uint64_t marker;	/* N6 */
	uint64_t swap;		/* N7 */
	uint64_t evicted;	/* N8 */
	uint64_t hugetlb;	/* N2 */
	uint64_t beyond_eof;	/* N10 */
	uint64_t cached;	/* N11, N14 */
	uint64_t uncached;	/* N12, N15 */
	uint64_t cache_unknown;	/* N13 */
	uint64_t absent;	/* the cause is the owner's: N1, N3, N9, N16 .. N21 */
	uint64_t uffd;		/* N22 */
	uint64_t unread;	/* N99: page states could not be read */
	uint64_t huge;		/* resident through huge page table entries */
};

/* A range with one owner; never larger than its VMA. */
struct mw__extent {
	uint64_t start, end;
	const struct mw__vma *vma;
	const struct mw__image *image;		/* whose file, .bss or gap it is, or NULL */
	const struct mw__segment *segment;	/* of image, or NULL */
	enum mw__owner owner;
	enum mw__certainty certainty;
	const char *rule;			/* how the owner is known */
	const char *detail;			/* or NULL */
	struct mw__tally tally;
};

/* Iterator over all extents of a snapshot, in address order, [vsyscall] left out. */
struct mw__extents {
	const struct mw_snapshot *snap;
	struct mw__claim *claims;		/* resolved: disjoint, by start */
	size_t n_claims, claim;
	const struct mw__image **images;	/* by start */
	size_t n_images;
	size_t vma;
	uint64_t at;				/* next address */
	uint32_t run;				/* next run of the current VMA */
	uint64_t zero_left, lazy_left, marker_left, huge_left;	/* of the current VMA, not yet placed */
};
MW_MUST_CHECK int mw__extents_init(struct mw__extents *it, const struct mw_snapshot *snap);
void mw__extents_deinit(struct mw__extents *it);
bool mw__extents_next(struct mw__extents *it, struct mw__extent *ret);
/* Go on with the first extent of this mapping, an index into snap->vmas. */
void mw__extents_seek(struct mw__extents *it, size_t vma);

/* Swap is in use, and nobody told how much of this shared memory lies there. */
bool mw__evicted_unknown(const struct mw_snapshot *snap, const struct mw__vma *vma);

/* Does any source tell which memory is mapped by huge pages? */
bool mw__huge_known(const struct mw_snapshot *snap);
uint64_t mw__tally_resident(const struct mw__tally *t);
/* Bytes of cause c in this extent; the causes of an extent sum to its size. */
uint64_t mw__extent_cause(const struct mw__extent *x, enum mw__cause c);
/* What the owner of these bytes is called in a waterfall: cause text, or the owner's. */
const char *mw__cause_text(enum mw__cause cause, enum mw__owner owner);

struct mw__line {
	enum mw__cause cause;
	enum mw__owner owner;
	uint64_t bytes, regions;
};

/* All ranges of one object: an image with its .bss and gaps, a mapped file, or one kind of anonymous memory. */
struct mw__object {
	const char *name;
	enum mw__owner owner;
	const struct mw__image *image;
	uint64_t regions, vsz, anon, file, shmem, huge, swap;
	uint64_t unread;	/* bytes whose page states could not be read: then the amounts above are unknown */
	bool swap_unknown;	/* of some of it nobody told how much is in swap */
	bool is_again;		/* another object is of the same file: its image, or one that was loaded before */
};

struct mw_account {
	MW_VEC(struct mw__line) lines;		/* largest first */
	MW_VEC(struct mw__object) objects;	/* by resident bytes, largest first; names belong to the snapshot */
	struct mw__tally total;
	uint64_t vsz, rss, swap;		/* sums of all extents */
	uint64_t shmem_rss;			/* of total.file, shared memory */
	uint64_t copied;			/* of total.anon, private copies of file pages */
	uint64_t reserved_proven;		/* of N9, bytes whose owner is proven */
	uint64_t zeros_unplaced;		/* of N4, bytes known in sum only: any anonymous range may hold them */
	uint64_t n_extents, n_vmas;
	uint64_t n_stacks;			/* thread stacks that own some of it */
	int64_t residual, rss_residual;		/* VmSize - vsz, VmRSS - rss; MW__NO_RESIDUAL when not known */
};
#define MW__NO_RESIDUAL INT64_MIN
/* Its absolute value, or MW_UNKNOWN. */
uint64_t mw__residual_size(int64_t residual);
/* RSS: the pages counted, or VmRSS where some could not be read. */
uint64_t mw__account_rss(const struct mw_snapshot *snap, const struct mw_account *account);

/* Something worth a sentence. */
struct mw__evidence {
	const char *key;
	bool is_bytes;		/* otherwise a count */
	uint64_t value;
};
#define MW__MAX_EVIDENCE 8
struct mw__finding {
	const char *id;
	const char *sentence;	/* "\001" stands for the next of sizes */
	const char *advice;	/* or NULL; takes the sizes that the sentence left */
	uint64_t sizes[MW__MAX_EVIDENCE];
	size_t n_sizes;
	struct mw__evidence evidence[MW__MAX_EVIDENCE];
	size_t n_evidence;
};
struct mw__findings {
	struct mw__arena arena;
	MW_VEC(struct mw__finding) list;
};
MW_MUST_CHECK int mw__findings_make(const struct mw_snapshot *snap, const struct mw_account *account,
				    struct mw__findings *ret);
void mw__findings_deinit(struct mw__findings *f);

/* In bytes; 0 where VmRSS is exact, or where it is not known how far it may be off. */
uint64_t mw__counter_lag(const struct mw_snapshot *snap);
/* Exact: the causes make VmSize and, but for that lag, VmRSS. */
enum mw_state mw__snapshot_state(const struct mw_snapshot *snap, const struct mw_account *account);

#endif
