/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * abi.h - the allocator's memory, as a reader outside the process sees it.
 *
 * This is the one header of lib/alloc that other code may include. The allocator
 * lays its own state out with these very structures, so a reader needs no symbols,
 * no debug information and no help from the program: it copies bytes.
 *
 * How to read a process (or a core file):
 *   1. In some ELF image of the target find the note whose name is
 *      MW_ABI_NOTE_NAME and whose type is MW_ABI_NOTE_TYPE. Its descriptor is a
 *      struct mw_abi_note. The image is libmemwhy-malloc.so, or the program
 *      itself when libmemwhy-malloc.a was linked into it.
 *   2. region address = address of the field region_off in memory + region_off.
 *   3. Copy struct mw_region. Check magic, and refuse another major version.
 *      state says whether the heap has been set up at all.
 *   4. Every table is given by a struct mw_abi_table: address, count, stride.
 *      Step by stride, not by sizeof: a later minor version may append fields
 *      to an element, and to the region (read min(region.size, your sizeof)).
 *
 * Consistency. Writers never wait for a reader. Each lock has a sequence number,
 * odd while the lock is held; each mcache has one too, odd while its thread is in a
 * slow path (or moves its cached runs). A snapshot is exact when, for the heap lock, every mcentral lock and
 * every mcache, the number was even before the copy and is the same after it, and
 * the copies of the mcaches made before and after are the same. Else each thread can
 * be off by the operation it has in flight: at most one object, or, when its number
 * was odd or changed, one batch (struct mw_class.batch objects) or half its bin.
 * Copy order that makes this cheap: mcaches, mcentrals, spans, mcaches again.
 *
 * Books, per size class c, exact when the above holds:
 *   out[c]    = sum of used over spans of class c in state MW_SPAN_SMALL
 *   cached[c] = sum over live mcaches of (bin.top - bin.base) / 8
 *   live[c]   = out[c] - cached[c] - mcentral[c].n_transfer + sampled[c]
 *   where sampled[c] counts spans in state MW_SPAN_SAMPLED of class c with used = 1
 *   nmalloc[c] = sum of n_requests over the buckets of class c (live mcaches and dead)
 *   nfree[c]   = nmalloc[c] - live[c]
 *   requested bytes, cumulative = sum over mcaches and dead of (drawn - until_sample)
 *
 * Addresses are 64 bits wide. Inside the allocator the same fields are pointers.
 * All sizes are bytes unless the name says pages; a page here is MW_PAGE_SIZE.
 */
#ifndef MW_ALLOC_ABI_H
#define MW_ALLOC_ABI_H

#include <stdint.h>

#define MW_ABI_MAGIC 0x314c4c4159484d57ULL /* "WMHYALL1", little endian */
#define MW_ABI_MAJOR 1                     /* changes when a field moves or changes meaning */
#define MW_ABI_MINOR 7                     /* changes when fields are appended:
                                            * 1: private heaps, MW_TABLE_KEPT
                                            * 2: mspan.stands_for, heap_arena.first_run,
                                            *    mcache.n_run_pages, region.saved
                                            * 3: mcache.run_pages, n_runs, run_lists;
                                            *    samples of private heaps
                                            * 4: heap_arena.given_back_bits
                                            * 5: mspan.booked, mspan.exposed, mcache.pace, mw_site.*_part
                                            * 6: heap_arena.page_desc
                                            * 7: heap_arena.no_huge */
#define MW_ABI_NOTE_NAME "memwhy"
#define MW_ABI_NOTE_TYPE 1

#ifdef MW_ALLOC_INTERNAL
#define MW_PTR(type) type *
#else
#define MW_PTR(type) uint64_t
#endif

