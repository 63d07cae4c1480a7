/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Collecting: runs readers and walkers in order and freezes what they found.
 *
 *   pid.c       mappings, page states and counters, taken anew while they contradict each other
 *   objects.c   the files behind the mappings: ELF images, page cache, owners
 *   frames.c    frames behind the pages that were asked for
 *   mappers.c   the processes that map these frames
 *   stacks.c    names for the stacks that an allocator recorded
 *   site_lines.c  and their source lines
 *   sources.c   source lines of the addresses that were asked for
 *   process.c   processes by name, and what tells them apart
 *   core.c      a snapshot from a core file
 *   saved.c     a snapshot from a file, completed from the ELF files that are here
 *   runtime.c   which program, allocator and runtime this is
 */
#ifndef MW_COLLECT_COLLECT_H
#define MW_COLLECT_COLLECT_H

#include "../core/core.h"
#include "../proc/proc.h"

struct mw__collector {
	struct mw_collect_opts opts;
	struct mw__proc proc;
	struct mw__core *core;	/* instead of proc; NULL: a process */
	struct mw_snapshot *snap;
	bool moved;	/* mappings changed during the try at hand */
};

/* Images, page cache and claims of an accepted snapshot. What cannot be read becomes a note. */
MW_MUST_CHECK int mw__collect_objects(struct mw__collector *c, struct mw_err *err);
/* Frame numbers of what opts.frames_of and opts.frames_at name; levels of page tables. */
MW_MUST_CHECK int mw__collect_frames(struct mw__collector *c, struct mw_err *err);
/* The levels of page tables, of the machine that is read. */
void mw__collect_levels(struct mw__collector *c);
/* The processes that map the frames in snap->frames: snap->mappers and where. */
MW_MUST_CHECK int mw__collect_mappers(struct mw__collector *c, struct mw_err *err);
/* mem.h's read, ctx the collector: what the core holds, or the file behind a mapping that it left out. */
bool mw__collect_core_read(void *ctx, uint64_t addr, void *buf, size_t size);
/* A core's: the file of the image whose first page the core holds at this mapping; -1 when it is not here. */
int mw__collect_open_core_file(struct mw__collector *c, const struct mw__vma *head);
/* Names for the return addresses in snap->own; what has none stays without. */
MW_MUST_CHECK int mw__collect_stacks(struct mw__collector *c);
/* Source lines of the first max_sites sites in snap->own, by files of a live proc, too; AUTO leaves large ones alone. */
MW_MUST_CHECK int mw__collect_site_lines(struct mw_snapshot *snap, const struct mw__proc *proc, enum mw_when when, size_t max_sites);
/* Source lines of the addresses in opts.frames_at. */
MW_MUST_CHECK int mw__collect_sources(struct mw_snapshot *snap, const struct mw_collect_opts *opts, struct mw_err *err);
/*
 * The file of this image, open, and what it says now; -1 when it is not here, or another one by its build ID or,
 * without one, by inode and size.
 */
int mw__collect_open_image(struct mw_snapshot *snap, const struct mw__image *img, struct mw__image *now);
/* target.runtime and target.allocator from the images. */
MW_MUST_CHECK int mw__collect_runtime(struct mw_snapshot *snap);

#endif
