#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU time and peak memory of memwhy as ratios to other tools on the same targets.

usage: bench.py [--gib N] [--rounds N] [--mappings N] [--json FILE]

Every program runs once a round, in turns, so that a change of the machine's load meets
all of them; printed are medians over the rounds. CPU time is user + system of the child
(for the small process the sum of several runs). Only ratios mean something elsewhere.

The floor is what no reader can avoid: reading /proc/PID/maps (cat) and one PAGEMAP_SCAN
over all mappings, made here.

Ends with 1 when a budget is not met.
"""

import argparse
import array
import ctypes
import fcntl
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
MEMWHY = os.path.abspath(os.environ.get("MEMWHY", os.path.join(BUILD, "memwhy")))
LIVE = os.path.join(BUILD, "tests/live")
LAUNCH = os.path.join(BUILD, "tests/bench/launch")
START_S, RUN_S = 60, 120
SCAN = 0xC0606610               # PAGEMAP_SCAN, Linux 6.7
PRESENT, SWAPPED, ZERO, HUGE = 1 << 3, 1 << 4, 1 << 5, 1 << 6

# target, program, what it is compared with, largest ratio of CPU time
BUDGETS = [("mappings", "explain", "cat smaps", 0.75),
           ("mappings", "maps", "cat smaps", 1.0),
           ("resident", "explain, no PSS", "cat smaps", 0.4),
           ("small", "explain", "pmap -x", 2.0)]
PEAK_BUDGET_KIB = {("mappings", program): 32 * 1024 for program in
                   ("explain", "explain --all", "maps", "maps --json", "maps -XX")}


class Target:
    """A started target that is ready, and its end."""

    def __init__(self, *argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            line = self.process.stdout.readline()
            if not line or b'"ready"' in line:
                break
        if self.process.poll() is not None:
            sys.exit(f"bench: {argv[0]}: it ended")

    def __enter__(self):
        return self.pid

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run(argv, count):
    """[(CPU seconds, peak KiB)] of so many runs; None when one fails."""
    try:
        done = subprocess.run([LAUNCH, str(count), *argv], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, timeout=RUN_S * count, check=True)
    except (subprocess.SubprocessError, OSError):
        return None
    return [(int(cpu) / 1e6, int(peak)) for cpu, peak in map(bytes.split, done.stdout.splitlines())]


def scan(pid):
    """CPU seconds of one PAGEMAP_SCAN over the user's half; None where there is none."""
    regions = array.array("Q", bytes(512 * 24))
    where = ctypes.addressof(ctypes.c_char.from_buffer(regions))
    wanted = PRESENT | SWAPPED | ZERO | HUGE
    start, end = 0, (1 << 47) - 4096
    before = time.process_time()
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        while start < end:
            arg = array.array("Q", [96, 0, start, end, 0, where, 512, 0, 0, 0, wanted, wanted])
            try:
                count = fcntl.ioctl(pagemap, SCAN, arg)
            except OSError:
                return None
            if count < 512:
                break
            start = max(arg[4], regions[3 * (count - 1) + 1])
    return time.process_time() - before


def programs(pid, name):
    """The programs to compare, by name, for the target pid."""
    explain = [MEMWHY, "explain", str(pid)]
    result = {"cat maps": ["cat", f"/proc/{pid}/maps"],
              "cat smaps": ["cat", f"/proc/{pid}/smaps"],
              "explain": explain,
              "explain, no PSS": explain + ["--pss=never", "--smaps=never"],
              "explain --all": explain + ["--all"],
              "maps": [MEMWHY, "maps", str(pid)],
              "maps --json": [MEMWHY, "maps", "--json", str(pid)],
              "maps -XX": [MEMWHY, "maps", "-XX", str(pid)]}
    if shutil.which("pmap"):
        result["pmap -x"] = ["pmap", "-x", str(pid)]
        result["pmap -XX"] = ["pmap", "-XX", str(pid)]
    if shutil.which("smem"):
        result["smem"] = ["smem", "-P", name]
    return result