#define MW_PAGE_SHIFT 13
#define MW_PAGE_SIZE 8192u           /* a page of this allocator, not of the kernel */
#define MW_ARENA_SHIFT 26
#define MW_ARENA_SIZE 67108864u      /* 64 MiB; arenas are aligned to their size */
#define MW_ARENA_PAGES 8192u         /* MW_ARENA_SIZE / MW_PAGE_SIZE */
#define MW_ARENA_WORDS 128u          /* MW_ARENA_PAGES / 64 */
#define MW_N_CLASSES 68              /* Go's numbering; class 0 is "not a small object" */
#define MW_N_BUCKETS 377             /* request-size buckets, see mw_abi_bucket_max() */
#define MW_MAX_SMALL 32768u          /* the largest small object */
#define MW_SPAN_BITS_WORDS 8         /* 512 objects in a span at most */
#define MW_N_FULLNESS 5              /* span lists of an mcentral */
#define MW_N_RUNS 92                 /* lengths of runs: 1 to 64 pages, then four in each octave */
#define MW_N_RUN_LISTS 64            /* lengths of cached runs: 1 to 15 pages, then eight in each octave */
#define MW_STACK_DEPTH 16
#define MW_N_SITES 4096              /* site 0 takes what does not fit */
#define MW_HEAP_NAME 32
#define MW_PACE_MAX 6u
#define MW_N_EVENTS 1024             /* power of two */

/** The descriptor of the ELF note. */
struct mw_abi_note {
	uint32_t major;     /* MW_ABI_MAJOR of the library */
	uint32_t minor;
	int64_t region_off; /* address of struct mw_region minus the address of this field */
};

/**
 * A tiny block: 16 bytes with the tiny objects that fit. Bit i of starts: an object starts
 * at byte i; bit i of ends: an object has its last byte there. Both 0: the block is free,
 * or nothing in it yet.
 */
struct mw_tiny {
	uint16_t starts, ends;
};

/** A lock as seen from outside. The allocator alone locks and unlocks it. */
struct mw_lock {
	uint32_t word;      /* 0 free, 1 held, 2 held and somebody sleeps on it */
	uint32_t n_waits;   /* times a thread found it held; written by the waiter, atomically */
	uint64_t seq;       /* odd while held; written by the holder */
	uint64_t owner;     /* identifies the holding thread inside the process; 0 none */
};

/** One row of the size-class table (constant). */
struct mw_class {
	uint32_t size;      /* bytes of an object; 0 in class 0 */
	uint32_t pages;     /* pages of a span */
	uint32_t n_objects; /* objects in a span */
	uint32_t divisor;   /* x is a multiple of size iff (uint32_t)(x * divisor) < divisor */
	uint16_t batch;     /* objects moved at once between mcache and mcentral */
	uint16_t max_bin;   /* the most objects an mcache keeps */
	uint32_t max_transfer; /* the most objects the transfer array keeps */
	uint32_t is_served; /* 0: malloc never hands this class out (8 and 24 bytes:
	                     * every block is aligned to 16) */
	uint32_t reserved;
};

/** What a span is. */
enum mw_span_state {
	MW_SPAN_DEAD = 0,    /* the structure is unused */
	MW_SPAN_SMALL = 1,   /* nelems objects of class cls, owned by mcentral[cls] */
	MW_SPAN_LARGE = 2,   /* one block, a run of pages inside an arena */
	MW_SPAN_HUGE = 3,    /* one block with a mapping of its own outside arenas */
	MW_SPAN_SAMPLED = 4, /* one small block that the sampler took: a run of its own */
	MW_SPAN_CACHED = 5,  /* a freed large run kept by an mcache (used = 0) */
	MW_SPAN_IDLE = 6,    /* a freed huge mapping kept for reuse (used = 0) */
	MW_SPAN_PRIVATE = 7,       /* objects of class cls in private heap number site */
	MW_SPAN_PRIVATE_LARGE = 8, /* one block of it inside an arena */
	MW_SPAN_PRIVATE_HUGE = 9,  /* one block of it with a mapping of its own */
};

