/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where things are: texts to ranges, ranges to page states, addresses to symbols, sections and page tables. */
#include "explain/locate.h"
#include "explain/sections.h"
#include "model/place.h"

#include <elf.h>

#include "build.h"
#include "tap.h"

#define RW (MW__R | MW__W)

/* The stretches of the only extent of a snapshot, as "STATE PAGES, ...". */
static const char *stretches(const struct mw_snapshot *snap)
{
	static char text[256];
	struct mw__extents it;
	struct mw__extent x;
	size_t n = 0;

	*text = '\0';
	if (mw__extents_init(&it, snap) < 0)
		return "no memory";
	while (mw__extents_next(&it, &x)) {
		struct mw__stretches parts;
		struct mw__stretch s;

		for (mw__stretches_init(&parts, snap, &x); mw__stretches_next(&parts, &s);)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %" PRIu64, n ? ", " : "", mw__wheres[s.where].id,
					      (s.end - s.start) / B_PAGE);
	}
	mw__extents_deinit(&it);
	return text;
}

static void test_stretches(void)
{
	struct mw_snapshot *snap = b_create();

	b_vma(snap, 0, 16, RW, MW__ANON)->zero_unplaced = 6 * B_PAGE;
	b_run(snap, 0, 10, MW__PRESENT);
	ok(mw__snapshot_freeze(snap, NULL) == 0, "zero pages without a place");
	is_str(stretches(snap), "zero 6, anonymous 4, absent 6", "are taken from the lowest addresses");
	mw_snapshot_destroy(snap);
	snap = b_create();
	b_vma(snap, 0, 16, MW__R, MW__FILE)->cached = 0;
	b_file(snap, "/file", 9 * B_PAGE + 1);
	ok(mw__snapshot_freeze(snap, NULL) == 0, "a file that is shorter than its mapping");
	is_str(stretches(snap), "uncached 10, beyond-eof 6", "ends with the page of its last byte");
	mw_snapshot_destroy(snap);
	for (unsigned evicted = 9; evicted <= 10; evicted++) {
		snap = b_create();
		struct mw__vma *v = b_vma(snap, 0, 16, RW, MW__SHMEM);

		v->cached = 0;
		v->evicted = evicted * B_PAGE;
		v->is_shared = true;
		b_run(snap, 4, 6, MW__PRESENT | MW__OF_FILE);
		ok(mw__snapshot_freeze(snap, NULL) == 0, "shared memory of which %u pages are swapped out", evicted);
		is_str(stretches(snap), evicted == 10 ? "swap 4, shmem 6, swap 6" : "uncached 4, shmem 6, uncached 6",
		       "are told apart from holes where there is no hole");
		mw_snapshot_destroy(snap);
	}
}

static void test_translation(void)
{
	struct mw_snapshot *snap = b_create();
	struct mw__translation t;
	struct mw__atlas atlas;

	snap->target.page_levels = 4;
	b_vma(snap, 0, 1024, RW, MW__ANON);
	b_run(snap, 0, 512, MW__PRESENT | MW__HUGE);
	b_run(snap, 512, 1, MW__PRESENT);
	if (!ok(mw__snapshot_freeze(snap, NULL) == 0 && mw__atlas_init(&atlas, snap) == 0, "a huge page and a single one"))
		return;
	mw__translate(&atlas, B_BASE + 0x1234, &t);
	ok(t.n == 3 && t.page_size == 2u << 20 && t.offset == 0x1234 && t.levels[2].shift == 21 && !strcmp(t.levels[2].name, "PMD"),
	   "a huge page ends the walk at its level");
	mw__translate(&atlas, B_BASE + (2u << 20) + 0x234, &t);
	ok(t.n == 4 && t.page_size == B_PAGE && t.offset == 0x234 && t.levels[3].shift == 12 && t.levels[3].in_use, "a single one goes on to the last");
	mw__atlas_deinit(&atlas);
	mw_snapshot_destroy(snap);
}

static struct mw__symbol symbols[] = {
	{ 0x1000, 0x200, "outer", STT_FUNC, STB_GLOBAL }, { 0x1100, 0x100, "inner", STT_FUNC, STB_LOCAL },
	{ 0x1180, 0x200, "other", STT_FUNC, STB_GLOBAL }, { 0x1800, 0, "label", STT_NOTYPE, STB_LOCAL },
};
static const struct mw__section section = { ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 0x1000, 0x1000, 0x1000 };

static const char *name_at(const struct mw__image *img, uint64_t addr)
{
	const struct mw__symbol *s = mw__image_symbol_at(img, img->bias + addr);

	return s ? s->name : "-";
}

