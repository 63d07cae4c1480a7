#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of other machines and byte orders, compared with readelf and eu-readelf as data (compare.py):

  numbers   written here: every relocation type, symbol type, section type and flag, segment type and dynamic tag
            of the ranges that each machine gives out
  yaml2obj  what LLVM makes of a description
  binutils  assembled and linked by the cross binutils that are installed, with versions and both hash tables

TAP on standard output; what cannot be made here is skipped with the reason."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare  # noqa: E402
from samples import Layout  # noqa: E402

# name, e_machine, 64 bit, big endian, relocation types that are tried
MACHINES = [('x86_64', 62, True, False, 300), ('x32', 62, False, False, 256), ('i386', 3, False, False, 256),
            ('arm', 40, False, False, 256), ('armeb', 40, False, True, 256), ('aarch64', 183, True, False, 1100),
            ('aarch64_be', 183, True, True, 1100), ('aarch64 ILP32', 183, False, False, 256),
            ('riscv32', 243, False, False, 256), ('riscv64', 243, True, False, 300), ('ppc', 20, False, True, 256),
            ('ppcle', 20, False, False, 256), ('ppc64', 21, True, True, 300), ('ppc64le', 21, True, False, 300),
            ('s390', 22, False, True, 256), ('s390x', 22, True, True, 300), ('mips', 8, False, True, 256),
            ('mipsel', 8, False, False, 256), ('mips64', 8, True, True, 256), ('mips64el', 8, True, False, 256),
            ('sparc', 2, False, True, 256), ('sparc32plus', 18, False, True, 256), ('sparc64', 43, True, True, 256),
            ('m68k', 4, False, True, 256), ('loongarch64', 258, True, False, 300),
            ('loongarch32', 258, False, False, 256), ('alpha', 36902, True, False, 300), ('ia64', 50, True, False, 300),
            ('sh', 42, False, False, 256), ('hppa', 15, False, True, 256), ('hppa64', 15, True, True, 256),
            ('bpf', 247, True, False, 300), ('unknown', 9999, True, False, 300)]
FLAGS = {40: [0x5000200, 0x5000400, 0x5800000], 243: [0, 1, 2, 5, 8, 0x10], 8: [0x70001007, 0x80000007, 0x20000404],
         21: [1, 2], 258: [0x41, 0x42, 0x43], 43: [0, 1, 2]}
# dynamic tags beside the ranges of processor and system
DYNAMIC = list(range(1, 40)) + [0x6000000d, 0x6000000f] + list(range(0x6ffffdf0, 0x6ffffe00)) + \
    list(range(0x6ffffef0, 0x6fffff00)) + list(range(0x6ffffff0, 0x70000000)) + list(range(0x70000000, 0x70000040)) + \
    [0x7ffffffd, 0x7fffffff]


class Object:
    """A file made of sections, with section and program headers."""

    def __init__(self, lay, machine, flags, kind=1):
        self.lay, self.machine, self.flags, self.kind = lay, machine, flags, kind
        self.sections = [('', 0, 0, b'', 0, 0, 0)]     # name, type, flags, data, link, info, entsize
        self.segments = []

    def add(self, name, kind, data=b'', flags=0, link=0, info=0, entsize=0):
        self.sections.append((name, kind, flags, data, link, info, entsize))
        return len(self.sections) - 1

    def image(self):
        lay = self.lay
        names = b'\0'
        offsets = []
        self.add('.shstrtab', 3)
        for s in self.sections:
            offsets.append(len(names) if s[0] else 0)
            names += s[0].encode() + b'\0' if s[0] else b''
        self.sections[-1] = ('.shstrtab', 3, 0, names, 0, 0, 0)
        phoff = lay.ehsize if self.segments else 0
        body = bytearray(lay.ehsize + lay.phsize * len(self.segments))
        sh = b''
        places = []
        for k, (name, kind, flags, data, link, info, entsize) in enumerate(self.sections):
            body += bytes(-len(body) % 8)
            places.append(len(body))
            sh += lay.pack(lay.shdr, {'name': offsets[k], 'type': kind, 'flags': flags, 'addr': 0,
                                      'offset': len(body) if k else 0, 'size': len(data), 'link': link, 'info': info,
                                      'align': 8 if k else 0, 'entsize': entsize}, lay.shsize)
            body += data
        body += bytes(-len(body) % 8)
        head = lay.pack(lay.ehdr, {'type': self.kind, 'machine': self.machine, 'version': 1, 'phoff': phoff,
                                   'shoff': len(body), 'flags': self.flags, 'ehsize': lay.ehsize,
                                   'phentsize': lay.phsize if self.segments else 0, 'phnum': len(self.segments),
                                   'shentsize': lay.shsize, 'shnum': len(self.sections),
                                   'shstrndx': len(self.sections) - 1}, lay.ehsize)
        body[:lay.ehsize] = head
        body[:16] = b'\x7fELF' + bytes([2 if lay.is64 else 1, 2 if lay.big else 1, 1, 0]) + bytes(8)
        for k, ph in enumerate(self.segments):
            if 'of' in ph:
                data = self.sections[ph['of']][3]
                ph = {'type': ph['type'], 'flags': 6, 'offset': places[ph['of']], 'filesz': len(data), 'memsz': len(data)}
            at = lay.ehsize + k * lay.phsize
            body[at:at + lay.phsize] = lay.pack(lay.phdr, ph, lay.phsize)
        return bytes(body + sh)


