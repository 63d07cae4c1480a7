#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# stress-long - the stress test for minutes, from a new seed each time; then once more
# under a library that traps when locks are taken out of order.
build=${BUILD:-build}
seconds=${STRESS_SECONDS:-240} seed=${STRESS_SEED:-$(date +%s)}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
root=$(dirname "$0")/../..
"$build/tests/alloc/stress" "$seconds" "$seed" 8 | grep -v '^1\.\.' >"$dir/out"
${CC:-cc} -std=gnu11 -O1 -w -DMW_ALLOC_DEBUG -fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-builtin \
	-fexceptions -I"$root/lib/alloc" -I"$build/alloc" -shared -Wl,-Bsymbolic \
	-Wl,--version-script="$root/lib/alloc/alloc.map" -o "$dir/debug.so" \
	$(ls "$root"/lib/alloc/*.c | grep -v mkclasses) -pthread || exit 1
LD_PRELOAD=$dir/debug.so "$build/tests/alloc/stress" $((seconds / 4)) "$seed" 4 | grep -v '^1\.\.' |
	sed 's/ - / - order of locks: /' >>"$dir/out"
for t in heap threads; do
	LD_PRELOAD=$dir/debug.so MEMWHY_MALLOC=sample=4096 "$build/tests/alloc/$t" | grep -v '^1\.\.' |
		sed 's/ - / - order of locks: /' >>"$dir/out"
done
awk '/^(not )?ok / { n++; sub(/ok [0-9]+/, "ok " n) } { print } END { print "1.." n + 0 }' "$dir/out"
