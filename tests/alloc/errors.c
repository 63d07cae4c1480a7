/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * errors - wrong programs are stopped, and told what they did.
 *
 * Each case is a child that misuses the heap; it must die of SIGABRT with the right
 * words on standard error, or with errors=count go on, named and counted.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/alloc/abi.h"
#include "tap.h"

void free_sized(void *, size_t);
void *_Znwm(size_t);
void *_Znam(size_t);
void _ZdlPv(void *);
void _ZdaPv(void *);
void _ZdlPvm(void *, size_t);
void *_ZnwmSt11align_val_t(size_t, size_t);
void _ZdlPvmSt11align_val_t(void *, size_t, size_t);
static char *volatile v;

static void double_free(void)
{
	v = malloc(40);
	free(v);
	free(v);
}

static void double_free_later(void)
{
	static void *keep[3000];
	char *a = malloc(40);

	free(a);
	for (int i = 0; i < 3000; i++) /* a goes out and back in, b takes its place */
		keep[i] = malloc(56);
	for (int i = 0; i < 3000; i++)
		free(keep[i]);
	v = malloc(56);
	free(v);
	free(v);
}

static void double_free_interleaved(void)
{
	char *volatile a = malloc(100), *volatile b = malloc(100);

	free(a);
	free(b);
	free(a);
}

/* Many of its class are freed after it, but not so many that the thread gives it back. */
static void double_free_long_ago(void)
{
	static char *keep[100];

	v = malloc(200);
	for (int i = 0; i < 100; i++)
		keep[i] = malloc(200);
	free(v);
	for (int i = 0; i < 100; i++)
		free(keep[i]);
	free(v);
}

/* Written to in between, so that only their spans know; side by side, so that they come back as one. */
static void double_free_written(void)
{
	enum { N = 40 };
	static volatile uintptr_t *p[N];

	v = malloc(64); /* its span stays */
	for (int i = 0; i < N; i++)
		p[i] = malloc(64);
	malloc_trim(0);
	for (int i = 0; i < 2 * N; i++) {
		free((void *)p[i % N]);
		*p[i % N] = 0;
	}
	malloc_trim(0);
}

static pthread_barrier_t freed, ended;

static void *free_and_stay(void *p)
{
	free(p);
	pthread_barrier_wait(&freed);
	pthread_barrier_wait(&ended);
	return NULL;
}

/* Another thread has freed it, and lives. */
static void double_free_elsewhere(void)
{
	pthread_t t;

	v = malloc(200);
	pthread_barrier_init(&freed, NULL, 2);
	pthread_barrier_init(&ended, NULL, 2);
	pthread_create(&t, NULL, free_and_stay, v);
	pthread_barrier_wait(&freed);
	free(v);
	pthread_barrier_wait(&ended);
	pthread_join(t, NULL);
}

static void *free_many(void *blocks)
{
	for (char **p = blocks; *p; p++)
		free(*p);
	return NULL;
}

/* Another thread has freed so many that batches of them wait to be taken by others; the first is among them. */
static void double_free_passed_on(void)
{
	enum { N = 20000 };
	static char *blocks[N + 1];
	pthread_t t;

	for (int i = 0; i < N; i++)
		blocks[i] = malloc(64);
	pthread_create(&t, NULL, free_many, blocks);
	pthread_join(t, NULL);
	free(blocks[0]);
}

static void double_free_large(void)
{
	v = malloc(100000);
	free(v);
	free(v);
}

static void double_free_huge(void)
{
	v = malloc(50000000);
	free(v);
	free(v);
}

