/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every process: status, which all may read, and smaps_rollup, which only its owner and root may. The second
 * costs nearly all of the time. It also keeps the process from mapping memory meanwhile, so it is left out
 * for those where that would take too long. For a screen of the largest statm serves instead of status, at a
 * fourth of its cost, and only the largest and those that are named are looked at again. Not even statm is read
 * where all that processes have mapped on this machine would not take too long; as a process that maps the same
 * pages many times may have more, who sets the limit gets the sizes read. Where the rollup was read, RSS is its
 * own too: a process that grows had less when its sizes were read, and a part would be more than the whole.
 *
 * The few largest have their mappings read too, unless even they have little of all: a list of mappings costs nearly
 * as much as a small rollup. Sizes bound what is resident where: what is resident of one kind, less the size of all
 * other mappings of the kind, is in this one by all means.
 *
 * For groups whose shared pages count once, the numbers of their page frames are gathered as well.
 */
#include "../base/cleanup.h"
#include "../base/digits.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../model/ranking.h"
#include "../proc/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)
#define PFN_MASK ((UINT64_C(1) << 55) - 1)
#define BATCH 4096u
#define EXPLAINED 16u		/* of so many the mappings are read, */
#define LARGE_PART 32u		/* if they have this part of what all have together, */
#define LIST_ROOM (16u << 10)	/* and a list of less, which is of some 200 mappings */
#define MAX_FRAMES (UINT64_C(1) << 27)	/* a GiB of numbers, 512 GiB of pages */

struct reading {
	struct mw_ranking_opts opts;
	struct mw_ranking *ret;
	int root_fd;		/* /proc */
	bool is_brief;		/* amounts are enough, but for the largest and for who cannot be read */
	bool at_once;		/* no size has to be known before a rollup is read */
	uint32_t last_uid;
	const char *last_user;
	struct mw_err err;	/* why the last one was not read */
};

/* The user's name; users mostly come in runs. */
static const char *user_name(struct reading *r, uint32_t uid)
{
	char buf[4096];
	struct passwd pw, *found = NULL;

	if (r->last_user && r->last_uid == uid)
		return r->last_user;
	r->last_uid = uid;
	if (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) == 0 && found)
		r->last_user = mw__arena_intern(&r->ret->arena, pw.pw_name, strlen(pw.pw_name));
	else
		r->last_user = mw__arena_printf(&r->ret->arena, "%u", uid);
	return r->last_user;
}

/* "0::/user.slice/x" or, with version 1, the line of the memory controller. */
static const char *cgroup_path(const struct mw__proc *proc, struct mw__arena *arena)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	const char *best = NULL, *best_end = NULL;

	if (mw__proc_text(proc, "cgroup", &text, NULL) < 0 || !text.n)
		return NULL;
	for (const char *p = text.v, *end = text.v + text.n; p < end;) {
		const char *nl = mw__find(p, end, '\n'), *one = mw__find(p, nl, ':');
		const char *two = one < nl ? mw__find(one + 1, nl, ':') : nl;
		bool unified = one + 1 == two, memory = two < nl && memmem(one, (size_t)(two - one), "memory", 6);

		if (two < nl && (memory || (unified && !best))) {
			best = two + 1;
			best_end = nl;
		}
		p = nl < end ? nl + 1 : end;
	}
	return best ? mw__arena_intern(arena, best, (size_t)(best_end - best)) : NULL;
}

static uint64_t stall_of(uint64_t bytes)
{
	return bytes == MW_UNKNOWN ? 0 : mw__smaps_stall_ns(bytes, 0);
}

static bool is_gone(int rc)
{
	return rc == -MW_E_GONE || rc == -MW_E_NOT_FOUND;
}

static int take_rollup(int fd, pid_t pid, struct mw__ranked *row)
{
	struct mw__smaps s;
	int rc = fd < 0 ? fd : mw__rollup_read_fd(fd, pid, &s, NULL);

	if (rc < 0)
		return rc;
	row->status.vm_rss = s.rss;
	row->pss = s.pss;
	row->uss = mw__add(s.private_clean, s.private_dirty);
	row->huge = s.anon_huge;
	row->lazy = s.lazy_free;
	return 0;
}

