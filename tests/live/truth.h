/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * truth.h - what every truth-telling target shares.
 *
 * A target builds memory of a known shape and says, one JSON line for each
 * region, what a reader must find there. Before a line is printed, say()
 * compares the claim with the kernel's own reading (smaps and pagemap of this
 * process): a claim that the kernel did not deliver becomes a line with "skip"
 * and the reason, so that a checker never blames a reader for it.
 *
 * Nothing here calls malloc() or stdio: printing must not move the heap that
 * is being described.
 */
#ifndef MEMWHY_TESTS_LIVE_TRUTH_H
#define MEMWHY_TESTS_LIVE_TRUTH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PAGE    4096ul
#define KIB     1024ul
#define MIB     (1024ul * 1024ul)
#define SIZE    (16 * PAGE)             /* the usual region: 64 KiB */
#define RW      (PROT_READ | PROT_WRITE)
#define UNSAID  ((size_t)-1)            /* a column this target does not claim */

/* How long a target may live, whatever happens to its checker. */
#define LIFETIME_S 120

/*
 * A claim about one region. Every column that is not set is claimed to be 0;
 * UNSAID leaves a column out. The causes must add up to the region's size. A
 * code may be "N19|N21" (either, or both together) or "N?" (any N code).
 */
struct expect {
	size_t resident, anonymous, file, shmem, zero, huge, swap, guard;
	size_t untouched, lazyfree, hugetlb, beyond_eof, cached, uncached, locked;
	size_t shmem_swap;      /* part of swap that the page table does not show */
	size_t markers;         /* PTE markers that are not guards */
	bool not_alone;         /* part of a mapping, or several mappings */
	bool is_file;           /* cached, uncached and beyond_eof are claimed */
	const char *owner;
	const char *detail;     /* further JSON members, ready to print */
	struct {
		const char *code;
		size_t bytes;
	} causes[8];
};

/* What the kernel says about the same region; no pagemap from 1 TiB on. */
struct seen {
	size_t present, swapped, guarded, filed;        /* pagemap, bytes */
	bool is_mapping;                                /* the rest is valid */
	size_t rss, anonymous, swap, lazyfree, huge, hugetlb, locked;
};

/* --- output ------------------------------------------------------------ */

struct line {
	char text[2048];
	size_t used;
};

__attribute__((format(printf, 2, 3)))
static inline void add(struct line *l, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	int n = vsnprintf(l->text + l->used, sizeof(l->text) - l->used, format, ap);
	va_end(ap);
	if (n > 0 && l->used + (size_t)n < sizeof(l->text))
		l->used += (size_t)n;
}

static inline void put(struct line *l)
{
	add(l, "\n");
	for (size_t done = 0; done < l->used;) {
		ssize_t n = write(STDOUT_FILENO, l->text + done, l->used - done);

		if (n <= 0)
			_exit(1);
		done += (size_t)n;
	}
}

static inline void say_skip(const char *region, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static inline void say_skip(const char *region, const char *format, ...)
{
	struct line l = {.used = 0};
	char why[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, sizeof(why), format, ap);
	va_end(ap);
	add(&l, "{\"region\":\"%s\",\"skip\":\"%s\"}", region, why);
	put(&l);
}

/* --- the kernel's own reading ------------------------------------------- */

struct reader {
	int fd;
	size_t at, end;
	char buf[4096];
};

static inline int next_char(struct reader *r)
{
	if (r->at == r->end) {
		ssize_t n = read(r->fd, r->buf, sizeof(r->buf));

		if (n <= 0)
			return -1;
		r->at = 0;
		r->end = (size_t)n;
	}
	return (unsigned char)r->buf[r->at++];
}

static inline bool next_line(struct reader *r, char *out, size_t cap)
{
	size_t n = 0;
	int c;

	while ((c = next_char(r)) >= 0 && c != '\n')
		if (n + 1 < cap)
			out[n++] = (char)c;
	out[n] = 0;
	return c >= 0 || n > 0;
}

static inline bool is_header(const char *line, uint64_t *start, uint64_t *end)
{
	unsigned long long a, b;
	char after;

	if (sscanf(line, "%llx-%llx%c", &a, &b, &after) != 3 || after != ' ')
		return false;
	*start = a;
	*end = b;
	return true;
}

static inline void take_field(struct seen *s, const char *line)
{
	char key[32];
	unsigned long long kb;

	if (sscanf(line, "%31[^:]: %llu kB", key, &kb) != 2)
		return;

	size_t bytes = (size_t)kb * KIB;

	if (!strcmp(key, "Rss"))
		s->rss = bytes;
	else if (!strcmp(key, "Anonymous"))
		s->anonymous = bytes;
	else if (!strcmp(key, "Swap"))
		s->swap = bytes;
	else if (!strcmp(key, "LazyFree"))
		s->lazyfree = bytes;
	else if (!strcmp(key, "Locked"))
		s->locked = bytes;
	else if (strstr(key, "Hugetlb"))
		s->hugetlb += bytes;
	else if (!strcmp(key, "AnonHugePages") || strstr(key, "PmdMapped"))
		s->huge += bytes;
}

static inline void see_smaps(struct seen *s, uint64_t start, uint64_t end)
{
	static struct reader r;
	char line[512];
	uint64_t a, b;
	bool inside = false;

	r = (struct reader){.fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC)};
	while (r.fd >= 0 && next_line(&r, line, sizeof(line))) {
		if (is_header(line, &a, &b)) {
			if (inside)
				break;
			inside = a == start && b == end;
		} else if (inside) {
			take_field(s, line);
		}
	}
	s->is_mapping = inside;
	close(r.fd);
}

