/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Processes as a user tells them apart: by name, age and command line. */
#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../proc/proc.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_10MS UINT64_C(10000000)

int mw_process_find(const char *name, pid_t **ret, size_t *count, struct mw_err *err)
{
	return mw__status_find(name, ret, count, err);
}

/* Of /proc/uptime, "SECONDS.HUNDREDTHS IDLE", on the clock of starttime in stat. */
static uint64_t read_uptime(const struct mw__proc *proc)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	uint64_t s, hundredths;

	if (mw__proc_root_text(proc, "uptime", &text, NULL) < 0 || !text.n)
		return MW_UNKNOWN;
	const char *p = text.v, *end = p + text.n;

	if (!mw__parse_dec(&p, end, &s) || p == end || *p++ != '.' || !mw__parse_dec(&p, end, &hundredths) || s > UINT32_MAX)
		return MW_UNKNOWN;
	return s * NS_PER_S + hundredths * NS_PER_10MS;
}

static uint64_t age_of(const struct mw__proc *proc, const struct mw__stat *stat)
{
	uint64_t up = read_uptime(proc), hz = (uint64_t)sysconf(_SC_CLK_TCK);

	if (up == MW_UNKNOWN || stat->start_ticks / hz > UINT32_MAX)
		return MW_UNKNOWN;
	return mw__sub0(up, stat->start_ticks / hz * NS_PER_S + stat->start_ticks % hz * NS_PER_S / hz);
}

int mw_process_read(pid_t pid, struct mw_process *ret, struct mw_err *err)
{
	MW_CLEANUP(mw__proc_close) struct mw__proc proc;
	MW_CLEANUP(mw__arena_deinit) struct mw__arena arena;
	struct mw_process r = { .size = ret->size };
	struct mw__stat stat = {};

	mw__arena_init(&arena);
	int rc = mw__proc_open(&proc, NULL, pid, err);

	if (rc == 0)
		rc = mw__stat_read(&proc, &stat, err);
	if (rc < 0)
		return rc;
	const char *command = mw__cmdline_read(&proc, &arena);

	r.age_ns = age_of(&proc, &stat);
	snprintf(r.command, sizeof(r.command), "%s", command ? command : "");
	memcpy(ret, &r, mw__min(ret->size, sizeof(r)));
	return 0;
}
