#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers and symbols byte by byte against the bytes of the file and readelf: every byte of a structure belongs
to one field, values are what struct unpacks, and a number chooses one of a table. TAP on standard output."""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

import samples
from points import check, end

MEMWHY = os.path.abspath(os.environ.get('MEMWHY', 'build/memwhy'))


def elf(*args):
    p = subprocess.run([MEMWHY, 'elf', *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def fields(*args):
    rc, out, err = elf('--json', *args)
    return json.loads(out)['files'][0]['hex_headers']


def check_bytes(name, path, rows, size):
    """rows cover size bytes without gap, in file order by offset, and say what is in the file"""
    image = open(path, 'rb').read()
    little = image[5] == 1
    at = sorted((int(r['offset'], 16), r) for r in rows)
    pos, wrong = at[0][0], []
    for off, r in at:
        raw = bytes.fromhex(r['bytes'])
        if off != pos or image[off:off + len(raw)] != raw:
            wrong.append(r)
        if len(raw) <= 8 and len(raw) != 7 and int(r['value'], 16) != int.from_bytes(raw, 'little' if little else 'big') \
                and r['field'] != 'EI_PAD':
            wrong.append(r)
        pos = off + len(raw)
    check(name, not wrong and pos - at[0][0] == size, wrong or pos)


def drawn_bytes(text):
    """offset -> byte of the hex dump above the table"""
    got = {}
    for line in text.split('\n'):
        m = re.match(r'  ([0-9a-f]{6,})  \|(.*)\|$', line)
        if m:
            for i, b in enumerate(re.split(r'[| ]', m.group(2))):
                got[int(m.group(1), 16) + i] = int(b, 16)
    return got


with tempfile.TemporaryDirectory() as tmp:
    for lay in samples.LAYOUTS:
        path = os.path.join(tmp, lay.name)
        s = samples.Sample(lay)
        open(path, 'wb').write(s.image)
        check_bytes('%s: header' % lay.name, path, fields('-h', '--hex', path), lay.ehsize)
        check_bytes('%s: segment 1' % lay.name, path, fields('-l', '--hex=1', path), lay.phsize)
        check_bytes('%s: section 3' % lay.name, path, fields('-S', '--hex=3', path), lay.shsize)
        check_bytes('%s: dynamic symbol 2' % lay.name, path, fields('--dyn-syms', '--hex=2', path), lay.symsize)
        rows = fields('--dyn-syms', '--hex=2', path)
        by = {r['field']: r for r in rows}
        check('%s: symbol 2 is the one that was written' % lay.name,
              by['st_name']['meaning'].endswith(': defined') and int(by['st_size']['value'], 16) == 16 and
              by['st_info']['meaning'].endswith(': GLOBAL FUNC') and by['st_shndx']['meaning'].endswith(': .interp'), by)
        rows = fields('-S', '--hex=3', path)
        check('%s: section 3 is .dynsym, linked to .dynstr' % lay.name,
              any(r['field'] == 'sh_name' and r['meaning'].endswith(': .dynsym') for r in rows) and
              any(r['field'] == 'sh_link' and r['meaning'].endswith(': .dynstr') for r in rows), rows)
        rc, out, err = elf('-h', '--hex', path)
        check('%s: the drawing has all bytes of the header' % lay.name,
              drawn_bytes(out) == dict(enumerate(s.image[:lay.ehsize])), out)
        check('%s: and fits 80 columns' % lay.name,
              max(len(x) for x in out.split('\n') if re.match(r'  [0-9a-f]{6}  ', x)) <= 80)
        rc, out, err = elf('-S', '--hex=3', path)
        off = s.shoff + 3 * lay.shsize
        check('%s: the drawing of section 3 has its bytes' % lay.name,
              drawn_bytes(out) == {off + i: b for i, b in enumerate(s.image[off:off + lay.shsize])}, out)

    for i in (0, 5, 12):
        r = subprocess.run(['readelf', '-W', '-l', '/bin/true'], stdout=subprocess.PIPE, env={'LC_ALL': 'C'}).stdout.decode()
        lines = [x.split() for x in r.split('\n') if re.match(r'  [A-Z_]+ +0x[0-9a-f]+ 0x', x)]
        rows = {x['field']: int(x['value'], 16) for x in fields('-l', '--hex=%d' % i, '/bin/true')}
        want = [int(x, 16) for x in lines[i][1:6]]
        check('segment %d of true as readelf shows it' % i,
              [rows[k] for k in ('p_offset', 'p_vaddr', 'p_paddr', 'p_filesz', 'p_memsz')] == want, (rows, lines[i]))
    whole = fields('-S', '--hex', '/bin/true')
    n = struct.unpack_from('<H', open('/bin/true', 'rb').read(64), 60)[0]
    check('without a number all of a table', len(whole) == 10 * n, len(whole))
    rc, out, err = elf('-l', '--hex=1000', '--json', '/bin/true')
    d = json.loads(out)['files'][0]
    check('a number that is not there is said', rc == 0 and not d['hex_headers'] and
          any('no number 1000' in x['text'] for x in d['diagnostics']), out)
    rc, out, err = elf('--hex=1', '/bin/true')
    check('a number without a table is a usage error', rc == 2, rc)
sys.exit(end())
