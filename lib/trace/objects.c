/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ELF files of a recording. Each path that was mapped is opened once, in the root of the process when
 * it is still there. Only symbols that an address of the recording falls into are kept, so a recording of
 * a program with a million symbols stays small.
 */
#include "trace.h"

#include "../base/cleanup.h"
#include "../base/search.h"
#include "../elf/detail.h"
#include "../elf/image.h"
#include "../elf/lookup.h"
#include "../model/space.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_path(const char *path, pid_t pid)
{
	char inside[4200];
	struct stat st;
	int fd = -1;

	if (pid > 0 && snprintf(inside, sizeof(inside), "/proc/%d/root%s", pid, path) < (int)sizeof(inside))
		fd = open(inside, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* -------------------------------------------------------------------- files */

static int compare_moves_by_name(const void *a, const void *b)
{
	const struct mw__move *x = *(struct mw__move *const *)a, *y = *(struct mw__move *const *)b;

	return x->name < y->name ? -1 : x->name > y->name;
}

static bool is_path(const char *name)
{
	return name[0] == '/' && name[1] != '/';
}

static int read_object(struct mw_recording *rec, const char *path, pid_t pid, uint32_t *ret)
{
	MW_CLEANUP(mw__closep) int fd = open_path(path, pid);
	struct mw__image img = {};
	int rc = fd >= 0 ? mw__image_read_fd(fd, &rec->arena, &img, NULL) : 0;

	*ret = MW__NONE;
	if (rc <= 0)
		return rc == -MW_E_NOMEM ? rc : 0;
	struct mw__object_file *o = MW_VEC_PUSH(&rec->objects);

	if (!o)
		return -MW_E_NOMEM;
	img.path = path;
	img.file = MW__NONE;
	*o = (struct mw__object_file){ .path = path, .image = img };
	*ret = (uint32_t)(rec->objects.n - 1);
	return 0;
}

int mw__objects_read(struct mw_recording *rec, pid_t pid)
{
	MW_CLEANUP(mw__freep) struct mw__move **list = calloc(rec->moves.n + 1, sizeof(*list));
	const char *last = NULL;
	uint32_t object = MW__NONE;
	size_t n = 0;
	int rc = 0;

	if (!list)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < rec->moves.n; i++)
		if (rec->moves.v[i].kind == MW__MOVE_MAP && is_path(rec->moves.v[i].name))
			list[n++] = &rec->moves.v[i];
	qsort(list, n, sizeof(*list), compare_moves_by_name);
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (list[i]->name != last)
			rc = read_object(rec, last = list[i]->name, pid, &object);
		list[i]->object = object;
	}
	return rc;
}

/* ------------------------------------------------------------------ symbols */

struct wanted {
	MW_VEC(uint64_t) addrs;
};

static void sort_unique(struct wanted *w)
{
	size_t n = 0;

	if (w->addrs.n)
		qsort(w->addrs.v, w->addrs.n, sizeof(*w->addrs.v), mw__compare_u64);
	for (size_t i = 0; i < w->addrs.n; i++)
		if (!n || w->addrs.v[n - 1] != w->addrs.v[i])
			w->addrs.v[n++] = w->addrs.v[i];
	w->addrs.n = n;
}

static int want(const struct mw_recording *rec, struct wanted *list, struct mw__space *space, uint64_t addr)
{
	const struct mw__range *r = mw__space_at(space, addr);

	if (!r || !r->object)
		return 0;
	struct wanted *w = &list[r->object - rec->objects.v];
	uint64_t at = addr - r->bias;

	if (w->addrs.n && w->addrs.v[w->addrs.n - 1] == at)
		return 0;
	uint64_t *slot = MW_VEC_PUSH(&w->addrs);

	if (!slot)
		return -MW_E_NOMEM;
	*slot = at;
	return 0;
}

static int want_fault(const struct mw_recording *rec, struct wanted *list, struct mw__space *space,
		      const struct mw__fault *f, bool barren, uint64_t *last_ip)
{
	int rc = barren ? 0 : want(rec, list, space, f->addr);

	if (rc == 0 && f->ip != *last_ip)
		rc = want(rec, list, space, f->ip);
	*last_ip = f->ip;
	for (uint16_t i = 0; rc == 0 && i < f->n_chain; i++)
		rc = want(rec, list, space, rec->chains.v[f->chain + i]);
	return rc;
}

