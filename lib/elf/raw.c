/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The three tables below are the whole knowledge of where the fields of the ELF, program
 * and section headers are (gABI, chapters 4 and 5; Elf32_* and Elf64_* of <elf.h>, whose
 * order of fields differs for the program header: p_flags moves up in the 64-bit class).
 */
#include "raw.h"

#define F(E32, E64, S, member, field, what)                                                    \
	[MW__FIELD_INDEX(S, member)] = { #field, offsetof(E32, field), sizeof(((E32 *)0)->field), offsetof(E64, field), \
	  sizeof(((E64 *)0)->field), offsetof(struct S, member), what }
#define EH(member, field, what) F(Elf32_Ehdr, Elf64_Ehdr, mw__ehdr, member, field, what)
#define PH(member, field, what) F(Elf32_Phdr, Elf64_Phdr, mw__phdr, member, field, what)
#define SH(member, field, what) F(Elf32_Shdr, Elf64_Shdr, mw__shdr, member, field, what)

const struct mw__field mw__ehdr_fields[MW__N_FIELDS(mw__ehdr)] = {
	EH(type, e_type, "kind of file"),
	EH(machine, e_machine, "instruction set"),
	EH(version, e_version, "version of the format, 1"),
	EH(entry, e_entry, "address of the first instruction"),
	EH(phoff, e_phoff, "file offset of the program headers"),
	EH(shoff, e_shoff, "file offset of the section headers"),
	EH(flags, e_flags, "flags of the machine"),
	EH(ehsize, e_ehsize, "bytes of this header"),
	EH(phentsize, e_phentsize, "bytes of one program header"),
	EH(phnum, e_phnum, "number of program headers"),
	EH(shentsize, e_shentsize, "bytes of one section header"),
	EH(shnum, e_shnum, "number of section headers"),
	EH(shstrndx, e_shstrndx, "section that holds the section names"),
};

const struct mw__field mw__phdr_fields[MW__N_FIELDS(mw__phdr)] = {
	PH(type, p_type, "kind of segment"),
	PH(flags, p_flags, "permissions"),
	PH(off, p_offset, "file offset of the contents"),
	PH(vaddr, p_vaddr, "address in memory"),
	PH(paddr, p_paddr, "physical address, unused on Linux"),
	PH(filesz, p_filesz, "bytes in the file"),
	PH(memsz, p_memsz, "bytes in memory; the rest is zero"),
	PH(align, p_align, "alignment"),
};

const struct mw__field mw__shdr_fields[MW__N_FIELDS(mw__shdr)] = {
	SH(name, sh_name, "offset of the name in the section name table"),
	SH(type, sh_type, "kind of section"),
	SH(flags, sh_flags, "properties"),
	SH(addr, sh_addr, "address in memory"),
	SH(off, sh_offset, "file offset of the contents"),
	SH(size, sh_size, "bytes"),
	SH(link, sh_link, "index of a related section"),
	SH(info, sh_info, "depends on the type"),
	SH(align, sh_addralign, "alignment"),
	SH(entsize, sh_entsize, "bytes of one entry, if it holds a table"),
};

uint64_t mw__raw_num(const uint8_t *p, unsigned size, bool big)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)p[big ? size - 1 - i : i] << (8 * i);
	return v;
}

bool mw__raw_leb(const uint8_t *p, uint64_t *at, uint64_t end, bool is_signed, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t b = 0x80;

	while (*at < end && b & 0x80) {
		b = p[(*at)++];
		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		shift += 7;
	}
	if (is_signed && b & 0x40 && shift < 64)
		v |= ~UINT64_C(0) << shift;
	*ret = v;
	return !(b & 0x80);
}

size_t mw__raw_decode(const struct mw__field *fields, size_t n, const uint8_t *p, size_t len,
		      struct mw__elf_layout lay, void *to)
{
	size_t whole = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned off = lay.is64 ? fields[i].off64 : fields[i].off32;
		unsigned size = lay.is64 ? fields[i].size64 : fields[i].size32;
		bool exists = off + size <= len;

		*(uint64_t *)((char *)to + fields[i].to) = exists ? mw__raw_num(p + off, size, lay.big) : 0;
		whole += exists;
	}
	return whole;
}
