/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Swapped memory. Needs a swap device; every row says so when there is none. */
#include "truth.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

/* Pages go out one batch at a time and may be busy: ask until @bytes are out. */
static bool page_out(char *p, size_t size, size_t bytes)
{
	for (int tries = 0; tries < 50; tries++) {
		madvise(p, size, MADV_PAGEOUT);
		if (see((uintptr_t)p, (uintptr_t)p + SIZE).swap >= bytes)
			return true;
		usleep(20000);
	}
	return false;
}

static void anonymous(void)
{
	char *p = anon_island(SIZE);

	write_pages(p, 16);
	if (!page_out(p, SIZE, SIZE)) {
		say_skip("anon-swapped", "no page left memory: no swap device with room");
		return;
	}
	say("anon-swapped", p, SIZE, (struct expect){
		.swap = SIZE, .causes = {{"N7", SIZE}}});

	p = anon_island(SIZE);
	write_pages(p, 16);
	if (!page_out(p, SIZE, SIZE))
		return;
	read_pages(p, 8);
	say("anon-swapped-8-read-back", p, SIZE, (struct expect){
		.resident = SIZE / 2, .anonymous = SIZE / 2, .swap = SIZE / 2,
		.causes = {{"R1", SIZE / 2}, {"N7", SIZE / 2}}});
}

static void mixed(void)
{
	char *p = anon_island(SIZE);

	write_pages(p, 8);
	if (!page_out(p, 4 * PAGE, 4 * PAGE)) {
		say_skip("anon-partly-swapped", "no page left memory");
		return;
	}
	madvise(p + 12 * PAGE, 2 * PAGE, 102);  /* guards look like swap entries */
	say("anon-partly-swapped-and-guarded", p, SIZE, (struct expect){
		.resident = 4 * PAGE, .anonymous = 4 * PAGE, .swap = 4 * PAGE,
		.guard = 2 * PAGE, .untouched = 6 * PAGE,
		.causes = {{"R1", 4 * PAGE}, {"N7", 4 * PAGE}, {"N5", 2 * PAGE},
			   {"N21", 6 * PAGE}}});
}

static void no_access(void)
{
	char *p = moated(SIZE, PAGE, PROT_READ);

	p = mmap(p, SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	write_pages(p, 16);
	mprotect(p, SIZE, PROT_NONE);
	if (!page_out(p, SIZE, SIZE)) {
		say_skip("swapped-prot-none", "no page left memory");
		return;
	}
	say("swapped-prot-none", p, SIZE, (struct expect){
		.swap = SIZE, .causes = {{"N7", SIZE}}});
}

/* Swapped shared memory leaves no trace in the page table at all. */
static void shared(void)
{
	char *p = island(SIZE, RW, MAP_SHARED | MAP_ANONYMOUS, -1);

	write_pages(p, 16);
	if (!page_out(p, SIZE, SIZE)) {
		say_skip("shmem-swapped", "no page left memory");
		return;
	}
	say("shmem-swapped", p, SIZE, (struct expect){
		.swap = SIZE, .shmem_swap = SIZE, .untouched = UNSAID,
		.causes = {{"N8", SIZE}}});

	p = island(SIZE, RW, MAP_SHARED | MAP_ANONYMOUS, -1);
	write_pages(p, 8);
	if (!page_out(p, 4 * PAGE, 4 * PAGE))
		return;
	say("shmem-partly-swapped", p, SIZE, (struct expect){
		.resident = 4 * PAGE, .shmem = 4 * PAGE,
		.swap = 4 * PAGE, .shmem_swap = 4 * PAGE, .untouched = UNSAID,
		.causes = {{"R3", 4 * PAGE}, {"N8", 4 * PAGE}, {"N15", 8 * PAGE}}});
}

int main(void)
{
	begin();
	anonymous();
	mixed();
	no_access();
	shared();
	hold();
}
