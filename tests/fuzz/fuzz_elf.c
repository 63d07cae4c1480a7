/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as an ELF file: every view as text and JSON, into nowhere. DWARF is left to
 * fuzz_dwarf, since its reader is a child that may die.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "elf/file.h"
#include "memwhy.h"

static int drop(void *ctx, const void *bytes, size_t len)
{
	(void)bytes;
	*(size_t *)ctx += len;
	return 0;
}

static void report(struct mw_elf *elf, bool use_dynamic)
{
	static const char *const sections[] = { "1", ".text", ".dynstr", ".comment", ".debug_info" };
	struct mw_elf_opts opts = { .size = sizeof(opts), .views = ~0u & ~(unsigned)(MW_ELF_UNITS | MW_ELF_HEX_HEADERS),
				    .demangle = true, .use_dynamic = use_dynamic, .decompress = true, .hex = sections,
				    .strings = sections, .relocated = sections, .n_hex = 5, .n_strings = 5, .n_relocated = 5,
				    .sizes_by = use_dynamic ? MW_ELF_BY_SYMBOL : MW_ELF_BY_SECTION };
	size_t written = 0;
	const struct mw_sink sink = { drop, &written };
	struct mw_document *doc;

	if (mw_report_elf(&elf, 1, &opts, &doc, NULL) < 0)
		return;
	if (mw_document_text(doc, NULL, &sink, NULL) < 0 || mw_document_json(doc, &sink, NULL) < 0)
		abort();
	mw_document_destroy(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct mw_elf *elf;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (mw__elf_open_part(fd, 0, size, "fuzz", &elf, NULL) < 0)
		return 0;
	report(elf, size & 1);
	mw_elf_close(elf);
	return 0;
}
