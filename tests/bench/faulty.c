/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Does nothing but fault: so many pages, each written once, 64 MiB at a time. usage: faulty N */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	const size_t block = (size_t)64 << 20;

	for (long left = argc > 1 ? atol(argv[1]) : 100000; left > 0;) {
		char *p = mmap(NULL, block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return 1;
		madvise(p, block, MADV_NOHUGEPAGE);
		for (size_t at = 0; at < block && left > 0; at += 4096, left--)
			*(volatile char *)(p + at) = 1;
		munmap(p, block);
	}
	return 0;
}
