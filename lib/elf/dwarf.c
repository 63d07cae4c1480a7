/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The DWARF child. It walks compile units one by one and frees the DIEs of each, writes
 * records and ends. Anything may kill it on the way, which its parent expects.
 * (DWARF 5: 3.1 units, 6.2 lines, 2.17 ranges.)
 */
#include "dwarf_child.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/search.h"
#include "linefiles.h"

/* ----------------------------------------------------------------- records */

static void write_all(int fd, const void *buf, size_t size)
{
	for (const char *p = buf; size;) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(1);
		p += n;
		size -= (size_t)n;
	}
}

static void flush(const struct mw__dwarf_child *c)
{
	write_all(c->fd, c->out->v, c->out->n);
	c->out->n = 0;
}

static void put(const struct mw__dwarf_child *c, const void *v, size_t n)
{
	if (n > sizeof(c->out->v) - c->out->n)
		flush(c);
	memcpy(c->out->v + c->out->n, v, n);
	c->out->n += n;
}

void mw__dwarf_send(const struct mw__dwarf_child *c, enum mw__dwarf_kind kind, const uint64_t n[5], const char *a,
		    const char *b, const char *d)
{
	struct mw__dwarf_head h = { .magic = MW__DWARF_MAGIC, .kind = kind };
	char text[MW__DWARF_TEXT];
	const char *parts[3] = { a, b, d };

	if (n)
		memcpy(h.n, n, sizeof(h.n));
	for (int i = 0; i < 3; i++) {
		const char *s = parts[i] ? parts[i] : "";
		size_t len = strnlen(s, sizeof(text) / 3 - 2);

		memcpy(text + h.text_len, s, len);
		h.text_len += (uint32_t)len;
		text[h.text_len++] = '\0';
	}
	put(c, &h, sizeof(h));
	put(c, text, h.text_len);
}

/* -------------------------------------------------------------- attributes */

const char *mw__die_text(Dwarf_Die die, Dwarf_Half attr)
{
	char *s = NULL;

	return dwarf_die_text(die, attr, &s, NULL) == DW_DLV_OK && s ? s : "";
}

bool mw__die_number(Dwarf_Die die, Dwarf_Half attr, uint64_t *ret)
{
	Dwarf_Attribute a;
	Dwarf_Unsigned u;
	Dwarf_Signed s;

	if (dwarf_attr(die, attr, &a, NULL) != DW_DLV_OK)
		return false;
	if (dwarf_formudata(a, &u, NULL) == DW_DLV_OK) {
		*ret = u;
		return true;
	}
	if (dwarf_formsdata(a, &s, NULL) == DW_DLV_OK) {
		*ret = (uint64_t)s;
		return true;
	}
	return false;
}

/* The DIE of a type that has a unit of its own, or NULL. */
static Dwarf_Die find_signed(const struct mw__dwarf_child *c, Dwarf_Die die, Dwarf_Half attr)
{
	Dwarf_Attribute a;
	Dwarf_Bool is_info;
	Dwarf_Sig8 type;
	Dwarf_Die to = NULL;

	return dwarf_attr(die, attr, &a, NULL) == DW_DLV_OK && dwarf_formsig8(a, &type, NULL) == DW_DLV_OK &&
	       dwarf_find_die_given_sig8(c->dbg, &type, &to, &is_info, NULL) == DW_DLV_OK ? to : NULL;
}

/* The DIE that a reference leads to, or NULL. */
Dwarf_Die mw__die_follow(const struct mw__dwarf_child *c, Dwarf_Die die, Dwarf_Half attr)
{
	Dwarf_Attribute a;
	Dwarf_Off off;
	Dwarf_Die to = find_signed(c, die, attr);

	if (to)
		return to;
	if (dwarf_attr(die, attr, &a, NULL) != DW_DLV_OK || dwarf_global_formref(a, &off, NULL) != DW_DLV_OK ||
	    dwarf_offdie_b(c->dbg, off, dwarf_get_die_infotypes_flag(die), &to, NULL) != DW_DLV_OK)
		return NULL;
	Dwarf_Die whole = find_signed(c, to, DW_AT_signature);	/* of a declaration */

	if (!whole)
		return to;
	dwarf_dealloc(c->dbg, to, DW_DLA_DIE);
	return whole;
}

