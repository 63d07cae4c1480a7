/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * region - read the heap of another process from outside, and compare with its books.
 *
 * The target keeps books of its own: how many blocks of each class it holds, and how
 * many bytes it ever asked for. The reader knows nothing of the target but its pid and
 * lib/alloc/abi.h: it finds the ELF note through /proc/PID/maps, reads memory with
 * process_vm_readv, and must come to the same numbers to the unit, since the target
 * stands still. Then, with the target running, everything read must stay within the
 * bound that abi.h gives.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/alloc/abi.h"
#include "tap.h"

/* --- reading ------------------------------------------------------------------------ */

static pid_t target;

static int peek(uint64_t addr, void *buf, size_t size)
{
	struct iovec to = { buf, size }, from = { (void *)addr, size };

	return process_vm_readv(target, &to, 1, &from, 1, 0) == (ssize_t)size;
}

/* The note among @size bytes of notes at @addr; the region's address or 0. */
static uint64_t find_note(uint64_t addr, uint64_t size)
{
	while (size >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr h;
		char name[8] = "";
		uint64_t desc, step;

		if (!peek(addr, &h, sizeof(h)))
			return 0;
		desc = addr + sizeof(h) + ((h.n_namesz + 3) & ~3u);
		step = desc + ((h.n_descsz + 3) & ~3u) - addr;
		if (h.n_type == MW_ABI_NOTE_TYPE && h.n_namesz == sizeof(MW_ABI_NOTE_NAME) &&
		    h.n_descsz >= sizeof(struct mw_abi_note) &&
		    peek(addr + sizeof(h), name, h.n_namesz) && !strcmp(name, MW_ABI_NOTE_NAME)) {
			struct mw_abi_note n;

			if (!peek(desc, &n, sizeof(n)) || n.major != MW_ABI_MAJOR)
				return 0;
			return desc + offsetof(struct mw_abi_note, region_off) + (uint64_t)n.region_off;
		}
		if (step > size)
			return 0;
		addr += step;
		size -= step;
	}
	return 0;
}

static uint64_t find_in_image(uint64_t base)
{
	Elf64_Ehdr e;
	Elf64_Phdr p;
	uint64_t found = 0;

	if (!peek(base, &e, sizeof(e)) || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0)
		return 0;
	for (int i = 0; i < e.e_phnum && !found; i++)
		if (peek(base + e.e_phoff + (uint64_t)i * sizeof(p), &p, sizeof(p)) &&
		    p.p_type == PT_NOTE)
			found = find_note(base + p.p_vaddr, p.p_memsz);
	return found;
}

static uint64_t find_region(void)
{
	char path[64], line[512];
	uint64_t start, off, found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)target);
	f = fopen(path, "r");
	while (f && !found && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%*x %*s %lx", &start, &off) == 2 && off == 0)
			found = find_in_image(start);
	if (f)
		fclose(f);
	return found;
}

/* --- the snapshot --------------------------------------------------------------------- */

struct picture {
	struct mw_region r;
	struct mw_class classes[MW_N_CLASSES];
	uint8_t bucket_class[MW_N_BUCKETS];
	struct mw_mcentral centrals[MW_N_CLASSES];
	uint64_t out[MW_N_CLASSES], cached[MW_N_CLASSES], sampled[MW_N_CLASSES];
	uint64_t n_malloc[MW_N_CLASSES];
	uint64_t fetched[MW_N_CLASSES], flushed[MW_N_CLASSES];
	uint64_t large_requested, huge_requested, n_large, n_huge, n_bad_spans;
	uint64_t pages_in_spans, pages_free, n_threads;
	int64_t requested;
	uint64_t seqs;
};

static int read_table(const struct picture *p, unsigned id, void *buf, size_t size)
{
	return peek(p->r.tables[id].addr, buf, size);
}

static void count_span(struct picture *p, const struct mw_mspan *s)
{
	unsigned bits = 0;

	p->pages_in_spans += s->npages;
	switch (s->state) {
	case MW_SPAN_SMALL:
		for (int i = 0; i < MW_SPAN_BITS_WORDS; i++)
			bits += (unsigned)__builtin_popcountll(s->alloc_bits[i]);
		p->n_bad_spans += bits != s->used || s->elemsize != p->classes[s->cls].size;
		p->out[s->cls] += s->used;
		break;
	case MW_SPAN_SAMPLED:
		p->sampled[s->cls] += s->used;
		break;
	case MW_SPAN_LARGE:
		p->n_large++;
		p->large_requested += s->requested;
		break;
	case MW_SPAN_CACHED:
		break;
	default:
		p->n_bad_spans++;
	}
}

