/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Touches known pages of known variables, each in a window of 64 KiB of its own, so that what the kernel
 * maps around a read (fault-around) stays inside. Prints one JSON object a line and waits for the end of its
 * standard input (an alarm ends it in any case):
 *
 *   {"symbol":NAME,"address":"0x...","size":N,"expect":{COLUMN:BYTES}}
 *   {"ready":true}
 *
 * A write to a private page of a file copies that page alone; a read maps pages of the file around it.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define WINDOW 65536
#define ALIGNED __attribute__((aligned(WINDOW)))
#define IN(section_) __attribute__((section(section_), aligned(WINDOW)))

void slots_write(int page);
void slot_00000(void);

/* 4 windows each in .data, .bss and a section of their own; the first of each is never touched. */
ALIGNED char data_cold[WINDOW] = { 1 }, data_one[WINDOW] = { 1 }, data_three[WINDOW] = { 1 }, data_all[WINDOW] = { 1 };
ALIGNED char bss_cold[WINDOW], bss_one[WINDOW], bss_zero[WINDOW], bss_all[WINDOW];
IN(".truth") char truth_one[WINDOW] = { 1 };
IN(".truth") char truth_cold[WINDOW] = { 1 };
/* Keeps what follows in the file away from the windows. */
IN(".truth") char truth_end[WINDOW] = { 1 };
/* A window that relocations write: 8192 pointers, all 16 pages. */
ALIGNED void *relocated[WINDOW / sizeof(void *)] = { [0 ... WINDOW / sizeof(void *) - 1] = data_one };

static void write_pages(char *at, int first, int n)
{
	for (int i = first; i < first + n; i++)
		*(volatile char *)(at + i * PAGE) = 2;
}

static void say(const char *name, const void *at, size_t size, const char *expect)
{
	printf("{\"symbol\":\"%s\",\"address\":\"%p\",\"size\":%zu,\"expect\":{%s}}\n", name, at, size, expect);
}

#define SAY(var, expect) say(#var, var, sizeof(var), expect)

int main(void)
{
	char byte;

	alarm(120);
	/* a .bss large enough for a huge page would be one; 4 KiB pages are what is claimed */
	madvise(bss_cold, 4 * WINDOW, MADV_NOHUGEPAGE);
	write_pages(data_one, 5, 1);
	write_pages(data_three, 2, 1);
	write_pages(data_three, 9, 2);
	write_pages(data_all, 0, 16);
	write_pages(truth_one, 7, 1);
	write_pages(bss_one, 3, 1);
	write_pages(bss_all, 0, 16);
	byte = *(volatile char *)(bss_zero + 4 * PAGE);
	slots_write(11);
	slot_00000();
	SAY(data_cold, "\"resident\":0,\"copied\":0,\"zero\":0,\"swap\":0");
	SAY(data_one, "\"resident\":4096,\"copied\":4096,\"relocation\":0,\"written\":4096,\"file\":0");
	SAY(data_three, "\"resident\":12288,\"copied\":12288,\"written\":12288,\"file\":0");
	SAY(data_all, "\"resident\":65536,\"copied\":65536,\"written\":65536,\"cached\":0,\"uncached\":0");
	SAY(truth_one, "\"resident\":4096,\"written\":4096,\"mapped\":65536");
	SAY(truth_cold, "\"resident\":0");
	SAY(bss_cold, "\"resident\":0,\"absent\":65536,\"new\":0");
	SAY(bss_one, "\"resident\":4096,\"new\":4096,\"absent\":61440,\"copied\":0");
	SAY(bss_zero, "\"resident\":0,\"zero\":4096,\"absent\":61440");
	SAY(bss_all, "\"resident\":65536,\"new\":65536,\"absent\":0");
	SAY(relocated, "\"resident\":65536,\"copied\":65536,\"relocation\":65536,\"written\":0");
	say("code", (void *)write_pages, 1, "");
	printf("{\"ready\":true}\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
