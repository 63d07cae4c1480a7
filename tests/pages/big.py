#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy sections on large programs, and on a shared object of 500 MB: the sums are explain's."""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

import sections
import target
from target import BUILD, MEMWHY, PAGE, READY, Tap, memwhy, running

JAVA = """public class Wait { public static void main(String[] a) throws Exception {
System.out.println("ready"); System.in.read(); } }"""
# 300 MiB of constants, 100 MiB of variables and as much of pointers; code that nobody calls.
BIG = """
	.section .rodata
	.globl big_const
	.type big_const, @object
	.size big_const, 300 << 20
big_const: .fill (300 << 20) / 8, 8, 0x1234
	.data
	.globl big_data, big_pointers
	.type big_data, @object
	.size big_data, 100 << 20
	.balign 65536
big_data: .fill (100 << 20) / 8, 8, 0x5678
	.type big_pointers, @object
	.size big_pointers, 100 << 20
big_pointers:
	.rept (100 << 20) / 8
	.quad big_data
	.endr
	.section .note.GNU-stack
"""
USE = """
import ctypes, sys
so = ctypes.CDLL(sys.argv[1])
data = (ctypes.c_char * (100 << 20)).in_dll(so, 'big_data')
for page in range(0, 25600, 256): data[page * 4096] = b'!'
print('ready', flush=True)
sys.stdin.read()
"""


def check(tap, title, argv, ready=b"ready\n", seconds=0, **kwargs):
    if not shutil.which(argv[0]):
        tap.skip(title, f"no {argv[0]}")
        return
    with running(argv, ready, seconds=60, **kwargs) as p:
        time.sleep(seconds)
        if not p.is_ready:
            tap.skip(title, "it did not start")
            return
        sections.check_sums(tap, title, p.pid)


def browser(profile):
    return ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--remote-debugging-port=0",
            "about:blank"]


def check_browser(tap):
    """Of a browser the largest process that is not the first, too."""
    if not shutil.which("chromium"):
        tap.skip("chromium", "not installed")
        return
    with tempfile.TemporaryDirectory(prefix="memwhy-big-", ignore_cleanup_errors=True) as directory, \
            running(browser(directory), env=dict(os.environ, TMPDIR=directory)) as p:
        time.sleep(5)   # it says nothing when it is ready
        sections.check_sums(tap, "chromium", p.pid)
        group = subprocess.run(["pgrep", "-g", str(os.getpgid(p.pid))], capture_output=True, text=True).stdout.split()
        sizes = {int(x): target_rss(x) for x in group if int(x) != p.pid}
        if sizes:
            sections.check_sums(tap, "the largest child of chromium", max(sizes, key=sizes.get))


def check_browser_faults(tap):
    """The first seconds of a browser: dozens of processes and threads that come and go, and no fault of them is missed uncounted."""
    title = "faults of chromium"
    if not shutil.which("chromium"):
        tap.skip(title, "not installed")
        return
    with tempfile.TemporaryDirectory(prefix="memwhy-big-", ignore_cleanup_errors=True) as directory, \
            running([MEMWHY, "faults", "--json", "--for=5", "--", "sh", "-c", 'exec "$@" >/dev/null', "sh", *browser(directory)],
                    env=dict(os.environ, TMPDIR=directory)) as p:
        try:
            out = p.stdout.read() if select.select([p.stdout], [], [], 60)[0] else b""
        finally:
            p.stdin.close()
        if p.wait(10) or not out:
            tap.skip(title, "it cannot be recorded here")
            return
        d = json.loads(out)
        tap.check(f"{title}: {d['samples']} samples and {d['lost']} lost are what the kernel counted",
                  [] if d["samples"] + d["lost"] == d["counter"] > 0 else [str(d["counter"])])
        sums = {k: sum(row["faults"] for row in d[k]) for k in ("phases", "outcomes", "sections", "callers", "mappings")}
        tap.check(f"{title}: each table sums up to them", [f"{k}: {n} of {d['kept']}" for k, n in sums.items() if n != d["kept"]])
        wrong = [f"{r['source']}: {r['bytes']}" for r in d["sources"] if r["bytes"] < 0]
        total = sum(r["bytes"] for r in d["sources"])
        tap.check(f"{title}: sources sum up to RSS", wrong if total == d["rss"]["after"] else [f"{total}, RSS {d['rss']['after']}"])


def target_rss(pid):
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1])
    except OSError:
        return 0


def check_object(tap):
    """500 MB: 13 million relocations copy 100 MiB, the program writes every 256th page of another 100."""
    free = shutil.disk_usage(BUILD).free
    if free < 3 << 30:
        tap.skip("a shared object of 500 MB", f"{free >> 20} MiB free on the disk, 3072 are needed")
        return
    with tempfile.TemporaryDirectory(prefix="big-", dir=BUILD) as directory:
        source, so = os.path.join(directory, "big.s"), os.path.join(directory, "libbig.so")
        with open(source, "w") as file:
            file.write(BIG)
        built = subprocess.run(["gcc", "-shared", "-nostdlib", "-o", so, source], capture_output=True, text=True, timeout=900)
        if built.returncode:
            tap.skip("a shared object of 500 MB", f"it cannot be built: {built.stderr.splitlines()[-1:]}")
            return
        with running([sys.executable, "-c", USE, so], b"ready\n", seconds=120) as p:
            if not p.is_ready:
                tap.skip("a shared object of 500 MB", "it could not be loaded")
                return
            doc = sections.check_sums(tap, f"a shared object of {os.stat(so).st_size / 1e6:.0f} MB", p.pid)
            o = next(o for o in doc["objects"] if o["path"] == so)
            rows = {s["symbol"]: s for s in o["symbols"]}
            want = {("big_pointers", "relocation"): 100 << 20, ("big_pointers", "written"): 0, ("big_data", "written"): 100 * PAGE,
                    ("big_data", "relocation"): 0, ("big_const", "copied"): 0}
            tap.check("what was relocated and what was written",
                      [f"{n}: {k} is {rows[n][k]}, must be {v}" for (n, k), v in want.items() if rows[n][k] != v])
            relocs = memwhy("sections", "--relocs", "--json", p.pid, so)["relocations"][0]
            tap.check("13107200 relocations are counted", [] if relocs["relative"] + relocs["symbolic"] == (100 << 20) // 8 else
                      [str(relocs)])


def main():
    tap = Tap()
    go = os.path.join(BUILD, "tests/live/server")
    check(tap, "python3", [sys.executable, "-c", "import ssl, json, sqlite3; print('ready', flush=True); input()"])
    check(tap, "node", ["node", "-e", "setTimeout(() => {}, 60000); console.log('ready')"])
    if os.path.exists(go):
        check(tap, "Go server", [go], READY)
    else:
        tap.skip("Go server", "not built")
    with tempfile.TemporaryDirectory(prefix="memwhy-big-") as directory:
        path = os.path.join(directory, "Wait.java")
        with open(path, "w") as file:
            file.write(JAVA)
        check(tap, "java", ["java", "-Xmx256m", path])
    check_browser(tap)
    check_browser_faults(tap)
    check_object(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
