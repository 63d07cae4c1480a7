#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# The forms of a target: pid, name, snapshot, -- COMMAND; and what others may see.
load helper
teardown() { end_targets; }

vsz_of() { awk '/^VmSize/ { print $2 * 1024 }' "/proc/$1/status"; }

@test "memwhy PID is memwhy explain PID" {
	start_target
	expect 0 "$target"
	a=$out
	expect 0 explain "$target"
	[ "$(head -n 1 <<<"$a")" = "$(head -n 1 <<<"$out")" ]
	expect 0 explain -p "$target"
	contains "$out" "(pid $target)"
	expect 0 explain --pid="$target"
}

@test "the numbers are those of status, and the sums close" {
	start_target
	expect 0 explain --json "$target"
	[ "$(jq .vsz <<<"$out")" = "$(vsz_of "$target")" ]
	jq -e '.residual == 0 and .torn == false and .state == "exact"' <<<"$out"
	jq -e '([.causes[].bytes] | add) == .vsz - .rss' <<<"$out"
	jq -e '([.resident[].bytes] | add) == .rss' <<<"$out"
	jq -e '[.causes[], .resident[]] | all(.code and .label and .owner and .bytes > 0 and .regions > 0)' <<<"$out"
	jq -e '.pid == .target.pid' <<<"$out"
}

@test "by name; a name of several is an error that lists them" {
	start_target "mw-name-$$"
	expect 0 explain "mw-name-$$"
	contains "$out" "(pid $target)"
	first=$target
	start_target "mw-name-$$"
	expect 3 explain "mw-name-$$"
	well_said
	contains "$err" "$first"
	contains "$err" "$target"
	[ "$(grep -cE "^ +($first|$target) +[0-9]+ (s|min|h)  " <<<"$err")" = 2 ]
	contains "$err" "$(tr '\0' ' ' <"/proc/$first/cmdline" | cut -c1-30)"
	contains "$err" "hint: give one of the pids"
}

@test "a process is found by name where its program or script lies, too" {
	start_target "mw-name-$$"
	cd "$BATS_TEST_TMPDIR"
	expect 0 explain "mw-name-$$"
	contains "$out" "(pid $target)"
	end_targets || :
	expect 3 explain "mw-name-$$"
	well_said
	contains "$err" "hint: memwhy explain -- PROGRAM starts it"
	printf '#!%s -f\n' "$(command -v tail)" >"mw-script-$$"
	chmod +x "mw-script-$$"
	start_target "mw-script-$$" 2>/dev/null
	expect 0 explain "mw-script-$$"
	contains "$out" "(pid $target)"
}

@test "memwhy help COMMAND is memwhy COMMAND --help" {
	expect 0 elf --help
	wanted=$out
	expect 0 help elf
	[ "$out" = "$wanted" ]
}

@test "a mistyped command is called one" {
	expect 2 exlpain 1
	well_said
	contains "$err" "exlpain: no such command"
	contains "$err" "hint: memwhy --help"
}

@test "a source that was left out for its cost is read as its note advises" {
	start_target
	expect 0 explain --json --max-stall=0.1 "$target"
	advice=$(jq -r '.notes[] | select(.source == "smaps") | .remedy' <<<"$out")
	[ -n "$advice" ]
	expect 0 explain --json --max-stall=0.1 "${advice%% *}" "$target"
	jq -e '[.notes[] | select(.source == "smaps")] == []' <<<"$out"
}

# live or saved: what $1 looks like in each view, without what changes from moment to moment: PSS is
# divided by whoever maps the libraries, and a look at pages refers to them
views() {
	expect 0 maps --json --smaps=always "$1"
	jq 'del(.target) | del(.maps[] | .smaps_pss, .smaps_pss_dirty, .smaps_swap_pss, .smaps_shared_clean,
		.smaps_private_clean, .smaps_shared_dirty, .smaps_private_dirty, .smaps_referenced, .dirty)' <<<"$out"
	for view in "explain --all --smaps=always" maps "maps -o +rule,object"; do
		# shellcheck disable=SC2086
		expect 0 $view --pss=always "$1"
		grep -vE 'control group|PSS' <<<"$out"
	done
}

