#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# memwhy run: the library is preloaded with its options, and status, signals, standard
# input and output are the program's own, with an end report and without.
set -u
M=${MEMWHY:-build/memwhy}
. tests/lib/points.sh
ok() { # NAME CONDITION...
	name=$1
	shift
	n=$((n + 1))
	if "$@"; then echo "ok $n - $name"; else echo "not ok $n - $name"; fi
}
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
unset LD_PRELOAD MEMWHY_MALLOC
status_of() { "$@" >"$tmp/out" 2>"$tmp/err"; echo $?; }
is() { [ "$1" = "$2" ] || { echo "# $1 is not $2"; sed 's/^/# /' "$tmp/err"; return 1; }; }
has() { grep -qe "$2" "$1" || { echo "# no $2 in:"; sed 's/^/# /' "$1"; return 1; }; }
until_true() { # COMMAND...
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
		"$@" && return
		sleep 0.2
	done
	return 1
}
stopped() { grep -q '^State:.T' "/proc/$1/status"; }
lacks() { ! grep -qe "$2" "$1"; }

for report in "" --report; do
	with=${report:+with an end report, }
	# shellcheck disable=SC2086
	for s in 0 1 7 125; do
		ok "${with}exit status $s" is "$(status_of "$M" run $report -- sh -c "exit $s")" "$s"
	done
	# shellcheck disable=SC2086
	for sig in TERM KILL ABRT; do
		want=$(status_of sh -c "kill -$sig \$\$")
		ok "${with}killed by SIG$sig" is "$(status_of "$M" run $report sh -c "ulimit -c 0; kill -$sig \$\$")" "$want"
	done
	# shellcheck disable=SC2086
	ok "${with}no such command: 127" is "$(status_of "$M" run $report /no/such/command)" 127
	# shellcheck disable=SC2086
	ok "${with}not a command: 126" is "$(status_of "$M" run $report -- "$tmp")" 126
	# shellcheck disable=SC2086
	ok "${with}standard input and output are its own" is "$(echo hello | "$M" run $report -- tr a-z A-Z 2>/dev/null)" HELLO
	for sig in USR1 PIPE TSTP; do
		# the program says when its trap is set
		# shellcheck disable=SC2086,SC2016
		"$M" run $report -- sh -c 'trap "exit 42" $1; echo set >"$0"; while :; do sleep 0.1; done' "$tmp/set" $sig 2>/dev/null &
		pid=$!
		until_true test -e "$tmp/set"
		kill -$sig "$pid"
		wait "$pid"
		ok "${with}SIG$sig arrives" is "$?" 42
		rm -f "$tmp/set"
	done
	# shellcheck disable=SC2086,SC2016
	"$M" run $report -- sh -c 'kill -STOP $$; exit 44' 2>/dev/null &
	pid=$!
	ok "${with}what stops itself is seen to be stopped" until_true stopped "$pid"
	kill -CONT "$pid"
	wait "$pid"
	ok "${with}and goes on with it" is "$?" 44
	# shellcheck disable=SC2086
	"$M" run $report -- sleep 60 2>/dev/null &
	pid=$!
	sleep 0.5
	kill -TERM "$pid"
	wait "$pid"
	ok "${with}a deadly signal arrives" is "$?" 143
	# shellcheck disable=SC2086
	ok "${with}options end at the command" is "$("$M" run $report sh -c 'echo $#' sh -l --report 2>/dev/null)" 2
done

ok "the library is preloaded" is "$("$M" run -- sh -c 'grep -c libmemwhy-malloc /proc/self/maps | grep -qv "^0" && echo yes')" yes
if [ -n "${MEMWHY_SANITIZED:-}" ]; then	# its runtime must be the first library
	skip "what was preloaded stays so" "the build has a sanitizer"
else
	LD_PRELOAD=libm.so.6 "$M" run env >"$tmp/out" 2>"$tmp/err"
	ok "what was preloaded stays so" has "$tmp/out" '^LD_PRELOAD=/.*/libmemwhy-malloc\.so:libm\.so\.6$'
