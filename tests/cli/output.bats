#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# What output looks like: JSON, columns, sorting, units, raw, width, colour, completions.
load helper
teardown() { end_targets; }

@test "--json is one document for jq and for python, with its schema" {
	command -v python3 >/dev/null || skip "no python3"
	start_target
	for c in "explain $target" "explain --all --verify $target" "maps $target" "maps -XX $target" "doctor" "doctor $target" demo; do
		# shellcheck disable=SC2086
		expect 0 $c --json
		jq -e . <<<"$out" >/dev/null
		name=${c%% *}
		[ "$name" != demo ] || name=explain
		[ "$(jq -r .schema <<<"$out")" = "memwhy/$name/1" ]
		[ "$(jq -r .unit <<<"$out")" = bytes ]
		python3 -c 'import json, sys; json.load(sys.stdin)' <<<"$out"
	done
}

@test "addresses are hex strings, unknown is null" {
	start_target
	expect 0 maps --json --smaps=never "$target"
	jq -e '.maps | all((.start | test("^0x[0-9a-f]+$")) and (.end | test("^0x[0-9a-f]+$")))' <<<"$out"
	jq -e '.maps | all(.dirty == null)' <<<"$out"
	jq -e '(.maps | map(.size) | add) == .vsz and (.maps | map(.resident) | add) == .rss' <<<"$out"
}

@test "-o: these columns, one more, help, and an unknown one" {
	start_target
	expect 0 maps -r -n -o size,perm "$target"
	[ "$(sed -n 1p <<<"$out" | wc -w)" = 2 ]
	expect 0 maps -r -o +rule "$target"
	contains "$(sed -n 1p <<<"$out")" " BY"
	expect 0 maps -o help "$target"
	grep -qE '^owner +who it belongs to' <<<"$out"
	expect 2 maps -o nosuchcolumn "$target"
	well_said
	contains "$err" "nosuchcolumn"
	contains "$err" "hint: the columns are: address"
	expect 2 maps --sort=nosuchcolumn "$target"
	contains "$err" "nosuchcolumn"
}

@test "--sort orders by a key, -KEY descending" {
	start_target
	expect 0 maps -r -n -o size --sort=size "$target"
	diff <(sed '/^sum/d' <<<"$out" | head -n -1 | sort -n) <(sed '/^sum/d' <<<"$out" | head -n -1)
	expect 0 maps -r -n -o size --sort=-size "$target"
	diff <(head -n -1 <<<"$out" | sort -rn) <(head -n -1 <<<"$out")
}

@test "-r: one blank between columns, blanks escaped, bytes" {
	start_target
	expect 0 maps -r -n -o address,size,owner "$target"
	never grep -qE '  |iB' <<<"$out"
	awk 'NF != 3 { exit 1 }' <<<"$out"
	grep -q 'main\\x20stack' <<<"$out"
}

@test "units: -b, -k, -m, --si" {
	start_target
	vsz=$(awk '/^VmSize/ { print $2 * 1024 }' "/proc/$target/status")
	expect 0 explain -b "$target"
	contains "$out" "$vsz"
	expect 0 explain -k "$target"
	contains "$out" "$((vsz / 1024))"
	expect 0 explain "$target"
	contains "$out" "MiB"
	expect 0 explain --si "$target"
	contains "$out" "MB"
}

@test "--width: lines are shortened; a pipe shortens nothing" {
	start_target
	expect 0 explain --width=80 "$target"
	[ "$(sed -n '/^IN WORDS/,$p' <<<"$out" | wc -L)" -le 80 ]
	expect 0 explain --width=96 "$target"
	[ "$(wc -L <<<"$out")" -le 96 ]
	for c in explain "explain --all --verify" maps "maps -x"; do
		# shellcheck disable=SC2086
		expect 0 $c --width=80 "$target"
		[ "$(wc -L <<<"$out")" -le 80 ]
	done
	release=$(uname -r)	# one word, which cannot be wrapped
	for c in doctor "doctor 1"; do
		# shellcheck disable=SC2086
		expect 0 $c --width=80
		[ ${#release} -gt 20 ] || [ "$(wc -L <<<"$out")" -le 80 ]
	done
	# the long table keeps numbers and addresses whole, so it has a least width
	expect 0 maps -l "$target"
	wide=$(wc -L <<<"$out")
	expect 0 maps -l --width=160 "$target"
	[ "$(wc -L <<<"$out")" -lt "$wide" ]
	expect 0 maps -l -W "$target"
	contains "$out" "$(readlink "/proc/$target/exe")"
}

@test "colour: never in a pipe, on demand always, NO_COLOR is for terminals" {
	start_target
	expect 0 explain "$target"
	never grep -q $'\033' <<<"$out"
	expect 0 explain --color=always "$target"
	grep -q $'\033' <<<"$out"
	export NO_COLOR=1
	expect 0 explain --color=always "$target"
	grep -q $'\033' <<<"$out"
	expect 0 explain --color=never "$target"
	never grep -q $'\033' <<<"$out"
}

@test "raw output has no colour" {
	start_target
	for view in maps sections top; do
		[ $view = top ] && who=() || who=("$target")
		expect 0 $view -r --color=always "${who[@]}"
		never grep -q $'\033' <<<"$out"
	done
}

@test "ASCII outside UTF-8" {
	start_target
	LC_ALL=C ask explain "$target"
	[ "$status" = 0 ]
	LC_ALL=C never grep -qP '[\x80-\xff]' "$BATS_TEST_TMPDIR/out"
}

@test "explain --all lists each range of each cause" {
	start_target
	expect 0 explain --all "$target"
	contains "$out" "HOW IT IS KNOWN"
	never grep -q 'smaller causes' <<<"$out"
}

@test "completion: bash accepts it, defines it, and completes" {
	expect 0 completion bash
	bash -n "$BATS_TEST_TMPDIR/out"
	run bash --norc --noprofile -c '. "$1" && complete -p memwhy' _ "$BATS_TEST_TMPDIR/out"
	[ "$status" = 0 ]
	contains "$output" "_memwhy"
	complete_words() { # WORD...: candidates for the last one
		bash --norc --noprofile -c 'script=$1; shift; . "$script"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _memwhy;
			printf "%s\n" "${COMPREPLY[@]}"' _ "$BATS_TEST_TMPDIR/out" "$@"
	}
	[ "$(complete_words memwhy expl)" = explain ]
	complete_words memwhy explain --ver | grep -qx -- --verify
	complete_words memwhy maps --pages = sc | grep -qx scan
	complete_words memwhy "" | grep -qx doctor
}

@test "completion: zsh and fish scripts name every option" {
	for shell in zsh fish; do
		expect 0 completion "$shell"
		cp "$BATS_TEST_TMPDIR/out" "$BATS_TEST_TMPDIR/$shell"
		for o in max-stall verify sort procfs; do
			grep -q -- "$o" "$BATS_TEST_TMPDIR/$shell"
		done
		if command -v "$shell" >/dev/null; then
			"$shell" -n "$BATS_TEST_TMPDIR/$shell"
		fi
	done
}
