/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programs that map files made to mislead: what they say may cost labels, never the report. */
#include <elf.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/snapshot.h"
#include "tap.h"

#define MANY 15000

struct file {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	char rest[8192 - sizeof(Elf64_Ehdr) - 2 * sizeof(Elf64_Phdr)];
};
_Static_assert(sizeof(struct file) == 8192, "two pages");

/* Two segments of a page each; where the second one wants to be is the caller's choice. */
static struct file make_file(uint64_t vaddr, uint64_t memsz)
{
	struct file f = {
		.eh = { .e_ident = ELFMAG, .e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = 1, .e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2 },
		.ph = { { .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = 4096, .p_memsz = 4096, .p_align = 4096 },
			{ .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = 4096, .p_vaddr = vaddr, .p_paddr = vaddr, .p_filesz = 4096,
			  .p_memsz = memsz, .p_align = 4096 } },
	};

	f.eh.e_ident[EI_CLASS] = ELFCLASS64;
	f.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	f.eh.e_ident[EI_VERSION] = EV_CURRENT;
	return f;
}

/* A child that maps the first page of the file so many times, and waits. */
static pid_t start(const void *f, size_t size, unsigned times)
{
	int fd = memfd_create("lies", MFD_CLOEXEC), gate[2];
	char c;

	if (fd < 0 || write(fd, f, size) != (ssize_t)size || pipe(gate) < 0)
		return -1;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(60);
		for (unsigned i = 0; i < times; i++) {
			mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
		}
		if (write(gate[1], "r", 1) == 1)
			pause();
		_exit(0);
	}
	close(fd);
	close(gate[1]);
	if (read(gate[0], &c, 1) != 1)
		printf("# the target did not start\n");
	close(gate[0]);
	return pid;
}

static void check(const char *what, const void *f, size_t size, unsigned times)
{
	struct mw_collect_opts opts = { .size = sizeof(opts), .rollup = MW_NEVER, .smaps = MW_NEVER };
	struct mw_summary s = { .size = sizeof(s) };
	struct mw_snapshot *snap = NULL;
	struct mw_err err = {};
	pid_t pid = start(f, size, times);

	ok(pid > 0 && mw_collect_pid(pid, &opts, &snap, &err) == 0, "%s %s", what, err.text);
	if (snap) {
		mw_snapshot_summary(snap, &s);
		ok(s.state == MW_EXACT && s.residual == 0, "%s: its numbers are exact", what);
	}
	mw_snapshot_destroy(snap);
	if (pid > 0) {	/* else everybody */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

/* 2,000 segments of notes, one over the other: all of 2 GB must not be kept, though the file has little more than 1 MB. */
static void check_notes(const struct file *good)
{
	enum { N = 2000, NOTES = 1 << 20, AT = sizeof(Elf64_Ehdr) + N * sizeof(Elf64_Phdr), STEP = 16 };
	size_t size = AT + N * STEP + NOTES;
	char *bytes = calloc(1, size);
	struct rusage before, after;

	if (!ok(bytes != NULL, "room for a file"))
		return;
	memcpy(bytes, good, sizeof(good->eh) + sizeof(good->ph[0]));
	((Elf64_Ehdr *)bytes)->e_phnum = N;
	for (unsigned i = 1; i < N; i++)
		((Elf64_Phdr *)(bytes + sizeof(Elf64_Ehdr)))[i] =
			(Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = AT + i * STEP, .p_filesz = NOTES - STEP, .p_align = 4 };
	getrusage(RUSAGE_SELF, &before);
	check("thousands of segments of notes", bytes, size, 1);
	getrusage(RUSAGE_SELF, &after);
	ok(after.ru_maxrss - before.ru_maxrss < N * (NOTES >> 10) / 8, "and few of them were kept: %ld KiB", after.ru_maxrss - before.ru_maxrss);
	free(bytes);
}

int main(void)
{
	const struct file good = make_file(4096, 4096);
	static const struct {
		const char *what;
		uint64_t vaddr, memsz;
	} lies[] = {
		{ "a segment at the end of the address space", UINT64_C(0xffffffffffffe000), 4096 },
		{ "a segment beyond it", UINT64_C(0xfffffffffffff000), 8192 },
		{ "a segment of 2^64 bytes", 4096, UINT64_MAX },
		{ "a segment that covers all memory", 4096, UINT64_C(0x7ffffffff000) },
		{ "a segment in the kernel's half", UINT64_C(0xffff800000000000), 4096 },
		{ "a segment inside a page", 5000, 4096 },
	};

	check("a file as it should be", &good, sizeof(good), 1);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		const struct file f = make_file(lies[i].vaddr, lies[i].memsz);

		check(lies[i].what, &f, sizeof(f), 1);
	}
	check("one file mapped thousands of times", &good, sizeof(good), MANY);
	check_notes(&good);
	return done_testing();
}
