#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy heap --pprof and --folded: the sites of a program that stands still, by a decoder of our own here,
by go tool pprof where it is installed, and by --json: all three must say the same."""
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from heap import BUILD, MEMWHY, Program, heap, memwhy  # noqa: E402
from tap import Tap  # noqa: E402

OUT = f"{BUILD}/tests/heap/heap.pb.gz"


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """A message as a list of (number, value): int or bytes."""
    at, out = 0, []
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            assert key & 7 == 2, f"kind {key & 7}"
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size, "cut"
        out.append((key >> 3, value))
    return out


def packed(data):
    at, out = 0, []
    while at < len(data):
        value, at = varint(data, at)
        out.append(value)
    return out


class Profile:
    """profile.proto, as far as it is used."""

    def __init__(self, raw):
        top = fields(raw)
        self.strings = [v.decode() for k, v in top if k == 6]
        self.types = [tuple(self.strings[x] for _, x in fields(v)) for k, v in top if k == 1]
        self.samples = [dict(fields(v)) for k, v in top if k == 2]
        self.mappings = {m[1]: m for m in (dict(fields(v)) for k, v in top if k == 3)}
        self.functions = {f[1]: f for f in (dict(fields(v)) for k, v in top if k == 5)}
        self.locations = {}
        for k, v in top:
            if k == 4:
                lines = [dict(fields(x)) for n, x in fields(v) if n == 4]
                self.locations[dict(fields(v))[1]] = (dict(fields(v)), lines)
        self.period = next(v for k, v in top if k == 12)
        self.default = self.strings[next(v for k, v in top if k == 14)]

    def stack(self, sample):
        """(address, [(function, file, line)]) of each location."""
        out = []
        for i in packed(sample[1]):
            loc, lines = self.locations[i]
            out.append((loc.get(3, 0), [(self.strings[self.functions[x[1]][2]],
                                         self.strings[self.functions[x[1]].get(4, 0)], x.get(2, 0)) for x in lines]))
        return out


def profile_complaints(prof, doc):
    out = []
    if prof.strings[0] != "" or prof.types != [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"),
                                               ("inuse_space", "bytes")] or prof.default != "inuse_space":
        out.append(f"head: {prof.strings[:9]} {prof.types}")
    if prof.period != doc["heap"]["sample_interval"]:
        out.append(f"period {prof.period}")
    got = sorted((tuple(packed(s[2])), tuple(a for a, _ in prof.stack(s))) for s in prof.samples)
    want = sorted(((s["allocations"], s["bytes"], s["live"], s["live_bytes"]),
                   tuple(int(f["address"], 16) - 1 for f in s["frames"])) for s in doc["sites"])
    if got != want:
        out.append(f"samples {got} are not {want}")
    for s in prof.samples:
        for addr, _ in prof.stack(s):
            loc = next(x for x, _ in prof.locations.values() if x.get(3, 0) == addr)
            m = prof.mappings.get(loc.get(2, 0))
            if m and not m[2] <= addr < m[3]:
                out.append(f"{addr:x} is not in its mapping {m}")
    return out


def check_profile(t, pid):
    doc = heap(pid, "--lines=always")
    code, text, err = memwhy("heap", "--pprof", OUT, "--lines=always", pid)
    t.check("--pprof writes a file and nothing else", [] if code == 0 and not text and not err else [str((code, text, err))])
    with gzip.open(OUT) as f:
        prof = Profile(f.read())
    t.check("the profile has the sites of --json, to the unit", profile_complaints(prof, doc))
    stack = prof.stack(max(prof.samples, key=lambda s: packed(s[2])[3]))
    names = [n for _, lines in stack for n, _, _ in lines]
    lines = {(n, os.path.basename(f), k) for _, ls in stack for n, f, k in ls}
    want = grow_line()
    t.check("names are demangled, with file and line", [] if "garden::Tree::grow(unsigned int)" in names and
            ("garden::Tree::grow(unsigned int)", "sites.cc", want) in lines else [str((names, lines, want))])
    site = max(doc["sites"], key=lambda s: s["live_bytes"])
    said = [(x["function"], os.path.basename(x["file"] or ""), x["line"]) for f in site["frames"] for x in f["lines"]]
    t.check("--json tells the same lines", [] if any(f == "sites.cc" and k == want for _, f, k in said) else [str(said)])
    code, text, _ = memwhy("heap", "--lines=never", pid)
    t.check("--lines=never tells none", [] if code == 0 and "sites.cc:" not in text else ["sites.cc"])
    return doc


def grow_line():
    """The line of the allocation in sites.cc."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sites.cc")
    with open(path, encoding="utf-8") as f:
        return next(i for i, line in enumerate(f, 1) if "new " in line or "malloc(" in line)


