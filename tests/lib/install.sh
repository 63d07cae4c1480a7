#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# make install puts everything where it belongs: the command runs, pkg-config finds the library, README's
# example compiles and runs with what was installed, pages and completions are there, and make uninstall
# leaves nothing.
set -u
cd "$(dirname "$0")/../.." || exit 99
CC=${CC:-gcc}
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
root=$tmp/root
. tests/lib/points.sh
quiet() { "$@" >"$tmp/log" 2>&1 || { tail -n 20 "$tmp/log"; echo "exit status $?"; }; }
# the flags of a make that runs us are not for this one
unset MAKEFLAGS MFLAGS MAKELEVEL
set -- "DESTDIR=$root" PREFIX=/usr
[ -z "${BUILD:-}" ] || set -- "$@" "B=$(realpath --relative-to=. "$BUILD")"

check "make install" "$(quiet make -s install "$@")"
check "the files are there" "$(for f in bin/memwhy include/memwhy.h lib/libmemwhy.a lib/libmemwhy.so.0 lib/libmemwhy.so \
	lib/pkgconfig/libmemwhy.pc share/bash-completion/completions/memwhy share/zsh/site-functions/_memwhy \
	share/fish/vendor_completions.d/memwhy.fish; do [ -s "$root/usr/$f" ] || echo "$f is missing"; done)"
check "every page of the manual is installed" "$(for m in man/*.[1-8]; do
	cmp "$m" "$root/usr/share/man/man${m##*.}/${m##*/}" 2>&1; done)"
check "the command runs" "$(quiet timeout 20 "$root/usr/bin/memwhy" explain $$)"
check "libmemwhy.pc names the prefix that was installed to, whatever was built for" \
	"$(grep -x 'prefix=.*' "$root/usr/lib/pkgconfig/libmemwhy.pc" | grep -vx 'prefix=/usr')"
if command -v pkg-config >/dev/null; then
	export PKG_CONFIG_PATH=$root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
	check "pkg-config knows the version" "$([ "$(pkg-config --modversion libmemwhy 2>&1)" = \
		"$(sed -n 's/^#define MW_VERSION "\(.*\)"/\1/p' lib/memwhy.h)" ] || pkg-config --modversion libmemwhy 2>&1)"
	awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' README.md >"$tmp/example.c"
	flags=$(pkg-config --cflags --libs libmemwhy)
	# prefixes of a system directory are left out by pkg-config, so name the tree's own
	# shellcheck disable=SC2086
	check "README's example compiles with pkg-config's flags" "$(quiet "$CC" ${EXAMPLE_FLAGS:-} -Wall -Wextra -Werror \
		-o "$tmp/example" "$tmp/example.c" "-I$root/usr/include" "-L$root/usr/lib" $flags)"
	check "and runs" "$(LD_LIBRARY_PATH=$root/usr/lib quiet timeout 20 "$tmp/example" $$)"
else
	for t in "pkg-config knows the version" "README's example compiles" "and runs"; do
		n=$((n + 1))
		echo "ok $n - $t # SKIP no pkg-config"
	done
fi
check "nothing installed names the tree it was built in" "$(grep -rlF "$PWD" "$root" 2>/dev/null)"
spaced="$tmp/a place"
mkdir -p "$spaced/tree"
cp -r Makefile lib cmd "$spaced/tree"
check "a path with a blank: it compiles there" "$(quiet make -s -C "$spaced/tree" B=build CC="$CC" build/lib/base/size.o build/libmemwhy-malloc.a)"
check "and installs there" "$(quiet make -s install "$@" "DESTDIR=$spaced"
	diff <(cd "$root/usr" && find . | sort) <(cd "$spaced/usr" && find . | sort) 2>&1)"
check "make uninstall" "$(quiet make -s uninstall "$@")"
check "nothing is left" "$(find "$root" ! -type d)"
echo "1..$n"
