#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy faults against a program that knows which addresses it faults, in which order, by which thread."""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

MEMWHY = os.environ.get("MEMWHY", "build/memwhy")
PERF_EVENTS = os.path.abspath(os.path.join(os.environ.get("BUILD", "build"), "tests/faults/perfevents.so"))
TRUTH = os.path.join(os.environ.get("BUILD", "build"), "tests/faults/truth")
PAGE = 4096
count = failed = 0


def ok(passed, name, why=""):
    global count, failed
    count += 1
    failed += not passed
    print(f"{'ok' if passed else 'not ok'} {count} - {name}")
    if not passed and why:
        print("\n".join("# " + line for line in str(why).splitlines()[:20]))
    return passed


def skip(name, why):
    global count
    count += 1
    print(f"ok {count} - {name} # SKIP {why}")


def record(args, command, env=None):
    run = subprocess.run([MEMWHY, "faults", "--json", *args, "--", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         timeout=60, env=env)
    return run, json.loads(run.stdout) if run.returncode == 0 else None


def page(address):
    return address // PAGE * PAGE


def read_truth(path):
    """Lists of (kind, numbers and words)."""
    with open(path) as file:
        return [line.split() for line in file]


def expected_faults(truth):
    return [(int(w[1], 16), int(w[2]), int(w[3])) for w in truth if w[0] in ("fault", "again")]


def check_pauses(saved, doc, name):
    """The stops behind execve, in which the breakpoints are set, are no time of the kernel's exec."""
    with open(saved) as file:
        lines = [json.loads(line) for line in file]
    marks = [m[:2] for line in lines for m in line.get("marks", [])]
    execs = [after - at for (at, phase), (after, _) in zip(marks, marks[1:]) if phase == 0]
    paused, row = lines[0]["paused_ns"], next(r for r in doc["phases"] if r["phase"] == "kernel's exec")
    ok(len(execs) > 0 < paused and row["ns"] == max(sum(execs) - paused, 0), f"{name}: {len(execs)} execs without the stops behind them",
       (marks, paused, row))


LOADING = ("kernel's exec", "ld.so", "constructors")


def recorded_faults(doc, wanted):
    """What was recorded on pages that the program lists, in order. What the loader unmapped may have lain there before."""
    pages = {page(address) for address, _, _ in wanted}
    return [(int(f["address"], 16), f["tid"], f["pid"]) for f in doc["faults"]
            if page(int(f["address"], 16)) in pages and f["phase"] not in LOADING]


def check_numbers(doc, name):
    ok(doc["samples"] + doc["lost"] == doc["counter"] and doc["samples"] > 0, f"{name}: samples + lost = counter",
       f'{doc["samples"]} + {doc["lost"]} != {doc["counter"]}')
    ok(sum(row["faults"] for row in doc["phases"]) == doc["kept"], f"{name}: the phases sum up to the faults")
    ok(sum(row["faults"] for row in doc["outcomes"]) == doc["kept"], f"{name}: so do the outcomes")
    for table in ("sections", "callers", "mappings"):
        ok(sum(row["faults"] for row in doc[table]) == doc["kept"], f"{name}: so does the table of {table}")
    ok(sum(row["bytes"] for row in doc["sources"]) == doc["rss"]["after"], f"{name}: the sources sum up to RSS")
    ok(doc["rss"]["residual"] == 0, f"{name}: which is the kernel's VmRSS", doc["rss"])


def check_sources(doc, truth, name):
    """Bytes by source: those of the program alone are known, so the rest of it must not vary."""
    have = {row["source"]: row["bytes"] for row in doc["sources"]}
    for words in truth:
        if words[0] == "pages" and words[3] in ("unseen", "locked"):
            # what the loader and the C library read ahead may come beside the program's own pages
            # without the kernel's faults it is not known whether there was one
            unknown = have["lost"] if words[3] == "unseen" and doc["taken_by_kernel"] is None else 0
            ok(have[words[3]] + unknown >= int(words[2]) * PAGE, f"{name}: {words[2]} pages from source {words[3]}", have)
        if words[0] == "huge":
            ok(have["huge-page"] == int(words[2]) * (512 - 1) * PAGE, f"{name}: all but the first page of each huge page", have)


def check_names(doc, truth, name):
    names = {int(w[1], 16): (w[2], int(w[3])) for w in truth if w[0] == "symbol"}
    have = {int(f["address"], 16): (f["symbol"], int(f["offset"], 16)) for f in doc["faults"] if int(f["address"], 16) in names}
    if names:
        ok(have == names, f"{name}: {len(names)} variables by their names", (names, have))


class NotStarted(Exception):
    """The recording of a running process ended before it began."""


def attach(pid, *options):
    mem = subprocess.Popen([MEMWHY, "faults", "--json", *options, "-p", str(pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_events(mem)
    if mem.poll() is not None:
        raise NotStarted(mem.communicate()[1].decode(errors="replace"))
    return mem


def attached(check, *args):
    """Whoever may record a child may not record every process of their own: Yama."""
    try:
        check(*args)
    except NotStarted as why:
        name = f"{check.__name__.removeprefix('check_').replace('_', ' ')}: {check.__doc__.splitlines()[0]}"
        if "perf_event_open" in str(why):
            skip(name, str(why).splitlines()[0])
        else:
            ok(False, name, why)


def record_attached(mode, path, options, held=False):
    """Of a process that does its work once it is watched; the reader stands still meanwhile if it is held."""
    target = subprocess.Popen([TRUTH, mode, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    mem = None
    try:
        target.stdout.readline()
        mem = attach(target.pid, *options)
        if held:
            mem.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, mem.pid, os.WSTOPPED | os.WNOWAIT)
        os.write(target.stdin.fileno(), b"x")
        target.stdout.readline()
        if held:
            mem.send_signal(signal.SIGCONT)
        mem.send_signal(signal.SIGINT)
        return json.loads(mem.communicate(timeout=30)[0])
    finally:
        target.kill()
        target.wait()
        if mem and mem.poll() is None:
            mem.kill()


def check_lost_moves():
    """Changes of mappings by the ten thousand while their reader stands still: those that it did not see are counted."""
    name = "changes of mappings"
    with tempfile.TemporaryDirectory() as tmp:
        path, saved = os.path.join(tmp, "truth"), os.path.join(tmp, "saved")
        doc = record_attached("mappings", path, ["--recorder=samples", "-o", saved], held=True)
        check_numbers(doc, name)
        if any(n["source"] == "PERF_FORMAT_LOST" for n in doc["notes"]):
            skip(f"{name}: seen and lost are those that were made", "this kernel does not count what it could not write last")
            return
        made = next(int(w[1]) for w in read_truth(path) if w[0] == "moves")
        with open(saved) as file:
            seen = sum(m[1] == 0 for line in file if line.startswith('{"moves"') for m in json.loads(line)["moves"])
        ok(doc["lost_moves"] > 0 and made <= seen + doc["lost_moves"] < made + 200, f"{name}: seen and lost are those that were made",
           (made, seen, doc["lost_moves"]))
        ok(any(f"{doc['lost_moves']} changes of mappings" in n["reason"] for n in doc["notes"]), f"{name}: what may be wrong is said",
           doc["notes"])


def check_mode(mode, recorder, through=()):
    """The program in this mode; through: a command that executes it."""
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "truth")
        saved = os.path.join(tmp, "saved")
        run, doc = record(["--list", f"--recorder={recorder}", "-o", saved], [*through, TRUTH, mode, path])
        truth_mode, mode = mode, f"{mode} by {recorder}{' through ' + through[0] if through else ''}"
        if doc is None:
            ok(False, f"{mode}: recorded", run.stderr.decode())
            return
        truth = read_truth(path)
        said = [w for w in truth if w[0] == "skip"]
        if said:
            skip(mode, " ".join(said[0][1:]))
            return
        check_numbers(doc, mode)
        want = expected_faults(truth)
        have = recorded_faults(doc, want)
        ok(have == want, f"{mode}: {len(want)} faults: address, thread, process and order",
           f"want {want[:6]}...\nhave {have[:6]}... {len(have)}")
        by = {f["caller"] for f in doc["faults"] if (int(f["address"], 16), f["tid"], f["pid"]) in set(want)}
        ok(by <= {"touch"}, f"{mode}: all of them by the function that touches", by)
        check_names(doc, truth, mode)
        times = [f["time_ns"] for f in doc["faults"]]
        ok(times == sorted(times), f"{mode}: times go forward")
        check_sources(doc, truth, mode)
        ok(doc["target"]["recorder"] == recorder, f"{mode}: which is said")
        if through:
            ok(any(r["outcome"] == "earlier" for r in doc["outcomes"]), f"{mode}: the program before is told apart",
               doc["outcomes"])
            check_pauses(saved, doc, mode)
        if truth_mode == "crowd":
            ok(doc["threads"] >= 51 and doc["processes"] == 6, f"{mode}: 51 threads and 5 processes that it started",
               (doc["threads"], doc["processes"]))
        if truth_mode == "freed":
            gone = [r["faults"] for r in doc["outcomes"] if r["outcome"] == "gone"]
            ok(sum(gone) >= 20, "freed: pages given back are told as such", doc["outcomes"])
        if truth_mode == "populate":
            ok(doc["faults_unseen"] >= 300, "populate: the kernel's own count has them", doc["faults_unseen"])
        again = subprocess.run([MEMWHY, "faults", "--json", "--list", saved], stdout=subprocess.PIPE, timeout=60)
        ok(again.returncode == 0 and json.loads(again.stdout) == doc, f"{mode}: saved and read back, it says the same")


def check_lost(recorder):
    """A buffer of one page, and faults by the ten thousand: what is lost is counted, and RSS is still explained."""
    with tempfile.TemporaryDirectory() as tmp:
        name = f"storm by {recorder}"
        for _ in range(8):  # a reader that has a processor of its own may keep up
            run, doc = record([f"--recorder={recorder}", "--buffer=4"], [TRUTH, "storm", os.path.join(tmp, "truth")])
            if not ok(doc is not None, f"{name}: recorded", run.stderr):
                return
            check_numbers(doc, name)
            ok(doc["counter"] >= 40000, f"{name}: all are counted", doc["counter"])
            ok(doc["lost_moves"] == 0, f"{name}: no change of mappings is lost", doc["lost_moves"])
            if doc["lost"]:
                break
        if doc["lost"]:
            have = {row["source"]: row["bytes"] for row in doc["sources"]}
            ok(have["lost"] > 0 and have["unseen"] == 0, f"{name}: pages of lost faults are not ascribed to anything else", have)
            ok(doc["faults_unseen"] is None, f"{name}: what the kernel settled alone is unknown then", doc["faults_unseen"])
        else:
            skip(f"{name}: pages of lost faults are not ascribed to anything else", "the reader kept up with every storm")
        _, doc = record([f"--recorder={recorder}", "--limit=1000"], [TRUTH, "storm", os.path.join(tmp, "truth")])
        ok(doc["kept"] == 1000 and doc["samples"] + doc["lost"] == doc["counter"] and doc["samples"] >= 40000,
           f"{name}: --limit keeps so many and counts all", (doc["kept"], doc["samples"]))


def check_old_kernel(recorder):
    """A kernel before 6.0 does not count what it loses: the counter's rest is called lost, and that is said."""
    name = f"before Linux 6.0 by {recorder}"
    if not os.path.exists(PERF_EVENTS) or os.environ.get("MEMWHY_SANITIZED"):
        skip(name, "its stand-in is for x86-64 and without sanitizers")
        return
    env = dict(os.environ, LD_PRELOAD=PERF_EVENTS, PERF_EVENTS="old")
    with tempfile.TemporaryDirectory() as tmp:
        for mode, options in (("threads", []), ("storm", ["--buffer=4"])):
            path = os.path.join(tmp, mode)
            run, doc = record(["--list", f"--recorder={recorder}", *options], [TRUTH, mode, path], env)
            if not ok(doc is not None, f"{name}: {mode} is recorded", run.stderr.decode()):
                continue
            check_numbers(doc, f"{name}: {mode}")
            notes = [n["reason"] for n in doc["notes"] if n["source"] == "PERF_FORMAT_LOST"]
            if recorder == "program":
                ok(not notes, f"{name}: {mode}: the program counts what it loses", notes)
            elif ok(len(notes) == 1, f"{name}: {mode}: how lost is known is said", doc["notes"]):
                told = int(re.search(r"tell (\d+)", notes[0])[1])
                ok(told <= doc["lost"], f"{name}: {mode}: the records tell no more than was lost", (told, doc["lost"]))
            if mode == "threads":
                want = expected_faults(read_truth(path))
                ok(doc["lost"] == 0 and recorded_faults(doc, want) == want, f"{name}: {len(want)} faults in order, none lost")


def check_threads_attached(recorder):
    """Threads that ran before the recording did."""
    name = f"attached to threads by {recorder}"
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "truth")
        doc = record_attached("waiting", path, ["--list", f"--recorder={recorder}"])
        check_numbers(doc, name)
        want = expected_faults(read_truth(path))
        have = recorded_faults(doc, want)
        ok(have == want and len({t for _, t, _ in have}) > 2, f"{name}: {len(want)} faults in order", f"{len(have)}")


def check_asked():
    """What was asked for is what the kernel is asked for: the size of the rings, and no wait beyond the end of the recording."""
    if not os.path.exists(PERF_EVENTS) or os.environ.get("MEMWHY_SANITIZED"):
        skip("rings and waits", "its stand-in is for x86-64 and without sanitizers")
        return
    env = dict(os.environ, LD_PRELOAD=PERF_EVENTS, PERF_EVENTS="told")

    def told(*argv):
        run = subprocess.run([MEMWHY, "faults", "--json", "--recorder=samples", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             timeout=60, env=env)
        if run.returncode:
            raise NotStarted(run.stderr.decode())
        return {kind: [int(n) for n in re.findall(rb"told: %s (\d+)" % kind, run.stderr)] for kind in (b"ring of", b"poll for")}

    # the sizes that are tried are 16, 64, 256 KiB, and more; other rings have 64 KiB and more
    for asked in ("32", "63"):
        rings = told(f"--buffer={asked}", "--", "true")[b"ring of"]
        ok((16 << 10) + PAGE in rings, f"--buffer={asked}: rings of 16 KiB, and no page more than was asked for", rings)
    with subprocess.Popen(["sleep", "60"]) as target:
        waits = told("-p", str(target.pid), "--for=0.004")[b"poll for"]
        target.kill()
    # rounded up to the next ms
    ok(waits and max(waits) <= 5, "--for=0.004: no wait is longer than 4 ms", waits)


def check_descriptors():
    """An event a thread, processor and kind are more than the soft limit of descriptors allows."""
    soft = 12
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    with tempfile.TemporaryDirectory() as tmp:
        target = subprocess.Popen([TRUTH, "waiting", os.path.join(tmp, "truth")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            target.stdout.readline()
            run = subprocess.run([MEMWHY, "faults", "--json", "--recorder=samples", "-p", str(target.pid), "--for=0.05"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, preexec_fn=limit)
            threads = len(os.listdir(f"/proc/{target.pid}/task"))
        finally:
            target.kill()
            target.wait()
    if b"perf_event_open" in run.stderr and b"Too many open files" not in run.stderr:
        raise NotStarted(run.stderr.decode())
    ok(run.returncode == 0 and 3 * threads > soft, f"the soft limit of {soft} descriptors is raised for {threads} threads", run.stderr)


def check_unprivileged():
    """An ordinary user records own programs: the same faults, but for those that the kernel takes."""
    if os.geteuid():
        skip("an ordinary user", "that is who runs all of these tests")
        return
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o777)
        for program in (MEMWHY, TRUTH):
            shutil.copy(program, tmp)
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", os.path.join(tmp, "memwhy"), "faults", "--json"]
        path = os.path.join(tmp, "out")
        run = subprocess.run([*user, "--list", "--", os.path.join(tmp, "truth"), "threads", path], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, timeout=60)
        if run.returncode:
            ok(b"perf_event_paranoid is" in run.stderr and b"hint: " in run.stderr, "an ordinary user is told what refuses it", run.stderr)
            return
        doc = json.loads(run.stdout)
        check_numbers(doc, "an ordinary user")
        want = expected_faults(read_truth(path))
        ok(recorded_faults(doc, want) == want, f"an ordinary user: {len(want)} faults in order")
        ok(doc["taken_by_kernel"] is not None or any(n["source"] == "perf_event_paranoid" and n["remedy"] for n in doc["notes"]),
           "an ordinary user: what is not allowed is said", doc["notes"])
        run = subprocess.run([*user, "-p", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        ok(run.returncode == 3 and b"not yours to trace (kernel.perf_event_paranoid is" in run.stderr and b"CAP_PERFMON" in run.stderr,
           "an ordinary user: the process of another is refused, and how to get it is said", run.stderr)


PARANOID = "/proc/sys/kernel/perf_event_paranoid"
SETTING = 'mount --bind "$1" ' + PARANOID + ' || exit 77; shift; exec "$@"'


def check_refused():
    """What a setting refuses is said with its name and value, and so is what would permit it; also to root without rights."""
    name = "what is refused"
    if not os.path.exists(PERF_EVENTS) or os.environ.get("MEMWHY_SANITIZED"):
        skip(name, "its stand-in is for x86-64 and without sanitizers")
        return
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    users = {"root without capabilities": ["unshare", "-m", "sh", "-c", SETTING, "sh", "VALUE", *drop, "--"],
             "an ordinary user": ["unshare", "-m", "sh", "-c", SETTING, "sh", "VALUE", "setpriv", "--reuid=65534", "--regid=65534",
                                  "--clear-groups", "--"]}
    if os.geteuid():
        users = {"an ordinary user": ["unshare", "-rm", "sh", "-c", SETTING, "sh", "VALUE", *drop, "--"]}
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o777)
        for file in (MEMWHY, PERF_EVENTS):
            shutil.copy(file, tmp)

        def run(user, value, events, *args):
            with open(os.path.join(tmp, "value"), "w") as file:
                file.write(f"{value}\n")
            return subprocess.run([os.path.join(tmp, "value") if w == "VALUE" else w for w in user] +
                                  ["env", "LD_PRELOAD=" + os.path.join(tmp, "perfevents.so"), f"PERF_EVENTS={events}",
                                   os.path.join(tmp, "memwhy"), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

        for who, user in users.items():
            probe = run(user, 3, "forbidden", "--version")
            if probe.returncode:
                skip(f"{name}: {who}", "no other setting can be shown here: " + probe.stderr.decode().strip().split("\n")[0])
                continue
            for value in (3, 4):
                for args in (["--", "true"], ["-p", str(os.getpid())], ["--recorder=program", "--", "true"]):
                    out = run(user, value, "forbidden", "faults", *args)
                    said = out.stderr.decode().splitlines()
                    ok(out.returncode == 3 and not out.stdout and len(said) == 2 and
                       f"kernel.perf_event_paranoid is {value}, which refuses all but CAP_PERFMON" in said[0] and
                       said[1] == "hint: sysctl kernel.perf_event_paranoid=2 permits it for your own processes, CAP_PERFMON for all",
                       f"{name}: {who}: at {value}, {' '.join(args[:1])}", out.stderr)
            out = run(user, 2, "forbidden", "faults", "--", "true")
            ok(out.returncode == 3 and b"a seccomp filter or security module refuses it (kernel.perf_event_paranoid is 2)" in out.stderr
               and b"hint: in a container" in out.stderr, f"{name}: {who}: at 2, something else", out.stderr)
            out = run(user, 2, "locked", "faults", "--recorder=samples", "--", "true")
            ok(out.returncode == 3 and b"kernel.perf_event_mlock_kb" in out.stderr, f"{name}: {who}: memory for rings", out.stderr)
            tlb = run(user, 4, "forbidden", "tlb", "--measure=0.01", str(os.getpid()))
            ok(tlb.returncode == 0 and b"kernel.perf_event_paranoid is 4" in tlb.stdout, f"{name}: {who}: counters of the TLB at 4",
               tlb.stdout[-800:])
            # a kernel that knows no 3 takes it for 2
            out = run(user, 3, "", "faults", "--json", "--", "true")
            if out.returncode:
                skip(f"{name}: {who}: 3 where it is a 2", "this kernel refuses all at its own setting")
            else:
                notes = [n["reason"] for n in json.loads(out.stdout)["notes"] if n["source"] == "perf_event_paranoid"]
                ok(notes and "kernel.perf_event_paranoid is 3:" in notes[0], f"{name}: {who}: 3 where it is a 2", notes)
        if os.geteuid() == 0:
            out = run([], 4, "forbidden", "faults", "--", "true")
            ok(out.returncode == 0 or b"perf_event_open" in out.stderr, f"{name}: root as it is may", out.stderr)


def wait_for_events(mem):
    """Until memwhy looked at the target, behind which its events are on: it polls then. Or until it ended."""
    for _ in range(500):
        if mem.poll() is not None:
            return
        try:
            with open(f"/proc/{mem.pid}/wchan") as file:
                if "poll" in file.read():
                    return
        except OSError:
            pass
        time.sleep(0.01)


def check_phases():
    _, doc = record(["--list"], ["/bin/true"])
    names = [row["phase"] for row in doc["phases"]]
    if len(names) < 4:
        skip("phases of /bin/true", "no breakpoints here: " + "; ".join(n["reason"] for n in doc["notes"]))
        return
    ok(names == ["kernel's exec", "ld.so", "constructors", "main"], "the phases of a program", names)
    wrong = [f for f in doc["faults"] if f["phase"] == "kernel's exec" and int(f["ip"], 16) < 1 << 63]
    ok(not wrong, "in the kernel's exec, only the kernel faults", wrong[:3])
    libc = next((f for f in doc["faults"] if os.path.basename(f["object"] or "").startswith("libc.so")), None)
    if libc:
        ok(libc["phase"] == "ld.so", "the C library is loaded and relocated in the phase of ld.so", libc)
    first = next(f for f in doc["faults"] if f["phase"] == "ld.so")
    ok("ld" in first["object"] and first["section"] == ".text" and first["ip"] == first["address"],
       "the first instruction of ld.so is its first fault", first)


def check_static_phases(directory):
    """Without a dynamic linker there is no phase of it; main is found at whatever address."""
    for how in ("-static", "-static-pie"):
        path = os.path.join(directory, "program" + how)
        built = subprocess.run([*os.environ.get("CC", "gcc").split(), how, "-x", "c", "-", "-o", path],
                               input=b"int main(void) { return 0; }", stderr=subprocess.DEVNULL)
        doc = record([], [path])[1] if built.returncode == 0 else None
        names = [row["phase"] for row in doc["phases"]] if doc else []
        if not doc or "constructors and main" in names and any(n["source"] == "phases" for n in doc["notes"]):
            skip(f"phases of a program built with {how}", "it cannot be built here, or there are no breakpoints")
        else:
            ok(names == ["kernel's exec", "constructors", "main"], f"phases of a program built with {how}", names)


# A constructor that writes to one page and a main that writes to another; both are large enough to be alone.
PHASED_C = b"""
static volatile char early[8 * 4096], late[8 * 4096];
__attribute__((constructor)) static void begin(void) { early[4 * 4096] = 1; }
int main(void) { late[4 * 4096] = 1; return 0; }
"""
PHASED_GO = b"""package main
var early, late [8 * 4096]byte
var nothing = func() int { early[4 * 4096] = 1; return 0 }()
func main() { late[4 * 4096] = byte(nothing) + 1 }
"""


def check_phased(name, command, known_main=True, works_here=False):
    """In which phases the two pages came. Tells whether there are breakpoints here."""
    run, doc = record(["--list"], command)
    if not doc or not works_here and any(n["source"] == "phases" for n in doc["notes"]):
        skip(f"phases of {name}", "there are no breakpoints here" if doc else run.stderr)
        return False
    found = {s: [f["phase"] for f in doc["faults"] if f["symbol"] in (s, "main." + s) and int(f["offset"], 16) == 4 * PAGE]
             for s in ("early", "late")}
    want = {"early": ["constructors"], "late": ["main"]} if known_main else dict.fromkeys(found, ["constructors and main"])
    ok(found == want, f"phases of {name}", (found, [row["phase"] for row in doc["phases"]]))
    return True


def check_kinds_of_program(directory):
    """By another C library, without one, by Go, and by ld.so that was told to run it."""
    def build(name, source, *how):
        path = os.path.join(directory, name)
        try:
            built = subprocess.run([*how, path, *(["-x", "c", "-"] if source is PHASED_C else [os.path.join(directory, "main.go")])],
                                   input=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=dict(os.environ, GO111MODULE="off", GOCACHE=os.path.join(directory, "cache"), CGO_ENABLED="0"))
        except FileNotFoundError:
            return None
        return path if built.returncode == 0 else None

    with open(os.path.join(directory, "main.go"), "wb") as file:
        file.write(PHASED_GO)
    gcc = os.environ.get("CC", "gcc").split()
    works = False
    for name, source, how in (("a program", PHASED_C, [*gcc, "-o"]), ("a static program", PHASED_C, [*gcc, "-static", "-o"]),
                              ("a static PIE", PHASED_C, [*gcc, "-static-pie", "-o"]), ("a program with musl", PHASED_C, ["musl-gcc", "-o"]),
                              ("a static program with musl", PHASED_C, ["musl-gcc", "-static", "-o"]),
                              ("a 32-bit program", PHASED_C, [*gcc, "-m32", "-o"]),
                              ("a static 32-bit program", PHASED_C, [*gcc, "-m32", "-static", "-o"]),
                              ("a Go program", PHASED_GO, ["go", "build", "-o"])):
        path = build(name.replace(" ", "-"), source, *how)
        if not path:
            skip(f"phases of {name}", "it cannot be built here")
            continue
        works |= check_phased(name, [path], works_here=works and "32-bit" in name)
        if name == "a Go program":
            os.rename(path, path + "-whole")
            subprocess.run(["strip", "-o", path, path + "-whole"], check=True)
            names = [row["phase"] for row in record([], [path])[1]["phases"]]
            ok(names[-1] in ("main", "constructors and main") and (names[-1] == "main" or len(names) < 4), f"phases of {name}, stripped", names)
        with open(path, "rb") as file:
            linker = re.search(rb"/lib[^\0]*/ld-[^\0]*", file.read())
        if linker and name in ("a program", "a program with musl"):
            check_phased(f"{name} that ld.so runs", [linker[0].decode(), path], known_main=False)
        if linker and name == "a program":
            names = [r["phase"] for r in record([], [linker[0].decode(), "--verify", path])[1]["phases"]]
            ok(names[1:] == ["ld.so, constructors and main"], f"phases of {name} that ld.so looks at alone", names)


# Two programs of one layout but for their names. The first starts the second, touches a page, and lets that touch one.
TWIN = b"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
volatile char VARIABLE[16 * 4096] __attribute__((aligned(4096)));
__attribute__((noinline)) void FUNCTION(volatile char *p) { *p = 1; }
int main(int argc, char **argv)
{
	char c = 0, *at = (char *)strtoul(argv[1], 0, 16);
	int go[2], ready[2];

	if (argc < 3) {
		write(4, &c, 1);
		read(3, &c, 1);
		FUNCTION(&VARIABLE[5 * 4096]);
		return 0;
	}
	if (pipe(ready) || pipe(go))
		return 1;
	if (!fork()) {
		dup2(go[0], 10), dup2(ready[1], 11);
		dup2(10, 3), dup2(11, 4);
		execl(argv[2], argv[2], "0", NULL);
		_exit(1);
	}
	at = mmap(at, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);
	if (at == MAP_FAILED || read(ready[0], &c, 1) != 1)
		return 1;
	FUNCTION(at);
	write(go[1], &c, 1);
	wait(NULL);
	return 0;
}
"""


def check_twins(directory):
    """One address is something else in another process, for what is touched and for who touches it."""
    first, same, moved = (os.path.join(directory, n) for n in ("first", "same", "moved"))
    for path, name, base in ((first, "alpha", "0x400000"), (same, "beta", "0x400000"), (moved, "beta", "0x20000000")):
        built = subprocess.run([*os.environ.get("CC", "gcc").split(), "-O1", "-w", "-no-pie", f"-Wl,-Ttext-segment={base}", f"-DFUNCTION={name}",
                                f"-DVARIABLE={name}_variable", "-x", "c", "-", "-o", path], input=TWIN, stderr=subprocess.PIPE)
        if built.returncode:
            skip("programs of one layout", "they cannot be built here")
            return
    where = subprocess.run(["nm", moved], stdout=subprocess.PIPE, text=True, check=True).stdout
    address = int(re.search(r"(\w+) \w beta_variable", where)[1], 16) + 5 * PAGE
    for what, at, second in (("an instruction", 0, same), ("an address", address, moved)):
        _, doc = record(["--list"], [first, f"{at:x}", second])
        have = [(f["object"], f["offset"], f["caller"]) for f in doc["faults"] if f["symbol"] == "beta_variable" and f["caller"] == "beta"]
        ok(have == [(second, hex(5 * PAGE), "beta")], f"{what} that two processes have in common is named in each", have)


# Touches a page of memory that is anonymous, loads itself once more over it, and touches that.
RENEWED = b"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
char data[16 * 4096] __attribute__((aligned(4096))) = { 1 };
int main(void)
{
	const ElfW(Phdr) *p = (void *)getauxval(AT_PHDR);
	unsigned long n = getauxval(AT_PHNUM), bias = 0, fd = open("/proc/self/exe", O_RDONLY);
	char *to = mmap(0, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (unsigned long i = 0; i < n; i++)
		if (p[i].p_type == PT_PHDR)
			bias = (unsigned long)p - p[i].p_vaddr;
	((volatile char *)to)[4096] = 1;
	for (unsigned long i = 0; i < n; i++)
		if (p[i].p_type == PT_LOAD)
			mmap(to + (p[i].p_vaddr & -4096ul), p[i].p_filesz + p[i].p_vaddr % 4096,
			     (p[i].p_flags & PF_X ? PROT_EXEC : 0) | PROT_READ | (p[i].p_flags & PF_W ? PROT_WRITE : 0),
			     MAP_PRIVATE | MAP_FIXED, fd, p[i].p_offset & -4096ul);
	((volatile char *)to)[(unsigned long)data - bias + 5 * 4096] = 1;
	return 0;
}
"""


def check_renewed(directory):
    """An address is something else after another mapping was made over it."""
    path, name = os.path.join(directory, "renewed"), "what is mapped over anonymous memory that was touched last"
    built = subprocess.run([*os.environ.get("CC", "gcc").split(), "-O1", "-w", "-fPIE", "-pie", "-x", "c", "-", "-o", path], input=RENEWED, stderr=subprocess.PIPE)
    _, doc = record(["--list"], [path]) if built.returncode == 0 else (None, None)
    if not doc:
        skip(name, "it cannot be built or recorded here")
        return
    have = [(f["object"], f["section"], f["offset"]) for f in doc["faults"] if f["symbol"] == "data"]
    ok(have == [(path, ".data", hex(5 * PAGE))], name, have)


# Reads pages of a file, and has memory there afterwards that the kernel fills without a fault.
REPLACED = b"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
char data[64 * 4096] = { 1 };
int main(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	volatile char *p = mmap(0, 48 * 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	int sum = 0;

	for (int i = 0; i < 48; i++)
		sum += p[i * 4096];
	return mmap((void *)p, 48 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0) != p || sum < 0;
}
"""


def check_replaced(directory):
    """A fault explains the page that it brought, not the one that is at its address at the end."""
    path, name = os.path.join(directory, "replaced"), "faults on a file do not explain memory that is there later"
    built = subprocess.run([*os.environ.get("CC", "gcc").split(), "-O1", "-w", "-x", "c", "-", "-o", path], input=REPLACED, stderr=subprocess.PIPE)
    doc = record(["--list"], [path])[1] if built.returncode == 0 else None
    if not doc or not doc["rss"]:
        skip(name, "it cannot be built, recorded or traced here")
        return
    check_numbers(doc, name)
    have = {r["source"]: r["bytes"] for r in doc["sources"]}
    read = sum(f["object"] == path and f["caller"] == "main" for f in doc["faults"])
    gone = next(r["faults"] for r in doc["outcomes"] if r["outcome"] == "gone")
    # without the kernel's faults it is not known whether there was one
    ok(have["unseen"] + (have["lost"] if doc["taken_by_kernel"] is None else 0) >= 48 * PAGE and gone >= read > 0, name, (have, gone, read))


# The first thread ends before another touches memory; or another executes a program that touches some.
LEADERLESS = b"""
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static void touch(size_t n)
{
	volatile char *p = mmap(0, n * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise((void *)p, n * 4096, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < n; i++)
		p[i * 4096] = 1;
}
static void *work(void *path)
{
	usleep(50000);
	touch(3000);
	if (path)
		execl(path, path, "again", (char *)0);
	usleep(50000);
	return 0;
}
int main(int argc, char **argv)
{
	pthread_t other;

	if (argc > 1 && !strcmp(argv[1], "again")) {
		touch(300);
		usleep(200000);
		return 0;
	}
	pthread_create(&other, 0, work, argc > 1 ? argv[0] : 0);
	if (argc > 1)
		for (;;)
			pause();
	pthread_exit(0);
}
"""


def check_leaderless(directory):
    """The pages at the end are looked at when the last thread ends, whichever program it executed."""
    path = os.path.join(directory, "leaderless")
    built = subprocess.run([*os.environ.get("CC", "gcc").split(), "-O1", "-w", "-pthread", "-x", "c", "-", "-o", path], input=LEADERLESS,
                           stderr=subprocess.PIPE)
    for name, args, least, most in (("a first thread that ends first", [], 3000, 6000), ("a thread that executes a program", ["exec"], 300, 3000)):
        for _ in range(3):  # the program may have run, or the threads ended, before one could be traced
            doc = record([], [path, *args])[1] if built.returncode == 0 else None
            if not doc or doc["rss"]:
                break
        if not doc or any(n["source"] == "ptrace" for n in doc["notes"]):
            skip(name, "it cannot be built or traced here")
        elif ok(doc["rss"], f"{name}: its pages are known", doc["notes"]):
            check_numbers(doc, name)
            unseen = next(r["bytes"] for r in doc["sources"] if r["source"] == "unseen")
            ok(least * PAGE <= doc["rss"]["after"] < most * PAGE and unseen < 50 * PAGE, f"{name}: they are those of its end",
               (doc["rss"], doc["sources"]))
            guessed = [r for r in doc["phases"] if "first fault" in (r["rule"] or "")]
            ok(all(r["certainty"] == "likely" for r in guessed) and bool(guessed) == any("begin was not seen" in n["reason"] for n in doc["notes"]),
               f"{name}: a phase whose begin nobody saw is a guess", doc["phases"])


def check_commands():
    """Faults belong to what their process was called then: the program before an exec, the parent's name behind a fork."""
    with tempfile.TemporaryDirectory() as tmp:
        saved = os.path.join(tmp, "saved")
        _, doc = record([], ["sh", "-c", "exec cat /dev/null"])
        by = {r["command"]: r["faults"] for r in doc["by_command"]}
        earlier = sum(r["faults"] for r in doc["outcomes"] if r["outcome"] == "earlier")
        ok(set(by) == {"sh", "cat"} and by["sh"] == earlier and sum(by.values()) == doc["kept"], "commands: before an exec, and behind it",
           (by, earlier, doc["kept"]))
        run, doc = record(["--list", "-o", saved], [TRUTH, "crowd", os.path.join(tmp, "truth")])
        by = {r["command"]: r["faults"] for r in doc.get("by_command", [])}
        of = [r["command"] for r in doc["by_thread"]]
        ok(set(by) == {"truth", "true"} and sum(by.values()) == doc["kept"] and of.count("true") == 5 and of.count("truth") >= 51,
           "commands: of 51 threads, and of 5 processes that they started", (by, of))
        text = subprocess.run([MEMWHY, "faults", saved], stdout=subprocess.PIPE, timeout=60).stdout.decode()
        rows = text[text.index("BY THREAD"):].split("\n\n")[0].splitlines()[2:]
        shown = [int(line.split()[2]) for line in rows[:-1]]
        rest = re.match(r"(\d+) more \(-a\) +(\d+) ", rows[-1])
        ok(rest and int(rest[1]) == len(doc["by_thread"]) - len(shown) and int(rest[2]) == doc["kept"] - sum(shown),
           "threads: a row for the rest of them", rows[-2:])


def check_real():
    """Programs that nobody wrote for this: an interpreter that imports and starts others, and a Go runtime."""
    server = os.path.join(os.environ.get("BUILD", "build"), "tests/live/server")
    commands = {"python3": [sys.executable, "-c", "import json, decimal, subprocess; subprocess.run(['true'])"], "a shell":
                ["sh", "-c", "ls / >/dev/null; exec cat /dev/null"]}
    if os.path.exists(server):
        commands["a Go server"] = ["sh", "-c", f"exec {server} >/dev/null"]
    for name, command in commands.items():
        run, doc = record(["--for=2"] if name == "a Go server" else [], command)
        if ok(doc is not None, f"{name}: recorded", run.stderr):
            check_numbers(doc, name)
            ok(doc["lost"] == 0 and all(r["bytes"] >= 0 for r in doc["sources"]), f"{name}: nothing lost, nothing negative", doc["sources"])


def check_stripped():
    """Go names its functions in a table that stripping leaves."""
    server = os.path.join(os.environ.get("BUILD", "build"), "tests/live/server")
    name = "functions of a stripped Go program"
    if not os.path.exists(server) or not shutil.which("strip"):
        skip(name, "no Go server was built, or there is no strip")
        return
    with tempfile.TemporaryDirectory() as tmp:
        plain = os.path.join(tmp, "server")
        subprocess.run(["strip", "-s", "-o", plain, server], check=True)
        run, doc = record(["--for=2", "--list"], ["sh", "-c", f"exec {plain} >/dev/null"])
        if not ok(doc is not None, f"{name}: recorded", run.stderr):
            return
        callers = [f["caller"] for f in doc["faults"]]
        ok(sum(c.startswith("runtime.") for c in callers) > 20, name, sorted(set(callers))[:10])


MAJORS = """
import ctypes, mmap, os, resource, sys
file = os.open(sys.argv[1], os.O_RDWR)
view = mmap.mmap(file, 0)
start = ctypes.addressof(ctypes.c_char.from_buffer(view))
ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(len(view)), mmap.MADV_RANDOM)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
for at in range(0, len(view), 64 * 4096):
    view[at]
print(start, len(view), resource.getrusage(resource.RUSAGE_SELF).ru_majflt - before, file=open(sys.argv[2], "w"))
"""


def check_majors():
    """Pages that come from the disk: their faults are major, and no more of them than the process counts itself."""
    name = "faults on a file that is not in memory are major"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as tmp:
        data, out = os.path.join(tmp, "data"), os.path.join(tmp, "out")
        with open(data, "wb") as file:
            file.write(b"x" * (64 * 4096 * 20))
            file.flush()
            os.fsync(file.fileno())
        run, doc = record(["--list"], [sys.executable, "-c", MAJORS, data, out])
        if not ok(doc is not None, f"{name}: recorded", run.stderr.decode()):
            return
        start, size, majors = (int(w) for w in open(out).read().split())
        mine = [f for f in doc["faults"] if start <= int(f["address"], 16) < start + size and f["pid"] == doc["target"]["pid"]]
        if not majors:
            skip(name, "the file stays in memory here")
            return
        have = sum(f["kind"] == "major" for f in mine)
        # pages of the program itself may have to be read again
        ok(0 < have <= majors, name, f"{have} of {len(mine)}, the process counts {majors}")
        ok(doc["major"] >= have, f"{name}: and the sum has them", doc["major"])


def check_exports():
    with tempfile.TemporaryDirectory() as tmp:
        trace, folded = os.path.join(tmp, "trace"), os.path.join(tmp, "folded")
        _, doc = record(["--stacks", "--trace-events", trace, "--folded", folded], ["/bin/true"])
        with open(trace) as file:
            events = json.load(file)["traceEvents"]
        ok(sum(e["ph"] == "i" for e in events) == doc["kept"], "trace events: one a fault")
        ok(sum(e["ph"] == "X" for e in events) == len(doc["phases"]), "trace events: a span a phase")
        with open(folded) as file:
            lines = file.read().splitlines()
        ok(sum(int(line.rsplit(" ", 1)[1]) for line in lines) == doc["kept"], "folded stacks: counts sum up")
        ok(all(re.fullmatch(r"[^;]+(;[^;]+)+ \d+", line) for line in lines), "folded stacks: frames and a count", lines[:5])


def faults_of(pid):
    """minflt + majflt, as the kernel counts them."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[7]) + int(fields[9])


def check_attach():
    """A process that runs already: what it faults meanwhile, and what was there before."""
    code = ("import sys,time,mmap\n"
            "m=mmap.mmap(-1,400*4096,flags=mmap.MAP_PRIVATE|mmap.MAP_ANONYMOUS)\n"
            "[m.__setitem__(i*4096,1) for i in range(100)]\n"
            "print('ready',flush=True)\nsys.stdin.readline()\n"
            "[m.__setitem__(i*4096,1) for i in range(100,350)]\n"
            "print('done',flush=True)\nsys.stdin.readline()\n")
    target = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        target.stdout.readline()
        count_before = faults_of(target.pid)
        mem = attach(target.pid)
        target.stdin.write(b"\n")
        target.stdin.flush()
        target.stdout.readline()
        mem.send_signal(signal.SIGINT)
        doc = json.loads(mem.communicate(timeout=30)[0])
        counted = faults_of(target.pid) - count_before
    finally:
        target.kill()
        target.wait()
    check_numbers(doc, "attached")
    ok(250 <= doc["task_faults"] <= counted, "attached: the kernel's own count is of the recording alone", (doc["task_faults"], counted))
    have = {row["source"]: row["bytes"] for row in doc["sources"]}
    ok(have["fault"] >= 250 * PAGE, "attached: what it faulted meanwhile", have)
    ok(have["before"] > 100 * PAGE and doc["rss"]["before"] - doc["rss"]["gone"] == have["before"],
       "attached: what was resident before", doc["rss"])
    grew = sum(b for s, b in have.items() if s != "before") - doc["rss"]["gone"]
    ok(grew == doc["rss"]["grew_by"], "attached: RSS grew by the rest", doc["rss"])


def check_errors():
    with tempfile.TemporaryDirectory() as tmp:
        for option in ("-o", "--trace-events", "--folded"):
            run = subprocess.run([MEMWHY, "faults", option, os.path.join(tmp, "no", "dir"), "--", "touch", os.path.join(tmp, "ran")],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
            ok(run.returncode == 3 and b"create: No such file" in run.stderr and not os.listdir(tmp),
               f"{option} that cannot be written is told before the command runs", (run.stderr, os.listdir(tmp)))
        run = subprocess.run([MEMWHY, "faults", "-o", "-", "--folded", "-", "--", "touch", os.path.join(tmp, "ran")],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
        ok(run.returncode == 2 and not run.stdout and b"two outputs" in run.stderr and not os.listdir(tmp),
           "two outputs do not go into one", run.stderr)
        kept = os.path.join(tmp, "kept")
        with open(kept, "w") as file:
            file.write("old")
        subprocess.run([MEMWHY, "faults", "-o", kept, "--", "/no/such/command"], stderr=subprocess.PIPE, timeout=30)
        with open(kept) as file:
            ok(file.read() == "old", "and a file is not emptied before there is something to write")
    run = subprocess.run([MEMWHY, "faults", "--", "/no/such/command"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
    ok(run.returncode == 3 and b"No such file" in run.stderr, "a command that is not there", run.stderr)
    with tempfile.NamedTemporaryFile("w") as file:
        for text in ("", "{}\n", '{"schema":"memwhy/faults/9"}\n', '{"schema":"memwhy/faults/1","pid":1}\n{"faults":[[1]]}\n'):
            file.seek(0)
            file.truncate()
            file.write(text)
            file.flush()
            run = subprocess.run([MEMWHY, "faults", file.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
            ok(run.returncode == 3 and run.stderr, f"a damaged recording is refused: {text[:40]!r}", run.stderr)


def check_perf():
    """The same program under perf: one and the same number of faults on its own pages."""
    name = "perf record -e page-faults -c 1 -d sees the same addresses"
    with tempfile.TemporaryDirectory() as tmp:
        data, path = os.path.join(tmp, "data"), os.path.join(tmp, "truth")
        try:
            run = subprocess.run(["perf", "record", "-q", "-N", "-e", "page-faults", "-c", "1", "-d", "-o", data, TRUTH, "threads", path],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        except FileNotFoundError:
            skip(name, "perf is not installed")
            return
        if run.returncode:
            skip(name, "perf record does not work here")
            return
        script = subprocess.run(["perf", "script", "-i", data, "-F", "tid,addr"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=60).stdout.decode()
        want = [(a, t) for a, t, _ in expected_faults(read_truth(path))]
        pages = {page(a) for a, _ in want}
        have = [(int(w[1], 16), int(w[0])) for w in map(str.split, script.splitlines()) if len(w) == 2]
        have = [x for x in have if page(x[0]) in pages]
        ok(have == want, name, f"{len(have)} of {len(want)}")


def check_perf_trace():
    """And under perf trace, which writes "... truth/TID minfault [place] => //anon@ADDRESS (d.)"."""
    name = "perf trace -F all sees the same addresses"
    with tempfile.TemporaryDirectory() as tmp:
        trace, path = os.path.join(tmp, "trace"), os.path.join(tmp, "truth")
        try:
            run = subprocess.run(["perf", "trace", "-F", "all", "--no-syscalls", "-o", trace, TRUTH, "threads", path],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        except FileNotFoundError:
            skip(name, "perf is not installed")
            return
        if run.returncode or not os.path.exists(path) or not os.path.getsize(trace):
            skip(name, f"perf trace does not work here: {run.stderr.decode(errors='replace').splitlines()[:1]}")
            return
        want = [(a, t) for a, t, _ in expected_faults(read_truth(path))]
        pages = {page(a) for a, _ in want}
        with open(trace) as file:
            have = [(int(m[2], 16), int(m[1])) for m in re.finditer(r"/(\d+) (?:min|maj)fault .* => //anon@0x([0-9a-f]+) ", file.read())]
        # what came on two processors it may write in the wrong order
        have = sorted(x for x in have if page(x[0]) in pages)
        ok(have == sorted(want), name, f"{len(have)} of {len(want)}")


def main():
    run, _ = record([], ["/bin/true"])
    if run.returncode and b"perf_event_open" in run.stderr:
        print(f"1..0 # SKIP {run.stderr.decode().splitlines()[0]}")
        return 0
    run, _ = record(["--recorder=program"], ["/bin/true"])
    recorders = ["samples"] if run.returncode else ["samples", "program"]
    if run.returncode:
        skip("recording by a program in the kernel", run.stderr.decode().splitlines()[0])
    for recorder in recorders:
        for mode in ("threads", "populate", "locked", "huge", "freed", "forked", "crowd", "named"):
            check_mode(mode, recorder)
        check_mode("threads", recorder, ["sh", "-c", 'exec "$@"', "sh"])
        check_lost(recorder)
        check_old_kernel(recorder)
        attached(check_threads_attached, recorder)
    attached(check_asked)
    attached(check_descriptors)
    check_unprivileged()
    check_refused()
    check_commands()
    check_real()
    check_stripped()
    check_phases()
    with tempfile.TemporaryDirectory() as tmp:
        check_static_phases(tmp)
        check_kinds_of_program(tmp)
        check_renewed(tmp)
        check_replaced(tmp)
        check_leaderless(tmp)
        check_twins(tmp)
    check_majors()
    attached(check_lost_moves)
    check_exports()
    attached(check_attach)
    check_errors()
    check_perf()
    check_perf_trace()
    print(f"1..{count}")
    return failed > 0


sys.exit(main())
