#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy heap against a program that keeps books of its own (books.c).

What libc allocates for itself is in the heap too, so two moments are compared: between
them the heap must have changed by exactly what the program booked.
"""
import json
import os
import random
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
from tap import Tap  # noqa: E402

MEMWHY = os.environ.get("MEMWHY", "build/memwhy")
BUILD = os.environ.get("BUILD", "build")
PRIVATE_NAMES = ("requests", "parser", None, "a name that is longer than ther", "cache")
TOTALS = ("requested", "allocated", "in_spans", "in_arenas", "mapped", "resident", "vsz")


def memwhy(*args):
    p = subprocess.run([MEMWHY, *map(str, args)], capture_output=True, text=True, timeout=120, check=False)
    return p.returncode, p.stdout, p.stderr


def heap(pid, *args):
    code, out, err = memwhy("heap", "--json", *args, pid)
    assert code == 0, err
    return json.loads(out)


class Program:
    """books.c under the allocator; a context, so that it ends whatever happens."""

    def __init__(self, *options, program="books", wrapper=True, malloc=""):
        argv = [MEMWHY, "run", *options, "--"] if wrapper else []
        self.proc = subprocess.Popen(argv + [f"{BUILD}/tests/heap/{program}"], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, bufsize=0,
                                     env=dict(os.environ, MEMWHY_MALLOC="background=off" + malloc))  # it shall stand still

    def ask(self, line):
        os.write(self.proc.stdin.fileno(), line.encode())
        text = b""
        while not text.endswith(b"\n"):
            got = os.read(self.proc.stdout.fileno(), 1 << 20)
            assert got, "the program ended"
            text += got
        return json.loads(text)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.proc.stdin.close()
        self.proc.kill()
        self.proc.wait()


def bridge_complaints(doc):
    """Each total is the total before it plus the steps that lead to it."""
    out, totals, before = [], doc["bridge"]["totals"], None
    for name in TOTALS:
        steps = sum(s["bytes"] for s in doc["bridge"]["steps"] if s["to"] == name)
        if before is not None and before + steps != totals[name]:
            out.append(f"{name}: {before} {steps:+} is not {totals[name]}")
        before = totals[name]
    return out


def reconcile_complaints(doc, explain=True):
    """The books, the mappings, and explain agree about the same ranges; explain looks a moment later."""
    out = [f"{r['range']}: {r['difference']:+}" for r in doc["reconciliation"] if r["difference"]]
    if doc["counters"]["difference"]:
        out.append(f"counters: {doc['counters']['difference']:+}")
    if sum(r["resident"] for r in doc["reconciliation"]) != doc["bridge"]["totals"]["resident"]:
        out.append("resident of all ranges is not the bridge's")
    if not explain:
        return out
    code, text, err = memwhy("explain", "--json", doc["pid"])
    assert code == 0, err
    sums = {o["owner"]: o for o in json.loads(text)["objects"]}
    for r in doc["reconciliation"]:
        o = sums.get(r["owner"], {"vsz": 0, "rss": 0})
        if (o["vsz"], o["rss"]) != (r["mapped"], r["resident"]):
            out.append(f"{r['owner']}: explain says {o['vsz']} {o['rss']}, heap {r['mapped']} {r['resident']}")
    return out


def by_class(doc, live):
    """What the program holds, by the class that its request belongs to; audit adds a canary byte."""
    pad = 1 if doc["heap"]["audit"] else 0
    served = sorted((c["size"], c["class"]) for c in doc["classes"] if c["served"])
    out = {}
    for n, count in live.items():
        cls = next(c for size, c in served if size >= max(int(n) + pad, 1))
        out[cls] = out.get(cls, 0) + count
    return out


def books_complaints(a, b, before, after, audit):
    out = []
    held = by_class(a, before["live"]), by_class(b, after["live"])
    for c, d in zip(a["classes"], b["classes"]):
        cls = c["class"]
        want = held[1].get(cls, 0) - held[0].get(cls, 0)
        if d["live"] - c["live"] != want:
            out.append(f"class {cls}: live changed by {d['live'] - c['live']}, booked {want}")
        if d["live_bytes"] != d["live"] * d["size"]:
            out.append(f"class {cls}: bytes")
    for kind in ("large", "huge"):
        x, y = a["blocks"][kind], b["blocks"][kind]
        got = [y["count"] - x["count"], y["requested"] - x["requested"]]
        want = [after[kind][i] - before[kind][i] for i in (0, 1)]
        if got != want:
            out.append(f"{kind}: {got}, booked {want}")
    ever = b["counters"]["requested_ever"] - a["counters"]["requested_ever"]
    if ever != after["ever"] - before["ever"]:
        out.append(f"requested ever: {ever}, booked {after['ever'] - before['ever']}")
    held_bytes = [sum(int(n) * k for n, k in x["live"].items()) + x["large"][1] + x["huge"][1] for x in (before, after)]
    want = held_bytes[1] - held_bytes[0]
    got = b["bridge"]["totals"]["requested"] - a["bridge"]["totals"]["requested"]
    low = b["bridge"]["requested_min"] - a["bridge"]["requested_max"]
    high = b["bridge"]["requested_max"] - a["bridge"]["requested_min"]
    if audit and (got != want or not b["bridge"]["requested_exact"]):
        out.append(f"requested: {got}, booked {want}")
    if not low <= want <= high:
        out.append(f"requested: booked {want} is not within {low} and {high}")
    if b["bridge"]["requested_max"] < held_bytes[1]:
        out.append(f"more than {b['bridge']['requested_max']} is held: {held_bytes[1]}")
    return out


def exact_complaints(*docs):
    return [f"not exact: {d['heap']}, {d['state']}" for d in docs
            if not d["heap"]["exact"] or d["heap"]["bad_records"] or d["state"] != "exact"]


def check_books(t, name, *options, audit=False, **kw):
    with Program(*options, **kw) as p:
        before = p.ask("g")
        a = heap(before["pid"])
        after = p.ask("g")
        b = heap(before["pid"])
        t.check(f"{name}: it stands still, so the books are exact", exact_complaints(a, b))
        t.check(f"{name}: the heap agrees with the program's books to the byte", books_complaints(a, b, before, after, audit))
        t.check(f"{name}: the bridge sums exactly", bridge_complaints(a) + bridge_complaints(b))
        t.check(f"{name}: books, mappings and explain agree", reconcile_complaints(b))
        if kw or audit:
            return
        freed = p.ask("f")
        c = heap(before["pid"])
        t.check(f"{name}: all freed, and it agrees", books_complaints(b, c, after, freed, audit) + bridge_complaints(c) +
                exact_complaints(c) + reconcile_complaints(c))
        check_given_back(t, name, c)


def private_complaints(doc, told):
    """Each private heap against the program's own books of it."""
    out, want = [], [h for h in told["heaps"] if h["alive"]]
    if len(doc["private_heaps"]) != len(want):
        out.append(f"{len(doc['private_heaps'])} heaps, booked {len(want)}")
    for got, w in zip(sorted(doc["private_heaps"], key=lambda h: h["id"]), want):
        pairs = (("objects", "objects"), ("tiny_objects", "tiny"), ("large", "large"), ("large_bytes", "large_bytes"),
                 ("requested_ever", "ever"), ("allocs", "allocs"), ("frees", "frees"))
        out += [f"{got['name']}: {a} {got[a]}, booked {w[b]}" for a, b in pairs if got[a] != w[b]]
        if got["counted"] != got["bytes"]:
            out.append(f"{got['name']}: its counter says {got['counted']}, its spans {got['bytes']}")
        if got["live_bytes"] + got["free_bytes"] + got["tail_bytes"] != got["bytes"]:
            out.append(f"{got['name']}: live, free and tails are not its pages")
        if got["large"] == 0 and not got["requested"] <= got["live_bytes"]:
            out.append(f"{got['name']}: requested {got['requested']}")
    asked = sum(w["asked"] for w in want)
    if not doc["bridge"]["requested_min"] <= asked + doc["bridge"]["requested_max"] - sum(
            h["live_bytes"] for h in doc["private_heaps"]):
        out.append("asked for is outside of the bounds")
    return out


