/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds the functions of the libraries that are loaded when first called; the stubs are late.sh's. */
#include "cmd.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern const char late_names[] __attribute__((weak, visibility("hidden")));
void *late_load(unsigned which);

static const char *next(const char *s)
{
	return s + strlen(s) + 1;
}

/* Called once a stub; ends the program as the loader would have done at its start. */
void *late_load(unsigned which)
{
	const char *library = late_names;

	while (which--)
		library = next(next(next(library)));
	const char *name = next(library), *version = next(name);
	void *lib = dlopen(library, RTLD_LAZY), *fn = NULL;

	if (lib)
		fn = strcmp(version, "-") ? dlvsym(lib, name, version) : dlsym(lib, name);
	if (!fn) {
		fprintf(stderr, "memwhy: %s: loading it: %s\nhint: install the package that has it\n", library,
			dlerror());
		_exit(127);
	}
	return fn;
}
