#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares memwhy with targets that know the truth about their own memory.

usage: check.py [--self] [--heavy] [--list] [GROUP...]

  --self   leave memwhy out: compare the targets' claims with this checker's own
           reading of smaps and pagemap
  --heavy  the long groups (65,000 mappings, 4 GiB resident)
  --list   name the groups

The binary is $MEMWHY (default build/memwhy), the targets lie below $BUILD
(default build) in tests/live. Prints TAP; README.md has the protocol.
"""

import contextlib
import copy
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import reading
from tap import Tap

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
MEMWHY = os.path.abspath(os.environ.get("MEMWHY", os.path.join(BUILD, "memwhy")))
LIVE = os.path.join(BUILD, "tests/live")
IS_ROOT = os.geteuid() == 0
SEES_ALL = reading.sees_files_of_others()
PAGE = reading.PAGE
START_S, READ_S, END_S = 40, 90, 5
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]

# Columns of a claim, by their names in `memwhy maps --json`.
COLUMNS = {"resident": "resident", "anonymous": "anonymous", "file": "file",
           "shmem": "shmem", "zero": "zero", "huge": "huge", "swap": "swap",
           "guard": "guard", "untouched": "not_present", "cached": "cached",
           "uncached": "uncached"}
# What only the file behind a mapping tells; N13 stands for all without rights.
BEHIND_A_FILE = ("N8", "N10", "N11", "N12", "N14", "N15")
OWNED = ("N9", "N16", "N17", "N18", "N19", "N20", "N21")


# --- targets -----------------------------------------------------------------

class Target:
    """A started target, its claims, and its end."""

    def __init__(self, argv, truth_dir, wrap=()):
        env = dict(os.environ, TRUTH_DIR=truth_dir)
        self.process = subprocess.Popen(
            [*wrap, os.path.join(truth_dir, argv[0]) if wrap else os.path.join(LIVE, argv[0]),
             *argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        self.pid = self.process.pid
        self.claims, self.error = [], None

    def wait_ready(self):
        """Reads claims until the target holds still. False: it never did."""
        deadline, data = time.monotonic() + START_S, b""
        fd = self.process.stdout.fileno()
        while time.monotonic() < deadline:
            if not select.select([fd], [], [], 1)[0]:
                continue
            block = os.read(fd, 1 << 16)
            data += block
            if data.endswith(b'{"ready":true}\n') or not block:
                break
        try:
            lines = [json.loads(line) for line in data.splitlines()]
        except ValueError as error:
            self.error = f"not JSON: {error}"
            return False
        self.claims = [line for line in lines if "ready" not in line]
        if not lines or "ready" not in lines[-1]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            self.error = f"never ready (exit status {self.process.returncode})"
        return self.error is None

    def regions(self):
        return [c for c in self.claims if "expect" in c]

    def skips(self):
        return [c for c in self.claims if "skip" in c]

    def said(self, key):
        return next((c[key] for c in self.claims if key in c), None)

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(END_S)
        self.process.stdout.close()


@contextlib.contextmanager
def running(argv, truth_dir, wrap=()):
    target = Target(argv, truth_dir, wrap)
    try:
        target.wait_ready()
        yield target
    finally:
        target.end()


# --- what the machine lends ------------------------------------------------------

@contextlib.contextmanager
def lent(path, value):
    """Sets a kernel knob and sets it back; does nothing where that is refused."""
    try:
        with open(path, encoding="ascii") as knob:
            old = knob.read().strip()
        with open(path, "w", encoding="ascii") as knob:
            knob.write(value)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as knob:
            knob.write(old)


@contextlib.contextmanager
def ksm():
    base = "/sys/kernel/mm/ksm/"
    with lent(base + "pages_to_scan", "20000"), lent(base + "sleep_millisecs", "5"), \
            lent(base + "run", "1"):
        yield


@contextlib.contextmanager
def huge_pool():
    with lent("/proc/sys/vm/nr_hugepages", "4"):
        yield


@contextlib.contextmanager
def swap_device():
    """A zram device of 64 MiB, where none is in use and one may be made."""
    with open("/proc/swaps", encoding="ascii") as swaps:
        has_swap = len(swaps.readlines()) > 1
    made = None if has_swap else make_zram()
    try:
        yield
    finally:
        if made is not None:
            subprocess.run(["swapoff", f"/dev/zram{made}"], check=False)
            with contextlib.suppress(OSError), \
                    open("/sys/class/zram-control/hot_remove", "w", encoding="ascii") as remove:
                remove.write(str(made))


def make_zram():
    """Returns the number of a new device with swap on it, or None."""
    number = None
    try:
        with open("/sys/class/zram-control/hot_add", encoding="ascii") as add:
            number = int(add.read())
        with open(f"/sys/block/zram{number}/disksize", "w", encoding="ascii") as size:
            size.write(str(64 << 20))
        for command in (["mkswap"], ["swapon", "--priority", "0"]):
            subprocess.run([*command, f"/dev/zram{number}"], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return number
    except (OSError, ValueError, subprocess.CalledProcessError):
        if number is not None:
            with contextlib.suppress(OSError), \
                    open("/sys/class/zram-control/hot_remove", "w", encoding="ascii") as remove:
                remove.write(str(number))
        return None


def on_disk_dir():
    """A new directory that is not on a tmpfs, or any if there is no other."""
    shared = reading.shared_devices("self")

    def is_shared(path):
        device = os.stat(path).st_dev
        return f"{os.major(device):02x}:{os.minor(device):02x}" in shared

    roots = [tempfile.gettempdir(), "/var/tmp", LIVE]
    root = next((r for r in roots if os.path.isdir(r) and not is_shared(r)), roots[0])
    path = tempfile.mkdtemp(prefix="memwhy-truth-", dir=root)
    os.chmod(path, 0o755)
    return path


# --- memwhy ------------------------------------------------------------------------

class Answer:
    """One run of memwhy."""

    def __init__(self, args, wrap=(), binary=None):
        try:
            done = subprocess.run([*wrap, binary or MEMWHY, *args], capture_output=True,
                                  timeout=READ_S, stdin=subprocess.DEVNULL, check=False)
            self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired:
            self.code, self.out, self.err = None, b"", b"no answer in time"
        self.args = " ".join(args)
        self.err = self.err.decode(errors="replace").strip()
        self.doc = None
        with contextlib.suppress(ValueError):
            self.doc = json.loads(self.out)

    def complaints(self):
        """Why there is no document to look at."""
        if self.code is None or self.code < 0 or self.code > 4:
            return [f"memwhy {self.args}: ended with {self.code}: {self.err[-400:]}"]
        if self.code not in (0, 4) or self.doc is None:
            return [f"memwhy {self.args}: status {self.code}, "
                    f"{'no JSON' if self.doc is None else 'JSON'}: {self.err[-400:]}"]
        return []


def explain(pid, **how):
    return Answer(["explain", "--json", "--all", "--verify", str(pid)], **how)


def maps(pid, **how):
    return Answer(["maps", "--json", str(pid)], **how)


# --- comparing one region ------------------------------------------------------------

def fold(code):
    """"Returned to the OS" and "huge" are finer than the claims are."""
    return "R1" if code == "R1b" else code[:-1] if code.endswith("f") else code


def sum_causes(causes):
    total = {}
    for cause in causes:
        code = fold(cause["code"])
        total[code] = total.get(code, 0) + (cause["bytes"] or 0)
    return {code: size for code, size in total.items() if size}


def without_rights(expected, got):
    """Where memwhy says "unknown" for want of rights, do not ask for more."""
    expected = dict(expected)
    if "R1a" in expected and "R1a" not in got:
        expected["R1"] = expected.get("R1", 0) + expected.pop("R1a")
    if "N13" in got and "N?" not in expected:
        size = sum(expected.pop(code, 0) for code in (*BEHIND_A_FILE, "N1"))
        got = dict(got)
        got["N13"] += sum(got.pop(code, 0) for code in (*BEHIND_A_FILE, "N1"))
        expected["N13"] = expected.get("N13", 0) + size
    return expected, got


def compare_causes(expected, got):
    """Keys may be "N4", "N19|N21" (either or both) or "N?" (any that is left)."""
    got, complaints = dict(got), []
    for key, size in sorted(expected.items(), key=lambda item: (item[0] == "N?", len(item[0]))):
        if key == "N?":
            codes = [code for code in got if code.startswith("N")]
        else:
            codes = key.split("|")
        found = sum(got.pop(code, 0) for code in codes)
        if found != size:
            complaints.append(f"cause {key}: expected {size}, got {found}")
    complaints += [f"cause {code}: expected 0, got {size}" for code, size in got.items()]
    return complaints


def span(region):
    return int(region["start"], 16), int(region["end"], 16)


def pieces(region, rows):
    """Causes of a region that is not one mapping: whole rows, else extents."""
    start, end = span(region)
    found, complaints = [], []
    for row in rows:
        low, high = span(row)
        if high <= start or end <= low:
            continue
        if start <= low and high <= end:
            found += row["causes"]
            continue
        for extent in row["extents"]:
            low, high = span(extent)
            if start <= low and high <= end:
                found += extent["causes"]
            elif low < end and start < high:
                complaints.append(f"extent {extent['start']}-{extent['end']} "
                                  f"({extent['owner']}) crosses the region's edge")
    return found, complaints


def compare_columns(expected, row):
    return [f"{ours}: expected {expected[ours]}, got {row.get(theirs)}"
            for ours, theirs in COLUMNS.items()
            if ours in expected and expected[ours] != row.get(theirs)
            and not (ours in ("cached", "uncached") and not SEES_ALL and row.get(theirs) is None)]


def compare_labels(region, causes, row):
    complaints = []
    owners = {c["owner"] for c in causes if fold(c["code"]) in OWNED and c["bytes"]}
    if "owner" in region and owners - {region["owner"]}:
        complaints.append(f"owner: expected {region['owner']}, got {', '.join(sorted(owners))}")
    if row is None:
        return complaints
    if "object" in region and (row.get("object") or "").removesuffix(" (deleted)") \
            != region["object"]:
        complaints.append(f"object: expected {region['object']}, got {row.get('object')}")
    if "section" in region and region["section"] not in (row.get("sections") or "").split():
        complaints.append(f"sections: expected {region['section']}, got {row.get('sections')}")
    if "tid" in region and str(region["tid"]) not in details(row):
        complaints.append(f"tid: expected {region['tid']}, got {details(row)}")
    return complaints


def details(row):
    return " ".join(str(e.get("owner_detail")) for e in (row, *row.get("extents", ())))


def compare_region(region, rows, privileged=SEES_ALL):
    """All that memwhy got wrong about one region."""
    expected, row = region["expect"], None
    complaints = []
    if region.get("alone", True):
        row = next((r for r in rows if span(r) == span(region)), None)
        if row is None:
            return [f"no mapping {region['start']}-{region['end']} in the answer"]
        causes = row["causes"]
        complaints += compare_columns(expected, row)
        if sum_causes(causes) != sum_causes(c for e in row["extents"] for c in e["causes"]):
            complaints.append("the extents' causes differ from their mapping's")
    else:
        causes, complaints = pieces(region, rows)
    wanted, got = expected["causes"], sum_causes(causes)
    if not privileged:
        wanted, got = without_rights(wanted, got)
    return complaints + compare_causes(wanted, got) + compare_labels(region, causes, row)


# --- comparing whole processes ------------------------------------------------------------

def compare_rows(pid, rows):
    """Every mapping against smaps."""
    complaints = []
    kernel = {(m.start, m.end): m for m in reading.smaps(pid)}
    listed = {span(r): r for r in rows if r.get("name") != "[vsyscall]"}
    for edge in set(kernel) ^ set(listed):
        complaints.append(f"{edge[0]:x}-{edge[1]:x} is only in "
                          f"{'smaps' if edge in kernel else 'the answer'}")
    for edge in sorted(set(kernel) & set(listed)):
        complaints += compare_row(kernel[edge], listed[edge])
    return complaints


def compare_row(m, row):
    shared = m.field["Rss"] - m.field["Anonymous"]
    pairs = (("perm", m.perm), ("offset", m.offset), ("device", m.device), ("inode", m.inode),
             ("size", m.size), ("resident", m.field["Rss"]), ("anonymous", m.field["Anonymous"]))
    bad = [f"{m.start:x} {m.name}: {key}: smaps {value}, got {row.get(key)}"
           for key, value in pairs if row.get(key) not in (value, as_hex(value))]
    if (row.get("file") or 0) + (row.get("shmem") or 0) != shared:
        bad.append(f"{m.start:x} {m.name}: file + shmem: smaps {shared}, "
                   f"got {row.get('file')} + {row.get('shmem')}")
    if sum(c["bytes"] for c in row["causes"]) != m.size:
        bad.append(f"{m.start:x} {m.name}: causes add up to "
                   f"{sum(c['bytes'] for c in row['causes'])} of {m.size}")
    return bad


def as_hex(value):
    """Offsets may be written as addresses are."""
    return hex(value) if isinstance(value, int) else value


def differ(what, *pairs):
    """Complains unless all of (road, bytes) agree."""
    if len({size for _, size in pairs}) == 1:
        return []
    return [what + ": " + ", ".join(f"{road} {size}" for road, size in pairs)]


def split_causes(doc):
    """(Σ all, Σ resident, Σ swapped) of an explain document."""
    total = sum_causes(doc["causes"])
    resident = sum(size for code, size in total.items() if code.startswith("R"))
    return sum(total.values()), resident, total.get("N7", 0) + total.get("N8", 0)


def compare_totals(pid, doc):
    """One explain document against status, maps and smaps."""
    kernel, mappings = reading.status(pid), reading.smaps(pid)
    every, resident, swapped = split_causes(doc)
    complaints = [f"{key}: expected {want}, got {doc.get(key)}" for key, want in
                  (("state", "exact"), ("residual", 0), ("rss_residual", 0))
                  if doc.get(key) != want]
    complaints += differ("VSZ", ("causes", every), ("vsz", doc["vsz"]),
                         ("VmSize", kernel["VmSize"]), ("maps", reading.maps_total(pid)),
                         ("smaps", sum(m.size for m in mappings)))
    complaints += differ("RSS", ("causes", resident), ("rss", doc["rss"]),
                         *([("VmRSS", kernel["VmRSS"])] if reading.status_is_exact() else []),
                         ("smaps", sum(m.field["Rss"] for m in mappings)))
    complaints += differ("swap", ("causes", swapped),
                         ("smaps", sum(m.field["Swap"] for m in mappings)))
    return complaints + compare_kinds(doc, kernel) + compare_roads(doc)


def compare_kinds(doc, kernel):
    """Anonymous and other RSS. The kernel counts memfd_secret as a file: no finer."""
    if not reading.status_is_exact():
        return []
    total = sum_causes(doc["causes"])
    return differ("anonymous RSS", ("causes", total.get("R1", 0) + total.get("R1a", 0)),
                  ("RssAnon", kernel["RssAnon"])) + \
        differ("file and shared RSS", ("causes", total.get("R2", 0) + total.get("R3", 0)),
               ("RssFile + RssShmem", kernel["RssFile"] + kernel["RssShmem"]))


def compare_roads(doc):
    """Every road of --verify, but for counters that the kernel does not sum."""
    complaints = []
    record = {"vsz": doc["vsz"], "rss": doc["rss"]}
    for road in doc.get("verify") or []:
        name, size = road["road"], road["bytes"]
        if size is None or any(word in name for word in ("libproc2", "procps", "/stat", "PIDS_")):
            continue
        if road["quantity"] in record and size != record[road["quantity"]]:
            complaints.append(f"road {name} to {road['quantity']}: {size}, "
                              f"of record {record[road['quantity']]}")
        if road["difference"]:
            complaints.append(f"road {name} to {road['quantity']}: "
                              f"difference {road['difference']}")
    if not doc.get("verify"):
        complaints.append("--verify shows no road")
    return complaints


def coarse(causes, groups):
    total = {}
    for code, size in causes.items():
        code = next((name for name, codes in groups.items() if code in codes), code)
        total[code] = total.get(code, 0) + size
    return {code: size for code, size in total.items() if size}


ANON = {"anon": ("N16", "N17", "N18", "N19", "N20", "N21"), "other": ("N1", "N13")}
EVERYONE = dict(ANON, R1=("R1a",), file=("N10", "N11", "N12"), shm=("N8", "N14", "N15"))


def compare_accounts(pid, doc, groups=None):
    """memwhy's causes against causes worked out here from smaps and pagemap."""
    ours = coarse(reading.Account(pid).run(), groups or ANON)
    theirs = coarse(sum_causes(doc["causes"]), groups or ANON)
    return [f"{code}: worked out {ours.get(code, 0)}, got {theirs.get(code, 0)}"
            for code in sorted(set(ours) | set(theirs))
            if ours.get(code, 0) != theirs.get(code, 0)]


