/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as status, stat, statm, limits, meminfo, cgroup, cmdline, auxv and a thread's syscall line. */
#include "tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "status", "stat", "statm", "limits", "cgroup", "cmdline", "task/42/syscall", "task/42/comm" };
	struct fuzz_tree *t = fuzz_tree();
	struct mw__status status;
	struct mw__stat stat;
	struct mw_snapshot snap;
	const char *comm = NULL;
	uint64_t a = 0, b = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		fuzz_put(t, names[i], data, size);
	fuzz_put(t, "../meminfo", data, size);
	fuzz_put(t, "../sys/vm/max_map_count", data, size);
	mw__snapshot_init(&snap);
	snap.target.page_size = 4096;
	if (mw__status_read(&t->proc, &status, &snap.arena, &comm, NULL) == 0)
		snap.status = status;
	if (mw__stat_read(&t->proc, &stat, NULL) == 0)
		snap.layout = stat.layout;
	mw__statm_read(&t->proc, "statm", 4096, &a, &b);
	mw__limits_read(&t->proc, &snap.limits, &snap.arena);
	mw__cgroup_read(&t->proc, t->root, &snap.cgroup, &snap.arena);
	snap.target.cmdline = mw__cmdline_read(&t->proc, &snap.arena);
	if (mw__tasks_read(&t->proc, &snap) == 0)
		fuzz_use(&snap);
	mw__snapshot_deinit(&snap);
	return 0;
}
