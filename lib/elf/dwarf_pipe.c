/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The parent's end of the DWARF child. What comes out of the pipe is as hostile as the
 * file: a child that was taken over may write anything. Every record is checked, their
 * number and bytes are bounded, and the child is killed when it takes too long.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/err.h"
#include "debugfile.h"
#include "dwarf.h"
#include "plaincopy.h"

#define MIN_BYTES (UINT64_C(16) << 20)
#define MAX_BYTES (UINT64_C(256) << 20)
#define MAX_RATIO 32
#define MAX_SECONDS 30
#define CPU_SECONDS 10
#define MEMORY (UINT64_C(1) << 30)

/* What was read and not yet looked at. */
struct reader {
	int fd;
	time_t deadline;
	size_t at, n;
	char v[65536];
};

static bool refill(struct reader *r)
{
	for (;;) {
		struct pollfd pfd = { r->fd, POLLIN, 0 };
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec >= r->deadline || (poll(&pfd, 1, 1000) < 0 && errno != EINTR))
			return false;
		if (!pfd.revents)
			continue;
		ssize_t n = read(r->fd, r->v, sizeof(r->v));

		if (n < 0 && errno == EINTR)
			continue;
		r->at = 0;
		r->n = n > 0 ? (size_t)n : 0;
		return n > 0;
	}
}

static bool read_all(struct reader *r, void *buf, size_t size)
{
	for (char *p = buf; size;) {
		size_t n = r->n - r->at < size ? r->n - r->at : size;

		memcpy(p, r->v + r->at, n);
		r->at += n;
		p += n;
		size -= n;
		if (size && !refill(r))
			return false;
	}
	return true;
}

static bool keep(struct mw__dwarf_answer *a, const struct mw__dwarf_head *h, const char *text)
{
	struct mw__dwarf_record *r = MW_VEC_PUSH(&a->v);
	const char *p = text, *end = text + h->text_len;

	if (!r)
		return false;
	r->kind = (enum mw__dwarf_kind)h->kind;
	memcpy(r->n, h->n, sizeof(r->n));
	for (int i = 0; i < 3; i++) {
		size_t len = p < end ? strnlen(p, end - p) : 0;

		r->text[i] = len ? mw__arena_strn(&a->arena, p, len) : "";
		if (!r->text[i])
			r->text[i] = "";
		p += len + 1;
	}
	return true;
}

static bool collect(struct reader *in, uint64_t budget, struct mw__dwarf_answer *ret)
{
	char text[MW__DWARF_TEXT];
	struct mw__dwarf_head h;
	uint64_t bytes = 0;

	while (read_all(in, &h, sizeof(h))) {
		if (h.magic != MW__DWARF_MAGIC || !h.kind || h.kind >= MW__DWARF_N_KINDS || h.text_len > sizeof(text))
			return false;
		if (!read_all(in, text, h.text_len))
			return false;
		if (h.kind == MW__DWARF_DONE)
			return true;
		bytes += sizeof(h) + h.text_len;
		if (h.kind == MW__DWARF_ERROR) {
			snprintf(ret->trouble, sizeof(ret->trouble), "libdwarf: %.*s", (int)(h.text_len < 200 ? h.text_len : 200), text);
		} else if (bytes > budget) {
			snprintf(ret->trouble, sizeof(ret->trouble), "DWARF: more than %u MiB of answers: the rest is left out",
				 (unsigned)(budget >> 20));
			return false;
		} else if (!keep(ret, &h, text)) {
			return false;
		}
	}
	return false;
}

bool mw__dwarf_collect(int fd, uint64_t file_size, struct mw__dwarf_answer *ret)
{
	uint64_t budget = file_size < MAX_BYTES / MAX_RATIO ? MIN_BYTES + MAX_RATIO * file_size : MAX_BYTES;
	struct reader *in = malloc(sizeof(*in));
	struct timespec now;

	if (!in)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	in->fd = fd;
	in->deadline = now.tv_sec + MAX_SECONDS;
	in->at = in->n = 0;
	bool done = collect(in, budget, ret);

	free(in);
	return done;
}

static void limit(int what, rlim_t value)
{
	struct rlimit r = { value, value };

	setrlimit(what, &r);
}

