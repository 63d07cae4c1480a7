# SPDX-License-Identifier: GPL-3.0-or-later
"""Small ELF files of all four layouts, written here byte by byte, so that tests need no other machine."""
import struct


class Layout:
    def __init__(self, is64, big, machine):
        self.is64, self.big, self.machine = is64, big, machine
        self.e = '>' if big else '<'
        self.name = '%d%s' % (64 if is64 else 32, 'be' if big else 'le')
        self.ehsize, self.phsize, self.shsize, self.symsize = (64, 56, 64, 24) if is64 else (52, 32, 40, 16)
        self.word = 8 if is64 else 4
        # offsets of fields: name -> (offset, bytes)
        w = self.word
        self.ehdr = {'type': (16, 2), 'machine': (18, 2), 'version': (20, 4), 'entry': (24, w), 'phoff': (24 + w, w),
                     'shoff': (24 + 2 * w, w), 'flags': (24 + 3 * w, 4), 'ehsize': (28 + 3 * w, 2),
                     'phentsize': (30 + 3 * w, 2), 'phnum': (32 + 3 * w, 2), 'shentsize': (34 + 3 * w, 2),
                     'shnum': (36 + 3 * w, 2), 'shstrndx': (38 + 3 * w, 2)}
        if is64:
            self.phdr = {'type': (0, 4), 'flags': (4, 4), 'offset': (8, 8), 'vaddr': (16, 8), 'paddr': (24, 8),
                         'filesz': (32, 8), 'memsz': (40, 8), 'align': (48, 8)}
            self.shdr = {'name': (0, 4), 'type': (4, 4), 'flags': (8, 8), 'addr': (16, 8), 'offset': (24, 8),
                         'size': (32, 8), 'link': (40, 4), 'info': (44, 4), 'align': (48, 8), 'entsize': (56, 8)}
        else:
            self.phdr = {'type': (0, 4), 'offset': (4, 4), 'vaddr': (8, 4), 'paddr': (12, 4), 'filesz': (16, 4),
                         'memsz': (20, 4), 'flags': (24, 4), 'align': (28, 4)}
            self.shdr = {k: (4 * i, 4) for i, k in enumerate(
                ('name', 'type', 'flags', 'addr', 'offset', 'size', 'link', 'info', 'align', 'entsize'))}

    def num(self, v, size):
        return (v & ((1 << 8 * size) - 1)).to_bytes(size, 'big' if self.big else 'little')

    def pack(self, fields, values, size):
        out = bytearray(size)
        for k, (off, n) in fields.items():
            out[off:off + n] = self.num(values.get(k, 0), n)
        return bytes(out)

    def sym(self, name, value, size, info, shndx):
        n = self.num
        if self.is64:
            return n(name, 4) + bytes([info, 0]) + n(shndx, 2) + n(value, 8) + n(size, 8)
        return n(name, 4) + n(value, 4) + n(size, 4) + bytes([info, 0]) + n(shndx, 2)

    def rela(self, offset, sym, typ, addend):
        w = self.word
        info = (sym << 32) + typ if self.is64 else (sym << 8) + typ
        return self.num(offset, w) + self.num(info, w) + self.num(addend, w)


LAYOUTS = [Layout(True, False, 62), Layout(False, False, 3), Layout(True, True, 21), Layout(False, True, 20)]


