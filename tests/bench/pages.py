#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU time of sections, pages, at, faults and top as ratios to their peers, in turns.

usage: pages.py [--rounds N] [--processes N,...] [--faults N] [--json FILE]

sections, pages and at   against explain of the same process: it reads the same mappings and page states
faults -- PROGRAM        against the program alone, which faults so many pages; as root by a program in the
                         kernel, as an ordinary user by samples. Beside it what samples cost that nobody
                         reads: with the fields that a recording needs, with instruction and address alone,
                         with none, and without a ring to write them to
top                      against one read of every smaps_rollup, made by a small program; with --stall sizes are
                         read first, as they are where much memory is mapped

Printed is the median of the ratios of each round. Ends with 1 when a budget is not met.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

from bench import MEMWHY, BUILD, Target, run

RAW = os.path.join(BUILD, "tests/pages/rawrollup")
FAULTY = os.path.join(BUILD, "tests/bench/faulty")
SAMPLED = os.path.join(BUILD, "tests/bench/sampled")
PYTHON = "import json, ssl, sys; print('\"ready\"', flush=True); sys.stdin.read()"
NODE = "setTimeout(() => {}, 600000); console.log('\"ready\"')"

# row: its name, the program, the peer, and the largest ratio that is allowed, or None
BUDGET_FAULTS, BUDGET_TOP = 1.25, 1.2


def cpu(argv):
    got = run(argv, 1)
    return got[0][0] if got else None


def compare(name, argv, peer, rounds, most=None):
    """One row: medians of both, and of the ratio of each round."""
    ours, theirs = [], []
    for i in range(rounds):
        for who, command in ((ours, argv), (theirs, peer)) if i % 2 else ((theirs, peer), (ours, argv)):
            who.append(cpu(command))
    if None in ours or None in theirs:
        return {"name": name, "ratio": None, "most": most}
    ratios = [a / b for a, b in zip(ours, theirs) if b]
    return {"name": name, "ours": statistics.median(ours), "peer": statistics.median(theirs), "most": most,
            "ratio": statistics.median(ratios) if ratios else None, "low": min(ratios, default=None),
            "high": max(ratios, default=None)}


def views(pid, what, rounds):
    explain = [MEMWHY, "explain", str(pid)]
    with open(f"/proc/{pid}/maps") as maps:
        addr = next(line.split("-")[0] for line in maps if " r-xp " in line)
    rows = {"sections": ["sections", str(pid)], "sections --symbols": ["sections", "--symbols", str(pid)],
            "sections --relocs": ["sections", "--relocs", str(pid)], "pages": ["pages", str(pid)],
            "at, one address": ["at", str(pid), addr], "maps": ["maps", str(pid)]}
    return [compare(f"{what}: {name} / explain", [MEMWHY, *argv], explain, rounds) for name, argv in rows.items()]


def recording(count, rounds):
    program = [FAULTY, str(count)]
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    rows = []
    if user:
        rows += [compare("faults / the program, root", [MEMWHY, "faults", "--", *program], program, rounds, BUDGET_FAULTS),
                 compare("faults -o FILE / the program, root", [MEMWHY, "faults", "-o", "/dev/null", "--", *program], program,
                         rounds, BUDGET_FAULTS)]
    rows += [compare("faults / the program, user", [*user, MEMWHY, "faults", "--", *program], [*user, *program], rounds,
                     BUDGET_FAULTS)]
    rows += [compare(f"{fields} samples, unread / the program, user", [*user, SAMPLED, fields, *program], [*user, *program], rounds)
             for fields in ("full", "place", "empty", "none")]
    return rows


@contextlib.contextmanager
def crowd(n):
    processes = [subprocess.Popen(["sleep", "600"]) for _ in range(n)]
    try:
        time.sleep(1)
        yield
    finally:
        for p in processes:
            p.kill()
        for p in processes:
            p.wait()


def show(rows):
    missed = 0
    print(f"  {'':46}{'CPU ms':>9}{'peer ms':>9}{'ratio':>7}{'range':>15}")
    for r in rows:
        if r["ratio"] is None:
            print(f"  {r['name']:46}  not measured")
            continue
        bad = r["most"] is not None and r["ratio"] > r["most"]
        missed += bad
        budget = "" if r["most"] is None else f"  at most {r['most']:.2f}: {'MISSED' if bad else 'met'}"
        print(f"  {r['name']:46}{r['ours'] * 1000:9.2f}{r['peer'] * 1000:9.2f}{r['ratio']:7.2f}"
              f"{r['low']:8.2f}-{r['high']:<6.2f}{budget}")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--processes", default="100,400", metavar="N,...", help="that top looks at, at least (default 100,400)")
    parser.add_argument("--faults", type=int, default=200000, help="of the program that is recorded")
    parser.add_argument("--json", metavar="FILE", help="also write the results there")
    opts = parser.parse_args()
    rows = []
    with Target(sys.executable, "-c", PYTHON) as pid:
        rows += views(pid, "python3", opts.rounds)
    if shutil.which("node"):
        with Target("node", "-e", NODE) as pid:
            rows += views(pid, "node", opts.rounds)
    rows += recording(opts.faults, opts.rounds)
    for n in map(int, opts.processes.split(",")):
        with crowd(n):
            rows += [compare(f"{' '.join(('top', *args))}, {n}+ processes / raw smaps_rollup", [MEMWHY, "top", *args], [RAW],
                             opts.rounds, most) for args, most in (([], BUDGET_TOP), (["--stall=60"], BUDGET_TOP), (["--fast"], None))]
    print("views of pages, CPU against their peers (median of the rounds' ratios, and their range)")
    missed = show(rows)
    if opts.json:
        with open(opts.json, "w") as file:
            json.dump(rows, file, indent=1)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
