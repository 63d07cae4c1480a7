/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One table a struct. What is not in its table is derived: runs by place, arrays by their lines. */
#include "fields.h"

#include "../base/count.h"
#include "../model/snapshot.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "members are loaded by their low bytes");

/* ------------------------------------------------------- names of enumerators */

static const char *name_kind(unsigned i)
{
	return i < MW__N_KINDS ? mw__vma_kinds[i] : NULL;
}

static const char *name_owner(unsigned i)
{
	return i < MW__N_OWNERS ? mw__owners[i].id : NULL;
}

static const char *name_certainty(unsigned i)
{
	return i <= MW__PROVEN ? mw__certainty_names[i] : NULL;
}

static const char *name_role(unsigned i)
{
	static const char *const names[] = {
		[MW__PROGRAM] = "program", [MW__INTERPRETER] = "interpreter",
		[MW__LIBRARY] = "library", [MW__VDSO] = "vdso",
	};

	return i <= MW__VDSO ? names[i] : NULL;
}

static const char *name_severity(unsigned i)
{
	static const char *const names[] = { [MW__INFO] = "info", [MW__WARNING] = "warning" };

	return i <= MW__WARNING ? names[i] : NULL;
}

static const char *name_source(unsigned i)
{
	static const char *const names[] = {
		[MW_PAGES_AUTO] = "none", [MW_PAGES_SCAN] = "scan",
		[MW_PAGES_SMAPS] = "smaps", [MW_PAGES_PAGEMAP] = "pagemap",
	};

	return i <= MW_PAGES_PAGEMAP ? names[i] : NULL;
}

/* ------------------------------------------------------------------- tables */

#define SIZE_OF(type, m) sizeof(((struct type *)0)->m)
#define FIELD(type, m, kind, name) { #m, offsetof(struct type, m), SIZE_OF(type, m), kind, name }
#define NUMBER(type, m) FIELD(type, m, MW__F_NUMBER, NULL)
#define ADDR(type, m) FIELD(type, m, MW__F_ADDR, NULL)
#define LIMIT(type, m) FIELD(type, m, MW__F_LIMIT, NULL)
#define PID(type, m) FIELD(type, m, MW__F_PID, NULL)
#define BOOL(type, m) FIELD(type, m, MW__F_BOOL, NULL)
#define CHAR(type, m) FIELD(type, m, MW__F_CHAR, NULL)
#define TEXT(type, m) FIELD(type, m, MW__F_TEXT, NULL)
#define NAME(type, m, fn) FIELD(type, m, MW__F_NAME, fn)
#define TABLE(table, type) { table, MW__COUNT(table), sizeof(struct type), 0 }

static const struct mw__field target[] = {
	PID(mw__target, pid), TEXT(mw__target, comm), TEXT(mw__target, exe), TEXT(mw__target, cmdline),
	NUMBER(mw__target, start_ticks), NUMBER(mw__target, taken_at_ns), NUMBER(mw__target, took_ns),
	TEXT(mw__target, kernel), TEXT(mw__target, machine), NUMBER(mw__target, page_size),
	NUMBER(mw__target, page_levels),
	NUMBER(mw__target, tries), BOOL(mw__target, is_torn), BOOL(mw__target, has_maps),
	NAME(mw__target, pages, name_source), TEXT(mw__target, allocator), TEXT(mw__target, runtime),
};
const struct mw__fields mw__target_fields = TABLE(target, mw__target);

static const struct mw__field status[] = {
#define STATUS(member, key, what) NUMBER(mw__status, member),
#include "../model/status.def"
#undef STATUS
	NUMBER(mw__status, threads), PID(mw__status, ppid), PID(mw__status, ns_pid),
	NUMBER(mw__status, uid), NUMBER(mw__status, euid), CHAR(mw__status, state),
};
const struct mw__fields mw__status_fields = TABLE(status, mw__status);

static const struct mw__field roads[] = {
	NUMBER(mw__roads, statm_size), NUMBER(mw__roads, statm_rss), NUMBER(mw__roads, stat_vsize),
	NUMBER(mw__roads, procps_vsize), NUMBER(mw__roads, procps_rss), NUMBER(mw__roads, vsz_before),
	NUMBER(mw__roads, rss_before),
};
const struct mw__fields mw__roads_fields = TABLE(roads, mw__roads);

