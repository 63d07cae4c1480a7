/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Section contents. Three kinds of compression are met: SHF_COMPRESSED with a header that
 * names zlib or zstd (gABI chapter 4, "Section Compression"; zstd is number 2, which libelf
 * of today does not know), and the older .zdebug_ sections that start with "ZLIB" and a size.
 * A header may promise terabytes: what is inflated is bounded by the size of the file.
 */
#include "contents.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "../base/count.h"
#include "../base/size.h"
#include "relocs.h"

#define COMPRESS_ZSTD 2
#define MIN_LIMIT (UINT64_C(16) << 20)
#define MAX_RATIO 64

size_t mw__elf_find_section(const struct mw_elf *elf, const char *which)
{
	char *end;
	unsigned long long n = strtoull(which, &end, 10);

	if (end != which && !*end)
		return n < elf->n_sh ? (size_t)n : elf->n_sh;
	return mw__elf_section_by_name(elf, which);
}

static bool inflate_zlib(const uint8_t *in, uint64_t n, uint8_t *out, uint64_t size)
{
	z_stream z = { .next_in = (Bytef *)in };
	bool ok = inflateInit(&z) == Z_OK;
	int rc = Z_OK;

	for (uint64_t done = 0; ok && rc == Z_OK && done < size;) {
		uInt step_in = n > UINT32_MAX ? UINT32_MAX : n, step_out = mw__min(size - done, UINT32_MAX);

		z.avail_in = step_in;
		z.next_out = out + done;
		z.avail_out = step_out;
		rc = inflate(&z, Z_NO_FLUSH);
		n -= step_in - z.avail_in;
		if (z.avail_out == step_out && rc == Z_OK)
			rc = Z_BUF_ERROR;
		done += step_out - z.avail_out;
	}
	ok = ok && z.total_out == size && (rc == Z_OK || rc == Z_STREAM_END);
	inflateEnd(&z);
	return ok;
}

static bool inflate_zstd(const uint8_t *in, uint64_t n, uint8_t *out, uint64_t size)
{
	size_t rc = ZSTD_decompress(out, size, in, n);

	return !ZSTD_isError(rc) && rc == size;
}

/* What the section says about its compression; 0 none, 1 zlib, 2 zstd. */
static uint64_t compression(const struct mw_elf *elf, size_t i, const uint8_t *p, uint64_t n, uint64_t *head,
			    uint64_t *size)
{
	bool big = elf->lay.big;
	const char *name = mw__elf_section_name(elf, i);

	if (elf->sh[i].flags & SHF_COMPRESSED) {
		*head = elf->lay.is64 ? 24 : 12;
		if (n < *head)
			return 99;
		*size = mw__raw_num(p + (elf->lay.is64 ? 8 : 4), elf->lay.is64 ? 8 : 4, big);
		return mw__raw_num(p, 4, big);
	}
	if (!strncmp(name, ".zdebug", 7) && n >= 12 && !memcmp(p, "ZLIB", 4)) {
		*head = 12;
		*size = mw__raw_num(p + 4, 8, true);
		return ELFCOMPRESS_ZLIB;
	}
	return 0;
}

static bool inflate_section(struct mw_elf *elf, size_t i, struct mw__contents *c)
{
	uint64_t head = 0, size = 0, kind = compression(elf, i, c->p, c->size, &head, &size);
	uint64_t limit = mw__max(MIN_LIMIT, elf->size * MAX_RATIO);
	const char *name = mw__elf_section_name(elf, i);

	if (!kind)
		return true;
	if (kind != ELFCOMPRESS_ZLIB && kind != COMPRESS_ZSTD) {
		mw__elf_diag(elf, MW__ELF_FATAL, "ch_type", kind, elf->sh[i].off, COMPRESS_ZSTD,
			     "%s: compression %llu is not known", name, (unsigned long long)kind);
		return false;
	}
	if (size > limit) {
		mw__elf_diag(elf, MW__ELF_FATAL, "ch_size", size, elf->sh[i].off, limit,
			     "%s: claims to inflate to %llu bytes; %llu are allowed for a file of this size", name,
			     (unsigned long long)size, (unsigned long long)limit);
		return false;
	}
	uint8_t *out = malloc(size + 1);
	bool ok = out && (kind == COMPRESS_ZSTD ? inflate_zstd : inflate_zlib)(c->p + head, c->size - head, out, size);

	if (!ok) {
		free(out);
		mw__elf_diag(elf, MW__ELF_FATAL, "compressed data", size, elf->sh[i].off, MW_UNKNOWN,
			     "%s: does not inflate to the %llu bytes it promises", name, (unsigned long long)size);
		return false;
	}
	free(c->p);
	c->p = out;
	c->size = size;
	c->was_compressed = true;
	return true;
}

/* ------------------------------------------------------------- relocations */