def compare_plain(pid, verified):
    """What --verify reads beyond must not change an answer, but for MADV_FREE."""
    plain = Answer(["explain", "--json", str(pid)])
    if plain.complaints():
        return plain.complaints()
    complaints = [f"{key}: expected {verified[key]}, got {plain.doc.get(key)}"
                  for key in ("state", "vsz", "rss", "residual", "rss_residual")
                  if plain.doc.get(key) != verified[key]]
    lazy = {"R1": ("R1a",)}
    return complaints + compare_causes(coarse(sum_causes(verified["causes"]), lazy),
                                       coarse(sum_causes(plain.doc["causes"]), lazy))


def rows_against_causes(rows, doc):
    from_rows = sum_causes(c for row in rows for c in row["causes"])
    return [f"{code}: maps {from_rows.get(code, 0)}, explain {size}"
            for code, size in sum_causes(doc["causes"]).items() if from_rows.get(code, 0) != size]


# --- claims against the kernel alone ---------------------------------------------------

def compare_with_kernel(region, pid, mappings=None):
    """The claim against this checker's own reading, memwhy left out."""
    expected = region["expect"]
    start, end = span(region)
    if sum(expected["causes"].values()) != end - start:
        return ["the causes do not add up to the region"]
    if set(expected) == {"causes"}:
        return []
    seen = reading.count(reading.pagemap(pid, start, end))
    found = {"guard": seen["guard"]}
    complaints = []
    if region.get("alone", True):
        m = next((m for m in mappings or reading.smaps(pid) if (m.start, m.end) == (start, end)),
                 None)
        if m is None:
            return ["not a mapping of its own"]
        found.update(resident=m.field["Rss"], anonymous=m.field["Anonymous"],
                     swap=m.field["Swap"], lazyfree=m.field.get("LazyFree", 0), huge=m.huge(),
                     hugetlb=m.hugetlb(), zero=seen["present"] - m.field["Rss"] - m.hugetlb())
        found["untouched"] = end - start - found["resident"] - found["zero"] \
            - found["hugetlb"] - seen["swap"] - seen["guard"]
        if "file" in expected:
            found["file+shmem"] = m.field["Rss"] - m.field["Anonymous"]
            expected = dict(expected, **{"file+shmem": expected["file"] + expected["shmem"]})
        if "locked" in expected and m.field["Locked"] != expected["locked"]:
            complaints.append(f"locked: expected {expected['locked']}, smaps {m.field['Locked']}")
        complaints += account_region(pid, m, region)
    else:
        found["resident"] = seen["present"] - expected.get("zero", 0)
    return complaints + [f"{key}: claimed {expected[key]}, found {size}"
                         for key, size in found.items() if expected.get(key, size) != size]


