#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict of memwhy elf --check against what exec really does, on a program with one fault in each copy.
TAP on standard output."""
import errno
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from samples import LAYOUTS  # noqa: E402

MEMWHY = os.environ.get('MEMWHY', 'build/memwhy')
HUGE = (1 << 64) - 1
GLIBC = tuple(int(x) for x in re.findall(r'[0-9]+', platform.libc_ver()[1])[:2])
# what exec did -> verdicts that say so
SAME = {'runs': {'runs'}, 'ENOEXEC': {'the kernel refuses: ENOEXEC', 'not a program (ENOEXEC)', 'unknown'},
        'EINVAL': {'the kernel refuses: EINVAL'}, 'EIO': {'the kernel refuses: EIO'},
        'signal': {'the kernel kills it while loading', 'the loader crashes'}, '127': {'the loader refuses'}}


# name, options of the compiler, layout
PROGRAMS = [('64-bit PIE', ['-pie', '-fPIE'], LAYOUTS[0]), ('64-bit, fixed', ['-no-pie', '-fno-pie'], LAYOUTS[0]),
            ('64-bit, static', ['-static'], LAYOUTS[0]), ('64-bit, static PIE', ['-static-pie'], LAYOUTS[0]),
            ('32-bit PIE', ['-m32', '-pie', '-fPIE'], LAYOUTS[1]),
            ('32-bit, fixed', ['-m32', '-no-pie', '-fno-pie'], LAYOUTS[1]),
            ('32-bit, static', ['-m32', '-static'], LAYOUTS[1])]



class Prog:
    def __init__(self, path, lay):
        self.lay = lay
        with open(path, 'rb') as f:
            self.image = bytearray(f.read())
        self.phoff, self.phnum = self.read(0, *lay.ehdr['phoff']), self.read(0, *lay.ehdr['phnum'])
        self.wild = 1 << 40 if lay.is64 else 1 << 30

    def read(self, at, off, n):
        return int.from_bytes(self.image[at + off:at + off + n], 'little')

    def ehdr(self, field, value):
        off, n = self.lay.ehdr[field]
        self.image[off:off + n] = self.lay.num(value, n)

    def place(self, i):
        return self.phoff + self.lay.phsize * i

    def find(self, kind, nth=0):
        """Index of the program header; IndexError when there is none."""
        return [i for i in range(self.phnum) if self.read(self.place(i), 0, 4) == kind][nth]

    def phdr(self, kind, field, value, nth=0):
        off, n = self.lay.phdr[field]
        at = self.place(self.find(kind, nth)) + off
        self.image[at:at + n] = self.lay.num(value, n)

    def get(self, kind, field, nth=0):
        return self.read(self.place(self.find(kind, nth)), *self.lay.phdr[field])

    def dyn(self, tag, value):
        off, size, w = self.get(2, 'offset'), self.get(2, 'filesz'), self.lay.word
        for k in range(off, off + size, 2 * w):
            if self.read(k, 0, w) == tag:
                self.image[k + w:k + 2 * w] = self.lay.num(value, w)
                return
        raise IndexError(tag)


    def retag(self, tag, new, value=None):
        """The entry of the dynamic table becomes another one."""
        off, size, w = self.get(2, 'offset'), self.get(2, 'filesz'), self.lay.word
        for k in range(off, off + size, 2 * w):
            if self.read(k, 0, w) == tag:
                self.image[k:k + w] = self.lay.num(new, w)
                if value is not None:
                    self.image[k + w:k + 2 * w] = self.lay.num(value, w)
                return
        raise IndexError(tag)


def pack(p):
    """An empty DT_RELR, without the version that it wants; of what it takes the place of nothing is needed."""
    if GLIBC < (2, 36):
        raise IndexError
    p.retag(21, 35, 0)                                               # DT_DEBUG: DT_RELRSZ
    p.retag(0x6ffffffb, 37, p.lay.word)                              # DT_FLAGS_1: DT_RELRENT
    p.retag(0x6ffffff9 if p.lay.is64 else 0x6ffffffa, 36, 0)         # DT_RELACOUNT, DT_RELCOUNT: DT_RELR


def android(relr):
    """The relocations stand where only Android's loader looks for them."""
    def change(p):
        table, size = ((0x6fffe000, 0x6fffe001) if relr else (0x60000011, 0x60000012) if p.lay.is64 else (0x6000000f, 0x60000010))
        p.retag(7 if p.lay.is64 else 17, table)
        p.retag(8 if p.lay.is64 else 18, size)
    return change


