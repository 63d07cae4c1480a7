#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# layout - the offsets in libmemwhy-malloc.3 are those of abi.h, and no field is missing.
here=$(dirname "$0")
page=$here/../../man/libmemwhy-malloc.3
abi=$here/../../lib/alloc/abi.h
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# "struct field offset": of the rows that stand behind ".Pq Vt struct NAME"
awk '/^\.Pq Vt struct / { name = $4 } /^\.It Sy [0-9]+ / { for (i = 4; i <= NF; i++) if ($i == "Va") print name, $(i + 1), $3 }
	/^\.It Sy [0-9]+ Va / { print name, $5, $3 }' "$page" | sort -u >"$dir/told"
# and of abi.h; all names of one declaration
awk '/^struct mw_(abi_note|abi_table|region) \{/ { name = $2; next } /^};/ { name = "" }
	name { sub(/\/\*.*/, ""); sub(/^[ *].*/, ""); gsub(/MW_PTR\([^()]*(\([^()]*\))?[^()]*\)|\[[^]]*\]/, ""); gsub(/[;,]/, " ")
		for (i = 1; i <= NF; i++) if ($i !~ /^(struct|mw_[a-z_]*|u?int[0-9]+_t)$/) print name, $i }' "$abi" >"$dir/fields"
{
	echo '#include <stddef.h>
#include <stdio.h>
#include "abi.h"
int main(void) {'
	awk '{ printf "printf(\"%s %s %%zu\\n\", offsetof(struct %s, %s));\n", $1, $2, $1, $2 }' "$dir/fields"
	echo 'return 0; }'
} >"$dir/layout.c"
echo 1..2
if ${CC:-cc} -std=gnu11 -w -I"$here/../../lib/alloc" -o "$dir/layout" "$dir/layout.c" 2>"$dir/err" && [ "$(wc -l <"$dir/fields")" -ge 30 ]; then
	echo "ok 1 - abi.h tells the fields"
else
	echo "not ok 1 - abi.h tells the fields"
	sed 's/^/# /' "$dir/err" "$dir/fields"
	exit 1
fi
"$dir/layout" | sort -u >"$dir/real"
if cmp -s "$dir/told" "$dir/real"; then
	echo "ok 2 - libmemwhy-malloc.3 has each of them, at its offset"
else
	echo "not ok 2 - libmemwhy-malloc.3 has each of them, at its offset"
	diff "$dir/told" "$dir/real" | sed 's/^/# /'
fi