Dwarf_Half mw__die_tag(Dwarf_Die die)
{
	Dwarf_Half tag = 0;

	dwarf_tag(die, &tag, NULL);
	return tag;
}

static bool bounds_of(Dwarf_Die die, uint64_t *low, uint64_t *high)
{
	Dwarf_Addr lo, hi;
	Dwarf_Half form;
	enum Dwarf_Form_Class class;

	if (dwarf_lowpc(die, &lo, NULL) != DW_DLV_OK)
		return false;
	*low = *high = lo;
	if (dwarf_highpc_b(die, &hi, &form, &class, NULL) == DW_DLV_OK)
		*high = class == DW_FORM_CLASS_CONSTANT ? lo + hi : hi;
	return true;
}

/* ------------------------------------------------------------------ ranges */

/* Takes the ranges of a DIE one by one; false ends the list. */
typedef bool range_fn(void *ctx, uint64_t low, uint64_t high);

static void each_in_rnglist(Dwarf_Attribute a, Dwarf_Half form, uint64_t off, range_fn *fn, void *ctx)
{
	Dwarf_Rnglists_Head head = NULL;
	Dwarf_Unsigned count = 0, global;
	bool go_on = true;

	if (dwarf_rnglists_get_rle_head(a, form, off, &head, &count, &global, NULL) != DW_DLV_OK)
		return;
	for (Dwarf_Unsigned i = 0; i < count && go_on; i++) {
		unsigned len, code;
		Dwarf_Unsigned raw1, raw2, lo = 0, hi = 0;
		Dwarf_Bool missing = 0;

		if (dwarf_get_rnglists_entry_fields_a(head, i, &len, &code, &raw1, &raw2, &missing, &lo, &hi, NULL) !=
		    DW_DLV_OK)
			break;
		if (code != DW_RLE_end_of_list && code != DW_RLE_base_address && code != DW_RLE_base_addressx && !missing)
			go_on = fn(ctx, lo, hi);
	}
	dwarf_dealloc_rnglists_head(head);
}

static void each_old_range(const struct mw__dwarf_child *c, Dwarf_Die die, uint64_t off, uint64_t base, range_fn *fn, void *ctx)
{
	Dwarf_Ranges *r = NULL;
	Dwarf_Signed n = 0;
	Dwarf_Off real;
	bool go_on = true;

	if (dwarf_get_ranges_b(c->dbg, off, die, &real, &r, &n, NULL, NULL) != DW_DLV_OK)
		return;
	for (Dwarf_Signed i = 0; i < n && go_on && r[i].dwr_type != DW_RANGES_END; i++) {
		if (r[i].dwr_type == DW_RANGES_ADDRESS_SELECTION)
			base = r[i].dwr_addr2;
		else
			go_on = fn(ctx, base + r[i].dwr_addr1, base + r[i].dwr_addr2);
	}
	dwarf_ranges_dealloc(c->dbg, r, n);
}

/* False when the DIE says nothing about addresses. */
static bool each_range(const struct mw__dwarf_child *c, Dwarf_Die die, uint64_t base, range_fn *fn, void *ctx)
{
	uint64_t low, high, off;
	Dwarf_Attribute a;
	Dwarf_Half form = 0;

	if (dwarf_attr(die, DW_AT_ranges, &a, NULL) == DW_DLV_OK) {
		Dwarf_Off o;

		dwarf_whatform(a, &form, NULL);
		if (dwarf_global_formref(a, &o, NULL) == DW_DLV_OK)
			off = o;
		else if (!mw__die_number(die, DW_AT_ranges, &off))
			return false;
		if (c->version >= 5)
			each_in_rnglist(a, form, off, fn, ctx);
		else
			each_old_range(c, die, off, base, fn, ctx);
		return true;
	}
	if (!bounds_of(die, &low, &high) || low == high)
		return false;
	fn(ctx, low, high);
	return true;
}

