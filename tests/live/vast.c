/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Address space by the terabyte, as sanitizers, JITs and wasm reserve it, and a
 * few pages in it. A reader that looks at every page would need half a minute.
 */
#include "truth.h"

#define TIB (1024 * 1024 * MIB)

static char *reserve(size_t size, int prot)
{
	return island(size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
}

static void say_or_skip(const char *name, char *p, size_t size, struct expect e)
{
	if (p)
		say(name, p, size, e);
	else
		say_skip(name, "mmap: %s", strerror(errno));
}

int main(void)
{
	size_t vast = 16 * TIB, large = 64 * 1024 * MIB;
	char *p;

	begin();
	p = reserve(vast, PROT_NONE);
	say_or_skip("reserve-16-tib", p, vast, (struct expect){
		.untouched = vast, .causes = {{"N9", vast}}});

	p = reserve(large, RW);
	for (size_t i = 0; p && i < 1000; i++)
		write_pages(p + i * (large / 1000 & ~(PAGE - 1)), 1);
	say_or_skip("64-gib-with-1000-pages", p, large, (struct expect){
		.resident = 1000 * PAGE, .anonymous = 1000 * PAGE,
		.untouched = large - 1000 * PAGE,
		.causes = {{"R1", 1000 * PAGE}, {"N21", large - 1000 * PAGE}}});
	hold();
}
