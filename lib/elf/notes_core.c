/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Notes of cores. Layouts: <sys/procfs.h> and <asm/user.h> of each machine, the kernel's fs/binfmt_elf.c;
 * FXSAVE and XSAVE by Intel's manual, volume 1, chapters 10 and 13. The places of the XSAVE components behind AVX
 * depend on the processor that wrote the core; they are shown for the two layouts that its size proves.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../base/count.h"
#include "../base/size.h"
#include "notes_out.h"

static void say(const struct mw__note_out *o, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(const struct mw__note_out *o, const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mw__note_vsay(o, key, fmt, ap);
	va_end(ap);
}

static uint64_t num(const struct mw__note_out *o, uint64_t at, unsigned size) { return mw__note_num(o, at, size); }
static uint64_t word(const struct mw__note_out *o, uint64_t at) { return mw__note_word(o, at); }

/* ----------------------------------------------------------------- signals */

/* Numbers of Linux on x86, Arm, RISC-V and PowerPC; MIPS, SPARC and others count differently. */
static const char *const signals[] = {
	NULL, "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV",
	"SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU",
	"SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
};
#define N_SIGNALS MW__COUNT(signals)

#define EM_OLD_ALPHA 0x9026	/* what Linux uses, unofficially */

static bool has_usual_signals(const struct mw_elf *elf)
{
	uint64_t m = elf->eh.machine;

	return m != EM_MIPS && m != EM_SPARC && m != EM_SPARCV9 && m != EM_PARISC && m != EM_ALPHA && m != EM_OLD_ALPHA;
}

static const char *signal_name(const struct mw_elf *elf, uint64_t n)
{
	return n < N_SIGNALS && has_usual_signals(elf) ? signals[n] : NULL;
}

static void signal_set(const struct mw__note_out *o, const char *key, uint64_t set)
{
	char text[512] = "";
	size_t n = 0;

	for (unsigned i = 1; i < 64 && n < sizeof(text); i++) {
		const char *name = signal_name(o->elf, i);

		if (!(set >> (i - 1) & 1))
			continue;
		if (name)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? " " : "", name);
		else
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u", n ? " " : "", i);
	}
	say(o, key, "%s", set ? text : "none");
}

/* --------------------------------------------------------------- registers */

