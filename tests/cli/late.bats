#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# Libraries that are loaded when first called: they are told in a note, and one that is missing is an error
# of its own.
load helper

setup() {
	readelf -SW "$memwhy" | grep -qF .note.dlopen || skip "linked plainly"
}

@test "the C library alone is loaded at the start" {
	! readelf -sW "$memwhy" | grep -q __asan_init || skip "the sanitizers bring libraries of their own"
	[ "$(readelf -d "$memwhy" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')" = libc.so.6 ]
}

@test "the note tells every other library" {
	"$memwhy" elf -n --json "$memwhy" | jq -r '.files[0].notes[] | select(.table == ".note.dlopen") |
		.entries[].details[] | select(.key == "text") | .value | fromjson | .[].soname[]' | sort >"$BATS_TEST_TMPDIR/told"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/told")" -ge 6 ]
	grep -qx 'libelf\.so\..*' "$BATS_TEST_TMPDIR/told"
	grep -qx 'libdwarf\.so\..*' "$BATS_TEST_TMPDIR/told"
	grep -qx 'libproc2\.so\..*' "$BATS_TEST_TMPDIR/told"
	# and each is one that this machine has
	for lib in $(cat "$BATS_TEST_TMPDIR/told"); do
		[ -e "$("${CC:-gcc}" -print-file-name="$lib")" ]
	done
}

@test "a header is printed without libelf, and a missing library is told by name" {
	mkdir "$BATS_TEST_TMPDIR/broken"
	echo text >"$BATS_TEST_TMPDIR/broken/libelf.so.1"
	export LD_LIBRARY_PATH=$BATS_TEST_TMPDIR/broken
	expect 0 elf -h -l -S "$memwhy"
	expect 127 explain $$
	well_said
	contains "$err" "memwhy: libelf.so.1: loading it: "
}

@test "tables need no library, but for cells of several lines" {
	mkdir "$BATS_TEST_TMPDIR/broken"
	echo text >"$BATS_TEST_TMPDIR/broken/libsmartcols.so.1"
	export LD_LIBRARY_PATH=$BATS_TEST_TMPDIR/broken
	expect 0 explain $$
	expect 0 top --fast
	expect 127 doctor
	contains "$err" "memwhy: libsmartcols.so.1: loading it: "
}

@test "the hint fits the reason" {
	! readelf -sW "$memwhy" | grep -q __asan_init || skip "the sanitizers need more files and address space"
	for n in $(seq 4 24); do	# one of these ends while a library is loaded
		(ulimit -n "$n"; timeout 60 "$memwhy" explain $$) 2>>"$BATS_TEST_TMPDIR/err" >/dev/null || true
	done
	contains "$(cat "$BATS_TEST_TMPDIR/err")" "loading it"
	contains "$(cat "$BATS_TEST_TMPDIR/err")" "ulimit -n"
	never grep -q package "$BATS_TEST_TMPDIR/err"
}
