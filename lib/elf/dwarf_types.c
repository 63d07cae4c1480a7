/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The layout of a type: its members, where they lie, and how long they are (DWARF 5: 5.7 structures; DWARF 2 to 4: bit fields). */
#include "dwarf_child.h"

#include <stdio.h>
#include <string.h>

#include "../base/size.h"

struct type_text {
	char s[512];
	uint64_t size;
	bool has_size;
};

static const char *tag_word(Dwarf_Half tag)
{
	return tag == DW_TAG_structure_type ? "struct " : tag == DW_TAG_union_type ? "union " :
	       tag == DW_TAG_class_type ? "class " : tag == DW_TAG_enumeration_type ? "enum " :
	       tag == DW_TAG_const_type ? "const " : tag == DW_TAG_volatile_type ? "volatile " : "";
}

struct bounds {
	uint64_t elements;
	char text[128];
};

static bool add_bound(void *ctx, Dwarf_Die die)
{
	struct bounds *b = ctx;
	uint64_t n = 0;
	size_t len = strlen(b->text);

	if (mw__die_tag(die) != DW_TAG_subrange_type)
		return true;
	bool is_known = mw__die_number(die, DW_AT_count, &n);

	if (!is_known && mw__die_number(die, DW_AT_upper_bound, &n)) {
		is_known = true;
		n++;
	}
	if (is_known)
		snprintf(b->text + len, sizeof(b->text) - len, "[%llu]", (unsigned long long)n);
	else	/* a flexible array member, or known at run time only */
		snprintf(b->text + len, sizeof(b->text) - len, "[]");
	if (__builtin_mul_overflow(b->elements, n, &b->elements))
		b->elements = 0;
	return true;
}

static void describe_type(const struct mw__dwarf_child *c, Dwarf_Die die, struct type_text *t, int depth);

/* The type that die refers to; void without one. */
static void describe_target(const struct mw__dwarf_child *c, Dwarf_Die die, struct type_text *t, int depth)
{
	Dwarf_Die to = depth < MW__DWARF_DEPTH ? mw__die_follow(c, die, DW_AT_type) : NULL;

	if (!to) {
		snprintf(t->s, sizeof(t->s), "void");
		return;
	}
	describe_type(c, to, t, depth + 1);
	dwarf_dealloc(c->dbg, to, DW_DLA_DIE);
}

static void append(struct type_text *t, const char *text)
{
	size_t len = strlen(t->s);

	snprintf(t->s + len, sizeof(t->s) - len, "%s", text);
}

static void describe_array(const struct mw__dwarf_child *c, Dwarf_Die die, struct type_text *t, int depth)
{
	struct bounds b = { .elements = 1 };

	describe_target(c, die, t, depth);
	mw__die_each_child(c, die, add_bound, &b);
	append(t, b.text);
	t->size *= b.elements;
}

static void describe_type(const struct mw__dwarf_child *c, Dwarf_Die die, struct type_text *t, int depth)
{
	Dwarf_Half tag = mw__die_tag(die);
	Dwarf_Unsigned size;
	const char *name = mw__die_text(die, DW_AT_name);
	bool own_size = dwarf_bytesize(die, &size, NULL) == DW_DLV_OK;

	if (tag == DW_TAG_pointer_type || tag == DW_TAG_reference_type || tag == DW_TAG_rvalue_reference_type) {
		describe_target(c, die, t, depth);
		append(t, tag == DW_TAG_pointer_type ? " *" : tag == DW_TAG_reference_type ? " &" : " &&");
		t->size = own_size ? size : c->addr_size;
		t->has_size = true;
	} else if (tag == DW_TAG_array_type) {
		describe_array(c, die, t, depth);
	} else if (tag == DW_TAG_const_type || tag == DW_TAG_volatile_type) {
		struct type_text of = { .s = "" };

		describe_target(c, die, &of, depth);
		snprintf(t->s, sizeof(t->s), "%s%.480s", tag_word(tag), of.s);
		t->size = of.size;
		t->has_size = of.has_size;
	} else if (tag == DW_TAG_subroutine_type) {
		snprintf(t->s, sizeof(t->s), "function");
	} else {
		if (tag == DW_TAG_typedef)
			describe_target(c, die, t, depth);
		snprintf(t->s, sizeof(t->s), "%s%.400s", tag_word(tag), *name ? name : "(unnamed)");
	}
	if (own_size && tag != DW_TAG_array_type) {
		t->size = size;
		t->has_size = true;
	}
}

/* Where a member lies: a number, or in DWARF 2 an expression that adds one. A virtual base's is computed at run time. */
static bool member_at(Dwarf_Die die, uint64_t *ret)
{
	Dwarf_Attribute a;
	Dwarf_Block *block;
	Dwarf_Unsigned len = 0, used, v;
	Dwarf_Ptr p = NULL;

	if (mw__die_number(die, DW_AT_data_member_location, ret))
		return true;
	if (dwarf_attr(die, DW_AT_data_member_location, &a, NULL) != DW_DLV_OK)
		return false;
	if (dwarf_formexprloc(a, &len, &p, NULL) != DW_DLV_OK && dwarf_formblock(a, &block, NULL) == DW_DLV_OK) {
		len = block->bl_len;
		p = block->bl_data;
	}
	char *at = p;

	if (len < 2 || (uint8_t)*at != DW_OP_plus_uconst ||
	    dwarf_decode_leb128(at + 1, &used, &v, at + len) != DW_DLV_OK || used != len - 1)
		return false;
	*ret = v;
	return true;
}

