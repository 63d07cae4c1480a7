#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bytes are, against other tools: every profile of every file sums to the size of the file and to VSZ;
symbols against nm, units against the object files they were linked from, lines against objdump, unwind records
against readelf, Go's functions against nm of the unstripped program. TAP on standard output."""
import collections
import json
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

from points import check, end, skip

MEMWHY = os.path.abspath(os.environ.get('MEMWHY', 'build/memwhy'))
CC = os.environ.get('CC', 'gcc')
VIEWS = ('section', 'segment', 'symbol', 'unit', 'file-line')
ENV = dict(os.environ, LC_ALL='C')


def run(*cmd, cwd=None, env=ENV):
    return subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=cwd, env=env, timeout=300,
                          check=True).stdout.decode(errors='replace')


def ask(*args):
    p = subprocess.run([MEMWHY, 'elf', '--json', *args], stdout=subprocess.PIPE, timeout=120)
    return p.returncode, json.loads(p.stdout)


def profile(path, by):
    rc, d = ask('--sizes=' + by, '--plan', path)
    return rc, d['files'][0]


def owners(path, by, key='memory'):
    return {o['name']: o[key] for o in profile(path, by)[1]['sizes']['owners']}


def sums(path, exact=True):
    wrong = []
    for by in VIEWS:
        rc, f = profile(path, by)
        s = f['sizes']
        file, memory = sum(o['file'] for o in s['owners']), sum(o['memory'] for o in s['owners'])
        if file != os.stat(path).st_size or file != s['file'] or memory != s['memory'] or rc > 1 or \
                (exact and memory != f['plan']['vsz']):
            wrong.append((by, rc, file, memory, s['file'], s['memory']))
    return wrong


def nm(path, *args):
    """name -> (address, size); only names that stand once and addresses that no two share"""
    rows = [x.split() for x in run('nm', '-S', *args, path).split('\n') if len(x.split()) == 4]
    names = collections.Counter(r[3] for r in rows)
    addrs = collections.Counter(r[0] for r in rows)
    return {r[3]: (int(r[0], 16), int(r[1], 16)) for r in rows if names[r[3]] == 1 and addrs[r[0]] == 1}


SOURCES = {
    'one.c': '''
#include <stdio.h>
#include "common.h"
static int table_one[100] = { 1, 2, 3 };
int shared_two(int);
int zeros_one[500];
int main(int argc, char **argv)
{
        static long counter = 7;
        for (int i = 0; i < argc; i++)
                counter += table_one[i % 100] + inlined(i) + zeros_one[i % 500];
        printf("%ld %s\\n", counter, argv[0]);
        return shared_two(argc);
}
''',
    'two.c': '''
#include "common.h"
const char text_two[64] = "two";
double data_two[33] = { 2.5 };
int shared_two(int x)
{
        return inlined(x) * (int)data_two[x % 33] + text_two[x % 64];
}
int unused_two(int x) { return x / 3; }
''',
    'common.h': '''
static inline int inlined(int x)
{
        int r = x * 17;
        r ^= r >> 3;
        return r;
}
'''}


def object_bytes(path):
    """bytes that an object brings: its code and its variables"""
    text = sum(int(x.split()[5], 16) for x in run('readelf', '-WS', path).replace('[ ', '[').split('\n')
               if re.search(r'\] \.text[^ ]* +PROGBITS', x))
    data = sum(int(x.split()[1], 16) for x in run('nm', '-S', path).split('\n')
               if len(x.split()) == 4 and x.split()[2] in 'dDbBrR')
    return text + data


def decoded_lines(path):
    """(file, line) -> bytes, from objdump's line table"""
    got = collections.Counter()
    rows = []
    for line in run('objdump', '--dwarf=decodedline', path).split('\n'):
        m = re.match(r'^(\S+\.[ch]) +(\d+|-) +(?:0x)?([0-9a-f]+)', line)
        if m:
            rows.append((m.group(1), m.group(2), int(m.group(3), 16)))
    for (f, n, a), (_, _, b) in zip(rows, rows[1:]):
        if n != '-' and b > a:
            got[(os.path.basename(f), int(n))] += b - a
    return +got


