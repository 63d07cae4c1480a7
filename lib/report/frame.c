/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bits of /proc/kpageflags (include/uapi/linux/kernel-page-flags.h). */
#include "frame.h"

static const char *const names[] = {
	"locked", "error", "referenced", "uptodate", "dirty", "lru", "active", "slab", "writeback", "reclaim",
	"buddy", "mmap", "anon", "swapcache", "swapbacked", "compound_head", "compound_tail", "huge", "unevictable",
	"hwpoison", "nopage", "ksm", "thp", "offline", "zero_page", "idle", "pgtable",
};

const char *mw__frame_flags(uint64_t flags, struct mw__str *buf)
{
	mw__str_reset(buf);
	mw__str_puts(buf, "");
	for (size_t i = 0; flags != MW_UNKNOWN && i < MW__COUNT(names); i++)
		if (flags >> i & 1)
			mw__str_printf(buf, "%s%s", buf->n ? " " : "", names[i]);
	return buf->failed || !buf->v ? "" : buf->v;
}
