/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Notes with what they say. */
#include "../elf/notes.h"

#include <stdio.h>
#include <string.h>

#include "elf_view.h"

/* A file of notes alone could fill the memory with its document. */
#define MAX_NOTES 20000

static const struct mw__col detail_cols[] = {
	{ "key", "Key", MW__T_TEXT, MW__COL_JSON_ONLY, "what it is" },
	{ "value", "Value", MW__T_TEXT, MW__COL_JSON_ONLY, "its value" },
};

/* In text three short ones share a line: a core has dozens of registers a thread. */
#define SLOT 25
#define LINE (3 * SLOT)

struct details {
	struct mw__doc_node *object, *table;
	char line[LINE + 1];
	size_t n;		/* used of it */
};

static void end_line(struct details *d)
{
	while (d->n && d->line[d->n - 1] == ' ')
		d->n--;
	if (d->n)
		mw__view_line(d->object, "    %.*s", (int)d->n, d->line);
	d->n = 0;
}

static void add_text(struct details *d, const char *key, const char *text)
{
	size_t len = strlen(key) + 2 + strlen(text), slots = (len + 1 + SLOT) / SLOT * SLOT;

	if (len > LINE) {
		end_line(d);
		mw__view_line(d->object, "    %s: %s", key, text);
		return;
	}
	if (d->n + len > LINE)
		end_line(d);
	snprintf(d->line + d->n, sizeof(d->line) - d->n, "%s: %s", key, text);
	memset(d->line + d->n + len, ' ', sizeof(d->line) - 1 - d->n - len);
	d->n = d->n + slots < LINE ? d->n + slots : LINE;
}

static void add_detail(void *ctx, const char *key, const char *text)
{
	struct details *d = ctx;
	struct mw__doc_row *r = mw__doc_row(d->table);

	mw__row_text(d->table, r, 0, key);
	mw__row_text(d->table, r, 1, text);
	add_text(d, key, text);
}

static void add_note(const struct mw__elf_view *v, struct mw__doc_node *list, const struct mw__elfnote *n)
{
	const char *name = mw__note_type_name(v->elf, n);
	struct mw__doc_node *o = mw__doc_object(list, NULL);
	char buf[32];
	struct details d = { .object = o };

	mw__doc_text(o, "owner", n->owner);
	mw__doc_field(o, "type", MW__T_COUNT, n->type);
	mw__doc_text(o, "type_name", name);
	mw__doc_u64(o, "size", MW__T_BYTES, n->desc_size);
	mw__doc_u64(o, "offset", MW__T_ADDR, n->off);
	mw__view_line(o, "  %-10s %s, %llu bytes", n->owner, mw__view_name(name, n->type, buf, sizeof(buf)),
		      (unsigned long long)n->desc_size);
	d.table = mw__doc_table(o, "details", NULL, detail_cols, MW__COUNT(detail_cols));
	mw__note_decode(v->elf, n, add_detail, &d);
	end_line(&d);
}

void mw__elf_view_notes(const struct mw__elf_view *v)
{
	struct mw__doc_node *list = mw__doc_list(v->node, "notes");
	struct mw__notes t;
	struct mw__elfnote n;
	size_t found = 0;
	int rc;

	for (size_t i = 0; (rc = mw__notes_open(v->elf, i, &t)) >= 0; i++) {
		if (!rc)
			continue;
		struct mw__doc_node *o = mw__doc_object(list, NULL);

		mw__doc_text(o, "table", t.name);
		mw__doc_u64(o, "offset", MW__T_ADDR, t.off);
		mw__doc_u64(o, "size", MW__T_BYTES, t.size);
		mw__view_line(o, "\002Notes of %s at %#llx", t.name, (unsigned long long)t.off);
		struct mw__doc_node *entries = mw__doc_list(o, "entries");

		while (found < MAX_NOTES && mw__notes_next(&t, &n)) {
			add_note(v, entries, &n);
			found++;
		}
	}
	if (found >= MAX_NOTES)
		mw__elf_diag(v->elf, MW__ELF_NOTE, "number of notes", found, MW_UNKNOWN, MAX_NOTES,
			     "only the first %u notes are shown", MAX_NOTES);
	if (!found)
		mw__view_heading(v, "There are no notes.");
}
