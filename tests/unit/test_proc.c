/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The readers of /proc, from strings and from small trees of files: what each field becomes, and what is refused. */
#include "proc/proc.h"

#include <inttypes.h>

#include "tap.h"
#include "trees.h"

static struct mw__arena arena;

/* -------------------------------------------------------------------- maps */

static int parse_map(const char *line, struct mw__vma *v)
{
	return mw__maps_parse_line(line, line + strlen(line), &arena, v);
}

static void test_maps_fields(void)
{
	struct mw__vma v;

	ok(parse_map("7f0012345000-7f0012347000 r-xp 0001f000 fd:1a 1234567                    /usr/lib/libc.so.6", &v) == 0,
	   "a line of maps");
	is_u64(v.start, 0x7f0012345000, "start");
	is_u64(v.end, 0x7f0012347000, "end");
	is_u64(v.off, 0x1f000, "offset is hexadecimal");
	is_u64(v.dev_major, 0xfd, "major");
	is_u64(v.dev_minor, 0x1a, "minor");
	is_u64(v.ino, 1234567, "inode is decimal");
	is_str(v.name, "/usr/lib/libc.so.6", "name");
	ok(v.prot == (MW__R | MW__X) && !v.is_shared, "r-xp");
	ok(v.file == MW__NONE && v.cached == MW_UNKNOWN && v.evicted == MW_UNKNOWN, "what maps does not tell is unknown");
}

static void test_maps_perms(void)
{
	for (unsigned bits = 0; bits < 16; bits++) {
		char line[64];
		struct mw__vma v;

		snprintf(line, sizeof(line), "1000-2000 %c%c%c%c 00000000 00:00 0 ", bits & 4 ? 'r' : '-', bits & 2 ? 'w' : '-',
			 bits & 1 ? 'x' : '-', bits & 8 ? 's' : 'p');
		ok(parse_map(line, &v) == 0 && v.prot == (bits & 7) && v.is_shared == (bits >> 3), "permissions of \"%s\"", line);
	}
}