static void read_arena(struct picture *p, uint64_t addr)
{
	static struct mw_heap_arena a;
	struct mw_mspan s;

	if (!peek(addr, &a, sizeof(a)))
		return;
	for (uint32_t i = 0; i < MW_ARENA_PAGES; i++) {
		uint64_t at = a.spans[i];

		p->pages_free += (a.map_bits[i / 64] & ~a.alloc_bits[i / 64]) >> (i % 64) & 1;
		if (!at || (i > 0 && a.spans[i - 1] == at))
			continue;
		if (peek(at, &s, sizeof(s)))
			count_span(p, &s);
	}
}

static void read_mcaches(struct picture *p)
{
	struct mw_mcache m;

	for (uint64_t at = p->r.mcaches; at && peek(at, &m, sizeof(m)); at = m.next) {
		p->requested += m.drawn - m.until_sample;
		p->n_threads += m.state == MW_MCACHE_LIVE;
		p->seqs += m.seq;
		for (int b = 0; b < MW_N_BUCKETS; b++)
			p->n_malloc[p->bucket_class[b]] += m.n_requests[b];
		for (int c = 1; c < MW_N_CLASSES; c++) {
			p->fetched[c] += m.n_fetched[c];
			p->flushed[c] += m.n_flushed[c];
			if (m.state == MW_MCACHE_LIVE)
				p->cached[c] += (m.bins[c].top - m.bins[c].base) / 8;
		}
	}
}

static void read_huge(struct picture *p)
{
	for (uint64_t i = 0; i < p->r.heap.n_huge_slots; i++) {
		struct mw_mspan s;
		uint64_t at = 0;

		if (peek(p->r.heap.huge + i * 8, &at, 8) && at && peek(at, &s, sizeof(s))) {
			p->n_huge++;
			p->huge_requested += s.requested;
		}
	}
}

static int take_picture(uint64_t region, struct picture *p)
{
	memset(p, 0, sizeof(*p));
	if (!peek(region, &p->r, sizeof(p->r)) || p->r.magic != MW_ABI_MAGIC ||
	    p->r.major != MW_ABI_MAJOR || p->r.state != MW_REGION_READY)
		return 0;
	if (!read_table(p, MW_TABLE_CLASSES, p->classes, sizeof(p->classes)) ||
	    !read_table(p, MW_TABLE_BUCKETS, p->bucket_class, sizeof(p->bucket_class)) ||
	    !read_table(p, MW_TABLE_MCENTRALS, p->centrals, sizeof(p->centrals)))
		return 0;
	for (uint64_t i = 0; i < p->r.heap.n_arenas; i++) {
		uint64_t at = 0;

		if (peek(p->r.heap.arenas + i * 8, &at, 8))
			read_arena(p, at);
	}
	read_huge(p);
	p->requested += p->r.dead.drawn - p->r.dead.until_sample;
	for (int b = 0; b < MW_N_BUCKETS; b++)
		p->n_malloc[p->bucket_class[b]] += p->r.dead.n_requests[b];
	for (int c = 0; c < MW_N_CLASSES; c++) {
		p->fetched[c] += p->r.dead.n_fetched[c];
		p->flushed[c] += p->r.dead.n_flushed[c];
	}
	read_mcaches(p);
	return 1;
}

static int64_t live(const struct picture *p, int c)
{
	return (int64_t)(p->out[c] - p->cached[c] - p->centrals[c].n_transfer + p->sampled[c]);
}

/* --- the target ----------------------------------------------------------------------- */

struct books {
	uint64_t live[MW_N_CLASSES];      /* blocks held, by class of the request */
	uint64_t allocs[MW_N_CLASSES];
	uint64_t requested;               /* bytes ever asked for */
	uint64_t n_large, large_requested, n_huge, huge_requested;
};

static struct books books;
static pthread_mutex_t books_lock = PTHREAD_MUTEX_INITIALIZER;

/* The class of a request, by the rule of the manual page and the public table. */
static int class_of(size_t n)
{
	static const uint32_t size[] = { 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208,
		224, 240, 256, 288, 320, 352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 896,
		1024, 1152, 1280, 1408, 1536, 1792, 2048, 2304, 2688, 3072, 3200, 3456, 4096, 4864,
		5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336,
		16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768 };
	int i = 0;

	if (n > 32768)
		return 0;
	while (size[i] < n)
		i++;
	return i == 0 ? 2 : i + 3; /* 8 and 24 are not served */
}

