/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * unwind.c - the return addresses above an allocation.
 *
 * Programs are built without frame pointers, so the walk follows .eh_frame: for each
 * return address the row of its function says where the frame above begins (the CFA,
 * from rsp or rbp) and where rbp was saved; that is all a walk needs on x86-64. Rows
 * are found through the loader's lock-free _dl_find_object and .eh_frame_hdr's sorted
 * table, and kept in a direct-mapped cache: a busy site costs one probe a frame.
 * Rows that need more (expressions, signal frames) end the walk. Sources: the "DWARF
 * call frame" chapter of DWARF 5, and LSB 5 for the two sections' encodings.
 *
 * The walk ends at the C library's caller of main, which is no news, and whose rows alone
 * would bring in 128 kB of the library's tables.
 *
 * On other processors the walk follows frame pointers.
 *
 * A cache entry is two words, key = pc ^ row, so that a torn one, written by two
 * threads, does not match. Nothing here locks or allocates. A step must go upwards by
 * less than MAX_FRAME and stay below the stack's end where that is known.
 */
#include "internal.h"

#include <dlfcn.h>

#define MAX_FRAME (256u << 10) /* bytes: a longer frame ends the walk */
#define MAX_OWN 12u            /* frames of this library above the caller's */

extern char __ehdr_start[] __attribute__((visibility("hidden")));
extern char etext[] __attribute__((visibility("hidden")));
/* the archive's code has a section of its own (alloc.mk), which the linker delimits so */
extern char __start_mw_alloc_text[] __attribute__((weak, visibility("hidden")));
extern char __stop_mw_alloc_text[] __attribute__((weak, visibility("hidden")));
extern void *__libc_stack_end __attribute__((weak));
extern int __libc_start_main() __attribute__((weak));

static bool is_own(uint64_t pc)
{
	bool archived = __start_mw_alloc_text != NULL;
	const char *start = archived ? __start_mw_alloc_text : __ehdr_start, *stop = archived ? __stop_mw_alloc_text : etext;

	return pc >= (uintptr_t)start && pc < (uintptr_t)stop;
}

/* The end of the stack that @sp is on; a guess where nothing is known. */
static uint64_t stack_end(uint64_t sp)
{
	uint64_t main_end = &__libc_stack_end ? (uintptr_t)__libc_stack_end : 0;
	uint64_t tcb = (uintptr_t)__builtin_thread_pointer(); /* a thread's lies above its stack */

	if (sp < main_end && main_end - sp < 1u << 30)
		return main_end;
	if (sp < tcb && tcb - sp < 64u << 20)
		return tcb;
	return sp + MAX_FRAME;
}

#if defined(__x86_64__) && defined(DLFO_STRUCT_HAS_EH_DBASE)

/* --- rows --------------------------------------------------------------------------- */

enum { REG_RBP = 6, REG_RSP = 7, REG_RA = 16 };

/* valid:1 outermost:1 from_rbp:1 has_rbp:1 | cfa:28 | rbp:32 (offset from the CFA) */
typedef uint64_t row;
#define ROW_VALID 1u
#define ROW_LAST 2u
#define ROW_FROM_RBP 4u
#define ROW_HAS_RBP 8u
#define ROW_NONE ROW_HAS_RBP /* not valid, but known: a place the walk ends at */
#define MAX_CFA (1 << 27)

static row row_make(unsigned flags, int64_t cfa, int64_t rbp)
{
	if (cfa < 0 || cfa >= MAX_CFA || rbp > 0 || rbp < -MAX_CFA)
		return 0;
	return flags | (uint64_t)cfa << 4 | (uint64_t)(uint32_t)rbp << 32;
}

static uint64_t row_cfa(row r, uint64_t sp, uint64_t bp)
{
	return (r & ROW_FROM_RBP ? bp : sp) + ((r >> 4) & (MAX_CFA - 1));
}

/* --- reading the sections -------------------------------------------------------------- */

struct reader {
	const uint8_t *at, *end;
};

static uint64_t read_fixed(struct reader *in, unsigned n)
{
	uint64_t v = 0;

	if ((size_t)(in->end - in->at) < n) {
		in->at = in->end;
		return 0;
	}
	memcpy(&v, in->at, n);
	in->at += n;
	return v;
}

