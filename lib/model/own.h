/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is inside a heap of our own allocator, as its books told it from outside: facts only, in the
 * allocator's words (lib/alloc/README.md), without its structures. A walker fills it (heap/own.c), views
 * read it. A page here is the allocator's.
 *
 * Invariants: spans and frees are sorted by address, disjoint, and lie in arenas, but for huge and kept
 * mappings, which come last among the spans. live = out - cached - transfer + sampled for each class.
 */
#ifndef MW_MODEL_OWN_H
#define MW_MODEL_OWN_H

#include "../base/vec.h"
#include "../memwhy.h"

#include <stdbool.h>
#include <stdint.h>

#define MW__OWN_CLASSES 68
#define MW__OWN_FRAMES 16
#define MW__OWN_ERRORS 8
#define MW__OWN_TENTHS 11	/* occupancy of a span: empty tenths, the last one is full */

/* What a span is used for; single blocks have one object. */
enum mw__own_use {
	MW__OWN_SMALL,		/* objects of a class */
	MW__OWN_LARGE,		/* one block inside an arena */
	MW__OWN_HUGE,		/* one block with a mapping of its own */
	MW__OWN_SAMPLED,	/* one small block that the sampler took */
	MW__OWN_CACHED,		/* a freed run that a thread keeps */
	MW__OWN_KEPT,		/* a freed mapping or guarded block that is kept for a while */
	MW__OWN_PRIVATE,	/* objects of a class in a private heap; its blocks are LARGE and HUGE ones */
	MW__OWN_USES
};

/* Why a page of an arena is free. */
enum mw__own_free { MW__OWN_DIRTY, MW__OWN_GIVEN_BACK, MW__OWN_FRESH, MW__OWN_FREES };

struct mw__own_class {
	uint32_t size, pages, n_objects, batch;	/* of an object, a span, its objects; objects moved at once */
	bool is_served;
	uint64_t n_spans;
	uint64_t out;			/* objects out of spans */
	uint64_t cached, transfer;	/* of them, in thread caches, and on their way between threads */
	uint64_t sampled;		/* live blocks of this class with a span of their own */
	uint64_t live;			/* what the program holds */
	uint64_t n_malloc;		/* ever */
	uint64_t fetched, flushed;	/* objects that moved between thread caches and spans */
	uint64_t n_fetches, n_flushes;	/* in so many calls */
	uint64_t n_transfers;		/* fetches that other threads' flushes served, without a span */
	uint64_t n_made, n_freed, n_spans_peak;	/* spans, ever; and the most at once */
	uint64_t n_waits;		/* times that a thread waited for its lock */
	uint64_t requested;		/* bytes asked for by the live ones; exact in audit mode, else by the mean request */
	uint64_t requested_min, requested_max;	/* what it cannot be below or above */
};

struct mw__own_span {
	uint64_t base;
	uint64_t requested;	/* single blocks; private ones: by the mean request of its class there */
	uint64_t usable;	/* single blocks: bytes that the program may write */
	uint32_t npages;
	uint32_t site;		/* sampled: index into sites plus 1 */
	uint32_t heap;		/* id of its private heap; 0: that of malloc */
	bool is_noscan;		/* private: its objects hold no pointers */
	bool is_tiny;		/* private: blocks of tiny objects; requested is exact */
	uint16_t nelems, used;
	uint8_t use;		/* enum mw__own_use */
	uint8_t cls;
};

struct mw__own_run {
	uint64_t base;
	uint32_t npages;
	uint8_t why;		/* enum mw__own_free */
};

struct mw__own_arena {
	uint64_t base;
	uint64_t pages_mapped, pages_used, pages_free[MW__OWN_FREES];
	uint64_t pages_odd;	/* neither free nor of a span: they were changing hands */
};

struct mw__own_thread {
	int32_t tid;
	bool is_orphan;		/* its thread stayed in the parent of a fork */
	uint64_t n_cached, cached;		/* free objects and their bytes */
	uint64_t n_runs, runs;			/* freed runs and their bytes */
	uint64_t n_malloc, requested;		/* ever; requests of small blocks, and bytes of all */
	uint64_t n_refills, n_overflows;	/* slow paths */
};

/* Where in the source a call is. */
struct mw__own_line {
	const char *function, *file;	/* "" if not known */
	uint64_t line;
};

struct mw__own_frame {
	uint64_t addr;		/* return address */
	const char *symbol;	/* as in the symbol table, or NULL */
	uint64_t off;		/* addr less the symbol's address */
	const char *image;	/* base name, or NULL */
	const struct mw__own_line *lines;	/* innermost of inlined functions first */
	uint32_t n_lines;
};

