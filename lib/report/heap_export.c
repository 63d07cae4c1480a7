/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Allocation sites for other tools.
 *   pprof    profile.proto of github.com/google/pprof, gzip'ed. The encoding is protocol buffers': a key of
 *            field number and kind, then a varint or a length and its bytes. Strings, functions and locations
 *            are numbered as they are met, and written then: the order of messages does not matter
 *   folded   "program;caller;...;function BYTES", for flame graphs; equal stacks are added up
 * A frame is where its call is, so addresses are those of the byte before the return address. Functions that
 * were inlined there are frames of their own when source lines are known.
 */
#include "heap_view.h"
#include "fold.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/gzip.h"
#include "../base/hash.h"
#include "../base/size.h"
#include "../base/str.h"

#include <libiberty/demangle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char no_stack[] = "[no stack: not followed, or no room]";

/* What people call a function of this name in the symbol table; free() it. NULL without memory. */
static char *plain_name(const char *symbol)
{
	char *plain = symbol[0] == '_' ? cplus_demangle(symbol, DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO) : NULL;

	return plain ? plain : strdup(symbol);
}

/* --------------------------------------------------------------- numbered things */

struct item {
	size_t off, len;
	uint64_t hash;
};

/* Byte strings with a number each, 0, 1, 2, ... in the order in which they came. */
struct numbers {
	struct mw__str bytes;
	MW_VEC(struct item) items;
	uint32_t *slots;	/* number + 1; 0 empty */
	size_t n_slots;		/* a power of two */
};

static void numbers_deinit(struct numbers *t)
{
	mw__str_deinit(&t->bytes);
	MW_VEC_FREE(&t->items);
	free(t->slots);
}

static bool numbers_grow(struct numbers *t)
{
	size_t n = t->n_slots ? t->n_slots * 2 : 256;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < t->items.n; i++) {
		size_t at = t->items.v[i].hash & (n - 1);

		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = (uint32_t)i + 1;
	}
	free(t->slots);
	t->slots = slots;
	t->n_slots = n;
	return true;
}

/* The number of these bytes, and whether they are new; -1 without memory. */
static int64_t number_of(struct numbers *t, const void *bytes, size_t len, bool *is_new)
{
	uint64_t h = mw__hash(MW__HASH, bytes, len);

	*is_new = false;
	if (t->items.n * 2 >= t->n_slots && !numbers_grow(t))
		return -1;
	size_t at = h & (t->n_slots - 1);

	for (; t->slots[at]; at = (at + 1) & (t->n_slots - 1)) {
		const struct item *it = &t->items.v[t->slots[at] - 1];

		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): where there is an item, there are bytes */
		if (it->hash == h && it->len == len && !memcmp(t->bytes.v + it->off, bytes, len))
			return t->slots[at] - 1;
	}
	struct item *new = MW_VEC_PUSH(&t->items);

	if (!new)
		return -1;
	*new = (struct item){ t->bytes.n, len, h };
	mw__str_add(&t->bytes, bytes, len);
	t->slots[at] = (uint32_t)t->items.n;
	*is_new = true;
	return t->bytes.failed ? -1 : (int64_t)t->items.n - 1;
}

/* --------------------------------------------------------------- protocol buffers */

static void put_varint(struct mw__str *s, uint64_t v)
{
	char bytes[10];
	size_t n = 0;

	do {
		bytes[n++] = (char)((v & 127) | (v > 127 ? 128 : 0));
		v >>= 7;
	} while (v);
	mw__str_add(s, bytes, n);
}

/* Fields that are 0 are left out, as the encoding says. */
static void put_number(struct mw__str *s, unsigned field, uint64_t v)
{
	if (!v)
		return;
	put_varint(s, field << 3);
	put_varint(s, v);
}

static void put_bytes(struct mw__str *s, unsigned field, const void *bytes, size_t len)
{
	put_varint(s, field << 3 | 2);
	put_varint(s, len);
	mw__str_add(s, bytes, len);
}

