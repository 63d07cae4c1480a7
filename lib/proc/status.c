/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * /proc/PID/status by a table of keys, and the only file that uses libproc2: to find
 * processes by name, and as a second road to VSZ and RSS. Of libproc2's items VM_RSS is
 * taken; RSS and its kin read a counter in stat that lags behind (they differ by design).
 * libproc2 fills 0 where it could not read, so 0 is not believed.
 */
#include "proc.h"

#include "../base/cleanup.h"
#include "../base/count.h"
#include "../base/err.h"

#include <dirent.h>
#include <errno.h>
#include <libproc2/pids.h>
#include <stdlib.h>
#include <string.h>

struct key {
	const char *name;
	size_t len, offset;
};

static const struct key keys[] = {
#define STATUS(member, key, what) { key, sizeof(key) - 1, offsetof(struct mw__status, member) },
#include "../model/status.def"
#undef STATUS
};

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p;
}

static void parse_amount(const char *name, size_t len, const char *p, const char *end,
			 struct mw__status *ret)
{
	uint64_t kb;

	for (size_t i = 0; i < MW__COUNT(keys); i++)
		if (keys[i].len == len && !memcmp(keys[i].name, name, len) &&
		    mw__parse_dec(&p, end, &kb) && kb <= UINT64_MAX / 1024)
			*(uint64_t *)((char *)ret + keys[i].offset) = kb * 1024;
}

/* "NSpid:\t20226\t1": the last one is the pid in the innermost namespace. */
static pid_t last_number(const char *p, const char *end)
{
	uint64_t v = 0, n = 0;

	for (;;) {
		p = skip_blanks(p, end);
		if (!mw__parse_dec(&p, end, &v))
			break;
		n++;
	}
	return n > 1 && v <= INT32_MAX ? (pid_t)v : 0;
}

/* A user id; UINT32_MAX, which is nobody's, when there is none. */
static uint32_t parse_id(const char **p, const char *end)
{
	uint64_t v;

	*p = skip_blanks(*p, end);
	return mw__parse_dec(p, end, &v) && v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

static void parse_line(const char *line, const char *end, struct mw__status *ret)
{
	const char *colon = mw__find(line, end, ':');
	size_t len = colon - line;
	const char *p = skip_blanks(colon < end ? colon + 1 : end, end);
	uint64_t v;

	if (len == 5 && !memcmp(line, "State", 5)) {
		ret->state = p < end ? *p : '?';
	} else if (len == 7 && !memcmp(line, "Threads", 7)) {
		if (mw__parse_dec(&p, end, &v))
			ret->threads = v;
	} else if (len == 4 && !memcmp(line, "PPid", 4)) {
		if (mw__parse_dec(&p, end, &v) && v <= INT32_MAX)
			ret->ppid = (pid_t)v;
	} else if (len == 3 && !memcmp(line, "Uid", 3)) {
		ret->uid = parse_id(&p, end);
		ret->euid = parse_id(&p, end);
	} else if (len == 5 && !memcmp(line, "NSpid", 5)) {
		ret->ns_pid = last_number(p, end);
	} else {
		parse_amount(line, len, p, end, ret);
	}
}

void mw__status_parse(const char *text, size_t len, struct mw__status *ret)
{
	const char *p = text, *end = text + len;

	for (size_t i = 0; i < MW__COUNT(keys); i++)
		*(uint64_t *)((char *)ret + keys[i].offset) = MW_UNKNOWN;
	ret->threads = MW_UNKNOWN;
	ret->ppid = ret->ns_pid = 0;
	ret->uid = ret->euid = UINT32_MAX;
	ret->state = '?';
	while (p < end) {
		const char *nl = mw__find(p, end, '\n');

		parse_line(p, nl, ret);
		p = nl < end ? nl + 1 : end;
	}
}

/* "Name:\tfoo\\nbar": of a name the kernel escapes newline and backslash here, and nothing else (proc_task_name()). */
static const char *parse_name(const struct mw__str *text, struct mw__arena *arena)
{
	if (text->n < 6 || memcmp(text->v, "Name:\t", 6))
		return NULL;
	const char *p = text->v + 6, *end = mw__find(p, text->v + text->n, '\n');
	char *name = mw__arena_alloc(arena, (size_t)(end - p) + 1), *to = name;

	for (; name && p < end; p++) {
		bool is_escape = *p == '\\' && p + 1 < end && (p[1] == 'n' || p[1] == '\\');

		p += is_escape;
		*to++ = is_escape && *p == 'n' ? '\n' : *p;
	}
	if (name)
		*to = '\0';
	return name;
}

/* A thread has a name and an id of its own. Those of the process are told by its main thread, even when that has ended. */
static void read_main_thread(const struct mw__proc *proc, struct mw__status *ret, struct mw__arena *arena, const char **comm)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	struct mw__status first;
	char name[32];

	snprintf(name, sizeof(name), "%d/status", proc->pid);
	if (mw__proc_task_text(proc, name, &text, NULL) < 0 || !text.n)
		return;
	mw__status_parse(text.v, text.n, &first);
	ret->ns_pid = first.ns_pid;
	if (comm)
		*comm = parse_name(&text, arena);
}