/* What the process has already, the child has too, and cannot do without: statm's first field. 0: not known. */
static uint64_t address_space(void)
{
	char text[32] = "";
	MW_CLEANUP(mw__closep) int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void be_child(const struct mw__dwarf_query *q, int fd)
{
	if (fd <= STDERR_FILENO)	/* who uses the library has closed these */
		fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int null = open("/dev/null", O_RDWR);

	if (null >= 0) {	/* the library below may print */
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
#ifndef __SANITIZE_ADDRESS__	/* which reserves terabytes */
	limit(RLIMIT_AS, address_space() + MEMORY);
#endif
	limit(RLIMIT_CPU, CPU_SECONDS);
	limit(RLIMIT_CORE, 0);
	signal(SIGPIPE, SIG_DFL);
	mw__dwarf_run(q, fd);
	_exit(0);
}

/* Not so where SIGCHLD is ignored, or another thread waits for every child: the number may be another's by now. */
static bool is_our_child(pid_t pid)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void say_trouble(struct mw__dwarf_answer *a, int status)
{
	if (a->trouble[0])
		return;
	if (WIFSIGNALED(status))
		snprintf(a->trouble, sizeof(a->trouble), "DWARF unreadable (child: %s)",
			 strsignal(WTERMSIG(status)));
	else
		snprintf(a->trouble, sizeof(a->trouble), "DWARF unreadable (child ended early)");
}

static bool has_dwarf(const struct mw_elf *elf)
{
	for (size_t i = 1; i < elf->n_sh; i++) {
		const char *name = mw__elf_section_name(elf, i);

		if (elf->sh[i].type != SHT_NOBITS && (!strcmp(name, ".debug_info") || !strcmp(name, ".zdebug_info")))
			return true;
	}
	return false;
}

bool mw__dwarf_exists(struct mw_elf *elf)
{
	return has_dwarf(elf) || mw__elf_debug(elf);
}

/* What libdwarf opens, and whose bytes these are. */
struct source {
	const char *path, *owner;
	int copy;		/* of what it cannot read as it is, or -1 */
	char buf[64];
};

static bool choose_source(struct mw_elf *elf, const struct mw__dwarf_query *q, struct source *s)
{
	bool is_part = elf->base || (elf->member && !elf->own_path);
	/* an elf without descriptor is a path that somebody wants to have asked */
	struct mw_elf *debug = elf->fd >= 0 && !is_part && !has_dwarf(elf) ? mw__elf_debug(elf) : NULL;
	struct mw_elf *from = debug ? debug : elf;

	s->owner = debug ? debug->path : elf->own_path ? elf->own_path : elf->path;
	/* in a relocatable object every section is at address 0: who owns what is asked in offsets */
	bool by_offset = elf->eh.type == ET_REL && !debug && (q->ranges || q->rows);

	s->copy = from->eh.type == ET_REL && from->fd >= 0 ? mw__elf_linked_copy(from, by_offset) : -1;
	if (s->copy < 0 && !by_offset && (is_part || mw__elf_has_zstd_debug(from)))
		s->copy = mw__elf_plain_copy(from);
	snprintf(s->buf, sizeof(s->buf), "/proc/self/fd/%d", s->copy >= 0 ? s->copy : elf->fd);
	s->path = s->copy < 0 && (debug || (!elf->from_memory && access(s->owner, R_OK) == 0)) ? s->owner : s->buf;
	return !(is_part || by_offset) || s->copy >= 0;
}

static void name_owner(struct mw__dwarf_answer *a, const struct source *s)
{
	for (size_t i = 0; i < a->v.n; i++)
		if (a->v.v[i].kind == MW__DWARF_FROM && !strcmp(a->v.v[i].text[0], s->path)) {
			const char *owner = mw__arena_str(&a->arena, s->owner);

			a->v.v[i].text[0] = owner ? owner : "";
		}
}

int mw__dwarf_ask(struct mw_elf *elf, const struct mw__dwarf_query *q, struct mw__dwarf_answer *ret,
		  struct mw_err *err)
{
	struct mw__dwarf_query mine = *q;
	struct source from;
	int fds[2], status = 0;

	memset(ret, 0, sizeof(*ret));
	mw__arena_init(&ret->arena);
	if (!choose_source(elf, q, &from)) {
		snprintf(ret->trouble, sizeof(ret->trouble), "DWARF is not read: %s", elf->eh.type == ET_REL ?
			 "not all of its relocations are known here" : "the archive member could not be copied");
		return 0;
	}
	MW_CLEANUP(mw__closep) int copy = from.copy;

	mine.path = from.path;
	mine.is_source = elf->fd >= 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return mw__fail(err, MW_E_OS, errno, "%s: pipe", elf->path);
	pid_t pid = fork();

	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return mw__fail(err, MW_E_OS, errno, "%s: fork", elf->path);
	}
	if (!pid)
		be_child(&mine, fds[1]);
	close(fds[1]);
	bool done = mw__dwarf_collect(fds[0], elf->size, ret);

	close(fds[0]);
	if (!done && is_our_child(pid))
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!done)
		say_trouble(ret, status);
	name_owner(ret, &from);
	return 0;
}

void mw__dwarf_answer_deinit(struct mw__dwarf_answer *a)
{
	MW_VEC_FREE(&a->v);
	mw__arena_deinit(&a->arena);
}
