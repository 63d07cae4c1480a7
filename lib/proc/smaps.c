/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * /proc/PID/smaps and smaps_rollup: per mapping a line of maps, then "Key:   N kB" lines
 * in an order that differs between kernels. Keys are looked up in a table built from
 * smaps.def; the search starts behind the key found last, so in the usual order each
 * line costs one comparison. Unknown keys are ignored.
 */
#include "proc.h"

#include "../base/cleanup.h"
#include "../base/count.h"
#include "../base/err.h"

#include <string.h>

struct key {
	const char *name;
	size_t len, offset;
};

static const struct key keys[] = {
#define SMAPS(member, key, json, what) { key, sizeof(key) - 1, offsetof(struct mw__smaps, member) },
#include "../model/smaps.def"
#undef SMAPS
};
#define N_KEYS MW__COUNT(keys)

/*
 * Both visit every page table entry of the target under its lock. Measured on Linux 6.18: 6 to 21 ms for a GiB in
 * 4 KiB pages, and about 0.5 us for a mapping.
 */
uint64_t mw__smaps_stall_ns(uint64_t bytes, size_t vmas)
{
	return (bytes >> 20) * 15000000 / 1024 + vmas * 500;
}

/* "  N kB" in bytes, or "  N" as it is. */
static bool parse_amount(const char *p, const char *end, uint64_t *ret)
{
	uint64_t v;

	while (end - p >= 8 && !memcmp(p, "        ", 8))
		p += 8;
	while (p < end && *p == ' ')
		p++;
	if (!mw__parse_dec(&p, end, &v))
		return false;
	if (end - p >= 3 && !memcmp(p, " kB", 3)) {
		if (__builtin_mul_overflow(v, (uint64_t)1024, &v))
			return false;
	} else if (p < end) {
		return false;
	}
	*ret = v;
	return true;
}

/* The table entry of this key; *hint is where to look first. */
static const struct key *find_key(const char *name, size_t len, size_t *hint)
{
	for (size_t n = 0, i = *hint; n < N_KEYS; n++, i = i + 1 < N_KEYS ? i + 1 : 0)
		if (keys[i].len == len && !memcmp(keys[i].name, name, len)) {
			*hint = i + 1 < N_KEYS ? i + 1 : 0;
			return &keys[i];
		}
	return NULL;
}

int mw__smaps_parse_line(const char *line, const char *end, struct mw__smaps *ret, size_t *hint)
{
	const struct key *k = &keys[*hint];
	const char *colon = line + k->len;

	if (end - line > (ptrdiff_t)k->len && *colon == ':' && !memcmp(line, k->name, k->len)) {
		*hint = (size_t)(k - keys + 1) % N_KEYS;
	} else {
		colon = mw__find(line, end, ':');
		k = colon < end ? find_key(line, (size_t)(colon - line), hint) : NULL;
	}
	if (!k)
		return 0;
	if (!parse_amount(colon + 1, end, (uint64_t *)((char *)ret + k->offset)))
		return -MW_E_RANGE;
	return 1;
}

/* "VmFlags: rd wr mr " */
static const char *parse_flags(const char *line, const char *end, struct mw__arena *arena)
{
	static const char key[] = "VmFlags: ";

	if ((size_t)(end - line) < sizeof(key) - 1 || memcmp(line, key, sizeof(key) - 1))
		return NULL;
	line += sizeof(key) - 1;
	while (end > line && end[-1] == ' ')
		end--;
	return mw__arena_intern(arena, line, end - line);
}

