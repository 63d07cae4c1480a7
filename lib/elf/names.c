/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Name tables. Values of the ranges for operating systems and processors mean different
 * things by machine, so those tables carry the machine, 0 for any (gABI chapters 4 and 5,
 * Linux additions of the x86-64, AArch64 and RISC-V psABIs).
 *
 * The tables hold the names themselves, not pointers to them: pointers would have to be
 * relocated whenever a program starts, and writing to those pages took longer than
 * reading an ELF header. The compiler warns of a name that does not fit; the "\0" of the
 * long tables makes it warn of one that fits without its end, too.
 */
#include "names.h"

#include "../base/count.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>


struct named {
	uint16_t machine;
	uint32_t number;
	char name[26];
};

/* What a table of names holds at a number: "" where the number is not given out. */
static const char *some(const char *name)
{
	return *name ? name : NULL;
}

static const char *find(const struct named *t, size_t n, uint64_t number, uint64_t machine)
{
	for (size_t i = 0; i < n; i++)
		if (t[i].number == number && (!t[i].machine || t[i].machine == machine))
			return t[i].name;
	return NULL;
}

static const struct mw__machine machines[] = {
#define MACHINE(number, tag, text) { number, tag "\0", text "\0" },
#include "machines.def"
#undef MACHINE
};

const struct mw__machine *mw__name_machine(uint64_t machine)
{
	for (size_t i = 0; i < MW__COUNT(machines); i++)
		if (machines[i].number == machine)
			return &machines[i];
	return NULL;
}

static const struct mw__dyntag dyntags[] = {
#define TAG(machine, tag, name, kind) { machine, tag, name "\0", MW__DYN_##kind },
#include "dyntags.def"
#undef TAG
};

const struct mw__dyntag *mw__name_dyntag(uint64_t tag, uint64_t machine)
{
	/* there OpenVMS and HP-UX have others from DT_LOOS on, where Android has its own */
	if (tag >= DT_LOOS && tag < DT_VALRNGLO && (machine == EM_IA_64 || machine == EM_PARISC))
		return NULL;
	for (size_t i = 0; i < MW__COUNT(dyntags); i++)
		if (dyntags[i].tag == tag && (!dyntags[i].machine || dyntags[i].machine == machine))
			return &dyntags[i];
	return NULL;
}

static const char types[][5] = { "NONE", "REL", "EXEC", "DYN", "CORE" };

const char *mw__name_type(uint64_t e_type)
{
	return e_type < MW__COUNT(types) ? types[e_type] : NULL;
}

static const struct named osabis[] = {
	{ 0, 0, "UNIX - System V" }, { 0, 1, "UNIX - HP-UX" }, { 0, 2, "UNIX - NetBSD" }, { 0, 3, "UNIX - GNU" },
	{ 0, 6, "UNIX - Solaris" }, { 0, 7, "UNIX - AIX" }, { 0, 8, "UNIX - IRIX" }, { 0, 9, "UNIX - FreeBSD" },
	{ 0, 10, "UNIX - TRU64" }, { 0, 11, "Novell - Modesto" }, { 0, 12, "UNIX - OpenBSD" },
	{ 0, 64, "ARM EABI" }, { 0, 65, "ARM FDPIC" }, { 0, 97, "ARM" }, { 0, 255, "Standalone App" },
};

const char *mw__name_osabi(uint64_t osabi)
{
	return find(osabis, MW__COUNT(osabis), osabi, 0);
}

static const struct named segments[] = {
	{ 0, PT_NULL, "NULL" }, { 0, PT_LOAD, "LOAD" }, { 0, PT_DYNAMIC, "DYNAMIC" }, { 0, PT_INTERP, "INTERP" },
	{ 0, PT_NOTE, "NOTE" }, { 0, PT_SHLIB, "SHLIB" }, { 0, PT_PHDR, "PHDR" }, { 0, PT_TLS, "TLS" },
	{ 0, PT_GNU_EH_FRAME, "GNU_EH_FRAME" }, { 0, PT_GNU_STACK, "GNU_STACK" },
	{ 0, PT_GNU_RELRO, "GNU_RELRO" }, { 0, 0x6474e553, "GNU_PROPERTY" }, { 0, 0x6474e554, "GNU_SFRAME" },
	{ 0, 0x65041580, "GO_PAX_FLAGS" }, { 0, 0x65a3dbe6, "OPENBSD_RANDOMIZE" },
	{ EM_ARM, 0x70000001, "EXIDX" }, { EM_AARCH64, 0x70000000, "AARCH64_ARCHEXT" },
	{ EM_AARCH64, 0x70000002, "AARCH64_MEMTAG_MTE" }, { 243, 0x70000003, "RISCV_ATTRIBUTES" },
	{ EM_MIPS, 0x70000000, "MIPS_REGINFO" }, { EM_MIPS, 0x70000001, "MIPS_RTPROC" },
	{ EM_MIPS, 0x70000002, "MIPS_OPTIONS" }, { EM_MIPS, 0x70000003, "MIPS_ABIFLAGS" },
	{ EM_IA_64, 0x70000000, "IA_64_ARCHEXT" }, { EM_IA_64, 0x70000001, "IA_64_UNWIND" },
	{ EM_PARISC, 0x70000000, "PARISC_ARCHEXT" }, { EM_PARISC, 0x70000001, "PARISC_UNWIND" },
	{ 22, 0x70000000, "S390_PGSTE" },
};

