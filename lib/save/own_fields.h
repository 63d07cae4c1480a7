/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inside of our own heap as data: its numbers as a record, and lists of rows. */
#ifndef MW_SAVE_OWN_FIELDS_H
#define MW_SAVE_OWN_FIELDS_H

#include "fields.h"

#include "../model/own.h"

/* A heap with more spans and free runs is not saved. */
#define MW__SAVE_OWN_MAX (1u << 20)

struct mw__own_list {
	const char *key;
	const struct mw__fields *fields;
	size_t off;	/* in struct mw__own: of the vector, or of the array of max elements */
	size_t max;
	bool is_array;
};
#define MW__N_OWN_LISTS 9
extern const struct mw__own_list mw__own_lists[MW__N_OWN_LISTS];
extern const struct mw__fields mw__own_fields;

/* Any MW_VEC. */
struct mw__any_vec {
	char *v;
	size_t n, cap;
};

/* Frames of sites, and their source lines, each with the place that it belongs to. */
struct mw__saved_frame {
	uint32_t site;
	uint64_t addr, off;
	const char *symbol, *image;
};
struct mw__saved_line {
	uint32_t site, frame;
	uint64_t line;
	const char *function, *file;
};
extern const struct mw__fields mw__saved_frame_fields, mw__saved_line_fields;

#endif
