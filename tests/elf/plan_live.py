#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load plan against /proc/PID/maps: for every mapped ELF file of every process that can be read,
and of some that are started for it, each predicted mapping must be there with the same bounds and rights.
TAP on standard output."""
import json
import os
import shutil
import subprocess
import sys
import time

MEMWHY = os.environ.get('MEMWHY', 'build/memwhy')
PLANS = {}


def plan_of(path):
    st = os.stat(path)
    key = (st.st_dev, st.st_ino)
    if key not in PLANS:
        p = subprocess.run([MEMWHY, 'elf', '--plan', '--json', path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        PLANS[key] = json.loads(p.stdout)['files'][0]['plan'] if p.returncode == 0 else None
    return PLANS[key]


def read_maps(pid):
    maps = []
    with open('/proc/%s/maps' % pid) as f:
        for line in f:
            part = line.rstrip('\n').split(None, 5)
            start, end = (int(x, 16) for x in part[0].split('-'))
            maps.append((start, end, part[1], int(part[2], 16), part[5] if len(part) > 5 else ''))
    return maps


def instances(maps):
    """(path, bias is found from this start) for every mapping of file offset 0"""
    for start, end, prot, off, name in maps:
        if off == 0 and name.startswith('/') and '(deleted)' not in name:
            yield name, start


def is_split(maps, start, end, prot):
    """the program has changed rights inside of it since: first and last part are as planned, and all is there"""
    parts = [m for m in maps if start <= m[0] and m[1] <= end]
    return len(parts) > 2 and parts[0][0] == start and parts[-1][1] == end and parts[0][2] == parts[-1][2] == prot and \
        all(x[1] == y[0] and x[4] == y[4] for x, y in zip(parts, parts[1:]))


def holds_still(pid, maps):
    """whether a process has been loaded: one that changes in the next two seconds, ends, is stopped or frozen proves nothing"""
    try:
        for _ in range(10):
            time.sleep(0.2)
            with open('/proc/%s/stat' % pid) as f:
                state = f.read().rpartition(')')[2].split()[0]
            if state in 'DTtZX' or read_maps(pid) != maps:
                return False
    except OSError:
        return False
    return True


def check(pid, results):
    try:
        maps = read_maps(pid)
        exe = os.readlink('/proc/%s/exe' % pid)
        still = None
    except OSError:
        return
    seen = set()
    for name, start in instances(maps):
        path = '/proc/%s/root%s' % (pid, name)    # in another root the name is another file
        try:
            with open(path, 'rb') as f:
                if f.read(4) != b'\x7fELF':
                    continue
            plan = plan_of(path)
        except OSError:
            continue
        if not plan or not plan['mappings'] or name in seen:
            continue
        seen.add(name)
        # data files and objects read with mmap() are not loaded: no second mapping near
        if sum(1 for m in maps if m[4] == name) < 2:
            continue
        bias = start - int(plan['mappings'][0]['start'], 16)
        is_library = name != exe and plan['role'] == 'library'
        have = {(a, b): p for a, b, p, o, n in maps}
        starts = {a: (b, p, n) for a, b, p, o, n in maps}
        wrong = []
        rows = [m for m in plan['mappings'] if m['kind'] != 'gap' or is_library]
        for k, m in enumerate(rows):
            a, b = int(m['start'], 16) + bias, int(m['end'], 16) + bias
            if have.get((a, b)) == m['prot'] or is_split(maps, a, b, m['prot']):
                continue
            got = starts.get(a)
            if k == len(rows) - 1 and m['is_zero'] and got and got[1] == m['prot'] and got[0] > b and not got[2].startswith('/'):
                continue    # the last zero part merged with anonymous memory behind it
            if plan['protects_itself'] and (m['kind'] == 'relro' or rows[k - 1]['kind'] == 'relro'):
                continue    # a program without an interpreter, which leaves its RELRO as it is
            wrong.append('%x-%x %s (%s), found %s' % (a, b, m['prot'], m['kind'], got))
        if wrong:
            if still is None:
                still = holds_still(pid, maps)
            if not still:
                continue
        results.append((pid, name, wrong))


def started():
    wanted = [['sleep', '60'], ['cat'], ['python3', '-c', 'import ssl, sqlite3, ctypes, json, time; time.sleep(60)'],
              ['busybox', 'sleep', '60'], ['perl', '-e', 'sleep 60'], ['node', '-e', 'setTimeout(() => 0, 60000)'],
              ['gdb', '-q', '--nx'], ['bash', '-c', 'read x'], ['tail', '-f', '/dev/null'], ['bc'], ['awk', '{print}']]
    procs = []
    for cmd in wanted:
        if shutil.which(cmd[0]):
            procs.append(subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    time.sleep(2)
    return procs


def main():
    procs = started()
    results = []
    for pid in [p for p in os.listdir('/proc') if p.isdigit()]:
        check(pid, results)
    for p in procs:
        p.kill()
        p.wait()
    bad = [r for r in results if r[2]]
    files = {r[1] for r in results}
    print('%sok 1 - %d pairs of process and object, %d files, are mapped as planned' %
          ('not ' if bad or len(results) < 10 else '', len(results), len(files)))
    for pid, name, wrong in bad:
        print('# pid %s %s: %s' % (pid, name, '; '.join(wrong)))
    print('1..1')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
