/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding separate debug files. Places and their order are those of gdb ("Debugging Information in Separate
 * Files"): the build ID below /usr/lib/debug/.build-id, then the name of .gnu_debuglink beside the file, in
 * .debug beside it, and below /usr/lib/debug by the file's whole path. A name proves nothing: build IDs must
 * agree, or where one is missing the CRC that .gnu_debuglink carries. Servers are asked last and only on request, through
 * libdebuginfod, which is loaded then, so that nobody else pays for its libraries.
 *
 * Fedora's packages carry the symbols of their functions with them, compressed ("MiniDebugInfo" in gdb's manual).
 */
#include "debugfile.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "../base/cleanup.h"
#include "../base/count.h"
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
	uint8_t buf[16384];
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

/* The file when it is what belongs to elf. link: NULL when only the build ID counts. */
static struct mw_elf *believe(struct mw_elf *elf, struct mw_elf *debug, const char *id, const struct link *link)
{
	char other[ID_TEXT];
	bool has_id = debug->kind == MW__ELF_FILE && mw__elf_build_id(debug, other, sizeof(other));
	bool ok = debug->kind == MW__ELF_FILE && !same_file(elf, debug) && debug->eh.machine == elf->eh.machine;

	if (ok)
		ok = id && has_id ? !strcmp(id, other) : link && has_crc(debug, link->crc);
	if (ok)
		return debug;
	mw_elf_close(debug);
	return NULL;
}

static struct mw_elf *try_path(struct mw_elf *elf, const char *path, const char *id, const struct link *link)
{
	struct mw_elf *debug;

	if (mw__elf_open_named(path, &debug, NULL) < 0)
		return NULL;
	return believe(elf, debug, id, link);
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

	if (!read_link(elf, &link) || !realpath(elf->own_path ? elf->own_path : elf->path, dir))
		return NULL;
	*strrchr(dir, '/') = '\0';
	for (size_t i = 0; i < MW__COUNT(places) && !debug; i++) {
		snprintf(path, sizeof(path), "%s%s%s/%s", places[i][0], dir, places[i][1], link.name);
		debug = try_path(elf, path, id, &link);
	}
	return debug;
}

/* What we use of <elfutils/debuginfod.h>; a build ID of length 0 is hexadecimal text. */
struct servers {
	void *(*begin)(void);
	int (*find)(void *client, const unsigned char *id, int len, char **path);
	void (*end)(void *client);
};

static bool load_servers(struct servers *s)
{
	void *lib = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);

	if (!lib)
		return false;
	*(void **)&s->begin = dlsym(lib, "debuginfod_begin");
	*(void **)&s->find = dlsym(lib, "debuginfod_find_debuginfo");
	*(void **)&s->end = dlsym(lib, "debuginfod_end");
	return s->begin && s->find && s->end;
}

static struct mw_elf *by_servers(struct mw_elf *elf, const char *id)
{
	struct mw_elf *debug = NULL;
	struct servers s;
	struct stat st;
	char *path = NULL;

	if (!id)
		return NULL;
	if (!load_servers(&s)) {
		mw__elf_diag(elf, MW__ELF_NOTE, "debuginfod", 0, MW_UNKNOWN, MW_UNKNOWN, "servers are not asked: libdebuginfod.so.1 is not there");
		return NULL;
	}
	void *client = s.begin();
	int fd = client ? s.find(client, (const unsigned char *)id, 0, &path) : -ENOMEM;

	if (fd < 0)
		mw__elf_diag(elf, MW__ELF_NOTE, "debuginfod", 0, MW_UNKNOWN, MW_UNKNOWN, "no server has the debug file: %s", strerror(-fd));
	else if (fstat(fd, &st) < 0 || mw__elf_open_part(fd, 0, (uint64_t)st.st_size, path, &debug, NULL) < 0)
		debug = NULL;
	if (client)
		s.end(client);
	free(path);
	return debug ? believe(elf, debug, id, NULL) : NULL;
}

/* ------------------------------------------------------------ MiniDebugInfo */

