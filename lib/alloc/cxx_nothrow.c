/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cxx_nothrow.c - operator new and new[] that return NULL.
 *
 * The program's new_handler may throw bad_alloc, which these have to end, and C cannot
 * catch. The C++ runtime's own forms can: they call the throwing form, which is that of
 * cxx.c, and turn what it throws into NULL. So when there is a handler they are called.
 * The archive leaves this file out: a program takes the runtime's forms from its library.
 */
#include "internal.h"

typedef void *plain_form(size_t n, const void *nothrow);
typedef void *aligned_form(size_t n, size_t align, const void *nothrow);

static noinline void *again(enum mw_origin by, size_t align, size_t n, const void *nothrow, const char *name)
{
	void *form = mw__new_handler() ? mw__cxx_runtime(name) : NULL;

	if (!form)
		return mw__new_again(by, align, n);
	return align ? ((aligned_form *)form)(n, align, nothrow) : ((plain_form *)form)(n, nothrow);
}

MW_EXPORT void *_ZnwmRKSt9nothrow_t(size_t n, const void *t)
{
	void *p = mw__new(n, BY_NEW);

	return likely(p != NULL) ? p : again(BY_NEW, 0, n, t, __func__);
}

MW_EXPORT void *_ZnamRKSt9nothrow_t(size_t n, const void *t)
{
	void *p = mw__new(n, BY_NEW_ARRAY);

	return likely(p != NULL) ? p : again(BY_NEW_ARRAY, 0, n, t, __func__);
}

MW_EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t a, const void *t)
{
	void *p = mw__new_aligned(BY_NEW, a, n);

	return likely(p != NULL) ? p : again(BY_NEW, a, n, t, __func__);
}

MW_EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t a, const void *t)
{
	void *p = mw__new_aligned(BY_NEW_ARRAY, a, n);

	return likely(p != NULL) ? p : again(BY_NEW_ARRAY, a, n, t, __func__);
}
