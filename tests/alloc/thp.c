/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * thp - where the heap tells the kernel to give no huge pages, or asks for them.
 *
 * Each case is this program again, in a mount namespace where the kernel's setting seems
 * to be another. It looks at the flags of its own mappings: "nh" refuses, "hg" asks.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define SETTING "/sys/kernel/mm/transparent_hugepage/enabled"
#define BLOCK 1000u
#define BLOCKS 64000u

enum { LEFT, REFUSED, ASKED, UNKNOWN };
static const char *const names[] = { "left to the kernel", "refused", "asked for", "unknown" };

/* What the mapping of @p says. */
static int advice_at(const void *p)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from, to;
	char line[4096];
	int advice = UNKNOWN, inside = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2 && !strncmp(strchr(line, ' ') + 5, " ", 1))
			inside = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			advice = strstr(line, " nh") ? REFUSED : strstr(line, " hg") ? ASKED : LEFT;
	}
	if (f)
		fclose(f);
	return advice;
}

static void *blocks[BLOCKS];

/* In a child, whose heap is small but for it: the end of a block of 20 MB, since it may begin in what the heap had. */
static int observe_alone(void)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(advice_at((char *)malloc(20000000) + 19999999));
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : UNKNOWN;
}

/* Digits: a small heap, a large one, the same when it has shrunk, a block of 50 MB, one that has grown out of its arena, one of 20 MB. */
static int observe(void)
{
	int small, large, shrunk, huge, moved, alone = observe_alone();
	void *p, *last;

	for (size_t i = 0; i < BLOCKS / 16; i++)
		blocks[i] = malloc(BLOCK);
	small = advice_at(blocks[0]);
	for (size_t i = BLOCKS / 16; i < BLOCKS; i++)
		blocks[i] = malloc(BLOCK);
	last = blocks[BLOCKS - 1];
	large = advice_at(last);
	huge = advice_at(p = malloc(50000000));
	free(p);
	p = memset(malloc(2000000), 1, 2000000);
	free(memset(malloc(2000000), 1, 2000000));
	moved = advice_at(p = realloc(p, 50000000));
	free(p);
	for (size_t i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	malloc_trim(0);
	shrunk = advice_at(last);
	return small | large << 2 | shrunk << 4 | huge << 6 | moved << 8 | alone << 10;
}

/* The status of this program where @file is the setting; 77: no such place can be made. */
static int elsewhere(const char *file, const char *options, int *seen)
{
	int status = -1, out[2];
	pid_t pid;

	*seen = -1;
	if (pipe(out) != 0)
		return 77;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], 1);
		if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		    mount(file, SETTING, NULL, MS_BIND, NULL) != 0)
			_exit(77);
		setenv("MEMWHY_MALLOC", options, 1);
		execl("/proc/self/exe", "thp", "observe", NULL);
		_exit(76);
	}
	close(out[1]);
	if (read(out[0], seen, sizeof(*seen)) != sizeof(*seen))
		*seen = -1;
	close(out[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const struct {
	const char *setting, *options;
	int small, large, shrunk, huge, moved, alone;
} cases[] = {
	{ "[always] madvise never", "", REFUSED, LEFT, REFUSED, LEFT, ASKED, LEFT },
	{ "[always] madvise never", "thp=never", REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED },
	{ "[always] madvise never", "thp=auto", REFUSED, ASKED, REFUSED, ASKED, ASKED, ASKED },
	{ "[always] madvise never", "thp=always", ASKED, ASKED, ASKED, ASKED, ASKED, ASKED },
	{ "always [madvise] never", "", LEFT, LEFT, LEFT, LEFT, LEFT, LEFT },
	{ "always [madvise] never", "thp=never", LEFT, LEFT, LEFT, LEFT, LEFT, LEFT },
	{ "always [madvise] never", "thp=auto", LEFT, ASKED, REFUSED, ASKED, ASKED, ASKED },
	{ "always madvise [never]", "", LEFT, LEFT, LEFT, LEFT, LEFT, LEFT },
};

static void test_case(size_t i)
{
	char file[] = "/tmp/memwhy-thp-XXXXXX";
	int fd = mkstemp(file), seen, status;
	const char *what[] = { "small", "large", "shrunk", "huge", "moved", "alone" };
	const int expected[] = { cases[i].small, cases[i].large, cases[i].shrunk, cases[i].huge, cases[i].moved,
				 cases[i].alone };
	int good = 1;

	if (fd < 0 || dprintf(fd, "%s\n", cases[i].setting) < 0)
		return;
	close(fd);
	status = elsewhere(file, cases[i].options, &seen);
	unlink(file);
	if (status == 77) {
		skip("huge pages", "no mount namespace, or a kernel without huge pages");
		return;
	}
	for (int k = 0; k < 6; k++) {
		int found = seen < 0 ? UNKNOWN : seen >> 2 * k & 3;

		good &= status == 0 && found == expected[k];
		if (found != expected[k])
			printf("# %s: %s, not %s\n", what[k], names[found], names[expected[k]]);
	}
	ok(good, "%s, with \"%s\"", cases[i].setting, cases[i].options);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "observe")) {
		int seen = observe();

		return write(1, &seen, sizeof(seen)) != sizeof(seen);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		test_case(i);
	return tap_done();
}
