/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Symbol names as they are shown: demangled on request, with their version. */
#ifndef MW_REPORT_ELF_NAMES_H
#define MW_REPORT_ELF_NAMES_H

#include "../elf/symbols.h"
#include "../elf/versions.h"
#include "elf_view.h"

struct mw__namer {
	const struct mw__elf_view *v;
	struct mw__elf_versions *vers;
	bool demangle;
	char *buf;		/* grows in the document's arena */
	size_t cap;
	const char *plain;
	size_t len;		/* of the name that was returned last */
	uint64_t budget;	/* bytes of names that may still be shown; see elf_names.c */
};

/* For n_rows rows with names from str. */
void mw__namer_init(struct mw__namer *n, const struct mw__elf_view *v, struct mw__strtab str, size_t n_rows);
/*
 * "name", "name@VERSION" (needed, or hidden) or "name@@VERSION" (default); until the next
 * call. *version is NULL without one.
 */
const char *mw__namer_symbol(struct mw__namer *n, const struct mw__symtab *t, size_t i, const struct mw__sym *s,
			     const char **version, bool *hidden);
/* The name of the last call without demangling and version. */
static inline const char *mw__namer_plain(const struct mw__namer *n) { return n->plain; }
/* The name as people write it when that was asked for, else as it is. Lives as long as the document. */
const char *mw__view_plain(const struct mw__elf_view *v, const char *name);
/* A small number as text, faster than printf. buf: 24 bytes. */
void mw__small_number(char *buf, uint64_t v);

#endif
