/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file register of a line table starts as 1, and in version 5, where files are counted from 0, that is the
 * second one (DWARF 5, 6.2.2 and 6.2.4). libdwarf 20210528 starts with 0, so rows before the first DW_LNS_set_file get
 * the wrong file: those of a header, when its function comes first in an object. So the opcodes are
 * walked here, only to know which rows those are.
 */
#include "linefiles.h"

#include <stdlib.h>

#include "../base/vec.h"
#include "raw.h"

struct reader {
	const uint8_t *p;
	uint64_t at, end;
	bool big, failed;
};

static uint64_t num(struct reader *r, unsigned size)
{
	if (!mw__fits(r->at, size, r->end)) {
		r->failed = true;
		r->at = r->end;
		return 0;
	}
	r->at += size;
	return mw__raw_num(r->p + r->at - size, size, r->big);
}

static uint64_t uleb(struct reader *r)
{
	uint64_t v;

	r->failed |= !mw__raw_leb(r->p, &r->at, r->end, false, &v);
	return v;
}

struct head {
	uint8_t opcode_base;
	uint8_t n_args[256];	/* of standard opcodes */
};

/* Leaves r at the first opcode, and its end at that of the table. */
static bool read_head(struct reader *r, struct head *h)
{
	uint64_t len = num(r, 4);
	unsigned size = len == UINT32_MAX ? 8 : 4;

	if (size == 8)
		len = num(r, 8);
	if (r->failed || !mw__fits(r->at, len, r->end))
		return false;
	r->end = r->at + len;
	if (num(r, 2) != 5)
		return false;
	num(r, 2);	/* sizes of an address and a segment selector */
	len = num(r, size);
	if (!mw__fits(r->at, len, r->end))
		return false;
	uint64_t program = r->at + len;

	num(r, 4);	/* minimum_instruction_length, maximum_operations, default_is_stmt, line_base */
	num(r, 1);	/* line_range */
	h->opcode_base = (uint8_t)num(r, 1);
	for (unsigned i = 1; i < h->opcode_base; i++)
		h->n_args[i] = (uint8_t)num(r, 1);
	if (r->failed || r->at > program)
		return false;
	r->at = program;
	return true;
}

enum { EXTENDED = 0, COPY = 1, SET_FILE = 4, FIXED_ADVANCE = 9, END_SEQUENCE = 1 };

/* One opcode; true when it makes a row. */
static bool step(struct reader *r, const struct head *h, bool *is_default, bool *is_end)
{
	uint8_t op = (uint8_t)num(r, 1);

	*is_end = false;
	if (op >= h->opcode_base)
		return true;
	if (op == EXTENDED) {
		uint64_t len = uleb(r), next;

		if (r->failed || !len || !mw__fits(r->at, len, r->end)) {
			r->failed = true;
			return false;
		}
		next = r->at + len;
		*is_end = num(r, 1) == END_SEQUENCE;
		r->at = next;
		return *is_end;
	}
	if (op == FIXED_ADVANCE) {
		num(r, 2);
		return false;
	}
	for (unsigned i = 0; i < h->n_args[op]; i++)
		uleb(r);
	if (op == SET_FILE)
		*is_default = false;
	return op == COPY;
}

bool *mw__line_defaults(const uint8_t *p, uint64_t n, uint64_t off, bool big, size_t *n_rows)
{
	struct reader r = { p, off, n, big, off > n };
	MW_VEC(bool) rows = { 0 };
	struct head h = { 0 };
	bool is_default = true, is_end;

	if (r.failed || !read_head(&r, &h))
		return NULL;
	while (r.at < r.end && !r.failed) {
		if (!step(&r, &h, &is_default, &is_end) || r.failed)
			continue;
		bool *row = MW_VEC_PUSH(&rows);

		if (!row) {
			r.failed = true;
			break;
		}
		*row = is_default;
		is_default |= is_end;
	}
	if (r.failed) {
		MW_VEC_FREE(&rows);
		return NULL;
	}
	*n_rows = rows.n;
	return rows.v;
}