const char *mw__name_segment(uint64_t type, uint64_t machine)
{
	return find(segments, MW__COUNT(segments), type, machine);
}

static const struct named sections[] = {
	{ 0, 0, "NULL" }, { 0, 1, "PROGBITS" }, { 0, 2, "SYMTAB" }, { 0, 3, "STRTAB" }, { 0, 4, "RELA" },
	{ 0, 5, "HASH" }, { 0, 6, "DYNAMIC" }, { 0, 7, "NOTE" }, { 0, 8, "NOBITS" }, { 0, 9, "REL" },
	{ 0, 10, "SHLIB" }, { 0, 11, "DYNSYM" }, { 0, 14, "INIT_ARRAY" }, { 0, 15, "FINI_ARRAY" },
	{ 0, 16, "PREINIT_ARRAY" }, { 0, 17, "GROUP" }, { 0, 18, "SYMTAB_SHNDX" }, { 0, 19, "RELR" },
	{ 0, 0x60000001, "ANDROID_REL" }, { 0, 0x60000002, "ANDROID_RELA" }, { 0, 0x6fffff00, "ANDROID_RELR" },
	{ 0, 0x6ffffff5, "GNU_ATTRIBUTES" }, { 0, 0x6ffffff6, "GNU_HASH" }, { 0, 0x6ffffff7, "GNU_LIBLIST" },
	{ 0, 0x6ffffff8, "CHECKSUM" }, { 0, 0x6ffffffa, "SUNW_move" }, { 0, 0x6ffffffb, "SUNW_COMDAT" },
	{ 0, 0x6ffffffc, "SUNW_syminfo" }, { 0, 0x6ffffffd, "GNU_verdef" }, { 0, 0x6ffffffe, "GNU_verneed" },
	{ 0, 0x6fffffff, "GNU_versym" }, { 0, 0x6fff4700, "GNU_INCREMENTAL_INPUTS" },
	{ 0, 0x6fff4c00, "LLVM_ODRTAB" }, { 0, 0x6fff4c01, "LLVM_LINKER_OPTIONS" },
	{ 0, 0x6fff4c03, "LLVM_ADDRSIG" }, { 0, 0x6fff4c04, "LLVM_DEPENDENT_LIBRARIES" },
	{ 0, 0x6fff4c05, "LLVM_SYMPART" }, { 0, 0x6fff4c06, "LLVM_PART_EHDR" },
	{ 0, 0x6fff4c07, "LLVM_PART_PHDR" }, { 0, 0x6fff4c08, "LLVM_BB_ADDR_MAP_V0" },
	{ 0, 0x6fff4c09, "LLVM_CALL_GRAPH_PROFILE" }, { 0, 0x6fff4c0a, "LLVM_BB_ADDR_MAP" },
	{ EM_X86_64, 0x70000001, "X86_64_UNWIND" },
	{ EM_ARM, 0x70000001, "ARM_EXIDX" }, { EM_ARM, 0x70000002, "ARM_PREEMPTMAP" },
	{ EM_ARM, 0x70000003, "ARM_ATTRIBUTES" }, { EM_ARM, 0x70000004, "ARM_DEBUGOVERLAY" },
	{ EM_ARM, 0x70000005, "ARM_OVERLAYSECTION" }, { EM_AARCH64, 0x70000003, "AARCH64_ATTRIBUTES" },
	{ 243, 0x70000003, "RISCV_ATTRIBUTES" }, { EM_MIPS, 0x70000000, "MIPS_LIBLIST" },
	{ EM_MIPS, 0x70000005, "MIPS_DEBUG" }, { EM_MIPS, 0x70000006, "MIPS_REGINFO" },
	{ EM_MIPS, 0x7000000d, "MIPS_OPTIONS" }, { EM_MIPS, 0x7000001e, "MIPS_DWARF" },
	{ EM_MIPS, 0x7000002a, "MIPS_ABIFLAGS" }, { EM_IA_64, 0x70000000, "IA_64_EXT" },
	{ EM_IA_64, 0x70000001, "IA_64_UNWIND" }, { EM_PARISC, 0x70000000, "PARISC_EXT" },
	{ EM_PARISC, 0x70000001, "PARISC_UNWIND" }, { EM_PARISC, 0x70000002, "PARISC_DOC" },
};

