#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy top against /proc, against two processes that share known pages."""

import os
import pwd
import re
import shutil
import struct
import subprocess
import sys
import tempfile

import target
from target import BUILD, MEMWHY, READY, Tap, memwhy, running

PROGRAMS = os.path.join(BUILD, "tests/pages")
MIB = 1 << 20


def proc_values(path, keys):
    with open(path) as file:
        rows = dict(line.split(":", 1) for line in file if ":" in line)
    return [int(rows[k].split()[0]) * 1024 for k in keys]


def check_rows(tap, pids):
    doc = memwhy("top", "--json")
    rows, wrong = {r["pid"]: r for r in doc["processes"]}, []
    for pid in pids:
        vsz, swap, tables = proc_values(f"/proc/{pid}/status", ("VmSize", "VmSwap", "VmPTE"))
        rss, pss, clean, dirty = proc_values(f"/proc/{pid}/smaps_rollup", ("Rss", "Pss", "Private_Clean", "Private_Dirty"))
        want = {"vsz": vsz, "rss": rss, "swap": swap, "page_tables": tables, "pss": pss, "uss": clean + dirty,
                "user": pwd.getpwuid(os.geteuid()).pw_name, "unread": None}
        row = rows.get(pid, {})
        if abs(row.get("pss", 0) - want.pop("pss")) > MIB // 4:
            wrong.append(f"{pid}: pss is {row.get('pss')}, must be about {pss}")  # others come and go
        wrong += [f"{pid}: {k} is {row.get(k)}, must be {v}" for k, v in want.items() if row.get(k) != v]
    tap.check("amounts are those of status and smaps_rollup", wrong)
    listed = [r["rss"] for r in doc["processes"]]
    tap.check("largest first", [] if listed == sorted(listed, reverse=True) else ["not in order"])
    tap.check("sums are those of the rows", [] if doc["sum"]["rss_sum"] == sum(listed) and
              doc["sum"]["pss"] == sum(r["pss"] or 0 for r in doc["processes"]) else [str(doc["sum"])])
    wrong = []
    for key in ("pss", "uss", "vsz", "swap", "tables"):
        name = "page_tables" if key == "tables" else key
        values = [r[name] or 0 for r in memwhy("top", "--json", f"--rank={key}")["processes"]]
        wrong += [] if values == sorted(values, reverse=True) else [key]
    tap.check("every rank is in order", wrong)
    return rows


def check_growing(tap):
    """Of a process that grows and shrinks all the time, RSS, PSS and USS are of one moment: each part of the one before."""
    code = "import ctypes,mmap,sys\nprint('{\"ready\":true}',flush=True)\nn=128<<20\nwhile True:\n m=mmap.mmap(-1,n)\n" \
           " ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(m)),1,n)\n"
    wrong, seen = [], set()
    with running([sys.executable, "-c", code], READY) as p:
        for args in ([], ["--by=command"]) * 15:
            doc = memwhy("top", "--json", *args)
            for r in doc["processes"] if not args else doc["groups"]:
                rss, pss, uss = r["rss" if not args else "rss_sum"], r["pss"], r["uss"]
                seen |= {rss} if r.get("pid") == p.pid else set()
                if pss is not None and not uss <= pss <= rss:
                    wrong.append(f"{r.get('pid') or r['group']}: rss {rss}, pss {pss}, uss {uss}")
        for _ in range(15):
            wrong += [f"screen: {pid}: {r}" for pid, r in screen().items() if "pss" in r and not r["uss"] <= r["pss"] <= r["rss"]]
    tap.check("of a process that grows, PSS is never above RSS", wrong if len(seen) > 1 else [f"it does not grow: {seen}"])


def frames_of(pid):
    """Numbers of the page frames behind RSS, from pagemap; without the zero page."""
    frames = set()
    with open("/proc/kpageflags", "rb", buffering=0) as flags:
        for start, end, _, _, name in target.mappings(pid):
            for _, entry in target.pagemap(pid, start, end) if name != "[vsyscall]" else ():
                pfn = entry & ((1 << 55) - 1)
                flags.seek(pfn * 8)
                if entry >> 63 and not struct.unpack("<Q", flags.read(8))[0] >> 24 & 1:
                    frames.add(pfn)
    return frames


