/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * region.c - the root of everything, the ELF note that leads to it, and the start.
 *
 * The note holds the distance from itself to the region. Both are in the same image,
 * so the distance is fixed when the library is linked and needs no relocation: a
 * reader finds the region with the file's program headers and one address.
 *
 * The heap starts at the first allocation, whoever makes it: constructors of other
 * libraries, or the loader, may come before ours.
 */
#include "internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* protected: a program that links it directly would get a copy of it, so that fails */
__attribute__((visibility("protected"))) struct mw_region mw_alloc_region = { .magic = MW_ABI_MAGIC,
					       .major = MW_ABI_MAJOR,
					       .minor = MW_ABI_MINOR,
					       .size = sizeof(struct mw_region) };

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
__asm__(".pushsection .note.memwhy,\"a\",@note\n"
	"	.balign 4\n"
	"	.long 2f - 1f\n"
	"	.long 4f - 3f\n"
	"	.long " TEXT(MW_ABI_NOTE_TYPE) "\n"
	"1:	.asciz \"" MW_ABI_NOTE_NAME "\"\n"
	"2:	.balign 4\n"
	"3:	.long " TEXT(MW_ABI_MAJOR) "\n"
	"	.long " TEXT(MW_ABI_MINOR) "\n"
	"	.quad mw__region_here - .\n"
	"4:	.balign 4\n"
	".popsection\n");

/* a name that stays inside the image, so that the distance is known to the linker */
extern struct mw_region mw__region_here
	__attribute__((alias("mw_alloc_region"), visibility("hidden")));

static struct mw_event events[MW_N_EVENTS];
TOGETHER static uint32_t start_word; /* 0 not started, 1 somebody is at it, 2 done */

static struct mw_abi_table table(const void *addr, uint64_t count, uint64_t stride)
{
	return (struct mw_abi_table){ (uintptr_t)addr, count, stride };
}

static void fill_tables(void)
{
	struct mw_abi_table *t = region.tables;

	t[MW_TABLE_CLASSES] = table(mw__classes, MW_N_CLASSES, sizeof(mw__classes[0]));
	t[MW_TABLE_BUCKETS] = table(mw__bucket_class, MW_N_BUCKETS, 1);
	t[MW_TABLE_MCENTRALS] = table(mw__centrals, MW_N_CLASSES, sizeof(mw__centrals[0]));
	t[MW_TABLE_EVENTS] = table(events, MW_N_EVENTS, sizeof(events[0]));
	t[MW_TABLE_KEPT] = table(mw__kept, MW_N_KEPT, sizeof(mw__kept[0]));
	t[MW_TABLE_META].addr = (uintptr_t)mw__meta_ranges;
	t[MW_TABLE_META].stride = sizeof(mw__meta_ranges[0]);
	region.n_tables = MW_N_TABLES;
	region.sizeof_mspan = sizeof(mspan);
	region.sizeof_arena = sizeof(heap_arena);
	region.sizeof_mcache = sizeof(mcache);
}

/* --- fork ------------------------------------------------------------------------------ */

/* glibc's lock of the list of streams; a thread may take it again while it has it. */
extern void _IO_list_lock(void) __attribute__((weak));
extern void _IO_list_unlock(void) __attribute__((weak));
extern void _IO_list_resetlock(void) __attribute__((weak));

/* Of a thread inside fork(). */
static __thread uint64_t signals_before __attribute__((tls_model("initial-exec")));
static __thread bool has_streams __attribute__((tls_model("initial-exec")));

/*
 * Before the locks: no handler of a signal runs while they are held, since it might fork too.
 * And the list of streams is locked, as fork() itself does later on: who has it may wait for
 * a stream, and who has that, as getline() does, for memory.
 */
static void prepare_thread(void)
{
	uint64_t mask = mw__os_block_signals();

	has_streams = _IO_list_lock && !mw__is_alone();
	if (has_streams)
		_IO_list_lock();
	signals_before = mask;
}

static void restore_thread(bool child)
{
	if (has_streams)
		child ? _IO_list_resetlock() : _IO_list_unlock();
	mw__os_restore_signals(signals_before);
}

static void fork_prepare(void)
{
	prepare_thread();
	mw__lock_for_fork(&mw__registry_lock);
	for (unsigned c = 1; c < MW_N_CLASSES; c++)
		mw__lock_for_fork(&mw__centrals[c].lock);
	mw__private_lock_for_fork();
	mw__lock_for_fork(&mw__sample_lock);
	mw__lock_for_fork(&heap.lock);
	mw__lock_for_fork(&mw__meta_lock);
	mw__fork_owner_set(true);
}

static void unlock_all(bool child)
{
	mw__fork_owner_set(false);
	mw__lock_after_fork(&mw__meta_lock, child);
	mw__lock_after_fork(&heap.lock, child);
	mw__lock_after_fork(&mw__sample_lock, child);
	mw__private_after_fork(child);
	for (unsigned c = MW_N_CLASSES; --c > 0;)
		mw__lock_after_fork(&mw__centrals[c].lock, child);
	mw__lock_after_fork(&mw__registry_lock, child);
}

static void fork_parent(void)
{
	unlock_all(false);
	restore_thread(false);
}

static void child_begins(void)
{
	int parent = region.pid;

	region.pid = mw__os_pid();
	mw__background_after_fork();
	if (mw__in_section())
		return; /* fork came from a signal handler amid an allocation */
	mw__heap_lock();
	mw__event(MW_EVENT_FORK, (uint64_t)parent, 0, 0);
	mw__heap_unlock();
	mw__heap_lock();
	mw__scavenge_after_fork();
	mw__heap_unlock();
	mw__mcache_reclaim_orphans();
}

static void fork_child(void)
{
	unlock_all(true);
	child_begins();
	restore_thread(true);
}

/* --- the start -------------------------------------------------------------------------- */

static void start(void)
{
	mw__options_read();
	region.options = mw__options.bits;
	region.sample_interval = mw__options.sample;
	region.retain_bytes = mw__options.retain;
	region.pid = mw__os_pid();
	fill_tables();
	mw__thp_init();
	__atomic_store_n(&region.state, MW_REGION_READY, __ATOMIC_RELEASE);
}

/* Handlers run last before fork and first after it when they are registered first. */
static void after_start(void)
{
	pthread_atfork(fork_prepare, fork_parent, fork_child);
	if (mw__options.report)
		atexit(mw__report_at_exit);
	if (option(MW_OPT_AUDIT))
		atexit(mw__audit_at_exit);
}

bool mw__heap_init(void)
{
	uint32_t zero = 0;

	while (__atomic_load_n(&start_word, __ATOMIC_ACQUIRE) != 2) {
		if (!__atomic_compare_exchange_n(&start_word, &zero, 1, false, __ATOMIC_ACQUIRE,
						 __ATOMIC_RELAXED)) {
			zero = 0;
			mw__os_yield();
			continue;
		}
		start();
		__atomic_store_n(&start_word, 2, __ATOMIC_RELEASE);
		after_start();
	}
	return true;
}
