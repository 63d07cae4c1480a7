/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * lock.c - a short mutex: spin a little, then sleep on a futex.
 *
 * The word is 0 (free), 1 (held) or 2 (held, and somebody may sleep). Sections
 * under these locks are short, so a waiter spins first; but a holder may have lost
 * its processor, so it does not spin for long. seq is odd while the lock is held:
 * readers outside the process use it as a seqlock generation.
 *
 * fork() runs with every lock held by the forking thread. Handlers of other
 * libraries may allocate while it does, so a thread that holds all locks for fork
 * passes through mw__lock as if it had got it.
 */
#include "internal.h"

#define SPINS 100

TOGETHER static uint64_t fork_owner; /* thread that holds every lock; written by it alone, read relaxed */
TOGETHER static bool fork_in_section; /* the forking thread was inside a section; written by it alone */

/* Locks this thread holds or is about to: a signal handler that forks asks. */
static __thread unsigned sections __attribute__((tls_model("initial-exec")));

/* The address of a thread-local variable: even, and the same in a fork child. */
uint64_t mw__thread_key(void)
{
	return (uint64_t)(uintptr_t)&mw__mcache;
}

#ifdef MW_ALLOC_DEBUG
static __thread unsigned held_ranks __attribute__((tls_model("initial-exec")));

static void rank_enter(int rank)
{
	if (held_ranks >> rank)
		__builtin_trap(); /* lock order */
	held_ranks |= 1u << rank;
}

static void rank_leave(int rank)
{
	held_ranks &= ~(1u << rank);
}
#else
static void rank_enter(int rank) { (void)rank; }
static void rank_leave(int rank) { (void)rank; }
#endif

/*
 * The C library says whether there is one thread only; locked instructions are then for
 * nothing. Only that thread can make another, and not inside a section. Where the
 * variable is missing (glibc before 2.32, musl) threads are assumed.
 */
extern char __libc_single_threaded __attribute__((weak));

bool mw__is_alone(void)
{
	return &__libc_single_threaded && load_relaxed(&__libc_single_threaded);
}

static bool try_lock(uint32_t *word)
{
	uint32_t zero = 0;

	return __atomic_compare_exchange_n(word, &zero, 1, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield" ::: "memory");
#endif
}

static noinline void lock_slow(struct mw_lock *l)
{
	add_relaxed(&l->n_waits, 1);
	for (int i = 0; i < SPINS; i++) {
		cpu_relax();
		if (load_relaxed(&l->word) == 0 && try_lock(&l->word))
			return;
	}
	while (__atomic_exchange_n(&l->word, 2, __ATOMIC_ACQUIRE) != 0)
		mw__os_futex_wait(&l->word, 2);
}

static void taken(struct mw_lock *l)
{
	store_relaxed(&l->owner, mw__thread_key());
	store_relaxed(&l->seq, l->seq + 1);
	__atomic_thread_fence(__ATOMIC_RELEASE); /* seq is seen odd before what it guards changes */
}

static bool fork_is_mine(void)
{
	uint64_t owner = load_relaxed(&fork_owner);

	return unlikely(owner != 0) && owner == mw__thread_key();
}

void mw__lock(struct mw_lock *l, int rank)
{
	if (fork_is_mine())
		return;
	rank_enter(rank);
	sections++;
	compiler_barrier();
	if (mw__is_alone() && load_relaxed(&l->word) == 0)
		store_relaxed(&l->word, 1);
	else if (unlikely(!try_lock(&l->word)))
		lock_slow(l);
	taken(l);
}

static void release(struct mw_lock *l)
{
	store_relaxed(&l->owner, 0);
	__atomic_store_n(&l->seq, l->seq + 1, __ATOMIC_RELEASE);
	if (mw__is_alone())
		store_relaxed(&l->word, 0);
	else if (__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) == 2)
		mw__os_futex_wake(&l->word);
}

void mw__unlock(struct mw_lock *l, int rank)
{
	if (fork_is_mine())
		return;
	release(l);
	compiler_barrier();
	sections--;
	rank_leave(rank);
}

bool mw__lock_is_mine(const struct mw_lock *l)
{
	return load_relaxed(&l->owner) == mw__thread_key();
}

#define TAKEN_BY_FORK 1u /* in owner */

static void taken_by_fork(struct mw_lock *l)
{
	taken(l);
	l->owner |= TAKEN_BY_FORK;
}

/*
 * Take @l before fork. When this very thread is inside a section already, a signal
 * handler that interrupted an allocation is forking. A lock that it holds stays as it
 * is (the owner may not be written yet, so the lock cannot tell). The order of locks is
 * broken, so none is waited for longer than a bounded time; in the child all are freed.
 */
void mw__lock_for_fork(struct mw_lock *l)
{
	fork_in_section = sections > 0;
	if (mw__lock_is_mine(l))
		return;
	for (int i = 0; i < 1000; i++) {
		if (try_lock(&l->word)) {
			taken_by_fork(l);
			return;
		}
		mw__os_yield();
	}
	if (!fork_in_section) {
		lock_slow(l);
		taken_by_fork(l);
	}
}

static void reset(struct mw_lock *l)
{
	l->word = 0;
	l->owner = 0;
	l->seq += l->seq & 1;
}

/* The parent frees what fork took; the child also what threads held that it lacks. */
void mw__lock_after_fork(struct mw_lock *l, bool child)
{
	if (l->owner == (mw__thread_key() | TAKEN_BY_FORK))
		child ? reset(l) : release(l);
	else if (child && l->word != 0 && !mw__lock_is_mine(l))
		reset(l);
	if (child)
		l->n_waits = 0;
}

bool mw__in_section(void)
{
	return sections > 0;
}

void mw__fork_owner_set(bool on)
{
	store_relaxed(&fork_owner, on ? mw__thread_key() : 0);
}
