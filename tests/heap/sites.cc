/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sites - one place allocates nearly all: memwhy heap must name it, as people write it. */
#include <cstdlib>
#include <unistd.h>

namespace garden {
struct Tree {
	__attribute__((noinline)) static void *grow(unsigned n);
};
void *Tree::grow(unsigned n)
{
	void *volatile p = std::malloc(n);

	return p;
}
}

int main()
{
	for (int i = 0; i < 20000; i++)
		*static_cast<char *>(garden::Tree::grow(1000)) = 1;
	if (write(1, "ready\n", 6) != 6)
		return 1;
	pause();
}
