#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents of sections: compressed ones inflated by -z against objcopy, and usable for debug information; attributes
of architectures against readelf -A, from files that this test writes. TAP on standard output."""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

from points import check, end, skip

MEMWHY = os.path.abspath(os.environ.get('MEMWHY', 'build/memwhy'))
CC = os.environ.get('CC', 'gcc')
ENV = dict(os.environ, LC_ALL='C', DEBUGINFOD_URLS='')


def run(*cmd):
    return subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENV, check=True).stdout.decode(errors='replace')


def ask(*args):
    p = subprocess.run([MEMWHY, 'elf', '--json', *args], stdout=subprocess.PIPE, env=ENV, timeout=60)
    return p.returncode, json.loads(p.stdout)['files'][0]


def dump(path, section):
    """the bytes that readelf's hex dump shows"""
    out = b''
    for line in run('readelf', '-z', '-x', section, path).split('\n'):
        m = re.match(r'  0x[0-9a-f]+ ((?:[0-9a-f]{2,8} ?){1,4})', line[:48])
        if m:
            out += bytes.fromhex(m.group(1).replace(' ', ''))
    return out


def our_dump(path, section):
    rc, f = ask('-z', '-x', section, path)
    return b''.join(bytes.fromhex(r['bytes'].replace(' ', '')) for r in f['dumps'][0]['lines'])


def test_type_units(tmp):
    """Types in units of their own, which name the line table of others, tell nothing of addresses."""
    src = os.path.join(tmp, 'types.c')
    open(src, 'w').write('struct in { short s; long double d; };\nstruct out { struct in a[3], *p; enum e { X } e; char c; } v[7];\n'
                         'int f(int x)\n{\n\treturn x + v[x].c;\n}\nint main(void)\n{\n\treturn f(3);\n}\n')
    for version in ('-gdwarf-4', '-gdwarf-5'):
        path, plain = os.path.join(tmp, 'types'), os.path.join(tmp, 'notypes')
        run(CC, version, '-fdebug-types-section', '-o', path, src)
        run(CC, version, '-o', plain, src)
        addr = '--addr=0x' + next(x.split()[0] for x in run('nm', path).split('\n') if x.endswith(' f'))
        for name in ('in', 'out'):
            got, want = (ask('--units', addr, '--type=' + name, p)[1]['dwarf'] for p in (path, plain))
            check('%s, type units: struct %s' % (version, name), got['type'] == want['type'] and want['type']['size'], (got, want))
        check('%s, type units: one compile unit, one line an address' % version, [u['name'] for u in got['units']] == [src] and
              got['lines'] == want['lines'] and len(want['lines']) == 1, (got, want))
        mine = [{o['name']: o['memory'] for o in ask('--sizes=unit', p)[1]['sizes']['owners']} for p in (path, plain)]
        check('%s, type units: the unit owns its code and data' % version, mine[0].get(src) == mine[1].get(src) and mine[1][src] > 7 * 112, mine)


def test_compressed(tmp):
    src, plain = os.path.join(tmp, 'c.c'), os.path.join(tmp, 'plain')
    open(src, 'w').write('struct s { char a; long b; } v;\n' + ''.join('struct t%d { int x, y; struct s z; } v%d;\n' % (i, i) for i in range(40)) + 'int f(int x)\n{\n\treturn x + (int)v.b;\n}\nint main(void)\n{\n\treturn f(3);\n}\n')
    run(CC, '-g', '-o', plain, src)
    addr = '--addr=0x' + next(x.split()[0] for x in run('nm', plain).split('\n') if x.endswith(' f'))
    want = ask('--units', addr, '--type=s', plain)[1]['dwarf']
    for how in ('zlib-gabi', 'zlib-gnu', 'zstd'):
        path = os.path.join(tmp, how)
        if subprocess.run(['objcopy', '--compress-debug-sections=' + how, plain, path], stderr=subprocess.DEVNULL).returncode:
            skip(how, 'objcopy does not know it')
            continue
        names = re.findall(r'\] (\.z?debug_\w+)', run('readelf', '-WS', path))
        wrong, squeezed = [], []
        for name in names:
            got = our_dump(path, name)
            if got != dump(plain, '.debug_' + name.split('_', 1)[1]):
                wrong.append(name)
            squeezed += [name] * ask('-z', '-x', name, path)[1]['dumps'][0]['was_compressed']
        check('%s: %d sections inflate to the bytes that were there, %d were compressed' % (how, len(names), len(squeezed)),
              names and not wrong and squeezed, (wrong, squeezed))
        got = ask('--units', addr, '--type=s', path)[1]['dwarf']
        check('%s: units, lines and types are those of the plain file' % how, {k: v for k, v in got.items() if k != 'from'} ==
              {k: v for k, v in want.items() if k != 'from'} and got['from'] == path, (got, want))
        if not squeezed:
            continue
        broken = bytearray(open(path, 'rb').read())
        at = int(re.search(r'\] %s +PROGBITS +[0-9a-f]+ ([0-9a-f]+)' % re.escape(squeezed[0]), run('readelf', '-WS', path)).group(1), 16)
        broken[at + 30:at + 60] = b'\xff' * 30
        open(path, 'wb').write(broken)
        rc, f = ask('-z', '-x', squeezed[0], path)
        check('%s: damage is said' % how, rc == 1 and f['diagnostics'], (rc, f['diagnostics']))


def uleb(v):
    out = b''
    while True:
        b, v = v & 0x7f, v >> 7
        out += bytes([b | (0x80 if v else 0)])
        if not v:
            return out