def swap_loads(p):
    a, b = (p.place(p.find(1, n)) for n in (1, 2))
    n = p.lay.phsize
    p.image[a:a + n], p.image[b:b + n] = p.image[b:b + n], p.image[a:a + n]


def cut(n):
    return lambda p: p.image.__delitem__(slice(n, None))


CASES = [
    ('undamaged', lambda p: None),
    ('class byte', lambda p: p.image.__setitem__(4, 3 - p.image[4])), ('data byte', lambda p: p.image.__setitem__(5, 2)),
    ('version byte', lambda p: p.image.__setitem__(6, 7)),
    ('e_type REL', lambda p: p.ehdr('type', 1)), ('e_type CORE', lambda p: p.ehdr('type', 4)),
    ('e_machine', lambda p: p.ehdr('machine', 40)),
    ('e_phentsize 0', lambda p: p.ehdr('phentsize', 0)), ('e_phentsize one more', lambda p: p.ehdr('phentsize', p.lay.phsize + 1)),
    ('e_phnum 0', lambda p: p.ehdr('phnum', 0)), ('e_phnum 2000', lambda p: p.ehdr('phnum', 2000)),
    ('e_phnum 2000, all in the file', lambda p: (p.ehdr('phnum', 2000), p.image.extend(bytes(200000)))),
    ('e_phnum PN_XNUM', lambda p: p.ehdr('phnum', 0xffff)),
    ('e_phoff past the end', lambda p: p.ehdr('phoff', 1 << 30)), ('e_phoff wraps', lambda p: p.ehdr('phoff', HUGE - 50)),
    ('e_shoff wild', lambda p: p.ehdr('shoff', HUGE)), ('e_shnum', lambda p: p.ehdr('shnum', 0xff00)),
    ('e_shentsize', lambda p: p.ehdr('shentsize', 1)), ('e_shstrndx', lambda p: p.ehdr('shstrndx', 0x4444)),
    ('no section headers', lambda p: (p.ehdr('shoff', 0), p.ehdr('shnum', 0), p.ehdr('shstrndx', 0))),
    ('truncated in the header', cut(50)), ('truncated in the program headers', cut(200)),
    ('interpreter path past the end', lambda p: p.phdr(3, 'offset', 1 << 30)),
    ('interpreter path huge', lambda p: p.phdr(3, 'filesz', 1 << 20)),
    ('interpreter path empty', lambda p: p.phdr(3, 'filesz', 1)),
    ('interpreter path without NUL', lambda p: p.phdr(3, 'filesz', p.get(3, 'filesz') - 1)),
    ('filesz above memsz', lambda p: p.phdr(1, 'filesz', p.get(1, 'memsz', 3) + 4096, 3)),
    ('memsz overflows', lambda p: p.phdr(1, 'memsz', HUGE - 4096, 3)),
    ('offset wraps', lambda p: p.phdr(1, 'offset', HUGE - 0xfff + (p.get(1, 'vaddr', 3) & 0xfff), 3)),
    ('p_align 3', lambda p: p.phdr(1, 'align', 3, 1)),
    ('DT_STRTAB wild', lambda p: p.dyn(5, p.wild)), ('DT_SYMTAB wild', lambda p: p.dyn(6, p.wild)),
    ('PT_DYNAMIC offset wrong', lambda p: p.phdr(2, 'offset', 8)),
    ('RELRO elsewhere, no whole page', lambda p: p.phdr(0x6474e552, 'vaddr', p.wild)),
    ('RELRO past the end', lambda p: p.phdr(0x6474e552, 'memsz', 1 << 20)),
    ('segments out of order', swap_loads),
    ('DT_NEEDED outside the strings', lambda p: p.dyn(1, p.wild)),
    ('truncated before the last segment', lambda p: p.image.__delitem__(slice(p.get(1, 'offset', -1) & ~0xfff, None))),
    ('truncated behind the program headers', lambda p: p.image.__delitem__(slice(p.place(p.phnum), None))),
    ('nothing of the file is executable', lambda p: [p.phdr(1, 'flags', 4, k) for k in range(4)]),
    ('DT_RELR without its version', pack),
    ('relocations packed for Android', android(False)), ('DT_ANDROID_RELR', android(True)),
    ('interpreter path at a negative offset', lambda p: p.phdr(3, 'offset', HUGE - 4096)),
]


