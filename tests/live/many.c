/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Many mappings: one reservation whose pages alternate between two protections.
 * usage: many COUNT [LIMIT]. With LIMIT as second word, goes on until the
 * kernel refuses and then stays there.
 */
#include "truth.h"

static char *base;

/* Splits page @idx off: read-only where its neighbours are writable. */
static bool split(size_t idx)
{
	return mprotect(base + idx * PAGE, PAGE, PROT_READ) == 0;
}

/* Each writable page in four is written: a known number of pages in all. */
static size_t write_some(size_t count)
{
	size_t written = 0;

	for (size_t i = 0; i < count; i += 8, written++)
		write_pages(base + i * PAGE, 1);
	return written;
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 0) : 2000;
	bool to_limit = argc > 2, refused = false;
	char detail[96];
	size_t made = 1;

	begin();
	count = (count | 1) > 200001 ? 200001 : count | 1;
	base = island(count * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!base)
		return 1;
	for (size_t i = 1; i < count && !refused; i += 2) {
		refused = !split(i);
		made += refused ? 0 : 2;
	}
	if (refused && !to_limit) {
		say_skip("many", "only %zu mappings: %s", made, strerror(errno));
		hold();
	}

	size_t resident = write_some(count) * PAGE;

	snprintf(detail, sizeof(detail), "\"mappings\":%zu", made);
	say(to_limit ? "many-at-the-limit" : "many", base, count * PAGE, (struct expect){
		.not_alone = true, .resident = resident, .anonymous = resident,
		.untouched = count * PAGE - resident, .detail = detail,
		.causes = {{"R1", resident}, {"N21", count * PAGE - resident}}});
	hold();
}
