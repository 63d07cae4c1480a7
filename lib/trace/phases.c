/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When the program leaves the dynamic linker, and when main begins. Hardware breakpoints as perf events
 * (PERF_TYPE_BREAKPOINT) write down the time of a call and change nothing in the program:
 *   _dl_debug_state   ld.so calls it for debuggers; with glibc the second call (elf/rtld.c, dl_main(),
 *                     RT_CONSISTENT) is behind the last relocation and before the first constructor, or the
 *                     third, where ld.so has to map the program itself; musl calls it once, there
 *   main              by the symbol table; when that is stripped, by Go's table of functions, or by the instruction in
 *                     _start that passes its address (lea main(%rip),%rdi or mov $main,%rdi in crt1.o)
 * Of a dynamic linker that was started to run a program, what is executed is ld.so itself, and the program's main
 * stays unknown. Addresses are taken from files: reading the program's memory would fault its pages in.
 */
#include "trace.h"

#include "../base/cleanup.h"
#include "../base/size.h"
#include "../elf/detail.h"
#include "../elf/image.h"
#include "../elf/lookup.h"
#include "../proc/proc.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Bytes of _start that are searched for the address of main. */
#define START_BYTES 64

struct program {
	pid_t pid;
	uint64_t entry, base;	/* AT_ENTRY, AT_BASE; 0: absent */
	uint64_t bias;		/* of what is executed */
};

static bool read_auxv(pid_t pid, bool is_32, struct program *p)
{
	MW_CLEANUP(mw__closep) int fd = -1;
	char path[40];
	uint32_t half[2] = {};
	uint64_t v[2];
	void *buf = is_32 ? (void *)half : (void *)v;
	ssize_t size = is_32 ? sizeof(half) : sizeof(v);

	*p = (struct program){ .pid = pid };
	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && read(fd, buf, (size_t)size) == size) {
		if (is_32)
			v[0] = half[0], v[1] = half[1];
		if (v[0] == AT_ENTRY)
			p->entry = v[1];
		else if (v[0] == AT_BASE)
			p->base = v[1];
	}
	return p->entry != 0;
}

/* Where the file's header says that it begins; MW_UNKNOWN. */
static uint64_t read_entry(int fd, bool is_32)
{
	Elf32_Ehdr small;
	Elf64_Ehdr large;

	if (is_32)
		return pread(fd, &small, sizeof(small), 0) == sizeof(small) ? small.e_entry : MW_UNKNOWN;
	return pread(fd, &large, sizeof(large), 0) == sizeof(large) ? large.e_entry : MW_UNKNOWN;
}

static void watch(struct mw__phases_watch *w, pid_t pid, uint64_t addr, enum mw__phase phase, unsigned hit,
		  const char *rule)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_BREAKPOINT, .size = sizeof(a), .bp_type = HW_BREAKPOINT_X, .bp_addr = addr,
		.bp_len = sizeof(long), .sample_period = 1, .sample_type = PERF_SAMPLE_TIME, .exclude_kernel = 1,
		.exclude_hv = 1, .use_clockid = 1, .clockid = CLOCK_MONOTONIC,
	};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (w->n == MW__MAX_BREAKPOINTS)
		return;
	int fd = (int)mw__perf_open(&a, pid, -1, -1);

	if (fd < 0)
		return;
	void *base = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		close(fd);
	else
		w->v[w->n++] = (struct mw__breakpoint){ fd, base, phase, hit, rule };
}

/* The bytes at a virtual address, from the file. */
static bool file_bytes(int fd, const struct mw__image *img, uint64_t vaddr, void *buf, size_t n)
{
	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];

		if (s->type == PT_LOAD && vaddr >= s->vaddr && vaddr - s->vaddr < s->filesz)
			return pread(fd, buf, n, (off_t)(s->off + (vaddr - s->vaddr))) == (ssize_t)n;
	}
	return false;
}

/* The address of main that _start (at vaddr entry) passes in rdi; MW_UNKNOWN. */
static uint64_t main_from_start(const unsigned char code[START_BYTES], uint64_t entry)
{
	for (unsigned i = 0; i + 7 <= START_BYTES; i++) {
		int32_t rel;

		if (code[i] != 0x48)
			continue;
		memcpy(&rel, &code[i + 3], 4);
		if (code[i + 1] == 0x8d && code[i + 2] == 0x3d)
			return entry + i + 7 + (uint64_t)(int64_t)rel;
		if (code[i + 1] == 0xc7 && code[i + 2] == 0xc7)
			return (uint64_t)(int64_t)rel;
	}
	return MW_UNKNOWN;
}

static void end_elf(Elf **elf)
{
	elf_end(*elf);
}

static uint64_t find_go_main(int fd, const struct mw__image *img)
{
	elf_version(EV_CURRENT);
	MW_CLEANUP(end_elf) Elf *elf = elf_begin(fd, ELF_C_READ, NULL);

	return elf ? mw__detail_go_function(elf, img, "main.main") : MW_UNKNOWN;
}

