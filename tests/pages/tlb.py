#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy tlb --cpuid: words that processors gave (fixtures/cpuid, published by InstLatx64) against their geometry.

fixtures/cpuid/expected has a line a TLB: NAME LEVEL KIND PAGES ENTRIES WAYS. Where cpuid(1) is installed, which decodes
such words on its own, both must say the same; it gives ranges of ways, and names no levels that could be compared."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys

MEMWHY = os.environ.get("MEMWHY", "build/memwhy")
HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = os.path.join(HERE, "../fixtures/cpuid")
count = failed = 0


def ok(passed, name, why=""):
    global count, failed
    count += 1
    failed += not passed
    print(f"{'ok' if passed else 'not ok'} {count} - {name}")
    if not passed and why:
        print("\n".join("# " + line for line in str(why).splitlines()[:30]))


def skip(name, why):
    global count
    count += 1
    print(f"ok {count} - {name} # SKIP {why}")


def decode(path):
    run = subprocess.run([MEMWHY, "tlb", "--json", "--cpuid", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
    return json.loads(run.stdout) if run.returncode == 0 else None


def lines_of(doc):
    return [f'{t["level"]} {t["kind"]} {t["pages"].replace(" ", "+")} {t["entries"]} {t["ways"] or "-"}' for t in doc["tlbs"]]


# ------------------------------------------------------------------ cpuid(1)

KINDS = {"instruction": "code", "data": "data", "unified": "unified", "store-only": "stores", "load-only": "loads"}


def by_cpuid(path):
    """What cpuid(1) says: (kind, pages, entries, fewest ways, most ways), ways None where it does not tell."""
    text = subprocess.run(["cpuid", "-f", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30).stdout.decode("latin1")
    return leaf_18(text) or leaf_2(text) + amd(text)


def number(block, name):
    return int(re.search(rf"{name}\s*= 0x([0-9a-f]+)", block).group(1), 16)


def leaf_18(text):
    found = []
    for block in re.findall(r"\(0x18/\d+\):\n((?: {6}.*\n)+)", text):
        kind = re.search(r"translation cache type\s*= (\S+)", block).group(1)
        if kind not in KINDS:
            continue
        pages = "+".join(p for p, q in (("4K", "4KB"), ("2M", "2MB"), ("4M", "4MB"), ("1G", "1GB"))
                         if re.search(rf"{q} page size entries supported\s*= true", block))
        ways = number(block, "ways of associativity")
        full = re.search(r"fully associative\s*= true", block)
        found.append((KINDS[kind], pages, ways * number(block, "number of sets"), "full" if full else ways, ways))
    return found


def leaf_2(text):
    found = []
    for line in re.findall(r"^\s+(?:0x[0-9a-f]{2}: )?(.*TLB: .*entries)", text, re.M):
        kind = "code" if "instruction" in line else "unified" if line.startswith("L2") else "data"
        pages = "+".join(p for p in ("4K", "2M", "4M", "1G") if p in line)
        ways = re.search(r"(\d+)-way", line)
        entries = re.search(r"([\d/]+) entries", line).group(1)
        if "/" in entries:      # 4 entries for 4M pages or 8 for 2M pages
            pages, entries = "2M", entries.split("/")[1]
        found.append((kind, pages, int(entries), "full" if "fully" in line else int(ways.group(1)) if ways else None,
                      int(ways.group(1)) if ways else None))
    return found


def amd(text):
    found = []
    for pages, block in re.findall(r"TLB.*information: (\S+) pages.*:\n((?: {6}.*\n)+)", text):
        for word, kind in (("instruction", "code"), ("data", "data")):
            entries = number(block, f"{word} # entries")
            ways = re.search(rf"{word} associativity\s*= (.*)", block).group(1)
            if not entries or "off" in ways:
                continue
            if "(255)" in ways or "full" in ways:
                low = high = "full"
            elif " to " in ways:
                low, high = map(int, re.search(r"(\d+) to (\d+)", ways).groups())
            else:
                low = high = int(re.search(r"(\d+)", ways).group(1) if "way" in ways else re.search(r"\((\d+)\)", ways).group(1))
            found.append((kind, pages.replace("2M/4M", "2M"), entries, low, high))
    return found


def agree(doc, theirs):
    ours = [[t["kind"], t["pages"].replace(" ", "+"), t["entries"], t["ways"]] for t in doc["tlbs"]]
    left = []
    unit = 32 if "Zen 5" in (doc["processor"]["document"] or "") or doc["processor"]["family"] == 0x1A else 1
    for kind, pages, entries, low, high in theirs:
        for t in ours:
            same_size = t[2] == entries or t[2] == entries * unit
            fits = t[3] is None or low is None or t[3] == "full" == low or (low != "full" and t[3] != "full" and low <= int(t[3]) <= high)
            if t[0] == kind and t[1] == pages and same_size and fits:
                ours.remove(t)
                break
        else:
            left.append((kind, pages, entries, low, high))
    # cpuid(1) leaves out the 1G part of descriptor 0xc3, and takes fully associative for not told
    ours = [t for t in ours if t[:3] != ["unified", "1G", 16]]
    return not left and not ours, f"only ours: {ours}\nonly cpuid's: {left}"


def main():
    expected = {}
    with open(os.path.join(WORDS, "expected")) as file:
        for line in file:
            name, rest = line.rstrip("\n").split(" ", 1)
            expected.setdefault(name, []).append(rest)
    for path in sorted(glob.glob(os.path.join(WORDS, "*.txt"))):
        name = os.path.basename(path)[:-4]
        doc = decode(path)
        ok(doc is not None and lines_of(doc) == expected.get(name), f"{name}: {len(expected.get(name, []))} TLBs",
           doc and "\n".join(lines_of(doc)))
        if not doc:
            continue
        ok(not doc["processor"]["documented"], f"{name}: by its own words")
        if shutil.which("cpuid"):
            ok(*agree(doc, by_cpuid(path))[:1], f"{name}: as cpuid(1) says", agree(doc, by_cpuid(path))[1])
        else:
            skip(f"{name}: as cpuid(1) says", "cpuid is not installed")
    check_hidden(expected)
    check_hybrid()
    check_counters()
    check_injected_counters()
    check_levels()
    check_bad()
    print(f"1..{count}")
    return failed > 0


HIDDEN = {"haswell-ep", "broadwell-ep", "skylake-sp", "cascadelake-sp", "icelake-sp", "sapphirerapids", "emeraldrapids", "graniterapids",
          "zen1-naples", "zen2-rome", "zen3-milan", "zen4-genoa", "zen5-turin"}


def check_hidden(expected):
    """The same processors under a hypervisor that hides the words about TLBs: the words of the model serve."""
    for name in sorted(HIDDEN):
        with open(os.path.join(WORDS, name + ".txt")) as file:
            lines = file.readlines()
        path = os.path.join(os.environ.get("BUILD", "build"), "tests", "hidden-cpuid.txt")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.writelines(re.sub(r"=0x[0-9a-f]{8}", "=0x00000000", line)
                            if re.match(r"\s*0x(00000002|00000018|80000005|80000006|80000019|80000021)", line) else line for line in lines)
        doc = decode(path)
        ok(doc and lines_of(doc) == expected[name] and doc["processor"]["documented"] and doc["processor"]["document"],
           f"{name}, hidden: as documented, and marked so", doc and "\n".join(lines_of(doc)))


def check_hybrid():
    """Cores that differ: of which type these words are is said, and nothing where all are alike."""
    with open(os.path.join(WORDS, "alderlake.txt")) as file:
        words = [line for line in file if not re.match(r"\s*0x(00000007|0000001a) ", line)]
    path = os.path.join(os.environ.get("BUILD", "build"), "tests", "hybrid-cpuid.txt")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    line = "   0x{:08x} 0x00: eax=0x{:08x} ebx=0x00000000 ecx=0x00000000 edx=0x{:08x}\n"
    for hybrid, core, want in ((1 << 15, 0x40000001, "performance"), (1 << 15, 0x20000001, "efficiency"), (1 << 15, 0, "unknown"),
                               (0, 0x40000001, None)):
        with open(path, "w") as file:
            file.writelines([*words, line.format(7, 0, hybrid), line.format(0x1a, core, 0)])
        doc = decode(path)
        ok(doc and doc["processor"]["core_type"] == want, f"a core of type {want}", doc and doc["processor"])


def check_injected_counters():
    """Counters that a stand-in for the kernel gives: each had its register for two of three turns, so is half as much again."""
    stand_in = os.path.abspath(os.path.join(os.environ.get("BUILD", "build"), "tests/faults/perfevents.so"))
    if not os.path.exists(stand_in) or os.environ.get("MEMWHY_SANITIZED"):
        skip("--measure: counters of a stand-in", "it is for x86-64 and without sanitizers")
        return
    process = subprocess.Popen(["sleep", "60"])
    try:
        run = subprocess.run([MEMWHY, "tlb", "--measure=0.1", "--json", str(process.pid)], stdout=subprocess.PIPE, timeout=60,
                             env=dict(os.environ, LD_PRELOAD=stand_in, PERF_EVENTS="counters"))
    finally:
        process.kill()
        process.wait()
    doc = json.loads(run.stdout)
    c, cpu = doc["counters"], doc["processor"]
    want = {"cycles": 1500000, "instructions": 3000000, "load_misses": 450, "store_misses": 600, "code_misses": 750}
    ok({k: c[k] for k in want} == want, "--measure: counters that shared a register are scaled", c)
    # code, loads and stores: 15 times the sum of their event codes
    known = {1.5 * 10 * sum(codes) for codes in ((0x08, 0x49, 0x85), (0x12, 0x13, 0x11))}
    ok(c["walk_cycles"] in known and not c["why"] if "Intel" in str(cpu) and c["walk_cycles"] is not None else
       c["walk_cycles"] is None and "page walks" in c["why"], "--measure: cycles in page walks, or that no event is known", c)


def check_levels():
    """Levels of the page tables: as many as /proc/cpuinfo says that Linux uses, here and where it says something else."""
    name = "tlb PID: the levels of page tables are those that cpuinfo tells"
    if os.uname().machine != "x86_64":
        skip(name, "it is for x86-64")
        return
    with open("/proc/cpuinfo") as file:
        text = file.read()
    five = " la57" in text
    other = os.path.join(os.environ.get("BUILD", "build"), "tests", "other-cpuinfo.txt")
    os.makedirs(os.path.dirname(other), exist_ok=True)
    with open(other, "w") as file:
        file.write(text.replace(" la57", "") if five else re.sub(r"(?m)^(flags\s*:.*)$", r"\1 la57", text))

    def levels(*before):
        run = subprocess.run([*before, MEMWHY, "tlb", "--json", str(os.getpid())], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
        return len(json.loads(run.stdout)["levels"]) if run.returncode == 0 else run.stderr

    seen = levels()
    ok(seen == 4 + five, name, seen)
    mounted = ["unshare", "-m", "sh", "-c", 'mount --bind "$1" /proc/cpuinfo || exit 77; shift; exec "$@"', "sh", other]
    if subprocess.run([*mounted, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        skip(name + ", of another machine", "no mount namespace can be made")
    else:
        seen = levels(*mounted)
        ok(seen == 5 - five, name + ", of another machine", seen)


def check_counters():
    """Misses and walks where the machine has counters for them, else why not: never 0 for unknown."""
    code = "b=bytearray(64<<20)\nwhile True:\n  for i in range(0,len(b),4096): b[i]=1"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        run = subprocess.run([MEMWHY, "tlb", "--measure=0.3", "--json", str(process.pid)], stdout=subprocess.PIPE, timeout=60)
        c = json.loads(run.stdout)["counters"]
    finally:
        process.kill()
        process.wait()
    counts = ("cycles", "instructions", "load_misses", "store_misses", "code_misses", "walk_cycles")
    if c["cycles"] is None:
        ok(all(c[k] is None for k in counts) and c["why"], "--measure: without counters it says why", c)
    else:
        ok(c["cycles"] > 0 and c["instructions"] > 0 and (c["walk_cycles"] is None) == bool(c["why"]) and
           (c["walk_cycles"] is None or c["walk_cycles"] <= c["cycles"]), "--measure: counts of a busy process", c)
    run = subprocess.run([MEMWHY, "tlb", "--measure=1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
    ok(run.returncode == 2, "--measure needs a pid", run.stderr)


def check_bad():
    for path, why in (("/dev/null", b"no words of CPUID"), ("/dev/zero", b"no words of CPUID"), ("/no/such/file", b"No such file"), (MEMWHY, b"no words of CPUID")):
        run = subprocess.run([MEMWHY, "tlb", "--cpuid", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
        ok(run.returncode == 3 and why in run.stderr, f"--cpuid {os.path.basename(path)} is refused", run.stderr)


sys.exit(main())
