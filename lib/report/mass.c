/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mass.h"

#include "../base/size.h"
#include "../base/str.h"

#include <libiberty/demangle.h>
#include <stdlib.h>
#include <string.h>

/* Longer names are printed as they stand: demangling may take time beyond all measure. */
#define MAX_MANGLED 2048

static const struct mw__col keys[] = { MW__MASS_COLS(0, 0, 0) };
_Static_assert(MW__COUNT(keys) == MW__N_MASS_COLS, "MW__N_MASS_COLS counts MW__MASS_COLS");

static void amounts(const struct mw__mass *m, const struct mw__image *img, uint64_t ret[MW__N_MASS_COLS])
{
	bool unread = m->at[MW__AT_UNREAD], why = !m->at[MW__AT_COPY] || !img || (img->detail && img->detail->relocs_known);
	bool placed = !m->at[MW__AT_CACHE_UNKNOWN] && !unread;
	uint64_t list[MW__N_MASS_COLS] = {
		m->mapped, mw__mass_resident(m), m->at[MW__AT_FILE], m->at[MW__AT_ANON] + m->at[MW__AT_COPY],
		m->at[MW__AT_COPY], why ? m->why[MW__BY_RELOC] : MW_UNKNOWN, why ? m->why[MW__BY_CLEAR] : MW_UNKNOWN,
		why ? m->why[MW__BY_WRITE] : MW_UNKNOWN, m->at[MW__AT_ANON], m->at[MW__AT_SHMEM], m->huge,
		m->at[MW__AT_ZERO], m->at[MW__AT_SWAP], placed ? m->at[MW__AT_CACHED] : MW_UNKNOWN,
		placed ? m->at[MW__AT_UNCACHED] : MW_UNKNOWN,
		m->at[MW__AT_ABSENT] + m->at[MW__AT_CLOSED] + m->at[MW__AT_BEYOND],
	};

	for (size_t i = 0; i < MW__N_MASS_COLS; i++)
		ret[i] = unread && i ? MW_UNKNOWN : list[i];
}

void mw__mass_row(struct mw__doc_node *table, struct mw__doc_row *row, size_t first, const struct mw__mass *m,
		  const struct mw__image *img)
{
	uint64_t v[MW__N_MASS_COLS];

	amounts(m, img, v);
	for (size_t i = 0; i < MW__N_MASS_COLS; i++)
		mw__row_u64(table, row, first + i, v[i]);
}

void mw__mass_members(struct mw__doc_node *object, const struct mw__mass *m, const struct mw__image *img)
{
	uint64_t v[MW__N_MASS_COLS];

	amounts(m, img, v);
	for (size_t i = 0; i < MW__N_MASS_COLS; i++)
		mw__doc_u64(object, keys[i].key, MW__T_BYTES, v[i]);
}

const char *mw__demangle(const char *name, struct mw__str *buf)
{
	char *text = *name == '_' && strlen(name) < MAX_MANGLED ? cplus_demangle(name, DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO) : NULL;

	mw__str_reset(buf);
	mw__str_puts(buf, text ? text : name);
	free(text);
	return buf->failed ? "" : buf->v;
}
