/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * exhaust - running out of memory: ENOMEM, no crash, and recovery.
 *
 * Under a limit on address space: fill it with small blocks, free all, ask for one
 * large block, fill with middle ones, free, and go through large ones. Each part must
 * reach a good share of the limit. Every failed call must leave errno ENOMEM and the
 * heap intact. And where the kernel allows no mapping more, with guard pages, which need them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define LIMIT (600u << 20)
unsigned mw_alloc_check(void);

struct link {
	struct link *next;
};

static size_t fill(struct link **list, size_t size)
{
	size_t total = 0;
	struct link *l;

	errno = 0;
	while ((l = malloc(size))) {
		l->next = *list;
		*list = l;
		total += size;
	}
	return errno == ENOMEM ? total : 0;
}

static void free_all(struct link **list)
{
	while (*list) {
		struct link *l = *list;

		*list = l->next;
		free(l);
	}
}

static void set_limit(size_t bytes)
{
	struct rlimit rl = { bytes, bytes };

	setrlimit(RLIMIT_AS, &rl);
}

static void one_limit(void)
{
	struct link *list = NULL;
	size_t got;
	char *p;

	set_limit(LIMIT);
	got = fill(&list, 100);
	ok(got > LIMIT / 100 * 75, "100-byte blocks fill %zu MB of 600", got >> 20);
	ok(mw_alloc_check() == 0, "invariants hold when all is used up");
	ok(!malloc(50 << 20) && errno == ENOMEM, "a large block is refused");
	ok(!calloc(1, 1 << 20) && errno == ENOMEM, "calloc too");
	ok(!realloc(NULL, 30 << 20) && errno == ENOMEM, "realloc too");
	free_all(&list);
	p = malloc(200 << 20);
	ok(p != NULL, "200 MB after everything was freed");
	if (p)
		memset(p, 1, 200 << 20);
	free(p);
	got = fill(&list, 3000);
	ok(got > LIMIT / 100 * 75, "3,000-byte blocks then fill %zu MB", got >> 20);
	free_all(&list);
	got = fill(&list, 1 << 20);
	ok(got > LIMIT / 100 * 75, "1 MiB blocks then fill %zu MB", got >> 20);
	free_all(&list);
	got = 0;
	for (int i = 0; i < 5000; i++) {
		p = malloc(1 << 20);
		got += p != NULL;
		free(p);
	}
	ok(got == 5000, "1 MiB blocks come and go");
	ok(mw_alloc_check() == 0, "invariants hold at the end");
}

static void *refused(void *arg)
{
	size_t *counts = arg;

	for (int i = 0; i < 2000; i++) {
		void *p = malloc((size_t)(i % 50) << 20);

		counts[p ? 0 : 1]++;
		if (p)
			*(char *)p = 1;
		free(p);
	}
	return NULL;
}

static void many_threads(void)
{
	pthread_t t[8];
	size_t counts[8][2] = { { 0 } }, served = 0, denied = 0;

	set_limit(300u << 20);
	for (int i = 0; i < 8; i++)
		if (pthread_create(&t[i], NULL, refused, counts[i]))
			t[i] = 0;
	for (int i = 0; i < 8; i++)
		if (t[i])
			pthread_join(t[i], NULL);
	for (int i = 0; i < 8; i++) {
		served += counts[i][0];
		denied += counts[i][1];
	}
	ok(served > 0 && served + denied >= 2000, "threads at the limit: %zu served, %zu refused",
	   served, denied);
	ok(mw_alloc_check() == 0, "invariants hold");
}

static void tight(void)
{
	char *p;

	set_limit(40u << 20);
	p = malloc(20 << 20);
	ok(p != NULL, "20 MB under a limit of 40 MB");
	free(p);
	p = malloc(1000);
	ok(p != NULL, "and a small block");
	free(p);
}

/* Each part in a process of its own, its TAP lines joined. */
static void part(void (*run)(void))
{
	int status, out[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(out))
		return;
	pid = fork();
	if (pid == 0) {
		char counts[2];

		run();
		counts[0] = (char)tap_count;
		counts[1] = (char)tap_failed;
		_exit(write(out[1], counts, 2) != 2);
	}
	close(out[1]);
	waitpid(pid, &status, 0);
	char counts[2] = { 0, 1 };
	if (read(out[0], counts, 2) != 2)
		counts[1] = 1;
	close(out[0]);
	tap_count = counts[0] > tap_count ? counts[0] : tap_count;
	tap_failed += counts[1];
	if (status)
		ok(0, "a part died with status %x", (unsigned)status);
}

#define MAPPINGS_MOST 300000u /* to make, before a kernel that allows more is let be */
#define MAPPING 8192u

/* Every mapping that the kernel allows is in use: every other page of @MAPPING bytes is one. False: they cannot be. */
static int use_all_mappings(void)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
	unsigned long most = 0, i = 0;
	char *area;

	if (!f || fscanf(f, "%lu", &most) != 1 || most > MAPPINGS_MOST)
		return 0;
	fclose(f);
	area = mmap(NULL, most * MAPPING, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	while (area != MAP_FAILED && i < most && mprotect(area + i * MAPPING, 1, PROT_READ) == 0)
		i++;
	return area != MAP_FAILED && i < most;
}

/* In a process with guard=1. What malloc gives is used; 77: no such place can be made. */
static int at_the_last_mapping(void)
{
	unsigned long state = 7;
	size_t served = 0;
	char *v[400] = { 0 };

	for (size_t i = 0; i < 400; i++)
		free(malloc(i * 1000));
	if (!use_all_mappings())
		return 77;
	for (size_t i = 0; i < 20000; i++) {
		size_t k = tap_random(&state) % 400, n = tap_random(&state) % (i % 5 ? 3000 : 3000000) + 1;

		free(v[k]);
		v[k] = malloc(n);
		if (v[k])
			v[k][0] = v[k][n - 1] = 1;
		served += v[k] != NULL;
	}
	return served == 0 || mw_alloc_check() != 0;
}

static void last_mapping(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("MEMWHY_MALLOC", "guard=1", 1);
		execl("/proc/self/exe", "exhaust", "mappings", NULL);
		_exit(76);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip("guard pages at the last mapping", "the kernel allows too many mappings, or does not say how many");
	else
		ok(status == 0, "guard pages at the last mapping: status %x", (unsigned)status);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "mappings"))
		return at_the_last_mapping();
	part(one_limit);
	part(many_threads);
	part(tight);
	last_mapping();
	return tap_done();
}