/* A line of maps starts with a lower-case hex digit, a field with an upper-case letter. */
static bool is_maps_line(const char *line, const char *end)
{
	return line < end && ((*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f'));
}

struct reader {
	struct mw_snapshot *snap;
	size_t n, cap;	/* of snap->smaps */
	size_t hint;
	bool vmas;
};

static int fail_moved(struct mw_err *err)
{
	return mw__fail(err, MW_E_GONE, 0, "smaps: mappings changed since maps was read");
}

/* Is this the mapping that maps told at the same place of the list? */
static bool is_same(const struct reader *r, const char *line, const char *end)
{
	uint64_t start, stop;

	return r->n <= r->snap->vmas.n && mw__parse_hex(&line, end, &start) && line < end && *line++ == '-' &&
	       mw__parse_hex(&line, end, &stop) && start == r->snap->vmas.v[r->n - 1].start &&
	       stop == r->snap->vmas.v[r->n - 1].end;
}

static int add_mapping(struct reader *r, const char *line, const char *end, struct mw_err *err)
{
	if (r->n == r->cap) {
		struct mw__smaps *v = mw__vec_grow(r->snap->smaps, &r->cap, sizeof(*v));

		if (!v)
			return mw__fail_nomem(err, "smaps");
		r->snap->smaps = v;
	}
	mw__smaps_init(&r->snap->smaps[r->n++]);
	if (!r->vmas)
		return is_same(r, line, end) ? 0 : fail_moved(err);
	struct mw__vma *vma = MW_VEC_PUSH(&r->snap->vmas);

	if (!vma)
		return mw__fail_nomem(err, "mappings");
	int rc = mw__maps_parse_line(line, end, &r->snap->arena, vma);

	if (rc < 0)
		return mw__fail(err, (enum mw_errcode)-rc, 0, "smaps: mapping %zu is not understood", r->n);
	return 0;
}

static int add_line(struct reader *r, const char *line, const char *end, struct mw_err *err)
{
	if (is_maps_line(line, end))
		return add_mapping(r, line, end, err);
	if (!r->n)
		return mw__fail(err, MW_E_FORMAT, 0, "smaps: a field before the first mapping");
	struct mw__smaps *s = &r->snap->smaps[r->n - 1];
	int rc = mw__smaps_parse_line(line, end, s, &r->hint);

	if (rc < 0)
		return mw__fail(err, MW_E_RANGE, 0, "smaps: mapping %zu has an amount that is not understood", r->n);
	if (rc == 0 && !s->flags)
		s->flags = parse_flags(line, end, &r->snap->arena);
	return 0;
}

int mw__smaps_read(const struct mw__proc *proc, struct mw_snapshot *snap, bool vmas, struct mw_err *err)
{
	MW_CLEANUP(mw__lines_close) struct mw__lines lines = { .fd = -1 };
	struct reader r = { .snap = snap, .vmas = vmas };
	const char *line, *end;
	int rc = mw__lines_open(&lines, proc, "smaps", err);

	if (rc < 0)
		return rc;
	free(snap->smaps);
	snap->smaps = NULL;
	if (vmas)
		snap->vmas.n = 0;
	while ((rc = mw__lines_next(&lines, &line, &end, err)) > 0) {
		rc = add_line(&r, line, end, err);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	if (!lines.total)
		return mw__fail(err, MW_E_GONE, 0, "pid %d: smaps is empty: it exited or executed another program",
				proc->pid);
	if (vmas)
		return mw__maps_cut_overlaps(snap);
	return r.n == snap->vmas.n ? 0 : fail_moved(err);
}

int mw__rollup_read_fd(int fd, pid_t pid, struct mw__smaps *ret, struct mw_err *err)
{
	char text[8192];
	struct mw__smaps smaps;
	size_t hint = 0, n;
	int rc = mw__proc_record(fd, pid, "smaps_rollup", text, sizeof(text), &n, err);

	if (rc < 0)
		return rc;
	mw__smaps_init(&smaps);
	for (const char *line = text, *stop = text + n, *end; line < stop; line = end + 1) {
		end = mw__find(line, stop, '\n');
		if (!is_maps_line(line, end) && mw__smaps_parse_line(line, end, &smaps, &hint) < 0)
			return mw__fail(err, MW_E_RANGE, 0, "pid %d: smaps_rollup is not understood", pid);
	}
	if (smaps.rss == MW_UNKNOWN)
		return mw__fail(err, MW_E_GONE, 0, "pid %d: smaps_rollup is empty", pid);
	*ret = smaps;
	return 0;
}

int mw__rollup_read(const struct mw__proc *proc, struct mw__smaps *ret, struct mw_err *err)
{
	MW_CLEANUP(mw__closep) int fd = mw__proc_fd(proc, "smaps_rollup", err);

	return fd < 0 ? fd : mw__rollup_read_fd(fd, proc->pid, ret, err);
}