def check_private(t):
    with Program(program="private", wrapper=False) as p:
        told = json.loads(p.proc.stdout.readline())
        a = heap(told["pid"])
        t.check("private heaps agree with the program's books", private_complaints(a, told) + exact_complaints(a))
        names = [(h["name"], h["single"]) for h in sorted(a["private_heaps"], key=lambda h: h["id"])]
        want = [(name, name == "parser") for name in PRIVATE_NAMES]
        t.check("by their names", [] if names == want else [str(names)])
        sizes = [h["bytes"] for h in a["private_heaps"]]
        t.check("largest first", [] if sizes == sorted(sizes, reverse=True) else [str(sizes)])
        t.check("the bridge sums, books, mappings and explain agree", bridge_complaints(a) + reconcile_complaints(a))
        told = p.ask("more")
        b = heap(told["pid"])
        t.check("and after more of it", private_complaints(b, told) + exact_complaints(b) + bridge_complaints(b) +
                reconcile_complaints(b))
        told = p.ask("destroy")
        c = heap(told["pid"])
        t.check("destroyed ones are gone, with all their pages", private_complaints(c, told) + exact_complaints(c) +
                bridge_complaints(c) + reconcile_complaints(c))
        code, text, _ = memwhy("heap", "--width=80", told["pid"])
        t.check("the screen names them", [] if code == 0 and "PRIVATE HEAPS" in text and "requests" in text and
                max(map(len, text.splitlines())) <= 80 else [text])
        told = p.ask("big")
        d = heap(told["pid"])
        kept = d["blocks"]["kept"]
        t.check("freed huge mappings that are kept are accounted to the byte", bridge_complaints(d) + reconcile_complaints(d, False) +
                ([] if kept["count"] >= 3 and kept["bytes"] >= 12 << 20 else [str(kept)]))