/* Where faults stream through memory of no file: there is nothing to want. */
struct barren {
	const struct mw__space *space;
	size_t moves;
	uint64_t start, end;
};

static bool is_barren(struct barren *b, struct mw__space *space, size_t moves, uint64_t addr)
{
	if (b->space == space && b->moves == moves && addr >= b->start && addr < b->end)
		return true;
	const struct mw__range *r = mw__space_at(space, addr);

	if (!r || r->object)
		return false;
	*b = (struct barren){ space, moves, r->start, r->end };
	return true;
}

static int want_all(struct mw_recording *rec, struct wanted *list)
{
	struct mw__spaces spaces;
	struct barren barren = {};
	uint64_t last_ip = 0;
	uint32_t last_pid = 0;
	int rc = 0;

	mw__spaces_init(&spaces, rec);
	for (size_t i = 0; i < rec->faults.n && rc == 0; i++) {
		const struct mw__fault *f = &rec->faults.v[i];

		rc = mw__spaces_play(&spaces, f->time_ns);
		struct mw__space *space = mw__spaces_find(&spaces, f->pid);

		if (f->pid != last_pid)
			last_ip = 0;
		last_pid = f->pid;
		if (rc == 0 && space)
			rc = want_fault(rec, list, space, f, is_barren(&barren, space, spaces.next, f->addr), &last_ip);
	}
	mw__spaces_deinit(&spaces);
	return rc;
}

/* The symbols found, once each; a later one that overlaps its forerunner shortens that. */
static int gather(struct mw_recording *rec, struct mw__object_file *o, const struct mw__detail *d, const struct wanted *w)
{
	struct mw__fault_symbol *list = mw__arena_array(&rec->arena, w->addrs.n, sizeof(*list));
	uint32_t n = 0;

	if (!list)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < w->addrs.n; i++) {
		const struct mw__symbol *s = mw__detail_symbol_at(d, w->addrs.v[i]);
		struct mw__fault_symbol *last = n ? &list[n - 1] : NULL;

		if (!s || (last && last->addr >= s->addr))
			continue;
		if (last && s->addr - last->addr < last->size)
			last->size = s->addr - last->addr;
		list[n] = (struct mw__fault_symbol){ s->addr, s->size, mw__lookup_plain(s->name, &rec->arena) };
		if (!list[n++].name)
			return -MW_E_NOMEM;
	}
	o->symbols = list;
	o->n_symbols = n;
	return 0;
}

/* From wherever the views of sections have them: the file, a debug file, Go's table of functions. */
static int resolve(struct mw_recording *rec, struct mw__object_file *o, struct wanted *w, pid_t pid)
{
	MW_CLEANUP(mw__arena_deinit) struct mw__arena arena;
	MW_CLEANUP(mw__closep) int fd = open_path(o->path, pid);
	const struct mw__detail *d;

	mw__arena_init(&arena);
	sort_unique(w);
	struct mw__detail_want want = { .path = o->path, .symbols = true, .addrs = w->addrs.v, .n_addrs = w->addrs.n };

	if (fd < 0)
		return 0;
	if (mw__detail_read(fd, &o->image, &want, &arena, &d) < 0)
		return -MW_E_NOMEM;
	o->has_symbols = d->symbols_from;
	return gather(rec, o, d, w);
}

int mw__objects_resolve(struct mw_recording *rec, pid_t pid)
{
	struct wanted *list = calloc(rec->objects.n + 1, sizeof(*list));
	int rc = list ? want_all(rec, list) : -MW_E_NOMEM;

	for (size_t i = 0; list && i < rec->objects.n; i++) {
		if (rc == 0 && list[i].addrs.n)
			rc = resolve(rec, &rec->objects.v[i], &list[i], pid);
		MW_VEC_FREE(&list[i].addrs);
	}
	free(list);
	return rc;
}
