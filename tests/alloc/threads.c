/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * threads - the life of threads, and fork in the middle of it.
 *
 * Many short threads with a flat heap; allocation in destructors that run after the
 * allocator's own; frees by other threads; threads that outlive main; fork while
 * others allocate, in handlers that allocate, and from a signal handler.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/alloc/abi.h"
#include "tap.h"

unsigned mw_alloc_check(void);
static const struct mw_region *region;

static size_t resident(void)
{
	size_t total, rss = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (fscanf(f, "%zu %zu", &total, &rss) != 2)
		rss = 0;
	fclose(f);
	return rss * 4096;
}

static void *short_life(void *arg)
{
	for (int i = 0; i < 200; i++)
		free(malloc((size_t)(i * 37 % 3000)));
	free(malloc(100000));
	return arg;
}

static void test_short_threads(void)
{
	size_t first = 0, last;

	for (int i = 0; i < 2000; i++) {
		pthread_t t;

		pthread_create(&t, NULL, short_life, NULL);
		pthread_join(t, NULL);
		if (i == 200)
			first = resident();
	}
	last = resident();
	ok(last < first + (1 << 20), "2,000 short threads leave the heap flat");
	ok(region->n_mcaches <= 4, "their caches are used again (%lu made)",
	   (unsigned long)region->n_mcaches);
	ok(region->dead.n_threads >= 2000, "their counts are kept");
}

static pthread_key_t keys[40];
static int destructor_runs;

static void late_destructor(void *arg)
{
	void *p = malloc(123), *q;
	long round = (long)(intptr_t)arg;

	q = calloc(10, 1000);
	p = realloc(p, 5000);
	free(p);
	free(q);
	__atomic_fetch_add(&destructor_runs, 1, __ATOMIC_RELAXED);
	if (round < PTHREAD_DESTRUCTOR_ITERATIONS)
		pthread_setspecific(keys[0], (void *)(intptr_t)(round + 1));
}

static void *with_keys(void *arg)
{
	free(malloc(10));
	for (int i = 0; i < 40; i++)
		pthread_setspecific(keys[i], (void *)1);
	return arg;
}

static void test_destructors(void)
{
	size_t before;

	for (int i = 0; i < 40; i++)
		pthread_key_create(&keys[i], late_destructor);
	for (int i = 0; i < 50; i++) {
		pthread_t t;

		pthread_create(&t, NULL, with_keys, NULL);
		pthread_join(t, NULL);
	}
	before = resident();
	for (int i = 0; i < 500; i++) {
		pthread_t t;

		pthread_create(&t, NULL, with_keys, NULL);
		pthread_join(t, NULL);
	}
	ok(destructor_runs >= 550 * 40, "destructors allocate, before and after ours");
	ok(resident() < before + (1 << 20), "and leak nothing");
	ok(mw_alloc_check() == 0, "invariants hold");
}

/* --- producer and consumer ------------------------------------------------------------ */

#define RING 1024
static void *ring[RING];
static volatile int producing = 1;

static void *consumer(void *arg)
{
	long n = 0;

	while (producing || n < (long)arg)
		for (int i = 0; i < RING; i++) {
			void *p = __atomic_exchange_n(&ring[i], NULL, __ATOMIC_ACQ_REL);

			n += p != NULL;
			free(p);
		}
	return (void *)n;
}

static void test_remote_free(void)
{
	const long total = 300000;
	size_t before = 0;
	pthread_t t;
	void *n;

	pthread_create(&t, NULL, consumer, (void *)total);
	for (long i = 0; i < total; i++) {
		void *p = memset(malloc(500), 1, 500), *empty = NULL;

		while (!__atomic_compare_exchange_n(&ring[i % RING], &empty, p, 0, __ATOMIC_ACQ_REL,
						    __ATOMIC_RELAXED)) {
			empty = NULL;
			sched_yield();
		}
		if (i == total / 4)
			before = resident();
	}
	producing = 0;
	pthread_join(t, &n);
	ok((long)n == total, "every block came through");
	ok(resident() < before + (4 << 20), "one allocates, another frees: memory circulates");
}

/* --- fork ------------------------------------------------------------------------------- */

static volatile int run_workers = 1;

