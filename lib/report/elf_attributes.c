/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Attributes of the architecture: what objects were compiled for, so that a linker can refuse a mixture.
 * (Addenda to the ABI for the Arm Architecture, chapter 3; RISC-V ELF psABI, "Attributes"; GNU attributes in gas's
 * manual; MIPS has a structure of its own, .MIPS.abiflags.) Values are shown by the words of these documents.
 */
#include <stdio.h>
#include <string.h>

#include "../base/size.h"
#include "../elf/names.h"
#include "elf_view.h"

static const struct mw__col attr_cols[] = {
	{ "vendor", "Vendor", MW__T_TEXT, 0, "whose attribute it is" },
	{ "tag", "Tag", MW__T_COUNT, 0, "its number" },
	{ "name", "Name", MW__T_TEXT, 0, "its name" },
	{ "value", "Value", MW__T_COUNT, 0, "its number" },
	{ "text", "Text", MW__T_TEXT, 0, "its text, or what the number means" },
};

#define WORDS 24

static const struct tag {
	const char *vendor;
	uint8_t tag;
	bool is_text;
	const char *name;
	const char *words[WORDS];	/* by value */
} tags[] = {
	{ "aeabi", 4, true, "CPU_raw_name", { 0 } }, { "aeabi", 5, true, "CPU_name", { 0 } },
	{ "aeabi", 6, false, "CPU_arch", { "Pre-v4", "v4", "v4T", "v5T", "v5TE", "v5TEJ", "v6", "v6KZ", "v6T2", "v6K", "v7", "v6-M", "v6S-M", "v7E-M",
	  "v8", "v8-R", "v8-M.baseline", "v8-M.mainline", [21] = "v8.1-M.mainline", "v9" } },
	{ "aeabi", 7, false, "CPU_arch_profile", { "None" } },
	{ "aeabi", 8, false, "ARM_ISA_use", { "No", "Yes" } },
	{ "aeabi", 9, false, "THUMB_ISA_use", { "No", "Thumb-1", "Thumb-2", "Yes" } },
	{ "aeabi", 10, false, "FP_arch", { "No", "VFPv1", "VFPv2", "VFPv3", "VFPv3-D16", "VFPv4", "VFPv4-D16", "FP for ARMv8", "FPv5/FP-D16 for ARMv8" } },
	{ "aeabi", 11, false, "WMMX_arch", { "No", "WMMXv1", "WMMXv2" } },
	{ "aeabi", 12, false, "Advanced_SIMD_arch", { "No", "NEONv1", "NEONv1 with Fused-MAC", "NEON for ARMv8", "NEON for ARMv8.1" } },
	{ "aeabi", 13, false, "PCS_config", { "None", "Bare platform", "Linux application", "Linux DSO", "PalmOS 2004", "PalmOS (reserved)",
	  "SymbianOS 2004", "SymbianOS (reserved)" } },
	{ "aeabi", 14, false, "ABI_PCS_R9_use", { "V6", "SB", "TLS", "Unused" } },
	{ "aeabi", 15, false, "ABI_PCS_RW_data", { "Absolute", "PC-relative", "SB-relative", "None" } },
	{ "aeabi", 16, false, "ABI_PCS_RO_data", { "Absolute", "PC-relative", "None" } },
	{ "aeabi", 17, false, "ABI_PCS_GOT_use", { "None", "direct", "GOT-indirect" } },
	{ "aeabi", 18, false, "ABI_PCS_wchar_t", { 0 } },
	{ "aeabi", 19, false, "ABI_FP_rounding", { "Unused", "Needed" } },
	{ "aeabi", 20, false, "ABI_FP_denormal", { "Unused", "Needed", "Sign only" } },
	{ "aeabi", 21, false, "ABI_FP_exceptions", { "Unused", "Needed" } },
	{ "aeabi", 22, false, "ABI_FP_user_exceptions", { "Unused", "Needed" } },
	{ "aeabi", 23, false, "ABI_FP_number_model", { "Unused", "Finite", "RTABI", "IEEE 754" } },
	{ "aeabi", 24, false, "ABI_align_needed", { "None", "8-byte", "4-byte" } },
	{ "aeabi", 25, false, "ABI_align_preserved", { "None", "8-byte, except leaf SP", "8-byte" } },
	{ "aeabi", 26, false, "ABI_enum_size", { "Unused", "small", "int", "forced to int" } },
	{ "aeabi", 27, false, "ABI_HardFP_use", { "As Tag_FP_arch", "SP only" } },
	{ "aeabi", 28, false, "ABI_VFP_args", { "AAPCS", "VFP registers", "custom", "compatible" } },
	{ "aeabi", 29, false, "ABI_WMMX_args", { "AAPCS", "WMMX registers", "custom" } },
	{ "aeabi", 30, false, "ABI_optimization_goals", { "None", "Prefer Speed", "Aggressive Speed", "Prefer Size", "Aggressive Size", "Prefer Debug",
	  "Aggressive Debug" } },
	{ "aeabi", 31, false, "ABI_FP_optimization_goals", { "None", "Prefer Speed", "Aggressive Speed", "Prefer Size", "Aggressive Size",
	  "Prefer Accuracy", "Aggressive Accuracy" } },
	{ "aeabi", 34, false, "CPU_unaligned_access", { "None", "v6" } },
	{ "aeabi", 36, false, "FP_HP_extension", { "Not Allowed", "Allowed" } },
	{ "aeabi", 38, false, "ABI_FP_16bit_format", { "None", "IEEE 754", "Alternative Format" } },
	{ "aeabi", 42, false, "MPextension_use", { "Not Allowed", "Allowed" } },
	{ "aeabi", 44, false, "DIV_use", { "Allowed in Thumb-ISA, v7-R or v7-M", "Not allowed", "Allowed in v7-A with integer division extension" } },
	{ "aeabi", 46, false, "DSP_extension", { "Follow architecture", "Allowed" } },
	{ "aeabi", 66, false, "T2EE_use", { "Not Allowed", "Allowed" } },
	{ "aeabi", 67, true, "conformance", { 0 } },
	{ "aeabi", 68, false, "Virtualization_use", { "Not Allowed", "TrustZone", "Virtualization Extensions", "TrustZone and Virtualization Extensions" } },
	{ "riscv", 4, false, "RISCV_stack_align", { 0 } }, { "riscv", 5, true, "RISCV_arch", { 0 } },
	{ "riscv", 6, false, "RISCV_unaligned_access", { "No unaligned access", "Unaligned access" } },
	{ "riscv", 8, false, "RISCV_priv_spec", { 0 } }, { "riscv", 10, false, "RISCV_priv_spec_minor", { 0 } },
	{ "riscv", 12, false, "RISCV_priv_spec_revision", { 0 } },
};

