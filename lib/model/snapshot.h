/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The snapshot: all facts about one process at one moment, and nothing derived.
 *
 * Readers (proc/, elf/, save/) and walkers (heap/) fill a builder through collect/;
 * mw__snapshot_freeze() checks it and yields a const snapshot. Right of the freeze
 * (explain/, report/) nothing opens a file, calls libelf or looks at a pid.
 *
 * Invariants after the freeze:
 *   vmas   sorted by start, start < end, none overlap, page aligned
 *   runs   sorted, none overlap, each inside one VMA, only pages with a state;
 *          vma->run .. run + n_runs are those of that VMA
 *   claims sorted by priority, then start; each inside [0, 2^64), start < end
 *   cache  as runs, but of pages that are not present and in the page cache;
 *          only of mappings with cache_placed
 *   frames sorted by addr, one a page
 *   indexes (vma->file, image->file) are valid or MW__NONE
 */
#ifndef MW_MODEL_SNAPSHOT_H
#define MW_MODEL_SNAPSHOT_H

#include "../base/arena.h"
#include "../base/vec.h"
#include "../memwhy.h"
#include "cpu.h"
#include "own.h"

#define MW__NONE UINT32_MAX

enum mw__owner {
#define OWNER(name, id, what, why, code) MW__OWNER_##name,
#include "owners.def"
#undef OWNER
	MW__N_OWNERS
};

enum mw__cause {
#define CAUSE(code, res, text, how) MW__##code,
#include "causes.def"
#undef CAUSE
	MW__N_CAUSES
};

struct mw__owner_info {
	const char *id, *what, *why;
	enum mw__cause absent;	/* cause of bytes of this owner that are not present */
};
struct mw__cause_info {
	const char *code, *text, *how;
	bool is_resident;
};
extern const struct mw__owner_info mw__owners[MW__N_OWNERS];
extern const struct mw__cause_info mw__causes[MW__N_CAUSES];

/* How sure a label is. */
enum mw__certainty { MW__UNPROVEN, MW__LIKELY, MW__PROVEN };
extern const char *const mw__certainty_names[3];	/* "unknown", "likely", "proven" */

enum mw__prot { MW__R = 4, MW__W = 2, MW__X = 1 };

/* What backs a mapping, as far as it is known without labels. */
enum mw__vma_kind {
	MW__ANON,	/* private anonymous, /dev/zero included */
	MW__FILE,	/* regular file */
	MW__SHMEM,	/* tmpfs, memfd, SysV, shared anonymous */
	MW__HUGETLB,
	MW__SPECIAL,	/* [vdso], [vvar], ...: installed by the kernel */
	MW__DEVICE,	/* character device or anon_inode */
	MW__N_KINDS
};
extern const char *const mw__vma_kinds[MW__N_KINDS];

/* States of a page; a run carries their union. Pages without a state have no run. */
enum mw__page {
	MW__PRESENT = 1,
	MW__SWAPPED = 2,	/* a swap entry, unless MW__GUARDED */
	MW__ZERO = 4,		/* present, the shared zero page */
	MW__HUGE = 8,		/* mapped by a huge entry */
	MW__GUARDED = 16,	/* guard marker */
	MW__OF_FILE = 32,	/* a page of a file or shared memory; asked for private file VMAs only */
};

struct mw__run {
	uint64_t start;
	uint32_t pages;
	uint32_t state;		/* enum mw__page */
};

#define SMAPS(member, key, json, what) uint64_t member;
struct mw__smaps {
#include "smaps.def"
	const char *flags;	/* VmFlags, "rd wr mr ...", or NULL */
};
#undef SMAPS

