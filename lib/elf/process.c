/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An ELF image in the memory of a process. The mapping of the file offset 0 holds the ELF
 * header; the program headers then say which addresses belong to the image. Their bytes
 * are put back to where they are in the file, in a memory file that the other views read
 * as if it were the one on disk: the vdso and deleted libraries look like any other. Pages
 * that cannot be read stay zero.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../base/cleanup.h"
#include "../base/count.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"
#include "file.h"

#define MAX_IMAGE (UINT64_C(1) << 30)

struct wanted {
	pid_t pid;
	uint64_t at;
	const char *map;
	char exe[4096];
};

struct found {
	uint64_t start;		/* of the mapping with the header */
	char name[4096];
	bool hit;
};

/* The same text, whether or not the kernel added that the file is gone. */
static bool same_name(const char *name, const char *want)
{
	size_t len = strlen(want);

	return !strncmp(name, want, len) && (!name[len] || !strcmp(name + len, " (deleted)"));
}

static bool name_fits(const struct wanted *w, const char *name)
{
	if (!w->map)	/* the link to the program says itself that it is gone */
		return !strcmp(name, w->exe) || same_name(name, w->exe);
	return same_name(name, w->map) || (!strchr(w->map, '/') && same_name(mw__basename(name), w->map));
}

/* As readlink() gives it: the kernel writes a newline as "\012" into maps, and escapes nothing else. */
static void unescape(char *name)
{
	for (char *p = name; (p = strstr(p, "\\012")); p++) {
		*p = '\n';
		memmove(p + 1, p + 4, strlen(p + 4) + 1);
	}
}

/* The image starts at the last mapping of offset 0 with the same name as the one that fits. */
static bool scan_maps(FILE *maps, const struct wanted *w, struct found *ret)
{
	char line[4352], name[4096], head[4096] = "";
	uint64_t head_start = 0;

	while (fgets(line, sizeof(line), maps)) {
		unsigned long long start, end, off;
		int at = 0;

		if (sscanf(line, "%llx-%llx %*s %llx %*s %*s %n", &start, &end, &off, &at) < 3 || !at)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(name, sizeof(name), "%s", line + at);
		unescape(name);
		if (!off && (*name || w->at)) {
			head_start = start;
			memcpy(head, name, sizeof(head));
		}
		bool fits = w->at ? w->at >= start && w->at < end : name_fits(w, name);

		if (!fits || (strcmp(head, name) && *name))
			continue;
		ret->start = head_start;
		ret->hit = true;
		memcpy(ret->name, head, sizeof(head));
		return true;
	}
	return false;
}

static bool read_mem(int fd, uint64_t addr, void *buf, size_t size)
{
	return pread(fd, buf, size, (off_t)addr) == (ssize_t)size;
}

struct image {
	int mem, out;
	uint64_t bias, size;
	uint64_t bytes;		/* of all segments, which a hostile header lays one over the other */
	struct mw__elf_layout lay;
	struct mw__ehdr eh;
};

/* Copy a segment page by page; what cannot be read stays a hole of zeros. */
static void copy_segment(struct image *im, const struct mw__phdr *p)
{
	char page[4096];

	for (uint64_t done = 0; done < p->filesz;) {
		uint64_t addr = im->bias + p->vaddr + done;
		size_t n = mw__min(p->filesz - done, 4096 - (addr & 4095));

		if (read_mem(im->mem, addr, page, n) && pwrite(im->out, page, n, (off_t)(p->off + done)) < 0)
			return;
		done += n;
	}
}

static int for_segments(struct image *im, uint64_t start, void (*fn)(struct image *, const struct mw__phdr *))
{
	uint64_t stride = mw__raw_size_phdr(im->lay.is64);
	uint8_t raw[64];

	if (im->eh.phnum > 4096)
		return -1;
	for (uint64_t i = 0; i < im->eh.phnum; i++) {
		struct mw__phdr p;

		if (!read_mem(im->mem, start + im->eh.phoff + i * stride, raw, stride))
			return -1;
		mw__raw_decode(mw__phdr_fields, MW__COUNT(mw__phdr_fields), raw, stride, im->lay, &p);
		if (p.type == PT_LOAD)
			fn(im, &p);
	}
	return 0;
}

static void find_size(struct image *im, const struct mw__phdr *p)
{
	uint64_t end;

	if (!p->off)	/* the segment with the header gives the bias */
		im->bias -= p->vaddr;
	if (__builtin_add_overflow(p->off, p->filesz, &end))
		end = UINT64_MAX;
	im->size = mw__max(im->size, end);
	if (__builtin_add_overflow(im->bytes, p->filesz, &im->bytes))
		im->bytes = UINT64_MAX;
}

