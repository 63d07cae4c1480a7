# SPDX-License-Identifier: GPL-3.0-or-later
"""What eu-readelf says of a file beside what memwhy elf --json says: used by compare.py."""
import re


def num(text):
    return int(text, 16)


def rows_of(pattern, text):
    return re.findall(pattern, text, re.M)


def plain(name):
    return name.isascii() and name.isprintable() and '\\' not in name


def sections_between(text, start):
    """[(match of start, text up to the next one)]"""
    found = list(re.finditer(start, text, re.M))
    return [(m, text[m.end():found[i + 1].start() if i + 1 < len(found) else len(text)])
            for i, m in enumerate(found)]


def header(c, path, ours, out):
    h = ours['header']
    f = {k.strip(): v.strip() for k, v in rows_of(r'^  ([^:\n]+):[ \t]*(.*)$', out)}
    if 'Class' not in f:
        return c.explain('eu-header', path)
    c.equal('eu: header', path, [h['ident'], h['type_name'], num(h['entry']), h['phoff'], h['shoff'], h['ehsize'],
                                 h['phentsize'], h['shentsize']],
            [f['Magic'], f['Type'].split()[0], num(f['Entry point address'])] +
            [int(f[k].split()[0]) for k in ('Start of program headers', 'Start of section headers', 'Size of this header',
                                            'Size of program header entries', 'Size of section header entries')])
    for key, label, total in (('phnum', 'Number of program headers entries', 'segments'),
                              ('shnum', 'Number of section headers entries', 'sections'),
                              ('shstrndx', 'Section header string table index', 'section_names')):
        m = re.match(r'(\w+)(?: \((\d+) in)?', f[label])
        raw = 0xffff if m[1] == 'XINDEX' else int(m[1])
        c.equal('eu: header: ' + key, path, [h[key], h[total]], [raw, int(m[2] or raw)])


SECTION = (r'^\[\s*(\d+)\] (.*?)\s+(<unknown>: \d+|\S+)\s+([0-9a-f]{8,16}) ([0-9a-f]{6,}) ([0-9a-f]{6,})\s+(\d+) '
           r'(.{0,12}?)\s+(\d+)\s+(\d+)\s+(\d+)$')


def sections(c, path, ours, out):
    rows = rows_of(SECTION, out)
    c.equal('eu: sections: count', path, len(ours.get('sections', [])), len(rows))
    for o, r in zip(ours.get('sections', []), rows):
        where = '%s section %s' % (path, r[0])
        c.equal('eu: sections', where, [o['index'], num(o['addr']), num(o['offset']), num(o['size']), num(o['entsize']),
                                        o['link'], o['info'], o['align']],
                [int(r[0]), num(r[3]), num(r[4]), num(r[5]), int(r[6]), int(r[8]), int(r[9]), int(r[10])])
        if not plain(o['name']) or ' ' in o['name']:
            c.explain('control', where)
            continue
        # eu-readelf cuts nothing, but a long name pushes the type against it
        c.equal('eu: sections: name', where, o['name'], r[1])
        if r[2].startswith(('<', 'SHT_')) or re.search(r'\+[0-9a-f]', r[2]) or o['type_name'].startswith('<'):
            c.explain('no-name', where)
        else:
            c.equal('eu: sections: type', where, o['type_name'], r[2])
        letters = re.sub('[lRDOoxpyv]', '', o['flags_text'])
        c.equal('eu: sections: flags', where, sorted(letters), sorted(re.sub('[lRDOoxpyvN]', '', r[7].strip())))


SEGMENT = (r'^  (<.*?>: \S+|\S+)\s+0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+) (.{3}) '
           r'0x([0-9a-f]+)$')