/* fd: of smaps_rollup, or why there is none; -1 where it was not asked for. */
static void read_rollup(const struct reading *r, int fd, struct mw__ranked *row)
{
	row->unread = r->opts.no_pss ? MW__NOT_ASKED : stall_of(row->status.vm_rss) > r->opts.max_stall_ns ? MW__TOO_LARGE : MW__READ;
	if (row->unread != MW__READ)
		return;
	int rc = take_rollup(fd, row->pid, row);

	if (rc < 0)
		row->unread = is_gone(rc) ? MW__VANISHED : MW__REFUSED;
}

/* ------------------------------------------------------------------ frames */

static int add_frames(struct mw_ranking *ret, const uint64_t *entries, size_t n, bool *hidden)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t *slot = entries[i] >> 63 ? MW_VEC_PUSH(&ret->frames) : NULL;

		if (!(entries[i] >> 63))
			continue;
		if (!slot)
			return -MW_E_NOMEM;
		*slot = entries[i] & PFN_MASK;
		*hidden |= !*slot;
	}
	return 0;
}

static int read_run(struct mw_ranking *ret, int fd, const struct mw__run *run, bool *hidden)
{
	uint64_t entries[BATCH];

	for (uint64_t at = 0; at < run->pages;) {
		size_t want = mw__min(run->pages - at, BATCH);
		ssize_t got = pread(fd, entries, want * 8, (off_t)((run->start / PAGE + at) * 8));

		if (got < 8)
			return 0;
		if (add_frames(ret, entries, (size_t)got / 8, hidden) < 0)
			return -MW_E_NOMEM;
		at += (size_t)got / 8;
	}
	return 0;
}

/* The frames behind what RSS counts: no zero page, no hugetlb. */
static int read_frames(struct mw_ranking *ret, const struct mw__proc *proc, struct mw__ranked *row)
{
	MW_CLEANUP(mw__closep) int fd = mw__proc_fd(proc, "pagemap", NULL);
	struct mw_snapshot snap;
	bool hidden = false;
	int rc = 0;

	row->frame = ret->frames.n;
	mw__snapshot_init(&snap);
	snap.target.page_size = PAGE;
	/* which mappings are of hugetlb takes more than their names, and is asked of who has such pages */
	if (fd >= 0 && mw__maps_read(proc, &snap, NULL) == 0 && mw__pages_scan(proc, &snap, NULL) == 0 &&
	    (!row->status.hugetlb || mw__files_collect(proc, &snap, NULL) == 0)) {
		row->frames_known = true;
		for (size_t i = 0; rc == 0 && i < snap.vmas.n; i++)
			for (uint32_t k = 0; rc == 0 && k < snap.vmas.v[i].n_runs && snap.vmas.v[i].kind != MW__HUGETLB; k++) {
				const struct mw__run *run = &snap.runs.v[snap.vmas.v[i].run + k];

				if (run->state & MW__PRESENT && !(run->state & MW__ZERO))
					rc = read_run(ret, fd, run, &hidden);
			}
	}
	mw__snapshot_deinit(&snap);
	row->n_frames = ret->frames.n - row->frame;
	row->frames_known &= !hidden && ret->frames.n < MAX_FRAMES;
	return rc;
}

/* --------------------------------------------------------------- processes */

#define NAME_ROOM (MW__DIGITS + sizeof("/smaps_rollup"))

/* "PID" and what follows it, below /proc. */
static void name_file(char name[NAME_ROOM], pid_t pid, const char *file)
{
	char digits[MW__DIGITS], *from = mw__dec_back(digits + MW__DIGITS, (uint64_t)pid);

	strcpy(mempcpy(name, from, (size_t)(digits + MW__DIGITS - from)), file);
}

