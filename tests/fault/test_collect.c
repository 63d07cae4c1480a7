/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Collecting while things go wrong, one at a time: the N-th allocation fails, the N-th call to the kernel
 * fails, ends early or gives nothing, the target exits, turns into a zombie or executes another program before
 * the N-th call. What comes out is an error with a text, or a snapshot whose sums close and which is called
 * exact only when its numbers are those of an undisturbed one. The linker sends the library's calls here.
 */
#include "../unit/sinks.h"
#include "../unit/tap.h"
#include "explain/explain.h"
#include "plan.h"

/* ---------------------------------------------------------------------- steps */

struct look {
	pid_t pid;
	struct mw_collect_opts opts;
	uint64_t vsz, rss;	/* undisturbed; 0: they may be anything */
};

/* 0, or why this snapshot cannot be. */
static const char *check_sums(const struct mw_snapshot *snap, const struct look *look)
{
	struct mw_summary s = { .size = sizeof(s) };
	struct mw_account *acc = NULL;
	uint64_t all = 0, resident = 0;
	const char *why = NULL;

	mw_snapshot_summary(snap, &s);
	if (mw_account_create(snap, &acc, NULL) < 0)
		return "no account";
	for (size_t i = 0; i < acc->lines.n; i++) {
		all += acc->lines.v[i].bytes;
		resident += mw__causes[acc->lines.v[i].cause].is_resident ? acc->lines.v[i].bytes : 0;
	}
	if (all != acc->vsz || resident != acc->rss)
		why = "the causes do not sum up";
	else if (s.state == MW_EXACT && (s.residual || s.rss_residual > mw__counter_lag(snap)))
		why = "exact with a residual";
	else if (s.state == MW_EXACT && look->vsz && (s.vsz != look->vsz || s.rss != look->rss))
		why = "exact, but the numbers are others";
	else if (s.state == MW_PARTIAL && !snap->notes.n && !s.residual && !s.rss_residual)
		why = "partial without a note";
	mw_account_destroy(acc);
	return why;
}

/* The program that the mappings show and the one that the links name must be one. */
static const char *check_program(const struct mw_snapshot *snap)
{
	struct mw_summary s = { .size = sizeof(s) };

	mw_snapshot_summary(snap, &s);
	if (s.state != MW_EXACT || !snap->target.exe)
		return NULL;
	for (size_t i = 0; i < snap->vmas.n; i++)
		if (!strcmp(snap->vmas.v[i].name, snap->target.exe))
			return NULL;
	return "exact, but of two programs";
}

static const char *report_all(const struct mw_snapshot *snap)
{
	struct mw_document *doc = NULL;
	int rc = mw_report_explain(snap, NULL, &doc, NULL);

	if (rc == 0)
		rc = mw_document_text(doc, NULL, &nowhere, NULL);
	if (rc == 0)
		rc = mw_document_json(doc, &nowhere, NULL);
	mw_document_destroy(doc);
	doc = NULL;
	if (rc == 0)
		rc = mw_report_maps(snap, NULL, &doc, NULL);
	if (rc == 0)
		rc = mw_document_text(doc, NULL, &nowhere, NULL);
	mw_document_destroy(doc);
	if (rc == 0)
		rc = mw_snapshot_save(snap, &nowhere, NULL);
	return rc ? "it cannot be reported" : NULL;
}

static const char *check_error(int rc, const struct mw_err *err, int want)
{
	if (err->code != -rc || !err->text[0] || strlen(err->text) < 12)
		return "an error without its text";
	if (want && rc != want)
		return "another error";
	return NULL;
}

/* One look under the plan; want: the only error allowed, or 0. */
static const char *look_once(const struct look *look, int want, char *text, size_t size)
{
	struct mw_snapshot *snap = NULL;
	struct mw_err err = {};
	unsigned fds = count_fds();

	plan.allocs = plan.calls = 0;
	plan.on = true;
	int rc = mw_collect_pid(look->pid, &look->opts, &snap, &err);

	plan.on = false;
	snprintf(text, size, "%d %s", rc, err.text);
	const char *why = rc < 0 ? check_error(rc, &err, want) : check_sums(snap, look);

	if (!why && rc == 0)
		why = check_program(snap);
	if (!why && rc == 0)
		why = report_all(snap);
	if (rc < 0 && snap)
		why = "an error and a snapshot";
	if (rc == 0)
		mw_snapshot_destroy(snap);
	return why || count_fds() == fds ? why : "a descriptor is left open";
}

static unsigned count_bad(struct look *look, const char *what, int want, unsigned long *n_calls)
{
	unsigned long *counter = plan.fail_alloc ? &plan.allocs : &plan.calls;
	unsigned long *at = plan.fail_alloc ? &plan.fail_alloc : &plan.fail_call;
	unsigned bad = 0;

	for (*at = 1; *at < MAX_CALLS; *at += plan.stride) {
		char text[320];
		const char *why = look_once(look, want, text, sizeof(text));

		if (*counter < *at)
			break;
		if (why && bad++ < 5)
			printf("# %s at %lu: %s (%s)\n", what, *at, why, text);
	}
	*n_calls = *at - 1;
	return bad;
}

static void test_allocs(struct look *look, const char *what)
{
	unsigned long n = 0;

	memset(&plan, 0, sizeof(plan));
	plan.stride = 1;
	plan.fail_alloc = 1;
	unsigned bad = count_bad(look, what, -MW_E_NOMEM, &n);

	ok(!bad && n > 20, "%s: each of %lu allocations fails once (%u bad)", what, n, bad);
	memset(&plan, 0, sizeof(plan));
}

static bool get_truth(struct look *look);

