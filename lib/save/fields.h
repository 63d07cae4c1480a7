/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The members of the snapshot's structs as data. Writing and reading walk the same tables,
 * so a member is in both or in neither, and a test compares the tables with the structs.
 */
#ifndef MW_SAVE_FIELDS_H
#define MW_SAVE_FIELDS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum mw__field_kind {
	MW__F_NUMBER,	/* unsigned, of size bytes; all ones: null */
	MW__F_ADDR,	/* uint64_t as "0x..."; all ones: null */
	MW__F_LIMIT,	/* uint64_t; MW__NO_LIMIT: "unlimited" */
	MW__F_PID,	/* pid_t, not negative */
	MW__F_BOOL,
	MW__F_CHAR,	/* one character */
	MW__F_TEXT,	/* const char *, or NULL */
	MW__F_NAME,	/* an enumerator of size bytes, by its name */
};

struct mw__field {
	const char *key;
	uint16_t off;
	uint8_t size;
	uint8_t kind;
	const char *(*name)(unsigned i);	/* MW__F_NAME; NULL past the last one */
};

struct mw__fields {
	const struct mw__field *v;
	size_t n;
	size_t size;	/* of the struct */
	size_t first;	/* rows of older versions have so many of the members only; 0: all */
};

extern const struct mw__fields mw__target_fields, mw__status_fields, mw__roads_fields,
	mw__limits_fields, mw__cgroup_fields, mw__layout_fields, mw__smaps_fields,
	mw__vma_fields, mw__file_fields, mw__image_fields, mw__segment_fields,
	mw__section_fields, mw__detail_fields, mw__task_fields, mw__claim_fields, mw__note_fields;
/* These are written as rows, [VALUE,...] in the order of the table, since there are many. */
extern const struct mw__fields mw__symbol_fields, mw__cpuid_fields, mw__reloc_page_fields, mw__frame_fields, mw__source_line_fields;

/* The structs that are there once, as members of the first line. */
struct mw__head_part {
	const char *key;
	size_t off;	/* in struct mw_snapshot */
	const struct mw__fields *fields;
};
#define MW__N_HEAD_PARTS 7
extern const struct mw__head_part mw__head_parts[MW__N_HEAD_PARTS];

/* An unsigned member of 1, 2, 4 or 8 bytes. */
static inline uint64_t mw__field_load(const void *base, const struct mw__field *field)
{
	uint64_t v = 0;

	memcpy(&v, (const char *)base + field->off, field->size);	/* little-endian */
	return v;
}

static inline void mw__field_store(void *base, const struct mw__field *field, uint64_t v)
{
	memcpy((char *)base + field->off, &v, field->size);
}

/* The value that stands for unknown, and one more than the largest that can be kept. */
static inline uint64_t mw__field_unknown(const struct mw__field *field)
{
	return UINT64_MAX >> (64 - 8 * field->size);
}

/* Make every member unknown, absent or false, before what is known is filled in. */
void mw__fields_init(const struct mw__fields *fields, void *base);

#endif
