/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What sections, pages, at, top, tlb and faults are made of, while things go wrong one at a time: collecting
 * with symbols, relocations, places in the page cache and frames; saving that and reading it again; the
 * reports; the ranking of all processes; a recording of faults. What comes out is an error with a text, or a
 * view whose parts add up.
 */
#include <stdlib.h>

#include "../unit/samples.h"
#include "../unit/sinks.h"
#include "../unit/tap.h"
#include "explain/explain.h"
#include "explain/sections.h"
#include "plan.h"

/* ---------------------------------------------------------------------- steps */

struct context {
	pid_t pid;
	struct mw_snapshot *snap;	/* with everything */
	struct mw_ranking *ranking;
	struct mw_recording *rec;
	struct mw_cpu *cpu;
	char path[64];			/* of a saved snapshot */
	char faults[64];		/* of a saved recording */
	const char *why;		/* of the step that came out, but wrong */
};
static struct context ctx;

/* The pieces of every image sum to the image, and all images to no more than there is. */
static const char *check_pieces(const struct mw_snapshot *snap)
{
	struct mw__pieces pieces = {};
	const char *why = NULL;
	uint64_t all = 0;

	if (mw__pieces_make(snap, NULL, true, &pieces) < 0)
		return "no pieces";
	for (size_t i = 0; i < pieces.images.n; i++) {
		const struct mw__image_pieces *ic = &pieces.images.v[i];
		struct mw__mass sum = ic->gaps;

		for (size_t k = 0; k < ic->pieces.n; k++)
			mw__piece_add(ic, &ic->pieces.v[k], &sum);
		if (memcmp(&sum, &ic->sum, sizeof(sum)))
			why = "the pieces do not add up";
		if (sum.why[MW__BY_RELOC] + sum.why[MW__BY_CLEAR] + sum.why[MW__BY_WRITE] != sum.at[MW__AT_COPY])
			why = "the reasons do not add up";
		all += sum.mapped;
	}
	mw__pieces_deinit(&pieces);
	return all > mw__snapshot_vsz(snap) ? "more than there is" : why;
}

static int print(struct mw_document *doc, int rc)
{
	struct mw_text_opts text = { .size = sizeof(text), .width = 80 };

	if (rc == 0)
		rc = mw_document_text(doc, &text, &nowhere, NULL);
	if (rc == 0)
		rc = mw_document_json(doc, &nowhere, NULL);
	if (rc && rc != -MW_E_NOMEM)
		ctx.why = "it cannot be printed";
	mw_document_destroy(doc);
	return rc;
}

static int report_sections(const struct mw_snapshot *snap, struct mw_err *err)
{
	struct mw_sections_opts o = { .size = sizeof(o), .symbols = true, .relocs = true, .cold = true, .hot = true, .limit = 20 };
	struct mw_document *doc = NULL;

	int rc = mw_report_sections(snap, &o, &doc, err);

	return print(doc, rc);
}

static int made(int rc, struct mw_document *doc)
{
	if (rc && doc)
		ctx.why = "an error and a document";
	mw_document_destroy(rc ? NULL : doc);
	return rc;
}

static int step_sections(struct mw_err *err)
{
	struct mw_sections_opts o = { .size = sizeof(o), .symbols = true, .relocs = true, .cold = true, .hot = true, .limit = 20 };
	struct mw_document *doc = NULL;
	int rc = mw_report_sections(ctx.snap, &o, &doc, err);

	return made(rc, doc);
}

static int step_pages(struct mw_err *err)
{
	struct mw_pages_opts o = { .size = sizeof(o), .frames = true, .all = true };
	struct mw_document *doc = NULL;
	int rc = mw_report_pages(ctx.snap, &o, &doc, err);

	return made(rc, doc);
}

static int step_place(struct mw_err *err)
{
	struct mw_pages_opts o = { .size = sizeof(o), .place = "libc:.data" };
	struct mw_document *doc = NULL;
	int rc = mw_report_pages(ctx.snap, &o, &doc, err);

	return made(rc, doc);
}

