# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets that hold still: one group each, compared region by region."""

import contextlib
import os
import shutil
import subprocess

import reading
from compare import (compare_accounts, compare_plain, compare_region, compare_rows,
                     compare_totals, compare_with_kernel, rows_against_causes, unnoticed)
from targets import LIVE, SEES_ALL, explain, maps, running, stop


NO_ASLR = ("setarch", "-R")
NEW_PIDS = ("unshare", "--fork", "--pid", "--kill-child", "--mount-proc")


class Shape:
    """One group: a target whose claims are compared region by region."""

    def __init__(self, *argv, lend=contextlib.nullcontext, wrap=(), mib=0, own_mounts=False,
                 then=None):
        self.argv, self.lend, self.wrap, self.mib = argv, lend, wrap, mib
        self.own_mounts = own_mounts
        self.then = then        # called with the target and its directory when it is ready

    def missing(self):
        if not os.path.exists(os.path.join(LIVE, self.argv[0])):
            return f"{self.argv[0]} was not built: no compiler for it"
        if self.wrap and not shutil.which(self.wrap[0]):
            return f"no {self.wrap[0]}"
        if (self.own_mounts or self.wrap == NEW_PIDS) and not may_mount():
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
            if self.then:
                self.then(target, os.path.join(work, argv[0]))
            for claim in target.skips():
                tap.skip(f"{name}: {claim['region']}", claim["skip"])
            (check_alone if self_only else check_memwhy)(tap, name, target)


def started(argv, work, wrap):
    """A wrapper such as setarch runs the target in place of itself."""
    if not wrap:
        return running(argv, work)
    shutil.copy(os.path.join(LIVE, argv[0]), work)
    return running(argv, work, wrap)


def stop_program(target, _path):
    stop(target.process)


def delete_program(_target, path):
    os.unlink(path)


def replace_program(_target, path):
    with open(path + ".new", "w", encoding="ascii") as other:
        other.write("not a program\n")
    os.rename(path + ".new", path)


def enter_namespace(target, _path):
    """The wrapper forked: the target is its child, and counts threads its own way."""
    with open(f"/proc/{target.pid}/task/{target.pid}/children", encoding="ascii") as children:
        target.pid = int(children.read().split()[0])
    for region in target.regions():
        region.pop("tid", None)


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
    complaints = compare_plain(target.pid, answer.doc)
    if complaints:      # the kernel may have made a huge page of single ones in between: a defect stays
        complaints = compare_plain(target.pid, explain(target.pid).doc)
    tap.check(f"{name}: explain without options agrees", complaints)
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