static void *worker(void *arg)
{
	unsigned long r = (unsigned long)(uintptr_t)arg;
	void *p[300] = { 0 };

	while (run_workers) {
		unsigned long i = tap_random(&r) % 300;

		free(p[i]);
		p[i] = malloc(tap_random(&r) % (tap_random(&r) % 50 ? 600 : 90000));
	}
	for (int i = 0; i < 300; i++)
		free(p[i]);
	return NULL;
}

static int child_work(void)
{
	void *p[500];

	alarm(20); /* a deadlock ends here */
	for (int i = 0; i < 500; i++)
		p[i] = memset(malloc((size_t)i * 20), 1, (size_t)i * 20);
	for (int i = 0; i < 500; i++)
		free(p[i]);
	free(malloc(3 << 20));
	return mw_alloc_check() != 0;
}

static int fork_once(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(child_work());
	waitpid(pid, &status, 0);
	return status == 0;
}

static void test_fork(void)
{
	pthread_t t[4];
	int good = 0;

	run_workers = 1;
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, worker, (void *)(i + 1));
	for (int i = 0; i < 150; i++)
		good += fork_once();
	run_workers = 0;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ok(good == 150, "150 forks while four threads allocate: %d children well", good);
	ok(mw_alloc_check() == 0, "the parent's invariants hold");
}

static int handler_runs, handlers_allocate;

/* Not in the test of signals below: there a handler may not allocate, as in glibc. */
static void allocate_in_handler(void)
{
	if (!handlers_allocate)
		return;
	free(malloc(1000));
	free(malloc(200000));
	free(realloc(malloc(10), 10000));
	handler_runs++;
}

static void test_atfork(void)
{
	pthread_t t[2];
	int good = 0;

	pthread_atfork(allocate_in_handler, allocate_in_handler, allocate_in_handler);
	handlers_allocate = 1;
	run_workers = 1;
	for (long i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, worker, (void *)(i + 1));
	for (int i = 0; i < 30; i++)
		good += fork_once();
	run_workers = 0;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	handlers_allocate = 0;
	ok(good == 30 && handler_runs >= 60, "fork handlers of others may allocate");
}

static volatile sig_atomic_t signal_forks, signal_good;

