/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef MW__REPORT_FOLD_H
#define MW__REPORT_FOLD_H

#include "../base/str.h"

#include <string.h>

/* A frame of folded stacks: ';' separates frames and a newline lines, and names are anyone's: neither is in it. */
static inline void mw__fold_name(struct mw__str *s, const char *name)
{
	size_t at = s->n;

	mw__str_escape(s, name, strlen(name));
	for (size_t i = at; !s->failed && i < s->n; i++)
		if (s->v[i] == ';')
			s->v[i] = ':';
}

#endif
