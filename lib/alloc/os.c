/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * os.c - the allocator's kernel calls.
 *
 * They are made directly, not through libc's wrappers: the wrappers write errno,
 * which a successful malloc and every free must leave alone. Each call that moves
 * memory is counted in region.syscalls.
 */
#include "internal.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#define SIGRTMIN_OF_KERNEL 32 /* and the next are the C library's own */
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#if defined(__x86_64__)
static long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "no kernel call sequence for this processor"
#endif

static bool failed(long ret)
{
	return (unsigned long)ret > -4096UL;
}

static bool note(long ret, uint64_t *count, uint64_t *bytes, size_t size)
{
	add_relaxed(count, 1);
	if (failed(ret)) {
		add_relaxed(&region.syscalls.n_failed, 1);
		return false;
	}
	add_relaxed(bytes, size);
	return true;
}

void *mw__os_map(void *hint, size_t size, bool fixed)
{
	struct mw_syscalls *sc = &region.syscalls;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	long p;

	if (fixed)
		flags |= MAP_FIXED_NOREPLACE;
	p = sys6(SYS_mmap, (long)hint, (long)size, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (!note(p, &sc->n_mmap, &sc->mmap_bytes, size))
		return NULL;
	/* a kernel older than 4.17 takes the address as a mere hint */
	if ((fixed && p != (long)hint) || (uint64_t)p + size > ADDRESS_LIMIT) {
		mw__os_unmap((void *)p, size);
		return NULL;
	}
	return (void *)p;
}

void mw__os_unmap(void *addr, size_t size)
{
	struct mw_syscalls *sc = &region.syscalls;

	note(sys6(SYS_munmap, (long)addr, (long)size, 0, 0, 0, 0), &sc->n_munmap,
	     &sc->munmap_bytes, size);
}

void *mw__os_remap(void *addr, size_t old_size, size_t new_size)
{
	struct mw_syscalls *sc = &region.syscalls;
	long p = sys6(SYS_mremap, (long)addr, (long)old_size, (long)new_size, MREMAP_MAYMOVE, 0, 0);

	return note(p, &sc->n_mremap, &sc->mremap_bytes, new_size) ? (void *)p : NULL;
}

/* Since Linux 5.7; older ones refuse. */
void *mw__os_move_out(void *addr, size_t size)
{
	struct mw_syscalls *sc = &region.syscalls;
	long p = sys6(SYS_mremap, (long)addr, (long)size, (long)size,
		      MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0, 0);

	return note(p, &sc->n_mremap, &sc->mremap_bytes, size) ? (void *)p : NULL;
}

/* Undo it. The addresses are free to take, so only a broken kernel refuses. */
void mw__os_move_back(void *addr, void *moved, size_t size)
{
	struct mw_syscalls *sc = &region.syscalls;

	note(sys6(SYS_mremap, (long)moved, (long)size, (long)size, MREMAP_MAYMOVE | MREMAP_FIXED,
		  (long)addr, 0),
	     &sc->n_mremap, &sc->mremap_bytes, size);
}

bool mw__os_purge(void *addr, size_t size, bool lazy)
{
	struct mw_syscalls *sc = &region.syscalls;
	long r = sys6(SYS_madvise, (long)addr, (long)size, lazy ? MADV_FREE : MADV_DONTNEED, 0, 0,
		      0);

	return note(r, &sc->n_madvise, &sc->madvise_bytes, size);
}

/* Advice: a kernel that knows no huge pages refuses it. */
void mw__os_hugepages(void *addr, size_t size, bool wanted)
{
	add_relaxed(&region.syscalls.n_madvise, 1);
	sys6(SYS_madvise, (long)addr, (long)size, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE, 0, 0, 0);
}

/* False: there is no room for the mappings that it would take; some of it may have changed. */
bool mw__os_protect(void *addr, size_t size, bool readable)
{
	return !failed(sys6(SYS_mprotect, (long)addr, (long)size, readable ? PROT_READ | PROT_WRITE : PROT_NONE, 0, 0, 0));
}

void mw__os_write(int fd, const char *text, size_t size)
{
	while (size > 0) {
		long n = sys6(SYS_write, fd, (long)text, (long)size, 0, 0, 0);

		if (n <= 0 && n != -EINTR)
			return;
		if (n > 0) {
			text += n;
			size -= (size_t)n;
		}
	}
}

/* Up to @size bytes of a file; the count, or negative. */
long mw__os_read_file(const char *path, char *buf, size_t size)
{
	long fd = sys6(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	long got = 0, n;

	if (failed(fd))
		return fd;
	while ((size_t)got < size) {
		n = sys6(SYS_read, fd, (long)(buf + got), (long)(size - (size_t)got), 0, 0, 0);
		if (n <= 0)
			break;
		got += n;
	}
	sys6(SYS_close, fd, 0, 0, 0, 0, 0);
	return got;
}

long mw__os_prctl(int op, const unsigned long args[4])
{
	return sys6(SYS_prctl, op, (long)args[0], (long)args[1], (long)args[2], (long)args[3], 0);
}

int mw__os_tid(void)
{
	return (int)sys6(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

int mw__os_pid(void)
{
	return (int)sys6(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

uint64_t mw__os_coarse_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The 16 random bytes that the kernel gives every program, stirred with a counter. */
uint64_t mw__os_random(void)
{
	TOGETHER static uint64_t counter;
	uint64_t x = 0x9e3779b97f4a7c15ULL * (add_relaxed(&counter, 1) + 1);
	const void *seed = (const void *)getauxval(AT_RANDOM);
	uint64_t words[2] = { 0, 0 };

	if (seed)
		memcpy(words, seed, sizeof(words));
	x ^= mw__options.seed ? mw__options.seed : words[0] ^ (words[1] << 1);
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

void mw__os_futex_wait(uint32_t *word, uint32_t value)
{
	sys6(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, (long)value, 0, 0, 0);
}

void mw__os_futex_wait_ms(uint32_t *word, uint32_t value, unsigned ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	sys6(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, (long)value, (long)&ts, 0, 0);
}

void mw__os_futex_wake(uint32_t *word)
{
	sys6(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

void mw__os_yield(void)
{
	sys6(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

/* Those that the C library uses inside stay: threads wait for each other by them. */
uint64_t mw__os_block_signals(void)
{
	uint64_t all = ~(3ULL << (SIGRTMIN_OF_KERNEL - 1)), before = 0;

	sys6(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)&before, sizeof(all), 0, 0);
	return before;
}

void mw__os_restore_signals(uint64_t mask)
{
	sys6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask), 0, 0);
}
