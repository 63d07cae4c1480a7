/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Faults a known list of addresses in a known order, and writes the list down: truth MODE FILE.
 * Lines of the file, in the order of time:
 *   fault ADDRESS THREAD PROCESS     this thread touched this address for the first time
 *   again ADDRESS THREAD PROCESS     touched it again, and that faults too (copy on write)
 *   pages START N SOURCE             N pages from START on are resident, and came from SOURCE
 *   gone START N                     N pages faulted and were given back
 *   symbol ADDRESS NAME OFFSET       this address, faulted before, is so far behind the start of this variable
 *   moves N                          mappings were made so many times
 * Only memory of its own is listed: what the C library faults is its own affair.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define THREADS 4
#define EACH 64

static int out;

static void die(const char *what)
{
	fprintf(stderr, "truth: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* One write a line: threads do not mix, and the order is that of time. */
static void say(const char *fmt, ...)
{
	char line[128];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (write(out, line, (size_t)n) != n)
		die("write");
}

/* The function by which all of these faults come. */
__attribute__((noinline)) static void touch(volatile char *p, const char *kind)
{
	*p = 1;
	say("%s %lx %ld %d\n", kind, (unsigned long)p, syscall(SYS_gettid), getpid());
}

static char *get(size_t pages, int flags)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	if (madvise(p, pages * PAGE, MADV_NOHUGEPAGE) < 0 && errno != EINVAL)
		die("madvise");
	return p;
}

/* ------------------------------------------------------------------ threads */

static char *area;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static unsigned turn;

/* Thread by thread, one page each, in an order that is not that of the addresses. */
static int told;

static void *touch_in_turn(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < EACH; i++) {
		pthread_mutex_lock(&lock);
		while (turn % THREADS != me)
			pthread_cond_wait(&turn_changed, &lock);
		touch(area + (turn * 37 % (THREADS * EACH)) * PAGE + turn % PAGE, "fault");
		turn++;
		pthread_cond_broadcast(&turn_changed);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void threads(void)
{
	pthread_t t[THREADS];

	area = get(THREADS * EACH, 0);
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, touch_in_turn, (void *)(uintptr_t)i))
			die("pthread_create");
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	say("pages %lx %d fault\n", (unsigned long)area, THREADS * EACH);
}

/* ------------------------------------------------------- without their faults */

static void populate(void)
{
	say("pages %lx %d unseen\n", (unsigned long)get(300, MAP_POPULATE), 300);
}

static void locked(void)
{
	char *p = get(16, 0);

	if (mlock(p, 16 * PAGE) < 0) {
		say("skip mlock: %s\n", strerror(errno));
		return;
	}
	say("pages %lx %d locked\n", (unsigned long)p, 16);
}

static void huge(void)
{
	size_t size = 4ul << 20;
	char *p = mmap(NULL, size * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	p = (char *)(((uintptr_t)p + (2ul << 20) - 1) & ~((2ul << 20) - 1));
	if (madvise(p, size, MADV_HUGEPAGE) < 0) {
		say("skip huge pages: %s\n", strerror(errno));
		return;
	}
	touch(p + 5, "fault");
	touch(p + (2ul << 20) + 9, "fault");
	say("huge %lx %d\n", (unsigned long)p, 2);
}

static void freed(void)
{
	char *p = get(40, 0);

	for (int i = 0; i < 40; i++)
		touch(p + (unsigned)i * PAGE, "fault");
	if (madvise(p, 20 * PAGE, MADV_DONTNEED) < 0)
		die("madvise");
	say("gone %lx %d\n", (unsigned long)p, 20);
	say("pages %lx %d fault\n", (unsigned long)p + 20 * PAGE, 20);
}

static void forked(void)
{
	char *p = get(8, 0);

	for (int i = 0; i < 8; i++)
		touch(p + (unsigned)i * PAGE, "fault");
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		for (int i = 0; i < 4; i++)
			touch(p + (unsigned)i * PAGE, "fault");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	/* the child's copies are gone: these four are ours alone again, the other four never were copied */
	for (int i = 4; i < 8; i++)
		touch(p + (unsigned)i * PAGE, "again");
	say("pages %lx %d fault\n", (unsigned long)p, 8);
}

/* ------------------------------------------------------------ for attaching */

/* Threads that exist before the recording does; it is told when to begin by a byte on stdin, and when to end. */
static void *touch_when_told(void *arg)
{
	pthread_mutex_lock(&lock);
	while (!told)
		pthread_cond_wait(&turn_changed, &lock);
	pthread_mutex_unlock(&lock);
	return touch_in_turn(arg);
}

static void wait_for_byte(const char *word)
{
	char c;

	if (write(1, word, strlen(word)) < 0 || read(0, &c, 1) < 0)
		die("pipe");
}

static void waiting(void)
{
	pthread_t t[THREADS];

	area = get(THREADS * EACH, 0);
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, touch_when_told, (void *)(uintptr_t)i))
			die("pthread_create");
	wait_for_byte("ready\n");
	pthread_mutex_lock(&lock);
	told = 1;
	pthread_cond_broadcast(&turn_changed);
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	say("pages %lx %d fault\n", (unsigned long)area, THREADS * EACH);
	wait_for_byte("done\n");
}

