/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pages of this program in which the dynamic linker keeps words of its own, by the program's own dynamic
 * section in memory. Symbols by address: those that are read for a few addresses give each of them the name that it has among all
 * symbols of the file. Files are this program and the C library: local and global names, aliases, labels without
 * size, gaps.
 */
#include "elf/detail.h"
#include "explain/locate.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tap.h"

#define BATCH 40u

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	return *x ^= *x << 17;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static const char *name_at(const struct mw__image *img, const struct mw__detail *d, uint64_t addr)
{
	struct mw__image with = *img;

	with.detail = d;
	const struct mw__symbol *s = mw__image_symbol_at(&with, addr);

	return s ? s->name : "(none)";
}

/* How many of the addresses have another name when only they are asked for; *read: symbols that were read for them. */
static size_t compare_batch(int fd, const struct mw__image *img, const struct mw__detail *all, uint64_t *addrs, size_t n,
			    struct mw__arena *arena, size_t *read)
{
	struct mw__detail_want want = { .symbols = true, .addrs = addrs, .n_addrs = n };
	const struct mw__detail *few = NULL;
	size_t wrong = 0;

	qsort(addrs, n, sizeof(*addrs), compare);
	if (mw__detail_read(fd, img, &want, arena, &few) < 0)
		return n;
	*read += few->n_symbols;
	for (size_t i = 0; i < n; i++)
		if (strcmp(name_at(img, all, addrs[i]), name_at(img, few, addrs[i])) && !wrong++)
			printf("# %#" PRIx64 ": %s, alone %s\n", addrs[i], name_at(img, all, addrs[i]), name_at(img, few, addrs[i]));
	return wrong;
}

static bool is_sorted(const struct mw__detail *d)
{
	for (uint32_t i = 1; i < d->n_symbols; i++) {
		const struct mw__symbol *a = &d->symbols[i - 1], *b = &d->symbols[i];

		if (a->addr > b->addr || (a->addr == b->addr && a->size < b->size))
			return false;
	}
	return true;
}

static void check_file(const char *path)
{
	struct mw__detail_want want = { .symbols = true };
	const struct mw__detail *all = NULL;
	struct mw__image img = {};
	struct mw__arena arena;
	uint64_t start, end, seed = 88172645463325252u, addrs[BATCH];
	size_t wrong = 0, asked = 0, read = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	mw__arena_init(&arena);
	if (ok(fd >= 0 && mw__image_read_fd(fd, &arena, &img, NULL) > 0 && mw__image_span(&img, &start, &end) &&
	       mw__detail_read(fd, &img, &want, &arena, &all) == 0 && all->n_symbols > 100, "%s has symbols", path)) {
		ok(is_sorted(all), "%s: they are in order", path);
		for (size_t round = 0; round < 100; round++) {
			for (size_t i = 0; i < BATCH; i++) {
				const struct mw__symbol *s = &all->symbols[next_random(&seed) % all->n_symbols];

				/* anywhere, at the start of a symbol, its last byte, and one behind */
				addrs[i] = i % 4 == 0 ? start + next_random(&seed) % (end - start) :
					   i % 4 == 1 ? s->addr : s->addr + s->size - (i % 4 == 2 && s->size);
			}
			wrong += compare_batch(fd, &img, all, addrs, BATCH, &arena, &read);
			asked += BATCH;
		}
		is_int((long long)wrong, 0, "each address has the name that it has among all");
		ok(read < asked * 20, "%zu symbols were read for %zu addresses", read, asked);
	}
	if (fd >= 0)
		close(fd);
	mw__arena_deinit(&arena);
}

static const ElfW(Dyn) *find_tag(int64_t tag)
{
	for (const ElfW(Dyn) *d = _DYNAMIC; d->d_tag != DT_NULL; d++)
		if (d->d_tag == tag)
			return d;
	return NULL;
}

static uint64_t value_of(int64_t tag)
{
	const ElfW(Dyn) *d = find_tag(tag);

	return d ? d->d_un.d_val : 0;
}

