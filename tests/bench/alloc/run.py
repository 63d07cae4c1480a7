#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare allocators: CPU time and peak RSS as ratios to glibc, in turns.

usage: run.py [--rounds N] [--only WORD,...] [--with NAME=LIBRARY[,OPTION...]]
              [--allocators NAME,...] [--base NAME] [--json FILE]

Each round runs every workload under every allocator once, in an order that rotates,
so drift of the machine hits all alike. CPU is user + system time of the process and its
children: the least of the rounds, since what disturbs only adds. RSS is the largest
single process: the median of the ratios within a round.

"nothing" is no workload: it starts and exits, which a preloaded library of any kind makes
slower. It has a table of its own, in which one that is empty takes part.
"""
import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
EXE = BUILD + "/tests/bench/alloc/workloads"
START = "nothing"
STARTS = 30  # in a round: one takes less than a millisecond
LIBS = "/usr/lib/" + os.uname().machine + "-linux-gnu/"

PYTHON = """
import json
class Node:
    def __init__(self, k): self.k = k; self.kids = []; self.name = 'n%d' % k
def tree(d):
    n = Node(d)
    if d: n.kids = [tree(d - 1) for _ in range(4)]
    return n
for _ in range(3): t = tree(8)
d = {}
for i in range(400000): d[(i * 7919) % 50021] = [str(i), i * 1.5]
print(len(json.dumps([list(range(60))] * 20000)))
print(len(''.join(sorted(str(i) for i in range(200000)))))
"""
PERL = """my %h; for my $i (1 .. 600000) { push @{$h{$i % 9001}}, "v$i"; }
my $n = 0; $n += length join ",", @{$h{$_}} for sort keys %h; print "$n\\n";
my @a = map { { id => $_, s => "x$_" } } 1 .. 150000; print scalar @a, "\\n";"""
SQL = """create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i+1 from n where i<200000)
insert into t select i, hex(i*7919)||'x', i/7.0 from n;
create index tb on t(b); select count(*), sum(length(b)) from t where b like '3%';
select count(*) from (select group_concat(b) from t group by a%1000);"""


def c_source():
    out = ["#include <stdio.h>", "struct s { int a[4]; double d; };"]
    out.append("static int f0(struct s *p, int x) { return p->a[0] + x; }")
    for i in range(1, 150):
        out.append("static int f%d(struct s *p, int x) { int r = 0; for (int i = 0; i < 4; i++) {"
                   " p->a[i] += x * %d; if (p->a[i] > %d) r += f%d(p, x - 1); } return r + p->d; }"
                   % (i, i + 3, i * 7, i - 1))
    out.append("int main(void) { struct s s = { { 1, 2, 3, 4 }, 5 }; return f149(&s, 3); }")
    return "\n".join(out)


def programs(tmp):
    """Real programs: name -> argv. Those that are missing are left out."""
    def path(name, text):
        p = os.path.join(tmp, name)
        with open(p, "w", encoding="ascii") as f:
            f.write(text)
        return p
    cc1 = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True, text=True,
                         check=False).stdout.strip() if shutil.which("gcc") else ""
    python = "/usr/bin/python3"
    cxx = path("c.cc", "#include <map>\n#include <iostream>\n#include <functional>\n"
               "int main(){std::map<std::string,std::function<int(int)>> m;"
               "std::cout<<m.size();}\n")
    table = {
        "cc1": [cc1, "-quiet", "-O1", "-o", "/dev/null", path("b.c", c_source())],
        "g++": ["g++", "-O1", "-S", "-o", "/dev/null", cxx],
        "python": [python, path("o.py", PYTHON)],
        "python-malloc": ["env", "PYTHONMALLOC=malloc", python, os.path.join(tmp, "o.py")],
        "perl": ["perl", path("h.pl", PERL)],
        "sqlite": ["sqlite3", "-init", path("s.sql", SQL), ":memory:", ".quit"],
        "sort": ["sh", "-c", "seq 600000 | awk '{ print ($1 * 7919) % 1000003 }' | sort --parallel=2 >/dev/null"],
        "git": ["git", "-C", os.getcwd(), "log", "--stat", "-n", "300"],
        "node": ["node", "-e", "let a=[];for(let i=0;i<600000;i++)a.push({i,s:String(i)});"
                 "for(let i=0;i<2000;i++)Buffer.alloc(100000+i);console.log(a.length)"],
    }
    return {k: v for k, v in table.items() if v[0] and shutil.which(v[0])}


def allocators(extra):
    table = {"glibc": ("", ""), "memwhy": (BUILD + "/libmemwhy-malloc.so", "")}
    for name, lib in (("jemalloc", "libjemalloc.so.2"), ("tcmalloc", "libtcmalloc_minimal.so.4"),
                      ("mimalloc", "libmimalloc.so.2.0")):
        if os.path.exists(LIBS + lib):
            table[name] = (LIBS + lib, "")
    for e in extra:
        name, _, rest = e.partition("=")
        lib, _, options = rest.partition(",")
        table[name] = (lib if lib else BUILD + "/libmemwhy-malloc.so", options)
    return table


def run(argv, lib, options):
    """CPU seconds and peak RSS in kB; None when it failed."""
    env = dict(os.environ, PYTHONHASHSEED="0", PERL_HASH_SEED="0")
    out = tempfile.TemporaryFile()
    command = ["sh", "-c", 'exec "$@" 3>&1 1>/dev/null 2>&1 </dev/null', "sh", EXE, "--measure", lib, options]
    status = subprocess.run(["timeout", "20"] + command + argv, stdout=out, env=env, check=False).returncode
    out.seek(0)
    words = out.read().split()
    return (float(words[0]), int(words[1])) if status == 0 and len(words) == 2 else None


def least(runs):
    return min(runs, default=None) if None not in runs else None


def geomean(xs):
    return math.exp(sum(map(math.log, xs)) / len(xs)) if xs else float("nan")


def table(title, work, names, cell):
    print("\n%s\n%-20s %s" % (title, "", "".join("%12s" % n for n in names)))
    columns = {n: [] for n in names}
    for w in work:
        row = []
        for n in names:
            v = cell(w, n)
            row.append("%12s" % "-" if v is None else "%12.3f" % v)
            if v is not None:
                columns[n].append(v)
        print("%-20s %s" % (w, "".join(row)))
    if len(work) < 2:
        return
    print("%-20s %s" % ("geometric mean", "".join("%12.3f" % geomean(columns[n]) for n in names)))
    print("%-20s %s" % ("worst", "".join("%12.3f" % max(columns[n], default=float("nan")) for n in names)))


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--only", default="", help="workloads whose names contain one of these")
    ap.add_argument("--allocators", default="", help="only these")
    ap.add_argument("--base", default="glibc", help="ratios are to this one")
    ap.add_argument("--with", dest="extra", action="append", default=[])
    ap.add_argument("--json")
    args = ap.parse_args()
    names = subprocess.run([EXE], capture_output=True, text=True, check=True).stdout.split()
    allocs = allocators(args.extra)
    if args.allocators:
        allocs = {k: allocs[k] for k in args.allocators.split(",")}
    results = {}
    with tempfile.TemporaryDirectory() as tmp:
        work = {n: [EXE, n] for n in names}
        real = programs(tmp)
        work.update(real)
        work = {k: v for k, v in work.items() if any(x in k for x in args.only.split(","))}
        starters = dict(allocs, empty=(BUILD + "/tests/bench/alloc/empty.so", ""))
        for r in range(args.rounds):
            for w, argv in work.items():
                taking_part = starters if w == START else allocs
                order = list(taking_part)
                order = order[r % len(order):] + order[:r % len(order)]
                for a in order:
                    runs = results.setdefault((w, a), [])
                    failed = runs and runs[0] is None  # once is enough to know
                    times = STARTS if w == START else 1
                    runs.append(None if failed else least([run(argv, *taking_part[a]) for _ in range(times)]))
                print("round %d of %d: %s" % (r + 1, args.rounds, w), file=sys.stderr)

    def cpu(w, a):
        least = [min((x[0] for x in results[w, k] if x), default=None) for k in (a, args.base)]
        return least[0] / least[1] if least[0] is not None and least[1] else None

    def rss(w, a):
        pairs = [x[1] / g[1] for x, g in zip(results[w, a], results[w, args.base]) if x and g and g[1]]
        return statistics.median(pairs) if pairs else None

    start = [w for w in work if w == START]
    built_in = [w for w in work if w not in real and w != START]
    rest = [w for w in work if w in real]
    for title, cell in (("least CPU time, ratio to " + args.base, cpu), ("peak RSS, ratio to " + args.base, rss)):
        if built_in:
            table(title + ": built-in workloads", built_in, allocs, cell)
        if rest:
            table(title + ": programs", rest, allocs, cell)
        if built_in and rest:
            print("%-20s %s" % ("both", "".join("%12.3f" % geomean([c for c in (cell(w, a) for w in built_in + rest) if c])
                                                for a in allocs)))
        if start:
            table(title + ": start and exit", start, starters, cell)
    if "memwhy" in allocs:
        behind = {w: cpu(w, "memwhy") / min(c for c in (cpu(w, a) for a in allocs) if c) for w in built_in + rest if cpu(w, "memwhy")}
        print("\nmore than 1.15 times the best:", ", ".join(
            f"{w} {x:.2f}" for w, x in sorted(behind.items(), key=lambda i: -i[1]) if x > 1.15) or "none")
    spread = [max(t) / min(t) for t in ([x[0] for x in results[w, args.base] if x] for w in work) if t and min(t) > 0]
    if spread:
        print("\nspread of %s's CPU time over rounds: median %.2f, largest %.2f%s" % (
            args.base,
            statistics.median(spread), max(spread),
            "; the machine is too noisy to tell small differences" if statistics.median(spread) > 1.15 else ""))
    if args.json:
        with open(args.json, "w", encoding="ascii") as f:
            json.dump([{"workload": w, "allocator": a, "runs": r} for (w, a), r in results.items()], f)


if __name__ == "__main__":
    main()
