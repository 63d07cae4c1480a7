#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes of cores: registers that a program loaded on purpose before it died, and everything else as gdb and eu-readelf
read it. The kernel writes the core where it writes plain files, else gdb does. TAP on standard output."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from points import check, end, skip

MEMWHY = os.path.abspath(os.environ.get('MEMWHY', 'build/memwhy'))
CC = os.environ.get('CC', 'gcc')
ENV = dict(os.environ, LC_ALL='C', DEBUGINFOD_URLS='')

SOURCE = r'''
#include <cpuid.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static unsigned char pattern[64];
static void *wait_here(void *a) { pause(); return a; }
static int has_avx512(void)
{
        unsigned a, b, c, d, lo, hi;
        if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27)) || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & (1u << 16)))
                return 0;
        __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
        return (lo & 0xe6) == 0xe6;
}
static int has_avx(void)
{
        unsigned a, b, c, d, lo, hi;
        if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27)) || !(c & (1u << 28)))
                return 0;
        __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
        return (lo & 6) == 6;
}
int main(int argc, char **argv)
{
        pthread_t t;
        sigset_t set;
        for (int i = 0; i < 64; i++)
                pattern[i] = (unsigned char)(i * 3 + 1);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGUSR1);
        if (argc > 1)
                pthread_create(&t, NULL, wait_here, NULL);
        printf("%d %s\n", getpid(), has_avx512() ? "avx512" : has_avx() ? "avx" : "sse");
        fflush(stdout);
        usleep(200000);
        if (has_avx512())
                __asm__ volatile("vmovdqu64 (%0), %%zmm3\n\tvmovdqu64 (%0), %%zmm20\n\tmov $0x1234567, %%eax\n\tkmovw %%eax, %%k2\n\t"
                                 "mov $0x1122334455667788, %%rbx\n\tmov $0x99, %%r12\n\tmovl $1, 0x1234\n\t" : : "r"(pattern) : "rax", "rbx", "r12");
        if (has_avx())
                __asm__ volatile("vmovdqu (%0), %%ymm3\n\tmov $0x1122334455667788, %%rbx\n\tmov $0x99, %%r12\n\tmovl $1, 0x1234\n\t"
                                 : : "r"(pattern) : "rbx", "r12");
        __asm__ volatile("movdqu (%0), %%xmm3\n\tmov $0x1122334455667788, %%rbx\n\tmov $0x99, %%r12\n\tmovl $1, 0x1234\n\t"
                         : : "r"(pattern) : "rbx", "r12");
        return 0;
}
'''


