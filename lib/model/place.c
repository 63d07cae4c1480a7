/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Places: text to ranges. Pure: collecting and reporting resolve the same text to the same ranges. */
#include "place.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"

#include <elf.h>
#include <string.h>

void mw__place_deinit(struct mw__place *place)
{
	MW_VEC_FREE(&place->ranges);
}

/* Where the last page of all addresses begins: nothing is mapped there, and its end is no number. */
#define LAST_PAGE (-UINT64_C(4096))

static int add(struct mw__place *p, uint64_t start, uint64_t end, const char *label)
{
	struct mw__place_range *last = p->ranges.n ? &p->ranges.v[p->ranges.n - 1] : NULL;

	end = mw__min(end, LAST_PAGE);
	if (start >= end)
		return 0;
	if (last && last->end == start && last->label == label) {
		last->end = end;
		return 0;
	}
	struct mw__place_range *r = MW_VEC_PUSH(&p->ranges);

	if (!r)
		return -MW_E_NOMEM;
	*r = (struct mw__place_range){ start, end, label };
	return 0;
}

/* --------------------------------------------------------------- addresses */

static bool parse_address(const char **p, const char *end, uint64_t *ret)
{
	if (end - *p > 2 && (*p)[0] == '0' && ((*p)[1] == 'x' || (*p)[1] == 'X'))
		*p += 2;
	return mw__parse_hex(p, end, ret);
}

/* "0x1000" or "1000", all of it. */
static bool read_address(const char *text, uint64_t *ret)
{
	const char *p = text, *end = text + strlen(text);

	return parse_address(&p, end, ret) && p == end;
}

/* "64K", "0x1000" or "4096": a size in bytes; only with 0x hexadecimal. */
static bool parse_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMG";
	const char *p = text, *end = text + strlen(text), *unit;

	if (!strncmp(text, "0x", 2))
		return read_address(text, ret);
	if (!mw__parse_dec(&p, end, ret))
		return false;
	if (p == end)
		return true;
	unit = strchr(units, *p & ~0x20);
	unsigned shift = unit && *unit ? 10 * (unsigned)(unit - units + 1) : 0;

	if (!shift || p + 1 != end || *ret > UINT64_MAX >> shift)
		return false;
	*ret <<= shift;
	return true;
}

/* 1 it is a range, 0 it is none, or an error. */
static int find_range(const char *text, struct mw__place *ret, struct mw_err *err)
{
	const char *p = text, *end = text + strlen(text);
	uint64_t start, stop = 0;

	if (!parse_address(&p, end, &start) || p == end || (*p != '-' && *p != '+'))
		return 0;
	bool is_size = *p == '+';

	if (is_size ? !parse_size(p + 1, &stop) : !read_address(p + 1, &stop))
		return 0;
	if (is_size && __builtin_add_overflow(start, stop, &stop))
		return mw__fail(err, MW_E_USAGE, 0, "%.100s: a range beyond the end of memory", text);
	if (start >= LAST_PAGE)
		return mw__fail(err, MW_E_USAGE, 0, "%.100s: a range beyond the end of memory", text);
	if (start >= stop)
		return mw__fail(err, MW_E_USAGE, 0, "%.100s: a range that %s", text, start > stop ? "ends before it starts" : "has no bytes");
	ret->is_address = true;
	return add(ret, start, stop, text) < 0 ? mw__fail_nomem(err, text) : 1;
}

static int find_address(const struct mw_snapshot *snap, const char *text, struct mw__place *ret, struct mw_err *err)
{
	uint64_t addr;

	if (!read_address(text, &addr))
		return 0;
	const struct mw__vma *v = mw__snapshot_vma_at(snap, addr);

	if (!v) {
		/* "add" and "beef" are numbers, too: only what looks like one is an error */
		if (strncmp(text, "0x", 2) && strlen(text) < 8)
			return 0;
		return mw__fail(err, MW_E_NOT_FOUND, 0, "%.100s: no mapping holds this address", text);
	}
	ret->is_address = true;
	return add(ret, v->start, v->end, v->name) < 0 ? mw__fail_nomem(err, text) : 1;
}

/* ------------------------------------------------------------------- names */

/* What follows the stem of a file name: ".so.6", "-2.36.so", or nothing. */
static bool ends_stem(const char *rest)
{
	return !*rest || !strncmp(rest, ".so", 3) || (rest[0] == '-' && rest[1] >= '0' && rest[1] <= '9');
}

