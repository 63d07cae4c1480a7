# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of sections, pages and at share: targets, memwhy, and pagemap read from nothing."""

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../live"))
from tap import Tap  # noqa: E402,F401

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
MEMWHY = os.path.abspath(os.environ.get("MEMWHY", os.path.join(BUILD, "memwhy")))
PAGE = 4096


def memwhy(*args, status=0, text=None):
    """The output of memwhy: parsed with --json among the arguments, else text."""
    run = subprocess.run([MEMWHY, *map(str, args)], capture_output=True, text=True, timeout=120, input=text)
    if run.returncode != status:
        raise RuntimeError(f"memwhy {' '.join(map(str, args))}: exit {run.returncode}: {run.stderr}")
    return json.loads(run.stdout) if "--json" in args else run.stdout


@contextlib.contextmanager
def running(argv, ready=None, seconds=20, **kwargs):
    """A process with its claims in .claims, ended afterwards. ready: bytes that its output ends with."""
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, start_new_session=True, **kwargs)
    data, deadline = b"", time.monotonic() + seconds
    while ready and not data.endswith(ready) and time.monotonic() < deadline:
        if select.select([process.stdout], [], [], 0.5)[0]:
            block = os.read(process.stdout.fileno(), 1 << 16)
            if not block:
                break
            data += block
    process.is_ready = not ready or data.endswith(ready)
    process.output = data
    process.claims = [json.loads(line) for line in data.splitlines() if line.startswith(b"{")]
    try:
        yield process
    finally:
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its children, too
        process.wait(10)
        process.stdout.close()


READY = b'{"ready":true}\n'


def pagemap(pid, start, end):
    """(address, entry) of the pages that have one, from /proc/PID/pagemap."""
    found = []
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as file:
        file.seek(start // PAGE * 8)
        data = file.read((end - start) // PAGE * 8)
    for i, (entry,) in enumerate(struct.iter_unpack("<Q", data)):
        if entry:
            found.append((start + i * PAGE, entry))
    return found


def is_copy(entry):
    """Present, and not a page of the file (bit 61)."""
    return entry >> 63 & 1 and not entry >> 61 & 1


def mappings(pid):
    """(start, end, permissions, offset, name) of /proc/PID/maps."""
    with open(f"/proc/{pid}/maps") as file:
        for line in file:
            part = line.rstrip("\n").split(None, 5)
            start, end = (int(x, 16) for x in part[0].split("-"))
            yield start, end, part[1], int(part[2], 16), part[5] if len(part) > 5 else ""
