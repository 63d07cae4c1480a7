/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A mapped ELF file, read with libelf. ELF_C_READ, never mmap: a file that is truncated while it is
 * mapped kills its reader. Sections are optional (the kernel never looks at them); the program header
 * is what counts. Counts that the file claims are bounded by what libelf could really read.
 */
#include "image.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096u
#define MAX_SEGMENTS 65536u
#define MAX_SECTIONS 200000u
#define MAX_NOTES (UINT64_C(1) << 20)	/* bytes */
#define MEMORY_HEAD 65536u

static void end_elf(Elf **elf)
{
	if (*elf)
		elf_end(*elf);
}

static int read_segments(Elf *elf, struct mw__arena *arena, struct mw__image *img)
{
	size_t n = 0;

	if (elf_getphdrnum(elf, &n) < 0 || n > MAX_SEGMENTS)
		return -MW_E_FORMAT;
	struct mw__segment *segs = mw__arena_array(arena, n ? n : 1, sizeof(*segs));

	if (!segs)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(elf, (int)i, &ph))
			break;
		segs[img->n_segments++] = (struct mw__segment){
			.type = ph.p_type, .flags = ph.p_flags, .off = ph.p_offset, .vaddr = ph.p_vaddr,
			.filesz = ph.p_filesz, .memsz = ph.p_memsz, .align = ph.p_align,
		};
	}
	img->segments = segs;
	return img->n_segments ? 0 : -MW_E_FORMAT;
}

static int compare_sections(const void *a, const void *b)
{
	const struct mw__section *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->size < y->size ? -1 : x->size > y->size;
}

/* Sections that take part in memory, by address. */
static int read_sections(Elf *elf, struct mw__arena *arena, struct mw__image *img)
{
	size_t n = 0, strndx = 0;

	if (elf_getshdrnum(elf, &n) < 0 || n > MAX_SECTIONS || !n || elf_getshdrstrndx(elf, &strndx) < 0)
		return 0;
	struct mw__section *list = mw__arena_array(arena, n, sizeof(*list));

	if (!list)
		return -MW_E_NOMEM;
	for (size_t i = 1; i < n; i++) {
		GElf_Shdr sh;
		Elf_Scn *scn = elf_getscn(elf, i);

		if (!scn || !gelf_getshdr(scn, &sh) || !(sh.sh_flags & SHF_ALLOC))
			continue;
		const char *name = elf_strptr(elf, strndx, sh.sh_name);

		/* the table stands at the start of the file, the names do not: Go, in a core */
		if (!name && !strcmp(img->source, "memory"))
			continue;
		struct mw__section *s = &list[img->n_sections];

		*s = (struct mw__section){ .type = sh.sh_type, .flags = sh.sh_flags, .addr = sh.sh_addr,
					   .size = sh.sh_size, .off = sh.sh_offset };
		s->name = mw__arena_intern(arena, name ? name : "", name ? strlen(name) : 0);
		if (!s->name)
			return -MW_E_NOMEM;
		img->n_sections++;
	}
	qsort(list, img->n_sections, sizeof(*list), compare_sections);
	img->sections = list;
	return 0;
}

static const char *hex(struct mw__arena *arena, const unsigned char *bytes, size_t n)
{
	char *s = mw__arena_alloc(arena, n * 2 + 1);

	for (size_t i = 0; s && i < n; i++) {
		s[i * 2] = "0123456789abcdef"[bytes[i] >> 4];
		s[i * 2 + 1] = "0123456789abcdef"[bytes[i] & 15];
	}
	return s;
}

/*
 * NT_GNU_BUILD_ID of one PT_NOTE. GNU properties are aligned to 8 there, everything else to 4. libelf keeps what
 * it reads, and there may be thousands of segments, one over the other: left is what all of them may still take.
 */
static void read_notes(Elf *elf, const struct mw__segment *seg, struct mw__arena *arena, struct mw__image *img, uint64_t *left)
{
	if (seg->off > INT64_MAX || seg->filesz > *left)
		return;
	*left -= seg->filesz;
	Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)seg->off, seg->filesz,
					      seg->align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
	size_t at = 0, next, name, desc;
	GElf_Nhdr nh;

	while (data && !img->build_id && (next = gelf_getnote(data, at, &nh, &name, &desc)) > at) {
		const char *buf = data->d_buf;

		if (nh.n_type == NT_GNU_BUILD_ID && nh.n_namesz == 4 && !memcmp(buf + name, "GNU", 4) &&
		    nh.n_descsz > 0 && nh.n_descsz <= 64)
			img->build_id = hex(arena, (const unsigned char *)buf + desc, nh.n_descsz);
		at = next;
	}
}