def check_reason(tap, what, pid, word):
    """Of the large ones alone the mappings are read: the 16 with most memory, and not of those with a 32nd of all or less."""
    doc = memwhy("top", "--json")
    at = next((i for i, r in enumerate(doc["processes"]) if r["pid"] == pid), None)
    row = doc["processes"][at]
    if at >= 16 or row["rss"] <= doc["sum"]["rss_sum"] // 32:
        tap.skip(what, "others have much more memory")
    else:
        tap.check(what, [] if row["why"] == word else [row["why"]])


def check_most(tap):
    """A process whose heap (brk) is most of it by all means, and one that reads a large file."""
    code = "import ctypes,sys\nc=ctypes.CDLL(None)\nc.sbrk.restype=ctypes.c_void_p\np=c.sbrk(ctypes.c_long(400<<20))\n" \
           "ctypes.memset(ctypes.c_void_p(p),1,400<<20)\nprint('{\"ready\":true}',flush=True)\nsys.stdin.read()"
    with running([sys.executable, "-c", code], READY) as p:
        check_reason(tap, "a heap that is most of RSS is told", p.pid, "heap (brk)")
    path = os.path.join(PROGRAMS, "largest.bin")
    try:
        with open(path, "wb") as file:
            file.write(b"x" * (300 << 20))
    except OSError as error:
        tap.skip("so is a file", str(error))
        return
    code = f"import mmap,sys\nf=open({path!r},'rb')\nm=mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ)\nsum(m[::4096])\n" \
           "print('{\"ready\":true}',flush=True)\nsys.stdin.read()"
    with running([sys.executable, "-c", code], READY) as p:
        check_reason(tap, "so is a file", p.pid, "file largest.bin")
    os.unlink(path)


def check_hugetlb(tap):
    """A memfd of hugetlb pages has the name of any memfd; RSS does not count it, nor may its frames be counted once."""
    knob = "/proc/sys/vm/nr_hugepages"
    code = "import ctypes,mmap,os,sys\nf=os.memfd_create('x', os.MFD_HUGETLB)\nos.ftruncate(f, 4 << 20)\nm=mmap.mmap(f, 4 << 20)\nm[0]=m[2<<20]=1\n" \
           "ctypes.CDLL(None).prctl(15,b'mw-hugetlb')\nprint('{\"ready\":true}',flush=True)\nsys.stdin.read()"
    name = "frames of hugetlb pages are not counted"
    try:
        with open(knob, encoding="ascii") as file:
            before = int(file.read())
        with open(knob, "w", encoding="ascii") as file:
            file.write(str(before + 2))
    except OSError as error:
        tap.skip(name, f"hugetlb pages: {error}")
        return
    try:
        with running([sys.executable, "-c", code], READY) as p:
            groups = memwhy("top", "--json", "--by=command")["groups"]
            group = next((g for g in groups if g["group"] == "mw-hugetlb"), None)
            if not p.is_ready:
                tap.skip(name, "no hugetlb pages could be had")
            elif not group or group["once"] is None:
                tap.skip(name, "frame numbers need CAP_SYS_ADMIN")
            else:
                tap.check(name, [] if group["once"] <= group["rss_sum"] else [str(group)])
    finally:
        with open(knob, "w", encoding="ascii") as file:
            file.write(str(before))


def check_mappers(tap, pids):
    """Who maps the pages that two processes share: each all 1024 of the shared memory, and nobody else."""
    shared = next((s, e) for s, e, perm, _, _ in target.mappings(pids[0]) if perm == "rw-s" and e - s == 4 * MIB)
    doc = memwhy("pages", "--mappers", "--json", pids[0], f"{shared[0]:#x}-{shared[1]:#x}")
    found = {m["pid"]: m["entries"] for m in doc["mappers"]}
    if not doc["frames"] or doc["frames"][0]["frame"] is None:
        tap.skip("who maps a page", "frame numbers need CAP_SYS_ADMIN")
        return
    tap.check("shared memory: both map all of it", [] if found == {p: 1024 for p in pids} and doc["mappers_missing"] == 0 else
              [str(found), str(doc["mappers_missing"])])
    frames = {e & ((1 << 55) - 1) for s, t, _, _, n in target.mappings(pids[1]) if n != "[vsyscall]"
              for _, e in target.pagemap(pids[1], s, t) if e >> 63}
    doc = memwhy("pages", "--mappers", "--json", pids[0])
    theirs = sum(f["frame"] in frames and "zero_page" not in f["flags"] for f in doc["frames"])
    found = {m["pid"]: m["entries"] for m in doc["mappers"]}
    tap.check("all pages: as many of the child as its pagemap has", [] if found[pids[1]] == theirs >= 1024 else
              [f"{found[pids[1]]}, pagemap {theirs}"])
    at = memwhy("at", "--mappers", "--json", pids[0], hex(shared[0] + 5))["addresses"][0]
    tap.check("of one address, too", [] if {m["pid"] for m in at["mapped_by"]} == set(pids) and at["mappers"] == 2 else [str(at["mapped_by"])])