def account_region(pid, mapping, region):
    """The claimed causes against an account of this one mapping."""
    if mapping.inode and mapping.name != "/dev/zero" and not SEES_ALL:
        return []
    account = reading.Account(pid)
    account.one(mapping)
    return compare_causes(alternatives(region["expect"]["causes"]),
                          coarse(account.causes, ANON))


def alternatives(expected):
    """Owners are not told apart by an account; neither are rests."""
    out = {}
    for key, size in expected.items():
        codes = ["anon" if c in ANON["anon"] else "other" if c in ("N1", "N?") else c
                 for c in key.split("|")]
        key = "|".join(dict.fromkeys(codes))
        out[key] = out.get(key, 0) + size
    return out


# --- corrupted claims -----------------------------------------------------------------

def corruptions(region):
    """The same claim with one thing wrong, several times."""
    expected = region["expect"]
    for key in ("resident", "anonymous", "zero", "guard", "swap", "untouched"):
        if key in expected:
            wrong = copy.deepcopy(region)
            wrong["expect"][key] += PAGE
            yield wrong
    for key in expected["causes"]:
        wrong = copy.deepcopy(region)
        wrong["expect"]["causes"][key] -= PAGE
        wrong["expect"]["causes"]["N13" if key != "N13" else "N12"] = PAGE
        yield wrong