static uint64_t read_uleb(struct reader *in)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t b;

	do {
		b = (uint8_t)read_fixed(in, 1);
		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		shift += 7;
	} while (b & 0x80 && in->at < in->end);
	return v;
}

static int64_t read_sleb(struct reader *in)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t b;

	do {
		b = (uint8_t)read_fixed(in, 1);
		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		shift += 7;
	} while (b & 0x80 && in->at < in->end);
	if (shift < 64 && b & 0x40)
		v |= ~0ULL << shift;
	return (int64_t)v;
}

static void skip_block(struct reader *in)
{
	uint64_t n = read_uleb(in);

	in->at = n < (uint64_t)(in->end - in->at) ? in->at + n : in->end;
}

/* .eh_frame_hdr in the form that linkers write: a table of pairs relative to it. */
static const uint8_t *find_fde(const uint8_t *hdr, uint64_t pc)
{
	const int32_t(*table)[2] = (const void *)(hdr + 12);
	int64_t want = (int64_t)(pc - (uintptr_t)hdr);
	uint32_t lo = 0, hi;

	if (hdr[0] != 1 || hdr[1] != 0x1b || hdr[2] != 0x03 || hdr[3] != 0x3b)
		return NULL;
	memcpy(&hi, hdr + 8, 4);
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (table[mid][0] <= want)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? hdr + table[lo - 1][1] : NULL;
}

struct cie {
	struct reader program;
	uint64_t code_align;
	int64_t data_align;
};

static struct reader entry_reader(const uint8_t *entry)
{
	uint32_t length;

	memcpy(&length, entry, 4);
	if (length == 0xffffffff)
		length = 0;
	return (struct reader){ entry + 4, entry + 4 + length };
}

static bool read_cie(const uint8_t *entry, struct cie *c)
{
	struct reader in = entry_reader(entry), aug;
	const char *letters;
	uint64_t length;
	uint8_t version;

	read_fixed(&in, 4); /* id */
	version = (uint8_t)read_fixed(&in, 1);
	letters = (const char *)in.at;
	in.at += strlen(letters) + 1;
	c->code_align = read_uleb(&in);
	c->data_align = read_sleb(&in);
	if ((version == 1 ? read_fixed(&in, 1) : read_uleb(&in)) != REG_RA || letters[0] != 'z')
		return false;
	length = read_uleb(&in);
	if (length > (uint64_t)(in.end - in.at))
		return false;
	aug = (struct reader){ in.at, in.at + length };
	in.at += length;
	for (const char *l = letters + 1; *l; l++) {
		if (*l == 'R' && read_fixed(&aug, 1) != 0x1b)
			return false;
		if (*l == 'S')
			return false; /* signal frame */
		if (*l == 'L')
			read_fixed(&aug, 1);
		if (*l == 'P')
			read_fixed(&aug, (read_fixed(&aug, 1) & 0x0f) == 0x0b ? 4 : 8);
	}
	c->program = in;
	return true;
}

/* --- running the rows' program ------------------------------------------------------------ */

struct rules {
	int64_t cfa_off, rbp_off;
	uint8_t cfa_reg;
	bool has_rbp, last, bad;
};

struct machine {
	struct rules now, initial, stack[8];
	unsigned depth;
	uint64_t loc, pc;
	const struct cie *cie;
};

static void set_offset(struct machine *m, uint64_t reg, int64_t off)
{
	if (reg == REG_RBP) {
		m->now.has_rbp = true;
		m->now.rbp_off = off * m->cie->data_align;
	} else if (reg == REG_RA && off * m->cie->data_align != -8) {
		m->now.bad = true;
	}
}

static void set_same(struct machine *m, uint64_t reg, bool undefined)
{
	if (reg == REG_RBP)
		m->now.has_rbp = false;
	else if (reg == REG_RA)
		m->now.last = undefined;
}

static void set_initial(struct machine *m, uint64_t reg)
{
	if (reg == REG_RBP) {
		m->now.has_rbp = m->initial.has_rbp;
		m->now.rbp_off = m->initial.rbp_off;
	}
}