def segments(c, path, ours, out):
    rows = rows_of(SEGMENT, out)
    c.equal('eu: segments: count', path, len(ours['segments']), len(rows))
    for o, r in zip(ours['segments'], rows):
        c.equal('eu: segments', path, [num(o[k]) for k in ('offset', 'vaddr', 'paddr', 'filesz', 'memsz', 'align')],
                [num(x) for x in r[1:6]] + [num(r[7])])
        c.equal('eu: segments: rights', path, o['flags'] & 7, ('R' in r[6]) * 4 + ('W' in r[6]) * 2 + ('E' in r[6]))
        if '+' in r[0] or r[0].startswith('<') or o['type_name'].startswith('<'):
            c.explain('no-name', path)
        elif OLD_NAMES.get(r[0]) == o['type_name']:
            c.explain('eu-type-names', path)
        else:
            c.equal('eu: segments: type', path, o['type_name'], r[0])
    m = re.search(r'\[Requesting program interpreter: (.*)\]', out)
    c.equal('eu: segments: interpreter', path, ours['interpreter'], m[1] if m else None)


SYMBOL = re.compile(r'^\s*(\d+): ([0-9a-f]{8,16})\s+(-?\d+) (<.*?>: \d+|\S+)\s+(<.*?>: \d+|\S+)\s+(\S+)\s+(<unknown>: \d+|\S+)(?: (.*))?$', re.M)
VISIBILITY = {'HIDDEN': 'HIDDEN', 'INTERNAL': 'INTERNAL', 'PROTECTED': 'PROTECTED', 'DEFAULT': 'DEFAULT'}


def symbol(c, where, o, r):
    size = int(r[2])
    if size < 0:
        c.explain('eu-signed', where)
    c.equal('eu: symbols: numbers', where, [o['index'], num(o['value']), o['size']], [int(r[0]), num(r[1]), size % (1 << 64)])
    bind = {'GNU_UNIQUE': 'UNIQUE'}.get(r[4], r[4])
    kind = {'GNU_IFUNC': 'IFUNC'}.get(r[3], r[3])
    if kind.startswith('<') or bind.startswith('<') or '+' in kind + bind or '<' in o['type'] + o['bind']:
        c.explain('no-name', where)
    else:
        c.equal('eu: symbols: type, binding, visibility', where, [o['type'], o['bind'], o['visibility']],
                [kind, bind, VISIBILITY.get(r[5], r[5])])
    ndx = {'UNDEF': 'UND', 'COMMON': 'COM'}.get(r[6], r[6])
    if re.match(r'[0-9]+$|UND$|ABS$|COM$', ndx):
        c.equal('eu: symbols: section', where, o['section_text'], ndx)
    else:
        c.explain('no-name', where)
    name = re.sub(r' \(\d+\)$', '', r[7] or '')
    if not plain(o['name']):
        c.explain('control', where)
    elif (o['type'] == 'SECTION' and not name) or o['name'] == '<corrupt>':
        c.explain('eu-section-symbol', where)       # nameless there
    elif o['plain_name'] == name and o['version'] and o['section_text'] != 'UND' and not name.endswith(o['version']):
        c.explain('eu-copied', where)
    elif o['section_text'] == 'ABS' and name == '%s@@%s' % (o['name'], o['name']):
        c.explain('version-symbol', where)
    else:
        c.equal('eu: symbols: name and version', where, o['name'], name)


def symbols(c, path, ours, out):
    theirs = {(m[1], int(m[2])): text for m, text in
              sections_between(out, r"^Symbol table \[\s*\d+\] '(.*)' contains (\d+) entr.*$")}
    for t in ours['symbols']:
        if not t['count'] or t['table'] == 'PT_DYNAMIC' or 'debug file' in t['table']:
            if t['count']:
                c.explain('eu-sections-only', path)
            continue
        rows = SYMBOL.findall(theirs.get((t['table'], t['count']), ''))
        c.equal('eu: symbols: count', '%s %s' % (path, t['table']), t['count'], len(rows))
        for o, r in zip(t['entries'], rows):
            symbol(c, '%s %s symbol %s' % (path, t['table'], r[0]), o, r)