struct inside {
	uint64_t addr;
	bool hit;
};

static bool is_inside(void *ctx, uint64_t low, uint64_t high)
{
	struct inside *in = ctx;

	in->hit = in->addr >= low && in->addr < high;
	return !in->hit;
}

static bool holds(const struct mw__dwarf_child *c, Dwarf_Die die, uint64_t base, uint64_t addr)
{
	struct inside in = { .addr = addr };

	each_range(c, die, base, is_inside, &in);
	return in.hit;
}

/* -------------------------------------------------------------------- walk */

/* Call fn for each child; it returns false to end. DIEs are freed. */
void mw__die_each_child(const struct mw__dwarf_child *c, Dwarf_Die die, bool (*fn)(void *ctx, Dwarf_Die child), void *ctx)
{
	Dwarf_Die kid, next;

	if (dwarf_child(die, &kid, NULL) != DW_DLV_OK)
		return;
	for (;;) {
		bool go_on = fn(ctx, kid);
		int rc = go_on ? dwarf_siblingof_b(c->dbg, kid, dwarf_get_die_infotypes_flag(kid), &next, NULL) : DW_DLV_NO_ENTRY;

		dwarf_dealloc(c->dbg, kid, DW_DLA_DIE);
		if (rc != DW_DLV_OK)
			return;
		kid = next;
	}
}

/* --------------------------------------------------------------- addresses */

/* A function's name may be at the DIE that it is an instance of. */
static void function_name(const struct mw__dwarf_child *c, Dwarf_Die die, char *buf, size_t size, int depth)
{
	const char *s = mw__die_text(die, DW_AT_linkage_name);

	if (!*s)
		s = mw__die_text(die, DW_AT_name);
	snprintf(buf, size, "%s", s);
	if (*s || depth > 4)
		return;
	Dwarf_Die to = mw__die_follow(c, die, DW_AT_abstract_origin);

	if (!to)
		to = mw__die_follow(c, die, DW_AT_specification);
	if (!to)
		return;
	function_name(c, to, buf, size, depth + 1);
	dwarf_dealloc(c->dbg, to, DW_DLA_DIE);
}

struct frame {
	char name[512];
	uint64_t call_file, call_line;
};
struct search {
	const struct mw__dwarf_child *c;
	uint64_t addr, base;
	struct frame frames[MW__DWARF_DEPTH];	/* outermost first */
	size_t n;
	int depth;
	bool is_deep;
};

/* A lambda is a function in a type that is in the function where it is written, which need not have code of its own. */
static bool may_enclose(const struct search *s, Dwarf_Half tag)
{
	return tag == DW_TAG_namespace ||
	       (s->is_deep && !s->n && (tag == DW_TAG_subprogram || tag == DW_TAG_lexical_block || tag == DW_TAG_structure_type ||
					tag == DW_TAG_class_type || tag == DW_TAG_union_type));
}

static bool find_frames(void *ctx, Dwarf_Die die)
{
	struct search *s = ctx;
	Dwarf_Half tag = mw__die_tag(die);
	bool is_code = tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
	bool is_block = tag == DW_TAG_lexical_block || tag == DW_TAG_try_block;
	bool is_here = (is_code || is_block) && holds(s->c, die, s->base, s->addr);

	if ((!is_here && !may_enclose(s, tag)) || s->depth >= MW__DWARF_DEPTH || s->n >= MW__DWARF_DEPTH)
		return true;
	if (is_here && is_code) {
		struct frame *f = &s->frames[s->n++];

		function_name(s->c, die, f->name, sizeof(f->name), 0);
		f->call_file = f->call_line = 0;
		mw__die_number(die, DW_AT_call_file, &f->call_file);
		mw__die_number(die, DW_AT_call_line, &f->call_line);
	}
	s->depth++;
	mw__die_each_child(s->c, die, find_frames, s);
	s->depth--;
	return !is_here && !s->n;
}

