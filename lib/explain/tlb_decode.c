/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Words of CPUID to TLBs. Pure: no instruction is executed here.
 *   Intel  leaf 0x18 (Intel SDM volume 2A, CPUID, "Deterministic Address Translation Parameters"), else the
 *          descriptor bytes of leaf 2 (same place, table "Encoding of CPUID Leaf 2 Descriptors")
 *   AMD    0x80000005, 0x80000006, 0x80000019 (AMD APM volume 3, appendix E). From Zen 5 on the sizes of
 *          level 2 count in units of 32 when bit 14 of EAX of 0x80000021 (L2TlbSizeX32) is set
 * Hypervisors may give zeros, or hide that bit. Then the words of the model serve (tlb_models.c), if they are known.
 */
#include "tlb.h"

#include "../base/count.h"

#include <string.h>

const char *const mw__tlb_kinds[] = {
	[0] = "?", [MW__TLB_DATA] = "data", [MW__TLB_CODE] = "code", [MW__TLB_UNIFIED] = "unified",
	[MW__TLB_LOAD] = "loads", [MW__TLB_STORE] = "stores",
};

static void add(struct mw__tlbs *t, unsigned level, unsigned kind, unsigned pages, uint32_t entries, uint32_t ways,
		const char *source)
{
	if (entries && t->n < MW__MAX_TLBS)
		t->v[t->n++] = (struct mw__tlb){ (uint8_t)level, (uint8_t)kind, (uint8_t)pages, entries, ways, source };
}

uint32_t mw__tlb_sets(const struct mw__tlb *t)
{
	return t->ways == MW__FULL ? 1 : t->ways ? t->entries / t->ways : 0;
}

uint64_t mw__tlb_reach(const struct mw__tlb *t, enum mw__page_size size)
{
	uint64_t bytes = size == MW__4K ? 4096 : size == MW__2M ? 2u << 20 : size == MW__4M ? 4u << 20 : 1u << 30;

	return t->pages & size ? t->entries * bytes : 0;
}

bool mw__tlb_takes(const struct mw__tlb *t, uint64_t page_size)
{
	return (t->pages & MW__4K && page_size == 4096) || (t->pages & MW__2M && page_size == 2u << 20) ||
	       (t->pages & MW__4M && page_size == 4u << 20) || (t->pages & MW__1G && page_size == 1u << 30);
}

uint64_t mw__tlb_set(const struct mw__tlb *t, uint64_t page_size, uint64_t addr)
{
	uint32_t sets = mw__tlb_sets(t);

	if (!sets || sets & (sets - 1) || !mw__tlb_takes(t, page_size))
		return MW_UNKNOWN;
	return addr / page_size & (sets - 1);
}

/* -------------------------------------------------------------------- Intel */

static void decode_18(const struct mw_cpu *cpu, struct mw__tlbs *t)
{
	const struct mw__cpuid *first = mw__cpu_leaf(cpu, 0x18, 0);

	for (uint32_t i = 0; first && i <= first->eax && i < 32; i++) {
		const struct mw__cpuid *c = mw__cpu_leaf(cpu, 0x18, i);
		uint32_t kind = c ? c->edx & 31 : 0, ways = c ? c->ebx >> 16 : 0;

		if (!kind || kind >= MW__TLB_KINDS)
			continue;
		add(t, c->edx >> 5 & 7, kind, c->ebx & 15, ways * c->ecx, c->edx >> 8 & 1 ? MW__FULL : ways, "CPUID 0x18");
	}
}

