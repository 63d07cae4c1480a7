#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU time of sections, pages, at, faults and top as ratios to their peers, in turns.

usage: pages.py [--rounds N] [--processes N,...] [--faults N] [--json FILE]

sections, pages and at   against explain of the same process: it reads the same mappings and page states
faults -- PROGRAM        against the program alone; as root by a program in the kernel, as an ordinary user by
                         samples. The budget holds for programs that do something with the pages that they
                         fault: perl filling a list, python3 with a JSON document, the C compiler with a large
                         file. "Full samples, unread" is the floor of an ordinary user: what the kernel's
                         samples cost when nobody reads them.
                         The worst case is a program that does nothing but fault. Root keeps to the budget
                         there too. An ordinary user does not and cannot, because this floor is above it; so
                         that row has no budget, and the next one says how far from the floor it is. Then what
                         a sample's parts cost: instruction and address alone, no field, no ring to write it to
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
import tempfile
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


@contextlib.contextmanager
def fault_heavy():
    """{name: argv} of programs that every Debian has or whose build needs: those that are here.
    By full path: what stands before them in somebody's PATH may be a script that starts others."""
    programs = {"perl": ["/usr/bin/perl", "-e", 'my @a = map { "x" . $_ } 1..1000000'],
                "python3": ["/usr/bin/python3", "-S", "-c", "import json; "
                            "json.loads(json.dumps([{'id': i, 'name': str(i)} for i in range(400000)]))"]}
    with tempfile.TemporaryDirectory(prefix="memwhy-bench-") as where:
        os.chmod(where, 0o755)
        source = os.path.join(where, "types.c")
        with open(source, "w") as file:
            for i in range(40000):
                file.write(f"struct s{i} {{ int a; long b[{i % 9 + 1}]; struct s{i} *next; }};\n"
                           f"static inline int f{i}(struct s{i} *p) {{ return p->a + (int)p->b[{i % 9}]; }}\n")
        cc1 = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True, text=True).stdout.strip() \
            if shutil.which("gcc") else ""
        programs["cc1"] = [cc1 or "cc1", "-quiet", "-fsyntax-only", "-o", "/dev/null", source]
        yield {name: argv for name, argv in programs.items() if os.access(argv[0], os.X_OK)}


def recording(count, rounds):
    faults = [MEMWHY, "faults"]
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    who = {"root": [], "user": user} if user else {"user": []}
    rows = []
    with fault_heavy() as programs:
        for name, program in programs.items():
            rows += [compare(f"faults -- {name} / {name}, {w}", [*as_who, *faults, "--", *program], [*as_who, *program], rounds,
                             BUDGET_FAULTS) for w, as_who in who.items()]
            rows += [compare(f"{name}: full samples, unread / {name}", [*user, SAMPLED, "full", *program], [*user, *program], rounds)]
    worst = [FAULTY, str(count)]
    if user:
        rows += [compare(f"faults {' '.join((*to, '--'))} worst case / worst case, root", [*faults, *to, "--", *worst], worst,
                         rounds, BUDGET_FAULTS) for to in ([], ["-o", "/dev/null"])]
    recorded, unread = [*user, *faults, "--", *worst], [*user, SAMPLED, "full", *worst]
    rows += [compare("faults -- worst case / worst case, user", recorded, [*user, *worst], rounds),
             compare("worst case: recording / full samples, unread", recorded, unread, rounds)]
    rows += [compare(f"worst case: {fields} samples, unread / worst case", [*user, SAMPLED, fields, *worst], [*user, *worst], rounds)
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
    print(f"  {'':54}{'CPU ms':>9}{'peer ms':>9}{'ratio':>7}{'range':>15}")
    for r in rows:
        if r["ratio"] is None:
            print(f"  {r['name']:54}  not measured")
            continue
        bad = r["most"] is not None and r["ratio"] > r["most"]
        missed += bad
        budget = "" if r["most"] is None else f"  at most {r['most']:.2f}: {'MISSED' if bad else 'met'}"
        print(f"  {r['name']:54}{r['ours'] * 1000:9.2f}{r['peer'] * 1000:9.2f}{r['ratio']:7.2f}"
              f"{r['low']:8.2f}-{r['high']:<6.2f}{budget}")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--processes", default="100,400", metavar="N,...", help="that top looks at, at least (default 100,400)")
    parser.add_argument("--faults", type=int, default=200000, help="of the program that does nothing else")
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
