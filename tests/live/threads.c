/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Thread stacks: blocked, spinning, with other guards, given by the program,
 * and one that glibc keeps after its thread has ended. A thread measures
 * nothing itself; the main thread says what stands when all of them hold still.
 */
#include "truth.h"
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

struct worker {
	const char *name;
	size_t deep;            /* bytes of stack to touch */
	size_t guard;           /* SIZE_MAX: glibc's default */
	char *own_stack;        /* or NULL: glibc's */
	size_t stack_size;
	bool spins, ends;
	/* filled by the thread */
	volatile bool there;
	pid_t tid;
	char *low;
	size_t size, real_guard;
	bool is_wide;
	pthread_t id;
};

static int gate[2];             /* nobody writes: a read blocks for good */

static __attribute__((noinline)) void go_deep(size_t bytes)
{
	volatile char frame[PAGE];

	frame[0] = 1;
	if (bytes > PAGE)
		go_deep(bytes - PAGE);
	frame[PAGE - 1] = frame[0];
}

static void note_stack(struct worker *w)
{
	pthread_attr_t attr;
	void *low;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &low, &w->size);
	pthread_attr_getguardsize(&attr, &w->real_guard);
	pthread_attr_destroy(&attr);
	/* glibc takes the size as it is, and mmap rounds it up */
	w->low = low;
	w->size = (w->size + PAGE - 1) & ~(PAGE - 1);
	w->tid = (pid_t)syscall(SYS_gettid);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	char c;

	note_stack(w);
	go_deep(w->deep);
	if (w->spins)
		setpriority(PRIO_PROCESS, (id_t)w->tid, 19);
	w->there = true;
	if (w->ends)
		return NULL;
	while (w->spins)
		;
	while (read(gate[0], &c, 1) < 0 && errno == EINTR)
		;
	return NULL;
}

static bool start(struct worker *w)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	if (w->stack_size && !w->own_stack)
		pthread_attr_setstacksize(&attr, w->stack_size);
	if (w->own_stack)
		pthread_attr_setstack(&attr, w->own_stack, w->stack_size);
	if (w->guard != SIZE_MAX)
		pthread_attr_setguardsize(&attr, w->guard);
	if (pthread_create(&w->id, &attr, work, w))
		return false;
	for (int i = 0; i < 500 && !w->there; i++)
		usleep(2000);
	return w->there;
}

static bool is_whole_mapping(const char *p, size_t size)
{
	uint64_t start, end;

	return find_mapping(p, &start, &end) &&
	       start == (uintptr_t)p && end == start + size;
}

/* musl keeps the thread's descriptor above its stack, in the same mapping. */
static bool widen(struct worker *w)
{
	uint64_t start, end;

	if (!find_mapping(w->low, &start, &end) || start != (uintptr_t)w->low ||
	    end <= start + w->size || end - start - w->size > 64 * KIB)
		return false;
	w->size = (size_t)(end - start);
	return true;
}

/* A running thread of a 32-bit program shows no stack pointer and no list head. */
static bool shows_itself(const struct worker *w)
{
	return !w->ends && !(w->spins && sizeof(void *) == 4);
}

static void say_stack(struct worker *w)
{
	bool proven;

	w->is_wide = widen(w);
	proven = !w->is_wide && shows_itself(w);
	struct expect e = measure_anon(w->low, w->size, proven ? "N19" : "N19|N21");
	char detail[64], name[64];

	/* A stack of the program's own inside a larger mapping has no edges. */
	e.not_alone = !is_whole_mapping(w->low, w->size);
	if (proven) {
		e.owner = "thread-stack";
		snprintf(detail, sizeof(detail), "\"tid\":%d", (int)w->tid);
		e.detail = detail;
	}
	snprintf(name, sizeof(name), "stack-%s", w->name);
	say(name, w->low, w->size, e);
}

static void say_guard(const struct worker *w)
{
	char name[64];
	char *p = w->low - w->real_guard;

	if (!w->real_guard || w->own_stack)
		return;
	snprintf(name, sizeof(name), "guard-%s", w->name);
	say(name, p, w->real_guard, (struct expect){
		.not_alone = !is_whole_mapping(p, w->real_guard),
		.untouched = w->real_guard,
		.owner = !w->is_wide && shows_itself(w) ? "thread-guard" : NULL,
		.causes = {{"N9", w->real_guard}}});
}

/* One mapping: data, a stack in the middle, data. Only the sum is provable. */
static void stack_inside_data(void)
{
	static struct worker w = {.name = "inside-data", .guard = SIZE_MAX,
				  .stack_size = 4 * SIZE, .deep = 0};
	char *p = anon_island(6 * SIZE);
	struct expect e;

	w.own_stack = p + SIZE;
	write_pages(p, 4);
	write_pages(p + 5 * SIZE, 2);
	if (!start(&w)) {
		say_skip("stack-inside-data", "pthread_create");
		return;
	}
	e = measure_anon(p, 6 * SIZE, "N19|N21");
	say("stack-inside-data", p, 6 * SIZE, e);
}

int main(void)
{
	static struct worker workers[] = {
		{.name = "blocked", .guard = SIZE_MAX},
		{.name = "blocked-deep", .guard = SIZE_MAX, .stack_size = 8 * MIB, .deep = MIB},
		{.name = "spinning", .guard = SIZE_MAX, .spins = true},
		{.name = "small", .guard = SIZE_MAX, .stack_size = 256 * KIB},
		{.name = "guard-64k", .guard = 64 * KIB, .stack_size = MIB},
		{.name = "ended", .guard = SIZE_MAX, .stack_size = 3 * MIB,
		 .deep = MIB, .ends = true},
		{.name = "odd-size", .guard = SIZE_MAX, .stack_size = 256 * KIB + 4000, .spins = true},
		{.name = "given", .guard = SIZE_MAX, .stack_size = 512 * KIB, .deep = SIZE},
	};
	size_t count = sizeof(workers) / sizeof(workers[0]);
	uint64_t from, to;

	begin();
	if (pipe(gate))
		return 1;
	workers[count - 1].own_stack = anon_island(512 * KIB);
	for (size_t i = 0; i < count; i++)
		if (!start(&workers[i]))
			say_skip(workers[i].name, "pthread_create");
	stack_inside_data();
	pthread_join(workers[5].id, NULL);
	usleep(50000);
	for (size_t i = 0; i < count; i++) {
		if (!workers[i].there)
			continue;
		if (!find_mapping(workers[i].low, &from, &to)) {
			say_skip("stack-ended", "this libc keeps no stack of an ended thread");
			continue;
		}
		say_stack(&workers[i]);
		say_guard(&workers[i]);
	}
	hold();
}
