/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Go's table of functions, which the runtime needs and stripping therefore leaves (Go, debug/gosym
 * pclntab.go and runtime/symtab.go). A header, then pairs of address and place of a record, by address;
 * the record gives the name. Three layouts, told by the magic number:
 *
 *              header after magic, padding, quantum, pointer size   pair            record
 *   go 1.2     nfunc; the pairs follow                               2 pointers      pointer, int32 name
 *   go 1.16    nfunc nfiles names cu files pc pairs                  2 pointers      pointer, int32 name
 *   go 1.18    nfunc nfiles text names cu files pc pairs             2 uint32        uint32, int32 name
 *
 * Offsets count from the start of the table (1.2), or from the pairs (records) and names of the header.
 * A function ends where the next begins. Only the byte order of this machine is read.
 */
#include "detail.h"

#include "../base/size.h"

#include <gelf.h>
#include <string.h>

#define MAX_FUNCS (1u << 24)

struct table {
	const unsigned char *v;
	uint64_t n;		/* bytes */
	unsigned ptr;		/* bytes of a pointer */
	unsigned pair;		/* bytes of one half of a pair */
	uint64_t nfunc, text, names, pairs, records;
};

static uint64_t word(const struct table *t, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	if (off > t->n || t->n - off < size)
		return MW_UNKNOWN;
	memcpy(&v, t->v + off, size);
	return v;
}

static uint64_t header(const struct table *t, unsigned i)
{
	return word(t, 8 + (uint64_t)i * t->ptr, t->ptr);
}

static bool read_header(struct table *t, uint64_t text)
{
	uint32_t magic = (uint32_t)word(t, 0, 4);

	if (t->n < 16 || t->v[4] || t->v[5] || (t->v[7] != 4 && t->v[7] != 8))
		return false;
	t->ptr = t->v[7];
	t->nfunc = header(t, 0);
	switch (magic) {
	case 0xfffffff0:	/* go 1.18 */
	case 0xfffffff1:	/* go 1.20 */
		t->text = header(t, 2) ? header(t, 2) : text;
		t->names = header(t, 3);
		t->pairs = t->records = header(t, 7);
		t->pair = 4;
		break;
	case 0xfffffffa:	/* go 1.16 */
		t->names = header(t, 2);
		t->pairs = t->records = header(t, 6);
		t->pair = t->ptr;
		break;
	case 0xfffffffb:	/* go 1.2 */
		t->pairs = 8 + t->ptr;
		t->pair = t->ptr;
		break;
	default:
		return false;
	}
	return t->nfunc <= MAX_FUNCS && t->names < t->n && t->pairs < t->n &&
	       t->nfunc * 2 * t->pair <= t->n - t->pairs;
}

/* The name of the function whose record is at off, or NULL. */
static const char *name_at(const struct table *t, uint64_t off)
{
	uint64_t record, place, at;

	if (off == MW_UNKNOWN || __builtin_add_overflow(t->records, off, &record))
		return NULL;
	place = word(t, record + t->pair, 4);
	if (place == MW_UNKNOWN || place > INT32_MAX)
		return NULL;
	at = t->names + place;
	return at < t->n && memchr(t->v + at, 0, t->n - at) ? (const char *)t->v + at : NULL;
}

static int add_functions(const struct table *t, struct mw__arena *arena, struct mw__symbols *ret)
{
	ret->name_limit += 4 * t->n;
	for (uint64_t i = 0; i < t->nfunc; i++) {
		uint64_t at = t->pairs + i * 2 * t->pair;
		uint64_t start = word(t, at, t->pair), end = word(t, at + 2 * t->pair, t->pair);
		const char *name = name_at(t, word(t, at + t->pair, t->pair));

		if (!name || !*name || start == MW_UNKNOWN || end == MW_UNKNOWN || end < start)
			continue;
		struct mw__symbol s = { t->text + start, end - start, name, STT_FUNC, STB_GLOBAL };

		if (mw__symbols_add(ret, &s, arena) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

int mw__pclntab_read(const void *bytes, uint64_t n, uint64_t text, struct mw__arena *arena, struct mw__symbols *ret)
{
	struct table t = { .v = bytes, .n = n };

	if (!read_header(&t, text))
		return 0;
	if (add_functions(&t, arena, ret) < 0)
		return -MW_E_NOMEM;
	ret->from = ".gopclntab";
	return ret->list.n ? 1 : 0;
}

static const struct mw__section *find_section(const struct mw__image *img, const char *suffix)
{
	for (uint32_t i = 0; i < img->n_sections; i++) {
		const char *name = img->sections[i].name;
		size_t n = strlen(name), m = strlen(suffix);

		if (n >= m && !strcmp(name + n - m, suffix))
			return &img->sections[i];
	}
	return NULL;
}

int mw__detail_pclntab(Elf *elf, const struct mw__image *img, struct mw__arena *arena, struct mw__symbols *ret)
{
	const struct mw__section *s = find_section(img, ".gopclntab"), *text = find_section(img, ".text");

	if (!s || img->big_endian || s->off > INT64_MAX)
		return 0;
	Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)s->off, s->size, ELF_T_BYTE);

	if (!data || !data->d_buf)
		return 0;
	return mw__pclntab_read(data->d_buf, data->d_size, text ? text->addr : 0, arena, ret);
}