def check_private_hard(t):
    """With audit, guard pages and random places each object's request is known, and the sums are what they are."""
    for options in ("audit=1", "hard=1", "guard=1,sample=4k"):
        with Program(program="private", wrapper=False, malloc=f",{options}") as p:
            told = json.loads(p.proc.stdout.readline())
            out = []
            for what in ("", "more", "destroy"):
                told = p.ask(what) if what else told
                d = heap(told["pid"])
                out += bridge_complaints(d) + reconcile_complaints(d, False)
                got = {h["name"]: h for h in d["private_heaps"]}
                for name, w in zip(PRIVATE_NAMES, told["heaps"]):
                    if w["alive"] and got[name]["objects"] != w["objects"]:
                        out.append(f"{what} {name}: {got[name]['objects']} objects, not {w['objects']}")
                    if w["alive"] and "guard" not in options and got[name]["requested"] != w["asked"]:
                        out.append(f"{what} {name}: {got[name]['requested']} requested, not {w['asked']}")
            t.check(f"private heaps with {options}", out)


def check_private_sites(t):
    """Every block of more than a few bytes is sampled, so the sites of a heap tell what was asked for in it."""
    with Program(program="private", wrapper=False, malloc=",sample=1") as p:
        told = json.loads(p.proc.stdout.readline())
        for what in ("", "more", "destroy"):
            told = p.ask(what) if what else told
            d = heap(told["pid"])
            ids = {h["id"]: h["name"] for h in d["private_heaps"]}
            out = [f"not private: {s}" for s in d["sites"] if s["heap"] and not s["private"]]
            for i, w in enumerate(told["heaps"]):
                name = PRIVATE_NAMES[i]
                sites = [s for s in d["sites"] if s["private"] and s["heap"] == name]
                got, count = sum(s["live_bytes"] for s in sites), sum(s["live"] for s in sites)
                # a block of n bytes is missed with probability exp(-n), else it stands for more: the variance of
                # its bytes is below 0.7 for any n, so 1000 is 30 standard deviations; each sample is rounded once
                slack = w["objects"] + 1000 if w["alive"] else 0
                if abs(got - (w["asked"] if w["alive"] else 0)) > slack or (not w["alive"] and count):
                    out.append(f"{name}: {got} bytes in {count}, asked for {w['asked']}, alive {w['alive']}, {len(ids)} heaps")
                if w["alive"] and "main" not in [f["function"] for s in sites for f in s["frames"]]:
                    out.append(f"{name}: no stack")
            t.check(f"private heaps are sampled, and the sites agree with the books{what and ', ' + what}", out)
        code, text, _ = memwhy("heap", told["pid"])
        folded = memwhy("heap", "--folded", "-", told["pid"])[1]
        t.check("the screen and folded stacks tell the heap of a site",
                [] if code == 0 and ', private heap "requests"' in " ".join(text.split()) and "[private heap requests];" in folded
                else [text, folded])


