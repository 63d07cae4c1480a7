/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Records of a perf ring (linux/perf_event.h, enum perf_event_type). They come from the kernel, but are
 * read as if they did not: every field is inside header->size or it is not read. Records other than
 * samples end with thread and time (sample_id_all).
 */
#include "trace.h"

#include "../base/size.h"

#include <string.h>
#include <sys/mman.h>

struct cursor {
	const char *p, *end;
	bool short_;		/* more was asked for than there is */
};

static uint64_t take64(struct cursor *c)
{
	uint64_t v = 0;

	if (c->end - c->p < 8) {
		c->short_ = true;
		return 0;
	}
	memcpy(&v, c->p, 8);
	c->p += 8;
	return v;
}

static uint32_t take32(struct cursor *c)
{
	uint32_t v = 0;

	if (c->end - c->p < 4) {
		c->short_ = true;
		return 0;
	}
	memcpy(&v, c->p, 4);
	c->p += 4;
	return v;
}

/* Bytes behind every record but a sample: pid, tid, time. */
#define TRAILER 16

static uint64_t trailer_time(const struct perf_event_header *h)
{
	uint64_t time = 0;

	if (h->size >= sizeof(*h) + TRAILER)
		memcpy(&time, (const char *)h + h->size - 8, 8);
	return time;
}

/* The callers of a sample, innermost first: the first user address is the instruction itself. */
static int take_chain(struct mw__decoder *d, struct cursor *c, struct mw__fault *f)
{
	uint64_t n = take64(c);
	bool is_user = false;

	f->chain = (uint32_t)d->rec->chains.n;
	for (uint64_t i = 0; i < n && !c->short_ && f->n_chain < UINT16_MAX; i++) {
		uint64_t ip = take64(c);

		if (ip >= (uint64_t)PERF_CONTEXT_MAX) {
			is_user = ip == (uint64_t)PERF_CONTEXT_USER;
			continue;
		}
		if (!is_user || c->short_)
			continue;
		uint64_t *slot = MW_VEC_PUSH(&d->rec->chains);

		if (!slot)
			return -MW_E_NOMEM;
		*slot = ip;
		f->n_chain++;
	}
	if (!f->n_chain)
		f->chain = MW__NONE;
	return 0;
}

static int keep(struct mw__decoder *d, const struct mw__fault *f)
{
	size_t n = 1;
	struct mw__fault *slot = mw__pile_room(&d->ring->faults, &n);

	if (!slot)
		return -MW_E_NOMEM;
	*slot = *f;
	d->ring->faults.n++;
	return 0;
}

static int count_and_keep(struct mw__decoder *d, const struct mw__fault *f)
{
	d->events->samples++;
	if (d->events->kept >= d->events->limit)
		return 0;
	d->events->kept++;
	return keep(d, f);
}

void mw__decode_keep(struct mw__decoder *d, size_t n)
{
	uint64_t room = mw__sub0(d->events->limit, d->events->kept);

	d->events->samples += n;
	d->events->kept += mw__min(n, room);
	d->ring->faults.n += mw__min(n, room);
}

uint64_t mw__decode_time(const struct mw__decoder *d, uint64_t time)
{
	return mw__sub0(time, d->events->zero_ns);
}

static int take_sample(struct mw__decoder *d, const struct perf_event_header *h)
{
	struct cursor c = { (const char *)(h + 1), (const char *)h + h->size, false };
	struct mw__fault f = { .chain = MW__NONE };

	f.ip = take64(&c);
	f.pid = take32(&c);
	f.tid = take32(&c);
	f.time_ns = mw__decode_time(d, take64(&c));
	f.addr = take64(&c);
	if (c.short_)
		return 0;
	if (d->ring->kind == MW__EVENT_MAJORS)
		return keep(d, &f);
	if (d->events->stacks && d->events->kept < d->events->limit && take_chain(d, &c, &f) < 0)
		return -MW_E_NOMEM;
	return count_and_keep(d, &f);
}

static int add_move(struct mw__decoder *d, const struct mw__move *m, const char *name, size_t len)
{
	struct mw__move *slot = MW_VEC_PUSH(&d->rec->moves);

	if (!slot)
		return -MW_E_NOMEM;
	*slot = *m;
	slot->object = MW__NONE;
	slot->name = mw__arena_intern(&d->rec->arena, name, len);
	return slot->name ? 0 : -MW_E_NOMEM;
}

static uint8_t prot_of(uint32_t prot)
{
	return (uint8_t)((prot & PROT_READ ? MW__R : 0) | (prot & PROT_WRITE ? MW__W : 0) | (prot & PROT_EXEC ? MW__X : 0));
}

static int take_mmap2(struct mw__decoder *d, const struct perf_event_header *h)
{
	struct cursor c = { (const char *)(h + 1), (const char *)h + h->size, false };
	struct mw__move m = { .kind = MW__MOVE_MAP, .time_ns = mw__decode_time(d, trailer_time(h)) };

	m.pid = take32(&c);
	m.tid = take32(&c);
	m.start = take64(&c);
	uint64_t len = take64(&c);

	m.off = take64(&c);
	for (int i = 0; i < 3; i++)	/* device, inode, generation; or a build ID */
		take64(&c);
	m.prot = prot_of(take32(&c));
	take32(&c);			/* flags */
	if (c.short_ || c.end - c.p < TRAILER || !len || __builtin_add_overflow(m.start, len, &m.end))
		return 0;
	return add_move(d, &m, c.p, strnlen(c.p, (size_t)(c.end - c.p) - TRAILER));
}

static int take_comm(struct mw__decoder *d, const struct perf_event_header *h)
{
	struct cursor c = { (const char *)(h + 1), (const char *)h + h->size, false };
	struct mw__move m = { .time_ns = mw__decode_time(d, trailer_time(h)) };

	m.kind = h->misc & PERF_RECORD_MISC_COMM_EXEC ? MW__MOVE_EXEC : MW__MOVE_NAME;
	m.pid = take32(&c);
	m.tid = take32(&c);
	if (c.short_ || c.end - c.p < TRAILER)
		return 0;
	return add_move(d, &m, c.p, strnlen(c.p, (size_t)(c.end - c.p) - TRAILER));
}

static int take_task(struct mw__decoder *d, const struct perf_event_header *h)
{
	struct cursor c = { (const char *)(h + 1), (const char *)h + h->size, false };
	struct mw__move m = { .kind = h->type == PERF_RECORD_FORK ? MW__MOVE_FORK : MW__MOVE_EXIT };

	m.pid = take32(&c);
	m.parent = take32(&c);
	m.tid = take32(&c);
	take32(&c);			/* parent's thread */
	m.time_ns = mw__decode_time(d, take64(&c));
	return c.short_ ? 0 : add_move(d, &m, "", 0);
}

static void take_lost(struct mw__decoder *d, const struct perf_event_header *h)
{
	struct cursor c = { (const char *)(h + 1), (const char *)h + h->size, false };

	take64(&c);			/* id of the event */
	d->ring->lost += take64(&c);
}

int mw__decode(struct mw__decoder *d, const struct perf_event_header *header)
{
	switch (header->type) {
	case PERF_RECORD_SAMPLE:
		return take_sample(d, header);
	case PERF_RECORD_MMAP2:
		return take_mmap2(d, header);
	case PERF_RECORD_COMM:
		return take_comm(d, header);
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		return take_task(d, header);
	case PERF_RECORD_LOST:
		take_lost(d, header);
		return 0;
	default:
		return 0;
	}
}
