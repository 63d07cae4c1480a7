#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# programs - real programs give the same output with the library preloaded as without.
# Programs that are not installed are skipped by name.
build=${BUILD:-build}
lib=$(cd "$build" && pwd)/libmemwhy-malloc.so
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0

. "$(dirname "$0")/same.inc"

cat >"$dir/big.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#define F(n) static int f##n(int x) { int a[8]; for (int i = 0; i < 8; i++) a[i] = x * i + n; \
	switch (x % 5) { case 0: return a[3]; case 1: return a[1] + f(x - 1); default: return a[x & 7]; } }
static int f(int x) { return x; }
#define G(n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7) F(n##8) F(n##9)
#define H(n) G(n##0) G(n##1) G(n##2) G(n##3) G(n##4) G(n##5) G(n##6) G(n##7) G(n##8) G(n##9)
H(1) H(2)
int main(void) { return f100(3) + f299(2); }
END
cat >"$dir/objects.py" <<'END'
import gc, hashlib, json, re, subprocess, threading, zlib
def work(k):
    d = {}
    for i in range(30000):
        d[(i * 7919 + k) % 10007] = [str(i), i * 1.5, {"k": i}]
    return hashlib.md5(repr(sorted(d.items())).encode()).hexdigest()
out = []
ts = [threading.Thread(target=lambda k=k: out.append(work(k))) for k in range(4)]
[t.start() for t in ts]
[t.join() for t in ts]
print(sorted(out))
s = json.dumps([list(range(50))] * 2000)
print(len(zlib.compress(s.encode() * 20)), len(re.findall(r"1\d", s)))
print(subprocess.run(["echo", "child"], capture_output=True).stdout)
print(len([bytearray(i * 1000) for i in range(1000)]), gc.collect() >= 0)
END
cat >"$dir/hashes.pl" <<'END'
my %h; for my $i (1 .. 200000) { push @{$h{$i % 5003}}, "v$i" x ($i % 7); }
my $n = 0; for (sort keys %h) { $n += length join ",", @{$h{$_}}; } print "$n\n";
my $s = join " ", map { $_ * 3 } 1 .. 100000; $s =~ s/(\d)3/$1x/g; print length $s, "\n";
END
cat >"$dir/script.sql" <<'END'
create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000)
insert into t select i, hex(i * 7919) || 'x', i / 7.0 from n;
create index tb on t(b);
select count(*), sum(length(b)), round(sum(c), 3) from t where b like '3%';
select group_concat(a) from (select a from t order by b limit 50);
delete from t where a % 3 = 0; vacuum; select count(*) from t;
END

cc=${CC:-gcc}
python=$(command -v /usr/bin/python3 || echo python3)
for options in "" "audit=1" "hard=1"; do
	same "compiler" "$options" $cc -O2 -S -o - "$dir/big.c"
	same "python: containers, threads, a child" "$options" env PYTHONMALLOC=malloc PYTHONHASHSEED=0 "$python" "$dir/objects.py"
	same "perl: hashes and strings" "$options" env PERL_HASH_SEED=0 perl "$dir/hashes.pl"
done
same "python with its own small-object heap" "" env PYTHONHASHSEED=0 "$python" "$dir/objects.py"
same "sqlite" "" sqlite3 -init "$dir/script.sql" :memory: ".quit"
same "c++: a compiler front end" "" sh -c "printf '#include <map>\n#include <string>\n#include <iostream>\nint main(){std::map<std::string,int> m; for(int i=0;i<9;i++) m[std::to_string(i)]=i; std::cout<<m.size();}' | ${CXX:-g++} -O1 -S -x c++ -o - -"
same "git" "" git --version
same "sort" "" sh -c "seq 300000 | sort -R --random-source=/bin/sh | sort -n --parallel=4 | md5sum"
same "awk" "" awk 'BEGIN { for (i = 0; i < 200000; i++) a[i % 9973] = a[i % 9973] i; for (k in a) n += length(a[k]); print n }'
same "node" "" node -e 'let a=[]; for (let i=0;i<300000;i++) a.push({i, s:String(i)}); console.log(a.length, Buffer.alloc(5e6).length)'
same "go: a cgo-free tool" "" go version
same "php: extensions opened with RTLD_DEEPBIND" "" php -r '$a = []; for ($i = 0; $i < 100000; $i++) $a[$i % 5003][] = str_repeat("v$i", $i % 7); echo strlen(json_encode($a)), " ", count(get_loaded_extensions()), "\n";'
same "setrlimit: 100 MB of addresses" "" sh -c "ulimit -v 100000; $python -c 'print(sum(range(1000)), len([0] * 1000000))'"

# redis: a load on loopback; the answer counts
n=$((n + 1))
if command -v redis-server >/dev/null 2>&1 && command -v redis-cli >/dev/null 2>&1; then
	LD_PRELOAD=$lib redis-server --port 0 --unixsocket "$dir/r.sock" --save "" --appendonly no --dir "$dir" >"$dir/redis" 2>&1 &
	pid=$!
	i=0
	while [ ! -S "$dir/r.sock" ] && [ $i -lt 50 ]; do sleep 0.1; i=$((i + 1)); done
	got=$(seq 30000 | awk '{ printf "set k%d %s%d\n", $1, "value-value-value-", $1 * 17 }' | redis-cli -s "$dir/r.sock" | grep -c OK)
	size=$(redis-cli -s "$dir/r.sock" dbsize)
	redis-cli -s "$dir/r.sock" flushall >/dev/null
	redis-cli -s "$dir/r.sock" shutdown nosave >/dev/null 2>&1
	wait $pid
	[ "$got" = 30000 ] && [ "$size" = 30000 ] && echo "ok $n - redis under load" || echo "not ok $n - redis under load: $got, $size"
else
	echo "ok $n - redis under load # SKIP not installed"
fi
echo "1..$n"
