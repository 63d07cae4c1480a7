#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unwind records with their instructions against readelf --debug-dump=frames: same records, same instructions with the
same operands. With arguments: these files instead of the usual ones. TAP on standard output."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

MEMWHY = os.path.abspath(os.environ.get('MEMWHY', 'build/memwhy'))
CC = os.environ.get('CC', 'gcc')
ENV = dict(os.environ, LC_ALL='C')


def ours(path):
    p = subprocess.run([MEMWHY, 'elf', '-u', '--json', path], stdout=subprocess.PIPE, timeout=120)
    tables = []
    for t in json.loads(p.stdout)['files'][0]['unwind']:
        rows = []
        for e in t['entries']:
            if e['kind'] == 'CFA':
                m = re.match(r'(\d+) times$', e['operands'])
                n = int(m.group(1)) if m and e['operation'] == 'DW_CFA_nop' else 1
                rows += [(e['operation'], '' if m else e['operands'])] * n
            elif e['kind'] == 'CIE':
                rows.append(('CIE', int(e['offset'], 16), e['augmentation'], e['code_align'], e['data_align'], e['return_register']))
            else:
                rows.append(('FDE', int(e['offset'], 16), int(e['cie'], 16), int(e['start'], 16), int(e['end'], 16)))
        tables.append(rows)
    return tables


def theirs(path):
    out = subprocess.run(['readelf', '--debug-dump=frames', path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         env=ENV, timeout=300).stdout.decode()
    tables, cie = [], None
    for line in out.split('\n'):
        if line.startswith('Contents of the '):
            tables.append([])
            continue
        m = re.match(r'([0-9a-f]+) [0-9a-f]+ \S+ CIE', line)
        if m:
            cie = ['CIE', int(m.group(1), 16)]
            continue
        m = re.match(r'([0-9a-f]+) [0-9a-f]+ \S+ FDE cie=([0-9a-f]+) pc=([0-9a-f]+)\.\.([0-9a-f]+)', line)
        if m:
            tables[-1].append(('FDE',) + tuple(int(x, 16) for x in m.groups()))
            continue
        m = re.match(r'  (Augmentation|Code alignment factor|Data alignment factor|Return address column): +(.*)', line)
        if m and cie:
            cie.append(m.group(2).strip('"') if m.group(1) == 'Augmentation' else int(m.group(2)))
            if len(cie) == 6:
                tables[-1].append(tuple(cie))
                cie = None
            continue
        m = re.match(r'  (DW_CFA_\w+):? ?(.*)$', line)
        if m:
            text = re.sub(r' to ([0-9a-f]+)$', lambda x: ' to %#x' % int(x.group(1), 16), m.group(2).strip())
            if m.group(1) == 'DW_CFA_set_loc':
                text = '%#x' % int(text, 16)
            tables[-1].append((m.group(1), text))
    return [t for t in tables if t]


def compare(path):
    a, b = ours(path), theirs(path)
    n = sum(len(t) for t in b)
    if len(a) != len(b):
        return n, 'tables: %d, readelf %d' % (len(a), len(b))
    for x, y in zip(a, b):
        for i, (u, v) in enumerate(zip(x, y)):
            if u != v:
                return n, 'row %d: %r, readelf %r' % (i, u, v)
        if len(x) != len(y):
            return n, 'rows: %d, readelf %d' % (len(x), len(y))
    return n, None


SOURCE = r'''
__attribute__((noinline)) int spill(int n, char *p)
{
        char buf[n];
        for (int i = 0; i < n; i++)
                buf[i] = p[i] + i;
        return buf[n / 2];
}
int main(int argc, char **argv) { return spill(argc * 10, argv[0]); }
__asm__(".text\nodd:\n.cfi_startproc\nnop\n.cfi_remember_state\n.cfi_def_cfa_offset 300\nnop\n.cfi_restore_state\n"
        ".cfi_same_value 3\n.cfi_undefined 5\n.cfi_register 6, 7\n.cfi_val_offset 3, -16\n.cfi_rel_offset 3, 8\nnop\n.cfi_escape 0x2e,0x20\n"
        ".cfi_escape 0x16,3,5,0x77,8,6,0x23,4\n.cfi_escape 0x10,6,3,0x08,200,0x1c\n.cfi_escape 0x0f,6,0x0c,1,2,3,4,0x96\n"
        ".cfi_escape 0x12,7,0x7e\n.cfi_escape 0x13,0x7d\n.cfi_escape 0x11,6,0x7e\n.cfi_escape 0x05,16,2\n.cfi_escape 0x2f,3,4\n.cfi_escape 0x06,3\n"
        ".fill 300, 1, 0x90\n.cfi_def_cfa_register 6\n.fill 70000, 1, 0x90\n.cfi_restore 3\n.cfi_endproc\n");
'''


def main():
    if not shutil.which('readelf'):
        print('1..0 # SKIP there is no readelf')
        return 0
    failed = n = 0
    with tempfile.TemporaryDirectory() as tmp:
        paths = sys.argv[1:]
        if not paths:
            src = os.path.join(tmp, 'x.c')
            open(src, 'w').write(SOURCE)
            for name, flags in (('x64', ['-O2', '-fstack-protector']), ('static', ['-static']), ('debug_frame', ['-fno-asynchronous-unwind-tables', '-g']),
                                ('x32', ['-m32', '-O2']), ('shared', ['-shared', '-fPIC', '-fexceptions'])):
                out = os.path.join(tmp, name)
                if subprocess.run([CC, '-o', out, src, *flags], stderr=subprocess.DEVNULL).returncode == 0:
                    paths.append(out)
            maps = [x.split()[-1] for x in open('/proc/self/maps') if '/' in x]
            paths += sorted({x for x in maps if re.search(r'/(libc|libm|ld-linux|libz)[^/]*$', x)}) + ['/bin/true', '/bin/busybox']
        for path in paths:
            if not os.path.exists(path):
                continue
            n += 1
            rows, why = compare(path)
            failed += why is not None
            print('%sok %d - %s: %d rows are readelf\'s' % ('not ' if why else '', n, os.path.basename(path), rows), flush=True)
            if why:
                print('# ' + why)
    print('1..%d' % n)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
