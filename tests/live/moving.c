/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Programs that do not hold still, each with a truth that no moment breaks.
 *
 *   storm   two places far apart in the map; at most one of them is mapped
 *   splits  one region whose protections split and merge; its size never changes
 *   execs   runs itself again and again, every 20 ms
 *   zombie  a child that has ended and that nobody waits for
 *   exits   children that live for a few milliseconds each
 *   undumpable  its memory is nobody else's business
 *   leader  the first thread has ended, a second one holds the memory
 */
#include "truth.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define BLOCK MIB
#define FENCE 400               /* mappings between the two places */

static void say_two_places(const char *a, const char *b)
{
	struct line l = {.used = 0};

	add(&l, "{\"never_both\":[\"0x%llx\",\"0x%llx\"]}",
	    (unsigned long long)(uintptr_t)a, (unsigned long long)(uintptr_t)b);
	put(&l);
}

static void say_ready(void)
{
	struct line l = {.used = 0};

	add(&l, "{\"ready\":true}");
	put(&l);
}

/* Ends the process when the checker lets go; the storm itself cannot wait. */
static void end_with_stdin(void)
{
	fcntl(STDIN_FILENO, F_SETOWN, getpid());
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
}

static bool let_go(void)
{
	char c;

	return read(STDIN_FILENO, &c, 1) == 0;
}

static void storm(void)
{
	size_t fence = FENCE * PAGE, total = 2 * BLOCK + fence;
	char *a = moated(total, PAGE, PROT_NONE);
	char *b = a + BLOCK + fence;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	munmap(a, total);
	mmap(a + BLOCK, fence, RW, flags, -1, 0);
	for (size_t i = 0; i < FENCE; i += 2)
		mprotect(a + BLOCK + i * PAGE, PAGE, PROT_READ);
	say_two_places(a, b);
	say_ready();
	end_with_stdin();
	for (size_t n = 0; n % 1024 || !let_go(); n++) {
		char *place = n & 1 ? a : b;

		mmap(place, BLOCK, RW, flags, -1, 0);
		write_pages(place, 1);
		munmap(place, BLOCK);
	}
}

static void splits(void)
{
	size_t size = FENCE * PAGE;
	char *p = anon_island(size);
	struct line l = {.used = 0};

	write_pages(p, FENCE);
	add(&l, "{\"constant\":{\"start\":\"0x%llx\",\"end\":\"0x%llx\",\"resident\":%zu}}",
	    (unsigned long long)(uintptr_t)p, (unsigned long long)(uintptr_t)p + size, size);
	put(&l);
	say_ready();
	end_with_stdin();
	for (size_t n = 0; n % 1024 || !let_go(); n++)
		mprotect(p + (n * 7 % FENCE) * PAGE, PAGE, n & 1 ? PROT_READ : RW);
}

static void execs(const char *again)
{
	char *const argv[] = {(char *)"moving", (char *)"execs", (char *)"again", NULL};

	if (!again)
		say_ready();
	end_with_stdin();
	write_pages(anon_island(SIZE), 16);
	for (int i = 0; i < 10 && !let_go(); i++)
		usleep(2000);
	if (!let_go())
		execv("/proc/self/exe", argv);
}

static void say_pid(const char *what, pid_t pid)
{
	struct line l = {.used = 0};

	add(&l, "{\"%s\":%d}", what, (int)pid);
	put(&l);
}

static void zombie(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	usleep(50000);
	say_pid("zombie", pid);
	hold();
}

/* The reader finds the newest child as the only child of this process. */
static void exits(void)
{
	say_ready();
	end_with_stdin();
	while (!let_go()) {
		pid_t pid = fork();

		if (pid == 0) {
			write_pages(anon_island(SIZE), 16);
			usleep(3000);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

static void *hold_alone(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "alone");
	usleep(50000);
	hold();
}

static void leader(void)
{
	pthread_t id;

	if (pthread_create(&id, NULL, hold_alone, NULL) == 0)
		pthread_exit(NULL);
}

static void undumpable(void)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	hold();
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (argc < 3)           /* an alarm outlives execve; the first one counts */
		begin();
	if (!strcmp(mode, "storm"))
		storm();
	else if (!strcmp(mode, "splits"))
		splits();
	else if (!strcmp(mode, "execs"))
		execs(argc > 2 ? argv[2] : NULL);
	else if (!strcmp(mode, "zombie"))
		zombie();
	else if (!strcmp(mode, "exits"))
		exits();
	else if (!strcmp(mode, "undumpable"))
		undumpable();
	else if (!strcmp(mode, "leader"))
		leader();
	else
		return 2;
	return 0;
}
