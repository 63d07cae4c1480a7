/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening. The header, the program headers and the section headers are read by our own
 * pass: libelf drops tables without a word when a number is off (facts: bad e_shoff means
 * no sections, PN_XNUM with sh_info 0 no segments), and refuses a file whose class byte is
 * wrong though the kernel runs it. Contents come by pread(), which fails cleanly when the
 * file shrinks where a mapping would raise SIGBUS, and libelf translates them into this
 * machine's form (elf32_xlatetom, elf64_xlatetom). One road thus serves files, pipes,
 * archive members, process memory and files that lie about their layout.
 *
 * Invariant: n_ph and n_sh count headers whose bytes all exist; phnum and shnum are what
 * the file claims after extended numbering (gABI, chapter 4, "Sections": e_shnum 0,
 * e_shstrndx SHN_XINDEX, e_phnum PN_XNUM are three cases that come independently).
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../base/cleanup.h"
#include "../base/count.h"
#include "../base/err.h"
#include "../base/size.h"
#include "versions.h"

#define MAX_DIAGS 200
#define MAX_SAME 8
#define MAX_SPOOL (UINT64_C(1) << 30)

const char *const mw__elf_severities[3] = { "note", "malformed", "unreadable" };

/* ------------------------------------------------------------- diagnostics */

/* Findings whose field differs in numbers only are of one kind: "st_name of symbol 7". */
static bool same_kind(const char *a, const char *b)
{
	size_t n = strcspn(a, "0123456789");

	return n == strcspn(b, "0123456789") && !strncmp(a, b, n);
}

static bool is_flood(const struct mw_elf *elf, const char *field)
{
	size_t same = 0;

	if (elf->diags.n >= MAX_DIAGS)
		return true;
	for (size_t i = 0; i < elf->diags.n; i++)
		same += same_kind(elf->diags.v[i].field, field);
	return same >= MAX_SAME;
}

/* A table that is read twice says the same twice. */
static bool is_known(const struct mw_elf *elf, const char *field, uint64_t value, uint64_t off)
{
	for (size_t i = 0; i < elf->diags.n; i++) {
		const struct mw__elf_diag *d = &elf->diags.v[i];

		if (d->value == value && d->off == off && !strcmp(d->field, field))
			return true;
	}
	return false;
}

