#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Separate debug files: by checksum, from a debuginfod server on the loopback that this test is, and never from
one that nobody named; symbols that a file carries packed; members of archives, thin ones too. TAP on standard output."""
import http.server
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

from points import check, end, skip

MEMWHY = os.path.abspath(os.environ.get('MEMWHY', 'build/memwhy'))
CC = os.environ.get('CC', 'gcc')
ENV = {k: v for k, v in os.environ.items() if not k.startswith('DEBUGINFOD') and 'proxy' not in k.lower()}
SOURCE = 'static int helper(int x) { return x * 3 + 1; }\nint __attribute__((noinline)) outer(int x)\n{\n\treturn helper(x) + 2;\n}\n'


def run(*cmd, cwd=None):
    return subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=cwd, check=True,
                          env=dict(ENV, LC_ALL='C')).stdout.decode()


def ask(*args, **env):
    p = subprocess.run([MEMWHY, 'elf', '--json', *args], stdout=subprocess.PIPE, env=dict(ENV, **env), timeout=120)
    return p.returncode, json.loads(p.stdout)


def address_of(path, name):
    return next(int(x.split()[0], 16) for x in run('nm', path).split('\n') if x.endswith(' ' + name))


def line_of(path, addr, **env):
    rc, d = ask('--addr=%#x' % addr, path, **env)
    lines = d['files'][0]['dwarf']['lines']
    return [(x['function'], os.path.basename(x['file'] or ''), x['line']) for x in lines], lines[0]['symbol'], d['files'][0]


def build(tmp, name, *flags):
    d = os.path.join(tmp, name)
    os.makedirs(d)
    open(os.path.join(d, 'x.c'), 'w').write(SOURCE)
    run(CC, '-g', '-O1', '-shared', '-fPIC', '-o', 'full.so', 'x.c', *flags, cwd=d)
    run('objcopy', '--only-keep-debug', 'full.so', 'x.debug', cwd=d)
    run('strip', '-o', 'x.so', 'full.so', cwd=d)
    return d


def test_checksum(tmp):
    d = build(tmp, 'crc', '-Wl,--build-id=none')
    run('objcopy', '--add-gnu-debuglink=x.debug', 'x.so', cwd=d)
    addr = address_of(os.path.join(d, 'full.so'), 'outer')
    want = line_of(os.path.join(d, 'full.so'), addr)[0]
    got = line_of(os.path.join(d, 'x.so'), addr)
    check('by checksum: the line and the symbol', got[0] == want and got[1] == 'outer' and want[0][0], (got, want))
    with open(os.path.join(d, 'x.debug'), 'ab') as f:
        f.write(b'x')
    got = line_of(os.path.join(d, 'x.so'), addr)
    check('another checksum: the file is not believed', not any(x[0] for x in got[0]) and
          'x.debug' not in (got[2]['dwarf']['symbols_from'] or ''), got)


def test_pipe(tmp):
    """A name that a file gives must not make its reader wait, for whoever holds the other end."""
    d = build(tmp, 'pipe', '-Wl,--build-id=none')
    run('objcopy', '--add-gnu-debuglink=x.debug', 'x.so', cwd=d)
    run('ar', 'rcT', 'thin.a', 'x.so', cwd=d)
    addr = address_of(os.path.join(d, 'full.so'), 'outer')
    for what, name, args in (('debug file', 'x.debug', ['elf', '--addr=%#x' % addr, 'x.so']), ('member of a thin archive', 'x.so', ['elf', '-h', 'thin.a'])):
        os.unlink(os.path.join(d, name))
        os.mkfifo(os.path.join(d, name))
        end = os.open(os.path.join(d, name), os.O_RDWR)
        try:
            ended = subprocess.run([MEMWHY, *args], cwd=d, env=ENV, timeout=60, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE).returncode in (0, 1, 3)
        except subprocess.TimeoutExpired:
            ended = False
        os.close(end)
        check('a pipe in the place of a %s is not waited for' % what, ended)


class Server(http.server.BaseHTTPRequestHandler):
    seen, answers = [], {}

    def do_GET(self):
        Server.seen.append(self.path)
        body = Server.answers.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.send_header('Content-Length', str(len(body or b'')))
        self.end_headers()
        self.wfile.write(body or b'')

    def log_message(self, *args):
        pass


def test_servers(tmp):
    if not any(os.path.exists(os.path.join(p, 'libdebuginfod.so.1')) for p in
               ('/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib', '/lib/x86_64-linux-gnu')):
        skip('debuginfod', 'there is no libdebuginfod.so.1')
        return
    d = build(tmp, 'server', '-Wl,--build-id=sha1')
    path = os.path.join(d, 'x.so')
    build_id = re.search(r'Build ID: ([0-9a-f]+)', run('readelf', '-n', path)).group(1)
    addr = address_of(os.path.join(d, 'full.so'), 'outer')
    want = line_of(os.path.join(d, 'full.so'), addr)[0]
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = 'http://127.0.0.1:%d' % server.server_address[1]
    resource = '/buildid/%s/debuginfo' % build_id
    Server.answers[resource] = open(os.path.join(d, 'x.debug'), 'rb').read()

    def env(n):
        return {'DEBUGINFOD_URLS': url, 'DEBUGINFOD_CACHE_PATH': os.path.join(tmp, 'cache%d' % n), 'HOME': tmp,
                'DEBUGINFOD_TIMEOUT': '20'}
    got = line_of(path, addr, HOME=tmp)
    check('nobody named a server: none is asked', not Server.seen and not got[0][0][0], (Server.seen, got[0]))
    got = line_of(path, addr, **env(1))
    check('the server gives lines and symbols', got[0] == want and got[1] == 'outer', (got[0], want, Server.seen))
    check('it was asked for this build', Server.seen == [resource], Server.seen)
    rc, f = ask('-s', path, **env(1))
    names = [e['name'] for t in f['files'][0].get('debug_symbols', []) for e in t['entries']]
    check('-s shows its symbols, from the cache', 'outer' in names and Server.seen == [resource], (names, Server.seen))
    rc, f = ask('--sizes=unit', path, **env(1))
    check('--sizes=unit too', any(o['name'] == 'x.c' for o in f['files'][0]['sizes']['owners']), f)
    rc, f = ask('-h', '-l', '-S', '--sizes=section', path, **env(2))
    check('who needs no debug file asks nobody', Server.seen == [resource], Server.seen)
    image = bytearray(Server.answers[resource])
    image[image.find(bytes.fromhex(build_id))] ^= 1
    Server.answers[resource] = bytes(image)
    got = line_of(path, addr, **env(3))
    check('a file of another build is not believed', not got[0][0][0], got[0])
    del Server.answers[resource]
    rc, f = ask('-s', path, **env(4))
    check('a server without it costs a note', rc == 0 and any('no server has' in x['text'] for x in f['files'][0]['diagnostics']), f['files'][0]['diagnostics'])
    server.shutdown()


MINI_SOURCE = """#include <unistd.h>
static int __attribute__((noinline)) hidden_one(int x) { return x * 3 + 1; }
static int __attribute__((noinline)) hidden_two(int x) { return hidden_one(x) ^ 5; }
int exported(int x) { return hidden_two(x) + 2; }
int main(void) { char c; write(1, "x", 1); return read(0, &c, 1) + exported(1) == 99; }
"""


def add_mini(d, plain, name):
    """A stripped copy of d/full whose .gnu_debugdata is plain, as the packagers of Fedora make it."""
    path = os.path.join(d, name)
    with open(path + '.xz', 'wb') as f:
        f.write(plain)
    run('strip', '-o', path, 'full', cwd=d)
    run('objcopy', '--add-section', '.gnu_debugdata=' + path + '.xz', path)
    return path


def test_mini(tmp):
    d = os.path.join(tmp, 'mini')
    os.makedirs(d)
    open(os.path.join(d, 'x.c'), 'w').write(MINI_SOURCE)
    run(CC, '-O1', '-rdynamic', '-w', '-Wl,--build-id=none', '-o', 'full', 'x.c', cwd=d)
    dynamic = {x.split()[0] for x in run('nm', '-D', '--defined-only', '-P', 'full', cwd=d).splitlines()}
    funcs = {x.split()[0] for x in run('nm', '--defined-only', '-P', 'full', cwd=d).splitlines() if x.split()[1] in 'tT'}
    open(os.path.join(d, 'keep'), 'w').write('\n'.join(sorted(funcs - dynamic)) + '\n')
    run('objcopy', '--only-keep-debug', 'full', 'full.debug', cwd=d)
    run('objcopy', '-S', '--keep-symbols=keep', 'full.debug', 'mini', cwd=d)
    packed = lzma.compress(open(os.path.join(d, 'mini'), 'rb').read())
    path = add_mini(d, packed, 'stripped')
    rc, a = ask('-s', path)
    tables = a['files'][0].get('debug_symbols', [])
    found = {e['name'] for t in tables for e in t['entries'] if e['name']}
    check('.gnu_debugdata: its symbols are those that .dynsym lacks', rc == 0 and found == funcs - dynamic, (rc, found))
    rc, a = ask('--sizes=symbol', path)
    sizes = {o['name']: o['memory'] for o in a['files'][0]['sizes']['owners']}
    want = {x.split()[0]: int(x.split()[3], 16) for x in run('nm', '-P', '-S', 'full', cwd=d).splitlines() if len(x.split()) > 3}
    check('--sizes=symbol has local and exported functions', all(sizes.get(n) == want[n] for n in ('hidden_one', 'hidden_two', 'exported')), sizes)
    p = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdout.read(1)
    with open('/proc/%d/maps' % p.pid) as f:
        base = min(int(x.split('-')[0], 16) for x in f if x.rstrip().endswith(path))
    addr = base + address_of(os.path.join(d, 'full'), 'hidden_two') + 1
    answer = json.loads(subprocess.run([MEMWHY, 'at', '--json', str(p.pid), '%#x' % addr], stdout=subprocess.PIPE, timeout=120).stdout)
    p.communicate(b'x')
    at = answer['addresses'][0]
    check('memwhy at names a local function of the running program', (at['symbol'], at['symbols_from']) == ('hidden_two', '.gnu_debugdata, .dynsym'), at)
    half = bytearray(packed)
    half[len(half) // 2] ^= 0x10
    for name, bytes_ in (('damaged', bytes(half)), ('cut', packed[:-40]), ('text', b'no xz'),
                         ('bomb', lzma.compress(bytes(100 << 20))), ('not ELF', lzma.compress(b'hello' * 100))):
        rc, a = ask('-s', add_mini(d, bytes_, name.replace(' ', '')))
        f = a['files'][0]
        check('.gnu_debugdata: %s: a finding, and the other symbols' % name, rc == 1 and
              any(x['field'] == '.gnu_debugdata' for x in f['diagnostics']) and not f.get('debug_symbols') and
              any(e['name'] == 'exported' for t in f['symbols'] for e in t['entries']), (rc, f['diagnostics']))


def test_archives(tmp):
    d = os.path.join(tmp, 'ar')
    os.makedirs(os.path.join(d, 'sub'))
    for n in ('first', 'a_name_that_is_longer_than_fifteen'):
        open(os.path.join(d, 'sub', n + '.c'), 'w').write(SOURCE.replace('outer', 'outer_' + n))
        run(CC, '-g', '-O1', '-c', n + '.c', cwd=os.path.join(d, 'sub'))
    objects = ['sub/first.o', 'sub/a_name_that_is_longer_than_fifteen.o']
    run('ar', 'rcs', 'fat.a', *objects, cwd=d)
    run('ar', 'rcsT', 'thin.a', *objects, cwd=d)
    thin, fat = ask('-h', '-S', '-s', '-r', os.path.join(d, 'thin.a')), ask('-h', '-S', '-s', '-r', os.path.join(d, 'fat.a'))

    def views(answer):
        return [{k: v for k, v in f.items() if k not in ('file', 'member', 'size')} for f in answer[1]['files'] if f.get('member')]
    check('a thin archive has the members that it names', [f.get('member') for f in thin[1]['files']][:2] == objects, thin[1]['files'])
    check('they are what they are in a usual archive', thin[0] == fat[0] == 0 and views(thin) == views(fat), (thin[0], fat[0]))
    for x, members in (('thin.a', objects), ('fat.a', [os.path.basename(o) for o in objects])):
        rc, a = ask('--units', os.path.join(d, x))
        units = [(f['member'], u['name']) for f in a['files'] if f.get('member') for u in f['dwarf']['units']]
        check('%s: compile units of members' % x, units == [(m, os.path.basename(m)[:-1] + 'c') for m in members], units)
    out = subprocess.run([MEMWHY, 'elf', '-h', 'ar/thin.a'], stdout=subprocess.PIPE, cwd=tmp).stdout.decode()
    check('named from elsewhere, members are found beside the archive', out.count('ELF64') == 2, out)
    os.remove(os.path.join(d, 'sub/first.o'))
    rc, a = ask('-h', os.path.join(d, 'thin.a'))
    check('a member that is gone is said and costs itself', rc == 1 and len([f for f in a['files'] if f.get('member')]) == 1 and
          any('sub/first.o' in x['text'] for x in a['files'][-1]['diagnostics']), (rc, a['files'][-1]))


def main():
    for tool in ('objcopy', 'ar', 'readelf'):
        if not shutil.which(tool):
            print('1..0 # SKIP there is no ' + tool)
            return 0
    with tempfile.TemporaryDirectory() as tmp:
        test_checksum(tmp)
        test_pipe(tmp)
        test_servers(tmp)
        test_mini(tmp)
        test_archives(tmp)
    return end()


if __name__ == '__main__':
    sys.exit(main())
