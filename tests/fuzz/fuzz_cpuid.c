/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a file of CPUID words: refused, or read, decoded within bounds and shown. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "explain/tlb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(void *ctx, const void *bytes, size_t len)
{
	(void)bytes;
	*(size_t *)ctx += len;
	return 0;
}

static void show(const struct mw_cpu *cpu)
{
	struct mw_text_opts text = { .size = sizeof(text), .width = 80 };
	struct mw_document *doc = NULL;
	struct mw__tlbs tlbs;
	size_t n = 0;
	struct mw_sink sink = { count, &n };

	mw__tlbs_decode(cpu, &tlbs);
	if (tlbs.n > MW__MAX_TLBS)
		abort();
	if (mw_report_tlb(NULL, cpu, NULL, &doc, NULL) < 0 || mw_document_json(doc, &sink, NULL) < 0 ||
	    mw_document_text(doc, &text, &sink, NULL) < 0)
		abort();
	mw_document_destroy(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/tmp/memwhy-fuzz-XXXXXX";
	int fd = mkstemp(path);
	struct mw_cpu *cpu = NULL;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
	if (mw_cpu_open(path, &cpu, NULL) == 0)
		show(cpu);
	mw_cpu_destroy(cpu);
	unlink(path);
	return 0;
}
