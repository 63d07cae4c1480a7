/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A snapshot comes back from its file as it was; a damaged file gives an error and nothing else. */
#include "save/recording.h"
#include "save/save.h"
#include "save/own_fields.h"

#include <errno.h>
#include <unistd.h>

#include "samples.h"
#include "sinks.h"
#include "tap.h"

static bool save(const struct mw_snapshot *snap, struct mw__str *text)
{
	struct mw_sink sink = { sink_keep, text };

	mw__str_reset(text);
	return mw_snapshot_save(snap, &sink, NULL) == 0;
}

static int load(const char *bytes, size_t len, struct mw_snapshot **ret, struct mw_err *err)
{
	FILE *file = fmemopen((void *)(uintptr_t)bytes, len, "r");

	if (!file)
		return -MW_E_OS;
	int rc = mw__save_read(file, "sample", ret, err);

	fclose(file);
	return rc;
}

/* ------------------------------------------------------------------ round trip */

static bool same_field(const struct mw__field *field, const void *a, const void *b)
{
	if (field->kind != MW__F_TEXT)
		return mw__field_load(a, field) == mw__field_load(b, field);
	const char *text_a, *text_b;

	memcpy(&text_a, (const char *)a + field->off, sizeof(text_a));
	memcpy(&text_b, (const char *)b + field->off, sizeof(text_b));
	return text_a && text_b ? !strcmp(text_a, text_b) : text_a == text_b;
}

static bool same_structs(const struct mw__fields *fields, const void *a, const void *b, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		const char *pa = (const char *)a + k * fields->size, *pb = (const char *)b + k * fields->size;

		for (size_t i = 0; i < fields->n; i++) {
			if (!same_field(&fields->v[i], pa, pb)) {
				printf("# %s of element %zu differs\n", fields->v[i].key, k);
				return false;
			}
		}
	}
	return true;
}

static bool same_images(const struct mw_snapshot *a, const struct mw_snapshot *b)
{
	for (size_t i = 0; i < a->images.n; i++) {
		const struct mw__image *x = &a->images.v[i], *y = &b->images.v[i];

		if (x->n_segments != y->n_segments || x->n_sections != y->n_sections ||
		    !same_structs(&mw__segment_fields, x->segments, y->segments, x->n_segments) ||
		    !same_structs(&mw__section_fields, x->sections, y->sections, x->n_sections))
			return false;
	}
	return true;
}

static bool same_detail(const struct mw__detail *x, const struct mw__detail *y)
{
	if (!x || !y)
		return x == y;
	return x->n_symbols == y->n_symbols && x->n_reloc_pages == y->n_reloc_pages &&
	       same_structs(&mw__detail_fields, x, y, 1) &&
	       same_structs(&mw__symbol_fields, x->symbols, y->symbols, x->n_symbols) &&
	       same_structs(&mw__reloc_page_fields, x->reloc_pages, y->reloc_pages, x->n_reloc_pages);
}

static bool same_details(const struct mw_snapshot *a, const struct mw_snapshot *b)
{
	for (size_t i = 0; i < a->images.n; i++)
		if (!same_detail(a->images.v[i].detail, b->images.v[i].detail))
			return false;
	return true;
}

static bool same_cache(const struct mw_snapshot *a, const struct mw_snapshot *b)
{
	if (a->cache.n != b->cache.n)
		return false;
	for (size_t i = 0; i < a->vmas.n; i++)
		for (uint32_t k = 0; k < a->vmas.v[i].n_cache; k++) {
			const struct mw__run *x = &a->cache.v[a->vmas.v[i].cache + k], *y = &b->cache.v[b->vmas.v[i].cache + k];

			if (a->vmas.v[i].n_cache != b->vmas.v[i].n_cache || x->start != y->start || x->pages != y->pages ||
			    x->state != y->state)
				return false;
		}
	return true;
}

static bool same_runs(const struct mw_snapshot *a, const struct mw_snapshot *b)
{
	if (a->runs.n != b->runs.n)
		return false;
	for (size_t i = 0; i < a->vmas.n; i++)
		if (a->vmas.v[i].run != b->vmas.v[i].run || a->vmas.v[i].n_runs != b->vmas.v[i].n_runs)
			return false;
	for (size_t i = 0; i < a->runs.n; i++) {
		const struct mw__run *x = &a->runs.v[i], *y = &b->runs.v[i];

		if (x->start != y->start || x->pages != y->pages || x->state != y->state)
			return false;
	}
	return true;
}

#define SAME(vec, fields) \
	(a->vec.n == b->vec.n && same_structs(&fields, a->vec.v, b->vec.v, a->vec.n))

static void check_same(const struct mw_snapshot *a, const struct mw_snapshot *b)
{
	for (size_t i = 0; i < MW__N_HEAD_PARTS; i++) {
		const struct mw__head_part *part = &mw__head_parts[i];

		ok(same_structs(part->fields, (const char *)a + part->off, (const char *)b + part->off, 1),
		   "%s is as it was", part->key);
	}
	ok(SAME(vmas, mw__vma_fields), "the mappings are as they were");
	ok(!a->vmas.n || (a->smaps && b->smaps && same_structs(&mw__smaps_fields, a->smaps, b->smaps, a->vmas.n)),
	   "so is smaps");
	ok(same_runs(a, b), "so are the runs");
	ok(SAME(files, mw__file_fields), "so are the files");
	ok(SAME(images, mw__image_fields), "so are the images");
	ok(same_images(a, b), "so are their segments and sections");
	ok(same_details(a, b), "so are their symbols and relocated pages");
	ok(same_cache(a, b), "so are the places in the page cache");
	ok(SAME(frames, mw__frame_fields), "so are the frames");
	ok(a->cpu.n == b->cpu.n && same_structs(&mw__cpuid_fields, a->cpu.leaves, b->cpu.leaves, a->cpu.n), "so is the processor");
	ok(SAME(sources, mw__source_line_fields), "so are the source lines");
	ok(SAME(tasks, mw__task_fields), "so are the tasks");
	ok(SAME(claims, mw__claim_fields), "so are the claims");
	ok(SAME(notes, mw__note_fields), "so are the notes");
}