static void fork_in_handler(int sig)
{
	int status = -1;
	pid_t pid = fork();

	(void)sig;
	if (pid == 0) {
		alarm(10);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	signal_forks++;
	signal_good += status == 0;
}

static void test_fork_in_signal(void)
{
	struct itimerval every = { { 0, 3000 }, { 0, 3000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction sa = { .sa_handler = fork_in_handler, .sa_flags = SA_RESTART };
	sigset_t only_main;
	pthread_t t[2];
	unsigned long r = 5;
	void *p[2000] = { 0 };

	sigemptyset(&only_main);
	sigaddset(&only_main, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &only_main, NULL);
	run_workers = 1;
	for (long i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, worker, (void *)(i + 1));
	pthread_sigmask(SIG_UNBLOCK, &only_main, NULL);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	while (signal_forks < 60) {
		unsigned long i = tap_random(&r) % 2000;

		free(p[i]);
		p[i] = malloc(tap_random(&r) % 3000);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	run_workers = 0;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 2000; i++)
		free(p[i]);
	ok(signal_good == signal_forks, "fork from a signal handler amid allocation");
	ok(mw_alloc_check() == 0, "invariants hold after it");
}

/* Its status; -1 when it does not end. */
static int run_apart(int (*fn)(void))
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(fn());
	if (pid < 0)
		return -1;
	for (int i = 0; i < 6000; i++, usleep(10000))
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

/* A signal arrives at some point of fork, and its handler forks. One thread: with more glibc's fork hangs by itself. */
static int fork_in_fork(void)
{
	struct sigaction sa = { .sa_handler = fork_in_handler, .sa_flags = SA_RESTART };
	int good = 1;

	signal_forks = signal_good = 0;
	sigaction(SIGALRM, &sa, NULL);
	for (int i = 0; i < 600; i++) {
		struct itimerval soon = { .it_value = { 0, 1 + i } };
		int status = -1;
		pid_t pid;

		setitimer(ITIMER_REAL, &soon, NULL);
		pid = fork();
		if (pid == 0)
			_exit(0);
		good &= waitpid(pid, &status, 0) == pid && status == 0;
		while (signal_forks <= i)
			usleep(100);
	}
	return !good || signal_good != signal_forks || mw_alloc_check() != 0;
}

static char long_line[] = "/tmp/mw-threads-XXXXXX";

/* A line of 50,000 characters, with its stream locked while the buffer for it grows. */
static void *read_lines(void *arg)
{
	FILE *f = fopen(long_line, "r");

	while (f && run_workers) {
		char *line = NULL;
		size_t room = 0;

		rewind(f);
		if (getline(&line, &room, f) < 0)
			abort();
		free(line);
		usleep(100); /* glibc's locks are unfair: without it, flushing takes long */
	}
	if (f)
		fclose(f);
	return arg;
}

static void *flush_all(void *arg)
{
	while (run_workers)
		fflush(NULL);
	return arg;
}

static int fork_amid_streams(void)
{
	pthread_t t[5];
	int good = 0;

	run_workers = 1;
	for (int i = 0; i < 5; i++)
		pthread_create(&t[i], NULL, i ? read_lines : flush_all, NULL);
	for (int i = 0; i < 60; i++)
		good += fork_once();
	run_workers = 0;
	for (int i = 0; i < 5; i++)
		pthread_join(t[i], NULL);
	return good != 60;
}

static void test_fork_apart(void)
{
	int fd = mkstemp(long_line);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f) {
		skip("fork amid streams", "no temporary file");
		return;
	}
	fprintf(f, "%050000d\n", 1);
	fclose(f);
	ok(run_apart(fork_amid_streams) == 0, "fork while streams are read and flushed by others");
	unlink(long_line);
}

/* --- a crowd ------------------------------------------------------------------------------ */

enum { CROWD = 200, CROWD_CLASSES = 20 };
static pthread_barrier_t crowd;
static void *volatile sink;

static void *one_of_each(void *arg)
{
	for (size_t i = 1; i <= CROWD_CLASSES; i++)
		sink = malloc(i * 16);
	pthread_barrier_wait(&crowd);
	pthread_barrier_wait(&crowd);
	return arg;
}

/* What threads keep, to be given out later, is less than what they have given out. */
static int few_for_each(void)
{
	pthread_t t[CROWD];
	uint64_t kept = 0;

	pthread_barrier_init(&crowd, NULL, CROWD + 1);
	for (int i = 0; i < CROWD; i++)
		if (pthread_create(&t[i], NULL, one_of_each, NULL) != 0)
			return 2;
	pthread_barrier_wait(&crowd);
	for (const struct mw_mcache *mc = (void *)(uintptr_t)region->mcaches; mc; mc = (void *)(uintptr_t)mc->next)
		for (int c = 0; c < MW_N_CLASSES; c++)
			kept += (mc->bins[c].top - mc->bins[c].base) / sizeof(void *);
	pthread_barrier_wait(&crowd);
	for (int i = 0; i < CROWD; i++)
		pthread_join(t[i], NULL);
	return mw_alloc_check() != 0 || kept >= CROWD * CROWD_CLASSES;
}

/* --- dlopen, and threads that outlive main ------------------------------------------------ */

static void test_dlopen(void)
{
	int good = 1;

	for (int i = 0; i < 50; i++) {
		void *lib = dlopen("libm.so.6", RTLD_NOW);

		good &= lib != NULL;
		if (lib)
			dlclose(lib);
	}
	ok(good, "dlopen and dlclose");
}

static void *outlive(void *arg)
{
	usleep(100000);
	for (int i = 0; i < 1000; i++)
		free(malloc((size_t)i * 11));
	_exit(mw_alloc_check() ? 9 : 7);
	return arg;
}

static void test_outlive_main(void)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		pthread_t t;

		pthread_create(&t, NULL, outlive, NULL);
		pthread_exit(NULL);
	}
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 7, "a thread outlives main");
}

int main(void)
{
	region = dlsym(RTLD_DEFAULT, "mw_alloc_region");
	/* first: where there ever were threads, glibc's fork holds a lock of its own that the handler's waits for */
	ok(run_apart(fork_in_fork) == 0, "a signal's handler forks amid fork");
	test_short_threads();
	test_destructors();
	test_remote_free();
	test_fork();
	test_atfork();
	test_fork_in_signal();
	test_fork_apart();
	ok(run_apart(few_for_each) == 0, "a crowd of threads keeps little");
	test_dlopen();
	test_outlive_main();
	return tap_done();
}