enum mw_span_flags {
	MW_SPAN_NEEDZERO = 1, /* the memory may hold old bytes */
	MW_SPAN_GUARDED = 2,  /* the last page is PROT_NONE, the block ends at it */
	MW_SPAN_FREED = 4,    /* audit: freed block kept unreadable in quarantine */
	MW_SPAN_NOSCAN = 8,   /* private: its objects hold no pointers */
	MW_SPAN_TINY = 16,    /* private: each object is a block of tiny ones */
	MW_SPAN_HAS_SAMPLES = 32, /* private: some of its objects are sampled */
	MW_SPAN_SEALED = 32,      /* audit, not private: the canary stands behind a single block */
	MW_SPAN_NEW = 64,         /* audit: a single block that operator new gave, */
	MW_SPAN_NEW_ARRAY = 128,  /* or new[] */
};

/**
 * A span: a run of pages. Written under the lock of mcentral[cls] when
 * MW_SPAN_SMALL, else under the heap lock (or by the one thread that owns it).
 * Invariant for MW_SPAN_SMALL: used = number of 1 bits in alloc_bits; bits at and
 * above nelems are 0; objects at and above nfresh have never been handed out.
 */
struct mw_mspan {
	uint64_t base;      /* address of the first byte */
	uint32_t npages;    /* length in allocator pages */
	uint32_t elemsize;  /* bytes of an object; for single blocks below 32 KiB the class size, else 0 */
	uint8_t state;      /* enum mw_span_state */
	uint8_t cls;        /* size class; 0 for large and huge */
	uint8_t flags;      /* enum mw_span_flags */
	uint8_t fullness;   /* which list of its mcentral it is on */
	uint16_t nelems;    /* objects that fit; 1 for single blocks */
	uint16_t used;      /* objects that are out: in the program, an mcache or the transfer array */
	uint16_t freeindex; /* no free object below this index */
	uint16_t nfresh;    /* Go's high-water freeindex: see the invariant */
	uint32_t site;      /* sampled block: index of its site plus 1; 0 not sampled.
	                     * Private states: the id of the heap */
	MW_PTR(struct mw_mspan) next; /* list of its mcentral, or free list */
	MW_PTR(struct mw_mspan) prev;
	uint64_t requested; /* single blocks: bytes the program asked for */
	MW_PTR(void) aux;   /* audit: uint16_t slack[nelems], and who allocated it; single blocks: address of the block;
	                     * with MW_SPAN_TINY: struct mw_tiny[nelems] */
	union {
		uint64_t alloc_bits[MW_SPAN_BITS_WORDS]; /* bit i: object i is out */
		uint64_t booked;    /* sampled block, since minor version 5: the size that its site counts */
	};
	union {
		uint64_t stands_for;/* sampled block: how many of its size it stands for, times 2^16 */
		uint64_t exposed;   /* single block that is not, since minor version 5: the bytes in
				     * which a sample could have fallen, times 2^MW_PACE_MAX */
	};
};

/**
 * An arena: 64 MiB of addresses. Never unmapped as a whole, never moved; the
 * structure is append-only. Written under the heap lock.
 * Invariant: a page is free iff map bit 1 and alloc bit 0.
 * free and clean 1: no memory behind it: given back if its bit in given_back_bits says so,
 * else never touched. Before minor version 4: given back if below n_touched.
 */
struct mw_heap_arena {
	uint64_t base;
	uint32_t max_run;   /* upper bound of the longest free run, pages */
	uint32_t first_free;/* no free page below this one */
	uint32_t n_touched; /* pages below this one have been in use at least once */
	uint32_t may_grow;  /* 1: unmapped pages of this slot are ours to map */
	uint64_t no_huge;   /* 1: memory went back to the kernel, and it is asked for no huge pages; since
	                     * minor version 7, 0 before */
	uint64_t reserved[3];
	uint64_t map_bits[MW_ARENA_WORDS];   /* page is mapped by us */
	uint64_t alloc_bits[MW_ARENA_WORDS]; /* page is in a span, or not mapped */
	uint64_t clean_bits[MW_ARENA_WORDS]; /* page is free and reads as zero or has been given back */
	uint16_t unused[MW_ARENA_PAGES];     /* before minor version 6 what page_desc is now */
	MW_PTR(struct mw_mspan) spans[MW_ARENA_PAGES]; /* the span of a page; NULL when free, and on
	                                      * the pages of a single block but its first */
	uint16_t first_run[MW_N_RUNS];       /* [i]: below this page starts no free run of
	                                      * mw_abi_run_min(i) pages or more */
	/* since minor version 4 */
	uint64_t given_back_bits[MW_ARENA_WORDS]; /* page has been given back, or its memory moved away */
	/* since minor version 6 */
	uint32_t page_desc[MW_ARENA_PAGES];  /* of a small object's page, 0 else: the low half of its span's
	                                      * address, plus where in mcache.bins the bin of its class is */
};