def build(tmp):
    for name, text in SOURCES.items():
        open(os.path.join(tmp, name), 'w').write(text)
    for x in ('one', 'two'):
        run(CC, '-g', '-O1', '-fPIE', '-fno-toplevel-reorder', '-c', x + '.c', '-o', x + '.o', cwd=tmp)
    run(CC, '-pie', '-Wl,--build-id=sha1', 'one.o', 'two.o', '-o', 'prog', cwd=tmp)
    run('objcopy', '--only-keep-debug', 'prog', 'prog.debug', cwd=tmp)
    run('strip', '-o', 'stripped', 'prog', cwd=tmp)
    run('objcopy', '--add-gnu-debuglink=prog.debug', 'stripped', 'linked', cwd=tmp)


def test_units(tmp):
    prog = os.path.join(tmp, 'prog')
    for key in ('one', 'two'):
        want = object_bytes(os.path.join(tmp, key + '.o'))
        got = owners(prog, 'unit').get(key + '.c')
        check('unit %s.c owns what its object brought' % key, got == want, (got, want))
    info = {m.group(1): 0 for m in re.finditer(r'DW_AT_name +: (?:\([^)]*\): )?(\w+\.c)', run('readelf', '-wi', prog))}
    check('readelf knows the same units', set(info) >= {'one.c', 'two.c'}, info)
    rows = [int(x, 16) for x in re.findall(r'Length: +0x([0-9a-f]+)', run('readelf', '-wi', prog))]
    first = profile(prog, 'unit')[1]['sizes']['owners']
    in_file = sum(o['file'] for o in first if o['name'] in ('one.c', 'two.c'))
    in_memory = sum(o['memory'] for o in first if o['name'] in ('one.c', 'two.c'))
    bss = sum(s for n, (a, s) in nm(prog).items() if n == 'zeros_one')
    lines = [int(x) for x in re.findall(r'^  Length: +(\d+)', run('readelf', '--debug-dump=rawline', prog), re.M)]
    # what is in the file: code and data, less .bss; the unit's parts of .debug_info and .debug_line
    want = in_memory - bss + sum(rows) + 4 * len(rows) + sum(lines) + 4 * len(lines)
    check('and in the file its debug information besides', in_file == want, (in_file, want, rows, lines))


def test_same_names(tmp):
    """two units of one name, compiled in two directories, and one of its own by a relative and an absolute name"""
    objects = []
    for where, source in (('a', 'same.c'), ('b', 'same.c'), ('a', 'alone.c'), ('b', os.path.join(tmp, 'b', 'whole.c'))):
        d = os.path.join(tmp, where)
        os.makedirs(d, exist_ok=True)
        with open(os.path.join(d, os.path.basename(source)), 'w') as f:
            f.write('int %s_%s(void) { return 1; }\n' % (os.path.basename(source)[:-2], where))
        objects.append(os.path.join(d, os.path.basename(source)[:-1] + 'o'))
        run(CC, '-g', '-O1', '-c', '-o', objects[-1], source, cwd=d)
    lib = os.path.join(tmp, 'names.so')
    run(CC, '-shared', '-nostdlib', '-o', lib, *objects)
    got = sorted(n for n in owners(lib, 'unit') if n.endswith('.c'))
    want = sorted([os.path.join(tmp, 'a', 'same.c'), os.path.join(tmp, 'b', 'same.c'), 'alone.c', os.path.join(tmp, 'b', 'whole.c')])
    check('units of one name have their directories, others do not', got == want, (got, want))


def test_lines(tmp):
    prog = os.path.join(tmp, 'prog')
    want = decoded_lines(prog)
    got = line_owners(prog, 'memory')
    check('%d source lines own what objdump says' % len(want), want and got == want,
          {k: (got[k], want[k]) for k in set(got) | set(want) if got[k] != want[k]})


def line_owners(path, key):
    got = collections.Counter()
    for name, n in owners(path, 'file-line', key).items():
        m = re.match(r'(.*):(\d+)$', name)
        if m:
            got[(os.path.basename(m.group(1)), int(m.group(2)))] += n
    return +got


