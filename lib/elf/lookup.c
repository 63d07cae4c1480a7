/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lookup.h"

#include "../base/cleanup.h"

#include <gelf.h>
#include <libelf.h>
#include <string.h>

/* Demangling grows without bound for hostile names. */
#define MAX_MANGLED 2000

/* libiberty/demangle.h is not installed everywhere beside the library. */
extern char *cplus_demangle(const char *mangled, int options);
#define DMGL_ANSI (1 << 1)
#define DMGL_AUTO (1 << 8)

static void end_elf(Elf **elf)
{
	if (*elf)
		elf_end(*elf);
}

struct table {
	Elf *elf;
	Elf_Data *data;
	size_t n, strings;
};

static bool open_table(Elf *elf, Elf_Scn *scn, struct table *t)
{
	GElf_Shdr sh;

	if (!gelf_getshdr(scn, &sh) || !sh.sh_entsize)
		return false;
	t->elf = elf;
	t->data = elf_getdata(scn, NULL);
	t->strings = sh.sh_link;
	if (!t->data || !t->data->d_buf)
		return false;
	t->n = t->data->d_size / sh.sh_entsize;
	return true;
}

/* .symtab if there is one and it may be, else .dynsym. */
static bool find_table(Elf *elf, bool exported, struct table *ret)
{
	Elf_Scn *scn = NULL;
	struct table t;
	bool found = false;

	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr sh;

		if (!gelf_getshdr(scn, &sh) || ((sh.sh_type != SHT_SYMTAB || exported) && sh.sh_type != SHT_DYNSYM))
			continue;
		if ((sh.sh_type == SHT_SYMTAB || !found) && open_table(elf, scn, &t)) {
			*ret = t;
			found = true;
		}
	}
	return found;
}

static uint64_t look_up(int fd, bool exported, const char *name)
{
	struct table t;

	elf_version(EV_CURRENT);
	MW_CLEANUP(end_elf) Elf *elf = elf_begin(fd, ELF_C_READ, NULL);

	if (!elf || elf_kind(elf) != ELF_K_ELF || !find_table(elf, exported, &t))
		return MW_UNKNOWN;
	for (size_t i = 0; i < t.n && i < INT32_MAX; i++) {
		GElf_Sym sym;
		const char *s;

		if (!gelf_getsym(t.data, (int)i, &sym) || sym.st_shndx == SHN_UNDEF || !sym.st_value)
			continue;
		s = elf_strptr(t.elf, t.strings, sym.st_name);
		if (s && !strcmp(s, name))
			return sym.st_value;
	}
	return MW_UNKNOWN;
}

uint64_t mw__lookup_name(int fd, const char *name)
{
	return look_up(fd, false, name);
}

uint64_t mw__lookup_exported(int fd, const char *name)
{
	return look_up(fd, true, name);
}

const char *mw__lookup_plain(const char *raw, struct mw__arena *arena)
{
	MW_CLEANUP(mw__freep) char *plain = raw[0] == '_' && raw[1] != '_' && strlen(raw) < MAX_MANGLED ?
						    cplus_demangle(raw, DMGL_ANSI | DMGL_AUTO) : NULL;

	return mw__arena_str(arena, plain ? plain : raw);
}
