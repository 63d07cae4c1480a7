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
 *
 * Behind the name of a record are places of tables of the same kind, among them the file and the line of each
 * instruction, and how deep it was inlined: pairs of varints, by how much the value changes (the lowest bit is its sign)
 * and for how many instruction units it holds then. What is inlined has the file and line of the innermost function,
 * whose name is in records that stripping leaves, but whose place only the runtime's own data tells: it is left unknown.
 */
#include "detail.h"

#include "../base/search.h"
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
	uint64_t units, files, values;	/* files of a compilation unit, their names, the tables of values */
	unsigned data;		/* where places of further tables stand in a record, behind its address */
	bool by_unit;		/* a file is one of its unit, not of all */
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
		t->units = header(t, 4);
		t->files = header(t, 5);
		t->values = header(t, 6);
		t->pairs = t->records = header(t, 7);
		t->pair = 4;
		t->data = magic == 0xfffffff0 ? 36 : 40;
		t->by_unit = true;
		break;
	case 0xfffffffa:	/* go 1.16 */
		t->names = header(t, 2);
		t->units = header(t, 3);
		t->files = header(t, 4);
		t->values = header(t, 5);
		t->pairs = t->records = header(t, 6);
		t->pair = t->ptr;
		t->data = 36;
		t->by_unit = true;
		break;
	case 0xfffffffb:	/* go 1.2 */
		t->pairs = 8 + t->ptr;
		t->pair = t->ptr;
		t->data = 32;
		t->files = t->nfunc <= MAX_FUNCS ? word(t, t->pairs + (t->nfunc * 2 + 1) * t->ptr, 4) : MW_UNKNOWN;
		break;
	default:
		return false;
	}
	return t->nfunc <= MAX_FUNCS && t->names < t->n && t->pairs < t->n &&
	       t->nfunc * 2 * t->pair <= t->n - t->pairs;
}

static const char *text_at(const struct table *t, uint64_t base, uint64_t place)
{
	uint64_t at;

	if (place > INT32_MAX || __builtin_add_overflow(base, place, &at) || at >= t->n || !memchr(t->v + at, 0, t->n - at))
		return NULL;
	return (const char *)t->v + at;
}

/* A field of the record at off, the first behind its address being at 0. */
static uint64_t field(const struct table *t, uint64_t off, unsigned at)
{
	uint64_t record;

	return off == MW_UNKNOWN || __builtin_add_overflow(t->records + t->pair + at, off, &record) ? MW_UNKNOWN : word(t, record, 4);
}

