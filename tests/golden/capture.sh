#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Captures the snapshots of this directory anew, from real programs: a server with threads and arenas
# (memwhy demo), a Go server, a program that makes every state of anonymous memory, one with threads, an
# interpreter, node, a 32-bit and a static program, one of somebody else. derive.py makes of them what few machines
# can make. Only for a change that old snapshots cannot show; `UPDATE=1 make check` then writes what is
# expected of them.
set -eu
cd "$(dirname "$0")/../.."
B=${BUILD:-build}
dir=tests/golden
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
capture() { # NAME SMAPS PROGRAM ARGUMENT...
	local name=$1 smaps=$2 pid
	shift 2
	mkfifo "$tmp/$name"
	"$@" <"$tmp/$name" >"$tmp/$name.out" &
	pid=$!
	exec 9>"$tmp/$name"	# kept open: closing it ends the program
	sleep 1.5
	# with every field of smaps where that stays small; paths of the tree itself become /src/memwhy
	"$B/memwhy" record --pss=always --smaps="$smaps" "$pid" | sed "s|$PWD|/src/memwhy|g; s|\"cgroup\":{\"path\":\"[^\"]*\"|\"cgroup\":{\"path\":\"/\"|" >"$dir/$name.snap"
	exec 9>&-
	kill "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || :
	[ "$(stat -c %s "$dir/$name.snap")" -lt 100000 ] || echo "$name.snap is larger than 100 kB" >&2
}
capture demo never "$B/memwhy" demo --serve
capture anon always "$B/tests/live/anon"
capture threads always "$B/tests/live/threads"
capture go always "$B/tests/live/server"
capture python never /usr/bin/python3 -S -c 'import json, sys; sys.stdin.read()'
capture node never node -e 'process.stdin.resume()'
cat >"$tmp/hold.c" <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static char bss[300000];
static int data[50000] = { 1 };
static void *run(void *p) { char b[20000]; memset(b, 1, sizeof(b)); getchar(); return p; }
int main(void)
{
	pthread_t t;
	char *p = malloc(3000000);

	memset(p, 1, 1000000);
	memset(bss, 1, 50000);
	data[7] = 3;
	pthread_create(&t, NULL, run, NULL);
	pthread_join(t, NULL);
	return p[1] + bss[3] - 1;
}
C
gcc -m32 -o "$tmp/hold32" "$tmp/hold.c" -pthread
gcc -static -o "$tmp/holdstatic" "$tmp/hold.c" -pthread
capture i386 never "$tmp/hold32"
capture static never "$tmp/holdstatic"
sed -i "s|$tmp|/src|g" "$dir/i386.snap" "$dir/static.snap"
sleep 60 &
setpriv --reuid=65534 --regid=65534 --clear-groups "$B/memwhy" record $! |
	sed 's|"cgroup":{"path":"[^"]*"|"cgroup":{"path":"/"|' >"$dir/norights.snap"
kill $!
python3 "$dir/derive.py" "$dir"