def check_go(t, doc):
    name = "go tool pprof reads it and has the same sums"
    if not shutil.which("go"):
        t.skip(name, "go is not installed")
        return
    p = subprocess.run(["go", "tool", "pprof", "-raw", OUT], capture_output=True, text=True, timeout=120, check=False)
    rows = re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+): ", p.stdout, re.M)
    got = [sum(int(r[i]) for r in rows) for i in range(4)]
    want = [sum(s[k] for s in doc["sites"]) for k in ("allocations", "bytes", "live", "live_bytes")]
    t.check(name, [] if p.returncode == 0 and got == want else [f"{got} is not {want}", p.stderr])
    p = subprocess.run(["go", "tool", "pprof", "-top", OUT], capture_output=True, text=True, timeout=120, check=False)
    t.check("go tool pprof -top names the place", [] if "garden::Tree::grow" in p.stdout and "Type: inuse_space" in p.stdout
            else [p.stdout, p.stderr])


def check_folded(t, pid, doc):
    code, text, err = memwhy("heap", "--folded", "-", pid)
    rows = [re.fullmatch(r"(.+) (\d+)", line) for line in text.splitlines()]
    out = [] if code == 0 and all(rows) and not err else [str((code, text[:200], err))]
    live = [s for s in doc["sites"] if s["live_bytes"]]
    if sum(int(r[2]) for r in rows) != sum(s["live_bytes"] for s in live):
        out.append("the sum differs")
    if not any(r[1].startswith("sites;") and r[1].endswith(";main;garden::Tree::grow(unsigned int)") for r in rows):
        out.append(text)
    t.check("--folded: whole stacks with live bytes", out)
    code, text, _ = memwhy("heap", "--folded", f"{OUT}.folded", pid)
    with open(f"{OUT}.folded", encoding="utf-8") as f:
        t.check("--folded into a file", [] if code == 0 and not text and len(f.readlines()) == len(rows) else [text])


def check_private(t):
    """Samples of private heaps are labelled with the heap's name, others with nothing."""
    with Program(program="private", wrapper=False, malloc=",sample=1") as p:
        p.proc.stdout.readline()
        doc = heap(p.proc.pid)
        code, _, err = memwhy("heap", "--pprof", OUT, p.proc.pid)
        with gzip.open(OUT) as f:
            prof = Profile(f.read())
        got, want = {}, {}
        for s in prof.samples:
            label = {k: prof.strings[v] for k, v in fields(s[3])} if 3 in s else {}
            name = label.get(2) if label.get(1) == "heap" else None
            got[name] = got.get(name, 0) + packed(s[2])[3]
        for s in doc["sites"]:
            name = (s["heap"] or "without name") if s["private"] else None
            want[name] = want.get(name, 0) + s["live_bytes"]
        t.check("samples are labelled with their private heap", [] if code == 0 and got == want and len(got) > 3 else [f"{got} is not {want} {err}"])
        name = "go tool pprof finds them by it"
        if not shutil.which("go"):
            t.skip(name, "go is not installed")
            return
        p = subprocess.run(["go", "tool", "pprof", "-tags", OUT], capture_output=True, text=True, timeout=120, check=False)
        t.check(name, [] if "heap: Total" in p.stdout and "requests" in p.stdout else [p.stdout, p.stderr])


def check_names(t):
    """Names are anyone's bytes; a profile's strings are UTF-8, and a terminal is not steered."""
    name = "s\x1b[1m;\udcff\n"
    path = os.fsencode(f"{BUILD}/tests/heap/{name}")
    shutil.copy(f"{BUILD}/tests/heap/sites", path)
    try:
        with Program("--sample=16k", program=name) as p:
            os.read(p.proc.stdout.fileno(), 10)
            code, text, err = memwhy("heap", "--folded", "-", p.proc.pid)
            lines = text.splitlines()
            t.check("--folded: a program's name does not break the lines", [] if code == 0 and not err and lines and all(
                re.fullmatch(r"s\\x1b\[1m:\\xff\\x0a;[ -~]+ \d+", x) for x in lines) else [ascii(lines[:4]), err])
            code, _, err = memwhy("heap", "--pprof", OUT, p.proc.pid)
            with gzip.open(OUT) as f:
                strings = [v for k, v in fields(f.read()) if k == 6]
            bad = [ascii(s) for s in strings if not s.decode(errors="replace").isprintable() or "\ufffd" in s.decode(errors="replace")]
            t.check("the profile's strings are UTF-8", bad if code == 0 and any(b"\\xff" in s for s in strings) else
                    [err, ascii(strings[-5:])])
    finally:
        os.unlink(path)


