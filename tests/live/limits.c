/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A process that RLIMIT_AS holds: the next reservation is refused. */
#include "truth.h"
#include <sys/resource.h>

int main(void)
{
	struct rlimit limit = {.rlim_cur = 256 * MIB, .rlim_max = RLIM_INFINITY};
	char detail[64], *p;

	begin();
	if (getrlimit(RLIMIT_AS, &limit))
		return 1;
	limit.rlim_cur = 256 * MIB;
	if (setrlimit(RLIMIT_AS, &limit)) {
		say_skip("rlimit-as", "setrlimit: %s", strerror(errno));
		hold();
	}
	p = island(200 * MIB - 2 * MOAT, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	if (!p || mmap(NULL, 100 * MIB, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED) {
		say_skip("rlimit-as", "the limit did not hold");
		hold();
	}
	snprintf(detail, sizeof(detail), "\"rlimit_as\":%lu", 256 * MIB);
	say("rlimit-as", p, 200 * MIB - 2 * MOAT, (struct expect){
		.untouched = 200 * MIB - 2 * MOAT, .detail = detail,
		.causes = {{"N9", 200 * MIB - 2 * MOAT}}});
	hold();
}
