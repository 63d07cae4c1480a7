/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PT_DYNAMIC is found by its address, as the loader does it; p_offset is only used when no
 * PT_LOAD covers the address. In a separate debug file .dynamic is NOBITS and PT_DYNAMIC
 * points at bytes that are not there: then there is no table. (gABI chapter 5, "Dynamic
 * Section" and "Hash Table".)
 */
#include "dynamic.h"

#include <string.h>

#include "../base/size.h"

static bool locate_segment(const struct mw_elf *elf, uint64_t *off, uint64_t *size)
{
	for (size_t i = 0; i < elf->n_ph; i++) {
		const struct mw__phdr *p = &elf->ph[i];
		uint64_t left;

		if (p->type != PT_DYNAMIC)
			continue;
		if (mw__elf_addr_to_off(elf, p->vaddr, off, &left)) {
			*size = mw__min(p->filesz, left);
			return true;
		}
		*off = p->off;
		*size = p->off < elf->size ? mw__min(p->filesz, elf->size - p->off) : 0;
		return *size;
	}
	return false;
}

static bool locate(struct mw_elf *elf, uint64_t *off, uint64_t *size, const char **source)
{
	size_t i = mw__elf_section_by_type(elf, SHT_DYNAMIC, 1);
	size_t named = i < elf->n_sh ? i : mw__elf_section_by_name(elf, ".dynamic");

	if (i < elf->n_sh && mw__elf_section_bytes(elf, i)) {
		*off = elf->sh[i].off;
		*size = mw__elf_section_bytes(elf, i);
		*source = ".dynamic";
		return true;
	}
	*source = "PT_DYNAMIC";
	if (named < elf->n_sh && elf->sh[named].type == SHT_NOBITS)
		return false;
	return locate_segment(elf, off, size);
}

static void decode(struct mw_elf *elf, struct mw__elf_dynamic *dyn, const void *raw, size_t n)
{
	const Elf64_Dyn *d64 = raw;
	const Elf32_Dyn *d32 = raw;

	for (size_t i = 0; i < n; i++) {
		dyn->v[i].tag = elf->lay.is64 ? (uint64_t)d64[i].d_tag : (uint32_t)d32[i].d_tag;
		dyn->v[i].val = elf->lay.is64 ? d64[i].d_un.d_val : d32[i].d_un.d_val;
		dyn->n = i + 1;
		if (dyn->v[i].tag == DT_NULL)
			return;
	}
	mw__elf_diag(elf, MW__ELF_BAD, "dynamic table", n, dyn->off, n, "%s: no DT_NULL ends the table of %zu entries",
		     dyn->source, n);
}

static void find_strings(struct mw_elf *elf, struct mw__elf_dynamic *dyn)
{
	uint64_t off, left, size = 0;

	dyn->str.p = "";
	if (!mw__dyn_off(elf, DT_STRTAB, &off, &left)) {
		if (mw__dyn_get(dyn, DT_STRTAB, &off))
			mw__elf_diag(elf, MW__ELF_BAD, "DT_STRTAB", off, dyn->off, MW_UNKNOWN,
				     "DT_STRTAB %#llx is in no PT_LOAD segment", (unsigned long long)off);
		return;
	}
	if (!mw__dyn_get(dyn, DT_STRSZ, &size) || size > left) {
		mw__elf_diag(elf, MW__ELF_BAD, "DT_STRSZ", size, dyn->off, left,
			     "DT_STRSZ is %#llx, its segment has %#llx bytes left", (unsigned long long)size,
			     (unsigned long long)left);
		size = left;
	}
	dyn->str = mw__elf_strtab(elf, off, size, "dynamic string table");
}

struct mw__elf_dynamic *mw__elf_dynamic(struct mw_elf *elf)
{
	uint64_t off, size, entry = elf->lay.is64 ? 16 : 8;
	const char *source;

	if (elf->dynamic_tried)
		return elf->dyn;
	elf->dynamic_tried = true;
	if (!locate(elf, &off, &size, &source) || size < entry)
		return NULL;
	size_t n = size / entry;
	void *raw = mw__elf_chunk(elf, off, n * entry, ELF_T_DYN, "dynamic table");
	struct mw__elf_dynamic *dyn = mw__arena_alloc(&elf->arena, sizeof(*dyn));

	if (!raw || !dyn)
		return NULL;
	dyn->v = mw__arena_array(&elf->arena, n, sizeof(*dyn->v));
	if (!dyn->v)
		return NULL;
	dyn->off = off;
	dyn->source = source;
	decode(elf, dyn, raw, n);
	mw__elf_chunk_drop(elf, raw);
	elf->dyn = dyn;
	find_strings(elf, dyn);
	return dyn;
}

bool mw__dyn_get(const struct mw__elf_dynamic *dyn, uint64_t tag, uint64_t *ret)
{
	for (size_t i = 0; dyn && i < dyn->n; i++)
		if (dyn->v[i].tag == tag) {
			*ret = dyn->v[i].val;
			return true;
		}
	return false;
}

bool mw__dyn_off(struct mw_elf *elf, uint64_t tag, uint64_t *off, uint64_t *left)
{
	uint64_t addr;

	if (!mw__dyn_get(mw__elf_dynamic(elf), tag, &addr))
		return false;
	if (elf->from_memory && elf->bias && addr >= elf->bias &&
	    mw__elf_addr_to_off(elf, addr - elf->bias, off, left))
		return true;
	return mw__elf_addr_to_off(elf, addr, off, left);
}

unsigned mw__hash_word(const struct mw_elf *elf)
{
	return elf->lay.is64 && (elf->eh.machine == EM_ALPHA || elf->eh.machine == EM_S390) ? 8 : 4;
}

static bool count_by_hash(struct mw_elf *elf, uint64_t *ret)
{
	unsigned word = mw__hash_word(elf);
	uint8_t head[16];
	uint64_t off, left;

	if (!mw__dyn_off(elf, DT_HASH, &off, &left) || left < 2 * word || !mw__elf_read(elf, off, head, 2 * word))
		return false;
	*ret = mw__raw_num(head + word, word, elf->lay.big);
	return true;
}

/* The largest index in the buckets, then along its chain to the entry with the end bit. */
static bool count_by_gnu_hash(struct mw_elf *elf, uint64_t *ret)
{
	uint64_t off, left, max = 0;
	uint8_t head[16];
	bool big = elf->lay.big;

	if (!mw__dyn_off(elf, DT_GNU_HASH, &off, &left) || left < 16 || !mw__elf_read(elf, off, head, 16))
		return false;
	uint64_t n_buckets = mw__raw_num(head, 4, big), first = mw__raw_num(head + 4, 4, big);
	uint64_t bloom = mw__raw_num(head + 8, 4, big) * (elf->lay.is64 ? 8 : 4);

	if (!mw__fits(16 + bloom, n_buckets * 4, left)) {
		mw__elf_diag(elf, MW__ELF_BAD, "nbuckets", n_buckets, off, left,
			     "DT_GNU_HASH: %llu buckets and %llu bytes of bloom filter, its segment has %llu bytes left",
			     (unsigned long long)n_buckets, (unsigned long long)bloom, (unsigned long long)left);
		return false;
	}
	const uint8_t *b = mw__elf_chunk(elf, off + 16 + bloom, n_buckets * 4, ELF_T_BYTE, "DT_GNU_HASH buckets");

	for (uint64_t i = 0; b && i < n_buckets; i++)
		max = mw__max(max, mw__raw_num(b + 4 * i, 4, big));
	mw__elf_chunk_drop(elf, b);
	*ret = mw__max(first, max);
	if (!b || max < first)
		return b || !n_buckets;
	uint64_t chain = 16 + bloom + n_buckets * 4 + (max - first) * 4;

	for (; chain + 4 <= left && mw__elf_read(elf, off + chain, head, 4); chain += 4) {
		max++;
		if (mw__raw_num(head, 4, big) & 1)
			break;
	}
	*ret = max;
	return true;
}

uint64_t mw__dyn_sym_count(struct mw_elf *elf, const char **how)
{
	uint64_t off, left, str, str_left, n = 0, size = mw__raw_size_sym(elf->lay.is64);

	if (!mw__dyn_off(elf, DT_SYMTAB, &off, &left))
		return 0;
	uint64_t room = left / size;

	*how = "DT_HASH";
	bool known = count_by_hash(elf, &n);

	if (!known) {
		*how = "DT_GNU_HASH";
		known = count_by_gnu_hash(elf, &n);
	}
	if (known && n > room)
		mw__elf_diag(elf, MW__ELF_BAD, *how, n, MW_UNKNOWN, room,
			     "%s: %llu symbols, its segment has room for %llu", *how, (unsigned long long)n,
			     (unsigned long long)room);
	if (known && n <= room)
		return n;
	*how = "DT_STRTAB - DT_SYMTAB";
	if (mw__dyn_off(elf, DT_STRTAB, &str, &str_left) && str > off)
		return mw__min(room, (str - off) / size);
	return 0;
}
