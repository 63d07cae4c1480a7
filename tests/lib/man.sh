#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The manual says what is there: every command has a page and stands in memwhy.1, options in --help and in
# the page are the same, every cause stands in memwhy-memory.7, every function in libmemwhy.3, every JSON
# member in memwhy-json.5, and mandoc has nothing to complain about.
set -u
cd "$(dirname "$0")/../.." || exit 99
B=${BUILD:-build}
MEMWHY=${MEMWHY:-$B/memwhy}
MAN=${MAN:-man}
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
export LC_ALL=C.UTF-8
. tests/lib/points.sh
missing() { # FILE-OF-WORDS IN WHAT: words that another list lacks
	comm -23 "$1" "$2" | sed "s/\$/: not in ${3##*/}/"
}

timeout 10 "$MEMWHY" --help >"$tmp/usage"
sed -n '/^Commands:/,/^$/p' "$tmp/usage" | awk '/^  [a-z]/ { print $1 }' | sort >"$tmp/commands"
check "--help lists commands" "$([ -s "$tmp/commands" ] || echo none)"
check "--help fits 24 lines" "$([ "$(wc -l <"$tmp/usage")" -le 24 ] || wc -l <"$tmp/usage")"
check "every --help fits 80 columns" "$({ cat "$tmp/usage"; while read -r c; do timeout 10 "$MEMWHY" "$c" --help; done <"$tmp/commands"; } |
	awk 'length > 80')"
sed -n 's/^\.It Cm //p' "$MAN/memwhy.1" | sort >"$tmp/listed"
check "memwhy.1 lists the commands" "$(missing "$tmp/commands" "$tmp/listed" memwhy.1
	missing "$tmp/listed" "$tmp/commands" --help)"

# Options of a help text, and those of a page's .It lines: "-x" and "--name", one a line, sorted.
help_options() { grep -E '^ +(-[A-Za-z0-9], )?--|^ +-[A-Za-z0-9]( |$|,)' "$1" | sed -E 's/^ +//; s/  .*//' |
	grep -oE -- '(^|[ ,])--?[A-Za-z0-9][a-z-]*' | tr -d ' ,' | sort -u; }
page_options() { grep -E '^\.It (Fl|Xo)' "$1" | sed 's/\\-/-/g' |
	awk '{ flag = 0	# Fl takes every word up to the next macro
		for (i = 2; i <= NF; i++) {
			if ($i ~ /^[A-Z][a-z]$/) flag = $i == "Fl"
			else if (flag) print "-" $i } }' |
	grep -E -- '^--?[A-Za-z0-9]' | sort -u; }
while read -r c; do
	page=$MAN/memwhy-$c.1
	if [ ! -e "$page" ]; then
		check "memwhy-$c.1" "there is no page $page"
		continue
	fi
	timeout 10 "$MEMWHY" "$c" --help >"$tmp/help"
	help_options "$tmp/help" >"$tmp/help_options"
	page_options "$page" >"$tmp/page_options"
	check "options of memwhy $c" "$([ -s "$tmp/help_options" ] || echo "none in --help"
		missing "$tmp/help_options" "$tmp/page_options" "$page"
		missing "$tmp/page_options" "$tmp/help_options" --help)"
	check "memwhy-$c.1 has an exit status and examples" "$(for s in 'EXIT STATUS' EXAMPLES; do
		grep -q "^\.Sh $s" "$page" || echo "no $s"; done)"
done <"$tmp/commands"

sed -n 's/^CAUSE(\([A-Za-z0-9]*\),.*/\1/p' lib/model/causes.def | sort >"$tmp/codes"
sed -n 's/^\.It Sy \([RN][0-9a-z]*\)$/\1/p' "$MAN/memwhy-memory.7" | sort >"$tmp/explained"
check "memwhy-memory.7 explains every cause" "$([ -s "$tmp/codes" ] || echo "no codes found"
	missing "$tmp/codes" "$tmp/explained" memwhy-memory.7
	missing "$tmp/explained" "$tmp/codes" causes.def)"
sed -n 's/^OWNER([A-Z_]*,[[:space:]]*"\([^"]*\)".*/\1/p' lib/model/owners.def | sort >"$tmp/owners"
sed -n 's/^\.It Li \(.*\)/\1/p' "$MAN/memwhy-json.5" | sed 's/, /\n/g' | sort -u >"$tmp/items"
check "memwhy-json.5 has every owner" "$(missing "$tmp/owners" "$tmp/items" memwhy-json.5)"

sed -n 's/^[[:space:]]*\(mw_[a-z0-9_]*\);.*/\1/p' lib/memwhy.map | sort >"$tmp/functions"
sed -nE 's/^\.F[no] (mw_[a-z0-9_]+).*/\1/p' "$MAN/libmemwhy.3" | sort -u >"$tmp/documented"
check "libmemwhy.3 has every function" "$(missing "$tmp/functions" "$tmp/documented" libmemwhy.3
	missing "$tmp/documented" "$tmp/functions" memwhy.map)"
