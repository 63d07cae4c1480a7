/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * internal.h - what the files of the allocator share.
 *
 * Layers, each calling only downwards:
 *
 *   malloc.c compat.c cxx.c   the functions that programs call
 *   private.c private_walk.c private_sample.c  those of private heaps
 *   cache.c audit.c           mcache: refill, flush, life of a thread
 *   central.c large.c huge.c sample.c
 *   pages.c spans.c           mheap: arenas, runs of pages, scavenging
 *   meta.c                    memory for the allocator's own structures
 *   lock.c os.c               futex, kernel calls
 *
 * Lock ranks. A thread takes locks in increasing rank only:
 *   1  mcache registry (cache.c)       guards region.mcaches' states, region.dead
 *   2  mcentral[c], c increasing       guards the spans and lists of class c
 *   3  private heaps' list (private.c) guards the list
 *   4  a private heap                  guards its spans and samples; one at a time
 *   5  sample table (sample.c)         guards the sites
 *   6  mheap                           guards arenas, runs, huge table, spare spans, events
 *   7  metadata (meta.c)               guards the bump pointer and the free lists
 * fork() alone takes them all, in this order.
 *
 * Atomics. Fields that a single thread writes and readers outside look at are
 * written with plain or relaxed stores, which cost what an ordinary store costs.
 * Page descriptors and span pointers are stored relaxed under the heap lock and
 * loaded relaxed without it: whoever frees a block got it from malloc, directly or
 * through synchronisation of the program's own, so the stores happened before.
 */
#ifndef MW_ALLOC_INTERNAL_H
#define MW_ALLOC_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define MW_ALLOC_INTERNAL 1
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "abi.h"

#if __SIZEOF_POINTER__ != 8
#error "the allocator is written for 64-bit Linux"
#endif

#define MW_EXPORT __attribute__((visibility("default")))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define noinline __attribute__((noinline))
/* begins a line of the cache: the same code was half as fast again where it began late in one */
#define ALIGNED __attribute__((aligned(64)))
/* small and written early: together in the pages that relocation has touched anyway */
#define TOGETHER __attribute__((section(".data")))
#define always_inline inline __attribute__((always_inline))
#define mustcheck __attribute__((warn_unused_result))

#define load_relaxed(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define store_relaxed(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define add_relaxed(p, v) __atomic_fetch_add(p, v, __ATOMIC_RELAXED)
#define compiler_barrier() __asm__ volatile("" ::: "memory")

#define KERNEL_PAGE 4096u              /* smallest unit the kernel maps; asserted at start */
#define MAX_RUN_PAGES 4096u            /* longest run served from an arena: 32 MiB */
#define MAX_RUN_ALIGN (1u << 20)       /* bytes; what is aligned to more gets its own mapping */
#define ARENA_TABLE_BITS 21            /* 47-bit addresses / 64 MiB */
#define ADDRESS_LIMIT (1ULL << 47)
#define MAX_REQUEST ((size_t)PTRDIFF_MAX)
#define MIN_ALIGN 16u
#ifdef MW_ALLOC_BARE                   /* only to measure what counting and sampling cost */
#define COUNTED 0
#else
#define COUNTED 1
#endif

typedef struct mw_mspan mspan;
typedef struct mw_mcentral mcentral;
typedef struct mw_mcache mcache;
typedef struct mw_mheap mheap;
typedef struct mw_heap_arena heap_arena;

static inline size_t round_up(size_t x, size_t to)
{
	return (x + to - 1) & ~(to - 1);
}

static inline uint64_t pages_of(size_t bytes)
{
	return (bytes >> MW_PAGE_SHIFT) + !!(bytes & (MW_PAGE_SIZE - 1));
}

/* classes.c, computed */
extern const struct mw_class mw__classes[MW_N_CLASSES];
extern const uint8_t mw__bucket_class[MW_N_BUCKETS];
extern const uint16_t mw__bin_at[MW_N_BUCKETS]; /* where in mcache.bins the bin of a bucket's class is */

#define FINE_MAX 1024u /* up to here 8 bytes a bucket, above 128 */

static inline uint32_t bucket_of(size_t n)
{
	return likely(n <= FINE_MAX) ? (uint32_t)(n + 7) >> 3 : (uint32_t)(n + 127 + (120 << 7)) >> 7;
}

static inline unsigned class_of(size_t n)
{
	return mw__bucket_class[bucket_of(n)];
}