def attributes_file(path, machine, big, is64, name, kind, body):
    """a relocatable object with one section"""
    e = '>' if big else '<'
    names = b'\0' + name.encode() + b'\0.shstrtab\0'
    eh = 64 if is64 else 52
    shoff = (eh + len(body) + len(names) + 7) // 8 * 8
    word = 'Q' if is64 else 'I'
    head = b'\x7fELF' + bytes([2 if is64 else 1, 2 if big else 1, 1]) + bytes(9)
    head += struct.pack(e + 'HHI' + 3 * word + 'I6H', 1, machine, 1, 0, 0, shoff, 0x5000000 if machine == 40 else 0, eh, 0, 0, 64 if is64 else 40, 3, 2)

    def sh(n, t, off, size):
        return struct.pack(e + 'II' + 4 * word + 'II' + 2 * word, n, t, 0, 0, off, size, 0, 0, 1, 0)
    image = head + body + names
    image += bytes(shoff - len(image)) + sh(0, 0, 0, 0) + sh(1, kind, eh, len(body)) + sh(2 + len(name), 3, eh + len(body), len(names))
    open(path, 'wb').write(image)


def vendor_part(e, vendor, attributes):
    body = b''.join(uleb(t) + (uleb(v) if isinstance(v, int) else v.encode() + b'\0') for t, v in attributes)
    inner = b'\x01' + struct.pack(e + 'I', 5 + len(body)) + body
    vendor = vendor.encode() + b'\0'
    return b'A' + struct.pack(e + 'I', 4 + len(vendor) + len(inner)) + vendor + inner


def readelf_attributes(path):
    return [m for m in re.findall(r'^ +Tag_([\w ]+): (.*)$', run('readelf', '-A', path), re.M)]


def ours_as_readelf(path):
    got = []
    for a in ask('-A', path)[1]['attributes']:
        text = a['text'] if a['text'] is not None else str(a['value'])
        got.append((a['name'], text))
    return got


def test_attributes(tmp):
    e = '<'
    values = {6: range(0, 18), 8: (0, 1), 9: range(4), 10: range(9), 11: range(3), 12: range(5), 13: range(8), 14: range(4), 15: range(4),
              16: range(3), 17: range(3), 19: (0, 1), 20: range(3), 21: (0, 1), 22: (0, 1), 23: range(4), 24: range(3), 25: range(3),
              26: range(4), 27: range(2), 28: range(4), 29: range(3), 30: range(7), 31: range(7), 34: (0, 1), 36: (0, 1), 38: range(3),
              42: (0, 1), 44: range(3), 46: (0, 1), 66: (0, 1), 68: range(4)}
    pairs = [(5, 'Cortex-A8'), (67, '2.09')] + [(t, v) for t, vs in values.items() for v in vs] + [(7, ord(x)) for x in 'ARMS'] + [(7, 0), (18, 4)]
    path = os.path.join(tmp, 'arm.o')
    attributes_file(path, 40, False, False, '.ARM.attributes', 0x70000003, vendor_part(e, 'aeabi', pairs))
    want, got = readelf_attributes(path), ours_as_readelf(path)
    clean = [(a, b.strip('"')) for a, b in want]
    check('%d attributes of Arm are readelf\'s' % len(want), len(want) == len(pairs) and got == clean,
          [(a, b) for a, b in zip(got, clean) if a != b])
    path = os.path.join(tmp, 'riscv.o')
    attributes_file(path, 243, False, True, '.riscv.attributes', 0x70000003,
                    vendor_part(e, 'riscv', [(4, 16), (5, 'rv64i2p0_m2p0'), (6, 1), (8, 1), (10, 11)]))
    want, got = readelf_attributes(path), ours_as_readelf(path)
    clean = [(a, re.sub('-bytes$', '', b.strip('"'))) for a, b in want]
    check('%d attributes of RISC-V are readelf\'s' % len(want), len(want) == 5 and got == clean, (got, clean))
    path = os.path.join(tmp, 'ppc.o')
    for v in range(16):
        attributes_file(path, 20, True, False, '.gnu.attributes', 0x6ffffff5,
                        vendor_part('>', 'gnu', [(4, v), (8, v % 4), (12, v % 3)]))
        want, got = readelf_attributes(path), ours_as_readelf(path)
        check('attributes of PowerPC, values of %d' % v, len(want) == 3 and got == want, (got, want))
    path = os.path.join(tmp, 'mips.o')
    for fp in range(8):
        attributes_file(path, 8, True, False, '.MIPS.abiflags', 0x7000002a, struct.pack('>HBBBBBBIIII', 0, 32, 2, 1, 2, 3, fp, 0, 0, 1, 0))
        out = run('readelf', '-A', path)
        have = {a['name']: (a['value'], a['text']) for a in ask('-A', path)[1]['attributes']}
        want = dict(re.findall(r'^([A-Z][\w ]*): (.*)$', out, re.M))
        check('ABI flags of MIPS, floating point %d' % fp, have['ISA'][1] == want['ISA'] and have['FP ABI'][1] == want['FP ABI'] and
              have['GPR size'][1].split()[0] == want['GPR size'] and have['CPR1 size'][1].split()[0] == want['CPR1 size'] and
              have['CPR2 size'][1].split()[0] == want['CPR2 size'] and have['FLAGS 1'][0] == int(want['FLAGS 1'], 16), (have, want))


def main():
    for tool in ('objcopy', 'readelf'):
        if not shutil.which(tool):
            print('1..0 # SKIP there is no ' + tool)
            return 0
    with tempfile.TemporaryDirectory() as tmp:
        test_type_units(tmp)
        test_compressed(tmp)
        test_attributes(tmp)
    return end()


if __name__ == '__main__':
    sys.exit(main())
