/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading a target's memory. Walkers see this interface only, so a live process, a
 * core file and a test buffer look alike. Memory is read only where pages are present:
 * reading an untouched page would make the target map it.
 */
#ifndef MW_MODEL_MEM_H
#define MW_MODEL_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mw__mem {
	/* Copy [addr, addr + size) to buf. False unless every byte was on a present page. */
	bool (*read)(void *ctx, uint64_t addr, void *buf, size_t size);
	void *ctx;
	uint8_t word;		/* bytes of a pointer in the target: 4 or 8 */
};

static inline bool mw__mem_read(const struct mw__mem *mem, uint64_t addr, void *buf, size_t size)
{
	return mem && mem->read && mem->read(mem->ctx, addr, buf, size);
}

/* A pointer-sized word of the target, which has the byte order of this machine. */
static inline bool mw__mem_word(const struct mw__mem *mem, uint64_t addr, uint64_t *ret)
{
	uint64_t v = 0;

	if (!mw__mem_read(mem, addr, &v, mem->word))
		return false;
	*ret = v;
	return true;
}

#endif