static void book(size_t n, int sign)
{
	int c = class_of(n);

	pthread_mutex_lock(&books_lock);
	if (sign > 0)
		books.requested += n;
	if (c) {
		books.live[c] += (uint64_t)sign;
		books.allocs[c] += sign > 0;
	} else if (n <= 32 << 20) {
		books.n_large += (uint64_t)sign;
		books.large_requested += (uint64_t)sign * n;
	} else {
		books.n_huge += (uint64_t)sign;
		books.huge_requested += (uint64_t)sign * n;
	}
	pthread_mutex_unlock(&books_lock);
}

/* Not below 16: one sampled block of a byte would stand for 32768, a fourth of all. */
static size_t some_size(unsigned long *r)
{
	switch (tap_random(r) % 20) {
	case 0:
		return 16 + tap_random(r) % 32700;
	case 1:
		return 16 + (tap_random(r) % 200 ? tap_random(r) % 100000 : tap_random(r) % 50000000);
	default:
		return 16 + tap_random(r) % 700;
	}
}

#define HELD 4000
static int stop_running;
static pthread_barrier_t barrier;

static void churn(unsigned long *r, void **p, size_t *n, int rounds, int keep_books)
{
	for (int i = 0; i < rounds; i++) {
		unsigned long k = tap_random(r) % HELD;

		if (p[k]) {
			free(p[k]);
			if (keep_books)
				book(n[k], -1);
			p[k] = NULL;
		} else {
			n[k] = some_size(r);
			p[k] = malloc(n[k]);
			if (keep_books)
				book(n[k], 1);
		}
	}
}

static void *held[4][HELD];
static size_t held_size[4][HELD];

static void *target_thread(void *arg)
{
	long id = (long)arg;
	unsigned long r = 99 + (unsigned long)id;

	churn(&r, held[id], held_size[id], 60000, 1);
	pthread_barrier_wait(&barrier); /* books are told */
	pthread_barrier_wait(&barrier); /* the reader has read */
	while (!__atomic_load_n(&stop_running, __ATOMIC_RELAXED))
		churn(&r, held[id], held_size[id], 1000, 0);
	return NULL;
}

static void *short_thread(void *arg)
{
	void *p = malloc(100);

	book(100, 1);
	free(p);
	book(100, -1);
	return arg;
}

/* Blocks that libc allocated on its own before and for us are found by a first picture. */
static int run_target(int in, int out)
{
	pthread_t t[4];
	char c = 'b';

	pthread_barrier_init(&barrier, NULL, 5);
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, target_thread, (void *)i);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 20; i++) {
		pthread_t s;

		pthread_create(&s, NULL, short_thread, NULL);
		pthread_join(s, NULL);
	}
	if (write(out, &books, sizeof(books)) != sizeof(books) || read(in, &c, 1) != 1)
		return 1;
	pthread_barrier_wait(&barrier);
	if (write(out, "r", 1) != 1 || read(in, &c, 1) != 1)
		return 1;
	stop_running = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	return 0;
}

/* --- the comparison --------------------------------------------------------------------- */

static void compare(const struct picture *p, const struct books *b)
{
	int64_t extra_live = 0, extra_allocs = 0;
	int live_ok = 1, allocs_ok = 1, flow_ok = 1;

	for (int c = 1; c < MW_N_CLASSES; c++) {
		int64_t dl = live(p, c) - (int64_t)b->live[c];
		int64_t da = (int64_t)p->n_malloc[c] - (int64_t)b->allocs[c];

		/* libc's own few blocks (thread stacks' vectors, stdio) are all that may be more */
		live_ok &= dl >= 0;
		allocs_ok &= da >= 0 && da >= dl;
		extra_live += dl;
		extra_allocs += da;
		flow_ok &= p->out[c] == p->fetched[c] - p->flushed[c] + p->centrals[c].n_transfer +
						(p->out[c] - p->centrals[c].n_out) ||
			   p->out[c] == p->centrals[c].n_out;
		if (dl < 0 || da < 0 || dl > 20)
			printf("# class %d: live %ld books %lu\n", c, (long)live(p, c),
			       (unsigned long)b->live[c]);
	}
	ok(live_ok && extra_live < 20, "live blocks of every class agree (libc's own: %ld)",
	   (long)extra_live);
	ok(allocs_ok && extra_allocs < 60, "allocations of every class agree (libc's own: %ld)",
	   (long)extra_allocs);
	ok(flow_ok, "objects out of spans agree with their mcentral");
	ok(p->n_large == b->n_large && p->large_requested == b->large_requested,
	   "large blocks and their bytes agree");
	ok(p->n_huge == b->n_huge && p->huge_requested == b->huge_requested,
	   "huge blocks and their bytes agree");
	ok(p->requested >= (int64_t)b->requested && p->requested < (int64_t)b->requested + 40000,
	   "bytes ever requested agree (libc's own: %ld)", (long)(p->requested - (int64_t)b->requested));
	ok(p->n_bad_spans == 0, "every span's bits, count and class agree");
	ok(p->pages_in_spans == p->r.heap.pages_in_use &&
		   p->pages_free == p->r.heap.pages_dirty + p->r.heap.pages_clean &&
		   p->r.heap.pages_mapped == p->pages_in_spans + p->pages_free,
	   "pages: mapped = in spans + free");
	ok(p->n_threads == 5, "the mcaches of the live threads are there");
}