/* ------------------------------------------------------------ coming and going */

#define CROWD 50
static void *touch_own(void *p)
{
	for (unsigned i = 0; i < 4; i++)
		touch((char *)p + i * PAGE, "fault");
	return NULL;
}

/* Threads and processes one after the other, each with pages of its own. */
static void crowd(void)
{
	char *p = get(CROWD * 4, 0);
	pthread_t t;

	for (unsigned i = 0; i < CROWD; i++) {
		if (pthread_create(&t, NULL, touch_own, p + (size_t)i * 4 * PAGE))
			die("pthread_create");
		pthread_join(t, NULL);
		if (i % 10 == 0) {
			pid_t pid = fork();

			if (pid == 0)
				execl("/bin/true", "true", (char *)NULL);
			waitpid(pid, NULL, 0);
		}
	}
	say("pages %lx %d fault\n", (unsigned long)p, CROWD * 4);
}

/* More faults than a small buffer takes; they are not written down, for there are too many. */
static void storm(void)
{
	char *p = get(40000, 0);

	for (size_t i = 0; i < 40000; i++)
		p[i * PAGE] = 1;
	say("pages %lx %d fault\n", (unsigned long)p, 40000);
}

/* Variables with names, of which others may be written before. */
__attribute__((aligned(4096))) static char in_data[3 * PAGE] = { 1 }, in_bss[5 * PAGE], in_bss_too[2 * PAGE];

static void named(void)
{
	static const struct {
		const char *name;
		char *at;
		unsigned offset;
	} list[] = { { "in_bss", in_bss, 9000 }, { "in_data", in_data, 4097 }, { "in_bss_too", in_bss_too, 4500 }, { "in_bss", in_bss, 20000 } };

	for (unsigned i = 0; i < 4; i++)
		touch(list[i].at + list[i].offset, "fault");
	for (unsigned i = 0; i < 4; i++)
		say("symbol %lx %s %u\n", (unsigned long)list[i].at + list[i].offset, list[i].name, list[i].offset);
}

/* More changes of mappings than their buffer takes. */
static void mappings(void)
{
	wait_for_byte("ready\n");
	for (int i = 0; i < 40000; i++) {
		void *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED || munmap(p, PAGE) < 0)
			die("mmap");
	}
	say("moves %d\n", 40000);
	wait_for_byte("done\n");
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{ "threads", threads }, { "populate", populate }, { "locked", locked }, { "huge", huge }, { "freed", freed },
	{ "forked", forked }, { "waiting", waiting }, { "crowd", crowd }, { "storm", storm },
	{ "named", named }, { "mappings", mappings },
};

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	out = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
	if (out < 0)
		die(argv[2]);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(modes[i].name, argv[1])) {
			modes[i].run();
			return 0;
		}
	return 2;
}