static int step_at(struct mw_err *err)
{
	uint64_t addrs[] = { ctx.snap->images.v[0].start, ctx.snap->vmas.v[0].end - 1, 0 };
	struct mw_at_opts o = { .size = sizeof(o), .addrs = addrs, .n_addrs = 3 };
	struct mw_document *doc = NULL;
	int rc = mw_report_at(ctx.snap, &o, &doc, err);

	return made(rc, doc);
}

static int step_tlb(struct mw_err *err)
{
	struct mw_tlb_opts o = { .size = sizeof(o), .all = true };
	struct mw_document *doc = NULL;
	int rc = mw_report_tlb(ctx.snap, ctx.cpu, &o, &doc, err);

	return made(rc, doc);
}

static int step_top(struct mw_err *err)
{
	struct mw_top_opts o = { .size = sizeof(o), .group = MW_GROUP_COMMAND };
	struct mw_document *doc = NULL;
	int rc = mw_report_top(ctx.ranking, &o, &doc, err);

	return made(rc, doc);
}

static int step_faults(struct mw_err *err)
{
	struct mw_document *doc = NULL;
	int rc = mw_report_faults(ctx.rec, NULL, &doc, err);

	return made(rc, doc);
}

static int step_trace_events(struct mw_err *err)
{
	return mw_faults_trace_events(ctx.rec, &nowhere, err);
}

static int step_folded(struct mw_err *err)
{
	return mw_faults_folded(ctx.rec, &nowhere, err);
}

static int step_save_faults(struct mw_err *err)
{
	return mw_faults_save(ctx.rec, &nowhere, err);
}

static int step_open_faults(struct mw_err *err)
{
	struct mw_recording *rec = NULL;
	int rc = mw_faults_open(ctx.faults, &rec, err);

	if (rc && rec)
		ctx.why = "an error and a recording";
	mw_recording_destroy(rc ? NULL : rec);
	return rc;
}

static struct mw_collect_opts full_opts(void)
{
	return (struct mw_collect_opts){ .size = sizeof(struct mw_collect_opts), .symbols = true, .relocs = true,
					 .cache_places = true, .frames_of = "", .smaps = MW_ALWAYS };
}

/* What was taken must be a view, also where parts of it are missing. */
static int look_at(int rc, struct mw_snapshot *snap, struct mw_err *err)
{
	if (rc) {
		if (snap)
			ctx.why = "an error and a snapshot";
		return rc;
	}
	bool was_on = plan.on;

	plan.on = false;
	ctx.why = check_pieces(snap);
	struct mw_document *doc = NULL;

	if (snap->target.has_maps ? report_sections(snap, err) : mw_report_sections(snap, NULL, &doc, err) != -MW_E_PERM)
		ctx.why = "it cannot be reported";
	mw_snapshot_destroy(snap);
	plan.on = was_on;
	return 0;
}

static int step_collect(struct mw_err *err)
{
	struct mw_collect_opts o = full_opts();
	struct mw_snapshot *snap = NULL;
	int rc = mw_collect_pid(ctx.pid, &o, &snap, err);

	return look_at(rc, snap, err);
}

static int step_save(struct mw_err *err)
{
	return mw_snapshot_save(ctx.snap, &nowhere, err);
}

static int step_load(struct mw_err *err)
{
	struct mw_collect_opts o = full_opts();
	struct mw_snapshot *snap = NULL;
	int rc = mw_collect_saved(ctx.path, &o, &snap, err);

	return look_at(rc, snap, err);
}

static int step_rank(struct mw_err *err)
{
	struct mw_ranking_opts o = { .size = sizeof(o), .cgroups = true };
	struct mw_ranking *ranking = NULL;
	struct mw_document *doc = NULL;
	int rc = mw_ranking_collect(&o, &ranking, err);

	if (rc)
		return rc;
	bool was_on = plan.on;

	plan.on = false;
	if (mw_report_top(ranking, NULL, &doc, err))
		ctx.why = "it cannot be reported";
	mw_document_destroy(doc);
	mw_ranking_destroy(ranking);
	plan.on = was_on;
	return 0;
}

