#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy sections against programs that know their pages, readelf, pagemap, and memwhy explain."""

import collections
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile

import target
from target import BUILD, PAGE, READY, Tap, memwhy, running

PROGRAMS = os.path.join(BUILD, "tests/pages")
SUMS = ("mapped", "resident", "file", "anonymous", "copied", "relocation", "cleared", "written", "new",
        "shmem", "huge", "zero", "swap", "cached", "uncached", "absent")


def check_symbols(tap, process, name="touch"):
    doc = memwhy("sections", "--symbols", "--json", process.pid, name)
    found = {s["symbol"]: s for o in doc["objects"] for s in o["symbols"]}
    for claim in (c for c in process.claims if c.get("expect")):
        row, wrong = found.get(claim["symbol"]), []
        if not row:
            wrong.append("not listed")
        elif int(row["address"], 16) != int(claim["address"], 16) or row["size"] != claim["size"]:
            wrong.append(f"at {row['address']}, {row['size']} bytes; is at {claim['address']}, {claim['size']}")
        else:
            wrong += [f"{k} is {row[k]}, must be {v}" for k, v in claim["expect"].items() if row[k] != v]
        tap.check(f"symbol {claim['symbol']}", wrong)
    return doc


def check_truth_section(tap, doc):
    truth = next(s for o in doc["objects"] for s in o["sections"] if s["section"] == ".truth")
    tap.check("section .truth: one page written, the rest untouched",
              [] if (truth["resident"], truth["written"], truth["size"]) == (PAGE, PAGE, 3 * 65536) else [str(truth)])


def check_cold_and_hot(tap, process):
    doc = memwhy("sections", "--cold", "--hot", "--json", process.pid, "touch")
    cold, hot = ({s["symbol"] for s in doc[key]} for key in ("cold", "hot"))
    want_cold = {"data_cold", "truth_cold", "truth_end", "bss_cold"}
    want_hot = {"data_one", "data_three", "data_all", "truth_one", "bss_one", "bss_all", "relocated"}
    tap.check("--cold has what was never touched", sorted(want_cold - cold) + sorted(cold & want_hot))
    tap.check("--hot has what is resident", sorted(want_hot - hot) + sorted(hot & want_cold))


