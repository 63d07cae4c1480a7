#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The manual pages of these commands name the options that --help names, and mandoc has no complaint.
cd "$(dirname "$0")/../.." || exit 99
n=0
check() { # NAME COMPLAINT
	n=$((n + 1))
	if [ -z "$2" ]; then echo "ok $n - $1"; else echo "not ok $n - $1"; echo "$2" | sed 's/^/# /'; fi
}
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
for c in sections pages at top; do
	page=man/memwhy-$c.1
	[ -e "$page" ] || continue
	"${MEMWHY:-build/memwhy}" "$c" --help | sed -n '/^Options:/,$p' | grep -oE '^ +(-[A-Za-z], )?--[a-z-]+' |
		grep -oE -- '--?[A-Za-z-]+' | sort -u >"$tmp/help"
	sed -n '/^\.Sh OPTIONS/,/^\.Sh [^O]/p' "$page" | grep '^\.It' | tr -d '\\' | grep -oE 'Fl -?[A-Za-z-]+' |
		sed 's/^Fl /-/' | sort -u >"$tmp/man"
	check "$page has the options of --help" "$(diff "$tmp/help" "$tmp/man")"
	if command -v mandoc >/dev/null; then
		check "mandoc has no complaint about $page" "$(mandoc -T lint -W warning "$page" 2>&1)"
	fi
done
echo "1..$n"
