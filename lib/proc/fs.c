/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening and reading below one descriptor of /proc/PID, live or captured. */
#include "proc.h"

#include "../base/cleanup.h"
#include "../base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#define PROC_SUPER_MAGIC 0x9fa0
#define TEXT_LIMIT (1u << 20)
#define LINE_BUFFER (64u << 10)

/* One place where errno becomes an error code. */
static enum mw_errcode code_of(int error)
{
	switch (error) {
	case ENOENT:
		return MW_E_NOT_FOUND;
	case ESRCH:
		return MW_E_GONE;
	case EACCES:
	case EPERM:
		return MW_E_PERM;
	case ENOMEM:
		return MW_E_NOMEM;
	default:
		return MW_E_OS;
	}
}

/* A /proc of another pid namespace does not know us, or knows us by another number. */
static bool has_own_pids(int root_fd)
{
	char link[16] = "";
	char own[16];

	snprintf(own, sizeof(own), "%d", getpid());
	return readlinkat(root_fd, "self", link, sizeof(link) - 1) > 0 && !strcmp(link, own);
}

int mw__proc_fail_unmounted(const char *root, struct mw_err *err)
{
	mw__fail(err, MW_E_NOT_FOUND, 0, "%s: no proc file system is mounted there", root);
	mw__hint(err, "mount -t proc proc /proc");
	return -MW_E_NOT_FOUND;
}

static int fail_hidden(const struct mw__proc *proc, struct mw_err *err)
{
	mw__fail(err, MW_E_PERM, 0, "pid %d: open: hidden: %s is mounted with hidepid", proc->pid, proc->root);
	mw__hint(err, "ask as its owner or as root, or mount -o remount,hidepid=0 /proc");
	return -MW_E_PERM;
}

/* What has no directory may be hidden, or /proc may be anything. */
static int fail_missing(const struct mw__proc *proc, bool is_default, struct mw_err *err)
{
	if (!proc->is_live && is_default)
		return mw__proc_fail_unmounted(proc->root, err);
	/* to kill(2), 0 and less are groups, which exist */
	if (!proc->own_pids || proc->pid < 1 || (kill(proc->pid, 0) < 0 && errno != EPERM))
		return mw__fail(err, MW_E_NOT_FOUND, 0, "pid %d: no such process", proc->pid);
	return fail_hidden(proc, err);
}

/* What cannot be opened; hidepid=1 shows the directory and refuses it (Linux, fs/proc/base.c, proc_pid_permission()). */
static int fail_open(const struct mw__proc *proc, bool is_default, int error, struct mw_err *err)
{
	if (error == ENOENT)
		return fail_missing(proc, is_default, err);
	if (proc->is_live && error == EPERM)
		return fail_hidden(proc, err);
	return mw__fail(err, code_of(error), error, "pid %d: open", proc->pid);
}

