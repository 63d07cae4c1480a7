/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * background.c - giving memory back while the program says nothing.
 *
 * Scavenging rides on the slow paths of malloc and free. A program that frees much and
 * then computes, waits or sleeps takes none of them, so a thread does it in its place:
 * it wakes twice a decay period, gives back half of what nobody wanted, and ends when
 * little is left or when the program's own calls have long kept up with it. It starts
 * when there is something to do: more free memory that may be resident than
 * retain_bytes and than a quarter of what is in use. Small programs never meet it.
 *
 * It blocks all signals, has no mcache, allocates nothing, and takes the locks that
 * any thread takes, so fork needs no more than to know that the child has none. When
 * every thread that ever allocated is gone it ends at once, so that a program whose
 * main thread has left does not live on for its sake.
 */
#include "internal.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#define STACK_BYTES (256u << 10)             /* addresses; little of it is touched */
#define STOP_PAGES (1u << 20 >> MW_PAGE_SHIFT)
#define CLOCK_GRAIN_MS 10u                   /* of the coarse clock, generously */
#define PATIENCE 8                           /* periods without need after which it ends */

enum { ABSENT = 0, RUNNING = 1, REFUSED = 2 };

TOGETHER static uint32_t state; /* RUNNING from before the thread is made until it ends */
TOGETHER static uint32_t bell; /* futex: changes when the thread shall look up */

/* Free memory that may be resident, in pages. */
static uint64_t idle_pages(void)
{
	return load_relaxed(&heap.pages_dirty) + load_relaxed(&heap.huge_idle_pages);
}

static bool is_needed(void)
{
	uint64_t idle = idle_pages();

	return idle > mw__options.retain >> MW_PAGE_SHIFT &&
	       idle > (load_relaxed(&heap.pages_in_use) + load_relaxed(&heap.huge_pages)) / 4;
}

static bool anybody_left(void)
{
	for (mcache *mc = __atomic_load_n(&region.mcaches, __ATOMIC_ACQUIRE); mc; mc = mc->next)
		if (load_relaxed(&mc->state) == MW_MCACHE_LIVE)
			return true;
	return false;
}

/* Objects in transfer arrays that nobody has moved since the last look keep spans alive. */
static void drain_quiet_centrals(uint64_t *moves)
{
	uint64_t now = 0;

	for (unsigned c = 1; c < MW_N_CLASSES; c++)
		now += load_relaxed(&mw__centrals[c].n_fetches) +
		       load_relaxed(&mw__centrals[c].n_flushes);
	if (now == *moves)
		mw__central_drain();
	*moves = now;
}

static void *work(void *arg)
{
	uint64_t moves = 0;

	prctl(PR_SET_NAME, "mw-scavenger");
	for (unsigned bored = 0; bored < PATIENCE && anybody_left();) {
		uint32_t rung = load_relaxed(&bell);

		mw__os_futex_wait_ms(&bell, rung, mw__options.decay_ms / 2 + CLOCK_GRAIN_MS);
		drain_quiet_centrals(&moves);
		mw__scavenge_background();
		bored = is_needed() ? 0 : idle_pages() <= STOP_PAGES ? PATIENCE : bored + 1;
	}
	__atomic_store_n(&state, ABSENT, __ATOMIC_RELEASE);
	return arg;
}

static bool start(void)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t t;
	int rc;

	if (pthread_attr_init(&attr) != 0)
		return false;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&t, &attr, work, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc == 0;
}

/* No lock held. Where the system refuses the thread it is not asked for again. */
void mw__background_check(void)
{
	uint32_t absent = ABSENT;
	int saved = errno;

	if (load_relaxed(&state) != ABSENT || !mw__options.background || !is_needed() ||
	    region.pid != mw__os_pid()) /* a vfork child has its parent's memory */
		return;
	if (!__atomic_compare_exchange_n(&state, &absent, RUNNING, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return;
	if (!start())
		__atomic_store_n(&state, REFUSED, __ATOMIC_RELEASE);
	errno = saved;
}

/* A thread has gone. */
void mw__background_thread_gone(void)
{
	if (load_relaxed(&state) != RUNNING || anybody_left())
		return;
	add_relaxed(&bell, 1);
	mw__os_futex_wake(&bell);
}

void mw__background_after_fork(void)
{
	state = ABSENT;
}