fi
MEMWHY_MALLOC=retain=1m "$M" run --sample=4k --audit --errors=count --nocache --background=off env >"$tmp/out" 2>"$tmp/err"
ok "options reach it, behind those that were there" has "$tmp/out" '^MEMWHY_MALLOC=retain=1m,sample=4k,audit=1,errors=count,nocache=1,background=off$'
ok "a wrong word: 125" is "$(status_of "$M" run --errors=perhaps true)" 125
ok "and it says which are right" has "$tmp/err" 'none of abort count'
ok "a wrong number: 125" is "$(status_of "$M" run --sample=x true)" 125
ok "an unknown option: 125" is "$(status_of "$M" run --nonsense true)" 125
ok "no command: 125" is "$(status_of "$M" run)" 125
ok "no library: 125" is "$(status_of "$M" run --lib=/no/such.so true)" 125
ok "help" is "$(status_of "$M" run --help)" 0
if command -v busybox >/dev/null && ! ldd "$(command -v busybox)" >/dev/null 2>&1; then
	ok "a static program runs" is "$(status_of "$M" run busybox true)" 0
	ok "and it is said that nothing was preloaded" has "$tmp/err" 'statically linked'
	printf '#! %s sh\nexit 6\n' "$(command -v busybox)" >"$tmp/script" && chmod +x "$tmp/script"
	ok "a script with such an interpreter runs" is "$(status_of "$M" run "$tmp/script")" 6
	ok "and it is said of the interpreter" has "$tmp/err" 'busybox: it is statically linked'
fi
printf 'int main(void) { return 7; }\n' >"$tmp/seven.c"
if command -v musl-gcc >/dev/null && musl-gcc -o "$tmp/seven" "$tmp/seven.c" 2>/dev/null; then
	ok "a program on musl runs" is "$(status_of "$M" run "$tmp/seven")" 7
	ok "and it is said that nothing was preloaded" has "$tmp/err" 'runs on musl'
else
	skip "a program on musl runs" "no musl-gcc"
fi
for which in address thread; do
	if ${CC:-cc} -fsanitize=$which -o "$tmp/sanitized" "$tmp/seven.c" 2>/dev/null && [ "$(status_of "$tmp/sanitized")" = 7 ] &&
		readelf -d "$tmp/sanitized" | grep -q 'NEEDED.*lib[at]san'; then
		ok "a program with -fsanitize=$which runs" is "$(status_of "$M" run "$tmp/sanitized")" 7
		ok "and it is said that nothing was preloaded" has "$tmp/err" 'linked with lib[at]san'
	else
		skip "a program with -fsanitize=$which runs" "the compiler makes none, or not with a library"
	fi
done
if ${CC:-cc} -m32 -nostdlib -static -o "$tmp/small" -x c - 2>/dev/null <<END; then
void _start(void) { __asm__ volatile("int \$0x80" : : "a"(1), "b"(9)); }
END
	if [ "$(status_of "$tmp/small")" = 9 ]; then
		ok "a 32-bit program runs" is "$(status_of "$M" run "$tmp/small")" 9
		ok "and it is said that nothing was preloaded" has "$tmp/err" '32-bit program'
	else
		skip "a 32-bit program runs" "the kernel runs none"
	fi
else
	skip "a 32-bit program runs" "the compiler makes none"
fi
"$M" run --report -- sh -c 'echo out' >"$tmp/out" 2>"$tmp/err"
ok "the end report goes to standard error" has "$tmp/err" 'requested: what the program asked for'
ok "and not to standard output" is "$(cat "$tmp/out")" out
# a copy that is set-user-ID to somebody else, and one of our own; both tell what they are told by the loader
chmod 755 "$tmp"
if [ "$(id -u)" = 0 ] && cp /bin/grep "$tmp/theirs" && chown 1 "$tmp/theirs" && chmod 4755 "$tmp/theirs" &&
	[ "$("$tmp/theirs" -c '^Uid:.0.1' /proc/self/status)" = 1 ]; then
	ok "raised privileges: nothing is preloaded" is "$("$M" run "$tmp/theirs" -c memwhy-malloc /proc/self/maps 2>"$tmp/err")" 0
	ok "and that is said" has "$tmp/err" 'raised privileges'
	# a tracer without rights would take them away
	cp "$M" "$(dirname "$M")/libmemwhy-malloc.so" "$tmp"
	ok "with --report it has them too" is "$(setpriv --reuid=2 --clear-groups "$tmp/memwhy" run --report "$tmp/theirs" -c '^Uid:.2.1' /proc/self/status 2>"$tmp/err")" 1
	ok "and that there is no report is said" has "$tmp/err" 'no report'
	chown 0 "$tmp/theirs" && chmod 4755 "$tmp/theirs"
	ok "our own are no raised ones" is "$(status_of "$M" run "$tmp/theirs" -q memwhy-malloc /proc/self/maps; cat "$tmp/err")" 0
