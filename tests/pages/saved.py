#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Views of a saved snapshot against the same views of the live process: sections, pages, at."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import target
from target import BUILD, MEMWHY, PAGE, READY, Tap, memwhy, running

PROGRAMS = os.path.join(BUILD, "tests/pages")
# What another moment or another process changes: when it was taken, who else maps a page, and what the page
# cache keeps of a file (both states of it are "not mapped here").
CHANGES = {"taken_at", "took_ns", "tries", "pss", "uss", "mappers", "node", "flags", "frame_flags"}
CACHE = {"cached", "uncached"}
# Who may not read frame numbers is told so by what asked for them: another view of the same snapshot did not.
FRAMES = {"pagemap", "kpageflags"}
FRAMES_LINES = ("NOT KNOWN", *(f"- {source}:" for source in FRAMES))
PFN = (1 << 55) - 1


def is_about_frames(value):
    return isinstance(value, dict) and "remedy" in value and value["source"] in FRAMES


def settled(value):
    """The document without what changes by itself."""
    if isinstance(value, list):
        return merged([settled(v) for v in value if not is_about_frames(v)])
    if not isinstance(value, dict):
        return "not mapped here" if value in CACHE else value
    kept = {k: settled(v) for k, v in value.items() if k not in CHANGES | CACHE}
    if CACHE <= set(value):
        kept["not mapped here"] = sum(value[k] or 0 for k in CACHE)
    return kept


def merged(runs):
    """Neighbouring runs that differ by the page cache only are one."""
    out = []
    for run in runs:
        last = out[-1] if out else None
        if isinstance(run, dict) and "pages" in run and "state" in run and isinstance(last, dict) and \
                last["end"] == run["start"] and {k: v for k, v in last.items() if k not in ("start", "end", "pages")} == \
                {k: v for k, v in run.items() if k not in ("start", "end", "pages")}:
            out[-1] = dict(last, end=run["end"], pages=last["pages"] + run["pages"])
        else:
            out.append(run)
    return out


