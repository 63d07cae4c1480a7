#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The child that reads DWARF: one that dies, hangs, writes rubbish or eats memory costs the answer its DWARF part
and nothing else; so does damaged DWARF. What it says of inlined functions is what addr2line says.

    dwarf_child.py [--slow] [--random N]      also children that run until their limits; N damaged files

The children are made by a libdwarf of our own, which the loader finds first. TAP on standard output."""
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

from points import check, end, skip

MEMWHY = os.environ.get('MEMWHY', 'build/memwhy')
BUILD = os.path.abspath(os.environ.get('BUILD', 'build'))
CC = os.environ.get('CC', 'cc').split()

SOURCE = '''
struct point { char tag; long x, y; struct { short a; int b; } in; };
struct point origin;
static volatile int sink;
static inline __attribute__((always_inline)) int inner(int v)
{
	sink = v;
	return v * (int)origin.x;
}
static inline __attribute__((always_inline)) int middle(int v)
{
	int r = inner(v) + 1;
	if (r & 1)
		r += inner(r);
	return r;
}
__attribute__((noinline)) int outer(int v)
{
	return middle(v) + inner(v + 1);
}
int main(int argc, char **argv)
{
	(void)argv;
	return outer(argc) + middle(argc);
}
'''
# what the child does instead of opening the file
FAKE = '''
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int dwarf_init_path(void);
int dwarf_init_path(void)
{
	switch (CASE) {
	case 0: abort();
	case 1: raise(SIGSEGV); break;
	case 2: _exit(0);
	case 3: _exit(77);
	case 4: {	/* rubbish into whatever pipe there is */
		static char rubbish[200000];
		struct stat st;
		memset(rubbish, 0xa5, sizeof(rubbish));
		for (int fd = 3; fd < 64; fd++)
			if (!fstat(fd, &st) && S_ISFIFO(st.st_mode))
				(void)!write(fd, rubbish, sizeof(rubbish));
		_exit(0);
	}
	case 5: {	/* more memory than it may have */
		size_t n = 0;
		for (char *p; (p = malloc(1 << 24)) && n < 4096; n++)
			memset(p, 1, 4096);
		if (n >= 4096 >> 2)
			_exit(0);
		abort();
	}
	case 6: {	/* a record that promises more than it has */
		struct stat st;
		unsigned head[16] = { 0x4d574457u, 1, [14] = 0xffffffffu, 0 };
		for (int fd = 3; fd < 64; fd++)
			if (!fstat(fd, &st) && S_ISFIFO(st.st_mode))
				(void)!write(fd, head, sizeof(head));
		_exit(0);
	}
	case 7: for (;;) ;
	case 8: for (;;) pause();
	}
	return 1;
}
'''
# a program that has more addresses than the child may take beyond them
LARGE = '''
#include <sys/mman.h>
__attribute__((constructor)) static void reserve(void)
{
	mmap(0, 3ul << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}
'''
# who uses the library without standard descriptors
CLOSED = '''
#include <memwhy.h>
#include <fcntl.h>
#include <unistd.h>
static int out;
static int put(void *ctx, const void *bytes, size_t len)
{
	return write(out, bytes, len) == (ssize_t)len ? 0 : -1;
}
int main(int argc, char **argv)
{
	struct mw_elf *elf;
	struct mw_document *doc;
	struct mw_elf_opts opts = { .size = sizeof(opts), .type = "point" };
	struct mw_sink sink = { put, 0 };
	out = fcntl(1, F_DUPFD, 10);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	return mw_elf_open(argv[1], &elf, 0) < 0 || mw_report_elf(&elf, 1, &opts, &doc, 0) < 0 || mw_document_json(doc, &sink, 0) < 0;
}
'''
CASES = [('abort()', 'Aborted'), ('SIGSEGV', 'Segmentation fault'), ('ends at once', 'ended early'), ('exit status 77', 'ended early'),
         ('rubbish in the pipe', 'DWARF'), ('more memory than it may have', 'Aborted'), ('a record without an end', 'DWARF')]
SLOW = [('spins', 'DWARF'), ('sleeps', 'DWARF')]


def ask(*args, env=None, timeout=100):
    p = subprocess.run([MEMWHY, 'elf', '--json', *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                       env=dict(os.environ, **(env or {})))
    return p.returncode, p.stdout, p.stderr


def answer(out):
    """The file of the document, or None."""
    try:
        return json.loads(out.decode())['files'][0]
    except (ValueError, KeyError, IndexError):
        return None


def test_children(tmp, prog, slow):
    late = subprocess.run(['readelf', '-SW', MEMWHY], stdout=subprocess.PIPE).stdout
    names = CASES + (SLOW if slow else [])
    plain = answer(ask('-h', '-S', '-s', prog)[1])
    for k, (name, word) in enumerate(names):
        what = 'a child that: ' + name
        if b'.note.dlopen' not in late:
            skip(what, 'libdwarf is linked plainly')
            continue
        where = os.path.join(tmp, 'fake%d' % k)
        os.mkdir(where)
        subprocess.run(CC + ['-w', '-DCASE=%d' % k, '-shared', '-fPIC', '-Wl,-soname,libdwarf.so.1', '-x', 'c', '-', '-o',
                             os.path.join(where, 'libdwarf.so.1')], input=FAKE.encode(), check=True)
        rc, out, err = ask('-h', '-S', '-s', '--units', '--addr', '0x1000', prog, env={'LD_LIBRARY_PATH': where})
        f = answer(out)
        trouble = (f or {}).get('dwarf', {}).get('trouble') or ''
        same = f and all(f[part] == plain[part] for part in ('header', 'sections', 'symbols'))
        check(what, rc in (0, 1) and same and word in trouble, (rc, trouble, err, bool(same)))


def test_large(tmp, prog):
    what = 'a process of 3 GiB has its DWARF read'
    if os.environ.get('MEMWHY_SANITIZED'):
        skip(what, 'the sanitizer must be the first library')
        return
    large = os.path.join(tmp, 'large.so')
    subprocess.run(CC + ['-w', '-shared', '-fPIC', '-x', 'c', '-', '-o', large], input=LARGE.encode(), check=True)
    rc, out, err = ask('--type=point', prog, env={'LD_PRELOAD': large})
    check(what, rc == 0 and out == ask('--type=point', prog)[1] and b'"x"' in out, (rc, out, err))


def test_closed(tmp, prog):
    what = 'a process without descriptors 0 to 2 has its DWARF read'
    if os.environ.get('MEMWHY_SANITIZED') or not os.path.exists(os.path.join(BUILD, 'libmemwhy.so.0')):
        skip(what, 'needs libmemwhy.so without a sanitizer')
        return
    closed = os.path.join(tmp, 'closed')
    subprocess.run(CC + ['-w', '-Ilib', '-x', 'c', '-', '-o', closed, '-x', 'none', os.path.join(BUILD, 'libmemwhy.so.0'),
                         '-Wl,-rpath,' + BUILD], input=CLOSED.encode(), check=True)
    p = subprocess.run([closed, prog], stdout=subprocess.PIPE, timeout=100)
    check(what, p.returncode == 0 and b'"tag"' in p.stdout, p.stdout)


def test_inlines(prog):
    """Every address of outer and main: functions, lines and their nesting."""
    syms = subprocess.run(['nm', '-S', prog], stdout=subprocess.PIPE, check=True).stdout.decode()
    addrs = []
    for name in ('outer', 'main'):
        start, size = (int(x, 16) for x in re.search(r'^(\S+) (\S+) T %s$' % name, syms, re.M).groups())
        addrs += range(start, start + size)
    want, got, depth = {}, {}, 0
    text = subprocess.run(['addr2line', '-a', '-i', '-f', '-e', prog] + [hex(a) for a in addrs], stdout=subprocess.PIPE,
                          check=True).stdout.decode().splitlines()
    for line in text:
        if line.startswith('0x'):
            want[int(line, 16)] = chain = []
        else:
            chain.append(line)
    for i in range(0, len(addrs), 50):
        args = [x for a in addrs[i:i + 50] for x in ('--addr', hex(a))]
        for r in answer(ask(*args, prog)[1])['dwarf']['lines']:
            got.setdefault(int(r['address'], 16), []).append((r['depth'], r['function'], r['file'], r['line']))
    wrong = []
    for a in addrs:
        pairs = list(zip(want[a][::2], want[a][1::2]))
        mine = [(f, '%s:%s' % (path, line)) for d, f, path, line in sorted(got.get(a, []))]
        theirs = [(f, re.sub(r' \(discriminator \d+\)', '', at)) for f, at in pairs]
        depth = max(depth, len(theirs))
        if mine != theirs:
            wrong.append((hex(a), mine, theirs))
    check('inlines of %d addresses, up to %d deep, as addr2line has them' % (len(addrs), depth), not wrong and depth >= 3, wrong[:2])


def sections_of(path):
    """[(offset, size)] of what holds debug information."""
    out = subprocess.run(['readelf', '-SW', path], stdout=subprocess.PIPE, check=True).stdout.decode()
    return [(int(o, 16), int(n, 16)) for o, n in
            re.findall(r'\] \.debug_\S+\s+PROGBITS\s+\S+ (\S+) (\S+)', out)]


def test_damaged(tmp, prog, count):
    with open(prog, 'rb') as f:
        image = f.read()
    places = sections_of(prog)
    rnd = random.Random(7)
    path = os.path.join(tmp, 'damaged')
    whole = answer(ask('-h', '-s', prog)[1])
    wrong, troubles = [], 0
    for k in range(count):
        data = bytearray(image)
        for _ in range(rnd.choice((1, 1, 3, 20))):
            off, size = rnd.choice(places)
            at = off + rnd.randrange(size)
            data[at:at + 1] = bytes([rnd.choice((0, 1, 0x7f, 0x80, 0xff, rnd.randrange(256)))])
        with open(path, 'wb') as f:
            f.write(data)
        try:
            rc, out, err = ask('-h', '-s', '--units', '--addr', '0x1139', '--addr', '0x1150', '--type', 'point', path)
        except subprocess.TimeoutExpired:
            wrong.append((k, 'hangs'))
            continue
        f = answer(out)
        if rc not in (0, 1) or not f or f['header'] != whole['header'] or f['symbols'] != whole['symbols']:
            wrong.append((k, rc, err))
        elif f['dwarf']['trouble']:
            troubles += 1
    check('%d files with damaged DWARF, %d of which say so' % (count, troubles), not wrong, wrong[:3])


def main():
    if not shutil.which(CC[0]) or not shutil.which('readelf'):
        print('1..0 # SKIP needs a compiler and binutils')
        return 0
    count = int(sys.argv[sys.argv.index('--random') + 1]) if '--random' in sys.argv else 150
    with tempfile.TemporaryDirectory() as tmp:
        prog = os.path.join(tmp, 'prog')
        with open(prog + '.c', 'w') as f:
            f.write(SOURCE)
        subprocess.run(CC + ['-g', '-O2', '-o', prog, prog + '.c'], check=True)
        test_children(tmp, prog, '--slow' in sys.argv)
        test_large(tmp, prog)
        test_closed(tmp, prog)
        test_inlines(prog)
        test_damaged(tmp, prog, count)
    return end()


if __name__ == '__main__':
    sys.exit(main())
