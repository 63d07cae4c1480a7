/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One fault at a time: the N-th allocation fails, the N-th call to the kernel fails, ends early or gives
 * nothing, or something happens to the target before it. The linker sends the library's calls here (--wrap).
 */
#ifndef MW_TESTS_FAULT_PLAN_H
#define MW_TESTS_FAULT_PLAN_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MAX_CALLS 20000ul

/* ------------------------------------------------------------------ the calls */

enum fault { NO_FAULT, FAULT_ERRNO, FAULT_ZERO, FAULT_SHORT };

static struct {
	bool on;
	unsigned long allocs, fail_alloc;	/* so far; which one fails, 0: none */
	unsigned long calls, fail_call;
	enum fault fault;
	int error;
	void (*event)(void);			/* happens before the call */
	unsigned stride;
	int file_error, mem_error;		/* of every mapped file that is opened, of the target's memory; 0: none */
} plan;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
int __real_openat64(int dir, const char *name, int flags, mode_t mode);
int __real_open64(const char *name, int flags, mode_t mode);
ssize_t __real_read(int fd, void *buf, size_t n);
ssize_t __real_pread64(int fd, void *buf, size_t n, off_t at);
int __real_ioctl(int fd, unsigned long request, void *arg);
ssize_t __real_readlinkat(int dir, const char *name, char *buf, size_t n);

static bool alloc_fails(void)
{
	return plan.on && ++plan.allocs == plan.fail_alloc;
}

void *__wrap_malloc(size_t size)
{
	return alloc_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return alloc_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return alloc_fails() ? NULL : __real_realloc(p, size);
}

/* What happens to this call. */
static enum fault next_call(void)
{
	if (!plan.on || ++plan.calls != plan.fail_call)
		return NO_FAULT;
	if (plan.event) {
		plan.on = false;
		plan.event();
		plan.on = true;
		return NO_FAULT;
	}
	errno = plan.error;
	return plan.fault;
}

int __wrap_openat64(int dir, const char *name, int flags, mode_t mode)
{
	if (plan.on && plan.file_error && flags & O_NOCTTY) {	/* nothing else is opened so */
		errno = plan.file_error;
		return -1;
	}
	if (plan.on && plan.mem_error && !strcmp(name, "mem")) {
		errno = plan.mem_error;
		return -1;
	}
	return next_call() == FAULT_ERRNO ? -1 : __real_openat64(dir, name, flags, mode);
}

int __wrap_open64(const char *name, int flags, mode_t mode)
{
	return next_call() == FAULT_ERRNO ? -1 : __real_open64(name, flags, mode);
}

static size_t shorter(size_t n, enum fault f)
{
	return f == FAULT_SHORT && n > 1 ? n / 3 + 1 : n;
}

ssize_t __wrap_read(int fd, void *buf, size_t n)
{
	enum fault f = next_call();

	return f == FAULT_ERRNO ? -1 : f == FAULT_ZERO ? 0 : __real_read(fd, buf, shorter(n, f));
}

ssize_t __wrap_pread64(int fd, void *buf, size_t n, off_t at)
{
	enum fault f = next_call();

	return f == FAULT_ERRNO ? -1 : f == FAULT_ZERO ? 0 : __real_pread64(fd, buf, shorter(n, f), at);
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	enum fault f = next_call();

	return f == FAULT_ERRNO ? -1 : f == FAULT_ZERO ? 0 : __real_ioctl(fd, request, arg);
}

ssize_t __wrap_readlinkat(int dir, const char *name, char *buf, size_t n)
{
	enum fault f = next_call();

	return f == FAULT_ERRNO ? -1 : f == FAULT_ZERO ? 0 : __real_readlinkat(dir, name, buf, shorter(n, f));
}

/* --------------------------------------------------------------------- target */

static char *target_path;
static pid_t target;

/* Where fork() failed this would be everybody. */
static void signal_target(int sig)
{
	if (target > 0)
		kill(target, sig);
}

/* The target lies beside the test. */
__attribute__((unused)) static bool set_target_path(const char *argv0)
{
	return asprintf(&target_path, "%.*starget", (int)(strrchr(argv0, '/') + 1 - argv0), argv0) >= 0;
}

/* All threads of the target sleep: it touches no page any more. False when one could not be looked at. */
__attribute__((unused)) static bool all_sleep(void)
{
	char path[64], line[256];
	bool sleeping = true;

	snprintf(path, sizeof(path), "/proc/%d/task", target);
	DIR *dir = opendir(path);

	for (struct dirent *e; dir && sleeping && (e = readdir(dir));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/stat", target, e->d_name);
		FILE *f = fopen(path, "re");
		const char *comm_end = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;

		sleeping = comm_end && comm_end[1] && comm_end[2] == 'S';
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return dir && sleeping;
}

__attribute__((unused)) static void start_target(void)
{
	int fds[2];
	char c;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	target = fork();
	if (target == 0) {
		dup2(fds[1], 1);
		execl(target_path, target_path, (char *)NULL);
		_exit(1);
	}
	close(fds[1]);
	if (__real_read(fds[0], &c, 1) != 1)
		printf("# the target did not start\n");
	close(fds[0]);
	for (int i = 0; i < 1000 && !all_sleep(); i++)
		usleep(1000);
}

__attribute__((unused)) static void kill_target(void)
{
	siginfo_t info;

	signal_target(SIGKILL);
	waitid(P_PID, (id_t)target, &info, WEXITED | WNOWAIT);
}

__attribute__((unused)) static void reap_target(void)
{
	signal_target(SIGKILL);
	waitpid(target, NULL, 0);
}

__attribute__((unused)) static void exec_target(void)
{
	char path[64], name[16] = "";

	signal_target(SIGUSR1);
	snprintf(path, sizeof(path), "/proc/%d/comm", target);
	for (int i = 0; i < 500 && strncmp(name, "sleep", 5); i++) {
		int fd = __real_open64(path, O_RDONLY | O_CLOEXEC, 0);

		if (fd >= 0 && __real_read(fd, name, sizeof(name)) < 5)
			*name = '\0';
		close(fd);
		usleep(1000);
	}
	usleep(10000);	/* the new program maps its libraries */
}

__attribute__((unused)) static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int drop(void *ctx, const void *bytes, size_t len)
{
	(void)ctx;
	(void)bytes;
	(void)len;
	return 0;
}
static const struct mw_sink nowhere = { drop, NULL };

#endif
