/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * scavenge - a program that has freed much and then says nothing gives it back, by a
 * thread that is there only meanwhile. Each case is a process of its own. What takes
 * time is waited for, with a patience that only a broken library exhausts.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/alloc/abi.h"
#include "tap.h"

#define PATIENCE 300 /* tenths of a second */
#define BLOCK 500
#define SERVED 512

unsigned mw_alloc_check(void) __attribute__((weak));

static char **blocks;

/* A member of a status file, kB or plain; -1 when it is not there. Without malloc: who looks is silent, too. */
static long status_of(const char *path, const char *key)
{
	char text[8192];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	char *at;

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = 0;
	at = strstr(text, key);
	return at ? strtol(at + strlen(key) + 1, NULL, 10) : -1;
}

static long threads(void)
{
	return status_of("/proc/self/status", "Threads");
}

static long anon(void)
{
	return status_of("/proc/self/status", "RssAnon") * 1024;
}

static long lazy(void)
{
	return status_of("/proc/self/smaps_rollup", "LazyFree");
}

static int wait_for(int (*what)(void))
{
	for (int i = 0; i < PATIENCE; i++, usleep(100000))
		if (what())
			return 1;
	return 0;
}

static int is_alone(void) { return threads() == 1; }
static int is_accompanied(void) { return threads() == 2; }

static long before, live;
static int is_lean(void) { return anon() - before <= live + live * 3 / 10; }

/* @n blocks, of which one run of @kept in each @period stays. */
static void grow_and_shrink(size_t n, size_t kept, size_t period)
{
	blocks = calloc(n, sizeof(*blocks));
	for (size_t i = 0; i < n; i++)
		blocks[i] = memset(malloc(BLOCK), 1, BLOCK);
	live = 0;
	for (size_t i = 0; i < n; i++)
		if (i % period >= kept)
			free(blocks[i]);
		else
			live += SERVED;
	live += (long)(n * sizeof(*blocks));
}

/* Signals that the thread blocks: all that can be. It is new: its name may come later. */
static int scavenger_blocks_signals(void)
{
	DIR *d = opendir("/proc/self/task");
	int found = 0;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[320], line[256], name[32] = "";
		unsigned long long mask = 0;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f)) {
			sscanf(line, "Name: %31s", name);
			sscanf(line, "SigBlk: %llx", &mask);
		}
		if (f)
			fclose(f);
		if (strcmp(name, "mw-scavenger") == 0)
			found = (mask | 1ULL << 31 | 1ULL << 32 | 1ULL << (SIGKILL - 1) |
				 1ULL << (SIGSTOP - 1)) == ~0ULL;
	}
	if (d)
		closedir(d);
	return found;
}

/* --- cases: each returns 0 when all is well ------------------------------------------------ */

static int small_program(void)
{
	grow_and_shrink(6000, 1, 6000);
	for (int i = 0; i < 12; i++, usleep(100000))
		if (threads() != 1)
			return 1;
	return 0;
}

static int silent_program(void)
{
	grow_and_shrink(400000, 2000, 40000);
	return !wait_for(is_lean) || (mw_alloc_check && mw_alloc_check());
}

/* The thread's own runs stay with it: a quarter of what is live, and 512 KiB. */
static int is_lean_of_runs(void) { return anon() - before <= 2 * live; }

/* Each run that is freed pushes another one out of the thread's cache. */
static int silent_with_runs(void)
{
	enum { N = 4000, SIZE = 7 * 8192 };
	static void *v[N];

	for (int i = 0; i < N; i++)
		v[i] = memset(malloc(SIZE), 1, SIZE);
	live = N / 40 * SIZE;
	for (int i = N / 40; i < N; i++)
		free(v[i]);
	return !wait_for(is_lean_of_runs) || (mw_alloc_check && mw_alloc_check());
}

/* What blocks have shrunk by, in place. */
static int silent_with_less(void)
{
	enum { N = 2000, SIZE = 12 * 8192, LESS = 5 * 8192 };
	static void *v[N];

	for (int i = 0; i < N; i++)
		v[i] = memset(malloc(SIZE), 1, SIZE);
	live = (long)N * LESS;
	for (int i = 0; i < N; i++)
		v[i] = realloc(v[i], LESS);
	return !wait_for(is_lean) || (mw_alloc_check && mw_alloc_check());
}

static int thread_ends(void)
{
	grow_and_shrink(400000, 2000, 40000);
	return !wait_for(is_accompanied) || !wait_for(scavenger_blocks_signals) || !wait_for(is_alone);
}

static int no_thread(void)
{
	grow_and_shrink(400000, 2000, 40000);
	for (int i = 0; i < 12; i++, usleep(100000))
		if (threads() != 1)
			return 1;
	return 0;
}

static int lazy_program(void)
{
	grow_and_shrink(400000, 2000, 40000);
	for (int i = 0; i < PATIENCE; i++, usleep(100000))
		if (lazy() > 100000)
			return 0;
	return 1;
}

