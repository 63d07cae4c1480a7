/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the views of an ELF file share. They turn facts of lib/elf (which these files may
 * include, as the only ones right of the freeze: a static view has no snapshot) into a
 * document; long tables are streams that read on while they are written.
 */
#ifndef MW_REPORT_ELF_VIEW_H
#define MW_REPORT_ELF_VIEW_H

#include "../elf/file.h"
#include "stream.h"


struct mw__elf_view {
	struct mw_elf *elf;
	const struct mw_elf_opts *opts;
	struct mw__doc_node *node;	/* the file's object */
	struct mw_document *doc;
};

/* Memory that lives as long as the document; marks it failed when there is none. */
void *mw__view_alloc(const struct mw__elf_view *v, size_t size);
/* A line of text only; "" is an empty one. Starts with "\002": a heading. */
void mw__view_line(struct mw__doc_node *node, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A heading, with the path when several files are shown. */
void mw__view_heading(const struct mw__elf_view *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "7 (FUNC)"-like names for numbers without one: "<7>"-style text into buf. */
const char *mw__view_name(const char *known, uint64_t number, char *buf, size_t size);

void mw__elf_view_header(const struct mw__elf_view *v);
void mw__elf_view_segments(const struct mw__elf_view *v);
void mw__elf_view_sections(const struct mw__elf_view *v);
void mw__elf_view_details(const struct mw__elf_view *v);
void mw__elf_view_groups(const struct mw__elf_view *v);
void mw__elf_view_symbols(const struct mw__elf_view *v);
void mw__elf_view_dynsyms(const struct mw__elf_view *v);
void mw__elf_view_histogram(const struct mw__elf_view *v);
void mw__elf_view_dynamic(const struct mw__elf_view *v);
void mw__elf_view_versions(const struct mw__elf_view *v);
void mw__elf_view_relocs(const struct mw__elf_view *v);
void mw__elf_view_notes(const struct mw__elf_view *v);
void mw__elf_view_unwind(const struct mw__elf_view *v);
void mw__elf_view_plan(const struct mw__elf_view *v);
struct mw__plan;
/* The plan as a picture, below its table. */
void mw__elf_view_picture(const struct mw__elf_view *v, struct mw__doc_node *node, const struct mw__plan *plan);
void mw__elf_view_check(const struct mw__elf_view *v);
void mw__elf_view_sizes(const struct mw__elf_view *v);
void mw__elf_view_index(const struct mw__elf_view *v);
void mw__elf_view_hex_headers(const struct mw__elf_view *v);
void mw__elf_view_dumps(const struct mw__elf_view *v);
void mw__elf_view_attributes(const struct mw__elf_view *v);
void mw__elf_view_dwarf(const struct mw__elf_view *v);

#endif