def check_groups(tap, pids, rows):
    doc = memwhy("top", "--json", "--by=command")
    group = next((g for g in doc["groups"] if g["group"] == "mw-share-pair"), None)
    total = sum(rows[p]["rss"] for p in pids)
    if not group:
        tap.check("the pair is a group", ["missing"])
        return
    tap.check("the sum of RSS counts shared pages twice", [] if group["rss_sum"] == total and total >= 11 * MIB else
              [f"{group['rss_sum']}, rows {total}"])
    tap.check("PSS counts the pair's shared pages once", [] if 7 * MIB <= group["pss"] < 7 * MIB + MIB else [str(group["pss"])])
    told = any(entry & ((1 << 55) - 1) for start, end, _, _, name in target.mappings(pids[0]) if name != "[vsyscall]"
               for _, entry in target.pagemap(pids[0], start, end))
    if group["once"] is None and not told:
        tap.skip("distinct frames", "frame numbers need CAP_SYS_ADMIN")
    else:
        frames = [frames_of(p) for p in pids]
        union, both = len(frames[0] | frames[1]) * 4096, len(frames[0] & frames[1]) * 4096
        tap.check("pages that both share count once: as many as pagemap has distinct frames", [] if group["once"] == union and
                  both >= 4 * MIB and group["rss_sum"] == union + both else [f"{group['once']}, distinct {union}, shared {both}"])
    for by in ("user", "cgroup"):
        groups = memwhy("top", "--json", f"--by={by}")["groups"]
        tap.check(f"--by={by} has every process", [] if sum(g["processes"] for g in groups) >= len(rows) - 20 else [str(groups)])


def check_cheap(tap, pids):
    """Without what costs, and where it costs too much, PSS is unknown and the rest is known."""
    for option, reason in (("--fast", "not asked for"), ("--stall=0", "would stall it")):
        rows = [r for r in memwhy("top", "--json", option)["processes"] if r["pid"] in pids]
        tap.check(f"top {option}: no PSS, but RSS", [] if len(rows) == 2 and all(r["pss"] is None and r["rss"] for r in rows) else [str(rows)])
        text = memwhy("top", option)
        tap.check(f"top {option}: which is said", [] if option == "--fast" or reason in text else [text])


def check_unreadable(tap, pids):
    if os.geteuid():
        tap.skip("unreadable processes", "needs root to become somebody else")
        return
    with tempfile.TemporaryDirectory(prefix="memwhy-top-") as directory:
        os.chmod(directory, 0o755)
        copy = shutil.copy(MEMWHY, directory)
        out = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", copy, "top"], capture_output=True,
                             text=True, timeout=60)
    line = next((x for x in out.stdout.splitlines() if "(not allowed)" in x), "")
    named = re.findall(r"(?:: |, )(.*?) \((\d+)\)", line)
    wrong = [] if out.returncode == 0 and named and "RSS" in out.stdout else [out.stdout, out.stderr]
    for name, pid in named:
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                comm = file.read()[:-1]
        except OSError:
            continue  # it ended meanwhile
        wrong += [] if name == comm or not comm.isprintable() else [f"{pid} is {comm}, not {name}"]
    tap.check("processes of others are counted and named", wrong)


def screen(*args):
    """Rows of the screen by pid: RSS, PSS, USS, and VSZ."""
    rows = [line.split() for line in memwhy("top", "-r", *args).splitlines()]
    return {int(x[0]): {k: int(x[i]) for k, i in (("rss", 2), ("pss", 3), ("uss", 4), ("vsz", 6)) if x[i] != "-"}
            for x in rows if len(x) > 8 and x[0].isdigit()}


def amounts_of(pid):
    """RSS, USS and VSZ by the kernel, and its pages of files."""
    vsz, files = proc_values(f"/proc/{pid}/status", ("VmSize", "RssFile"))
    rss, clean, dirty = proc_values(f"/proc/{pid}/smaps_rollup", ("Rss", "Private_Clean", "Private_Dirty"))
    return {"rss": rss, "uss": clean + dirty, "vsz": vsz}, files