/* File bytes behind a virtual address, at most n; 0 when it is not in the file. */
static const char *bytes_at(Elf *elf, const struct mw__image *img, uint64_t vaddr, size_t n)
{
	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];

		if (s->type != PT_LOAD || vaddr < s->vaddr || vaddr - s->vaddr >= s->filesz ||
		    s->filesz - (vaddr - s->vaddr) < n || s->off > INT64_MAX / 2)
			continue;
		Elf_Data *d = elf_getdata_rawchunk(elf, (int64_t)(s->off + (vaddr - s->vaddr)), n, ELF_T_BYTE);

		return d ? d->d_buf : NULL;
	}
	return NULL;
}

static const char buildinfo_magic[14] = "\xff Go buildinf:";
#define BUILDINFO_REACH (UINT64_C(1) << 16)	/* from the start of the data; debug/buildinfo looks no farther either */

/*
 * .go.buildinfo (Go, debug/buildinfo): 14 bytes of magic, pointer size, flags. With flag 2 (Go 1.18) the
 * version follows at 32 as a varint length and bytes; before, a pointer to a Go string stands at 16.
 */
static const char *go_version(Elf *elf, const struct mw__image *img, const struct mw__section *s,
			      struct mw__arena *arena)
{
	const unsigned char *b = (const unsigned char *)bytes_at(elf, img, s->addr, 34);

	if (!b || memcmp(b, buildinfo_magic, sizeof(buildinfo_magic)))
		return NULL;
	const char *text = NULL;
	uint64_t len = 0;

	if (b[15] & 2) {
		len = b[32];
		text = len && len < 128 ? bytes_at(elf, img, s->addr + 33, len) : NULL;
	} else if (b[14] == 8 && !(b[15] & 1)) {
		uint64_t header, str[2];

		memcpy(&header, b + 16, 8);
		const char *h = bytes_at(elf, img, header, 16);

		if (h) {
			memcpy(str, h, 16);
			len = str[1];
			text = len && len < 128 ? bytes_at(elf, img, str[0], len) : NULL;
		}
	}
	return text ? mw__arena_strn(arena, text, len) : mw__arena_str(arena, "go");
}

static void read_details(Elf *elf, struct mw__arena *arena, struct mw__image *img)
{
	uint64_t left = MAX_NOTES;

	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];

		if (s->type == PT_NOTE && !img->build_id)
			read_notes(elf, s, arena, img, &left);
		if (s->type == PT_INTERP && !img->interp && s->filesz > 1 && s->filesz < 4096 && s->off < INT64_MAX) {
			Elf_Data *d = elf_getdata_rawchunk(elf, (int64_t)s->off, s->filesz, ELF_T_BYTE);

			if (d && d->d_buf)
				img->interp = mw__arena_strn(arena, d->d_buf, strnlen(d->d_buf, s->filesz));
		}
	}
	for (uint32_t i = 0; i < img->n_sections; i++)
		if (!img->go_version && !strcmp(img->sections[i].name, ".go.buildinfo"))
			img->go_version = go_version(elf, img, &img->sections[i], arena);
}

static int read_image(Elf *elf, struct mw__arena *arena, struct mw__image *img, struct mw_err *err)
{
	GElf_Ehdr eh;

	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &eh))
		return 0;
	img->elf_class = gelf_getclass(elf) == ELFCLASS32 ? 32 : 64;
	img->big_endian = eh.e_ident[EI_DATA] == ELFDATA2MSB;
	img->type = eh.e_type;
	img->machine = eh.e_machine;
	img->n_segments = img->n_sections = 0;
	int rc = read_segments(elf, arena, img);

	if (rc == -MW_E_FORMAT)
		return mw__fail(err, MW_E_FORMAT, 0, "program header: no usable segment");
	if (rc == 0)
		rc = read_sections(elf, arena, img);
	if (rc < 0)
		return mw__fail_nomem(err, "ELF image");
	read_details(elf, arena, img);
	return 1;
}

