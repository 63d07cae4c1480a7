/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Walking notes. A note is three words, a name and a descriptor, each padded to 4 bytes;
 * GNU property notes of 64-bit files are padded to 8, which the alignment of their section
 * or segment tells (gABI chapter 5 says 8 for all 64-bit notes, nobody follows it). Names
 * may lack their NUL, sizes may be anything.
 */
#include "notes.h"

#include <stdio.h>
#include <string.h>

#include "../base/size.h"

static bool open_range(struct mw_elf *elf, const char *name, uint64_t off, uint64_t size, uint64_t align,
		       struct mw__notes *ret)
{
	*ret = (struct mw__notes){ elf, name, off, size, align == 8 ? 8 : 4, NULL, 0 };
	if (off >= elf->size || size > elf->size - off) {
		mw__elf_diag(elf, MW__ELF_BAD, name, size, off, elf->size, "notes of %s: %#llx bytes at %#llx are not all in the file",
			     name, (unsigned long long)size, (unsigned long long)off);
		ret->size = off >= elf->size ? 0 : elf->size - off;
	}
	ret->p = mw__elf_chunk(elf, off, ret->size, ELF_T_BYTE, name);
	return ret->p;
}

static bool has_note_sections(const struct mw_elf *elf)
{
	return mw__elf_section_by_type(elf, SHT_NOTE, 1) < elf->n_sh && elf->eh.type != ET_CORE;
}

int mw__notes_open(struct mw_elf *elf, size_t i, struct mw__notes *ret)
{
	size_t seen = 0;

	if (has_note_sections(elf)) {
		for (size_t k = 1; k < elf->n_sh; k++)
			if (elf->sh[k].type == SHT_NOTE && seen++ == i)
				return open_range(elf, mw__elf_section_name(elf, k), elf->sh[k].off, elf->sh[k].size,
						  elf->sh[k].align, ret);
		return -1;
	}
	for (size_t k = 0; k < elf->n_ph; k++)
		if (elf->ph[k].type == PT_NOTE && seen++ == i)
			return open_range(elf, "PT_NOTE", elf->ph[k].off, elf->ph[k].filesz, elf->ph[k].align, ret);
	return -1;
}

static bool bad_note(struct mw__notes *t, const char *field, uint64_t value, uint64_t left)
{
	mw__elf_diag(t->elf, MW__ELF_BAD, field, value, t->off + t->at, left,
		     "%s: note at %#llx: %s %#llx, but %#llx bytes are left", t->name,
		     (unsigned long long)(t->off + t->at), field, (unsigned long long)value, (unsigned long long)left);
	t->at = t->size;
	return false;
}

bool mw__notes_next(struct mw__notes *t, struct mw__elfnote *ret)
{
	bool big = t->elf->lay.big;
	uint64_t left = t->size - t->at;
	const uint8_t *p = t->p + t->at;

	if (!left)
		return false;
	if (left < 12)
		return bad_note(t, "size of the header", 12, left);
	uint64_t namesz = mw__raw_num(p, 4, big), descsz = mw__raw_num(p + 4, 4, big);
	uint64_t desc = mw__align_up(12 + namesz, t->align);

	if (namesz > left - 12)
		return bad_note(t, "namesz", namesz, left - 12);
	if (desc > left || descsz > left - desc) {
		if (descsz)
			return bad_note(t, "descsz", descsz, mw__sub0(left, desc));
		desc = left;	/* the last note may lack its padding */
	}
	size_t len = strnlen((const char *)p + 12, namesz);

	if (namesz && len == namesz)
		mw__elf_diag(t->elf, MW__ELF_NOTE, "namesz", namesz, t->off + t->at, MW_UNKNOWN,
			     "%s: the name of the note at %#llx has no NUL", t->name,
			     (unsigned long long)(t->off + t->at));
	ret->owner = mw__arena_strn(&t->elf->arena, (const char *)p + 12, len < 256 ? len : 256);
	if (!ret->owner)
		return false;
	ret->type = mw__raw_num(p + 8, 4, big);
	ret->desc = p + desc;
	ret->desc_size = descsz;
	ret->off = t->off + t->at;
	uint64_t step = mw__align_up(desc + descsz, t->align);

	t->at = step >= left ? t->size : t->at + step;
	return true;
}

bool mw__elf_build_id(struct mw_elf *elf, char *buf, size_t size)
{
	struct mw__notes t;
	struct mw__elfnote n;
	int rc;

	for (size_t i = 0; (rc = mw__notes_open(elf, i, &t)) >= 0; i++)
		while (rc && mw__notes_next(&t, &n)) {
			if (strcmp(n.owner, "GNU") || n.type != NT_GNU_BUILD_ID || n.desc_size * 2 >= size)
				continue;
			buf[0] = '\0';
			for (uint64_t k = 0; k < n.desc_size; k++)
				snprintf(buf + 2 * k, 3, "%02x", n.desc[k]);
			return n.desc_size;
		}
	return false;
}