/* It cannot grow where it is. */
static void free_moved_huge(void)
{
	char *old = v = malloc(50000000);

	mmap(v + (malloc_usable_size(v) + 8191) / 8192 * 8192, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	v = realloc(v, 200000000);
	if (v != old)
		free(old);
}

/* Kept for reuse, which a heap of that size does, and used again where it has room. */
static void free_moved_kept(void)
{
	char *old;

	for (int i = 0; i < 10; i++)
		v = malloc(30000000);
	old = v = malloc(50000000);
	mmap(v + (malloc_usable_size(v) + 8191) / 8192 * 8192, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	free(v);
	v = malloc(200000000);
	if (v != old)
		free(old);
}

static void interior_small(void)
{
	v = malloc(200);
	free(v + 16);
}

static void interior_byte(void)
{
	v = malloc(200);
	free(v + 1);
}

static void interior_large(void)
{
	v = malloc(200000);
	free(v + 65536);
}

static void interior_huge(void)
{
	v = malloc(50000000);
	free(v + 8192);
}

static void interior_of_pages(void)
{
	v = malloc(20000);
	free(v + 4096);
}

static void interior_at_page(void)
{
	v = malloc(20000);
	free(v + 8192);
}

/* An object's place in which there was never one. By default it is seen when it goes back to its span. */
static void never_given(void)
{
	v = malloc(64);
	free(v + 64 * 40);
	malloc_trim(0);
}

static void *free_it(void *p)
{
	free(p);
	return NULL;
}

/* Each thread keeps it, until it ends. */
static void double_free_threads(void)
{
	pthread_t t[2];

	v = malloc(40);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, free_it, v);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

/* Its span's pages hold objects of another size by now. */
static void double_free_moved(void)
{
	enum { N = 3000 };
	static char *p[N], *q[N];
	char *stale = NULL;

	for (int i = 0; i < N; i++)
		p[i] = malloc(48);
	for (int i = 0; i < N; i++)
		free(p[i]);
	malloc_trim(0);
	for (int i = 0; i < N; i++)
		q[i] = malloc(112);
	for (int i = 0; i < N && !stale; i++)
		for (int k = 0; k < N && !stale; k++)
			if (p[i] > q[k] && p[i] < q[k] + 112)
				stale = p[i];
	free(stale);
	if (!stale)
		printf("# no page came back\n");
}

static void realloc_freed_small(void)
{
	v = malloc(100);
	free(v);
	v = realloc(v, 5000);
}

static void realloc_interior(void)
{
	v = malloc(100);
	v = realloc(v + 16, 90);
}

static void realloc_interior_large(void)
{
	v = malloc(3000000);
	v = realloc(v + 16, 6000000);
}

static void of_stack(void)
{
	char buf[64];

	v = buf;
	free(v);
}

static void of_static(void)
{
	static char buf[64];

	v = buf;
	free(v);
}

static void of_nonsense(void)
{
	v = (char *)0x123456789000;
	free(v);
}

static void of_kernel_half(void)
{
	v = (char *)0xffff888000000000;
	free(v);
}

static void realloc_freed(void)
{
	v = malloc(100000);
	free(v);
	v = realloc(v, 50);
}

static void realloc_static(void)
{
	static char buf[64];

	v = buf;
	v = realloc(v, 200);
}

static void overflow_by_one(void)
{
	v = malloc(100);
	v[100] = 1;
	free(v);
}

static void overflow_then_realloc(void)
{
	v = malloc(100);
	v[100] = 1;
	v = realloc(v, 90);
}

static void overflow_class_size(void)
{
	v = malloc(64);
	v[64] = 0;
	free(v);
}

static void overflow_large(void)
{
	v = malloc(50000);
	v[50001] = 1;
	free(v);
}

static void overflow_whole_pages(void)
{
	v = malloc(65536);
	v[65536] ^= 1;
	free(v);
}

/* What lies there was never handed out. */
static void overflow_far(void)
{
	v = malloc(8);
	v[39] ^= 1;
	free(v);
}

static void underflow(void)
{
	v = malloc(100);
	v = malloc(100);
	v[-1] ^= 1;
	free(v);
}

static void write_after_free_beside(void)
{
	char *volatile other = malloc(64);

	v = malloc(64);
	free(v);
	v[5] = 9;
	free(other);
}

static void write_after_free(void)
{
	void *p[600];

	v = malloc(64);
	free(v);
	v[5] = 9;
	for (int i = 0; i < 600; i++)
		p[i] = malloc(64);
	v = p[0];
}

/* No object of its span is handed out again: it is found when the span goes. */
static void write_after_last_free(void)
{
	void *p[600];

	for (int i = 0; i < 600; i++)
		p[i] = malloc(1000);
	v = p[300];
	free(p[300]);
	v[999] = 1;
	for (int i = 0; i < 600; i++)
		if (i != 300)
			free(p[i]);
}

static void delete_wrong_size(void)
{
	v = _Znwm(100);
	_ZdlPvm(v, 96);
}

static void delete_wrong_align(void)
{
	v = _ZnwmSt11align_val_t(100, 16);
	while ((uintptr_t)v % 4096 == 0) /* the first of its page is aligned to more */
		v = _ZnwmSt11align_val_t(100, 16);
	_ZdlPvmSt11align_val_t(v, 100, 4096);
}

static void new_free(void)
{
	free(_Znwm(100));
}

static void new_realloc(void)
{
	v = realloc(_Znwm(100), 90);
}

static void new_array_delete(void)
{
	_ZdlPv(_Znam(100));
}

static void new_delete_array(void)
{
	_ZdaPv(_Znwm(100000));
}

static void malloc_delete(void)
{
	_ZdlPv(malloc(50000000));
}

static void free_wrong_size(void)
{
	v = malloc(100);
	free_sized(v, 99);
}

static void wrong_size(void)
{
	v = malloc(100);
	free_sized(v, 5000);
}

static void overflow_kept(void)
{
	v = malloc(100);
	v[100] = 1;
}

static void overflow_large_kept(void)
{
	v = malloc(300000);
	v[300000] = 1;
}

static void overflow_huge_kept(void)
{
	v = malloc(50000000);
	v[50000000] = 1;
}

static void write_after_free_kept(void)
{
	v = malloc(3000);
	free(v);
	v[5] = 9;
}

static void write_after_free_large(void)
{
	v = malloc(100000);
	free(v);
	v[50000] = 1;
}

#define HUGE_BYTES 50000000u

/* Behind the last page of it, in a mapping that has another one before and behind. */
static void overflow_huge(void)
{
	char *before = malloc(HUGE_BYTES), *behind;

	v = malloc(HUGE_BYTES);
	behind = malloc(HUGE_BYTES);
	v = realloc(v, 2 * HUGE_BYTES);
	v[(2 * HUGE_BYTES + 8191) / 8192 * 8192] ^= 1;
	free(before);
	free(behind);
}

static void write_after_free_huge(void)
{
	v = malloc(HUGE_BYTES);
	free(v);
	v[50000] = 1;
}

/* These are seen at the end of the program, or stopped by the processor. */
static const struct {
	const char *name, *options, *words;
	void (*run)(void);
	int signal;
} ends[] = {
	{ "past a block that is never freed, at exit", "audit=1", "past the end", overflow_kept, SIGABRT },
	{ "past a large block that is never freed, at exit", "audit=1", "past the end", overflow_large_kept, SIGABRT },
	{ "past a huge block that is never freed, at exit", "audit=1", "past the end", overflow_huge_kept, SIGABRT },
	{ "past a sampled block that is never freed, at exit", "audit=1,sample=1", "past the end", overflow_kept, SIGABRT },
	{ "write to a block after its free, at exit", "audit=1", "freed block", write_after_free_kept, SIGABRT },
	{ "past a large block, guarded", "guard=1", "", overflow_whole_pages, SIGSEGV },
	{ "past a sampled block, guarded", "guard=1,sample=1", "", overflow_far, SIGSEGV },
	{ "write to a large block after its free, guarded", "guard=1", "", write_after_free_large, SIGSEGV },
	{ "past a huge block that has grown, guarded", "guard=1", "", overflow_huge, SIGSEGV },
	{ "write to a huge block after its free, guarded", "guard=1", "", write_after_free_huge, SIGSEGV },
};
#define N_ENDS (sizeof(ends) / sizeof(ends[0]))

/* An option that is not understood is told, and the others hold. */
static const struct {
	const char *options, *told;
	uint32_t bits;
} settings[] = {
	{ "audit", NULL, MW_OPT_AUDIT },
	{ "audit=on,guard", NULL, MW_OPT_AUDIT | MW_OPT_GUARD },
	{ "audit=1,audit=off,zero=1", NULL, MW_OPT_ZERO },
	{ "audit=maybe,zero", "audit=maybe: no option", MW_OPT_ZERO },
	{ "sample=64k,retain=1G,purge=free,background=off,,", NULL, 0 },
	{ "sample=12x", "sample=12x: no option", 0 },
	{ "sample=", "sample=: no option", 0 },
	{ "nonsense,audit", "nonsense: no option", MW_OPT_AUDIT },
	{ "\033[31m", "?[31m: no option", 0 },
};
#define N_SETTINGS (sizeof(settings) / sizeof(settings[0]))

static int has_bits(uint32_t want)
{
	const struct mw_region *region = dlsym(RTLD_DEFAULT, "mw_alloc_region");
	uint32_t all = MW_OPT_AUDIT | MW_OPT_ZERO | MW_OPT_RANDOM | MW_OPT_GUARD;

	v = malloc(1);
	return (region->options & all) == want;
}

/* What free() writes into a block, written by the program. 0: that is no error, and malloc clears it. */
static int looks_free(void)
{
	int audited = !!strstr(getenv("MEMWHY_MALLOC"), "audit");

	for (size_t n = 16; n <= 32768; n *= 2) {
		uintptr_t *p = malloc(n);

		*p = ~(uintptr_t)p;
		free(p);
		p = malloc(n);
		if (*p == ~(uintptr_t)p && !audited)
			return 1;
		free(p);
		p = malloc(n);
		*p = ~(uintptr_t)p;
		free(realloc(p, n + n / 4));
	}
	return 0;
}

static int shifting;

/* The end of the block moves within the object. */
static void *shift(void *p)
{
	while (__atomic_load_n(&shifting, __ATOMIC_RELAXED)) {
		p = memset(realloc(p, 250), 1, 250);
		p = realloc(p, 180);
	}
	return p;
}

/* Neighbours of a block come and go while another thread resizes it. 0: that is no error. */
static int resized_beside(void)
{
	enum { N = 9, MIDDLE = N / 2 };
	char *p[N];
	pthread_t t;
	void *end;

	for (int i = 0; i < N; i++)
		p[i] = malloc(250);
	shifting = 1;
	pthread_create(&t, NULL, shift, p[MIDDLE]);
	for (int i = 0; i < 500000; i++)
		for (int k = -1; k <= 1; k += 2) {
			free(p[MIDDLE + k]);
			p[MIDDLE + k] = malloc(250);
		}
	__atomic_store_n(&shifting, 0, __ATOMIC_RELAXED);
	pthread_join(t, &end);
	free(end);
	return 0;
}

static int (*const innocent[])(void) = { looks_free, resized_beside };
static const char *const innocent_names[] = { "a block that looks freed is freed", "a block is resized beside one that is freed" };

static const struct {
	const char *name, *options, *words;
	void (*run)(void);
	enum mw_error_kind kind;
} cases[] = {
	{ "double free", "", "double free", double_free, MW_ERROR_DOUBLE_FREE },
	{ "double free after traffic", "", "double free", double_free_later, MW_ERROR_DOUBLE_FREE },
	{ "double free, another between (audit)", "audit=1", "double free", double_free_interleaved,
	  MW_ERROR_DOUBLE_FREE },
	{ "double free, another between", "", "double free", double_free_interleaved,
	  MW_ERROR_DOUBLE_FREE },
	{ "double free, a hundred between", "", "double free", double_free_long_ago, MW_ERROR_DOUBLE_FREE },
	{ "double free, written to between", "", "double free", double_free_written, MW_ERROR_DOUBLE_FREE },
	{ "double free, freed by another thread", "", "double free", double_free_elsewhere, MW_ERROR_DOUBLE_FREE },
	{ "double free, thousands between", "", "double free", double_free_passed_on, MW_ERROR_DOUBLE_FREE },
	{ "double free of a large block", "", "", double_free_large, MW_ERROR_DOUBLE_FREE },
	{ "double free of a huge block", "", "double free", double_free_huge, MW_ERROR_DOUBLE_FREE },
	{ "a huge block that realloc moved", "", "double free", free_moved_huge, MW_ERROR_DOUBLE_FREE },
	{ "a huge block that was kept and moved", "", "double free", free_moved_kept, MW_ERROR_DOUBLE_FREE },
	{ "interior pointer", "", "middle of a block", interior_small, MW_ERROR_INTERIOR_FREE },
	{ "odd interior pointer", "", "middle of a block", interior_byte, MW_ERROR_INTERIOR_FREE },
	{ "interior pointer, large", "", "middle of a block", interior_large, MW_ERROR_INTERIOR_FREE },
	{ "interior pointer, huge", "", "middle of a block", interior_huge, MW_ERROR_INTERIOR_FREE },
	{ "interior pointer, of an object of several pages", "sample=0", "4096 bytes into an object of class", interior_of_pages,
	  MW_ERROR_INTERIOR_FREE },
	{ "interior pointer, at a page of an object", "sample=0", "8192 bytes into an object of class", interior_at_page,
	  MW_ERROR_INTERIOR_FREE },
	{ "interior pointer, at a page of an object (audit)", "audit=1", "8192 bytes into an object of class", interior_at_page,
	  MW_ERROR_INTERIOR_FREE },
	{ "place of an object that was never given", "sample=0", "did not give", never_given, MW_ERROR_FOREIGN_FREE },
	{ "place of an object that was never given (audit)", "audit=1", "did not give", never_given, MW_ERROR_FOREIGN_FREE },
	{ "double free by two threads", "", "double free", double_free_threads, MW_ERROR_DOUBLE_FREE },
	{ "double free by two threads (audit)", "audit=1", "double free", double_free_threads, MW_ERROR_DOUBLE_FREE },
	{ "double free, other objects where it was", "sample=0", "bytes into an object of class", double_free_moved, MW_ERROR_INTERIOR_FREE },
	{ "realloc of a freed object", "", "double free", realloc_freed_small, MW_ERROR_DOUBLE_FREE },
	{ "realloc of a freed object (audit)", "audit=1", "double free", realloc_freed_small, MW_ERROR_DOUBLE_FREE },
	{ "realloc of an interior pointer", "", "middle of a block", realloc_interior, MW_ERROR_INTERIOR_FREE },
	{ "realloc of an interior pointer (audit)", "audit=1", "middle of a block", realloc_interior, MW_ERROR_INTERIOR_FREE },
	{ "realloc of an interior pointer, large", "", "middle of a block", realloc_interior_large, MW_ERROR_INTERIOR_FREE },
	{ "new, then free", "audit=1", "from new, given to free", new_free, MW_ERROR_MISMATCH },
	{ "new, then realloc", "audit=1", "from new, given to free or realloc", new_realloc, MW_ERROR_MISMATCH },
	{ "new[], then delete", "audit=1", "from new[], given to delete", new_array_delete, MW_ERROR_MISMATCH },
	{ "new[], then delete, of a sampled block", "hard=1,sample=1", "from new[], given to delete", new_array_delete, MW_ERROR_MISMATCH },
	{ "new, then delete[], large", "hard=1", "from new, given to delete[]", new_delete_array, MW_ERROR_MISMATCH },
	{ "malloc, then delete, huge", "audit=1", "from malloc, given to delete", malloc_delete, MW_ERROR_MISMATCH },
	{ "pointer to the stack", "", "did not give", of_stack, MW_ERROR_FOREIGN_FREE },
	{ "pointer to static data", "", "did not give", of_static, MW_ERROR_FOREIGN_FREE },
	{ "nonsense", "", "did not give", of_nonsense, MW_ERROR_FOREIGN_FREE },
	{ "address of the kernel's half", "", "did not give", of_kernel_half, MW_ERROR_FOREIGN_FREE },
	{ "realloc of a freed block", "", "", realloc_freed, MW_ERROR_DOUBLE_FREE },
	{ "realloc of static data", "", "did not give", realloc_static, MW_ERROR_FOREIGN_FREE },
	{ "one byte too far", "audit=1", "past the end", overflow_by_one, MW_ERROR_OVERFLOW },
	{ "one byte too far, then realloc in place", "audit=1", "past the end", overflow_then_realloc, MW_ERROR_OVERFLOW },
	{ "one byte too far of a sampled block, then realloc", "audit=1,sample=1", "past the end", overflow_then_realloc,
	  MW_ERROR_OVERFLOW },
	{ "past a block of exactly a class", "audit=1", "past the end", overflow_class_size,
	  MW_ERROR_OVERFLOW },
	{ "past a large block", "audit=1", "past the end", overflow_large, MW_ERROR_OVERFLOW },
	{ "past a large block of whole pages", "audit=1", "past the end", overflow_whole_pages, MW_ERROR_OVERFLOW },
	{ "a few blocks too far", "audit=1", "freed block", overflow_far, MW_ERROR_WRITE_AFTER_FREE },
	{ "one byte before a block", "audit=1", "past the end", underflow, MW_ERROR_OVERFLOW },
	{ "write after free, seen from beside", "audit=1", "freed block", write_after_free_beside, MW_ERROR_WRITE_AFTER_FREE },
	{ "write after free", "audit=1", "freed block", write_after_free, MW_ERROR_WRITE_AFTER_FREE },
	{ "write after free (hard)", "hard=1", "freed block", write_after_free, MW_ERROR_WRITE_AFTER_FREE },
	{ "write after the last free of a span", "audit=1", "freed block", write_after_last_free, MW_ERROR_WRITE_AFTER_FREE },
	{ "write after the last free of a span (hard)", "hard=1", "freed block", write_after_last_free, MW_ERROR_WRITE_AFTER_FREE },
	{ "one byte too far (hard)", "hard=1", "past the end", overflow_by_one, MW_ERROR_OVERFLOW },
	{ "free_sized, one byte less", "audit=1", "another size, 99, not 100", free_wrong_size, MW_ERROR_MISMATCH },
	{ "sized delete, four bytes less", "audit=1", "another size, 96, not 100", delete_wrong_size, MW_ERROR_MISMATCH },
	{ "aligned delete, another alignment", "audit=1", "alignment", delete_wrong_align, MW_ERROR_MISMATCH },
	{ "interior pointer of a sampled block", "sample=1", "middle of a block", interior_small, MW_ERROR_INTERIOR_FREE },
	{ "past a sampled block", "audit=1,sample=1", "past the end", overflow_by_one, MW_ERROR_OVERFLOW },
	{ "wrong size", "", "another size", wrong_size, MW_ERROR_MISMATCH },
	{ "double free of a sampled block", "sample=1", "", double_free, MW_ERROR_DOUBLE_FREE },
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

static int child(int i, const char *options, int count, char *text, size_t size)
{
	int out[2], status = -1;
	ssize_t n, got = 0;
	char arg[16], env[128];
	pid_t pid;

	if (pipe(out))
		return -1;
	snprintf(arg, sizeof(arg), "%d", i);
	/* an error of a sampled block may read otherwise, or not be seen: whether one is may not be left to chance */
	snprintf(env, sizeof(env), "%s%s%s", options, strstr(options, "sample=") ? "" : ",sample=0", count ? ",errors=count" : "");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], 2);
		close(out[0]);
		setenv("MEMWHY_MALLOC", env, 1);
		execl("/proc/self/exe", "errors", arg, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	while ((n = read(out[0], text + got, size - 1 - (size_t)got)) > 0)
		got += n;
	text[got] = 0;
	close(out[0]);
	waitpid(pid, &status, 0);
	return status;
}

/* Number -1: with errors=count the first eight of a kind are named. */
static int many_errors(void)
{
	const struct mw_region *region = dlsym(RTLD_DEFAULT, "mw_alloc_region");
	char *p = malloc(100);

	for (int i = 0; i < 20; i++)
		free(p + 16);
	return region->n_errors[MW_ERROR_INTERIOR_FREE] != 20;
}

static unsigned times_said(const char *text, const char *words)
{
	unsigned n = 0;

	while ((text = strstr(text, words))) {
		text++;
		n++;
	}
	return n;
}

/* 0: errors of the right kind were counted, and no other. */
static int run_case(int i)
{
	const struct mw_region *region = dlsym(RTLD_DEFAULT, "mw_alloc_region");
	uint64_t before[MW_N_ERRORS];
	void *p;

	memcpy(before, region->n_errors, sizeof(before));
	cases[i].run();
	p = malloc(100); /* it goes on */
	memset(p, 1, 100);
	free(p);
	for (int k = 0; k < MW_N_ERRORS; k++)
		if ((region->n_errors[k] != before[k]) != (k == (int)cases[i].kind))
			return 3;
	return 0;
}

/*
 * What told of a sampled block tells who allocated it: a place in this program. The last is
 * the C library's caller of main, not this program's start.
 */
static int has_stack(const char *text, const char *options)
{
	const char *frame = strstr(text, "  allocated at 0x"), *last = frame;

	if (!strstr(options, "sample=1") || !strstr(text, "in a block of"))
		return 1;
	while (last && strstr(last + 1, "  allocated at 0x"))
		last = strstr(last + 1, "  allocated at 0x");
#ifndef __x86_64__
	return frame && strstr(frame, "errors+0x");
#endif
	return frame && strstr(frame, "errors+0x") && !strstr(last, "errors+0x");
}

static void judge(int passed, const char *name, const char *what, int status, const char *text)
{
	if (!ok(passed, "%s%s", name, what))
		printf("# status %x, said: %s\n", status, text);
}

int main(int argc, char **argv)
{
	static char text[65536];

	if (argc > 1 && atoi(argv[1]) == -1)
		return many_errors();
	if (argc > 1 && atoi(argv[1]) >= (int)(N_CASES + N_ENDS + N_SETTINGS))
		return innocent[atoi(argv[1]) - (int)(N_CASES + N_ENDS + N_SETTINGS)]();
	if (argc > 1 && atoi(argv[1]) >= (int)(N_CASES + N_ENDS))
		return !has_bits(settings[atoi(argv[1]) - (int)(N_CASES + N_ENDS)].bits);
	if (argc > 1 && atoi(argv[1]) >= (int)N_CASES)
		return ends[atoi(argv[1]) - (int)N_CASES].run(), 0;
	if (argc > 1)
		return run_case(atoi(argv[1]));
	for (size_t i = 0; i < N_SETTINGS; i++) {
		int status = child((int)(N_CASES + N_ENDS + i), settings[i].options, 0, text, sizeof(text));

		judge(WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
			      (settings[i].told ? !!strstr(text, settings[i].told) : !*text),
		      "options: ", settings[i].told ? settings[i].told : settings[i].options, status, text);
	}
	for (int i = 0; i < 4; i++) {
		int status = child((int)(N_CASES + N_ENDS + N_SETTINGS) + i / 2, i % 2 ? "audit=1" : "", 0, text, sizeof(text));

		judge(WIFEXITED(status) && WEXITSTATUS(status) == 0 && !*text, innocent_names[i / 2], i % 2 ? " (audit)" : "",
		      status, text);
	}
	for (size_t i = 0; i < N_ENDS; i++) {
		int status = child((int)(N_CASES + i), ends[i].options, 0, text, sizeof(text));

		judge(WIFSIGNALED(status) && WTERMSIG(status) == ends[i].signal && strstr(text, ends[i].words), ends[i].name,
		      "", status, text);
	}
	for (size_t i = 0; i < N_CASES; i++) {
		int status = child((int)i, cases[i].options, 0, text, sizeof(text));

		judge(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(text, "memwhy-malloc: 0x") &&
			      strstr(text, cases[i].words) && has_stack(text, cases[i].options),
		      cases[i].name, " is fatal and named", status, text);
		status = child((int)i, cases[i].options, 1, text, sizeof(text));
		judge(WIFEXITED(status) && WEXITSTATUS(status) == 0 && strstr(text, "memwhy-malloc: 0x") &&
			      strstr(text, cases[i].words) && has_stack(text, cases[i].options),
		      cases[i].name, " is named, counted and survived", status, text);
	}
	int ended = child(-1, "", 1, text, sizeof(text));

	judge(ended == 0 && times_said(text, "middle of a block") == 8 && times_said(text, "only counted") == 1, "of twenty errors of a kind",
	      " the first eight are named", ended, text);
	for (size_t i = 0; i < N_CASES; i++) {
		int status;

		if (cases[i].run != new_array_delete)
			continue;
		status = child((int)i, "audit=1,mismatch=off", 0, text, sizeof(text));
		judge(WIFEXITED(status) && !*text, cases[i].name, " is let pass with mismatch=off", status, text);
	}
	return tap_done();
}
