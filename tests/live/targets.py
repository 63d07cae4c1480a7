# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts targets and memwhy, and borrows what they need from the machine."""

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time

import reading

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
MEMWHY = os.path.abspath(os.environ.get("MEMWHY", os.path.join(BUILD, "memwhy")))
LIVE = os.path.join(BUILD, "tests/live")
IS_ROOT = os.geteuid() == 0
SEES_ALL = reading.sees_files_of_others()
START_S, READ_S, END_S = 40, 90, 5
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]


# --- targets -----------------------------------------------------------------

class Target:
    """A started target, its claims, and its end."""

    def __init__(self, argv, truth_dir, wrap=()):
        env = dict(os.environ, TRUTH_DIR=truth_dir)
        self.process = subprocess.Popen(
            [*wrap, os.path.join(truth_dir, argv[0]) if wrap else os.path.join(LIVE, argv[0]),
             *argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        self.pid = self.process.pid
        self.claims, self.error = [], None

    def wait_ready(self):
        """Reads claims until the target holds still. False: it never did."""
        deadline, data = time.monotonic() + START_S, b""
        fd = self.process.stdout.fileno()
        while time.monotonic() < deadline:
            if not select.select([fd], [], [], 1)[0]:
                continue
            block = os.read(fd, 1 << 16)
            data += block
            if data.endswith(b'{"ready":true}\n') or not block:
                break
        try:
            lines = [json.loads(line) for line in data.splitlines()]
        except ValueError as error:
            self.error = f"not JSON: {error}"
            return False
        self.claims = [line for line in lines if "ready" not in line]
        if not lines or "ready" not in lines[-1]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            self.error = f"never ready (exit status {self.process.returncode})"
        return self.error is None

    def regions(self):
        return [c for c in self.claims if "expect" in c]

    def skips(self):
        return [c for c in self.claims if "skip" in c]

    def said(self, key):
        return next((c[key] for c in self.claims if key in c), None)

    def end(self):
        self.process.stdin.close()
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(END_S)
        self.process.stdout.close()


def settle(pid, seconds=10):
    """Waits until VmSize and VmRSS have not changed for half a second."""
    deadline, last, since = time.monotonic() + seconds, None, time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - since < 0.5:
        now = tuple(reading.status(pid).get(key) for key in ("VmSize", "VmRSS"))
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.05)


def stop(process):
    """A program with a life of its own holds still only when it is stopped."""
    settle(process.pid)
    process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline and not all_stopped(process.pid):
        time.sleep(0.02)


def all_stopped(pid):
    return all(reading.status(f"{pid}/task/{tid}")["State"][0] == "T"
               for tid in os.listdir(f"/proc/{pid}/task"))


@contextlib.contextmanager
def running(argv, truth_dir, wrap=()):
    target = Target(argv, truth_dir, wrap)
    try:
        target.wait_ready()
        yield target
    finally:
        target.end()


# --- what the machine lends ------------------------------------------------------

@contextlib.contextmanager
def lent(path, value):
    """Sets a kernel knob and sets it back; does nothing where that is refused."""
    try:
        with open(path, encoding="ascii") as knob:
            old = knob.read().strip()
        with open(path, "w", encoding="ascii") as knob:
            knob.write(value)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as knob:
            knob.write(old)


@contextlib.contextmanager
def ksm():
    base = "/sys/kernel/mm/ksm/"
    with lent(base + "pages_to_scan", "20000"), lent(base + "sleep_millisecs", "5"), \
            lent(base + "run", "1"):
        yield


@contextlib.contextmanager
def huge_pool():
    with lent("/proc/sys/vm/nr_hugepages", "4"):
        yield


@contextlib.contextmanager
def kernel_features():
    with ksm(), huge_pool():
        yield


@contextlib.contextmanager
def swap_device():
    """A zram device of 64 MiB, where none is in use and one may be made."""
    with open("/proc/swaps", encoding="ascii") as swaps:
        has_swap = len(swaps.readlines()) > 1
    made = None if has_swap else make_zram()
    try:
        yield
    finally:
        if made is not None:
            subprocess.run(["swapoff", f"/dev/zram{made}"], check=False)
            with contextlib.suppress(OSError), \
                    open("/sys/class/zram-control/hot_remove", "w", encoding="ascii") as remove:
                remove.write(str(made))


def make_zram():
    """Returns the number of a new device with swap on it, or None."""
    number = None
    try:
        with open("/sys/class/zram-control/hot_add", encoding="ascii") as add:
            number = int(add.read())
        with open(f"/sys/block/zram{number}/disksize", "w", encoding="ascii") as size:
            size.write(str(64 << 20))
        for command in (["mkswap"], ["swapon", "--priority", "0"]):
            subprocess.run([*command, f"/dev/zram{number}"], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return number
    except (OSError, ValueError, subprocess.CalledProcessError):
        if number is not None:
            with contextlib.suppress(OSError), \
                    open("/sys/class/zram-control/hot_remove", "w", encoding="ascii") as remove:
                remove.write(str(number))
        return None


def on_disk_dir():
    """A new directory that is not on a tmpfs, or any if there is no other."""
    shared = reading.shared_devices("self")

    def is_shared(path):
        device = os.stat(path).st_dev
        return f"{os.major(device):02x}:{os.minor(device):02x}" in shared

    roots = [tempfile.gettempdir(), "/var/tmp", LIVE]
    root = next((r for r in roots if os.path.isdir(r) and not is_shared(r)), roots[0])
    path = tempfile.mkdtemp(prefix="memwhy-truth-", dir=root)
    os.chmod(path, 0o755)
    return path


# --- memwhy ------------------------------------------------------------------------

class Answer:
    """One run of memwhy."""

    def __init__(self, args, wrap=(), binary=None):
        try:
            done = subprocess.run([*wrap, binary or MEMWHY, *args], capture_output=True,
                                  timeout=READ_S, stdin=subprocess.DEVNULL, check=False)
            self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired:
            self.code, self.out, self.err = None, b"", b"no answer in time"
        self.args = " ".join(args)
        self.err = self.err.decode(errors="replace").strip()
        self.doc = None
        with contextlib.suppress(ValueError):
            self.doc = json.loads(self.out)

    def complaints(self):
        """Why there is no document to look at."""
        if self.code is None or self.code < 0 or self.code > 4:
            return [f"memwhy {self.args}: ended with {self.code}: {self.err[-400:]}"]
        if self.code not in (0, 4) or self.doc is None:
            return [f"memwhy {self.args}: status {self.code}, "
                    f"{'no JSON' if self.doc is None else 'JSON'}: {self.err[-400:]}"]
        return []


def explain(pid, **how):
    return Answer(["explain", "--json", "--all", "--verify", str(pid)], **how)


def maps(pid, **how):
    return Answer(["maps", "--json", str(pid)], **how)
