# SPDX-License-Identifier: GPL-3.0-or-later
# Shared by the .bats files: $memwhy, bounded runs, a process to look at.
memwhy=$(realpath -- "${MEMWHY:-build/memwhy}")
export LC_ALL=C.UTF-8
unset NO_COLOR

# Like run, but standard output and error apart, and never longer than a minute.
ask() {
	status=0
	timeout 60 "$memwhy" "$@" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" </dev/null || status=$?
	out=$(cat "$BATS_TEST_TMPDIR/out") err=$(cat "$BATS_TEST_TMPDIR/err")
}

# ask, and expect this exit status.
expect() {
	local wanted=$1
	shift
	ask "$@"
	if [ "$status" != "$wanted" ]; then
		echo "memwhy $*: exit status $status, not $wanted"
		echo "$err"
		return 1
	fi
}

# One error of the form "memwhy: object: ...: why", at most one hint, nothing on standard output.
well_said() {
	[ -z "$out" ] || { echo "standard output: $out"; return 1; }
	[[ $(sed -n 1p <<<"$err") =~ ^memwhy:\ [^:]+ ]] || { echo "error: $err"; return 1; }
	local rest
	rest=$(sed '1d; /^  /d' <<<"$err")	# rows of a list are deeper
	[ -z "$rest" ] || [[ $rest =~ ^hint:\ .+$ ]] || { echo "after the error: $rest"; return 1; }
	[ "$(wc -l <<<"$rest")" -le 1 ]
}

contains() { # TEXT PART
	case $1 in *"$2"*) ;; *) echo "not in it: $2"; echo "$1"; return 1 ;; esac
}

# In bats a line that begins with ! passes whatever the command says.
never() { # COMMAND...
	if "$@"; then
		echo "succeeded, and must not: $*"
		return 1
	fi
}

# A process that holds still, with a name of its own; end_targets ends it.
start_target() { # [NAME]
	local name=${1:-mw-still-$$}
	[ -e "$BATS_TEST_TMPDIR/$name" ] || cp "$(command -v sleep)" "$BATS_TEST_TMPDIR/$name"
	"$BATS_TEST_TMPDIR/$name" 120 3>&- &
	target=$!
	targets+=("$target")
	for _ in $(seq 100); do
		[ "$(cat "/proc/$target/comm" 2>/dev/null)" = "${name:0:15}" ] && grep -q '^State:.S' "/proc/$target/status" && break
		sleep 0.05
	done
}
end_targets() {
	local t
	for t in "${targets[@]}"; do
		kill "$t" 2>/dev/null
		wait "$t" 2>/dev/null
	done
	targets=()
}
targets=()
