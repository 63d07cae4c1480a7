#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# Whom else memwhy touches: what it started, and nobody else, wherever it is started from.
load helper

# in_foreign_proc WORDS...: as ask(), with the /proc of another pid namespace.
in_foreign_proc() {
	local user=()
	[ "$(id -u)" = 0 ] || user=(-Ur)
	unshare "${user[@]}" -pf true 2>/dev/null || skip "no pid namespace may be made"
	status=0
	# shellcheck disable=SC2016
	timeout 60 unshare "${user[@]}" -pf sh -c '"$@"; exit $?' sh "$memwhy" "$@" \
		>"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" </dev/null || status=$?
	out=$(cat "$BATS_TEST_TMPDIR/out") err=$(cat "$BATS_TEST_TMPDIR/err")
}

@test "with the /proc of another pid namespace a command is not mistaken for whoever has its number there" {
	for c in "explain --after=0.1 -- sleep 3" "record -o $BATS_TEST_TMPDIR/snap -- sleep 3" "faults -- true" "demo"; do
		# shellcheck disable=SC2086
		in_foreign_proc $c
		[ "$status" = 3 ] || { echo "$c: status $status: $out $err"; return 1; }
		well_said
		contains "$err" "this /proc belongs to another pid namespace"
	done
	[ ! -e "$BATS_TEST_TMPDIR/snap" ]
}

@test "nor are threads traced or looked at by such numbers: run --report has no report" {
	in_foreign_proc run --report -- sh -c "echo it ran; exit 7"
	[ "$status" = 7 ]
	[ "$out" = "it ran" ]
	well_said_beside "so there is no report"
	in_foreign_proc bench --rounds=1 --only=none --json -- true
	[ "$status" = 0 ]
	[ "$(grep -o '"peak": *[^,}]*' <<<"$out" | tail -n 1 | grep -o "null")" = null ]
}

well_said_beside() {
	[ "$(grep -c ^memwhy: <<<"$err")" = 1 ] || { echo "$err"; return 1; }
	contains "$err" "$1"
}

@test "bench --timeout ends what the command started, and no other child of who executed memwhy" {
	status=0
	# shellcheck disable=SC2016
	timeout 60 sh -c 'sleep 100 3>&- & echo $! >"$0"; exec "$@"' "$BATS_TEST_TMPDIR/pid" \
		"$memwhy" bench --rounds=1 --only=none --timeout=0.3 -- sleep 30 >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" || status=$?
	[ "$status" = 3 ]
	grep -q "not done in 0.3 s" "$BATS_TEST_TMPDIR/err"
	kill "$(cat "$BATS_TEST_TMPDIR/pid")"
}

@test "who ignores SIGCHLD gets how a command ended" {
	env --ignore-signal=CHLD true 2>/dev/null || skip "env has no --ignore-signal"
	status=0
	timeout 60 env --ignore-signal=CHLD "$memwhy" run --report -- sh -c "exit 5" >/dev/null 2>&1 || status=$?
	[ "$status" = 5 ]
	# shellcheck disable=SC2016
	ignored=$(timeout 60 env --ignore-signal=CHLD "$memwhy" run --report -- sed -n 's/^SigIgn:\t//p' /proc/self/status 2>/dev/null)
	[ $((0x$ignored >> 16 & 1)) = 1 ]	# the command, too, finds it ignored
	timeout 60 env --ignore-signal=CHLD "$memwhy" bench --rounds=1 --only=none -- true >/dev/null
	timeout 60 env --ignore-signal=CHLD "$memwhy" explain --after=0.1 -- sleep 10 >/dev/null
	timeout 60 env --ignore-signal=CHLD "$memwhy" demo >/dev/null
}

@test "a standard descriptor that is closed is none of our files, and a command finds it closed" {
	timeout 60 "$memwhy" bench --rounds=1 --only=none -- true <&- >/dev/null
	timeout 60 "$memwhy" record -o "$BATS_TEST_TMPDIR/snap" $$ <&- >&- 2>&-
	timeout 60 "$memwhy" explain "$BATS_TEST_TMPDIR/snap" >/dev/null
	for report in "" --report; do
		# shellcheck disable=SC2086,SC2016
		timeout 60 "$memwhy" run $report -- sh -c '[ ! -e "/proc/$$/fd/0" ]' <&- 2>/dev/null
	done
}

