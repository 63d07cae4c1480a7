/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Copies memory of a live target from /proc/PID/mem, and only from pages that the snapshot's runs call present:
 * reading an absent page would make the target map one. process_vm_readv(2) would do as well, but it pins what it
 * reads, and of a page that the target shares since a fork(2), or by KSM, pinning makes it a copy of its own (Linux 5.19,
 * mm/gup.c, gup_must_unshare()).
 */
#include "proc.h"

#include "../base/cleanup.h"
#include "../base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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

/* Whether it could be opened, now or before. */
static bool is_open(struct mw__proc_mem *mem)
{
	if (mem->fd < 0 && !mem->error) {
		mem->fd = openat(mem->proc->pid_fd, "mem", O_RDONLY | O_CLOEXEC);
		mem->error = mem->fd >= 0 ? 0 : errno == EACCES ? EPERM : errno == ENOENT ? ESRCH : errno;
	}
	return mem->fd >= 0;
}

static bool copy(struct mw__proc_mem *mem, uint64_t addr, void *buf, size_t size)
{
	if (addr > INT64_MAX || !is_present(mem->snap, addr, size) || !is_open(mem))
		return false;
	ssize_t n = pread(mem->fd, buf, size, (off_t)addr);

	if (n <= 0)
		mem->error = n < 0 ? errno : ESRCH;	/* no bytes, and no error: its memory went */
	return n == (ssize_t)size;
}

void mw__proc_mem_close(struct mw__proc_mem *mem)
{
	mw__closep(&mem->fd);
	mem->fd = -1;
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