@test "a snapshot gives the same text and JSON as the process" {
	start_target
	# until nothing of the files comes into the page cache, which is everybody's, or leaves it meanwhile
	for _ in 1 2 3 4 5 6 7 8; do
		views "$target" >"$BATS_TEST_TMPDIR/live"
		expect 0 record -o "$BATS_TEST_TMPDIR/a.snap" "$target"
		views "$target" >"$BATS_TEST_TMPDIR/again"
		cmp -s "$BATS_TEST_TMPDIR/live" "$BATS_TEST_TMPDIR/again" && break
	done
	diff "$BATS_TEST_TMPDIR/live" <(views "$BATS_TEST_TMPDIR/a.snap")
}

@test "record -o FILE.gz is compressed, and read like any other" {
	start_target
	expect 0 record -o "$BATS_TEST_TMPDIR/a.snap.gz" "$target"
	gzip -dc "$BATS_TEST_TMPDIR/a.snap.gz" >"$BATS_TEST_TMPDIR/a.snap"
	for view in "explain --all" "explain --json" maps "maps --json"; do
		# shellcheck disable=SC2086
		expect 0 $view "$BATS_TEST_TMPDIR/a.snap"
		plain=$out
		# shellcheck disable=SC2086
		expect 0 $view "$BATS_TEST_TMPDIR/a.snap.gz"
		[ "$plain" = "$out" ]
	done
	head -c 1000 "$BATS_TEST_TMPDIR/a.snap.gz" >"$BATS_TEST_TMPDIR/cut.gz"
	expect 3 explain "$BATS_TEST_TMPDIR/cut.gz"
	well_said
	contains "$err" truncated
	tail -c +500 "$BATS_TEST_TMPDIR/a.snap.gz" | cat <(head -c 400 "$BATS_TEST_TMPDIR/a.snap.gz") - >"$BATS_TEST_TMPDIR/bad.gz"
	expect 3 explain "$BATS_TEST_TMPDIR/bad.gz"
	well_said
	contains "$err" damaged
}

@test "record to standard output is the same file" {
	start_target
	expect 0 record "$target"
	[ "$(head -n 1 <<<"$out" | jq -r .schema)" = memwhy/snapshot/1 ]
	[ "$(tail -n 1 <<<"$out" | jq .end.records)" = "$(($(wc -l <<<"$out") - 2))" ]
}

@test "-- COMMAND that ends at once is caught before its memory goes" {
	expect 0 explain -- true
	contains "$out" "true (pid "
	contains "$out" "numbers are exact"
	expect 0 maps -- sh -c 'exit 3'
	contains "$out" "main stack"
}

@test "-- COMMAND that lives is looked at after --after seconds, and ended" {
	expect 0 explain --after=0.3 -- sleep "61.$$"
	contains "$out" "sleep (pid "
	never pgrep -f "^sleep 61.$$\$"
}

@test "-- COMMAND that ignores SIGTERM is ended as well" {
	expect 0 explain --after=0.3 -- sh -c "trap '' TERM; sleep 62.$$; sleep 62.$$"
	never pgrep -f "trap '' TERM; sleep 62.$$"
	left=$(pgrep -x -f "sleep 62.$$" || :)	# the shell's own child is not ours to end
	[ -z "$left" ] || kill "$left"
}

@test "-- COMMAND keeps its own options and its standard input is ours" {
	expect 0 explain --after=0.3 --json -- sleep --help
	jq -e '.target.command == "sleep --help"' <<<"$(sed -n '/^{/,$p' <<<"$out")"
}

@test "-- COMMAND starts with the signals ignored and blocked that we had" {
	local seen=$BATS_TEST_TMPDIR/seen view
	for view in explain faults; do
		# faults may be refused here; then so is this
		[ "$view" = explain ] || "$memwhy" "$view" -- true >/dev/null 2>&1 || continue
		python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR2])
