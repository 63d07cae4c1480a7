/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Captured copies of /proc that lack something, or lie somewhere deep. */
#include "base/str.h"
#include "model/snapshot.h"
#include "tap.h"
#include "trees.h"

#define FIXTURE "tests/fixtures/new"

/* The name of the fixture as a file of the tree. */
static bool link_file(const struct tree *t, const char *name)
{
	char here[PATH_MAX], path[PATH_MAX];

	if (!realpath(FIXTURE, here))
		return false;
	snprintf(path, sizeof(path), "%s/%s", t->root, name);
	strncat(here, "/", sizeof(here) - strlen(here) - 1);
	strncat(here, name, sizeof(here) - strlen(here) - 1);
	return symlink(here, path) == 0;
}

static int look(const char *root, struct mw_snapshot **ret, struct mw_err *err)
{
	struct mw_collect_opts opts = { .size = sizeof(opts), .procfs = root };

	*ret = NULL;
	memset(err, 0, sizeof(*err));
	return mw_collect_pid(TREE_PID, &opts, ret, err);
}

static void test_deep(void)
{
	struct tree t;
	struct mw_snapshot *snap;
	struct mw_err err;
	char path[PATH_MAX], here[PATH_MAX], a[201], b[201];

	memset(a, 'a', 200);
	memset(b, 'b', 200);
	a[200] = b[200] = '\0';
	if (!ok(tree_create(&t) && realpath(FIXTURE, here), "a tree"))
		return;
	snprintf(path, sizeof(path), "%s/%s", t.root, a);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s/%s", t.root, a, b);
	ok(symlink(here, path) == 0 && look(path, &snap, &err) == 0, "a path of %zu bytes %s", strlen(path), err.text);
	mw_snapshot_destroy(snap);
	strcat(path, "-absent");
	ok(look(path, &snap, &err) == -MW_E_NOT_FOUND && strstr(err.text, a), "is named when it is not there");
	tree_destroy(&t);
}

/* Nothing tells page states, and VmSize is not what the mappings sum up to: every try fails the same way. */
static void test_no_smaps(void)
{
	static const char *const files[] = { "42/maps", "42/statm", "42/mountinfo", "42/limits", "42/cmdline" };
	struct tree t;
	struct mw_snapshot *snap;
	struct mw_err err;
	bool good = tree_create(&t) && tree_put(&t, "status", "Name:\tsleep\nState:\tS (sleeping)\nVmSize:\t    9999 kB\nVmRSS:\t    1000 kB\n");

	for (size_t i = 0; good && i < sizeof(files) / sizeof(files[0]); i++)
		good = link_file(&t, files[i]);
	if (!ok(good, "a tree without smaps"))
		return;
	int rc = look(t.root, &snap, &err);

	ok(rc == 0, "is looked at %s", err.text);
	if (rc == 0) {
		ok(snap->target.is_torn && snap->target.tries > 1 && snap->vmas.n > 10, "torn after %u tries, with its mappings",
		   snap->target.tries);
		ok(snap->target.pages == MW_PAGES_AUTO && snap->notes.n, "and its page states are unknown");
	}
	mw_snapshot_destroy(snap);
	tree_destroy(&t);
}

int main(void)
{
	test_deep();
	test_no_smaps();
	return done_testing();
}