static const char *const x86_64_regs[] = {
	"r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip", "cs",
	"eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
};
static const char *const i386_regs[] = {
	"ebx", "ecx", "edx", "esi", "edi", "ebp", "eax", "ds", "es", "fs", "gs", "orig_eax", "eip", "cs", "eflags", "esp", "ss",
};
static const char *const aarch64_regs[] = {
	"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19",
	"x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp", "pc", "pstate",
};
static const char *const arm_regs[] = {
	"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "fp", "ip", "sp", "lr", "pc", "cpsr", "orig_r0",
};
static const char *const riscv_regs[] = {
	"pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3", "s4", "s5",
	"s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};
#define REGS(r) MW__COUNT(r), r
static const struct {
	uint16_t machine;
	bool is64;
	size_t n;
	const char *const *names;
} machines[] = {
	{ EM_X86_64, true, REGS(x86_64_regs) }, { EM_386, false, REGS(i386_regs) }, { EM_AARCH64, true, REGS(aarch64_regs) },
	{ EM_ARM, false, REGS(arm_regs) }, { 243, true, REGS(riscv_regs) }, { 243, false, REGS(riscv_regs) },
};

static void general_registers(const struct mw__note_out *o, uint64_t at)
{
	unsigned w = mw__note_word_size(o);

	for (size_t i = 0; i < MW__COUNT(machines); i++) {
		if (machines[i].machine != o->elf->eh.machine || machines[i].is64 != o->elf->lay.is64)
			continue;
		for (size_t k = 0; k < machines[i].n && mw__fits(at + k * w, w, o->n->desc_size); k++)
			say(o, machines[i].names[k], "%#" PRIx64, word(o, at + k * w));
		at += machines[i].n * w;
		if (mw__fits(at, 4, o->n->desc_size))
			say(o, "fpvalid", "%" PRIu64, num(o, at, 4));
	}
}

static void time_of(const struct mw__note_out *o, const char *key, uint64_t at)
{
	say(o, key, "%" PRIu64 ".%06" PRIu64, word(o, at), word(o, at + mw__note_word_size(o)));
}

void mw__core_prstatus(const struct mw__note_out *o)
{
	bool l = o->elf->lay.is64;
	unsigned w = l ? 8 : 4;
	uint64_t ids = 16 + 2 * w, times = ids + 16, signo = num(o, 12, 2);
	static const char *const names[] = { "pid", "ppid", "pgrp", "sid" }, *const spent[] = { "utime", "stime", "cutime", "cstime" };

	say(o, "signal", "%" PRIu64, signo);
	if (signal_name(o->elf, signo))
		say(o, "signal_name", "%s", signal_name(o->elf, signo));
	say(o, "si_signo", "%" PRIu64, num(o, 0, 4));
	say(o, "si_code", "%" PRId32, (int32_t)num(o, 4, 4));
	say(o, "si_errno", "%" PRId32, (int32_t)num(o, 8, 4));
	signal_set(o, "sigpend", word(o, 16));
	signal_set(o, "sighold", word(o, 16 + w));
	for (unsigned i = 0; i < 4; i++)
		say(o, names[i], "%" PRIu64, num(o, ids + 4 * i, 4));
	for (unsigned i = 0; i < 4; i++)
		time_of(o, spent[i], times + (uint64_t)2 * w * i);
	general_registers(o, times + (uint64_t)8 * w);
}

void mw__core_prpsinfo(const struct mw__note_out *o)
{
	bool l = o->elf->lay.is64;
	bool wide_ids = l || o->elf->eh.machine == EM_RISCV || o->elf->eh.machine == EM_PPC;
	unsigned id = wide_ids ? 4 : 2;
	uint64_t at = l ? 16 : 8, ids = at + 2 * id;
	char state = (char)num(o, 1, 1);
	static const char *const names[] = { "pid", "ppid", "pgrp", "sid" };

	say(o, "state", "%c", state > 32 && state < 127 ? state : '?');
	say(o, "zombie", "%" PRIu64, num(o, 2, 1));
	say(o, "nice", "%d", (int8_t)num(o, 3, 1));
	say(o, "flags", "%#" PRIx64, word(o, l ? 8 : 4));
	say(o, "uid", "%" PRIu64, num(o, at, id));
	say(o, "gid", "%" PRIu64, num(o, at + id, id));
	for (unsigned i = 0; i < 4; i++)
		say(o, names[i], "%" PRIu64, num(o, ids + 4 * i, 4));
	mw__note_text(o, ids + 16, 16, "fname");
	mw__note_text(o, ids + 32, 80, "psargs");
}

/* ------------------------------------------------------------------- AUXV */

enum auxv_form { HEX, DECIMAL, STRING };
static const struct {
	const char *name;
	enum auxv_form form;
} auxv_types[] = {
	[2] = { "EXECFD", DECIMAL }, [3] = { "PHDR", HEX }, [4] = { "PHENT", DECIMAL }, [5] = { "PHNUM", DECIMAL },
	[6] = { "PAGESZ", DECIMAL }, [7] = { "BASE", HEX }, [8] = { "FLAGS", HEX }, [9] = { "ENTRY", HEX }, [10] = { "NOTELF", DECIMAL },
	[11] = { "UID", DECIMAL }, [12] = { "EUID", DECIMAL }, [13] = { "GID", DECIMAL }, [14] = { "EGID", DECIMAL },
	[15] = { "PLATFORM", STRING }, [16] = { "HWCAP", HEX }, [17] = { "CLKTCK", DECIMAL }, [18] = { "FPUCW", HEX },
	[19] = { "DCACHEBSIZE", DECIMAL }, [20] = { "ICACHEBSIZE", DECIMAL }, [21] = { "UCACHEBSIZE", DECIMAL },
	[23] = { "SECURE", DECIMAL }, [24] = { "BASE_PLATFORM", STRING }, [25] = { "RANDOM", HEX }, [26] = { "HWCAP2", HEX },
	[27] = { "RSEQ_FEATURE_SIZE", DECIMAL }, [28] = { "RSEQ_ALIGN", DECIMAL }, [29] = { "HWCAP3", HEX }, [30] = { "HWCAP4", HEX },
	[31] = { "EXECFN", STRING }, [32] = { "SYSINFO", HEX }, [33] = { "SYSINFO_EHDR", HEX }, [51] = { "MINSIGSTKSZ", DECIMAL },
};

/* What the pointer leads to in the core's memory; "" when that was not dumped. */
static void string_in_memory(const struct mw_elf *elf, uint64_t addr, char *buf, size_t size)
{
	uint64_t off, left;
	size_t n;

	buf[0] = '\0';
	if (!mw__elf_addr_to_off(elf, addr, &off, &left))
		return;
	n = mw__min(left, size - 1);
	if (!mw__elf_read(elf, off, buf, n))
		n = 0;
	buf[n] = '\0';
}

void mw__core_auxv(const struct mw__note_out *o)
{
	unsigned w = mw__note_word_size(o);

	for (uint64_t at = 0; mw__fits(at, 2 * w, o->n->desc_size) && word(o, at); at += 2 * w) {
		uint64_t type = word(o, at), value = word(o, at + w);
		bool known = type < MW__COUNT(auxv_types) && auxv_types[type].name;
		char key[32], text[256] = "";

		if (known)
			snprintf(key, sizeof(key), "%s", auxv_types[type].name);
		else
			snprintf(key, sizeof(key), "AT_%" PRIu64, type);
		if (known && auxv_types[type].form == STRING)
			string_in_memory(o->elf, value, text, sizeof(text));
		if (known && auxv_types[type].form == DECIMAL)
			say(o, key, "%" PRIu64, value);
		else
			say(o, key, "%#" PRIx64 "%s%s", value, *text ? " " : "", text);
	}
}

/* --------------------------------------------------------- files, siginfo */

void mw__core_files(const struct mw__note_out *o)
{
	unsigned w = mw__note_word_size(o);
	uint64_t count = word(o, 0), page = word(o, w), names;

	say(o, "page_size", "%" PRIu64, page);
	if (__builtin_mul_overflow(count, (uint64_t)3 * w, &names) || names > o->n->desc_size)
		return;
	names += 2 * w;
	for (uint64_t i = 0; i < count && names < o->n->desc_size; i++) {
		uint64_t at = (2 + 3 * i) * w;
		size_t len = strnlen((const char *)o->n->desc + names, o->n->desc_size - names);

		say(o, "file", "%#" PRIx64 "-%#" PRIx64 " %#" PRIx64 " %.*s", word(o, at), word(o, at + w), word(o, at + 2 * w) * page,
		    (int)(len < 1024 ? len : 1024), (const char *)o->n->desc + names);
		names += len + 1;
	}
}

/* Signals as those machines number them, and the code of what the kernel itself sends. */
enum { ILL = 4, TRAP = 5, BUS = 7, FPE = 8, SEGV = 11, CHLD = 17, SYS = 31, BY_KERNEL = 0x80 };

/* si_code, by signal; 0: any signal. */
static const struct {
	uint8_t signo;
	int16_t code;
	const char *name;
} codes[] = {
	{ 0, 0, "SI_USER" }, { 0, BY_KERNEL, "SI_KERNEL" }, { 0, -1, "SI_QUEUE" }, { 0, -2, "SI_TIMER" }, { 0, -3, "SI_MESGQ" },
	{ 0, -4, "SI_ASYNCIO" }, { 0, -5, "SI_SIGIO" }, { 0, -6, "SI_TKILL" },
	{ ILL, 1, "ILL_ILLOPC" }, { ILL, 2, "ILL_ILLOPN" }, { ILL, 3, "ILL_ILLADR" }, { ILL, 4, "ILL_ILLTRP" }, { ILL, 5, "ILL_PRVOPC" },
	{ ILL, 6, "ILL_PRVREG" }, { ILL, 7, "ILL_COPROC" }, { ILL, 8, "ILL_BADSTK" },
	{ TRAP, 1, "TRAP_BRKPT" }, { TRAP, 2, "TRAP_TRACE" }, { TRAP, 3, "TRAP_BRANCH" }, { TRAP, 4, "TRAP_HWBKPT" },
	{ BUS, 1, "BUS_ADRALN" }, { BUS, 2, "BUS_ADRERR" }, { BUS, 3, "BUS_OBJERR" }, { BUS, 4, "BUS_MCEERR_AR" }, { BUS, 5, "BUS_MCEERR_AO" },
	{ FPE, 1, "FPE_INTDIV" }, { FPE, 2, "FPE_INTOVF" }, { FPE, 3, "FPE_FLTDIV" }, { FPE, 4, "FPE_FLTOVF" }, { FPE, 5, "FPE_FLTUND" },
	{ FPE, 6, "FPE_FLTRES" }, { FPE, 7, "FPE_FLTINV" }, { FPE, 8, "FPE_FLTSUB" },
	{ SEGV, 1, "SEGV_MAPERR" }, { SEGV, 2, "SEGV_ACCERR" }, { SEGV, 3, "SEGV_BNDERR" }, { SEGV, 4, "SEGV_PKUERR" },
	{ CHLD, 1, "CLD_EXITED" }, { CHLD, 2, "CLD_KILLED" }, { CHLD, 3, "CLD_DUMPED" }, { CHLD, 4, "CLD_TRAPPED" }, { CHLD, 5, "CLD_STOPPED" },
	{ CHLD, 6, "CLD_CONTINUED" }, { SYS, 1, "SYS_SECCOMP" },
};

static bool is_fault(uint64_t signo) { return signo == ILL || signo == TRAP || signo == BUS || signo == FPE || signo == SEGV; }

void mw__core_siginfo(const struct mw__note_out *o)
{
	uint64_t signo = num(o, 0, 4), at = o->elf->lay.is64 ? 16 : 12;
	int32_t code = (int32_t)num(o, 8, 4);

	say(o, "signo", "%" PRIu64, signo);
	if (signal_name(o->elf, signo))
		say(o, "signal_name", "%s", signal_name(o->elf, signo));
	say(o, "errno", "%" PRId32, (int32_t)num(o, 4, 4));
	say(o, "code", "%" PRId32, code);
	if (!has_usual_signals(o->elf))
		return;
	for (size_t i = 0; i < MW__COUNT(codes); i++)
		if (codes[i].code == code && (!codes[i].signo || codes[i].signo == signo))
			say(o, "code_name", "%s", codes[i].name);
	if (is_fault(signo) && code > 0 && code != BY_KERNEL) {
		say(o, "addr", "%#" PRIx64, word(o, at));
	} else if (code <= 0 || signo == CHLD) {	/* somebody sent it */
		say(o, "pid", "%" PRIu64, num(o, at, 4));
		say(o, "uid", "%" PRIu64, num(o, at + 4, 4));
		if (signo == CHLD)
			say(o, "status", "%" PRId32, (int32_t)num(o, at + 8, 4));
	}
}

/* ------------------------------------------------------------ vector state */

/* A register of size bytes as one number, highest byte first. */
static void wide(const struct mw__note_out *o, const char *prefix, unsigned i, const uint64_t at[], const unsigned size[], unsigned parts)
{
	char key[16], text[2 * 64 + 1];
	size_t n = 0;

	for (unsigned p = 0; p < parts; p++)
		if (!mw__fits(at[p], size[p], o->n->desc_size))
			return;
	for (unsigned p = parts; p-- > 0;)
		for (unsigned b = size[p]; b-- > 0;)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%02x", o->n->desc[at[p] + b]);
	snprintf(key, sizeof(key), "%s%u", prefix, i);
	say(o, key, "0x%s", text);
}

static void one_wide(const struct mw__note_out *o, const char *prefix, unsigned i, uint64_t at, unsigned size)
{
	wide(o, prefix, i, &at, &size, 1);
}

static void x87(const struct mw__note_out *o)
{
	say(o, "fcw", "%#" PRIx64, num(o, 0, 2));
	say(o, "fsw", "%#" PRIx64, num(o, 2, 2));
	say(o, "ftw", "%#" PRIx64, num(o, 4, 1));
	say(o, "fop", "%#" PRIx64, num(o, 6, 2));
	say(o, "fip", "%#" PRIx64, num(o, 8, 8));
	say(o, "fdp", "%#" PRIx64, num(o, 16, 8));
	say(o, "mxcsr", "%#" PRIx64, num(o, 24, 4));
	say(o, "mxcsr_mask", "%#" PRIx64, num(o, 28, 4));
	for (unsigned i = 0; i < 8; i++)
		one_wide(o, "st", i, 32 + 16 * i, 10);
}

void mw__core_fxsave(const struct mw__note_out *o)
{
	x87(o);
	for (unsigned i = 0; i < (o->elf->lay.is64 ? 16 : 8); i++)
		one_wide(o, "xmm", i, 160 + 16 * i, 16);
}

static void fsave(const struct mw__note_out *o)
{
	static const char *const names[] = { "fcw", "fsw", "ftw", "fip", "fcs", "foo", "fos" };

	for (unsigned i = 0; i < 7; i++)
		say(o, names[i], "%#" PRIx64, num(o, 4 * i, i < 3 ? 2 : 4));
	for (unsigned i = 0; i < 8; i++)
		one_wide(o, "st", i, 28 + 10 * i, 10);
}

void mw__core_fpregs(const struct mw__note_out *o)
{
	uint64_t m = o->elf->eh.machine;

	if (m == EM_X86_64 && o->n->desc_size >= 512) {
		mw__core_fxsave(o);
	} else if (m == EM_386 && o->n->desc_size >= 108) {
		fsave(o);
	} else if (m == EM_AARCH64 && o->n->desc_size >= 520 && !o->elf->lay.big) {
		for (unsigned i = 0; i < 32; i++)
			one_wide(o, "v", i, 16 * i, 16);
		say(o, "fpsr", "%#" PRIx64, num(o, 512, 4));
		say(o, "fpcr", "%#" PRIx64, num(o, 516, 4));
	} else {
		mw__note_hex(o, "bytes");
	}
}

static const char *const components[] = {
	"x87", "SSE", "AVX", "BNDREGS", "BNDCSR", "opmask", "ZMM_Hi256", "Hi16_ZMM", "PT", "PKRU", "PASID", "CET_U", "CET_S", "HDC",
	"UINTR", "LBR", "HWP", "AMX_TILECFG", "AMX_TILEDATA", "APX",
};
enum { AVX = 1 << 2, OPMASK = 1 << 5, ZMM_HI = 1 << 6, HI_ZMM = 1 << 7, PKRU = 1 << 9 };

static void component_set(const struct mw__note_out *o, const char *key, uint64_t set)
{
	char text[256] = "";
	size_t n = 0;

	for (unsigned i = 0; i < 64; i++) {
		if (!(set >> i & 1) || n >= sizeof(text))
			continue;
		if (i < MW__COUNT(components))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? " " : "", components[i]);
		else
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u", n ? " " : "", i);
	}
	say(o, key, "%s", set ? text : "none");
}

