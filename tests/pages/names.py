#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where names come from: separate debug files by build ID and debug link, Go's .gopclntab, C++ and Rust."""

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
GO = os.path.join(BUILD, "tests/live/server")
ADDRESSES = 3000


def run(*argv):
    subprocess.run(argv, check=True, capture_output=True)


def program_of(pid):
    return memwhy("sections", "--symbols", "--json", pid)["objects"][0]


def names_of(path):
    """symbols_from, and the names at their offsets with what is resident of each, of a new process."""
    with running([path], READY) as p:
        o = program_of(p.pid)
    bias = int(o["load_bias"], 16)
    return o["symbols_from"], {(int(s["address"], 16) - bias, s["symbol"]): s["written"] for s in o["symbols"]}


def without_id(path, to):
    run("objcopy", "--remove-section=.note.gnu.build-id", path, to)


def check_link(tap, directory, title, prepare, place, wanted):
    """A stripped copy of shapes with a debug link; its debug file lies at place. wanted: must be used."""
    source, plain = os.path.join(directory, "source"), os.path.join(directory, "plain")
    debug = os.path.join(directory, *place)
    os.makedirs(os.path.dirname(debug), exist_ok=True)
    prepare(os.path.join(PROGRAMS, "shapes"), source)
    link = os.path.join(directory, "plain.debug")
    run("objcopy", "--only-keep-debug", source, link)
    run("strip", "-o", plain, source)
    run("objcopy", f"--add-gnu-debuglink={link}", plain)
    if link != debug:
        os.rename(link, debug)
    if not wanted:
        other = os.path.join(directory, "other")
        prepare(os.path.join(PROGRAMS, "touch"), other)     # another program's names, under the name of the link
        run("objcopy", "--only-keep-debug", other, debug)
    whole, found = names_of(source), names_of(plain)
    if wanted:
        wrong = [] if found[0] == debug and found[1] == whole[1] and len(found[1]) > 15 else \
            [f"from {found[0]}: {len(found[1])} names, the whole file has {len(whole[1])}"]
    else:
        wrong = [] if found[0] in (".dynsym", None) and not any("data_three" in n for _, n in found[1]) else [f"from {found[0]}"]
    tap.check(title, wrong)
    shutil.rmtree(directory)
    os.mkdir(directory)


def check_debug_files(tap):
    if not shutil.which("objcopy"):
        tap.skip("separate debug files", "no objcopy")
        return
    with tempfile.TemporaryDirectory(prefix="memwhy-names-") as directory:
        check_link(tap, directory, "names of a stripped program come from the file of its debug link", shutil.copy,
                   ("plain.debug",), True)
        check_link(tap, directory, "likewise from .debug", shutil.copy, (".debug", "plain.debug"), True)
        check_link(tap, directory, "without a build ID the checksum decides", without_id, ("plain.debug",), True)
        check_link(tap, directory, "the debug file of another build ID is not believed", shutil.copy, ("plain.debug",), False)
        check_link(tap, directory, "nor one with another checksum", without_id, ("plain.debug",), False)
        wrong = []
        stripped = os.path.join(directory, "stripped")
        run("strip", "-o", stripped, os.path.join(PROGRAMS, "shapes"))
        with running([stripped], READY) as p:
            text = memwhy("sections", "--symbols", p.pid, "stripped")
            wrong += [] if ".dynsym" in text else [text]
            text = memwhy("at", p.pid, next(c["address"] for c in p.claims if "symbol" in c))
            wrong += [] if "shapes::table<7>" not in text else [text]
        tap.check("without debug file only exported names are known, and it is said", wrong)
    installed_debug(tap)


def installed_debug(tap):
    """libc's debug file of the distribution, where it is installed."""
    with running([os.path.join(PROGRAMS, "touch")], READY) as p:
        doc = memwhy("sections", "--symbols", "--json", p.pid, "libc")
    o = doc["objects"][0]
    if not (o["symbols_from"] or "").startswith("/usr/lib/debug/"):
        tap.skip("debug file of libc", "not installed")
        return
    want = f"/usr/lib/debug/.build-id/{o['build_id'][:2]}/{o['build_id'][2:]}.debug"
    out = subprocess.run(["readelf", "-sW", want], capture_output=True, text=True, check=True).stdout
    real = {(int(x[1], 16), int(x[2], 0)) for x in map(str.split, out.splitlines())
            if len(x) >= 8 and x[0][:-1].isdigit() and x[3] in ("FUNC", "IFUNC", "OBJECT") and x[6].isdigit()}
    bias = int(o["load_bias"], 16)
    ours = {(int(s["address"], 16) - bias, s["size"]) for s in o["symbols"] if not s["symbol"].endswith("@plt")}
    tap.check(f"{len(ours)} functions and variables of libc's debug file, at their places",
              [hex(a) for a, n in sorted(ours) if (a, n) not in real][:5] + ([] if len(ours) > 4000 else [str(len(ours))]) +
              ([] if o["symbols_from"] == want else [o["symbols_from"]]))


