/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runtimes and allocators by the names of files: who only has a name that begins alike is not taken for one. */
#include "collect/collect.h"

#include "build.h"
#include "tap.h"

#define GIB_PAGES (UINT64_C(1) << 18)

static const struct row {
	const char *program, *library, *go;
	const char *runtime, *allocator;
	unsigned claims;	/* of one GiB that nobody may access */
} rows[] = {
	{ "/usr/bin/node", "/lib/libc.so.6", NULL, "Node.js (V8)", "glibc malloc", 1 },
	{ "/usr/bin/nodejs", "/lib/libc.so.6", NULL, "Node.js (V8)", "glibc malloc", 1 },
	{ "/usr/bin/node_exporter", "/lib/libc.so.6", "go1.19.8", "Go 1.19.8", "glibc malloc", 0 },
	{ "/usr/bin/node", NULL, "go1.19.8", "Go 1.19.8", NULL, 0 },
	{ "/usr/bin/nodeos", "/lib/libc.so.6", NULL, NULL, "glibc malloc", 0 },
	{ "/usr/bin/python3.11", "/lib/libc.so.6", NULL, "CPython", "glibc malloc", 0 },
	{ "/usr/sbin/php-fpm8.2", "/lib/libjemalloc.so.2", NULL, "PHP", "jemalloc", 0 },
	{ "/usr/bin/luatex", "/lib/libc.so.6", NULL, NULL, "glibc malloc", 0 },
	{ "/usr/bin/lua5.4", "/lib/ld-musl-x86_64.so.1", NULL, "Lua", "musl malloc", 0 },
	{ "/usr/lib/chromium/chromium", "/lib/libc.so.6", NULL, "Chromium (V8)", "PartitionAlloc", 1 },
	{ "/usr/lib/chromium/chrome_crashpad_handler", "/lib/libc.so.6", NULL, NULL, "glibc malloc", 0 },
	{ "/tmp/a.out", "/usr/lib/libtsan.so.2", NULL, NULL, "ThreadSanitizer", 0 },
};

static void add_image(struct mw_snapshot *snap, const char *path, enum mw__role role, const char *go)
{
	*(struct mw__image *)MW_VEC_PUSH(&snap->images) = (struct mw__image){ .path = path, .role = role, .file = MW__NONE, .go_version = go };
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

int main(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct mw_snapshot *snap = b_create();

		b_vma(snap, 0, GIB_PAGES, 0, MW__ANON);
		add_image(snap, r->program, MW__PROGRAM, r->go);
		if (r->library)
			add_image(snap, r->library, MW__LIBRARY, NULL);
		int rc = mw__collect_runtime(snap);

		ok(rc == 0 && is_same(snap->target.runtime, r->runtime) &&
		   is_same(snap->target.allocator, r->allocator) && snap->claims.n == r->claims,
		   "%s: %s, %s, %zu claims", r->program, snap->target.runtime ? snap->target.runtime : "no runtime",
		   snap->target.allocator ? snap->target.allocator : "no allocator", snap->claims.n);
		mw_snapshot_destroy(snap);
	}
	return done_testing();
}
