#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# README.md tells the truth: its sample output has the shape, the causes and the fixed sizes of what
# `memwhy demo` prints here, its first sentence has the sample's numbers, every command in it exists, its
# links lead somewhere, and its example compiles and runs with the static and the shared library.
# UPDATE=1 writes the sample anew.
set -u
cd "$(dirname "$0")/../.." || exit 99
B=${BUILD:-build}
MEMWHY=${MEMWHY:-$B/memwhy}
CC=${CC:-gcc}
README=${README:-README.md}
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
export LC_ALL=C.UTF-8
. tests/lib/points.sh

sample() { awk '/^<!-- demo/ { on = 1 } on && /^```$/ { exit } on > 2 { print } on && /^```text/ { on = 2 } on > 1 { on++ }' "$1"; }

# the sample names no tree: it is made by a copy elsewhere
program=$MEMWHY
if [ "${UPDATE:-0}" = 1 ]; then
	cp "$MEMWHY" "$tmp/memwhy" && program=$tmp/memwhy
fi
timeout 60 "$program" demo --width=96 >"$tmp/out" 2>"$tmp/err" </dev/null
check "memwhy demo works" "$([ -s "$tmp/out" ] || cat "$tmp/err")"

first_sizes() { # FILE: "VSZ RSS" of the headline, with units
	sed -n 's/^VSZ \([0-9.]* [KMG]iB\)   RSS \([0-9.]* [KMG]iB\) .*/\1 \2/p' "$1" | head -n 1
}
if [ "${UPDATE:-0}" = 1 ]; then
	awk -v out="$tmp/out" '
		/^<!-- demo/ { on = 1 }
		on == 2 && /^```$/ { print "$ make demo"; while ((getline line <out) > 0) print line; on = 0 }
		on != 2 { print }
		on == 1 && /^```text/ { on = 2 }' "$README" >"$tmp/new" && cp "$tmp/new" "$README"
fi
sample "$README" >"$tmp/sample"

# What is the same on every machine: headings, the kinds of lines, and the causes that the example makes
# on purpose with their sizes. Which libraries there are, and what of them is cached, is not.
shape() {
	sed -E 's/[█▉▊▋▌▍▎▏]+//g; /^N/s/ +[0-9]+ +([0-9.]+ [KMG]iB)/ \1/' "$1" | awk '
		/^[A-Z][A-Z ]+$/ || /^ +CAUSE / || /^OBJECT / { gsub(/ +/, " "); print; next }
		/^N9 .*reserved|^N9 .*arenas|^N21 |^N19 / { gsub(/ +[0-9.]+ % */, ""); gsub(/ +/, " "); print; next }
		/residual: / { gsub(/ +/, " "); print; next }
		/^(demo-server|VSZ |check: |sum |heap )/ || /RSS: what is left/ {
			gsub(/[KMG]iB| B/, "B"); gsub(/[0-9]+(\.[0-9]+)?/, "N"); gsub(/ +/, " "); print }'
}
check "the sample is what memwhy demo prints" "$(diff <(shape "$tmp/sample") <(shape "$tmp/out"))"

# The sample of `memwhy elf`: its commands are run on this build; what must agree are the words that no
# number and no list of sections changes.
elf_sample() { awk '/^<!-- elf -->/ { on = 1 } on && /^```$/ { exit } on > 2 { print } on && /^```text/ { on = 2 } on > 1 { on++ }' "$1"; }
elf_run() {
	while IFS= read -r line; do
		echo "$line"
		# shellcheck disable=SC2016
		line=${line/#'$ memwhy elf'/'$MEMWHY' elf --width=80}
		# shellcheck disable=SC2016
		MEMWHY=$MEMWHY timeout 60 bash -c "${line//build\/memwhy/'$MEMWHY'}" 2>&1
		echo
	done < <(elf_sample "$README" | grep '^\$ ')
}
elf_run | sed '$d' >"$tmp/elf"
if [ "${UPDATE:-0}" = 1 ]; then
	awk -v out="$tmp/elf" '
		/^<!-- elf -->/ { on = 1 }
		on == 2 && /^```$/ { while ((getline line <out) > 0) print line; on = 0 }
		on != 2 { print }
		on == 1 && /^```text/ { on = 2 }' "$README" >"$tmp/new" && cp "$tmp/new" "$README"
fi
elf_sample "$README" >"$tmp/elf_sample"
elf_words() { grep -oE '^\$ .*|^ +file +segment +memory|ELF header|RELRO|cleared|anonymous|not loaded|^Verdict.*|^As a library.*|^Hardening|^  [A-Z][A-Za-z_ -]{3,}  +' "$1" | sed 's/ *$//' | sort -u; }
check "the sample of memwhy elf is what it prints" "$([ -s "$tmp/elf_sample" ] || echo "there is none"
	diff <(elf_words "$tmp/elf_sample") <(elf_words "$tmp/elf"))"