os.execv(sys.argv[1], sys.argv[1:])' "$memwhy" "$view" -- grep -h '^Sig[BI]' /proc/self/status >"$seen"
		grep -q '^SigBlk:.0000000000000800$' "$seen"	# 12: SIGUSR2
		local ignored
		ignored=$(sed -n 's/^SigIgn:./0x/p' "$seen")
		((ignored >> 1 & 1 && ignored >> 14 & 1))
		never test $((ignored >> 2 & 1)) = 1
	done
}

@test "an operand before -- is no part of the command behind it: status 2, nothing is started" {
	local view
	for view in explain pages sections tlb faults; do
		expect 2 "$view" touch -- "$BATS_TEST_TMPDIR/made"
		contains "$err" "hint:"
		[ ! -e "$BATS_TEST_TMPDIR/made" ]
	done
	start_target
	expect 0 explain "$target" --
	contains "$out" "(pid $target)"
}

@test "-- COMMAND that cannot be started: status 3" {
	expect 3 explain -- /nonexistent/program
	well_said
	contains "$err" "/nonexistent/program: start: "
	expect 3 explain -- /etc/passwd
	well_said
}

@test "--strict: 0 when exact, 4 when partial" {
	start_target
	expect 0 explain --strict "$target"
	expect 0 maps --strict "$target"
	[ "$(id -u)" = 0 ] || skip "needs root to become somebody else"
	command -v setpriv >/dev/null || skip "no setpriv"
	see "$target" explain --strict
	[ "$status" = 4 ]
}

# As nobody, through a copy that nobody may execute.
see() { # PID COMMAND...
	local pid=$1
	shift
	chmod 755 "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")" 2>/dev/null || :
	shared=$(mktemp -d /tmp/memwhy-cli.XXXXXX)
	chmod 755 "$shared"
	cp "$memwhy" "$shared/memwhy"
	chmod 755 "$shared/memwhy"
	status=0
	out=$(timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups "$shared/memwhy" "$@" "$pid" \
		2>"$BATS_TEST_TMPDIR/err" </dev/null) || status=$?
	err=$(cat "$BATS_TEST_TMPDIR/err")
	rm -rf "$shared"
}

@test "somebody else's process: what status tells, unknown is never 0" {
	[ "$(id -u)" = 0 ] || skip "needs root to become somebody else"
	command -v setpriv >/dev/null || skip "no setpriv"
	start_target
	see "$target" explain --json
	[ "$status" = 0 ]
	jq -e '.state == "partial" and .residual == null and .pss == null and .mappings == null' <<<"$out"
	[ "$(jq .vsz <<<"$out")" = "$(vsz_of "$target")" ]
	jq -e '.notes | length > 0' <<<"$out"
	jq -e '.notes | any(.remedy != null)' <<<"$out"
	jq -e '.causes == []' <<<"$out"
	see "$target" explain
	[ "$status" = 0 ]
	contains "$out" "NOT KNOWN, AND WHY"
	see "$target" doctor
	[ "$status" = 0 ]
	contains "$out" "refused"
	see "$target" tlb --working-set=0.01
	[ "$status" = 3 ]
	well_said
	contains "$err" "clear_refs"
	contains "$err" "hint: run memwhy as the owner of the process or as root"
}

@test "a program on tmpfs is a program" {
	[ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] || skip "/dev/shm is no tmpfs"
	shared=$(mktemp -d /dev/shm/memwhy-test.XXXXXX)
	cp "$(command -v sleep)" "$shared/sleep" && chmod 755 "$shared/sleep"
	"$shared/sleep" 60 3>&- &
	target=$!
	for _ in $(seq 100); do
		[ "$(readlink "/proc/$target/exe")" = "$shared/sleep" ] && break
		sleep 0.05
	done
	expect 0 maps --json "$target"
	rm -rf "$shared"
	jq -e --arg name "$shared/sleep" '[.maps[] | select(.object == $name)] | length >= 4 and all(.owner != "shared memory")' <<<"$out"
	jq -e --arg name "$shared/sleep" '[.maps[] | select(.object == $name and (.sections // "" | contains(".text")))] | length == 1' <<<"$out"
	# the kernel counts its pages as shared memory all the same
	jq -e --arg name "$shared/sleep" '[.maps[] | select(.object == $name) | .shmem] | add > 0' <<<"$out"
}