/* The first of n ascending addresses that is not below addr. */
static size_t lower_bound(const uint64_t *addrs, size_t n, uint64_t addr)
{
	return MW_FIRST(i, n, addrs[i] >= addr);
}

/* One walk over the table: the first row that covers each of the ascending addresses, or -1. */
static void find_rows(Dwarf_Line *lines, Dwarf_Signed n, const uint64_t *addrs, size_t n_addrs, Dwarf_Signed *found)
{
	for (Dwarf_Signed i = 0; i + 1 < n; i++) {
		Dwarf_Addr a, b;
		Dwarf_Bool end = 0;

		if (dwarf_lineaddr(lines[i], &a, NULL) != DW_DLV_OK || dwarf_lineaddr(lines[i + 1], &b, NULL) != DW_DLV_OK)
			continue;
		for (size_t k = lower_bound(addrs, n_addrs, a); k < n_addrs && addrs[k] < b; k++) {
			dwarf_lineendsequence(lines[i], &end, NULL);
			if (!end && found[k] < 0)
				found[k] = i;
		}
	}
}

/* ------------------------------------------------------------------- files */

/* The rows of a line table, and which of them are of the file that is meant where none was named. */
struct rows {
	Dwarf_Line *v;
	Dwarf_Signed n;
	bool *defaults;	/* or NULL */
};

static bool table_of(Dwarf_Die cu, uint64_t *ret)
{
	Dwarf_Attribute a;
	Dwarf_Off o;

	if (dwarf_attr(cu, DW_AT_stmt_list, &a, NULL) != DW_DLV_OK || dwarf_global_formref(a, &o, NULL) != DW_DLV_OK)
		return false;
	*ret = o;
	return true;
}

static void find_defaults(struct mw__dwarf_child *c, Dwarf_Die cu, struct rows *r)
{
	uint64_t off;
	size_t n = 0;

	if (!c->table_tried && mw__elf_open_named(c->real, &c->file, NULL) == 0) {
		size_t i = mw__elf_section_by_name(c->file, ".debug_line");

		if (i < c->file->n_sh && !mw__contents_read(c->file, i, true, false, &c->table))
			c->table.p = NULL;
	}
	c->table_tried = true;
	if (!c->table.p || !table_of(cu, &off))
		return;
	r->defaults = mw__line_defaults(c->table.p, c->table.size, off, c->file->lay.big, &n);
	if (n == (size_t)r->n)
		return;
	free(r->defaults);
	r->defaults = NULL;
}

/* The number of the file of row i; libdwarf's number is wrong where it is the default of DWARF 5. */
static bool file_of(const struct rows *r, Dwarf_Signed i, uint64_t *ret, bool *is_default)
{
	Dwarf_Unsigned file = 0;

	if (dwarf_line_srcfileno(r->v[i], &file, NULL) != DW_DLV_OK)
		return false;
	*is_default = r->defaults && r->defaults[i] && !file;
	*ret = *is_default ? 1 : file;
	return true;
}

/* Its path, malloc'ed, or NULL. */
static char *path_of(const struct mw__dwarf_child *c, Dwarf_Die cu, const struct rows *r, Dwarf_Signed i)
{
	char *path = NULL, **files = NULL, *ret = NULL;
	Dwarf_Signed n = 0;
	bool is_default;
	uint64_t file;

	if (!file_of(r, i, &file, &is_default))
		return NULL;
	if (is_default && dwarf_srcfiles(cu, &files, &n, NULL) == DW_DLV_OK && file < (uint64_t)n)
		return strdup(files[file]);
	if (dwarf_linesrc(r->v[i], &path, NULL) == DW_DLV_OK) {
		ret = strdup(path);
		dwarf_dealloc(c->dbg, path, DW_DLA_STRING);
	}
	return ret;
}

static const char *call_file(const struct mw__dwarf_child *c, char **files, Dwarf_Signed n, uint64_t file)
{
	uint64_t i = c->version >= 5 ? file : file - 1;

	return files && i < (uint64_t)n ? files[i] : "";
}

