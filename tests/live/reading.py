# SPDX-License-Identifier: GPL-3.0-or-later
"""The checker's own reading of a process, by roads that memwhy need not take.

Everything comes from smaps, pagemap, status and cachestat(2). Nothing here is
fast; it only has to be plain enough to be believed.
"""

import array
import ctypes
import errno
import fcntl
import os
import re
import struct

PAGE = 4096
PRESENT, SWAP, FILE, GUARD = 1 << 63, 1 << 62, 1 << 61, 1 << 58
HEADER = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) (\S+) (\d+) *(.*)\n?$")
LIBC = ctypes.CDLL(None, use_errno=True)
SYS_CACHESTAT = 451


class Mapping:
    """One entry of smaps; sizes in bytes."""

    def __init__(self, match):
        self.start, self.end = int(match[1], 16), int(match[2], 16)
        self.perm, self.offset = match[3], int(match[4], 16)
        self.device, self.inode, self.name = match[5], int(match[6]), match[7]
        self.field, self.flags = {}, ()

    @property
    def size(self):
        return self.end - self.start

    def take(self, line):
        key, _, rest = line.partition(":")
        if key == "VmFlags":
            self.flags = tuple(rest.split())
        elif rest.endswith("kB\n"):
            self.field[key] = int(rest.split()[0]) * 1024

    def huge(self):
        keys = ("AnonHugePages", "ShmemPmdMapped", "FilePmdMapped")
        return sum(self.field.get(k, 0) for k in keys)

    def hugetlb(self):
        return self.field.get("Private_Hugetlb", 0) + self.field.get("Shared_Hugetlb", 0)


def smaps(pid):
    """All mappings but [vsyscall], which belongs to no process."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            match = HEADER.match(line)
            if match:
                found.append(Mapping(match))
            elif found:
                found[-1].take(line)
    return [m for m in found if m.name != "[vsyscall]"]


def maps_total(pid):
    """The sum of maps alone, without [vsyscall]."""
    total = 0
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            match = HEADER.match(line)
            if match and match[7] != "[vsyscall]":
                total += int(match[2], 16) - int(match[1], 16)
    return total


def status(pid):
    """The lines of status with a size, in bytes; State and Name as text."""
    out = {}
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            key, _, rest = line.partition(":")
            out[key] = int(rest.split()[0]) * 1024 if rest.endswith("kB\n") else rest.strip()
    return out


def read_pagemap(pid, start, end):
    """The entries of [start, end) as bytes, in blocks."""
    fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
    try:
        offset, left = start // PAGE * 8, (end - start) // PAGE * 8
        while left:
            data = os.pread(fd, min(left, 1 << 20), offset)
            if not data:
                raise OSError(f"pagemap of {pid} ends early")
            yield data
            offset, left = offset + len(data), left - len(data)
    finally:
        os.close(fd)


def pagemap(pid, start, end):
    """The entries of [start, end)."""
    return array.array("Q", b"".join(read_pagemap(pid, start, end)))


def count(pid, start, end):
    """Bytes by state, as the page table shows them."""
    seen = {"present": 0, "file": 0, "guard": 0, "swap": 0}
    for block in read_pagemap(pid, start, end):
        if not block.strip(b"\0"):      # a vast reservation is mostly this
            continue
        for entry in array.array("Q", block):
            if entry & PRESENT:
                seen["present"] += PAGE
                seen["file"] += PAGE if entry & FILE else 0
            elif entry & GUARD:
                seen["guard"] += PAGE
            elif entry & SWAP:
                seen["swap"] += PAGE
    return seen


def sees_files_of_others():
    """Whether map_files opens and cachestat answers: what N10 to N15 rest on."""
    first = next(m for m in smaps("self") if m.inode)
    try:
        fd = os.open(f"/proc/self/map_files/{first.start:x}-{first.end:x}", os.O_RDONLY)
    except OSError:
        return False
    try:
        return cachestat(fd, 0, PAGE) is not None
    finally:
        os.close(fd)


def status_is_exact():
    """Before 6.16 the counters of status may drift from the pages they count."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(release[1]), int(release[2])) >= (6, 16)


def has_page_scan():
    """PAGEMAP_SCAN, Linux 6.7 and later: _IOWR('f', 16, 96 bytes)."""
    with open("/proc/self/pagemap", "rb") as file:
        try:
            fcntl.ioctl(file, 0xc0606610, struct.pack("<12Q", 96, *[0] * 11))
        except OSError as error:
            return error.errno != errno.ENOTTY
    return True


class _Range(ctypes.Structure):
    _fields_ = [("off", ctypes.c_uint64), ("len", ctypes.c_uint64)]


class _Stat(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in ("cache", "dirty", "writeback", "evicted", "recent")]


def is_stacked(fd):
    """An overlay maps the file below it, so that its own has nothing in the page cache."""
    buf = (ctypes.c_long * 32)()
    return LIBC.fstatfs(fd, buf) == 0 and buf[0] == 0x794c7630