def measure(pid, name, rounds, repeat):
    """{program: (median CPU seconds, peak KiB)} and the floor in CPU seconds."""
    times, peaks, scans = {}, {}, []
    all_programs = programs(pid, name)
    for _ in range(rounds):
        for program, argv in all_programs.items():
            got = run(argv, repeat if program != "smem" else 1)
            if not got:
                continue
            each = sum(t for t, _ in got) / len(got)
            times.setdefault(program, []).append(each)
            peaks[program] = max(peaks.get(program, 0), *(p for _, p in got))
        scans.append(scan(pid))
    medians = {p: (statistics.median(t), peaks[p]) for p, t in times.items()}
    floor = None
    if None not in scans and "cat maps" in medians:
        floor = medians["cat maps"][0] + statistics.median(scans)
    return medians, floor


def print_table(title, medians, floor, base):
    print(f"\n{title}")
    print(f"  {'program':18}{'CPU ms':>10}{'x ' + base:>14}{'x floor':>10}{'peak MiB':>10}")
    rows = sorted(medians.items(), key=lambda row: row[1][0])
    if floor:
        rows.insert(0, ("floor: maps + scan", (floor, None)))
    for program, (seconds, peak) in rows:
        ratio = seconds / medians[base][0] if medians.get(base, (0,))[0] else float("nan")
        print(f"  {program:18}{seconds * 1000:10.2f}{ratio:14.2f}"
              f"{seconds / floor if floor else float('nan'):10.2f}"
              + (f"{peak / 1024:10.1f}" if peak else f"{'-':>10}"))


def check_budgets(results):
    """Print each budget beside what was reached; the number that was missed."""
    missed = 0
    print("\nbudgets")
    for target, program, base, most in BUDGETS:
        medians = results[target]["programs"]
        if program not in medians or base not in medians:
            print(f"  {target}: {program} against {base}: not measured")
            continue
        ratio = medians[program][0] / medians[base][0]
        missed += ratio > most
        print(f"  {target}: {program} = {ratio:.2f} x {base}, at most {most:.2f}: "
              + ("met" if ratio <= most else "MISSED"))
    for (target, program), most in PEAK_BUDGET_KIB.items():
        peak = results[target]["programs"][program][1]
        missed += peak > most
        print(f"  {target}: {program} peak {peak / 1024:.1f} MiB, at most {most / 1024:.0f}: "
              + ("met" if peak <= most else "MISSED"))
    return missed


def describe(pid):
    text = open(f"/proc/{pid}/status").read()
    sizes = [int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1)) for key in ("VmSize", "VmRSS")]
    with open(f"/proc/{pid}/maps") as maps:
        mappings = sum(1 for _ in maps)
    return f"{mappings} mappings, VSZ {sizes[0] / 1024:.0f} MiB, RSS {sizes[1] / 1024:.0f} MiB"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=2, help="GiB of the resident target (default 2)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mappings", type=int, default=65000)
    parser.add_argument("--json", metavar="FILE", help="also write the results there")
    opts = parser.parse_args()
    targets = [("mappings", 1, [os.path.join(LIVE, "many"), str(opts.mappings)]),
               ("resident", 1, [os.path.join(LIVE, "resident"), str(int(opts.gib * 1024))]),
               ("small", 10, None)]
    results = {}
    for target, repeat, argv in targets:
        # a small process: this interpreter's child, which only waits for its standard input
        argv = argv or ["sh", "-c", "echo '\"ready\"'; exec cat"]
        with Target(*argv) as pid:
            time.sleep(0.2)
            what = describe(pid)
            name = open(f"/proc/{pid}/comm").read().strip()
            medians, floor = measure(pid, f"^{re.escape(name)}", opts.rounds, repeat)
        results[target] = {"what": what, "programs": medians, "floor": floor}
        print_table(f"{target}: {what}", medians, floor, "cat smaps")
        sys.stdout.flush()
    missed = check_budgets(results)
    if opts.json:
        with open(opts.json, "w") as out:
            json.dump(results, out, indent=1)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