def difference(a, b, path=""):
    """The first places where two documents differ."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [d for k in a for d in difference(a[k], b[k], f"{path}.{k}")][:5]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b)) for d in difference(x, y, f"{path}[{i}]")][:5]
    return [] if a == b else [f"{path}: live {str(a)[:300]}, saved {str(b)[:300]}"]


def check_same(tap, pid, snap, addrs, frames):
    views = [["sections"], ["sections", "--symbols"], ["sections", "--relocs"], ["sections", "--cold", "--hot"],
             ["pages"], ["at"], ["tlb"]] + ([["pages", "--frames"]] if frames else [])
    for view in views:
        rest = addrs if view == ["at"] else []
        live, saved = (settled(memwhy(*view, "--json", target, *rest)) for target in (pid, snap))
        tap.check(f"{' '.join(view)} of the file is that of the process", difference(live, saved))
    for place in (["touch"], ["libslots"]):
        live, saved = (settled(memwhy("sections", "--symbols", "--json", t, *place)) for t in (pid, snap))
        tap.check(f"sections of {place[0]} likewise", difference(live, saved))
    for place in ("[stack]", ".truth", "libc:.data"):
        live, saved = (settled(memwhy("pages", "--json", t, place)) for t in (pid, snap))
        tap.check(f"pages of {place} likewise", difference(live, saved))


def words(line, view):
    """A line without its widths, and without what another moment changes: who maps, and the page cache."""
    if "PSS" in line or "mapped by" in line or line.startswith(FRAMES_LINES):
        return ""
    line = line.replace("uncached", "cached").replace("not in the page cache", "not mapped here, in the page cache")
    cells = re.split(r"  +", line.strip())
    return " ".join(cells[:-2] if view == "sections" and len(cells) > 5 else cells)


def check_text(tap, pid, snap, addrs):
    for view in (["sections", "libslots"], ["at", *addrs]):
        live, saved = ([words(x, view[0]) for x in memwhy(view[0], t, *view[1:]).splitlines()] for t in (pid, snap))
        tap.check(f"text of {view[0]} is the same", [f"live: {x}" for x in live if x not in saved])


def without_relocs(snap):
    """A copy of the snapshot as who does not read relocations saves it."""
    cut = snap + ".cut"
    with open(snap) as file:
        rows = [json.loads(line) for line in file]
    n = len(rows)
    rows = [r for r in rows if "reloc_pages" not in r and ("detail" not in r or r["detail"]["symbols_read"])]
    for row in rows:
        if "detail" in row:
            row["detail"].update({k: 0 for k in row["detail"] if k.startswith("n_")}, relocs_known=False)
    rows[-1]["end"]["records"] -= n - len(rows)
    with open(cut, "w") as out:
        out.writelines(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    return cut


def check_elsewhere(tap):
    """As on another machine: the program's files are gone."""
    directory = tempfile.mkdtemp(prefix="memwhy-saved-")
    try:
        for name in ("touch", "libslots.so"):
            shutil.copy(os.path.join(PROGRAMS, name), directory)
        full, plain = os.path.join(directory, "full.snap"), os.path.join(directory, "plain.snap")
        with running([os.path.join(directory, "touch")], READY) as p:
            memwhy("record", "--symbols", "-o", full, p.pid)
            memwhy("record", "-o", plain, p.pid)
            live = settled(memwhy("sections", "--symbols", "--json", p.pid, "touch"))
            relocs = settled(memwhy("sections", "--relocs", "--json", p.pid))
            both = settled(memwhy("sections", "--symbols", "--relocs", "--json", p.pid, "libslots"))
        here = settled(memwhy("sections", "--symbols", "--json", plain, "touch"))
        tap.check("symbols that were not saved come from the file, where it is here", difference(live, here))
        tap.check("so do relocations",
                  difference(relocs, settled(memwhy("sections", "--relocs", "--json", without_relocs(plain)))))
        with_symbols = settled(memwhy("sections", "--symbols", "--relocs", "--json", without_relocs(full), "libslots"))
        tap.check("beside symbols that were saved", difference(both, with_symbols))
        with open(os.path.join(directory, "touch"), "r+b") as file:     # another program by that name
            data = file.read()
            at = data.index(b"GNU\0", data.index(b"\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0"))
            file.seek(at + 4)
            file.write(bytes(20))
        other = memwhy("sections", "--symbols", "--json", plain, "touch")
        tap.check("but not from another build of it", [] if not other["objects"][0]["symbols"] and
                  other["objects"][0]["symbols_from"] is None else [str(other["objects"][0]["symbols"])[:200]])
        for name in ("touch", "libslots.so"):
            os.unlink(os.path.join(directory, name))
        tap.check("with them saved the files are not needed",
                  difference(live, settled(memwhy("sections", "--symbols", "--json", full, "touch"))))
        gone = memwhy("sections", "--symbols", "--json", plain, "touch")
        tap.check("without them it is said what is missing",
                  [] if any("record --symbols" in (n["remedy"] or "") for n in gone["notes"]) else [str(gone["notes"])])
        relocs = memwhy("sections", "--relocs", "--json", plain, "touch")
        tap.check("relocations are always saved", [] if relocs["relocations"][0]["pages"] else [str(relocs["relocations"])])
    finally:
        shutil.rmtree(directory)


def check_damage(tap, snap):
    """A file that is cut anywhere, or that lies about its lists, is refused in a sentence."""
    with open(snap) as file:
        lines = file.read().splitlines(keepends=True)
    wrong = []
    picks = {next(iter(json.loads(x))): i for i, x in enumerate(lines)}
    for key in ("cache", "symbols", "reloc_pages", "detail"):
        if key not in picks:
            if key != "cache":      # who may not write a file is not told what of it is cached
                wrong.append(f"{key}: no such line")
            continue
        bad = snap + ".bad"
        with open(bad, "w") as file:
            file.writelines(lines[:picks[key]] + lines[picks[key] + 1:])
        run = subprocess.run([MEMWHY, "sections", bad], capture_output=True, text=True, timeout=60)
        if run.returncode != 3 or not run.stderr.startswith("memwhy: ") or "line" not in run.stderr:
            wrong.append(f"without a line of {key}: exit {run.returncode}: {run.stderr}")
    tap.check("a snapshot with a line missing is refused", wrong)


def refusal(*args):
    """What is wrong with the error of a view that needs mappings and has none."""
    run = subprocess.run([MEMWHY, *args], capture_output=True, text=True, timeout=60)
    good = run.returncode == 3 and not run.stdout and "open maps: Permission denied\nhint: run memwhy as" in run.stderr
    return [] if good else [f"{args}: exit {run.returncode}: {run.stderr} {run.stdout[:300]}"]