static void send_frames(const struct search *s, const struct rows *rows, Dwarf_Signed row, Dwarf_Die cu)
{
	Dwarf_Unsigned line = 0;
	char *src = path_of(s->c, cu, rows, row), **files = NULL;
	Dwarf_Signed n_files = 0;

	dwarf_lineno(rows->v[row], &line, NULL);
	dwarf_srcfiles(cu, &files, &n_files, NULL);
	const char *file = src ? src : "";
	uint64_t at = line;

	for (size_t depth = 0; depth < s->n || !depth; depth++) {
		const struct frame *f = s->n ? &s->frames[s->n - 1 - depth] : NULL;

		mw__dwarf_send(s->c, MW__DWARF_LINE, (uint64_t[5]){ s->addr, at, depth }, f ? f->name : "", file, "");
		if (!f)
			break;
		at = f->call_line;
		file = call_file(s->c, files, n_files, f->call_file);
	}
	free(src);
}

static void send_address(const struct mw__dwarf_child *c, Dwarf_Die cu, uint64_t addr, const struct rows *rows, Dwarf_Signed row)
{
	struct search *s = calloc(1, sizeof(*s));
	uint64_t high;

	if (!s)
		return;
	s->c = c;
	s->addr = addr;
	bounds_of(cu, &s->base, &high);
	mw__die_each_child(c, cu, find_frames, s);
	if (!s->n) {
		s->is_deep = true;
		mw__die_each_child(c, cu, find_frames, s);
	}
	send_frames(s, rows, row, cu);
	free(s);
}

static void find_addresses(struct mw__dwarf_child *c, Dwarf_Die cu)
{
	size_t n_addrs = c->q->n_addrs;
	uint64_t *addrs = calloc(n_addrs, sizeof(*addrs));
	Dwarf_Signed *found = malloc(n_addrs * sizeof(*found));
	struct rows rows = { 0 };
	Dwarf_Line_Context lc = NULL;
	Dwarf_Unsigned version;
	Dwarf_Small tables;

	if (addrs && found && dwarf_srclines_b(cu, &version, &tables, &lc, NULL) == DW_DLV_OK) {
		memcpy(addrs, c->q->addrs, n_addrs * sizeof(*addrs));
		qsort(addrs, n_addrs, sizeof(*addrs), mw__compare_u64);
		for (size_t i = 0; i < n_addrs; i++)
			found[i] = -1;
		if (dwarf_srclines_from_linecontext(lc, &rows.v, &rows.n, NULL) == DW_DLV_OK)
			find_rows(rows.v, rows.n, addrs, n_addrs, found);
		for (size_t i = 0; i < n_addrs; i++) {
			if (found[i] < 0 || (i && addrs[i] == addrs[i - 1]))
				continue;
			if (!rows.defaults)
				find_defaults(c, cu, &rows);
			send_address(c, cu, addrs[i], &rows, found[i]);
		}
		free(rows.defaults);
		dwarf_srclines_dealloc_b(lc);
	}
	free(addrs);
	free(found);
}

/* ------------------------------------------------------------------- units */

/*
 * Units without code of their own: types, and what dwz(1) took out of several units. They name the line table of the
 * others, for the files in it; what it says of addresses is not theirs. The word for them, NULL for other units.
 */
static const char *without_code(Dwarf_Die cu)
{
	Dwarf_Half tag = 0;

	dwarf_tag(cu, &tag, NULL);
	return tag == DW_TAG_type_unit ? "[type units]" : tag == DW_TAG_partial_unit ? "[partial units]" : NULL;
}

static void send_shared(const struct mw__dwarf_child *c, Dwarf_Die cu)
{
	Dwarf_Off off = 0;

	dwarf_dieoffset(cu, &off, NULL);
	mw__dwarf_send(c, MW__DWARF_UNIT, (uint64_t[5]){ off, MW_UNKNOWN, MW_UNKNOWN, 0, c->version }, without_code(cu), "", "");
}

