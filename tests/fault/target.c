/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What test_collect looks at: threads with arenas, shared memory, a reservation, all done when it says so. On SIGUSR1 it executes
 * another program. It is built without the sanitizers, whose terabytes of shadow are not the subject.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_int settled;

static void *wait_here(void *arg)
{
	free(malloc(100));
	settled++;
	for (;;)
		pause();
	return arg;
}

static void become_sleep(int sig)
{
	(void)sig;
	execlp("sleep", "sleep", "60", (char *)NULL);
	_exit(1);
}

int main(void)
{
	pthread_t t;

	alarm(300);
	signal(SIGUSR1, become_sleep);
	for (int i = 0; i < 3; i++)
		pthread_create(&t, NULL, wait_here, NULL);
	char *shared = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*shared = 1;
	free(malloc(100));
	while (settled < 3)
		usleep(1000);
	if (write(1, "r", 1) != 1)
		return 1;
	for (;;)
		pause();
}