/** Free objects of one class kept by one thread. */
struct mw_bin {
	MW_PTR(MW_PTR(void)) top;  /* address of the newest entry; = base when empty */
	MW_PTR(MW_PTR(void)) end;  /* address of the last slot that may be filled */
	MW_PTR(MW_PTR(void)) base; /* address of the sentinel slot, which holds NULL; entries follow */
	uint32_t divisor;          /* as in mw_class */
	uint32_t cap;              /* slots; 0 before first use */
};

enum mw_mcache_state { MW_MCACHE_FREE = 0, MW_MCACHE_LIVE = 1, MW_MCACHE_ORPHAN = 2 };

enum mw_slow { MW_SLOW_NONE = 0, MW_SLOW_REFILL = 1, MW_SLOW_OVERFLOW = 2 };

#define MW_MCACHE_RUNS 4

/**
 * A thread's cache. Written by its thread alone, without locks; other threads and
 * readers only look. Structures are never unmapped; a dead one is used again.
 */
struct mw_mcache {
	int64_t until_sample;           /* bytes to request before the next sample */
	int64_t drawn;                  /* sum of the sampling intervals drawn so far */
	struct mw_bin bins[MW_N_CLASSES];
	uint64_t n_requests[MW_N_BUCKETS]; /* allocations by requested size */
	uint64_t n_fetched[MW_N_CLASSES];  /* objects taken from the mcentral */
	uint64_t n_flushed[MW_N_CLASSES];  /* objects given back to it */
	uint64_t n_refills;             /* slow paths of malloc */
	uint64_t n_overflows;           /* slow paths of free */
	MW_PTR(struct mw_mspan) runs[MW_MCACHE_RUNS]; /* before minor version 3: cached large runs */
	uint64_t n_run_hits;            /* large allocations served from runs */
	uint64_t seq;                   /* odd inside a slow path */
	uint64_t owner;                 /* identifies the thread inside the process */
	uint64_t rng;                   /* state of the sampler's generator */
	MW_PTR(struct mw_mcache) next;  /* every mcache ever made; append-only */
	int32_t tid;                    /* kernel thread id */
	uint32_t state;                 /* enum mw_mcache_state */
	uint64_t n_run_pages;           /* pages of the runs in n_run_hits */
	uint8_t is_busy[MW_N_CLASSES];  /* bin was filled since its thread last looked */
	uint32_t until_look;            /* slow paths until it looks again */
	uint64_t run_pages;             /* freed large runs that the thread keeps: pages of all, */
	uint32_t n_runs;                /* how many, */
	uint32_t run_hand;              /* the list from which one went last, */
	uint64_t run_mask;              /* bit i: run_lists[i] is not empty, */
	MW_PTR(struct mw_mspan) run_lists[MW_N_RUN_LISTS]; /* and they, by mw_abi_run_list(npages),
	                                 * through next, newest first */
	uint32_t runs_busy;             /* one was taken or kept since the thread last looked */
	uint32_t reserved;
	uint64_t bin_bytes;             /* what the bins have room for */
	uint8_t last_slow[MW_N_CLASSES];/* enum mw_slow: what the bin was last */
	/* since minor version 5 */
	uint32_t pace;                  /* this thread's mean bytes between samples are
	                                 * sample_interval << pace */
	uint32_t n_paced;               /* points of the line since */
	uint64_t paced_since_ms;
	uint32_t is_cut;                /* until_sample ends at a place to look, not at a sample */
	uint32_t reserved2;
};

