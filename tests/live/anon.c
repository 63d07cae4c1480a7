/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private anonymous memory in every state that a program can bring about. */
#include "truth.h"
#include <signal.h>

static void untouched(void)
{
	char *p = anon_island(SIZE);

	say("anon-untouched", p, SIZE, (struct expect){
		.untouched = SIZE, .causes = {{"N21", SIZE}}});
	p = island(SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	say("anon-noreserve", p, SIZE, (struct expect){
		.untouched = SIZE, .causes = {{"N21", SIZE}}});
}

/* Read faults map the shared zero page: present, and yet not in RSS. */
static void only_read(void)
{
	char *p = anon_island(SIZE);

	madvise(p, SIZE, MADV_NOHUGEPAGE);
	read_pages(p, 16);
	say("anon-only-read", p, SIZE, (struct expect){
		.zero = SIZE, .causes = {{"N4", SIZE}}});

	p = anon_island(SIZE);
	read_pages(p, 8);
	write_pages(p, 4);
	say("anon-read-then-partly-written", p, SIZE, (struct expect){
		.resident = 4 * PAGE, .anonymous = 4 * PAGE, .zero = 4 * PAGE,
		.untouched = 8 * PAGE,
		.causes = {{"R1", 4 * PAGE}, {"N4", 4 * PAGE}, {"N21", 8 * PAGE}}});
}

static void say_written(const char *name, char *p)
{
	if (!p) {
		say_skip(name, "mmap: %s", strerror(errno));
		return;
	}
	write_pages(p, 16);
	say(name, p, SIZE, (struct expect){
		.resident = SIZE, .anonymous = SIZE, .causes = {{"R1", SIZE}}});
}

static void written(void)
{
	char *p = anon_island(SIZE);

	say_written("anon-written", p);
	p = anon_island(SIZE);
	madvise(p, SIZE, MADV_WIPEONFORK);
	say_written("anon-wipeonfork", p);

	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	say_written("dev-zero-private", island(SIZE, RW, MAP_PRIVATE, fd));
	close(fd);
}

/* Two neighbours that the kernel merges: one mapping, two histories. */
static void merged(void)
{
	char *p = moated(2 * SIZE, PAGE, PROT_NONE);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	mmap(p, SIZE, RW, flags, -1, 0);
	mmap(p + SIZE, SIZE, RW, flags, -1, 0);
	write_pages(p, 16);
	say("anon-merged-neighbours", p, 2 * SIZE, (struct expect){
		.resident = SIZE, .anonymous = SIZE, .untouched = SIZE,
		.causes = {{"R1", SIZE}, {"N21", SIZE}}});
}

static void every_other_page(void)
{
	char *p = anon_island(SIZE);

	for (size_t i = 0; i < 16; i += 2)
		write_pages(p + i * PAGE, 1);
	say("anon-every-other-page", p, SIZE, (struct expect){
		.resident = SIZE / 2, .anonymous = SIZE / 2, .untouched = SIZE / 2,
		.causes = {{"R1", SIZE / 2}, {"N21", SIZE / 2}}});
}

static char *huge_island(size_t size)
{
	char *p = moated(size, 2 * MIB, PROT_NONE);

	p = mmap(p, size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

static void huge_zero(void)
{
	char *p = huge_island(4 * MIB);

	read_pages(p, 1024);
	say("huge-zero-page", p, 4 * MIB, (struct expect){
		.zero = 4 * MIB, .huge = UNSAID, .causes = {{"N4", 4 * MIB}}});
}

static void huge_one_byte(void)
{
	char *p = huge_island(2 * MIB);

	write_pages(p, 1);
	say("thp-one-byte", p, 2 * MIB, (struct expect){
		.resident = 2 * MIB, .anonymous = 2 * MIB, .huge = 2 * MIB,
		.causes = {{"R1", 2 * MIB}}});
}

/* A hole punched into a huge page: the rest stays, mapped by small entries. */
static void huge_split(void)
{
	char *p = huge_island(2 * MIB);

	write_pages(p, 1);
	madvise(p + MIB, SIZE, MADV_DONTNEED);
	madvise(p, 2 * MIB, MADV_NOHUGEPAGE);	/* khugepaged would mend it */
	say("thp-split", p, 2 * MIB, (struct expect){
		.resident = 2 * MIB - SIZE, .anonymous = 2 * MIB - SIZE,
		.untouched = SIZE,
		.causes = {{"R1", 2 * MIB - SIZE}, {"N21", SIZE}}});
}

static void dontneed(void)
{
	char *p = anon_island(SIZE);

	write_pages(p, 16);
	madvise(p, SIZE, MADV_DONTNEED);
	say("anon-dontneed", p, SIZE, (struct expect){
		.untouched = SIZE, .causes = {{"N21", SIZE}}});
}

/*
 * MADV_FREE marks pages in batches per CPU. The next MADV_FREE on the same CPU
 * drains the batch, so one more call on other memory settles the first.
 */
static bool lazily_freed(const char *p)
{
	char *other = anon_island(SIZE);

	for (int tries = 0; tries < 50; tries++) {
		write_pages(other, 16);
		madvise(other, SIZE, MADV_FREE);
		if (see((uintptr_t)p, (uintptr_t)p + SIZE).lazyfree == SIZE)
			return true;
		usleep(10000);
	}
	return false;
}

static void lazyfree(void)
{
	char *p = anon_island(SIZE);

	write_pages(p, 16);
	madvise(p, SIZE, MADV_FREE);
	if (!lazily_freed(p)) {
		say_skip("anon-lazyfree", "the kernel did not mark all 16 pages in time");
		return;
	}
	say("anon-lazyfree", p, SIZE, (struct expect){
		.resident = SIZE, .anonymous = SIZE, .lazyfree = SIZE,
		.causes = {{"R1a", SIZE}}});
}

static void no_access(void)
{
	char *p = island(SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	say("prot-none", p, SIZE, (struct expect){
		.untouched = SIZE, .causes = {{"N9", SIZE}}});
	p = moated(SIZE, PAGE, PROT_READ);
	p = mmap(p, SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	write_pages(p, 16);
	mprotect(p, SIZE, PROT_NONE);
	say("written-then-prot-none", p, SIZE, (struct expect){
		.resident = SIZE, .anonymous = SIZE, .causes = {{"R1", SIZE}}});

	p = moated(SIZE, PAGE, PROT_READ);
	p = mmap(p, SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	write_pages(p, 4);
	mprotect(p, SIZE, PROT_NONE);
	say("partly-written-then-prot-none", p, SIZE, (struct expect){
		.resident = 4 * PAGE, .anonymous = 4 * PAGE, .untouched = 12 * PAGE,
		.causes = {{"R1", 4 * PAGE}, {"N9", 12 * PAGE}}});
}

static void locked(void)
{
	char *p = anon_island(SIZE);

	if (mlock(p, SIZE))
		say_skip("mlock", "mlock: %s", strerror(errno));
	else
		say("mlock", p, SIZE, (struct expect){
			.resident = SIZE, .anonymous = SIZE, .locked = SIZE,
			.causes = {{"R1", SIZE}}});
	p = anon_island(SIZE);
	if (mlock2(p, SIZE, MLOCK_ONFAULT)) {
		say_skip("mlock-onfault", "mlock2: %s", strerror(errno));
		return;
	}
	write_pages(p, 4);
	say("mlock-onfault", p, SIZE, (struct expect){
		.resident = 4 * PAGE, .anonymous = 4 * PAGE, .untouched = 12 * PAGE,
		.locked = 4 * PAGE,
		.causes = {{"R1", 4 * PAGE}, {"N21", 12 * PAGE}}});
}

/* Counted in VmStk by the kernel, and nobody's stack. */
static void grows_down(void)
{
	char *p = island(SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1);

	if (!p)
		say_skip("growsdown", "mmap: %s", strerror(errno));
	else
		say("growsdown", p, SIZE, (struct expect){
			.untouched = SIZE, .causes = {{"N21", SIZE}}});
}

static void executable(void)
{
	char *p = island(SIZE, RW | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (!p) {
		say_skip("jit-rwx", "mmap: %s", strerror(errno));
		return;
	}
	write_pages(p, 2);
	say("jit-rwx", p, SIZE, (struct expect){
		.resident = 2 * PAGE, .anonymous = 2 * PAGE, .untouched = 14 * PAGE,
		.causes = {{"R1", 2 * PAGE}, {"N20|N21", 14 * PAGE}}});

	p = anon_island(SIZE);
	write_pages(p, 3);
	mprotect(p, SIZE, PROT_READ | PROT_EXEC);
	say("jit-written-then-rx", p, SIZE, (struct expect){
		.resident = 3 * PAGE, .anonymous = 3 * PAGE, .untouched = 13 * PAGE,
		.causes = {{"R1", 3 * PAGE}, {"N20|N21", 13 * PAGE}}});
}

/*
 * Written, then shared with a child that has copied four pages of it. Both have
 * all of it in RSS; twelve pages are there only once.
 */
static void forked(void)
{
	char *p = anon_island(SIZE), c = 0;
	int tell[2];

	write_pages(p, 16);
	if (pipe(tell))
		return;

	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		write_pages(p, 4);
		if (write(tell[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (pid < 0 || read(tell[0], &c, 1) != 1) {
		say_skip("anon-forked", "fork: %s", strerror(errno));
		return;
	}
	close(tell[0]);
	close(tell[1]);
	say("anon-forked", p, SIZE, (struct expect){
		.resident = SIZE, .anonymous = SIZE, .causes = {{"R1", SIZE}}});
}

int main(void)
{
	begin_with_huge_pages();
	forked();		/* first: the child shares nothing else */
	untouched();
	only_read();
	written();
	merged();
	every_other_page();
	huge_zero();
	huge_one_byte();
	huge_split();
	dontneed();
	lazyfree();
	no_access();
	locked();
	grows_down();
	executable();
	hold();
}