def reloc_info(lay, machine, sym, kind):
    if not lay.is64:
        return sym << 8 | kind
    if machine == 8 and not lay.big:     # three types, the symbol first
        return sym | kind << 56
    return sym << 32 | kind


def every_number(lay, machine, flags, n_types):
    n, w = lay.num, lay.word
    o = Object(lay, machine, flags)
    strings = b'\0name\0other\0'
    text = o.add('.text', 1, bytes(64), 6)
    syms = lay.sym(0, 0, 0, 0, 0) + b''.join(lay.sym(1, 4 * k, k, k & 15, text) for k in range(16))
    local = 17
    syms += b''.join(lay.sym(6, 8 * k, k, (1 + k % 2 if k < 12 else 10) << 4 | (0, 1, 2, 6, 10)[k % 5], text) for k in range(16))
    syms += b''.join(bytes(lay.sym(6, 0, 1, 0x11, shndx)) for shndx in (0, 0xfff1, 0xfff2))
    symtab = len(o.sections)
    o.add('.symtab', 2, syms, link=symtab + 1, info=local, entsize=lay.symsize)
    o.add('.strtab', 3, strings)
    info = lambda k: n(reloc_info(lay, machine, 17 + k % 16 if k % 3 else 0, k), w)   # noqa: E731
    o.add('.rela.text', 4, b''.join(n(k, w) + info(k) + n(k - 7, w) for k in range(n_types)), link=symtab, info=text,
          entsize=3 * w)
    o.add('.rel.text', 9, b''.join(n(k, w) + info(k) for k in range(n_types)), link=symtab, info=text, entsize=2 * w)
    for kind in list(range(0, 9)) + [0x6474e550, 0x6474e551, 0x6474e552, 0x6474e553] + \
            [0x70000000 + k for k in range(8)]:
        if kind not in (1, 2, 3, 4):
            o.segments.append({'type': kind, 'flags': 4, 'align': 1})
    for k in list(range(12, 20)) + [0x6ffffff6, 0x6ffffff7] + [0x70000000 + i for i in range(0x30)]:
        if k not in (17, 18, 19):
            o.add('.type%x' % k, k, bytes(8))
    for bit in list(range(0, 10)) + list(range(20, 32)):
        if bit != 6 and bit != 7:
            o.add('.flag%d' % bit, 1, bytes(8), 1 << bit)
    return o.image()


def every_tag(lay, machine, flags):
    o = Object(lay, machine, flags, 3)
    n, w = lay.num, lay.word
    strings = o.add('.dynstr', 3, b'\0a string\0', 2)
    o.segments.append({'type': 2, 'of': strings + 1})
    o.add('.dynamic', 6, b''.join(n(tag, w) + n(1 + tag % 5, w) for tag in DYNAMIC) + n(0, 2 * w), 3, link=strings,
          entsize=2 * w)
    return o.image()


