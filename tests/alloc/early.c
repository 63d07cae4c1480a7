/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * early - allocations of an indirect function's resolver: libraries are relocated, thread variables and the
 * C library's environment are not there yet. What it got is in the books, in one mcache.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/alloc/abi.h"
#include "../../lib/alloc/memwhy-malloc.h"
#include "tap.h"

static char *kept[3];
static unsigned n_resolved;

static int answer(void)
{
	return 42;
}

static int (*resolve(void))(void)
{
	static const size_t sizes[] = { 100, 40000, 3 };

	n_resolved++;
	for (unsigned i = 0; i < 3; i++)
		if ((kept[i] = malloc(sizes[i])))
			memset(kept[i], 7, sizes[i]);
	for (unsigned i = 0; i < 1000; i++)
		free(malloc(i * 40));
	return answer;
}

int asked(void) __attribute__((ifunc("resolve")));

static void start_again(char **argv)
{
	static char item[6000] = "LONG=";

	memset(item + strlen(item), 'x', sizeof(item) - 6);
	setenv("BIG", item, 1);
	unsetenv("MEMWHY_MALLOC");
	setenv("MEMWHY_MALLOC", "sample=12345", 1); /* the last one */
	setenv("LD_BIND_NOW", "1", 1);
	setenv("EARLY", "again", 1);
	execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
	const struct mw_region *region = dlsym(RTLD_DEFAULT, "mw_alloc_region");

	(void)argc;
	if (!getenv("EARLY"))
		start_again(argv);
	ok(asked() == 42 && n_resolved == 1, "a resolver that allocates has run");
	ok(kept[0] && kept[1] && kept[2] && kept[0][99] == 7 && kept[1][39999] == 7, "its blocks are there");
	ok(region && region->n_mcaches == 1, "one mcache, before and after");
	ok(region && region->sample_interval == 12345, "options are read out of a long environment");
	free(kept[0]);
	ok(malloc(100) == kept[0], "what it freed is what comes next");
	free(kept[1]);
	free(kept[2]);
	ok(mw_alloc_check() == 0, "the heap is sound");
	return tap_done();
}