def unnoticed(regions, compare):
    """Names of regions with a wrong claim that @compare did not notice."""
    return [f"a wrong claim about {region['region']} passed"
            for region in regions for wrong in corruptions(region) if not compare(wrong)]


# --- groups -------------------------------------------------------------------------------

class Shape:
    """One group: a target whose claims are compared region by region."""

    def __init__(self, *argv, lend=contextlib.nullcontext, wrap=(), mib=0, own_mounts=False):
        self.argv, self.lend, self.wrap, self.mib = argv, lend, wrap, mib
        self.own_mounts = own_mounts

    def missing(self):
        if not os.path.exists(os.path.join(LIVE, self.argv[0])):
            return f"{self.argv[0]} was not built: no compiler for it"
        if self.wrap and not shutil.which(self.wrap[0]):
            return f"no {self.wrap[0]}"
        if self.own_mounts and not may_mount():
            return "a mount namespace may not be made"
        if self.mib and available_mib() < self.mib:
            return f"less than {self.mib} MiB of memory available"
        return None

    def run(self, tap, name, work, self_only):
        reason = self.missing()
        if reason:
            tap.skip(name, reason)
            return
        argv = [os.path.join(LIVE, a) if a.endswith(".so") else a for a in self.argv]
        wrap = hide_files(work) if self.own_mounts else self.wrap
        with self.lend(), started(argv, work, wrap) as target:
            if target.error:
                tap.check(name, [target.error])
                return
            for claim in target.skips():
                tap.skip(f"{name}: {claim['region']}", claim["skip"])
            (check_alone if self_only else check_memwhy)(tap, name, target)


