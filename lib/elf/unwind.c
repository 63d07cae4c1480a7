/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Records are lengths, CIE pointers and bytes; they are walked in order. An FDE's code
 * range is stored in the encoding that the augmentation of its CIE names ('R'). Without
 * sections the search table of PT_GNU_EH_FRAME tells where the records start. (LSB,
 * "Exception Frames"; DWARF 5, section 6.4.)
 */
#include "unwind.h"

#include <string.h>

#include "../base/size.h"

enum { PE_ABS = 0, PE_UDATA2 = 2, PE_UDATA4 = 3, PE_UDATA8 = 4, PE_SDATA2 = 10, PE_SDATA4 = 11, PE_SDATA8 = 12,
       PE_PCREL = 0x10, PE_INDIRECT = 0x80, PE_OMIT = 0xff };

static unsigned encoded_size(const struct mw_elf *elf, uint8_t enc)
{
	switch (enc & 15) {
	case PE_ABS: return elf->lay.is64 ? 8 : 4;
	case PE_UDATA2: case PE_SDATA2: return 2;
	case PE_UDATA4: case PE_SDATA4: return 4;
	case PE_UDATA8: case PE_SDATA8: return 8;
	default: return 0;
	}
}

static uint64_t sign_extend(uint64_t v, unsigned size)
{
	return size == 2 ? (uint64_t)(int16_t)v : size == 4 ? (uint64_t)(int32_t)v : v;
}

static bool open_at_header(struct mw_elf *elf, const struct mw__phdr *p, struct mw__frames *ret)
{
	uint8_t head[12];
	uint64_t off, left;

	if (!mw__elf_addr_to_off(elf, p->vaddr, &off, &left) || left < 12 || !mw__elf_read(elf, off, head, 12))
		return false;
	unsigned size = encoded_size(elf, head[1]);

	if (head[0] != 1 || !size || head[1] == PE_OMIT || (head[1] & PE_INDIRECT))
		return false;
	uint64_t v = mw__raw_num(head + 4, size, elf->lay.big);

	ret->addr = (head[1] & 8 ? sign_extend(v, size) : v) + ((head[1] & 0x70) == PE_PCREL ? p->vaddr + 4 : 0);
	if (!elf->lay.is64)
		ret->addr &= UINT32_MAX;
	return mw__elf_addr_to_off(elf, ret->addr, &ret->off, &ret->size);
}

static bool is_frame_section(const struct mw_elf *elf, size_t i)
{
	const char *name = mw__elf_section_name(elf, i);

	return elf->sh[i].type != SHT_NOBITS && (!strcmp(name, ".eh_frame") || !strcmp(name, ".debug_frame")) &&
	       !(elf->sh[i].flags & SHF_COMPRESSED);
}

int mw__frames_open(struct mw_elf *elf, size_t i, struct mw__frames *ret)
{
	size_t seen = 0, found = elf->n_sh;

	*ret = (struct mw__frames){ .elf = elf, .cie_at = MW_UNKNOWN, .is_eh = true, .name = "PT_GNU_EH_FRAME" };
	for (size_t k = 1; k < elf->n_sh && found == elf->n_sh; k++)
		if (is_frame_section(elf, k) && seen++ == i)
			found = k;
	if (found < elf->n_sh) {
		ret->name = mw__elf_section_name(elf, found);
		ret->is_eh = ret->name[1] == 'e';
		ret->off = elf->sh[found].off;
		ret->addr = elf->sh[found].addr;
		ret->size = mw__elf_section_bytes(elf, found);
	} else {
		size_t k = 0;

		while (k < elf->n_ph && elf->ph[k].type != PT_GNU_EH_FRAME)
			k++;
		if (elf->n_sh > 1 || i || k == elf->n_ph)
			return -1;
		if (!open_at_header(elf, &elf->ph[k], ret))
			return 0;
	}
	ret->p = mw__elf_chunk(elf, ret->off, ret->size, ELF_T_BYTE, ret->name);
	return ret->p != NULL;
}

uint64_t mw__frames_leb(const struct mw__frames *t, uint64_t *at, uint64_t end, bool is_signed)
{
	uint64_t v;

	mw__raw_leb(t->p, at, end, is_signed, &v);
	return v;
}

/* The augmentation data: one letter an item, in order. */
static void read_augmentation(struct mw__frames *t, uint64_t at, uint64_t end)
{
	for (const char *a = t->augmentation + 1; *a && at < end; a++) {
		if (*a == 'R') {
			t->encoding = t->p[at++];
		} else if (*a == 'L') {
			at++;
		} else if (*a == 'P') {
			uint8_t enc = t->p[at++];

			at += encoded_size(t->elf, enc);
		} else if (*a != 'S' && *a != 'B' && *a != 'G') {
			return;
		}
	}
}

