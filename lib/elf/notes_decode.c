/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What notes say. Each kind is a small function that reads the descriptor with checked
 * offsets; a descriptor that is too short gives what fits. Layouts: gABI and LSB for GNU
 * notes, the x86-64 and Linux psABI extensions for properties, <sys/procfs.h> and the
 * kernel's fs/binfmt_elf.c for cores (x86-64 registers only).
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "notes.h"

struct out {
	const struct mw_elf *elf;
	const struct mw__elfnote *n;
	mw__note_add *add;
	void *ctx;
};

static void say(const struct out *o, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(const struct out *o, const char *key, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	o->add(o->ctx, key, text);
}

/* A number of the descriptor; 0 outside. */
static uint64_t num(const struct out *o, uint64_t at, unsigned size)
{
	return mw__fits(at, size, o->n->desc_size) ? mw__raw_num(o->n->desc + at, size, o->elf->lay.big) : 0;
}

static uint64_t word(const struct out *o, uint64_t at) { return num(o, at, o->elf->lay.is64 ? 8 : 4); }
static unsigned word_size(const struct out *o) { return o->elf->lay.is64 ? 8 : 4; }

/* Text of at most max bytes at an offset, "" outside. */
static void text_at(const struct out *o, uint64_t at, uint64_t max, const char *key)
{
	uint64_t left = at < o->n->desc_size ? o->n->desc_size - at : 0;
	size_t len = strnlen((const char *)o->n->desc + (left ? at : 0), left < max ? left : max);

	say(o, key, "%.*s", (int)(left ? len : 0), (const char *)o->n->desc + (left ? at : 0));
}

static void hex_bytes(const struct out *o, const char *key)
{
	char text[513];
	size_t n = o->n->desc_size < 256 ? o->n->desc_size : 256;

	for (size_t i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", o->n->desc[i]);
	text[2 * n] = '\0';
	say(o, key, "%s", text);
}

/* --------------------------------------------------------------------- GNU */

static void abi_tag(const struct out *o)
{
	static const char *const systems[] = { "Linux", "Hurd", "Solaris", "FreeBSD", "NetBSD", "Syllable", "NaCl" };
	uint64_t os = num(o, 0, 4);

	say(o, "os", "%s", os < sizeof(systems) / sizeof(systems[0]) ? systems[os] : "unknown");
	say(o, "abi", "%llu.%llu.%llu", (unsigned long long)num(o, 4, 4), (unsigned long long)num(o, 8, 4),
	    (unsigned long long)num(o, 12, 4));
}

static void build_id(const struct out *o) { hex_bytes(o, "build_id"); }
static void whole_text(const struct out *o) { text_at(o, 0, 1024, "text"); }

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

static void property(const struct out *o, uint64_t type, uint64_t at, uint64_t size)
{
	char key[32], text[256] = "";
	uint64_t v = size <= 8 && (size == 4 || size == 8) ? num(o, at, size) : 0;

	for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
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

static void gnu_properties(const struct out *o)
{
	unsigned align = word_size(o);

	for (uint64_t at = 0; mw__fits(at, 8, o->n->desc_size);) {
		uint64_t type = num(o, at, 4), size = num(o, at + 4, 4);

		if (!mw__fits(at + 8, size, o->n->desc_size)) {
			say(o, "damage", "property %#llx has %llu bytes, %llu are left", (unsigned long long)type,
			    (unsigned long long)size, (unsigned long long)(o->n->desc_size - at - 8));
			return;
		}
		property(o, type, at + 8, size);
		at += 8 + ((size + align - 1) & ~(uint64_t)(align - 1));
	}
}

static void probe(const struct out *o)
{
	unsigned w = word_size(o);
	uint64_t at = 3 * w;
	static const char *const keys[] = { "provider", "name", "arguments" };

	say(o, "pc", "%#llx", (unsigned long long)word(o, 0));
	say(o, "base", "%#llx", (unsigned long long)word(o, w));
	say(o, "semaphore", "%#llx", (unsigned long long)word(o, 2 * w));
	for (int i = 0; i < 3 && at < o->n->desc_size; i++) {
		size_t len = strnlen((const char *)o->n->desc + at, o->n->desc_size - at);

		text_at(o, at, 512, keys[i]);
		at += len + 1;
	}
}

/* ------------------------------------------------------------------- cores */

static const char *const x86_64_regs[] = {
	"r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi",
	"orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
};

static void prstatus(const struct out *o)
{
	bool l = o->elf->lay.is64;

	say(o, "signal", "%llu", (unsigned long long)num(o, 12, 2));
	say(o, "pid", "%llu", (unsigned long long)num(o, l ? 32 : 24, 4));
	say(o, "ppid", "%llu", (unsigned long long)num(o, l ? 36 : 28, 4));
	say(o, "utime", "%llu.%06llu", (unsigned long long)word(o, l ? 48 : 40), (unsigned long long)word(o, l ? 56 : 44));
	say(o, "stime", "%llu.%06llu", (unsigned long long)word(o, l ? 64 : 48), (unsigned long long)word(o, l ? 72 : 52));
	if (o->elf->eh.machine == EM_X86_64 && l)
		for (size_t i = 0; i < 27; i++)
			say(o, x86_64_regs[i], "%#llx", (unsigned long long)num(o, 112 + 8 * i, 8));
}

static void prpsinfo(const struct out *o)
{
	bool l = o->elf->lay.is64;
	char state = num(o, 1, 1);

	say(o, "state", "%c", state > 32 && state < 127 ? state : '?');
	say(o, "nice", "%d", (int8_t)num(o, 3, 1));
	if (l) {
		say(o, "uid", "%llu", (unsigned long long)num(o, 16, 4));
		say(o, "gid", "%llu", (unsigned long long)num(o, 20, 4));
	}
	say(o, "pid", "%llu", (unsigned long long)num(o, l ? 24 : 12, 4));
	say(o, "ppid", "%llu", (unsigned long long)num(o, l ? 28 : 16, 4));
	text_at(o, l ? 40 : 28, 16, "fname");
	text_at(o, l ? 56 : 44, 80, "psargs");
}

static const char *const auxv_names[] = {
	[2] = "EXECFD", [3] = "PHDR", "PHENT", "PHNUM", "PAGESZ", "BASE", "FLAGS", "ENTRY", "NOTELF", "UID", "EUID",
	"GID", "EGID", "PLATFORM", "HWCAP", "CLKTCK", [23] = "SECURE", "BASE_PLATFORM", "RANDOM", "HWCAP2",
	[27] = "RSEQ_FEATURE_SIZE", "RSEQ_ALIGN", "HWCAP3", "HWCAP4", "EXECFN", "SYSINFO", "SYSINFO_EHDR", [51] = "MINSIGSTKSZ",
};

static void auxv(const struct out *o)
{
	unsigned w = word_size(o);

	for (uint64_t at = 0; mw__fits(at, 2 * w, o->n->desc_size) && word(o, at); at += 2 * w) {
		uint64_t type = word(o, at);
		char key[32];

		if (type < sizeof(auxv_names) / sizeof(auxv_names[0]) && auxv_names[type])
			snprintf(key, sizeof(key), "%s", auxv_names[type]);
		else
			snprintf(key, sizeof(key), "AT_%llu", (unsigned long long)type);
		say(o, key, "%#llx", (unsigned long long)word(o, at + w));
	}
}

static void mapped_files(const struct out *o)
{
	unsigned w = word_size(o);
	uint64_t count = word(o, 0), page = word(o, w), names;

	say(o, "page_size", "%llu", (unsigned long long)page);
	if (__builtin_mul_overflow(count, (uint64_t)3 * w, &names) || names > o->n->desc_size)
		return;
	names += 2 * w;
	for (uint64_t i = 0; i < count && names < o->n->desc_size; i++) {
		uint64_t at = (2 + 3 * i) * w;
		size_t len = strnlen((const char *)o->n->desc + names, o->n->desc_size - names);

		say(o, "file", "%#llx-%#llx %#llx %.*s", (unsigned long long)word(o, at),
		    (unsigned long long)word(o, at + w), (unsigned long long)(word(o, at + 2 * w) * page),
		    (int)(len < 1024 ? len : 1024), (const char *)o->n->desc + names);
		names += len + 1;
	}
}

static void siginfo(const struct out *o)
{
	say(o, "signo", "%llu", (unsigned long long)num(o, 0, 4));
	say(o, "errno", "%lld", (long long)(int32_t)num(o, 4, 4));
	say(o, "code", "%lld", (long long)(int32_t)num(o, 8, 4));
	say(o, "addr", "%#llx", (unsigned long long)word(o, o->elf->lay.is64 ? 16 : 12));
}

/* ------------------------------------------------------------------- kinds */

static const struct {
	const char *owner;
	uint32_t type;
	const char *name;
	void (*decode)(const struct out *o);
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
	{ "CORE", NT_PRSTATUS, "NT_PRSTATUS", prstatus },
	{ "CORE", NT_FPREGSET, "NT_FPREGSET", NULL },
	{ "CORE", NT_PRPSINFO, "NT_PRPSINFO", prpsinfo },
	{ "CORE", NT_TASKSTRUCT, "NT_TASKSTRUCT", NULL },
	{ "CORE", NT_AUXV, "NT_AUXV", auxv },
	{ "CORE", NT_SIGINFO, "NT_SIGINFO", siginfo },
	{ "CORE", NT_FILE, "NT_FILE", mapped_files },
	{ "LINUX", 0x46e62b7f, "NT_PRXFPREG", NULL },
	{ "LINUX", 0x100, "NT_PPC_VMX", NULL }, { "LINUX", 0x102, "NT_PPC_VSX", NULL },
	{ "LINUX", 0x200, "NT_386_TLS", NULL }, { "LINUX", 0x201, "NT_386_IOPERM", NULL },
	{ "LINUX", 0x202, "NT_X86_XSTATE", NULL }, { "LINUX", 0x204, "NT_X86_SHSTK", NULL },
	{ "LINUX", 0x300, "NT_S390_HIGH_GPRS", NULL }, { "LINUX", 0x400, "NT_ARM_VFP", NULL },
	{ "LINUX", 0x401, "NT_ARM_TLS", NULL }, { "LINUX", 0x402, "NT_ARM_HW_BREAK", NULL },
	{ "LINUX", 0x403, "NT_ARM_HW_WATCH", NULL }, { "LINUX", 0x404, "NT_ARM_SYSTEM_CALL", NULL },
	{ "LINUX", 0x405, "NT_ARM_SVE", NULL }, { "LINUX", 0x406, "NT_ARM_PAC_MASK", NULL },
};

static int find_kind(const struct mw__elfnote *n)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
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
	struct out o = { elf, n, add, ctx };
	int k = find_kind(n);

	if (k >= 0 && kinds[k].decode)
		kinds[k].decode(&o);
	else if (n->desc_size)
		hex_bytes(&o, "bytes");
}
