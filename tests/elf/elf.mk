# SPDX-License-Identifier: GPL-3.0-or-later
# Tests of the static view. samples.py makes the files that damaged.py damages.
ELF_TESTS := tests/elf/compare.py tests/elf/damaged.py tests/elf/plan_live.py tests/elf/verdict.py \
	tests/elf/hex_headers.py tests/elf/sizes.py tests/elf/picture.py tests/elf/cfi.py tests/elf/debugfiles.py tests/elf/core.py tests/elf/contents.py tests/elf/dlopen.py
ELF_TESTS += tests/elf/machines.py tests/elf/dwarf_child.py
ELF_TESTS_HEAVY := tests/elf/compare_all.sh tests/elf/damaged_random.sh tests/elf/dwarf_child_slow.sh