static void put_message(struct mw__str *s, unsigned field, struct mw__str *message)
{
	put_bytes(s, field, message->v ? message->v : "", message->n);
	s->failed |= message->failed;
	mw__str_reset(message);
}

/* Numbers of the fields of profile.proto. */
enum { PROFILE_SAMPLE_TYPE = 1, PROFILE_SAMPLE, PROFILE_MAPPING, PROFILE_LOCATION, PROFILE_FUNCTION, PROFILE_STRING, PROFILE_TIME = 9,
       PROFILE_PERIOD_TYPE = 11, PROFILE_PERIOD, PROFILE_COMMENT, PROFILE_DEFAULT };
enum { TYPE_TYPE = 1, TYPE_UNIT };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE, SAMPLE_LABEL };
enum { LABEL_KEY = 1, LABEL_TEXT };
enum { MAPPING_ID = 1, MAPPING_START, MAPPING_LIMIT, MAPPING_OFFSET, MAPPING_FILE, MAPPING_BUILD_ID, MAPPING_FUNCTIONS,
       MAPPING_FILENAMES, MAPPING_LINES, MAPPING_INLINED };
enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS, LOCATION_LINE };
enum { LINE_FUNCTION = 1, LINE_LINE };
enum { FUNCTION_ID = 1, FUNCTION_NAME, FUNCTION_SYSTEM_NAME, FUNCTION_FILE };

/* ------------------------------------------------------------------------- pprof */

struct pprof {
	const struct mw_snapshot *snap;
	struct mw__str out, message, part, key, text;
	struct numbers strings, functions, locations;
};

static void pprof_deinit(struct pprof *p)
{
	mw__str_deinit(&p->out);
	mw__str_deinit(&p->message);
	mw__str_deinit(&p->part);
	mw__str_deinit(&p->key);
	mw__str_deinit(&p->text);
	numbers_deinit(&p->strings);
	numbers_deinit(&p->functions);
	numbers_deinit(&p->locations);
}

static uint64_t checked(struct pprof *p, int64_t number)
{
	p->out.failed |= number < 0;
	return number < 0 ? 0 : (uint64_t)number;
}

/* Strings are UTF-8, which names need not be. */
static uint64_t string_of(struct pprof *p, const char *text)
{
	bool is_new;

	mw__str_reset(&p->text);
	mw__str_escape(&p->text, text, strlen(text));
	p->out.failed |= p->text.failed;
	const char *bytes = p->text.n ? p->text.v : "";
	uint64_t n = checked(p, number_of(&p->strings, bytes, p->text.n, &is_new));

	if (is_new)
		put_bytes(&p->out, PROFILE_STRING, bytes, p->text.n);
	return n;
}

/* Its id, from 1 on. */
static uint64_t function_of(struct pprof *p, const char *symbol, const char *file)
{
	struct mw__str m = {};
	bool is_new;

	mw__str_reset(&p->key);
	mw__str_add(&p->key, symbol, strlen(symbol) + 1);
	mw__str_puts(&p->key, file);
	uint64_t id = checked(p, number_of(&p->functions, p->key.v, p->key.n, &is_new)) + 1;

	if (!is_new)
		return id;
	char *name = plain_name(symbol);

	put_number(&m, FUNCTION_ID, id);
	put_number(&m, FUNCTION_NAME, string_of(p, name ? name : symbol));
	put_number(&m, FUNCTION_SYSTEM_NAME, string_of(p, symbol));
	put_number(&m, FUNCTION_FILE, string_of(p, file));
	put_message(&p->out, PROFILE_FUNCTION, &m);
	mw__str_deinit(&m);
	free(name);
	return id;
}

static void add_line(struct pprof *p, const char *symbol, const char *file, uint64_t line)
{
	uint64_t function = function_of(p, symbol, file);

	put_number(&p->part, LINE_FUNCTION, function);
	put_number(&p->part, LINE_LINE, line);
	put_message(&p->message, LOCATION_LINE, &p->part);
}

