#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy pages and memwhy at against a program that knows its pages, pagemap, gdb, and addr2line."""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

import target
from target import BUILD, PAGE, READY, Tap, memwhy, running

PROGRAMS = os.path.join(BUILD, "tests/pages")
PFN = (1 << 55) - 1
RANDOM = 10000


def states(doc):
    """State of each page of memwhy pages --json."""
    return {a: r["state"] for r in doc["runs"]
            for a in range(int(r["start"], 16), int(r["end"], 16), PAGE)}


def check_pages(tap, process, claims):
    name = {"data_one": ("copied", {5}), "data_three": ("copied", {2, 9, 10}), "bss_one": ("anonymous", {3}),
            "bss_zero": ("zero", {4}), "truth_one": ("copied", {7}), "data_cold": ("copied", set())}
    for symbol, (state, pages) in name.items():
        start, size = claims[symbol]
        doc = memwhy("pages", "--json", process.pid, f"{start:#x}+{size}")
        found = {(a - start) // PAGE for a, s in states(doc).items() if s == state}
        tap.check(f"pages of {symbol}: {state} are {sorted(pages) or 'none'}",
                  [] if found == pages and len(states(doc)) == 16 else [f"found {sorted(found)}"])
    start, size = claims["data_three"]
    text = memwhy("pages", process.pid, f"{start:#x}-{start + size:#x}")
    line = next((x.split()[1] for x in text.splitlines() if x.strip().startswith(f"{start:x}")), "")
    tap.check("the map has a character a page", [] if [i for i, c in enumerate(line) if c == "C"] == [2, 9, 10] and
              len(line) == 16 else [text])
    whole, one = memwhy("pages", "--json", process.pid), memwhy("explain", "--json", process.pid)
    tap.check("all pages sum to VSZ and RSS", [] if (whole["mapped"], whole["resident"]) == (one["vsz"], one["rss"]) else
              [f"{whole['mapped']} {whole['resident']}, explain {one['vsz']} {one['rss']}"])
    wrong = []
    for s, e, _, _, n in target.mappings(process.pid):
        if n.startswith("[v"):
            continue
        theirs = {a for a, entry in target.pagemap(process.pid, s, e) if entry >> 63}
        doc = memwhy("pages", "--json", process.pid, f"{s:#x}-{e:#x}")
        ours = {a for a, state in states(doc).items() if state in ("copied", "anonymous", "file", "shmem", "zero")}
        if ours != theirs:
            wrong.append(f"{s:x}-{e:x} {n}: {len(ours)} pages, pagemap {len(theirs)}")
    tap.check("present pages of each mapping are pagemap's", wrong)
    section = memwhy("pages", "--json", process.pid, ".truth")
    tap.check("a section is a place", [] if section["mapped"] == 3 * 65536 and section["resident"] == PAGE else
              [f"{section['mapped']} {section['resident']}"])
    memwhy("pages", process.pid, "nosuch", status=3)
    memwhy("pages", process.pid, "2000-1000", status=3)
    for place in ("0-ffffffffffffffff", "ffff800000000000-fffffffffffff001"):
        doc, lines = memwhy("pages", "--json", process.pid, place), memwhy("pages", process.pid, place).splitlines()
        mapped = sum(e - s for s, e, *_ in target.mappings(process.pid) if s < 1 << 47) if place[0] == "0" else 0
        tap.check(f"pages {place}: all that is mapped, on a screen",
                  [] if doc["mapped"] == mapped and len(lines) < 80 else [f"{doc['mapped']} bytes of {mapped}, {len(lines)} lines"])
    memwhy("pages", process.pid, "fffffffffffff000-ffffffffffffffff", status=3)
    tap.check("places that are none are refused", [])


def check_words(tap, process):
    """What has no name in pages is called as in maps."""
    def rows(*args):
        lines = [x.split() for x in memwhy(*args, "--width=0", process.pid).splitlines()]
        return {x[0]: x for x in lines if len(x) > 3 and re.fullmatch("[0-9a-f]{12}", x[0])}

    named = {f"{s:012x}" for s, _, _, _, name in target.mappings(process.pid) if name}
    ours, theirs = rows("pages"), rows("maps")
    wrong = [f"{a}: {' '.join(x)}, maps: {' '.join(theirs[a])}" for a, x in ours.items()
             if a not in named and (a not in theirs or " ".join(x[6:]) not in " ".join(theirs[a]) or not x[6:])]
    tap.check(f"{len(ours.keys() - named)} mappings without a name are called as in maps", wrong[:5] + ([] if ours.keys() - named else ["none"]))


def check_frames(tap, process, claims):
    start, size = claims["bss_all"]
    real = {a: entry & PFN for a, entry in target.pagemap(process.pid, start, start + size)}
    if not any(real.values()):
        tap.skip("frames", "frame numbers need CAP_SYS_ADMIN")
        return
    doc = memwhy("pages", "--frames", "--json", process.pid, f"{start:#x}+{size}")
    ours = {int(f["address"], 16): f["frame"] for f in doc["frames"]}
    tap.check("frames are pagemap's, and mapped once",
              [] if ours == real and all(f["mappers"] == 1 and "anon" in f["flags"] for f in doc["frames"]) else [str(ours), str(real)])


def check_facts(tap, process, claims):
    start = claims["data_one"][0]
    a = start + 5 * PAGE + 0x123
    d = memwhy("at", "--json", process.pid, hex(a))["addresses"][0]
    want = {"symbol": "data_one", "symbol_offset": 5 * PAGE + 0x123, "section": ".data", "page_state": "copied",
            "copied_by": "write", "owner": "program-file", "certainty": "proven", "perm": "rw-p", "mapped": True,
            "page_offset": 0x123, "page_size": PAGE, "resident": True}
    tap.check("at tells a variable", [f"{k} is {d[k]}, must be {v}" for k, v in want.items() if d[k] != v])
    levels = {x["level"]: x for x in d["translation"]}
    names = ["PGD", "P4D", "PUD", "PMD", "PTE"] if d["levels"] == 5 else ["PGD", "PUD", "PMD", "PTE"]
    wrong = [f"levels {list(levels)}"] if list(levels) != names else []
    rebuilt = sum(x["index"] << x["low_bit"] for x in d["translation"]) + d["page_offset"]
    if rebuilt != a or not all(x["table_in_use"] for x in d["translation"]):
        wrong.append(f"indexes make {rebuilt:#x}, not {a:#x}: {d['translation']}")
    entry = target.pagemap(process.pid, a & ~0xfff, (a & ~0xfff) + PAGE)[0][1]
    if entry & PFN and int(d["physical"], 16) != (entry & PFN) * PAGE + 0x123:
        wrong.append(f"physical {d['physical']}, pagemap {(entry & PFN) * PAGE + 0x123:#x}")
    tap.check("the translation leads to the page", wrong)
    cold = memwhy("at", "--json", process.pid, hex(claims["data_cold"][0]))["addresses"][0]
    tap.check("an absent page has no frame", [] if not cold["resident"] and cold["frame"] is None else [str(cold)])
    log = f"#0 0x{a:x} in data_one ()\nat 0x10: nothing, face, defaced, cafedeed, 0x12345678901234567, 1234567, 12 and {a + 1:012x}\n"
    found = memwhy("at", "--json", process.pid, "-", text=log)["addresses"]
    tap.check("addresses come from a log", [] if [int(x["address"], 16) for x in found] == [a, 0x10, a + 1] else [str(found)])
    long = memwhy("at", "--json", process.pid, "-", text=f"{'x' * 4090} {a:#x}, {'y' * 70000} {a + 1:012x}")["addresses"]
    tap.check("of any length of line", [] if [int(x["address"], 16) for x in long] == [a, a + 1] else [str(long)[:300]])
    endless = subprocess.run(f"head -c 200M /dev/zero | tr '\\0' f | (ulimit -v 100000; exec {target.MEMWHY} at {process.pid} -)", shell=True,
                             text=True, capture_output=True, timeout=120, check=False)
    if os.environ.get("MEMWHY_SANITIZED"):
        tap.skip("a word without an end is not kept", "the build has a sanitizer, which reserves address space")
    else:
        tap.check("a word without an end is not kept", [] if endless.returncode == 2 and "no address in it" in endless.stderr else
                  [endless.stderr])
    tap.check("an address in no mapping is said to be so", [] if not found[1]["mapped"] else [str(found[1])])
    some, many = (memwhy("at", process.pid, *[hex(a + i) for i in range(n)]) for n in (4, 5))
    tap.check("of more than four addresses a line each", [] if "translation" in some and "translation" not in many and "data_one" in many
              else [some, many])
    text = memwhy("at", process.pid, hex(a))
    tap.check("text has the facts", [w for w in ("data_one + 0x5123", ".data", "PTE", "owner") if w not in text])
    memwhy("at", process.pid, "xyz", status=2)
    memwhy("at", process.pid, status=2)


def check_edges(tap, process):
    """The last byte of memory is an address, and the kernel's page above all others is in no hole."""
    last, maps = "f" * 16, {n: (s, e, p) for s, e, p, _, n in target.mappings(process.pid)}
    doc, brief = memwhy("at", "--json", process.pid, last), memwhy("at", "-s", process.pid, last)
    tap.check("the last byte of memory", [] if doc["addresses"][0]["address"] == f"0x{last}" and not doc["addresses"][0]["mapped"]
              and last in brief else [str(doc["addresses"]), brief])
    title = "a byte of [vsyscall]"
    if "[vsyscall]" not in maps:
        tap.skip(title, "this kernel maps none")
        return
    start, end, perm = maps["[vsyscall]"]
    doc = memwhy("at", "--json", process.pid, hex(start + 1))["addresses"][0]
    text = memwhy("at", process.pid, hex(start), hex(end))
    tap.check(title, [] if (doc["mapped"], doc["name"], doc["perm"]) == (True, "[vsyscall]", perm) and
              f"mapping  {start:x}-{end:x} {perm} [vsyscall]" in text and f"0 B behind the end of {start:x}" in text else [str(doc), text])


def check_sets(tap, process, claims):
    """The sets of a processor whose geometry is known: Sapphire Rapids by its words."""
    words = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fixtures/cpuid/sapphirerapids.txt")
    a = claims["data_one"][0] + 5 * PAGE + 0x123
    found = memwhy("at", "--json", "--cpuid", words, process.pid, hex(a), hex(claims["code"][0]))["addresses"]
    sets = [{(x["level"], x["kind"], x["sets"]): x["set"] for x in d["tlb_sets"]} for d in found]
    page, code = a >> 12, claims["code"][0] >> 12
    want = [{(1, "stores", 1): 0, (1, "loads", 16): page & 15, (2, "unified", 128): page & 127},
            {(1, "code", 32): code & 31, (2, "unified", 128): code & 127}]
    tap.check("TLB sets: bits of the address, for data and for code", [] if sets == want else [f"{sets}", f"{want}"])
    saved = os.path.join(PROGRAMS, "at.snapshot")
    memwhy("record", "-o", saved, process.pid)
    d = memwhy("at", "--json", saved, hex(a))["addresses"][0]
    d2 = memwhy("at", "--json", "--cpuid", words, saved, hex(a))["addresses"][0]
    live = memwhy("at", "--json", process.pid, hex(a))["addresses"][0]
    tap.check("of a saved snapshot they are those of its own processor, or of --cpuid",
              [] if d["tlb_sets"] == live["tlb_sets"] and d2["tlb_sets"] == found[0]["tlb_sets"]
              else [str(d["tlb_sets"]), str(live["tlb_sets"]), str(d2["tlb_sets"])])


def check_source(tap, process, claims):
    """Lines are addr2line's, inlined callers and all."""
    path = os.path.join(PROGRAMS, "touch")
    base = min(s for s, _, _, _, n in target.mappings(process.pid) if n == path)
    code = claims["code"][0]
    picks = [code + i for i in range(0, 40, 3)]
    out = subprocess.run(["addr2line", "-e", path], input="\n".join(hex(a - base) for a in picks), capture_output=True,
                         text=True, timeout=60).stdout.splitlines()
    found = memwhy("at", "--json", process.pid, *map(hex, picks))["addresses"]
    wrong = []
    for a, line, d in zip(picks, out, found):
        theirs = line.split(" (")[0].split("/")[-1]
        ours = d["source"] and f"{d['source'][0]['file'].split('/')[-1]}:{d['source'][0]['line']}"
        if ours != theirs and "?" not in theirs:
            wrong.append(f"{a:#x}: {ours}, addr2line: {theirs}")
    tap.check(f"source lines of {len(picks)} addresses are addr2line's", wrong)


# The code of the lambda is described inside its type, inside a function that has no code of its own.
LAMBDA = """
#include <stdio.h>
static volatile int one = 1;
static inline __attribute__((always_inline)) int inner(int x) { return x * one; }
static inline __attribute__((always_inline)) int middle(int x) { return inner(x) + one; }
template<typename T> struct Box {
	T n;
	T outer(T k) const { return [this, k]() __attribute__((noipa)) { return middle(k) + n; }(); }
};
int main() { Box<int> box = { one }; printf("{\\"ready\\":true}\\n"); fflush(stdout); return box.outer(getchar()); }
"""


def check_inlined(tap):
    """What was inlined into what, in all code of a program."""
    title = "callers that were inlined, in a lambda too, are addr2line's"
    with tempfile.TemporaryDirectory(prefix="memwhy-at-") as directory:
        source, path = os.path.join(directory, "lambda.cc"), os.path.join(directory, "lambda")
        with open(source, "w") as file:
            file.write(LAMBDA)
        built = shutil.which("g++") and subprocess.run(["g++", "-O2", "-g", "-no-pie", "-o", path, source], capture_output=True).returncode == 0
        if not built or not shutil.which("addr2line"):
            tap.skip(title, "no g++, or no addr2line")
            return
        start, size = text_section(path)
        picks = list(range(start, start + size, 3))
        symbols = subprocess.run(["nm", "-S", path], capture_output=True, text=True, check=True).stdout
        code = [(int(x[0], 16), int(x[1], 16)) for x in map(str.split, symbols.splitlines()) if len(x) == 4 and "outer" in x[3]]
        wrong, lines, out = [], [], ""
        with running([path], READY) as p:
            for group in [picks] + [list(range(at, at + n)) for at, n in code]:
                out = subprocess.run(["addr2line", "-ai", "-e", path], input="\n".join(map(hex, group)), capture_output=True, text=True,
                                     timeout=60).stdout
                lines = [re.findall(r"([^/\s]+:\d+)(?: |$)", part, flags=re.M) for part in re.split("^0x.*$", out, flags=re.M)[1:]]
                found = memwhy("at", "--json", p.pid, *map(hex, group))["addresses"]
                ours = [[f"{s['file'].split('/')[-1]}:{s['line']}" for s in d["source"]] for d in found]
                wrong += [f"{a:#x}: {o}, addr2line: {t}" for a, o, t in zip(group, ours, lines) if t and o != t]
    # the last ones were of the lambda: something must have been inlined there
    tap.check(title, wrong[:20] if wrong or any(len(t) > 1 for t in lines) else ["nothing is inlined", out])


TWICE = """
import ctypes, sys
libc = ctypes.CDLL(None)
libc.dlmopen.restype = libc.dlsym.restype = ctypes.c_void_p
handles = [ctypes.CDLL(sys.argv[1])._handle, libc.dlmopen(ctypes.c_long(-1), sys.argv[1].encode(), 2)]
assert handles[1], "dlmopen"
for handle in handles:
    for name in ("slots_write", "slots_plain", "slots_const", "slots_data"):
        print('{"symbol":"%s","address":%d}' % (name, libc.dlsym(ctypes.c_void_p(handle), name.encode())))
print('{"ready":true}', flush=True)
sys.stdin.read()
"""


def check_twice(tap):
    """One library, loaded twice: each instance has its own load bias, and its segments allow some more."""
    with running([sys.executable, "-c", TWICE, os.path.join(PROGRAMS, "libslots.so")], READY) as p:
        claims = [c for c in p.claims if "symbol" in c]
        if not claims:
            tap.skip("a library that is loaded twice", "dlmopen(3) does not load it")
            return
        wrong = []
        for c in claims:
            d = memwhy("at", "--json", p.pid, hex(c["address"] + 1))["addresses"][0]
            if (d["symbol"], d["symbol_offset"]) != (c["symbol"], 1):
                wrong.append(f"{c['address']:#x} + 1 in {c['symbol']}: {d['symbol']} + {d['symbol_offset']}")
        tap.check(f"{len(claims)} symbols of a library that is loaded twice", wrong)


HUGE = """
import ctypes, mmap, sys
m = mmap.mmap(-1, 4 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
m.madvise(mmap.MADV_HUGEPAGE)
start = ctypes.addressof(ctypes.c_char.from_buffer(m))
start = (start + (2 << 20) - 1) & -(2 << 20)
ctypes.memset(start, 1, 2 << 20)
print('{"address":%d}' % start, flush=True)
print('{"ready":true}', flush=True)
sys.stdin.read()
"""


def check_huge(tap):
    """In a huge page the walk ends at the PMD, and the offset has 21 bits."""
    with running([sys.executable, "-c", HUGE], READY) as p:
        a = next((c["address"] for c in p.claims if "address" in c), 0)
        with open(f"/proc/{p.pid}/smaps") as file:
            is_huge = any(line.startswith("AnonHugePages:") and int(line.split()[1]) >= 2048 for line in file)
        if not a or not is_huge:
            tap.skip("a huge page", "the kernel gives none here")
            return
        d = memwhy("at", "--json", p.pid, hex(a + 0x123456))["addresses"][0]
        entry = target.pagemap(p.pid, a + 0x123000, a + 0x124000)[0][1]
        want = {"page_size": 2 << 20, "page_offset": 0x123456, "resident": True}
        wrong = [f"{k} is {d[k]}, must be {v}" for k, v in want.items() if d[k] != v]
        if d["translation"][-1]["level"] != "PMD":
            wrong.append(f"levels {d['translation']}")
        if entry & PFN and int(d["physical"], 16) != (entry & PFN) * PAGE + 0x456:
            wrong.append(f"physical {d['physical']}, pagemap {(entry & PFN) * PAGE + 0x456:#x}")
        tap.check("a huge page is translated as one", wrong)


def check_translations(tap, process):
    """Physical addresses of many pages are pagemap's."""
    real = {a: (e & PFN) for s, t, _, _, n in target.mappings(process.pid) if not n.startswith("[v")
            for a, e in target.pagemap(process.pid, s, t) if e >> 63}
    if not any(real.values()):
        tap.skip("translations", "frame numbers need CAP_SYS_ADMIN")
        return
    pick = random.Random(1).sample(sorted(real), min(500, len(real)))
    found = memwhy("at", "--json", process.pid, "-", text="\n".join(hex(a + 7) for a in pick))["addresses"]
    wrong = [x["address"] for x in found if int(x["physical"], 16) != real[int(x["address"], 16) & ~0xfff] * PAGE + 7]
    tap.check(f"{len(pick)} translations are pagemap's", wrong)


def text_section(path):
    out = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    part = next(x for x in out.splitlines() if " .text " in x).replace("[", " ").replace("]", " ").split()
    return int(part[3], 16), int(part[5], 16)


def check_gdb(tap):
    go = os.path.join(BUILD, "tests/live/server")
    if not shutil.which("gdb") or not os.path.exists(go):
        tap.skip("gdb", "no gdb, or no Go server")
        return
    start, size = text_section(go)
    source = random.Random(2)
    picks = [start + source.randrange(size) for _ in range(RANDOM)]
    script = os.path.join(PROGRAMS, "gdb.script")
    with open(script, "w") as file:
        file.write("set demangle-style none\nset print demangle off\n")
        file.writelines(f"info symbol {a:#x}\n" for a in picks)
    out = subprocess.run(["gdb", "-nx", "-batch", "-x", script, go], capture_output=True, text=True, timeout=300).stdout
    lines = [x for x in out.splitlines() if " in section " in x or x.startswith("No symbol")]
    with running([go], READY) as p:
        found = memwhy("at", "--json", p.pid, "-", text="\n".join(map(hex, picks)))["addresses"]
    wrong = []
    for a, line, d in zip(picks, lines, found):
        theirs = re.match(r"(.*?)(?: \+ (\d+))? in section", line)
        name, offset = (theirs[1], int(theirs[2] or 0)) if theirs else (None, None)
        if name and name.endswith("(.text)"):
            continue  # cgo's label of a whole object file, at the address of its first function
        if (d["symbol"], d["symbol_offset"]) != (name, offset):
            wrong.append(f"{a:#x}: {d['symbol']}+{d['symbol_offset']}, gdb: {line}")
    if len(lines) != len(picks):
        wrong.append(f"gdb answered {len(lines)} of {len(picks)}")
    tap.check(f"gdb agrees on {RANDOM} random code addresses ({len(wrong)} differ)", wrong[:20])


def check_addr2line(tap, process):
    """addr2line knows names of the symbol table only when there are no debug sections: so of a stripped copy."""
    path = os.path.join(PROGRAMS, "touch")
    plain = os.path.join(PROGRAMS, "touch-plain")
    subprocess.run(["strip", "--strip-debug", "-o", plain, path], check=True)
    start, size = text_section(path)
    base = min(s for s, _, _, _, n in target.mappings(process.pid) if n == path)
    picks = [start + random.Random(i).randrange(size) for i in range(RANDOM)]
    out = subprocess.run(["addr2line", "-f", "-e", plain], input="\n".join(map(hex, picks)), capture_output=True,
                         text=True, timeout=60).stdout.splitlines()[::2]
    found = memwhy("at", "--json", process.pid, "-", text="\n".join(hex(base + a) for a in picks))["addresses"]
    # addr2line lets a function reach up to the next one, over the padding between them
    wrong = [f"{a:#x}: {d['symbol']}, addr2line: {n}" for a, n, d in zip(picks, out, found) if d["symbol"] not in (n, None)]
    known = sum(d["symbol"] is not None for d in found)
    tap.check(f"addr2line agrees on {known} of {RANDOM} addresses, the rest is padding", wrong[:20] + ([] if known > RANDOM // 2 else ["too few"]))


def check_stubs(tap, process):
    """No symbol table has the stubs of a procedure linkage table; objdump names them by relocations, too."""
    if not shutil.which("objdump") or os.uname().machine != "x86_64":
        tap.skip("stubs are named as objdump does", "no objdump, or stubs that are not known")
        return
    wrong, count, bases = [], 0, {}
    for start, _, _, _, name in target.mappings(process.pid):
        if name.startswith("/"):
            bases.setdefault(name, start)
    for path, base in bases.items():
        out = subprocess.run(["objdump", "-d", "-j", ".plt", "-j", ".plt.sec", "-j", ".plt.got", path], capture_output=True, text=True,
                             timeout=120).stdout
        stubs = [(int(a, 16), name) for a, name in re.findall(r"^([0-9a-f]+) <(.*@plt)>:$", out, re.M)]
        count += len(stubs)
        text = "\n".join(hex(base + a + 2) for a, _ in stubs)
        found = memwhy("at", "--json", process.pid, "-", text=text)["addresses"] if stubs else []
        wrong += [f"{path} {a:#x}: {d['symbol_raw']}+{d['symbol_offset']}, objdump: {name}" for (a, name), d in zip(stubs, found)
                  if (d["symbol_raw"], d["symbol_offset"]) != (name, 2)]
    tap.check("stubs are named as objdump does", wrong[:20] if count else ["objdump names none"])


def main():
    tap = Tap()
    with running([os.path.join(PROGRAMS, "touch")], READY) as p:
        claims = {c["symbol"]: (int(c["address"], 16), c["size"]) for c in p.claims if "symbol" in c}
        check_pages(tap, p, claims)
        check_words(tap, p)
        check_frames(tap, p, claims)
        check_facts(tap, p, claims)
        check_edges(tap, p)
        check_sets(tap, p, claims)
        check_translations(tap, p)
        check_addr2line(tap, p)
        check_source(tap, p, claims)
        check_stubs(tap, p)
    with running([os.path.join(PROGRAMS, "touch-now")], READY) as p:
        check_stubs(tap, p)
    check_inlined(tap)
    check_twice(tap)
    check_huge(tap)
    check_gdb(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
