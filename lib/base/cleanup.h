/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Scope guards: a variable marked MW_CLEANUP(fn) hands its address to fn when it
 * leaves scope. Ownership leaves a guarded variable by setting it to its empty
 * value (NULL, -1) after the hand-over.
 */
#ifndef MW_BASE_CLEANUP_H
#define MW_BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MW_CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void mw__closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void mw__freep(void *p)
{
	free(*(void **)p);
}

static inline void mw__closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static inline void mw__fclosep(FILE **file)
{
	if (*file)
		fclose(*file);
}

#endif