static void send_unit(const struct mw__dwarf_child *c, Dwarf_Die cu)
{
	uint64_t low = MW_UNKNOWN, high = MW_UNKNOWN, language = 0;
	const char *name = mw__die_text(cu, DW_AT_name);
	Dwarf_Off off = 0;

	if (bounds_of(cu, &low, &high) && low == high)
		low = high = MW_UNKNOWN;	/* several ranges, of which low_pc is the base */
	mw__die_number(cu, DW_AT_language, &language);
	if (!*name)	/* a skeleton: the rest is in a file of its own */
		name = mw__die_text(cu, c->version >= 5 ? DW_AT_dwo_name : DW_AT_GNU_dwo_name);
	dwarf_dieoffset(cu, &off, NULL);
	mw__dwarf_send(c, MW__DWARF_UNIT, (uint64_t[5]){ off, low, high, language, c->version }, name,
	     mw__die_text(cu, DW_AT_comp_dir), mw__die_text(cu, DW_AT_producer));
}

/* ------------------------------------------------------- what a unit owns */

/*
 * Linkers that drop a function leave its addresses at 0 or 1 plus an offset, so ranges that
 * start there are of nothing (DWARF 5, 2.17.3, and binutils' practice).
 */
static bool is_dropped(uint64_t low) { return low <= 1; }

static bool send_range(void *ctx, uint64_t low, uint64_t high)
{
	const struct mw__dwarf_child *c = ctx;

	if (high > low && !is_dropped(low))
		mw__dwarf_send(c, MW__DWARF_RANGE, (uint64_t[5]){ low, high, c->unit, 0 }, "", "", "");
	return true;
}

/* The address of a variable whose place is one address and nothing else. */
static bool fixed_address(const struct mw__dwarf_child *c, Dwarf_Die die, uint64_t *ret)
{
	Dwarf_Attribute a;
	Dwarf_Unsigned len;
	Dwarf_Ptr p;
	Dwarf_Block *block;
	const uint8_t *expr;

	if (dwarf_attr(die, DW_AT_location, &a, NULL) != DW_DLV_OK)
		return false;
	if (dwarf_formexprloc(a, &len, &p, NULL) == DW_DLV_OK) {
		expr = p;
	} else if (dwarf_formblock(a, &block, NULL) == DW_DLV_OK) {
		expr = block->bl_data;
		len = block->bl_len;
	} else {
		return false;
	}
	if (len == 1u + c->addr_size && expr[0] == DW_OP_addr && c->addr_size <= 8) {
		*ret = 0;
		memcpy(ret, expr + 1, c->addr_size);	/* in this machine's order, which the parent checks */
		return true;
	}
	if (len >= 2 && len <= 10 && expr[0] == DW_OP_addrx) {
		uint64_t index = 0;
		Dwarf_Addr addr;

		for (Dwarf_Unsigned i = 1; i < len; i++)
			index |= (uint64_t)(expr[i] & 0x7f) << (7 * (i - 1));
		if (dwarf_debug_addr_index_to_addr(die, index, &addr, NULL) != DW_DLV_OK)
			return false;
		*ret = addr;
		return true;
	}
	return false;
}

static bool send_variable(void *ctx, Dwarf_Die die)
{
	const struct mw__dwarf_child *c = ctx;
	Dwarf_Half tag = mw__die_tag(die);
	uint64_t addr, size;

	if (tag == DW_TAG_namespace || tag == DW_TAG_subprogram || tag == DW_TAG_lexical_block) {
		mw__die_each_child(c, die, send_variable, ctx);
		return true;
	}
	if (tag != DW_TAG_variable || !fixed_address(c, die, &addr) || is_dropped(addr))
		return true;
	if (!mw__dwarf_type_bytes(c, die, &size, 0)) {
		Dwarf_Die to = mw__die_follow(c, die, DW_AT_specification);
		bool ok = to && mw__dwarf_type_bytes(c, to, &size, 0);

		if (to)
			dwarf_dealloc(c->dbg, to, DW_DLA_DIE);
		if (!ok)
			return true;
	}
	if (size && size <= UINT64_MAX - addr)
		mw__dwarf_send(c, MW__DWARF_RANGE, (uint64_t[5]){ addr, addr + size, c->unit, 1 }, "", "", "");
	return true;
}

