/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the parts of the snapshot reader share: the records (read.c), the values in them (values.c), the heap
 * (heap_read.c). Only these, recording_read.c and version.c include json-c.
 */
#ifndef MW_SAVE_READER_H
#define MW_SAVE_READER_H

#include <json-c/json.h>

#include "fields.h"
#include "own_fields.h"
#include "save.h"

struct mw__reader {
	struct mw__save_lines *lines;
	struct mw_err *err;
	struct mw_snapshot *snap;
	struct json_tokener *tokener;
	int failure;		/* why an element could not be added */
	uint64_t records;
	uint64_t n_parts, n_symbols;	/* of all images */
	bool has_head, has_end;
	size_t n_smaps, cap_smaps;	/* of snap->smaps */
	MW_VEC(struct mw__segment) segments;	/* of the image read last */
	MW_VEC(struct mw__section) sections;
	struct mw__detail *detail;
	MW_VEC(struct mw__symbol) symbols;
	MW_VEC(struct mw__reloc_page) reloc_pages;
	size_t n_classes;	/* of the heap */
};

/* An error at this line; MW_E_FORMAT. */
int mw__reader_fail(struct mw__reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int mw__reader_nomem(struct mw__reader *r);

/* False, and r->failure, if there are max of them. */
bool mw__reader_has_room(struct mw__reader *r, size_t n, size_t max, const char *what);

/* A new element, or NULL and r->failure. */
#define MW__READER_ADD(r, vec, max, what)                                       \
	({                                                                      \
		__typeof__((vec)->v) elem_ = NULL;                              \
		if (mw__reader_has_room(r, (vec)->n, max, what)) {              \
			elem_ = MW_VEC_PUSH(vec);                               \
			if (!elem_)                                             \
				(r)->failure = mw__reader_nomem(r);             \
		}                                                               \
		elem_;                                                          \
	})

/* A whole number below limit. */
int mw__read_number(struct mw__reader *r, const char *key, struct json_object *o, uint64_t limit, uint64_t *ret);
/* All members of an object that are there; the others stay unknown. */
int mw__read_struct(struct mw__reader *r, const struct mw__fields *fields, struct json_object *o, const char *key, void *base);
/* [VALUE,...]: all members of the table, in its order; a later version may have more, an earlier one fewer. */
int mw__read_row(struct mw__reader *r, const struct mw__fields *fields, struct json_object *o, const char *key, void *base);
/* A list: call read_one for each. */
int mw__read_rows(struct mw__reader *r, struct json_object *o, const char *key,
		  int (*read_one)(struct mw__reader *r, struct json_object *o));

/* heap_read.c: the record {"heap":{...}}, and those that follow it. */
int mw__read_own(struct mw__reader *r, struct json_object *o);
int mw__read_own_list(struct mw__reader *r, const struct mw__own_list *l, struct json_object *o);
int mw__read_heap_frames(struct mw__reader *r, struct json_object *o);
int mw__read_heap_lines(struct mw__reader *r, struct json_object *o);

#endif
