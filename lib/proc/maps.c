/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * /proc/PID/maps (fs/proc/task_mmu.c, show_map_vma()): "start-end perm offset major:minor
 * inode   name". Each field is checked; the name is the rest of the line, in which the
 * kernel escapes only the newline.
 */
#include "proc.h"

#include "../base/cleanup.h"
#include "../base/err.h"

#include <string.h>

static bool expect(const char **p, const char *end, char c)
{
	if (*p >= end || **p != c)
		return false;
	(*p)++;
	return true;
}

static bool parse_perm(const char **p, const char *end, struct mw__vma *vma)
{
	const char *s = *p;

	if (end - s < 4)
		return false;
	if ((s[0] != 'r' && s[0] != '-') || (s[1] != 'w' && s[1] != '-') ||
	    (s[2] != 'x' && s[2] != '-') || (s[3] != 'p' && s[3] != 's'))
		return false;
	vma->prot = (s[0] == 'r' ? MW__R : 0) | (s[1] == 'w' ? MW__W : 0) | (s[2] == 'x' ? MW__X : 0);
	vma->is_shared = s[3] == 's';
	*p += 4;
	return true;
}

/* "\012" is a newline; everything else stands for itself (fs/seq_file.c, mangle_path()). */
static const char *unescape(struct mw__arena *arena, const char *p, const char *end)
{
	if (mw__find(p, end, '\\') == end)
		return mw__arena_intern(arena, p, end - p);
	MW_CLEANUP(mw__str_deinit) struct mw__str s = {};

	while (p < end) {
		if (end - p >= 4 && !memcmp(p, "\\012", 4)) {
			mw__str_add(&s, "\n", 1);
			p += 4;
		} else {
			mw__str_add(&s, p++, 1);
		}
	}
	return s.failed ? NULL : mw__arena_intern(arena, s.v, s.n);
}

int mw__maps_parse_line(const char *line, const char *end, struct mw__arena *arena,
			struct mw__vma *ret)
{
	struct mw__vma v = { .file = MW__NONE, .cached = MW_UNKNOWN, .evicted = MW_UNKNOWN };
	uint64_t major, minor;
	const char *p = line;

	if (!mw__parse_hex(&p, end, &v.start) || !expect(&p, end, '-') ||
	    !mw__parse_hex(&p, end, &v.end) || !expect(&p, end, ' ') ||
	    !parse_perm(&p, end, &v) || !expect(&p, end, ' ') ||
	    !mw__parse_hex(&p, end, &v.off) || !expect(&p, end, ' ') ||
	    !mw__parse_hex(&p, end, &major) || !expect(&p, end, ':') ||
	    !mw__parse_hex(&p, end, &minor) || !expect(&p, end, ' ') ||
	    !mw__parse_dec(&p, end, &v.ino) || v.start >= v.end ||
	    major > UINT32_MAX || minor > UINT32_MAX || (p < end && *p != ' '))
		return -MW_E_FORMAT;
	while (p < end && *p == ' ')
		p++;
	v.dev_major = major;
	v.dev_minor = minor;
	v.name = unescape(arena, p, end);
	if (!v.name)
		return -MW_E_NOMEM;
	*ret = v;
	return 0;
}

bool mw__maps_cut_overlaps(struct mw_snapshot *snap)
{
	uint64_t end = 0;
	size_t n = 0;
	bool cut = false;

	for (size_t i = 0; i < snap->vmas.n; i++) {
		struct mw__vma v = snap->vmas.v[i];

		if (v.start < end) {
			cut = true;
			v.off += v.file != MW__NONE || v.ino ? end - v.start : 0;
			v.start = end;
		}
		if (v.start >= v.end)
			continue;
		end = v.end;
		if (snap->smaps)
			snap->smaps[n] = snap->smaps[i];
		snap->vmas.v[n++] = v;
	}
	snap->vmas.n = n;
	return cut;
}

int mw__maps_read(const struct mw__proc *proc, struct mw_snapshot *snap, struct mw_err *err)
{
	MW_CLEANUP(mw__lines_close) struct mw__lines lines = { .fd = -1 };
	const char *line, *end;
	int rc = mw__lines_open(&lines, proc, "maps", err);

	if (rc < 0)
		return rc;
	snap->vmas.n = 0;
	while ((rc = mw__lines_next(&lines, &line, &end, err)) > 0) {
		struct mw__vma *vma = MW_VEC_PUSH(&snap->vmas);

		if (!vma)
			return mw__fail_nomem(err, "mappings");
		rc = mw__maps_parse_line(line, end, &snap->arena, vma);
		if (rc < 0)
			return mw__fail(err, (enum mw_errcode)-rc, 0, "pid %d: maps: line %zu is not understood",
					proc->pid, snap->vmas.n);
	}
	if (rc < 0)
		return rc;
	if (!lines.total)
		return mw__fail(err, MW_E_GONE, 0, "pid %d: maps is empty: it exited, executed another program, or is a kernel thread",
				proc->pid);
	return mw__maps_cut_overlaps(snap);
}
