/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the kernel says of a page frame, in words. */
#ifndef MW_REPORT_FRAME_H
#define MW_REPORT_FRAME_H

#include "../base/str.h"
#include "../explain/explain.h"
#include "doc.h"

/* "uptodate lru anon"; "" for MW_UNKNOWN. Replaces what buf held. */
const char *mw__frame_flags(uint64_t flags, struct mw__str *buf);

#endif
