#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# Exit codes, and what is said when something does not work.
load helper
teardown() { end_targets; }

@test "no argument: usage on standard output, status 2" {
	expect 2
	contains "$out" "Usage: memwhy COMMAND"
}

@test "--help, -h and help: status 0, at most 24 lines" {
	for h in --help -h help; do
		expect 0 "$h"
		[ "$(wc -l <<<"$out")" -le 24 ]
		contains "$out" "explain"
	done
}

@test "--version names version, commit, libraries and licence" {
	expect 0 --version
	contains "$out" "memwhy "
	contains "$out" "libsmartcols "
	contains "$out" "GPL-3.0-or-later"
	if git -C . rev-parse --short HEAD >/dev/null 2>&1; then
		never grep -q 'commit unknown' <<<"$out"
	fi
}

@test "every command has --help with examples, and refuses an unknown option with 2" {
	"$memwhy" --help | sed -n '/^Commands:/,/^$/p' | awk '/^  [a-z]/ { print $1 }' >"$BATS_TEST_TMPDIR/commands"
	[ -s "$BATS_TEST_TMPDIR/commands" ]
	while read -r c; do
		expect 0 "$c" --help
		contains "$out" "Usage: memwhy $c"
		contains "$out" "Examples:"
		usage=2
		[ "$c" != run ] || usage=125	# its own failures stay apart from the program's, as in env(1)
		expect "$usage" "$c" --no-such-option
		contains "$err" "no-such-option"
		contains "$err" "hint: memwhy $c --help"
		well_said
	done <"$BATS_TEST_TMPDIR/commands"
}

@test "names with newline, backslash and escape sequences: as they are in JSON, shown in text and in errors" {
	local name=$'a\\b\nc\033[31m'
	start_target "$name"
	expect 0 explain --json "$target"
	[ "$(jq -r .target.name <<<"$out")" = "$name" ]
	expect 3 heap "$target"
	contains "$err" 'a\b'
	contains "$err" 'c\x1b[31m (pid'
	expect 3 explain "$name"$'\302\233'
	contains "$err" 'c\x1b[31m\xc2\x9b: no process'
	expect 2 explain --pss="$name" "$target"
	contains "$err" 'c\x1b[31m is none of auto never always'
	[ "$(wc -l <<<"$err")" -le 2 ]
}

@test "a name cannot forge a line of an error, nor turn its direction; invalid UTF-8 is shown" {
	expect 3 explain $'x\nhint: rm\n  -rf'
	contains "$err" 'x\x0ahint: rm'
	never grep -q '^hint: rm' <<<"$err"
	expect 3 explain $'gr\303\274n \377 \342\200\256gnp.exe'
	contains "$err" $'gr\303\274n \\xff \\xe2\\x80\\xaegnp.exe'
	local name=$'r\342\200\256\377'
	start_target "$name"
	for c in explain maps at; do
		arg=
		[ "$c" != at ] || arg=$(head -n 1 "/proc/$target/maps" | cut -d- -f1)
		expect 0 "$c" "$target" $arg
		contains "$out" 'r\xe2\x80\xae\xff'
		LC_ALL=C never grep -q $'\342\200\256' <<<"$out"
	done
}

@test "wrong arguments of options: status 2" {
	for o in --pss=maybe --smaps=x --pages=none --max-stall=x --max-stall=-1 --tries=0 --width=-1 --after=x --pid=x \
		--pid=0 --pid=1.5 --pid=4294967297 --tries=1.5 --width=79.9 --color=purple; do
		expect 2 explain "$o" $$
		contains "$err" "${o%%=*}"
		well_said
	done
}

@test "doctor: what is no pid is not taken for another process" {
	for p in 0 1.5 4194305 4294967297 99999999999999999999; do
		expect 2 doctor "$p"
		contains "$err" "$p"
		well_said
		expect 2 doctor --pid="$p"
		well_said
	done
}

@test "no target, two targets: status 2 and a hint" {
	for c in explain maps record; do
		expect 2 "$c"
		well_said
		contains "$err" "hint: a target is a pid"
		expect 2 "$c" 1 2
		well_said
		expect 2 "$c" -p 1 2
		well_said
	done
}