/* off / size for an offset into a span, without dividing; exact, mkclasses tries them all */
static inline unsigned quotient(uint32_t off, uint32_t divisor)
{
	return (unsigned)((uint64_t)off * divisor >> 32);
}

/* the roots: region.c */
extern struct mw_region mw_alloc_region __attribute__((visibility("protected")));
extern mcentral mw__centrals[MW_N_CLASSES];

/*
 * By arena: the address that page_desc would have if it began with page 0 of all addresses, so
 * that free() needs no index within the arena; 0: no arena, for metadata does not lie so low.
 */
extern uintptr_t mw__page_descs[1u << ARENA_TABLE_BITS];
#define region mw_alloc_region
#define heap mw_alloc_region.heap

bool mw__heap_init(void); /* idempotent; false only when out of memory */

/* options.c */
enum mw_thp { MW_THP_KERNEL, MW_THP_NEVER, MW_THP_AUTO, MW_THP_ALWAYS };

struct mw_options {
	uint64_t sample;      /* mean bytes between samples */
	uint64_t retain;      /* bytes */
	uint64_t seed;
	unsigned bits;        /* enum mw_option_bits */
	unsigned decay_ms;
	unsigned char purge;  /* 0 off, 1 MADV_DONTNEED, 2 MADV_FREE */
	unsigned char thp;    /* enum mw_thp */
	unsigned char unwind; /* 0 caller only, 1 full stacks */
	unsigned char background; /* 1: a thread gives memory back when the program is silent */
	unsigned char paced;  /* 1: a thread in a rush takes the interval longer */
	unsigned char report; /* print the totals to stderr at exit */
	unsigned char mismatch; /* 1: audit looks for malloc with delete, and the like */
};
extern struct mw_options mw__options;
void mw__options_read(void);

static inline bool option(unsigned bit)
{
	return mw__options.bits & bit;
}

/* os.c: kernel calls; none touches errno. Counted in region.syscalls. */
void *mw__os_map(void *hint, size_t size, bool fixed); /* NULL on failure */
void mw__os_unmap(void *addr, size_t size);
void *mw__os_remap(void *addr, size_t old_size, size_t new_size);
void *mw__os_move_out(void *addr, size_t size); /* its memory to a new mapping; addr stays mapped, empty */
void mw__os_move_back(void *addr, void *moved, size_t size);
bool mw__os_purge(void *addr, size_t size, bool lazy);
void mw__os_hugepages(void *addr, size_t size, bool wanted);
bool mw__os_protect(void *addr, size_t size, bool readable);
void mw__os_write(int fd, const char *text, size_t size);
long mw__os_read_file(const char *path, char *buf, size_t size);
long mw__os_prctl(int op, const unsigned long args[4]); /* negative: the error */
int mw__os_tid(void);
int mw__os_pid(void);
uint64_t mw__os_coarse_ms(void);
uint64_t mw__os_random(void);
void mw__os_futex_wait(uint32_t *word, uint32_t value);
void mw__os_futex_wait_ms(uint32_t *word, uint32_t value, unsigned ms);
void mw__os_futex_wake(uint32_t *word);
void mw__os_yield(void);
uint64_t mw__os_block_signals(void); /* the mask that was */
void mw__os_restore_signals(uint64_t mask);

/* lock.c */
void mw__lock(struct mw_lock *l, int rank);
void mw__unlock(struct mw_lock *l, int rank);
bool mw__is_alone(void);       /* the process has one thread only, for sure */
bool mw__lock_is_mine(const struct mw_lock *l);
void mw__lock_for_fork(struct mw_lock *l);
void mw__lock_after_fork(struct mw_lock *l, bool child);
void mw__fork_owner_set(bool on);
bool mw__in_section(void);     /* this thread holds a lock of ours, or is about to */
uint64_t mw__thread_key(void); /* differs between live threads of the process */
enum { RANK_REGISTRY = 1, RANK_CENTRAL, RANK_HEAPS, RANK_PRIVATE, RANK_SAMPLE, RANK_HEAP, RANK_META };

/* meta.c */
void *mw__meta_alloc(size_t size);      /* zeroed, aligned to 64; never NULL-checked away: may be NULL */
void *mw__meta_aligned(size_t size);    /* aligned to its size, a power of two of 256 KiB or more */
void *mw__meta_array(size_t size);      /* like it, but may be given back */
void mw__meta_array_free(void *p, size_t size);
extern struct mw_lock mw__meta_lock;
extern struct mw_meta_range mw__meta_ranges[MW_N_META];