/* Bits of a pagemap entry. */
#define PM_PRESENT (1ull << 63)
#define PM_SWAP    (1ull << 62)
#define PM_FILE    (1ull << 61)
#define PM_GUARD   (1ull << 58)

/* Calls @visit with each entry of [start, end), in order. */
static inline bool walk_pagemap(uint64_t start, uint64_t end,
				void (*visit)(void *, size_t, uint64_t), void *arg)
{
	static uint64_t entry[512];
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t idx = 0, count = (size_t)((end - start) / PAGE);

	while (fd >= 0 && idx < count) {
		size_t want = count - idx < 512 ? count - idx : 512;
		off_t off = (off_t)((start / PAGE + idx) * sizeof(entry[0]));
		ssize_t n = pread(fd, entry, want * sizeof(entry[0]), off);

		if (n <= 0)
			break;
		for (size_t i = 0; i < (size_t)n / sizeof(entry[0]); i++)
			visit(arg, idx++, entry[i]);
	}
	if (fd >= 0)
		close(fd);
	return idx == count;
}

static inline void count_entry(void *arg, size_t idx, uint64_t entry)
{
	struct seen *s = arg;

	(void)idx;
	if (entry & PM_PRESENT) {
		s->present += PAGE;
		if (entry & PM_FILE)
			s->filed += PAGE;
	} else if (entry & PM_GUARD) {
		s->guarded += PAGE;
	} else if (entry & PM_SWAP) {
		s->swapped += PAGE;
	}
}

static inline struct seen see(uint64_t start, uint64_t end)
{
	struct seen s = {0};

	if (end - start < 1ull << 40)
		walk_pagemap(start, end, count_entry, &s);
	see_smaps(&s, start, end);
	return s;
}

/* The mapping that holds @p, from this process's own maps. */
static inline bool find_mapping(const void *p, uint64_t *start, uint64_t *end)
{
	static struct reader r;
	char line[512];
	bool found = false;

	r = (struct reader){.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)};
	while (!found && r.fd >= 0 && next_line(&r, line, sizeof(line)))
		found = is_header(line, start, end) &&
			*start <= (uintptr_t)p && (uintptr_t)p < *end;
	close(r.fd);
	return found;
}

/* --- claims -------------------------------------------------------------- */

struct column {
	const char *what;
	size_t claimed, found;
};

/* The first column where the kernel did not deliver the claim, or NULL. */
static inline const struct column *disagreement(const struct column *c, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (c[i].claimed != UNSAID && c[i].claimed != c[i].found)
			return &c[i];
	return NULL;
}