static void test_maps_names(void)
{
	static const struct {
		const char *raw, *name;
	} names[] = {
		{ "", "" },
		{ " ", "" },
		{ "                          ", "" },
		{ "          [heap]", "[heap]" },
		{ "          /tmp/a file  with blanks", "/tmp/a file  with blanks" },
		{ "          /tmp/trailing ", "/tmp/trailing " },
		{ "          /tmp/new\\012line", "/tmp/new\nline" },
		{ "          /tmp/\\012", "/tmp/\n" },
		{ "          /tmp/\\01", "/tmp/\\01" },
		{ "          /tmp/\\\\012", "/tmp/\\\n" },
		{ "          /tmp/gone (deleted)", "/tmp/gone (deleted)" },
		{ "          [anon: Go: heap]", "[anon: Go: heap]" },
		{ "          anon_inode:[perf_event]", "anon_inode:[perf_event]" },
		{ "          \xff\xfe\x01", "\xff\xfe\x01" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char line[256];
		struct mw__vma v = {};

		snprintf(line, sizeof(line), "1000-2000 rw-p 00000000 00:00 0%s", names[i].raw);
		ok(parse_map(line, &v) == 0, "the name '%s' is taken", names[i].raw);
		is_str(v.name, names[i].name, "and understood");
	}
}

static void test_maps_malformed(void)
{
	static const char *const bad[] = {
		"", " ", "-", "1000", "1000-", "1000-2000", "1000-2000 ", "1000 2000 rw-p 00000000 00:00 0",
		"-2000 rw-p 00000000 00:00 0", "1000-2000rw-p 00000000 00:00 0", "1000-2000 rw- 00000000 00:00 0",
		"1000-2000 rw-", "1000-2000 wr-p 00000000 00:00 0", "1000-2000 rwxz 00000000 00:00 0",
		"1000-2000 rw-p", "1000-2000 rw-p 00000000", "1000-2000 rw-p 00000000 00", "1000-2000 rw-p 00000000 00:",
		"1000-2000 rw-p 00000000 00:00", "1000-2000 rw-p 00000000 00:00 ", "1000-2000 rw-p 00000000 00:00 x",
		"1000-2000 rw-p 00000000 00:00 0x", "1000-2000 rw-p 00000000 00-00 0", "1000-2000 rw-p g0000000 00:00 0",
		"1000-2000 rw-p 00000000 100000000:00 0", "1000-2000 rw-p 00000000 00:100000000 0",
		"2000-1000 rw-p 00000000 00:00 0", "1000-1000 rw-p 00000000 00:00 0",
		"10000000000000000-20000000000000000 rw-p 00000000 00:00 0",
		"1000-2000 rw-p 00000000 00:00 18446744073709551616", " 1000-2000 rw-p 00000000 00:00 0",
		"0x1000-0x2000 rw-p 00000000 00:00 0", "+1000-2000 rw-p 00000000 00:00 0",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mw__vma v = { .start = 7 };

		ok(parse_map(bad[i], &v) == -MW_E_FORMAT && v.start == 7, "refused: \"%s\"", bad[i]);
	}
}

/* Every prefix of a good line is refused or stays a line with a shorter name; nothing is read behind it. */
static void test_maps_prefixes(void)
{
	static const char whole[] = "7f0012345000-7f0012347000 r-xp 0001f000 fd:1a 1234567   /x y";
	unsigned bad = 0;

	for (size_t len = 0; len < sizeof(whole); len++) {
		char *copy = malloc(len ? len : 1);
		struct mw__vma v;

		memcpy(copy, whole, len);
		int rc = mw__maps_parse_line(copy, copy + len, &arena, &v);

		bad += rc != (len < strlen("7f0012345000-7f0012347000 r-xp 0001f000 fd:1a 1") ? -MW_E_FORMAT : 0);
		free(copy);
	}
	is_int(bad, 0, "every prefix of a line is judged by what it holds");
}

static int read_maps(struct tree *t, struct mw_snapshot *snap, struct mw_err *err)
{
	struct mw__proc proc;
	int rc = mw__proc_open(&proc, t->root, TREE_PID, err);

	if (rc == 0)
		rc = mw__maps_read(&proc, snap, err);
	mw__proc_close(&proc);
	return rc;
}

static void check_map_names(struct tree *t, size_t len, const char *what)
{
	struct mw_snapshot snap;
	struct mw_err err = {};
	char *text = malloc(2 * len + 256), *p = text;

	p += sprintf(p, "1000-2000 rw-p 00000000 00:01 5 /");
	memset(p, 'n', len);
	p += len;
	p += sprintf(p, "\n2000-3000 r--p 00000000 00:00 0 [heap]\n");
	tree_put(t, "maps", text);
	mw__snapshot_init(&snap);
	ok(read_maps(t, &snap, &err) == 0 && snap.vmas.n == 2, "%s: two mappings %s", what, err.text);
	ok(snap.vmas.n == 2 && strlen(snap.vmas.v[0].name) == len + 1 && !strcmp(snap.vmas.v[1].name, "[heap]"),
	   "%s: both names are whole", what);
	mw__snapshot_deinit(&snap);
	free(text);
}

static void test_maps_file(struct tree *t)
{
	struct mw_snapshot snap;
	struct mw_err err = {};

	check_map_names(t, 10, "a short name");
	check_map_names(t, 4096, "a name of 4 KiB");
	check_map_names(t, 4095 * 4, "the longest name that can be escaped");
	mw__snapshot_init(&snap);
	tree_put(t, "maps", "");
	is_int(read_maps(t, &snap, &err), -MW_E_GONE, "an empty file means gone, not a process without memory");
	tree_put(t, "maps", "1000-2000 rw-p 00000000 00:00 0\nnonsense\n");
	is_int(read_maps(t, &snap, &err), -MW_E_FORMAT, "a line that is none");
	ok(strstr(err.text, "maps") && strstr(err.text, "line 2"), "is named: %s", err.text);
	tree_put(t, "maps", "1000-2000 rw-p 00000000 00:00 0");
	ok(read_maps(t, &snap, &err) == 0 && snap.vmas.n == 1, "the last line may lack its end");
	tree_drop(t, "maps");
	is_int(read_maps(t, &snap, &err), -MW_E_NOT_FOUND, "no such file");
	mw__snapshot_deinit(&snap);
}

/* ------------------------------------------------------------------- smaps */

/* mw__smaps by key, so that the test has no list of its own. */
static uint64_t *smaps_member(struct mw__smaps *s, const char *name)
{
#define SMAPS(member, key, json, what) \
	if (!strcmp(key, name)) \
		return &s->member;
#include "model/smaps.def"
#undef SMAPS
	return NULL;
}

static const char *const smaps_keys[] = {
#define SMAPS(member, key, json, what) key,
#include "model/smaps.def"
#undef SMAPS
};
#define N_SMAPS (sizeof(smaps_keys) / sizeof(smaps_keys[0]))

static void test_smaps_lines(void)
{
	struct mw__smaps s;
	char line[128];
	size_t hint = 0;

	for (size_t i = 0; i < N_SMAPS; i++) {
		mw__smaps_init(&s);
		snprintf(line, sizeof(line), "%s:  %20zu kB", smaps_keys[i], i + 1);
		ok(mw__smaps_parse_line(line, line + strlen(line), &s, &hint) == 1 && *smaps_member(&s, smaps_keys[i]) == (i + 1) * 1024,
		   "%s in kB", smaps_keys[i]);
	}
	static const struct {
		const char *line;
		int rc;
		uint64_t rss;
	} lines[] = {
		{ "Rss:                   0 kB", 1, 0 },
		{ "Rss:                   7", 1, 7 },
		{ "Rss:7 kB", 1, 7168 },
		{ "Rss: 18014398509481983 kB", 1, UINT64_C(18014398509481983) * 1024 },
		{ "Rss: 18014398509481984 kB", -MW_E_RANGE, MW_UNKNOWN },
		{ "Rss: 18446744073709551616 kB", -MW_E_RANGE, MW_UNKNOWN },
		{ "Rss: 99999999999999999999999999", -MW_E_RANGE, MW_UNKNOWN },
		{ "Rss:", -MW_E_RANGE, MW_UNKNOWN },
		{ "Rss:   kB", -MW_E_RANGE, MW_UNKNOWN },
		{ "Rss: -1 kB", -MW_E_RANGE, MW_UNKNOWN },
		{ "Rss", 0, MW_UNKNOWN },
		{ "", 0, MW_UNKNOWN },
		{ ":", 0, MW_UNKNOWN },
		{ "rss: 4 kB", 0, MW_UNKNOWN },
		{ "Rss : 4 kB", 0, MW_UNKNOWN },
		{ "FutureKey:  12 kB", 0, MW_UNKNOWN },
		{ "FutureKey:  some words", 0, MW_UNKNOWN },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		mw__smaps_init(&s);
		int rc = mw__smaps_parse_line(lines[i].line, lines[i].line + strlen(lines[i].line), &s, &hint);

		ok(rc == lines[i].rc && s.rss == lines[i].rss, "\"%s\" gives %d", lines[i].line, rc);
	}
}

static int read_smaps(struct tree *t, struct mw_snapshot *snap, const char *text, struct mw_err *err)
{
	struct mw__proc proc;
	int rc;

	tree_put(t, "smaps", text);
	rc = mw__proc_open(&proc, t->root, TREE_PID, err);
	if (rc == 0)
		rc = mw__smaps_read(&proc, snap, true, err);
	mw__proc_close(&proc);
	return rc;
}

static void check_shape(struct tree *t, const char *what, const char *text, uint64_t rss, uint64_t thp)
{
	struct mw_snapshot snap;
	struct mw_err err = {};

	mw__snapshot_init(&snap);
	ok(read_smaps(t, &snap, text, &err) == 0 && snap.vmas.n == 2, "%s: two mappings %s", what, err.text);
	if (snap.vmas.n == 2) {
		is_u64(snap.smaps[1].rss, rss, "Rss of the second one");
		is_u64(snap.smaps[1].thp_eligible, thp, "a key that this kernel lacks is unknown");
		is_str(snap.smaps[1].flags, "rd wr mr mw me ac sd", "VmFlags without its last blank");
		is_str(snap.vmas.v[1].name, "[heap]", "name");
	}
	mw__snapshot_deinit(&snap);
}

#define MAP1 "00400000-00401000 r-xp 00000000 fe:01 77 /bin/true\n"
#define MAP2 "01400000-01421000 rw-p 00000000 00:00 0 [heap]\n"
#define FLAGS "VmFlags: rd wr mr mw me ac sd \n"

static void test_smaps_shapes(struct tree *t)
{
	check_shape(t, "Linux 4.4", MAP1 "Size: 4 kB\nRss: 4 kB\nPss: 1 kB\nVmFlags: rd ex mr \n" MAP2
		    "Size: 132 kB\nRss: 8 kB\nPss: 8 kB\nShared_Clean: 0 kB\nSwap: 0 kB\nKernelPageSize: 4 kB\n" FLAGS, 8192, MW_UNKNOWN);
	check_shape(t, "Linux 6.18", MAP1 "Size: 4 kB\nRss: 4 kB\nTHPeligible: 0\nVmFlags: rd ex mr \n" MAP2
		    "Size: 132 kB\nKernelPageSize: 4 kB\nRss: 8 kB\nPss: 8 kB\nPss_Dirty: 8 kB\nKSM: 0 kB\nTHPeligible:           1\n"
		    "ProtectionKey:         0\n" FLAGS, 8192, 1);
	check_shape(t, "in another order, with unknown keys", MAP1 "VmFlags: rd ex \nRss: 4 kB\n" MAP2 FLAGS
		    "Zeta: 1 kB\nSwap: 4 kB\nTHPeligible: 0\nAlpha beta: what\nno colon here\nRss: 12 kB\nSize: 132 kB\n", 12288, 0);
}

static void test_smaps_errors(struct tree *t)
{
	struct mw_snapshot snap;
	struct mw_err err = {};

	mw__snapshot_init(&snap);
	is_int(read_smaps(t, &snap, "", &err), -MW_E_GONE, "empty smaps means gone");
	is_int(read_smaps(t, &snap, "Rss: 4 kB\n", &err), -MW_E_FORMAT, "a field before the first mapping");
	is_int(read_smaps(t, &snap, MAP1 "Rss: 18446744073709551616 kB\n", &err), -MW_E_RANGE, "a number beyond 64 bits");
	ok(strstr(err.text, "mapping 1") != NULL, "names the mapping: %s", err.text);
	is_int(read_smaps(t, &snap, "0nonsense\n", &err), -MW_E_FORMAT, "a mapping that is none");
	mw__snapshot_deinit(&snap);
}

/* smaps beside maps that were read before: the mappings must be the same ones. */
static void test_smaps_beside_maps(struct tree *t)
{
	static const struct {
		const char *what, *smaps;
		int rc;
	} cases[] = {
		{ "the same mappings", MAP1 "Rss: 4 kB\n" MAP2 "Rss: 8 kB\n", 0 },
		{ "one mapping less", MAP1 "Rss: 4 kB\n", -MW_E_GONE },
		{ "one mapping more", MAP1 "Rss: 4 kB\n" MAP2 "Rss: 8 kB\n9000000-9001000 rw-p 00000000 00:00 0\nRss: 0 kB\n", -MW_E_GONE },
		{ "as many, but one elsewhere", MAP1 "Rss: 4 kB\n9000000-9001000 rw-p 00000000 00:00 0\nRss: 0 kB\n", -MW_E_GONE },
		{ "as many, but one begins later", MAP1 "Rss: 4 kB\n01401000-01421000 rw-p 00000000 00:00 0 [heap]\nRss: 0 kB\n", -MW_E_GONE },
		{ "as many, but one has grown", MAP1 "Rss: 4 kB\n01400000-01422000 rw-p 00000000 00:00 0 [heap]\nRss: 0 kB\n", -MW_E_GONE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mw_snapshot snap;
		struct mw__proc proc;
		struct mw_err err = {};

		mw__snapshot_init(&snap);
		tree_put(t, "maps", MAP1 MAP2);
		tree_put(t, "smaps", cases[i].smaps);
		int rc = mw__proc_open(&proc, t->root, TREE_PID, &err);

		if (rc == 0)
			rc = mw__maps_read(&proc, &snap, &err);
		if (rc == 0)
			rc = mw__smaps_read(&proc, &snap, false, &err);
		is_int(rc, cases[i].rc, cases[i].what);
		ok(snap.vmas.n == 2, "and the mappings of maps stay");
		mw__proc_close(&proc);
		mw__snapshot_deinit(&snap);
	}
}

static int read_rollup(struct tree *t, struct mw__smaps *s, const char *text, struct mw_err *err)
{
	struct mw__proc proc;
	int rc;

	tree_put(t, "smaps_rollup", text);
	rc = mw__proc_open(&proc, t->root, TREE_PID, err);
	if (rc == 0)
		rc = mw__rollup_read(&proc, s, err);
	mw__proc_close(&proc);
	return rc;
}

static void test_rollup(struct tree *t)
{
	struct mw__smaps s;
	struct mw_err err = {};

	mw__smaps_init(&s);
	is_int(read_rollup(t, &s, "00400000-7ffe00000000 ---p 00000000 00:00 0  [rollup]\nRss: 12 kB\nPss: 5 kB\n", &err), 0, "a rollup");
	ok(s.rss == 12288 && s.pss == 5120 && s.private_clean == MW_UNKNOWN, "its fields");
	is_int(read_rollup(t, &s, "", &err), -MW_E_GONE, "an empty one");
	is_int(read_rollup(t, &s, "Pss: 5 kB\n", &err), -MW_E_GONE, "one without Rss");
	is_int(read_rollup(t, &s, "Rss: x kB\n", &err), -MW_E_RANGE, "one that is not understood");
	is_u64(s.rss, 12288, "a failed one leaves the output alone");
}

/* ------------------------------------------------------------------ status */

static const char *const status_keys[] = {
#define STATUS(member, key, what) key,
#include "model/status.def"
#undef STATUS
};
#define N_STATUS (sizeof(status_keys) / sizeof(status_keys[0]))

static uint64_t status_member(const struct mw__status *s, const char *name)
{
#define STATUS(member, key, what) \
	if (!strcmp(key, name)) \
		return s->member;
#include "model/status.def"
#undef STATUS
	return 0;
}

static struct mw__status parse_status(const char *text)
{
	struct mw__status s;

	memset(&s, 0x55, sizeof(s));
	mw__status_parse(text, strlen(text), &s);
	return s;
}

static void test_status_fields(void)
{
	char line[128];

	for (size_t i = 0; i < N_STATUS; i++) {
		snprintf(line, sizeof(line), "%s:\t%8zu kB\n", status_keys[i], i);
		struct mw__status s = parse_status(line);

		is_u64(status_member(&s, status_keys[i]), i * 1024, status_keys[i]);
	}
	struct mw__status s = parse_status("Name:\tx\nState:\tS (sleeping)\nPPid:\t7\nUid:\t1000\t1001\t1002\t1003\n"
					   "NSpid:\t20226\t9\t1\nThreads:\t31\nVmRSS:\t 12 kB");

	ok(s.state == 'S' && s.ppid == 7 && s.uid == 1000 && s.euid == 1001 && s.ns_pid == 1 && s.threads == 31 && s.vm_rss == 12288,
	   "the other fields, and a last line without end");
	s = parse_status("NSpid:\t20226\n");
	is_int(s.ns_pid, 0, "one pid only: the same in every namespace");
}

static void test_status_unknown(void)
{
	struct mw__status s = parse_status("");
	unsigned known = 0;

	for (size_t i = 0; i < N_STATUS; i++)
		known += status_member(&s, status_keys[i]) != MW_UNKNOWN;
	is_int(known, 0, "an empty status: every amount is unknown");
	ok(s.threads == MW_UNKNOWN && s.state == '?' && s.ns_pid == 0, "and so is the rest");
	ok(s.uid == UINT32_MAX && s.euid == UINT32_MAX, "an owner that is not told is not root");
	s = parse_status("VmSize:\nVmRSS:\tx kB\nVmPTE\nVmSwap:\t18014398509481984 kB\nVmHWM:\t99999999999999999999 kB\nUid:\tx\nUid");
	ok(s.vm_size == MW_UNKNOWN && s.vm_rss == MW_UNKNOWN && s.vm_pte == MW_UNKNOWN && s.vm_swap == MW_UNKNOWN &&
	   s.vm_hwm == MW_UNKNOWN && s.uid == UINT32_MAX, "what is not a number, or too large, is unknown");
	s = parse_status("Uid:\t4294967296\t1\n");
	is_u64(s.uid, UINT32_MAX, "a user id that is none");
}

static void test_status_read(struct tree *t)
{
	struct mw__proc proc;
	struct mw__status s;
	const char *comm = NULL;

	tree_put(t, "status", "Name:\ta) \\\\n (\\nc\\\nVmSize:\t4 kB\n");
	ok(mw__proc_open(&proc, t->root, TREE_PID, NULL) == 0, "the tree");
	is_int(mw__status_read(&proc, &s, &arena, &comm, NULL), 0, "status is read");
	is_str(comm, "a) \\n (\nc\\", "the name, without the kernel's escapes");
	tree_put(t, "status", "");
	is_int(mw__status_read(&proc, &s, &arena, &comm, NULL), -MW_E_GONE, "an empty one means gone");
	tree_drop(t, "status");
	is_int(mw__status_read(&proc, &s, &arena, &comm, NULL), -MW_E_GONE, "and so does none");
	mw__proc_close(&proc);
}

/* -------------------------------------------------------------------- stat */

static void stat_line(char *buf, size_t size, const char *comm, int fields)
{
	size_t n = (size_t)snprintf(buf, size, "42 (%s) S", comm);

	for (int i = 4; i <= fields; i++)
		n += (size_t)snprintf(buf + n, size - n, " %d", i == 8 ? -1 : i * 1000);
	snprintf(buf + n, size - n, "\n");
}

static void test_stat(void)
{
	static const char *const names[] = { "sh", "a) b (", ")", "((", "", "1 2 3) R 4", "new\nline", "(sd-pam)" };
	char line[1024];
	struct mw__stat s;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		stat_line(line, sizeof(line), names[i], 52);
		ok(mw__stat_parse(line, strlen(line), &s) && s.state == 'S' && s.start_ticks == 22000 && s.vsize == 23000 &&
		   s.threads == 20000 && s.ppid == 4000 && s.faults == 22000 && !s.is_kernel_thread, "stat of a program called '%s'", names[i]);
		ok(s.layout.start_code == 26000 && s.layout.end_code == 27000 && s.layout.start_stack == 28000 &&
		   s.layout.start_data == 45000 && s.layout.end_data == 46000 && s.layout.start_brk == 47000, "and its layout");
	}
	stat_line(line, sizeof(line), "old", 28);
	ok(mw__stat_parse(line, strlen(line), &s) && s.layout.start_stack == 28000 && s.layout.start_brk == MW_UNKNOWN,
	   "fields that are missing are unknown");
	for (int fields = 3; fields < 23; fields++) {
		stat_line(line, sizeof(line), "cut", fields);
		ok(!mw__stat_parse(line, strlen(line), &s), "%d fields are too few", fields);
	}
	ok(!mw__stat_parse("", 0, &s) && !mw__stat_parse("42 (x", 5, &s) && !mw__stat_parse(")", 1, &s) &&
	   !mw__stat_parse("42 (x) ", 7, &s), "what is no stat is refused");
	const char hidden[] = "42 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 4096 1 0 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0\n";

	ok(mw__stat_parse(hidden, sizeof(hidden) - 1, &s) && s.layout.start_code == MW_UNKNOWN && s.layout.start_stack == MW_UNKNOWN,
	   "addresses that the kernel hides are unknown");
	const char kthreadd[] = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 42 0 0 20 0 1 0 4 0 0 18446744073709551615 0 0 0\n";

	ok(mw__stat_parse(kthreadd, sizeof(kthreadd) - 1, &s) && s.is_kernel_thread && s.ppid == 0, "a kernel thread by its flags");
}

/* ------------------------------------------------------------- small files */

static void test_limits(struct tree *t)
{
	struct mw__proc proc;
	struct mw_snapshot snap;

	tree_put(t, "limits",
		 "Limit                     Soft Limit           Hard Limit           Units     \n"
		 "Max cpu time              unlimited            unlimited            seconds   \n"
		 "Max data size             unlimited            unlimited            bytes     \n"
		 "Max stack size            8388608              unlimited            bytes     \n"
		 "Max locked memory         65536                65536                bytes     \n"
		 "Max address space         4294967296           unlimited            bytes     \n");
	tree_put_bytes(t, "sys/vm/max_map_count", "65530\n", 6);
	tree_put_bytes(t, "meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\nSwapTotal:   0 kB\nSwapFree:  x kB\n", 65);
	mw__snapshot_init(&snap);
	ok(mw__proc_open(&proc, t->root, TREE_PID, NULL) == 0, "the tree");
	mw__limits_read(&proc, &snap.limits, &arena);
	is_u64(snap.limits.as_soft, UINT64_C(4294967296), "address space");
	is_u64(snap.limits.data_soft, MW__NO_LIMIT, "data: no limit");
	is_u64(snap.limits.stack_soft, 8388608, "stack");
	is_u64(snap.limits.memlock_soft, 65536, "locked memory");
	is_u64(snap.limits.max_map_count, 65530, "max_map_count");
	is_u64(snap.limits.mem_total, 2048 * 1024, "MemTotal");
	is_u64(snap.limits.swap_total, 0, "SwapTotal may be 0");
	is_u64(snap.limits.swap_free, MW_UNKNOWN, "SwapFree that is none");
	ok(snap.limits.cpus == MW_UNKNOWN && !snap.limits.thp, "nothing of this machine gets into a captured tree");
	mw__snapshot_deinit(&snap);
	mw__snapshot_init(&snap);
	tree_drop(t, "limits");
	tree_put_bytes(t, "sys/vm/max_map_count", "", 0);
	tree_put_bytes(t, "meminfo", "", 0);
	mw__limits_read(&proc, &snap.limits, &arena);
	ok(snap.limits.as_soft == MW_UNKNOWN && snap.limits.max_map_count == MW_UNKNOWN && snap.limits.mem_total == MW_UNKNOWN,
	   "files that are empty or not there give nothing");
	mw__proc_close(&proc);
	mw__snapshot_deinit(&snap);
}

static void test_statm(struct tree *t)
{
	static const struct {
		const char *text;
		uint64_t size, rss;
	} cases[] = {
		{ "100 7 3 1 0 5 0\n", 100 * 4096, 7 * 4096 }, { "0 0 0 0 0 0 0\n", 0, 0 }, { "", MW_UNKNOWN, MW_UNKNOWN },
		{ "100", MW_UNKNOWN, MW_UNKNOWN }, { "100 ", MW_UNKNOWN, MW_UNKNOWN }, { "x 7", MW_UNKNOWN, MW_UNKNOWN },
	};
	struct mw__proc proc;

	ok(mw__proc_open(&proc, t->root, TREE_PID, NULL) == 0, "the tree");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t size = MW_UNKNOWN, rss = MW_UNKNOWN;

		tree_put(t, "statm", cases[i].text);
		mw__statm_read(&proc, "statm", 4096, &size, &rss);
		ok(size == cases[i].size && rss == cases[i].rss, "statm \"%s\"", cases[i].text);
	}
	mw__proc_close(&proc);
}