/** The shared store of one class. All but the lock's waiters: under the lock. */
struct mw_mcentral {
	struct mw_lock lock;
	MW_PTR(struct mw_mspan) lists[MW_N_FULLNESS]; /* [0] sparsest .. [3] fullest partial, [4] full */
	MW_PTR(MW_PTR(void)) transfer;  /* batches passing between threads */
	uint32_t n_transfer;            /* objects in it */
	uint32_t cls;
	uint64_t n_spans;               /* spans of this class now */
	uint64_t n_out;                 /* objects out of those spans now: sum of used */
	uint64_t n_spans_made;          /* cumulative */
	uint64_t n_spans_freed;
	uint64_t n_fetches;             /* calls that took objects */
	uint64_t n_transfer_hits;       /* of those, served by the transfer array alone */
	uint64_t n_flushes;             /* calls that returned objects */
	uint64_t n_spans_peak;
	MW_PTR(struct mw_mspan) untouched; /* spans of which nothing was taken yet, in place of fullness 5;
	                                 * since minor version 4 */
	uint64_t pad[3];
};

/** Calls into the kernel, by kind; cumulative, atomic adds. */
struct mw_syscalls {
	uint64_t n_mmap, mmap_bytes;
	uint64_t n_munmap, munmap_bytes;
	uint64_t n_madvise, madvise_bytes;
	uint64_t n_mremap, mremap_bytes;
	uint64_t n_failed;      /* refused by the kernel */
};

/** The page heap. Under its lock unless a line says else. */
struct mw_mheap {
	struct mw_lock lock;
	MW_PTR(MW_PTR(struct mw_heap_arena)) arenas; /* sorted by base; the array may be replaced by a longer one */
	MW_PTR(uint16_t) max_runs;      /* max_run of each arena, same order */
	uint64_t n_arenas;
	uint64_t cap_arenas;
	uint64_t pages_mapped;          /* = in_use + dirty + clean */
	uint64_t pages_in_use;          /* in spans, cached runs included; and, without a span,
	                                 * the run that is being given back this moment */
	uint64_t pages_dirty;           /* free, may be resident */
	uint64_t pages_clean;           /* free, never touched or given back */
	uint64_t pages_peak;            /* high-water mark of in_use + huge pages */
	uint64_t pages_in_small;        /* of in_use: spans of small classes */
	uint64_t dirty_low;             /* lowest pages_dirty since the last scavenging */
	uint64_t n_large_allocs, n_large_frees;   /* large runs, cached ones excluded: see mcache.n_run_hits */
	uint64_t n_sampled_allocs, n_sampled_frees;
	uint64_t n_huge_allocs, n_huge_frees;
	uint64_t huge_pages;            /* in live huge blocks */
	uint64_t huge_idle_pages;       /* in kept huge mappings */
	MW_PTR(MW_PTR(struct mw_mspan)) huge;  /* open-addressed table by base; NULL = empty slot */
	uint64_t n_huge_slots;          /* power of two */
	uint64_t n_huge_used;
	uint64_t n_scavenges;           /* times memory was given back */
	uint64_t scavenged_bytes;       /* cumulative */
	uint64_t reused_dirty_pages;    /* pages handed out that needed no fault; cumulative */
	uint64_t last_scavenge_ms;      /* coarse monotonic clock */
	MW_PTR(struct mw_mspan) span_free; /* not used since minor version 2: NULL */
	uint64_t n_spans_live;
};

