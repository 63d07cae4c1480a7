/* SPDX-License-Identifier: GPL-3.0-or-later */
/* So many MiB resident, in small pages. usage: resident MIB */
#include "truth.h"

int main(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 0) : 64) * MIB;
	char *p;

	begin();
	p = size <= 64 * 1024 * MIB ? anon_island(size) : NULL;
	if (!p) {
		say_skip("resident", "mmap: %s", strerror(errno));
		hold();
	}
	madvise(p, size, MADV_NOHUGEPAGE);
	write_pages(p, size / PAGE);
	say("resident", p, size, (struct expect){
		.resident = size, .anonymous = size, .causes = {{"R1", size}}});
	hold();
}