static void check_samples(const struct picture *p)
{
	static struct mw_site sites[MW_N_SITES];
	uint64_t n = p->r.tables[MW_TABLE_SITES].count, live_n = 0, est = 0, sampled = 0;
	uint64_t count = 0, mallocs = p->r.heap.n_large_allocs + p->r.heap.n_huge_allocs;
	int stacks = 1;

	if (n > MW_N_SITES || !peek(p->r.tables[MW_TABLE_SITES].addr, sites, n * sizeof(sites[0])))
		n = 0;
	for (uint64_t i = 0; i < n; i++) {
		live_n += sites[i].n_live;
		count += sites[i].est_alloc_count;
		est += sites[i].est_alloc_bytes;
		stacks &= i == 0 || sites[i].n_frames > 0;
	}
	for (int c = 0; c < MW_N_CLASSES; c++) {
		sampled += p->sampled[c];
		mallocs += p->n_malloc[c];
	}
	ok(n > 1 && stacks && live_n >= sampled, "sampled sites have stacks (%lu sites)",
	   (unsigned long)n);
	ok(est > (uint64_t)p->requested * 8 / 10 && est < (uint64_t)p->requested * 12 / 10,
	   "the samples estimate the bytes requested: %lu of %lu", (unsigned long)est,
	   (unsigned long)p->requested);
	/* the variance of a block of n bytes is 32768 / n, its weight 2048 at most: by Bernstein's inequality
	 * two in five is exceeded once in 10^9 runs */
	ok(count > mallocs * 6 / 10 && count < mallocs * 14 / 10,
	   "and the number of allocations: %lu of %lu", (unsigned long)count, (unsigned long)mallocs);
}

static void check_events(const struct picture *p)
{
	static struct mw_event ring[MW_N_EVENTS];
	uint64_t n = p->r.n_events, good = 0, from = n > MW_N_EVENTS ? n - MW_N_EVENTS : 0;

	if (!read_table(p, MW_TABLE_EVENTS, ring, sizeof(ring)))
		n = 0;
	for (uint64_t i = from; i < n; i++)
		good += ring[i % MW_N_EVENTS].seq == i + 1 && ring[i % MW_N_EVENTS].kind != 0;
	ok(n > 0 && good == n - from, "the ring holds the newest events in order");
}

/* While it runs: each thread may be off by what is in flight. */
static void watch_running(uint64_t region)
{
	static struct picture p;
	int64_t slack = 5 * 64 * MW_N_CLASSES;
	int good = 1, shots = 0;

	for (; shots < 30; shots++) {
		int64_t sum = 0;

		good &= take_picture(region, &p);
		for (int c = 1; c < MW_N_CLASSES; c++)
			sum += live(&p, c);
		good &= sum > -slack && sum < 4 * HELD + slack + 200;
		usleep(2000);
	}
	ok(good, "pictures of the running target stay within the bound");
}

int main(int argc, char **argv)
{
	static struct picture p;
	struct books b;
	int to[2], from[2], status = 0;
	uint64_t region;
	char in[16], out[16];

	if (argc == 3)
		return run_target(atoi(argv[1]), atoi(argv[2]));
	if (pipe(to) || pipe(from))
		return 1;
	snprintf(in, sizeof(in), "%d", to[0]);
	snprintf(out, sizeof(out), "%d", from[1]);
	target = fork();
	if (target == 0) {
		setenv("MEMWHY_MALLOC", "sample=32768", 1);
		execl("/proc/self/exe", argv[0], in, out, (char *)NULL);
		_exit(127);
	}
	if (read(from[0], &b, sizeof(b)) != sizeof(b))
		return 1;
	region = find_region();
	ok(region != 0, "the note leads to the region");
	ok(take_picture(region, &p), "the region is of this version and ready");
	ok(p.r.pid == target && p.r.size == sizeof(struct mw_region), "it is the target's own");
	compare(&p, &b);
	check_samples(&p);
	check_events(&p);
	if (write(to[1], "g", 1) != 1 || read(from[0], in, 1) != 1)
		return 1;
	watch_running(region);
	if (write(to[1], "s", 1) != 1)
		return 1;
	waitpid(target, &status, 0);
	ok(status == 0, "the target ended well");
	return tap_done();
}