else
	for _ in 1 2 3 4 5; do skip "raised privileges" "only root can make such a program, and not everywhere"; done
fi
cat >"$tmp/last.c" <<END
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *work(void *arg)
{
	usleep(600000); /* the end of the first thread is being looked at */
	if (arg)
		execlp("sleep", "sleep", "0.5", (char *)NULL);
	for (int i = 0; i < 50; i++)
		memset(malloc(100000), 1, 100000);
	usleep(100000);
	_exit(45);
}
int main(int argc, char **argv)
{
	pthread_t t;

	pthread_create(&t, NULL, work, argc > 1 ? argv[1] : NULL);
	if (argc > 1)
		pthread_join(t, NULL);
	pthread_exit(NULL);
}
END
if ${CC:-cc} -w -fno-builtin -o "$tmp/last" "$tmp/last.c" -pthread 2>/dev/null; then
	ok "the first thread is gone before the program: its status" is "$(status_of timeout 60 "$M" run --report "$tmp/last")" 45
	ok "and what the others held at the end is told" has "$tmp/err" '^requested: .* 4\.8 MiB'
	ok "another thread becomes a program: its status" is "$(status_of timeout 60 "$M" run --report "$tmp/last" exec)" 0
	ok "which is looked at" has "$tmp/err" '^sleep (pid'
else
	for _ in 1 2 3 4; do skip "the end of programs with threads" "no compiler"; done
fi
# kill(2) takes 0 for the caller's group and -1 for everybody: no process is no target. Whoever is tested here stands alone.
# shellcheck disable=SC2016
limited() { setsid -w sh -c 'ulimit -n "$1"; shift; exec "$@"' sh "$@"; }
for n_files in 5 6; do
	if [ -n "${MEMWHY_SANITIZED:-}" ]; then
		skip "room for $n_files files" "a sanitizer needs more"
	else
		ok "room for $n_files files: 126, and nobody is ended" is "$(status_of limited $n_files "$M" run --report true)" 126
	fi
done
if [ "$(id -u)" = 0 ] && [ -z "${MEMWHY_SANITIZED:-}" ] && cp "$M" "$(dirname "$M")/libmemwhy-malloc.so" "$tmp" && ! pgrep -u 54321 >/dev/null &&
	[ "$(status_of setpriv --reuid=54321 --clear-groups prlimit --nproc=1 true)" = 0 ]; then
	setpriv --reuid=54321 --clear-groups sleep 60 &
	other=$!
	ok "no process can be started: 126" is "$(status_of setpriv --reuid=54321 --clear-groups prlimit --nproc=1 "$tmp/memwhy" run --report true)" 126
	ok "and it is said why" has "$tmp/err" 'true: start: Resource temporarily unavailable'
	ok "and others of the user are alive" kill -0 $other
	kill $other
else
	for _ in 1 2 3; do skip "no process can be started" "only root can be somebody who has no processes, and a sanitizer needs one"; done
fi
mkdir "$tmp/with space" && cp "${BUILD:-build}/libmemwhy-malloc.so" "$tmp/with space/x.so"
ok "a library that the loader could not find: 125" is "$(status_of "$M" run --lib="$tmp/with space/x.so" true)" 125
ln -s "$tmp/with space/x.so" "$tmp/link.so"
ok "a link to it is a way" is "$("$M" run --lib="$tmp/link.so" sh -c 'echo $LD_PRELOAD')" "$tmp/link.so"
# shellcheck disable=SC2016
if unshare -m true 2>/dev/null && unshare -m sh -c 'mount -t tmpfs none /proc' 2>/dev/null; then
	ok "without /proc" is "$(unshare -m sh -c 'mount -t tmpfs none /proc && "$1" run sh -c "echo \$LD_PRELOAD"' sh "$M")" \
		"$(readlink -f "$(dirname "$M")/libmemwhy-malloc.so")"
else
	skip "without /proc" "mounting takes rights"
fi
echo "1..$n"
