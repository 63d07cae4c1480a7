/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A snapshot as a file, schema memwhy/snapshot/1: lines of JSON.
 *
 *   {"schema":"memwhy/snapshot/1","tool_version":...,"target":{...},"status":{...},...}
 *   {"cpuid":[[leaf,subleaf,eax,ebx,ecx,edx],...]}   words of CPUID of the machine
 *   {"file":{...}}                       files come first: mappings and images name them by number
 *   {"vma":{...,"smaps":{...},"runs":[[page,pages,state],...]}}     page counts from the start
 *   {"runs":[...]}                       more runs of the mapping before, when there are many
 *   {"cache":[[page,pages],...]}         pages of the mapping before that are in the page cache only
 *   {"image":{...}}, then {"segments":[...]} and {"sections":[...]} of it, and where they were read
 *     {"detail":{...}}, then {"symbols":[[addr,size,type,bind,name],...]} and
 *     {"reloc_pages":[[addr,relocs,own],...]}
 *   {"frames":[[addr,pfn,flags,mappers,node],...]}
 *   {"sources":[[addr,depth,line,function,file],...]}
 *   {"task":{...}}, {"claim":{...}}, {"note":{...}}
 *   {"end":{"records":N}}                lines between the first and this one
 *
 * Keys are the members of the structs in model/snapshot.h. A number that is not known is
 * null. Within a major version members and kinds of records are only added, and a reader
 * passes over those that it does not know: of a record its first key tells the kind.
 */
#ifndef MW_SAVE_SAVE_H
#define MW_SAVE_SAVE_H

#include <stdio.h>

#include "../model/snapshot.h"
#include "lines.h"

#define MW__SAVE_SCHEMA "memwhy/snapshot/"
#define MW__SAVE_MAJOR 1
#define MW__SAVE_LINE_MAX (1u << 20)	/* bytes; a longer line is refused */
#define MW__SAVE_EXPANDED_MAX (UINT64_C(1) << 30)	/* bytes of a compressed snapshot when expanded */
#define MW__SAVE_TEXT_MAX (1u << 14)	/* a longer text is cut when it is written */

/* Read a snapshot, which may be compressed by gzip; name is for messages. It is checked and frozen. */
MW_MUST_CHECK int mw__save_read(FILE *file, const char *name, struct mw_snapshot **ret,
				struct mw_err *err);
/* The same from lines that belong to the caller, up to its end; what stands behind it is not read. */
MW_MUST_CHECK int mw__save_read_lines(struct mw__save_lines *lines, struct mw_snapshot **ret, struct mw_err *err);
MW_MUST_CHECK int mw__save_read_path(const char *path, struct mw_snapshot **ret, struct mw_err *err);

#endif
