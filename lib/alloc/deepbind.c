/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * deepbind.c - libraries that a program opens with RTLD_DEEPBIND.
 *
 * Such a library looks for its symbols first in what it was linked with, where it finds the
 * C library's malloc, whatever is preloaded. When it then frees what the program allocated,
 * or the program what it did, one heap gets the other's block and the program crashes (PHP
 * opens its extensions so). Therefore, before a library is opened in that way for the
 * first time, the C library's table of symbols in memory is made to name our functions: whose
 * search ends there gets what everybody else has.
 *
 * Not when the program has another malloc. Not in the archive: a static program has no such
 * table, and its own dlopen.
 */
#include "internal.h"

#include <dlfcn.h>
#include <gnu/lib-names.h>
#include <link.h>
#include <sys/mman.h>

#define SHARED_FUNCTIONS(_) \
	_(malloc) _(free) _(calloc) _(realloc) _(reallocarray) _(memalign) _(aligned_alloc) _(posix_memalign) \
	_(valloc) _(pvalloc) _(cfree) _(malloc_usable_size) _(malloc_trim) _(mallinfo) _(mallinfo2) _(malloc_stats) \
	_(malloc_info) _(mallopt) _(__libc_malloc) _(__libc_calloc) _(__libc_realloc) _(__libc_free) \
	_(__libc_memalign) _(__libc_valloc) _(__libc_pvalloc) _(__posix_memalign)

/* By their names in the object file: no prototypes are needed, nor warnings of old functions met. */
#define DECLARE(f) extern char f##_is_here[] __asm__(#f);
SHARED_FUNCTIONS(DECLARE)

static const struct {
	char name[24];
	const char *function;
} functions[] = {
#define ENTRY(f) { #f, f##_is_here },
	SHARED_FUNCTIONS(ENTRY)
};

/* What a loaded library says of its symbols. */
struct symbols {
	uintptr_t base;
	ElfW(Sym) *table;
	const char *names;
	const uint32_t *hash; /* DT_GNU_HASH */
};

static uint32_t hash_of(const char *name)
{
	uint32_t h = 5381;

	while (*name)
		h = h * 33 + (unsigned char)*name++;
	return h;
}

/* All versions of @name in the library that defines it are @value from now on. */
static void redirect(const struct symbols *s, const char *name, uintptr_t value)
{
	uint32_t n_buckets = s->hash[0], first = s->hash[1], filter = s->hash[2], h = hash_of(name);
	const uint32_t *buckets = s->hash + 4 + filter * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
	const uint32_t *chain = buckets + n_buckets;
	uint32_t i = n_buckets ? buckets[h % n_buckets] : 0;

	for (; i >= first && i; i++) {
		ElfW(Sym) *sym = &s->table[i];

		if ((chain[i - first] | 1) == (h | 1) && sym->st_shndx != SHN_UNDEF && !strcmp(s->names + sym->st_name, name))
			store_relaxed(&sym->st_value, value - s->base);
		if (chain[i - first] & 1)
			return;
	}
}

static void read_dynamic(const ElfW(Dyn) *d, struct symbols *s)
{
	for (; d->d_tag != DT_NULL; d++) {
		uintptr_t at = d->d_un.d_ptr < s->base ? d->d_un.d_ptr + s->base : d->d_un.d_ptr; /* glibc adds it, as a rule */

		if (d->d_tag == DT_SYMTAB)
			s->table = (ElfW(Sym) *)at;
		else if (d->d_tag == DT_STRTAB)
			s->names = (const char *)at;
		else if (d->d_tag == DT_GNU_HASH)
			s->hash = (const uint32_t *)at;
	}
}

static bool is_libc(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, LIBC_SO) == 0;
}

static int protect(uintptr_t start, uintptr_t end, int prot)
{
	return mprotect((void *)start, end - start, prot);
}

/* The table and the names are in the same segment: between the two there is nothing else that is written. */
static void redirect_all(const struct symbols *s, int prot)
{
	uintptr_t start = (uintptr_t)s->table & -(uintptr_t)KERNEL_PAGE, end = round_up((uintptr_t)s->names, KERNEL_PAGE);

	if (end <= start || protect(start, end, prot | PROT_WRITE) < 0)
		return;
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		redirect(s, functions[i].name, (uintptr_t)functions[i].function);
	protect(start, end, prot);
}

static int look_at(struct dl_phdr_info *info, size_t size, void *unused)
{
	struct symbols s = { .base = info->dlpi_addr };
	int prot = 0;

	(void)size;
	(void)unused;
	if (!is_libc(info->dlpi_name))
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			read_dynamic((const ElfW(Dyn) *)(s.base + info->dlpi_phdr[i].p_vaddr), &s);
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && (uintptr_t)s.table - s.base - p->p_vaddr < p->p_memsz)
			prot = PROT_READ | (p->p_flags & PF_X ? PROT_EXEC : 0);
	}
	if (prot && s.names && s.hash)
		redirect_all(&s, prot);
	return 1;
}

/* Is ours the malloc that the program calls? */
static bool serves(void)
{
	return load_relaxed(&region.state) == MW_REGION_READY || dlsym(RTLD_DEFAULT, "malloc") == (void *)malloc_is_here;
}

/* The last call is a jump: dlopen() asks its return address whose search path it takes. */
MW_EXPORT void *dlopen(const char *file, int mode)
{
	static void *(*next)(const char *, int);
	static uint32_t done;

	if (!load_relaxed(&next))
		store_relaxed(&next, (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen"));
	if (mode & RTLD_DEEPBIND && serves() && !__atomic_exchange_n(&done, 1, __ATOMIC_RELAXED))
		dl_iterate_phdr(look_at, NULL);
	return next ? next(file, mode) : NULL;
}