#define POWER_FLOATS(long_double) \
	"unspecified hard/soft float, " long_double " long double", "hard float, " long_double " long double", \
	"soft float, " long_double " long double", "single-precision hard float, " long_double " long double"

/* The vendor "gnu" means something else to each machine. */
static const struct {
	uint16_t machine;
	struct tag tag;
} gnu_tags[] = {
	{ EM_PPC, { "gnu", 4, false, "GNU_Power_ABI_FP", {	/* bits 0-1 float, 2-3 long double */
	  POWER_FLOATS("unspecified"), POWER_FLOATS("128-bit IBM"), POWER_FLOATS("64-bit"), POWER_FLOATS("128-bit IEEE") } } },
	{ EM_PPC, { "gnu", 8, false, "GNU_Power_ABI_Vector", { "unspecified", "generic", "AltiVec", "SPE" } } },
	{ EM_PPC, { "gnu", 12, false, "GNU_Power_ABI_Struct_Return", { "unspecified", "r3/r4", "memory" } } },
	{ EM_S390, { "gnu", 8, false, "GNU_S390_ABI_Vector", { "any", "software", "hardware" } } },
	{ EM_MIPS, { "gnu", 4, false, "GNU_MIPS_ABI_FP", { "Hard or soft float", "Hard float (double precision)", "Hard float (single precision)",
	  "Soft float", "Hard float (MIPS32r2 64-bit FPU 12 callee-saved)", "Hard float (32-bit CPU, Any FPU)", "Hard float (32-bit CPU, 64-bit FPU)",
	  "Hard float compat (32-bit CPU, 64-bit FPU)" } } },
	{ EM_MIPS, { "gnu", 8, false, "GNU_MIPS_ABI_MSA", { "Any MSA or not", "128-bit MSA" } } },
};

