#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON of sections, pages, at, faults, tlb and top has the members of memwhy-json(5), of these types, and no
others; also of an unprivileged look, and where options add members."""

import os
import re
import subprocess
import sys

from target import BUILD, MEMWHY, READY, Tap, memwhy, running

PROGRAMS = os.path.join(BUILD, "tests/pages")

# int: not negative; delta: any sign; addr: "0x..."; ? may be null; ~key may be missing
TARGET = {"pid": "int", "pid_in_namespace": "int?", "name": "str", "exe": "str?", "command": "str?", "runtime": "str?",
          "allocator": "str?", "threads": "int?", "kernel": "str?", "page_states_by": "str", "taken_at": "str?", "took_ns": "int?",
          "tries": "int"}
HEAD = {"schema": "str", "tool_version": "str", "unit": "str"}
PROCESS = {**HEAD, "pid": "int", "target": TARGET, "state": "str"}
NOTES = {"notes": [{"severity": "str", "source": "str", "reason": "str", "remedy": "str?"}]}
MASS = dict.fromkeys(("mapped", "resident", "file", "anonymous", "copied", "relocation", "cleared", "written", "new", "shmem",
                      "huge", "zero", "swap", "cached", "uncached", "absent"), "int?") | {"mapped": "int"}
SYMBOL = {"section": "str?", "type": "str", "address": "addr", "size": "int", "others": "int", **MASS, "object": "str",
          "symbol": "str", "raw": "str"}
SECTIONS = {**PROCESS, "objects": [{
    "path": "str", "role": "str", "load_bias": "addr", "build_id": "str?", "symbols_from": "str?", **MASS, "residual": "delta",
    "sections": [{"section": "str", "address": "addr?", "size": "int", "file_size": "int?", **MASS}],
    "~symbols": [SYMBOL]}],
    "~relocations": [{"object": "str", "binding": "str?", **dict.fromkeys(
        ("relative", "symbolic", "plt", "copy", "ifunc", "pages", "linker_pages", "cleared_pages", "program_pages"), "int?"),
        "copied_pages": "int?"}],
    "~cold": [SYMBOL], "~hot": [SYMBOL], "objects_without_tables": "int", **NOTES}
STATES = ("anonymous", "copied", "file", "shmem", "hugetlb", "zero", "swap", "guard", "cached", "uncached", "not-mapped",
          "beyond-eof", "absent", "no-access", "unread")
PAGES = {**PROCESS, "place": "str?", "page_size": "int", "sums": dict.fromkeys(STATES, "int"), "mapped": "int", "resident": "int?",
         "runs": [{"start": "addr", "end": "addr", "pages": "int", "state": "str", "resident": "bool", "huge": "bool",
                   "owner": "str?", "object": "str?"}],
         "frames": [{"address": "addr", "frame": "int?", "mappers": "int?", "node": "int?", "flags": "str?"}],
         "~mappers": [{"pid": "int", "command": "str?", "entries": "int", "bytes": "int"}], "~mappers_missing": "int?", **NOTES}
AT = {**PROCESS, "addresses": [{
    "address": "addr", "mapped": "bool", "mapping_start": "addr?", "mapping_end": "addr?", "perm": "str?", "name": "str?",
    "owner": "str?", "owner_detail": "str?", "certainty": "str?", "rule": "str?", "object": "str?", "object_offset": "addr?",
    "file_offset": "int?", "segment": "int?", "section": "str?", "section_offset": "int?", "symbol": "str?",
    "symbol_raw": "str?", "symbol_offset": "int?", "symbol_size": "int?", "symbols_from": "str?",
    "source": [{"file": "str", "line": "int", "function": "str?"}], "page_state": "str?", "resident": "bool?",
    "copied_by": "str?", "page_size": "int?", "page_offset": "int?", "frame": "int?", "physical": "addr?", "mappers": "int?",
    "node": "int?", "frame_flags": "str?", "mapped_by": [{"pid": "int", "command": "str?"}], "levels": "int?",
    "tlb_sets": [{"level": "int", "kind": "str", "entries": "int", "sets": "int?", "set": "int?", "source": "str"}],
    "translation": [{"level": "str", "high_bit": "int", "low_bit": "int", "index": "int", "table_in_use": "bool"}]}], **NOTES}
TIMES = {"first_ns": "int", "faults": "int", "major": "int", "pages": "int"}
FAULTS = {**HEAD, "target": {"pid": "int", "name": "str", "command": "str?", "attached": "bool", "ended": "bool",
                             "recorder": "str", "started_at_ns": "int?", "took_ns": "int"}, **dict.fromkeys(("samples", "lost", "counter", "kept", "major", "pages", "threads", "processes"), "int"),
          **dict.fromkeys(("lost_moves", "taken_by_kernel", "task_faults", "faults_unseen"), "int?"),
          "phases": [{"phase": "str", "start_ns": "int", "ns": "int", "faults": "int", "major": "int", "pages": "int",
                      "rule": "str", "certainty": "str"}],
          "rss": {"before": "int?", "after": "int?", "grew_by": "delta?", "gone": "int?", "residual": "delta?"},
          "sources": [{"source": "str", "text": "str", "bytes": "delta"}],
          "outcomes": [{"outcome": "str", "text": "str", "faults": "int"}],
          "sections": [{"object": "str", "section": "str?", **TIMES}],
          "symbols": [{"object": "str", "section": "str?", "symbol": "str?", **TIMES}],
          "callers": [{"object": "str", "function": "str?", **TIMES}],
          "mappings": [{"object": "str", "start": "addr", "end": "addr", "first_tid": "int", "first_addr": "addr", **TIMES}],
          "~faults": [{"time_ns": "int", "phase": "str", "pid": "int", "tid": "int", "kind": "str", "address": "addr",
                       "object": "str?", "section": "str?", "symbol": "str?", "offset": "addr?", "ip": "addr", "caller": "str?"}],
          "notes": [{"source": "str", "reason": "str", "remedy": "str?"}]}
TLB = {**PROCESS, "page_tables": {"kernel": "int?", "least": "int", "above_least": "delta?"},
       "levels": [{"level": "str", "covers": "int", "tables": "int", "bytes": "int"}],
       "processor": {"vendor": "str?", "name": "str?", "family": "int?", "model": "int?", "hypervisor": "bool",
                     "core_type": "str?", "documented": "bool", "document": "str?", "remark": "str?"},
       "tlbs": [{"level": "int", "kind": "str", "pages": "str", "entries": "int", "ways": "str?", "sets": "int?",
                 "index": "str?", "reach_4k": "int?", "reach_2m": "int?", "source": "str"}],
       "reach": {"resident": "int", "referenced": "int?", "small_pages": "int", "huge_pages": "int", "with_4k": "int?",
                 "with_2m": "int?"},
       "~counters": {**dict.fromkeys(("cycles", "instructions", "load_misses", "store_misses", "code_misses", "walk_cycles"), "int?"),
                     "ns": "int", "why": "str?"},
       "mappings": [{"start": "addr", "end": "addr", "object": "str?", **dict.fromkeys(
           ("size", "tables", "table_bytes", "small_pages", "huge_pages", "blocks", "entries_saved", "tables_saved", "costs"),
           "int"), "referenced": "int?", "how": "str?"}],
       "gain": dict.fromkeys(("blocks", "entries_saved", "memory_added", "tables_saved"), "int"), **NOTES}
SUM = dict.fromkeys(("rss_sum", "pss", "uss", "vsz", "swap", "page_tables", "once"), "int?")
TOP = {**HEAD, "ranked_by": "str", "unreadable": "int", "kernel_threads": "int", "vanished": "int", "memory_total": "int?",
       "sum": SUM,
       "~processes": [{"pid": "int", "user": "str", **dict.fromkeys(
           ("rss", "pss", "uss", "swap", "page_tables", "vsz", "anonymous", "file", "shmem"), "int?"), "why": "str?",
           "unread": "str?", "cgroup": "str?", "command": "str"}],
       "~groups": [{"group": "str", "processes": "int", "unreadable": "int", **dict.fromkeys(
           ("once", "pss", "uss", "rss_sum", "swap", "page_tables"), "int?")}]}

TESTS = {"str": lambda v: isinstance(v, str), "bool": lambda v: isinstance(v, bool),
         "int": lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0,
         "delta": lambda v: isinstance(v, int) and not isinstance(v, bool),
         "addr": lambda v: isinstance(v, str) and re.fullmatch("0x[0-9a-f]+", v)}


def validate(value, spec, path=""):
    """Where a document is not as specified."""
    if isinstance(spec, list):
        if not isinstance(value, list):
            return [f"{path}: not a list"]
        return [w for i, v in enumerate(value) for w in validate(v, spec[0], f"{path}[{i}]")]
    if isinstance(spec, dict):
        if not isinstance(value, dict):
            return [f"{path}: not an object"]
        keys = {k.lstrip("~"): s for k, s in spec.items()}
        wrong = [f"{path}.{k}: missing" for k in spec if k[0] != "~" and k not in value]
        wrong += [f"{path}.{k}: not in the schema" for k in value if k not in keys]
        return wrong + [w for k, v in value.items() if k in keys for w in validate(v, keys[k], f"{path}.{k}")]
    if value is None and spec.endswith("?"):
        return []
    return [] if TESTS[spec.rstrip("?")](value) else [f"{path}: {value!r} is not {spec}"]


def documented():
    """Words of memwhy-json(5)."""
    with open("man/memwhy-json.5") as file:
        return set(re.findall(r"[A-Za-z0-9_-]+", file.read()))


def members(spec):
    if isinstance(spec, list):
        yield from members(spec[0])
    elif isinstance(spec, dict):
        for key, inner in spec.items():
            yield key.lstrip("~")
            yield from members(inner)


def check(tap, title, spec, schema, *args):
    doc = memwhy(*args, "--json")
    wrong = validate(doc, spec)[:10]
    if doc["schema"] != schema or doc["unit"] != "bytes":
        wrong.append(f"{doc['schema']}, {doc['unit']}")
    tap.check(title, wrong)


def check_validator(tap):
    doc = {"a": 1, "b": [{"c": "0x1"}], "d": None}
    spec = {"a": "int", "b": [{"c": "addr"}], "d": "int?", "~e": "str"}
    bad = ({**doc, "a": -1}, {**doc, "a": True}, {**doc, "a": None}, {**doc, "f": 1}, {k: v for k, v in doc.items() if k != "a"},
           {**doc, "b": [{"c": "1"}]}, {**doc, "b": {}}, {**doc, "d": 1.5}, {**doc, "e": 1})
    tap.check("the validator finds what is wrong", validate(doc, spec) + [str(b) for b in bad if not validate(b, spec)])


def check_views(tap, p, snap, who):
    addrs = [c["address"] for c in p.claims if "address" in c] + ["10", hex(stack_of(p.pid))]
    for target, what in ((p.pid, who), (snap, f"{who}, saved")):
        check(tap, f"sections ({what})", SECTIONS, "memwhy/sections/1", "sections", target)
        check(tap, f"sections with everything ({what})", SECTIONS, "memwhy/sections/1", "sections", "--symbols", "--relocs",
              "--cold", "--hot", target)
        check(tap, f"pages ({what})", PAGES, "memwhy/pages/1", "pages", target)
        check(tap, f"pages --frames of a place ({what})", PAGES, "memwhy/pages/1", "pages", "--frames", target, ".data")
        check(tap, f"pages --mappers of a place ({what})", PAGES, "memwhy/pages/1", "pages", "--mappers", target, "libc:.data")
        check(tap, f"at --mappers ({what})", AT, "memwhy/at/1", "at", "--mappers", target, *addrs[:2])
        check(tap, f"at ({what})", AT, "memwhy/at/1", "at", target, *addrs)
        check(tap, f"tlb ({what})", TLB, "memwhy/tlb/1", "tlb", target)


def stack_of(pid):
    with open(f"/proc/{pid}/maps") as file:
        return next(int(line.split("-")[1].split()[0], 16) for line in file if "[stack]" in line) - 64


def check_faults(tap):
    probe = subprocess.run([MEMWHY, "faults", "--json", "--", "true"], capture_output=True, text=True, timeout=60)
    if probe.returncode:
        tap.skip("faults", probe.stderr.splitlines()[0] if probe.stderr else "refused")
        return
    for options in ([], ["--all"], ["--list"]):
        doc = memwhy("faults", "--json", *options, "--", "true")
        tap.check(f"faults {' '.join(options)}", validate(doc, FAULTS)[:10] +
                  ([] if doc["schema"] == "memwhy/faults-report/1" else [doc["schema"]]))


def main():
    tap = Tap()
    check_validator(tap)
    words = documented()
    for name, spec in (("sections", SECTIONS), ("pages", PAGES), ("at", AT), ("faults", FAULTS), ("tlb", TLB), ("top", TOP)):
        tap.check(f"memwhy-json(5) names the members of {name}", sorted(set(members(spec)) - words))
    snap = os.path.join(PROGRAMS, "schema.snap")
    with running([os.path.join(PROGRAMS, "touch")], READY) as p:
        memwhy("record", "--symbols", "--frames", "-o", snap, p.pid)
        check_views(tap, p, snap, "live")
        check(tap, "tlb --measure", TLB, "memwhy/tlb/1", "tlb", "--measure=0.1", p.pid)
    check(tap, "top", TOP, "memwhy/top/1", "top")
    check(tap, "top --fast", TOP, "memwhy/top/1", "top", "--fast")
    for by in ("user", "cgroup", "command"):
        check(tap, f"top --by={by}", TOP, "memwhy/top/1", "top", f"--by={by}")
    check_faults(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
