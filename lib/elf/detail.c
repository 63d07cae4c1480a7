/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The symbols of an image come from the first of these that has any: its .symtab, the .symtab of its
 * separate debug file, its .gnu_debugdata together with its .dynsym, Go's .gopclntab, its .dynsym. Stubs of
 * the procedure linkage table, which none of them has, are named by relocations.
 */
#include "detail.h"

#include "../base/cleanup.h"
#include "../base/size.h"
#include "debugfile.h"

#include <fcntl.h>
#include <gelf.h>
#include <string.h>
#include <sys/stat.h>

static void end_elf(Elf **elf)
{
	if (*elf)
		elf_end(*elf);
}

static int keep_symbols(struct mw__symbols *found, struct mw__arena *arena, struct mw__detail *ret)
{
	size_t n = found->list.n;
	struct mw__symbol *list = mw__arena_array(arena, n + 1, sizeof(*list));

	if (!list || mw__symbols_sort(found) < 0)
		return -MW_E_NOMEM;
	if (n)
		memcpy(list, found->list.v, n * sizeof(*list));
	ret->symbols = list;
	ret->n_symbols = (uint32_t)n;
	ret->symbols_from = found->from;
	return 0;
}

/* The file once more, as the static views read it: a piece at a time. NULL when there is none, or no memory. */
static struct mw_elf *open_file(int fd, const char *path)
{
	struct mw_elf *file = NULL;
	struct stat st;
	int own = fstat(fd, &st) == 0 && st.st_size > 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (own < 0 || mw__elf_open_part(own, 0, (uint64_t)st.st_size, path ? path : "", &file, NULL) < 0)
		return NULL;
	if (file->kind == MW__ELF_FILE)
		return file;
	mw_elf_close(file);
	return NULL;
}

static int from_debug_file(struct mw_elf *file, const struct mw__image *img, const struct mw__detail_want *want,
			   struct mw__arena *arena, struct mw__symbols *ret, bool *has_all)
{
	struct mw_elf *debug = mw__elf_debug_symbols(file);
	int rc = debug ? mw__detail_symtab(debug, img, SHT_SYMTAB, want, arena, ret) : 0;

	if (rc <= 0)
		return rc;
	bool is_part = debug == file->embedded;

	*has_all = !is_part;
	ret->from = is_part ? ".gnu_debugdata" : mw__arena_str(arena, debug->path);
	return ret->from ? 1 : -MW_E_NOMEM;
}

static int read_symbols(Elf *elf, int fd, const struct mw__image *img, const struct mw__detail_want *want,
			struct mw__arena *arena, struct mw__detail *ret)
{
	MW_CLEANUP(mw__elf_closep) struct mw_elf *file = open_file(fd, want->path);
	struct mw__symbols found = {};
	bool has_all = true;
	int rc = file ? mw__detail_symtab(file, img, SHT_SYMTAB, want, arena, &found) : 0;

	if (rc == 0 && file)
		rc = from_debug_file(file, img, want, arena, &found, &has_all);
	if (rc > 0 && !has_all) {
		rc = mw__detail_symtab(file, img, SHT_DYNSYM, want, arena, &found);
		found.from = ".gnu_debugdata, .dynsym";
		rc = rc < 0 ? rc : 1;
	}
	if (rc == 0)
		rc = mw__detail_pclntab(elf, img, arena, &found);
	if (rc == 0 && file)
		rc = mw__detail_symtab(file, img, SHT_DYNSYM, want, arena, &found);
	if (rc > 0)
		rc = file && mw__detail_plt(file, want, arena, &found) < 0 ? -MW_E_NOMEM : keep_symbols(&found, arena, ret);
	MW_VEC_FREE(&found.list);
	return rc;
}

int mw__detail_read(int fd, const struct mw__image *img, const struct mw__detail_want *want, struct mw__arena *arena,
		    const struct mw__detail **ret)
{
	struct mw__detail *detail = mw__arena_alloc(arena, sizeof(*detail));
	struct stat st;

	if (!detail)
		return -MW_E_NOMEM;
	elf_version(EV_CURRENT);
	MW_CLEANUP(end_elf) Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	int rc = elf && want->symbols ? read_symbols(elf, fd, img, want, arena, detail) : 0;

	detail->symbols_read = elf && want->symbols && !want->n_addrs;
	detail->binds_now = want->binds_now;
	if (rc == 0 && elf && want->relocs)
		rc = mw__detail_touched(elf, fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0, img, arena, detail);
	if (rc == 0)
		*ret = detail;
	return rc;
}