def reloc_pages(path):
    """Pages (without load bias) that relocations of this file write, by readelf."""
    text = subprocess.run(["readelf", "-rW", path], capture_output=True, text=True, check=True).stdout
    pages = set()
    for line in text.splitlines():
        part = line.split()
        if len(part) >= 3 and len(part[0]) == 16 and "R_" in part[2]:
            pages.add(int(part[0], 16) // PAGE * PAGE)
    return pages


def section(path, name):
    """Address, size and file offset of a section, or None."""
    text = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        part = line.replace("[", " ").replace("]", " ").split()
        if len(part) > 5 and part[1] == name:
            return int(part[3], 16), int(part[5], 16), int(part[4], 16)
    return None


def own_pages(path, binding):
    """Where the dynamic linker keeps words of its own: two of .got.plt for lazy binding, DT_DEBUG of a program."""
    words = []
    plt = section(path, ".got.plt")
    if plt and binding == "lazy":
        words += [plt[0] + 8, plt[0] + 16]
    text = subprocess.run(["readelf", "-dW", path], capture_output=True, text=True, check=True).stdout
    tags = [x for x in text.splitlines() if x.strip().startswith("0x")]
    words += [section(path, ".dynamic")[0] + 16 * i + 8 for i, x in enumerate(tags) if "(DEBUG)" in x]
    return {w // PAGE * PAGE for w in words}


def cleared_pages(path):
    """Pages that hold the end of a segment's file part, with memory behind it."""
    text = subprocess.run(["readelf", "-lW", path], capture_output=True, text=True, check=True).stdout
    found = set()
    for line in text.splitlines():
        part = line.split()
        if part and part[0] == "LOAD" and int(part[5], 16) > int(part[4], 16):
            found.add((int(part[2], 16) + int(part[4], 16)) // PAGE * PAGE)
    return found


def check_relocs(tap, process, name, binding, title=""):
    """Why each copied page was copied: readelf and pagemap, page by page."""
    doc = memwhy("sections", "--relocs", "--json", process.pid, name)
    row, image = doc["relocations"][0], doc["objects"][0]
    bias, path = int(image["load_bias"], 16), image["path"]
    copies = {start - bias for s, e, _, _, n in target.mappings(process.pid) if n == path
              for start, entry in target.pagemap(process.pid, s, e) if target.is_copy(entry)}
    linker = reloc_pages(path) | own_pages(path, binding)
    want = {a: "relocation" if a in linker else "start of .bss" if a in cleared_pages(path) else "write" for a in copies}
    ours = {int(x["address"], 16) - bias: x["copied_by"] for x in
            memwhy("at", "--json", process.pid, "-", text="\n".join(hex(a + bias) for a in sorted(copies)))["addresses"]}
    wrong = [f"page {a:#x}: {ours.get(a)}, must be {w}" for a, w in want.items() if ours.get(a) != w]
    counts = {k: list(want.values()).count(w) for k, w in
              (("linker_pages", "relocation"), ("cleared_pages", "start of .bss"), ("program_pages", "write"))}
    wrong += [f"{k} is {row[k]}, must be {v}" for k, v in counts.items() if row[k] != v]
    if row["binding"] != binding:
        wrong.append(f"binding is {row['binding']}, must be {binding}")
    if row["copied_pages"] != len(copies):
        wrong.append(f"{row['copied_pages']} copied pages, pagemap has {len(copies)}")
    tap.check(f"--relocs of {name} ({binding}{title}): the reason of each of {len(copies)} copied pages", wrong)
    return row, {s["section"]: s for s in image["sections"]}


def check_library(tap, process, binding, title=""):
    row, sections = check_relocs(tap, process, "libslots", binding, title)
    tap.check("the one page of the library that the program wrote is the program's",
              [] if row["program_pages"] == 1 else [str(row)])
    tap.check("one page was copied for the start of .bss", [] if row["cleared_pages"] == 1 else [str(row)])
    tap.check("relative relocations are counted, and 1024 PLT slots",
              [] if row["relative"] + row["symbolic"] >= 6144 and row["plt"] >= 1024 else [str(row)])
    wrong = []
    for name in (".data.rel.ro", ".got.plt"):
        s = sections[name]
        wrong += [f"{name}: {k} is {s[k]}, must be {s['size']}" for k in ("resident", "copied", "relocation") if s[k] != s["size"]]
    if sections[".got.plt"]["size"] < 2 * PAGE or sections[".data.rel.ro"]["size"] < 8 * PAGE:
        wrong.append("the library is not what it should be")
    tap.check(f"all of .data.rel.ro and .got.plt was relocated ({binding}{title})", wrong)


def by_object(rows, name, keys):
    sums = collections.defaultdict(lambda: [0] * len(keys))
    for row in rows:
        sums[row[name]] = [a + row[k] for a, k in zip(sums[row[name]], keys)]
    return sums


def check_sums(tap, title, pid):
    """Sections sum to objects, objects to what explain says of them, to the byte; nothing negative."""
    for _ in range(5):  # a program that runs between the two is looked at again
        explain, doc = memwhy("explain", "--json", pid), memwhy("sections", "--symbols", "--json", pid)
        wrong = compare_sums(explain, doc)
        if not wrong:
            break
    tap.check(f"{title}: {len(doc['objects'])} objects equal explain's lines", wrong)
    return doc


def compare_sums(explain, doc):
    wrong = []
    for o in doc["objects"]:
        for key in SUMS:
            parts = [s[key] for s in o["sections"]]
            if any(p is not None and p < 0 for p in parts):
                wrong.append(f"{o['path']}: negative {key}")
            if o[key] is not None and sum(p or 0 for p in parts) != o[key]:
                wrong.append(f"{o['path']}: {key}: sections {sum(p or 0 for p in parts)}, object {o[key]}")
        if o["residual"] != 0:
            wrong.append(f"{o['path']}: residual {o['residual']}")
        wrong += [f"{o['path']}: {s['section']} is {s['size']} bytes, but has {s['mapped']}"
                  for s in o["sections"] if s["mapped"] > s["size"]]
        wrong += [f"{o['path']}: {s['symbol']} is {s['size']} bytes, but has {s['mapped']}"
                  for s in o["symbols"] if s["mapped"] > s["size"]]
        inside = sum(s["resident"] for s in o["symbols"])
        if inside > o["resident"]:
            wrong.append(f"{o['path']}: symbols have {inside} resident bytes, the object {o['resident']}")
    # a piece of a file that is mapped elsewhere as data is an object of its own, by the same name
    images = [o for o in explain["objects"] if o["owner"] != "mapped-file"]
    theirs = by_object(images, "object", ("vsz", "rss", "anonymous", "file", "swap"))
    ours = by_object(doc["objects"], "path", ("mapped", "resident", "anonymous", "file", "swap"))
    wrong += [f"{p}: sections {v}, explain {theirs[p]}" for p, v in ours.items() if v != theirs[p]]
    if len(doc["objects"]) < 1:
        wrong.append("no object at all")
    return wrong


def check_shapes(tap):
    """C++ names, a page of two sections, code that was called and code that was not, swapped pages."""
    path = os.path.join(PROGRAMS, "shapes")
    with running([path], READY) as p:
        check_symbols(tap, p, "shapes")
        doc = memwhy("sections", "--cold", "--hot", "--json", p.pid, "shapes")
        sections = {s["section"]: s for s in doc["objects"][0]["sections"]}
        near = [int(sections[n]["address"], 16) // PAGE for n in ("sec_a", "sec_b")]
        wrong = ["the sections do not share a page"] if near[0] != near[1] else []
        wrong += [f"{n}: {sections[n]}" for n, size in (("sec_a", 100), ("sec_b", 200)) if sections[n]["written"] != size]
        tap.check("a page of two sections counts in each with its own bytes", wrong)
        total = doc["objects"][0]["written"]
        real = sum(PAGE for s, e, _, _, n in target.mappings(p.pid) if n == path
                   for a, entry in target.pagemap(p.pid, s, e) if target.is_copy(entry))
        tap.check("and once in the sum", [] if doc["objects"][0]["copied"] == real and total < real else
                  [f"copied {doc['objects'][0]['copied']}, pagemap {real}"])
        hot, cold = ({s["symbol"].split("(")[0] for s in doc[k]} for k in ("hot", "cold"))
        tap.check("a function that was called is hot, one that was not is cold",
                  [] if "shapes::once" in hot - cold and "shapes::never" in cold - hot else [str(hot), str(cold)])
        starts = next(c["swapped"] for c in p.claims if "swapped" in c)
        swapped = [sum(e >> 62 & 1 for _, e in target.pagemap(p.pid, int(s, 16), int(s, 16) + 65536)) for s in starts]
        if not any(swapped):
            tap.skip("swapped variables", "the kernel swapped nothing out: no swap space, or it saw no need")
            return
        rows = {s["symbol"]: s for s in memwhy("sections", "--symbols", "--json", p.pid, "shapes")["objects"][0]["symbols"]}
        wrong = [f"{n}: swap {rows[n]['swap']}, pagemap {k * PAGE}" for n, k in zip(("swapped_data", "swapped_bss"), swapped)
                 if rows[n]["swap"] != k * PAGE]
        tap.check(f"{sum(swapped)} swapped pages", wrong)


def cached_pages(path):
    """Which pages of a file are in the page cache, by mincore: it tells the truth to the file's owner."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        at = libc.mmap(None, size, 1, 1, file.fileno(), 0)
        vec = (ctypes.c_ubyte * ((size + PAGE - 1) // PAGE))()
        if libc.mincore(ctypes.c_void_p(at), ctypes.c_size_t(size), vec):
            raise OSError(ctypes.get_errno(), "mincore")
        libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(size))
    return {i for i, v in enumerate(vec) if v & 1}


def check_cache(tap):
    """Pages that are not mapped: in the page cache or not, against mincore, after dropping what can be dropped."""
    directory = tempfile.mkdtemp(prefix="cache-", dir=PROGRAMS)
    try:
        for name in ("touch", "libslots.so"):
            shutil.copy(os.path.join(PROGRAMS, name), directory)
        path = os.path.join(directory, "touch")
        with running([path], READY) as p:
            for attempt in range(5):
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    os.pread(file.fileno(), 100, section(path, ".truth")[2] + 65536 + 5 * PAGE)  # some come back
                before = cached_pages(path)
                doc = memwhy("pages", "--json", p.pid, "touch")
                sections = memwhy("sections", "--json", p.pid, "touch")["objects"][0]
                mapped = [m for m in target.mappings(p.pid) if m[4] == path]
                ours = {}
                for run in doc["runs"]:
                    for a in range(int(run["start"], 16), int(run["end"], 16), PAGE):
                        for s, e, _, off, _ in mapped:
                            if s <= a < e and run["state"] in ("cached", "uncached"):
                                ours.setdefault((off + a - s) // PAGE, set()).add(run["state"])
                wrong = [f"page {n}: {found}, mincore says {n in before}" for n, found in sorted(ours.items())
                         if found != {"cached" if n in before else "uncached"}]
                kinds = {x for found in ours.values() for x in found}
                if not wrong and kinds == {"cached", "uncached"}:
                    break
        if not ours:
            tap.skip("page cache", "the kernel does not tell what is in the cache (cachestat, Linux 6.5)")
            return
        tap.check(f"{len(ours)} pages that are not mapped: in the cache or not, as mincore says",
                  wrong if kinds == {"cached", "uncached"} else [f"not both kinds: {kinds}", *wrong])
        # looking at it reads some of the file, so there may be more in the cache by now
        absent = sum(r["pages"] * PAGE for r in doc["runs"] if r["state"] in ("cached", "uncached"))
        tap.check("of its sections, too", [] if sections["cached"] and sections["uncached"] and
                  sections["cached"] + sections["uncached"] == absent else [str(sections["cached"]), str(sections["uncached"]), str(absent)])
    finally:
        shutil.rmtree(directory)


MAPPED = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
file = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(file).st_size
assert libc.mmap(None, ctypes.c_size_t(size), 1, 2, file, ctypes.c_long(0)) != ctypes.c_void_p(-1).value
print("ready", flush=True)
sys.stdin.read()
"""


def check_unread(tap):
    """A library that is mapped as data and never touched: looking at the process does not bring it into memory."""
    name = "a file that is not in memory is not read"
    directory = tempfile.mkdtemp(prefix="unread-", dir=PROGRAMS)
    try:
        path = os.path.join(directory, "libslots.so")
        shutil.copy(os.path.join(PROGRAMS, "libslots.so"), path)
        with running([sys.executable, "-c", MAPPED, path], b"ready\n") as p:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if cached_pages(path):
                tap.skip(name, "the file stays in the page cache here")
                return
            for view in ("explain", "maps", "sections", "pages"):
                memwhy(view, p.pid)
            tap.check(name, [f"page {n} is in memory now" for n in sorted(cached_pages(path))[:5]])
    finally:
        shutil.rmtree(directory)


def check_programs(tap):
    go = os.path.join(BUILD, "tests/live/server")
    python = "import ssl, json, sys; print('ready', flush=True); sys.stdin.read()"
    with running([sys.executable, "-c", python], b"ready\n") as p:
        check_sums(tap, "python3", p.pid)
    if not os.path.exists(go):
        tap.skip("Go server", "not built")
        return
    with running([go], READY) as p:
        check_sums(tap, "Go server", p.pid)


def shared_pages(pid):
    """Anonymous pages that a process has in common with another: present, neither of a file (61) nor its own (56)."""
    return {address for start, end, *_ in target.mappings(pid) if start < 1 << 47 for address, entry in target.pagemap(pid, start, end)
            if entry >> 56 & 0xa1 == 0x80}


def check_forked(tap):
    """Looking at a child copies none of the pages that it shares with its parent."""
    views = [["explain"], ["maps"], ["sections", "--symbols"], ["pages"], ["tlb"], ["heap"], ["record", "-o", "/dev/null"]]
    with running([os.path.join(PROGRAMS, "fork")], READY) as p:
        child = p.claims[0]["child"]
        before = shared_pages(child)
        tap.check("a forked child shares pages with its parent", [] if len(before) > 256 else [f"{len(before)}: {p.output}"])
        for view in [*views, ["at", hex(min(before, default=0))], ["at", hex(max(before, default=0))]]:
            subprocess.run([target.MEMWHY, view[0], str(child), *view[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
            gone = before - shared_pages(child)
            tap.check(f"{' '.join(view)}: it shares them afterwards", [f"not page {page:x}" for page in sorted(gone)[:5]])


def check_text(tap, process):
    text = memwhy("sections", "--relocs", process.pid)
    tap.check("--relocs explains its columns", [] if "LINKER: the page has relocations" in text else [text])


def check_manners(tap, process):
    memwhy("sections", process.pid, "nosuch", status=3)
    memwhy("sections", process.pid, "libc", "more", status=2)
    text = memwhy("sections", process.pid, "libslots")
    tap.check("text lists the sections of one library", [] if ".data.rel.ro" in text and "sum" in text else [text])
    text = memwhy("sections", "--symbols", process.pid, "touch")
    rows = memwhy("sections", "--symbols", "--json", process.pid, "libslots")["objects"][0]["symbols"]
    tap.check("JSON has every symbol", [] if len(rows) > 1024 else [f"{len(rows)} rows"])
    tap.check("text lists symbols", [] if "data_three" in text else [text])


def main():
    tap = Tap()
    with running([os.path.join(PROGRAMS, "touch")], READY) as p:
        check_truth_section(tap, check_symbols(tap, p))
        check_cold_and_hot(tap, p)
        check_relocs(tap, p, "touch", "lazy")
        check_library(tap, p, "lazy")
        check_text(tap, p)
        check_sums(tap, "touch", p.pid)
        check_manners(tap, p)
    with running([os.path.join(PROGRAMS, "touch-now")], READY) as p:
        check_relocs(tap, p, "touch-now", "now")
    with running([os.path.join(PROGRAMS, "touch")], READY, env=dict(os.environ, LD_BIND_NOW="1")) as p:
        check_relocs(tap, p, "touch", "now", " by LD_BIND_NOW")
        check_library(tap, p, "now", " by LD_BIND_NOW")
    with running([os.path.join(PROGRAMS, "touch")], READY, env=dict(os.environ, LD_BIND_NOW="")) as p:
        check_relocs(tap, p, "touch", "lazy", " by an empty LD_BIND_NOW")
    check_shapes(tap)
    check_cache(tap)
    check_unread(tap)
    check_forked(tap)
    check_programs(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
