/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The books of a target are input that nobody vouches for. A real heap is read again and again through a
 * memory reader that spoils words of what it copies: pointers, counts, strides. Whatever comes out, the walk
 * must end, the bridge must still sum, and the report must print; sanitizers watch the rest.
 *
 *   hostile ROUNDS SEED -- COMMAND...   the command prints a line when its heap is there; 0 rounds: one,
 *                                       in which blocks of private heaps claim to be spans of tiny objects
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/tap.h"
#include "alloc/abi.h"
#include "base/cleanup.h"
#include "explain/heap.h"
#include "heap/heap.h"
#include "proc/proc.h"

struct spoiler {
	struct mw__proc_mem mem;
	uint64_t seed;
	unsigned one_in;	/* reads that are spoiled; 0: none, but */
	unsigned spoiled;	/* single blocks of private heaps that say they hold tiny objects, as many as can be said */
};

static void spoil_block(struct spoiler *sp, void *buf)
{
	struct mw_mspan s;

	memcpy(&s, buf, sizeof(s));
	if (s.state != MW_SPAN_PRIVATE_LARGE && s.state != MW_SPAN_PRIVATE_HUGE)
		return;
	s.cls = UINT8_MAX;
	s.flags |= MW_SPAN_TINY;
	s.nelems = s.used = UINT16_MAX;
	s.aux = s.base;
	memcpy(buf, &s, sizeof(s));
	sp->spoiled++;
}

static uint64_t next(uint64_t *s)
{
	uint64_t x = *s += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	return (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb) >> 7;
}

static uint64_t odd_value(uint64_t old, uint64_t *s)
{
	switch (next(s) % 7) {
	case 0: return 0;
	case 1: return UINT64_MAX;
	case 2: return old ^ UINT64_C(1) << next(s) % 64;
	case 3: return next(s) % 100000;
	case 4: return old + 8 * (next(s) % 64);
	case 5: return old << 32 | old >> 32;
	default: return next(s) << 40 | next(s);
	}
}

static bool read_spoiled(void *ctx, uint64_t addr, void *buf, size_t size)
{
	struct spoiler *sp = ctx;

	if (!mw__proc_mem_read(&sp->mem, addr, buf, size))
		return false;
	if (!sp->one_in && size == sizeof(struct mw_mspan))
		spoil_block(sp, buf);
	for (size_t at = 0; at + 8 <= size && sp->one_in; at += 8)
		if (next(&sp->seed) % sp->one_in == 0) {
			uint64_t word;

			memcpy(&word, (char *)buf + at, 8);
			word = odd_value(word, &sp->seed);
			memcpy((char *)buf + at, &word, 8);
		}
	return true;
}

static int swallow(void *ctx, const void *bytes, size_t len)
{
	*(size_t *)ctx += len + (bytes ? 0 : 1);
	return 0;
}

static bool sums(const struct mw_snapshot *snap)
{
	struct mw_account *acc = NULL;
	struct mw__bridge b;
	bool good;

	if (mw_account_create(snap, &acc, NULL) < 0)
		return false;
	good = mw__bridge_make(snap, acc, &b) == 0;
	uint64_t before = b.totals[0];

	for (unsigned i = 1; good && i < MW__N_TOTALS; i++) {
		for (unsigned k = 0; k < MW__N_STEPS; k++)
			before += mw__bridge_steps[k].to == i && b.steps[k] != INT64_MIN ? (uint64_t)b.steps[k] : 0;
		good = before == b.totals[i] || b.totals[i] == MW_UNKNOWN || b.totals[0] == MW_UNKNOWN;
		before = b.totals[i];
	}
	mw_account_destroy(acc);
	return good;
}

