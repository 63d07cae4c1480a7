#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memwhy bench counts system calls by ptrace(2): against a program that knows how many it makes, and strace;
of commands that stop, are killed, leave children behind or take too long; and not where it is refused."""
import ctypes
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
from tap import Tap  # noqa: E402

MEMWHY = os.environ.get("MEMWHY", "build/memwhy")
BUILD = os.environ.get("BUILD", "build")
CALLS = os.path.abspath(f"{BUILD}/tests/heap/calls")
KINDS = ("mmap", "munmap", "mremap", "madvise", "mprotect", "brk", "futex")
SYS_PTRACE = {"x86_64": 101, "aarch64": 117}


def bench(*args, **kw):
    p = subprocess.run([MEMWHY, "bench", "--rounds=1", "--only=memwhy", "--json", *args], capture_output=True, text=True,
                       timeout=120, check=False, **kw)
    try:
        d = json.loads(p.stdout)
    except ValueError:
        d = None
    return p.returncode, d, p.stderr


def of(d, allocator):
    return next(r for r in d["memory"] if r["allocator"] == allocator)


def check_known(t):
    some, none = (bench("--", CALLS, n, CALLS) for n in ("250", "0"))
    if not some[1] or not none[1]:
        t.check("calls that are known", [str(some), str(none)])
        return
    out = []
    for allocator in ("glibc", "memwhy"):
        a, b = of(some[1], allocator), of(none[1], allocator)
        # threads may meet in a futex, or not
        for key, want, bound in [("syscalls", 4 * 250 * 8, 16)] + [(k, 4 * 250, 16 if k == "futex" else 0) for k in KINDS]:
            if abs(a[key] - b[key] - want) > bound:
                out.append(f"{allocator} {key}: {a[key]} - {b[key]}, not {want}")
    t.check("thread, fork, vfork and exec: each call is counted", out)


def strace_counts(*command):
    with tempfile.NamedTemporaryFile("r") as f:
        subprocess.run(["strace", "-f", "-o", f.name, *command], check=True, capture_output=True, timeout=60)
        names = [line.split(None, 1)[1].split("(")[0] for line in f if "(" in line and "resumed" not in line and
                 not line.split(None, 1)[1].startswith(("---", "+++"))]
    return {"syscalls": len(names) - 1, **{k: names.count(k) for k in KINDS}}  # but the execve itself


def check_strace(t):
    what = "strace counts the same"
    if not shutil.which("strace"):
        t.skip(what, "no strace")
        return
    try:
        want = strace_counts(CALLS, "3")
    except (subprocess.SubprocessError, OSError) as e:
        t.skip(what, f"strace cannot trace here: {e}")
        return
    _, d, err = bench("--", CALLS, "3")
    got = {k: of(d, "glibc")[k] for k in want} if d else err
    t.check(what, [] if got == want else [f"{got}, not {want}"])


def check_unruly(t):
    code, d, err = bench("--", "sh", "-c", "(while kill -CONT $$; do sleep 0.1; done) & kill -STOP $$; kill $!; exit 0")
    t.check("a command that stops and goes on", [] if code == 0 and of(d, "glibc")["syscalls"] else [f"{code} {err}"])
    code, d, err = bench("--", "sh", "-c", "trap '' TERM INT HUP; kill -TERM $$; kill -HUP $$; exit 0")
    t.check("one that ignores signals", [] if code == 0 and of(d, "glibc")["syscalls"] else [f"{code} {err}"])
    code, d, err = bench("--", "sh", "-c", "kill -KILL $$")
    t.check("one that is killed is told, and has no number", [] if code == 3 and
            "while its system calls are counted: killed by signal 9" in err else [f"{code} {err}"])
    code, d, err = bench("--timeout=0.5", "--", "sleep", "30")
    t.check("one that takes too long is ended", [] if code == 3 and "counted: not done in" in err else [f"{code} {err}"])
    with tempfile.TemporaryDirectory() as tmp:
        # none but the first turn's child waits, and that is the turn that counts
        script = f"mkdir {tmp}/x 2>/dev/null && {{ sleep 20 2>/dev/null & echo $! > {tmp}/pid; }}; exit 0"
        code, d, err = bench("--", "sh", "-c", script)
        with open(f"{tmp}/pid", encoding="ascii") as f:
            pid = int(f.read())
        tracer = "?"
        for line in open(f"/proc/{pid}/status", encoding="ascii") if os.path.exists(f"/proc/{pid}/status") else ():
            tracer = line.split()[1] if line.startswith("TracerPid") else tracer
        t.check("what it leaves behind goes on, and is not traced", [] if code == 0 and tracer == "0" else [f"{code} {err} {tracer}"])
        if tracer != "?":
            os.kill(pid, signal.SIGKILL)


def follow(child, tmp):
    """A shell: at each run of the command Ctrl-Z, then fg. What was wrong."""
    end, runs = time.monotonic() + 60, 0
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            with open(f"{tmp}/go{runs}", "w", encoding="ascii"):
                os.killpg(child, signal.SIGCONT)
        elif pid:
            return f"status {status}, {runs} runs" if status or runs < 6 else ""
        if os.path.exists(f"{tmp}/at{runs + 1}"):
            runs += 1
            os.write(1, b"now ")
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    return f"it does not stop, or does not go on: run {runs}"


def check_terminal(t):
    what = "the terminal stops it with the command, counted or not"
    with tempfile.TemporaryDirectory() as tmp:
        script = f"n=1; while test -e {tmp}/at$n; do n=$((n + 1)); done; : >{tmp}/at$n; until test -e {tmp}/go$n; do :; done"
        try:
            leader, terminal = pty.fork()
        except OSError as e:
            t.skip(what, f"no terminal can be made: {e}")
            return
        if not leader:
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            child = os.fork()
            if not child:
                os.setpgid(0, 0)
                os.tcsetpgrp(0, os.getpid())
                signal.signal(signal.SIGTTOU, signal.SIG_DFL)
                os.execv(MEMWHY, [MEMWHY, "bench", "--rounds=1", "--only=memwhy", "--", "sh", "-c", script])
            wrong = follow(child, tmp)
            os.write(1, f"[{wrong}]".encode())
            os._exit(0)
        out, stops = b"", 0
        try:
            while block := os.read(terminal, 4096):
                out += block
                while stops < out.count(b"now "):
                    os.write(terminal, b"\x1a")
                    stops += 1
        except OSError:
            pass  # its last user has gone
        os.waitpid(leader, 0)
        t.check(what, [] if out.endswith(b"[]") else [out.decode(errors="replace")[-300:]])


def refuse_ptrace():
    """A filter of system calls under which ptrace(2) is not permitted."""
    nr = SYS_PTRACE[os.uname().machine]
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, nr), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
    prog = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
    fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(prog)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.addressof(fprog), 0, 0):
        os._exit(99)


def check_refused(t):
    what = "refused: the number is unknown, and why is said"
    if os.uname().machine not in SYS_PTRACE:
        t.skip(what, "the filter is for two architectures")
        return
    try:
        code, d, err = bench("--", "true", preexec_fn=refuse_ptrace)
    except subprocess.SubprocessError as e:
        t.skip(what, f"no filter of system calls: {e}")
        return
    kinds = [of(d, "glibc")[k] for k in KINDS] if d else None
    t.check(what, [] if code == 0 and kinds == [None] * len(KINDS) and "ptrace: Operation not permitted" in d["syscalls_unknown"]
            else [f"{code} {kinds} {err}"])


def main():
    t = Tap()
    if os.environ.get("MEMWHY_SANITIZED"):
        t.skip("memwhy bench", "the workloads have the sanitizer's allocator")
        return t.end()
    _, d, _ = bench("--", "true")
    if d and d["syscalls_unknown"]:
        t.skip("system calls, one by one", d["syscalls_unknown"])
        return t.end()
    check_known(t)
    check_strace(t)
    check_unruly(t)
    check_terminal(t)
    check_refused(t)
    return t.end()


if __name__ == "__main__":
    sys.exit(main())