static void test_no_pid(void)
{
	static const pid_t none[] = { 0, -1, INT32_MIN };

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		struct mw__proc proc;
		struct mw_err err = {};
		int rc = mw__proc_open(&proc, NULL, none[i], &err);

		ok(rc == -MW_E_NOT_FOUND, "pid %d is none, not a hidden one: %s", none[i], err.text);
		mw__proc_close(&proc);
	}
}

static struct mw__cgroup read_cgroup(struct tree *t, const char *text)
{
	struct mw_snapshot snap;
	struct mw__proc proc;
	char fs[128];

	snprintf(fs, sizeof(fs), "%s/cg", t->root);
	tree_put(t, "cgroup", text);
	mw__snapshot_init(&snap);
	if (mw__proc_open(&proc, t->root, TREE_PID, NULL) == 0)
		mw__cgroup_read(&proc, fs, &snap.cgroup, &arena);
	mw__proc_close(&proc);
	struct mw__cgroup cg = snap.cgroup;

	mw__snapshot_deinit(&snap);
	return cg;
}

static void test_cgroup(struct tree *t)
{
	static const char v2[] = "anon 100\nfile 200\nkernel 30\nslab 7\nsock 1\nshmem 5\npagetables 4096\ninactive_file 150\nanon_thp 9\n";
	static const char v1[] = "cache 1\nrss 2\ntotal_cache 300\ntotal_rss 400\ntotal_shmem 6\ntotal_swap 8\ntotal_inactive_file 250\n";

	tree_put_bytes(t, "cg/app/memory.current", "123456\n", 7);
	tree_put_bytes(t, "cg/app/memory.max", "max\n", 4);
	tree_put_bytes(t, "cg/app/memory.stat", v2, sizeof(v2) - 1);
	tree_put_bytes(t, "cg/memory/old/memory.usage_in_bytes", "999\n", 4);
	tree_put_bytes(t, "cg/memory/old/memory.limit_in_bytes", "9223372036854771712\n", 20);
	tree_put_bytes(t, "cg/memory/old/memory.stat", v1, sizeof(v1) - 1);
	struct mw__cgroup cg = read_cgroup(t, "0::/app\n");

	ok(cg.version == 2 && cg.current == 123456 && cg.max == MW__NO_LIMIT && cg.anon == 100 && cg.file == 200 && cg.kernel == 30 &&
	   cg.slab == 7 && cg.sock == 1 && cg.shmem == 5 && cg.page_tables == 4096 && cg.inactive_file == 150, "a group of version 2");
	ok(cg.swap == MW_UNKNOWN, "its swap is not told, so unknown");
	is_str(cg.path, "/app", "its path");
	cg = read_cgroup(t, "12:cpu,cpuacct:/x\n4:hugetlb,memory:/old\n0::/nowhere\n");
	ok(cg.version == 1 && cg.current == 999 && cg.max == MW__NO_LIMIT && cg.anon == 400 && cg.file == 300 && cg.shmem == 6 &&
	   cg.swap == 8 && cg.inactive_file == 250 && cg.kernel == MW_UNKNOWN, "a group of version 1 beside others");
	cg = read_cgroup(t, "4:memory_not:/old\n");
	ok(cg.version == 0 && !cg.path && cg.current == MW_UNKNOWN, "a controller with a longer name is another one");
	cg = read_cgroup(t, "0::/nowhere\n");
	ok(cg.version == 0 && !cg.path, "a group without files is unknown");
	cg = read_cgroup(t, "\n:\n::\nnonsense\n0:\n");
	ok(cg.version == 0 && !cg.path, "lines that are none");
}