/* Absolute relocations that debug sections use: machine, type, bytes. */
static const struct {
	uint16_t machine, type;
	uint8_t size;
} absolute[] = {
	{ EM_X86_64, 1, 8 }, { EM_X86_64, 10, 4 }, { EM_X86_64, 11, 4 }, { EM_X86_64, 17, 8 }, { EM_X86_64, 21, 4 },
	{ EM_386, 1, 4 }, { EM_ARM, 2, 4 }, { EM_PPC, 1, 4 }, { EM_PPC64, 38, 8 }, { EM_PPC64, 1, 4 },
	{ EM_S390, 4, 4 }, { EM_S390, 22, 8 }, { EM_MIPS, 2, 4 }, { EM_AARCH64, 257, 8 }, { EM_AARCH64, 258, 4 },
	{ EM_SPARCV9, 32, 8 }, { EM_SPARCV9, 54, 8 }, { EM_SPARCV9, 3, 4 }, { EM_SPARCV9, 23, 4 }, { EM_68K, 1, 4 },
	{ EM_BPF, 2, 8 }, { EM_BPF, 3, 4 }, { EM_BPF, 4, 4 },
	{ EM_RISCV, 1, 4 }, { EM_RISCV, 2, 8 }, { EM_RISCV, 33, 1 }, { EM_RISCV, 34, 2 }, { EM_RISCV, 35, 4 }, { EM_RISCV, 36, 8 },
	{ EM_RISCV, 37, 1 }, { EM_RISCV, 38, 2 }, { EM_RISCV, 39, 4 }, { EM_RISCV, 40, 8 }, { EM_RISCV, 54, 1 }, { EM_RISCV, 55, 2 },
	{ EM_RISCV, 56, 4 },
};

static unsigned absolute_size(uint64_t machine, uint64_t type)
{
	for (size_t i = 0; i < MW__COUNT(absolute); i++)
		if (absolute[i].machine == machine && absolute[i].type == type)
			return absolute[i].size;
	return 0;
}

/* RISC-V's code may shrink when it is linked: a length is a difference, 33 to 36 add to it, 37 to 40 take away. */
static uint64_t combine(uint64_t machine, uint64_t type, uint64_t place, uint64_t v)
{
	if (machine != EM_RISCV || type < 33 || type > 40)
		return v;
	return type <= 36 ? place + v : place - v;
}

static void put_num(uint8_t *p, unsigned size, bool big, uint64_t v)
{
	for (unsigned i = 0; i < size; i++)
		p[big ? size - 1 - i : i] = (uint8_t)(v >> (8 * i));
}

static void apply(struct mw__contents *c, struct mw__reltab *t, const struct mw__rel *r, const uint64_t *bases)
{
	const struct mw_elf *elf = t->elf;
	unsigned size = absolute_size(elf->eh.machine, r->type);
	uint64_t at = elf->eh.type == ET_REL ? r->offset : r->offset - c->addr;
	struct mw__sym s = { 0 };

	if (!r->type)
		return;
	if (!size || !mw__fits(at, size, c->size) || !t->has_syms || r->sym >= t->syms.n) {
		c->not_relocated++;
		return;
	}
	mw__sym_at(&t->syms, r->sym, &s);
	uint64_t place = mw__raw_num(c->p + at, size, elf->lay.big), v = s.value;

	if (bases)	/* a variable that the linker will place has its alignment for a value */
		v = mw__sym_in_section(&t->syms, &s) ? v + bases[s.section] : 0;
	v += t->kind == MW__RELA ? (uint64_t)r->addend : place;
	put_num(c->p + at, size, elf->lay.big, combine(elf->eh.machine, r->type, place, v));
	c->relocated++;
}

static void relocate_section(struct mw_elf *elf, size_t section, struct mw__contents *c, const uint64_t *bases)
{
	for (size_t i = 1; i < elf->n_sh; i++) {
		struct mw__reltab t;
		struct mw__rel r;

		if ((elf->sh[i].type != SHT_REL && elf->sh[i].type != SHT_RELA) || elf->sh[i].info != section ||
		    !mw__reltab_open(elf, i, &t))
			continue;
		for (size_t k = 0; k < t.n; k++) {
			mw__rel_at(&t, k, &r);
			apply(c, &t, &r, bases);
		}
		mw__elf_window_close(&t.raw);
	}
}

static bool read_contents(struct mw_elf *elf, size_t section, bool inflate_it, bool relocate, const uint64_t *bases,
			  struct mw__contents *ret)
{
	struct mw__contents c = { .size = mw__elf_section_bytes(elf, section), .addr = elf->sh[section].addr };

	c.p = malloc(c.size + 1);
	if (!c.p || !mw__elf_read(elf, elf->sh[section].off, c.p, c.size)) {
		free(c.p);
		mw__elf_diag(elf, MW__ELF_FATAL, "sh_offset", elf->sh[section].off, MW_UNKNOWN, elf->size,
			     "%s: its bytes could not be read", mw__elf_section_name(elf, section));
		return false;
	}
	if (inflate_it && !inflate_section(elf, section, &c)) {
		free(c.p);
		return false;
	}
	if (relocate)
		relocate_section(elf, section, &c, bases);
	*ret = c;
	return true;
}

bool mw__contents_read(struct mw_elf *elf, size_t section, bool inflate_it, bool relocate, struct mw__contents *ret)
{
	return read_contents(elf, section, inflate_it, relocate, NULL, ret);
}

bool mw__contents_link(struct mw_elf *elf, size_t section, const uint64_t *bases, struct mw__contents *ret)
{
	return read_contents(elf, section, true, true, bases, ret);
}

void mw__contents_deinit(struct mw__contents *c)
{
	free(c->p);
	c->p = NULL;
}