static int step_cpu(struct mw_err *err)
{
	struct mw_cpu *cpu = NULL;
	int rc = mw_cpu_read(&cpu, err);

	mw_cpu_destroy(cpu);
	return rc;
}

/* ---------------------------------------------------------------------- faults */

typedef int step_fn(struct mw_err *err);

/* 0: came out, or failed as it may; else why not. */
static const char *once(step_fn *step, bool only_memory, char *text, size_t size)
{
	struct mw_err err = {};
	unsigned fds = count_fds();

	ctx.why = NULL;
	plan.allocs = plan.calls = 0;
	plan.on = true;
	int rc = step(&err);

	plan.on = false;
	snprintf(text, size, "%d %s", rc, err.text);
	if (ctx.why)
		return ctx.why;
	if (rc && (err.code != -rc || strlen(err.text) < 6))
		return "an error without its text";
	if (rc && only_memory && rc != -MW_E_NOMEM)
		return "another error";
	return count_fds() == fds ? NULL : "a descriptor is left open";
}

static void repeat(const char *name, step_fn *step, unsigned long *at, unsigned long *counter, unsigned stride, bool only_memory)
{
	unsigned bad = 0;

	for (*at = 1; *at < MAX_CALLS; *at += stride) {
		char text[320];
		const char *why = once(step, only_memory, text, sizeof(text));

		if (*counter < *at)
			break;
		if (why && bad++ < 5)
			printf("# %s, at %lu: %s (%s)\n", name, *at, why, text);
	}
	ok(!bad, "%s: %s %lu fails (%u bad)", name, at == &plan.fail_alloc ? "each allocation of" : "calls, each of", *at - 1, bad);
	memset(&plan, 0, sizeof(plan));
}

/* Some steps allocate more often than is worth trying one by one. */
static void test_allocs(const char *name, step_fn *step)
{
	char text[320];
	const char *why;

	memset(&plan, 0, sizeof(plan));
	why = once(step, true, text, sizeof(text));
	unsigned long n = plan.allocs;

	if (!ok(!why, "%s works with memory, in %lu allocations", name, n))
		printf("# %s: %s\n", why, text);
	plan.fail_alloc = 1;
	repeat(name, step, &plan.fail_alloc, &plan.allocs, 1 + (unsigned)(n / 150), true);
}

/* About so many tries of each fault, spread over all calls. */
static void test_calls(const char *name, step_fn *step, unsigned tries)
{
	static const struct { const char *name; enum fault fault; int error; unsigned stride; } faults[] = {
		{ "EPERM", FAULT_ERRNO, EPERM, 1 }, { "EIO", FAULT_ERRNO, EIO, 1 }, { "ESRCH", FAULT_ERRNO, ESRCH, 5 },
		{ "EMFILE", FAULT_ERRNO, EMFILE, 7 }, { "nothing", FAULT_ZERO, 0, 2 }, { "less", FAULT_SHORT, 0, 2 },
	};
	char text[320];
	const char *why;

	memset(&plan, 0, sizeof(plan));
	why = once(step, false, text, sizeof(text));
	unsigned stride = 1 + (unsigned)plan.calls / tries;

	ok(!why, "%s: %lu calls%s%s", name, plan.calls, why ? ": " : "", why ? why : "");

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		char title[96];

		memset(&plan, 0, sizeof(plan));
		plan.fault = faults[i].fault;
		plan.error = faults[i].error;
		snprintf(title, sizeof(title), "%s, %s", name, faults[i].name);
		plan.fail_call = 1;
		repeat(title, step, &plan.fail_call, &plan.calls, stride * faults[i].stride, false);
	}
}