def every_bit(lay, machine, flags):
    """Fields of which all bits are set, and the least addend: values as others, not unknown ones."""
    o = Object(lay, machine, flags, 3)
    n, w = lay.num, lay.word
    ones = (1 << 8 * w) - 1
    text = o.add('.text', 1, bytes(64), 6)
    symtab = len(o.sections)
    o.add('.symtab', 2, lay.sym(0, 0, 0, 0, 0) + lay.sym(1, ones, ones, 0x11, text), link=symtab + 1, info=1, entsize=lay.symsize)
    o.add('.strtab', 3, b'\0name\0')
    o.add('.rela.text', 4, n(ones, w) + n(reloc_info(lay, machine, 1, 1), w) + n(1 << 8 * w - 1, w), link=symtab, info=text,
          entsize=3 * w)
    o.segments.append({'type': 4, 'flags': 4, 'align': ones, 'vaddr': ones, 'paddr': ones})
    o.segments.append({'type': 2, 'of': len(o.sections)})
    o.add('.dynamic', 6, n(13, w) + n(ones, w) + n(0, 2 * w), 3, link=symtab + 1, entsize=2 * w)
    return o.image()


def all_bits_are_shown(path):
    ones, least = '0x' + 16 * 'f', '-9223372036854775808'
    wrong = []
    for option, want in (('-s', [ones, '18446744073709551615']), ('-r', [ones, ones, least]), ('-l', [ones] * 2), ('-d', [ones])):
        text = subprocess.run([compare.MEMWHY, 'elf', option, path], stdout=subprocess.PIPE).stdout.decode()
        wrong += [(option, x) for x in want if text.count(x) < want.count(x)]
    return wrong


YAML = '''--- !ELF
FileHeader:
  Class: ELFCLASS%(bits)d
  Data: ELFDATA2%(data)s
  Type: ET_DYN
  Machine: %(machine)s
  Entry: 0x1000
ProgramHeaders:
  - {Type: PT_LOAD, Flags: [PF_R, PF_X], VAddr: 0x1000, FirstSec: .text, LastSec: .text}
  - {Type: PT_NOTE, Flags: [PF_R], FirstSec: .note, LastSec: .note}
Sections:
  - {Name: .text, Type: SHT_PROGBITS, Flags: [SHF_ALLOC, SHF_EXECINSTR], Address: 0x1000, Size: 64}
  - {Name: .note, Type: SHT_NOTE, Flags: [SHF_ALLOC], Notes: [{Name: GNU, Desc: 0123456789abcdef, Type: 3}]}
  - {Name: .group, Type: SHT_GROUP, Info: local, Members: [{SectionOrType: GRP_COMDAT}, {SectionOrType: .text}]}
  - {Name: .gnu.version_r, Type: SHT_GNU_verneed, Flags: [SHF_ALLOC], Dependencies: [{Version: 1, File: libx.so, Entries: [{Name: X_1, Hash: 1, Flags: 0, Other: 2}]}]}
  - {Name: .gnu.version, Type: SHT_GNU_versym, Flags: [SHF_ALLOC], Entries: [0, 2, 1]}
  - {Name: .relocs, Type: SHT_REL%(a)s, Link: .symtab, Info: .text, Relocations: [{Offset: 0x10, Symbol: global, Type: %(reloc)s%(addend)s}]}
DynamicSymbols:
  - {Name: needed, Binding: STB_GLOBAL, Type: STT_FUNC}
  - {Name: mine, Binding: STB_WEAK, Type: STT_OBJECT, Section: .text, Value: 0x1008, Size: 8}
Symbols:
  - {Name: local, Type: STT_FUNC, Section: .text, Value: 0x1000, Size: 4}
  - {Name: global, Type: STT_TLS, Binding: STB_GLOBAL, Section: .text, Value: 0x1010}
'''
YAMLS = [('EM_ARM', 32, 'LSB', 'R_ARM_ABS32', ''), ('EM_ARM', 32, 'MSB', 'R_ARM_CALL', ''),
         ('EM_AARCH64', 64, 'LSB', 'R_AARCH64_ABS64', 'A'), ('EM_AARCH64', 64, 'MSB', 'R_AARCH64_CALL26', 'A'),
         ('EM_RISCV', 32, 'LSB', 'R_RISCV_32', 'A'), ('EM_RISCV', 64, 'LSB', 'R_RISCV_CALL_PLT', 'A'),
         ('EM_PPC', 32, 'MSB', 'R_PPC_ADDR32', 'A'), ('EM_PPC64', 64, 'MSB', 'R_PPC64_ADDR64', 'A'),
         ('EM_PPC64', 64, 'LSB', 'R_PPC64_REL24', 'A'), ('EM_S390', 64, 'MSB', '22', 'A'),
         ('EM_MIPS', 32, 'MSB', 'R_MIPS_32', ''), ('EM_MIPS', 32, 'LSB', 'R_MIPS_HI16', ''),
         ('EM_SPARC', 32, 'MSB', '3', 'A'), ('EM_SPARCV9', 64, 'MSB', '32', 'A'), ('EM_68K', 32, 'MSB', '1', 'A'),
         ('0x102', 64, 'LSB', '2', 'A'), ('EM_386', 32, 'LSB', 'R_386_32', ''), ('EM_X86_64', 64, 'LSB', 'R_X86_64_64', 'A'),
         ('EM_HEXAGON', 32, 'LSB', 'R_HEX_32', 'A'), ('EM_BPF', 64, 'MSB', '1', '')]

