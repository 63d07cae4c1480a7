/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading cores. Layouts: gABI chapters 4 and 5; <linux/elfcore.h> and fs/binfmt_elf.c for the notes, whose
 * structures depend on machine and word size. More than 65534 mappings: e_phnum is PN_XNUM and sh_info of the
 * first section header has the number.
 */
#include "core.h"

#include "../base/cleanup.h"
#include "../base/count.h"
#include "../base/err.h"
#include "../base/search.h"
#include "../base/size.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LOADS (1u << 20)
#define MAX_NOTES (UINT64_C(256) << 20)	/* bytes of all notes at most */
#define MAX_HOLES 65536u	/* asked for at most */
#define PAGE 4096u

/* -------------------------------------------------------------------- reading */

static bool pread_all(int fd, void *buf, size_t size, uint64_t off)
{
	for (char *p = buf; size;) {
		ssize_t n = pread(fd, p, size, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		off += (uint64_t)n;
		size -= (size_t)n;
	}
	return true;
}

static bool read_at(const struct mw__core *c, void *buf, size_t size, uint64_t off)
{
	return off <= c->file_size && size <= c->file_size - off && pread_all(c->fd, buf, size, off);
}

const struct mw__core_load *mw__core_load_at(const struct mw__core *c, uint64_t addr)
{
	size_t i = MW_FIRST(k, c->loads.n, c->loads.v[k].end > addr);

	return i < c->loads.n && c->loads.v[i].start <= addr ? &c->loads.v[i] : NULL;
}

/* Walkers read many small pieces of one place: a block is read at once. */
static bool read_block(struct mw__core *c, uint64_t off, void *buf, size_t size)
{
	uint64_t at = mw__align_down(off, PAGE);

	if (size > sizeof(c->bytes) - PAGE)
		return read_at(c, buf, size, off);
	if (!c->block_size || off < c->block || off + size > c->block + c->block_size) {
		c->block_size = (size_t)mw__min(sizeof(c->bytes), c->file_size - at);
		c->block = at;
		if (!read_at(c, c->bytes, c->block_size, at))
			c->block_size = 0;
	}
	if (!c->block_size || off + size > c->block + c->block_size)
		return false;
	memcpy(buf, c->bytes + (off - c->block), size);
	return true;
}

bool mw__core_read(void *ctx, uint64_t addr, void *buf, size_t size)
{
	struct mw__core *c = ctx;

	for (char *to = buf; size;) {
		const struct mw__core_load *l = mw__core_load_at(c, addr);
		size_t n = l && addr - l->start < l->size ? (size_t)mw__min(size, l->size - (addr - l->start)) : 0;

		if (!n || !read_block(c, l->off + (addr - l->start), to, n))
			return false;
		to += n;
		addr += n;
		size -= n;
	}
	return true;
}

/* ---------------------------------------------------------------------- notes */

/* A number of 1, 2, 4 or 8 bytes in a note; 0 beyond its end. */
static uint64_t number(const char *desc, size_t size, size_t off, size_t bytes)
{
	uint64_t v = 0;

	if (off <= size && bytes <= size - off)
		memcpy(&v, desc + off, bytes);
	return v;
}

/* Where this machine keeps what in its structures; offsets in bytes. */
struct layout {
	uint16_t machine;
	uint8_t word;
	uint16_t pid, regs, sp, fs;	/* of elf_prstatus: pr_pid, pr_reg; indexes of registers. fs 0: none */
	uint16_t psinfo_uid, psinfo_pid, fname, psargs;
};
static const struct layout layouts[] = {
	{ EM_X86_64, 8, 32, 112, 19, 21, 16, 24, 40, 56 },
	{ EM_386, 4, 24, 72, 15, 0, 8, 12, 28, 44 },
	{ EM_AARCH64, 8, 32, 112, 31, 0, 16, 24, 40, 56 },
};

static const struct layout *layout_of(const struct mw__core *c)
{
	for (size_t i = 0; i < MW__COUNT(layouts); i++)
		if (layouts[i].machine == c->machine && layouts[i].word == c->word)
			return &layouts[i];
	return NULL;
}

static int add_thread(struct mw__core *c, const char *desc, size_t size)
{
	const struct layout *k = layout_of(c);
	struct mw__core_thread *t = MW_VEC_PUSH(&c->threads);

	if (!t)
		return -MW_E_NOMEM;
	*t = (struct mw__core_thread){ .tid = (pid_t)number(desc, size, k ? k->pid : c->word == 8 ? 32 : 24, 4),
				       .sp = MW_UNKNOWN, .fs_base = MW_UNKNOWN };
	if (c->threads.n == 1)
		c->signal = (int)number(desc, size, 12, 2);	/* pr_cursig */
	if (k && size >= k->regs + (k->sp + 1u) * k->word)
		t->sp = number(desc, size, k->regs + (size_t)k->sp * k->word, k->word);
	if (k && k->fs && size >= k->regs + (k->fs + 1u) * k->word)
		t->fs_base = number(desc, size, k->regs + (size_t)k->fs * k->word, k->word);
	return 0;
}

static const char *text_of(struct mw__core *c, const char *desc, size_t size, size_t off, size_t max)
{
	size_t n = off < size ? mw__min(max, size - off) : 0;
	size_t len = n ? strnlen(desc + off, n) : 0;

	while (len && desc[off + len - 1] == ' ')
		len--;
	return len ? mw__arena_strn(&c->arena, desc + off, len) : NULL;
}

static int add_process(struct mw__core *c, const char *desc, size_t size)
{
	const struct layout *k = layout_of(c);

	if (!k)
		return 0;
	c->uid = (uint32_t)number(desc, size, k->psinfo_uid, c->word == 8 ? 4 : 2);
	c->pid = (pid_t)number(desc, size, k->psinfo_pid, 4);
	c->ppid = (pid_t)number(desc, size, k->psinfo_pid + 4u, 4);
	c->comm = text_of(c, desc, size, k->fname, 16);
	c->cmdline = text_of(c, desc, size, k->psargs, 80);
	return 0;
}

/* count, page size, count times (start, end, offset in pages), then the names, each with its end. */
static int add_files(struct mw__core *c, const char *desc, size_t size)
{
	size_t w = c->word;
	uint64_t count = number(desc, size, 0, w), page = number(desc, size, w, w);
	uint64_t names = 2 * w + 3 * w * mw__min(count, size);

	c->has_files = true;
	if (size < 2 * w || count > (size - 2 * w) / (3 * w) || !page || page > (1u << 24))
		return 0;
	for (uint64_t i = 0; i < count; i++) {
		size_t at = (size_t)(2 * w + 3 * w * i), len = names < size ? strnlen(desc + names, size - names) : 0;

		if (names >= size || names + len >= size)
			return 0;	/* the names are cut */
		struct mw__core_file *f = MW_VEC_PUSH(&c->files);
		const char *path = mw__arena_strn(&c->arena, desc + names, len);
		uint64_t off = number(desc, size, at + 2 * w, w);

		if (!f || !path)
			return -MW_E_NOMEM;
		if (__builtin_mul_overflow(off, page, &off))
			off = 0;
		*f = (struct mw__core_file){ number(desc, size, at, w), number(desc, size, at + w, w), off, path };
		names += len + 1;
	}
	return 0;
}

static int take_note(struct mw__core *c, uint32_t type, const char *desc, size_t size)
{
	switch (type) {
	case NT_PRSTATUS:
		return add_thread(c, desc, size);
	case NT_PRPSINFO:
		return c->comm ? 0 : add_process(c, desc, size);
	case NT_FILE:
		return c->has_files ? 0 : add_files(c, desc, size);
	case NT_AUXV:
		if (!c->auxv.n)
			mw__str_add(&c->auxv, desc, size);
		return c->auxv.failed ? -MW_E_NOMEM : 0;
	case NT_SIGINFO:
		if (!c->signal)
			c->signal = (int)number(desc, size, 0, 4);
		return 0;
	default:
		return 0;
	}
}

static int take_notes(struct mw__core *c, uint64_t off, uint64_t size)
{
	if (off >= c->file_size)
		return 0;
	size = mw__min(mw__min(size, c->file_size - off), MAX_NOTES - c->note_bytes);
	c->note_bytes += size;
	MW_CLEANUP(mw__freep) char *v = calloc(1, (size_t)size + 1);

	if (!v)
		return -MW_E_NOMEM;
	if (!size || !read_at(c, v, (size_t)size, off))
		return 0;
	for (uint64_t at = 0; at + sizeof(Elf64_Nhdr) <= size;) {
		Elf64_Nhdr h;	/* the same in both classes */

		memcpy(&h, v + at, sizeof(h));
		uint64_t name = at + sizeof(h), desc = name + mw__align_up(h.n_namesz, 4), end = desc + mw__align_up(h.n_descsz, 4);

		if (desc + h.n_descsz > size)
			break;
		if (h.n_namesz == 5 && !memcmp(v + name, "CORE", 5)) {
			int rc = take_note(c, h.n_type, v + desc, h.n_descsz);

			if (rc < 0)
				return rc;
		}
		at = end;
	}
	return 0;
}

/* -------------------------------------------------------------------- headers */

static int take_load(struct mw__core *c, const Elf64_Phdr *p)
{
	uint64_t end, file_end;

	if (!p->p_memsz || p->p_vaddr % PAGE || __builtin_add_overflow(p->p_vaddr, mw__align_up(p->p_memsz, PAGE), &end) ||
	    __builtin_add_overflow(p->p_offset, p->p_filesz, &file_end) || c->loads.n >= MAX_LOADS)
		return 0;
	struct mw__core_load *l = MW_VEC_PUSH(&c->loads);

	if (!l)
		return -MW_E_NOMEM;
	uint64_t want = mw__min(p->p_filesz, end - p->p_vaddr);
	uint64_t have = p->p_offset < c->file_size ? mw__min(want, c->file_size - p->p_offset) : 0;

	*l = (struct mw__core_load){ p->p_vaddr, end, p->p_offset, have, want - have,
				     (uint8_t)((p->p_flags & PF_R ? 4 : 0) | (p->p_flags & PF_W ? 2 : 0) | (p->p_flags & PF_X ? 1 : 0)) };
	return 0;
}

/* Program header i, in the form of 64 bits. */
static bool read_phdr(const struct mw__core *c, uint64_t phoff, uint64_t i, Elf64_Phdr *p)
{
	uint64_t size = c->word == 8 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr), off;
	Elf32_Phdr q;

	if (__builtin_add_overflow(phoff, i * size, &off))
		return false;
	if (c->word == 8)
		return read_at(c, p, sizeof(*p), off);
	if (!read_at(c, &q, sizeof(q), off))
		return false;
	*p = (Elf64_Phdr){ q.p_type, q.p_flags, q.p_offset, q.p_vaddr, q.p_paddr, q.p_filesz, q.p_memsz, q.p_align };
	return true;
}