/* Words of the linker in a page: DT_DEBUG of the program, and the second and third slot of .got.plt in lazy binding. */
static void check_own_words(void)
{
	const struct link_map *program = (const struct link_map *)((const struct r_debug *)value_of(DT_DEBUG))->r_map;
	struct mw__detail_want want = { .relocs = true };
	const struct mw__detail *d = NULL;
	struct mw__image img = {};
	struct mw__arena arena;
	uint64_t bias = program->l_addr, own = 0, found = 0;
	uint64_t debug = (uintptr_t)&find_tag(DT_DEBUG)->d_un - bias;
	bool now = find_tag(DT_BIND_NOW) || value_of(DT_FLAGS) & DF_BIND_NOW || value_of(DT_FLAGS_1) & DF_1_NOW;
	uint64_t slots = value_of(DT_PLTGOT) && value_of(DT_JMPREL) && !now ? 2 : 0;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	mw__arena_init(&arena);
	if (ok(fd >= 0 && mw__image_read_fd(fd, &arena, &img, NULL) > 0 && mw__detail_read(fd, &img, &want, &arena, &d) == 0 &&
	       d->relocs_known, "the relocations of this program")) {
		for (uint32_t i = 0; i < d->n_reloc_pages; i++) {
			own += d->reloc_pages[i].own;
			found += d->reloc_pages[i].addr == (debug & ~UINT64_C(4095)) ? d->reloc_pages[i].own : 0;
		}
		ok(found >= 1, "the linker keeps DT_DEBUG in the page of %#" PRIx64, debug);
		is_int((long long)own, (long long)(1 + slots), "and besides it the slots of lazy binding, nothing else");
		is_int(d->binds_now, now, "and says how slots are bound");
	}
	if (fd >= 0)
		close(fd);
	mw__arena_deinit(&arena);
}

/* Relocation sections of a file without dynamic section, all of the same bytes: they are not counted again and again. */
static void check_overlap(void)
{
	enum { TABLE = 64 << 10, SECTIONS = 1000 };
	static struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph;
		Elf64_Shdr sh[1 + SECTIONS];
		Elf64_Rel rel[TABLE / sizeof(Elf64_Rel)];
	} f;
	struct mw__detail_want want = { .relocs = true };
	const struct mw__detail *d = NULL;
	struct mw__image img = {};
	struct mw__arena arena;
	uint64_t table = (uint64_t)((char *)f.rel - (char *)&f);
	int fd = memfd_create("overlap", MFD_CLOEXEC);

	f.eh = (Elf64_Ehdr){ .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_EXEC,
			     .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_phoff = offsetof(__typeof__(f), ph),
			     .e_shoff = offsetof(__typeof__(f), sh), .e_ehsize = sizeof(f.eh), .e_phentsize = sizeof(f.ph),
			     .e_phnum = 1, .e_shentsize = sizeof(*f.sh), .e_shnum = 1 + SECTIONS };
	f.ph = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R, .p_vaddr = 0x400000, .p_filesz = sizeof(f), .p_memsz = sizeof(f) };
	for (size_t i = 1; i <= SECTIONS; i++)
		f.sh[i] = (Elf64_Shdr){ .sh_type = SHT_REL, .sh_flags = SHF_ALLOC, .sh_addr = 0x400000 + table, .sh_offset = table,
					.sh_size = TABLE, .sh_entsize = sizeof(*f.rel) };
	for (size_t i = 0; i < TABLE / sizeof(*f.rel); i++)
		f.rel[i] = (Elf64_Rel){ 0x400000 + i * 4096, ELF64_R_INFO(1, R_X86_64_64) };
	mw__arena_init(&arena);
	if (ok(fd >= 0 && write(fd, &f, sizeof(f)) == sizeof(f) && mw__image_read_fd(fd, &arena, &img, NULL) > 0 &&
	       mw__detail_read(fd, &img, &want, &arena, &d) == 0, "a file whose relocation sections lie over each other")) {
		ok(!d->relocs_known, "its relocations are not known");
		ok(d->n_symbolic <= sizeof(f) / sizeof(*f.rel), "and not more were counted than the file has room for");
	}
	if (fd >= 0)
		close(fd);
	mw__arena_deinit(&arena);
}

int main(void)
{
	Dl_info libc;

	check_overlap();

	check_own_words();
	check_file("/proc/self/exe");
	if (dladdr((void *)(uintptr_t)strlen, &libc) && libc.dli_fname)
		check_file(libc.dli_fname);
	return done_testing();
}