/* What mountinfo of our own leads to, in and out of cgroup namespaces. */
static void test_cgroup_mounts(struct tree *t)
{
	static const struct {
		const char *group, *root, *fs;	/* fs: type and super options */
		uint64_t current;
	} cases[] = {
		{ "0::/app", "/", "cgroup2 cgroup2 rw", 123 },
		{ "0::/outer/app", "/outer", "cgroup2 cgroup2 rw", 123 },
		{ "0::/app", "/app", "cgroup2 cgroup2 rw", 55 },		/* the mount is the group itself */
		{ "0::/", "/", "cgroup2 cgroup2 rw", 55 },
		{ "0::/app", "/..", "cgroup2 cgroup2 rw", MW_UNKNOWN },	/* the name of our namespace's group is unknown */
		{ "0::/", "/../..", "cgroup2 cgroup2 rw", MW_UNKNOWN },
		{ "0::/../app", "/", "cgroup2 cgroup2 rw", MW_UNKNOWN },
		{ "0::/../app", "/..", "cgroup2 cgroup2 rw", 123 },
		{ "0::/outer/app", "/out", "cgroup2 cgroup2 rw", MW_UNKNOWN },
		{ "0::/app", "/", "cgroup cgroup rw,memory", MW_UNKNOWN },
		{ "4:memory:/app", "/", "cgroup cgroup rw,memory", 77 },
		{ "4:cpu,memory:/docker/app", "/docker", "cgroup cgroup rw,cpu,memory", 77 },
		{ "4:memory:/app", "/", "cgroup cgroup rw,memory_not", MW_UNKNOWN },
		{ "4:memory:/app", "/", "cgroup2 cgroup2 rw", MW_UNKNOWN },
	};
	char line[256];

	tree_put_bytes(t, "mnt/app/memory.current", "123\n", 4);
	tree_put_bytes(t, "app/memory.current", "99\n", 3);	/* above the mount: nobody's */
	tree_put_bytes(t, "mnt/memory.current", "55\n", 3);
	tree_put_bytes(t, "mnt/app/memory.usage_in_bytes", "77\n", 3);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mw_snapshot snap;
		struct mw__proc proc;
		int n = snprintf(line, sizeof(line), "1 0 0:1 / / rw - ext4 /dev/x rw\nnonsense\n35 31 0:32 %s %s/mnt rw - %s\n",
				 cases[i].root, t->root, cases[i].fs);

		tree_put_bytes(t, "self/mountinfo", line, (size_t)n);
		tree_put(t, "cgroup", cases[i].group);
		mw__snapshot_init(&snap);
		ok(mw__proc_open(&proc, t->root, TREE_PID, NULL) == 0, "the tree");
		proc.is_live = true;
		mw__cgroup_read(&proc, NULL, &snap.cgroup, &arena);
		ok(snap.cgroup.current == cases[i].current && !snap.cgroup.is_root && !snap.cgroup.path == (cases[i].current == MW_UNKNOWN),
		   "group %s, mounted from %s as %s", cases[i].group, cases[i].root, cases[i].fs);
		mw__proc_close(&proc);
		mw__snapshot_deinit(&snap);
	}
}

