/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as an ELF file or an archive: every view as text and JSON, into nowhere. DWARF
 * is left to fuzz_dwarf, since its reader is a child that may die. The last byte chooses
 * between views that exclude each other.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "elf/contents.h"
#include "elf/linefiles.h"
#include "elf/plaincopy.h"
#include "memwhy.h"

static int drop(void *ctx, const void *bytes, size_t len)
{
	(void)bytes;
	*(size_t *)ctx += len;
	return 0;
}

static void report(struct mw_elf *elf, unsigned choice)
{
	static const char *const sections[] = { "1", ".text", ".dynstr", ".comment", ".debug_info" };
	bool hex = (choice & 3) == 3;	/* of the headers; any other view beside it would be left out */
	struct mw_elf_opts opts = {
		.size = sizeof(opts), .demangle = choice & 4, .use_dynamic = choice & 1, .decompress = !(choice & 8),
		.views = hex ? MW_ELF_HEX_HEADERS | MW_ELF_HEADER | MW_ELF_SEGMENTS | MW_ELF_SECTIONS | MW_ELF_SYMBOLS :
			       ~0u & ~(unsigned)(MW_ELF_UNITS | MW_ELF_HEX_HEADERS),
		.one_header = choice & 16, .header_index = choice >> 5,
		.hex = sections, .strings = sections, .relocated = sections,
		.n_hex = hex ? 0 : 5, .n_strings = hex ? 0 : 5, .n_relocated = hex ? 0 : 5,
		.sizes_by = choice % 3,	/* by section, segment, symbol */
	};
	size_t written = 0;
	const struct mw_sink sink = { drop, &written };
	struct mw_document *doc;

	if (mw_report_elf(&elf, 1, &opts, &doc, NULL) < 0)
		return;
	if (mw_document_text(doc, NULL, &sink, NULL) < 0 || mw_document_json(doc, &sink, NULL) < 0)
		abort();
	mw_document_destroy(doc);
}

/* What is done for the child that reads DWARF. */
static void debug_lines(struct mw_elf *elf, unsigned choice)
{
	int copy = mw__elf_linked_copy(elf, choice & 1);
	size_t i = mw__elf_section_by_name(elf, ".debug_line"), n = 0;
	struct mw__contents c;

	if (copy >= 0)
		close(copy);
	if (i >= elf->n_sh || !mw__contents_read(elf, i, true, false, &c))
		return;
	free(mw__line_defaults(c.p, c.size, choice & 0xf0, elf->lay.big, &n));
	if (n > c.size)
		abort();
	mw__contents_deinit(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	unsigned choice = size ? data[size - 1] : 0;
	char path[32];
	struct mw_elf *elf;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (mw_elf_open(path, &elf, NULL) == 0) {
		report(elf, choice);
		debug_lines(elf, choice);
		mw_elf_close(elf);
	}
	close(fd);
	return 0;
}