static const struct tag *find_tag(uint64_t machine, const char *vendor, uint64_t tag)
{
	uint64_t family = machine == EM_PPC64 ? EM_PPC : machine;

	for (size_t i = 0; i < MW__COUNT(tags); i++)
		if (tags[i].tag == tag && !strcmp(tags[i].vendor, vendor))
			return &tags[i];
	for (size_t i = 0; i < MW__COUNT(gnu_tags); i++)
		if (gnu_tags[i].machine == family && gnu_tags[i].tag.tag == tag && !strcmp(vendor, "gnu"))
			return &gnu_tags[i].tag;
	return NULL;
}

/* What a number means, or NULL. */
static const char *meaning(const struct tag *t, uint64_t v)
{
	static const struct { char letter; const char *word; } profiles[] = {
		{ 'A', "Application" }, { 'R', "Realtime" }, { 'M', "Microcontroller" }, { 'S', "Application or Realtime" },
	};

	for (size_t i = 0; t && !strcmp(t->name, "CPU_arch_profile") && i < MW__COUNT(profiles); i++)
		if (profiles[i].letter == (char)v)
			return profiles[i].word;
	return t && v < WORDS ? t->words[v] : NULL;
}

struct attrs {
	const struct mw__elf_view *v;
	struct mw__doc_node *table;
	const uint8_t *p;
	uint64_t at, end;
};

static uint64_t uleb(struct attrs *a)
{
	uint64_t v;

	mw__raw_leb(a->p, &a->at, a->end, false, &v);
	return v;
}

static const char *text(struct attrs *a)
{
	size_t n = strnlen((const char *)a->p + a->at, a->end - a->at);
	char *s = mw__view_alloc(a->v, n + 1);

	if (s)
		memcpy(s, a->p + a->at, n);
	a->at += n + (a->at + n < a->end);
	return s;
}

/* Tags above 31 follow a rule: odd ones are texts, even ones numbers; 32 is both. */
static void attribute(struct attrs *a, const char *vendor)
{
	uint64_t tag = uleb(a), value;
	const struct tag *known = find_tag(a->v->elf->eh.machine, vendor, tag);
	bool both = tag == 32, is_text = known ? known->is_text : strcmp(vendor, "riscv") ? tag > 32 && (tag & 1) : tag & 1;
	struct mw__doc_row *r = mw__doc_row(a->table);

	mw__row_text(a->table, r, 0, vendor);
	mw__row_field(a->table, r, 1, tag);
	mw__row_text(a->table, r, 2, known ? known->name : NULL);
	if (!is_text || both) {
		value = uleb(a);
		mw__row_field(a->table, r, 3, value);
		mw__row_text(a->table, r, 4, meaning(known, value));
	}
	if (is_text || both)
		mw__row_text(a->table, r, 4, text(a));
}

