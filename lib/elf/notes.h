/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Notes: of SHT_NOTE sections, or of PT_NOTE segments where there are none. */
#ifndef MW_ELF_NOTES_H
#define MW_ELF_NOTES_H

#include "file.h"

struct mw__elfnote {
	const char *owner;	/* as far as it has no NUL; may be hostile */
	uint64_t type;
	const uint8_t *desc;	/* bytes in the file's order */
	uint64_t desc_size;
	uint64_t off;		/* of the note in the file */
};

struct mw__notes {
	struct mw_elf *elf;
	const char *name;	/* section, or "PT_NOTE" */
	uint64_t off, size, align;
	const uint8_t *p;
	uint64_t at;
};

/* Table i of notes: 1 opened, 0 unreadable, -1 no more. */
int mw__notes_open(struct mw_elf *elf, size_t i, struct mw__notes *ret);
/* The next note; false at the end, or with a finding at damage. */
bool mw__notes_next(struct mw__notes *t, struct mw__elfnote *ret);

/* Name of a note type ("NT_GNU_BUILD_ID"), or NULL. */
const char *mw__note_type_name(const struct mw_elf *elf, const struct mw__elfnote *n);
/*
 * What the descriptor says, as pairs: calls add(ctx, key, text) for each. Stops after
 * what is whole.
 */
typedef void mw__note_add(void *ctx, const char *key, const char *text);
void mw__note_decode(const struct mw_elf *elf, const struct mw__elfnote *n, mw__note_add *add, void *ctx);
/* Build ID as hex into buf (at least 2 * 64 + 1 bytes); false when there is none. */
bool mw__elf_build_id(struct mw_elf *elf, char *buf, size_t size);

#endif