struct mw__vma {
	uint64_t start, end;
	uint64_t off;		/* offset of start in the file; bytes */
	uint64_t ino;		/* MW_UNKNOWN: neither inode nor device is known (cores) */
	uint32_t dev_major, dev_minor;
	const char *name;	/* last field of maps, unescaped, "" if none; may end in " (deleted)" */
	uint32_t file;		/* index into files, or MW__NONE */
	uint32_t run, n_runs;	/* its page runs */
	uint8_t prot;		/* enum mw__prot */
	uint8_t kind;		/* enum mw__vma_kind */
	bool is_shared;
	bool no_pages;		/* no struct pages behind it (PFNMAP): never scanned */
	bool states_known;	/* false: its page states could not be read */
	uint64_t zero_unplaced;	/* bytes that the runs call present and that are zero pages,
				   where the source does not tell which (MW_PAGES_SMAPS) */
	uint64_t cached;	/* bytes not present here, but in the page cache; MW_UNKNOWN */
	uint64_t evicted;	/* bytes of shared memory swapped out; MW_UNKNOWN */
	uint32_t cache, n_cache;	/* its runs in the page cache */
	bool cache_placed;	/* which pages are in the cache is known, not only how many */
};

/* What the kernel tells of the frame behind a page; asked for with rights only. */
struct mw__frame {
	uint64_t addr;
	uint64_t pfn;		/* MW_UNKNOWN */
	uint64_t flags;		/* of /proc/kpageflags; MW_UNKNOWN */
	uint64_t mappers;	/* of /proc/kpagecount; MW_UNKNOWN */
	uint32_t node;		/* NUMA node; MW__NONE */
	uint32_t found;		/* entries that were found in processes; not saved */
};

/* A process that maps frames of snap->frames, and which: asked for only, not saved. */
struct mw__mapper {
	pid_t pid;
	const char *comm;	/* or NULL */
	uint64_t entries;	/* page table entries of it that point to them */
};
struct mw__frame_place {
	uint64_t addr;		/* of the page in the target */
	uint32_t mapper;	/* index into mappers */
};

/* Where in the source an address is; asked for only. */
struct mw__source_line {
	uint64_t addr;		/* in memory */
	uint32_t depth;		/* 0: the innermost of inlined functions */
	uint64_t line;
	const char *function, *file;	/* "" if not known */
};

/* A file that is mapped, by device and inode. */
struct mw__file {
	const char *path;	/* as in maps, without " (deleted)" */
	uint32_t dev_major, dev_minor;
	uint64_t ino;
	uint64_t size;		/* st_size, or MW_UNKNOWN */
	bool is_deleted;	/* maps says so */
	bool is_replaced;	/* another file has its path now */
	const char *how;	/* how it was opened: "map_files", "exe", "root", "path", or NULL */
	const char *fs;		/* file system type from mountinfo, or NULL */
};

struct mw__segment {
	uint32_t type, flags;	/* p_type, p_flags */
	uint64_t off, vaddr, filesz, memsz, align;
};

struct mw__section {
	const char *name;
	uint32_t type;
	uint64_t flags, addr, size, off;
};

/* A function or variable. Sorted by addr, then the larger one first. */
struct mw__symbol {
	uint64_t addr, size;	/* without load bias; size 0: not told */
	const char *name;	/* as in the file: mangled */
	uint8_t type, bind;	/* STT_, STB_ */
};

/* A page that the dynamic linker writes when it loads the image. */
struct mw__reloc_page {
	uint64_t addr;		/* without load bias */
	uint64_t relocs;	/* relocations that write to it */
	uint64_t own;		/* words that the linker keeps there for itself */
};

/* More about an image than its mappings need; read only when asked for. */
struct mw__detail {
	const struct mw__symbol *symbols;
	uint32_t n_symbols;
	const char *symbols_from;	/* ".symtab", ".dynsym", ".gopclntab", a debug file; NULL: none */
	bool symbols_read;	/* otherwise there may be some */
	bool relocs_known;
	const struct mw__reloc_page *reloc_pages;	/* by addr */
	uint32_t n_reloc_pages;
	uint64_t n_relative, n_symbolic, n_plt, n_copy, n_ifunc;	/* relocations by what they need */
	bool binds_now;		/* DF_BIND_NOW: PLT slots are resolved at start */
};

