#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Spoiled books, preloaded and in audit mode: see hostile.c. SEED repeats a run.
M=${MEMWHY:-build/memwhy}
B=${BUILD:-build}
seed=${SEED:-1}
"$B/tests/heap/hostile" 100 "$seed" -- "$M" run --sample=16k "$B/tests/heap/books" >"$B/tests/heap/hostile.tap"
first=$?
grep -v "^1\.\." "$B/tests/heap/hostile.tap"
"$B/tests/heap/hostile" 100 "$seed" -- "$M" run --audit "$B/tests/heap/books" >"$B/tests/heap/hostile.tap"
second=$?
sed '/^1\.\./d; s/ok \([0-9]\) - /ok 3+\1 - audit: /; s/3+1/4/; s/3+2/5/; s/3+3/6/' "$B/tests/heap/hostile.tap"
"$B/tests/heap/hostile" 0 0 -- "$M" run "$B/tests/heap/private" | sed 's/^1\.\..*/1..9/; s/ok \([0-9]\) - /ok 6+\1 - private: /; s/6+1/7/; s/6+2/8/; s/6+3/9/'
exit $((first + second))
