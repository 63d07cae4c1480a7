#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy bench: everything runs everywhere, its numbers follow from its runs, and memory
that is not as it should be is noticed. No time is tested."""
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
from tap import Tap  # noqa: E402

MEMWHY = os.environ.get("MEMWHY", "build/memwhy")
BUILD = os.environ.get("BUILD", "build")
METRICS = {"time_ratio": "time_ns", "cpu_ratio": "cpu_ns", "peak_ratio": "peak", "after_ratio": "after", "faults_ratio": "faults"}
CONTROL = "glibc again"
ALL = "small,batch,random,shrink,large,realloc,handover,server,threads"
FAULTS = (("", ALL, "?"), ("align", ALL, "a block is not aligned"), ("overlap", "batch,random,shrink,handover,server,threads", "does not hold"),
          ("dirty", "random", "not zero"), ("lost", "realloc", "realloc lost"))


def bench(*args, env=None):
    p = subprocess.run([MEMWHY, "bench", *map(str, args)], capture_output=True, text=True, timeout=300, check=False,
                       env={**os.environ, **(env or {})})
    return p.returncode, p.stdout, p.stderr


def listed():
    code, out, _ = bench("--list")
    work, _, allocs = out.partition("Allocators:\n")
    names = [[line.split()[0] for line in part.splitlines() if line.startswith("  ")] for part in (work, allocs)]
    return code, names


def close(a, b):
    """JSON has six digits of a ratio."""
    return (a is None and b is None) or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-5, abs_tol=2e-5))


def number_complaints(d):
    """Medians of ratios within rounds, and their geometric means, made again from the runs."""
    out = []
    runs = {(r["workload"], r["allocator"], r["round"]): r for r in d["runs"]}
    ratios = {}
    for r in d["results"]:
        mine = [x for x in d["runs"] if (x["workload"], x["allocator"]) == (r["workload"], r["allocator"])]
        for key, field in METRICS.items():
            pairs = [(x[field], runs[(x["workload"], d["base"], x["round"])][field]) for x in mine]
            values = [a / b for a, b in pairs if a is not None and b]
            want = statistics.median(values) if values else None
            if not close(r[key], want):
                out.append(f"{r['workload']} {r['allocator']} {key}: {r[key]}, not {want}")
            if key == "cpu_ratio" and values and not (close(r["cpu_ratio_min"], min(values)) and
                                                      close(r["cpu_ratio_max"], max(values))):
                out.append(f"{r['workload']} {r['allocator']}: spread")
            if want:
                ratios.setdefault((r["allocator"], key), []).append(want)
    for s in d["summary"]:
        for key in METRICS:
            values = ratios.get((s["allocator"], key))
            want = math.exp(sum(map(math.log, values)) / len(values)) if values else None
            if not close(s[key], want):
                out.append(f"mean {s['allocator']} {key}: {s[key]}, not {want}")
    far = [abs(r["cpu_ratio"] - 1) for r in d["results"] if r["allocator"] == CONTROL]
    if not close(d["noise"], max(far)) or d["noisy"] != (d["noise"] > 0.05):
        out.append(f"noise {d['noise']} {d['noisy']}, not {max(far)}")
    return out


def check_builtin(t):
    code, (work, allocs) = listed()
    t.check("the list has nine workloads, glibc and ours", [] if code == 0 and len(work) == 9 and
            allocs[:2] == ["glibc", "memwhy"] else [str((work, allocs))])
    code, out, err = bench("--rounds=3", "--scale=0.02", "--json")
    t.check("every workload runs under every allocator", [f"{code} {err}"] if code or err else [])
    d = json.loads(out)
    want = {(w, a) for w in work for a in allocs + [CONTROL]}
    got = {(r["workload"], r["allocator"]) for r in d["results"]}
    bad = [r for r in d["runs"] if not r["cpu_ns"] or not r["peak"] or r["after"] is None]
    t.check("and each run measured something", [str(x) for x in want ^ got] + [str(r) for r in bad] +
            ([] if len(d["runs"]) == 3 * len(want) else [f"{len(d['runs'])} runs"]))
    t.check("ratios, spreads and means follow from the runs", number_complaints(d))
    out = []
    for w in work:
        held = {r["held"] for r in d["memory"] if r["workload"] == w}
        if len(held) != 1 or not held.copy().pop():
            out.append(f"{w}: held {held}")
    for r in d["memory"]:
        if r["beyond"] != r["peak"] - r["held"]:
            out.append(str(r))
    batch = next(r["held"] for r in d["memory"] if r["workload"] == "batch")
    if batch != 64000:
        out.append(f"batch holds a thousand blocks of 64 bytes, not {batch}")
    t.check("what each workload holds, and what is beyond", out)
    code, out, err = bench("--rounds=1", "--scale=0.01", "-w", "small,threads", "--only=memwhy")
    t.check("a choice of both, as text", [] if code == 0 and "GEOMETRIC MEANS" in out and "jemalloc" not in out and
            "threads" in out and "server" not in out and "differs from itself" in out else [out + err])


def huge_pages_unasked():
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as f:
            return "[always]" in f.read()
    except OSError:
        return False


def check_command(t):
    code, out, err = bench("--rounds=2", "--json", "--only=memwhy", "--", "python3", "-c", "x = bytearray(60 << 20)")
    d = json.loads(out) if code == 0 else {"runs": []}
    least = 30 if huge_pages_unasked() else 15000
    bad = [r for r in d["runs"] if not 60 << 20 < (r["peak"] or 0) < 90 << 20 or r["after"] is not None or r["faults"] < least]
    t.check("a command: its peak, its faults", [str(r) for r in bad] + ([] if len(d["runs"]) == 6 else [f"{code} {err}"]))
    code, out, err = bench("--rounds=1", "--only=memwhy", "--", "sh", "-c", "echo x; cat")
    t.check("its output does not mix with ours, its input is empty", [] if code == 0 and "x\n" not in out else [f"{code} {out} {err}"])
    code, out, err = bench("--rounds=1", "--only=memwhy", "--", "sh", "-c", "exit 3")
    t.check("one that fails is told", [] if code == 3 and "exit status 3" in err else [f"{code} {err}"])
    code, out, err = bench("--", "/no/such/command")
    t.check("one that is not there ends it", [] if code == 3 and err.count("start:") == 1 else [f"{code} {err}"])
    code, out, err = bench("--rounds=1", "--only=memwhy", "--json", "--", "sh", "-c", 'case "$LD_PRELOAD" in *libm.so.6) ;; *) exit 9; esac',
                           env={"LD_PRELOAD": "libm.so.6"})
    t.check("what was preloaded stays so", [] if code == 0 else [f"{code} {err}"])


def check_others(t):
    with tempfile.TemporaryDirectory() as tmp:
        copy = os.path.join(tmp, "new.so")
        shutil.copy(f"{BUILD}/libmemwhy-malloc.so", copy)
        code, out, err = bench("--rounds=1", "--scale=0.01", "-w", "small", "--only=none", f"--with=new={copy}", "--json")
        names = [s["allocator"] for s in json.loads(out)["summary"]] if code == 0 else err
        t.check("--with adds a library", [] if names == ["glibc", "new", CONTROL] else [str(names)])
    for fault, works, word in FAULTS:
        code, out, err = bench("--rounds=1", "--scale=0.1", "-w", works, "--only=none", f"--with=wrong={BUILD}/tests/heap/wrong.so",
                               env={"WRONG": fault})
        told = [w for w in works.split(",") if f"memwhy: {w} under wrong: " in err]  # some faults kill the C library
        t.check(f"an allocator that is wrong is noticed: {fault or 'not this one'}", [] if (code, told) == (
            (3, works.split(",")) if fault else (0, [])) and (word in err or not fault) else [f"{code} {out} {err}"])
    code, out, err = bench("--rounds=1", "--only=memwhy", "--timeout=0.3", "--", "sleep", "30")
    t.check("a run that takes too long is ended, and told", [] if code == 3 and err.count("not done in") == 4 else [f"{code} {err}"])
    with tempfile.TemporaryDirectory() as tmp:
        spaced, link = os.path.join(tmp, "with space.so"), os.path.join(tmp, "link.so")
        shutil.copy(f"{BUILD}/libmemwhy-malloc.so", spaced)
        os.symlink(spaced, link)
        code, out, err = bench("--rounds=1", "--scale=0.01", "-w", "small", "--only=none", f"--with=x={spaced}")
        t.check("a path that the loader would split is told as such", [] if code == 3 and not out and
                "takes no path with a blank" in err and "LINK" in err else [f"{code} {out} {err}"])
        code, out, err = bench("--rounds=1", "--scale=0.01", "-w", "small", "--only=none", f"--with=x={link}")
        t.check("and a link to it serves", [] if code == 0 else [f"{code} {out} {err}"])
    code, out, err = bench("--only=none", f"--with=memwhy={BUILD}/libmemwhy-malloc.so", f"--with=memwhy={BUILD}/libmemwhy-malloc.so")
    t.check("a name is given once", [] if code == 2 and "already" in err else [f"{code} {err}"])
    for path in ("/etc/passwd", MEMWHY, f"{BUILD}/libmemwhy.so"):
        code, out, err = bench("--rounds=1", "--scale=0.01", "-w", "small", "--only=none", f"--with=x={path}")
        t.check(f"what has no malloc is refused, and not measured as glibc: {os.path.basename(path)}", [] if code == 3 and not out and
                "no library that has malloc" in err and "hint: --with=NAME=PATH" in err else [f"{code} {out} {err}"])
    for args, want, word in ((("--with=x",), 2, "NAME=PATH"), (("--with=x=/no/such",), 3, "/no/such"),
                             (("--rounds=0",), 2, "1 to 100"), (("-w", "nonsense"), 2, "nonsense"), (("-w", "small,nonsense"), 2, "nonsense"), (("-w", ""), 2, "none"), (("--only=memwhy,nonsense",), 2, "nonsense is not there"), (("--serve=nonsense",), 2, "")):
        code, out, err = bench(*args)
        t.check(f"wrong: {' '.join(args)}", [] if code == want and word in err and not out else [f"{code} {out} {err}"])


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def check_ends(t):
    with tempfile.TemporaryDirectory() as tmp:
        told = os.path.join(tmp, "pids")
        left = f'sleep 1000 & echo $! >>"{told}"; '
        code, out, err = bench("--rounds=1", "--only=none", "--timeout=0.5", "--", "sh", "-c", left + "wait")
        with open(told, encoding="utf-8") as f:
            pids = f.read().split()
        t.check("what took too long had started something: that is ended, too", [] if code == 3 and len(pids) == 3 and
                "not done in 0.5 s" in err and not any(map(is_alive, pids)) else [f"{code} {pids} {err}"])
        for name, trap in (("ends at a signal its own way", "trap 'exit 0' TERM"), ("does not end at it", "trap '' TERM")):
            os.unlink(told)
            with subprocess.Popen([MEMWHY, "bench", "--rounds=3", "--only=none", "--", "sh", "-c",
                                   f'{trap}; echo $$ >"{told}"; while :; do sleep 0.1; done'],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
                while not os.path.exists(told) or not os.path.getsize(told):
                    time.sleep(0.05)
                p.terminate()
                out, err = p.communicate(timeout=120)
            with open(told, encoding="utf-8") as f:
                pid = f.read().strip()
            t.check(f"a signal ends all, also when the command {name}", [] if p.returncode == -signal.SIGTERM and
                    not out and not err and not is_alive(pid) else [f"{p.returncode} {pid} {out} {err}"])


def main():
    t = Tap()
    if os.environ.get("MEMWHY_SANITIZED"):
        t.skip("memwhy bench", "the workloads have the sanitizer's allocator")
        return t.end()
    check_builtin(t)
    check_command(t)
    check_others(t)
    check_ends(t)
    return t.end()


if __name__ == "__main__":
    sys.exit(main())