enum mw__role { MW__PROGRAM, MW__INTERPRETER, MW__LIBRARY, MW__VDSO };

/* One mapped instance of an ELF file. */
struct mw__image {
	const char *path;
	uint32_t file;		/* index into files, or MW__NONE (vdso) */
	enum mw__role role;
	uint64_t bias;		/* address in memory = bias + p_vaddr, modulo 2^64 */
	uint64_t start, end;	/* page-rounded span of its PT_LOAD segments in memory */
	uint8_t elf_class;	/* 32 or 64 */
	bool big_endian;
	uint16_t type, machine;
	const struct mw__segment *segments;
	uint32_t n_segments;
	const struct mw__section *sections;	/* allocated ones; none when read from memory */
	uint32_t n_sections;
	const char *build_id;	/* hex, or NULL */
	const char *go_version;	/* "go1.19.8" from .go.buildinfo, or NULL */
	const char *interp;	/* PT_INTERP, or NULL */
	const char *source;	/* "file" or "memory" */
	const struct mw__detail *detail;	/* NULL unless asked for */
};

struct mw__task {
	pid_t tid;
	const char *comm;
	uint64_t sp;		/* stack pointer of a blocked thread; MW_UNKNOWN */
	uint64_t descriptor;	/* address of its thread descriptor; MW_UNKNOWN */
};

/* A range that a reader or walker knows the owner of. */
struct mw__claim {
	uint64_t start, end;
	uint8_t owner;		/* enum mw__owner */
	uint8_t certainty;
	uint16_t priority;	/* a higher one wins where claims overlap */
	const char *rule;	/* how it is known */
	const char *detail;	/* "tid 42 (worker)", "arena 2", ... or NULL */
};

enum mw__severity { MW__INFO, MW__WARNING };
struct mw__note {
	enum mw__severity severity;
	const char *source;	/* "smaps_rollup", "pagemap", "cachestat", ... */
	const char *reason;
	const char *remedy;	/* command or capability that would lift it, or NULL */
};

#define STATUS(member, key, what) uint64_t member;
struct mw__status {
#include "status.def"
	uint64_t threads;
	pid_t ppid, ns_pid;	/* ns_pid: pid in the innermost namespace, 0 if the same or unknown */
	uint32_t uid, euid;
	char state;
};
#undef STATUS

/* The same amounts by other roads, for verification. MW_UNKNOWN where not read. */
struct mw__roads {
	uint64_t statm_size, statm_rss;
	uint64_t stat_vsize;
	uint64_t procps_vsize, procps_rss;
	uint64_t vsz_before, rss_before;	/* VmSize, VmRSS before the pages were read */
};

struct mw__limits {
	uint64_t as_soft, stack_soft, memlock_soft, data_soft;	/* MW_UNKNOWN; MW__NO_LIMIT */
	uint64_t max_map_count;
	uint64_t swap_total, swap_free;
	uint64_t mem_total;
	uint64_t cpus;
	const char *thp;	/* "always", "madvise", "never", or NULL */
};
#define MW__NO_LIMIT (UINT64_MAX - 1)

struct mw__cgroup {
	const char *path;	/* or NULL */
	uint32_t version;	/* 1, 2; 0 unknown */
	bool is_root;		/* of the whole machine, not only of our cgroup namespace */
	uint64_t current, max, anon, file, shmem, kernel, slab, sock, page_tables, inactive_file, swap;
};

/* Addresses from /proc/PID/stat (zero without the right to read: then MW_UNKNOWN). */
struct mw__layout {
	uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
};