def test_objects(tmp):
    """Relocatable objects: every section is at address 0, so who owns what is told by relocations."""
    for flags in ([], ['-ffunction-sections', '-fdata-sections'], ['-gdwarf-4'], ['-gz=zlib'], ['-m32', '-fno-pie'], ['-O0']):
        name, path = 'object%s.o' % ''.join(flags), os.path.join(tmp, 'object.o')
        cmd = [CC, '-g', '-O1', *flags, '-c', 'one.c', '-o', path]
        if subprocess.run(cmd, stderr=subprocess.DEVNULL, cwd=tmp).returncode:
            skip(name, 'the compiler does not know ' + ' '.join(flags))
            continue
        want, got = decoded_lines(path), line_owners(path, 'file')
        check('%s: %d source lines own what objdump says' % (name, len(want)), want and got == want,
              {k: (got[k], want[k]) for k in set(got) | set(want) if got[k] != want[k]})
        bss = sum(int(x.split()[1], 16) for x in run('nm', '-S', path).split('\n')
                  if len(x.split()) == 4 and x.split()[2] in 'bB')
        parts = 0
        if '-gz=zlib' not in flags:     # the parts of a compressed section have no place of their own
            info = [int(x, 16) for x in re.findall(r'Length: +0x([0-9a-f]+)', run('readelf', '-wi', path))]
            lines = [int(x) for x in re.findall(r'^  Length: +(\d+)', run('readelf', '--debug-dump=rawline', path), re.M)]
            parts = sum(info) + sum(lines) + 4 * len(info + lines)
        own = owners(path, 'unit', 'file')
        check('%s: its unit owns its code and data' % name, own.get('one.c') == object_bytes(path) - bss + parts,
              (own, object_bytes(path), bss, parts))
        w = sums(path, exact=False)
        check('%s: sums' % name, not w and own['[ELF header]'] in (52, 64), (w, own))


def test_split(tmp):
    run(CC, '-g', '-O1', '-gsplit-dwarf', 'two.c', 'one.c', '-o', 'split', cwd=tmp)
    names = {n for n in owners(os.path.join(tmp, 'split'), 'unit') if n.endswith('.dwo')}
    check('units of split debug information have the names of its files', len(names) == 2, names)


def test_bpf(tmp):
    clang = shutil.which('clang-14') or shutil.which('clang')
    if not clang:
        skip('an object for BPF', 'there is no clang')
        return
    open(os.path.join(tmp, 'bpf.c'), 'w').write('struct s { char a; long b; } g;\nlong f(struct s *p)\n{\n\treturn p->b + g.a;\n}\n')
    run(clang, '-g', '-O1', '-target', 'bpf', '-c', 'bpf.c', '-o', 'bpf.o', cwd=tmp)
    path = os.path.join(tmp, 'bpf.o')
    d = json.loads(run(MEMWHY, 'elf', '--json', '--units', '--type=s', path))['files'][0]['dwarf']
    check('an object for BPF: its unit and a type', [u['name'] for u in d['units']] == ['bpf.c'] and d['type']['size'] == 16, d)
    text = sum(int(x.split()[5], 16) for x in run('readelf', '-WS', path).replace('[ ', '[').split('\n') if re.search(r'\] \.text +PROGBITS', x))
    got = line_owners(path, 'file')
    check('an object for BPF: its lines own its code', text and sum(got.values()) == text, (got, text))


def test_symbols(tmp):
    prog, wrong = os.path.join(tmp, 'prog'), {}
    got, want = owners(prog, 'symbol'), nm(os.path.join(tmp, 'prog'))
    for name, (addr, size) in want.items():
        if got.get(name) != size and name not in ('_start',):    # its unwind record is longer
            wrong[name] = (got.get(name), size)
    check('%d symbols have the size that nm says' % len(want), len(want) > 8 and not wrong, wrong)
    for name, path in (('a debug file beside it', os.path.join(tmp, 'linked')), ('.debug', os.path.join(tmp, 'sub', 'linked'))):
        if name == '.debug':
            os.makedirs(os.path.join(tmp, 'sub', '.debug'))
            shutil.copy(os.path.join(tmp, 'linked'), path)
            shutil.copy(os.path.join(tmp, 'prog.debug'), os.path.join(tmp, 'sub', '.debug'))
        have = owners(path, 'symbol')
        missing = [n for n in want if have.get(n) != got[n]]
        s = profile(path, 'symbol')[1]['sizes']['names_from']
        check('stripped: symbols from %s' % name, not missing and s.startswith('.symtab of ') and 'prog.debug' in s, (missing, s))
    have = owners(os.path.join(tmp, 'linked'), 'unit')
    check('stripped: units from the debug file', have.get('one.c') == owners(prog, 'unit').get('one.c'), have)
    image = bytearray(open(os.path.join(tmp, 'prog.debug'), 'rb').read())
    at = image.find(bytes.fromhex(re.search(r'Build ID: ([0-9a-f]+)', run('readelf', '-n', prog)).group(1)))
    image[at] ^= 1
    os.makedirs(os.path.join(tmp, 'wrong'))
    shutil.copy(os.path.join(tmp, 'linked'), os.path.join(tmp, 'wrong'))
    open(os.path.join(tmp, 'wrong', 'prog.debug'), 'wb').write(image)
    have = profile(os.path.join(tmp, 'wrong', 'linked'), 'symbol')[1]['sizes']['names_from']
    check('a debug file of another build is not believed', 'prog.debug' not in have, have)