static size_t longest_line(const struct mw__str *text)
{
	size_t longest = 0, n = 0;

	for (size_t i = 0; i < text->n; i++) {
		n = text->v[i] == '\n' ? 0 : n + 1;
		if (n > longest)
			longest = n;
	}
	return longest;
}

static void check_round_trip(size_t n, size_t n_runs, uint32_t n_parts)
{
	struct mw_snapshot *snap = sample_create(n, n_runs, n_parts), *back = NULL;
	struct mw__str text = { 0 }, again = { 0 };
	struct mw_err err = { .text = "" };

	ok(snap && save(snap, &text), "%zu records, %zu runs, %u parts are saved", n, n_runs, n_parts);
	if (ok(load(text.v, text.n, &back, &err) == 0, "and read")) {
		check_same(snap, back);
		ok(save(back, &again) && again.n == text.n && !memcmp(again.v, text.v, text.n),
		   "saved again, the file is the same");
	} else {
		printf("# %s\n", err.text);
	}
	ok(longest_line(&text) < 128 << 10, "no line is long");
	mw_snapshot_destroy(snap);
	mw_snapshot_destroy(back);
	mw__str_deinit(&text);
	mw__str_deinit(&again);
}

/* --------------------------------------------------------------------- tables */

/* Members that are not in a table, since they are derived. */
struct derived {
	size_t off, size;
};
#define DERIVED(type, m) { offsetof(struct type, m), sizeof(((struct type *)0)->m) }
static const struct derived vma_derived[] = { DERIVED(mw__vma, run), DERIVED(mw__vma, n_runs),
	DERIVED(mw__vma, cache), DERIVED(mw__vma, n_cache), { 0, 0 } };
static const struct derived detail_derived[] = {
	DERIVED(mw__detail, symbols), DERIVED(mw__detail, n_symbols), DERIVED(mw__detail, reloc_pages),
	DERIVED(mw__detail, n_reloc_pages), { 0, 0 },
};
static const struct derived image_derived[] = {
	DERIVED(mw__image, segments), DERIVED(mw__image, n_segments), DERIVED(mw__image, sections),
	DERIVED(mw__image, n_sections), DERIVED(mw__image, detail), { 0, 0 },
};

/* What no table names must be padding, which is shorter than an alignment. */
static bool covers(const struct mw__fields *fields, const struct derived *derived)
{
	bool seen[1024] = { false };
	size_t gap = 0;

	for (size_t i = 0; i < fields->n; i++)
		memset(seen + fields->v[i].off, true, fields->v[i].size);
	for (; derived && derived->size; derived++)
		memset(seen + derived->off, true, derived->size);
	for (size_t i = 0; i < fields->size; i++) {
		gap = seen[i] ? 0 : gap + 1;
		if (gap >= 8)
			return false;
	}
	return true;
}

