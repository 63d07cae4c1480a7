/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A program in the kernel (bpf(2)) that writes faults down. A perf sample is general: its header, its fields one
 * by one, its ring with wake-ups cost a third of a page fault. This program runs in the place of the sample
 * (BPF_PROG_TYPE_PERF_EVENT, PERF_EVENT_IOC_SET_BPF; Linux, kernel/events/core.c, bpf_overflow_handler()), stores
 * 32 bytes and says that no sample is wanted, which costs about a third of that. Needs CAP_BPF and CAP_PERFMON.
 *
 * One program and one array map a processor, for an event lives on one processor; so the program is the only writer.
 * The map is mapped into this process:
 *   page 0     head: bytes written since the start, by the program; lost: faults that found no room, by the program;
 *              tail: bytes read, by this process, on a cache line of its own
 *   behind it  the ring of records, a power of two
 * Ids are those of the first pid namespace (bpf_get_current_pid_tgid()), so elsewhere samples are used.
 */
#include "trace.h"

#include "../base/count.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The inode of the first pid namespace: Linux, include/linux/proc_ns.h, PROC_PID_INIT_INO. */
#define FIRST_PID_NAMESPACE 0xEFFFFFFCu

struct control {
	uint64_t head, lost;
	char pad[48];
	uint64_t tail;
};

struct record {
	uint64_t time, tgid_tid, addr, ip;
};

_Static_assert(offsetof(struct control, tail) == 64, "the tail has a cache line of its own");
_Static_assert(sizeof(struct record) == 32, "records fill a ring without a rest");

#ifdef __x86_64__

#define INSN(c, d, s, o, i) { .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) }
#define MOV(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ALU(op, d, s) INSN(BPF_ALU64 | (op) | BPF_X, d, s, 0, 0)
#define ALU_IMM(op, d, i) INSN(BPF_ALU64 | (op) | BPF_K, d, 0, 0, i)
#define LOAD(d, s, o) INSN(BPF_LDX | BPF_MEM | BPF_DW, d, s, (short)(o), 0)
#define STORE(d, s, o) INSN(BPF_STX | BPF_MEM | BPF_DW, d, s, (short)(o), 0)
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define JUMP_LESS(d, i, n) INSN(BPF_JMP | BPF_JLT | BPF_K, d, 0, n, i)
#define JUMP(n) INSN(BPF_JMP | BPF_JA, 0, 0, n, 0)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define AT(member) (PAGE + offsetof(struct record, member))
#define PAGE 4096

/* r6 context, r7 control, r8 head, r9 where the record goes. */
static int load_program(int map, size_t size)
{
	int mask = (int)(size - sizeof(struct record)), room = (int)(size - sizeof(struct record));
	struct bpf_insn code[] = {
		MOV(6, 1),
		INSN(BPF_LD | BPF_DW | BPF_IMM, 7, BPF_PSEUDO_MAP_VALUE, 0, map), INSN(0, 0, 0, 0, 0),
		LOAD(8, 7, offsetof(struct control, head)),
		LOAD(9, 7, offsetof(struct control, tail)),
		MOV(1, 8),
		ALU(BPF_SUB, 1, 9),
		JUMP_LESS(1, room + 1, 4),
		LOAD(1, 7, offsetof(struct control, lost)),
		ALU_IMM(BPF_ADD, 1, 1),
		STORE(7, 1, offsetof(struct control, lost)),
		JUMP(13),
		MOV(9, 8),
		ALU_IMM(BPF_AND, 9, mask),
		ALU(BPF_ADD, 9, 7),
		CALL(BPF_FUNC_ktime_get_ns),
		STORE(9, 0, AT(time)),
		CALL(BPF_FUNC_get_current_pid_tgid),
		STORE(9, 0, AT(tgid_tid)),
		LOAD(1, 6, offsetof(struct bpf_perf_event_data, addr)),
		STORE(9, 1, AT(addr)),
		LOAD(1, 6, offsetof(struct bpf_perf_event_data, regs) + offsetof(bpf_user_pt_regs_t, rip)),
		STORE(9, 1, AT(ip)),
		ALU_IMM(BPF_ADD, 8, sizeof(struct record)),
		STORE(7, 8, offsetof(struct control, head)),
		MOV_IMM(0, 0),		/* no sample */
		EXIT,
	};
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.prog_type = BPF_PROG_TYPE_PERF_EVENT;
	a.insns = (uintptr_t)code;
	a.insn_cnt = MW__COUNT(code);
	a.license = (uintptr_t)"GPL";
	memcpy(a.prog_name, "memwhy_faults", sizeof("memwhy_faults"));
	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));
}

