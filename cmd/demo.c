/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The founding example: a program whose VSZ is far above its RSS for every usual reason. It reserves
 * address space it never opens, starts threads (each brings a stack and, on its first allocation, a malloc
 * arena), grows its heap and frees most of it, and maps a file of which it reads a part. Started as another
 * copy of ourselves, explained, and ended.
 */
#include "cmd.h"

#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1u << 20)
#define RESERVED (512ul * MIB)
#define UNTOUCHED (64ul * MIB)
#define FILE_SIZE (32ul * MIB)
#define FILE_READ (1ul * MIB)
#define THREADS 4
#define BLOCKS 4000
#define BLOCK 2000
#define LIFE_SECONDS 60	/* ends by itself even if nobody ends it */

enum { OPT_SERVE = 1000 };

static const struct opt own[] = {
	{ OPT_SERVE, "serve", NULL, ARG_NONE, "only be the example: print ready, and wait to be ended", NULL },
	{ 0 },
};
static const struct opt *const tables[] = { own, opts_collect, opts_print, NULL };

static pthread_barrier_t started;

static void *serve_thread(void *unused)
{
	(void)unused;
	char *volatile block = malloc(1000);	/* brings this thread's arena; volatile: or it would be left out */

	pthread_barrier_wait(&started);
	pause();
	return block;
}

static int make_threads(void)
{
	pthread_barrier_init(&started, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, serve_thread, NULL))
			return -1;
	}
	pthread_barrier_wait(&started);
	return 0;
}

static int make_heap(void)
{
	static char *blocks[BLOCKS];

	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(BLOCK);
		if (!blocks[i])
			return -1;
		memset(blocks[i], i, BLOCK);
	}
	/* the last one stays: what is below it cannot be given back by moving the end of the heap */
	for (int i = 0; i < BLOCKS - 1; i++)
		free(blocks[i]);
	return 0;
}

static int open_temporary(void)
{
	int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd >= 0 ? fd : open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static int make_file(void)
{
	int fd = open_temporary();
	static char page[65536];
	unsigned sum = 0;

	if (fd < 0 || ftruncate(fd, FILE_SIZE) < 0)
		return -1;
	for (unsigned long at = 0; at < FILE_SIZE / 2; at += sizeof(page))
		if (pwrite(fd, page, sizeof(page), (off_t)at) != sizeof(page))
			return -1;
	const volatile char *p = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -1;
	for (unsigned long i = 0; i < FILE_READ; i += 4096)
		sum += (unsigned char)p[i];
	return sum ? -1 : 0;
}

static int serve(void)
{
	prctl(PR_SET_NAME, "demo-server");
	alarm(LIFE_SECONDS);
	if (mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED ||
	    mmap(NULL, UNTOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ||
	    make_heap() < 0 || make_threads() < 0 || make_file() < 0)
		return fail_text(EXIT_TARGET, NULL, "demo: the example could not be set up");
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return EXIT_TARGET;
	for (;;)
		pause();
}

static pid_t start(int *out)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	pid_t pid = fork();

	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/proc/self/exe", "memwhy", "demo", "--serve", (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	*out = fds[0];
	return pid;
}

static int report(const struct mw_snapshot *snap, void *ctx, struct mw_document **ret, struct mw_err *err)
{
	const struct mw_explain_opts opts = { .size = sizeof(opts) };

	(void)ctx;
	return mw_report_explain(snap, &opts, ret, err);
}

static int run(int argc, char **argv)
{
	struct settings s;
	const char *arg;
	char line[16];
	int out = -1;

	init_settings(&s);
	int id = next_option(&cmd_demo, argc, argv, &s, &arg);

	if (id == OPT_SERVE)
		return serve();
	if (id != -1)
		return EXIT_USAGE;
	if (optind < argc)
		return fail_text(EXIT_USAGE, "memwhy explain takes a target", "%s: demo explains its own program", argv[optind]);
	if (is_proc_foreign())
		return fail_text(EXIT_TARGET, foreign_hint, "demo: look at the example: this /proc belongs to another pid namespace");
	pid_t pid = start(&out);

	if (pid < 0 || read(out, line, sizeof(line)) <= 0)
		return fail_text(EXIT_TARGET, NULL, "demo: the example did not start");
	s.pid = pid;
	int code = report_target(&s, 0, argv + optind, report, NULL);

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(out);
	return code;
}

const struct command cmd_demo = {
	.name = "demo",
	.summary = "Starts a small program whose VSZ is far above its RSS, explains it",
	.usage = "demo [OPTION]...",
	.examples = "  memwhy demo\n  memwhy demo --json\n",
	.tables = tables,
	.run = run,
};