def gdb(*args):
    return subprocess.run(['gdb', '-q', '-nx', '-batch', *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=ENV, timeout=120, stdin=subprocess.DEVNULL).stdout.decode(errors='replace')


def kernel_core(tmp, prog):
    """(first line that the program printed, core), or None where the kernel writes no plain file"""
    pattern = open('/proc/sys/kernel/core_pattern').read().strip()
    if not re.match(r'core[^/|]*$', pattern):
        return None
    d = os.path.join(tmp, 'k')
    os.makedirs(d)
    out = subprocess.run(['sh', '-c', 'ulimit -c unlimited 2>/dev/null; exec "$0" x', prog], cwd=d, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL).stdout.decode()
    cores = os.listdir(d)
    return (out.split(), os.path.join(d, cores[0])) if cores else None


def gdb_core(tmp, prog):
    core = os.path.join(tmp, 'g.core')
    out = gdb('-ex', 'run', '-ex', 'generate-core-file ' + core, '--args', prog, 'x')
    m = re.search(r'^(\d+) (avx512|avx|sse)', out, re.M)
    return ([m.group(1), m.group(2)], core) if m and os.path.exists(core) else None


def notes(core):
    p = subprocess.run([MEMWHY, 'elf', '-n', '--json', core], stdout=subprocess.PIPE, timeout=60)
    out = []
    for t in json.loads(p.stdout)['files'][0]['notes']:
        for e in t['entries']:
            out.append((e['type_name'], [(d['key'], d['value']) for d in e['details']]))
    return p.returncode, out


def of_kind(all_notes, kind):
    return [dict(d) for k, d in all_notes if k == kind]


def number(text):
    return int(text, 0) & 0xffffffffffffffff


def test_truth(name, all_notes, said):
    regs = of_kind(all_notes, 'NT_PRSTATUS')[0]
    pattern = bytes((i * 3 + 1) & 255 for i in range(64))
    check('%s: rbx and r12 hold what the program put there' % name,
          regs['rbx'] == '0x1122334455667788' and regs['r12'] == '0x99', regs)
    check('%s: pid, signal, pending and blocked signals' % name,
          regs['pid'] == said[0] and regs['signal_name'] == 'SIGSEGV' and
          (name == 'gdb' or (regs['sighold'] == 'SIGUSR1' and regs['sigpend'] in ('SIGUSR1', 'none'))), regs)
    info = of_kind(all_notes, 'NT_SIGINFO')[0]
    check('%s: the address of the fault' % name, info.get('addr') == '0x1234' and info['signal_name'] == 'SIGSEGV' and
          info['code_name'] == 'SEGV_MAPERR', info)
    fp = of_kind(all_notes, 'NT_FPREGSET')[0]
    check('%s: xmm3 of FPREGSET' % name, fp['xmm3'] == '0x' + pattern[:16][::-1].hex(), fp['xmm3'])
    xs = of_kind(all_notes, 'NT_X86_XSTATE')
    if not xs:
        skip('%s: extended state' % name, 'there is none')
        return
    x = xs[0]
    if said[1] == 'sse':
        check('%s: xmm3 of XSTATE' % name, x['xmm3'] == '0x' + pattern[:16][::-1].hex(), x)
    else:
        check('%s: ymm3, in use' % name, x['ymm3'] == '0x' + pattern[:32][::-1].hex() and 'AVX' in x['in_use'].split(), x)
    if said[1] == 'avx512' and name == 'kernel':
        check('%s: zmm3, zmm20 and k2' % name, x.get('zmm3') == x.get('zmm20') == '0x' + pattern[::-1].hex() and
              x.get('k2') == '0x4567', {k: v for k, v in x.items() if k[0] in 'zk'})
    elif said[1] == 'avx512':
        skip('%s: zmm3, zmm20 and k2' % name, 'gdb puts them where another processor has them')


def test_layout(name, all_notes):
    """Where XSAVE has its components, as the kernel tells it."""
    layout, xs = of_kind(all_notes, 'NT_X86_XSAVE_LAYOUT'), of_kind(all_notes, 'NT_X86_XSTATE')
    if not layout or not xs:
        skip('%s: places of extended state' % name, 'the kernel does not tell them')
        return
    wrong = [c for c in xs[0]['xcr0'].split() if c not in ('x87', 'SSE') and c not in layout[0]]
    places = {c: [int(n) for n in re.match(r'(\d+) bytes at (\d+)', v).groups()] for c, v in layout[0].items()}
    # AVX has one place on all processors, the others are told as they are here
    ends = sorted((at, at + size) for size, at in places.values())
    wrong += ['overlap'] if any(a[1] > b[0] for a, b in zip(ends, ends[1:])) else []
    check('%s: places of extended state' % name, not wrong and places.get('AVX', [256, 576]) == [256, 576], (wrong, layout[0]))


def test_gdb(name, all_notes, core, prog):
    out = gdb('-ex', 'info registers', '-ex', 'p $_siginfo.si_signo', '-ex', 'info auxv', '-ex', 'info proc mappings', '-ex',
              'info threads', prog, core)
    regs = of_kind(all_notes, 'NT_PRSTATUS')[0]
    want = {m.group(1): number(m.group(2)) for m in re.finditer(r'^(\w+) +(0x[0-9a-f]+) ', out, re.M) if m.group(1) in regs}
    wrong = {k: (regs[k], hex(v)) for k, v in want.items() if number(regs[k]) != v}
    check('%s: %d registers are gdb\'s' % (name, len(want)), len(want) >= 23 and not wrong, wrong or out)
    auxv = of_kind(all_notes, 'NT_AUXV')[0]
    wrong, n = {}, 0
    for m in re.finditer(r'^(\d+) +AT_(\w+) .* (0x[0-9a-f]+|\d+)( "(.*)")?$', out, re.M):
        key = m.group(2) if m.group(2) in auxv else 'AT_' + m.group(1)
        if key == 'NULL' or m.group(1) == '0':
            continue
        n += 1
        value = auxv.get(key, '').split(' ', 1)
        if not value[0] or number(value[0]) != number(m.group(3)) or (m.group(5) and value[1:] != [m.group(5)]):
            wrong[m.group(0)] = value
    check('%s: %d entries of the auxiliary vector are gdb\'s, with their strings' % (name, n), n >= 15 and not wrong, wrong)
    files = [v for k, d in all_notes if k == 'NT_FILE' for key, v in d if key == 'file']
    want = ['%s-%s %s %s' % m for m in re.findall(r'^ +(0x[0-9a-f]+) +(0x[0-9a-f]+) +0x[0-9a-f]+ +(0x[0-9a-f]+|0) +(/.*)$', out, re.M)]
    want = [re.sub(r' 0x0 ', ' 0 ', w) for w in want]
    check('%s: %d mapped files are gdb\'s' % (name, len(want)), want and files == want, (files, want))
    threads = len(re.findall(r'^[* ] +\d+ +(?:Thread|LWP|process)', out, re.M))
    check('%s: a NT_PRSTATUS for each of %d threads' % (name, threads), threads >= 2 and len(of_kind(all_notes, 'NT_PRSTATUS')) == threads)


def test_eu(name, all_notes, core):
    """the first of each kind: every "name: value" that both print"""
    if not shutil.which('eu-readelf'):
        skip('%s: eu-readelf' % name, 'it is not there')
        return
    out = subprocess.run(['eu-readelf', '-n', core], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENV).stdout.decode()
    for kind in ('PRSTATUS', 'PRPSINFO', 'FPREGSET'):
        m = re.search(r'^  CORE +\d+  %s\n((?:    .*\n)+)' % kind, out, re.M)
        if not m:
            check('%s: eu-readelf shows %s' % (name, kind), False, out[:500])
            continue
        ours, wrong, n = of_kind(all_notes, 'NT_' + kind)[0], {}, 0
        for key, value in re.findall(r'([\w.]+): +(-?(?:0x)?[0-9a-f]+(?:\.\d+)?)\b', m.group(1)):
            key = {'rflags': 'eflags', 'fs.base': 'fs_base', 'gs.base': 'gs_base', 'info.si_signo': 'si_signo', 'info.si_code': 'si_code',
                   'info.si_errno': 'si_errno', 'cursig': 'signal', 'flag': 'flags'}.get(key, key)
            if key not in ours or key == 'state':
                continue
            n += 1
            # eu-readelf shows 32-bit registers as signed numbers, and mxcsr with the mask behind it
            mask = 0xffffffff if name == '32 bit' or key == 'mxcsr' else 0xffffffffffffffff
            same = ours[key] == value if '.' in value else \
                (int(ours[key], 0) ^ int(value, 0)) & mask == 0 if len(ours[key]) < 19 else int(ours[key], 0) == int(value, 0)
            if not same:
                wrong[key] = (ours[key], value)
        check('%s: %d values of %s are eu-readelf\'s' % (name, n, kind), n >= 7 and not wrong, wrong)


def test_32(tmp):
    src, prog = os.path.join(tmp, 's.c'), os.path.join(tmp, 's')
    open(src, 'w').write('#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf("%d sse\\n", getpid()); fflush(stdout);\n'
                         '__asm__ volatile("mov $0x11223344, %ebx\\n\\tmov $0x55, %esi\\n\\tmovl $1, 0x1234"); return 0; }\n')
    if subprocess.run([CC, '-m32', '-O1', '-o', prog, src], stderr=subprocess.DEVNULL).returncode:
        skip('a core of 32 bit', 'the compiler makes none')
        return
    os.makedirs(os.path.join(tmp, 'm32'))
    got = kernel_core(os.path.join(tmp, 'm32'), prog) or gdb_core(os.path.join(tmp, 'm32'), prog)
    if not got:
        skip('a core of 32 bit', 'nobody writes it')
        return
    rc, all_notes = notes(got[1])
    regs, info = of_kind(all_notes, 'NT_PRSTATUS')[0], of_kind(all_notes, 'NT_SIGINFO')[0]
    check('32 bit: registers, pid and fault', regs['ebx'] == '0x11223344' and regs['esi'] == '0x55' and regs['pid'] == got[0][0] and
          info['addr'] == '0x1234', (regs, info))
    test_eu('32 bit', all_notes, got[1])


def main():
    if os.uname().machine != 'x86_64':
        print('1..0 # SKIP registers are those of x86-64')
        return 0
    with tempfile.TemporaryDirectory() as tmp:
        src, prog = os.path.join(tmp, 'p.c'), os.path.join(tmp, 'prog')
        open(src, 'w').write(SOURCE)
        subprocess.run([CC, '-O1', '-g', '-o', prog, src, '-lpthread'], check=True)
        has_gdb = shutil.which('gdb')
        for name, make in (('kernel', kernel_core), ('gdb', gdb_core)):
            if name == 'gdb' and not has_gdb:
                skip('a core that gdb wrote', 'there is no gdb')
                continue
            got = make(tmp, prog)
            if not got:
                skip('a core that the %s wrote' % name, 'it writes none here')
                continue
            rc, all_notes = notes(got[1])
            check('%s: the core is clean' % name, rc == 0, rc)
            test_truth(name, all_notes, got[0])
            test_layout(name, all_notes)
            if has_gdb:
                test_gdb(name, all_notes, got[1], prog)
            test_eu(name, all_notes, got[1])
        test_32(tmp)
    return end()


if __name__ == '__main__':
    sys.exit(main())
