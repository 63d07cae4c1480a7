# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what memwhy says with claims, with the kernel, and with itself."""

import copy

import reading
from targets import SEES_ALL, Answer

PAGE = reading.PAGE
TOO_VAST = 1 << 40      # a pagemap that would take seconds to read
# Columns of a claim, by their names in `memwhy maps --json`.
COLUMNS = {"resident": "resident", "anonymous": "anonymous", "file": "file",
           "shmem": "shmem", "zero": "zero", "huge": "huge", "swap": "swap",
           "guard": "guard", "untouched": "not_present", "cached": "cached",
           "uncached": "uncached"}
# What only the file behind a mapping tells; N13 stands for all without rights.
BEHIND_A_FILE = ("N8", "N10", "N11", "N12", "N14", "N15")
OWNED = ("N9", "N16", "N17", "N18", "N19", "N20", "N21")


# --- comparing one region ------------------------------------------------------------

def fold(code):
    """"Returned to the OS" and "huge" are finer than the claims are."""
    return "R1" if code == "R1b" else code[:-1] if code.endswith("f") else code


def sum_causes(causes):
    total = {}
    for cause in causes:
        code = fold(cause["code"])
        total[code] = total.get(code, 0) + (cause["bytes"] or 0)
    return {code: size for code, size in total.items() if size}


def without_rights(expected, got):
    """Where memwhy says "unknown" for want of rights, do not ask for more."""
    expected = dict(expected)
    if "R1a" in expected and "R1a" not in got:
        expected["R1"] = expected.get("R1", 0) + expected.pop("R1a")
    if "N13" in got and "N?" not in expected:
        size = sum(expected.pop(code, 0) for code in (*BEHIND_A_FILE, "N11|N12", "N1"))
        got = dict(got)
        got["N13"] += sum(got.pop(code, 0) for code in (*BEHIND_A_FILE, "N1"))
        expected["N13"] = expected.get("N13", 0) + size
    return expected, got


def compare_causes(expected, got):
    """Keys may be "N4", "N19|N21" (either or both) or "N?" (any that is left)."""
    got, complaints = dict(got), []
    for key, size in sorted(expected.items(), key=lambda item: (item[0] == "N?", len(item[0]))):
        if key == "N?":
            codes = [code for code in got if code.startswith("N")]
        else:
            codes = key.split("|")
        found = sum(got.pop(code, 0) for code in codes)
        if found != size:
            complaints.append(f"cause {key}: expected {size}, got {found}")
    complaints += [f"cause {code}: expected 0, got {size}" for code, size in got.items()]
    return complaints


def span(region):
    return int(region["start"], 16), int(region["end"], 16)


def pieces(region, rows):
    """Causes of a region that is not one mapping: whole rows, else extents."""
    start, end = span(region)
    found, complaints = [], []
    for row in rows:
        low, high = span(row)
        if high <= start or end <= low:
            continue
        if start <= low and high <= end:
            found += row["causes"]
            continue
        for extent in row["extents"]:
            low, high = span(extent)
            if start <= low and high <= end:
                found += extent["causes"]
            elif low < end and start < high:
                complaints.append(f"extent {extent['start']}-{extent['end']} "
                                  f"({extent['owner']}) crosses the region's edge")
    return found, complaints


def compare_columns(expected, row):
    return [f"{ours}: expected {expected[ours]}, got {row.get(theirs)}"
            for ours, theirs in COLUMNS.items()
            if ours in expected and expected[ours] != row.get(theirs)
            and not (ours in ("cached", "uncached") and not SEES_ALL and row.get(theirs) is None)]


def compare_labels(region, causes, row):
    complaints = []
    owners = {c["owner"] for c in causes if fold(c["code"]) in OWNED and c["bytes"]}
    if "owner" in region and owners - {region["owner"]}:
        complaints.append(f"owner: expected {region['owner']}, got {', '.join(sorted(owners))}")
    if row is None:
        return complaints
    if "object" in region and (row.get("object") or "").removesuffix(" (deleted)") \
            != region["object"]:
        complaints.append(f"object: expected {region['object']}, got {row.get('object')}")
    if "section" in region and region["section"] not in (row.get("sections") or "").split():
        complaints.append(f"sections: expected {region['section']}, got {row.get('sections')}")
    if "tid" in region and str(region["tid"]) not in details(row):
        complaints.append(f"tid: expected {region['tid']}, got {details(row)}")
    return complaints