int mw__proc_open(struct mw__proc *proc, const char *root, pid_t pid, struct mw_err *err)
{
	struct statfs fs;
	char name[32];

	memset(proc, 0, sizeof(*proc));
	proc->root_fd = proc->pid_fd = proc->task_fd = -1;
	proc->pid = pid;
	proc->root = root ? root : "/proc";
	MW_CLEANUP(mw__closep) int fd = open(proc->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return mw__fail(err, code_of(errno), errno, "%s: open", proc->root);
	proc->is_live = !fstatfs(fd, &fs) && fs.f_type == PROC_SUPER_MAGIC;
	proc->own_pids = proc->is_live && has_own_pids(fd);
	snprintf(name, sizeof(name), "%d", pid);
	proc->pid_fd = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc->pid_fd < 0)
		return fail_open(proc, !root, errno, err);
	proc->task_fd = openat(proc->pid_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	proc->root_fd = fd;
	fd = -1;
	return 0;
}

void mw__proc_close(struct mw__proc *proc)
{
	mw__closep(&proc->task_fd);
	mw__closep(&proc->pid_fd);
	mw__closep(&proc->root_fd);
	proc->pid_fd = proc->root_fd = proc->task_fd = -1;
}

DIR *mw__proc_tasks(const struct mw__proc *proc)
{
	int fd = openat(proc->task_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir)
		mw__closep(&fd);
	return dir;
}

pid_t mw__proc_next_task(DIR *dir)
{
	for (struct dirent *d; (d = readdir(dir));) {
		const char *p = d->d_name, *end = p + strlen(p);
		uint64_t tid;

		if (mw__parse_dec(&p, end, &tid) && p == end && tid && tid <= INT32_MAX)
			return (pid_t)tid;
	}
	return 0;
}

int mw__proc_fd(const struct mw__proc *proc, const char *name, struct mw_err *err)
{
	int fd = openat(proc->pid_fd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return mw__fail(err, code_of(errno), errno, "pid %d: open %s", proc->pid, name);
	return fd;
}

int mw__proc_record(int fd, pid_t pid, const char *name, char *buf, size_t size, size_t *len, struct mw_err *err)
{
	ssize_t n;

	do
		n = read(fd, buf, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return mw__fail(err, code_of(errno), errno, "pid %d: read %s", pid, name);
	*len = (size_t)n;
	return 0;
}

/* Everything that fd still holds, up to the limit. */
static int read_all(int fd, struct mw__str *text)
{
	char buf[4096];

	mw__str_reset(text);
	while (text->n < TEXT_LIMIT) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			break;
		mw__str_add(text, buf, n);
	}
	mw__str_add(text, "", 0);
	return text->failed ? ENOMEM : 0;
}

static int text_at(int dir, const char *what, const char *name, struct mw__str *text,
		   struct mw_err *err)
{
	MW_CLEANUP(mw__closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return mw__fail(err, code_of(errno), errno, "%s: open %s", what, name);
	int error = read_all(fd, text);

	if (error)
		return mw__fail(err, code_of(error), error, "%s: read %s", what, name);
	return 0;
}

int mw__proc_text(const struct mw__proc *proc, const char *name, struct mw__str *text,
		  struct mw_err *err)
{
	char what[32];

	snprintf(what, sizeof(what), "pid %d", proc->pid);
	return text_at(proc->pid_fd, what, name, text, err);
}

int mw__proc_task_text(const struct mw__proc *proc, const char *name, struct mw__str *text,
		       struct mw_err *err)
{
	return text_at(proc->task_fd, "task", name, text, err);
}

int mw__proc_root_text(const struct mw__proc *proc, const char *name, struct mw__str *text,
		       struct mw_err *err)
{
	return text_at(proc->root_fd, proc->root, name, text, err);
}

const char *mw__proc_link(const struct mw__proc *proc, const char *name, struct mw__arena *arena)
{
	char buf[4096];
	ssize_t n = readlinkat(proc->pid_fd, name, buf, sizeof(buf));

	return n > 0 ? mw__arena_strn(arena, buf, n) : NULL;
}

int mw__lines_open(struct mw__lines *lines, const struct mw__proc *proc, const char *name,
		   struct mw_err *err)
{
	memset(lines, 0, sizeof(*lines));
	lines->fd = mw__proc_fd(proc, name, err);
	if (lines->fd < 0)
		return lines->fd;
	lines->buf = malloc(LINE_BUFFER);
	lines->cap = LINE_BUFFER;
	if (!lines->buf) {
		mw__closep(&lines->fd);
		return mw__fail_nomem(err, name);
	}
	return 0;
}

void mw__lines_close(struct mw__lines *lines)
{
	free(lines->buf);
	mw__closep(&lines->fd);
	lines->buf = NULL;
	lines->fd = -1;
}

/* Move what is left to the front and read behind it. */
static int refill(struct mw__lines *lines, struct mw_err *err)
{
	if (lines->start > 0) {
		memmove(lines->buf, lines->buf + lines->start, lines->end - lines->start);
		lines->end -= lines->start;
		lines->start = 0;
	}
	if (lines->end == lines->cap)
		return mw__fail(err, MW_E_FORMAT, 0, "a line longer than %zu bytes", lines->cap);
	for (;;) {
		ssize_t n = read(lines->fd, lines->buf + lines->end, lines->cap - lines->end);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return mw__fail(err, code_of(errno), errno, "read");
		lines->eof = n == 0;
		lines->end += n;
		lines->total += n;
		return 0;
	}
}

int mw__lines_next(struct mw__lines *lines, const char **line, const char **end, struct mw_err *err)
{
	size_t seen = 0;

	for (;;) {
		const char *p = lines->buf + lines->start, *stop = lines->buf + lines->end;
		const char *nl = mw__find(p + seen, stop, '\n');

		if (nl < stop || (lines->eof && p < stop)) {
			*line = p;
			*end = nl;
			lines->start = nl - lines->buf + (nl < stop);
			return 1;
		}
		if (lines->eof)
			return 0;
		seen = stop - p;
		int rc = refill(lines, err);

		if (rc < 0)
			return rc;
	}
}
