/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verdict: will it run, and how is it hardened. */
#ifndef MW_ELF_CHECK_H
#define MW_ELF_CHECK_H

#include "file.h"

enum mw__verdict {
	MW__RUNS,		/* nothing speaks against it */
	MW__NOT_A_PROGRAM,	/* object file, core: exec says ENOEXEC */
	MW__ENOEXEC,
	MW__EINVAL,
	MW__EIO,
	MW__KILLED,		/* past the point of no return: SIGSEGV */
	MW__LOADER_REFUSES,	/* ld.so: exit status 127 */
	MW__LOADER_CRASHES,
	MW__VERDICT_UNKNOWN,	/* another machine */
	MW__A_LIBRARY,		/* nothing that exec could start; see dlopen */
};
extern const char *const mw__verdicts[10];

enum mw__answer { MW__NO, MW__YES, MW__CANNOT_KNOW };

struct mw__security {
	const char *pie;	/* "yes", "no", "shared object", "not linked" */
	const char *relro;	/* "none", "partial", "full", "unknown" */
	const char *stack;	/* "not executable", "executable", "executable: no PT_GNU_STACK" */
	enum mw__answer canary, ibt, shstk, textrel, writable_code, is_static;
	uint64_t fortified;	/* imported functions with checks; MW_UNKNOWN */
	uint64_t unfortified;	/* that have a checked sister, but are imported plain */
	const char *rpath, *runpath;
};

struct mw__check {
	enum mw__verdict verdict;
	const char *reason;	/* of the first fault that decides; "" */
	const char *dlopen;	/* what dlopen() will say: "loads", "the loader refuses", "the loader crashes", "unknown" */
	const char *dlopen_reason;
	struct mw__security sec;
};

void mw__elf_security(struct mw_elf *elf, struct mw__security *ret);
/* Also adds a finding for every fault. page is the page size. */
void mw__elf_check(struct mw_elf *elf, uint64_t page, struct mw__check *ret);

#endif