void mw__elf_diag(struct mw_elf *elf, enum mw__elf_severity severity, const char *field, uint64_t value,
		  uint64_t off, uint64_t bound, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (severity != MW__ELF_NOTE)
		elf->is_malformed = true;
	if (is_known(elf, field, value, off))
		return;
	if (is_flood(elf, field)) {
		elf->more_diags++;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct mw__elf_diag *d = MW_VEC_PUSH(&elf->diags);

	if (!d)
		return;
	const char *kept_field = mw__arena_str(&elf->arena, field);
	const char *kept_text = mw__arena_str(&elf->arena, text);

	*d = (struct mw__elf_diag){ severity, kept_field ? kept_field : "", value, off, bound,
				    kept_text ? kept_text : "" };
}

/* ----------------------------------------------------------------- reading */

static bool read_fully(int fd, uint64_t off, void *buf, size_t size)
{
	for (char *p = buf; size;) {
		ssize_t n = pread(fd, p, size, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		off += n;
		size -= n;
	}
	return true;
}

bool mw__elf_read(const struct mw_elf *elf, uint64_t off, void *buf, size_t size)
{
	return mw__fits(off, size, elf->size) && read_fully(elf->fd, elf->base + off, buf, size);
}

/* In place: every structure has the same size in file and memory. */
static bool translate(const struct mw_elf *elf, void *p, size_t size, Elf_Type type)
{
	bool native = elf->lay.big == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
	unsigned encode = elf->lay.big ? ELFDATA2MSB : ELFDATA2LSB;
	Elf_Data data = { .d_buf = p, .d_type = type, .d_size = size, .d_version = EV_CURRENT };

	if (native || type == ELF_T_BYTE)
		return true;
	elf_version(EV_CURRENT);
	return elf->lay.is64 ? elf64_xlatetom(&data, &data, encode) : elf32_xlatetom(&data, &data, encode);
}

static void *find_chunk(const struct mw_elf *elf, uint64_t off, uint64_t size, Elf_Type type)
{
	for (size_t i = 0; i < elf->chunks.n; i++) {
		struct mw__chunk *c = &elf->chunks.v[i];

		if (c->off == off && c->size == size && c->type == type)
			return c->p;
	}
	return NULL;
}

bool mw__elf_may_read(struct mw_elf *elf, uint64_t off, uint64_t size, const char *what)
{
	if (!mw__fits(off, size, elf->size)) {
		mw__elf_diag(elf, MW__ELF_FATAL, what, size, MW_UNKNOWN, elf->size,
			     "%s: %#llx bytes at %#llx are not all in the file, which has %#llx", what,
			     (unsigned long long)size, (unsigned long long)off, (unsigned long long)elf->size);
		return false;
	}
	if (size > elf->size * 4 + (1 << 20) - elf->chunk_bytes) {
		mw__elf_diag(elf, MW__ELF_FATAL, what, size, MW_UNKNOWN, elf->size,
			     "%s: not read, the tables read so far overlap and sum to %llu bytes", what,
			     (unsigned long long)elf->chunk_bytes);
		return false;
	}
	return true;
}

static void unreadable(struct mw_elf *elf, uint64_t off, uint64_t size, const char *what)
{
	mw__elf_diag(elf, MW__ELF_FATAL, what, size, MW_UNKNOWN, MW_UNKNOWN, "%s: %#llx bytes at %#llx could not be read",
		     what, (unsigned long long)size, (unsigned long long)off);
}

void mw__elf_read_as(struct mw_elf *elf, uint64_t off, void *buf, size_t size, Elf_Type type, const char *what)
{
	if (mw__elf_read(elf, off, buf, size) && translate(elf, buf, size, type))
		return;
	memset(buf, 0, size);
	unreadable(elf, off, size, what);
}

void *mw__elf_chunk(struct mw_elf *elf, uint64_t off, uint64_t size, Elf_Type type, const char *what)
{
	void *known = find_chunk(elf, off, size, type);

	if (known || !size || !mw__elf_may_read(elf, off, size, what))
		return known;
	struct mw__chunk c = { .off = off, .size = size, .type = type, .p = malloc(size + 1) };

	if (!c.p)
		return NULL;
	if (!mw__elf_read(elf, off, c.p, size) || !translate(elf, c.p, size, type)) {
		unreadable(elf, off, size, what);
		free(c.p);
		return NULL;
	}
	struct mw__chunk *kept = MW_VEC_PUSH(&elf->chunks);

	if (!kept) {
		free(c.p);
		return NULL;
	}
	*kept = c;
	elf->chunk_bytes += size;
	return c.p;
}

void mw__elf_chunk_drop(struct mw_elf *elf, const void *p)
{
	for (size_t i = 0; i < elf->chunks.n; i++) {
		if (elf->chunks.v[i].p != p)
			continue;
		elf->chunk_bytes -= elf->chunks.v[i].size;
		free(elf->chunks.v[i].p);
		elf->chunks.v[i] = elf->chunks.v[--elf->chunks.n];
		return;
	}
}

#define WINDOW_BYTES 32768u

bool mw__elf_window_open(struct mw_elf *elf, uint64_t off, size_t n, size_t elem, Elf_Type type, const char *what,
			 struct mw__elf_window *ret)
{
	size_t most = WINDOW_BYTES / elem;

	if (!n || !mw__elf_may_read(elf, off, (uint64_t)n * elem, what))
		return false;
	*ret = (struct mw__elf_window){ elf, what, off, elem, n, type, 0, 0, NULL };
	ret->buf = mw__arena_alloc(&elf->arena, (n < most ? n : most) * elem);
	if (!ret->buf)
		return false;
	elf->chunk_bytes += (uint64_t)n * elem;
	return true;
}

void mw__elf_window_close(struct mw__elf_window *w)
{
	w->elf->chunk_bytes -= (uint64_t)w->n * w->elem;
}

void mw__elf_window_move(struct mw__elf_window *w, size_t i)
{
	size_t most = WINDOW_BYTES / w->elem, left = w->n - i;
	uint64_t off = w->off + (uint64_t)i * w->elem;

	w->first = i;
	w->have = left < most ? left : most;
	mw__elf_read_as(w->elf, off, w->buf, w->have * w->elem, w->type, w->what);
}

/* Bytes behind the last NUL are no text. */
static size_t text_bytes(struct mw__lazy *l)
{
	size_t size = (size_t)1 << l->shift;

	for (size_t b = (l->n - 1) >> l->shift;; b--) {
		const char *p = mw__lazy_at(l, b << l->shift);
		const char *last = memrchr(p, '\0', mw__min(size, l->n - (b << l->shift)));

		if (last)
			return last - l->p + 1;
		if (!b)
			return 0;
	}
}

struct mw__strtab mw__elf_strtab(struct mw_elf *elf, uint64_t off, uint64_t size, const char *what)
{
	struct mw__strtab tab = { "", 0, NULL };

	if (off < elf->size && size > elf->size - off) {
		mw__elf_diag(elf, MW__ELF_BAD, what, size, MW_UNKNOWN, elf->size - off,
			     "%s: %#llx bytes, but only %#llx are left in the file", what,
			     (unsigned long long)size, (unsigned long long)(elf->size - off));
		size = elf->size - off;
	}
	struct mw__lazy *l = mw__lazy_open(elf, off, size, 1, ELF_T_BYTE, what);
	size_t n = l ? text_bytes(l) : 0;

	if (n)
		tab = (struct mw__strtab){ l->p, n, l };
	if (l && n < size)
		mw__elf_diag(elf, MW__ELF_BAD, what, size, MW_UNKNOWN, MW_UNKNOWN,
			     "%s: the last string is not terminated", what);
	return tab;
}

/* ---------------------------------------------------------------- layout */

/* How well the header fits a layout: 0..3. */
static unsigned layout_score(const uint8_t *head, size_t len, struct mw__elf_layout lay)
{
	struct mw__ehdr eh;

	if (len < mw__raw_size_ehdr(lay.is64))
		return 0;
	mw__raw_decode(mw__ehdr_fields, MW__COUNT(mw__ehdr_fields), head, len, lay, &eh);
	return (eh.version == 1) + (eh.ehsize == mw__raw_size_ehdr(lay.is64)) +
	       ((eh.phentsize == 0 || eh.phentsize == mw__raw_size_phdr(lay.is64)) &&
		(eh.shentsize == 0 || eh.shentsize == mw__raw_size_shdr(lay.is64)));
}

/*
 * The class and data bytes are not looked at by the kernel on x86-64, so a file may lie
 * in them and run. Their word counts unless another layout fits clearly better.
 */
static void choose_layout(struct mw_elf *elf, const uint8_t *head, size_t len)
{
	const uint8_t *id = elf->ident;
	struct mw__elf_layout best = { id[EI_CLASS] != ELFCLASS32, id[EI_DATA] == ELFDATA2MSB };
	unsigned best_score = layout_score(head, len, best);

	for (unsigned i = 0; i < 4 && best_score < 3; i++) {
		struct mw__elf_layout lay = { !(i & 1), i >> 1 };
		unsigned score = layout_score(head, len, lay);

		if (score == 3 && score > best_score) {
			best = lay;
			best_score = score;
		}
	}
	elf->lay = best;
	if (id[EI_CLASS] != (best.is64 ? ELFCLASS64 : ELFCLASS32) && len > EI_CLASS)
		mw__elf_diag(elf, MW__ELF_BAD, "e_ident[EI_CLASS]", id[EI_CLASS], EI_CLASS, ELFCLASS64,
			     "class byte %u is wrong: read as %s bit, which fits the header", id[EI_CLASS],
			     best.is64 ? "64" : "32");
	if (id[EI_DATA] != (best.big ? ELFDATA2MSB : ELFDATA2LSB) && len > EI_DATA)
		mw__elf_diag(elf, MW__ELF_BAD, "e_ident[EI_DATA]", id[EI_DATA], EI_DATA, ELFDATA2MSB,
			     "byte order byte %u is wrong: read as %s endian", id[EI_DATA],
			     best.big ? "big" : "little");
}

/* ----------------------------------------------------------------- tables */

/* Headers of a table that exist in the file; a finding when fewer than claimed. */
static uint64_t clamp_count(struct mw_elf *elf, uint64_t off, uint64_t count, uint64_t stride, const char *off_field,
			    uint64_t off_at, const char *count_field, uint64_t count_at)
{
	if (!count)
		return 0;
	if (off >= elf->size || (!elf->archive && !off)) {
		mw__elf_diag(elf, MW__ELF_FATAL, off_field, off, off_at, elf->size,
			     "%s %#llx leaves no room for the table in a file of %#llx bytes", off_field,
			     (unsigned long long)off, (unsigned long long)elf->size);
		return 0;
	}
	uint64_t room = (elf->size - off) / stride;

	if (count > room)
		mw__elf_diag(elf, MW__ELF_FATAL, count_field, count, count_at, room,
			     "%s says %llu headers at %#llx, of which %llu are in the file", count_field,
			     (unsigned long long)count, (unsigned long long)off, (unsigned long long)room);
	return count > room ? room : count;
}

static uint64_t eh_field_off(const struct mw_elf *elf, const struct mw__field *field)
{
	return mw__elf_field_off(elf, 0, field);
}

/* The stride of a table: entry sizes other than the real one are never right, so they are not used. */
static uint64_t stride(struct mw_elf *elf, uint64_t claimed, uint64_t real, const struct mw__field *field, uint64_t count)
{
	if (claimed != real && count)
		mw__elf_diag(elf, MW__ELF_BAD, field->name, claimed, eh_field_off(elf, field), real,
			     "%s is %llu, must be %llu", field->name, (unsigned long long)claimed,
			     (unsigned long long)real);
	return real;
}

static void *read_table(struct mw_elf *elf, const struct mw__field *fields, size_t n_fields, size_t elem,
			uint64_t off, uint64_t size, uint64_t count)
{
	uint8_t *raw = malloc(count * size + 1);
	char *v = mw__arena_array(&elf->arena, count, elem);

	if (!raw || !v || !mw__elf_read(elf, off, raw, count * size)) {
		free(raw);
		mw__elf_diag(elf, MW__ELF_FATAL, fields[0].name, off, off, MW_UNKNOWN,
			     "the table at %#llx could not be read", (unsigned long long)off);
		return NULL;
	}
	for (uint64_t i = 0; i < count; i++)
		mw__raw_decode(fields, n_fields, raw + i * size, size, elf->lay, v + i * elem);
	free(raw);
	return v;
}

/* Section header 0 carries what does not fit into the ELF header. */
static bool first_section(struct mw_elf *elf, struct mw__shdr *ret)
{
	uint8_t raw[64];
	uint64_t size = mw__raw_size_shdr(elf->lay.is64);

	if (!elf->eh.shoff || !mw__elf_read(elf, elf->eh.shoff, raw, size))
		return false;
	mw__raw_decode(mw__shdr_fields, MW__COUNT(mw__shdr_fields), raw, size, elf->lay, ret);
	return true;
}

static void extend_numbers(struct mw_elf *elf)
{
	struct mw__shdr zero;
	bool wanted = elf->eh.phnum == PN_XNUM || elf->eh.shstrndx == SHN_XINDEX ||
		      (!elf->eh.shnum && elf->eh.shoff);

	elf->phnum = elf->eh.phnum;
	elf->shnum = elf->eh.shnum;
	elf->shstrndx = elf->eh.shstrndx;
	if (!wanted)
		return;
	if (!first_section(elf, &zero)) {
		mw__elf_diag(elf, MW__ELF_FATAL, "e_shoff", elf->eh.shoff, eh_field_off(elf, MW__EH(shoff)), elf->size,
			     "extended numbering needs section header 0 at %#llx, which is not in the file",
			     (unsigned long long)elf->eh.shoff);
		elf->shnum = 0;
		return;
	}
	if (elf->eh.phnum == PN_XNUM && zero.info)
		elf->phnum = zero.info;
	else if (elf->eh.phnum == PN_XNUM)
		mw__elf_diag(elf, MW__ELF_BAD, "sh_info of section 0", 0, mw__elf_field_off(elf, elf->eh.shoff,
			     MW__SH(info)), PN_XNUM, "e_phnum is PN_XNUM, but sh_info of section 0 is 0");
	if (!elf->eh.shnum)
		elf->shnum = zero.size;
	if (elf->eh.shstrndx == SHN_XINDEX)
		elf->shstrndx = zero.link;
	if (elf->eh.shstrndx == SHN_XINDEX && !zero.link)
		mw__elf_diag(elf, MW__ELF_BAD, "e_shstrndx", SHN_XINDEX, eh_field_off(elf, MW__EH(shstrndx)), elf->shnum,
			     "e_shstrndx is SHN_XINDEX, but sh_link of section 0 is 0");
}

static void read_segments(struct mw_elf *elf)
{
	uint64_t size = mw__raw_size_phdr(elf->lay.is64);

	elf->phentsize = stride(elf, elf->eh.phentsize, size, MW__EH(phentsize), elf->phnum);
	uint64_t n = clamp_count(elf, elf->eh.phoff, elf->phnum, size, "e_phoff", eh_field_off(elf, MW__EH(phoff)), "e_phnum",
				 eh_field_off(elf, MW__EH(phnum)));

	if (n)
		elf->ph = read_table(elf, mw__phdr_fields, MW__COUNT(mw__phdr_fields), sizeof(*elf->ph), elf->eh.phoff, size, n);
	elf->n_ph = elf->ph ? n : 0;
}

static void read_sections(struct mw_elf *elf)
{
	uint64_t size = mw__raw_size_shdr(elf->lay.is64);

	elf->shentsize = stride(elf, elf->eh.shentsize, size, MW__EH(shentsize), elf->shnum);
	uint64_t n = clamp_count(elf, elf->eh.shoff, elf->shnum, size, "e_shoff", eh_field_off(elf, MW__EH(shoff)), "e_shnum",
				 eh_field_off(elf, MW__EH(shnum)));

	if (n)
		elf->sh = read_table(elf, mw__shdr_fields, MW__COUNT(mw__shdr_fields), sizeof(*elf->sh), elf->eh.shoff, size, n);
	elf->n_sh = elf->sh ? n : 0;
}

/* Names are needed by almost every view, and sections are checked when first seen. */
static void read_section_names(struct mw_elf *elf)
{
	if (!elf->n_sh || !elf->shstrndx)
		return;
	if (elf->shstrndx >= elf->n_sh) {
		mw__elf_diag(elf, MW__ELF_BAD, "e_shstrndx", elf->shstrndx, eh_field_off(elf, MW__EH(shstrndx)), elf->n_sh,
			     "e_shstrndx is %llu, but there are %zu section headers",
			     (unsigned long long)elf->shstrndx, elf->n_sh);
		return;
	}
	const struct mw__shdr *s = &elf->sh[elf->shstrndx];

	if (s->type != SHT_STRTAB)
		mw__elf_diag(elf, MW__ELF_BAD, "e_shstrndx", elf->shstrndx, eh_field_off(elf, MW__EH(shstrndx)), SHT_STRTAB,
			     "section %llu, which e_shstrndx names, is no string table (sh_type %llu)",
			     (unsigned long long)elf->shstrndx, (unsigned long long)s->type);
	if (s->type != SHT_NOBITS)
		elf->shstr = mw__elf_strtab(elf, s->off, s->size, "section name table");
}

/* ---------------------------------------------------------------- opening */

static void read_header(struct mw_elf *elf, const uint8_t *head, size_t len)
{
	memcpy(elf->ident, head, len < EI_NIDENT ? len : EI_NIDENT);
	choose_layout(elf, head, len);
	uint64_t want = mw__raw_size_ehdr(elf->lay.is64);

	elf->head_bytes = len < want ? len : want;
	size_t whole = mw__raw_decode(mw__ehdr_fields, MW__COUNT(mw__ehdr_fields), head, elf->head_bytes, elf->lay, &elf->eh);

	if (whole < MW__COUNT(mw__ehdr_fields)) {
		mw__elf_diag(elf, MW__ELF_FATAL, whole ? mw__ehdr_fields[whole].name : "e_type", elf->size,
			     mw__elf_field_off(elf, 0, &mw__ehdr_fields[whole]), want,
			     "the file ends after %zu bytes, its header has %llu", len, (unsigned long long)want);
		return;
	}
	if (elf->eh.ehsize != want)
		mw__elf_diag(elf, MW__ELF_BAD, "e_ehsize", elf->eh.ehsize, eh_field_off(elf, MW__EH(ehsize)), want,
			     "e_ehsize is %llu, must be %llu", (unsigned long long)elf->eh.ehsize,
			     (unsigned long long)want);
	if (elf->eh.version != EV_CURRENT || elf->ident[EI_VERSION] != EV_CURRENT)
		mw__elf_diag(elf, MW__ELF_BAD, "e_version", elf->eh.version, eh_field_off(elf, MW__EH(version)), EV_CURRENT,
			     "version is %llu (e_ident: %u), must be 1", (unsigned long long)elf->eh.version,
			     elf->ident[EI_VERSION]);
	extend_numbers(elf);
	read_segments(elf);
	read_sections(elf);
	read_section_names(elf);
}

static void destroy(struct mw_elf *elf)
{
	while (elf->members) {
		struct mw_elf *m = elf->members;

		elf->members = m->next_member;
		destroy(m);
	}
	if (elf->debug)
		destroy(elf->debug);
	if (elf->embedded)
		destroy(elf->embedded);
	for (size_t i = 0; i < elf->chunks.n; i++)
		free(elf->chunks.v[i].p);
	MW_VEC_FREE(&elf->chunks);
	for (struct mw__lazy *l = elf->lazies; l; l = l->next)
		mw__lazy_free(l);
	mw__elf_versions_free(elf->vers);
	MW_VEC_FREE(&elf->diags);
	if (elf->fd >= 0 && !elf->archive)
		close(elf->fd);
	mw__arena_deinit(&elf->arena);
	free(elf);
}

static struct mw_elf *create(const char *path)
{
	struct mw_elf *elf = calloc(1, sizeof(*elf));

	if (!elf)
		return NULL;
	mw__arena_init(&elf->arena);
	elf->fd = -1;
	elf->path = mw__arena_str(&elf->arena, path);
	elf->shstr.p = "";
	if (elf->path)
		return elf;
	destroy(elf);
	return NULL;
}

static bool is_archive(const void *head, size_t len)
{
	return len >= 8 && (!memcmp(head, "!<arch>\n", 8) || !memcmp(head, "!<thin>\n", 8));
}

static bool is_elf(const void *head, size_t len) { return len >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG); }

static int fail_magic(const char *path, const uint8_t head[static SELFMAG], struct mw_err *err)
{
	return mw__fail(err, MW_E_FORMAT, 0, "%s: not an ELF file: it starts with %02x %02x %02x %02x", path, head[0], head[1],
			head[2], head[3]);
}

/* ELF or archive; anything else is not for us. */
static int identify(struct mw_elf *elf, struct mw_err *err)
{
	uint8_t head[64] = { 0 };
	size_t len = elf->size < sizeof(head) ? elf->size : sizeof(head);

	if (!len)
		return mw__fail(err, MW_E_FORMAT, 0, "%s: not an ELF file: it is empty", elf->path);
	if (!mw__elf_read(elf, 0, head, len))
		return mw__fail(err, MW_E_OS, errno, "%s: read", elf->path);
	if (!elf->member && is_archive(head, len)) {
		elf->kind = MW__ELF_ARCHIVE;
		return 0;
	}
	if (!is_elf(head, len))
		return fail_magic(elf->path, head, err);
	read_header(elf, head, len);
	return 0;
}

int mw__elf_open_member(struct mw_elf *ar, const char *name, uint64_t off, uint64_t size, struct mw_elf **ret,
			struct mw_err *err)
{
	struct mw_elf *elf = create(ar->path);

	if (!elf)
		return mw__fail_nomem(err, ar->path);
	elf->archive = ar;
	elf->member = name;
	elf->fd = ar->fd;
	elf->base = ar->base + off;
	elf->size = size;
	int rc = identify(elf, err);

	if (rc < 0)
		destroy(elf);
	else
		*ret = elf;
	return rc;
}

int mw__elf_open_part(int fd, uint64_t base, uint64_t size, const char *path, struct mw_elf **ret,
		      struct mw_err *err)
{
	struct mw_elf *elf = create(path);

	if (!elf) {
		close(fd);
		return mw__fail_nomem(err, path);
	}
	elf->fd = fd;
	elf->base = base;
	elf->size = size;
	int rc = identify(elf, err);

	if (rc < 0)
		destroy(elf);
	else
		*ret = elf;
	return rc;
}

/* A pipe is copied to memory first, since every view seeks; but not what is no file for us, which may have no end. */
static int spool(int from, const char *path, int *ret, uint64_t *size, struct mw_err *err)
{
	MW_CLEANUP(mw__closep) int fd = memfd_create("memwhy-input", MFD_CLOEXEC);
	uint8_t buf[16384], head[8] = { 0 };
	uint64_t total = 0;

	if (fd < 0)
		return mw__fail(err, MW_E_OS, errno, "%s: memfd_create", path);
	for (;;) {
		ssize_t n = read(from, buf, sizeof(buf));

		if (n < 0 && errno == EAGAIN) {	/* a pipe whose writer is slow: wait for it */
			fcntl(from, F_SETFL, fcntl(from, F_GETFL) & ~O_NONBLOCK);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return mw__fail(err, MW_E_OS, errno, "%s: read", path);
		if (!n)
			break;
		if (total < sizeof(head)) {
			memcpy(head + total, buf, mw__min((uint64_t)n, sizeof(head) - total));
			if (total + n >= sizeof(head) && !is_elf(head, sizeof(head)) && !is_archive(head, sizeof(head)))
				return fail_magic(path, head, err);
		}
		total += n;
		if (total > MAX_SPOOL)
			return mw__fail(err, MW_E_RANGE, 0, "%s: more than 1 GiB from a pipe", path);
		if (write(fd, buf, n) != n)
			return mw__fail(err, MW_E_OS, errno, "%s: copy to memory", path);
	}
	*ret = fd;
	*size = total;
	fd = -1;
	return 0;
}

/* by_user: standard input and pipes, too. */
static int open_input(const char *path, bool by_user, int *ret, uint64_t *size, struct mw_err *err)
{
	bool is_stdin = by_user && !strcmp(path, "-");
	MW_CLEANUP(mw__closep) int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) :
						   open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return mw__fail(err, errno == ENOENT ? MW_E_NOT_FOUND : errno == EACCES ? MW_E_PERM : MW_E_OS, errno,
				"%s: open", path);
	if (fstat(fd, &st) < 0)
		return mw__fail(err, MW_E_OS, errno, "%s: fstat", path);
	if (S_ISREG(st.st_mode)) {
		*size = st.st_size;
		*ret = fd;
		fd = -1;
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		return mw__fail(err, MW_E_FORMAT, 0, "%s: not an ELF file: it is a directory", path);
	bool is_pipe = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode);

	if ((is_pipe && by_user) || is_stdin)
		return spool(fd, path, ret, size, err);
	return mw__fail(err, MW_E_FORMAT, 0, "%s: not an ELF file: it is a %s", path, is_pipe ? "pipe" : "device");
}

int mw__elf_open_thin(struct mw_elf *ar, const char *name, struct mw_elf **ret, struct mw_err *err)
{
	const char *slash = strrchr(ar->path, '/');
	bool beside = *name != '/' && slash;
	const char *path = mw__arena_printf(&ar->arena, "%.*s%s", beside ? (int)(slash + 1 - ar->path) : 0, ar->path, name);
	struct mw_elf *elf;

	if (!path)
		return mw__fail_nomem(err, ar->path);
	int rc = mw__elf_open_named(path, &elf, err);

	if (rc < 0)
		return rc;
	if (elf->kind == MW__ELF_ARCHIVE) { /* NOLINT(clang-analyzer-core.NullDereference) */
		destroy(elf);
		return mw__fail(err, MW_E_UNSUPPORTED, 0, "%s: a thin archive of archives", path);
	}
	elf->path = ar->path;
	elf->member = name;
	elf->own_path = path;
	*ret = elf;
	return 0;
}

static int open_elf(const char *path, bool by_user, struct mw_elf **ret, struct mw_err *err)
{
	uint64_t size;
	int fd;
	int rc = open_input(path, by_user, &fd, &size, err);

	return rc < 0 ? rc : mw__elf_open_part(fd, 0, size, path, ret, err); /* NOLINT(clang-analyzer-core.CallAndMessage) */
}

int mw__elf_open_named(const char *path, struct mw_elf **ret, struct mw_err *err)
{
	return open_elf(path, false, ret, err);
}

int mw_elf_open(const char *path, struct mw_elf **ret, struct mw_err *err)
{
	return open_elf(path, true, ret, err);
}

void mw_elf_close(struct mw_elf *elf)
{
	if (elf)
		destroy(elf);
}

bool mw_elf_malformed(const struct mw_elf *elf)
{
	bool bad = elf->is_malformed;

	for (const struct mw_elf *m = elf->members; m; m = m->next_member)
		bad |= m->is_malformed;
	return bad;
}

/* ---------------------------------------------------------------- look-ups */

const char *mw__elf_section_name(const struct mw_elf *elf, size_t i)
{
	const char *name = mw__strtab_at(elf->shstr, elf->sh[i].name);

	return name ? name : elf->sh[i].name || elf->shstrndx ? "<corrupt>" : "";
}

size_t mw__elf_section_by_type(const struct mw_elf *elf, uint32_t type, size_t from)
{
	while (from < elf->n_sh && elf->sh[from].type != type)
		from++;
	return from < elf->n_sh ? from : elf->n_sh;
}

size_t mw__elf_section_by_name(const struct mw_elf *elf, const char *name)
{
	for (size_t i = 1; i < elf->n_sh; i++)
		if (!strcmp(mw__elf_section_name(elf, i), name))
			return i;
	return elf->n_sh;
}

uint64_t mw__elf_section_bytes(const struct mw_elf *elf, size_t i)
{
	const struct mw__shdr *s = &elf->sh[i];

	if (s->type == SHT_NOBITS || s->type == SHT_NULL || s->off >= elf->size)
		return 0;
	return mw__min(s->size, elf->size - s->off);
}

bool mw__elf_addr_to_off(const struct mw_elf *elf, uint64_t addr, uint64_t *off, uint64_t *left)
{
	for (size_t i = 0; i < elf->n_ph; i++) {
		const struct mw__phdr *p = &elf->ph[i];

		if (p->type != PT_LOAD || addr < p->vaddr || addr - p->vaddr >= p->filesz)
			continue;
		uint64_t delta = addr - p->vaddr, at;

		if (__builtin_add_overflow(p->off, delta, &at) || at >= elf->size)
			continue;
		*off = at;
		*left = mw__min(p->filesz - delta, elf->size - at);
		return true;
	}
	return false;
}

uint64_t mw__elf_field_off(const struct mw_elf *elf, uint64_t base, const struct mw__field *field)
{
	return base + (elf->lay.is64 ? field->off64 : field->off32);
}
