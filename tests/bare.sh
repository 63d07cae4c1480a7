#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Proves README.md's two commands in a bare Debian tree: nothing but debootstrap's minbase, so no make, no
# compiler, no sudo. Needs root, debootstrap and the network, so it is `make check-bare`, not part of check.
#   tests/bare.sh            debootstrap, both commands, then remove the tree
#   BARE_CI=1 tests/bare.sh  .ci/run in place of the two commands
set -eu
cd "$(dirname "$0")/.."
if [ "${1:-}" != inside ]; then
	[ "$(id -u)" = 0 ] || { echo "bare: needs root" >&2; exit 77; }
	command -v debootstrap >/dev/null || { echo "bare: needs debootstrap" >&2; exit 77; }
	# mounts and processes are made in namespaces of their own and vanish with them; a bare machine runs few
	# other processes, so none of this one's are seen
	exec unshare --mount --pid --fork --kill-child --propagation private "tests/$(basename "$0")" inside
fi

tree=$(mktemp -d /var/tmp/memwhy-bare.XXXXXX)
chmod 755 "$tree"	# tests that become another user must get in
trap 'umount -l "$tree/proc" "$tree/sys" "$tree/dev" 2>/dev/null || :; rm -rf --one-file-system "$tree"' EXIT
timeout 900 debootstrap --variant=minbase bookworm "$tree" >"$tree.log" 2>&1 || { tail "$tree.log"; exit 1; }
rm -f "$tree.log"
cp /etc/resolv.conf "$tree/etc/resolv.conf" 2>/dev/null || :
for f in /etc/apt/apt.conf /etc/apt/apt.conf.d/*proxy*; do
	if [ -e "$f" ]; then cp "$f" "$tree/etc/apt/apt.conf.d/"; fi
done
mount -t proc proc "$tree/proc"
mount -t sysfs sysfs "$tree/sys"
mount --rbind /dev "$tree/dev"
mkdir "$tree/root/memwhy"
git -c safe.directory='*' archive HEAD | tar -x -C "$tree/root/memwhy"

in_tree() { # COMMAND
	echo "bare: $1"
	timeout 1800 chroot "$tree" /usr/bin/env -i HOME=/root LANG=C.UTF-8 TERM=dumb \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		sh -c "cd /root/memwhy && $1" </dev/null
}

if [ "${BARE_CI:-0}" = 1 ]; then
	in_tree .ci/run
	exit
fi
# shellcheck disable=SC2016
# the commands are the lines of README's first block of shell
sed -n '/^```sh$/,/^```$/p' README.md | sed '1d; /^```$/,$d' >"$tree/root/commands"
[ "$(wc -l <"$tree/root/commands")" = 2 ] || { echo "bare: README.md does not begin with two commands" >&2; exit 1; }
while read -r command; do
	in_tree "$command"
done <"$tree/root/commands"