def test_debug_symbols(tmp):
    rc, d = ask('-s', os.path.join(tmp, 'linked'))
    f = d['files'][0]
    rc, w = ask('-s', os.path.join(tmp, 'prog'))
    want = next(t for t in w['files'][0]['symbols'] if t['table'] == '.symtab')['entries']
    got = f.get('debug_symbols', [{}])[0]
    # only-keep-debug makes sections NOBITS, but numbers stay
    check('-s shows the symbols of the debug file and says so',
          got.get('file', '').endswith('/prog.debug') and got['entries'] == want, got.get('file'))
    addr = nm(os.path.join(tmp, 'prog'))['shared_two'][0]
    rc, d = ask('--addr=%#x' % (addr + 4), os.path.join(tmp, 'linked'))
    line = d['files'][0]['dwarf']
    want = run('addr2line', '-e', os.path.join(tmp, 'prog'), '%#x' % (addr + 4)).strip()
    check('--addr too', line['lines'][0]['symbol'] == 'shared_two' and line['lines'][0]['symbol_offset'] == 4 and
          line['symbols_from'].startswith('.symtab of ') and line['from'].endswith('/prog.debug') and
          want == '%s:%d' % (line['lines'][0]['file'], line['lines'][0]['line']), (line, want))


def fde_ranges(path):
    return [(int(a, 16), int(b, 16)) for a, b in
            re.findall(r'FDE cie=\S+ pc=([0-9a-f]+)\.\.([0-9a-f]+)', run('readelf', '-wF', path))]


def test_frames(tmp):
    path = os.path.join(tmp, 'stripped')
    got = {int(m.group(1), 16): n for m, n in
           ((re.match(r'\[function at 0x([0-9a-f]+)\]', k), v) for k, v in owners(path, 'symbol').items()) if m}
    plt = [(int(x.split()[3], 16), int(x.split()[5], 16)) for x in run('readelf', '-WS', path).replace('[ ', '[').split('\n')
           if re.search(r'\] \.plt', x)]
    want = {a: b - a for a, b in fde_ranges(path) if not any(s <= a < s + n for s, n in plt)}
    check('%d functions without a symbol are the unwind records' % len(want), len(want) > 3 and got == want, (got, want))
    have = owners(os.path.join(tmp, 'stripped'), 'symbol')
    check('none of them is code of the procedure linkage table', all('.plt' in have or not plt for _ in '1'), have)


def test_go(tmp):
    if not shutil.which('go'):
        skip('functions of a stripped Go program', 'there is no go')
        return
    env = dict(ENV, GOCACHE=os.path.join(tmp, 'gocache'), HOME=tmp, GO111MODULE='off', CGO_ENABLED='0', GOFLAGS='-p=2')
    open(os.path.join(tmp, 'x.go'), 'w').write('package main\nfunc main() { println("x") }\n')
    try:
        run('go', 'build', '-o', 'full', 'x.go', cwd=tmp, env=env)
        run('go', 'build', '-ldflags=-s -w', '-o', 'bare', 'x.go', cwd=tmp, env=env)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        skip('functions of a stripped Go program', 'go build fails')
        return
    text = sorted((int(x.split()[0], 16), int(x.split()[1], 16), x.split(' ', 3)[3]) for x in
                  run('nm', '-S', os.path.join(tmp, 'full')).split('\n') if re.match(r'[0-9a-f]+ [0-9a-f]+ [tT] ', x))
    got = owners(os.path.join(tmp, 'bare'), 'symbol')
    # The table has no .abi0, which nm shows, and writes [...] for what is in brackets. It says where the next
    # function starts, so padding belongs to the one before.
    want = collections.Counter()
    for (a, size, name), (b, _, _) in zip(text, text[1:]):
        want[re.sub(r'\[[^]]*\]', '[...]', re.sub(r'\.abi(0|internal)$', '', name))] += b - a
    del want['runtime.text']
    have = collections.Counter()
    for name, size in got.items():
        have[re.sub(r'\[[^]]*\]', '[...]', name)] += size
    wrong = [(k, v, have.get(k)) for k, v in want.items() if have.get(k) != v]
    check('%d functions of a stripped Go program have names and sizes' % len(want), len(want) > 500 and not wrong, wrong[:8])
    check('and say that .gopclntab has them', profile(os.path.join(tmp, 'bare'), 'symbol')[1]['sizes']['names_from'].startswith('.gopclntab'))
    image = bytearray(open(os.path.join(tmp, 'bare'), 'rb').read())
    image[40:48], image[60:64] = bytes(8), bytes(4)
    open(os.path.join(tmp, 'headless'), 'wb').write(image)
    os.chmod(os.path.join(tmp, 'headless'), 0o755)
    have = owners(os.path.join(tmp, 'headless'), 'symbol')
    diff = [k for k, v in got.items() if k.startswith('runtime.') and have.get(k) != v]
    check('without section headers, too', not diff, diff[:8])
    for x in ('full', 'bare', 'headless'):
        check('sums of the Go program %s' % x, not sums(os.path.join(tmp, x)), sums(os.path.join(tmp, x)))