static void test_tasks(struct tree *t)
{
	struct mw_snapshot snap;
	struct mw__proc proc;

	tree_put(t, "task/50/syscall", "running\n");
	tree_put(t, "task/50/comm", "busy\n");
	tree_put(t, "task/44/syscall", "202 0x7f00 0x80 0x0 0x0 0x0 0x0 0x7ffd00001000 0x401000\n");
	tree_put(t, "task/44/comm", "a (b)\n");
	tree_put(t, "task/42/syscall", "-1 0x7ffd00002000 0x401000\n");
	tree_put(t, "task/42/comm", "main");
	tree_put(t, "task/45/syscall", "0 0x3");
	tree_put(t, "task/46/syscall", "7 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n");
	tree_put(t, "task/x/comm", "no\n");
	tree_put(t, "task/0/comm", "no\n");
	tree_put(t, "task/99999999999/comm", "no\n");
	mw__snapshot_init(&snap);
	ok(mw__proc_open(&proc, t->root, TREE_PID, NULL) == 0, "the tree");
	is_int(mw__tasks_read(&proc, &snap), 0, "the threads are read");
	is_int((long long)snap.tasks.n, 5, "names that are no thread id are left out");
	if (snap.tasks.n == 5) {
		ok(snap.tasks.v[0].tid == 42 && snap.tasks.v[1].tid == 44 && snap.tasks.v[4].tid == 50, "by id");
		is_u64(snap.tasks.v[0].sp, 0x7ffd00002000, "stack pointer outside of a system call");
		is_u64(snap.tasks.v[1].sp, 0x7ffd00001000, "and inside of one");
		ok(snap.tasks.v[2].sp == MW_UNKNOWN && snap.tasks.v[3].sp == MW_UNKNOWN && snap.tasks.v[4].sp == MW_UNKNOWN,
		   "cut short, 0, or running: unknown");
		is_str(snap.tasks.v[1].comm, "a (b)", "name of a thread");
		ok(snap.tasks.v[1].descriptor == MW_UNKNOWN, "a captured tree has no system calls");
	}
	mw__proc_close(&proc);
	mw__snapshot_deinit(&snap);
}

