/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The threads, and two independent hints of where each has its stack, got without stopping it:
 *   task/TID/syscall   stack pointer of a blocked thread (needs the right to attach)
 *   get_robust_list(2) address inside the thread descriptor that the C library keeps at the upper
 *                      end of the stack; also for a running thread
 */
#include "proc.h"

#include "../base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

/* "NR arg1..arg6 SP PC", "-1 SP PC", or "running" */
static uint64_t parse_sp(const char *p, const char *end)
{
	uint64_t words[9], v;
	int n = 0;

	if (p < end && *p == '-')
		p++;
	if (!mw__parse_dec(&p, end, &v))
		return MW_UNKNOWN;
	while (n < 9 && end - p > 3 && p[0] == ' ' && p[1] == '0' && p[2] == 'x') {
		p += 3;
		if (!mw__parse_hex(&p, end, &words[n]))
			break;
		n++;
	}
	return n >= 2 && words[n - 2] ? words[n - 2] : MW_UNKNOWN;
}

static void read_task(const struct mw__proc *proc, struct mw_snapshot *snap, struct mw__task *task)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	char name[64];

	snprintf(name, sizeof(name), "%d/syscall", task->tid);
	if (mw__proc_task_text(proc, name, &text, NULL) == 0 && text.n)
		task->sp = parse_sp(text.v, text.v + text.n);
	snprintf(name, sizeof(name), "%d/comm", task->tid);
	if (mw__proc_task_text(proc, name, &text, NULL) == 0 && text.n)
		task->comm = mw__arena_strn(&snap->arena, text.v, text.n - (text.v[text.n - 1] == '\n'));
	if (proc->own_pids) {
		void *head = NULL;
		size_t len = 0;

		if (!syscall(SYS_get_robust_list, task->tid, &head, &len) && head)
			task->descriptor = (uintptr_t)head;
	}
}

static int compare_tasks(const void *a, const void *b)
{
	pid_t x = ((const struct mw__task *)a)->tid, y = ((const struct mw__task *)b)->tid;

	return x < y ? -1 : x > y;
}

int mw__tasks_read(const struct mw__proc *proc, struct mw_snapshot *snap)
{
	MW_CLEANUP(mw__closedirp) DIR *dir = mw__proc_tasks(proc);

	if (!dir)
		return 0;
	snap->tasks.n = 0;
	for (pid_t tid; (tid = mw__proc_next_task(dir));) {
		struct mw__task *task = MW_VEC_PUSH(&snap->tasks);

		if (!task)
			return -MW_E_NOMEM;
		*task = (struct mw__task){ .tid = tid, .sp = MW_UNKNOWN, .descriptor = MW_UNKNOWN };
		read_task(proc, snap, task);
	}
	if (snap->tasks.n)
		qsort(snap->tasks.v, snap->tasks.n, sizeof(*snap->tasks.v), compare_tasks);
	return 0;
}
