#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""One fault in each file, in all four layouts: memwhy elf must survive within bounds of time, memory and
output, say what is wrong (field, value, place, bound), print valid JSON, and end with the right status.

    damaged.py [--random N]      also N files with random damage

TAP on standard output."""
import json
import os
import random
import resource
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import samples  # noqa: E402

MEMWHY = os.environ.get('MEMWHY', 'build/memwhy')
VIEWS = ['-a', '-t', '--plan', '--check', '--sizes', '-c', '-x', '.comment', '-p', '.dynstr', '-R', '.rela', '-z']
HUGE = (1 << 64) - 1
# most memory for a file below 1 MiB; the runner's, which a child starts with, is a fifth of it
PEAK_KIB = 64 << 10
CASES = []      # (name, function(sample) -> bytes or None, statuses that are right, word that a finding must hold)


def case(name, status, word=None):
    def add(fn):
        CASES.append((name, fn, status if isinstance(status, tuple) else (status,), word))
        return fn
    return add


def ehdr(name, field, value, status=1, word=None):
    CASES.append((name, lambda s: s.set_ehdr(field, value), (status,) if isinstance(status, int) else status, word))


def shdr(name, section, field, value, status=1, word=None):
    CASES.append((name, lambda s: s.set_shdr(section, field, value), (status,) if isinstance(status, int) else status, word))


def phdr(name, i, field, value, status=1, word=None):
    CASES.append((name, lambda s: s.set_phdr(i, field, value), (status,) if isinstance(status, int) else status, word))


def dyn(name, tag, value, status=1, word=None):
    CASES.append((name, lambda s: s.set_dyn(tag, value), (status,) if isinstance(status, int) else status, word))


def part(name, which, off, value, size, status=1, word=None):
    CASES.append((name, lambda s: s.set_part(which, off, value, size), (status,) if isinstance(status, int) else status, word))


def make_cases():
    CASES.append(('undamaged', lambda s: None, (0,), None))
    # identification
    for v in (0, 7, 255):
        CASES.append(('class byte %d' % v, lambda s, v=v: s.put(4, v, 1), (1,), 'EI_CLASS'))
        CASES.append(('data byte %d' % v, lambda s, v=v: s.put(5, v, 1), (1,), 'EI_DATA'))
    CASES.append(('class byte of the other class', lambda s: s.put(4, 1 if s.lay.is64 else 2, 1), (1,), 'EI_CLASS'))
    CASES.append(('data byte of the other order', lambda s: s.put(5, 1 if s.lay.big else 2, 1), (1,), 'EI_DATA'))
    CASES.append(('version byte 9', lambda s: s.put(6, 9, 1), (1,), 'e_version'))
    ehdr('e_version 9', 'version', 9, 1, 'e_version')
    CASES.append(('magic wrong', lambda s: s.put(1, 0x58, 1), (3,), None))
    # truncation at every boundary
    for n in (0, 1, 3):
        CASES.append(('truncated to %d' % n, lambda s, n=n: bytes(s.image[:n]), (3,), None))
    for n in (4, 5, 15, 16, 17, 31, 51, 52, 63, 64, 65, 100, 200, 300, 500, 700):
        CASES.append(('truncated to %d' % n, lambda s, n=n: bytes(s.image[:n]), (1,), None))
    CASES.append(('truncated in the section table', lambda s: bytes(s.image[:s.shoff + 20]), (1,), 'e_sh'))
    CASES.append(('one byte short', lambda s: bytes(s.image[:-1]), (1,), 'e_shnum'))
    # table offsets, entry sizes, counts
    for f, word in (('phoff', 'e_phoff'), ('shoff', 'e_shoff')):
        for v in (HUGE, HUGE - 60, 1 << 62, 1 << 31, 0x7fffffff):
            ehdr('%s %#x' % (f, v), f, v, 1, word)
    ehdr('e_shoff odd', 'shoff', 0x41, 1)
    for f in ('phentsize', 'shentsize', 'ehsize'):
        for v in (0, 1, 0xffff):
            ehdr('%s %d' % (f, v), f, v, 1, 'e_' + f)
    ehdr('e_phnum 0', 'phnum', 0, (0, 1))
    ehdr('e_phnum 65534', 'phnum', 65534, 1, 'e_phnum')
    ehdr('e_phnum PN_XNUM alone', 'phnum', 0xffff, 1)
    ehdr('e_shnum 0 alone', 'shnum', 0, (0, 1))
    ehdr('e_shnum 65000', 'shnum', 65000, 1, 'e_shnum')
    ehdr('e_shstrndx XINDEX alone', 'shstrndx', 0xffff, (0, 1))
    ehdr('e_shstrndx past the end', 'shstrndx', 200, 1, 'e_shstrndx')

    @case('all three extended, huge', 1)
    def f(s):
        s.set_ehdr('phnum', 0xffff)
        s.set_ehdr('shnum', 0)
        s.set_ehdr('shstrndx', 0xffff)
        s.set_shdr('', 'info', 0xfffffff0)
        s.set_shdr('', 'size', 0xfffffff0)
        s.set_shdr('', 'link', 0xfffffff0)

    @case('all three extended, true', 0)
    def f(s):
        s.set_ehdr('phnum', 0xffff)
        s.set_ehdr('shnum', 0)
        s.set_ehdr('shstrndx', 0xffff)
        s.set_shdr('', 'info', 4)
        s.set_shdr('', 'size', len(s.sections))
        s.set_shdr('', 'link', len(s.sections) - 1)
    # firmware: what x86-64 Linux does not allow a program is no fault of it
    for end in (0, 1):
        @case('firmware that ends %s' % ('behind the address space' if end else 'with the address space'), end, 'p_memsz' if end else None)
        def f(s, end=end):
            top = 1 << (64 if s.lay.is64 else 32)
            s.set_ehdr('machine', 43 if s.lay.is64 else 20)
            s.set_phdr(2, 'type', 1)
            s.set_phdr(2, 'memsz', 0x1000)
            s.set_phdr(2, 'vaddr', top - 0x1000 + 8 * end - 4 * s.lay.is64)
    # sections
    for x in ('dynsym', 'dynstr', 'rela', 'dynamic', 'verdef', 'verneed', 'versym', 'note', 'hash', 'symtab', 'strtab',
              'shstrtab', 'comment'):
        shdr('%s: sh_offset huge' % x, x, 'offset', HUGE, 1)
        shdr('%s: sh_size huge' % x, x, 'size', HUGE, 1)
        shdr('%s: sh_offset + sh_size wrap' % x, x, 'size', HUGE - 16, 1)
        shdr('%s: sh_link out of range' % x, x, 'link', 0xfffffff, 1)
        shdr('%s: wrong type' % x, x, 'type', 2, (0, 1))
        shdr('%s: sh_name wild' % x, x, 'name', 0xffffff, 1)
        shdr('%s: sh_info wild' % x, x, 'info', 0xffffff, (0, 1))
    for x in ('dynsym', 'symtab', 'rela'):
        for v in (0, 1, 0xffff):
            shdr('%s: sh_entsize %d' % (x, v), x, 'entsize', v, 1, 'sh_entsize')
    shdr('sh_link cycle', 'dynsym', 'link', 3, 1)
    shdr('a group of rubbish', 'comment', 'type', 17, (0, 1))

    @case('all sections overlap', 1)
    def f(s):
        for x in s.sections[1:]:
            s.set_shdr(x, 'offset', 0)
            s.set_shdr(x, 'size', len(s.image))
    # segments
    phdr('filesz above memsz', 0, 'filesz', 0x100000, 1, 'p_filesz')
    phdr('memsz wraps', 0, 'memsz', HUGE, (0, 1))
    phdr('offset wraps', 0, 'offset', HUGE - 8, 1)
    phdr('align 3', 0, 'align', 3, 1, 'p_align')
    phdr('huge bss', 0, 'memsz', 1 << 30, (0, 1))
    phdr('dynamic past the end', 1, 'offset', 1 << 30, (0, 1))
    phdr('interp past the end', 3, 'offset', 1 << 30, 1, None)
    phdr('interp huge', 3, 'filesz', 1 << 30, 1, None)
    phdr('note past the end', 2, 'offset', 1 << 30, (0, 1))
    # dynamic
    dyn('DT_STRTAB wild', 5, 1 << 30, (0, 1))
    dyn('DT_STRSZ huge', 10, 1 << 30, (0, 1))
    dyn('DT_HASH wild', 4, 1 << 30, (0, 1))
    dyn('DT_NEEDED outside the strings', 1, 1 << 20, 1, 'NEEDED')
    dyn('DT_VERDEFNUM lies', 0x6ffffffd, 99, (0, 1))
    dyn('DT_NULL missing', 0, 0, 0)

    @case('no DT_NULL', 1, 'dynamic table')
    def f(s):
        off, data = s.parts['dynamic']
        s.put(off + len(data) - 2 * s.lay.word, 0x6ffffef5, s.lay.word)
    # hash
    for off, word in ((0, 'nbucket'), (4, 'nchain')):
        part('hash: %s huge' % word, 'hash', off, 0xffffffff, 4, (0, 1))
    part('hash: chain to itself', 'hash', 20, 2, 4, (0, 1))
    part('hash: no buckets', 'hash', 0, 0, 4, (0, 1))
    for off, word in ((0, 'buckets'), (4, 'first symbol'), (8, 'bloom words'), (12, 'shift')):
        part('GNU hash: %s huge' % word, 'gnu.hash', off, 0xffffffff, 4, (0, 1))
        part('GNU hash: no %s' % word, 'gnu.hash', off, 0, 4, (0, 1))
    dyn('DT_GNU_HASH wild', 0x6ffffef5, 1 << 30, (0, 1))

    @case('GNU hash: a chain without end', (0, 1))
    def f(s):
        off, data = s.parts['gnu.hash']
        s.put(off + len(data) - 4, 0, 4)
    # RELR, unwind records, groups, extended section indexes
    dyn('DT_RELRSZ huge', 35, 1 << 30, (0, 1))
    shdr('RELR: sh_entsize', 'relr.dyn', 'entsize', 3, 1, 'sh_entsize')
    part('RELR: a bitmap first', 'relr.dyn', 0, 0xffffffff, 4, (0, 1))
    for v in (1, 0x7fffffff, 0xfffffff0, 0xffffffff):
        part('CIE of %#x bytes' % v, 'eh_frame', 0, v, 4, 1)
    part('CIE: version 99', 'eh_frame', 8, 99, 1, (0, 1))
    part('CIE: augmentation without end', 'eh_frame', 9, 0x7a7a7a7a, 4, (0, 1))

    @case('FDE without CIE', 1)
    def f(s):
        off, data = s.parts['eh_frame']
        s.put(off + 4 + int.from_bytes(data[:4], 'big' if s.lay.big else 'little') + 4, 0x7fffff, 4)
    part('group of a section that is not there', 'group', 4, 0xffffff, 4, (0, 1))
    shdr('group: signature not there', 'group', 'info', 0xffffff, (0, 1))

    @case('an extended section index past the end', 1, 'st_shndx')
    def f(s):
        s.set_part('symtab', 2 * s.lay.symsize + (6 if s.lay.is64 else 14), 0xffff, 2)
        s.set_part('symtab_shndx', 8, 0x123456, 4)
    # versions
    for v in (0, 1, 4, 0xffffffff):
        part('vd_next %#x' % v, 'verdef', 16, v, 4, 1)
        part('vn_next %#x' % v, 'verneed', 12, v, 4, (0, 1))
        part('vna_next %#x' % v, 'verneed', 28, v, 4, (0, 1))
        part('vda_next %#x' % v, 'verdef', 24, v, 4, (0, 1))
    part('vd_aux outside', 'verdef', 12, 0xfffffff0, 4, 1)
    part('vn_aux outside', 'verneed', 8, 0xfffffff0, 4, 1)
    part('vd_cnt lies', 'verdef', 6, 0xffff, 2, 1)
    part('vn_cnt lies', 'verneed', 2, 0xffff, 2, 1)
    part('vna_name wild', 'verneed', 24, 0xffffff, 4, 1, 'vna_name')
    part('versym names no version', 'versym', 2, 77, 2, 1, 'version')
    shdr('verdef: count lies', 'verdef', 'info', 0x7fffffff, 1)
    shdr('verneed: count lies', 'verneed', 'info', 0x7fffffff, 1)

    # symbols, relocations
    @case('st_name wild', 1, 'st_name')
    def f(s):
        s.set_part('dynsym', s.lay.symsize, 0xfffff0, 4)

    @case('st_shndx wild', 1, 'st_shndx')
    def f(s):
        s.set_part('symtab', 2 * s.lay.symsize + (6 if s.lay.is64 else 14), 0x4444, 2)

    @case('relocation of a symbol that is not there', 1, 'r_info')
    def f(s):
        w = s.lay.word
        s.set_part('rela', w, (0xffffff << (32 if s.lay.is64 else 8)) | 1, w)

    @case('relocation of an unknown type', (0, 1))    # 1 for machines whose loader is known
    def f(s):
        w = s.lay.word
        s.set_part('rela', w, (1 << (32 if s.lay.is64 else 8)) | 0xf7, w)

    @case('strings without an end', 1, 'string')
    def f(s):
        off, data = s.parts['dynstr']
        s.image[off + len(data) - 1] = 0x41
    @case('data behind the end', 0)
    def f(s):
        s.image += b'trailing' * 100
    # notes
    part('namesz huge', 'note', 0, 0xffffffff, 4, 1, 'namesz')
    part('descsz huge', 'note', 4, 0xfffffff0, 4, 1, 'descsz')
    part('name without NUL', 'note', 12, 0x41414141, 4, 0)

    # compressed sections
    def compressed(s, kind, size, body):
        w = s.lay.word
        head = s.lay.num(kind, 4) + (s.lay.num(0, 4) if w == 8 else b'') + s.lay.num(size, w) + s.lay.num(1, w)
        off = len(s.image)
        s.image += head + body
        s.set_shdr('comment', 'flags', 0x800)
        s.set_shdr('comment', 'offset', off)
        s.set_shdr('comment', 'size', len(head) + len(body))
    CASES.append(('compressed by an unknown method', lambda s: compressed(s, 99, 10, b'abc'), (1,), 'ch_type'))
    CASES.append(('compressed rubbish', lambda s: compressed(s, 1, 100, b'\xff' * 50), (1,), 'compressed data'))
    CASES.append(('compressed rubbish, zstd', lambda s: compressed(s, 2, 100, b'\xff' * 50), (1,), 'compressed data'))
    CASES.append(('a bomb', lambda s: compressed(s, 1, 1 << 31, b'\x78\x9c' + bytes(50)), (1,), 'ch_size'))

    # names
    @case('names that steer a terminal', (0, 1))
    def f(s):
        off, data = s.parts['dynstr']
        s.image[off + 14:off + 22] = b'\x1b[31m\n\xff\x07'
        off, data = s.parts['shstrtab']
        s.image[off + 1:off + 6] = b'\x1b]0;\x07'

    @case('an enormous name, many times', 1)
    def f(s):
        n, count = 60000, 4000
        strs = b'\0' + b'A' * n + b'\0'
        at = len(s.image)
        s.image += strs + s.lay.sym(1, 0, 0, 0, 0) * count
        s.set_shdr('strtab', 'offset', at)
        s.set_shdr('strtab', 'size', len(strs))
        s.set_shdr('symtab', 'offset', at + len(strs))
        s.set_shdr('symtab', 'size', count * s.lay.symsize)

    @case('thousands of tables share their bytes', 1)
    def f(s):
        lay, count = s.lay, 3000
        table = b''.join(lay.pack(lay.shdr, {'type': 2, 'offset': k, 'size': 400000, 'entsize': lay.symsize, 'link': 1},
                                  lay.shsize) for k in range(count))
        at = (len(s.image) + 7) // 8 * 8
        s.image += bytes(at - len(s.image)) + table + bytes(500000)
        s.set_ehdr('shoff', at)
        s.set_ehdr('shnum', count)
        s.set_ehdr('shstrndx', 0)


def limits():
    resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 27, 1 << 27))


class Runner:
    """Runs memwhy from a process of its own that stays small: the peak of a child starts with the memory of
    whoever forked it."""

    def __init__(self):
        self.ask, answer = os.pipe(), os.pipe()
        self.peak = 0       # KiB of the largest run since it was set to 0
        if not os.fork():
            os.close(self.ask[1])
            self.serve(os.fdopen(self.ask[0]), answer[1])
            os._exit(0)
        os.close(self.ask[0])
        os.close(answer[1])
        self.answer = os.fdopen(answer[0])

    @staticmethod
    def serve(ask, answer):
        for line in ask:
            args, out, err = json.loads(line)
            with open(out, 'wb') as f, open(err, 'wb') as e:
                p = subprocess.Popen([MEMWHY, 'elf'] + args, stdin=subprocess.DEVNULL, stdout=f, stderr=e, preexec_fn=limits)
                _, status, used = os.wait4(p.pid, 0)        # RLIMIT_CPU ends it if nothing else does
                p.returncode = os.waitstatus_to_exitcode(status)
            os.write(answer, b'%d %d\n' % (p.returncode, used.ru_maxrss))

    def run(self, args):
        with tempfile.NamedTemporaryFile() as f, tempfile.NamedTemporaryFile() as e:
            os.write(self.ask[1], json.dumps([args, f.name, e.name]).encode() + b'\n')
            rc, peak = (int(x) for x in self.answer.readline().split())
            self.peak = max(self.peak, peak)
            size = os.path.getsize(f.name)
            with open(f.name, 'rb') as out, open(e.name, 'rb') as err:
                return rc, out.read() if size < 1 << 26 else b'too much', err.read()


def control_bytes(out):
    return [b for b in out if (b < 32 and b not in (10, 9)) or b == 127]


def faults(runner, path, statuses, word, limit):
    """What is wrong with memwhy's behaviour on this file."""
    run = runner.run
    runner.peak = 0
    rc, out, err = run(VIEWS + ['--json', path])
    if rc not in statuses:
        yield 'status %d, wanted %s; %s' % (rc, statuses, err[:200])
    if rc in (0, 1):
        try:
            doc = json.loads(out.decode())
        except ValueError as e:
            yield 'JSON: %s' % e
            return
        diags = doc['files'][0]['diagnostics']
        if rc == 1 and not diags:
            yield 'malformed, but no finding'
        if word and not any(word in d['field'] for d in diags):
            yield 'no finding about %s: %s' % (word, [d['field'] for d in diags])
        if rc == 1 and 'header' not in doc['files'][0]:
            yield 'no header'
        sizes = doc['files'][0]['sizes']
        for what, total in (('file', os.path.getsize(path)), ('memory', sizes['memory'])):
            if sum(x[what] for x in sizes['owners']) != total or sizes[what] != total:
                yield '%s: owners sum to %d, total %d' % (what, sum(x[what] for x in sizes['owners']), total)
    if len(out) > limit:
        yield '%d bytes of JSON' % len(out)
    rc2, text, err = run(VIEWS + [path])
    if rc2 != rc:
        yield 'text ends with %d, JSON with %d' % (rc2, rc)
    if len(text) > limit:
        yield '%d bytes of text' % len(text)
    if runner.peak > PEAK_KIB and os.path.getsize(path) < 1 << 20:
        yield '%d KiB of memory' % runner.peak
    if control_bytes(text) or control_bytes(out):
        yield 'control bytes in the output'


