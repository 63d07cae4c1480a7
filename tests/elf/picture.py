#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pieces and the picture of the load plan. What the plan says of each byte is looked up in the memory of a
process: bytes of the file, bytes beside the segment on its first and last page, cleared rest of the file's last page.
The picture has every bound of every mapping, and fits 80 columns. TAP on standard output."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from points import check, end, skip

MEMWHY = os.path.abspath(os.environ.get('MEMWHY', 'build/memwhy'))
CC = os.environ.get('CC', 'gcc')

PROGRAM = '''
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int initialized[5000] = { 1, 2, 3 };
int zeros[20000];
int main(int argc, char **argv)
{
        if (argc > 1 && !dlopen(argv[1], RTLD_NOW))
                return 1;
        puts("ready");
        fflush(stdout);
        pause();
        return initialized[argc] + zeros[argc];
}
'''
STATIC = PROGRAM.replace('#include <dlfcn.h>', '').replace('!dlopen(argv[1], RTLD_NOW)', '0')
LIBRARY = 'int d[100] = { 1 }; int b[10000]; int f(int x) { return d[x] + b[x]; }\n'


def build(tmp, out, text, *flags):
    src = os.path.join(tmp, out + '.c')
    open(src, 'w').write(text)
    return subprocess.run([CC, '-o', os.path.join(tmp, out), src, *flags], stderr=subprocess.DEVNULL).returncode == 0


def plan(path):
    p = subprocess.run([MEMWHY, 'elf', '--plan', '--json', path], stdout=subprocess.PIPE, timeout=60, check=False)
    return json.loads(p.stdout)['files'][0]['plan']


def pieces(path):
    return [(int(p['start'], 16), int(p['end'], 16), p['kind'], None if p['offset'] is None else int(p['offset'], 16), p['mapping'])
            for p in plan(path)['pieces']]


def covers(path):
    """pieces lie end to end in the mappings, and sum to VSZ"""
    d, got = plan(path), pieces(path)
    wrong = []
    for i, m in enumerate(d['mappings']):
        mine = [p for p in got if p[4] == i]
        at = int(m['start'], 16)
        for start, end, kind, off, _ in mine:
            if start != at or end <= start:
                wrong.append((m, start))
            at = end
        if at != int(m['end'], 16):
            wrong.append((m, at))
    if sum(p[1] - p[0] for p in got) != d['vsz']:
        wrong.append('sum')
    return wrong


def rights(path, index):
    return plan(path)['mappings'][index]


def in_memory(path, pid, real):
    """compare with the memory of the process; returns what differs and how many bytes agreed, by kind"""
    maps = [x.split() for x in open('/proc/%d/maps' % pid)]
    base = min(int(m[0].split('-')[0], 16) for m in maps if m[-1] == real)
    image = open(path, 'rb').read()
    d = plan(path)
    bias = base - int(d['mappings'][0]['start'], 16)
    wrong, agreed = [], {}
    before, file_addr, file_end = None, 0, 0
    with open('/proc/%d/mem' % pid, 'rb', buffering=0) as mem:
        for start, end, kind, off, index in pieces(path):
            m = d['mappings'][index]
            size = min(end - start, 1 << 20)
            if kind == 'gap':
                hit = [x for x in maps if int(x[0].split('-')[0], 16) <= start + bias < int(x[0].split('-')[1], 16)]
                if d['role'] == 'library' and (len(hit) != 1 or not hit[0][1].startswith('---')):
                    wrong.append((kind, hex(start), hit))
                agreed[kind] = agreed.get(kind, 0) + size
                continue
            if kind == 'segment':
                file_addr, file_end = end, off + end - start
            if kind != 'cleared':
                before = (start, end, kind, off, index)
            if kind == 'segment' and ('w' in m['prot'] or m['kind'] == 'relro'):
                continue        # the loader and the program write here
            mem.seek(start + bias)
            got = mem.read(size)
            if kind in ('segment', 'before', 'after'):
                want = image[off:off + size]
                want += bytes(size - len(want))
            elif kind in ('cleared', 'rounding'):
                want = bytes(size)
            else:
                continue
            if kind == 'cleared':
                if before[2:] != (kind, None, index):
                    before = (start, end, kind, None, index)
                    continue    # .bss itself, where variables may have been written since
                at = file_end + start - file_addr
                agreed['other bytes in the file'] = agreed.get('other bytes in the file', 0) + (image[at:at + size] != want)
            if got != want:
                wrong.append((kind, hex(start), next(i for i in range(size) if got[i] != want[i])))
            agreed[kind] = agreed.get(kind, 0) + size
    return wrong, agreed