#define MINI_SECTION ".gnu_debugdata"
#define MINI_DICTIONARY (UINT64_C(72) << 20)	/* that of xz -9 is 64 MiB, of xz 8 */
#define MINI_LEAST (UINT64_C(4) << 20)		/* may always come out */
#define MINI_RATIO 64				/* times the section's size may come out, too */

/* Everything in memory that liblzma holds. */
struct unxz {
	lzma_stream z;
	uint8_t in[16384], out[65536];
};

static void end_unxz(struct unxz **x)
{
	if (*x)
		lzma_end(&(*x)->z);
	free(*x);
}

/* size bytes at off through xz to fd. What came out, or 0 when it is damaged or more than limit. */
static uint64_t unxz(const struct mw_elf *elf, uint64_t off, uint64_t size, uint64_t limit, int fd)
{
	MW_CLEANUP(end_unxz) struct unxz *x = calloc(1, sizeof(*x));
	lzma_ret rc = x ? lzma_stream_decoder(&x->z, MINI_DICTIONARY, 0) : LZMA_MEM_ERROR;

	while (rc == LZMA_OK) {
		if (!x->z.avail_in && size) {
			x->z.next_in = x->in;
			x->z.avail_in = mw__min(size, sizeof(x->in));
			if (!mw__elf_read(elf, off, x->in, x->z.avail_in))
				return 0;
			off += x->z.avail_in;
			size -= x->z.avail_in;
		}
		x->z.next_out = x->out;
		x->z.avail_out = sizeof(x->out);
		rc = lzma_code(&x->z, size ? LZMA_RUN : LZMA_FINISH);
		size_t n = sizeof(x->out) - x->z.avail_out;

		if (x->z.total_out > limit || write(fd, x->out, n) != (ssize_t)n)
			return 0;
	}
	return rc == LZMA_STREAM_END ? x->z.total_out : 0;
}

/* An ELF file that has nothing but the symbols of functions that .dynsym does not have. */
static struct mw_elf *embedded(struct mw_elf *elf)
{
	size_t i = mw__elf_section_by_name(elf, MINI_SECTION);
	const char *path = mw__arena_printf(&elf->arena, "%s(" MINI_SECTION ")", elf->path);

	if (i >= elf->n_sh || !path)
		return NULL;
	uint64_t size = mw__elf_section_bytes(elf, i), limit = mw__max(MINI_LEAST, size * MINI_RATIO);
	int fd = size ? memfd_create("memwhy-symbols", MFD_CLOEXEC) : -1;
	uint64_t plain = fd >= 0 ? unxz(elf, elf->sh[i].off, size, limit, fd) : 0;
	struct mw_elf *ret = NULL;

	if (!plain && fd >= 0)
		close(fd);
	if (!plain || mw__elf_open_part(fd, 0, plain, path, &ret, NULL) < 0)
		mw__elf_diag(elf, MW__ELF_BAD, MINI_SECTION, size, elf->sh[i].off, limit,
			     MINI_SECTION ": its %llu bytes are not an ELF file packed by xz", (unsigned long long)size);
	else if (ret->kind == MW__ELF_FILE && ret->eh.machine == elf->eh.machine)
		return ret;
	mw_elf_close(ret);
	return NULL;
}

struct mw_elf *mw__elf_debug_symbols(struct mw_elf *elf)
{
	struct mw_elf *debug = mw__elf_debug(elf);

	if (debug || elf->embedded_tried)
		return debug ? debug : elf->embedded;
	elf->embedded_tried = true;
	elf->embedded = embedded(elf);
	return elf->embedded;
}

struct mw_elf *mw__elf_debug(struct mw_elf *elf)
{
	char id[ID_TEXT];

	if (elf->debug_tried || (elf->member && !elf->own_path))
		return elf->debug;
	elf->debug_tried = true;
	const char *known = mw__elf_build_id(elf, id, sizeof(id)) ? id : NULL;

	elf->debug = by_build_id(elf, known);
	if (!elf->debug && !elf->from_memory)
		elf->debug = by_link(elf, known);
	if (!elf->debug && elf->ask_servers)
		elf->debug = by_servers(elf, known);
	return elf->debug;
}
