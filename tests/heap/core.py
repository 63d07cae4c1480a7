#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Core files: the same process live, in a core by gdb's gcore and in one by the kernel must tell the same; and cores
that are cut, filtered, written by hand or damaged must never do worse than an error that says what is wrong."""
import glob
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from heap import BUILD, MEMWHY, TOTALS, Program, books_complaints, heap, memwhy, private_complaints  # noqa: E402
from tap import Tap  # noqa: E402

INSIDE = ("classes", "blocks", "occupancy", "threads", "private_heaps", "sites", "counters")


def gcore(pid, where):
    """A core by gdb, or why there is none."""
    if not shutil.which("gcore"):
        return None, "gcore is not installed"
    p = subprocess.run(["gcore", "-o", f"{where}/g", str(pid)], capture_output=True, text=True, timeout=120, check=False)
    path = f"{where}/g.{pid}"
    return (path, None) if os.path.exists(path) else (None, f"gcore: {p.stderr.strip()[-100:]}")


def kernel_core_reason():
    """Why the kernel cannot be made to write a core here; None when it can."""
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as f:
        pattern = f.read().strip()
    if pattern.startswith(("|", "@")):
        return "core_pattern pipes cores to a program"
    if "/" in pattern or not pattern:
        return f"core_pattern is {pattern!r}"
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        return "the hard limit of core sizes is 0"
    return None


class Dumped(Program):
    """A program in a directory of its own, whose kernel core is found there."""

    def __init__(self, where, program, *options, wrapper=True, core_filter=None):
        self.where = where

        def prepare():
            os.chdir(where)
            resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
            if core_filter is not None:
                with open("/proc/self/coredump_filter", "w", encoding="ascii") as f:
                    f.write(core_filter)
        argv = [os.path.abspath(MEMWHY), "run", *options, "--"] if wrapper else []
        self.proc = subprocess.Popen(argv + [os.path.abspath(f"{BUILD}/tests/heap/{program}")], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, bufsize=0, preexec_fn=prepare)

    def dump(self):
        os.kill(self.proc.pid, signal.SIGABRT)
        self.proc.wait()
        found = glob.glob(f"{self.where}/core*")
        return found[0] if found else None


def same_complaints(live, core):
    """What is inside the heap, to the byte; page states are not in a core."""
    out = []
    for key in INSIDE:
        a, b = live[key], core[key]
        if key == "threads":
            strip = lambda rows: [{k: v for k, v in r.items() if k != "name"} for r in rows]  # noqa: E731
            a, b = strip(a), strip(b)
        if key == "sites":
            a, b = ([[s["live_bytes"], s["bytes"], [(f["address"], f["symbol"]) for f in s["frames"]]] for s in x] for x in (a, b))
        if a != b:
            out.append(f"{key}: {str(a)[:300]} is not {str(b)[:300]}")
    for name in TOTALS[:5]:
        if live["bridge"]["totals"][name] != core["bridge"]["totals"][name]:
            out.append(f"{name}: {live['bridge']['totals'][name]}, core {core['bridge']['totals'][name]}")
    if core["bridge"]["totals"]["resident"] is not None or core["rss"] is not None:
        out.append("a core cannot know what was resident")
    if not core["heap"]["exact"] or core["heap"]["bad_records"]:
        out.append(f"not exact: {core['heap']}")
    return out


def maps_complaints(pid_maps, core):
    """Every mapping that /proc/PID/maps told, with its permissions and file."""
    code, text, err = memwhy("maps", "--json", core)
    if code:
        return [err]
    got = {m["start"]: m for m in json.loads(text)["maps"]}
    out = []
    for line in pid_maps:
        f = line.split(maxsplit=5)
        start, end = (int(x, 16) for x in f[0].split("-"))
        name = f[5] if len(f) > 5 else ""
        if name.startswith(("[vvar", "[vsyscall", "[heap")):
            continue
        m = got.get(hex(start))
        if not m or int(m["end"], 16) != end or (m["perm"][:3] != f[1][:3] and "[" not in name) or (name[:1] == "/" and m["name"] != name):
            out.append(f"{line} is {m}")
    return out


def check_gcore(t, where):
    for program in ("books", "private"):
        name = f"{program}: a core by gcore"
        with Program(program=program, wrapper=program == "books") as p:
            told = p.ask("g") if program == "books" else json.loads(p.proc.stdout.readline())
            live = heap(told["pid"])
            path, why = gcore(told["pid"], where)
            if not path:
                t.skip(name, why)
                continue
            core = heap(path)
            t.check(f"{name} tells of its heap what the process told, to the byte", same_complaints(live, core))
            if program == "private":
                t.check(f"{name} agrees with the program's own books", private_complaints(core, told))
                continue
            after = p.ask("g")
            path, _ = gcore(told["pid"], where)
            t.check(f"{name}s agree with the program's own books", books_complaints(core, heap(path), told, after, False))
            code, text, err = memwhy("explain", path)
            t.check(f"{name}: explain names owners, and says what it cannot know", [] if code == 0 and not err and
                    "memwhy-malloc spans" in text and "not in a core file" in text and "thread stack" in text else [text, err])
            check_cut(t, path, where)


def check_cut(t, path, where):
    """Shorter and shorter; never a crash, and it is said."""
    out, size = [], os.path.getsize(path)
    for part in (0.999, 0.7, 0.3, 0.01, 0.0005, 0.00001):
        cut = f"{where}/cut"
        subprocess.run(["head", "-c", str(max(int(size * part), 70)), path], stdout=open(cut, "wb"), check=True)
        for cmd in ("explain", "maps", "heap"):
            code, text, err = memwhy(cmd, cut)
            if code not in (0, 3) or (code == 3 and not err) or (code == 0 and part < 0.99 and "cut off" not in text):
                out.append(f"{cmd} {part}: {code} {err} {text[-300:]}")
    t.check("a truncated core: what is there is told, and what is missing", out)


def check_kernel(t, where):
    why = kernel_core_reason()
    if why:
        t.skip("a core by the kernel", why)
        return
    with Dumped(where, "books") as p:
        pid = p.ask("g")["pid"]
        live = heap(pid)
        with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
            pid_maps = f.read().splitlines()
        path = p.dump()
    if not path:
        t.skip("a core by the kernel", "it wrote none")
        return
    t.check("a core by the kernel tells of its heap what the process told, to the byte", same_complaints(live, heap(path)))
    t.check("and every mapping, with its file", maps_complaints(pid_maps, path))
    t.check("VSZ is that of the process", [] if heap(path)["vsz"] == live["vsz"] else [f"{heap(path)['vsz']} {live['vsz']}"])
    code, text, _ = memwhy("explain", path)
    t.check("holes of the file are told, not called resident", [] if code == 0 and "RSS -" in text else [text])
    check_damage(t, path, where)
    os.unlink(path)
    with Dumped(where, "books", core_filter="0x0") as p:
        p.ask("g")
        path = p.dump()
    code, text, err = memwhy("heap", path)
    out = [] if code == 3 and not text and ("cannot be" in err or "not recognised" in err) else [f"heap: {code} {text} {err}"]
    code, text, err = memwhy("explain", path)
    if code or "not dumped" not in text:
        out.append(f"explain: {code} {text[-400:]} {err}")
    t.check("a filtered core: no heap, and why", out)
    os.unlink(path)
    with Dumped(where, "books", core_filter="0x3") as p:
        p.ask("g")
        path = p.dump()
    code, text, err = memwhy("heap", path)
    t.check("a core without ELF headers: no heap, and why", [] if code == 3 and not text and "ELF headers" in err and
            "coredump_filter" in err else [f"heap: {code} {text} {err}"])
    os.unlink(path)


def check_damage(t, path, where):
    """Flipped bytes in headers and notes."""
    bad, rng = f"{where}/damaged", random.Random(11)
    subprocess.run(["cp", "--sparse=always", path, bad], check=True)
    out = []
    with open(bad, "r+b") as f:
        head = f.read(65536)
        for i in range(60):
            spoiled = bytearray(head)
            for _ in range(rng.choice((1, 3, 20, 200))):
                spoiled[rng.randrange(4 if i % 2 else 64, len(spoiled) if i % 3 else 4096)] = rng.randrange(256)
            f.seek(0)
            f.write(spoiled)
            f.flush()
            code, text, err = memwhy(rng.choice(("heap", "explain", "maps")), bad)
            if code not in (0, 3) or (code == 3 and not err.startswith("memwhy: ")):
                out.append(f"round {i}: {code} {err}")
    t.check("a damaged core is an answer or an error, 60 times", out)
    os.unlink(bad)


# --------------------------------------------------------------- written by hand

def note(kind, desc, name=b"CORE\0"):
    pad = lambda b: b + b"\0" * (-len(b) % 4)  # noqa: E731
    return struct.pack("<III", len(name), len(desc), kind) + pad(name) + pad(desc)


def core64(loads, notes=b"", xnum=False, machine=62, kind=4, data=1):
    """loads: (address, contents or None, size, flags)."""
    n = len(loads) + 1
    at = 64 + 56 * n + (64 if xnum else 0)
    phdrs = struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes), 0, 4)
    body, off = notes, at + len(notes)
    for addr, contents, size, flags in loads:
        contents = contents or b""
        phdrs += struct.pack("<IIQQQQQQ", 1, flags, off, addr, 0, len(contents), size, 1)
        body += contents
        off += len(contents)
    ident = b"\x7fELF\x02" + bytes([data]) + b"\x01" + b"\0" * 9
    head = ident + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, 64, 64 + 56 * n if xnum else 0, 0, 64, 56,
                               0xffff if xnum else n, 64, 1 if xnum else 0, 0)
    sections = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, n, 0, 0) if xnum else b""
    return head + phdrs + sections + body


def again(core, times):
    """The same with its PT_NOTE, the first of its program headers, many times."""
    at, n = struct.unpack_from("<Q", core, 32)[0], struct.unpack_from("<H", core, 56)[0]
    head = bytearray(core[:64])
    struct.pack_into("<Q", head, 32, len(core))
    struct.pack_into("<H", head, 56, n + times)
    return bytes(head) + core[64:] + core[at:at + 56 * n] + core[at:at + 56] * times


def prstatus(tid, sp):
    d = bytearray(336)
    struct.pack_into("<i", d, 0, 11)
    struct.pack_into("<h", d, 12, 11)
    struct.pack_into("<i", d, 32, tid)
    struct.pack_into("<Q", d, 112 + 19 * 8, sp)
    return bytes(d)


def psinfo(pid, name):
    d = bytearray(136)
    struct.pack_into("<IIiiii", d, 16, 1000, 1000, pid, 1, pid, pid)
    d[40:40 + len(name)] = name
    d[56:56 + len(name) + 5] = name + b" --go"
    return bytes(d)


def ntfile(rows):
    d = struct.pack("<QQ", len(rows), 4096) + b"".join(struct.pack("<QQQ", s, e, o) for s, e, o, _ in rows)
    return d + b"".join(p.encode() + b"\0" for *_, p in rows)


def check_hand(t, where):
    path = f"{where}/hand"

    def write(data):
        with open(path, "wb") as f:
            f.write(data)
        return memwhy("maps", "--json", path)
    page = b"x" * 4096
    loads = [(0x400000, page, 8192, 5), (0x10000000, page * 2, 8192, 6), (0x7ffe00000000, None, 0x21000, 6)]
    notes = note(1, prstatus(4711, 0x7ffe00001000)) + note(3, psinfo(4711, b"made")) + \
        note(0x46494c45, ntfile([(0x400000, 0x402000, 0, "/opt/made"), (0x500000, 0x501000, 3, "/opt/made")]))
    code, text, err = write(core64(loads, notes))
    out = [err] if code else []
    if not code:
        doc = json.loads(text)
        rows = [(m["start"], m["end"], m["perm"], m["name"]) for m in doc["maps"]]
        if doc["pid"] != 4711 or rows != [("0x400000", "0x402000", "r-xp", "/opt/made"), ("0x500000", "0x501000", "r--p", "/opt/made"),
                                          ("0x10000000", "0x10002000", "rw-p", ""), ("0x7ffe00000000", "0x7ffe00021000", "rw-p", "")]:
            out.append(f"{doc['pid']} {rows}")
    t.check("written by hand: mappings by PT_LOAD and by NT_FILE", out)
    t.check("more mappings than a header can count (PN_XNUM)", [] if write(core64(loads, notes, xnum=True))[:2] == (0, text) or
            json.loads(memwhy("maps", "--json", path)[1])["maps"] == json.loads(text)["maps"] else ["differs"])
    out = []
    for what, data, status, word in (
            ("overlapping", core64([(0x1000, page, 4096, 6), (0x1000, page, 8192, 6), (0x1800, page, 4096, 6)], notes), 0, ""),
            ("at the end of addresses", core64([(2**64 - 4096, page, 8192, 6), (0x1000, page, 4096, 6)], notes), 0, ""),
            ("larger than addresses are", core64([(0x1000, page, 2**62, 6)], notes), 0, ""),
            ("no mappings", core64([], notes), 3, "without mappings"),
            ("no core", core64(loads, notes, kind=2), 3, ""),
            ("other byte order", core64(loads, notes, data=2)[:16] + struct.pack(">H", 4) + core64(loads, notes)[18:], 3, "byte order"),
            ("header only", core64(loads, notes)[:40], 3, ""),
            ("notes again and again", again(core64(loads, notes + bytes(1 << 24)), 60000), 0, ""),
            ("huge note", core64(loads, struct.pack("<III", 5, 0xfffffff0, 1) + b"CORE\0"), 0, ""),
            ("lying NT_FILE", core64(loads, note(0x46494c45, struct.pack("<QQ", 2**60, 4096) + b"x" * 64)), 0, ""),
            ("NT_FILE without names", core64(loads, note(0x46494c45, struct.pack("<QQQQQ", 1, 4096, 0x400000, 0x401000, 0))), 0, "")):
        code, text, err = write(data)
        if code != status or word not in err:
            out.append(f"{what}: {code} {err}")
    t.check("written by hand: every lie is refused, or left out", out)


def check_crowd(t, where):
    """A core that names more files than any process maps: what takes a look at each for each takes minutes."""
    path, n = f"{where}/crowd", 300000
    rows = [(a, a + 4096, 0, f"/{i % (n - 1)}") for i, a in enumerate(range(0x10000000, 0x10000000 + n * 8192, 8192))]
    with open(path, "wb") as f:
        f.write(core64([(0x1000, b"x" * 4096, 4096, 6)], note(1, prstatus(4711, 0x1800)) + note(0x46494c45, ntfile(rows))))
    p = subprocess.run([MEMWHY, "explain", "--width=0", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (20, 20)))
    t.check(f"{n} files that are mapped once, but for one", [] if p.returncode == 0 and f"{n} mappings of files are listed" in p.stdout else
            [p.returncode, p.stdout[-500:], p.stderr])
    os.unlink(path)


SHARER = """
import mmap, sys
with open(sys.argv[1], "r+b") as f:
    maps = [mmap.mmap(f.fileno(), 65536, flags=flags) for flags in (mmap.MAP_SHARED, mmap.MAP_PRIVATE)]
    for m in maps:
        m[0] = 1
    print("ready", flush=True)
    sys.stdin.read()
