#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What memwhy elf --check says of dlopen() against what dlopen() does, on a library with one fault in each copy; and
of programs whose relocations or segments are odd against exec. TAP on standard output."""
import json
import os
import platform
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

from points import check, end

MEMWHY = os.path.abspath(os.environ.get('MEMWHY', 'build/memwhy'))
CC = os.environ.get('CC', 'gcc')
ENV = dict(os.environ, LC_ALL='C')
TRY = ('#include <dlfcn.h>\n#include <stdio.h>\nint main(int c, char **v)\n{\n\tvoid *h = c > 1 ? dlopen(v[1], RTLD_NOW | RTLD_GLOBAL) : NULL;\n'
       '\tputs(h ? "ok" : dlerror());\n\treturn h ? 0 : 9;\n}\n')
LIB = ('extern int puts(const char *); int v = 3; int *p = &v; int (*q)(const char *) = puts;\n'
       'int f(int x) { return v + x + puts("x"); }\n')
PROG = 'extern int puts(const char *);\nint v = 3, *p = &v; int (*q)(const char *) = puts;\nint main(void) { return *p - 3 + (q == 0); }\n'


class Image:
    NAMES = ('type', 'flags', 'off', 'vaddr', 'paddr', 'filesz', 'memsz', 'align')

    def __init__(self, path):
        self.v = bytearray(open(path, 'rb').read())
        self.phoff, = struct.unpack_from('<Q', self.v, 32)
        n, = struct.unpack_from('<H', self.v, 56)
        self.ph = [dict(zip(self.NAMES, struct.unpack_from('<IIQQQQQQ', self.v, self.phoff + 56 * i))) for i in range(n)]

    def load(self, i):
        return [k for k, p in enumerate(self.ph) if p['type'] == 1][i]

    def set(self, i, **fields):
        self.ph[i].update(fields)
        struct.pack_into('<IIQQQQQQ', self.v, self.phoff + 56 * i, *(self.ph[i][k] for k in self.NAMES))

    def swap(self, i, k):
        self.ph[i], self.ph[k] = self.ph[k], self.ph[i]
        self.set(i)
        self.set(k)

    def tag(self, t):
        """where the value of a dynamic tag is in the file"""
        d = next(p for p in self.ph if p['type'] == 2)
        for k in range(d['off'], d['off'] + d['filesz'], 16):
            if struct.unpack_from('<Q', self.v, k)[0] == t:
                return k + 8
        raise KeyError(t)

    def get(self, t):
        return struct.unpack_from('<Q', self.v, self.tag(t))[0]

    def put(self, off, fmt, *values):
        struct.pack_into('<' + fmt, self.v, off, *values)

    def rela(self, wanted):
        """the first relocation of this type; .rela.dyn is in the first segment, where addresses are offsets"""
        for k in range(self.get(7), self.get(7) + self.get(8), 24):
            if struct.unpack_from('<I', self.v, k + 8)[0] == wanted:
                return k
        raise KeyError(wanted)


def retype(old, new):
    return lambda i: i.put(i.rela(old) + 8, 'I', new)


def tag_value(t, v):
    return lambda i: i.put(i.tag(t), 'Q', v)


def ehdr(off, fmt, v):
    return lambda i: i.put(off, fmt, v)


def load(n, **fields):
    return lambda i: i.set(i.load(n), **fields)


LIBRARY_CASES = [
    ('undamaged', lambda i: None),
    ('e_type EXEC', ehdr(16, 'H', 2)), ('e_type REL', ehdr(16, 'H', 1)), ('class byte', ehdr(4, 'B', 1)), ('data byte', ehdr(5, 'B', 2)),
    ('version byte', ehdr(6, 'B', 7)), ('e_version', ehdr(20, 'I', 2)), ('OS ABI 9', ehdr(7, 'B', 9)), ('OS ABI GNU', ehdr(7, 'B', 3)),
    ('ABI version', ehdr(8, 'B', 9)), ('padding of e_ident', ehdr(12, 'B', 1)), ('e_phentsize', ehdr(54, 'H', 57)), ('e_phnum 0', ehdr(56, 'H', 0)),
    ('no dynamic table', lambda i: i.set([p['type'] for p in i.ph].index(2), type=0)),
    ('p_offset within the page', lambda i: i.set(i.load(1), off=i.ph[i.load(1)]['off'] + 8)),
    ('p_align 3', load(1, align=3)), ('p_align 0', load(1, align=0)), ('p_align 2 MiB', load(1, align=0x200000)),
    ('filesz > memsz', lambda i: i.set(i.load(1), filesz=i.ph[i.load(1)]['memsz'] + 16)),
    ('middle segments out of order', lambda i: i.swap(i.load(1), i.load(2))), ('first and last out of order', lambda i: i.swap(i.load(0), i.load(3))),
    ('first segment covers the second', load(0, memsz=0x1800, filesz=0x1800)), ('zeros of the first cover all', load(0, memsz=0x3800)),
    ('RELAENT', tag_value(9, 16)), ('PLTREL', tag_value(20, 17)), ('STRTAB wild', tag_value(5, 0x7000000)), ('SYMTAB wild', tag_value(6, 0x7000000)),
    ('r_offset wild', lambda i: i.put(i.rela(8), 'Q', 0x900000)), ('r_offset in the code', lambda i: i.put(i.rela(8), 'Q', 0x1000)),
    ('type 1 among relative ones', retype(8, 1)), ('NONE among relative ones', retype(8, 0)), ('RELATIVE64 among relative ones', retype(8, 38)),
] + [('relocation type %d' % t, retype(6, t)) for t in list(range(0, 48)) + [63, 64, 250, 251, 5000]]
# Types that want more than this file has (a TLS block, a size, a resolver) end in other ways.
NOT_JUDGED = {5, 16, 17, 18, 32, 33, 36, 37, 8, 38}


def limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (5, 5))


def outcome(cmd):
    p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENV, preexec_fn=limits, timeout=60)
    text = p.stdout.decode(errors='replace').strip()
    return ('loads' if p.returncode == 0 else 'the loader refuses' if p.returncode in (9, 127) else 'the loader crashes'), text


def verdict(path):
    p = subprocess.run([MEMWHY, 'elf', '--check', '--json', path], stdout=subprocess.PIPE, timeout=60)
    return json.loads(p.stdout)['files'][0]['check']


def build(tmp, name, text, *flags):
    src, out = os.path.join(tmp, name + '.c'), os.path.join(tmp, name)
    open(src, 'w').write(text)
    return out if subprocess.run([CC, '-o', out, src, *flags], stderr=subprocess.DEVNULL).returncode == 0 else None


def test_faults(tmp, attempt, lib):
    unknown = 0
    for name, change in LIBRARY_CASES:
        i, path = Image(lib), os.path.join(tmp, 'case.so')
        change(i)
        open(path, 'wb').write(i.v)
        real, text = outcome([attempt, path])
        said = verdict(path)
        kind = int(name.split()[-1]) if name.startswith('relocation type') else None
        if kind in NOT_JUDGED:
            check('%s: known to the loader' % name, said['dlopen'] == 'loads' and 'unexpected reloc type' not in text, (said['dlopen'], text))
        elif said['dlopen'] == 'unknown':
            unknown += 1
            check('%s: unknown, really %s' % (name, real), said['dlopen_reason'], said)
        else:
            check('%s: %s' % (name, real), said['dlopen'] == real, (said['dlopen'], said['dlopen_reason'], real, text))
    check('few are unknown', unknown <= 3, unknown)


def test_kinds(tmp, attempt):
    """whole files of other kinds"""
    tls = '__thread char t[%d] __attribute__((tls_model("initial-exec"))) = { 1 };\nchar *g(void) { return t; }\n'
    cases = [('a program at a fixed address', PROG, ('-no-pie',)), ('a position-independent program', PROG, ('-pie', '-fPIE')),
             ('a static program', PROG, ('-static',)), ('a library', LIB, ('-shared', '-fPIC')),
             ('that may not be opened', LIB, ('-shared', '-fPIC', '-Wl,-z,nodlopen')), ('bound at once', LIB, ('-shared', '-fPIC', '-Wl,-z,now')),
             ('old hash table', LIB, ('-shared', '-fPIC', '-Wl,--hash-style=sysv')), ('executable stack', LIB, ('-shared', '-fPIC', '-Wl,-z,execstack')),
             ('a little static TLS', tls % 16, ('-shared', '-fPIC')), ('much static TLS', tls % 4096, ('-shared', '-fPIC')),
             ('text relocations', LIB, ('-shared', '-fno-pic', '-mcmodel=large', '-Wl,-z,notext'))]
    for name, text, flags in cases:
        path = build(tmp, 'kind', text, *flags)
        if not path:
            continue
        real, why = outcome([attempt, path])
        said = verdict(path)
        check('%s: %s, it says %s' % (name, real, said['dlopen']), said['dlopen'] in (real, 'unknown') and
              (said['dlopen'] != 'unknown' or 'TLS' in name or 'stack' in name), (said, why))


def test_programs(tmp, prog):
    """exec, where the loader has its say"""
    cases = [('undamaged', lambda i: None), ('relocation type 47', retype(6, 47)), ('type 1 among relative ones', retype(8, 1)),
             ('RELAENT', tag_value(9, 16)), ('r_offset wild', lambda i: i.put(i.rela(8), 'Q', 0x900000)),
             ('zeros of the first cover the second', load(0, memsz=0x1800)), ('first segment covers the second', load(0, memsz=0x1800, filesz=0x1800))]
    same = {'runs': {'runs', 'unknown'}, 'refuses': {'the loader refuses'}, 'crashes': {'the loader crashes', 'the kernel kills it while loading', 'unknown'}}
    for name, change in cases:
        i, path = Image(prog), os.path.join(tmp, 'case')
        change(i)
        open(path, 'wb').write(i.v)
        os.chmod(path, 0o755)
        p = subprocess.run([path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=limits, timeout=60)
        real = 'runs' if p.returncode == 0 else 'refuses' if p.returncode == 127 else 'crashes'
        said = verdict(path)['verdict']
        check('program, %s: %s' % (name, real), said in same[real] and (name != 'undamaged' or said == 'runs'), (said, p.returncode))


def test_libraries_are_no_programs(tmp, lib):
    said = verdict(lib)['verdict']
    os.chmod(lib, 0o755)
    p = subprocess.run([lib], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=limits, timeout=60)
    check('exec of a library ends by a signal, and it is called one', p.returncode < 0 and said == 'a shared library, no program', (p.returncode, said))


def test_unknown(tmp):
    """nothing is claimed of what a file cannot tell"""
    obj = os.path.join(tmp, 'o.o')
    open(os.path.join(tmp, 'o.c'), 'w').write(LIB)
    subprocess.run([CC, '-c', '-o', obj, os.path.join(tmp, 'o.c')], check=True)
    s = verdict(obj)['security']
    check('an object: what the linker decides is unknown', [s[k] for k in ('relro', 'static', 'textrel', 'writable_code', 'rpath')] == ['unknown'] * 5 and
          s['stack'] == 'not executable', s)
    static = build(tmp, 'stat', PROG, '-static')
    if static:
        subprocess.run(['strip', static], check=True)
        s = verdict(static)['security']
        check('a stripped static program: canary, FORTIFY and RELRO are unknown', [s[k] for k in ('canary', 'fortify', 'relro')] == ['unknown'] * 3, s)
    prog = build(tmp, 'dbg', PROG, '-g')
    subprocess.run(['objcopy', '--only-keep-debug', prog, prog + '.debug'], check=True)
    s = verdict(prog + '.debug')['security']
    check('a debug file has lost its dynamic table', [s[k] for k in ('relro', 'textrel', 'runpath')] == ['unknown'] * 3, s)


def main():
    if platform.machine() != 'x86_64' or 'glibc' not in ''.join(platform.libc_ver()):
        print('1..0 # SKIP needs x86-64 and glibc')
        return 0
    for tool in ('objcopy', 'strip'):
        if not shutil.which(tool):
            print('1..0 # SKIP there is no ' + tool)
            return 0
    with tempfile.TemporaryDirectory() as tmp:
        attempt, lib = build(tmp, 'try', TRY, '-ldl'), build(tmp, 'lib.so', LIB, '-shared', '-fPIC', '-Wl,-z,lazy')
        test_faults(tmp, attempt, lib)
        test_kinds(tmp, attempt)
        test_programs(tmp, build(tmp, 'prog', PROG, '-pie', '-fPIE'))
        test_libraries_are_no_programs(tmp, lib)
        test_unknown(tmp)
    return end()


if __name__ == '__main__':
    sys.exit(main())
