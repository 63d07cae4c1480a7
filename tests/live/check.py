#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares memwhy with targets that know the truth about their own memory.

usage: check.py [--self] [--heavy] [--list] [GROUP...]

  --self   leave memwhy out: compare the targets' claims with this checker's own
           reading of smaps and pagemap
  --heavy  the long groups (65,000 mappings, 4 GiB resident)
  --list   name the groups

The binary is $MEMWHY (default build/memwhy), the targets lie below $BUILD
(default build) in tests/live. Prints TAP; README.md has the protocol.
"""

import os
import shutil
import sys

from moving import freeze, moving
from others import everyone, programs, roads, snapshot
from rights import nobody, unprivileged
from shapes import (Shape, canary, delete_program, enter_namespace, NEW_PIDS, NO_ASLR,
                    replace_program, stop_program)
from tap import Tap
from targets import MEMWHY, kernel_features, on_disk_dir, swap_device

QUICK = {
    "anon": Shape("anon"),
    "shared": Shape("shared"),
    "kernel": Shape("kernel", lend=kernel_features),
    "file": Shape("file"),
    "swap": Shape("swap", lend=swap_device),
    "threads": Shape("threads"),
    "noguard": Shape("noguard"),
    "heap": Shape("heap"),
    "heap-noaslr": Shape("heap", wrap=NO_ASLR),
    "arenas": Shape("arenas"),
    "image": Shape("image"),
    "image-noaslr": Shape("image", wrap=NO_ASLR),
    "image-deleted": Shape("image", wrap=("env",), then=delete_program),
    "image-replaced": Shape("image", wrap=("env",), then=replace_program),
    "library": Shape("library", "plugin.so"),
    "namespace": Shape("library", "plugin.so", own_mounts=True),
    "limits": Shape("limits"),
    "many": Shape("many", "3000"),
    "vast": Shape("vast"),
    "pid-namespace": Shape("threads", wrap=NEW_PIDS, then=enter_namespace),
    "resident": Shape("resident", "64"),
    "static": Shape("static-anon"),
    "static-image": Shape("static-image"),
    "static-threads": Shape("static-threads"),
    "m32": Shape("m32-anon"),
    "m32-shared": Shape("m32-shared"),
    "m32-threads": Shape("m32-threads"),
    "m32-heap": Shape("m32-heap"),
    "m32-image": Shape("m32-image"),
    "m32-arenas": Shape("m32-arenas"),
    "musl": Shape("musl-anon"),
    "musl-image": Shape("musl-image"),
    "musl-threads": Shape("musl-threads"),
    "go": Shape("server", then=stop_program),
    "go-nocgo": Shape("server-nocgo", then=stop_program),
    "moving": moving,
    "freeze": freeze,
    "roads": roads,
    "snapshot": snapshot,
    "programs": programs,
    "everyone": everyone,
    "nobody": nobody,
    "unprivileged": unprivileged,
    "canary": canary,
}
HEAVY = {
    "many-65000": Shape("many", "65000"),
    "many-at-the-limit": Shape("many", "90000", "limit"),
    "resident-4g": Shape("resident", "4096", mib=6000),
}


def run_group(tap, name, what, self_only):
    work = on_disk_dir()
    try:
        if isinstance(what, Shape):
            what.run(tap, name, work, self_only)
        else:
            what(tap, name, work, self_only)
    except Exception as error:      # pylint: disable=broad-except
        tap.check(name, [f"the checker failed: {type(error).__name__}: {error}"])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main(words):
    flags = {w for w in words if w.startswith("--")}
    names = [w for w in words if not w.startswith("--")]
    known = {**QUICK, **HEAVY}
    if "--list" in flags:
        print("\n".join(known))
        return 0
    if flags - {"--self", "--heavy"} or set(names) - set(known):
        print(__doc__, file=sys.stderr)
        return 2
    self_only = "--self" in flags
    if not self_only and not os.access(MEMWHY, os.X_OK):
        print(f"1..0 # SKIP no {MEMWHY}")
        return 0
    tap = Tap()
    for name in names or (HEAVY if "--heavy" in flags else QUICK):
        run_group(tap, name, known[name], self_only)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
