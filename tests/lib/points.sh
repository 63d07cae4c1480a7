# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Points of the Test Anything Protocol on standard output, numbered as they come; n is their number.
n=0
check() { # NAME COMPLAINT: it passes when there is nothing to complain about
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		printf '%s\n' "$2" | head -n 40 | sed 's/^/# /'
	fi
}
skip() { # NAME WHY
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}