/** Where sampled blocks were allocated. Under the sample lock. */
struct mw_site {
	uint64_t frames[MW_STACK_DEPTH]; /* return addresses, innermost first */
	uint32_t n_frames;
	uint32_t hash;
	uint64_t n_alloc, n_live;         /* samples: ever, and not yet freed */
	uint64_t bytes_alloc, bytes_live; /* requested bytes of those samples */
	uint64_t est_alloc_bytes, est_live_bytes; /* unbiased estimates of all bytes of the site */
	uint64_t est_alloc_count, est_live_count;
	/* since minor version 3 */
	uint32_t is_private;              /* 1: of objects in private heaps of this name */
	/* since minor version 5 */
	uint16_t alloc_part, live_part;   /* what est_*_count have behind the point, times 2^16 */
	char heap_name[MW_HEAP_NAME];     /* ends with 0; empty: they have none */
};

enum mw_event_kind {
	MW_EVENT_NONE = 0,
	MW_EVENT_SPAN_MADE = 1,   /* a span of class cls left the page heap */
	MW_EVENT_SPAN_FREED = 2,
	MW_EVENT_GROW = 3,        /* pages of an arena were mapped */
	MW_EVENT_UNMAP = 4,       /* free pages were unmapped: address space had run out */
	MW_EVENT_SCAVENGE = 5,    /* pages given back to the kernel */
	MW_EVENT_HUGE_MAP = 6,
	MW_EVENT_HUGE_UNMAP = 7,
	MW_EVENT_FORK = 8,        /* this process is a child; addr is its parent's pid */
	MW_EVENT_HEAP_MADE = 9,   /* a private heap; addr is its structure */
	MW_EVENT_HEAP_GONE = 10,  /* npages of it went back */
};

/** A ring of what happened; the newest is n_events - 1 (modulo MW_N_EVENTS). */
struct mw_event {
	uint64_t seq;       /* number of the event + 1, written last; 0 = empty slot */
	uint64_t time_ms;   /* coarse monotonic clock at the last scavenging check */
	uint64_t addr;
	uint32_t npages;
	uint8_t kind;       /* enum mw_event_kind */
	uint8_t cls;
	uint16_t reserved;
};

/** What threads that are gone had counted, and what ran without an mcache. */
struct mw_dead {
	int64_t until_sample, drawn;
	uint64_t n_requests[MW_N_BUCKETS];
	uint64_t n_fetched[MW_N_CLASSES], n_flushed[MW_N_CLASSES];
	uint64_t n_refills, n_overflows, n_run_hits;
	uint64_t n_threads;         /* mcaches folded in */
};

/** Metadata mappings: two levels, so that a reader can name every byte of ours. */
struct mw_meta_range {
	uint64_t base, size;
};
#define MW_N_META 512

/** A freed huge mapping that is kept for reuse. Under the heap lock. */
struct mw_kept {
	MW_PTR(struct mw_mspan) span; /* in state MW_SPAN_IDLE; NULL = empty slot */
	uint64_t since_ms;            /* coarse monotonic clock */
};
#define MW_N_KEPT 16

/** What a private heap has of one span class. Under the heap's lock. */
struct mw_heap_part {
	MW_PTR(struct mw_mspan) partial; /* spans with free objects, in use or empty */
	MW_PTR(struct mw_mspan) full;
	uint64_t n_spans, n_out;         /* now; n_out = sum of used */
	uint64_t n_alloc, requested;     /* ever, and the bytes asked for in them */
};

#define MW_N_PARTS (2 * MW_N_CLASSES) /* by class * 2 + noscan; part 1 is the tiny blocks */
#define MW_PART_TINY 1
#define MW_HEAP_LIVE 0x70616568776d7931ULL /* magic of a heap in use */
#define MW_HEAP_DEAD 0x70616568776d7930ULL /* and of one that was destroyed */

/** A live object of a private heap that the sampler took. Under the heap's lock. */
struct mw_heap_sample {
	MW_PTR(struct mw_heap_sample) next;
	uint64_t addr;
	uint64_t span;       /* base of its span */
	uint64_t requested;
	uint64_t stands_for; /* as in mw_mspan */
	uint32_t site;       /* index plus 1 */
	uint32_t reserved;
};

