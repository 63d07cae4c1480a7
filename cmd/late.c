/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds the functions of the libraries that are loaded when first called; the stubs are late.sh's. */
#include "cmd.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern const char late_names[] __attribute__((weak, visibility("hidden")));
void *late_load(unsigned which);

static const char *next(const char *s)
{
	return s + strlen(s) + 1;
}

/* The loader tells its reason in words, and the errno among them as strerror(3) does. */
static const char *hint_for(const char *why)
{
	static const struct { int code; const char *hint; } hints[] = {
		{ ENOENT, "\nhint: install the package that has it" },
		{ EMFILE, "\nhint: allow more open files: ulimit -n" },
		{ ENOMEM, "\nhint: allow more address space: ulimit -v" },
	};

	for (size_t i = 0; i < COUNT(hints); i++)
		if (strstr(why, strerror(hints[i].code)))
			return hints[i].hint;
	return "";
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
		const char *why = dlerror();

		fprintf(stderr, "memwhy: %s: loading it: %s%s\n", library, why, hint_for(why));
		_exit(127);
	}
	return fn;
}