def started(argv, work, wrap):
    """A wrapper such as setarch runs the target in place of itself."""
    if not wrap:
        return running(argv, work)
    shutil.copy(os.path.join(LIVE, argv[0]), work)
    return running(argv, work, wrap)


def may_mount():
    return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
                          check=False, capture_output=True).returncode == 0


def hide_files(work):
    """A wrapper whose command sees other files in @work than everybody else."""
    inside = os.path.join(work, "inside")
    os.mkdir(inside)
    script = 'cp "$1" "$0/inside/" && mount --bind "$0/inside" "$0" && exec "$@"'
    return ("unshare", "-m", "sh", "-c", script, work)


def available_mib():
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(l.split()[1]) // 1024 for l in lines if l.startswith("MemAvailable"))


def check_alone(tap, name, target):
    mappings = reading.smaps(target.pid)
    for region in target.regions():
        tap.check(f"{name}: {region['region']}",
                  compare_with_kernel(region, target.pid, mappings))


def check_memwhy(tap, name, target):
    answer, listing = explain(target.pid), maps(target.pid)
    complaints = answer.complaints() + listing.complaints()
    if not tap.check(f"{name}: explain and maps answer", complaints):
        return
    rows = listing.doc["maps"]
    for region in target.regions():
        tap.check(f"{name}: {region['region']}", compare_region(region, rows))
    tap.check(f"{name}: totals", compare_totals(target.pid, answer.doc))
    tap.check(f"{name}: rows equal smaps", compare_rows(target.pid, rows))
    tap.check(f"{name}: rows add up to causes", rows_against_causes(rows, answer.doc))
    tap.check(f"{name}: explain without options agrees", compare_plain(target.pid, answer.doc))
    if SEES_ALL:
        tap.check(f"{name}: causes worked out a second way",
                  compare_accounts(target.pid, answer.doc))
    tap.check(f"{name}: no note asks for what is held", needless_remedies(answer.doc))
    limit = target.said("mappings")
    if limit:
        tap.check(f"{name}: {limit} mappings listed",
                  [] if len(rows) >= limit else [f"only {len(rows)} rows"])


CAPABILITIES = {"CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_CHECKPOINT_RESTORE": 40}


def needless_remedies(doc):
    """A note whose remedy is a capability that the reader has gives a wrong reason."""
    held = int(reading.status("self")["CapEff"], 16)
    complaints = []
    for note in doc["notes"]:
        named = [bit for cap, bit in CAPABILITIES.items() if cap in (note.get("remedy") or "")]
        if named and all(held >> bit & 1 for bit in named):
            complaints.append(f"{note['source']}: {note['reason']} ({note['remedy']})")
    return complaints


def canary(tap, name, work, self_only):
    """A checker that cannot fail proves nothing: feed it wrong claims."""
    with running(["anon"], work) as target:
        if target.error:
            tap.check(name, [target.error])
            return
        mappings = reading.smaps(target.pid)
        tap.check(f"{name}: the kernel contradicts wrong claims",
                  unnoticed(target.regions(),
                            lambda wrong: compare_with_kernel(wrong, target.pid, mappings)))
        if self_only:
            return
        listing = maps(target.pid)
        if not tap.check(f"{name}: maps answers", listing.complaints()):
            return
        rows = listing.doc["maps"]
        tap.check(f"{name}: memwhy contradicts wrong claims",
                  unnoticed(target.regions(), lambda wrong: compare_region(wrong, rows)))


# --- targets that move -------------------------------------------------------------------------

TURNS = 15


def look_again(target, look, turns=TURNS):
    """Complaints of several looks at a target that moves, and how many were exact."""
    complaints, exact = [], 0
    for _ in range(turns):
        answer = explain(target.pid)
        if answer.code == 3:
            continue
        found = answer.complaints()
        if not found and answer.doc["state"] == "exact":
            exact += 1
            found = differ("an exact state", ("causes", split_causes(answer.doc)[0]),
                           ("vsz", answer.doc["vsz"]))
            found += [] if answer.doc["residual"] == 0 else \
                [f"an exact state with residual {answer.doc['residual']}"]
        complaints += found + look(target)
    return complaints, exact


def listed_exactly(target):
    """Rows of a listing that does not call itself torn, else None."""
    listing = maps(target.pid)
    if listing.code == 3:
        return None, []
    complaints = listing.complaints()
    if complaints or listing.doc.get("state", "exact") != "exact":
        return None, complaints
    return listing.doc["maps"], []


def look_at_storm(target):
    rows, complaints = listed_exactly(target)
    places = [int(a, 16) for a in target.said("never_both")]
    if rows and all(any(span(r)[0] <= p < span(r)[1] for r in rows) for p in places):
        complaints.append("both places are mapped in a listing that is not torn")
    return complaints


def look_at_splits(target):
    rows, complaints = listed_exactly(target)
    if not rows:
        return complaints
    region = target.said("constant")
    start, end = span(region)
    inside = [r for r in rows if start <= span(r)[0] and span(r)[1] <= end]
    for key, want in (("size", end - start), ("resident", region["resident"])):
        total = sum(r[key] for r in inside)
        if total != want:
            complaints.append(f"{key} of a region that never changes: {total}, not {want}, "
                              "in a listing that is not torn")
    return complaints