/* Less than mw__proc_open() does: of one descriptor nearly all is asked here, of thousands of processes. */
static bool open_process(struct reading *r, pid_t pid, struct mw__proc *proc)
{
	char name[NAME_ROOM];

	name_file(name, pid, "");
	*proc = (struct mw__proc){ .root_fd = -1, .task_fd = -1, .pid = pid, .is_live = true, .own_pids = true, .root = "/proc" };
	proc->pid_fd = openat(r->root_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc->pid_fd < 0)
		mw__fail(&r->err, MW_E_OS, errno, "/proc/%s: open", name);
	return proc->pid_fd >= 0;
}

/*
 * Two of a directory, and one a thread (Linux, fs/proc/base.c, proc_task_getattr()): of kernel threads, many of what
 * is listed, no more is asked than that.
 */
#define LINKS_OF_ONE_THREAD 3

static bool has_one_thread(const struct reading *r, pid_t pid)
{
	struct stat task;
	char name[NAME_ROOM];

	name_file(name, pid, "/task");
	return fstatat(r->root_fd, name, &task, 0) == 0 && task.st_nlink == LINKS_OF_ONE_THREAD;
}

/* Memory outlives the first thread, whose files then tell of none: from now on those of another thread are read. */
static bool use_other_thread(const struct reading *r, struct mw__proc *proc)
{
	if (has_one_thread(r, proc->pid))
		return false;
	proc->task_fd = openat(proc->pid_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return proc->task_fd >= 0 && mw__proc_use_thread(proc);
}

/* What status tells; the sizes that were read before stay. */
static int read_details(struct reading *r, const struct mw__proc *proc, struct mw__ranked *row)
{
	uint64_t size = row->status.vm_size, rss = row->status.vm_rss;

	if (mw__status_read(proc, &row->status, &r->ret->arena, &row->command, &r->err) < 0)
		return -MW_E_GONE;
	if (size != MW_UNKNOWN)
		row->status.vm_size = size;
	if (rss != MW_UNKNOWN)
		row->status.vm_rss = rss;
	row->uid = row->status.euid;
	row->user = user_name(r, row->uid);
	return row->user ? 0 : -MW_E_NOMEM;
}

/* The sizes alone, or all of status. */
static int read_sizes(struct reading *r, const struct mw__proc *proc, struct mw__ranked *row)
{
	memset(&row->status, 0xff, sizeof(row->status));	/* MW_UNKNOWN */
	if (!r->is_brief)
		return read_details(r, proc, row);
	mw__statm_read(proc, "statm", PAGE, &row->status.vm_size, &row->status.vm_rss);
	if (row->status.vm_size != MW_UNKNOWN)
		return 0;
	mw__fail(&r->err, MW_E_OS, errno, "/proc/%d/statm: read", row->pid);
	return -MW_E_GONE;
}

static int add_row(struct reading *r, const struct mw__ranked *row)
{
	struct mw__ranked *slot = MW_VEC_PUSH(&r->ret->rows);

	if (slot)
		*slot = *row;
	return slot ? 0 : -MW_E_NOMEM;
}

/* By names below /proc: 1 when they told the amounts, or that there is no memory; 0 when more has to be asked. */
static int read_amounts(struct reading *r, struct mw__ranked *row)
{
	const struct mw__proc all = { .pid_fd = r->root_fd, .pid = row->pid };
	char rollup[NAME_ROOM], statm[NAME_ROOM];

	memset(&row->status, 0xff, sizeof(row->status));	/* MW_UNKNOWN */
	name_file(rollup, row->pid, "/smaps_rollup");
	name_file(statm, row->pid, "/statm");
	MW_CLEANUP(mw__closep) int fd = r->opts.no_pss ? -1 : mw__proc_fd(&all, rollup, NULL);
	bool has_memory = r->opts.no_pss || !is_gone(fd);	/* without memory it cannot be opened */

	if (has_memory && (!r->at_once || fd < 0)) {
		mw__statm_read(&all, statm, PAGE, &row->status.vm_size, &row->status.vm_rss);
		if (row->status.vm_size == MW_UNKNOWN)
			return 0;
		has_memory = row->status.vm_size;
	}
	if (has_memory)
		read_rollup(r, fd, row);
	else
		row->unread = MW__VANISHED;
	if (row->unread != MW__VANISHED)
		return add_row(r, row) < 0 ? -MW_E_NOMEM : 1;
	if (!has_one_thread(r, row->pid))
		return 0;
	r->ret->n_kernel++;
	return 1;
}

static int read_process(struct reading *r, pid_t pid)
{
	MW_CLEANUP(mw__proc_close) struct mw__proc proc = { .root_fd = -1, .pid_fd = -1, .task_fd = -1 };
	struct mw__ranked row = { .pid = pid, .pss = MW_UNKNOWN, .uss = MW_UNKNOWN, .huge = MW_UNKNOWN, .lazy = MW_UNKNOWN };
	struct mw_ranking *ret = r->ret;
	int done = r->is_brief ? read_amounts(r, &row) : 0;

	if (done)
		return done < 0 ? done : 0;
	int rc = open_process(r, pid, &proc) ? read_sizes(r, &proc, &row) : -MW_E_GONE;

	if (rc == 0 && (row.status.vm_size == MW_UNKNOWN || !row.status.vm_size) && use_other_thread(r, &proc)) {
		row.is_headless = true;
		rc = read_sizes(r, &proc, &row);
	}
	if (rc == -MW_E_NOMEM)
		return rc;
	if (rc < 0) {
		ret->n_vanished++;
		return 0;
	}
	if (row.status.vm_size == MW_UNKNOWN || !row.status.vm_size) {
		ret->n_kernel++;
		return 0;
	}
	row.cgroup = r->opts.cgroups ? cgroup_path(&proc, &ret->arena) : NULL;
	MW_CLEANUP(mw__closep) int fd = r->opts.no_pss ? -1 : mw__proc_fd(&proc, "smaps_rollup", NULL);

	read_rollup(r, fd, &row);
	if (row.unread == MW__VANISHED) {
		ret->n_vanished++;
		return 0;
	}
	if (r->opts.frames && read_frames(ret, &proc, &row) < 0)
		return -MW_E_NOMEM;
	return add_row(r, &row);
}

/* ------------------------------------------------------------- the largest */

static uint64_t key_of(const struct mw__ranked *p, enum mw_rank rank)
{
	const uint64_t keys[] = {
		[MW_BY_RSS] = p->status.vm_rss, [MW_BY_PSS] = p->pss, [MW_BY_USS] = p->uss, [MW_BY_VSZ] = p->status.vm_size,
		[MW_BY_SWAP] = p->status.vm_swap, [MW_BY_TABLES] = p->status.vm_pte,
	};

	return keys[rank] == MW_UNKNOWN ? 0 : keys[rank];
}

/* In the order of a report: see compare_rows() there. Rows come by pid, so of equals the earlier one is before. */
static bool is_before(const struct mw__ranked *x, const struct mw__ranked *y, enum mw_rank rank)
{
	uint64_t a = key_of(x, rank), b = key_of(y, rank);

	return a > b || (a == b && key_of(x, MW_BY_RSS) > key_of(y, MW_BY_RSS));
}

static bool is_of_file(const struct mw__vma *v)
{
	return v->name[0] == '/';
}

/* All of one file, whichever part. */
static uint64_t size_of_file(const struct mw_snapshot *snap, const char *name)
{
	uint64_t size = 0;

	for (size_t i = 0; i < snap->vmas.n; i++)
		if (!strcmp(snap->vmas.v[i].name, name))
			size += snap->vmas.v[i].end - snap->vmas.v[i].start;
	return size;
}

/* Anonymous pages can be in every private mapping, those of files in every mapping of one. */
static const char *find_most(const struct mw_snapshot *snap, const struct mw__status *s)
{
	uint64_t private = 0, heap = 0, files = 0, largest = 0;
	const char *file = NULL;

	for (size_t i = 0; i < snap->vmas.n; i++) {
		const struct mw__vma *v = &snap->vmas.v[i];
		uint64_t size = v->end - v->start;

		private += v->is_shared ? 0 : size;
		heap += strcmp(v->name, "[heap]") ? 0 : size;
		files += is_of_file(v) ? size : 0;
		if (is_of_file(v) && size > largest) {
			largest = size;
			file = v->name;
		}
	}
	if (s->rss_anon != MW_UNKNOWN && mw__sub0(s->rss_anon, private - heap) > s->vm_rss / 2)
		return "heap (brk)";
	if (file && s->rss_file != MW_UNKNOWN && mw__sub0(s->rss_file, files - size_of_file(snap, file)) > s->vm_rss / 2)
		return file;
	return NULL;
}

/*
 * Whether it can find one. Code of the program or of its libraries is of another file than the one that is most, and all
 * code is in other mappings than the heap.
 */
static bool may_have_most(const struct mw__status *s)
{
	uint64_t code = mw__add(s->vm_exe, s->vm_lib), half = s->vm_rss / 2;

	if (s->vm_rss == MW_UNKNOWN || s->rss_anon == MW_UNKNOWN || s->rss_file == MW_UNKNOWN)
		return false;
	return mw__sub0(s->rss_anon, half) > code || mw__sub0(s->rss_file, half) > mw__min(s->vm_exe, s->vm_lib);
}

/* All of them, unless the list is long: what it takes to write one is a large part of what the rollup took. */
static bool read_mappings(const struct mw__proc *proc, struct mw_snapshot *snap)
{
	MW_CLEANUP(mw__closep) int fd = mw__proc_fd(proc, "maps", NULL);
	char text[LIST_ROOM];
	const char *end = text, *nl;
	ssize_t got = -1;

	while (fd >= 0 && (got = read(fd, text + (end - text), (size_t)(text + sizeof(text) - end))) > 0)
		end += got;
	if (got < 0 || end == text + sizeof(text))
		return false;
	for (const char *line = text; line < end; line = nl + 1) {
		struct mw__vma *v = MW_VEC_PUSH(&snap->vmas);

		nl = mw__find(line, end, '\n');
		if (!v || mw__maps_parse_line(line, nl, &snap->arena, v) < 0)
			return false;
	}
	return true;
}

static int look_closely(struct reading *r, struct mw__ranked *row, bool is_large)
{
	MW_CLEANUP(mw__proc_close) struct mw__proc proc = { .root_fd = -1, .pid_fd = -1, .task_fd = -1 };
	struct mw_snapshot snap;

	if ((row->user && !is_large) || !open_process(r, row->pid, &proc))
		return 0;
	if (row->is_headless)
		use_other_thread(r, &proc);
	if (!row->user && read_details(r, &proc, row) == -MW_E_NOMEM)
		return -MW_E_NOMEM;
	mw__snapshot_init(&snap);
	snap.target.page_size = PAGE;
	if (is_large && may_have_most(&row->status) && read_mappings(&proc, &snap)) {
		const char *most = find_most(&snap, &row->status);

		row->most = !most ? NULL : *most != '/' ? most : mw__arena_printf(&r->ret->arena, "file %s", mw__basename(most));
	}
	mw__snapshot_deinit(&snap);
	return 0;
}

/* As many of those that could not be read as a report names. */
static int look_at_unread(struct reading *r, enum mw__unread why)
{
	int rc = 0;

	for (size_t i = 0, n = 0; rc == 0 && i < r->ret->rows.n && n < MW__UNREAD_NAMED; i++) {
		struct mw__ranked *row = &r->ret->rows.v[i];

		if (row->unread != why)
			continue;
		rc = look_closely(r, row, false);
		n++;
	}
	return rc;
}

/* The few that are looked at are sorted in one by one; most are below the last of them. */
static int look_at_largest(struct reading *r)
{
	size_t n = r->ret->rows.n, most = mw__min(n, mw__max(r->opts.largest, EXPLAINED)), found = 0;
	MW_CLEANUP(mw__freep) struct mw__ranked **list = malloc((most + 1) * sizeof(*list));
	int rc = list ? 0 : -MW_E_NOMEM;
	uint64_t sum = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct mw__ranked *row = &r->ret->rows.v[i];
		size_t at = found;

		for (; at && is_before(row, list[at - 1], r->opts.rank); at--)
			list[at] = list[at - 1];
		list[at] = row;
		found = mw__min(found + 1, most);
		sum += key_of(row, MW_BY_RSS);
	}
	for (size_t i = 0; rc == 0 && i < found; i++)
		rc = look_closely(r, list[i], key_of(list[i], MW_BY_RSS) > sum / LARGE_PART);
	r->ret->largest = r->opts.largest;
	return rc;
}