bool mw__place_names(const char *name, const char *path)
{
	const char *base = mw__basename(path);
	size_t n = strlen(name);

	return n && (!strcmp(name, path) || !strcmp(name, base) || (!strncmp(name, base, n) && ends_stem(base + n)));
}

static bool is_of_image(const struct mw_snapshot *snap, const struct mw__vma *v, const char *name)
{
	for (size_t i = 0; i < snap->images.n; i++) {
		const struct mw__image *img = &snap->images.v[i];

		if (v->start < img->end && v->end > img->start && mw__place_names(name, img->path) &&
		    (v->file == img->file || v->kind == MW__ANON))
			return true;
	}
	return false;
}

/* The part of an anonymous mapping that is inside the image: its .bss may have merged with the heap. */
static int add_mapping(const struct mw_snapshot *snap, const struct mw__vma *v, const char *name, struct mw__place *ret)
{
	uint64_t end = v->start;

	if (v->kind != MW__ANON || mw__place_names(name, v->name))
		return add(ret, v->start, v->end, v->name);
	for (size_t i = 0; i < snap->images.n; i++)
		if (mw__place_names(name, snap->images.v[i].path) && v->start < snap->images.v[i].end &&
		    v->end > snap->images.v[i].start)
			end = mw__max(end, mw__min(v->end, snap->images.v[i].end));
	return add(ret, v->start, end, ".bss");
}

static int find_object(const struct mw_snapshot *snap, const char *name, struct mw__place *ret, struct mw_err *err)
{
	for (size_t i = 0; i < snap->vmas.n; i++) {
		const struct mw__vma *v = &snap->vmas.v[i];
		bool fits = v->file != MW__NONE ? mw__place_names(name, snap->files.v[v->file].path) : !strcmp(name, v->name);

		if ((fits || is_of_image(snap, v, name)) && add_mapping(snap, v, name, ret) < 0)
			return mw__fail_nomem(err, name);
	}
	return ret->ranges.n != 0;
}

static int add_sections(const struct mw__image *img, const char *section, struct mw__place *ret)
{
	for (uint32_t i = 0; i < img->n_sections; i++) {
		const struct mw__section *s = &img->sections[i];

		if (!strcmp(s->name, section) && !(s->flags & SHF_TLS && s->type == SHT_NOBITS) &&
		    add(ret, img->bias + s->addr, img->bias + s->addr + s->size, s->name) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

/* ".data", or "libc:.data" */
static int find_section(const struct mw_snapshot *snap, const char *text, struct mw__place *ret, struct mw_err *err)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str object = {};
	const char *colon = strstr(text, ":.");

	if (!colon && *text != '.')
		return 0;
	if (colon) {
		mw__str_add(&object, text, (size_t)(colon - text));
		if (object.failed)
			return mw__fail_nomem(err, text);
	}
	for (size_t i = 0; i < snap->images.n; i++) {
		const struct mw__image *img = &snap->images.v[i];

		if ((colon ? mw__place_names(object.v ? object.v : "", img->path) : img->role == MW__PROGRAM) &&
		    add_sections(img, colon ? colon + 1 : text, ret) < 0)
			return mw__fail_nomem(err, text);
	}
	return ret->ranges.n != 0;
}

static int all_mappings(const struct mw_snapshot *snap, struct mw__place *ret, struct mw_err *err)
{
	for (size_t i = 0; i < snap->vmas.n; i++)
		if (!mw__vma_is_vsyscall(&snap->vmas.v[i]) &&
		    add(ret, snap->vmas.v[i].start, snap->vmas.v[i].end, snap->vmas.v[i].name) < 0)
			return mw__fail_nomem(err, "place");
	return 0;
}

int mw__place_find(const struct mw_snapshot *snap, const char *text, struct mw__place *ret, struct mw_err *err)
{
	memset(ret, 0, sizeof(*ret));
	int rc = !text || !*text ? all_mappings(snap, ret, err) : 0;

	if (!text || !*text)
		return rc;
	rc = find_range(text, ret, err);
	if (rc == 0)
		rc = find_section(snap, text, ret, err);
	if (rc == 0)
		rc = find_object(snap, text, ret, err);
	if (rc == 0)
		rc = find_address(snap, text, ret, err);
	if (rc > 0)
		return 0;
	mw__place_deinit(ret);
	if (rc < 0)
		return rc;
	rc = mw__fail(err, MW_E_NOT_FOUND, 0, "%.100s: no such range, object, section or mapping in pid %d", text, snap->target.pid);
	mw__hint(err, "START-END, START+SIZE, [heap], libc, .data and libc:.data are places; memwhy maps %d lists what there is",
		 snap->target.pid);
	return rc;
}