/* A CIE whose bytes behind the id are [at, end). */
static void read_cie(struct mw__frames *t, uint64_t record, uint64_t at, uint64_t end)
{
	if (t->cie_at == record)
		return;
	t->cie_at = record;
	t->encoding = PE_ABS;
	t->augmentation[0] = '\0';
	t->cie_insns = end;
	if (at >= end)
		return;
	uint8_t version = t->p[at++];
	size_t len = strnlen((const char *)t->p + at, end - at);

	memcpy(t->augmentation, t->p + at, len < 15 ? len : 15);
	t->augmentation[len < 15 ? len : 15] = '\0';
	at += len + 1;
	if (version >= 4)
		at += 2;
	t->code_align = mw__frames_leb(t, &at, end, false);
	t->data_align = (int64_t)mw__frames_leb(t, &at, end, true);
	if (version == 1)
		t->return_reg = at < end ? t->p[at++] : 0;
	else
		t->return_reg = mw__frames_leb(t, &at, end, false);
	t->cie_insns = t->augmentation[0] ? end : at;	/* of an augmentation without length nothing more is known */
	if (t->augmentation[0] == 'z') {
		uint64_t size = mw__frames_leb(t, &at, end, false);

		t->cie_insns = size <= end - mw__min(at, end) ? at + size : end;
		read_augmentation(t, at, end);
	}
}

struct record {
	uint64_t body, end, id;
	unsigned word;
};

/* The length and id of the record at `at`. */
static bool read_record(const struct mw__frames *t, uint64_t at, struct record *r)
{
	bool big = t->elf->lay.big;

	if (!mw__fits(at, 4, t->size))
		return false;
	uint64_t len = mw__raw_num(t->p + at, 4, big);

	r->word = 4;
	r->body = at + 4;
	if (len == UINT32_MAX) {
		if (!mw__fits(at, 12, t->size))
			return false;
		len = mw__raw_num(t->p + at + 4, 8, big);
		r->word = t->is_eh ? 4 : 8;
		r->body = at + 12;
	}
	if (!mw__fits(r->body, len, t->size) || (len && len < r->word))
		return false;
	r->end = r->body + len;
	r->id = len ? mw__raw_num(t->p + r->body, r->word, big) : 0;
	return true;
}

static bool is_cie_id(const struct mw__frames *t, const struct record *r)
{
	return t->is_eh ? !r->id : r->id == (r->word == 8 ? UINT64_MAX : UINT32_MAX);
}

static void read_range(struct mw__frames *t, const struct record *r, struct mw__frame_record *ret)
{
	uint64_t at = r->body + r->word;
	unsigned size = encoded_size(t->elf, t->encoding);
	bool big = t->elf->lay.big;

	if (!size || !mw__fits(at, 2 * (uint64_t)size, r->end) || (t->encoding & PE_INDIRECT))
		return;
	uint64_t start = mw__raw_num(t->p + at, size, big);

	if (t->encoding & 8)
		start = sign_extend(start, size);
	if ((t->encoding & 0x70) == PE_PCREL)
		start += t->addr + at;
	ret->start = t->elf->lay.is64 ? start : start & UINT32_MAX;
	ret->end = ret->start + mw__raw_num(t->p + at + size, size, big);
	at += 2 * (uint64_t)size;
	if (t->augmentation[0] == 'z') {
		uint64_t more = mw__frames_leb(t, &at, r->end, false);

		at = more <= r->end - mw__min(at, r->end) ? at + more : r->end;
	} else if (t->augmentation[0]) {
		at = r->end;
	}
	ret->insns = at;
}

uint64_t mw__frames_pointer(const struct mw__frames *t, uint64_t *at, uint64_t end)
{
	unsigned size = encoded_size(t->elf, t->encoding);

	if (!size || !mw__fits(*at, size, end)) {
		*at = end;
		return 0;
	}
	uint64_t v = mw__raw_num(t->p + *at, size, t->elf->lay.big);

	if (t->encoding & 8)
		v = sign_extend(v, size);
	if ((t->encoding & 0x70) == PE_PCREL)
		v += t->addr + *at;
	*at += size;
	return v;
}

/* A length of 0 ends .eh_frame; when objects were joined, more may follow. */
static void skip_ends(struct mw__frames *t)
{
	while (mw__fits(t->at, 4, t->size) && !mw__raw_num(t->p + t->at, 4, t->elf->lay.big))
		t->at = t->elf->n_sh > 1 ? t->at + 4 : t->size;
}

bool mw__frames_next(struct mw__frames *t, struct mw__frame_record *ret)
{
	struct record r, cie;

	skip_ends(t);
	if (!mw__fits(t->at, 4, t->size))
		return false;
	if (!read_record(t, t->at, &r) || r.end == r.body) {
		mw__elf_diag(t->elf, MW__ELF_BAD, "length of a frame record", t->at, t->off + t->at, t->size,
			     "%s: the record at %#llx does not end inside the section", t->name,
			     (unsigned long long)t->at);
		t->at = t->size;
		return false;
	}
	*ret = (struct mw__frame_record){ .off = t->at, .length = r.end - t->at, .is_cie = is_cie_id(t, &r),
				   .start = MW_UNKNOWN, .end = MW_UNKNOWN, .insns = r.end, .insns_end = r.end };
	if (ret->is_cie) {
		read_cie(t, t->at, r.body + r.word, r.end);
		ret->insns = t->cie_insns;
	} else {
		ret->cie = t->is_eh ? r.body - r.id : r.id;
		if (ret->cie < t->size && read_record(t, ret->cie, &cie) && is_cie_id(t, &cie)) {
			read_cie(t, ret->cie, cie.body + cie.word, cie.end);
			read_range(t, &r, ret);
		} else {
			mw__elf_diag(t->elf, MW__ELF_BAD, "CIE pointer", r.id, t->off + r.body, t->size,
				     "%s: the record at %#llx names no CIE", t->name, (unsigned long long)t->at);
		}
	}
	t->at = r.end;
	return true;
}