def details(row):
    return " ".join(str(e.get("owner_detail")) for e in (row, *row.get("extents", ())))


def compare_region(region, rows, privileged=SEES_ALL):
    """All that memwhy got wrong about one region."""
    expected, row = region["expect"], None
    complaints = []
    if region.get("alone", True):
        row = next((r for r in rows if span(r) == span(region)), None)
        if row is None:
            return [f"no mapping {region['start']}-{region['end']} in the answer"]
        causes = row["causes"]
        complaints += compare_columns(expected, row)
        if sum_causes(causes) != sum_causes(c for e in row["extents"] for c in e["causes"]):
            complaints.append("the extents' causes differ from their mapping's")
    else:
        causes, complaints = pieces(region, rows)
    wanted, got = expected["causes"], sum_causes(causes)
    if not privileged:
        wanted, got = without_rights(wanted, got)
    return complaints + compare_causes(wanted, got) + compare_labels(region, causes, row)


# --- comparing whole processes ------------------------------------------------------------

def compare_rows(pid, rows):
    """Every mapping against smaps."""
    complaints = []
    kernel = {(m.start, m.end): m for m in reading.smaps(pid)}
    listed = {span(r): r for r in rows if r.get("name") != "[vsyscall]"}
    for edge in set(kernel) ^ set(listed):
        complaints.append(f"{edge[0]:x}-{edge[1]:x} is only in "
                          f"{'smaps' if edge in kernel else 'the answer'}")
    for edge in sorted(set(kernel) & set(listed)):
        complaints += compare_row(kernel[edge], listed[edge])
    return complaints


def compare_row(m, row):
    shared = m.field["Rss"] - m.field["Anonymous"]
    pairs = (("perm", m.perm), ("offset", m.offset), ("device", m.device), ("inode", m.inode),
             ("size", m.size), ("resident", m.field["Rss"]), ("anonymous", m.field["Anonymous"]))
    bad = [f"{m.start:x} {m.name}: {key}: smaps {value}, got {row.get(key)}"
           for key, value in pairs if row.get(key) not in (value, as_hex(value))]
    if (row.get("file") or 0) + (row.get("shmem") or 0) != shared:
        bad.append(f"{m.start:x} {m.name}: file + shmem: smaps {shared}, "
                   f"got {row.get('file')} + {row.get('shmem')}")
    if sum(c["bytes"] for c in row["causes"]) != m.size:
        bad.append(f"{m.start:x} {m.name}: causes add up to "
                   f"{sum(c['bytes'] for c in row['causes'])} of {m.size}")
    return bad


def as_hex(value):
    """Offsets may be written as addresses are."""
    return hex(value) if isinstance(value, int) else value


def differ(what, *pairs):
    """Complains unless all of (road, bytes) agree."""
    if len({size for _, size in pairs}) == 1:
        return []
    return [what + ": " + ", ".join(f"{road} {size}" for road, size in pairs)]


def account(doc):
    """Every line of an explain document: what makes the gap, and what makes RSS."""
    return doc["causes"] + doc["resident"]


def split_causes(doc):
    """(Σ all, Σ resident, Σ swapped) of an explain document."""
    total = sum_causes(account(doc))
    resident = sum(size for code, size in total.items() if code.startswith("R"))
    return sum(total.values()), resident, total.get("N7", 0) + total.get("N8", 0)


def compare_halves(doc):
    """The gap and RSS are lists of their own; scripts add them up without codes."""
    complaints = []
    for key, sign, want in (("causes", "N", doc["vsz"] - doc["rss"]),
                            ("resident", "R", doc["rss"])):
        total = sum(line["bytes"] for line in doc[key])
        strange = [line["code"] for line in doc[key] if line["code"][0] != sign]
        complaints += [f"{code} is listed under {key}" for code in strange]
        if total != want:
            complaints.append(f"{key} add up to {total}, expected {want}")
    return complaints