/* Of the machine: its memory, and what processes have mapped, each page once. A container's own meminfo tells less. */
static void read_machine(int root_fd, uint64_t *total, uint64_t *mapped)
{
	const struct mw__proc all = { .root_fd = root_fd, .root = "/proc" };
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	struct statfs fs;

	*total = *mapped = MW_UNKNOWN;
	if (mw__proc_root_text(&all, "meminfo", &text, NULL) < 0)
		return;
	*total = mw__keyed_kb(&text, "MemTotal:");
	if (statfs("/proc/meminfo", &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC)
		*mapped = mw__add(mw__keyed_kb(&text, "AnonPages:"), mw__keyed_kb(&text, "Mapped:"));
}

/* A rollup tells what a screen needs, but for VSZ; what the largest need besides is asked of them alone. */
static bool can_read_at_once(const struct mw_ranking_opts *opts, uint64_t mapped)
{
	return !opts->no_pss && opts->rank != MW_BY_VSZ && !opts->max_stall_ns && mapped != MW_UNKNOWN &&
	       stall_of(mapped) <= MW_DEFAULT_MAX_STALL_NS;
}

int mw_ranking_collect(const struct mw_ranking_opts *opts, struct mw_ranking **ret, struct mw_err *err)
{
	struct reading r = {};
	MW_CLEANUP(mw__freep) pid_t *pids = NULL;
	size_t n = 0;

	if (opts)
		memcpy(&r.opts, opts, mw__min(opts->size, sizeof(r.opts)));
	if (r.opts.rank > MW_BY_TABLES || (r.opts.largest && r.opts.rank > MW_BY_VSZ))
		return mw__fail(err, MW_E_USAGE, 0, "ranking: there is no such order");
	int rc = mw__status_list(&pids, &n, err);

	if (rc < 0)
		return rc;
	r.ret = calloc(1, sizeof(*r.ret));
	if (!r.ret)
		return mw__fail_nomem(err, "ranking");
	mw__arena_init(&r.ret->arena);
	MW_CLEANUP(mw__closep) int root = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t mapped;

	r.root_fd = root;
	read_machine(root, &r.ret->mem_total, &mapped);
	r.is_brief = r.opts.largest && !r.opts.cgroups && !r.opts.frames;
	r.at_once = can_read_at_once(&r.opts, mapped);
	if (!r.opts.max_stall_ns)
		r.opts.max_stall_ns = MW_DEFAULT_MAX_STALL_NS;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = read_process(&r, pids[i]);
	if (rc == 0)
		rc = look_at_largest(&r);
	if (rc == 0)
		rc = look_at_unread(&r, MW__REFUSED);
	if (rc == 0)
		rc = look_at_unread(&r, MW__TOO_LARGE);
	if (rc < 0)
		mw__fail_nomem(&r.err, "ranking");
	else if (r.ret->n_vanished == n)	/* we have not: it is not they that vanished */
		rc = -r.err.code;
	if (rc < 0) {
		mw_ranking_destroy(r.ret);
		if (err)
			*err = r.err;
		return rc;
	}
	*ret = r.ret;
	return 0;
}

void mw_ranking_destroy(struct mw_ranking *ranking)
{
	if (!ranking)
		return;
	MW_VEC_FREE(&ranking->rows);
	MW_VEC_FREE(&ranking->frames);
	mw__arena_deinit(&ranking->arena);
	free(ranking);
}