int mw__image_read_fd(int fd, struct mw__arena *arena, struct mw__image *img, struct mw_err *err)
{
	char magic[SELFMAG];

	/* no read-ahead: it would fill the page cache that is counted */
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	if (pread(fd, magic, SELFMAG, 0) != SELFMAG || memcmp(magic, ELFMAG, SELFMAG))
		return 0;
	elf_version(EV_CURRENT);
	MW_CLEANUP(end_elf) Elf *elf = elf_begin(fd, ELF_C_READ, NULL);

	if (!elf)
		return 0;
	img->source = "file";
	return read_image(elf, arena, img, err);
}

/* As many bytes from base on as are present, at most MEMORY_HEAD. */
static size_t read_head(const struct mw__mem *mem, uint64_t base, uint64_t end, char *buf)
{
	size_t n = 0;

	while (n < MEMORY_HEAD && base + n < end && mw__mem_read(mem, base + n, buf + n, PAGE))
		n += PAGE;
	return n;
}

int mw__image_read_mem(const struct mw__mem *mem, uint64_t base, uint64_t end, struct mw__arena *arena,
		       struct mw__image *img, struct mw_err *err)
{
	MW_CLEANUP(mw__freep) char *buf = malloc(MEMORY_HEAD);
	size_t n = buf ? read_head(mem, base, end, buf) : 0;

	if (!buf)
		return mw__fail_nomem(err, "ELF image");
	if (n < SELFMAG || memcmp(buf, ELFMAG, SELFMAG))
		return 0;
	elf_version(EV_CURRENT);
	MW_CLEANUP(end_elf) Elf *elf = elf_memory(buf, n);

	if (!elf)
		return 0;
	img->source = "memory";
	return read_image(elf, arena, img, err);
}

/* The address of Go's build information in [start, end), which is aligned to 16; 0. */
static uint64_t find_buildinfo(const struct mw__mem *mem, uint64_t start, uint64_t end)
{
	char page[PAGE];

	for (uint64_t at = mw__align_down(start, PAGE); at < end; at += PAGE)
		for (size_t i = 0; i < PAGE && (i || mw__mem_read(mem, at, page, PAGE)); i += 16)
			if (!memcmp(page + i, buildinfo_magic, sizeof(buildinfo_magic)))
				return at + i;
	return 0;
}

const char *mw__image_go_mem(const struct mw__mem *mem, const struct mw__image *img, struct mw__arena *arena)
{
	unsigned char b[34];
	char text[128];
	uint64_t at = 0, str[2], len = 0;

	for (uint32_t i = 0; i < img->n_segments && !at; i++) {
		const struct mw__segment *s = &img->segments[i];
		uint64_t start = img->bias + s->vaddr;

		if (s->type == PT_LOAD && s->flags & PF_W)
			at = find_buildinfo(mem, start, start + mw__min(s->filesz, BUILDINFO_REACH));
	}
	if (!at || !mw__mem_read(mem, at, b, sizeof(b)))
		return NULL;
	if (b[15] & 2) {
		len = b[32];
		at += 33;
	} else if (b[14] == 8 && !(b[15] & 1) && mw__mem_word(mem, at + 16, &at) && mw__mem_read(mem, at, str, sizeof(str))) {
		at = str[0];
		len = str[1];
	}
	return len && len < sizeof(text) && mw__mem_read(mem, at, text, len) ? mw__arena_strn(arena, text, len) :
									       mw__arena_str(arena, "go");
}

bool mw__image_bias(const struct mw__segment *seg, uint64_t start, uint64_t end, uint64_t off, uint64_t *bias)
{
	uint64_t first = mw__align_down(seg->off, PAGE), last, stop;

	if (seg->type != PT_LOAD || !seg->filesz || __builtin_add_overflow(seg->off, seg->filesz, &last) ||
	    __builtin_add_overflow(off, end - start, &stop))
		return false;
	if (off < first || stop > mw__align_up(last, PAGE))
		return false;
	*bias = start - off + seg->off - seg->vaddr;
	return true;
}

bool mw__image_span(const struct mw__image *img, uint64_t *start, uint64_t *end)
{
	bool any = false;

	*start = UINT64_MAX;
	*end = 0;
	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];
		uint64_t stop;

		if (s->type != PT_LOAD || __builtin_add_overflow(s->vaddr, s->memsz, &stop))
			continue;
		*start = mw__min(*start, mw__align_down(s->vaddr, PAGE));
		*end = mw__max(*end, mw__align_up(stop, PAGE));
		any = true;
	}
	return any;
}