static void check_tables(void)
{
	static const struct { const char *name; const struct mw__fields *fields; const struct derived *derived; }
	all[] = {
		{ "target", &mw__target_fields, NULL }, { "status", &mw__status_fields, NULL },
		{ "roads", &mw__roads_fields, NULL }, { "limits", &mw__limits_fields, NULL },
		{ "cgroup", &mw__cgroup_fields, NULL }, { "layout", &mw__layout_fields, NULL },
		{ "smaps", &mw__smaps_fields, NULL }, { "vma", &mw__vma_fields, vma_derived },
		{ "file", &mw__file_fields, NULL }, { "image", &mw__image_fields, image_derived },
		{ "segment", &mw__segment_fields, NULL }, { "section", &mw__section_fields, NULL },
		{ "task", &mw__task_fields, NULL }, { "claim", &mw__claim_fields, NULL },
		{ "note", &mw__note_fields, NULL }, { "detail", &mw__detail_fields, detail_derived },
		{ "symbol", &mw__symbol_fields, NULL }, { "relocated page", &mw__reloc_page_fields, NULL },
		{ "frame", &mw__frame_fields, NULL }, { "source line", &mw__source_line_fields, NULL },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ok(covers(all[i].fields, all[i].derived), "the table of %s names every member", all[i].name);
}

/* Declarators between "struct name {" and "};" of snapshot.h, comments and included lists aside. */
static int count_members(const char *header, const char *name)
{
	char start[64];
	int n = 0;

	snprintf(start, sizeof(start), "\nstruct %s {", name);
	const char *p = strstr(header, start);

	for (p = p ? p + strlen(start) : "};"; strncmp(p, "};", 2) != 0; p++) {
		if (!strncmp(p, "/*", 2))
			p = strstr(p, "*/") + 1;
		n += *p == ',' || *p == ';';
	}
	return n;
}

static char *read_header(void)
{
	static char text[65536];
	FILE *file = fopen("lib/model/snapshot.h", "re");

	if (!file)
		return NULL;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

/* Padding could hide a small member that was forgotten, so the declarations are counted, too. */
static void check_members(const char *name, const struct mw__fields *fields, int others)
{
	const char *header = read_header();

	if (header)
		is_int((long long)fields->n, count_members(header, name) + others, name);
	else
		ok(true, "%s # SKIP the header is not here", name);
}

static void check_counts(void)
{
#define SMAPS(...) +1
#define STATUS(...) +1
	const int n_smaps = 0
#include "model/smaps.def"
		, n_status = 0
#include "model/status.def"
		;

	check_members("mw__target", &mw__target_fields, 0);
	check_members("mw__status", &mw__status_fields, n_status);
	check_members("mw__roads", &mw__roads_fields, 0);
	check_members("mw__limits", &mw__limits_fields, 0);
	check_members("mw__cgroup", &mw__cgroup_fields, 0);
	check_members("mw__layout", &mw__layout_fields, 0);
	check_members("mw__smaps", &mw__smaps_fields, n_smaps);
	check_members("mw__vma", &mw__vma_fields, -4);
	check_members("mw__detail", &mw__detail_fields, -4);
	check_members("mw__symbol", &mw__symbol_fields, 0);
	check_members("mw__reloc_page", &mw__reloc_page_fields, 0);
	check_members("mw__frame", &mw__frame_fields, -1);
	check_members("mw__source_line", &mw__source_line_fields, 0);
	check_members("mw__file", &mw__file_fields, 0);
	check_members("mw__image", &mw__image_fields, -5);
	check_members("mw__segment", &mw__segment_fields, 0);
	check_members("mw__section", &mw__section_fields, 0);
	check_members("mw__task", &mw__task_fields, 0);
	check_members("mw__claim", &mw__claim_fields, 0);
	check_members("mw__note", &mw__note_fields, 0);
}

/* ------------------------------------------------------------------- bad files */

static const char head[] = "{\"schema\":\"memwhy/snapshot/1\",\"target\":{\"page_size\":4096,\"pages\":\"none\"}}\n";
#define END(n) "{\"end\":{\"records\":" #n "}}\n"
#define VMA "{\"vma\":{\"start\":\"0x1000\",\"end\":\"0x5000\",\"prot\":4,\"kind\":\"file\"}}\n"
#define IMAGE "{\"image\":{\"start\":\"0x0\",\"end\":\"0x0\",\"elf_class\":64}}\n"
#define PLACED "{\"vma\":{\"start\":\"0x1000\",\"end\":\"0x5000\",\"prot\":4,\"kind\":\"file\",\"cached\":12288,\"cache_placed\":true}}\n"
#define DETAIL "{\"detail\":{\"symbols_from\":\".symtab\"}}\n"

static void check_file(const char *body, const char *why)
{
	struct mw_snapshot *snap = NULL;
	struct mw__str text = { 0 };
	struct mw_err err = { .text = "" };

	mw__str_printf(&text, "%s%s", head, body);
	int rc = load(text.v, text.n, &snap, &err);

	if (why)
		ok(rc == -MW_E_FORMAT && !snap && strstr(err.text, why), "refused: %s", why);
	else
		ok(rc == 0 && snap, "accepted: a file of %zu bytes", text.n);
	if (why ? !strstr(err.text, why) : rc)
		printf("# %s\n", err.text);
	mw_snapshot_destroy(snap);
	mw__str_deinit(&text);
}

static void check_bodies(void)
{
	static const struct { const char *body, *why; } cases[] = {
		{ END(0), NULL },
		{ VMA END(1), NULL },
		{ VMA "{\"runs\":[[0,1,1],[1,3,1]]}\n{\"runs\":[]}\n" END(3), NULL },
		{ "{\"later\":[[]]}\n" VMA END(2), NULL },
		{ IMAGE "{\"segments\":[{}]}\n{\"sections\":[{\"name\":null,\"later\":1}]}\n" END(3), NULL },
		{ "{\"end\":{\"records\":0}}", NULL },
		{ "", "line 1: the file ends here" },
		{ VMA, "line 2: the file ends here" },
		{ END(1), "line 2: 1 records were written, but 0 are here" },
		{ END(0) END(0), "line 3: there is more behind the end" },
		{ END(0) "\n", "line 3: there is more behind the end" },
		{ "\n" END(0), "line 2: the line is empty" },
		{ "{}{}\n" END(1), "line 2: not an object of JSON" },
		{ "[]\n" END(1), "line 2: not an object of JSON" },
		{ "{\"note\":{},}\n" END(1), "line 2: not an object of JSON" },
		{ "{\"note\":\"\xff\"}\n" END(1), "line 2: not an object of JSON" },
		{ "{\"note\":[[[[[[[[[[[[]]]]]]]]]]]]}\n" END(1), "line 2: not an object of JSON" },
		{ "{\"note\"", "line 2: not an object of JSON" },
		{ " { \"vma\" : {\"end\":\"0x1000\",\"prot\":0}}\n" END(1), "mapping 0: it ends before it starts" },
		{ "{\"x\":this is passed over}\n{\"notes\":[}\n{\"\":}\n" END(3), NULL },
		{ "{}\n" END(1), "line 2: this is no record" },
		{ "{\"\\u0076ma\":{}}\n" END(1), "line 2: this is no record" },
		{ "{\"end\":{}}\n", "does not say how many" },
		{ "{\"end\":1}\n", "does not say how many" },
		{ "{\"end\":{\"records\":-1}}\n", "records is not a whole number" },
		{ "{\"runs\":[]}\n" END(1), "line 2: runs without a mapping" },
		{ "{\"segments\":[]}\n" END(1), "line 2: segments without an image" },
		{ VMA "{\"runs\":{}}\n" END(2), "line 3: runs is not a list" },
		{ VMA "{\"runs\":[[1,2]]}\n" END(2), "a run is not [page, pages, state]" },
		{ VMA "{\"runs\":[[1,null,1]]}\n" END(2), "run is not a whole number" },
		{ VMA "{\"runs\":[[1,4294967296,1]]}\n" END(2), "run is too large" },
		{ VMA "{\"runs\":[[4503599627370495,1,1]]}\n" END(2), "behind the end of memory" },
		{ VMA "{\"runs\":[[0,5,1]]}\n" END(2), "run 0: it ends after its mapping" },
		{ VMA "{\"runs\":[[0,1,64]]}\n" END(2), "run 0: its state is not known" },
		{ "{\"vma\":[]}\n" END(1), "vma is not an object" },
		{ "{\"vma\":{}}\n" END(1), "mapping 0: it ends before it starts" },
		{ "{\"vma\":{\"start\":4096}}\n" END(1), "start is not an address" },
		{ "{\"vma\":{\"start\":\"4096\"}}\n" END(1), "start is not an address" },
		{ "{\"vma\":{\"start\":\"0x\"}}\n" END(1), "start is not an address" },
		{ "{\"vma\":{\"start\":\"0x10000000000000000\"}}\n" END(1), "start is not an address" },
		{ "{\"vma\":{\"start\":\"0xffffffffffffffff\"}}\n" END(1), "start is not an address" },
		{ "{\"vma\":{\"kind\":\"fil\"}}\n" END(1), "kind: 'fil' is not known" },
		{ "{\"vma\":{\"kind\":null}}\n" END(1), "kind: '' is not known" },
		{ "{\"vma\":{\"name\":1}}\n" END(1), "name is not a text" },
		{ "{\"vma\":{\"name\":\"a\\u0000b\"}}\n" END(1), "name has a NUL in it" },
		{ "{\"vma\":{\"prot\":255}}\n" END(1), "prot is too large" },
		{ "{\"vma\":{\"prot\":1.5}}\n" END(1), "prot is not a whole number" },
		{ "{\"vma\":{\"ino\":18446744073709551616}}\n" END(1), "ino is too large" },
		{ "{\"vma\":{\"file\":4294967296}}\n" END(1), "file is too large" },
		{ "{\"vma\":{\"is_shared\":1}}\n" END(1), "is_shared is neither true nor false" },
		{ PLACED "{\"cache\":[[0,1],[2,2]]}\n" END(2), NULL },
		{ PLACED END(1), "its pages in the cache do not add up" },
		{ PLACED "{\"cache\":[[0,1]]}\n{\"cache\":[[2,2]]}\n" END(3), NULL },
		{ PLACED "{\"cache\":[[0,1],[0,2]]}\n" END(2), "its pages in the cache overlap" },
		{ PLACED "{\"cache\":[[2,3]]}\n" END(2), "its pages in the cache overlap" },
		{ PLACED "{\"cache\":[[0,0]]}\n" END(2), "its pages in the cache overlap" },
		{ PLACED "{\"cache\":[[4503599627370495,1]]}\n" END(2), "behind the end of memory" },
		{ PLACED "{\"cache\":[[0]]}\n" END(2), "are not [page, pages]" },
		{ PLACED "{\"cache\":1}\n" END(2), "cache is not a list" },
		{ VMA "{\"cache\":[[0,1]]}\n" END(2), "its pages in the cache are not where they should be" },
		{ "{\"cache\":[]}\n" END(1), "cache without a mapping before" },
		{ IMAGE DETAIL "{\"symbols\":[[1,2,0,0,\"a\"],[1,1,0,0,\"b\",9]]}\n" END(3), NULL },
		{ IMAGE DETAIL "{\"reloc_pages\":[[4096,1,0]]}\n{\"reloc_pages\":[[8192,1,0]]}\n" END(4), NULL },
		{ IMAGE DETAIL "{\"symbols\":[[1,2,0,0,null]]}\n" END(3), "a symbol of it has no name" },
		{ IMAGE DETAIL "{\"symbols\":[[2,2,0,0,\"a\"],[1,1,0,0,\"b\"]]}\n" END(3), "its symbols are out of order" },
		{ IMAGE DETAIL "{\"symbols\":[[1,1,0,0,\"a\"],[1,2,0,0,\"b\"]]}\n" END(3), "its symbols are out of order" },
		{ IMAGE DETAIL "{\"symbols\":[[1,2,0,0]]}\n" END(3), "symbols: not a row of 5 values" },
		{ IMAGE DETAIL "{\"symbols\":[[1,2,256,0,\"a\"]]}\n" END(3), "type is too large" },
		{ IMAGE DETAIL "{\"symbols\":{}}\n" END(3), "symbols is not a list" },
		{ IMAGE DETAIL "{\"reloc_pages\":[[4096,1,0],[4096,1,0]]}\n" END(3), "its relocated pages are out of order" },
		{ IMAGE DETAIL "{\"reloc_pages\":[[1,1,0]]}\n" END(3), "its relocated pages are out of order" },
		{ IMAGE DETAIL DETAIL END(3), "a second detail of one image" },
		{ IMAGE DETAIL IMAGE DETAIL END(4), NULL },
		{ IMAGE "{\"detail\":{}}\n{\"symbols\":[[1,2,0,0,\"a\"]]}\n" END(3), "its symbols or relocations are missing" },
		{ IMAGE "{\"symbols\":[]}\n" END(2), "symbols without a detail before" },
		{ IMAGE "{\"reloc_pages\":[]}\n" END(2), "reloc_pages without a detail before" },
		{ DETAIL END(1), "detail without an image before" },
		{ "{\"frames\":[[4096,7,0,1,null],[8192,null,null,null,0]]}\n" END(1), NULL },
		{ "{\"frames\":[[4096,7,0,1,0],[4096,7,0,1,0]]}\n" END(1), "frame 1: it is out of order" },
		{ "{\"frames\":[[1,7,0,1,0]]}\n" END(1), "frame 0: it is out of order" },
		{ "{\"frames\":[[4096,7,0,1,4294967296]]}\n" END(1), "node is too large" },
		{ "{\"sources\":[[1,0,10,null,\"f\"]]}\n" END(1), NULL },
		{ "{\"cpuid\":[[0,0,1,2,3,4]]}\n" END(1), NULL },
		{ "{\"cpuid\":[[0,0,1,2,3]]}\n" END(1), "cpuid: not a row of 6 values" },
		{ "{\"sources\":[{}]}\n" END(1), "sources: not a row of 5 values" },
		{ "{\"task\":{\"tid\":2147483648}}\n" END(1), "tid is too large" },
		{ "{\"claim\":{\"owner\":\"me\"}}\n" END(1), "owner: 'me' is not known" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_file(cases[i].body, cases[i].why);
}

static void check_heads(void)
{
	static const struct { const char *text, *why; } cases[] = {
		{ "", "the file is empty" },
		{ "\177ELF\002\001\001", "line 1: this is not a snapshot of memwhy" },
		{ "{\"a\":1}\n", "line 1: this is not a snapshot of memwhy" },
		{ "{\"schema\":\"memwhy/explain/1\"}\n", "line 1: this is not a snapshot of memwhy" },
		{ "{\"schema\":\"memwhy/snapshot/\"}\n", "line 1: this is not a snapshot of memwhy" },
		{ "{\"schema\":\"memwhy/snapshot/0\"}\n", "line 1: this is not a snapshot of memwhy" },
		{ "{\"schema\":\"memwhy/snapshot/1x\"}\n", "line 1: this is not a snapshot of memwhy" },
		{ "{\"schema\":\"memwhy/snapshot/2\"}\n", "version 2, which a newer memwhy wrote" },
		{ "{\"schema\":\"memwhy/snapshot/1\"}\n" END(0), "a page size of" },
		{ "{\"schema\":\"memwhy/snapshot/1\",\"target\":3}\n" END(0), "target is not an object" },
		{ "{\"schema\":\"memwhy/snapshot/1\",\"status\":{\"state\":\"RS\"}}\n" END(0), "state is not one character" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mw_snapshot *snap = NULL;
		struct mw_err err = { .text = "" };
		size_t len = strlen(cases[i].text);
		int rc = len ? load(cases[i].text, len, &snap, &err) :
			       mw_collect_saved("/dev/null", NULL, &snap, &err);

		ok(rc == -MW_E_FORMAT && !snap && strstr(err.text, cases[i].why), "refused: %s", cases[i].why);
		if (!strstr(err.text, cases[i].why))
			printf("# %s\n", err.text);
	}
}

/* One mapping has smaps, the ones around it have not. */
static void check_some_smaps(void)
{
	static const char text[] = "{\"schema\":\"memwhy/snapshot/1\",\"target\":{\"page_size\":4096}}\n"
		"{\"vma\":{\"start\":\"0x1000\",\"end\":\"0x2000\",\"prot\":4}}\n"
		"{\"vma\":{\"start\":\"0x2000\",\"end\":\"0x3000\",\"prot\":4,\"smaps\":{\"rss\":7}}}\n"
		"{\"vma\":{\"start\":\"0x3000\",\"end\":\"0x4000\",\"prot\":4}}\n" END(3);
	struct mw_snapshot *snap = NULL;

	ok(load(text, sizeof(text) - 1, &snap, NULL) == 0 && snap->smaps &&
	   snap->smaps[0].rss == MW_UNKNOWN && snap->smaps[1].rss == 7 && snap->smaps[1].pss == MW_UNKNOWN &&
	   snap->smaps[2].rss == MW_UNKNOWN, "where smaps is missing, nothing is known");
	mw_snapshot_destroy(snap);
}

/* What a file has not is unknown, not 0: numbers, limits and the letter of the state. */
static void check_absent(void)
{
	struct mw_snapshot *snap = NULL;

	ok(load(head, sizeof(head) - 1, &snap, NULL) < 0, "a head alone is cut off");
	static const char text[] = "{\"schema\":\"memwhy/snapshot/1\",\"target\":{\"page_size\":4096},\"status\":{\"vm_rss\":4096}}\n" END(0);

	ok(load(text, sizeof(text) - 1, &snap, NULL) == 0 && snap->status.vm_rss == 4096 && snap->status.vm_size == MW_UNKNOWN &&
	   snap->limits.as_soft == MW_UNKNOWN && snap->cgroup.max == MW_UNKNOWN && snap->status.state == '?',
	   "what the head of a file has not is unknown");
	mw_snapshot_destroy(snap);
}

static void check_nul(void)
{
	static const char text[] = "{\"schema\":\"memwhy/snapshot/1\",\"target\":{\"page_size\":4096}}\0x\n" END(0);
	struct mw_snapshot *snap = NULL;

	ok(load(text, sizeof(text) - 1, &snap, NULL) == -MW_E_FORMAT && !snap, "a NUL in a line is refused");
}

static void check_long_line(void)
{
	struct mw__str text = { 0 };
	struct mw_snapshot *snap = NULL;
	struct mw_err err;

	mw__str_puts(&text, head);
	for (size_t i = 0; i < (1 << 20) + 1; i++)
		mw__str_add(&text, " ", 1);
	mw__str_puts(&text, END(0));
	ok(load(text.v, text.n, &snap, &err) == -MW_E_FORMAT && strstr(err.text, "line 2: longer than"),
	   "a line of more than 1 MiB is refused");
	mw__str_deinit(&text);
}

static void check_caps(void)
{
	struct mw__str text = { 0 };
	struct mw_snapshot *snap = NULL;
	struct mw_err err = { .text = "" };

	mw__str_puts(&text, head);
	for (size_t i = 0; i < (1 << 16) + 1; i++)
		mw__str_puts(&text, "{\"note\":{}}\n");
	ok(load(text.v, text.n, &snap, &err) == -MW_E_FORMAT && strstr(err.text, "line 65538: too many notes"),
	   "more notes than anybody needs are refused");
	mw__str_deinit(&text);
}

static void check_paths(void)
{
	struct mw_snapshot *snap = NULL;
	struct mw_err err;

	ok(mw_collect_saved("/nonexistent/file", NULL, &snap, &err) == -MW_E_NOT_FOUND &&
	   err.os_errno == ENOENT, "a file that is not there");
	ok(mw_collect_saved("/", NULL, &snap, &err) == -MW_E_OS && !snap, "a directory");
}

/* --------------------------------------------------------------------- damage */

/* Read damaged bytes: 1 accepted, 0 refused, -1 something else. */
static int try_bytes(const char *bytes, size_t len)
{
	struct mw_snapshot *snap = NULL;
	struct mw_err err = { .text = "" };
	int rc = load(bytes, len, &snap, &err);
	bool is_sound = rc == 0 ? snap != NULL : !snap && err.text[0] &&
			(rc == -MW_E_FORMAT || rc == -MW_E_RANGE);

	mw_snapshot_destroy(snap);
	return is_sound ? rc == 0 : -1;
}

static void check_damage(void)
{
	static const char others[] = { 0, '\n', '"', '9', '-', '}' };
	struct mw_snapshot *snap = sample_create(2, 3, 1);
	struct mw__str text = { 0 };
	int accepted = 0, wrong = 0, whole = 0;

	if (!ok(snap && save(snap, &text), "a small file of %zu bytes", text.n))
		return;
	for (size_t len = 1; len < text.n; len++) {
		int got = try_bytes(text.v, len);

		accepted += got == 1 && len != text.n - 1;
		wrong += got < 0;
	}
	is_int(accepted, 0, "no truncated file is accepted, wherever it ends");
	is_int(wrong, 0, "each is refused in an orderly way");
	wrong = 0;
	for (size_t i = 0; i < text.n; i++) {
		char was = text.v[i];

		for (size_t k = 0; k < sizeof(others) + 2; k++) {
			text.v[i] = k < sizeof(others) ? others[k] : was ^ (char)(k % 2 ? 0x80 : 1);
			int got = try_bytes(text.v, text.n);

			wrong += got < 0;
			whole += got == 1;
		}
		text.v[i] = was;
	}
	is_int(wrong, 0, "with any byte changed, a file is read or refused");
	ok(whole > 0, "some changes are harmless");
	mw_snapshot_destroy(snap);
	mw__str_deinit(&text);
}

static void check_sink(void)
{
	struct mw_snapshot *snap = sample_create(2, 3, 1);
	bool good = true;

	for (size_t n = 0; n < 3000; n += 100) {
		struct failing f = { .left = n };
		struct mw_sink sink = { sink_fail, &f };

		good &= mw_snapshot_save(snap, &sink, NULL) == -MW_E_WRITE && f.calls_after <= 1;
	}
	ok(good, "an error of the sink ends the saving");
	mw_snapshot_destroy(snap);
}

/* Lines that never end. */
static ssize_t read_endless(void *cookie, char *buf, size_t size)
{
	static const char line[] = "{\"later\":1}\n";
	uint64_t *at = cookie;

	for (size_t i = 0; i < size; i++, ++*at)
		buf[i] = *at < sizeof(head) - 1 ? head[*at] : line[(*at - (sizeof(head) - 1)) % (sizeof(line) - 1)];
	return (ssize_t)size;
}

static void check_endless(void)
{
	uint64_t at = 0;
	FILE *file = fopencookie(&at, "r", (cookie_io_functions_t){ .read = read_endless });
	struct mw_snapshot *snap = NULL;
	struct mw_err err = { .text = "" };

	ok(file && mw__save_read(file, "endless", &snap, &err) == -MW_E_FORMAT && strstr(err.text, "line 16777218: too many records"),
	   "reading records that nobody knows comes to an end: %s", err.text);
	fclose(file);
}

/* ------------------------------------------------------------------ recordings */

static const char faults_head[] = "{\"schema\":\"memwhy/faults/1\",\"pid\":7,\"samples\":0}\n";

/* A line without end: how much of it is read? */
static ssize_t read_zeros(void *cookie, char *buf, size_t size)
{
	*(uint64_t *)cookie += size;
	memset(buf, 0, size);
	return *(uint64_t *)cookie < (64u << 20) ? (ssize_t)size : 0;
}

static int load_recording(const struct mw__str *text, struct mw_recording **ret, struct mw_err *err)
{
	FILE *file = fmemopen(text->v, text->n, "r");
	int rc = file ? mw__recording_read(file, "sample", ret, err) : -MW_E_OS;

	fclose(file);
	return rc;
}

static void check_recording_bounds(void)
{
	struct mw__str text = { 0 };
	struct mw_recording *rec = NULL;
	struct mw_err err = { .text = "" };
	uint64_t taken = 0;
	FILE *file = fopencookie(&taken, "r", (cookie_io_functions_t){ .read = read_zeros });

	int rc = file ? mw__recording_read(file, "zeros", &rec, &err) : 0;

	ok(rc == -MW_E_FORMAT && taken <= (2u << 20), "of a line without end a recording's reader takes no more than 2 MiB: %" PRIu64, taken);
	fclose(file);
	mw__str_puts(&text, faults_head);
	ok(load_recording(&text, &rec, &err) == -MW_E_FORMAT && strstr(err.text, "it ends too early"), "a recording of one line was cut: %s", err.text);
	for (int i = 0; i < 4097; i++)
		mw__str_puts(&text, "{\"note\":[\"a\",\"b\",null]}\n");
	size_t before = text.n;

	mw__str_puts(&text, "{\"end\":{\"records\":4097}}\n");
	ok(load_recording(&text, &rec, &err) == -MW_E_FORMAT && strstr(err.text, "line 4098: too many notes"), "too many are not for want of memory: %s",
	   err.text);
	text.n = before - strlen("{\"note\":[\"a\",\"b\",null]}\n");
	mw__str_puts(&text, "{\"end\":{\"records\":4097}}\n");
	ok(load_recording(&text, &rec, &err) == -MW_E_FORMAT && strstr(err.text, "something is missing"), "one record less than were written: %s",
	   err.text);
	mw__str_deinit(&text);
}

/* The longest names that the kernel tells, of characters that are written as six. */
static void check_long_moves(void)
{
	struct mw_sink sink = { sink_keep, &(struct mw__str){ 0 } };
	struct mw__str *text = sink.ctx;
	struct mw_recording rec, *back = NULL;
	struct mw_err err = { .text = "" };
	char name[4096];
	size_t longest = 0;

	memset(name, 1, sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	mw__recording_init(&rec);
	for (uint64_t i = 0; i < 300; i++) {
		struct mw__move *m = MW_VEC_PUSH(&rec.moves);

		*m = (struct mw__move){ .time_ns = i, .start = 0x1000, .end = 0x2000, .object = MW__NONE, .name = name };
	}
	bool saved = mw__recording_freeze(&rec, &err) == 0 && mw_faults_save(&rec, &sink, &err) == 0;

	for (const char *p = text->v, *end = p + text->n, *nl; saved && p < end; p = nl + 1) {
		nl = mw__find(p, end, '\n');
		longest = (size_t)(nl - p) > longest ? (size_t)(nl - p) : longest;
	}
	ok(saved && longest < MW__SAVE_LINE_MAX, "no line is too long to be read again: %zu", longest);
	ok(load_recording(text, &back, &err) == 0 && back->moves.n == 300 && !strcmp(back->moves.v[299].name, name),
	   "long names of mapped files come back: %s", err.text);
	mw_recording_destroy(back);
	mw__recording_deinit(&rec);
	mw__str_deinit(text);
}

/* Functions inlined into each other, and one too many. */
static void check_heap_lines(void)
{
	for (unsigned n = 255; n <= 257; n++) {
		struct mw_snapshot *snap = NULL;
		struct mw_err err = { .text = "" };
		struct mw__str text = { 0 };
		bool right = true;

		mw__str_printf(&text, "%s{\"heap\":{\"page_size\":4096,\"arena_size\":4096}}\n{\"heap_sites\":[[0,0,0,0,0,0]]}\n"
			       "{\"heap_frames\":[[0,1,\"f\",2,\"i\"]]}\n{\"heap_lines\":[", head);
		for (unsigned i = 0; i < n; i++)
			mw__str_printf(&text, "%s[0,0,\"f%u\",\"x.c\",%u]", i ? "," : "", i, i);
		mw__str_puts(&text, "]}\n" END(4));
		int rc = load(text.v, text.n, &snap, &err);
		const struct mw__own_frame *f = rc == 0 && snap->own && snap->own->sites.n ? &snap->own->sites.v[0].frames[0] : NULL;

		for (unsigned i = 0; f && i < f->n_lines; i++)
			right &= f->lines[i].line == i && (unsigned)atoi(f->lines[i].function + 1) == i;
		ok(n > 256 ? rc == -MW_E_FORMAT && strstr(err.text, "or full") : f && f->n_lines == n && right,
		   "%u source lines of one frame %s", n, err.text);
		mw_snapshot_destroy(snap);
		mw__str_deinit(&text);
	}
}

static void check_cut(void)
{
	struct mw_snapshot *snap = sample_create(1, 0, 0), *back = NULL;
	struct mw__str text = { 0 }, file = { 0 };

	mw__str_puts(&text, "x");
	while (text.n < 100000)
		mw__str_puts(&text, "\xc3\xb6");
	snap->target.cmdline = text.v;
	ok(save(snap, &file) && load(file.v, file.n, &back, NULL) == 0, "a long command line");
	ok(back && strlen(back->target.cmdline) == (1 << 14) - 1 &&
	   !strncmp(back->target.cmdline, text.v, (1 << 14) - 1), "is cut between characters");
	mw_snapshot_destroy(back);
	mw_snapshot_destroy(snap);
	mw__str_deinit(&text);
	mw__str_deinit(&file);
}

/* Compressed it is the same snapshot; cut or changed anywhere it is refused, with a reason. */
static void check_gzip(void)
{
	struct mw_snapshot *snap = sample_create(3, 2, 1), *back = NULL;
	struct mw__str plain = { 0 }, packed = { 0 }, again = { 0 };
	struct mw_sink sink = { sink_keep, &packed };
	struct mw_err err;
	unsigned bad = 0;

	ok(save(snap, &plain) && mw_snapshot_save_gzip(snap, &sink, NULL) == 0, "saved twice");
	ok(packed.n > 2 && packed.n < plain.n && (unsigned char)packed.v[0] == 0x1f, "one is compressed");
	ok(load(packed.v, packed.n, &back, NULL) == 0 && save(back, &again) && !strcmp(plain.v, again.v), "and the same when read");
	mw_snapshot_destroy(back);
	for (size_t n = 1; n < packed.n; n++) {
		back = NULL;
		memset(&err, 0, sizeof(err));
		bad += load(packed.v, n, &back, &err) != -MW_E_FORMAT || back || !err.text[0] || (n > 1 && !strstr(err.text, "truncated"));
	}
	is_int(bad, 0, "cut anywhere: truncated");
	for (size_t i = 10; i < packed.n; i++) {	/* the header's time and system say nothing */
		back = NULL;
		packed.v[i] ^= 0x10;
		mw__str_reset(&again);
		/* bits that only fill the last byte of the stream say nothing either */
		bad += load(packed.v, packed.n, &back, &err) == 0 && (!save(back, &again) || strcmp(plain.v, again.v));
		mw_snapshot_destroy(back);
		packed.v[i] ^= 0x10;
	}
	is_int(bad, 0, "changed anywhere: refused, or the same");
	mw__str_puts(&packed, "xxxx");
	ok(load(packed.v, packed.n, &back, &err) == -MW_E_FORMAT && strstr(err.text, "damaged"), "more behind it: %s", err.text);
	mw_snapshot_destroy(snap);
	mw__str_deinit(&plain);
	mw__str_deinit(&packed);
	mw__str_deinit(&again);
}

/* A heap with @n spans in the snapshot, of a page each; what comes back has as many, or none and a note. */
static void check_heap(size_t n)
{
	struct mw_snapshot *snap = calloc(1, sizeof(*snap)), *back = NULL;
	struct mw__own *own = NULL;
	struct mw__str text = { 0 };
	struct mw_err err = { .text = "" };

	mw__snapshot_init(snap);
	snap->target.page_size = 4096;
	own = mw__arena_alloc(&snap->arena, sizeof(*own));
	memset(own, 0, sizeof(*own));
	own->page_size = 8192;
	own->arena_size = 64 << 20;
	for (size_t i = 0; i < n; i++)
		*(struct mw__own_span *)MW_VEC_PUSH(&own->spans) = (struct mw__own_span){ .base = (1 + i) * 8192, .npages = 1,
			.use = MW__OWN_LARGE, .nelems = 1, .used = 1, .requested = i % 8192, .usable = 8192 };
	snap->own = own;
	bool fits = n <= MW__SAVE_OWN_MAX, saved = save(snap, &text), read = saved && load(text.v, text.n, &back, &err) == 0;

	if (!ok(read && (fits ? back->own && back->own->spans.n == n && back->own->spans.v[n - 1].base == n * 8192 && !back->notes.n
			      : !back->own && back->notes.n == 1 && strstr(back->notes.v[0].reason, "was not saved")),
		"a heap of %zu spans %s", n, fits ? "comes back" : "is left out, and the file says so"))
		printf("# %d %d %s\n", saved, read, err.text);
	mw_snapshot_destroy(back);
	mw_snapshot_destroy(snap);
	mw__str_deinit(&text);
}

int main(void)
{
	check_gzip();
	check_tables();
	check_counts();
	check_round_trip(0, 0, 0);
	check_round_trip(5, 4, 3);
	check_round_trip(4, 30000, 3000);
	check_bodies();
	check_heads();
	check_some_smaps();
	check_absent();
	check_nul();
	check_long_line();
	check_caps();
	check_endless();
	check_recording_bounds();
	check_long_moves();
	check_heap_lines();
	check_paths();
	check_damage();
	check_sink();
	check_cut();
	check_heap(1000);
	check_heap(MW__SAVE_OWN_MAX + 1);
	return done_testing();
}
