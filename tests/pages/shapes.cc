// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * C++ names, functions in windows of their own, two sections that share a page, and pages that the kernel is
 * asked to swap out. Prints what memwhy must say of each symbol, as touch.c does.
 */
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <sys/mman.h>
#include <unistd.h>

constexpr int page = 4096, window = 65536;
#define WINDOW alignas(window)
#define NEAR(name) __attribute__((section(name), used))

namespace shapes {
template <int N> struct table {
	WINDOW static char bytes[window];
};
template <int N> WINDOW char table<N>::bytes[window] = { 1 };
template struct table<7>;
template struct table<8>;

/* Sixteen pages of code each, in a section that starts a window of the file. */
__attribute__((section("code_once"), aligned(window), noinline)) int once(int i)
{
	asm volatile("jmp 1f; .skip 65000, 0x90; 1:");
	return i + 1;
}
__attribute__((section("code_never"), aligned(window), noinline)) int never(const char *text, int i)
{
	asm volatile("jmp 1f; .skip 65000, 0x90; 1:");
	return i + *text;
}
}

/* One page of two sections, and the page behind it, which is neither's. */
NEAR("sec_a") alignas(page) char near_a[100] = { 1 };
NEAR("sec_b") alignas(4) char near_b[200] = { 1 };
NEAR("sec_c") alignas(page) char near_c[page] = { 1 };
WINDOW char swapped_data[window] = { 1 };
WINDOW char swapped_bss[window];

static void say(const char *symbol, const void *at, size_t size, const char *expect)
{
	printf("{\"symbol\":\"%s\",\"address\":\"%p\",\"size\":%zu,\"expect\":{%s}}\n", symbol, at, size, expect);
}

int main(int argc, char **)
{
	char byte;

	alarm(120);
	madvise(swapped_bss, window, MADV_NOHUGEPAGE);
	for (int i = 0; i < window; i += page)
		swapped_data[i] = swapped_bss[i] = 2;
	shapes::table<7>::bytes[2 * page] = 2;
	near_a[5] = 2;
	if (shapes::once(argc) == 0)
		return shapes::never("", argc);
	/* a wish: without swap space, or with pages in use elsewhere, nothing happens */
	madvise(swapped_data, window, 21 /* MADV_PAGEOUT */);
	madvise(swapped_bss, window, 21);
	say("shapes::table<7>::bytes", shapes::table<7>::bytes, window, "\"resident\":4096,\"written\":4096");
	say("shapes::table<8>::bytes", shapes::table<8>::bytes, window, "\"resident\":0");
	say("near_a", near_a, sizeof(near_a), "\"resident\":100,\"written\":100,\"copied\":100");
	say("near_b", near_b, sizeof(near_b), "\"resident\":200,\"written\":200,\"copied\":200");
	say("near_c", near_c, sizeof(near_c), "\"copied\":0,\"written\":0");
	printf("{\"swapped\":[\"%p\",\"%p\"]}\n{\"ready\":true}\n", (void *)swapped_data, (void *)swapped_bss);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