static void set_cfa(struct machine *m, uint64_t reg, int64_t off)
{
	m->now.cfa_reg = (uint8_t)(reg == REG_RBP || reg == REG_RSP ? reg : 0);
	m->now.cfa_off = off;
}

static void advance(struct machine *m, uint64_t delta)
{
	m->loc += delta * m->cie->code_align;
}

static void push_rules(struct machine *m)
{
	if (m->depth < 8)
		m->stack[m->depth++] = m->now;
	else
		m->now.bad = true;
}

static void pop_rules(struct machine *m)
{
	if (m->depth > 0)
		m->now = m->stack[--m->depth];
	else
		m->now.bad = true;
}

/* The instructions whose operation is in the low six bits. */
static void run_extended(struct machine *m, struct reader *in, uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case 0x00: /* nop */
		break;
	case 0x02: /* advance_loc1 */
		advance(m, read_fixed(in, 1));
		break;
	case 0x03: /* advance_loc2 */
		advance(m, read_fixed(in, 2));
		break;
	case 0x04: /* advance_loc4 */
		advance(m, read_fixed(in, 4));
		break;
	case 0x05: /* offset_extended */
		reg = read_uleb(in);
		set_offset(m, reg, (int64_t)read_uleb(in));
		break;
	case 0x06: /* restore_extended */
		set_initial(m, read_uleb(in));
		break;
	case 0x07: /* undefined */
		set_same(m, read_uleb(in), true);
		break;
	case 0x08: /* same_value */
		set_same(m, read_uleb(in), false);
		break;
	case 0x0a: /* remember_state */
		push_rules(m);
		break;
	case 0x0b: /* restore_state */
		pop_rules(m);
		break;
	case 0x0c: /* def_cfa */
		reg = read_uleb(in);
		set_cfa(m, reg, (int64_t)read_uleb(in));
		break;
	case 0x0d: /* def_cfa_register */
		set_cfa(m, read_uleb(in), m->now.cfa_off);
		break;
	case 0x0e: /* def_cfa_offset */
		m->now.cfa_off = (int64_t)read_uleb(in);
		break;
	case 0x0f: /* def_cfa_expression: its row is out of reach, later ones may not be */
		skip_block(in);
		m->now.cfa_reg = 0;
		break;
	case 0x10: /* expression */
	case 0x16: /* val_expression */
		m->now.bad |= read_uleb(in) == REG_RBP;
		skip_block(in);
		break;
	case 0x2e: /* GNU_args_size */
		read_uleb(in);
		break;
	default:
		m->now.bad = true;
		in->at = in->end;
	}
}

static void run(struct machine *m, struct reader in)
{
	while (in.at < in.end && m->loc <= m->pc) {
		struct machine before = *m;
		uint8_t b = (uint8_t)read_fixed(&in, 1);

		switch (b >> 6) {
		case 0:
			run_extended(m, &in, b);
			break;
		case 1:
			advance(m, b & 0x3f);
			break;
		case 2:
			set_offset(m, b & 0x3f, (int64_t)read_uleb(&in));
			break;
		case 3:
			set_initial(m, b & 0x3f);
			break;
		}
		if (m->loc > m->pc)
			*m = before, in.at = in.end;
	}
}

static row row_of_fde(const uint8_t *fde, uint64_t pc)
{
	struct reader in = entry_reader(fde);
	const uint8_t *cie_field = in.at;
	uint32_t cie_off = (uint32_t)read_fixed(&in, 4);
	uint64_t begin = (uintptr_t)in.at, size;
	struct machine m = { .pc = pc, .now = { .cfa_reg = REG_RSP, .cfa_off = 8 } };
	struct cie c;
	unsigned flags;

	if (!read_cie(cie_field - cie_off, &c))
		return 0;
	begin += (uint64_t)(int64_t)(int32_t)read_fixed(&in, 4);
	size = read_fixed(&in, 4);
	if (pc < begin || pc - begin >= size)
		return 0;
	skip_block(&in);
	m.cie = &c;
	run(&m, c.program);
	m.initial = m.now;
	m.loc = begin;
	run(&m, in);
	if (m.now.bad || !m.now.cfa_reg)
		return 0;
	flags = ROW_VALID | (m.now.last ? ROW_LAST : 0) | (m.now.has_rbp ? ROW_HAS_RBP : 0) |
		(m.now.cfa_reg == REG_RBP ? ROW_FROM_RBP : 0);
	return row_make(flags, m.now.cfa_off, m.now.has_rbp ? m.now.rbp_off : 0);
}

extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak));

static row find_row(uint64_t pc)
{
	struct dl_find_object obj;
	const uint8_t *fde;

	if (!_dl_find_object || _dl_find_object((void *)pc, &obj) != 0 || !obj.dlfo_eh_frame)
		return 0;
	fde = find_fde(obj.dlfo_eh_frame, pc);
	return fde ? row_of_fde(fde, pc) : 0;
}

#define N_CACHE 1024u
static struct {
	uint64_t key, row;
} cache[N_CACHE]; /* any thread reads and writes, relaxed; see the top */

static row cached_row(uint64_t pc)
{
	uint32_t slot = (uint32_t)(pc * 0x9e3779b97f4a7c15ULL >> 54) % N_CACHE;
	row r = load_relaxed(&cache[slot].row);

	if ((load_relaxed(&cache[slot].key) ^ r) == pc && r)
		return r;
	r = find_row(pc);
	if (!r)
		r = ROW_NONE;
	store_relaxed(&cache[slot].row, r);
	store_relaxed(&cache[slot].key, pc ^ r);
	return r;
}

/* --- the walk ------------------------------------------------------------------------- */

#define START_BYTES 512u

static bool is_start(uint64_t pc)
{
	return &__libc_start_main && pc - (uintptr_t)&__libc_start_main + START_BYTES < 2 * START_BYTES;
}

static unsigned walk(uint64_t *frames, unsigned max, uint64_t pc, uint64_t sp, uint64_t bp)
{
	uint64_t end = stack_end(sp);
	unsigned n = 0;

	while (n < max) {
		row r = cached_row(pc - 1); /* the call, not what follows it */
		uint64_t cfa = row_cfa(r, sp, bp);

		if (!(r & ROW_VALID) || r & ROW_LAST || cfa <= sp || cfa - sp > MAX_FRAME ||
		    cfa > end || cfa & 7)
			break;
		if (r & ROW_HAS_RBP)
			bp = *(uint64_t *)(cfa + (uint64_t)(int64_t)(int32_t)(r >> 32));
		pc = *(uint64_t *)(cfa - 8);
		if (pc < KERNEL_PAGE)
			break;
		frames[n++] = pc;
		if (is_start(pc))
			break;
		sp = cfa;
	}
	return n;
}

static noinline unsigned walk_here(uint64_t *frames, unsigned max)
{
	uint64_t pc, sp, bp;

	__asm__ volatile("lea 1f(%%rip), %0\n1:	mov %%rsp, %1\n	mov %%rbp, %2"
			 : "=&a"(pc), "=&c"(sp), "=&d"(bp)); /* none of them rbp itself */
	return walk(frames, max, pc + 1, sp, bp);
}

#else

static noinline unsigned walk_here(uint64_t *frames, unsigned max)
{
	const uint64_t *fp = __builtin_frame_address(0);
	uint64_t end = stack_end((uintptr_t)fp);
	unsigned n = 0;

	while (n < max && fp[1] >= KERNEL_PAGE) {
		const uint64_t *up = (const uint64_t *)fp[0];

		frames[n++] = fp[1];
		if (up <= fp || (uintptr_t)up - (uintptr_t)fp > MAX_FRAME || (uintptr_t)up & 7 ||
		    (uintptr_t)(up + 2) > end)
			break;
		fp = up;
	}
	return n;
}

#endif

/* Up to @max return addresses above this library, innermost first. */
unsigned mw__unwind(uint64_t *frames, unsigned max)
{
	uint64_t all[MW_STACK_DEPTH + MAX_OWN];
	unsigned want = mw__options.unwind ? max + MAX_OWN : MAX_OWN;
	unsigned n = walk_here(all, want), own = 0;

	while (own < n && is_own(all[own]))
		own++;
	n -= own;
	if (!mw__options.unwind && n > 1)
		n = 1;
	n = n < max ? n : max;
	memcpy(frames, all + own, n * sizeof(*frames));
	return n;
}
