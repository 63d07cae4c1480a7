#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU time and peak memory of memwhy elf beside readelf, eu-readelf and llvm-readelf on the same files, in
turns; the least of all rounds counts. Only the ratios mean anything.

    elf.py [FILE...]"""
import os
import shutil
import subprocess
import sys
import tempfile

MEMWHY = os.environ.get('MEMWHY', 'build/memwhy')
ROUNDS = int(os.environ.get('ROUNDS', '7'))
# A small parent, since the peak of a process includes that of the one it was forked from.
RUNNER = r'''
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct rusage u;
	int st, null = open("/dev/null", O_WRONLY);
	if (argc < 2) return 2;
	pid_t pid = fork();
	if (!pid) { dup2(null, 1); dup2(null, 2); execvp(argv[1], argv + 1); _exit(127); }
	wait4(pid, &st, 0, &u);
	printf("%ld %ld\n", u.ru_utime.tv_sec * 1000000L + u.ru_utime.tv_usec + u.ru_stime.tv_sec * 1000000L +
	       u.ru_stime.tv_usec, u.ru_maxrss);
}
'''
FILES = ['/bin/ls', '/usr/lib/x86_64-linux-gnu/libc.so.6', '/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1',
         '/usr/bin/node', '/usr/bin/nodejs', '/usr/lib/chromium/chromium']
# what, memwhy's options, readelf's, eu-readelf's (-s and -n take arguments there), budget against eu-readelf
TASKS = [('headers', ['-h', '-l', '-S'], ['-hlS'], ['-hlS'], 1.0),
         ('symbols', ['-s'], ['-s'], ['-s'], 0.5),
         ('relocations', ['-r'], ['-r'], ['-r'], 0.5),
         ('common set', ['-h', '-l', '-S', '-s', '-r', '-d', '-V', '-n', '-A', '-I'], ['-hlSsrdVnAI'],
          ['-hlSrdVAI', '-n', '-s'], 0.5)]


def once(runner, cmd):
    out = subprocess.run([runner] + cmd, stdout=subprocess.PIPE, check=True).stdout.split()
    return int(out[0]) / 1000, int(out[1]) / 1024


def main():
    tmp = tempfile.mkdtemp()
    runner = os.path.join(tmp, 'runner')
    subprocess.run((os.environ.get('CC') or 'cc').split() + ['-O1', '-x', 'c', '-o', runner, '-'],
                   input=RUNNER.encode(), check=True)
    files = sys.argv[1:] or [f for f in FILES if os.path.exists(f) and not os.path.islink(f)]
    llvm = shutil.which('llvm-readelf-14') or shutil.which('llvm-readelf')
    peers = [p for p in ('readelf', 'eu-readelf') if shutil.which(p)]
    print('%-12s %-12s %18s   %s' % ('task', 'file', 'memwhy ms / MB', 'ratio of CPU, MB: ' + ', '.join(peers + ['llvm'])))
    for what, mine, gnu, eu, budget in TASKS:
        for f in files:
            cmds = {'memwhy': [MEMWHY, 'elf'] + mine + [f], 'readelf': ['readelf', '-W'] + gnu + [f],
                    'eu-readelf': ['eu-readelf'] + eu + [f]}
            if llvm:
                cmds['llvm'] = [llvm] + gnu + [f]
            best = {}
            for _ in range(ROUNDS):
                for name, cmd in cmds.items():
                    if name != 'memwhy' and name != 'llvm' and name not in peers:
                        continue
                    t, rss = once(runner, cmd)
                    old = best.get(name, (1e9, 0))
                    best[name] = (min(old[0], t), max(old[1], rss))
            m = best['memwhy']
            ratios = ['%s %.2f %.1f' % (n, m[0] / b[0], b[1]) for n, b in best.items() if n != 'memwhy']
            late = 'eu-readelf' in best and m[0] > budget * best['eu-readelf'][0]
            print('%-12s %-12s %9.1f / %6.1f   %s%s' % (what, os.path.basename(f)[:12], m[0], m[1], ', '.join(ratios),
                                                       '   above budget %.2f' % budget if late else ''))
    shutil.rmtree(tmp)


if __name__ == '__main__':
    main()