def compare_totals(pid, doc):
    """One explain document against status, maps and smaps."""
    kernel, mappings = reading.status(pid), reading.smaps(pid)
    every, resident, swapped = split_causes(doc)
    complaints = [f"{key}: expected {want}, got {doc.get(key)}" for key, want in
                  (("state", "exact"), ("residual", 0), *([("rss_residual", 0)] if reading.status_is_exact() else []))
                  if doc.get(key) != want]
    complaints += differ("VSZ", ("causes", every), ("vsz", doc["vsz"]),
                         ("VmSize", kernel["VmSize"]), ("maps", reading.maps_total(pid)),
                         ("smaps", sum(m.size for m in mappings)))
    complaints += differ("RSS", ("causes", resident), ("rss", doc["rss"]),
                         *([("VmRSS", kernel["VmRSS"])] if reading.status_is_exact() else []),
                         ("smaps", sum(m.field["Rss"] for m in mappings)))
    complaints += differ("swap", ("causes", swapped),
                         ("smaps", sum(m.field["Swap"] for m in mappings)))
    return complaints + compare_halves(doc) + compare_kinds(doc, kernel) + compare_roads(doc)


def compare_kinds(doc, kernel):
    """Anonymous and other RSS. The kernel counts memfd_secret as a file: no finer."""
    if not reading.status_is_exact():
        return []
    total = sum_causes(account(doc))
    return differ("anonymous RSS", ("causes", total.get("R1", 0) + total.get("R1a", 0)),
                  ("RssAnon", kernel["RssAnon"])) + \
        differ("file and shared RSS", ("causes", total.get("R2", 0) + total.get("R3", 0)),
               ("RssFile + RssShmem", kernel["RssFile"] + kernel["RssShmem"]))


def compare_roads(doc):
    """Every road of --verify, but for counters that the kernel does not sum."""
    complaints = []
    record = {"vsz": doc["vsz"], "rss": doc["rss"]}
    for road in doc.get("verify") or []:
        name, size = road["road"], road["bytes"]
        if size is None or any(word in name for word in ("libproc2", "procps", "/stat", "PIDS_")):
            continue
        if "lags" in (road["remark"] or "") and not reading.status_is_exact():
            continue
        if road["quantity"] in record and size != record[road["quantity"]]:
            complaints.append(f"road {name} to {road['quantity']}: {size}, "
                              f"of record {record[road['quantity']]}")
        if road["difference"]:
            complaints.append(f"road {name} to {road['quantity']}: "
                              f"difference {road['difference']}")
    if not doc.get("verify"):
        complaints.append("--verify shows no road")
    return complaints


def coarse(causes, groups):
    total = {}
    for code, size in causes.items():
        code = next((name for name, codes in groups.items() if code in codes), code)
        total[code] = total.get(code, 0) + size
    return {code: size for code, size in total.items() if size}


OWNERS = {"anon": ("N16", "N17", "N18", "N19", "N20", "N21"), "other": ("N1", "N13")}
# The page cache of common files changes while one looks.
CACHE = dict(OWNERS, file=("N11", "N12"))
EVERYONE = dict(CACHE, R1=("R1a",), file=("N10", "N11", "N12"), shm=("N8", "N14", "N15"))


def compare_accounts(pid, doc, groups=None):
    """memwhy's causes against causes worked out here from smaps and pagemap."""
    ours = coarse(reading.Account(pid).run(), groups or CACHE)
    theirs = coarse(sum_causes(account(doc)), groups or CACHE)
    return [f"{code}: worked out {ours.get(code, 0)}, got {theirs.get(code, 0)}"
            for code in sorted(set(ours) | set(theirs))
            if ours.get(code, 0) != theirs.get(code, 0)]