def test_overlaid(tmp):
    """Without section headers the segments are searched for Go's table: not once for each that names the same bytes."""
    path, count, size = os.path.join(tmp, 'overlaid'), 20000, 8 << 20
    head = b'\x7fELF\x02\x01\x01'.ljust(16, b'\0') + struct.pack('<HHIQQQIHHHHHH', 2, 62, 1, 0x400000, 64, 0, 0, 64, 56, count, 64, 0, 0)
    with open(path, 'wb') as f:
        f.write(head + struct.pack('<IIQQQQQQ', 1, 4, 0, 0x400000, 0x400000, size, size, 4096) * count)
        f.truncate(size)
    p = subprocess.run([MEMWHY, 'elf', '--json', '--sizes=symbol', path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (20, 20)))
    check('%d segments over each other, each of all the file' % count, p.returncode in (0, 1) and
          json.loads(p.stdout)['files'][0]['sizes']['file'] == size, (p.returncode, p.stderr))


def test_behind(tmp):
    """Bytes behind all that the headers tell, in a file whose section headers are told to stand where there are none."""
    with open(os.path.join(tmp, 'stripped'), 'rb') as f:
        image = bytearray(f.read())
    table = struct.unpack_from('<Q', image, 40)[0]
    image = image[:table] + bytes(5000)
    struct.pack_into('<Q', image, 40, len(image) * 2)
    struct.pack_into('<HH', image, 60, 0, 0)
    path = os.path.join(tmp, 'behind')
    with open(path, 'wb') as f:
        f.write(image)
    got = owners(path, 'section', 'file').get('[behind the last section]', 0)
    check('what was added to a file lies behind its end', got >= 5000, got)


def test_diff(tmp):
    a, b = os.path.join(tmp, 'stripped'), os.path.join(tmp, 'prog')
    for by in VIEWS:
        rc, d = ask('--diff', '--sizes=' + by, a, b)
        file = sum(c['file_delta'] for c in d['diff']['changes'])
        memory = sum(c['memory_delta'] for c in d['diff']['changes'])
        before, after = profile(a, by)[1]['sizes'], profile(b, by)[1]['sizes']
        check('--diff by %s adds up' % by, file == os.stat(b).st_size - os.stat(a).st_size and file == d['diff']['file'] and
              memory == d['diff']['memory'] == after['memory'] - before['memory'], (file, memory, d['diff']['file']))


def main():
    for tool in ('nm', 'objcopy', 'objdump', 'readelf', 'strip'):
        if not shutil.which(tool):
            print('1..0 # SKIP there is no ' + tool)
            return 0
    with tempfile.TemporaryDirectory() as tmp:
        build(tmp)
        test_units(tmp)
        test_same_names(tmp)
        test_lines(tmp)
        test_objects(tmp)
        test_split(tmp)
        test_bpf(tmp)
        test_symbols(tmp)
        test_debug_symbols(tmp)
        test_frames(tmp)
        test_diff(tmp)
        some = ['prog', 'stripped', 'linked', 'prog.debug', 'one.o']
        for x in some:
            w = sums(os.path.join(tmp, x), exact=x != 'one.o')
            check('sums of %s' % x, not w, w)
        system = [os.path.realpath(p) for p in (MEMWHY, '/bin/true', shutil.which('python3') or '/bin/sh', '/bin/busybox')]
        maps = {x.split()[-1] for x in open('/proc/self/maps') if '.so' in x}
        for x in sorted({p for p in system + list(maps) if os.path.exists(p)}):
            w = sums(x)
            check('sums of %s' % x, not w, w)
        test_overlaid(tmp)
        test_behind(tmp)
        test_go(tmp)
    return end()


if __name__ == '__main__':
    sys.exit(main())