static void attribute_section(const struct mw__elf_view *v, struct mw__doc_node *t, size_t i)
{
	struct mw_elf *elf = v->elf;
	uint64_t size = mw__elf_section_bytes(elf, i);
	const uint8_t *p = mw__elf_chunk(elf, elf->sh[i].off, size, ELF_T_BYTE, mw__elf_section_name(elf, i));
	struct attrs a = { v, t, p, 1, size };

	if (!p || p[0] != 'A')
		return;
	while (mw__fits(a.at, 4, size)) {	/* vendors */
		uint64_t len = mw__raw_num(p + a.at, 4, elf->lay.big), end = a.at + len;

		if (len < 5 || !mw__fits(a.at, len, size)) {
			mw__elf_diag(elf, MW__ELF_BAD, "length of attributes", len, elf->sh[i].off + a.at, size - a.at,
				     "%s: a part of %llu bytes, %llu are left", mw__elf_section_name(elf, i),
				     (unsigned long long)len, (unsigned long long)(size - a.at));
			return;
		}
		a.at += 4;
		a.end = end;
		const char *vendor = text(&a);

		while (vendor && a.at < end) {	/* file, section and symbol scopes */
			uint64_t from = a.at;

			uleb(&a);
			if (!mw__fits(a.at, 4, end))
				break;
			uint64_t part = mw__raw_num(p + a.at, 4, elf->lay.big);

			a.at += 4;
			a.end = mw__fits(from, part, end) && from + part > a.at ? from + part : end;
			while (a.at < a.end)
				attribute(&a, vendor);
			a.end = end;
		}
		a.at = end;
	}
}

/* -------------------------------------------------------------------- MIPS */

static void flag_row(struct mw__doc_node *t, const char *name, uint64_t value, const char *text)
{
	struct mw__doc_row *r = mw__doc_row(t);

	mw__row_text(t, r, 0, "mips");
	mw__row_text(t, r, 2, name);
	mw__row_u64(t, r, 3, value);
	mw__row_text(t, r, 4, text);
}

/* Elf_MIPS_ABIFlags_v0. */
static void abiflags(const struct mw__elf_view *v, struct mw__doc_node *t, uint64_t off)
{
	static const char *const sizes[] = { "none", "32 bit", "64 bit", "128 bit" };
	static const struct { const char *name; uint8_t at; } registers[] = { { "GPR size", 4 }, { "CPR1 size", 5 }, { "CPR2 size", 6 } };
	uint8_t p[24];
	char isa[32];
	bool big = v->elf->lay.big;

	if (!mw__elf_read(v->elf, off, p, sizeof(p)))
		return;
	flag_row(t, "ABI flags version", mw__raw_num(p, 2, big), NULL);
	if (p[3] > 1)
		snprintf(isa, sizeof(isa), "MIPS%ur%u", p[2], p[3]);
	else
		snprintf(isa, sizeof(isa), "MIPS%u", p[2]);
	flag_row(t, "ISA", p[2], isa);
	for (size_t i = 0; i < MW__COUNT(registers); i++)
		flag_row(t, registers[i].name, p[registers[i].at], p[registers[i].at] < 4 ? sizes[p[registers[i].at]] : NULL);
	flag_row(t, "FP ABI", p[7], meaning(find_tag(EM_MIPS, "gnu", 4), p[7]));
	flag_row(t, "ISA extension", mw__raw_num(p + 8, 4, big), NULL);
	flag_row(t, "ASEs", mw__raw_num(p + 12, 4, big), NULL);
	flag_row(t, "FLAGS 1", mw__raw_num(p + 16, 4, big), NULL);
	flag_row(t, "FLAGS 2", mw__raw_num(p + 20, 4, big), NULL);
}

void mw__elf_view_attributes(const struct mw__elf_view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->node, "attributes", "Attributes", attr_cols, MW__COUNT(attr_cols));

	for (size_t i = 1; i < v->elf->n_sh; i++) {
		const char *name = mw__name_section(v->elf->sh[i].type, v->elf->eh.machine);

		if (name && strstr(name, "ATTRIBUTES"))
			attribute_section(v, t, i);
		else if (name && !strcmp(name, "MIPS_ABIFLAGS"))
			abiflags(v, t, v->elf->sh[i].off);
	}
}
