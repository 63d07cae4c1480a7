#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy sections against programs that know their pages, readelf, pagemap, and memwhy explain."""

import collections
import os
import shutil
import subprocess
import sys
import time

import target
from target import BUILD, PAGE, READY, Tap, memwhy, running

PROGRAMS = os.path.join(BUILD, "tests/pages")
SUMS = ("mapped", "resident", "file", "anonymous", "copied", "relocation", "cleared", "written", "new",
        "shmem", "huge", "zero", "swap", "cached", "uncached", "absent")
CUBLAS = "/usr/local/cuda-13.0/lib/libcublasLt.so.13"


def check_symbols(tap, process):
    doc = memwhy("sections", "--symbols", "--json", process.pid, "touch")
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


def own_pages(path):
    """The page of .got.plt's second and third word, which lazy binding needs."""
    text = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        part = line.replace("[", " ").replace("]", " ").split()
        if len(part) > 4 and part[1] == ".got.plt":
            return {(int(part[3], 16) + 8) // PAGE * PAGE, (int(part[3], 16) + 16) // PAGE * PAGE}
    return set()


def check_relocs(tap, process, name, binding):
    doc = memwhy("sections", "--relocs", "--json", process.pid, name)
    row, image = doc["relocations"][0], doc["objects"][0]
    bias, path = int(image["load_bias"], 16), image["path"]
    copies = {start - bias for s, e, _, _, n in target.mappings(process.pid) if n == path
              for start, entry in target.pagemap(process.pid, s, e) if target.is_copy(entry)}
    relocs = reloc_pages(path)
    wrong = []
    if row["binding"] != binding:
        wrong.append(f"binding is {row['binding']}, must be {binding}")
    if row["copied_pages"] != len(copies):
        wrong.append(f"{row['copied_pages']} copied pages, pagemap has {len(copies)}")
    if not len(copies & relocs) <= row["linker_pages"] <= len(copies & (relocs | own_pages(path))) + 1:
        wrong.append(f"{row['linker_pages']} pages by the linker; readelf and pagemap: {len(copies & relocs)}")
    if row["linker_pages"] + row["cleared_pages"] + row["program_pages"] != len(copies):
        wrong.append(f"the parts do not add up: {row}")
    tap.check(f"--relocs of {name} ({binding})", wrong)
    return row


def check_library(tap, process):
    row = check_relocs(tap, process, "libslots", "lazy")
    tap.check("the one page of the library that the program wrote is the program's",
              [] if row["program_pages"] == 1 else [str(row)])
    tap.check("relative relocations are counted", [] if row["relative"] >= 6144 or row["symbolic"] >= 6144 else [str(row)])


def by_object(rows, name, keys):
    sums = collections.defaultdict(lambda: [0] * len(keys))
    for row in rows:
        sums[row[name]] = [a + row[k] for a, k in zip(sums[row[name]], keys)]
    return sums


def check_sums(tap, title, pid):
    """Sections sum to objects, objects to what explain says of them, to the byte; nothing negative."""
    explain, doc = memwhy("explain", "--json", pid), memwhy("sections", "--symbols", "--json", pid)
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
    tap.check(f"{title}: {len(doc['objects'])} objects equal explain's lines", wrong)
    return doc


def check_programs(tap):
    go = os.path.join(BUILD, "tests/live/server")
    python = "import ssl, json, sys; print('ready', flush=True); sys.stdin.read()"
    with running([sys.executable, "-c", python], b"ready\n") as p:
        check_sums(tap, "python3", p.pid)
    if os.path.exists(go):
        with running([go], READY) as p:
            check_sums(tap, "Go server", p.pid)
        stripped = os.path.join(PROGRAMS, "server-stripped")
        subprocess.run(["strip", "-o", stripped, go], check=True)
        with running([stripped], READY) as p:
            doc = check_sums(tap, "stripped Go server", p.pid)
            program = doc["objects"][0]
            names = {s["symbol"] for s in program["symbols"]}
            tap.check("names of a stripped Go program come from .gopclntab",
                      [] if program["symbols_from"] == ".gopclntab" and {"main.main", "runtime.mallocgc"} <= names
                      else [program["symbols_from"], str(len(names))])
    else:
        tap.skip("Go server", "not built")
    for name in ("node", "chromium"):
        if not shutil.which(name):
            tap.skip(name, "not installed")
            continue
        argv = [name, "-e", "setTimeout(() => {}, 60000); console.log('ready')"] if name == "node" else \
            [name, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "about:blank"]
        with running(argv, b"ready\n" if name == "node" else None) as p:
            time.sleep(0 if name == "node" else 4)  # it says nothing when it is ready
            check_sums(tap, name, p.pid)
    if os.path.exists(CUBLAS):
        code = f"import ctypes, sys; ctypes.CDLL({CUBLAS!r}); print('ready', flush=True); sys.stdin.read()"
        env = dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(CUBLAS))
        with running([sys.executable, "-c", code], b"ready\n", env=env) as p:
            if p.is_ready:
                check_sums(tap, "a shared object of 500 MB", p.pid)
            else:
                tap.skip("a shared object of 500 MB", "it cannot be loaded")
    else:
        tap.skip("a shared object of 500 MB", "there is none")


def check_manners(tap, process):
    memwhy("sections", process.pid, "nosuch", status=3)
    memwhy("sections", process.pid, "libc", "more", status=2)
    text = memwhy("sections", process.pid, "libslots")
    tap.check("text lists the sections of one library", [] if ".data.rel.ro" in text and "sum" in text else [text])
    text = memwhy("sections", "--symbols", process.pid, "touch")
    tap.check("text lists symbols", [] if "data_three" in text else [text])


def main():
    tap = Tap()
    with running([os.path.join(PROGRAMS, "touch")], READY) as p:
        check_symbols(tap, p)
        check_cold_and_hot(tap, p)
        check_relocs(tap, p, "touch", "lazy")
        check_library(tap, p)
        check_sums(tap, "touch", p.pid)
        check_manners(tap, p)
    with running([os.path.join(PROGRAMS, "touch-now")], READY) as p:
        check_relocs(tap, p, "touch-now", "now")
    check_programs(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