def moving(tap, name, work, self_only):
    if self_only:
        return
    for mode, look in (("storm", look_at_storm), ("splits", look_at_splits),
                       ("execs", lambda target: [])):
        with running(["moving", mode], work) as target:
            complaints, exact = look_again(target, look)
            tap.check(f"{name}: {mode}", complaints)
            tap.note(f"{mode}: {exact} of {TURNS} looks were exact")
    with running(["moving", "exits"], work) as target:
        tap.check(f"{name}: exits", look_at_children(target))
    with running(["moving", "zombie"], work) as target:
        tap.check(f"{name}: zombie", refused(target.said("zombie")))
    with running(["moving", "leader"], work) as target:
        tap.check(f"{name}: ended first thread", seen_or_refused(target.pid))
    tap.check(f"{name}: no such process", refused(absent_pid()))
    if is_kernel_thread(2):
        tap.check(f"{name}: kernel thread", refused(2))


def look_at_children(target):
    complaints = []
    for _ in range(TURNS):
        with open(f"/proc/{target.pid}/task/{target.pid}/children", encoding="ascii") as children:
            pids = children.read().split()
        for pid in pids[:1]:
            answer = explain(pid)
            if answer.code != 3:
                complaints += answer.complaints()
            if answer.code == 0 and answer.doc["state"] == "exact" and answer.doc["residual"]:
                complaints.append(f"exact with residual {answer.doc['residual']}")
    return complaints


def refused(pid):
    """No memory to explain: status 3, a reason and a hint; never a zero."""
    complaints = []
    for answer in (explain(pid), maps(pid)):
        if answer.code != 3:
            complaints.append(f"memwhy {answer.args}: status {answer.code}, expected 3: "
                              f"{answer.err[-200:]} {answer.out[:200]!r}")
        if not answer.err.startswith("memwhy: "):
            complaints.append(f"memwhy {answer.args}: says {answer.err[:200]!r}")
    return complaints


def seen_or_refused(pid):
    """The first thread's files are empty, its process is not: an answer or status 3."""
    answer = explain(pid)
    if answer.code == 3:
        return refused(pid)
    complaints = answer.complaints()
    if not complaints and not answer.doc["vsz"]:
        complaints.append(f"vsz {answer.doc['vsz']} of a process that holds memory")
    return complaints


def absent_pid():
    with open("/proc/sys/kernel/pid_max", encoding="ascii") as limit:
        return int(limit.read()) - 1


def is_kernel_thread(pid):
    try:
        return "VmSize" not in reading.status(pid)
    except OSError:
        return False


# --- frozen targets -----------------------------------------------------------------------------

