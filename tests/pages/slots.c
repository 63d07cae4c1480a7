/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A library with many relocations: a table of pointers in .data.rel.ro (8 pages), one in .data (4 pages),
 * between them data without any, of which the program writes one page, and 1024 functions that are called
 * through the PLT, so that .got.plt has more than two pages.
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

/* The end of the file part: what follows it in its page is cleared for .bss. */
extern char slots_tail[100];
__attribute__((section("end_of_file"))) char slots_tail[100] = { 1 };

void slots_write(int page);
void slots_write(int page)
{
	slots_plain[page * PAGE] = 2;
}

#define F4(m, n) m(n##0) m(n##1) m(n##2) m(n##3)
#define F16(m, n) F4(m, n##0) F4(m, n##1) F4(m, n##2) F4(m, n##3)
#define F64(m, n) F16(m, n##0) F16(m, n##1) F16(m, n##2) F16(m, n##3)
#define F256(m, n) F64(m, n##0) F64(m, n##1) F64(m, n##2) F64(m, n##3)
#define F1024(m) F256(m, 0) F256(m, 1) F256(m, 2) F256(m, 3)
#define DEFINE(n) void slot_##n(void); __attribute__((noinline)) void slot_##n(void) { __asm__ volatile(""); }
#define CALL(n) slot_##n();
F1024(DEFINE)

void slots_call(void);
void slots_call(void)
{
	F1024(CALL)
}
