/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The small files of /proc/PID: stat, statm, limits, cmdline. A value that cannot
 * be read stays MW_UNKNOWN.
 */
#include "proc.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Fields of proc(5) stat, counted from 1; comm may hold blanks and parentheses, so count from the last ')'. */
enum {
	STAT_STATE = 3,
	STAT_PPID = 4,
	STAT_FLAGS = 9,
	STAT_MINFLT = 10,
	STAT_MAJFLT = 12,
	STAT_THREADS = 20,
	STAT_STARTTIME = 22,
	STAT_VSIZE = 23,
	STAT_STARTCODE = 26,
	STAT_ENDCODE = 27,
	STAT_STARTSTACK = 28,
	STAT_STARTDATA = 45,
	STAT_ENDDATA = 46,
	STAT_STARTBRK = 47,
	STAT_LAST = 52,
};

/* In STAT_FLAGS (Linux, include/linux/sched.h, PF_KTHREAD). */
#define IS_KERNEL_THREAD 0x00200000u

/* Without the right to read them the kernel prints 0, or 1 for start and end of code. */
static uint64_t address(uint64_t v)
{
	return v > 1 ? v : MW_UNKNOWN;
}

bool mw__stat_parse(const char *text, size_t len, struct mw__stat *ret)
{
	uint64_t field[STAT_LAST + 1] = {};
	const char *end = text + len, *p = memrchr(text, ')', len);
	int n = STAT_STATE;

	if (!p || end - p < 4)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->state = p[2];
	for (p += 3; n < STAT_LAST; ) {
		while (p < end && (*p == ' ' || *p == '-'))
			p++;
		if (!mw__parse_dec(&p, end, &field[n + 1]))
			break;
		n++;
	}
	if (n < STAT_VSIZE)
		return false;
	ret->is_kernel_thread = field[STAT_FLAGS] & IS_KERNEL_THREAD;
	ret->ppid = field[STAT_PPID];
	ret->faults = field[STAT_MINFLT] + field[STAT_MAJFLT];
	ret->threads = field[STAT_THREADS];
	ret->start_ticks = field[STAT_STARTTIME];
	ret->vsize = field[STAT_VSIZE];
	ret->layout = (struct mw__layout){
		.start_code = address(field[STAT_STARTCODE]),
		.end_code = address(field[STAT_ENDCODE]),
		.start_data = address(field[STAT_STARTDATA]),
		.end_data = address(field[STAT_ENDDATA]),
		.start_brk = address(field[STAT_STARTBRK]),
		.brk = MW_UNKNOWN,
		.start_stack = address(field[STAT_STARTSTACK]),
	};
	return true;
}

int mw__stat_read(const struct mw__proc *proc, struct mw__stat *ret, struct mw_err *err)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	int rc = mw__proc_text(proc, "stat", &text, err);

	if (rc < 0)
		return rc;
	if (!text.n)
		return mw__fail(err, MW_E_GONE, 0, "pid %d: stat is empty", proc->pid);
	if (!mw__stat_parse(text.v, text.n, ret))
		return mw__fail(err, MW_E_FORMAT, 0, "pid %d: stat is not understood", proc->pid);
	return 0;
}

void mw__statm_read(const struct mw__proc *proc, const char *name, uint64_t page_size, uint64_t *size, uint64_t *rss)
{
	MW_CLEANUP(mw__closep) int fd = mw__proc_fd(proc, name, NULL);
	char text[256];
	uint64_t s, r;
	size_t n;

	if (fd < 0 || mw__proc_record(fd, proc->pid, name, text, sizeof(text), &n, NULL) < 0)
		return;
	const char *p = text, *end = p + n;

	if (!mw__parse_dec(&p, end, &s) || p++ == end || !mw__parse_dec(&p, end, &r))
		return;
	*size = s * page_size;
	*rss = r * page_size;
}

bool mw__proc_has_memory(const struct mw__proc *proc)
{
	uint64_t size = MW_UNKNOWN, rss;

	mw__statm_read(proc, "statm", 1, &size, &rss);
	return size != 0;
}

int mw__proc_fail_lifeless(const struct mw__proc *proc, struct mw_err *err)
{
	struct mw__stat stat = {};
	int rc = mw__stat_read(proc, &stat, err);

	if (rc == -MW_E_NOT_FOUND || rc == -MW_E_GONE)
		return mw__fail(err, MW_E_GONE, 0, "pid %d: it exited", proc->pid);
	if (rc < 0)
		return rc;
	if (stat.is_kernel_thread)
		return mw__fail(err, MW_E_GONE, 0, "pid %d: it is a kernel thread: it has no memory of its own", proc->pid);
	if (stat.state != 'Z')
		return mw__fail(err, MW_E_GONE, 0, "pid %d: it is exiting: its memory is gone", proc->pid);
	mw__fail(err, MW_E_GONE, 0, "pid %d: it is a zombie: its memory is gone, only its exit status waits to be read", proc->pid);
	if (stat.ppid)
		mw__hint(err, "it stays until its parent, pid %llu, waits for it or ends", (unsigned long long)stat.ppid);
	return -MW_E_GONE;
}