static inline bool delivered(const char *region, const struct expect *e,
			     const struct seen *s)
{
	size_t mapped = e->resident + e->zero + e->hugetlb;
	const struct column all[] = {
		{"pagemap present", mapped, s->present},
		{"pagemap guards", e->guard, s->guarded},
		{"pagemap swap entries", e->swap - e->shmem_swap + e->markers, s->swapped},
		{"smaps Rss", e->resident, s->rss},
		{"smaps Anonymous", e->anonymous, s->anonymous},
		{"smaps Swap", e->swap, s->swap},
		{"smaps LazyFree", e->lazyfree, s->lazyfree},
		{"smaps huge pages", e->huge, s->huge},
		{"smaps hugetlb", e->hugetlb, s->hugetlb},
	};
	size_t count = e->not_alone ? 3 : sizeof(all) / sizeof(all[0]);

	if (!e->not_alone && !s->is_mapping) {
		say_skip(region, "not a mapping of its own");
		return false;
	}

	const struct column *bad = disagreement(all, count);

	if (bad)
		say_skip(region, "the kernel gave another shape: %s is %zu, claimed %zu",
			 bad->what, bad->found, bad->claimed);
	return !bad;
}

static inline void add_column(struct line *l, const char *name, size_t bytes)
{
	if (bytes != UNSAID)
		add(l, "\"%s\":%zu,", name, bytes);
}

static inline void add_columns(struct line *l, const struct expect *e)
{
	add_column(l, "resident", e->resident);
	add_column(l, "anonymous", e->anonymous);
	add_column(l, "file", e->file);
	add_column(l, "shmem", e->shmem);
	add_column(l, "zero", e->zero);
	add_column(l, "huge", e->huge);
	add_column(l, "swap", e->swap);
	add_column(l, "guard", e->guard);
	add_column(l, "untouched", e->untouched);
	add_column(l, "lazyfree", e->lazyfree);
	add_column(l, "hugetlb", e->hugetlb);
	if (e->locked)
		add_column(l, "locked", e->locked);
	if (!e->is_file)
		return;
	add_column(l, "cached", e->cached);
	add_column(l, "uncached", e->uncached);
	add_column(l, "beyond_eof", e->beyond_eof);
}

/* Returns the sum of the causes. */
static inline size_t add_causes(struct line *l, const struct expect *e)
{
	size_t sum = 0;
	const char *comma = "";

	add(l, "\"causes\":{");
	for (size_t i = 0; i < 8 && e->causes[i].code; i++) {
		sum += e->causes[i].bytes;
		if (!e->causes[i].bytes)
			continue;
		add(l, "%s\"%s\":%zu", comma, e->causes[i].code, e->causes[i].bytes);
		comma = ",";
	}
	add(l, "}");
	return sum;
}

/* Claims *@e for [p, p + size), or says why the claim is void. */
static inline void say(const char *region, const void *p, size_t size, struct expect e)
{
	uint64_t start = (uintptr_t)p, end = start + size;
	struct line l = {.used = 0};
	struct seen s = see(start, end);

	if (!delivered(region, &e, &s))
		return;
	add(&l, "{\"region\":\"%s\",\"start\":\"0x%llx\",\"end\":\"0x%llx\",\"expect\":{",
	    region, (unsigned long long)start, (unsigned long long)end);
	add_columns(&l, &e);

	size_t sum = add_causes(&l, &e);

	if (sum != size) {
		say_skip(region, "target's fault: the causes add up to %zu of %zu", sum, size);
		return;
	}
	add(&l, "}");
	if (e.not_alone)
		add(&l, ",\"alone\":false");
	if (e.owner)
		add(&l, ",\"owner\":\"%s\"", e.owner);
	if (e.detail)
		add(&l, ",%s", e.detail);
	add(&l, "}");
	put(&l);
}

/* --- measured claims ------------------------------------------------------ */

/* The states of an anonymous range whose shape the kernel or libc chose. */
static inline struct expect measure_anon(const void *p, size_t size, const char *rest)
{
	struct seen s = {0};

	walk_pagemap((uintptr_t)p, (uintptr_t)p + size, count_entry, &s);
	return (struct expect){
		.resident = s.present, .anonymous = s.present,
		.untouched = size - s.present,
		.causes = {{"R1", s.present}, {rest, size - s.present}},
	};
}

struct file_pages {
	const unsigned char *in_core;
	size_t live;            /* bytes of the range that the file backs */
	size_t copied, mapped, cached, uncached, beyond;
};