static void test_cmdline(struct tree *t)
{
	struct mw__proc proc;

	ok(mw__proc_open(&proc, t->root, TREE_PID, NULL) == 0, "the tree");
	tree_put_bytes(t, "42/cmdline", "sh\0-c\0true\0\0", 12);
	is_str(mw__cmdline_read(&proc, &arena), "sh -c true", "arguments with blanks between them");
	tree_put(t, "cmdline", "");
	is_str(mw__cmdline_read(&proc, &arena), NULL, "none");
	tree_put_bytes(t, "42/cmdline", "\0\0", 2);
	is_str(mw__cmdline_read(&proc, &arena), "", "an empty one");
	mw__proc_close(&proc);
}

/* ------------------------------------------------------------------- kinds */

static void test_kinds(struct tree *t)
{
	static const struct {
		const char *line;
		enum mw__vma_kind kind;
		bool deleted;
	} cases[] = {
		{ "rw-p 00000000 00:00 0", MW__ANON, false },
		{ "rw-p 00000000 00:00 0 [heap]", MW__ANON, false },
		{ "rw-p 00000000 00:00 0 [stack]", MW__ANON, false },
		{ "rw-p 00000000 00:00 0 [anon:name]", MW__ANON, false },
		{ "r-xp 00000000 00:00 0 [vdso]", MW__SPECIAL, false },
		{ "r--p 00000000 00:00 0 [vvar_vclock]", MW__SPECIAL, false },
		{ "rw-p 00000000 00:01 7 /dev/zero", MW__ANON, false },
		{ "rw-s 00000000 00:01 8 /dev/zero (deleted)", MW__SHMEM, true },
		{ "rw-s 00000000 00:01 9 /memfd:x (deleted)", MW__SHMEM, true },
		{ "rw-s 00000000 00:0f 10 /memfd:huge (deleted)", MW__HUGETLB, true },
		{ "rw-s 00000000 00:01 11 /SYSV00000000 (deleted)", MW__SHMEM, true },
		{ "rw-p 00000000 00:0f 12 /anon_hugepage (deleted)", MW__HUGETLB, true },
		{ "rw-s 00000000 00:2a 13 /dev/shm/x", MW__SHMEM, false },
		{ "r--p 00000000 00:2a 14 /run/x", MW__SHMEM, false },
		{ "rw-s 00000000 00:05 15 /dev/dri/card0", MW__DEVICE, false },
		{ "rw-s 00000000 00:0e 16 anon_inode:[perf_event]", MW__DEVICE, false },
		{ "rw-s 00000000 00:0b 17 /[aio] (deleted)", MW__DEVICE, true },
		{ "r--p 00000000 fe:01 18 /usr/lib/x", MW__FILE, false },
		{ "r--p 00000000 fe:01 19 /usr/lib/x (deleted)", MW__FILE, true },
		{ "r--p 00000000 00:99 20 /some/where", MW__FILE, false },
	};
	const size_t n = sizeof(cases) / sizeof(cases[0]);
	struct mw_snapshot snap;
	struct mw__proc proc;
	char maps[4096], *p = maps;

	for (size_t i = 0; i < n; i++)
		p += sprintf(p, "%zx000-%zx000 %s\n", i + 1, i + 2, cases[i].line);
	tree_put(t, "maps", maps);
	tree_put(t, "mountinfo",
		 "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
		 "23 22 0:42 / /run rw,nosuid shared:2 master:3 - tmpfs tmpfs rw,mode=755\n"
		 "24 22 0:15 / /dev/hugepages rw - hugetlbfs hugetlbfs rw\n"
		 "25 22 0:5 / /dev rw - devtmpfs devtmpfs rw\n"
		 "nonsense\n26 22\n27 22 0:x / /a rw - ext4\n28 22 0:77 / /without-dash rw\n29 22 0:78 / /end rw -\n\n"
		 "30 22 0:79 / /last rw - xfs");
	mw__snapshot_init(&snap);
	ok(mw__proc_open(&proc, t->root, TREE_PID, NULL) == 0 && mw__maps_read(&proc, &snap, NULL) == 0 &&
	   mw__files_collect(&proc, &snap, NULL) == 0, "mappings with a mountinfo");
	for (size_t i = 0; i < n && snap.vmas.n == n; i++) {
		const struct mw__vma *v = &snap.vmas.v[i];

		is_str(mw__vma_kinds[v->kind], mw__vma_kinds[cases[i].kind], cases[i].line);
		ok((v->file != MW__NONE && snap.files.v[v->file].is_deleted) == (cases[i].deleted && v->kind != MW__ANON), "deleted or not");
	}
	mw__proc_close(&proc);
	mw__snapshot_deinit(&snap);
}

