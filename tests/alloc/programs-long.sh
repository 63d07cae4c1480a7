#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# programs-long - real programs at length, with the library and without: the same output.
# PARTS names which (default all of them), SAME_OPTIONS the library's options. What is not
# installed is skipped by name.
build=${BUILD:-build}
lib=$(cd "$build" && pwd)/libmemwhy-malloc.so
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' TERM
n=0
. "$(dirname "$0")/same.inc"
start=$(date +%s)

# --- compilers: a large file; the same assembly
{
	echo '#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>'
	i=0
	while [ $i -lt 60 ]; do
		echo "template <int N> struct s$i { std::map<std::string, std::vector<int>> m; std::unordered_map<int, std::string> u;
int f(int x) { m[std::to_string(x + N)].push_back(x); u[x] = \"a\"; std::vector<int> v(x); std::sort(v.begin(), v.end(), [](int a, int b) { return a % (N + 1) < b; }); return m.size() + u.size(); } };
int g$i(int x) { s$i<$i> a; s$i<$((i + 7))> b; return a.f(x) + b.f(x) + std::regex_match(\"x\", std::regex(\"[a-z]+$i\")); }"
		i=$((i + 1))
	done
} >"$dir/large.cc"

compilers() {
	same "cc1plus on a large file" "" "${CXX:-g++}" -O2 -S -o - "$dir/large.cc"
	same "the same, audited" "audit=1" "${CXX:-g++}" -O1 -S -o - "$dir/large.cc"
}

# --- python's own tests
pythons() {
	python=
	for p in python3 /usr/bin/python3; do
		command -v $p >/dev/null 2>&1 && $p -c 'import test.test_list' 2>/dev/null && python=$p && break
	done
	filter='grep -E "^(Ran [0-9]+ tests|OK|FAILED|status)" | sed "s/ in [0-9.]*s//"'
	for m in list dict set tuple deque heapq array bytes memoryview ordered_dict defaultdict string re json \
		pickle struct zlib gc weakref thread threading queue fork1 subprocess mmap ctypes concurrent_futures; do
		n=$((n + 1))
		if [ -z "$python" ]; then
			echo "ok $n - python: test_$m # SKIP no python3 with its tests"
			continue
		fi
		"$python" -c "import test.test_$m" 2>/dev/null || { echo "ok $n - python: test_$m # SKIP not in this python"; continue; }
		n=$((n - 1))
		same "python: test_$m" "" env PYTHONMALLOC=malloc timeout 600 "$python" -m unittest "test.test_$m"
	done
	filter=cat
}

# --- interpreters and databases
cat >"$dir/a.pl" <<'END'
my %h; for my $i (1 .. 400000) { push @{$h{($i * 7919) % 9001}}, "v$i" x ($i % 5); delete $h{$i % 3001} if $i % 11 == 0; }
my $n = 0; $n += length join ",", @{$h{$_}} for sort keys %h; print "$n\n";
my @a = map { { id => $_, s => "x" x ($_ % 97) } } 1 .. 200000; my $s = join "", map { $_->{s} } @a; print length $s, "\n";
for (1 .. 200) { my $b = "y" x ($_ * 20000); $b =~ s/y{3}/z/g; $n += length $b; } print "$n\n";
END
cat >"$dir/a.lua" <<'END'
local t = {} for i = 1, 500000 do t[i % 9001] = (t[i % 9001] or "") .. i; if i % 17 == 0 then t[i % 331] = nil end end
local n = 0 for _, v in pairs(t) do n = n + #v end print(n)
END
cat >"$dir/a.sql" <<'END'
create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 500000)
insert into t select i, hex(i * 7919) || 'x', i / 7.0 from n;
create index tb on t(b); select count(*), sum(length(b)) from t where b like '3%';
select sum(length(g)) from (select group_concat(b) g from t group by a % 1000);
update t set b = b || b where a % 5 = 0; delete from t where a % 3 = 0; vacuum; select count(*), sum(length(b)) from t;
END
cat >"$dir/a.js" <<'END'
const a = []; let s = 0;
for (let i = 0; i < 800000; i++) a.push({ i, s: String(i) });
for (let i = 0; i < 4000; i++) s += Buffer.alloc(1000 + i * 61, i & 255).reduce((x, y) => x + y, 0) % 1000003;
console.log(a.length, s, require('zlib').gzipSync(Buffer.from(JSON.stringify(a.slice(0, 100000)))).length > 1000);
END
mkdir "$dir/j" && cat >"$dir/j/A.java" <<'END'
import java.util.*; import java.util.zip.*; import java.nio.*;
public class A { public static void main(String[] v) throws Exception {
  Map<Integer, String> m = new HashMap<>(); for (int i = 0; i < 500000; i++) m.put(i * 7919 % 100003, "v" + i);
  long n = 0; for (String s : m.values()) n += s.length();
  Thread[] t = new Thread[8]; long[] sums = new long[8];
  for (int k = 0; k < 8; k++) { final int q = k; t[k] = new Thread(() -> { for (int i = 0; i < 300; i++) {
    ByteBuffer b = ByteBuffer.allocateDirect(10000 + i * 333); b.put(0, (byte) i); sums[q] += b.get(0) + b.capacity();
    Deflater d = new Deflater(); d.setInput(new byte[20000]); d.finish(); sums[q] += d.deflate(new byte[30000]); d.end(); } }); t[k].start(); }
  for (int k = 0; k < 8; k++) { t[k].join(); n += sums[k]; } System.out.println(n); } }
END
mkdir "$dir/go" && cat >"$dir/go/main.go" <<'END'
package main

/*
#include <stdlib.h>
#include <string.h>
static long work(int k) { long s = 0; for (int i = 1; i < 3000; i++) { char *p = malloc(i * 7 % 5000 + 1); memset(p, k, 1); s += p[0] + i; p = realloc(p, i * 11 % 9000 + 1); s += p[0]; free(p); } return s; }
*/
import "C"
import ("fmt"; "sync")

func main() {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var sum int64
	for k := 0; k < 64; k++ {
		wg.Add(1)
		go func(k int) { defer wg.Done(); s := C.work(C.int(k)); mu.Lock(); sum += int64(s); mu.Unlock() }(k)
	}
	wg.Wait()
	fmt.Println(sum)
}
END
cat >"$dir/page.html" <<'END'
<!doctype html><title>t</title><body><script>
let d = document, n = 0; for (let i = 0; i < 3000; i++) { const e = d.createElement('p'); e.textContent = 'line ' + i; d.body.append(e);
if (i % 3 == 0) e.remove(); } const a = []; for (let i = 0; i < 200000; i++) a.push({ i }); d.title = 'done ' + a.length;
</script><canvas id=c width=500 height=500></canvas>
END

interpreters() {
	same "perl" "" env PERL_HASH_SEED=0 perl "$dir/a.pl"
	for lua in lua luajit lua5.4 lua5.3 lua5.1; do command -v $lua >/dev/null 2>&1 && break; done
	same "lua" "" "$lua" "$dir/a.lua"
	same "sqlite" "" sqlite3 -init "$dir/a.sql" "" .quit
	same "node" "" node "$dir/a.js"
	command -v javac >/dev/null 2>&1 && javac -d "$dir/j" "$dir/j/A.java"
	if [ -f "$dir/j/A.class" ]; then
		same "java: threads, direct buffers, deflaters" "" java -Xmx256m -cp "$dir/j" A
	else
		n=$((n + 1))
		echo "ok $n - java # SKIP no javac"
	fi
	(cd "$dir/go" && go mod init a >/dev/null 2>&1 && go build -o a . >/dev/null 2>&1)
	if [ -x "$dir/go/a" ]; then
		same "go with C: goroutines in malloc" "" "$dir/go/a"
	else
		n=$((n + 1))
		echo "ok $n - go with C # SKIP no go, or no C for it"
	fi
}

repository() {
	repo=$dir/repo # a copy: somebody may commit
	if ! git clone -q --no-local --bare . "$repo" 2>/dev/null; then
		n=$((n + 1))
		echo "ok $n - git # SKIP not in a repository"
		return
	fi
	same "git fsck" "" git -C "$repo" fsck --full --no-progress --no-dangling
	same "git log with patches" "" sh -c "git -C '$repo' log -p | cksum"
	same "git repack" "" sh -c "rm -rf '$dir/r' && git clone -q --no-local --bare '$repo' '$dir/r' && git -C '$dir/r' -c pack.threads=4 repack -a -d -f -q && git -C '$dir/r' count-objects -v | grep in-pack"
}

browser() {
	filter='grep -vE "^\[|dbus|ERROR|WARNING"'
	same "chromium: the page that its scripts made" "" timeout 120 chromium --headless --no-sandbox --disable-gpu \
		--disable-dev-shm-usage --user-data-dir="$dir/chrome" --dump-dom "file://$dir/page.html"
	filter=cat
}

# a server under load on a socket of its own; what it holds at the end is asked
redis_holds() {
	env ${1:+LD_PRELOAD=$1} redis-server --port 0 --unixsocket "$dir/r.sock" --save "" --appendonly no --dir "$dir" >"$dir/log" 2>&1 &
	pid=$!
	i=0
	while [ ! -S "$dir/r.sock" ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
	redis-benchmark -s "$dir/r.sock" -q -n 200000 -c 20 -r 50000 -d 300 -t set,get,lpush,hset,sadd >/dev/null 2>&1
	redis-cli -s "$dir/r.sock" flushall >/dev/null
	seq 200000 | awk '{ printf "set k%d %0*d\n", $1 % 70001, $1 % 900 + 1, $1; if ($1 % 7 == 0) printf "del k%d\n", $1 * 3 % 70001 }' |
		redis-cli -s "$dir/r.sock" | sort | uniq -c
	redis-cli -s "$dir/r.sock" dbsize
	for k in 1 77 4242 70000; do redis-cli -s "$dir/r.sock" get k$k; done
	redis-cli -s "$dir/r.sock" shutdown nosave >/dev/null 2>&1
	wait $pid
	echo "status $?"
}

redis() {
	n=$((n + 1))
	if ! command -v redis-server >/dev/null 2>&1 || ! command -v redis-benchmark >/dev/null 2>&1; then
		echo "ok $n - redis under load # SKIP not installed"
		return
	fi
	redis_holds "" >"$dir/plain"
	redis_holds "$lib" >"$dir/ours"
	cmp -s "$dir/plain" "$dir/ours" && echo "ok $n - redis under load" || echo "not ok $n - redis under load"
}

for part in ${PARTS:-compilers pythons interpreters repository browser redis}; do
	$part
done
echo "# $(($(date +%s) - start)) seconds, $ours seconds of CPU under the library"
echo "1..$n"
