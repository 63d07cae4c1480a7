/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The load plan on made-up segments: what no linker of this machine produces is decided here. */
#include <stdio.h>
#include <string.h>

#include "elf/plan.h"

static int n_tests, n_failed;

static void check(bool good, const char *name)
{
	n_failed += !good;
	printf("%sok %d - %s\n", good ? "" : "not ", ++n_tests, name);
}

static struct mw__plan plan_of(struct mw__phdr *ph, size_t n, bool is_program)
{
	struct mw_elf elf = { .ph = ph, .n_ph = n, .eh.type = is_program ? ET_EXEC : ET_DYN, .size = UINT64_MAX,
			      .dynamic_tried = true };
	struct mw__plan p = { 0 };

	if (mw__elf_plan(&elf, 4096, &p, NULL) < 0)
		check(false, "plan");
	return p;
}

static bool is(const struct mw__plan *p, size_t i, uint64_t start, uint64_t end, int prot, int kind)
{
	return i < p->maps.n && p->maps.v[i].start == start && p->maps.v[i].end == end && p->maps.v[i].prot == prot &&
	       p->maps.v[i].kind == kind;
}

#define LOAD(o, v, f, m, fl) { .type = PT_LOAD, .off = o, .vaddr = v, .filesz = f, .memsz = m, .flags = fl, .align = 4096 }

static void relro_is_rounded_down(void)
{
	struct mw__phdr ph[] = { LOAD(0, 0, 0x3800, 0x3800, PF_R | PF_W),
				 { .type = PT_GNU_RELRO, .vaddr = 0x1100, .memsz = 0x1800 } };
	struct mw__plan p = plan_of(ph, 2, true);

	check(p.maps.n == 3 && is(&p, 0, 0, 0x1000, 6, MW__MAP_FILE) && is(&p, 1, 0x1000, 0x2000, 4, MW__MAP_RELRO) &&
	      is(&p, 2, 0x2000, 0x4000, 6, MW__MAP_FILE), "RELRO ends at the page that its end lies in");
	MW_VEC_FREE(&p.maps);
}

static void neighbours_merge(void)
{
	struct mw__phdr together[] = { LOAD(0, 0, 0x1000, 0x1000, PF_R), LOAD(0x1000, 0x1000, 0x800, 0x800, PF_R) };
	struct mw__phdr apart[] = { LOAD(0, 0, 0x1000, 0x1000, PF_R), LOAD(0x3000, 0x1000, 0x800, 0x800, PF_R) };
	struct mw__plan p = plan_of(together, 2, true), q = plan_of(apart, 2, true);

	check(p.maps.n == 1 && is(&p, 0, 0, 0x2000, 4, MW__MAP_FILE), "contiguous in file and memory: one mapping");
	check(q.maps.n == 2, "contiguous in memory alone: two");
	MW_VEC_FREE(&p.maps);
	MW_VEC_FREE(&q.maps);
}

static void gaps_belong_to_libraries(void)
{
	struct mw__phdr ph[] = { LOAD(0, 0, 0x1000, 0x1000, PF_R), LOAD(0x1000, 0x200000, 0x800, 0x3000, PF_R | PF_W) };
	struct mw__plan lib = plan_of(ph, 2, false), prog = plan_of(ph, 2, true);

	check(lib.maps.n == 4 && is(&lib, 1, 0x1000, 0x200000, 0, MW__MAP_GAP) && lib.gaps == 0x1ff000, "a library reserves its gaps");
	check(prog.maps.n == 3 && !prog.gaps, "a program does not");
	check(is(&prog, 2, 0x201000, 0x203000, 6, MW__MAP_ZERO) && prog.maps.v[2].is_zero, "bss beyond the last page of the file");
	check(prog.shared_page == 0x200000 && prog.shared_file == 0x800, "the page that .data and .bss share");
	MW_VEC_FREE(&lib.maps);
	MW_VEC_FREE(&prog.maps);
}

static void nothing_wraps(void)
{
	struct mw__phdr ph[] = { LOAD(UINT64_MAX, UINT64_MAX - 10, UINT64_MAX, UINT64_MAX, 7),
				 LOAD(0, 0, 0, UINT64_MAX, 7), { .type = PT_GNU_RELRO, .vaddr = 5, .memsz = UINT64_MAX } };
	struct mw__plan p = plan_of(ph, 3, true);

	for (size_t i = 0; i < p.maps.n; i++)
		if (p.maps.v[i].end <= p.maps.v[i].start)
			check(false, "start before end");
	check(true, "segments of any size");
	MW_VEC_FREE(&p.maps);
}

int main(void)
{
	relro_is_rounded_down();
	neighbours_merge();
	gaps_belong_to_libraries();
	nothing_wraps();
	printf("1..%d\n", n_tests);
	return n_failed != 0;
}
