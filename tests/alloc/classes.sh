#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# classes - the computed size classes are Go's published ones, and malloc's two
# exceptions are told.
build=${BUILD:-build}
here=$(dirname "$0")
table=$("$build/alloc/mkclasses" table) || exit 1
echo 1..3
computed=$(echo "$table" | awk 'NR > 1 { print $1, $2, $3, $4, $5 }')
if [ "$computed" = "$(grep -v '^#' "$here/go-classes.txt")" ]; then
	echo "ok 1 - all 67 classes have Go's size, span, count and tail"
else
	echo "not ok 1 - all 67 classes have Go's size, span, count and tail"
fi
# worst waste, as Go's table prints it for three classes
if [ "$(echo "$table" | awk '$1 == 3 || $1 == 5 || $1 == 67 { printf "%s ", $6 }')" = "29.24% 31.52% 12.50% " ]; then
	echo "ok 2 - worst waste too"
else
	echo "not ok 2 - worst waste too"
fi
if [ "$(echo "$table" | awk '$7 == "no" { printf "%s ", $2 }')" = "8 24 " ]; then
	echo "ok 3 - 8 and 24 alone are not served"
else
	echo "not ok 3 - 8 and 24 alone are not served"
fi