static const struct mw__field limits[] = {
	LIMIT(mw__limits, as_soft), LIMIT(mw__limits, stack_soft), LIMIT(mw__limits, memlock_soft),
	LIMIT(mw__limits, data_soft), LIMIT(mw__limits, max_map_count), LIMIT(mw__limits, swap_total),
	LIMIT(mw__limits, swap_free), LIMIT(mw__limits, mem_total), LIMIT(mw__limits, cpus),
	TEXT(mw__limits, thp),
};
const struct mw__fields mw__limits_fields = TABLE(limits, mw__limits);

static const struct mw__field cgroup[] = {
	TEXT(mw__cgroup, path), NUMBER(mw__cgroup, version), BOOL(mw__cgroup, is_root), LIMIT(mw__cgroup, current),
	LIMIT(mw__cgroup, max), LIMIT(mw__cgroup, anon), LIMIT(mw__cgroup, file),
	LIMIT(mw__cgroup, shmem), LIMIT(mw__cgroup, kernel), LIMIT(mw__cgroup, slab),
	LIMIT(mw__cgroup, sock), LIMIT(mw__cgroup, page_tables), LIMIT(mw__cgroup, inactive_file),
	LIMIT(mw__cgroup, swap),
};
const struct mw__fields mw__cgroup_fields = TABLE(cgroup, mw__cgroup);

static const struct mw__field layout[] = {
	ADDR(mw__layout, start_code), ADDR(mw__layout, end_code), ADDR(mw__layout, start_data),
	ADDR(mw__layout, end_data), ADDR(mw__layout, start_brk), ADDR(mw__layout, brk),
	ADDR(mw__layout, start_stack),
};
const struct mw__fields mw__layout_fields = TABLE(layout, mw__layout);

static const struct mw__field smaps[] = {
#define SMAPS(member, key, json, what) \
	{ json, offsetof(struct mw__smaps, member), sizeof(uint64_t), MW__F_NUMBER, NULL },
#include "../model/smaps.def"
#undef SMAPS
	TEXT(mw__smaps, flags),
};
const struct mw__fields mw__smaps_fields = TABLE(smaps, mw__smaps);

static const struct mw__field vma[] = {
	ADDR(mw__vma, start), ADDR(mw__vma, end), NUMBER(mw__vma, off), NUMBER(mw__vma, ino),
	NUMBER(mw__vma, dev_major), NUMBER(mw__vma, dev_minor), TEXT(mw__vma, name),
	NUMBER(mw__vma, file), NUMBER(mw__vma, prot), NAME(mw__vma, kind, name_kind),
	BOOL(mw__vma, is_shared), BOOL(mw__vma, no_pages), BOOL(mw__vma, states_known),
	NUMBER(mw__vma, zero_unplaced), NUMBER(mw__vma, cached), NUMBER(mw__vma, evicted),
	BOOL(mw__vma, cache_placed),
};
const struct mw__fields mw__vma_fields = TABLE(vma, mw__vma);

static const struct mw__field file[] = {
	TEXT(mw__file, path), NUMBER(mw__file, dev_major), NUMBER(mw__file, dev_minor),
	NUMBER(mw__file, ino), NUMBER(mw__file, size), BOOL(mw__file, is_deleted),
	BOOL(mw__file, is_replaced), TEXT(mw__file, how), TEXT(mw__file, fs),
};
const struct mw__fields mw__file_fields = TABLE(file, mw__file);

static const struct mw__field image[] = {
	TEXT(mw__image, path), NUMBER(mw__image, file), NAME(mw__image, role, name_role),
	ADDR(mw__image, bias), ADDR(mw__image, start), ADDR(mw__image, end),
	NUMBER(mw__image, elf_class), BOOL(mw__image, big_endian), NUMBER(mw__image, type),
	NUMBER(mw__image, machine), TEXT(mw__image, build_id), TEXT(mw__image, go_version),
	TEXT(mw__image, interp), TEXT(mw__image, source),
};
const struct mw__fields mw__image_fields = TABLE(image, mw__image);

static const struct mw__field segment[] = {
	NUMBER(mw__segment, type), NUMBER(mw__segment, flags), NUMBER(mw__segment, off),
	ADDR(mw__segment, vaddr), NUMBER(mw__segment, filesz), NUMBER(mw__segment, memsz),
	NUMBER(mw__segment, align),
};
const struct mw__fields mw__segment_fields = TABLE(segment, mw__segment);

static const struct mw__field section[] = {
	TEXT(mw__section, name), NUMBER(mw__section, type), NUMBER(mw__section, flags),
	ADDR(mw__section, addr), NUMBER(mw__section, size), NUMBER(mw__section, off),
};
const struct mw__fields mw__section_fields = TABLE(section, mw__section);

