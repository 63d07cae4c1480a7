#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU time and peak memory of memwhy elf as ratios to other tools on the same files.

usage: elf.py [--rounds N] [FILE...]

Every program runs once a round, in turns; the least CPU time of all rounds counts, since what
else the machine does can only add to it. Programs that take 10 ms or more run 9 times, from a second on twice. The
floor of the headers is a program that prints them by libelf and does nothing else.

Ends with 1 when a budget is not met.
"""
import argparse
import os
import shutil
import subprocess
import sys

BUILD = os.path.abspath(os.environ.get('BUILD', 'build'))
MEMWHY = os.path.abspath(os.environ.get('MEMWHY', os.path.join(BUILD, 'memwhy')))
LAUNCH = os.path.join(BUILD, 'tests/bench/launch')
FLOOR = os.path.join(BUILD, 'tests/bench/elf_floor')
RUN_S = 120
LIB = '/usr/lib/x86_64-linux-gnu/'
# a small program, the C library, and the largest that Debian's packages have
FILES = ['/bin/ls', LIB + 'libc.so.6', LIB + 'libLLVM-14.so.1', '/usr/bin/node', '/usr/lib/chromium/chromium']
COMMON = ['-h', '-l', '-S', '-s', '-r', '-d', '-V', '-n', '-A', '-I']
# task: memwhy's options, readelf's and llvm-readelf's, eu-readelf's (where -s and -n take an argument)
TASKS = {'headers': (['-h', '-l', '-S'], ['-hlS'], ['-hlS']),
         'symbols': (['-s'], ['-s'], ['-s']),
         'relocations': (['-r'], ['-r'], ['-r']),
         'common': (COMMON, ['-hlSsrdVnAI'], ['-hlSrdVAI', '-n', '-s'])}
# task, file, program, figure, largest ratio of memwhy to it
BUDGETS = [('headers', f, p, 'CPU', most) for f in FILES
           for p, most in (('floor', 1.3), ('readelf', 1.0), ('eu-readelf', 1.0), ('llvm-readelf', 1.0))]
BUDGETS += [('symbols', '/usr/bin/node', 'eu-readelf', 'CPU', 0.5),
            ('relocations', '/usr/lib/chromium/chromium', 'eu-readelf', 'CPU', 0.5),
            ('common', LIB + 'libLLVM-14.so.1', 'eu-readelf', 'CPU', 0.5)]
BUDGETS += [(t, f, 'eu-readelf', 'CPU', 1.0) for t in TASKS if t != 'headers' for f in FILES]
BUDGETS += [(t, f, 'eu-readelf', 'memory', 1.0) for t in TASKS for f in FILES]


def run(argv):
    """(CPU seconds, peak KiB) of a run; None when it fails."""
    try:
        done = subprocess.run([LAUNCH, '1', *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=RUN_S,
                              check=True)
    except (subprocess.SubprocessError, OSError):
        return None
    cpu, peak = done.stdout.split()
    return int(cpu) / 1e6, int(peak)


def programs(task, path):
    mine, gnu, eu = TASKS[task]
    result = {'memwhy': [MEMWHY, 'elf', *mine, path]}
    if task == 'headers':
        result['floor'] = [FLOOR, path]
    for name, found, options in (('readelf', shutil.which('readelf'), ['-W', *gnu]),
                                 ('eu-readelf', shutil.which('eu-readelf'), eu),
                                 ('llvm-readelf', shutil.which('llvm-readelf-14') or shutil.which('llvm-readelf'), gnu)):
        if found:
            result[name] = [found, *options, path]
    return result


def measure(task, path, rounds):
    """{program: (least CPU seconds, largest peak KiB)}"""
    best = {}
    for i in range(rounds):
        for name, argv in programs(task, path).items():
            old = best.get(name)
            if (i >= 2 and (not old or old[0] > 1)) or (i >= 9 and old and old[0] > 0.01):
                continue
            got = run(argv)
            if got:
                best[name] = (min(got[0], old[0]), max(got[1], old[1])) if old else got
    return best


def check_budgets(results):
    missed = 0
    print('\nbudgets')
    for task, path, program, figure, most in BUDGETS:
        got = results.get((task, path), {})
        if 'memwhy' not in got or program not in got:
            continue
        k = 0 if figure == 'CPU' else 1
        ratio = got['memwhy'][k] / got[program][k]
        missed += ratio > most
        print('  %-11s %-15s %-6s = %.2f x %s, at most %.2f: %s' % (
            task, os.path.basename(path), figure, ratio, program, most, 'met' if ratio <= most else 'MISSED'))
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=25)
    parser.add_argument('files', nargs='*')
    opts = parser.parse_args()
    files = opts.files or [f for f in FILES if os.path.exists(f)]
    results = {}
    for task in TASKS:
        print('\n%s\n  %-16s%-14s%10s%12s%12s' % (task, 'file', 'program', 'CPU ms', 'memwhy / it', 'peak MiB'))
        for path in files:
            got = results[task, path] = measure(task, path, opts.rounds)
            mine = got.get('memwhy', (float('nan'), 0))
            for name, (cpu, peak) in got.items():
                print('  %-16s%-14s%10.2f%12.2f%12.1f' % (os.path.basename(path), name, cpu * 1000, mine[0] / cpu,
                                                        peak / 1024))
            sys.stdout.flush()
    sys.exit(1 if check_budgets(results) else 0)


if __name__ == '__main__':
    main()