@test "no such process, name or file: status 3" {
	for t in 4194303 99999999 0 no-such-process-name ./no-such-file.snap; do
		for c in explain maps record; do
			expect 3 "$c" "$t"
			contains "$err" "${t#./}"
			well_said
		done
	done
}

@test "a name that several processes have: each with pid, age and command line" {
	local name=twins$$ pids=() dir=$BATS_TEST_TMPDIR
	ln -s "$(command -v sleep)" "$dir/$name"
	# the name of a process is that of the file it was started by
	"$dir/$name" 61 3>&- &
	pids+=("$!")
	python3 -c 'import os, sys; os.execv(sys.argv[1], ["a\33[31mb", "62"])' "$dir/$name" 3>&- &
	pids+=("$!")
	targets+=("${pids[@]}")
	for _ in $(seq 100); do
		ask explain "$name"
		grep -q ": 2 processes have this name" <<<"$err" && break
		sleep 0.05
	done
	[ "$status" = 3 ]
	well_said
	grep -Eq "^ +${pids[0]} +[0-9]+ s  $dir/$name 61\$" <<<"$err" || grep -Eq "^ +${pids[0]} +[0-9]+ s  .{59}\$" <<<"$err"
	grep -Eq "^ +${pids[1]} +[0-9]+ s  a \[31mb 62\$" <<<"$err"
	contains "$err" "hint: give one of the pids"
}

@test "a file that is no snapshot: status 3, the line is named" {
	expect 3 explain /etc/passwd
	well_said
	contains "$err" "/etc/passwd: line 1"
	: >"$BATS_TEST_TMPDIR/empty"
	expect 3 maps "$BATS_TEST_TMPDIR/empty"
	well_said
	expect 3 explain /
	well_said
}

@test "a snapshot cut short: status 3" {
	start_target
	expect 0 record -o "$BATS_TEST_TMPDIR/whole.snap" "$target"
	head -n -1 "$BATS_TEST_TMPDIR/whole.snap" >"$BATS_TEST_TMPDIR/cut.snap"
	expect 3 explain "$BATS_TEST_TMPDIR/cut.snap"
	well_said
	contains "$err" "line "
}

@test "a kernel thread has no memory: status 3" {
	# PF_KTHREAD is bit 21 of the flags in /proc/PID/stat; without process namespaces 2 is kthreadd
	read -r _ name _ _ _ _ _ _ flags _ </proc/2/stat || skip "no kernel thread is visible"
	[ "$name" = "(kthreadd)" ] || skip "no kernel thread is visible"
	((flags & 1 << 21)) || skip "no kernel thread is visible"
	for c in explain "explain --freeze" doctor "faults --for=0.1 -p"; do
		# shellcheck disable=SC2086
		expect 3 $c 2
		well_said
		contains "$err" "kernel thread"
	done
}

@test "a zombie has no memory: status 3" {
	# the shell that becomes sleep never waits for its child
	sh -c 'true & exec sleep 60' 3>&- &
	parent=$!
	targets+=("$parent")
	for _ in $(seq 100); do
		z=$(ps -o pid=,stat= --ppid "$parent" | awk '$2 ~ /^Z/ { print $1 }')
		[ -n "$z" ] && break
		sleep 0.05
	done
	[ -n "$z" ]
	for c in explain maps doctor "faults --for=0.1 -p"; do
		# shellcheck disable=SC2086
		expect 3 $c "$z"
		well_said
		contains "$err" "it is a zombie"
		contains "$err" "hint: it stays until its parent, pid $parent, waits for it"
	done
}

@test "pid 1 is answered, in part or in full" {
	ask explain 1
	[ "$status" = 0 ]
	contains "$out" "(pid 1"
}

@test "/dev/full: status 3 and why, for every command that prints" {
	[ -e /dev/full ] || skip "no /dev/full"
	start_target
	for c in "explain $target" "explain --json $target" "maps $target" "maps --json $target" "record $target" doctor \
		"completion bash" --help --version "explain --help" "maps -o help $target"; do
		status=0
		# shellcheck disable=SC2086
		timeout 60 "$memwhy" $c >/dev/full 2>"$BATS_TEST_TMPDIR/err" || status=$?
		echo "$c: $status"
		[ "$status" = 3 ]
		grep -q '^memwhy: standard output: write: ' "$BATS_TEST_TMPDIR/err"
	done
	expect 3 record -o /dev/full "$target"
	well_said
}

