/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared memory in all its dresses: anonymous, memfd, SysV, POSIX, secret. */
#include "truth.h"
#include <signal.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define COLLAPSE 25		/* MADV_COLLAPSE, newer than the headers may be */

static char shm_name[64];

static void shared_anon(void)
{
	char *p = island(SIZE, RW, MAP_SHARED | MAP_ANONYMOUS, -1);

	write_pages(p, 16);
	say("shared-anon-written", p, SIZE, (struct expect){
		.resident = SIZE, .shmem = SIZE, .causes = {{"R3", SIZE}}});

	p = island(SIZE, RW, MAP_SHARED | MAP_ANONYMOUS, -1);
	read_pages(p, 8);       /* no zero page here: reading allocates */
	say("shared-anon-8-read", p, SIZE, (struct expect){
		.resident = SIZE / 2, .shmem = SIZE / 2, .untouched = SIZE / 2,
		.causes = {{"R3", SIZE / 2}, {"N15", SIZE / 2}}});

	p = island(SIZE, RW, MAP_SHARED | MAP_ANONYMOUS, -1);
	say("shared-anon-untouched", p, SIZE, (struct expect){
		.untouched = SIZE, .causes = {{"N15", SIZE}}});
}

/* The pages are taken out of this page table; the memory stays allocated. */
static void shared_anon_dontneed(void)
{
	char *p = island(SIZE, RW, MAP_SHARED | MAP_ANONYMOUS, -1);

	write_pages(p, 8);
	madvise(p, SIZE, MADV_DONTNEED);
	say("shared-anon-dontneed", p, SIZE, (struct expect){
		.untouched = SIZE,
		.causes = {{"N14", SIZE / 2}, {"N15", SIZE / 2}}});
}

/* An unlinked-from-birth file with its first 8 pages written through the fd. */
static int half_written_memfd(const char *name)
{
	static char half[8 * PAGE];
	int fd = memfd_create(name, MFD_CLOEXEC);

	memset(half, 'm', sizeof(half));
	if (fd < 0 || ftruncate(fd, (off_t)SIZE) ||
	    pwrite(fd, half, sizeof(half), 0) != (ssize_t)sizeof(half))
		return -1;
	return fd;
}

static void memfds(void)
{
	int fd = half_written_memfd("truth-by-fd");
	char *p = fd < 0 ? NULL : island(SIZE, RW, MAP_SHARED, fd);

	if (!p) {
		say_skip("memfd", "memfd_create: %s", strerror(errno));
		return;
	}
	say("memfd-8-written-by-fd", p, SIZE, (struct expect){
		.untouched = SIZE,
		.causes = {{"N14", SIZE / 2}, {"N15", SIZE / 2}}});

	p = island(SIZE, RW, MAP_PRIVATE, half_written_memfd("truth-private"));
	write_pages(p, 4);
	say("memfd-private-4-copied", p, SIZE, (struct expect){
		.resident = 4 * PAGE, .anonymous = 4 * PAGE, .untouched = 12 * PAGE,
		.causes = {{"R1", 4 * PAGE}, {"N14", 4 * PAGE}, {"N15", 8 * PAGE}}});

	fd = half_written_memfd("truth-closed");
	p = island(SIZE, RW, MAP_SHARED, fd);
	close(fd);              /* only map_files leads to it now */
	write_pages(p, 2);
	say("memfd-closed", p, SIZE, (struct expect){
		.resident = 2 * PAGE, .shmem = 2 * PAGE, .untouched = 14 * PAGE,
		.causes = {{"R3", 2 * PAGE}, {"N14", 6 * PAGE}, {"N15", 8 * PAGE}}});
}

/* A file that was cut shorter under its mapping: half is beyond the end. */
static void memfd_cut(void)
{
	int fd = memfd_create("truth-cut", MFD_CLOEXEC);
	char *p;

	if (fd < 0 || ftruncate(fd, (off_t)SIZE))
		return;
	p = island(SIZE, RW, MAP_SHARED, fd);
	write_pages(p, 16);
	if (ftruncate(fd, (off_t)SIZE / 2))
		return;
	say("memfd-cut-in-half", p, SIZE, (struct expect){
		.resident = SIZE / 2, .shmem = SIZE / 2, .untouched = SIZE / 2,
		.causes = {{"R3", SIZE / 2}, {"N10", SIZE / 2}}});
}