/* Two mappings of one inode share their file; the same inode on another device is another file. */
static void test_files(struct tree *t)
{
	struct mw_snapshot snap;
	struct mw__proc proc;

	tree_put(t, "maps", "1000-2000 r--p 00000000 fe:01 5 /a\n2000-3000 r--p 00000000 fe:02 5 /b\n3000-4000 r--p 00000000 00:00 0\n"
			    "4000-5000 r--p 00001000 fe:01 5 /a\n");
	mw__snapshot_init(&snap);
	ok(mw__proc_open(&proc, t->root, TREE_PID, NULL) == 0 && mw__maps_read(&proc, &snap, NULL) == 0 &&
	   mw__files_collect(&proc, &snap, NULL) == 0 && snap.vmas.n == 4, "files");
	is_int((long long)snap.files.n, 2, "two files");
	ok(snap.vmas.n == 4 && snap.vmas.v[0].file == snap.vmas.v[3].file && snap.vmas.v[0].file != snap.vmas.v[1].file &&
	   snap.vmas.v[2].file == MW__NONE, "by device and inode");
	mw__proc_close(&proc);
	mw__snapshot_deinit(&snap);
}

/* More than the table of files has room for at first, each mapped again behind all of them. */
static void test_many_files(struct tree *t)
{
	enum { FILES = 300 };
	struct mw_snapshot snap;
	struct mw__proc proc;
	char maps[64 * 2 * FILES], *p = maps;
	size_t same = 0;

	for (unsigned i = 0; i < 2 * FILES; i++)
		p += sprintf(p, "%x000-%x000 r--p 00000000 fe:01 %u /lib/%u\n", i + 1, i + 2, 1000 + i % FILES, i % FILES);
	tree_put(t, "maps", maps);
	mw__snapshot_init(&snap);
	ok(mw__proc_open(&proc, t->root, TREE_PID, NULL) == 0 && mw__maps_read(&proc, &snap, NULL) == 0 &&
	   mw__files_collect(&proc, &snap, NULL) == 0 && snap.vmas.n == 2 * FILES, "many files");
	is_int((long long)snap.files.n, FILES, "each is there once");
	for (size_t i = 0; i < FILES && snap.vmas.n == 2 * FILES; i++)
		same += snap.vmas.v[i].file == snap.vmas.v[i + FILES].file;
	is_int((long long)same, FILES, "both mappings have it");
	mw__proc_close(&proc);
	mw__snapshot_deinit(&snap);
}