@test "standard output closed: status 3" {
	start_target
	for c in "explain $target" "maps $target" "record $target"; do
		status=0
		# shellcheck disable=SC2086
		timeout 60 "$memwhy" $c >&- 2>"$BATS_TEST_TMPDIR/err" || status=$?
		[ "$status" = 3 ]
	done
}

@test "a reader that leaves: no error text, and it ends" {
	start_target
	timeout 60 "$memwhy" maps -XX "$target" 2>"$BATS_TEST_TMPDIR/err" | head -n 1 >/dev/null
	[ ! -s "$BATS_TEST_TMPDIR/err" ]
}

@test "record: a directory that is not there is status 3" {
	start_target
	expect 3 record -o "$BATS_TEST_TMPDIR/none/x.snap" "$target"
	well_said
	contains "$err" "none/x.snap"
}

@test "top: processes that could not be read are not 0 processes: status 3" {
	local status=0
	prlimit --nofile=4 "$memwhy" top >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" </dev/null 3>&- 4>&- 5>&- || status=$?
	[ "$status" = 3 ]
	grep -q "^memwhy: /proc.*Too many open files" "$BATS_TEST_TMPDIR/err"
	[ ! -s "$BATS_TEST_TMPDIR/out" ]
}

# A mount namespace of its own, in which "$1" is done to /proc; then memwhy as somebody without rights, or as we are.
in_other_proc() { # MOUNT [ARGUMENT...]
	local mount=$1
	shift
	install -m 755 "$memwhy" "$BATS_TEST_TMPDIR/copy"
	chmod 755 "$BATS_TEST_TMPDIR" "${BATS_TEST_TMPDIR%/*}" "${BATS_TEST_TMPDIR%/*/*}"
	unshare -m true 2>/dev/null || skip "no mount namespace may be made"
	status=0
	# shellcheck disable=SC2016
	timeout 60 unshare -m sh -c "$mount || exit 77; exec \"\$@\"" sh "$@" \
		>"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" </dev/null || status=$?
	out=$(cat "$BATS_TEST_TMPDIR/out") err=$(cat "$BATS_TEST_TMPDIR/err")
	[ "$status" != 77 ] || skip "no mounts may be made: $err"
}

@test "without a /proc: status 3, and no process is said not to be there" {
	[ "$(id -u)" = 0 ] || skip "mounts need root"
	for c in "explain $$" "top" "nosuchname"; do
		# shellcheck disable=SC2086
		in_other_proc "mount -t tmpfs none /proc" "$BATS_TEST_TMPDIR/copy" $c
		[ "$status" = 3 ]
		well_said
		contains "$err" "no proc file system is mounted"
	done
}

@test "hidepid: a process that is hidden is not said to be none" {
	[ "$(id -u)" = 0 ] || skip "mounts need root"
	local who=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
	for hidden in "1 explain" "2 explain" "2 doctor" "1 faults --for=0.1 -p" "2 faults --for=0.1 -p"; do
		# shellcheck disable=SC2086
		in_other_proc "mount -t proc -o hidepid=${hidden%% *} proc /proc" "${who[@]}" "$BATS_TEST_TMPDIR/copy" ${hidden#* } $$
		[ "$status" = 3 ]
		well_said
		contains "$err" "hidepid"
	done
	in_other_proc "mount -t proc -o hidepid=2 proc /proc" "${who[@]}" "$BATS_TEST_TMPDIR/copy" 4194303
	contains "$err" "no such process"
}

@test "doctor and demo refuse what they do not take" {
	expect 2 doctor name
	well_said
	expect 2 doctor 0
	expect 2 doctor 1 2
	well_said
	expect 2 demo word
	well_said
	expect 3 doctor 4194303
	well_said
	expect 2 completion
	well_said
	expect 2 completion tcsh
	well_said
}

@test "a program's file is no target, and the hint says what to do with it" {
	expect 3 explain /bin/ls
	well_said
	contains "$err" "hint: memwhy explain -- PROGRAM"
	timeout 10 "$memwhy" explain <(head -c 100 /bin/ls) 2>&1 >/dev/null | grep -q '^memwhy: '
}