static bool prints(const struct mw_snapshot *snap)
{
	struct mw_heap_opts opts = { .size = sizeof(opts), .all = true, .picture = 1 };
	struct mw_text_opts text = { .size = sizeof(text), .width = 100, .utf8 = true };
	struct mw_document *doc = NULL;
	size_t n = 0;
	struct mw_sink sink = { swallow, &n };
	bool good = mw_report_heap(snap, &opts, &doc, NULL) == 0 && mw_document_text(doc, &text, &sink, NULL) == 0 &&
		    mw_document_json(doc, &sink, NULL) == 0;

	mw_document_destroy(doc);
	return good && n;
}

static void forget(struct mw_snapshot *snap, size_t claims)
{
	if (snap->own)
		mw__own_deinit(snap->own);
	snap->own = NULL;
	snap->claims.n = claims;
}

static bool check(struct mw_snapshot *snap, const struct mw__proc *proc, unsigned rounds, uint64_t seed)
{
	struct spoiler sp = { .mem = { .snap = snap, .proc = proc, .fd = -1 }, .seed = seed };
	struct mw__mem mem = { read_spoiled, &sp, 8 };
	struct mw__walk w = { .snap = snap, .mem = &mem, .page_size = snap->target.page_size };
	unsigned bad = 0, found = 0;
	size_t claims = 0;

	while (claims < snap->claims.n && strncmp(mw__owners[snap->claims.v[claims].owner].id, "memwhy", 6))
		claims++;
	for (unsigned i = 0; i < rounds; i++) {
		forget(snap, claims);
		sp.one_in = 10u << next(&sp.seed) % 18;
		int rc = mw__heap_own(&w);

		found += snap->own != NULL;
		if (rc < 0 || (snap->own && (!sums(snap) || !prints(snap)))) {
			printf("# round %u: %d\n", i, rc);
			bad++;
		}
		snap->notes.n = 0;
	}
	forget(snap, claims);
	mw__proc_mem_close(&sp.mem);
	printf("# seed %llu: %u of %u rounds found a heap\n", (unsigned long long)seed, found, rounds);
	return !bad && found;
}

/* Are blocks taken for what they are, whatever they say of objects? */
static bool check_blocks(struct mw_snapshot *snap, const struct mw__proc *proc)
{
	struct spoiler sp = { .mem = { .snap = snap, .proc = proc, .fd = -1 } };
	struct mw__mem mem = { read_spoiled, &sp, 8 };
	struct mw__walk w = { .snap = snap, .mem = &mem, .page_size = snap->target.page_size };
	size_t claims = snap->claims.n;

	forget(snap, claims);
	bool good = mw__heap_own(&w) == 0 && snap->own && !mw__own_check(snap->own) && sums(snap) && prints(snap);

	forget(snap, claims);
	mw__proc_mem_close(&sp.mem);
	return good && sp.spoiled;
}

static pid_t start(char **argv, int *in)
{
	int to[2], from[2];
	char byte = 'g';

	if (pipe(to) || pipe(from))
		return -1;
	pid_t pid = fork();

	if (pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		execvp(argv[0], argv);
		_exit(127);
	}
	*in = to[1];
	return write(to[1], &byte, 1) == 1 && read(from[0], &byte, 1) == 1 ? pid : -1;
}

int main(int argc, char **argv)
{
	struct mw_snapshot *snap = NULL;
	int in = -1;

	if (argc < 5)
		return 2;
	pid_t pid = start(argv + 4, &in);
	MW_CLEANUP(mw__proc_close) struct mw__proc proc = { .root_fd = -1, .pid_fd = -1, .task_fd = -1 };
	bool there = pid > 0 && mw_collect_pid(pid, NULL, &snap, NULL) == 0 && snap->own &&
		     mw__proc_open(&proc, NULL, pid, NULL) == 0;

	ok(there, "a real heap to spoil");
	ok(there && sums(snap) && prints(snap), "unspoiled it sums and prints");
	if (atoi(argv[1]))
		ok(there && check(snap, &proc, (unsigned)atoi(argv[1]), strtoull(argv[2], NULL, 10)), "spoiled it does, too");
	else
		ok(there && check_blocks(snap, &proc), "a block of a private heap that says it holds tiny objects is a block");
	mw_snapshot_destroy(snap);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return done_testing();
}
