#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Holds the house: includes go down only, the command sees memwhy.h only, one file each
# touches libdwarf and libproc2, exported symbols are those of memwhy.map, and the
# library neither prints, exits nor reads the environment.
set -u
cd "$(dirname "$0")/../.." || exit 99
B=${BUILD:-build}
. tests/lib/points.sh

# LAYER ALLOWED...: a layer may include itself and what follows
while read -r layer allowed; do
	bad=
	for f in lib/"$layer"/*.[ch]; do
		[ -e "$f" ] || continue
		# shellcheck disable=SC2013
		for inc in $(sed -n 's/^[[:space:]]*#[[:space:]]*include "\.\.\/\([a-z_.]*\)\(\/.*\)\{0,1\}"/\1/p' "$f"); do
			case " $layer memwhy.h $allowed " in
			*" $inc "*) ;;
			*) bad="$bad$f includes $inc
" ;;
			esac
		done
	done
	check "layer $layer includes downwards only" "$(printf %s "$bad")"
done <<LAYERS
base
model base
elf base model
proc base model
save base model
core base model elf proc save
heap base model elf proc save core alloc
collect base model elf proc save core heap
explain base model
trace base model elf proc collect
report base model explain elf trace
alloc
LAYERS

check "cmd includes memwhy.h only" "$(grep -nE '#[[:space:]]*include "' cmd/*.[ch] |
	grep -vE '"cmd\.h"|"\.\./lib/memwhy\.h"')"
check "libdwarf.h in one file" "$(grep -ln 'libdwarf\.h' lib/*/*.[ch] | grep -v '^lib/elf/dwarf_child.h$')"
check "libproc2 in one file" "$(grep -ln '<libproc2/' lib/*/*.[ch] | grep -v '^lib/proc/status.c$')"
check "libelf only in elf" "$(grep -lE '<(libelf|gelf)\.h>' lib/*/*.[ch] | grep -v '^lib/elf/')"
check "the library does not print, exit or read the environment" "$(grep -nE \
	'[^a-z_](printf|puts|putchar|perror|exit|getenv|secure_getenv|setlocale)\(|fprintf\(std' lib/*/*.c |
	grep -vE '^lib/alloc/|_exit\(')"
check "nothing right of the freeze opens a file" "$(grep -nE \
	'[^a-z_](open|openat|fopen|opendir|readlink|ioctl|process_vm_readv)\(' lib/explain/*.c lib/report/*.c)"

exported() { nm -D --defined-only "$1" | awk '$2 ~ /[TDRBW]/ { sub(/@.*/, "", $3); print $3 }' | grep -v '^MEMWHY_' | sort; }
mapped() { sed -n 's/^[[:space:]]*\(mw_[a-z0-9_]*\);.*/\1/p' lib/memwhy.map | sort; }
declared() { grep -oE '\bmw_[a-z0-9_]+\(' lib/memwhy.h | tr -d '(' | sort -u; }
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
mapped >"$tmp/map"
declared >"$tmp/declared"
if [ -e "$B/libmemwhy.so" ]; then
	exported "$B/libmemwhy.so" >"$tmp/exported"
	check "exported symbols are those of memwhy.map" "$(diff "$tmp/map" "$tmp/exported")"
fi
check "memwhy.map lists what memwhy.h declares" "$(diff "$tmp/map" "$tmp/declared")"
check "the command uses exported symbols only" "$(nm -u "$B"/cmd/*.o | awk '$2 ~ /^mw_/ { print $2 }' | sort -u |
	comm -23 - "$tmp/map")"
echo "1..$n"
