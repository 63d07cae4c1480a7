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

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare_eu  # noqa: E402

MEMWHY = os.environ.get('MEMWHY', 'build/memwhy')
# programs and libraries; toolchains that do not come as packages, too
DIRS = ['/usr/bin', '/usr/sbin', '/usr/lib', '/usr/local', '/usr/libexec', '/opt', os.path.expanduser('~/.rustup'),
        os.path.expanduser('~/.cargo')]

# Differences on purpose or by limitation of the others. What is passed over is counted by these names and
# printed in the end; nothing else is passed over.
EXPLAINED = {
    'control': 'names with control characters, backslashes or beyond ASCII: each program writes them its own way',
    'no-name': 'numbers one side has no name for: LOOS+..., <OS specific>: N, unrecognized: N, <unknown>: N',
    'few-flags': 'readelf names the section flag R only where EI_OSABI is GNU or FreeBSD, else prints o',
    'versym-names': 'readelf has other names for the types GNU_verneed, GNU_verdef, GNU_versym and SYMTAB_SHNDX',
    'cut-type': 'readelf -W cuts names of relocation types after 22 characters, of segments after 14',
    'other-name': 'names by the psABI, by LLVM (BPF) or by glibc (FEATURE_1, SPARC, PA-RISC), where readelf has its own',
    'mips-info': 'readelf shows r_info of little-endian 64-bit MIPS put in order, memwhy as it is in the file',
    'versym': 'readelf finds versions of symbols through the dynamic table only',
    'ifunc': 'readelf appends () to IFUNC symbols of relocations, and shows no value there',
    'blank-name': 'names with blanks do not stand apart from the next column',
    'notes-binary': 'owners of annobin notes (GA...) are binary; readelf turns them into text',
    'many-sections': 'readelf numbers segments with two digits: not compared where the mapping is ambiguous',
    'mips-types': 'three relocation types in one record: readelf writes them on three lines',
    'stale-index': 'the section of a symbol is not there any more: readelf says so in its place, memwhy beside it',
    'debug-file': 'symbols of the debug file, which readelf does not look for',
    'eu-relr': 'eu-readelf 0.188 prints nothing for RELR',
    'eu-sections-only': 'eu-readelf finds it through section headers only',
    'eu-section-symbol': 'eu-readelf leaves section symbols without name',
    'eu-type-names': 'eu-readelf calls a few relocation types by older names (compare_eu.py)',
    'eu-no-symtab': 'eu-readelf shows the addend, and a section, where the table names no symbol table',
    'eu-mips64el': 'eu-readelf does not know how little-endian 64-bit MIPS stores r_info',
    'eu-copied': 'eu-readelf shows no version of a symbol that was copied from a library',
    'version-symbol': 'eu-readelf writes a version behind the symbol that stands for the same version',
    'eu-signed': 'eu-readelf prints sizes of symbols from 2^63 on as negative numbers',
    'eu-header': 'eu-readelf refuses the file',
}
# ours: readelf's
OTHER_NAMES = {'FEATURE_1': 'FEATURE', 'R_ARM_ALU_PCREL_7_0': 'R_ARM_ALU_PCREL7_0',
               'R_ARM_ALU_PCREL_15_8': 'R_ARM_ALU_PCREL15_8', 'R_ARM_ALU_PCREL_23_15': 'R_ARM_ALU_PCREL23_15',
               'R_ARM_LDR_SBREL_11_0_NC': 'R_ARM_LDR_SBREL_11_0', 'R_ARM_ALU_SBREL_19_12_NC': 'R_ARM_ALU_SBREL_19_12',
               'R_ARM_ALU_SBREL_27_20_CK': 'R_ARM_ALU_SBREL_27_20', 'R_ARM_THM_TLS_DESCSEQ16': 'R_ARM_THM_TLS_DESCSEQ',
               'R_AARCH64_P32_TLS_DTPREL': 'R_AARCH64_P32_TLS_DTPMOD',
               'R_AARCH64_P32_TLS_DTPMOD': 'R_AARCH64_P32_TLS_DTPREL', 'R_SPARC_GLOB_JMP': 'R_SPARC_UNUSED_42',
               'R_AARCH64_P32_TLSDESC_LD32_LO12': 'R_AARCH64_P32_TLSDESC_LD32_LO12_NC',
               'R_AARCH64_P32_TLSDESC_ADD_LO12': 'R_AARCH64_P32_TLSDESC_ADD_LO12_NC',
               'R_PARISC_LORESERVE': 'R_PARISC_COPY', 'R_BPF_64_64': 'R_BPF_INSN_64', 'R_BPF_64_ABS64': 'R_BPF_INSN_32',
               'R_BPF_64_ABS32': 'R_BPF_INSN_16', 'R_BPF_64_NODYLD32': 'R_BPF_INSN_DISP16',
               'R_BPF_64_32': 'R_BPF_INSN_DISP32', 'MIPS_REGINFO': 'REGINFO', 'MIPS_RTPROC': 'RTPROC',
               'MIPS_OPTIONS': 'OPTIONS', 'MIPS_ABIFLAGS': 'ABIFLAGS'}
