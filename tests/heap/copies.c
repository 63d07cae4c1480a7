/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * copies - allocates 1 MB from the malloc that it has, 8 MB from that of each library named, and waits for the
 * end of its input. Linked with wrong.c it has a malloc of its own.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int take(void *(*get)(size_t), int n)
{
	for (int i = 0; i < n; i++) {
		void *p = get(1000);

		if (!p)
			return 0;
		memset(p, 1, 1000);
	}
	return 1;
}

int main(int argc, char **argv)
{
	char byte;

	if (!take(malloc, 1000))
		return 1;
	for (int i = 1; i < argc; i++) {
		void *lib = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL), *sym = lib ? dlsym(lib, "malloc") : NULL;
		void *(*get)(size_t);

		memcpy(&get, &sym, sizeof(get));
		if (!sym || !take(get, 8000))
			return 1;
	}
	return write(1, "\n", 1) == 1 && read(0, &byte, 1) < 0;
}
