#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy heap where the allocator is there twice, or there and not used, in a child of fork, or cut off with the end of a core
file."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
from tap import Tap  # noqa: E402
from heap import BUILD, MEMWHY, bridge_complaints, heap, memwhy  # noqa: E402


class Program:
    def __init__(self, name, *args):
        self.proc = subprocess.Popen([MEMWHY, "run", "--", f"{BUILD}/tests/heap/{name}", *args],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.proc.stdout.read(1) == b"\n"
        self.pid = self.proc.pid

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.proc.stdin.close()
        self.proc.wait()


def note_of(doc):
    return " ".join(n["reason"] for n in doc["notes"] if n["source"] == "memwhy-malloc")


def check_two(t, tmp):
    """By name before and behind the first one; the order of mappings must not matter."""
    for name in ("a.so", "z.so"):
        copy = os.path.join(tmp, name)
        shutil.copy(f"{BUILD}/libmemwhy-malloc.so", copy)
        with Program("copies", copy) as p:
            d = heap(p.pid)
            held = d["bridge"]["requested_max"]
            t.check(f"of two copies the larger heap is told, and that there is another: {name}", [] if
                    os.path.realpath(d["heap"]["image"]) == os.path.realpath(copy) and 8000000 <= held < 8500000 and
                    "2 copies" in note_of(d) and not bridge_complaints(d) else [d["heap"]["image"], str(held), note_of(d)])
    with Program("copies") as p:
        t.check("one copy is no reason for a note", [note_of(heap(p.pid))] if note_of(heap(p.pid)) else [])


def check_namesake(t, tmp):
    """As a process that has mapped the library, and not yet all of it, is seen."""
    name = "a library of this name without books: that is said, not that it is unknown"
    with open("/proc/self/maps") as maps:
        libm = [line.split()[-1] for line in maps if "/libm.so" in line or "/libm-" in line]
    if not libm:
        t.skip(name, "python is not linked with libm, which stands in")
        return
    other = os.path.join(tmp, "libmemwhy-malloc.so")
    shutil.copy(libm[0], other)
    with subprocess.Popen(["cat"], env=dict(os.environ, LD_PRELOAD=other), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
        p.stdin.write(b"\n")
        p.stdin.flush()
        p.stdout.read(1)
        code, out, err = memwhy("heap", p.pid)
        t.check(name, [] if code == 3 and not out and "its books are not there" in err else [f"{code} {err}"])
        p.stdin.close()


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(word) for word in f.read().split()]


def check_fork_child(t):
    """fork gives a child no pages of files: those of the library that only the parent has read are in the file alone."""
    name = "a child of fork that has read nothing of the library: its heap is told"
    if not os.path.exists("/proc/self/task/%d/children" % os.getpid()):
        t.skip(name, "this kernel does not list children")
        return
    with subprocess.Popen([MEMWHY, "run", "--", "sh", "-c", "(echo; read x; :); :"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as p:
        p.stdout.read(1)
        d = heap(children_of(p.pid)[0])
        bad = bridge_complaints(d) + [f"{r['range']}: {r['difference']}" for r in d["reconciliation"] if r["difference"]]
        t.check(name, bad if d["heap"]["exact"] else bad + ["not exact"])
        p.stdin.close()


def check_unused(t):
    with Program("ownmalloc") as p:
        code, out, err = memwhy("heap", p.pid)
        t.check("a program with a malloc of its own: that ours serves nobody is said", [] if code == 3 and not out and
                "nothing was allocated from" in err and "malloc of its own" in err else [f"{code} {err}"])
        code, out, err = memwhy("explain", "--json", p.pid)
        d = json.loads(out)
        t.check("and it is not named as the program's allocator", [] if code == 0 and d["target"]["allocator"] is None and
                "nothing was allocated" in note_of(d) else [str(d["target"]), err])


def child_of(parent):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                if int(f.read().rsplit(")", 1)[1].split()[1]) == parent:
                    return int(pid)
        except OSError:
            pass
    raise AssertionError("it has no child")


def check_container(t):
    """The allocator knows thread ids of its own namespace: they must not be taken for ours."""
    try:
        proc = subprocess.Popen(["unshare", "-pf", "--kill-child", MEMWHY, "run", "--", f"{BUILD}/tests/heap/copies"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
    except OSError:
        proc = None
    if not proc or proc.stdout.read(1) != b"\n":
        t.skip("threads in a container", "no PID namespace can be made")
        return
    d = heap(child_of(proc.pid))
    t.check("threads in a container have their ids there, and no names", [] if [(k["tid"], k["name"]) for k in d["threads"]] == [
        (1, None)] and d["target"]["pid_in_namespace"] == 1 else [str(d["threads"]), str(d["target"])])
    proc.stdin.close()
    proc.wait()


def check_cut(t, tmp):
    core = os.path.join(tmp, "core")
    with Program("copies") as p:
        made = shutil.which("gcore") and subprocess.run(["gcore", "-o", core, str(p.pid)], stdout=subprocess.DEVNULL,
                                                        stderr=subprocess.DEVNULL, timeout=100, check=False).returncode == 0
        core += f".{p.pid}"
    if not made or not os.path.exists(core):
        t.skip("a core file without its end", "gcore is not there, or may not trace")
        return
    os.truncate(core, os.path.getsize(core) // 3)
    code, out, err = memwhy("heap", core)
    t.check("a core file without its end: that is said, and how to get a whole one", [] if code == 3 and not out and "is cut off" in err and
            "hint: ulimit" in err else [f"{code} {out} {err}"])


def main():
    t = Tap()
    if os.environ.get("MEMWHY_SANITIZED"):
        t.skip("copies of the allocator", "the sanitizer's runtime must be the first library")
        return t.end()
    with tempfile.TemporaryDirectory() as tmp:
        check_two(t, tmp)
        check_namesake(t, tmp)
        check_fork_child(t)
        check_unused(t)
        check_container(t)
        check_cut(t, tmp)
    return t.end()


if __name__ == "__main__":
    sys.exit(main())
