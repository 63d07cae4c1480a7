/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a mapped ELF file, from a descriptor and from memory: what is taken must be safe to walk. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "elf/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
};

#define BASE UINT64_C(0x7f0000000000)

static bool read_input(void *ctx, uint64_t addr, void *buf, size_t size)
{
	const struct input *in = ctx;
	uint64_t at = addr - BASE, end = (in->size + 4095) & ~UINT64_C(4095);

	if (addr < BASE || at > end || size > end - at)
		return false;
	memset(buf, 0, size);
	if (at < in->size)
		memcpy(buf, in->data + at, in->size - at < size ? in->size - at : size);
	return true;
}

/* Look at every byte that the image points to. */
static void use(const struct mw__image *img)
{
	uint64_t start, end, bias, sum = 0;

	if (!img->n_segments || (img->elf_class != 32 && img->elf_class != 64))
		abort();
	for (uint32_t i = 0; i < img->n_sections; i++)
		sum += strlen(img->sections[i].name) + img->sections[i].addr;
	for (uint32_t i = 0; i < img->n_segments; i++)
		if (mw__image_bias(&img->segments[i], BASE, BASE + 4096, img->segments[i].off & ~UINT64_C(4095), &bias))
			sum += bias;
	if (mw__image_span(img, &start, &end) && start > end)
		abort();
	sum += img->build_id ? strlen(img->build_id) : 0;
	sum += img->go_version ? strlen(img->go_version) : 0;
	sum += img->interp ? strlen(img->interp) : 0;
	if (sum == UINT64_C(0x123456789abcdef))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	const struct mw__mem mem = { read_input, &in, 8 };
	struct mw__arena arena;
	struct mw__image img = {};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	mw__arena_init(&arena);
	if (mw__image_read_fd(fd, &arena, &img, NULL) > 0)
		use(&img);
	close(fd);
	memset(&img, 0, sizeof(img));
	if (mw__image_read_mem(&mem, BASE, BASE + ((size + 4095) & ~(size_t)4095), &arena, &img, NULL) > 0)
		use(&img);
	mw__arena_deinit(&arena);
	return 0;
}
