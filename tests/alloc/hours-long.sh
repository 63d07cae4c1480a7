#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# hours-long - the allocator for as long as HOURS says (default 0.1): random operations
# against a shadow model from a new seed each time, private heaps, and real programs in
# rotation, each round with other options. `HOURS=3 TEST_TIMEOUT=20000 make check-heavy`, or
# this script alone. Its last line tells the CPU time that was spent under the library.
build=${BUILD:-build}
here=$(dirname "$0")
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
end=$(awk -v now="$(date +%s)" -v hours="${HOURS:-0.1}" 'BEGIN { printf "%d", now + 3600 * hours }')
seed=${STRESS_SEED:-$(date +%s)}
trap 'end=0' TERM # after the part that runs
n=0 round=0 under=0

# what a part said, numbered on; the time spent under the library
told() {
	awk -v n="$n" -v part="$1" '/^(not )?ok / { sub(/ok [0-9]+ - /, "ok " ++n " - " part ": "); print } /^# \|/' "$dir/out"
	grep -C 12 '^not ok' "$dir/out" | sed 's/^#* */# /'
	n=$((n + $(grep -cE '^(not )?ok ' "$dir/out")))
	grep -q '^1\.\.' "$dir/out" || [ "$status" = 124 ] || { n=$((n + 1)); echo "not ok $n - $1: it broke off"; }
	under=$(awk -v sum="$under" '/of CPU under the library$/ { sum += $(NF - 6) } END { print sum }' "$dir/out")
}

# stress, threads, heap: all their time is the library's
. "$here/same.inc"
own() {
	times >"$dir/times"
	before=$(spent)
	"$@" >"$dir/out" 2>&1
	status=$?
	times >"$dir/times"
	echo "$before $(spent)" | awk '{ print "# " $2 - $1 " seconds of CPU under the library" }' >>"$dir/out"
}

enough() {
	[ "$(date +%s)" -ge "$end" ]
}

while ! enough; do
	set -- "" audit=1 hard=1 "sample=20000" "guard=1,sample=30000" "retain=0,decay=200" "purge=free,retain=0" "thp=always" nocache=1
	shift $((round % $#))
	seed=$((seed + 1)) round=$((round + 1))
	own "$build/tests/alloc/stress" "${STRESS_SECONDS:-60}" $seed 4
	told "stress, seed $seed"
	own "$build/tests/alloc/heap"
	told "private heaps"
	for part in interpreters compilers pythons repository browser redis; do
		enough && break
		# what has not ended a minute after the end is cut off
		PARTS=$part SAME_OPTIONS=$1 timeout $((end - $(date +%s) + 60)) sh "$here/programs-long.sh" >"$dir/out" 2>&1
		status=$?
		told "programs${1:+ ($1)}"
	done
done
echo "# $under seconds of CPU under the library in $round rounds"
echo "1..$n"