int mw__status_read(const struct mw__proc *proc, struct mw__status *ret, struct mw__arena *arena,
		    const char **comm, struct mw_err *err)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	int rc = mw__proc_text(proc, "status", &text, err);

	if (rc < 0)
		return rc == -MW_E_NOT_FOUND ? mw__fail(err, MW_E_GONE, 0, "pid %d: it exited", proc->pid) : rc;
	if (!text.n)
		return mw__fail(err, MW_E_GONE, 0, "pid %d: status is empty", proc->pid);
	mw__status_parse(text.v, text.n, ret);
	if (comm)
		*comm = parse_name(&text, arena);
	if (proc->is_thread)
		read_main_thread(proc, ret, arena, comm);
	return 0;
}

void mw__status_by_procps(pid_t pid, uint64_t *vsize, uint64_t *rss)
{
	enum pids_item items[] = { PIDS_VM_SIZE, PIDS_VM_RSS };
	struct pids_info *info = NULL;
	unsigned pids[] = { (unsigned)pid };

	*vsize = *rss = MW_UNKNOWN;
	if (procps_pids_new(&info, items, 2) < 0)
		return;
	struct pids_fetch *f = procps_pids_select(info, pids, 1, PIDS_SELECT_PID);

	if (f && f->counts->total == 1) {
		uint64_t v = PIDS_VAL(0, ul_int, f->stacks[0], info);
		uint64_t r = PIDS_VAL(1, ul_int, f->stacks[0], info);

		if (v)
			*vsize = v * 1024;
		if (r)
			*rss = r * 1024;
	}
	procps_pids_unref(&info);
}

static int compare_pids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

/* comm holds 15 bytes at most; the program's file name may be longer. */
static bool has_name(const char *name, const char *comm, const char *exe)
{
	if (comm && !strcmp(comm, name))
		return true;
	return exe && *exe == '/' && !strcmp(mw__basename(exe), name);
}

static int fail_list(int error, struct mw_err *err)
{
	return error == ENOENT ? mw__proc_fail_unmounted("/proc", err) : mw__fail(err, MW_E_OS, error, "/proc: list processes");
}

int mw__status_find(const char *name, pid_t **ret, size_t *count, struct mw_err *err)
{
	enum pids_item items[] = { PIDS_ID_PID, PIDS_CMD, PIDS_EXE };
	struct pids_info *info = NULL;
	MW_VEC(pid_t) found = {};
	int rc = procps_pids_new(&info, items, 3);

	if (rc < 0)
		return fail_list(-rc, err);
	struct pids_fetch *f = procps_pids_reap(info, PIDS_FETCH_TASKS_ONLY);

	if (!f) {
		rc = fail_list(errno, err);
		procps_pids_unref(&info);
		return rc;
	}
	for (int i = 0; i < f->counts->total; i++) {
		const struct pids_stack *s = f->stacks[i];

		if (!has_name(name, PIDS_VAL(1, str, s, info), PIDS_VAL(2, str, s, info)))
			continue;
		pid_t *pid = MW_VEC_PUSH(&found);

		if (!pid) {
			MW_VEC_FREE(&found);
			procps_pids_unref(&info);
			return mw__fail_nomem(err, name);
		}
		*pid = PIDS_VAL(0, s_int, s, info);
	}
	procps_pids_unref(&info);
	if (found.n)
		qsort(found.v, found.n, sizeof(*found.v), compare_pids);
	*ret = found.v;
	*count = found.n;
	return 0;
}

/* A ranking asks for thousands: libproc2 would look at each directory to tell what nobody asked. */
int mw__status_list(pid_t **ret, size_t *count, struct mw_err *err)
{
	MW_CLEANUP(mw__closedirp) DIR *dir = opendir("/proc");
	MW_VEC(pid_t) pids = {};

	if (!dir)
		return fail_list(errno, err);
	for (struct dirent *d; (d = readdir(dir));) {
		const char *p = d->d_name, *end = p + strlen(p);
		uint64_t pid;

		if (!mw__parse_dec(&p, end, &pid) || p != end)
			continue;
		pid_t *slot = MW_VEC_PUSH(&pids);

		if (!slot) {
			MW_VEC_FREE(&pids);
			return mw__fail_nomem(err, "/proc");
		}
		*slot = (pid_t)pid;
	}
	if (!pids.n)	/* not even we are there */
		return mw__proc_fail_unmounted("/proc", err);
	qsort(pids.v, pids.n, sizeof(*pids.v), compare_pids);
	*ret = pids.v;
	*count = pids.n;
	return 0;
}