def check_work(t):
    with Program("--errors=count") as p:
        pid = p.ask("g")["pid"]
        p.ask("w")
        a = heap(pid)
        p.ask("r")
        b = heap(pid)
        delta = {k: b["counters"][k] - a["counters"][k] for k in ("faults_saved", "calls_saved", "large_reused")}
        # 8 pages of 8 KiB each time, or the next two lengths that were kept; a call to map and one to unmap
        want = [{"faults_saved": 101 * 2 * n, "calls_saved": 202, "large_reused": 101} for n in (8, 9, 10)]
        t.check("a block that comes and goes 101 times saves as many faults and calls", [] if delta in want else [str(delta)])
        p.ask("e")
        c = heap(pid)
        wrong = {k: v for k, v in c["counters"]["errors"].items() if v}
        t.check("errors of the program are counted by kind", [] if wrong == {
            "double_free": 1, "foreign_free": 2, "interior_free": 1} and c["counters"]["program_errors"] == 4 else [str(wrong)])
        out = []
        for k in c["classes"]:
            if k["spans_made"] - k["spans_freed"] != k["spans"] or not k["spans"] <= k["spans_peak"] <= k["spans_made"]:
                out.append(f"spans of {k}")
            if not k["fetches"] <= k["fetched"] or not k["flushes"] <= k["flushed"] or not k["transfers"] <= k["fetches"]:
                out.append(f"batches of {k}")
        sums = c["counters"]
        out += [f"sum of {a} is not {sums[b]}" for a, b in (("fetches", "fetches"), ("flushes", "flushes"), ("transfers", "transfers"), (
            "spans_made", "spans_made"), ("spans_freed", "spans_freed"), ("lock_waits", "class_lock_waits"))
                if sum(k[a] for k in c["classes"]) != sums[b]]
        if sums["refills"] != sum(k["refills"] for k in c["threads"]) or sums["peak"] < sums["in_use"] + sums["huge"]:
            out.append(f"{sums}")
        t.check("counters of classes, threads and the heap fit together", out)
        numbers = [e["number"] for e in c["events"]]
        times = [e["time_ms"] for e in c["events"]]
        t.check("the ring of events, oldest first, up to the last", [] if numbers == list(range(numbers[0], sums["events"] + 1)) and
                len(numbers) == min(1024, sums["events"]) and times == sorted(times) and all(e["kind"] for e in c["events"]) else [
                    str(c["events"][:3]), str(sums["events"])])
        code, text, _ = memwhy("heap", "--width=80", pid)
        words = ("WHAT IT HAS DONE", "high-water mark", "saved by reuse", "lock waits", "2 x free of a foreign pointer", "WHAT HAPPENED LAST")
        t.check("the screen tells all of it", [w for w in words if w not in text] if code == 0 else [text])


def check_given_back(t, name, doc):
    back = next(r for r in doc["reconciliation"] if r["owner"] == "memwhy-malloc-given-back")
    out = []
    if back["mapped"] < 1 << 20 or back["resident"]:
        out.append(f"given back: {back}")
    code, text, err = memwhy("explain", "--json", doc["pid"])
    causes = {c["owner"]: c for c in json.loads(text)["causes"]} if code == 0 else err
    for owner, word in (("memwhy-malloc-given-back", "given back"), ("memwhy-malloc-fresh", "never touched")):
        if word not in causes.get(owner, {}).get("label", ""):
            out.append(f"{owner}: {causes.get(owner)}")
    t.check(f"{name}: explain tells given back from never touched", out)


def check_never_touched(t):
    with Program() as p:
        pid = p.ask("b")["pid"]
        rows = {r["owner"]: r for r in heap(pid)["reconciliation"]}
        back, fresh = rows["memwhy-malloc-given-back"], rows["memwhy-malloc-fresh"]
        t.check("what was never touched is not called given back, though it lies below what was",
                [] if back["mapped"] == 2 << 20 and not back["resident"] and fresh["mapped"] and not fresh["resident"] else [
                    str(back), str(fresh)])


def check_untouched(t):
    """Five spans of 8 objects are full, the sixth has one, and the seventh waits beside it."""
    with Program("--audit") as p:
        pid = p.ask("n")["pid"]
        d = heap(pid)
        c = next(c for c in d["classes"] if c["size"] == 1024)
        t.check("a span that waits untouched holds nothing, and is no reason to know less",
                [] if c["live"] == 41 and c["spans"] == 7 and d["bridge"]["requested_exact"] else [str(c), str(d["bridge"])])