/* The name of the function whose record is at off, or NULL. */
static const char *name_at(const struct table *t, uint64_t off)
{
	return text_at(t, t->names, field(t, off, 0));
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

/* ------------------------------------------------------------------- lines */

enum { FIELD_FILE = 16, FIELD_LINE = 20, FIELD_N_DATA = 24, FIELD_UNIT = 28, DATA_INLINED = 2 };

static bool varint(const struct table *t, uint64_t *at, uint32_t *ret)
{
	uint32_t v = 0;

	for (unsigned shift = 0; shift < 32 && *at < t->n; shift += 7) {
		unsigned char c = t->v[(*at)++];

		v |= (uint32_t)(c & 0x7f) << shift;
		if (!(c & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* The value that the table at this place has so many bytes into the function; -1 stands for none in Go, and here too. */
static int64_t value_at(const struct table *t, uint64_t place, uint64_t offset)
{
	uint64_t at = t->values + place, pc = 0;
	int32_t value = -1;
	uint32_t by, units;

	if (!place || place > UINT32_MAX || at < place)
		return -1;
	while (varint(t, &at, &by) && (by || !pc) && varint(t, &at, &units)) {
		value = (int32_t)((uint32_t)value + (by & 1 ? ~(by >> 1) : by >> 1));
		pc += (uint64_t)units * t->v[6];
		if (offset < pc)
			return value;
	}
	return -1;
}

static const char *file_at(const struct table *t, uint64_t record, int64_t number)
{
	uint64_t unit = t->by_unit ? field(t, record, FIELD_UNIT) : 0, place;

	if (number < 0 || unit > UINT32_MAX)
		return NULL;
	place = word(t, (t->by_unit ? t->units : t->files) + (unit + (uint64_t)number) * 4, 4);
	return text_at(t, t->by_unit ? t->files : 0, place);
}

int mw__pclntab_line(const void *bytes, uint64_t n, uint64_t text, uint64_t addr, struct mw__go_line *ret)
{
	struct table t = { .v = bytes, .n = n };

	if (!read_header(&t, text) || addr < t.text)
		return 0;
	uint64_t after = MW_FIRST(i, t.nfunc, word(&t, t.pairs + i * 2 * t.pair, t.pair) > addr - t.text);
	uint64_t at = t.pairs + (after - 1) * 2 * t.pair, record = after ? word(&t, at + t.pair, t.pair) : MW_UNKNOWN;

	if (record == MW_UNKNOWN || addr - t.text >= word(&t, at + 2 * t.pair, t.pair))
		return 0;
	uint64_t offset = addr - t.text - word(&t, at, t.pair), n_data = field(&t, record, FIELD_N_DATA);
	int64_t line = value_at(&t, field(&t, record, FIELD_LINE), offset);
	const char *file = file_at(&t, record, value_at(&t, field(&t, record, FIELD_FILE), offset)), *name = name_at(&t, record);

	if (line < 0 || !file || !name)
		return 0;
	/* before go 1.14 another of the tables told it */
	bool inlined = !t.by_unit || (n_data != MW_UNKNOWN && n_data > DATA_INLINED &&
				      value_at(&t, field(&t, record, t.data + 4 * DATA_INLINED), offset) >= 0);

	*ret = (struct mw__go_line){ file, inlined ? "" : name, (uint64_t)line };
	return 1;
}

/* ------------------------------------------------------------------- files */

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

static Elf_Data *find_table(Elf *elf, const struct mw__image *img, uint64_t *text)
{
	const struct mw__section *s = find_section(img, ".gopclntab"), *code = find_section(img, ".text");

	*text = code ? code->addr : 0;
	return s && !img->big_endian && s->off <= INT64_MAX ? elf_getdata_rawchunk(elf, (int64_t)s->off, s->size, ELF_T_BYTE) : NULL;
}

int mw__detail_pclntab(Elf *elf, const struct mw__image *img, struct mw__arena *arena, struct mw__symbols *ret)
{
	uint64_t text;
	Elf_Data *data = find_table(elf, img, &text);

	return data && data->d_buf ? mw__pclntab_read(data->d_buf, data->d_size, text, arena, ret) : 0;
}

int mw__detail_go_line(Elf *elf, const struct mw__image *img, uint64_t addr, struct mw__go_line *ret)
{
	uint64_t text;
	Elf_Data *data = find_table(elf, img, &text);

	return data && data->d_buf ? mw__pclntab_line(data->d_buf, data->d_size, text, addr, ret) : 0;
}

uint64_t mw__detail_go_function(Elf *elf, const struct mw__image *img, const char *name)
{
	uint64_t text;
	Elf_Data *data = find_table(elf, img, &text);
	struct table t = { .v = data ? data->d_buf : NULL, .n = data && data->d_buf ? data->d_size : 0 };

	for (uint64_t i = 0, n = read_header(&t, text) ? t.nfunc : 0; i < n; i++) {
		uint64_t at = t.pairs + i * 2 * t.pair, start = word(&t, at, t.pair);
		const char *found = name_at(&t, word(&t, at + t.pair, t.pair));

		if (found && start != MW_UNKNOWN && !strcmp(found, name))
			return t.text + start;
	}
	return MW_UNKNOWN;
}