def dynamic(c, path, ours, out):
    part = re.split(r'^  Type\s+Value$', out, maxsplit=1, flags=re.M)
    if len(part) < 2:
        if ours['dynamic']:
            c.explain('eu-sections-only', path)
        return
    rows = rows_of(r'^  (\S+)[ \t]*(.*?)[ \t]*$', part[1].split('\n\n')[0])
    c.equal('eu: dynamic: count', path, len(ours['dynamic']), len(rows))
    for o, (name, value) in zip(ours['dynamic'], rows):
        if name.startswith('<') or o['name'].startswith('<') or '+' in name:
            c.explain('no-name', path)
        else:
            c.equal('eu: dynamic: name', path, o['name'], name)
        m = re.search(r': \[(.*)\]$', value)
        if m and o['string'] is not None and plain(o['string']):
            c.equal('eu: dynamic: string', path, o['string'], m[1])
        elif re.fullmatch(r'0x[0-9a-f]+', value):
            c.equal('eu: dynamic: value', path, num(o['value']), num(value))
        elif re.fullmatch(r'\d+(?: \(bytes\))?', value):
            c.equal('eu: dynamic: value', path, num(o['value']), int(value.split()[0]))


RELOC = re.compile(r'^  (?:0x)?([0-9a-f]+)\s+(<.*?>(?:: \S+)?|\S+)\s*(?:(?:0x)?([0-9a-f]{8,18})\s*)?(?:([+-]\d+) )?(.*)$')


# eu-readelf's: ours
OLD_NAMES = {'386_JMP_SLOT': '386_JUMP_SLOT', 'ARM_PC13': 'ARM_LDR_PC_G0', 'ARM_THM_PC22': 'ARM_THM_CALL',
             'ARM_AMP_VCALL9': 'ARM_BREL_ADJ', 'ARM_GOTOFF': 'ARM_GOTOFF32', 'ARM_GOTPC': 'ARM_BASE_PREL',
             'ARM_GOT32': 'ARM_GOT_BREL', 'ARM_LDR_SBREL_11_0': 'ARM_LDR_SBREL_11_0_NC',
             'ARM_ALU_SBREL_19_12': 'ARM_ALU_SBREL_19_12_NC', 'ARM_ALU_SBREL_27_20': 'ARM_ALU_SBREL_27_20_CK',
             'ARM_THM_PC11': 'ARM_THM_JUMP11', 'ARM_THM_PC9': 'ARM_THM_JUMP8', 'AARCH64_TLS_DTPMOD': 'AARCH64_TLS_DTPMOD64',
             'AARCH64_TLS_DTPREL': 'AARCH64_TLS_DTPREL64', 'AARCH64_TLS_TPREL': 'AARCH64_TLS_TPREL64',
             'ARM_EXIDX': 'EXIDX', 'ARM_RABS22': 'ARM_RABS32', 'PPC64_ADDR30': 'PPC64_REL30',
             'ALPHA_TLS_LDM': 'ALPHA_TLSLDM', 'SH_SWITCH8': 'SH_DIR16', 'SH_GNU_VTINHERIT': 'SH_DIR8',
             'SH_GNU_VTENTRY': 'SH_DIR8UL'}


def reloc(c, where, o, line):
    m = RELOC.match(line)
    if not m:
        return c.equal('eu: relocations: readable', where, line, None)
    c.equal('eu: relocations: offset', where, num(o['offset']), num(m[1]))
    if m[2].startswith('<') or o['type_name'].startswith('<') or '/' in o['type_name']:
        c.explain('no-name', where)
    elif OLD_NAMES.get(m[2], '-') == re.sub('^R_', '', o['type_name']):
        c.explain('eu-type-names', where)
    else:
        c.equal('eu: relocations: type', where, re.sub('^R_', '', o['type_name']), m[2])
    if m[4] and o['addend'] is not None:
        c.equal('eu: relocations: addend', where, o['addend'], int(m[4]))
    if m[3] and o['symbol'] and o['symbol_value'] is not None:
        c.equal('eu: relocations: symbol value', where, num(o['symbol_value']), num(m[3]))
    name = m[5].strip()
    place = re.fullmatch(r'0x([0-9a-f]+)(?: \S+)?', name)
    if not o['symbol'] and place:
        c.explain('eu-no-symtab', where)
        c.equal('eu: relocations: addend', where, o['addend'] & ((1 << 64) - 1), num(place[1]))
    elif not o['symbol']:
        c.equal('eu: relocations: symbol', where, '', name)
    elif plain(o['symbol_name'] or '') and name:
        # eu-readelf leaves the version out
        c.equal('eu: relocations: symbol', where, re.sub('@.*', '', o['symbol_name'] or ''), re.sub('@.*', '', name))
    else:
        c.explain('control' if name else 'eu-section-symbol', where)


