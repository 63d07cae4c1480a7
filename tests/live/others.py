# SPDX-License-Identifier: GPL-3.0-or-later
"""Other roads, saved snapshots, and programs that know nothing of this test."""

import contextlib
import copy
import os
import shutil
import subprocess
import time

import reading
from compare import (COLUMNS, EVERYONE, compare_accounts, compare_region, compare_totals, span)
from targets import (SEES_ALL, Answer, explain, kernel_features, maps, running,
                     stop, swap_device)


# --- older roads ----------------------------------------------------------------------------------

def roads(tap, name, work, self_only):
    """What an older kernel offers: the same answer, or an honest "unknown"."""
    if self_only:
        return
    lend = {"kernel": kernel_features, "swap": swap_device}
    for title in ("anon", "shared", "kernel", "swap", "threads", "arenas", "image"):
        with lend.get(title, contextlib.nullcontext)(), running([title], work) as target:
            for road in ("scan", "pagemap", "smaps"):
                if road == "scan" and not reading.has_page_scan():
                    tap.skip(f"{name}: {title} by {road}", "this kernel has no PAGEMAP_SCAN")
                    continue
                tap.check(f"{name}: {title} by {road}", look_by(road, target))


def look_by(road, target, **how):
    """What maps gets wrong when page states come by this road."""
    listing = Answer(["maps", "--json", f"--pages={road}", str(target.pid)], **how)
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
SAVED = ("state", "torn", "vsz", "rss", "swap", "residual", "rss_residual", "causes", "resident",
         "objects", "maps")


def snapshot(tap, name, work, self_only):
    """A recorded target says the same as the target itself, and goes on saying it."""
    if self_only:
        return
    for argv in (["anon"], ["arenas"], ["threads"], ["shared"]):
        path = os.path.join(work, f"{argv[0]}.snap")
        with running(argv, work) as target:
            for _ in range(5):  # what others do to the page cache is in the answer
                live = [explain(target.pid), maps(target.pid)]
                saved = Answer(["record", str(target.pid), "-o", path])
                if not differing(live[0].doc, explain(target.pid).doc):
                    break
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
                stop(process)
                found = look_at_one(process.pid)
                tap.check(f"{name}: {title}", ["it moved or went away"] if found is None
                          else found)
            finally:
                process.kill()


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