OTHER_NAMES.update({'R_PARISC_%s%s' % (a, k): 'R_PARISC_%s%s' % (b, k) for a, b in (('GPREL', 'DLTREL'), ('LTOFF', 'DLTIND'))
                    for k in ('21L', '14R', '14WR', '14DR')})
SECTION_TYPES = {'VERNEED': 'GNU_verneed', 'VERDEF': 'GNU_verdef', 'VERSYM': 'GNU_versym',
                 'SYMTAB SECTION INDICES': 'SYMTAB_SHNDX'}


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
        self.passed_over = {key: 0 for key in EXPLAINED}

    def explain(self, key, where):
        self.passed_over[key] += 1

    def equal(self, what, path, ours, theirs):
        self.count[what] = self.count.get(what, 0) + 1
        if ours != theirs:
            self.bad.setdefault(what, []).append('%s: memwhy %r, other %r' % (path, ours, theirs))


    def same(self, what, where, ours, theirs, width=0):
        """The same name, or one that is explained: another one, or cut after width characters."""
        other = OTHER_NAMES.get(ours, '-')
        if theirs == other or (width and len(other) > width and theirs == other[:width]):
            self.explain('other-name', where)
        elif width and len(ours) > width and ours[:width] == theirs:
            self.explain('cut-type', where)
        else:
            self.equal(what, where, ours, theirs)


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


