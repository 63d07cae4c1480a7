/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "heap.h"

int mw__claim(struct mw_snapshot *snap, uint64_t start, uint64_t end, enum mw__owner owner,
	      enum mw__certainty certainty, enum mw__claim_priority priority, const char *rule, const char *detail)
{
	if (start >= end)
		return 0;
	const char *copy = detail ? mw__arena_str(&snap->arena, detail) : NULL;
	struct mw__claim *c = MW_VEC_PUSH(&snap->claims);

	if (!c || (detail && !copy))
		return -MW_E_NOMEM;
	*c = (struct mw__claim){ .start = start, .end = end, .owner = owner, .certainty = certainty,
				 .priority = priority, .rule = rule, .detail = copy };
	return 0;
}