STRIPPED = """#include <stdlib.h>
#include <unistd.h>
static __attribute__((noinline)) void *hidden(unsigned n) { void *volatile p = malloc(n); return p; }
int main(void)
{
	for (int i = 0; i < 2000; i++)
		*(char *)hidden(1000) = 1;
	if (write(1, "ready\\n", 6) == 6)
		pause();
	return 0;
}
"""


def hidden_complaints(pid):
    """A static function of a stripped file: its name, and its line."""
    code, out, err = memwhy("heap", "--json", pid)
    if code:
        return [err]
    frame = next((f for f in json.loads(out)["sites"][0]["frames"] if f["function"] == "hidden"), None)
    if not frame or not frame["lines"] or frame["lines"][0]["line"] != 3:
        return [str(json.loads(out)["sites"][0]["frames"])]
    code, out, err = memwhy("heap", "--folded=-", pid)
    return [] if ";main;hidden " in out else [out + err]


def check_stripped(t):
    with tempfile.TemporaryDirectory() as tmp:
        source, exe, debug = (os.path.join(tmp, n) for n in ("stripped.c", "stripped", "stripped.debug"))
        with open(source, "w", encoding="utf-8") as f:
            f.write(STRIPPED)
        steps = ([os.environ.get("CC", "cc"), "-g", "-O1", "-fno-builtin", "-Wl,--build-id=none", "-o", exe, source],
                 ["objcopy", "--only-keep-debug", exe, debug], ["cp", exe, exe + ".full"], ["strip", exe],
                 ["objcopy", f"--add-gnu-debuglink={debug}", exe])
        if any(subprocess.run(s, check=False, capture_output=True).returncode for s in steps):
            t.skip("a stripped program", "it cannot be made here")
            return
        for name, path in (("a stripped program: names and lines are its debug file's", exe),
                           ("a program whose file was replaced: names and lines are those of the file that it runs", exe + ".full")):
            with subprocess.Popen([MEMWHY, "run", "--sample=16k", "--", path], stdout=subprocess.PIPE) as p:
                p.stdout.read(6)
                if path != exe:
                    shutil.copy("/bin/true", exe + ".new")
                    os.replace(exe + ".new", path)
                t.check(name, hidden_complaints(p.pid))
                p.kill()


def check_failures(t, pid):
    out = []
    for args, word in ((("--pprof", "/nonexistent/x"), "create"), (("--pprof", "/dev/full"), "write"),
                       (("--folded", "/dev/full"), "write")):
        code, text, err = memwhy("heap", *args, pid)
        if code != 3 or text or word not in err:
            out.append(f"{args}: {code} {err}")
    code, _, err = memwhy("heap", "--lines=sometimes", pid)
    if code != 2 or "none of" not in err:
        out.append(f"--lines: {code} {err}")
    other = subprocess.Popen(["sleep", "60"])
    size = os.path.getsize(OUT)
    code, _, err = memwhy("heap", "--pprof", OUT, other.pid)
    other.kill()
    other.wait()
    if code != 3 or "hint:" not in err or os.path.getsize(OUT) != size:
        out.append(f"another allocator: {code} {err}, and the file that was there has {os.path.getsize(OUT)} bytes, not {size}")
    t.check("what cannot be written, or is not there, is said", out)


def main():
    t = Tap()
    if not os.path.exists(f"{BUILD}/tests/heap/sites"):
        t.skip("exports", "no C++ compiler")
        return t.end()
    with Program("--sample=16k", program="sites") as p:
        os.read(p.proc.stdout.fileno(), 10)
        doc = check_profile(t, p.proc.pid)
        check_go(t, doc)
        check_folded(t, p.proc.pid, doc)
        check_failures(t, p.proc.pid)
    check_names(t)
    check_stripped(t)
    check_private(t)
    return t.end()


if __name__ == "__main__":
    assert MEMWHY
    sys.exit(main())