static uint64_t image_at(const struct mw_snapshot *snap, uint64_t addr)
{
	for (size_t i = 0; i < snap->images.n; i++)
		if (addr >= snap->images.v[i].start && addr < snap->images.v[i].end)
			return i + 1;
	return 0;
}

/* The lines of a call; the outermost function is named by the symbol table, which knows its full name. */
static void add_lines(struct pprof *p, const struct mw__own_frame *f)
{
	for (uint32_t i = 0; i < f->n_lines; i++) {
		const struct mw__own_line *l = &f->lines[i];
		bool outermost = i + 1 == f->n_lines;

		add_line(p, outermost && f->symbol ? f->symbol : *l->function ? l->function : "?", l->file, l->line);
	}
	if (!f->n_lines && f->symbol)
		add_line(p, f->symbol, "", 0);
}

static uint64_t location_of(struct pprof *p, const struct mw__own_frame *f)
{
	uint64_t addr = f->addr - 1;
	bool is_new;
	uint64_t id = checked(p, number_of(&p->locations, &addr, sizeof(addr), &is_new)) + 1;

	if (!is_new)
		return id;
	mw__str_reset(&p->message);
	put_number(&p->message, LOCATION_ID, id);
	put_number(&p->message, LOCATION_MAPPING, image_at(p->snap, addr));
	put_number(&p->message, LOCATION_ADDRESS, addr);
	add_lines(p, f);
	put_message(&p->out, PROFILE_LOCATION, &p->message);
	return id;
}

static uint64_t location_without_stack(struct pprof *p)
{
	bool is_new;
	uint64_t id = checked(p, number_of(&p->locations, "", 0, &is_new)) + 1;

	if (!is_new)
		return id;
	mw__str_reset(&p->message);
	put_number(&p->message, LOCATION_ID, id);
	add_line(p, no_stack, "", 0);
	put_message(&p->out, PROFILE_LOCATION, &p->message);
	return id;
}

static void add_type(struct pprof *p, unsigned field, const char *type, const char *unit)
{
	uint64_t t = string_of(p, type), u = string_of(p, unit);

	put_number(&p->message, TYPE_TYPE, t);
	put_number(&p->message, TYPE_UNIT, u);
	put_message(&p->out, field, &p->message);
}

static void add_head(struct pprof *p)
{
	const struct mw__own *own = p->snap->own;
	char comment[128];

	string_of(p, "");	/* number 0, as the format asks */
	add_type(p, PROFILE_SAMPLE_TYPE, "alloc_objects", "count");
	add_type(p, PROFILE_SAMPLE_TYPE, "alloc_space", "bytes");
	add_type(p, PROFILE_SAMPLE_TYPE, "inuse_objects", "count");
	add_type(p, PROFILE_SAMPLE_TYPE, "inuse_space", "bytes");
	add_type(p, PROFILE_PERIOD_TYPE, "space", "bytes");
	put_number(&p->out, PROFILE_PERIOD, own->sample_interval);
	put_number(&p->out, PROFILE_TIME, p->snap->target.taken_at_ns);
	put_number(&p->out, PROFILE_DEFAULT, string_of(p, "inuse_space"));
	snprintf(comment, sizeof(comment), "memwhy heap: estimates from one sample for each %llu bytes requested",
		 (unsigned long long)own->sample_interval);
	put_number(&p->out, PROFILE_COMMENT, string_of(p, comment));
}

static uint64_t file_offset(const struct mw__image *img)
{
	uint64_t low = MW_UNKNOWN, off = 0;

	for (uint32_t i = 0; i < img->n_segments; i++) {
		const struct mw__segment *s = &img->segments[i];

		if (s->type == 1 && s->vaddr < low) {	/* PT_LOAD */
			low = s->vaddr;
			off = mw__align_down(s->off, 4096);
		}
	}
	return off;
}

