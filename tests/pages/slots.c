/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A library with many relocations: a table of pointers in .data.rel.ro (8 pages), one in .data (4 pages),
 * and between them data without any, of which the program writes one page.
 */
#define PAGE 4096
#define ALIGNED __attribute__((aligned(PAGE)))

extern char slots_plain[16 * PAGE];
ALIGNED char slots_plain[16 * PAGE] = { 1 };

#define P(i) (void *)&slots_plain[(i) % PAGE]
#define P4(i) P(i), P((i) + 1), P((i) + 2), P((i) + 3)
#define P16(i) P4(i), P4((i) + 4), P4((i) + 8), P4((i) + 12)
#define P64(i) P16(i), P16((i) + 16), P16((i) + 32), P16((i) + 48)
#define P256(i) P64(i), P64((i) + 64), P64((i) + 128), P64((i) + 192)
#define P1024(i) P256(i), P256((i) + 256), P256((i) + 512), P256((i) + 768)

extern void *const slots_const[4096];
extern void *slots_data[2048];
ALIGNED void *const slots_const[4096] = { P1024(0), P1024(1), P1024(2), P1024(3) };
ALIGNED void *slots_data[2048] = { P1024(0), P1024(1) };

void slots_write(int page);
void slots_write(int page)
{
	slots_plain[page * PAGE] = 2;
}