class Sample:
    """A shared object with one of everything: image, and where its parts are."""

    def __init__(self, lay):
        self.lay = lay
        n, w = lay.num, lay.word
        parts, at = {}, lay.ehsize + 4 * lay.phsize

        def add(name, data, align=8):
            nonlocal at
            at = (at + align - 1) // align * align
            parts[name] = (at, data)
            at += len(data)
            return parts[name][0]

        dynstr = b'\0libneeded.so\0imported\0defined\0VERS_1\0VERS_2\0self.so\0'
        s = dynstr.index
        add('interp', b'/lib/ld.so\0')
        add('note', n(4, 4) + n(8, 4) + n(3, 4) + b'GNU\0' + bytes(range(8)))
        add('dynsym', lay.sym(0, 0, 0, 0, 0) + lay.sym(s(b'imported'), 0, 0, 0x12, 0) +
            lay.sym(s(b'defined'), 0x10, 16, 0x12, 1))
        add('dynstr', dynstr)
        add('hash', n(1, 4) + n(3, 4) + n(1, 4) + n(0, 4) + n(2, 4) + n(0, 4))
        h = 5381
        for c in b'defined':
            h = (h * 33 + c) & 0xffffffff
        add('gnu.hash', n(1, 4) + n(2, 4) + n(1, 4) + n(6, 4) + n(-1, w) + n(2, 4) + n(h | 1, 4))
        add('relr.dyn', n(0x300, w) + n(0xb, w))
        # one CIE, one FDE of 16 bytes at 0x10; addresses are absolute
        cie = n(0, 4) + b'\1\0' + b'\1\x78\x10' + b'\x0c\7\x08' + bytes(4)
        fde = n(0x10, w) + n(16, w) + b'\x41\x0e\x10' + bytes(5)
        add('eh_frame', n(len(cie), 4) + cie + n(4 + len(fde), 4) + n(8 + len(cie), 4) + fde + n(0, 4))
        add('versym', n(0, 2) + n(3, 2) + n(2, 2))
        add('verdef', n(1, 2) + n(1, 2) + n(1, 2) + n(1, 2) + n(0, 4) + n(20, 4) + n(28, 4) + n(s(b'self.so'), 4) + n(0, 4) +
            n(1, 2) + n(0, 2) + n(2, 2) + n(1, 2) + n(0, 4) + n(20, 4) + n(0, 4) + n(s(b'VERS_1'), 4) + n(0, 4))
        add('verneed', n(1, 2) + n(1, 2) + n(s(b'libneeded'), 4) + n(16, 4) + n(0, 4) +
            n(0, 4) + n(0, 2) + n(3, 2) + n(s(b'VERS_2'), 4) + n(0, 4))
        add('rela', lay.rela(0x200, 1, 1, 4) + lay.rela(0x208, 2, 1, 0))
        tags = [(1, s(b'libneeded')), (14, s(b'self.so')), (5, parts['dynstr'][0]), (10, len(dynstr)),
                (6, parts['dynsym'][0]), (11, lay.symsize), (4, parts['hash'][0]), (7, parts['rela'][0]),
                (8, 2 * 3 * w), (9, 3 * w), (0x6ffffff0, parts['versym'][0]), (0x6ffffffc, parts['verdef'][0]),
                (0x6ffffffd, 2), (0x6ffffffe, parts['verneed'][0]), (0x6fffffff, 1),
                (0x6ffffef5, parts['gnu.hash'][0]), (36, parts['relr.dyn'][0]), (35, 2 * w), (37, w), (0, 0)]
        add('dynamic', b''.join(n(t, w) + n(v, w) for t, v in tags))
        loaded = at
        add('comment', b'a comment\0')
        strtab = b'\0local\0file.c\0'
        add('symtab', lay.sym(0, 0, 0, 0, 0) + lay.sym(7, 0, 0, 4, 0xfff1) + lay.sym(1, 0x10, 4, 2, 1))
        add('strtab', strtab)
        add('symtab_shndx', n(0, 4) * 3)
        add('group', n(1, 4) + n(1, 4))
        self.sections = ['', 'interp', 'note', 'dynsym', 'dynstr', 'hash', 'gnu.hash', 'relr.dyn', 'eh_frame', 'versym',
                         'verdef', 'verneed', 'rela', 'dynamic', 'comment', 'symtab', 'strtab', 'symtab_shndx', 'group',
                         'shstrtab']
        names, offs = b'\0', [0]
        for x in self.sections[1:]:
            offs.append(len(names))
            names += b'.' + x.encode() + b'\0'
        add('shstrtab', names)
        self.parts = parts
        i = self.sections.index
        kind = {'interp': 1, 'note': 7, 'dynsym': 11, 'dynstr': 3, 'hash': 5, 'versym': 0x6fffffff, 'verdef': 0x6ffffffd,
                'verneed': 0x6ffffffe, 'rela': 4, 'dynamic': 6, 'comment': 1, 'symtab': 2, 'strtab': 3, 'shstrtab': 3, 'gnu.hash': 0x6ffffff6, 'relr.dyn': 19,
                'eh_frame': 1, 'symtab_shndx': 18, 'group': 17}
        link = {'dynsym': i('dynstr'), 'hash': i('dynsym'), 'versym': i('dynsym'), 'verdef': i('dynstr'),
                'verneed': i('dynstr'), 'rela': i('dynsym'), 'dynamic': i('dynstr'), 'symtab': i('strtab'),
                'gnu.hash': i('dynsym'), 'symtab_shndx': i('symtab'), 'group': i('symtab')}
        info = {'verdef': 2, 'verneed': 1, 'dynsym': 1, 'symtab': 3, 'group': 2}
        entsize = {'dynsym': lay.symsize, 'symtab': lay.symsize, 'rela': 3 * w, 'dynamic': 2 * w, 'versym': 2, 'hash': 4,
                   'relr.dyn': w, 'symtab_shndx': 4, 'group': 4}
        self.shoff = (at + 7) // 8 * 8
        sh = lay.pack(lay.shdr, {}, lay.shsize)
        for k, x in enumerate(self.sections[1:], 1):
            off, data = parts[x]
            alloc = off < loaded
            sh += lay.pack(lay.shdr, {'name': offs[k], 'type': kind[x], 'flags': 2 if alloc else 0, 'addr': off if alloc else 0,
                                      'offset': off, 'size': len(data), 'link': link.get(x, 0), 'info': info.get(x, 0),
                                      'align': 1, 'entsize': entsize.get(x, 0)}, lay.shsize)

        def ph(t, off, size, flags, memsz=None, align=8):
            return lay.pack(lay.phdr, {'type': t, 'offset': off, 'vaddr': off, 'paddr': off, 'filesz': size,
                                       'memsz': memsz or size, 'flags': flags, 'align': align}, lay.phsize)

        def of(x):
            return parts[x][0], len(parts[x][1])
        phdrs = ph(1, 0, loaded, 6, loaded + 64, 4096) + ph(2, *of('dynamic'), 6) + ph(4, *of('note'), 4, align=4) + \
            ph(3, *of('interp'), 4, align=1)
        ident = b'\x7fELF' + bytes([2 if lay.is64 else 1, 2 if lay.big else 1, 1, 0]) + bytes(8)
        eh = bytearray(lay.pack(lay.ehdr, {'type': 3, 'machine': lay.machine, 'version': 1, 'entry': 0x10,
                                           'phoff': lay.ehsize, 'shoff': self.shoff, 'ehsize': lay.ehsize,
                                           'phentsize': lay.phsize, 'phnum': 4, 'shentsize': lay.shsize,
                                           'shnum': len(self.sections), 'shstrndx': len(self.sections) - 1}, lay.ehsize))
        eh[:16] = ident
        image = bytearray(self.shoff + len(sh))
        image[:lay.ehsize] = eh
        image[lay.ehsize:lay.ehsize + len(phdrs)] = phdrs
        for off, data in parts.values():
            image[off:off + len(data)] = data
        image[self.shoff:] = sh
        self.image = image

    def put(self, off, value, size):
        self.image[off:off + size] = self.lay.num(value, size)

    def set_ehdr(self, field, value):
        off, size = self.lay.ehdr[field]
        self.put(off, value, size)

    def set_phdr(self, i, field, value):
        off, size = self.lay.phdr[field]
        self.put(self.lay.ehsize + i * self.lay.phsize + off, value, size)

    def set_shdr(self, name, field, value):
        off, size = self.lay.shdr[field]
        self.put(self.shoff + self.sections.index(name) * self.lay.shsize + off, value, size)

    def set_part(self, name, off, value, size):
        self.put(self.parts[name][0] + off, value, size)

    def set_dyn(self, tag, value):
        off, data = self.parts['dynamic']
        w = self.lay.word
        for k in range(0, len(data), 2 * w):
            if bytes(self.image[off + k:off + k + w]) == self.lay.num(tag, w):
                self.put(off + k + w, value, w)
                return
        raise KeyError(tag)