/* ------------------------------------------------------------- line tables */

/* Numbers of the sources of one unit, by their number in its line table. */
struct sources {
	uint64_t *global;
	size_t n;
};

static bool source_of(struct mw__dwarf_child *c, Dwarf_Die cu, struct sources *s, const struct rows *rows, Dwarf_Signed i, uint64_t *ret)
{
	uint64_t file;
	bool is_default;

	if (!file_of(rows, i, &file, &is_default) || file > UINT16_MAX * 16u)
		return false;
	if (file >= s->n) {
		size_t n = (file + 1) * 2;
		uint64_t *v = realloc(s->global, n * sizeof(*v));

		if (!v)
			return false;
		memset(v + s->n, 0, (n - s->n) * sizeof(*v));
		s->global = v;
		s->n = n;
	}
	if (!s->global[file]) {
		char *path = path_of(c, cu, rows, i);

		if (!path)
			return false;
		s->global[file] = ++c->n_sources;
		mw__dwarf_send(c, MW__DWARF_SOURCE, (uint64_t[5]){ c->n_sources }, path, "", "");
		free(path);
	}
	*ret = s->global[file];
	return true;
}

struct row {
	uint64_t low, high, line, source;
};

static void flush_row(const struct mw__dwarf_child *c, struct row *r, bool as_rows)
{
	if (r->high > r->low && as_rows)
		mw__dwarf_send(c, MW__DWARF_ROW, (uint64_t[5]){ r->low, r->high, r->line, r->source }, "", "", "");
	else if (r->high > r->low)
		send_range((void *)c, r->low, r->high);
	r->high = r->low = 0;
}

/* Rows of the same line become one; as_rows false joins them all to the ranges of the unit. */
static void send_rows(struct mw__dwarf_child *c, Dwarf_Die cu, bool as_rows)
{
	Dwarf_Line_Context lc = NULL;
	Dwarf_Unsigned version, number;
	Dwarf_Small tables;
	struct rows rows = { 0 };
	struct sources sources = { 0 };
	struct row r = { 0 };
	bool dropped = false, starts = true;

	if (dwarf_srclines_b(cu, &version, &tables, &lc, NULL) != DW_DLV_OK)
		return;
	if (dwarf_srclines_from_linecontext(lc, &rows.v, &rows.n, NULL) != DW_DLV_OK)
		rows.n = 0;
	if (as_rows && rows.n)
		find_defaults(c, cu, &rows);
	for (Dwarf_Signed i = 0; i + 1 < rows.n; i++) {
		Dwarf_Addr low, high;
		Dwarf_Bool end = 0;
		uint64_t source = 0;

		if (dwarf_lineaddr(rows.v[i], &low, NULL) != DW_DLV_OK ||
		    dwarf_lineendsequence(rows.v[i], &end, NULL) != DW_DLV_OK)
			break;
		if (end) {
			starts = true;
			continue;
		}
		if (starts)
			dropped = is_dropped(low);
		starts = false;
		if (dropped || dwarf_lineaddr(rows.v[i + 1], &high, NULL) != DW_DLV_OK || high <= low ||
		    dwarf_lineno(rows.v[i], &number, NULL) != DW_DLV_OK ||
		    (as_rows && !source_of(c, cu, &sources, &rows, i, &source)))
			continue;
		if (!as_rows)
			number = 0;
		if (r.high != low || r.line != number || r.source != source) {
			flush_row(c, &r, as_rows);
			r = (struct row){ low, high, number, source };
		}
		r.high = high;
	}
	flush_row(c, &r, as_rows);
	free(sources.global);
	free(rows.defaults);
	dwarf_srclines_dealloc_b(lc);
}

static void send_owned(struct mw__dwarf_child *c, Dwarf_Die cu, uint64_t start, uint64_t end)
{
	uint64_t low = 0, high, lines = MW_UNKNOWN;
	bool is_shared = without_code(cu);

	if (!is_shared)
		table_of(cu, &lines);
	mw__dwarf_send(c, MW__DWARF_SLICE, (uint64_t[5]){ start, end - start, c->unit, lines }, "", "", "");
	bounds_of(cu, &low, &high);
	if (!is_shared && !each_range(c, cu, low, send_range, c))
		send_rows(c, cu, false);
	mw__die_each_child(c, cu, send_variable, c);
}