static void test_events(const char *what, void (*event)(void))
{
	unsigned bad = 0;
	unsigned long at = 1;

	for (; at < 1200; at += 37) {
		char text[320];

		start_target();
		ctx.pid = target;
		memset(&plan, 0, sizeof(plan));
		plan.event = event;
		plan.fail_call = at;
		const char *why = once(step_collect, false, text, sizeof(text));
		unsigned long calls = plan.calls;

		memset(&plan, 0, sizeof(plan));
		reap_target();
		if (calls < at)
			break;
		if (why && bad++ < 5)
			printf("# %s before call %lu: %s (%s)\n", what, at, why, text);
	}
	ok(!bad && at > 9, "the target %s before every 37th of %lu calls (%u bad)", what, at, bad);
}

/* --------------------------------------------------------------------- context */

static int write_file(void *file, const void *bytes, size_t len)
{
	return fwrite(bytes, 1, len, file) == len ? 0 : -MW_E_WRITE;
}

/* A temporary file, or NULL. */
static FILE *create(char path[static 64], const char *name)
{
	snprintf(path, 64, "/tmp/memwhy-%s-XXXXXX", name);
	int fd = mkstemp(path);

	return fd < 0 ? NULL : fdopen(fd, "w");
}

static bool prepare(void)
{
	struct mw_collect_opts o = full_opts();
	struct mw_ranking_opts r = { .size = sizeof(r), .cgroups = true, .frames = true };
	struct mw_err err = {};

	start_target();
	ctx.pid = target;
	if (!ok(mw_collect_pid(ctx.pid, &o, &ctx.snap, &err) == 0, "an undisturbed look %s", err.text) ||
	    !ok(mw_ranking_collect(&r, &ctx.ranking, &err) == 0, "and a ranking %s", err.text))
		return false;
	if (mw_cpu_read(&ctx.cpu, &err) < 0)
		ctx.cpu = NULL;
	FILE *file = create(ctx.path, "snap");
	struct mw_sink sink = { write_file, file };

	return ok(file && mw_snapshot_save(ctx.snap, &sink, &err) == 0 && fclose(file) == 0, "and a file of it %s", err.text);
}

static void record(void)
{
	struct mw_faults_opts o = { .size = sizeof(o) };
	char name[] = "true", *argv[] = { name, NULL };
	struct mw_err err = {};

	if (mw_faults_run(argv, &o, &ctx.rec, &err) < 0) {
		ctx.rec = NULL;
		ok(true, "a recording of faults # SKIP %s", err.text);
		return;
	}
	FILE *file = create(ctx.faults, "faults");
	struct mw_sink sink = { write_file, file };

	ok(file && mw_faults_save(ctx.rec, &sink, &err) == 0 && fclose(file) == 0, "a recording of faults");
	test_allocs("faults", step_faults);
	test_allocs("trace events", step_trace_events);
	test_allocs("folded stacks", step_folded);
	test_allocs("saving a recording", step_save_faults);
	test_allocs("opening a recording", step_open_faults);
	unlink(ctx.faults);
	mw_recording_destroy(ctx.rec);
}

int main(int argc, char **argv)
{
	(void)argc;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!set_target_path(argv[0]) || !prepare())
		return done_testing();
	test_allocs("sections", step_sections);
	test_allocs("pages", step_pages);
	test_allocs("pages of a place", step_place);
	test_allocs("at", step_at);
	test_allocs("tlb", step_tlb);
	test_allocs("top", step_top);
	test_allocs("saving", step_save);
	test_allocs("reading a snapshot", step_load);
	test_allocs("the processor", step_cpu);
	test_allocs("a ranking", step_rank);
	test_calls("a ranking", step_rank, 30);
	test_allocs("collecting everything", step_collect);
	reap_target();
	start_target();
	ctx.pid = target;
	test_calls("collecting everything", step_collect, 150);
	reap_target();
	test_events("exits", reap_target);
	test_events("turns into a zombie", kill_target);
	test_events("executes another program", exec_target);
	record();
	mw_cpu_destroy(ctx.cpu);
	mw_ranking_destroy(ctx.ranking);
	mw_snapshot_destroy(ctx.snap);
	unlink(ctx.path);
	return done_testing();
}