struct mw__own_site {
	uint32_t n_frames;
	struct mw__own_frame frames[MW__OWN_FRAMES];	/* innermost first */
	uint64_t samples, live_samples;
	uint64_t bytes, live_bytes;	/* estimates of all bytes of the site */
	uint64_t count, live_count;
	bool is_private;		/* objects in private heaps of the name heap, or of none (NULL) */
	const char *heap;
};

/* Something that the page heap did. */
struct mw__own_event {
	uint64_t number;	/* from 1 on; older ones are overwritten */
	uint64_t time_ms;	/* monotonic clock, as coarse as the allocator looked at it */
	uint64_t addr;
	uint32_t npages;
	uint8_t kind;		/* as in the allocator's abi.h */
	uint8_t cls;
};

/* A private heap: what its books say, and what its spans were found to hold. */
struct mw__own_heap {
	uint32_t id;
	const char *name;	/* NULL: none */
	bool is_single;		/* without a lock, for one thread */
	uint64_t limit, peak;	/* bytes of pages; limit 0: none */
	uint64_t n_alloc, n_free, requested_ever;
	uint64_t tiny;		/* live tiny objects */
	uint64_t counted;	/* bytes of pages, by its own counter */
	/* found */
	uint64_t n_spans, bytes;	/* its spans and their pages */
	uint64_t objects, live, noscan;	/* live blocks (tiny ones shared), their bytes, of them without pointers */
	uint64_t free, tails;		/* free blocks in spans, ends where none fits */
	uint64_t tiny_blocks, n_large, large;	/* large and huge blocks, and the bytes asked for in them */
	uint64_t requested;		/* in live objects, by the mean of each class */
};

struct mw__own_range {
	uint64_t start, end;
};

struct mw__own {
	const char *image;		/* path of the library or program that holds it */
	uint64_t region;
	uint32_t major, minor;
	int32_t pid;			/* as the allocator knows itself */
	bool is_exact;			/* nothing moved while it was read */
	bool is_audit;			/* requested bytes of each object are on record */
	uint32_t tries;
	uint64_t options;		/* enum mw_option_bits */
	uint64_t page_size, arena_size;
	uint64_t sample_interval, retain;
	uint64_t bad_records;		/* records that contradict the others and were left out */
	/* its own counters: second roads to what the walk finds */
	uint64_t pages_mapped, pages_in_use, pages_dirty, pages_clean, pages_peak;
	uint64_t huge_pages, kept_pages, meta_bytes, meta_used;
	uint64_t requested_ever;	/* bytes */
	uint64_t n_threads_gone, n_samples, n_errors, heap_waits;
	uint64_t errors[MW__OWN_ERRORS];	/* of the program, by kind; all are n_errors */
	uint64_t n_mmap, n_munmap, n_madvise, n_mremap, n_failed, scavenged, n_scavenges;
	uint64_t mmap_bytes, munmap_bytes, madvise_bytes, mremap_bytes;
	uint64_t n_run_hits, n_large, n_huge;	/* ever */
	uint64_t faults_saved, calls_saved;	/* by reuse; at most. Unknown in older versions, like the next */
	uint64_t n_moves, moved;		/* reallocs that moved page tables, and the bytes not copied */
	uint64_t n_events;			/* ever */
	struct mw__own_class classes[MW__OWN_CLASSES];
	MW_VEC(struct mw__own_span) spans;
	MW_VEC(struct mw__own_run) frees;
	MW_VEC(struct mw__own_arena) arenas;
	MW_VEC(struct mw__own_thread) threads;
	MW_VEC(struct mw__own_site) sites;	/* by live bytes, largest first */
	MW_VEC(struct mw__own_range) metas;
	MW_VEC(struct mw__own_heap) heaps;	/* private ones that live, by id */
	MW_VEC(struct mw__own_event) events;	/* the last ones, oldest first */
};

/* What is wrong with it, or NULL. */
const char *mw__own_check(const struct mw__own *own);

static inline void mw__own_deinit(struct mw__own *own)
{
	MW_VEC_FREE(&own->spans);
	MW_VEC_FREE(&own->frees);
	MW_VEC_FREE(&own->arenas);
	MW_VEC_FREE(&own->threads);
	MW_VEC_FREE(&own->sites);
	MW_VEC_FREE(&own->metas);
	MW_VEC_FREE(&own->heaps);
	MW_VEC_FREE(&own->events);
}

#endif