static int build(struct image *im, uint64_t start, const char *path, struct mw_err *err)
{
	uint8_t head[64];

	if (!read_mem(im->mem, start, head, sizeof(head)))
		return mw__fail(err, errno == EACCES || errno == EPERM ? MW_E_PERM : MW_E_OS, errno,
				"%s: read the memory at %#llx", path, (unsigned long long)start);
	if (memcmp(head, ELFMAG, 4))
		return mw__fail(err, MW_E_FORMAT, 0, "%s: no ELF header at %#llx", path, (unsigned long long)start);
	im->lay = (struct mw__elf_layout){ head[EI_CLASS] != ELFCLASS32, head[EI_DATA] == ELFDATA2MSB };
	mw__raw_decode(mw__ehdr_fields, MW__COUNT(mw__ehdr_fields), head, sizeof(head), im->lay, &im->eh);
	im->bias = start;
	if (for_segments(im, start, find_size) < 0)
		return mw__fail(err, MW_E_FORMAT, 0, "%s: its program headers are not in memory", path);
	if (im->size > MAX_IMAGE || im->bytes > MAX_IMAGE)
		return mw__fail(err, MW_E_RANGE, 0, "%s: an image of more than 1 GiB", path);
	if (ftruncate(im->out, (off_t)im->size) < 0)
		return mw__fail(err, MW_E_OS, errno, "%s: ftruncate", path);
	for_segments(im, start, copy_segment);
	/* section headers are not mapped: without their offset nobody looks for them */
	static const uint8_t none[8];
	static const struct mw__field *const fields[] = { MW__EH(shoff), MW__EH(shnum), MW__EH(shstrndx) };

	for (size_t i = 0; i < MW__COUNT(fields) && im->eh.shoff >= im->size; i++) {
		const struct mw__field *f = fields[i];

		if (pwrite(im->out, none, im->lay.is64 ? f->size64 : f->size32, im->lay.is64 ? f->off64 : f->off32) < 0)
			return mw__fail(err, MW_E_OS, errno, "%s: write", path);
	}
	return 0;
}

/* Where its memory is told: of a process whose first thread has ended, with one that lives. */
static void find_dir(pid_t pid, char dir[static 64])
{
	MW_CLEANUP(mw__closedirp) DIR *tasks = NULL;
	char path[96], byte;

	snprintf(dir, 64, "/proc/%d", (int)pid);
	snprintf(path, sizeof(path), "%s/exe", dir);
	if (readlink(path, &byte, 1) > 0 || errno != ENOENT)
		return;
	snprintf(path, sizeof(path), "%s/task", dir);
	tasks = opendir(path);
	for (struct dirent *d; tasks && (d = readdir(tasks));) {
		int tid = atoi(d->d_name);

		snprintf(path, sizeof(path), "/proc/%d/task/%d/exe", (int)pid, tid);
		if (tid > 0 && readlink(path, &byte, 1) > 0) {
			snprintf(dir, 64, "/proc/%d/task/%d", (int)pid, tid);
			return;
		}
	}
}

int mw_elf_open_process(pid_t pid, uint64_t at, const char *map, struct mw_elf **ret, struct mw_err *err)
{
	struct wanted w = { .pid = pid, .at = at, .map = map };
	struct found f = { 0 };
	char dir[64], path[80], label[4200];

	find_dir(pid, dir);
	snprintf(path, sizeof(path), "%s/maps", dir);
	MW_CLEANUP(mw__fclosep) FILE *maps = fopen(path, "re");

	if (!maps) {
		int rc = mw__fail(err, errno == ENOENT ? MW_E_NOT_FOUND : errno == EACCES ? MW_E_PERM : MW_E_OS, errno,
				  "pid %d: open %s", (int)pid, path);

		if (rc == -MW_E_PERM)
			mw__hint(err, "run memwhy as the owner of the process or as root");
		return rc;
	}
	snprintf(path, sizeof(path), "%s/exe", dir);
	ssize_t len = readlink(path, w.exe, sizeof(w.exe) - 1);

	w.exe[len > 0 ? len : 0] = '\0';
	if (!scan_maps(maps, &w, &f))
		return mw__fail(err, MW_E_NOT_FOUND, 0, "pid %d: no image %s%s", (int)pid, at ? "at this address" :
				map ? "of " : "of its program", at || !map ? "" : map);
	snprintf(path, sizeof(path), "%s/mem", dir);
	MW_CLEANUP(mw__closep) int mem = open(path, O_RDONLY | O_CLOEXEC);
	MW_CLEANUP(mw__closep) int out = memfd_create("memwhy-image", MFD_CLOEXEC);

	if (mem < 0 || out < 0)
		return mw__fail(err, errno == EACCES || errno == EPERM ? MW_E_PERM : MW_E_OS, errno, "%s: open", path);
	struct image im = { .mem = mem, .out = out };

	snprintf(label, sizeof(label), "pid %d: %.4096s", (int)pid, *f.name ? f.name : "(no name)");
	int rc = build(&im, f.start, label, err);

	if (rc < 0)
		return rc;
	rc = mw__elf_open_part(out, 0, im.size, label, ret, err);
	out = -1;
	if (rc == 0) {
		(*ret)->from_memory = true;
		(*ret)->bias = im.bias;
	}
	return rc;
}
