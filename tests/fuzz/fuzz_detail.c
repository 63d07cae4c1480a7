/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as an ELF file whose symbols and relocations are read: refused, or tables that a snapshot may
 * hold. What they cost is in proportion to the file.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "elf/detail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct mw_snapshot *snap, const struct mw__image *img, const struct mw__detail *d, size_t size)
{
	struct mw__image *copy = MW_VEC_PUSH(&snap->images);

	if (!copy)
		return;
	*copy = *img;
	copy->path = "f";
	copy->detail = d;
	copy->file = MW__NONE;
	snap->target.page_size = 4096;
	if (mw__snapshot_freeze(snap, NULL) < 0 || d->n_symbols > size || d->n_reloc_pages > 64 * size + 64)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint64_t near[] = { 0, size / 2, size, 0x401000, UINT64_MAX };
	const struct mw__detail_want want = { .symbols = true, .relocs = true };
	const struct mw__detail_want few = { .symbols = true, .addrs = near, .n_addrs = sizeof(near) / sizeof(near[0]) };
	const struct mw__detail *detail = NULL;
	struct mw_snapshot snap;
	struct mw__image img = {};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	mw__snapshot_init(&snap);
	if (mw__image_read_fd(fd, &snap.arena, &img, NULL) > 0) {
		size_t before = snap.arena.used;

		if (mw__detail_read(fd, &img, &want, &snap.arena, &detail) == 0)
			check(&snap, &img, detail, size);
		if (mw__detail_read(fd, &img, &few, &snap.arena, &detail) == 0)
			check(&snap, &img, detail, size);
		if (snap.arena.used - before > 4000 * size + 65536)
			abort();
	}
	close(fd);
	mw__snapshot_deinit(&snap);
	return 0;
}