static const struct mw__field detail[] = {
	TEXT(mw__detail, symbols_from), BOOL(mw__detail, symbols_read), BOOL(mw__detail, relocs_known), NUMBER(mw__detail, n_relative),
	NUMBER(mw__detail, n_symbolic), NUMBER(mw__detail, n_plt), NUMBER(mw__detail, n_copy),
	NUMBER(mw__detail, n_ifunc), BOOL(mw__detail, binds_now),
};
const struct mw__fields mw__detail_fields = TABLE(detail, mw__detail);

static const struct mw__field symbol[] = {
	NUMBER(mw__symbol, addr), NUMBER(mw__symbol, size), NUMBER(mw__symbol, type), NUMBER(mw__symbol, bind),
	TEXT(mw__symbol, name),
};
const struct mw__fields mw__symbol_fields = TABLE(symbol, mw__symbol);

static const struct mw__field cpuid[] = {
	NUMBER(mw__cpuid, leaf), NUMBER(mw__cpuid, subleaf), NUMBER(mw__cpuid, eax), NUMBER(mw__cpuid, ebx),
	NUMBER(mw__cpuid, ecx), NUMBER(mw__cpuid, edx),
};
const struct mw__fields mw__cpuid_fields = TABLE(cpuid, mw__cpuid);

static const struct mw__field reloc_page[] = {
	NUMBER(mw__reloc_page, addr), NUMBER(mw__reloc_page, relocs), NUMBER(mw__reloc_page, own),
};
const struct mw__fields mw__reloc_page_fields = TABLE(reloc_page, mw__reloc_page);

static const struct mw__field frame[] = {
	NUMBER(mw__frame, addr), NUMBER(mw__frame, pfn), NUMBER(mw__frame, flags), NUMBER(mw__frame, mappers),
	NUMBER(mw__frame, node),
};
const struct mw__fields mw__frame_fields = TABLE(frame, mw__frame);

static const struct mw__field source_line[] = {
	NUMBER(mw__source_line, addr), NUMBER(mw__source_line, depth), NUMBER(mw__source_line, line),
	TEXT(mw__source_line, function), TEXT(mw__source_line, file),
};
const struct mw__fields mw__source_line_fields = TABLE(source_line, mw__source_line);

static const struct mw__field task[] = {
	PID(mw__task, tid), TEXT(mw__task, comm), ADDR(mw__task, sp), ADDR(mw__task, descriptor),
};
const struct mw__fields mw__task_fields = TABLE(task, mw__task);

static const struct mw__field claim[] = {
	ADDR(mw__claim, start), ADDR(mw__claim, end), NAME(mw__claim, owner, name_owner),
	NAME(mw__claim, certainty, name_certainty), NUMBER(mw__claim, priority),
	TEXT(mw__claim, rule), TEXT(mw__claim, detail),
};
const struct mw__fields mw__claim_fields = TABLE(claim, mw__claim);

static const struct mw__field note[] = {
	NAME(mw__note, severity, name_severity), TEXT(mw__note, source), TEXT(mw__note, reason),
	TEXT(mw__note, remedy),
};
const struct mw__fields mw__note_fields = TABLE(note, mw__note);

const struct mw__head_part mw__head_parts[MW__N_HEAD_PARTS] = {
	{ "target", offsetof(struct mw_snapshot, target), &mw__target_fields },
	{ "status", offsetof(struct mw_snapshot, status), &mw__status_fields },
	{ "roads", offsetof(struct mw_snapshot, roads), &mw__roads_fields },
	{ "limits", offsetof(struct mw_snapshot, limits), &mw__limits_fields },
	{ "cgroup", offsetof(struct mw_snapshot, cgroup), &mw__cgroup_fields },
	{ "layout", offsetof(struct mw_snapshot, layout), &mw__layout_fields },
	{ "rollup", offsetof(struct mw_snapshot, rollup), &mw__smaps_fields },
};

void mw__fields_init(const struct mw__fields *fields, void *base)
{
	memset(base, 0, fields->size);
	for (size_t i = 0; i < fields->n; i++) {
		const struct mw__field *field = &fields->v[i];

		if (field->kind <= MW__F_LIMIT)
			mw__field_store(base, field, mw__field_unknown(field));
		else if (field->kind == MW__F_CHAR)
			mw__field_store(base, field, '?');
	}
}