static void test_symbols(void)
{
	struct mw__detail d = { .symbols = symbols, .n_symbols = 4, .symbols_from = ".symtab", .symbols_read = true };
	struct mw__image img = { .path = "/bin/x", .file = 0, .bias = B_BASE - 0x1000, .start = B_BASE, .end = B_BASE + B_PAGE, .elf_class = 64,
				 .sections = &section, .n_sections = 1, .detail = &d };

	is_str(name_at(&img, 0x1050), "outer", "in one symbol");
	is_str(name_at(&img, 0x1150), "inner", "in two, the one that begins nearer");
	is_str(name_at(&img, 0x1190), "other", "also where it is the larger one");
	is_str(name_at(&img, 0x1400), "-", "behind all");
	is_str(name_at(&img, 0x1900), "label", "a label without size reaches on");
	is_str(name_at(&img, 0x2100), "-", "to the end of its section");
	d.symbols_from = ".dynsym";
	is_str(name_at(&img, 0x1900), "-", "but not where only exported ones are known");
	is_str(name_at(&img, 0x1150), "inner", "sizes hold there too");

	struct mw_snapshot *snap = b_create();
	struct mw__pieces pieces;

	b_vma(snap, 0, 1, MW__R | MW__X, MW__FILE);
	b_file(snap, "/bin/x", 2 * B_PAGE);
	b_run(snap, 0, 1, MW__PRESENT | MW__OF_FILE);
	*(struct mw__image *)MW_VEC_PUSH(&snap->images) = img;
	if (!ok(mw__snapshot_freeze(snap, NULL) == 0 && mw__pieces_make(snap, NULL, true, &pieces) == 0 && pieces.images.n == 1, "pieces"))
		return;
	uint32_t others = 0;
	uint64_t sum = 0;

	for (size_t i = 0; i < pieces.images.v[0].pieces.n; i++) {
		struct mw__mass m = mw__piece_mass(&pieces.images.v[0], &pieces.images.v[0].pieces.v[i]);

		others += pieces.images.v[0].pieces.v[i].others;
		sum += m.mapped;
	}
	is_u64(others, 1, "a symbol that ends with the one around it lies inside of it");
	is_u64(sum, B_PAGE, "each byte is in one piece");
	mw__pieces_deinit(&pieces);
	mw_snapshot_destroy(snap);
}

static const struct { const char *text; int rc; const char *word; } places[] = {
	{ "7f0000000000-7f0000001000", 0, "" }, { "0x7f0000000000+4K", 0, "" }, { "7f0000000000+0x1000", 0, "" }, { "7f0000000800", 0, "" },
	{ "[heap]", 0, "" }, { "x", 0, "" }, { "libx", 0, "" }, { "libx.so.1", 0, "" },
	{ "lib", -MW_E_NOT_FOUND, "no such range" }, { "beef", -MW_E_NOT_FOUND, "no such range" }, { "0xbeef", -MW_E_NOT_FOUND, "no mapping holds" },
	{ "deadbeef", -MW_E_NOT_FOUND, "no mapping holds" }, { "ffffffffffffffff+2", -MW_E_USAGE, "beyond the end" },
	{ "1000+0", -MW_E_USAGE, "no bytes" }, { "2000-1000", -MW_E_USAGE, "ends before" }, { "1000+18446744073709551615G", -MW_E_NOT_FOUND, "no such range" },
};

static void test_places(void)
{
	struct mw_snapshot *snap = b_create();

	b_vma(snap, 0, 4, RW, MW__ANON)->name = "[heap]";
	b_vma(snap, 8, 4, MW__R, MW__FILE);
	b_file(snap, "/bin/x", 4 * B_PAGE);
	b_vma(snap, 16, 4, MW__R, MW__FILE);
	b_file(snap, "/lib/libx.so.1", 4 * B_PAGE);
	ok(mw__snapshot_freeze(snap, NULL) == 0, "a snapshot");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct mw__place place = {};
		struct mw_err err = { .text = "" };
		int rc = mw__place_find(snap, places[i].text, &place, &err);

		ok(rc == places[i].rc && strstr(err.text, places[i].word) && (rc < 0 || place.ranges.n == 1), "%s: %d %s", places[i].text, rc, err.text);
		if (rc == 0)
			mw__place_deinit(&place);
	}
	mw_snapshot_destroy(snap);
}

int main(void)
{
	test_stretches();
	test_translation();
	test_symbols();
	test_places();
	return done_testing();
}
