# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets that do not hold still, unless they are made to."""

import os
import signal
import subprocess
import sys
import time

import reading
from compare import differ, span, split_causes
from targets import MEMWHY, Answer, explain, maps, running


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
        tap.check(f"{name}: ended first thread, in the ranking", ranked(target.pid))
        tap.check(f"{name}: ended first thread, its program", program_of(target.pid))
        tap.check(f"{name}: ended first thread, its name", name_of(target.pid))
    tap.check(f"{name}: no such process", refused(absent_pid()))
    if is_kernel_thread(2):
        tap.check(f"{name}: kernel thread", refused(2))


def program_of(pid):
    """The ELF header in its memory."""
    image = Answer(["elf", "-h", "-p", str(pid)])
    return [] if image.code == 0 and b"7f 45 4c 46" in image.out else [f"status {image.code}: {image.err}"]


def name_of(pid):
    """The process's, not that of the thread that is left."""
    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        want = file.read().rstrip("\n")
    top = Answer(["top", "--json"]).doc
    have = [explain(pid).doc["target"]["name"]] + [r["command"] for r in top["processes"] if r["pid"] == pid]
    return [] if want == "moving" and have == [want] * 2 else [f"{have}, must be {want}"]


def ranked(pid):
    """Another thread tells how much it is."""
    tid = next(t for t in os.listdir(f"/proc/{pid}/task") if t != str(pid))
    want = reading.status(f"{pid}/task/{tid}")["VmSize"]
    complaints = []
    for how in ([], ["--fast"]):
        answer = Answer(["top", "--json", *how])
        row = next((r for r in answer.doc["processes"] if r["pid"] == pid), None) if answer.doc else None
        if not row or row["vsz"] != want or not row["rss"]:
            complaints.append(f"top {how}: {row}, expected a VSZ of {want}")
    # the screen asks in another way; it has room for the 16 largest
    rows = [line.split() for line in Answer(["top", "--raw"]).out.decode(errors="replace").splitlines()]
    row = next((r for r in rows if r[:1] == [str(pid)]), None)
    if (row and str(want) not in row) or (not row and sum(len(r) > 8 for r in rows) < 17):
        complaints.append(f"top: {row}, expected a VSZ of {want}")
    return complaints


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
        title = f"{name}: a target that somebody traces"
        complaints = look_traced(target)
        if complaints is None:
            tap.skip(title, "tracing is refused")
        else:
            tap.check(title, complaints)


def look_traced(target):
    """Only one may trace: it is named. None where nobody may."""
    trace = "import ctypes, sys; print(ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), 0, 0), flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", trace, str(target.pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tracer:
        if tracer.stdout.readline().strip() != b"0":
            return None
        with open(f"/proc/{target.pid}/status", encoding="ascii") as status:
            pid = next(line.split()[1] for line in status if line.startswith("TracerPid"))
        answer = Answer(["explain", "--freeze", str(target.pid)])
    want = f"hint: pid {pid} traces it already"
    return [] if answer.code == 3 and want in answer.err else [f"status {answer.code}: {answer.err}"]


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
