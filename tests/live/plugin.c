/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The library that library.c loads: a page of each kind, and room around it. */

#define PAGE 4096
#define ALIGNED __attribute__((aligned(PAGE)))

void plugin_touch(void);

static volatile char bss_block[32 * PAGE] ALIGNED;
static volatile char data_block[32 * PAGE] ALIGNED = {1};
static const char rodata_block[32 * PAGE] ALIGNED = {1};

/* Copies three pages of .data, makes two of .bss, reads one of .rodata. */
void plugin_touch(void)
{
	data_block[0] = data_block[PAGE] = data_block[9 * PAGE] = 2;
	bss_block[4 * PAGE] = bss_block[31 * PAGE] = *(const volatile char *)&rodata_block[5 * PAGE];
}
