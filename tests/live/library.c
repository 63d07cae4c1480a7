/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mapped libraries whose file is no longer what the name says: one deleted, one
 * replaced by other bytes, one left alone. usage: library PLUGIN.so
 */
#include "truth.h"
#include <dlfcn.h>
#include <link.h>

/* The plug-in's own words; see plugin.c. */
typedef void plugin_touch(void);

struct copy {
	const char *fate;
	char path[4096];
	void *handle;
};

static bool copy_file(const char *from, const char *to)
{
	char block[8192];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	ssize_t n = -1;

	while (in >= 0 && out >= 0 && (n = read(in, block, sizeof(block))) > 0)
		if (write(out, block, (size_t)n) != n)
			n = -1;
	if (out >= 0)
		fsync(out);
	close(in);
	close(out);
	return n == 0;
}

static bool load(struct copy *c, const char *plugin)
{
	plugin_touch *touch;

	snprintf(c->path, sizeof(c->path), "%s/plugin-%s.so", truth_dir(), c->fate);
	if (!copy_file(plugin, c->path))
		return false;
	c->handle = dlopen(c->path, RTLD_NOW | RTLD_LOCAL);
	if (!c->handle) {
		unlink(c->path);
		return false;
	}
	touch = (plugin_touch *)(uintptr_t)dlsym(c->handle, "plugin_touch");
	touch();
	return true;
}

/* "part" of a library: the mappings from one to the next, told by permission. */
struct part {
	uint64_t start, end;
	char perm[8];
	bool has_file;
};

static size_t list_parts(const struct copy *c, struct part *part, size_t cap)
{
	static struct reader r;
	char line[4352];
	size_t count = 0;
	unsigned long long inode;

	r = (struct reader){.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)};
	while (count < cap && next_line(&r, line, sizeof(line))) {
		struct part *p = &part[count];
		bool ours = strstr(line, c->path) != NULL;

		if (!is_header(line, &p->start, &p->end))
			continue;
		/* .bss has no name; it follows the last part that has one. */
		if (!ours && !(count && part[count - 1].end == p->start))
			continue;
		if (sscanf(line, "%*s %7s %*s %*s %llu", p->perm, &inode) != 2)
			continue;
		p->has_file = inode != 0;
		if (ours || !inode)
			count++;
		if (!ours)
			break;
	}
	close(r.fd);
	return count;
}

static void say_part(const struct copy *c, const struct part *part, size_t idx)
{
	const char *p = (const char *)(uintptr_t)part->start;
	size_t size = (size_t)(part->end - part->start);
	char name[64], detail[4300];
	struct expect e;

	if (!part->has_file)
		e = measure_anon(p, size, "N16");
	else if (part->perm[0] == '-')
		e = (struct expect){.untouched = size, .owner = "ldso-gap",
				    .causes = {{"N9", size}}};
	else
		e = measure_file(p, size, size);
	snprintf(name, sizeof(name), "lib-%s-%zu-%s", c->fate, idx,
		 part->has_file ? part->perm : "bss");
	snprintf(detail, sizeof(detail), "\"object\":\"%s\"", c->path);
	if (part->has_file)
		e.detail = detail;
	else
		e.owner = "bss";
	say(name, p, size, e);
}

static void say_library(const struct copy *c)
{
	struct part part[16];
	size_t count = list_parts(c, part, 16);

	if (!count)
		say_skip(c->fate, "the library is not in the map");
	for (size_t i = 0; i < count; i++)
		say_part(c, &part[i], i);
}

/* Other bytes under the same name: a reader must not take them for the map. */
static bool replace(const struct copy *c)
{
	char other[4200];
	int fd;

	snprintf(other, sizeof(other), "%s.new", c->path);
	fd = open(other, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, "not a library\n", 14) != 14)
		return false;
	close(fd);
	return rename(other, c->path) == 0;
}

int main(int argc, char **argv)
{
	static struct copy copies[] = {{.fate = "kept"}, {.fate = "deleted"},
				       {.fate = "replaced"}};
	begin();
	if (argc != 2 || dir_is_tmpfs()) {
		say_skip("library", "no plug-in given, or its directory is a tmpfs");
		hold();
	}
	for (size_t i = 0; i < 3; i++)
		if (!load(&copies[i], argv[1])) {
			say_skip(copies[i].fate, "dlopen: %s", strerror(errno));
			hold();
		}
	unlink(copies[1].path);
	if (!replace(&copies[2]))
		say_skip("replaced", "rename: %s", strerror(errno));
	for (size_t i = 0; i < 3; i++)
		say_library(&copies[i]);
	hold();
}