@test "--freeze lets the target go" {
	start_target
	expect 0 explain --freeze "$target"
	contains "$out" "numbers are exact"
	for _ in $(seq 40); do
		[ "$(awk '{ print $3 }' "/proc/$target/stat")" != T ] && break
		sleep 0.05
	done
	[ "$(awk '{ print $3 }' "/proc/$target/stat")" = S ]
}

@test "a file of an overlay: in the page cache is what the file below it has there" {
	[ "$(id -u)" = 0 ] || skip "mounts need root"
	local d=$BATS_TEST_TMPDIR name=overlay-data
	mkdir "$d/low" "$d/lower" "$d/over"
	head -c 1048576 /dev/urandom >"$d/low/$name"
	sync "$d/low/$name"
	# shellcheck disable=SC2016
	unshare -m sh -c 'mount -t overlay -o "lowerdir=$0/low:$0/lower" none "$0/over" || exit 77
		exec python3 -c "import mmap,sys,time
f=open(sys.argv[1],\"rb\"); m=mmap.mmap(f.fileno(),0,prot=1); m.madvise(1); m[0]; f.read(); print(\"ready\",flush=True); time.sleep(60)" "$0/over/$1"' \
		"$d" "$name" >"$d/ready" 2>"$d/why" 3>&- &
	target=$!
	targets+=("$target")
	for _ in $(seq 100); do
		[ -s "$d/ready" ] && break
		kill -0 "$target" 2>/dev/null || skip "no overlay can be mounted: $(cat "$d/why")"
		sleep 0.1
	done
	expect 0 maps --json "$target"
	[ "$(jq "[.maps[] | select(.name | endswith(\"/$name\"))] | length" <<<"$out")" = 1 ]
	jq -e ".maps[] | select(.name | endswith(\"/$name\")) | .resident + .cached == 1048576 and .uncached == 0" <<<"$out"
}

@test "a file whose name ends as the kernel marks deleted ones is not a deleted one" {
	local d=$BATS_TEST_TMPDIR
	echo x >"$d/there (deleted)"
	echo x >"$d/gone"
	# shellcheck disable=SC2016
	python3 -c "import mmap,os,sys,time
files=[open(p,\"rb\") for p in sys.argv[1:]]; maps=[mmap.mmap(f.fileno(),0,prot=1) for f in files]; os.unlink(sys.argv[2]); print(\"ready\",flush=True); time.sleep(60)" \
		"$d/there (deleted)" "$d/gone" >"$d/ready" 3>&- &
	target=$!
	targets+=("$target")
	for _ in $(seq 100); do
		[ -s "$d/ready" ] && break
		sleep 0.1
	done
	expect 0 explain --json "$target"
	jq -e "[.objects[].object] | (index(\"$d/there (deleted)\") != null) and (index(\"$d/there\") == null)" <<<"$out"
	jq -e "[.objects[].object] | index(\"$d/gone\") != null" <<<"$out"
}

@test "a stack of 64 KiB is enough" {
	! readelf -sW "$memwhy" | grep -q __asan_init || skip "the sanitizers need more"
	start_target
	for c in "explain --all" maps "sections --symbols --relocs" pages tlb "elf -a -p"; do
		# shellcheck disable=SC2086
		status=0
		(ulimit -s 64; ulimit -c 0; exec env -i PATH="$PATH" timeout 60 "$memwhy" $c "$target") >"$BATS_TEST_TMPDIR/out" 2>&1 || status=$?
		[ "$status" -le 3 ] || { echo "$c: $status"; return 1; }
	done
	status=0
	(ulimit -s 64; ulimit -c 0; exec env -i PATH="$PATH" timeout 60 "$memwhy" faults -- /bin/true) >"$BATS_TEST_TMPDIR/out" 2>&1 || status=$?
	[ "$status" -le 3 ] || { echo "faults: $status"; return 1; }
}
