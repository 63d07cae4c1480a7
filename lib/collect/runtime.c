/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which runtime and which allocator a process uses, by the names of its mapped images; Go tells its
 * version itself. A name that is not in the tables stays unknown.
 */
#include "collect.h"

#include "../base/str.h"

#include <string.h>

struct known {
	const char *prefix;	/* of the base name */
	const char *name;
	bool is_program;	/* must be the program itself */
};

static const struct known runtimes[] = {
	{ "libjvm.so", "Java (HotSpot)", false }, { "libcoreclr.so", ".NET", false },
	{ "libpython3", "CPython", false },	  { "python3", "CPython", true },
	{ "node", "Node.js (V8)", true },	  { "chrom", "Chromium (V8)", true },
	{ "libruby", "Ruby", false },		  { "ruby", "Ruby", true },
	{ "libperl.so", "Perl", false },	  { "perl", "Perl", true },
	{ "libphp", "PHP", false },		  { "php", "PHP", true },
	{ "libmonosgen", "Mono", false },	  { "beam.smp", "Erlang (BEAM)", true },
	{ "libluajit", "LuaJIT", false },	  { "lua", "Lua", true },
};

/* A preloaded allocator serves malloc before the C library does. */
static const struct known allocators[] = {
	{ "libmemwhy-malloc", "memwhy-malloc", false }, { "libjemalloc", "jemalloc", false },
	{ "libtcmalloc", "tcmalloc", false },		{ "libmimalloc", "mimalloc", false },
	{ "libsnmalloc", "snmalloc", false },		{ "libasan", "AddressSanitizer", false },
	{ "libc.so.6", "glibc malloc", false },		{ "libc-2.", "glibc malloc", false },
	{ "ld-musl", "musl malloc", false },		{ "libc.musl", "musl malloc", false },
};

static const char *find(const struct mw_snapshot *snap, const struct known *table, size_t n)
{
	for (size_t k = 0; k < n; k++)
		for (size_t i = 0; i < snap->images.n; i++) {
			const struct mw__image *img = &snap->images.v[i];

			if ((!table[k].is_program || img->role == MW__PROGRAM) &&
			    !strncmp(mw__basename(img->path), table[k].prefix, strlen(table[k].prefix)))
				return table[k].name;
		}
	return NULL;
}

#define FIND(snap, table) find(snap, table, sizeof(table) / sizeof((table)[0]))

int mw__collect_runtime(struct mw_snapshot *snap)
{
	for (size_t i = 0; i < snap->images.n; i++)
		if (snap->images.v[i].go_version && snap->images.v[i].role == MW__PROGRAM) {
			const char *v = snap->images.v[i].go_version;

			snap->target.runtime = mw__arena_printf(&snap->arena, "Go %s", strncmp(v, "go", 2) ? v : v + 2);
			if (!snap->target.runtime)
				return -MW_E_NOMEM;
		}
	if (!snap->target.runtime)
		snap->target.runtime = FIND(snap, runtimes);
	snap->target.allocator = FIND(snap, allocators);
	return 0;
}