def check_running(t):
    with Program() as p:
        held = p.ask("g")
        want = by_class(heap(held["pid"]), held["live"])
        p.ask("s")
        out, exact = [], 0
        for _ in range(10):
            d = heap(held["pid"])
            exact += d["heap"]["exact"]
            out += bridge_complaints(d)
            slack = max(d["heap"]["in_flight_objects"], 4 * 64) + 200
            out += [f"class {c['class']}: {c['live']}, booked {want.get(c['class'], 0)}" for c in d["classes"]
                    if abs(c["live"] - want.get(c["class"], 0)) > slack]
        t.check("running: the bridge sums, each class is within what is in flight", out)
        t.note(f"{exact} of 10 were exact")
        d = heap(held["pid"], "--freeze")
        t.check("running, frozen: the bridge sums", bridge_complaints(d))


def check_sites(t):
    exe = f"{BUILD}/tests/heap/sites"
    if not os.path.exists(exe):
        t.skip("sites: C++ names", "no C++ compiler")
        return
    with Program("--sample=16k", program="sites") as p:
        os.read(p.proc.stdout.fileno(), 10)
        d = heap(p.proc.pid)
        top = d["sites"][0]
        names = [f["function"] for f in top["frames"]]
        out = [] if "garden::Tree::grow(unsigned int)" in names and "main" in names else [str(names)]
        if not 16e6 < top["live_bytes"] < 24e6:
            out.append(f"estimate {top['live_bytes']} of 20000000")
        code, text, _ = memwhy("heap", p.proc.pid)
        if code or "garden::Tree::grow(unsigned int)+0x" not in text:
            out.append("text lacks the name")
        t.check("sites: the place that allocates, by its C++ name, and how much", out)


def check_refusals(t):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdin.write(b"x\n")
        other.stdin.flush()
        other.stdout.readline()  # what it runs, it runs
        code, out, err = memwhy("heap", other.pid)
        other.kill()
    t.check("another allocator is named, exit status 3",
            [] if code == 3 and not out and "glibc malloc" in err and "hint:" in err else [str((code, out, err))])


def strip(doc):
    """Without what differs between two moments."""
    doc["target"] = doc["target"]["name"]
    for s in doc["sites"]:
        for f in s["frames"]:
            del f["lines"]
    return doc