def check_go(tap):
    if not os.path.exists(GO):
        tap.skip("names of Go", "no Go server")
        return
    with tempfile.TemporaryDirectory(prefix="memwhy-names-") as directory:
        stripped = os.path.join(directory, "server")
        run("strip", "-o", stripped, GO)
        compare_go(tap, "a stripped Go program (cgo)", GO, stripped)
        if not shutil.which("go"):
            tap.skip("other Go programs", "no go")
            return
        source = os.path.join(directory, "main.go")
        with open(source, "w") as file:
            file.write('package main\nimport ("fmt"; "io"; "net"; "os")\nfunc main() {\n'
                       'net.ParseIP("1");fmt.Println("{\\"ready\\":true}")\nio.Copy(io.Discard, os.Stdin)\n}\n')
        env = dict(os.environ, GOCACHE=os.path.join(BUILD, "tests/live/go-cache"), GO111MODULE="off")
        for mode, cgo in (("exe", "0"), ("pie", "0"), ("pie", "1")):
            whole, bare = (os.path.join(directory, f"{n}-{mode}{cgo}") for n in ("whole", "bare"))
            built = subprocess.run(["go", "build", f"-buildmode={mode}", "-o", whole, source], env=dict(env, CGO_ENABLED=cgo), capture_output=True,
                                   text=True, timeout=400)
            if built.returncode:
                tap.skip(f"Go, -buildmode={mode}", f"it cannot be built: {built.stderr.splitlines()[-1:]}")
                continue
            run("strip", "-o", bare, whole)
            compare_go(tap, f"a stripped Go program, -buildmode={mode}, cgo {cgo}", whole, bare)


def functions(path):
    out = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True, check=True).stdout
    for x in map(str.split, out.splitlines()):
        if len(x) == 8 and x[3] == "FUNC" and x[6].isdigit() and "." in x[7] and not x[7].startswith(("_cgo", "x_cgo")):
            yield x[7].removesuffix(".abi0"), int(x[1], 16)


def compare_go(tap, title, whole, stripped):
    """Addresses of .gopclntab are those of the symbol table that was stripped."""
    real = set(functions(whole))    # some names are there twice: with the stack's calling convention as well
    lines = source_lines(whole)
    with running([stripped], READY) as p:
        o = program_of(p.pid)
        bias = int(o["load_bias"], 16)
        asked = memwhy("at", "--json", p.pid, "-", text="\n".join(hex(a + bias) for a in lines))["addresses"]
    compare_lines(tap, title, lines, asked)
    ours = {(s["symbol"], int(s["address"], 16) - bias) for s in o["symbols"]}
    known = {n for n, _ in real}
    wrong = [f"{n}: {a:#x}" for n, a in sorted(ours - real) if n in known]
    found = {n for n, _ in ours & real}
    if o["symbols_from"] != ".gopclntab" or not {"main.main", "runtime.mallocgc"} <= found or len(found) < 1000:
        wrong.append(f"{len(ours)} names from {o['symbols_from']}, {len(found)} of them in the symbol table")
    tap.check(f"names of {title} are its symbol table's ({len(found)})", wrong[:5])


def source_lines(whole):
    """What addr2line finds in the DWARF that was stripped: function and place of random instructions."""
    code = next(x.replace("[", " ").replace("]", " ").split() for x in subprocess.run(
        ["readelf", "-SW", whole], capture_output=True, text=True, check=True).stdout.splitlines() if " .text " in x)
    picks = random.Random(5).sample(range(int(code[3], 16), int(code[3], 16) + int(code[5], 16)), ADDRESSES)
    out = subprocess.run(["addr2line", "-f", "-e", whole], input="\n".join(map(hex, picks)), capture_output=True, text=True,
                         timeout=120, check=True).stdout.splitlines()
    return {a: (out[2 * i], re.sub(r" \(discriminator.*", "", out[2 * i + 1]).removeprefix("./")) for i, a in enumerate(picks)}


def compare_lines(tap, title, theirs, asked):
    """Only Go's own code is in its table, and between functions there is none."""
    wrong, agreed = [], 0
    for (addr, (function, place)), answer in zip(theirs.items(), asked):
        function = re.sub(r"\[.*\]", "[...]", function)     # of generic types, as the linker shortens them
        source = answer["source"][0] if answer["source"] else None
        ours = f"{source['file']}:{source['line']}" if source else None
        is_go = re.search(r"(\.go|\.s|<autogenerated>):[1-9]", place)
        # the name of a function that was inlined is not in the table
        if (ours or is_go) and (ours != place or source["function"] not in ("", function, function.removesuffix(".abi0"))):
            wrong.append(f"{addr:#x}: {ours} in {source and source['function']}, addr2line: {place} in {function}")
        agreed += ours == place
    if agreed < ADDRESSES // 2:
        wrong.append(f"only {agreed} lines of {ADDRESSES} addresses")
    tap.check(f"source lines of {title} are its DWARF's ({agreed})", wrong[:5])


def check_rust(tap):
    path = os.path.join(PROGRAMS, "tables")
    if not os.path.exists(path):
        tap.skip("names of Rust", "no rustc")
        return
    with running([path], READY) as p:
        rows = {s["symbol"]: s for s in memwhy("sections", "--symbols", "--json", p.pid, "tables")["objects"][0]["symbols"]}
        claim = p.claims[0]
    s = rows.get("tables::inner::TABLE")
    tap.check("Rust's names are readable", [] if s and s["written"] == PAGE and s["size"] == 65536 and
              int(s["address"], 16) == int(claim["address"], 16) and "tables::inner::write" in rows else
              [str(s), *[n for n in rows if "inner" in n]])


def check_cxx(tap):
    with running([os.path.join(PROGRAMS, "shapes")], READY) as p:
        rows = {s["raw"]: s["symbol"] for s in program_of(p.pid)["symbols"]}
    if not shutil.which("c++filt"):
        tap.skip("C++ names", "no c++filt")
        return
    raw = sorted(rows)
    text = subprocess.run(["c++filt"], input="\n".join(raw), capture_output=True, text=True, check=True).stdout.splitlines()
    tap.check(f"{len(raw)} C++ names are c++filt's", [f"{r}: {rows[r]}, c++filt: {t}" for r, t in zip(raw, text) if rows[r] != t] +
              ([] if "shapes::never(char const*, int)" in text else ["no C++ in it"]))


def main():
    tap = Tap()
    check_cxx(tap)
    check_debug_files(tap)
    check_go(tap)
    check_rust(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
