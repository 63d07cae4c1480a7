/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Regions that only special system calls make: markers, rings, huge pages. */
#include "truth.h"
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* Newer than the installed headers may be. */
#define GUARD_INSTALL 102
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

static void guards(void)
{
	char *p = anon_island(SIZE);

	write_pages(p, 16);
	if (madvise(p + 4 * PAGE, 4 * PAGE, GUARD_INSTALL)) {
		say_skip("guard", "MADV_GUARD_INSTALL: %s", strerror(errno));
		return;
	}
	say("guard-4-of-16", p, SIZE, (struct expect){
		.resident = 12 * PAGE, .anonymous = 12 * PAGE, .guard = 4 * PAGE,
		.causes = {{"R1", 12 * PAGE}, {"N5", 4 * PAGE}}});

	p = anon_island(SIZE);
	madvise(p, PAGE, GUARD_INSTALL);
	say("guard-over-untouched", p, SIZE, (struct expect){
		.guard = PAGE, .untouched = 15 * PAGE,
		.causes = {{"N5", PAGE}, {"N21", 15 * PAGE}}});
}

static int fault_fd(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool watch(int fd, const char *p, uint64_t mode)
{
	struct uffdio_register reg = {
		.range = {.start = (uintptr_t)p, .len = SIZE}, .mode = mode};

	return ioctl(fd, UFFDIO_REGISTER, &reg) == 0;
}

static void missing(void)
{
	int fd = fault_fd();
	char *p = anon_island(SIZE), *q = anon_island(SIZE);

	write_pages(q, 4);
	if (fd < 0 || !watch(fd, p, UFFDIO_REGISTER_MODE_MISSING) ||
	    !watch(fd, q, UFFDIO_REGISTER_MODE_MISSING)) {
		say_skip("uffd-missing", "userfaultfd: %s", strerror(errno));
		return;
	}
	say("uffd-missing", p, SIZE, (struct expect){
		.untouched = SIZE, .causes = {{"N22", SIZE}}});
	say("uffd-missing-4-written", q, SIZE, (struct expect){
		.resident = 4 * PAGE, .anonymous = 4 * PAGE, .untouched = 12 * PAGE,
		.causes = {{"R1", 4 * PAGE}, {"N22", 12 * PAGE}}});
}

/* A poison marker looks like swap in the page table and is counted nowhere. */
static void poison(void)
{
	struct { uint64_t start, len, mode; int64_t updated; } arg;
	int fd = fault_fd();
	char *p = anon_island(SIZE);

	if (fd < 0 || !watch(fd, p, UFFDIO_REGISTER_MODE_MISSING)) {
		say_skip("uffd-poison", "userfaultfd: %s", strerror(errno));
		return;
	}
	arg.start = (uintptr_t)p;
	arg.len = 4 * PAGE;
	arg.mode = 0;
	arg.updated = 0;
	if (ioctl(fd, _IOWR(0xAA, 0x08, arg), &arg)) {
		say_skip("uffd-poison", "UFFDIO_POISON: %s", strerror(errno));
		return;
	}
	say("uffd-poison-4", p, SIZE, (struct expect){
		.markers = 4 * PAGE, .untouched = UNSAID, .swap = 0,
		.causes = {{"N6", 4 * PAGE}, {"N22", 12 * PAGE}}});
}

static void perf_ring(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr),
		.config = PERF_COUNT_SW_PAGE_FAULTS, .sample_period = 1,
		.disabled = 1, .exclude_kernel = 1};
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	char *p = fd < 0 ? NULL : island(9 * PAGE, RW, MAP_SHARED, fd);

	if (!p)
		say_skip("perf-ring", "perf_event_open: %s", strerror(errno));
	else
		say("perf-ring", p, 9 * PAGE, (struct expect){
			.untouched = UNSAID, .causes = {{"N1", 9 * PAGE}}});
}

/*
 * A ring of 128 entries, mapped one page longer than it is. io_uring refuses a
 * given address, so this region lies where the kernel puts it; its mapping is
 * of a kind that never merges.
 */
static void io_ring(void)
{
	uint32_t params[30] = {0};
	int fd = (int)syscall(425, 128, params);
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	struct seen s;

	if (fd < 0 || p == MAP_FAILED) {
		say_skip("io-uring-ring", "io_uring_setup: %s", strerror(errno));
		return;
	}
	s = see((uintptr_t)p, (uintptr_t)p + 4 * PAGE);
	say("io-uring-ring", p, 4 * PAGE, (struct expect){
		.resident = s.present, .file = UNSAID, .shmem = UNSAID,
		.untouched = 4 * PAGE - s.present,
		.causes = {{"R2|R3", s.present}, {"N?", 4 * PAGE - s.present}}});
}

static void hugetlb(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
	void *at = moated(4 * MIB, 2 * MIB, PROT_NONE);
	char *p = mmap(at, 4 * MIB, RW, flags | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED) {
		say_skip("hugetlb", "no huge pages in the pool: %s", strerror(errno));
		return;
	}
	write_pages(p, 1);
	say("hugetlb-1-of-2", p, 4 * MIB, (struct expect){
		.hugetlb = 2 * MIB, .huge = UNSAID, .untouched = UNSAID,
		.causes = {{"N2", 2 * MIB}, {"N3", 2 * MIB}}});
}

/* Sixteen equal pages that the kernel merges into one; RSS still counts all. */
static void merged_pages(void)
{
	char *p = anon_island(SIZE), line[512];
	static struct reader r;
	uint64_t a, b;
	size_t merged = 0;

	memset(p, 'k', SIZE);
	if (madvise(p, SIZE, MADV_MERGEABLE)) {
		say_skip("ksm", "MADV_MERGEABLE: %s", strerror(errno));
		return;
	}
	for (int tries = 0; tries < 60 && merged < SIZE; tries++) {
		bool inside = false;

		usleep(50000);
		r = (struct reader){.fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC)};
		while (next_line(&r, line, sizeof(line))) {
			if (is_header(line, &a, &b))
				inside = a == (uintptr_t)p;
			else if (inside && !strncmp(line, "KSM:", 4))
				merged = strtoul(line + 4, NULL, 10) * KIB;
		}
		close(r.fd);
	}
	if (merged < SIZE) {
		say_skip("ksm", "KSM merged %zu of %lu bytes in 3 s", merged, SIZE);
		return;
	}
	say("ksm", p, SIZE, (struct expect){
		.resident = SIZE, .anonymous = SIZE, .causes = {{"R1", SIZE}}});
}

/* [vvar] and [vdso]: the first is never RSS, the second is a shared page. */
static void vdso(void)
{
	char *p = (char *)getauxval(AT_SYSINFO_EHDR);
	uint64_t start, end;
	struct seen s;

	if (!p || !find_mapping(p, &start, &end)) {
		say_skip("vdso", "no vdso");
		return;
	}
	s = see(start, end);
	say("vdso", (void *)(uintptr_t)start, (size_t)(end - start), (struct expect){
		.resident = s.present, .file = UNSAID, .shmem = UNSAID,
		.untouched = (size_t)(end - start) - s.present,
		.causes = {{"R2", s.present}, {"N?", (size_t)(end - start) - s.present}}});
	if (!find_mapping((void *)(uintptr_t)(start - 1), &start, &end))
		return;
	say("vvar", (void *)(uintptr_t)start, (size_t)(end - start), (struct expect){
		.untouched = UNSAID, .causes = {{"N1", (size_t)(end - start)}}});
}

int main(void)
{
	begin();
	guards();
	missing();
	poison();
	perf_ring();
	io_ring();
	hugetlb();
	merged_pages();
	vdso();
	hold();
}
