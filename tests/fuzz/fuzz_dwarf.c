/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as what the DWARF child writes: the parent must not believe them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "elf/dwarf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mw__dwarf_answer a;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	memset(&a, 0, sizeof(a));
	mw__arena_init(&a.arena);
	if (mw__dwarf_collect(fd, size, &a) && a.v.n > size / sizeof(struct mw__dwarf_head))
		abort();
	mw__dwarf_answer_deinit(&a);
	close(fd);
	return 0;
}