@test "faults -o: a link to a file that is not there yet can be written" {
	ln -s "$BATS_TEST_TMPDIR/later" "$BATS_TEST_TMPDIR/link"
	ask faults -o "$BATS_TEST_TMPDIR/link" -- true
	never contains "$err" "create: File exists"
	[ "$status" != 0 ] || [ -s "$BATS_TEST_TMPDIR/later" ]
}

@test "faults: who ends memwhy has the command end its own way, and the recording is kept" {
	ask faults --for=0.1 -- sleep 5
	[ "$status" = 0 ] || skip "faults cannot be recorded here: $err"
	local signals="TERM HUP"
	[ $((0x$(sed -n 's/^SigIgn:\t//p' /proc/self/status) & 1)) = 0 ] || signals=TERM	# as under nohup
	for sig in $signals; do
		rm -f "$BATS_TEST_TMPDIR"/{ready,tidy,rec}
		# shellcheck disable=SC2016
		"$memwhy" faults -o "$BATS_TEST_TMPDIR/rec" -- sh -c 'trap "echo done >\"$1\"; exit 0" TERM
			echo ready >"$0"; for i in $(seq 600); do sleep 0.05; done' "$BATS_TEST_TMPDIR/ready" "$BATS_TEST_TMPDIR/tidy" >/dev/null 3>&- &
		for _ in $(seq 200); do
			[ -s "$BATS_TEST_TMPDIR/ready" ] && break
			sleep 0.05
		done
		kill -$sig $!
		wait $!
		[ -s "$BATS_TEST_TMPDIR/tidy" ]
		expect 0 faults "$BATS_TEST_TMPDIR/rec"
		rm "$BATS_TEST_TMPDIR/rec"
		"$memwhy" faults -o "$BATS_TEST_TMPDIR/rec" --for=30 -p $$ >/dev/null 3>&- &
		for _ in $(seq 200); do	# it has read the mask of its signals
			grep -q '^SigBlk:.*[4-7]...$' /proc/$!/status && break
			sleep 0.05
		done
		kill -$sig $!
		wait $!
		expect 0 faults "$BATS_TEST_TMPDIR/rec"
	done
}

@test "faults: a file that cannot be written costs neither the other files nor the report" {
	ask faults -o "$BATS_TEST_TMPDIR/rec" -- true
	[ "$status" = 0 ] || skip "faults cannot be recorded here: $err"
	expect 3 faults -o /dev/full --folded="$BATS_TEST_TMPDIR/folded" "$BATS_TEST_TMPDIR/rec"
	well_said_beside "/dev/full: write: No space left on device"
	[ -s "$BATS_TEST_TMPDIR/folded" ]
	[ -n "$out" ]
}

@test "record: a file that cannot be written is told before the command is started" {
	expect 3 record -o "$BATS_TEST_TMPDIR/none/snap" -- sh -c 'echo it ran; sleep 5'
	well_said
	contains "$err" "create: No such file or directory"
}

@test "no signal goes to a pid that is nobody's any more: not traced, and who started memwhy ignores SIGCHLD" {
	local fake="$BATS_TEST_TMPDIR/fake"
	env --ignore-signal=CHLD true 2>/dev/null || skip "env has no --ignore-signal"
	cat >"$fake.c" <<-'EOF'
		#include <errno.h>
		#include <stdio.h>
		#include <sys/syscall.h>
		#include <unistd.h>
		long ptrace(void)
		{
			errno = EPERM;
			return -1;
		}
		int kill(int pid, int sig)
		{
			if (pid <= 0 || syscall(SYS_kill, pid, 0) < 0)
				dprintf(2, "signal %d to nobody\n", sig);
			return syscall(SYS_kill, pid, sig);
		}
	EOF
	"${CC:-cc}" -w -shared -fPIC -o "$fake.so" "$fake.c" || skip "no compiler"
	for c in "faults -- true" "explain --after=0.5 -- true" "run --report -- true"; do
		# shellcheck disable=SC2086
		timeout 60 env --ignore-signal=CHLD LD_PRELOAD="$fake.so" "$memwhy" $c >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" || true
		never grep "to nobody" "$BATS_TEST_TMPDIR/err"
	done
}
