#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums of saved snapshots, made of the file alone, against what explain and maps say of them.

usage: sums.py MEMWHY SNAPSHOT...
"""
import json
import os
import re
import subprocess
import sys

PAGE, PRESENT, ZERO = 4096, 1, 4


def read(path):
    """(head, [mapping]): a mapping is (size, resident) with resident None if it is not known."""
    head, mappings = None, []
    for line in map(json.loads, open(path)):
        head = head or line
        if "vma" in line:
            vma = line["vma"]
            counted = vma["kind"] != "hugetlb" and not vma["no_pages"]
            if vma["name"] == "[vsyscall]":
                counted = None
            mappings.append([int(vma["end"], 16) - int(vma["start"], 16), -(vma["zero_unplaced"] or 0), counted])
        for _, pages, state in line.get("vma", line).get("runs", []):
            if counted and state & PRESENT and not state & ZERO:
                mappings[-1][1] += pages * PAGE
    return head, [m[:2] for m in mappings if m[2] is not None]


def view(memwhy, *args):
    done = subprocess.run([memwhy, *args], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout) if "--json" in args else done.stdout


def check(memwhy, path):
    """What is wrong, in words."""
    head, mappings = read(path)
    explain, maps = view(memwhy, "explain", "--json", path), view(memwhy, "maps", "--json", path)
    text = view(memwhy, "explain", "--verify", path)

    def total(rows, key):
        return sum(row[key] for row in rows)

    if not mappings:
        # without the right to read: nothing may look like a number that was counted
        if explain["causes"] or explain.get("objects") or maps["maps"]:
            yield "causes without mappings"
        if explain["vsz"] != head["status"]["vm_size"] or explain["rss"] != head["status"]["vm_rss"]:
            yield "not the kernel's VSZ and RSS"
        if explain["residual"] is not None or explain.get("composition", {}).get("pss") is not None:
            yield "a residual or PSS of nothing"
        if not re.search(r"PSS -   USS -", text):
            yield "PSS is not shown as unknown"
        return
    vsz, rss = sum(m[0] for m in mappings), sum(m[1] for m in mappings)
    if explain["vsz"] != vsz or maps["vsz"] != vsz or total(explain["objects"], "vsz") != vsz:
        yield f"VSZ is {vsz}"
    if explain["rss"] != rss or maps["rss"] != rss or total(explain["objects"], "rss") != rss:
        yield f"RSS is {rss}"
    if total(explain["causes"], "bytes") != vsz - rss or total(explain["resident"], "bytes") != rss:
        yield "the causes do not sum up"
    if [[m["size"], m["resident"]] for m in maps["maps"]] != mappings:
        yield "a mapping has another size or resident part"
    if any(total(m["causes"], "bytes") != m["size"] for m in maps["maps"]):
        yield "the causes of a mapping do not sum up"
    if explain["residual"] != head["status"]["vm_size"] - vsz:
        yield "the residual is not VmSize less the mappings"
    if explain["torn"] != (head["target"]["is_torn"]) or ("numbers are torn" in text) != head["target"]["is_torn"]:
        yield "torn is not told"
    unknown = {"pss": head["rollup"]["pss"], "uss": head["rollup"]["private_clean"], "dirty": head["rollup"]["private_dirty"]}
    for key, value in unknown.items():
        if (explain["composition"][key] is None) != (value is None):
            yield f"{key} is {explain['composition'][key]}, and the file has {value}"


def main():
    memwhy, *paths = sys.argv[1:]
    for n, path in enumerate(paths, 1):
        wrong = list(check(memwhy, path))
        print(f"{'not ok' if wrong else 'ok'} {n} - {os.path.basename(path)}: the sums are those of the file")
        for line in wrong:
            print(f"# {line}")
    print(f"1..{len(paths)}")


if __name__ == "__main__":
    main()