def check_sums(t, path):
    """One number is changed that others in the file add up to."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    for what, key, column in (("an object out of spans", "heap_classes", 6), ("a live object", "heap_classes", 10),
                              ("an object in a span", "heap_spans", 5), ("a page of a free run", "heap_free", 1),
                              ("a page that is free and kept", "heap_arenas", 3)):
        rows = ((i, doc, row) for i, line in enumerate(lines) if line.startswith('{"%s"' % key)
                for doc in (json.loads(line),) for row in doc[key])
        # of spans one whose objects are of malloc's classes
        at, doc, row = next(x for x in rows if x[2][column] and (key != "heap_spans" or x[2][2] == 0))
        row[column] -= 1
        with open(f"{path}.bad", "w", encoding="utf-8") as f:
            f.write("\n".join(lines[:at] + [json.dumps(doc, separators=(",", ":"))] + lines[at + 1:]) + "\n")
        code, out, err = memwhy("heap", f"{path}.bad")
        t.check(f"{what} less contradicts the rest of a saved snapshot, exit status 3",
                [] if code == 3 and not out and "its books contradict themselves" in err else [str((code, out[:200], err))])


def check_saved(t):
    path = f"{BUILD}/tests/heap/saved.snap"
    for name, options, kw in (("books", ("--sample=16k",), {}), ("private", (), {"program": "private", "wrapper": False})):
        with Program(*options, **kw) as p:
            pid = p.ask("g")["pid"] if name == "books" else json.loads(p.proc.stdout.readline())["pid"]
            memwhy("record", "-o", path, pid)
            live, saved = strip(heap(pid)), strip(heap(path))
            t.check(f"{name}: a saved snapshot tells the same as the process",
                    [f"{k}: {str(live[k])[:200]} is not {str(saved[k])[:200]}" for k in live if live[k] != saved[k]])
            texts = [memwhy("heap", "--all", "--lines=always", x)[1].split("Its books")[1] for x in (pid, path)]
            t.check(f"{name}: on the screen too", [] if texts[0] == texts[1] and "WHERE" in texts[0] else [texts[1][:500]])
            code, text, _ = memwhy("heap", "--folded", "-", path)
            t.check(f"{name}: and exports", [] if code == 0 and (text or name == "private") else [str(code)])
            if name == "books":
                check_sums(t, path)
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    rng, out = random.Random(3), []
    heap_lines = [i for i, line in enumerate(lines) if line.startswith('{"heap')]
    for i in range(80):
        spoiled = list(lines)
        at = rng.choice(heap_lines)
        numbers = list(re.finditer(r"(?<=[,\[:])\d+", spoiled[at]))
        m = rng.choice(numbers)
        spoiled[at] = spoiled[at][:m.start()] + str(rng.choice((0, 1, 255, 65535, 2**32 - 2, 2**53, 2**63, 7))) + spoiled[at][m.end():]
        with open(f"{path}.bad", "w", encoding="utf-8") as f:
            f.write("\n".join(spoiled) + "\n")
        code, _, err = memwhy(*(("heap",) if i % 4 else ("heap", "--pprof", "/dev/null")), f"{path}.bad")
        if code not in (0, 3) or (code == 3 and not err.startswith("memwhy: ")):
            out.append(f"{at} {m}: {code} {err}")
        elif code == 0:
            out += [f"{at} {m}: {why}" for why in bridge_complaints(heap(f"{path}.bad"))]
    t.check("a spoiled one is an answer whose bridge sums, or an error, 80 times", out)
    shorter = []  # as before the newest members were saved
    for line in lines[:-1]:
        first = {'{"heap_classes"': 18, '{"heap_sites"': 6}.get(line.split(":")[0])
        if first:
            doc = json.loads(line)
            line = json.dumps({k: [row[:first] for row in v] for k, v in doc.items()}, separators=(",", ":"))
        if not line.startswith('{"heap_events"'):
            shorter.append(re.sub(r'"(faults_saved|errors\[\d\])":\d+,', "", line))
    with open(f"{path}.before", "w", encoding="utf-8") as f:
        f.write("\n".join(shorter + ['{"end":{"records":%d}}' % (len(shorter) - 1)]) + "\n")
    code, out, err = memwhy("heap", "--json", f"{path}.before")
    doc = json.loads(out) if code == 0 else {}
    t.check("one of an older version is told, with nulls", [] if code == 0 and doc["counters"]["faults_saved"] is None and
            doc["classes"][0]["fetches"] is None and not doc["events"] and memwhy("heap", f"{path}.before")[0] == 0 else [err])
    with open(f"{path}.old", "w", encoding="utf-8") as f:
        kept = [line for line in lines[:-1] if not line.startswith('{"heap')]
        f.write("\n".join(kept + ['{"end":{"records":%d}}' % (len(kept) - 1)]) + "\n")
    code, out, err = memwhy("heap", f"{path}.old")
    t.check("one without the inside is refused, exit status 3",
            [] if code == 3 and not out and "saved snapshot" in err else [str((code, out, err))])
    a = json.loads(memwhy("explain", "--json", f"{path}.old")[1])
    t.check("but explain names the owners in it",
            [] if any(o["owner"] == "memwhy-malloc-spans" for o in a["objects"]) else ["no owner"])


def class_sum_complaints(pid):
    classes = heap(pid)["classes"]
    _, text, _ = memwhy("heap", "-b", pid)
    table = text.partition("SIZE CLASSES\n")[2].partition("\n\n")[0].splitlines()
    rows = {line.split()[0]: line for line in table[1:]}
    waste = table[0].index("WASTE")
    row = rows["sum"][:waste] + "-".rjust(5) + rows["sum"][waste + 5:]  # it has neither size nor waste
    got = dict(zip(table[0].split(), row.replace("sum", "sum -", 1).split()))
    want = {"SPANS": "spans", "LIVE": "live", "CACHED": "cached", "FREE": "free", "MALLOCS": "mallocs"}
    return [f"{k}: {got.get(k)}, not {sum(c[v] for c in classes)}" for k, v in want.items()
            if got.get(k) != str(sum(c[v] for c in classes))]


MANY = """
import sys, threading
gate = threading.Barrier(21)
def work(i):
    x = [bytearray(1000 * k) for k in range(1, i * 5)]
    del x
    gate.wait()
    threading.Event().wait()