/**
 * A private heap. Its spans are in state MW_SPAN_PRIVATE* with its id as site. Structures are
 * never unmapped; one of a destroyed heap is used again. Under its lock, whose seq is also
 * odd while a heap without a lock (MW_HEAP_SINGLE) changes.
 * Invariant: pages = sum of npages over its spans; small spans are on the two lists of
 * their part, large and huge ones on the list large.
 */
struct mw_heap {
	uint64_t magic;
	struct mw_lock lock;
	uint32_t id;                     /* from 1 on, not reused */
	uint32_t flags;                  /* as in memwhy-malloc.h */
	char name[MW_HEAP_NAME];         /* ends with 0 */
	uint64_t limit_pages;            /* 0: none */
	uint64_t pages, pages_peak;
	uint64_t n_free;                 /* ever */
	uint64_t n_tiny;                 /* live tiny objects */
	uint64_t n_large, large_requested; /* live blocks above 32 KiB, and the bytes asked for in them */
	uint64_t n_large_alloc, large_requested_ever;
	MW_PTR(struct mw_mspan) large;
	MW_PTR(struct mw_mspan) tiny_span; /* where the next tiny object is tried */
	uint32_t tiny_idx, tiny_off;     /* its block, and the first byte not handed out */
	MW_PTR(struct mw_heap) next;     /* every heap structure ever made; append-only */
	MW_PTR(struct mw_heap) next_dead;
	struct mw_heap_part parts[MW_N_PARTS];
	/* since minor version 3; their sums are in the sites */
	int64_t until_sample;            /* bytes to request before the next sample */
	uint64_t rng;                    /* state of the sampler's generator */
	uint64_t n_samples;              /* live sampled objects */
	uint64_t n_chains;               /* power of two, or 0 */
	MW_PTR(MW_PTR(struct mw_heap_sample)) chains; /* of them, by span */
};

enum mw_table_id {
	MW_TABLE_CLASSES = 0,  /* struct mw_class[MW_N_CLASSES] */
	MW_TABLE_BUCKETS = 1,  /* uint8_t[MW_N_BUCKETS]: class of a bucket */
	MW_TABLE_MCENTRALS = 2,/* struct mw_mcentral[MW_N_CLASSES] */
	MW_TABLE_SITES = 3,    /* struct mw_site[count]; count grows, entry 0 is "other" */
	MW_TABLE_EVENTS = 4,   /* struct mw_event[MW_N_EVENTS] */
	MW_TABLE_META = 5,     /* struct mw_meta_range[count]: metadata mappings */
	MW_TABLE_KEPT = 6,     /* struct mw_kept[MW_N_KEPT]; since minor version 1 */
	MW_N_TABLES = 8,
};

struct mw_abi_table {
	uint64_t addr;
	uint64_t count;
	uint64_t stride;
};

/**
 * Work that reuse has spared the kernel, cumulative. Faults saved are at most
 *   heap.reused_dirty_pages + saved.run_pages + saved.idle_pages + the n_run_pages of all mcaches,
 * times MW_PAGE_SIZE / the kernel's page size: pages that were in use before, and were
 * handed out again while nothing had been given back. (A page that the program has never
 * touched is among them: it was not resident, and cost no fault before either.) Calls
 * saved: one to map and one to unmap for each of the n_run_hits and the n_idle_hits.
 */
struct mw_saved {
	uint64_t run_pages;    /* n_run_pages of threads that are gone; registry lock */
	uint64_t n_idle_hits;  /* huge blocks made from kept mappings; heap lock, like the rest */
	uint64_t idle_pages;   /* and their pages */
	uint64_t n_moves;      /* reallocs that moved page tables */
	uint64_t moved_pages;  /* and what they did not copy */
};

enum mw_region_state { MW_REGION_UNUSED = 0, MW_REGION_READY = 1 };