const char *mw__name_section(uint64_t type, uint64_t machine)
{
	return find(sections, MW__COUNT(sections), type, machine);
}

static const char sym_types[16][8] = { "NOTYPE", "OBJECT", "FUNC", "SECTION", "FILE", "COMMON", "TLS",
					   [10] = "IFUNC" };
static const char sym_binds[16][8] = { "LOCAL", "GLOBAL", "WEAK", [10] = "UNIQUE" };
static const char sym_vis[4][10] = { "DEFAULT", "INTERNAL", "HIDDEN", "PROTECTED" };

const char *mw__name_sym_type(unsigned type) { return type < 16 ? some(sym_types[type]) : NULL; }
const char *mw__name_sym_bind(unsigned bind) { return bind < 16 ? some(sym_binds[bind]) : NULL; }
const char *mw__name_sym_vis(unsigned vis) { return sym_vis[vis & 3]; }

const char *mw__name_segment_flags(uint64_t flags, char *buf)
{
	snprintf(buf, MW__NAME_BUF, "%c%c%c", flags & PF_R ? 'r' : '-', flags & PF_W ? 'w' : '-',
		 flags & PF_X ? 'x' : '-');
	if (flags & ~(uint64_t)7)
		snprintf(buf + 3, MW__NAME_BUF - 3, "+%llx", (unsigned long long)(flags & ~(uint64_t)7));
	return buf;
}

static const struct { uint64_t bit; char letter; uint16_t machine; } section_bits[] = {
	{ SHF_WRITE, 'W', 0 }, { SHF_ALLOC, 'A', 0 }, { SHF_EXECINSTR, 'X', 0 }, { SHF_MERGE, 'M', 0 }, { SHF_STRINGS, 'S', 0 },
	{ SHF_INFO_LINK, 'I', 0 }, { SHF_LINK_ORDER, 'L', 0 }, { SHF_OS_NONCONFORMING, 'O', 0 }, { SHF_GROUP, 'G', 0 },
	{ SHF_TLS, 'T', 0 }, { SHF_COMPRESSED, 'C', 0 }, { 1u << 21, 'R', 0 }, { 1u << 24, 'D', 0 },
	{ 1u << 28, 'l', EM_X86_64 }, { 0x20000000, 'y', EM_ARM }, { 0x10000000, 'v', EM_PPC },
	{ SHF_EXCLUDE, 'E', 0 },
};
const char mw__section_flags_key[] =
	"W write, A alloc, X execute, M merge, S strings, I info, L link order, O extra OS processing,\n"
	"G group, T TLS, C compressed, R retain, D mbind, l large, E exclude, y pure code, v VLE, o OS, p processor, x unknown";

const char *mw__name_section_flags(uint64_t flags, uint64_t machine, char *buf)
{
	char *p = buf;

	for (size_t i = 0; i < MW__COUNT(section_bits); i++)
		if ((flags & section_bits[i].bit) && (!section_bits[i].machine || section_bits[i].machine == machine)) {
			*p++ = section_bits[i].letter;
			flags &= ~section_bits[i].bit;
		}
	if (flags & SHF_MASKOS)
		*p++ = 'o';
	if (flags & SHF_MASKPROC)
		*p++ = 'p';
	if (flags & ~(uint64_t)(SHF_MASKOS | SHF_MASKPROC))
		*p++ = 'x';
	*p = '\0';
	return buf;
}

struct bits {
	uint16_t machine;
	uint32_t mask, value;
	char name[28];
};

static const char *words(const struct bits *t, size_t n, uint64_t flags, uint64_t machine, char *buf)
{
	uint64_t known = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		if ((t[i].machine && t[i].machine != machine) || (flags & t[i].mask) != t[i].value)
			continue;
		size_t len = strlen(buf);

		snprintf(buf + len, MW__NAME_BUF - len, "%s%s", len ? " " : "", t[i].name);
		known |= t[i].mask;
	}
	size_t len = strlen(buf);

	if (flags & ~known)
		snprintf(buf + len, MW__NAME_BUF - len, "%s%#llx", len ? " " : "",
			 (unsigned long long)(flags & ~known));
	return buf;
}