# cross binutils: prefix, options of as, options of ld, bytes of an address
CROSS = [('arm-linux-gnueabi', [], [], 4), ('arm-linux-gnueabi', ['-mbig-endian'], ['-EB'], 4),
         ('aarch64-linux-gnu', [], [], 8), ('aarch64-linux-gnu', ['-EB'], ['-EB'], 8),
         ('riscv64-linux-gnu', [], [], 8), ('riscv64-linux-gnu', ['-march=rv32gc', '-mabi=ilp32'], ['-melf32lriscv'], 4),
         ('powerpc-linux-gnu', [], [], 4), ('powerpc64-linux-gnu', [], [], 8),
         ('powerpc64-linux-gnu', ['-mlittle'], ['-melf64lppc'], 8), ('s390x-linux-gnu', [], [], 8),
         ('s390x-linux-gnu', ['-m31'], ['-melf_s390'], 4), ('mips-linux-gnu', [], [], 4),
         ('mips-linux-gnu', ['-EL'], ['-EL', '-melf32ltsmip'], 4), ('mips64el-linux-gnuabi64', [], [], 8),
         ('mips64el-linux-gnuabi64', ['-EB'], ['-EB', '-melf64btsmip'], 8), ('sparc64-linux-gnu', [], [], 8),
         ('sparc64-linux-gnu', ['-32'], ['-melf32_sparc'], 4), ('m68k-linux-gnu', [], [], 4)]
ASM = '''
	.text
	.globl	f, weak, old
	.weak	weak
	.type	f, %%function
	.type	old, %%function
f:
	.space	16
	.size	f, 16
old:
	.space	8
	.symver	old, old@V1
weak:
	.space	4
	.hidden	kept
	.globl	kept
kept:
	.space	4
	.data
	.balign	8
	.globl	d
	.type	d, %%object
	.size	d, 32
d:	%(word)s	f, outside + 8, local, weak + 4
local:	.space	8
	.comm	common, 64, 8
	.section .tdata,"awT",%%progbits
	.space	8
	.section .discard,"aG",%%progbits,group,comdat
	.space	4
	.section .note.test,"a",%%note
	.long	5, 4, 1
	.asciz	"test"
	.balign	4
	.long	77
'''
MAP = 'V1 { global: old; f; };\nV2 { global: d; weak; local: *; } V1;\n'


