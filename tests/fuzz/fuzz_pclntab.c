/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as Go's table of functions: its functions have names, their memory is in proportion, and lines have files. */
#include <stdlib.h>
#include <string.h>

#include "elf/detail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mw__symbols found = {};
	struct mw__arena arena;
	uint64_t bytes = 0;

	mw__arena_init(&arena);
	if (mw__pclntab_read(data, size, 0x401000, &arena, &found) < 0)
		abort();
	for (size_t i = 0; i < found.list.n; i++) {
		if (!found.list.v[i].name[0])
			abort();
		bytes += strlen(found.list.v[i].name);
	}
	for (uint64_t addr = 0x400000; addr < 0x402000; addr += 61) {
		struct mw__go_line line;

		if (mw__pclntab_line(data, size, 0x401000, addr, &line) && strlen(line.file) + strlen(line.function) > size)
			abort();
	}
	if (found.list.n > size || arena.used > 1024 * size + 65536 || bytes > 64 * size * size)
		abort();
	MW_VEC_FREE(&found.list);
	mw__arena_deinit(&arena);
	return 0;
}