def compare_plain(pid, verified):
    """What --verify reads beyond must not change an answer, but for MADV_FREE."""
    plain = Answer(["explain", "--json", str(pid)])
    if plain.complaints():
        return plain.complaints()
    complaints = [f"{key}: expected {verified[key]}, got {plain.doc.get(key)}"
                  for key in ("state", "vsz", "rss", "residual", "rss_residual")
                  if plain.doc.get(key) != verified[key]]
    lazy = {"R1": ("R1a",), "file": ("N11", "N12")}
    return complaints + compare_causes(coarse(sum_causes(account(verified)), lazy),
                                       coarse(sum_causes(account(plain.doc)), lazy))


def rows_against_causes(rows, doc):
    cache = {"file": ("N11", "N12")}
    from_rows = coarse(sum_causes(c for row in rows for c in row["causes"]), cache)
    return [f"{code}: maps {from_rows.get(code, 0)}, explain {size}"
            for code, size in coarse(sum_causes(account(doc)), cache).items()
            if from_rows.get(code, 0) != size]


# --- claims against the kernel alone ---------------------------------------------------

def compare_with_kernel(region, pid, mappings=None):
    """The claim against this checker's own reading, memwhy left out."""
    expected = region["expect"]
    start, end = span(region)
    if sum(expected["causes"].values()) != end - start:
        return ["the causes do not add up to the region"]
    if set(expected) == {"causes"}:
        return []
    if end - start >= TOO_VAST:
        return []
    seen = reading.count(pid, start, end)
    found = {"guard": seen["guard"]}
    complaints = []
    if region.get("alone", True):
        m = next((m for m in mappings or reading.smaps(pid) if (m.start, m.end) == (start, end)),
                 None)
        if m is None:
            return ["not a mapping of its own"]
        found.update(resident=m.field["Rss"], anonymous=m.field["Anonymous"],
                     swap=m.field["Swap"], lazyfree=m.field.get("LazyFree", 0), huge=m.huge(),
                     hugetlb=m.hugetlb(), zero=seen["present"] - m.field["Rss"] - m.hugetlb())
        found["untouched"] = end - start - found["resident"] - found["zero"] \
            - found["hugetlb"] - seen["swap"] - seen["guard"]
        if "file" in expected:
            found["file+shmem"] = m.field["Rss"] - m.field["Anonymous"]
            expected = dict(expected, **{"file+shmem": expected["file"] + expected["shmem"]})
        if "locked" in expected and m.field["Locked"] != expected["locked"]:
            complaints.append(f"locked: expected {expected['locked']}, smaps {m.field['Locked']}")
        complaints += account_region(pid, m, region)
    else:
        found["resident"] = seen["present"] - expected.get("zero", 0)
    return complaints + [f"{key}: claimed {expected[key]}, found {size}"
                         for key, size in found.items() if expected.get(key, size) != size]


def account_region(pid, mapping, region):
    """The claimed causes against an account of this one mapping."""
    if mapping.inode and mapping.name != "/dev/zero" and not SEES_ALL:
        return []
    account = reading.Account(pid)
    account.one(mapping)
    return compare_causes(alternatives(region["expect"]["causes"]),
                          coarse(account.causes, OWNERS))


def alternatives(expected):
    """Owners are not told apart by an account; neither are rests."""
    out = {}
    for key, size in expected.items():
        codes = ["anon" if c in OWNERS["anon"] else "other" if c in ("N1", "N?") else c
                 for c in key.split("|")]
        key = "|".join(dict.fromkeys(codes))
        out[key] = out.get(key, 0) + size
    return out


# --- corrupted claims -----------------------------------------------------------------

def corruptions(region):
    """The same claim with one thing wrong, several times."""
    expected = region["expect"]
    for key in ("resident", "anonymous", "zero", "guard", "swap", "untouched"):
        if key in expected:
            wrong = copy.deepcopy(region)
            wrong["expect"][key] += PAGE
            yield wrong
    for key in expected["causes"]:
        wrong = copy.deepcopy(region)
        wrong["expect"]["causes"][key] -= PAGE
        wrong["expect"]["causes"]["N13" if key != "N13" else "N12"] = PAGE
        yield wrong


def unnoticed(regions, compare):
    """Names of regions with a wrong claim that @compare did not notice."""
    return [f"a wrong claim about {region['region']} passed"
            for region in regions for wrong in corruptions(region) if not compare(wrong)]