bool mw__proc_use_thread(struct mw__proc *proc)
{
	MW_CLEANUP(mw__closedirp) DIR *dir = mw__proc_tasks(proc);

	for (pid_t tid; dir && (tid = mw__proc_next_task(dir));) {
		struct mw__proc thread = *proc;
		struct mw__stat stat = {};
		char name[16];

		snprintf(name, sizeof(name), "%d", tid);
		thread.pid_fd = openat(proc->task_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (thread.pid_fd < 0)
			continue;
		if (mw__stat_read(&thread, &stat, NULL) == 0 && stat.state != 'Z' && stat.state != 'X') {
			mw__closep(&proc->pid_fd);
			proc->pid_fd = thread.pid_fd;
			proc->is_thread = true;
			return true;
		}
		close(thread.pid_fd);
	}
	return false;
}

int mw__proc_find_memory(struct mw__proc *proc, struct mw_err *err)
{
	if (mw__proc_has_memory(proc) || (mw__proc_use_thread(proc) && mw__proc_has_memory(proc)))
		return 0;
	return mw__proc_fail_lifeless(proc, err);
}

uint64_t mw__limit_value(const char *p, const char *end)
{
	uint64_t v;

	while (p < end && *p == ' ')
		p++;
	if (end - p >= 9 && !memcmp(p, "unlimited", 9))
		return MW__NO_LIMIT;
	return mw__parse_dec(&p, end, &v) ? v : MW_UNKNOWN;
}

uint64_t mw__keyed_value(const struct mw__str *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = text->v, *end = p + text->n; p && p < end;) {
		const char *nl = mw__find(p, end, '\n');

		if ((size_t)(nl - p) > len && !memcmp(p, key, len))
			return mw__limit_value(p + len, nl);
		p = nl < end ? nl + 1 : end;
	}
	return MW_UNKNOWN;
}

uint64_t mw__keyed_kb(const struct mw__str *text, const char *key)
{
	uint64_t v = mw__keyed_value(text, key);

	return v == MW_UNKNOWN || v > UINT64_MAX / 1024 ? MW_UNKNOWN : v * 1024;
}

static uint64_t root_number(const struct mw__proc *proc, const char *name)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};

	if (mw__proc_root_text(proc, name, &text, NULL) < 0 || !text.n)
		return MW_UNKNOWN;
	return mw__limit_value(text.v, text.v + text.n);
}

/* "always [madvise] never" */
static const char *read_thp(struct mw__arena *arena)
{
	char buf[128];
	MW_CLEANUP(mw__closep) int fd =
		open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	ssize_t n = read(fd, buf, sizeof(buf));
	const char *end = buf + (n > 0 ? n : 0), *open = mw__find(buf, end, '['),
		   *close = mw__find(open, end, ']');

	return close < end ? mw__arena_strn(arena, open + 1, close - open - 1) : NULL;
}

void mw__limits_read(const struct mw__proc *proc, struct mw__limits *ret, struct mw__arena *arena)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};

	if (mw__proc_text(proc, "limits", &text, NULL) == 0) {
		ret->as_soft = mw__keyed_value(&text, "Max address space");
		ret->stack_soft = mw__keyed_value(&text, "Max stack size");
		ret->memlock_soft = mw__keyed_value(&text, "Max locked memory");
		ret->data_soft = mw__keyed_value(&text, "Max data size");
	}
	ret->max_map_count = root_number(proc, "sys/vm/max_map_count");
	if (mw__proc_root_text(proc, "meminfo", &text, NULL) == 0) {
		ret->mem_total = mw__keyed_kb(&text, "MemTotal:");
		ret->swap_total = mw__keyed_kb(&text, "SwapTotal:");
		ret->swap_free = mw__keyed_kb(&text, "SwapFree:");
	}
	if (proc->is_live) {
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);

		ret->cpus = cpus > 0 ? (uint64_t)cpus : MW_UNKNOWN;
		ret->thp = read_thp(arena);
	}
}

const char *mw__cmdline_read(const struct mw__proc *proc, struct mw__arena *arena)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};

	if (mw__proc_text(proc, "cmdline", &text, NULL) < 0 || !text.n)
		return NULL;
	while (text.n && !text.v[text.n - 1])
		text.n--;
	for (size_t i = 0; i < text.n; i++)
		if (!text.v[i])
			text.v[i] = ' ';
	return mw__arena_strn(arena, text.v, mw__min(text.n, 4096));
}