def cross(tmp, prefix, as_options, ld_options, size):
    """Paths of an object and a shared library, or the reason why there are none."""
    if not shutil.which(prefix + '-as'):
        return None, '%s is not installed' % ('binutils-' + prefix)
    path = os.path.join(tmp, 'cross')
    with open(path + '.s', 'w') as f:
        f.write(ASM % {'word': '.long' if size == 4 else '.quad' if not prefix.startswith('mips') else '.dword'})
    with open(path + '.map', 'w') as f:
        f.write(MAP)
    steps = [[prefix + '-as', *as_options, '-o', path + '.o', path + '.s'],
             [prefix + '-ld', *ld_options, '-shared', '--hash-style=both', '--build-id', '-soname', 'libcross.so',
              '--version-script', path + '.map', '-o', path + '.so', path + '.o']]
    for step in steps:
        p = subprocess.run(step, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if p.returncode:
            # the MIPS ABI has no place for DT_GNU_HASH
            if '--hash-style=both' in step and b'hash' in p.stderr:
                step.remove('--hash-style=both')
                if not subprocess.run(step, stderr=subprocess.DEVNULL).returncode:
                    continue
            return None, '%s: %s' % (' '.join(step[:3]), p.stderr.decode().strip().split('\n')[-1][:100])
    return [path + '.o', path + '.so'], None


def go_program(tmp, arch):
    """A program of the Go compiler, which knows machines that Debian has no cross binutils for."""
    go, path = shutil.which('go'), os.path.join(tmp, 'go-' + arch)
    if not go:
        return None, 'there is no go'
    with open(path + '.go', 'w') as f:
        f.write('package main\n\nfunc main() { println("x") }\n')
    env = dict(os.environ, GOOS='linux', GOARCH=arch, CGO_ENABLED='0', GOCACHE=os.path.join(tmp, 'cache'), GOPROXY='off',
               GOPATH=os.path.join(tmp, 'go'), GO111MODULE='off', GOFLAGS='')
    p = subprocess.run([go, 'build', '-o', path, path + '.go'], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if p.returncode:
        return None, p.stderr.decode().strip().split('\n')[-1][:100]
    return [path], None


class Report:
    def __init__(self):
        self.n = self.failed = 0
        self.c = compare.Check()

    def case(self, name, paths):
        c = compare.Check()
        for p in paths:
            compare.compare_file(c, p, (0, 1))
        for key, n in c.passed_over.items():
            self.c.passed_over[key] += n
        self.n += 1
        self.failed += bool(c.bad)
        print('%sok %d - %s: %d comparisons' % ('not ' if c.bad else '', self.n, name, sum(c.count.values())))
        for what, lines in sorted(c.bad.items()):
            for line in lines[:4]:
                print('# %s: %s' % (what, line))
            print('# %s: %d differences' % (what, len(lines)))

    def check(self, name, wrong):
        self.n += 1
        self.failed += bool(wrong)
        print('%sok %d - %s %s' % ('not ' if wrong else '', self.n, name, wrong or ''))

    def skip(self, name, reason):
        self.n += 1
        print('ok %d - %s # SKIP %s' % (self.n, name, reason))


def main():
    if not shutil.which('readelf'):
        print('1..0 # SKIP readelf is not installed')
        return 0
    r = Report()
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, 'object')

        def write(data):
            with open(path, 'wb') as f:
                f.write(data)
            return [path]
        for name, machine, is64, big, n_types in MACHINES:
            lay = Layout(is64, big, machine)
            for k, flags in enumerate(FLAGS.get(machine, [0])):
                what = '%s, e_flags %#x' % (name, flags)
                if not k:
                    r.case('numbers: %s: objects' % what, write(every_number(lay, machine, flags, n_types)))
                r.case('numbers: %s: tags' % what, write(every_tag(lay, machine, flags)))
            r.case('numbers: %s: all bits' % name, write(every_bit(lay, machine, 0)))
            if is64 and name == 'x86_64':
                r.check('all bits are shown as such', all_bits_are_shown(path))
        yaml2obj = shutil.which('yaml2obj-14') or shutil.which('yaml2obj')
        for machine, bits, data, reloc, a in YAMLS:
            name = 'yaml2obj: %s, %d bit, %s' % (machine, bits, data)
            if not yaml2obj:
                r.skip(name, 'yaml2obj is not installed')
                continue
            text = YAML % {'bits': bits, 'data': data, 'machine': machine, 'reloc': reloc, 'a': a,
                           'addend': ', Addend: -4' if a else ''}
            p = subprocess.run([yaml2obj, '-o', path], input=text.encode(), stderr=subprocess.PIPE)
            if p.returncode:
                r.skip(name, p.stderr.decode().split('\n')[0][:100])
            else:
                r.case(name, [path])
        for prefix, as_options, ld_options, size in CROSS:
            name = 'binutils: %s %s' % (prefix, ' '.join(as_options))
            paths, reason = cross(tmp, prefix, as_options, ld_options, size)
            if paths:
                r.case(name, paths)
            else:
                r.skip(name, reason)
        paths, reason = go_program(tmp, 'loong64')
        if paths:
            r.case('Go: loong64', paths)
        else:
            r.skip('Go: loong64', reason)
    for key, n in r.c.passed_over.items():
        if n:
            print('# explained %d times: %s' % (n, compare.EXPLAINED[key]))
    print('1..%d' % r.n)
    return 1 if r.failed else 0


if __name__ == '__main__':
    sys.exit(main())