struct mw__target {
	pid_t pid;
	const char *comm, *exe, *cmdline;
	uint64_t start_ticks;		/* field 22 of stat */
	uint64_t taken_at_ns;		/* CLOCK_REALTIME when collecting began */
	uint64_t took_ns;
	const char *kernel;		/* uname -r */
	const char *machine;		/* uname -m */
	uint64_t page_size;
	uint32_t page_levels;		/* levels of page tables, 4 or 5 (x86-64); 0: not known */
	uint32_t tries;			/* snapshots taken until one was accepted */
	bool is_torn;
	bool has_maps;			/* false: maps could not be read */
	enum mw_page_source pages;	/* the road that gave the page states; AUTO: none did */
	const char *allocator;		/* "glibc 2.36", "jemalloc", ... recognised, or NULL */
	const char *runtime;		/* "Go go1.19.8", "CPython 3.11", ... or NULL */
};

struct mw_snapshot {
	struct mw__arena arena;
	struct mw__target target;
	struct mw__status status;	/* read after the pages */
	struct mw__roads roads;
	struct mw__limits limits;
	struct mw__cgroup cgroup;
	struct mw__layout layout;
	struct mw__smaps rollup;	/* all MW_UNKNOWN unless read */
	struct mw_cpu cpu;		/* of the machine; no leaves unless asked for */
	struct mw__smaps *smaps;	/* one a VMA, or NULL */
	MW_VEC(struct mw__vma) vmas;
	MW_VEC(struct mw__run) runs;
	MW_VEC(struct mw__run) cache;
	MW_VEC(struct mw__frame) frames;
	MW_VEC(struct mw__mapper) mappers;
	MW_VEC(struct mw__frame_place) frame_places;
	uint64_t mappers_unread;	/* processes that could not be asked */
	bool mappers_known;
	MW_VEC(struct mw__source_line) sources;
	MW_VEC(struct mw__file) files;
	MW_VEC(struct mw__image) images;
	MW_VEC(struct mw__task) tasks;
	MW_VEC(struct mw__claim) claims;
	MW_VEC(struct mw__note) notes;
	struct mw__own *own;		/* inside the heap of our own allocator, or NULL */
	bool own_unused;		/* it is loaded, but serves nobody */
	bool incomplete;		/* of a core file that lacks memory which might name the allocator; a note tells which */
};

/* Set every amount to MW_UNKNOWN. */
void mw__smaps_init(struct mw__smaps *smaps);
void mw__snapshot_init(struct mw_snapshot *snap);
void mw__snapshot_deinit(struct mw_snapshot *snap);

/* Check and order what the builder filled in. -MW_E_FORMAT names what is wrong. */
MW_MUST_CHECK int mw__snapshot_freeze(struct mw_snapshot *snap, struct mw_err *err);

/* Sum of the sizes of all mappings but [vsyscall]. */
uint64_t mw__snapshot_vsz(const struct mw_snapshot *snap);
/* The innermost of the symbols that hold addr (without load bias), or NULL; one without size holds nothing. */
const struct mw__symbol *mw__detail_symbol_at(const struct mw__detail *detail, uint64_t addr);
/* The VMA that holds addr, or NULL. */
const struct mw__vma *mw__snapshot_vma_at(const struct mw_snapshot *snap, uint64_t addr);
/* The run of this VMA that holds addr, or NULL: no state. */
const struct mw__run *mw__vma_run_at(const struct mw_snapshot *snap, const struct mw__vma *vma, uint64_t addr);
/* What is known of the frame behind the page that holds addr, or NULL. */
const struct mw__frame *mw__snapshot_frame_at(const struct mw_snapshot *snap, uint64_t addr);
/* [vsyscall] is listed in maps, but belongs to no process. */
bool mw__vma_is_vsyscall(const struct mw__vma *vma);
/* Private and backed by something: its pages may be copies, so MW__OF_FILE tells which are not. */
static inline bool mw__vma_may_copy(const struct mw__vma *vma)
{
	return !vma->is_shared && vma->kind != MW__ANON && vma->kind != MW__HUGETLB;
}

/* Add a note; the texts are formatted into the arena. remedy may be NULL. Loss of memory drops it. */
void mw__note(struct mw_snapshot *snap, enum mw__severity severity, const char *source,
	      const char *remedy, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
