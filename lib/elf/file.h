/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An ELF file that was opened: header, program headers and section headers in one form,
 * contents by range, and a list of everything that is wrong with it. Opening succeeds
 * for any file that starts like ELF, however broken the rest is.
 *
 * Whatever is read later (symbols, notes, ...) adds its diagnostics here too, so they
 * are complete only after the document was written.
 */
#ifndef MW_ELF_FILE_H
#define MW_ELF_FILE_H

#include <libelf.h>

#include "../base/arena.h"
#include "../base/vec.h"
#include "../memwhy.h"
#include "lazy.h"
#include "raw.h"

/* How bad a finding is. From MW__ELF_BAD on the file counts as malformed. */
enum mw__elf_severity {
	MW__ELF_NOTE,	/* odd, but allowed, or nobody minds */
	MW__ELF_BAD,	/* breaks a rule of the format */
	MW__ELF_FATAL,	/* what it describes could not be read */
};
extern const char *const mw__elf_severities[3];	/* "note", "malformed", "unreadable" */

struct mw__elf_diag {
	enum mw__elf_severity severity;
	const char *field;	/* "e_shoff", "sh_size of section 7", ... */
	uint64_t value;
	uint64_t off;		/* where the field is in the file; MW_UNKNOWN */
	uint64_t bound;		/* the limit that it breaks; MW_UNKNOWN */
	const char *text;
};

/* Bytes of the file, in this machine's form. */
struct mw__chunk {
	uint64_t off, size;
	Elf_Type type;
	void *p;
};

/* Text with offsets: NUL-terminated from any offset below n. */
struct mw__strtab {
	const char *p;
	size_t n;
	struct mw__lazy *lazy;	/* which reads it; NULL: all is there */
};

enum mw__elf_kind { MW__ELF_FILE, MW__ELF_ARCHIVE };

struct mw_elf {
	struct mw__arena arena;
	const char *path;
	const char *member;		/* name in the archive, or NULL */
	const char *own_path;		/* of a member of a thin archive: the file that it is */
	struct mw_elf *archive;		/* of which this is a member, or NULL */
	struct mw_elf *members, *next_member;	/* of an archive, those that a report opened */
	enum mw__elf_kind kind;
	int fd;
	uint64_t base, size;		/* bytes of fd that are this file */
	bool from_memory;		/* fd holds what was in a process's memory */
	uint64_t bias;			/* then: address = bias + p_vaddr */

	uint8_t ident[EI_NIDENT];
	uint64_t head_bytes;		/* bytes of the header that exist, at most its size */
	struct mw__elf_layout lay;	/* how it is read; the ident bytes may lie */
	struct mw__ehdr eh;
	uint64_t phnum, shnum, shstrndx;	/* after extended numbering; as the file claims */
	uint64_t phentsize, shentsize;		/* strides that are used */
	struct mw__phdr *ph;
	size_t n_ph;			/* those that exist in the file */
	struct mw__shdr *sh;
	size_t n_sh;
	struct mw__strtab shstr;
	bool dynamic_tried, debug_tried, embedded_tried;
	bool ask_servers;			/* debuginfod may be asked for the debug file */
	struct mw_elf *debug, *embedded;	/* debugfile.c */
	struct mw__elf_dynamic *dyn;	/* dynamic.c */
	struct mw__elf_versions *vers;	/* versions.c */
	struct mw__symtab_known *symtabs;	/* symbols.c: those opened so far */

	MW_VEC(struct mw__elf_diag) diags;
	uint64_t more_diags;		/* not kept */
	bool is_malformed;
	MW_VEC(struct mw__chunk) chunks;
	uint64_t chunk_bytes;
	struct mw__lazy *lazies;
};

/* Add a finding; the text is formatted into the arena. Floods are cut. off, bound: MW_UNKNOWN if none. */
void mw__elf_diag(struct mw_elf *elf, enum mw__elf_severity severity, const char *field, uint64_t value,
		  uint64_t off, uint64_t bound, const char *fmt, ...)
	__attribute__((format(printf, 7, 8)));

/* Copy size bytes at off. False when they do not all exist (the file may have shrunk). */
bool mw__elf_read(const struct mw_elf *elf, uint64_t off, void *buf, size_t size);
/* The same in this machine's form, an array of type; zeros and a finding about what when it fails. */
void mw__elf_read_as(struct mw_elf *elf, uint64_t off, void *buf, size_t size, Elf_Type type, const char *what);
/* Whether so much more may be read: it is in the file, and what overlaps is not read over and over. */
bool mw__elf_may_read(struct mw_elf *elf, uint64_t off, uint64_t size, const char *what);