/* The child has no such thread, no trace of its work, and can start its own. */
static int forked_program(void)
{
	int status = 0;

	grow_and_shrink(400000, 2000, 40000);
	for (int i = 0; i < 40 && status == 0; i++, usleep(20000)) {
		pid_t pid = fork();

		if (pid == 0) {
			if (!is_alone() || (mw_alloc_check && mw_alloc_check()))
				_exit(1);
			if (i == 39) {
				grow_and_shrink(200000, 2000, 40000);
				_exit(!wait_for(is_accompanied));
			}
			_exit(0);
		}
		waitpid(pid, &status, 0);
	}
	return status;
}

static void *last_thread(void *arg)
{
	grow_and_shrink(400000, 2000, 40000);
	return arg;
}

/* main has left, the last thread leaves: the process ends, and well. */
static int left_program(void)
{
	pthread_t t;

	pthread_create(&t, NULL, last_thread, NULL);
	pthread_exit(NULL);
}

static const struct mw_mcentral *central(unsigned c)
{
	const struct mw_region *region = dlsym(RTLD_DEFAULT, "mw_alloc_region");

	return (const struct mw_mcentral *)region->tables[MW_TABLE_MCENTRALS].addr + c;
}

static uint64_t n_spans[MW_N_CLASSES];

static void *one_of_each(void *unused)
{
	(void)unused;
	for (size_t n = 8; n <= 32768; n += 8)
		free(malloc(n));
	return NULL;
}

/* By a thread, so that its cache is gone with it. How many classes it was the first to use. */
static unsigned use_each_class(void)
{
	unsigned n = 0;
	pthread_t t;

	free(malloc(1)); /* now there is a region */
	for (unsigned c = 1; c < MW_N_CLASSES; c++)
		n_spans[c] = central(c)->n_spans;
	pthread_create(&t, NULL, one_of_each, NULL);
	for (unsigned c = 1; c < MW_N_CLASSES; c++)
		n += n_spans[c] == 0;
	return pthread_join(t, NULL) ? 0 : n;
}

static int are_gone(void)
{
	unsigned n = 0;

	free(malloc(100000)); /* a slow path */
	for (unsigned c = 1; c < MW_N_CLASSES; c++)
		n += n_spans[c] == 0 && central(c)->n_spans > 0 && central(c)->n_out == 0;
	return n == 0;
}

/* The last span of a class stays a while when it is empty, not for ever. */
static int last_spans_go(void)
{
	return use_each_class() < MW_N_CLASSES / 2 || are_gone() || !wait_for(are_gone);
}

static int last_spans_are_trimmed(void)
{
	if (use_each_class() < MW_N_CLASSES / 2 || are_gone())
		return 1;
	malloc_trim(0);
	return !are_gone();
}

/* What is free only for a moment is not given back: it would be wanted again at once. */
static int keeps_what_returns(void)
{
	enum { N = 200, SIZE = 1 << 19, LOOKS = 10 };
	const struct mw_region *region = dlsym(RTLD_DEFAULT, "mw_alloc_region");
	const struct mw_mheap *h = &region->heap;
	uint64_t last = h->last_scavenge_ms, given = h->scavenged_bytes;
	static void *v[N];

	for (int looks = 0; looks < LOOKS; looks += last != h->last_scavenge_ms, last = h->last_scavenge_ms)
		for (int i = 0; i < 2 * N; i++)
			if (i < N)
				v[i] = malloc(SIZE);
			else
				free(v[i - N]);
	return h->scavenged_bytes - given > (uint64_t)N * SIZE;
}

static int errno_kept(void)
{
	errno = 77;
	grow_and_shrink(400000, 2000, 40000);
	return errno != 77;
}

static const struct {
	const char *what, *options;
	int (*run)(void);
} cases[] = {
	{ "a small program stays alone", "", small_program },
	{ "95 in 100 freed, then silence: resident is at most 1.3 of what is live", "", silent_program },
	{ "the same of blocks that are runs: at most twice", "", silent_with_runs },
	{ "the same of blocks that have shrunk", "", silent_with_less },
	{ "the same with MADV_DONTNEED and nothing retained", "retain=0", silent_program },
	{ "the thread blocks signals, and ends", "decay=300", thread_ends },
	{ "background=off: no thread", "background=off", no_thread },
	{ "purge=off: no thread", "purge=off", no_thread },
	{ "purge=free: memory is lent to the kernel", "purge=free", lazy_program },
	{ "fork while it works", "decay=200", forked_program },
	{ "a process whose main thread has left ends", "", left_program },
	{ "the last span of a class goes after a while", "decay=100", last_spans_go },
	{ "the last span of a class goes with malloc_trim", "", last_spans_are_trimmed },
	{ "what is free only for a moment is kept", "background=off", keeps_what_returns },
	{ "errno is left alone", "", errno_kept },
};
#define N_CASES ((int)(sizeof(cases) / sizeof(cases[0])))

static int run_case(int i)
{
	char number[16];
	int status = 1;
	pid_t pid;

	snprintf(number, sizeof(number), "%d", i);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setenv("MEMWHY_MALLOC", cases[i].options, 1);
		execl("/proc/self/exe", "scavenge", number, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return status == 0;
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		alarm(120);
		before = anon();
		return cases[atoi(argv[1])].run();
	}
	for (int i = 0; i < N_CASES; i++)
		ok(run_case(i), "%s", cases[i].what);
	return tap_done();
}