def really(path):
    def limits():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        p = subprocess.run([path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10, preexec_fn=limits)
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e.errno))
    return 'runs' if p.returncode == 0 else 'signal' if p.returncode < 0 else str(p.returncode)


def verdict(path):
    out = subprocess.run([MEMWHY, 'elf', '--check', '--json', path], stdout=subprocess.PIPE).stdout
    return json.loads(out)['files'][0]['check']


def main():
    cc = os.environ.get('CC', 'cc').split()
    if platform.machine() != 'x86_64' or not shutil.which(cc[0]):
        print('1..0 # SKIP needs x86-64 and a compiler')
        return 0
    n = failed = 0
    with tempfile.TemporaryDirectory() as tmp:
        base = os.path.join(tmp, 'base')
        with open(base + '.c', 'w') as f:
            f.write('#include <stdio.h>\nint zero[5000];\nint main(void) { puts("x"); return zero[7]; }\n')
        for what, options, lay in PROGRAMS:
            built = subprocess.run(cc + options + ['-Wl,-z,relro', '-o', base, base + '.c'], stderr=subprocess.PIPE)
            if built.returncode or really(base) != 'runs':
                n += 1
                print('ok %d - %s # SKIP it cannot be built, or does not run here' % (n, what))
                continue
            for name, fn in CASES:
                p = Prog(base, lay)
                try:
                    fn(p)
                except IndexError:
                    continue        # this program has no such header
                n += 1
                path = os.path.join(tmp, 'prog%d' % n)
                with open(path, 'wb') as f:
                    f.write(p.image)
                os.chmod(path, 0o755)
                did = really(path)
                check = verdict(path)
                os.unlink(path)
                # a program without loader has code of its own for what a loader looks at
                unknown = check['verdict'] == 'unknown' and 'static' in what and name in (
                    'RELRO past the end', 'RELRO elsewhere, no whole page', 'DT_STRTAB wild', 'DT_SYMTAB wild')
                # what happens after the start is not the kernel's to decide, but can be told
                unknown |= (did == 'signal' or did == 'runs' and 'ANDROID' in name.upper()) and check['verdict'] == 'unknown' and ' it dies ' in check['reason'] + ' '
                good = unknown or check['verdict'] in SAME.get(did, {did})
                failed += not good
                print('%sok %d - %s, %s: %s' % ('' if good else 'not ', n, what, name, did))
                if not good:
                    print('# verdict: %s: %s' % (check['verdict'], check['reason']))
        n += 1
        built = subprocess.run(cc + ['-mx32', '-nostdlib', '-static', '-Wl,-e,f', '-x', 'c', '-', '-o', base],
                               input=b'void f(void) { }', stderr=subprocess.PIPE)
        if built.returncode:
            print('ok %d - x32 # SKIP it cannot be built' % n)
        else:
            check = verdict(base)
            good = check['verdict'] == 'unknown' and 'x32' in check['reason']
            failed += not good
            print('%sok %d - x32, which is up to the kernel: %s, %s' % ('' if good else 'not ', n, really(base), check['verdict']))
    print('1..%d' % n)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
