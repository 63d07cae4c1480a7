/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cxx.c - C++'s operator new and delete, by their mangled names, in C.
 *
 * libstdc++'s own call malloc and free, so these only save a jump; they are here so
 * that statically linked and foreign runtimes meet the same heap. When memory runs
 * out the program's new_handler is asked, then std::bad_alloc is thrown: both by the
 * C++ runtime, which is looked for when needed (this library does not link it).
 * The file is compiled with -fexceptions so that the exception can pass. The nothrow
 * forms of new are in cxx_nothrow.c.
 */
#include "internal.h"

#include <dlfcn.h>
#include <stdlib.h>

extern mw_handler _ZSt15get_new_handlerv(void) __attribute__((weak));
extern void _ZSt17__throw_bad_allocv(void) __attribute__((weak));

/* A runtime that a plugin brought along is not in the global scope. */
void *mw__cxx_runtime(const char *name)
{
	static const char *const libs[] = { "libstdc++.so.6", "libc++.so.1" };
	void *sym = NULL;

	for (unsigned i = 0; i < 2 && !sym; i++) {
		void *lib = dlopen(libs[i], RTLD_LAZY | RTLD_NOLOAD);

		if (!lib)
			continue;
		sym = dlsym(lib, name);
		dlclose(lib);
	}
	return sym;
}

mw_handler mw__new_handler(void)
{
	mw_handler (*get)(void) = _ZSt15get_new_handlerv;	/* weak: NULL in a C program */

	if (!get)	/* cppcheck-suppress legacyUninitvar */
		get = (mw_handler(*)(void))mw__cxx_runtime("_ZSt15get_new_handlerv");
	return get ? get() : NULL;
}

static void throw_bad_alloc(void)
{
	mw_handler throw = _ZSt17__throw_bad_allocv;

	if (!throw)
		throw = (mw_handler)mw__cxx_runtime("_ZSt17__throw_bad_allocv");
	if (throw)
		throw();
	mw__os_write(2, "memwhy-malloc: out of memory in operator new\n", 45);
	abort();
}

void *mw__new_aligned(enum mw_origin by, size_t align, size_t n)
{
	void *p = mw__malloc_aligned(align, n);

	if (p && option(MW_OPT_AUDIT))
		mw__audit_came(p, by);
	return p;
}

void *mw__new_again(enum mw_origin by, size_t align, size_t n)
{
	mw_handler h;
	void *p = NULL;

	while (!p && (h = mw__new_handler())) {
		h();
		p = align ? mw__new_aligned(by, align, n) : mw__new(n, by);
	}
	return p;
}

static noinline void *new_slow(enum mw_origin by, size_t align, size_t n)
{
	void *p = mw__new_again(by, align, n);

	if (!p)
		throw_bad_alloc();
	return p;
}

static inline void *new_any(enum mw_origin by, size_t align, size_t n)
{
	void *p = align ? mw__new_aligned(by, align, n) : mw__new(n, by);

	return likely(p != NULL) ? p : new_slow(by, align, n);
}

/* new, new[]: plain, aligned */
MW_EXPORT void *_Znwm(size_t n) { return new_any(BY_NEW, 0, n); }
MW_EXPORT void *_Znam(size_t n) { return new_any(BY_NEW_ARRAY, 0, n); }
MW_EXPORT void *_ZnwmSt11align_val_t(size_t n, size_t a) { return new_any(BY_NEW, a, n); }
MW_EXPORT void *_ZnamSt11align_val_t(size_t n, size_t a) { return new_any(BY_NEW_ARRAY, a, n); }

/* The size and alignment say nothing that free() needs; audit compares them. Size 0: any. */
static inline void delete_known(enum mw_origin by, void *p, size_t n, size_t align)
{
	if (unlikely(option(MW_OPT_AUDIT)) && p) {
		mw__check_align(p, align);
		if (n)
			mw__check_size(p, n);
	}
	mw__delete(p, by);
}

/* delete, delete[]: plain, nothrow, sized, aligned, sized and aligned, aligned nothrow */
MW_EXPORT void _ZdlPv(void *p) { mw__delete(p, BY_NEW); }
MW_EXPORT void _ZdaPv(void *p) { mw__delete(p, BY_NEW_ARRAY); }
MW_EXPORT void _ZdlPvRKSt9nothrow_t(void *p, void *t) { (void)t; mw__delete(p, BY_NEW); }
MW_EXPORT void _ZdaPvRKSt9nothrow_t(void *p, void *t) { (void)t; mw__delete(p, BY_NEW_ARRAY); }
MW_EXPORT void _ZdlPvm(void *p, size_t n) { delete_known(BY_NEW, p, n, 1); }
MW_EXPORT void _ZdaPvm(void *p, size_t n) { delete_known(BY_NEW_ARRAY, p, n, 1); }
MW_EXPORT void _ZdlPvSt11align_val_t(void *p, size_t a) { delete_known(BY_NEW, p, 0, a); }
MW_EXPORT void _ZdaPvSt11align_val_t(void *p, size_t a) { delete_known(BY_NEW_ARRAY, p, 0, a); }
MW_EXPORT void _ZdlPvmSt11align_val_t(void *p, size_t n, size_t a) { delete_known(BY_NEW, p, n, a); }
MW_EXPORT void _ZdaPvmSt11align_val_t(void *p, size_t n, size_t a) { delete_known(BY_NEW_ARRAY, p, n, a); }
MW_EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *p, size_t a, void *t)
{
	(void)t;
	delete_known(BY_NEW, p, 0, a);
}
MW_EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *p, size_t a, void *t)
{
	(void)t;
	delete_known(BY_NEW_ARRAY, p, 0, a);
}
