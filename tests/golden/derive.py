#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots that few machines can make, from ones that were captured: static.snap with 100 pages of its
large block swapped out and shared memory of which nobody knows how much is in swap (swap.snap), i386.snap
of which a mapping of 2 pages went while it was read (torn.snap)."""
import json
import sys

PAGE = 4096


def load(path):
    return [json.loads(line) for line in open(path)]


def save(path, lines):
    lines[-1]["end"]["records"] = len(lines) - 2
    with open(path, "w") as out:
        for line in lines:
            out.write(json.dumps(line, separators=(",", ":")) + "\n")


def swap(lines):
    head, vmas = lines[0], [line for line in lines if "vma" in line]
    block = max(vmas, key=lambda line: sum(n for _, n, _ in line["vma"]["runs"]))["vma"]
    start, pages, state = block["runs"][0]
    assert state == 1 and pages > 200
    block["runs"] = [[start, pages - 100, 1], [start + pages - 100, 100, 2]]
    gone, shared = 100 * PAGE, 64 * PAGE
    files = [line for line in lines if "file" in line and "vma" not in line]
    shm = dict(files[-1]["file"], path="/dev/shm/cache", ino=77, dev_major=0, dev_minor=27, size=shared,
               is_deleted=False, is_replaced=False, how="path", fs="tmpfs")
    lines.insert(lines.index(files[-1]) + 1, {"file": shm})
    first = int(block["start"], 16) - 1024 * PAGE * PAGE
    lines.insert(lines.index(next(l for l in vmas if int(l["vma"]["start"], 16) > first)), {"vma": dict(
        block, start=hex(first), end=hex(first + shared), name="/dev/shm/cache", file=len(files), ino=77,
        dev_minor=27, kind="shared-memory", is_shared=True, cached=None, evicted=None, runs=[[0, 16, 1]])})
    status, roads = head["status"], head["roads"]
    for owner, key in (status, "vm_rss"), (roads, "statm_rss"), (roads, "procps_rss"), (roads, "rss_before"):
        owner[key] += 16 * PAGE - gone
    for owner, key in ((status, "vm_size"), (roads, "statm_size"), (roads, "stat_vsize"), (roads, "procps_vsize"),
                       (roads, "vsz_before")):
        owner[key] += shared
    status["rss_anon"] -= gone
    status["rss_shmem"] += 16 * PAGE
    status["vm_swap"] += gone
    head["limits"].update(swap_total=1 << 30, swap_free=(1 << 30) - 300 * PAGE)
    head["rollup"] = {key: None for key in head["rollup"]}


def torn(lines):
    head = lines[0]
    head["target"].update(is_torn=True, tries=5)
    head["status"]["vm_size"] -= 2 * PAGE


if __name__ == "__main__":
    folder = sys.argv[1]
    for name, source, change in ("swap", "static", swap), ("torn", "i386", torn):
        snapshot = load(f"{folder}/{source}.snap")
        change(snapshot)
        save(f"{folder}/{name}.snap", snapshot)