/* Where the components behind AVX are, for processors with and without room for MPX before them. */
struct xsave_places {
	uint64_t mask, zmm_hi, hi_zmm, pkru;
};
static const struct xsave_places with_mpx = { 1088, 1152, 1664, 2688 }, without_mpx = { 832, 896, 1408, 2432 };

static const struct xsave_places *find_places(uint64_t size, uint64_t xcr0)
{
	uint64_t all = OPMASK | ZMM_HI | HI_ZMM;

	if ((xcr0 & all) != all)
		return NULL;
	if (size == without_mpx.pkru + (xcr0 & PKRU ? 8 : 0))
		return &without_mpx;
	return size >= with_mpx.pkru ? &with_mpx : NULL;
}

static void zmm_registers(const struct mw__note_out *o, const struct xsave_places *p, uint64_t in_use)
{
	static const unsigned sizes[] = { 16, 16, 32 };

	for (unsigned i = 0; i < 8 && (in_use & OPMASK); i++)
		say(o, (char[3]){ 'k', (char)('0' + i), '\0' }, "%#" PRIx64, num(o, p->mask + 8 * i, 8));
	for (unsigned i = 0; i < 16 && (in_use & ZMM_HI); i++)
		wide(o, "zmm", i, (uint64_t[]){ 160 + 16 * i, 576 + 16 * i, p->zmm_hi + 32 * i }, sizes, 3);
	for (unsigned i = 0; i < 16 && (in_use & HI_ZMM); i++)
		one_wide(o, "zmm", 16 + i, p->hi_zmm + 64 * i, 64);
	if (in_use & PKRU)
		say(o, "pkru", "%#" PRIx64, num(o, p->pkru, 4));
}

