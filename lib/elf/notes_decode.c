/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What notes say. Each kind is a small function that reads the descriptor with checked
 * offsets; a descriptor that is too short gives what fits. Layouts: gABI and LSB for GNU
 * notes, the x86-64 and Linux psABI extensions for properties. Cores: notes_core.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../base/count.h"
#include "notes_out.h"

/* ----------------------------------------------------------------- reading */

void mw__note_vsay(const struct mw__note_out *o, const char *key, const char *fmt, va_list ap)
{
	char text[2048];

	vsnprintf(text, sizeof(text), fmt, ap);
	o->add(o->ctx, key, text);
}

uint64_t mw__note_num(const struct mw__note_out *o, uint64_t at, unsigned size)
{
	return mw__fits(at, size, o->n->desc_size) ? mw__raw_num(o->n->desc + at, size, o->elf->lay.big) : 0;
}

unsigned mw__note_word_size(const struct mw__note_out *o) { return o->elf->lay.is64 ? 8 : 4; }

static void say(const struct mw__note_out *o, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(const struct mw__note_out *o, const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mw__note_vsay(o, key, fmt, ap);
	va_end(ap);
}

void mw__note_text(const struct mw__note_out *o, uint64_t at, uint64_t max, const char *key)
{
	uint64_t left = at < o->n->desc_size ? o->n->desc_size - at : 0;
	size_t len = strnlen((const char *)o->n->desc + (left ? at : 0), left < max ? left : max);

	say(o, key, "%.*s", (int)(left ? len : 0), (const char *)o->n->desc + (left ? at : 0));
}

void mw__note_hex(const struct mw__note_out *o, const char *key)
{
	char text[513];
	size_t n = o->n->desc_size < 256 ? o->n->desc_size : 256;

	for (size_t i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", o->n->desc[i]);
	text[2 * n] = '\0';
	say(o, key, "%s", text);
}

/* --------------------------------------------------------------------- GNU */

static void abi_tag(const struct mw__note_out *o)
{
	static const char *const systems[] = { "Linux", "Hurd", "Solaris", "FreeBSD", "NetBSD", "Syllable", "NaCl" };
	uint64_t os = mw__note_num(o, 0, 4);

	say(o, "os", "%s", os < MW__COUNT(systems) ? systems[os] : "unknown");
	say(o, "abi", "%llu.%llu.%llu", (unsigned long long)mw__note_num(o, 4, 4), (unsigned long long)mw__note_num(o, 8, 4),
	    (unsigned long long)mw__note_num(o, 12, 4));
}

static void build_id(const struct mw__note_out *o) { mw__note_hex(o, "build_id"); }
static void whole_text(const struct mw__note_out *o) { mw__note_text(o, 0, 1024, "text"); }

struct bit_name {
	uint32_t bit;
	const char *name;
};
static const struct bit_name x86_features[] = { { 1, "IBT" }, { 2, "SHSTK" }, { 4, "LAM_U48" }, { 8, "LAM_U57" }, { 0, 0 } };
static const struct bit_name x86_isa[] = { { 1, "x86-64-baseline" }, { 2, "x86-64-v2" }, { 4, "x86-64-v3" },
					   { 8, "x86-64-v4" }, { 0, 0 } };
static const struct bit_name x86_feature2[] = { { 1, "x86" }, { 2, "x87" }, { 4, "MMX" }, { 8, "XMM" }, { 16, "YMM" },
						{ 32, "ZMM" }, { 64, "FXSR" }, { 128, "XSAVE" }, { 256, "XSAVEOPT" },
						{ 512, "XSAVEC" }, { 1024, "TMM" }, { 2048, "MASK" }, { 0, 0 } };
static const struct bit_name arm_features[] = { { 1, "BTI" }, { 2, "PAC" }, { 4, "GCS" }, { 0, 0 } };
static const struct bit_name needed1[] = { { 1, "indirect external access" }, { 0, 0 } };

static const struct {
	uint16_t machine;	/* 0: any */
	uint32_t type;
	const char *key;
	const struct bit_name *bits;
} properties[] = {
	{ 0, 1, "stack_size", NULL }, { 0, 2, "no_copy_on_protected", NULL }, { 0, 0xb0008000, "1_needed", needed1 },
	{ EM_X86_64, 0xc0000002, "x86_feature", x86_features }, { EM_386, 0xc0000002, "x86_feature", x86_features },
	{ EM_X86_64, 0xc0008002, "x86_isa_needed", x86_isa }, { EM_386, 0xc0008002, "x86_isa_needed", x86_isa },
	{ EM_X86_64, 0xc0010002, "x86_isa_used", x86_isa }, { EM_386, 0xc0010002, "x86_isa_used", x86_isa },
	{ EM_X86_64, 0xc0008001, "x86_feature_needed", x86_feature2 },
	{ EM_X86_64, 0xc0010001, "x86_feature_used", x86_feature2 },
	{ EM_386, 0xc0008001, "x86_feature_needed", x86_feature2 },
	{ EM_386, 0xc0010001, "x86_feature_used", x86_feature2 },
	{ EM_AARCH64, 0xc0000000, "aarch64_feature", arm_features },
};

static void property(const struct mw__note_out *o, uint64_t type, uint64_t at, uint64_t size)
{
	char key[32], text[256] = "";
	uint64_t v = size <= 8 && (size == 4 || size == 8) ? mw__note_num(o, at, size) : 0;

	for (size_t i = 0; i < MW__COUNT(properties); i++) {
		if (properties[i].type != type || (properties[i].machine && properties[i].machine != o->elf->eh.machine))
			continue;
		size_t n = 0;

		for (const struct bit_name *b = properties[i].bits; b && b->bit; b++)
			if (v & b->bit) {
				n += snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "", b->name);
				v &= ~(uint64_t)b->bit;
			}
		if (v || !n)
			snprintf(text + n, sizeof(text) - n, "%s%#llx", n ? ", " : "", (unsigned long long)v);
		say(o, properties[i].key, "%s", text);
		return;
	}
	snprintf(key, sizeof(key), "property_%#llx", (unsigned long long)type);
	say(o, key, "%#llx", (unsigned long long)v);
}

static void gnu_properties(const struct mw__note_out *o)
{
	unsigned align = mw__note_word_size(o);

	for (uint64_t at = 0; mw__fits(at, 8, o->n->desc_size);) {
		uint64_t type = mw__note_num(o, at, 4), size = mw__note_num(o, at + 4, 4);

		if (!mw__fits(at + 8, size, o->n->desc_size)) {
			say(o, "damage", "property %#llx has %llu bytes, %llu are left", (unsigned long long)type,
			    (unsigned long long)size, (unsigned long long)(o->n->desc_size - at - 8));
			return;
		}
		property(o, type, at + 8, size);
		at += 8 + ((size + align - 1) & ~(uint64_t)(align - 1));
	}
}

static void probe(const struct mw__note_out *o)
{
	unsigned w = mw__note_word_size(o);
	uint64_t at = 3 * w;
	static const char *const keys[] = { "provider", "name", "arguments" };

	say(o, "pc", "%#llx", (unsigned long long)mw__note_word(o, 0));
	say(o, "base", "%#llx", (unsigned long long)mw__note_word(o, w));
	say(o, "semaphore", "%#llx", (unsigned long long)mw__note_word(o, 2 * w));
	for (int i = 0; i < 3 && at < o->n->desc_size; i++) {
		size_t len = strnlen((const char *)o->n->desc + at, o->n->desc_size - at);

		mw__note_text(o, at, 512, keys[i]);
		at += len + 1;
	}
}

/* ------------------------------------------------------------------- kinds */

static const struct {
	const char *owner;
	uint32_t type;
	const char *name;
	void (*decode)(const struct mw__note_out *o);
} kinds[] = {
	{ "GNU", NT_GNU_ABI_TAG, "NT_GNU_ABI_TAG", abi_tag },
	{ "GNU", NT_GNU_HWCAP, "NT_GNU_HWCAP", NULL },
	{ "GNU", NT_GNU_BUILD_ID, "NT_GNU_BUILD_ID", build_id },
	{ "GNU", NT_GNU_GOLD_VERSION, "NT_GNU_GOLD_VERSION", whole_text },
	{ "GNU", NT_GNU_PROPERTY_TYPE_0, "NT_GNU_PROPERTY_TYPE_0", gnu_properties },
	{ "stapsdt", 3, "NT_STAPSDT", probe },
	{ "Go", 4, "NT_GO_BUILD_ID", whole_text },
	{ "FDO", 0xcafe1a7e, "FDO_PACKAGING_METADATA", whole_text },
	{ "FDO", 0x407c0c0a, "FDO_DLOPEN_METADATA", whole_text },
	{ "CORE", NT_PRSTATUS, "NT_PRSTATUS", mw__core_prstatus },
	{ "CORE", NT_FPREGSET, "NT_FPREGSET", mw__core_fpregs },
	{ "CORE", NT_PRPSINFO, "NT_PRPSINFO", mw__core_prpsinfo },
	{ "CORE", NT_TASKSTRUCT, "NT_TASKSTRUCT", NULL },
	{ "CORE", NT_AUXV, "NT_AUXV", mw__core_auxv },
	{ "CORE", NT_SIGINFO, "NT_SIGINFO", mw__core_siginfo },
	{ "CORE", NT_FILE, "NT_FILE", mw__core_files },
	{ "LINUX", 0x46e62b7f, "NT_PRXFPREG", mw__core_fxsave },
	{ "LINUX", 0x200, "NT_386_TLS", mw__core_tls },
	{ "LINUX", 0x201, "NT_386_IOPERM", NULL },
	{ "LINUX", 0x202, "NT_X86_XSTATE", mw__core_xstate },
	{ "LINUX", 0x204, "NT_X86_SHSTK", NULL },
	{ "LINUX", 0x205, "NT_X86_XSAVE_LAYOUT", mw__core_layout },
	{ "LINUX", 0x100, "NT_PPC_VMX", NULL }, { "LINUX", 0x101, "NT_PPC_SPE", NULL },
	{ "LINUX", 0x102, "NT_PPC_VSX", NULL }, { "LINUX", 0x103, "NT_PPC_TAR", NULL },
	{ "LINUX", 0x104, "NT_PPC_PPR", NULL }, { "LINUX", 0x105, "NT_PPC_DSCR", NULL },
	{ "LINUX", 0x106, "NT_PPC_EBB", NULL }, { "LINUX", 0x107, "NT_PPC_PMU", NULL },
	{ "LINUX", 0x108, "NT_PPC_TM_CGPR", NULL }, { "LINUX", 0x109, "NT_PPC_TM_CFPR", NULL },
	{ "LINUX", 0x10a, "NT_PPC_TM_CVMX", NULL }, { "LINUX", 0x10b, "NT_PPC_TM_CVSX", NULL },
	{ "LINUX", 0x10c, "NT_PPC_TM_SPR", NULL }, { "LINUX", 0x10d, "NT_PPC_TM_CTAR", NULL },
	{ "LINUX", 0x10e, "NT_PPC_TM_CPPR", NULL }, { "LINUX", 0x10f, "NT_PPC_TM_CDSCR", NULL },
	{ "LINUX", 0x110, "NT_PPC_PKEY", NULL }, { "LINUX", 0x300, "NT_S390_HIGH_GPRS", NULL },
	{ "LINUX", 0x301, "NT_S390_TIMER", NULL }, { "LINUX", 0x302, "NT_S390_TODCMP", NULL },
	{ "LINUX", 0x303, "NT_S390_TODPREG", NULL }, { "LINUX", 0x304, "NT_S390_CTRS", NULL },
	{ "LINUX", 0x305, "NT_S390_PREFIX", NULL }, { "LINUX", 0x306, "NT_S390_LAST_BREAK", NULL },
	{ "LINUX", 0x307, "NT_S390_SYSTEM_CALL", NULL }, { "LINUX", 0x308, "NT_S390_TDB", NULL },
	{ "LINUX", 0x309, "NT_S390_VXRS_LOW", NULL }, { "LINUX", 0x30a, "NT_S390_VXRS_HIGH", NULL },
	{ "LINUX", 0x30b, "NT_S390_GS_CB", NULL }, { "LINUX", 0x30c, "NT_S390_GS_BC", NULL },
	{ "LINUX", 0x30d, "NT_S390_RI_CB", NULL }, { "LINUX", 0x30e, "NT_S390_PV_CPU_DATA", NULL },
	{ "LINUX", 0x400, "NT_ARM_VFP", NULL }, { "LINUX", 0x401, "NT_ARM_TLS", NULL },
	{ "LINUX", 0x402, "NT_ARM_HW_BREAK", NULL }, { "LINUX", 0x403, "NT_ARM_HW_WATCH", NULL },
	{ "LINUX", 0x404, "NT_ARM_SYSTEM_CALL", NULL }, { "LINUX", 0x405, "NT_ARM_SVE", NULL },
	{ "LINUX", 0x406, "NT_ARM_PAC_MASK", NULL }, { "LINUX", 0x407, "NT_ARM_PACA_KEYS", NULL },
	{ "LINUX", 0x408, "NT_ARM_PACG_KEYS", NULL }, { "LINUX", 0x409, "NT_ARM_TAGGED_ADDR_CTRL", NULL },
	{ "LINUX", 0x40a, "NT_ARM_PAC_ENABLED_KEYS", NULL }, { "LINUX", 0x40b, "NT_ARM_SSVE", NULL },
	{ "LINUX", 0x40c, "NT_ARM_ZA", NULL }, { "LINUX", 0x600, "NT_ARC_V2", NULL },
	{ "LINUX", 0x700, "NT_VMCOREDD", NULL }, { "LINUX", 0x800, "NT_MIPS_DSP", NULL },
	{ "LINUX", 0x801, "NT_MIPS_FP_MODE", NULL }, { "LINUX", 0x802, "NT_MIPS_MSA", NULL },
	{ "LINUX", 0xa00, "NT_LOONGARCH_CPUCFG", NULL }, { "LINUX", 0xa01, "NT_LOONGARCH_CSR", NULL },
	{ "LINUX", 0xa02, "NT_LOONGARCH_LSX", NULL }, { "LINUX", 0xa03, "NT_LOONGARCH_LASX", NULL },
	{ "LINUX", 0xa04, "NT_LOONGARCH_LBT", NULL },
	{ "GDB", 0xff000000, "NT_GDB_TDESC", NULL },
};

static int find_kind(const struct mw__elfnote *n)
{
	for (size_t i = 0; i < MW__COUNT(kinds); i++)
		if (kinds[i].type == n->type && !strcmp(kinds[i].owner, n->owner))
			return i;
	return -1;
}

const char *mw__note_type_name(const struct mw_elf *elf, const struct mw__elfnote *n)
{
	int k = find_kind(n);

	(void)elf;
	return k < 0 ? NULL : kinds[k].name;
}

void mw__note_decode(const struct mw_elf *elf, const struct mw__elfnote *n, mw__note_add *add, void *ctx)
{
	struct mw__note_out o = { elf, n, add, ctx };
	int k = find_kind(n);

	if (k >= 0 && kinds[k].decode)
		kinds[k].decode(&o);
	else if (n->desc_size)
		mw__note_hex(&o, "bytes");
}