SECTION = re.compile(r'^  \[\s*(\d+)\] (.*?)\s+(SYMTAB SECTION INDICES|\S+(?: \S+)?)\s+([0-9a-f]{8}|[0-9a-f]{16}) ([0-9a-f]{6,}) ([0-9a-f]{6,}) '
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
        if ours['header']['osabi'] not in (3, 9) and 'R' in flags:
            c.explain('few-flags', where)
            flags = re.sub('R', 'o', flags)
        c.equal('sections: flags', where, flags, r[7].strip())
        if not plain(o['name']) or ' ' in o['name']:
            c.explain('blank-name' if plain(o['name']) else 'control', where)
            continue
        c.equal('sections: name', where, o['name'], r[1])
        if re.search(r'[+:<]', r[2]) or o['type_name'].startswith('<'):
            c.explain('no-name', where)
        else:
            if r[2] in SECTION_TYPES:
                c.explain('versym-names', where)
            c.equal('sections: type', where, o['type_name'], SECTION_TYPES.get(r[2], r[2]))


SEGMENT = re.compile(r'^  (<unknown>: \S+|\S+)\s+0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) (...) (?:0x)?([0-9a-f]+)$',
                     re.M)


def compare_segments(c, path, ours, out):
    rows = SEGMENT.findall(out)
    c.equal('segments: count', path, len(ours['segments']), len(rows))
    for o, r in zip(ours['segments'], rows):
        mine = [num(o[k]) for k in ('offset', 'vaddr', 'paddr', 'filesz', 'memsz', 'align')]
        c.equal('segments: numbers', path, mine, [num(x) for x in r[1:6]] + [num(r[7])])
        c.equal('segments: rights', path, o['flags'] & 7,
                ('R' in r[6]) * 4 + ('W' in r[6]) * 2 + ('E' in r[6]))
        if re.search('[+<]', r[0]) or o['type_name'].startswith('<'):
            c.explain('no-name', path)
        else:
            c.same('segments: type', path, o['type_name'], r[0], 14)
    mapping = dict((int(a), b.split()) for a, b in re.findall(r'^   (\d\d+)     (.*)$', out, re.M))
    for o in ours['segments']:
        names = o['sections'].split()
        if len(ours['segments']) > 100:
            c.explain('many-sections', path)
        elif not all(plain(n) for n in names):
            c.explain('control', path)
        elif ours.get('sections'):
            c.equal('segments: sections', path, names, mapping.get(o['index']))
    m = re.search(r'\[Requesting program interpreter: (.*)\]', out)
    c.equal('segments: interpreter', path, ours['interpreter'], m[1] if m else None)


SYMBOL = re.compile(r'^\s*(\d+): ([0-9a-f]+)\s+(\d+|0x[0-9a-f]+) (<.*?>: \d+|\S+)\s+(<.*?>: \d+|\S+)\s+'
                    r'(\S+)(?:\s+\[[^\]]*\])?\s+(UND|ABS|COM|LARGE_COM|\d+|bad section index\[\s*\d+\]|(?:PRC|OS |RSV)\[0x[0-9a-f]+\])(?: (.*))?$')


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
    mine = [t for t in ours['symbols'] if 'debug file' not in t['table']]
    if len(mine) != len(ours['symbols']):
        c.explain('debug-file', path)
    c.equal('symbols: tables', path, sorted((t['table'], t['count']) for t in mine if t['count']),
            sorted((n, len(r)) for n, r in tables if r))
    theirs = dict(tables)
    for t in mine:
        for o, r in zip(t['entries'], theirs.get(t['table'], [])):
            where = '%s %s symbol %s' % (path, t['table'], r[0])
            c.equal('symbols: numbers', where, [o['index'], num(o['value']), o['size']],
                    [int(r[0]), num(r[1]), int(r[2], 0)])
            if '<' in r[3] + r[4] or '<' in o['type'] + o['bind']:
                c.explain('no-name', where)
            else:
                c.equal('symbols: type, binding, visibility', where, [o['type'], o['bind'], o['visibility']], list(r[3:6]))
            section = re.sub(r'bad section index\[\s*(\d+)\]', r'\1', r[6])
            if section != r[6]:
                c.explain('stale-index', where)
            c.equal('symbols: section', where, o['section_text'].replace('OS[', 'OS ['), section)
            name = re.sub(r' \(\d+\)$', '', r[7] or '')
            if o['version'] and not ours['dynamic'] and name == o['plain_name']:
                c.explain('versym', where)
            elif plain(o['name']):
                c.equal('symbols: name and version', where, o['name'], name)
            else:
                c.explain('control', where)


def compare_dynamic(c, path, ours, out):
    rows = re.findall(r"^ 0x([0-9a-f]+) \((.*?)\)[^\S\n]*(.*)$", out, re.M)
    c.equal('dynamic: count', path, len(ours['dynamic']), len(rows))
    for o, r in zip(ours['dynamic'], rows):
        c.equal('dynamic: tag', path, num(o['tag']), num(r[0]))
        if o['name'].startswith('<') or '<' in r[1] or 'specific' in r[1].lower():
            c.explain('no-name', path)
        else:
            c.same('dynamic: name', path, o['name'], r[1])
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


RELOC = re.compile(r'^([0-9a-f]+)\s+([0-9a-f]+) (unrecognized: [0-9a-f]+|\S+)\s*(.*)$')


def compare_reloc(c, where, o, line, mips64el):
    m = RELOC.match(line)
    if not m:
        return c.equal('relocations: readable', where, line, None)
    if mips64el:
        c.explain('mips-info', where)
    c.equal('relocations: offset and info', where, [num(o['offset']), 0 if mips64el else num(o['info'])],
            [num(m[1]), 0 if mips64el else num(m[2])])
    if o['type_name'].startswith('<') or 'unrec' in m[3]:
        c.explain('no-name', where)
    elif '/' in o['type_name']:
        c.explain('mips-types', where)
    else:
        c.same('relocations: type', where, o['type_name'], m[3], 22)
    rest = m[4]
    if o['symbol'] and o['symbol_value'] is not None:
        n = re.match(r'([0-9a-f]{8,16})\s+(.*?)(?: ([+-]) ([0-9a-f]+))?$', rest)
        if '<unknown addend' in rest:
            return c.explain('no-name', where)
        if '()' in rest or not n:
            return c.explain('ifunc', where) if '()' in rest else c.equal('relocations: readable', where, line, None)
        c.equal('relocations: symbol value', where, num(o['symbol_value']), num(n[1]))
        if plain(o['symbol_name'] or ''):
            c.equal('relocations: symbol', where, o['symbol_name'] or '', re.sub(r' \(\d+\)$', '', n[2]))
        else:
            c.explain('control', where)
        if n[3]:
            c.equal('relocations: addend', where, o['addend'], num(n[4]) * (-1 if n[3] == '-' else 1))
    elif re.fullmatch(r'-?[0-9a-f]+', rest) and o['addend'] is not None:
        mask = (1 << 64) - 1
        c.equal('relocations: addend', where, o['addend'] & mask, int(rest, 16) & mask)


def compare_relocs(c, path, ours, out):
    tables = split_relocs(out)
    h = ours['header']
    mips64el = h['machine'] == 8 and h['class'] == 64 and h['data'] == 'little'
    c.equal('relocations: tables', path,
            [t['table'] for t in ours['relocations'] if t['count']], [n for n, k, r in tables if k])
    ours_t = [t for t in ours['relocations'] if t['count']]
    for t, (name, count, rows) in zip(ours_t, tables):
        if t['kind'] == 'RELR':
            c.equal('relocations: RELR', path, [num(e['offset']) for e in t['entries']],
                    [num(x) for line in rows for x in line.split()[:1]])
            continue
        c.equal('relocations: count', path, t['count'], count)
        if '/' not in ''.join(e['type_name'] for e in t['entries'][:4]):
            c.equal('relocations: rows', '%s %s' % (path, name), len(t['entries']), len(rows))
        for o, line in zip(t['entries'], rows):
            compare_reloc(c, '%s %s' % (path, name), o, line, mips64el)


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
    if any(e['owner'][:2] == 'GA' for t in ours['notes'] for e in t['entries']):
        c.explain('notes-binary', path)
    c.equal('notes: owner and size', path, mine, [(a, num(b)) for a, b in rows if a[:2] != 'GA'])
    ids = re.findall(r'Build ID: ([0-9a-f]+)', out)
    ours_ids = [d['value'] for t in ours['notes'] for e in t['entries'] for d in e['details'] if d['key'] == 'build_id']
    c.equal('notes: build ID', path, ours_ids, ids)


PARTS = [('-h', compare_header), ('-S', compare_sections), ('-l', compare_segments), ('-s', compare_symbols),
         ('-d', compare_dynamic), ('-r', compare_relocs), ('-V', compare_versions), ('-n', compare_notes)]


def compare_file(c, path, statuses=(0,)):
    rc, out = run([MEMWHY, 'elf', '--json', '-h', '-S', '-l', '-s', '-d', '-r', '-V', '-n', path])
    if rc == 1 and 'bad section index' in run(['readelf', '-sW', path])[1]:
        statuses = (1,)
    c.equal('exit status', path, rc if rc not in statuses else 0, 0)
    try:
        doc = json.loads(out)
    except ValueError as e:
        c.equal('valid JSON', path, str(e), None)
        return
    ours = doc['files'][0]
    for option, fn in PARTS:
        rc, text = run(['readelf', '-W', option, path])
        fn(c, path, ours, text)
    for options, fn in compare_eu.PARTS if shutil.which('eu-readelf') else []:
        fn(c, path, ours, run(['eu-readelf', *options, path])[1])


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
    for key, n in c.passed_over.items():
        if n:
            print('# explained %d times: %s' % (n, EXPLAINED[key]))
    print('1..%d' % len(c.count))
    return 1 if c.bad else 0


if __name__ == '__main__':
    sys.exit(main())