#else

static int load_program(int map, size_t size)
{
	(void)map;
	(void)size;
	errno = ENOSYS;
	return -1;
}

#endif

static bool is_first_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == FIRST_PID_NAMESPACE;
}

static int make_map(size_t bytes)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_type = BPF_MAP_TYPE_ARRAY;
	a.key_size = 4;
	a.value_size = (uint32_t)bytes;
	a.max_entries = 1;
	a.map_flags = BPF_F_MMAPABLE;
	memcpy(a.map_name, "memwhy_faults", sizeof("memwhy_faults"));
	return (int)syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a));
}

int mw__program_open(struct mw__program *p, size_t size)
{
	size_t bytes = size + (size_t)sysconf(_SC_PAGESIZE);

	*p = (struct mw__program){ .map = -1, .fd = -1, .size = size };
	if (!is_first_namespace() || sysconf(_SC_PAGESIZE) != 4096)
		return -EPERM;
	p->map = make_map(bytes);
	void *base = p->map >= 0 ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->map, 0) : MAP_FAILED;

	if (base == MAP_FAILED) {
		int error = errno == EINVAL ? EOPNOTSUPP : errno;

		mw__program_close(p);
		return -error;
	}
	p->base = base;
	p->fd = load_program(p->map, size);
	if (p->fd >= 0)
		return 0;
	int error = errno == EINVAL ? EOPNOTSUPP : errno;

	mw__program_close(p);
	return -error;
}

void mw__program_close(struct mw__program *p)
{
	if (p->base)
		munmap(p->base, p->size + (size_t)sysconf(_SC_PAGESIZE));
	if (p->fd >= 0)
		close(p->fd);
	if (p->map >= 0)
		close(p->map);
	*p = (struct mw__program){ .map = -1, .fd = -1 };
}

int mw__program_attach(const struct mw__program *p, int event)
{
	if (ioctl(event, PERF_EVENT_IOC_SET_BPF, p->fd) == 0)
		return 0;
	return errno == EINVAL ? -EOPNOTSUPP : -errno;
}

uint64_t mw__program_room(const struct mw__program *p)
{
	return p->size / sizeof(struct record);
}

uint64_t mw__program_lost(const struct mw__program *p)
{
	const struct control *c = p->base;

	return c ? __atomic_load_n(&c->lost, __ATOMIC_RELAXED) : 0;
}

int mw__program_drain(struct mw__program *p, struct mw__decoder *d)
{
	struct control *c = p->base;
	const char *ring = (const char *)p->base + sysconf(_SC_PAGESIZE);
	uint64_t head = __atomic_load_n(&c->head, __ATOMIC_ACQUIRE), tail = c->tail;

	while (tail < head) {
		size_t n = (head - tail) / sizeof(struct record);
		struct mw__fault *to = mw__pile_room(&d->ring->faults, &n);

		if (!to)
			return -MW_E_NOMEM;
		for (size_t i = 0; i < n; i++, tail += sizeof(struct record)) {
			const struct record *r = (const struct record *)(ring + (tail & (p->size - 1)));

			to[i] = (struct mw__fault){ .time_ns = mw__decode_time(d, r->time), .addr = r->addr, .ip = r->ip,
						    .pid = (uint32_t)(r->tgid_tid >> 32), .tid = (uint32_t)r->tgid_tid,
						    .chain = MW__NONE };
		}
		mw__decode_keep(d, n);
	}
	__atomic_store_n(&c->tail, tail, __ATOMIC_RELEASE);
	return 0;
}