/* spans.c: under the heap lock */
mspan *mw__span_new(void);              /* zeroed */
void mw__span_delete(mspan *s);
void mw__spans_scavenge(void);

/* pages.c: under the heap lock unless said */
void mw__span_publish(mspan *s, unsigned cls);   /* its pages are known to free() */
void mw__span_retire(mspan *s);                  /* they are not */
bool mw__was_ours(const void *p);                /* a free page that was in use once */
mspan *mw__span_containing(uintptr_t p);         /* of a single block; slow */
bool mw__run_alloc(mspan *s, uint32_t npages, uint32_t align_pages); /* fills base, npages, NEEDZERO */
bool mw__run_alloc_large(mspan *s, uint32_t npages); /* a length that mw__run_round gives */
bool mw__run_find(mspan *s, uint32_t npages);        /* these two: without growing */
bool mw__run_find_large(mspan *s, uint32_t npages);
bool mw__run_alloc_roomy(mspan *s, uint32_t npages, uint32_t room); /* room pages behind it are free, if possible */
void mw__run_free(mspan *s);            /* pages back to the heap; s stays */
void mw__run_free_clean(mspan *s);      /* without memory behind them */
void mw__run_free_untouched(mspan *s);  /* which were clean, and not touched since */
uint32_t mw__run_clean_behind(const mspan *s, uint32_t most);
void mw__run_take(mspan *s, uint64_t addr, uint32_t npages); /* free ones; fills base, npages, NEEDZERO */
bool mw__run_grow(mspan *s, uint32_t npages);   /* in place */
void mw__run_shrink(mspan *s, uint32_t npages);
void mw__event(enum mw_event_kind kind, uint64_t addr, uint32_t npages, unsigned cls);
void mw__scavenge(bool all, size_t keep);  /* takes the heap lock itself */
void mw__scavenge_tick(void);              /* the same, if it is time, and not too much; no lock held */
void mw__scavenge_background(void);
void mw__scavenge_after_fork(void);        /* in the child */
void mw__heap_lock(void);
void mw__heap_unlock(void);
size_t mw__release_addresses(size_t wanted); /* unmap free pages; takes the lock */

/* The length in which a large run comes: at most an eighth more. */
static inline uint32_t mw__run_round(uint32_t npages)
{
	return (uint32_t)round_up(npages, mw_abi_run_granule(npages));
}

static always_inline uintptr_t page_descs_of(const void *p)
{
	uint64_t slot = (uint64_t)(uintptr_t)p >> MW_ARENA_SHIFT;

	return likely(slot < 1u << ARENA_TABLE_BITS) ? load_relaxed(&mw__page_descs[slot]) : 0;
}

/* Bytes from there to the descriptor of the first page of @p's arena. */
static inline uintptr_t page_descs_before(uintptr_t p)
{
	return (p >> MW_ARENA_SHIFT) * MW_ARENA_PAGES * sizeof(uint32_t);
}

static inline heap_arena *mw__arena_of(const void *p)
{
	uintptr_t descs = page_descs_of(p);

	return likely(descs) ? (heap_arena *)(descs + page_descs_before((uintptr_t)p) - offsetof(heap_arena, page_desc)) : NULL;
}

static inline uint32_t page_desc(uint64_t base, unsigned cls)
{
	_Static_assert(MW_N_CLASSES * sizeof(struct mw_bin) <= MW_PAGE_SIZE, "bins fit the low bits of an address");
	return cls ? (uint32_t)base + cls * (uint32_t)sizeof(struct mw_bin) : 0;
}

static inline mspan *span_at(const heap_arena *a, uintptr_t p)
{
	return load_relaxed(&a->spans[(p >> MW_PAGE_SHIFT) & (MW_ARENA_PAGES - 1)]);
}

/* thp.c */
void mw__thp_init(void);
void mw__thp_piece(const heap_arena *a, uint64_t addr, uint32_t npages, uint32_t need);
void mw__thp_block(uint64_t addr, uint32_t npages);
void mw__thp_moved(uint64_t addr, uint32_t npages);
void mw__thp_given_back(heap_arena *a);

/* background.c */
void mw__background_check(void);       /* start it if there is need; no lock held */
void mw__background_thread_gone(void);
void mw__background_after_fork(void);