/* Does libdwarf swap what it reads? */
static bool is_big_endian(const struct mw__dwarf_child *c)
{
	const uint16_t one = 1;
	uint16_t copy;

	dwarf_get_endian_copy_function(c->dbg)(&copy, &one, sizeof(one));
	return (copy == one) != (*(const uint8_t *)&one == 1);
}

/* Bits of a bit field from the start of the type, or of its member location. Before DWARF 4 they were counted from the
 * most significant bit of a storage unit, of which a size may be given. */
static uint64_t first_bit(const struct mw__dwarf_child *c, Dwarf_Die die, const struct type_text *t, uint64_t bits)
{
	uint64_t at, unit = t->has_size ? t->size : 0;

	if (mw__die_number(die, DW_AT_data_bit_offset, &at))
		return at;
	if (!mw__die_number(die, DW_AT_bit_offset, &at))
		return 0;
	mw__die_number(die, DW_AT_byte_size, &unit);
	return is_big_endian(c) ? at : mw__sub0(unit * 8, at + bits);
}

static bool send_member(void *ctx, Dwarf_Die die)
{
	const struct mw__dwarf_child *c = ctx;
	struct type_text t = { .s = "" };
	uint64_t off = 0, bits = 0, bit_off, is_static;
	Dwarf_Half tag = mw__die_tag(die);
	Dwarf_Bool placed;

	if (tag != DW_TAG_member && tag != DW_TAG_inheritance)
		return true;
	if (!member_at(die, &off)) {
		if (mw__die_number(die, DW_AT_external, &is_static) && is_static)
			return true;	/* it takes no room */
		if (dwarf_hasattr(die, DW_AT_data_member_location, &placed, NULL) == DW_DLV_OK && placed)
			off = MW_UNKNOWN;
	}
	mw__die_number(die, DW_AT_bit_size, &bits);
	describe_target(c, die, &t, 0);
	bit_off = first_bit(c, die, &t, bits);
	if (off != MW_UNKNOWN)
		off += bit_off / 8;
	bit_off %= 8;
	mw__dwarf_send(c, MW__DWARF_MEMBER, (uint64_t[5]){ off, t.has_size ? t.size : MW_UNKNOWN, bit_off, bits },
	     tag == DW_TAG_inheritance ? "(base)" : mw__die_text(die, DW_AT_name), t.s, "");
	return true;
}

bool mw__dwarf_find_type(void *ctx, Dwarf_Die die)
{
	struct mw__dwarf_child *c = ctx;
	Dwarf_Half tag = mw__die_tag(die);
	Dwarf_Unsigned size = 0;
	Dwarf_Off off = 0;
	char name[600];

	if (tag == DW_TAG_namespace) {
		mw__die_each_child(c, die, mw__dwarf_find_type, c);
		return !c->type_found;
	}
	if ((tag != DW_TAG_structure_type && tag != DW_TAG_class_type && tag != DW_TAG_union_type) ||
	    strcmp(mw__die_text(die, DW_AT_name), c->q->type) || dwarf_bytesize(die, &size, NULL) != DW_DLV_OK)
		return true;
	dwarf_dieoffset(die, &off, NULL);
	snprintf(name, sizeof(name), "%s%.500s", tag_word(tag), c->q->type);
	mw__dwarf_send(c, MW__DWARF_TYPE, (uint64_t[5]){ size, off }, name, "", "");
	mw__die_each_child(c, die, send_member, c);
	c->type_found = true;
	return false;
}

/* Bytes of the type that die refers to. */
bool mw__dwarf_type_bytes(const struct mw__dwarf_child *c, Dwarf_Die die, uint64_t *ret, int depth)
{
	Dwarf_Die to = depth < MW__DWARF_DEPTH ? mw__die_follow(c, die, DW_AT_type) : NULL;
	Dwarf_Unsigned size;
	bool ok = false;

	if (!to)
		return false;
	Dwarf_Half tag = mw__die_tag(to);

	if (dwarf_bytesize(to, &size, NULL) == DW_DLV_OK) {
		*ret = size;
		ok = true;
	} else if (tag == DW_TAG_pointer_type || tag == DW_TAG_reference_type || tag == DW_TAG_rvalue_reference_type) {
		*ret = c->addr_size;
		ok = true;
	} else if (mw__dwarf_type_bytes(c, to, ret, depth + 1)) {	/* arrays, typedefs, qualifiers */
		struct bounds b = { .elements = 1 };

		if (tag == DW_TAG_array_type)
			mw__die_each_child(c, to, add_bound, &b);
		ok = !__builtin_mul_overflow(*ret, b.elements, ret);
	}
	dwarf_dealloc(c->dbg, to, DW_DLA_DIE);
	return ok;
}
