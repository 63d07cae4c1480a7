/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads the leaves of CPUID that tell about the processor and its TLBs, on the processor that this thread
 * happens to run on. Other machines than x86 have no such leaves: then there are none.
 */
#include "../base/err.h"
#include "../model/cpu.h"

#include <stdlib.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

static void read_leaf(struct mw_cpu *cpu, uint32_t leaf, uint32_t subleaf)
{
	struct mw__cpuid *c = &cpu->leaves[cpu->n];

	if (cpu->n == MW__MAX_LEAVES || leaf > __get_cpuid_max(leaf & 0x80000000, NULL))
		return;
	cpu->n++;
	c->leaf = leaf;
	c->subleaf = subleaf;
	__cpuid_count(leaf, subleaf, c->eax, c->ebx, c->ecx, c->edx);
}

static void read_leaves(struct mw_cpu *cpu)
{
	static const uint32_t plain[] = { 0, 1, 2, 0x80000000, 0x80000002, 0x80000003, 0x80000004, 0x80000005, 0x80000006,
					  0x80000008, 0x80000019, 0x80000021 };

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		read_leaf(cpu, plain[i], 0);
	read_leaf(cpu, 0x18, 0);
	const struct mw__cpuid *first = mw__cpu_leaf(cpu, 0x18, 0);

	for (uint32_t i = 1; first && i <= first->eax && i < 32; i++)
		read_leaf(cpu, 0x18, i);
}
#else
static void read_leaves(struct mw_cpu *cpu)
{
	(void)cpu;
}
#endif

int mw_cpu_read(struct mw_cpu **ret, struct mw_err *err)
{
	struct mw_cpu *cpu = calloc(1, sizeof(*cpu));

	if (!cpu)
		return mw__fail_nomem(err, "processor");
	read_leaves(cpu);
	*ret = cpu;
	return 0;
}

void mw_cpu_destroy(struct mw_cpu *cpu)
{
	free(cpu);
}
