/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words that CPUID gives, as they are: what they mean is decided right of the freeze. */
#ifndef MW_MODEL_CPU_H
#define MW_MODEL_CPU_H

#include "../memwhy.h"

struct mw__cpuid {
	uint32_t leaf, subleaf;
	uint32_t eax, ebx, ecx, edx;
};

#define MW__MAX_LEAVES 64
struct mw_cpu {
	struct mw__cpuid leaves[MW__MAX_LEAVES];
	size_t n;
};

/* The words of a leaf, or NULL when the processor does not have it. */
static inline const struct mw__cpuid *mw__cpu_leaf(const struct mw_cpu *cpu, uint32_t leaf, uint32_t subleaf)
{
	for (size_t i = 0; i < cpu->n; i++)
		if (cpu->leaves[i].leaf == leaf && cpu->leaves[i].subleaf == subleaf)
			return &cpu->leaves[i];
	return NULL;
}

#endif