/* Mappings of two reads that overlap, and a program that is another file than the one looked for. */
static void test_torn_files(struct tree *t)
{
	struct mw_snapshot snap;
	struct mw__proc proc;

	tree_put(t, "maps", "1000-3000 r--p 00000000 fe:01 5 /a\n2000-5000 r--p 00001000 fe:01 5 /a\n4000-5000 rw-p 00000000 00:00 0\n");
	tree_put(t, "exe", "another file");
	mw__snapshot_init(&snap);
	ok(mw__proc_open(&proc, t->root, TREE_PID, NULL) == 0 && mw__maps_read(&proc, &snap, NULL) == 1 &&
	   mw__files_collect(&proc, &snap, NULL) == 0, "mappings that overlap");
	ok(snap.vmas.n == 2 && snap.vmas.v[1].start == 0x3000 && snap.vmas.v[1].end == 0x5000 && snap.vmas.v[1].off == 0x2000,
	   "are cut, with their place in the file");
	ok(snap.files.n == 1 && mw__files_open(&proc, &snap, &snap.vmas.v[0]) == -1 && !snap.files.v[0].is_replaced,
	   "the program's file being another one does not make this one replaced");
	tree_drop(t, "exe");
	mw__proc_close(&proc);
	mw__snapshot_deinit(&snap);
}

/* --------------------------------------------------------------- page runs */

/* Memory of a device is told by its flags where the pages cannot be asked. */
static void test_pagemap(struct tree *t)
{
	struct mw_snapshot snap;
	struct mw__proc proc;
	char entries[9 * 8] = "";

	entries[2 * 8 - 1] = (char)0x80;	/* page 1 is present */
	tree_put(t, "maps", "1000-3000 rw-p 00000000 00:00 0\n4000-6000 rw-s 00000000 00:05 9 /dev/x\n");
	tree_put(t, "smaps", "1000-3000 rw-p 00000000 00:00 0\nRss: 4 kB\nVmFlags: rd wr \n"
			     "4000-6000 rw-s 00000000 00:05 9 /dev/x\nRss: 4 kB\nVmFlags: rd wr pf io \n");
	tree_put_bytes(t, "42/pagemap", entries, sizeof(entries));
	mw__snapshot_init(&snap);
	ok(mw__proc_open(&proc, t->root, TREE_PID, NULL) == 0 && mw__smaps_read(&proc, &snap, true, NULL) == 0 &&
	   mw__pages_pagemap(&proc, &snap, NULL) == 0 && snap.vmas.n == 2, "page states by pagemap");
	ok(snap.vmas.v[0].n_runs == 1 && snap.runs.v[0].start == 0x1000 && snap.runs.v[0].pages == 1 && !snap.vmas.v[0].no_pages, "a present page");
	ok(snap.vmas.v[1].no_pages && !snap.vmas.v[1].n_runs, "and a mapping without struct pages");
	tree_drop(t, "pagemap");
	tree_drop(t, "smaps");
	mw__proc_close(&proc);
	mw__snapshot_deinit(&snap);
}

static void test_pages_add(void)
{
	struct mw_snapshot snap;
	uint64_t outside = 0;
	size_t at = 0;

	mw__snapshot_init(&snap);
	for (int i = 0; i < 3; i++) {
		struct mw__vma *v = MW_VEC_PUSH(&snap.vmas);

		v->start = 0x10000 + (uint64_t)i * 0x10000 + (i == 2 ? 0x10000 : 0);
		v->end = v->start + 0x10000;
		v->file = MW__NONE;
	}
	/* [10000 20000) [20000 30000) gap [40000 50000) */
	ok(mw__pages_add(&snap, &at, 0x1f000, 0x21000, MW__PRESENT, &outside) == 0, "a run across two mappings");
	ok(mw__pages_add(&snap, &at, 0x21000, 0x22000, MW__PRESENT, &outside) == 0, "one that goes on");
	ok(mw__pages_add(&snap, &at, 0x22000, 0x23000, MW__PRESENT | MW__HUGE, &outside) == 0, "another state");
	ok(mw__pages_add(&snap, &at, 0x2f000, 0x42000, MW__SWAPPED, &outside) == 0, "one across a gap");
	ok(mw__pages_add(&snap, &at, 0x4f000, 0x60000, MW__PRESENT, &outside) == 0, "one beyond the last mapping");
	is_u64(outside, 0x10000 + 0x10000, "what no mapping holds is counted");
	is_int((long long)snap.runs.n, 6, "runs are cut at mappings and joined in them");
	ok(snap.vmas.v[0].n_runs == 1 && snap.vmas.v[1].n_runs == 3 && snap.vmas.v[2].n_runs == 2, "each mapping has its own");
	ok(snap.runs.n == 6 && snap.runs.v[1].start == 0x20000 && snap.runs.v[1].pages == 2, "the joined one");
	ok(mw__snapshot_freeze(&(struct mw_snapshot){ .target.page_size = 4096 }, NULL) == 0, "nothing is a snapshot");
	snap.target.page_size = 4096;
	ok(mw__snapshot_freeze(&snap, NULL) == 0, "the runs pass the freeze");
	mw__snapshot_deinit(&snap);
}

int main(void)
{
	struct tree t;

	mw__arena_init(&arena);
	if (!ok(tree_create(&t), "a tree"))
		return done_testing();
	test_maps_fields();
	test_maps_perms();
	test_maps_names();
	test_maps_malformed();
	test_maps_prefixes();
	test_maps_file(&t);
	test_smaps_lines();
	test_smaps_shapes(&t);
	test_smaps_errors(&t);
	test_smaps_beside_maps(&t);
	test_rollup(&t);
	test_status_fields();
	test_status_unknown();
	test_status_read(&t);
	test_stat();
	test_limits(&t);
	test_statm(&t);
	test_no_pid();
	test_cgroup(&t);
	test_cgroup_mounts(&t);
	test_tasks(&t);
	test_cmdline(&t);
	test_kinds(&t);
	test_files(&t);
	test_many_files(&t);
	test_torn_files(&t);
	test_pagemap(&t);
	test_pages_add();
	tree_destroy(&t);
	mw__arena_deinit(&arena);
	return done_testing();
}
