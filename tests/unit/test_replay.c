/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Captured processes, replayed: the numbers are known for good, and the whole report is compared with the text
 * in tests/golden. UPDATE=1 in the environment writes that text anew; read it before you keep it.
 */
#include <stdlib.h>

#include "explain/explain.h"
#include "sinks.h"
#include "tap.h"

#define FIXTURES "tests/fixtures/"
#define GOLDEN "tests/golden/"

static struct mw_snapshot *replay(const char *name, enum mw_page_source pages)
{
	char root[256];
	struct mw_collect_opts opts = { .size = sizeof(opts), .procfs = root, .pages = pages, .verify = true, .smaps = MW_ALWAYS };
	struct mw_snapshot *snap = NULL;
	struct mw_err err = {};

	snprintf(root, sizeof(root), FIXTURES "%s", name);
	ok(mw_collect_pid(42, &opts, &snap, &err) == 0, "%s is replayed %s", name, err.text);
	return snap;
}

static bool read_file(const char *path, struct mw__str *text)
{
	FILE *file = fopen(path, "re");
	char buf[4096];

	if (!file)
		return false;
	for (size_t n; (n = fread(buf, 1, sizeof(buf), file)) > 0;)
		mw__str_add(text, buf, n);
	fclose(file);
	return !text->failed;
}

static void check_golden(const char *name, const char *got)
{
	struct mw__str want = {};
	char path[256];

	snprintf(path, sizeof(path), GOLDEN "%s.txt", name);
	if (getenv("UPDATE")) {
		FILE *file = fopen(path, "we");

		ok(file && fputs(got, file) >= 0 && fclose(file) == 0, "%s is written", path);
		return;
	}
	ok(read_file(path, &want), "%s is there", path);
	is_str(got, want.v, path);
	mw__str_deinit(&want);
}

static void print(const struct mw_snapshot *snap, struct mw__str *s)
{
	struct mw_explain_opts all = { .size = sizeof(all), .all = true, .verify = true };
	struct mw_text_opts wide = { .size = sizeof(wide), .width = 120 }, raw = { .size = sizeof(raw), .raw = true };
	struct mw_document *doc = NULL;
	struct mw_sink sink = { sink_keep, s };

	ok(mw_report_explain(snap, &all, &doc, NULL) == 0 && mw_document_text(doc, &wide, &sink, NULL) == 0, "explain");
	mw_document_destroy(doc);
	doc = NULL;
	ok(mw_report_maps(snap, NULL, &doc, NULL) == 0 && mw_document_text(doc, &raw, &sink, NULL) == 0, "maps");
	mw_document_destroy(doc);
}

static void print_json(const struct mw_snapshot *snap, struct mw__str *s)
{
	struct mw_explain_opts all = { .size = sizeof(all), .all = true, .verify = true };
	struct mw_sink sink = { sink_keep, s };
	struct mw_document *doc = NULL;

	ok(mw_report_explain(snap, &all, &doc, NULL) == 0 && mw_document_json(doc, &sink, NULL) == 0, "explain as JSON");
	mw_document_destroy(doc);
	doc = NULL;
	ok(mw_report_maps(snap, NULL, &doc, NULL) == 0 && mw_document_json(doc, &sink, NULL) == 0, "maps as JSON");
	mw_document_destroy(doc);
}

/* The same words and the same JSON from the snapshot and from its copy in a file. */
static void check_saved(const struct mw_snapshot *snap, const struct mw__str *text)
{
	char path[] = "/tmp/memwhy-replay-XXXXXX";
	struct mw_snapshot *back = NULL;
	struct mw__str saved = {}, again = {};
	struct mw_sink sink = { sink_keep, &saved };
	int fd = mkstemp(path);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

	ok(file && mw_snapshot_save(snap, &sink, NULL) == 0 && fwrite(saved.v, 1, saved.n, file) == saved.n && fclose(file) == 0 &&
	   mw_collect_saved(path, NULL, &back, NULL) == 0, "saved and read again");
	if (back) {
		print(back, &again);
		is_str(again.v, text->v, "the saved one says the same");
		mw__str_reset(&again);
		print_json(back, &again);
		mw__str_reset(&saved);
		print_json(snap, &saved);
		is_str(again.v, saved.v, "also as JSON");
	}
	remove(path);
	mw_snapshot_destroy(back);
	mw__str_deinit(&saved);
	mw__str_deinit(&again);
}

static void check_sums(const struct mw_snapshot *snap, uint64_t vsz, uint64_t rss)
{
	struct mw_summary s = { .size = sizeof(s) };
	struct mw_account *acc = NULL;
	uint64_t all = 0, resident = 0;

	mw_snapshot_summary(snap, &s);
	is_u64(s.vsz, vsz, "VSZ");
	is_u64(s.rss, rss, "RSS");
	is_u64(snap->status.vm_size, vsz, "VmSize");
	is_u64(snap->status.vm_rss, rss, "VmRSS");
	ok(s.residual == 0 && s.rss_residual == 0 && s.state == MW_EXACT, "the residuals are 0");
	if (!ok(mw_account_create(snap, &acc, NULL) == 0, "an account"))
		return;
	for (size_t i = 0; i < mw_account_count(acc); i++) {
		struct mw_cause c = { .size = sizeof(c) };

		mw_account_cause(acc, i, &c);
		all += c.bytes;
		resident += c.is_resident ? c.bytes : 0;
	}
	ok(all == vsz && resident == rss, "the causes sum to both");
	mw_account_destroy(acc);
}

static void test_replay(const char *name, uint64_t vsz_kb, uint64_t rss_kb)
{
	struct mw_snapshot *snap = replay(name, MW_PAGES_AUTO);
	struct mw__str text = {};

	if (!snap)
		return;
	check_sums(snap, vsz_kb * 1024, rss_kb * 1024);
	print(snap, &text);
	check_golden(name, text.v);
	check_saved(snap, &text);
	mw__str_deinit(&text);
	mw_snapshot_destroy(snap);
}

/* Roads that a captured tree does not have. */
static void test_roads(void)
{
	struct mw_snapshot *snap = replay("new", MW_PAGES_PAGEMAP);
	struct mw_summary s = { .size = sizeof(s) };

	if (!snap)
		return;
	mw_snapshot_summary(snap, &s);
	ok(s.rss == 1792 * 1024 && snap->notes.n > 0, "without pagemap RSS comes from smaps, and a note says why");
	mw_snapshot_destroy(snap);
}

int main(void)
{
	test_replay("new", 2920, 1792);
	test_replay("old", 2920, 1792);
	test_replay("threads", 2584, 1660);
	test_roads();
	return done_testing();
}