"""


def check_shared(t, where):
    """A core tells of a writable mapping of a file neither that it was shared nor that it was not."""
    with open(f"{where}/data", "wb") as f:
        f.write(bytes(65536))
    with subprocess.Popen([sys.executable, "-c", SHARER, f"{where}/data"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
        p.stdout.readline()
        path, why = gcore(p.pid, where)
        p.stdin.close()
    if not path:
        t.skip("mappings of files in a core", why)
        return
    code, out, err = memwhy("explain", "--json", path)
    notes = [n["reason"] for n in json.loads(out)["notes"]] if code == 0 else [err]
    said = [n for n in notes if re.search(r"^[2-9]\d* mappings of files \([^)]*\) are taken as private", n)]
    t.check("a core does not tell shared from private mappings of files, and memwhy says so", [] if said else notes)


OWNED = ("heap (brk)", "glibc malloc arena", "glibc malloc arena reserve", "thread stack", "thread stack guard", "main stack",
         "Go heap arena", "Go heap arena reserve", "Go heap arena map", "Go page summaries", "Go scavenge index")


def extents(target):
    found = json.loads(memwhy("maps", "--json", target)[1])["maps"]
    return [(int(x["start"], 16), int(x["end"], 16), x["owner"], x["certainty"]) for m in found for x in m["extents"]]


def owner_complaints(live, core):
    """What is owned in the process must be of the same owner in the core, from its first byte to its last."""
    out = []
    for start, end, owner, certainty in (x for x in live if x[2] in OWNED and x[3] == "proven"):
        for at in (start, end - 1):
            got = next((x[2:] for x in core if x[0] <= at < x[1]), None)
            if got != (owner, certainty):
                out.append(f"{at:#x}: {owner}, {certainty}; in the core {got}")
    return out


def check_owners(tap, where):
    """Arenas, the brk heap, stacks and what Go reserved, by a core of the kernel and by one of gdb."""
    for name, least in (("arenas", 12), ("heap", 2), ("threads", 3), ("m32-threads", 3), ("server", 12)):
        program, place = os.path.abspath(f"{BUILD}/tests/live/{name}"), os.path.join(where, name)
        if not os.path.exists(program):
            tap.skip(f"owners in a core of {name}", "it could not be built")
            continue
        os.mkdir(place)
        with subprocess.Popen([program], cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              env={**os.environ, "GOTRACEBACK": "crash"},
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE,
                                                                    (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)) as p:
            while b'"ready"' not in (p.stdout.readline() or b'"ready"'):
                pass
            live = extents(p.pid)
            owned = sum(x[2] in OWNED for x in live)
            tap.check(f"{name}: it has what can be owned", [] if owned >= least else [f"{owned} extents"])
            if name in ("heap", "threads", "m32-threads"):  # gdb writes what is reserved, too: that of the others is large
                core, why = gcore(p.pid, place)
                if core:
                    tap.check(f"{name}: owners in a core of gdb", owner_complaints(live, extents(core)))
                else:
                    tap.skip(f"{name}: owners in a core of gdb", why)
            p.send_signal(signal.SIGABRT)
            p.stdout.close()
            p.wait(60)
        found = glob.glob(f"{place}/core*")
        if found:
            tap.check(f"{name}: owners in a core of the kernel", owner_complaints(live, extents(found[0])))
        else:
            tap.skip(f"{name}: owners in a core of the kernel", kernel_core_reason() or "none was written")
        shutil.rmtree(place)


def main():
    t = Tap()
    os.environ["MEMWHY_MALLOC"] = "background=off"  # free memory stays where it is between two looks
    with tempfile.TemporaryDirectory() as where:
        check_hand(t, where)
        check_gcore(t, where)
        check_kernel(t, where)
        check_crowd(t, where)
        check_shared(t, where)
        check_owners(t, where)
    return t.end()


if __name__ == "__main__":
    sys.exit(main())
