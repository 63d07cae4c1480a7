/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tries every source once, on the target or on ourselves, and says what came of it. */
#include "../model/probe.h"

#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../proc/proc.h"
#include "../proc/uapi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

struct prober {
	struct mw__probe *out;
	struct mw__proc proc;
	bool failed;
};

static const char *explain_errno(struct prober *p, int error)
{
	char buf[96];

	return error ? mw__arena_str(&p->out->arena, strerror_r(error, buf, sizeof(buf))) : "works";
}

static void add(struct prober *p, enum mw__ability ability, const char *what, const char *gives, const char *found,
		const char *enable)
{
	struct mw__probe_fact *f = MW_VEC_PUSH(&p->out->facts);

	if (!f || !found)
		p->failed = true;
	else
		*f = (struct mw__probe_fact){ ability, what, gives, found, ability == MW__WORKS ? NULL : enable };
}

static void add_errno(struct prober *p, int error, const char *what, const char *gives, const char *enable)
{
	bool absent = error == ENOSYS || error == ENOTTY || error == ENOENT || error == EINVAL;

	add(p, !error ? MW__WORKS : absent ? MW__ABSENT : MW__REFUSED, what, gives, explain_errno(p, error), enable);
}

/* pagemap is read in whole entries only, so 8 bytes it is. */
static int try_read(struct prober *p, const char *name)
{
	uint64_t entry;
	MW_CLEANUP(mw__closep) int fd = openat(p->proc.pid_fd, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 || read(fd, &entry, sizeof(entry)) < 0 ? errno : 0;
}

static int try_scan(struct prober *p, uint64_t categories)
{
	struct mw__pm_scan arg = { .size = sizeof(arg), .end = 4096, .category_mask = categories,
				   .return_mask = categories };
	struct mw__pm_region region;
	MW_CLEANUP(mw__closep) int fd = openat(p->proc.pid_fd, "pagemap", O_RDONLY | O_CLOEXEC);

	arg.vec = (uintptr_t)&region;
	arg.vec_len = 1;
	return fd < 0 || ioctl(fd, MW__PAGEMAP_SCAN, &arg) < 0 ? errno : 0;
}

static int try_cachestat(struct prober *p)
{
	struct mw__cachestat_range range = { 0, 1 };
	struct mw__cachestat cs;
	MW_CLEANUP(mw__closep) int fd = openat(p->proc.pid_fd, "exe", O_RDONLY | O_CLOEXEC);

	return fd < 0 || syscall(MW__SYS_CACHESTAT, fd, &range, &cs, 0) < 0 ? errno : 0;
}

/* Is a link in map_files followed? The first one that the directory lists. */
static int try_map_files(struct prober *p)
{
	MW_CLEANUP(mw__closep) int fd = openat(p->proc.pid_fd, "map_files", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int copy = fd >= 0 ? dup(fd) : -1;
	MW_CLEANUP(mw__closedirp) DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	struct stat st;

	if (!dir)
		return errno;
	for (struct dirent *d; (d = readdir(dir));)
		if (*d->d_name != '.')
			return fstatat(fd, d->d_name, &st, 0) < 0 ? errno : 0;
	return ENOENT;
}

/* Who may open somebody's memory may read it. */
static int try_memory(struct prober *p)
{
	MW_CLEANUP(mw__closep) int fd = openat(p->proc.pid_fd, "mem", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static const char owner_or_root[] = "be the owner of the process, or root (CAP_SYS_PTRACE)";

/* What is there but refused needs a right, and not another kernel. */
static const char *for_scan(int error, const char *kernel)
{
	return error == EACCES || error == EPERM ? owner_or_root : kernel;
}

static void probe_process(struct prober *p)
{
	int scan = try_scan(p, MW__PM_PRESENT), guard = try_scan(p, MW__PM_GUARD);

	add_errno(p, try_read(p, "status"), "status", "VSZ, RSS, swap, page tables", "a /proc mounted without hidepid");
	add_errno(p, try_read(p, "maps"), "maps", "the mappings: without them no byte has a cause", owner_or_root);
	add_errno(p, scan, "page scan (PAGEMAP_SCAN)",
		  "page states, exact and cheap; otherwise smaps and pagemap are read", for_scan(scan, "Linux 6.7 or later"));
	add_errno(p, guard, "guard markers in the page scan",
		  "tells guard markers from swap", for_scan(guard, "Linux 6.15 or later"));
	add_errno(p, try_read(p, "pagemap"), "pagemap", "page states", owner_or_root);
	add_errno(p, try_read(p, "smaps_rollup"), "smaps_rollup", "PSS and USS", owner_or_root);
	add_errno(p, try_cachestat(p), "cachestat", "whether the rest of a mapped file is in the page cache",
		  "Linux 6.5 or later, and own the file or have CAP_SYS_ADMIN");
	add_errno(p, try_map_files(p), "map_files", "opens deleted, replaced and namespaced files",
		  "CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN");
	add_errno(p, try_memory(p), "mem", "proves arenas and thread stacks by the target's own records",
		  "be the owner of the process, or CAP_SYS_PTRACE; with Yama, kernel.yama.ptrace_scope=0");
}

static void probe_setting(struct prober *p, const char *path, const char *what, const char *gives)
{
	MW_CLEANUP(mw__str_deinit) struct mw__str text = {};
	const char *value = "not there";

	if (mw__proc_root_text(&p->proc, path, &text, NULL) == 0 && text.n) {
		while (text.n && text.v[text.n - 1] == '\n')
			text.n--;
		value = mw__arena_strn(&p->out->arena, text.v, text.n);
	}
	add(p, MW__SETTING, what, gives, value, NULL);
}

static void probe_settings(struct prober *p)
{
	struct utsname u;

	if (uname(&u) == 0)
		add(p, MW__SETTING, "kernel", "", mw__arena_printf(&p->out->arena, "%s %s", u.release, u.machine), NULL);
	probe_setting(p, "sys/kernel/yama/ptrace_scope", "kernel.yama.ptrace_scope", "0 lets the owner read a process's memory");
	probe_setting(p, "sys/vm/max_map_count", "vm.max_map_count", "mappings a process may have");
	probe_setting(p, "sys/vm/overcommit_memory", "vm.overcommit_memory", "2 makes the kernel count reservations");
	probe_setting(p, "sys/kernel/perf_event_paranoid", "kernel.perf_event_paranoid", "2 or less lets users record page faults");
}

int mw__probe_run(const struct mw_doctor_opts *opts, struct mw__probe *ret, struct mw_err *err)
{
	struct prober p = { .out = ret };
	int rc = mw__proc_open(&p.proc, opts->procfs, opts->pid ? opts->pid : getpid(), err);

	if (rc < 0)
		return rc;
	rc = mw__proc_find_memory(&p.proc, err);
	if (rc < 0) {
		mw__proc_close(&p.proc);
		return rc;
	}
	memset(ret, 0, sizeof(*ret));
	mw__arena_init(&ret->arena);
	probe_process(&p);
	probe_settings(&p);
	mw__proc_close(&p.proc);
	if (!p.failed)
		return 0;
	mw__probe_deinit(ret);
	return mw__fail_nomem(err, "doctor");
}

void mw__probe_deinit(struct mw__probe *probe)
{
	mw__arena_deinit(&probe->arena);
	MW_VEC_FREE(&probe->facts);
}
