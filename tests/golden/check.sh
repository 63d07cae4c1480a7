#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Saved snapshots of real programs give the text and the JSON that were looked at once and kept:
# NAME.snap, NAME.VIEW.txt, NAME.VIEW.json. UPDATE=1 writes them anew, for `git diff` to show.
# The version is left out of the JSON: it is not the snapshot's.
set -u
cd "$(dirname "$0")/../.." || exit 99
MEMWHY=${MEMWHY:-${BUILD:-build}/memwhy}
dir=tests/golden
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
export LC_ALL=C.UTF-8
n=0
compare() { # NAME GOT EXPECTED
	n=$((n + 1))
	if [ "${UPDATE:-0}" = 1 ]; then
		cp "$2" "$3"
	fi
	if diff "$3" "$2" >"$tmp/diff" 2>&1 && [ -s "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		head -n 20 "$tmp/diff" | sed 's/^/# /'
	fi
}
view() { # NAME VIEW OPTION...
	local name=$1 view=$2
	shift 2
	timeout 60 "$MEMWHY" "$@" "$dir/$name.snap" >"$tmp/out" 2>&1 </dev/null
	echo "exit status $?" >>"$tmp/out"
	compare "$name: $*" "$tmp/out" "$dir/$name.$view.txt"
}
json() { # NAME VIEW OPTION...
	local name=$1 view=$2
	shift 2
	timeout 60 "$MEMWHY" "$@" --json "$dir/$name.snap" 2>&1 </dev/null | grep -v '^  "tool_version": ' >"$tmp/out"
	compare "$name: $* --json" "$tmp/out" "$dir/$name.$view.json"
}
# what is unknown or torn: every view says so
view swap verify explain --verify --all --width=100
view torn verify explain --verify --width=80
json swap maps maps
for snap in "$dir"/*.snap; do
	name=$(basename "$snap" .snap)
	view "$name" explain explain --width=80
	json "$name" explain explain
	view "$name" maps maps --width=80
done
view anon all explain --all --verify --width=120
view threads owners maps -r -o address,size,resident,owner,owner_detail,certainty,rule
view threads xx maps -XX
view threads long maps -l --width=180
view demo long maps -l
view go owners maps -r -o address,size,resident,owner,owner_detail,certainty,rule
view demo bytes explain -b --width=120
view python sorted maps -r -n -o size,resident,segment,sections,object --sort=-resident
json threads maps maps

# the default views fit a terminal, at 80 columns and at 132
for width in 80 132; do
	for name in "$dir"/*.snap; do
		n=$((n + 1))
		for c in explain "explain --all --verify" maps "maps -x"; do
			# shellcheck disable=SC2086
			timeout 60 "$MEMWHY" $c --width=$width "$name" 2>&1 | grep -nE ".{$((width + 1))}" | sed "s/^/$c: /"
		done >"$tmp/wide"
		if [ -s "$tmp/wide" ]; then
			echo "not ok $n - $(basename "$name" .snap): no line is wider than $width columns"
			head -n 5 "$tmp/wide" | sed 's/^/# /'
		else
			echo "ok $n - $(basename "$name" .snap): no line is wider than $width columns"
		fi
	done
done

# the sums close in every one of them, by a road of their own
n_sums=$(find "$dir" -name '*.snap' | wc -l)
timeout 120 python3 "$dir/sums.py" "$MEMWHY" "$dir"/*.snap >"$tmp/sums" 2>&1
grep -v '^1\.\.' "$tmp/sums" | awk -v n="$n" '/^(not )?ok / { sub(/ok [0-9]+/, "ok " ++n) } { print }'
[ "$(grep -c 'ok ' "$tmp/sums")" -eq "$n_sums" ] || echo "not ok - sums.py ended before its end"
n=$((n + n_sums))
echo "1..$n"
