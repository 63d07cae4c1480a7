/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An ELF core file as raw facts and as memory: PT_LOAD headers are the mappings, notes tell the rest
 * (NT_PRPSINFO the process, NT_PRSTATUS its threads, NT_AUXV, NT_FILE the mapped files, NT_SIGINFO why).
 * Written by the kernel (fs/binfmt_elf.c) or by gdb's gcore, for processes of 32 and 64 bits in the byte order of
 * this machine. The file is hostile: everything is checked against its size. What was cut off, or left out by
 * coredump_filter, is not there; nothing is made up for it.
 */
#ifndef MW_CORE_CORE_H
#define MW_CORE_CORE_H

#include "../base/arena.h"
#include "../base/str.h"
#include "../base/vec.h"
#include "../memwhy.h"
#include "../model/mem.h"

#include <sys/types.h>

/* A mapping. Its first size bytes are in the file, as far as the file goes. */
struct mw__core_load {
	uint64_t start, end;
	uint64_t off;		/* in the core */
	uint64_t size;		/* bytes that the file has of it, at most end - start */
	uint64_t cut;		/* bytes that it should have beyond, but was cut before */
	uint8_t prot;		/* enum mw__prot */
};

/* A mapped file, by NT_FILE. */
struct mw__core_file {
	uint64_t start, end, off;	/* off: in the file, bytes */
	const char *path;
};

struct mw__core_thread {
	pid_t tid;
	uint64_t sp, fs_base;	/* MW_UNKNOWN where this machine's registers are not known here */
};

struct mw__core {
	int fd;
	uint64_t file_size, mtime_ns;
	uint64_t held;		/* bytes of memory that it holds, holes in the file among them */
	uint64_t data;		/* of them, those that are no holes; MW_UNKNOWN when no hole is told */
	uint8_t word;		/* bytes of a pointer */
	uint16_t machine;
	pid_t pid, ppid;
	uint32_t uid;
	int signal;		/* that ended it; 0: none, or not told */
	const char *comm, *cmdline;	/* NULL: not told */
	bool has_files;		/* an NT_FILE was there */
	uint64_t note_bytes;	/* read so far; program headers may name the same ones again and again */
	struct mw__arena arena;
	struct mw__str auxv;	/* as it was in memory */
	MW_VEC(struct mw__core_load) loads;	/* by address, disjoint */
	MW_VEC(struct mw__core_file) files;	/* by address */
	MW_VEC(struct mw__core_thread) threads;
	uint64_t block;		/* what was read last: place in the file, bytes */
	size_t block_size;
	char bytes[65536];
};

/* Does this file begin like an ELF core? False also when it cannot be read. */
bool mw__core_is(const char *path);
/*
 * Open a core. Return: 0, -MW_E_NOT_FOUND, -MW_E_OS, -MW_E_NOMEM, -MW_E_FORMAT (not a core, or without mappings),
 * -MW_E_UNSUPPORTED (of another byte order). mw__core_close() frees it; NULL is allowed.
 */
MW_MUST_CHECK int mw__core_open(const char *path, struct mw__core **ret, struct mw_err *err);
void mw__core_close(struct mw__core *core);

/* mem.h's read: what the core holds of [addr, addr + size), or false. ctx: struct mw__core. */
bool mw__core_read(void *ctx, uint64_t addr, void *buf, size_t size);
/* A value of the auxiliary vector, or MW_UNKNOWN. */
uint64_t mw__core_auxv_value(const struct mw__core *core, uint64_t type);
const struct mw__core_load *mw__core_load_at(const struct mw__core *core, uint64_t addr);

#endif