def relocations(c, path, ours, out):
    theirs = [(m[1], int(m[2], 16), int(m[3]), [x for x in text.split('\n') if x.startswith(('  0x', '  00'))]) for m, text in
              sections_between(out, r"^Relocation section \[\s*\d+\] '(.*?)'(?: for .*)? at offset (0x[0-9a-f]+) contains (\d+) entr.*$")]
    mine = [t for t in ours['relocations'] if t['count']]
    if any(t['kind'] == 'RELR' for t in mine):
        c.explain('eu-relr', path)
        mine = [t for t in mine if t['kind'] != 'RELR']
    h = ours['header']
    if h['machine'] == 8 and h['class'] == 64 and h['data'] == 'little':
        return c.explain('eu-mips64el', path)
    if any(not t['is_from_section'] for t in mine):
        return c.explain('eu-sections-only', path)
    c.equal('eu: relocations: tables', path, [(t['table'], num(t['offset']), t['count']) for t in mine],
            [t[:3] for t in theirs if t[2]])
    for t, (name, off, count, rows) in zip(mine, [t for t in theirs if t[2]]):
        c.equal('eu: relocations: count', '%s %s' % (path, name), t['count'], len(rows))
        for o, line in zip(t['entries'], rows):
            reloc(c, '%s %s' % (path, name), o, line)


def versions(c, path, ours, out):
    v = ours['versions']
    defs = v.get('defined', v).get('definitions', [])
    needs = v.get('needed', v).get('needs', [])
    d = rows_of(r'Version: \d+  Flags: (.*?)\s+Index: (\d+)  Cnt: \d+  Name: (.*)$', out)
    n = rows_of(r'^  (?:0x)?[0-9a-f]+: Name: (\S+)  Flags: (.*?)  Version: (\d+)$', out)
    if (defs or needs) and not d and not n:
        return c.explain('eu-sections-only', path)
    c.equal('eu: versions: defined', path, [(x['index'], x['name'], x['is_base']) for x in defs],
            [(int(i), name, 'BASE' in f) for f, i, name in d])
    c.equal('eu: versions: needed', path, [(x['index'], x['name']) for x in needs], [(int(i), name) for name, f, i in n])


def notes(c, path, ours, out):
    part = [text for m, text in sections_between(out, r'^Note (?:section|segment) .*$')]
    rows = [r for text in part for r in rows_of(r'^  (\S+) +(\d+)  (.*)$', text) if r[0] != 'Owner']
    mine = [(e['owner'], e['size']) for t in ours['notes'] for e in t['entries']]
    if any(not plain(o) or ' ' in o or not o for o, n in mine):
        return c.explain('notes-binary', path)
    c.equal('eu: notes', path, [x for x in mine if not x[0].startswith('GA')],
            [(a, int(b)) for a, b, t in rows if not a.startswith('GA')])
    ids = re.findall(r'Build ID: ([0-9a-f]+)', out)
    c.equal('eu: notes: build ID', path, [d['value'] for t in ours['notes'] for e in t['entries'] for d in e['details']
                                          if d['key'] == 'build_id'], ids)


# options of eu-readelf (where -s and -n take an argument of their own), what compares its output
PARTS = [(['-h'], header), (['-S'], sections), (['-l'], segments), (['-s'], symbols), (['-d'], dynamic),
         (['-r'], relocations), (['-V'], versions), (['-n'], notes)]
