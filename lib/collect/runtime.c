/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which runtime and which allocator a process uses, by the names of its mapped images; Go tells its
 * version itself. A name that is not in the tables stays unknown. Some runtimes reserve their heap or a cage
 * around it as one large piece of address space: that such a piece is theirs is likely, not more.
 */
#include "collect.h"

#include "../base/count.h"
#include "../base/str.h"
#include "../heap/heap.h"

#include <ctype.h>
#include <string.h>

#define LARGE (UINT64_C(64) << 20)

struct known {
	const char *prefix;	/* of the base name */
	const char *name;
	bool is_program;	/* must be the program itself */
	bool reserves;		/* large pieces of address space, for its heap */
};

static const struct known runtimes[] = {
	{ "libjvm.so", "Java (HotSpot)", false, true }, { "libcoreclr.so", ".NET", false, true },
	{ "libpython3", "CPython", false, false },	  { "python3", "CPython", true, false },
	{ "node", "Node.js (V8)", true, true },	  { "nodejs", "Node.js (V8)", true, true },
	{ "chromium", "Chromium (V8)", true, true },	  { "chrome", "Chromium (V8)", true, true },
	{ "libruby", "Ruby", false, false },		  { "ruby", "Ruby", true, false },
	{ "libperl.so", "Perl", false, false },	  { "perl", "Perl", true, false },
	{ "libphp", "PHP", false, false },		  { "php", "PHP", true, false },
	{ "libmonosgen", "Mono", false, false },	  { "beam.smp", "Erlang (BEAM)", true, true },
	{ "libluajit", "LuaJIT", false, false },	  { "lua", "Lua", true, false },
};

/* A program's own malloc comes first, then a preloaded one, then the C library's. */
static const struct known allocators[] = {
	{ "chromium", "PartitionAlloc", true, false },	{ "chrome", "PartitionAlloc", true, false },
	{ "libmemwhy-malloc", "memwhy-malloc", false, false }, { "libjemalloc", "jemalloc", false, false },
	{ "libtcmalloc", "tcmalloc", false, false },		{ "libmimalloc", "mimalloc", false, false },
	{ "libsnmalloc", "snmalloc", false, false },		{ "libasan", "AddressSanitizer", false, false },
	{ "libtsan", "ThreadSanitizer", false, false },
	{ "libc.so.6", "glibc malloc", false, false },		{ "libc-2.", "glibc malloc", false, false },
	{ "ld-musl", "musl malloc", false, false },		{ "libc.musl", "musl malloc", false, false },
};

/* A program's name may go on with its version ("python3.11", "php-fpm8.2"), but node_exporter is no node. */
static bool is_named(const struct mw__image *img, const struct known *k)
{
	const char *name = mw__basename(img->path);
	size_t len = strlen(k->prefix);

	return !strncmp(name, k->prefix, len) && (!k->is_program || (!isalpha((unsigned char)name[len]) && name[len] != '_'));
}

static const struct known *find(const struct mw_snapshot *snap, const struct known *table, size_t n)
{
	for (size_t k = 0; k < n; k++)
		for (size_t i = 0; i < snap->images.n; i++) {
			const struct mw__image *img = &snap->images.v[i];

			if ((!table[k].is_program || img->role == MW__PROGRAM) && is_named(img, &table[k]))
				return &table[k];
		}
	return NULL;
}

static int claim_reserves(struct mw_snapshot *snap)
{
	for (size_t i = 0; i < snap->vmas.n; i++) {
		const struct mw__vma *v = &snap->vmas.v[i];

		if (v->prot || v->kind != MW__ANON || v->end - v->start < LARGE)
			continue;
		int rc = mw__claim(snap, v->start, v->end, MW__OWNER_RUNTIME_RESERVE, MW__LIKELY, MW__CLAIM_GUESS,
				   "large, inaccessible, and this runtime reserves so", snap->target.runtime);

		if (rc < 0)
			return rc;
	}
	return 0;
}

#define FIND(snap, table) find(snap, table, MW__COUNT(table))

int mw__collect_runtime(struct mw_snapshot *snap)
{
	for (size_t i = 0; i < snap->images.n; i++)
		if (snap->images.v[i].go_version && snap->images.v[i].role == MW__PROGRAM) {
			const char *v = snap->images.v[i].go_version;

			snap->target.runtime = mw__arena_printf(&snap->arena, "Go %s", strncmp(v, "go", 2) ? v : v + 2);
			if (!snap->target.runtime)
				return -MW_E_NOMEM;
		}
	const struct known *runtime = FIND(snap, runtimes), *allocator = FIND(snap, allocators);

	if (!snap->target.runtime && runtime)
		snap->target.runtime = runtime->name;
	if (snap->own)	/* linked into the program, it has no file of its own */
		snap->target.allocator = "memwhy-malloc";
	else if (allocator && (!snap->own_unused || allocator->is_program))
		snap->target.allocator = allocator->name;
	return runtime && runtime->reserves && snap->target.runtime == runtime->name ? claim_reserves(snap) : 0;
}