/* Live: each fault has a target of its own; none has to live for the time of all. */
static void test_calls(struct look *look, const char *what, unsigned factor, bool is_live)
{
	static const struct {
		const char *name;
		enum fault fault;
		int error;
		unsigned stride;	/* each call meets some of these */
	} faults[] = {
		{ "EPERM", FAULT_ERRNO, EPERM, 1 }, { "ESRCH", FAULT_ERRNO, ESRCH, 3 }, { "EIO", FAULT_ERRNO, EIO, 1 },
		{ "EINTR", FAULT_ERRNO, EINTR, 3 }, { "ENOENT", FAULT_ERRNO, ENOENT, 2 }, { "EMFILE", FAULT_ERRNO, EMFILE, 5 },
		{ "EINVAL", FAULT_ERRNO, EINVAL, 5 }, { "nothing", FAULT_ZERO, 0, 1 }, { "less", FAULT_SHORT, 0, 1 },
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		char name[96];
		unsigned long n = 0;

		memset(&plan, 0, sizeof(plan));
		plan.fault = faults[i].fault;
		plan.error = faults[i].error;
		plan.stride = faults[i].stride * factor;
		snprintf(name, sizeof(name), "%s, %s", what, faults[i].name);
		if (is_live) {
			start_target();
			look->pid = target;
		}
		if (!is_live || get_truth(look)) {
			unsigned bad = count_bad(look, name, 0, &n);

			ok(!bad && n > 20, "%s: from each of %lu calls (%u bad)", name, n, bad);
		}
		memset(&plan, 0, sizeof(plan));
		if (is_live)
			reap_target();
	}
	memset(&plan, 0, sizeof(plan));
}

/* A new target for each call that is looked at; every ninth one meets every step behind the first so many. */
static void test_events(const char *what, void (*event)(void), unsigned long dense)
{
	unsigned bad = 0;
	unsigned long at = 1;

	memset(&plan, 0, sizeof(plan));
	for (; at < 400; at += at < dense ? 1 : 9) {
		struct look look = { .opts = { .size = sizeof(look.opts), .smaps = MW_ALWAYS } };
		char text[320];

		start_target();
		look.pid = target;
		plan.event = event;
		plan.fail_call = at;
		const char *why = look_once(&look, 0, text, sizeof(text));

		reap_target();
		if (plan.calls < at)
			break;
		if (why && bad++ < 5)
			printf("# %s before call %lu: %s (%s)\n", what, at, why, text);
	}
	ok(!bad && at > 30, "the target %s before each call (%lu calls, %u bad)", what, at, bad);
	memset(&plan, 0, sizeof(plan));
}

/* What an undisturbed look says. */
static bool get_truth(struct look *look)
{
	struct mw_snapshot *snap = NULL;
	struct mw_summary s = { .size = sizeof(s) };
	struct mw_err err = {};

	if (!ok(mw_collect_pid(look->pid, &look->opts, &snap, &err) == 0, "an undisturbed look %s", err.text))
		return false;
	mw_snapshot_summary(snap, &s);
	look->vsz = s.vsz;
	look->rss = s.rss;
	mw_snapshot_destroy(snap);
	return ok(s.state == MW_EXACT, "is exact");
}

static void test_tree(void)
{
	struct look look = { .pid = 42, .opts = { .size = sizeof(look.opts), .procfs = "tests/fixtures/threads", .smaps = MW_ALWAYS } };

	if (!get_truth(&look))
		return;
	test_allocs(&look, "a captured process");
	test_calls(&look, "a captured process", 1, false);
}

static void test_live(void)
{
	struct look look = { .opts = { .size = sizeof(look.opts), .smaps = MW_ALWAYS, .rollup = MW_ALWAYS } };

	start_target();
	look.pid = target;
	if (get_truth(&look)) {
		test_allocs(&look, "a live process");
		look.opts.pages = MW_PAGES_SMAPS;
		test_allocs(&look, "a live process by smaps");
	}
	reap_target();
	look.opts.pages = MW_PAGES_AUTO;
	test_calls(&look, "a live process", 1, true);
	look.opts.pages = MW_PAGES_SMAPS;
	test_calls(&look, "a live process by smaps", 3, true);
}

/* What could not be had for a reason of this machine or of the target is told, with the reason. */
static void check_note(const char *source, const char *word)
{
	struct mw_collect_opts opts = { .size = sizeof(opts) };
	struct mw_snapshot *snap = NULL;
	const char *told = NULL;

	plan.on = true;
	int rc = mw_collect_pid(target, &opts, &snap, NULL);

	plan.on = false;
	for (size_t i = 0; rc == 0 && i < snap->notes.n; i++)
		if (!strcmp(snap->notes.v[i].source, source) && strstr(snap->notes.v[i].reason, word))
			told = snap->notes.v[i].reason;
	ok(told, "%s, %s: %s", source, word, told ? told : "no note");
	if (rc == 0)
		mw_snapshot_destroy(snap);
}

static void test_notes(void)
{
	static const int errors[] = { EMFILE, EIO, EACCES };

	memset(&plan, 0, sizeof(plan));
	start_target();
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		plan.file_error = errors[i];
		check_note("mapped files", errors[i] == EACCES ? "cannot be opened" : strerrordesc_np(errors[i]));
	}
	plan.file_error = 0;
	plan.mem_error = ESRCH;
	check_note("mem", "ended");
	plan.mem_error = EACCES;
	check_note("mem", "cannot be read");
	memset(&plan, 0, sizeof(plan));
	reap_target();
}

int main(int argc, char **argv)
{
	(void)argc;
	if (!set_target_path(argv[0]))
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_notes();
	test_tree();
	test_live();
	test_events("exits", reap_target, 0);
	test_events("turns into a zombie", kill_target, 0);
	test_events("executes another program", exec_target, 60);
	return done_testing();
}
