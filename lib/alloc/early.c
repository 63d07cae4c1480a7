/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * early.c - the pointer to the mcache, for who allocates before there is one.
 *
 * The loader relocates libraries first and the program last, and only then gives the
 * thread variables their first values: until then they are 0. A resolver of an indirect
 * function in the program runs in between, and may call malloc, whose usual path reads
 * the pointer untested. So this library has such a function too: its resolver runs as the
 * last step of its own relocation, when its thread variables have their places, and
 * gives the pointer its value. The loader gives it once more later; the mcache that the
 * thread has got meanwhile is found by the key of its exit (mw__mcache_get()).
 *
 * Not in the archive: a static program's resolvers run before there is a thread pointer.
 */
#include "internal.h"

static void nothing(void)
{
}

static void (*resolve(void))(void)
{
	if (!mw__mcache)
		mw__mcache = NO_MCACHE;
	return nothing;
}

static void early(void) __attribute__((ifunc("resolve")));
static void (*const run_the_resolver)(void) __attribute__((used)) = early;
