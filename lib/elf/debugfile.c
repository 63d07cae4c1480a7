/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding separate debug files. Places and their order are those of gdb ("Debugging Information in Separate
 * Files"): the build ID below /usr/lib/debug/.build-id, then the name of .gnu_debuglink beside the file, in
 * .debug beside it, and below /usr/lib/debug by the file's whole path. A name proves nothing: build IDs must agree, or where
 * one is missing the CRC that .gnu_debuglink carries.
 */
#include "debugfile.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "../base/size.h"
#include "notes.h"

#define DEBUG_ROOT "/usr/lib/debug"
#define ID_TEXT 129

struct link {
	char name[NAME_MAX + 1];
	uint32_t crc;
};

static bool read_link(struct mw_elf *elf, struct link *ret)
{
	size_t i = mw__elf_section_by_name(elf, ".gnu_debuglink");
	uint8_t crc[4];

	if (i >= elf->n_sh)
		return false;
	uint64_t size = mw__elf_section_bytes(elf, i), off = elf->sh[i].off;
	size_t n = mw__min(size, sizeof(ret->name));

	memset(ret->name, 0, sizeof(ret->name));
	if (!mw__elf_read(elf, off, ret->name, n) || strnlen(ret->name, n) == n)
		return false;
	uint64_t at = mw__align_up(strlen(ret->name) + 1, 4);

	if (!ret->name[0] || strchr(ret->name, '/') || !mw__fits(at, 4, size) || !mw__elf_read(elf, off + at, crc, 4))
		return false;
	ret->crc = (uint32_t)mw__raw_num(crc, 4, elf->lay.big);
	return true;
}

static bool has_crc(const struct mw_elf *elf, uint32_t want)
{
	uint8_t buf[65536];
	uLong crc = crc32(0, NULL, 0);

	for (uint64_t at = 0; at < elf->size;) {
		size_t n = mw__min(elf->size - at, sizeof(buf));

		if (!mw__elf_read(elf, at, buf, n))
			return false;
		crc = crc32(crc, buf, (uInt)n);
		at += n;
	}
	return crc == want;
}

static bool same_file(const struct mw_elf *a, const struct mw_elf *b)
{
	struct stat x, y;

	return fstat(a->fd, &x) == 0 && fstat(b->fd, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The file at path when it is what belongs to elf. link: NULL when only the build ID counts. */
static struct mw_elf *try_path(struct mw_elf *elf, const char *path, const char *id, const struct link *link)
{
	struct mw_elf *debug;
	char other[ID_TEXT];

	if (access(path, R_OK) < 0 || mw_elf_open(path, &debug, NULL) < 0)
		return NULL;
	bool has_id = debug->kind == MW__ELF_FILE && mw__elf_build_id(debug, other, sizeof(other));
	bool ok = debug->kind == MW__ELF_FILE && !same_file(elf, debug) && debug->eh.machine == elf->eh.machine;

	if (ok)
		ok = id && has_id ? !strcmp(id, other) : link && has_crc(debug, link->crc);
	if (ok)
		return debug;
	mw_elf_close(debug);
	return NULL;
}

static struct mw_elf *by_build_id(struct mw_elf *elf, const char *id)
{
	char path[sizeof(DEBUG_ROOT) + 32 + ID_TEXT];

	if (!id || strlen(id) < 4)
		return NULL;
	snprintf(path, sizeof(path), DEBUG_ROOT "/.build-id/%.2s/%s.debug", id, id + 2);
	return try_path(elf, path, id, NULL);
}

static struct mw_elf *by_link(struct mw_elf *elf, const char *id)
{
	static const char *const places[][2] = { { "", "" }, { "", "/.debug" }, { DEBUG_ROOT, "" } };
	struct link link;
	char dir[PATH_MAX], path[PATH_MAX + NAME_MAX + 32];
	struct mw_elf *debug = NULL;

	if (!read_link(elf, &link) || !realpath(elf->path, dir))
		return NULL;
	*strrchr(dir, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !debug; i++) {
		snprintf(path, sizeof(path), "%s%s%s/%s", places[i][0], dir, places[i][1], link.name);
		debug = try_path(elf, path, id, &link);
	}
	return debug;
}

struct mw_elf *mw__elf_debug(struct mw_elf *elf)
{
	char id[ID_TEXT];

	if (elf->debug_tried || elf->member)
		return elf->debug;
	elf->debug_tried = true;
	const char *known = mw__elf_build_id(elf, id, sizeof(id)) ? id : NULL;

	elf->debug = by_build_id(elf, known);
	if (!elf->debug && !elf->from_memory)
		elf->debug = by_link(elf, known);
	return elf->debug;
}