def goes_on(pid, seconds=3):
    """Whether the process is not left stopped."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if reading.status(pid)["State"][0] not in "Tt":
            return True
        time.sleep(0.02)
    return False


def freeze(tap, name, work, self_only):
    """--freeze makes every look exact, and lets go whatever becomes of the reader."""
    if self_only:
        return
    with running(["moving", "storm"], work) as target:
        try:
            tap.check(f"{name}: every look is exact", look_frozen(target))
            tap.check(f"{name}: a killed reader leaves no stopped target", kill_readers(target))
        finally:
            target.process.send_signal(signal.SIGCONT)


def look_frozen(target):
    complaints = []
    for _ in range(8):
        answer = Answer(["explain", "--json", "--freeze", str(target.pid)])
        found = answer.complaints()
        if not found:
            found = [f"{key}: expected {want}, got {answer.doc.get(key)}" for key, want in
                     (("state", "exact"), ("residual", 0)) if answer.doc.get(key) != want]
        complaints += found
        if not goes_on(target.pid):
            complaints.append("the target stayed stopped")
            target.process.send_signal(signal.SIGCONT)
    return complaints


def kill_readers(target):
    """Readers die at different moments: a millisecond later each time."""
    complaints = []
    for delay_ms in range(0, 40, 2):
        with subprocess.Popen([MEMWHY, "explain", "--json", "--freeze", str(target.pid)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as reader:
            time.sleep(delay_ms / 1000)
            reader.kill()
        if not goes_on(target.pid):
            complaints.append(f"killed after {delay_ms} ms, the reader left the target stopped")
            target.process.send_signal(signal.SIGCONT)
    return complaints


# --- older roads ----------------------------------------------------------------------------------

def roads(tap, name, work, self_only):
    """What an older kernel offers: the same answer, or an honest "unknown"."""
    if self_only:
        return
    for title in ("anon", "shared", "kernel", "swap", "threads", "arenas", "image"):
        shape = QUICK[title]
        with shape.lend(), running(shape.argv, work) as target:
            for road in ("scan", "pagemap", "smaps"):
                tap.check(f"{name}: {title} by {road}", look_by(road, target))


def look_by(road, target):
    listing = Answer(["maps", "--json", f"--pages={road}", str(target.pid)])
    if listing.code == 3 or listing.complaints():
        return listing.complaints()
    complaints = []
    for region in target.regions():
        found = compare_region(unclaim(region, listing.doc["maps"]), listing.doc["maps"], False)
        complaints += [f"{region['region']}: {text}" for text in found]
    return complaints


def unclaim(region, rows):
    """The claim without the columns that the answer calls unknown."""
    region = copy.deepcopy(region)
    row = next((r for r in rows if span(r) == span(region)), {})
    for ours, theirs in COLUMNS.items():
        if row.get(theirs, 0) is None:
            region["expect"].pop(ours, None)
    return region


# --- saved snapshots ------------------------------------------------------------------------------

# Fields that other processes change by mapping the same pages.
OF_OTHERS = ("smaps_pss", "smaps_shared", "smaps_private", "smaps_swap_pss", "smaps_referenced")
SAVED = ("state", "vsz", "rss", "swap", "residual", "rss_residual", "causes", "objects", "maps")


def snapshot(tap, name, work, self_only):
    """A recorded target says the same as the target itself, and goes on saying it."""
    if self_only:
        return
    for argv in (["anon"], ["arenas"], ["threads"], ["shared"]):
        path = os.path.join(work, f"{argv[0]}.snap")
        with running(argv, work) as target:
            live = [explain(target.pid), maps(target.pid)]
            saved = Answer(["record", "-o", path, str(target.pid)])
        if not tap.check(f"{name}: record {argv[0]} -o FILE",
                         [f"status {saved.code}: {saved.err[-300:]}"] if saved.code else []):
            continue
        complaints = []
        for answer in live:
            again = Answer([*answer.args.split()[:-1], path])
            complaints += answer.complaints() + again.complaints() \
                or differing(answer.doc, again.doc)
        tap.check(f"{name}: {argv[0]}, without its process", complaints)


def differing(live, saved):
    return [text for key in SAVED for text in differences(live.get(key), saved.get(key), key)][:8]


def differences(live, saved, where):
    """The leaves in which two JSON values differ."""
    if isinstance(live, dict) and isinstance(saved, dict):
        keys = sorted(k for k in set(live) | set(saved) if not k.startswith(OF_OTHERS))
        return [t for k in keys for t in differences(live.get(k), saved.get(k), f"{where}.{k}")]
    if isinstance(live, list) and isinstance(saved, list) and len(live) == len(saved):
        return [t for i, pair in enumerate(zip(live, saved))
                for t in differences(*pair, f"{where}[{i}]")]
    return [] if live == saved else [f"{where}: live {repr(live)[:150]}, saved {repr(saved)[:150]}"]


# --- programs as they are ------------------------------------------------------------------------

PROGRAMS = {
    "python3": ["python3", "-c", "import json, ssl, sys; sys.stdin.read()"],
    "perl": ["perl", "-e", "my @a = (1) x 1e5; <STDIN>"],
    "bash": ["bash", "-c", "read line"],
    "busybox": ["busybox", "cat"],
    "redis-server": ["redis-server", "--port", "0", "--unixsocket", "socket", "--save", ""],
    "gdb": ["gdb", "-q", "-nx"],
}


def programs(tap, name, work, self_only):
    """Programs from the distribution that know nothing of this test."""
    if self_only:
        return
    for title, argv in PROGRAMS.items():
        if not shutil.which(argv[0]):
            tap.skip(f"{name}: {title}", "not installed")
            continue
        with subprocess.Popen(argv, cwd=work, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            try:
                settle(process.pid)
                process.send_signal(signal.SIGSTOP)
                found = look_at_one(process.pid)
                tap.check(f"{name}: {title}", ["it moved or went away"] if found is None
                          else found)
            finally:
                process.kill()


def settle(pid, seconds=10):
    """Waits until VmSize and VmRSS have not changed for half a second."""
    deadline, last, since = time.monotonic() + seconds, None, time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - since < 0.5:
        now = tuple(reading.status(pid).get(key) for key in ("VmSize", "VmRSS"))
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.05)


# --- everyone ----------------------------------------------------------------------------------

def candidates():
    """Processes with memory of their own that may be read."""
    for entry in sorted(os.listdir("/proc")):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                if "VmSize" in reading.status(entry) and reading.maps_total(entry):
                    yield int(entry)


def look_at_one(pid):
    """Complaints about one process that is not ours; None when it went away."""
    complaints = []
    for _ in range(4):
        try:
            before = reading.status(pid)
            answer = explain(pid)
            if answer.code == 3:
                return None
            complaints = answer.complaints() or compare_totals(pid, answer.doc) \
                or (compare_accounts(pid, answer.doc, EVERYONE) if SEES_ALL else [])
            after = reading.status(pid)
        except (OSError, KeyError):
            return None
        if not complaints:
            return []
        if any(before.get(k) != after.get(k) for k in ("VmSize", "VmRSS", "VmSwap")):
            complaints.append("moved")
    return None if "moved" in complaints else complaints


def everyone(tap, name, work, self_only):
    if self_only:
        return
    compared, gone, complaints = 0, 0, []
    deadline = time.monotonic() + 120
    with running(["anon"], work), running(["heap"], work), running(["threads"], work):
        for pid in list(candidates())[:300]:
            if time.monotonic() > deadline:
                break
            with contextlib.suppress(OSError):
                comm = reading.status(pid)["Name"]
            found = look_at_one(pid)
            gone += found is None
            compared += found is not None
            complaints += [f"{pid} ({comm}): {text}" for text in found or []]
    if compared < 3:
        complaints.append("too few processes held still to prove anything")
    tap.check(f"{name}: maps, smaps, status and page states agree", complaints)
    tap.note(f"{compared} processes compared, {gone} moved or went away")


# --- without rights -------------------------------------------------------------------------------

def nobody(tap, name, work, self_only):
    """Another user's process: what status gives, or a clear refusal; no zero."""
    if self_only:
        return
    if not IS_ROOT or not shutil.which("setpriv"):
        tap.skip(name, "needs root and setpriv")
        return
    binary = shutil.copy(MEMWHY, work)
    with running(["anon"], work) as target:
        how = {"wrap": AS_NOBODY, "binary": binary}
        answer = explain(target.pid, **how)
        tap.check(f"{name}: explain", explained_in_part(answer, target.pid))
        listing = maps(target.pid, **how)
        tap.check(f"{name}: maps", listed_in_part(listing))
        strict = Answer(["explain", "--json", "--strict", str(target.pid)], **how)
        tap.check(f"{name}: explain --strict",
                  [] if strict.code in (3, 4) else [f"status {strict.code}, expected 4"])