static void add_mappings(struct pprof *p)
{
	for (size_t i = 0; i < p->snap->images.n; i++) {
		const struct mw__image *img = &p->snap->images.v[i];
		uint64_t file = string_of(p, img->path), id = img->build_id ? string_of(p, img->build_id) : 0;

		put_number(&p->message, MAPPING_ID, i + 1);
		put_number(&p->message, MAPPING_START, img->start);
		put_number(&p->message, MAPPING_LIMIT, img->end);
		put_number(&p->message, MAPPING_OFFSET, file_offset(img));
		put_number(&p->message, MAPPING_FILE, file);
		put_number(&p->message, MAPPING_BUILD_ID, id);
		/* names are in the profile: the reader need not look for the files */
		for (unsigned field = MAPPING_FUNCTIONS; field <= MAPPING_INLINED; field++)
			put_number(&p->message, field, 1);
		put_message(&p->out, PROFILE_MAPPING, &p->message);
	}
}

/* For pprof -tagfocus, -tagignore and -tagroot. What malloc gave has none. */
static void add_heap_label(struct pprof *p, const struct mw__own_site *s)
{
	uint64_t key = string_of(p, "heap"), text = string_of(p, s->heap ? s->heap : "without name");

	put_number(&p->part, LABEL_KEY, key);
	put_number(&p->part, LABEL_TEXT, text);
	put_message(&p->message, SAMPLE_LABEL, &p->part);
}

static void add_sample(struct pprof *p, const struct mw__own_site *s)
{
	const uint64_t values[] = { s->count, s->bytes, s->live_count, s->live_bytes };
	uint64_t locations[MW__OWN_FRAMES];
	unsigned n = 0;

	for (uint32_t i = 0; i < s->n_frames; i++)
		locations[n++] = location_of(p, &s->frames[i]);
	if (!n)
		locations[n++] = location_without_stack(p);
	for (unsigned i = 0; i < n; i++)
		put_varint(&p->part, locations[i]);
	mw__str_reset(&p->message);
	put_message(&p->message, SAMPLE_LOCATION, &p->part);
	for (unsigned i = 0; i < 4; i++)
		put_varint(&p->part, values[i]);
	put_message(&p->message, SAMPLE_VALUE, &p->part);
	if (s->is_private)
		add_heap_label(p, s);
	put_message(&p->out, PROFILE_SAMPLE, &p->message);
}

static int write_gzip(const struct mw__str *s, const struct mw_sink *sink, struct mw_err *err)
{
	struct mw__gzip g;

	if (mw__gzip_begin(&g, sink) < 0)
		return mw__fail_nomem(err, "pprof");
	g.sink.write(g.sink.ctx, s->v, s->n);
	int rc = mw__gzip_end(&g, false);

	return rc ? mw__fail(err, (enum mw_errcode)-rc, 0, "pprof: write") : 0;
}

static int refuse(struct mw_err *err)
{
	int rc = mw__fail(err, MW_E_UNSUPPORTED, 0, "there are no allocation sites: its heap is not memwhy-malloc's, or cannot be read");

	mw__hint(err, "memwhy run -- COMMAND starts a program under an allocator that keeps them");
	return rc;
}

int mw_heap_pprof(const struct mw_snapshot *snap, const struct mw_sink *sink, struct mw_err *err)
{
	MW_CLEANUP(pprof_deinit) struct pprof p = { .snap = snap };

	if (!snap->own)
		return refuse(err);
	add_head(&p);
	for (size_t i = 0; i < snap->own->sites.n; i++)
		add_sample(&p, &snap->own->sites.v[i]);
	add_mappings(&p);
	if (p.out.failed || p.out.n > UINT32_MAX)
		return mw__fail_nomem(err, "pprof");
	return write_gzip(&p.out, sink, err);
}

/* ------------------------------------------------------------------------ folded */