for i in range(20):
    threading.Thread(target=work, args=(i,), daemon=True).start()
gate.wait()
print("ready", flush=True)
sys.stdin.read()
"""


def check_threads(t):
    env = dict(os.environ, MEMWHY_MALLOC="background=off", PYTHONMALLOC="malloc")
    with subprocess.Popen([MEMWHY, "run", sys.executable, "-c", MANY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as p:
        ready = p.stdout.read(6)
        for _ in range(50):  # they come to rest behind the barrier
            docs = [heap(p.pid)["threads"]]
            _, text, _ = memwhy("heap", "-b", p.pid)
            docs.append(heap(p.pid)["threads"])
            if docs[0] == docs[1]:
                break
            time.sleep(0.1)
        kept = [(k["cached_bytes"], k["run_bytes"]) for k in docs[0]]
        said = re.search(r"and (\d+) more, with (\d+) B in objects and (\d+) B in runs", text)
        want = [len(kept) - 16, sum(k[0] for k in kept[16:]), sum(k[1] for k in kept[16:])]
        t.check("of many threads those that keep most are shown, and what the others keep", [] if ready == b"ready\n" and
                len(kept) > 16 and kept == sorted(kept, key=lambda k: -sum(k)) and said and list(map(int, said.groups())) == want
                else [f"{kept} {said} {want}"])
        p.kill()


def check_screens(t):
    with Program() as p:
        pid = p.ask("g")["pid"]
        out = []
        for args in ((), ("--all",), ("--picture",), ("--picture=class",), ("--width=80",)):
            code, text, err = memwhy("heap", *args, pid)
            if code or err or "VSZ: all mappings" not in text:
                out.append(f"{args}: {code} {err}")
            if args == ("--width=80",):
                out += [f"above 80 columns: {line}" for line in text.splitlines() if len(line) > 80]
        code, _, err = memwhy("heap", "--picture=x", pid)
        if code != 2 or "none of" not in err:
            out.append(f"--picture=x: {code} {err}")
        t.check("every screen prints", out)
        _, text, _ = memwhy("heap", "--picture=class", pid)
        legend = text.partition("A character is")[2].partition("\n\n")[0]
        marks = re.search(r"0123456789[A-Za-z!$%&*+]+", legend)
        others = re.findall(r"(?:^|   )(\S) [a-z]", legend, re.MULTILINE)
        t.check("no mark in the picture of size classes stands for two things", [] if marks and len(marks.group()) == 68 and
                len(others) == len(set(others)) == 9 and not set(others) & set(marks.group()) else [f"{others} {legend}"])
        t.check("the sums of the size classes are those of all classes", class_sum_complaints(pid))


def check_linked_stacks(t):
    """The archive's functions are the program's neighbours, and not part of a stack all the same."""
    with Program(program="books-linked", wrapper=False) as p:
        p.ask("grow\n")
        sites = heap(p.proc.pid, "--lines=never")["sites"]
        callers = {s["frames"][0]["function"] for s in sites if s["frames"]} - {None}  # libc's may have no names
        t.check("linked in: stacks begin with who called malloc or realloc", [] if callers and
                not any(f.startswith(("mw__", "allocate_", "malloc", "realloc")) for f in callers) else [str(callers)])


def main():
    t = Tap()
    os.environ["MEMWHY_MALLOC"] = "background=off"  # free memory stays where it is between two looks
    check_books(t, "preloaded")
    check_books(t, "audit", "--audit", audit=True)
    check_books(t, "hard", "--hard", audit=True)
    if os.path.exists(f"{BUILD}/tests/heap/books-linked"):
        check_books(t, "linked in", program="books-linked", wrapper=False)
        check_linked_stacks(t)
    else:
        t.skip("linked in", "could not be built")
    check_private(t)
    check_private_hard(t)
    check_private_sites(t)
    check_work(t)
    check_never_touched(t)
    check_untouched(t)
    check_running(t)
    check_sites(t)
    check_refusals(t)
    check_saved(t)
    check_screens(t)
    check_threads(t)
    return t.end()


if __name__ == "__main__":
    sys.exit(main())