struct descriptor {
	uint8_t byte, level, kind, pages;
	uint16_t entries;
	uint32_t ways;
};
#define F MW__FULL
#define D MW__TLB_DATA
#define C MW__TLB_CODE
#define U MW__TLB_UNIFIED
static const struct descriptor descriptors[] = {
	{ 0x01, 1, C, MW__4K, 32, 4 },		  { 0x02, 1, C, MW__4M, 2, F },
	{ 0x03, 1, D, MW__4K, 64, 4 },		  { 0x04, 1, D, MW__4M, 8, 4 },
	{ 0x05, 1, D, MW__4M, 32, 4 },		  { 0x0b, 1, C, MW__4M, 4, 4 },
	{ 0x4f, 1, C, MW__4K, 32, 0 },		  { 0x50, 1, C, MW__4K | MW__2M | MW__4M, 64, 0 },
	{ 0x51, 1, C, MW__4K | MW__2M | MW__4M, 128, 0 }, { 0x52, 1, C, MW__4K | MW__2M | MW__4M, 256, 0 },
	{ 0x55, 1, C, MW__2M | MW__4M, 7, F },	  { 0x56, 1, D, MW__4M, 16, 4 },
	{ 0x57, 1, D, MW__4K, 16, 4 },		  { 0x59, 1, D, MW__4K, 16, F },
	{ 0x5a, 1, D, MW__2M | MW__4M, 32, 4 },	  { 0x5b, 1, D, MW__4K | MW__4M, 64, 0 },
	{ 0x5c, 1, D, MW__4K | MW__4M, 128, 0 },  { 0x5d, 1, D, MW__4K | MW__4M, 256, 0 },
	{ 0x61, 1, C, MW__4K, 48, F },		  { 0x63, 1, D, MW__2M | MW__4M, 32, 4 },
	{ 0x63, 1, D, MW__1G, 4, 4 },		  { 0x64, 1, D, MW__4K, 512, 4 },
	{ 0x6a, 1, D, MW__4K, 64, 8 },		  { 0x6b, 1, D, MW__4K, 256, 8 },
	{ 0x6c, 1, D, MW__2M | MW__4M, 128, 8 },  { 0x6d, 1, D, MW__1G, 16, F },
	{ 0x76, 1, C, MW__2M | MW__4M, 8, F },	  { 0xa0, 1, D, MW__4K, 32, F },
	{ 0xb0, 1, C, MW__4K, 128, 4 },		  { 0xb1, 1, C, MW__2M, 8, 4 },
	{ 0xb2, 1, C, MW__4K, 64, 4 },		  { 0xb3, 1, D, MW__4K, 128, 4 },
	{ 0xb4, 1, D, MW__4K, 256, 4 },		  { 0xb5, 1, C, MW__4K, 64, 8 },
	{ 0xb6, 1, C, MW__4K, 128, 8 },		  { 0xba, 1, D, MW__4K, 64, 4 },
	{ 0xc0, 1, D, MW__4K | MW__4M, 8, 4 },	  { 0xc1, 2, U, MW__4K | MW__2M, 1024, 8 },
	{ 0xc2, 1, D, MW__4K | MW__2M, 16, 4 },	  { 0xc3, 2, U, MW__4K | MW__2M, 1536, 6 },
	{ 0xc3, 2, U, MW__1G, 16, 4 },		  { 0xc4, 1, D, MW__2M | MW__4M, 32, 4 },
	{ 0xca, 2, U, MW__4K, 512, 4 },
};

static void add_descriptor(struct mw__tlbs *t, uint8_t byte)
{
	for (size_t i = 0; i < MW__COUNT(descriptors); i++) {
		const struct descriptor *d = &descriptors[i];

		if (d->byte == byte)
			add(t, d->level, d->kind, d->pages, d->entries, d->ways, "CPUID 2");
	}
}

/* Four descriptors a register; bit 31 says that a register holds none, and the lowest byte of EAX is a count. */
static void decode_2(const struct mw_cpu *cpu, struct mw__tlbs *t)
{
	const struct mw__cpuid *c = mw__cpu_leaf(cpu, 2, 0);

	if (!c)
		return;
	const uint32_t regs[] = { c->eax & ~0xffu, c->ebx, c->ecx, c->edx };

	for (size_t i = 0; i < 4; i++)
		for (unsigned shift = 0; shift < 32 && !(regs[i] >> 31); shift += 8)
			add_descriptor(t, regs[i] >> shift & 0xff);
}

/* ---------------------------------------------------------------------- AMD */