static void watch_main(struct mw__phases_watch *w, const struct program *p, int fd, const struct mw__image *img)
{
	unsigned char code[START_BYTES];
	uint64_t main_addr = mw__lookup_name(fd, "main");
	const char *rule = "call of main, from the symbol table";

	if (main_addr == MW_UNKNOWN) {
		main_addr = mw__lookup_name(fd, "main.main");
		rule = "call of main.main, from the symbol table";
	}
	if (main_addr == MW_UNKNOWN) {
		main_addr = find_go_main(fd, img);
		rule = "call of main.main, from .gopclntab";
	}
	if (main_addr == MW_UNKNOWN && img->machine == EM_X86_64 && file_bytes(fd, img, p->entry - p->bias, code, START_BYTES)) {
		main_addr = main_from_start(code, p->entry - p->bias);
		rule = "call of main, whose address _start passes on";
	}
	if (main_addr != MW_UNKNOWN)
		watch(w, p->pid, p->bias + main_addr, MW__PHASE_MAIN, 1, rule);
}

static void watch_state(struct mw__phases_watch *w, pid_t pid, uint64_t addr, const char *linker, bool maps_program)
{
	watch(w, pid, addr, MW__PHASE_INIT, strstr(linker, "musl") ? 1 : maps_program ? 3 : 2,
	      "ld.so reports to debuggers that all libraries are relocated");
}

static void watch_ldso(struct mw__phases_watch *w, const struct program *p, const char *interp)
{
	char path[4200];

	snprintf(path, sizeof(path), "/proc/%d/root%s", p->pid, interp);
	MW_CLEANUP(mw__closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t state = fd >= 0 ? mw__lookup_name(fd, "_dl_debug_state") : MW_UNKNOWN;

	if (state != MW_UNKNOWN)
		watch_state(w, p->pid, p->base + state, interp, false);
	else
		watch(w, p->pid, p->entry, MW__PHASE_INIT, 1, "entry point; constructors of libraries ran before it");
}

/* A program that needs no dynamic linker is one when it exports what debuggers wait for. */
static bool watch_started_ldso(struct mw__phases_watch *w, const struct program *p, int fd, const char *exe)
{
	uint64_t state = p->base ? MW_UNKNOWN : mw__lookup_exported(fd, "_dl_debug_state");
	char linker[4096];
	ssize_t n = readlink(exe, linker, sizeof(linker) - 1);

	if (state == MW_UNKNOWN)
		return false;
	linker[mw__max(n, 0)] = '\0';
	watch_state(w, p->pid, p->bias + state, linker, true);
	return true;
}

void mw__phases_arm(struct mw__phases_watch *w, pid_t pid, struct mw_recording *rec)
{
	MW_CLEANUP(mw__arena_deinit) struct mw__arena arena;
	struct mw__image img = {};
	struct program p;
	uint64_t entry;
	char path[40];

	mw__arena_init(&arena);
	w->n = 0;
	w->no_linker = false;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	MW_CLEANUP(mw__closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && mw__image_read_fd(fd, &arena, &img, NULL) > 0 && read_auxv(pid, img.elf_class == 32, &p) &&
	    (entry = read_entry(fd, img.elf_class == 32)) != MW_UNKNOWN) {
		p.bias = p.entry - entry;	/* PT_PHDR is not in every program: a static PIE has none */
		bool is_linker = watch_started_ldso(w, &p, fd, path);

		if (p.base && img.interp)
			watch_ldso(w, &p, img.interp);
		if (!is_linker)
			watch_main(w, &p, fd, &img);
		w->no_linker = !p.base && !is_linker;
	}
	if (!w->n)
		mw__recording_note(rec, "phases", NULL, "where the dynamic linker ends and main begins is unknown: "
				   "no breakpoint could be set");
}

/* Time of the hit that counts: records in the ring are of one size, header and time. */
static bool hit_time(const struct mw__breakpoint *b, uint64_t *ret)
{
	struct { struct perf_event_header h; uint64_t time; } r;
	struct perf_event_mmap_page *control = b->base;
	uint64_t head = __atomic_load_n(&control->data_head, __ATOMIC_ACQUIRE), at = 0;
	const char *data = (const char *)b->base + sysconf(_SC_PAGESIZE);
	unsigned hits = 0;

	while (at + sizeof(r) <= head && at + sizeof(r) <= (uint64_t)sysconf(_SC_PAGESIZE)) {
		memcpy(&r, data + at, sizeof(r));
		if (r.h.size < sizeof(r.h))
			return false;
		at += r.h.size;
		if (r.h.type == PERF_RECORD_SAMPLE && ++hits == b->hit) {
			*ret = r.time;
			return true;
		}
	}
	return false;
}

void mw__phases_collect(struct mw__phases_watch *w, uint64_t zero_ns, struct mw_recording *rec)
{
	for (size_t i = 0; i < w->n; i++) {
		uint64_t time;
		struct mw__mark *m = hit_time(&w->v[i], &time) ? MW_VEC_PUSH(&rec->marks) : NULL;

		if (m)
			*m = (struct mw__mark){ time > zero_ns ? time - zero_ns : 0, (uint8_t)w->v[i].phase, MW__PROVEN,
						w->v[i].rule };
	}
	mw__phases_close(w);
}

void mw__phases_close(struct mw__phases_watch *w)
{
	for (size_t i = 0; i < w->n; i++) {
		munmap(w->v[i].base, 2 * (size_t)sysconf(_SC_PAGESIZE));
		close(w->v[i].fd);
	}
	w->n = 0;
}