def check_screen_rows(tap):
    """What a screen needs is gathered in another way than everything of all: the amounts must be the same."""
    code = "b = bytearray(300 << 20)\nb[::4096] = b'1' * len(b[::4096])\nprint('{\"ready\":true}', flush=True)\nimport sys; sys.stdin.read()"
    with running([sys.executable, "-c", code], READY) as p:
        for _ in range(10):  # until it stood still: it may still fault pages of its code in
            want, files = amounts_of(p.pid)
            wrong = []
            for args in ([], ["--stall=60000"], ["--rank=pss"], ["--rank=vsz"], ["--fast"]):
                row = screen(*args).get(p.pid)
                if row:
                    uss = want["uss"] if "--fast" in args else row.pop("uss")
                    wrong += [f"{args}: {k} is {row.get(k)}, must be {v}" for k, v in want.items() if k != "uss" and row.get(k) != v]
                    # another may map the same pages of files meanwhile
                    wrong += [f"{args}: uss is {uss}, must be {want['uss']}"] if abs(uss - want["uss"]) > files else []
            now = amounts_of(p.pid)[0]
            if (now["rss"], now["vsz"]) == (want["rss"], want["vsz"]):
                break
        # 16 larger ones leave no room for it
        tap.check("amounts on the screen are those of status and smaps_rollup", wrong)


def check_headless(tap):
    """Of a process whose first thread has ended, the files of that tell of no memory."""
    code = "import ctypes, sys, threading\ndef work():\n b = bytearray(300 << 20)\n b[::4096] = b'1' * len(b[::4096])\n" \
           " print('{\"ready\":true}', flush=True)\n sys.stdin.read()\nthreading.Thread(target=work).start()\n" \
           "ctypes.CDLL(None).pthread_exit(None)\n"
    with running([sys.executable, "-c", code], READY) as p:
        with open(f"/proc/{p.pid}/stat", encoding="ascii") as file:
            ended = file.read().rsplit(")", 1)[1].split()[0] == "Z" and len(os.listdir(f"/proc/{p.pid}/task")) > 1
        wrong = []
        for args in ([], ["--stall=60000"], ["--fast"]):
            row = screen("--all", *args).get(p.pid, {})
            wrong += [] if row.get("rss", 0) >= 300 << 20 and ("--fast" in args or row.get("uss", 0) >= 300 << 20) else [f"{args}: {row}"]
            shown = screen(*args)
            if len(shown) == 16 and min(r["rss"] for r in shown.values()) > 400 << 20:
                continue  # 16 larger ones leave no room for it
            wrong += [] if shown.get(p.pid, {}).get("rss", 0) >= 300 << 20 else [f"screen {args}: {shown.get(p.pid)}"]
        if ended:
            tap.check("a process whose first thread has ended", wrong)
        else:
            tap.skip("a process whose first thread has ended", "it has not")


def check_screen(tap):
    text, rows = memwhy("top").splitlines(), memwhy("top", "--json")["processes"]
    head = next(i for i, line in enumerate(text) if line.split()[:1] == ["PID"])
    listed = [line.split()[0] for line in text[head + 1:head + 1 + min(16, len(rows))]]
    tap.check("the screen has the largest by their pid", [] if listed and all(pid.isdigit() for pid in listed) else text)
    for rank in ("pss", "uss", "vsz"):
        for _ in range(5):  # one of them may end meanwhile
            lines = [x.split() for x in memwhy("top", f"--rank={rank}").splitlines()]
            lines = [x for x in lines if len(x) > 4 and x[0].isdigit() and x[1] != "processes"]
            # a row whose process was not looked at has a size where its user belongs
            wrong = [" ".join(x) for x in lines if re.fullmatch(r"\d+\.\d+|-", x[1])]
            if not wrong:
                break
        tap.check(f"the largest by {rank} have their users", wrong)
    tap.check("one screen", [] if len(text) <= 24 else text)


def main():
    tap = Tap()
    with running([os.path.join(PROGRAMS, "share")], READY) as p:
        pids = [p.claims[0]["parent"], p.claims[0]["child"]]
        rows = check_rows(tap, pids)
        check_groups(tap, pids, rows)
        check_cheap(tap, pids)
        check_unreadable(tap, pids)
        check_mappers(tap, pids)
        check_screen(tap)
    check_screen_rows(tap)
    check_headless(tap)
    check_growing(tap)
    check_most(tap)
    check_hugetlb(tap)
    memwhy("top", "--rank=age", status=2)
    memwhy("top", "--by=age", status=2)
    memwhy("top", "1", status=2)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
