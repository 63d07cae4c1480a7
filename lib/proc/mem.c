/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Copies memory of a live target by process_vm_readv(2), and only from pages that the snapshot's
 * runs call present: reading an absent page would make the target map one.
 */
#include "proc.h"

#include "../base/size.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define PAGE 4096u

/* End of the present run that holds addr, or addr. */
static uint64_t present_until(const struct mw_snapshot *snap, const struct mw__vma *vma, uint64_t addr)
{
	const struct mw__run *r = mw__vma_run_at(snap, vma, addr);

	return r && r->state & MW__PRESENT ? r->start + (uint64_t)r->pages * PAGE : addr;
}

static bool is_present(const struct mw_snapshot *snap, uint64_t addr, uint64_t size)
{
	uint64_t end;

	if (__builtin_add_overflow(addr, size, &end))
		return false;
	while (addr < end) {
		const struct mw__vma *vma = mw__snapshot_vma_at(snap, addr);
		uint64_t until = vma && vma->n_runs && !vma->no_pages ? present_until(snap, vma, addr) : addr;

		if (until <= addr)
			return false;
		addr = until;
	}
	return true;
}

static bool copy(struct mw__proc_mem *mem, uint64_t addr, void *buf, size_t size)
{
	struct iovec local = { buf, size }, remote = { (void *)(uintptr_t)addr, size };

	if (mem->error == EPERM || !is_present(mem->snap, addr, size))
		return false;
	ssize_t n = process_vm_readv(mem->pid, &local, 1, &remote, 1, 0);

	if (n < 0)
		mem->error = errno;
	return n == (ssize_t)size;
}

/* Walkers read many words of one page: it is fetched once. */
bool mw__proc_mem_read(void *ctx, uint64_t addr, void *buf, size_t size)
{
	struct mw__proc_mem *mem = ctx;
	uint64_t page = mw__align_down(addr, PAGE);

	if (size > PAGE - (addr - page))
		return copy(mem, addr, buf, size);
	if (!mem->has_page || mem->page != page) {
		mem->has_page = copy(mem, page, mem->bytes, PAGE) || (mem->absent && mem->absent(mem->ctx, page, mem->bytes));
		mem->page = page;
	}
	if (!mem->has_page)
		return false;
	memcpy(buf, mem->bytes + (addr - page), size);
	return true;
}