/* Of .debug_info or, up to DWARF 4, .debug_types. */
static int walk_units(struct mw__dwarf_child *c, bool is_info, Dwarf_Error *error)
{
	for (uint64_t start = 0;;) {
		Dwarf_Unsigned length, type_off, next;
		Dwarf_Half length_size, extension, unit_type;
		Dwarf_Off abbrev;
		Dwarf_Sig8 signature;
		Dwarf_Die cu = NULL;
		int rc = dwarf_next_cu_header_d(c->dbg, is_info, &length, &c->version, &abbrev, &c->addr_size, &length_size,
						&extension, &signature, &type_off, &next, &unit_type, error);

		if (rc != DW_DLV_OK)
			return rc;
		rc = dwarf_siblingof_b(c->dbg, NULL, is_info, &cu, error);
		if (rc != DW_DLV_OK)
			return rc;
		Dwarf_Off die = 0;

		dwarf_dieoffset(cu, &die, NULL);
		c->unit = die;
		bool is_shared = without_code(cu);

		if (c->q->units && !is_shared)
			send_unit(c, cu);
		else if (c->q->ranges && is_info)
			send_shared(c, cu);
		if (c->q->ranges && is_info)
			send_owned(c, cu, start, next);
		if (c->q->rows && !is_shared)
			send_rows(c, cu, true);
		start = next;
		if (c->q->n_addrs && !is_shared)
			find_addresses(c, cu);
		if (c->q->type && !c->type_found)
			mw__die_each_child(c, cu, mw__dwarf_find_type, c);
		dwarf_dealloc(c->dbg, cu, DW_DLA_DIE);
		flush(c);
	}
}

static void send_error(const struct mw__dwarf_child *c, Dwarf_Error error)
{
	mw__dwarf_send(c, MW__DWARF_ERROR, NULL, error ? dwarf_errmsg(error) : "unknown error", "", "");
}

/* Without a handler the library aborts at the first call that fails and has nowhere to tell. */
static void drop_error(Dwarf_Error error, Dwarf_Ptr ctx)
{
	const struct mw__dwarf_child *c = ctx;

	if (c->dbg)
		dwarf_dealloc(c->dbg, error, DW_DLA_ERROR);
}

void mw__dwarf_run(const struct mw__dwarf_query *q, int fd)
{
	struct mw__dwarf_child c = { .q = q, .fd = fd, .out = calloc(1, sizeof(*c.out)) };
	Dwarf_Error error = NULL;

	if (!c.out)
		_exit(1);
	/* to look for a debug file the library reads all symbols once more */
	char *debug = q->is_source ? NULL : c.real;
	int rc = dwarf_init_path(q->path, debug, debug ? sizeof(c.real) : 0, DW_DLC_READ, DW_GROUPNUMBER_ANY, drop_error, &c,
				 &c.dbg, NULL, 0, NULL, &error);

	if (rc == DW_DLV_OK) {
		if (!*c.real)
			snprintf(c.real, sizeof(c.real), "%s", q->path);
		mw__dwarf_send(&c, MW__DWARF_FROM, NULL, c.real, "", "");
		rc = walk_units(&c, true, &error);
		if (rc == DW_DLV_NO_ENTRY && q->type && !c.type_found)
			rc = walk_units(&c, false, &error);
		if (rc == DW_DLV_ERROR)
			send_error(&c, error);
	} else {
		mw__dwarf_send(&c, MW__DWARF_ERROR, NULL, rc == DW_DLV_NO_ENTRY ? "there is no debug information" :
		     dwarf_errmsg(error), "", "");
	}
	mw__dwarf_send(&c, MW__DWARF_DONE, NULL, "", "", "");
	flush(&c);
	free(c.out);
	free(c.table.p);
	mw_elf_close(c.file);
}