static void fold_name(struct mw__str *s, const char *name)
{
	mw__str_puts(s, ";");
	mw__fold_name(s, name);
}

static void fold_symbol(struct mw__str *s, const char *symbol)
{
	char *name = plain_name(symbol);

	fold_name(s, name ? name : symbol);
	free(name);
}

static void fold_frame(struct mw__str *s, const struct mw__own_frame *f)
{
	const char *function = mw__frame_function(f);
	char place[64];

	if (function) {
		fold_symbol(s, function);
	} else if (f->image) {
		fold_name(s, f->image);
	} else {
		snprintf(place, sizeof(place), "0x%llx", (unsigned long long)f->addr);
		fold_name(s, place);
	}
	for (uint32_t i = f->n_lines; i-- > 1;)	/* what was inlined, below it */
		fold_symbol(s, *f->lines[i - 1].function ? f->lines[i - 1].function : "?");
}

static const char *private_heap_name(const struct mw__own_site *site, char *buf, size_t n)
{
	snprintf(buf, n, "[private heap%s%s]", site->heap ? " " : "", site->heap ? site->heap : "");
	return buf;
}

static void fold_site(struct mw__str *s, const char *program, const struct mw__own_site *site)
{
	char name[64];

	fold_name(s, program);
	if (site->is_private)
		fold_name(s, private_heap_name(site, name, sizeof(name)));
	if (!site->n_frames)
		fold_name(s, no_stack);
	for (uint32_t i = site->n_frames; i-- > 0;)
		fold_frame(s, &site->frames[i]);
	mw__str_add(s, "", 1);
}

struct line {
	const char *text;
	size_t off;
	uint64_t bytes;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct line *)a)->text, ((const struct line *)b)->text);
}

static int write_line(const struct line *l, uint64_t bytes, const struct mw_sink *sink)
{
	char number[32];
	int n = snprintf(number, sizeof(number), " %llu\n", (unsigned long long)bytes);
	int rc = sink->write(sink->ctx, l->text, strlen(l->text));

	return rc < 0 ? rc : sink->write(sink->ctx, number, (size_t)n);
}

static int write_lines(struct line *lines, size_t n, const struct mw_sink *sink)
{
	int rc = 0;

	qsort(lines, n, sizeof(*lines), by_text);
	for (size_t i = 0, k; rc == 0 && i < n; i = k) {
		uint64_t bytes = 0;

		for (k = i; k < n && !strcmp(lines[k].text, lines[i].text); k++)
			bytes += lines[k].bytes;
		rc = write_line(&lines[i], bytes, sink);
	}
	return rc;
}

static void str_deinit(struct mw__str *s)
{
	mw__str_deinit(s);
}

int mw_heap_folded(const struct mw_snapshot *snap, const struct mw_sink *sink, struct mw_err *err)
{
	MW_CLEANUP(str_deinit) struct mw__str all = {};
	const char *program = snap->target.comm && *snap->target.comm ? snap->target.comm : "?";

	if (!snap->own)
		return refuse(err);
	MW_CLEANUP(mw__freep) struct line *lines = calloc(snap->own->sites.n + 1, sizeof(*lines));
	size_t n = 0;

	if (!lines)
		return mw__fail_nomem(err, "folded stacks");
	for (size_t i = 0; i < snap->own->sites.n; i++) {
		const struct mw__own_site *s = &snap->own->sites.v[i];

		if (!s->live_bytes)
			continue;
		lines[n++] = (struct line){ NULL, all.n + 1, s->live_bytes };	/* behind its first ";" */
		fold_site(&all, program, s);
	}
	if (all.failed)
		return mw__fail_nomem(err, "folded stacks");
	for (size_t i = 0; i < n; i++)
		lines[i].text = all.v + lines[i].off;
	int rc = write_lines(lines, n, sink);

	return rc < 0 ? mw__fail(err, (enum mw_errcode)-rc, 0, "folded stacks: write") : 0;
}
