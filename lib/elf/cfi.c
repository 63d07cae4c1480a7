/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Call frame instructions (DWARF 5, 6.4.2 and 7.24; GNU's own from binutils and gcc) and the expressions
 * in them (2.5). A table row says what operands an opcode has and how they read; what it does not know ends
 * the record, since its length is not known either.
 */
#include "cfi.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../base/count.h"
#include "../base/size.h"

struct text {
	char *v;
	size_t n, cap;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;

	if (t->n + 1 >= t->cap)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(t->v + t->n, t->cap - t->n, fmt, ap);

	va_end(ap);
	t->n = n < 0 ? t->n : mw__min(t->n + (size_t)n, t->cap - 1);
}

/* ---------------------------------------------------------------- numbers */

struct cursor {
	const struct mw__frames *t;
	uint64_t at, end;
	bool bad;		/* something did not fit */
};

static uint64_t fixed(struct cursor *c, unsigned size)
{
	if (!mw__fits(c->at, size, c->end)) {
		c->bad = true;
		c->at = c->end;
		return 0;
	}
	c->at += size;
	return mw__raw_num(c->t->p + c->at - size, size, c->t->elf->lay.big);
}

static int64_t fixed_signed(struct cursor *c, unsigned size)
{
	unsigned shift = 64 - 8 * size;

	return (int64_t)(fixed(c, size) << shift) >> shift;
}

static uint64_t leb(struct cursor *c)
{
	c->bad |= c->at >= c->end;
	return mw__frames_leb(c->t, &c->at, c->end, false);
}

static int64_t leb_signed(struct cursor *c)
{
	c->bad |= c->at >= c->end;
	return (int64_t)mw__frames_leb(c->t, &c->at, c->end, true);
}

/* --------------------------------------------------------------- registers */

static const char *const x86_64_regs[] = {
	"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
	"xmm14", "xmm15", "st0", "st1", "st2", "st3", "st4", "st5", "st6", "st7", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7",
	"rflags",
};
static const char *const i386_regs[] = {
	"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip", "eflags", NULL,
	"st0", "st1", "st2", "st3", "st4", "st5", "st6", "st7", NULL, NULL, "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
	"mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7",
};
static const char *const aarch64_regs[] = {
	"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18",
	"x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp",
};
static const struct {
	uint16_t machine;
	uint8_t n;
	const char *const *names;
} machines[] = {
	{ EM_X86_64, MW__COUNT(x86_64_regs), x86_64_regs }, { EM_386, MW__COUNT(i386_regs), i386_regs },
	{ EM_AARCH64, MW__COUNT(aarch64_regs), aarch64_regs },
};

static void put_register(const struct mw_elf *elf, struct text *t, uint64_t reg)
{
	put(t, "r%" PRIu64, reg);
	for (size_t i = 0; i < MW__COUNT(machines); i++)
		if (machines[i].machine == elf->eh.machine && reg < machines[i].n && machines[i].names[reg])
			put(t, " (%s)", machines[i].names[reg]);
}

/* ------------------------------------------------------------- expressions */

/*
 * Operands: a address, 1 2 4 8 unsigned of that size, b h w q signed ones, u ULEB, s SLEB, B a block with
 * its length before it, "" none. Opcodes with their register in them are not in the list.
 */
static const struct {
	uint8_t op;
	char operands[3];
	const char *name;
} operations[] = {
	{ 0x03, "a", "addr" }, { 0x06, "", "deref" }, { 0x08, "1", "const1u" }, { 0x09, "b", "const1s" }, { 0x0a, "2", "const2u" },
	{ 0x0b, "h", "const2s" }, { 0x0c, "4", "const4u" }, { 0x0d, "w", "const4s" }, { 0x0e, "8", "const8u" }, { 0x0f, "q", "const8s" },
	{ 0x10, "u", "constu" }, { 0x11, "s", "consts" }, { 0x12, "", "dup" }, { 0x13, "", "drop" }, { 0x14, "", "over" },
	{ 0x15, "1", "pick" }, { 0x16, "", "swap" }, { 0x17, "", "rot" }, { 0x18, "", "xderef" }, { 0x19, "", "abs" }, { 0x1a, "", "and" },
	{ 0x1b, "", "div" }, { 0x1c, "", "minus" }, { 0x1d, "", "mod" }, { 0x1e, "", "mul" }, { 0x1f, "", "neg" }, { 0x20, "", "not" },
	{ 0x21, "", "or" }, { 0x22, "", "plus" }, { 0x23, "u", "plus_uconst" }, { 0x24, "", "shl" }, { 0x25, "", "shr" }, { 0x26, "", "shra" },
	{ 0x27, "", "xor" }, { 0x28, "h", "bra" }, { 0x29, "", "eq" }, { 0x2a, "", "ge" }, { 0x2b, "", "gt" }, { 0x2c, "", "le" },
	{ 0x2d, "", "lt" }, { 0x2e, "", "ne" }, { 0x2f, "h", "skip" }, { 0x90, "u", "regx" }, { 0x91, "s", "fbreg" }, { 0x92, "us", "bregx" },
	{ 0x93, "u", "piece" }, { 0x94, "1", "deref_size" }, { 0x95, "1", "xderef_size" }, { 0x96, "", "nop" }, { 0x97, "", "push_object_address" },
	{ 0x98, "2", "call2" }, { 0x99, "4", "call4" }, { 0x9b, "", "form_tls_address" }, { 0x9c, "", "call_frame_cfa" },
	{ 0x9d, "uu", "bit_piece" }, { 0x9e, "B", "implicit_value" }, { 0x9f, "", "stack_value" }, { 0xe0, "", "GNU_push_tls_address" },
};

static void put_operand(struct cursor *c, struct text *t, char kind)
{
	unsigned word = c->t->elf->lay.is64 ? 8 : 4;
	uint64_t n;

	switch (kind) {
	case 'a': put(t, " %" PRIx64, fixed(c, word)); return;
	case '1': case '2': case '4': case '8': put(t, " %" PRIu64, fixed(c, (unsigned)(kind - '0'))); return;
	case 'b': put(t, " %" PRId64, fixed_signed(c, 1)); return;
	case 'h': put(t, " %" PRId64, fixed_signed(c, 2)); return;
	case 'w': put(t, " %" PRId64, fixed_signed(c, 4)); return;
	case 'q': put(t, " %" PRId64, fixed_signed(c, 8)); return;
	case 'u': put(t, " %" PRIu64, leb(c)); return;
	case 's': put(t, " %" PRId64, leb_signed(c)); return;
	default:
		n = leb(c);
		put(t, " %" PRIu64 " byte block", n);
		c->bad |= n > c->end - c->at;
		c->at = c->bad ? c->end : c->at + n;
	}
}

static void put_operation(struct cursor *c, struct text *t)
{
	uint8_t op = (uint8_t)fixed(c, 1);

	if (op >= 0x30 && op <= 0x4f) {
		put(t, "DW_OP_lit%d", op - 0x30);
		return;
	}
	if (op >= 0x50 && op <= 0x8f) {		/* reg0-31, breg0-31 */
		struct text name = { .v = (char[32]){ 0 }, .cap = 32 };

		put_register(c->t->elf, &name, (op - 0x50u) & 31);
		put(t, "DW_OP_%s%s", op >= 0x70 ? "breg" : "reg", name.v + 1);
		if (op >= 0x70)
			put(t, ": %" PRId64, leb_signed(c));
		return;
	}
	for (size_t i = 0; i < MW__COUNT(operations); i++) {
		if (operations[i].op != op)
			continue;
		put(t, "DW_OP_%s%s", operations[i].name, operations[i].operands[0] ? ":" : "");
		for (const char *k = operations[i].operands; *k; k++)
			put_operand(c, t, *k);
		return;
	}
	put(t, "DW_OP_<%#x>", op);
	c->at = c->end;
}

static void put_expression(struct cursor *c, struct text *t)
{
	uint64_t size = leb(c);
	struct cursor inner = { c->t, c->at, 0, false };

	if (size > c->end - c->at) {
		c->bad = true;
		c->at = c->end;
		return;
	}
	inner.end = c->at += size;
	put(t, "(");
	while (inner.at < inner.end) {
		put_operation(&inner, t);
		if (inner.at < inner.end)
			put(t, "; ");
	}
	put(t, ")");
}

/* ------------------------------------------------------------ instructions */

/* What follows the opcode, and how it reads. From REG to CFA_SIGNED a register comes first. */
enum form { NOTHING, STEP, SET, REG, REG_AT, REG_AT_SIGNED, REG_AT_DOWN, REG_IS, REG_IS_SIGNED, REG_IN, CFA, CFA_SIGNED, NUMBER, NUMBER_SIGNED,
	    EXPRESSION, REG_EXPRESSION };
static const struct {
	uint8_t op;
	uint8_t form, size;
	const char *name;
} instructions[] = {
	{ 0x00, NOTHING, 0, "DW_CFA_nop" }, { 0x01, SET, 0, "DW_CFA_set_loc" }, { 0x02, STEP, 1, "DW_CFA_advance_loc1" },
	{ 0x03, STEP, 2, "DW_CFA_advance_loc2" }, { 0x04, STEP, 4, "DW_CFA_advance_loc4" }, { 0x05, REG_AT, 0, "DW_CFA_offset_extended" },
	{ 0x06, REG, 0, "DW_CFA_restore_extended" }, { 0x07, REG, 0, "DW_CFA_undefined" }, { 0x08, REG, 0, "DW_CFA_same_value" },
	{ 0x09, REG_IN, 0, "DW_CFA_register" }, { 0x0a, NOTHING, 0, "DW_CFA_remember_state" }, { 0x0b, NOTHING, 0, "DW_CFA_restore_state" },
	{ 0x0c, CFA, 0, "DW_CFA_def_cfa" }, { 0x0d, REG, 0, "DW_CFA_def_cfa_register" }, { 0x0e, NUMBER, 0, "DW_CFA_def_cfa_offset" },
	{ 0x0f, EXPRESSION, 0, "DW_CFA_def_cfa_expression" }, { 0x10, REG_EXPRESSION, 0, "DW_CFA_expression" },
	{ 0x11, REG_AT_SIGNED, 0, "DW_CFA_offset_extended_sf" }, { 0x12, CFA_SIGNED, 0, "DW_CFA_def_cfa_sf" },
	{ 0x13, NUMBER_SIGNED, 0, "DW_CFA_def_cfa_offset_sf" }, { 0x14, REG_IS, 0, "DW_CFA_val_offset" },
	{ 0x15, REG_IS_SIGNED, 0, "DW_CFA_val_offset_sf" }, { 0x16, REG_EXPRESSION, 0, "DW_CFA_val_expression" },
	{ 0x1d, STEP, 8, "DW_CFA_MIPS_advance_loc8" }, { 0x2d, NOTHING, 0, "DW_CFA_GNU_window_save" },
	{ 0x2e, NUMBER, 0, "DW_CFA_GNU_args_size" }, { 0x2f, REG_AT_DOWN, 0, "DW_CFA_GNU_negative_offset_extended" },
};

static void put_step(struct mw__cfi *f, struct text *t, uint64_t delta)
{
	delta *= f->code_align;
	f->loc += delta;
	if (!f->t->elf->lay.is64)
		f->loc &= UINT32_MAX;
	put(t, "%" PRIu64 " to %#" PRIx64, delta, f->loc);
}

static void put_form(struct mw__cfi *f, struct cursor *c, struct text *t, uint8_t form, unsigned size)
{
	const struct mw_elf *elf = f->t->elf;
	int64_t align = f->data_align;

	if (form >= REG && form <= CFA_SIGNED)
		put_register(elf, t, leb(c));
	switch (form) {
	case STEP: put_step(f, t, fixed(c, size)); break;
	case SET:
		f->loc = mw__frames_pointer(f->t, &c->at, c->end);
		put(t, "%#" PRIx64, f->loc);
		break;
	case REG_AT: put(t, " at cfa%+" PRId64, (int64_t)(leb(c) * (uint64_t)align)); break;
	case REG_AT_SIGNED: put(t, " at cfa%+" PRId64, (int64_t)((uint64_t)leb_signed(c) * (uint64_t)align)); break;
	case REG_AT_DOWN: put(t, " at cfa%+" PRId64, (int64_t)(-leb(c) * (uint64_t)align)); break;
	case REG_IS: put(t, " is cfa%+" PRId64, (int64_t)(leb(c) * (uint64_t)align)); break;
	case REG_IS_SIGNED: put(t, " is cfa%+" PRId64, (int64_t)((uint64_t)leb_signed(c) * (uint64_t)align)); break;
	case REG_IN: put(t, " in "); put_register(elf, t, leb(c)); break;
	case CFA: put(t, " ofs %" PRIu64, leb(c)); break;
	case CFA_SIGNED: put(t, " ofs %" PRId64, (int64_t)((uint64_t)leb_signed(c) * (uint64_t)align)); break;
	case NUMBER: put(t, "%" PRIu64, leb(c)); break;
	case NUMBER_SIGNED: put(t, "%" PRId64, (int64_t)((uint64_t)leb_signed(c) * (uint64_t)align)); break;
	case EXPRESSION: put_expression(c, t); break;
	case REG_EXPRESSION:
		put_register(elf, t, leb(c));
		put(t, " ");
		put_expression(c, t);
		break;
	default: break;
	}
}

static void decode(struct mw__cfi *f, struct cursor *c, uint8_t op, struct mw__cfi_insn *ret, struct text *t)
{
	if (op >> 6 == 1) {
		ret->operation = "DW_CFA_advance_loc";
		put_step(f, t, op & 63);
		return;
	}
	if (op >> 6) {
		ret->operation = op >> 6 == 2 ? "DW_CFA_offset" : "DW_CFA_restore";
		put_register(f->t->elf, t, op & 63);
		if (op >> 6 == 2)
			put(t, " at cfa%+" PRId64, (int64_t)(leb(c) * (uint64_t)f->data_align));
		return;
	}
	for (size_t i = 0; i < MW__COUNT(instructions); i++)
		if (instructions[i].op == op) {
			ret->operation = op == 0x2d && f->t->elf->eh.machine == EM_AARCH64 ? "DW_CFA_AARCH64_negate_ra_state" :
					 instructions[i].name;
			put_form(f, c, t, instructions[i].form, instructions[i].size);
			return;
		}
	ret->operation = "unknown";
	put(t, "opcode %#x: the rest of the record is not decoded", op);
	c->at = c->end;
}

void mw__cfi_init(const struct mw__frames *t, const struct mw__frame_record *f, struct mw__cfi *ret)
{
	*ret = (struct mw__cfi){ t, f->insns, f->insns_end, f->start == MW_UNKNOWN ? 0 : f->start, t->code_align, t->data_align };
}

/* Records are padded with zeros, which are instructions that do nothing. */
static bool skip_padding(struct mw__cfi *f, struct mw__cfi_insn *ret)
{
	uint64_t n = 0;

	while (f->at + n < f->end && !f->t->p[f->at + n])
		n++;
	if (!n)
		return false;
	f->at += n;
	ret->operation = "DW_CFA_nop";
	if (n > 1)
		snprintf(ret->operands, sizeof(ret->operands), "%" PRIu64 " times", n);
	return true;
}

bool mw__cfi_next(struct mw__cfi *f, struct mw__cfi_insn *ret)
{
	struct text t = { .v = ret->operands, .cap = sizeof(ret->operands) };

	if (f->at >= f->end)
		return false;
	ret->operands[0] = '\0';
	ret->off = f->at;
	ret->loc = f->loc;
	if (skip_padding(f, ret))
		return true;
	struct cursor c = { f->t, f->at + 1, f->end, false };

	decode(f, &c, f->t->p[f->at], ret, &t);
	if (c.bad)
		put(&t, " (cut off)");
	ret->loc = f->loc;
	f->at = c.at;
	return true;
}
