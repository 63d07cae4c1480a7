/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads the leaves of CPUID that tell about the processor and its TLBs: on the processor that this thread
 * happens to run on, or from a file of words. Other machines than x86 have no such leaves: then there are none.
 */
#include "../base/cleanup.h"
#include "../base/count.h"
#include "../base/err.h"
#include "../model/cpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const uint32_t plain[] = { 0, 1, 2, 7, 0x1a, 0x80000000, 0x80000002, 0x80000003, 0x80000004, 0x80000005, 0x80000006, 0x80000008,
				  0x80000019, 0x80000021 };
#define PARAMETERS 0x18		/* a leaf with subleaves */
#define MAX_SUBLEAF 31
#define MAX_FILE_LINES 100000	/* one processor has a few hundred */

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
	for (size_t i = 0; i < MW__COUNT(plain); i++)
		read_leaf(cpu, plain[i], 0);
	read_leaf(cpu, PARAMETERS, 0);
	const struct mw__cpuid *first = mw__cpu_leaf(cpu, PARAMETERS, 0);

	for (uint32_t i = 1; first && i <= first->eax && i <= MAX_SUBLEAF; i++)
		read_leaf(cpu, PARAMETERS, i);
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

/* ---------------------------------------------------------------- from a file */

static bool is_wanted(const struct mw__cpuid *c)
{
	if (c->leaf == PARAMETERS)
		return c->subleaf <= MAX_SUBLEAF;
	for (size_t i = 0; i < MW__COUNT(plain) && c->subleaf == 0; i++)
		if (plain[i] == c->leaf)
			return true;
	return false;
}

/* One leaf as cpuid -r writes it, or as in the dumps of InstLatx64. */
static bool parse_line(const char *line, struct mw__cpuid *c)
{
	*c = (struct mw__cpuid){ 0 };
	if (sscanf(line, " 0x%8x 0x%8x: eax=0x%8x ebx=0x%8x ecx=0x%8x edx=0x%8x", &c->leaf, &c->subleaf, &c->eax, &c->ebx, &c->ecx,
		   &c->edx) == 6)
		return true;
	return sscanf(line, "CPUID %8x: %8x-%8x-%8x-%8x [SL %2x]", &c->leaf, &c->eax, &c->ebx, &c->ecx, &c->edx, &c->subleaf) >= 5;
}

/* The first processor of the file: the next one begins with leaf 0 again. */
static void read_lines(struct mw_cpu *cpu, FILE *file)
{
	char line[256];
	struct mw__cpuid c;

	for (int i = 0; i < MAX_FILE_LINES && fgets(line, sizeof(line), file); i++) {
		if (!parse_line(line, &c) || !is_wanted(&c))
			continue;
		if (c.leaf == 0 && cpu->n)
			return;
		if (cpu->n < MW__MAX_LEAVES && !mw__cpu_leaf(cpu, c.leaf, c.subleaf))
			cpu->leaves[cpu->n++] = c;
	}
}

int mw_cpu_open(const char *path, struct mw_cpu **ret, struct mw_err *err)
{
	MW_CLEANUP(mw__fclosep) FILE *file = fopen(path, "re");

	if (!file)
		return mw__fail(err, errno == ENOENT ? MW_E_NOT_FOUND : MW_E_OS, errno, "%s: open", path);
	struct mw_cpu *cpu = calloc(1, sizeof(*cpu));

	if (!cpu)
		return mw__fail_nomem(err, "processor");
	read_lines(cpu, file);
	if (mw__cpu_leaf(cpu, 0, 0)) {
		*ret = cpu;
		return 0;
	}
	int error = ferror(file) ? errno : 0;

	free(cpu);
	if (error)
		return mw__fail(err, MW_E_OS, error, "%s: read", path);
	mw__fail(err, MW_E_FORMAT, 0, "%s: no words of CPUID", path);
	mw__hint(err, "cpuid -1 -r prints them on the machine in question");
	return -MW_E_FORMAT;
}

void mw_cpu_destroy(struct mw_cpu *cpu)
{
	free(cpu);
}