def explained_in_part(answer, pid):
    if answer.code == 3:
        return said_why(answer)
    if answer.complaints():
        return answer.complaints()
    doc, kernel = answer.doc, reading.status(pid)
    complaints = [f"{key}: expected {want}, got {doc.get(key)}" for key, want in
                  (("state", "partial"), ("vsz", kernel["VmSize"]), ("rss", kernel["VmRSS"]))
                  if doc.get(key) != want]
    complaints += [f"cause {c['code']} of 0 bytes" for c in doc["causes"] if c["bytes"] == 0]
    if not doc["notes"]:
        complaints.append("no note says what is missing")
    known = sum(c["bytes"] or 0 for c in doc["causes"])
    if doc["residual"] is not None and doc["residual"] != doc["vsz"] - known:
        complaints.append(f"residual {doc['residual']}: {known} of {doc['vsz']} bytes have a cause")
    return complaints


def listed_in_part(listing):
    if listing.code == 3:
        return said_why(listing)
    if listing.complaints():
        return listing.complaints()
    return [f"{row['start']}: resident 0 where nothing could be read"
            for row in listing.doc["maps"] if row["resident"] == 0][:5]


def said_why(answer):
    complaints = []
    if not answer.err.startswith("memwhy: "):
        complaints.append(f"the error says {answer.err[:200]!r}")
    if "hint:" not in answer.err:
        complaints.append(f"no hint in {answer.err[:300]!r}")
    return complaints


def unprivileged(tap, name, work, self_only):
    """A user's own processes: everything but what only capabilities show."""
    if self_only:
        return
    if not IS_ROOT or not shutil.which("setpriv"):
        tap.skip(name, "needs root and setpriv")
        return
    binary = shutil.copy(MEMWHY, work)
    os.chown(work, 65534, 65534)
    for argv in (["anon"], ["shared"], ["file"], ["threads"], ["arenas"], ["image"]):
        shutil.copy(os.path.join(LIVE, argv[0]), work)
        with running(argv, work, AS_NOBODY) as target:
            if target.error:
                tap.check(f"{name}: {argv[0]}", [target.error])
                continue
            as_user(tap, f"{name}: {argv[0]}", target, binary)


def as_user(tap, name, target, binary):
    how = {"wrap": AS_NOBODY, "binary": binary}
    answer, listing = explain(target.pid, **how), maps(target.pid, **how)
    if not tap.check(f"{name}: answers", answer.complaints() + listing.complaints()):
        return
    tap.check(f"{name}: totals", compare_totals(target.pid, answer.doc))
    complaints = []
    for region in target.regions():
        columns = {k: v for k, v in region["expect"].items() if k not in ("cached", "uncached")}
        found = compare_region(dict(region, expect=columns), listing.doc["maps"], False)
        complaints += [f"{region['region']}: {text}" for text in found]
    tap.check(f"{name}: regions", complaints)


# --- the list ------------------------------------------------------------------------------------------

@contextlib.contextmanager
def kernel_features():
    with ksm(), huge_pool():
        yield


NO_ASLR = ("setarch", "-R")
QUICK = {
    "anon": Shape("anon"),
    "shared": Shape("shared"),
    "kernel": Shape("kernel", lend=kernel_features),
    "file": Shape("file"),
    "swap": Shape("swap", lend=swap_device),
    "threads": Shape("threads"),
    "noguard": Shape("noguard"),
    "heap": Shape("heap"),
    "heap-noaslr": Shape("heap", wrap=NO_ASLR),
    "arenas": Shape("arenas"),
    "image": Shape("image"),
    "image-noaslr": Shape("image", wrap=NO_ASLR),
    "library": Shape("library", "plugin.so"),
    "namespace": Shape("library", "plugin.so", own_mounts=True),
    "limits": Shape("limits"),
    "many": Shape("many", "3000"),
    "resident": Shape("resident", "64"),
    "static": Shape("static-anon"),
    "static-image": Shape("static-image"),
    "static-threads": Shape("static-threads"),
    "m32": Shape("m32-anon"),
    "m32-shared": Shape("m32-shared"),
    "m32-threads": Shape("m32-threads"),
    "m32-heap": Shape("m32-heap"),
    "musl": Shape("musl-anon"),
    "musl-image": Shape("musl-image"),
    "musl-threads": Shape("musl-threads"),
    "go": Shape("server"),
    "go-nocgo": Shape("server-nocgo"),
    "moving": moving,
    "freeze": freeze,
    "roads": roads,
    "snapshot": snapshot,
    "programs": programs,
    "everyone": everyone,
    "nobody": nobody,
    "unprivileged": unprivileged,
    "canary": canary,
}
HEAVY = {
    "many-65000": Shape("many", "65000"),
    "many-at-the-limit": Shape("many", "90000", "limit"),
    "resident-4g": Shape("resident", "4096", mib=6000),
}


def run_group(tap, name, what, self_only):
    work = on_disk_dir()
    try:
        if isinstance(what, Shape):
            what.run(tap, name, work, self_only)
        else:
            what(tap, name, work, self_only)
    except Exception as error:      # pylint: disable=broad-except
        tap.check(name, [f"the checker failed: {type(error).__name__}: {error}"])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main(words):
    flags = {w for w in words if w.startswith("--")}
    names = [w for w in words if not w.startswith("--")]
    known = {**QUICK, **HEAVY}
    if "--list" in flags:
        print("\n".join(known))
        return 0
    if flags - {"--self", "--heavy"} or set(names) - set(known):
        print(__doc__, file=sys.stderr)
        return 2
    self_only = "--self" in flags
    if not self_only and not os.access(MEMWHY, os.X_OK):
        print(f"1..0 # SKIP no {MEMWHY}")
        return 0
    tap = Tap()
    for name in names or (HEAVY if "--heavy" in flags else QUICK):
        run_group(tap, name, known[name], self_only)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