static const struct bits e_flags[] = {
	{ EM_ARM, 0xff000000, 0x05000000, "Version5 EABI" }, { EM_ARM, 0xff000000, 0x04000000, "Version4 EABI" },
	{ EM_ARM, 0x00800000, 0x00800000, "BE8" }, { EM_ARM, 0x200, 0x200, "soft-float ABI" },
	{ EM_ARM, 0x400, 0x400, "hard-float ABI" },
	{ 243, 1, 1, "RVC" }, { 243, 6, 0, "soft-float ABI" }, { 243, 6, 2, "single-float ABI" },
	{ 243, 6, 4, "double-float ABI" }, { 243, 6, 6, "quad-float ABI" }, { 243, 8, 8, "RVE" },
	{ 243, 16, 16, "TSO" },
	{ EM_PPC64, 3, 1, "abiv1" }, { EM_PPC64, 3, 2, "abiv2" }, { EM_PPC, 0x80000000, 0x80000000, "emb" },
	{ EM_MIPS, 1, 1, "noreorder" }, { EM_MIPS, 2, 2, "pic" }, { EM_MIPS, 4, 4, "cpic" },
	{ EM_MIPS, 0x20, 0x20, "abi2" }, { EM_MIPS, 0x100, 0x100, "32bitmode" },
	{ EM_MIPS, 0x400, 0x400, "nan2008" }, { EM_MIPS, 0x200, 0x200, "fp64" },
	{ EM_MIPS, 0xf000, 0x1000, "o32" }, { EM_MIPS, 0xf000, 0x2000, "o64" },
	{ EM_MIPS, 0xf0000000, 0x00000000, "mips1" }, { EM_MIPS, 0xf0000000, 0x10000000, "mips2" },
	{ EM_MIPS, 0xf0000000, 0x20000000, "mips3" }, { EM_MIPS, 0xf0000000, 0x30000000, "mips4" },
	{ EM_MIPS, 0xf0000000, 0x40000000, "mips5" }, { EM_MIPS, 0xf0000000, 0x50000000, "mips32" },
	{ EM_MIPS, 0xf0000000, 0x60000000, "mips64" }, { EM_MIPS, 0xf0000000, 0x70000000, "mips32r2" },
	{ EM_MIPS, 0xf0000000, 0x80000000, "mips64r2" }, { EM_MIPS, 0xf0000000, 0x90000000, "mips32r6" },
	{ EM_MIPS, 0xf0000000, 0xa0000000, "mips64r6" },
	{ 258, 7, 1, "soft-float ABI" }, { 258, 7, 2, "single-float ABI" }, { 258, 7, 3, "double-float ABI" },
	{ 258, 0xc0, 0x40, "object ABI v1" }, { 22, 1, 1, "highgprs" },
	{ EM_SPARCV9, 3, 0, "total store ordering" }, { EM_SPARCV9, 3, 1, "partial store ordering" },
	{ EM_SPARCV9, 3, 2, "relaxed memory ordering" }, { 2, 0x100, 0x100, "v8+" },
};
static const struct bits dt_flags[] = {
	{ 0, 1, 1, "ORIGIN" }, { 0, 2, 2, "SYMBOLIC" }, { 0, 4, 4, "TEXTREL" }, { 0, 8, 8, "BIND_NOW" },
	{ 0, 16, 16, "STATIC_TLS" },
};
static const struct bits dt_flags_1[] = {
	{ 0, 1, 1, "NOW" }, { 0, 2, 2, "GLOBAL" }, { 0, 4, 4, "GROUP" }, { 0, 8, 8, "NODELETE" },
	{ 0, 0x10, 0x10, "LOADFLTR" }, { 0, 0x20, 0x20, "INITFIRST" }, { 0, 0x40, 0x40, "NOOPEN" },
	{ 0, 0x80, 0x80, "ORIGIN" }, { 0, 0x100, 0x100, "DIRECT" }, { 0, 0x200, 0x200, "TRANS" },
	{ 0, 0x400, 0x400, "INTERPOSE" }, { 0, 0x800, 0x800, "NODEFLIB" }, { 0, 0x1000, 0x1000, "NODUMP" },
	{ 0, 0x2000, 0x2000, "CONFALT" }, { 0, 0x4000, 0x4000, "ENDFILTEE" }, { 0, 0x8000, 0x8000, "DISPRELDNE" },
	{ 0, 0x10000, 0x10000, "DISPRELPND" }, { 0, 0x20000, 0x20000, "NODIRECT" },
	{ 0, 0x40000, 0x40000, "IGNMULDEF" }, { 0, 0x80000, 0x80000, "NOKSYMS" },
	{ 0, 0x100000, 0x100000, "NOHDR" }, { 0, 0x200000, 0x200000, "EDITED" },
	{ 0, 0x400000, 0x400000, "NORELOC" }, { 0, 0x800000, 0x800000, "SYMINTPOSE" },
	{ 0, 0x1000000, 0x1000000, "GLOBAUDIT" }, { 0, 0x2000000, 0x2000000, "SINGLETON" },
	{ 0, 0x4000000, 0x4000000, "STUB" }, { 0, 0x8000000, 0x8000000, "PIE" },
};