/* huge.c */
extern struct mw_kept mw__kept[MW_N_KEPT];
mspan *mw__huge_alloc(size_t size, size_t align, bool roomy); /* roomy: it is to grow */
void mw__huge_free(mspan *s);
bool mw__huge_resize(mspan *s, size_t size, bool roomy); /* may move it */
bool mw__huge_from_run(mspan *s, size_t size); /* a large block moves to its own mapping */
mspan *mw__huge_find(const void *p);      /* exact base; takes the heap lock */
mspan *mw__block_containing(uintptr_t p); /* slow, for error messages */
bool mw__was_huge(const void *p); /* the start of a block whose mapping is gone, as far as the ring of events tells; no lock */
size_t mw__huge_drop_idle(uint64_t now); /* 0: all; returns bytes unmapped */

/* large.c: blocks above 32 KiB and up to MAX_RUN_PAGES; sampled ones too */
mspan *mw__large_alloc(mcache *mc, size_t size, size_t align, size_t room);
void mw__large_free(mcache *mc, mspan *s);
bool mw__large_resize(mspan *s, size_t size); /* in place */
void mw__large_flush(mcache *mc);
bool mw__large_spill(void);               /* the same for this thread, under the heap lock */
void mw__large_look(mcache *mc);          /* drop half of the runs if none was used since the last look */
mspan *mw__guarded_run(size_t size);      /* heap lock; a block that ends at a guard page; NULL: there may be none */
void mw__guarded_free(mspan *s);          /* heap lock; guarded ones stay unreadable for a while */
size_t mw__quarantine_drop(void);         /* which ends for all of them; returns bytes */
mspan *mw__sampled_alloc(size_t size, size_t align, unsigned cls);
void mw__sampled_free(mspan *s);
void *mw__span_block(const mspan *s);     /* address of a single block */
size_t mw__span_usable(const mspan *s);

/* central.c */
unsigned mw__central_fetch(unsigned c, void **end, unsigned n); /* the first to end[-1], and so on; 0: no memory */
void mw__central_flush(unsigned c, void **objs, unsigned n);
void mw__central_return(unsigned c, void **objs, unsigned n);
bool mw__central_holds(unsigned c, const void *p);
void mw__central_drop_idle(void);         /* empty spans that classes have kept */
void mw__central_drain(void);             /* and transfer arrays back to spans */
mcentral *mw__central_lock(unsigned c);
void mw__central_unlock(mcentral *m);
mspan *mw__central_pick(mcentral *m);     /* a span with a free object, lock held */
void *mw__central_take(mcentral *m, mspan *s, unsigned idx);
void mw__central_put(mcentral *m, mspan *s, unsigned idx); /* may free the span */
unsigned mw__object_index(const mspan *s, uintptr_t p, bool *exact);

static inline bool mw__is_out(const mspan *s, unsigned idx)
{
	return load_relaxed(&s->alloc_bits[idx / 64]) >> (idx % 64) & 1;
}

/* Somebody gives back an object that is not out. */
static inline enum mw_error_kind mw__not_out(const mspan *s, unsigned idx)
{
	return idx < s->nfresh ? MW_ERROR_DOUBLE_FREE : MW_ERROR_FOREIGN_FREE;
}

/* cache.c */
extern __thread mcache *mw__mcache __attribute__((tls_model("initial-exec")));
extern struct mw_no_cache mw__no_cache;
#define NO_MCACHE ((mcache *)(void *)&mw__no_cache)
#define GONE_MCACHE ((mcache *)(void *)&mw__no_cache.bins[0].base) /* one bin further */
extern struct mw_lock mw__registry_lock;
mcache *mw__mcache_get(void);             /* of this thread, made if needed; or GONE_MCACHE */
bool mw__mcache_refill(mcache *mc, unsigned c);
bool mw__mcache_overflow(mcache *mc, unsigned c);
void mw__mcache_look(mcache *mc);         /* of a slow path, inside enter and leave */
void mw__mcache_flush_all(mcache *mc);
void mw__mcache_reclaim_orphans(void);
unsigned mw__mcache_count(const struct mw_bin *b);
bool mw__mcaches_hold(unsigned c, const void *p);

/* Around changes that must not be seen, or inherited by a fork child, half done. */
static inline void mw__mcache_enter(mcache *mc)
{
	store_relaxed(&mc->seq, mc->seq + 1);
	compiler_barrier();
}

static inline void mw__mcache_leave(mcache *mc)
{
	__atomic_store_n(&mc->seq, mc->seq + 1, __ATOMIC_RELEASE);
}

/*
 * What stands for an mcache where there is none, as far as the usual paths look at one:
 * they find no object and no room. Two addresses in one table, since two of its size
 * would cost each process five pages.
 */