def mincore(fd, offset, length):
    """Pages cached, as a mapping of the file shows them to its owner."""
    LIBC.mmap.restype = ctypes.c_void_p
    at = LIBC.mmap(None, ctypes.c_size_t(length), 1, 1, fd, ctypes.c_long(offset))
    states = (ctypes.c_ubyte * (-(-length // PAGE)))()
    wrong = LIBC.mincore(ctypes.c_void_p(at), ctypes.c_size_t(length), states)
    LIBC.munmap(ctypes.c_void_p(at), ctypes.c_size_t(length))
    return 0 if wrong else sum(state & 1 for state in states)


def cachestat(fd, offset, length):
    """(pages cached, pages evicted) of a range of a file, or None when refused."""
    if is_stacked(fd):
        return mincore(fd, offset, length), 0
    stat = _Stat()
    if LIBC.syscall(SYS_CACHESTAT, fd, ctypes.byref(_Range(offset, length)),
                    ctypes.byref(stat), 0):
        return None
    return stat.cache, stat.evicted


def shared_devices(pid):
    """Device numbers of file systems that live in memory."""
    devices = {"00:01"}         # the kernel's own: memfd, SysV, shared anonymous
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            fields = line.split()
            if fields[fields.index("-") + 1] in ("tmpfs", "devtmpfs", "ramfs"):
                major, minor = fields[2].split(":")
                devices.add(f"{int(major):02x}:{int(minor):02x}")
    return devices


LONG = 1 << 30      # the pagemap of larger reserves is not read here


class Account:
    """The causes of every byte of one process, worked out independently.

    Owners of anonymous memory are not told apart: N16 to N21 are "anon". Rests
    of mappings that are neither file nor memory are "other".
    """

    def __init__(self, pid):
        self.pid = pid
        self.devices = shared_devices(pid)
        self.mappings = smaps(pid)
        self.causes = {}

    def add(self, code, size):
        if size:
            self.causes[code] = self.causes.get(code, 0) + size

    def run(self):
        for mapping in self.mappings:
            self.one(mapping)
        return self.causes

    def one(self, m):
        if "pf" in m.flags or "io" in m.flags:
            self.add("N1", m.size)
        elif "ht" in m.flags:
            self.add("N2", m.hugetlb())
            self.add("N3", m.size - m.hugetlb())
        elif m.size > LONG and m.perm.startswith("---") and not m.field["Rss"] and not m.field["Swap"] and "gu" not in m.flags:
            self.add("N9", m.size)      # but for pages of zeros, which a debugger that reads there leaves behind
        else:
            self.pages(m)

    def pages(self, m):
        seen = count(self.pid, m.start, m.end)
        is_anon = not m.inode or m.name == "/dev/zero"
        is_shm = not is_anon and m.device in self.devices
        copied = m.field["Anonymous"]
        lazy = m.field.get("LazyFree", 0)
        self.add("R1a", lazy)
        self.add("R1", copied - lazy)
        self.add("R3" if is_shm else "R2", m.field["Rss"] - copied)
        self.add("N4", seen["present"] - m.field["Rss"])
        self.add("N5", seen["guard"])
        shm_swap = max(0, m.field["Swap"] - seen["swap"]) if is_shm else 0
        self.add("N7", m.field["Swap"] - shm_swap)
        self.add("N6", seen["swap"] - (m.field["Swap"] - shm_swap))
        rest = m.size - seen["present"] - seen["guard"] - seen["swap"]
        self.absent(m, rest, is_anon, is_shm)

    def absent(self, m, rest, is_anon, is_shm):
        special = m.name.startswith(("[vdso]", "[vvar", "[uprobes]", "anon_inode:"))
        if "um" in m.flags:
            self.add("N22", rest)
        elif special:
            self.add("other", rest)
        elif m.perm.startswith("---"):
            self.add("N9", rest)
        elif is_anon:
            self.add("anon", rest)
        else:
            self.file_rest(m, rest, is_shm)

    def file_rest(self, m, rest, is_shm):
        """What the page cache holds of the pages that are not mapped here."""
        fd, entries = None, pagemap(self.pid, m.start, m.end)
        try:
            fd = os.open(f"/proc/{self.pid}/map_files/{m.start:x}-{m.end:x}", os.O_RDONLY)
            size = os.fstat(fd).st_size
            self.add("N10", sum(PAGE for i, e in enumerate(entries) if not e & (PRESENT | SWAP)
                                and m.offset + i * PAGE >= size))
            self.in_cache(fd, m, entries, size, is_shm)
        except OSError:
            self.add("other", rest)
        finally:
            if fd is not None:
                os.close(fd)

    def in_cache(self, fd, m, entries, size, is_shm):
        names = ("N14", "N15") if is_shm else ("N11", "N12")
        for i, entry in enumerate(entries):
            offset = m.offset + i * PAGE
            if entry & (PRESENT | SWAP) or offset >= size:
                continue
            cached, evicted = cachestat(fd, offset, PAGE) or (0, 0)
            if is_shm and evicted:
                self.add("N8", PAGE)
            else:
                self.add(names[0] if cached else names[1], PAGE)
