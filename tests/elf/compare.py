#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare memwhy elf --json with readelf -W and eu-readelf as data, over many files.

    compare.py [--all | --count N] [FILE...]

Every field of the headers, segments, sections, symbols with versions, dynamic table,
relocations, versions and notes must be equal. Where the others differ on purpose or by
limitation, the list EXPLAINED says so. TAP on standard output.
"""
import json
import os
import re
import shutil
import subprocess
import sys

MEMWHY = os.environ.get('MEMWHY', 'build/memwhy')
DIRS = ['/usr/bin', '/usr/sbin', '/usr/lib', '/usr/local/lib', '/usr/libexec']

# Differences on purpose or by limitation of the others; the code below passes over these, and nothing else:
#   readelf prints VERNEED, VERDEF, VERSYM for the section types GNU_verneed, GNU_verdef, GNU_versym
#   readelf names the section flags R and D only where EI_OSABI is GNU or FreeBSD, else prints o
#   readelf escapes control bytes and UTF-8 in names its own way
#   readelf -W cuts names of relocation types after 22 characters, appends () to IFUNC symbols there
#   readelf writes numbers it has no name for as LOOS+..., <OS specific>: N, unrecognized: N
#   readelf decodes owners of annobin notes (GA...), which are binary, into text
SECTION_TYPES = {'VERNEED': 'GNU_verneed', 'VERDEF': 'GNU_verdef', 'VERSYM': 'GNU_versym'}


def run(cmd):
    env = dict(os.environ, LC_ALL='C')
    p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, timeout=300)
    return p.returncode, p.stdout.decode('utf-8', 'backslashreplace')


def is_elf(path):
    try:
        with open(path, 'rb') as f:
            return f.read(4) == b'\x7fELF'
    except OSError:
        return False


def find_files():
    seen = set()
    for top in DIRS:
        for root, dirs, names in os.walk(top):
            dirs.sort()
            for n in sorted(names):
                p = os.path.join(root, n)
                if not os.path.isfile(p) or os.path.islink(p):
                    continue
                if re.search(r'\.(py|pyc|h|hpp|js|ts|json|md|txt|html|c|go|rb|pl|pm|mo|gz|png|svg|xml|map)$', n):
                    continue
                st = os.stat(p)
                if (st.st_dev, st.st_ino) in seen or st.st_size < 64 or not is_elf(p):
                    continue
                seen.add((st.st_dev, st.st_ino))
                yield p


class Check:
    def __init__(self):
        self.count = {}
        self.bad = {}

    def equal(self, what, path, ours, theirs):
        self.count[what] = self.count.get(what, 0) + 1
        if ours != theirs:
            self.bad.setdefault(what, []).append('%s: memwhy %r, other %r' % (path, ours, theirs))


def num(text):
    return int(text, 16)


def plain(name):
    return name.isascii() and name.isprintable() and '\\' not in name


# ------------------------------------------------------------------- readelf

def compare_header(c, path, ours, out):
    h = ours['header']
    field = {m[0].strip(): m[1].strip() for m in re.findall(r'^  ([^:\n]+):\s+(.*)$', out, re.M)}
    if 'Class' not in field:
        return
    c.equal('header: class', path, h['class'], {'ELF64': 64, 'ELF32': 32}[field['Class']])
    c.equal('header: data', path, h['data'], 'big' if 'big' in field['Data'] else 'little')
    c.equal('header: magic', path, h['ident'], field['Magic'])
    c.equal('header: type', path, h['type_name'], field['Type'].split()[0])
    c.equal('header: entry', path, num(h['entry']), num(field['Entry point address']))
    c.equal('header: phoff', path, h['phoff'], int(field['Start of program headers'].split()[0]))
    c.equal('header: shoff', path, h['shoff'], int(field['Start of section headers'].split()[0]))
    c.equal('header: flags', path, num(h['flags']), num(field['Flags'].split(',')[0]))
    c.equal('header: ehsize', path, h['ehsize'], int(field['Size of this header'].split()[0]))
    for key, label, total in (('phnum', 'Number of program headers', 'segments'),
                              ('shnum', 'Number of section headers', 'sections'),
                              ('shstrndx', 'Section header string table index', 'section_names')):
        m = re.match(r'(\d+)(?: \((\d+)\))?', field[label])
        c.equal('header: ' + key, path, [h[key], h[total]], [int(m[1]), int(m[2] or m[1])])


SECTION = re.compile(r'^  \[\s*(\d+)\] (.*?)\s+(\S+(?: \S+)?)\s+([0-9a-f]{8}|[0-9a-f]{16}) ([0-9a-f]{6,}) ([0-9a-f]{6,}) '
                     r'([0-9a-f]{2,}) (.{3,}?)\s*(\d+)\s+(\d+)\s+(\d+)$', re.M)


def compare_sections(c, path, ours, out):
    rows = SECTION.findall(out)
    c.equal('sections: count', path, len(ours['sections']), len(rows))
    for o, r in zip(ours['sections'], rows):
        where = '%s section %s' % (path, r[0])
        mine = [o['index'], num(o['addr']), num(o['offset']), num(o['size']), num(o['entsize']), o['link'],
                o['info'], o['align']]
        c.equal('sections: numbers', where, mine,
                [int(r[0]), num(r[3]), num(r[4]), num(r[5]), num(r[6]), int(r[8]), int(r[9]), int(r[10])])
        flags = o['flags_text']
        if ours['header']['osabi'] not in (3, 9):   # readelf names R and D for GNU and FreeBSD only
            flags = re.sub('[RD]+', 'o', flags)
        c.equal('sections: flags', where, flags, r[7].strip())
        if plain(o['name']) and ' ' not in o['name']:
            c.equal('sections: name', where, o['name'], r[1])
            if not re.search(r'[+:<]', r[2]) and not o['type_name'].startswith('<'):
                c.equal('sections: type', where, o['type_name'], SECTION_TYPES.get(r[2], r[2]))


SEGMENT = re.compile(r'^  (\S+)\s+0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) (...) (?:0x)?([0-9a-f]+)$',
                     re.M)


def compare_segments(c, path, ours, out):
    rows = SEGMENT.findall(out)
    c.equal('segments: count', path, len(ours['segments']), len(rows))
    for o, r in zip(ours['segments'], rows):
        mine = [num(o[k]) for k in ('offset', 'vaddr', 'paddr', 'filesz', 'memsz', 'align')]
        c.equal('segments: numbers', path, mine, [num(x) for x in r[1:6]] + [num(r[7])])
        c.equal('segments: rights', path, o['flags'] & 7,
                ('R' in r[6]) * 4 + ('W' in r[6]) * 2 + ('E' in r[6]))
        if '+' not in r[0] and not o['type_name'].startswith('<'):
            c.equal('segments: type', path, o['type_name'], r[0])
    mapping = dict((int(a), b.split()) for a, b in re.findall(r'^   (\d\d+)     (.*)$', out, re.M))
    for o in ours['segments']:
        if len(ours.get('sections', [])) < 200 and o['index'] in mapping:
            names = o['sections'].split()
            if all(plain(n) for n in names):
                c.equal('segments: sections', path, names, mapping[o['index']])
    m = re.search(r'\[Requesting program interpreter: (.*)\]', out)
    c.equal('segments: interpreter', path, ours['interpreter'], m[1] if m else None)


SYMBOL = re.compile(r'^\s*(\d+): ([0-9a-f]+)\s+(\d+|0x[0-9a-f]+) (\S+(?: specific>: \d+)?)\s+(\S+(?: specific>: \d+)?)\s+'
                    r'(\S+)(?:\s+\[[^\]]*\])?\s+(UND|ABS|COM|LARGE_COM|\d+|(?:PRC|OS |RSV)\[0x[0-9a-f]+\])(?: (.*))?$')


def symbol_tables(out):
    """[(name of the table, [rows])]"""
    tables = []
    for line in out.split('\n'):
        m = re.match(r"Symbol table '(.*)' contains", line)
        if m:
            tables.append((m[1], []))
            continue
        if line.startswith('Symbol table for image'):
            tables.append(('PT_DYNAMIC', []))
            continue
        m = SYMBOL.match(line)
        if m and tables:
            tables[-1][1].append(m.groups())
    return tables


def compare_symbols(c, path, ours, out):
    tables = symbol_tables(out)
    c.equal('symbols: tables', path, sorted((t['table'], t['count']) for t in ours['symbols'] if t['count']),
            sorted((n, len(r)) for n, r in tables if r))
    theirs = dict(tables)
    for t in ours['symbols']:
        for o, r in zip(t['entries'], theirs.get(t['table'], [])):
            where = '%s %s symbol %s' % (path, t['table'], r[0])
            c.equal('symbols: numbers', where, [o['index'], num(o['value']), o['size']],
                    [int(r[0]), num(r[1]), int(r[2], 0)])
            if 'specific' not in r[3] + r[4] and '<' not in o['type'] + o['bind']:
                c.equal('symbols: type, binding, visibility', where, [o['type'], o['bind'], o['visibility']], list(r[3:6]))
            c.equal('symbols: section', where, o['section_text'].replace('OS[', 'OS ['), r[6])
            name = re.sub(r' \(\d+\)$', '', r[7] or '')
            if plain(o['name']):
                c.equal('symbols: name and version', where, o['name'], name)


def compare_dynamic(c, path, ours, out):
    rows = re.findall(r"^ 0x([0-9a-f]+) \((.*?)\)[^\S\n]*(.*)$", out, re.M)
    c.equal('dynamic: count', path, len(ours['dynamic']), len(rows))
    for o, r in zip(ours['dynamic'], rows):
        c.equal('dynamic: tag', path, num(o['tag']), num(r[0]))
        if not o['name'].startswith('<') and '<' not in r[1]:
            c.equal('dynamic: name', path, o['name'], r[1])
        m = re.search(r'\[(.*)\]$', r[2])
        if m and o['string'] is not None and plain(o['string']):
            c.equal('dynamic: string', path, o['string'], m[1])
        elif re.fullmatch(r'0x[0-9a-f]+', r[2]):
            c.equal('dynamic: value', path, num(o['value']), num(r[2]))
        elif re.fullmatch(r'\d+ \(bytes\)', r[2]):
            c.equal('dynamic: size', path, num(o['value']), int(r[2].split()[0]))


def split_relocs(out):
    tables = []
    for line in out.split('\n'):
        m = re.match(r"Relocation section '(.*)' at offset 0x([0-9a-f]+) contains (\d+) entr", line)
        if m:
            tables.append((m[1], int(m[3]), []))
        elif tables and re.match(r'[0-9a-f]{8,16}', line):
            tables[-1][2].append(line)
    return tables


RELOC = re.compile(r'^([0-9a-f]+)\s+([0-9a-f]+) (\S+|unrecognized: \S+)\s*(.*)$')


def compare_reloc(c, where, o, line):
    m = RELOC.match(line)
    if not m:
        return
    c.equal('relocations: offset and info', where, [num(o['offset']), num(o['info'])], [num(m[1]), num(m[2])])
    if not o['type_name'].startswith('<') and 'unrec' not in m[3] and '/' not in o['type_name']:
        c.equal('relocations: type', where, o['type_name'][:22], m[3][:22])
    rest = m[4]
    if o['symbol'] and o['symbol_value'] is not None:
        n = re.match(r'([0-9a-f]{8,16})\s+(.*?)(?: ([+-]) ([0-9a-f]+))?$', rest)
        if not n:
            return
        if '()' not in rest:
            c.equal('relocations: symbol value', where, num(o['symbol_value']), num(n[1]))
            if plain(o['symbol_name'] or ''):
                c.equal('relocations: symbol', where, o['symbol_name'] or '', re.sub(r' \(\d+\)$', '', n[2]))
        if n[3]:
            c.equal('relocations: addend', where, o['addend'], num(n[4]) * (-1 if n[3] == '-' else 1))
    elif re.fullmatch(r'-?[0-9a-f]+', rest) and o['addend'] is not None:
        mask = (1 << 64) - 1
        c.equal('relocations: addend', where, o['addend'] & mask, int(rest, 16) & mask)


def compare_relocs(c, path, ours, out):
    tables = split_relocs(out)
    c.equal('relocations: tables', path,
            [t['table'] for t in ours['relocations'] if t['count']], [n for n, k, r in tables if k])
    ours_t = [t for t in ours['relocations'] if t['count']]
    for t, (name, count, rows) in zip(ours_t, tables):
        if t['kind'] == 'RELR':
            c.equal('relocations: RELR', path, [num(e['offset']) for e in t['entries']],
                    [num(x) for line in rows for x in line.split()[:1]])
            continue
        c.equal('relocations: count', path, t['count'], count)
        for o, line in zip(t['entries'], rows):
            compare_reloc(c, '%s %s' % (path, name), o, line)


def compare_versions(c, path, ours, out):
    v = ours['versions']
    defs = v.get('defined', v).get('definitions', [])
    needs = v.get('needed', v).get('needs', [])
    d = re.findall(r'Rev: \d+  Flags: (.*?)\s+Index: (\d+)  Cnt: \d+  Name: (.*)$', out, re.M)
    n = re.findall(r'  Name: (\S+)  Flags: (.*?)  Version: (\d+)$', out, re.M)
    c.equal('versions: defined', path, [(x['index'], x['name'], x['is_base']) for x in defs],
            [(int(i), name, 'BASE' in f) for f, i, name in d])
    c.equal('versions: needed', path, [(x['index'], x['name']) for x in needs], [(int(i), name) for name, f, i in n])


def compare_notes(c, path, ours, out):
    rows = re.findall(r'^  (\S.*?)\s+0x([0-9a-f]{8})\t', out, re.M)
    mine = [(e['owner'], e['size']) for t in ours['notes'] for e in t['entries'] if e['owner'][:2] != 'GA']
    c.equal('notes: owner and size', path, mine, [(a, num(b)) for a, b in rows if a[:2] != 'GA'])
    ids = re.findall(r'Build ID: ([0-9a-f]+)', out)
    ours_ids = [d['value'] for t in ours['notes'] for e in t['entries'] for d in e['details'] if d['key'] == 'build_id']
    c.equal('notes: build ID', path, ours_ids, ids)


PARTS = [('-h', compare_header), ('-S', compare_sections), ('-l', compare_segments), ('-s', compare_symbols),
         ('-d', compare_dynamic), ('-r', compare_relocs), ('-V', compare_versions), ('-n', compare_notes)]


# ---------------------------------------------------------------- eu-readelf

def compare_eu(c, path, ours):
    rc, out = run(['eu-readelf', '-S', '-l', '-s', path])
    rows = re.findall(r'^\[\s*(\d+)\] (.*?)\s+(\S+)\s+([0-9a-f]{8,16}) ([0-9a-f]{8}) ([0-9a-f]{8,})\s+(\d+) (.{0,12}?)\s+(\d+)\s+(\d+)\s+(\d+)$',
                      out, re.M)
    for r in rows:
        o = ours['sections'][int(r[0])]
        c.equal('eu: sections', path, [num(o['addr']), num(o['offset']), num(o['size']), num(o['entsize']), o['link'],
                                       o['info'], o['align']],
                [num(r[3]), num(r[4]), num(r[5]), int(r[6]), int(r[8]), int(r[9]), int(r[10])])
    rows = re.findall(r'^  (\S+)\s+0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) .{3} 0x([0-9a-f]+)$', out, re.M)
    for o, r in zip(ours['segments'], rows):
        c.equal('eu: segments', path, [num(o[k]) for k in ('offset', 'vaddr', 'paddr', 'filesz', 'memsz', 'align')],
                [num(x) for x in r[1:]])
    parts = re.split(r"^Symbol table \[\s*\d+\] '(.*)' contains.*$", out, flags=re.M)
    theirs = dict(zip(parts[1::2], parts[2::2]))
    for t in ours['symbols']:
        rows = re.findall(r'^\s*(\d+): ([0-9a-f]{8,16})\s+(\d+) (\S+)\s+(\S+)\s+(\S+)\s+(\S+)(?: (.*))?$',
                          theirs.get(t['table'], ''), re.M)
        for o, r in zip(t['entries'], rows if len(rows) == t['count'] else []):
            c.equal('eu: symbols', path, [num(o['value']), o['size']], [num(r[1]), int(r[2])])


def compare_file(c, path):
    rc, out = run([MEMWHY, 'elf', '--json', '-h', '-S', '-l', '-s', '-d', '-r', '-V', '-n', path])
    c.equal('exit status', path, rc, 0)
    try:
        doc = json.loads(out)
    except ValueError as e:
        c.equal('valid JSON', path, str(e), None)
        return
    ours = doc['files'][0]
    for option, fn in PARTS:
        rc, text = run(['readelf', '-W', option, path])
        fn(c, path, ours, text)
    if shutil.which('eu-readelf'):
        compare_eu(c, path, ours)


def main():
    args = sys.argv[1:]
    if not shutil.which('readelf'):
        print('1..0 # SKIP readelf is not installed')
        return 0
    files = [a for a in args if not a.startswith('--') and not a.isdigit()]
    if not files:
        files = list(find_files())
        if '--all' not in args:
            want = int(args[args.index('--count') + 1]) if '--count' in args else 60
            small = [f for f in files if os.path.getsize(f) < 3 << 20]
            files = small[::max(1, len(small) // want)][:want]
    c = Check()
    for f in files:
        compare_file(c, f)
    for i, what in enumerate(sorted(c.count), 1):
        bad = c.bad.get(what, [])
        print('%sok %d - %s: %d compared in %d files' % ('not ' if bad else '', i, what, c.count[what], len(files)))
        for line in bad[:10]:
            print('# ' + line)
        if bad:
            print('# %d differences' % len(bad))
    print('1..%d' % len(c.count))
    return 1 if c.bad else 0


if __name__ == '__main__':
    sys.exit(main())