struct mw_no_cache {
	int64_t until_sample, drawn;
	struct mw_bin bins[MW_N_CLASSES + 1];
};
_Static_assert(offsetof(struct mw_no_cache, bins) == offsetof(mcache, bins), "it begins like one");
_Static_assert(offsetof(struct mw_bin, base) == sizeof(struct mw_bin) - 16, "gone is one bin further");

static inline bool mcache_is_real(const mcache *mc)
{
	return mc != NO_MCACHE && mc != GONE_MCACHE;
}

/* audit.c */
void *mw__audit_alloc(size_t n, unsigned c);
void mw__audit_free(mspan *s, void *p);
bool mw__audit_ready(mspan *s); /* a span has its books; false: no memory */
void mw__audit_hand_out(mspan *s, unsigned idx, size_t n); /* an object that was free */
void mw__audit_bury(mspan *s, unsigned idx); /* one that is freed: look, fill or clear it; with zero alone too */
void mw__audit_span(mspan *s); /* look at all of its objects */
void mw__audit_at_exit(void);
void mw__audit_retire(mspan *s); /* the last look at its freed objects */
size_t mw__audit_usable(const mspan *s, const void *p);
bool mw__audit_resize(mspan *s, void *p, size_t n);
void mw__audit_seal(mspan *s);  /* canary behind a single block */
void mw__audit_check(mspan *s); /* and its check */
/* Who gave a block, for those who look for the wrong delete; malloc unless told. */
enum mw_origin { BY_MALLOC, BY_NEW, BY_NEW_ARRAY };
void mw__audit_came(void *p, enum mw_origin by);
void mw__audit_goes(void *p, enum mw_origin by); /* to the counterpart of by; an error if it is another */
size_t mw__audit_books(const mspan *s); /* bytes of aux */

/* sample.c */
extern struct mw_lock mw__sample_lock;
int64_t mw__sample_gap(uint64_t *rng);    /* bytes to the next sample */
void mw__sample_draw(mcache *mc);         /* next interval */
bool mw__sample_due(mcache *mc) mustcheck;
uint32_t mw__sample_book(size_t size, uint64_t exposed, const char *private_heap, uint64_t *times); /* at the caller's site */
void mw__sample_unbook(uint32_t site_and_1, size_t size, uint64_t times);
void mw__sample_rebook(uint32_t site_and_1, size_t from, size_t to, uint64_t *times, uint64_t more);
void mw__sample_alloc(mspan *s);          /* with requested and exposed set; gives it the caller's site */
void mw__sample_free(const mspan *s);
void mw__sample_resize(mspan *s, size_t to, uint64_t more);
const struct mw_site *mw__sample_site(uint32_t site);
unsigned mw__unwind(uint64_t *frames, unsigned max);

/* error.c */
void mw__error(enum mw_error_kind kind, const void *p, const mspan *s, const char *detail);
void mw__error_at(enum mw_error_kind kind, const void *p, const mspan *s, const char *detail,
		  uint32_t site); /* of the block; 0: not sampled */
size_t mw__format(char *buf, size_t cap, const char *fmt, ...);

/* malloc.c */
void *mw__new(size_t n, enum mw_origin by);
void *mw__malloc_aligned(size_t align, size_t n);
size_t mw__usable(const void *p);
void mw__delete(void *p, enum mw_origin by);
void mw__check_size(void *p, size_t n);      /* an error, if that is not its size */
void mw__check_align(void *p, size_t align); /* nor its alignment */

bool mw__recover(size_t size); /* let go of memory that nobody needs; true: try again */

/* cxx.c */
typedef void (*mw_handler)(void);
mw_handler mw__new_handler(void);        /* the program's, or NULL */
void *mw__cxx_runtime(const char *name); /* a function of libstdc++ or libc++, or NULL */
void *mw__new_aligned(enum mw_origin by, size_t align, size_t n);
void *mw__new_again(enum mw_origin by, size_t align, size_t n); /* asks the handler until there is none */

/* private.c, private_walk.c */
extern struct mw_lock mw__heaps_lock;
void mw__private_lock_for_fork(void);
void mw__private_after_fork(bool child);
void mw__private_error(enum mw_error_kind kind, const void *p, const mspan *s); /* whose it is; NULL: nobody's */
void mw__private_audit(void); /* look at all objects of all heaps */
unsigned mw__private_check(void (*bad)(void *, const char *, uint64_t), void *arg); /* locks are held */

/* compat.c */
void mw__report_at_exit(void);

#endif
