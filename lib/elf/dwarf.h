/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Questions to the DWARF of a file. libdwarf is not safe with damaged input, so it runs in
 * a child process with limits and answers with records over a pipe; a child that dies costs
 * the answer and nothing else. dwarf.c and dwarf_types.c are the child, dwarf_pipe.c the other end.
 */
#ifndef MW_ELF_DWARF_H
#define MW_ELF_DWARF_H

#include "file.h"

enum mw__dwarf_kind {
	MW__DWARF_UNIT = 1,	/* n: DIE offset, low, high, language, version; text: name, directory, producer */
	MW__DWARF_LINE,		/* n: address asked for, line, depth (0: innermost); text: function, file */
	MW__DWARF_TYPE,		/* n: bytes, DIE offset; text: kind and name */
	MW__DWARF_MEMBER,	/* n: offset, bytes, bit offset, bit size; text: name, type */
	MW__DWARF_RANGE,	/* n: first address, one past the last, DIE offset of the unit, 1 for a variable */
	MW__DWARF_SLICE,	/* n: offset in .debug_info, bytes, DIE offset of the unit, offset in .debug_line or unknown */
	MW__DWARF_SOURCE,	/* n: its number; text: path. Comes before the rows that name it */
	MW__DWARF_ROW,		/* n: first address, one past the last, line, number of the source */
	MW__DWARF_FROM,		/* text: the file that the DWARF was in */
	MW__DWARF_ERROR,	/* text: what libdwarf said */
	MW__DWARF_DONE,
	MW__DWARF_N_KINDS
};

#define MW__DWARF_MAGIC 0x4d574457u
#define MW__DWARF_TEXT 4096	/* most bytes of text in a record */

/* As it crosses the pipe; text_len bytes of NUL-separated text follow. */
struct mw__dwarf_head {
	uint32_t magic, kind;
	uint64_t n[5];
	uint32_t text_len, pad;
};

struct mw__dwarf_record {
	enum mw__dwarf_kind kind;
	uint64_t n[5];
	const char *text[3];	/* "" where there is none */
};

struct mw__dwarf_query {
	const char *path;	/* what libdwarf opens */
	bool is_source;		/* the DWARF is there, or nowhere: no debug file is looked for */
	bool units;
	bool ranges;		/* with units: what each of them owns */
	bool rows;		/* the line tables, rows of the same line joined */
	const uint64_t *addrs;	/* n_addrs of them */
	size_t n_addrs;
	const char *type;	/* name of a struct, class or union, or NULL */
};

struct mw__dwarf_answer {
	struct mw__arena arena;
	MW_VEC(struct mw__dwarf_record) v;
	char trouble[256];	/* why it is not complete, or "" */
};

/* The child: answer on fd and return. */
void mw__dwarf_run(const struct mw__dwarf_query *q, int fd);

/* The file has DWARF, or its debug file is here. */
bool mw__dwarf_exists(struct mw_elf *elf);
/* Ask in a child process. Trouble is no failure. Return: 0, -MW_E_OS (fork, pipe), -MW_E_NOMEM. */
MW_MUST_CHECK int mw__dwarf_ask(struct mw_elf *elf, const struct mw__dwarf_query *q, struct mw__dwarf_answer *ret,
				struct mw_err *err);
/* The parent's side alone: read records from fd until DONE, as many as a file of that size may have. True when it came. */
bool mw__dwarf_collect(int fd, uint64_t file_size, struct mw__dwarf_answer *ret);
void mw__dwarf_answer_deinit(struct mw__dwarf_answer *a);

#endif
