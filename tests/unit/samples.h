/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A snapshot in which every member has a value of its own, made from the same tables as
 * the file format. test_save.c shows that the tables leave no member out.
 */
#ifndef MW_TESTS_SAMPLES_H
#define MW_TESTS_SAMPLES_H

#include <stdlib.h>

#include "model/snapshot.h"
#include "save/fields.h"

static uint64_t sample_seed;

/* Odd texts come up, too. */
static const char *sample_text(struct mw_snapshot *snap)
{
	static const char *const odd[] = { "", "a \"quoted\" \\ text", "tab\tnew\nline\x01\x7f", "größe/☃" };
	uint64_t n = sample_seed++;

	if (n % 7 == 0)
		return odd[n / 7 % 4];
	return mw__arena_printf(&snap->arena, "text %llu", (unsigned long long)n);
}

static uint64_t sample_scalar(const struct mw__field *field)
{
	uint64_t n = sample_seed++, most = mw__field_unknown(field);
	unsigned names = 0;

	switch (field->kind) {
	case MW__F_BOOL:
		return n & 1;
	case MW__F_CHAR:
		return 'A' + n % 26;
	case MW__F_PID:
		return n;
	case MW__F_NAME:
		while (field->name(names))
			names++;
		return n % names;
	default:
		return n % 5 == 0 ? most - 2 : n % 5 == 1 && field->kind == MW__F_LIMIT ? most - 1 :
		       n % 11 == 2 ? most : n % most;
	}
}

static void sample_struct(struct mw_snapshot *snap, const struct mw__fields *fields, void *base)
{
	mw__fields_init(fields, base);
	for (size_t i = 0; i < fields->n; i++) {
		const struct mw__field *field = &fields->v[i];

		if (field->kind == MW__F_TEXT) {
			const char *text = sample_text(snap);

			memcpy((char *)base + field->off, &text, sizeof(text));
		} else {
			mw__field_store(base, field, sample_scalar(field));
		}
	}
}

static bool sample_runs(struct mw_snapshot *snap, struct mw__vma *vma, size_t n)
{
	vma->run = n ? (uint32_t)snap->runs.n : 0;
	vma->n_runs = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		struct mw__run *run = MW_VEC_PUSH(&snap->runs);

		if (!run)
			return false;
		*run = (struct mw__run){ vma->start + i * 3 * 4096, 1 + i % 3, 1 + i % 63 };
	}
	return true;
}

/* A page in the cache every three pages, where places are known. */
static bool sample_cache(struct mw_snapshot *snap, struct mw__vma *vma, size_t n)
{
	vma->cache_placed = n;
	for (size_t i = 0; i < n; i++) {
		struct mw__run *run = MW_VEC_PUSH(&snap->cache);

		if (!run)
			return false;
		*run = (struct mw__run){ vma->start + i * 3 * 4096, 1 + i % 3, MW__OF_FILE };
		vma->cached = (i ? vma->cached : 0) + run->pages * 4096;
		if (!vma->n_cache++)
			vma->cache = (uint32_t)(snap->cache.n - 1);
	}
	return true;
}

static bool sample_vmas(struct mw_snapshot *snap, size_t n, size_t n_runs)
{
	uint64_t start = 0x400000;

	for (size_t i = 0; i < n; i++) {
		struct mw__vma *vma = MW_VEC_PUSH(&snap->vmas);

		if (!vma)
			return false;
		sample_struct(snap, &mw__vma_fields, vma);
		vma->start = start;
		start += (n_runs + 1) * 3 * 4096;
		vma->end = start;
		start += i * 4096;
		vma->file = i % 2 ? MW__NONE : 0;
		vma->prot = i % 8;
		if (!vma->name || !sample_runs(snap, vma, i % 2 ? n_runs : 0) ||
		    !sample_cache(snap, vma, i % 4 == 1 ? n_runs : 0))
			return false;
	}
	snap->smaps = calloc(n ? n : 1, sizeof(*snap->smaps));
	for (size_t i = 0; snap->smaps && i < n; i++)
		sample_struct(snap, &mw__smaps_fields, &snap->smaps[i]);
	return snap->smaps;
}