def zeros(value, path=""):
    """Where a document has a 0."""
    if isinstance(value, dict):
        return [z for k, v in value.items() for z in zeros(v, f"{path}.{k}")]
    if isinstance(value, list):
        return [z for i, v in enumerate(value) for z in zeros(v, f"{path}[{i}]")]
    return [path] if value == 0 and value is not False else []


def check_unknown(tap, directory):
    """What could not be read is no 0: without mappings, and with mappings without page states."""
    golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden")
    blind, stateless = os.path.join(golden, "norights.snap"), os.path.join(directory, "stateless.snap")
    for view in (["pages", blind], ["pages", blind, "libc"], ["sections", blind], ["heap", blind], ["at", blind, "0x1000"]):
        tap.check(f"{view[0]} without mappings is refused{' for a place' if view[2:] else ''}",
                  refusal(*view) + refusal(view[0], "--json", *view[1:]))
    with open(os.path.join(golden, "anon.snap")) as file:
        lines = [json.loads(line) for line in file]
    lines[0]["target"]["pages"] = "none"
    vmas = [x["vma"] for x in lines if "vma" in x]
    for vma in vmas:
        vma.update(states_known=False, runs=[])
    with open(stateless, "w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    for name, snap in (("mappings", blind), ("page states", stateless)):
        doc = memwhy("tlb", "--json", snap)
        tap.check(f"tlb without {name}: unknown is not 0",
                  [z for part in ("page_tables", "levels", "reach", "gain") for z in zeros(doc[part], part)] +
                  [f"mappings: {m}" for m in doc["mappings"]])
        shown = memwhy("tlb", snap)
        tap.check(f"tlb without {name}: and says so", [] if "no page state is known" in shown else [shown])
    at = memwhy("at", "--json", stateless, vmas[0]["start"])["addresses"][0]
    runs = memwhy("pages", "--json", stateless)["runs"]
    tap.check("whether a page is resident is null where its state is unknown",
              [str(x) for x in (at, *runs) if x["resident"] is not None or x.get("state", "unread") != "unread"][:3] +
              ([] if runs else ["no runs"]))


def check_place(tap, pid, snap):
    """Frames of a place alone, of a snapshot that has those of all: the pages that pagemap has there, no more."""
    start, end = max(((s, e) for s, e, perm, _, n in target.mappings(pid) if perm.startswith("rw") and n.endswith("/touch")),
                     key=lambda place: place[1] - place[0])
    start += PAGE
    want = [a for a, entry in target.pagemap(pid, start, end) if entry >> 63]
    have = [int(f["address"], 16) for f in memwhy("pages", "--frames", "--json", snap, f"{start:#x}-{end:#x}")["frames"]]
    tap.check(f"frames of a place: the {len(want)} pages of it", [] if have == want and want else [f"{have}, must be {want}"])


def check_no_frames(tap, pid, directory):
    """Frames that were not asked for are missing for that reason, not for want of a capability."""
    snap = os.path.join(directory, "plain.snap")
    stack = next(end for _, end, _, _, name in target.mappings(pid) if name == "[stack]") - 8
    memwhy("record", "-o", snap, pid)
    shown = memwhy("at", snap, f"{stack:#x}")
    tap.check("at of a snapshot without frames says so", [] if "need CAP_" not in shown and "was not read" in shown and
              "record --frames saves them" in shown else [shown])


def main():
    tap = Tap()
    with running([os.path.join(PROGRAMS, "touch")], READY) as p, tempfile.TemporaryDirectory() as directory:
        snap = os.path.join(directory, "touch.snap")
        addrs = [c["address"] for c in p.claims if "address" in c] + ["0x10"]
        memwhy("sections", "--symbols", "--json", p.pid)    # what it reads is in the page cache from now on
        memwhy("at", p.pid, *addrs)
        frames = any(entry & PFN for s, t, _, _, n in target.mappings(p.pid) if not n.startswith("[v")
                     for _, entry in target.pagemap(p.pid, s, t) if entry >> 63)
        memwhy("record", "--symbols", "--frames", "-o", snap, p.pid)
        check_same(tap, p.pid, snap, addrs, frames)
        if frames:
            check_place(tap, p.pid, snap)
        check_no_frames(tap, p.pid, directory)
        check_text(tap, p.pid, snap, addrs)
        check_damage(tap, snap)
        check_unknown(tap, directory)
    check_elsewhere(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
