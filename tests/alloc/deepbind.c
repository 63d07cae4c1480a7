/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * deepbind - a library opened with RTLD_DEEPBIND shares the program's heap, though it looks for malloc in the
 * C library first. Compiled twice: with PLUGIN it is that library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef PLUGIN

void *made_before;

__attribute__((constructor)) static void begin(void)
{
	made_before = malloc(100);
}

void *give(size_t n)
{
	return n % 3 == 0 ? malloc(n) : n % 3 == 1 ? calloc(1, n) : memalign(64, n);
}

void *change(void *p, size_t n)
{
	return realloc(p, n);
}

void take(void *p)
{
	free(p);
}

size_t usable(void *p)
{
	return malloc_usable_size(p);
}

#else

#include "../../lib/alloc/memwhy-malloc.h"
#include "tap.h"

/* Of what is mapped at @addr, as in /proc/self/maps. */
static void permissions(uint64_t addr, char ret[5])
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[4096], perms[5];
	unsigned long from, to;

	strcpy(ret, "?");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) == 3 && addr >= from && addr < to)
			strcpy(ret, perms);
	if (f)
		fclose(f);
}

static uint64_t symbol_table_of(void *library)
{
	struct link_map *map = NULL;

	if (dlinfo(library, RTLD_DI_LINKMAP, &map) < 0)
		return 0;
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_SYMTAB)
			return d->d_un.d_ptr;
	return 0;
}

static void *find(void *library, const char *name)
{
	void *p = dlsym(library, name);

	if (!p)
		exit(ok(0, "%s: %s", name, dlerror()) + 1);
	return p;
}

int main(void)
{
	void *plugin = dlopen("deepbind-plugin.so", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND), *libc;
	char perms[5];
	bool same = true;

	if (!ok(plugin != NULL, "found by the search path of the program that asks: %s", plugin ? "" : dlerror()))
		return tap_done();

	void *(*give)(size_t) = find(plugin, "give"), *(*change)(void *, size_t) = find(plugin, "change");
	void (*take)(void *) = find(plugin, "take");
	size_t (*usable)(void *) = find(plugin, "usable");

	free(*(void **)find(plugin, "made_before"));
	ok(1, "what its constructor made is freed here");
	for (size_t n = 1; n < 5000; n += 7) {
		char *theirs = give(n), *ours = malloc(n);

		same &= usable(ours) == malloc_usable_size(ours) && usable(theirs) == malloc_usable_size(theirs);
		memset(theirs, 1, n);
		memset(ours, 2, n);
		ours = change(ours, n * 2);
		theirs = realloc(theirs, n * 3);
		same &= ours[n - 1] == 2 && theirs[n - 1] == 1;
		take(ours);
		free(theirs);
	}
	ok(same, "blocks go both ways, grow on either side, and have one size");
	ok(mw_alloc_check() == 0, "the heap is sound");

	libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	permissions(libc ? symbol_table_of(libc) : 0, perms);
	ok(strcmp(perms, "r--p") == 0 || strcmp(perms, "r-xp") == 0, "the C library's symbols cannot be written: %s", perms);
	ok(dlopen("no-such-library.so", RTLD_NOW) == NULL && strstr(dlerror(), "no-such-library.so"), "a failure is told by dlerror()");
	dlclose(plugin);
	ok(mw_alloc_check() == 0, "and the library goes");
	return tap_done();
}

#endif
