/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A table in memory of which a block is read when it is first looked at: 549 relocations of a
 * program name a few of its 48,000 symbols, and those names are a few pages of 4 MB.
 */
#ifndef MW_ELF_LAZY_H
#define MW_ELF_LAZY_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mw_elf;

#define MW__LAZY_FULL 2

struct mw__lazy {
	struct mw__lazy *next;	/* of the same file */
	struct mw_elf *elf;
	const char *what;
	uint64_t off;
	size_t n, elem;		/* elements; bytes of one */
	Elf_Type type;
	unsigned shift;		/* a block has 1 << shift elements */
	bool is_mapped;
	uint8_t *state;		/* of each block: see lazy.c */
	char *p;		/* n elements and a NUL; what was not read is 0 */
};

/*
 * n elements at off, in this machine's form once they were asked for; NULL with a finding when they
 * are not all in the file. Belongs to elf; the same range is opened once. Where the file has shrunk
 * in the meantime there are zeros, with a finding.
 */
struct mw__lazy *mw__lazy_open(struct mw_elf *elf, uint64_t off, size_t n, size_t elem, Elf_Type type, const char *what);
void mw__lazy_free(struct mw__lazy *l);

/* Read the block of element i; of text (elem 1) also the rest of the string that i is in. */
void mw__lazy_read(struct mw__lazy *l, size_t i);
/* Read elements [from, to), as far as they were not: most of them will be looked at. */
void mw__lazy_expect(struct mw__lazy *l, size_t from, size_t to);
/* Forget the blocks of elements [from, to), but the last; they are read again if someone asks. */
void mw__lazy_forget(struct mw__lazy *l, size_t from, size_t to);

static inline const void *mw__lazy_at(struct mw__lazy *l, size_t i)
{
	if (l->state[i >> l->shift] != MW__LAZY_FULL)
		mw__lazy_read(l, i);
	return l->p + i * l->elem;
}

#endif
