/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Raw ELF structures: bytes of the file -> one form for 32 and 64 bit, either byte
 * order. Pure functions on byte ranges; nothing here opens, allocates or trusts a
 * count. The field tables also feed the annotated hex view.
 */
#ifndef MW_ELF_RAW_H
#define MW_ELF_RAW_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How numbers are laid out. */
struct mw__elf_layout {
	bool is64, big;
};

struct mw__ehdr {
	uint64_t type, machine, version, entry, phoff, shoff, flags, ehsize, phentsize, phnum, shentsize,
		shnum, shstrndx;
};
struct mw__phdr {
	uint64_t type, flags, off, vaddr, paddr, filesz, memsz, align;
};
struct mw__shdr {
	uint64_t name, type, flags, addr, off, size, link, info, align, entsize;
};

/* One field: its name, where it is in either class, where it goes, what it means. */
struct mw__field {
	const char *name;
	uint8_t off32, size32, off64, size64;
	uint16_t to;		/* offset of the uint64_t in the struct above */
	const char *what;
};
#define MW__FIELD_INDEX(S, member) (offsetof(struct S, member) / sizeof(uint64_t))
#define MW__N_FIELDS(S) (sizeof(struct S) / sizeof(uint64_t))
/* In the order of the structs above. */
extern const struct mw__field mw__ehdr_fields[MW__N_FIELDS(mw__ehdr)], mw__phdr_fields[MW__N_FIELDS(mw__phdr)],
	mw__shdr_fields[MW__N_FIELDS(mw__shdr)];
/* That of a member. */
#define MW__EH(member) (&mw__ehdr_fields[MW__FIELD_INDEX(mw__ehdr, member)])
#define MW__PH(member) (&mw__phdr_fields[MW__FIELD_INDEX(mw__phdr, member)])
#define MW__SH(member) (&mw__shdr_fields[MW__FIELD_INDEX(mw__shdr, member)])

static inline uint64_t mw__raw_size_ehdr(bool is64) { return is64 ? 64 : 52; }
static inline uint64_t mw__raw_size_phdr(bool is64) { return is64 ? 56 : 32; }
static inline uint64_t mw__raw_size_shdr(bool is64) { return is64 ? 64 : 40; }
static inline uint64_t mw__raw_size_sym(bool is64) { return is64 ? 24 : 16; }

/* A number of 1, 2, 4 or 8 bytes. */
uint64_t mw__raw_num(const uint8_t *p, unsigned size, bool big);

/* The LEB128 number (DWARF 5, 7.6) at p + *at, which moves behind it. False when it goes on beyond end: then it is what there is. */
bool mw__raw_leb(const uint8_t *p, uint64_t *at, uint64_t end, bool is_signed, uint64_t *ret);

/*
 * Decode the n fields of one structure that starts at p and of which len bytes exist.
 * Fields that do not exist in full become 0. Returns how many fields exist in full.
 */
size_t mw__raw_decode(const struct mw__field *fields, size_t n, const uint8_t *p, size_t len,
		      struct mw__elf_layout lay, void *to);

/* off + size <= limit, without wrapping. */
static inline bool mw__fits(uint64_t off, uint64_t size, uint64_t limit)
{
	return off <= limit && size <= limit - off;
}

#endif