static const struct mw__detail *sample_detail(struct mw_snapshot *snap, uint32_t n)
{
	struct mw__detail *d = mw__arena_alloc(&snap->arena, sizeof(*d));
	struct mw__symbol *symbols = mw__arena_array(&snap->arena, n + 1, sizeof(*symbols));
	struct mw__reloc_page *pages = mw__arena_array(&snap->arena, n + 1, sizeof(*pages));

	if (!d || !symbols || !pages)
		return NULL;
	sample_struct(snap, &mw__detail_fields, d);
	d->symbols = symbols;
	d->reloc_pages = pages;
	d->n_symbols = d->n_reloc_pages = n;
	for (uint32_t i = 0; i < n; i++) {
		sample_struct(snap, &mw__symbol_fields, &symbols[i]);
		sample_struct(snap, &mw__reloc_page_fields, &pages[i]);
		symbols[i].addr = UINT64_MAX - 1 - n + i / 2;	/* beyond what a signed number holds */
		symbols[i].size = i % 2 ? 3 : 7;
		pages[i].addr = i * UINT64_C(8192);
	}
	return d;
}

static bool sample_frames(struct mw_snapshot *snap, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct mw__frame *frame = MW_VEC_PUSH(&snap->frames);

		if (!frame)
			return false;
		sample_struct(snap, &mw__frame_fields, frame);
		frame->addr = 4096 * (3 * i + 1);
	}
	return true;
}

static bool sample_cpu(struct mw_snapshot *snap, size_t n)
{
	for (size_t i = 0; i < n && i < MW__MAX_LEAVES; i++)
		sample_struct(snap, &mw__cpuid_fields, &snap->cpu.leaves[snap->cpu.n++]);
	return true;
}

static bool sample_images(struct mw_snapshot *snap, size_t n, uint32_t n_parts)
{
	for (size_t i = 0; i < n; i++) {
		struct mw__image *image = MW_VEC_PUSH(&snap->images);
		uint32_t parts = i % 2 ? 0 : n_parts;
		struct mw__segment *segments = mw__arena_array(&snap->arena, parts, sizeof(*segments));
		struct mw__section *sections = mw__arena_array(&snap->arena, parts, sizeof(*sections));

		if (!image || !segments || !sections)
			return false;
		sample_struct(snap, &mw__image_fields, image);
		image->file = i % 3 ? MW__NONE : 0;
		image->elf_class = i % 2 ? 32 : 64;
		image->start = 4096 * i;
		image->end = 4096 * (i + 9);
		image->n_segments = image->n_sections = parts;
		image->segments = segments;
		image->sections = sections;
		for (uint32_t k = 0; k < parts; k++) {
			sample_struct(snap, &mw__segment_fields, &segments[k]);
			sample_struct(snap, &mw__section_fields, &sections[k]);
		}
		image->detail = i % 3 == 2 ? NULL : sample_detail(snap, i ? 3 * n_parts : 0);
		if (i % 3 != 2 && !image->detail)
			return false;
	}
	return true;
}

static bool sample_claims(struct mw_snapshot *snap, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct mw__claim *claim = MW_VEC_PUSH(&snap->claims);

		if (!claim)
			return false;
		sample_struct(snap, &mw__claim_fields, claim);
		claim->start = 4096 * (n - i);
		claim->end = claim->start + i + 1;
		claim->priority = (uint16_t)(i / 2);
	}
	return true;
}

#define SAMPLE_EACH(snap, vec, fields, n)                                               \
	({                                                                              \
		bool good_ = true;                                                      \
		for (size_t i_ = 0; i_ < (n) && good_; i_++) {                          \
			void *p_ = MW_VEC_PUSH(&(snap)->vec);                           \
			good_ = p_;                                                     \
			if (p_)                                                         \
				sample_struct(snap, &fields, p_);                       \
		}                                                                       \
		good_;                                                                  \
	})

/* n of each record, runs and parts where there are some. Frozen; NULL without memory. */
__attribute__((unused))
static struct mw_snapshot *sample_create(size_t n, size_t n_runs, uint32_t n_parts)
{
	struct mw_snapshot *snap = calloc(1, sizeof(*snap));

	if (!snap)
		return NULL;
	sample_seed = 100;
	mw__snapshot_init(snap);
	for (size_t i = 0; i < MW__N_HEAD_PARTS; i++)
		sample_struct(snap, mw__head_parts[i].fields, (char *)snap + mw__head_parts[i].off);
	snap->target.page_size = 4096;
	if (sample_vmas(snap, n, n_runs) && sample_images(snap, n, n_parts) && sample_claims(snap, n) &&
	    SAMPLE_EACH(snap, files, mw__file_fields, n) && SAMPLE_EACH(snap, tasks, mw__task_fields, n) &&
	    sample_frames(snap, n_runs) && sample_cpu(snap, n) && SAMPLE_EACH(snap, sources, mw__source_line_fields, n) &&
	    SAMPLE_EACH(snap, notes, mw__note_fields, n) && mw__snapshot_freeze(snap, NULL) == 0)
		return snap;
	mw_snapshot_destroy(snap);
	return NULL;
}

#endif
