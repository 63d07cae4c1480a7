# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy without rights: another user, and one's own processes as a user."""

import os
import shutil

import reading
from compare import account, compare_region, compare_totals
from others import look_by
from targets import AS_NOBODY, IS_ROOT, LIVE, MEMWHY, Answer, explain, maps, running


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
    look_at_undumpable(tap, name, work, binary)


def look_at_undumpable(tap, name, work, binary):
    """A user's own process that forbids to be looked at."""
    shutil.copy(os.path.join(LIVE, "moving"), work)
    with running(["moving", "undumpable"], work, AS_NOBODY) as target:
        answer = explain(target.pid, wrap=AS_NOBODY, binary=binary)
        tap.check(f"{name}: a process of one's own that is not dumpable",
                  explained_in_part(answer, target.pid))


def explained_in_part(answer, pid):
    if answer.code == 3:
        return said_why(answer)
    if answer.complaints():
        return answer.complaints()
    doc, kernel = answer.doc, reading.status(pid)
    complaints = [f"{key}: expected {want}, got {doc.get(key)}" for key, want in
                  (("state", "partial"), ("vsz", kernel["VmSize"]), ("rss", kernel["VmRSS"]))
                  if doc.get(key) != want]
    complaints += [f"cause {c['code']} of 0 bytes" for c in account(doc) if c["bytes"] == 0]
    if not doc["notes"]:
        complaints.append("no note says what is missing")
    known = sum(c["bytes"] or 0 for c in account(doc))
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
            if not readable(f"/proc/{target.pid}/smaps"):
                tap.skip(f"{name}: {argv[0]}", "this root may not look at another user's process (CAP_SYS_PTRACE)")
                continue
            as_user(tap, f"{name}: {argv[0]}", target, binary)
            for road in ("pagemap", "smaps"):
                tap.check(f"{name}: {argv[0]} by {road}",
                          look_by(road, target, wrap=AS_NOBODY, binary=binary))


def readable(path):
    try:
        with open(path, "rb"):
            return True
    except PermissionError:
        return False


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