const char *mw__name_e_flags(uint64_t flags, uint64_t machine, char *buf)
{
	return words(e_flags, MW__COUNT(e_flags), flags, machine, buf);
}

const char *mw__name_dt_flags(uint64_t flags, char *buf)
{
	return words(dt_flags, MW__COUNT(dt_flags), flags, 0, buf);
}

const char *mw__name_dt_flags_1(uint64_t flags, char *buf)
{
	return words(dt_flags_1, MW__COUNT(dt_flags_1), flags, 0, buf);
}

/* Relocation types: one dense table a machine, since a file may have millions. */
#define R(number, name) [number] = name "\0",
static const char r_x86_64[][28] = {
#include "reloc/x86_64.def"
};
static const char r_i386[][28] = {
#include "reloc/i386.def"
};
static const char r_arm[][28] = {
#include "reloc/arm.def"
};
static const char r_aarch64[][44] = {
#include "reloc/aarch64.def"
};
static const char r_riscv[][28] = {
#include "reloc/riscv.def"
};
static const char r_ppc[][28] = {
#include "reloc/ppc.def"
};
static const char r_ppc64[][28] = {
#include "reloc/ppc64.def"
};
static const char r_s390[][28] = {
#include "reloc/s390.def"
};
static const char r_mips[][28] = {
#include "reloc/mips.def"
};
static const char r_sparc[][28] = {
#include "reloc/sparc.def"
};
static const char r_m68k[][28] = {
#include "reloc/m68k.def"
};
static const char r_loongarch[][36] = {
#include "reloc/loongarch.def"
};
static const char r_alpha[][28] = {
#include "reloc/alpha.def"
};
static const char r_ia64[][28] = {
#include "reloc/ia64.def"
};
static const char r_sh[][28] = {
#include "reloc/sh.def"
};
static const char r_hppa[][28] = {
#include "reloc/hppa.def"
};
static const char r_bpf[][28] = {
#include "reloc/bpf.def"
};
#undef R

#define TYPES(r) MW__COUNT(r), sizeof((r)[0]), (r)[0]
static const struct {
	uint16_t machine, n, width;
	const char *names;
} relocs[] = {
	{ EM_X86_64, TYPES(r_x86_64) }, { EM_386, TYPES(r_i386) }, { EM_ARM, TYPES(r_arm) },
	{ EM_AARCH64, TYPES(r_aarch64) }, { 243, TYPES(r_riscv) }, { EM_PPC, TYPES(r_ppc) },
	{ EM_PPC64, TYPES(r_ppc64) }, { EM_S390, TYPES(r_s390) }, { EM_MIPS, TYPES(r_mips) },
	{ EM_SPARC, TYPES(r_sparc) }, { EM_SPARCV9, TYPES(r_sparc) },
	{ EM_SPARC32PLUS, TYPES(r_sparc) }, { EM_68K, TYPES(r_m68k) },
	{ 258, TYPES(r_loongarch) }, { EM_ALPHA, TYPES(r_alpha) },
	{ EM_IA_64, TYPES(r_ia64) }, { EM_SH, TYPES(r_sh) }, { EM_PARISC, TYPES(r_hppa) },
	{ EM_BPF, TYPES(r_bpf) },
};

const char *mw__name_reloc(uint64_t type, uint64_t machine)
{
	for (size_t i = 0; i < MW__COUNT(relocs); i++)
		if (relocs[i].machine == machine)
			return type < relocs[i].n ? some(relocs[i].names + type * relocs[i].width) : NULL;
	return NULL;
}