static inline void count_file_page(void *arg, size_t idx, uint64_t entry)
{
	struct file_pages *f = arg;

	if (entry & PM_PRESENT)
		*(entry & PM_FILE ? &f->mapped : &f->copied) += PAGE;
	else if (idx * PAGE >= f->live)
		f->beyond += PAGE;
	else
		*(f->in_core[idx] & 1 ? &f->cached : &f->uncached) += PAGE;
}

/*
 * The states of a file mapping, page by page. Fault-around decides how many
 * pages come in, so the mapped share is measured rather than known; what is
 * copied was written by the target itself. mincore() tells the owner of a file
 * the truth about the page cache.
 */
static inline struct expect measure_file(const void *p, size_t size, size_t live)
{
	static unsigned char in_core[4096];
	struct file_pages f = {.in_core = in_core, .live = live};

	if (size / PAGE > sizeof(in_core) || mincore((void *)(uintptr_t)p, size, in_core))
		return (struct expect){.resident = UNSAID};
	walk_pagemap((uintptr_t)p, (uintptr_t)p + size, count_file_page, &f);
	return (struct expect){
		.resident = f.copied + f.mapped, .anonymous = f.copied, .file = f.mapped,
		.untouched = f.beyond + f.cached + f.uncached,
		.is_file = true, .beyond_eof = f.beyond,
		.cached = f.cached, .uncached = f.uncached,
		.causes = {{"R1", f.copied}, {"R2", f.mapped}, {"N10", f.beyond},
			   {"N11", f.cached}, {"N12", f.uncached}},
	};
}

/* --- memory to build with -------------------------------------------------- */

#define MOAT (4 * PAGE)

/*
 * Address space for one region with a moat on both sides, so that nothing else
 * can touch it and merge. The caller maps over it with MAP_FIXED.
 */
static inline void *moated(size_t size, size_t align, int moat_prot)
{
	size_t total = size + align + 2 * MOAT;
	char *p = mmap(NULL, total, moat_prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		_exit(1);

	uintptr_t at = (uintptr_t)p + MOAT;

	return (void *)(at + (align - at % align) % align);
}

/* Maps @size bytes at a place of their own; NULL when the kernel refuses. */
static inline char *island(size_t size, int prot, int flags, int fd)
{
	void *at = moated(size, PAGE, prot == PROT_NONE ? PROT_READ : PROT_NONE);
	void *p = mmap(at, size, prot, flags | MAP_FIXED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static inline char *anon_island(size_t size)
{
	return island(size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static inline void write_pages(char *p, size_t count)
{
	for (size_t i = 0; i < count; i++)
		*(volatile char *)(p + i * PAGE) = (char)(i + 1);
}

static inline unsigned read_pages(const char *p, size_t count)
{
	unsigned sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (unsigned char)*(const volatile char *)(p + i * PAGE);
	return sum;
}

/* --- files to build with ----------------------------------------------------- */

#define TMPFS 0x01021994

/* Where a target may put files: the checker's directory, else the working one. */
static inline const char *truth_dir(void)
{
	const char *dir = getenv("TRUTH_DIR");

	return dir ? dir : ".";
}

static inline bool dir_is_tmpfs(void)
{
	struct statfs s;

	return statfs(truth_dir(), &s) == 0 && s.f_type == TMPFS;
}

/* A file of @pages filled pages that is on disk and already without a name. */
static inline int nameless_file(size_t pages)
{
	char name[4096], block[PAGE];
	int fd;

	snprintf(name, sizeof(name), "%s/truth-XXXXXX", truth_dir());
	fd = mkstemp(name);
	if (fd < 0)
		return -1;
	unlink(name);
	memset(block, 'x', sizeof(block));
	for (size_t i = 0; i < pages; i++)
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
			return -1;
	return fsync(fd) ? -1 : fd;
}

/* --- a target's life ----------------------------------------------------------- */

static inline void begin_with_huge_pages(void)
{
	alarm(LIFETIME_S);
}

/* khugepaged would change shapes behind the target's back, minutes later. */
static inline void begin(void)
{
	begin_with_huge_pages();
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

/* Says that the shape stands, holds it until the checker lets go, and ends. */
__attribute__((noreturn)) static inline void hold(void)
{
	struct line l = {.used = 0};
	char c;

	add(&l, "{\"ready\":true}");
	put(&l);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	exit(0);
}

#endif
