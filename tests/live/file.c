/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mapped files: read, written, copied, sparse, short, cold. */
#include "truth.h"

#define FILE_SIZE (24 * PAGE)

/* Measured states of [p, p + size) over a file with @live bytes behind it. */
static void say_file(const char *name, const char *p, size_t size, size_t live)
{
	if (!p) {
		say_skip(name, "mmap: %s", strerror(errno));
		return;
	}
	say(name, p, size, measure_file(p, size, live));
}

static void read_only(void)
{
	char *p = island(FILE_SIZE, PROT_READ, MAP_PRIVATE, nameless_file(24));

	madvise(p, FILE_SIZE, MADV_RANDOM);
	read_pages(p, 4);
	say_file("file-4-of-24-read", p, FILE_SIZE, FILE_SIZE);

	p = island(FILE_SIZE, PROT_READ, MAP_PRIVATE, nameless_file(24));
	say_file("file-untouched-cached", p, FILE_SIZE, FILE_SIZE);
}

/* Nothing of the file is in memory: all of it would be read from disk. */
static void cold(void)
{
	int fd = nameless_file(24);
	char *p = island(FILE_SIZE, PROT_READ, MAP_PRIVATE, fd);
	struct expect e;

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	e = measure_file(p, FILE_SIZE, FILE_SIZE);
	if (e.uncached != FILE_SIZE)
		say_skip("file-cold", "%zu bytes stayed in the page cache", e.cached);
	else
		say("file-cold", p, FILE_SIZE, e);
}

/* Six pages come back by read(2), without read-ahead: cached, never mapped. */
static void half_cold(void)
{
	int fd = nameless_file(24);
	char *p = island(FILE_SIZE, PROT_READ, MAP_PRIVATE, fd);
	char block[PAGE];
	struct expect e;

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (off_t i = 0; i < 6; i++)
		if (pread(fd, block, sizeof(block), i * (off_t)PAGE) < 0)
			return;
	e = measure_file(p, FILE_SIZE, FILE_SIZE);
	if (!e.uncached || !e.cached)
		say_skip("file-half-cold", "cached %zu, uncached %zu", e.cached, e.uncached);
	else
		say("file-half-cold", p, FILE_SIZE, e);
}

static void private_written(void)
{
	char *p = island(FILE_SIZE, RW, MAP_PRIVATE, nameless_file(24));

	read_pages(p, 4);
	write_pages(p + 4 * PAGE, 4);
	say_file("file-private-read-and-written", p, FILE_SIZE, FILE_SIZE);
}

/* A copied page that was read first was mapped, then replaced. */
static void private_read_then_written(void)
{
	char *p = island(SIZE, RW, MAP_PRIVATE, nameless_file(16));

	read_pages(p, 16);
	write_pages(p, 5);
	say("file-private-5-of-16-copied", p, SIZE, (struct expect){
		.resident = SIZE, .anonymous = 5 * PAGE, .file = 11 * PAGE, .is_file = true,
		.causes = {{"R1", 5 * PAGE}, {"R2", 11 * PAGE}}});
}

static void shared_written(void)
{
	char *p = island(SIZE, RW, MAP_SHARED, nameless_file(16));

	write_pages(p, 16);
	say("file-shared-written", p, SIZE, (struct expect){
		.resident = SIZE, .file = SIZE, .is_file = true, .causes = {{"R2", SIZE}}});
}

static void beyond_end(void)
{
	int fd = nameless_file(8);
	char *p = island(SIZE, PROT_READ, MAP_PRIVATE, fd);

	read_pages(p, 8);
	say("file-8-and-8-beyond-eof", p, SIZE, (struct expect){
		.resident = SIZE / 2, .file = SIZE / 2, .untouched = SIZE / 2,
		.is_file = true, .beyond_eof = SIZE / 2,
		.causes = {{"R2", SIZE / 2}, {"N10", SIZE / 2}}});

	fd = nameless_file(8);
	if (ftruncate(fd, 4 * (off_t)PAGE + 100))
		return;
	p = island(SIZE, PROT_READ, MAP_PRIVATE, fd);
	read_pages(p, 5);       /* the fifth page holds the last 100 bytes */
	say("file-ends-inside-page-5", p, SIZE, (struct expect){
		.resident = 5 * PAGE, .file = 5 * PAGE, .untouched = 11 * PAGE,
		.is_file = true, .beyond_eof = 11 * PAGE,
		.causes = {{"R2", 5 * PAGE}, {"N10", 11 * PAGE}}});
}

/* Pages copied before the file was cut outlive it only if they were private. */
static void cut_under_copies(void)
{
	int fd = nameless_file(16);
	char *p = island(SIZE, RW, MAP_PRIVATE, fd);

	write_pages(p, 16);
	if (ftruncate(fd, 8 * (off_t)PAGE))
		return;
	say_file("file-cut-under-copies", p, SIZE, SIZE / 2);
}

static void with_offset(void)
{
	int fd = nameless_file(24);
	char *at = moated(SIZE, PAGE, PROT_NONE);
	char *p = mmap(at, SIZE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 16 * (off_t)PAGE);

	madvise(p, SIZE, MADV_RANDOM);
	read_pages(p, 1);
	say_file("file-offset-16-ends-at-24", p, SIZE, 8 * PAGE);
}

/* Holes that were read are pages like all others. */
static void sparse(void)
{
	int fd = nameless_file(0);
	char *p;

	if (ftruncate(fd, (off_t)SIZE))
		return;
	p = island(SIZE, PROT_READ, MAP_PRIVATE, fd);
	read_pages(p, 16);
	say("file-sparse-read", p, SIZE, (struct expect){
		.resident = SIZE, .file = SIZE, .is_file = true, .causes = {{"R2", SIZE}}});

	fd = nameless_file(0);
	if (ftruncate(fd, (off_t)SIZE))
		return;
	p = island(SIZE, PROT_READ, MAP_PRIVATE, fd);
	say_file("file-sparse-untouched", p, SIZE, SIZE);
}

static void no_access(void)
{
	char *p = island(SIZE, PROT_NONE, MAP_PRIVATE, nameless_file(16));

	say("file-prot-none", p, SIZE, (struct expect){
		.untouched = SIZE, .causes = {{"N9", SIZE}}});
}

int main(void)
{
	begin();
	if (dir_is_tmpfs()) {
		say_skip("file", "the directory for files is a tmpfs");
		hold();
	}
	read_only();
	cold();
	half_cold();
	private_written();
	private_read_then_written();
	shared_written();
	beyond_end();
	cut_under_copies();
	with_offset();
	sparse();
	no_access();
	hold();
}