def random_files(n):
    rnd = random.Random(1)
    for k in range(n):
        s = samples.Sample(rnd.choice(samples.LAYOUTS))
        for _ in range(rnd.choice((1, 2, 5, 30))):
            at = rnd.randrange(len(s.image))
            size = rnd.choice((1, 2, 4, 8))
            s.image[at:at + size] = rnd.choice((bytes(size), b'\xff' * size, rnd.randbytes(size)))
        s.image[:4] = b'\x7fELF'
        yield 'random %d' % k, bytes(s.image)


def main():
    runner = Runner()
    make_cases()
    n, failed = 0, 0

    def report(name, wrong):
        nonlocal n, failed
        n += 1
        failed += bool(wrong)
        print('%sok %d - %s' % ('not ' if wrong else '', n, name.replace('#', '')))
        for w in wrong:
            print('# ' + w)
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, 'file')
        limit = {}
        for lay in samples.LAYOUTS:
            for name, fn, statuses, word in CASES:
                s = samples.Sample(lay)
                made = fn(s)
                with open(path, 'wb') as f:
                    f.write(made if isinstance(made, bytes) else s.image)
                if name == 'undamaged':
                    limit[lay.name] = 10 * len(runner.run(VIEWS + ['--json', path])[1])
                big = os.path.getsize(path)
                report('%s: %s' % (lay.name, name), list(faults(runner, path, statuses, word, max(limit[lay.name], 100 * big))))
        count = int(sys.argv[sys.argv.index('--random') + 1]) if '--random' in sys.argv else 100
        wrong = []
        for name, data in random_files(count):
            with open(path, 'wb') as f:
                f.write(data)
            wrong += ['%s: %s' % (name, w) for w in faults(runner, path, (0, 1, 3), None, 4 << 20)]
        report('%d files with random damage' % count, wrong[:10])
    print('1..%d' % n)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