/* APM volume 3, "L2 and L3 cache and TLB associativity field encoding": from so many ways to so many. */
static const struct { uint16_t from, to; } amd_ways[16] = {
	[1] = { 1, 1 }, [2] = { 2, 2 }, [3] = { 3, 3 }, [4] = { 4, 5 }, [5] = { 6, 7 }, [6] = { 8, 15 }, [8] = { 16, 31 },
	[10] = { 32, 47 }, [11] = { 48, 63 }, [12] = { 64, 95 }, [13] = { 96, 127 },
};

/*
 * Of a range, the number of ways with which the sets are a power of two, for address bits choose one. There is one
 * at most, as no range reaches the double of its beginning. 0: none.
 */
static uint32_t ways_of(unsigned code, uint32_t entries)
{
	if (code == 15)
		return MW__FULL;
	for (uint32_t w = amd_ways[code].from; w && w <= amd_ways[code].to; w++)
		if (entries % w == 0 && !(entries / w & (entries / w - 1)))
			return w;
	return amd_ways[code].from == amd_ways[code].to ? amd_ways[code].from : 0;
}

/* Level 1: entries and ways in a byte each, code below, data above. */
static void decode_bytes(struct mw__tlbs *t, uint32_t word, unsigned pages)
{
	uint32_t cw = word >> 8 & 0xff, dw = word >> 24;

	add(t, 1, C, pages, word & 0xff, cw == 0xff ? MW__FULL : cw, "CPUID 0x80000005");
	add(t, 1, D, pages, word >> 16 & 0xff, dw == 0xff ? MW__FULL : dw, "CPUID 0x80000005");
}

/* Entries in 12 bits and ways as a code. No data half: the code half is for both (APM, 0x80000006). */
static void decode_halves(struct mw__tlbs *t, uint32_t word, unsigned level, unsigned pages, uint32_t unit, const char *source)
{
	uint32_t code = word & 0xfff, data = word >> 16 & 0xfff;

	if (word >> 12 & 15)
		add(t, level, data || level == 1 ? C : U, pages, code * unit,
		    ways_of(word >> 12 & 15, code * unit), source);
	if (word >> 28)
		add(t, level, D, pages, data * unit, ways_of(word >> 28, data * unit), source);
}

static void decode_amd(const struct mw_cpu *cpu, struct mw__tlbs *t)
{
	const struct mw__cpuid *l1 = mw__cpu_leaf(cpu, 0x80000005, 0), *l2 = mw__cpu_leaf(cpu, 0x80000006, 0);
	const struct mw__cpuid *huge = mw__cpu_leaf(cpu, 0x80000019, 0), *more = mw__cpu_leaf(cpu, 0x80000021, 0);
	uint32_t unit = more && more->eax >> 14 & 1 ? 32 : 1;

	if (l1) {
		decode_bytes(t, l1->ebx, MW__4K);
		decode_bytes(t, l1->eax, MW__2M);
	}
	if (huge)
		decode_halves(t, huge->eax, 1, MW__1G, 1, "CPUID 0x80000019");
	if (l2) {
		decode_halves(t, l2->ebx, 2, MW__4K, unit, "CPUID 0x80000006");
		decode_halves(t, l2->eax, 2, MW__2M, unit, "CPUID 0x80000006");
	}
	if (huge)
		decode_halves(t, huge->ebx, 2, MW__1G, unit, "CPUID 0x80000019");
}

/* ---------------------------------------------------------------- documented */

#undef F
#undef D
#undef C
#undef U

static void decode_words(const struct mw_cpu *cpu, struct mw__tlbs *t)
{
	if (!strcmp(t->vendor, "GenuineIntel")) {
		decode_18(cpu, t);
		if (!t->n)
			decode_2(cpu, t);
	} else if (!strcmp(t->vendor, "AuthenticAMD") || !strcmp(t->vendor, "HygonGenuine")) {
		decode_amd(cpu, t);
	}
}

/* The TLBs of a model, by its words. */
static void decode_model(const struct mw__tlb_model *m, struct mw__tlbs *t)
{
	struct mw_cpu cpu = {};

	for (size_t i = 0; i < MW__COUNT(m->leaves) && m->leaves[i].leaf; i++)
		cpu.leaves[cpu.n++] = m->leaves[i];
	t->n = 0;
	decode_words(&cpu, t);
}

