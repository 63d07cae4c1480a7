#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# valgrind-long - the allocator, linked from its archive, reads nothing that is not set.
# Memcheck is told to leave our malloc in place, so it sees plain memory.
build=${BUILD:-build}
here=$(dirname "$0")
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0

check() {
	n=$((n + 1))
	name=$1
	shift
	if "$@" >"$dir/out" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name: status $?"
		grep -v "^ok" "$dir/out" | head -20 | sed 's/^/# /'
	fi
}

if ! command -v valgrind >/dev/null 2>&1; then
	echo "1..0 # SKIP no valgrind"
	exit 0
fi
for t in api stress; do
	${CC:-cc} -std=gnu11 -O1 -g -w -fno-builtin -o "$dir/$t" "$here/$t.c" "$build/libmemwhy-malloc.a" -pthread -ldl || exit 1
done
memcheck="timeout 600 valgrind -q --soname-synonyms=somalloc=nouserintercepts --error-exitcode=9"
check "every function" $memcheck "$dir/api"
for options in "" sample=20000 audit=1 hard=1 retain=0,decay=200 nocache=1; do
	check "random operations${options:+ ($options)}" \
		env MW_STRESS_CHILD=1 MEMWHY_MALLOC="$options" $memcheck "$dir/stress" 10 "${STRESS_SEED:-5}" 2
done
echo "1..$n"