/*
 * The kernel leaves the enabled components (XCR0) in bytes that FXSAVE leaves to software. A component that is
 * not in use holds nothing: its registers have their initial value.
 */
void mw__core_xstate(const struct mw__note_out *o)
{
	uint64_t xcr0 = num(o, 464, 8), in_use = num(o, 512, 8);
	const struct xsave_places *places = find_places(o->n->desc_size, xcr0);
	static const unsigned sizes[] = { 16, 16 };

	component_set(o, "xcr0", xcr0);
	component_set(o, "in_use", in_use);
	x87(o);
	for (unsigned i = 0; i < (o->elf->lay.is64 ? 16 : 8); i++) {
		if ((in_use & AVX) && o->n->desc_size >= 576 + 256)
			wide(o, "ymm", i, (uint64_t[]){ 160 + 16 * i, 576 + 16 * i }, sizes, 2);
		else
			one_wide(o, "xmm", i, 160 + 16 * i, 16);
	}
	if (places)
		zmm_registers(o, places, in_use);
}

/*
 * Where this processor's XSAVE has the components: struct x86_xfeat_component of the kernel's <asm/elf.h>, since 6.12
 * ("x86/elf: Add a new FPU buffer layout info to x86 core files").
 */
void mw__core_layout(const struct mw__note_out *o)
{
	for (uint64_t at = 0; mw__fits(at, 16, o->n->desc_size); at += 16) {
		uint64_t type = num(o, at, 4);
		char name[24];

		snprintf(name, sizeof(name), "%" PRIu64, type);
		say(o, type < MW__COUNT(components) ? components[type] : name, "%" PRIu64 " bytes at %" PRIu64 "%s", num(o, at + 4, 4),
		    num(o, at + 8, 4), num(o, at + 12, 4) & 2 ? ", aligned to 64 when compacted" : "");
	}
}

/* Entries of the table of thread-local segments: struct user_desc. */
void mw__core_tls(const struct mw__note_out *o)
{
	for (uint64_t at = 0; mw__fits(at, 16, o->n->desc_size); at += 16)
		say(o, "entry", "%" PRIu64 " base %#" PRIx64 " limit %#" PRIx64 " flags %#" PRIx64, num(o, at, 4), num(o, at + 4, 4),
		    num(o, at + 8, 4), num(o, at + 12, 4));
}
