#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that made up what memwhy reads in them (forged.c): the answer comes, its sums hold, and it is said
what was left out. Believing all of it would take hours, or more memory than the machine has."""
import json
import os
import resource
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
from tap import Tap  # noqa: E402

MEMWHY = os.environ.get("MEMWHY", "build/memwhy")
BUILD = os.environ.get("BUILD", "build")
BOOKS = "its lists lead round, or its records lie over each other"
SAID = {"arenas": BOOKS, "huge": BOOKS, "caches": BOOKS, "heaps": BOOKS,
        "stacks": "more words look like descriptors of threads than there can be"}


def limited():
    if not os.environ.get("MEMWHY_SANITIZED"):    # its shadow is reserved address space
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


def complaints(pid, said):
    p = subprocess.run([MEMWHY, "explain", "--json", str(pid)], capture_output=True, text=True, timeout=300,
                       preexec_fn=limited, check=False)
    if p.returncode:
        return [f"status {p.returncode}: {p.stderr}"]
    doc = json.loads(p.stdout)
    out = [] if doc["residual"] == 0 else [f"residual {doc['residual']}"]
    notes = [n["reason"] for n in doc["notes"]]
    if said and not any(said in n for n in notes):
        out.append(f"not said: {said}; but {notes}")
    return out


def main():
    t = Tap()
    for what, said in SAID.items():
        with subprocess.Popen([f"{BUILD}/tests/heap/forged", what], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
            p.stdout.readline()
            try:
                t.check(f"forged {what}", complaints(p.pid, said))
            except subprocess.TimeoutExpired:
                t.check(f"forged {what}", ["no answer"])
    return t.end()


if __name__ == "__main__":
    sys.exit(main())