enum mw_option_bits {
	MW_OPT_AUDIT = 1,     /* every free is checked, blocks carry canaries */
	MW_OPT_ZERO = 2,      /* memory is cleared when freed */
	MW_OPT_RANDOM = 4,    /* objects are placed at random */
	MW_OPT_GUARD = 8,     /* sampled blocks end at a guard page */
	MW_OPT_COUNT = 16,    /* errors of the program are counted, not fatal */
	MW_OPT_LAZY = 32,     /* memory is given back by MADV_FREE */
	MW_OPT_NO_CACHE = 64, /* mcaches keep nothing (implied by audit, zero and random) */
};

enum mw_error_kind {
	MW_ERROR_DOUBLE_FREE = 0,
	MW_ERROR_FOREIGN_FREE = 1,   /* not a block of this heap */
	MW_ERROR_INTERIOR_FREE = 2,  /* inside a block, not at its start */
	MW_ERROR_OVERFLOW = 3,       /* bytes behind the block were written */
	MW_ERROR_WRITE_AFTER_FREE = 4,
	MW_ERROR_MISMATCH = 5,       /* freed with another size or alignment, or what new gave otherwise
	                              * than by delete */
	MW_ERROR_WRONG_HEAP = 6,     /* a block of another heap than the one named */
	MW_ERROR_DEAD_HEAP = 7,      /* a heap that was destroyed, or is none */
	MW_N_ERRORS = 8,
};

/** The root. One per copy of the library; in its data section. */
struct mw_region {
	uint64_t magic;
	uint32_t major, minor;
	uint64_t size;              /* sizeof(struct mw_region) in the library */
	uint32_t state;             /* enum mw_region_state; written last */
	int32_t pid;                /* the process that writes here; a fork child stamps its own */
	uint32_t n_tables;
	uint32_t sizeof_mspan, sizeof_arena, sizeof_mcache; /* strides of linked structures */
	struct mw_abi_table tables[MW_N_TABLES]; /* by enum mw_table_id */
	MW_PTR(struct mw_mcache) mcaches;        /* list through next; newest first */
	uint64_t n_mcaches;
	uint64_t options;           /* enum mw_option_bits */
	uint64_t sample_interval;   /* mean bytes between samples; 0 off */
	uint64_t retain_bytes;      /* free dirty memory kept before scavenging, with 1/4 of what is in use */
	uint64_t meta_bytes;        /* metadata mapped */
	uint64_t meta_used;         /* metadata handed out */
	uint64_t n_events;          /* events ever written */
	uint64_t n_samples;
	uint64_t n_errors[MW_N_ERRORS];
	struct mw_syscalls syscalls;
	struct mw_mheap heap;
	struct mw_dead dead;
	/* since minor version 1 */
	MW_PTR(struct mw_heap) heaps; /* list through next; newest first */
	uint64_t n_heaps;             /* structures in it */
	uint32_t sizeof_heap;
	uint32_t reserved;
	/* since minor version 2 */
	struct mw_saved saved;
};

/** The largest request counted in bucket @idx; bucket 0 counts malloc(0). */
static inline uint32_t mw_abi_bucket_max(uint32_t idx)
{
	return idx <= 128 ? idx * 8 : 1024 + (idx - 128) * 128;
}

/** Large runs begin at a multiple of so many pages, and are a multiple of it long. */
static inline uint32_t mw_abi_run_granule(uint32_t pages)
{
	uint32_t octave = 31 - (uint32_t)__builtin_clz(pages);

	return octave < 4 ? 1 : octave < 9 ? 1u << (octave - 3) : 64;
}

/** Which of run_lists a run of so many pages is on; MW_N_RUN_LISTS or more: on none. */
static inline uint32_t mw_abi_run_list(uint32_t pages)
{
	uint32_t octave = 31 - (uint32_t)__builtin_clz(pages);

	return octave < 4 ? pages : 16 + (octave - 4) * 8 + (pages >> (octave - 3) & 7);
}

/** Pages of the shortest run that entry @i < MW_N_RUNS of first_run speaks of. */
static inline uint32_t mw_abi_run_min(uint32_t i)
{
	return i < 64 ? i + 1 : (4 + (i - 63) % 4) << ((i - 63) / 4 + 4);	/* NOLINT: a shift below 32 */
}

#endif