# "TYPE NAME(ARGUMENT, ...)" of each, one a line, sorted.
header_prototypes() { tr '\n\t' '  ' <lib/memwhy.h | sed 's,/\*[^*]*\**\([^/*][^*]*\*\**\)*/,,g; s/;/&\n/g' |
	sed -nE 's/.*MW_API (MW_MUST_CHECK )?(.*\));$/\2/p' | sed -E 's/ +/ /g; s/ ?__attribute__.*//; s/\* (mw_)/*\1/' | sort; }
page_prototypes() { sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESC/p' "$MAN/libmemwhy.3" | sed 's/" "/, /g' | tr -d '"' |
	awk '/^\.Ft / { sub(/^.Ft /, ""); type = $0 ~ /\*$/ ? $0 : $0 " "; next }
		/^\.Fo / { name = type $2 "("; comma = ""; next }
		/^\.Fa / { sub(/^.Fa /, ""); name = name comma $0; comma = ", "; next }
		/^\.Fc/ { print name ")" }
		/^\.Fn / { sub(/^.Fn /, ""); name = $1; sub(/^[^ ]+ /, ""); print type name "(" $0 ")" }' | sort; }
header_prototypes >"$tmp/declared"
page_prototypes >"$tmp/printed"
check "libmemwhy.3 declares them as the header does" "$([ -s "$tmp/declared" ] || echo "none found in memwhy.h"
	diff "$tmp/declared" "$tmp/printed")"
sed -nE 's/^[[:space:]](MW_E_[A-Z_]+)[ ,].*/\1/p' lib/memwhy.h | sort >"$tmp/codes"
sed -nE 's/^\.It Dv (MW_E_[A-Z_]+)$/\1/p' "$MAN/libmemwhy.3" | sort >"$tmp/documented"
check "libmemwhy.3 has every error" "$([ -s "$tmp/codes" ] || echo "no codes found"
	missing "$tmp/codes" "$tmp/documented" libmemwhy.3)"

# Members of what is really printed. The page also names them in running lists, so any word counts.
# Fields of smaps stand there with a prefix that only maps gives them.
tr -cs 'A-Za-z0-9_-' '\n' <"$MAN/memwhy-json.5" | sed 'p; s/^smaps_//' | sort -u >"$tmp/words"
sleep 60 &
target=$!
"$MEMWHY" run -- sleep 60 &
own=$!
trap 'kill $target $own; rm -rf "$tmp"' EXIT
if command -v python3 >/dev/null; then
	for view in "explain --json --all --verify --smaps=always" "maps --json -XX" "doctor --json -p" "record --smaps=always --symbols --frames" "demo --json" \
		"elf --json -a -t -u -x .interp -p .interp --plan --check --sizes=unit --units --addr=0x10000 --type=mw_err" \
		"elf --json -s --hex=1" "elf --json --diff --sizes /bin/true" "heap --json --all"; do
		what=$target
		case $view in
		demo*) what= ;;
		heap*) what=$own ;;
		elf*) what=$MEMWHY ;;
		esac
		# shellcheck disable=SC2086
		timeout 60 "$MEMWHY" $view $what >"$tmp/json" 2>"$tmp/err"
		python3 - "$tmp/json" >"$tmp/members" <<'PY'
import json, sys
def walk(value, found):
    if isinstance(value, dict):
        for key, inner in value.items():
            found.add(key)
            walk(inner, found)
    elif isinstance(value, list):
        for inner in value:
            walk(inner, found)
found = set()
text = open(sys.argv[1]).read()
try:
    walk(json.loads(text), found)
except ValueError:
    for line in text.splitlines():
        walk(json.loads(line), found)
print("\n".join(found))
PY
		sort -u -o "$tmp/members" "$tmp/members"
		check "memwhy-json.5 has every member of ${view%% *}" "$([ -s "$tmp/members" ] || cat "$tmp/err"
			missing "$tmp/members" "$tmp/words" memwhy-json.5)"
	done
else
	skip "members of JSON" "no python3"
fi

for page in "$MAN"/*.[1-8]; do
	if command -v mandoc >/dev/null; then
		check "mandoc: ${page##*/}" "$(mandoc -T lint -W warning "$page" 2>&1)"
	else
		skip "mandoc: ${page##*/}" "no mandoc"
	fi
done
# Every page that a page refers to, when it is one of ours, is there.
check "references lead to pages" "$(sed -nE 's/^\.Xr ((lib)?memwhy[a-z-]*) ([1-8]).*/\1.\3/p' "$MAN"/*.[1-8] | sort -u |
	while read -r p; do [ -e "$MAN/$p" ] || echo "$p: no such page"; done)"
echo "1..$n"
