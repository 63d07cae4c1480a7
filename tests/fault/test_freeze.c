/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A target that is held still while signals rain on it gets each of them, and goes on afterwards. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/tap.h"
#include "memwhy.h"

#define LOOKS 60

static volatile struct {
	long got, sent;
	int ready, stop;
} *shared;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return __real_realloc(p, size);
}

static void count(int sig)
{
	(void)sig;
	shared->got++;
}

static void be_target(void)
{
	signal(SIGRTMIN, count);
	alarm(60);
	shared->ready = 1;
	for (;;)
		pause();
}

/* Signals of this kind queue up, so that none is lost when the target is slow. */
static void be_sender(pid_t to)
{
	alarm(60);
	while (!shared->stop) {
		if (sigqueue(to, SIGRTMIN, (union sigval){ 0 }) == 0)
			shared->sent++;
		usleep(20);
	}
	_exit(0);
}

static long count_looks(pid_t pid)
{
	struct mw_collect_opts opts = { .size = sizeof(opts), .freeze = true, .no_objects = true };
	long good = 0;

	for (int i = 0; i < LOOKS; i++) {
		struct mw_snapshot *snap = NULL;

		if (mw_collect_pid(pid, &opts, &snap, NULL) == 0) {
			good++;
			mw_snapshot_destroy(snap);
		}
	}
	return good;
}

int main(void)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t target = fork();

	if (target == 0)
		be_target();
	for (int i = 0; i < 1000 && !shared->ready; i++)
		usleep(1000);
	pid_t sender = fork();

	if (sender == 0)
		be_sender(target);
	long good = count_looks(target);

	shared->stop = 1;
	waitpid(sender, NULL, 0);
	for (int i = 0; i < 2000 && shared->got < shared->sent; i++)
		usleep(1000);
	is_int(good, LOOKS, "every look at a frozen target succeeds");
	ok(shared->sent > 100, "signals were sent meanwhile (%ld)", shared->sent);
	is_int(shared->got, shared->sent, "the target got every one of them");
	kill(target, SIGKILL);
	waitpid(target, NULL, 0);
	return done_testing();
}