/*
 * The bytes [off, off + size) as an array of type in this machine's byte order, or NULL
 * with a finding about what. Belongs to elf until mw__elf_chunk_drop() or close. The sum
 * of all chunks is bounded by a multiple of the file's size.
 */
void *mw__elf_chunk(struct mw_elf *elf, uint64_t off, uint64_t size, Elf_Type type, const char *what);
void mw__elf_chunk_drop(struct mw_elf *elf, const void *p);

/*
 * An array that is read in order, a piece at a time: the relocations of a browser take 26 MB.
 * Counts as read like a chunk does. at() gives element i in this machine's form until the
 * next call; zeros, with a finding, where the file has shrunk.
 */
struct mw__elf_window {
	struct mw_elf *elf;
	const char *what;
	uint64_t off;
	size_t elem, n;		/* bytes of an element; elements */
	Elf_Type type;
	size_t first, have;	/* elements in buf */
	char *buf;
};
bool mw__elf_window_open(struct mw_elf *elf, uint64_t off, size_t n, size_t elem, Elf_Type type, const char *what,
			 struct mw__elf_window *ret);
void mw__elf_window_close(struct mw__elf_window *w);	/* it no longer counts as read */
void mw__elf_window_move(struct mw__elf_window *w, size_t i);
static inline const void *mw__elf_window_at(struct mw__elf_window *w, size_t i)
{
	if (i - w->first >= w->have)
		mw__elf_window_move(w, i);
	return w->buf + (i - w->first) * w->elem;
}

/* The string table in [off, off + size); size is cut at the end of the file. n is 0 when unreadable. */
struct mw__strtab mw__elf_strtab(struct mw_elf *elf, uint64_t off, uint64_t size, const char *what);
/* The text at off, or NULL. */
static inline const char *mw__strtab_at(struct mw__strtab tab, uint64_t off)
{
	if (off >= tab.n)
		return NULL;
	return tab.lazy ? mw__lazy_at(tab.lazy, off) : tab.p + off;
}

/* Name of section i; "" when it has none, "<corrupt>" when its offset is wild. */
const char *mw__elf_section_name(const struct mw_elf *elf, size_t i);
/* First section of this type or name; n_sh when absent. */
size_t mw__elf_section_by_type(const struct mw_elf *elf, uint32_t type, size_t from);
size_t mw__elf_section_by_name(const struct mw_elf *elf, const char *name);
/* Bytes of section i that exist in the file. */
uint64_t mw__elf_section_bytes(const struct mw_elf *elf, size_t i);
/* File offset of an address through PT_LOAD, with the bytes that follow it there in the file. */
bool mw__elf_addr_to_off(const struct mw_elf *elf, uint64_t addr, uint64_t *off, uint64_t *left);
/* Where header number i of a table is in the file. */
static inline uint64_t mw__elf_sh_off(const struct mw_elf *elf, uint64_t i)
{
	return elf->eh.shoff + i * elf->shentsize;
}
static inline uint64_t mw__elf_ph_off(const struct mw_elf *elf, uint64_t i)
{
	return elf->eh.phoff + i * elf->phentsize;
}
/* Where a field of a header is in the file. fields is one of raw.h's tables, base the header's offset. */
uint64_t mw__elf_field_off(const struct mw_elf *elf, uint64_t base, const struct mw__field *field);

/* The bytes [off, off + size) of an archive; shares its descriptor, name belongs to it. */
MW_MUST_CHECK int mw__elf_open_member(struct mw_elf *ar, const char *name, uint64_t off, uint64_t size,
				      struct mw_elf **ret, struct mw_err *err);
/* As mw_elf_open(), of a path that a file or a process names: a regular file, never what keeps its reader waiting. */
MW_MUST_CHECK int mw__elf_open_named(const char *path, struct mw_elf **ret, struct mw_err *err);
/* A member of a thin archive, which is a file of its own. */
MW_MUST_CHECK int mw__elf_open_thin(struct mw_elf *ar, const char *name, struct mw_elf **ret, struct mw_err *err);
/* For MW_CLEANUP. */
static inline void mw__elf_closep(struct mw_elf **elf) { mw_elf_close(*elf); }
/* size bytes of fd from base on; fd is owned from here on, also on failure. */
MW_MUST_CHECK int mw__elf_open_part(int fd, uint64_t base, uint64_t size, const char *path, struct mw_elf **ret,
				    struct mw_err *err);

#endif
