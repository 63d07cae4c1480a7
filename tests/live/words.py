#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people ask, asked: for each question a program that makes one ask it, and the sentence of
`memwhy explain` that answers it, with evidence that agrees with what the program did."""

import json
import os
import resource
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import Tap  # noqa: E402

MIB = 1 << 20
MEMWHY = os.environ.get("MEMWHY", "build/memwhy")
BUILD = os.environ.get("BUILD", "build")
HEAD = "import ctypes, mmap, os, sys, threading, time\nlibc = ctypes.CDLL(None, use_errno=True)\n" \
       "def at(m): return ctypes.addressof(ctypes.c_char.from_buffer(m))\n" \
       "def advise(m, n, a):\n    return libc.madvise(ctypes.c_void_p(at(m)), ctypes.c_size_t(n), a)\n"
TAIL = "\nprint('ready', flush=True)\nsys.stdin.read()\n"


class Program:
    """A python program, or a command, that says ready and waits for the end of its input."""

    def __init__(self, source, limit=None):
        argv = [sys.executable, "-c", HEAD + source + TAIL] if isinstance(source, str) else source
        self.limit = limit
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        preexec_fn=self.prepare)

    def prepare(self):
        if self.limit:
            resource.setrlimit(resource.RLIMIT_AS, (self.limit, self.limit))

    def __enter__(self):
        while b"ready" not in (line := self.process.stdout.readline()):
            if not line:
                return None
        return self.process.pid

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def explain(pid):
    done = subprocess.run([MEMWHY, "explain", "--json", "--pss=always", "--smaps=always", str(pid)], capture_output=True,
                          text=True, timeout=60, check=False)
    if done.returncode:
        return None, done.stderr
    return {w["id"]: w for w in json.loads(done.stdout)["words"]}, ""


def between(low, high):
    return lambda value: low <= value <= high


def least(low):
    return lambda value: value >= low


THREADS = "def run():\n    libc.malloc(100); time.sleep(600)\n" \
          "for i in range(8):\n    threading.Thread(target=run, daemon=True).start()\ntime.sleep(0.5)"
GAPS = "import subprocess, tempfile\nd = tempfile.mkdtemp()\n" \
       "p = subprocess.run(['gcc', '-shared', '-fPIC', '-Wl,-z,max-page-size=0x200000', '-Wl,-z,separate-code', '-o'," \
       " d + '/gap.so', '-x', 'c', '-'], input=b'int x = 1; int f(void) {{ return x; }}')\n" \
       "l = ctypes.CDLL(d + '/gap.so')\nos.unlink(d + '/gap.so')\nos.rmdir(d)"
GONE = "import subprocess\ndef build(): subprocess.run(['gcc', '-shared', '-fPIC', '-o', {path!r}, '-x', 'c', '-'], input=b'int gone = 1;')\n" \
       "build()\nl = ctypes.CDLL({path!r})\nos.unlink({path!r})\n"
WRITTEN = "f = open({path!r}, 'w+b'); f.truncate(16 << 20)\nm = mmap.mmap(f.fileno(), 16 << 20)\n" \
          "for i in range(0, 16 << 20, 4096): m[i] = 1"
FILE = "f = open({path!r}, 'w+b'); f.truncate(16 << 20)\nm = mmap.mmap(f.fileno(), 16 << 20)\n" \
       "x = sum(m[i] for i in range(0, 16 << 20, 4096))"

# question, source, limit on addresses, sentence, {evidence: what it must be}, words that must be in it
QUESTIONS = [
    ("why is VSZ so much larger than RSS", "m = mmap.mmap(-1, 300 << 20)", None, "gap", {"not_resident": least(300 * MIB)}),
    ("who reserved all these addresses", "m = mmap.mmap(-1, 1 << 40, prot=0, flags=mmap.MAP_PRIVATE | 0x20 | 0x4000)", None,
     "reservations", {"reserved": least(1 << 40)}),
    ("64 MiB blocks for each thread", THREADS, None, "arenas", {"heaps": between(1, 9), "threads": between(9, 9)}),
    ("what are the 8 MiB blocks", THREADS, None, "thread-stacks", {"stacks": between(8, 8), "stack_addresses": least(8 * MIB)}),
    ("freed, and RSS stays (MADV_FREE)",
     # in single pages: the kernel notes a few of them late, and a huge page as late
     "m = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | 0x20)\nadvise(m, 8 << 20, 15)\nm.write(b'x' * (8 << 20))\n"
     "assert advise(m, 8 << 20, 8) == 0",
     None, "lazy-free", {"lazy_free": between(7 * MIB, 8 * MIB)}),
    ("was it ever larger", "m = b'x' * (64 << 20)\ndel m", None, "peak", {"below_peak": least(32 * MIB)}),
    ("RSS, PSS or USS; what is freed by a kill", "m = b'x' * (4 << 20)", None, "sharing", {"uss": least(4 * MIB), "pss": least(4 * MIB)}),
    ("shared memory is not freed with one that maps it", "m = mmap.mmap(-1, 8 << 20)\nm.write(b'x' * (8 << 20))", None, "sharing",
     {"uss": least(8 * MIB)}, "shared memory while anything holds it"),
    ("a mapped file looks like a leak", FILE, None, "mapped-files", {"file_resident": least(15 * MIB)}),
    ("a mapped file that was written", WRITTEN, None, "mapped-files", {"file_dirty": least(MIB)}),
    ("what are the ---p gaps of libraries", GAPS, None, "library-gaps", {"gaps": least(MIB), "gap_mappings": least(1)}),
    ("pages of libraries that are private", "", None, "copied", {"copied": least(100 << 10)}),
    ("shared memory in everybody's RSS", "m = mmap.mmap(-1, 8 << 20)\nm.write(b'x' * (8 << 20))", None, "shared-memory",
     {"shmem_resident": between(8 * MIB, 9 * MIB)}),
    ("huge pages made RSS explode",
     "m = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | 0x20)\nassert advise(m, 16 << 20, 14) == 0\n"
     "for i in range(0, 16 << 20, 4096): m[i] = 1", None, "huge-pages", {"huge": least(2 * MIB)}),
    ("read, and yet not in RSS", "m = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | 0x20)\nadvise(m, 32 << 20, 15)\n"
     "x = sum(m[i] for i in range(0, 32 << 20, 4096))", None, "zero-pages", {"zero": between(31 * MIB, 33 * MIB)}),
    ("mmap fails and memory is free", [f"{BUILD}/tests/live/many", "40000"], None, "map-count", {"mappings": least(40000), "of_one_kind": least(40000)}),
    ("the limit of ulimit -v", "", 4 << 30, "address-space-limit", {"as_limit": between(4 << 30, 4 << 30)}),
    ("page tables of a sparse program",
     "m = mmap.mmap(-1, 4 << 30, flags=mmap.MAP_PRIVATE | 0x20 | 0x4000)\nadvise(m, 4 << 30, 15)\n"
     "for i in range(0, 4 << 30, 2 << 20): m[i] = 1", None, "page-tables", {"page_tables": least(8 * MIB)}),
    ("the container is charged more than RSS", "", None, "cgroup", {"charged": least(1)}),
    ("top and htop say something else", "", None, "top", {"shr": least(MIB)}),
    ("a library that was deleted", GONE, None, "deleted-files",
     {"deleted_images": between(1, 1), "replaced_images": between(0, 0)}),
    ("a library that was upgraded", GONE + "build()", None, "deleted-files",
     {"deleted_images": between(1, 1), "replaced_images": between(1, 1)}),
    ("locked memory", "m = mmap.mmap(-1, 1 << 20)\nassert libc.mlock(ctypes.c_void_p(at(m)), ctypes.c_size_t(1 << 20)) == 0", None,
     "locked", {"locked": between(MIB, MIB)}),
]


def on_tmpfs(folder):
    done = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=False)
    return done.stdout.strip() in ("tmpfs", "ramfs")


def ask(tap, path, question, source, limit, sentence, evidence, word=""):
    if isinstance(source, str):
        if "{path!r}" in source and on_tmpfs(os.path.dirname(path)):
            tap.skip(question, f"{os.path.dirname(path)} is shared memory here")
            return
        source = source.replace("{path!r}", repr(path)).replace("{{", "{").replace("}}", "}")
    if not isinstance(source, str) and not os.access(source[0], os.X_OK):
        tap.skip(question, f"{source[0]} is not built")
        return
    with Program(source, limit) as pid:
        if pid is None:
            tap.skip(question, "this machine cannot make it")
            return
        words, why = explain(pid)
        if words is None:
            tap.check(question, [why])
            return
        said = words.get(sentence)
        if not said:
            if sentence in ("huge-pages", "cgroup"):
                tap.skip(question, f"no {sentence} on this machine")
                return
            tap.check(question, [f"no sentence '{sentence}', only {', '.join(words)}"])
            return
        wrong = [f"{key} is {said['evidence'].get(key)}" for key, good in evidence.items()
                 if said["evidence"].get(key) is None or not good(said["evidence"][key])]
        wrong += [said["sentence"]] if word not in said["sentence"] else []
        wrong += [w["sentence"] for w in words.values() if " of 0 B" in w["sentence"] or "maps 0 B" in w["sentence"]]
        tap.check(f"{question}: {said['sentence'][:60]}...", wrong)


def main():
    tap = Tap()
    path = f"/var/tmp/memwhy-words-{os.getpid()}"
    try:
        for row in QUESTIONS:
            ask(tap, path, *row)
            if os.path.exists(path):
                os.unlink(path)
    finally:
        if os.path.exists(path):
            os.unlink(path)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