static void use_model(struct mw__tlbs *t, const struct mw__tlb_model *m)
{
	decode_model(m, t);
	for (size_t i = 0; i < t->n; i++)
		t->v[i].source = "documented";
	t->is_documented = true;
	t->document = m->document;
}

/* The size of the TLB of the same level, kind and pages; 0: none. */
static uint32_t entries_of(const struct mw__tlbs *of, const struct mw__tlb *t)
{
	for (size_t i = 0; i < of->n; i++)
		if (of->v[i].level == t->level && of->v[i].kind == t->kind && of->v[i].pages & t->pages)
			return of->v[i].entries;
	return 0;
}

/*
 * L2TlbSizeX32 hidden: every level 2 TLB is 32 times smaller than that of the model. Then the unit is restored,
 * and it is said.
 */
static void restore_unit(struct mw__tlbs *t, const struct mw__tlb_model *m)
{
	struct mw__tlbs model = *t;
	size_t hidden = 0, other = 0;

	decode_model(m, &model);
	for (size_t i = 0; i < t->n; i++) {
		uint32_t want = t->v[i].level == 2 ? entries_of(&model, &t->v[i]) : 0;

		hidden += want && t->v[i].entries * 32 == want;
		other += want && t->v[i].entries * 32 != want;
	}
	if (!hidden || other)
		return;
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].level == 2)
			t->v[i].entries *= 32;
	t->document = m->document;
	t->remark = "the level 2 words are 32 times smaller than those of this model, because the bit that tells so "
		    "(L2TlbSizeX32, CPUID 0x80000021) is hidden, as a hypervisor may do; they are multiplied by 32 here";
}

/* -------------------------------------------------------------------- identity */

/* Names are padded with blanks on either side. */
static void trim(char *s)
{
	size_t from = strspn(s, " "), n = strlen(s) - from;

	memmove(s, s + from, n + 1);
	while (n && s[n - 1] == ' ')
		s[--n] = '\0';
}

/* Intel SDM, CPUID: leaf 7, EDX bit 15 says hybrid; leaf 0x1a, EAX bits 31-24 the type of the core that answers. */
static const char *core_type(const struct mw_cpu *cpu)
{
	const struct mw__cpuid *features = mw__cpu_leaf(cpu, 7, 0), *core = mw__cpu_leaf(cpu, 0x1a, 0);

	if (!features || !(features->edx >> 15 & 1))
		return NULL;
	uint32_t type = core ? core->eax >> 24 : 0;

	return type == 0x20 ? "efficiency" : type == 0x40 ? "performance" : "unknown";
}

static void identify(const struct mw_cpu *cpu, struct mw__tlbs *t)
{
	const struct mw__cpuid *zero = mw__cpu_leaf(cpu, 0, 0), *one = mw__cpu_leaf(cpu, 1, 0);

	if (zero) {
		memcpy(t->vendor, &zero->ebx, 4);
		memcpy(t->vendor + 4, &zero->edx, 4);
		memcpy(t->vendor + 8, &zero->ecx, 4);
	}
	for (uint32_t i = 0; i < 3; i++) {
		const struct mw__cpuid *c = mw__cpu_leaf(cpu, 0x80000002 + i, 0);

		if (c)
			memcpy(t->model_name + 16 * i, &c->eax, 16);
	}
	trim(t->model_name);
	if (!one)
		return;
	uint32_t family = one->eax >> 8 & 15;

	t->family = family == 15 ? family + (one->eax >> 20 & 0xff) : family;
	t->model = (one->eax >> 4 & 15) | (family == 6 || family == 15 ? (one->eax >> 16 & 15) << 4 : 0);
	t->has_hypervisor = one->ecx >> 31;
	t->core_type = core_type(cpu);
}

void mw__tlbs_decode(const struct mw_cpu *cpu, struct mw__tlbs *ret)
{
	memset(ret, 0, sizeof(*ret));
	identify(cpu, ret);
	const struct mw__tlb_model *m = mw__tlb_model_find(ret->vendor, ret->family, ret->model);

	decode_words(cpu, ret);
	if (!ret->n && m)
		use_model(ret, m);
	else if (m)
		restore_unit(ret, m);
}