/* One huge page of shared memory, by request: shmem_enabled may say never. */
static void collapsed(void)
{
	char *p = moated(2 * MIB, 2 * MIB, PROT_NONE);
	int fd = memfd_create("truth-huge", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 2 * MIB))
		return;
	p = mmap(p, 2 * MIB, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	write_pages(p, 512);
	if (madvise(p, 2 * MIB, COLLAPSE)) {
		say_skip("memfd-huge", "MADV_COLLAPSE: %s", strerror(errno));
		return;
	}
	read_pages(p, 1);
	say("memfd-huge", p, 2 * MIB, (struct expect){
		.resident = 2 * MIB, .shmem = 2 * MIB, .huge = 2 * MIB,
		.causes = {{"R3", 2 * MIB}}});
}

static void secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
	char *p;

	if (fd < 0 || ftruncate(fd, (off_t)SIZE)) {
		say_skip("memfd-secret", "memfd_secret: %s", strerror(errno));
		return;
	}
	p = island(SIZE, RW, MAP_SHARED, fd);
	if (!p) {
		say_skip("memfd-secret", "mmap: %s", strerror(errno));
		return;
	}
	write_pages(p, 16);
	say("memfd-secret", p, SIZE, (struct expect){
		.resident = SIZE, .file = UNSAID, .shmem = UNSAID, .locked = SIZE,
		.causes = {{"R2|R3", SIZE}}});
}

static void dev_zero(void)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	char *p = island(SIZE, RW, MAP_SHARED, fd);

	if (!p)
		return;
	write_pages(p, 4);
	say("dev-zero-shared", p, SIZE, (struct expect){
		.resident = 4 * PAGE, .shmem = 4 * PAGE, .untouched = 12 * PAGE,
		.causes = {{"R3", 4 * PAGE}, {"N15", 12 * PAGE}}});
}

static void sysv(void)
{
	int id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
	void *at = moated(SIZE, PAGE, PROT_NONE);
	char *p;

	if (id < 0) {
		say_skip("sysv-shm", "shmget: %s", strerror(errno));
		return;
	}
	p = shmat(id, at, SHM_REMAP);
	shmctl(id, IPC_RMID, NULL);     /* it goes when the last user detaches */
	if (p == (char *)-1) {
		say_skip("sysv-shm", "shmat: %s", strerror(errno));
		return;
	}
	write_pages(p, 4);
	say("sysv-shm", p, SIZE, (struct expect){
		.resident = 4 * PAGE, .shmem = 4 * PAGE, .untouched = 12 * PAGE,
		.causes = {{"R3", 4 * PAGE}, {"N15", 12 * PAGE}}});
}

static void forget_shm(void)
{
	shm_unlink(shm_name);
}

static void on_alarm(int sig)
{
	(void)sig;
	shm_unlink(shm_name);
	_exit(1);
}

/* Four pages written here, four more by a child that has ended. */
static void posix(void)
{
	snprintf(shm_name, sizeof(shm_name), "/memwhy-truth-%d", (int)getpid());
	int fd = shm_open(shm_name, O_RDWR | O_CREAT | O_EXCL, 0600);
	char block[4 * PAGE], detail[128];
	char *p;

	if (fd < 0 || ftruncate(fd, (off_t)SIZE)) {
		say_skip("posix-shm", "shm_open: %s", strerror(errno));
		return;
	}
	atexit(forget_shm);
	signal(SIGALRM, on_alarm);
	signal(SIGTERM, on_alarm);
	p = island(SIZE, RW, MAP_SHARED, fd);
	memset(block, 's', sizeof(block));
	if (pwrite(fd, block, sizeof(block), (off_t)SIZE / 2) < 0)
		return;
	write_pages(p, 4);
	snprintf(detail, sizeof(detail), "\"object\":\"/dev/shm%s\"", shm_name);
	say("posix-shm", p, SIZE, (struct expect){
		.resident = 4 * PAGE, .shmem = 4 * PAGE, .untouched = 12 * PAGE,
		.detail = detail,
		.causes = {{"R3", 4 * PAGE}, {"N14", 4 * PAGE}, {"N15", 8 * PAGE}}});
}

/* Read-only and private: pages of the shared file, mapped as they are. */
static void private_reader(void)
{
	int fd = half_written_memfd("truth-read-only");
	char *p = island(SIZE, PROT_READ, MAP_PRIVATE, fd);
	struct seen s;

	madvise(p, SIZE, MADV_RANDOM);
	read_pages(p, 8);
	s = see((uintptr_t)p, (uintptr_t)p + SIZE);
	say("memfd-private-read", p, SIZE, (struct expect){
		.resident = s.present, .shmem = s.present, .untouched = SIZE - s.present,
		.causes = {{"R3", s.present}, {"N15", SIZE - s.present}}});
}

int main(void)
{
	begin_with_huge_pages();
	shared_anon();
	shared_anon_dontneed();
	memfds();
	memfd_cut();
	collapsed();
	private_reader();
	secret();
	dev_zero();
	sysv();
	posix();
	hold();
}