static uint64_t count_phdrs(const struct mw__core *c, uint16_t phnum, uint64_t shoff)
{
	union {
		Elf64_Shdr w8;
		Elf32_Shdr w4;
	} s;

	if (phnum != PN_XNUM)
		return phnum;
	if (!read_at(c, &s, c->word == 8 ? sizeof(s.w8) : sizeof(s.w4), shoff))
		return 0;
	return c->word == 8 ? s.w8.sh_info : s.w4.sh_info;
}

static int take_headers(struct mw__core *c, uint64_t phoff, uint64_t n)
{
	Elf64_Phdr p;
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i < n && read_phdr(c, phoff, i, &p); i++)
		if (p.p_type == PT_LOAD)
			rc = take_load(c, &p);
		else if (p.p_type == PT_NOTE)
			rc = take_notes(c, p.p_offset, p.p_filesz);
	return rc;
}

static int compare_loads(const void *a, const void *b)
{
	const struct mw__core_load *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int compare_files(const void *a, const void *b)
{
	const struct mw__core_file *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* What overlaps the one before it is left out. */
static void sort_loads(struct mw__core *c)
{
	size_t n = 0;

	if (c->loads.n)
		qsort(c->loads.v, c->loads.n, sizeof(*c->loads.v), compare_loads);
	if (c->files.n)
		qsort(c->files.v, c->files.n, sizeof(*c->files.v), compare_files);
	for (size_t i = 0; i < c->loads.n; i++)
		if (!n || c->loads.v[i].start >= c->loads.v[n - 1].end)
			c->loads.v[n++] = c->loads.v[i];
	c->loads.n = n;
}

/*
 * The kernel leaves holes for pages that were never touched or hold zeros (dump_skip()), if it writes a file. A
 * file that has none was piped, copied or compressed, or its file system knows none: then nothing is told.
 */
static void count_holes(struct mw__core *c)
{
	uint64_t data = 0;

	c->held = 0;
	for (size_t i = 0; i < c->loads.n; i++)
		c->held += c->loads.v[i].size;
	c->data = MW_UNKNOWN;
	unsigned calls = 0;

	for (size_t i = 0; i < c->loads.n; i++) {
		const struct mw__core_load *l = &c->loads.v[i];
		uint64_t at = l->off, end = l->off + l->size;

		while (at < end) {
			off_t from = lseek(c->fd, (off_t)at, SEEK_DATA);

			if ((from < 0 && errno != ENXIO) || calls++ > MAX_HOLES)
				return;
			if (from < 0 || (uint64_t)from >= end)
				break;
			off_t to = lseek(c->fd, from, SEEK_HOLE);

			if (to < 0)
				return;
			data += mw__min((uint64_t)to, end) - (uint64_t)from;
			at = (uint64_t)to;
		}
	}
	if (data < c->held)
		c->data = data;
}

/* ----------------------------------------------------------------------- open */

static bool is_core_header(const unsigned char *ident, uint16_t type)
{
	return !memcmp(ident, ELFMAG, SELFMAG) && type == ET_CORE;
}

bool mw__core_is(const char *path)
{
	MW_CLEANUP(mw__closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	Elf32_Ehdr h;	/* e_ident and e_type are the same in both classes */

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !pread_all(fd, &h, 18, 0))
		return false;
	return is_core_header(h.e_ident, h.e_ident[EI_DATA] == ELFDATA2LSB ? h.e_type : (uint16_t)(h.e_type >> 8 | h.e_type << 8));
}

static int read_core(struct mw__core *c, const char *path, struct mw_err *err)
{
	Elf64_Ehdr h;
	Elf32_Ehdr h4;

	if (!read_at(c, &h4, sizeof(h4), 0) || memcmp(h4.e_ident, ELFMAG, SELFMAG))
		return mw__fail(err, MW_E_FORMAT, 0, "%s: not an ELF file", path);
	if (h4.e_ident[EI_DATA] != ELFDATA2LSB)
		return mw__fail(err, MW_E_UNSUPPORTED, 0, "%s: a core of another byte order", path);
	if (h4.e_type != ET_CORE)
		return mw__fail(err, MW_E_FORMAT, 0, "%s: an ELF file, but not a core", path);
	c->machine = h4.e_machine;
	c->word = h4.e_ident[EI_CLASS] == ELFCLASS64 ? 8 : 4;
	if (c->word == 8 && !read_at(c, &h, sizeof(h), 0))
		return mw__fail(err, MW_E_FORMAT, 0, "%s: its header is cut off", path);
	uint64_t phoff = c->word == 8 ? h.e_phoff : h4.e_phoff, shoff = c->word == 8 ? h.e_shoff : h4.e_shoff;
	uint64_t n = count_phdrs(c, c->word == 8 ? h.e_phnum : h4.e_phnum, shoff);

	if (take_headers(c, phoff, n) < 0)
		return mw__fail_nomem(err, path);
	sort_loads(c);
	count_holes(c);
	if (!c->loads.n)
		return mw__fail(err, MW_E_FORMAT, 0, "%s: a core without mappings: its program headers are missing or cut off", path);
	return 0;
}

int mw__core_open(const char *path, struct mw__core **ret, struct mw_err *err)
{
	struct mw__core *c = calloc(1, sizeof(*c));
	struct stat st = {};

	if (!c)
		return mw__fail_nomem(err, path);
	mw__arena_init(&c->arena);
	c->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int rc = 0;

	if (c->fd < 0 || fstat(c->fd, &st) < 0)
		rc = mw__fail(err, errno == ENOENT ? MW_E_NOT_FOUND : MW_E_OS, errno, "%s: open", path);
	else if (!S_ISREG(st.st_mode))
		rc = mw__fail(err, MW_E_FORMAT, 0, "%s: not a regular file", path);
	if (rc == 0) {
		c->file_size = (uint64_t)st.st_size;
		c->mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
		rc = read_core(c, path, err);
	}
	if (rc < 0)
		mw__core_close(c);
	else
		*ret = c;
	return rc;
}

void mw__core_close(struct mw__core *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	mw__arena_deinit(&c->arena);
	mw__str_deinit(&c->auxv);
	MW_VEC_FREE(&c->loads);
	MW_VEC_FREE(&c->files);
	MW_VEC_FREE(&c->threads);
	free(c);
}

uint64_t mw__core_auxv_value(const struct mw__core *c, uint64_t type)
{
	size_t w = c->word;

	for (size_t i = 0; i + 2 * w <= c->auxv.n; i += 2 * w)
		if (number(c->auxv.v, c->auxv.n, i, w) == type)
			return number(c->auxv.v, c->auxv.n, i + w, w);
	return MW_UNKNOWN;
}