def picture_of(path):
    out = subprocess.run([MEMWHY, 'elf', '--plan', path], stdout=subprocess.PIPE, timeout=60).stdout.decode().split('\n')
    first = next(i for i, x in enumerate(out) if re.match(r' +file +segment +memory', x))
    return out[first:]


def looks_right(path):
    lines = picture_of(path)
    d, wrong = plan(path), []
    bounds = {int(m['start'], 16) for m in d['mappings']} | {int(d['mappings'][-1]['end'], 16)}
    drawn = {int(m.group(1), 16) for m in (re.search(r'\+-+\+ 0x([0-9a-f]+)( +[r-][w-][x-])?$', x) for x in lines) if m}
    if drawn != bounds:
        wrong.append(('bounds', [hex(x) for x in drawn ^ bounds]))
    wide = [x for x in lines if len(x) > 80]
    if wide:
        wrong.append(wide)
    if any(x != x.rstrip() for x in lines):
        wrong.append('blanks at the end of a line')
    return wrong


def with_process(tmp, name, cmd, paths):
    p = subprocess.Popen(cmd, stdout=subprocess.PIPE, cwd=tmp)
    try:
        if p.stdout.readline() != b'ready\n':
            check(name + ' runs', False)
            return
        total = {}
        for path in paths:
            wrong, agreed = in_memory(path, p.pid, os.path.realpath(path))
            check('%s: memory is what the pieces of %s say' % (name, os.path.basename(path)), not wrong and agreed, (wrong, agreed))
            for k, v in agreed.items():
                total[k] = total.get(k, 0) + v
            if name == 'little .bss':
                check('%s: what is behind it is cleared, though the file has bytes there' % name,
                      agreed.get('cleared') and agreed.get('other bytes in the file'), agreed)
        print('# bytes that agreed: %s' % total)
    finally:
        p.kill()
        p.wait()


def main():
    with tempfile.TemporaryDirectory() as tmp:
        def path(x):
            return os.path.join(tmp, x)
        built = ['pie', 'no_pie', 'static', 'lib2m.so']
        build(tmp, 'pie', PROGRAM, '-pie', '-fPIE', '-ldl')
        build(tmp, 'no_pie', PROGRAM, '-no-pie', '-Wl,-z,norelro', '-ldl')
        build(tmp, 'static', STATIC, '-static')
        build(tmp, 'lib2m.so', LIBRARY, '-shared', '-fPIC', '-Wl,-z,max-page-size=0x200000')
        for linker in ('lld', 'gold'):
            if build(tmp, linker, PROGRAM, '-fuse-ld=' + linker, '-ldl'):
                built.append(linker)
            else:
                skip(linker, 'it is not installed')
        # like a kernel: addresses in the upper half, a hole of megabytes, .bss larger than the file
        open(path('k.lds'), 'w').write('SECTIONS { . = 0xffffffff81000000; .text : { *(.text*) } . = ALIGN(0x200000); '
                                       '.data : { *(.data*) } .bss : { *(.bss*) . += 0x3000000; } /DISCARD/ : { *(.*) } }\n')
        open(path('k.c'), 'w').write(LIBRARY)
        if subprocess.run([CC, '-mcmodel=kernel', '-fno-pic', '-nostdlib', '-static', '-Wl,-T,' + path('k.lds'), '-Wl,-z,max-page-size=0x200000',
                           '-o', path('kernel'), path('k.c')], stderr=subprocess.DEVNULL).returncode == 0:
            built.append('kernel')
        for x in built:
            check('%s: pieces cover the mappings' % x, not covers(path(x)), covers(path(x)))
            check('%s: the picture has every bound and fits' % x, not looks_right(path(x)), looks_right(path(x)) + picture_of(path(x)))
        for x in ('/bin/true', '/bin/busybox', shutil.which('python3'), os.path.realpath(MEMWHY)):
            if x and os.path.exists(x):
                check('%s: pieces and picture' % x, not covers(x) and not looks_right(x), covers(x) + looks_right(x))
        with_process(tmp, 'PIE with a library of 2 MiB alignment', [path('pie'), path('lib2m.so')], [path('pie'), path('lib2m.so')])
        with_process(tmp, 'at a fixed address', [path('no_pie')], [path('no_pie')])
        build(tmp, 'little', STATIC.replace('zeros[20000]', 'zeros[2]'), '-pie', '-fPIE')
        with_process(tmp, 'little .bss', [path('little')], [path('little')])
        with_process(tmp, 'static', [path('static')], [path('static')])
        for x in ('lld', 'gold'):
            if x in built:
                with_process(tmp, x, [path(x)], [path(x)])
        if 'lld' in built:
            twice = [x for x in picture_of(path('lld')) if re.search(r'of the file is mapped \d+ times', x)]
            check('pages of the file that two segments bring are named', twice)
    return end()


if __name__ == '__main__':
    sys.exit(main())