complaint=
read -r vsz vu rss ru <<<"$(first_sizes "$tmp/sample")"
lead=$(sed -n '3,5p' "$README" | tr '\n' ' ')
case $lead in *"VSZ of $vsz $vu and an RSS of $rss $ru"*) ;; *) complaint="the sample has VSZ $vsz $vu, RSS $rss $ru" ;; esac
gap=$(sed -n 's/.*pages that are in memory: \([0-9.]*\) MiB of the.*/\1/p' "$tmp/sample")
case $lead in *"the other $gap MiB"*) ;; *) complaint="$complaint; the gap is $gap MiB" ;; esac
check "the first sentence has the sample's numbers" "$complaint"

# `memwhy WORD` in README: WORD is a command, or a target.
complaint=
"$MEMWHY" --help >"$tmp/help"
# shellcheck disable=SC2016
grep -oE '`memwhy [a-z]+' "$README" | sed 's/`memwhy //' | sort -u >"$tmp/commands"
while read -r c; do
	grep -qE "^  $c " "$tmp/help" || complaint="$complaint$c: no such command
"
done <"$tmp/commands"
[ -s "$tmp/commands" ] || complaint="none found"
check "every command in README.md exists" "$complaint"

# `memwhy CMD --opt`: the option stands in that command's help.
complaint=
# shellcheck disable=SC2016
grep -oE '`memwhy [a-z]+ [^`]*`' "$README" | tr -d '`' >"$tmp/lines"
while read -r _ c rest; do
	for o in $rest; do
		case $o in
		--) break ;;
		-*) timeout 10 "$MEMWHY" "$c" --help | grep -qE -- "(^|[ ,])${o%%=*}([ ,=[]|\$)" ||
			[ "$o" = -XX ] || complaint="$complaint$c: no option $o
" ;;
		esac
	done
done <"$tmp/lines"
check "every option in README.md exists" "$complaint"

complaint=
# shellcheck disable=SC2016
for t in $(sed -n '/^```sh$/,/^```$/p' "$README" | grep -oE 'make [a-z -]+' | sed 's/^make//' | tr ' ' '\n' | sort -u); do
	grep -qE "^\.PHONY:.* $t( |\$)|^$t:" Makefile || complaint="$complaint$t: no such target
"
done
check "every make target in README.md exists" "$complaint"

complaint=
grep -oE '\]\([^)#]+\)' "$README" | sed 's/^](//; s/)$//' | grep -v '^https\?:' >"$tmp/links"
while read -r f; do
	[ -e "$f" ] || complaint="$complaint$f: no such file
"
done <"$tmp/links"
check "the links lead to files" "$complaint"

awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$README" >"$tmp/example.c"
libs=$(sed -n 's/^LIBS := //p' Makefile)
# shellcheck disable=SC2086
build() { # NAME FLAGS...
	out=$1
	shift
	"$CC" -Wall -Wextra -Werror ${EXAMPLE_FLAGS:-} -Ilib -o "$tmp/$out" "$tmp/example.c" "$@" 2>&1
}
# shellcheck disable=SC2086
check "the example compiles with libmemwhy.a" "$(build static "$B/libmemwhy.a" $libs -lpthread)"
check "the example compiles with libmemwhy.so" "$(build shared "-L$B" -lmemwhy "-Wl,-rpath,$(realpath "$B")")"
sleep 60 &
target=$!
trap 'kill $target; rm -rf "$tmp"' EXIT
for _ in $(seq 100); do	# it is no shell any more, and has been loaded
	[ "$(cat /proc/$target/comm)" = sleep ] && grep -q '^State:.S' "/proc/$target/status" && break
	sleep 0.1
done
want=$(awk '/^VmSize/ { v = $2 * 1024 } /^VmRSS/ { r = $2 * 1024 } END { print "VSZ " v " RSS " r " residual 0" }' "/proc/$target/status")
for e in static shared; do
	got=$(timeout 20 "$tmp/$e" "$target" 2>&1)
	# kernels before 6.16 count RSS late: only VSZ is certain there
	check "the example runs ($e)" "$([ "$got" = "$want" ] || [ "${got%% RSS*}" = "${want%% RSS*}" ] &&
		[ "${got##* }" = 0 ] || echo "expected $want, got $got")"
done
got=$(timeout 20 "$tmp/shared" 2>&1)
check "the example says how it is used" "$([ $? = 1 ] && [ "$got" = "usage: example PID" ] || echo "got $got")"
echo "1..$n"
