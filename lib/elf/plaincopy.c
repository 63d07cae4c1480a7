/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The copy has the bytes of the file, behind them each inflated or linked section, and section headers that point there.
 * Nothing else moves, so that every other offset stays true.
 */
#include "plaincopy.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/size.h"
#include "contents.h"

static bool is_zstd_debug(const struct mw_elf *elf, size_t i)
{
	uint8_t type[4];

	return (elf->sh[i].flags & SHF_COMPRESSED) && !strncmp(mw__elf_section_name(elf, i), ".debug_", 7) &&
	       mw__elf_read(elf, elf->sh[i].off, type, 4) && mw__raw_num(type, 4, elf->lay.big) == 2;
}

bool mw__elf_has_zstd_debug(const struct mw_elf *elf)
{
	for (size_t i = 1; i < elf->n_sh; i++)
		if (is_zstd_debug(elf, i))
			return true;
	return false;
}

static bool copy_bytes(const struct mw_elf *elf, int fd)
{
	char buf[16384];

	for (uint64_t at = 0; at < elf->size;) {
		size_t n = elf->size - at < sizeof(buf) ? elf->size - at : sizeof(buf);

		if (!mw__elf_read(elf, at, buf, n) || write(fd, buf, n) != (ssize_t)n)
			return false;
		at += n;
	}
	return true;
}

static bool put_field(const struct mw_elf *elf, int fd, size_t section, const struct mw__field *f, uint64_t v)
{
	unsigned size = elf->lay.is64 ? f->size64 : f->size32;
	uint8_t raw[8];

	for (unsigned i = 0; i < size; i++)
		raw[elf->lay.big ? size - 1 - i : i] = (uint8_t)(v >> (8 * i));
	return pwrite(fd, raw, size, (off_t)mw__elf_field_off(elf, mw__elf_sh_off(elf, section), f)) == (ssize_t)size;
}

/* At the end, which moves on. */
static bool move_contents(const struct mw_elf *elf, int fd, size_t i, struct mw__contents *c, uint64_t *end)
{
	bool ok = !c->not_relocated && pwrite(fd, c->p, c->size, (off_t)*end) == (ssize_t)c->size &&
		  put_field(elf, fd, i, MW__SH(flags), elf->sh[i].flags & ~(uint64_t)SHF_COMPRESSED) &&
		  put_field(elf, fd, i, MW__SH(off), *end) && put_field(elf, fd, i, MW__SH(size), c->size);

	*end += mw__align_up(c->size, 16);
	mw__contents_deinit(c);
	return ok;
}

/* Section i inflated at the end, which moves on. What cannot be inflated stays as it is. */
static bool move_section(struct mw_elf *elf, int fd, size_t i, uint64_t *end)
{
	struct mw__contents c;

	return !mw__contents_read(elf, i, true, false, &c) || move_contents(elf, fd, i, &c, end);
}

/* The same, relocated. */
static bool link_section(struct mw_elf *elf, int fd, size_t i, const uint64_t *bases, uint64_t *end)
{
	struct mw__contents c;

	return mw__contents_link(elf, i, bases, &c) && move_contents(elf, fd, i, &c, end);
}

static bool is_debug(const struct mw_elf *elf, size_t i)
{
	return i < elf->n_sh && !strncmp(mw__elf_section_name(elf, i), ".debug_", 7) && elf->sh[i].type != SHT_NOBITS;
}

/* Its relocations were applied: libdwarf must not do it again. */
static bool is_applied(const struct mw_elf *elf, size_t i)
{
	return (elf->sh[i].type == SHT_RELA || elf->sh[i].type == SHT_REL) && is_debug(elf, elf->sh[i].info);
}

/* NULL without memory. By offset, sections that take no bytes of the file are behind it. */
static uint64_t *choose_bases(struct mw_elf *elf, bool by_offset)
{
	uint64_t *bases = mw__arena_array(&elf->arena, elf->n_sh + 1, sizeof(*bases)), end = elf->size;

	for (size_t i = 1; bases && by_offset && i < elf->n_sh; i++) {
		const struct mw__shdr *s = &elf->sh[i];

		if (!(s->flags & SHF_ALLOC))
			continue;
		bases[i] = s->type == SHT_NOBITS ? end : s->off;
		if (s->type == SHT_NOBITS && __builtin_add_overflow(end, s->size, &end))
			return NULL;
	}
	return bases;
}

int mw__elf_linked_copy(struct mw_elf *elf, bool by_offset)
{
	MW_CLEANUP(mw__closep) int fd = memfd_create("memwhy-copy", MFD_CLOEXEC);
	uint64_t end = mw__align_up(elf->size, 16);
	const uint64_t *bases = choose_bases(elf, by_offset);

	if (fd < 0 || !bases || !copy_bytes(elf, fd))
		return -1;
	for (size_t i = 1; i < elf->n_sh; i++)
		if ((is_debug(elf, i) && !link_section(elf, fd, i, bases, &end)) ||
		    (is_applied(elf, i) && !put_field(elf, fd, i, MW__SH(type), SHT_NULL)))
			return -1;
	int ret = fd;

	fd = -1;
	return ret;
}

int mw__elf_plain_copy(struct mw_elf *elf)
{
	MW_CLEANUP(mw__closep) int fd = memfd_create("memwhy-copy", MFD_CLOEXEC);
	uint64_t end = mw__align_up(elf->size, 16);

	if (fd < 0 || !copy_bytes(elf, fd))
		return -1;
	for (size_t i = 1; i < elf->n_sh; i++)
		if (is_zstd_debug(elf, i) && !move_section(elf, fd, i, &end))
			return -1;
	int ret = fd;

	fd = -1;
	return ret;
}
