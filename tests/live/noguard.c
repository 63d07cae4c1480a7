/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads without guard pages: their stacks have no edge that a mapping shows,
 * and neighbours merge. The bytes are certain, the owners need not be.
 */
#include "truth.h"
#include <pthread.h>

#define STACK (256 * KIB)

static int gate[2];

static void *blocked(void *arg)
{
	char c;

	(void)arg;
	while (read(gate[0], &c, 1) < 0 && errno == EINTR)
		;
	return NULL;
}

int main(void)
{
	char *p = anon_island(4 * STACK);
	pthread_attr_t attr;
	pthread_t id;

	begin();
	if (pipe(gate))
		return 1;
	pthread_attr_init(&attr);
	for (size_t i = 0; i < 4; i++) {
		pthread_attr_setstack(&attr, p + i * STACK, STACK);
		if (pthread_create(&id, &attr, blocked, NULL))
			return 1;
	}
	usleep(100000);
	say("four-stacks-one-mapping", p, 4 * STACK,
	    measure_anon(p, 4 * STACK, "N19|N21"));
	hold();
}
